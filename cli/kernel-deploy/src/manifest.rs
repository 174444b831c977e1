//! Manifests: objects as people wrote them, each with the place where it stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use kernel_core::object::ObjectName;
use kernel_core::source::Sources;
use kernel_manifests::document;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codes;
use crate::fault::Fault;

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as it was named; `-` is the standard input.
    pub file: String,
    /// The line on which its document begins, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One object that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Where it stands.
    pub origin: Origin,
    /// All of it.
    pub body: Value,
}

impl Manifest {
    /// `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        text(&self.body, "/apiVersion")
    }

    /// `Deployment`.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(&self.body, "/kind")
    }

    /// `web`.
    #[must_use]
    pub fn own_name(&self) -> &str {
        text(&self.body, "/metadata/name")
    }

    /// The namespace that is written in it.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.body.pointer("/metadata/namespace").and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// What names it, with the namespace that is written.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        let group = self.api_version().rsplit_once('/').map_or("", |(group, _)| group);
        ObjectName {
            group: group.to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.own_name().to_owned(),
        }
    }
}

fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Reads files, and of folders the files that end with `.yaml`, `.yml` or `.json`, sorted by name; folders in folders
/// too when `recursive`.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn read(paths: &[PathBuf], recursive: bool) -> Result<Vec<Manifest>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            list(path, recursive, &mut files, &mut faults);
        } else {
            files.push(path.clone());
        }
    }
    let mut manifests = Vec::new();
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(source) => parse(&file.display().to_string(), &source, &mut manifests, &mut faults),
            Err(error) => faults.push(
                Fault::new(codes::MANIFEST, format!("could not read `{}`: {error}", file.display()))
                    .help("check the path and its permissions"),
            ),
        }
    }
    find_twins(&manifests, &mut faults);
    if faults.is_empty() { Ok(manifests) } else { Err(faults) }
}

fn list(folder: &Path, recursive: bool, files: &mut Vec<PathBuf>, faults: &mut Vec<Fault>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("could not read the folder `{}`: {error}", folder.display());
            return faults.push(Fault::new(codes::MANIFEST, message).help("check its permissions"));
        }
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let named = |names: &[&str]| path.file_name().is_some_and(|name| names.iter().any(|n| name == *n));
        if named(&["kustomization.yaml", "kustomization.yml", "Kustomization"]) {
            let message = format!("`{}` is to be rendered before it is deployed", path.display());
            let help =
                format!("kubectl kustomize {} > rendered.yaml, then deploy that file", folder.display());
            faults.push(Fault::new(codes::MANIFEST, message).help(help));
        } else if path.is_dir() {
            if recursive {
                list(&path, recursive, files, faults);
            }
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") {
            files.push(path);
        }
    }
}

/// Takes a text apart: documents, and lists in them. What is wrong in one document does not hide another.
pub fn parse(file: &str, source: &str, manifests: &mut Vec<Manifest>, faults: &mut Vec<Fault>) {
    for (line, document) in documents(source) {
        let (mut sources, mut problems) = (Sources::default(), Vec::new());
        let id = sources.add(file, document);
        let place = |offset: usize| {
            let (lines, column) = sources.position(id, offset).unwrap_or((1, 1));
            (line - 1 + lines, column)
        };
        let objects = document::parse(id, document, &mut problems);
        for problem in &problems {
            let (at, column) = place(problem.labels.first().map_or(0, |label| label.span.start));
            let seen = source.lines().nth(at.saturating_sub(1)).unwrap_or_default();
            let message = format!("{file}:{at}:{column}: this is no YAML: {}", problem.message);
            faults.push(
                Fault::new(codes::MANIFEST, message).evidence(vec![seen.to_owned()]).help("mend the file"),
            );
        }
        if problems.is_empty() {
            for object in objects {
                let origin = Origin { file: file.to_owned(), line: place(object.node.span.start).0 };
                take(origin, document::to_json(&object.node), manifests, faults);
            }
        }
    }
}

