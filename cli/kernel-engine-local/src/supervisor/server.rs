//! Answers one connection.

use std::sync::Arc;
use std::time::Duration;

use kernel_core::name::ServiceName;
use kernel_core::unit::{Condition, Dependency, ObservedItem, ProcessSpec, UnitState};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::logs;
use crate::protocol::{Answer, Call, Refusal, Request, VERSION};
use crate::supervisor::hub::Hub;
use crate::supervisor::unit;

/// The longest request that is read, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Why a connection ends without its last answer: who asked has gone.
struct Gone;

/// Reads the request and answers it.
pub(crate) async fn serve(hub: Arc<Hub>, stream: UnixStream, shutdown: CancellationToken) {
    let (reader, writer) = stream.into_split();
    let mut caller = Caller { reader: BufReader::new(reader), writer };
    // A caller that has gone needs no answer.
    let _gone = answer(&hub, &mut caller, &shutdown).await;
}

struct Caller {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Caller {
    async fn request(&mut self) -> Result<Result<Request, Answer>, Gone> {
        let mut line = String::new();
        let read = (&mut self.reader).take(LONGEST).read_line(&mut line).await;
        if !matches!(read, Ok(1..)) {
            return Err(Gone);
        }
        // The version alone first: the rest may be a form that we do not know.
        #[derive(serde::Deserialize)]
        struct Spoken {
            version: u32,
        }
        let refuse =
            |reason, message: String| Ok(Err(Answer::Failed { reason, message, evidence: Vec::new() }));
        match serde_json::from_str::<Spoken>(&line) {
            Ok(spoken) if spoken.version != VERSION => refuse(
                Refusal::Version,
                format!("the supervisor speaks version {VERSION}, not {}", spoken.version),
            ),
            Ok(_) => match serde_json::from_str::<Call>(&line) {
                Ok(call) => Ok(Ok(call.request)),
                Err(error) => refuse(Refusal::Unreadable, error.to_string()),
            },
            Err(error) => refuse(Refusal::Unreadable, error.to_string()),
        }
    }

    async fn say(&mut self, answer: &Answer) -> Result<(), Gone> {
        let mut text = serde_json::to_vec(answer).map_err(|_| Gone)?;
        text.push(b'\n');
        self.writer.write_all(&text).await.map_err(|_| Gone)
    }

