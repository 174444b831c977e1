//! `AuthService`.

use svc_api::iam::v1::{
    LoginReply, LoginRequest, LogoutRequest, MeReply, MeRequest, RefreshRequest, RegisterRequest,
    SelectTenantRequest, SwitchTenantRequest, TokenReply, auth_service_server::AuthService,
};
use svc_kit::{Caller, RequestContext, Secret, message};
use tonic::{Request, Response, Status};

use super::{Handlers, convert};
use crate::{
    accounts::{LoginOutcome, Registration},
    domain::grants_of,
};

#[tonic::async_trait]
impl AuthService for Handlers {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<TokenReply>, Status> {
        let context = RequestContext::of(&request);
        let RegisterRequest { email, password, name, organization } = request.into_inner();
        let registration = Registration { email, password: Secret::new(password), name, organization };
        let granted = self.accounts.register(registration, &context).await?;
        Ok(Response::new(convert::token_reply(granted)))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginReply>, Status> {
        let context = RequestContext::of(&request);
        let LoginRequest { email, password, mfa_code: _ } = request.into_inner();
        let outcome = self.accounts.login(&email, Secret::new(password), &context).await?;
        Ok(Response::new(match outcome {
            LoginOutcome::Granted(granted) => {
                let TokenReply { access_token, refresh_token, token_type, expires_in, user, tenant } =
                    convert::token_reply(*granted);
                LoginReply {
                    access_token,
                    refresh_token,
                    token_type,
                    expires_in,
                    user,
                    tenant,
                    ..LoginReply::default()
                }
            }
            LoginOutcome::Choose { user, session_token, tenants } => LoginReply {
                user: Some(convert::user(user)),
                requires_tenant_selection: true,
                session_token,
                tenants: tenants.into_iter().map(convert::tenant).collect(),
                ..LoginReply::default()
            },
        }))
    }

    async fn select_tenant(
        &self,
        request: Request<SelectTenantRequest>,
    ) -> Result<Response<TokenReply>, Status> {
        let context = RequestContext::of(&request);
        let SelectTenantRequest { session_token, tenant_id } = request.into_inner();
        let tenant = message::id("tenantId", &tenant_id)?;
        let granted = self.accounts.select_tenant(&session_token, tenant, &context).await?;
        Ok(Response::new(convert::token_reply(granted)))
    }

    async fn switch_tenant(
        &self,
        request: Request<SwitchTenantRequest>,
    ) -> Result<Response<TokenReply>, Status> {
        let context = RequestContext::of(&request);
        let tenant = message::id("tenantId", &request.get_ref().tenant_id)?;
        let granted = self.accounts.switch_tenant(context.user()?, tenant, &context).await?;
        Ok(Response::new(convert::token_reply(granted)))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<TokenReply>, Status> {
        let granted = self.accounts.refresh(&request.get_ref().refresh_token).await?;
        Ok(Response::new(convert::token_reply(granted)))
    }

    async fn logout(&self, request: Request<LogoutRequest>) -> Result<Response<()>, Status> {
        let user = RequestContext::of(&request).user()?;
        self.accounts.logout(user, &request.get_ref().refresh_token).await?;
        Ok(Response::new(()))
    }

    async fn me(&self, request: Request<MeRequest>) -> Result<Response<MeReply>, Status> {
        let (user, tenant, roles) = self.accounts.me(&Caller::of(&request)?).await?;
        Ok(Response::new(MeReply {
            user: Some(convert::user(user)),
            tenant: Some(convert::tenant(tenant)),
            permissions: grants_of(&roles),
            roles: roles.into_iter().map(|role| role.name).collect(),
        }))
    }
}
