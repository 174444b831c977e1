//! The values that interpolation finds, and which of them must not be shown.

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Sources};

use crate::dotenv;
use crate::tree::Scalar;

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
        let mut new = Self { values: environment.clone(), secret: BTreeSet::new() };
        new.add_env_files(env_files, sources, diagnostics);
        for (name, value) in generated {
            new.set_default(name, value);
        }
        new.hide(generated.keys().cloned());
        new
    }

    /// Reads env files, later over earlier, and puts them below what is there.
    pub fn add_env_files(
        &mut self,
        env_files: &[SourceId],
        sources: &Sources,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let mut values = BTreeMap::new();
        for file in env_files {
            let Some(source) = sources.get(*file) else { continue };
            let known = |name: &str| self.values.get(name).cloned();
            dotenv::parse(*file, &source.text, &known, &mut values, diagnostics);
        }
        for (name, entry) in values {
            self.set_default(&name, &entry.value);
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value of a variable as a scalar that knows whether it may be shown.
    pub fn scalar(&self, name: &str) -> Option<Scalar> {
        let value = self.get(name)?.to_owned();
        Some(if self.is_secret(name) {
            Scalar::with_secret(value, &format!("${{{name}}}"))
        } else {
            Scalar::quoted(value)
        })
    }

    /// Sets a variable that has no value yet.
    pub fn set_default(&mut self, name: &str, value: &str) {
        if !self.values.contains_key(name) {
            self.values.insert(name.to_owned(), value.to_owned());
        }
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

    /// All variables with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of all variables, for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}
