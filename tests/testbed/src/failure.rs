//! What is said when a part can't be had: what was attempted, why it failed, what to do.

use std::fmt;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was attempted and what is wrong with it.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What was seen: the last lines of a log or of a program's output.
    pub evidence: Vec<String>,
}

impl Failure {
    /// A failure in one sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, evidence: Vec::new() }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what was seen; the last lines of it are kept.
    #[must_use]
    pub fn evidence(mut self, text: &str) -> Self {
        const LINES: usize = 20;
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        self.evidence =
            lines.iter().skip(lines.len().saturating_sub(LINES)).map(|line| (*line).to_owned()).collect();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for line in &self.evidence {
            write!(f, "\n    | {line}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// `attempted` failed because of `error`: for errors that have no more to say than their text.
pub(crate) fn because<E: fmt::Display>(attempted: impl fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(format!("{attempted}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_what_was_seen_are_kept_and_the_help_comes_last() {
        let text: String = (0..30).map(|number| format!("line {number}\n\n")).collect();
        let failure = Failure::new("the part did not start").evidence(&text).help("run it again");
        let shown = failure.to_string();
        assert!(shown.starts_with("the part did not start\n    | line 10\n"), "{shown}");
        assert!(shown.ends_with("    | line 29\n  help: run it again"), "{shown}");
    }
}
