//! `kernel up`: build and start services, wait until they are ready, say where they are.

mod attached;

use std::time::Duration;

use clap::{Args, ValueEnum};
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::planner::Replace;
use kernel_engine::Events;
use kernel_ops::converge::{self, Change, ChangeSettings};
use kernel_ops::endpoints::{self, Endpoint};
use kernel_ops::host::Host;
use kernel_ops::load::Platform;
use kernel_ops::{Failure, problem, select};
use kernel_report::{Cell, Table};

use crate::arguments::DataFormat;
use crate::codes::NOT_IMPLEMENTED;
use crate::commands::logs::Form;
use crate::commands::{change, infra, watch, why};
use crate::context::Context;
use crate::settings::Progress;
use crate::values::duration;
use crate::{output, stack};
use attached::{Abort, Attached, Heard, On};

const EXAMPLES: &str = "\
Examples:
  kernel up                           everything; again: only what is missing or changed
  kernel up money                     one service and all that it needs
  kernel up --dry-run                 the plan, each step with its cause; nothing is changed
  kernel up --build --scale worker=3  images anew, and three containers of one service
  kernel up --exit-code-from tests    what tests need, the tests, and their exit code as that of the command
  kernel up --port-offset 1000        a second platform beside the first (with `-p NAME`)
  kernel up --infra-only              the env file for services that you run by hand";

/// What can be said.
#[derive(Args, Debug, Default)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services, with all that they need; without names all
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,

    /// Only what services need from outside; writes the env file for services run by hand
    #[arg(long)]
    infra_only: bool,

    /// How long a service may take from running to ready, such as 90s or 2m [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait_timeout: Option<Duration>,

    /// End what still runs for the project and is no longer in its files
    #[arg(long)]
    pub(super) remove_orphans: bool,

    /// Replace what runs of the named services although nothing about it changed
    #[arg(long, conflicts_with = "no_recreate")]
    pub(super) force_recreate: bool,

    /// Replace what the named services need, too, although nothing about it changed
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,

    /// Replace containers, and give them new volumes where those have no name
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,

    /// Only make containers, start none
    #[arg(
        long,
        conflicts_with_all =
            ["wait", "watch", "rolling", "abort_on_container_exit", "abort_on_container_failure", "exit_code_from",
             "attach", "attach_dependencies"]
    )]
    pub(super) no_start: bool,

    /// Replace a container only when the new one beside it is ready; for services that can run twice
    #[arg(long, conflicts_with = "no_recreate")]
    rolling: bool,

    /// Leave what runs as it is, also where the files say something else now
    #[arg(long)]
    pub(super) no_recreate: bool,

    /// Only the services that are named, not what they need
    #[arg(long, requires = "services")]
    no_deps: bool,

    /// Another number of containers for a service; may be said several times
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = super::scale::replicas)]
    pub(super) scale: Vec<(String, u32)>,

    /// Build images first, also where they are there
    #[arg(long, conflicts_with = "no_build")]
    pub(super) build: bool,

    /// Build no image, also where it is missing
    #[arg(long)]
    pub(super) no_build: bool,

    /// When images are fetched, in place of what the files say
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(super) pull: Option<Pull>,

    /// Do not tell how far steps are that take long, such as fetching and building images
    #[arg(long, visible_alias = "quiet-build", overrides_with = "quiet_pull")]
    pub(super) quiet_pull: bool,

    /// So many seconds between asking a service to end and ending it, in place of its own time
    #[arg(short, long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// As docker compose has it. What was started always goes on when this command ends
    #[arg(short, long)]
    detach: bool,

    /// As docker compose has it. `up` always waits until services are ready
    #[arg(long)]
    wait: bool,

    /// Stay and show what services say; end them all as soon as a container ends
    #[arg(long, conflicts_with_all = ["abort_on_container_failure", "detach", "wait", "watch"])]
    abort_on_container_exit: bool,

    /// Stay and show what services say; end them all as soon as a container ends with a failure
    #[arg(long, conflicts_with_all = ["detach", "wait", "watch"])]
    abort_on_container_failure: bool,

    /// End as the container of this service does, and them all as with `--abort-on-container-exit`
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait", "watch"])]
    exit_code_from: Option<String>,

    /// Then carry what changes here into what runs, as `kernel watch` does
    #[arg(short, long, conflicts_with = "detach")]
    watch: bool,

    /// Stay and show what these services say; Ctrl-C ends all that was started. May be said several times
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait", "watch", "attach_dependencies"])]
    attach: Vec<String>,

    /// Stay and show also what the services say that the named ones need
    #[arg(long, conflicts_with_all = ["detach", "wait", "watch"])]
    attach_dependencies: bool,

    /// Stay and show what the services say but these. May be said several times
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,

    /// Of what services say: the whole time of each line, and not only the clock
    #[arg(long)]
    timestamps: bool,

    /// Of what services say: without the name of the service, and without the clock
    #[arg(long)]
    no_log_prefix: bool,

    /// Accepted as docker compose accepts it: lines have no colour but what the service itself says
    #[arg(long)]
    no_color: bool,

    /// Accepted as docker compose accepts it: nothing is asked
    #[arg(short, long)]
    yes: bool,

    /// There is no menu: `false` is what is there
    #[arg(
        long,
        value_name = "BOOLEAN",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    menu: Option<bool>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: DataFormat,
}

