//! Accounts under a clock and a database that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::{DAY, PASSWORD, World, caller_of, context, context_from, entered, refused};
use iam::{
    accounts::{RoleChange, user_in_person},
    domain::{ADMIN, IMPERSONATED, MEMBER, OWNER},
    limits::LOGINS_OF_CLIENT,
    tokens::{Actor, Claims},
};
use svc_kit::{RequestContext, Secret};
use svc_stores::values;

const ADA: &str = "ada@example.com";

#[tokio::test]
async fn the_same_token_gives_the_same_pair_for_ten_seconds() {
    let world = World::new().await;
    let first = world.register(ADA).await.refresh_token;
    let pair = world.refresh(&first).await.unwrap();
    world.pass(10);
    assert_eq!(world.refresh(&first).await.unwrap(), pair);
}

#[tokio::test]
async fn a_token_that_comes_again_later_ends_the_whole_session() {
    let world = World::new().await;
    let first = world.register(ADA).await.refresh_token;
    let (second, _) = world.refresh(&first).await.unwrap();
    world.pass(11);
    assert_eq!(world.refresh(&first).await.unwrap_err().slug(), "token-expired");
    let dead = world.refresh(&second).await.unwrap_err();
    assert!(dead.detail_text().contains("session was ended"), "{dead}");
}

#[tokio::test]
async fn a_token_lives_seven_days_and_the_next_one_seven_more() {
    let world = World::new().await;
    let first = world.register(ADA).await.refresh_token;
    world.pass(7 * DAY - 1);
    let (second, _) = world.refresh(&first).await.unwrap();
    world.pass(7 * DAY);
    assert!(world.refresh(&second).await.unwrap_err().detail_text().contains("it has ended"));
    let before = (world.accounts.clock)().checked_add(Duration::from_secs(1)).unwrap();
    assert_eq!(
        world.accounts.store.forget_ended(before).await.unwrap(),
        4,
        "a letter, two tokens, their session"
    );
}

#[tokio::test]
async fn a_block_reaches_everything_below_the_blocked_tenant() {
    let world = World::new().await;
    let platform = world.set_up().await.tenant;
    let ada = world.register(ADA).await;
    assert!(!world.accounts.permissions(ada.tenant.id, ada.user.id).await.unwrap().2);

    let block = "UPDATE tenants SET status = 'blocked' WHERE id = $1";
    world.database.system().execute(block, values![platform]).await.unwrap();
    assert_eq!(world.login(ADA, PASSWORD, "").await.unwrap_err().slug(), "tenant-blocked");
    assert_eq!(world.refresh(&ada.refresh_token).await.unwrap_err().slug(), "tenant-blocked");
    assert!(world.accounts.permissions(ada.tenant.id, ada.user.id).await.unwrap().2);

    let lift = "UPDATE tenants SET status = 'active' WHERE id = $1";
    world.database.system().execute(lift, values![platform]).await.unwrap();
    world.refresh(&ada.refresh_token).await.expect("a refused refresh did not use the token up");
}

#[tokio::test]
async fn a_user_who_left_every_tenant_gets_a_new_one_and_loses_the_old_session() {
    let world = World::new().await;
    let ada = world.register(ADA).await;
    for table in ["member_roles", "members"] {
        let sql = format!("DELETE FROM {table} WHERE tenant_id = $1");
        world.database.tenant(ada.tenant.id).execute(&sql, values![]).await.unwrap();
    }
    assert_eq!(world.refresh(&ada.refresh_token).await.unwrap_err().slug(), "not-a-member");
    let again = entered(world.login(ADA, PASSWORD, "").await);
    assert_ne!(again.tenant.id, ada.tenant.id);
    let (permissions, roles, _) = world.accounts.permissions(again.tenant.id, ada.user.id).await.unwrap();
    assert_eq!(roles, ["Owner"]);
    assert_eq!(permissions, ["*"]);
    assert_eq!(world.accounts.store.incomplete(10).await.unwrap().len(), 2, "both need a wallet");
}

