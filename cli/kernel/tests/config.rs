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
        // What is an option of the whole program stands before the command in docker compose.
        let (before, after): (Vec<&str>, Vec<&str>) =
            words.iter().copied().partition(|word| *word == "--compatibility");
        command.args(before).arg("config").args(after).current_dir(self.0.path()).env_clear();
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

    /// What both tools print as JSON, which has to be the same.
    fn same_json(&self, words: &[&str]) -> serde_json::Value {
        let words = [words, &["--format", "json"]].concat();
        let ours: serde_json::Value = serde_json::from_str(&self.config(&words)).unwrap();
        if let Some(program) = std::env::var_os("TEST_DOCKER_COMPOSE_BIN") {
            let (_, answer, told) = self.run(Path::new(&program), &words);
            let reference: serde_json::Value =
                serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {told}"));
            assert_eq!(ours, reference, "{words:?}");
        }
        ours
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
    let json = |words: &[&str]| project.same_json(words);
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
        (&["--services", "--volumes"][..], "cannot be used with"),
    ] {
        let (accepted, answer, told) = project.run(program, words);
        assert!(!accepted && answer.is_empty() && told.contains(expected), "{words:?}: {told}");
    }
}

#[test]
fn compatibility_is_that_of_docker_compose() {
    let project = Project::new();
    assert!(project.lines(&["--compatibility", "--images"]).contains(&"shop_db".to_owned()));
    // With the flag nothing is written in, as with `--no-normalize`; the variable only changes names.
    let plain = project.same_json(&["--compatibility"]);
    assert_eq!(plain["services"]["web"]["networks"], serde_json::Value::Null);
    let env = project.0.path().join(".env");
    std::fs::write(&env, "PORT=8080\nRETRIES=3\nCOMPOSE_COMPATIBILITY=true\n").unwrap();
    assert!(project.lines(&["--images"]).contains(&"shop_db".to_owned()));
    project.same_json(&[]);
}

#[test]
fn how_much_at_once_may_stand_in_the_env_file() {
    let project = Project::new();
    let env = project.0.path().join(".env");
    std::fs::write(&env, "PORT=8080\nRETRIES=3\nCOMPOSE_PARALLEL_LIMIT=many\n").unwrap();
    let (accepted, _, told) = project.run(Path::new(env!("CARGO_BIN_EXE_kernel")), &["-q"]);
    assert!(!accepted && told.contains("COMPOSE_PARALLEL_LIMIT is `many`"), "{told}");
    std::fs::write(&env, "PORT=8080\nRETRIES=3\nCOMPOSE_PARALLEL_LIMIT=3\nCOMPOSE_ANSI=never\n").unwrap();
    project.config(&["-q"]);
}

/// A registry on this machine that knows one image, and how often it was asked for it.
struct Registry {
    address: std::net::SocketAddr,
    asked: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

const DIGEST: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

impl Registry {
    fn start() -> Self {
        use std::io::{BufRead, BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = std::sync::Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let request = lines.next().unwrap().unwrap();
                let _headers: Vec<String> =
                    lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
                let path = request.split(' ').nth(1).unwrap();
                let kind = "Content-Type: application/vnd.oci.image.index.v1+json";
                let answer = match path {
                    "/v2/" => "200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
                    "/v2/acme/web/manifests/1.2" => {
                        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        format!(
                            "200 OK\r\n{kind}\r\nDocker-Content-Digest: {DIGEST}\r\nContent-Length: 0\r\n\r\n"
                        )
                    }
                    _ => "404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                };
                let answer = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                let _gone = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
            }
        });
        Self { address, asked }
    }
}

#[test]
fn images_get_the_digests_that_their_registry_has() {
    let registry = Registry::start();
    let place = registry.address;
    let pinned = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let project = Project::new();
    let compose = format!(
        "name: shop\nservices:\n  web: {{ image: '{place}/acme/web:1.2', build: . }}\n  again: {{ image: '{place}/acme/web:1.2' }}\n  old: {{ image: '{place}/acme/old:3@{pinned}' }}\n  built: {{ build: . }}\n"
    );
    std::fs::write(project.0.path().join("compose.yaml"), &compose).unwrap();
    let resolved: serde_json::Value =
        serde_json::from_str(&project.config(&["--resolve-image-digests", "--format", "json"])).unwrap();
    let image = |name: &str| resolved["services"][name]["image"].clone();
    assert_eq!(image("web"), format!("{place}/acme/web:1.2@{DIGEST}"));
    assert_eq!(image("again"), image("web"));
    // What has a digest already needs no tag, and nobody is asked for it.
    assert_eq!(image("old"), format!("{place}/acme/old@{pinned}"));
    assert_eq!(image("built"), serde_json::Value::Null);
    assert_eq!(registry.asked.load(std::sync::atomic::Ordering::SeqCst), 1, "once for both");

    let lock = project.config(&["--lock-image-digests"]);
    assert!(lock.contains(&format!("{place}/acme/web:1.2@{DIGEST}")), "{lock}");
    std::fs::write(project.0.path().join("compose.override.yaml"), &lock).unwrap();
    let locked = project.config(&["--images"]);
    assert!(locked.contains(DIGEST), "the lock is a file to be merged over: {locked}");
}

#[test]
fn every_image_without_a_digest_is_told_at_once() {
    let registry = Registry::start();
    let place = registry.address;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let project = Project::new();
    let compose = format!(
        "services:\n  gone: {{ image: '{place}/acme/gone' }}\n  closed: {{ image: '{closed}/acme/web' }}\n  bad: {{ image: 'Not A Name' }}\n"
    );
    std::fs::write(project.0.path().join("compose.yaml"), &compose).unwrap();
    let kernel = Path::new(env!("CARGO_BIN_EXE_kernel"));
    let (accepted, answer, told) = project.run(kernel, &["--resolve-image-digests"]);
    assert!(!accepted && answer.is_empty(), "{answer}");
    for expected in [
        format!("the digest of `{place}/acme/gone:latest` is not known: {place} has no such image"),
        format!("the digest of `{closed}/acme/web:latest` is not known"),
        "`Not A Name` can't be the name of an image".to_owned(),
    ] {
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ").replace("| ", "");
        assert!(told.contains(&expected), "{expected}: {told}");
    }
}