/// When images are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pull {
    /// Every time
    Always,
    /// When they are not there
    Missing,
    /// Not at all
    Never,
    /// Not at all: they are built
    Build,
}

/// Says of all services when their images are fetched and built, in place of what the files say.
pub(super) fn say_images(platform: &mut Platform, pull: Option<Pull>, build: bool) {
    let pull = pull.and_then(|policy| policy.to_possible_value()).map(|value| value.get_name().to_owned());
    for service in platform.project.services.values_mut() {
        if let Some(policy) = &pull {
            service.pull_policy = Some(policy.clone());
        }
        if build && service.build.is_some() {
            service.pull_policy = Some("build".to_owned());
        }
    }
}

impl Arguments {
    /// `create` is an `up` that starts nothing.
    pub(super) fn to_create() -> Self {
        Self { no_start: true, ..Self::default() }
    }

    /// What is said here in place of what the files say.
    fn adjust(&self, platform: &mut Platform) -> Result<(), Failure> {
        let scaled = self.scale.iter().map(|(name, _)| name.clone());
        let heard = self.attach.iter().chain(&self.no_attach).cloned();
        let names: Vec<String> = scaled.chain(self.exit_code_from.clone()).chain(heard).collect();
        select::named(&platform.project, &names)?;
        if self.watch {
            // What can't be watched is better told before anything is started.
            kernel_ops::watch::rules(&platform.project, &self.services)?;
        }
        say_images(platform, self.pull, self.build);
        for (name, service) in &mut platform.project.services {
            if let Some((_, number)) = self.scale.iter().find(|(scaled, _)| scaled == name) {
                service.scale = *number;
            }
            if self.no_build {
                service.build = None;
            }
        }
        Ok(())
    }

    /// Whether the command stays, when everything ends, and what is shown meanwhile.
    fn abort(&self) -> Option<Abort> {
        let stays = !self.attach.is_empty()
            || self.attach_dependencies
            || !(self.no_attach.is_empty() || self.detach || self.wait || self.no_start || self.watch);
        let on = match (self.abort_on_container_failure, self.abort_on_container_exit) {
            (true, _) => On::Failure,
            (_, true) => On::Exit,
            _ if self.exit_code_from.is_some() => On::Exit,
            _ if stays => On::Nothing,
            _ => return None,
        };
        Some(Abort {
            on,
            code_from: self.exit_code_from.clone(),
            heard: Heard {
                only: self.attach.clone(),
                with_dependencies: self.attach_dependencies,
                but: self.no_attach.clone(),
            },
            form: Form::people(self.timestamps, !self.no_log_prefix),
        })
    }

    /// The menu of docker compose is not there, and what it offers is.
    fn refuse_menu(&self) -> Result<(), Failure> {
        if self.menu != Some(true) {
            return Ok(());
        }
        let message = "`up --menu` is not implemented: there is no menu";
        let help = "what it offers: `kernel logs -f` shows what services say, `kernel watch` carries changes over, \
                    `kernel down` ends all";
        Err(Failure::new(ExitCode::Usage, problem(NOT_IMPLEMENTED, message, help)))
    }
}

