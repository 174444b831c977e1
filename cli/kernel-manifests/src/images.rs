//! Images by digest: what a release consists of.

use std::collections::BTreeMap;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Span};
use serde_json::Value as Json;

use crate::codes;
use crate::placeholder;

/// Digests by the name of the service, or of the image for what is not built here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    by_name: BTreeMap<String, String>,
}

impl Digests {
    /// Reads digests: lines of `NAME=sha256:…`, or what `kernel images push -o json` prints.
    pub fn parse(source: SourceId, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut digests = Self::default();
        let mut wrong = |span, what: &str| {
            diagnostics.push(
                Diagnostic::error(codes::DIGEST, format!("the digests can't be read: {what}"))
                    .at(span, "here")
                    .help("write `NAME=sha256:` and 64 hexadecimal digits, or hand in the answer of `kernel images push -o json`"),
            );
        };
        if text.trim_start().starts_with('{') {
            let whole = Span { source, start: 0, end: text.lines().next().unwrap_or_default().len() };
            match serde_json::from_str::<Json>(text) {
                Ok(answer) if answer["schema"] == "kernel.images/v1" => {
                    for image in answer["images"].as_array().into_iter().flatten() {
                        let (name, digest) = (image["service"].as_str(), image["id"].as_str());
                        match (name, digest.filter(|digest| is_digest(digest))) {
                            (Some(name), Some(digest)) => digests.insert(name, digest),
                            (name, _) => {
                                wrong(whole, &format!("`{}` has no digest", name.unwrap_or("an image")))
                            }
                        }
                    }
                }
                Ok(_) => wrong(whole, "this is not the answer of `kernel images push -o json`"),
                Err(error) => wrong(whole, &error.to_string()),
            }
            return digests;
        }
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let at = start;
            start += line.len();
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            match trimmed.split_once('=').filter(|(_, digest)| is_digest(digest)) {
                Some((name, digest)) => digests.insert(name, digest),
                None => {
                    let start = at + line.len() - line.trim_start().len();
                    wrong(Span { source, start, end: start + trimmed.len() }, "not `NAME=sha256:…`");
                }
            }
        }
        digests
    }

    fn insert(&mut self, name: &str, digest: &str) {
        self.by_name.insert(name.to_owned(), digest.to_owned());
    }

    /// The digest of a service's image.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }
}

/// Whether a text is the digest of an image.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// The digest that stands where no release gave one.
#[must_use]
pub fn placeholder() -> String {
    format!("sha256:{}", placeholder::DIGEST)
}

/// The name of an image without its tag and digest.
#[must_use]
pub fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rfind(':') {
        Some(colon) if !image[colon..].contains('/') => &image[..colon],
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use kernel_core::source::Sources;

    use super::*;

    fn parse(text: &str) -> (Digests, Vec<String>) {
        let mut sources = Sources::default();
        let source = sources.add("digests", text);
        let mut told = Vec::new();
        let digests = Digests::parse(source, text, &mut told);
        let places = told.iter().filter_map(|problem| sources.locate(problem.labels.first()?.span)).collect();
        (digests, places)
    }

    #[test]
    fn both_forms_are_read_and_every_mistake_is_told() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        let (digests, told) = parse(&format!("# release\niam={digest}\n\n  money=sha256:12\nbilling\n"));
        assert_eq!(digests.get("iam"), Some(digest.as_str()));
        assert_eq!(told, ["digests:4:3", "digests:5:1"]);
        let answer =
            serde_json::json!({"schema": "kernel.images/v1", "images": [{"service": "iam", "id": digest}]});
        assert_eq!(parse(&answer.to_string()).0.get("iam"), Some(digest.as_str()));
        assert_eq!(parse("{\"schema\": \"other\"}").1, ["digests:1:1"]);
    }

    #[test]
    fn a_port_of_a_registry_is_no_tag() {
        assert_eq!(repository("localhost:5000/a/postgres:17@sha256:1"), "localhost:5000/a/postgres");
        assert_eq!(repository("localhost:5000/a"), "localhost:5000/a");
        assert_eq!(repository("postgres"), "postgres");
    }
}
