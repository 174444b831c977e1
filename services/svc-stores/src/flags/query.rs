//! The query of a targeting rule: `plan eq "pro" and (userId in ["a", "b"] or not email ew "@x.org")`.

use serde_json::Value;

use super::FlagContext;

/// A parsed query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Query {
    And(Box<Query>, Box<Query>),
    Or(Box<Query>, Box<Query>),
    Not(Box<Query>),
    Present(String),
    Compare(String, Operator, Vec<Value>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    Greater,
    AtMost,
    AtLeast,
    Contains,
    StartsWith,
    EndsWith,
    In,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0 };
        let query = parser.alternatives()?;
        match parser.next() {
            None => Ok(query),
            Some(token) => Err(format!("`{}` is not expected there", shown(&token))),
        }
    }

    pub(super) fn holds(&self, context: &FlagContext) -> bool {
        match self {
            Self::And(one, other) => one.holds(context) && other.holds(context),
            Self::Or(one, other) => one.holds(context) || other.holds(context),
            Self::Not(query) => !query.holds(context),
            Self::Present(name) => fact(context, name).is_some(),
            Self::Compare(name, operator, wanted) => {
                fact(context, name).is_some_and(|value| compare(&value, *operator, wanted))
            }
        }
    }
}

fn fact(context: &FlagContext, name: &str) -> Option<Value> {
    match name {
        "tenantId" | "targetingKey" | "key" => {
            context.tenant_id.map(|tenant| Value::String(tenant.to_string()))
        }
        name => context.attributes.get(name).cloned(),
    }
}

