//! `kernel new service NAME`: a whole, small service, and everything that the workspace has to know of it.

use clap::{Args, Subcommand};
use kernel_core::exit::ExitCode;
use kernel_ops::new_service::{self, NewService};
use kernel_ops::{Failure, load};
use kernel_report::{Cell, Table};

use crate::arguments::DataFormat;
use crate::context::Context;
use crate::engine;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kernel new service price-list                    crate, proto, Compose entry, tests, smoke scenario
  kernel new service price-list --dry-run          what would be written
  kernel new service price-list --description 'What things cost, by tenant.'";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A service of the platform, from `templates/service/`
    #[command(before_help = EXAMPLES)]
    Service(ServiceArguments),
}

/// What can be said of a service.
#[derive(Args, Debug)]
struct ServiceArguments {
    /// Its name: lower-case letters, digits and dashes, such as `price-list`
    name: String,

    /// One sentence: what it is for
    #[arg(long, value_name = "SENTENCE", default_value = "Items of a tenant.")]
    description: String,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Writes it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let What::Service(arguments) = arguments.what;
    let mut settings = context.load_settings();
    // It is the workspace's own file that gets the entry, whatever was named besides.
    settings.files.clear();
    let platform = load::load(&settings, &engine::Secrets, false)?;
    let wanted = NewService { name: arguments.name, description: arguments.description };
    let dry_run = context.settings.dry_run;
    let written = new_service::new_service(&settings, &platform, &wanted, dry_run)?;
    let table = || {
        let mut table = Table::new(["", "FILE"]);
        for file in &written.created {
            table.row([Cell::from("new"), Cell::from(file.as_str())]);
        }
        for file in &written.changed {
            table.row([Cell::from("changed"), Cell::from(file.as_str())]);
        }
        table.render(context.settings.answer)
    };
    let names = || written.created.iter().chain(&written.changed).cloned().collect();
    context.answer(arguments.format, &written, table, names);
    if !dry_run {
        let name = &written.name;
        output::say(&format!(
            "next: `kernel up`, then `kernel smoke {name}`; tests: `cargo test -p {name}`; port {}; for Kubernetes: \
             `kernel manifests render`\n",
            written.port
        ));
    }
    Ok(ExitCode::Success)
}
