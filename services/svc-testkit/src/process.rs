//! The built binary of a service as a process of its own: for what only a process shows, such as signals and kills.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use crate::{PATIENCE, service::usual_variables};

/// A running binary on a free port. Dropped, it is killed.
#[derive(Debug)]
pub struct ServiceProcess {
    child: Child,
    url: String,
    /// Reads the log to its end: a process whose log nobody reads may block.
    log: JoinHandle<Vec<String>>,
}

impl ServiceProcess {
    /// Starts a binary, `env!("CARGO_BIN_EXE_<service>")`, and returns when it listens. Its environment is the one of
    /// [`TestService`](crate::TestService), with stores in `data`; these variables win over it.
    pub async fn start(binary: &str, data: &Path, variables: &[(&str, &str)]) -> ServiceProcess {
        let service =
            Path::new(binary).file_name().and_then(|name| name.to_str()).expect("a binary has a name");
        let mut child = Command::new(binary)
            .env_clear()
            .envs(usual_variables(service, data))
            .env("LOG_LEVEL", "svc_kit=info,warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let mut log = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let listening = async {
            loop {
                let line =
                    log.next_line().await.expect("the log is text").expect("it ended before it listened");
                let entry: serde_json::Value =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
                if entry["message"] == "listening" {
                    break entry["address"].as_str().expect("it says where it listens").to_owned();
                }
            }
        };
        let address = tokio::time::timeout(PATIENCE, listening).await.expect("it listens in time");
        let log = tokio::spawn(async move {
            let mut lines = Vec::new();
            while let Ok(Some(line)) = log.next_line().await {
                lines.push(line);
            }
            lines
        });
        ServiceProcess { child, url: format!("http://{address}"), log }
    }

    /// Where it listens, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it with SIGKILL, which it cannot notice.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Asks it to end with SIGTERM and waits until it has. Gives its status and what it logged since it listened.
    pub async fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        let id = self.child.id().expect("the process runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await.expect("`kill` is there");
        assert!(sent.success(), "SIGTERM was not sent: {sent}");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it ends in time").expect("its status is known");
        (status, self.log.await.expect("the log was read"))
    }
}
