//! What services were made from when they last worked, kept between commands. Holds hashes only: nothing of a secret.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kernel_core::unit::{Desired, DesiredItem, DesiredKind};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// By service, by part: a hash.
type Parts = BTreeMap<String, BTreeMap<String, String>>;

/// The record of one project. Only a hint: without it less is told, nothing else.
#[derive(Clone, Debug, Default)]
pub struct Worked {
    path: Option<PathBuf>,
    parts: Parts,
}

impl Worked {
    /// Reads the record at `path`; one that is not there or is broken is empty.
    #[must_use]
    pub fn open(path: Option<PathBuf>) -> Self {
        let text = path.as_deref().and_then(|path| std::fs::read(path).ok());
        let parts = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { path, parts }
    }

    /// All of these work now.
    ///
    /// # Errors
    /// When it can't be kept.
    pub fn remember(&mut self, desired: &Desired) -> io::Result<()> {
        let now: Parts = desired.items.iter().map(|item| (item.name.to_string(), parts(item))).collect();
        let before = self.parts.clone();
        self.parts.extend(now);
        let Some(path) = &self.path else { return Ok(()) };
        if before == self.parts { Ok(()) } else { write(path, &self.parts) }
    }

    /// Forgets all.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn forget(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The folder goes with the last record in it.
        drop(path.parent().map(std::fs::remove_dir));
        Ok(())
    }

    /// The names of the parts that differ from when the service last worked; `None` when it never did.
    pub(super) fn differences(&self, item: &DesiredItem) -> Option<Vec<String>> {
        let before = self.parts.get(item.name.as_str())?;
        let now = parts(item);
        let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
        let mut differing: Vec<String> =
            names.filter(|name| before.get(*name) != now.get(*name)).cloned().collect();
        differing.sort();
        Some(differing)
    }
}

/// Written whole or not at all, for nobody else's eyes.
fn write(path: &Path, parts: &Parts) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let fresh =
        folder.join(format!(".{}.{}", path.file_name().unwrap_or_default().display(), std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec(parts)?)?;
    std::fs::rename(&fresh, path)
}

/// What a unit is made from, by the names that people know it by.
fn parts(item: &DesiredItem) -> BTreeMap<String, String> {
    match &item.kind {
        DesiredKind::Process(process) => process.fingerprint.0.clone(),
        DesiredKind::Container(container) => {
            let mut parts = BTreeMap::from([("image".to_owned(), hash(&container.image))]);
            flatten(container.body.expose(), "", &mut parts);
            parts
        }
        DesiredKind::Embedded => BTreeMap::new(),
    }
}

/// One part for each value of a body, and for each variable of the environment; labels tell nothing more.
fn flatten(value: &Value, place: &str, parts: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            for (name, entry) in entries.iter().filter(|(name, _)| *name != "Labels" && *name != "Image") {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                flatten(entry, &place, parts);
            }
        }
        Value::Array(variables) if place == "Env" => {
            for variable in variables.iter().filter_map(Value::as_str) {
                let name = variable.split('=').next().unwrap_or_default();
                parts.insert(format!("environment {name}"), hash(variable));
            }
        }
        other => drop(parts.insert(place.to_owned(), hash(&other.to_string()))),
    }
}

fn hash(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_has_parts_that_people_know() {
        let of = |body: Value| {
            let mut parts = BTreeMap::new();
            flatten(&body, "", &mut parts);
            parts
        };
        let one = of(json!({"Env": ["A=1", "B=2"], "Labels": {"x": "1"}, "HostConfig": {"Memory": 1}}));
        let other = of(json!({"Env": ["A=1", "B=3"], "Labels": {"x": "2"}, "HostConfig": {"Memory": 1}}));
        assert_eq!(one.keys().collect::<Vec<_>>(), ["HostConfig.Memory", "environment A", "environment B"]);
        let differing: Vec<&String> = one.keys().filter(|name| one[*name] != other[*name]).collect();
        assert_eq!(differing, ["environment B"]);
        // Nothing of a value can be read from the record.
        assert!(one.values().all(|hash| hash.len() == 16));
    }

    #[test]
    fn a_record_that_is_broken_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/record");
        let mut worked = Worked::open(Some(path.clone()));
        worked.parts.insert("db".to_owned(), BTreeMap::from([("image".to_owned(), hash("a"))]));
        write(&path, &worked.parts).unwrap();
        assert_eq!(Worked::open(Some(path.clone())).parts, worked.parts);
        std::fs::write(&path, "{").unwrap();
        assert!(Worked::open(Some(path.clone())).parts.is_empty());
        worked.forget().unwrap();
        worked.forget().unwrap();
        assert!(!path.exists());
    }
}
