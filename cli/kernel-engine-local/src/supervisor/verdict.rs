//! What happens after a process ended by itself: again after a pause, never again, or given up. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use kernel_core::unit::{ExitStatus, RestartPolicy};

/// So many ends within [`WINDOW`] are a crash loop.
pub(crate) const LIMIT: usize = 5;
/// How far back ends count.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// The first pause; each following one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A process that says this has a configuration that it will not take: trying again can't help.
const BAD_CONFIGURATION: ExitStatus = ExitStatus::Code(64);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again after a pause.
    Again {
        /// How long.
        pause: Duration,
    },
    /// It stays down, and that is in order.
    Stay,
    /// It is given up.
    GiveUp {
        /// Why, a few words.
        because: &'static str,
    },
}

/// The ends of one unit since somebody started it.
#[derive(Debug)]
pub(crate) struct Crashes {
    policy: RestartPolicy,
    /// When it ended, since it was first started.
    ends: VecDeque<Duration>,
    restarts: u32,
}

impl Crashes {
    /// None yet.
    pub(crate) const fn new(policy: RestartPolicy) -> Self {
        Self { policy, ends: VecDeque::new(), restarts: 0 }
    }

    /// It ended with `status`, `at` so long after it was first started.
    pub(crate) fn judge(&mut self, status: ExitStatus, at: Duration) -> Verdict {
        let again = match self.policy {
            RestartPolicy::No => false,
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure(limit) => {
                !status.is_success() && limit.is_none_or(|limit| self.restarts < limit)
            }
        };
        if !again {
            return Verdict::Stay;
        }
        if status == BAD_CONFIGURATION {
            return Verdict::GiveUp { because: "it refused its configuration" };
        }
        while self.ends.front().is_some_and(|end| at.saturating_sub(*end) > WINDOW) {
            self.ends.pop_front();
        }
        self.ends.push_back(at);
        if self.ends.len() >= LIMIT {
            return Verdict::GiveUp { because: "it ended five times within a minute" };
        }
        self.restarts += 1;
        let doublings = u32::try_from(self.ends.len() - 1).unwrap_or(u32::MAX);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PAUSE);
        Verdict::Again { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: ExitStatus = ExitStatus::Code(1);

    fn verdicts(policy: RestartPolicy, ends: &[(ExitStatus, u64)]) -> Vec<Verdict> {
        let mut crashes = Crashes::new(policy);
        ends.iter().map(|(status, second)| crashes.judge(*status, Duration::from_secs(*second))).collect()
    }

    fn again(milliseconds: u64) -> Verdict {
        Verdict::Again { pause: Duration::from_millis(milliseconds) }
    }

    #[test]
    fn pauses_double_until_it_is_given_up() {
        let verdicts = verdicts(RestartPolicy::Always, &[(FAILED, 0); 5]);
        assert_eq!(verdicts[..4], [again(100), again(200), again(400), again(800)]);
        assert!(matches!(verdicts[4], Verdict::GiveUp { .. }));
    }

    #[test]
    fn an_old_end_is_forgotten() {
        let ends: Vec<(ExitStatus, u64)> = (0..20).map(|n| (FAILED, n * 61)).collect();
        assert!(verdicts(RestartPolicy::Always, &ends).iter().all(|verdict| *verdict == again(100)));
    }

    #[test]
    fn the_policy_decides() {
        assert_eq!(verdicts(RestartPolicy::No, &[(FAILED, 0)]), [Verdict::Stay]);
        assert_eq!(verdicts(RestartPolicy::OnFailure(None), &[(ExitStatus::Code(0), 0)]), [Verdict::Stay]);
        let limited = verdicts(RestartPolicy::OnFailure(Some(1)), &[(FAILED, 0), (FAILED, 1)]);
        assert_eq!(limited, [again(100), Verdict::Stay]);
        assert_eq!(verdicts(RestartPolicy::Always, &[(ExitStatus::Code(0), 0)]), [again(100)]);
    }

    #[test]
    fn a_refused_configuration_is_given_up_at_once() {
        let verdicts = verdicts(RestartPolicy::Always, &[(ExitStatus::Code(64), 0)]);
        assert_eq!(verdicts, [Verdict::GiveUp { because: "it refused its configuration" }]);
    }
}
