//! Accounts under a clock and a database that the test holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use iam::{
    accounts::{Accounts, Granted, LoginOutcome, Registration},
    keys::Keys,
    passwords::Passwords,
    store::IdentityStore,
    tokens::Tokens,
};
use jiff::Timestamp;
use svc_kit::{Problem, RequestContext, Secret};
use svc_stores::{Database, cache, secrets, values};

const PASSWORD: &str = "correct horse battery";
const DAY: i64 = 24 * 3600;

struct World {
    accounts: Accounts,
    database: Database,
    clock: Arc<AtomicI64>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let database = Database::connect(&format!("sqlite://{path}/iam.db")).await.unwrap();
        let keys =
            Keys::load(&*secrets::connect(&format!("sealed://{path}/secrets")).await.unwrap()).await.unwrap();
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let hand = Arc::clone(&clock);
        let accounts = Accounts {
            store: IdentityStore::open(database.clone()).await.unwrap(),
            passwords: Passwords::new(1),
            tokens: Tokens::new(keys, "issuer".to_owned(), "audience".to_owned()),
            cache: cache::connect("memory://").unwrap(),
            clock: Arc::new(move || Timestamp::from_second(hand.load(Ordering::SeqCst)).unwrap()),
            new_tenant: Arc::default(),
        };
        World { accounts, database, clock, _folder: folder }
    }

    async fn registered(&self) -> String {
        self.register().await.refresh_token
    }

    async fn register(&self) -> Granted {
        let new = Registration {
            email: "ada@example.com".to_owned(),
            password: Secret::new(PASSWORD),
            name: String::new(),
            organization: "Acme".to_owned(),
        };
        self.accounts.register(new, &RequestContext::of_platform(None)).await.unwrap()
    }

    async fn login(&self) -> Result<LoginOutcome, Problem> {
        let context = RequestContext::of_platform(None);
        self.accounts.login("ada@example.com", Secret::new(PASSWORD), &context).await
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    async fn refresh(&self, token: &str) -> Result<(String, String), Problem> {
        self.accounts.refresh(token).await.map(|granted| (granted.refresh_token, granted.access_token))
    }
}

#[tokio::test]
async fn the_same_token_gives_the_same_pair_for_ten_seconds() {
    let world = World::new().await;
    let first = world.registered().await;
    let pair = world.refresh(&first).await.unwrap();
    world.pass(10);
    assert_eq!(world.refresh(&first).await.unwrap(), pair);
}

#[tokio::test]
async fn a_token_that_comes_again_later_ends_the_whole_session() {
    let world = World::new().await;
    let first = world.registered().await;
    let (second, _) = world.refresh(&first).await.unwrap();
    world.pass(11);
    assert_eq!(world.refresh(&first).await.unwrap_err().slug(), "token-expired");
    let dead = world.refresh(&second).await.unwrap_err();
    assert!(dead.detail_text().contains("session was ended"), "{dead}");
}

#[tokio::test]
async fn a_token_lives_seven_days_and_the_next_one_seven_more() {
    let world = World::new().await;
    let first = world.registered().await;
    world.pass(7 * DAY - 1);
    let (second, _) = world.refresh(&first).await.unwrap();
    world.pass(7 * DAY);
    assert!(world.refresh(&second).await.unwrap_err().detail_text().contains("it has ended"));
    let before = (world.accounts.clock)().checked_add(Duration::from_secs(1)).unwrap();
    assert_eq!(world.accounts.store.forget_ended(before).await.unwrap(), 3, "two tokens and their session");
}

#[tokio::test]
async fn a_block_reaches_everything_below_the_blocked_tenant() {
    let world = World::new().await;
    let root = Registration {
        email: "root@example.com".to_owned(),
        password: Secret::new(PASSWORD),
        name: String::new(),
        organization: String::new(),
    };
    let (_, platform) = world.accounts.set_up(root, &RequestContext::of_platform(None)).await.unwrap();
    let ada = world.register().await;
    assert!(!world.accounts.permissions(ada.tenant.id, ada.user.id).await.unwrap().2);

    let block = "UPDATE tenants SET status = 'blocked' WHERE id = $1";
    world.database.system().execute(block, values![platform.id]).await.unwrap();
    assert_eq!(world.login().await.unwrap_err().slug(), "tenant-blocked");
    assert_eq!(world.refresh(&ada.refresh_token).await.unwrap_err().slug(), "tenant-blocked");
    assert!(world.accounts.permissions(ada.tenant.id, ada.user.id).await.unwrap().2);

    let lift = "UPDATE tenants SET status = 'active' WHERE id = $1";
    world.database.system().execute(lift, values![platform.id]).await.unwrap();
    world.refresh(&ada.refresh_token).await.expect("a refused refresh did not use the token up");
}

#[tokio::test]
async fn a_user_who_left_every_tenant_gets_a_new_one_and_loses_the_old_session() {
    let world = World::new().await;
    let ada = world.register().await;
    for table in ["member_roles", "members"] {
        let sql = format!("DELETE FROM {table} WHERE tenant_id = $1");
        world.database.tenant(ada.tenant.id).execute(&sql, values![]).await.unwrap();
    }
    assert_eq!(world.refresh(&ada.refresh_token).await.unwrap_err().slug(), "not-a-member");
    let LoginOutcome::Granted(again) = world.login().await.unwrap() else { panic!("must not ask") };
    assert_ne!(again.tenant.id, ada.tenant.id);
    let (permissions, roles, _) = world.accounts.permissions(again.tenant.id, ada.user.id).await.unwrap();
    assert_eq!(roles, ["Owner"]);
    assert_eq!(permissions, ["*"]);
    assert_eq!(world.accounts.store.incomplete(10).await.unwrap().len(), 2, "both need a wallet");
}

#[tokio::test]
async fn right_passwords_of_one_client_are_not_counted_as_guesses() {
    let world = World::new().await;
    world.register().await;
    let mut context = RequestContext::of_platform(None);
    context.client_address = Some("192.0.2.7".to_owned());
    let login =
        |password: &str| world.accounts.login("ada@example.com", Secret::new(password.to_owned()), &context);
    // An office behind one address has mistyped often already.
    let counter = cache::CacheKey::platform(&["failed-logins", "client", "192.0.2.7"]);
    world.accounts.cache.increment(&counter, 98, Duration::from_secs(60)).await.unwrap();
    for _ in 0..4 {
        assert!(login(PASSWORD).await.is_ok(), "a right password takes its own count back");
    }
    for _ in 0..2 {
        assert_eq!(login("wrong").await.unwrap_err().slug(), "invalid-credentials");
    }
    assert_eq!(login(PASSWORD).await.unwrap_err().slug(), "rate-limited", "guesses are not forgotten");
}
