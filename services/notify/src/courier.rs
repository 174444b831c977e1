//! Delivers what is queued, and repairs what a crash left between the database and the queue.
//!
//! The database is the truth: a notification that it calls queued is delivered, whether or not its task survived. A
//! task may come twice; the second time the notification is no longer queued and nothing happens.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use svc_kit::Shutdown;
use svc_stores::tasks::{LeasedTask, NewTask, TaskQueue};
use svc_stores::{Database, StoreError, TenantId};
use uuid::Uuid;

use crate::adapters::{Adapters, DeliveryError, Setup};
use crate::channels;
use crate::domain::{Priority, Schedule, Status};
use crate::error::Result;
use crate::events::announce;
use crate::push;
use crate::store::{self, StoredNotification};

const QUEUE: &str = "notify.deliveries";
/// How many deliveries go on at once.
const AT_ONCE: u32 = 16;
/// Longer than an attempt may take.
const LEASE: Duration = Duration::from_secs(60);
/// How often a task may be taken at all; only a task that kills its worker comes near it.
const TAKEN_AT_MOST: u32 = 20;
const REPAIR_EVERY: Duration = Duration::from_secs(60);
/// What should have been tried so long ago may have lost its task; longer than [`LEASE`], in which an attempt goes on.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_secs(120);
const BATCH: u32 = 500;
/// After an error of a store.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes notifications from the queue to their recipients. Cheap to clone.
#[derive(Clone)]
pub struct Courier {
    database: Database,
    queue: Arc<dyn TaskQueue>,
    adapters: Adapters,
    schedule: Schedule,
    attempt_timeout: Duration,
}

impl Courier {
    /// A courier over these stores. `attempt_timeout` cuts off one attempt.
    pub fn new(
        database: Database,
        queue: Arc<dyn TaskQueue>,
        adapters: Adapters,
        schedule: Schedule,
        attempt_timeout: Duration,
    ) -> Self {
        Self { database, queue, adapters, schedule, attempt_timeout }
    }

    /// Puts a stored notification into the queue. One that is there already is not put there again.
    pub(crate) async fn enqueue(
        &self,
        tenant: TenantId,
        id: Uuid,
        priority: Priority,
    ) -> Result<(), StoreError> {
        let task = NewTask {
            id,
            tenant_id: Some(tenant),
            priority: priority.in_queue(),
            max_attempts: TAKEN_AT_MOST,
            ..NewTask::new(serde_json::Value::Null)
        };
        self.queue.enqueue(QUEUE, &task).await.map(|_| ())
    }

    /// Delivers until it is time to stop.
    pub async fn run(&self, shutdown: Shutdown) {
        while !shutdown.is_requested() {
            let leased = match self.queue.lease(QUEUE, AT_ONCE, LEASE).await {
                Ok(leased) => leased,
                Err(error) => {
                    tracing::warn!(%error, "the queue of deliveries cannot be read; trying again");
                    shutdown.pause(PAUSE).await;
                    continue;
                }
            };
            if leased.is_empty() {
                tokio::select! {
                    () = shutdown.requested() => return,
                    waited = self.queue.wait(QUEUE, REPAIR_EVERY) => {
                        if waited.is_err() {
                            shutdown.pause(PAUSE).await;
                        }
                    }
                }
                continue;
            }
            futures::future::join_all(leased.iter().map(|task| async {
                if let Err(error) = self.handle(task).await {
                    // The lease runs out and the task comes again.
                    tracing::warn!(notification = %task.id, %error, "a delivery could not be settled");
                }
            }))
            .await;
        }
    }

    /// Repairs at once and then every minute, until it is time to stop. At once, everything that waits is queued, since a
    /// crash may have come before its task; later only what is overdue, since a queue without an index takes it again.
    pub async fn keep_repairing(&self, shutdown: Shutdown) {
        let mut overdue_since = store::now();
        loop {
            if let Err(error) = self.repair(overdue_since).await {
                tracing::warn!(%error, "notifications could not be compared with the queue; trying again");
            }
            overdue_since = store::now().checked_sub(OVERDUE_AFTER).unwrap_or(overdue_since);
            if !shutdown.pause(REPAIR_EVERY).await {
                return;
            }
        }
    }

