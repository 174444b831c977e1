//! Exit codes: an interface that scripts depend on. `kernel help exit-codes` prints this table.

use serde::Serialize;

/// How a command ended, as a shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or nothing to do.
    Success = 0,
    /// Failed for a reason that has no code of its own.
    Failed = 1,
    /// The command line or a file that people wrote is wrong.
    Usage = 2,
    /// `--exit-code` was given and there are changes or drift.
    Changes = 3,
    /// Login or permission is missing.
    Permission = 4,
    /// The selection names nothing that could be run.
    NothingSelected = 5,
    /// Something that must be there first is missing: Docker, a cluster, a free port, a toolchain.
    Prerequisite = 10,
    /// A unit crashed or never became ready.
    Unhealthy = 11,
    /// A deadline passed.
    Timeout = 12,
    /// Somebody else holds the lock.
    Locked = 13,
    /// The live state is no longer the one that was approved.
    Conflict = 14,
    /// A smoke check or a probe failed.
    CheckFailed = 20,
    /// A load or canary gate failed.
    GateFailed = 21,
    /// A measurement can't be stood behind.
    Invalid = 22,
    /// Rolling back failed: a person is needed.
    RollbackFailed = 23,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl ExitCode {
    /// All of them, in numerical order.
    pub const ALL: [Self; 17] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Changes,
        Self::Permission,
        Self::NothingSelected,
        Self::Prerequisite,
        Self::Unhealthy,
        Self::Timeout,
        Self::Locked,
        Self::Conflict,
        Self::CheckFailed,
        Self::GateFailed,
        Self::Invalid,
        Self::RollbackFailed,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell gets.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// One line for the table.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success (also: nothing to do)",
            Self::Failed => "failed, general",
            Self::Usage => "usage or configuration error",
            Self::Changes => "`--exit-code`: changes or drift present",
            Self::Permission => "needs login or permission",
            Self::NothingSelected => "nothing selected to run",
            Self::Prerequisite => "prerequisite missing",
            Self::Unhealthy => "unhealthy, or failed to become ready",
            Self::Timeout => "timeout: a deadline passed",
            Self::Locked => "lock held by someone else",
            Self::Conflict => "conflict: live state no longer matches the approved plan",
            Self::CheckFailed => "smoke or probe assertion failed",
            Self::GateFailed => "load or canary gate failed",
            Self::Invalid => "measurement invalid",
            Self::RollbackFailed => "rollback failed, a person is needed",
            Self::Interrupted => "interrupted (SIGINT)",
            Self::Terminated => "terminated (SIGTERM)",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_never_change() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 20, 21, 22, 23, 130, 143]);
    }
}
