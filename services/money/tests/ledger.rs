//! The ledger over its database, with a clock that the test turns, and whatever operations come.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use money::{Clock, Ledger, MIGRATIONS};
use proptest::prelude::*;
use svc_api::money::v1::money_service_server::MoneyService;
use svc_api::money::v1::*;
use svc_kit::Problem;
use svc_stores::{Database, values};
use tempfile::TempDir;
use tonic::{Request, Status};
use uuid::Uuid;

#[derive(Clone)]
struct TurnedClock(Arc<AtomicI64>);

impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

struct Bench {
    ledger: Ledger,
    database: Database,
    clock: TurnedClock,
    tenant: Uuid,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let database =
            Database::connect(&format!("sqlite://{}/money.db", folder.path().display())).await.unwrap();
        database.migrate("money", MIGRATIONS).await.unwrap();
        let clock = TurnedClock(Arc::new(AtomicI64::new(1_800_000_000)));
        let ledger = Ledger::new(database.clone(), clock.clone(), 10_000_000);
        Bench { ledger, database, clock, tenant: Uuid::now_v7(), _folder: folder }
    }

    fn turn(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn request<T>(&self, message: T) -> Request<T> {
        self.keyed(message, Uuid::now_v7())
    }

    fn keyed<T>(&self, message: T, key: Uuid) -> Request<T> {
        let mut request = Request::new(message);
        let headers = [("x-tenant-id", self.tenant), ("x-user-id", Uuid::nil()), ("idempotency-key", key)];
        for (name, value) in headers {
            request.metadata_mut().insert(name, value.to_string().parse().unwrap());
        }
        request
    }

    async fn wallet(&self) -> String {
        let request = CreateWalletRequest { currency: "EUR".to_owned(), ..Default::default() };
        self.ledger.create_wallet(self.request(request)).await.unwrap().into_inner().id
    }

    async fn credit(&self, id: &str, amount: i64) -> Result<Transaction, Status> {
        let request = CreditRequest { id: id.to_owned(), amount, ..Default::default() };
        self.ledger.credit(self.request(request)).await.map(tonic::Response::into_inner)
    }

    async fn hold(&self, id: &str, amount: i64, ttl_seconds: i64) -> Result<Hold, Status> {
        let request = HoldRequest { id: id.to_owned(), amount, ttl_seconds, ..Default::default() };
        Ok(self.ledger.hold(self.request(request)).await?.into_inner().hold.unwrap())
    }

    async fn balance(&self, id: &str) -> (i64, i64) {
        let request = self.request(GetBalanceRequest { id: id.to_owned() });
        let balance = self.ledger.get_balance(request).await.unwrap().into_inner();
        (balance.available, balance.frozen)
    }

    /// Every posting adds up to zero, and every balance is the sum of its entries.
    async fn audit(&self) {
        let system = self.database.system();
        let sql = "SELECT posting_id FROM entries GROUP BY posting_id, currency HAVING SUM(amount) <> 0 OR COUNT(*) <> 2";
        assert!(system.fetch_all(sql, values![]).await.unwrap().is_empty());
        let sql = "SELECT w.id FROM wallets w WHERE w.available < 0 OR w.frozen < 0
            OR w.available <> (SELECT COALESCE(SUM(amount), 0) FROM entries e WHERE e.wallet_id = w.id AND pocket = 'available')
            OR w.frozen <> (SELECT COALESCE(SUM(amount), 0) FROM entries e WHERE e.wallet_id = w.id AND pocket = 'frozen')
            OR w.frozen <> (SELECT COALESCE(SUM(amount), 0) FROM holds h WHERE h.wallet_id = w.id AND status = 'held')";
        assert!(system.fetch_all(sql, values![]).await.unwrap().is_empty());
    }
}

fn slug(status: &Status) -> String {
    Problem::from_status(status).slug().to_owned()
}

#[tokio::test]
async fn a_hold_ends_with_its_time() {
    let bench = Bench::new().await;
    let id = bench.wallet().await;
    bench.credit(&id, 100).await.unwrap();
    let hold = bench.hold(&id, 30, 0).await.unwrap();
    let longer = bench.hold(&id, 20, 604_800).await.unwrap();
    assert_eq!(bench.ledger.sweep().await.unwrap(), 0);

    bench.turn(259_200);
    // Its time is over, even before the sweep has seen it.
    let confirm = |hold: &Hold| bench.request(ConfirmHoldRequest { id: hold.id.clone() });
    assert_eq!(slug(&bench.ledger.confirm_hold(confirm(&hold)).await.unwrap_err()), "hold-expired");
    assert_eq!(bench.balance(&id).await, (50, 50));
    assert_eq!(bench.ledger.sweep().await.unwrap(), 1);
    assert_eq!(bench.balance(&id).await, (80, 20));
    assert_eq!(bench.ledger.sweep().await.unwrap(), 0);
    assert_eq!(slug(&bench.ledger.confirm_hold(confirm(&hold)).await.unwrap_err()), "hold-settled");
    bench.ledger.confirm_hold(confirm(&longer)).await.unwrap();
    assert_eq!(bench.balance(&id).await, (80, 0));
    bench.audit().await;
}

