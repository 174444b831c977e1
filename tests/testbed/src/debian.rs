//! Debian's packages: installed on this machine, or only unpacked into the cache.
//!
//! Packages of another release than the machine's come from the mirror that the machine itself uses, through an apt
//! configuration of our own; nothing of the machine's is changed by it.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::cache::{Cache, Key};
use crate::failure::{Failure, because};
use crate::program;

/// The release that the testbed's own packages and images are taken from.
pub const RELEASE: &str = "trixie";

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// [`RELEASE`].
    Testbed,
    /// Debian's unstable, for what a release does not have yet.
    Unstable,
    /// The release that this machine runs: for programs that need a C library no newer than the machine's.
    Machine,
}

/// Installs what is missing on this machine. A package counts as there when `program` is in `PATH`.
///
/// # Errors
/// When it is missing and can't be installed.
pub async fn install(cache: &Cache, needed: &[(&str, &str)]) -> Result<(), Failure> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| program::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    // One at a time: dpkg takes no second one.
    let _lock = cache.lock("apt-install").await?;
    require_apt(&missing.join(" "))?;
    let log = cache.folder("logs")?.join("apt-install.log");
    let mut update = Command::new("apt-get");
    program::logged(update.args(["update", "-qq"]), "`apt-get update`", &log).await?;
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    program::logged(&mut install, &format!("installing {}", missing.join(", ")), &log).await
}

/// Unpacks packages, without what they depend on, into one folder of the cache. Its layout is a root file system's:
/// `usr/bin` and so on.
///
/// # Errors
/// When a package can't be fetched or unpacked.
pub async fn unpack(cache: &Cache, packages: &[(&str, Suite)]) -> Result<PathBuf, Failure> {
    let mut key = Key::new().with("unpacked").with(RELEASE).with(&machine_release());
    for (package, suite) in packages {
        key = key.with(package).with(&format!("{suite:?}"));
    }
    cache
        .entry("debian", &key, async |folder| {
            let downloads = folder.join(".downloads");
            std::fs::create_dir(&downloads).map_err(because(format!("making `{}`", downloads.display())))?;
            for suite in [Suite::Testbed, Suite::Unstable, Suite::Machine] {
                let names: Vec<&str> =
                    packages.iter().filter(|(_, of)| *of == suite).map(|(name, _)| *name).collect();
                if !names.is_empty() {
                    download(cache, suite, &names, &downloads).await?;
                }
            }
            for package in crate::cache::files_below(&downloads)? {
                let attempted = format!("unpacking `{}`", package.display());
                program::output(Command::new("dpkg").arg("-x").arg(&package).arg(&folder), &attempted)
                    .await?;
            }
            std::fs::remove_dir_all(&downloads)
                .map_err(because(format!("removing `{}`", downloads.display())))
        })
        .await
}

async fn download(cache: &Cache, suite: Suite, packages: &[&str], into: &Path) -> Result<(), Failure> {
    require_apt(&packages.join(" "))?;
    let attempted = format!("fetching {} from Debian", packages.join(", "));
    let mut command = Command::new("apt-get");
    match suite {
        Suite::Machine => {
            if !has_lists().await {
                let attempted = "`apt-get update`";
                program::output(Command::new("apt-get").args(["update", "-qq"]), attempted).await?;
            }
        }
        Suite::Testbed => drop(command.args(release_options(cache, RELEASE).await?)),
        Suite::Unstable => drop(command.args(release_options(cache, "sid").await?)),
    }
    command.args(["download", "-qq", "-o", "APT::Sandbox::User=root"]).args(packages).current_dir(into);
    program::output(&mut command, &attempted).await.map(drop)
}

/// The options that make apt look at `release` and at nothing of this machine, with lists that were fetched now: a mirror
/// drops a version when it gets the next one.
async fn release_options(cache: &Cache, release: &str) -> Result<Vec<String>, Failure> {
    let folder = cache.folder(&format!("apt/{release}"))?;
    let option = |name: &str, path: &str| ["-o".to_owned(), format!("{name}={path}")];
    let below = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let options: Vec<String> = [
        option("Dir::Etc::sourcelist", &below("sources.list")),
        option("Dir::Etc::sourceparts", "/dev/null"),
        option("Dir::Etc::preferencesparts", "/dev/null"),
        option("Dir::State::lists", &below("lists")),
        option("Dir::State::status", "/dev/null"),
        option("Dir::Cache", &below("cache")),
        option("APT::Sandbox::User", "root"),
    ]
    .concat();
    let _lock = cache.lock(&format!("apt-{release}")).await?;
    for name in ["lists/partial", "cache/archives/partial"] {
        cache.folder(&format!("apt/{release}/{name}"))?;
    }
    let mirror = mirror().await?;
    let text =
        format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {release} main\n");
    std::fs::write(folder.join("sources.list"), text).map_err(because("writing the list of sources"))?;
    let attempted = format!("fetching the list of packages of Debian {release}");
    program::output(Command::new("apt-get").args(&options).args(["update", "-qq"]), &attempted).await?;
    Ok(options)
}

/// The Debian mirror that this machine is set up for.
async fn mirror() -> Result<String, Failure> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]);
    let mut targets = program::output(&mut command, "asking apt for its mirror").await?;
    if targets.trim().is_empty() {
        // Without lists apt knows no origins.
        program::output(Command::new("apt-get").args(["update", "-qq"]), "`apt-get update`").await?;
        targets = program::output(&mut command, "asking apt for its mirror").await?;
    }
    let mirror = targets.lines().find(|line| !line.contains("security"));
    mirror.map(str::to_owned).ok_or_else(|| {
        Failure::new("apt of this machine knows no mirror of Debian")
            .help("the testbed needs Debian (or a system whose apt is set up for a Debian mirror)")
    })
}

async fn has_lists() -> bool {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(FILENAME)", "Created-By: Packages", "Origin: Debian"]);
    program::output(&mut command, "asking apt for its lists")
        .await
        .is_ok_and(|lists| !lists.trim().is_empty())
}

fn require_apt(what: &str) -> Result<(), Failure> {
    if program::find("apt-get").is_some() {
        return Ok(());
    }
    let failure = Failure::new(format!("{what} can't be fetched: there is no apt-get on this machine"));
    Err(failure
        .help("the testbed needs Debian; install these programs yourself, or run it in a Debian container"))
}

/// Whether this machine runs the release of this name.
pub fn machine_runs(release: &str) -> bool {
    machine_release().lines().any(|line| line == format!("VERSION_CODENAME={release}"))
}

/// The machine's own release, as a part of keys: what is unpacked for one may not run on another.
fn machine_release() -> String {
    std::fs::read_to_string("/etc/os-release").unwrap_or_default()
}
