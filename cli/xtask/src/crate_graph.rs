//! The edges between the crates of this workspace: drawn into `docs/crate-graph.md`, and held to the rules of
//! `docs/ARCHITECTURE.md`. A new edge shows in the diff of that file; a forbidden one fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const FILE: &str = "docs/crate-graph.md";

/// Crates that hold no rules of a service and that every service may build on, lowest first.
const SERVICE_SHARED: [&str; 5] = ["svc-api", "svc-stores", "svc-kit", "svc-clients", "svc-testkit"];

/// Real parts for tests. Every crate's tests may use it; it uses none of ours.
const TESTBED: &str = "testbed";

/// What the command line's crates may depend on in this workspace. Arrows point down only.
const COMMAND_LINE: [(&str, &[&str]); 13] = [
    ("kernel-core", &[]),
    ("kernel-compose", &["kernel-core"]),
    ("kernel-engine", &["kernel-core", "kernel-compose"]),
    ("kernel-engine-local", &["kernel-core", "kernel-compose", "kernel-engine"]),
    ("kernel-engine-docker", &["kernel-core", "kernel-compose", "kernel-engine"]),
    ("kernel-deploy", &["kernel-core", "kernel-engine", "kernel-manifests"]),
    ("kernel-image", &[]),
    ("kernel-manifests", &["kernel-core", "kernel-compose"]),
    ("kernel-report", &["kernel-core"]),
    ("kernel-ops", &["kernel-core", "kernel-compose", "kernel-engine", "kernel-image", "kernel-manifests"]),
    (
        "kernel",
        &[
            "kernel-core",
            "kernel-compose",
            "kernel-deploy",
            "kernel-engine",
            "kernel-engine-local",
            "kernel-engine-docker",
            "kernel-image",
            "kernel-manifests",
            "kernel-ops",
            "kernel-report",
        ],
    ),
    ("kernel-testkit", &["kernel-core", "kernel-compose", "kernel-engine"]),
    ("xtask", &["testbed"]),
];

/// Pure crates and all that they may use from outside. No files, network, processes, clock, randomness, async.
const PURE: [(&str, &[&str]); 4] = [
    ("kernel-core", &["hex", "serde", "serde_json", "sha2", "thiserror"]),
    (
        "kernel-image",
        &[
            "base64",
            "flate2",
            "hex",
            "object",
            "serde",
            "serde_json",
            "sha2",
            "tar",
            "thiserror",
            "webpki-root-certs",
        ],
    ),
    (
        "kernel-manifests",
        &["base64", "hex", "k8s-openapi", "minijinja", "serde", "serde_json", "serde_path_to_error", "sha2"],
    ),
    ("kernel-compose", &["granit-parser", "hex", "serde", "serde_json", "serde_yaml", "sha2", "thiserror"]),
];

/// One crate of the workspace.
struct Crate {
    /// The first part of its path: `cli`, `services` or `tests`.
    half: String,
    /// Crates of this workspace that it is built with.
    uses: BTreeSet<String>,
    /// Crates of this workspace that only its tests use.
    tests_use: BTreeSet<String>,
    /// Crates from outside, by the name under which the code knows them.
    outside: BTreeSet<String>,
}

/// Writes the graph, or with `check` compares it with the committed file. Forbidden edges fail either way.
pub fn run(root: &Path, check: bool) -> Result<(), String> {
    let crates = read(root)?;
    let forbidden = forbidden_edges(&crates);
    if !forbidden.is_empty() {
        return Err(format!("forbidden edges between crates:\n  {}", forbidden.join("\n  ")));
    }
    let path = root.join(FILE);
    let text = draw(&crates);
    if !check {
        return std::fs::write(&path, text).map_err(|error| format!("cannot write {FILE}: {error}"));
    }
    let committed = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {FILE}: {error}"))?;
    if committed == text {
        return Ok(());
    }
    Err(format!("{FILE} is stale: run `cargo xtask crate-graph` and read its diff"))
}

fn read(root: &Path) -> Result<BTreeMap<String, Crate>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run `cargo metadata`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("`cargo metadata`: {error}"))?;
    let top = metadata["workspace_root"].as_str().unwrap_or_default();
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    Ok(packages.iter().map(|package| parse(package, top)).collect())
}

fn parse(package: &Value, top: &str) -> (String, Crate) {
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    let half = manifest.trim_start_matches(top).trim_start_matches('/').split('/').next().unwrap_or_default();
    let mut node = Crate {
        half: half.to_owned(),
        uses: BTreeSet::new(),
        tests_use: BTreeSet::new(),
        outside: BTreeSet::new(),
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let name =
            dependency["rename"].as_str().or(dependency["name"].as_str()).unwrap_or_default().to_owned();
        let for_tests = dependency["kind"].as_str() == Some("dev");
        match (dependency["path"].is_string(), for_tests) {
            (true, false) => node.uses.insert(name),
            (true, true) => node.tests_use.insert(name),
            (false, false) => node.outside.insert(name),
            (false, true) => false,
        };
    }
    (package["name"].as_str().unwrap_or_default().to_owned(), node)
}

