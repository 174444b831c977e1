//! Hashing passwords with Argon2id, off the threads that serve requests and only a few at a time.
//!
//! Each hash takes 19 MiB and some tens of milliseconds on purpose: without a bound a burst of logins would take the
//! memory and the cores of everything else.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{Error, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use svc_kit::Secret;
use tokio::sync::{OnceCell, Semaphore};

/// Why a password could not be hashed or compared. A wrong password is not an error.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The hash in the database is not one.
    #[error("a password hash cannot be used: {0}")]
    Hash(String),
    /// The thread that hashed was lost.
    #[error("a password could not be hashed: {0}")]
    Thread(String),
}

/// Hashes and compares. Cheap to clone; all clones share the bound.
#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    decoy: Arc<OnceCell<String>>,
}

impl Passwords {
    /// So many at a time.
    pub fn new(at_once: usize) -> Passwords {
        Passwords { permits: Arc::new(Semaphore::new(at_once)), decoy: Arc::default() }
    }

    /// The hash of a password with a salt of its own, in the PHC format.
    ///
    /// # Errors
    ///
    /// When hashing fails, which has nothing to do with the password.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        self.blocking(move || {
            let hash = Argon2::default().hash_password(password.expose().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Hash(error.to_string()))
        })
        .await
    }

    /// Whether the password is the one that was hashed. Without a hash the answer is no and takes as long, so that
    /// nobody can tell by the clock which addresses exist.
    ///
    /// # Errors
    ///
    /// When the stored hash cannot be used.
    pub async fn matches(&self, password: Secret, hash: Option<String>) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.decoy.get_or_try_init(|| self.hash(Secret::new("nobody's password"))).await?.clone(),
        };
        let same = self
            .blocking(move || {
                let hash =
                    PasswordHash::new(&hash).map_err(|error| PasswordError::Hash(error.to_string()))?;
                match Argon2::default().verify_password(password.expose().as_bytes(), &hash) {
                    Ok(()) => Ok(true),
                    Err(Error::PasswordInvalid) => Ok(false),
                    Err(error) => Err(PasswordError::Hash(error.to_string())),
                }
            })
            .await?;
        Ok(same && known)
    }

    /// The hash of a code under the salt of its set, in hexadecimal. Codes of one set share a salt, so that one guess is
    /// one hash, however many codes there are.
    ///
    /// # Errors
    ///
    /// When hashing fails, which has nothing to do with the code.
    pub async fn hash_code(&self, code: Secret, salt: String) -> Result<String, PasswordError> {
        self.blocking(move || {
            let mut hash = [0; 32];
            let done =
                Argon2::default().hash_password_into(code.expose().as_bytes(), salt.as_bytes(), &mut hash);
            done.map_err(|error| PasswordError::Hash(error.to_string()))?;
            Ok(hex::encode(hash))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|error| PasswordError::Thread(error.to_string()))?;
        let work = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller who goes away does not free the core.
            let _permit = permit;
            work()
        });
        work.await.map_err(|error| PasswordError::Thread(error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash(Secret::new("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let matches = |password: &str, hash: Option<&str>| {
            passwords.matches(Secret::new(password), hash.map(str::to_owned))
        };
        assert!(matches("correct horse battery", Some(&hash)).await.unwrap());
        assert!(!matches("correct horse batterz", Some(&hash)).await.unwrap());
        assert!(!matches("nobody's password", None).await.unwrap(), "nobody has no password");
        assert!(matches("x", Some("not a hash")).await.is_err());
    }
}