#[tokio::test]
async fn right_passwords_of_one_client_are_not_counted_as_guesses() {
    let world = World::new().await;
    world.register(ADA).await;
    let mut context = RequestContext::of_platform(None);
    context.client_address = Some("192.0.2.7".to_owned());
    let login = |password: &str| world.accounts.login(ADA, Secret::new(password.to_owned()), "", &context);
    // An office behind one address has mistyped often already.
    for _ in 0..98 {
        world.accounts.limits.spend(&LOGINS_OF_CLIENT, &["192.0.2.7"]).await.unwrap();
    }
    for _ in 0..4 {
        assert!(login(PASSWORD).await.is_ok(), "a right password takes its own count back");
    }
    for _ in 0..2 {
        assert_eq!(login("wrong").await.unwrap_err().slug(), "invalid-credentials");
    }
    assert_eq!(login(PASSWORD).await.unwrap_err().slug(), "rate-limited", "guesses are not forgotten");
}

#[tokio::test]
async fn guessing_keeps_nobody_else_out_of_an_account() {
    let world = World::new().await;
    world.register(ADA).await;
    let from = context_from;
    // A /64 is one client, however many of its addresses it uses.
    for guess in 0..10 {
        let context = from(&format!("2001:db8:1:2::{guess}"));
        let wrong = world.accounts.login(ADA, Secret::new("wrong"), "", &context).await;
        assert_eq!(refused(wrong), "invalid-credentials", "{guess}");
    }
    for (address, outcome) in
        [("2001:db8:1:2:ffff::1", Some("rate-limited")), ("2001:db8:1:3::1", None), ("192.0.2.7", None)]
    {
        let login = world.accounts.login(ADA, Secret::new(PASSWORD), "", &from(address)).await;
        assert_eq!(login.err().map(|problem| problem.slug().to_owned()).as_deref(), outcome, "{address}");
    }
}

#[tokio::test]
async fn a_user_who_is_taken_out_cannot_come_back_by_an_old_session() {
    let world = World::new().await;
    let ada = world.register(ADA).await;
    let owner = caller_of(&ada);
    let new = iam::accounts::NewUser {
        email: "bob@example.com".to_owned(),
        name: "Bob".to_owned(),
        password: Some(Secret::new(PASSWORD)),
        roles: vec![ADMIN().id],
    };
    let made = world.accounts.create_user(&owner, new.clone(), &context()).await.unwrap();
    assert_eq!(refused(world.accounts.create_user(&owner, new, &context()).await), "email-taken");
    let bob = entered(world.login("bob@example.com", PASSWORD, "").await);

    let renamed = world.accounts.rename_user(&owner, made.id, "Robert", &context()).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.email), ("Robert", made.email));
    let stranger = caller_of(&world.register("eve@example.com").await);
    assert_eq!(refused(world.accounts.rename_user(&stranger, made.id, "x", &context()).await), "not-found");
    assert_eq!(refused(world.accounts.remove_user(&stranger, made.id, &context()).await), "not-found");

    let by_admin = world.accounts.remove_user(&caller_of(&bob), ada.user.id, &context()).await;
    assert_eq!(refused(by_admin), "one-owner");
    world.accounts.remove_user(&owner, made.id, &context()).await.unwrap();
    assert_eq!(
        refused(world.refresh(&bob.refresh_token).await),
        "token-expired",
        "not only kept out for now"
    );
    let (permissions, _, _) = world.accounts.permissions(ada.tenant.id, made.id).await.unwrap();
    assert!(permissions.is_empty());
    assert_eq!(refused(world.accounts.remove_user(&owner, made.id, &context()).await), "not-found");
}

