//! Which files are taken: those of docker compose by its own rules, and the platform's inside a workspace of it.
//!
//! Each case is also given to docker compose itself where `TEST_DOCKER_COMPOSE_BIN` names it, and has to come to the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A folder with files, gone with the test.
struct Folder(tempfile::TempDir);

/// One call: where, with which variables, words and standard input.
#[derive(Clone, Copy, Default)]
struct Call<'a> {
    at: &'a str,
    variables: &'a [(&'a str, &'a str)],
    words: &'a [&'a str],
    input: &'a str,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = folder.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn run(&self, program: &Path, call: Call<'_>) -> (bool, String, String) {
        let at = self.path(call.at);
        let mut child = Command::new(program)
            .args(call.words)
            .current_dir(&at)
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/home/u")])
            .env("PWD", at)
            .envs(call.variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), call.input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// What `kernel` makes of it, after docker compose came to the same.
    fn config(&self, call: Call<'_>) -> Result<Value, String> {
        let ours = self.ours(call);
        if let Some(program) = reference() {
            let (accepted, answer, told) =
                self.run(&program, Call { words: &with_format(call.words), ..call });
            assert_eq!(accepted, ours.is_ok(), "docker compose: {told}\nkernel: {ours:?}");
            if let Ok(ours) = &ours {
                let reference: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(ours, &reference);
            }
        }
        ours
    }

    fn ours(&self, call: Call<'_>) -> Result<Value, String> {
        let program = Path::new(env!("CARGO_BIN_EXE_kernel"));
        let (accepted, answer, told) = self.run(program, Call { words: &with_format(call.words), ..call });
        if accepted { Ok(serde_json::from_str(&answer).unwrap()) } else { Err(told) }
    }
}

fn with_format<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut all: Vec<&str> = words.to_vec();
    if !all.contains(&"config") {
        all.push("config");
    }
    all.extend(["--format", "json"]);
    all
}

fn reference() -> Option<PathBuf> {
    let program = std::env::var_os("TEST_DOCKER_COMPOSE_BIN").map(PathBuf::from);
    if program.is_none() {
        eprintln!(
            "skipped: the comparison needs TEST_DOCKER_COMPOSE_BIN; what kernel does is tested all the same"
        );
    }
    program
}

fn image(found: &Result<Value, String>, service: &str) -> String {
    let found = found.as_ref().unwrap_or_else(|told| panic!("{told}"));
    found["services"][service]["image"].as_str().unwrap_or_default().to_owned()
}

const ONE: &str = "services: { web: { image: one, volumes: [\"./data:/data\"] } }\n";
const TWO: &str = "services: { web: { image: two } }\n";

#[test]
fn the_nearest_file_above_is_taken_and_its_override_with_it() {
    let folder = Folder::new(&[
        ("shop/compose.yaml", ONE),
        ("shop/compose.override.yml", "services: { web: { image: over } }\n"),
        ("shop/a/b/none.txt", ""),
        ("docker-compose.yml", TWO),
    ]);
    for at in ["shop", "shop/a", "shop/a/b"] {
        let found = folder.config(Call { at, ..Call::default() });
        assert_eq!(image(&found, "web"), "over");
        let found = found.unwrap();
        assert_eq!(found["name"], "shop");
        let source = folder.path("shop/data");
        assert_eq!(found["services"]["web"]["volumes"][0]["source"], source.to_str().unwrap());
    }
    assert_eq!(image(&folder.config(Call::default()), "web"), "two");
}

#[test]
fn names_have_an_order_and_a_named_file_has_no_override() {
    let folder = Folder::new(&[
        ("compose.yml", "services: { web: { image: yml } }\n"),
        ("docker-compose.yml", TWO),
        ("compose.override.yaml", "services: { web: { image: over } }\n"),
    ]);
    let (_, _, told) =
        folder.run(Path::new(env!("CARGO_BIN_EXE_kernel")), Call { words: &["config"], ..Call::default() });
    assert!(told.contains("several files could be meant"), "{told}");
    assert_eq!(image(&folder.config(Call::default()), "web"), "over");
    let named = Call { words: &["-f", "docker-compose.yml"], ..Call::default() };
    assert_eq!(image(&folder.config(named), "web"), "two");
}