fn compare(value: &Value, operator: Operator, wanted: &[Value]) -> bool {
    let Some(first) = wanted.first() else { return false };
    let ordered = || match (value.as_f64(), first.as_f64(), value.as_str(), first.as_str()) {
        (Some(one), Some(other), ..) => one.partial_cmp(&other),
        (_, _, Some(one), Some(other)) => Some(one.cmp(other)),
        _ => None,
    };
    let texts = |holds: fn(&str, &str) -> bool| match (value.as_str(), first.as_str()) {
        (Some(one), Some(other)) => holds(one, other),
        _ => false,
    };
    match operator {
        Operator::Equal => same(value, first),
        Operator::NotEqual => !same(value, first),
        Operator::In => wanted.iter().any(|wanted| same(value, wanted)),
        Operator::Less => ordered().is_some_and(std::cmp::Ordering::is_lt),
        Operator::Greater => ordered().is_some_and(std::cmp::Ordering::is_gt),
        Operator::AtMost => ordered().is_some_and(std::cmp::Ordering::is_le),
        Operator::AtLeast => ordered().is_some_and(std::cmp::Ordering::is_ge),
        Operator::Contains => match value {
            Value::Array(values) => values.iter().any(|value| same(value, first)),
            _ => texts(|one, other| one.contains(other)),
        },
        Operator::StartsWith => texts(|one, other| one.starts_with(other)),
        Operator::EndsWith => texts(|one, other| one.ends_with(other)),
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() < f64::EPSILON,
        _ => one == other,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Literal(Value),
    Symbol(char),
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.tokens.get(self.at), Some(Token::Word(own)) if own.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn alternatives(&mut self) -> Result<Query, String> {
        let mut query = self.conjunction()?;
        while self.take_word("or") {
            query = Query::Or(Box::new(query), Box::new(self.conjunction()?));
        }
        Ok(query)
    }

    fn conjunction(&mut self) -> Result<Query, String> {
        let mut query = self.condition()?;
        while self.take_word("and") {
            query = Query::And(Box::new(query), Box::new(self.condition()?));
        }
        Ok(query)
    }

    fn condition(&mut self) -> Result<Query, String> {
        if self.take_word("not") {
            return Ok(Query::Not(Box::new(self.condition()?)));
        }
        if self.take_symbol('(') {
            let query = self.alternatives()?;
            return if self.take_symbol(')') { Ok(query) } else { Err("a `(` is not closed".to_owned()) };
        }
        let name = match self.next() {
            Some(Token::Word(name)) => name,
            Some(other) => return Err(format!("`{}` stands where a fact's name must", shown(&other))),
            None => return Err("it ends where a fact's name must stand".to_owned()),
        };
        if self.take_word("pr") {
            return Ok(Query::Present(name));
        }
        let operator = self.operator(&name)?;
        let wanted = if operator == Operator::In { self.list()? } else { vec![self.value()?] };
        Ok(Query::Compare(name, operator, wanted))
    }

    fn operator(&mut self, name: &str) -> Result<Operator, String> {
        let token = self.next();
        let word = match &token {
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        Ok(match word.as_str() {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "lt" => Operator::Less,
            "gt" => Operator::Greater,
            "le" => Operator::AtMost,
            "ge" => Operator::AtLeast,
            "co" => Operator::Contains,
            "sw" => Operator::StartsWith,
            "ew" => Operator::EndsWith,
            "in" => Operator::In,
            _ => return Err(format!("after `{name}` comes one of eq ne lt gt le ge co sw ew in pr")),
        })
    }

    fn list(&mut self) -> Result<Vec<Value>, String> {
        if !self.take_symbol('[') {
            return Err("after `in` comes a list like [\"a\", \"b\"]".to_owned());
        }
        let mut values = Vec::new();
        while !self.take_symbol(']') {
            if !values.is_empty() && !self.take_symbol(',') {
                return Err("a `[` is not closed".to_owned());
            }
            values.push(self.value()?);
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Token::Literal(value)) => Ok(value),
            Some(Token::Word(word)) if word == "true" => Ok(Value::Bool(true)),
            Some(Token::Word(word)) if word == "false" => Ok(Value::Bool(false)),
            Some(other) => Err(format!(
                "`{}` is no value; write a text in quotes, a number, true or false",
                shown(&other)
            )),
            None => Err("it ends where a value must stand".to_owned()),
        }
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => word.clone(),
        Token::Literal(value) => value.to_string(),
        Token::Symbol(symbol) => symbol.to_string(),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut letters = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => {}
            '(' | ')' | '[' | ']' | ',' => tokens.push(Token::Symbol(letter)),
            '"' => {
                let mut content = String::new();
                loop {
                    match letters.next() {
                        None => return Err("a `\"` is not closed".to_owned()),
                        Some('"') => break,
                        Some('\\') => content.extend(letters.next()),
                        Some(letter) => content.push(letter),
                    }
                }
                tokens.push(Token::Literal(Value::String(content)));
            }
            letter => {
                let mut word = letter.to_string();
                while let Some(letter) =
                    letters.next_if(|letter| !letter.is_whitespace() && !"()[],\"".contains(*letter))
                {
                    word.push(letter);
                }
                let number = word.parse::<f64>().ok().filter(|_| !word.starts_with(char::is_alphabetic));
                tokens.push(match number {
                    Some(number) => Token::Literal(Value::from(number)),
                    None => Token::Word(word),
                });
            }
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queries_hold_or_not() {
        let context = FlagContext::default()
            .with("plan", "pro")
            .with("age", 30)
            .with("beta", true)
            .with("roles", json!(["admin", "viewer"]));
        for (query, expected) in [
            (r#"plan eq "pro""#, true),
            (r#"plan ne "pro""#, false),
            (r#"plan in ["free", "pro"]"#, true),
            (r#"plan in []"#, false),
            ("age ge 30 and age lt 31", true),
            ("age gt 30", false),
            ("beta eq true", true),
            (r#"plan sw "p" and plan ew "o" and plan co "r""#, true),
            (r#"roles co "admin""#, true),
            (r#"roles co "owner""#, false),
            ("plan pr", true),
            ("email pr", false),
            (r#"email ne "x""#, false),
            (r#"not email pr"#, true),
            (r#"plan eq "free" or plan eq "pro" and age eq 30"#, true),
            (r#"(plan eq "free" or plan eq "pro") and age eq 31"#, false),
            (r#"PLAN eq "pro""#, false),
        ] {
            assert_eq!(Query::parse(query).unwrap().holds(&context), expected, "{query}");
        }
    }

    #[test]
    fn a_wrong_query_says_what_was_expected() {
        for (query, part) in [
            ("", "a fact's name"),
            ("plan", "one of eq"),
            ("plan is 3", "one of eq"),
            ("plan eq", "a value must stand"),
            ("plan eq pro", "a text in quotes"),
            ("plan in 3", "a list"),
            ("plan in [1 2]", "not closed"),
            ("(plan pr", "not closed"),
            (r#"plan eq "pro"#, "not closed"),
            ("plan pr plan", "not expected"),
        ] {
            let problem = Query::parse(query).unwrap_err();
            assert!(problem.contains(part), "{query}: {problem}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(text in "[a-z0-9 ()\\[\\],\"\\\\]{0,60}") {
            let _ = Query::parse(&text);
        }
    }
}
