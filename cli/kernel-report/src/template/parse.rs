//! From the text of a template to what it means.

use std::ops::Range;

use serde_json::Value;

use super::{Fields, TemplateError};

type Span = Range<usize>;

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Value(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipeline, each: Vec<Node>, otherwise: Vec<Node>, span: Span },
}

/// Commands, each of which gets the value of the one before it as its last.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) enum Command {
    Value(Operand),
    Label(Operand),
    Call { function: Function, arguments: Vec<Operand>, span: Span },
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Dot,
    Field(String),
    Literal(Value),
    Inner(Box<Pipeline>),
}

/// Docker's functions, and those of Go's that formats use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Json,
    Lower,
    Upper,
    Title,
    Split,
    Join,
    Truncate,
    Pad,
    Length,
    Equal,
    NotEqual,
    Not,
    And,
    Or,
    Print,
    PrintLine,
    PrintFormatted,
}

impl Function {
    /// Each with its name and how many values it takes, `None` for any number above.
    const ALL: [(Self, &str, usize, Option<usize>); 17] = [
        (Self::Json, "json", 1, Some(1)),
        (Self::Lower, "lower", 1, Some(1)),
        (Self::Upper, "upper", 1, Some(1)),
        (Self::Title, "title", 1, Some(1)),
        (Self::Split, "split", 2, Some(2)),
        (Self::Join, "join", 2, Some(2)),
        (Self::Truncate, "truncate", 2, Some(2)),
        (Self::Pad, "pad", 3, Some(3)),
        (Self::Length, "len", 1, Some(1)),
        (Self::Equal, "eq", 2, None),
        (Self::NotEqual, "ne", 2, Some(2)),
        (Self::Not, "not", 1, Some(1)),
        (Self::And, "and", 1, None),
        (Self::Or, "or", 1, None),
        (Self::Print, "print", 0, None),
        (Self::PrintLine, "println", 0, None),
        (Self::PrintFormatted, "printf", 1, None),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(function, ..)| *function == self).map_or("", |(_, name, ..)| name)
    }

    /// Above a column these leave the heading as it is.
    pub(super) const fn leaves_headings(self) -> bool {
        matches!(self, Self::Json | Self::Lower | Self::Upper | Self::Title | Self::Truncate)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Dot,
    Field(String),
    Word(String),
    Literal(Value),
    Pipe,
    Open,
    Close,
}

/// What stands between two pairs of braces, and its place with them.
struct Action {
    tokens: Vec<(Token, Span)>,
    span: Span,
}

enum Piece {
    Text(String),
    Action(Action),
}

/// Why a list of nodes ended.
enum End {
    Text,
    Keyword(Span),
    /// With what stands behind `else`.
    Else(Action),
}

/// Reads a template. Fields and functions that are not there are told all at once; what can't be read ends the reading.
pub(super) fn parse(text: &str, fields: &Fields) -> Result<Vec<Node>, Vec<TemplateError>> {
    let pieces = match split(text) {
        Ok(pieces) => pieces,
        Err(error) => return Err(vec![error]),
    };
    let mut parser = Parser { pieces: pieces.into_iter(), fields, in_element: 0, unknown: Vec::new() };
    let nodes = match parser.nodes() {
        Ok((nodes, End::Text)) => nodes,
        Ok((_, End::Keyword(span))) => return Err(parser.with(stray("end", span))),
        Ok((_, End::Else(action))) => return Err(parser.with(stray("else", action.tokens[0].1.clone()))),
        Err(error) => return Err(parser.with(error)),
    };
    if parser.unknown.is_empty() { Ok(nodes) } else { Err(parser.unknown) }
}

fn error(span: Span, message: impl Into<String>, help: impl Into<String>) -> TemplateError {
    TemplateError { span, message: message.into(), help: help.into(), known: Vec::new() }
}

fn stray(word: &str, span: Span) -> TemplateError {
    let help = format!("leave `{{{{{word}}}}}` out, or begin with `{{{{if …}}}}` or `{{{{range …}}}}`");
    error(span, format!("`{word}` has nothing to end"), help)
}