/// Brings it up.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<std::process::ExitCode, Failure> {
    arguments.refuse_menu()?;
    context.settings.no_progress = arguments.quiet_pull;
    let abort = arguments.abort();
    let settings = ChangeSettings {
        services: arguments.services.clone(),
        grace: arguments.timeout.map(Duration::from_secs),
        alone: arguments.no_deps,
        rolling: arguments.rolling,
        wait_timeout: arguments.wait_timeout,
        remove_orphans: arguments.remove_orphans,
        replace: match (arguments.no_recreate, arguments.force_recreate || arguments.renew_anon_volumes) {
            (true, _) => Replace::Never,
            (_, true) => Replace::Always,
            _ => Replace::Changed,
        },
        replace_needed: arguments.always_recreate_deps,
        renew_volumes: arguments.renew_anon_volumes,
        no_start: arguments.no_start,
        run_again: abort.is_some(),
        no_wait: abort.is_some(),
    };
    if arguments.infra_only {
        return infra::run(context, arguments.format, &arguments.services, settings).map(Into::into);
    }
    let offset = context.settings.port_offset;
    let (mut screen, mut code) = (None, None);
    let changed = change::run_adjusted(
        context,
        "up",
        |platform| arguments.adjust(platform),
        async |platform, work| {
            let stays = abort.as_ref().filter(|_| !work.dry_run);
            let attached = stays.map(|abort| Attached::new(abort, platform, &settings, work));
            let attached = attached.transpose()?;
            let change = match converge::up(platform, &settings, work).await {
                Ok(change) => change,
                Err(failure) if failure.exit == ExitCode::Interrupted => {
                    return Err(match &attached {
                        Some(attached) => attached.end_started(failure).await,
                        None => failure,
                    });
                }
                Err(mut failure) => {
                    // What failed is seen best before anything else happens to it.
                    if matches!(failure.exit, ExitCode::Unhealthy | ExitCode::Timeout) {
                        screen = why::after_failure(context, platform, work.host, &settings.services).await;
                        if let Some(attached) = &attached
                            && let Err(also) = attached.end_all().await
                        {
                            failure.problems.extend(also.problems);
                        }
                    }
                    return Err(failure);
                }
            };
            if !work.dry_run && !settings.no_start {
                tell_endpoints(platform, offset, work.events);
                remember(context, platform, work.host);
            }
            if let Some(attached) = attached {
                code = Some(attached.stay(context).await?);
            }
            Ok(change)
        },
    );
    let (platform, change) = match changed {
        Ok(changed) => changed,
        Err(failure) => {
            let exit = context.tell(&failure);
            if let (Some(screen), true) = (screen, context.settings.progress != Progress::Json) {
                output::say(&format!("\n{screen}"));
            }
            return Ok(exit.into());
        }
    };
    if context.settings.dry_run {
        change::show_plan(context, arguments.format, &change);
    } else if let Some(code) = code {
        return Ok(stack::exit_code_of_program(code));
    } else {
        let endpoints = match arguments.no_start {
            true => Vec::new(),
            false => endpoints::all(&platform.project, offset),
        };
        show_endpoints(context, arguments.format, &platform, &change, &endpoints);
    }
    if arguments.watch && !context.settings.dry_run {
        return watch::run(context, watch::Arguments::beside_up(arguments.services)).map(Into::into);
    }
    Ok(ExitCode::Success.into())
}

/// What everything was made from, now that it works, for `why`. Only a hint: nothing fails without it.
fn remember(context: &Context, platform: &Platform, host: &dyn Host) {
    if let Ok((desired, _)) = host.desired(&platform.project) {
        drop(why::worked(context, &platform.name).remember(&desired));
    }
}

/// The addresses also as events: who reads the stream needs no second answer.
fn tell_endpoints(platform: &Platform, port_offset: u16, events: &Events) {
    for endpoint in endpoints::all(&platform.project, port_offset) {
        if let Ok(service) = ServiceName::new(endpoint.service) {
            events.emit(Event::Endpoint { service, url: endpoint.url, what: endpoint.what });
        }
    }
}

fn show_endpoints(
    context: &Context,
    format: DataFormat,
    platform: &Platform,
    change: &Change,
    endpoints: &[Endpoint],
) {
    let data = serde_json::json!({
        "schema": "kernel.up/v1",
        "project": platform.name,
        "changed": !change.plan.is_empty(),
        "endpoints": endpoints,
    });
    let table = || {
        if endpoints.is_empty() {
            return String::new();
        }
        let mut table = Table::new(["SERVICE", "URL", "WHAT"]);
        for endpoint in endpoints {
            let row = [&endpoint.service, &endpoint.url, &endpoint.what];
            table.row(row.map(|text| Cell::from(text.as_str())));
        }
        table.render(context.settings.answer)
    };
    let names = || endpoints.iter().map(|endpoint| endpoint.url.clone()).collect();
    context.answer(format, &data, table, names);
}
