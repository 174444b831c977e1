//! One file, line by line.

use super::image::{Version, version};
use super::{DIFFERS, Kind, Pins, STATED, UNKNOWN, Use, is_name};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceId, Span};

/// What one file has.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub uses: Vec<Use>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Lines without their ends, with the place of each.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line.trim_end_matches(['\n', '\r']))
    })
}

/// Looks through one file.
pub(super) fn scan(pins: &Pins, kind: Kind, source: SourceId, text: &str) -> Found {
    let mut scan = Scan { pins, kind, source, text, stages: Vec::new(), found: Found::default() };
    for (start, line) in lines(text) {
        scan.line(start, without_comment(line));
    }
    scan.found
}

struct Scan<'a> {
    pins: &'a Pins,
    kind: Kind,
    source: SourceId,
    text: &'a str,
    /// Names of the stages of a Dockerfile, which look like images.
    stages: Vec<&'a str>,
    found: Found,
}

impl<'a> Scan<'a> {
    fn line(&mut self, start: usize, line: &'a str) {
        match self.kind {
            Kind::Toolchain => self.same_version(start, line, "channel", |pin, stated| pin == stated),
            Kind::Cargo => self.same_version(start, line, "rust-version", |pin, stated| {
                pin == stated || pin.strip_prefix(stated).is_some_and(|rest| rest.starts_with('.'))
            }),
            Kind::Dockerfile => {
                self.instruction(start, line);
                self.variables(start, line);
            }
            Kind::Compose => {
                self.image(start, line);
                self.variables(start, line);
            }
            Kind::Manifest => {
                self.image(start, line);
                self.variables(start, line);
                self.template_values(start, line);
            }
            Kind::Ci => {
                self.image(start, line);
                self.variables(start, line);
                self.copied_value(start, line);
            }
            Kind::Program => self.texts(start, line),
        }
    }

    /// `"NAME"` of a program.
    fn texts(&mut self, start: usize, line: &str) {
        for pin in self.pins.iter() {
            let text = format!("\"{}\"", pin.name);
            for (at, _) in line.match_indices(text.as_str()) {
                let span = self.span(start + at + 1, pin.name.len());
                self.found.uses.push(Use { name: pin.name.clone(), span });
            }
        }
    }

    /// `key = "version"` of a file that can't read pins.
    fn same_version(&mut self, start: usize, line: &str, key: &str, same: impl Fn(&str, &str) -> bool) {
        let Some((name, value)) = line.split_once('=').filter(|(name, _)| name.trim() == key) else { return };
        let stated = value.trim().trim_matches('"');
        let Some(pin) = self.pins.get("RUST_VERSION") else { return };
        let at = start + name.len() + 1 + value.find(stated).unwrap_or(0);
        let span = self.span(at, stated.len());
        if same(&pin.value, stated) {
            self.found.uses.push(Use { name: pin.name.clone(), span });
        } else {
            self.found.diagnostics.push(
                Diagnostic::error(DIFFERS, format!("`{key}` is {stated}, and RUST_VERSION is {}", pin.value))
                    .at(span, "another version")
                    .at(pin.span, "the pin")
                    .help("this file can't read pins, so change it together with `versions.env`"),
            );
        }
    }

