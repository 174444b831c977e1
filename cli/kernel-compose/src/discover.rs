//! Finds the files of a project the way docker compose does: by options, by variables, by their names.
//!
//! Pure like the rest: whether a file is there is asked of the caller's [`Files`].

use std::collections::BTreeMap;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Sources};

use crate::codes;
use crate::environment::Environment;
use crate::normalise::path;
use crate::request::{FileText, Files};

/// Names of a Compose file, the first that is there wins.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of the file that is merged over it.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was said on the command line, and around it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The absolute directory of the command.
    pub working_directory: String,
    /// `--file`, in order; `-` is standard input.
    pub files: Vec<String>,
    /// `--env-file`, in order.
    pub env_files: Vec<String>,
    /// `--project-directory`.
    pub project_directory: Option<String>,
    /// `--project-name`.
    pub project_name: Option<String>,
    /// `--profile`, in order.
    pub profiles: Vec<String>,
    /// The environment of the command.
    pub environment: BTreeMap<String, String>,
    /// The platform's workspace that the command stands in, with the defaults that it has instead of those of docker
    /// compose.
    pub platform: Option<Platform>,
}

/// A folder with defaults of its own. They hold where neither `--file` nor `COMPOSE_FILE` names a file and no other
/// Compose file is nearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The folder, absolute.
    pub root: String,
    /// The Compose file, absolute.
    pub file: String,
    /// The env file, absolute; used where neither `--env-file` nor `COMPOSE_ENV_FILES` names one.
    pub env_file: String,
}

/// The files of a project and what else a load needs to know.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Compose files as absolute paths, or `-`.
    pub files: Vec<String>,
    /// Env files for interpolation as absolute paths; later ones win over earlier ones.
    pub env_files: Vec<String>,
    /// The texts of the env files, in the same order.
    pub env_sources: Vec<SourceId>,
    /// The absolute directory that relative paths start from.
    pub project_directory: String,
    /// The name that was given beside the Compose files.
    pub project_name: Option<String>,
    /// The active profiles.
    pub profiles: Vec<String>,
    /// The environment, with what `COMPOSE_…` variables of env files add to it.
    pub environment: BTreeMap<String, String>,
    /// Whether these are the files of [`Options::platform`].
    pub is_platform: bool,
    /// What was found on the way.
    pub diagnostics: Vec<Diagnostic>,
}

/// Finds the files of a project. Env files are read, because they may say which those are.
#[must_use]
pub fn discover(options: &Options, reader: &dyn Files, sources: &mut Sources) -> Found {
    let mut stage = Stage {
        options,
        reader,
        sources,
        found: Found { environment: options.environment.clone(), ..Found::default() },
    };
    stage.run();
    stage.found
}

/// The nearest directory, from `directory` upwards, that has a Compose file.
#[must_use]
pub fn nearest(directory: &str, reader: &dyn Files) -> Option<String> {
    let mut directory = directory;
    loop {
        if NAMES.iter().any(|name| is_there(reader, &path::absolute(directory, name))) {
            return Some(directory.to_owned());
        }
        let parent = path::parent(directory);
        if parent == directory {
            return None;
        }
        directory = parent;
    }
}

fn is_below(directory: &str, root: &str) -> bool {
    let root = root.trim_end_matches('/');
    directory.strip_prefix(root).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}

fn is_there(reader: &dyn Files, path: &str) -> bool {
    !matches!(reader.read(path), FileText::Missing)
}

struct Stage<'a> {
    options: &'a Options,
    reader: &'a dyn Files,
    sources: &'a mut Sources,
    found: Found,
}

