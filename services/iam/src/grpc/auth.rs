//! `AuthService`.

use svc_api::iam::v1::{
    AcceptInvitationRequest, DisableMfaRequest, EnableMfaReply, EnableMfaRequest, ImpersonateRequest,
    LoginReply, LoginRequest, LogoutRequest, MeReply, MeRequest, RecoveryCodesReply, RefreshRequest,
    RegenerateRecoveryCodesRequest, RegisterRequest, RequestResetRequest, RequestVerifyEmailRequest,
    ResetPasswordRequest, SelectTenantRequest, SwitchTenantRequest, TokenReply, VerifyEmailRequest,
    VerifyMfaRequest, auth_service_server::AuthService,
};
use svc_kit::{Caller, RequestContext, Secret, message};
use tonic::{Request, Response, Status};

use super::{Handlers, convert};
use crate::{
    accounts::{Acceptance, LoginOutcome, NewFactor, Registration, user_in_person},
    domain::grants_in,
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
        let LoginRequest { email, password, mfa_code } = request.into_inner();
        let outcome = self.accounts.login(&email, Secret::new(password), mfa_code.trim(), &context).await?;
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
        let granted = self.accounts.switch_tenant(user_in_person(&context)?, tenant, &context).await?;
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
            permissions: grants_in(tenant.tier, &roles),
            tenant: Some(convert::tenant(tenant)),
            roles: roles.into_iter().map(|role| role.name).collect(),
        }))
    }

    async fn impersonate(
        &self,
        request: Request<ImpersonateRequest>,
    ) -> Result<Response<TokenReply>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        user_in_person(&context)?;
        let ImpersonateRequest { user_id, tenant_id, reason } = request.into_inner();
        let user = message::id("userId", &user_id)?;
        let tenant = message::id("tenantId", &tenant_id)?;
        let granted = self.accounts.impersonate(&caller, user, tenant, &reason, &context).await?;
        Ok(Response::new(convert::token_reply(granted)))
    }

    async fn enable_mfa(
        &self,
        request: Request<EnableMfaRequest>,
    ) -> Result<Response<EnableMfaReply>, Status> {
        user_in_person(&RequestContext::of(&request))?;
        let new = self.accounts.enable_mfa(&Caller::of(&request)?).await?;
        let NewFactor { secret, uri, picture, recovery_codes } = new;
        Ok(Response::new(EnableMfaReply { secret, otpauth_uri: uri, qr_svg: picture, recovery_codes }))
    }

    async fn verify_mfa(&self, request: Request<VerifyMfaRequest>) -> Result<Response<()>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        user_in_person(&context)?;
        self.accounts.verify_mfa(&caller, request.get_ref().code.trim(), &context).await?;
        Ok(Response::new(()))
    }

    async fn disable_mfa(&self, request: Request<DisableMfaRequest>) -> Result<Response<()>, Status> {
        let (caller, context) = (Caller::of(&request)?, RequestContext::of(&request));
        user_in_person(&context)?;
        self.accounts.disable_mfa(&caller, request.get_ref().code.trim(), &context).await?;
        Ok(Response::new(()))
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<RegenerateRecoveryCodesRequest>,
    ) -> Result<Response<RecoveryCodesReply>, Status> {
        user_in_person(&RequestContext::of(&request))?;
        let caller = Caller::of(&request)?;
        let code = request.get_ref().code.trim();
        let recovery_codes = self.accounts.regenerate_recovery_codes(&caller, code).await?;
        Ok(Response::new(RecoveryCodesReply { recovery_codes }))
    }

    async fn request_verify_email(
        &self,
        request: Request<RequestVerifyEmailRequest>,
    ) -> Result<Response<()>, Status> {
        let user = user_in_person(&RequestContext::of(&request))?;
        self.accounts.request_verify_email(user).await?;
        Ok(Response::new(()))
    }

    async fn verify_email(&self, request: Request<VerifyEmailRequest>) -> Result<Response<()>, Status> {
        self.accounts.verify_email(&request.get_ref().token).await?;
        Ok(Response::new(()))
    }

    async fn request_reset(&self, request: Request<RequestResetRequest>) -> Result<Response<()>, Status> {
        let context = RequestContext::of(&request);
        self.accounts.request_reset(&request.get_ref().email, &context).await?;
        Ok(Response::new(()))
    }

    async fn reset_password(&self, request: Request<ResetPasswordRequest>) -> Result<Response<()>, Status> {
        let ResetPasswordRequest { token, password } = request.into_inner();
        self.accounts.reset_password(&token, Secret::new(password)).await?;
        Ok(Response::new(()))
    }

    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Result<Response<()>, Status> {
        let context = RequestContext::of(&request);
        let AcceptInvitationRequest { token, password, name } = request.into_inner();
        let password = (!password.is_empty()).then(|| Secret::new(password));
        self.accounts.accept_invitation(Acceptance { token, password, name }, &context).await?;
        Ok(Response::new(()))
    }
}
