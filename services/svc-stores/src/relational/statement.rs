//! Reads just enough of a statement to know whether it holds to its tenant.
//!
//! This is a guard against mistakes, not a parser: it refuses what it does not understand. The rules:
//!
//! - `SELECT`, `UPDATE` and `DELETE` must say `tenant_id = $1`, in every arm of a `UNION` and in every
//!   sub-select that reads a table (there `tenant_id = outer.tenant_id` will do);
//! - an `OR` beside it must be in parentheses, or it would open the statement again;
//! - `INSERT` must name `tenant_id` among its columns and give it `$1`;
//! - an upsert that updates must have `tenant_id` in its conflict target, or another tenant's row could be hit;
//! - nothing may set `tenant_id`, and only one statement is sent at a time.

/// What the guard found out about a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// True when it must go to the connection that writes.
    pub writes: bool,
    /// The highest `$N`, so that a missing value is an error and not a silent `NULL`.
    pub placeholders: usize,
    tokens: Vec<Token>,
}

#[derive(Debug, PartialEq, Eq, Clone)]
struct Token {
    text: Text,
    /// Which pair of parentheses this token is directly in; 0 is outside of all.
    group: usize,
}

#[derive(Debug, PartialEq, Eq, Clone)]
enum Text {
    /// A word, upper case: keyword or name.
    Word(String),
    Placeholder(usize),
    Literal,
    Symbol(char),
}

/// Why a statement was refused.
pub(crate) type Refusal = String;

impl Shape {
    /// Reads a statement.
    pub(crate) fn of(sql: &str) -> Result<Self, Refusal> {
        let tokens = tokens(sql)?;
        if tokens.is_empty() {
            return Err("it is empty".to_owned());
        }
        let writes = tokens.iter().any(|token| {
            ["INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER"]
                .iter()
                .any(|word| token.is(word))
        });
        let placeholders = tokens
            .iter()
            .filter_map(|token| match token.text {
                Text::Placeholder(number) => Some(number),
                _ => None,
            })
            .max()
            .unwrap_or(0);
        Ok(Self { writes, placeholders, tokens })
    }

    /// Whether the statement can only touch rows of the tenant that is its `$1`.
    pub(crate) fn holds_to_tenant(&self) -> Result<(), Refusal> {
        let tokens = &self.tokens;
        let first = tokens.first().map(|token| &token.text);
        let known = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
        if !matches!(first, Some(Text::Word(word)) if known.contains(&word.as_str())) {
            return Err("a tenant's statement is SELECT, INSERT, UPDATE, DELETE or WITH".to_owned());
        }
        if !(0..tokens.len()).any(|at| self.is_tie(at) || self.is_first_placeholder(at)) {
            return Err("it must hold to its tenant with `tenant_id = $1`".to_owned());
        }
        for (at, token) in tokens.iter().enumerate() {
            if token.is("REPLACE") && !self.symbol_at(at + 1, '(') {
                return Err("REPLACE may delete another tenant's row; use ON CONFLICT".to_owned());
            } else if token.is("INSERT") {
                self.check_insert(at)?;
            } else if token.is("UPDATE") && !self.word_at(at.wrapping_sub(1), "DO") {
                self.check_update(at)?;
            } else if token.is("DELETE") {
                self.check_arm(at, "DELETE")?;
            } else if token.is("SELECT") {
                self.check_select(at)?;
            }
        }
        Ok(())
    }

    fn check_select(&self, at: usize) -> Result<(), Refusal> {
        let group = self.tokens[at].group;
        let Some(from) =
            self.arm(at).find(|index| self.in_group(*index, group) && self.tokens[*index].is("FROM"))
        else {
            return Ok(());
        };
        let joins = self.arm(at).any(|index| self.in_group(index, group) && self.tokens[index].is("JOIN"));
        // A select over a sub-select or over the elements of a JSON value reads no table itself.
        let over_select = self.symbol_at(from + 1, '(');
        let over_json = matches!(self.tokens.get(from + 1).map(|token| &token.text),
            Some(Text::Word(word)) if word.starts_with("JSON_") && self.symbol_at(from + 2, '('));
        if (over_select || over_json) && !joins {
            return Ok(());
        }
        self.check_arm(at, "SELECT")
    }

