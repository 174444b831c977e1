//! Waits until something is true of a service's containers, and not a moment longer.
//!
//! An Engine runs a health check for the first time one interval after the start, which is 30 s unless said otherwise,
//! and nobody wants to wait for that. So while it says `starting`, the container's own check is run here too, again and
//! again, in the container, as the Engine would; whoever sees it pass first, ends the wait. That a container is not
//! well, only the Engine says: it knows about retries and the start period.

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, ExecConfig, HealthStatusEnum};
use futures::StreamExt;
use futures::future::try_join_all;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::unit::{Condition, ExitStatus, UnitState};
use kernel_engine::{Context, EngineError};
use tokio::sync::{Semaphore, broadcast};

use crate::memory::Memory;
use crate::observe::{self, CRASHES, moments};
use crate::trouble::{is_missing, trouble};
use crate::watch::{News, Watch};
use crate::{ask, codes, labels, logs};

/// Pause between two runs of a check: short at first, since most are ready soon, and never so long that whoever waits
/// would notice.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// How many checks run at once: each is a process that the Engine starts.
const CHECKS: usize = 4;

/// How long a check may take when the container does not say.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// An event that got lost must not keep us waiting: this is how often we look without one.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// How many last lines of a container are shown when it failed.
const EVIDENCE: usize = 20;

pub(crate) struct Waiter {
    docker: Docker,
    project: ProjectName,
    checks: Semaphore,
}

/// What there is to see of one container now.
enum Seen {
    /// The condition is true.
    True,
    /// Not yet, and only time or an event will tell.
    Wait,
    /// Not yet; its check can be run.
    Check(Vec<String>, Duration),
}

impl Waiter {
    pub(crate) fn new(docker: Docker, project: ProjectName) -> Self {
        Self { docker, project, checks: Semaphore::new(CHECKS) }
    }

    pub(crate) async fn wait(
        &self,
        service: &ServiceName,
        condition: Condition,
        watch: &Watch,
        memory: &Memory,
        context: &Context,
    ) -> Result<(), EngineError> {
        // Before the first look, so that nothing happens between the two unseen.
        let events = watch.listen();
        let label = format!("{}={service}", labels::SERVICE);
        let all = observe::containers(&self.docker, &label).await?;
        let ours = all.into_iter().filter(|container| {
            let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
            let has = |name: &str, value: &str| {
                labels.and_then(|labels| labels.get(name)).is_some_and(|label| label == value)
            };
            has(labels::PROJECT, self.project.as_str()) && !has(labels::ONE_OFF, "True")
        });
        let ids: Vec<String> = ours.filter_map(|container| container.id).collect();
        if ids.is_empty() {
            let message = format!("service `{service}` has no container that could be waited for");
            return Err(out_of_step(message));
        }
        let waits = ids.iter().map(|id| Wait {
            waiter: self,
            service,
            id,
            condition,
            memory,
            context,
            events: events.resubscribe(),
            asked_to_end: false,
        });
        try_join_all(waits.map(Wait::run)).await.map(drop)
    }

    /// Waits until one container of a service runs and does what it is for.
    pub(crate) async fn wait_for(
        &self,
        service: &ServiceName,
        container: &str,
        watch: &Watch,
        memory: &Memory,
        context: &Context,
    ) -> Result<(), EngineError> {
        let events = watch.listen();
        let found = ask::inspect(&self.docker, container).await;
        let id = match found {
            Ok(found) => found.id.unwrap_or_default(),
            Err(error) if is_missing(&error) => {
                return Err(out_of_step(format!("the container {container} is gone")));
            }
            Err(error) => return Err(trouble(&format!("looking at {container}"), error)),
        };
        let condition = Condition::Healthy;
        let asked_to_end = false;
        let wait = |events| Wait {
            waiter: self,
            service,
            id: &id,
            condition,
            memory,
            context,
            events,
            asked_to_end,
        };
        wait(events.resubscribe()).run().await?;
        // One that has ended well is no less gone.
        let wait = wait(events);
        let found =
            wait.inspect().await.map_err(|error| trouble(&format!("looking at {container}"), error))?;
        let state = found.state.clone().unwrap_or_default();
        if state.running == Some(true) {
            return Ok(());
        }
        Err(wait.ended(&found, state.exit_code.unwrap_or_default(), false).await)
    }
}

fn out_of_step(message: String) -> EngineError {
    EngineError::new(kernel_engine::codes::OUT_OF_STEP, ExitCode::Conflict, message)
        .help("another command changed it meanwhile: run this one again")
}

