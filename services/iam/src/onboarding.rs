//! What a new tenant needs at other services: a wallet at money and a trial at billing. A saga over the three: what a
//! deleted tenant has at billing is undone there, so that nobody is asked to pay for it.
//!
//! Noted in the transaction that made or deleted the tenant, tried until it is done: whatever is killed when, no tenant stays
//! half made. Each step may be repeated: money knows the tenant's id as an idempotency key, and billing gives a tenant
//! one subscription only, ever: a step that is late comes to one that was canceled.

use std::{sync::Arc, time::Duration};

use svc_api::{
    billing::v1::{
        CancelSubscriptionRequest, CreateSubscriptionRequest, RetrieveSubscriptionRequest,
        billing_service_client::BillingServiceClient,
    },
    money::v1::{CreateWalletRequest, money_service_client::MoneyServiceClient},
};
use svc_clients::Neighbour;
use svc_kit::{Problem, RequestContext, Shutdown};
use tokio::sync::Notify;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    domain::OWNER,
    store::{IdentityStore, Onboarding},
};

/// The plan that every tenant starts with.
const FIRST_PLAN: &str = "free";

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const BATCH: u32 = 50;

/// Completes new tenants. Cheap to clone.
#[derive(Clone)]
pub struct Completer {
    /// Where it stands what is missing.
    pub store: IdentityStore,
    /// Gives wallets; without it they wait.
    pub money: Option<Neighbour>,
    /// Gives subscriptions; without it they wait.
    pub billing: Option<Neighbour>,
    /// The currency of the wallet.
    pub currency: String,
    /// Told when there is a new tenant.
    pub new_tenant: Arc<Notify>,
}

impl Completer {
    /// Completes tenants until the service stops.
    pub async fn run(self, shutdown: Shutdown) {
        let mut pause = FIRST_PAUSE;
        loop {
            let missing = match self.round().await {
                Ok(missing) => missing,
                Err(problem) => {
                    tracing::warn!(%problem, "new tenants cannot be read");
                    1
                }
            };
            pause = if missing == 0 { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            let wait = if missing == 0 { LONGEST_PAUSE } else { pause };
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.new_tenant.notified() => pause = FIRST_PAUSE,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Tries each step that is missing once. Gives how many tenants still wait for one.
    async fn round(&self) -> Result<usize, Problem> {
        let mut missing = 0;
        for before in self.store.incomplete(BATCH).await? {
            let mut state = before.clone();
            state.wallet_done = state.wallet_done || self.give_wallet(&state).await;
            state.subscription_done = state.subscription_done || self.give_subscription(&state).await;
            if state != before {
                self.store.save_onboarding(&state).await?;
            }
            missing += usize::from(!(state.wallet_done && state.subscription_done));
        }
        for tenant in self.store.farewells(BATCH).await? {
            if self.cancel_subscription(tenant).await {
                self.store.forget_farewell(tenant).await?;
            } else {
                missing += 1;
            }
        }
        Ok(missing)
    }

    async fn give_wallet(&self, state: &Onboarding) -> bool {
        let Some(money) = &self.money else { return false };
        let request = CreateWalletRequest {
            user_id: state.user.to_string(),
            currency: self.currency.clone(),
            label: "System".to_owned(),
        };
        let call = money.idempotent(|channel| {
            let request = request.clone();
            async move { MoneyServiceClient::new(channel).create_wallet(request).await }
        });
        done("wallet", state, context(state).scope(call).await.map(|_| ()))
    }

    async fn give_subscription(&self, state: &Onboarding) -> bool {
        let Some(billing) = &self.billing else { return false };
        let request = CreateSubscriptionRequest { plan_id: FIRST_PLAN.to_owned() };
        let call = billing.idempotent(|channel| {
            let request = request.clone();
            async move { BillingServiceClient::new(channel).create_subscription(request).await }
        });
        done("subscription", state, context(state).scope(call).await.map(|_| ()))
    }

    async fn cancel_subscription(&self, tenant: Uuid) -> bool {
        let Some(billing) = &self.billing else { return false };
        let call = async {
            let found = billing.idempotent(|channel| async move {
                BillingServiceClient::new(channel)
                    .retrieve_subscription(RetrieveSubscriptionRequest::default())
                    .await
            });
            let id = found.await?.id;
            let cancel = billing.idempotent(|channel| {
                let request = CancelSubscriptionRequest { id: id.clone() };
                async move { BillingServiceClient::new(channel).cancel_subscription(request).await }
            });
            cancel.await
        };
        canceled(tenant, RequestContext::of_platform(Some(tenant)).scope(call).await)
    }
}

/// Whether there is nothing left to cancel for a deleted tenant.
fn canceled(tenant: Uuid, answer: Result<(), Status>) -> bool {
    match answer {
        Ok(()) => true,
        // There is none, or it has ended.
        Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => true,
        Err(status) => {
            let reason = status.message();
            tracing::warn!(%tenant, code = ?status.code(), reason, "a deleted tenant's subscription waits");
            false
        }
    }
}

/// In the name of the tenant's Owner, under the tenant's id as the key against repetition.
fn context(state: &Onboarding) -> RequestContext {
    RequestContext::of_platform(Some(state.tenant))
        .with_user(state.user, [OWNER().name])
        .with_idempotency_key(state.tenant.to_string())
}

fn done(what: &str, state: &Onboarding, answer: Result<(), Status>) -> bool {
    match answer {
        Ok(()) => true,
        Err(status) if status.code() == Code::AlreadyExists => true,
        Err(status) => {
            let reason = status.message();
            tracing::warn!(what, tenant = %state.tenant, code = ?status.code(), reason, "a new tenant waits");
            false
        }
    }
}