    /// `FROM`, `ARG` and `COPY --from` of a Dockerfile.
    fn instruction(&mut self, start: usize, line: &'a str) {
        let mut words = line.split_whitespace();
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            Some("FROM") => {
                let Some(image) = words.find(|word| !word.starts_with("--")) else { return };
                if image != "scratch" && !self.stages.contains(&image) {
                    self.reference(start + offset(line, image), image);
                }
                if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
                    self.stages.extend(words.next());
                }
            }
            Some("ARG") => {
                let Some(word) = words.next() else { return };
                let (name, default) =
                    word.split_once('=').map_or((word, None), |(name, default)| (name, Some(default)));
                let at = start + offset(line, word);
                if name.ends_with("_VERSION") || self.pins.get(name).is_some() {
                    self.named(name, at, name.len());
                    if let Some(default) = default.filter(|default| !default.is_empty()) {
                        self.stated(default, at + name.len() + 1);
                    }
                }
            }
            Some("COPY") => {
                let from = line.split_whitespace().find_map(|word| word.strip_prefix("--from="));
                if let Some(image) =
                    from.filter(|image| image.contains([':', '@']) && !self.stages.contains(image))
                {
                    self.reference(start + offset(line, image), image);
                }
            }
            _ => {}
        }
    }

    /// `image: reference` of a YAML file.
    fn image(&mut self, start: usize, line: &'a str) {
        for (at, _) in line.match_indices("image:") {
            let before = line[..at].chars().next_back();
            let after = &line[at + "image:".len()..];
            if before.is_some_and(|c| !" \t{,\"'".contains(c)) || !after.starts_with([' ', '\t']) {
                continue;
            }
            let value = after.trim_start();
            let begin = at + "image:".len() + (after.len() - value.len());
            let (begin, value) = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => (begin + 1, value[1..].split(quote).next().unwrap_or_default()),
                // Braces may hold spaces, such as those of a template.
                _ if value.contains("{{") => (begin, value.trim_end()),
                _ => (begin, plain_word(value)),
            };
            if !value.is_empty() && !value.starts_with(['&', '*', '|', '>']) {
                self.reference(start + begin, value);
            }
        }
    }

    /// The name of an image.
    fn reference(&mut self, at: usize, image: &str) {
        match version(image) {
            Version::Variable => {}
            Version::Stated(stated) => {
                // The text is a part of `image`, near its end.
                let begin = image.rfind(stated).unwrap_or(0);
                self.stated(stated, at + begin);
            }
            Version::None if image.contains(['$', '{']) && self.kind != Kind::Dockerfile => {}
            Version::None => {
                let span = self.span(at, image.len());
                self.found.diagnostics.push(
                    Diagnostic::error(
                        STATED,
                        format!("the image `{image}` has no version, which means `latest`"),
                    )
                    .at(span, "whatever is newest")
                    .help("pin it in `versions.env` and write `:${NAME_VERSION}` behind it"),
                );
            }
        }
    }

    /// `$NAME` and `${NAME…}`.
    fn variables(&mut self, start: usize, line: &str) {
        for (at, _) in line.match_indices('$') {
            if line[..at].ends_with('$') || line[..at].ends_with('\\') {
                continue;
            }
            let rest = &line[at + 1..];
            let (skip, rest) = if let Some(rest) = rest.strip_prefix('{') { (2, rest) } else { (1, rest) };
            let length =
                rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            let name = &rest[..length];
            if is_name(name) && (name.ends_with("_VERSION") || self.pins.get(name).is_some()) {
                self.named(name, start + at + skip, length);
            }
        }
    }

    /// `pins.NAME` of a template.
    fn template_values(&mut self, start: usize, line: &str) {
        for (at, before) in line.match_indices("pins.") {
            let rest = &line[at + before.len()..];
            let length =
                rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            if is_name(&rest[..length]) {
                self.named(&rest[..length], start + at + before.len(), length);
            }
        }
    }

    fn named(&mut self, name: &str, at: usize, length: usize) {
        let span = self.span(at, length);
        if self.pins.get(name).is_some() {
            self.found.uses.push(Use { name: name.to_owned(), span });
        } else if !self.assigned_here(name) {
            let near = self.pins.iter().find(|pin| alike(&pin.name, name));
            let help = match near {
                Some(pin) => format!("did you mean `{}`?", pin.name),
                None => format!("add `{name}=…` to `versions.env`"),
            };
            self.found.diagnostics.push(
                Diagnostic::error(UNKNOWN, format!("there is no pin `{name}`"))
                    .at(span, "not in `versions.env`")
                    .help(help),
            );
        }
    }

    /// A script may have variables of its own.
    fn assigned_here(&self, name: &str) -> bool {
        let assigned = |line: &str| {
            let line = line.trim_start().trim_start_matches("export ").trim_start_matches("local ");
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with('=') || rest.starts_with(':'))
        };
        self.kind == Kind::Ci && self.text.lines().any(assigned)
    }

    /// A version of a pin, copied out.
    fn copied_value(&mut self, start: usize, line: &str) {
        for pin in self.pins.iter().filter(|pin| pin.value.len() >= 5 && pin.value.contains(['.', '-'])) {
            for (at, _) in line.match_indices(pin.value.as_str()) {
                let inside = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
                let before = line[..at].chars().next_back().is_some_and(inside);
                let after = line[at + pin.value.len()..].chars().next().is_some_and(inside);
                if !before && !after {
                    let span = self.span(start + at, pin.value.len());
                    self.found.diagnostics.push(stated_as(&pin.value, span, &pin.name));
                }
            }
        }
    }

    fn stated(&mut self, stated: &str, at: usize) {
        let span = self.span(at, stated.len());
        let pin = self.pins.iter().find(|pin| pin.value == stated);
        self.found.diagnostics.push(stated_as(stated, span, pin.map_or("NAME_VERSION", |pin| &pin.name)));
        self.found.diagnostics.dedup();
    }

    fn span(&self, start: usize, length: usize) -> Span {
        Span { source: self.source, start, end: start + length }
    }
}

fn stated_as(stated: &str, span: Span, pin: &str) -> Diagnostic {
    Diagnostic::error(STATED, format!("the version `{stated}` is stated here and not in `versions.env`"))
        .at(span, "stated by itself")
        .help(format!("write `${{{pin}}}`, with the version in `versions.env`"))
}

/// Where `part`, a slice of `whole`, begins.
fn offset(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// The word up to a space or to what ends a value in a YAML flow; braces of variables stay whole.
fn plain_word(text: &str) -> &str {
    let mut depth = 0_usize;
    let end = text.find(|c: char| {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return true,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0 && (c.is_whitespace() || c == ',')
    });
    &text[..end.unwrap_or(text.len())]
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #").map_or(line, |end| &line[..end])
}

fn alike(left: &str, right: &str) -> bool {
    let stem = |name: &str| name.trim_end_matches("_VERSION").replace('_', "");
    let (left, right) = (stem(left), stem(right));
    left.contains(&right) || right.contains(&left) || {
        let different = left.bytes().zip(right.bytes()).filter(|(a, b)| a != b).count();
        left.len().abs_diff(right.len()) + different <= 2
    }
}
