//! Minds one unit: starts its process, asks whether it is ready, starts it again, ends it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kernel_core::event::Stream;
use kernel_core::unit::{Dependency, ExitStatus, ObservedItem, ProcessSpec, Readiness, UnitState};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::files;
use crate::fingerprint::fingerprint;
use crate::logs::{Splitter, now};
use crate::processes::{self, SCOPE, UNIT};
use crate::protocol::Refusal;
use crate::supervisor::hub::{Hub, Stop, Unit};
use crate::supervisor::probe;
use crate::supervisor::verdict::{Crashes, Verdict};

/// The first pause between two questions whether a starting unit is ready.
const EAGER: Duration = Duration::from_millis(10);
/// The longest such pause.
const PATIENT: Duration = Duration::from_millis(250);
/// The pause between two questions once it was ready.
const CALM: Duration = Duration::from_secs(5);
/// So many wrong answers in a row, and a ready unit is not ready any more.
const DOUBTS: u32 = 2;
/// How long the end of the output is waited for once a process has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long killed processes may take to go.
const SWEEP: Duration = Duration::from_secs(5);

/// Starts a unit and goes on minding it in the background.
///
/// # Errors
/// When its process can't be started.
pub(crate) async fn start(
    hub: &Arc<Hub>,
    name: kernel_core::name::ServiceName,
    spec: ProcessSpec,
    depends_on: &[Dependency],
) -> Result<(), String> {
    let item = ObservedItem {
        name,
        state: UnitState::Starting,
        fingerprint: Some(fingerprint(&spec)),
        depends_on: depends_on.iter().map(|needed| needed.name.clone()).collect(),
        stop_grace_ms: u64::try_from(spec.stop_grace.as_millis()).unwrap_or(u64::MAX),
        pid: None,
        ports: spec.ports.clone(),
        restarts: 0,
        since: now(),
        detail: None,
    };
    let (unit, wishes) = Unit::new(hub, item);
    hub.put(Arc::clone(&unit));
    let (begun, answer) = oneshot::channel();
    let minder = Minder { hub: Arc::clone(hub), unit, spec, wishes };
    tokio::spawn(minder.run(begun));
    answer.await.unwrap_or_else(|_| Err("the supervisor gave up on it".to_owned()))
}

struct Minder {
    hub: Arc<Hub>,
    unit: Arc<Unit>,
    spec: ProcessSpec,
    wishes: mpsc::UnboundedReceiver<Stop>,
}

/// A process with the tasks that read what it says.
struct Running {
    child: Child,
    pid: Pid,
    readers: [JoinHandle<()>; 2],
}

/// Why a process is no longer simply watched.
enum End {
    Itself(ExitStatus),
    Asked(Stop),
}

impl Minder {
    async fn run(mut self, begun: oneshot::Sender<Result<(), String>>) {
        let first_start = Instant::now();
        let mut crashes = Crashes::new(self.spec.restart);
        let mut begun = Some(begun);
        loop {
            let mut running = match self.spawn() {
                Ok(running) => running,
                Err(message) => return self.not_started(message, begun),
            };
            if let Some(begun) = begun.take() {
                drop(begun.send(Ok(())));
            }
            let status = match self.watch(&mut running.child).await {
                End::Asked(stop) => return self.end(running, stop).await,
                End::Itself(status) => status,
            };
            self.clear_up(running).await;
            let verdict = crashes.judge(status, first_start.elapsed());
            if !self.carry_out(verdict, status).await {
                return;
            }
        }
    }

