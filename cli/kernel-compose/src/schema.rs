//! The attributes of the Compose Specification and the shape of each, as data. Checking, merging and normalising all
//! walk these tables, so an attribute is described once.

mod deploy;
mod resources;
mod service;

pub use service::SERVICE;

use deploy::{DEPLOY, DEVELOP};
use resources::{CONFIG, INCLUDE, MODEL, NETWORK, SECRET, VOLUME};

/// One attribute of a mapping.
#[derive(Debug)]
pub struct Attribute {
    /// Its key.
    pub name: &'static str,
    /// What may stand there.
    pub shape: Shape,
}

/// What a value looks like in its long form, and which short forms it has.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything, kept as it is.
    Any,
    /// A string.
    Text,
    /// A path; a relative one resolves against the project's directory.
    Path,
    /// A path, or the URL of a build context.
    Context,
    /// A truth value.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// The mode of a file, in octal.
    Mode,
    /// A number of bytes such as `64m`.
    Bytes,
    /// A time such as `1m30s`.
    Duration,
    /// A list of strings, each once.
    Texts,
    /// A string or a list of strings, each once.
    TextOrTexts,
    /// A path or a list of paths, each once.
    Paths,
    /// A command: a string split as a shell does, or a list. Replaced, never merged.
    Command,
    /// The test of a health check: a line for the shell, or a list. Replaced, never merged.
    HealthTest,
    /// A mapping of strings, or a list of `NAME=value`; a name without value has the empty one.
    Pairs,
    /// The same for variables, where a name without value takes that of the environment.
    Variables,
    /// A mapping with exactly these keys.
    Object(&'static [Attribute]),
    /// A list of one shape.
    List(&'static Shape),
    /// A list of mappings, merged where they agree on this key.
    Keyed(&'static str, &'static Shape),
    /// A mapping with keys of the author's choice.
    Map(&'static Shape),
    /// A list of keys, or a mapping.
    Keys(&'static Shape),
    /// The shape, or nothing.
    Optional(&'static Shape),
    /// A mapping with these keys that may be written as one text.
    Short(Short, &'static [Attribute]),
    /// A mapping of names to build contexts.
    Contexts,
    /// `extra_hosts`: a mapping of host to addresses, or a list of `host=address`.
    Hosts,
    /// Options of the logging driver; merged only while the driver stays the same.
    Logging(&'static [Attribute]),
    /// A mapping, or a single truth value that stands for it.
    External,
}

/// How the short form of a mapping is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// `[HOST:]CONTAINER[/PROTOCOL]`.
    Port,
    /// `[SOURCE:]TARGET[:MODE]`.
    Volume,
    /// The context.
    Build,
    /// The path.
    EnvFile,
    /// The source of a secret or config.
    Reference,
    /// `SOURCE:TARGET[:PERMISSIONS]`.
    Device,
    /// One number for both limits.
    Ulimit,
    /// The service.
    Extends,
    /// The path.
    Include,
}

/// The whole file.
pub const TOP: &[Attribute] = &[
    attribute("version", Shape::Text),
    attribute("name", Shape::Text),
    attribute("include", Shape::List(&Shape::Short(Short::Include, INCLUDE))),
    attribute("services", Shape::Map(&Shape::Object(SERVICE))),
    attribute("models", Shape::Map(&Shape::Object(MODEL))),
    attribute("networks", Shape::Map(&Shape::Optional(&Shape::Object(NETWORK)))),
    attribute("volumes", Shape::Map(&Shape::Optional(&Shape::Object(VOLUME)))),
    attribute("secrets", Shape::Map(&Shape::Object(SECRET))),
    attribute("configs", Shape::Map(&Shape::Object(CONFIG))),
    attribute("x-kernel", Shape::Object(KERNEL)),
];

/// The top-level `x-kernel`.
pub const KERNEL: &[Attribute] = &[attribute("generate", Shape::Texts)];

/// `x-kernel` of a service.
pub const SERVICE_KERNEL: &[Attribute] = &[
    attribute("package", Shape::Text),
    attribute("scenario", Shape::Text),
    attribute("ports", service::PORTS),
    attribute("environment", Shape::Variables),
    attribute("embedded", Shape::Variables),
];

/// Shorthand for the tables.
pub(crate) const fn attribute(name: &'static str, shape: Shape) -> Attribute {
    Attribute { name, shape }
}

/// The attribute of that name.
pub fn find(table: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    table.iter().find(|attribute| attribute.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_names_an_attribute_twice() {
        for table in [TOP, SERVICE, DEPLOY, DEVELOP, NETWORK, VOLUME, SECRET, CONFIG, MODEL, INCLUDE] {
            for (index, attribute) in table.iter().enumerate() {
                assert!(
                    table[..index].iter().all(|other| other.name != attribute.name),
                    "{}",
                    attribute.name
                );
            }
        }
    }
}
