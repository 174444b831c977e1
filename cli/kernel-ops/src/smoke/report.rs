//! What came of all checks together.

use kernel_core::event::{CheckResult, Problem, Verdict};
use kernel_core::exit::ExitCode;
use serde::Serialize;

use crate::codes;
use crate::failure::{Failure, problem};

/// How many of a service's last lines are shown to people.
const LAST_LINES: usize = 8;

/// What came of all checks.
#[derive(Clone, Debug, Serialize)]
pub struct SmokeReport {
    /// `kernel.smoke/v1`.
    pub schema: &'static str,
    /// Where scenarios went.
    pub gateway: String,
    /// Whether every check passed.
    pub passed: bool,
    /// Somebody interrupted: not all checks were decided.
    pub interrupted: bool,
    /// Every check that was decided.
    pub checks: Vec<CheckResult>,
}

impl SmokeReport {
    /// The services with a failed check.
    #[must_use]
    pub fn failed_services(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|check| check.verdict == Verdict::Failed);
        let mut names: Vec<String> = failed.map(|check| check.service.to_string()).collect();
        names.dedup();
        names
    }

    /// Why the command fails, when it does: one problem for each service with failed checks.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let mut problems: Vec<Problem> =
            self.failed_services().iter().map(|service| self.told(service)).collect();
        if self.interrupted {
            let message = "interrupted: not every check was decided";
            let help = "`kernel smoke` checks again from the start";
            problems.push(problem(codes::INTERRUPTED, message, help));
            return Some(Failure::several(ExitCode::Interrupted, problems));
        }
        (!problems.is_empty()).then(|| Failure::several(ExitCode::CheckFailed, problems))
    }

    /// What was expected and what came, check by check, and what the service said last.
    fn told(&self, service: &str) -> Problem {
        let checks: Vec<&CheckResult> =
            self.checks.iter().filter(|check| check.service.as_str() == service).collect();
        let failed: Vec<&&CheckResult> =
            checks.iter().filter(|check| check.verdict == Verdict::Failed).collect();
        let mut evidence: Vec<String> = failed
            .iter()
            .map(|check| {
                let expected = check.expected.as_deref().unwrap_or("something else");
                let actual = check.actual.as_deref().unwrap_or("nothing");
                format!("{}: expected {expected}, got {actual}", check.check)
            })
            .collect();
        let last_lines = failed.first().map(|check| check.last_lines.as_slice()).unwrap_or_default();
        if !last_lines.is_empty() {
            evidence.push("it said last:".to_owned());
            evidence.extend_from_slice(&last_lines[last_lines.len().saturating_sub(LAST_LINES)..]);
        }
        let message = format!("{service}: {} of {} checks failed", failed.len(), checks.len());
        let help = format!("`kernel logs {service}` shows more");
        Problem { evidence, ..problem(codes::CHECK_FAILED, message, help) }
    }
}

#[cfg(test)]
mod tests {
    use kernel_core::name::ServiceName;

    use super::*;

    #[test]
    fn a_failed_check_is_told_with_what_was_expected_what_came_and_what_the_service_said() {
        let check = CheckResult {
            service: ServiceName::new("iam").unwrap(),
            check: "ready".to_owned(),
            verdict: Verdict::Failed,
            elapsed_ms: 10,
            attempts: 2,
            expected: Some("GET /health/ready answers 200".to_owned()),
            actual: Some("503 starting".to_owned()),
            last_lines: vec!["no database".to_owned()],
        };
        let report = SmokeReport {
            schema: "kernel.smoke/v1",
            gateway: String::new(),
            passed: false,
            interrupted: false,
            checks: vec![check],
        };
        let failure = report.failure().unwrap();
        assert_eq!(failure.exit, ExitCode::CheckFailed);
        assert_eq!(failure.problems[0].message, "iam: 1 of 1 checks failed");
        assert_eq!(
            failure.problems[0].evidence,
            [
                "ready: expected GET /health/ready answers 200, got 503 starting",
                "it said last:",
                "no database"
            ]
        );
        assert_eq!(report.failed_services(), ["iam"]);
    }
}
