//! Letters: what is sent to an address, and what the link in it may do.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Email, Tenant};

/// What the link of a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Confirming an address.
    Verify,
    /// Setting a new password.
    Reset,
    /// Entering a tenant.
    Invite,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 3] = [Purpose::Verify, Purpose::Reset, Purpose::Invite];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Verify => "verify",
            Purpose::Reset => "reset",
            Purpose::Invite => "invite",
        }
    }

    /// From what was written.
    pub fn parse(text: &str) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }

    /// How long the link is good.
    pub fn lifetime(self) -> Duration {
        const HOUR: u64 = 3600;
        Duration::from_secs(match self {
            Purpose::Verify => 24 * HOUR,
            Purpose::Reset => HOUR,
            Purpose::Invite => 7 * 24 * HOUR,
        })
    }

    /// The page of the user interface that takes the token.
    fn page(self) -> &'static str {
        match self {
            Purpose::Verify => "verify-email",
            Purpose::Reset => "reset-password",
            Purpose::Invite => "accept-invitation",
        }
    }
}

/// A letter that is to be sent, or whose link is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// UUID v7; the token follows from it.
    pub id: Uuid,
    /// What for.
    pub purpose: Purpose,
    /// Where to.
    pub email: Email,
    /// Invitations: the tenant.
    pub tenant: Option<Uuid>,
    /// Invitations: the roles there.
    pub roles: Vec<Uuid>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its link ends.
    pub expires_at: Timestamp,
    /// How often sending it failed.
    pub attempts: u32,
}

/// The pause before the next attempt to send a letter: 30 s, doubled by each failure, ten minutes at most.
pub fn pause_after(attempts: u32) -> Duration {
    Duration::from_secs((30_u64 << attempts.min(10)).min(600))
}

/// Subject and text of a letter. `pages` is where the user interface is, without a slash at the end.
pub fn text(purpose: Purpose, tenant: Option<&Tenant>, pages: &str, token: &str) -> (String, String) {
    let link = format!("{pages}/{}?token={token}", purpose.page());
    let (subject, wish, otherwise) = match purpose {
        Purpose::Verify => (
            "Confirm your address".to_owned(),
            "Please confirm that this address is yours, within 24 hours:".to_owned(),
            "If you did not register, ignore this message.",
        ),
        Purpose::Reset => (
            "Set a new password".to_owned(),
            "Somebody asked to set a new password for your account. Within one hour, you can do so here:"
                .to_owned(),
            "If that was not you, ignore this message: your password stays as it is.",
        ),
        Purpose::Invite => {
            // What a tenant calls itself must not be able to write a message of its own.
            let name = tenant.map(|tenant| one_line(&tenant.name)).unwrap_or_default();
            (
                format!("You are invited to {name}"),
                format!("You are invited to {name}. Within seven days, you can accept here:"),
                "If you do not know who invites you, ignore this message.",
            )
        }
    };
    (subject, format!("{wish}\n\n{link}\n\n{otherwise}\n"))
}

fn one_line(name: &str) -> String {
    let plain = name.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{TenantStatus, Tier};
    use super::*;

    #[test]
    fn every_letter_has_its_link_and_its_time() {
        let tenant = Tenant {
            id: Uuid::from_u128(1),
            name: "Acme\r\nSubject: prize".to_owned(),
            tier: Tier::Client,
            status: TenantStatus::Active,
            parent: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        for (purpose, page, hours) in [
            (Purpose::Verify, "verify-email", 24),
            (Purpose::Reset, "reset-password", 1),
            (Purpose::Invite, "accept-invitation", 168),
        ] {
            let (subject, body) = text(purpose, Some(&tenant), "https://app.example.com", "abc.def");
            assert!(body.contains(&format!("https://app.example.com/{page}?token=abc.def\n")), "{body}");
            assert!(!subject.contains(['\r', '\n']), "{subject}");
            assert!(!body.contains("\nSubject"), "{body}");
            assert_eq!(purpose.lifetime(), Duration::from_secs(hours * 3600));
            assert_eq!(Purpose::parse(purpose.as_str()), Some(purpose));
        }
    }

    #[test]
    fn pauses_grow_and_end_growing() {
        let pauses = [0, 1, 2, 3, 4, 5, 100].map(|attempts| pause_after(attempts).as_secs());
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600]);
    }
}
