//! What must hold for any text whatever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{Case, compose};
use proptest::prelude::*;

/// Words that lead into the corners of the loader.
const WORDS: &[&str] = &[
    "services",
    "a",
    "b",
    "image",
    "build",
    "ports",
    "volumes",
    "environment",
    "depends_on",
    "extends",
    "include",
    "networks",
    "secrets",
    "configs",
    "healthcheck",
    "test",
    "command",
    "x-kernel",
    "generate",
    "env_file",
    "deploy",
    "ulimits",
    "logging",
    "ipam",
    "config",
    "name",
    "profiles",
    "!reset",
    "!override",
    "&x",
    "*x",
    "<<",
    "${A}",
    "${A:-${B}}",
    "${",
    "$$",
    "80:80",
    "80-90:1-2",
    "[::1]:80:80",
    "./x:/y:ro",
    "1m",
    "64q",
    "'",
    "\"",
    "|",
    "~",
    "null",
    "true",
    "-1",
    "0x",
    "é",
    "\u{feff}",
];

fn yaml() -> impl Strategy<Value = String> {
    let word = prop::sample::select(WORDS).prop_map(str::to_owned);
    let leaf = prop_oneof![word.clone(), "[ -~]{0,6}", Just(String::new())];
    let tree = leaf.prop_recursive(6, 40, 5, move |inner| {
        let key = prop::sample::select(WORDS).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key, inner), 0..5).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{ {} }}", entries.join(", "))
            }),
        ]
    });
    prop::collection::vec((prop::sample::select(WORDS), tree), 0..6)
        .prop_map(|entries| entries.into_iter().map(|(key, value)| format!("{key}: {value}\n")).collect())
}

/// Loading neither panics nor loses itself, whatever is told lies within its text, and an error means no project.
fn assert_sound(case: &Case) {
    let (loaded, sources) = case.load();
    assert_eq!(loaded.has_errors(), loaded.project.is_none());
    for diagnostic in &loaded.diagnostics {
        assert!(kernel_compose::codes::ALL.contains(&diagnostic.code));
        for label in &diagnostic.labels {
            let text = &sources.get(label.span.source).unwrap().text;
            assert!(text.get(label.span.start..label.span.end).is_some(), "{diagnostic:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>(), over in any::<String>()) {
        assert_sound(&compose(&text).over(&over).env_file(&over));
    }

    #[test]
    fn texts_that_look_like_yaml(text in yaml(), over in yaml()) {
        assert_sound(&compose(&text).over(&over).profile("*").readable("/proj/app/x", &over));
    }

    #[test]
    fn services_that_look_like_some(service in yaml(), over in yaml()) {
        let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let text = format!("services:\n  a:\n    image: i\n{}", indented(&service));
        assert_sound(&compose(&text).over(&format!("services:\n  a:\n{}", indented(&over))));
    }

    #[test]
    fn any_value_of_any_attribute(name in prop::sample::select(WORDS), value in "[ -~é]{0,12}") {
        assert_sound(&compose(&format!("services:\n  a:\n    image: i\n    {name}: {value}\n    ports: ['{value}']\n")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where the dialects of env files agree, so do the readers: an independent one is the judge.
    #[test]
    fn plain_env_files_read_the_same_elsewhere(
        entries in prop::collection::btree_map("[A-Z][A-Z0-9_]{0,6}", ("[a-zA-Z0-9./:@%-]{1,12}", 0..4_usize), 1..6),
    ) {
        let line = |(name, (value, form)): (&String, &(String, usize))| match form {
            0 => format!("{name}={value}\n"),
            1 => format!("export {name}='{value} # x'\n"),
            2 => format!("# note\n{name}=\"{value} y\"  # note\n"),
            _ => format!("\n{name}={value} # note\n"),
        };
        let text: String = entries.iter().map(line).collect();
        let theirs: std::collections::BTreeMap<String, String> =
            dotenvy::from_read_iter(text.as_bytes()).map(Result::unwrap).collect();
        let case = compose("services: { a: { image: i, env_file: a.env } }").readable("/proj/app/a.env", &text);
        let ours: std::collections::BTreeMap<String, String> = case.project().services["a"]
            .environment
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.expose().to_owned()))
            .collect();
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn what_is_printed_can_be_loaded_again_and_is_the_same() {
    let case = compose(
        r#"
services:
  web:
    build: { context: ./web, args: { A: "$$x" }, secrets: [s] }
    command: sh -c 'echo $$HOME "a b"'
    environment: { N: 1.50, E: "", T: "yes", D: "a$$b" }
    ports: ["127.0.0.1:8080-8081:80-81/udp", { target: 90 }]
    volumes: ["./x:/x:ro,z", "v:/v", { type: tmpfs, target: /t, tmpfs: { size: 1m } }]
    secrets: [s]
    depends_on: { db: { condition: service_healthy, restart: true } }
    links: [db]
    extra_hosts: ["a:1.2.3.4"]
    healthcheck: { test: curl $$URL, interval: 90s, retries: 3 }
    deploy: { resources: { limits: { cpus: 0.5, memory: 64m } } }
    ulimits: { nofile: 10, nproc: { soft: 1, hard: 2 } }
    logging: { driver: json-file, options: { max-size: 10m } }
    networks: { n: { aliases: [w] } }
    x-kernel: { package: web, environment: { A: "{data}/x" } }
  db: { image: postgres, network_mode: none, stop_grace_period: 1m }
networks: { n: { driver: bridge, ipam: { config: [{ subnet: 10.0.0.0/8 }] } } }
volumes: { v: { external: true } }
secrets: { s: { file: ./s.txt } }
x-more: [1, two, 3.5, ~]
"#,
    );
    let first = case.json();
    let printed = kernel_compose::render::yaml(&case.project());
    assert_eq!(compose(&printed).json(), first, "{printed}");
    let json = serde_json::to_string(&first).unwrap();
    let mut again = compose(&json).json();
    assert_eq!(again["services"]["web"]["ports"], first["services"]["web"]["ports"]);
    again["services"] = first["services"].clone();
    assert_eq!(again, first);
}

#[test]
fn depth_is_no_danger() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        for depth in [100, 250, 10_000] {
            assert_sound(&compose(&format!("x-a: {}1{}", open.repeat(depth), close.repeat(depth))));
        }
    }
    let mut text = "x-0: &a0 [1]\n".to_owned();
    for level in 1..2000 {
        text += &format!("x-{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert_sound(&compose(&text));
    let chain: String =
        (0..3000).map(|n| format!("  s{n}: {{ image: i, depends_on: [s{}] }}\n", n + 1)).collect();
    assert_sound(&compose(&format!("services:\n{chain}  s3000: {{ image: i }}\n")));
    let chain: String = (0..300).map(|n| format!("  s{n}: {{ extends: s{} }}\n", n + 1)).collect();
    assert_sound(&compose(&format!("services:\n{chain}  s300: {{ image: i }}\n")));
}
