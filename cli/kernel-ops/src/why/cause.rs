//! What is wrong with one service, as a sentence, and what to do about it.

use kernel_core::event::Problem;
use kernel_core::examination::{Examination, meaning};
use kernel_core::unit::{ObservedItem, UnitState};

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// What follows the service's name in a sentence.
    pub sentence: String,
    /// What to do, one command or change a line.
    pub next: Vec<String>,
}

fn cause(sentence: impl Into<String>, next: &[String]) -> Cause {
    Cause { sentence: sentence.into(), next: next.to_vec() }
}

pub(super) fn of(
    service: &str,
    item: Option<&ObservedItem>,
    found: &[Examination],
    obstacles: &[Problem],
) -> Cause {
    let up = format!("kernel up {service}");
    let logs = format!("kernel logs {service}");
    if let Some(problem) = obstacles.first() {
        let help = problem.help.clone().unwrap_or_default();
        return cause(format!("can't be started: {}", problem.message), &[help, up]);
    }
    if let Some(refusal) = found.iter().find_map(|examination| examination.refusal.as_deref()) {
        let next = ["correct what the engine says".to_owned(), up];
        return cause(format!("can't be started: {refusal}"), &next);
    }
    let Some(item) = item else { return cause("is not there: it was never started, or taken down", &[up]) };
    let worst = found.iter().find(|examination| examination.exit_code.is_some_and(|code| code != 0));
    let end = worst.or(found.first()).and_then(|examination| Some((meaning(examination)?, examination)));
    match item.state {
        UnitState::Exited { status } if status.is_success() => cause("did its work and ended well", &[]),
        UnitState::Exited { status } | UnitState::CrashLooping { status } => {
            let again =
                if matches!(item.state, UnitState::CrashLooping { .. }) { "again and again " } else { "" };
            match end {
                Some((meaning, examination)) => {
                    let next = advice(service, examination, &logs, &up);
                    cause(format!("{again}{meaning} ({status})"), &next)
                }
                None => cause(format!("{again}ended by itself ({status})"), &[logs, up]),
            }
        }
        UnitState::Restarting => match end {
            Some((meaning, examination)) => {
                cause(format!("{meaning}, and is started again"), &advice(service, examination, &logs, &up))
            }
            None => cause("ended by itself and is started again", &[logs]),
        },
        UnitState::Starting | UnitState::Unready => unhealthy(service, item, found, &logs),
        UnitState::Stopped | UnitState::Stopping => {
            cause("was stopped", &[format!("kernel start {service}")])
        }
        UnitState::Leftover => cause("runs without its supervisor, which was killed", &[up]),
        UnitState::Ready => cause("is ready", &[]),
    }
}

fn advice(service: &str, examination: &Examination, logs: &str, up: &str) -> Vec<String> {
    let change = if examination.out_of_memory {
        format!("give {service} more memory (`deploy.resources.limits.memory` or `mem_limit`)")
    } else {
        match examination.exit_code {
            Some(126 | 127) => format!("correct `command` or `entrypoint` of {service}, or its image"),
            Some(137 | 143) => return vec![up.to_owned()],
            _ => format!("correct what it says ({logs})"),
        }
    };
    vec![change, up.to_owned()]
}

fn unhealthy(service: &str, item: &ObservedItem, found: &[Examination], logs: &str) -> Cause {
    let failing = found.iter().filter_map(|examination| examination.health.as_ref());
    let Some(health) = failing.filter(|health| health.failures > 0).max_by_key(|health| health.failures)
    else {
        let detail = item.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        return cause(format!("runs and is not ready yet{detail}"), &[logs.to_owned()]);
    };
    let said = match health.output.lines().next() {
        Some(line) => format!(": {line}"),
        None => format!(" (exit code {})", health.exit_code),
    };
    let times =
        if health.failures == 1 { "once".to_owned() } else { format!("{} times in a row", health.failures) };
    let mut next = vec![logs.to_owned()];
    if !health.command.is_empty() {
        next.insert(0, format!("kernel exec {service} {}", words(&health.command)));
    }
    cause(format!("runs, and its health check failed {times}{said}"), &next)
}

/// A command as a person would type it. What was one text is given to a shell.
fn words(command: &[String]) -> String {
    let quoted = |word: &String| {
        let plain = !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte));
        if plain { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    match command {
        [text] if text.contains(' ') => format!("sh -c {}", quoted(text)),
        words => words.iter().map(quoted).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use kernel_core::examination::Health;
    use kernel_core::name::ServiceName;
    use kernel_core::unit::ExitStatus;

    use super::*;

    fn item(state: UnitState) -> ObservedItem {
        ObservedItem {
            name: ServiceName::new("db").unwrap(),
            state,
            fingerprint: None,
            depends_on: Vec::new(),
            stop_grace_ms: 0,
            pid: None,
            ports: Vec::new(),
            restarts: 0,
            since: String::new(),
            detail: None,
        }
    }

    fn exited(code: i32) -> ObservedItem {
        item(UnitState::Exited { status: ExitStatus::Code(code) })
    }

    #[test]
    fn memory_that_ran_out_is_not_a_kill() {
        let killed = Examination { exit_code: Some(137), ..Examination::default() };
        let hungry = Examination { out_of_memory: true, memory_limit: Some(32 << 20), ..killed.clone() };
        let told = of("db", Some(&exited(137)), &[hungry], &[]);
        assert!(told.sentence.contains("32 MiB") && told.next[0].contains("more memory"), "{told:?}");
        let told = of("db", Some(&exited(137)), &[killed], &[]);
        assert!(told.sentence.contains("by hand") && told.next == ["kernel up db"], "{told:?}");
    }

    #[test]
    fn a_failing_check_is_told_with_its_words_and_can_be_tried() {
        let health = Health {
            command: vec!["pg_isready -U kernel".to_owned()],
            failures: 5,
            exit_code: 2,
            output: "no response\nmore".to_owned(),
        };
        let found = Examination { health: Some(health), ..Examination::default() };
        let told = of("db", Some(&item(UnitState::Unready)), &[found], &[]);
        assert_eq!(told.sentence, "runs, and its health check failed 5 times in a row: no response");
        assert_eq!(told.next, ["kernel exec db sh -c 'pg_isready -U kernel'", "kernel logs db"]);
    }

    #[test]
    fn what_stands_in_the_way_comes_first() {
        let problem =
            Problem { help: Some("end it".to_owned()), ..Problem::error("K-TEST-001", "port 1 is taken") };
        let told = of("db", Some(&exited(1)), &[], &[problem]);
        assert_eq!(told.sentence, "can't be started: port 1 is taken");
        assert_eq!(told.next, ["end it", "kernel up db"]);
    }

    #[test]
    fn what_is_well_needs_nothing() {
        for item in [item(UnitState::Ready), exited(0)] {
            assert_eq!(of("db", Some(&item), &[], &[]).next, Vec::<String>::new());
        }
        assert_eq!(of("db", None, &[], &[]).next, ["kernel up db"]);
    }
}
