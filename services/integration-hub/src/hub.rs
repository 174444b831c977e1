//! What can be done with providers. The gRPC door and the housekeeping lead here.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use svc_kit::Problem;
use svc_stores::{Database, StoreError};
use url::Url;
use uuid::Uuid;

use crate::call::{BreakerObserver, Breakers};
use crate::domain::breaker::BreakerState;
use crate::domain::{
    AuthType, Credentials, CredentialsError, Invalid, Provider, ProviderConfig, ProviderStatus, ProviderType,
    provider,
};
use crate::outbound::Outbound;
use crate::ports::Surroundings;
use crate::store::{dead_letters, providers};
use crate::vault::Vault;

/// Credentials without a provider are left alone for this long.
const YOUNG_SECONDS: i64 = 3600;

/// Everything that a handler needs. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    pub(crate) database: Database,
    pub(crate) vault: Vault,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) surroundings: Arc<dyn Surroundings>,
}

/// A provider that is to be made, as a caller describes it. No `Debug`: it holds credentials.
#[derive(Clone, Default)]
pub struct NewProvider {
    /// Its name.
    pub name: String,
    /// What it is for, by its stored name.
    pub provider_type: String,
    /// Where it is.
    pub base_url: String,
    /// How it authenticates, by its stored name; `none` when empty.
    pub auth_type: String,
    /// What that needs.
    pub credentials: BTreeMap<String, String>,
    /// How to call it.
    pub config: ProviderConfig,
}

/// A change of a provider: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ProviderChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub provider_type: Option<String>,
    /// Where it is; the same scheme, host and port when it has credentials.
    pub base_url: Option<String>,
    /// How to call it.
    pub config: Option<ProviderConfig>,
    /// Whether it may be called.
    pub enabled: Option<bool>,
}

impl Hub {
    /// Over a migrated database.
    #[must_use]
    pub fn new(
        database: Database,
        vault: Vault,
        outbound: Arc<dyn Outbound>,
        surroundings: Arc<dyn Surroundings>,
    ) -> Self {
        Self { database, vault, outbound, breakers: Arc::default(), surroundings }
    }

    /// The same, telling `observer` whenever a breaker is seen in another state.
    #[must_use]
    pub fn observed(mut self, observer: BreakerObserver) -> Self {
        self.breakers = Arc::new(Breakers::observed(observer));
        self
    }

    /// Makes a provider. Its credentials are sealed before the provider exists, so that a crash between the two
    /// leaves credentials without a provider, which [`Hub::housekeep`] removes, and never the other way round.
    ///
    /// # Errors
    /// Every rule that is broken, at once; or that the tenant has a provider of this name.
    pub async fn create(&self, tenant: Uuid, new: NewProvider) -> Result<Provider, Problem> {
        let mut problems = Vec::new();
        let mut keep = |problem: Invalid| problems.push(problem);
        let name = provider::name(&new.name).map_err(&mut keep).ok();
        let provider_type = type_of(&new.provider_type).map_err(&mut keep).ok();
        let base_url = provider::base_url(&new.base_url).map_err(&mut keep).ok();
        let auth_type = auth_type_of(&new.auth_type).map_err(&mut keep).ok();
        new.config.problems().into_iter().for_each(&mut keep);
        let credentials = match auth_type.map(|auth_type| Credentials::new(auth_type, new.credentials)) {
            Some(Ok(credentials)) => Some(credentials),
            Some(Err(error @ CredentialsError::NotImplemented(_))) => {
                return Err(Problem::not_implemented(format!("{error}.")));
            }
            Some(Err(error)) => {
                keep(Invalid::new("credentials", error.to_string()));
                None
            }
            None => None,
        };
        let (Some(name), Some(provider_type), Some(base_url), Some(credentials)) =
            (name, provider_type, base_url, credentials)
        else {
            return Err(invalid(problems));
        };
        if !problems.is_empty() {
            return Err(invalid(problems));
        }
        let now = self.now();
        let provider = Provider {
            id: Uuid::now_v7(),
            name,
            provider_type,
            base_url,
            auth_type: credentials.auth_type(),
            config: new.config,
            enabled: true,
            created: now,
            updated: now,
        };
        if provider.auth_type != AuthType::Anonymous {
            self.vault.put(tenant, provider.id, &credentials).await.map_err(store_problem)?;
        }
        match providers::insert(&self.database, tenant, &provider).await {
            Ok(()) => Ok(provider),
            Err(error) => {
                if let Err(error) = self.vault.delete(tenant, provider.id).await {
                    tracing::warn!(%error, "credentials without a provider stay until the next housekeeping");
                }
                Err(name_problem(error, &provider.name))
            }
        }
    }

    /// One provider of the tenant.
    ///
    /// # Errors
    /// When the tenant has no such provider.
    pub async fn get(&self, tenant: Uuid, id: Uuid) -> Result<Provider, Problem> {
        let found = providers::get(&self.database, tenant, id).await.map_err(store_problem)?;
        found.ok_or_else(|| Problem::not_found("There is no such provider."))
    }

    /// Providers of the tenant, newest first, older than `before`.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn list(
        &self,
        tenant: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Provider>, Problem> {
        providers::list(&self.database, tenant, before, limit).await.map_err(store_problem)
    }