struct Wait<'a> {
    waiter: &'a Waiter,
    service: &'a ServiceName,
    id: &'a str,
    condition: Condition,
    memory: &'a Memory,
    context: &'a Context,
    events: broadcast::Receiver<News>,
    /// Somebody asked the container to end: what it ends with then says nothing about the service.
    asked_to_end: bool,
}

impl Wait<'_> {
    async fn run(mut self) -> Result<(), EngineError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let container = match self.inspect().await {
                Ok(container) => container,
                Err(error) if is_missing(&error) => {
                    return Err(out_of_step(format!("the container of service `{}` is gone", self.service)));
                }
                Err(error) => {
                    return Err(trouble(&format!("looking at service `{}`", self.service), error));
                }
            };
            match self.look(&container).await? {
                Seen::True => return Ok(()),
                Seen::Wait => self.something_happens().await,
                Seen::Check(command, timeout) => {
                    let waiter = self.waiter;
                    let id = self.id;
                    tokio::select! {
                        passed = waiter.check(id, command, timeout) => {
                            if passed {
                                self.memory.add(self.id, moments(&container).0);
                                self.tell(UnitState::Ready, None);
                                return Ok(());
                            }
                            tokio::time::sleep(pause).await;
                            pause = (pause * 3 / 2).min(LAST_PAUSE);
                        }
                        () = self.something_happens() => {}
                    }
                }
            }
        }
    }

    async fn inspect(&self) -> Result<ContainerInspectResponse, bollard::errors::Error> {
        ask::inspect(&self.waiter.docker, self.id).await
    }

    /// Returns when something happened to the container that could make a difference.
    async fn something_happens(&mut self) {
        let end = Instant::now() + LOOK_ANYWAY;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(rest, self.events.recv()).await {
                Ok(Ok(News::Container { id, action })) => {
                    if id == self.id && !action.starts_with("exec_") {
                        self.asked_to_end |= matches!(&*action, "kill" | "stop");
                        self.asked_to_end &= action != "start";
                        return;
                    }
                }
                // Some were missed, or time is up: look. An Engine that is gone says so then.
                Ok(Ok(News::Back | News::Gone) | Err(broadcast::error::RecvError::Lagged(_))) | Err(_) => {
                    return;
                }
                Ok(Err(broadcast::error::RecvError::Closed)) => {
                    return tokio::time::sleep(LAST_PAUSE).await;
                }
            }
        }
    }

    async fn look(&self, container: &ContainerInspectResponse) -> Result<Seen, EngineError> {
        use ContainerStateStatusEnum as Status;
        let state = container.state.clone().unwrap_or_default();
        let code = state.exit_code.unwrap_or_default();
        let restarts = container.restart_count.unwrap_or_default();
        match state.status {
            Some(Status::RESTARTING) => {
                if restarts >= CRASHES && self.condition != Condition::Started {
                    return Err(self.ended(container, code, true).await);
                }
                self.waiting(format!("it ended with exit code {code} and is started again"));
                Ok(Seen::Wait)
            }
            Some(Status::RUNNING) => match self.condition {
                Condition::Started => Ok(Seen::True),
                Condition::Completed => {
                    self.waiting("it has not ended yet".to_owned());
                    Ok(Seen::Wait)
                }
                Condition::Healthy if restarts >= CRASHES && !is_well(container) => {
                    Err(self.ended(container, code, true).await)
                }
                Condition::Healthy => self.health(container).await,
            },
            Some(Status::PAUSED) => {
                self.waiting("it is paused".to_owned());
                Ok(Seen::Wait)
            }
            Some(Status::CREATED) => {
                self.waiting("it is not started yet".to_owned());
                Ok(Seen::Wait)
            }
            _ if self.asked_to_end => {
                // By another command, or by an Engine that ends. Both say more to the next look than this end does.
                Err(out_of_step(format!("service `{}` was stopped while it was waited for", self.service)))
            }
            _ if code == 0 && state.oom_killed != Some(true) => {
                if self.condition == Condition::Healthy {
                    self.memory.add(self.id, moments(container).1);
                }
                Ok(Seen::True)
            }
            _ if self.condition == Condition::Started => Ok(Seen::True),
            _ => Err(self.ended(container, code, false).await),
        }
    }

    async fn health(&self, container: &ContainerInspectResponse) -> Result<Seen, EngineError> {
        let health = container.state.as_ref().and_then(|state| state.health.as_ref());
        match health.and_then(|health| health.status) {
            Some(HealthStatusEnum::STARTING) => {
                let config = container.config.clone().unwrap_or_default();
                let check = config.healthcheck.unwrap_or_default();
                let command = command(check.test.unwrap_or_default(), config.shell);
                self.tell(UnitState::Starting, None);
                self.waiting(last_output(container).map_or_else(
                    || "its health check has not passed yet".to_owned(),
                    |output| format!("its health check says: {output}"),
                ));
                let timeout = check.timeout.and_then(|time| u64::try_from(time).ok()).filter(|t| *t > 0);
                let timeout = timeout.map_or(CHECK_TIMEOUT, Duration::from_nanos);
                Ok(command.map_or(Seen::Wait, |command| Seen::Check(command, timeout)))
            }
            Some(HealthStatusEnum::UNHEALTHY) => Err(self.unhealthy(container).await),
            _ => {
                self.tell(UnitState::Ready, None);
                Ok(Seen::True)
            }
        }
    }

    fn waiting(&self, reason: String) {
        self.context.waiting(reason);
    }

    fn tell(&self, state: UnitState, detail: Option<String>) {
        let unit = self.service.clone();
        self.context.emit(Event::UnitChanged { unit, state, detail, last_lines: Vec::new() });
    }

    async fn unhealthy(&self, container: &ContainerInspectResponse) -> EngineError {
        let output = last_output(container).unwrap_or_else(|| "nothing".to_owned());
        let message = format!("service `{}` is not healthy: its health check says: {output}", self.service);
        self.tell(UnitState::Unready, Some(output));
        EngineError::new(codes::UNHEALTHY, ExitCode::Unhealthy, message)
            .evidence(self.last_lines().await)
            .help(format!("`kernel logs {}` shows what it said", self.service))
    }

    async fn ended(&self, container: &ContainerInspectResponse, code: i64, again: bool) -> EngineError {
        let state = container.state.as_ref();
        let killed_for_memory = state.and_then(|state| state.oom_killed) == Some(true);
        let restarts = container.restart_count.unwrap_or_default();
        let mut message = format!("service `{}` ended with exit code {code}", self.service);
        if killed_for_memory {
            message += ": it used more memory than it may";
        } else if code == 137 {
            message += ": it was killed";
        } else if code > 128 {
            message += &format!(": it ended by signal {}", code - 128);
        }
        if again {
            message += &format!("; it was started again {restarts} times and ended each time");
        }
        let status = i32::try_from(code).map_or(ExitStatus::Unknown, ExitStatus::Code);
        let unit = if again { UnitState::CrashLooping { status } } else { UnitState::Exited { status } };
        self.tell(unit, None);
        EngineError::new(codes::ENDED, ExitCode::Unhealthy, message)
            .evidence(self.last_lines().await)
            .help(format!("`kernel logs {}` shows all that it said", self.service))
    }

    async fn last_lines(&self) -> Vec<String> {
        logs::last_lines(&self.waiter.docker, self.id, EVIDENCE).await
    }
}

