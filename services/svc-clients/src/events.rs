//! From a service's outbox to the event-bus: at least once, in order, each event under its own id.

use async_trait::async_trait;
use prost_types::Timestamp;
use serde_json::Value;
use svc_api::events::v1::{BatchPublishRequest, PublishRequest, event_service_client::EventServiceClient};
use svc_kit::{Context, RequestContext, json};
use svc_stores::{
    Database,
    outbox::{self, Event, PublishError, Publisher},
};
use tonic::{Code, Status};

use crate::Neighbour;

/// Sends what the outbox of this database holds to the event-bus, as long as the service lives.
///
/// An event-bus that is away holds nothing up: events wait in the database.
pub fn spawn_relay(context: &Context, database: &Database, event_bus: &Neighbour) {
    let (database, bus) = (database.clone(), Bus(event_bus.clone()));
    context.spawn("outbox-relay", move |shutdown| {
        let (database, bus) = (database.clone(), bus.clone());
        async move { outbox::relay(database, bus, shutdown.requested()).await }
    });
}

/// The event-bus as the outbox sees it.
#[derive(Clone)]
pub struct Bus(Neighbour);

impl Bus {
    /// Publishes through this neighbour.
    pub fn new(event_bus: Neighbour) -> Bus {
        Bus(event_bus)
    }
}

#[async_trait]
impl Publisher for Bus {
    async fn publish(&self, events: &[Event]) -> Result<(), PublishError> {
        // The bus takes the tenant from the caller. When a later group fails, the earlier ones are sent again and
        // dropped there by their ids.
        for group in events.chunk_by(|one, next| one.tenant_id == next.tenant_id) {
            let tenant = group.first().and_then(|event| event.tenant_id).map(|tenant| tenant.as_uuid());
            let request = BatchPublishRequest { events: group.iter().map(request_of).collect() };
            let call = self.0.idempotent(|channel| {
                let request = request.clone();
                async move { EventServiceClient::new(channel).batch_publish(request).await }
            });
            RequestContext::of_platform(tenant).scope(call).await.map_err(error_of)?;
        }
        Ok(())
    }
}

fn request_of(event: &Event) -> PublishRequest {
    let payload = match event.data.clone() {
        Value::Object(object) => object,
        other => serde_json::Map::from_iter([("value".to_owned(), other)]),
    };
    PublishRequest {
        topic: event.topic.clone(),
        r#type: event.event_type.clone(),
        payload: Some(json::to_struct(payload)),
        key: event.entity_id.clone(),
        id: event.id.to_string(),
        source: event.source.clone(),
        schema_version: event.schema_version.clone(),
        timestamp: Some(Timestamp {
            seconds: event.occurred_at.as_second(),
            nanos: event.occurred_at.subsec_nanosecond(),
        }),
        trace_id: event.trace_id.clone().unwrap_or_default(),
    }
}

/// Only what the bus says of the event itself is final; anything else may be different tomorrow.
fn error_of(status: Status) -> PublishError {
    let text = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange => PublishError::Refused(text),
        _ => PublishError::Unavailable(text),
    }
}
