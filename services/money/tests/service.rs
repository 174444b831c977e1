//! The money service in this process, over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use money::Money;
use svc_api::money::v1::money_service_client::MoneyServiceClient;
use svc_api::money::v1::*;
use svc_kit::Problem;
use svc_testkit::{CallerChannel, FakeEventBus, TestCaller, TestService, wait_for};
use tonic::{Code, Request, Status};
use uuid::Uuid;

type Client = MoneyServiceClient<CallerChannel>;

fn client(service: &TestService<Money>, caller: &TestCaller) -> Client {
    MoneyServiceClient::new(service.channel(caller))
}

/// A request with a key of its own.
fn once<T>(message: T) -> Request<T> {
    keyed(message, &Uuid::now_v7().to_string())
}

fn keyed<T>(message: T, key: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    request
}

async fn wallet(client: &mut Client, currency: &str) -> String {
    let request = CreateWalletRequest { currency: currency.to_owned(), ..Default::default() };
    client.create_wallet(once(request)).await.unwrap().into_inner().id
}

fn credit(id: &str, amount: i64) -> CreditRequest {
    CreditRequest { id: id.to_owned(), amount, description: "top-up".to_owned() }
}

async fn balance(client: &mut Client, id: &str) -> (i64, i64) {
    let balance = client.get_balance(GetBalanceRequest { id: id.to_owned() }).await.unwrap().into_inner();
    (balance.available, balance.frozen)
}

fn slug(status: &Status) -> String {
    Problem::from_status(status).slug().to_owned()
}

