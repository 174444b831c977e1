//! Files that only their owner may read.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::{Failure, because};

/// Writes a file that is readable for its owner alone from its first byte on, in place of what was there.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Failure> {
    let attempted = || format!("writing `{}`", path.display());
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(because(attempted())(error));
        }
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(because(attempted()))
}

/// Removes a folder and what is in it. It need not be there.
pub(super) fn remove_folder(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(because(format!("removing `{}`", path.display()))(error))
        }
        _ => Ok(()),
    }
}
