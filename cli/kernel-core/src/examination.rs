//! What an engine knows of a unit when somebody asks why it is as it is.

use serde::Serialize;

/// One process or container of a service, looked at closely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// What the engine calls it.
    pub name: String,
    /// Its exit code, once it has ended. What a signal ended has 128 and the signal's number.
    pub exit_code: Option<i64>,
    /// The system ended it because it took more memory than it may.
    pub out_of_memory: bool,
    /// How much memory it may take, in bytes.
    pub memory_limit: Option<u64>,
    /// Why the engine could not start it, in the engine's words.
    pub refusal: Option<String>,
    /// What its health check says, when it has one that ran.
    pub health: Option<Health>,
    /// What it said last, oldest first.
    pub last_lines: Vec<String>,
}

/// What a health check says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What it runs.
    pub command: Vec<String>,
    /// How often it failed in a row.
    pub failures: u32,
    /// Its last exit code.
    pub exit_code: i64,
    /// What it printed last, without white space around it.
    pub output: String,
}

/// What an exit code means, in the words of a sentence that begins with the unit: "… was killed".
#[must_use]
pub fn meaning(examination: &Examination) -> Option<String> {
    let code = examination.exit_code?;
    Some(match code {
        _ if examination.out_of_memory => match examination.memory_limit {
            Some(limit) => format!(
                "was killed by the system: it took more than the {} of memory that it may",
                mebibytes(limit)
            ),
            None => "was killed by the system: memory ran out".to_owned(),
        },
        0 => "ended well".to_owned(),
        125 => "could not be started by the engine".to_owned(),
        126 => "could not be started: its program is there and can't be run".to_owned(),
        127 => "could not be started: its program, or one that its script calls, is not there".to_owned(),
        137 => "was killed (SIGKILL): by hand, or because it did not stop in time; its memory was enough"
            .to_owned(),
        139 => "crashed: it reached for memory that is not its own (SIGSEGV)".to_owned(),
        143 => "was asked to end (SIGTERM) and did".to_owned(),
        129..=159 => format!("was ended by signal {}", code - 128),
        _ => "ended with an error of its own".to_owned(),
    })
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(exit_code: i64, out_of_memory: bool) -> String {
        let examination = Examination {
            exit_code: Some(exit_code),
            out_of_memory,
            memory_limit: Some(64 << 20),
            ..Examination::default()
        };
        meaning(&examination).unwrap()
    }

    #[test]
    fn one_code_has_two_meanings() {
        assert!(told(137, true).contains("more than the 64 MiB"), "{}", told(137, true));
        assert!(told(137, false).contains("SIGKILL"), "{}", told(137, false));
        assert_eq!(told(1, false), "ended with an error of its own");
        assert_eq!(told(134, false), "was ended by signal 6");
        assert_eq!(meaning(&Examination::default()), None);
    }
}
