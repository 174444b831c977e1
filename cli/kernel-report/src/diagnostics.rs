//! Diagnostics and problems for people: code, sentence, caret into the text, causes, evidence, what to do. All of
//! them at once.

use std::fmt;

use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::event::Problem;
use kernel_core::source::Sources;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::log_text::readable;
use crate::look::Look;

const WIDTH_IN_A_PIPE: usize = 110;

/// The diagnostics as text, in the order given, each followed by an empty line, the last by a line that counts
/// them when there is more than one.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, look: Look) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        draw(&mut out, &Shown::of(diagnostic, sources), look);
        out.push('\n');
    }
    if let Some(summary) = count(diagnostics) {
        out.push_str(&summary);
        out.push('\n');
    }
    out
}

/// A problem as text: the sentence with its causes, the evidence, and at the end what to do.
#[must_use]
pub fn render_problem(problem: &Problem, look: Look) -> String {
    let mut out = String::new();
    let mut shown = Shown {
        code: Some(problem.code.to_owned()),
        severity: problem.severity,
        message: problem.message.clone(),
        cause: Cause::chain(&problem.causes),
        help: None,
        text: None,
        labels: Vec::new(),
    };
    if problem.evidence.is_empty() {
        shown.help.clone_from(&problem.help);
    }
    draw(&mut out, &[shown], look);
    for line in &problem.evidence {
        out.push_str(&format!("    {} {}\n", look.symbol("│", "|"), readable(line)));
    }
    if let (Some(help), false) = (&problem.help, problem.evidence.is_empty()) {
        out.push_str(&format!("  help: {help}\n"));
    }
    out
}

