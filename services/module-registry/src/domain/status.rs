//! Where a module stands.

use std::fmt;

/// pending → installing → active | failed; failed → pending; active and failed → disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Registered, not begun.
    Pending,
    /// Being installed.
    Installing,
    /// Runs.
    Active,
    /// Could not be installed.
    Failed,
    /// Stopped; its data is kept.
    Disabled,
}

impl Status {
    const ALL: [Self; 5] = [Self::Pending, Self::Installing, Self::Active, Self::Failed, Self::Disabled];

    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Installing => "installing",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Disabled => "disabled",
        }
    }

    /// Reads what [`Status::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a module may go from here to `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Installing)
                | (Self::Installing, Self::Active | Self::Failed)
                | (Self::Failed, Self::Pending)
                | (Self::Active | Self::Failed, Self::Disabled)
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn these_ways_and_no_others() {
        let ways: Vec<_> = Status::ALL
            .iter()
            .flat_map(|from| Status::ALL.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| from.may_become(*to))
            .map(|(from, to)| format!("{from} → {to}"))
            .collect();
        assert_eq!(
            ways,
            [
                "pending → installing",
                "installing → active",
                "installing → failed",
                "active → disabled",
                "failed → pending",
                "failed → disabled",
            ]
        );
    }
}
