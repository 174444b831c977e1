//! `develop.watch` of services, read: which paths are watched, and what is done when they change.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use kernel_compose::tree::{Node, Value};
use kernel_compose::{Project, Service};
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_core::secret::Secret;

use crate::codes;
use crate::failure::{Failure, problem};
use crate::images::ignore::Ignore;
use crate::select;

/// What editors leave beside the files that people mean, and what git does.
const NEVER: &str = "**/.git\n**/.idea\n**/*~\n**/.*.swp\n**/.*.swx\n**/.*.swo\n**/4913\n**/.#*\n**/#*#\n\
                     **/*___jb_tmp___\n**/*___jb_old___\n";

/// What is done when a path changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is copied into the containers.
    Sync,
    /// The image is built anew and the containers are replaced.
    Rebuild,
    /// The containers are started again.
    Restart,
    /// It is copied, and the containers are started again.
    SyncAndRestart,
    /// It is copied, and a command runs in the containers.
    SyncAndExec,
}

/// A command that runs in the containers of a service.
#[derive(Clone, Debug, Default)]
pub struct Hook {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The user, when not the container's.
    pub user: Option<String>,
    /// With all privileges.
    pub privileged: bool,
    /// The folder, when not the container's.
    pub directory: Option<String>,
    /// Variables by name.
    pub environment: BTreeMap<String, Secret>,
}

/// One watched path of a service.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The service.
    pub service: String,
    /// An absolute path of this machine.
    pub path: PathBuf,
    /// What is done.
    pub action: Action,
    /// Where it goes in the containers.
    pub target: Option<String>,
    /// What runs after it was copied.
    pub hook: Hook,
    /// Whether everything is copied before anything changes.
    pub initial: bool,
    /// What is not meant, from the path on.
    ignore: Ignore,
    /// What alone is meant, from the path on.
    include: Option<Ignore>,
    /// What no build of the service sees, from the context on.
    context: Option<(PathBuf, Ignore)>,
}

impl Action {
    /// Whether files go into containers.
    #[must_use]
    pub const fn copies(self) -> bool {
        matches!(self, Self::Sync | Self::SyncAndRestart | Self::SyncAndExec)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "sync",
            Self::Rebuild => "rebuild",
            Self::Restart => "restart",
            Self::SyncAndRestart => "sync+restart",
            Self::SyncAndExec => "sync+exec",
        })
    }
}

impl Rule {
    /// Whether a path is the watched one, or below it.
    pub(super) fn is_about(&self, path: &Path) -> bool {
        path.starts_with(&self.path)
    }

    /// Whether only what is included by its name is meant.
    pub(super) const fn picks(&self) -> bool {
        self.include.is_some()
    }

    /// Whether a path that the rule is about is not meant, nor anything below it.
    pub(super) fn hides(&self, path: &Path) -> bool {
        let inside = relative(path, &self.path);
        let hidden_from_builds = self.context.as_ref().is_some_and(|(context, ignore)| {
            path.starts_with(context) && path != context && ignore.hides(&relative(path, context))
        });
        !inside.is_empty() && self.ignore.hides(&inside) || hidden_from_builds
    }

    /// Whether a change of a path is meant.
    pub(super) fn wants(&self, path: &Path) -> bool {
        if !self.is_about(path) || self.hides(path) {
            return false;
        }
        let inside = relative(path, &self.path);
        // A folder is no change by itself, a file that is watched alone is.
        if inside.is_empty() {
            return !path.is_dir();
        }
        self.include.as_ref().is_none_or(|include| {
            // What is below a folder may be included.
            include.hides(&inside) || path.is_dir()
        })
    }

    /// Where a path goes in the containers.
    pub(super) fn in_container(&self, path: &Path) -> Option<String> {
        let target = self.target.as_deref()?;
        let inside = relative(path, &self.path);
        let target = if target.len() > 1 { target.trim_end_matches('/') } else { "" };
        Some(match (target, inside.as_str()) {
            ("", "") => "/".to_owned(),
            (target, "") => target.to_owned(),
            (target, inside) => format!("{target}/{inside}"),
        })
    }

