//! The canonical form against what docker compose printed; see `tests/reference/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;

use common::{Case, compose};
use serde_json::Value;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_same(case: &Case, expected: &str) {
    let expected: Value = serde_json::from_str(&text(expected)).unwrap();
    let differences = common::differences(&expected, &case.json());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn everything_that_a_service_can_say() {
    let case = compose(&text("everything.yml"))
        .readable("/proj/app/one.env", &text("one.env"))
        .set("HOME", "/home/u")
        .set("TAG", "7");
    assert_same(&case, "everything.json");
}

#[test]
fn two_files_with_extends_include_and_profiles() {
    let case = compose(&text("merged-1.yml"))
        .over(&text("merged-2.yml"))
        .readable("/proj/app/one.env", &text("one.env"))
        .readable("/proj/app/other/e.yml", &text("other/e.yml"))
        .readable("/proj/app/other/e.env", &text("other/e.env"))
        .readable("/proj/app/inc/i.yml", &text("inc/i.yml"))
        .readable("/proj/app/inc/.env", &text("inc/defaults.env"))
        .readable("/proj/app/inc/x.env", &text("inc/x.env"))
        .set("HOME", "/home/u");
    assert_same(&case, "merged.json");
}