/// Every edge that the architecture forbids, as a sentence with its reason.
fn forbidden_edges(crates: &BTreeMap<String, Crate>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, node) in crates {
        for used in node.uses.iter().chain(&node.tests_use) {
            let Some(target) = crates.get(used) else { continue };
            let is_testbed = used == TESTBED && (name == "xtask" || !node.uses.contains(used));
            if target.half != node.half && !is_testbed {
                found.push(format!(
                    "{name} → {used}: the command line, the services and the testbed meet over the wire, never in code"
                ));
            }
            if target.half == "services" && !SERVICE_SHARED.contains(&used.as_str()) {
                found.push(format!("{name} → {used}: no crate depends on a service"));
            }
        }
        for used in &node.uses {
            let for_tests_only = used.ends_with("-testkit");
            if for_tests_only {
                found.push(format!("{name} → {used}: a test kit is a development dependency"));
            }
            if let (Some(upper), Some(lower)) = (rank(name), rank(used))
                && lower >= upper
            {
                found.push(format!("{name} → {used}: shared service crates depend downwards only"));
            }
        }
        let allowed =
            COMMAND_LINE.iter().find(|(crate_name, _)| crate_name == name).map(|(_, allowed)| *allowed);
        match allowed {
            None if node.half == "cli" => {
                found.push(format!("{name}: not in the list of the command line's crates in crate_graph.rs"));
            }
            None => {}
            Some(allowed) => found.extend(
                node.uses
                    .iter()
                    .filter(|used| !allowed.contains(&used.as_str()) && !used.ends_with("-testkit"))
                    .map(|used| format!("{name} → {used}: not one of the edges of the command line")),
            ),
        }
        if let Some((_, allowed)) = PURE.iter().find(|(crate_name, _)| crate_name == name) {
            found.extend(
                node.outside
                    .iter()
                    .filter(|used| !allowed.contains(&used.as_str()))
                    .map(|used| format!("{name} → {used}: {name} is pure")),
            );
        }
    }
    found
}

fn rank(name: &str) -> Option<usize> {
    SERVICE_SHARED.iter().position(|shared| *shared == name)
}

fn draw(crates: &BTreeMap<String, Crate>) -> String {
    let mut text = String::from(
        "# Crate graph\n\nGenerated by `cargo xtask crate-graph` and checked by a test of `xtask`. An arrow says “is built \
         with”; what\nonly tests use is left out. The rules are in `cli/xtask/src/crate_graph.rs`.\n",
    );
    for (half, title) in [("cli", "The command line"), ("services", "The services"), ("tests", "For tests")] {
        let _ = write!(text, "\n## {title}\n\n```mermaid\ngraph TD\n");
        for (name, node) in crates.iter().filter(|(_, node)| node.half == half) {
            if node.uses.is_empty() {
                let _ = writeln!(text, "  {name}");
            }
            for used in &node.uses {
                let _ = writeln!(text, "  {name} --> {used}");
            }
        }
        text.push_str("```\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str, &str)]) -> BTreeMap<String, Crate> {
        let mut crates = BTreeMap::new();
        for (half, name, used) in edges {
            let node = crates.entry((*name).to_owned()).or_insert_with(|| Crate {
                half: (*half).to_owned(),
                uses: BTreeSet::new(),
                tests_use: BTreeSet::new(),
                outside: BTreeSet::new(),
            });
            if !used.is_empty() {
                node.uses.insert((*used).to_owned());
            }
        }
        crates
    }

    #[test]
    fn the_committed_graph_is_fresh_and_allowed() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        assert_eq!(run(root, true), Ok(()));
    }

    #[test]
    fn every_rule_finds_its_edge() {
        let cases = [
            ([("cli", "kernel-ops", "svc-api"), ("services", "svc-api", "")], "meet over the wire"),
            ([("services", "iam", "money"), ("services", "money", "")], "no crate depends on a service"),
            ([("services", "svc-kit", "svc-clients"), ("services", "svc-clients", "")], "downwards only"),
            ([("services", "iam", "svc-testkit"), ("services", "svc-testkit", "")], "development dependency"),
            ([("cli", "kernel-core", "kernel-ops"), ("cli", "kernel-ops", "")], "not one of the edges"),
            ([("cli", "kernel-new", ""), ("cli", "kernel-core", "")], "not in the list"),
            ([("services", "iam", "testbed"), ("tests", "testbed", "")], "meet over the wire"),
            ([("tests", "testbed", "svc-kit"), ("services", "svc-kit", "")], "meet over the wire"),
        ];
        for (edges, reason) in cases {
            let found = forbidden_edges(&graph(&edges)).join("\n");
            assert!(found.contains(reason), "{edges:?} gave {found:?}");
        }
    }

    #[test]
    fn a_pure_crate_may_not_use_the_network() {
        let mut crates = graph(&[("cli", "kernel-core", "")]);
        crates.get_mut("kernel-core").unwrap().outside.insert("reqwest".to_owned());
        assert_eq!(forbidden_edges(&crates), ["kernel-core → reqwest: kernel-core is pure"]);
    }
}
