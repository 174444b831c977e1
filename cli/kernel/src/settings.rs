//! What was meant: flags over `KERNEL_*` variables over defaults, decided once. After this nobody asks what a flag
//! was.

use std::path::PathBuf;

use clap::ValueEnum;
use kernel_core::diagnostic::Diagnostic;
use kernel_ops::load::{self, LoadSettings};
use kernel_report::Look;

use crate::arguments::{AnsiChoice, ColorChoice, EngineChoice, GlobalArguments, ProgressChoice};
use crate::codes::BAD_VARIABLE;
use crate::environment::Environment;

/// What holds for every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Compose files as named; empty means that they are looked for.
    pub files: Vec<PathBuf>,
    /// Environment files as named; empty means the default.
    pub env_files: Vec<PathBuf>,
    /// The project's name, when given.
    pub project_name: Option<String>,
    /// The folder that relative paths start from, when given.
    pub project_directory: Option<PathBuf>,
    /// Compose profiles that are taken too.
    pub profiles: Vec<String>,
    /// Where services run.
    pub engine: EngineChoice,
    /// Added to every published port.
    pub port_offset: u16,
    /// How many calls of the engine may run at once. `None`: as many as are good for it.
    pub parallel: Option<usize>,
    /// Networks, volumes, secrets and configs that no service uses are taken too.
    pub all_resources: bool,
    /// Whether `--compatibility` was typed. `COMPOSE_COMPATIBILITY` is read with the project's files.
    pub compatibility: bool,
    /// Whether `--quiet` was typed.
    pub quiet: bool,
    /// How progress is told. Never `Auto`.
    pub progress: Progress,
    /// What stdout can show.
    pub answer: Look,
    /// What stderr can show.
    pub conversation: Look,
    /// How far steps are that take long is not told.
    pub no_progress: bool,
    /// How much is told beyond the usual: 0, 1 or 2.
    pub verbosity: u8,
    /// Where the trace goes, when one is wanted.
    pub trace: Option<PathBuf>,
    /// Print the plan, change nothing.
    pub dry_run: bool,
}

/// How progress is told, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One living line per resource.
    Tty,
    /// One line per change of state.
    Plain,
    /// One JSON object per line.
    Json,
    /// Nothing.
    Quiet,
}

impl Settings {
    /// Decides.
    ///
    /// # Errors
    /// One diagnostic for every variable that holds what its flag would not take.
    pub fn resolve(arguments: &GlobalArguments, environment: &Environment) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let engine = choice(arguments.engine, environment, "KERNEL_ENGINE", &mut problems);
        let named =
            if environment.get("KERNEL_PROGRESS").is_some() { "KERNEL_PROGRESS" } else { "COMPOSE_PROGRESS" };
        let progress = choice(arguments.progress, environment, named, &mut problems);
        let ansi = choice(arguments.ansi, environment, "COMPOSE_ANSI", &mut problems);
        let parallel = parallel(arguments.parallel, environment, &mut problems);
        let color = choice(arguments.color, environment, "KERNEL_COLOR", &mut problems);
        let port_offset = port_offset(arguments.port_offset, environment, &mut problems);
        let (progress, color) = with_ansi(ansi, progress, color, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let unicode = unicode(environment);
        let look = |terminal: bool| Look {
            color: colored(color, environment, terminal),
            unicode,
            width: if terminal { environment.columns } else { None },
        };
        Ok(Self {
            // Their variables may also stand in an env file, so finding the files is what reads them.
            files: arguments.files.clone(),
            env_files: arguments.env_files.clone(),
            project_name: arguments.project_name.clone(),
            project_directory: arguments.project_directory.clone(),
            profiles: arguments.profiles.clone(),
            engine,
            port_offset,
            parallel,
            all_resources: arguments.all_resources,
            compatibility: arguments.compatibility,
            quiet: arguments.quiet,
            progress: if arguments.quiet { Progress::Quiet } else { decide(progress, environment) },
            answer: look(environment.stdout_is_terminal),
            conversation: look(environment.stderr_is_terminal),
            no_progress: false,
            verbosity: arguments.verbose.min(2),
            trace: arguments.trace.clone().or_else(|| text(environment, "KERNEL_TRACE").map(PathBuf::from)),
            dry_run: arguments.dry_run,
        })
    }
}

/// Variables of docker compose that say how a command speaks and works and that the project's env files may have too.
const ALSO_IN_ENV_FILES: [&str; 2] = ["COMPOSE_ANSI", "COMPOSE_PARALLEL_LIMIT"];

