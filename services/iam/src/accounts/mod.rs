//! What can be done with accounts. Handlers of the wire call these; rules stand in [`domain`](crate::domain).

mod impersonate;
mod letters;
mod login;
mod mfa;
mod refresh;
mod register;
mod roles;
mod tenants;
mod users;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use svc_kit::{Problem, RequestContext};
use svc_stores::{outbox, relational::Transaction};
use tokio::sync::Notify;
use uuid::Uuid;

pub use impersonate::user_in_person;
pub use letters::Acceptance;
pub use login::LoginOutcome;
pub use mfa::NewFactor;
pub use register::Registration;
pub use roles::RoleChange;
pub use tenants::NewTenant;
pub use users::NewUser;

use crate::{
    domain::{Email, Letter, Purpose, REFRESH_LIFETIME, Role, Tenant, TenantStatus, Tier, User},
    events,
    limits::Limits,
    passwords::Passwords,
    sealing::Sealer,
    store::{self, IdentityStore, NewSession},
    tokens::{self, Tokens},
};

/// The time, as a parameter.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Everything that accounts need. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    /// The database.
    pub store: IdentityStore,
    /// Hashing.
    pub passwords: Passwords,
    /// Signing.
    pub tokens: Tokens,
    /// What only its owner and we can read.
    pub sealer: Sealer,
    /// Counts guesses.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// Told when a tenant was made that is to be completed, or deleted.
    pub new_tenant: Arc<Notify>,
    /// Told when a letter was written that is to be sent.
    pub new_letter: Arc<Notify>,
}

/// Tokens for a user in a tenant.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The JWT.
    pub access_token: String,
    /// The opaque token that gives the next pair; empty for somebody who impersonates.
    pub refresh_token: String,
    /// The user.
    pub user: User,
    /// The tenant.
    pub tenant: Tenant,
}

impl Accounts {
    fn now(&self) -> Timestamp {
        // What the database keeps, so that a time read back equals the time written.
        let now = (self.clock)();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// Opens a session and signs the first pair, inside of the caller's transaction.
    async fn sign_in(
        &self,
        transaction: &mut Transaction,
        user: User,
        tenant: Tenant,
        roles: &[Role],
        context: &RequestContext,
    ) -> Result<Granted, Problem> {
        let now = self.now();
        let session = NewSession { id: Uuid::now_v7(), user: user.id, tenant: tenant.id };
        let refresh_token = tokens::opaque();
        store::sessions::open(transaction, &session, now).await?;
        let digest = tokens::digest(&refresh_token);
        store::sessions::add_token(transaction, session.id, &digest, now, later(now, REFRESH_LIFETIME))
            .await?;
        store::users::set_last_tenant(transaction, user.id, tenant.id).await?;
        outbox::append(transaction, &events::user_logged_in(user.id, tenant.id, context)).await?;
        let access_token = self.tokens.access(&user, tenant.id, names(roles), now, None)?;
        Ok(Granted { access_token, refresh_token, user, tenant })
    }

    /// Writes a letter, inside of the caller's transaction. It is sent afterwards.
    async fn write_letter(
        &self,
        transaction: &mut Transaction,
        purpose: Purpose,
        email: &Email,
        invitation: Option<(Uuid, Vec<Uuid>)>,
    ) -> Result<(), Problem> {
        let now = self.now();
        let (tenant, roles) = invitation.map_or((None, Vec::new()), |(tenant, roles)| (Some(tenant), roles));
        let letter = Letter {
            id: Uuid::now_v7(),
            purpose,
            email: email.clone(),
            tenant,
            roles,
            created_at: now,
            expires_at: later(now, purpose.lifetime()),
            attempts: 0,
        };
        Ok(store::letters::write(transaction, &letter).await?)
    }

    /// Makes a tenant whose Owner the user is, and notes what it needs at other services.
    async fn make_tenant(
        &self,
        transaction: &mut Transaction,
        owner: Uuid,
        name: &str,
        role: &Role,
        tier: Tier,
    ) -> Result<Tenant, Problem> {
        let now = self.now();
        let parent = if tier == Tier::Platform { None } else { self.store.platform().await? };
        let tenant = Tenant {
            id: Uuid::now_v7(),
            name: name.trim().to_owned(),
            tier,
            status: TenantStatus::Active,
            parent,
            created_at: now,
            updated_at: now,
        };
        store::tenants::insert(transaction, &tenant).await?;
        store::members::insert(transaction, tenant.id, owner, &[role.id], now).await?;
        store::onboarding::begin(transaction, tenant.id, owner, now).await?;
        Ok(tenant)
    }
}

fn names(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| role.name.clone()).collect()
}

fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}
