//! Tasks on RabbitMQ.
//!
//! A queue of tasks is a durable queue with priorities, from which tasks are taken one by one and acknowledged when they are
//! settled. While a task is leased, the broker holds it for our connection: when this process dies, it comes again at once.
//! A lease that runs out, a failed attempt and a task that is not due yet are published anew before the old message is
//! acknowledged, so a crash between the two doubles a task and never loses one. Delays are queues whose messages expire
//! into the queue of tasks; dead letters of all queues lie in one queue of their own.
//!
//! The broker keeps no index of what it holds: the same id may be queued twice, and a dead letter is found by looking at all
//! of them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::{DeadTask, Failed, HIGHEST_PRIORITY, LeasedTask, NewTask, TaskQueue, allowed, lost};
use crate::error::{Result, StoreError};
use crate::link::{Fault, Link, chain};
use crate::tenant::TenantId;
use crate::url::Remote;

const DEADLINE: Duration = Duration::from_secs(5);
/// Whoever waits for a task looks this often for those that others queued.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Before all names of ours on the broker.
pub(super) const PREFIX: &str = "kernel.tasks";
/// A delay is made of steps of this many milliseconds each, the longest that fit first.
const STEPS: [u32; 12] =
    [10, 40, 160, 640, 2_560, 10_240, 40_960, 163_840, 655_360, 2_621_440, 10_485_760, 41_943_040];
const PERSISTENT: u8 = 2;
/// The code of AMQP for credentials or permissions that do not suffice.
const ACCESS_REFUSED: u16 = 403;

pub(super) struct RabbitMq(Arc<Broker>);

struct Broker {
    link: Link,
    /// Holds the password.
    url: String,
    prefix: String,
    /// After how long without use a queue is removed; never, for all but tests.
    unused_for: Option<Duration>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    leases: Mutex<HashMap<Uuid, Lease>>,
    changed: Notify,
    /// Held while the dead letters are looked through: who looks holds them all.
    looking: tokio::sync::Mutex<()>,
}

/// A connection with its channels: leases are worth something while it lives.
struct Session {
    connection: Connection,
    publisher: Channel,
    worker: Channel,
    declared: Mutex<HashSet<String>>,
}

struct Lease {
    task: Stored,
    acker: Acker,
    session: Arc<Session>,
    until: Instant,
}

/// A message of ours.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    id: Uuid,
    queue: String,
    tenant_id: Option<TenantId>,
    payload: serde_json::Value,
    priority: u8,
    /// Attempts that were made.
    attempts: u32,
    max_attempts: u32,
    /// Milliseconds since 1970.
    due_at: i64,
    error: String,
}

impl fmt::Debug for RabbitMq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RabbitMq").field("link", &self.0.link).finish_non_exhaustive()
    }
}

impl RabbitMq {
    pub(super) fn new(remote: &Remote, prefix: &str, unused_for: Option<Duration>) -> Self {
        let mut url = remote.secret_url().clone();
        // A broker that is gone without a word is noticed by its missing heartbeats.
        url.query_pairs_mut().append_pair("heartbeat", "5");
        Self(Arc::new(Broker {
            link: Link::new(remote, DEADLINE),
            url: url.to_string(),
            prefix: prefix.to_owned(),
            unused_for,
            session: tokio::sync::Mutex::default(),
            leases: Mutex::default(),
            changed: Notify::new(),
            looking: tokio::sync::Mutex::default(),
        }))
    }
}

impl Session {
    fn is_usable(&self) -> bool {
        self.connection.status().connected()
            && self.publisher.status().connected()
            && self.worker.status().connected()
    }
}

impl Stored {
    fn is_spent(&self) -> bool {
        self.attempts >= self.max_attempts
    }

    fn due_in(&self) -> i64 {
        self.due_at - Timestamp::now().as_millisecond()
    }
}

fn due_after(delay: Duration) -> i64 {
    Timestamp::now().as_millisecond().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
}

