//! The tenants below the caller's: partners below the platform, clients below both. What is not the caller's tenant or
//! below it does not exist.

use svc_kit::{Caller, Problem, RequestContext, message::Page};
use svc_stores::{outbox, relational::Transaction};
use uuid::Uuid;

use super::Accounts;
use crate::{
    domain::{
        Broken, Email, IamError, OWNER, Purpose, Tenant, TenantStatus, Tier, check_name, check_new_tier,
        check_reason,
    },
    events, store,
};

/// A tenant that somebody makes below their own.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The name for people.
    pub name: String,
    /// `partner` or `client`.
    pub tier: String,
    /// Whose it is to be.
    pub owner_email: String,
}

impl Accounts {
    /// Makes a tenant below the caller's and invites its Owner. Wallet and subscription follow when the Owner is there.
    ///
    /// # Errors
    ///
    /// When values break rules, or a tenant of this tier cannot stand there.
    pub async fn create_tenant(
        &self,
        caller: &Caller,
        new: NewTenant,
        context: &RequestContext,
    ) -> Result<Tenant, Problem> {
        let mut broken: Vec<Broken> = check_tenant_name(&new.name).err().into_iter().collect();
        let tier = Tier::parse(&new.tier);
        if tier.is_none() {
            broken.push(Broken::new("tier", "unknown", "must be `partner` or `client`"));
        }
        let email = Email::parse(&new.owner_email);
        broken.extend(email.as_ref().err().map(|broken| Broken { field: "ownerEmail", ..broken.clone() }));
        let (Some(tier), Ok(email), true) = (tier, email, broken.is_empty()) else {
            return Err(IamError::Invalid(broken).into());
        };
        let by = caller.user()?;
        let above = self.store.tenant(caller.tenant).await?.ok_or(IamError::NotAMember)?;
        check_new_tier(above.tier, tier)?;
        let now = self.now();
        let tenant = Tenant {
            id: Uuid::now_v7(),
            name: new.name.trim().to_owned(),
            tier,
            status: TenantStatus::Active,
            parent: Some(above.id),
            created_at: now,
            updated_at: now,
        };
        let mut transaction = self.store.begin().await?;
        // Gone since we looked: then there is nothing to stand below.
        within(&mut transaction, above.id, above.id).await?;
        store::tenants::insert(&mut transaction, &tenant).await?;
        let invitation = Some((tenant.id, vec![OWNER().id]));
        self.write_letter(&mut transaction, Purpose::Invite, &email, invitation).await?;
        let told = events::tenant_changed("created", &tenant, by, "", context);
        outbox::append(&mut transaction, &told).await?;
        transaction.commit().await?;
        self.new_letter.notify_one();
        Ok(tenant)
    }

    /// A tenant: the caller's own or one below it.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn retrieve_tenant(&self, caller: &Caller, id: Uuid) -> Result<Tenant, Problem> {
        Ok(self.store.tenant_within(caller.tenant, id).await?.ok_or(IamError::NoTenant)?)
    }

    /// A page of the caller's tenant and those below it, oldest first. One item more than the page has, where there is.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn list_tenants(&self, caller: &Caller, page: &Page) -> Result<Vec<Tenant>, Problem> {
        Ok(self.store.tenants_within(caller.tenant, page.last, page.to_read()).await?)
    }

    /// Renames a tenant.
    ///
    /// # Errors
    ///
    /// When there is none, or the name breaks a rule.
    pub async fn rename_tenant(
        &self,
        caller: &Caller,
        id: Uuid,
        name: &str,
        context: &RequestContext,
    ) -> Result<Tenant, Problem> {
        check_tenant_name(name).map_err(|broken| IamError::Invalid(vec![broken]))?;
        let by = caller.user()?;
        let mut transaction = self.store.begin().await?;
        let found = within(&mut transaction, caller.tenant, id).await?;
        let tenant = Tenant { name: name.trim().to_owned(), updated_at: self.now(), ..found };
        store::tenants::update(&mut transaction, &tenant).await?;
        let told = events::tenant_changed("updated", &tenant, by, "", context);
        outbox::append(&mut transaction, &told).await?;
        transaction.commit().await?;
        Ok(tenant)
    }

    /// Blocks a tenant below the caller's, or lifts the block. Done twice, it is done once.
    ///
    /// # Errors
    ///
    /// When there is none, it is the caller's own, or a block has no reason.
    pub async fn set_tenant_status(
        &self,
        caller: &Caller,
        id: Uuid,
        status: TenantStatus,
        reason: &str,
        context: &RequestContext,
    ) -> Result<Tenant, Problem> {
        let what = match status {
            TenantStatus::Blocked => {
                check_reason(reason).map_err(|broken| IamError::Invalid(vec![broken]))?;
                "blocked"
            }
            TenantStatus::Active => "unblocked",
        };
        let by = caller.user()?;
        let mut transaction = self.store.begin().await?;
        let found = below(&mut transaction, caller.tenant, id).await?;
        if found.status == status {
            return Ok(found);
        }
        let tenant = Tenant { status, updated_at: self.now(), ..found };
        store::tenants::update(&mut transaction, &tenant).await?;
        let told = events::tenant_changed(what, &tenant, by, reason.trim(), context);
        outbox::append(&mut transaction, &told).await?;
        transaction.commit().await?;
        Ok(tenant)
    }

    /// Deletes a tenant below the caller's with its members, roles and sessions. Its users stay, as they are global. Its
    /// subscription at billing is canceled afterwards.
    ///
    /// # Errors
    ///
    /// When there is none, it is the caller's own, or there are tenants below it.
    pub async fn delete_tenant(
        &self,
        caller: &Caller,
        id: Uuid,
        context: &RequestContext,
    ) -> Result<(), Problem> {
        let by = caller.user()?;
        let mut transaction = self.store.begin().await?;
        let tenant = below(&mut transaction, caller.tenant, id).await?;
        if store::tenants::has_below(&mut transaction, id).await? {
            return Err(IamError::TenantNotEmpty.into());
        }
        store::tenants::delete(&mut transaction, id).await?;
        store::onboarding::part(&mut transaction, id, self.now()).await?;
        let told = events::tenant_changed("deleted", &tenant, by, "", context);
        outbox::append(&mut transaction, &told).await?;
        transaction.commit().await?;
        self.new_tenant.notify_one();
        Ok(())
    }
}

async fn within(transaction: &mut Transaction, top: Uuid, id: Uuid) -> Result<Tenant, Problem> {
    Ok(store::tenants::within(transaction, top, id).await?.ok_or(IamError::NoTenant)?)
}

async fn below(transaction: &mut Transaction, top: Uuid, id: Uuid) -> Result<Tenant, Problem> {
    if id == top {
        return Err(IamError::OwnTenant.into());
    }
    within(transaction, top, id).await
}

fn check_tenant_name(name: &str) -> Result<(), Broken> {
    if name.trim().is_empty() {
        return Err(Broken::new("name", "required", "must be the name of the tenant"));
    }
    check_name(name)
}
