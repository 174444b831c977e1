//! Compares the time of a program with the times of all that it is made from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::build::dep_info;

/// Files of the workspace that every program is made from.
const ALWAYS: [&str; 4] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"];

/// Looks up times, each file once: programs share most of their sources.
pub(crate) struct Clock {
    root: PathBuf,
    target_dir: PathBuf,
    times: HashMap<PathBuf, Option<SystemTime>>,
    manifests: HashMap<PathBuf, Option<PathBuf>>,
}

impl Clock {
    /// For the workspace at `root`, whose programs are below `target_dir`.
    pub(crate) fn new(root: &Path, target_dir: &Path) -> Self {
        let (root, target_dir) = (root.to_owned(), target_dir.to_owned());
        Self { root, target_dir, times: HashMap::new(), manifests: HashMap::new() }
    }

    /// Why `program` can't be used as it is, when it can't. The time of the dep-info file counts too: a build that
    /// found nothing to do sets it.
    pub(crate) fn stale(&mut self, program: &Path, dep_info: &Path) -> Option<String> {
        let Some(built) = self.time(program) else { return Some("not built yet".to_owned()) };
        let sources = std::fs::read_to_string(dep_info).ok().as_deref().and_then(dep_info::sources);
        let Some(sources) = sources else { return Some("its sources are unknown".to_owned()) };
        let built = self.time(dep_info).map_or(built, |checked| built.max(checked));
        // What build scripts generate is made from what else is listed; its own time changes with every run of them.
        let sources = sources.iter().map(|source| self.root.join(source));
        let written: Vec<PathBuf> = sources.filter(|source| !self.is_generated(source)).collect();
        // A target folder may serve several checkouts: the program may have been made by another one.
        if !written.iter().any(|source| source.starts_with(&self.root)) {
            return Some("built from another folder".to_owned());
        }
        for source in written {
            match self.time(&source) {
                None => return Some(format!("{} is gone", self.shown(&source))),
                Some(time) if time > built => return Some(self.newer(&source)),
                Some(_) => {}
            }
            if let Some(manifest) = self.manifest(&source)
                && self.time(&manifest).is_some_and(|time| time > built)
            {
                return Some(self.newer(&manifest));
            }
        }
        let always = ALWAYS.map(|name| self.root.join(name));
        always
            .iter()
            .find(|path| self.time(path).is_some_and(|time| time > built))
            .map(|path| self.newer(path))
    }

    /// Below the target folder, unless the workspace itself lies there.
    fn is_generated(&self, source: &Path) -> bool {
        let of_the_workspace = self.root.starts_with(&self.target_dir) && source.starts_with(&self.root);
        source.starts_with(&self.target_dir) && !of_the_workspace
    }

