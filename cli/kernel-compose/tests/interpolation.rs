//! Variables: what they become, what of them is told, and what of them is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::compose;

#[test]
fn the_environment_wins_over_later_env_files_over_earlier_ones() {
    let case = compose("services: { a: { image: \"$A $B $C\" } }")
        .env_file("A=1\nB=1\nC=1\n")
        .env_file("A=2\nB=2\n")
        .set("A", "3");
    assert_eq!(case.at("/services/a/image"), r#""3 2 1""#);
}

#[test]
fn keys_are_not_touched_and_numbers_stay_texts() {
    let case =
        compose("services: { a: { image: i, environment: { $A: $A, B: 010 }, privileged: \"${YES}\" } }")
            .set("A", "010")
            .set("YES", "true");
    assert_eq!(case.at("/services/a/environment"), r#"{"$$A":"010","B":"8"}"#);
    assert_eq!(case.at("/services/a/privileged"), "true");
}

#[test]
fn a_dollar_sign_comes_back_doubled() {
    let case = compose("services: { a: { image: i, command: [\"$$HOME\", \"a$$b\"] } }");
    assert_eq!(case.at("/services/a/command"), r#"["$$HOME","a$$b"]"#);
    assert_eq!(case.project().services["a"].command.as_deref().unwrap(), ["$HOME", "a$b"]);
}

#[test]
fn what_has_no_value_is_told_once_and_what_is_needed_is_told_each_time() {
    let case = compose(
        "services:\n  a:\n    image: a:${VERSON}\n    user: $VERSON\n    hostname: ${NEEDED:?set it}\n  b:\n    image: \"é ${NEEDED?}\"\n",
    )
    .set("VERSION", "1");
    insta::assert_snapshot!(case.problems(), @r#"
    warning K-COMPOSE-008: the variable `VERSON` has no value and became an empty text
      compose.yml:3:14 [${VERSON}] empty
      help: did you mean `VERSION`? Else set `VERSON` in the environment or in an env file, or give a default: `${VERSON:-…}`
    error K-COMPOSE-007: the variable `NEEDED` has no value: set it
      compose.yml:5:15 [${NEEDED:?set it}] needed here
      help: set `NEEDED` in the environment or in an env file
    error K-COMPOSE-007: the variable `NEEDED` has no value
      compose.yml:7:15 [${NEEDED?}] needed here
      help: set `NEEDED` in the environment or in an env file
    "#);
}

#[test]
fn a_bad_variable_is_marked_within_its_value() {
    let case = compose(
        "services:\n  a:\n    image: 'x ${}'\n    command: |\n      one\n      two ${1A}\n    user: \"\\t${A:=b}\"\n    labels: [\"a=${A\"]\n",
    );
    insta::assert_snapshot!(case.problems(), @r#"
    error K-COMPOSE-006: a variable can't be read: the name is missing
      compose.yml:3:15 [${}] this can't be read
      help: write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar sign that means itself
    error K-COMPOSE-006: a variable can't be read: a name starts with a letter or `_`
      compose.yml:6:11 [${1A}] this can't be read
      help: write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar sign that means itself
    error K-COMPOSE-006: a variable can't be read: after the name comes `}` or one of `:-` `-` `:?` `?` `:+` `+`
      compose.yml:7:14 [${A:=b}] this can't be read
      help: write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar sign that means itself
    error K-COMPOSE-006: a variable can't be read: the `}` is missing
      compose.yml:8:17 [${A] this can't be read
      help: write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar sign that means itself
    "#);
}

#[test]
fn generated_values_are_used_last_and_never_shown() {
    let text = "x-kernel: { generate: [TOKEN, OTHER] }\nservices:\n  a:\n    image: i\n    environment: [\"URL=x://u:${TOKEN:?}@h\", OTHER, PLAIN=1]\n    command: run --token ${TOKEN} now\n";
    let case = compose(text).generated("TOKEN", "s3cret").generated("OTHER", "made").set("OTHER", "0ther");
    let project = case.project();
    let shown: Vec<String> = project.services["a"]
        .environment
        .iter()
        .map(|variable| format!("{}={}/{:?}", variable.name, variable.value.expose(), variable.value))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    OTHER=0ther/"[secret]"
    PLAIN=1/"1"
    URL=x://u:s3cret@h/"[secret]"
    "#);
    assert_eq!(
        case.at("/services/a/environment"),
        r#"{"OTHER":"${OTHER}","PLAIN":"1","URL":"x://u:${TOKEN:?}@h"}"#
    );
    assert_eq!(case.at("/services/a/command"), r#"["run","--token","${TOKEN}","now"]"#);
    insta::assert_snapshot!(case.problems(), @r#"
    warning K-COMPOSE-033: `services.a.command[2]`: a generated secret can be read by everyone who may list containers
      compose.yml:6:14 [run --token ${TOKEN} now] a secret goes in here
      help: hand it over in `environment`, and let the program read it there
    "#);
}

#[test]
fn a_service_takes_env_files_below_its_own_environment() {
    let case = compose(
        "services:\n  a:\n    image: i\n    env_file:\n      - one.env\n      - { path: two.env, required: false }\n      - { path: raw.env, format: raw }\n      - { path: gone.env, required: false }\n    environment: { C: own, TAG: \"${TAG:-none}\" }\n",
    )
    .readable("/proj/app/one.env", "A=1\nB=1\nC=1\nT=$TAG-$OUTER\n")
    .readable("/proj/app/two.env", "B='2'\n")
    .readable("/proj/app/raw.env", "R='$x'\n")
    .set("OUTER", "o");
    assert_eq!(
        case.at("/services/a/environment"),
        r#"{"A":"1","B":"2","C":"own","R":"'$$x'","T":"none-o","TAG":"none"}"#
    );
    assert_eq!(case.at("/services/a/env_file"), "(absent)");
}

#[test]
fn an_env_file_that_is_not_there_or_wrong_is_told() {
    let case = compose("services:\n  a:\n    image: i\n    env_file: [gone.env, bad.env]\n")
        .readable("/proj/app/bad.env", "A=1\nB C=2\n");
    insta::assert_snapshot!(case.problems(), @r#"
    error K-COMPOSE-023: the env file `/proj/app/gone.env` of service `a` can't be read: there is no such file
      compose.yml:4:16 [gone.env] named here
      help: create it, or say `required: false` beside its path
    error K-COMPOSE-022: this env file can't be read: a name has no spaces
      /proj/app/bad.env:2:2 [ ] here
      help: write `NAME=value`; names have letters, digits and `_ . - [ ]`
    "#);
}
