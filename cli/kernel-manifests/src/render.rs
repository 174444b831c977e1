//! Templates and values in, manifests out.

use std::collections::{BTreeMap, BTreeSet};

use kernel_compose::{Project, yaml};
use kernel_core::diagnostic::Diagnostic;
use kernel_core::pins::Pins;
use kernel_core::secret::Secret;
use kernel_core::source::{SourceId, Sources, Span};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment as Templates, UndefinedBehavior, Value, context};

use crate::calls::calls;
use crate::codes;
use crate::document::{self, to_json};
use crate::environment::Environment;
use crate::images::Digests;
use crate::workload::{Workload, is_rendered};

/// The template of what belongs to the namespace as a whole.
pub const NAMESPACE: &str = "namespace.yaml.j2";
/// The template of one workload.
pub const WORKLOAD: &str = "workload.yaml.j2";

/// Everything that a rendering is made of.
pub struct Inputs<'a> {
    /// The platform. Its generated variables have `$(NAME)` for a value, so that it holds no secret.
    pub project: &'a Project,
    /// The names of the generated variables: what a Secret holds.
    pub secret_names: &'a BTreeSet<String>,
    /// Where to.
    pub environment: &'a Environment,
    /// The pins that templates may use.
    pub pins: &'a Pins,
    /// The templates by their names, [`NAMESPACE`] and [`WORKLOAD`] among them.
    pub templates: &'a BTreeMap<String, SourceId>,
    /// Texts of the files that services mount, by absolute path.
    pub files: &'a BTreeMap<String, String>,
    /// The images of a release; without them placeholders are written.
    pub digests: Option<&'a Digests>,
    /// The values of secrets; without them placeholders are written.
    pub secrets: Option<&'a BTreeMap<String, Secret>>,
}

/// One file of a rendering.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, such as `iam.yaml`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Whether the values of secrets are in it.
    pub is_secret: bool,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("name", &self.name)
            .field("is_secret", &self.is_secret)
            .finish_non_exhaustive()
    }
}

/// The manifests of an environment, one file per workload and one for the namespace.
///
/// # Errors
/// Everything that is wrong, with places in `sources`, to which texts may be added.
pub fn render(inputs: &Inputs<'_>, sources: &mut Sources) -> Result<Vec<File>, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    unknown_services(inputs, &mut diagnostics);
    let calls = calls(inputs.project);
    let services = inputs.project.services.values();
    let workloads: Vec<Workload> = services
        .filter(|service| is_rendered(inputs.environment, &service.name))
        .map(|service| Workload::of(service, &calls, inputs, &mut diagnostics))
        .collect();
    let templates = templates(inputs, sources, &mut diagnostics);
    let mut files = Vec::new();
    let mut add = |name: &str, template: &str, workload: Value, is_secret: bool| {
        let environment = inputs.environment;
        let values = context! {
            environment => context! {
                namespace => environment.namespace.as_str(),
                ingress_namespace => environment.ingress_namespace.as_str(),
                quota => Value::from(Serde(&environment.quota)),
            },
            pins => Value::from_pairs(inputs.pins.iter().map(|pin| (pin.name.as_str(), pin.value.as_str()))),
            workload,
        };
        let text = templates.get_template(template).and_then(|template| template.render(values));
        match text {
            Ok(text) => {
                if let Some(text) = canonical(name, template, &text, sources, &mut diagnostics) {
                    files.push(File { name: name.to_owned(), text, is_secret });
                }
            }
            Err(error) => tell(&error, inputs, &mut diagnostics),
        }
    };
    add("namespace.yaml", NAMESPACE, Value::UNDEFINED, false);
    for workload in &workloads {
        let name = format!("{}.yaml", workload.service);
        let is_secret = workload.secret.as_ref().is_some_and(|secret| !secret.placeholder);
        add(&name, WORKLOAD, Value::from(Serde(workload)), is_secret);
    }
    if diagnostics.is_empty() { Ok(files) } else { Err(diagnostics) }
}

/// Services that the environment names and the platform does not have.
fn unknown_services(inputs: &Inputs<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for (name, span) in &inputs.environment.mentions {
        if !inputs.project.services.contains_key(name) {
            diagnostics.push(
                Diagnostic::error(codes::ENVIRONMENT, format!("there is no service `{name}`"))
                    .at(*span, "not in the Compose project")
                    .help("`kernel config --services` names those that are there"),
            );
        }
    }
}

fn templates<'a>(inputs: &Inputs<'_>, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Templates<'a> {
    let mut templates = Templates::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_auto_escape_callback(|_| AutoEscape::None);
    // A line with a block alone leaves nothing behind. These two settings contradict nothing.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        templates.set_syntax(syntax);
    }
    templates.set_debug(true);
    // JSON is YAML: whatever a text says, it stays one text.
    templates.add_filter("json", |value: Value| {
        serde_json::to_string(&value)
            .map_err(|error| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string()))
    });
    for (name, source) in inputs.templates {
        let text = sources.get(*source).map(|source| source.text.to_string()).unwrap_or_default();
        if let Err(error) = templates.add_template_owned(name.clone(), text) {
            tell(&error, inputs, diagnostics);
        }
    }
    templates
}

/// Tells what is wrong with a template, at its place, once for all workloads.
fn tell(error: &minijinja::Error, inputs: &Inputs<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    let help = match error.kind() {
        minijinja::ErrorKind::UndefinedError => "`docs/manifests.md` lists the names that templates know",
        _ => "correct the template; nothing was written",
    };
    let mut problem =
        Diagnostic::error(codes::TEMPLATE, format!("a template can't be rendered: {what}")).help(help);
    let source = error.name().and_then(|name| inputs.templates.get(name));
    if let (Some(source), Some(range)) = (source, error.range()) {
        problem = problem.at(Span { source: *source, start: range.start, end: range.end }, "here");
    }
    if !diagnostics.contains(&problem) {
        diagnostics.push(problem);
    }
}

/// The text in one form, whatever spaces and comments the template left. What is no manifest is told with the place in
/// what was rendered.
fn canonical(
    name: &str,
    template: &str,
    text: &str,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let source = sources.add(format!("{name} (rendered from {template})"), text);
    let mut problems = Vec::new();
    let documents = document::parse(source, text, &mut problems);
    for document in &documents {
        if [document.api_version(), document.kind(), document.name()].contains(&"") {
            problems.push(
                Diagnostic::error(codes::NOT_A_MANIFEST, "what was rendered is no object of Kubernetes")
                    .at(document.node.span, "needs `apiVersion`, `kind` and `metadata.name`")
                    .help(format!("correct `templates/k8s/{template}`")),
            );
        }
    }
    let broken = !problems.is_empty();
    diagnostics
        .extend(problems.into_iter().map(|problem| Diagnostic { code: codes::NOT_A_MANIFEST, ..problem }));
    (!broken).then(|| {
        let documents = documents.iter().map(|document| yaml::write(&to_json(&document.node)));
        let documents: Vec<String> = documents.collect();
        format!(
            "# Written by `kernel manifests render`; change the sources, not this file.\n{}",
            documents.join("---\n")
        )
    })
}
