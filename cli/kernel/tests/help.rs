//! What the program says about itself.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::process::Stdio;

use common::run;

const COMMANDS: [&str; 51] = [
    "up",
    "down",
    "ps",
    "logs",
    "restart",
    "watch",
    "stop",
    "start",
    "why",
    "run",
    "scale",
    "pull",
    "push",
    "exec",
    "attach",
    "cp",
    "top",
    "stats",
    "events",
    "port",
    "kill",
    "pause",
    "unpause",
    "wait",
    "create",
    "rm",
    "export",
    "commit",
    "volumes",
    "version",
    "ls",
    "smoke",
    "setup",
    "build",
    "images",
    "config",
    "new",
    "doctor",
    "versions",
    "explain",
    "help",
    "completions",
    "man",
    "manifests",
    "lint",
    "deploy",
    "diff",
    "rollback",
    "status",
    "history",
    "sandbox",
];

#[test]
fn the_short_help_fits_on_a_page_and_names_every_command() {
    let help = run(&["-h"]);
    assert_eq!(help.code, 0);
    for command in COMMANDS {
        let line = format!("\n  {command} ");
        assert!(help.stdout.contains(&line), "{command} is missing in:\n{}", help.stdout);
    }
    assert!(!help.stdout.contains("__"), "hidden commands stay hidden");
    assert!(help.stdout.lines().count() <= 80, "{}", help.stdout.lines().count());
    let (examples, usage) = (help.stdout.find("Examples:"), help.stdout.find("Usage:"));
    assert!(examples < usage, "examples come first");
}

#[test]
fn every_command_helps() {
    for command in COMMANDS {
        let (flag, word) = (run(&[command, "--help"]), run(&["help", command]));
        assert_eq!((flag.code, word.code), (0, 0), "{command}");
        assert!(flag.stdout.contains("Examples:") && flag.stdout.contains("--progress"), "{command}");
    }
}

#[test]
fn exit_codes_are_documented() {
    insta::assert_snapshot!(run(&["help", "exit-codes"]).stdout, @r"
    Scripts may rely on these; they never change their meaning.

        0  success (also: nothing to do)
        1  failed, general
        2  usage or configuration error
        3  `--exit-code`: changes or drift present
        4  needs login or permission
        5  nothing selected to run
       10  prerequisite missing
       11  unhealthy, or failed to become ready
       12  timeout: a deadline passed
       13  lock held by someone else
       14  conflict: live state no longer matches the approved plan
       20  smoke or probe assertion failed
       21  load or canary gate failed
       22  measurement invalid
       23  rollback failed, a person is needed
      130  interrupted (SIGINT)
      143  terminated (SIGTERM)
    ");
}

#[test]
fn a_mistyped_command_is_told_with_what_may_be_meant() {
    let output = run(&["smok"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("'smoke'"), "{}", output.shown());
    let output = run(&["help", "nonsense"]);
    insta::assert_snapshot!(output.shown(), @r"
    exit 2
    --- stdout
    --- stderr
    K-CLI-004

      × there is no command or topic `nonsense`
      help: topics are `exit-codes`, `environment` and `output`; `kernel --help` lists the commands
    ");
}

#[test]
fn errors_are_explained() {
    let page = run(&["explain", "k-ops-001"]);
    assert!(page.stdout.starts_with("# K-OPS-001: "), "{}", page.shown());
    let list = run(&["explain"]);
    assert!(list.stdout.lines().count() > 20 && list.stdout.contains("K-COMPOSE-001"), "{}", list.stdout);
    assert_eq!(run(&["explain", "K-NOPE-001"]).code, 2);
}

#[test]
fn shells_and_man_get_what_they_need() {
    for (shell, mark) in [("bash", "_kernel()"), ("zsh", "#compdef kernel"), ("fish", "complete -c kernel")] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains(mark), "{shell}");
        assert!(script.stdout.contains("infra-only"), "{shell} knows the flags");
    }
    assert!(run(&["man"]).stdout.contains(".TH kernel 1"));
    assert!(run(&["man", "up"]).stdout.contains("infra"));
    assert_eq!(run(&["man", "nonsense"]).code, 2);
}

#[test]
fn a_wrong_variable_is_told_before_anything_is_done() {
    let mut command = common::command(&["ps"]);
    command.env("KERNEL_ENGINE", "podman").env("KERNEL_PORT_OFFSET", "many");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("KERNEL_ENGINE is `podman`") && told.contains("auto, docker, local"), "{told}");
    assert!(told.contains("KERNEL_PORT_OFFSET is `many`") && told.contains("2 errors"), "{told}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for arguments in [["completions", "bash"].as_slice(), &["man"], &["--help"], &["explain"]] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kernel"))
            .args(arguments)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
    }
}
