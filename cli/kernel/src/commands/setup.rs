//! `kernel setup`: make the Platform Owner of a running platform.

use std::io::Read;

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_core::secret::Secret;
use kernel_ops::setup::{self, SetupSettings};
use kernel_ops::{Failure, codes, endpoints, load, problem};
use kernel_report::{Cell, Table};

use crate::arguments::DataFormat;
use crate::codes::NO_PASSWORD;
use crate::context::Context;
use crate::{engine, work};

const EXAMPLES: &str = "\
Examples:
  kernel setup --email owner@example.org --password-stdin < password.txt
  pass show platform/owner | kernel setup --email owner@example.org --password-stdin";

const MORE: &str = "\
The Platform Owner is the one role that no REST route can give. There is one; a second `setup` is refused. The
password is read from standard input, so that it stands in no list of processes and no history of a shell.";

/// The variable that services know each other by.
const INTERNAL_TOKEN: &str = "INTERNAL_TOKEN";

/// The package that is asked.
const IAM: &str = "iam";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = MORE)]
pub struct Arguments {
    /// The owner's address
    #[arg(long)]
    email: String,

    /// Read the password from standard input, its first line
    #[arg(long, required = true)]
    password_stdin: bool,

    /// The owner's name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Makes the owner.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let platform = load::load(&context.load_settings(), &engine::Secrets, false)?;
    let given = context.environment.get(INTERNAL_TOKEN).map(Secret::new);
    let internal_token =
        given.or_else(|| platform.generated.get(INTERNAL_TOKEN).cloned()).ok_or_else(|| {
            let message = format!("{INTERNAL_TOKEN} is neither set nor made for `{}`", platform.name);
            let help = "start the platform first: `kernel up`";
            Failure::new(ExitCode::Prerequisite, problem(codes::UNREACHABLE, message, help))
        })?;
    let iam = platform.project.services.values().find(|service| endpoints::package(service) == Some(IAM));
    let address = iam.and_then(|service| endpoints::of(service, context.settings.port_offset));
    let settings = SetupSettings {
        iam: address.ok_or_else(|| {
            let help = "the service with `x-kernel: { package: iam }` needs a published port";
            let message = "the project has no iam that could be asked";
            Failure::new(ExitCode::Usage, problem(codes::UNREACHABLE, message, help))
        })?,
        internal_token,
        email: arguments.email,
        password: password()?,
        name: arguments.name,
    };
    if context.settings.dry_run {
        return Ok(ExitCode::Success);
    }
    let owner = work::run(context, async |_| setup::setup(&settings).await)?;
    let table = || {
        let mut table = Table::new(["EMAIL", "USER", "TENANT"]);
        table.row([&owner.email, &owner.user, &owner.tenant].map(|text| Cell::from(text.as_str())));
        table.render(context.settings.answer)
    };
    context.answer(arguments.format, &owner, table, || vec![owner.user.clone()]);
    Ok(ExitCode::Success)
}

/// The first line of standard input.
fn password() -> Result<Secret, Failure> {
    const MOST: u64 = 4096;
    let none = |reason: String| {
        let help = "write it to standard input: `kernel setup --email E --password-stdin < password.txt`";
        Failure::new(ExitCode::Usage, problem(NO_PASSWORD, format!("there is no password: {reason}"), help))
    };
    let mut text = String::new();
    std::io::stdin().take(MOST).read_to_string(&mut text).map_err(|error| none(error.to_string()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(none("standard input is empty".to_owned())),
    }
}
