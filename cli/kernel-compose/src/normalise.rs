//! Checks a merged tree against the tables of [`crate::schema`] and writes every short form out.
//!
//! What is wrong is told and left out, so that one mistake is told once and the rest is still checked. Doing it again
//! changes nothing: the long form is a fixed point. It is done for every document as soon as it is merged, because a
//! later one merges with long forms; paths and units are left for [`Steps`] that come when the tree is complete.

mod list;
mod mount;
pub mod path;
pub(crate) mod port;
mod scalar;
pub mod units;
mod value;

use kernel_core::diagnostic::{Code, Diagnostic};
use kernel_core::source::{Sources, Span};

use crate::codes;
use crate::place::Place;
use crate::schema::{self, Attribute, Names, Shape, Short};
use crate::short;
use crate::suggest;
use crate::tree::{Entry, Mapping, Node, Value};

/// What relative paths resolve against.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The absolute directory of the project or file.
    pub directory: &'a str,
    /// What `~` means, where it is known.
    pub home: Option<&'a str>,
}

/// What is done beside checking and writing out short forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// Nothing: more is to be merged over the tree.
    Check,
    /// Paths are made absolute: the tree goes into one of another directory.
    Paths,
    /// Units are read: the tree is complete.
    Units,
    /// Paths are made absolute and units are read: the tree is complete.
    All,
}

/// Checks and writes out a whole file.
pub fn file(tree: Node, base: Base<'_>, steps: Steps, diagnostics: &mut Vec<Diagnostic>) -> Node {
    let span = tree.span;
    let place = Place::default();
    let mut normaliser = Normaliser { base, steps, lenient: false, templates: false, place, diagnostics };
    let mut tree =
        normaliser.node(tree, Shape::Object(schema::TOP)).unwrap_or_else(|| Node::new(Value::Null, span));
    if matches!(steps, Steps::Paths | Steps::All) {
        bound_volumes(&mut tree, base);
    }
    tree
}

