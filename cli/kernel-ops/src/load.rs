//! From files to a checked project: finds the Compose files and the workspace, reads them, gets generated values, loads.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use kernel_compose::discover::{self, Found, Options};
use kernel_compose::tree::Node;
use kernel_compose::{FileText, LoadOptions, LoadRequest, Project, Skip, generated_variables};
use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::secret::Secret;
use kernel_core::source::{SourceId, Sources};

use crate::codes;
use crate::failure::{Failure, problem};
use crate::sandbox;
use crate::workspace::Workspace;

/// Which project is meant.
#[derive(Clone, Debug, Default)]
pub struct LoadSettings {
    /// Where the command was started.
    pub working_directory: PathBuf,
    /// Compose files, as `--file` names them; empty means that they are looked for. `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Env files for interpolation, as `--env-file` names them; empty means the default.
    pub env_files: Vec<PathBuf>,
    /// The project's name, when given.
    pub project_name: Option<String>,
    /// The folder that relative paths start from, when given.
    pub project_directory: Option<PathBuf>,
    /// The active profiles, when given.
    pub profiles: Vec<String>,
    /// The environment of the command.
    pub environment: BTreeMap<String, String>,
    /// Only these services and what they depend on, with the profiles that they need; empty means all.
    pub services: Vec<String>,
    /// Networks, volumes, secrets and configs that no service uses stay.
    pub all_resources: bool,
    /// Names are those of docker-compose 1; `COMPOSE_COMPATIBILITY` says the same.
    pub compatibility: bool,
    /// What is left undone.
    pub skip: Skip,
}

/// Gives the variables that `kernel` makes once per project.
pub trait Generated: Send + Sync {
    /// A value for each name. With `keep` new ones are kept for the next command; without it nothing is written.
    ///
    /// # Errors
    /// When the place where they are kept can't be read or written.
    fn values(
        &self,
        workspace: &Workspace,
        project: &ProjectName,
        names: &[String],
        keep: bool,
    ) -> Result<BTreeMap<String, Secret>, Failure>;
}

/// A loaded project and where it came from.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Where it stands. A project outside of any workspace has its own folder for one.
    pub workspace: Workspace,
    /// Its name.
    pub name: ProjectName,
    /// What its files say.
    pub project: Project,
    /// Its Compose files: absolute paths, or `-`.
    pub files: Vec<String>,
    /// The env files that were named: absolute paths.
    pub env_files: Vec<String>,
    /// The environment that variables were looked up in. Values that `kernel` made are not in it.
    pub environment: BTreeMap<String, String>,
    /// All texts that were read.
    pub sources: Sources,
    /// What was found that is no error.
    pub warnings: Vec<Diagnostic>,
    /// The values that `kernel` made, by name.
    pub generated: BTreeMap<String, Secret>,
}

/// A project's files as they stand: merged, and nothing filled in.
#[derive(Debug)]
pub struct Templates {
    /// What they say.
    pub tree: Node,
    /// All texts that were read.
    pub sources: Sources,
    /// What was found that is no error.
    pub warnings: Vec<Diagnostic>,
}

/// Loads the project. With `keep`, generated values are kept, but not before the files are known to be right.
///
/// # Errors
/// Every problem of the files at once.
pub fn load(settings: &LoadSettings, generated: &dyn Generated, keep: bool) -> Result<Platform, Failure> {
    let mut files = Files::find(settings)?;
    let names = generated_variables(&files.texts, &files.sources);
    // The values are kept below the project's name, which is in the files: so they are read once with values that
    // stand for the real ones. A file that is wrong is then told before anything is made.
    let stand_ins = names.iter().map(|name| (name.clone(), "not-made-yet".to_owned())).collect();
    let mut loaded = files.load(settings, &stand_ins)?;
    let name = project_name(&loaded.0.name)?;
    let mut made = BTreeMap::new();
    if !names.is_empty() {
        made = generated.values(&files.workspace, &name, &names, keep)?;
        let values = made.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        loaded = files.load(settings, &values)?;
    }
    let (mut project, environment, warnings) = loaded;
    sandbox::adjust(&files.workspace, &name, &mut project)?;
    let Files { workspace, found, sources, .. } = files;
    let Found { files, env_files, .. } = found;
    Ok(Platform {
        workspace,
        name,
        project,
        files,
        env_files,
        environment,
        sources,
        warnings,
        generated: made,
    })
}

/// Merges the project's files without filling in variables.
///
/// # Errors
/// Every problem of the files at once.
pub fn templates(settings: &LoadSettings) -> Result<Templates, Failure> {
    let mut files = Files::find(settings)?;
    let none = BTreeMap::new();
    let request = request(&files.found, &files.texts, &none);
    let (tree, mut diagnostics) = kernel_compose::templates(&request, settings.skip, &mut files.sources);
    diagnostics.splice(0..0, files.found.diagnostics);
    match tree {
        Some(tree) => Ok(Templates { tree, sources: files.sources, warnings: diagnostics }),
        None => Err(Failure::in_files(diagnostics, files.sources)),
    }
}

