//! Between what travels and what is kept.

use svc_api::notify::v1 as wire;
use svc_kit::message::timestamp;
use uuid::Uuid;

use crate::channels::Offered;
use crate::domain::{Draft, Fault, variables};
use crate::store::{StoredNotification, StoredTemplate};

const DEFAULT_PAGE: u32 = 20;
const LARGEST_PAGE: u32 = 100;

/// The id in a field.
pub(crate) fn id_of(field: &'static str, text: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(text).map_err(|_| Fault::new(field, "uuid", "must be a UUID"))
}

/// The id in a page token, if there is one.
pub(crate) fn id_token(token: &str) -> Result<Option<Uuid>, Fault> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = |_| Fault::new("pageToken", "format", "must be the nextPageToken of the page before");
    Uuid::parse_str(token).map(Some).map_err(wrong)
}

/// How many items a page has.
pub(crate) fn page_size(size: i32) -> Result<u32, Fault> {
    match u32::try_from(size) {
        Ok(0) => Ok(DEFAULT_PAGE),
        Ok(size @ 1..=LARGEST_PAGE) => Ok(size),
        _ => {
            let message = format!("must be 1 to {LARGEST_PAGE}, or 0 for {DEFAULT_PAGE}");
            Err(Fault::new("pageSize", "range", message))
        }
    }
}

/// Takes the surplus row off and says where the next page begins.
pub(crate) fn next_page<T>(rows: &mut Vec<T>, size: u32, token: impl Fn(&T) -> String) -> String {
    if rows.len() <= size as usize {
        return String::new();
    }
    rows.truncate(size as usize);
    rows.last().map(token).unwrap_or_default()
}

pub(crate) fn draft_of(request: &wire::SendRequest) -> Draft {
    Draft {
        channel: request.channel.clone(),
        recipient: request.recipient.clone(),
        template: request.template.clone(),
        subject: request.subject.clone(),
        body: request.body.clone(),
        priority: request.priority.clone(),
        module: request.module.clone(),
    }
}

pub(crate) fn to_reply(notification: &StoredNotification) -> wire::SendReply {
    wire::SendReply {
        notification_id: notification.id.to_string(),
        status: notification.status.as_str().to_owned(),
    }
}

pub(crate) fn to_notification(notification: &StoredNotification) -> wire::Notification {
    wire::Notification {
        id: notification.id.to_string(),
        channel: notification.channel.as_str().to_owned(),
        recipient: notification.recipient.clone(),
        template: notification.template.clone(),
        template_version: notification.template_version.try_into().unwrap_or(i32::MAX),
        subject: notification.subject.clone(),
        body: notification.body.clone(),
        priority: notification.priority.as_str().to_owned(),
        status: notification.status.as_str().to_owned(),
        attempts: notification.attempts.try_into().unwrap_or(i32::MAX),
        last_error: notification.last_error.clone(),
        created_at: Some(timestamp(notification.created_at)),
        delivered_at: notification.delivered_at.map(timestamp),
        next_attempt_at: notification.next_attempt_at.map(timestamp),
    }
}

pub(crate) fn to_channel(offered: &Offered) -> wire::Channel {
    wire::Channel {
        id: offered.channel.as_str().to_owned(),
        name: offered.name.clone(),
        enabled: offered.reason.is_empty(),
        reason: offered.reason.to_owned(),
    }
}

pub(crate) fn to_template(template: &StoredTemplate) -> wire::Template {
    wire::Template {
        id: template.id.to_string(),
        name: template.name.clone(),
        version: template.version.try_into().unwrap_or(i32::MAX),
        channels: template.channels.clone(),
        variables: variables([template.subject.as_str(), template.body.as_str()]),
        subject: template.subject.clone(),
        body: template.body.clone(),
        created_at: Some(timestamp(template.created_at)),
    }
}