fn is_well(container: &ContainerInspectResponse) -> bool {
    let health = container.state.as_ref().and_then(|state| state.health.as_ref());
    health.is_some_and(|health| health.status == Some(HealthStatusEnum::HEALTHY))
}

/// What the last run of the Engine's own check said, its last line.
fn last_output(container: &ContainerInspectResponse) -> Option<String> {
    let health = container.state.as_ref()?.health.as_ref()?;
    let output = health.log.as_ref()?.last()?.output.as_deref()?;
    output.trim().lines().last().map(str::to_owned)
}

/// The check as a command. `None`: there is none.
fn command(test: Vec<String>, shell: Option<Vec<String>>) -> Option<Vec<String>> {
    let (kind, words) = test.split_first()?;
    match kind.as_str() {
        "CMD" => Some(words.to_vec()),
        "CMD-SHELL" => {
            let mut command = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            command.extend(words.iter().cloned());
            Some(command)
        }
        _ => None,
    }
}

impl Waiter {
    /// Runs a check in the container. Whatever goes wrong with that: it did not pass.
    async fn check(&self, container: &str, command: Vec<String>, timeout: Duration) -> bool {
        let Ok(_permit) = self.checks.acquire().await else { return false };
        tokio::time::timeout(timeout, self.run(container, command)).await.ok().flatten() == Some(0)
    }

    async fn run(&self, container: &str, command: Vec<String>) -> Option<i64> {
        let config = ExecConfig {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command),
            ..ExecConfig::default()
        };
        let run = self.docker.create_exec(container, config).await.ok()?;
        match self.docker.start_exec(&run.id, None).await.ok()? {
            StartExecResults::Attached { mut output, .. } => while output.next().await.is_some() {},
            StartExecResults::Detached => return None,
        }
        self.docker.inspect_exec(&run.id).await.ok()?.exit_code
    }
}
