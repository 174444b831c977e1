//! Generated and hand-written pages that must keep up with the code.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn pages(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read_to_string(&path).unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_reference_of_the_command_line_is_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("cli");
    let status = common::command(&["__reference", fresh.to_str().unwrap()]).output().unwrap();
    assert!(status.status.success());
    assert!(
        pages(&fresh) == pages(&root().join("docs/cli")),
        "docs/cli is not what the program says; run `cargo kernel __reference docs/cli`"
    );
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut codes = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("cli")).unwrap() {
        collect(&entry.unwrap().path().join("src"), &mut codes);
    }
    assert!(codes.len() > 60, "only {} codes were found", codes.len());
    let pages = pages(&root().join("docs/errors"));
    let named: BTreeSet<String> = pages
        .keys()
        .filter_map(|name| name.strip_suffix(".md"))
        .filter(|name| *name != "README")
        .map(str::to_owned)
        .collect();
    assert_eq!(codes.difference(&named).collect::<Vec<_>>(), Vec::<&String>::new(), "codes without a page");
    assert_eq!(named.difference(&codes).collect::<Vec<_>>(), Vec::<&String>::new(), "pages without a code");
    for code in &codes {
        let text = &pages[&format!("{code}.md")];
        let head = text.lines().next().unwrap();
        assert!(head.starts_with(&format!("# {code}")) && head.len() > code.len() + 6, "{code}: {head}");
    }
}

/// The codes that a crate's sources define: texts such as `K-OPS-001`, outside of tests.
fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, codes);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for part in code.split('"').filter(|part| is_code(part)) {
                codes.insert(part.to_owned());
            }
        }
    }
}

fn is_code(text: &str) -> bool {
    let mut parts = text.split('-');
    let area = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let number = |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.next() == Some("K")
        && parts.next().is_some_and(area)
        && parts.next().is_some_and(number)
        && parts.next().is_none()
        && !text.starts_with("K-TEST-")
}