    fn check_update(&self, at: usize) -> Result<(), Refusal> {
        let group = self.tokens[at].group;
        let set = self.arm(at).find(|index| self.in_group(*index, group) && self.tokens[*index].is("SET"));
        let end = self.position_of_where(at);
        if let Some(set) = set {
            let end = end.unwrap_or(self.tokens.len());
            let moves = (set..end).any(|index| {
                self.in_group(index, group)
                    && self.tokens[index].is("TENANT_ID")
                    && self.symbol_at(index + 1, '=')
            });
            if moves {
                return Err("a row cannot be moved to another tenant".to_owned());
            }
        }
        self.check_arm(at, "UPDATE")
    }

    /// The arm that begins at `at` has its tie, and no `OR` beside it.
    fn check_arm(&self, at: usize, verb: &str) -> Result<(), Refusal> {
        let group = self.tokens[at].group;
        let inner = group != 0;
        let conditions: Vec<usize> = self
            .arm(at)
            .filter(|index| self.in_group(*index, group))
            .skip_while(|index| !self.tokens[*index].is("WHERE") && !self.tokens[*index].is("ON"))
            .collect();
        let tied =
            conditions.iter().any(|index| self.is_tie(*index) || (inner && self.is_inherited_tie(*index)));
        if !tied {
            return Err(format!("its {verb} must hold to its tenant with `tenant_id = $1`"));
        }
        if conditions.iter().any(|index| self.tokens[*index].is("OR")) {
            return Err(
                "an OR beside `tenant_id = $1` opens it to every tenant; put it in parentheses".to_owned()
            );
        }
        Ok(())
    }

    fn check_insert(&self, at: usize) -> Result<(), Refusal> {
        let missing = || "INSERT must name tenant_id among its columns and give it $1".to_owned();
        if !self.word_at(at + 1, "INTO") {
            return Err("INSERT OR … is SQLite's own; use ON CONFLICT".to_owned());
        }
        let open =
            (at + 2..self.tokens.len()).find(|index| self.symbol_at(*index, '(')).ok_or_else(missing)?;
        let columns = self.list(open);
        let position = columns
            .iter()
            .position(|column| matches!(column.as_slice(), [only] if self.tokens[*only].is("TENANT_ID")))
            .ok_or_else(missing)?;
        let group = self.tokens[at].group;
        let rest = open + 1..self.tokens.len();
        let source = rest
            .clone()
            .find(|index| {
                self.in_group(*index, group)
                    && (self.tokens[*index].is("VALUES") || self.tokens[*index].is("SELECT"))
            })
            .ok_or_else(missing)?;
        if self.tokens[source].is("SELECT") {
            let given = self.select_list(source);
            if !matches!(given.get(position).map(Vec::as_slice), Some([only]) if self.is_first_placeholder(*only))
            {
                return Err(missing());
            }
        } else {
            let mut index = source + 1;
            while self.symbol_at(index, '(') {
                let given = self.list(index);
                if !matches!(given.get(position).map(Vec::as_slice), Some([only]) if self.is_first_placeholder(*only))
                {
                    return Err(missing());
                }
                index = self.closing(index) + 1;
                if self.symbol_at(index, ',') {
                    index += 1;
                }
            }
        }
        self.check_upsert(open, group)
    }

    fn check_upsert(&self, from: usize, group: usize) -> Result<(), Refusal> {
        let conflict = (from..self.tokens.len())
            .find(|index| self.in_group(*index, group) && self.word_at(*index, "CONFLICT"));
        let Some(conflict) = conflict else { return Ok(()) };
        let updates = (conflict..self.tokens.len())
            .any(|index| self.word_at(index, "DO") && self.word_at(index + 1, "UPDATE"));
        if !updates {
            return Ok(());
        }
        let target = if self.symbol_at(conflict + 1, '(') { self.list(conflict + 1) } else { Vec::new() };
        if target.iter().flatten().any(|index| self.tokens[*index].is("TENANT_ID")) {
            Ok(())
        } else {
            Err("ON CONFLICT … DO UPDATE must have tenant_id in its target".to_owned())
        }
    }

