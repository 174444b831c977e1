//! Pins: the versions of `versions.env`, where they are used, and where somebody states a version without them.
//!
//! Pure: the caller finds and reads the files; [`Kind::of`] says which ones are of interest. Looks at lines, not at
//! meaning, so that it needs no parser for five kinds of file and is right for files that are broken in other ways.

mod image;
mod scan;

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{SourceId, Sources, Span};

/// A line of `versions.env` that is not `NAME=value`.
pub const SYNTAX: Code = Code("K-PIN-001");
/// A pin that stands twice.
pub const DUPLICATE: Code = Code("K-PIN-002");
/// A file names a pin that does not exist.
pub const UNKNOWN: Code = Code("K-PIN-003");
/// A file states a version by itself.
pub const STATED: Code = Code("K-PIN-004");
/// A file that can't read pins states another version than the pin.
pub const DIFFERS: Code = Code("K-PIN-005");
/// A pin that nothing uses (warning).
pub const UNUSED: Code = Code("K-PIN-006");

/// All codes of pins, in order.
pub const ALL: &[Code] = &[SYNTAX, DUPLICATE, UNKNOWN, STATED, DIFFERS, UNUSED];

/// One pinned version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its name, such as `POSTGRES_VERSION`.
    pub name: String,
    /// The version.
    pub value: String,
    /// Where name and value stand.
    pub span: Span,
}

/// All pins, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    pins: Vec<Pin>,
}

/// What kind of file may use pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Compose file.
    Compose,
    /// A Dockerfile.
    Dockerfile,
    /// `rust-toolchain.toml`, whose channel must be `RUST_VERSION`.
    Toolchain,
    /// The workspace's `Cargo.toml`, whose `rust-version` must fit `RUST_VERSION`.
    Cargo,
    /// A Kubernetes manifest, or a template of one.
    Manifest,
    /// A script or workflow of continuous integration.
    Ci,
    /// A program of the testbed, which looks pins up by their names.
    Program,
}

/// One place that uses a pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The pin.
    pub name: String,
    /// The place.
    pub span: Span,
}

/// What a check of all files gave.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Every use of every pin, by name, in the order of the files.
    pub uses: BTreeMap<String, Vec<Span>>,
    /// What is wrong, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

impl Kind {
    /// The kind of the file at `path`, relative to the workspace, with `/` between folders. `None`: it is of no
    /// interest.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let yaml = name.ends_with(".yml") || name.ends_with(".yaml");
        let compose = name.starts_with("docker-compose.") || name.starts_with("compose.");
        match path {
            "rust-toolchain.toml" => Some(Self::Toolchain),
            "Cargo.toml" => Some(Self::Cargo),
            _ if compose && yaml => Some(Self::Compose),
            _ if name.ends_with(".dockerignore") => None,
            _ if name == "Dockerfile" || name.starts_with("Dockerfile.") => Some(Self::Dockerfile),
            _ if path.starts_with(".ci/") || (path.starts_with(".github/") && yaml) => Some(Self::Ci),
            _ if path.starts_with("tests/testbed/src/") => name.ends_with(".rs").then_some(Self::Program),
            // What is written by `kernel` names images by their digests.
            _ if path.starts_with("k8s/rendered/") => None,
            _ if path.starts_with("k8s/") || path.starts_with("templates/") => {
                let template = name.ends_with(".yaml.j2") || name.ends_with(".yml.j2");
                (yaml || template).then_some(Self::Manifest)
            }
            _ => None,
        }
    }
}

impl Pins {
    /// Reads `versions.env`: lines of `NAME=value`, comments, blank lines. What can't be read is told and left out.
    #[must_use]
    pub fn parse(source: SourceId, text: &str) -> (Self, Vec<Diagnostic>) {
        let mut pins: Vec<Pin> = Vec::new();
        let mut diagnostics = Vec::new();
        for (start, line) in scan::lines(text) {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let start = start + (line.len() - line.trim_start().len());
            let span = Span { source, start, end: start + trimmed.len() };
            let pin = trimmed.split_once('=').filter(|(name, value)| is_name(name) && is_version(value));
            let Some((name, value)) = pin else {
                diagnostics.push(
                    Diagnostic::error(SYNTAX, "a pin can't be read")
                        .at(span, "not `NAME=version`")
                        .help("write `NAME=version`: a name of capital letters, a version without spaces and quotes"),
                );
                continue;
            };
            if let Some(first) = pins.iter().find(|pin| pin.name == name) {
                diagnostics.push(
                    Diagnostic::error(DUPLICATE, format!("the pin `{name}` stands twice"))
                        .at(span, "again here")
                        .at(first.span, "first here")
                        .help("keep one of them"),
                );
                continue;
            }
            pins.push(Pin { name: name.to_owned(), value: value.to_owned(), span });
        }
        (Self { pins }, diagnostics)
    }

    /// The pin of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.name == name)
    }

    /// All pins in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Pin> {
        self.pins.iter()
    }

    /// Looks for every use and every misuse in the given files. A pin that none of them uses is told, so hand in all
    /// files of the workspace that [`Kind::of`] knows.
    #[must_use]
    pub fn check(&self, files: &[(Kind, SourceId)], sources: &Sources) -> Checked {
        let mut checked = Checked::default();
        for (kind, id) in files {
            let Some(source) = sources.get(*id) else { continue };
            let found = scan::scan(self, *kind, *id, &source.text);
            for used in found.uses {
                checked.uses.entry(used.name).or_default().push(used.span);
            }
            checked.diagnostics.extend(found.diagnostics);
        }
        for pin in self.iter().filter(|pin| !checked.uses.contains_key(&pin.name)) {
            checked.diagnostics.push(
                Diagnostic::warning(UNUSED, format!("nothing uses the pin `{}`", pin.name))
                    .at(pin.span, "unused")
                    .help("take it out"),
            );
        }
        checked
    }
}

impl<'a> IntoIterator for &'a Pins {
    type Item = &'a Pin;
    type IntoIter = std::slice::Iter<'a, Pin>;

    fn into_iter(self) -> Self::IntoIter {
        self.pins.iter()
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
}

#[cfg(test)]
mod tests;
