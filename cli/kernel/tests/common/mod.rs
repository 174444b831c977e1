//! A workspace of its own for one test, and calls of the built program that see nothing of this machine.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// A Compose file with one service of ours and one store.
pub const COMPOSE: &str = "\
name: shop
x-kernel: { generate: [INTERNAL_TOKEN] }
services:
  web:
    image: web:${WEB_VERSION}
    environment:
      INTERNAL_TOKEN: ${INTERNAL_TOKEN:?made by kernel}
      DATABASE_URL: postgres://db:5432/web
    ports: [\"127.0.0.1:28911:8080\"]
    depends_on: { db: { condition: service_started } }
    x-kernel: { package: web, scenario: web }
  db:
    image: postgres:${POSTGRES_VERSION}
    x-kernel: { embedded: { DATABASE_URL: \"sqlite://{data}/{service}.db\" } }
";

/// A folder that is a workspace, gone with the test.
pub struct Workspace {
    folder: tempfile::TempDir,
}

/// What a call gave.
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// The answer.
    pub stdout: String,
    /// The conversation.
    pub stderr: String,
}

impl Workspace {
    /// A workspace with this Compose file.
    pub fn new(compose: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Self { folder };
        workspace.write("versions.env", "WEB_VERSION=7\nPOSTGRES_VERSION=17-alpine\n");
        workspace.write("docker/docker-compose.yml", compose);
        // A program that is there is not built, and nothing here starts it.
        workspace.write("programs/web", "#!/bin/false\n");
        workspace
    }

    /// The folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path)).unwrap()
    }

    /// Every file with its text.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.folder.path(), &mut found);
        found
    }

    /// A call in this workspace.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.current_dir(self.folder.path()).env("KERNEL_BIN_DIR", self.folder.path().join("programs"));
        command
    }

    /// Calls, and gives what came with the folder's name hidden.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut output = finish(self.command(arguments));
        for root in [self.root(), self.folder.path().to_owned()] {
            let root = root.display().to_string();
            output.stdout = output.stdout.replace(&root, "[ROOT]");
            output.stderr = output.stderr.replace(&root, "[ROOT]");
        }
        output
    }
}

impl Drop for Workspace {
    /// Whatever a failed test left running ends with it.
    fn drop(&mut self) {
        if let Ok(projects) = std::fs::read_dir(self.folder.path().join(".kernel")) {
            for project in projects.flatten() {
                let name = project.file_name().to_string_lossy().into_owned();
                let _gone = self.command(&["-p", &name, "down", "--volumes"]).output();
            }
        }
    }
}

impl Output {
    /// Everything, for a snapshot.
    pub fn shown(&self) -> String {
        let Self { code, stdout, stderr } = self;
        format!("exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}

/// A call that sees no variables, no terminal, no home.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
    command.env_clear().env("LC_ALL", "C.UTF-8").args(arguments);
    command
}

/// Calls it outside of any workspace.
pub fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(arguments);
    command.current_dir(folder.path());
    finish(command)
}

fn finish(mut command: Command) -> Output {
    let output = command.output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            collect(&path, found);
        } else {
            let text = std::fs::read(&path).unwrap_or_default();
            found.insert(path, text);
        }
    }
}
