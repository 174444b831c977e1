//! Messages of the wire ↔ what the data-layer works with.

use jiff::Timestamp;
use svc_api::data::v1 as wire;
use svc_kit::{Problem, Violation, json};
use uuid::Uuid;

use crate::domain::{Fault, Model};
use crate::store::Record;

/// Everything that is wrong with a request, as one problem.
pub(crate) fn invalid(faults: Vec<Fault>) -> Problem {
    let violations = faults.into_iter().map(|Fault { field, code, message }| Violation {
        field,
        code: code.to_owned(),
        message,
    });
    Problem::invalid("The request breaks one or more rules.").violations(violations)
}

/// The address of a model.
pub(crate) fn model(module: String, name: String) -> Result<Model, Problem> {
    Model::read(module, name).map_err(invalid)
}

/// The id of a record.
pub(crate) fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| invalid(vec![Fault::new("id", "uuid", "must be a UUID")]))
}

/// The size of a page.
pub(crate) fn page_size(given: i32) -> Result<u32, Problem> {
    match given {
        0 => Ok(20),
        given @ 1..=100 => Ok(given.unsigned_abs()),
        _ => Err(invalid(vec![Fault::new("pageSize", "range", "from 1 to 100, or absent for 20")])),
    }
}

/// The place where a page begins.
pub(crate) fn page_token(text: &str) -> Result<Option<Uuid>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let unknown =
        |_| invalid(vec![Fault::new("pageToken", "unknown", "give back `nextPageToken` of the page before")]);
    Uuid::parse_str(text).map(Some).map_err(unknown)
}

pub(crate) fn record(model: &Model, record: Record) -> wire::Record {
    wire::Record {
        id: record.id.to_string(),
        collection: model.to_string(),
        data: Some(json::to_struct(record.fields)),
        created_at: Some(timestamp(record.created_at)),
        updated_at: Some(timestamp(record.updated_at)),
    }
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}
