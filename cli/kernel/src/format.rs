//! `--format` by docker compose's rules, with what is wrong about it told by its place.

use clap::ValueEnum;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{Sources, Span};
use kernel_ops::{Failure, select};
use kernel_report::template::{Fields, Format, Record, TemplateError};

use crate::codes::BAD_FORMAT;

/// What docker compose's commands without templates take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Plain {
    /// Columns for people
    Table,
    /// What docker compose prints as JSON
    Json,
}

/// A format that was understood, with its text.
#[derive(Clone, Debug)]
pub struct Shown {
    text: String,
    format: Format,
}

impl Shown {
    /// Understands what stands behind `--format`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, fields: &Fields) -> Result<Self, Failure> {
        let format = Format::parse(text, fields).map_err(|errors| refused(text, errors))?;
        Ok(Self { text: text.to_owned(), format })
    }

    /// The records in this form.
    ///
    /// # Errors
    /// When a function gets what it can't work on.
    pub fn render(&self, records: &[Record]) -> Result<String, Failure> {
        self.format.render(records).map_err(|error| refused(&self.text, vec![error]))
    }

    /// Whether it is columns below headings.
    pub const fn is_table(&self) -> bool {
        matches!(self.format, Format::Table(_))
    }
}

fn refused(text: &str, errors: Vec<TemplateError>) -> Failure {
    let mut sources = Sources::default();
    let source = sources.add("--format", text);
    let diagnostics = errors.into_iter().map(|error| {
        let written = text.get(error.span.clone()).unwrap_or_default().trim_start_matches('.');
        let meant = select::closest(written, &error.known);
        let help = meant
            .map_or_else(|| error.help.clone(), |meant| format!("did you mean `{meant}`? {}", error.help));
        let span = Span { source, start: error.span.start, end: error.span.end };
        Diagnostic::error(BAD_FORMAT, format!("the format can't be used: {}", error.message))
            .at(span, "here")
            .help(help)
    });
    Failure::in_files(diagnostics.collect(), sources)
}

/// A number of bytes as Docker tells memory: by 1024, with four digits.
pub fn binary(bytes: u64) -> String {
    in_unit(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

/// A number of bytes as Docker tells traffic: by 1000, with three digits.
pub fn decimal(bytes: u64) -> String {
    in_unit(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"], 3)
}

fn in_unit(bytes: u64, base: f64, units: &[&str], digits: usize) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let whole = format!("{value:.0}").len();
    let mut text = format!("{value:.*}", digits.saturating_sub(whole));
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text + units[unit]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_as_docker_tells_them() {
        assert_eq!((binary(0).as_str(), binary(598_016).as_str()), ("0B", "584KiB"));
        assert_eq!(binary(25_275_877_949), "23.54GiB");
        assert_eq!((decimal(1250).as_str(), decimal(999).as_str()), ("1.25kB", "999B"));
        assert_eq!(decimal(12_345_678), "12.3MB");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place_with_what_may_be_meant() {
        let fields =
            Fields { named: &[("Name", "NAME")], of_elements: &[], labels: false, usual: "{{.Name}}" };
        let failure = Shown::parse("{{.Nam}}", &fields).unwrap_err();
        let diagnostic = &failure.diagnostics[0];
        assert_eq!(failure.sources.locate(diagnostic.labels[0].span).as_deref(), Some("--format:1:3"));
        assert!(diagnostic.help.as_deref().unwrap().starts_with("did you mean `Name`? fields: Name"));
    }
}
