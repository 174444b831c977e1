//! A ledger over a database of its own, with a clock that the test turns. With `TEST_DATABASE=postgres` the database is
//! one of `TEST_POSTGRES_URL`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use money::{Clock, Ledger, MIGRATIONS};
use svc_api::money::v1::money_service_server::MoneyService;
use svc_api::money::v1::*;
use svc_kit::Problem;
use svc_stores::suite::TemporaryPostgres;
use svc_stores::{Database, values};
use tempfile::TempDir;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// What one operation may move at most, in minor units.
pub const MAXIMUM: i64 = 10_000_000;

#[derive(Clone)]
struct TurnedClock(Arc<AtomicI64>);

impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

pub struct Bench {
    pub ledger: Ledger,
    pub database: Database,
    pub tenant: Uuid,
    clock: TurnedClock,
    url: String,
    _postgres: Option<TemporaryPostgres>,
    _folder: TempDir,
}

impl Bench {
    pub async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let postgres = match std::env::var("TEST_DATABASE").as_deref() {
            Ok("postgres") => Some(TemporaryPostgres::from_environment().await.expect("TEST_POSTGRES_URL")),
            _ => None,
        };
        let url = match &postgres {
            Some(postgres) => postgres.database().await,
            None => format!("sqlite://{}/money.db", folder.path().display()),
        };
        let database = Database::connect(&url).await.unwrap();
        database.migrate("money", MIGRATIONS).await.unwrap();
        let clock = TurnedClock(Arc::new(AtomicI64::new(1_800_000_000)));
        let ledger = Ledger::new(database.clone(), clock.clone(), MAXIMUM);
        let tenant = Uuid::now_v7();
        Bench { ledger, database, tenant, clock, url, _postgres: postgres, _folder: folder }
    }

    /// Another instance of the service: the same database over connections of its own, the same clock.
    pub async fn another_instance(&self) -> Ledger {
        let database = Database::connect(&self.url).await.unwrap();
        Ledger::new(database, self.clock.clone(), MAXIMUM)
    }

    pub fn turn(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        self.keyed(message, Uuid::now_v7())
    }

    pub fn keyed<T>(&self, message: T, key: Uuid) -> Request<T> {
        keyed(self.tenant, message, key)
    }

    pub async fn wallet(&self) -> String {
        self.wallet_of("EUR").await
    }

    pub async fn wallet_of(&self, currency: &str) -> String {
        let request = CreateWalletRequest { currency: currency.to_owned(), ..Default::default() };
        self.ledger.create_wallet(self.request(request)).await.unwrap().into_inner().id
    }

    pub async fn credit(&self, id: &str, amount: i64) -> Result<Transaction, Status> {
        let request = CreditRequest { id: id.to_owned(), amount, ..Default::default() };
        self.ledger.credit(self.request(request)).await.map(Response::into_inner)
    }

    pub async fn hold(&self, id: &str, amount: i64, ttl_seconds: i64) -> Result<Hold, Status> {
        let request = HoldRequest { id: id.to_owned(), amount, ttl_seconds, ..Default::default() };
        Ok(self.ledger.hold(self.request(request)).await?.into_inner().hold.unwrap())
    }

    pub async fn balance(&self, id: &str) -> (i64, i64) {
        let request = self.request(GetBalanceRequest { id: id.to_owned() });
        let balance = self.ledger.get_balance(request).await.unwrap().into_inner();
        (balance.available, balance.frozen)
    }

    /// How many entries the books have.
    pub async fn entries(&self) -> i64 {
        let sql = "SELECT COUNT(*) AS entries FROM entries";
        self.database.system().fetch_one(sql, values![]).await.unwrap().get("entries").unwrap()
    }

    /// Every posting adds up to zero, no balance is below zero, and every balance is the sum of its entries.
    pub async fn audit(&self) {
        let system = self.database.system();
        let unbalanced = "SELECT posting_id FROM entries GROUP BY posting_id, currency
            HAVING SUM(amount) <> 0 OR COUNT(*) <> 2";
        assert!(system.fetch_all(unbalanced, values![]).await.unwrap().is_empty());
        let everything = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM entries";
        let total: i64 = system.fetch_one(everything, values![]).await.unwrap().get("total").unwrap();
        assert_eq!(total, 0, "all entries together");
        let wrong = "SELECT w.id FROM wallets w WHERE w.available < 0 OR w.frozen < 0
            OR w.available <> (SELECT COALESCE(SUM(amount), 0) FROM entries e WHERE e.wallet_id = w.id AND pocket = 'available')
            OR w.frozen <> (SELECT COALESCE(SUM(amount), 0) FROM entries e WHERE e.wallet_id = w.id AND pocket = 'frozen')
            OR w.frozen <> (SELECT COALESCE(SUM(amount), 0) FROM holds h WHERE h.wallet_id = w.id AND status = 'held')";
        assert!(system.fetch_all(wrong, values![]).await.unwrap().is_empty());
        self.retrace().await;
    }

    /// The history, read from its beginning, leads to each balance that it names: what ran at once has an order in
    /// which it could have run one by one.
    async fn retrace(&self) {
        let sql = "SELECT t.wallet_id, t.kind, t.amount, t.balance_after, COALESCE(o.kind, '') AS undone
            FROM transactions t LEFT JOIN transactions o ON t.kind = 'reversal' AND o.id = t.related_id ORDER BY t.id";
        let mut balances = std::collections::HashMap::<Uuid, i64>::new();
        for row in self.database.system().fetch_all(sql, values![]).await.unwrap() {
            let (kind, undone): (String, String) = (row.get("kind").unwrap(), row.get("undone").unwrap());
            let amount: i64 = row.get("amount").unwrap();
            let change = match (kind.as_str(), undone.as_str()) {
                ("credit" | "cancel" | "transfer_in", _) => amount,
                ("debit" | "hold" | "transfer_out", _) => -amount,
                ("confirm", _) => 0,
                ("reversal", "credit" | "transfer_in") => -amount,
                ("reversal", "debit" | "confirm" | "transfer_out") => amount,
                unknown => panic!("{unknown:?} is in no history"),
            };
            let balance = balances.entry(row.get("wallet_id").unwrap()).or_default();
            *balance += change;
            assert_eq!(*balance, row.get::<i64>("balance_after").unwrap(), "after a {kind}");
        }
    }
}