    fn spawn(&self) -> Result<Running, String> {
        let spec = &self.spec;
        files::private_folder(spec.directory.as_ref())
            .map_err(|error| format!("could not make the folder `{}`: {error}", spec.directory))?;
        let mut child = Command::new(&spec.program)
            .args(&spec.arguments)
            .env_clear()
            .envs(spec.environment.iter().map(|(name, value)| (name, value.expose())))
            .env(SCOPE, self.hub.layout.scope().as_str())
            .env(UNIT, self.unit.name.as_str())
            .current_dir(&spec.directory)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start `{}`: {error}", spec.program))?;
        let number = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = number.ok_or_else(|| "it ended while it was started".to_owned())?;
        let readers =
            [self.read(child.stdout.take(), Stream::Stdout), self.read(child.stderr.take(), Stream::Stderr)];
        self.unit.set(&self.hub, UnitState::Starting, |item| {
            item.pid = child.id();
            item.detail = None;
        });
        self.note(format!("started as process {}", pid.as_raw_pid()));
        Ok(Running { child, pid, readers })
    }

    fn read(&self, pipe: Option<impl AsyncRead + Unpin + Send + 'static>, stream: Stream) -> JoinHandle<()> {
        let (hub, unit) = (Arc::clone(&self.hub), Arc::clone(&self.unit));
        tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut splitter = Splitter::default();
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                let bytes = buffer.get(..count).unwrap_or_default();
                splitter.take(bytes, |line| unit.say(&hub, stream, line));
            }
            splitter.finish(|line| unit.say(&hub, stream, line));
        })
    }

    fn not_started(&self, message: String, begun: Option<oneshot::Sender<Result<(), String>>>) {
        self.note(message.clone());
        self.unit.set(&self.hub, UnitState::Exited { status: ExitStatus::Unknown }, |item| {
            item.detail = Some(message.clone());
        });
        if let Some(begun) = begun {
            drop(begun.send(Err(message)));
        }
    }

    async fn watch(&mut self, child: &mut Child) -> End {
        let readiness = mind_readiness(&self.hub, &self.unit, self.spec.readiness.as_ref());
        tokio::select! {
            biased;
            Some(stop) = self.wishes.recv() => End::Asked(stop),
            status = child.wait() => End::Itself(status.map_or(ExitStatus::Unknown, exit_status)),
            () = readiness => End::Itself(ExitStatus::Unknown),
        }
    }

    /// What a process that has ended may have left: its own children, and words that are still in the pipes.
    async fn clear_up(&self, running: Running) {
        self.sweep().await;
        for mut reader in running.readers {
            if tokio::time::timeout(LAST_WORDS, &mut reader).await.is_err() {
                reader.abort();
            }
        }
    }

    async fn sweep(&self) -> bool {
        let swept = processes::sweep(self.hub.layout.scope(), self.unit.name.as_str());
        matches!(tokio::time::timeout(SWEEP, swept).await, Ok(Ok(())))
    }

    /// Whether it is started again.
    async fn carry_out(&mut self, verdict: Verdict, status: ExitStatus) -> bool {
        match verdict {
            Verdict::Again { pause } => {
                let detail = format!("ended ({status}), starts again in {} ms", pause.as_millis());
                self.note(detail.clone());
                self.unit.set(&self.hub, UnitState::Restarting, |item| {
                    item.pid = None;
                    item.restarts += 1;
                    item.detail = Some(detail);
                });
                tokio::select! {
                    () = tokio::time::sleep(pause) => true,
                    Some(stop) = self.wishes.recv() => {
                        self.stopped();
                        drop(stop.answer.send(Ok(())));
                        false
                    }
                }
            }
            Verdict::GiveUp { because } => {
                self.note(format!("ended ({status}), given up: {because}"));
                self.unit.set(&self.hub, UnitState::CrashLooping { status }, |item| {
                    item.detail = Some(because.to_owned());
                });
                false
            }
            Verdict::Stay => {
                self.note(format!("ended ({status})"));
                self.unit.set(&self.hub, UnitState::Exited { status }, |item| item.detail = None);
                false
            }
        }
    }

    /// SIGTERM, the grace period, SIGKILL to the whole group; then whatever escaped the group.
    async fn end(mut self, mut running: Running, stop: Stop) {
        self.unit.set(&self.hub, UnitState::Stopping, |item| item.detail = None);
        self.note("asked to end".to_owned());
        // Not collected yet, so the number is still its own.
        let _ended_already = kill_process(running.pid, Signal::TERM);
        if tokio::time::timeout(stop.grace, running.child.wait()).await.is_err() {
            self.note(format!("did not end within {} ms, killed", stop.grace.as_millis()));
            let _ended_already = kill_process_group(running.pid, Signal::KILL);
            drop(tokio::time::timeout(SWEEP, running.child.wait()).await);
        }
        let gone = self.sweep().await;
        self.clear_up(running).await;
        let result = if gone {
            self.stopped();
            Ok(())
        } else {
            self.unit.set(&self.hub, UnitState::Leftover, |_| {});
            Err((
                Refusal::WillNotEnd,
                format!("processes of `{}` do not end although they were killed", self.unit.name),
            ))
        };
        self.wishes.close();
        drop(stop.answer.send(result.clone()));
        while let Some(other) = self.wishes.recv().await {
            drop(other.answer.send(result.clone()));
        }
    }

    fn stopped(&self) {
        self.note("stopped".to_owned());
        self.unit.set(&self.hub, UnitState::Stopped, |item| item.detail = None);
    }

    fn note(&self, text: String) {
        self.unit.say(&self.hub, Stream::Supervisor, text);
    }
}

