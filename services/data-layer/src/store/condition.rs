//! Filters as SQL over the JSON of a record. Values and paths are always parameters, never text of the statement.
//!
//! In SQLite's dialect: `json_extract` and `json_type`, `GLOB` where letter case counts and `LIKE` (ASCII only) where it
//! does not. In PostgreSQL's: `->`, `->>` and `jsonb_typeof`, `LIKE` and `ILIKE`, all in the collation `C`, which orders
//! by code point and folds ASCII only, as SQLite does.

use svc_stores::relational::{Dialect, Value};

use crate::domain::{Comparison, Filter, Operand, Operator, Target};

/// The `AND …` of a statement, and its values from `$2` on.
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
    dialect: Dialect,
}

/// The expressions for one field of the JSON.
struct Field {
    /// The JSON type's name; `NULL` where there is no such field.
    kind: String,
    is_number: String,
    is_text: String,
    /// The value to compare with a number, where it is one.
    number: String,
    /// The value to compare with a text, where it is one.
    text: String,
}

impl Conditions {
    /// No conditions yet, behind values that the statement has already.
    pub(super) fn behind(values: Vec<Value>, dialect: Dialect) -> Self {
        Self { sql: String::new(), values, dialect }
    }

    pub(super) fn finish(self) -> (String, Vec<Value>) {
        (self.sql, self.values)
    }

    pub(super) fn add(&mut self, filter: &Filter) {
        let condition = match &filter.target {
            Target::Id if self.dialect == Dialect::Postgres => {
                self.column("id::text COLLATE \"C\"", &filter.comparison)
            }
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

    fn expressions(&mut self, path: &[String]) -> Field {
        match self.dialect {
            Dialect::Sqlite => {
                // Each part in quotes: a path can name a field with a dash, and nothing else.
                let path: String = path.iter().map(|part| format!(".\"{part}\"")).collect();
                let path = self.bind(format!("${path}"));
                let value = format!("json_extract(data, {path})");
                let kind = format!("json_type(data, {path})");
                Field {
                    is_number: format!("{kind} IN ('integer', 'real')"),
                    is_text: format!("{kind} = 'text'"),
                    number: value.clone(),
                    text: value,
                    kind,
                }
            }
            Dialect::Postgres => {
                let parts: String =
                    path.iter().map(|part| format!(" -> {}", self.bind(part.as_str()))).collect();
                let value = format!("(data{parts})");
                let kind = format!("jsonb_typeof({value})");
                let is_number = format!("{kind} = 'number'");
                let text = format!("({value} #>> '{{}}')");
                Field {
                    is_text: format!("{kind} = 'string'"),
                    // Only a CASE keeps the cast from being tried on what is no number.
                    number: format!("(CASE WHEN {is_number} THEN {text}::float8 END)"),
                    text: format!("{text} COLLATE \"C\""),
                    is_number,
                    kind,
                }
            }
        }
    }

    fn is_boolean(&self, field: &Field, flag: bool) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("{} = '{flag}'", field.kind),
            Dialect::Postgres => format!("{} = 'boolean' AND {} = '{flag}'", field.kind, field.text),
        }
    }

    fn field(&mut self, path: &[String], comparison: &Comparison) -> String {
        let field = self.expressions(path);
        let Field { kind, is_number, is_text, number: as_number, text: as_text } = &field;
        match comparison {
            Comparison::IsNull => format!("{kind} IS NULL OR {kind} = 'null'"),
            Comparison::IsBoolean(flag) => self.is_boolean(&field, *flag),
            Comparison::Like(pattern, sensitive) => {
                format!("{is_text} AND {}", self.like(as_text, pattern, *sensitive))
            }
            Comparison::Order(operator, operand) => {
                let symbol = symbol(*operator);
                let text = match operand {
                    Operand::Number(number, _) => {
                        let place = self.bind(*number);
                        return format!("{is_number} AND {as_number} {symbol} {place}");
                    }
                    Operand::Boolean(flag) => flag.to_string(),
                    Operand::Time(time) => time.to_string(),
                    Operand::Text(text) => text.clone(),
                };
                let place = self.bind(text);
                format!("{is_text} AND {as_text} {symbol} {place}")
            }
            Comparison::Among(operands, wanted) => {
                let equals: Vec<String> =
                    operands.iter().map(|operand| self.equals(operand, &field)).collect();
                let any = equals.join(" OR ");
                if *wanted { any } else { format!("{kind} IS NOT NULL AND {kind} <> 'null' AND NOT ({any})") }
            }
        }
    }

    fn equals(&mut self, operand: &Operand, field: &Field) -> String {
        let Field { is_number, is_text, number: as_number, text: as_text, .. } = field;
        let (other, text) = match operand {
            Operand::Number(number, text) => {
                let number = self.bind(*number);
                (Some(format!("({is_number} AND {as_number} = {number})")), text.clone())
            }
            Operand::Boolean(flag) => {
                (Some(format!("({})", self.is_boolean(field, *flag))), flag.to_string())
            }
            Operand::Text(text) => (None, text.clone()),
            Operand::Time(time) => (None, time.to_string()),
        };
        let text = self.bind(text);
        let same_text = format!("({is_text} AND {as_text} = {text})");
        other.map_or(same_text.clone(), |other| format!("{other} OR {same_text}"))
    }

    fn like(&mut self, value: &str, pattern: &str, sensitive: bool) -> String {
        if sensitive && self.dialect == Dialect::Sqlite {
            // What GLOB takes for more than itself stands in a set of one.
            let escaped = pattern.replace('[', "[[]").replace('?', "[?]");
            let place = self.bind(escaped);
            return format!("{value} GLOB {place}");
        }
        let escaped = pattern.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('*', "%");
        let place = self.bind(escaped);
        let like = if self.dialect == Dialect::Postgres && !sensitive { "ILIKE" } else { "LIKE" };
        format!("{value} {like} {place} ESCAPE '\\'")
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
