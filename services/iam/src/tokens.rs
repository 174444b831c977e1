//! Tokens: signed ones that say who somebody is, and opaque ones that are looked up.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use svc_kit::{Problem, Secret};
use uuid::Uuid;

use crate::{
    domain::{IamError, Purpose, User},
    keys::KeyRing,
};

/// How long an access token is valid.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What an access token says. No permissions: they are looked up, so that a change of roles takes effect at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: Uuid,
    /// The user's address.
    pub email: String,
    /// The tenant.
    #[serde(rename = "tenantId")]
    pub tenant_id: Uuid,
    /// The names of the roles in that tenant.
    pub roles: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// Who made it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// Who acts in the user's name (RFC 8693, section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

/// Somebody who acts in a user's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The user who does.
    pub sub: Uuid,
}

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    keys: Arc<KeyRing>,
    issuer: String,
    audience: String,
}

impl Tokens {
    /// With these keys, in this name, for this audience.
    pub fn new(keys: Arc<KeyRing>, issuer: String, audience: String) -> Tokens {
        Tokens { keys, issuer, audience }
    }

    /// Who signs.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public keys as RFC 7517 JSON, as of a moment.
    ///
    /// # Errors
    ///
    /// When they cannot be written, which would be a fault of ours.
    pub async fn jwks(&self, now: Timestamp) -> Result<String, Problem> {
        self.catch_up().await;
        self.keys.keys().jwks(now).map_err(Problem::internal)
    }

    /// Hears of a rotation by another instance. When that fails, the keys at hand are what there is.
    async fn catch_up(&self) {
        if let Err(error) = self.keys.catch_up().await {
            tracing::warn!(%error, "the signing keys cannot be looked up");
        }
    }

    /// A signed token as of a moment. The same moment gives the same token.
    ///
    /// # Errors
    ///
    /// When signing fails.
    pub fn access(
        &self,
        user: &User,
        tenant: Uuid,
        roles: Vec<String>,
        at: Timestamp,
        actor: Option<Uuid>,
    ) -> Result<String, Problem> {
        if !self.keys.state().signs() {
            return Err(Problem::unavailable(
                "No tokens can be signed now: the signing key cannot be looked up.",
            ));
        }
        let keys = self.keys.keys();
        let iat = at.as_second();
        let lifetime = i64::try_from(ACCESS_LIFETIME.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            sub: user.id,
            email: user.email.to_string(),
            tenant_id: tenant,
            roles,
            iat,
            exp: iat.saturating_add(lifetime),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            act: actor.map(|sub| Actor { sub }),
        };
        let header = Header { kid: Some(keys.key_id.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &keys.signing).map_err(Problem::internal)
    }

    /// What a token says, if we signed it and it has not ended.
    ///
    /// # Errors
    ///
    /// When it is not ours, or has ended.
    pub async fn check(&self, token: &str, now: Timestamp) -> Result<Claims, IamError> {
        let not_ours = IamError::TokenDead("it is not one of ours");
        let header = decode_header(token).map_err(|_| not_ours.clone())?;
        let key_id = header.kid.ok_or_else(|| not_ours.clone())?;
        let mut keys = self.keys.keys();
        if keys.verifying(&key_id, now).is_none() {
            self.catch_up().await;
            keys = self.keys.keys();
        }
        let key = keys.verifying(&key_id, now).ok_or_else(|| not_ours.clone())?;
        let mut rules = Validation::new(Algorithm::ES256);
        rules.leeway = 0;
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        match decode::<Claims>(token, key, &rules) {
            Ok(token) => Ok(token.claims),
            Err(error) => Err(match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => IamError::TokenDead("it has ended"),
                _ => not_ours,
            }),
        }
    }

    /// The refresh token that follows another. Derived, not random: within the grace the same token must lead to the
    /// same next one, and of neither more than a digest is stored.
    pub fn successor(&self, refresh_token: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256(self.keys.deriving(), refresh_token.as_bytes()))
    }

    /// The token of a letter's link: its id, and what only we can derive from it. Derived for the same reason.
    pub fn of_letter(&self, letter: Uuid, purpose: Purpose) -> String {
        format!("{}.{}", letter.simple(), self.seal_of(letter, purpose))
    }

    /// The letter that a token is of, if we made it for this purpose.
    pub fn letter(&self, token: &str, purpose: Purpose) -> Option<Uuid> {
        let (letter, seal) = token.split_once('.')?;
        let letter = Uuid::parse_str(letter).ok()?;
        Secret::new(self.seal_of(letter, purpose)).matches(seal.as_bytes()).then_some(letter)
    }

    fn seal_of(&self, letter: Uuid, purpose: Purpose) -> String {
        // No refresh token has a space: what is derived here is never one of theirs.
        let message = format!("letter {} {letter}", purpose.as_str());
        URL_SAFE_NO_PAD.encode(hmac_sha256(self.keys.deriving(), message.as_bytes()))
    }
}

/// A new opaque token of 32 random bytes.
pub fn opaque() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What is stored of an opaque token. It has 256 random bits, so a fast digest is enough.
pub fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// HMAC of RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    let short = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    for (slot, byte) in block.iter_mut().zip(short) {
        *slot = byte;
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex::encode(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let mac = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex::encode(mac), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn opaque_tokens_are_not_stored() {
        let token = opaque();
        assert_eq!(token.len(), 43);
        assert_ne!(token, opaque());
        assert_eq!(digest(&token).len(), 64);
    }
}
