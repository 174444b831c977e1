//! What a process was started with, as hashes by name, so that `up` can say what changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use kernel_core::unit::{Fingerprint, ProcessSpec};
use sha2::{Digest, Sha256};

/// Looks at the program's file and hashes it with all else that a process is started with. A program is known by its
/// path, size and time of change: reading twelve programs would take longer than all else that a no-op `up` does.
#[must_use]
pub fn fingerprint(spec: &ProcessSpec) -> Fingerprint {
    let mut parts = BTreeMap::new();
    let mut part = |name: &str, fill: &dyn Fn(&mut Sha256)| {
        let mut hash = Sha256::new();
        fill(&mut hash);
        parts.insert(name.to_owned(), hex::encode(hash.finalize()).chars().take(16).collect());
    };
    part("program", &|hash| program(hash, Path::new(&spec.program)));
    part("arguments", &|hash| spec.arguments.iter().for_each(|argument| text(hash, argument)));
    part("environment", &|hash| {
        for (name, value) in &spec.environment {
            text(hash, name);
            value.digest(hash);
        }
    });
    part("ports", &|hash| text(hash, &format!("{:?} {:?}", spec.ports, spec.readiness)));
    part("settings", &|hash| {
        text(hash, &spec.directory);
        text(hash, &format!("{:?} {}", spec.restart, spec.stop_grace.as_millis()));
    });
    Fingerprint(parts)
}

fn program(hash: &mut Sha256, path: &Path) {
    text(hash, &path.to_string_lossy());
    if let Ok(metadata) = std::fs::metadata(path) {
        for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.size().cast_signed()] {
            hash.update(number.to_le_bytes());
        }
    }
}

/// With its length before it, so that two texts never read as one.
fn text(hash: &mut Sha256, text: &str) {
    hash.update(text.len().to_le_bytes());
    hash.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kernel_core::secret::{Secret, Value};
    use kernel_core::unit::RestartPolicy;

    use super::*;

    #[test]
    fn each_change_is_named_and_a_secret_leaves_only_a_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iam");
        std::fs::write(&path, "one").unwrap();
        let spec = ProcessSpec {
            program: path.to_string_lossy().into_owned(),
            arguments: vec!["a".to_owned()],
            environment: BTreeMap::from([("T".to_owned(), Value::Secret(Secret::new("hunter2")))]),
            directory: "/".to_owned(),
            ports: Vec::new(),
            readiness: None,
            restart: RestartPolicy::No,
            stop_grace: Duration::from_secs(1),
        };
        let before = fingerprint(&spec);
        assert_eq!(before, fingerprint(&spec));
        assert!(!format!("{before:?}").contains("hunter2"));
        let mut changed = spec.clone();
        changed.environment.insert("T".to_owned(), Value::Secret(Secret::new("hunter3")));
        assert_eq!(before.differences(&fingerprint(&changed)), ["environment"]);
        std::fs::write(&path, "two!").unwrap();
        assert_eq!(before.differences(&fingerprint(&spec)), ["program"]);
    }
}
