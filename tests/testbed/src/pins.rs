//! The pins of `versions.env`, as far as the testbed needs them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::{Failure, because};

/// Every pin by its name, such as `POSTGRES_VERSION` → `17-alpine`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, String>);

impl Pins {
    /// Those of the workspace at `root`.
    ///
    /// # Errors
    /// When `versions.env` can't be read. Its lines are `NAME=value` and comments; `kernel versions check` sees to that.
    pub fn read(root: &Path) -> Result<Self, Failure> {
        let path = root.join("versions.env");
        let text =
            std::fs::read_to_string(&path).map_err(because(format!("reading `{}`", path.display())))?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let pins = lines.filter_map(|line| line.split_once('='));
        Ok(Self(pins.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()))
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn get(&self, name: &str) -> Result<&str, Failure> {
        let pin = self.0.get(name).map(String::as_str);
        pin.ok_or_else(|| Failure::new(format!("versions.env has no `{name}`, which the testbed needs")))
    }

    /// Those whose names stand in `text`.
    pub fn mentioned(&self, text: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(move |(name, _)| text.contains(name.as_str()))
            .map(|(name, value)| (&**name, &**value))
    }
}