/// The environment with what the project's env files add to it for the settings. What is wrong with them is told when
/// the project is loaded.
#[must_use]
pub fn with_env_files(arguments: &GlobalArguments, environment: &Environment) -> Environment {
    let mut all = environment.clone();
    let found = load::compose_variables(&LoadSettings {
        working_directory: environment.working_directory.clone(),
        files: arguments.files.clone(),
        env_files: arguments.env_files.clone(),
        project_directory: arguments.project_directory.clone(),
        environment: environment.variables.clone(),
        ..LoadSettings::default()
    });
    for (name, value) in found {
        if ALSO_IN_ENV_FILES.contains(&name.as_str()) {
            all.variables.entry(name).or_insert(value);
        }
    }
    all
}

fn decide(choice: ProgressChoice, environment: &Environment) -> Progress {
    match choice {
        ProgressChoice::Tty => Progress::Tty,
        ProgressChoice::Plain => Progress::Plain,
        ProgressChoice::Json => Progress::Json,
        ProgressChoice::Quiet => Progress::Quiet,
        ProgressChoice::Auto => {
            let living = environment.stderr_is_terminal
                && environment.get("CI").is_none()
                && environment.get("TERM") != Some("dumb");
            if living { Progress::Tty } else { Progress::Plain }
        }
    }
}

/// `--ansi` says both how progress and how colours are shown, where nothing more exact was said.
fn with_ansi(
    ansi: AnsiChoice,
    progress: ProgressChoice,
    color: ColorChoice,
    problems: &mut Vec<Diagnostic>,
) -> (ProgressChoice, ColorChoice) {
    let (wanted, refused, colored) = match ansi {
        AnsiChoice::Auto => return (progress, color),
        AnsiChoice::Never => (ProgressChoice::Plain, ProgressChoice::Tty, ColorChoice::Never),
        AnsiChoice::Always => (ProgressChoice::Tty, ProgressChoice::Plain, ColorChoice::Always),
    };
    if progress == refused {
        let (ansi, shown) =
            if refused == ProgressChoice::Tty { ("never", "tty") } else { ("always", "plain") };
        problems.push(
            Diagnostic::error(
                BAD_VARIABLE,
                format!("`--progress {shown}` and `--ansi {ansi}` exclude each other"),
            )
            .help("keep one of them; COMPOSE_ANSI and COMPOSE_PROGRESS say the same as the options"),
        );
    }
    let progress = if progress == ProgressChoice::Auto { wanted } else { progress };
    (progress, if color == ColorChoice::Auto { colored } else { color })
}

/// The flag or `KERNEL_COLOR` first; then `NO_COLOR` before `FORCE_COLOR` before what the terminal is.
fn colored(choice: ColorChoice, environment: &Environment, terminal: bool) -> bool {
    let forced = |name| environment.get(name).is_some_and(|value| value != "0");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if environment.get("NO_COLOR").is_some() => false,
        ColorChoice::Auto if forced("FORCE_COLOR") || forced("CLICOLOR_FORCE") => true,
        ColorChoice::Auto => {
            terminal && environment.get("TERM") != Some("dumb") && environment.get("CLICOLOR") != Some("0")
        }
    }
}

/// Whether the locale says UTF-8, looked up in the order that a C library has.
fn unicode(environment: &Environment) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| environment.get(name));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn text(environment: &Environment, name: &str) -> Option<String> {
    environment.get(name).map(str::to_owned)
}

fn choice<T: ValueEnum + Default>(
    flag: Option<T>,
    environment: &Environment,
    name: &str,
    problems: &mut Vec<Diagnostic>,
) -> T {
    if let Some(flag) = flag {
        return flag;
    }
    let Some(value) = environment.get(name) else { return T::default() };
    T::from_str(value, true).unwrap_or_else(|_| {
        let possible: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|variant| Some(variant.to_possible_value()?.get_name().to_owned()))
            .collect();
        problems.push(
            Diagnostic::error(BAD_VARIABLE, format!("{name} is `{value}`, which is not one of its values"))
                .help(format!("set it to one of: {}", possible.join(", "))),
        );
        T::default()
    })
}

fn port_offset(flag: Option<u16>, environment: &Environment, problems: &mut Vec<Diagnostic>) -> u16 {
    if let Some(flag) = flag {
        return flag;
    }
    let Some(value) = environment.get("KERNEL_PORT_OFFSET") else { return 0 };
    value.parse().unwrap_or_else(|_| {
        problems.push(
            Diagnostic::error(
                BAD_VARIABLE,
                format!("KERNEL_PORT_OFFSET is `{value}`, which is not a number of ports"),
            )
            .help("set it to a whole number between 0 and 65535"),
        );
        0
    })
}

