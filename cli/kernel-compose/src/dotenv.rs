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

/// What env files say, by name. A later entry replaces an earlier one.
pub type Values = BTreeMap<String, Entry>;

/// One entry of an env file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: String,
    /// Where the value stands.
    pub span: Span,
}

/// Reads an env file. `lookup` finds what `${NAME}` in it means before `values` is asked, which holds the entries of
/// earlier files and takes up those of this one.
pub fn parse(
    source: SourceId,
    text: &str,
    lookup: &Lookup<'_>,
    values: &mut Values,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut reader = Reader { source, text, at: 0, bytes: 0, lookup, values, diagnostics };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    while reader.next_statement() {
        reader.entry();
    }
}

/// Reads an env file with `format: raw`: `NAME=value` as it stands, without quotes, expansion or trailing comments.
pub fn parse_raw(
    source: SourceId,
    text: &str,
    lookup: &Lookup<'_>,
    values: &mut Values,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let begin = start;
        start += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let bare = if begin == 0 { line.trim_start_matches('\u{feff}') } else { line };
        let trimmed = bare.trim_start();
        let begin = begin + (line.len() - trimmed.len());
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (name, value) =
            trimmed.split_once('=').map_or((trimmed, None), |(name, value)| (name, Some(value)));
        let span = Span { source, start: begin, end: begin + trimmed.len() };
        if name.is_empty() || name.contains([' ', '\t']) {
            if diagnostics.len() < codes::MANY {
                let help = "write `NAME=value`";
                diagnostics.push(problem("a name has no spaces and is not empty", span, help));
            }
        } else if let Some(value) = value.map(str::to_owned).or_else(|| lookup(name)) {
            values.insert(name.to_owned(), Entry { value, span });
        }
    }
}

/// Bytes that all values of a file may have together.
const LARGEST: usize = 32 << 20;

struct Reader<'a> {
    source: SourceId,
    text: &'a str,
    at: usize,
    /// Bytes of all values after expansion.
    bytes: usize,
    lookup: &'a Lookup<'a>,
    values: &'a mut Values,
    diagnostics: &'a mut Vec<Diagnostic>,
}

/// What ends a name.
enum End {
    /// `=` or `:`.
    Separator,
    /// The line.
    Line,
    /// The file.
    File,
}