/// Loads the workspace's own Compose file as if it said `text`, with values that stand for the generated ones. Writes
/// nothing.
///
/// # Errors
/// Every problem at once.
pub fn load_text(settings: &LoadSettings, text: &str) -> Result<Project, Failure> {
    let mut files = Files::find(settings)?;
    let shown = files.workspace.shown(&files.workspace.compose_file());
    files.texts = vec![files.sources.add(shown, text)];
    let names = generated_variables(&files.texts, &files.sources);
    let stand_ins = names.into_iter().map(|name| (name, "not-made-yet".to_owned())).collect();
    Ok(files.load(settings, &stand_ins)?.0)
}

/// The files of a project, found and read.
struct Files {
    workspace: Workspace,
    found: Found,
    texts: Vec<SourceId>,
    sources: Sources,
}

/// A project, the environment that it was read with, and what people should know of it.
type Understood = (Project, BTreeMap<String, String>, Vec<Diagnostic>);

impl Files {
    /// Finds them as docker compose does, and the platform's own in a workspace of it.
    fn find(settings: &LoadSettings) -> Result<Self, Failure> {
        let mut sources = Sources::default();
        let (workspace, found) = find(settings, &mut sources);
        let wrong = found.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        if wrong {
            return Err(Failure::in_files(found.diagnostics, sources));
        }
        let texts =
            found.files.iter().map(|file| read(file, settings, &mut sources)).collect::<Result<_, _>>()?;
        Ok(Self { workspace, found, texts, sources })
    }

    fn load(
        &mut self,
        settings: &LoadSettings,
        generated: &BTreeMap<String, String>,
    ) -> Result<Understood, Failure> {
        let request = request(&self.found, &self.texts, generated);
        let options = LoadOptions {
            services: &settings.services,
            all_resources: settings.all_resources,
            compatibility: settings.compatibility
                || says_yes(self.found.environment.get("COMPOSE_COMPATIBILITY")),
            skip: settings.skip,
        };
        let loaded = kernel_compose::load_with(&request, &options, &mut self.sources);
        let diagnostics = self.found.diagnostics.iter().cloned().chain(loaded.diagnostics).collect();
        match loaded.project {
            Some(project) => Ok((project, loaded.environment, diagnostics)),
            None => Err(Failure::in_files(diagnostics, self.sources.clone())),
        }
    }
}

/// Where the project stands, and which its files are.
fn find(settings: &LoadSettings, sources: &mut Sources) -> (Workspace, Found) {
    let around = workspace(settings);
    let platform = around.as_ref().ok().filter(|workspace| workspace.compose_file().is_file());
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let options = Options {
        working_directory: text(&settings.working_directory),
        files: settings.files.iter().map(text).collect(),
        env_files: settings.env_files.iter().map(text).collect(),
        project_directory: settings.project_directory.as_ref().map(text),
        project_name: settings.project_name.clone(),
        profiles: settings.profiles.clone(),
        environment: settings.environment.clone(),
        platform: platform.map(|workspace| discover::Platform {
            root: text(&workspace.root().to_owned()),
            file: text(&workspace.compose_file()),
            env_file: text(&workspace.pins_file()),
        }),
    };
    let found = discover::discover(&options, &Disk, sources);
    let workspace = around.unwrap_or_else(|_| Workspace::of_project(Path::new(&found.project_directory)));
    (workspace, found)
}

/// Where the project stands, whether its files are right or not: the workspace around it, else its own folder.
#[must_use]
pub fn place(settings: &LoadSettings) -> Workspace {
    find(settings, &mut Sources::default()).0
}

fn request<'a>(
    found: &'a Found,
    texts: &'a [SourceId],
    generated: &'a BTreeMap<String, String>,
) -> LoadRequest<'a> {
    LoadRequest {
        files: texts,
        env_files: &found.env_sources,
        environment: &found.environment,
        generated,
        profiles: &found.profiles,
        project_name: found.project_name.as_deref(),
        project_directory: &found.project_directory,
        reader: &Disk,
    }
}

/// Whether a variable of docker compose says yes.
fn says_yes(value: Option<&String>) -> bool {
    let value = value.map(|value| value.trim().to_ascii_lowercase()).unwrap_or_default();
    ["1", "t", "true", "y", "yes"].contains(&value.as_str())
}

/// The variables of docker compose itself, which may also stand in the project's env files.
#[must_use]
pub fn compose_variables(settings: &LoadSettings) -> BTreeMap<String, String> {
    let mut variables = find(settings, &mut Sources::default()).1.environment;
    variables.retain(|name, _| name.starts_with("COMPOSE_"));
    variables
}

/// The workspace that the settings mean.
///
/// # Errors
/// When there is none.
pub fn workspace(settings: &LoadSettings) -> Result<Workspace, Failure> {
    let start = settings.project_directory.as_ref().map_or_else(
        || settings.working_directory.clone(),
        |directory| settings.working_directory.join(directory),
    );
    Workspace::find(&start)
}