pub fn keyed<T>(tenant: Uuid, message: T, key: Uuid) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in [("x-tenant-id", tenant), ("x-user-id", Uuid::nil()), ("idempotency-key", key)] {
        request.metadata_mut().insert(name, value.to_string().parse().unwrap());
    }
    request
}

pub fn slug(status: &Status) -> String {
    Problem::from_status(status).slug().to_owned()
}

/// Something to ask of a ledger.
#[derive(Clone, Debug)]
pub enum Ask {
    Credit { wallet: String, amount: i64 },
    Debit { wallet: String, amount: i64 },
    Hold { wallet: String, amount: i64, seconds: i64 },
    Confirm { hold: String },
    Cancel { hold: String },
    Transfer { from: String, to: String, amount: i64 },
    Reverse { transaction: String },
}

/// What it answered: the transactions that it made and the hold that they are about.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    pub transactions: Vec<Transaction>,
    pub hold: Option<Hold>,
}

impl Ask {
    pub async fn of(&self, ledger: &Ledger, tenant: Uuid, key: Uuid) -> Result<Answered, Status> {
        let one =
            |reply: Response<Transaction>| Answered { transactions: vec![reply.into_inner()], hold: None };
        let held = |reply: Response<HoldReply>| {
            let HoldReply { hold, transaction } = reply.into_inner();
            Answered { transactions: transaction.into_iter().collect(), hold }
        };
        match self.clone() {
            Self::Credit { wallet: id, amount } => {
                let request = CreditRequest { id, amount, ..Default::default() };
                ledger.credit(keyed(tenant, request, key)).await.map(one)
            }
            Self::Debit { wallet: id, amount } => {
                let request = DebitRequest { id, amount, ..Default::default() };
                ledger.debit(keyed(tenant, request, key)).await.map(one)
            }
            Self::Hold { wallet: id, amount, seconds: ttl_seconds } => {
                let request = HoldRequest { id, amount, ttl_seconds, ..Default::default() };
                ledger.hold(keyed(tenant, request, key)).await.map(held)
            }
            Self::Confirm { hold: id } => {
                ledger.confirm_hold(keyed(tenant, ConfirmHoldRequest { id }, key)).await.map(held)
            }
            Self::Cancel { hold: id } => {
                ledger.cancel_hold(keyed(tenant, CancelHoldRequest { id }, key)).await.map(held)
            }
            Self::Transfer { from: from_wallet_id, to: to_wallet_id, amount } => {
                let request = TransferRequest { from_wallet_id, to_wallet_id, amount, ..Default::default() };
                let reply = ledger.transfer(keyed(tenant, request, key)).await?.into_inner();
                Ok(Answered {
                    transactions: [reply.debit, reply.credit].into_iter().flatten().collect(),
                    hold: None,
                })
            }
            Self::Reverse { transaction: id } => {
                let request = ReverseRequest { id, ..Default::default() };
                ledger.reverse(keyed(tenant, request, key)).await.map(one)
            }
        }
    }
}
