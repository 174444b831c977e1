//! Links in letters, under a clock that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{PASSWORD, World, caller_of, context, context_from, entered, refused};
use data_encoding::BASE32_NOPAD;
use iam::{
    accounts::{Acceptance, NewUser},
    domain::{ADMIN, MEMBER, OWNER, Purpose, totp},
};
use svc_kit::{Problem, Secret};
use svc_stores::values;
use uuid::Uuid;

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const NEW: &str = "another long password";

/// Uses a link for what it is for.
async fn follow(world: &World, purpose: Purpose, token: &str) -> Result<(), Problem> {
    match purpose {
        Purpose::Verify => world.accounts.verify_email(token).await,
        Purpose::Reset => world.accounts.reset_password(token, Secret::new(NEW)).await,
        Purpose::Invite => accept(world, token, NEW).await,
    }
}

async fn accept(world: &World, token: &str, password: &str) -> Result<(), Problem> {
    let acceptance = Acceptance {
        token: token.to_owned(),
        password: (!password.is_empty()).then(|| Secret::new(password)),
        name: "Bob".to_owned(),
    };
    world.accounts.accept_invitation(acceptance, &context()).await
}

/// A link of each kind, to Ada, Ada and Bob.
async fn links(world: &World) -> [(Purpose, String); 3] {
    let ada = world.register(ADA).await;
    world.accounts.request_reset(ADA, &context()).await.unwrap();
    world.accounts.invite_user(&caller_of(&ada), BOB, Vec::new()).await.unwrap();
    [
        (Purpose::Verify, world.token_for(ADA, Purpose::Verify).await),
        (Purpose::Reset, world.token_for(ADA, Purpose::Reset).await),
        (Purpose::Invite, world.token_for(BOB, Purpose::Invite).await),
    ]
}

#[tokio::test]
async fn a_link_is_good_once_for_its_purpose_and_its_time() {
    let world = World::new().await;
    for (own, token) in links(&world).await {
        for other in Purpose::ALL.into_iter().filter(|other| *other != own) {
            assert_eq!(refused(follow(&world, other, &token).await), "token-expired", "{own:?} as {other:?}");
        }
        let last = if token.ends_with('A') { 'B' } else { 'A' };
        let forged = format!("{}{last}", &token[..token.len() - 1]);
        let other_id = format!("{}{}", Uuid::now_v7().simple(), &token[32..]);
        for wrong in [forged.as_str(), other_id.as_str(), "", ".", "x.y", &token[..32]] {
            assert_eq!(refused(follow(&world, own, wrong).await), "token-expired", "{wrong}");
        }
        follow(&world, own, &token).await.unwrap();
        assert_eq!(refused(follow(&world, own, &token).await), "token-expired", "{own:?} twice");
    }
}

#[tokio::test]
async fn a_link_ends_by_time() {
    const HOUR: i64 = 3600;
    for (index, hours) in [(0, 24), (1, 1), (2, 7 * 24)] {
        for (second, good) in [(hours * HOUR - 1, true), (hours * HOUR, false)] {
            let world = World::new().await;
            let (purpose, token) = links(&world).await[index].clone();
            world.pass(second);
            assert_eq!(follow(&world, purpose, &token).await.is_ok(), good, "{purpose:?} after {second} s");
        }
    }
}

#[tokio::test]
async fn the_same_link_at_the_same_time_works_once() {
    let world = World::new().await;
    for (purpose, token) in links(&world).await {
        let (one, other) = tokio::join!(follow(&world, purpose, &token), follow(&world, purpose, &token));
        assert_eq!([one, other].iter().filter(|outcome| outcome.is_ok()).count(), 1, "{purpose:?}");
    }
}

#[tokio::test]
async fn nobody_learns_from_a_reset_whether_an_address_has_an_account() {
    let world = World::new().await;
    world.register(ADA).await;
    for email in [ADA, "nobody@example.com"] {
        for _ in 0..3 {
            world.accounts.request_reset(email, &context()).await.unwrap();
        }
        assert_eq!(refused(world.accounts.request_reset(email, &context()).await), "rate-limited", "{email}");
        let mut letters = world.letters_to(email).await;
        letters.retain(|letter| letter.purpose == Purpose::Reset);
        assert_eq!(letters.len(), 3, "{email}: the same is written, the rest is looked up when it is sent");
    }
    let nobody = world.token_for("nobody@example.com", Purpose::Reset).await;
    assert_eq!(refused(follow(&world, Purpose::Reset, &nobody).await), "token-expired");
    assert_eq!(refused(world.accounts.request_reset("no address", &context()).await), "validation-error");
    let client = context_from("192.0.2.7");
    for number in 0..30 {
        world.accounts.request_reset(&format!("user-{number}@example.com"), &client).await.unwrap();
    }
    let one_more = world.accounts.request_reset("one-more@example.com", &client).await;
    assert_eq!(refused(one_more), "rate-limited");
}

