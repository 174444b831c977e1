//! New accounts: a user with their own tenant, and the operator.

use svc_kit::{Problem, RequestContext, Secret};
use svc_stores::outbox;
use uuid::Uuid;

use super::{Accounts, Granted, names};
use crate::{
    domain::{
        Email, IamError, OWNER, PLATFORM_OWNER, Purpose, Tenant, Tier, User, check_name, check_organization,
        check_password,
    },
    events,
    limits::{self, TAKEN_OF_CLIENT},
    store::{self},
};

/// What somebody gives to register.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The address.
    pub email: String,
    /// The password.
    pub password: Secret,
    /// The person's name; may be empty.
    pub name: String,
    /// The name of the tenant.
    pub organization: String,
}

impl Accounts {
    /// Makes a user, their tenant and its Owner in one transaction, signs them in and sends a verification link. The wallet and the trial
    /// subscription live in other services: they are noted in the same transaction and follow.
    ///
    /// # Errors
    ///
    /// When values break rules, or the address is taken.
    pub async fn register(&self, new: Registration, context: &RequestContext) -> Result<Granted, Problem> {
        let email = check(&new, true)?;
        // Whoever registers is told that an address is taken: so much can be asked, and no more.
        let client = limits::client(context);
        if let Some(client) = &client {
            self.limits.spend(&TAKEN_OF_CLIENT, &[client]).await?;
        }
        let hash = self.passwords.hash(new.password).await?;
        let user = self.new_user(email, new.name);
        let mut transaction = self.store.begin().await?;
        insert_user(&mut transaction, &user, Some(hash)).await?;
        if let Some(client) = &client {
            self.limits.give_back(&TAKEN_OF_CLIENT, &[client]).await;
        }
        self.write_letter(&mut transaction, Purpose::Verify, &user.email, None).await?;
        let owner = OWNER();
        let tenant =
            self.make_tenant(&mut transaction, user.id, &new.organization, &owner, Tier::Client).await?;
        let roles = [owner];
        let created = events::user_created(&user, tenant.id, &names(&roles), context);
        outbox::append(&mut transaction, &created).await?;
        let granted = self.sign_in(&mut transaction, user, tenant, &roles, context).await?;
        transaction.commit().await?;
        self.new_tenant.notify_one();
        self.new_letter.notify_one();
        Ok(granted)
    }

    /// Makes the Platform Owner and the platform's own tenant, once.
    ///
    /// # Errors
    ///
    /// When values break rules, the address is taken, or there is one already.
    pub async fn set_up(
        &self,
        new: Registration,
        context: &RequestContext,
    ) -> Result<(User, Tenant), Problem> {
        let email = check(&new, false)?;
        if self.store.platform().await?.is_some() {
            return Err(IamError::AlreadySetUp.into());
        }
        let hash = self.passwords.hash(new.password).await?;
        let user = self.new_user(email, new.name);
        let mut transaction = self.store.begin().await?;
        insert_user(&mut transaction, &user, Some(hash)).await?;
        let role = PLATFORM_OWNER();
        let made = self.make_tenant(&mut transaction, user.id, "Platform", &role, Tier::Platform).await;
        let tenant = made.map_err(|problem| match problem.code() {
            // Somebody else was faster since we looked.
            tonic::Code::AlreadyExists => IamError::AlreadySetUp.into(),
            _ => problem,
        })?;
        let created = events::user_created(&user, tenant.id, &names(&[role]), context);
        outbox::append(&mut transaction, &created).await?;
        transaction.commit().await?;
        self.new_tenant.notify_one();
        Ok((user, tenant))
    }

    pub(super) fn new_user(&self, email: Email, name: String) -> User {
        let now = self.now();
        User {
            id: Uuid::now_v7(),
            email,
            name,
            email_verified: false,
            mfa_enabled: false,
            last_tenant: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Adds a user whose address nobody has.
pub(super) async fn insert_user(
    transaction: &mut svc_stores::relational::Transaction,
    user: &User,
    hash: Option<String>,
) -> Result<(), Problem> {
    store::users::insert(transaction, user, hash)
        .await
        .map_err(|error| if error.is_unique_conflict() { IamError::EmailTaken.into() } else { error.into() })
}

fn check(new: &Registration, with_organization: bool) -> Result<Email, IamError> {
    let email = Email::parse(&new.email);
    let mut broken: Vec<_> = email.as_ref().err().cloned().into_iter().collect();
    broken.extend(check_password(new.password.expose()).err());
    broken.extend(check_name(&new.name).err());
    if with_organization {
        broken.extend(check_organization(&new.organization).err());
    }
    match email {
        Ok(email) if broken.is_empty() => Ok(email),
        _ => Err(IamError::Invalid(broken)),
    }
}
