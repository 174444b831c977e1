//! Accounts under a clock and a database that the test holds. With `TEST_DATABASE=postgres`, on PostgreSQL.
#![allow(dead_code, reason = "each test uses its part")]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use iam::{
    accounts::{Accounts, Clock, Granted, LoginOutcome, Registration},
    domain::{Letter, Purpose},
    keys::KeyRing,
    limits::Limits,
    passwords::Passwords,
    sealing::Sealer,
    store::IdentityStore,
    tokens::Tokens,
};
use jiff::Timestamp;
use svc_kit::{Caller, Problem, RequestContext, Secret};
use svc_stores::{
    Database, cache,
    secrets::{self, SecretStore},
    suite::TemporaryPostgres,
};
use uuid::Uuid;

pub const PASSWORD: &str = "correct horse battery";
pub const DAY: i64 = 24 * 3600;

pub struct World {
    pub accounts: Accounts,
    pub database: Database,
    pub secrets: Arc<dyn SecretStore>,
    clock: Arc<AtomicI64>,
    folder: tempfile::TempDir,
    _postgres: Option<TemporaryPostgres>,
}

impl World {
    pub async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let postgres = match std::env::var("TEST_DATABASE").as_deref() {
            Ok("postgres") => Some(TemporaryPostgres::from_environment().await.expect("TEST_POSTGRES_URL")),
            _ => None,
        };
        let url = match &postgres {
            Some(postgres) => postgres.database().await,
            None => format!("sqlite://{path}/iam.db"),
        };
        let database = Database::connect(&url).await.unwrap();
        let secrets = secrets::connect(&format!("sealed://{path}/secrets")).await.unwrap();
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let accounts = instance(&database, &secrets, &clock).await;
        World { accounts, database, secrets, clock, folder, _postgres: postgres }
    }

    /// Another instance of the service over the same stores.
    pub async fn other_instance(&self) -> Accounts {
        instance(&self.database, &self.secrets, &self.clock).await
    }

    /// The file of the secrets store.
    pub fn secrets_file(&self) -> std::path::PathBuf {
        self.folder.path().join("secrets")
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        (self.accounts.clock)()
    }

    pub async fn register(&self, email: &str) -> Granted {
        let new = Registration {
            email: email.to_owned(),
            password: Secret::new(PASSWORD),
            name: String::new(),
            organization: "Acme".to_owned(),
        };
        self.accounts.register(new, &context()).await.unwrap()
    }

    /// The Platform Owner, who calls in the platform's own tenant.
    pub async fn set_up(&self) -> Caller {
        let new = Registration {
            email: "root@example.com".to_owned(),
            password: Secret::new(PASSWORD),
            name: String::new(),
            organization: String::new(),
        };
        let (user, tenant) = self.accounts.set_up(new, &context()).await.unwrap();
        caller(tenant.id, user.id)
    }

    pub async fn login(&self, email: &str, password: &str, code: &str) -> Result<LoginOutcome, Problem> {
        self.accounts.login(email, Secret::new(password), code, &context()).await
    }

    pub async fn refresh(&self, token: &str) -> Result<(String, String), Problem> {
        self.accounts.refresh(token).await.map(|granted| (granted.refresh_token, granted.access_token))
    }

    /// The letters to an address that wait to be sent, oldest first.
    pub async fn letters_to(&self, email: &str) -> Vec<Letter> {
        let mut letters = self.accounts.store.letters_to_send(self.now(), 100).await.unwrap();
        letters.retain(|letter| letter.email.as_str() == email);
        letters
    }

    /// The token of the newest letter to an address for this purpose.
    pub async fn token_for(&self, email: &str, purpose: Purpose) -> String {
        let mut letters = self.letters_to(email).await;
        letters.retain(|letter| letter.purpose == purpose);
        let letter = letters.pop().unwrap_or_else(|| panic!("no {purpose:?} letter to {email}"));
        self.accounts.tokens.of_letter(letter.id, purpose)
    }
}

async fn instance(database: &Database, secrets: &Arc<dyn SecretStore>, clock: &Arc<AtomicI64>) -> Accounts {
    let hand = Arc::clone(clock);
    let clock: Clock = Arc::new(move || Timestamp::from_second(hand.load(Ordering::SeqCst)).unwrap());
    let store = IdentityStore::open(database.clone()).await.unwrap();
    let keys = KeyRing::load(Arc::clone(secrets), store.clone(), Arc::clone(&clock)).await.unwrap();
    Accounts {
        store,
        passwords: Passwords::new(2),
        tokens: Tokens::new(Arc::new(keys), "https://issuer.example".to_owned(), "audience".to_owned()),
        sealer: Sealer::load(&**secrets).await.unwrap(),
        limits: Limits::new(cache::connect("memory://").unwrap()),
        clock,
        new_tenant: Arc::default(),
        new_letter: Arc::default(),
    }
}

pub fn context() -> RequestContext {
    RequestContext::of_platform(None)
}

/// The context of a request from this address.
pub fn context_from(address: &str) -> RequestContext {
    let mut context = context();
    context.client_address = Some(address.to_owned());
    context
}

pub fn caller(tenant: Uuid, user: Uuid) -> Caller {
    Caller::from_context(&RequestContext::of_platform(Some(tenant)).with_user(user, ["Owner"])).unwrap()
}

pub fn caller_of(granted: &Granted) -> Caller {
    caller(granted.tenant.id, granted.user.id)
}

/// The slug of what must have been refused.
pub fn refused<T>(outcome: Result<T, Problem>) -> String {
    match outcome {
        Ok(_) => panic!("must be refused"),
        Err(problem) => problem.slug().to_owned(),
    }
}

pub fn entered(outcome: Result<LoginOutcome, Problem>) -> Granted {
    match outcome.unwrap() {
        LoginOutcome::Granted(granted) => *granted,
        LoginOutcome::Choose { .. } => panic!("must not ask"),
    }
}
