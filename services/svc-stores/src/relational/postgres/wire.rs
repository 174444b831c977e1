//! Values as PostgreSQL's binary protocol has them.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::{Arguments as _, Column as _, Encode, Postgres, Row as _, Type, TypeInfo as _, ValueRef as _};
use uuid::Uuid;

use super::super::{Row, Value};
use crate::error::{Result, StoreError};

/// PostgreSQL counts microseconds from 2000-01-01.
const EPOCH: i64 = 946_684_800_000_000;
/// `JSONB` begins with the version of its form.
const JSONB_VERSION: u8 = 1;

/// A value as it is sent: the type's number from `pg_type.dat` (0 leaves it to the server), and its bytes or `NULL`.
struct Parameter {
    oid: u32,
    bytes: Option<Vec<u8>>,
}

impl Type<Postgres> for Parameter {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Parameter {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.oid)))
    }
}

pub(super) fn arguments(values: &[Value]) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        let (oid, bytes) = match value {
            Value::Null => (0, None),
            Value::Boolean(flag) => (16, Some(vec![u8::from(*flag)])),
            Value::Integer(number) => (20, Some(number.to_be_bytes().to_vec())),
            Value::Real(number) => (701, Some(number.to_be_bytes().to_vec())),
            Value::Text(text) if text.contains('\0') => {
                return Err(StoreError::invalid("text", "holds a NUL, which PostgreSQL cannot keep"));
            }
            Value::Text(text) => (25, Some(text.as_bytes().to_vec())),
            Value::Bytes(bytes) => (17, Some(bytes.clone())),
            Value::Uuid(id) => (2950, Some(id.as_bytes().to_vec())),
            Value::Timestamp(time) => (1184, Some((time.as_microsecond() - EPOCH).to_be_bytes().to_vec())),
            Value::Json(json) => {
                let mut bytes = vec![JSONB_VERSION];
                bytes.extend(json.to_string().into_bytes());
                (3802, Some(bytes))
            }
        };
        let added = arguments.add(Parameter { oid, bytes });
        added.map_err(|error| StoreError::failed("bind a value", error))?;
    }
    Ok(arguments)
}

pub(super) fn rows(rows: &[PgRow]) -> Result<Vec<Row>> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let columns: Arc<[String]> = first.columns().iter().map(|column| column.name().to_owned()).collect();
    rows.iter()
        .map(|row| {
            let values = row.columns().iter().enumerate().map(|(index, column)| {
                let raw = row.try_get_raw(index).map_err(|error| StoreError::failed("read a row", error))?;
                if raw.is_null() {
                    return Ok(Value::Null);
                }
                let kind = column.type_info().name();
                let bytes = raw.as_bytes().map_err(|error| StoreError::failed("read a row", error))?;
                decode(kind, bytes).ok_or_else(|| StoreError::Corrupt {
                    what: format!("column `{}`", column.name()),
                    problem: format!("its type {kind} is none of the port's, or its value is out of range"),
                })
            });
            Ok(Row::new(Arc::clone(&columns), values.collect::<Result<_>>()?))
        })
        .collect()
}

fn decode(kind: &str, bytes: &[u8]) -> Option<Value> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(match kind {
        "BOOL" => Value::Boolean(bytes.first()? != &0),
        "INT2" => Value::Integer(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        "INT4" => Value::Integer(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        "INT8" => Value::Integer(i64::from_be_bytes(bytes.try_into().ok()?)),
        "FLOAT4" => Value::Real(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        "FLOAT8" => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        "NUMERIC" => numeric(bytes)?,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => Value::Text(text(bytes)?),
        "VOID" => Value::Null,
        "BYTEA" => Value::Bytes(bytes.to_vec()),
        "UUID" => Value::Uuid(Uuid::from_slice(bytes).ok()?),
        "TIMESTAMPTZ" | "TIMESTAMP" => {
            let microseconds = i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH)?;
            Value::Timestamp(Timestamp::from_microsecond(microseconds).ok()?)
        }
        "JSON" => Value::Json(serde_json::from_slice(bytes).ok()?),
        "JSONB" => Value::Json(serde_json::from_slice(bytes.strip_prefix(&[JSONB_VERSION])?).ok()?),
        _ => return None,
    })
}

/// The sum of `BIGINT`s is a `NUMERIC`: digits of base 10,000, of which the first counts `10000^weight`. A whole
/// number beyond an `i64` is none of the port's; one with a fraction is read as a `DOUBLE PRECISION`.
fn numeric(bytes: &[u8]) -> Option<Value> {
    let word = |index: usize| {
        let pair = bytes.get(index * 2..index * 2 + 2)?;
        Some(i16::from_be_bytes(pair.try_into().ok()?))
    };
    let (count, weight, sign, scale) = (word(0)?, word(1)?, word(2)?, word(3)?);
    let count = usize::try_from(count).ok()?;
    let digits: Option<Vec<i16>> = (0..count).map(|index| word(4 + index)).collect();
    let digits = digits?;
    let negative = match sign {
        0 => false,
        0x4000 => true,
        _ => return None,
    };
    if scale > 0 {
        let value = digits.iter().zip(0_i32..).fold(0.0, |sum, (digit, index)| {
            10_000_f64.powi(i32::from(weight) - index).mul_add(f64::from(*digit), sum)
        });
        return Some(Value::Real(if negative { -value } else { value }));
    }
    let mut whole = 0_i128;
    for index in 0..=usize::try_from(weight).unwrap_or_default() {
        let digit = digits.get(index).copied().unwrap_or_default();
        whole = whole.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    i64::try_from(if negative { -whole } else { whole }).ok().map(Value::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(words: &[i16]) -> Option<Value> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        numeric(&bytes)
    }

    #[test]
    fn a_sum_is_an_integer_again() {
        assert_eq!(number(&[0, 0, 0, 0]), Some(Value::Integer(0)));
        assert_eq!(number(&[1, 0, 0x4000, 0, 7]), Some(Value::Integer(-7)));
        assert_eq!(number(&[1, 1, 0, 0, 3]), Some(Value::Integer(30_000)), "zeros at the end are not sent");
        assert_eq!(number(&[2, 1, 0, 0, 1, 2345]), Some(Value::Integer(12_345)));
        assert_eq!(number(&[2, 0, 0, 1, 2, 5000]), Some(Value::Real(2.5)));
        assert_eq!(number(&[1, 5, 0, 0, 1]), None, "more than an i64 holds");
        assert_eq!(number(&[9, 0, 0, 0]), None, "cut off");
    }
}
