//! `doctor`: whether this machine has what the platform needs, all checks at the same time, each with what to do.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::unit::{Observed, UnitState};
use kernel_engine::Events;
use serde::Serialize;
use tokio::process::Command;

use crate::codes;
use crate::converge::wanted;
use crate::failure::Failure;
use crate::host::Host;
use crate::load::Platform;
use crate::versions;
use crate::workspace::Workspace;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Free space below which nothing can be built any more, and below which it gets tight, in bytes.
const DISK_FAIL: u64 = 500 << 20;
const DISK_WARN: u64 = 5 << 30;

/// Open files that twelve services and their supervisor need.
const FILES_WANTED: u64 = 1024;

/// Watches that editors and tools beside us usually need.
const WATCHES_WANTED: u64 = 8192;

/// What all checks found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// `kernel.doctor/v1`.
    pub schema: &'static str,
    /// The findings, in a fixed order.
    pub findings: Vec<Finding>,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of what.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub message: String,
    /// What to do.
    pub fix: Option<String>,
    /// The details, one line each.
    pub evidence: Vec<String>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Works, but.
    Warn,
    /// Stands in the way.
    Fail,
}

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    verdict: Verdict,
    message: String,
    fix: Option<String>,
    evidence: Vec<String>,
}

impl Seen {
    /// As it should be.
    #[must_use]
    pub fn pass(message: impl Into<String>) -> Self {
        Self { verdict: Verdict::Pass, message: message.into(), fix: None, evidence: Vec::new() }
    }

    /// Works, but; with what to do.
    #[must_use]
    pub fn warn(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, fix: Some(fix.into()), ..Self::pass(message) }
    }

    /// Stands in the way; with what to do.
    #[must_use]
    pub fn fail(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(message, fix) }
    }
}

/// A look at something that this crate can't see by itself.
pub type Look<'a> = Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

/// Runs every check. `platform` is missing when its files can't be read: then `unreadable` says why, and what depends
/// on it is left out. `docker` looks whether an Engine answers.
pub async fn doctor(
    workspace: &Workspace,
    platform: Result<(&Platform, &dyn Host), &Failure>,
    docker: Look<'_>,
) -> Diagnosis {
    let mut checks: Vec<Pin<Box<dyn Future<Output = Finding> + Send + '_>>> = vec![
        Box::pin(timed("toolchain", toolchain(workspace))),
        Box::pin(timed("C compiler", c_compiler())),
        Box::pin(timed("docker", docker)),
        Box::pin(timed("disk", async { disk(workspace.root()) })),
        Box::pin(timed("open files", async { open_files() })),
        Box::pin(timed("file watches", async { watches() })),
        Box::pin(timed("pins", async { pins(workspace) })),
    ];
    match platform {
        Ok((platform, host)) => {
            let services = platform.project.services.len();
            let message = format!("`{}` with {services} services", platform.name);
            checks.push(Box::pin(timed("project", async { Seen::pass(message) })));
            checks.push(Box::pin(timed("ports", ports(platform, host))));
            checks.push(Box::pin(timed("leftovers", leftovers(host))));
        }
        Err(failure) => {
            let count = failure.diagnostics.len() + failure.problems.len();
            let message = format!("its files have {count} problem{}", if count == 1 { "" } else { "s" });
            let seen = Seen::fail(message, "`kernel config` shows them");
            checks.push(Box::pin(timed("project", async { seen })));
        }
    }
    Diagnosis { schema: "kernel.doctor/v1", findings: join_all(checks).await }
}

impl Diagnosis {
    /// Why the command fails, when something stands in the way.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        let failed = self.findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
        let problems: Vec<Problem> = failed
            .map(|finding| Problem {
                help: finding.fix.clone(),
                evidence: finding.evidence.clone(),
                ..Problem::error(codes::DOCTOR.0, format!("{}: {}", finding.check, finding.message))
            })
            .collect();
        (!problems.is_empty()).then(|| Failure::several(ExitCode::Prerequisite, problems))
    }
}

async fn timed(check: &'static str, look: impl Future<Output = Seen>) -> Finding {
    let begun = Instant::now();
    let late = || {
        Seen::warn(format!("no answer within {} s", LIMIT.as_secs()), "try again when the machine is idle")
    };
    let Seen { verdict, message, fix, evidence } =
        tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| late());
    let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Finding { check, verdict, message, fix, evidence, elapsed_ms }
}

/// The first line that a program says about its version.
async fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").kill_on_drop(true).output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

async fn toolchain(workspace: &Workspace) -> Seen {
    let (cargo, rustc) = (version_of("cargo").await, version_of("rustc").await);
    let (Some(_), Some(rustc)) = (cargo, rustc) else {
        return Seen::fail(
            "no cargo and rustc on the search path",
            "install them with rustup: https://rustup.rs",
        );
    };
    let pins = std::fs::read_to_string(workspace.pins_file()).unwrap_or_default();
    match pins.lines().find_map(|line| line.strip_prefix("RUST_VERSION=")).map(str::trim) {
        Some(wanted) if !rustc.contains(wanted) => {
            let message = format!("{rustc}; versions.env pins {wanted}");
            Seen::warn(message, format!("`rustup toolchain install {wanted}`"))
        }
        _ => Seen::pass(rustc),
    }
}

async fn c_compiler() -> Seen {
    for program in ["cc", "gcc", "clang"] {
        if let Some(version) = version_of(program).await {
            return Seen::pass(version);
        }
    }
    let fix = "install one: `apt install build-essential`, `dnf install gcc` or `xcode-select --install`";
    Seen::fail("no C compiler: the embedded database is written in C", fix)
}