    /// The tokens from `at` to the end of its parentheses or to the next arm of a `UNION`.
    fn arm(&self, at: usize) -> impl Iterator<Item = usize> {
        let group = self.tokens[at].group;
        let close = self.end_of_group(at);
        let end = (at + 1..close)
            .find(|index| {
                self.in_group(*index, group)
                    && ["UNION", "INTERSECT", "EXCEPT"].iter().any(|word| self.tokens[*index].is(word))
            })
            .unwrap_or(close);
        at + 1..end
    }

    fn end_of_group(&self, at: usize) -> usize {
        let group = self.tokens[at].group;
        if group == 0 {
            return self.tokens.len();
        }
        (at..self.tokens.len())
            .find(|index| self.symbol_at(*index, ')') && self.in_group(*index, group))
            .unwrap_or(self.tokens.len())
    }

    fn position_of_where(&self, at: usize) -> Option<usize> {
        let group = self.tokens[at].group;
        self.arm(at).find(|index| self.in_group(*index, group) && self.tokens[*index].is("WHERE"))
    }

    /// The parts between the commas of the parentheses that open at `open`.
    fn list(&self, open: usize) -> Vec<Vec<usize>> {
        self.split(open + 1, self.closing(open), self.tokens[open].group)
    }

    fn select_list(&self, select: usize) -> Vec<Vec<usize>> {
        let group = self.tokens[select].group;
        let end = self
            .arm(select)
            .find(|index| self.in_group(*index, group) && self.tokens[*index].is("FROM"))
            .unwrap_or(self.tokens.len());
        self.split(select + 1, end, group)
    }

    fn split(&self, start: usize, end: usize, group: usize) -> Vec<Vec<usize>> {
        let mut parts = vec![Vec::new()];
        for index in start..end {
            if self.symbol_at(index, ',') && self.in_group(index, group) {
                parts.push(Vec::new());
            } else if let Some(part) = parts.last_mut() {
                part.push(index);
            }
        }
        parts
    }

    /// Where the parentheses that open at `open` close. Both carry the group that they enclose.
    fn closing(&self, open: usize) -> usize {
        let group = self.tokens[open].group;
        (open + 1..self.tokens.len())
            .find(|index| self.symbol_at(*index, ')') && self.in_group(*index, group))
            .unwrap_or(self.tokens.len())
    }

    /// `tenant_id = $1` or `$1 = tenant_id`, with `at` on its first token.
    fn is_tie(&self, at: usize) -> bool {
        let first =
            self.word_at(at, "TENANT_ID") && self.symbol_at(at + 1, '=') && self.is_first_placeholder(at + 2);
        let turned = self.is_first_placeholder(at)
            && self.symbol_at(at + 1, '=')
            && (self.word_at(at + 2, "TENANT_ID")
                || (self.symbol_at(at + 3, '.') && self.word_at(at + 4, "TENANT_ID")));
        first || turned
    }

    /// `tenant_id = outer.tenant_id`.
    fn is_inherited_tie(&self, at: usize) -> bool {
        self.word_at(at, "TENANT_ID")
            && self.symbol_at(at + 1, '=')
            && self.symbol_at(at + 3, '.')
            && self.word_at(at + 4, "TENANT_ID")
    }

    fn is_first_placeholder(&self, at: usize) -> bool {
        matches!(self.tokens.get(at).map(|token| &token.text), Some(Text::Placeholder(1)))
    }

    fn in_group(&self, at: usize, group: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.group == group)
    }

    fn word_at(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(word))
    }

    fn symbol_at(&self, at: usize, symbol: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.text == Text::Symbol(symbol))
    }
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(&self.text, Text::Word(own) if own == word)
    }
}

