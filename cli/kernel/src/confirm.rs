//! Confirmation by a name that is typed: what takes something away for good is not done by a habit of the hand.

use std::io::BufRead;

use kernel_core::diagnostic::Code;
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, problem};

use crate::context::Context;
use crate::output;

/// What has to be confirmed.
pub struct Question<'a> {
    /// What has the name: `release`, `tenant`.
    pub what: &'a str,
    /// The name that confirms.
    pub name: &'a str,
    /// Why it is asked for, a line each.
    pub reasons: Vec<String>,
    /// That all is as it was when nobody confirmed: `nothing was changed in release web`.
    pub untouched: String,
    /// The code of the refusal.
    pub code: Code,
}

impl Question<'_> {
    /// Takes what was said as `--confirm=NAME`; without it the name is asked for, where there is a terminal.
    ///
    /// # Errors
    /// When nothing was said, or another name.
    pub fn answer(self, context: &Context, said: Option<&str>) -> Result<(), Failure> {
        let said = match said {
            Some(said) => said.to_owned(),
            None if context.environment.is_conversation() => self.ask(),
            None => String::new(),
        };
        let Self { what, name, reasons, untouched, code } = self;
        if said == name {
            return Ok(());
        }
        let message = match said.as_str() {
            "" => format!("this has to be confirmed; {untouched}"),
            said => format!("`{said}` is not the name of the {what}, {name}; nothing was changed"),
        };
        let help = format!("say `--confirm={name}` when it is meant");
        let problem = Problem { evidence: reasons, ..problem(code, message, help) };
        Err(Failure::new(ExitCode::Usage, problem))
    }

    fn ask(&self) -> String {
        let reasons: String = self.reasons.iter().map(|reason| format!("  {reason}\n")).collect();
        let (what, name) = (self.what, self.name);
        output::say(&format!("{reasons}type the name of the {what}, {name}, to go on: "));
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(_) => line.trim().to_owned(),
            Err(_) => String::new(),
        }
    }
}
