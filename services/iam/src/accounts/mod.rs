//! What can be done with accounts. Handlers of the wire call these; rules stand in [`domain`](crate::domain).

mod login;
mod refresh;
mod register;
mod roles;
mod users;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use svc_kit::{Problem, RequestContext};
use svc_stores::{cache::Cache, outbox, relational::Transaction};
use tokio::sync::Notify;
use uuid::Uuid;

pub use login::LoginOutcome;
pub use register::Registration;
pub use users::NewUser;

use crate::{
    domain::{REFRESH_LIFETIME, Role, Tenant, TenantStatus, Tier, User},
    events,
    passwords::Passwords,
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
    /// Failed logins.
    pub cache: Arc<dyn Cache>,
    /// The time.
    pub clock: Clock,
    /// Told when a tenant was made that is to be completed.
    pub new_tenant: Arc<Notify>,
}

/// Tokens for a user in a tenant.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The JWT.
    pub access_token: String,
    /// The opaque token that gives the next pair.
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
        let access_token = self.tokens.access(&user, tenant.id, names(roles), now)?;
        Ok(Granted { access_token, refresh_token, user, tenant })
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