/// Keeps the state of a running unit true. Never returns.
async fn mind_readiness(hub: &Hub, unit: &Unit, readiness: Option<&Readiness>) {
    let Some(readiness) = readiness else {
        unit.set(hub, UnitState::Ready, |_| {});
        return std::future::pending().await;
    };
    let (mut pause, mut doubts) = (EAGER, 0);
    loop {
        let ready = unit.item().state == UnitState::Ready;
        match probe::ask(readiness).await {
            Ok(()) => {
                (pause, doubts) = (CALM, 0);
                if !ready {
                    unit.set(hub, UnitState::Ready, |item| item.detail = None);
                }
            }
            Err(reason) if ready => {
                doubts += 1;
                pause = PATIENT;
                if doubts >= DOUBTS {
                    unit.set(hub, UnitState::Unready, |item| item.detail = Some(reason));
                }
            }
            Err(reason) => {
                unit.explain(Some(reason));
                pause = (pause * 3 / 2).clamp(EAGER, PATIENT);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Minds processes that a killed supervisor left, until they end or somebody wants them to.
pub(crate) fn adopt(hub: &Arc<Hub>, item: ObservedItem, left: Vec<processes::Marked>) {
    let (unit, mut wishes) = Unit::new(hub, item);
    hub.put(Arc::clone(&unit));
    if left.is_empty() {
        return;
    }
    unit.say(hub, Stream::Supervisor, "found without a supervisor".to_owned());
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        tokio::select! {
            biased;
            Some(stop) = wishes.recv() => {
                unit.set(&hub, UnitState::Stopping, |_| {});
                let ended = processes::end(&left, stop.grace).await;
                let swept = tokio::time::timeout(SWEEP, processes::sweep(hub.layout.scope(), unit.name.as_str())).await;
                let gone = matches!(ended, Ok(stayed) if stayed.is_empty()) && matches!(swept, Ok(Ok(())));
                unit.set(&hub, if gone { UnitState::Stopped } else { UnitState::Leftover }, |_| {});
                let message = || format!("processes of `{}` do not end although they were killed", unit.name);
                let result = if gone { Ok(()) } else { Err((Refusal::WillNotEnd, message())) };
                drop(stop.answer.send(result));
            }
            () = all_ended(&left) => {
                unit.set(&hub, UnitState::Exited { status: ExitStatus::Unknown }, |_| {});
            }
        }
    });
}

async fn all_ended(left: &[processes::Marked]) {
    for process in left {
        if let Ok(Some(held)) = processes::Held::new(process) {
            held.ended().await;
        }
    }
}

fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Unknown,
    }
}
