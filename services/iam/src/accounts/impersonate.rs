//! Acting in a user's name: the Platform Owner only, for a reason that is written down, for a quarter of an hour.

use svc_kit::{Caller, Problem, RequestContext};
use svc_stores::outbox;
use uuid::Uuid;

use super::{Accounts, Granted, names};
use crate::{
    domain::{IMPERSONATED, IamError, Role, Scope, check_reason},
    events,
};

impl Accounts {
    /// An access token of a user in a tenant, for the Platform Owner. Nothing renews it. The event is in the tenant's own
    /// trail: those inside can see who was there.
    ///
    /// # Errors
    ///
    /// When there is no reason, the caller is not the Platform Owner, the user is not in the tenant or is of the platform
    /// itself, or the tenant is blocked.
    pub async fn impersonate(
        &self,
        caller: &Caller,
        user: Uuid,
        tenant: Uuid,
        reason: &str,
        context: &RequestContext,
    ) -> Result<Granted, Problem> {
        check_reason(reason).map_err(|broken| IamError::Invalid(vec![broken]))?;
        let of_platform = |roles: &[Role]| roles.iter().any(|role| role.scope == Scope::Platform);
        let impersonator = caller.user()?;
        let own = self.store.roles_of(caller.tenant, impersonator).await?.ok_or(IamError::NotAMember)?;
        if !of_platform(&own) {
            return Err(IamError::NoImpersonation.into());
        }
        let roles = self.store.roles_of(tenant, user).await?.ok_or(IamError::NotFound("user"))?;
        if of_platform(&roles) {
            return Err(IamError::NoImpersonation.into());
        }
        if self.store.is_blocked(tenant).await? {
            return Err(IamError::TenantBlocked.into());
        }
        let found = self.store.user(user).await?.ok_or(IamError::NotFound("user"))?;
        let tenant = self.store.tenant(tenant).await?.ok_or(IamError::NotFound("user"))?;
        let mut names = names(&roles);
        names.push(IMPERSONATED.to_owned());
        let access_token = self.tokens.access(&found, tenant.id, names, self.now(), Some(impersonator))?;
        let mut transaction = self.store.begin().await?;
        let told = events::user_impersonated(user, tenant.id, impersonator, reason.trim(), context);
        outbox::append(&mut transaction, &told).await?;
        // Nobody gets the token before it is written down who has it.
        transaction.commit().await?;
        tracing::info!(%user, tenant = %tenant.id, %impersonator, "a user is impersonated");
        Ok(Granted { access_token, refresh_token: String::new(), user: found, tenant })
    }
}

/// The user who calls, unless somebody else acts in their name: what belongs to the person is not for others.
///
/// # Errors
///
/// When nobody is signed in, or somebody impersonates the user.
pub fn user_in_person(context: &RequestContext) -> Result<Uuid, Problem> {
    if context.roles().iter().any(|role| role == IMPERSONATED) {
        return Err(IamError::Impersonated.into());
    }
    context.user()
}
