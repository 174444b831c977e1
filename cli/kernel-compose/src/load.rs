//! The pipeline, stage after stage.

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::source::{SourceId, Sources, Span};

use crate::codes;
use crate::complete::Stage;
use crate::environment::Environment;
use crate::interpolate::Told;
use crate::normalise::{self, Base, Steps};
use crate::project::{self, Project};
use crate::request::{Files, LoadOptions, LoadRequest, Loaded, Skip};
use crate::template::{self, Mention};
use crate::tree::{Mapping, Node, Value};
use crate::{combine, complete, container_environment, name, overrides, parse, select, validate};

/// Loads a project: every problem of every stage at once, each with its place. Files that a Compose file names are
/// added to `sources`, so that diagnostics can point into them.
#[must_use]
pub fn load(request: &LoadRequest<'_>, sources: &mut Sources) -> Loaded {
    load_with(request, &LoadOptions::default(), sources)
}

/// The same with options.
#[must_use]
pub fn load_with(request: &LoadRequest<'_>, options: &LoadOptions<'_>, sources: &mut Sources) -> Loaded {
    let mut diagnostics = Vec::new();
    let mut environment = environment(request, sources, &mut diagnostics);
    let mut named_at = BTreeMap::new();
    let project = run(request, options, &mut environment, &mut named_at, sources, &mut diagnostics);
    combine::tell_chains(&named_at, &mut diagnostics);
    overrides::tell(request.files, sources, &mut diagnostics);
    finish(project, &environment, diagnostics)
}

/// Every variable that a tree of templates uses, by name.
#[must_use]
pub fn variables(templates: &Node) -> BTreeMap<String, Mention> {
    fn walk(node: &Node, found: &mut Vec<Mention>) {
        match &node.value {
            Value::Null => {}
            Value::Scalar(scalar) => template::mentions(scalar.text(), found),
            Value::Sequence(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Mapping(mapping) => mapping.iter().for_each(|entry| walk(&entry.value, found)),
        }
    }
    let mut found = Vec::new();
    walk(templates, &mut found);
    found.into_iter().map(|mention| (mention.name.clone(), mention)).collect()
}

/// Merges the files of a project without filling in variables and without checking what only they can make right:
/// what `config --no-interpolate` prints.
#[must_use]
pub fn templates(
    request: &LoadRequest<'_>,
    skip: Skip,
    sources: &mut Sources,
) -> (Option<Node>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let documents = documents(request.files, sources, &mut diagnostics);
    let environment = environment(request, sources, &mut diagnostics);
    let directory = request.project_directory;
    let name = name::find(request.project_name, &documents, directory, &environment, &mut diagnostics);
    let base = base(request);
    let mut told = Told::default();
    let mut named_at = BTreeMap::new();
    let mut combiner = combine::Combiner {
        environment: &environment,
        templates: true,
        relative: skip.paths,
        reader: request.reader,
        sources,
        told: &mut told,
        diagnostics: &mut diagnostics,
        named_at: &mut named_at,
        including: Vec::new(),
    };
    let combined = combiner.documents(documents, base);
    let tree = combined.map(|combined| {
        let steps = if skip.paths { Steps::Check } else { Steps::Paths };
        let mut tree = normalise::templates(combined.tree, base, steps, sources, &mut diagnostics);
        complete::complete(&mut tree, &name, directory, &environment, skip, Stage::Templates);
        let mut found = Vec::new();
        validate::model(&tree, &mut found);
        diagnostics.extend(found.into_iter().filter(|problem| !normalise::is_template(problem, sources)));
        tree
    });
    combine::tell_chains(&named_at, &mut diagnostics);
    overrides::tell(request.files, sources, &mut diagnostics);
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| label.span));
    diagnostics.dedup();
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (tree.filter(|_| !failed), diagnostics)
}

/// The variables that the top-level `x-kernel.generate` of the given files lists, in order, each once. The caller makes
/// a value for each that has none and hands them to [`load`].
#[must_use]
pub fn generated_variables(files: &[SourceId], sources: &Sources) -> Vec<String> {
    // Most projects have none, which shows without reading them.
    let named = |file: &SourceId| sources.get(*file).is_some_and(|source| source.text.contains("x-kernel"));
    if !files.iter().any(named) {
        return Vec::new();
    }
    let mut ignored = Vec::new();
    generated(&documents(files, sources, &mut ignored))
}

fn finish(project: Option<Project>, environment: &Environment, mut diagnostics: Vec<Diagnostic>) -> Loaded {
    // By place, so that a reader goes through each file once.
    diagnostics.sort_by_key(|diagnostic| diagnostic.labels.first().map(|label| label.span));
    diagnostics.dedup();
    // An alias that names nothing is not also nothing where something is wanted.
    let aliases: BTreeSet<_> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.code == codes::ALIAS)
        .filter_map(|diagnostic| diagnostic.labels.first().map(|label| label.span))
        .collect();
    diagnostics.retain(|diagnostic| {
        diagnostic.code != codes::WRONG_SHAPE
            || diagnostic.labels.first().is_none_or(|label| !aliases.contains(&label.span))
    });
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let shown = environment.iter().filter(|(name, _)| !environment.is_secret(name));
    let environment = shown.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Loaded { project: project.filter(|_| !failed), environment, diagnostics }
}

