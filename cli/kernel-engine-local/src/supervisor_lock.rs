//! The supervisor's lock, taken by a command while it removes what a supervisor would keep.

use std::fs::{File, TryLockError};
use std::io;

use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

use crate::client::files_error;
use crate::layout::Layout;

/// Held: no supervisor can start for the project.
#[derive(Debug)]
pub(crate) struct SupervisorLock {
    /// `None` when there is no folder to lock in, and so nothing to remove from it.
    _file: Option<File>,
}

impl SupervisorLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// When a supervisor has it: another command has just started one.
    pub(crate) fn take(layout: &Layout) -> Result<Self, EngineError> {
        let file = match File::options().append(true).create(true).open(layout.lock()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { _file: None }),
            Err(error) => return Err(files_error(layout, error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                let message = "another command starts this project right now";
                Err(EngineError::new(kernel_engine::codes::OUT_OF_STEP, ExitCode::Locked, message)
                    .help("wait until it is done, then run this one again"))
            }
            Err(TryLockError::Error(error)) => Err(files_error(layout, error)),
        }
    }
}
