//! From a template and a record to text.

use serde_json::Value;

use super::parse::{Command, Function, Node, Operand, Pipeline};
use super::{Fields, Record, TemplateError};

/// What a template is filled with.
pub(super) enum Row<'a> {
    /// A thing that is shown.
    Of(&'a Record),
    /// What stands above the columns.
    Headings(&'a Fields),
}

pub(super) fn render(nodes: &[Node], row: &Row<'_>) -> Result<String, TemplateError> {
    let mut out = String::new();
    Evaluation { row, element: None }.write(nodes, &mut out)?;
    Ok(out)
}

struct Evaluation<'a> {
    row: &'a Row<'a>,
    /// What `range` is at.
    element: Option<&'a Value>,
}

impl Evaluation<'_> {
    fn write(&self, nodes: &[Node], out: &mut String) -> Result<(), TemplateError> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Value(pipeline) => out.push_str(&self.shown(&self.pipeline(pipeline)?)),
                Node::If { condition, then, otherwise } => {
                    let chosen = if is_true(&self.pipeline(condition)?) { then } else { otherwise };
                    self.write(chosen, out)?;
                }
                Node::Range { over, each, otherwise, span } => {
                    let list = match (self.pipeline(over)?, self.row) {
                        (Value::Array(list), _) => list,
                        (Value::Null, _) | (_, Row::Headings(_)) => Vec::new(),
                        (other, _) => {
                            return Err(TemplateError {
                                span: span.clone(),
                                message: format!("`range` needs a list, and this is {other}"),
                                help: "show the field as it is, without `range`".to_owned(),
                                known: Vec::new(),
                            });
                        }
                    };
                    for element in &list {
                        Evaluation { row: self.row, element: Some(element) }.write(each, out)?;
                    }
                    if list.is_empty() {
                        self.write(otherwise, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A value as it stands in a line. The record itself is no single value: it is shown as JSON.
    fn shown(&self, value: &Value) -> String {
        match (value, self.element) {
            (Value::Object(_), None) => value.to_string(),
            _ => text(value),
        }
    }

    fn pipeline(&self, pipeline: &Pipeline) -> Result<Value, TemplateError> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last)?);
        }
        Ok(last.unwrap_or(Value::Null))
    }

    fn command(&self, command: &Command, piped: Option<Value>) -> Result<Value, TemplateError> {
        match command {
            Command::Value(operand) => self.operand(operand),
            Command::Label(name) => {
                let name = text(&self.operand(name)?);
                Ok(Value::String(match self.row {
                    Row::Of(record) => record.labels.get(&name).cloned().unwrap_or_default(),
                    Row::Headings(_) => name.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " "),
                }))
            }
            Command::Call { function, arguments, span } => {
                let values = arguments.iter().map(|argument| self.operand(argument));
                let mut values: Vec<Value> = values.collect::<Result<_, _>>()?;
                values.extend(piped);
                if matches!(self.row, Row::Headings(_)) && function.leaves_headings() {
                    return Ok(values.swap_remove(0));
                }
                call(*function, &values).map_err(|message| TemplateError {
                    span: span.clone(),
                    message,
                    help: "look at what the field is with `{{json .}}`".to_owned(),
                    known: Vec::new(),
                })
            }
        }
    }

    fn operand(&self, operand: &Operand) -> Result<Value, TemplateError> {
        Ok(match operand {
            Operand::Literal(value) => value.clone(),
            Operand::Inner(pipeline) => self.pipeline(pipeline)?,
            Operand::Dot => match (self.element, self.row) {
                (Some(element), _) => element.clone(),
                (None, Row::Of(record)) => Value::Object(record.fields.clone()),
                (None, Row::Headings(_)) => Value::Null,
            },
            Operand::Field(name) => match (self.element, self.row) {
                (Some(element), _) => element.get(name).cloned().unwrap_or(Value::Null),
                (None, Row::Of(record)) => record.fields.get(name).cloned().unwrap_or(Value::Null),
                (None, Row::Headings(fields)) => {
                    let heading = fields.named.iter().find(|(field, _)| field == name);
                    heading.map_or(Value::Null, |(_, heading)| (*heading).into())
                }
            },
        })
    }
}

