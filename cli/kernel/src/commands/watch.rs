//! `kernel watch`: what changes here goes into what runs, by `develop.watch` of the Compose files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;
use clap::Args;
use futures::StreamExt;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use kernel_engine_docker::images::Images;
use kernel_engine_docker::stack::{ExecSettings, Member, Output, Stack, Which};
use kernel_ops::converge::{self, ChangeSettings, Work};
use kernel_ops::images::{self, BuildSettings, ImageWork};
use kernel_ops::load::{self, Platform};
use kernel_ops::watch::{self, Hands, Hook, Rule};
use kernel_ops::{Failure, codes, copy, problem};
use kernel_report::{Look, Table};

use crate::commands::build;
use crate::context::Context;
use crate::images::EngineImages;
use crate::{engine, output, work};

const EXAMPLES: &str = "\
Examples:
  kernel watch                   bring everything up, then carry on what changes; Ctrl-C ends it
  kernel watch --no-up web       one service, as it runs
  kernel watch --dry-run         what is watched, and what would be done";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services; without names all that have `develop.watch`
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Do not build and start services first
    #[arg(long)]
    no_up: bool,

    /// Remove images that have lost their name to a newer build
    #[arg(
        long,
        value_name = "BOOLEAN",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    prune: bool,
}

impl Arguments {
    /// After `up` has started them.
    pub fn beside_up(services: Vec<String>) -> Self {
        Self { services, no_up: true, prune: true }
    }
}

/// Does it until somebody interrupts.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let dry_run = context.settings.dry_run;
    let platform = load::load(&context.load_settings(), &engine::Secrets, !dry_run)?;
    context.warn(&platform);
    let rules = watch::rules(&platform.project, &arguments.services)?;
    if dry_run {
        output::answer(&table(&rules, context.settings.answer));
        return Ok(ExitCode::Success);
    }
    work::run(context, async |surroundings| {
        let host = engine::choose(context, engine::Stack::of(&platform)).await?;
        let (events, cancel) = (&surroundings.events, &surroundings.cancel);
        if let Some(reason) = host.reason() {
            events.emit(Event::Notice { message: reason.to_owned() });
        }
        let stack = match host.engine().name() {
            "docker" => Some(connect(context, &platform).await?),
            _ => without_containers(&rules)?,
        };
        let work = Work { host: &*host, dry_run: false, events, cancel, command: "kernel watch" };
        if !arguments.no_up {
            let settings =
                ChangeSettings { services: arguments.services.clone(), ..ChangeSettings::default() };
            converge::up(&platform, &settings, work).await?;
        }
        let hands = Here { context, platform: &platform, work, stack, prune: arguments.prune };
        watch::watch(&rules, &hands, events, cancel).await
    })?;
    Ok(ExitCode::Success)
}

fn table(rules: &[Rule], look: Look) -> String {
    let mut table = Table::new(["SERVICE", "PATH", "ACTION", "TARGET"]);
    for rule in rules {
        let (path, action) = (rule.path.display().to_string(), rule.action.to_string());
        let cells = [rule.service.as_str(), &path, &action, rule.target.as_deref().unwrap_or_default()];
        table.row(cells.map(Into::into));
    }
    table.render(look)
}

async fn connect(context: &Context, platform: &Platform) -> Result<Stack, Failure> {
    let failed = |error| converge::engine_failure(&error);
    let address = engine::address(context).map_err(failed)?;
    Stack::connect(&address, platform.name.as_str()).await.map_err(failed)
}

/// Where services are processes nothing can be copied: they see the files of this machine.
fn without_containers(rules: &[Rule]) -> Result<Option<Stack>, Failure> {
    let problems: Vec<_> = rules
        .iter()
        .filter(|rule| rule.action.copies())
        .map(|rule| {
            let message = format!(
                "service `{}` is a process here, and `{}` of `{}` copies into containers",
                rule.service,
                rule.action,
                rule.path.display()
            );
            problem(
                codes::WATCH,
                message,
                "watch with `--engine docker`, or let `develop.watch` rebuild or restart it",
            )
        })
        .collect();
    if problems.is_empty() { Ok(None) } else { Err(Failure::several(ExitCode::Usage, problems)) }
}

/// The services of a project where they run.
struct Here<'a> {
    context: &'a Context,
    platform: &'a Platform,
    work: Work<'a>,
    /// Their containers; without them they are processes.
    stack: Option<Stack>,
    /// Images that have lost their name to a newer build are removed.
    prune: bool,
}

