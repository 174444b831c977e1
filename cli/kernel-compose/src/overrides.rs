//! Which file overrides which: a problem in a file that was merged over others also shows what stands there in them.

use kernel_core::diagnostic::{Diagnostic, Label};
use kernel_core::source::{SourceId, Sources, Span};

use crate::load;
use crate::tree::{Node, Value};

/// Keys down to a service, network and the like: what has less in common is not the same thing.
const THING: usize = 2;

/// Earlier files that are shown.
const CHAIN: usize = 8;

/// Adds to each problem in one of the project's files what it was merged over, the nearest file first.
pub fn tell(files: &[SourceId], sources: &Sources, diagnostics: &mut [Diagnostic]) {
    let in_later_file = |diagnostic: &Diagnostic| {
        let place = diagnostic.labels.first().map(|label| label.span.source);
        files.iter().skip(1).any(|file| Some(*file) == place)
    };
    if !diagnostics.iter().any(in_later_file) {
        return;
    }
    let mut ignored = Vec::new();
    let trees: Vec<Vec<Node>> =
        files.iter().map(|file| load::documents(&[*file], sources, &mut ignored)).collect();
    for diagnostic in diagnostics {
        let Some(span) = diagnostic.labels.first().map(|label| label.span) else { continue };
        let Some(at) = files.iter().position(|file| *file == span.source) else { continue };
        let Some(keys) = trees[at].iter().find_map(|tree| keys_to(tree, span)) else { continue };
        for earlier in trees[..at].iter().rev().take(CHAIN) {
            // A later document of a file is merged over the former ones.
            let Some((depth, place)) =
                earlier.iter().rev().filter_map(|tree| deepest(tree, &keys)).max_by_key(|found| found.0)
            else {
                continue;
            };
            if diagnostic.labels.iter().any(|label| label.span.source == place.source) {
                continue;
            }
            let text = if depth == keys.len() { "this is overridden" } else { "merged over this" };
            diagnostic.labels.push(Label { span: place, text: text.to_owned() });
        }
    }
}

/// The keys that lead to the value at a place; nothing where it stands in no thing. Those below a list have no equals in
/// other files.
fn keys_to(tree: &Node, place: Span) -> Option<Vec<String>> {
    fn holds(span: Span, place: Span) -> bool {
        span.start <= place.start && place.end <= span.end
    }
    fn is_below(node: &Node, place: Span) -> bool {
        holds(node.span, place)
            || match &node.value {
                Value::Sequence(items) => items.iter().any(|item| is_below(item, place)),
                Value::Mapping(mapping) => {
                    mapping.iter().any(|entry| holds(entry.key_span, place) || is_below(&entry.value, place))
                }
                Value::Null | Value::Scalar(_) => false,
            }
    }
    fn walk(node: &Node, place: Span, keys: &mut Vec<String>) {
        let Some(mapping) = node.as_mapping() else { return };
        if let Some(entry) =
            mapping.iter().find(|entry| holds(entry.key_span, place) || is_below(&entry.value, place))
        {
            keys.push(entry.key.clone());
            if !holds(entry.key_span, place) {
                walk(&entry.value, place, keys);
            }
        }
    }
    let mut keys = Vec::new();
    walk(tree, place, &mut keys);
    (keys.len() >= THING).then_some(keys)
}

/// How many of the keys lead somewhere, and the place of the last one that does.
fn deepest(tree: &Node, keys: &[String]) -> Option<(usize, Span)> {
    let (mut node, mut found) = (tree, None);
    for (index, key) in keys.iter().enumerate() {
        let Some(entry) = node.as_mapping().and_then(|mapping| mapping.entry(key)) else { break };
        found = Some((index + 1, entry.key_span));
        node = &entry.value;
    }
    found.filter(|(depth, _)| *depth >= THING)
}
