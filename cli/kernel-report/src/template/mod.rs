//! `--format` as Docker's commands have it: `table`, `json`, and the part of Go's templates that such formats are made
//! of. Fields, Docker's functions, pipes, `if` and `range`; no variables, and no templates in templates.
//!
//! What a template says is checked before anything is asked or printed: every unknown field and function is told at
//! once, with its place.
//!
//! Source: docs.docker.com/go/formatting and the documentation of Go's `text/template`.

mod columns;
mod evaluate;
mod parse;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use parse::Node;

/// What a template may name.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The fields, each with what stands above its column.
    pub named: &'static [(&'static str, &'static str)],
    /// What the elements of a field that is a list have.
    pub of_elements: &'static [&'static str],
    /// Whether there is `.Label "NAME"`.
    pub labels: bool,
    /// The template of the usual table.
    pub usual: &'static str,
}

/// One thing that is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Its fields by name; all that [`Fields`] names.
    pub fields: Map<String, Value>,
    /// What `.Label` looks in.
    pub labels: BTreeMap<String, String>,
}

/// A template that was understood.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<Node>,
    fields: Fields,
}

/// How records are shown.
#[derive(Clone, Debug)]
pub enum Format {
    /// In columns below headings.
    Table(Template),
    /// One JSON object per line.
    Json,
    /// A line, or what the template makes of it, for each.
    Lines(Template),
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Bytes of the format.
    pub span: Range<usize>,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub help: String,
    /// When it is about a name that there is not: the names that there are.
    pub known: Vec<&'static str>,
}

impl Format {
    /// Understands what stands behind `--format`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, fields: &Fields) -> Result<Self, Vec<TemplateError>> {
        let trimmed = text.trim();
        let template = |text: &str, from| Template::parse(text, from, fields);
        match trimmed {
            "" | "table" => Ok(Self::Table(template(fields.usual, 0)?)),
            "json" => Ok(Self::Json),
            _ if !trimmed.contains("{{") => Err(vec![TemplateError {
                span: 0..text.len(),
                message: format!("`{trimmed}` is no format"),
                help: format!(
                    "say `table`, `json`, or a template such as `{{{{.{0}}}}}` or `table {{{{.{0}}}}}`",
                    fields.named.first().map_or("", |(name, _)| name)
                ),
                known: Vec::new(),
            }]),
            _ => {
                let from = text.len() - text.trim_start().len();
                match trimmed.strip_prefix("table ") {
                    Some(rest) => {
                        let rest_from = from + trimmed.len() - rest.trim_start().len();
                        Ok(Self::Table(template(rest.trim_start(), rest_from)?))
                    }
                    None => Ok(Self::Lines(template(trimmed, from)?)),
                }
            }
        }
    }

    /// The records in this form.
    ///
    /// # Errors
    /// When a function gets what it can't work on.
    pub fn render(&self, records: &[Record]) -> Result<String, TemplateError> {
        match self {
            Self::Json => Ok(records
                .iter()
                .map(|record| serde_json::to_string(&record.fields).unwrap_or_default() + "\n")
                .collect()),
            Self::Lines(template) => {
                let lines = records.iter().map(|record| Ok(template.of(record)? + "\n"));
                lines.collect()
            }
            Self::Table(template) => {
                let rows = records.iter().map(|record| template.of(record));
                let rows: Vec<String> =
                    std::iter::once(template.headings()).chain(rows).collect::<Result<_, _>>()?;
                Ok(columns::aligned(&(rows.join("\n") + "\n")))
            }
        }
    }
}

impl Template {
    /// `from`: where in the whole format the text begins, for the places of errors.
    fn parse(text: &str, from: usize, fields: &Fields) -> Result<Self, Vec<TemplateError>> {
        let parsed = parse::parse(text, fields);
        let nodes = parsed.map_err(|errors| {
            let moved = errors
                .into_iter()
                .map(|error| TemplateError { span: error.span.start + from..error.span.end + from, ..error });
            moved.collect::<Vec<_>>()
        })?;
        Ok(Self { nodes, fields: *fields })
    }

