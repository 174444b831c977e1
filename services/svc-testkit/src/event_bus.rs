//! An event-bus that remembers what was published.

use std::sync::{Arc, Mutex};

use svc_api::events::v1::{
    BatchPublishReply, BatchPublishRequest, PublishReply, PublishRequest,
    event_service_server::{EventService, EventServiceServer},
};
use svc_kit::RequestContext;
use tonic::{Request, Response, Status, service::Routes};
use uuid::Uuid;

use crate::{FakeNeighbour, wait_for};

/// Takes `Publish` and `BatchPublish`, drops duplicates by id, and hands out what it got.
pub struct FakeEventBus {
    neighbour: FakeNeighbour,
    events: Arc<Mutex<Vec<PublishedEvent>>>,
}

/// An event and the tenant in whose name it was published.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// The tenant of the call.
    pub tenant: Option<Uuid>,
    /// The event.
    pub event: PublishRequest,
}

impl FakeEventBus {
    /// Starts it.
    pub async fn start() -> FakeEventBus {
        let events = Arc::default();
        let server = EventServiceServer::new(Handlers { events: Arc::clone(&events) });
        FakeEventBus { neighbour: FakeNeighbour::start(Routes::new(server)).await, events }
    }

    /// Where it listens: the value of `EVENTS_URL`.
    pub fn url(&self) -> &str {
        self.neighbour.url()
    }

    /// Everything that was published, in order.
    pub fn events(&self) -> Vec<PublishedEvent> {
        self.events.lock().unwrap().clone()
    }

    /// The first event of this type, as soon as there is one.
    pub async fn wait_for(&self, event_type: &str) -> PublishedEvent {
        wait_for(event_type, || async {
            self.events().into_iter().find(|published| published.event.r#type == event_type)
        })
        .await
    }
}

struct Handlers {
    events: Arc<Mutex<Vec<PublishedEvent>>>,
}

impl Handlers {
    fn take(&self, tenant: Option<Uuid>, event: PublishRequest) -> PublishReply {
        let mut events = self.events.lock().unwrap();
        let duplicate = events.iter().any(|known| known.event.id == event.id);
        let (id, topic) = (event.id.clone(), event.topic.clone());
        let offset = events.len().try_into().unwrap_or(i64::MAX);
        if !duplicate {
            events.push(PublishedEvent { tenant, event });
        }
        PublishReply { id, topic, partition: 0, offset, duplicate }
    }
}

#[tonic::async_trait]
impl EventService for Handlers {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishReply>, Status> {
        let tenant = RequestContext::of(&request).tenant().ok();
        Ok(Response::new(self.take(tenant, request.into_inner())))
    }

    async fn batch_publish(
        &self,
        request: Request<BatchPublishRequest>,
    ) -> Result<Response<BatchPublishReply>, Status> {
        let tenant = RequestContext::of(&request).tenant().ok();
        let events = request.into_inner().events.into_iter();
        Ok(Response::new(BatchPublishReply {
            results: events.map(|event| self.take(tenant, event)).collect(),
        }))
    }
}
