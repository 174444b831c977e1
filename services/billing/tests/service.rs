//! billing over its wire: trials, plans, limits, tenancy, what survives a restart, what others are told.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use billing::Billing;
use svc_api::billing::v1::{
    CancelDowngradeRequest, CancelSubscriptionRequest, CheckLimitReply, CheckLimitRequest, CreatePlanRequest,
    CreateSubscriptionRequest, ListPaymentMethodsRequest, ListPlansRequest, RecordUsageRequest,
    RetrievePlanRequest, RetrieveSubscriptionRequest, RetrieveUsageRequest, UpdateSubscriptionRequest,
    billing_service_client::BillingServiceClient, payment_method_service_client::PaymentMethodServiceClient,
};
use svc_testkit::{CallerChannel, FakeEventBus, TestCaller, TestService};
use tonic::Code;

type Client = BillingServiceClient<CallerChannel>;

fn client(service: &TestService<Billing>, caller: &TestCaller) -> Client {
    BillingServiceClient::new(service.channel(caller))
}

async fn check(client: &mut Client, resource: &str, amount: i64) -> CheckLimitReply {
    let request = CheckLimitRequest { resource: resource.to_owned(), amount };
    client.check_limit(request).await.unwrap().into_inner()
}

async fn record(client: &mut Client, amount: i64, id: &str) {
    let request = RecordUsageRequest { resource: "users".to_owned(), amount, id: id.to_owned() };
    client.record_usage(request).await.unwrap();
}

fn uuid() -> String {
    TestCaller::owner().user.unwrap().to_string()
}

#[tokio::test]
async fn plan_subscription_limit_check() {
    let service = TestService::<Billing>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let plans = client.list_plans(ListPlansRequest::default()).await.unwrap().into_inner().plans;
    assert_eq!(plans.iter().map(|plan| plan.id.as_str()).collect::<Vec<_>>(), ["free", "pro", "enterprise"]);

    let made = CreateSubscriptionRequest { plan_id: "free".to_owned() };
    let made = client.create_subscription(made).await.unwrap().into_inner();
    assert_eq!((made.status.as_str(), made.version), ("trialing", 1));
    let again = CreateSubscriptionRequest { plan_id: "pro".to_owned() };
    assert_eq!(client.create_subscription(again).await.unwrap_err().code(), Code::AlreadyExists);

    // Five users are in the free plan.
    let before = check(&mut client, "users", 5).await;
    assert!(before.allowed && before.reason.is_empty());
    assert_eq!((before.used, before.limit, before.plan_id.as_str()), (0, 5, "free"));
    let report = uuid();
    record(&mut client, 5, &report).await;
    record(&mut client, 5, &report).await;
    let after = check(&mut client, "users", 1).await;
    assert_eq!((after.allowed, after.reason.as_str(), after.used), (false, "plan-limit-exceeded", 5));
    record(&mut client, -100, &uuid()).await;
    assert_eq!(check(&mut client, "users", 1).await.used, 0, "never below zero");

    // The enterprise plan is unlimited.
    let up = UpdateSubscriptionRequest { id: made.id, plan_id: "enterprise".to_owned(), version: 1 };
    client.update_subscription(up).await.unwrap();
    let unlimited = check(&mut client, "users", 1_000_000).await;
    assert!(unlimited.allowed);
    assert_eq!(unlimited.limit, 0);
    service.stop().await;
}

#[tokio::test]
async fn a_tenant_that_nobody_announced_has_a_trial_and_of_two_changes_one_wins() {
    let service = TestService::<Billing>::start().await;
    let mut client = client(&service, &TestCaller::owner());
    let first = client.retrieve_subscription(RetrieveSubscriptionRequest {}).await.unwrap().into_inner();
    assert_eq!((first.status.as_str(), first.plan_id.as_str()), ("trialing", "free"));

    let to = |plan: &str, version| UpdateSubscriptionRequest {
        id: first.id.clone(),
        plan_id: plan.to_owned(),
        version,
    };
    assert_eq!(client.update_subscription(to("gold", 1)).await.unwrap_err().code(), Code::NotFound);
    let pro = client.update_subscription(to("pro", 1)).await.unwrap().into_inner();
    assert_eq!((pro.plan_id.as_str(), pro.version), ("pro", 2));
    assert_eq!(client.update_subscription(to("enterprise", 1)).await.unwrap_err().code(), Code::Aborted);
    let stay =
        client.cancel_downgrade(CancelDowngradeRequest { id: first.id.clone() }).await.unwrap().into_inner();
    assert_eq!((stay.pending_plan_id.as_str(), stay.version), ("", 3));

    client.cancel_subscription(CancelSubscriptionRequest { id: first.id.clone() }).await.unwrap();
    let canceled = client.retrieve_subscription(RetrieveSubscriptionRequest {}).await.unwrap().into_inner();
    assert_eq!(canceled.status, "canceled");
    assert!(check(&mut client, "", 0).await.allowed, "until the period ends");
    let twice = client.cancel_subscription(CancelSubscriptionRequest { id: first.id }).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
    service.stop().await;
}

