//! Takes notifications and templates over: what is acknowledged here is in the database.

use std::collections::{BTreeMap, HashMap};

use svc_kit::Caller;
use svc_stores::relational::Transaction;
use svc_stores::{Database, TenantId};
use uuid::Uuid;

use crate::adapters::Adapters;
use crate::channels;
use crate::courier::Courier;
use crate::domain::{Channel, Draft, Fault, Status, is_template_name, render, rendered_length};
use crate::error::{NotifyError, Result};
use crate::events::announce;
use crate::limits::Limits;
use crate::store::{self, StoredNotification, StoredTemplate};

/// How many recipients one request may have.
pub(crate) const BATCH_LIMIT: usize = 500;
const TEMPLATE_LIMIT: usize = 64 * 1024;
/// A text with its values filled in has at most so many bytes, subject included: a page of a hundred fits into one answer.
const RENDERED_LIMIT: usize = 128 * 1024;
/// All texts of one request together.
const REQUEST_LIMIT: usize = 16 * 1024 * 1024;

/// The notifications and templates of every tenant. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    pub(crate) database: Database,
    pub(crate) adapters: Adapters,
    courier: Courier,
    limits: Limits,
}

/// A new template, or a new version of one.
pub(crate) struct NewTemplate {
    pub name: String,
    pub channels: Vec<String>,
    pub subject: String,
    pub body: String,
}

impl Sender {
    /// A sender that leaves delivery to this courier and keeps to these limits.
    pub fn new(database: Database, adapters: Adapters, courier: Courier, limits: Limits) -> Self {
        Self { database, adapters, courier, limits }
    }

