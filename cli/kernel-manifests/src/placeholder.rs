//! What stands in committed manifests where only a release knows better: digests of images and values of secrets. Easy to
//! see, and refused by whoever deploys.

use kernel_compose::tree::{Node, Value};
use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::document::{Document, at};

/// The digits of a digest that no image has.
pub const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The annotation of an object whose values are placeholders; it says what has to be handed in.
pub const ANNOTATION: &str = "kernel.dev/placeholder";

/// The value of a secret that no release gave.
pub const VALUE: &str = "placeholder";

/// Every placeholder in these objects, as an error: nothing that has one may go to a cluster.
#[must_use]
pub fn placeholders(documents: &[Document]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for document in documents {
        if let Some(note) = at(&document.node, "metadata.annotations").and_then(|all| all.get(ANNOTATION)) {
            found.push(
                Diagnostic::error(
                    codes::PLACEHOLDER,
                    format!("{} holds placeholders for its values", document.title()),
                )
                .at(note.span, "not the real values")
                .help("render with `--secrets FILE`"),
            );
        }
        images(&document.node, &mut found);
    }
    found
}

fn images(node: &Node, found: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| images(item, found)),
        Value::Mapping(mapping) => {
            for entry in mapping.iter() {
                let image = entry.value.as_text().filter(|_| entry.key == "image");
                if let Some(image) = image.filter(|image| image.ends_with(&format!("@sha256:{DIGEST}"))) {
                    found.push(
                        Diagnostic::error(codes::PLACEHOLDER, format!("`{image}` is no image"))
                            .at(entry.value.span, "a placeholder for a digest")
                            .help("render with `--digests FILE`"),
                    );
                }
                images(&entry.value, found);
            }
        }
        Value::Null | Value::Scalar(_) => {}
    }
}
