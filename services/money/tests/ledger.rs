//! The ledger over its database, with a clock that the test turns.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Bench, slug};
use svc_api::money::v1::money_service_server::MoneyService;
use svc_api::money::v1::*;
use svc_stores::values;
use uuid::Uuid;

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
async fn holds_that_cannot_be_canceled_do_not_keep_the_others_from_it() {
    let bench = Bench::new().await;
    // More than one batch of the sweep, all of them before the good one.
    for _ in 0..3 {
        let id = bench.wallet().await;
        bench.credit(&id, 100).await.unwrap();
        for _ in 0..70 {
            bench.hold(&id, 1, 60).await.unwrap();
        }
    }
    bench.database.system().execute("UPDATE wallets SET frozen = 0", values![]).await.unwrap();
    let id = bench.wallet().await;
    bench.credit(&id, 100).await.unwrap();
    bench.hold(&id, 40, 61).await.unwrap();
    bench.turn(61);
    assert_eq!(bench.ledger.sweep().await.unwrap(), 1);
    assert_eq!(bench.balance(&id).await, (100, 0));
}

#[tokio::test]
async fn two_sweeps_at_once_cancel_a_hold_once() {
    let bench = Bench::new().await;
    let other = bench.another_instance().await;
    let id = bench.wallet().await;
    bench.credit(&id, 100).await.unwrap();
    for _ in 0..20 {
        bench.hold(&id, 5, 60).await.unwrap();
    }
    bench.turn(60);
    let (one, two) = tokio::join!(bench.ledger.sweep(), other.sweep());
    assert_eq!(one.unwrap() + two.unwrap(), 20);
    assert_eq!(bench.balance(&id).await, (100, 0));
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

#[tokio::test]
async fn the_database_itself_keeps_the_books_as_they_were_written() {
    let bench = Bench::new().await;
    let id = bench.wallet().await;
    bench.credit(&id, 100).await.unwrap();
    for sql in ["UPDATE entries SET amount = amount + 1", "DELETE FROM entries"] {
        let refused = bench.database.system().execute(sql, values![]).await.unwrap_err();
        assert!(format!("{refused:?}").contains("only ever added"), "{sql}: {refused:?}");
    }
    assert_eq!(bench.entries().await, 2);
    bench.audit().await;
}
