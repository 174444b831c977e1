//! Tenants above each other, under a clock that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::{PASSWORD, World, caller, context, entered, refused};
use iam::{
    accounts::{Acceptance, NewTenant},
    domain::{Purpose, TenantStatus, Tier},
};
use svc_kit::permission::covers;
use svc_kit::{Caller, Problem, Secret, message::Page};
use uuid::Uuid;

async fn make(world: &World, maker: &Caller, tier: &str, email: &str) -> Result<Uuid, Problem> {
    let new = NewTenant { name: format!("of {email}"), tier: tier.to_owned(), owner_email: email.to_owned() };
    Ok(world.accounts.create_tenant(maker, new, &context()).await?.id)
}

/// Makes a tenant and accepts the invitation of its Owner.
async fn owner_of(world: &World, maker: &Caller, tier: &str, email: &str) -> Caller {
    let tenant = make(world, maker, tier, email).await.unwrap();
    let acceptance = Acceptance {
        token: world.token_for(email, Purpose::Invite).await,
        password: Some(Secret::new(PASSWORD)),
        name: String::new(),
    };
    world.accounts.accept_invitation(acceptance, &context()).await.unwrap();
    let signed_in = entered(world.login(email, PASSWORD, "").await);
    assert_eq!(signed_in.tenant.id, tenant);
    caller(tenant, signed_in.user.id)
}

async fn seen_by(world: &World, caller: &Caller) -> BTreeSet<Uuid> {
    let mut seen = BTreeSet::new();
    let mut page = Page::read(2, "").unwrap();
    loop {
        let found = world.accounts.list_tenants(caller, &page).await.unwrap();
        let (tenants, next) = page.cut(found, |tenant| tenant.id);
        for tenant in tenants {
            assert!(seen.insert(tenant.id), "no tenant is on two pages");
        }
        if next.is_empty() {
            return seen;
        }
        page = Page::read(2, &next).unwrap();
    }
}

#[tokio::test]
async fn everybody_sees_and_rules_what_is_below() {
    let world = World::new().await;
    let root = world.set_up().await;
    let north = owner_of(&world, &root, "partner", "north@example.com").await;
    let south = owner_of(&world, &root, "partner", "south@example.com").await;
    let direct = owner_of(&world, &root, "client", "direct@example.com").await;
    let inner = owner_of(&world, &north, "client", "inner@example.com").await;
    let everybody = [&root, &north, &south, &direct, &inner];
    let below = |top: &Caller| -> BTreeSet<Uuid> {
        let tree: &[&Caller] = match top.tenant {
            tenant if tenant == root.tenant => &everybody,
            tenant if tenant == north.tenant => &[&north, &inner],
            _ => &[top],
        };
        tree.iter().map(|caller| caller.tenant).collect()
    };
    for who in everybody {
        assert_eq!(seen_by(&world, who).await, below(who));
        for other in everybody {
            let is_below = below(who).contains(&other.tenant);
            let strictly = is_below && who.tenant != other.tenant;
            let accounts = &world.accounts;
            assert_eq!(accounts.retrieve_tenant(who, other.tenant).await.is_ok(), is_below);
            let renamed = accounts.rename_tenant(who, other.tenant, "Renamed", &context()).await;
            assert_eq!(renamed.is_ok(), is_below);
            let expected = match (is_below, strictly) {
                (_, true) => None,
                (true, false) => Some("own-tenant"),
                (false, _) => Some("not-found"),
            };
            for status in [TenantStatus::Blocked, TenantStatus::Active] {
                let set = accounts.set_tenant_status(who, other.tenant, status, "unpaid", &context()).await;
                assert_eq!(set.err().map(|problem| problem.slug().to_owned()).as_deref(), expected);
            }
            if !strictly {
                let deleted = accounts.delete_tenant(who, other.tenant, &context()).await;
                assert_eq!(Some(refused(deleted).as_str()), expected);
            }
        }
    }

    // Who may do so is what roles grant: a partner's Owner has the tenants below, a client's has none.
    for (who, expected) in [(&north, true), (&inner, false), (&direct, false)] {
        let (granted, _, _) = world.accounts.permissions(who.tenant, who.user.unwrap()).await.unwrap();
        for permission in ["tenants.create", "tenants.block", "tenants.delete"] {
            assert_eq!(covers(granted.iter().map(String::as_str), permission), expected, "{permission}");
        }
    }
    let onboarding = world.accounts.store.incomplete(10).await.unwrap();
    let waiting: BTreeSet<Uuid> = onboarding.iter().map(|state| state.tenant).collect();
    assert_eq!(waiting, below(&root), "each needs a wallet and a subscription");
}

