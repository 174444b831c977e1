//! What a new service may be called, and the other names that follow from that.

/// Words that can't be the name of a crate, of a module or of a proto package.
const RESERVED: [&str; 72] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "bool",
    "box",
    "break",
    "common",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "double",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "float",
    "fn",
    "for",
    "gen",
    "google",
    "if",
    "impl",
    "import",
    "in",
    "let",
    "loop",
    "macro",
    "map",
    "match",
    "message",
    "mod",
    "move",
    "mut",
    "oneof",
    "option",
    "override",
    "package",
    "platform",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "repeated",
    "reserved",
    "return",
    "rpc",
    "self",
    "service",
    "static",
    "std",
    "string",
    "struct",
    "super",
    "syntax",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "where",
];

/// Longest name. A Kubernetes object and a database fit it with a prefix.
const LONGEST: usize = 40;

/// A name and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `price-list`: package, program, Compose service, route.
    pub name: String,
    /// `price_list`: proto package, database.
    pub area: String,
    /// `PriceList`: type.
    pub type_name: String,
}

impl Names {
    /// Takes a name when it can be one.
    ///
    /// # Errors
    /// Says the rule when it can't.
    pub fn new(name: &str) -> Result<Self, String> {
        let letters = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        let fits = name.len() <= LONGEST
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.split('-').all(letters);
        if !fits {
            return Err(format!(
                "use lower-case letters, digits and single dashes, a letter first, at most {LONGEST} characters"
            ));
        }
        if RESERVED.contains(&name) || ["svc-", "kernel-"].iter().any(|prefix| name.starts_with(prefix)) {
            return Err("that word has a meaning already: take another one".to_owned());
        }
        let type_name = name
            .split('-')
            .map(|part| {
                let (first, rest) = part.split_at(1);
                first.to_ascii_uppercase() + rest
            })
            .collect();
        Ok(Self { name: name.to_owned(), area: name.replace('-', "_"), type_name })
    }

    /// The variable that holds its address: `PRICE_LIST_URL`.
    #[must_use]
    pub fn url_variable(&self) -> String {
        format!("{}_URL", self.area.to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_gives_all_others() {
        let names = Names::new("price-list2").unwrap();
        assert_eq!((names.area.as_str(), names.type_name.as_str()), ("price_list2", "PriceList2"));
        assert_eq!(names.url_variable(), "PRICE_LIST2_URL");
    }

    #[test]
    fn what_could_not_be_built_is_refused() {
        let long = "a".repeat(41);
        for name in
            ["", "-a", "a-", "a--b", "A", "1a", "a_b", "a.b", "../x", "mod", "std", "svc-x", long.as_str()]
        {
            assert!(Names::new(name).is_err(), "{name}");
        }
    }
}