    /// Changes a provider. One with credentials can't move to another origin: whoever may change a provider could
    /// otherwise have its credentials sent to a place of his own.
    ///
    /// # Errors
    /// Every rule that is broken, at once.
    pub async fn update(&self, tenant: Uuid, id: Uuid, change: ProviderChange) -> Result<Provider, Problem> {
        let mut provider = self.get(tenant, id).await?;
        let read = provider.updated;
        let mut problems = Vec::new();
        if let Some(name) = change.name {
            take(provider::name(&name), &mut provider.name, &mut problems);
        }
        if let Some(text) = change.provider_type {
            take(type_of(&text), &mut provider.provider_type, &mut problems);
        }
        if let Some(text) = change.base_url {
            let moved = provider::base_url(&text).and_then(|url| same_origin(&provider, url));
            take(moved, &mut provider.base_url, &mut problems);
        }
        if let Some(config) = change.config {
            problems.extend(config.problems());
            provider.config = config;
        }
        provider.enabled = change.enabled.unwrap_or(provider.enabled);
        if !problems.is_empty() {
            return Err(invalid(problems));
        }
        // The time of the change is also its version, so it must move on.
        let next = read.saturating_add(std::time::Duration::from_micros(1)).unwrap_or(Timestamp::MAX);
        provider.updated = self.now().max(next);
        match providers::update(&self.database, tenant, &provider, read).await {
            Ok(true) => Ok(provider),
            Ok(false) => {
                Err(Problem::conflict("The provider was changed meanwhile. Read it again and retry."))
            }
            Err(error) => Err(name_problem(error, &provider.name)),
        }
    }

    /// Deletes a provider, then its credentials. Its dead letters stay until they are old.
    ///
    /// # Errors
    /// When the tenant has no such provider.
    pub async fn delete(&self, tenant: Uuid, id: Uuid) -> Result<(), Problem> {
        let existed = providers::delete(&self.database, tenant, id).await.map_err(store_problem)?;
        // Also when there was none: an earlier attempt may have been cut off in between.
        self.vault.delete(tenant, id).await.map_err(store_problem)?;
        self.breakers.forget(id);
        if existed { Ok(()) } else { Err(Problem::not_found("There is no such provider.")) }
    }

    /// The state of a provider's breaker.
    #[must_use]
    pub fn breaker_state(&self, id: Uuid) -> BreakerState {
        self.breakers.state(id, self.now())
    }

    /// Whether a provider may be called, as it is shown.
    #[must_use]
    pub fn status(&self, provider: &Provider) -> ProviderStatus {
        match self.breaker_state(provider.id) {
            _ if !provider.enabled => ProviderStatus::Disabled,
            BreakerState::Open => ProviderStatus::Down,
            BreakerState::HalfOpen => ProviderStatus::Degraded,
            BreakerState::Closed => ProviderStatus::Active,
        }
    }

    /// Removes dead letters that are too old, and credentials whose provider was never made or is gone.
    ///
    /// A provider that is just being made has credentials before it exists, so young ones are left alone.
    ///
    /// # Errors
    /// Whatever the stores say.
    pub async fn housekeep(&self) -> Result<(), StoreError> {
        let now = self.now();
        for (tenant, id) in self.vault.all().await? {
            if is_old(id, now) && providers::get(&self.database, tenant, id).await?.is_none() {
                self.vault.delete(tenant, id).await?;
                tracing::info!(provider = %id, "credentials without a provider were removed");
            }
        }
        self.sweep().await
    }

    /// Removes dead letters that are too old.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let removed = dead_letters::sweep(&self.database, self.now()).await?;
        if removed > 0 {
            tracing::info!(removed, "dead letters older than 30 days were removed");
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.surroundings.now()
    }
}

/// Whether the id was made long enough ago that whoever made it is done or dead.
fn is_old(id: Uuid, now: Timestamp) -> bool {
    let made = id.get_timestamp().map_or(0, |timestamp| timestamp.to_unix().0);
    i64::try_from(made).is_ok_and(|made| now.as_second().saturating_sub(made) > YOUNG_SECONDS)
}

fn take<T>(read: Result<T, Invalid>, into: &mut T, problems: &mut Vec<Invalid>) {
    match read {
        Ok(value) => *into = value,
        Err(problem) => problems.push(problem),
    }
}

fn same_origin(provider: &Provider, url: Url) -> Result<Url, Invalid> {
    if provider.auth_type == AuthType::Anonymous || provider.base_url.origin() == url.origin() {
        return Ok(url);
    }
    Err(Invalid::new(
        "baseUrl",
        "a provider with credentials can't move to another scheme, host or port; create a new provider",
    ))
}

fn type_of(text: &str) -> Result<ProviderType, Invalid> {
    let known = || ProviderType::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", ");
    ProviderType::from_stored(text)
        .ok_or_else(|| Invalid::new("type", format!("a type is one of {}", known())))
}

fn auth_type_of(text: &str) -> Result<AuthType, Invalid> {
    let text = if text.is_empty() { "none" } else { text };
    AuthType::from_stored(text).ok_or_else(|| {
        Invalid::new("authType", "an auth type is one of none, api_key, bearer, basic, oauth2, hmac")
    })
}

pub(crate) fn invalid(problems: Vec<Invalid>) -> Problem {
    problems.into_iter().fold(Problem::invalid("The request can't be used as it is."), |problem, wrong| {
        problem.violation(wrong.field, "invalid", wrong.message)
    })
}

pub(crate) fn store_problem(error: StoreError) -> Problem {
    if error.is_transient() {
        return Problem::unavailable("A store is busy; try again.");
    }
    Problem::internal(error)
}

fn name_problem(error: StoreError, name: &str) -> Problem {
    if error.is_unique_conflict() {
        return Problem::already_exists(format!("There is a provider named `{name}` already."));
    }
    store_problem(error)
}
