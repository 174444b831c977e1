//! Signing in, and choosing the tenant.

use std::time::Duration;

use svc_kit::{Problem, RequestContext, Secret};
use uuid::Uuid;

use super::{Accounts, Granted, later};
use crate::{
    domain::{Choice, Email, IamError, OWNER, Tenant, Tier, User, choose},
    limits::{self, LOGINS_OF_ADDRESS, LOGINS_OF_CLIENT, LOGINS_OF_PAIR},
    store, tokens,
};

/// How long a user may take to choose a tenant.
const CHOICE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What comes of a correct password.
#[derive(Debug, Clone)]
pub enum LoginOutcome {
    /// Signed in.
    Granted(Box<Granted>),
    /// The user must say which tenant is meant.
    Choose {
        /// The user.
        user: User,
        /// Opaque, five minutes, once.
        session_token: String,
        /// What to choose from.
        tenants: Vec<Tenant>,
    },
}

impl Accounts {
    /// Checks address and password, and the code of the second factor where there is one. The tenant follows from how
    /// many there are.
    ///
    /// # Errors
    ///
    /// When any of them is wrong, too many were wrong before, or every tenant of the user is blocked.
    pub async fn login(
        &self,
        email: &str,
        password: Secret,
        code: &str,
        context: &RequestContext,
    ) -> Result<LoginOutcome, Problem> {
        let Ok(email) = Email::parse(email) else { return Err(IamError::WrongCredentials.into()) };
        let client = limits::client(context);
        let attempt = Attempt { email: email.as_str(), client: client.as_deref() };
        self.count_attempt(&attempt).await?;
        let found = self.store.user_by_email(&email).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        let correct = self.passwords.matches(password, hash).await?;
        let Some(user) = user.filter(|_| correct) else { return Err(IamError::WrongCredentials.into()) };
        self.uncount_attempt(&attempt).await;
        if user.mfa_enabled {
            self.check_second_factor(&user, code).await?;
        }
        let all = self.store.tenants_of(user.id).await?;
        let mut open = Vec::new();
        for tenant in &all {
            if !self.store.is_blocked(tenant.id).await? {
                open.push(tenant.clone());
            }
        }
        if open.is_empty() && !all.is_empty() {
            return Err(IamError::TenantBlocked.into());
        }
        let ids: Vec<Uuid> = open.iter().map(|tenant| tenant.id).collect();
        match choose(&ids, user.last_tenant) {
            Choice::Enter(tenant) => {
                self.enter(user, tenant, context).await.map(Box::new).map(LoginOutcome::Granted)
            }
            Choice::Create => self.start_over(user, context).await.map(Box::new).map(LoginOutcome::Granted),
            Choice::Ask => {
                let session_token = tokens::opaque();
                let ends = later(self.now(), CHOICE_LIFETIME);
                let mut transaction = self.store.begin().await?;
                store::sessions::ask_tenant(&mut transaction, &tokens::digest(&session_token), user.id, ends)
                    .await?;
                transaction.commit().await?;
                Ok(LoginOutcome::Choose { user, session_token, tenants: open })
            }
        }
    }

    /// Signs in to the tenant that a user chose after a login.
    ///
    /// # Errors
    ///
    /// When nobody was asked, it was too long ago, or the user does not belong to the tenant.
    pub async fn select_tenant(
        &self,
        session_token: &str,
        tenant: Uuid,
        context: &RequestContext,
    ) -> Result<Granted, Problem> {
        let mut transaction = self.store.begin().await?;
        let asked =
            store::sessions::take_choice(&mut transaction, &tokens::digest(session_token), self.now())
                .await?;
        transaction.commit().await?;
        let user = asked.ok_or(IamError::TokenDead("the choice was made or took more than five minutes"))?;
        self.switch_tenant(user, tenant, context).await
    }

    /// Signs a known user in to another of their tenants.
    ///
    /// # Errors
    ///
    /// When the user does not belong to it, or it is blocked.
    pub async fn switch_tenant(
        &self,
        user: Uuid,
        tenant: Uuid,
        context: &RequestContext,
    ) -> Result<Granted, Problem> {
        let user = self.store.user(user).await?.ok_or(IamError::NotFound("user"))?;
        self.enter(user, tenant, context).await
    }

    async fn enter(&self, user: User, tenant: Uuid, context: &RequestContext) -> Result<Granted, Problem> {
        let roles = self.store.roles_of(tenant, user.id).await?.ok_or(IamError::NotAMember)?;
        if self.store.is_blocked(tenant).await? {
            return Err(IamError::TenantBlocked.into());
        }
        let tenant = self.store.tenant(tenant).await?.ok_or(IamError::NotAMember)?;
        let mut transaction = self.store.begin().await?;
        let granted = self.sign_in(&mut transaction, user, tenant, &roles, context).await?;
        transaction.commit().await?;
        Ok(granted)
    }

    /// A user without a tenant gets one of their own.
    async fn start_over(&self, user: User, context: &RequestContext) -> Result<Granted, Problem> {
        let name = if user.name.is_empty() { user.email.as_str() } else { &user.name }.to_owned();
        let owner = OWNER();
        let mut transaction = self.store.begin().await?;
        let tenant = self.make_tenant(&mut transaction, user.id, &name, &owner, Tier::Client).await?;
        let granted = self.sign_in(&mut transaction, user, tenant, &[owner], context).await?;
        transaction.commit().await?;
        self.new_tenant.notify_one();
        Ok(granted)
    }

    /// Counts before the password is compared, so that parallel guesses count too.
    async fn count_attempt(&self, attempt: &Attempt<'_>) -> Result<(), Problem> {
        self.limits.spend(&LOGINS_OF_PAIR, &[attempt.email, attempt.client.unwrap_or_default()]).await?;
        self.limits.spend(&LOGINS_OF_ADDRESS, &[attempt.email]).await?;
        if let Some(client) = attempt.client {
            self.limits.spend(&LOGINS_OF_CLIENT, &[client]).await?;
        }
        Ok(())
    }

    /// Whoever knows the password is not guessing. Beside what this client tried at this address, only this attempt is
    /// taken back: one right password must not hide a hundred guesses at others.
    async fn uncount_attempt(&self, attempt: &Attempt<'_>) {
        self.limits.forget(&LOGINS_OF_PAIR, &[attempt.email, attempt.client.unwrap_or_default()]).await;
        self.limits.give_back(&LOGINS_OF_ADDRESS, &[attempt.email]).await;
        if let Some(client) = attempt.client {
            self.limits.give_back(&LOGINS_OF_CLIENT, &[client]).await;
        }
    }
}

/// Who tries to sign in as whom.
struct Attempt<'a> {
    email: &'a str,
    client: Option<&'a str>,
}
