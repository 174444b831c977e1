//! The address of a model.

use std::fmt;

use super::Fault;

/// A model of a module. Until module-registry declares models, any well-formed name is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub module: String,
    pub name: String,
}

impl Model {
    /// Reads both names, or says what is wrong with them.
    pub(crate) fn read(module: String, name: String) -> Result<Self, Vec<Fault>> {
        let rule = "1 to 63 lower-case letters, digits, `_` and `-`, beginning with a letter";
        let given = [("module", &module), ("model", &name)];
        let faults: Vec<Fault> = given
            .into_iter()
            .filter(|(_, slug)| !is_slug(slug))
            .map(|(field, _)| Fault::new(field, "format", rule))
            .collect();
        if faults.is_empty() { Ok(Self { module, name }) } else { Err(faults) }
    }
}

/// `{module}.{model}`, as in `Record.collection`.
impl fmt::Display for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.module, self.name)
    }
}

fn is_slug(text: &str) -> bool {
    let allowed =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter);
    text.len() <= 63
        && text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_slugs() {
        let read = |module: &str, name: &str| Model::read(module.to_owned(), name.to_owned());
        assert_eq!(read("crm", "contact_2").unwrap().to_string(), "crm.contact_2");
        let faults = read("CRM", "").unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), ["module", "model"]);
        for wrong in ["", "1a", "a.b", "a b", "ä", "-a", &"a".repeat(64)] {
            assert!(read(wrong, "x").is_err(), "{wrong}");
        }
    }
}
