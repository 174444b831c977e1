//! `kernel explain CODE`: the page of an error code. The pages are part of the program.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::{Failure, problem};

use crate::codes::UNKNOWN_CODE;
use crate::context::Context;
use crate::output;

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

const EXAMPLES: &str = "\
Examples:
  kernel explain K-OPS-001
  kernel explain                 the list of all codes";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The code as it stands above an error; without it all codes are listed
    code: Option<String>,
}

/// Prints the page.
pub fn run(_context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let Some(code) = arguments.code else {
        let list: String = PAGES.iter().map(|(code, page)| format!("{code:<16} {}\n", title(page))).collect();
        output::answer(&list);
        return Ok(ExitCode::Success);
    };
    let wanted = code.to_ascii_uppercase();
    let page = PAGES.iter().find(|(code, _)| *code == wanted).ok_or_else(|| {
        let help = "`kernel explain` lists all codes";
        Failure::new(ExitCode::Usage, problem(UNKNOWN_CODE, format!("there is no error code `{code}`"), help))
    })?;
    output::answer(page.1);
    Ok(ExitCode::Success)
}

/// A page begins with `# K-OPS-001: the sentence`.
fn title(page: &str) -> &str {
    let line = page.lines().next().unwrap_or_default().trim_start_matches('#').trim();
    line.split_once([':', ' ']).map_or(line, |(_, title)| title.trim())
}
