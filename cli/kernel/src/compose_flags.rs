//! What docker compose has and `kernel` does not, each with the reason: who types it is told so, and a test holds this
//! list and docs/compose.md to what the real docker compose says of itself.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A command or an option of docker compose 2.40 that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The command.
    pub command: &'static str,
    /// The option, by all its names; none: the command itself.
    pub flags: &'static [&'static str],
    /// Why, and what there is instead.
    pub reason: &'static str,
}

/// All of them.
pub const REFUSED: [Refused; 9] = [
    refused("build", &["--builder"], "the Engine builds with its own builder, and cargo needs none"),
    refused(
        "build",
        &["--check"],
        "Dockerfiles are not checked without being built; `kernel config -q` checks the project",
    ),
    refused("build", &["--memory", "-m"], "BuildKit takes no limit, as docker compose says too"),
    refused("build", &["--print"], "nothing is built with bake; `kernel build --dry-run` prints the plan"),
    refused(
        "build",
        &["--provenance"],
        "images get no attestations; they are the same to the byte each time",
    ),
    refused("build", &["--sbom"], "images get no attestations; `cargo tree` says what is in a program"),
    refused(
        "build",
        &["--ssh"],
        "builds get no access to an SSH agent; what they need has to be in their context",
    ),
    refused("bridge", &[], "`kernel manifests` writes what goes to Kubernetes"),
    refused(
        "publish",
        &[],
        "Compose files are not made artifacts of a registry; `kernel config` prints all in one file",
    ),
];

const fn refused(command: &'static str, flags: &'static [&'static str], reason: &'static str) -> Refused {
    Refused { command, flags, reason }
}

/// Adds to an error why docker compose has what was typed and `kernel` has not. `arguments`: the command line.
pub fn explain(mut error: clap::Error, arguments: &[String]) -> clap::Error {
    let typed = |kind| match error.get(kind) {
        // An option may be shown with its value.
        Some(ContextValue::String(text)) => {
            Some(text.split([' ', '=']).next().unwrap_or_default().to_owned())
        }
        _ => None,
    };
    let found = match error.kind() {
        ErrorKind::UnknownArgument => typed(ContextKind::InvalidArg).and_then(|flag| {
            let of_command = |refused: &&Refused| arguments.iter().any(|word| word == refused.command);
            REFUSED.iter().filter(of_command).find(|refused| refused.flags.contains(&flag.as_str()))
        }),
        ErrorKind::InvalidSubcommand => typed(ContextKind::InvalidSubcommand).and_then(|command| {
            REFUSED.iter().find(|refused| refused.flags.is_empty() && refused.command == command)
        }),
        _ => None,
    };
    if let Some(Refused { reason, .. }) = found {
        let tip = format!("docker compose has it and `kernel` has not: {reason}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
    }
    error
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::cli;

    /// What docker compose says of a command, or of itself.
    fn help(program: &Path, command: &[&str]) -> String {
        let output = Command::new(program).args(command).arg("--help").output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The options in a help text, each by all its names.
    fn options(help: &str) -> Vec<Vec<String>> {
        let names = |line: &str| {
            let words = line.trim_start().split(' ').take_while(|word| word.starts_with('-'));
            words.map(|word| word.trim_end_matches(',').to_owned()).collect::<Vec<_>>()
        };
        // Further in stands what is said about them.
        let begins = |line: &&str| {
            line.trim_start().starts_with('-') && matches!(line.len() - line.trim_start().len(), 2..=6)
        };
        let lines = help.lines().filter(begins);
        lines.map(names).filter(|names| names.iter().any(|name| name.starts_with("--"))).collect()
    }

    /// The commands in docker compose's own help.
    fn commands(help: &str) -> Vec<String> {
        let mut inside = false;
        let mut commands = Vec::new();
        for line in help.lines() {
            inside = if line.is_empty() { false } else { inside || line.ends_with("Commands:") };
            if inside && let Some(command) = line.strip_prefix("  ").and_then(|line| line.split(' ').next()) {
                commands.push(command.to_owned());
            }
        }
        commands
    }

    /// Every name of every option that a command takes.
    fn known(command: &clap::Command, global: &clap::Command) -> BTreeSet<String> {
        let all =
            command.get_arguments().chain(global.get_arguments().filter(|argument| argument.is_global_set()));
        let mut names = BTreeSet::new();
        for argument in all {
            let longs = argument.get_long_and_visible_aliases().into_iter().flatten();
            names.extend(longs.map(|long| format!("--{long}")));
            let more = argument.get_all_aliases().into_iter().flatten();
            names.extend(more.map(|long| format!("--{long}")));
            let shorts = argument.get_short_and_visible_aliases().into_iter().flatten();
            names.extend(shorts.map(|short| format!("-{short}")));
        }
        names
    }

    fn is_refused(command: &str, flag: &str) -> bool {
        REFUSED.iter().any(|refused| refused.command == command && refused.flags.contains(&flag))
    }

    #[test]
    fn every_option_of_docker_compose_is_known_or_refused_by_name() {
        let Some(program) = std::env::var_os("TEST_DOCKER_COMPOSE_BIN") else {
            kernel_testkit::left_out(
                "every_option_of_docker_compose_is_known_or_refused_by_name",
                "TEST_DOCKER_COMPOSE_BIN is not set",
            );
            return;
        };
        let definition = cli::definition();
        let whole = help(program.as_ref(), &[]);
        let commands = commands(&whole);
        assert!(commands.len() > 30 && commands.contains(&"up".to_owned()), "{commands:?}");
        let mut missing = Vec::new();
        let mut checked = 0;
        for names in options(&whole) {
            let known = known(&definition, &definition);
            missing.extend(names.into_iter().filter(|name| !known.contains(name)));
        }
        for command in &commands {
            let Some(ours) = definition.find_subcommand(command) else {
                if !REFUSED.iter().any(|refused| refused.command == command && refused.flags.is_empty()) {
                    missing.push(command.clone());
                }
                continue;
            };
            let known = known(ours, &definition);
            for name in options(&help(program.as_ref(), &[command])).into_iter().flatten() {
                checked += 1;
                assert!(
                    !(known.contains(&name) && is_refused(command, &name)),
                    "{command} {name} is not refused"
                );
                if !known.contains(&name) && !is_refused(command, &name) {
                    missing.push(format!("{command} {name}"));
                }
            }
        }
        assert!(checked > 150, "only {checked} options were found");
        assert_eq!(missing, [""; 0], "docker compose has these, and nothing says why `kernel` has not");
    }

    #[test]
    fn what_is_refused_stands_in_the_documentation_and_in_the_error() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compose.md");
        let page = std::fs::read_to_string(page).unwrap();
        for Refused { command, flags, reason } in REFUSED {
            let shown = flags.iter().map(|flag| format!(" {flag}")).collect::<Vec<_>>();
            let row = match flags.first() {
                Some(flag) => format!("| `{command} {flag}` | {reason} |"),
                None => format!("| `{command}` | {reason} |"),
            };
            assert!(page.contains(&row), "docs/compose.md has no row\n{row}");
            for flag in if shown.is_empty() { vec![String::new()] } else { shown } {
                let line = format!("kernel {command}{flag}");
                let error = cli::parse(line.split(' ').map(Into::into)).unwrap_err().to_string();
                assert!(error.contains(reason), "{line}: {error}");
            }
        }
        let error = cli::parse(["kernel", "up", "--ssh"].map(Into::into)).unwrap_err().to_string();
        assert!(!error.contains("docker compose has it"), "{error}");
    }
}
