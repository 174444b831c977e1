//! The signing keys of several instances, under a clock that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::{fs, sync::Arc};

use common::{DAY, World};
use iam::{domain::signing::KeyState, keys::KeyRing, store::IdentityStore};
use jsonwebtoken::jwk::JwkSet;

/// A ring of another instance over the world's stores.
async fn ring(world: &World) -> KeyRing {
    let store = IdentityStore::open(world.database.clone()).await.unwrap();
    KeyRing::load(Arc::clone(&world.secrets), store, Arc::clone(&world.accounts.clock)).await.unwrap()
}

fn published(ring: &KeyRing, world: &World) -> Vec<String> {
    let text = ring.keys().jwks(world.now()).unwrap();
    assert!(!text.contains("\"d\""), "{text}");
    let set: JwkSet = serde_json::from_str(&text).unwrap();
    set.keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
}

#[tokio::test]
async fn a_key_is_replaced_after_ninety_days_and_verifies_a_quarter_of_an_hour_longer() {
    let world = World::new().await;
    let (one, other) = (ring(&world).await, ring(&world).await);
    let first = one.keys().key_id.clone();
    assert_eq!((one.state(), published(&other, &world)), (KeyState::Active, vec![first.clone()]));

    world.pass(90 * DAY - 1);
    one.tend().await.unwrap();
    assert_eq!((one.state(), &one.keys().key_id), (KeyState::Active, &first), "a second is missing");
    world.pass(1);
    let (tended, also) = tokio::join!(one.tend(), other.tend());
    tended.and(also).unwrap();
    for ring in [&one, &other] {
        ring.tend().await.unwrap();
    }
    let second = one.keys().key_id.clone();
    assert_ne!(second, first);
    assert_eq!(other.keys().key_id, second, "both make one key, not two");
    for ring in [&one, &other] {
        assert_eq!(ring.state(), KeyState::DualActive);
        assert_eq!(published(ring, &world), [second.clone(), first.clone()]);
    }
    world.pass(899);
    one.tend().await.unwrap();
    assert!(one.keys().verifying(&first, world.now()).is_some());
    world.pass(1);
    one.tend().await.unwrap();
    assert!(one.keys().verifying(&first, world.now()).is_none());
    assert!(one.keys().verifying(&second, world.now()).is_some());
    assert_eq!((one.state(), published(&one, &world)), (KeyState::Active, vec![second]));
}

#[tokio::test]
async fn an_instance_hears_of_a_rotation_when_it_is_asked() {
    let world = World::new().await;
    let (one, other) = (ring(&world).await, ring(&world).await);
    one.rotate().await.unwrap();
    assert_ne!(other.keys().key_id, one.keys().key_id);
    other.catch_up().await.unwrap();
    assert_eq!(other.keys().key_id, one.keys().key_id);
}

#[tokio::test]
async fn without_the_secrets_store_the_key_signs_for_seven_days() {
    let world = World::new().await;
    let ada = world.register("ada@example.com").await;
    let ring = ring(&world).await;
    fs::write(world.secrets_file(), "not a sealed file").unwrap();
    for (seconds, state) in [
        (300, KeyState::Active),
        (1, KeyState::Degraded),
        (7 * DAY - 301, KeyState::Degraded),
        (1, KeyState::Expired),
    ] {
        world.pass(seconds);
        assert!(ring.tend().await.is_err());
        assert_eq!(ring.state(), state);
    }
    let unsigned = world.accounts.switch_tenant(ada.user.id, ada.tenant.id, &common::context()).await;
    assert_eq!(common::refused(unsigned), "unavailable");
    let known = ring.keys().key_id.clone();
    assert!(ring.keys().verifying(&known, world.now()).is_some(), "what was signed is still verified");
}

#[tokio::test]
async fn tokens_of_both_keys_are_good_while_both_are() {
    let world = World::new().await;
    let other = world.other_instance().await;
    let ada = world.register("ada@example.com").await;
    let ring = ring(&world).await;
    ring.rotate().await.unwrap();
    // Signed by an instance that knows of the rotation, checked by one that does not.
    let fresh = world.other_instance().await;
    let granted = fresh.switch_tenant(ada.user.id, ada.tenant.id, &common::context()).await.unwrap();
    let header = jsonwebtoken::decode_header(&granted.access_token).unwrap();
    assert_eq!(header.kid.as_ref(), Some(&ring.keys().key_id));
    let jwks = other.tokens.jwks(world.now()).await.unwrap();
    assert!(jwks.contains(&ring.keys().key_id), "{jwks}");
    assert_eq!(serde_json::from_str::<JwkSet>(&jwks).unwrap().keys.len(), 2);
}