fn tokens(sql: &str) -> Result<Vec<Token>, Refusal> {
    let mut letters = sql.chars().peekable();
    let mut tokens = Vec::new();
    let mut groups = vec![0];
    let mut next_group = 0;
    let mut ended = false;
    while let Some(letter) = letters.next() {
        let mut group = groups.last().copied().unwrap_or(0);
        if letter.is_whitespace() {
            continue;
        }
        if letter == '-' && letters.peek() == Some(&'-') {
            while letters.next().is_some_and(|letter| letter != '\n') {}
            continue;
        }
        if letter == '/' && letters.peek() == Some(&'*') {
            let mut previous = ' ';
            letters.next();
            for letter in letters.by_ref() {
                if previous == '*' && letter == '/' {
                    break;
                }
                previous = letter;
            }
            continue;
        }
        if ended {
            return Err("only one statement is sent at a time".to_owned());
        }
        let text = match letter {
            ';' => {
                ended = true;
                continue;
            }
            '?' => return Err("placeholders are $1, $2, …, not `?`".to_owned()),
            '\'' => {
                quoted(&mut letters, '\'')?;
                Text::Literal
            }
            '"' => Text::Word(quoted(&mut letters, '"')?.to_ascii_uppercase()),
            '$' => {
                let mut digits = String::new();
                while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                match digits.parse() {
                    Ok(number) if number > 0 => Text::Placeholder(number),
                    _ => return Err("placeholders are $1, $2, …".to_owned()),
                }
            }
            '(' => {
                next_group += 1;
                groups.push(next_group);
                group = next_group;
                Text::Symbol('(')
            }
            ')' => {
                groups.pop();
                if groups.is_empty() {
                    return Err("it has more `)` than `(`".to_owned());
                }
                Text::Symbol(')')
            }
            letter if letter.is_alphanumeric() || letter == '_' => {
                let mut word = letter.to_string();
                while let Some(letter) = letters.next_if(|letter| letter.is_alphanumeric() || *letter == '_')
                {
                    word.push(letter);
                }
                Text::Word(word.to_ascii_uppercase())
            }
            letter => Text::Symbol(letter),
        };
        tokens.push(Token { text, group });
    }
    if groups.len() > 1 {
        return Err("it has more `(` than `)`".to_owned());
    }
    Ok(tokens)
}

