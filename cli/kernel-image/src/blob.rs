//! Content that an image is made of, wherever it lies.

use std::fmt::Debug;
use std::io::{self, Read};

/// Bytes that can be read as often as needed and are the same each time. When a file changes between two readings, the
/// digests no longer fit, and whoever receives the image refuses it.
pub trait Blob: Debug + Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Reads them from the beginning.
    ///
    /// # Errors
    /// When they can't be had.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

impl Blob for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.as_slice()))
    }
}