    /// One for tests, to `/in`.
    #[cfg(test)]
    pub(super) fn test(service: &str, path: &Path, action: Action) -> Self {
        Self {
            service: service.to_owned(),
            path: path.to_owned(),
            action,
            target: Some("/in".to_owned()),
            hook: Hook::default(),
            initial: false,
            ignore: Ignore::parse(NEVER).unwrap(),
            include: None,
            context: None,
        }
    }

    /// The same, copied before anything changes.
    #[cfg(test)]
    pub(super) fn copied_at_once(self) -> Self {
        Self { initial: true, ..self }
    }
}

/// The part of a path below a folder, with `/`.
fn relative(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}

/// What is watched for these services, for all of the project without names.
///
/// # Errors
/// When a service was named that the project does not have, when nothing is to be watched, and everything that is wrong
/// with what is.
pub fn rules(project: &Project, services: &[String]) -> Result<Vec<Rule>, Failure> {
    let chosen = select::named(project, services)?;
    let (mut rules, mut problems) = (Vec::new(), Vec::new());
    for service in project.services.values().filter(|service| chosen.contains(&service.name)) {
        let node = project.model.get("services").and_then(|all| all.get(&service.name));
        let watch = node.and_then(|node| node.get("develop")).and_then(|develop| develop.get("watch"));
        let items = watch.and_then(Node::as_sequence).unwrap_or_default();
        if items.is_empty() {
            continue;
        }
        let context = match dockerignore(service) {
            Ok(context) => context,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for item in items {
            match rule(service, item, context.clone()) {
                Ok(rule) => rules.push(rule),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if !problems.is_empty() {
        return Err(Failure::several(ExitCode::Usage, problems));
    }
    if rules.is_empty() {
        let whose = if services.is_empty() { "no service" } else { "none of these services" };
        let message = format!("{whose} says what is to be watched");
        let help =
            "say it in the Compose file: `develop: { watch: [{ path: ./src, action: sync, target: /src }] }`";
        return Err(Failure::new(ExitCode::NothingSelected, problem(codes::NOTHING_SELECTED, message, help)));
    }
    Ok(rules)
}

fn rule(service: &Service, item: &Node, context: Option<(PathBuf, Ignore)>) -> Result<Rule, Problem> {
    let name = &service.name;
    let text = |key: &str| item.get(key).and_then(Node::as_text).map(str::to_owned);
    let wrong = |message: String, help: &str| problem(codes::WATCH, message, help);
    let path = PathBuf::from(text("path").unwrap_or_default());
    if !path.exists() {
        let message = format!("service `{name}` watches `{}`, which is not there", path.display());
        return Err(wrong(message, "make it, or correct `path` in `develop.watch`"));
    }
    let action = match text("action").as_deref() {
        Some("rebuild") => Action::Rebuild,
        Some("restart") => Action::Restart,
        Some("sync+restart") => Action::SyncAndRestart,
        Some("sync+exec") => Action::SyncAndExec,
        _ => Action::Sync,
    };
    if action == Action::Rebuild && service.build.is_none() {
        let message =
            format!("service `{name}` can't be built anew when something changes: it has no `build`");
        return Err(wrong(message, "add `build`, or let `develop.watch` restart it"));
    }
    let patterns = |key: &str| {
        let lines = match item.get(key).map(|node| &node.value) {
            Some(Value::Sequence(items)) => items.iter().filter_map(Node::as_text).collect(),
            Some(Value::Scalar(line)) => vec![line.text()],
            _ => Vec::new(),
        };
        lines.join("\n")
    };
    let parsed = |key: &str, text: &str| {
        Ignore::parse(text).map_err(|bad| {
            let message =
                format!("service `{name}`: `{}` in `{key}` of `develop.watch` is no pattern", bad.text);
            wrong(message, "write it as in `.dockerignore`: `*.log`, `**/target`")
        })
    };
    let included = patterns("include");
    Ok(Rule {
        service: name.clone(),
        ignore: parsed("ignore", &format!("{NEVER}{}", patterns("ignore")))?,
        include: if included.is_empty() { None } else { Some(parsed("include", &included)?) },
        target: text("target").filter(|_| action.copies()),
        initial: action.copies() && text("initial_sync").as_deref() == Some("true"),
        hook: hook(item.get("exec")),
        path,
        action,
        context,
    })
}

fn hook(node: Option<&Node>) -> Hook {
    let text = |key: &str| node.and_then(|node| node.get(key)).and_then(Node::as_text).map(str::to_owned);
    let list =
        |key: &str| node.and_then(|node| node.get(key)).and_then(Node::as_sequence).unwrap_or_default();
    let environment = node.and_then(|node| node.get("environment")).and_then(Node::as_mapping);
    Hook {
        command: list("command").iter().filter_map(Node::as_text).map(str::to_owned).collect(),
        user: text("user"),
        privileged: text("privileged").as_deref() == Some("true"),
        directory: text("working_dir"),
        environment: environment
            .into_iter()
            .flatten()
            .filter_map(|entry| Some((entry.key.clone(), Secret::new(entry.value.as_text()?))))
            .collect(),
    }
}

/// The folder that a service is built from, and what no build sees of it.
fn dockerignore(service: &Service) -> Result<Option<(PathBuf, Ignore)>, Problem> {
    let Some(build) = &service.build else { return Ok(None) };
    let context = PathBuf::from(&build.context);
    if !context.is_absolute() {
        return Ok(None);
    }
    let dockerfile = context.join(build.dockerfile.as_deref().unwrap_or("Dockerfile"));
    let ignore = crate::images::ignore_of(&context, &dockerfile).map_err(|error| error.problem())?;
    Ok(Some((context, ignore)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::project;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_rule_wants_what_is_neither_ignored_nor_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["src/a.ts", "src/a.log", "src/node_modules/x.ts", "src/secret/k.ts", "src/deep/b.ts"] {
            write(root, file, "");
        }
        write(root, ".dockerignore", "src/secret\n");
        let compose = "services: { web: { build: ., develop: { watch: [
            { path: src, action: sync, target: /app/, ignore: [node_modules/, '*.log'], include: '**/*.ts', initial_sync: true },
            { path: src/a.log, action: sync+exec, target: /log, exec: { command: 'echo a b', user: u, environment: { A: 1 } } },
            { path: ., action: rebuild, ignore: src } ] } } }";
        let rules = rules(&project(root, compose), &[]).unwrap();
        let wanted = |rule: &Rule| -> Vec<&str> {
            [
                "src/a.ts",
                "src/a.log",
                "src/node_modules/x.ts",
                "src/secret/k.ts",
                "src/deep/b.ts",
                "src/.a.swp",
                "src/a.ts~",
                ".git/HEAD",
                "other",
            ]
            .into_iter()
            .filter(|path| rule.wants(&root.join(path)))
            .collect()
        };
        assert_eq!(wanted(&rules[0]), ["src/a.ts", "src/deep/b.ts"]);
        assert_eq!(wanted(&rules[1]), ["src/a.log"]);
        assert_eq!(wanted(&rules[2]), ["other"]);
        assert_eq!(rules[0].in_container(&root.join("src/deep/b.ts")).as_deref(), Some("/app/deep/b.ts"));
        assert_eq!(rules[1].in_container(&root.join("src/a.log")).as_deref(), Some("/log"));
        assert_eq!((rules[0].initial, rules[2].initial), (true, false));
        let hook = &rules[1].hook;
        assert_eq!((hook.command.join("|"), hook.user.as_deref()), ("echo|a|b".to_owned(), Some("u")));
        assert_eq!(hook.environment["A"].expose(), "1");
        // Everything that is wanted, and nothing else, comes with the folder.
        let all = super::super::job::jobs(&rules[..1], &[root.join("src")].into());
        let copied: Vec<&String> = all["web"].copies.keys().collect();
        assert_eq!(copied, ["/app/a.ts", "/app/deep/b.ts"]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "src/a", "");
        let compose = "services:
  web: { image: i, develop: { watch: [{ path: gone, action: restart }, { path: src, action: rebuild }] } }
  api: { image: i, develop: { watch: [{ path: src, action: sync, target: /x, ignore: '[x' }] } }
  db: { image: i }";
        let project = project(folder.path(), compose);
        let failure = rules(&project, &[]).unwrap_err();
        let told: Vec<&str> = failure.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].contains("`[x` in `ignore`") && told[1].contains("gone`, which is not there"),
            "{told:?}"
        );
        assert!(told[2].contains("has no `build`"), "{told:?}");
        let nothing = rules(&project, &["db".to_owned()]).unwrap_err();
        assert_eq!(nothing.exit, ExitCode::NothingSelected);
    }
}
