//! When a name is verified, still pending, or given up. Verified and failed are final.

use std::time::Duration;

use jiff::Timestamp;

use super::hostname::Hostname;
use super::instructions::{CNAME_TARGET, Token, verification_name};

/// A name that is not set up this long after it was added has failed.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(72 * 60 * 60);

/// Where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waiting for its records.
    Pending,
    /// Its owner has proved to be its owner.
    Verified,
    /// Given up; the name is free for anyone to add again.
    Failed,
}

impl Status {
    /// The stored and logged form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Pending, Self::Verified, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// What DNS says about one name. Names in it may have any case and a final dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Targets of CNAME records at the name itself.
    pub cname: Vec<String>,
    /// Contents of TXT records at the verification name.
    pub txt: Vec<String>,
}

/// One record that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The record's full name.
    pub name: String,
    /// What was looked for there.
    pub expected: String,
    /// What was there instead; empty when there was nothing.
    pub found: Vec<String>,
}

impl Missing {
    /// One sentence for the tenant.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.found.is_empty() {
            format!("no record at {}: expected {}", self.name, self.expected)
        } else {
            format!("{} holds {}: expected {}", self.name, self.found.join(", "), self.expected)
        }
    }
}

/// What one check means for a pending name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both records are right.
    Verified,
    /// Not yet; at least one record is missing or wrong.
    Pending(Vec<Missing>),
    /// Not in time: the name has failed.
    Expired(Vec<Missing>),
}

/// Judges the records of a pending name that was added at `added` and is looked at `now`.
///
/// Records that are right win over the deadline: who comes late but right is verified.
#[must_use]
pub fn judge(
    hostname: &Hostname,
    token: &Token,
    records: &Records,
    added: Timestamp,
    now: Timestamp,
) -> Verdict {
    let mut missing = Vec::new();
    if !records.cname.iter().any(|target| same_name(target, CNAME_TARGET)) {
        missing.push(Missing {
            name: hostname.to_string(),
            expected: format!("CNAME {CNAME_TARGET}"),
            found: records.cname.iter().map(|target| format!("CNAME {target}")).collect(),
        });
    }
    let expected = token.record_value();
    if !records.txt.contains(&expected) {
        missing.push(Missing {
            name: verification_name(hostname),
            expected: format!("TXT \"{expected}\""),
            found: records.txt.iter().map(|text| format!("TXT \"{text}\"")).collect(),
        });
    }
    if missing.is_empty() {
        Verdict::Verified
    } else if is_expired(added, now) {
        Verdict::Expired(missing)
    } else {
        Verdict::Pending(missing)
    }
}

/// Whether a name that was added at `added` has had its time. A clock that runs backwards expires nothing.
#[must_use]
pub fn is_expired(added: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(added)).is_ok_and(|age| age >= GIVE_UP_AFTER)
}

fn same_name(left: &str, right: &str) -> bool {
    left.trim_end_matches('.').eq_ignore_ascii_case(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cname: &[&str], txt: &[&str], hours: i64) -> Verdict {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let records = Records { cname: owned(cname), txt: owned(txt) };
        let hostname = Hostname::parse("shop.example.com").expect("a valid name");
        let added = Timestamp::UNIX_EPOCH;
        let now = Timestamp::from_second(hours * 3600).expect("in range");
        judge(&hostname, &Token::from_stored("t"), &records, added, now)
    }

    #[test]
    fn both_records_verify_in_any_spelling_and_among_others() {
        assert_eq!(check(&["Custom.Platform.IO."], &["v=spf1 -all", "verify-t"], 0), Verdict::Verified);
    }

    #[test]
    fn one_record_alone_does_not_verify_and_the_other_is_named() {
        let Verdict::Pending(missing) = check(&["custom.platform.io"], &["verify-T"], 1) else {
            panic!("expected pending");
        };
        assert_eq!(missing.len(), 1);
        assert_eq!(
            missing[0].sentence(),
            "_platform-verify.shop.example.com holds TXT \"verify-T\": expected TXT \"verify-t\""
        );
        let Verdict::Pending(missing) = check(&[], &["verify-t"], 1) else { panic!("expected pending") };
        assert_eq!(missing[0].sentence(), "no record at shop.example.com: expected CNAME custom.platform.io");
    }

    #[test]
    fn the_deadline_is_72_hours_and_right_records_win_over_it() {
        assert!(matches!(check(&[], &[], 71), Verdict::Pending(_)));
        assert!(matches!(check(&[], &[], 72), Verdict::Expired(_)));
        assert!(matches!(check(&[], &[], -5), Verdict::Pending(_)));
        assert_eq!(check(&["custom.platform.io"], &["verify-t"], 100), Verdict::Verified);
    }

    #[test]
    fn a_status_survives_being_stored() {
        for status in [Status::Pending, Status::Verified, Status::Failed] {
            assert_eq!(Status::from_stored(status.as_str()), Some(status));
        }
        assert_eq!(Status::from_stored("lost"), None);
    }
}