#[tokio::test]
async fn a_reset_ends_every_session_and_every_other_link() {
    let world = World::new().await;
    let ada = world.register(ADA).await;
    for _ in 0..2 {
        world.accounts.request_reset(ADA, &context()).await.unwrap();
    }
    let mut letters = world.letters_to(ADA).await;
    letters.retain(|letter| letter.purpose == Purpose::Reset);
    let [first, second] =
        [0, 1].map(|index| world.accounts.tokens.of_letter(letters[index].id, Purpose::Reset));
    let weak = world.accounts.reset_password(&first, Secret::new("short")).await;
    assert_eq!(refused(weak), "validation-error");
    world
        .accounts
        .reset_password(&first, Secret::new(NEW))
        .await
        .expect("a refused password uses no link up");
    assert_eq!(refused(follow(&world, Purpose::Reset, &second).await), "token-expired");
    assert_eq!(refused(world.refresh(&ada.refresh_token).await), "token-expired");
    assert_eq!(refused(world.login(ADA, PASSWORD, "").await), "invalid-credentials");
    assert!(entered(world.login(ADA, NEW, "").await).user.email_verified, "the link proved the address");
}

#[tokio::test]
async fn verification_links_are_three_an_hour_and_none_when_it_is_done() {
    let world = World::new().await;
    let ada = world.register(ADA).await;
    world.accounts.request_verify_email(ada.user.id).await.unwrap();
    assert_eq!(world.letters_to(ADA).await.len(), 2, "one by registering, one on request");
    let token = world.token_for(ADA, Purpose::Verify).await;
    follow(&world, Purpose::Verify, &token).await.unwrap();
    assert!(entered(world.login(ADA, PASSWORD, "").await).user.email_verified);
    assert!(world.letters_to(ADA).await.is_empty());
    for _ in 0..2 {
        world.accounts.request_verify_email(ada.user.id).await.unwrap();
    }
    assert!(world.letters_to(ADA).await.is_empty());
    let fourth = world.accounts.request_verify_email(ada.user.id).await;
    assert_eq!(refused(fourth), "rate-limited");
}

/// Who is invited, as far as the platform knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invited {
    Unknown,
    Unverified,
    Verified,
}

#[tokio::test]
async fn an_invitation_is_the_way_in_for_whoever_has_the_address() {
    use Invited::{Unknown, Unverified, Verified};
    for (invited, password, good, opened_by) in [
        (Unknown, "", false, None),
        (Unknown, "short", false, None),
        (Unknown, NEW, true, Some(NEW)),
        (Unverified, "", false, Some(PASSWORD)),
        (Unverified, NEW, true, Some(NEW)),
        (Verified, "", true, Some(PASSWORD)),
        (Verified, NEW, true, Some(PASSWORD)),
    ] {
        let case = format!("{invited:?} with `{password}`");
        let world = World::new().await;
        let ada = world.register(ADA).await;
        let mut before = None;
        if invited != Unknown {
            before = Some(world.register(BOB).await);
            // Whoever made the account has a second factor on it, too.
            let bob = caller_of(before.as_ref().unwrap());
            let new = world.accounts.enable_mfa(&bob).await.unwrap();
            let secret = BASE32_NOPAD.decode(new.secret.as_bytes()).unwrap();
            let code = totp::code_at(&secret, world.now().as_second() / 30).unwrap();
            world.accounts.verify_mfa(&bob, &code, &context()).await.unwrap();
        }
        if invited == Verified {
            let token = world.token_for(BOB, Purpose::Verify).await;
            follow(&world, Purpose::Verify, &token).await.unwrap();
        }
        world.accounts.invite_user(&caller_of(&ada), BOB, vec![ADMIN().id]).await.unwrap();
        let token = world.token_for(BOB, Purpose::Invite).await;
        let accepted = accept(&world, &token, password).await;
        assert_eq!(accepted.is_ok(), good, "{case}: {accepted:?}");
        if let Err(problem) = accepted {
            assert_eq!(problem.slug(), "validation-error", "{case}");
        }

        let email = iam::domain::Email::parse(BOB).unwrap();
        let user = world.accounts.store.user_by_email(&email).await.unwrap().map(|(user, _)| user);
        let Some(user) = user else {
            assert_eq!(opened_by, None, "{case}");
            continue;
        };
        let (_, roles, _) = world.accounts.permissions(ada.tenant.id, user.id).await.unwrap();
        assert_eq!(roles, if good { vec!["Admin"] } else { vec![] }, "{case}");
        let taken_over = invited == Unverified && good;
        assert_eq!(user.email_verified, good || invited == Verified, "{case}");
        assert_eq!(user.mfa_enabled, invited != Unknown && !taken_over, "{case}");
        for password in [PASSWORD, NEW] {
            let outcome = world.login(BOB, password, "").await;
            let right = outcome.err().is_none_or(|problem| problem.slug() == "mfa-required");
            assert_eq!(right, opened_by == Some(password), "{case}: {password}");
        }
        if let Some(before) = before {
            assert_eq!(world.refresh(&before.refresh_token).await.is_ok(), !taken_over, "{case}");
        }
    }
}

