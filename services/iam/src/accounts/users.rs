//! The users of a tenant.

use svc_kit::{Caller, Problem, RequestContext, Secret};
use svc_stores::outbox;
use uuid::Uuid;

use super::{Accounts, names, register::insert_user};
use crate::{
    domain::{
        Email, IamError, MEMBER, Role, Tenant, User, check_assignment, check_name, check_password, grants_of,
    },
    events, store,
};

/// A user that somebody adds to their tenant.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The address.
    pub email: String,
    /// The person's name.
    pub name: String,
    /// A first password, if there is to be one.
    pub password: Option<Secret>,
    /// Ids of roles; without any the user becomes a Member.
    pub roles: Vec<Uuid>,
}

impl Accounts {
    /// The caller with their tenant, roles and permissions.
    ///
    /// # Errors
    ///
    /// When the user does not belong to the tenant any more.
    pub async fn me(&self, caller: &Caller) -> Result<(User, Tenant, Vec<Role>), Problem> {
        let id = caller.user()?;
        let user = self.store.user_in(caller.tenant, id).await?.ok_or(IamError::NotAMember)?;
        let tenant = self.store.tenant(caller.tenant).await?.ok_or(IamError::NotAMember)?;
        let roles = self.store.roles_of(caller.tenant, id).await?.ok_or(IamError::NotAMember)?;
        Ok((user, tenant, roles))
    }

    /// What a user may do in a tenant: permissions, names of roles, and whether the tenant is blocked. Somebody who
    /// does not belong to it may do nothing.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn permissions(
        &self,
        tenant: Uuid,
        user: Uuid,
    ) -> Result<(Vec<String>, Vec<String>, bool), Problem> {
        let roles = self.store.roles_of(tenant, user).await?.unwrap_or_default();
        Ok((grants_of(&roles), names(&roles), self.store.is_blocked(tenant).await?))
    }

    /// Makes a user in the caller's tenant, or adds a known one to it. The password of a known one stays.
    ///
    /// # Errors
    ///
    /// When values break rules, a role is unknown or grants more than the caller has, or the user is there already.
    pub async fn create_user(
        &self,
        caller: &Caller,
        new: NewUser,
        context: &RequestContext,
    ) -> Result<User, Problem> {
        let email = Email::parse(&new.email);
        let mut broken: Vec<_> = email.as_ref().err().cloned().into_iter().collect();
        broken.extend(check_name(&new.name).err());
        broken.extend(new.password.as_ref().and_then(|password| check_password(password.expose()).err()));
        let email = match email {
            Ok(email) if broken.is_empty() => email,
            _ => return Err(IamError::Invalid(broken).into()),
        };
        let wanted = if new.roles.is_empty() { vec![MEMBER().id] } else { new.roles };
        let roles = self.known_roles(caller.tenant, &wanted).await?;
        let givers = self.store.roles_of(caller.tenant, caller.user()?).await?.ok_or(IamError::NotAMember)?;
        check_assignment(&[], &roles, &givers)?;
        let hash = match new.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let known = self.store.user_by_email(&email).await?.map(|(user, _)| user);
        let is_new = known.is_none();
        let user = known.unwrap_or_else(|| self.new_user(email, new.name));
        let mut transaction = self.store.begin().await?;
        if is_new {
            insert_user(&mut transaction, &user, hash).await?;
        }
        let added =
            store::members::insert(&mut transaction, caller.tenant, user.id, &wanted, self.now()).await;
        added.map_err(|error| {
            if error.is_unique_conflict() { IamError::Exists("user").into() } else { Problem::from(error) }
        })?;
        let created = events::user_created(&user, caller.tenant, &names(&roles), context);
        outbox::append(&mut transaction, &created).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// One user of a tenant.
    ///
    /// # Errors
    ///
    /// When there is none by this id in the tenant.
    pub async fn user(&self, tenant: Uuid, id: Uuid) -> Result<User, Problem> {
        Ok(self.store.user_in(tenant, id).await?.ok_or(IamError::NotFound("user"))?)
    }

    /// The roles with these ids, all of which the tenant knows.
    pub(super) async fn known_roles(&self, tenant: Uuid, ids: &[Uuid]) -> Result<Vec<Role>, Problem> {
        let roles = self.store.roles(tenant, ids).await?;
        if ids.iter().any(|id| !roles.iter().any(|role| role.id == *id)) {
            return Err(IamError::NotFound("role").into());
        }
        Ok(roles)
    }
}