#[tokio::test]
async fn tiers_and_values_are_checked() {
    let world = World::new().await;
    let root = world.set_up().await;
    let north = owner_of(&world, &root, "partner", "north@example.com").await;
    let direct = owner_of(&world, &root, "client", "direct@example.com").await;
    for (maker, tier, expected) in [
        (&root, "platform", "tier-not-allowed"),
        (&north, "platform", "tier-not-allowed"),
        (&north, "partner", "tier-not-allowed"),
        (&direct, "partner", "tier-not-allowed"),
        (&direct, "client", "tier-not-allowed"),
        (&root, "reseller", "validation-error"),
    ] {
        assert_eq!(refused(make(&world, maker, tier, "x@example.com").await), expected, "{tier}");
    }
    let nothing = NewTenant { name: " ".to_owned(), tier: String::new(), owner_email: String::new() };
    let problem = world.accounts.create_tenant(&root, nothing, &context()).await.unwrap_err();
    let fields: Vec<_> = problem.violation_list().iter().map(|broken| broken.field.as_str()).collect();
    assert_eq!(fields, ["name", "tier", "ownerEmail"]);
    let silent =
        world.accounts.set_tenant_status(&root, north.tenant, TenantStatus::Blocked, "", &context()).await;
    assert_eq!(refused(silent), "validation-error");
    let found = world.accounts.retrieve_tenant(&root, north.tenant).await.unwrap();
    assert_eq!(
        (found.tier, found.parent, found.status),
        (Tier::Partner, Some(root.tenant), TenantStatus::Active)
    );
}

#[tokio::test]
async fn a_blocked_partner_takes_its_clients_with_it_and_an_empty_one_can_go() {
    let world = World::new().await;
    let root = world.set_up().await;
    let north = owner_of(&world, &root, "partner", "north@example.com").await;
    let inner = owner_of(&world, &north, "client", "inner@example.com").await;
    let session = entered(world.login("inner@example.com", PASSWORD, "").await).refresh_token;
    let set = async |status| {
        world.accounts.set_tenant_status(&root, north.tenant, status, "unpaid", &context()).await.unwrap();
    };
    set(TenantStatus::Blocked).await;
    set(TenantStatus::Blocked).await;
    for email in ["north@example.com", "inner@example.com"] {
        assert_eq!(refused(world.login(email, PASSWORD, "").await), "tenant-blocked", "{email}");
    }
    assert_eq!(refused(world.refresh(&session).await), "tenant-blocked");
    set(TenantStatus::Active).await;
    let (session, _) = world.refresh(&session).await.unwrap();

    let full = world.accounts.delete_tenant(&root, north.tenant, &context()).await;
    assert_eq!(refused(full), "tenant-not-empty");
    world.accounts.delete_tenant(&north, inner.tenant, &context()).await.unwrap();
    assert_eq!(refused(world.refresh(&session).await), "token-expired");
    assert_eq!(refused(world.accounts.retrieve_tenant(&north, inner.tenant).await), "not-found");
    world.accounts.delete_tenant(&root, north.tenant, &context()).await.unwrap();
    assert_eq!(seen_by(&world, &root).await, BTreeSet::from([root.tenant]));
    let again = entered(world.login("inner@example.com", PASSWORD, "").await);
    assert_eq!(again.tenant.parent, Some(root.tenant), "the person is still there, in a tenant of their own");
}
