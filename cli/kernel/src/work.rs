//! Runs the part of a command that takes time: a runtime, listeners for its events, and Ctrl-C, which once asks the
//! work to end well and twice leaves at once.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_engine::Events;
use kernel_ops::{Failure, problem};
use kernel_report::{JsonLines, Listener, Plain, Quiet, Trace, Tty, tty};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::codes::NO_RUNTIME;
use crate::context::Context;
use crate::output;
use crate::settings::{Progress, Settings};

/// What work is given: a voice, and an ear for interruption.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where facts go.
    pub events: Events,
    /// Cancelled when somebody interrupts.
    pub cancel: CancellationToken,
}

/// Runs work to its end and tells its events meanwhile. Everything is told when this returns.
///
/// # Errors
/// What the work says, or that it could not be begun.
pub fn run<T>(
    context: &Context,
    work: impl AsyncFnOnce(Surroundings) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|error| no_runtime(&error))?;
    let (events, receiver) = Events::channel();
    let cancel = CancellationToken::new();
    let told = tell(context, receiver);
    let terminated = Arc::new(AtomicBool::new(false));
    let result = runtime.block_on(async {
        let listening = listen_for_signals(cancel.clone(), events.clone(), Arc::clone(&terminated));
        let listening = tokio::spawn(listening);
        let result = work(Surroundings { events, cancel }).await;
        listening.abort();
        let _aborted = listening.await;
        result
    });
    // Tasks that still hold a voice end with the runtime, and with them the listeners.
    runtime.shutdown_timeout(Duration::from_millis(200));
    let trace = told.join().ok().flatten();
    if let (Some(path), Some(trace)) = (&context.settings.trace, trace) {
        write_trace(path, &trace)?;
    }
    result.map_err(|mut failure| {
        if failure.exit == ExitCode::Interrupted && terminated.load(Ordering::Relaxed) {
            failure.exit = ExitCode::Terminated;
        }
        failure
    })
}

/// SIGINT and SIGTERM: the first asks, the second leaves. Says whether the first was SIGTERM.
async fn listen_for_signals(cancel: CancellationToken, events: Events, terminated: Arc<AtomicBool>) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut asked = false;
    loop {
        let exit = tokio::select! {
            _ = interrupt.recv() => ExitCode::Interrupted,
            _ = terminate.recv() => ExitCode::Terminated,
        };
        if std::mem::replace(&mut asked, true) {
            output::say(
                "leaving now; run the command again to go on, or `kernel down` to take everything back\n",
            );
            std::process::exit(i32::from(exit.number()));
        }
        terminated.store(exit == ExitCode::Terminated, Ordering::Relaxed);
        cancel.cancel();
        let message = "interrupted: ending what has begun; once more leaves at once".to_owned();
        events.emit(Event::Notice { message });
    }
}

/// Tells events on a thread of its own, so that a busy runtime can't hold it up. Gives the trace at the end.
fn tell(context: &Context, mut events: UnboundedReceiver<Event>) -> JoinHandle<Option<Trace>> {
    let started = context.started;
    let mut listener = listener(&context.settings);
    let mut trace = context.settings.trace.as_ref().map(|_| Trace::default());
    std::thread::spawn(move || {
        // Without a clock of its own there are no heartbeats; everything is told all the same.
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build();
        loop {
            let next = match &clock {
                Ok(clock) => clock.block_on(async { timeout(tty::FRAME, events.recv()).await }),
                Err(_) => Ok(events.blocking_recv()),
            };
            match next {
                Ok(Some(event)) => {
                    let at_ms = since(started);
                    listener.on(at_ms, &event);
                    if let Some(trace) = &mut trace {
                        trace.on(at_ms, &event);
                    }
                }
                Ok(None) => break,
                Err(_) => listener.tick(since(started)),
            }
        }
        listener.finish(since(started));
        trace
    })
}

fn listener(settings: &Settings) -> Box<dyn Listener> {
    let look = settings.conversation;
    let all: Box<dyn Listener> = match settings.progress {
        Progress::Tty => Box::new(Tty::on_stderr(look, settings.verbosity > 0)),
        Progress::Plain => Box::new(Plain::new(io::stderr(), look, settings.verbosity > 0)),
        Progress::Json => Box::new(JsonLines::new(io::stderr())),
        Progress::Quiet => Box::new(Quiet),
    };
    if settings.no_progress { Box::new(WithoutProgress(all)) } else { all }
}

/// Tells what begins and ends, and not how far it is.
struct WithoutProgress(Box<dyn Listener>);

impl Listener for WithoutProgress {
    fn on(&mut self, at_ms: u64, event: &Event) {
        if !matches!(event, Event::StepProgress { .. }) {
            self.0.on(at_ms, event);
        }
    }

    fn tick(&mut self, at_ms: u64) {
        self.0.tick(at_ms);
    }

    fn finish(&mut self, at_ms: u64) {
        self.0.finish(at_ms);
    }
}

fn since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn write_trace(path: &Path, trace: &Trace) -> Result<(), Failure> {
    use std::io::Write;
    let written =
        File::create(path).and_then(|file| BufWriter::new(file).write_all(trace.to_json().as_bytes()));
    written.map_err(|error| Failure::unwritable(path, &error))
}

fn no_runtime(error: &io::Error) -> Failure {
    let message = format!("could not start the threads that the work needs: {error}");
    let help = "check the limits of this session: `ulimit -a`";
    Failure::new(ExitCode::Failed, problem(NO_RUNTIME, message, help))
}
