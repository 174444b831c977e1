//! The filter language of lists: `?size=gt.5&name=like.A*&status=in.(open,closed)&owner=is.null`.
//!
//! All filters must hold. A value that reads as a number is compared with numbers and, for `eq`, `neq` and `in`, with
//! the same text too; any other is compared with texts. A field that a record does not have never matches, except
//! by `is.null`.

use jiff::Timestamp;
use serde_json::Value;

use super::Fault;

const MOST_FILTERS: usize = 20;
const MOST_VALUES: usize = 100;
const LONGEST_VALUE: usize = 1000;
const DEEPEST: usize = 5;

/// One condition of a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    pub target: Target,
    pub comparison: Comparison,
}

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Id,
    CreatedAt,
    UpdatedAt,
    /// A field of the data, or one inside of it.
    Field(Vec<String>),
}

/// How it is compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Comparison {
    Order(Operator, Operand),
    /// Any of these, or none of them.
    Among(Vec<Operand>, bool),
    /// A pattern in which `*` stands for anything; whether letter case counts.
    Like(String, bool),
    IsNull,
    IsBoolean(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Less,
    Greater,
    AtMost,
    AtLeast,
}

/// A value of the query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    /// With the text as it was written.
    Number(f64, String),
    Boolean(bool),
    Text(String),
    Time(Timestamp),
}

impl Filter {
    /// Reads all filters of a query, or says everything that is wrong with them.
    pub(crate) fn read_all<'query>(
        parameters: impl IntoIterator<Item = (&'query str, &'query str)>,
    ) -> Result<Vec<Self>, Vec<Fault>> {
        let mut filters = Vec::new();
        let mut faults = Vec::new();
        for (name, value) in parameters {
            match Self::read(name, value) {
                Ok(filter) => filters.push(filter),
                Err(message) => faults.push(Fault::new(name, "filter", message)),
            }
        }
        if filters.len() > MOST_FILTERS {
            faults.push(Fault::new("filters", "too-many", format!("at most {MOST_FILTERS} filters")));
        }
        if faults.is_empty() { Ok(filters) } else { Err(faults) }
    }

    fn read(name: &str, value: &str) -> Result<Self, String> {
        let target = Target::read(name)?;
        if value.len() > LONGEST_VALUE * 10 {
            return Err(format!("the value is longer than {} bytes", LONGEST_VALUE * 10));
        }
        let Some((operator, operand)) = value.split_once('.') else {
            return Err("write `operator.value` with one of eq neq gt lt gte lte like ilike in is".to_owned());
        };
        let one = || target.operand(operand);
        let comparison = match operator {
            "eq" => Comparison::Among(vec![one()?], true),
            "neq" => Comparison::Among(vec![one()?], false),
            "gt" => Comparison::Order(Operator::Greater, one()?),
            "lt" => Comparison::Order(Operator::Less, one()?),
            "gte" => Comparison::Order(Operator::AtLeast, one()?),
            "lte" => Comparison::Order(Operator::AtMost, one()?),
            "in" => {
                let values = list(operand)?;
                let operands = values.iter().map(|value| target.operand(value));
                Comparison::Among(operands.collect::<Result<_, _>>()?, true)
            }
            "like" | "ilike" => {
                if matches!(target, Target::CreatedAt | Target::UpdatedAt) {
                    return Err("a time is compared with eq neq gt lt gte lte in".to_owned());
                }
                Comparison::Like(checked(operand)?.to_owned(), operator == "like")
            }
            "is" => match operand {
                "null" => Comparison::IsNull,
                "true" => Comparison::IsBoolean(true),
                "false" => Comparison::IsBoolean(false),
                _ => return Err("after `is` comes null, true or false".to_owned()),
            },
            other => {
                let other: String = other.chars().take(20).collect();
                return Err(format!("`{other}` is no operator; use eq neq gt lt gte lte like ilike in is"));
            }
        };
        Ok(Self { target, comparison })
    }
}

impl Target {
    fn read(name: &str) -> Result<Self, String> {
        match name {
            "id" => return Ok(Self::Id),
            "createdAt" => return Ok(Self::CreatedAt),
            "updatedAt" => return Ok(Self::UpdatedAt),
            _ => {}
        }
        let path: Vec<String> = name.split('.').map(str::to_owned).collect();
        let plain = |part: &String| {
            !part.is_empty()
                && part.len() <= 128
                && part.chars().all(|letter| letter.is_alphanumeric() || "_-".contains(letter))
        };
        if path.len() <= DEEPEST && path.iter().all(plain) {
            Ok(Self::Field(path))
        } else {
            Err(format!(
                "a filter names a field, or one inside of it up to {DEEPEST} deep, as in `address.city`"
            ))
        }
    }

    fn operand(&self, text: &str) -> Result<Operand, String> {
        let text = checked(text)?;
        match self {
            Self::Id => uuid::Uuid::parse_str(text)
                .map(|id| Operand::Text(id.to_string()))
                .map_err(|_| "an id is a UUID".to_owned()),
            Self::CreatedAt | Self::UpdatedAt => text
                .parse()
                .map(Operand::Time)
                .map_err(|_| "a time is written like 2026-01-31T12:00:00Z".to_owned()),
            Self::Field(_) => Ok(match serde_json::from_str::<Value>(text) {
                Ok(Value::Bool(flag)) => Operand::Boolean(flag),
                Ok(Value::Number(number)) => number.as_f64().map_or_else(
                    || Operand::Text(text.to_owned()),
                    |value| Operand::Number(value, text.to_owned()),
                ),
                _ => Operand::Text(text.to_owned()),
            }),
        }
    }
}

