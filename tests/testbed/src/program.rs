//! Runs programs of this machine to their end.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::failure::{Failure, because};

/// Runs it and gives what it wrote to standard output.
///
/// # Errors
/// When it can't be started or fails; what it wrote is the evidence.
pub async fn output(command: &mut Command, attempted: &str) -> Result<String, Failure> {
    let output =
        command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(because(attempted))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said =
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(Failure::new(format!("{attempted}: {}", output.status)).evidence(&said))
}

/// Runs it with everything it says going to the file `log`, for programs that work for minutes.
///
/// # Errors
/// When it can't be started or fails; the end of the log is the evidence.
pub async fn logged(command: &mut Command, attempted: &str, log: &Path) -> Result<(), Failure> {
    let file = std::fs::File::create(log).map_err(because(format!("writing `{}`", log.display())))?;
    let copy = file.try_clone().map_err(because(format!("writing `{}`", log.display())))?;
    let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).kill_on_drop(true).spawn();
    let status = child.map_err(because(attempted))?.wait().await.map_err(because(attempted))?;
    if status.success() {
        return Ok(());
    }
    let said = std::fs::read(log).unwrap_or_default();
    let failure = Failure::new(format!("{attempted}: {status}")).evidence(&String::from_utf8_lossy(&said));
    Err(failure.help(format!("the whole log is `{}`", log.display())))
}

/// Where a program is, by the folders of `PATH`.
#[must_use]
pub fn find(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_failing_program_said_is_the_evidence() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let failure = output(&mut command, "trying").await.unwrap_err();
        assert_eq!(failure.message, "trying: exit status: 3");
        assert_eq!(failure.evidence, ["one", "two"]);

        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let failure = logged(&mut command, "trying", &log).await.unwrap_err();
        assert_eq!(failure.evidence, ["one", "two"]);
        assert!(failure.help.unwrap_or_default().contains("log"));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told() {
        let failure = output(&mut Command::new("no-such-program"), "running it").await.unwrap_err();
        assert!(failure.message.starts_with("running it: "), "{failure}");
    }
}
