//! `kernel __reference FOLDER`: writes the reference of the command line, one page per command. The folder is
//! `docs/cli`; a test compares it with what this would write.

use std::path::PathBuf;

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::context::Context;
use crate::reference;

/// What can be said.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Where the pages go; pages of commands that no longer exist are removed
    folder: PathBuf,
}

/// Writes the pages.
pub fn run(_context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let folder = arguments.folder;
    std::fs::create_dir_all(&folder).map_err(|error| Failure::unwritable(&folder, &error))?;
    let pages = reference::pages();
    for entry in std::fs::read_dir(&folder).map_err(|error| Failure::unreadable(&folder, &error))? {
        let path = entry.map_err(|error| Failure::unreadable(&folder, &error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".md") && !pages.contains_key(&name) {
            std::fs::remove_file(&path).map_err(|error| Failure::unwritable(&path, &error))?;
        }
    }
    for (name, text) in pages {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::unwritable(&path, &error))?;
    }
    Ok(ExitCode::Success)
}
