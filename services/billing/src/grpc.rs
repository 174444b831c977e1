//! The wire: read the request, call the [`Ledger`], answer.

use svc_api::billing::v1::{
    self as wire, CancelDowngradeRequest, CancelSubscriptionRequest, CheckLimitReply, CheckLimitRequest,
    CreateSubscriptionRequest, ListPlansReply, ListPlansRequest, RecordUsageRequest, RetrievePlanRequest,
    RetrieveSubscriptionRequest, RetrieveUsageRequest, UpdateSubscriptionRequest, Usage,
    billing_service_server::BillingService, payment_method_service_server::PaymentMethodService,
};
use svc_kit::{
    Caller, Problem,
    message::{self, timestamp},
};
use tonic::{Request, Response, Status};

use crate::{
    domain::{Limits, Plan, Resource, Subscription, Verdict},
    ledger::Ledger,
};

#[tonic::async_trait]
impl BillingService for Ledger {
    async fn retrieve_plan(
        &self,
        request: Request<RetrievePlanRequest>,
    ) -> Result<Response<wire::Plan>, Status> {
        Ok(Response::new(plan(self.plan(&request.get_ref().id).await?)))
    }

    async fn list_plans(
        &self,
        request: Request<ListPlansRequest>,
    ) -> Result<Response<ListPlansReply>, Status> {
        let ListPlansRequest { page_size, page_token } = request.into_inner();
        let size = match usize::try_from(page_size) {
            Ok(0) => 20,
            Ok(size @ 1..=100) => size,
            _ => return Err(out_of_range("pageSize", "must be 1 to 100").into()),
        };
        let plans = self.store.plans().await.map_err(Problem::status)?;
        let start = match page_token.as_str() {
            "" => 0,
            last => {
                plans.iter().position(|plan| plan.id == last).map_or(plans.len(), |position| position + 1)
            }
        };
        let page: Vec<Plan> = plans.iter().skip(start).take(size).cloned().collect();
        let more = start + page.len() < plans.len();
        let next_page_token = page.last().filter(|_| more).map(|plan| plan.id.clone()).unwrap_or_default();
        Ok(Response::new(ListPlansReply { plans: page.into_iter().map(plan).collect(), next_page_token }))
    }

    async fn create_subscription(
        &self,
        request: Request<CreateSubscriptionRequest>,
    ) -> Result<Response<wire::Subscription>, Status> {
        let caller = Caller::of(&request)?;
        let made = self.subscribe(caller.tenant, &request.get_ref().plan_id).await?;
        Ok(Response::new(subscription(made)))
    }

    async fn retrieve_subscription(
        &self,
        request: Request<RetrieveSubscriptionRequest>,
    ) -> Result<Response<wire::Subscription>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(subscription(self.current(caller.tenant).await?)))
    }

    async fn update_subscription(
        &self,
        request: Request<UpdateSubscriptionRequest>,
    ) -> Result<Response<wire::Subscription>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateSubscriptionRequest { id, plan_id, version } = request.into_inner();
        let changed = self.move_to(caller.tenant, message::id("id", &id)?, &plan_id, version).await?;
        Ok(Response::new(subscription(changed)))
    }

    async fn cancel_subscription(
        &self,
        request: Request<CancelSubscriptionRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        self.cancel(caller.tenant, message::id("id", &request.get_ref().id)?).await?;
        Ok(Response::new(()))
    }

    async fn cancel_downgrade(
        &self,
        request: Request<CancelDowngradeRequest>,
    ) -> Result<Response<wire::Subscription>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(subscription(
            self.stay(caller.tenant, message::id("id", &request.get_ref().id)?).await?,
        )))
    }

    async fn retrieve_usage(
        &self,
        request: Request<RetrieveUsageRequest>,
    ) -> Result<Response<Usage>, Status> {
        let caller = Caller::of(&request)?;
        let (plan, used) = self.usage(caller.tenant).await?;
        let (used, limits) = (Some(limits(used)), Some(limits(plan.limits)));
        Ok(Response::new(Usage { plan_id: plan.id, used, limits }))
    }

    async fn check_limit(
        &self,
        request: Request<CheckLimitRequest>,
    ) -> Result<Response<CheckLimitReply>, Status> {
        let caller = Caller::of(&request)?;
        let CheckLimitRequest { resource, amount } = request.into_inner();
        let resource = match resource.as_str() {
            "" => None,
            name => Some(Resource::parse(name).map_err(Problem::status)?),
        };
        let amount = if amount == 0 { 1 } else { amount };
        let answer = self.check(caller.tenant, resource, amount).await?;
        Ok(Response::new(CheckLimitReply {
            allowed: answer.verdict == Verdict::Allowed,
            reason: answer.verdict.reason().to_owned(),
            used: answer.used,
            limit: answer.limit,
            plan_id: answer.subscription.plan,
            status: answer.subscription.status.as_str().to_owned(),
        }))
    }

    async fn record_usage(&self, request: Request<RecordUsageRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let RecordUsageRequest { resource, amount, id } = request.into_inner();
        let resource = Resource::parse(&resource).map_err(Problem::status)?;
        self.record(caller.tenant, resource, amount, message::id("id", &id)?).await?;
        Ok(Response::new(()))
    }
}

/// Ways to pay are not there yet: every call answers UNIMPLEMENTED.
#[tonic::async_trait]
impl PaymentMethodService for Ledger {}

fn out_of_range(field: &str, message: &str) -> Problem {
    Problem::invalid("A value is out of its range.").violation(field, "range", message)
}

fn limits(limits: Limits) -> wire::Limits {
    let Limits { users, records, storage_bytes, events_per_day, modules } = limits;
    wire::Limits { users, records, storage_bytes, events_per_day, modules }
}

fn plan(plan: Plan) -> wire::Plan {
    wire::Plan {
        id: plan.id,
        name: plan.name,
        interval: plan.interval.as_str().to_owned(),
        price: plan.price,
        currency: plan.currency,
        limits: Some(limits(plan.limits)),
        features: plan.features,
        created_at: Some(timestamp(plan.created_at)),
        updated_at: Some(timestamp(plan.updated_at)),
    }
}

fn subscription(subscription: Subscription) -> wire::Subscription {
    wire::Subscription {
        id: subscription.id.to_string(),
        tenant_id: subscription.tenant.to_string(),
        plan_id: subscription.plan,
        status: subscription.status.as_str().to_owned(),
        pending_plan_id: subscription.pending_plan.unwrap_or_default(),
        current_period_end: Some(timestamp(subscription.period_end)),
        past_due_since: subscription.past_due_since.map(timestamp),
        version: subscription.version,
        created_at: Some(timestamp(subscription.created_at)),
        updated_at: Some(timestamp(subscription.updated_at)),
    }
}
