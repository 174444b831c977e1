//! What may be typed before or after any command. What it means is decided in `settings`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags that every command knows. `None` and empty mean: not typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArguments {
    /// A Compose file; later ones are merged over earlier ones; `-` is standard input [env: COMPOSE_FILE, separated by
    /// `:` or COMPOSE_PATH_SEPARATOR]
    ///
    /// Without it: `compose.yaml` and the like in this folder or the nearest above it, with its override file; in a
    /// workspace of the platform, unless another is nearer, `docker/docker-compose.yml`.
    #[arg(short, long = "file", value_name = "FILE", global = true, hide_short_help = true)]
    pub files: Vec<PathBuf>,

    /// A file of NAME=value lines for `${NAME}` in Compose files [env: COMPOSE_ENV_FILES, separated by `,`]
    ///
    /// Without it: `.env` of the project, unless COMPOSE_DISABLE_ENV_FILE says otherwise; `versions.env` for the
    /// platform's own files.
    #[arg(long = "env-file", value_name = "FILE", global = true, hide_short_help = true)]
    pub env_files: Vec<PathBuf>,

    /// The name that the running project goes by [env: COMPOSE_PROJECT_NAME]
    #[arg(short, long, value_name = "NAME", global = true, hide_short_help = true)]
    pub project_name: Option<String>,

    /// The folder that Compose files are looked for in and relative paths start from
    #[arg(long, value_name = "DIRECTORY", global = true, hide_short_help = true)]
    pub project_directory: Option<PathBuf>,

    /// Also take the services of this Compose profile; `*` takes all [env: COMPOSE_PROFILES, separated by `,`]
    #[arg(long = "profile", value_name = "PROFILE", global = true, hide_short_help = true)]
    pub profiles: Vec<String>,

    /// Where services run [env: KERNEL_ENGINE] [default: auto]
    #[arg(long, value_enum, value_name = "ENGINE", global = true, hide_short_help = true)]
    pub engine: Option<EngineChoice>,

    /// Move every published port up by N [env: KERNEL_PORT_OFFSET] [default: 0]
    #[arg(long, value_name = "N", global = true, hide_short_help = true)]
    pub port_offset: Option<u16>,

    /// How progress is told on stderr [env: KERNEL_PROGRESS, COMPOSE_PROGRESS] [default: auto]
    #[arg(long, value_enum, value_name = "HOW", global = true, hide_short_help = true)]
    pub progress: Option<ProgressChoice>,

    /// Whether output is coloured [env: KERNEL_COLOR, NO_COLOR, FORCE_COLOR] [default: auto]
    #[arg(long, value_enum, value_name = "WHEN", global = true, hide_short_help = true)]
    pub color: Option<ColorChoice>,

    /// Whether lines may be rewritten and coloured on stderr, by docker compose's name [env: COMPOSE_ANSI] [default: auto]
    #[arg(long, value_enum, value_name = "WHEN", global = true, hide_short_help = true)]
    pub ansi: Option<AnsiChoice>,

    /// How many calls of the engine may run at once; -1 leaves that to `kernel` [env: COMPOSE_PARALLEL_LIMIT] [default: -1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, global = true, hide_short_help = true)]
    pub parallel: Option<i64>,

    /// Also take networks, volumes, secrets and configs that no service uses
    #[arg(long, global = true, hide_short_help = true)]
    pub all_resources: bool,

    /// Name containers and images with `_` between the parts, as docker-compose 1 did [env: COMPOSE_COMPATIBILITY]
    #[arg(long, global = true, hide_short_help = true)]
    pub compatibility: bool,

    /// Tell more; twice tells everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true, hide_short_help = true)]
    pub verbose: u8,

    /// Tell nothing but the answer and errors; the same as `--progress quiet`
    #[arg(short, long, global = true, hide_short_help = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Write what happened when to FILE, for Perfetto or chrome://tracing [env: KERNEL_TRACE]
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    pub trace: Option<PathBuf>,

    /// Print the plan that would run, each step with its cause, and change nothing
    #[arg(long, global = true, hide_short_help = true)]
    pub dry_run: bool,
}

/// Where services run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// Docker where it answers and can be used, else local, and says which and why
    #[default]
    Auto,
    /// Containers, through the Docker Engine API
    Docker,
    /// Processes on this machine, with embedded stores
    Local,
}

/// How progress is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressChoice {
    /// `tty` on a terminal, else `plain`
    #[default]
    Auto,
    /// One living line per resource
    Tty,
    /// One line per change of state
    Plain,
    /// One JSON object per line
    Json,
    /// Nothing
    #[value(alias = "none")]
    Quiet,
}

/// Whether lines may be rewritten and coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AnsiChoice {
    /// On a terminal that can
    #[default]
    Auto,
    /// Not at all: plain lines without colour
    Never,
    /// Even into a pipe
    Always,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that wants it
    #[default]
    Auto,
    /// Even into a pipe
    Always,
    /// Not at all
    Never,
}

/// The form of an answer that is data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DataFormat {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document with a `schema`
    Json,
    /// The same as YAML
    Yaml,
    /// Names only, one per line
    Name,
}
