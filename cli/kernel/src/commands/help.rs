//! `kernel help [COMMAND|TOPIC]`: help on commands, and on what scripts rely on.

use std::fmt::Write;

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, problem};

use crate::codes::UNKNOWN_TOPIC;
use crate::context::Context;
use crate::{cli, output};

const EXAMPLES: &str = "\
Examples:
  kernel help up                 all about one command
  kernel help exit-codes         what each exit code means
  kernel help environment        the variables that are read
  kernel help output             what goes to stdout, what to stderr, in which form";

const ENVIRONMENT: &str = "\
A flag wins over its variable, a variable over the default. An empty variable counts as not set.

  COMPOSE_FILE              Compose files, separated by COMPOSE_PATH_SEPARATOR  --file
  COMPOSE_PATH_SEPARATOR    what stands between Compose files, else `:`
  COMPOSE_ENV_FILES         files for interpolation, separated by `,`           --env-file
  COMPOSE_DISABLE_ENV_FILE  true: the project's `.env` is not read
  COMPOSE_PROJECT_NAME      the name of the running project                     --project-name
  COMPOSE_PROFILES          Compose profiles, separated by `,`                  --profile
  COMPOSE_PROGRESS          as KERNEL_PROGRESS, which wins                      --progress
  COMPOSE_ANSI              auto, never or always                               --ansi
  COMPOSE_PARALLEL_LIMIT    how many calls of the engine may run at once        --parallel
  KERNEL_ENGINE             auto, docker or local                               --engine
  KERNEL_PORT_OFFSET        added to every published port                       --port-offset
  KERNEL_PROGRESS           auto, tty, plain, json or quiet                     --progress
  KERNEL_COLOR              auto, always or never                               --color
  KERNEL_TRACE              a file for the trace                                --trace
  NO_COLOR, FORCE_COLOR     respected when --color and KERNEL_COLOR say auto; NO_COLOR wins
  CI, TERM=dumb             no living lines: `--progress auto` means plain
  KERNEL_BIN_DIR            a folder with ready-made programs of the services: nothing is built
  CARGO, CARGO_TARGET_DIR   the cargo that builds, and where
  DOCKER_HOST               the Docker Engine: unix:///path or tcp://host:port; else DOCKER_CONTEXT, else the usual socket
  DOCKER_TLS_VERIFY         speak to it with the certificates in DOCKER_CERT_PATH
  DOCKER_BUILDKIT           0: the classic builder for Dockerfiles also where BuildKit is there
  DOCKER_CONFIG             the folder in which `docker login` keeps who may push
  KERNEL_IMAGE_REGISTRY     where images are pushed to                          --registry
  KERNEL_IMAGE_OWNER        whose they are there; else GITHUB_REPOSITORY_OWNER  --owner
  GITHUB_REF                the branch, where only a commit is checked out: `latest` on `main`
  SOURCE_DATE_EPOCH         the date of images, in seconds since 1970; else the commit's
  LC_ALL, LC_CTYPE, LANG    characters beyond ASCII only with UTF-8

Every variable of the environment can be used as `${NAME}` in Compose files.
";

const OUTPUT: &str = "\
The answer goes to stdout: tables, JSON, endpoints, log lines. Everything else goes to stderr: progress, notices,
errors. So `kernel ps -o json | jq` works whatever is told beside it.

  -o table        columns for people (default)
  -o json         one document with `\"schema\": \"kernel.<thing>/v1\"`; fields are only ever added
  -o yaml         the same as YAML
  -o name         names only, one per line
  -o junit        of `kernel smoke`: for build machines

  --progress tty    one living line per resource: what `auto` means on a terminal
  --progress plain  one line per change of state, a heartbeat every 15 s
  --progress json   one event per line, `\"schema\": \"kernel.event/v1\"`
  --progress quiet  nothing but errors
  --trace FILE      the same events for Perfetto (https://ui.perfetto.dev) or chrome://tracing
";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// A command, or one of the topics `exit-codes`, `environment`, `output`
    #[arg(value_name = "COMMAND|TOPIC")]
    topic: Vec<String>,
}

/// Prints the help.
pub fn run(_context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut command = cli::definition();
    command.build();
    let topics: Vec<&str> = arguments.topic.iter().map(String::as_str).collect();
    let text = match topics.as_slice() {
        ["exit-codes"] => exit_codes(),
        ["environment"] => ENVIRONMENT.to_owned(),
        ["output"] => OUTPUT.to_owned(),
        path => {
            let mut found = &mut command;
            for name in path {
                found = found.find_subcommand_mut(name).ok_or_else(|| unknown(name))?;
            }
            found.render_long_help().to_string()
        }
    };
    output::answer(&text);
    Ok(ExitCode::Success)
}

/// The table of exit codes.
#[must_use]
pub fn exit_codes() -> String {
    let mut out = String::from("Scripts may rely on these; they never change their meaning.\n\n");
    for code in ExitCode::ALL {
        let _infallible = writeln!(out, "  {:>3}  {}", code.number(), code.meaning());
    }
    out
}

fn unknown(name: &str) -> Failure {
    let help = "topics are `exit-codes`, `environment` and `output`; `kernel --help` lists the commands";
    Failure::new(
        ExitCode::Usage,
        problem(UNKNOWN_TOPIC, format!("there is no command or topic `{name}`"), help),
    )
}
