//! Takes registered modules through their installation, one after the other, and resumes after a crash what it
//! finds unfinished.

use std::time::Duration;

use svc_kit::Shutdown;
use svc_stores::TenantId;

use crate::domain::{Manifest, Status, Version};
use crate::error::{RegistryError, Result};
use crate::registry::Registry;
use crate::store::{self, StoredModule};

const BATCH: u32 = 50;
/// How often is looked for work although nobody called.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Installs modules.
pub struct Installer {
    registry: Registry,
    limit: Duration,
}

impl Installer {
    /// An installer that gives one installation so long.
    #[must_use]
    pub const fn new(registry: Registry, limit: Duration) -> Self {
        Self { registry, limit }
    }

    /// Installs until it is time to stop.
    pub async fn run(&self, shutdown: Shutdown) {
        loop {
            let pause = match self.install_waiting().await {
                Ok(0) => LOOK_AGAIN,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(%error, "modules could not be installed; trying again");
                    PAUSE_AFTER_ERROR
                }
            };
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.registry.work.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Installs what waits now. Returns how many modules left their state.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn install_waiting(&self) -> Result<usize> {
        let waiting = store::unfinished(&self.registry.database, BATCH).await?;
        let count = waiting.len();
        for (tenant, module) in waiting {
            match self.install(tenant, module).await {
                // Somebody disabled it meanwhile, or another process was quicker.
                Ok(()) | Err(RegistryError::WrongState { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    async fn install(&self, tenant: TenantId, module: StoredModule) -> Result<()> {
        let module = match module.status {
            Status::Pending => self.registry.advance(tenant, module, Status::Installing, "").await?,
            _ => module,
        };
        let outcome = tokio::time::timeout(self.limit, self.steps(tenant, &module)).await;
        let outcome = match outcome {
            Ok(outcome) => outcome?,
            Err(_) => Err(format!("it was not installed within {:?}", self.limit)),
        };
        match outcome {
            Ok(()) => self.registry.advance(tenant, module, Status::Active, "").await?,
            Err(problem) => self.registry.advance(tenant, module, Status::Failed, &problem).await?,
        };
        Ok(())
    }

    /// What an installation does. Each step may be done twice. Inside: why the module cannot be installed.
    async fn steps(
        &self,
        tenant: TenantId,
        module: &StoredModule,
    ) -> Result<std::result::Result<(), String>> {
        let manifest = module.manifest.as_object().cloned().unwrap_or_default();
        let manifest = match Manifest::check(&manifest) {
            Ok(manifest) => manifest,
            Err(faults) => {
                let first = faults.first().map(|fault| format!("{}: {}", fault.field, fault.message));
                return Ok(Err(format!("its manifest is no longer accepted: {}", first.unwrap_or_default())));
            }
        };
        let scope = self.registry.database.tenant(tenant);
        for (name, range) in &manifest.dependencies {
            let Some(active) = store::active_by_name(&scope, name).await? else {
                return Ok(Err(format!("it depends on `{name}`, which is not active")));
            };
            let fits = Version::parse(&active.version).is_some_and(|version| range.contains(version));
            if !fits {
                return Ok(Err(format!("it depends on another version of `{name}` than {}", active.version)));
            }
        }
        Ok(Ok(()))
    }
}
