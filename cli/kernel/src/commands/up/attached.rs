//! `up` that stays: it shows what services say until one of their containers ends, and then ends them all.

use std::collections::BTreeSet;

use kernel_compose::Project;
use kernel_compose::project::Condition;
use kernel_compose::tree::Node;
use kernel_core::diagnostic::Severity;
use kernel_core::event::{Event, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_engine::{EngineError, Events};
use kernel_engine_docker::stack::{Ended, Stack, Window};
use kernel_ops::converge::{self, ChangeSettings, Work};
use kernel_ops::host::LogSettings;
use kernel_ops::load::Platform;
use kernel_ops::{Failure, codes, problem, select};
use tokio_util::sync::CancellationToken;

use crate::commands::logs::Form;
use crate::context::Context;
use crate::{engine, output};

/// When everything ends, and how the command does.
#[derive(Clone, Debug)]
pub struct Abort {
    /// What ends everything.
    pub on: On,
    /// Whose exit code is that of the command; without it that of the container that ended first.
    pub code_from: Option<String>,
    /// Who is shown.
    pub heard: Heard,
    /// How.
    pub form: Form,
}

/// The services whose words are shown.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Only these, also those of which the files say that they are not.
    pub only: Vec<String>,
    /// Also what the named services need.
    pub with_dependencies: bool,
    /// None of these.
    pub but: Vec<String>,
}

impl Heard {
    /// `named`: the services that were named, or all. What has `attach: false` is only shown when it is asked for.
    fn services(&self, project: &Project, named: &BTreeSet<String>) -> Result<BTreeSet<String>, Failure> {
        let mut heard = match self.only.as_slice() {
            [] if self.with_dependencies => {
                let named: Vec<String> = named.iter().cloned().collect();
                select::with_dependencies(project, &named)?
            }
            [] => named.clone(),
            only => only.iter().cloned().collect(),
        };
        let silent = |name: &String| {
            let services = project.model.get("services");
            let attach =
                services.and_then(|services| services.get(name)).and_then(|service| service.get("attach"));
            attach.and_then(Node::as_text) == Some("false")
        };
        heard.retain(|name| !self.but.contains(name) && (!self.only.is_empty() || !silent(name)));
        Ok(heard)
    }
}

/// What ends everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The end of a container; not the good end of one whose end another service waits for.
    Exit,
    /// The end of a container with another exit code than 0.
    Failure,
    /// Nothing but an interruption.
    Nothing,
}

impl On {
    /// Whether the end of a container of `service` ends everything. `jobs`: whose end others wait for.
    fn counts(self, service: &str, code: i64, jobs: &BTreeSet<String>) -> bool {
        match self {
            Self::Exit => code != 0 || !jobs.contains(service),
            Self::Failure => code != 0,
            Self::Nothing => false,
        }
    }
}

/// What `up` started, and what is waited for.
pub struct Attached<'a> {
    abort: &'a Abort,
    platform: &'a Platform,
    settings: &'a ChangeSettings,
    work: Work<'a>,
    /// The services whose ends count: those that were named, or all.
    services: BTreeSet<String>,
    /// The services whose words are shown.
    heard: BTreeSet<String>,
    /// From now on something is news.
    news: Window,
}

impl<'a> Attached<'a> {
    /// Before anything is started.
    ///
    /// # Errors
    /// When there are no containers that could end, or a service is named that the project does not have.
    pub fn new(
        abort: &'a Abort,
        platform: &'a Platform,
        settings: &'a ChangeSettings,
        work: Work<'a>,
    ) -> Result<Self, Failure> {
        if work.host.engine().name() != "docker" {
            let message = "services are processes here, and `--abort-on-container-exit` and the like wait for \
                           containers";
            let help = "say `--engine docker`";
            let problem = problem(codes::ENGINE_UNAVAILABLE, message, help);
            return Err(Failure::new(ExitCode::Prerequisite, problem));
        }
        let mut services = select::named(&platform.project, &settings.services)?;
        let heard = abort.heard.services(&platform.project, &services)?;
        services.extend(abort.code_from.clone());
        let news = Window::parse(Some("0s"), None).map_err(|error| converge::engine_failure(&error))?;
        Ok(Self { abort, platform, settings, work, services, heard, news })
    }

    /// Shows what services say until a container ends as it has to, then ends everything. Gives the exit code.
    ///
    /// # Errors
    /// What stood in the way, or that somebody interrupted it; then too everything has ended.
    pub async fn stay(self, context: &Context) -> Result<i64, Failure> {
        let address = engine::address(context).map_err(|error| converge::engine_failure(&error))?;
        let stack = Stack::connect(&address, self.platform.name.as_str()).await;
        let stack = stack.map_err(|error| converge::engine_failure(&error))?;
        let silence = CancellationToken::new();
        let ending = async {
            let ended = self.until_the_end(&stack).await;
            if ended.is_err() {
                // Something may run on, and so may what it says.
                silence.cancel();
            }
            ended
        };
        let (code, ()) = tokio::join!(ending, self.tell(&silence));
        code
    }

