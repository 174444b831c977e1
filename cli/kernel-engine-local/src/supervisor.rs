//! The process that outlives the command: it starts, watches and ends the units of one project, and answers on a
//! socket.
//!
//! It runs on one thread, so whatever happens between two waits is one step for everybody. It knows nothing of plans:
//! it does what it is told and keeps what it was told to keep.

mod hub;
mod probe;
mod server;
mod unit;
mod verdict;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kernel_core::exit::ExitCode;
use kernel_core::scope::ScopeId;
use kernel_core::unit::UnitState;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::files;
use crate::layout::Layout;
use crate::processes;
use crate::state;
use crate::supervisor::hub::Hub;

/// What the supervisor says on its standard output once it can be spoken to.
pub(crate) const READY: &str = "ready";
/// What it says when another one is there already.
pub(crate) const TAKEN: &str = "taken";

/// How long it stays without units and without anybody asking.
const IDLE: Duration = Duration::from_secs(5);
/// How long another supervisor of the scope may hold the lock after it was killed.
const LOCK: Duration = Duration::from_secs(5);

/// Runs the supervisor: the hidden subcommand of the CLI, which calls this before it does anything else, with the
/// arguments behind the subcommand's name. Returns when the project is down.
pub fn supervisor_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some(order) = Order::parse(arguments) else {
        note("usage: --state FOLDER --scope ID [--replace]");
        return ExitCode::Usage;
    };
    // Fails only when it leads its group already, which is as good.
    let _leader_already = rustix::process::setsid();
    drop(std::env::set_current_dir("/"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.and_then(|runtime| runtime.block_on(run(&order)));
    match result {
        Ok(code) => code,
        Err(error) => {
            note(&format!("ended: {error}"));
            ExitCode::Failed
        }
    }
}

/// Says something for whoever reads the supervisor's own log, which its standard error is.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr(), "{} {text}", crate::logs::now()));
}

/// What it was started with.
struct Order {
    state: PathBuf,
    scope: ScopeId,
    replace: bool,
}

impl Order {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let (mut state, mut scope, mut replace) = (None, None, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str()? {
                "--state" => state = Some(PathBuf::from(arguments.next()?)),
                "--scope" => scope = Some(ScopeId::parse(arguments.next()?.to_str()?)?),
                "--replace" => replace = true,
                _ => return None,
            }
        }
        Some(Self { state: state?, scope: scope?, replace })
    }
}

async fn run(order: &Order) -> io::Result<ExitCode> {
    let layout = Layout::of_state(order.state.clone(), order.scope.clone());
    layout.prepare()?;
    if order.replace {
        end_others(&layout).await?;
    }
    let Some(_held) = take_lock(&layout.lock(), order.replace).await? else {
        say(TAKEN)?;
        return Ok(ExitCode::Locked);
    };
    // With the lock in hand, any other one has lost its files and can't be spoken to.
    end_others(&layout).await?;
    files::remove_file(&layout.socket())?;
    let listener = UnixListener::bind(layout.socket())?;
    let hub = Arc::new(Hub::new(layout));
    for recovered in state::recover(&hub.layout) {
        unit::adopt(&hub, recovered.item, recovered.processes);
    }
    hub.save();
    say(READY)?;
    note("ready");
    serve(&hub, &listener).await?;
    files::remove_file(&hub.layout.socket())?;
    files::remove_file(&hub.layout.state_file())?;
    note("ended");
    Ok(ExitCode::Success)
}

/// One word for the command that waits for us; it may have gone.
fn say(word: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{word}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

async fn end_others(layout: &Layout) -> io::Result<()> {
    let others: Vec<_> =
        processes::find(layout.scope()).into_iter().filter(|process| process.unit.is_none()).collect();
    processes::end(&others, Duration::ZERO).await.map(drop)
}

/// The lock, when nobody else has it. A lock file that was removed under us is taken anew.
async fn take_lock(path: &Path, wait: bool) -> io::Result<Option<File>> {
    let deadline = tokio::time::Instant::now() + LOCK;
    loop {
        let file = files::private_append(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) if wait && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: &std::fs::Metadata, other: &std::fs::Metadata| {
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    };
    matches!((file.metadata(), std::fs::metadata(path)), (Ok(one), Ok(other)) if same(&one, &other))
}

/// Answers until somebody wants the end, a signal comes, or nobody needs us.
async fn serve(hub: &Arc<Hub>, listener: &UnixListener) -> io::Result<()> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut connections = JoinSet::new();
    loop {
        let idle = connections.is_empty() && hub.units().is_empty();
        tokio::select! {
            accepted = listener.accept() => accept(hub, accepted, &mut connections, &shutdown),
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
            _ = terminate.recv() => return end_all(hub).await,
            _ = interrupt.recv() => return end_all(hub).await,
            () = tokio::time::sleep(IDLE), if idle => break,
        }
    }
    // The last answers are still on their way.
    drop(tokio::time::timeout(Duration::from_secs(1), connections.join_all()).await);
    Ok(())
}

fn accept(
    hub: &Arc<Hub>,
    accepted: io::Result<(UnixStream, tokio::net::unix::SocketAddr)>,
    connections: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    match accepted {
        Ok((stream, _)) => {
            connections.spawn(server::serve(Arc::clone(hub), stream, shutdown.clone()));
        }
        Err(error) => note(&format!("could not accept: {error}")),
    }
}

/// Somebody ends us: all units end before, whoever needs another before that other.
async fn end_all(hub: &Arc<Hub>) -> io::Result<()> {
    note("ending all units: told to by a signal");
    loop {
        let alive: Vec<_> = hub.units().into_iter().filter(|unit| unit.item().state.is_alive()).collect();
        let needed = |name| alive.iter().any(|unit| unit.item().depends_on.contains(name));
        let free: Vec<_> = alive.iter().filter(|unit| !needed(&unit.name)).cloned().collect();
        let next = if free.is_empty() { alive } else { free };
        if next.is_empty() {
            return Ok(());
        }
        let mut ends = JoinSet::new();
        for unit in next {
            let grace = Duration::from_millis(unit.item().stop_grace_ms);
            ends.spawn(async move { unit.stop(grace).await });
        }
        let results = ends.join_all().await;
        if results.iter().any(Result::is_err)
            || hub.units().iter().all(|unit| unit.item().state == UnitState::Leftover)
        {
            return Ok(());
        }
    }
}
