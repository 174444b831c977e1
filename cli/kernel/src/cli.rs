//! The command line as a whole: the global flags, the commands, and how their help looks.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::arguments::GlobalArguments;
use crate::commands::Command;
use crate::compose_flags;

/// Help leads with what the command is for and with examples.
const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  kernel up                      build and start the whole platform, print where it can be reached
  kernel smoke                   prove that every service is ready and does its job
  kernel ps                      what runs, since when, on which ports
  kernel logs -f iam gateway     follow two services
  kernel down                    stop everything, keep the data";

const MORE: &str = "\
`kernel help COMMAND` tells more about a command, `kernel explain CODE` about an error, and
`kernel help exit-codes` and `kernel help environment` about what scripts rely on.";

/// The developer CLI of the platform: brings services up, proves that they work, takes them down.
#[derive(Debug, Parser)]
#[command(
    name = "kernel",
    version,
    before_help = EXAMPLES,
    after_help = MORE,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands by what they are for. A command that stands in none of them is told last.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Platform",
        &["up", "down", "ps", "logs", "start", "stop", "restart", "why", "smoke", "setup", "new", "doctor"],
    ),
    (
        "Containers",
        &[
            "run", "exec", "attach", "cp", "top", "stats", "events", "port", "scale", "kill", "pause",
            "unpause", "wait", "create", "rm", "export", "commit", "volumes", "ls",
        ],
    ),
    ("Files and images", &["config", "versions", "build", "images", "pull", "push"]),
    ("Kubernetes", &["manifests", "lint", "deploy", "diff", "rollback", "status", "history"]),
    ("Tenants", &["sandbox"]),
];

/// The command line's definition, with the help of all commands in one form.
#[must_use]
pub fn definition() -> clap::Command {
    let command = Cli::command();
    let template = TEMPLATE.replace("{all-args}", &format!("{}Options:\n{{options}}", grouped(&command)));
    command.help_template(template).mut_subcommands(with_template)
}

/// All commands, each with its line, below what they are for.
fn grouped(command: &clap::Command) -> String {
    let mut rest: Vec<&clap::Command> =
        command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let mut text = String::new();
    let more = |text: &mut String, heading: &str, commands: &[&clap::Command]| {
        text.push_str(&format!("{heading}:\n"));
        for command in commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("  {:<11}  {about}\n", command.get_name()));
        }
        text.push('\n');
    };
    for (heading, names) in GROUPS {
        let listed: Vec<&clap::Command> = names
            .iter()
            .filter_map(|name| rest.iter().find(|command| command.get_name() == *name).copied())
            .collect();
        rest.retain(|command| !names.contains(&command.get_name()));
        more(&mut text, heading, &listed);
    }
    more(&mut text, "More", &rest);
    text
}

fn with_template(command: clap::Command) -> clap::Command {
    command.help_template(TEMPLATE).mut_subcommands(with_template)
}

/// Reads a command line, the program's own name first.
///
/// # Errors
/// What clap has to say: also help and version, which are no mistakes.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = definition().try_get_matches_from(&arguments).map_err(|error| {
        let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        compose_flags::explain(error, &words)
    })?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut definition()))?;
    let before = before_the_command(&arguments);
    both(before.files, &mut cli.global.files);
    both(before.env_files, &mut cli.global.env_files);
    both(before.profiles, &mut cli.global.profiles);
    Ok(cli)
}

/// What was typed before the command: of a list that stands on both sides of it, clap gives only what comes after.
fn before_the_command(arguments: &[OsString]) -> GlobalArguments {
    #[derive(Parser)]
    #[command(disable_help_flag = true, allow_external_subcommands = true)]
    struct Before {
        #[command(flatten)]
        global: GlobalArguments,
        #[command(subcommand)]
        _rest: Option<Rest>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Rest {
        #[expect(dead_code, reason = "only where it begins is of interest")]
        #[command(external_subcommand)]
        Command(Vec<OsString>),
    }

    Before::try_parse_from(arguments).map(|before| before.global).unwrap_or_default()
}

/// Puts what was typed before the command before what was typed after it.
fn both<T: PartialEq>(mut before: Vec<T>, all: &mut Vec<T>) {
    if before != *all {
        before.append(all);
        *all = before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        definition().debug_assert();
    }

    #[test]
    fn lists_may_stand_on_both_sides_of_the_command() {
        let files = |line: &str| {
            let cli = parse(line.split(' ').map(OsString::from)).unwrap();
            cli.global.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(files("kernel -f a -f b config"), "a b");
        assert_eq!(files("kernel config -f a -f b"), "a b");
        assert_eq!(files("kernel -f a --profile x config -f b --file c"), "a b c");
        assert_eq!(files("kernel -f a logs -f web"), "a");
        assert_eq!(files("kernel --file a logs --file b"), "a b");
        assert_eq!(files("kernel config"), "");
    }

    #[test]
    fn every_command_leads_with_an_example() {
        for command in definition().get_subcommands().filter(|command| !command.is_hide_set()) {
            let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains(&format!("kernel {}", command.get_name())), "{}", command.get_name());
        }
    }
}