    async fn until_the_end(&self, stack: &Stack) -> Result<i64, Failure> {
        let failed = |error: EngineError| converge::engine_failure(&error);
        let services: Vec<String> = self.services.iter().cloned().collect();
        let jobs = jobs(&self.platform.project);
        let counts = |end: &Ended| self.abort.on.counts(&end.member.service, end.code, &jobs);
        let first = tokio::select! {
            first = stack.first_end(&services, counts) => first.map_err(failed)?,
            () = self.work.cancel.cancelled() => {
                self.end_all().await?;
                return Err(interruption());
            }
        };
        if let Some(first) = &first {
            let message = format!("{} ended with exit code {}: ending all", first.member.name, first.code);
            self.work.events.emit(Event::Notice { message });
            self.end_all().await?;
        }
        match (&self.abort.code_from, first) {
            (Some(service), Some(first)) if first.member.service == *service => Ok(first.code),
            // All has ended, so this does not wait.
            (Some(service), _) => {
                let ended = stack.wait(std::slice::from_ref(service)).await.map_err(failed)?;
                Ok(ended.map_or(0, |ended| ended.code))
            }
            (None, first) => Ok(first.map_or(0, |first| first.code)),
        }
    }

    /// Ends all that `up` started, also after an interruption.
    ///
    /// # Errors
    /// What can't be ended.
    pub async fn end_all(&self) -> Result<(), Failure> {
        let (project, names) = (&self.platform.project, &self.settings.services);
        let chosen = match names.as_slice() {
            [] => BTreeSet::new(),
            names if self.settings.alone => select::named(project, names)?,
            names => select::with_dependencies(project, names)?,
        };
        self.end(chosen.into_iter().collect()).await
    }

    /// Ends what `up` has started when it was interrupted before it came to its end. What ran before goes on.
    pub async fn end_started(&self, interrupted: Failure) -> Failure {
        match self.started().await {
            Ok(started) if started.is_empty() => interrupted,
            Ok(started) => self.end(started).await.err().unwrap_or_else(interruption),
            Err(failure) => failure,
        }
    }

    async fn started(&self) -> Result<Vec<String>, Failure> {
        let now =
            self.work.host.engine().observe().await.map_err(|error| converge::engine_failure(&error))?;
        let all = select::with_dependencies(&self.platform.project, &self.settings.services)?;
        let started = now.items.iter().filter(|item| {
            item.state.is_alive() && self.news.holds(&item.since) && all.contains(item.name.as_str())
        });
        Ok(started.map(|item| item.name.to_string()).collect())
    }

    async fn end(&self, services: Vec<String>) -> Result<(), Failure> {
        let settings = ChangeSettings { services, grace: self.settings.grace, ..ChangeSettings::default() };
        let cancel = CancellationToken::new();
        converge::stop(self.platform, &settings, Work { cancel: &cancel, ..self.work }).await.map(drop)
    }

    /// Tells what services say until none of them runs.
    async fn tell(&self, silence: &CancellationToken) {
        if self.heard.is_empty() {
            return;
        }
        let services = self.heard.iter().filter_map(|name| ServiceName::new(name.clone()).ok());
        let settings = LogSettings {
            services: services.collect(),
            follow: true,
            until_end: true,
            since: self.news.seconds().0,
            ..LogSettings::default()
        };
        let (lines, mut told) = Events::channel();
        let telling = async {
            let result = self.work.host.logs(&settings, &lines, silence).await;
            drop(lines);
            result
        };
        let printing = async {
            let mut read = true;
            while let Some(event) = told.recv().await {
                if let Event::LogLine(line) = event
                    && read
                    && self.news.holds(&line.time)
                {
                    read = output::answer_while_read(&self.abort.form.line(&line));
                }
            }
        };
        if let (Err(error), ()) = tokio::join!(telling, printing) {
            // What services do is not worse for nobody hearing what they say.
            self.work.events.emit(Event::Problem(Problem { severity: Severity::Warning, ..error.problem() }));
        }
    }
}

fn interruption() -> Failure {
    let message = "interrupted: everything that `up` started was ended";
    Failure::new(ExitCode::Interrupted, problem(codes::INTERRUPTED, message, "run the command again"))
}

/// The services whose good end others wait for.
fn jobs(project: &Project) -> BTreeSet<String> {
    let needs = project.services.values().flat_map(|service| &service.depends_on);
    let ends = needs.filter(|(_, how)| how.condition == Condition::CompletedSuccessfully);
    ends.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_end_of_a_job_that_others_wait_for_ends_nothing() {
        let jobs = BTreeSet::from(["migrate".to_owned()]);
        let counts = |on: On, service, code| on.counts(service, code, &jobs);
        assert!(counts(On::Exit, "tests", 0) && counts(On::Exit, "tests", 1));
        assert!(!counts(On::Exit, "migrate", 0) && counts(On::Exit, "migrate", 1));
        assert!(!counts(On::Failure, "tests", 0) && counts(On::Failure, "tests", 1));
        assert!(!counts(On::Failure, "migrate", 0) && counts(On::Failure, "migrate", 137));
    }
}