impl Here<'_> {
    /// The running containers of a service, with where they are.
    async fn containers(&self, service: &str) -> Result<(&Stack, Vec<Member>), Failure> {
        let Some(stack) = &self.stack else {
            // Refused before watching began.
            return Err(Failure::new(ExitCode::Failed, problem(codes::WATCH, "there are no containers", "")));
        };
        let members = stack.members(&[service.to_owned()], Which::Running).await;
        Ok((stack, members.map_err(|error| converge::engine_failure(&error))?))
    }

    /// Runs a program in a container to its end.
    async fn exec(&self, stack: &Stack, member: &Member, settings: ExecSettings) -> Result<(), Failure> {
        let failed = |error: EngineError| converge::engine_failure(&error);
        let mut session = stack.exec(member, &settings).await.map_err(failed)?;
        let mut said = Vec::new();
        while let Some(piece) = match &mut session.output {
            Some(output) => output.next().await,
            None => None,
        } {
            let (Output::Out(bytes) | Output::Err(bytes)) = piece.map_err(failed)?;
            said.extend_from_slice(&bytes);
        }
        let code = session.exit_code().await.map_err(failed)?.unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        if code != 0 {
            let program = settings.command.first().map_or("", String::as_str);
            let last = said.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
            let message = format!("`{program}` ended with exit code {code} in `{}`{last}", member.name);
            let help = "correct the command or what it works on; the next change tries again";
            return Err(Failure::new(ExitCode::Failed, problem(codes::WATCH, message, help)));
        }
        for line in said.lines() {
            self.work.events.emit(Event::Notice { message: format!("{}: {line}", member.name) });
        }
        Ok(())
    }
}

#[async_trait]
impl Hands for Here<'_> {
    async fn copy(
        &self,
        service: &str,
        files: &BTreeMap<String, PathBuf>,
        gone: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        let (stack, members) = self.containers(service).await?;
        for member in &members {
            if !gone.is_empty() {
                let command = ["rm", "-rf", "--"].into_iter().map(str::to_owned).chain(gone.iter().cloned());
                // Whoever the service runs as: the files came from here.
                let root = Some("0".to_owned());
                let settings =
                    ExecSettings { command: command.collect(), user: root, ..ExecSettings::default() };
                self.exec(stack, member, settings).await?;
            }
            if !files.is_empty() {
                let files = files.clone();
                let archive = copy::stream(move |out| copy::pack_files(&files, out));
                let copied = stack.upload(member, "/", archive, false).await;
                copied.map_err(|error| converge::engine_failure(&error))?;
            }
        }
        Ok(())
    }

    async fn run(&self, service: &str, hook: &Hook) -> Result<(), Failure> {
        let (stack, members) = self.containers(service).await?;
        let environment = hook.environment.iter().map(|(name, value)| format!("{name}={}", value.expose()));
        let settings = ExecSettings {
            command: hook.command.clone(),
            environment: environment.collect(),
            user: hook.user.clone(),
            directory: hook.directory.clone(),
            privileged: hook.privileged,
            ..ExecSettings::default()
        };
        for member in &members {
            self.exec(stack, member, settings.clone()).await?;
        }
        Ok(())
    }

    async fn restart(&self, service: &str) -> Result<(), Failure> {
        let settings = ChangeSettings { services: vec![service.to_owned()], ..ChangeSettings::default() };
        converge::restart(self.platform, &settings, self.work).await.map(drop)
    }

    async fn rebuild(&self, services: &BTreeSet<String>) -> Result<(), Failure> {
        let services: Vec<String> = services.iter().cloned().collect();
        let failed = |error: EngineError| converge::engine_failure(&error);
        let mut before = Vec::new();
        // What a process is made from is built on the way up.
        if self.stack.is_some() {
            let address = engine::address(self.context).map_err(failed)?;
            let found = Images::connect(&address).await.map_err(failed)?;
            for service in &services {
                let name = self.platform.project.image_name(service);
                before.extend(found.find(&name).await.map_err(failed)?.map(|image| image.id));
            }
            let settings =
                BuildSettings { services: services.clone(), ..build::from_environment(self.context) };
            let output = images::Output::Engine(Box::pin(EngineImages::at(&address)));
            let Work { events, cancel, command, .. } = self.work;
            let work = ImageWork { dry_run: false, events, cancel, command };
            Box::pin(images::build(self.platform, &settings, output, work)).await?;
        }
        let settings = ChangeSettings { services, ..ChangeSettings::default() };
        converge::up(self.platform, &settings, self.work).await?;
        if self.prune && !before.is_empty() {
            let address = engine::address(self.context).map_err(failed)?;
            let images = Images::connect(&address).await.map_err(failed)?;
            for id in before {
                images.remove_nameless(&id).await.map_err(failed)?;
            }
        }
        Ok(())
    }
}