/// The same of a file whose variables are not filled in. What is wrong stays, and where a variable stands nothing is wrong:
/// only its value would say.
pub fn templates(
    tree: Node,
    base: Base<'_>,
    steps: Steps,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Node {
    let before = tree.clone();
    let (mut found, place) = (Vec::new(), Place::default());
    let mut normaliser =
        Normaliser { base, steps, lenient: true, templates: true, place, diagnostics: &mut found };
    let mut tree = normaliser.node(tree, Shape::Object(schema::TOP)).unwrap_or(before);
    if steps != Steps::Check {
        bound_volumes(&mut tree, base);
    }
    diagnostics.extend(found.into_iter().filter(|problem| !is_template(problem, sources)));
    tree
}

/// Whether a problem is about a text that has a variable in it.
pub fn is_template(problem: &Diagnostic, sources: &Sources) -> bool {
    let span = problem.labels.first().map(|label| label.span);
    let text = span.and_then(|span| sources.get(span.source)?.text.get(span.start..span.end));
    text.is_some_and(|text| text.contains('$'))
}

/// A local volume that is a bind mount in disguise names a path.
fn bound_volumes(tree: &mut Node, base: Base<'_>) {
    let Value::Mapping(top) = &mut tree.value else { return };
    let Some(Node { value: Value::Mapping(volumes), .. }) = top.get_mut("volumes") else { return };
    for volume in volumes.iter_mut() {
        let local = volume.value.get("driver").and_then(Node::as_text) == Some("local");
        let Value::Mapping(volume) = &mut volume.value.value else { continue };
        let Some(Node { value: Value::Mapping(options), .. }) = volume.get_mut("driver_opts") else {
            continue;
        };
        let bound = options.get("o").and_then(Node::as_text) == Some("bind");
        if let Some(device) = options.get_mut("device").filter(|_| local && bound)
            && let Some(path) = device.as_text().map(|path| path::resolve_on_host(path, base))
        {
            *device = Node::text(path, device.span);
        }
    }
}

/// Writes out one service that comes from another file. What is wrong in it stays as it is: it is told when the
/// service is checked with what was merged over it.
pub fn service(tree: Node, name: &str, base: Base<'_>, templates: bool) -> Node {
    let mut place = Place::default();
    place.key("services");
    place.key(name);
    let mut ignored = Vec::new();
    let mut normaliser =
        Normaliser { base, steps: Steps::Paths, lenient: true, templates, place, diagnostics: &mut ignored };
    let before = tree.clone();
    normaliser.node(tree, Shape::Object(schema::SERVICE)).unwrap_or(before)
}

struct Normaliser<'a> {
    base: Base<'a>,
    steps: Steps,
    /// Whether what is wrong stays.
    lenient: bool,
    /// Whether variables are not filled in, so that what was written is printed as it was.
    templates: bool,
    place: Place,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Normaliser<'_> {
    /// Whether paths are made absolute.
    fn paths(&self) -> bool {
        matches!(self.steps, Steps::Paths | Steps::All)
    }

    /// Whether units are read and defaults written in.
    fn complete(&self) -> bool {
        matches!(self.steps, Steps::Units | Steps::All)
    }

    /// The long form; nothing when it is wrong.
    fn node(&mut self, node: Node, shape: Shape) -> Option<Node> {
        if node.is_null() {
            return match shape {
                Shape::Any | Shape::Nullable(_) | Shape::Command => Some(node),
                // A later file may still say what is left open here.
                Shape::Scalar(accepts, _) if accepts.null() && !self.complete() => Some(node),
                _ => self.wrong_shape(&node, self.wanted(shape)),
            };
        }
        match shape {
            Shape::Any => Some(node),
            Shape::Scalar(accepts, reads) => self.scalar(node, accepts, reads),
            Shape::Texts(texts) => self.texts(node, texts),
            Shape::Command => self.command(node),
            Shape::HealthTest => self.health_test(node),
            Shape::Pairs(pairs) => self.pairs(node, pairs),
            Shape::Object(table) | Shape::Nullable(table) | Shape::Logging(table) => self.object(node, table),
            Shape::List(item) | Shape::Keyed(_, item) => self.list(node, *item),
            Shape::Map(item, names) => self.map(node, *item, names),
            Shape::Keys(item, names) => self.keys(node, *item, names),
            Shape::Short(Short::Ulimit, table) => self.ulimit(node, table),
            Shape::Short(kind, table) => {
                let short = matches!(&node.value, Value::Scalar(scalar)
                    if !schema::Accepts::TEXT.allows(scalar));
                if short {
                    return self.wrong_shape(&node, "a text or a mapping");
                }
                self.object(short::named(node, kind), table)
            }
            Shape::EnvFiles(table) => self.env_files(node, table),
            Shape::Ports(table) => self.ports(node, table),
            Shape::Mounts(table) => self.mounts(node, table),
            Shape::References(table, default) => self.references(node, table, default),
            Shape::Devices(table) => self.devices(node, table),
            Shape::Gpus(table) => self.gpus(node, table),
            Shape::Hosts => self.hosts(node),
            Shape::Ssh => self.ssh(node),
            Shape::External(table) => self.external(node, table),
            Shape::ProviderOptions => self.provider_options(node),
        }
    }

    /// What a shape wants, for a person.
    fn wanted(&self, shape: Shape) -> &'static str {
        match shape {
            Shape::Scalar(accepts, _) => accepts.describe(),
            Shape::Texts(texts) if texts.alone => "a text or a list",
            Shape::Texts(_)
            | Shape::List(_)
            | Shape::Keyed(..)
            | Shape::Ports(_)
            | Shape::Mounts(_)
            | Shape::References(..)
            | Shape::Devices(_) => "a list",
            Shape::Pairs(pairs) if pairs.list => "a mapping or a list of `NAME=value`",
            Shape::Keys(..) | Shape::Hosts | Shape::Ssh => "a mapping or a list",
            Shape::Short(..) => "a text or a mapping",
            Shape::EnvFiles(_) | Shape::HealthTest => "a text or a list",
            Shape::Gpus(_) => "`all` or a list",
            Shape::External(_) => "`true` or `false`",
            _ => "a mapping",
        }
    }

    fn object(&mut self, node: Node, table: &'static [Attribute]) -> Option<Node> {
        let span = node.span;
        let Value::Mapping(entries) = node.value else { return self.wrong_shape(&node, "a mapping") };
        let missing = self.all_there(&entries, span, table);
        let mut mapping = Mapping::with_capacity(entries.len());
        let mut whole = !missing;
        for Entry { key, key_span, value } in entries {
            let shape = match schema::find(table, &key) {
                Some(attribute) => attribute.shape,
                None if key.starts_with("x-") => Shape::Any,
                None => {
                    self.unknown(&key, key_span, table);
                    if self.lenient {
                        mapping.push(key, key_span, value);
                    }
                    continue;
                }
            };
            self.place.key(&key);
            let before = self.lenient.then(|| value.clone());
            match self.node(value, shape).or(before) {
                Some(value) => mapping.push(key, key_span, value),
                None => whole &= schema::find(table, &key).is_none_or(|attribute| !attribute.required),
            }
            self.place.up();
        }
        self.old_external(&mut mapping, table);
        // Without what it needs it would only be told to be wrong once more.
        (whole || self.lenient).then(|| Node::new(Value::Mapping(mapping), span))
    }

    /// Whether something that has to be there is missing, which is told.
    fn all_there(&mut self, mapping: &Mapping, span: Span, table: &'static [Attribute]) -> bool {
        let before = self.diagnostics.len();
        for attribute in table.iter().filter(|attribute| attribute.required) {
            if mapping.get(attribute.name).is_none() {
                let message = format!("{}: `{}` is missing", self.place, attribute.name);
                self.diagnostics.push(
                    Diagnostic::error(codes::WRONG_SHAPE, message)
                        .at(span, format!("no `{}`", attribute.name))
                        .help(format!("add `{}: …`", attribute.name)),
                );
            }
        }
        self.diagnostics.len() != before
    }

    fn map(&mut self, node: Node, shape: Shape, names: Names) -> Option<Node> {
        let span = node.span;
        let Value::Mapping(entries) = node.value else { return self.wrong_shape(&node, "a mapping") };
        let mut mapping = Mapping::with_capacity(entries.len());
        for Entry { key, key_span, value } in entries {
            if !is_name(&key, names) {
                if names == Names::Strict {
                    self.bad_name(&key, key_span);
                } else {
                    mapping.push(key, key_span, value);
                }
                continue;
            }
            self.place.key(&key);
            let before = self.lenient.then(|| value.clone());
            // An empty value has no place of its own to point at.
            let value = if value.is_null() { Node { span: key_span, ..value } } else { value };
            if let Some(mut value) = self.node(value, shape).or(before) {
                if matches!(value.value, Value::Mapping(_) | Value::Null) {
                    // The key is the better place for a caret than the first line of what is below it.
                    value.span = key_span;
                }
                mapping.push(key, key_span, value);
            }
            self.place.up();
        }
        Some(Node::new(Value::Mapping(mapping), span))
    }

    fn keys(&mut self, node: Node, shape: Shape, names: Names) -> Option<Node> {
        if let Value::Sequence(items) = &node.value {
            let mut seen = std::collections::HashMap::new();
            for item in items {
                let text = item.as_scalar().filter(|scalar| schema::Accepts::TEXT.allows(scalar));
                let Some(text) = text else { return self.wrong_shape(item, "a text") };
                if let Some(first) = seen.insert(text.text(), item.span) {
                    return self.repeated(text.text(), item.span, first);
                }
            }
        }
        let node = match shape {
            Shape::Object(_) => short::dependencies(node),
            _ => short::keys(node),
        };
        let mut node = self.map(node, shape, names)?;
        if let (Shape::Object(_), Value::Mapping(entries)) = (shape, &mut node.value) {
            for entry in entries.iter_mut() {
                if let Value::Mapping(dependency) = &mut entry.value.value
                    && dependency.get("required").is_none()
                {
                    dependency.push("required".into(), entry.key_span, Node::plain("true", entry.key_span));
                }
            }
        }
        Some(node)
    }

    /// Whether there are more problems than anybody reads.
    fn is_full(&self) -> bool {
        self.diagnostics.len() >= codes::MANY
    }

    fn bad_name(&mut self, key: &str, span: Span) {
        if self.is_full() {
            return;
        }
        let place = if self.place.is_top() { String::new() } else { format!("{}: ", self.place) };
        self.diagnostics.push(
            Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, format!("{place}`{key}` can't be a name here"))
                .at(span, "not a name")
                .help("names have letters, digits and `.`, `_`, `-`"),
        );
    }

    fn repeated(&mut self, text: &str, again: Span, first: Span) -> Option<Node> {
        if self.is_full() {
            return None;
        }
        self.diagnostics.push(
            Diagnostic::error(codes::DUPLICATE, format!("{}: `{text}` stands twice", self.place))
                .at(again, "again here")
                .at(first, "first here")
                .help("keep one of them"),
        );
        None
    }

    fn unknown(&mut self, key: &str, span: Span, table: &'static [Attribute]) {
        if self.is_full() {
            return;
        }
        let known = || table.iter().map(|attribute| attribute.name).filter(|name| !name.starts_with("x-"));
        let (code, owner): (Code, &str) = if self.place.as_str().contains("x-kernel") {
            (codes::KERNEL_EXTENSION, "`kernel`")
        } else {
            (codes::UNKNOWN_ATTRIBUTE, "the Compose Specification")
        };
        let help = match suggest::nearest(key, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if table.len() > 12 => {
                "see `docs/compose.md`; what is only for you goes under a name that starts with `x-`"
                    .to_owned()
            }
            None => format!(
                "known here: {}",
                known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        let place = if self.place.is_top() { String::new() } else { format!("{}: ", self.place) };
        let message = format!("{place}{owner} knows no attribute `{key}` here");
        self.diagnostics.push(Diagnostic::error(code, message).at(span, "unknown").help(help));
    }

    fn wrong_shape(&mut self, node: &Node, wanted: &str) -> Option<Node> {
        if self.is_full() {
            return None;
        }
        let message = format!("{}: {wanted} is wanted, and this is {}", self.place, node.describe());
        self.diagnostics.push(
            Diagnostic::error(codes::WRONG_SHAPE, message)
                .at(node.span, node.describe())
                .help(help_for(node, wanted)),
        );
        None
    }

    fn bad_value(&mut self, span: Span, message: &str, label: &str, help: &str) -> Option<Node> {
        if self.is_full() {
            return None;
        }
        let message = format!("{}: {message}", self.place);
        self.diagnostics.push(Diagnostic::error(codes::BAD_VALUE, message).at(span, label).help(help));
        None
    }
}

fn help_for(node: &Node, wanted: &str) -> String {
    match node.as_scalar() {
        Some(scalar) if wanted.contains("a text") && scalar.template().is_none() => {
            format!("put it in quotes: \"{}\"", scalar.text())
        }
        _ if node.is_null() => format!("write {wanted} here, or take the line out"),
        _ => format!("write {wanted} here"),
    }
}

fn is_name(key: &str, names: Names) -> bool {
    match names {
        Names::Lower => !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase()),
        Names::Strict | Names::Loose => {
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
    }
}
