//! `up --infra-only`: what services stand on, for services that are run by hand. On the local engine the stores are
//! embedded in the services, so nothing has to run; with Docker they run in containers. What a service needs to know is
//! written down, in files that every dotenv reader understands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kernel_compose::Project;
use kernel_core::secret::Value;
use kernel_core::unit::{Desired, DesiredKind};

use crate::failure::Failure;
use crate::load::Platform;

/// The name that a service of one's own goes by in the common file.
const BY_HAND: &str = "by-hand";

/// The files that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfraFiles {
    /// What all services have in common: tokens, neighbours, log settings.
    pub common: PathBuf,
    /// The whole environment of each service, by its name.
    pub services: BTreeMap<String, PathBuf>,
}

/// The services that others stand on: those that are not made here and need none that is.
#[must_use]
pub fn services(project: &Project) -> BTreeSet<String> {
    let is_ours = |name: &String| {
        let extension = project.services.get(name).and_then(|service| service.kernel.as_ref());
        extension.is_some_and(|extension| extension.package.is_some())
    };
    let needs_ours = |name: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![name]);
        while let Some(name) = open.pop() {
            if is_ours(name) {
                return true;
            }
            if seen.insert(name) {
                let service = project.services.get(name);
                open.extend(service.into_iter().flat_map(|service| service.depends_on.keys()));
            }
        }
        false
    };
    project.services.keys().filter(|name| !needs_ours(name)).cloned().collect()
}

/// Writes `infra.env` and one file per service below `infra/` in the project's folder, for their owner only. A service
/// of one's own gets the embedded stores when they are `embedded`.
///
/// # Errors
/// When a file can't be written.
pub fn write(platform: &Platform, desired: &Desired, embedded: bool) -> Result<InfraFiles, Failure> {
    let folder = platform.workspace.state(platform.name.as_str());
    let environments: BTreeMap<&str, &BTreeMap<String, Value>> = desired
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            DesiredKind::Process(process) => Some((item.name.as_str(), &process.spec.environment)),
            DesiredKind::Container(_) | DesiredKind::Embedded => None,
        })
        .collect();
    let common = folder.join("infra.env");
    let stores = if embedded { stores(platform, &folder) } else { BTreeMap::new() };
    private_file(&common, &common_text(&environments, &stores))?;
    let mut services = BTreeMap::new();
    for (name, environment) in environments {
        let path = folder.join("infra").join(format!("{name}.env"));
        let head = format!("# The environment of `{name}`, as `kernel up` would give it.\n");
        private_file(&path, &(head + &render(environment)))?;
        services.insert(name.to_owned(), path);
    }
    Ok(InfraFiles { common, services })
}

/// The embedded default of every store, with data of its own, for a service that is not in the Compose file yet.
fn stores(platform: &Platform, folder: &Path) -> BTreeMap<String, Value> {
    let data = folder.join("data").join(BY_HAND).display().to_string();
    let root = platform.workspace.root().display().to_string();
    let services = platform.project.services.values();
    let embedded = services.filter_map(|service| service.kernel.as_ref()).flat_map(|kernel| &kernel.embedded);
    embedded
        .map(|variable| {
            let value = variable.value.expose();
            let value = value.replace("{data}", &data).replace("{service}", BY_HAND).replace("{root}", &root);
            (variable.name.clone(), Value::Plain(value))
        })
        .collect()
}

/// What every service that has the variable has with the same value, and the stores of a service of one's own.
fn common_text(
    environments: &BTreeMap<&str, &BTreeMap<String, Value>>,
    stores: &BTreeMap<String, Value>,
) -> String {
    let mut common: BTreeMap<String, Value> = BTreeMap::new();
    let mut different: Vec<&str> = vec!["PORT"];
    for (name, value) in environments.values().flat_map(|environment| environment.iter()) {
        match common.get(name) {
            Some(known) if known != value => different.push(name),
            Some(_) => {}
            None => {
                common.insert(name.clone(), value.clone());
            }
        }
    }
    common.retain(|name, _| !different.contains(&name.as_str()) && !stores.contains_key(name));
    let head = "# For services that are run by hand. Made by `kernel up --infra-only`.\n\
                # The whole environment of a service of the Compose file is in infra/<service>.env.\n";
    let middle = "# Stores of a service of your own: files in its data folder, nothing has to run.\n";
    let middle = if stores.is_empty() { "" } else { middle };
    format!("{head}{}{middle}{}", render(&common), render(stores))
}

/// Lines of NAME='value', which shells and dotenv read alike. A single quote ends the quoted part, stands in double
/// quotes, and begins the next part.
fn render(environment: &BTreeMap<String, Value>) -> String {
    let mut out = String::new();
    for (name, value) in environment {
        let value = value.expose().replace('\'', "'\"'\"'");
        let _infallible = writeln!(out, "{name}='{value}'");
    }
    out
}

fn private_file(path: &Path, text: &str) -> Result<(), Failure> {
    let fresh = path.with_extension("env.new");
    let write = || {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?
            .write_all(text.as_bytes())?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|error| Failure::unwritable(path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use kernel_core::secret::Secret;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::Plain((*value).to_owned()))).collect()
    }

    #[test]
    fn what_is_common_is_what_nobody_has_differently() {
        let mut iam =
            environment(&[("PORT", "8081"), ("LOG_LEVEL", "info"), ("DATABASE_URL", "sqlite:///a.db")]);
        iam.insert("INTERNAL_TOKEN".to_owned(), Value::Secret(Secret::new("t0k3n")));
        let mut money =
            environment(&[("PORT", "8085"), ("LOG_LEVEL", "info"), ("DATABASE_URL", "sqlite:///b.db")]);
        money.insert("IAM_URL".to_owned(), Value::Plain("http://127.0.0.1:8081".to_owned()));
        let text = common_text(
            &[("iam", &iam), ("money", &money)].into(),
            &environment(&[("DATABASE_URL", "sqlite:///by-hand.db")]),
        );
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "IAM_URL='http://127.0.0.1:8081'",
                "INTERNAL_TOKEN='t0k3n'",
                "LOG_LEVEL='info'",
                "DATABASE_URL='sqlite:///by-hand.db'",
            ]
        );
    }

    #[test]
    fn what_others_stand_on_needs_nothing_of_ours() {
        let text = "services:\n  iam: {image: i, depends_on: [postgres], x-kernel: {package: iam}}\n  postgres: {image: p}\n  \
                    console: {image: c, depends_on: [postgres]}\n  envoy: {image: e, depends_on: [edge]}\n  \
                    edge: {image: e, depends_on: [iam]}\n";
        let project = crate::testing::project(Path::new("/nowhere"), text);
        assert_eq!(services(&project), BTreeSet::from(["console".to_owned(), "postgres".to_owned()]));
    }

    #[test]
    fn a_dotenv_reader_reads_back_what_was_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/infra.env");
        let values = [
            ("A", "plain"),
            ("B", "sqlite:///tmp/with space/x.db?mode=rwc"),
            ("C", "it's $HOME \"quoted\" \\ and `ticked`"),
            ("D", "# no comment"),
            ("E", ""),
            ("F", "a=b ${C} $$"),
        ];
        private_file(&path, &render(&environment(&values))).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read: Vec<(String, String)> =
            dotenvy::from_path_iter(&path).unwrap().map(|entry| entry.unwrap()).collect();
        let meant: Vec<(String, String)> =
            values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read, meant);
    }
}
