//! The engine port over the supervisor.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kernel_compose::project::Project;
use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::event::{Event, LogLine, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::plan::{Action, Cause, Plan, Start, Step, Subject};
use kernel_core::unit::{Condition, Observed, UnitState};
use kernel_engine::{Context, Engine, EngineError};
use tokio::sync::Mutex;

use crate::build;
use crate::client::{self, Conversation, broken_off, files_error, refused};
use crate::codes;
use crate::layout::Layout;
use crate::logs::{self, LogRequest};
use crate::ports;
use crate::processes;
use crate::project::{self, LocalProject, Surroundings};
use crate::protocol::{self, Answer, Refusal, Request, WireSpec};
use crate::settings::LocalSettings;
use crate::state;
use crate::supervisor_lock::SupervisorLock;

/// How many lines of a unit's log are shown when it ran out of time.
const EVIDENCE: usize = 20;

/// Units as child processes of a supervisor on this machine.
#[derive(Debug)]
pub struct LocalEngine {
    settings: LocalSettings,
    layout: Layout,
    /// Whether a supervisor of our version is known to answer; held while one is started.
    supervised: Mutex<bool>,
    /// How many units the prepared plan ends that a killed supervisor left; told once.
    leftovers: AtomicUsize,
}

/// Why a project can't be turned into units.
#[derive(Debug)]
pub enum ProjectError {
    /// What people wrote is wrong.
    Diagnostics(Vec<Diagnostic>),
    /// Something is missing on this machine.
    Engine(EngineError),
}

impl LocalEngine {
    /// For one project. Touches nothing yet.
    #[must_use]
    pub fn new(settings: LocalSettings) -> Self {
        let layout = Layout::new(&settings.root, &settings.project);
        Self { settings, layout, supervised: Mutex::new(false), leftovers: AtomicUsize::new(0) }
    }

    /// Where everything of the project is.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The units of a Compose project on this machine, `port_offset` added to every published port. Looks at programs
    /// and their sources; writes and runs nothing.
    ///
    /// # Errors
    /// Everything that is wrong with the project at once, or what is missing on this machine.
    pub fn desired(&self, project: &Project, port_offset: u16) -> Result<LocalProject, ProjectError> {
        self.desired_beside(project, port_offset, &BTreeSet::new())
    }

    /// The same when the services `beside` run elsewhere on this machine, in containers: they are no units here, and
    /// others find them at the ports that they publish.
    ///
    /// # Errors
    /// As [`LocalEngine::desired`].
    pub fn desired_beside(
        &self,
        project: &Project,
        port_offset: u16,
        beside: &BTreeSet<String>,
    ) -> Result<LocalProject, ProjectError> {
        let packages = project::packages(project);
        let own = &self.settings.supervisor.program;
        let programs = build::programs(&self.settings.root, &self.settings.build, own, &packages)
            .map_err(ProjectError::Engine)?;
        let surroundings = Surroundings {
            root: &self.settings.root,
            layout: &self.layout,
            port_offset,
            programs: &programs,
            beside,
        };
        project::desired(project, &surroundings).map_err(ProjectError::Diagnostics)
    }

    /// Gives lines of logs to `take`, merged by time, until there are no more; with `follow`, until the supervisor ends
    /// or the future is dropped.
    ///
    /// # Errors
    /// When the supervisor can't be asked. Without one, what is in the files is given.
    pub async fn logs(
        &self,
        request: &LogRequest,
        mut take: impl FnMut(LogLine) + Send,
    ) -> Result<(), EngineError> {
        let (units, tail, follow) = (request.units.clone(), request.tail, request.follow);
        let Some(mut conversation) =
            Conversation::open(&self.layout, Request::Logs { units, tail, follow }).await?
        else {
            logs::merged(&self.layout, &request.units, tail).into_iter().for_each(take);
            return Ok(());
        };
        while let Some(answer) = conversation.next().await {
            match answer {
                Answer::Line { unit, time, stream, text } => {
                    take(LogLine { unit, time, stream: protocol::stream(&stream), text });
                }
                Answer::Failed { reason, message, evidence } => {
                    return Err(refused(reason, message, evidence));
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// What is in the log files of one unit, newest last.
    #[must_use]
    pub fn last_lines(&self, unit: &ServiceName, count: usize) -> Vec<LogLine> {
        logs::tail(&self.layout.log_of(unit), unit, Some(count))
    }

    /// Asks, starting a supervisor when none of our version answers. One that was there and has gone is replaced: what
    /// could not be asked has not been done.
    async fn ask(&self, request: impl Fn() -> Request + Send) -> Result<Conversation, EngineError> {
        for _ in 0..2 {
            self.ensure_supervisor().await?;
            if let Some(conversation) = Conversation::open(&self.layout, request()).await? {
                return Ok(conversation);
            }
            *self.supervised.lock().await = false;
        }
        Err(broken_off(&self.layout))
    }

    async fn ensure_supervisor(&self) -> Result<(), EngineError> {
        let mut supervised = self.supervised.lock().await;
        if !*supervised {
            match self.hello().await? {
                Hello::Answers => {}
                Hello::Nobody => client::start(&self.layout, &self.settings.supervisor, false).await?,
                Hello::OtherVersion => client::start(&self.layout, &self.settings.supervisor, true).await?,
            }
            *supervised = true;
        }
        Ok(())
    }

    async fn hello(&self) -> Result<Hello, EngineError> {
        let Some(mut conversation) = Conversation::open(&self.layout, Request::Observe).await? else {
            return Ok(Hello::Nobody);
        };
        Ok(match conversation.next().await {
            Some(Answer::Failed { reason: Refusal::Version | Refusal::Unreadable, .. }) => {
                Hello::OtherVersion
            }
            Some(_) => Hello::Answers,
            None => Hello::Nobody,
        })
    }

    async fn start(&self, name: &ServiceName, start: &Start) -> Result<(), EngineError> {
        if !std::path::Path::new(&start.spec.program).is_file() {
            let message = format!("service `{name}`: there is no program `{}`", start.spec.program);
            return Err(EngineError::new(codes::NO_PROGRAM, ExitCode::Prerequisite, message)
                .help("run `kernel up` again: it builds what is missing"));
        }
        let request = || Request::Start {
            name: name.clone(),
            spec: WireSpec::from(&start.spec),
            depends_on: start.depends_on.clone(),
        };
        let conversation = self.ask(request).await?;
        self.finish(conversation, None).await
    }

    /// Listens until the last answer; tells what changes meanwhile.
    async fn finish(
        &self,
        mut conversation: Conversation,
        context: Option<&Context>,
    ) -> Result<(), EngineError> {
        let mut told: Option<UnitState> = None;
        loop {
            match conversation.next().await {
                Some(Answer::Done) => return Ok(()),
                Some(Answer::Failed { reason, message, evidence }) => {
                    return Err(refused(reason, message, evidence));
                }
                Some(Answer::Unit { item, last_lines }) => {
                    let Some(context) = context else { continue };
                    if told != Some(item.state) {
                        told = Some(item.state);
                        let (unit, state, detail) = (item.name.clone(), item.state, item.detail.clone());
                        context.emit(Event::UnitChanged { unit, state, detail, last_lines });
                    }
                    if let Some(reason) = item.detail {
                        context.waiting(reason);
                    }
                }
                Some(_) => {}
                None => {
                    *self.supervised.lock().await = false;
                    return Err(broken_off(&self.layout));
                }
            }
        }
    }

    fn tell_repair(&self, context: &Context) {
        let count = self.leftovers.swap(0, Ordering::Relaxed);
        if count > 0 {
            let services = if count == 1 { "service" } else { "services" };
            let message =
                format!("a supervisor was killed and left {count} {services} behind, which end first");
            let warning =
                Problem { severity: Severity::Warning, ..Problem::error(codes::REPAIRED.0, message) };
            context.emit(Event::Problem(warning));
        }
    }

    /// Ends the supervisor when there is one and removes what it kept.
    async fn remove_project(&self, data: bool) -> Result<(), EngineError> {
        let supervisors = || -> Vec<_> {
            let all = processes::find(self.layout.scope());
            all.into_iter().filter(|process| process.unit.is_none()).collect()
        };
        let before = supervisors();
        if let Some(conversation) = Conversation::open(&self.layout, Request::Shutdown).await? {
            match self.finish(conversation, None).await {
                // One of another version can't be asked; it has no units, that was seen to before.
                Err(error) if error.code == codes::SUPERVISOR_UNREACHABLE => {}
                other => other?,
            }
        }
        let grace = Duration::from_secs(2);
        let stayed =
            processes::end(&before, grace).await.map_err(|error| files_error(&self.layout, error))?;
        if !stayed.is_empty() {
            let message = "the supervisor does not end although it was killed".to_owned();
            return Err(refused(Refusal::WillNotEnd, message, Vec::new()));
        }
        *self.supervised.lock().await = false;
        let _held = SupervisorLock::take(&self.layout)?;
        self.layout.remove(data).map_err(|error| files_error(&self.layout, error))
    }
}

/// Whether a step ends what a killed supervisor left.
fn is_repair(step: &Step) -> bool {
    matches!(step.action, Action::Stop { .. }) && step.cause == Cause::LeftOver
}

enum Hello {
    Answers,
    Nobody,
    OtherVersion,
}

#[async_trait]
impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn observe(&self) -> Result<Observed, EngineError> {
        if let Some(mut conversation) = Conversation::open(&self.layout, Request::Observe).await?
            && let Some(Answer::Observed { observed }) = conversation.next().await
        {
            return Ok(observed);
        }
        let items: Vec<_> =
            state::recover(&self.layout).into_iter().map(|recovered| recovered.item).collect();
        let present = self.layout.is_present() || !items.is_empty();
        Ok(Observed { present, data: self.layout.has_data(), items, ..Observed::default() })
    }

    async fn prepare(&self, plan: &Plan) -> Result<(), EngineError> {
        let leftovers = plan.steps.iter().filter(|step| is_repair(step)).count();
        self.leftovers.store(leftovers, Ordering::Relaxed);
        let wanted: Vec<(ServiceName, u16)> = plan.ports().map(|(name, port)| (name.clone(), port)).collect();
        ports::check(&wanted, self.layout.scope())
    }

    async fn apply(&self, step: &Step, context: &Context) -> Result<(), EngineError> {
        match (&step.action, &step.subject) {
            (Action::Build { packages }, _) => {
                let settings = &self.settings;
                let target_dir =
                    build::target_dir(&settings.root, &settings.build, &settings.supervisor.program);
                build::build(&settings.root, settings.build.cargo.as_deref(), &target_dir, packages, context)
                    .await
            }
            (Action::Start(start), Subject::Service(name)) => self.start(name, start).await,
            (Action::Await { condition }, Subject::Service(name)) => {
                let condition: Condition = *condition;
                let conversation = self.ask(|| Request::Await { name: name.clone(), condition }).await?;
                self.finish(conversation, Some(context)).await
            }
            (Action::Stop { grace }, Subject::Service(name)) => {
                if is_repair(step) {
                    self.tell_repair(context);
                }
                let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                let conversation = self.ask(|| Request::Stop { name: name.clone(), grace_ms }).await?;
                match self.finish(conversation, Some(context)).await {
                    // It ended by itself before the new supervisor looked, and nobody knew more of it.
                    Err(error) if is_repair(step) && error.code == kernel_engine::codes::OUT_OF_STEP => {
                        Ok(())
                    }
                    other => other,
                }
            }
            (Action::Remove, Subject::Service(name)) => {
                let conversation = self.ask(|| Request::Remove { name: name.clone() }).await?;
                self.finish(conversation, None).await
            }
            (Action::RemoveProject { data }, Subject::Project(_)) => self.remove_project(*data).await,
            _ => {
                let message = format!("the local engine can't do this: {step}");
                Err(EngineError::new(kernel_engine::codes::UNSUPPORTED, ExitCode::Failed, message))
            }
        }
    }

    async fn evidence(&self, subject: &Subject) -> Vec<String> {
        let Some(unit) = subject.service() else { return Vec::new() };
        self.last_lines(unit, EVIDENCE).into_iter().map(|line| line.text).collect()
    }
}
