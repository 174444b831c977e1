//! Messages of the wire ↔ what the data-layer works with.

use svc_api::data::v1 as wire;
use svc_kit::{Problem, Violation, json, message::timestamp};

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

pub(crate) fn record(model: &Model, record: Record) -> wire::Record {
    wire::Record {
        id: record.id.to_string(),
        collection: model.to_string(),
        data: Some(json::to_struct(record.fields)),
        created_at: Some(timestamp(record.created_at)),
        updated_at: Some(timestamp(record.updated_at)),
    }
}
