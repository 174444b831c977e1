//! `kernel lint` as a program: what it says where, how it ends, what it writes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Workspace, run};
use serde_json::Value;

const WRONG: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: { name: web }
date: {} # a slip
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec:
  maxUnavailable: 0 # for now
  selector: { matchLabels: { app: web } }
";
const RIGHT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\n";

fn workspace() -> Workspace {
    let workspace = Workspace::new(common::COMPOSE);
    workspace.write("deploy/wrong.yaml", WRONG);
    workspace.write("right.yaml", RIGHT);
    workspace
}

#[test]
fn everything_is_told_at_once_with_its_place() {
    let output = workspace().run(&["lint", "deploy"]);
    insta::assert_snapshot!(output.shown());
}

#[test]
fn what_keeps_the_rules_ends_well() {
    let output = workspace().run(&["lint", "right.yaml"]);
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (0, "1 objects, no rule broken\n", "")
    );
}

#[test]
fn a_pipe_is_read_and_programs_get_json_or_sarif() {
    let workspace = workspace();
    let answer = |format: &str| {
        let output = workspace.command(&["lint", "-", "-o", format]).write_stdin(WRONG).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stderr.is_empty());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let json = answer("json");
    assert_eq!(
        (&json["schema"], &json["objects"], &json["fixable"]),
        (&"kernel.lint/v1".into(), &2.into(), &1.into())
    );
    let codes: Vec<_> = json["findings"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert_eq!(codes, ["K-LINT-002", "K-LINT-011"]);
    let sarif = answer("sarif");
    let result = &sarif["runs"][0]["results"][1];
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (&result["ruleId"], &region["startLine"], &region["startColumn"]),
        (&"K-LINT-011".into(), &10.into(), &19.into())
    );
}

#[test]
fn fixing_changes_only_what_is_wrong_and_a_dry_run_nothing() {
    let workspace = workspace();
    let dry = workspace.run(&["lint", "deploy", "--fix", "--dry-run"]);
    assert!(dry.stderr.contains("would change deploy/wrong.yaml"), "{}", dry.shown());
    assert_eq!(workspace.read("deploy/wrong.yaml"), WRONG);
    let fixed = workspace.run(&["lint", "deploy", "--fix"]);
    assert_eq!(
        workspace.read("deploy/wrong.yaml"),
        WRONG.replace("maxUnavailable: 0 #", "maxUnavailable: 1 #")
    );
    assert!(fixed.stderr.contains("K-LINT-002") && !fixed.stderr.contains("K-LINT-011"), "{}", fixed.shown());
    assert_eq!(fixed.code, 2, "what is left is still wrong");
}

#[test]
fn what_is_rendered_is_not_fixed() {
    let workspace = workspace();
    let text = format!("# Written by `kernel manifests render`\n{WRONG}");
    workspace.write("k8s/environments/test.yaml", "{}\n");
    workspace.write("k8s/rendered/test/all.yaml", &text);
    let output = workspace.run(&["lint", "test", "--fix"]);
    assert_eq!(output.code, 2);
    assert_eq!(workspace.read("k8s/rendered/test/all.yaml"), text);
    assert!(output.stderr.contains("k8s/rendered/test/all.yaml:"), "{}", output.shown());
}

#[test]
fn what_is_not_there_is_told_all_at_once() {
    let output = workspace().run(&["lint", "nowhere", "right.yaml", "never.yaml"]);
    assert_eq!(output.code, 2);
    assert!(
        output.stderr.contains("`nowhere`") && output.stderr.contains("`never.yaml`"),
        "{}",
        output.shown()
    );
    let outside = run(&["lint"]);
    assert_eq!(outside.code, 2);
    assert!(outside.stderr.contains("K-OPS-001"), "{}", outside.shown());
    let broken = workspace();
    broken.write("deploy/broken.yaml", "a: [\n");
    let output = broken.run(&["lint", "deploy"]);
    assert_eq!(output.code, 2);
    assert!(
        output.stderr.contains("K-MANIFEST-001") && output.stderr.contains("K-LINT-011"),
        "{}",
        output.shown()
    );
}

#[test]
fn the_rules_are_listed() {
    let output = run(&["lint", "--rules"]);
    assert_eq!(output.code, 0);
    assert_eq!(output.stdout.lines().filter(|line| line.starts_with("K-LINT-")).count(), 35);
}
