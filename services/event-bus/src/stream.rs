//! The stream of a group: what it missed, then what comes, until the reader leaves or the service drains.

use svc_api::events::v1 as wire;
use svc_kit::{Problem, Shutdown};
use svc_stores::TenantId;
use tokio::sync::mpsc;
use tonic::Status;

use crate::bus::Bus;
use crate::domain::{TopicName, TypeFilter};
use crate::wire::received;

/// How many events are on their way to a reader at most.
const IN_FLIGHT: usize = 64;
const BATCH: u32 = 200;

/// What a reader wants.
pub(crate) struct Wish {
    pub topics: Vec<TopicName>,
    /// As its positions are stored.
    pub group: String,
    pub filter: TypeFilter,
    /// Only this tenant's events; `None` for every tenant's.
    pub tenant: Option<TenantId>,
}

/// One partition that is being read.
struct Cursor {
    topic: TopicName,
    partition: u32,
    next: u64,
    /// Nothing was given out yet, so what is not wanted may be acknowledged in the reader's place.
    untouched: bool,
}

/// Starts a stream at the group's position. The group must have one in every topic.
pub(crate) async fn open(
    bus: Bus,
    wish: Wish,
    draining: Shutdown,
) -> Result<mpsc::Receiver<Result<wire::ReceivedEvent, Status>>, Problem> {
    let mut cursors = Vec::new();
    for topic in &wish.topics {
        for (partition, next) in bus.position(&wish.group, &topic.stored).await?.0 {
            cursors.push(Cursor { topic: topic.clone(), partition, next, untouched: true });
        }
    }
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = pump(&bus, &wish, cursors, &sender) => ended,
            () = draining.requested() => Err(Problem::unavailable("The event-bus is stopping. Subscribe again.")),
            // The reader left: nobody is there to be told.
            () = sender.closed() => return,
        };
        if let Err(problem) = ended {
            let _ = sender.send(Err(problem.into())).await;
        }
    });
    Ok(receiver)
}

async fn pump(
    bus: &Bus,
    wish: &Wish,
    mut cursors: Vec<Cursor>,
    sender: &mpsc::Sender<Result<wire::ReceivedEvent, Status>>,
) -> Result<(), Problem> {
    let mut changes = bus.log.changes();
    loop {
        changes.borrow_and_update();
        let mut moved = false;
        for cursor in &mut cursors {
            moved |= advance(bus, wish, cursor, sender).await?;
        }
        if !moved && changes.changed().await.is_err() {
            return Err(Problem::unavailable("The event-bus is stopping. Subscribe again."));
        }
    }
}

/// Gives out one batch of a partition and says whether there was any.
async fn advance(
    bus: &Bus,
    wish: &Wish,
    cursor: &mut Cursor,
    sender: &mpsc::Sender<Result<wire::ReceivedEvent, Status>>,
) -> Result<bool, Problem> {
    let events = bus.log.read(&cursor.topic.stored, cursor.partition, cursor.next, BATCH).await?;
    let Some(last) = events.last() else { return Ok(false) };
    cursor.next = last.offset + 1;
    for stored in events {
        let own = wish.tenant.is_none() || stored.event.tenant_id == wish.tenant;
        if own && wish.filter.wants(&stored.event.event_type) {
            cursor.untouched = false;
            let event = received(&cursor.topic.shown, stored)?;
            if sender.send(Ok(event)).await.is_err() {
                return Ok(false);
            }
        }
    }
    if cursor.untouched {
        bus.log.commit(&wish.group, &cursor.topic.stored, cursor.partition, cursor.next).await?;
    }
    Ok(true)
}
