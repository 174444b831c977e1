//! The command's side of the conversation with the supervisor.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Command;

use crate::codes;
use crate::files;
use crate::layout::Layout;
use crate::processes::SUPERVISOR;
use crate::protocol::{Answer, Call, Refusal, Request, VERSION};
use crate::settings::SupervisorCommand;
use crate::supervisor::{READY, TAKEN};

/// How long the supervisor may take to say something when it should at once.
const PROMPT: Duration = Duration::from_secs(5);
/// How much of the supervisor's own log is shown when it can't be started.
const SHOWN: u64 = 4096;

/// An open conversation: the request is sent, answers come.
pub(crate) struct Conversation {
    lines: Lines<BufReader<OwnedReadHalf>>,
    /// Held so that the supervisor sees us listening.
    _writer: OwnedWriteHalf,
}

impl Conversation {
    /// Asks. `None`: nobody listens there.
    pub(crate) async fn open(layout: &Layout, request: Request) -> Result<Option<Self>, EngineError> {
        let stream = match UnixStream::connect(layout.socket()).await {
            Ok(stream) => stream,
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => return Err(unreachable(layout, error)),
        };
        let (reader, mut writer) = stream.into_split();
        let mut text = serde_json::to_vec(&Call { version: VERSION, request })
            .map_err(|error| unreachable(layout, io::Error::from(error)))?;
        text.push(b'\n');
        match writer.write_all(&text).await {
            Ok(()) => Ok(Some(Self { lines: BufReader::new(reader).lines(), _writer: writer })),
            // It ended between our two calls.
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(unreachable(layout, error)),
        }
    }

    /// The next answer. `None`: the supervisor has gone in the middle.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}

fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | BrokenPipe | ConnectionReset)
}

fn unreachable(layout: &Layout, error: io::Error) -> EngineError {
    let message = format!("could not speak to the supervisor at `{}`", layout.socket().display());
    EngineError::new(codes::SUPERVISOR_UNREACHABLE, ExitCode::Failed, message)
        .because(error)
        .help("run the command again; when that does not help, `kernel down` and `kernel up` start anew")
}

/// That the supervisor went away before its last answer.
pub(crate) fn broken_off(layout: &Layout) -> EngineError {
    unreachable(layout, io::Error::new(io::ErrorKind::UnexpectedEof, "it ended in the middle of its answer"))
}

/// What the supervisor would not do, as an error.
pub(crate) fn refused(reason: Refusal, message: String, evidence: Vec<String>) -> EngineError {
    let (code, exit, help) = match reason {
        Refusal::OutOfStep => (
            kernel_engine::codes::OUT_OF_STEP,
            ExitCode::Conflict,
            "another command changed it meanwhile: run this one again",
        ),
        Refusal::Start => (codes::START_FAILED, ExitCode::Failed, "build it anew with `kernel up`"),
        Refusal::Crashed => (
            codes::CRASHED,
            ExitCode::Unhealthy,
            "the last lines of its log say why; `kernel up` starts it again once that is corrected",
        ),
        Refusal::WillNotEnd => {
            (codes::WILL_NOT_END, ExitCode::Failed, "look at it with `ps` and run `kernel down` again")
        }
        Refusal::Version | Refusal::Unreadable => (
            codes::SUPERVISOR_UNREACHABLE,
            ExitCode::Failed,
            "`kernel down` and `kernel up` start it anew in the version of this command",
        ),
    };
    EngineError::new(code, exit, message).evidence(evidence).help(help)
}

/// Starts a supervisor, or finds that another one is quicker. When this returns, the socket answers.
pub(crate) async fn start(
    layout: &Layout,
    supervisor: &SupervisorCommand,
    replace: bool,
) -> Result<(), EngineError> {
    layout.prepare().map_err(|error| files_error(layout, error))?;
    let log = files::private_append(&layout.supervisor_log()).map_err(|error| files_error(layout, error))?;
    let mut command = Command::new(&supervisor.program);
    command.args(&supervisor.arguments).arg("--state").arg(layout.state());
    command.args(["--scope", layout.scope().as_str()]);
    if replace {
        command.arg("--replace");
    }
    command.env_clear().env(SUPERVISOR, layout.scope().as_str());
    // So that both sides agree on where a socket goes that does not fit below the state folder.
    for name in ["XDG_RUNTIME_DIR", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(|error| failed(layout, error.to_string()))?;
    let mut word = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read = async { BufReader::new(stdout.take(64)).read_line(&mut word).await };
        match tokio::time::timeout(2 * PROMPT, read).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(failed(layout, error.to_string())),
            Err(_) => return Err(failed(layout, "it says nothing".to_owned())),
        }
    }
    match word.trim() {
        READY => Ok(()),
        // Another command was quicker; or, with no word at all, its supervisor ended ours as a stranger.
        TAKEN | "" => {
            if answers(layout).await {
                Ok(())
            } else {
                Err(failed(layout, "another one is there that does not answer".to_owned()))
            }
        }
        other => Err(failed(layout, format!("it says `{other}`"))),
    }
}

/// Whether the socket answers within a moment: the other supervisor may still be on its way.
async fn answers(layout: &Layout) -> bool {
    let deadline = tokio::time::Instant::now() + PROMPT;
    while tokio::time::Instant::now() < deadline {
        if UnixStream::connect(layout.socket()).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

fn failed(layout: &Layout, why: String) -> EngineError {
    let log = std::fs::read(layout.supervisor_log()).unwrap_or_default();
    let from = log.len().saturating_sub(usize::try_from(SHOWN).unwrap_or(0));
    let text = String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned();
    let evidence = text.lines().rev().take(20).map(str::to_owned).collect::<Vec<_>>();
    EngineError::new(codes::SUPERVISOR_FAILED, ExitCode::Failed, "could not start the supervisor")
        .because(why)
        .evidence(evidence.into_iter().rev().collect())
        .help("run the command again; when that does not help, `kernel down` removes what stands in the way")
}

/// That the file system refuses something of the engine's.
pub(crate) fn files_error(layout: &Layout, error: io::Error) -> EngineError {
    let message = format!("could not keep the state of the project in `{}`", layout.state().display());
    EngineError::new(codes::FILES, ExitCode::Failed, message)
        .because(error)
        .help("check the permissions of that folder and the space on its disk")
}