fn environment(
    request: &LoadRequest<'_>,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Environment {
    Environment::new(request.environment, request.env_files, request.generated, sources, diagnostics)
}

fn base<'a>(request: &LoadRequest<'a>) -> Base<'a> {
    Base {
        directory: request.project_directory,
        home: request.environment.get("HOME").map(String::as_str).filter(|home| !home.is_empty()),
    }
}

fn run(
    request: &LoadRequest<'_>,
    options: &LoadOptions<'_>,
    environment: &mut Environment,
    named_at: &mut BTreeMap<SourceId, Span>,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Project> {
    let documents = documents(request.files, sources, diagnostics);
    environment.hide(generated(&documents));
    let directory = request.project_directory;
    let name = name::find(request.project_name, &documents, directory, environment, diagnostics);
    environment.set("COMPOSE_PROJECT_NAME", &name);
    let environment = &*environment;

    let mut told = Told::default();
    let base = base(request);
    let mut combiner = combine::Combiner {
        environment,
        templates: false,
        relative: options.skip.paths,
        reader: request.reader,
        sources,
        told: &mut told,
        diagnostics,
        named_at,
        including: Vec::new(),
    };
    let combine::Combined { tree, declared } = combiner.documents(documents, base)?;
    let wrong = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    if !wrong && tree.as_mapping().is_none_or(Mapping::is_empty) {
        diagnostics.push(empty("the project is empty"));
    }

    let skip = options.skip;
    let steps = if skip.paths { Steps::Units } else { Steps::All };
    let mut model = normalise::file(tree, base, steps, diagnostics);
    validate::model(&model, diagnostics);
    complete::complete(&mut model, &name, directory, environment, skip, Stage::Values);
    if !skip.paths {
        follow_links(&mut model, request.reader);
    }
    let mut profiles = request.profiles.to_vec();
    let mut hidden = select::profiles(&mut model, &profiles, diagnostics);
    let mut containers = container_environment::Stage {
        environment,
        reader: request.reader,
        directory,
        sources,
        env_files_unread: skip.env_files,
        done: BTreeSet::new(),
        diagnostics,
    };
    containers.resolve(&mut model);
    let done = containers.done;
    let decode = |model: Node, hidden: &BTreeMap<String, Node>| {
        let separator = if options.compatibility { "_" } else { "-" };
        Project { separator, ..project::decode(model, &name, directory, hidden, environment) }
    };
    if options.services.is_empty() {
        if !options.all_resources {
            select::used_resources(&mut model);
        }
        let project = decode(model, &hidden);
        if !skip.consistency {
            validate::project(&project, &declared, diagnostics);
        }
        return Some(project);
    }
    // What is asked for is judged together with everything that the active profiles show.
    if !skip.consistency {
        validate::project(&decode(model.clone(), &hidden), &declared, diagnostics);
    }
    profiles.extend(select::profiles_of(&hidden, options.services));
    select::show(&mut model, &mut hidden, &profiles);
    let reader = request.reader;
    container_environment::Stage {
        environment,
        reader,
        directory,
        sources,
        env_files_unread: skip.env_files,
        done,
        diagnostics,
    }
    .resolve(&mut model);
    select::services(&mut model, &hidden, options.services, diagnostics);
    if !options.all_resources {
        select::used_resources(&mut model);
    }
    Some(decode(model, &hidden))
}

/// A path that is watched is the one that its links lead to.
fn follow_links(model: &mut Node, reader: &dyn Files) {
    let Value::Mapping(top) = &mut model.value else { return };
    let Some(Node { value: Value::Mapping(services), .. }) = top.get_mut("services") else { return };
    for service in services.iter_mut() {
        let Value::Mapping(service) = &mut service.value.value else { continue };
        let Some(Node { value: Value::Mapping(develop), .. }) = service.get_mut("develop") else { continue };
        let Some(Node { value: Value::Sequence(watch), .. }) = develop.get_mut("watch") else { continue };
        for item in watch {
            if let Value::Mapping(item) = &mut item.value
                && let Some(path) = item.get_mut("path")
                && let Some(followed) = path.as_text().and_then(|text| reader.follow(text))
            {
                *path = Node::text(followed, path.span);
            }
        }
    }
}

/// Takes `version` out, which is told.
pub(crate) fn obsolete_version(tree: &mut Node, diagnostics: &mut Vec<Diagnostic>) {
    let Value::Mapping(top) = &mut tree.value else { return };
    if let Some(version) = top.remove("version") {
        diagnostics.push(
            Diagnostic::warning(codes::OBSOLETE, "`version` has no meaning any more")
                .at(version.span, "ignored")
                .help("remove the line"),
        );
    }
}

fn empty(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::EMPTY, message)
        .help("a Compose file has `services`: `services: { web: { image: nginx } }`")
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
            diagnostics.push(empty(format!("`{}` says nothing", source.name)));
        }
        for document in found {
            if matches!(document.value, Value::Mapping(_)) {
                documents.push(document);
            } else {
                let message = format!("a Compose file is a mapping, and this is {}", document.describe());
                diagnostics.push(empty(message).at(document.span, "not a mapping"));
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
