//! WebSocket push. What is pushed goes into the database first, numbered in the order of its commits; each instance
//! hands what is new there to its own connections, so it does not matter which of them delivered it. What stands there
//! is also what a lost connection begins again from: the last 100 notifications of a channel, for an hour.

mod socket;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use svc_kit::Shutdown;
use svc_stores::relational::Row;
use svc_stores::{Database, Result, TenantId, values};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::adapters::{Adapter, DeliveryError, Outgoing, Setup};
use crate::domain::push::{FRAME_LIMIT, channel_of};
use crate::domain::{Channel, Fault};
use crate::store;

pub(crate) use socket::{Door, router};

/// How many notifications of a channel can be sent again.
const REPLAYED: u32 = 100;
/// For how long.
const REPLAYED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How many frames may wait for one connection. It is closed at the next, and begins again from what is kept.
const WAITING: usize = 256;
/// How many are read at a time.
const BATCH: u32 = 500;
/// How often is looked for what other instances pushed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A notification on its way to a connection.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub sequence: i64,
    pub channel: String,
    pub id: Uuid,
    pub frame: String,
}

/// What a subscription begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// What came since the client was last here.
    pub missed: Vec<Push>,
    /// Whether that is all that it missed.
    pub complete: bool,
    /// Everything up to here is settled by that.
    pub seen: i64,
}

/// What is pushed, and who listens. Cheap to clone.
#[derive(Clone)]
pub struct Pushes(Arc<Inner>);

struct Inner {
    database: Database,
    pushed: Notify,
    /// Everything up to here was handed out.
    handed_out: AtomicI64,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    last: u64,
    connections: HashMap<u64, mpsc::Sender<Push>>,
    channels: HashMap<(TenantId, String), HashSet<u64>>,
}