/// The name that was given beside the files: by flag, or as Compose has it.
#[must_use]
pub fn given_name(settings: &LoadSettings) -> Option<&str> {
    let compose = settings.environment.get("COMPOSE_PROJECT_NAME").map(String::as_str);
    settings.project_name.as_deref().or(compose).filter(|name| !name.is_empty())
}

/// A text as a project's name.
///
/// # Errors
/// When it can't be one.
pub fn project_name(text: &str) -> Result<ProjectName, Failure> {
    ProjectName::new(text).map_err(|error| {
        let help = "give another one with `--project-name`";
        Failure::new(ExitCode::Usage, problem(codes::PROJECT_NAME, error.to_string(), help))
    })
}

/// Reads a Compose file. It is shown by its path from where the command was started.
fn read(file: &str, settings: &LoadSettings, sources: &mut Sources) -> Result<SourceId, Failure> {
    let path = Path::new(file);
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::unreadable(path, &error))?;
        return Ok(sources.add("<stdin>", text));
    }
    let here = &settings.working_directory;
    let resolved = here.canonicalize().unwrap_or_default();
    let shown = path.strip_prefix(here).or_else(|_| path.strip_prefix(resolved)).unwrap_or(path);
    let text = std::fs::read_to_string(path).map_err(|error| Failure::unreadable(shown, &error))?;
    Ok(sources.add(shown.display().to_string(), text))
}

/// Files that Compose files name.
struct Disk;

impl kernel_compose::Files for Disk {
    fn read(&self, path: &str) -> FileText {
        match std::fs::read_to_string(path) {
            Ok(text) => FileText::Text(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => FileText::Missing,
            Err(error) => FileText::Unreadable(error.to_string()),
        }
    }

    fn is_directory(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }

    fn follow(&self, path: &str) -> Option<String> {
        std::fs::canonicalize(path).ok()?.to_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const COMPOSE: &str = "name: shop\nx-kernel: { generate: [TOKEN] }\nservices:\n  web:\n    image: web:${VERSION}\n    environment: { TOKEN: \"${TOKEN}\" }\n";

    /// Remembers whether it was asked to keep something.
    #[derive(Default)]
    struct Fake(Mutex<Vec<(String, bool)>>);

    impl Generated for Fake {
        fn values(
            &self,
            _workspace: &Workspace,
            project: &ProjectName,
            names: &[String],
            keep: bool,
        ) -> Result<BTreeMap<String, Secret>, Failure> {
            self.0.lock().unwrap().push((project.to_string(), keep));
            Ok(names.iter().map(|name| (name.clone(), Secret::new("s3cret"))).collect())
        }
    }

    fn workspace_with(compose: &str) -> (tempfile::TempDir, LoadSettings) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docker")).unwrap();
        std::fs::write(folder.path().join("versions.env"), "VERSION=7\n").unwrap();
        std::fs::write(folder.path().join("docker/docker-compose.yml"), compose).unwrap();
        let settings =
            LoadSettings { working_directory: folder.path().to_owned(), ..LoadSettings::default() };
        (folder, settings)
    }

    #[test]
    fn pins_and_generated_values_reach_the_project() {
        let (_folder, settings) = workspace_with(COMPOSE);
        let fake = Fake::default();
        let platform = load(&settings, &fake, true).unwrap();
        assert_eq!(platform.name.as_str(), "shop");
        let web = &platform.project.services["web"];
        assert_eq!(web.image.as_deref(), Some("web:7"));
        assert_eq!(web.environment[0].value.expose(), "s3cret");
        assert!(!format!("{:?}", web.environment).contains("s3cret"));
        assert_eq!(*fake.0.lock().unwrap(), [("shop".to_owned(), true)]);
    }

    #[test]
    fn nothing_is_made_for_files_that_are_wrong() {
        let (_folder, settings) =
            workspace_with("x-kernel: { generate: [TOKEN] }\nservices: { web: { ports: [x] } }\n");
        let fake = Fake::default();
        let failure = load(&settings, &fake, true).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Usage);
        assert!(!failure.diagnostics.is_empty());
        let place =
            failure.diagnostics[0].labels.first().and_then(|label| failure.sources.locate(label.span));
        assert!(place.is_some_and(|place| place.starts_with("docker/docker-compose.yml:")), "{failure:?}");
        assert!(fake.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_given_name_wins() {
        let (_folder, mut settings) = workspace_with(COMPOSE);
        settings.project_name = Some("acme".to_owned());
        assert_eq!(load(&settings, &Fake::default(), false).unwrap().name.as_str(), "acme");
    }

    #[test]
    fn a_missing_file_is_named() {
        let (_folder, mut settings) = workspace_with(COMPOSE);
        settings.files = vec!["missing.yml".into()];
        let failure = load(&settings, &Fake::default(), false).unwrap_err();
        assert!(failure.problems[0].message.contains("missing.yml"), "{failure:?}");
    }
}