/// Numbers below one mean no limit.
fn parallel(flag: Option<i64>, environment: &Environment, problems: &mut Vec<Diagnostic>) -> Option<usize> {
    let limit = match (flag, environment.get("COMPOSE_PARALLEL_LIMIT")) {
        (Some(flag), _) => flag,
        (None, None) => return None,
        (None, Some(value)) => value.parse().unwrap_or_else(|_| {
            problems.push(
                Diagnostic::error(
                    BAD_VARIABLE,
                    format!("COMPOSE_PARALLEL_LIMIT is `{value}`, which is no whole number"),
                )
                .help("set it to how many calls of the engine may run at once"),
            );
            0
        }),
    };
    usize::try_from(limit).ok().filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Environment::default()
        }
    }

    fn resolve(arguments: &GlobalArguments, variables: &[(&str, &str)]) -> Settings {
        Settings::resolve(arguments, &environment(variables)).unwrap()
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_a_variable_over_the_default() {
        let typed = GlobalArguments {
            engine: Some(EngineChoice::Local),
            port_offset: Some(7),
            ..GlobalArguments::default()
        };
        let variables = [("KERNEL_ENGINE", "docker"), ("KERNEL_PORT_OFFSET", "100")];
        let settings = resolve(&typed, &variables);
        assert_eq!((settings.engine, settings.port_offset), (EngineChoice::Local, 7));

        let settings = resolve(&GlobalArguments::default(), &variables);
        assert_eq!((settings.engine, settings.port_offset), (EngineChoice::Docker, 100));

        let settings = resolve(&GlobalArguments::default(), &[("KERNEL_ENGINE", "")]);
        assert_eq!((settings.engine, settings.port_offset), (EngineChoice::Auto, 0));
    }

    #[test]
    fn every_wrong_variable_is_told_at_once() {
        let variables = [("KERNEL_ENGINE", "podman"), ("KERNEL_PORT_OFFSET", "-1"), ("KERNEL_PROGRESS", "x")];
        let problems = Settings::resolve(&GlobalArguments::default(), &environment(&variables)).unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert_eq!(messages[0], "KERNEL_ENGINE is `podman`, which is not one of its values");
        assert_eq!(problems[0].help.as_deref(), Some("set it to one of: auto, docker, local"));
    }

    #[test]
    fn living_lines_need_a_terminal_that_is_not_a_build_machine() {
        let progress = |terminal: bool, variables: &[(&str, &str)]| {
            let environment = Environment { stderr_is_terminal: terminal, ..environment(variables) };
            Settings::resolve(&GlobalArguments::default(), &environment).unwrap().progress
        };
        assert_eq!(progress(true, &[("TERM", "xterm")]), Progress::Tty);
        assert_eq!(progress(true, &[("CI", "true")]), Progress::Plain);
        assert_eq!(progress(true, &[("TERM", "dumb")]), Progress::Plain);
        assert_eq!(progress(false, &[]), Progress::Plain);
        assert_eq!(progress(true, &[("KERNEL_PROGRESS", "json")]), Progress::Json);
    }

    #[test]
    fn docker_compose_variables_are_honoured() {
        let progress = |variables: &[(&str, &str)]| resolve(&GlobalArguments::default(), variables).progress;
        assert_eq!(progress(&[("COMPOSE_PROGRESS", "json")]), Progress::Json);
        assert_eq!(progress(&[("COMPOSE_PROGRESS", "none")]), Progress::Quiet);
        assert_eq!(progress(&[("COMPOSE_PROGRESS", "json"), ("KERNEL_PROGRESS", "quiet")]), Progress::Quiet);
        let always = resolve(&GlobalArguments::default(), &[("COMPOSE_ANSI", "always"), ("NO_COLOR", "1")]);
        assert_eq!((always.progress, always.conversation.color), (Progress::Tty, true));
        let parallel =
            |value| resolve(&GlobalArguments::default(), &[("COMPOSE_PARALLEL_LIMIT", value)]).parallel;
        assert_eq!((parallel("4"), parallel("-1"), parallel("0")), (Some(4), None, None));
    }

    #[test]
    fn what_excludes_each_other_is_told() {
        let arguments = GlobalArguments { ansi: Some(AnsiChoice::Never), ..GlobalArguments::default() };
        let variables = [("COMPOSE_PROGRESS", "tty"), ("COMPOSE_PARALLEL_LIMIT", "many")];
        let problems = Settings::resolve(&arguments, &environment(&variables)).unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "COMPOSE_PARALLEL_LIMIT is `many`, which is no whole number",
                "`--progress tty` and `--ansi never` exclude each other"
            ]
        );
    }

    #[test]
    fn no_color_wins_over_force_color_unless_the_flag_says_otherwise() {
        let both = [("NO_COLOR", "1"), ("FORCE_COLOR", "1")];
        assert!(!resolve(&GlobalArguments::default(), &both).conversation.color);
        assert!(resolve(&GlobalArguments::default(), &both[1..]).conversation.color);
        let always = GlobalArguments { color: Some(ColorChoice::Always), ..GlobalArguments::default() };
        assert!(resolve(&always, &both).conversation.color);
    }
}
