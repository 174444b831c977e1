//! Generated secrets belong into an environment. Elsewhere whoever may list containers or processes can read them.

use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::place::Place;
use crate::project::Project;
use crate::tree::{Node, Value};

/// Tells every secret that goes anywhere else.
pub fn check(project: &Project, diagnostics: &mut Vec<Diagnostic>) {
    let mut walk = Walk { place: Place::default(), diagnostics };
    for entry in project.model.get("services").and_then(Node::as_mapping).into_iter().flatten() {
        walk.place.key("services");
        walk.place.key(&entry.key);
        for attribute in entry.value.as_mapping().into_iter().flatten() {
            if attribute.key != "environment" && !attribute.key.starts_with("x-") {
                walk.place.key(&attribute.key);
                walk.node(&attribute.value);
                walk.place.up();
            }
        }
        walk.place.up();
        walk.place.up();
    }
}

struct Walk<'a> {
    place: Place,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Scalar(scalar) if scalar.template().is_some() => {
                let message = format!(
                    "{}: a generated secret can be read by everyone who may list containers",
                    self.place
                );
                self.diagnostics.push(
                    Diagnostic::warning(codes::SECRET_SHOWN, message)
                        .at(node.span, "a secret goes in here")
                        .help("hand it over in `environment`, and let the program read it there"),
                );
            }
            Value::Null | Value::Scalar(_) => {}
            Value::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.place.index(index);
                    self.node(item);
                    self.place.up();
                }
            }
            Value::Mapping(mapping) => {
                for entry in mapping {
                    self.place.key(&entry.key);
                    self.node(&entry.value);
                    self.place.up();
                }
            }
        }
    }
}
