//! Env files in the dialect of Compose.
//!
//! `export K=V`, `K: V` and a bare `K` (its value comes from the environment); unquoted values end at ` #` or at the
//! line's end and are expanded; single quotes are literal and may span lines; double quotes have escapes and are
//! expanded. A file with problems gives the entries that could be read, and one diagnostic for each that could not.

use std::collections::BTreeMap;

use kernel_core::diagnostic::Diagnostic;
use kernel_core::source::{SourceId, Span};

use crate::codes;
use crate::template::{self, Lookup, Problem};

/// One entry of an env file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// The value; nothing when only the name stands there.
    pub value: Option<String>,
    /// Where the value stands, or the name when there is none.
    pub span: Span,
}

/// Reads an env file. `lookup` finds what `${NAME}` in it means before the file's own entries are asked.
pub fn parse(
    source: SourceId,
    text: &str,
    lookup: &Lookup<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Entry> {
    let mut reader = Reader { source, text, at: 0, lookup, known: BTreeMap::new(), diagnostics };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let mut entries: Vec<Entry> = Vec::new();
    while let Some(line) = reader.next_line() {
        if let Some(entry) = reader.entry(line) {
            if let Some(value) = &entry.value {
                reader.known.insert(entry.name.clone(), value.clone());
            }
            entries.push(entry);
        }
    }
    entries
}

/// Reads an env file with `format: raw`: `NAME=value` as it stands, without quotes, expansion or trailing comments.
pub fn parse_raw(source: SourceId, text: &str, diagnostics: &mut Vec<Diagnostic>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_end_matches(['\n', '\r']).trim_start();
        let begin = start + (line.len() - line.trim_start().len()).min(line.len());
        start += line.len();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (name, value) =
            trimmed.split_once('=').map_or((trimmed, None), |(name, value)| (name, Some(value)));
        let span = Span { source, start: begin, end: begin + trimmed.len() };
        if name.is_empty() || name.contains(char::is_whitespace) {
            diagnostics.push(problem("a name has no spaces and is not empty", span, "write `NAME=value`"));
        } else {
            entries.push(Entry { name: name.to_owned(), value: value.map(str::to_owned), span });
        }
    }
    entries
}

struct Reader<'a> {
    source: SourceId,
    text: &'a str,
    at: usize,
    lookup: &'a Lookup<'a>,
    known: BTreeMap<String, String>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// The end of the next line that says something; the position is then at its first character.
    fn next_line(&mut self) -> Option<usize> {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                return None;
            }
            let end = self.at + rest.find('\n').unwrap_or(rest.len());
            if !rest.starts_with('#') {
                return Some(end);
            }
            self.at = end;
        }
    }

    fn entry(&mut self, end: usize) -> Option<Entry> {
        let line = &self.text[self.at..end];
        if let Some(rest) = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            self.at = end - rest.trim_start().len();
        }
        let line = &self.text[self.at..end];
        let start = self.at;
        let separator = line.find(['=', ':']);
        let written =
            separator.map_or_else(|| line.split(" #").next().unwrap_or(line), |length| &line[..length]);
        let name = written.trim_end();
        let span = self.span(start, start + name.len());
        self.at = end;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-[]".contains(c);
        if let Some((index, bad)) = name.char_indices().find(|(_, c)| !allowed(*c)) {
            let place = self.span(start + index, start + index + bad.len_utf8());
            let reason = if bad.is_whitespace() {
                "a name has no spaces".to_owned()
            } else {
                format!("a name can't have `{bad}` in it")
            };
            self.diagnostics.push(problem(
                &reason,
                place,
                "write `NAME=value`; names have letters, digits and `_ . - [ ]`",
            ));
            return None;
        }
        if name.is_empty() {
            self.diagnostics.push(problem(
                "the name is missing",
                self.span(start, start + 1),
                "write `NAME=value`",
            ));
            return None;
        }
        let name = name.to_owned();
        let Some(length) = separator else {
            let value = (self.lookup)(&name);
            return Some(Entry { name, value, span });
        };
        let rest = &self.text[start + length + 1..end];
        let start = start + length + 1 + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
        let value = match self.text[start..].chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(start, quote),
            _ => self.unquoted(start, end),
        };
        value.map(|(value, span)| Entry { name, value: Some(value), span })
    }

    fn unquoted(&mut self, start: usize, end: usize) -> Option<(String, Span)> {
        let line = &self.text[start..end.max(start)];
        let comment =
            if line.starts_with('#') { Some(0) } else { line.find(" #").or_else(|| line.find("\t#")) };
        let raw = line[..comment.unwrap_or(line.len())].trim_end();
        let span = self.span(start, start + raw.len());
        self.expand(&raw.replace("\\$", "$$"), raw, span).map(|value| (value, span))
    }

    fn quoted(&mut self, start: usize, quote: char) -> Option<(String, Span)> {
        let inside = start + 1;
        let mut escaped = false;
        let close = self.text[inside..].char_indices().find(|(_, c)| {
            let found = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            found
        });
        let Some((length, _)) = close else {
            let line = self.text[start..].find('\n').map_or(self.text.len(), |length| start + length);
            let span = self.span(start, line);
            self.diagnostics.push(problem(
                "a quote is opened and never closed",
                span,
                &format!("close it with `{quote}`"),
            ));
            // What follows would be read from the middle of a text.
            self.at = self.text.len();
            return None;
        };
        let end = inside + length;
        let raw = &self.text[inside..end];
        let span = self.span(inside, end);
        let rest = &self.text[end + 1..];
        let line_end = end + 1 + rest.find('\n').unwrap_or(rest.len());
        self.at = line_end;
        let rest = self.text[end + 1..line_end].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            let place = self.span(end + 1, line_end);
            self.diagnostics.push(problem(
                "something stands after the closing quote",
                place,
                "put the whole value in the quotes",
            ));
            return None;
        }
        if quote == '\'' {
            return Some((raw.replace("\\'", "'"), span));
        }
        self.expand(&unescape(raw), raw, span).map(|value| (value, span))
    }

    fn expand(&mut self, text: &str, raw: &str, span: Span) -> Option<String> {
        let lookup = |name: &str| (self.lookup)(name).or_else(|| self.known.get(name).cloned());
        match template::fill(text, &lookup) {
            Ok(filled) => Some(filled.text),
            Err(error) => {
                let (range, reason) = match error {
                    Problem::Format { range, reason } => {
                        (range, format!("a variable can't be read: {reason}"))
                    }
                    Problem::Required { range, name, message } if message.is_empty() => {
                        (range, format!("the variable `{name}` has no value"))
                    }
                    Problem::Required { range, name, message } => {
                        (range, format!("the variable `{name}` has no value: {message}"))
                    }
                };
                // Escapes move places, so the exact one is known only where nothing was replaced.
                let place = if text == raw {
                    self.span(span.start + range.start, span.start + range.end)
                } else {
                    span
                };
                self.diagnostics.push(problem(
                    &reason,
                    place,
                    "write `$$` for a dollar sign that means itself",
                ));
                None
            }
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let mut end = end.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Span { source: self.source, start: start.min(end), end }
    }
}

