//! Text to trees: one [`Node`] per YAML document, with anchors, aliases and merge keys resolved.
//!
//! Owns what is true of any Compose document whatever it says: it is YAML, keys are strings and stand once in their
//! mapping, aliases stay within a budget. What the keys mean is for the later stages.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as Range, StructureStyle, options};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Span};

use crate::codes;
use crate::tree::{Mapping, Node, Plain, Scalar, Tag, Value};

/// Nodes that the aliases of one document may copy together.
const ALIAS_BUDGET: usize = 50_000;
/// How deep a document may be, aliases included.
const DEPTH: usize = 128;
/// Nodes that one text may have: far more than any project has, and few enough to be read at once.
const NODES: usize = 500_000;
/// Nodes that the anchors of one document may mark together. A node counts once for each anchor around it.
const ANCHORED: usize = 500_000;
/// Bytes of a text that count as one node, so that a few large texts can't be copied without limit either.
const NODE_BYTES: usize = 64;

/// The documents of a text. A document with a problem may lack the part that has it, never more.
pub fn parse(source: SourceId, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let options = options! { emit_comments: false, emit_unresolved_aliases: true };
    let mut builder = Builder::new(source, text, diagnostics);
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, range)) => {
                builder.event(event, &range);
                if builder.nodes > NODES {
                    builder.too_large(&range);
                    break;
                }
            }
            Err(error) => {
                builder.syntax_error(&error);
                break;
            }
        }
    }
    builder.tabs();
    builder.documents
}

struct Builder<'a> {
    source: SourceId,
    text: &'a str,
    diagnostics: &'a mut Vec<Diagnostic>,
    documents: Vec<Node>,
    /// Where tabs at the start of a line are a part of something: texts, and what stands between brackets.
    inside: Vec<std::ops::Range<usize>>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    copied: usize,
    anchored: usize,
    nodes: usize,
    told: bool,
}

/// A collection that is not closed yet.
struct Frame {
    anchor: usize,
    tag: Option<Tag>,
    start: usize,
    first: Option<Span>,
    flow: bool,
    height: usize,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping { mapping: Mapping, seen: HashSet<String>, key: Key, merges: Vec<Node> },
}

/// What the mapping waits for.
enum Key {
    Wanted,
    Named(String, Span),
    Merge,
    /// The key was refused, so its value goes too.
    Refused,
}

struct Anchor {
    node: Node,
    height: usize,
    size: usize,
}

