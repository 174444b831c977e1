//! `kernel config` and its parts: what each prints, and that docker compose prints the same.
//!
//! The comparison needs `TEST_DOCKER_COMPOSE_BIN`; without it the test says so and checks the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

use std::path::Path;
use std::process::Command;

const COMPOSE: &str = r#"
name: shop
services:
  web:
    image: "web:${TAG:-latest}"
    ports: ["${PORT:?set it}:80"]
    healthcheck: { test: "true", retries: $RETRIES }
    env_file: web.env
    depends_on: [db]
    volumes: ["data:/data", "./conf:/conf"]
    models: [llm]
    environment: { HASH: "a&b<c>" }
  db:
    build: ./db
    networks: [back]
  debug: { image: "debug:${TAG:+set}", profiles: [debug, tools] }
networks: { back: , unused: }
volumes: { data: , unused: }
models: { llm: { model: ai/small } }
"#;

struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("compose.yaml"), COMPOSE).unwrap();
        std::fs::write(folder.path().join(".env"), "PORT=8080\nRETRIES=3\n").unwrap();
        std::fs::write(folder.path().join("web.env"), "FROM_FILE=1\n").unwrap();
        Self(folder)
    }

    fn run(&self, program: &Path, words: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(program);
        command.arg("config").args(words).current_dir(self.0.path()).env_clear();
        let output = command.env("PATH", "/usr/bin:/bin").env("HOME", "/home/u").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// What `kernel config` prints.
    fn config(&self, words: &[&str]) -> String {
        let (accepted, answer, told) = self.run(Path::new(env!("CARGO_BIN_EXE_kernel")), words);
        assert!(accepted, "{words:?}: {told}");
        answer
    }

    /// The lines of both tools in order, which have to be the same.
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let ours = sorted(&self.config(words));
        match std::env::var_os("TEST_DOCKER_COMPOSE_BIN") {
            Some(program) => {
                let (accepted, answer, told) = self.run(Path::new(&program), words);
                assert!(accepted, "{words:?}: {told}");
                assert_eq!(ours, sorted(&answer), "{words:?}");
            }
            None => eprintln!("skipped: the comparison needs TEST_DOCKER_COMPOSE_BIN"),
        }
        ours
    }
}

#[test]
fn each_part_is_what_docker_compose_prints() {
    let project = Project::new();
    assert_eq!(project.lines(&["--services"]), ["db", "web"]);
    assert_eq!(project.lines(&["--volumes"]), ["data"]);
    assert_eq!(project.lines(&["--networks"]), ["back", "default"]);
    assert_eq!(project.lines(&["--models"]), ["ai/small"]);
    assert_eq!(project.lines(&["--images"]), ["shop-db", "web:latest"]);
    assert_eq!(project.lines(&["--images", "db"]), ["shop-db"]);
    assert_eq!(project.lines(&["--profiles"]), ["debug", "tools"]);
    assert_eq!(project.lines(&["--hash", "*"]).len(), 2);
    assert_eq!(project.lines(&["--hash", "web"]).len(), 1);
    let environment = project.lines(&["--environment"]);
    assert!(
        environment.contains(&"PORT=8080".to_owned())
            && environment.contains(&"COMPOSE_PROJECT_NAME=shop".to_owned())
    );
}

#[test]
fn templates_are_accepted_where_values_would_be_checked() {
    let project = Project::new();
    let plain = project.config(&["--no-interpolate"]);
    assert!(plain.contains("retries: $RETRIES") && plain.contains("web:${TAG:-latest}"), "{plain}");
    let json: serde_json::Value =
        serde_json::from_str(&project.config(&["--no-interpolate", "--format", "json"])).unwrap();
    assert_eq!(json["services"]["web"]["ports"][0], "${PORT:?set it}:80");
    assert_eq!(project.lines(&["--services", "--no-interpolate"]), ["db", "debug", "web"]);
}

#[test]
fn variables_are_listed_with_what_stands_for_them() {
    let project = Project::new();
    let json: serde_json::Value =
        serde_json::from_str(&project.config(&["--variables", "--format", "json"])).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "PORT": { "Name": "PORT", "DefaultValue": "", "PresenceValue": "", "Required": true },
            "RETRIES": { "Name": "RETRIES", "DefaultValue": "", "PresenceValue": "", "Required": false },
            "TAG": { "Name": "TAG", "DefaultValue": "", "PresenceValue": "set", "Required": false },
        })
    );
    let table = project.config(&["--variables"]);
    assert!(table.starts_with("NAME") && table.contains("PORT"), "{table}");
}

#[test]
fn steps_can_be_left_out() {
    let project = Project::new();
    let json = |words: &[&str]| -> serde_json::Value {
        let words = [words, &["--format", "json"]].concat();
        let ours: serde_json::Value = serde_json::from_str(&project.config(&words)).unwrap();
        if let Some(program) = std::env::var_os("TEST_DOCKER_COMPOSE_BIN") {
            let (_, answer, told) = project.run(Path::new(&program), &words);
            let reference: serde_json::Value =
                serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {told}"));
            assert_eq!(ours, reference, "{words:?}");
        }
        ours
    };
    assert_eq!(json(&["--no-path-resolution"])["services"]["web"]["volumes"][1]["source"], "./conf");
    assert_eq!(json(&["--no-normalize"])["services"]["web"]["networks"], serde_json::Value::Null);
    assert_eq!(json(&["web"])["services"]["db"]["build"]["dockerfile"], "Dockerfile");
    assert_eq!(json(&["db"])["services"]["web"], serde_json::Value::Null);
    assert_eq!(json(&["--no-consistency"])["services"]["web"]["environment"]["FROM_FILE"], "1");
}

#[test]
fn the_answer_goes_to_a_file_or_nowhere() {
    let project = Project::new();
    assert_eq!(project.config(&["-q"]), "");
    assert_eq!(project.config(&["--output", "out.json", "--format", "json"]), "");
    let written = std::fs::read_to_string(project.0.path().join("out.json")).unwrap();
    assert_eq!(written, project.config(&["--format", "json"]));
    // What is printed as YAML is read as the same project again.
    std::fs::write(project.0.path().join("again.yaml"), project.config(&[])).unwrap();
    let again = project.config(&["-f", "again.yaml", "--format", "json"]);
    assert_eq!(again, project.config(&["--format", "json"]));
}

#[test]
fn what_is_not_there_is_said() {
    let project = Project::new();
    let program = Path::new(env!("CARGO_BIN_EXE_kernel"));
    for (words, expected) in [
        (&["--hash", "nobody"][..], "there is no service `nobody`"),
        (&["nobody"][..], "there is no service `nobody`"),
        (&["--resolve-image-digests"][..], "not implemented"),
        (&["--services", "--volumes"][..], "cannot be used with"),
    ] {
        let (accepted, answer, told) = project.run(program, words);
        assert!(!accepted && answer.is_empty() && told.contains(expected), "{words:?}: {told}");
    }
}