impl Stage<'_> {
    fn run(&mut self) {
        let here = self.here();
        self.found.environment.entry("PWD".to_owned()).or_insert_with(|| here.clone());
        if let Some(platform) = self.platform() {
            return self.run_platform(platform);
        }
        let given = self.options.files.clone();
        let directory = self.directory(&given);
        let mut env_files = self.env_files(&directory);
        let mut environment = self.read_env_files(&env_files);
        // Variables for the tool itself count wherever they stand.
        let own: Vec<(String, String)> = environment
            .iter()
            .filter(|(name, _)| name.starts_with("COMPOSE_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in own {
            self.found.environment.entry(name).or_insert(value);
        }
        // Among them may be that there is no env file.
        let again = self.env_files(&directory);
        if again != env_files {
            environment = self.read_env_files(&again);
            env_files = again;
        }
        self.found.files = self.compose_files(&given, &directory, &environment);
        self.found.project_directory = self.directory(&self.found.files.clone());
        let later = self.env_files(&self.found.project_directory.clone());
        if later != env_files {
            // The files named another directory, whose own env file comes below the former one.
            let mut sources = std::mem::take(&mut self.found.env_sources);
            let _ = self.read_env_files(&later);
            self.found.env_sources.append(&mut sources);
            self.found.env_files = later.into_iter().chain(env_files).collect();
            let all = self.found.env_sources.clone();
            let mut ignored = Vec::new();
            environment =
                Environment::new(&self.found.environment, &all, &BTreeMap::new(), self.sources, &mut ignored);
        } else {
            self.found.env_files = env_files;
        }
        self.profiles_and_name(&environment);
    }

    /// The directory of the command, without a slash at its end.
    fn here(&self) -> String {
        path::clean(&self.options.working_directory)
    }

    /// The platform, where its defaults hold.
    fn platform(&self) -> Option<Platform> {
        let platform = self.options.platform.clone()?;
        if self.options.environment.contains_key("COMPOSE_FILE") || !self.options.files.is_empty() {
            return None;
        }
        let own = path::parent(&platform.file);
        let nearer = nearest(&self.directory(&[]), self.reader)
            .filter(|directory| directory != own && is_below(directory, &platform.root));
        if nearer.is_some() { None } else { Some(platform) }
    }

    /// The defaults of the platform, under the options and variables that say otherwise.
    fn run_platform(&mut self, platform: Platform) {
        let named = self.named_env_files();
        let env_files = if named.is_empty() { vec![platform.env_file] } else { named };
        let environment = self.read_env_files(&env_files);
        self.found.project_directory = path::parent(&platform.file).to_owned();
        self.found.files = vec![platform.file];
        self.found.env_files = env_files;
        self.found.is_platform = true;
        self.profiles_and_name(&environment);
    }

    fn profiles_and_name(&mut self, environment: &Environment) {
        self.found.profiles = self.options.profiles.clone();
        if self.found.profiles.is_empty() {
            let listed = environment.get("COMPOSE_PROFILES").unwrap_or_default();
            self.found.profiles =
                listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        }
        let given = self.options.project_name.clone().filter(|name| !name.is_empty());
        self.found.project_name = given
            .or_else(|| environment.get("COMPOSE_PROJECT_NAME").map(str::to_owned))
            .filter(|name| !name.is_empty());
    }

    /// `--project-directory`, else the directory of the first file, else the one of the command.
    fn directory(&self, files: &[String]) -> String {
        let here = &self.here();
        if let Some(directory) = self.options.project_directory.as_deref().filter(|text| !text.is_empty()) {
            return path::absolute(here, directory);
        }
        let first = files.iter().find(|file| *file != "-");
        first.map_or_else(|| here.clone(), |file| path::parent(&path::absolute(here, file)).to_owned())
    }

    /// The env files that an option or a variable names.
    fn named_env_files(&self) -> Vec<String> {
        let here = &self.here();
        let listed = self.options.environment.get("COMPOSE_ENV_FILES").map_or("", String::as_str);
        let listed: Vec<String> =
            listed.split(',').filter(|file| !file.is_empty()).map(str::to_owned).collect();
        let named = if self.options.env_files.is_empty() { &listed } else { &self.options.env_files };
        named.iter().map(|file| path::absolute(here, file)).collect()
    }

    fn env_files(&mut self, directory: &str) -> Vec<String> {
        let named = self.named_env_files();
        if !named.is_empty() {
            return named;
        }
        let disabled = self.found.environment.get("COMPOSE_DISABLE_ENV_FILE").map(String::as_str);
        match disabled {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => return Vec::new(),
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => {}
            Some(other) => {
                let message = format!("COMPOSE_DISABLE_ENV_FILE is `{other}`, which says neither yes nor no");
                let problem =
                    Diagnostic::error(codes::BAD_VALUE, message).help("set it to `true` or `false`");
                if !self.found.diagnostics.contains(&problem) {
                    self.found.diagnostics.push(problem);
                }
            }
        }
        let default = path::absolute(directory, ".env");
        match self.reader.read(&default) {
            FileText::Text(_) => vec![default],
            FileText::Missing | FileText::Unreadable(_) => Vec::new(),
        }
    }

    fn read_env_files(&mut self, files: &[String]) -> Environment {
        self.found.env_sources.clear();
        for file in files {
            let reason = match self.reader.read(file) {
                FileText::Text(text) => {
                    self.found.env_sources.push(self.sources.add(file.as_str(), text));
                    continue;
                }
                FileText::Missing => "there is no such file".to_owned(),
                FileText::Unreadable(reason) => reason,
            };
            let message = format!("the env file `{file}` can't be read: {reason}");
            self.found.diagnostics.push(
                Diagnostic::error(codes::ENV_FILE_MISSING, message)
                    .help("name one that is there: `--env-file PATH`"),
            );
        }
        // What is wrong in them is told by the load.
        let mut ignored = Vec::new();
        let none = BTreeMap::new();
        Environment::new(&self.found.environment, &self.found.env_sources, &none, self.sources, &mut ignored)
    }

    fn compose_files(&mut self, given: &[String], directory: &str, environment: &Environment) -> Vec<String> {
        let here = self.here();
        let place = |file: &str| if file == "-" { file.to_owned() } else { path::absolute(&here, file) };
        if let Some(remote) = given.iter().find(|file| path::is_elsewhere(file)) {
            self.found.diagnostics.push(
                Diagnostic::error(
                    codes::NOT_IMPLEMENTED,
                    format!("taking `{remote}` from elsewhere is not implemented"),
                )
                .help("fetch it, and name it by its path"),
            );
            return Vec::new();
        }
        if !given.is_empty() {
            return given.iter().map(|file| place(file)).collect();
        }
        if let Some(files) = environment.get("COMPOSE_FILE") {
            let separator = environment.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
            return files.split(separator.unwrap_or(":")).map(place).collect();
        }
        let Some(directory) = nearest(directory, self.reader) else {
            self.found.diagnostics.push(
                Diagnostic::error(
                    codes::NO_FILE,
                    format!("there is no Compose file in `{directory}` or any folder above it"),
                )
                .help("write a `compose.yaml`, change into a project, or name one with `--file` or `--project-directory`"),
            );
            return Vec::new();
        };
        let mut files = self.first_of(&NAMES, &directory);
        files.extend(self.first_of(&OVERRIDES, &directory));
        files
    }

    fn first_of(&mut self, names: &[&str], directory: &str) -> Vec<String> {
        let all: Vec<String> = names
            .iter()
            .map(|name| path::absolute(directory, name))
            .filter(|file| is_there(self.reader, file))
            .collect();
        if all.len() > 1 {
            let list = all.iter().map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ");
            self.found.diagnostics.push(
                Diagnostic::warning(codes::DUPLICATE, format!("several files could be meant: {list}"))
                    .help(format!("`{}` is taken; name the one that you mean with `--file`", all[0])),
            );
        }
        all.into_iter().take(1).collect()
    }
}
