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
    let mut differences = Vec::new();
    compare("", &expected, &case.json(), &mut differences);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Tells each place by itself: two whole projects side by side help nobody.
fn compare(place: &str, reference: &Value, ours: &Value, differences: &mut Vec<String>) {
    match (reference, ours) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let of = |side: &serde_json::Map<String, Value>| {
                    side.get(key).cloned().unwrap_or(Value::from("(absent)"))
                };
                compare(&format!("{place}/{key}"), &of(left), &of(right), differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{place}/{index}"), left, right, differences);
            }
        }
        _ if reference == ours => {}
        _ => differences.push(format!("{place}: docker compose has {reference}, and this has {ours}")),
    }
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
