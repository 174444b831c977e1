//! The roles of a tenant, and who has them.

use svc_kit::{Caller, Problem, RequestContext};
use svc_stores::{outbox, relational::Transaction};
use uuid::Uuid;

use super::{Accounts, names};
use crate::{
    domain::{BUILT_IN, IamError, Role, Scope, check_assignment, check_new_role},
    events, store,
};

/// What changes of a role; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Other permissions.
    pub permissions: Option<Vec<String>>,
}

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

    /// Changes a role of the caller's tenant.
    ///
    /// # Errors
    ///
    /// When it is unknown or built in, values break rules, the name is taken, or it granted or would grant more than the
    /// caller has.
    pub async fn update_role(&self, caller: &Caller, id: Uuid, change: RoleChange) -> Result<Role, Problem> {
        let makers = self.store.roles_of(caller.tenant, caller.user()?).await?.ok_or(IamError::NotAMember)?;
        let mut transaction = self.store.begin().await?;
        let old = own_role(&mut transaction, caller.tenant, id).await?;
        // Whoever could not give it cannot take from it either.
        check_new_role(&old.name, &old.permissions, &makers)?;
        let role = Role {
            name: change.name.unwrap_or(old.name),
            description: change.description.unwrap_or(old.description),
            permissions: change.permissions.unwrap_or(old.permissions),
            ..old
        };
        check_new_role(&role.name, &role.permissions, &makers)?;
        store::roles::update(&mut transaction, caller.tenant, &role).await.map_err(|error| {
            if error.is_unique_conflict() { IamError::Exists("role").into() } else { Problem::from(error) }
        })?;
        transaction.commit().await?;
        Ok(role)
    }

    /// Takes a role from everybody in the caller's tenant and deletes it.
    ///
    /// # Errors
    ///
    /// When it is unknown or built in, or grants more than the caller has.
    pub async fn delete_role(
        &self,
        caller: &Caller,
        id: Uuid,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        let makers = self.store.roles_of(caller.tenant, caller.user()?).await?.ok_or(IamError::NotAMember)?;
        let mut transaction = self.store.begin().await?;
        let role = own_role(&mut transaction, caller.tenant, id).await?;
        check_new_role(&role.name, &role.permissions, &makers)?;
        for user in store::members::with_role(&mut transaction, caller.tenant, id).await? {
            let old = store::members::roles_within(&mut transaction, caller.tenant, user).await?;
            let old = old.unwrap_or_default();
            let new: Vec<Role> = old.iter().filter(|role| role.id != id).cloned().collect();
            let changed = events::role_changed(user, caller.tenant, &names(&old), &names(&new), context);
            outbox::append(&mut transaction, &changed).await?;
        }
        store::members::take_role(&mut transaction, caller.tenant, id).await?;
        store::roles::delete(&mut transaction, caller.tenant, id).await?;
        transaction.commit().await?;
        Ok(())
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

async fn own_role(transaction: &mut Transaction, tenant: Uuid, id: Uuid) -> Result<Role, Problem> {
    if BUILT_IN.iter().any(|role| role().id == id) {
        return Err(IamError::BuiltInRole.into());
    }
    Ok(store::roles::own(transaction, tenant, id).await?.ok_or(IamError::NotFound("role"))?)
}
