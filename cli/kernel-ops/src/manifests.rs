//! Kubernetes manifests of the platform: from its Compose files, the templates and an environment to texts, and these to
//! files or compared with what is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kernel_compose::project::MountKind;
use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::pins::Pins;
use kernel_core::secret::Secret;
use kernel_core::source::{SourceId, Sources};
use kernel_manifests::environment::Environment;
use kernel_manifests::images::Digests;
use kernel_manifests::lint::lint;
use kernel_manifests::{File, Inputs, codes, document};

use crate::failure::{Failure, problem};
use crate::load::{self, Generated, LoadSettings};
use crate::workspace::Workspace;

/// Where environments are told.
pub const ENVIRONMENTS: &str = "k8s/environments";
/// Where committed manifests are.
pub const RENDERED: &str = "k8s/rendered";
/// Where templates are.
const TEMPLATES: &str = "templates/k8s";
/// How a file begins that was written here.
pub const HEADER: &str = "# Written by `kernel manifests render`";

/// What is to be rendered.
#[derive(Clone, Debug, Default)]
pub struct RenderSettings {
    /// Environments by name; none means all.
    pub environments: Vec<String>,
    /// The file of the images' digests.
    pub digests: Option<PathBuf>,
    /// The file of the secrets' values: lines of `NAME=value`.
    pub secrets: Option<PathBuf>,
}

/// The manifests of one environment.
#[derive(Debug)]
pub struct Rendering {
    /// Its name.
    pub environment: String,
    /// Where it leads.
    pub target: Environment,
    /// Its files.
    pub files: Vec<File>,
}

impl Rendering {
    /// The name of one of its files, as it is or would be committed.
    #[must_use]
    pub fn shown(&self, file: &File) -> String {
        format!("{RENDERED}/{}/{}", self.environment, file.name)
    }
}

/// What was done about one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It says what it said.
    Unchanged,
    /// It was written.
    Written,
    /// Nothing gives it any more, and it was removed.
    Removed,
}

/// Renders environments. Reads files of the workspace only: neither the environment of the command nor a `.env` changes
/// what comes out.
///
/// # Errors
/// Everything that is wrong with the files at once.
pub fn render(workspace: &Workspace, settings: &RenderSettings) -> Result<Vec<Rendering>, Failure> {
    let platform = load::load(&hermetic(workspace), &References, false)?;
    let mut sources = platform.sources;
    let mut diagnostics = Vec::new();
    let pins_text = read(&workspace.pins_file())?;
    let pins_source = sources.add(workspace.shown(&workspace.pins_file()), pins_text.as_str());
    let (pins, problems) = Pins::parse(pins_source, &pins_text);
    diagnostics.extend(problems);
    let templates = templates(workspace, &mut sources)?;
    let digests = match &settings.digests {
        None => None,
        Some(path) => {
            let text = read(path)?;
            let source = sources.add(path.display().to_string(), text.as_str());
            Some(Digests::parse(source, &text, &mut diagnostics))
        }
    };
    let secrets = settings.secrets.as_deref().map(secrets).transpose()?;
    let names = match settings.environments.as_slice() {
        [] => environments(workspace)?,
        names => names.to_vec(),
    };
    let mut files = BTreeMap::new();
    for mount in platform.project.services.values().flat_map(|service| &service.volumes) {
        let Some(path) = mount.source.as_ref().filter(|_| mount.kind == MountKind::Bind) else { continue };
        // What is no text is told with its place, where it is needed.
        if let Ok(text) = fs::read_to_string(path) {
            files.insert(path.clone(), text);
        }
    }
    let secret_names: BTreeSet<String> = platform.generated.keys().cloned().collect();
    let mut renderings = Vec::new();
    for name in names {
        let (source, text) = environment_file(workspace, &name, &mut sources)?;
        let Some(target) = Environment::parse(source, &text, &mut diagnostics) else { continue };
        let inputs = Inputs {
            project: &platform.project,
            secret_names: &secret_names,
            environment: &target,
            pins: &pins,
            templates: &templates,
            files: &files,
            digests: digests.as_ref(),
            secrets: secrets.as_ref(),
        };
        match kernel_manifests::render(&inputs, &mut sources) {
            Ok(files) => renderings.push(Rendering { environment: name, target, files }),
            // A template that is wrong is so for every environment.
            Err(problems) => {
                for problem in problems {
                    if !diagnostics.contains(&problem) {
                        diagnostics.push(problem);
                    }
                }
            }
        }
    }
    if diagnostics.is_empty() { Ok(renderings) } else { Err(Failure::in_files(diagnostics, sources)) }
}

