//! Signing in, and choosing the tenant.

use std::time::Duration;

use svc_kit::{Problem, RequestContext, Secret};
use svc_stores::cache::CacheKey;
use uuid::Uuid;

use super::{Accounts, Granted, later};
use crate::{
    domain::{Choice, Email, IamError, OWNER, Tenant, Tier, User, choose},
    store, tokens,
};

/// How long a user may take to choose a tenant.
const CHOICE_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Failed logins are counted for so long.
const FAILURE_WINDOW: Duration = Duration::from_secs(15 * 60);

/// So many may fail for one address, and from one client.
const FAILURES_PER_EMAIL: i64 = 10;
const FAILURES_PER_CLIENT: i64 = 100;

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
    /// Checks address and password. The tenant follows from how many there are.
    ///
    /// # Errors
    ///
    /// When either is wrong, too many were wrong before, or every tenant of the user is blocked.
    pub async fn login(
        &self,
        email: &str,
        password: Secret,
        context: &RequestContext,
    ) -> Result<LoginOutcome, Problem> {
        let Ok(email) = Email::parse(email) else { return Err(IamError::WrongCredentials.into()) };
        let counters = self.count_attempt(&email, context).await?;
        let found = self.store.user_by_email(&email).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        let correct = self.passwords.matches(password, hash).await?;
        let Some(user) = user.filter(|_| correct) else { return Err(IamError::WrongCredentials.into()) };
        // Whoever knows the password is not guessing. A cache that is away forgets by itself.
        let _ = self.cache.delete(&counters.email).await;
        if let Some(client) = &counters.client {
            // Only this attempt: one right password must not hide a hundred guesses at others.
            let _ = self.cache.increment(client, -1, FAILURE_WINDOW).await;
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

    /// Counts before the password is compared, so that parallel guesses count too. Gives what to take back.
    async fn count_attempt(&self, email: &Email, context: &RequestContext) -> Result<Counters, Problem> {
        let counters = Counters {
            email: CacheKey::platform(&["failed-logins", "email", email.as_str()]),
            client: context
                .client_address
                .as_deref()
                .map(|address| CacheKey::platform(&["failed-logins", "client", address])),
        };
        let client = counters.client.iter().map(|key| (key, FAILURES_PER_CLIENT));
        for (key, limit) in std::iter::once((&counters.email, FAILURES_PER_EMAIL)).chain(client) {
            match self.cache.increment(key, 1, FAILURE_WINDOW).await {
                Ok(count) if count > limit => return Err(IamError::TooManyLogins.into()),
                Ok(_) => {}
                // Nobody should be locked out because the cache is away.
                Err(error) => tracing::warn!(%error, "failed logins cannot be counted"),
            }
        }
        Ok(counters)
    }
}

/// Where an attempt was counted.
struct Counters {
    email: CacheKey,
    client: Option<CacheKey>,
}
