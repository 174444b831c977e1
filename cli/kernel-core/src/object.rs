//! Objects of a Kubernetes cluster: what names one, how two states of it differ, and what a step does to it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::secret::HIDDEN;

/// What names an object in a cluster, whatever version of its kind somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ObjectName {
    /// The kind's API group; empty for the core group.
    pub group: String,
    /// The kind: `Deployment`.
    pub kind: String,
    /// Where it is; `None` for what belongs to the cluster as a whole.
    pub namespace: Option<String>,
    /// Its own name.
    pub name: String,
}

/// As in `Deployment web`: the namespace is what a whole deploy has in common.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// One place in which an object will be another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where, as `spec.template.spec.containers[web].image`: items that have a name are told by it.
    pub path: String,
    /// What is there; nothing when it is new.
    pub from: Option<Value>,
    /// What will be there; nothing when it goes.
    pub to: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "~ {}: {} -> {}", self.path, short(from), short(to)),
            (None, Some(to)) => write!(f, "+ {}: {}", self.path, short(to)),
            (Some(from), None) => write!(f, "- {}: {}", self.path, short(from)),
            (None, None) => write!(f, "  {}", self.path),
        }
    }
}

/// A value on one line, cut where it gets long.
fn short(value: &Value) -> String {
    const LONGEST: usize = 160;
    let text = match value {
        Value::String(text) if text == HIDDEN => text.clone(),
        value => value.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// What a step does to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "write", rename_all = "kebab-case")]
pub enum ObjectAction {
    /// Makes it.
    Create,
    /// Changes it where it stands.
    Update {
        /// In what, as the cluster itself says.
        differences: Vec<Difference>,
        /// Fields that an earlier tool set are taken over first, so that what is no longer written goes.
        adopt: bool,
    },
    /// Removes it and makes it anew, because the cluster lets nobody change these fields.
    Replace {
        /// The fields.
        fields: Vec<String>,
    },
    /// Removes it.
    Delete,
    /// Waits until it does what it is for: all pods of the new version and none of the old one, a job done.
    AwaitReady,
    /// Writes down which kinds belong to the release: before the first change also the new ones, after the last change
    /// only those that are left.
    Record {
        /// The kinds and namespaces, as the ApplySet specification (KEP-3659) writes them.
        annotations: Vec<(String, String)>,
    },
}

impl ObjectAction {
    /// One word.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update { .. } => "update",
            Self::Replace { .. } => "replace",
            Self::Delete => "remove",
            Self::AwaitReady => "await",
            Self::Record { .. } => "record",
        }
    }

    /// What is true afterwards, a word or two.
    #[must_use]
    pub const fn done(&self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update { .. } => "updated",
            Self::Replace { .. } => "replaced",
            Self::Delete => "removed",
            Self::AwaitReady => "ready",
            Self::Record { .. } => "recorded",
        }
    }
}

impl fmt::Display for ObjectAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AwaitReady => f.write_str("wait until ready"),
            Self::Record { .. } => f.write_str("record what belongs to the release"),
            Self::Update { adopt: true, .. } => f.write_str("update, taking over what an earlier tool set"),
            _ => f.write_str(self.verb()),
        }
    }
}
