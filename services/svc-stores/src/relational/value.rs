//! Values that go into a statement and rows that come out, the same for every database.
//!
//! Columns are declared with PostgreSQL's names (`UUID`, `TIMESTAMPTZ`, `JSONB`, `BIGINT`, `BOOLEAN`, `TEXT`,
//! `BYTEA`, `DOUBLE PRECISION`). SQLite takes them too and keeps an id as text, a time as microseconds, JSON as
//! text and a boolean as 0 or 1; reading by type hides that.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::tenant::TenantId;

/// One value of a statement or a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// `BOOLEAN`.
    Boolean(bool),
    /// `BIGINT`.
    Integer(i64),
    /// `DOUBLE PRECISION`.
    Real(f64),
    /// `TEXT`.
    Text(String),
    /// `BYTEA`.
    Bytes(Vec<u8>),
    /// `UUID`.
    Uuid(Uuid),
    /// `TIMESTAMPTZ`, to the microsecond.
    Timestamp(Timestamp),
    /// `JSONB`.
    Json(serde_json::Value),
}

/// Makes the list of values of a statement from anything that converts into a [`Value`].
///
/// ```
/// let values = svc_stores::values!["Acme", 5, Option::<String>::None];
/// assert_eq!(values.len(), 3);
/// ```
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { ::std::vec![$($crate::relational::Value::from($value)),*] };
}

macro_rules! from {
    ($($source:ty => |$name:ident| $value:expr),* $(,)?) => {
        $(impl From<$source> for Value {
            fn from($name: $source) -> Self { $value }
        })*
    };
}

from! {
    bool => |value| Self::Boolean(value),
    i64 => |value| Self::Integer(value),
    i32 => |value| Self::Integer(i64::from(value)),
    u32 => |value| Self::Integer(i64::from(value)),
    u16 => |value| Self::Integer(i64::from(value)),
    f64 => |value| Self::Real(value),
    &str => |value| Self::Text(value.to_owned()),
    String => |value| Self::Text(value),
    &String => |value| Self::Text(value.clone()),
    Vec<u8> => |value| Self::Bytes(value),
    &[u8] => |value| Self::Bytes(value.to_vec()),
    Uuid => |value| Self::Uuid(value),
    &Uuid => |value| Self::Uuid(*value),
    TenantId => |value| Self::Uuid(value.as_uuid()),
    Timestamp => |value| Self::Timestamp(value),
    serde_json::Value => |value| Self::Json(value),
    &serde_json::Value => |value| Self::Json(value.clone()),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of a result. Columns are read by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The column as the type that is asked for; `Option<T>` where it may be `NULL`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when there is no such column or it holds another type.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T> {
        let position = self.columns.iter().position(|name| name == column).ok_or_else(|| {
            let known = self.columns.join(", ");
            StoreError::Corrupt {
                what: format!("column `{column}`"),
                problem: format!("the row has only {known}"),
            }
        })?;
        let value = self.values.get(position).unwrap_or(&Value::Null);
        T::from_value(value).ok_or_else(|| StoreError::Corrupt {
            what: format!("column `{column}`"),
            problem: format!("expected {}, found {}", T::NAME, name(value)),
        })
    }

    /// The names of the columns, in the order of the statement.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The raw value of a column, for code that does not know the schema.
    #[must_use]
    pub fn value(&self, column: &str) -> Option<&Value> {
        self.columns.iter().position(|name| name == column).and_then(|position| self.values.get(position))
    }
}

const fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Boolean(_) => "a boolean",
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a number",
        Value::Text(_) => "a text",
        Value::Bytes(_) => "bytes",
        Value::Uuid(_) => "a UUID",
        Value::Timestamp(_) => "a time",
        Value::Json(_) => "JSON",
    }
}

/// A Rust type that can be read from a column, however the database keeps it.
pub trait FromValue: Sized {
    /// The type in words, for the message of an error.
    const NAME: &'static str;

    /// The value as this type, or `None` when it is something else.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! read {
    ($($target:ty, $name:literal, |$value:ident| $read:expr;)*) => {
        $(impl FromValue for $target {
            const NAME: &'static str = $name;
            fn from_value($value: &Value) -> Option<Self> { $read }
        })*
    };
}

read! {
    i64, "an integer", |value| match value { Value::Integer(number) => Some(*number), _ => None };
    u64, "an integer of 0 or more", |value| i64::from_value(value).and_then(|number| Self::try_from(number).ok());
    i32, "a 32-bit integer", |value| i64::from_value(value).and_then(|number| Self::try_from(number).ok());
    u32, "a 32-bit integer of 0 or more", |value| {
        i64::from_value(value).and_then(|number| Self::try_from(number).ok())
    };
    bool, "a boolean", |value| match value {
        Value::Boolean(flag) => Some(*flag),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        _ => None,
    };
    f64, "a number", |value| match value {
        Value::Real(number) => Some(*number),
        #[allow(clippy::cast_precision_loss, reason = "SQLite keeps a whole REAL as an integer")]
        Value::Integer(number) => Some(*number as Self),
        _ => None,
    };
    String, "a text", |value| match value {
        Value::Text(text) => Some(text.clone()),
        Value::Uuid(id) => Some(id.to_string()),
        _ => None,
    };
    Vec<u8>, "bytes", |value| match value { Value::Bytes(bytes) => Some(bytes.clone()), _ => None };
    Uuid, "a UUID", |value| match value {
        Value::Uuid(id) => Some(*id),
        Value::Text(text) => Self::parse_str(text).ok(),
        _ => None,
    };
    TenantId, "a tenant id", |value| Uuid::from_value(value).map(Self::new);
    Timestamp, "a time", |value| match value {
        Value::Timestamp(time) => Some(*time),
        Value::Integer(microseconds) => Self::from_microsecond(*microseconds).ok(),
        _ => None,
    };
    serde_json::Value, "JSON", |value| match value {
        Value::Json(json) => Some(json.clone()),
        Value::Text(text) => serde_json::from_str(text).ok(),
        Value::Integer(number) => Some(Self::from(*number)),
        Value::Real(number) => Some(Self::from(*number)),
        _ => None,
    };
}

impl<T: FromValue> FromValue for Option<T> {
    const NAME: &'static str = T::NAME;

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}
