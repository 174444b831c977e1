//! Check results as JUnit XML, which every build machine reads: one suite per service, one case per check.

use std::collections::BTreeMap;
use std::fmt::Write;

use kernel_core::event::{CheckResult, Verdict};

/// The results as one document.
#[must_use]
pub fn render(suite: &str, results: &[CheckResult]) -> String {
    let mut services: BTreeMap<&str, Vec<&CheckResult>> = BTreeMap::new();
    for result in results {
        services.entry(result.service.as_str()).or_default().push(result);
    }
    let all: Vec<&CheckResult> = results.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!("<testsuites name=\"{}\"{}>\n", escape(suite), totals(&all)));
    for (service, results) in services {
        out.push_str(&format!("  <testsuite name=\"{}\"{}>\n", escape(service), totals(&results)));
        results.into_iter().for_each(|result| case(&mut out, result));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn totals(results: &[&CheckResult]) -> String {
    let count = |verdict| results.iter().filter(|result| result.verdict == verdict).count();
    let time = results.iter().map(|result| result.elapsed_ms).max().unwrap_or(0);
    format!(
        " tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{}\"",
        results.len(),
        count(Verdict::Failed),
        count(Verdict::Skipped),
        seconds(time),
    )
}

fn case(out: &mut String, result: &CheckResult) {
    let head = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
        escape(result.service.as_str()),
        escape(&result.check),
        seconds(result.elapsed_ms)
    );
    match result.verdict {
        Verdict::Passed => out.push_str(&format!("{head}/>\n")),
        Verdict::Skipped => out.push_str(&format!("{head}><skipped/></testcase>\n")),
        Verdict::Failed => {
            let expected = result.expected.as_deref().unwrap_or_default();
            let actual = result.actual.as_deref().unwrap_or_default();
            let mut body = format!("expected: {expected}\ngot: {actual}\n");
            if !result.last_lines.is_empty() {
                body.push_str(&format!("last log lines:\n{}\n", result.last_lines.join("\n")));
            }
            let message = escape(expected);
            out.push_str(&format!(
                "{head}>\n      <failure message=\"{message}\">{}</failure>\n    </testcase>\n",
                escape(&body)
            ));
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Text that may stand in XML, as content or between double quotes. Characters that XML 1.0 does not allow at all
/// are replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\r' => out.push_str("&#13;"),
            c if u32::from(c) < 0x20 || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => {
                let _infallible = out.write_char(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::service;

    #[test]
    fn a_failure_says_what_was_expected_and_what_came() {
        let passed = CheckResult {
            service: service("iam"),
            check: "live".to_owned(),
            verdict: Verdict::Passed,
            elapsed_ms: 12,
            attempts: 1,
            expected: None,
            actual: None,
            last_lines: Vec::new(),
        };
        let failed = CheckResult {
            check: "scenario".to_owned(),
            verdict: Verdict::Failed,
            elapsed_ms: 1_500,
            expected: Some("step \"login\": status 200".to_owned()),
            actual: Some("status 500 <html>\u{1}".to_owned()),
            last_lines: vec!["panic & \"burn\"".to_owned()],
            ..passed.clone()
        };
        let skipped = CheckResult { service: service("money"), verdict: Verdict::Skipped, ..passed.clone() };
        insta::assert_snapshot!(render("kernel smoke", &[passed, failed, skipped]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="kernel smoke" tests="3" failures="1" skipped="1" time="1.500">
          <testsuite name="iam" tests="2" failures="1" skipped="0" time="1.500">
            <testcase classname="iam" name="live" time="0.012"/>
            <testcase classname="iam" name="scenario" time="1.500">
              <failure message="step &quot;login&quot;: status 200">expected: step &quot;login&quot;: status 200
        got: status 500 &lt;html&gt;�
        last log lines:
        panic &amp; &quot;burn&quot;
        </failure>
            </testcase>
          </testsuite>
          <testsuite name="money" tests="1" failures="0" skipped="1" time="0.012">
            <testcase classname="money" name="live" time="0.012"><skipped/></testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
