//! The name of a project.

use kernel_core::diagnostic::Diagnostic;

use crate::codes;
use crate::environment::Environment;
use crate::template;
use crate::tree::Node;

/// Finds the name: given by the caller, else `name:` of the last file that has one, else the directory's.
pub fn find(
    given: Option<&str>,
    documents: &[Node],
    directory: &str,
    environment: &Environment,
    diagnostics: &mut Vec<Diagnostic>,
) -> String {
    if let Some(name) = given {
        if !is_valid(name) {
            let message = format!("`{name}` can't be the name of a project");
            diagnostics.push(Diagnostic::error(codes::PROJECT_NAME, message).help(help(name)));
        }
        return name.to_owned();
    }
    let written = documents.iter().rev().find_map(|document| {
        // An empty one is none; one that becomes empty is a mistake.
        document.get("name").filter(|name| !name.is_null() && name.as_text() != Some(""))
    });
    let lookup = |name: &str| environment.get(name).map(str::to_owned);
    let from_file = written.and_then(Node::as_text).and_then(|text| template::fill(text, &lookup).ok());
    let source = from_file
        .map_or_else(|| directory.rsplit('/').next().unwrap_or_default().to_owned(), |filled| filled.text);
    let name = normalised(&source);
    if name.is_empty() {
        let message = format!("no name for the project can be made of `{source}`");
        let mut problem = Diagnostic::error(codes::PROJECT_NAME, message)
            .help("give it one: `name: …` at the top of the Compose file, or `--project-name`");
        if let Some(written) = written {
            problem = problem.at(written.span, "nothing is left of it");
        }
        diagnostics.push(problem);
    }
    name
}

fn help(name: &str) -> String {
    let rule = "a name has lower-case letters, digits, `_` and `-`, and starts with a letter or digit";
    match normalised(name) {
        near if near.is_empty() => rule.to_owned(),
        near => format!("{rule}: `{near}`"),
    }
}

fn is_valid(name: &str) -> bool {
    !name.is_empty() && normalised(name) == name
}

fn normalised(name: &str) -> String {
    let kept: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(*c))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}