#[tokio::test]
async fn an_answer_is_given_again_for_a_day() {
    let bench = Bench::new().await;
    let id = bench.wallet().await;
    let key = Uuid::now_v7();
    let credit = || bench.keyed(CreditRequest { id: id.clone(), amount: 10, ..Default::default() }, key);
    bench.ledger.credit(credit()).await.unwrap();
    bench.turn(24 * 3600 - 1);
    bench.ledger.sweep().await.unwrap();
    bench.ledger.credit(credit()).await.unwrap();
    assert_eq!(bench.balance(&id).await, (10, 0));
    bench.turn(1);
    bench.ledger.credit(credit()).await.unwrap();
    assert_eq!(bench.balance(&id).await, (20, 0), "a day later it is a new request");
}

#[tokio::test]
async fn a_wallet_has_at_most_a_hundred_open_holds() {
    let bench = Bench::new().await;
    let id = bench.wallet().await;
    bench.credit(&id, 1000).await.unwrap();
    let mut last = None;
    for _ in 0..100 {
        last = Some(bench.hold(&id, 1, 60).await.unwrap());
    }
    assert_eq!(slug(&bench.hold(&id, 1, 60).await.unwrap_err()), "too-many-holds");
    assert_eq!(bench.balance(&id).await, (900, 100));
    let cancel = bench.request(CancelHoldRequest { id: last.unwrap().id });
    bench.ledger.cancel_hold(cancel).await.unwrap();
    bench.hold(&id, 1, 60).await.unwrap();
    bench.audit().await;
}

#[tokio::test]
async fn the_database_itself_refuses_a_negative_balance() {
    let bench = Bench::new().await;
    let id: Uuid = bench.wallet().await.parse().unwrap();
    for column in ["available", "frozen"] {
        let sql = format!("UPDATE wallets SET {column} = -1 WHERE id = $1");
        assert!(bench.database.system().execute(&sql, values![id]).await.is_err(), "{column}");
    }
}

/// What a person could do next: which operation, on which wallet or hold or transaction, how much.
type Step = (u8, usize, usize, i64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_sequence_of_operations_keeps_the_books(steps in prop::collection::vec(
        (0..8u8, 0..3usize, 0..6usize, prop_oneof![4 => 1..200i64, 1 => -5..1i64]), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(keep_the_books(steps));
    }
}

async fn keep_the_books(steps: Vec<Step>) {
    let bench = Bench::new().await;
    let wallets = [bench.wallet().await, bench.wallet().await, bench.wallet().await];
    let (mut holds, mut transactions) = (Vec::new(), Vec::new());
    for (kind, wallet, other, amount) in steps {
        let id = wallets[wallet].clone();
        let hold =
            holds.get(other % holds.len().max(1)).cloned().unwrap_or_else(|| Uuid::now_v7().to_string());
        let moved = match kind {
            0 | 1 => bench.credit(&id, amount).await,
            2 => {
                let request = DebitRequest { id, amount, ..Default::default() };
                bench.ledger.debit(bench.request(request)).await.map(tonic::Response::into_inner)
            }
            3 => match bench.hold(&id, amount, 60).await {
                Ok(hold) => {
                    holds.push(hold.id);
                    continue;
                }
                Err(status) => Err(status),
            },
            4 => {
                let request = bench.request(ConfirmHoldRequest { id: hold });
                bench.ledger.confirm_hold(request).await.map(|reply| reply.into_inner().transaction.unwrap())
            }
            5 => {
                let request = bench.request(CancelHoldRequest { id: hold });
                bench.ledger.cancel_hold(request).await.map(|reply| reply.into_inner().transaction.unwrap())
            }
            6 => {
                let to_wallet_id = wallets[other % 3].clone();
                let request =
                    TransferRequest { from_wallet_id: id, to_wallet_id, amount, ..Default::default() };
                let reply = bench.ledger.transfer(bench.request(request)).await;
                reply.map(|reply| reply.into_inner().debit.unwrap())
            }
            _ => {
                bench.turn(20);
                bench.ledger.sweep().await.unwrap();
                let id: Option<&String> = transactions.get(other % transactions.len().max(1));
                let id = id.cloned().unwrap_or_else(|| Uuid::now_v7().to_string());
                let request = bench.request(ReverseRequest { id, ..Default::default() });
                bench.ledger.reverse(request).await.map(tonic::Response::into_inner)
            }
        };
        match moved {
            Ok(transaction) => transactions.push(transaction.transaction_id),
            Err(status) => assert_ne!(status.code(), tonic::Code::Internal, "{status:?}"),
        }
    }
    bench.audit().await;
}