/// Texts and actions in turn. `{{- ` and ` -}}` take the white space beside them away.
fn split(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let (mut at, mut trim) = (0, false);
    while let Some(open) = text[at..].find("{{").map(|found| at + found) {
        let inner = &text[open + 2..];
        let trims_before = inner.starts_with("- ");
        // What `\t` and `\n` stand for is white space as well.
        let before = unescaped(&text[at..open]);
        let before = if trim { before.trim_start() } else { &before };
        pieces.push(Piece::Text(if trims_before { before.trim_end() } else { before }.to_owned()));
        let begins = open + if trims_before { 4 } else { 2 };
        let comment = text[begins..].trim_start();
        if comment.starts_with("/*") {
            let starts = text.len() - comment.len();
            let ends = comment.find("*/").map(|found| starts + found + 2);
            let close = ends.and_then(|ends| {
                let rest = &text[ends..];
                let after = if rest.starts_with(" -}}") { Some((ends + 4, true)) } else { None };
                after.or_else(|| rest.starts_with("}}").then_some((ends + 2, false)))
            });
            let Some((after, trims)) = close else {
                return Err(error(starts..starts + 2, "the comment has no end", "end it with `*/}}`"));
            };
            (at, trim) = (after, trims);
            continue;
        }
        let (tokens, ends) = tokens(text, begins, open)?;
        (at, trim) = (ends + 2, text[..ends].ends_with(" -"));
        if tokens.is_empty() {
            let message = "there is nothing between the braces";
            return Err(error(open..at, message, "name a field, such as `{{.Name}}`"));
        }
        pieces.push(Piece::Action(Action { tokens, span: open..at }));
    }
    let rest = unescaped(&text[at..]);
    pieces.push(Piece::Text(if trim { rest.trim_start() } else { &rest }.to_owned()));
    Ok(pieces)
}

/// `\t` and `\n` outside of braces, as Docker's commands take them.
fn unescaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// The tokens from `at` on, and where the closing braces are. `open`: where the opening ones are.
fn tokens(text: &str, mut at: usize, open: usize) -> Result<(Vec<(Token, Span)>, usize), TemplateError> {
    let mut tokens = Vec::new();
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            return Err(error(open..open + 2, "`{{` has no `}}`", "close it"));
        };
        let word = |from: usize| {
            let letters = rest[from..].find(|letter: char| !letter.is_alphanumeric() && letter != '_');
            rest[..letters.map_or(rest.len(), |letters| from + letters)].to_owned()
        };
        let (token, length) = match first {
            _ if rest.starts_with("}}") => return Ok((tokens, at)),
            _ if rest.starts_with("-}}") && text[..at].ends_with(' ') => return Ok((tokens, at + 1)),
            _ if first.is_whitespace() => {
                at += first.len_utf8();
                continue;
            }
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '.' => match word(1) {
                name if name.len() > 1 => (Token::Field(name[1..].to_owned()), name.len()),
                _ => (Token::Dot, 1),
            },
            '"' => {
                quoted(rest).map_err(|message| error(at..end_of(text, at), message, "end it with `\"`"))?
            }
            '`' => match rest[1..].find('`') {
                Some(length) => (Token::Literal(rest[1..=length].into()), length + 2),
                None => {
                    return Err(error(
                        at..end_of(text, at),
                        "the text has no end",
                        "end it with a backquote",
                    ));
                }
            },
            '0'..='9' | '-' => {
                let digits = word(1);
                match digits.parse::<i64>() {
                    Ok(number) => (Token::Literal(number.into()), digits.len()),
                    Err(_) => {
                        let message = format!("`{digits}` is no whole number");
                        return Err(error(at..at + digits.len(), message, "write one"));
                    }
                }
            }
            _ if first.is_alphabetic() || first == '_' => {
                let word = word(0);
                let length = word.len();
                let token = match word.as_str() {
                    "true" => Token::Literal(true.into()),
                    "false" => Token::Literal(false.into()),
                    "nil" => Token::Literal(Value::Null),
                    _ => Token::Word(word),
                };
                (token, length)
            }
            _ => {
                let help = "templates here have fields, functions, pipes, `if` and `range`";
                return Err(error(at..at + first.len_utf8(), format!("`{first}` is not understood"), help));
            }
        };
        tokens.push((token, at..at + length));
        at += length;
    }
}

/// Where a text without an end ends: with the action.
fn end_of(text: &str, at: usize) -> usize {
    text[at..].find("}}").map_or(text.len(), |length| at + length)
}

