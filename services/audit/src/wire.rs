//! Messages of the wire ↔ what the trail works with.

use jiff::Timestamp;
use prost_types::Struct;
use serde_json::Value;
use svc_api::audit::v1 as wire;
use svc_kit::{Problem, RequestContext, Violation, json, message::timestamp};
use uuid::Uuid;

use crate::domain::{Draft, Fault, Link, Recorder};

/// Everything that is wrong with a request, as one problem.
pub(crate) fn invalid(faults: Vec<Fault>) -> Problem {
    let violations = faults.into_iter().map(|Fault { field, code, message }| Violation {
        field,
        code: code.to_owned(),
        message,
    });
    Problem::invalid("The request breaks one or more rules.").violations(violations)
}

/// Who hands a record in. A service that calls in its own name has no user.
pub(crate) fn recorder(context: &RequestContext, user: Option<Uuid>) -> Recorder {
    Recorder {
        user,
        ip: context.client_address.clone().unwrap_or_default(),
        user_agent: context.client_agent.clone().unwrap_or_default(),
    }
}

pub(crate) fn draft(request: wire::RecordRequest) -> Draft {
    let document = |document: Option<Struct>| document.map(json::from_struct);
    Draft {
        id: request.id,
        action: request.action,
        entity_type: request.entity_type,
        entity_id: request.entity_id,
        user_id: request.user_id,
        ip: request.ip,
        user_agent: request.user_agent,
        before: document(request.before),
        after: document(request.after),
        metadata: document(request.metadata),
    }
}

pub(crate) fn record(link: Link) -> wire::AuditRecord {
    let entry = link.entry;
    wire::AuditRecord {
        audit_id: entry.id.to_string(),
        action: entry.action,
        entity_type: entry.entity_type,
        entity_id: entry.entity_id,
        user_id: entry.user_id,
        ip: entry.ip,
        user_agent: entry.user_agent,
        before: document(entry.before),
        after: document(entry.after),
        metadata: document(entry.metadata),
        timestamp: Some(timestamp(entry.occurred_at)),
        sequence: link.sequence,
        previous_hash: link.previous_hash,
        hash: link.hash,
    }
}

/// A text that somebody damaged is shown as it is; `VerifyChain` says that it was.
fn document(text: Option<String>) -> Option<Struct> {
    let text = text?;
    let object = match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => object,
        _ => serde_json::Map::from_iter([("unreadable".to_owned(), Value::String(text))]),
    };
    Some(json::to_struct(object))
}

/// A time of a request.
pub(crate) fn time(field: &str, time: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, Fault> {
    let Some(time) = time else { return Ok(None) };
    Timestamp::new(time.seconds, time.nanos)
        .map(Some)
        .map_err(|_| Fault::new(field, "range", "is no time between the years -9999 and 9999"))
}

/// The id of a record.
pub(crate) fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| invalid(vec![Fault::new("id", "uuid", "must be a UUID")]))
}

/// The size of a page.
pub(crate) fn page_size(given: i32) -> Result<u32, Fault> {
    match given {
        0 => Ok(20),
        given @ 1..=100 => Ok(given.unsigned_abs()),
        _ => Err(Fault::new("pageSize", "range", "from 1 to 100, or absent for 20")),
    }
}

/// The place before which a page begins.
pub(crate) fn page_token(text: &str) -> Result<i64, Fault> {
    if text.is_empty() {
        return Ok(i64::MAX);
    }
    let unknown = || Fault::new("pageToken", "unknown", "give back `nextPageToken` of the page before");
    text.parse().ok().filter(|sequence| *sequence > 0).ok_or_else(unknown)
}