#[tokio::test]
async fn an_invitation_gives_no_more_than_it_may() {
    let world = World::new().await;
    let ada = caller_of(&world.register(ADA).await);
    let stranger = caller_of(&world.register("eve@example.com").await);
    let made =
        world.accounts.create_role(&ada, "Cashier".to_owned(), String::new(), vec!["crm.*".to_owned()]);
    let role = made.await.unwrap().id;
    for (caller, email, roles, slug) in [
        (&ada, "no address", vec![], "validation-error"),
        (&ada, BOB, vec![OWNER().id], "one-owner"),
        (&ada, BOB, vec![Uuid::now_v7()], "not-found"),
        (&stranger, BOB, vec![role], "not-found"),
    ] {
        assert_eq!(refused(world.accounts.invite_user(caller, email, roles).await), slug);
    }
    for _ in 0..3 {
        world.accounts.invite_user(&ada, BOB, vec![role]).await.unwrap();
    }
    assert_eq!(refused(world.accounts.invite_user(&ada, BOB, vec![role]).await), "rate-limited");
    world.accounts.invite_user(&stranger, BOB, vec![]).await.expect("another tenant has its own count");

    // The role goes before the invitation is accepted: what is left is the least.
    let mut letters = world.letters_to(BOB).await;
    letters.retain(|letter| letter.tenant == Some(ada.tenant));
    let [first, second, third] =
        [0, 1, 2].map(|index| world.accounts.tokens.of_letter(letters[index].id, Purpose::Invite));
    world.accounts.delete_role(&ada, role, &context()).await.unwrap();
    accept(&world, &first, NEW).await.unwrap();
    let bob = entered(world.login(BOB, NEW, "").await);
    assert_eq!(bob.tenant.id, ada.tenant);
    let (_, roles, _) = world.accounts.permissions(ada.tenant, bob.user.id).await.unwrap();
    assert_eq!(roles, [MEMBER().name]);
    assert_eq!(refused(accept(&world, &second, NEW).await), "already-exists");
    let block = "UPDATE tenants SET status = 'blocked' WHERE id = $1";
    world.database.system().execute(block, values![ada.tenant]).await.unwrap();
    assert_eq!(refused(accept(&world, &third, NEW).await), "tenant-blocked");
}

#[tokio::test]
async fn who_has_an_account_is_invited_and_not_added() {
    let world = World::new().await;
    let ada = caller_of(&world.register(ADA).await);
    world.register(BOB).await;
    let new = NewUser { email: BOB.to_owned(), name: String::new(), password: None, roles: Vec::new() };
    assert_eq!(refused(world.accounts.create_user(&ada, new, &context()).await), "email-taken");
    let carol = NewUser {
        email: "carol@example.com".to_owned(),
        name: String::new(),
        password: None,
        roles: Vec::new(),
    };
    world.accounts.create_user(&ada, carol, &context()).await.unwrap();
    let token = world.token_for("carol@example.com", Purpose::Reset).await;
    follow(&world, Purpose::Reset, &token).await.expect("without a password, the letter leads to one");
    assert_eq!(entered(world.login("carol@example.com", NEW, "").await).tenant.id, ada.tenant);
}
