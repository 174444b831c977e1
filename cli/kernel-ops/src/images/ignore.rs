//! `.dockerignore`: which files of a folder a build may see, by the rules of Docker's own matcher.

use regex::Regex;

/// The rules of one file; the last one that fits decides.
#[derive(Clone, Debug, Default)]
pub struct Ignore(Vec<Rule>);

/// A line that is no pattern.
#[derive(Debug, PartialEq, Eq)]
pub struct BadPattern {
    /// Its number, from one.
    pub line: usize,
    /// The line as it is written.
    pub text: String,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Regex,
    text: String,
    /// `!`: what fits is seen after all.
    seen: bool,
}

impl Ignore {
    /// Reads a file.
    ///
    /// # Errors
    /// When a line is no pattern.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut rules = Vec::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (seen, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line),
            };
            let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".");
            let pattern = parts.collect::<Vec<_>>().join("/");
            if pattern.is_empty() {
                continue;
            }
            let regex = expression(&pattern)
                .and_then(|regex| Regex::new(&regex).ok())
                .ok_or_else(|| BadPattern { line: number + 1, text: line.to_owned() })?;
            rules.push(Rule { pattern: regex, text: pattern, seen });
        }
        Ok(Self(rules))
    }

    /// Whether a path, relative to the context and with `/`, is hidden: it or a folder above it fits.
    pub fn hides(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        let paths: Vec<&str> = folders.chain([path]).collect();
        let mut hidden = false;
        for rule in &self.0 {
            // A rule can only change what was decided so far.
            if hidden == rule.seen && paths.iter().any(|path| rule.pattern.is_match(path)) {
                hidden = !rule.seen;
            }
        }
        hidden
    }

    /// Whether something below a hidden folder may be seen all the same, so that it has to be looked into.
    pub fn may_show_below(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        let mut seen = self.0.iter().filter(|rule| rule.seen);
        seen.any(|rule| format!("{}/", rule.text).starts_with(&folder) || rule.text.contains("**"))
    }
}

/// A pattern as a regular expression: `*` and `?` stay within a name, `**` goes over folders.
fn expression(pattern: &str) -> Option<String> {
    let mut out = String::from("^");
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                // `**/` also stands for no folder at all.
                if characters.next_if_eq(&'/').is_some() {
                    out.push_str("(.*/)?");
                } else {
                    out.push_str(".*");
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                out.push('[');
                loop {
                    match characters.next()? {
                        ']' => break out.push(']'),
                        '\\' => out.extend(['\\', characters.next()?]),
                        '[' => out.push_str("\\["),
                        other => out.push(other),
                    }
                }
            }
            '\\' => out.push_str(&regex::escape(&characters.next()?.to_string())),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(rules: &str, paths: &[&str]) -> Vec<String> {
        let ignore = Ignore::parse(rules).unwrap();
        paths.iter().filter(|path| ignore.hides(path)).map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let rules = "# only these\n*\n!cli\n!Cargo.toml\n**/target\n";
        let paths = ["README.md", "cli/kernel/src/main.rs", "Cargo.toml", "cli/target/x", "docs/a.md"];
        assert_eq!(hidden(rules, &paths), ["README.md", "cli/target/x", "docs/a.md"]);
        assert_eq!(hidden("a\n!a\na\n", &["a"]), ["a"]);
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_do_not() {
        let paths = ["a.md", "docs/a.md", "docs/deep/a.md"];
        assert_eq!(hidden("*.md", &paths), ["a.md"]);
        assert_eq!(hidden("docs/*.md", &paths), ["docs/a.md"]);
        assert_eq!(hidden("**/*.md", &paths), paths);
        assert_eq!(hidden("/docs/", &paths), ["docs/a.md", "docs/deep/a.md"]);
        assert_eq!(hidden("doc?/[a-c].md", &paths), ["docs/a.md"]);
    }

    #[test]
    fn a_line_that_is_no_pattern_is_told_with_its_number() {
        let bad = Ignore::parse("a\n[x\n").unwrap_err();
        assert_eq!(bad, BadPattern { line: 2, text: "[x".to_owned() });
    }

    #[test]
    fn hidden_folders_are_looked_into_where_something_may_be_seen() {
        let ignore = Ignore::parse("*\n!cli/kernel\n").unwrap();
        assert!(ignore.may_show_below("cli"));
        assert!(!ignore.may_show_below("target"));
    }
}
