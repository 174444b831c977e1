//! `InternalService`: what other services and the operator's command line ask.

use jiff::Timestamp;
use svc_api::iam::v1::{
    GetJwksReply, GetJwksRequest, GetPermissionsReply, GetPermissionsRequest, SetupPlatformOwnerReply,
    SetupPlatformOwnerRequest, ValidateTokenReply, ValidateTokenRequest,
    internal_service_server::InternalService,
};
use svc_kit::{Problem, RequestContext, Secret, message};
use tonic::{Request, Response, Status};

use super::{Handlers, convert};
use crate::{accounts::Registration, domain::IamError};

#[tonic::async_trait]
impl InternalService for Handlers {
    async fn setup_platform_owner(
        &self,
        request: Request<SetupPlatformOwnerRequest>,
    ) -> Result<Response<SetupPlatformOwnerReply>, Status> {
        let context = RequestContext::of(&request);
        let SetupPlatformOwnerRequest { email, password, name } = request.into_inner();
        let organization = String::new();
        let registration = Registration { email, password: Secret::new(password), name, organization };
        let (user, tenant) = self.accounts.set_up(registration, &context).await?;
        let (user, tenant) = (Some(convert::user(user)), Some(convert::tenant(tenant)));
        Ok(Response::new(SetupPlatformOwnerReply { user, tenant }))
    }

    async fn get_permissions(
        &self,
        request: Request<GetPermissionsRequest>,
    ) -> Result<Response<GetPermissionsReply>, Status> {
        let request = request.get_ref();
        let tenant = message::id("tenantId", &request.tenant_id)?;
        let user = message::id("userId", &request.user_id)?;
        let (permissions, roles, tenant_blocked) = self.accounts.permissions(tenant, user).await?;
        Ok(Response::new(GetPermissionsReply { permissions, roles, tenant_blocked }))
    }

    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksReply>, Status> {
        let jwks_json = self.accounts.tokens.jwks(Timestamp::now()).await?;
        Ok(Response::new(GetJwksReply { jwks_json }))
    }

    async fn validate_token(
        &self,
        request: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenReply>, Status> {
        let claims = self.accounts.tokens.check(&request.get_ref().token, Timestamp::now()).await;
        let claims = claims.map_err(Problem::status)?;
        if self.accounts.store.is_blocked(claims.tenant_id).await.map_err(Problem::status)? {
            return Err(Problem::status(IamError::TenantBlocked));
        }
        let expires_at = Timestamp::from_second(claims.exp).ok().map(message::timestamp);
        Ok(Response::new(ValidateTokenReply {
            user_id: claims.sub.to_string(),
            tenant_id: claims.tenant_id.to_string(),
            roles: claims.roles,
            expires_at,
        }))
    }
}
