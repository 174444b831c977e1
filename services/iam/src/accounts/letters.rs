//! What is done with letters: confirming an address, setting a new password, entering a tenant. Whoever asks for a letter
//! learns nothing of the address: whether anybody has it is looked up when the letter is sent.

use svc_kit::{Caller, Problem, RequestContext, Secret};
use svc_stores::{outbox, relational::Transaction};
use uuid::Uuid;

use super::{Accounts, names, register::insert_user};
use crate::{
    domain::{
        Broken, Email, IamError, Letter, MEMBER, OWNER, Purpose, User, check_assignment, check_name,
        check_password,
    },
    events,
    limits::{
        self, INVITATIONS_OF_ADDRESS, INVITATIONS_OF_TENANT, RESETS_OF_ADDRESS, RESETS_OF_CLIENT,
        VERIFICATIONS_OF_USER,
    },
    store,
};

/// Why a link is refused: what it was is not told.
const DEAD: IamError = IamError::TokenDead("it is unknown, has ended, or was used");

/// An invitation that is accepted.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// From the link.
    pub token: String,
    /// The password from now on, for whoever has none that counts.
    pub password: Option<Secret>,
    /// The name of whoever has no account.
    pub name: String,
}

impl Accounts {
    /// Sends the caller a verification link, unless the address is verified.
    ///
    /// # Errors
    ///
    /// When there were too many.
    pub async fn request_verify_email(&self, user: Uuid) -> Result<(), Problem> {
        let user = self.store.user(user).await?.ok_or(IamError::NotFound("user"))?;
        self.limits.spend(&VERIFICATIONS_OF_USER, &[&user.id.to_string()]).await?;
        if user.email_verified {
            return Ok(());
        }
        self.send(Purpose::Verify, &user.email, None).await
    }