/// As Go prints it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => format!("{{{}}}", fields.values().map(text).collect::<Vec<_>>().join(" ")),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// As Go's templates judge it: what is empty or zero is not.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// The number of values was checked when the template was read.
fn call(function: Function, values: &[Value]) -> Result<Value, String> {
    let name = function.name();
    let strange = |value: &Value| format!("`{name}` can't work on this: {value}");
    let at = |place: usize| values.get(place).unwrap_or(&Value::Null);
    let words = |place: usize| match at(place) {
        value @ (Value::Array(_) | Value::Object(_)) => Err(strange(value)),
        value => Ok(text(value)),
    };
    let number = |place: usize| at(place).as_u64().and_then(|number| usize::try_from(number).ok());
    let count = |place: usize| number(place).filter(|count| *count <= 4096).ok_or_else(|| strange(at(place)));
    Ok(match function {
        Function::Json => Value::String(at(0).to_string()),
        Function::Lower => words(0)?.to_lowercase().into(),
        Function::Upper => words(0)?.to_uppercase().into(),
        Function::Title => title(&words(0)?).into(),
        Function::Split => {
            let (whole, separator) = (words(0)?, words(1)?);
            whole.split(separator.as_str()).filter(|part| !separator.is_empty() || !part.is_empty()).collect()
        }
        Function::Join => {
            let list = at(0).as_array().ok_or_else(|| strange(at(0)))?;
            list.iter().map(text).collect::<Vec<_>>().join(&words(1)?).into()
        }
        Function::Truncate => words(0)?.chars().take(count(1)?).collect::<String>().into(),
        Function::Pad => match words(0)? {
            empty if empty.is_empty() => empty.into(),
            word => format!("{}{word}{}", " ".repeat(count(1)?), " ".repeat(count(2)?)).into(),
        },
        Function::Length => match at(0) {
            Value::String(text) => text.len().into(),
            Value::Array(list) => list.len().into(),
            Value::Object(fields) => fields.len().into(),
            other => return Err(strange(other)),
        },
        Function::Equal => values.iter().skip(1).any(|value| value == at(0)).into(),
        Function::NotEqual => (at(0) != at(1)).into(),
        Function::Not => (!is_true(at(0))).into(),
        Function::And => {
            values.iter().find(|value| !is_true(value)).or(values.last()).cloned().unwrap_or_default()
        }
        Function::Or => {
            values.iter().find(|value| is_true(value)).or(values.last()).cloned().unwrap_or_default()
        }
        Function::Print => printed(values).into(),
        Function::PrintLine => (values.iter().map(text).collect::<Vec<_>>().join(" ") + "\n").into(),
        Function::PrintFormatted => formatted(&words(0)?, values.get(1..).unwrap_or_default())?.into(),
    })
}

/// Go's `Print` has a space between two values of which none is a text.
fn printed(values: &[Value]) -> String {
    let mut out = String::new();
    for (place, value) in values.iter().enumerate() {
        if place > 0 && !value.is_string() && !values[place - 1].is_string() {
            out.push(' ');
        }
        out.push_str(&text(value));
    }
    out
}

/// Go's `Printf`, with `%s`, `%v`, `%q`, `%d` and `%%`.
fn formatted(pattern: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let verb = characters.next().ok_or("`printf` has a `%` at its end")?;
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| format!("`printf` has no value for `%{verb}`"))?;
        match (verb, value) {
            ('s' | 'v', value) => out.push_str(&text(value)),
            ('d', Value::Number(number)) => out.push_str(&number.to_string()),
            ('q', Value::String(text)) => out.push_str(&Value::String(text.clone()).to_string()),
            ('d' | 'q', value) => return Err(format!("`printf` can't write {value} as `%{verb}`")),
            _ => return Err(format!("`printf` does not know `%{verb}`: it knows %s, %v, %q, %d and %%")),
        }
    }
    match values.next() {
        Some(value) => Err(format!("`printf` has nothing for {value}")),
        None => Ok(out),
    }
}

fn title(words: &str) -> String {
    let mut begins = true;
    let letter = |letter: char| {
        let first =
            std::mem::replace(&mut begins, !letter.is_alphanumeric() && letter != '_' && letter != '\'');
        if first { letter.to_uppercase().collect::<String>() } else { letter.to_string() }
    };
    words.chars().map(letter).collect()
}
