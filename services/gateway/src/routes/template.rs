//! Path templates as in `google.api.http`: `/v1/wallets/{wallet_id}/holds`, `/v1/{name=tenants/*}`, `/v1/x/{rest=**}:verb`.
//!
//! Owns their grammar and what their variables capture. Finding the template for a path is the table's job.

use std::ops::Range;

/// A parsed path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `*`: exactly one segment.
    Any,
    /// `**`: one or more segments, only at the end.
    Rest,
}

/// A field path and the segments that it captures.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    field: String,
    segments: Range<usize>,
}

/// Why a text is no path template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{template}` is not a path template: {reason}")]
pub struct TemplateError {
    template: String,
    reason: &'static str,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// When the text does not follow the grammar, or uses `**` anywhere but at the end.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        parse(text).map_err(|reason| TemplateError { template: text.to_owned(), reason })
    }

    /// The custom verb behind the last colon.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// The field paths of the variables, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.field.as_str())
    }

    /// The pattern in the language of `matchit`. Parameters are named by their position, so that templates that differ
    /// only in the names of their variables have the same pattern.
    pub fn pattern(&self) -> String {
        let mut pattern = String::new();
        for (index, segment) in self.segments.iter().enumerate() {
            pattern.push('/');
            match segment {
                Segment::Literal(literal) => pattern.push_str(&literal.replace('{', "{{").replace('}', "}}")),
                Segment::Any => pattern.push_str(&format!("{{s{index}}}")),
                Segment::Rest => pattern.push_str(&format!("{{*s{index}}}")),
            }
        }
        if pattern.is_empty() { "/".to_owned() } else { pattern }
    }

    /// The value of each variable, in order, still percent-encoded. `wildcards` is what stood for each `*` and `**`.
    pub fn capture<'v>(&'v self, mut wildcards: impl Iterator<Item = &'v str>) -> Vec<String> {
        let segments: Vec<&str> = self
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(literal) => literal.as_str(),
                Segment::Any | Segment::Rest => wildcards.next().unwrap_or_default(),
            })
            .collect();
        self.variables.iter().map(|variable| segments[variable.segments.clone()].join("/")).collect()
    }
}

fn parse(text: &str) -> Result<Template, &'static str> {
    let mut rest = text.strip_prefix('/').ok_or("it must begin with `/`")?;
    let mut template = Template { segments: Vec::new(), variables: Vec::new(), verb: None };
    if rest.is_empty() {
        return Ok(template);
    }
    loop {
        let after = match rest.strip_prefix('{') {
            Some(inside) => {
                let (variable, after) = inside.split_once('}').ok_or("a `{` is not closed")?;
                template.variable(variable)?;
                after
            }
            None => {
                let end = rest.find(['/', ':']).unwrap_or(rest.len());
                template.segment(&rest[..end])?;
                &rest[end..]
            }
        };
        match after.split_at_checked(1) {
            None => break,
            Some(("/", next)) => rest = next,
            Some((":", verb)) if is_identifier(verb) => {
                template.verb = Some(verb.to_owned());
                break;
            }
            Some((":", _)) => return Err("a verb is a name at the very end"),
            Some(_) => return Err("a variable must end a segment"),
        }
    }
    let before_last = template.segments.len().saturating_sub(1);
    if template.segments[..before_last].contains(&Segment::Rest) {
        return Err("`**` is only possible at the end");
    }
    Ok(template)
}

impl Template {
    fn segment(&mut self, text: &str) -> Result<(), &'static str> {
        self.segments.push(match text {
            "" => return Err("a segment is empty"),
            "*" => Segment::Any,
            "**" => Segment::Rest,
            literal if literal.contains(['{', '}', '*', '=']) => {
                return Err("a literal has a reserved character");
            }
            literal => Segment::Literal(literal.to_owned()),
        });
        Ok(())
    }

    fn variable(&mut self, text: &str) -> Result<(), &'static str> {
        let (field, pattern) = text.split_once('=').unwrap_or((text, "*"));
        if !field.split('.').all(is_identifier) {
            return Err("a variable must name a field, as in `a` or `a.b`");
        }
        let start = self.segments.len();
        for segment in pattern.split('/') {
            self.segment(segment)?;
        }
        self.variables.push(Variable { field: field.to_owned(), segments: start..self.segments.len() });
        Ok(())
    }
}

fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters
            .all(|character| character.is_ascii_alphanumeric() || character == '_' || character == '-')
}

/// Decodes `%XX`. `None` when an escape is broken or the result is not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? * 16 + digit(*low)?);
                tail
            }
            (b'%', _) => return None,
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_patterns_and_variables() {
        let table: &[(&str, &str, &[&str], Option<&str>)] = &[
            ("/", "/", &[], None),
            ("/v1/wallets", "/v1/wallets", &[], None),
            ("/v1/wallets/{wallet_id}/holds", "/v1/wallets/{s2}/holds", &["wallet_id"], None),
            ("/v1/holds/{id}:confirm", "/v1/holds/{s2}", &["id"], Some("confirm")),
            ("/v1/{name=tenants/*/users/*}", "/v1/tenants/{s2}/users/{s4}", &["name"], None),
            ("/v1/{wallet.id}/{b}", "/v1/{s1}/{s2}", &["wallet.id", "b"], None),
            ("/v1/files/{path=**}", "/v1/files/{*s2}", &["path"], None),
            ("/v1/{path=a/**}:purge", "/v1/a/{*s2}", &["path"], Some("purge")),
            ("/v1/*/x", "/v1/{s1}/x", &[], None),
            ("/.well-known/jwks.json", "/.well-known/jwks.json", &[], None),
        ];
        for (text, pattern, fields, verb) in table {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.pattern(), *pattern, "{text}");
            assert_eq!(template.fields().collect::<Vec<_>>(), *fields, "{text}");
            assert_eq!(template.verb(), *verb, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_a_reason() {
        let table = [
            ("v1", "begin"),
            ("/v1//x", "empty"),
            ("/v1/", "empty"),
            ("/v1/{a", "closed"),
            ("/v1/{a}b", "end a segment"),
            ("/v1/{1a}", "name a field"),
            ("/v1/{a=}", "empty"),
            ("/v1/**/x", "at the end"),
            ("/v1/x:", "verb"),
            ("/v1/x:a/b", "verb"),
            ("/v1/a*", "reserved"),
        ];
        for (text, reason) in table {
            let error = Template::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn a_variable_captures_all_of_its_segments() {
        let template = Template::parse("/v1/{name=tenants/*/users/*}/{rest=**}").unwrap();
        let captured = template.capture(["t", "u", "a/b"].into_iter());
        assert_eq!(captured, ["tenants/t/users/u", "a/b"]);
    }

    #[test]
    fn escapes_are_decoded() {
        let table = [
            ("plain", Some("plain")),
            ("a%20b%2Fc", Some("a b/c")),
            ("%C3%A9", Some("é")),
            ("100%", None),
            ("%zz", None),
            ("%ff", None),
            ("", Some("")),
        ];
        for (text, decoded) in table {
            assert_eq!(percent_decode(text).as_deref(), decoded, "{text}");
        }
    }
}
