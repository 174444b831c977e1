//! What a query of the trail asks for.

use jiff::Timestamp;

use super::Fault;
use super::draft::is_action;

/// All given parts must hold; empty and absent ones do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub action: Option<ActionFilter>,
    pub entity_type: Option<String>,
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

/// Which actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActionFilter {
    Exact(String),
    Prefix(String),
}

impl ActionFilter {
    /// Reads `money.wallet.credited` or `money.*`; nothing for an empty text.
    pub(crate) fn read(text: &str) -> Result<Option<Self>, Fault> {
        let allowed =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._".contains(letter);
        match text.strip_suffix('*') {
            Some("") => Ok(None),
            Some(prefix) if prefix.chars().all(allowed) => Ok(Some(Self::Prefix(prefix.to_owned()))),
            None if text.is_empty() => Ok(None),
            None if is_action(text) => Ok(Some(Self::Exact(text.to_owned()))),
            _ => Err(Fault::new(
                "action",
                "format",
                "an action such as `invoice.approved`, or a prefix such as `invoice.*`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_exact_or_a_prefix() {
        assert_eq!(ActionFilter::read(""), Ok(None));
        assert_eq!(ActionFilter::read("*"), Ok(None));
        assert_eq!(ActionFilter::read("a.b"), Ok(Some(ActionFilter::Exact("a.b".to_owned()))));
        assert_eq!(ActionFilter::read("a.b*"), Ok(Some(ActionFilter::Prefix("a.b".to_owned()))));
        for wrong in ["a", "A.b", "a*b", "a.**", "a.%*"] {
            assert!(ActionFilter::read(wrong).is_err(), "{wrong}");
        }
    }
}
