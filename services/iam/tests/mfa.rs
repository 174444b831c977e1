//! The second factor, under a clock that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{PASSWORD, World, caller_of, context, entered, refused};
use data_encoding::BASE32_NOPAD;
use iam::domain::totp;
use svc_kit::Caller;

const ADA: &str = "ada@example.com";

/// What an authenticator shows `later` steps from now.
fn shown(world: &World, secret: &str, later: i64) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    totp::code_at(&secret, world.now().as_second() / 30 + later).unwrap()
}

/// A user whose second factor is on: the caller, the secret and the recovery codes.
async fn with_mfa(world: &World) -> (Caller, String, Vec<String>) {
    let ada = caller_of(&world.register(ADA).await);
    let new = world.accounts.enable_mfa(&ada).await.unwrap();
    world.accounts.verify_mfa(&ada, &shown(world, &new.secret, 0), &context()).await.unwrap();
    world.pass(30);
    (ada, new.secret, new.recovery_codes)
}

#[tokio::test]
async fn it_is_off_until_it_is_proven() {
    let world = World::new().await;
    let ada = caller_of(&world.register(ADA).await);
    assert_eq!(refused(world.accounts.verify_mfa(&ada, "123456", &context()).await), "mfa-not-enabled");
    let first = world.accounts.enable_mfa(&ada).await.unwrap();
    let new = world.accounts.enable_mfa(&ada).await.expect("one that was not proven is replaced");
    assert_ne!(first.secret, new.secret);
    assert!(new.uri.starts_with("otpauth://totp/issuer.example:ada%40example.com?secret="), "{}", new.uri);
    assert!(new.uri.contains(&new.secret) && new.picture.contains("<svg"), "{}", new.picture);
    assert_eq!(new.recovery_codes.len(), 10);

    assert!(!entered(world.login(ADA, PASSWORD, "").await).user.mfa_enabled);
    for code in [shown(&world, &first.secret, 0), new.recovery_codes[0].clone(), String::new()] {
        let outcome = world.accounts.verify_mfa(&ada, &code, &context()).await;
        assert_eq!(refused(outcome), "invalid-mfa-code", "{code}");
    }
    let code = shown(&world, &new.secret, 0);
    world.accounts.verify_mfa(&ada, &code, &context()).await.unwrap();
    assert_eq!(refused(world.accounts.verify_mfa(&ada, &code, &context()).await), "mfa-enabled");
    assert_eq!(refused(world.accounts.enable_mfa(&ada).await), "mfa-enabled");
    assert_eq!(refused(world.login(ADA, PASSWORD, "").await), "mfa-required");
    assert_eq!(refused(world.login(ADA, "wrong", &code).await), "invalid-credentials");
}

#[tokio::test]
async fn no_code_is_good_twice() {
    let world = World::new().await;
    let (ada, secret, recovery) = with_mfa(&world).await;
    let code = shown(&world, &secret, 0);
    assert!(entered(world.login(ADA, PASSWORD, &code).await).user.mfa_enabled);
    let (user, step) = (ada.user.unwrap(), world.now().as_second() / 30);
    let again = world.accounts.store.use_step(user, step).await.unwrap();
    assert!(!again, "not even by somebody who looked before it was used");
    assert_eq!(refused(world.login(ADA, PASSWORD, &code).await), "invalid-mfa-code");
    let before = shown(&world, &secret, -1);
    assert_eq!(refused(world.login(ADA, PASSWORD, &before).await), "invalid-mfa-code", "older than one used");
    entered(world.login(ADA, PASSWORD, &shown(&world, &secret, 1)).await);

    entered(world.login(ADA, PASSWORD, &recovery[3].to_lowercase().replace('-', " ")).await);
    assert_eq!(refused(world.login(ADA, PASSWORD, &recovery[3]).await), "invalid-mfa-code");
    entered(world.login(ADA, PASSWORD, &recovery[4]).await);
}

#[tokio::test]
async fn the_same_code_at_the_same_time_opens_once() {
    let world = World::new().await;
    let (_, secret, recovery) = with_mfa(&world).await;
    for code in [shown(&world, &secret, 0), recovery[0].clone()] {
        let (one, other) = tokio::join!(world.login(ADA, PASSWORD, &code), world.login(ADA, PASSWORD, &code));
        assert_eq!([one, other].iter().filter(|outcome| outcome.is_ok()).count(), 1, "{code}");
    }
}

#[tokio::test]
async fn five_wrong_codes_are_enough() {
    let world = World::new().await;
    let (ada, secret, recovery) = with_mfa(&world).await;
    for wrong in ["000000", "AAAA-BBBB-CCCC", "", "abc", "111111"] {
        let expected = if wrong.is_empty() { "mfa-required" } else { "invalid-mfa-code" };
        assert_eq!(refused(world.login(ADA, PASSWORD, wrong).await), expected, "{wrong}");
    }
    assert_eq!(refused(world.accounts.disable_mfa(&ada, "222222", &context()).await), "invalid-mfa-code");
    for good in [shown(&world, &secret, 0), recovery[0].clone()] {
        assert_eq!(refused(world.login(ADA, PASSWORD, &good).await), "rate-limited");
        assert_eq!(refused(world.accounts.disable_mfa(&ada, &good, &context()).await), "rate-limited");
        assert_eq!(refused(world.accounts.regenerate_recovery_codes(&ada, &good).await), "rate-limited");
    }
}

#[tokio::test]
async fn recovery_codes_are_replaced_and_open_what_is_lost() {
    let world = World::new().await;
    let (ada, secret, old) = with_mfa(&world).await;
    let by_recovery = world.accounts.regenerate_recovery_codes(&ada, &old[0]).await;
    assert_eq!(refused(by_recovery), "invalid-mfa-code", "who lost the authenticator switches it off");
    let new = world.accounts.regenerate_recovery_codes(&ada, &shown(&world, &secret, 0)).await.unwrap();
    assert_eq!(refused(world.login(ADA, PASSWORD, &old[1]).await), "invalid-mfa-code");

    world.accounts.disable_mfa(&ada, &new[0], &context()).await.unwrap();
    assert!(!entered(world.login(ADA, PASSWORD, "").await).user.mfa_enabled);
    let gone = world.accounts.regenerate_recovery_codes(&ada, "123456").await;
    assert_eq!(refused(gone), "mfa-not-enabled");
    assert_eq!(refused(world.accounts.disable_mfa(&ada, &new[1], &context()).await), "mfa-not-enabled");
}

#[tokio::test]
async fn the_database_alone_gives_no_codes() {
    let world = World::new().await;
    let (ada, secret, recovery) = with_mfa(&world).await;
    let stored = world.accounts.store.authenticator(ada.user.unwrap()).await.unwrap().unwrap();
    let plain = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    assert!(!stored.sealed_secret.windows(plain.len()).any(|window| window == plain));
    let rows = world.database.system().fetch_all("SELECT hash FROM recovery_codes", vec![]).await.unwrap();
    let hashes: Vec<String> = rows.iter().map(|row| row.get("hash").unwrap()).collect();
    assert_eq!(hashes.len(), 10);
    assert!(hashes.iter().all(|hash| hash.len() == 64 && !recovery.contains(hash)), "{hashes:?}");
}
