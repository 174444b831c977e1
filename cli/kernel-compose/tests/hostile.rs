//! Files that are made to do harm: they are refused, and what they cost is bounded. Bounds are counted here; the time is
//! in `docs/benchmarks.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{compose, told};
use kernel_compose::codes;
use kernel_core::diagnostic::Code;

/// A few more problems than this may be told: stages add their own.
const MANY: usize = 1_100;

/// The codes that a text is refused with, each once.
fn refused(text: &str) -> Vec<Code> {
    let (loaded, sources) = compose(text).load();
    assert!(loaded.project.is_none(), "is accepted");
    assert!(loaded.diagnostics.len() < MANY, "{} problems", loaded.diagnostics.len());
    let shown = told(&loaded.diagnostics[..1], &sources);
    assert!(shown.len() < text.len() + 1_000, "{shown}");
    let mut found: Vec<Code> = loaded.diagnostics.iter().map(|problem| problem.code).collect();
    found.sort_by_key(|code| code.0);
    found.dedup();
    found
}

#[test]
fn aliases_do_not_multiply() {
    let mut text = "x-0: &a0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("x-{level}: &a{level} [{items}]\n");
    }
    assert!(refused(&text).contains(&codes::ALIAS));
}

#[test]
fn one_large_text_is_not_copied_without_limit() {
    let text = format!("x-a: &a {}\nx-b: [{}]\n", "a".repeat(1 << 20), "*a,".repeat(1_000));
    assert!(refused(&text).contains(&codes::ALIAS));
}

#[test]
fn anchors_around_anchors_do_not_multiply() {
    let open: String = (0..100).map(|level| format!("&a{level} [")).collect();
    let text = format!("x-a: {open}{}{}\n", "a,".repeat(100_000), "]".repeat(100));
    assert!(refused(&text).contains(&codes::ALIAS));
}

#[test]
fn values_without_end() {
    for text in ["x-a: [", "services: {a: {image: b}}\nx-a:\n"] {
        let item = if text.ends_with('[') { "a," } else { "- a\n" };
        assert_eq!(refused(&(text.to_owned() + &item.repeat(600_000))), [codes::TOO_LARGE]);
    }
}

#[test]
fn keys_without_end() {
    let unknown: String = (0..100_000).map(|key| format!("key{key}: 1\n")).collect();
    assert!(refused(&unknown).contains(&codes::UNKNOWN_ATTRIBUTE));
    let again = "image: a\n".repeat(100_000);
    assert!(refused(&again).contains(&codes::DUPLICATE_KEY));
    let services: String = (0..100_000).map(|key| format!("  s{key}: 1\n")).collect();
    assert!(refused(&format!("services:\n{services}")).contains(&codes::WRONG_SHAPE));
}

#[test]
fn depth_without_end() {
    for text in ["[".repeat(1_000_000), "a: ".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
        refused(&text);
    }
}

#[test]
fn variables_without_end() {
    let nested = format!("name: {}{}\n", "${A:-".repeat(100_000), "}".repeat(100_000));
    assert!(refused(&nested).contains(&codes::INTERPOLATION));
    let open = format!("name: {}\n", "${".repeat(500_000));
    assert!(refused(&open).contains(&codes::INTERPOLATION));
    let services = format!("services: {{a: {{image: \"{}\"}}}}\n", "$A".repeat(500_000));
    let (loaded, _) = compose(&services).load();
    assert!(loaded.diagnostics.len() < MANY);
}

#[test]
fn values_do_not_multiply() {
    let mut doubling = "A0=0123456789\n".to_owned();
    for level in 1..60 {
        doubling += &format!("A{level}=$A{0}$A{0}\n", level - 1);
    }
    let copying = format!(
        "A={}\n{}",
        "a".repeat(1 << 19),
        (0..1_000).map(|n| format!("B{n}=$A\n")).collect::<String>()
    );
    for env_file in [doubling, copying.clone()] {
        let (loaded, _) = compose("services: {a: {image: a}}").env_file(&env_file).load();
        assert!(loaded.diagnostics.iter().any(|problem| problem.code == codes::ENV_FILE_SYNTAX));
        let kept: usize = loaded.environment.values().map(String::len).sum();
        assert!(kept < 40 << 20, "{kept} bytes");
    }
    let many = format!("services: {{a: {{image: a, command: [{}]}}}}\n", "$A,".repeat(1_000));
    let (loaded, _) = compose(&many).env_file(copying.lines().next().unwrap()).load();
    assert_eq!(loaded.diagnostics.iter().map(|problem| problem.code).collect::<Vec<_>>(), [codes::TOO_LARGE]);
}

#[test]
fn env_files_without_end() {
    let quotes = "A=\"".to_owned() + &"\\".repeat(1_000_000);
    let names = "A".repeat(1_000_000);
    let lines = "A B=1\n".repeat(200_000);
    let nested = format!("A={}{}\n", "${A:-".repeat(50_000), "}".repeat(50_000));
    for text in [quotes, names, lines, nested] {
        let (loaded, _) = compose("services: {a: {image: a}}").env_file(&text).load();
        assert!(loaded.diagnostics.len() < MANY, "{}", loaded.diagnostics.len());
    }
}

#[test]
fn many_services_are_no_harm() {
    let services: String = (0..5_000)
        .map(|service| format!("  s{service}: {{ image: i, depends_on: [s{}] }}\n", (service + 1) % 5_001))
        .collect();
    let text = format!("services:\n{services}  s5000: {{ image: i }}\n");
    assert_eq!(compose(&text).project().start_order().len(), 5_001);
}
