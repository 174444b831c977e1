//! Whether two sandboxes are separated: what is one's is tried at the other, in both directions, and every row of the
//! matrix says what was tried and what came. A row counts as closed only when the same door was seen to open for whom it
//! is meant: a service that is down proves nothing.

mod machine;
mod wire;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_core::secret::Secret;
use serde::Serialize;

use super::TenantName;
use crate::codes;
use crate::failure::{Failure, problem};

/// What one sandbox has.
#[derive(Clone, Debug)]
pub struct Side {
    /// Whose it is.
    pub tenant: TenantName,
    /// Where its gateway answers.
    pub gateway: String,
    /// Where each of its services answers, the gateway among them.
    pub services: BTreeMap<String, String>,
    /// What its services know each other by.
    pub internal_token: Secret,
    /// All values that were made for it, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Addresses and passwords of its users, the Owner first.
    pub users: Vec<(String, Secret)>,
    /// Paths of things that belong to it, such as `/v1/wallets/<id>`.
    pub things: Vec<String>,
    /// All its files.
    pub folder: PathBuf,
    /// Files in it that hold secrets.
    pub secret_files: Vec<PathBuf>,
    /// Its ports.
    pub ports: Range<u16>,
    /// Its processes.
    pub processes: Vec<u32>,
}

/// What came of trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was refused, or nothing was found.
    Closed,
    /// It got through.
    Leak,
    /// It can't be told: what should open does not.
    Unproved,
    /// Both have it in common, as everything on this engine has.
    Shared,
}

/// One row of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// From whose side it was tried.
    pub from: TenantName,
    /// At whose it was tried.
    pub to: TenantName,
    /// What, one word.
    pub what: &'static str,
    /// What was tried, for people.
    pub tried: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What was seen, when it is not closed.
    pub seen: Option<String>,
}

/// The whole matrix.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// `kernel.sandbox-verify/v1`.
    pub schema: &'static str,
    /// Whether nothing got through and everything was proved.
    pub separated: bool,
    /// Every row.
    pub rows: Vec<Row>,
}

/// Why a row is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Open {
    Leak(String),
    Unproved(String),
    Shared(String),
}

type Outcome = Result<(), Open>;

/// Tries everything in both directions.
pub async fn verify(one: &Side, other: &Side) -> Matrix {
    let wire = wire::Wire::enter(one, other).await;
    let mut rows = Vec::new();
    for (from, to, back) in [(one, other, false), (other, one, true)] {
        let mut row = |what, tried, outcome: Outcome| rows.push(Row::of(from, to, what, tried, outcome));
        for (what, tried, outcome) in wire.rows(from, to, back).await {
            row(what, tried, outcome);
        }
        for (what, tried, outcome) in machine::rows(from, to) {
            row(what, tried, outcome);
        }
    }
    let fine = |row: &Row| matches!(row.verdict, Verdict::Closed | Verdict::Shared);
    Matrix { schema: "kernel.sandbox-verify/v1", separated: rows.iter().all(fine), rows }
}

impl Row {
    fn of(from: &Side, to: &Side, what: &'static str, tried: &'static str, outcome: Outcome) -> Self {
        let (verdict, seen) = match outcome {
            Ok(()) => (Verdict::Closed, None),
            Err(Open::Leak(seen)) => (Verdict::Leak, Some(seen)),
            Err(Open::Unproved(seen)) => (Verdict::Unproved, Some(seen)),
            Err(Open::Shared(seen)) => (Verdict::Shared, Some(seen)),
        };
        Self { from: from.tenant.clone(), to: to.tenant.clone(), what, tried, verdict, seen }
    }
}

impl Matrix {
    /// Why the command fails, when it does.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let told = |verdict: Verdict, message: &str, help: &str| {
            let rows = self.rows.iter().filter(|row| row.verdict == verdict);
            let evidence: Vec<String> = rows
                .map(|row| {
                    let seen = row.seen.as_deref().unwrap_or_default();
                    format!("{} → {}, {}: {seen}", row.from, row.to, row.what)
                })
                .collect();
            let problem = problem(codes::SANDBOX_LEAK, message, help);
            (!evidence.is_empty()).then_some(Problem { evidence, ..problem })
        };
        let leak = told(
            Verdict::Leak,
            "the sandboxes are not separated",
            "destroy both and create them anew; when it is found again, it is a fault of the platform",
        );
        let unproved = told(
            Verdict::Unproved,
            "not everything could be tried, so nothing is proved",
            "wake both: `kernel sandbox wake TENANT`; `kernel sandbox status TENANT` shows what is not ready",
        );
        let problems: Vec<Problem> = leak.into_iter().chain(unproved).collect();
        (!problems.is_empty()).then(|| Failure::several(ExitCode::CheckFailed, problems))
    }
}

/// For the tests of the rows.
#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn side(tenant: &str) -> Side {
        Side {
            tenant: TenantName::new(tenant).unwrap(),
            gateway: String::new(),
            services: BTreeMap::new(),
            internal_token: Secret::new(format!("token of {tenant}")),
            secrets: BTreeMap::from([(
                "INTERNAL_TOKEN".to_owned(),
                Secret::new(format!("token of {tenant}")),
            )]),
            users: vec![(format!("admin@{tenant}.example"), Secret::new(format!("password of {tenant}")))],
            things: vec![format!("/v1/wallets/{tenant}")],
            folder: PathBuf::from(format!("/nowhere/{tenant}")),
            secret_files: Vec::new(),
            ports: 0..0,
            processes: Vec::new(),
        }
    }

    #[test]
    fn a_leak_and_what_is_not_proved_fail_and_what_is_shared_does_not() {
        let (one, other) = (side("acme"), side("rival"));
        let matrix = |outcome: Outcome| {
            let rows =
                vec![Row::of(&one, &other, "token", "t", outcome), Row::of(&one, &other, "x", "t", Ok(()))];
            Matrix { schema: "", separated: false, rows }
        };
        assert!(matrix(Ok(())).failure().is_none());
        assert!(matrix(Err(Open::Shared("the loopback network".to_owned()))).failure().is_none());
        let failure = matrix(Err(Open::Leak("200".to_owned()))).failure().unwrap();
        assert_eq!((failure.exit, failure.problems.len()), (ExitCode::CheckFailed, 1));
        assert_eq!(failure.problems[0].evidence, ["acme → rival, token: 200"]);
        assert!(matrix(Err(Open::Unproved("503".to_owned()))).failure().is_some());
    }
}