impl Broker {
    fn leases(&self) -> MutexGuard<'_, HashMap<Uuid, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, attempted: &str, error: &lapin::Error) -> Fault {
        match error.kind() {
            ErrorKind::ProtocolError(refusal) if refusal.get_id() == ACCESS_REFUSED => {
                self.link.answered(attempted, &chain(error))
            }
            _ => Fault::Away(chain(error)),
        }
    }

    /// The connection, made anew when it was lost.
    async fn session(&self, attempted: &str) -> Result<Arc<Session>, Fault> {
        let fault = |error: lapin::Error| self.fault(attempted, &error);
        let mut session = self.session.lock().await;
        if let Some(usable) = session.as_ref().filter(|session| session.is_usable()) {
            return Ok(Arc::clone(usable));
        }
        *session = None;
        let properties = ConnectionProperties::default().with_connection_name("kernel".into());
        let connection = Connection::connect(&self.url, properties).await.map_err(fault)?;
        let publisher = connection.create_channel().await.map_err(fault)?;
        publisher.confirm_select(ConfirmSelectOptions::default()).await.map_err(fault)?;
        let worker = connection.create_channel().await.map_err(fault)?;
        let made = Arc::new(Session { connection, publisher, worker, declared: Mutex::default() });
        *session = Some(Arc::clone(&made));
        Ok(made)
    }

    /// What was taken and not handed out must go back: the broker does that when nobody uses the connection any more.
    async fn give_up_session(&self) {
        self.session.lock().await.take();
    }

    fn main(&self, queue: &str) -> String {
        format!("{}.queue.{queue}", self.prefix)
    }

    fn dead_letters(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// Makes a queue where it is not there; gives the number of messages that are ready in it.
    async fn declare(
        &self,
        attempted: &str,
        session: &Session,
        name: &str,
        arguments: &[(&str, AMQPValue)],
    ) -> Result<u32, Fault> {
        let mut table = FieldTable::default();
        for (key, value) in arguments {
            table.insert((*key).into(), value.clone());
        }
        if let Some(unused_for) = self.unused_for {
            let milliseconds = i64::try_from(unused_for.as_millis()).unwrap_or(i64::MAX);
            table.insert("x-expires".into(), AMQPValue::LongLongInt(milliseconds));
        }
        let declared =
            session.publisher.queue_declare(name.into(), QueueDeclareOptions::durable(), table).await;
        Ok(declared.map_err(|error| self.fault(attempted, &error))?.message_count())
    }

    async fn declare_main(&self, attempted: &str, session: &Session, queue: &str) -> Result<u32, Fault> {
        let priorities = [("x-max-priority", AMQPValue::LongInt(i32::from(HIGHEST_PRIORITY)))];
        self.declare(attempted, session, &self.main(queue), &priorities).await
    }

    /// Makes what a message is to be put into, once per connection.
    async fn declare_once(
        &self,
        attempted: &str,
        session: &Session,
        queue: &str,
        target: &Target,
    ) -> Result<String, Fault> {
        let name = match target {
            Target::Main => self.main(queue),
            Target::Dead => self.dead_letters(),
            Target::Step(step) => format!("{}.delay.{queue}.{step}", self.prefix),
        };
        let known = |session: &Session| {
            session.declared.lock().unwrap_or_else(PoisonError::into_inner).contains(&name)
        };
        if known(session) {
            return Ok(name);
        }
        match target {
            Target::Main => self.declare_main(attempted, session, queue).await?,
            Target::Dead => self.declare(attempted, session, &name, &[]).await?,
            Target::Step(step) => {
                // What expires goes on to the queue of tasks, which must be there by then.
                self.declare_main(attempted, session, queue).await?;
                let arguments = [
                    ("x-message-ttl", AMQPValue::LongLongInt(i64::from(*step))),
                    ("x-dead-letter-exchange", AMQPValue::LongString("".into())),
                    ("x-dead-letter-routing-key", AMQPValue::LongString(self.main(queue).into())),
                ];
                self.declare(attempted, session, &name, &arguments).await?
            }
        };
        session.declared.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        Ok(name)
    }

    /// Puts a task where it belongs and returns when the broker has it on its disk.
    async fn publish(&self, attempted: &str, session: &Session, task: &Stored) -> Result<(), Fault> {
        let target = match u32::try_from(task.due_in()).ok() {
            _ if task.is_spent() => Target::Dead,
            Some(left) => {
                STEPS.into_iter().rev().find(|step| *step <= left).map_or(Target::Main, Target::Step)
            }
            None if task.due_in() > 0 => Target::Step(STEPS[STEPS.len() - 1]),
            None => Target::Main,
        };
        let name = self.declare_once(attempted, session, &task.queue, &target).await?;
        let body = serde_json::to_vec(task)
            .map_err(|error| Fault::Answered(StoreError::failed(attempted, error)))?;
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_priority(task.priority)
            .with_content_type("application/json".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let fault = |error: lapin::Error| self.fault(attempted, &error);
        let sent =
            session.publisher.basic_publish("".into(), name.as_str().into(), options, &body, properties);
        match sent.await.map_err(fault)?.await.map_err(fault)? {
            Confirmation::Ack(None) => Ok(()),
            _ => {
                // It was removed by somebody else; the next attempt makes it again.
                session.declared.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                Err(Fault::Away("the broker did not take the message".to_owned()))
            }
        }
    }

    /// Publishes a task anew and then lets go of its old message.
    async fn move_on(
        &self,
        attempted: &str,
        session: &Session,
        acker: &Acker,
        task: &Stored,
    ) -> Result<(), Fault> {
        self.publish(attempted, session, task).await?;
        acker.ack(BasicAckOptions::default()).await.map_err(|error| self.fault(attempted, &error))?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// The next task that may be handed out. What is not due, or was held by a worker that is gone, is moved on.
    async fn take(
        &self,
        attempted: &str,
        session: &Arc<Session>,
        queue: &str,
    ) -> Result<Option<(Stored, Acker)>, Fault> {
        let fault = |error: lapin::Error| self.fault(attempted, &error);
        let main = self.main(queue);
        loop {
            let got = session.worker.basic_get(main.as_str().into(), BasicGetOptions::default()).await;
            let Some(message) = got.map_err(fault)? else { return Ok(None) };
            let Delivery { acker, data, redelivered, .. } = message.delivery;
            let Ok(mut task) = serde_json::from_slice::<Stored>(&data) else {
                tracing::error!(queue, "a message that is no task is thrown away");
                acker.ack(BasicAckOptions::default()).await.map_err(fault)?;
                continue;
            };
            if redelivered {
                task.attempts += 1;
                "its worker went away at the last attempt".clone_into(&mut task.error);
            } else if task.due_in() < i64::from(STEPS[0]) {
                return Ok(Some((task, acker)));
            }
            self.move_on(attempted, session, &acker, &task).await?;
        }
    }

    /// Ends a lease: takes it out of the books when it is still worth something.
    fn end(&self, task: &LeasedTask) -> Result<Lease> {
        let lease = self.leases().remove(&task.lease).filter(|lease| lease.until > Instant::now());
        lease.filter(|lease| lease.session.is_usable()).ok_or_else(|| lost(task))
    }

    /// Gives back what nobody settled in time.
    async fn expire(self: Arc<Self>, id: Uuid) {
        loop {
            let Some(until) = self.leases().get(&id).map(|lease| lease.until) else { return };
            if until <= Instant::now() {
                break;
            }
            tokio::time::sleep_until(until).await;
        }
        let Some(mut lease) = self.leases().remove(&id) else { return };
        lease.task.attempts += 1;
        "its lease ran out at the last attempt".clone_into(&mut lease.task.error);
        if let Err(error) = self.settle("give back a task", &lease).await {
            tracing::warn!(%error, "the broker gives the task back by itself");
        }
    }

    /// Moves on the task of a lease that has ended.
    async fn settle(&self, attempted: &str, lease: &Lease) -> Result<()> {
        let moved = self.move_on(attempted, &lease.session, &lease.acker, &lease.task);
        let moved = self.link.once(attempted, moved).await;
        if moved.is_err() {
            // Where the connection is gone, the broker has taken the message back already.
            let again = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            let _ = lease.acker.nack(again).await;
        }
        moved
    }

    /// Looks through the dead letters, oldest first, until `pick` says that it is enough. All are back in their place
    /// afterwards, but the one that was found.
    async fn look<T: Send>(
        &self,
        attempted: &str,
        mut pick: impl FnMut(Stored) -> Look<T> + Send,
    ) -> Result<Option<T>, Fault> {
        let fault = |error: lapin::Error| self.fault(attempted, &error);
        let _looking = self.looking.lock().await;
        let session = self.session(attempted).await?;
        let name = self.declare_once(attempted, &session, "", &Target::Dead).await?;
        let channel = session.connection.create_channel().await.map_err(fault)?;
        let mut found = None;
        while let Some(message) =
            channel.basic_get(name.as_str().into(), BasicGetOptions::default()).await.map_err(fault)?
        {
            let Ok(task) = serde_json::from_slice::<Stored>(&message.delivery.data) else { continue };
            match pick(task) {
                Look::Further => {}
                Look::Enough => break,
                Look::Found { answer, instead } => {
                    if let Some(task) = instead {
                        self.publish(attempted, &session, &task).await?;
                        self.changed.notify_waiters();
                    }
                    message.delivery.acker.ack(BasicAckOptions::default()).await.map_err(fault)?;
                    found = Some(answer);
                    break;
                }
            }
        }
        // Everything that was not acknowledged goes back to where it was.
        channel.close(200, "looked through".into()).await.map_err(fault)?;
        Ok(found)
    }
}

/// Where a task is put.
enum Target {
    Main,
    Step(u32),
    Dead,
}

/// What to do about a dead letter.
enum Look<T> {
    Further,
    Enough,
    /// Take it out, and queue another task instead of it.
    Found {
        answer: T,
        instead: Option<Stored>,
    },
}

#[async_trait]
impl TaskQueue for RabbitMq {
    async fn enqueue(&self, queue: &str, task: &NewTask) -> Result<bool> {
        allowed(queue, task)?;
        let stored = Stored {
            id: task.id,
            queue: queue.to_owned(),
            tenant_id: task.tenant_id,
            payload: task.payload.clone(),
            priority: task.priority,
            attempts: 0,
            max_attempts: task.max_attempts,
            due_at: due_after(task.delay),
            error: String::new(),
        };
        let attempted = "queue a task";
        let published = self.0.link.repeat(attempted, || async {
            let session = self.0.session(attempted).await?;
            self.0.publish(attempted, &session, &stored).await
        });
        published.await?;
        self.0.changed.notify_waiters();
        Ok(true)
    }

    async fn lease(&self, queue: &str, limit: u32, visibility: Duration) -> Result<Vec<LeasedTask>> {
        let attempted = "lease tasks";
        let broker = &self.0;
        let mut leased = Vec::new();
        let taken = broker.link.once(attempted, async {
            let session = broker.session(attempted).await?;
            broker.declare_once(attempted, &session, queue, &Target::Main).await?;
            while leased.len() < limit as usize {
                let Some((task, acker)) = broker.take(attempted, &session, queue).await? else { break };
                let lease = Uuid::now_v7();
                leased.push(LeasedTask {
                    id: task.id,
                    tenant_id: task.tenant_id,
                    payload: task.payload.clone(),
                    attempt: task.attempts + 1,
                    lease,
                });
                let until = Instant::now() + visibility;
                let held = Lease { task, acker, session: Arc::clone(&session), until };
                broker.leases().insert(lease, held);
                tokio::spawn(Arc::clone(broker).expire(lease));
            }
            Ok(())
        });
        if let Err(error) = taken.await {
            broker.give_up_session().await;
            if leased.is_empty() {
                return Err(error);
            }
            tracing::warn!(%error, "fewer tasks were leased than there may be");
        }
        Ok(leased)
    }

    async fn wait(&self, queue: &str, longest: Duration) -> Result<()> {
        let attempted = "wait for a task";
        let deadline = Instant::now() + longest;
        loop {
            // Listen first, look then: what is queued between the two is not missed.
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let ready = self.0.link.repeat(attempted, || async {
                let session = self.0.session(attempted).await?;
                self.0.declare_main(attempted, &session, queue).await
            });
            if ready.await? > 0 || Instant::now() >= deadline {
                return Ok(());
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)) => {}
            }
        }
    }

    async fn complete(&self, task: &LeasedTask) -> Result<()> {
        let attempted = "complete a task";
        let lease = self.0.end(task)?;
        self.0
            .link
            .once(attempted, async {
                let fault = |error: lapin::Error| self.0.fault(attempted, &error);
                lease.acker.ack(BasicAckOptions::default()).await.map_err(fault)?;
                // The broker answers nothing to this; by its answer to what follows, it has done it.
                let main = self.0.main(&lease.task.queue);
                let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let asked = lease.session.worker.queue_declare(main.into(), passive, FieldTable::default());
                asked.await.map(|_| ()).map_err(fault)
            })
            .await
    }

    async fn fail(&self, task: &LeasedTask, error: &str, delay: Duration) -> Result<Failed> {
        let attempted = "settle a failed task";
        let mut lease = self.0.end(task)?;
        lease.task.attempts += 1;
        error.clone_into(&mut lease.task.error);
        lease.task.due_at = due_after(delay);
        self.0.settle(attempted, &lease).await?;
        Ok(if lease.task.is_spent() { Failed::Dead } else { Failed::Again })
    }

    async fn extend(&self, task: &LeasedTask, visibility: Duration) -> Result<()> {
        let now = Instant::now();
        let mut leases = self.0.leases();
        let lease =
            leases.get_mut(&task.lease).filter(|lease| lease.until > now && lease.session.is_usable());
        lease.ok_or_else(|| lost(task))?.until = now + visibility;
        Ok(())
    }

    async fn dead(&self, queue: &str, limit: u32) -> Result<Vec<DeadTask>> {
        let attempted = "look at dead letters";
        let mut found = Vec::new();
        let looked = self.0.look(attempted, |task: Stored| {
            if found.len() >= limit as usize {
                return Look::<()>::Enough;
            }
            if task.queue == queue {
                found.push(DeadTask {
                    id: task.id,
                    tenant_id: task.tenant_id,
                    payload: task.payload,
                    attempts: task.attempts,
                    error: task.error,
                });
            }
            Look::Further
        });
        self.0.link.once(attempted, looked).await?;
        Ok(found)
    }

    async fn revive(&self, id: Uuid) -> Result<bool> {
        let attempted = "revive a dead letter";
        let looked = self.0.look(attempted, |task: Stored| {
            if task.id != id {
                return Look::Further;
            }
            let due_at = Timestamp::now().as_millisecond();
            Look::Found { answer: (), instead: Some(Stored { attempts: 0, due_at, ..task }) }
        });
        Ok(self.0.link.once(attempted, looked).await?.is_some())
    }

    async fn discard(&self, id: Uuid) -> Result<bool> {
        let attempted = "discard a dead letter";
        let looked = self.0.look(attempted, |task: Stored| {
            if task.id == id { Look::Found { answer: (), instead: None } } else { Look::Further }
        });
        Ok(self.0.link.once(attempted, looked).await?.is_some())
    }

    async fn check(&self) -> Result<()> {
        let attempted = "ask the broker of tasks";
        let asked = self.0.link.repeat(attempted, || async {
            let session = self.0.session(attempted).await?;
            self.0.declare(attempted, &session, &self.0.dead_letters(), &[]).await
        });
        asked.await.map(|_| ())
    }
}
