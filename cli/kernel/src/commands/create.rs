//! `kernel create`: make containers, start none. The same as `kernel up --no-start`.

use std::process::ExitCode;

use clap::Args;
use kernel_ops::Failure;

use crate::arguments::DataFormat;
use crate::commands::up::{self, Pull};
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  kernel create                  the containers of all services
  kernel create --build worker   of one, and of what it needs, its image anew";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The services, with all that they need; without names all
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,

    /// Build images first, also where they are there
    #[arg(long, conflicts_with = "no_build")]
    build: bool,

    /// Build no image, also where it is missing
    #[arg(long)]
    no_build: bool,

    /// Replace containers of the named services although nothing about them changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Leave what is there as it is, also where the files say something else now
    #[arg(long)]
    no_recreate: bool,

    /// When images are fetched, in place of what the files say
    #[arg(long, value_enum, value_name = "POLICY")]
    pull: Option<Pull>,

    /// Do not tell how far fetching images is
    #[arg(long)]
    quiet_pull: bool,

    /// End what still runs for the project and is no longer in its files
    #[arg(long)]
    remove_orphans: bool,

    /// Another number of containers for a service; may be said several times
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = super::scale::replicas)]
    scale: Vec<(String, u32)>,

    /// Accepted as docker compose accepts it: nothing is asked
    #[arg(short, long)]
    yes: bool,

    /// The form of the answer to `--dry-run`
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Makes them.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let mut up = up::Arguments::to_create();
    up.services = arguments.services;
    up.build = arguments.build;
    up.no_build = arguments.no_build;
    up.force_recreate = arguments.force_recreate;
    up.no_recreate = arguments.no_recreate;
    up.pull = arguments.pull;
    up.quiet_pull = arguments.quiet_pull;
    up.remove_orphans = arguments.remove_orphans;
    up.scale = arguments.scale;
    up.format = arguments.format;
    up::run(context, up)
}