fn disk(root: &Path) -> Seen {
    match rustix::fs::statvfs(root) {
        Ok(found) => judge_disk(found.f_bavail.saturating_mul(found.f_frsize)),
        Err(error) => Seen::warn(format!("could not be asked: {error}"), "check the file system"),
    }
}

fn judge_disk(free: u64) -> Seen {
    let (gib, mib) = (free / (1 << 30), free / (1 << 20));
    let message = if gib > 0 { format!("{gib} GiB free") } else { format!("{mib} MiB free") };
    let fix = "make room; `cargo clean` gives back what was built";
    match free {
        0..DISK_FAIL => Seen::fail(message, fix),
        DISK_FAIL..DISK_WARN => Seen::warn(message, fix),
        _ => Seen::pass(message),
    }
}

fn open_files() -> Seen {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if limit < FILES_WANTED => {
            let fix = format!("`ulimit -n {FILES_WANTED}` in the shell that starts the platform");
            Seen::warn(format!("at most {limit} per process"), fix)
        }
        Some(limit) => Seen::pass(format!("at most {limit} per process")),
        None => Seen::pass("no limit"),
    }
}

fn watches() -> Seen {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches");
    match limit.ok().and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(limit) if limit < WATCHES_WANTED => {
            let fix = format!("`sysctl fs.inotify.max_user_watches={WATCHES_WANTED}`");
            Seen::warn(format!("at most {limit} by inotify"), fix)
        }
        Some(limit) => Seen::pass(format!("at most {limit} by inotify")),
        None => Seen::pass("this system has no inotify"),
    }
}

fn pins(workspace: &Workspace) -> Seen {
    let fix = "`kernel versions check` shows them";
    match versions::versions(workspace) {
        Ok(found) if found.failure().is_none() => {
            Seen::pass(format!("{} pins, no version is stated by itself", found.pins.len()))
        }
        Ok(found) => Seen::fail(format!("{} problems with pinned versions", found.diagnostics.len()), fix),
        Err(failure) => {
            let message = failure.problems.first().map(|problem| problem.message.clone());
            Seen::fail(message.unwrap_or_default(), fix)
        }
    }
}

/// The ports that a start of everything would need, except those that the platform itself holds.
async fn ports(platform: &Platform, host: &dyn Host) -> Seen {
    let (silent, _) = Events::channel();
    let desired = match wanted(platform, host, &silent) {
        Ok(desired) => desired,
        Err(failure) => {
            let problems = failure.problems.iter().map(|problem| problem.message.clone());
            let diagnostics = failure.diagnostics.iter().map(|diagnostic| diagnostic.message.clone());
            let evidence = problems.chain(diagnostics).collect();
            let message = "what would listen is not known: the project can't run here";
            return Seen { evidence, ..Seen::fail(message, "`kernel up --dry-run` shows why") };
        }
    };
    let Ok(plan) = plan(&desired, &Observed::default(), &PlanOptions::default()) else {
        return Seen::fail("the services have no order", "`kernel up --dry-run` shows why");
    };
    match host.engine().prepare(&plan).await {
        Ok(()) => Seen::pass(format!("{} are free or ours", plan.ports().count())),
        Err(error) => Seen {
            evidence: error.evidence,
            ..Seen::fail(error.message, error.help.unwrap_or_else(|| "end who holds them".to_owned()))
        },
    }
}

async fn leftovers(host: &dyn Host) -> Seen {
    let fix = "`kernel up` takes them over, `kernel down` ends them";
    match host.engine().observe().await {
        Ok(observed) => {
            let left = observed.items.iter().filter(|item| item.state == UnitState::Leftover);
            let left: Vec<&str> = left.map(|item| item.name.as_str()).collect();
            if left.is_empty() {
                Seen::pass("none")
            } else {
                Seen::warn(format!("{} run without a supervisor", left.join(", ")), fix)
            }
        }
        Err(error) => Seen::warn(error.message, error.help.unwrap_or_else(|| fix.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_told_before_it_is_none() {
        assert_eq!(judge_disk(100 << 20).verdict, Verdict::Fail);
        assert_eq!(judge_disk(1 << 30).verdict, Verdict::Warn);
        assert_eq!(judge_disk(50 << 30), Seen::pass("50 GiB free"));
    }

    #[tokio::test]
    async fn a_failed_check_ends_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("versions.env"), "RUST_VERSION=0.1.2\n").unwrap();
        let workspace = Workspace::find(folder.path()).unwrap();
        let failure = Failure::several(ExitCode::Usage, vec![Problem::error("K-TEST-001", "no file")]);
        let docker = Box::pin(async { Seen::pass("there") });
        let diagnosis = doctor(&workspace, Err(&failure), docker).await;
        let find = |name: &str| diagnosis.findings.iter().find(|finding| finding.check == name).unwrap();
        assert_eq!(find("project").verdict, Verdict::Fail);
        assert_eq!(find("docker").message, "there");
        assert_ne!(find("toolchain").verdict, Verdict::Pass);
        let failure = diagnosis.failure().unwrap();
        assert_eq!(failure.exit, ExitCode::Prerequisite);
        let project = failure.problems.iter().find(|problem| problem.message.starts_with("project"));
        assert_eq!(project.unwrap().help.as_deref(), Some("`kernel config` shows them"));
    }
}
