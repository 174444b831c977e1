//! What money and billing hear of tenants that come and go.

use std::sync::{Arc, Mutex};

use iam::Iam;
use svc_api::{
    billing::v1::{
        CancelSubscriptionRequest, CreateSubscriptionRequest, RetrieveSubscriptionRequest, Subscription,
        billing_service_server::{BillingService, BillingServiceServer},
    },
    iam::v1::{DeleteTenantRequest, SetupPlatformOwnerRequest, tenant_service_client::TenantServiceClient},
    money::v1::{
        CreateWalletRequest, Wallet,
        money_service_server::{MoneyService, MoneyServiceServer},
    },
};
use svc_kit::RequestContext;
use svc_testkit::{FakeNeighbour, TestCaller, TestService, wait_for};
use tonic::{Request, Response, Status, service::Routes};

use crate::{PASSWORD, internal, register};

/// What was given, to which tenant, under which key.
type Gift = (&'static str, String, String);

/// Plays money and billing: refuses once, then keeps who got what under which key.
#[derive(Clone, Default)]
struct Neighbours {
    given: Arc<Mutex<Vec<Gift>>>,
    refused: Arc<Mutex<bool>>,
}

impl Neighbours {
    fn give<T: Default>(&self, what: &'static str, context: &RequestContext) -> Result<Response<T>, Status> {
        if !std::mem::replace(&mut *self.refused.lock().unwrap(), true) {
            return Err(Status::internal("not today"));
        }
        let key = context.idempotency_key.clone().unwrap_or_default();
        self.given.lock().unwrap().push((what, context.tenant()?.to_string(), key));
        Ok(Response::new(T::default()))
    }
}

#[tonic::async_trait]
impl MoneyService for Neighbours {
    async fn create_wallet(&self, request: Request<CreateWalletRequest>) -> Result<Response<Wallet>, Status> {
        self.give("wallet", &RequestContext::of(&request))
    }
}

#[tonic::async_trait]
impl BillingService for Neighbours {
    async fn create_subscription(
        &self,
        request: Request<CreateSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        self.give("subscription", &RequestContext::of(&request))
    }

    async fn retrieve_subscription(
        &self,
        request: Request<RetrieveSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let id = format!("of {}", RequestContext::of(&request).tenant()?);
        Ok(Response::new(Subscription { id, ..Subscription::default() }))
    }

    async fn cancel_subscription(
        &self,
        request: Request<CancelSubscriptionRequest>,
    ) -> Result<Response<()>, Status> {
        assert_eq!(request.get_ref().id, format!("of {}", RequestContext::of(&request).tenant()?));
        self.give("canceled", &RequestContext::of(&request))
    }
}

#[tokio::test]
async fn a_new_tenant_gets_its_wallet_and_trial_even_after_a_restart() {
    let mut service = TestService::<Iam>::start().await;
    let registered = register(&service, "ada@example.com", "Acme").await;
    let tenant = registered.tenant.unwrap().id;
    let neighbours = Neighbours::default();
    let routes = Routes::new(MoneyServiceServer::new(neighbours.clone()));
    let fake = FakeNeighbour::start(routes.add_service(BillingServiceServer::new(neighbours.clone()))).await;
    service.restart_with([("MONEY_URL", fake.url()), ("BILLING_URL", fake.url())]).await;
    let mut given = wait_for("wallet and subscription", || async {
        Some(neighbours.given.lock().unwrap().clone()).filter(|given| given.len() == 2)
    })
    .await;
    given.sort_unstable();
    assert_eq!(given, [("subscription", tenant.clone(), tenant.clone()), ("wallet", tenant.clone(), tenant)]);
    service.stop().await;
}

#[tokio::test]
async fn a_deleted_tenant_is_undone_at_billing_even_after_a_restart() {
    let mut service = TestService::<Iam>::start().await;
    let root = SetupPlatformOwnerRequest {
        email: "root@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        name: String::new(),
    };
    let root = internal(&service).setup_platform_owner(root).await.unwrap().into_inner();
    let root = TestCaller::nobody().as_user(&root.tenant.unwrap().id, &root.user.unwrap().id);
    let tenant = register(&service, "ada@example.com", "Acme").await.tenant.unwrap().id;
    let mut tenants = TenantServiceClient::new(service.channel(&root));
    tenants.delete_tenant(DeleteTenantRequest { id: tenant.clone() }).await.unwrap();

    let neighbours = Neighbours::default();
    let routes = Routes::new(MoneyServiceServer::new(neighbours.clone()));
    let fake = FakeNeighbour::start(routes.add_service(BillingServiceServer::new(neighbours.clone()))).await;
    service.restart_with([("MONEY_URL", fake.url()), ("BILLING_URL", fake.url())]).await;
    let given = wait_for("the cancellation", || async {
        let given = neighbours.given.lock().unwrap().clone();
        given.iter().any(|(what, ..)| *what == "canceled").then_some(given)
    })
    .await;
    let of_deleted: Vec<_> =
        given.iter().filter(|(_, of, _)| *of == tenant).map(|(what, ..)| *what).collect();
    assert_eq!(of_deleted, ["canceled"], "and nothing is given to it any more");
    service.stop().await;
}