/// Where an environment leads.
///
/// # Errors
/// When there is none of that name, or its file is wrong.
pub fn environment(workspace: &Workspace, name: &str) -> Result<Environment, Failure> {
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    let (source, text) = environment_file(workspace, name, &mut sources)?;
    match Environment::parse(source, &text, &mut diagnostics) {
        Some(environment) if diagnostics.is_empty() => Ok(environment),
        _ => Err(Failure::in_files(diagnostics, sources)),
    }
}

/// The files of a release of one environment: rendered, and refused when they break a rule that is an error, as
/// `kernel lint` has it.
///
/// # Errors
/// Everything that is wrong with their sources, or with them.
pub fn release(workspace: &Workspace, settings: &RenderSettings) -> Result<Vec<Rendering>, Failure> {
    let renderings = render(workspace, settings)?;
    let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
    for rendering in &renderings {
        let mut documents = Vec::new();
        for file in &rendering.files {
            let source = sources.add(rendering.shown(file), file.text.as_str());
            documents.extend(document::parse(source, &file.text, &mut diagnostics));
        }
        let findings = lint(&documents).into_iter().map(|finding| finding.diagnostic);
        diagnostics.extend(findings.filter(|found| found.severity == Severity::Error));
    }
    if diagnostics.is_empty() { Ok(renderings) } else { Err(Failure::in_files(diagnostics, sources)) }
}

/// The environments that there are.
///
/// # Errors
/// When the folder can't be read.
pub fn environments(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let folder = workspace.root().join(ENVIRONMENTS);
    let mut names: Vec<String> = yaml_files(&folder)?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Writes renderings below a folder, each into one of its environment's name. Removes files that were written here before
/// and that nothing gives any more. Gives every file with what was done; with `dry_run` nothing is.
///
/// # Errors
/// When a file can't be written.
pub fn write(
    renderings: &[Rendering],
    folder: &Path,
    dry_run: bool,
) -> Result<Vec<(PathBuf, Change)>, Failure> {
    let mut done = Vec::new();
    for rendering in renderings {
        let folder = folder.join(&rendering.environment);
        if !dry_run {
            fs::create_dir_all(&folder).map_err(|error| Failure::unwritable(&folder, &error))?;
        }
        for file in &rendering.files {
            let path = folder.join(&file.name);
            let same = fs::read_to_string(&path).is_ok_and(|text| text == file.text);
            if !same && !dry_run {
                replace(&path, file).map_err(|error| Failure::unwritable(&path, &error))?;
            }
            done.push((path, if same { Change::Unchanged } else { Change::Written }));
        }
        for path in left_over(rendering, &folder)? {
            if !dry_run {
                fs::remove_file(&path).map_err(|error| Failure::unwritable(&path, &error))?;
            }
            done.push((path, Change::Removed));
        }
    }
    Ok(done)
}

/// Compares renderings with what is committed.
///
/// # Errors
/// Each file that is not what its sources give: exit code 3.
pub fn check(workspace: &Workspace, renderings: &[Rendering]) -> Result<(), Failure> {
    let done = write(renderings, &workspace.root().join(RENDERED), true)?;
    let stale: Vec<_> = done.into_iter().filter(|(_, change)| *change != Change::Unchanged).collect();
    if stale.is_empty() {
        return Ok(());
    }
    let problems = stale.into_iter().map(|(path, change)| {
        let shown = workspace.shown(&path);
        let message = match change {
            Change::Removed => format!("nothing gives `{shown}` any more"),
            _ if path.is_file() => format!("`{shown}` is not what its sources give"),
            _ => format!("`{shown}` is missing"),
        };
        problem(codes::STALE, message, "run `kernel manifests render` and read the difference")
    });
    Err(Failure::several(ExitCode::Changes, problems.collect()))
}

/// Files of ours in a folder that a rendering does not have.
fn left_over(rendering: &Rendering, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let ours = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.starts_with(HEADER));
    let given = |path: &PathBuf| {
        rendering.files.iter().any(|file| path.file_name().is_some_and(|name| name == file.name.as_str()))
    };
    Ok(yaml_files(folder)?.into_iter().filter(|path| !given(path) && ours(path)).collect())
}

