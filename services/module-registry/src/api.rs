//! The gRPC door. `UpdateModule` and `RollbackModule` are not implemented.

use svc_api::module_registry::v1 as wire;
use svc_api::module_registry::v1::module_registry_service_server::ModuleRegistryService;
use svc_kit::message::{Page, timestamp};
use svc_kit::{Caller, json};
use tonic::{Request, Response, Status as GrpcStatus};
use uuid::Uuid;

use crate::domain::Status;
use crate::error::{RegistryError, Result};
use crate::registry::Registry;
use crate::store::{self, Filter, StoredModule};

type Answer<T> = std::result::Result<Response<T>, GrpcStatus>;

impl Registry {
    async fn page(
        &self,
        caller: &Caller,
        status: Option<Status>,
        size: i32,
        token: &str,
    ) -> Answer<wire::ListModulesReply> {
        let page = Page::read(size, token)?;
        let filter = Filter { status, after: page.last, limit: page.to_read() };
        let rows = store::list(&self.database.tenant(caller.tenant), filter).await;
        let (rows, next_page_token) = page.cut(rows.map_err(RegistryError::from)?, |module| module.id);
        let modules = rows.into_iter().map(to_module).collect();
        Ok(Response::new(wire::ListModulesReply { modules, next_page_token }))
    }
}

#[tonic::async_trait]
impl ModuleRegistryService for Registry {
    async fn register_module(&self, request: Request<wire::RegisterModuleRequest>) -> Answer<wire::Module> {
        let caller = Caller::of(&request)?;
        let manifest = json::from_struct(request.into_inner().manifest.unwrap_or_default());
        Ok(Response::new(to_module(self.register(&caller, manifest).await?)))
    }

    async fn list_modules(
        &self,
        request: Request<wire::ListModulesRequest>,
    ) -> Answer<wire::ListModulesReply> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let status = Status::parse(&request.status);
        if status.is_none() && !request.status.is_empty() {
            let message = "must be pending, installing, active, failed or disabled";
            return Err(RegistryError::field("status", "unknown", message).into());
        }
        self.page(&caller, status, request.page_size, &request.page_token).await
    }

    async fn list_active_modules(
        &self,
        request: Request<wire::ListActiveModulesRequest>,
    ) -> Answer<wire::ListModulesReply> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        self.page(&caller, Some(Status::Active), request.page_size, &request.page_token).await
    }

    async fn get_module(&self, request: Request<wire::GetModuleRequest>) -> Answer<wire::Module> {
        let caller = Caller::of(&request)?;
        let module = self.find(caller.tenant.into(), id_of(&request.get_ref().id)?).await?;
        Ok(Response::new(to_module(module)))
    }

    async fn retry_install(&self, request: Request<wire::RetryInstallRequest>) -> Answer<wire::Module> {
        let caller = Caller::of(&request)?;
        let module = self.retry(&caller, id_of(&request.get_ref().id)?).await?;
        Ok(Response::new(to_module(module)))
    }

    async fn disable_module(&self, request: Request<wire::DisableModuleRequest>) -> Answer<wire::Module> {
        let caller = Caller::of(&request)?;
        let module = self.disable(&caller, id_of(&request.get_ref().id)?).await?;
        Ok(Response::new(to_module(module)))
    }
}

fn id_of(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| RegistryError::field("id", "uuid", "must be a UUID"))
}

fn to_module(module: StoredModule) -> wire::Module {
    wire::Module {
        id: module.id.to_string(),
        name: module.name,
        version: module.version,
        status: module.status.as_str().to_owned(),
        error: module.error,
        manifest: module.manifest.as_object().cloned().map(json::to_struct),
        created_at: Some(timestamp(module.created_at)),
        updated_at: Some(timestamp(module.updated_at)),
        activated_at: module.activated_at.map(timestamp),
    }
}
