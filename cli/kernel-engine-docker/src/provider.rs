//! Services that are no containers: a program of this machine, a provider, makes them and tells what their dependants
//! have to know.
//!
//! It is called as `PROGRAM compose --project-name=NAME up|down --OPTION=VALUE… SERVICE` and speaks a JSON object per line:
//! `{"type": "info|debug|error|setenv", "message": …}`. Source: docker compose's documentation of its extension point
//! for providers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::codes;

/// How many last lines of what a provider says beside its messages are shown when it failed.
const EVIDENCE: usize = 20;

/// A service that a provider makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provider {
    /// The project's name.
    pub project: String,
    /// The service.
    pub service: String,
    /// `type`: which program, by the name of a plugin of Docker or of a program.
    pub kind: String,
    /// `options`, each with its values.
    pub options: BTreeMap<String, Vec<String>>,
    /// Where the program runs: the project's folder.
    pub directory: PathBuf,
    /// The environment that the project was loaded with.
    pub environment: BTreeMap<String, String>,
}

/// What is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That the service is there. Asked for again, it tells the same again.
    Up,
    /// That nothing of it is left.
    Down,
}

impl Wish {
    const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
}

/// What a program says about its options before it is asked for anything; empty when it says nothing.
#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    up: CommandMetadata,
    #[serde(default)]
    down: CommandMetadata,
}

#[derive(Default, Deserialize)]
struct CommandMetadata {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(default)]
    required: bool,
}

