//! Values that are made once per project and kept in `secrets.env`, a file for its owner only.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use kernel_core::secret::Secret;
use rand::RngCore;

use crate::files;

/// The generated values of `names`. Those that the file holds are taken from it, the others are made; with `keep`
/// the file is then written. Without `keep` nothing is written: for `--dry-run` and `config`.
///
/// # Errors
/// When the file can't be read or written.
pub fn generated(path: &Path, names: &[String], keep: bool) -> io::Result<BTreeMap<String, Secret>> {
    let mut all = read(path)?;
    if keep && !add_missing(&mut all, names).is_empty() {
        let folder = path.parent().unwrap_or(Path::new("."));
        files::private_folder(folder)?;
        // Two commands at once: the second takes what the first has made, or one project would have two sets of values.
        let folder = std::fs::File::open(folder)?;
        folder.lock()?;
        all = read(path)?;
        if !add_missing(&mut all, names).is_empty() {
            files::replace(path, render(&all).as_bytes())?;
        }
    }
    add_missing(&mut all, names);
    all.retain(|name, _| names.contains(name));
    Ok(all)
}

/// Makes values for the names that have none, and says which these were.
fn add_missing(all: &mut BTreeMap<String, Secret>, names: &[String]) -> Vec<String> {
    let missing: Vec<String> = names.iter().filter(|name| !all.contains_key(*name)).cloned().collect();
    all.extend(missing.iter().map(|name| (name.clone(), Secret::new(random()))));
    missing
}

/// [`generated`] with `keep`: what `up` does before it reads the Compose files.
///
/// # Errors
/// When the file can't be read or written.
pub fn ensure_generated(path: &Path, names: &[String]) -> io::Result<BTreeMap<String, Secret>> {
    generated(path, names, true)
}

fn read(path: &Path) -> io::Result<BTreeMap<String, Secret>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.trim().to_owned(), Secret::new(value.trim()))).collect())
}

fn render(all: &BTreeMap<String, Secret>) -> String {
    let mut text = String::from("# Made by kernel, once per project. Keep it to yourself.\n");
    for (name, value) in all {
        text.push_str(&format!("{name}={}\n", value.expose()));
    }
    text
}

/// 256 random bits in hexadecimal digits.
fn random() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn commands_at_once_have_the_same_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p/secrets.env");
        let names: Vec<String> = (0..20).map(|number| format!("NAME_{number}")).collect();
        let start = std::sync::Barrier::new(8);
        let make = || {
            start.wait();
            let values = generated(&path, &names, true).unwrap();
            values.values().map(|value| value.expose().to_owned()).collect::<Vec<_>>()
        };
        let made: Vec<Vec<String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|values| *values == made[0]));
    }

    #[test]
    fn a_value_is_made_once_and_kept_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".kernel/p/secrets.env");
        let names = vec!["INTERNAL_TOKEN".to_owned()];
        drop(generated(&path, &names, false).unwrap());
        assert!(!path.exists(), "without `keep` nothing is written");
        let first = ensure_generated(&path, &names).unwrap();
        assert_eq!(first["INTERNAL_TOKEN"].expose().len(), 64);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let more = vec!["INTERNAL_TOKEN".to_owned(), "OTHER".to_owned()];
        let second = ensure_generated(&path, &more).unwrap();
        assert_eq!(first["INTERNAL_TOKEN"], second["INTERNAL_TOKEN"]);
        assert_ne!(second["OTHER"], second["INTERNAL_TOKEN"]);
        assert_eq!(ensure_generated(&path, &names).unwrap(), first, "only what was asked for comes back");
    }
}
