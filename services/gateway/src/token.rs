//! Access tokens: ES256 JWTs of iam.
//!
//! Owns checking one against a key set. Where the keys come from is [`keys`](crate::keys)' concern.

mod cache;

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind, jwk::JwkSet,
};
use serde::Deserialize;
use uuid::Uuid;

pub use cache::TokenCache;

/// Longer tokens are refused unread.
pub const TOKEN_LIMIT: usize = 8 * 1024;
/// How far the clocks of iam and the gateway may differ, in seconds.
pub const CLOCK_SKEW: u64 = 10;

/// Who calls, as the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: Uuid,
    /// The tenant; a token may be for none.
    pub tenant: Option<Uuid>,
    /// The names of the roles, without those that a header cannot carry.
    pub roles: Vec<String>,
    /// When the token ends, in seconds since 1970.
    pub expires_at: u64,
}

impl Identity {
    /// Whether the roles include one that administers the tenant.
    pub fn is_admin(&self) -> bool {
        self.roles
            .iter()
            .any(|role| ["Admin", "Owner", "Platform Owner", "PlatformOwner"].contains(&role.as_str()))
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The key that signed it is not known, or not yet.
    #[error("The token was signed with a key that is not known")]
    UnknownKey,
    /// It has ended.
    #[error("The token has expired; use the refresh token to get a new one")]
    Expired,
    /// Anything else.
    #[error("{0}")]
    Invalid(&'static str),
}

/// What a token must say beside being signed.
#[derive(Debug, Clone)]
pub struct Rules(Validation);

impl Rules {
    /// Tokens of this issuer for this audience.
    pub fn new(issuer: &str, audience: &str) -> Rules {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = CLOCK_SKEW;
        Rules(validation)
    }
}

/// The public keys of iam, by `kid`.
#[derive(Default)]
pub struct KeySet(HashMap<String, DecodingKey>);

impl KeySet {
    /// Reads an RFC 7517 key set. Keys that cannot check ES256 are left out.
    ///
    /// # Errors
    ///
    /// When the text is no key set.
    pub fn parse(jwks: &str) -> Result<KeySet, serde_json::Error> {
        let set: JwkSet = serde_json::from_str(jwks)?;
        let usable = set.keys.iter().filter_map(|key| {
            let algorithm = key.common.key_algorithm;
            let fits = algorithm.is_none_or(|algorithm| algorithm == jsonwebtoken::jwk::KeyAlgorithm::ES256);
            let decoding = DecodingKey::from_jwk(key).ok().filter(|_| fits)?;
            Some((key.common.key_id.clone()?, decoding))
        });
        Ok(KeySet(usable.collect()))
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids, sorted.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.0.keys().map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default, rename = "tenantId")]
    tenant: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    exp: u64,
}

/// Checks a token.
///
/// # Errors
///
/// Why it is not accepted, in words for whoever sent it.
pub fn verify(token: &str, keys: &KeySet, rules: &Rules) -> Result<Identity, TokenError> {
    if token.len() > TOKEN_LIMIT {
        return Err(TokenError::Invalid("The token is longer than 8 KB"));
    }
    let header = decode_header(token).map_err(|_| TokenError::Invalid("The token is no JWT"))?;
    if header.alg != Algorithm::ES256 {
        return Err(TokenError::Invalid("The token is not signed with ES256"));
    }
    let kid = header.kid.ok_or(TokenError::Invalid("The token does not name its key"))?;
    let key = keys.0.get(&kid).ok_or(TokenError::UnknownKey)?;
    let claims = decode::<Claims>(token, key, &rules.0).map_err(|error| reason(error.kind()))?.claims;
    let user =
        claims.sub.parse().map_err(|_| TokenError::Invalid("The subject of the token is no user id"))?;
    let tenant = claims.tenant.filter(|tenant| !tenant.is_empty()).map(|tenant| tenant.parse()).transpose();
    let tenant = tenant.map_err(|_| TokenError::Invalid("The tenant of the token is no tenant id"))?;
    let roles = claims.roles.into_iter().filter(|role| fits_in_list(role)).collect();
    Ok(Identity { user, tenant, roles, expires_at: claims.exp })
}

/// Roles travel as a list with commas: a name with a comma would be two roles, and could be a role of somebody else.
fn fits_in_list(role: &str) -> bool {
    !role.is_empty() && role.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b',')
}

fn reason(kind: &ErrorKind) -> TokenError {
    TokenError::Invalid(match kind {
        ErrorKind::ExpiredSignature => return TokenError::Expired,
        ErrorKind::InvalidSignature => "The signature of the token is wrong",
        ErrorKind::InvalidIssuer => "The token is of another issuer",
        ErrorKind::InvalidAudience => "The token is for another audience",
        ErrorKind::ImmatureSignature => "The token is not valid yet",
        ErrorKind::MissingRequiredClaim(_) => "The token lacks a claim",
        _ => "The token cannot be read",
    })
}
