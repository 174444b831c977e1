//! Every page below `docs/errors/` is told by `kernel explain`, whole.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

fn explain(arguments: &[&str]) -> String {
    let answer = Command::new(env!("CARGO_BIN_EXE_kernel")).arg("explain").args(arguments).output().unwrap();
    assert!(answer.status.success(), "explain {arguments:?}: {}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8(answer.stdout).unwrap()
}

#[test]
fn every_page_is_listed_and_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages: BTreeMap<String, String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    assert!(pages.len() > 60, "only {} pages were found", pages.len());

    let list = explain(&[]);
    let listed: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, pages.keys().map(String::as_str).collect::<Vec<_>>());
    for (code, page) in &pages {
        assert_eq!(explain(&[code]).trim_end(), page.trim_end(), "{code}");
    }
}
