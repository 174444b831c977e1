//! `post_start` and `pre_stop`: programs that are run in a container when it was started or is about to end.

use bollard::Docker;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures::StreamExt;
use kernel_core::container::{Hook, Moment};
use kernel_core::exit::ExitCode;
use kernel_engine::{Context, EngineError};
use serde_json::{Map, Value as Json, json};

use crate::codes;
use crate::trouble::trouble;

/// How many last lines of a hook are shown when it failed.
const EVIDENCE: usize = 20;

/// The body of the call that makes a hook ready to run, from the hook as `config --format json` prints it.
pub(crate) fn body(hook: &Json) -> Json {
    let mut body = Map::new();
    body.insert("AttachStdout".to_owned(), true.into());
    body.insert("AttachStderr".to_owned(), true.into());
    for (name, key) in
        [("Cmd", "command"), ("User", "user"), ("Privileged", "privileged"), ("WorkingDir", "working_dir")]
    {
        if let Some(value) = hook.get(key).filter(|value| !value.is_null()) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(variables) = hook.get("environment").and_then(Json::as_object) {
        let line = |(name, value): (&String, &Json)| match value.as_str() {
            Some(value) => format!("{name}={value}"),
            None => name.clone(),
        };
        body.insert("Env".to_owned(), json!(variables.iter().map(line).collect::<Vec<_>>()));
    }
    Json::Object(body)
}

/// Runs a hook in a container to its end. `name`: what people know the container by.
///
/// # Errors
/// When it ends with another code than 0, with what it said; or the Engine can't run it. A hook for the end of a container
/// that has ended already has nothing to do.
pub(crate) async fn run(
    docker: &Docker,
    container: &str,
    name: &str,
    hook: &Hook,
    context: &Context,
) -> Result<(), EngineError> {
    let what = format!("running the {} hook of {name}", hook.moment);
    let config: ExecConfig = crate::calls::structure(hook.body.expose())?;
    let id = match docker.create_exec(container, config).await {
        Ok(made) => made.id,
        Err(Error::DockerResponseServerError { status_code: 404 | 409, .. })
            if hook.moment == Moment::PreStop =>
        {
            return Ok(());
        }
        Err(error) => return Err(trouble(&what, error)),
    };
    let started = docker.start_exec(&id, None::<StartExecOptions>).await;
    let mut said = String::new();
    if let StartExecResults::Attached { mut output, .. } = started.map_err(|error| trouble(&what, error))? {
        while let Some(piece) = output.next().await {
            let piece = piece.map_err(|error| trouble(&what, error))?;
            let text = piece.to_string();
            if let Some(line) = text.lines().rfind(|line| !line.trim().is_empty()) {
                context.progress(line, None, None);
            }
            said.push_str(&text);
            // Only the end is of interest, and some programs say much.
            let lines = said.lines().count();
            if lines > 2 * EVIDENCE {
                said = last_lines(&said).join("\n") + if said.ends_with('\n') { "\n" } else { "" };
            }
        }
    }
    let ended = docker.inspect_exec(&id).await.map_err(|error| trouble(&what, error))?;
    match ended.exit_code {
        Some(0) => Ok(()),
        code => {
            let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
            let message = format!("the {} hook of {name} ended with {code}", hook.moment);
            let help = match hook.moment {
                Moment::PostStart => {
                    "the container goes on running; correct the hook and run the command again: \
                                      a hook that changed makes a new container"
                }
                Moment::PreStop => {
                    "the container was not stopped; correct the hook, or end the container at once with \
                                    `kernel kill`"
                }
            };
            let error = EngineError::new(codes::HOOK_FAILED, ExitCode::Failed, message).help(help);
            Err(error.evidence(last_lines(&said)))
        }
    }
}

fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(EVIDENCE)..].iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_what_the_engine_is_told() {
        let hook = json!({
            "command": ["sh", "-c", "true"], "user": "root", "privileged": true, "working_dir": "/tmp",
            "environment": {"A": "b", "C": null},
        });
        assert_eq!(
            body(&hook),
            json!({
                "AttachStdout": true, "AttachStderr": true, "Cmd": ["sh", "-c", "true"], "User": "root",
                "Privileged": true, "WorkingDir": "/tmp", "Env": ["A=b", "C"],
            })
        );
        assert_eq!(
            body(&json!({"command": ["true"]})),
            json!({"AttachStdout": true, "AttachStderr": true, "Cmd": ["true"]})
        );
    }
}