    /// Queues what the database calls queued and should have been tried by then, gives up what the queue gave up, and
    /// forgets what is too old.
    ///
    /// # Errors
    /// Whatever a store says; what was repaired before stays so.
    async fn repair(&self, overdue_since: Timestamp) -> Result<()> {
        for dead in self.queue.dead(QUEUE, BATCH).await? {
            if let Some(tenant) = dead.tenant_id
                && let Some(mut notification) = self.queued(tenant, dead.id).await?
            {
                notification.last_error = dead.error;
                self.give_up(tenant, notification).await?;
            }
            self.queue.discard(dead.id).await?;
        }
        let mut after = Uuid::nil();
        loop {
            let waiting = store::waiting(&self.database, overdue_since, after, BATCH).await?;
            let Some((_, last)) = waiting.last() else { break };
            after = last.id;
            for (tenant, notification) in &waiting {
                self.enqueue(*tenant, notification.id, notification.priority).await?;
            }
        }
        store::forget_old(&self.database, store::now()).await?;
        push::forget_old(&self.database, store::now()).await?;
        Ok(())
    }

    async fn handle(&self, task: &LeasedTask) -> Result<()> {
        let queued = match task.tenant_id {
            Some(tenant) => self.queued(tenant, task.id).await?.map(|notification| (tenant, notification)),
            None => None,
        };
        let Some((tenant, mut notification)) = queued else {
            return Ok(self.queue.complete(task).await?);
        };
        let outcome = self.attempt(tenant, &notification).await;
        notification.attempts += 1;
        match outcome {
            Ok(()) => {
                notification.status = Status::Delivered;
                notification.delivered_at = Some(store::now());
                notification.next_attempt_at = None;
                notification.last_error = String::new();
                self.save(tenant, &notification, Some("notify.notification.delivered")).await?;
            }
            Err(error) => {
                let chance = rand::rng().random_range(-1.0..=1.0);
                notification.last_error = error.to_string();
                let wait = match error {
                    DeliveryError::Temporary(_) => self.schedule.wait_after(notification.attempts, chance),
                    DeliveryError::Permanent(_) => None,
                };
                match wait {
                    Some(wait) => {
                        notification.next_attempt_at = store::now().checked_add(wait).ok();
                        self.save(tenant, &notification, None).await?;
                        self.queue.fail(task, &notification.last_error, wait).await?;
                        return Ok(());
                    }
                    None => self.give_up(tenant, notification).await?,
                }
            }
        }
        Ok(self.queue.complete(task).await?)
    }

    async fn attempt(
        &self,
        tenant: TenantId,
        notification: &StoredNotification,
    ) -> Result<(), DeliveryError> {
        let Some(adapter) = self.adapters.find(notification.channel) else {
            let channel = notification.channel;
            return Err(DeliveryError::Permanent(format!(
                "nothing is set up that sends through `{channel}`"
            )));
        };
        let setup = match adapter.needs_setup() {
            true => channels::setup_of(&self.database.tenant(tenant), notification.channel).await,
            false => Ok(Some(Setup::new())),
        };
        let setup = setup.map_err(|error| {
            tracing::warn!(notification = %notification.id, %error, "the setup of a channel cannot be read");
            DeliveryError::Temporary("the setup of the channel cannot be read now".to_owned())
        })?;
        let Some(setup) = setup else {
            let channel = notification.channel;
            return Err(DeliveryError::Permanent(format!("`{channel}` is not set up")));
        };
        let message = notification.outgoing(tenant);
        let attempt = tokio::time::timeout(self.attempt_timeout, adapter.deliver(&message, &setup)).await;
        attempt.unwrap_or_else(|_| {
            Err(DeliveryError::Temporary(format!("no answer within {:?}", self.attempt_timeout)))
        })
    }

    async fn give_up(&self, tenant: TenantId, mut notification: StoredNotification) -> Result<()> {
        notification.status = Status::Failed;
        notification.next_attempt_at = None;
        self.save(tenant, &notification, Some("notify.notification.failed")).await
    }

    async fn save(&self, tenant: TenantId, changed: &StoredNotification, event: Option<&str>) -> Result<()> {
        let mut transaction = self.database.tenant(tenant).begin().await?;
        store::save_outcome(&mut transaction, changed).await?;
        if let Some(event) = event {
            announce(&mut transaction, tenant, event, changed, store::now()).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn queued(&self, tenant: TenantId, id: Uuid) -> Result<Option<StoredNotification>> {
        let notification = store::notification(&self.database.tenant(tenant), id).await?;
        Ok(notification.filter(|notification| notification.status == Status::Queued))
    }
}
