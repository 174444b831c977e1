//! The values that interpolation finds, and which of them must not be shown.

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Sources};

use crate::dotenv;

/// Where a variable is looked for: the environment, then env files, then generated values.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    secret: BTreeSet<String>,
}

impl Environment {
    /// Reads the env files, later over earlier, and puts the environment over them and the generated values below.
    pub fn new(
        environment: &BTreeMap<String, String>,
        env_files: &[SourceId],
        generated: &BTreeMap<String, String>,
        sources: &Sources,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut values = BTreeMap::new();
        for file in env_files {
            let Some(source) = sources.get(*file) else { continue };
            let known = |name: &str| environment.get(name).cloned();
            for entry in dotenv::parse(*file, &source.text, &known, diagnostics) {
                // A name without value takes the one of the environment, which is put over everything below.
                if let Some(value) = entry.value {
                    values.insert(entry.name, value);
                }
            }
        }
        values.extend(environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        for (name, value) in generated {
            values.entry(name.clone()).or_insert_with(|| value.clone());
        }
        Self { values, secret: generated.keys().cloned().collect() }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Sets a variable that has no value yet.
    pub fn set_default(&mut self, name: &str, value: &str) {
        self.values.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Marks variables as ones whose value must not be shown, wherever it comes from.
    pub fn hide(&mut self, names: impl IntoIterator<Item = String>) {
        self.secret.extend(names);
    }

    /// Whether the value of a variable must not be shown.
    pub fn is_secret(&self, name: &str) -> bool {
        self.secret.contains(name)
    }

    /// The names of all variables, for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}