impl<'a> Builder<'a> {
    fn new(source: SourceId, text: &'a str, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self {
            source,
            text,
            diagnostics,
            documents: Vec::new(),
            inside: Vec::new(),
            stack: Vec::new(),
            anchors: HashMap::new(),
            copied: 0,
            anchored: 0,
            nodes: 0,
            told: false,
        }
    }

    /// A line that starts with a tab and says nothing is refused by the reference, like one that says something.
    fn tabs(&mut self) {
        if !self.text.contains('\t') {
            return;
        }
        self.inside.sort_by_key(|range| range.start);
        let (mut start, mut next, mut covered) = (0, 0, 0);
        for line in self.text.split_inclusive('\n') {
            let spaces = line.len() - line.trim_start_matches(' ').len();
            let rest = line[spaces..].trim_start();
            let at = start + spaces;
            start += line.len();
            if !line[spaces..].starts_with('\t') || !(rest.is_empty() || rest.starts_with('#')) {
                continue;
            }
            while let Some(range) = self.inside.get(next).filter(|range| range.start <= at) {
                covered = covered.max(range.end);
                next += 1;
            }
            if at >= covered {
                let span = self.clamp(at, at + 1);
                self.tell(
                    Diagnostic::error(codes::SYNTAX, "this is not YAML: a line starts with a tab")
                        .at(span, "a tab")
                        .help("indent with spaces"),
                );
            }
        }
    }

    /// Takes a problem up, unless there are more than anybody reads.
    fn tell(&mut self, problem: Diagnostic) {
        if self.diagnostics.len() < codes::MANY {
            self.diagnostics.push(problem);
        }
    }

    fn too_large(&mut self, range: &Range) {
        let span = self.span(range);
        self.documents.clear();
        self.diagnostics.push(
            Diagnostic::error(codes::TOO_LARGE, format!("the file has more than {NODES} values"))
                .at(span, "not read any further")
                .help("divide it into several files, each with its own part of the services"),
        );
    }

    fn event(&mut self, event: Event<'_>, range: &Range) {
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.copied = 0;
                self.anchored = 0;
                self.told = false;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.span(range);
                self.inside.push(span.start..span.end);
                if style == ScalarStyle::Plain
                    && text.contains('?')
                    && self.stack.last().is_some_and(|frame| frame.flow)
                {
                    self.question_mark(&text, span);
                }
                if style == ScalarStyle::DoubleQuoted {
                    self.slash_escape(span);
                }
                let plain = match &tag {
                    None => style == ScalarStyle::Plain,
                    Some(tag) => {
                        ["int", "float", "bool", "null"].iter().any(|kind| tag.is_yaml_core_schema_tag(kind))
                    }
                };
                let scalar = if plain { Scalar::plain(text) } else { Scalar::quoted(text) };
                if let Some(tag) = tag.as_deref().filter(|_| plain) {
                    self.typed(tag, &scalar, span);
                }
                let tag = tag.and_then(|tag| self.tag(&tag, span));
                let value = if scalar.meaning() == Plain::Null { Value::Null } else { Value::Scalar(scalar) };
                self.close(Node { value, span, tag }, 0, anchor);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.open(range, style, anchor, tag.as_deref(), Kind::Sequence(Vec::new()))
            }
            Event::MappingStart(style, anchor, tag) => {
                let kind = Kind::Mapping {
                    mapping: Mapping::default(),
                    seen: HashSet::new(),
                    key: Key::Wanted,
                    merges: Vec::new(),
                };
                self.open(range, style, anchor, tag.as_deref(), kind);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(range),
            Event::Alias(anchor) => self.alias(anchor, range),
            Event::UnresolvedAlias(name) => {
                let span = self.span(range);
                let message = format!("the alias `*{name}` names no anchor");
                self.tell(
                    Diagnostic::error(codes::ALIAS, message)
                        .at(span, "no such anchor before this place")
                        .help(format!(
                            "mark the value that is meant with `&{name}`, earlier in the same document"
                        )),
                );
                self.close(Node::new(Value::Null, span), 0, 0);
            }
            _ => {}
        }
    }

    /// Between brackets the reference takes a question mark for the start of a key.
    fn question_mark(&mut self, text: &str, span: Span) {
        self.tell(
            Diagnostic::error(codes::SYNTAX, "a `?` between brackets or braces has to be in quotes")
                .at(span, "the start of a key")
                .help(format!("put it in quotes: \"{text}\"")),
        );
    }

    /// The reference does not know the escape `\\/`.
    fn slash_escape(&mut self, span: Span) {
        let Some(written) = self.text.get(span.start..span.end).filter(|written| written.contains("\\/"))
        else {
            return;
        };
        let mut escaped = false;
        for (index, byte) in written.bytes().enumerate() {
            if escaped && byte == b'/' {
                let start = span.start + index - 1;
                self.tell(
                    Diagnostic::error(codes::SYNTAX, "a slash is not escaped")
                        .at(Span { start, end: start + 2, ..span }, "no such escape")
                        .help("write `/`"),
                );
            }
            escaped = byte == b'\\' && !escaped;
        }
    }

    /// A value with a tag of its type is of that type.
    fn typed(&mut self, tag: &granit_parser::Tag, scalar: &Scalar, span: Span) {
        let fits = match scalar.meaning() {
            Plain::Null => tag.is_yaml_core_schema_tag("null"),
            Plain::Boolean(_) => tag.is_yaml_core_schema_tag("bool"),
            Plain::Integer(_) => tag.is_yaml_core_schema_tag("int") || tag.is_yaml_core_schema_tag("float"),
            Plain::Float(_) => tag.is_yaml_core_schema_tag("float"),
            Plain::Timestamp | Plain::Text => false,
        };
        if !fits {
            let message =
                format!("`{}` is {}, and its tag says something else", scalar.text(), scalar.describe());
            self.tell(
                Diagnostic::error(codes::TAG, message).at(span, "not of that type").help("take the tag out"),
            );
        }
    }

    fn open(
        &mut self,
        range: &Range,
        style: StructureStyle,
        anchor: usize,
        tag: Option<&granit_parser::Tag>,
        kind: Kind,
    ) {
        let span = self.span(range);
        let tag = tag.and_then(|tag| self.tag(tag, span));
        let flow = style == StructureStyle::Flow;
        self.stack.push(Frame { anchor, tag, start: span.start, first: None, flow, height: 1, kind });
    }

    fn end(&mut self, range: &Range) {
        let Some(frame) = self.stack.pop() else { return };
        let end = match frame.first {
            Some(first) if !frame.flow => first.end,
            _ => self.span(range).end,
        };
        let span = self.line(frame.start, end);
        if frame.flow {
            self.inside.push(frame.start..end);
        }
        let value = match frame.kind {
            Kind::Sequence(items) => Value::Sequence(items),
            Kind::Mapping { mut mapping, merges, .. } => {
                for merged in merges {
                    self.merge_key(&mut mapping, merged);
                }
                Value::Mapping(mapping)
            }
        };
        self.close(Node { value, span, tag: frame.tag }, frame.height, frame.anchor);
    }

    /// Puts a finished node where it belongs.
    fn close(&mut self, node: Node, height: usize, anchor: usize) {
        self.nodes += 1;
        if anchor != 0 {
            let size = size(&node);
            self.anchored += size;
            if self.anchored <= ANCHORED {
                self.anchors.insert(anchor, Anchor { size, node: node.clone(), height });
            } else if !self.told {
                self.told = true;
                self.tell(
                    Diagnostic::error(codes::ALIAS, "the anchors of this document mark too much")
                        .at(node.span, "this anchor is not kept")
                        .help("take out anchors around anchors that no alias names"),
                );
            }
        }
        let Some(frame) = self.stack.last_mut() else {
            self.documents.push(node);
            return;
        };
        frame.height = frame.height.max(height + 1);
        frame.first.get_or_insert(node.span);
        match &mut frame.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping { mapping, seen, key, merges } => match std::mem::replace(key, Key::Wanted) {
                Key::Wanted => {
                    let place = node.span;
                    *key = read_key(node, self.diagnostics);
                    if matches!(key, Key::Merge) && !seen.insert("<<".to_owned()) {
                        self.tell(
                            Diagnostic::error(codes::DUPLICATE_KEY, "`<<` stands twice in one mapping")
                                .at(place, "again here")
                                .help("name all in one list: `<<: [*a, *b]`"),
                        );
                    }
                }
                Key::Merge => merges.push(node),
                Key::Refused => {}
                Key::Named(name, span) => {
                    if seen.insert(name.clone()) {
                        mapping.push(name, span, node);
                    } else {
                        let mut problem = Diagnostic::error(
                            codes::DUPLICATE_KEY,
                            format!("`{name}` stands twice in one mapping"),
                        )
                        .at(span, "again here")
                        .help("keep one of them");
                        if let Some(first) = mapping.entry(&name) {
                            problem = problem.at(first.key_span, "first here");
                        }
                        self.tell(problem);
                    }
                }
            },
        }
    }

    fn alias(&mut self, anchor: usize, range: &Range) {
        let span = self.span(range);
        let problem = match self.anchors.get(&anchor) {
            None => Some("an alias stands inside the value that it names"),
            Some(found) if self.copied + found.size > ALIAS_BUDGET => {
                Some("the aliases of this document copy too much")
            }
            Some(found) if self.stack.len() + found.height > DEPTH => {
                Some("the aliases of this document nest too deep")
            }
            Some(found) => {
                self.copied += found.size;
                let (node, height) = (found.node.clone(), found.height);
                self.close(node, height, 0);
                None
            }
        };
        if let Some(message) = problem {
            if !self.told {
                self.told = true;
                self.tell(
                    Diagnostic::error(codes::ALIAS, message).at(span, "this alias is not followed").help(
                        format!("write the value out; aliases may copy {ALIAS_BUDGET} values, {DEPTH} deep"),
                    ),
                );
            }
            self.close(Node::new(Value::Null, span), 0, 0);
        }
    }

    fn merge_key(&mut self, mapping: &mut Mapping, merged: Node) {
        match merged.value {
            Value::Mapping(entries) => {
                for entry in entries {
                    match mapping.get(&entry.key).map(|own| own.tag) {
                        None => mapping.push(entry.key, entry.key_span, entry.value),
                        // What is reset beside `<<` is so in what came before; what `<<` brings stays.
                        Some(Some(Tag::Reset)) if entry.value.tag != Some(Tag::Reset) => {
                            let value = Node { tag: Some(Tag::Override), ..entry.value };
                            mapping.set(entry.key, entry.key_span, value);
                        }
                        Some(_) => {}
                    }
                }
            }
            Value::Sequence(items) if items.iter().all(|item| matches!(item.value, Value::Mapping(_))) => {
                for item in items {
                    self.merge_key(mapping, item);
                }
            }
            _ => self.tell(
                Diagnostic::error(codes::MERGE_KEY, "`<<` takes a mapping or a list of mappings")
                    .at(merged.span, merged.describe())
                    .help("name an anchor that marks a mapping: `<<: *name`"),
            ),
        }
    }

    fn tag(&mut self, tag: &granit_parser::Tag, span: Span) -> Option<Tag> {
        match (tag.handle(), tag.suffix()) {
            ("!", "reset") => return Some(Tag::Reset),
            ("!", "override") => return Some(Tag::Override),
            _ if tag.handle().starts_with("tag:yaml.org,2002:") || tag.suffix().is_empty() => {}
            _ => self.tell(
                Diagnostic::warning(codes::TAG, format!("the tag `{tag}` means nothing in a Compose file"))
                    .at(span, "taken without its tag")
                    .help("the tags of Compose are `!reset` and `!override`"),
            ),
        }
        None
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let start = error.marker().byte_offset().unwrap_or(self.text.len());
        let span = self.clamp(start, start + 1);
        self.tell(
            Diagnostic::error(codes::SYNTAX, format!("this is not YAML: {}", error.info()))
                .at(span, "the parser stopped here"),
        );
    }

    fn span(&self, range: &Range) -> Span {
        let bytes = range.byte_range().unwrap_or_default();
        self.clamp(bytes.start, bytes.end)
    }

    /// A span within one line, for collections: a caret below forty lines helps nobody.
    fn line(&self, start: usize, end: usize) -> Span {
        let span = self.clamp(start, end);
        let part = &self.text[span.start..span.end];
        let end = span.start + part.find('\n').unwrap_or(part.len());
        Span { end, ..span }
    }

    fn clamp(&self, start: usize, end: usize) -> Span {
        let mut start = start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = end.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Span { source: self.source, start, end }
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Null => 0,
        Value::Scalar(scalar) => scalar.text().len() / NODE_BYTES,
        Value::Sequence(items) => items.iter().map(size).sum(),
        Value::Mapping(mapping) => {
            mapping.iter().map(|entry| entry.key.len() / NODE_BYTES + size(&entry.value)).sum()
        }
    }
}

/// What a key says. `<<` is a merge key only without quotes.
fn read_key(node: Node, diagnostics: &mut Vec<Diagnostic>) -> Key {
    let Value::Scalar(scalar) = &node.value else {
        let what = if node.is_null() { "an empty key" } else { node.describe() };
        diagnostics.push(
            Diagnostic::error(codes::KEY_NOT_TEXT, format!("a key must be a text, and this is {what}"))
                .at(node.span, "not a text")
                .help("write the key as a word, or in quotes"),
        );
        return Key::Refused;
    };
    match scalar.meaning() {
        Plain::Text if scalar.is_plain() && scalar.text() == "<<" => Key::Merge,
        Plain::Text => Key::Named(scalar.text().to_owned(), node.span),
        _ => {
            let text = scalar.text();
            let message = format!("a key must be a text, and `{text}` is {}", scalar.describe());
            diagnostics.push(
                Diagnostic::error(codes::KEY_NOT_TEXT, message)
                    .at(node.span, "not a text")
                    .help(format!("write it in quotes: \"{text}\"")),
            );
            Key::Refused
        }
    }
}
