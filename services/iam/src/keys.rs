//! The keys that sign access tokens: made on first start, kept in the secrets store, published as a key set, replaced
//! every 90 days.
//!
//! The newest version of the secret signs. For a quarter of an hour the one before it still verifies, so that a rotation
//! loses no token. An instance that did not rotate itself hears of it from the database when it is asked for its key set
//! or sees a token of an unknown key, and looks by itself every half minute.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use p256::pkcs8::EncodePrivateKey as _;
use rand::RngCore as _;
use svc_kit::{BuildError, Latch, Shutdown};
use svc_stores::{
    StoreError,
    secrets::{self, Secret, SecretStore},
};

use crate::{
    accounts::Clock,
    domain::signing::{self, KeyRecord, KeyState},
    store::IdentityStore,
};

/// Where the private key is kept, in PKCS#8.
const SIGNING_KEY: &str = "iam/token-signing-key";

/// Where the key is kept from which refresh tokens and the tokens of letters are derived.
const DERIVING_KEY: &str = "iam/refresh-token-key";

/// How often the keys are looked at.
const INTERVAL: Duration = Duration::from_secs(30);

/// The keys of a moment.
pub struct Keys {
    /// The id of the key that signs.
    pub key_id: String,
    /// The key that signs.
    pub signing: EncodingKey,
    version: u32,
    made_at: Timestamp,
    newest: Jwk,
    before: Option<Jwk>,
    verifying: HashMap<String, DecodingKey>,
}

impl Keys {
    /// The key that verifies what the key with this id signed.
    pub fn verifying(&self, key_id: &str, now: Timestamp) -> Option<&DecodingKey> {
        let usable = key_id == self.key_id || signing::before_verifies(self.record(now), now);
        self.verifying.get(key_id).filter(|_| usable)
    }

    /// The public keys as RFC 7517 JSON.
    ///
    /// # Errors
    ///
    /// When they cannot be written, which would be a fault of ours.
    pub fn jwks(&self, now: Timestamp) -> Result<String, serde_json::Error> {
        let before = self.before.iter().filter(|_| signing::before_verifies(self.record(now), now));
        serde_json::to_string(&JwkSet {
            keys: std::iter::once(&self.newest).chain(before).cloned().collect(),
        })
    }

    fn record(&self, heard_at: Timestamp) -> KeyRecord {
        KeyRecord { made_at: self.made_at, has_before: self.before.is_some(), heard_at }
    }
}

/// The keys of this installation, kept up to date.
pub struct KeyRing {
    secrets: Arc<dyn SecretStore>,
    store: IdentityStore,
    clock: Clock,
    /// 32 bytes from which refresh tokens follow each other.
    deriving: Vec<u8>,
    current: RwLock<Current>,
}

struct Current {
    keys: Arc<Keys>,
    heard_at: Timestamp,
}

impl KeyRing {
    /// Loads the keys, making them on the first start.
    ///
    /// # Errors
    ///
    /// When a store is away, or holds something that is no key.
    pub async fn load(
        secrets: Arc<dyn SecretStore>,
        store: IdentityStore,
        clock: Clock,
    ) -> Result<KeyRing, BuildError> {
        secrets::get_or_create(&*secrets, SIGNING_KEY, || Secret::new(new_signing_key())).await?;
        let make = || Secret::new(random_bytes().to_vec());
        let deriving = secrets::get_or_create(&*secrets, DERIVING_KEY, make).await?.secret.expose().to_vec();
        let keys = Arc::new(newest(&*secrets, &store, clock()).await?);
        let current = RwLock::new(Current { keys, heard_at: clock() });
        Ok(KeyRing { secrets, store, clock, deriving, current })
    }

    /// The keys at hand.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).keys)
    }

    /// 32 bytes from which refresh tokens follow each other.
    pub fn deriving(&self) -> &[u8] {
        &self.deriving
    }

    /// The state of the keys now.
    pub fn state(&self) -> KeyState {
        signing::state_of(Some(self.record()), (self.clock)())
    }

    fn record(&self) -> KeyRecord {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.keys.record(current.heard_at)
    }

    /// Reads the keys again, if somebody rotated them.
    ///
    /// # Errors
    ///
    /// When a store is away; the keys at hand stay.
    pub async fn catch_up(&self) -> Result<(), BuildError> {
        if self.store.signing_key_version().await? > self.keys().version {
            self.read().await?;
        }
        Ok(())
    }

    async fn read(&self) -> Result<(), BuildError> {
        let now = (self.clock)();
        let keys = Arc::new(newest(&*self.secrets, &self.store, now).await?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Two that read at once may end in any order.
        if keys.version >= current.keys.version {
            *current = Current { keys, heard_at: now };
        }
        Ok(())
    }

    /// Reads the keys, and makes a new one when it is time.
    ///
    /// # Errors
    ///
    /// When a store is away; the keys at hand stay.
    pub async fn tend(&self) -> Result<(), BuildError> {
        self.read().await?;
        if signing::is_due(self.record(), (self.clock)()) {
            self.rotate().await?;
        }
        Ok(())
    }

    /// Makes a new key. When two instances do so at once, one of them does.
    ///
    /// # Errors
    ///
    /// When a store is away; the keys at hand stay.
    pub async fn rotate(&self) -> Result<(), BuildError> {
        let expected = Some(self.keys().version);
        match self.secrets.put(SIGNING_KEY, Secret::new(new_signing_key()), expected).await {
            Ok(version) => tracing::info!(version, "a new key signs access tokens"),
            Err(StoreError::Conflict { .. }) => tracing::debug!("another instance made the new key"),
            Err(error) => return Err(error.into()),
        }
        self.read().await
    }

    /// Tends the keys until the service stops. Without keys that sign, the service is not ready.
    pub async fn keep(&self, latch: &Latch, shutdown: &Shutdown) {
        let mut before = self.state();
        latch.release();
        while shutdown.pause(INTERVAL).await {
            if let Err(error) = self.tend().await {
                tracing::warn!(error = %error, "the signing keys cannot be looked up; those at hand stay in use");
            }
            let state = self.state();
            if state != before {
                tracing::info!(?before, ?state, "the signing keys changed their state");
            }
            if state.signs() {
                latch.release();
            } else {
                latch.hold("the secrets store was away for seven days: no tokens are signed");
            }
            before = state;
        }
    }
}

/// Reads the newest key, and the one before it.
async fn newest(
    secrets: &dyn SecretStore,
    store: &IdentityStore,
    now: Timestamp,
) -> Result<Keys, BuildError> {
    let found = secrets.get(SIGNING_KEY).await?;
    let found = found.ok_or("the signing key is gone from the secrets store")?;
    let made_at = store.signing_key_made_at(found.version, now).await?;
    let signing = EncodingKey::from_ec_der(found.secret.expose());
    let newest = public_key(&signing)?;
    let before = match found.version.checked_sub(1).filter(|before| *before > 0) {
        Some(before) => secrets.get_version(SIGNING_KEY, before).await?,
        None => None,
    };
    let before = before.map(|before| public_key(&EncodingKey::from_ec_der(before.secret.expose())));
    let before = before.transpose()?;
    let mut verifying = HashMap::new();
    for key in std::iter::once(&newest).chain(&before) {
        verifying.insert(key.common.key_id.clone().unwrap_or_default(), DecodingKey::from_jwk(key)?);
    }
    let key_id = newest.common.key_id.clone().unwrap_or_default();
    Ok(Keys { key_id, signing, version: found.version, made_at, newest, before, verifying })
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