    fn of(&self, record: &Record) -> Result<String, TemplateError> {
        evaluate::render(&self.nodes, &evaluate::Row::Of(record))
    }

    fn headings(&self) -> Result<String, TemplateError> {
        evaluate::render(&self.nodes, &evaluate::Row::Headings(&self.fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: Fields = Fields {
        named: &[
            ("Name", "NAME"),
            ("State", "STATE"),
            ("Ports", "PORTS"),
            ("Code", "CODE"),
            ("Publishers", "PUBLISHERS"),
        ],
        of_elements: &["URL", "Port"],
        labels: true,
        usual: "{{.Name}}\t{{.State}}",
    };

    fn records() -> Vec<Record> {
        let record = |name: &str, state: &str, code: i64| Record {
            fields: json!({
                "Name": name, "State": state, "Ports": "", "Code": code,
                "Publishers": [{"URL": "::", "Port": 80}, {"URL": "", "Port": 0}],
            })
            .as_object()
            .cloned()
            .unwrap(),
            labels: BTreeMap::from([("com.example.zone-of".to_owned(), format!("of {name}"))]),
        };
        vec![record("shop-web-1", "running", 0), record("shop-job-1", "exited", 3)]
    }

    fn shown(format: &str) -> String {
        Format::parse(format, &FIELDS).unwrap().render(&records()).unwrap()
    }

    fn first(format: &str) -> String {
        Format::parse(format, &FIELDS).unwrap().render(&records()[..1]).unwrap()
    }

    /// The text that each error is about, and what it says.
    fn refused(format: &str) -> Vec<(String, String)> {
        let errors = match Format::parse(format, &FIELDS) {
            Err(errors) => errors,
            Ok(format) => vec![format.render(&records()).unwrap_err()],
        };
        errors.into_iter().map(|error| (format[error.span].to_owned(), error.message)).collect()
    }

    #[test]
    fn a_line_for_each() {
        assert_eq!(shown("{{.Name}}"), "shop-web-1\nshop-job-1\n");
        assert_eq!(shown(r"{{ .Name }}\t{{.Code}}\n"), "shop-web-1\t0\n\nshop-job-1\t3\n\n");
        assert_eq!(
            shown(r#"{{.Label "com.example.zone-of"}}|{{.Label "none"}}"#),
            "of shop-web-1|\nof shop-job-1|\n"
        );
        assert_eq!(first("a {{- .Name -}} \n b{{/* nothing */}}"), "ashop-web-1b\n");
        assert_eq!(first(r"a\n{{- .Name -}}\t b"), "ashop-web-1b\n");
        assert_eq!(
            first("{{json .Name}} {{json .Publishers}}"),
            "\"shop-web-1\" [{\"URL\":\"::\",\"Port\":80},{\"URL\":\"\",\"Port\":0}]\n"
        );
        assert_eq!(first("json"), first("{{json .}}"));
        assert_eq!(first("{{.Publishers}}"), "[{:: 80} { 0}]\n");
    }

    #[test]
    fn columns_as_wide_as_docker_makes_them() {
        assert_eq!(shown("table"), "NAME         STATE\nshop-web-1   running\nshop-job-1   exited\n");
        assert_eq!(shown(r"table {{.Name}}\t{{.State}}"), shown("table"));
        assert_eq!(
            shown(r"table {{.Code}}\t{{.Ports}}\t{{.Name}}"),
            "CODE      PORTS     NAME\n0                   shop-web-1\n3                   shop-job-1\n"
        );
        assert_eq!(
            shown(r#"table {{upper .State}}\t{{.Label "com.example.zone-of"}}"#),
            "STATE     zone of\nRUNNING   of shop-web-1\nEXITED    of shop-job-1\n"
        );
        assert_eq!(Format::parse("table", &FIELDS).unwrap().render(&[]).unwrap(), "NAME      STATE\n");
    }

    #[test]
    fn functions_and_pipes() {
        assert_eq!(
            first("{{.Name | upper}} {{title .State}} {{lower (upper .State)}}"),
            "SHOP-WEB-1 Running running\n"
        );
        assert_eq!(
            first(r#"{{join (split .Name "-") "+"}} {{truncate .Name 4}}[{{pad .State 1 2}}]"#),
            "shop+web+1 shop[ running  ]\n"
        );
        assert_eq!(
            first(r#"{{printf "%s-%d%%|%q" .Name .Code .State}} {{len .Publishers}}"#),
            "shop-web-1-0%|\"running\" 2\n"
        );
        assert_eq!(first("{{print .Name `x`}}{{println .Code}}"), "shop-web-1x0\n\n");
    }

    #[test]
    fn choices_and_lists() {
        let choice = r#"{{if eq .State "running" "paused"}}up{{else if and .Code (not .Ports)}}bad{{else}}down{{end}}"#;
        assert_eq!(shown(choice), "up\nbad\n");
        assert_eq!(
            first("{{range .Publishers}}{{if .URL}}{{.URL}}={{end}}{{.Port}},{{else}}none{{end}}"),
            "::=80,0,\n"
        );
        assert_eq!(first("{{if ne .Code 0}}x{{end}}{{if or .Ports .Name}}y{{end}}"), "y\n");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let told = refused("{{.Nmae}} {{.Status}} {{uper .Name}}");
        assert_eq!(
            told,
            [
                (".Nmae".to_owned(), "there is no field `Nmae`".to_owned()),
                (".Status".to_owned(), "there is no field `Status`".to_owned()),
                ("uper".to_owned(), "there is no function `uper`".to_owned())
            ]
        );
        let errors = Format::parse("{{.Nmae}}", &FIELDS).unwrap_err();
        assert!(errors[0].known.contains(&"Name") && errors[0].help.contains("State, Ports"), "{errors:?}");
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_place() {
        for (format, place, message) in [
            ("a {{.Name", "{{", "`{{` has no `}}`"),
            ("{{.Name}} {{end}}", "end", "`end` has nothing to end"),
            ("{{if .Name}}x", "if", "`if` has no `{{end}}`"),
            ("{{}}", "{{}}", "there is nothing between the braces"),
            ("{{$x := 1}}", "$", "`$` is not understood"),
            ("{{.Name \"x}}", "\"x", "the text has no end"),
            ("{{split .Name}}", "split", "`split` takes 2 values, and there is 1"),
            ("{{json}}", "json", "`json` takes 1 value, and there are 0"),
            ("{{.Name 1}}", ".Name", "`.Name` takes no values"),
            ("{{.Label}}", ".Label", "`.Label` takes the name of a label"),
            ("{{(.Name}}", "(", "`(` has no `)`"),
            ("{{range .Publishers}}{{.Nmae}}{{end}}", ".Nmae", "there is no field `Nmae`"),
            ("{{range .Name}}{{.}}{{end}}", "range", "`range` needs a list, and this is \"shop-web-1\""),
            ("{{join .Name 1}}", "join", "`join` can't work on this: \"shop-web-1\""),
            ("{{printf \"%d\" .Name}}", "printf", "`printf` can't write \"shop-web-1\" as `%d`"),
            ("{{template \"x\"}}", "template", "there is no function `template`"),
            ("jsn", "jsn", "`jsn` is no format"),
            ("table x", "table x", "`table x` is no format"),
        ] {
            assert_eq!(refused(format), [(place.to_owned(), message.to_owned())], "{format}");
        }
        // The place counts from the beginning of what was typed.
        assert_eq!(Format::parse("table  {{.X}}", &FIELDS).unwrap_err()[0].span, 9..11);
    }

    #[test]
    fn nothing_that_is_typed_makes_it_fail_otherwise() {
        let pieces = [
            "{{", "}}", ".Name", ".", " ", "if", "end", "range", "else", "|", "(", ")", "\"", "`", "é", "\\",
            "-", "12", "printf", "$", "/*", "*/", "{{- ", " -}}", "truncate",
        ];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]);
            }
            match Format::parse(&text, &FIELDS) {
                Ok(format) => drop(format.render(&records())),
                Err(errors) => {
                    assert!(!errors.is_empty());
                    for error in errors {
                        assert!(text.get(error.span.clone()).is_some(), "{text:?}: {error:?}");
                    }
                }
            }
        }
    }
}