fn take(origin: Origin, value: Value, manifests: &mut Vec<Manifest>, faults: &mut Vec<Fault>) {
    let manifest = Manifest { origin, body: value };
    let missing: Vec<&str> = [
        ("apiVersion", manifest.api_version()),
        ("kind", manifest.kind()),
        ("metadata.name", manifest.own_name()),
    ]
    .into_iter()
    .filter_map(|(field, value)| value.is_empty().then_some(field))
    .collect();
    if missing.is_empty() {
        return manifests.push(manifest);
    }
    let message = format!("{}: this is no object: `{}` is missing", manifest.origin, missing.join("`, `"));
    let help = if manifest.body.pointer("/metadata/generateName").is_some() {
        "an object that is deployed again and again needs a name: replace `generateName` by `name`"
    } else {
        "every document needs `apiVersion`, `kind` and `metadata.name`; other files don't belong into the folder"
    };
    faults.push(Fault::new(codes::MANIFEST, message).help(help));
}

/// One object may stand in one place only: the later one would silently win.
fn find_twins(manifests: &[Manifest], faults: &mut Vec<Fault>) {
    let mut first: BTreeMap<ObjectName, &Origin> = BTreeMap::new();
    for manifest in manifests {
        let name = manifest.name();
        if let Some(other) = first.get(&name) {
            let message = format!("{}: {name} stands already in {other}", manifest.origin);
            faults.push(Fault::new(codes::MANIFEST, message).help("remove one of the two"));
        } else {
            first.insert(name, &manifest.origin);
        }
    }
}

/// The documents of a YAML text with the lines on which they begin, from 1.
fn documents(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut begin_line, mut at) = (0, 1, 0);
    for (index, line) in source.split_inclusive('\n').enumerate() {
        let next = at + line.len();
        let marker = line.trim_end();
        if marker == "---" || marker.starts_with("--- #") {
            found.push((begin_line, &source[begin..at]));
            (begin, begin_line) = (next, index + 2);
        }
        at = next;
    }
    found.push((begin_line, &source[begin..]));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(source: &str) -> (Vec<Manifest>, Vec<Fault>) {
        let (mut manifests, mut faults) = (Vec::new(), Vec::new());
        parse("a.yaml", source, &mut manifests, &mut faults);
        (manifests, faults)
    }

    #[test]
    fn documents_and_lists_are_objects_with_their_lines() {
        let source = "# first\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n\n---\n\
                      apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
        let (manifests, faults) = parsed(source);
        assert!(faults.is_empty(), "{faults:?}");
        let told: Vec<String> =
            manifests.iter().map(|object| format!("{} {}", object.origin, object.name())).collect();
        assert_eq!(told, ["a.yaml:2 ConfigMap a", "a.yaml:11 Secret b"]);
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let source =
            "kind: ConfigMap\n---\na: [\n---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n";
        let (manifests, faults) = parsed(source);
        assert!(manifests.is_empty());
        let told: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        assert!(
            told[0].starts_with("a.yaml:1: this is no object: `apiVersion`, `metadata.name`"),
            "{told:?}"
        );
        assert!(told[1].starts_with("a.yaml:4:") || told[1].starts_with("a.yaml:3:"), "{told:?}");
        assert!(faults[2].help.as_deref().is_some_and(|help| help.contains("generateName")), "{faults:?}");
    }

    #[test]
    fn a_folder_is_read_in_order_and_an_object_stands_once() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        std::fs::write(folder.path().join("b.yaml"), object("two")).unwrap();
        std::fs::write(folder.path().join("a.yml"), object("one")).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        let names = |paths: &[PathBuf]| -> Vec<String> {
            read(paths, false).unwrap().iter().map(|object| object.own_name().to_owned()).collect()
        };
        assert_eq!(names(&[folder.path().to_owned()]), ["one", "two"]);
        std::fs::write(folder.path().join("c.yaml"), object("one")).unwrap();
        let faults = read(&[folder.path().to_owned()], false).unwrap_err();
        assert!(faults[0].message.contains("ConfigMap one stands already in"), "{faults:?}");
        std::fs::write(folder.path().join("kustomization.yaml"), "resources: []").unwrap();
        let faults = read(&[folder.path().to_owned()], false).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault
                .help
                .as_deref()
                .unwrap_or_default()
                .contains("kubectl kustomize"))
        );
    }
}
