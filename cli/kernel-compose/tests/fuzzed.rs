//! The bodies of the fuzz targets on texts that proptest makes, and on the fixtures with some of their bytes changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

/// Every Compose file and env file of the fixtures.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut texts = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"), &mut texts);
    assert!(texts.len() > 300, "{}", texts.len());
    texts
});

fn collect(folder: &Path, texts: &mut Vec<String>) {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, texts);
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "env") {
            texts.extend(std::fs::read_to_string(&path).ok().filter(|text| text.len() < 4_000));
        }
    }
}

/// What is put into a text.
const PIECES: &[&str] = &[
    ":",
    "-",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!reset ",
    "!override ",
    "|\n",
    ">-\n",
    "%",
    "@",
    "`",
    ",",
    "?",
    "$",
    "${",
    "${A:-",
    "}",
    "\n",
    "  ",
    "\t",
    "\\",
    "<<: ",
    "null",
    "- ",
    "é",
    "\r",
    "\0",
    "services:\n",
    "other.yaml",
];

/// A fixture with pieces put in or in place of something.
fn changed() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), prop::sample::select(PIECES), 0..3_usize);
    (any::<prop::sample::Index>(), prop::collection::vec(change, 0..4)).prop_map(|(text, changes)| {
        let mut text: Vec<char> = text.get(&TEXTS).chars().collect();
        for (place, piece, length) in changes {
            let at = place.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    // Always the same texts, so that a change fails for what it does; looking further is for `cargo fuzz`.
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: prop::test_runner::RngSeed::Fixed(2026),
        ..ProptestConfig::default()
    })]

    #[test]
    fn env_files(text in "[ -~\n\té]{0,40}", fixture in changed()) {
        bodies::env_file(&text);
        bodies::env_file(&fixture);
    }

    #[test]
    fn templates(text in "[${}A-C:?+-]{0,24}", any in any::<String>()) {
        bodies::interpolation(&text);
        bodies::interpolation(&any);
    }

    #[test]
    fn files(text in changed()) {
        bodies::yaml(&text);
    }

    #[test]
    fn projects(parts in prop::collection::vec(changed(), 1..4)) {
        bodies::loader(&parts.join("\0"));
    }
}

/// What `cargo fuzz` found, and what was in it.
#[test]
fn found_before() {
    // A key with a colon and a dollar sign, which is doubled each time it is printed.
    bodies::yaml("services: {web: {image: web}}\nx-top: {\"a: b c$$d\": 1}\n");
}
