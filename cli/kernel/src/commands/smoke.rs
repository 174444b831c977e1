//! `kernel smoke`: prove that every service is ready and does its job.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kernel_core::event::{CheckResult, Event, Verdict};
use kernel_core::exit::ExitCode;
use kernel_ops::smoke::plan::{self, SmokeRequest};
use kernel_ops::smoke::{self, report};
use kernel_ops::{Failure, load};
use kernel_report::{Cell, Paint, Table, junit, plain};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::values::duration;
use crate::{engine, output, work};

const EXAMPLES: &str = "\
Examples:
  kernel smoke                          all services: live, ready, gRPC health, and one scenario each
  kernel smoke money audit              two of them
  kernel smoke -o junit > smoke.xml     for a build machine
  kernel smoke --target https://api.example.org --retry-for 2m";

const MORE: &str = "\
Exits with 20 when a check failed. Every scenario registers a tenant of its own, so all run at the same time and none
sees what another left behind. A scenario is `services/<package>/smoke.yaml`; docs/smoke.md tells its form.";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = MORE)]
pub struct Arguments {
    /// The services; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// A platform that runs elsewhere, by the address of its gateway: only scenarios are run
    #[arg(long, value_name = "URL")]
    target: Option<String>,

    /// How long a check may fail before that counts, such as 30s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    retry_for: Duration,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document with a `schema`
    Json,
    /// The same as YAML
    Yaml,
    /// Names of the services that failed, one per line
    Name,
    /// JUnit XML for build machines
    Junit,
}

/// Runs the checks.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    let request = SmokeRequest {
        services: arguments.services,
        target: arguments.target,
        retry_for: arguments.retry_for,
        port_offset: context.settings.port_offset,
    };
    let settings = plan::settings(&platform, &request)?;
    if context.settings.dry_run {
        let list = settings.services.iter().flat_map(|subject| {
            smoke::names(subject).into_iter().map(|check| format!("{} {check}\n", subject.name))
        });
        output::answer(&list.collect::<String>());
        return Ok(ExitCode::Success);
    }
    let local = request.target.is_none();
    let report = work::run(context, async |surroundings| {
        let host = match local {
            true => Some(engine::choose(context, engine::Stack::of(&platform)).await?),
            false => None,
        };
        if let Some(host) = &host
            && host.engine().observe().await.is_ok_and(|found| found.items.is_empty())
        {
            let message = format!("nothing of `{}` is known to run; `kernel up` starts it", platform.name);
            surroundings.events.emit(Event::Notice { message });
        }
        let mut results = smoke::run(&settings, &surroundings.events, &surroundings.cancel).await;
        if let Some(host) = &host {
            smoke::add_last_lines(&mut results, host.engine()).await;
        }
        Ok(report(&settings, results, surroundings.cancel.is_cancelled()))
    })?;
    let look = context.settings.answer;
    match arguments.format {
        Format::Junit => output::answer(&junit::render("kernel smoke", &report.checks)),
        Format::Table => output::answer(&table(&report.checks, look)),
        Format::Json => context.answer(DataFormat::Json, &report, String::new, Vec::new),
        Format::Yaml => context.answer(DataFormat::Yaml, &report, String::new, Vec::new),
        Format::Name => context.answer(DataFormat::Name, &report, String::new, || report.failed_services()),
    }
    match report.failure() {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::Success),
    }
}

/// One row per service, one column per check.
fn table(results: &[CheckResult], look: kernel_report::Look) -> String {
    let columns = ["live", "ready", "grpc-health", "scenario"];
    let mut services: Vec<&str> = results.iter().map(|result| result.service.as_str()).collect();
    services.dedup();
    let mut table = Table::new(["SERVICE", "LIVE", "READY", "GRPC", "SCENARIO", "TIME"]);
    for service in services {
        let of_service = || results.iter().filter(|result| result.service.as_str() == service);
        let mut row = vec![Cell::from(service)];
        for column in columns {
            let found = of_service().find(|result| result.check == column);
            row.push(found.map_or_else(|| Cell::from("-"), |result| verdict(result.verdict)));
        }
        let time = of_service().map(|result| result.elapsed_ms).max().unwrap_or(0);
        row.push(Cell::from(plain::seconds(time)));
        table.row(row);
    }
    let passed = results.iter().filter(|result| result.verdict == Verdict::Passed).count();
    format!("{}\n{passed} of {} checks passed\n", table.render(look), results.len())
}

fn verdict(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Passed => Cell::painted("ok", Paint::Good),
        Verdict::Failed => Cell::painted("FAILED", Paint::Bad),
        Verdict::Skipped => Cell::painted("skipped", Paint::Careful),
    }
}
