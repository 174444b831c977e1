//! The label sets of the baseline metrics.

use std::{fmt::Debug, hash::Hash};

use prometheus_client::encoding::EncodeLabelSet;

/// What a family needs of its labels.
pub(super) trait Labels: EncodeLabelSet + Clone + Hash + Eq + Debug + Send + Sync + 'static {}

impl<L: EncodeLabelSet + Clone + Hash + Eq + Debug + Send + Sync + 'static> Labels for L {}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Http {
    pub(super) service: &'static str,
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) status_code: u16,
    pub(super) tenant_id: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct GrpcServer {
    pub(super) service: &'static str,
    pub(super) method: String,
    pub(super) status_code: i32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Target {
    pub(super) target_service: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Operation {
    pub(super) operation: String,
    pub(super) table: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Partition {
    pub(super) group_id: String,
    pub(super) topic: String,
    pub(super) partition: i32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Command {
    pub(super) command: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Breaker {
    pub(super) target: String,
}
