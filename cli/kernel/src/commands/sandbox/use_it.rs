//! `kernel sandbox env`, `exec`, `logs` and `port`: what one works with a sandbox with.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::{Args, ValueEnum};
use kernel_core::exit::ExitCode;
use kernel_ops::load::{self, Platform};
use kernel_ops::sandbox::{TenantName, environment};
use kernel_ops::{Failure, codes, endpoints, problem, select};

use super::Place;
use crate::codes::PROGRAM;
use crate::commands::logs as all_logs;
use crate::context::Context;
use crate::{engine, output};

const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(kernel sandbox env acme)\"
  kernel sandbox env acme --format dotenv > .env.acme
  kernel sandbox env acme --format json | jq -r .SANDBOX_URL";

const ENV_MORE: &str = "\
Passwords are not among them: they stand in the file that SANDBOX_CREDENTIALS names, as lines of NAME=password. `kernel`
itself means the sandbox where these variables are set: `kernel ps`, `kernel smoke`, `kernel logs`.";

const EXEC_EXAMPLES: &str = "\
Examples:
  kernel sandbox exec acme -- npm test
  kernel sandbox exec acme -- kernel smoke
  kernel sandbox exec acme -- sh -c 'curl -s $SANDBOX_URL/health/ready'";

const EXEC_MORE: &str = "\
It has the variables of `kernel sandbox env`, and the passwords as SANDBOX_<USER>_PASSWORD. It ends as the program does.";

const LOGS_EXAMPLES: &str = "\
Examples:
  kernel sandbox logs acme
  kernel sandbox logs acme -f gateway iam";

const PORT_EXAMPLES: &str = "\
Examples:
  kernel sandbox port acme iam           such as 127.0.0.1:22213
  kernel sandbox port acme gateway 8443  the gateway's TLS";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = ENV_EXAMPLES, after_help = ENV_MORE)]
pub struct EnvArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// For whom the variables are
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// For whom variables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines of export NAME='value'
    #[default]
    Shell,
    /// Lines of NAME='value'
    Dotenv,
    /// One JSON object
    Json,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXEC_EXAMPLES, after_help = EXEC_MORE)]
pub struct ExecArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = LOGS_EXAMPLES)]
pub struct LogsArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    #[command(flatten)]
    logs: all_logs::Arguments,
}

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = PORT_EXAMPLES)]
pub struct PortArguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The port that the service has in its Compose file
    #[arg(value_name = "PORT", default_value_t = 8080)]
    port: u16,
}

/// Prints the variables.
pub fn env(context: &Context, arguments: EnvArguments) -> Result<ExitCode, Failure> {
    let (place, _) = Place::existing(context, &arguments.tenant)?;
    let variables = variables(&place, &loaded(&place)?)?;
    let quoted = |value: &str| value.replace('\'', "'\"'\"'");
    let lines = |before: &str| -> String {
        variables.iter().map(|(name, value)| format!("{before}{name}='{}'\n", quoted(value))).collect()
    };
    output::answer(&match arguments.format {
        Format::Shell => lines("export "),
        Format::Dotenv => lines(""),
        Format::Json => serde_json::to_string_pretty(&variables).unwrap_or_default() + "\n",
    });
    Ok(ExitCode::Success)
}

/// Becomes the program.
pub fn exec(context: &Context, arguments: ExecArguments) -> Result<std::process::ExitCode, Failure> {
    let (place, _) = Place::existing(context, &arguments.tenant)?;
    let mut variables = variables(&place, &loaded(&place)?)?;
    let credentials = place.state.credentials()?;
    for user in place.state.seeded()?.into_iter().flat_map(|seeded| seeded.users) {
        if let Some(password) = credentials.of(&user.name) {
            let name = user.name.to_ascii_uppercase().replace('-', "_");
            variables.insert(format!("SANDBOX_{name}_PASSWORD"), password.expose().to_owned());
        }
    }
    let Some((program, rest)) = arguments.command.split_first() else { return Ok(ExitCode::Usage.into()) };
    let error = Command::new(program).args(rest).envs(variables).exec();
    let message = format!("could not run `{program}`: {error}");
    let help = "name a program that is in PATH, or by its path";
    Err(Failure::new(ExitCode::Usage, problem(PROGRAM, message, help)))
}

/// Shows what services said.
pub fn logs(context: &Context, arguments: LogsArguments) -> Result<ExitCode, Failure> {
    let (mut place, _) = Place::existing(context, &arguments.tenant)?;
    all_logs::run(&mut place.inside, arguments.logs)
}

/// Shows where a service is reached.
pub fn port(context: &Context, arguments: PortArguments) -> Result<ExitCode, Failure> {
    let (place, _) = Place::existing(context, &arguments.tenant)?;
    let platform = loaded(&place)?;
    select::named(&platform.project, std::slice::from_ref(&arguments.service))?;
    let service = platform.project.services.get(&arguments.service);
    let port = service.and_then(|it| it.local_ports().find(|port| port.target == arguments.port)?.published);
    let Some(port) = port else {
        let message = format!("`{}` publishes no port for its port {}", arguments.service, arguments.port);
        let help = match service.is_some_and(|service| endpoints::package(service).is_some()) {
            true => "see the `ports` of the service in its Compose file",
            false => "it does not run as a process here: the services that use it answer for it",
        };
        return Err(Failure::new(ExitCode::Usage, problem(codes::UNKNOWN_SERVICE, message, help)));
    };
    output::answer(&format!("127.0.0.1:{port}\n"));
    Ok(ExitCode::Success)
}

fn loaded(place: &Place) -> Result<Platform, Failure> {
    load::load(&place.inside.load_settings(), &engine::Secrets, false)
}

fn variables(place: &Place, platform: &Platform) -> Result<BTreeMap<String, String>, Failure> {
    Ok(environment(&place.tenant, platform, &place.state, place.state.seeded()?.as_ref()))
}
