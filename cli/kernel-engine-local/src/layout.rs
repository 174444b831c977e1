//! Where everything of one project is: `<root>/.kernel/<project>/`.

use std::io;
use std::path::{Path, PathBuf};

use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::scope::ScopeId;

use crate::files;

/// The longest path that fits into the address of a Unix socket, with its final zero.
const SOCKET_PATH_LIMIT: usize = 107;

/// The paths of one project. Looks at the disk only where it says so.
#[derive(Clone, Debug)]
pub struct Layout {
    state: PathBuf,
    scope: ScopeId,
}

impl Layout {
    /// The project's folder below the workspace's root, an absolute path with symbolic links resolved.
    #[must_use]
    pub fn new(root: &Path, project: &ProjectName) -> Self {
        let scope = ScopeId::new(&root.to_string_lossy(), project);
        Self { state: root.join(".kernel").join(project.as_str()), scope }
    }

    /// The paths below a state folder, as the supervisor is told them.
    #[must_use]
    pub const fn of_state(state: PathBuf, scope: ScopeId) -> Self {
        Self { state, scope }
    }

    /// What everything that is started for the project carries.
    #[must_use]
    pub const fn scope(&self) -> &ScopeId {
        &self.scope
    }

    /// The project's folder: all else is in it, but perhaps the socket.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// What outlives `down`.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.state.join("data")
    }

    /// The data of one service.
    #[must_use]
    pub fn data_of(&self, service: &ServiceName) -> PathBuf {
        self.data().join(service.as_str())
    }

    /// Where log files are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// The newest log file of one service; older ones have `.1`, `.2` … behind it.
    #[must_use]
    pub fn log_of(&self, service: &ServiceName) -> PathBuf {
        self.logs().join(format!("{service}.log"))
    }

    /// What the supervisor itself says.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        // Not the name of a service's log: `supervisor` may be a service.
        self.logs().join("_supervisor.log")
    }

    /// Lock, socket, state.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.state.join("run")
    }

    /// Held by the one supervisor of the project.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.run().join("lock")
    }

    /// What the supervisor would want to know after it was killed.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        self.run().join("state.json")
    }

    /// Generated secrets.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.state.join("secrets.env")
    }

    /// Where the supervisor listens. Below the state folder when that fits; else in a folder of the user with a name
    /// made from the scope.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let near = self.run().join("supervisor.sock");
        if near.as_os_str().len() <= SOCKET_PATH_LIMIT {
            return near;
        }
        self.far_folder().join(format!("{}.sock", self.scope))
    }

    fn far_folder(&self) -> PathBuf {
        match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
            Some(folder) if folder.is_absolute() && folder.is_dir() => folder.join("kernel"),
            _ => std::env::temp_dir().join(format!("kernel-{}", rustix::process::getuid().as_raw())),
        }
    }

    /// Makes the folders that a supervisor needs.
    ///
    /// # Errors
    /// When the file system refuses, or the folder of the socket belongs to somebody else.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        for folder in [self.data(), self.logs(), self.run()] {
            files::private_folder(&folder)?;
        }
        if let Some(folder) = self.socket().parent().filter(|folder| *folder != self.run()) {
            files::private_folder(folder)?;
            let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::symlink_metadata(folder)?);
            if owner != rustix::process::getuid().as_raw() {
                let message = format!("`{}` belongs to another user", folder.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
        }
        Ok(())
    }

    /// Whether a supervisor was started and nothing was taken down since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.run().exists()
    }

    /// Whether anything but data is there.
    #[must_use]
    pub fn is_present(&self) -> bool {
        [self.run(), self.logs(), self.secrets()].iter().any(|path| path.exists())
    }

    /// Whether there is data.
    #[must_use]
    pub fn has_data(&self) -> bool {
        std::fs::read_dir(self.data()).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Removes all but the data; with `data`, that too. The lock goes last.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn remove(&self, data: bool) -> io::Result<()> {
        files::remove_file(&self.socket())?;
        files::remove_folder(&self.logs())?;
        files::remove_file(&self.secrets())?;
        // What `up --infra-only` wrote for services that are run by hand.
        files::remove_file(&self.state.join("infra.env"))?;
        files::remove_folder(&self.state.join("infra"))?;
        files::remove_file(&self.state_file())?;
        if data {
            files::remove_folder(&self.data())?;
        }
        files::remove_folder(&self.run())?;
        // The folders above go when they are empty; others may live there.
        if std::fs::remove_dir(&self.state).is_ok()
            && let Some(all) = self.state.parent()
        {
            drop(std::fs::remove_dir(all));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_socket_elsewhere() {
        let project = ProjectName::new("kernel").unwrap();
        let near = Layout::new(Path::new("/src/platform"), &project);
        assert_eq!(near.socket(), Path::new("/src/platform/.kernel/kernel/run/supervisor.sock"));
        let far = Layout::new(Path::new(&format!("/{}", "deep/".repeat(30))), &project);
        assert!(far.socket().as_os_str().len() <= SOCKET_PATH_LIMIT, "{}", far.socket().display());
        assert!(far.socket().to_string_lossy().contains(far.scope().as_str()));
    }

    #[test]
    fn removing_keeps_the_data_unless_asked() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path(), &ProjectName::new("kernel").unwrap());
        layout.prepare().unwrap();
        std::fs::create_dir(layout.data().join("iam")).unwrap();
        assert!(layout.is_present() && layout.has_data());
        layout.remove(false).unwrap();
        assert!(!layout.is_present() && layout.has_data());
        layout.remove(true).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