#[tokio::test]
async fn credit_hold_confirm_balance() {
    let service = TestService::<Money>::start().await;
    let owner = TestCaller::owner();
    let mut client = client(&service, &owner);
    let id = wallet(&mut client, "EUR").await;

    let credited = client.credit(once(credit(&id, 1000))).await.unwrap().into_inner();
    assert_eq!((credited.r#type.as_str(), credited.status.as_str()), ("credit", "completed"));
    assert_eq!((credited.amount, credited.balance_after, credited.currency.as_str()), (1000, 1000, "EUR"));

    let request = HoldRequest { id: id.clone(), amount: 300, ..Default::default() };
    let reply = client.hold(once(request)).await.unwrap().into_inner();
    let (hold, movement) = (reply.hold.unwrap(), reply.transaction.unwrap());
    assert_eq!((hold.status.as_str(), movement.status.as_str()), ("held", "held"));
    let read_again = GetTransactionRequest { id: movement.transaction_id.clone() };
    assert_eq!(client.get_transaction(read_again).await.unwrap().into_inner(), movement);
    let (created, expires) = (hold.created_at.unwrap(), hold.expires_at.unwrap());
    assert_eq!(expires.seconds - created.seconds, 72 * 3600);
    assert_eq!(balance(&mut client, &id).await, (700, 300));

    let confirm = || ConfirmHoldRequest { id: hold.id.clone() };
    let confirmed = client.confirm_hold(once(confirm())).await.unwrap().into_inner();
    assert_eq!(confirmed.hold.unwrap().status, "confirmed");
    assert_eq!(confirmed.transaction.unwrap().related_id, hold.id);
    assert_eq!(balance(&mut client, &id).await, (700, 0));

    let again = client.confirm_hold(once(confirm())).await.unwrap_err();
    assert_eq!((again.code(), slug(&again)), (Code::FailedPrecondition, "hold-settled".to_owned()));
    service.stop().await;
}

#[tokio::test]
async fn a_canceled_hold_makes_the_money_available_again() {
    let service = TestService::<Money>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let id = wallet(&mut client, "EUR").await;
    client.credit(once(credit(&id, 100))).await.unwrap();
    let request = HoldRequest { id: id.clone(), amount: 100, ttl_seconds: 60, ..Default::default() };
    let hold = client.hold(once(request)).await.unwrap().into_inner().hold.unwrap();

    let debit = DebitRequest { id: id.clone(), amount: 1, ..Default::default() };
    let refused = client.debit(once(debit)).await.unwrap_err();
    assert_eq!((refused.code(), slug(&refused)), (Code::FailedPrecondition, "insufficient-funds".to_owned()));

    let canceled = client.cancel_hold(once(CancelHoldRequest { id: hold.id })).await.unwrap().into_inner();
    assert_eq!(canceled.hold.unwrap().status, "canceled");
    assert_eq!(balance(&mut client, &id).await, (100, 0));
}

#[tokio::test]
async fn a_transfer_moves_money_and_a_reversal_moves_it_back_once() {
    let service = TestService::<Money>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let (from, to) = (wallet(&mut client, "EUR").await, wallet(&mut client, "EUR").await);
    client.credit(once(credit(&from, 500))).await.unwrap();

    let transfer = |amount| TransferRequest {
        from_wallet_id: from.clone(),
        to_wallet_id: to.clone(),
        amount,
        description: String::new(),
    };
    let reply = client.transfer(once(transfer(200))).await.unwrap().into_inner();
    let (debit, credit) = (reply.debit.unwrap(), reply.credit.unwrap());
    assert_eq!((debit.r#type.as_str(), credit.r#type.as_str()), ("transfer_out", "transfer_in"));
    assert_eq!(credit.related_id, debit.transaction_id);
    assert_eq!((balance(&mut client, &from).await, balance(&mut client, &to).await), ((300, 0), (200, 0)));

    let reverse = |id: &str| ReverseRequest { id: id.to_owned(), description: "mistake".to_owned() };
    let reversed = client.reverse(once(reverse(&credit.transaction_id))).await.unwrap().into_inner();
    assert_eq!((reversed.r#type.as_str(), reversed.wallet_id.as_str()), ("reversal", to.as_str()));
    assert_eq!((balance(&mut client, &from).await, balance(&mut client, &to).await), ((500, 0), (0, 0)));

    // Both sides were undone together, and what undid them cannot be undone.
    let other_side = client.reverse(once(reverse(&debit.transaction_id))).await.unwrap_err();
    assert_eq!(slug(&other_side), "already-reversed");
    let reversal = client.reverse(once(reverse(&reversed.transaction_id))).await.unwrap_err();
    assert_eq!(slug(&reversal), "not-reversible");

    let refused = client.transfer(once(transfer(501))).await.unwrap_err();
    assert_eq!(slug(&refused), "insufficient-funds");
    let dollars = wallet(&mut client, "USD").await;
    let mixed = TransferRequest { to_wallet_id: dollars, ..transfer(1) };
    assert_eq!(slug(&client.transfer(once(mixed)).await.unwrap_err()), "currency-mismatch");
    let same = TransferRequest { to_wallet_id: from.clone(), ..transfer(1) };
    assert_eq!(client.transfer(once(same)).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_credit_that_was_spent_cannot_be_taken_back() {
    let service = TestService::<Money>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let id = wallet(&mut client, "EUR").await;
    let credited = client.credit(once(credit(&id, 100))).await.unwrap().into_inner();
    client.debit(once(DebitRequest { id: id.clone(), amount: 60, ..Default::default() })).await.unwrap();
    let request = ReverseRequest { id: credited.transaction_id, ..Default::default() };
    let refused = client.reverse(once(request)).await.unwrap_err();
    assert_eq!(slug(&refused), "insufficient-funds");
    assert_eq!(balance(&mut client, &id).await, (40, 0));
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_moves_money_once() {
    let mut service = TestService::<Money>::start().await;
    let owner = TestCaller::owner();
    let mut first = client(&service, &owner);
    let id = wallet(&mut first, "EUR").await;
    let key = Uuid::now_v7().to_string();
    let answer = first.credit(keyed(credit(&id, 100), &key)).await.unwrap().into_inner();
    let again = first.credit(keyed(credit(&id, 100), &key)).await.unwrap().into_inner();
    assert_eq!(again, answer);
    assert_eq!(balance(&mut first, &id).await, (100, 0));

    let other = first.credit(keyed(credit(&id, 101), &key)).await.unwrap_err();
    assert_eq!((other.code(), slug(&other)), (Code::AlreadyExists, "idempotency-key-reused".to_owned()));
    let other_operation = DebitRequest { id: id.clone(), amount: 100, description: "top-up".to_owned() };
    assert_eq!(slug(&first.debit(keyed(other_operation, &key)).await.unwrap_err()), "idempotency-key-reused");

    // The key belongs to the tenant, and survives a restart.
    service.restart().await;
    let mut after = client(&service, &owner);
    assert_eq!(after.credit(keyed(credit(&id, 100), &key)).await.unwrap().into_inner(), answer);
    assert_eq!(balance(&mut after, &id).await, (100, 0));
    let mut stranger = client(&service, &TestCaller::owner());
    let own = wallet(&mut stranger, "EUR").await;
    stranger.credit(keyed(credit(&own, 7), &key)).await.unwrap();
}

#[tokio::test]
async fn a_refused_request_may_be_sent_again_with_its_key() {
    let service = TestService::<Money>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let id = wallet(&mut client, "EUR").await;
    let key = Uuid::now_v7().to_string();
    let debit = || keyed(DebitRequest { id: id.clone(), amount: 10, ..Default::default() }, &key);
    assert_eq!(slug(&client.debit(debit()).await.unwrap_err()), "insufficient-funds");
    client.credit(once(credit(&id, 10))).await.unwrap();
    client.debit(debit()).await.unwrap();
    assert_eq!(balance(&mut client, &id).await, (0, 0));
}

#[tokio::test]
async fn requests_are_checked() {
    let service = TestService::<Money>::start_with([("MONEY_MAX_AMOUNT", "1000")]).await;
    let mut client = client(&service, &TestCaller::owner());
    let id = wallet(&mut client, "EUR").await;

    let without_key = client.credit(credit(&id, 1)).await.unwrap_err();
    assert_eq!(slug(&without_key), "idempotency-key-required");
    let bad_key = client.credit(keyed(credit(&id, 1), "order-17")).await.unwrap_err();
    assert_eq!(slug(&bad_key), "idempotency-key-required");
    for amount in [0, -1] {
        let refused = client.credit(once(credit(&id, amount))).await.unwrap_err();
        assert_eq!((refused.code(), slug(&refused)), (Code::InvalidArgument, "invalid-amount".to_owned()));
    }
    let above = client.credit(once(credit(&id, 1001))).await.unwrap_err();
    assert_eq!(slug(&above), "limit-exceeded");
    let euro = CreateWalletRequest { currency: "euro".to_owned(), ..Default::default() };
    let refused = client.create_wallet(once(euro)).await.unwrap_err();
    assert_eq!(Problem::from_status(&refused).violation_list()[0].field, "currency");
    let endless = HoldRequest { id: id.clone(), amount: 1, ttl_seconds: 604_801, ..Default::default() };
    let refused = client.hold(once(endless)).await.unwrap_err();
    assert_eq!(Problem::from_status(&refused).violation_list()[0].field, "ttlSeconds");
    let nowhere = client.credit(once(credit(&Uuid::now_v7().to_string(), 1))).await.unwrap_err();
    assert_eq!(nowhere.code(), Code::NotFound);
    assert_eq!(balance(&mut client, &id).await, (0, 0));
}

#[tokio::test]
async fn another_tenant_sees_and_moves_nothing() {
    let service = TestService::<Money>::start().await;
    let mut owner = client(&service, &TestCaller::owner());
    let id = wallet(&mut owner, "EUR").await;
    let credited = owner.credit(once(credit(&id, 100))).await.unwrap().into_inner();
    let request = HoldRequest { id: id.clone(), amount: 10, ..Default::default() };
    let hold = owner.hold(once(request)).await.unwrap().into_inner().hold.unwrap();

    let mut stranger = client(&service, &TestCaller::owner());
    let own = wallet(&mut stranger, "EUR").await;
    let codes = [
        stranger.get_wallet(GetWalletRequest { id: id.clone() }).await.unwrap_err(),
        stranger.get_balance(GetBalanceRequest { id: id.clone() }).await.unwrap_err(),
        stranger.credit(once(credit(&id, 1))).await.unwrap_err(),
        stranger
            .debit(once(DebitRequest { id: id.clone(), amount: 1, ..Default::default() }))
            .await
            .unwrap_err(),
        stranger.confirm_hold(once(ConfirmHoldRequest { id: hold.id.clone() })).await.unwrap_err(),
        stranger.cancel_hold(once(CancelHoldRequest { id: hold.id })).await.unwrap_err(),
        stranger
            .get_transaction(GetTransactionRequest { id: credited.transaction_id.clone() })
            .await
            .unwrap_err(),
        stranger
            .reverse(once(ReverseRequest { id: credited.transaction_id, ..Default::default() }))
            .await
            .unwrap_err(),
        stranger
            .transfer(once(TransferRequest {
                from_wallet_id: id.clone(),
                to_wallet_id: own.clone(),
                amount: 1,
                ..Default::default()
            }))
            .await
            .unwrap_err(),
    ];
    for status in codes {
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
    }
    let wallets = stranger.list_wallets(ListWalletsRequest::default()).await.unwrap().into_inner().wallets;
    assert_eq!(wallets.iter().map(|wallet| &wallet.id).collect::<Vec<_>>(), [&own]);
    let listed = ListTransactionsRequest { wallet_id: id.clone(), ..Default::default() };
    assert!(stranger.list_transactions(listed).await.unwrap().into_inner().transactions.is_empty());
    assert_eq!(balance(&mut owner, &id).await, (90, 10));

    let mut nobody = client(&service, &TestCaller::nobody());
    let refused = nobody.list_wallets(ListWalletsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut outside = client(&service, &TestCaller::owner().from_outside());
    let refused = outside.list_wallets(ListWalletsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_wallet_is_read_as_it_was_made() {
    let service = TestService::<Money>::start().await;
    let owner = TestCaller::owner();
    let mut client = client(&service, &owner);
    let request = CreateWalletRequest {
        currency: "USDT".to_owned(),
        label: "savings".to_owned(),
        ..Default::default()
    };
    let made = client.create_wallet(once(request)).await.unwrap().into_inner();
    assert_eq!(made.user_id, owner.user.unwrap().to_string(), "the caller's own, when nobody is named");
    let read = client.get_wallet(GetWalletRequest { id: made.id.clone() }).await.unwrap().into_inner();
    assert_eq!(read, made);
}

#[tokio::test]
async fn lists_go_page_by_page() {
    let service = TestService::<Money>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(wallet(&mut client, "EUR").await);
    }
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListWalletsRequest { page_size: 2, page_token, user_id: String::new() };
        let reply = client.list_wallets(request).await.unwrap().into_inner();
        assert!(reply.wallets.len() <= 2);
        seen.extend(reply.wallets.into_iter().map(|wallet| wallet.id));
        page_token = reply.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);

    for amount in 1..=3 {
        client.credit(once(credit(&made[0], amount))).await.unwrap();
    }
    let request = ListTransactionsRequest { wallet_id: made[0].clone(), page_size: 2, ..Default::default() };
    let newest = client.list_transactions(request).await.unwrap().into_inner();
    assert_eq!(newest.transactions.iter().map(|item| item.amount).collect::<Vec<_>>(), [3, 2]);
    let request = ListTransactionsRequest {
        wallet_id: made[0].clone(),
        page_size: 2,
        page_token: newest.next_page_token,
    };
    let rest = client.list_transactions(request).await.unwrap().into_inner();
    assert_eq!(rest.transactions.iter().map(|item| item.amount).collect::<Vec<_>>(), [1]);
    assert_eq!(rest.next_page_token, "");
    let request = ListWalletsRequest { page_size: 101, ..Default::default() };
    assert_eq!(client.list_wallets(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn everybody_at_once_never_spends_more_than_there_is() {
    let service = TestService::<Money>::start().await;
    let owner = TestCaller::owner();
    let mut setup = client(&service, &owner);
    let (one, other) = (wallet(&mut setup, "EUR").await, wallet(&mut setup, "EUR").await);
    for id in [&one, &other] {
        setup.credit(once(credit(id, 50))).await.unwrap();
    }
    let tasks = (0..40).map(|number| {
        let mut client = client(&service, &owner);
        let (from, to) =
            if number % 2 == 0 { (one.clone(), other.clone()) } else { (other.clone(), one.clone()) };
        tokio::spawn(async move {
            if number % 4 < 2 {
                let request = TransferRequest {
                    from_wallet_id: from,
                    to_wallet_id: to,
                    amount: 20,
                    ..Default::default()
                };
                client.transfer(once(request)).await.map(|_| 0)
            } else {
                let request = DebitRequest { id: from, amount: 9, ..Default::default() };
                client.debit(once(request)).await.map(|_| 9)
            }
        })
    });
    let mut spent = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(amount) => spent += amount,
            Err(status) => assert_eq!(slug(&status), "insufficient-funds"),
        }
    }
    let (one, other) = (balance(&mut setup, &one).await, balance(&mut setup, &other).await);
    assert!(one.0 >= 0 && other.0 >= 0);
    assert_eq!(one.0 + other.0 + spent, 100);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart_and_its_events_go_out() {
    let mut service = TestService::<Money>::start().await;
    let owner = TestCaller::owner();
    let mut before = client(&service, &owner);
    let id = wallet(&mut before, "EUR").await;
    before.credit(once(credit(&id, 250))).await.unwrap();

    // The event-bus was away so far.
    let bus = FakeEventBus::start().await;
    service.restart_with([("EVENTS_URL", bus.url())]).await;
    let mut after = client(&service, &owner);
    assert_eq!(balance(&mut after, &id).await, (250, 0));
    let published = bus.wait_for("money.wallet.credited").await;
    assert_eq!(published.tenant, owner.tenant);
    assert_eq!((published.event.topic.as_str(), &published.event.key), ("platform.money.events", &id));
    let data = svc_kit::json::from_struct(published.event.payload.unwrap());
    assert_eq!((data["walletId"].as_str(), data["amount"].as_i64()), (Some(id.as_str()), Some(250)));
}

#[tokio::test]
async fn an_expired_hold_is_canceled_by_itself() {
    let service = TestService::<Money>::start_with([("MONEY_SWEEP_INTERVAL", "10ms")]).await;
    let mut client = client(&service, &TestCaller::owner());
    let id = wallet(&mut client, "EUR").await;
    client.credit(once(credit(&id, 100))).await.unwrap();
    let request = HoldRequest { id: id.clone(), amount: 40, ttl_seconds: 1, ..Default::default() };
    client.hold(once(request)).await.unwrap();
    wait_for("the hold to expire", || {
        let (mut client, id) = (client.clone(), id.clone());
        async move { (balance(&mut client, &id).await == (100, 0)).then_some(()) }
    })
    .await;
}
