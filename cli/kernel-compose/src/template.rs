//! `$NAME` and `${NAME…}` in a text: reading and filling in, without knowing where the values come from.

use std::ops::Range;

/// Deeper nesting of defaults is refused.
const DEPTH: usize = 32;

/// Finds the value of a variable. `None`: it is not set.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What filling in gave.
#[derive(Debug, Default)]
pub struct Filled {
    /// The text with every variable replaced.
    pub text: String,
    /// Variables that had neither value nor default, at most [`UNSET`] of them.
    pub unset: Vec<(String, Range<usize>)>,
}

/// Variables without value that are remembered of one template.
const UNSET: usize = 1_000;

/// Bytes that values may add to one template.
const GROWTH: usize = 1 << 20;

/// Why a template can't be filled in.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// It can't be read.
    Format {
        /// The place in the template.
        range: Range<usize>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `${NAME:?message}` without a value.
    Required {
        /// The place in the template.
        range: Range<usize>,
        /// The variable.
        name: String,
        /// The message in the template; may be empty.
        message: String,
    },
}

/// Fills in a template. A lone `$`, `$1` and `$)` stay as they are; `$$` becomes `$`.
pub fn fill(template: &str, lookup: &Lookup<'_>) -> Result<Filled, Problem> {
    let mut filled = Filled::default();
    let mut filler = Filler { template, lookup, filled: &mut filled };
    let text = filler.part(0, template.len(), 0)?;
    filled.text = text;
    Ok(filled)
}

/// How a variable is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mention {
    /// Its name.
    pub name: String,
    /// What stands for it when it has no value, as written.
    pub default: String,
    /// What stands for its value when it has one, as written.
    pub alternate: String,
    /// Whether it has to have a value.
    pub required: bool,
}

/// Every variable of a template, those in defaults included. What can't be read is passed over.
pub fn mentions(template: &str, found: &mut Vec<Mention>) {
    mentions_within(template, 0, found);
}

fn mentions_within(template: &str, depth: usize, found: &mut Vec<Mention>) {
    let mut filled = Filled::default();
    let filler = Filler { template, lookup: &|_| None, filled: &mut filled };
    let mut at = 0;
    while let Some(dollar) = template[at..].find('$') {
        at += dollar;
        let after = &template[at + 1..];
        if after.starts_with('$') {
            at += 2;
        } else if after.starts_with('{') {
            let Ok(braced) = filler.braced(at, template.len()) else {
                at += 2;
                continue;
            };
            let argument = &template[braced.argument];
            let mut mention = Mention { name: template[braced.name].to_owned(), ..Mention::default() };
            match braced.operator.trim_start_matches(':') {
                "-" => mention.default = argument.to_owned(),
                "+" => mention.alternate = argument.to_owned(),
                "?" => mention.required = true,
                _ => {}
            }
            let nested = format!("{}{}", mention.default, mention.alternate);
            found.push(mention);
            if depth < DEPTH {
                mentions_within(&nested, depth + 1, found);
            }
            at = braced.end;
        } else {
            let length = name_length(after);
            if length > 0 {
                found.push(Mention { name: after[..length].to_owned(), ..Mention::default() });
            }
            at += 1 + length;
        }
    }
}

struct Filler<'a> {
    template: &'a str,
    lookup: &'a Lookup<'a>,
    filled: &'a mut Filled,
}

/// A `${…}` taken apart, by places in the template.
struct Braced {
    name: Range<usize>,
    operator: &'static str,
    argument: Range<usize>,
    end: usize,
}