impl Reader<'_> {
    /// Goes to the next thing that is said; whether there is one.
    fn next_statement(&mut self) -> bool {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            let rest = &self.text[self.at..];
            if !rest.starts_with('#') {
                return !rest.is_empty();
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    fn entry(&mut self) {
        let rest = &self.text[self.at..];
        if let Some(after) =
            rest.strip_prefix("export").filter(|after| after.starts_with(char::is_whitespace))
        {
            self.at += rest.len() - after.trim_start_matches(is_space).len();
        }
        let start = self.at;
        let Some((length, end)) = self.name() else { return };
        let name = self.text[start..start + length].trim_end();
        let span = self.span(start, start + name.len());
        if name.contains(' ') {
            let at = start + name.find(' ').unwrap_or(0);
            let place = self.span(at, at + 1);
            self.bad_name("a name has no spaces", place);
            self.skip_line();
            return;
        }
        let name = name.to_owned();
        match end {
            End::Line => {
                self.at = start + length + 1;
                if let Some(value) = (self.lookup)(&name) {
                    self.values.insert(name, Entry { value, span });
                }
            }
            // The reference takes the last name of a file without line end for a value without name.
            End::File => {
                self.at = start;
                self.value(String::new());
            }
            End::Separator => {
                self.at = start + length + 1;
                let rest = &self.text[self.at..];
                self.at += rest.len() - rest.trim_start_matches(is_space).len();
                self.value(name);
            }
        }
    }

    /// The length of the name and what ends it. Nothing when it can't be a name, which is told.
    fn name(&mut self) -> Option<(usize, End)> {
        for (index, character) in self.text[self.at..].char_indices() {
            match character {
                '=' | ':' => return Some((index, End::Separator)),
                '\n' => return Some((index, End::Line)),
                '_' | '.' | '-' | '[' | ']' => {}
                other if is_space(other) || other.is_alphabetic() || other.is_numeric() => {}
                other => {
                    let start = self.at + index;
                    let place = self.span(start, start + other.len_utf8());
                    self.bad_name(&format!("a name can't have `{other}` in it"), place);
                    self.skip_line();
                    return None;
                }
            }
        }
        Some((self.text.len() - self.at, End::File))
    }

    /// Takes a problem up, unless there are more than anybody reads.
    fn tell(&mut self, problem: Diagnostic) {
        if self.diagnostics.len() < codes::MANY {
            self.diagnostics.push(problem);
        }
    }

    fn bad_name(&mut self, reason: &str, place: Span) {
        let help = "write `NAME=value`; names have letters, digits and `_ . - [ ]`";
        self.tell(problem(reason, place, help));
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn value(&mut self, name: String) {
        let value = match self.text[self.at..].chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => self.unquoted(),
        };
        if let Some((value, span)) = value {
            self.values.insert(name, Entry { value, span });
        }
    }

    fn unquoted(&mut self) -> Option<(String, Span)> {
        let start = self.at;
        self.skip_line();
        let line = &self.text[start..self.at];
        let raw = line.split(" #").next().unwrap_or(line).trim_end();
        let span = self.span(start, start + raw.len());
        self.expand(raw, raw, span).map(|value| (value, span))
    }

    fn quoted(&mut self, quote: char) -> Option<(String, Span)> {
        let (open, inside) = (self.at, self.at + 1);
        let mut value = String::new();
        let mut escaped = false;
        for (index, character) in self.text[inside..].char_indices() {
            if character == quote && !escaped {
                let end = inside + index;
                self.at = end + 1;
                let span = self.span(inside, end);
                if quote == '\'' {
                    return Some((value, span));
                }
                let raw = self.text[inside..end].to_owned();
                return self.expand(&unescape(&value), &raw, span).map(|value| (value, span));
            }
            if character != quote && character == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && character != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(character);
        }
        self.skip_line();
        let span = self.span(open, self.at);
        let help = format!("close it with `{quote}`");
        self.tell(problem("a quote is opened and never closed", span, &help));
        // What follows would be read from the middle of a text.
        self.at = self.text.len();
        None
    }

    fn expand(&mut self, text: &str, raw: &str, span: Span) -> Option<String> {
        let lookup = |name: &str| {
            (self.lookup)(name).or_else(|| self.values.get(name).map(|entry| entry.value.clone()))
        };
        match template::fill(text, &lookup) {
            Ok(filled) if self.bytes + filled.text.len() > LARGEST => {
                self.tell(problem("its values become too long", span, "use shorter values"));
                self.at = self.text.len();
                None
            }
            Ok(filled) => {
                self.bytes += filled.text.len();
                Some(filled.text)
            }
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
                let help = "write `$$` for a dollar sign that means itself";
                self.tell(problem(&reason, place, help));
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

/// A space that does not end the line.
fn is_space(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// Escapes of double quotes. `\$` becomes `$$`, which expansion turns into a dollar sign.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let mut length = after.chars().next().map_or(0, char::len_utf8);
        match after.as_bytes().first() {
            Some(b'a') => text.push('\u{7}'),
            Some(b'b') => text.push('\u{8}'),
            Some(b'f') => text.push('\u{c}'),
            Some(b'n') => text.push('\n'),
            Some(b'r') => text.push('\r'),
            Some(b't') => text.push('\t'),
            Some(b'v') => text.push('\u{b}'),
            Some(b'$') => text.push_str("$$"),
            Some(plain @ (b'"' | b'\\')) => text.push(char::from(*plain)),
            Some(b'0') => {
                let digits = after[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
                length = 1 + digits;
                let digits = &after[1..length];
                match u8::from_str_radix(digits, 8) {
                    Ok(code) if digits.len() == 3 => text.push(char::from(code)),
                    _ => {
                        text.push('\\');
                        text.push_str(digits);
                    }
                }
            }
            _ => {
                text.push('\\');
                text.push_str(&after[..length]);
            }
        }
        rest = &after[length..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use kernel_core::source::Sources;

    use super::*;

    fn read(text: &str) -> (Values, Vec<String>) {
        let mut sources = Sources::default();
        let source = sources.add("a.env", text);
        let lookup = |name: &str| (name == "HOME").then(|| "/home".to_owned());
        let (mut values, mut diagnostics) = (Values::new(), Vec::new());
        parse(source, text, &lookup, &mut values, &mut diagnostics);
        let told = diagnostics
            .iter()
            .map(|problem| format!("{} {}", sources.locate(problem.labels[0].span).unwrap(), problem.message))
            .collect();
        (values, told)
    }

    fn values(text: &str) -> String {
        let (values, problems) = read(text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        values.iter().map(|(name, entry)| format!("{name}={}", entry.value)).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn the_dialect() {
        let cases = [
            ("A=1\r\nB=2\r\n", "A=1|B=2"),
            ("\u{feff}A=1", "A=1"),
            ("# c\n\n  A = b c  # comment\n", "A=b c"),
            ("export A=1\nA.b-c[0]: v", "A=1|A.b-c[0]=v"),
            ("HOME\nNO\n", "HOME=/home"),
            ("A=x#y\nB=#z\nC=\nD= # x", "A=x#y|B=#z|C=|D=# x"),
            ("A='$HOME ${' # c", "A=$HOME ${"),
            ("A='a\nb'\nB=1", "A=a\nb|B=1"),
            (r#"A="a\tb \$x $$y $HOME \"q\" \z""#, "A=a\tb $x $y /home \"q\" \\z"),
            (r"A='it\'s \n'", r"A=it's \n"),
            (r#"A="\101\0101\07""#, r"A=\101A\7"),
            ("A=1\nB=$A-${A:-2}-${C:-3}\nD=\\$A $$A", "A=1|B=1-1-3|D=\\1 $A"),
            ("A=a=b:c", "A=a=b:c"),
            ("URL: http://x", "URL=http://x"),
            ("é=1", "é=1"),
            ("A=1\nB", "=B|A=1"),
            ("A=\"x\" B=2", "A=x|B=2"),
        ];
        for (text, expected) in cases {
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn every_bad_line_is_told_with_its_place() {
        let (entries, problems) = read("A=1\nB C=2\né!=4\nD=${\nNO # c\nF=5\nG='\nH=6\n");
        assert_eq!(entries.keys().map(String::as_str).collect::<Vec<_>>(), ["A", "F"]);
        insta::assert_snapshot!(problems.join("\n"), @r#"
        a.env:2:2 this env file can't be read: a name has no spaces
        a.env:3:2 this env file can't be read: a name can't have `!` in it
        a.env:4:3 this env file can't be read: a variable can't be read: the `}` is missing
        a.env:5:4 this env file can't be read: a name can't have `#` in it
        a.env:7:3 this env file can't be read: a quote is opened and never closed
        "#);
    }

    #[test]
    fn raw_takes_everything_as_it_stands() {
        let mut sources = Sources::default();
        let text = "A='x' # y\n# c\nB\nC D=1\nHOME\n";
        let source = sources.add("raw.env", text);
        let (mut values, mut diagnostics) = (Values::new(), Vec::new());
        let lookup = |name: &str| (name == "HOME").then(|| "/home".to_owned());
        parse_raw(source, text, &lookup, &mut values, &mut diagnostics);
        let read: Vec<_> = values.iter().map(|(name, entry)| (name.as_str(), entry.value.as_str())).collect();
        assert_eq!(read, [("A", "'x' # y"), ("HOME", "/home")]);
        assert_eq!(sources.locate(diagnostics[0].labels[0].span).unwrap(), "raw.env:4:1");
    }
}
