//! How many requests a minute. A minute slides: of the minute before, as much counts as a window of 60 seconds still
//! sees of it.

use jiff::Timestamp;

const MINUTE: i64 = 60;

/// A moment as the window sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The number of the minute since 1970.
    pub minute: i64,
    /// How many of its seconds are over.
    pub second: i64,
}

impl Moment {
    /// The moment of this time.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let seconds = time.as_second();
        Self { minute: seconds.div_euclid(MINUTE), second: seconds.rem_euclid(MINUTE) }
    }

    /// In how many seconds a request fits that came now as the last of `now` in this minute, after `before` in the one
    /// before; `None` when it fits already.
    #[must_use]
    pub fn wait(self, limit: i64, before: i64, now: i64) -> Option<i64> {
        let fits = |waited: i64| {
            let second = self.second + waited;
            // Counted in sixtieths of a request.
            let seen = match second / MINUTE {
                0 => before * (MINUTE - second) + now * MINUTE,
                // The request that waits is the only one of its minute so far.
                1 => (now - 1) * (2 * MINUTE - second) + MINUTE,
                _ => MINUTE,
            };
            seen <= limit * MINUTE
        };
        (0..=2 * MINUTE).find(|waited| fits(*waited)).filter(|waited| *waited > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(second: i64) -> Moment {
        Moment { minute: 7, second }
    }

    #[test]
    fn a_minute_takes_as_many_as_the_limit_says() {
        assert_eq!(at(30).wait(100, 0, 100), None);
        assert_eq!(at(30).wait(100, 0, 101), Some(31), "until one of them is old enough");
    }

    #[test]
    fn the_minute_before_counts_as_far_as_it_is_seen() {
        assert_eq!(at(0).wait(100, 100, 1), Some(1));
        assert_eq!(at(30).wait(100, 100, 50), None);
        assert_eq!(at(30).wait(100, 100, 51), Some(1));
    }

    #[test]
    fn a_time_is_read_as_its_minute() {
        assert_eq!(Moment::of(Timestamp::from_second(7 * 60 + 59).unwrap()), at(59));
        assert_eq!(Moment::of(Timestamp::from_second(-1).unwrap()), Moment { minute: -1, second: 59 });
    }

    proptest! {
        #[test]
        fn whoever_waits_as_told_fits(limit in 1..200i64, second in 0..60i64, before in 0..200i64, now in 1..200i64) {
            let moment = at(second);
            if let Some(wait) = moment.wait(limit, before.min(limit), now.min(limit + 1)) {
                prop_assert!((1..=120).contains(&wait));
                let later = second + wait;
                let fits = match later / 60 {
                    0 => at(later).wait(limit, before.min(limit), now.min(limit + 1)),
                    1 => at(later - 60).wait(limit, now.min(limit + 1) - 1, 1),
                    _ => at(0).wait(limit, 0, 1),
                };
                prop_assert_eq!(fits, None);
            }
        }
    }
}
