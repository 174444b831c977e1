//! The pipeline, stage after stage.

use std::collections::BTreeSet;

use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::source::{SourceId, Sources};

use crate::codes;
use crate::environment::Environment;
use crate::normalise::{self, Base};
use crate::request::{LoadRequest, Loaded};
use crate::tree::{Mapping, Node, Value};
use crate::{combine, complete, container_environment, name, parse, project, select, validate};

/// Loads a project: every problem of every stage at once, each with its place. Files that a Compose file names are
/// added to `sources`, so that diagnostics can point into them.
#[must_use]
pub fn load(request: &LoadRequest<'_>, sources: &mut Sources) -> Loaded {
    let mut diagnostics = Vec::new();
    let project = run(request, sources, &mut diagnostics);
    // By place, so that a reader goes through each file once.
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| label.span));
    diagnostics.dedup();
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Loaded { project: project.filter(|_| !failed), diagnostics }
}

/// The variables that the top-level `x-kernel.generate` of the given files lists, in order, each once. The caller makes
/// a value for each that has none and hands them to [`load`].
#[must_use]
pub fn generated_variables(files: &[SourceId], sources: &Sources) -> Vec<String> {
    let mut ignored = Vec::new();
    generated(&documents(files, sources, &mut ignored))
}

fn run(
    request: &LoadRequest<'_>,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<project::Project> {
    let mut environment =
        Environment::new(request.environment, request.env_files, request.generated, sources, diagnostics);
    let documents = documents(request.files, sources, diagnostics);
    environment.hide(generated(&documents));
    let directory = request.project_directory;
    let name = name::find(request.project_name, &documents, directory, &environment, diagnostics);
    environment.set("COMPOSE_PROJECT_NAME", &name);

    let mut told = BTreeSet::new();
    let home = request.environment.get("HOME").map(String::as_str);
    let base = Base { directory, home };
    let mut combiner = combine::Combiner {
        environment: &environment,
        reader: request.reader,
        home,
        sources,
        told: &mut told,
        diagnostics,
        including: Vec::new(),
    };
    let declared = combiner.documents(documents, base)?;

    let mut model = normalise::file(declared.clone(), base, diagnostics);
    complete::complete(&mut model, &name, directory, &environment, diagnostics);
    let hidden = select::profiles(&mut model, request.profiles, diagnostics);
    container_environment::resolve(&mut model, &environment, request.reader, sources, diagnostics);
    select::used_resources(&mut model);
    if declared.get("services").and_then(Node::as_mapping).is_none_or(Mapping::is_empty) {
        diagnostics.push(
            Diagnostic::error(codes::EMPTY, "the project has no services")
                .help("declare one: `services: { web: { image: nginx } }`"),
        );
    }
    let project = project::decode(model, &name, directory, hidden);
    validate::project(&project, &declared, diagnostics);
    Some(project)
}

/// All documents of all files, in order.
pub(crate) fn documents(
    files: &[SourceId],
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    let mut documents = Vec::new();
    for file in files {
        let Some(source) = sources.get(*file) else { continue };
        let before = diagnostics.len();
        let found = parse::parse(*file, &source.text, diagnostics);
        if found.is_empty() && diagnostics.len() == before {
            diagnostics.push(
                Diagnostic::error(codes::EMPTY, format!("`{}` says nothing", source.name))
                    .help("a Compose file has `services:`"),
            );
        }
        for document in found {
            if matches!(document.value, Value::Mapping(_)) {
                documents.push(document);
            } else if !document.is_null() {
                let message = format!("a Compose file is a mapping, and this is {}", document.describe());
                diagnostics.push(
                    Diagnostic::error(codes::EMPTY, message)
                        .at(document.span, "not a mapping")
                        .help("a Compose file has `services:`"),
                );
            }
        }
    }
    documents
}

fn generated(documents: &[Node]) -> Vec<String> {
    let mut names = Vec::new();
    for document in documents {
        for name in select::texts(document.get("x-kernel").and_then(|kernel| kernel.get("generate"))) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}
