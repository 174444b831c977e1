//! Who calls, how often, and whether they may.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, StatusCode, header::AUTHORIZATION};

use svc_kit::permission::covers;

use crate::{
    grants::Grants,
    rate_limit::Verdict,
    refusal::Refusal,
    routes::{Policy, Route},
    token::{Identity, TokenError},
};

use super::{Gateway, Seen};

impl Gateway {
    /// Who calls. On a public route nobody asks.
    pub(super) async fn identify(
        &self,
        route: &Route,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Identity>>, Refusal> {
        if route.policy == Policy::Public {
            return Ok(None);
        }
        let token = bearer(headers)?;
        if !self.tokens.ready() {
            return Err(Refusal::upstream_unavailable("iam", Duration::from_secs(1)));
        }
        match self.tokens.check(token).await {
            Ok(identity) => Ok(Some(identity)),
            Err(error @ TokenError::Expired) => {
                Err(Refusal::unauthenticated("token-expired", &error.to_string()))
            }
            Err(error) => Err(Refusal::unauthenticated("token-invalid", &error.to_string())),
        }
    }

    /// Counts the request against its limit.
    pub(super) fn count(
        &self,
        identity: Option<&Identity>,
        client: Option<IpAddr>,
        seen: &mut Seen<'_>,
    ) -> Result<(), Refusal> {
        // Admins have a count of their own: they must get through when the others have used up theirs.
        let (key, limit) = match (identity, client) {
            (Some(identity), _) => {
                let tenant = identity.tenant.unwrap_or(identity.user);
                match identity.is_admin() {
                    true => (format!("admin {tenant}"), self.limits.admin),
                    false => (format!("tenant {tenant}"), self.limits.tenant),
                }
            }
            (None, Some(client)) => (format!("address {}", network(client)), self.limits.anonymous),
            (None, None) => return Ok(()),
        };
        if limit == 0 {
            return Ok(());
        }
        match self.rates.take(&key, limit, self.now()) {
            Verdict::Pass { remaining } => {
                seen.rate = Some((limit, remaining));
                Ok(())
            }
            Verdict::Refuse { wait } => {
                seen.rate = Some((limit, 0));
                Err(Refusal::rate_limited(limit, wait))
            }
        }
    }

    /// Whether the caller may do this.
    pub(super) async fn authorize(&self, route: &Route, identity: Option<&Identity>) -> Result<(), Refusal> {
        let (Policy::Permission(required), Some(identity)) = (&route.policy, identity) else { return Ok(()) };
        let Some(tenant) = identity.tenant else {
            return Err(denied("The token is for no tenant. Select one first."));
        };
        let unknown = |reason: String| {
            tracing::warn!(reason, "permissions are not known");
            Refusal::upstream_unavailable("iam", Duration::from_secs(1))
        };
        let allowed = |grants: &Grants| {
            !grants.blocked && covers(grants.permissions.iter().map(String::as_str), required)
        };
        if allowed(&*self.grants.of(tenant, identity.user).await.map_err(unknown)?) {
            return Ok(());
        }
        let grants = self.grants.before_refusing(tenant, identity.user).await.map_err(unknown)?;
        if grants.blocked {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "tenant-blocked",
                "The tenant is blocked",
                "This tenant, or one above it, is blocked. Its administrator knows why.",
            ));
        }
        if allowed(&grants) {
            return Ok(());
        }
        Err(denied(&format!("This needs the permission `{required}`, which none of your roles grants.")))
    }
}

/// What one client has: an IPv4 address, or a /64 of IPv6, whose addresses are all its own to choose from.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

fn denied(detail: &str) -> Refusal {
    svc_kit::Problem::permission_denied(detail).into()
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let missing = || {
        let reason = "This needs a token: send `Authorization: Bearer …` with the access token of a login";
        Refusal::unauthenticated("unauthenticated", reason)
    };
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return Err(missing()) };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_client_cannot_choose_another_count() {
        let table = [
            ("203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ];
        for (client, expected) in table {
            assert_eq!(network(client.parse().unwrap()).to_string(), expected, "{client}");
        }
    }

    #[test]
    fn there_is_exactly_one_bearer_token() {
        let table: &[(&[&'static str], Option<&str>)] = &[
            (&[], None),
            (&["Bearer abc"], Some("abc")),
            (&["bearer  abc "], Some("abc")),
            (&["Basic abc"], None),
            (&["abc"], None),
            (&["Bearer a", "Bearer b"], None),
        ];
        for (values, token) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(bearer(&headers).ok(), *token, "{values:?}");
        }
    }
}
