//! The gRPC door: from messages to the bus and back.

use std::time::Duration;

use futures::StreamExt;
use svc_api::events::v1::event_service_server::EventService;
use svc_api::events::v1::*;
use svc_kit::message::{self, Page};
use svc_kit::{Caller, Problem, RequestContext, Shutdown};
use svc_stores::TenantId;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::bus::Bus;
use crate::domain::{Fault, Group, NewSubscription, Publisher, TopicName, TypeFilter};
use crate::{stream, wire};

const MOST_IN_BATCH: usize = 500;
const MOST_IN_FETCH: i32 = 500;
const LONGEST_WAIT: i32 = 20_000;

pub(crate) struct Handlers {
    bus: Bus,
    draining: Shutdown,
}

impl Handlers {
    pub(crate) fn new(bus: Bus, draining: Shutdown) -> Self {
        Self { bus, draining }
    }
}

/// Who publishes: services may do so outside of any tenant.
fn publisher<T>(request: &Request<T>) -> Result<(Publisher, String), Problem> {
    let context = RequestContext::of(request);
    let publisher = Publisher { tenant: tenant_if_any(&context)?, user: user_if_any(&context)? };
    Ok((publisher, context.trace.trace_id().to_string()))
}

fn tenant_if_any(context: &RequestContext) -> Result<Option<Uuid>, Problem> {
    match context.tenant() {
        Ok(tenant) => Ok(Some(tenant)),
        Err(problem) if problem.slug() == "tenant-missing" => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn user_if_any(context: &RequestContext) -> Result<Option<Uuid>, Problem> {
    match context.user() {
        Ok(user) => Ok(Some(user)),
        Err(problem) if problem.slug() == "unauthenticated" => Ok(None),
        Err(problem) => Err(problem),
    }
}

fn fault(fault: Fault) -> Problem {
    wire::invalid(vec![fault])
}

/// A number of a request: 0 stands for `usual`.
fn within(field: &str, given: i32, usual: i32, most: i32) -> Result<usize, Problem> {
    match given {
        0 => Ok(usize::try_from(usual).unwrap_or_default()),
        given if (1..=most).contains(&given) => Ok(usize::try_from(given).unwrap_or_default()),
        _ => Err(fault(Fault::new(field, "range", format!("from 1 to {most}, or absent")))),
    }
}

#[tonic::async_trait]
impl EventService for Handlers {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishReply>, Status> {
        let (publisher, trace) = publisher(&request)?;
        let replies = self.bus.publish(publisher, &trace, vec![request.into_inner()], false).await?;
        let reply = replies.into_iter().next().unwrap_or_default();
        Ok(Response::new(reply))
    }

    async fn batch_publish(
        &self,
        request: Request<BatchPublishRequest>,
    ) -> Result<Response<BatchPublishReply>, Status> {
        let (publisher, trace) = publisher(&request)?;
        let events = request.into_inner().events;
        if events.is_empty() || events.len() > MOST_IN_BATCH {
            let message = format!("from 1 to {MOST_IN_BATCH} events; these are {}", events.len());
            return Err(fault(Fault::new("events", "range", message)).into());
        }
        let results = self.bus.publish(publisher, &trace, events, true).await?;
        Ok(Response::new(BatchPublishReply { results }))
    }

    async fn create_subscription(
        &self,
        request: Request<CreateSubscriptionRequest>,
    ) -> Result<Response<Subscription>, Status> {
        let caller = Caller::of(&request)?;
        let CreateSubscriptionRequest { topic, group, types, from_beginning, max_retries } =
            request.into_inner();
        let wish = NewSubscription { topic, group, types, max_retries };
        let subscription = self.bus.subscribe(caller.tenant, wish, from_beginning).await?;
        Ok(Response::new(wire::subscription(subscription)))
    }

    async fn list_subscriptions(
        &self,
        request: Request<ListSubscriptionsRequest>,
    ) -> Result<Response<ListSubscriptionsReply>, Status> {
        let caller = Caller::of(&request)?;
        let ListSubscriptionsRequest { page_size, page_token } = request.into_inner();
        let page = Page::read(page_size, &page_token)?;
        let found = self.bus.subscriptions.list(caller.tenant, page.last, page.to_read()).await;
        let (found, next_page_token) = page.cut(found.map_err(Problem::status)?, |found| found.id);
        let subscriptions = found.into_iter().map(wire::subscription).collect();
        Ok(Response::new(ListSubscriptionsReply { subscriptions, next_page_token }))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<FetchReply>, Status> {
        let caller = Caller::of(&request)?;
        let FetchRequest { id, max_events, acknowledged_position, wait_ms } = request.into_inner();
        let id = message::id("id", &id)?;
        let most = within("maxEvents", max_events, 20, MOST_IN_FETCH)?;
        if !(0..=LONGEST_WAIT).contains(&wait_ms) {
            return Err(fault(Fault::new("waitMs", "range", format!("from 0 to {LONGEST_WAIT}"))).into());
        }
        let wait = Duration::from_millis(u64::from(wait_ms.unsigned_abs()));
        let shown = self.bus.subscription(caller.tenant, id).await?.topic.shown;
        let fetching = self.bus.fetch(caller.tenant, id, &acknowledged_position, most, wait);
        let fetched = tokio::select! {
            fetched = fetching => fetched?,
            () = self.draining.requested() => {
                return Err(Problem::unavailable("The event-bus is stopping. Fetch again.").into());
            }
        };
        let events = fetched.events.into_iter().map(|stored| wire::received(&shown, stored));
        Ok(Response::new(FetchReply {
            events: events.collect::<Result<_, _>>()?,
            position: fetched.position.to_string(),
        }))
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<BoxStream<ReceivedEvent>>, Status> {
        let context = RequestContext::of(&request);
        let tenant = tenant_if_any(&context)?;
        let SubscribeRequest { topics, group, types, from_beginning, all_tenants } = request.into_inner();
        let filter_tenant = match (all_tenants, tenant) {
            (true, _) => None,
            (false, Some(tenant)) => Some(TenantId::new(tenant)),
            (false, None) => return Err(context.tenant().err().unwrap_or_else(no_tenant).into()),
        };
        let mut names = Vec::new();
        for (index, name) in topics.iter().enumerate() {
            names.push(TopicName::read(&format!("topics[{index}]"), name, tenant).map_err(fault)?);
        }
        if names.is_empty() {
            return Err(fault(Fault::new("topics", "required", "name at least one topic")).into());
        }
        let group = Group::read("group", &group, tenant).map_err(fault)?;
        let filter = TypeFilter::read(types).map_err(wire::invalid)?;
        for topic in &names {
            self.bus.ensure_topic(topic, tenant).await?;
            let known =
                self.bus.log.positions(&group.stored, &topic.stored).await.map_err(Problem::status)?;
            if known.is_empty() {
                self.bus.start_group(&group.stored, &topic.stored, from_beginning).await?;
            }
        }
        let wish = stream::Wish { topics: names, group: group.stored, filter, tenant: filter_tenant };
        let mut receiver = stream::open(self.bus.clone(), wish, self.draining.clone()).await?;
        let events = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        Ok(Response::new(events.boxed()))
    }

    async fn acknowledge(&self, request: Request<AcknowledgeRequest>) -> Result<Response<()>, Status> {
        let tenant = tenant_if_any(&RequestContext::of(&request))?;
        let AcknowledgeRequest { group, topic, partition, offset } = request.into_inner();
        let group = Group::read("group", &group, tenant).map_err(fault)?;
        let topic = TopicName::read("topic", &topic, tenant).map_err(fault)?;
        self.bus.acknowledge(&group, &topic.stored, partition, offset).await?;
        Ok(Response::new(()))
    }

    async fn unsubscribe(&self, request: Request<UnsubscribeRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        self.bus.unsubscribe(caller.tenant, id).await?;
        Ok(Response::new(()))
    }

    async fn get_consumer_position(
        &self,
        request: Request<GetConsumerPositionRequest>,
    ) -> Result<Response<ConsumerPosition>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        let subscription = self.bus.subscription(caller.tenant, id).await?;
        Ok(Response::new(self.bus.consumer_position(caller.tenant, &subscription).await?))
    }

    async fn replay_from(
        &self,
        request: Request<ReplayFromRequest>,
    ) -> Result<Response<ConsumerPosition>, Status> {
        let caller = Caller::of(&request)?;
        let ReplayFromRequest { id, timestamp } = request.into_inner();
        let id = message::id("id", &id)?;
        let missing = || fault(Fault::new("timestamp", "required", "give the time to go back to"));
        let time = wire::from_timestamp("timestamp", timestamp.ok_or_else(missing)?)?;
        let subscription = self.bus.seek(caller.tenant, id, time).await?;
        Ok(Response::new(self.bus.consumer_position(caller.tenant, &subscription).await?))
    }

    async fn list_topics(
        &self,
        request: Request<ListTopicsRequest>,
    ) -> Result<Response<ListTopicsReply>, Status> {
        let tenant = tenant_if_any(&RequestContext::of(&request))?;
        let topics = self.bus.topics(tenant).await?.into_iter();
        Ok(Response::new(ListTopicsReply {
            topics: topics.map(|(name, topic)| wire::topic(name, &topic)).collect(),
        }))
    }

    async fn get_topic_config(
        &self,
        request: Request<GetTopicConfigRequest>,
    ) -> Result<Response<Topic>, Status> {
        let tenant = tenant_if_any(&RequestContext::of(&request))?;
        let wanted = request.into_inner().topic;
        let mut topics = self.bus.topics(tenant).await?.into_iter();
        let found = topics.find(|(name, _)| name.shown == wanted);
        let (name, topic) =
            found.ok_or_else(|| Problem::not_found(format!("There is no topic `{wanted}`.")))?;
        Ok(Response::new(wire::topic(name, &topic)))
    }
}

fn no_tenant() -> Problem {
    Problem::invalid("The call names no tenant.")
}
