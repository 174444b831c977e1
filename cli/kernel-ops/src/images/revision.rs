//! What git says of the workspace: the commit that images are named by and described with.

use std::path::Path;
use std::process::{Command, Stdio};

use kernel_core::exit::ExitCode;

use crate::codes;
use crate::failure::{Failure, problem};

/// The state of the workspace's sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// The commit, all digits. `None`: no git repository, or no git.
    pub commit: Option<String>,
    /// Whether something differs from the commit.
    pub changed: bool,
    /// When the commit was made, or `SOURCE_DATE_EPOCH`, in seconds since 1970; 0 when neither is known.
    pub seconds: i64,
    /// The branch, when one is checked out.
    pub branch: Option<String>,
    /// The git tags of the commit.
    pub tags: Vec<String>,
    /// Where the sources can be found, when the remote `origin` is an address that others can reach.
    pub source: Option<String>,
}

impl Revision {
    /// Asks git about the folder `root`. A folder without git is no error: its images just say less.
    ///
    /// # Errors
    /// When `SOURCE_DATE_EPOCH` is no number of seconds.
    pub fn of(root: &Path, source_date_epoch: Option<&str>) -> Result<Self, Failure> {
        let epoch = source_date_epoch.map(|text| seconds(text).ok_or_else(|| no_time(text))).transpose()?;
        let Some(head) = git(root, &["log", "-1", "--format=%H %ct"]) else {
            return Ok(Self { seconds: epoch.unwrap_or(0), ..Self::default() });
        };
        let (commit, time) = head.split_once(' ').unwrap_or((&head, ""));
        Ok(Self {
            commit: Some(commit.to_owned()),
            // When git can't tell, it is taken for changed: the careful answer.
            changed: git(root, &["status", "--porcelain"]).is_none_or(|status| !status.is_empty()),
            seconds: epoch.or_else(|| seconds(time)).unwrap_or(0),
            branch: git(root, &["branch", "--show-current"]).filter(|branch| !branch.is_empty()),
            tags: git(root, &["tag", "--points-at", "HEAD"])
                .map(|tags| tags.lines().map(str::to_owned).collect())
                .unwrap_or_default(),
            source: git(root, &["remote", "get-url", "origin"]).and_then(|remote| public(&remote)),
        })
    }

    /// The time as RFC 3339.
    #[must_use]
    pub fn created(&self) -> String {
        jiff::Timestamp::from_second(self.seconds).unwrap_or_default().to_string()
    }

    /// The commit as images say it: with a mark when the sources differ from it.
    #[must_use]
    pub fn described(&self) -> Option<String> {
        let mark = if self.changed { "-dirty" } else { "" };
        self.commit.as_ref().map(|commit| format!("{commit}{mark}"))
    }
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim_end().to_owned())
}

fn seconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|seconds| jiff::Timestamp::from_second(*seconds).is_ok())
}

fn no_time(text: &str) -> Failure {
    let message = format!("SOURCE_DATE_EPOCH is `{text}`, which is no number of seconds since 1970");
    Failure::new(ExitCode::Usage, problem(codes::IMAGE_REVISION, message, "unset it, or set it to a number"))
}

/// An address of a remote that may be told: without user and password, and none of this machine or network.
fn public(remote: &str) -> Option<String> {
    let (host, path) = match remote.split_once("://") {
        Some(("https" | "http" | "ssh", rest)) => {
            let (authority, path) = rest.split_once('/')?;
            let host = authority.rsplit('@').next()?;
            (host.split(':').next()?, path)
        }
        Some(_) => return None,
        // `git@host:owner/name`
        None => {
            let (authority, path) = remote.split_once(':')?;
            (authority.split_once('@')?.1, path)
        }
    };
    let known = host.contains('.') && host.bytes().any(|byte| byte.is_ascii_alphabetic());
    known.then(|| format!("https://{host}/{}", path.trim_end_matches('/').trim_end_matches(".git")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_told_without_its_secrets() {
        let cases = [
            ("https://user:pa55@example.org/acme/platform.git", Some("https://example.org/acme/platform")),
            ("git@example.org:acme/platform.git", Some("https://example.org/acme/platform")),
            ("ssh://git@example.org:2222/acme/platform", Some("https://example.org/acme/platform")),
            ("/srv/git/platform.git", None),
            ("file:///srv/git/platform.git", None),
            ("http://localhost/platform", None),
            ("http://10.0.0.1/platform", None),
        ];
        for (remote, expected) in cases {
            assert_eq!(public(remote).as_deref(), expected, "{remote}");
        }
    }

    #[test]
    fn a_folder_without_git_has_no_commit_and_the_time_that_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let revision = Revision::of(folder.path(), Some("1767323045")).unwrap();
        assert_eq!((revision.commit.as_deref(), revision.described()), (None, None));
        assert_eq!(revision.created(), "2026-01-02T03:04:05Z");
        assert_eq!(Revision::of(folder.path(), None).unwrap().created(), "1970-01-01T00:00:00Z");
        let failure = Revision::of(folder.path(), Some("soon")).unwrap_err();
        assert_eq!(failure.problems[0].code, codes::IMAGE_REVISION.0);
    }

    #[test]
    fn a_repository_tells_its_commit_branch_tags_and_changes() {
        let folder = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let status = Command::new("git")
                .arg("-C")
                .arg(folder.path())
                .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
                .args(arguments)
                .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
                .output()
                .unwrap();
            assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        };
        run(&["init", "-q", "-b", "main"]);
        std::fs::write(folder.path().join("a"), "1").unwrap();
        run(&["add", "a"]);
        run(&["commit", "-q", "-m", "one"]);
        run(&["tag", "staging-1"]);
        let revision = Revision::of(folder.path(), None).unwrap();
        assert_eq!(revision.commit.as_ref().map(String::len), Some(40));
        assert_eq!((revision.changed, revision.branch.as_deref()), (false, Some("main")));
        assert_eq!(revision.tags, ["staging-1"]);
        assert_eq!(revision.created(), "2026-01-02T03:04:05Z");
        std::fs::write(folder.path().join("a"), "2").unwrap();
        let changed = Revision::of(folder.path(), None).unwrap();
        assert!(changed.changed);
        assert_eq!(changed.described(), revision.commit.map(|commit| commit + "-dirty"));
    }
}
