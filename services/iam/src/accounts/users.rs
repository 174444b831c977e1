//! The users of a tenant.

use svc_kit::{Caller, Problem, RequestContext, Secret};
use svc_stores::outbox;
use uuid::Uuid;

use super::{Accounts, names, register::insert_user};
use crate::{
    domain::{
        Email, IamError, MEMBER, Purpose, Role, Tenant, Tier, User, check_assignment, check_name,
        check_password, check_removal, grants_in,
    },
    events,
    limits::TAKEN_OF_TENANT,
    store,
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
    /// The caller with their tenant and roles.
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
        let tier = self.store.tenant(tenant).await?.map_or(Tier::Client, |tenant| tenant.tier);
        Ok((grants_in(tier, &roles), names(&roles), self.store.is_blocked(tenant).await?))
    }

    /// Makes a user in the caller's tenant. A link to verify the address, or to set the password, is sent. Whoever has an
    /// account is not added: only an invitation proves whose account it is.
    ///
    /// # Errors
    ///
    /// When values break rules, a role is unknown or grants more than the caller has, or the address has an account.
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
        let whom = caller.tenant.to_string();
        self.limits.spend(&TAKEN_OF_TENANT, &[&whom]).await?;
        let purpose = if hash.is_some() { Purpose::Verify } else { Purpose::Reset };
        let user = self.new_user(email, new.name);
        let mut transaction = self.store.begin().await?;
        insert_user(&mut transaction, &user, hash).await?;
        self.limits.give_back(&TAKEN_OF_TENANT, &[&whom]).await;
        store::members::insert(&mut transaction, caller.tenant, user.id, &wanted, self.now()).await?;
        self.write_letter(&mut transaction, purpose, &user.email, None).await?;
        let created = events::user_created(&user, caller.tenant, &names(&roles), context);
        outbox::append(&mut transaction, &created).await?;
        transaction.commit().await?;
        self.new_letter.notify_one();
        Ok(user)
    }

    /// Gives a user of the caller's tenant another name.
    ///
    /// # Errors
    ///
    /// When there is none by this id in the tenant, or the name breaks a rule.
    pub async fn rename_user(
        &self,
        caller: &Caller,
        id: Uuid,
        name: &str,
        context: &RequestContext,
    ) -> Result<User, Problem> {
        check_name(name).map_err(|broken| IamError::Invalid(vec![broken]))?;
        self.user(caller.tenant, id).await?;
        let mut transaction = self.store.begin().await?;
        store::users::rename(&mut transaction, id, name, self.now()).await?;
        let user = store::users::by_id(&mut transaction, id).await?.ok_or(IamError::NotFound("user"))?;
        outbox::append(&mut transaction, &events::user_updated(&user, caller.tenant, context)).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Takes a user out of the caller's tenant, and ends their sessions there.
    ///
    /// # Errors
    ///
    /// When there is none by this id in the tenant, it is the Owner, or the user could do more than the caller.
    pub async fn remove_user(
        &self,
        caller: &Caller,
        id: Uuid,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        let removers =
            self.store.roles_of(caller.tenant, caller.user()?).await?.ok_or(IamError::NotAMember)?;
        let mut transaction = self.store.begin().await?;
        let old = store::members::roles_within(&mut transaction, caller.tenant, id).await?;
        let old = old.ok_or(IamError::NotFound("user"))?;
        check_removal(&old, &removers)?;
        store::members::remove(&mut transaction, caller.tenant, id).await?;
        store::sessions::revoke_in(&mut transaction, caller.tenant, id, self.now()).await?;
        let told = events::user_deleted(id, caller.tenant, &names(&old), context);
        outbox::append(&mut transaction, &told).await?;
        transaction.commit().await?;
        Ok(())
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
