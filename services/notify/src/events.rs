//! What others learn of a notification.

use jiff::Timestamp;
use serde_json::json;
use svc_kit::RequestContext;
use svc_stores::outbox::{self, Event};
use svc_stores::relational::Transaction;
use svc_stores::{Result, TenantId};

use crate::store::StoredNotification;

const TOPIC: &str = "platform.notify.events";

/// Adds an event about a notification to its transaction. The text itself is not told: it may be private.
pub(crate) async fn announce(
    transaction: &mut Transaction,
    tenant: TenantId,
    name: &str,
    about: &StoredNotification,
    now: Timestamp,
) -> Result<()> {
    let data = json!({
        "notificationId": about.id,
        "channel": about.channel.as_str(),
        "recipient": about.recipient,
        "template": about.template,
        "status": about.status.as_str(),
        "attempts": about.attempts,
        "reason": about.last_error,
    });
    let trace = RequestContext::current().map(|context| context.trace.trace_id());
    let mut event =
        Event::new(TOPIC, name, "notify", &about.id.to_string()).tenant(tenant).trace(trace).data(data);
    event.occurred_at = now;
    outbox::append(transaction, &event).await
}
