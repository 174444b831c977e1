//! From files to a checked project: finds the workspace, reads Compose and env files, gets generated values, loads.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use kernel_compose::{FileText, Files, LoadRequest, Project, generated_variables};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::secret::Secret;
use kernel_core::source::{SourceId, Sources};

use crate::codes;
use crate::failure::{Failure, problem};
use crate::workspace::Workspace;

/// Which project is meant.
#[derive(Clone, Debug, Default)]
pub struct LoadSettings {
    /// Where the command was started.
    pub working_directory: PathBuf,
    /// Compose files; empty means the workspace's own. `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Env files for interpolation; empty means `versions.env` of the workspace.
    pub env_files: Vec<PathBuf>,
    /// The project's name, when given.
    pub project_name: Option<String>,
    /// The folder that relative paths start from, when given.
    pub project_directory: Option<PathBuf>,
    /// The active profiles.
    pub profiles: Vec<String>,
    /// The environment of the command.
    pub environment: BTreeMap<String, String>,
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
#[derive(Debug)]
pub struct Platform {
    /// Where it stands.
    pub workspace: Workspace,
    /// Its name.
    pub name: ProjectName,
    /// What its files say.
    pub project: Project,
    /// All texts that were read.
    pub sources: Sources,
    /// What was found that is no error.
    pub warnings: Vec<Diagnostic>,
    /// The values that `kernel` made, by name.
    pub generated: BTreeMap<String, Secret>,
}

/// Loads the project. With `keep`, generated values are kept, but not before the files are known to be right.
///
/// # Errors
/// Every problem of the files at once.
pub fn load(settings: &LoadSettings, generated: &dyn Generated, keep: bool) -> Result<Platform, Failure> {
    let workspace = workspace(settings)?;
    let mut sources = Sources::default();
    let files = read_all(&settings.files, workspace.compose_file(), settings, &mut sources)?;
    let env_files = read_all(&settings.env_files, workspace.pins_file(), settings, &mut sources)?;
    let directory = project_directory(settings, &workspace)?;
    let names = generated_variables(&files, &sources);
    let given_name = given_name(settings);
    let mut load = |values: &BTreeMap<String, String>| {
        let request = LoadRequest {
            files: &files,
            env_files: &env_files,
            environment: &settings.environment,
            generated: values,
            profiles: &settings.profiles,
            project_name: given_name,
            project_directory: &directory,
            reader: &Disk,
        };
        let loaded = kernel_compose::load(&request, &mut sources);
        match loaded.project {
            Some(project) => Ok((project, loaded.diagnostics)),
            None => Err(loaded.diagnostics),
        }
    };

    // The values are kept below the project's name, which is in the files: so they are read once with values that
    // stand for the real ones. A file that is wrong is then told before anything is made.
    let stand_ins: BTreeMap<String, String> =
        names.iter().map(|name| (name.clone(), "not-made-yet".to_owned())).collect();
    let first = load(&stand_ins);
    let (project, warnings) = match first {
        Ok(loaded) => loaded,
        Err(diagnostics) => return Err(Failure::in_files(diagnostics, sources)),
    };
    let name = project_name(&project.name)?;
    if names.is_empty() {
        return Ok(Platform { workspace, name, project, sources, warnings, generated: BTreeMap::new() });
    }
    let generated = generated.values(&workspace, &name, &names, keep)?;
    let values = generated.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    match load(&values) {
        Ok((project, warnings)) => Ok(Platform { workspace, name, project, sources, warnings, generated }),
        Err(diagnostics) => Err(Failure::in_files(diagnostics, sources)),
    }
}

/// Loads the workspace's own Compose file as if it said `text`, with values that stand for the generated ones. Writes
/// nothing.
///
/// # Errors
/// Every problem at once.
pub fn load_text(settings: &LoadSettings, text: &str) -> Result<Project, Failure> {
    let workspace = workspace(settings)?;
    let mut sources = Sources::default();
    let files = [sources.add(workspace.shown(&workspace.compose_file()), text)];
    let env_files = read_all(&settings.env_files, workspace.pins_file(), settings, &mut sources)?;
    let directory = project_directory(settings, &workspace)?;
    let names = generated_variables(&files, &sources);
    let stand_ins = names.into_iter().map(|name| (name, "not-made-yet".to_owned())).collect();
    let request = LoadRequest {
        files: &files,
        env_files: &env_files,
        environment: &settings.environment,
        generated: &stand_ins,
        profiles: &settings.profiles,
        project_name: given_name(settings),
        project_directory: &directory,
        reader: &Disk,
    };
    let loaded = kernel_compose::load(&request, &mut sources);
    loaded.project.ok_or_else(|| Failure::in_files(loaded.diagnostics, sources))
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

fn project_directory(settings: &LoadSettings, workspace: &Workspace) -> Result<String, Failure> {
    let directory = match (&settings.project_directory, settings.files.first()) {
        (Some(directory), _) => settings.working_directory.join(directory),
        (None, Some(file)) if file.as_os_str() != "-" => {
            let file = settings.working_directory.join(file);
            file.parent().map_or_else(|| settings.working_directory.clone(), Path::to_path_buf)
        }
        (None, Some(_)) => settings.working_directory.clone(),
        (None, None) => {
            let file = workspace.compose_file();
            file.parent().map_or_else(|| workspace.root().to_owned(), Path::to_path_buf)
        }
    };
    let directory = directory.canonicalize().map_err(|error| Failure::unreadable(&directory, &error))?;
    Ok(directory.to_string_lossy().into_owned())
}

fn read_all(
    named: &[PathBuf],
    default: PathBuf,
    settings: &LoadSettings,
    sources: &mut Sources,
) -> Result<Vec<SourceId>, Failure> {
    if named.is_empty() {
        let text =
            std::fs::read_to_string(&default).map_err(|error| Failure::unreadable(&default, &error))?;
        let here = settings.working_directory.canonicalize().unwrap_or_default();
        let shown = default.strip_prefix(&here).unwrap_or(&default).display().to_string();
        return Ok(vec![sources.add(shown, text)]);
    }
    named.iter().map(|path| read(path, settings, sources)).collect()
}

fn read(path: &Path, settings: &LoadSettings, sources: &mut Sources) -> Result<SourceId, Failure> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::unreadable(path, &error))?;
        return Ok(sources.add("<stdin>", text));
    }
    let text = std::fs::read_to_string(settings.working_directory.join(path))
        .map_err(|error| Failure::unreadable(path, &error))?;
    Ok(sources.add(path.display().to_string(), text))
}

/// Files that Compose files name.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> FileText {
        match std::fs::read_to_string(path) {
            Ok(text) => FileText::Text(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => FileText::Missing,
            Err(error) => FileText::Unreadable(error.to_string()),
        }
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