fn quoted(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> Result<String, Refusal> {
    let mut content = String::new();
    while let Some(letter) = letters.next() {
        if letter != quote {
            content.push(letter);
        } else if letters.next_if_eq(&quote).is_some() {
            content.push(quote);
        } else {
            return Ok(content);
        }
    }
    Err(format!("a {quote} is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(sql: &str) -> Result<(), Refusal> {
        Shape::of(sql)?.holds_to_tenant()
    }

    #[test]
    fn statements_that_hold_to_their_tenant_pass() {
        for sql in [
            "SELECT * FROM wallets WHERE tenant_id = $1",
            "select id from wallets w where w.tenant_id=$1 and (a = $2 or b = $3) order by id limit $4;",
            "SELECT * FROM wallets WHERE $1 = tenant_id",
            "SELECT * FROM wallets w JOIN holds h ON h.wallet_id = w.id WHERE h.tenant_id = $1",
            "INSERT INTO wallets (id, tenant_id, label) VALUES ($2, $1, $3) RETURNING id",
            "INSERT INTO wallets (id, tenant_id) VALUES ($2, $1), ($3, $1) ON CONFLICT (id) DO NOTHING",
            "INSERT INTO wallets (tenant_id, id) SELECT $1, id FROM staged WHERE tenant_id = $1",
            "INSERT INTO k (tenant_id, k, v) VALUES ($1, $2, $3) ON CONFLICT (tenant_id, k) DO UPDATE SET v = $3",
            "UPDATE wallets SET label = $2 WHERE tenant_id = $1 AND id = $3 RETURNING *",
            "DELETE FROM wallets WHERE tenant_id = $1 AND id IN (SELECT wallet_id FROM old o WHERE o.tenant_id = wallets.tenant_id)",
            "WITH mine AS (SELECT * FROM wallets WHERE tenant_id = $1) SELECT * FROM mine WHERE tenant_id = $1",
            "SELECT count(*) FROM (SELECT id FROM wallets WHERE tenant_id = $1)",
            "SELECT a FROM x WHERE tenant_id = $1 UNION ALL SELECT b FROM y WHERE tenant_id = $1",
            "SELECT id FROM x WHERE tenant_id = $1 AND name = 'it''s; -- not the end'",
            "SELECT CASE WHEN a OR b THEN 1 END FROM x WHERE tenant_id = $1",
            "SELECT id FROM x WHERE tenant_id = $1 AND EXISTS (SELECT 1 FROM json_each(x.tags) WHERE value = $2)",
        ] {
            assert_eq!(verdict(sql), Ok(()), "{sql}");
        }
    }

    #[test]
    fn statements_that_could_reach_another_tenant_are_refused() {
        for (sql, part) in [
            ("SELECT * FROM wallets", "must hold to its tenant"),
            ("SELECT * FROM wallets WHERE tenant_id = $2", "must hold to its tenant"),
            ("SELECT * FROM wallets -- WHERE tenant_id = $1", "must hold to its tenant"),
            ("SELECT * FROM wallets WHERE note = 'tenant_id = $1'", "must hold to its tenant"),
            ("SELECT * FROM wallets WHERE tenant_id = $1 OR 1 = 1", "parentheses"),
            ("SELECT a FROM x WHERE tenant_id = $1 UNION SELECT b FROM y", "must hold to its tenant"),
            ("SELECT a, (SELECT max(b) FROM y) FROM x WHERE tenant_id = $1", "must hold to its tenant"),
            ("INSERT INTO wallets (id) VALUES ($1)", "tenant_id among its columns"),
            ("INSERT INTO wallets (tenant_id, id) VALUES ($2, $1)", "give it $1"),
            ("INSERT INTO wallets (tenant_id, id) VALUES ($1, $2), ($3, $4)", "give it $1"),
            (
                "INSERT INTO wallets (tenant_id, id) SELECT tenant_id, $1 FROM x WHERE tenant_id = $1",
                "give it $1",
            ),
            (
                "INSERT INTO k (tenant_id, k) VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET k = $2",
                "in its target",
            ),
            ("INSERT OR REPLACE INTO k (tenant_id, k) VALUES ($1, $2)", "ON CONFLICT"),
            ("UPDATE wallets SET label = $1", "must hold to its tenant"),
            ("UPDATE wallets SET tenant_id = $2 WHERE tenant_id = $1", "moved to another tenant"),
            ("DELETE FROM wallets WHERE id = $1", "must hold to its tenant"),
            ("SELECT 1 WHERE 1 = $1; DROP TABLE x", "one statement"),
            ("DROP TABLE wallets", "SELECT, INSERT"),
            ("SELECT * FROM x WHERE tenant_id = ?", "not `?`"),
            ("", "empty"),
            ("SELECT 'open", "not closed"),
            ("SELECT (1", "more `(`"),
            ("SELECT 1)", "more `)`"),
        ] {
            let refusal = verdict(sql).expect_err(sql);
            assert!(refusal.contains(part), "{sql}: {refusal}");
        }
    }

    #[test]
    fn a_statement_knows_whether_it_writes_and_how_many_values_it_takes() {
        let shape =
            Shape::of("WITH x AS (SELECT 1) INSERT INTO y (a) SELECT $2 FROM x WHERE b = $1").unwrap();
        assert!(shape.writes);
        assert_eq!(shape.placeholders, 2);
        assert!(!Shape::of("SELECT 'UPDATE' FROM x").unwrap().writes);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(sql in "[a-zA-Z_$0-9(),=.;'\"* \\-/]{0,80}") {
            let _ = verdict(&sql);
        }

        #[test]
        fn keywords_in_any_order_are_judged_without_a_panic(
            words in proptest::collection::vec(proptest::sample::select(vec![
                "SELECT", "FROM", "WHERE", "INSERT", "INTO", "VALUES", "UPDATE", "SET", "DELETE", "(", ")", ",",
                "$1", "$2", "tenant_id", "=", "ON", "CONFLICT", "DO", "UNION", "x", ".", "OR",
            ]), 0..24)
        ) {
            let _ = verdict(&words.join(" "));
        }
    }
}
