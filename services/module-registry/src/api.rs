//! The gRPC door. `UpdateModule` and `RollbackModule` are not implemented.

use jiff::Timestamp;
use svc_api::module_registry::v1 as wire;
use svc_api::module_registry::v1::module_registry_service_server::ModuleRegistryService;
use svc_kit::{Caller, json};
use tonic::{Request, Response, Status as GrpcStatus};
use uuid::Uuid;

use crate::domain::Status;
use crate::error::{RegistryError, Result};
use crate::registry::Registry;
use crate::store::{self, Filter, StoredModule};

const DEFAULT_PAGE: u32 = 20;
const LARGEST_PAGE: u32 = 100;

type Answer<T> = std::result::Result<Response<T>, GrpcStatus>;

impl Registry {
    async fn page(
        &self,
        caller: &Caller,
        status: Option<Status>,
        size: i32,
        token: &str,
    ) -> Result<wire::ListModulesReply> {
        let size = match u32::try_from(size) {
            Ok(0) => DEFAULT_PAGE,
            Ok(size @ 1..=LARGEST_PAGE) => size,
            _ => {
                let message = format!("must be 1 to {LARGEST_PAGE}, or 0 for {DEFAULT_PAGE}");
                return Err(RegistryError::field("pageSize", "range", message));
            }
        };
        let after = Uuid::parse_str(token).ok();
        if after.is_none() && !token.is_empty() {
            let message = "must be the nextPageToken of the page before";
            return Err(RegistryError::field("pageToken", "format", message));
        }
        // One more than wanted tells whether there is a next page.
        let filter = Filter { status, after, limit: size + 1 };
        let mut rows = store::list(&self.database.tenant(caller.tenant), filter).await?;
        let more = rows.len() > size as usize;
        rows.truncate(size as usize);
        let last = rows.last().filter(|_| more).map(|module| module.id.to_string());
        Ok(wire::ListModulesReply {
            modules: rows.into_iter().map(to_module).collect(),
            next_page_token: last.unwrap_or_default(),
        })
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
        Ok(Response::new(self.page(&caller, status, request.page_size, &request.page_token).await?))
    }

    async fn list_active_modules(
        &self,
        request: Request<wire::ListActiveModulesRequest>,
    ) -> Answer<wire::ListModulesReply> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let page = self.page(&caller, Some(Status::Active), request.page_size, &request.page_token);
        Ok(Response::new(page.await?))
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
        created_at: Some(to_time(module.created_at)),
        updated_at: Some(to_time(module.updated_at)),
        activated_at: module.activated_at.map(to_time),
    }
}

fn to_time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}