fn problem(reason: &str, span: Span, help: &str) -> Diagnostic {
    Diagnostic::error(codes::ENV_FILE_SYNTAX, format!("this env file can't be read: {reason}"))
        .at(span, "here")
        .help(help)
}

/// Escapes of double quotes. `\$` becomes `$$`, which expansion turns into a dollar sign.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('$') => text.push_str("$$"),
            Some(plain @ ('"' | '\\' | '\'')) => text.push(plain),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use kernel_core::source::Sources;

    use super::*;

    fn read(text: &str) -> (Vec<(String, Option<String>)>, Vec<String>) {
        let mut sources = Sources::default();
        let source = sources.add("a.env", text);
        let lookup = |name: &str| (name == "HOME").then(|| "/home".to_owned());
        let mut diagnostics = Vec::new();
        let entries = parse(source, text, &lookup, &mut diagnostics);
        let told = diagnostics
            .iter()
            .map(|problem| format!("{} {}", sources.locate(problem.labels[0].span).unwrap(), problem.message))
            .collect();
        (entries.into_iter().map(|entry| (entry.name, entry.value)).collect(), told)
    }

    fn values(text: &str) -> String {
        let (entries, problems) = read(text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        let show = |(name, value): (String, Option<String>)| match value {
            Some(value) => format!("{name}={value}"),
            None => name,
        };
        entries.into_iter().map(show).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn the_dialect() {
        let cases = [
            ("A=1\r\nB=2\r\n", "A=1|B=2"),
            ("\u{feff}A=1", "A=1"),
            ("# c\n\n  A = b c  # comment\n", "A=b c"),
            ("export A=1\nA.b-c[0]: v", "A=1|A.b-c[0]=v"),
            ("HOME\nNO # c", "HOME=/home|NO"),
            ("A=x#y\nB=#z\nC=", "A=x#y|B=|C="),
            ("A='$HOME ${' # c", "A=$HOME ${"),
            ("A='a\nb'\nB=1", "A=a\nb|B=1"),
            (r#"A="a\tb \$x $$y $HOME \"q\" \z""#, "A=a\tb $x $y /home \"q\" \\z"),
            ("A=1\nB=$A-${A:-2}-${C:-3}\nD=\\$A $$A", "A=1|B=1-1-3|D=$A $A"),
            ("A=a=b:c", "A=a=b:c"),
            ("URL: http://x", "URL=http://x"),
        ];
        for (text, expected) in cases {
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn every_bad_line_is_told_with_its_place() {
        let (entries, problems) = read("A=1\nB C=2\n=3\né=4\nD=${\nE=\"x\" y\nF=5\nG='\nH=6\n");
        assert_eq!(entries.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["A", "F"]);
        insta::assert_snapshot!(problems.join("\n"), @r#"
        a.env:2:2 this env file can't be read: a name has no spaces
        a.env:3:1 this env file can't be read: the name is missing
        a.env:4:1 this env file can't be read: a name can't have `é` in it
        a.env:5:3 this env file can't be read: a variable can't be read: the `}` is missing
        a.env:6:6 this env file can't be read: something stands after the closing quote
        a.env:8:3 this env file can't be read: a quote is opened and never closed
        "#);
    }

    #[test]
    fn raw_takes_everything_as_it_stands() {
        let mut sources = Sources::default();
        let text = "A='x' # y\n# c\nB\nC D=1\n";
        let source = sources.add("raw.env", text);
        let mut diagnostics = Vec::new();
        let entries = parse_raw(source, text, &mut diagnostics);
        let read: Vec<_> =
            entries.iter().map(|entry| (entry.name.as_str(), entry.value.as_deref())).collect();
        assert_eq!(read, [("A", Some("'x' # y")), ("B", None)]);
        assert_eq!(sources.locate(diagnostics[0].labels[0].span).unwrap(), "raw.env:4:1");
    }
}
