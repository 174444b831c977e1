//! A conversation between the terminal, or what stands in its place, and a process in a container.

use std::io::{self, IsTerminal, Read, Write};

use futures::StreamExt;
use kernel_engine::EngineError;
use kernel_engine_docker::stack::{Output, Session};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// How much is read from stdin at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// Whether both directions are a terminal, so that a process can have one.
#[must_use]
pub fn is_whole() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Passes on what both say until the process has said all. Gives its exit code; `None` when it goes on without us.
///
/// # Errors
/// When the Engine does not pass it on.
pub async fn talk(mut session: Session) -> Result<Option<i64>, EngineError> {
    let Some(mut output) = session.output.take() else { return Ok(None) };
    let raw = if session.tty && is_whole() { RawMode::enter() } else { None };
    let speaking = session.input.take().map(|mut input| {
        let mut pieces = read_stdin();
        tokio::spawn(async move {
            while let Some(piece) = pieces.recv().await {
                if input.write_all(&piece).await.is_err() || input.flush().await.is_err() {
                    return;
                }
            }
            // The process sees the end of its input, and may go on.
            let _gone = input.shutdown().await;
        })
    });
    let listening = async {
        while let Some(piece) = output.next().await {
            // Whoever read the output has gone: there is nobody to listen for.
            if write(&piece?).is_err() {
                break;
            }
        }
        Ok::<(), EngineError>(())
    };
    let result = if session.tty {
        tokio::select! {
            result = listening => result,
            never = follow_size(&session) => never,
        }
    } else {
        listening.await
    };
    if let Some(speaking) = speaking {
        speaking.abort();
    }
    drop(raw);
    result?;
    session.exit_code().await
}

/// Tells the process how large the terminal is, now and whenever that changes. Never ends.
async fn follow_size<T>(session: &Session) -> T {
    let mut changes = signal(SignalKind::window_change()).ok();
    loop {
        if let Ok(size) = tcgetwinsize(io::stdout()) {
            // A process that has ended needs no size.
            let _gone = session.resize(size.ws_col, size.ws_row).await;
        }
        match &mut changes {
            Some(changes) => drop(changes.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// What stdin says, read on a thread of its own: a read can't be interrupted, and the thread ends with the program.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = stdin.read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn write(piece: &Output) -> io::Result<()> {
    match piece {
        Output::Out(bytes) => {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        Output::Err(bytes) => io::stderr().lock().write_all(bytes),
    }
}

/// The terminal hands on every key as it is, until this is dropped.
struct RawMode(Termios);

impl RawMode {
    fn enter() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