#[test]
fn options_stand_before_or_after_the_command() {
    let folder = Folder::new(&[("a.yml", ONE), ("b.yml", TWO), ("e.env", "X=1\n")]);
    let before = ["-f", "a.yml", "-f", "b.yml", "-p", "shop", "--env-file", "e.env", "config"];
    let after = ["config", "-f", "a.yml", "-f", "b.yml", "-p", "shop", "--env-file", "e.env"];
    let found = folder.config(Call { words: &before, ..Call::default() });
    assert_eq!(image(&found, "web"), "two");
    assert_eq!(folder.ours(Call { words: &after, ..Call::default() }), found);
    let both = ["-f", "a.yml", "config", "-f", "b.yml", "-p", "shop", "--env-file", "e.env"];
    assert_eq!(folder.ours(Call { words: &both, ..Call::default() }), found);
    let rest = ["--ansi", "never", "--parallel", "2", "--progress", "plain", "-f", "a.yml", "config"];
    assert_eq!(image(&folder.config(Call { words: &rest, ..Call::default() }), "web"), "one");
    let rest = ["-f", "a.yml", "config", "--ansi=never", "--parallel=-1", "--progress=quiet"];
    assert_eq!(image(&folder.ours(Call { words: &rest, ..Call::default() }), "web"), "one");
}

#[test]
fn standard_input_is_a_file() {
    let folder = Folder::new(&[("sub/b.yml", TWO)]);
    let alone = folder.config(Call { words: &["-f", "-"], input: ONE, ..Call::default() });
    assert_eq!(image(&alone, "web"), "one");
    let source = folder.path("data");
    assert_eq!(alone.unwrap()["services"]["web"]["volumes"][0]["source"], source.to_str().unwrap());
    let found = folder.config(Call { words: &["-f", "-", "-f", "sub/b.yml"], input: ONE, ..Call::default() });
    assert_eq!(image(&found, "web"), "two");
}

#[test]
fn variables_say_what_options_say() {
    let folder = Folder::new(&[
        (
            "a.yml",
            "services: { web: { image: \"${IMAGE:-none}\" }, more: { image: m, profiles: [extra] } }\n",
        ),
        ("b.yml", "services: { web: { environment: { FROM: b } } }\n"),
        (".env", "IMAGE=dot\n"),
        ("one.env", "IMAGE=one\n"),
        ("two.env", "IMAGE=two\nCOMPOSE_PROJECT_NAME=from-file\n"),
    ]);
    let call = |variables: &[(&str, &str)]| folder.config(Call { variables, ..Call::default() });
    let files = ("COMPOSE_FILE", "a.yml:b.yml");
    assert_eq!(image(&call(&[files]), "web"), "dot");
    assert_eq!(call(&[files]).unwrap()["services"]["web"]["environment"]["FROM"], "b");
    let separated = [("COMPOSE_FILE", "a.yml;b.yml"), ("COMPOSE_PATH_SEPARATOR", ";")];
    assert_eq!(image(&call(&separated), "web"), "dot");
    assert_eq!(image(&call(&[files, ("COMPOSE_DISABLE_ENV_FILE", "1")]), "web"), "none");
    let found = call(&[files, ("COMPOSE_ENV_FILES", "one.env,two.env")]);
    assert_eq!(
        (image(&found, "web"), found.unwrap()["name"].clone()),
        ("two".to_owned(), "from-file".into())
    );
    assert_eq!(call(&[files, ("COMPOSE_PROJECT_NAME", "given")]).unwrap()["name"], "given");
    assert_eq!(image(&call(&[files, ("COMPOSE_PROFILES", "extra")]), "more"), "m");
    assert!(call(&[files, ("COMPOSE_PROJECT_NAME", "Given!")]).is_err());
    assert!(call(&[("COMPOSE_FILE", "a.yml:missing.yml")]).is_err());
    assert!(call(&[files, ("COMPOSE_DISABLE_ENV_FILE", "maybe")]).is_err());
}

#[test]
fn an_env_file_may_name_the_files() {
    let folder = Folder::new(&[
        (".env", "COMPOSE_FILE=sub/a.yml\nCOMPOSE_PROFILES=extra\nX=outer\n"),
        (
            "sub/a.yml",
            "services: { web: { image: \"${X}-${Y:-none}\" }, more: { image: m, profiles: [extra] } }\n",
        ),
        ("sub/.env", "X=inner\nY=inner\n"),
    ]);
    let found = folder.config(Call::default());
    assert_eq!((image(&found, "web"), image(&found, "more")), ("outer-inner".to_owned(), "m".to_owned()));
    assert_eq!(found.unwrap()["name"], "sub");
}