fn checked(text: &str) -> Result<&str, String> {
    if text.len() <= LONGEST_VALUE {
        Ok(text)
    } else {
        Err(format!("a value is at most {LONGEST_VALUE} bytes"))
    }
}

/// `(a,b,"c,d")`.
fn list(text: &str) -> Result<Vec<String>, String> {
    let form = || "after `in` comes a list like (a,b,\"c,d\")".to_owned();
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or_else(form)?;
    let mut values = Vec::new();
    let mut letters = inner.chars().peekable();
    loop {
        let mut value = String::new();
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next() {
                    Some('"') => break,
                    Some('\\') => value.extend(letters.next()),
                    Some(letter) => value.push(letter),
                    None => return Err(form()),
                }
            }
            if letters.peek().is_some_and(|letter| *letter != ',') {
                return Err(form());
            }
        } else {
            while let Some(letter) = letters.next_if(|letter| *letter != ',') {
                value.push(letter);
            }
        }
        values.push(value);
        if letters.next().is_none() {
            break;
        }
    }
    if values.len() > MOST_VALUES {
        return Err(format!("a list has at most {MOST_VALUES} values"));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Comparison {
        Filter::read(name, value).unwrap().comparison
    }

    fn text(text: &str) -> Operand {
        Operand::Text(text.to_owned())
    }

    #[test]
    fn every_operator_is_read() {
        let five = || Operand::Number(5.0, "5".to_owned());
        for (value, expected) in [
            ("eq.5", Comparison::Among(vec![five()], true)),
            ("neq.a.b", Comparison::Among(vec![text("a.b")], false)),
            ("gt.5", Comparison::Order(Operator::Greater, five())),
            ("lt.-1.5", Comparison::Order(Operator::Less, Operand::Number(-1.5, "-1.5".to_owned()))),
            ("gte.2026-01-01", Comparison::Order(Operator::AtLeast, text("2026-01-01"))),
            ("lte.", Comparison::Order(Operator::AtMost, text(""))),
            ("eq.true", Comparison::Among(vec![Operand::Boolean(true)], true)),
            ("like.A*", Comparison::Like("A*".to_owned(), true)),
            ("ilike.*b*", Comparison::Like("*b*".to_owned(), false)),
            ("in.(a,5,\"x,\\\"y\")", Comparison::Among(vec![text("a"), five(), text("x,\"y")], true)),
            ("is.null", Comparison::IsNull),
            ("is.false", Comparison::IsBoolean(false)),
        ] {
            assert_eq!(read("size", value), expected, "{value}");
        }
    }

    #[test]
    fn a_field_may_lie_deeper_and_the_records_own_have_types() {
        let target = |name: &str| Filter::read(name, "is.null").map(|filter| filter.target);
        assert_eq!(target("address.city"), Ok(Target::Field(vec!["address".to_owned(), "city".to_owned()])));
        assert_eq!(target("id"), Ok(Target::Id));
        assert!(Filter::read("id", "eq.7").is_err());
        assert!(Filter::read("createdAt", "gt.yesterday").is_err());
        assert!(matches!(
            read("createdAt", "gt.2026-01-31T12:00:00Z"),
            Comparison::Order(Operator::Greater, Operand::Time(_))
        ));
        for wrong in ["", "a..b", "a.b.c.d.e.f", "a'b", "a\"b", "$.a", "a b"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let faults = Filter::read_all([
            ("size", "5"),
            ("name", "starts.a"),
            ("ok", "eq.1"),
            ("tags", "in.a,b"),
            ("open", "is.maybe"),
            ("x'", "eq.1"),
        ])
        .unwrap_err();
        let said: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(said, ["size", "name", "tags", "open", "x'"]);
        assert!(faults[0].message.contains("operator.value"));
        assert!(faults[1].message.contains("`starts` is no operator"));
    }

    #[test]
    fn lists_are_bounded() {
        let values = vec!["x"; MOST_VALUES + 1].join(",");
        assert!(Filter::read("a", &format!("in.({values})")).is_err());
        assert!(Filter::read("a", &format!("eq.{}", "x".repeat(LONGEST_VALUE + 1))).is_err());
        let many = vec![("a", "eq.1"); MOST_FILTERS + 1];
        assert_eq!(Filter::read_all(many).unwrap_err()[0].code, "too-many");
        for wrong in ["in.(\"a", "in.(\"a\"b)", "in.", "in.("] {
            assert!(Filter::read("a", wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_query_is_judged_without_a_panic(name in ".{0,20}", value in "(eq|in|is|like|gt)?\\.?[(),\"\\\\a-z0-9.*%]{0,40}") {
            let _ = Filter::read(&name, &value);
        }

        #[test]
        fn a_quoted_list_comes_back_as_it_was(values in proptest::collection::vec("[a-z,()\"\\\\ ]{0,8}", 1..6)) {
            let quoted: Vec<String> = values
                .iter()
                .map(|value| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            proptest::prop_assert_eq!(list(&format!("({})", quoted.join(","))), Ok(values));
        }
    }
}