    /// Notes that an address is its user's.
    ///
    /// # Errors
    ///
    /// When the link is not good.
    pub async fn verify_email(&self, token: &str) -> Result<(), Problem> {
        let id = self.tokens.letter(token, Purpose::Verify).ok_or(DEAD)?;
        let now = self.now();
        let mut transaction = self.store.begin().await?;
        let letter = store::letters::take(&mut transaction, id, now).await?.ok_or(DEAD)?;
        let user = store::users::by_email(&mut transaction, &letter.email).await?.ok_or(DEAD)?;
        store::users::verify_email(&mut transaction, user.id, now).await?;
        store::letters::forget(&mut transaction, &letter.email, Purpose::Verify).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Sends a reset link to an address, if anybody has it.
    ///
    /// # Errors
    ///
    /// When it is no address, or there were too many requests.
    pub async fn request_reset(&self, email: &str, context: &RequestContext) -> Result<(), Problem> {
        let email = Email::parse(email).map_err(|broken| IamError::Invalid(vec![broken]))?;
        self.limits.spend(&RESETS_OF_ADDRESS, &[email.as_str()]).await?;
        if let Some(client) = limits::client(context) {
            self.limits.spend(&RESETS_OF_CLIENT, &[&client]).await?;
        }
        self.send(Purpose::Reset, &email, None).await
    }

    /// Sets a new password, which also proves that the address is its user's. Every session ends. The second factor
    /// stays, unless nobody had proven the address before: then it may be somebody else's.
    ///
    /// # Errors
    ///
    /// When the link is not good, or the password breaks a rule.
    pub async fn reset_password(&self, token: &str, password: Secret) -> Result<(), Problem> {
        check_password(password.expose()).map_err(|broken| IamError::Invalid(vec![broken]))?;
        let id = self.tokens.letter(token, Purpose::Reset).ok_or(DEAD)?;
        self.store.letter(id, self.now()).await?.ok_or(DEAD)?;
        let hash = self.passwords.hash(password).await?;
        let mut transaction = self.store.begin().await?;
        let letter = store::letters::take(&mut transaction, id, self.now()).await?.ok_or(DEAD)?;
        let user = store::users::by_email(&mut transaction, &letter.email).await?.ok_or(DEAD)?;
        self.give_to_owner(&mut transaction, &user, hash).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Invites an address to the caller's tenant.
    ///
    /// # Errors
    ///
    /// When it is no address, a role is unknown or grants more than the caller has, or there were too many.
    pub async fn invite_user(&self, caller: &Caller, email: &str, roles: Vec<Uuid>) -> Result<(), Problem> {
        let email = Email::parse(email).map_err(|broken| IamError::Invalid(vec![broken]))?;
        let wanted = if roles.is_empty() { vec![MEMBER().id] } else { roles };
        let roles = self.known_roles(caller.tenant, &wanted).await?;
        let givers = self.store.roles_of(caller.tenant, caller.user()?).await?.ok_or(IamError::NotAMember)?;
        check_assignment(&[], &roles, &givers)?;
        let tenant = caller.tenant.to_string();
        self.limits.spend(&INVITATIONS_OF_ADDRESS, &[&tenant, email.as_str()]).await?;
        self.limits.spend(&INVITATIONS_OF_TENANT, &[&tenant]).await?;
        self.send(Purpose::Invite, &email, Some((caller.tenant, wanted))).await
    }

    /// Enters a tenant. The link proves the address: an account that somebody else made for it before anybody proved it
    /// becomes that of whoever has the link.
    ///
    /// # Errors
    ///
    /// When the link is not good, the password is missing or breaks a rule, the tenant is blocked, or the user is in it.
    pub async fn accept_invitation(
        &self,
        acceptance: Acceptance,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        let mut broken: Vec<Broken> = check_name(&acceptance.name).err().into_iter().collect();
        let password = acceptance.password;
        broken.extend(password.as_ref().and_then(|password| check_password(password.expose()).err()));
        if !broken.is_empty() {
            return Err(IamError::Invalid(broken).into());
        }
        let id = self.tokens.letter(&acceptance.token, Purpose::Invite).ok_or(DEAD)?;
        let letter = self.store.letter(id, self.now()).await?.ok_or(DEAD)?;
        if self.store.is_blocked(letter.tenant.ok_or(DEAD)?).await? {
            return Err(IamError::TenantBlocked.into());
        }
        let hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let missing =
            || IamError::Invalid(vec![Broken::new("password", "required", "must be a new password")]);
        let mut transaction = self.store.begin().await?;
        let letter = store::letters::take(&mut transaction, id, self.now()).await?.ok_or(DEAD)?;
        let user = match store::users::by_email(&mut transaction, &letter.email).await? {
            Some(user) if user.email_verified => user,
            Some(user) => {
                self.give_to_owner(&mut transaction, &user, hash.ok_or_else(missing)?).await?;
                user
            }
            None => {
                let mut user = self.new_user(letter.email.clone(), acceptance.name);
                user.email_verified = true;
                insert_user(&mut transaction, &user, Some(hash.ok_or_else(missing)?)).await?;
                user
            }
        };
        self.join(&mut transaction, &user, &letter, context).await?;
        transaction.commit().await?;
        self.new_tenant.notify_one();
        Ok(())
    }

    /// Makes a user a member with the roles of an invitation, as far as they are still there.
    async fn join(
        &self,
        transaction: &mut Transaction,
        user: &User,
        invitation: &Letter,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        let tenant = invitation.tenant.ok_or(DEAD)?;
        let now = self.now();
        let mut roles = store::roles::some(transaction, tenant, &invitation.roles).await?;
        let owner = OWNER();
        if roles.contains(&owner) {
            if !store::members::with_role(transaction, tenant, owner.id).await?.is_empty() {
                return Err(IamError::OneOwner.into());
            }
            store::onboarding::begin(transaction, tenant, user.id, now).await?;
        }
        if roles.is_empty() {
            roles.push(MEMBER());
        }
        let ids: Vec<Uuid> = roles.iter().map(|role| role.id).collect();
        store::members::insert(transaction, tenant, user.id, &ids, now).await.map_err(|error| {
            if error.is_unique_conflict() { IamError::Exists("user").into() } else { Problem::from(error) }
        })?;
        let created = events::user_created(user, tenant, &names(&roles), context);
        Ok(outbox::append(transaction, &created).await?)
    }

    /// Whoever has the link has the address: the account is theirs, under a new password.
    async fn give_to_owner(
        &self,
        transaction: &mut Transaction,
        user: &User,
        hash: String,
    ) -> Result<(), Problem> {
        let now = self.now();
        store::users::set_password(transaction, user.id, hash, now).await?;
        store::sessions::revoke_all(transaction, user.id, now).await?;
        if !user.email_verified {
            store::users::verify_email(transaction, user.id, now).await?;
            store::mfa::switch(transaction, user.id, false).await?;
        }
        for purpose in [Purpose::Reset, Purpose::Verify] {
            store::letters::forget(transaction, &user.email, purpose).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        purpose: Purpose,
        email: &Email,
        invitation: Option<(Uuid, Vec<Uuid>)>,
    ) -> Result<(), Problem> {
        let mut transaction = self.store.begin().await?;
        self.write_letter(&mut transaction, purpose, email, invitation).await?;
        transaction.commit().await?;
        self.new_letter.notify_one();
        Ok(())
    }
}
