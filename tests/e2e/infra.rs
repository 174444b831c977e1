//! `kernel up --infra-only --engine docker`: what services stand on runs in containers, and a service that is run by hand
//! finds all of it with the environment that was written down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(target_os = "linux")]

#[path = "support.rs"]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use support::{Platform, describe, root, until};

/// The ports of this machine by which a service by hand finds its stores.
const STORES: [(&str, u16); 8] = [
    ("postgres", 5432),
    ("valkey", 6379),
    ("kafka", 9092),
    ("rabbitmq", 5672),
    ("clickhouse", 8123),
    ("vault", 8200),
    ("feature-flags", 1031),
    ("seaweedfs", 8333),
];

/// The same project with Docker. Gone when the test ends.
struct Containers<'a>(&'a Platform);

impl Containers<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        let offset = self.0.offset.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command
            .current_dir(root())
            .args(["--project-name", &self.0.name, "--port-offset", &offset])
            .args(["--engine", "docker", "--progress", "plain"])
            .args(arguments);
        command.output().unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "`kernel {}` failed:\n{}", arguments.join(" "), describe(&output));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }
}

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        drop(self.run(&["down", "--volumes"]));
    }
}

struct ByHand(Child);

impl Drop for ByHand {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn variables(path: &Path) -> Vec<(String, String)> {
    dotenvy::from_path_iter(path).unwrap().map(|entry| entry.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_run_by_hand_finds_real_stores() {
    if std::env::var_os("DOCKER_HOST").is_none() {
        kernel_testkit::left_out("a_service_run_by_hand_finds_real_stores", "DOCKER_HOST is not set");
        return;
    }
    // Builds the programs as `up` does, and shows that the two engines do not disturb each other.
    let platform = Platform::new("infra");
    platform.kernel(&["up"]);
    platform.kernel(&["down", "--volumes"]);

    let containers = Containers(&platform);
    let answer = containers.json(&["up", "--infra-only", "-o", "json"]);
    let running = containers.json(&["ps", "-o", "json"]);
    let mut names: Vec<&str> = running["services"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|service| service["name"].as_str())
        .collect();
    names.sort_unstable();
    let mut expected = STORES.map(|(name, _)| name);
    expected.sort_unstable();
    assert_eq!(names, expected, "stores, and nothing that needs a service of ours");

    let file = |service: &str| PathBuf::from(answer["services"][service].as_str().unwrap());
    let billing = variables(&file("billing"));
    assert_eq!(std::fs::metadata(file("billing")).unwrap().permissions().mode() & 0o777, 0o600);
    let value = |name: &str| &billing.iter().find(|(known, _)| known == name).unwrap().1;
    let here = |port: u16| format!("@127.0.0.1:{}", port + platform.offset);
    assert!(value("DATABASE_URL").starts_with("postgres://platform:"), "it is a store of its own");
    assert!(value("DATABASE_URL").ends_with(&format!("{}/platform_billing", here(5432))));
    assert!(value("CACHE_URL").ends_with(&here(6379)));
    let everything: String = ["iam", "data-layer", "event-bus", "files", "integration-hub", "notify"]
        .map(|name| variables(&file(name)).into_iter().map(|(_, value)| value + "\n").collect::<String>())
        .concat();
    for (store, port) in STORES {
        for before in ["@", "//"] {
            let inside = format!("{before}{store}:");
            assert!(!everything.contains(&inside), "`{store}` is a name of the containers' network");
        }
        let address = format!("127.0.0.1:{}", port + platform.offset);
        assert!(everything.contains(&address), "{store} is at {address}:\n");
        tokio::net::TcpStream::connect(&address).await.unwrap();
    }

    let program = platform.folder().join("../../target/debug/billing");
    let started = Command::new(program).envs(billing).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _billing = ByHand(started.unwrap());
    until("billing by hand to be ready on PostgreSQL and Valkey", async || {
        let url = format!("{}/health/ready", platform.address(8087));
        let answer = reqwest::get(&url).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;

    containers.json(&["down", "--volumes"]);
    assert_eq!(containers.json(&["ps", "-o", "json"])["services"].as_array().map(Vec::len), Some(0));
}
