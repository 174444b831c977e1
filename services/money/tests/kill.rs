//! The real process, killed again and again while it works: what it acknowledged is there, once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use svc_api::money::v1::money_service_client::MoneyServiceClient;
use svc_api::money::v1::*;
use svc_testkit::{KilledService, Kills, TestCaller};
use uuid::Uuid;

/// The same caller with a key of its own, so that a repetition is harmless.
fn once(caller: &TestCaller) -> TestCaller {
    caller.clone().with_idempotency_key(Uuid::now_v7().to_string())
}

#[tokio::test]
async fn what_was_acknowledged_is_there_once_whenever_the_process_is_killed() {
    let caller = TestCaller::owner();
    let mut service = KilledService::start(env!("CARGO_BIN_EXE_money"), &[]).await;
    let target = service.target();
    let create = CreateWalletRequest { currency: "EUR".to_owned(), ..Default::default() };
    let ask = async |channel| MoneyServiceClient::new(channel).create_wallet(create.clone()).await;
    let id = target.persist("a wallet", &once(&caller), ask).await.id;

    let acknowledged = service
        .write(Kills::default(), async |target, _| {
            let credit = CreditRequest { id: id.clone(), amount: 1, ..Default::default() };
            let ask = async |channel| MoneyServiceClient::new(channel).credit(credit.clone()).await;
            Some(target.persist("a credit", &once(&caller), ask).await)
        })
        .await;

    let get = GetBalanceRequest { id };
    let ask = async |channel| MoneyServiceClient::new(channel).get_balance(get.clone()).await;
    let balance = target.persist("the balance", &caller, ask).await;
    let credited = i64::try_from(acknowledged.len()).unwrap();
    assert_eq!((balance.available, balance.frozen), (credited, 0));
}

#[tokio::test]
async fn a_transfer_that_is_cut_off_happened_whole_or_not_at_all() {
    const ALL: i64 = 1_000_000;
    let caller = TestCaller::owner();
    let mut service = KilledService::start(env!("CARGO_BIN_EXE_money"), &[]).await;
    let target = service.target();
    let create = CreateWalletRequest { currency: "EUR".to_owned(), ..Default::default() };
    let wallet = async |channel| MoneyServiceClient::new(channel).create_wallet(create.clone()).await;
    let from = target.persist("a wallet", &once(&caller), &wallet).await.id;
    let to = target.persist("another", &once(&caller), &wallet).await.id;
    let credit = CreditRequest { id: from.clone(), amount: ALL, ..Default::default() };
    let ask = async |channel| MoneyServiceClient::new(channel).credit(credit.clone()).await;
    target.persist("all there is", &once(&caller), ask).await;

    let acknowledged = service
        .write(Kills::default(), async |target, _| {
            let (from_wallet_id, to_wallet_id) = (from.clone(), to.clone());
            let transfer = TransferRequest { from_wallet_id, to_wallet_id, amount: 1, ..Default::default() };
            let ask = async |channel| MoneyServiceClient::new(channel).transfer(transfer.clone()).await;
            Some(target.persist("a transfer", &once(&caller), ask).await)
        })
        .await;

    let mut balances = Vec::new();
    for id in [from, to] {
        let get = GetBalanceRequest { id };
        let ask = async |channel| MoneyServiceClient::new(channel).get_balance(get.clone()).await;
        balances.push(target.persist("a balance", &caller, ask).await.available);
    }
    let moved = i64::try_from(acknowledged.len()).unwrap();
    assert_eq!(balances, [ALL - moved, moved]);
}
