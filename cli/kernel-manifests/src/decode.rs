//! A tree as a typed value, with every mistake at its place.

use kernel_compose::tree::Node;
use kernel_core::source::Span;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::{Path, Segment};

use crate::document::to_json;

/// Mistakes that are looked for in one value. Where there are more, the rest is as wrong for the same reason.
const MANY: usize = 50;

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// The words of the decoder.
    pub message: String,
    /// Where it stands: the key of what is wrong, or the nearest thing around it.
    pub span: Span,
}

/// The value, if nothing is wrong with it, and all that is. A mistake is taken out and the rest looked at again, so that
/// the next one shows.
pub(crate) fn decode<T: DeserializeOwned>(node: &Node) -> (Option<T>, Vec<Mistake>) {
    let mut json = to_json(node);
    let mut mistakes = Vec::new();
    let mut taken_out: Vec<String> = Vec::new();
    while mistakes.len() < MANY {
        let error = match serde_path_to_error::deserialize::<_, T>(&json) {
            Ok(value) => return (mistakes.is_empty().then_some(value), mistakes),
            Err(error) => error,
        };
        let (path, message) = (error.path(), error.inner().to_string());
        // What is missing because it was taken out is told already.
        let told = taken_out.iter().any(|taken| {
            let (parent, field) = taken.rsplit_once('.').unwrap_or((".", taken));
            parent == path.to_string() && message == format!("missing field `{field}`")
        });
        if !told {
            mistakes.push(Mistake { message, span: place(node, path) });
        }
        taken_out.push(path.to_string());
        if !take_out(&mut json, path) {
            break;
        }
    }
    (None, mistakes)
}

/// Where a path leads, as far as it can be followed: to the key where there is one.
fn place(node: &Node, path: &Path) -> Span {
    let (mut node, mut span) = (node, node.span);
    for segment in path {
        let next = match segment {
            Segment::Map { key } => node.as_mapping().and_then(|mapping| mapping.entry(key)).map(|entry| {
                let scalar = entry.value.as_scalar().is_some();
                (&entry.value, if scalar { entry.value.span } else { entry.key_span })
            }),
            Segment::Seq { index } => {
                node.as_sequence().and_then(|items| items.get(*index)).map(|item| (item, item.span))
            }
            _ => None,
        };
        let Some(next) = next else { break };
        (node, span) = next;
    }
    span
}

/// Takes out the field that a path leads to. `false` when that can't be.
fn take_out(json: &mut Json, path: &Path) -> bool {
    let segments: Vec<&Segment> =
        path.iter().filter(|segment| matches!(segment, Segment::Map { .. } | Segment::Seq { .. })).collect();
    let Some((last, before)) = segments.split_last() else { return false };
    let mut target = json;
    for segment in before {
        let next = match segment {
            Segment::Map { key } => target.get_mut(key),
            Segment::Seq { index } => target.get_mut(*index),
            _ => None,
        };
        let Some(next) = next else { return false };
        target = next;
    }
    match (last, target) {
        (Segment::Map { key }, Json::Object(entries)) => entries.shift_remove(key).is_some(),
        // Without an item the others would have other places.
        _ => false,
    }
}