fn draw(out: &mut String, reports: &[Shown], look: Look) {
    let theme = match (look.unicode, look.color) {
        (true, true) => GraphicalTheme::unicode(),
        (true, false) => GraphicalTheme::unicode_nocolor(),
        (false, _) => GraphicalTheme::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(look.width.unwrap_or(WIDTH_IN_A_PIPE).clamp(60, 140))
        .with_links(false)
        .with_context_lines(1);
    for shown in reports {
        let mut text = String::new();
        if handler.render_report(&mut text, shown).is_err() {
            // miette could not read the place; the sentence is worth more than nothing.
            text = format!("{}: {}\n", shown.code.as_deref().unwrap_or_default(), shown.message);
        }
        for line in text.lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

/// `docker/docker-compose.yml:12:7: K-COMPOSE-003: what is wrong`, for logs and for editors.
#[must_use]
pub fn one_line(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let place = diagnostic.labels.first().and_then(|label| sources.locate(label.span));
    match place {
        Some(place) => format!("{place}: {}: {}", diagnostic.code, diagnostic.message),
        None => format!("{}: {}", diagnostic.code, diagnostic.message),
    }
}

/// The diagnostic as data, with the same fields as the picture.
#[must_use]
pub fn to_json(diagnostic: &Diagnostic, sources: &Sources) -> serde_json::Value {
    let places: Vec<_> = diagnostic
        .labels
        .iter()
        .filter_map(|label| {
            let (line, column) = sources.position(label.span.source, label.span.start)?;
            let file = &sources.get(label.span.source)?.name;
            Some(serde_json::json!({ "file": file, "line": line, "column": column, "text": label.text }))
        })
        .collect();
    serde_json::json!({
        "code": diagnostic.code.0,
        "severity": match diagnostic.severity { Severity::Warning => "warning", Severity::Error => "error" },
        "message": diagnostic.message,
        "places": places,
        "help": diagnostic.help,
    })
}

fn count(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0 | 1, 0) | (0, 1) => None,
        (errors, 0) => Some(plural(errors, "error")),
        (0, warnings) => Some(plural(warnings, "warning")),
        (errors, warnings) => Some(format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"))),
    }
}

/// What miette shows as one report: it knows one text each. Labels in other texts follow as reports of their own.
#[derive(Debug)]
struct Shown {
    code: Option<String>,
    severity: Severity,
    message: String,
    cause: Option<Box<Cause>>,
    help: Option<String>,
    text: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
}

/// One of the causes behind a problem, with the one behind it.
#[derive(Debug)]
struct Cause {
    text: String,
    behind: Option<Box<Cause>>,
}

impl Cause {
    fn chain(causes: &[String]) -> Option<Box<Self>> {
        causes.iter().rev().fold(None, |behind, text| Some(Box::new(Self { text: text.clone(), behind })))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.behind.as_deref().map(|cause| cause as _)
    }
}

impl Shown {
    fn of(diagnostic: &Diagnostic, sources: &Sources) -> Vec<Self> {
        let mut reports = vec![Self {
            code: Some(diagnostic.code.to_string()),
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            cause: None,
            help: None,
            text: None,
            labels: Vec::new(),
        }];
        let main = diagnostic.labels.first().map(|label| label.span.source);
        for label in &diagnostic.labels {
            let Some(source) = sources.get(label.span.source) else { continue };
            if !is_drawn(&source.text, label.span.start, label.span.end) {
                // The place in words: a line that nobody can read has no picture.
                let place = sources.locate(label.span).unwrap_or_default();
                if let Some(last) = reports.last_mut() {
                    last.message = format!("{} ({place}: {})", last.message, label.text);
                }
                continue;
            }
            let length = label.span.end.saturating_sub(label.span.start);
            let span = LabeledSpan::new(Some(label.text.clone()), label.span.start, length);
            let named = NamedSource::new(&source.name, source.text.to_string());
            if Some(label.span.source) == main {
                reports[0].text = Some(named);
                reports[0].labels.push(span);
            } else {
                reports.push(Self {
                    code: None,
                    severity: diagnostic.severity,
                    message: format!("and in {}", source.name),
                    cause: None,
                    help: None,
                    text: Some(named),
                    labels: vec![span],
                });
            }
        }
        if let Some(last) = reports.last_mut() {
            last.help.clone_from(&diagnostic.help);
        }
        reports
    }
}

/// Characters of a line that is drawn. miette panics on a column beyond 65,535, and draws no line that is longer than a
/// terminal in a way that helps.
const LONGEST: usize = 1_000;

/// Whether the lines around a place can be drawn: those that it is in, and one before and after.
fn is_drawn(text: &str, start: usize, end: usize) -> bool {
    let (Some(before), Some(after)) = (text.get(..start), text.get(end..)) else { return false };
    let from = before.rmatch_indices('\n').nth(1).map_or(0, |(at, _)| at);
    let to = after.match_indices('\n').nth(1).map_or(text.len(), |(at, _)| end + at);
    text[from..to].split('\n').all(|line| line.len() <= LONGEST)
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl miette::Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.code.as_ref().map(|code| Box::new(code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_ref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as _)
    }
}

#[cfg(test)]
mod tests {
    use kernel_core::diagnostic::Code;
    use kernel_core::source::Span;

    use super::*;

    fn two_problems() -> (Vec<Diagnostic>, Sources) {
        let mut sources = Sources::default();
        let text = "services:\n  web:\n    ports:\n      - 80:80800/tcp   # é\n";
        let source = sources.add("docker/docker-compose.yml", text);
        let start = text.find("80:80800").unwrap();
        let span = Span { source, start, end: start + "80:80800/tcp".len() };
        let env = sources.add("versions.env", "WEB=1\n");
        let bad_port =
            Diagnostic::error(Code("K-TEST-001"), "service `web`: invalid port mapping `80:80800/tcp`")
                .at(span, "80800 is larger than 65535")
                .at(Span { source: env, start: 0, end: 3 }, "the value comes from here")
                .help("use [HOST:]CONTAINER[/tcp|udp] with ports in 1..65535");
        (vec![bad_port, Diagnostic::warning(Code("K-TEST-002"), "`version` is no longer used")], sources)
    }

    #[test]
    fn a_line_that_nobody_can_read_is_not_drawn() {
        for length in [2_000, 70_000, 1_000_000] {
            let mut sources = Sources::default();
            let text = format!("a: 1\nb: [{}]\nc: 1\n", "x,".repeat(length));
            let source = sources.add("long.yaml", text.as_str());
            let at = |start| {
                Diagnostic::error(Code("K-TEST-001"), "wrong")
                    .at(Span { source, start, end: start + 1 }, "here")
            };
            for start in [0, 5, text.len() - 20, text.len() - 3] {
                let shown = render(&[at(start)], &sources, Look::PLAIN);
                assert!(
                    shown.len() < 2_000 && shown.contains("long.yaml:"),
                    "{}",
                    &shown[..shown.len().min(2_000)]
                );
            }
        }
    }

    #[test]
    fn all_problems_are_shown_with_a_caret_and_what_to_do() {
        let (diagnostics, sources) = two_problems();
        let look = Look { unicode: true, color: false, width: Some(80) };
        insta::assert_snapshot!(render(&diagnostics, &sources, look), @r"
        K-TEST-001

          × service `web`: invalid port mapping `80:80800/tcp`
           ╭─[docker/docker-compose.yml:4:9]
         3 │     ports:
         4 │       - 80:80800/tcp   # é
           ·         ──────┬─────
           ·               ╰── 80800 is larger than 65535
           ╰────
          × and in versions.env
           ╭─[versions.env:1:1]
         1 │ WEB=1
           · ─┬─
           ·  ╰── the value comes from here
           ╰────
          help: use [HOST:]CONTAINER[/tcp|udp] with ports in 1..65535

        K-TEST-002

          ⚠ `version` is no longer used

        1 error, 1 warning
        ");
    }

    #[test]
    fn ascii_only_without_unicode() {
        let (diagnostics, sources) = two_problems();
        let text = render(&diagnostics[..1], &sources, Look::PLAIN);
        let foreign = text.replace('é', "e");
        assert!(foreign.is_ascii(), "{text}");
        assert!(text.contains("docker/docker-compose.yml:4:9"), "{text}");
    }

    #[test]
    fn one_line_starts_with_the_place() {
        let (diagnostics, sources) = two_problems();
        insta::assert_snapshot!(one_line(&diagnostics[0], &sources), @"docker/docker-compose.yml:4:9: K-TEST-001: service `web`: invalid port mapping `80:80800/tcp`");
        insta::assert_snapshot!(to_json(&diagnostics[0], &sources).to_string(), @r#"{"code":"K-TEST-001","severity":"error","message":"service `web`: invalid port mapping `80:80800/tcp`","places":[{"file":"docker/docker-compose.yml","line":4,"column":9,"text":"80800 is larger than 65535"},{"file":"versions.env","line":1,"column":1,"text":"the value comes from here"}],"help":"use [HOST:]CONTAINER[/tcp|udp] with ports in 1..65535"}"#);
    }

    #[test]
    fn a_problem_ends_with_what_to_do() {
        let problem = Problem {
            causes: vec!["`cargo build` ended with exit code 101".to_owned(), "no C compiler".to_owned()],
            help: Some("install a C compiler".to_owned()),
            ..Problem::error("K-TEST-003", "could not build the services")
        };
        insta::assert_snapshot!(render_problem(&problem, Look::PLAIN), @r"
        K-TEST-003

          x could not build the services
          |-> `cargo build` ended with exit code 101
          `-> no C compiler
          help: install a C compiler
        ");
        let evidence = vec!["error: linker `cc` not found".to_owned()];
        insta::assert_snapshot!(render_problem(&Problem { evidence, ..problem }, Look::PLAIN), @r"
        K-TEST-003

          x could not build the services
          |-> `cargo build` ended with exit code 101
          `-> no C compiler
            | error: linker `cc` not found
          help: install a C compiler
        ");
    }
}