    fn newer(&self, path: &Path) -> String {
        format!("{} is newer than the program", self.shown(path))
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn time(&mut self, path: &Path) -> Option<SystemTime> {
        if let Some(time) = self.times.get(path) {
            return *time;
        }
        let time = newest(path);
        self.times.insert(path.to_owned(), time);
        time
    }

    /// The manifest of the package that a source belongs to.
    fn manifest(&mut self, source: &Path) -> Option<PathBuf> {
        let folder = source.parent()?;
        if let Some(known) = self.manifests.get(folder) {
            return known.clone();
        }
        let found = folder
            .ancestors()
            .take_while(|folder| folder.starts_with(&self.root))
            .map(|folder| folder.join("Cargo.toml"))
            .find(|manifest| manifest.is_file());
        self.manifests.insert(folder.to_owned(), found.clone());
        found
    }
}

/// When a file was changed last; of a folder, which a build script may depend on as a whole, when anything in it was.
fn newest(path: &Path) -> Option<SystemTime> {
    let metadata = std::fs::metadata(path).ok()?;
    let own = metadata.modified().ok()?;
    if !metadata.is_dir() {
        return Some(own);
    }
    let entries = std::fs::read_dir(path).ok()?.flatten();
    Some(entries.filter_map(|entry| newest(&entry.path())).fold(own, SystemTime::max))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    struct Workspace {
        folder: tempfile::TempDir,
    }

    impl Workspace {
        /// One package whose program was built at second 100 from files of second 50.
        fn new() -> Self {
            let workspace = Self { folder: tempfile::tempdir().unwrap() };
            let source = workspace.path("services/iam/src/main.rs");
            for name in ["Cargo.lock", "Cargo.toml", "services/iam/Cargo.toml", "services/iam/src/main.rs"] {
                workspace.write(name, "", 50);
            }
            workspace.write("target/debug/iam", "", 100);
            workspace.write("target/debug/iam.d", &format!("x: {}\n", source.display()), 60);
            workspace
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str, second: u64) {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }

        fn stale(&self) -> Option<String> {
            let program = self.path("target/debug/iam");
            Clock::new(self.folder.path(), &self.path("target"))
                .stale(&program, &self.path("target/debug/iam.d"))
        }
    }

    #[test]
    fn a_program_is_fresh_until_something_it_is_made_from_is_newer() {
        assert_eq!(Workspace::new().stale(), None);
        for name in
            ["services/iam/src/main.rs", "services/iam/Cargo.toml", "Cargo.lock", "rust-toolchain.toml"]
        {
            let workspace = Workspace::new();
            workspace.write(name, "", 101);
            assert_eq!(workspace.stale(), Some(format!("{name} is newer than the program")));
        }
    }

    #[test]
    fn a_folder_counts_with_all_in_it_and_what_was_generated_does_not() {
        let workspace = Workspace::new();
        workspace.write("api/proto/deep/a.proto", "", 50);
        workspace.write("target/debug/build/api/out/generated.rs", "", 150);
        for folder in ["api/proto/deep", "api/proto"] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(50);
            File::open(workspace.path(folder)).unwrap().set_modified(time).unwrap();
        }
        let sources =
            ["api/proto", "target/debug/build/api/out/generated.rs"].map(|name| workspace.path(name));
        let text = format!("x: {} {}\n", sources[0].display(), sources[1].display());
        workspace.write("target/debug/iam.d", &text, 60);
        assert_eq!(workspace.stale(), None);
        workspace.write("api/proto/deep/a.proto", "", 150);
        assert_eq!(workspace.stale().as_deref(), Some("api/proto is newer than the program"));
    }

    #[test]
    fn what_is_missing_is_said() {
        let workspace = Workspace::new();
        std::fs::remove_file(workspace.path("services/iam/src/main.rs")).unwrap();
        assert_eq!(workspace.stale().as_deref(), Some("services/iam/src/main.rs is gone"));
        std::fs::remove_file(workspace.path("target/debug/iam.d")).unwrap();
        assert_eq!(workspace.stale().as_deref(), Some("its sources are unknown"));
        std::fs::remove_file(workspace.path("target/debug/iam")).unwrap();
        assert_eq!(workspace.stale().as_deref(), Some("not built yet"));
    }

    #[test]
    fn a_program_of_another_checkout_is_not_ours() {
        let (workspace, other) = (Workspace::new(), Workspace::new());
        let theirs = std::fs::read_to_string(other.path("target/debug/iam.d")).unwrap();
        workspace.write("target/debug/iam.d", &theirs, 100);
        assert_eq!(workspace.stale().as_deref(), Some("built from another folder"));
        let copy = workspace.path("target/copy/services/iam/src/main.rs");
        workspace.write("target/copy/services/iam/src/main.rs", "", 50);
        workspace.write("target/debug/iam.d", &format!("x: {}\n", copy.display()), 100);
        assert_eq!(workspace.stale().as_deref(), Some("built from another folder"));
    }

    #[test]
    fn a_build_that_found_nothing_to_do_counts() {
        let workspace = Workspace::new();
        workspace.write("services/iam/src/main.rs", "", 150);
        let text = std::fs::read_to_string(workspace.path("target/debug/iam.d")).unwrap();
        workspace.write("target/debug/iam.d", &text, 200);
        assert_eq!(workspace.stale(), None);
    }
}
