//! `TenantService`: the caller's tenant and those below it.

use svc_api::iam::v1::{
    BlockTenantRequest, CreateTenantRequest, DeleteTenantRequest, ListTenantsReply, ListTenantsRequest,
    RetrieveTenantRequest, Tenant, UnblockTenantRequest, UpdateTenantRequest,
    tenant_service_server::TenantService,
};
use svc_kit::{
    Caller, RequestContext,
    message::{self, Page},
};
use tonic::{Request, Response, Status};

use super::{Handlers, convert};
use crate::{accounts::NewTenant, domain::TenantStatus};

#[tonic::async_trait]
impl TenantService for Handlers {
    async fn create_tenant(&self, request: Request<CreateTenantRequest>) -> Result<Response<Tenant>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let CreateTenantRequest { name, tier, owner_email } = request.into_inner();
        let new = NewTenant { name, tier, owner_email };
        Ok(Response::new(convert::tenant(self.accounts.create_tenant(&caller, new, &context).await?)))
    }

    async fn retrieve_tenant(
        &self,
        request: Request<RetrieveTenantRequest>,
    ) -> Result<Response<Tenant>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.get_ref().id)?;
        Ok(Response::new(convert::tenant(self.accounts.retrieve_tenant(&caller, id).await?)))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsReply>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let page = Page::read(request.page_size, &request.page_token)?;
        let found = self.accounts.list_tenants(&caller, &page).await?;
        let (tenants, next_page_token) = page.cut(found, |tenant| tenant.id);
        let tenants = tenants.into_iter().map(convert::tenant).collect();
        Ok(Response::new(ListTenantsReply { tenants, next_page_token }))
    }

    async fn update_tenant(&self, request: Request<UpdateTenantRequest>) -> Result<Response<Tenant>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let UpdateTenantRequest { id, tenant, update_mask } = request.into_inner();
        let id = message::id("id", &id)?;
        convert::only(update_mask.as_ref(), &["name"])?;
        let name = tenant.unwrap_or_default().name;
        Ok(Response::new(convert::tenant(self.accounts.rename_tenant(&caller, id, &name, &context).await?)))
    }

    async fn block_tenant(&self, request: Request<BlockTenantRequest>) -> Result<Response<Tenant>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let BlockTenantRequest { id, reason } = request.into_inner();
        let id = message::id("id", &id)?;
        let blocked =
            self.accounts.set_tenant_status(&caller, id, TenantStatus::Blocked, &reason, &context).await?;
        Ok(Response::new(convert::tenant(blocked)))
    }

    async fn unblock_tenant(
        &self,
        request: Request<UnblockTenantRequest>,
    ) -> Result<Response<Tenant>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let id = message::id("id", &request.get_ref().id)?;
        let active = self.accounts.set_tenant_status(&caller, id, TenantStatus::Active, "", &context).await?;
        Ok(Response::new(convert::tenant(active)))
    }

    async fn delete_tenant(&self, request: Request<DeleteTenantRequest>) -> Result<Response<()>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        let id = message::id("id", &request.get_ref().id)?;
        self.accounts.delete_tenant(&caller, id, &context).await?;
        Ok(Response::new(()))
    }
}
