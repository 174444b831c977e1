//! Reading a project: what is right, what is wrong, and where.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{COMPOSE, Workspace, run};

#[test]
fn config_prints_the_project_as_it_is_understood() {
    let workspace = Workspace::new(COMPOSE);
    let yaml = workspace.run(&["config"]);
    assert_eq!(yaml.code, 0, "{}", yaml.shown());
    assert!(
        yaml.stdout.contains("image: web:7\n") && yaml.stdout.contains("name: shop\n"),
        "{}",
        yaml.stdout
    );
    let json = workspace.run(&["config", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["services"]["db"]["image"], "postgres:17-alpine");
    assert_eq!(workspace.run(&["config", "--services"]).stdout, "db\nweb\n");
    let other = workspace.run(&["-p", "other", "config"]);
    assert!(other.stdout.contains("name: other\n"), "{}", other.stdout);
    assert!(!workspace.root().join(".kernel").exists(), "reading writes nothing");
}

#[test]
fn files_are_merged_and_variables_come_from_the_environment() {
    let workspace = Workspace::new(COMPOSE);
    workspace.write("more.yml", "services: { web: { environment: { GREETING: \"hello ${NAME:-you}\" } } }\n");
    let arguments = ["config", "-f", "docker/docker-compose.yml", "-f", "more.yml", "--format", "json"];
    let output = workspace.command(&arguments).env("NAME", "Ada").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["services"]["web"]["environment"]["GREETING"], "hello Ada");
}

#[test]
fn every_mistake_is_shown_where_it_is() {
    let broken =
        COMPOSE.replace("28911:8080", "28911:80800").replace("depends_on: { db:", "depends_on: { bd:");
    let output = Workspace::new(&broken).run(&["up"]);
    insta::assert_snapshot!(output.shown(), @r#"
    exit 2
    --- stdout
    --- stderr
    K-COMPOSE-012

      × `services.web.ports[0]`: `127.0.0.1:28911:80800` is not a port mapping: 80800 is larger than 65535
        ╭─[docker/docker-compose.yml:9:13]
      8 │       DATABASE_URL: postgres://db:5432/web
      9 │     ports: ["127.0.0.1:28911:80800"]
        ·             ───────────┬───────────
        ·                        ╰── 80800 is larger than 65535
     10 │     depends_on: { bd: { condition: service_started } }
        ╰────
      help: write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535

    K-COMPOSE-014

      × service `web` depends on `bd`, which does not exist
        ╭─[docker/docker-compose.yml:10:19]
      9 │     ports: ["127.0.0.1:28911:80800"]
     10 │     depends_on: { bd: { condition: service_started } }
        ·                   ─┬
        ·                    ╰── no such service
     11 │     x-kernel: { package: web, scenario: web }
        ╰────
      help: did you mean `db`?

    2 errors
    "#);
}

#[test]
fn diagnostics_can_be_read_by_programs() {
    let broken = COMPOSE.replace("28911:8080", "28911:80800");
    let output = Workspace::new(&broken).run(&["config", "--progress", "json"]);
    assert_eq!(output.code, 2);
    let line: serde_json::Value = serde_json::from_str(output.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(line["schema"], "kernel.diagnostic/v1");
    assert_eq!(line["diagnostic"]["places"][0]["file"], "docker/docker-compose.yml");
    assert_eq!(line["diagnostic"]["places"][0]["line"], 9);
}

#[test]
fn without_a_workspace_it_is_said_what_to_do() {
    let output = run(&["ps"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("K-COMPOSE-034") && output.stderr.contains("--project-directory"));
}

#[test]
fn a_service_that_is_not_there_is_told_with_what_may_be_meant() {
    let workspace = Workspace::new(COMPOSE);
    for command in ["up", "stop", "restart", "logs", "smoke"] {
        let output = workspace.run(&[command, "wbe"]);
        assert_eq!(output.code, 2, "{command}: {}", output.shown());
        assert!(output.stderr.contains("did you mean `web`?"), "{command}: {}", output.shown());
    }
}

#[test]
fn versions_are_listed_with_where_they_are_used() {
    let workspace = Workspace::new(COMPOSE);
    insta::assert_snapshot!(workspace.run(&["versions"]).stdout, @r"
    PIN               VERSION    USED AT
    WEB_VERSION       7          docker/docker-compose.yml:5
    POSTGRES_VERSION  17-alpine  docker/docker-compose.yml:13
    ");
    assert_eq!(workspace.run(&["versions", "check"]).code, 0);
}

#[test]
fn a_version_that_a_file_states_by_itself_fails_the_check_with_its_place() {
    let workspace = Workspace::new(&COMPOSE.replace("postgres:${POSTGRES_VERSION}", "postgres:16"));
    workspace
        .write("docker/Dockerfile.monorepo", "ARG WEB_VERSION\nARG RUSTY_VERSION\nFROM web:${WEB_VERSION}\n");
    let output = workspace.run(&["versions", "check"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("docker/docker-compose.yml:13:"), "{}", output.shown());
    assert!(output.stdout.is_empty());
}