impl Provider {
    /// Asks the program. Gives the variables that it sets; `tell` hears what it says. Dropping the future ends it.
    ///
    /// # Errors
    /// When it is not there, fails, or says that something is wrong.
    pub async fn ask(
        &self,
        wish: Wish,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let program = self.program()?;
        let options = self.options(&program, wish).await?;
        let failed = |message: String| EngineError::new(codes::PROVIDER_FAILED, ExitCode::Failed, message);
        let mut child = self
            .command(&program)
            .arg(format!("--project-name={}", self.project))
            .arg(wish.word())
            .args(options)
            .arg(&self.service)
            .spawn()
            .map_err(|error| failed(format!("`{}` can't be started", program.display())).because(error))?;
        let mut beside = Vec::new();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let hearing_beside = async {
            if let Some(mut stderr) = stderr {
                let _ended = stderr.read_to_end(&mut beside).await;
            }
        };
        let hearing = async {
            let mut variables = BTreeMap::new();
            let mut wrong = None;
            let Some(stdout) = stdout else { return (variables, wrong) };
            let mut lines = BufReader::new(stdout).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line = String::from_utf8_lossy(&line);
                if !line.trim().is_empty() {
                    // It is heard to its end, so that it never waits for somebody who listens.
                    let heard = self.hear(&line, &mut variables, tell);
                    wrong = wrong.or(heard.err());
                }
            }
            (variables, wrong)
        };
        let ((variables, wrong), ()) = tokio::join!(hearing, hearing_beside);
        let status = child.wait().await;
        let what = format!("`{} compose {}` for the service `{}`", self.kind, wish.word(), self.service);
        let said = String::from_utf8_lossy(&beside);
        let lines: Vec<&str> = said.lines().collect();
        let last =
            lines[lines.len().saturating_sub(EVIDENCE)..].iter().map(|line| (*line).to_owned()).collect();
        let message = match (wrong, status) {
            (Some(wrong), _) => format!("{what} says: {wrong}"),
            (None, Ok(status)) if status.success() => return Ok(variables),
            (None, Ok(status)) => format!("{what} failed ({status})"),
            (None, Err(error)) => format!("{what} can't be waited for: {error}"),
        };
        Err(failed(message).evidence(last).help("do what it says, then run the command again"))
    }

    fn hear(
        &self,
        line: &str,
        variables: &mut BTreeMap<String, String>,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<(), String> {
        let Message { kind, message } = serde_json::from_str(line)
            .map_err(|error| format!("what is no message of a provider ({error}): {line}"))?;
        match kind.as_str() {
            "info" => tell(format!("{}: {message}", self.service)),
            "debug" => {}
            "error" => return Err(message),
            "setenv" => match message.split_once('=') {
                Some((name, value)) if !name.is_empty() => {
                    variables.insert(name.to_owned(), value.to_owned());
                }
                _ => return Err(format!("`setenv` without NAME=VALUE: {message}")),
            },
            other => return Err(format!("a message of a type that is not known: {other}")),
        }
        Ok(())
    }

    /// The program, in the project's folder, with ears for both of its voices.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg("compose")
            .current_dir(&self.directory)
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// The options that the program takes for this; all of them when it does not say which.
    async fn options(&self, program: &Path, wish: Wish) -> Result<Vec<String>, EngineError> {
        let told = self.command(program).arg("metadata").output().await;
        let told = told.ok().filter(|output| output.status.success());
        let metadata = told.and_then(|output| serde_json::from_slice::<Metadata>(&output.stdout).ok());
        let silent =
            |metadata: &Metadata| metadata.up.parameters.is_empty() && metadata.down.parameters.is_empty();
        let parameters = metadata.filter(|metadata| !silent(metadata)).map(|metadata| match wish {
            Wish::Up => metadata.up.parameters,
            Wish::Down => metadata.down.parameters,
        });
        let missing: Vec<&str> = parameters
            .iter()
            .flatten()
            .filter(|parameter| parameter.required && !self.options.contains_key(&parameter.name))
            .map(|parameter| parameter.name.as_str())
            .collect();
        if !missing.is_empty() {
            let message =
                format!("the provider of `{}` needs the options {}", self.service, missing.join(", "));
            return Err(EngineError::new(codes::PROVIDER_FAILED, ExitCode::Usage, message)
                .help("write them below `provider.options` of the service"));
        }
        let taken = |name: &str| {
            parameters.as_ref().is_none_or(|all| all.iter().any(|parameter| parameter.name == name))
        };
        let options = self.options.iter().filter(|(name, _)| taken(name));
        Ok(options
            .flat_map(|(name, values)| values.iter().map(move |value| format!("--{name}={value}")))
            .collect())
    }

    /// Where the program is: among Docker's plugins as `docker-TYPE`, else in `PATH` as `TYPE`.
    fn program(&self) -> Result<PathBuf, EngineError> {
        let variable = |name: &str| self.environment.get(name).map(PathBuf::from);
        let own = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")));
        let shared = [
            "/usr/local/lib/docker/cli-plugins",
            "/usr/local/libexec/docker/cli-plugins",
            "/usr/lib/docker/cli-plugins",
            "/usr/libexec/docker/cli-plugins",
        ];
        let folders = own.map(|own| own.join("cli-plugins")).into_iter().chain(shared.map(PathBuf::from));
        let plugin = folders.map(|folder| folder.join(format!("docker-{}", self.kind)));
        let path = self.environment.get("PATH").map(std::env::split_paths);
        let program = path.into_iter().flatten().map(|folder| folder.join(&self.kind));
        let named = (self.kind.contains('/')).then(|| self.directory.join(&self.kind));
        let place = match named {
            Some(named) => Some(named).filter(|place| place.is_file()),
            // It would ask itself.
            None if self.kind == "compose" => None,
            None => plugin.chain(program).find(|place| place.is_file()),
        };
        place.ok_or_else(|| {
            let message =
                format!("the provider `{}` of the service `{}` is not there", self.kind, self.service);
            let help = format!(
                "install it as the plugin `docker-{0}` of Docker, or as the program `{0}` in PATH",
                self.kind
            );
            EngineError::new(codes::PROVIDER_FAILED, ExitCode::Prerequisite, message).help(help)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;

    use super::*;

    /// A plugin that says what it takes, and then how it was called.
    const PLUGIN: &str = r#"#!/bin/sh
if [ "$2" = metadata ]; then
  echo '{"description": "makes", "up": {"parameters": [{"name": "size", "required": true, "type": "string"}]}, "down": {"parameters": []}}'
else
  echo '{"type": "info", "message": "called with '"$*"'"}'
  echo '{"type": "setenv", "message": "WHERE='"$PLACE"'"}'
fi
"#;

    fn provider(folder: &Path, options: &[(&str, &str)]) -> Provider {
        let plugins = folder.join("cli-plugins");
        fs::create_dir_all(&plugins).unwrap();
        let program = plugins.join("docker-maker");
        fs::write(&program, PLUGIN).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let value = |value: &str| vec![value.to_owned()];
        Provider {
            project: "shop".to_owned(),
            service: "store".to_owned(),
            kind: "maker".to_owned(),
            options: options.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect(),
            directory: folder.to_owned(),
            environment: BTreeMap::from([
                ("DOCKER_CONFIG".to_owned(), folder.display().to_string()),
                ("PLACE".to_owned(), "here".to_owned()),
            ]),
        }
    }

    #[tokio::test]
    async fn a_plugin_gets_the_options_that_it_says_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider(folder.path(), &[("size", "3"), ("colour", "red")]);
        for (wish, called) in [
            (Wish::Up, "called with compose --project-name=shop up --size=3 store"),
            (Wish::Down, "called with compose --project-name=shop down store"),
        ] {
            let told = Mutex::new(Vec::new());
            let variables = provider.ask(wish, &|text| told.lock().unwrap().push(text)).await.unwrap();
            assert_eq!(*told.lock().unwrap(), [format!("store: {called}")]);
            assert_eq!(variables, BTreeMap::from([("WHERE".to_owned(), "here".to_owned())]));
        }
    }

    #[tokio::test]
    async fn what_a_provider_needs_and_who_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = provider(folder.path(), &[]).ask(Wish::Up, &drop).await.unwrap_err();
        assert!(error.message.contains("needs the options size"), "{error}");
        for kind in ["compose", "nobody", "./nobody"] {
            let provider = Provider { kind: kind.to_owned(), ..provider(folder.path(), &[]) };
            let error = provider.ask(Wish::Up, &drop).await.unwrap_err();
            assert!(error.message.contains("is not there"), "{kind}: {error}");
        }
    }
}
