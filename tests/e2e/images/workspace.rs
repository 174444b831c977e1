//! A workspace for one test, with a static program in place of a service's, and calls of the built binary in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

const PROGRAM: &str = include_str!("program.rs");

/// A workspace, gone with the test.
pub struct Workspace {
    folder: tempfile::TempDir,
    /// Unique on this machine: part of every name that the test gives away.
    pub name: String,
}

impl Workspace {
    /// With the services `one` and `two`, which differ in nothing but their name, and a Dockerfile's `three`.
    pub fn new(label: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name = format!("kernel-test-{label}-{}", std::process::id());
        let service = |service: &str| {
            format!("  {service}:\n    image: {name}/{service}:dev\n    x-kernel: {{ package: {service} }}\n")
        };
        let compose = format!(
            "name: images\nservices:\n{}{}  three:\n    image: {name}/three:dev\n    build: {{ context: three }}\n",
            service("one"),
            service("two")
        );
        let workspace = Self { folder, name };
        workspace.write("versions.env", b"A=1\n");
        workspace.write("docker/docker-compose.yml", compose.as_bytes());
        workspace.write(
            "docker/three/Dockerfile",
            b"FROM scratch\nARG SAYS=nothing\nLABEL says=$SAYS\nCOPY hello /\n",
        );
        workspace.write("docker/three/hello", b"hello\n");
        for service in ["one", "two"] {
            let program = workspace.path(&format!("programs/{service}"));
            std::fs::create_dir_all(program.parent().expect("a folder")).expect("a folder");
            std::fs::copy(static_program(), program).expect("a copy");
        }
        workspace
    }

    /// A path in it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    /// A call of the binary in it, with the variables that a test names and no others of this machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        command.args(["--progress", "plain"]).args(arguments).current_dir(self.folder.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("KERNEL_BIN_DIR", "programs");
        command.env("SOURCE_DATE_EPOCH", "1767323045");
        command
    }

    /// Calls and requires that it succeeds; gives the answer as JSON.
    #[track_caller]
    pub fn answer(&self, command: &mut Command) -> Value {
        let output = command.args(["-o", "json"]).output().expect("the binary starts");
        assert!(output.status.success(), "{command:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Calls and requires that it fails; gives what it said.
    #[track_caller]
    pub fn refusal(&self, command: &mut Command) -> String {
        let output = command.output().expect("the binary starts");
        assert!(!output.status.success(), "{command:?}: {}", told(&output));
        told(&output)
    }
}

fn told(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// One result per image of an answer.
pub fn results(answer: &Value) -> Vec<String> {
    let images = answer["images"].as_array().expect("images");
    images.iter().map(|image| image["result"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The tests' own program, linked static once per run.
fn static_program() -> &'static Path {
    static PLACE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    &PLACE
        .get_or_init(|| {
            let folder = tempfile::tempdir().expect("a folder");
            let (source, program) = (folder.path().join("program.rs"), folder.path().join("program"));
            std::fs::write(&source, PROGRAM).expect("a file");
            let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
                .args(["--edition", "2024", "-C", "target-feature=+crt-static", "-C", "strip=symbols"])
                .args(["--target", "x86_64-unknown-linux-gnu"])
                .arg("-o")
                .args([&program, &source])
                .output()
                .expect("rustc starts");
            assert!(output.status.success(), "{}", told(&output));
            (folder, program)
        })
        .1
}
