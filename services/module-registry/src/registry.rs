//! Registers modules and moves them from state to state, each step with its event in one transaction.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use svc_kit::{Caller, RequestContext};
use svc_stores::outbox::{self, Event};
use svc_stores::relational::Transaction;
use svc_stores::{Database, TenantId};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::{MODULES_PER_TENANT, Manifest, Status};
use crate::error::{RegistryError, Result};
use crate::store::{self, StoredModule};

const TOPIC: &str = "platform.module.events";

/// The modules of every tenant. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pub(crate) database: Database,
    /// Wakes the installer.
    pub(crate) work: Arc<Notify>,
}

impl Registry {
    /// A registry over a database whose schema is up to date.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, work: Arc::new(Notify::new()) }
    }

    /// Checks a manifest and keeps it as a pending module. With a key that was used before, gives the first answer.
    pub(crate) async fn register(&self, caller: &Caller, text: Map<String, Value>) -> Result<StoredModule> {
        let tenant = TenantId::new(caller.tenant);
        let key = caller.idempotency_key.as_deref();
        let mut transaction = self.database.tenant(tenant).begin().await?;
        if let Some(key) = key
            && let Some(known) = store::by_key(&mut transaction, key).await?
        {
            return Ok(known);
        }
        let manifest = Manifest::check(&text).map_err(RegistryError::Faults)?;
        if store::count(&mut transaction).await? >= MODULES_PER_TENANT {
            return Err(RegistryError::TooMany);
        }
        let now = store::now();
        let module = StoredModule {
            id: Uuid::now_v7(),
            name: manifest.name,
            version: manifest.version.to_string(),
            status: Status::Pending,
            error: String::new(),
            manifest: Value::Object(text),
            created_at: now,
            updated_at: now,
            activated_at: None,
        };
        match store::insert(&mut transaction, &module, key).await {
            Err(error) if error.is_unique_conflict() => return Err(RegistryError::Taken(module.name)),
            other => other?,
        }
        announce(&mut transaction, tenant, "module.registry.registered", &module).await?;
        transaction.commit().await?;
        self.work.notify_one();
        Ok(module)
    }

    /// Tries a failed installation again.
    pub(crate) async fn retry(&self, caller: &Caller, id: Uuid) -> Result<StoredModule> {
        let tenant = TenantId::new(caller.tenant);
        let module = self.find(tenant, id).await?;
        let module = self.advance(tenant, module, Status::Pending, "").await?;
        self.work.notify_one();
        Ok(module)
    }

    /// Stops a module; its data is kept.
    pub(crate) async fn disable(&self, caller: &Caller, id: Uuid) -> Result<StoredModule> {
        let tenant = TenantId::new(caller.tenant);
        let module = self.find(tenant, id).await?;
        self.advance(tenant, module, Status::Disabled, "").await
    }

    /// One module of the tenant.
    pub(crate) async fn find(&self, tenant: TenantId, id: Uuid) -> Result<StoredModule> {
        let module = store::module(&self.database.tenant(tenant), id).await?;
        module.ok_or_else(|| RegistryError::NotFound(id.to_string()))
    }

    /// Moves a module to its next state, unless somebody else has moved it since it was read.
    pub(crate) async fn advance(
        &self,
        tenant: TenantId,
        mut module: StoredModule,
        next: Status,
        error: &str,
    ) -> Result<StoredModule> {
        let before = module.status;
        if !before.may_become(next) {
            return Err(RegistryError::WrongState { from: before, to: next });
        }
        module.status = next;
        error.clone_into(&mut module.error);
        module.updated_at = store::now();
        if next == Status::Active {
            module.activated_at = Some(module.updated_at);
        }
        let mut transaction = self.database.tenant(tenant).begin().await?;
        if !store::save_state(&mut transaction, &module, before).await? {
            drop(transaction);
            let current = self.find(tenant, module.id).await?;
            return Err(RegistryError::WrongState { from: current.status, to: next });
        }
        let event = match next {
            Status::Active => Some("module.registry.activated"),
            Status::Failed => Some("module.registry.failed"),
            Status::Disabled => Some("module.registry.disabled"),
            Status::Pending | Status::Installing => None,
        };
        if let Some(event) = event {
            announce(&mut transaction, tenant, event, &module).await?;
        }
        transaction.commit().await?;
        Ok(module)
    }
}

async fn announce(
    transaction: &mut Transaction,
    tenant: TenantId,
    name: &str,
    module: &StoredModule,
) -> Result<()> {
    let permissions = module.manifest.get("permissions").cloned().unwrap_or_else(|| json!([]));
    let data = json!({
        "moduleId": module.id,
        "name": module.name,
        "version": module.version,
        "status": module.status.as_str(),
        "error": module.error,
        "permissions": permissions,
    });
    let trace = RequestContext::current().map(|context| context.trace.trace_id());
    let mut event = Event::new(TOPIC, name, "module-registry", &module.id.to_string())
        .tenant(tenant)
        .trace(trace)
        .data(data);
    event.occurred_at = module.updated_at;
    outbox::append(transaction, &event).await?;
    Ok(())
}