#[tokio::test]
async fn roles_change_and_go_with_all_who_have_them() {
    let world = World::new().await;
    let ada = world.register(ADA).await;
    let owner = caller_of(&ada);
    let permissions = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let made =
        world.accounts.create_role(&owner, "Cashier".to_owned(), String::new(), permissions(&["crm.*"]));
    let role = made.await.unwrap();
    let new = iam::accounts::NewUser {
        email: "bob@example.com".to_owned(),
        name: String::new(),
        password: None,
        roles: vec![role.id],
    };
    let bob = world.accounts.create_user(&owner, new, &context()).await.unwrap();
    let grants = async || world.accounts.permissions(ada.tenant.id, bob.id).await.unwrap().0;

    let change = RoleChange { permissions: Some(permissions(&["money.*"])), ..RoleChange::default() };
    let changed = world.accounts.update_role(&owner, role.id, change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.permissions), ("Cashier", permissions(&["money.*"])));
    assert_eq!(grants().await, ["money.*"]);
    let reach = RoleChange { permissions: Some(permissions(&["system.*"])), ..RoleChange::default() };
    assert_eq!(refused(world.accounts.update_role(&owner, role.id, reach).await), "validation-error");
    let name = RoleChange { name: Some("Owner".to_owned()), ..RoleChange::default() };
    assert_eq!(refused(world.accounts.update_role(&owner, role.id, name).await), "validation-error");

    let stranger = caller_of(&world.register("eve@example.com").await);
    for (caller, id, slug) in [
        (&owner, OWNER().id, "built-in-role"),
        (&owner, MEMBER().id, "built-in-role"),
        (&stranger, role.id, "not-found"),
    ] {
        let update = world.accounts.update_role(caller, id, RoleChange::default()).await;
        assert_eq!(refused(update), slug);
        assert_eq!(refused(world.accounts.delete_role(caller, id, &context()).await), slug);
    }
    world.accounts.delete_role(&owner, role.id, &context()).await.unwrap();
    assert!(grants().await.is_empty());
    assert_eq!(refused(world.accounts.delete_role(&owner, role.id, &context()).await), "not-found");
}

#[tokio::test]
async fn only_the_platform_owner_impersonates_and_says_why() {
    let world = World::new().await;
    let root = world.set_up().await;
    let ada = world.register(ADA).await;
    let accounts = &world.accounts;
    let (user, tenant) = (ada.user.id, ada.tenant.id);
    let stranger = caller_of(&world.register("eve@example.com").await);
    let cases = [
        (&root, user, tenant, " ", "validation-error"),
        (&stranger, user, tenant, "curious", "permission-denied"),
        (&root, user, stranger.tenant, "ticket 7", "not-found"),
        (&root, root.user.unwrap(), root.tenant, "ticket 7", "permission-denied"),
    ];
    for (caller, user, tenant, reason, slug) in cases {
        let outcome = accounts.impersonate(caller, user, tenant, reason, &context()).await;
        assert_eq!(refused(outcome), slug, "{reason}");
    }
    let granted = accounts.impersonate(&root, user, tenant, "ticket 7", &context()).await.unwrap();
    assert_eq!(granted.refresh_token, "", "nothing renews it");
    let claims = granted.access_token.split('.').nth(1).unwrap();
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!((claims.sub, claims.tenant_id), (user, tenant));
    assert_eq!(claims.act, Some(Actor { sub: root.user.unwrap() }));
    assert_eq!(claims.roles, ["Owner", IMPERSONATED]);
    assert_eq!(claims.exp - claims.iat, 900);

    // What the gateway makes of it carries the mark to every service.
    let marked = RequestContext::of_platform(Some(tenant)).with_user(user, ["Owner", IMPERSONATED]);
    assert_eq!(refused(user_in_person(&marked)), "impersonated");
    let plain = RequestContext::of_platform(Some(tenant)).with_user(user, ["Owner"]);
    assert_eq!(user_in_person(&plain).unwrap(), user);
}
