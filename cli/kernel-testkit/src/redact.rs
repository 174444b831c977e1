//! Makes output comparable: what differs from run to run gets a name.

/// Replaces texts and numbers that differ from run to run.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    texts: Vec<(String, String)>,
}

impl Redaction {
    /// Replaces only times.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also replaces `text`, such as a temporary folder, by `name`.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>, name: &str) -> Self {
        self.texts.push((text.into(), name.to_owned()));
        self
    }

    /// Replaces the texts, longest first, and every number before ` ms`, ` s` or `s` at the end of a word by `#`.
    #[must_use]
    pub fn apply(&self, output: &str) -> String {
        let mut output = output.to_owned();
        let mut texts = self.texts.clone();
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        for (text, name) in texts.iter().filter(|(text, _)| !text.is_empty()) {
            output = output.replace(text, name);
        }
        times(&output)
    }
}

fn times(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        out.push_str(before);
        let unit = [" ms", "ms", " s", "s"].into_iter().find(|unit| {
            after.strip_prefix(unit).is_some_and(|next| !next.starts_with(|c: char| c.is_alphanumeric()))
        });
        out.push_str(if unit.is_some() { "#" } else { number });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_replaced() {
        let redaction = Redaction::new().text("/tmp/x", "[ROOT]").text("/tmp/x/y", "[STATE]");
        assert_eq!(
            redaction.apply("/tmp/x/y/a /tmp/x/b: 12 services in 1.5 s, 30ms, 200 ms on 8080, s3 5"),
            "[STATE]/a [ROOT]/b: 12 services in # s, #ms, # ms on 8080, s3 5"
        );
    }
}
