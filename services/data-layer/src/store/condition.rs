//! Filters as SQL over the JSON of a record. Values and paths are always parameters, never text of the statement.
//!
//! This is SQLite's dialect: `json_extract` and `json_type`, `GLOB` where letter case counts and `LIKE` (ASCII only)
//! where it does not. The adapter for PostgreSQL brings its own.

use svc_stores::relational::Value;

use crate::domain::{Comparison, Filter, Operand, Operator, Target};

/// The `AND …` of a statement, and its values from `$2` on.
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// No conditions yet, behind values that the statement has already.
    pub(super) fn behind(values: Vec<Value>) -> Self {
        Self { sql: String::new(), values }
    }

    pub(super) fn finish(self) -> (String, Vec<Value>) {
        (self.sql, self.values)
    }

    pub(super) fn add(&mut self, filter: &Filter) {
        let condition = match &filter.target {
            Target::Id => self.column("id", &filter.comparison),
            Target::CreatedAt => self.column("created_at", &filter.comparison),
            Target::UpdatedAt => self.column("updated_at", &filter.comparison),
            Target::Field(path) => self.field(path, &filter.comparison),
        };
        self.sql.push_str(" AND (");
        self.sql.push_str(&condition);
        self.sql.push(')');
    }

    /// The placeholder of a value.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        // The tenant is $1.
        format!("${}", self.values.len() + 1)
    }

    /// A column of its own type, which is never null.
    fn column(&mut self, column: &str, comparison: &Comparison) -> String {
        match comparison {
            Comparison::Order(operator, operand) => {
                let place = self.bind_column(operand);
                format!("{column} {} {place}", symbol(*operator))
            }
            Comparison::Among(operands, wanted) => {
                let places: Vec<String> = operands.iter().map(|operand| self.bind_column(operand)).collect();
                let not = if *wanted { "" } else { "NOT " };
                format!("{column} {not}IN ({})", places.join(", "))
            }
            Comparison::Like(pattern, sensitive) => self.like(column, pattern, *sensitive),
            Comparison::IsNull | Comparison::IsBoolean(_) => "FALSE".to_owned(),
        }
    }

    fn bind_column(&mut self, operand: &Operand) -> String {
        match operand {
            Operand::Time(time) => self.bind(*time),
            Operand::Text(text) | Operand::Number(_, text) => self.bind(text.as_str()),
            Operand::Boolean(flag) => self.bind(*flag),
        }
    }

    fn field(&mut self, path: &[String], comparison: &Comparison) -> String {
        // Each part in quotes: a path can name a field with a dash, and nothing else.
        let path: String = path.iter().map(|part| format!(".\"{part}\"")).collect();
        let path = self.bind(format!("${path}"));
        let value = format!("json_extract(data, {path})");
        let kind = format!("json_type(data, {path})");
        let is_number = format!("{kind} IN ('integer', 'real')");
        let is_text = format!("{kind} = 'text'");
        match comparison {
            Comparison::IsNull => format!("{kind} IS NULL OR {kind} = 'null'"),
            Comparison::IsBoolean(flag) => format!("{kind} = '{flag}'"),
            Comparison::Like(pattern, sensitive) => {
                format!("{is_text} AND {}", self.like(&value, pattern, *sensitive))
            }
            Comparison::Order(operator, operand) => {
                let symbol = symbol(*operator);
                match operand {
                    Operand::Number(number, _) => {
                        let place = self.bind(*number);
                        format!("{is_number} AND {value} {symbol} {place}")
                    }
                    Operand::Boolean(flag) => {
                        let place = self.bind(flag.to_string());
                        format!("{is_text} AND {value} {symbol} {place}")
                    }
                    Operand::Time(time) => {
                        let place = self.bind(time.to_string());
                        format!("{is_text} AND {value} {symbol} {place}")
                    }
                    Operand::Text(text) => {
                        let place = self.bind(text.as_str());
                        format!("{is_text} AND {value} {symbol} {place}")
                    }
                }
            }
            Comparison::Among(operands, wanted) => {
                let equals: Vec<String> = operands
                    .iter()
                    .map(|operand| self.equals(operand, &value, &kind, &is_number, &is_text))
                    .collect();
                let any = equals.join(" OR ");
                if *wanted { any } else { format!("{kind} IS NOT NULL AND {kind} <> 'null' AND NOT ({any})") }
            }
        }
    }

    fn equals(
        &mut self,
        operand: &Operand,
        value: &str,
        kind: &str,
        is_number: &str,
        is_text: &str,
    ) -> String {
        match operand {
            Operand::Number(number, text) => {
                let (number, text) = (self.bind(*number), self.bind(text.as_str()));
                format!("({is_number} AND {value} = {number}) OR ({is_text} AND {value} = {text})")
            }
            Operand::Boolean(flag) => {
                let text = self.bind(flag.to_string());
                format!("{kind} = '{flag}' OR ({is_text} AND {value} = {text})")
            }
            Operand::Text(text) => {
                let text = self.bind(text.as_str());
                format!("({is_text} AND {value} = {text})")
            }
            Operand::Time(time) => {
                let text = self.bind(time.to_string());
                format!("({is_text} AND {value} = {text})")
            }
        }
    }

    fn like(&mut self, value: &str, pattern: &str, sensitive: bool) -> String {
        if sensitive {
            // What GLOB takes for more than itself stands in a set of one.
            let escaped = pattern.replace('[', "[[]").replace('?', "[?]");
            let place = self.bind(escaped);
            format!("{value} GLOB {place}")
        } else {
            let escaped =
                pattern.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('*', "%");
            let place = self.bind(escaped);
            format!("{value} LIKE {place} ESCAPE '\\'")
        }
    }
}

const fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Less => "<",
        Operator::Greater => ">",
        Operator::AtMost => "<=",
        Operator::AtLeast => ">=",
    }
}