#[tokio::test]
async fn a_tenant_cannot_reach_what_is_anothers() {
    let service = TestService::<Billing>::start().await;
    let (mut acme, mut beta) =
        (client(&service, &TestCaller::owner()), client(&service, &TestCaller::owner()));
    let of_acme = acme.retrieve_subscription(RetrieveSubscriptionRequest {}).await.unwrap().into_inner();
    let of_beta = beta.retrieve_subscription(RetrieveSubscriptionRequest {}).await.unwrap().into_inner();
    assert_ne!(of_acme.tenant_id, of_beta.tenant_id);
    let stolen = CancelSubscriptionRequest { id: of_acme.id };
    assert_eq!(beta.cancel_subscription(stolen).await.unwrap_err().code(), Code::NotFound);
    record(&mut acme, 3, &uuid()).await;
    let usage = beta.retrieve_usage(RetrieveUsageRequest {}).await.unwrap().into_inner();
    assert_eq!(usage.used.unwrap().users, 0);
    service.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart_and_told_in_the_end() {
    let mut service = TestService::<Billing>::start().await;
    let caller = TestCaller::owner();
    let made = CreateSubscriptionRequest { plan_id: "pro".to_owned() };
    let made = client(&service, &caller).create_subscription(made).await.unwrap().into_inner();
    record(&mut client(&service, &caller), 2, &uuid()).await;

    let bus = FakeEventBus::start().await;
    service.restart_with([("EVENTS_URL", bus.url())]).await;
    let mut client = client(&service, &caller);
    let found = client.retrieve_subscription(RetrieveSubscriptionRequest {}).await.unwrap().into_inner();
    assert_eq!(found, made);
    assert_eq!(check(&mut client, "users", 1).await.used, 2);
    let told = bus.wait_for("billing.subscription.changed").await;
    assert_eq!(told.tenant, caller.tenant);
    let payload = svc_kit::json::from_struct(told.event.payload.unwrap());
    assert_eq!((&payload["planId"], &payload["status"]), (&"pro".into(), &"trialing".into()));
    service.stop().await;
}

#[tokio::test]
async fn nonsense_and_outsiders_are_refused_and_what_is_missing_says_so() {
    let service = TestService::<Billing>::start().await;
    let outside = TestCaller::owner().from_outside();
    let refused = client(&service, &outside).list_plans(ListPlansRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let nobody = client(&service, &TestCaller::nobody())
        .retrieve_subscription(RetrieveSubscriptionRequest {})
        .await
        .unwrap_err();
    assert_eq!(svc_kit::Problem::from_status(&nobody).slug(), "tenant-missing");

    let caller = TestCaller::owner();
    let mut billing = client(&service, &caller);
    let seats = CheckLimitRequest { resource: "seats".to_owned(), amount: 1 };
    assert_eq!(billing.check_limit(seats).await.unwrap_err().code(), Code::InvalidArgument);
    let negative = CheckLimitRequest { resource: "users".to_owned(), amount: -1 };
    assert_eq!(billing.check_limit(negative).await.unwrap_err().code(), Code::InvalidArgument);
    let gold = RetrievePlanRequest { id: "gold".to_owned() };
    assert_eq!(billing.retrieve_plan(gold).await.unwrap_err().code(), Code::NotFound);
    let plan = billing.create_plan(CreatePlanRequest::default()).await.unwrap_err();
    assert_eq!(plan.code(), Code::Unimplemented);
    let mut payment = PaymentMethodServiceClient::new(service.channel(&caller));
    let payment = payment.list_payment_methods(ListPaymentMethodsRequest {}).await.unwrap_err();
    assert_eq!(payment.code(), Code::Unimplemented);
    service.stop().await;
}