    /// Queues a notification for each draft, all or none; all of them count as one request. With a key that was used
    /// before, gives the first answer.
    pub(crate) async fn queue(
        &self,
        caller: &Caller,
        drafts: &[Draft],
        variables: &HashMap<String, String>,
    ) -> Result<Vec<StoredNotification>> {
        let variables: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut checked = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let (channel, priority) = draft.check().map_err(NotifyError::Faults)?;
            let adapter = self.adapters.find(channel).ok_or(NotifyError::NoAdapter(channel))?;
            checked.push((draft, adapter, priority));
        }
        self.limits.admit(caller.tenant, drafts.first().map_or("", |draft| &draft.module)).await?;
        // All drafts of a request go through one channel.
        if let Some((_, adapter, _)) = checked.first()
            && adapter.needs_setup()
            && channels::setup_of(&self.database.tenant(caller.tenant), adapter.channel()).await?.is_none()
        {
            return Err(NotifyError::NoAdapter(adapter.channel()));
        }
        // A key names one notification; a batch has none.
        let key = caller.idempotency_key.as_deref().filter(|_| drafts.len() == 1);
        let tenant = TenantId::new(caller.tenant);
        let mut transaction = self.database.tenant(tenant).begin().await?;
        if let Some(key) = key
            && let Some(known) = store::by_key(&mut transaction, key).await?
        {
            return Ok(vec![known]);
        }
        let now = store::now();
        let mut queued = Vec::with_capacity(checked.len());
        let mut rendered = 0_usize;
        for (draft, adapter, priority) in checked {
            let channel = adapter.channel();
            let text = self.text_of(&mut transaction, draft, channel).await?;
            let length = rendered_length(&text.subject, &variables)
                .saturating_add(rendered_length(&text.body, &variables));
            rendered = rendered.saturating_add(length);
            if length > RENDERED_LIMIT || rendered > REQUEST_LIMIT {
                let message = format!(
                    "make a text of more than {RENDERED_LIMIT} bytes, or texts of more than {REQUEST_LIMIT} in all"
                );
                return Err(Fault::new("variables", "too-long", message).into());
            }
            let notification = StoredNotification {
                id: Uuid::now_v7(),
                channel,
                recipient: draft.recipient.clone(),
                template: draft.template.clone(),
                template_version: text.version,
                subject: render(&text.subject, &variables),
                body: render(&text.body, &variables),
                priority,
                status: Status::Queued,
                attempts: 0,
                last_error: String::new(),
                created_at: now,
                delivered_at: None,
                next_attempt_at: None,
            };
            adapter.validate(&notification.outgoing(tenant))?;
            store::insert_notification(&mut transaction, &notification, key).await?;
            announce(&mut transaction, tenant, "notify.notification.queued", &notification, now).await?;
            queued.push(notification);
        }
        transaction.commit().await?;
        for notification in &queued {
            self.hand_over(tenant, notification).await;
        }
        Ok(queued)
    }

    /// Queues a failed notification again, with all its attempts before it.
    pub(crate) async fn retry(&self, caller: &Caller, id: Uuid) -> Result<StoredNotification> {
        let tenant = TenantId::new(caller.tenant);
        let scope = self.database.tenant(tenant);
        let found = store::notification(&scope, id).await?;
        let mut notification =
            found.ok_or_else(|| NotifyError::NotFound { what: "notification", name: id.to_string() })?;
        if notification.status != Status::Failed {
            return Err(NotifyError::NotFailed(notification.status.as_str()));
        }
        notification.status = Status::Queued;
        notification.attempts = 0;
        let mut transaction = scope.begin().await?;
        store::save_outcome(&mut transaction, &notification).await?;
        transaction.commit().await?;
        self.hand_over(tenant, &notification).await;
        Ok(notification)
    }

    /// Keeps a template as the next version of its name.
    pub(crate) async fn add_template(&self, caller: &Caller, new: NewTemplate) -> Result<StoredTemplate> {
        let faults = new.faults();
        if !faults.is_empty() {
            return Err(NotifyError::Faults(faults));
        }
        let mut transaction = self.database.tenant(caller.tenant).begin().await?;
        let newest = store::newest_template(&mut transaction, &new.name).await?;
        let template = StoredTemplate {
            id: Uuid::now_v7(),
            version: newest.map_or(1, |newest| newest.version + 1),
            name: new.name,
            channels: new.channels,
            subject: new.subject,
            body: new.body,
            created_at: store::now(),
        };
        store::insert_template(&mut transaction, &template).await?;
        transaction.commit().await?;
        Ok(template)
    }

    /// The notification is safe already; when the queue does not take it now, a repair queues it later.
    async fn hand_over(&self, tenant: TenantId, notification: &StoredNotification) {
        if let Err(error) = self.courier.enqueue(tenant, notification.id, notification.priority).await {
            tracing::warn!(notification = %notification.id, %error, "the queue did not take it; a repair will");
        }
    }

    async fn text_of(&self, transaction: &mut Transaction, draft: &Draft, channel: Channel) -> Result<Text> {
        if draft.template.is_empty() {
            return Ok(Text { version: 0, subject: draft.subject.clone(), body: draft.body.clone() });
        }
        let template = store::newest_template(transaction, &draft.template).await?;
        let template = template
            .ok_or_else(|| NotifyError::NotFound { what: "template", name: draft.template.clone() })?;
        let fits =
            template.channels.is_empty() || template.channels.iter().any(|own| own == channel.as_str());
        if !fits {
            let message = format!("must be one of the template's: {}", template.channels.join(", "));
            return Err(Fault::new("channel", "template", message).into());
        }
        Ok(Text { version: template.version, subject: template.subject, body: template.body })
    }
}

struct Text {
    version: u32,
    subject: String,
    body: String,
}

impl NewTemplate {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !is_template_name(&self.name) {
            let message = "must be 1 to 100 lower-case letters, digits, `.`, `_` or `-`";
            faults.push(Fault::new("name", "format", message));
        }
        if let Some(unknown) = self.channels.iter().find(|name| Channel::parse(name).is_none()) {
            faults.push(Fault::new("channels", "unknown", format!("`{unknown}` is no channel")));
        }
        if self.body.is_empty() {
            faults.push(Fault::new("body", "required", "must not be empty"));
        }
        for (field, text) in [("subject", &self.subject), ("body", &self.body)] {
            if text.len() > TEMPLATE_LIMIT {
                faults.push(Fault::new(field, "too-long", format!("has more than {TEMPLATE_LIMIT} bytes")));
            }
        }
        faults
    }
}
