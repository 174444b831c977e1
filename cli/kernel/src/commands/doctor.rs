//! `kernel doctor`: whether this machine has what the platform needs.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::doctor::{self, Verdict};
use kernel_ops::{Failure, load};
use kernel_report::{Cell, Paint, Table};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::{engine, work};

const EXAMPLES: &str = "\
Examples:
  kernel doctor                  every check, with what to do
  kernel doctor -o json          the same for programs; exits with 10 when something stands in the way";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Runs the checks.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = context.load_settings();
    let workspace = load::workspace(&settings)?;
    let platform = load::load(&settings, &engine::Secrets, false);
    let diagnosis = work::run(context, async |_| {
        let docker = Box::pin(engine::look_for_docker(context));
        Ok(match &platform {
            Ok(platform) => {
                let host = engine::local(context, &workspace, &platform.name)?;
                doctor::doctor(&workspace, Ok((platform, &*host)), docker).await
            }
            Err(failure) => doctor::doctor(&workspace, Err(failure), docker).await,
        })
    })?;
    let table = || {
        let mut table = Table::new(["CHECK", "", "SEEN", "WHAT TO DO"]);
        for finding in &diagnosis.findings {
            table.row([
                Cell::from(finding.check),
                verdict(finding.verdict),
                Cell::from(finding.message.as_str()),
                Cell::from(finding.fix.clone().unwrap_or_default()),
            ]);
        }
        table.render(context.settings.answer)
    };
    let names = || {
        let failed = diagnosis.findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
        failed.map(|finding| finding.check.to_owned()).collect()
    };
    context.answer(arguments.format, &diagnosis, table, names);
    match diagnosis.failure() {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::Success),
    }
}

fn verdict(verdict: Verdict) -> Cell {
    match verdict {
        Verdict::Pass => Cell::painted("ok", Paint::Good),
        Verdict::Warn => Cell::painted("warning", Paint::Careful),
        Verdict::Fail => Cell::painted("FAILED", Paint::Bad),
    }
}
