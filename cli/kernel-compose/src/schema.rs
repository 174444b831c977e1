//! The attributes of the Compose Specification and the shape of each, as data. Checking, merging, normalising and
//! printing all walk these tables, so an attribute is described once.

mod build;
mod deploy;
mod resources;
mod scalar;
mod service;

pub use scalar::{Accepts, Reads};
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
    /// What becomes of it in the canonical form.
    pub print: Print,
    /// Whether the mapping makes no sense without it.
    pub required: bool,
}

/// What becomes of an attribute in the canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    /// Left out where it says nothing: `false`, `0`, an empty text, list or mapping.
    Something,
    /// Printed also where it says nothing, because that differs from leaving it out.
    Always,
    /// The same in JSON; YAML leaves an empty mapping out.
    Kept,
    /// Printed also where it says nothing; the reference writes its key with a capital letter in JSON.
    Titled,
    /// Understood and never printed.
    Never,
}

/// What a value looks like in its long form, and which short forms it has.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Anything, kept as it is.
    Any,
    /// One text, number or truth value.
    Scalar(Accepts, Reads),
    /// A list of texts.
    Texts(Texts),
    /// A command: a string split as a shell does, or a list. Replaced, never merged.
    Command,
    /// The test of a health check: a line for the shell, or a list. Replaced, never merged.
    HealthTest,
    /// Names and values: a mapping, or a list of `NAME=value`.
    Pairs(Pairs),
    /// A mapping with exactly these keys.
    Object(&'static [Attribute]),
    /// The same, or nothing.
    Nullable(&'static [Attribute]),
    /// A list of one shape.
    List(&'static Shape),
    /// A list of mappings, merged where they agree on this key.
    Keyed(&'static str, &'static Shape),
    /// A mapping with keys of the author's choice.
    Map(&'static Shape, Names),
    /// A list of keys, or a mapping.
    Keys(&'static Shape, Names),
    /// A mapping with these keys that may be written as one text.
    Short(Short, &'static [Attribute]),
    /// The env files of a service: a path, or a list of paths and mappings.
    EnvFiles(&'static [Attribute]),
    /// Published ports.
    Ports(&'static [Attribute]),
    /// Mounts.
    Mounts(&'static [Attribute]),
    /// Secrets or configs that a service or build uses.
    References(&'static [Attribute], Default),
    /// Devices of the machine.
    Devices(&'static [Attribute]),
    /// `gpus`: `all`, or a list of requests.
    Gpus(&'static [Attribute]),
    /// `extra_hosts`: a mapping of host to addresses, or a list of `host=address`.
    Hosts,
    /// `build.ssh`: agent sockets or keys by name.
    Ssh,
    /// Options of the logging driver; merged only while the driver stays the same.
    Logging(&'static [Attribute]),
    /// A truth value, or the old mapping with a name.
    External(&'static [Attribute]),
    /// Options of a provider: each one value or a list.
    ProviderOptions,
}

/// How the short form of a mapping is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// The context.
    Build,
    /// The path.
    Include,
    /// One number for both limits.
    Ulimit,
}

/// A list of texts.
#[derive(Clone, Copy, Debug)]
pub struct Texts {
    /// One text may stand for a list of itself.
    pub alone: bool,
    /// What an item may be.
    pub items: Accepts,
    /// How an item is read.
    pub reads: Reads,
    /// What becomes of an item that stands twice.
    pub repeated: Repeated,
    /// Whether one text and a list can be merged.
    pub merges: bool,
    /// Whether an empty text stays.
    pub blank: bool,
}

/// What becomes of an item that stands twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// Both stay.
    Kept,
    /// It is an error.
    Refused,
    /// The later one replaces the earlier one with the same text before `=`.
    Replaced,
}

/// Names and values.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// Whether a list of `NAME=value` may stand for the mapping.
    pub list: bool,
    /// What a value may be.
    pub values: Accepts,
    /// What a name without value means.
    pub bare: Bare,
    /// Whether list and mapping can be merged, name by name.
    pub merges: bool,
    /// Whether a name and value that stand twice are refused.
    pub once: bool,
    /// How a value is read: as text, or as the path of a build context.
    pub reads: Reads,
}

/// What a name without value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// The value of the environment, else nothing.
    Variable,
    /// The empty text.
    Empty,
    /// It is an error.
    Refused,
}

/// Which keys a mapping may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Letters, digits and `._-`; others are refused.
    Strict,
    /// Letters, digits and `._-`; what stands under others is not looked at.
    Loose,
    /// Lower-case letters; what stands under others is not looked at.
    Lower,
}

/// What is written into a reference that does not say where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// `/run/secrets/SOURCE`.
    RunSecrets,
    /// Nothing.
    Nothing,
}

/// The whole file.
pub const TOP: &[Attribute] = &[
    attribute("version", TEXT),
    attribute("name", TEXT),
    attribute("include", Shape::List(&Shape::Short(Short::Include, INCLUDE))),
    attribute("services", Shape::Map(&Shape::Object(SERVICE), Names::Strict)),
    attribute("models", Shape::Map(&Shape::Object(MODEL), Names::Loose)),
    attribute("networks", Shape::Map(&Shape::Nullable(NETWORK), Names::Loose)),
    attribute("volumes", Shape::Map(&Shape::Nullable(VOLUME), Names::Strict)),
    attribute("secrets", Shape::Map(&Shape::Object(SECRET), Names::Strict)),
    attribute("configs", Shape::Map(&Shape::Object(CONFIG), Names::Strict)),
    attribute("x-kernel", Shape::Object(KERNEL)),
];

/// The top-level `x-kernel`.
pub const KERNEL: &[Attribute] = &[attribute("generate", LIST)];

/// `x-kernel` of a service.
pub const SERVICE_KERNEL: &[Attribute] = &[
    attribute("package", TEXT),
    attribute("scenario", TEXT),
    attribute("ports", service::PORTS),
    attribute("environment", VARIABLES),
    attribute("embedded", VARIABLES),
];

/// A text.
pub(crate) const TEXT: Shape = Shape::Scalar(Accepts::TEXT, Reads::Text);
/// A truth value.
pub(crate) const BOOLEAN: Shape = Shape::Scalar(Accepts::BOOLEAN_OR_TEXT, Reads::Boolean);
/// A whole number of 64 bits.
pub(crate) const INTEGER: Shape = Shape::Scalar(Accepts::INTEGER_OR_TEXT, Reads::Integer);
/// The same, where a fraction is cut off.
pub(crate) const NUMBER: Shape = Shape::Scalar(Accepts::NUMBER_OR_TEXT, Reads::Integer);
/// A number of bytes, such as `64m`.
pub(crate) const BYTES: Shape = Shape::Scalar(Accepts::NUMBER_OR_TEXT, Reads::Bytes);
/// A time, such as `1m30s`.
pub(crate) const DURATION: Shape = Shape::Scalar(Accepts::TEXT, Reads::Duration);

/// Any number of texts.
pub(crate) const LIST: Shape = Shape::Texts(TEXTS);
/// A list of texts that stand once each.
pub(crate) const SET: Shape = Shape::Texts(Texts { repeated: Repeated::Refused, ..TEXTS });
/// A list of texts that merges by what stands before `=`.
pub(crate) const MERGED_SET: Shape = Shape::Texts(Texts { repeated: Repeated::Replaced, ..TEXTS });
/// One text or a list of them, which merges by what stands before `=`.
pub(crate) const MERGED_LIST: Shape =
    Shape::Texts(Texts { alone: true, repeated: Repeated::Replaced, merges: true, ..TEXTS });
/// One text or a list of them, once each.
pub(crate) const ONE_OR_MORE: Shape =
    Shape::Texts(Texts { alone: true, repeated: Repeated::Refused, ..TEXTS });

/// Variables: a name without value takes that of the environment.
pub(crate) const VARIABLES: Shape = Shape::Pairs(Pairs { bare: Bare::Variable, ..PAIRS });
/// The variables of a hook, which do not merge.
pub(crate) const OWN_VARIABLES: Shape =
    Shape::Pairs(Pairs { bare: Bare::Variable, merges: false, once: true, ..PAIRS });
/// Labels of a volume, each of which may be said once only.
pub(crate) const LABELS_ONCE: Shape = Shape::Pairs(Pairs { once: true, ..PAIRS });
/// Labels and the like: a name without value has the empty one.
pub(crate) const LABELS: Shape = Shape::Pairs(PAIRS);
/// The same where a list and a mapping can't be merged.
pub(crate) const OWN_LABELS: Shape = Shape::Pairs(Pairs { merges: false, once: true, ..PAIRS });
/// Options of a driver: a mapping of texts and numbers.
pub(crate) const OPTIONS: Shape = Shape::Pairs(Pairs {
    list: false,
    values: Accepts::NUMBER_OR_TEXT,
    bare: Bare::Refused,
    merges: false,
    once: false,
    reads: Reads::Text,
});

const TEXTS: Texts = Texts {
    alone: false,
    items: Accepts::TEXT,
    reads: Reads::Text,
    repeated: Repeated::Kept,
    merges: false,
    blank: true,
};
const PAIRS: Pairs = Pairs {
    list: true,
    values: Accepts::ANY,
    bare: Bare::Empty,
    merges: true,
    once: false,
    reads: Reads::Text,
};

/// Shorthand for the tables.
pub(crate) const fn attribute(name: &'static str, shape: Shape) -> Attribute {
    Attribute { name, shape, print: Print::Something, required: false }
}

impl Attribute {
    /// The same, printed also where it says nothing.
    pub(crate) const fn always(self) -> Self {
        Self { print: Print::Always, ..self }
    }

    /// The same, printed in JSON also where it says nothing.
    pub(crate) const fn kept(self) -> Self {
        Self { print: Print::Kept, ..self }
    }

    /// The same, printed always and with a capital letter.
    pub(crate) const fn titled(self) -> Self {
        Self { print: Print::Titled, ..self }
    }

    /// The same, never printed.
    pub(crate) const fn never(self) -> Self {
        Self { print: Print::Never, ..self }
    }

    /// The same, which has to be there.
    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
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
