//! Records what happens on the platform: reads the event-bus and acknowledges what is in the trail.
//!
//! An event is acknowledged after its record is durable, and its id is the record's: killed in between, it comes
//! again and is known.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use svc_api::events::v1::event_service_client::EventServiceClient;
use svc_api::events::v1::{AcknowledgeRequest, ReceivedEvent, SubscribeRequest};
use svc_clients::Neighbour;
use svc_kit::{Shutdown, json};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::domain::{PLATFORM_TOPICS, PlatformEvent};
use crate::trail::Trail;

const GROUP: &str = "audit.trail";
/// How many events go into one transaction at most.
const BATCH: usize = 200;
/// Between attempts to reach the event-bus; the last one repeats.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(30)];

/// Reads until the service stops, reconnecting whenever the stream ends.
pub(crate) async fn run(trail: Trail, event_bus: Neighbour, shutdown: Shutdown) {
    let mut attempt = 0;
    loop {
        let reading = read(&trail, &event_bus, &mut attempt);
        let ended = tokio::select! {
            ended = reading => ended,
            () = shutdown.requested() => return,
        };
        let pause = PAUSES[attempt.min(PAUSES.len() - 1)];
        attempt += 1;
        tracing::warn!(reason = %ended, retry_in_ms = pause.as_millis(), "no events are recorded for now");
        if !shutdown.pause(pause).await {
            return;
        }
    }
}

/// Why reading ended; it never ends well.
async fn read(trail: &Trail, event_bus: &Neighbour, attempt: &mut usize) -> String {
    let request = SubscribeRequest {
        topics: PLATFORM_TOPICS.iter().map(ToString::to_string).collect(),
        group: GROUP.to_owned(),
        types: Vec::new(),
        from_beginning: true,
        all_tenants: true,
    };
    let mut client = EventServiceClient::new(event_bus.channel());
    let mut stream = match client.subscribe(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return describe(&status),
    };
    tracing::info!("events of the platform are being recorded");
    loop {
        let batch = match next_batch(&mut stream).await {
            Ok(batch) => batch,
            Err(status) => return describe(&status),
        };
        *attempt = 0;
        if let Err(reason) = record(trail, event_bus, batch).await {
            return reason;
        }
    }
}

/// The next event, and those behind it that are here already.
async fn next_batch(stream: &mut Streaming<ReceivedEvent>) -> Result<Vec<ReceivedEvent>, Status> {
    let ended = || Status::unavailable("the event-bus ended the stream");
    let mut batch = vec![stream.message().await?.ok_or_else(ended)?];
    while batch.len() < BATCH {
        match stream.message().now_or_never() {
            Some(Ok(Some(event))) => batch.push(event),
            // Whatever ended it will end it again at the next read; what is here is recorded first.
            Some(Ok(None) | Err(_)) | None => break,
        }
    }
    Ok(batch)
}

async fn record(trail: &Trail, event_bus: &Neighbour, batch: Vec<ReceivedEvent>) -> Result<(), String> {
    let mut done = BTreeMap::new();
    let mut entries = Vec::with_capacity(batch.len());
    for received in batch {
        done.insert((received.topic.clone(), received.partition), received.offset);
        let (topic, partition, offset) = (received.topic.clone(), received.partition, received.offset);
        match platform_event(received) {
            Some(event) => entries.push((event.tenant, event.into_entry())),
            // The bus checks what it takes. Stopping here for ever would lose everything behind it too.
            None => tracing::error!(
                topic,
                partition,
                offset,
                "an event without a readable envelope is passed over"
            ),
        }
    }
    trail.append(entries).await.map_err(|error| error.to_string())?;
    for ((topic, partition), offset) in done {
        let request = AcknowledgeRequest { group: GROUP.to_owned(), topic, partition, offset };
        let acknowledged = event_bus.idempotent(|channel| {
            let request = request.clone();
            async move { EventServiceClient::new(channel).acknowledge(request).await }
        });
        acknowledged.await.map_err(|status| describe(&status))?;
    }
    Ok(())
}

fn platform_event(received: ReceivedEvent) -> Option<PlatformEvent> {
    let envelope = received.event?;
    let tenant = match envelope.tenant_id.as_str() {
        "" => Uuid::nil(),
        text => Uuid::parse_str(text).ok()?,
    };
    let time = envelope.timestamp.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    Some(PlatformEvent {
        id: Uuid::parse_str(&envelope.id).ok()?,
        event_type: envelope.r#type,
        source: envelope.source,
        tenant,
        topic: received.topic,
        key: received.key,
        trace_id: envelope.trace_id,
        // To the microsecond, as it is stored and hashed.
        occurred_at: Timestamp::from_microsecond(time.unwrap_or_else(svc_stores::now).as_microsecond())
            .ok()?,
        data: json::from_struct(envelope.data.unwrap_or_default()),
    })
}

fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
