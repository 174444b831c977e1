//! The keys that sign access tokens: made on first start, kept in the secrets store, published as a key set.
//!
//! The newest version of the secret signs; the one before it still verifies, so that a rotation loses no token.
//! Rotating by itself every 90 days is not here yet.

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use p256::pkcs8::EncodePrivateKey as _;
use rand::RngCore as _;
use svc_kit::BuildError;
use svc_stores::secrets::{self, Secret, SecretStore};

/// Where the private key is kept, in PKCS#8.
const SIGNING_KEY: &str = "iam/token-signing-key";

/// Where the key is kept from which refresh tokens are derived.
const REFRESH_KEY: &str = "iam/refresh-token-key";

/// The keys of this installation.
pub struct Keys {
    /// The id of the key that signs.
    pub key_id: String,
    /// The key that signs.
    pub signing: EncodingKey,
    /// All keys that verify, by id.
    pub verifying: HashMap<String, DecodingKey>,
    /// The public keys as RFC 7517 JSON.
    pub jwks: String,
    /// 32 bytes from which refresh tokens follow each other.
    pub refresh: Vec<u8>,
}

impl Keys {
    /// Loads the keys, making them on the first start.
    ///
    /// # Errors
    ///
    /// When the secrets store is away, or holds something that is no key.
    pub async fn load(store: &dyn SecretStore) -> Result<Keys, BuildError> {
        let newest = secrets::get_or_create(store, SIGNING_KEY, || Secret::new(new_signing_key())).await?;
        let refresh =
            secrets::get_or_create(store, REFRESH_KEY, || Secret::new(random_bytes().to_vec())).await?;
        let signing = EncodingKey::from_ec_der(newest.secret.expose());
        let newest_jwk = public_key(&signing)?;
        let mut published = vec![newest_jwk];
        if newest.version > 1
            && let Some(before) = store.get_version(SIGNING_KEY, newest.version - 1).await?
        {
            published.push(public_key(&EncodingKey::from_ec_der(before.secret.expose()))?);
        }
        let mut verifying = HashMap::new();
        for key in &published {
            verifying.insert(key.common.key_id.clone().unwrap_or_default(), DecodingKey::from_jwk(key)?);
        }
        let key_id = published.first().and_then(|key| key.common.key_id.clone()).unwrap_or_default();
        let jwks = serde_json::to_string(&JwkSet { keys: published })?;
        Ok(Keys { key_id, signing, verifying, jwks, refresh: refresh.secret.expose().to_vec() })
    }
}

fn public_key(key: &EncodingKey) -> Result<Jwk, BuildError> {
    let mut public = Jwk::from_encoding_key(key, Algorithm::ES256)?;
    public.common.key_id = Some(public.thumbprint(ThumbprintHash::SHA256)?);
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(public)
}

/// A P-256 key in PKCS#8. Nearly every 32 random bytes are one; the loop is for those that are not.
fn new_signing_key() -> Vec<u8> {
    loop {
        let key = p256::SecretKey::from_slice(&random_bytes());
        if let Ok(document) = key.map_err(|_| ()).and_then(|key| key.to_pkcs8_der().map_err(|_| ())) {
            return document.as_bytes().to_vec();
        }
    }
}

fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_are_made_once_and_the_key_before_still_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sealed://{}/secrets", folder.path().display());
        let store = secrets::connect(&url).await.unwrap();
        let first = Keys::load(&*store).await.unwrap();
        let again = Keys::load(&*secrets::connect(&url).await.unwrap()).await.unwrap();
        assert_eq!((&first.key_id, &first.refresh), (&again.key_id, &again.refresh));
        assert!(!first.jwks.contains("\"d\""), "{}", first.jwks);

        store.put(SIGNING_KEY, Secret::new(new_signing_key()), Some(1)).await.unwrap();
        let rotated = Keys::load(&*store).await.unwrap();
        assert_ne!(rotated.key_id, first.key_id);
        assert!(
            rotated.verifying.contains_key(&first.key_id) && rotated.verifying.contains_key(&rotated.key_id)
        );
    }
}