impl Filler<'_> {
    fn part(&mut self, mut at: usize, end: usize, depth: usize) -> Result<String, Problem> {
        let mut text = String::new();
        while at < end {
            let rest = &self.template[at..end];
            let Some(dollar) = rest.find('$') else {
                text.push_str(rest);
                break;
            };
            text.push_str(&rest[..dollar]);
            at += dollar;
            if text.len() > self.template.len() + GROWTH {
                return Err(Problem::Format { range: at..at + 1, reason: "the text becomes too long" });
            }
            let after = &self.template[at + 1..end];
            if after.starts_with('$') {
                text.push('$');
                at += 2;
            } else if after.starts_with('{') {
                let braced = self.braced(at, end)?;
                text.push_str(&self.value(at, &braced, depth)?);
                at = braced.end;
            } else {
                let length = name_length(after);
                let range = at..at + 1 + length;
                match &after[..length] {
                    "" => text.push('$'),
                    name => text.push_str(&self.plain(name, range)),
                }
                at += 1 + length;
            }
        }
        Ok(text)
    }

    fn plain(&mut self, name: &str, range: Range<usize>) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            if self.filled.unset.len() < UNSET {
                self.filled.unset.push((name.to_owned(), range));
            }
            String::new()
        })
    }

    fn value(&mut self, at: usize, braced: &Braced, depth: usize) -> Result<String, Problem> {
        let range = at..braced.end;
        let name = self.template[braced.name.clone()].to_owned();
        if braced.operator.is_empty() {
            return Ok(self.plain(&name, range));
        }
        if depth == DEPTH {
            return Err(Problem::Format { range, reason: "defaults are nested too deep" });
        }
        // The argument is filled in also where nothing is made of it: what can't be read in it is told, and what has no
        // value in it is not.
        let unset = self.filled.unset.len();
        let argument = self.part(braced.argument.start, braced.argument.end, depth + 1)?;
        let found = (self.lookup)(&name);
        // With a colon an empty value counts as unset.
        let present = found.filter(|value| !braced.operator.starts_with(':') || !value.is_empty());
        match (braced.operator.trim_start_matches(':'), present) {
            ("+", Some(_)) | ("-", None) => Ok(argument),
            ("+", None) => {
                self.filled.unset.truncate(unset);
                Ok(String::new())
            }
            (_, Some(value)) => {
                self.filled.unset.truncate(unset);
                Ok(value)
            }
            _ => Err(Problem::Required { range, name, message: argument }),
        }
    }

    /// Takes the `${…}` at `at` apart. An argument does not go over the end of its line, and braces in it pair up.
    fn braced(&self, at: usize, end: usize) -> Result<Braced, Problem> {
        let start = at + 2;
        let rest = &self.template[start..end];
        let length = name_length(rest);
        let name = start..start + length;
        let problem = |reason| {
            let close = rest.find(['}', '\n']).map_or(end, |close| start + close);
            let close = if self.template[close..].starts_with('}') { close + 1 } else { close };
            Problem::Format { range: at..close, reason }
        };
        let after = &rest[length..];
        if length == 0 {
            return Err(problem(match after.as_bytes().first() {
                None => "the `}` is missing",
                Some(b'}') => "the name is missing",
                Some(_) => "a name starts with a letter or `_`",
            }));
        }
        if after.starts_with('}') {
            return Ok(Braced { argument: name.end..name.end, operator: "", end: name.end + 1, name });
        }
        let operators = [":-", ":?", ":+", "-", "?", "+"];
        let Some(operator) = operators.into_iter().find(|operator| after.starts_with(operator)) else {
            let reason = if after.contains('}') {
                "after the name comes `}` or one of `:-` `-` `:?` `?` `:+` `+`"
            } else {
                "the `}` is missing"
            };
            return Err(problem(reason));
        };
        let argument = name.end + operator.len();
        let line = self.template[argument..end].find('\n').map_or(end, |length| argument + length);
        let Some(last) = self.template[argument..line].rfind('}').map(|length| argument + length) else {
            return Err(problem("the `}` is missing"));
        };
        let close = self.closing(at, last + 1).unwrap_or(last);
        if close < argument {
            return Err(problem("the `}` is missing"));
        }
        Ok(Braced { argument: argument..close, operator, end: close + 1, name })
    }

    /// The place of the `}` that pairs up with the first `{`. What follows a `{` is never looked at.
    fn closing(&self, at: usize, end: usize) -> Option<usize> {
        let bytes = self.template.as_bytes();
        let (mut index, mut open) = (at, 0_usize);
        while index < end {
            match bytes[index] {
                b'}' if open == 1 => return Some(index),
                b'}' => open = open.saturating_sub(1),
                b'{' => {
                    open += 1;
                    index += 1;
                }
                _ => {}
            }
            index += 1;
        }
        None
    }
}

fn name_length(text: &str) -> usize {
    let word = |(index, byte): &(usize, u8)| {
        *byte == b'_' || byte.is_ascii_alphabetic() || (*index > 0 && byte.is_ascii_digit())
    };
    text.bytes().enumerate().take_while(word).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, Problem> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        fill(template, &lookup).map(|filled| filled.text)
    }

    #[test]
    fn every_form_of_a_variable() {
        let cases = [
            ("$A ${A} x", "a a x"),
            ("${A:-d} ${A-d} ${NO:-d} ${NO-d} ${EMPTY:-d} ${EMPTY-d}", "a a d d d "),
            ("${A:+s} ${A+s} ${NO:+s}|${NO+s}|${EMPTY:+s}|${EMPTY+s}", "s s |||s"),
            ("${A:?no} ${EMPTY?no}", "a "),
            ("${NO:-${ALSO:-${A}}}", "a"),
            ("${NO:-{x}}", "{x}"),
            ("$$A $${A} $$$A", "$A ${A} $a"),
            ("cost: $ 5 $1 $) $", "cost: $ 5 $1 $) $"),
            ("$A_B$A.b", "a.b"),
            ("${NO}é", "é"),
            ("${NO:-a}}", "a}"),
        ];
        for (template, expected) in cases {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (template, expected) in [
            ("x ${", 2..4),
            ("${A:-x\ny}", 0..6),
            ("${}", 0..3),
            ("é${1A}", 2..7),
            ("${A:=x}", 0..7),
            ("${A#x}", 0..6),
            ("${NO:-${}}", 6..9),
        ] {
            match filled(template) {
                Err(Problem::Format { range, .. }) if range == expected => {}
                other => panic!("{template}: {other:?}"),
            }
        }
        assert_eq!(
            filled("x ${NO:?set ${A}}"),
            Err(Problem::Required { range: 2..17, name: "NO".into(), message: "set a".into() })
        );
    }
}