/// A text in quotes and how long it is with them.
fn quoted(rest: &str) -> Result<(Token, usize), &'static str> {
    let mut escaped = false;
    for (place, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // Go's escapes are JSON's, but for a few that nobody needs here.
            '"' => {
                let text = serde_json::from_str::<Value>(&rest[..=place]);
                return text
                    .map(|text| (Token::Literal(text), place + 1))
                    .map_err(|_| "the text has a wrong escape");
            }
            _ => {}
        }
    }
    Err("the text has no end")
}

struct Parser<'a> {
    pieces: std::vec::IntoIter<Piece>,
    fields: &'a Fields,
    /// In how many `range`s.
    in_element: usize,
    /// Fields and functions that are not there.
    unknown: Vec<TemplateError>,
}

impl Parser<'_> {
    fn with(self, error: TemplateError) -> Vec<TemplateError> {
        let mut all = self.unknown;
        all.push(error);
        all
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, End), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) if text.is_empty() => continue,
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let word = match action.tokens.first() {
                Some((Token::Word(word), _)) => word.clone(),
                _ => String::new(),
            };
            match word.as_str() {
                "end" if action.tokens.len() == 1 => {
                    return Ok((nodes, End::Keyword(action.tokens[0].1.clone())));
                }
                "else" => return Ok((nodes, End::Else(action))),
                "if" => nodes.push(self.choice(&action, 1)?),
                "range" => nodes.push(self.range(&action)?),
                _ => nodes.push(Node::Value(self.whole(&action, 0)?)),
            }
        }
        Ok((nodes, End::Text))
    }

    /// `skip`: how many words stand before the condition.
    fn choice(&mut self, action: &Action, skip: usize) -> Result<Node, TemplateError> {
        let begin = action.tokens[skip - 1].1.clone();
        let condition = self.whole(action, skip)?;
        let (then, end) = self.nodes()?;
        let otherwise = match end {
            End::Text => return Err(unended("if", begin)),
            End::Keyword(_) => Vec::new(),
            End::Else(action) if matches!(action.tokens.get(1), Some((Token::Word(word), _)) if word == "if") =>
            {
                vec![self.choice(&action, 2)?]
            }
            End::Else(_) => self.up_to_end("if", begin)?,
        };
        Ok(Node::If { condition, then, otherwise })
    }

    fn range(&mut self, action: &Action) -> Result<Node, TemplateError> {
        let begin = action.tokens[0].1.clone();
        let over = self.whole(action, 1)?;
        self.in_element += 1;
        let inside = self.nodes();
        self.in_element -= 1;
        let (each, end) = inside?;
        let otherwise = match end {
            End::Text => return Err(unended("range", begin)),
            End::Keyword(_) => Vec::new(),
            End::Else(_) => self.up_to_end("range", begin.clone())?,
        };
        Ok(Node::Range { over, each, otherwise, span: begin })
    }

    fn up_to_end(&mut self, word: &str, begin: Span) -> Result<Vec<Node>, TemplateError> {
        match self.nodes()? {
            (nodes, End::Keyword(_)) => Ok(nodes),
            (_, End::Else(action)) => Err(stray("else", action.tokens[0].1.clone())),
            (_, End::Text) => Err(unended(word, begin)),
        }
    }

    /// The pipeline of an action, from its token `skip` on.
    fn whole(&mut self, action: &Action, skip: usize) -> Result<Pipeline, TemplateError> {
        let mut rest = &action.tokens[skip..];
        let pipeline = self.pipeline(&mut rest, &action.span)?;
        match rest.first() {
            Some((_, span)) => Err(error(span.clone(), "`)` has no `(`", "leave it out")),
            None => Ok(pipeline),
        }
    }

    fn pipeline(&mut self, rest: &mut &[(Token, Span)], around: &Span) -> Result<Pipeline, TemplateError> {
        let mut commands = Vec::new();
        loop {
            let piped = !commands.is_empty();
            commands.push(self.command(rest, around, piped)?);
            match rest.split_first() {
                Some(((Token::Pipe, _), after)) => *rest = after,
                _ => return Ok(Pipeline { commands }),
            }
        }
    }

    fn command(
        &mut self,
        rest: &mut &[(Token, Span)],
        around: &Span,
        piped: bool,
    ) -> Result<Command, TemplateError> {
        let Some((head, span)) = rest.first().cloned() else {
            return Err(error(around.clone(), "a value is missing", "name a field, such as `{{.Name}}`"));
        };
        if let Token::Word(word) = head {
            *rest = &rest[1..];
            let arguments = self.operands(rest)?;
            return Ok(self.call(&word, arguments, span, piped));
        }
        let is_label = matches!(&head, Token::Field(name) if name == "Label")
            && self.fields.labels
            && self.in_element == 0;
        if is_label {
            *rest = &rest[1..];
            let mut arguments = self.operands(rest)?;
            let (Some(name), true) = (arguments.pop(), arguments.is_empty()) else {
                let message = "`.Label` takes the name of a label";
                return Err(error(span, message, "write `.Label \"NAME\"`"));
            };
            return Ok(Command::Label(name));
        }
        let Some(value) = self.operand(rest)? else {
            return Err(error(span, "a value is missing", "name a field, such as `{{.Name}}`"));
        };
        if piped || !self.operands(rest)?.is_empty() {
            let shown = match head {
                Token::Field(name) => format!("`.{name}`"),
                _ => "a value".to_owned(),
            };
            return Err(error(span, format!("{shown} takes no values"), "put a function before it"));
        }
        Ok(Command::Value(value))
    }

    fn call(&mut self, word: &str, arguments: Vec<Operand>, span: Span, piped: bool) -> Command {
        let found = Function::ALL.iter().find(|(_, name, ..)| *name == word);
        let Some((function, name, least, most)) = found else {
            let known: Vec<&str> = Function::ALL.iter().map(|(_, name, ..)| *name).collect();
            let help = format!("functions: {}", known.join(", "));
            let error = error(span, format!("there is no function `{word}`"), help);
            self.unknown.push(TemplateError { known, ..error });
            return Command::Value(Operand::Literal(Value::Null));
        };
        let count = arguments.len() + usize::from(piped);
        if count < *least || most.is_some_and(|most| count > most) {
            let (values, are) =
                (if *least == 1 { "value" } else { "values" }, if count == 1 { "is" } else { "are" });
            let more = if most.is_none() { "at least " } else { "" };
            let message = format!("`{name}` takes {more}{least} {values}, and there {are} {count}");
            self.unknown.push(error(
                span.clone(),
                message,
                "values stand behind the function, separated by spaces",
            ));
        }
        Command::Call { function: *function, arguments, span }
    }

    fn operands(&mut self, rest: &mut &[(Token, Span)]) -> Result<Vec<Operand>, TemplateError> {
        let mut operands = Vec::new();
        while let Some(operand) = self.operand(rest)? {
            operands.push(operand);
        }
        Ok(operands)
    }

    fn operand(&mut self, rest: &mut &[(Token, Span)]) -> Result<Option<Operand>, TemplateError> {
        let Some(((token, span), after)) = rest.split_first() else { return Ok(None) };
        let operand = match token {
            Token::Pipe | Token::Close => return Ok(None),
            Token::Dot => Operand::Dot,
            Token::Field(name) => {
                self.check(name, span);
                Operand::Field(name.clone())
            }
            Token::Literal(value) => Operand::Literal(value.clone()),
            // A function without values.
            Token::Word(word) => {
                let command = self.call(word, Vec::new(), span.clone(), false);
                Operand::Inner(Box::new(Pipeline { commands: vec![command] }))
            }
            Token::Open => {
                *rest = after;
                let pipeline = self.pipeline(rest, span)?;
                match rest.split_first() {
                    Some(((Token::Close, _), after)) => *rest = after,
                    _ => return Err(error(span.clone(), "`(` has no `)`", "close it")),
                }
                return Ok(Some(Operand::Inner(Box::new(pipeline))));
            }
        };
        *rest = after;
        Ok(Some(operand))
    }

    fn check(&mut self, name: &str, span: &Span) {
        let known: Vec<&str> = match self.in_element {
            0 => self.fields.named.iter().map(|(name, _)| *name).collect(),
            _ => self.fields.of_elements.to_vec(),
        };
        if !known.contains(&name) {
            let label = if self.fields.labels && self.in_element == 0 { ", Label \"NAME\"" } else { "" };
            let help = format!("fields: {}{label}", known.join(", "));
            let error = error(span.clone(), format!("there is no field `{name}`"), help);
            self.unknown.push(TemplateError { known, ..error });
        }
    }
}

fn unended(word: &str, begin: Span) -> TemplateError {
    error(begin, format!("`{word}` has no `{{{{end}}}}`"), "end it with `{{end}}`")
}
