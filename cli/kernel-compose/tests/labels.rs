//! The hashes that docker compose writes into labels, on an Engine.
//!
//! Needs `DOCKER_HOST` and `TEST_DOCKER_COMPOSE_BIN` (`cargo xtask testbed env` prints both); without them the test says so
//! and is skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use kernel_compose::{FileText, Files, LoadRequest, load, service_hash};
use kernel_core::source::Sources;

const COMPOSE: &str = r#"
name: kernel-compose-labels
services:
  base:
    build: .
    command: [sleep, "<1 & 2>"]
    env_file: [a.env, { path: none.env, required: false }]
    label_file: a.env
    environment: { PRICE: "$$5", EMPTY: , DOUBLE: 1.50 }
    cpus: 0.1
    mem_limit: 64m
    healthcheck: { test: exit 0, interval: 1m30s, retries: 3 }
    ports: ["127.0.0.1::80"]
    extra_hosts: { b.example: 10.0.0.2, a.example: 10.0.0.1 }
    ulimits: { nofile: { soft: 10, hard: 20 }, nproc: 5 }
    volumes: ["data:/data:ro", "./a.env:/a.env"]
    deploy: { replicas: 1, labels: { a: b } }
    pull_policy: build
  beside:
    image: kernel-compose-labels-base
    pull_policy: never
    command: [x]
    depends_on: { base: { condition: service_started } }
    network_mode: service:base
    ipc: host
    volumes_from: ["base:ro"]
volumes: { data: { labels: { kind: test } } }
"#;

struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> FileText {
        std::fs::read_to_string(path).map_or(FileText::Missing, FileText::Text)
    }
}

/// Takes the stack down again, whatever came of the test.
struct Stack<'a> {
    program: &'a str,
    folder: &'a Path,
}

impl Stack<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(self.program)
            .args(arguments)
            .current_dir(self.folder)
            // The classic builder, which needs no plugin.
            .env("DOCKER_BUILDKIT", "0")
            .output()
            .unwrap()
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        self.run(&["down", "--volumes", "--rmi", "all", "--timeout", "0"]);
    }
}

#[test]
fn a_label_has_the_hash_of_its_service() {
    let wanted = ["DOCKER_HOST", "TEST_DOCKER_COMPOSE_BIN"];
    let Ok([_, program]) = wanted
        .map(std::env::var)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map(|found| <[String; 2]>::try_from(found).unwrap())
    else {
        eprintln!(
            "skipped: a_label_has_the_hash_of_its_service needs DOCKER_HOST and TEST_DOCKER_COMPOSE_BIN"
        );
        return;
    };
    let folder = std::env::temp_dir().join(format!("kernel-compose-labels-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    std::fs::write(folder.join("compose.yaml"), COMPOSE).unwrap();
    std::fs::write(folder.join("a.env"), "FROM_FILE=${PRICE}\n").unwrap();
    std::fs::write(folder.join("Dockerfile"), "FROM scratch\nLABEL of=kernel-compose\n").unwrap();
    let stack = Stack { program: &program, folder: &folder };
    let created = stack.run(&["create", "--build"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let listed = stack.run(&["ps", "--all", "--no-trunc", "--format", "json"]);
    let mut labels = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        let container: serde_json::Value = serde_json::from_str(line).unwrap();
        let service = container["Service"].as_str().unwrap().to_owned();
        let all = container["Labels"].as_str().unwrap().to_owned();
        let hash = all.split(',').find_map(|label| label.strip_prefix("com.docker.compose.config-hash="));
        labels.insert(service.clone(), hash.unwrap().to_owned());
        ids.insert(service, container["ID"].as_str().unwrap().to_owned());
    }

    let mut sources = Sources::default();
    let files = [sources.add("compose.yaml", COMPOSE)];
    let (environment, generated) = (BTreeMap::new(), BTreeMap::new());
    let request = LoadRequest {
        files: &files,
        env_files: &[],
        environment: &environment,
        generated: &generated,
        profiles: &[],
        project_name: None,
        project_directory: folder.to_str().unwrap(),
        reader: &Disk,
    };
    let loaded = load(&request, &mut sources);
    let project = loaded.project.unwrap_or_else(|| panic!("{}", common::told(&loaded.diagnostics, &sources)));
    let ours: BTreeMap<String, String> = project
        .services
        .keys()
        .map(|name| (name.clone(), service_hash(&project, name, &|other| ids.get(other).cloned()).unwrap()))
        .collect();
    drop(stack);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(ours, labels);
    assert_eq!(ours.len(), 2);
}
