//! The feature-flags port. The embedded adapter evaluates a file in GO Feature Flag's format in this process; the real
//! one asks GO Feature Flag's relay.
//!
//! Percentages are by tenant: the tenant is the key that is hashed, exactly as the relay would with the tenant as
//! targeting key. A tenant's bucket depends on the flag's name and the tenant only, so while one variation grows at
//! the expense of another, no tenant that has it loses it.

mod query;
mod relay;
mod rule;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use serde_json::Value;

use crate::error::{Result, StoreError};
use crate::tenant::TenantId;
use crate::url::{Store, StoreUrl};
pub use rule::Flag;

/// For whom a flag is evaluated.
#[derive(Clone, Debug, Default)]
pub struct FlagContext {
    /// The tenant; `None` outside of one, where percentages give the default of the caller.
    pub tenant_id: Option<TenantId>,
    /// Further facts for the targeting rules, such as `userId` or `environment`.
    pub attributes: BTreeMap<String, Value>,
}

impl FlagContext {
    /// The context of a tenant.
    #[must_use]
    pub fn tenant(tenant: impl Into<TenantId>) -> Self {
        Self { tenant_id: Some(tenant.into()), attributes: BTreeMap::new() }
    }

    /// The same context with one more fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }
}

/// The result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The name of the variation.
    pub variation: String,
    /// Its value.
    pub value: Value,
}

/// The feature-flags port.
#[async_trait]
pub trait Flags: Send + Sync + fmt::Debug {
    /// The variation of a flag for this context; `None` when there is no such flag, or it is disabled.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the flags cannot be had at all.
    async fn evaluate(&self, flag: &str, context: &FlagContext) -> Result<Option<Evaluation>>;

    /// The names of all flags, sorted.
    ///
    /// # Errors
    /// As [`Flags::evaluate`].
    async fn names(&self) -> Result<Vec<String>>;

    /// Whether the flags can be had now; for readiness. One that answered before may still serve its last known values.
    ///
    /// # Errors
    /// As [`Flags::evaluate`].
    async fn check(&self) -> Result<()>;

    /// Whether a boolean flag is on. Unknown, disabled, not boolean or unavailable: off.
    async fn is_enabled(&self, flag: &str, context: &FlagContext) -> bool {
        match self.evaluate(flag, context).await {
            Ok(evaluation) => evaluation.is_some_and(|evaluation| evaluation.value == Value::Bool(true)),
            Err(error) => {
                tracing::warn!(flag, %error, "flag is off because it cannot be evaluated");
                false
            }
        }
    }
}

/// Opens the flags that `FLAGS_URL` names. A relay need not be there yet.
///
/// # Errors
/// [`StoreError::Configuration`] when the URL has no adapter, or the file cannot be read or is wrong.
pub async fn connect(url: &str) -> Result<Arc<dyn Flags>> {
    let url = StoreUrl::parse(Store::Flags, url)?;
    Ok(match url.remote() {
        Some(remote) => Arc::new(relay::Relay::new(remote)?),
        None => Arc::new(FlagsFile::open(url.path().to_path_buf())?),
    })
}

/// The file, read again whenever it has changed. One that is wrong leaves the flags as they were.
struct FlagsFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    flags: Arc<BTreeMap<String, Flag>>,
    read: Stamp,
}

type Stamp = Option<(SystemTime, u64)>;

impl fmt::Debug for FlagsFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FlagsFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FlagsFile {
    fn open(path: PathBuf) -> Result<Self> {
        let wrong = |problem: String| StoreError::Configuration {
            variable: Store::Flags.variable(),
            problem: format!("{}: {problem}", path.display()),
        };
        let read = stamp(&path);
        let text = fs::read_to_string(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let flags = rule::parse(&text).map_err(wrong)?;
        Ok(Self { state: Mutex::new(State { flags: Arc::new(flags), read }), path })
    }

    fn flags(&self) -> Arc<BTreeMap<String, Flag>> {
        // Looking costs a microsecond, so there is no watcher that could miss something.
        let now = stamp(&self.path);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now != state.read {
            state.read = now;
            let parsed = fs::read_to_string(&self.path)
                .map_err(|error| error.to_string())
                .and_then(|text| rule::parse(&text));
            match parsed {
                Ok(flags) => state.flags = Arc::new(flags),
                Err(problem) => {
                    tracing::error!(path = %self.path.display(), problem, "flags stay as they were");
                }
            }
        }
        state.flags.clone()
    }
}

fn stamp(path: &std::path::Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[async_trait]
impl Flags for FlagsFile {
    async fn evaluate(&self, flag: &str, context: &FlagContext) -> Result<Option<Evaluation>> {
        Ok(self.flags().get(flag).and_then(|found| found.evaluate(flag, context)))
    }

    async fn names(&self) -> Result<Vec<String>> {
        Ok(self.flags().keys().cloned().collect())
    }

    /// They were read when it was opened, and are kept.
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