    /// Returns when who asked has gone: nothing more than the request ever comes.
    async fn gone(&mut self) {
        let mut byte = [0];
        drop(self.reader.read(&mut byte).await);
    }
}

async fn answer(hub: &Arc<Hub>, caller: &mut Caller, shutdown: &CancellationToken) -> Result<(), Gone> {
    let last = match caller.request().await? {
        Err(refusal) => refusal,
        Ok(Request::Observe) => {
            caller.say(&Answer::Observed { observed: hub.observed() }).await?;
            Answer::Done
        }
        Ok(Request::Start { name, spec, depends_on }) => start(hub, name, spec.into(), &depends_on).await,
        Ok(Request::Await { name, condition }) => wait(hub, caller, &name, condition).await?,
        Ok(Request::Stop { name, grace_ms }) => stop(hub, caller, &name, grace_ms).await?,
        Ok(Request::Remove { name }) => remove(hub, &name),
        Ok(Request::Logs { units, tail, follow }) => say_logs(hub, caller, &units, tail, follow).await?,
        Ok(Request::Shutdown) => match hub.units().iter().find(|unit| unit.item().state.is_alive()) {
            Some(unit) => failed(Refusal::OutOfStep, format!("`{}` still runs", unit.name)),
            None => {
                shutdown.cancel();
                Answer::Done
            }
        },
    };
    caller.say(&last).await
}

fn failed(reason: Refusal, message: impl Into<String>) -> Answer {
    Answer::Failed { reason, message: message.into(), evidence: Vec::new() }
}

async fn start(hub: &Arc<Hub>, name: ServiceName, spec: ProcessSpec, depends_on: &[Dependency]) -> Answer {
    if let Some(unit) = hub.unit(&name).filter(|unit| unit.item().state.is_alive()) {
        return failed(Refusal::OutOfStep, format!("`{name}` is {} already", unit.item().state));
    }
    match unit::start(hub, name, spec, depends_on).await {
        Ok(()) => Answer::Done,
        Err(message) => failed(Refusal::Start, message),
    }
}

/// What a state means for who waits.
enum Judgement {
    True,
    NotYet,
    Never,
}

fn judge(state: UnitState, condition: Condition) -> Judgement {
    match (condition, state) {
        (_, UnitState::Exited { status }) if status.is_success() => Judgement::True,
        (_, UnitState::Exited { .. } | UnitState::CrashLooping { .. } | UnitState::Stopped) => {
            Judgement::Never
        }
        (Condition::Started, UnitState::Starting | UnitState::Ready | UnitState::Unready) => Judgement::True,
        (Condition::Healthy, UnitState::Ready) => Judgement::True,
        _ => Judgement::NotYet,
    }
}

async fn wait(
    hub: &Hub,
    caller: &mut Caller,
    name: &ServiceName,
    condition: Condition,
) -> Result<Answer, Gone> {
    let Some(unit) = hub.unit(name) else {
        return Ok(failed(Refusal::OutOfStep, format!("there is no `{name}`")));
    };
    let mut changes = unit.watch();
    loop {
        let item = changes.borrow_and_update().clone();
        let judgement = judge(item.state, condition);
        let ended = matches!(item.state, UnitState::Restarting) || !item.state.is_alive();
        let last_lines = if ended { unit.last_lines() } else { Vec::new() };
        caller.say(&Answer::Unit { item: item.clone(), last_lines: last_lines.clone() }).await?;
        match judgement {
            Judgement::True => return Ok(Answer::Done),
            Judgement::Never => {
                let message = format!("`{name}` is {}{}", item.state, detail(&item));
                return Ok(Answer::Failed { reason: Refusal::Crashed, message, evidence: last_lines });
            }
            Judgement::NotYet => {}
        }
        tokio::select! {
            changed = changes.changed() => changed.map_err(|_| Gone)?,
            () = caller.gone() => return Err(Gone),
        }
    }
}

fn detail(item: &ObservedItem) -> String {
    item.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"))
}

async fn stop(hub: &Hub, caller: &mut Caller, name: &ServiceName, grace_ms: u64) -> Result<Answer, Gone> {
    let Some(unit) = hub.unit(name) else {
        return Ok(failed(Refusal::OutOfStep, format!("there is no `{name}`")));
    };
    // Ended even when who asked has gone meanwhile: a stop that has begun is finished.
    let result = unit.stop(Duration::from_millis(grace_ms)).await;
    caller.say(&Answer::Unit { item: unit.item(), last_lines: Vec::new() }).await?;
    Ok(match result {
        Ok(()) => Answer::Done,
        Err((reason, message)) => failed(reason, message),
    })
}

fn remove(hub: &Hub, name: &ServiceName) -> Answer {
    match hub.unit(name) {
        None => failed(Refusal::OutOfStep, format!("there is no `{name}`")),
        Some(unit) if unit.item().state.is_alive() => {
            failed(Refusal::OutOfStep, format!("`{name}` still runs"))
        }
        Some(_) => {
            hub.forget(name);
            Answer::Done
        }
    }
}

async fn say_logs(
    hub: &Hub,
    caller: &mut Caller,
    units: &[ServiceName],
    tail: Option<usize>,
    follow: bool,
) -> Result<Answer, Gone> {
    // Between these two nothing else happens, so no line is missed and none comes twice.
    let mut coming = hub.listen();
    let lines = logs::merged(&hub.layout, units, tail);
    for line in &lines {
        caller.say(&Answer::line(line)).await?;
    }
    if !follow {
        return Ok(Answer::Done);
    }
    loop {
        tokio::select! {
            line = coming.recv() => match line {
                Ok(line) if units.is_empty() || units.contains(&line.unit) => {
                    caller.say(&Answer::line(&line)).await?;
                }
                Ok(_) => {}
                // Too slow a reader: it goes on with what there is.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(Answer::Done),
            },
            () = caller.gone() => return Err(Gone),
        }
    }
}
