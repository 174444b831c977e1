//! The roles of a tenant, and who has them.

use svc_kit::{Caller, Problem, RequestContext};
use svc_stores::outbox;
use uuid::Uuid;

use super::{Accounts, names};
use crate::{
    domain::{IamError, Role, Scope, check_assignment, check_new_role},
    events, store,
};

impl Accounts {
    /// Makes a role in the caller's tenant.
    ///
    /// # Errors
    ///
    /// When values break rules, the name is taken, or it would grant more than the caller has.
    pub async fn create_role(
        &self,
        caller: &Caller,
        name: String,
        description: String,
        permissions: Vec<String>,
    ) -> Result<Role, Problem> {
        let maker = caller.user()?;
        let givers = self.store.roles_of(caller.tenant, maker).await?.ok_or(IamError::NotAMember)?;
        check_new_role(&name, &permissions, &givers)?;
        let role = Role {
            id: Uuid::now_v7(),
            name,
            description,
            permissions,
            scope: Scope::Tenant,
            tenant: Some(caller.tenant),
            created_by: Some(maker),
            created_at: self.now(),
        };
        let mut transaction = self.store.begin().await?;
        store::roles::insert(&mut transaction, caller.tenant, &role).await.map_err(|error| {
            if error.is_unique_conflict() { IamError::Exists("role").into() } else { Problem::from(error) }
        })?;
        transaction.commit().await?;
        Ok(role)
    }

    /// Replaces the roles of a user in the caller's tenant.
    ///
    /// # Errors
    ///
    /// When the user or a role is unknown, the Owner would change, or a role grants more than the caller has.
    pub async fn assign_roles(
        &self,
        caller: &Caller,
        user: Uuid,
        wanted: &[Uuid],
        context: &RequestContext,
    ) -> Result<Vec<Role>, Problem> {
        let new = self.known_roles(caller.tenant, wanted).await?;
        let givers = self.store.roles_of(caller.tenant, caller.user()?).await?.ok_or(IamError::NotAMember)?;
        let mut transaction = self.store.begin().await?;
        let old = store::members::roles_within(&mut transaction, caller.tenant, user).await?;
        let old = old.ok_or(IamError::NotFound("user"))?;
        check_assignment(&old, &new, &givers)?;
        store::members::set_roles(&mut transaction, caller.tenant, user, wanted).await?;
        let changed = events::role_changed(user, caller.tenant, &names(&old), &names(&new), context);
        outbox::append(&mut transaction, &changed).await?;
        transaction.commit().await?;
        Ok(new)
    }
}
