//! A thirteenth service, as `kernel new service` writes it: the workspace builds, its tests pass, smoke is green.
//!
//! It happens in a copy of the workspace below `target/`, which keeps what it builds for the next run.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support.rs"]
mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use support::{Platform, build_folder, describe, root};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_service_builds_passes_its_tests_and_smoke() {
    let workspace = copy();
    let platform = Platform::in_workspace("scaffold", &workspace);
    platform.kernel(&["new", "service", "greeter"]);

    cargo(&workspace, &["fmt", "--all", "--check"]);
    cargo(
        &workspace,
        &["test", "--quiet", "--package", "greeter", "--package", "svc-api", "--package", "xtask"],
    );
    platform.kernel(&["versions", "check"]);

    platform.kernel(&["up"]);
    let services = platform.services().await;
    let greeter = services.iter().find(|service| service["name"] == "greeter").expect("the new service runs");
    assert_eq!(greeter["state"], json!("ready"));
    platform.kernel(&["smoke"]);

    let again = platform.command(&["new", "service", "greeter"]).output().unwrap();
    assert!(!again.status.success(), "a name that is taken is refused:\n{}", describe(&again));
    platform.kernel(&["down", "--volumes"]);
}

/// Copies what git knows of, or would take, into `target/scaffold/workspace`; it builds into `target/scaffold/build`.
fn copy() -> PathBuf {
    let target = root().join("target/scaffold/workspace");
    let _ = std::fs::remove_dir_all(&target);
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files of the workspace");
    assert!(listed.status.success(), "{}", describe(&listed));
    let names = String::from_utf8(listed.stdout).unwrap();
    for name in names.split_terminator('\0').filter(|name| root().join(name).is_file()) {
        let to = target.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root().join(name), &to).unwrap();
        let modified = root().join(name).metadata().unwrap().modified().unwrap();
        File::options().append(true).open(to).unwrap().set_modified(modified).unwrap();
    }
    target
}

#[track_caller]
fn cargo(workspace: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(workspace).env("CARGO_TARGET_DIR", build_folder(workspace));
    let output = command.output().unwrap();
    assert!(output.status.success(), "`cargo {}` failed:\n{}", arguments.join(" "), describe(&output));
}
