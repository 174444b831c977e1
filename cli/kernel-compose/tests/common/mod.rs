//! Text in, text out: one function behind which the loader may change.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use kernel_compose::{LoadRequest, Loaded, load, render};
use kernel_core::diagnostic::{Diagnostic, Severity};
use kernel_core::source::Sources;

/// One load to be: files and what surrounds them.
#[derive(Default)]
pub struct Case {
    files: Vec<(String, String)>,
    env_files: Vec<String>,
    environment: BTreeMap<String, String>,
    generated: BTreeMap<String, String>,
    profiles: Vec<String>,
    readable: BTreeMap<String, String>,
    name: Option<String>,
}

/// A case with one file, `compose.yml` in `/proj/app`.
pub fn compose(text: &str) -> Case {
    Case::default().file("compose.yml", text)
}

impl Case {
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }
    pub fn over(self, text: &str) -> Self {
        self.file("over.yml", text)
    }
    pub fn env_file(mut self, text: &str) -> Self {
        self.env_files.push(text.into());
        self
    }
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }
    pub fn generated(mut self, name: &str, value: &str) -> Self {
        self.generated.insert(name.into(), value.into());
        self
    }
    pub fn without_generated(mut self) -> Self {
        self.generated.clear();
        self
    }
    pub fn profile(mut self, name: &str) -> Self {
        self.profiles.push(name.into());
        self
    }
    pub fn readable(mut self, path: &str, text: &str) -> Self {
        self.readable.insert(path.into(), text.into());
        self
    }
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    pub fn load(&self) -> (Loaded, Sources) {
        let mut sources = Sources::default();
        let files: Vec<_> =
            self.files.iter().map(|(name, text)| sources.add(name.clone(), text.as_str())).collect();
        let env_files: Vec<_> =
            self.env_files.iter().map(|text| sources.add(".env", text.as_str())).collect();
        let request = LoadRequest {
            files: &files,
            env_files: &env_files,
            environment: &self.environment,
            generated: &self.generated,
            profiles: &self.profiles,
            project_name: self.name.as_deref(),
            project_directory: "/proj/app",
            reader: &self.readable,
        };
        (load(&request, &mut sources), sources)
    }

    /// The project; there must be no error.
    pub fn project(&self) -> kernel_compose::Project {
        let (loaded, sources) = self.load();
        loaded.project.unwrap_or_else(|| panic!("{}", told(&loaded.diagnostics, &sources)))
    }

    /// The canonical form as JSON.
    pub fn json(&self) -> serde_json::Value {
        render::json(&self.project())
    }

    /// One value of the canonical form, compact.
    pub fn at(&self, pointer: &str) -> String {
        self.json().pointer(pointer).map_or("(absent)".into(), ToString::to_string)
    }

    /// All that was found, as a person would see it.
    pub fn problems(&self) -> String {
        let (loaded, sources) = self.load();
        told(&loaded.diagnostics, &sources)
    }
}

/// Diagnostics as text: code, place, message, what the carets are under, help.
pub fn told(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let kind = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
        text += &format!("{kind} {}: {}\n", diagnostic.code, diagnostic.message);
        for label in &diagnostic.labels {
            let place = sources.locate(label.span).unwrap();
            let source = &sources.get(label.span.source).unwrap().text;
            let marked = &source[label.span.start..label.span.end];
            text += &format!("  {place} [{marked}] {}\n", label.text);
        }
        if let Some(help) = &diagnostic.help {
            text += &format!("  help: {help}\n");
        }
    }
    text
}

/// Every place where our canonical form is not the reference's: two whole projects side by side help nobody.
pub fn differences(reference: &serde_json::Value, ours: &serde_json::Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", Some(reference), Some(ours), &mut found);
    found
}

fn compare(
    place: &str,
    reference: Option<&serde_json::Value>,
    ours: Option<&serde_json::Value>,
    found: &mut Vec<String>,
) {
    use serde_json::Value;
    match (reference, ours) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for key in keys {
                compare(&format!("{place}/{key}"), left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{place}/{index}"), Some(left), Some(right), found);
            }
        }
        // `1` and `1.0` are one number.
        (Some(Value::Number(left)), Some(Value::Number(right))) if left.as_f64() == right.as_f64() => {}
        _ if reference == ours => {}
        _ => {
            let shown = |side: Option<&Value>| side.map_or("nothing".to_owned(), Value::to_string);
            found.push(format!(
                "{place}: docker compose has {}, and this has {}",
                shown(reference),
                shown(ours)
            ));
        }
    }
}