#[test]
fn the_name_follows_the_folder_the_file_or_the_option() {
    let folder = Folder::new(&[
        ("My Shop_1/compose.yaml", ONE),
        ("named/compose.yaml", "name: ${N:-From-File}\nservices: { web: { image: one } }\n"),
        ("___/compose.yaml", ONE),
    ]);
    let name = |at, words: &[&str]| {
        folder.config(Call { at, words, ..Call::default() }).map(|found| found["name"].clone())
    };
    assert_eq!(name("My Shop_1", &[]), Ok("myshop_1".into()));
    assert_eq!(name("named", &[]), Ok("from-file".into()));
    assert_eq!(name("named", &["-p", "other"]), Ok("other".into()));
    assert_eq!(name("", &["--project-directory", "named"]), Ok("from-file".into()));
    assert!(name("___", &[]).is_err());
    assert!(name("named", &["-p", "Other"]).is_err());
}

#[test]
fn a_project_directory_moves_paths_and_env_file() {
    let folder = Folder::new(&[
        ("a/compose.yaml", "services: { web: { image: \"${X:-none}\", volumes: [\"./data:/data\"] } }\n"),
        ("b/.env", "X=b\n"),
    ]);
    let words = ["-f", "a/compose.yaml", "--project-directory", "b"];
    let found = folder.config(Call { words: &words, ..Call::default() });
    assert_eq!(image(&found, "web"), "b");
    let source = folder.path("b/data");
    assert_eq!(found.unwrap()["services"]["web"]["volumes"][0]["source"], source.to_str().unwrap());
}

#[test]
fn a_link_keeps_its_name() {
    let folder = Folder::new(&[("real/compose.yaml", ONE)]);
    let link = folder.path("linked");
    std::os::unix::fs::symlink(folder.path("real"), &link).unwrap();
    let variables = [("PWD", link.to_str().unwrap())];
    let found = folder.config(Call { at: "real", variables: &variables, ..Call::default() }).unwrap();
    assert_eq!(found["name"], "linked");
}

#[test]
fn nothing_there_is_told_with_what_to_do() {
    let folder = Folder::new(&[("none.txt", "")]);
    let told = folder.config(Call::default()).unwrap_err();
    assert!(told.contains("K-COMPOSE-034") && told.contains("--project-directory"), "{told}");
    let told = folder.config(Call { words: &["-f", "missing.yml"], ..Call::default() }).unwrap_err();
    assert!(told.contains("missing.yml"), "{told}");
}

/// A workspace of the platform with other projects in it and around it.
fn platform() -> Folder {
    Folder::new(&[
        ("compose.yaml", TWO),
        ("work/versions.env", "VERSION=7\n"),
        (
            "work/docker/docker-compose.yml",
            "name: platform\nservices: { web: { image: \"web:${VERSION:-none}\", build: .. } }\n",
        ),
        ("work/docker/more.yml", "services: { web: { image: \"more:${VERSION:-none}\" } }\n"),
        ("work/services/web/src/none.txt", ""),
        ("work/examples/compose.yaml", "services: { web: { image: \"example:${VERSION:-none}\" } }\n"),
        ("work/examples/deep/none.txt", ""),
        ("half/versions.env", "VERSION=7\n"),
    ])
}

#[test]
fn inside_a_workspace_the_defaults_are_the_platforms() {
    let folder = platform();
    for at in ["work", "work/services/web/src", "work/docker"] {
        let found = folder.ours(Call { at, ..Call::default() });
        assert_eq!(image(&found, "web"), "web:7", "{at}");
        let found = found.unwrap();
        assert_eq!(found["services"]["web"]["build"]["context"], folder.path("work").to_str().unwrap());
    }
    let named = Call { words: &["--project-directory", "work"], ..Call::default() };
    assert_eq!(image(&folder.ours(named), "web"), "web:7");
    let other = Call { at: "work", variables: &[("VERSION", "8")], ..Call::default() };
    assert_eq!(image(&folder.ours(other), "web"), "web:8");
}

#[test]
fn inside_a_workspace_other_files_are_docker_composes() {
    let folder = platform();
    for at in ["work/examples", "work/examples/deep"] {
        assert_eq!(image(&folder.config(Call { at, ..Call::default() }), "web"), "example:none", "{at}");
    }
    let files = ["-f", "docker/docker-compose.yml", "-f", "docker/more.yml"];
    let named = Call { at: "work", words: &files, ..Call::default() };
    assert_eq!(image(&folder.config(named), "web"), "more:none");
    let with = [&files[..], &["--env-file", "versions.env"]].concat();
    let named = Call { at: "work", words: &with, ..Call::default() };
    assert_eq!(image(&folder.config(named), "web"), "more:7");
    let variable = Call { at: "work", variables: &[("COMPOSE_FILE", "docker/more.yml")], ..Call::default() };
    assert_eq!(image(&folder.config(variable), "web"), "more:none");
    // Only pins are no workspace.
    assert_eq!(image(&folder.config(Call { at: "half", ..Call::default() }), "web"), "two");
}
