//! Values that lie in the database and mean something only together with a key of the secrets store: AES-256-GCM, bound
//! to whose they are.

use std::sync::Arc;

use aes_gcm::{
    Aes256Gcm, Nonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use rand::RngCore as _;
use svc_kit::BuildError;
use svc_stores::secrets::{self, Secret, SecretStore};
use uuid::Uuid;

/// Where the key is kept.
const SEALING_KEY: &str = "iam/sealing-key";

const NONCE_LENGTH: usize = 12;

/// Why a value could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value cannot be used: {0}")]
pub struct SealError(&'static str);

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    cipher: Arc<Aes256Gcm>,
}

impl Sealer {
    /// Loads the key, making it on the first start.
    ///
    /// # Errors
    ///
    /// When the secrets store is away, or holds something that is no key.
    pub async fn load(store: &dyn SecretStore) -> Result<Sealer, BuildError> {
        let make = || {
            let mut key = [0; 32];
            rand::rng().fill_bytes(&mut key);
            Secret::new(key.to_vec())
        };
        let key = secrets::get_or_create(store, SEALING_KEY, make).await?;
        let cipher = Aes256Gcm::new_from_slice(key.secret.expose());
        Ok(Sealer { cipher: Arc::new(cipher.map_err(|_| SealError("the key has not 32 bytes"))?) })
    }

    /// Seals a value of `owner`: a random nonce, and what only the key opens.
    ///
    /// # Errors
    ///
    /// When the value is absurdly long.
    pub fn seal(&self, owner: Uuid, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LENGTH];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: plain, aad: owner.as_bytes() };
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| SealError("it is too long"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    ///
    /// When it was changed, is somebody else's, or was sealed under another key.
    pub fn open(&self, owner: Uuid, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(SealError("it is too short"))?;
        let payload = Payload { msg: rest, aad: owner.as_bytes() };
        self.cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| SealError("it was changed, is somebody else's, or is sealed under another key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sealed_opens_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = secrets::connect(&format!("sealed://{}/secrets", folder.path().display())).await.unwrap();
        let sealer = Sealer::load(&*store).await.unwrap();
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = sealer.seal(ada, b"secret").unwrap();
        assert_ne!(sealed, sealer.seal(ada, b"secret").unwrap(), "never twice the same");
        assert_eq!(Sealer::load(&*store).await.unwrap().open(ada, &sealed).unwrap(), b"secret");
        assert!(sealer.open(bob, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(ada, &changed).is_err(), "{at}");
            assert!(sealer.open(ada, &sealed[..at]).is_err(), "{at}");
        }
    }
}
