//! `TenantService`: not there yet, except for asking after one's own tenant.

use svc_api::iam::v1::{RetrieveTenantRequest, Tenant, tenant_service_server::TenantService};
use svc_kit::{Caller, Problem, message};
use tonic::{Request, Response, Status};

use super::{Handlers, convert};

#[tonic::async_trait]
impl TenantService for Handlers {
    async fn retrieve_tenant(
        &self,
        request: Request<RetrieveTenantRequest>,
    ) -> Result<Response<Tenant>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.get_ref().id)?;
        let unknown = || Problem::not_found("There is no such tenant, or it is not yours.");
        if id != caller.tenant {
            return Err(unknown().into());
        }
        let tenant = self.accounts.store.tenant(id).await.map_err(Problem::status)?.ok_or_else(unknown)?;
        Ok(Response::new(convert::tenant(tenant)))
    }
}
