//! `lint`: manifests of an environment, or anybody's, held to the rules; what can be made right without a decision is.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::exit::ExitCode;
use kernel_core::source::Sources;
use kernel_manifests::document::{Document, parse};
use kernel_manifests::lint::{self, Edit};

use crate::codes;
use crate::failure::{Failure, problem};
use crate::load::{self, LoadSettings};
use crate::manifests::{ENVIRONMENTS, HEADER, RENDERED, environments, has_errors};
use crate::workspace::Workspace;

/// How often it is looked again after something was fixed. Each fix takes a finding away, so few rounds are enough.
const ROUNDS: usize = 20;
/// How deep folders are looked into.
const DEEPEST: usize = 16;

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct LintSettings {
    /// Environments, files and folders; `-` is standard input. None means every environment.
    pub targets: Vec<String>,
    /// Make right what can be without a decision.
    pub fix: bool,
    /// Write nothing.
    pub dry_run: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Linted {
    /// How many objects there were.
    pub objects: usize,
    /// Everything that breaks a rule, by place.
    pub diagnostics: Vec<Diagnostic>,
    /// How many of these `--fix` would take away.
    pub fixable: usize,
    /// Files that were changed, and how often.
    pub fixed: Vec<(String, usize)>,
    /// The texts that diagnostics point into.
    pub sources: Sources,
}

impl Linted {
    /// Whether anything is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        has_errors(&self.diagnostics)
    }
}

/// A text and where it came from.
struct Text {
    name: String,
    path: Option<PathBuf>,
    text: String,
    fixes: usize,
}

/// Looks at manifests. Those of each environment are a set of their own; files and folders are one set together.
///
/// # Errors
/// When something can't be read or written; findings are no errors.
pub fn lint(load: &LoadSettings, settings: &LintSettings) -> Result<Linted, Failure> {
    let mut linted = Linted::default();
    for texts in sets(load, settings)? {
        set(texts, settings, &mut linted)?;
    }
    Ok(linted)
}

/// One set: looks, fixes, looks again.
fn set(mut texts: Vec<Text>, settings: &LintSettings, linted: &mut Linted) -> Result<(), Failure> {
    for _ in 0..if settings.fix { ROUNDS } else { 0 } {
        let mut sources = Sources::default();
        let (documents, broken) = read_all(&texts, &mut sources);
        if !broken.is_empty() {
            break;
        }
        let edits: Vec<Edit> = lint::lint(&documents).into_iter().flat_map(|finding| finding.fix).collect();
        let (changed, _) = lint::fixed(&edits, &sources);
        let mut any = false;
        for (name, new) in changed {
            // What is rendered is made anew from its sources; there the change belongs.
            let text = texts.iter_mut().find(|text| text.name == name && !text.text.starts_with(HEADER));
            if let Some(text) = text.filter(|text| text.text != new) {
                text.text = new;
                text.fixes += 1;
                any = true;
            }
        }
        if !any {
            break;
        }
    }
    for text in texts.iter().filter(|text| text.fixes > 0) {
        let Some(path) = &text.path else { continue };
        if !settings.dry_run {
            replace(path, &text.text).map_err(|error| Failure::unwritable(path, &error))?;
        }
        linted.fixed.push((text.name.clone(), text.fixes));
    }
    let (documents, mut diagnostics) = read_all(&texts, &mut linted.sources);
    let findings = lint::lint(&documents);
    linted.fixable += findings.iter().filter(|finding| !finding.fix.is_empty()).count();
    linted.objects += documents.len();
    diagnostics.extend(findings.into_iter().map(|finding| finding.diagnostic));
    linted.diagnostics.append(&mut diagnostics);
    Ok(())
}

fn read_all(texts: &[Text], sources: &mut Sources) -> (Vec<Document>, Vec<Diagnostic>) {
    let (mut documents, mut diagnostics) = (Vec::new(), Vec::new());
    for text in texts {
        let source = sources.add(text.name.clone(), text.text.as_str());
        documents.extend(parse(source, &text.text, &mut diagnostics));
    }
    (documents, diagnostics)
}

/// In one step, with the rights that the file had.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::metadata(&path)?.permissions())?;
    fs::rename(&new, &path)
}

fn sets(load: &LoadSettings, settings: &LintSettings) -> Result<Vec<Vec<Text>>, Failure> {
    let here = &load.working_directory;
    let (mut sets, mut together, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let workspace = load::workspace(load);
    let every;
    let targets = if settings.targets.is_empty() {
        every = match &workspace {
            Ok(workspace) => environments(workspace)?,
            Err(_) => return Err(nothing_named()),
        };
        &every
    } else {
        &settings.targets
    };
    for target in targets {
        let path = here.join(target);
        let environment = workspace.as_ref().ok().filter(|workspace| is_environment(workspace, target));
        if target == "-" {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::unreadable(Path::new("-"), &error))?;
            together.push(Text { name: "<stdin>".to_owned(), path: None, text, fixes: 0 });
        } else if let Some(workspace) = environment.filter(|_| !path.exists()) {
            let folder = workspace.root().join(RENDERED).join(target);
            sets.push(texts(&folder, |path| workspace.shown(path))?);
        } else if path.exists() {
            together.extend(texts(&path, |found| {
                found.strip_prefix(here).unwrap_or(found).display().to_string()
            })?);
        } else {
            let message = format!("`{target}` is neither an environment nor a file or folder");
            let help = format!("environments are files in `{ENVIRONMENTS}`");
            missing.push(problem(codes::UNREADABLE, message, help));
        }
    }
    if !missing.is_empty() {
        return Err(Failure::several(ExitCode::Usage, missing));
    }
    if !together.is_empty() {
        sets.push(together);
    }
    if sets.iter().all(Vec::is_empty) {
        let message = "there are no manifests in what was named";
        let help = "manifests are files that end with `.yaml`, `.yml` or `.json`";
        return Err(Failure::new(ExitCode::NothingSelected, problem(codes::NOTHING_SELECTED, message, help)));
    }
    Ok(sets)
}

fn nothing_named() -> Failure {
    let message = "nothing was named, and there is no workspace here whose environments could be meant";
    Failure::new(
        ExitCode::Usage,
        problem(codes::NO_WORKSPACE, message, "name a file or a folder: `kernel lint k8s/`"),
    )
}

fn is_environment(workspace: &Workspace, name: &str) -> bool {
    !name.contains('/') && workspace.root().join(ENVIRONMENTS).join(format!("{name}.yaml")).is_file()
}

/// The texts of a file, or of all manifests in a folder.
fn texts(path: &Path, shown: impl Fn(&Path) -> String) -> Result<Vec<Text>, Failure> {
    let mut paths = Vec::new();
    if path.is_dir() {
        walk(path, 0, &mut paths)?;
        paths.sort();
    } else {
        paths.push(path.to_owned());
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        Ok(Text { name: shown(&path), path: Some(path), text, fixes: 0 })
    };
    paths.into_iter().map(read).collect()
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(|error| Failure::unreadable(folder, &error))? {
        let entry = entry.map_err(|error| Failure::unreadable(folder, &error))?;
        let (path, kind) = (entry.path(), entry.file_type());
        let kind = kind.map_err(|error| Failure::unreadable(&path, &error))?;
        let manifest = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
        if kind.is_dir() && depth < DEEPEST {
            walk(&path, depth + 1, found)?;
        } else if kind.is_file() && manifest {
            found.push(path);
        }
    }
    Ok(())
}