impl Pushes {
    /// Pushes kept in a database whose schema is up to date. What is there already is handed out to nobody.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn new(database: Database) -> Result<Self> {
        let sql = "SELECT COALESCE(MAX(sequence), 0) AS sequence FROM pushes";
        let newest: i64 = database.system().fetch_one(sql, values![]).await?.get("sequence")?;
        Ok(Self(Arc::new(Inner {
            database,
            pushed: Notify::new(),
            handed_out: AtomicI64::new(newest),
            listeners: Mutex::default(),
        })))
    }

    /// Keeps a notification for its channel, once, however often it is asked.
    async fn push(&self, message: &Outgoing, channel: &str, frame: &str) -> Result<()> {
        let mut transaction = self.0.database.tenant(message.tenant).begin().await?;
        let sql = "INSERT INTO pushes (tenant_id, channel, notification_id, frame, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (notification_id) DO NOTHING";
        transaction.execute(sql, values![channel, message.id, frame, store::now()]).await?;
        let sql = "DELETE FROM pushes WHERE tenant_id = $1 AND channel = $2 AND sequence <= (
            SELECT sequence FROM pushes WHERE tenant_id = $1 AND channel = $2
            ORDER BY sequence DESC LIMIT 1 OFFSET $3)";
        transaction.execute(sql, values![channel, REPLAYED]).await?;
        transaction.commit().await?;
        self.0.pushed.notify_one();
        Ok(())
    }

    /// Hands out what is pushed, until it is time to stop.
    pub async fn run(&self, shutdown: Shutdown) {
        while !shutdown.is_requested() {
            match self.hand_out().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "what was pushed cannot be read; trying again"),
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.0.pushed.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Hands a batch out and says whether there may be more. Sequences grow in the order of commits, as one
    /// transaction writes at a time: nothing comes later with a lower one.
    async fn hand_out(&self) -> Result<bool> {
        let sql = "SELECT sequence, tenant_id, channel, notification_id, frame FROM pushes
            WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        let after = self.0.handed_out.load(Ordering::SeqCst);
        let rows = self.0.database.system().fetch_all(sql, values![after, BATCH]).await?;
        for row in &rows {
            let push = read(row)?;
            let sequence = push.sequence;
            self.listeners().hand_out(row.get("tenant_id")?, &push);
            self.0.handed_out.store(sequence, Ordering::SeqCst);
        }
        Ok(rows.len() == BATCH as usize)
    }

    /// A new connection. What is pushed to its channels comes through the receiver, which ends when it is too slow.
    pub(crate) fn connect(&self, tenant: TenantId) -> (Listener, mpsc::Receiver<Push>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut listeners = self.listeners();
        listeners.last += 1;
        let number = listeners.last;
        listeners.connections.insert(number, sender);
        (Listener { pushes: self.clone(), tenant, number, channels: HashSet::new() }, receiver)
    }

    async fn beginning(&self, tenant: TenantId, channel: &str, after: Option<Uuid>) -> Result<Beginning> {
        let oldest = store::now().checked_sub(REPLAYED_FOR).unwrap_or(Timestamp::MIN);
        let sql = "SELECT sequence, channel, notification_id, frame FROM pushes
            WHERE tenant_id = $1 AND channel = $2 AND created_at > $3 ORDER BY sequence";
        let rows = self.0.database.tenant(tenant).fetch_all(sql, values![channel, oldest]).await?;
        let mut kept = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let seen = kept.last().map_or(0, |push| push.sequence);
        let Some(after) = after else { return Ok(Beginning { missed: Vec::new(), complete: true, seen }) };
        let place = kept.iter().position(|push| push.id == after);
        let missed = kept.split_off(place.map_or(0, |place| place + 1));
        Ok(Beginning { missed, complete: place.is_some(), seen })
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets what is too old to be sent again.
pub(crate) async fn forget_old(database: &Database, now: Timestamp) -> Result<u64> {
    let oldest = now.checked_sub(REPLAYED_FOR).unwrap_or(Timestamp::MIN);
    database.system().execute("DELETE FROM pushes WHERE created_at <= $1", values![oldest]).await
}

fn read(row: &Row) -> Result<Push> {
    Ok(Push {
        sequence: row.get("sequence")?,
        channel: row.get("channel")?,
        id: row.get("notification_id")?,
        frame: row.get("frame")?,
    })
}

impl Listeners {
    fn hand_out(&mut self, tenant: TenantId, push: &Push) {
        let Some(numbers) = self.channels.get(&(tenant, push.channel.clone())) else { return };
        for number in numbers {
            let Some(connection) = self.connections.get(number) else { continue };
            if connection.try_send(push.clone()).is_err() {
                // Its receiver ends, and the connection with it.
                self.connections.remove(number);
            }
        }
    }
}

/// The place of one connection among the listeners. Dropping it ends all of its subscriptions.
pub(crate) struct Listener {
    pushes: Pushes,
    tenant: TenantId,
    number: u64,
    channels: HashSet<String>,
}

impl Listener {
    /// How many channels it listens to.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Whether it listens to this one.
    pub fn listens_to(&self, channel: &str) -> bool {
        self.channels.contains(channel)
    }

    /// Begins to listen. What is pushed between this and the answer comes through the receiver, and may stand in the
    /// answer too: whatever is not above its `seen` is to be left out.
    pub async fn subscribe(&mut self, channel: &str, after: Option<Uuid>) -> Result<Beginning> {
        let place = (self.tenant, channel.to_owned());
        self.pushes.listeners().channels.entry(place).or_default().insert(self.number);
        self.channels.insert(channel.to_owned());
        self.pushes.beginning(self.tenant, channel, after).await
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, channel: &str) {
        if self.channels.remove(channel) {
            self.leave(channel);
        }
    }

    fn leave(&self, channel: &str) {
        let place = (self.tenant, channel.to_owned());
        let mut listeners = self.pushes.listeners();
        if let Some(numbers) = listeners.channels.get_mut(&place) {
            numbers.remove(&self.number);
            if numbers.is_empty() {
                listeners.channels.remove(&place);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for channel in &self.channels {
            self.leave(channel);
        }
        self.pushes.listeners().connections.remove(&self.number);
    }
}

/// The channel `websocket`. A notification has arrived when it is kept: whoever listens gets it, whoever comes back
/// within the hour too.
#[async_trait]
impl Adapter for Pushes {
    fn channel(&self) -> Channel {
        Channel::Websocket
    }

    fn validate(&self, message: &Outgoing) -> Result<(), Fault> {
        let channel = channel_of(&message.recipient)?;
        let length = frame(message, &channel).len();
        if length <= FRAME_LIMIT {
            return Ok(());
        }
        let text = format!("makes a frame of {length} bytes, but one has at most {FRAME_LIMIT}");
        Err(Fault::new("body", "too-long", text))
    }

    async fn deliver(&self, message: &Outgoing, _: &Setup) -> Result<(), DeliveryError> {
        let channel =
            channel_of(&message.recipient).map_err(|fault| DeliveryError::Permanent(fault.message))?;
        let pushed = self.push(message, &channel, &frame(message, &channel)).await;
        pushed.map_err(|error| {
            tracing::warn!(notification = %message.id, %error, "a push could not be kept");
            DeliveryError::Temporary("the database is busy".to_owned())
        })
    }
}

fn frame(message: &Outgoing, channel: &str) -> String {
    json!({
        "type": "notification",
        "channel": channel,
        "id": message.id,
        "subject": message.subject,
        "body": message.body,
        "priority": message.priority.as_str(),
        "createdAt": message.created_at.to_string(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Priority;

    async fn pushes() -> (Pushes, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/notify.db", folder.path().display());
        let database = Database::connect(&url).await.unwrap();
        database.migrate("notify", store::MIGRATIONS).await.unwrap();
        (Pushes::new(database).await.unwrap(), folder)
    }

    fn message(tenant: TenantId) -> Outgoing {
        Outgoing {
            tenant,
            id: Uuid::now_v7(),
            recipient: "orders".to_owned(),
            subject: String::new(),
            body: "hello".to_owned(),
            priority: Priority::Normal,
            created_at: store::now(),
        }
    }

    #[tokio::test]
    async fn an_attempt_that_is_made_again_pushes_once() {
        let (pushes, _folder) = pushes().await;
        let message = message(TenantId::new(Uuid::now_v7()));
        let (mut listener, mut pushed) = pushes.connect(message.tenant);
        listener.subscribe("orders", None).await.unwrap();
        for _ in 0..3 {
            pushes.deliver(&message, &Setup::new()).await.unwrap();
            pushes.hand_out().await.unwrap();
        }
        assert_eq!(pushed.try_recv().unwrap().id, message.id);
        assert!(pushed.try_recv().is_err(), "nothing more");
    }

    #[tokio::test]
    async fn what_is_sent_again_and_handed_out_as_well_can_be_told_apart() {
        let (pushes, _folder) = pushes().await;
        let tenant = TenantId::new(Uuid::now_v7());
        let (mut listener, mut pushed) = pushes.connect(tenant);
        let (old, new) = (message(tenant), message(tenant));
        pushes.deliver(&old, &Setup::new()).await.unwrap();
        let beginning = listener.subscribe("orders", Some(Uuid::now_v7())).await.unwrap();
        assert_eq!(beginning.missed.iter().map(|push| push.id).collect::<Vec<_>>(), [old.id]);
        assert!(!beginning.complete, "nobody knows what that was");
        pushes.deliver(&new, &Setup::new()).await.unwrap();
        pushes.hand_out().await.unwrap();
        assert!(pushed.try_recv().unwrap().sequence <= beginning.seen, "the old one, which was sent already");
        assert!(pushed.try_recv().unwrap().sequence > beginning.seen);
    }

    #[tokio::test]
    async fn who_reads_too_slowly_is_let_go_and_nobody_else() {
        let (pushes, _folder) = pushes().await;
        let tenant = TenantId::new(Uuid::now_v7());
        let (mut slow, mut left) = pushes.connect(tenant);
        let (mut fast, mut read) = pushes.connect(tenant);
        slow.subscribe("orders", None).await.unwrap();
        fast.subscribe("orders", None).await.unwrap();
        for _ in 0..=WAITING {
            pushes.deliver(&message(tenant), &Setup::new()).await.unwrap();
            pushes.hand_out().await.unwrap();
            read.try_recv().unwrap();
        }
        let mut kept = 0;
        while left.recv().await.is_some() {
            kept += 1;
        }
        assert_eq!(kept, WAITING, "what waited, and then the end");
        drop((slow, fast));
        assert!(pushes.listeners().channels.is_empty() && pushes.listeners().connections.is_empty());
    }

    #[tokio::test]
    async fn what_is_an_hour_old_is_forgotten() {
        let (pushes, _folder) = pushes().await;
        let message = message(TenantId::new(Uuid::now_v7()));
        pushes.deliver(&message, &Setup::new()).await.unwrap();
        let database = &pushes.0.database;
        let minutes = |minutes| store::now().checked_add(SignedDuration::from_mins(minutes)).unwrap();
        assert_eq!(forget_old(database, minutes(59)).await.unwrap(), 0);
        assert_eq!(forget_old(database, minutes(61)).await.unwrap(), 1);
    }
}
