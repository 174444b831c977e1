//! How often something may be guessed, or a letter asked for. Counted in the cache, so that all instances count together.
//!
//! What is counted is counted before the answer is looked for: guesses at the same time count too. What was no guess
//! after all is given back. Tokens of 256 random bits are not here: nobody guesses one.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use svc_kit::RequestContext;
use svc_stores::cache::{Cache, CacheKey};

use crate::domain::IamError;

/// So many within a time, from the first one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its name among the keys of the cache.
    pub name: &'static str,
    /// What is counted, for people.
    pub what: &'static str,
    /// So many are let through.
    pub most: i64,
    /// Within so long.
    pub within: Duration,
}

const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(3600);

/// Wrong passwords for one address from one client. Nobody else is kept out of the account by it.
pub const LOGINS_OF_PAIR: Limit =
    Limit { name: "logins-of-pair", what: "failed logins", most: 10, within: QUARTER };
/// Wrong passwords for one address, from everywhere.
pub const LOGINS_OF_ADDRESS: Limit =
    Limit { name: "logins-of-address", what: "failed logins", most: 100, within: QUARTER };
/// Wrong passwords from one client, for any address.
pub const LOGINS_OF_CLIENT: Limit =
    Limit { name: "logins-of-client", what: "failed logins", most: 100, within: QUARTER };
/// Wrong codes of one user, who gave the right password before or is signed in.
pub const CODES_OF_USER: Limit =
    Limit { name: "codes-of-user", what: "wrong codes", most: 5, within: QUARTER };
/// Registrations of one client for addresses that have an account.
pub const TAKEN_OF_CLIENT: Limit =
    Limit { name: "taken-of-client", what: "addresses that are taken", most: 100, within: HOUR };
/// New users of one tenant whose addresses have an account.
pub const TAKEN_OF_TENANT: Limit =
    Limit { name: "taken-of-tenant", what: "addresses that are taken", most: 100, within: HOUR };
/// Verification links of one user.
pub const VERIFICATIONS_OF_USER: Limit =
    Limit { name: "verifications-of-user", what: "verification links", most: 3, within: HOUR };
/// Reset links for one address, whether it has an account or not.
pub const RESETS_OF_ADDRESS: Limit =
    Limit { name: "resets-of-address", what: "reset links", most: 3, within: HOUR };
/// Reset links that one client asks for.
pub const RESETS_OF_CLIENT: Limit =
    Limit { name: "resets-of-client", what: "reset links", most: 30, within: HOUR };
/// Invitations of one tenant to one address.
pub const INVITATIONS_OF_ADDRESS: Limit =
    Limit { name: "invitations-of-address", what: "invitations of this address", most: 3, within: HOUR };
/// Invitations of one tenant.
pub const INVITATIONS_OF_TENANT: Limit =
    Limit { name: "invitations-of-tenant", what: "invitations", most: 100, within: HOUR };

/// Counts. Cheap to clone.
#[derive(Clone)]
pub struct Limits {
    cache: Arc<dyn Cache>,
}

impl Limits {
    /// Counters in this cache.
    pub fn new(cache: Arc<dyn Cache>) -> Limits {
        Limits { cache }
    }

    /// Counts one more of `whom`.
    ///
    /// # Errors
    ///
    /// When there were too many. Nobody is kept out because the cache is away.
    pub async fn spend(&self, limit: &Limit, whom: &[&str]) -> Result<(), IamError> {
        match self.cache.increment(&key(limit, whom), 1, limit.within).await {
            Ok(count) if count > limit.most => {
                Err(IamError::TooMany { what: limit.what, minutes: limit.within.as_secs() / 60 })
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, limit = limit.name, "guesses cannot be counted");
                Ok(())
            }
        }
    }

    /// Takes one back: it was no guess.
    pub async fn give_back(&self, limit: &Limit, whom: &[&str]) {
        // A cache that is away forgets by itself.
        let _ = self.cache.increment(&key(limit, whom), -1, limit.within).await;
    }

    /// Begins anew.
    pub async fn forget(&self, limit: &Limit, whom: &[&str]) {
        let _ = self.cache.delete(&key(limit, whom)).await;
    }
}

fn key(limit: &Limit, whom: &[&str]) -> CacheKey {
    CacheKey::platform(&[&["iam", limit.name][..], whom].concat())
}

/// What one client has: an IPv4 address, or a /64 of IPv6, whose addresses are all its own to choose from.
pub fn client(context: &RequestContext) -> Option<String> {
    let address = context.client_address.as_deref()?;
    Some(match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string(),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => address.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use svc_stores::cache;

    use super::*;

    #[tokio::test]
    async fn every_limit_lets_so_many_through_for_each() {
        let limits = Limits::new(cache::connect("memory://").unwrap());
        for limit in [
            LOGINS_OF_PAIR,
            LOGINS_OF_ADDRESS,
            LOGINS_OF_CLIENT,
            CODES_OF_USER,
            TAKEN_OF_CLIENT,
            TAKEN_OF_TENANT,
            VERIFICATIONS_OF_USER,
            RESETS_OF_ADDRESS,
            RESETS_OF_CLIENT,
            INVITATIONS_OF_ADDRESS,
            INVITATIONS_OF_TENANT,
        ] {
            for _ in 0..limit.most {
                limits.spend(&limit, &["ada"]).await.unwrap();
            }
            let refused = limits.spend(&limit, &["ada"]).await.unwrap_err();
            assert!(matches!(refused, IamError::TooMany { .. }), "{refused:?}");
            limits.spend(&limit, &["bob"]).await.expect("somebody else");
            limits.give_back(&limit, &["ada"]).await;
            assert!(limits.spend(&limit, &["ada"]).await.is_err(), "{}", limit.name);
            for _ in 0..2 {
                limits.give_back(&limit, &["ada"]).await;
            }
            limits.spend(&limit, &["ada"]).await.unwrap();
            limits.forget(&limit, &["ada"]).await;
            limits.spend(&limit, &["ada"]).await.unwrap();
        }
    }

    #[test]
    fn a_client_cannot_choose_another_count() {
        for (address, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("unknown", "unknown"),
        ] {
            let mut context = RequestContext::default();
            context.client_address = Some(address.to_owned());
            assert_eq!(client(&context).as_deref(), Some(expected), "{address}");
        }
        assert_eq!(client(&RequestContext::default()), None);
    }
}
