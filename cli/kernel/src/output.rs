//! The two places that are written to: stdout for the answer, stderr for the conversation. A reader that has gone
//! away ends the writing, never the program with a panic.

use std::io::{self, Write};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::exit::ExitCode;
use kernel_core::source::Sources;
use kernel_report::{Look, diagnostics as pictures};

/// Writes a part of the answer. When nobody reads any more that is fine: they have what they wanted.
pub fn answer(text: &str) {
    let mut stdout = io::stdout().lock();
    let _gone = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes a part of an answer that goes on; `false` when nobody reads any more.
pub fn answer_while_read(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

/// Writes a part of the conversation.
pub fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    let _gone = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Tells what clap has to say: help and version are an answer, everything else is a mistake.
pub fn usage(error: &clap::Error) -> ExitCode {
    let _gone = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success }
}

/// Tells diagnostics before it is known how output should look.
pub fn diagnostics(diagnostics: &[Diagnostic]) {
    say(&pictures::render(diagnostics, &Sources::default(), Look::PLAIN));
}