/// Puts a file in place of another in one step. Who may read it is decided before anything is in it.
fn replace(path: &Path, file: &File) -> std::io::Result<()> {
    let new = path.with_extension("yaml.new");
    let mode = if file.is_secret { 0o600 } else { 0o644 };
    let mut written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
    // A file that an earlier command left has the mode that it had.
    written.set_permissions(fs::Permissions::from_mode(mode))?;
    written.write_all(file.text.as_bytes())?;
    drop(written);
    fs::rename(&new, path)
}

/// The platform's own files and nothing else.
fn hermetic(workspace: &Workspace) -> LoadSettings {
    LoadSettings {
        working_directory: workspace.root().to_owned(),
        files: vec![workspace.compose_file()],
        env_files: vec![workspace.pins_file()],
        ..LoadSettings::default()
    }
}

/// Instead of generated values, references to variables of those names, as Kubernetes writes them.
struct References;

impl Generated for References {
    fn values(
        &self,
        _workspace: &Workspace,
        _project: &ProjectName,
        names: &[String],
        _keep: bool,
    ) -> Result<BTreeMap<String, Secret>, Failure> {
        Ok(names.iter().map(|name| (name.clone(), Secret::new(format!("$({name})")))).collect())
    }
}

fn environment_file(
    workspace: &Workspace,
    name: &str,
    sources: &mut Sources,
) -> Result<(SourceId, String), Failure> {
    let known = environments(workspace)?;
    if !known.iter().any(|known| known == name) {
        let message = format!("there is no environment `{name}`");
        let help = format!("there are: {}; each is a file in `{ENVIRONMENTS}`", known.join(", "));
        return Err(Failure::new(ExitCode::Usage, problem(codes::UNKNOWN_ENVIRONMENT, message, help)));
    }
    let path = workspace.root().join(ENVIRONMENTS).join(format!("{name}.yaml"));
    let text = read(&path)?;
    Ok((sources.add(workspace.shown(&path), text.as_str()), text))
}

fn templates(workspace: &Workspace, sources: &mut Sources) -> Result<BTreeMap<String, SourceId>, Failure> {
    let folder = workspace.root().join(TEMPLATES);
    let mut templates = BTreeMap::new();
    for entry in fs::read_dir(&folder).map_err(|error| Failure::unreadable(&folder, &error))? {
        let path = entry.map_err(|error| Failure::unreadable(&folder, &error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".j2") {
            templates.insert(name, sources.add(workspace.shown(&path), read(&path)?));
        }
    }
    Ok(templates)
}

/// Values of secrets. What is wrong is told by its line and never shown.
fn secrets(path: &Path) -> Result<BTreeMap<String, Secret>, Failure> {
    let file = fs::File::open(path).map_err(|error| Failure::unreadable(path, &error))?;
    let mut secrets = BTreeMap::new();
    for (index, line) in dotenvy::from_read_iter(file).enumerate() {
        let (name, value) = line.map_err(|_| {
            let message = format!(
                "the secrets in `{}` can't be read: entry {} is not `NAME=value`",
                path.display(),
                index + 1
            );
            Failure::new(
                ExitCode::Usage,
                problem(codes::SECRET, message, "write one `NAME=value` a line; quote what has spaces"),
            )
        })?;
        secrets.insert(name, Secret::new(value));
    }
    Ok(secrets)
}

fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::unreadable(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::unreadable(folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::unreadable(path, &error))
}

/// Whether any of these is an error.
pub(crate) fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
