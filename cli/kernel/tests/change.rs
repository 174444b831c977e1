//! Commands that would change what runs: what they plan, refuse and leave alone. What they do is tested by the engine
//! and by `tests/e2e`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{COMPOSE, Workspace};

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let workspace = Workspace::new(COMPOSE);
    let before = workspace.files();
    let output = workspace.run(&["up", "--dry-run", "-q"]);
    insta::assert_snapshot!(output.shown(), @r"
    exit 0
    --- stdout
    [] -> #1 service web: start, not found
    [1] -> #2 service web: wait until healthy, started
    --- stderr
    ");
    for arguments in [
        ["down", "--dry-run"].as_slice(),
        &["down", "--volumes", "--dry-run"],
        &["restart", "--dry-run"],
        &["stop", "--dry-run"],
        &["up", "--infra-only", "--dry-run"],
        &["smoke", "--dry-run", "--target", "http://127.0.0.1:1"],
    ] {
        workspace.run(arguments);
    }
    assert_eq!(workspace.files(), before);
}

#[test]
fn a_plan_can_be_read_by_programs_and_has_no_secret_in_it() {
    let workspace = Workspace::new(COMPOSE);
    let output = workspace.run(&["up", "--dry-run", "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(plan["schema"], "kernel.plan/v1");
    assert_eq!(plan["project"], "shop");
    let environment = &plan["steps"][0]["action"]["spec"]["environment"];
    assert_eq!(environment["INTERNAL_TOKEN"], "[secret]");
    assert!(environment["DATABASE_URL"].as_str().unwrap().starts_with("sqlite://"), "{environment}");
}

#[test]
fn an_offset_moves_every_port() {
    let workspace = Workspace::new(COMPOSE);
    let output = workspace.run(&["up", "--dry-run", "-o", "json", "--port-offset", "100"]);
    let plan: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(plan["steps"][0]["action"]["spec"]["environment"]["PORT"], "29011");
    let output = workspace.run(&["up", "--dry-run", "--port-offset", "60000"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("docker/docker-compose.yml:9:"), "{}", output.shown());
}

#[test]
fn where_nothing_runs_there_is_nothing_to_do() {
    let workspace = Workspace::new(COMPOSE);
    let before = workspace.files();
    let ps = workspace.run(&["ps"]);
    assert_eq!((ps.code, ps.stdout.as_str()), (0, "nothing runs; `kernel up` starts everything\n"));
    let json = workspace.run(&["ps", "--all", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["schema"], "kernel.ps/v1");
    assert_eq!(json["services"][0]["state"], "embedded");
    assert_eq!(json["services"][1]["state"], "not-started");
    let down = workspace.run(&["down"]);
    assert_eq!(down.code, 0);
    assert!(down.stderr.contains("nothing to do"), "{}", down.shown());
    assert_eq!(workspace.files(), before);
}

#[test]
fn a_project_with_broken_files_can_be_taken_down_by_its_name() {
    let workspace = Workspace::new("services: [\n");
    assert_eq!(workspace.run(&["down"]).code, 2);
    assert_eq!(workspace.run(&["-p", "shop", "down"]).code, 0);
}

#[test]
fn what_is_about_containers_is_refused_where_there_are_none() {
    let workspace = Workspace::new(COMPOSE);
    for (words, code, expected) in [
        (&["up", "--no-start"][..], 10, "made when it is started, and processes are: `web`"),
        (&["up", "--abort-on-container-exit"], 10, "wait for containers"),
        (&["up", "--exit-code-from", "web"], 10, "wait for containers"),
        (&["up", "--exit-code-from", "wbe"], 2, "did you mean `web`?"),
        (&["up", "--watch"], 5, "no service says what is to be watched"),
        (&["down", "--rmi", "all"], 10, "`--rmi` is about images"),
        (&["down", "--volumes", "web"], 2, "is for the whole project here"),
        (&["down", "wbe"], 2, "did you mean `web`?"),
    ] {
        let output = workspace.run(&[&["--engine", "local"], words].concat());
        assert_eq!(output.code, code, "{words:?}: {}", output.shown());
        assert!(output.stderr.contains(expected), "{words:?}: {}", output.shown());
    }
    let output = workspace.run(&["--engine", "local", "down", "web"]);
    assert!(output.stderr.contains("nothing of `web` is left"), "{}", output.shown());
}

#[test]
fn an_engine_that_does_not_answer_is_named() {
    let workspace = Workspace::new(COMPOSE);
    let mut command = workspace.command(&["--engine", "docker", "up"]);
    let output = command.env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{stderr}");
    assert!(stderr.contains("K-DOCKER-001") && stderr.contains("unix:///nowhere/docker.sock"), "{stderr}");
    let mut command = workspace.command(&["--engine", "docker", "up"]);
    let output = command.env("DOCKER_HOST", "ssh://me@127.0.0.1:1").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{stderr}");
    assert!(stderr.contains("K-DOCKER-001") && stderr.contains("ssh"), "{stderr}");
}

#[test]
fn infra_only_writes_env_files_that_a_dotenv_reader_understands() {
    use std::os::unix::fs::PermissionsExt;

    let workspace = Workspace::new(COMPOSE);
    let output = workspace.run(&["up", "--infra-only"]);
    assert_eq!(output.code, 0, "{}", output.shown());
    assert!(output.stdout.contains(".kernel/shop/infra.env"), "{}", output.shown());
    for file in ["infra.env", "infra/web.env"] {
        let path = workspace.root().join(".kernel/shop").join(file);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        let values: std::collections::BTreeMap<String, String> =
            dotenvy::from_path_iter(&path).unwrap().map(|entry| entry.unwrap()).collect();
        assert!(values["INTERNAL_TOKEN"].len() >= 32, "{file}");
        assert!(values["DATABASE_URL"].starts_with("sqlite:///"), "{file}");
    }
    workspace.run(&["down", "--volumes"]);
    assert!(!workspace.root().join(".kernel").exists());
}

#[test]
fn a_password_is_only_taken_from_standard_input() {
    let workspace = Workspace::new(COMPOSE);
    let flag = workspace.run(&["setup", "--email", "a@b.example"]);
    assert_eq!(flag.code, 2);
    assert!(flag.stderr.contains("--password-stdin"), "{}", flag.shown());
    let no_iam = workspace.run(&["setup", "--email", "a@b.example", "--password-stdin"]);
    assert!(no_iam.stderr.contains("K-OPS-010"), "{}", no_iam.shown());
}

#[test]
fn doctor_says_what_is_wrong_with_a_project_that_can_not_be_read() {
    let output = Workspace::new("services: [\n").run(&["doctor", "-o", "json"]);
    assert_eq!(output.code, 10);
    let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["schema"], "kernel.doctor/v1");
    let findings = json["findings"].as_array().unwrap();
    let project = findings.iter().find(|finding| finding["check"] == "project").unwrap();
    assert_eq!(
        (project["verdict"].as_str(), project["fix"].as_str()),
        (Some("fail"), Some("`kernel config` shows them"))
    );
}
