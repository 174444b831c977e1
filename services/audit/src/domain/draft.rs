//! A record as somebody hands it in, and as it goes into the trail.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Fault;

const DOCUMENT_LIMIT: usize = 256 * 1024;

/// A record, complete except for its place. The documents are the text that is stored and hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub id: Uuid,
    pub action: String,
    pub entity_type: String,
    pub entity_id: String,
    pub user_id: String,
    pub ip: String,
    pub user_agent: String,
    pub before: Option<String>,
    pub after: Option<String>,
    pub metadata: Option<String>,
    pub occurred_at: Timestamp,
}

/// Who hands it in, and from where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    /// Set when a person calls through the gateway; absent when a service does in its own name.
    pub user: Option<Uuid>,
    pub ip: String,
    pub user_agent: String,
}

/// What was handed in. Empty texts stand for what was not given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub id: String,
    pub action: String,
    pub entity_type: String,
    pub entity_id: String,
    pub user_id: String,
    pub ip: String,
    pub user_agent: String,
    pub before: Option<Map<String, Value>>,
    pub after: Option<Map<String, Value>>,
    pub metadata: Option<Map<String, Value>>,
}

impl Draft {
    /// Checks it and fills in what is missing, or says everything that is wrong. `prefix` stands before the names of
    /// fields, as in `records[3].`.
    pub(crate) fn check(
        self,
        recorder: &Recorder,
        now: Timestamp,
        prefix: &str,
    ) -> Result<Entry, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault = |name: &str, code, message: &str| {
            faults.push(Fault::new(format!("{prefix}{name}"), code, message));
        };
        if !is_action(&self.action) {
            let message = "two to five words of lower-case letters, digits and `_`, separated by dots";
            fault("action", "format", message);
        }
        for (name, text, most) in [("entityType", &self.entity_type, 100), ("entityId", &self.entity_id, 300)]
        {
            if text.is_empty() || text.len() > most {
                fault(name, "length", &format!("1 to {most} bytes"));
            }
        }
        for (name, text, most) in
            [("userId", &self.user_id, 100), ("ip", &self.ip, 64), ("userAgent", &self.user_agent, 500)]
        {
            if text.len() > most {
                fault(name, "length", &format!("at most {most} bytes"));
            }
        }
        let id = if self.id.is_empty() { Ok(Uuid::now_v7()) } else { Uuid::parse_str(&self.id) };
        if id.is_err() {
            fault("id", "uuid", "must be a UUID, or absent to get one");
        }
        let own = recorder.user.map(|user| user.to_string());
        if own.as_ref().is_some_and(|own| !self.user_id.is_empty() && self.user_id != *own) {
            fault("userId", "forbidden", "only services may name somebody else");
        }
        let mut text = |name: &str, document: Option<Map<String, Value>>| {
            let text = document.map(|document| Value::Object(document).to_string());
            if text.as_ref().is_some_and(|text| text.len() > DOCUMENT_LIMIT) {
                fault(name, "too-long", &format!("at most {DOCUMENT_LIMIT} bytes of JSON"));
            }
            text
        };
        let before = text("before", self.before);
        let after = text("after", self.after);
        let metadata = text("metadata", self.metadata);
        // A person does not say where they are: that is for the gateway, which sees it.
        let seen = |given: String, by_gateway: &str| {
            let wanted = given.is_empty() || (recorder.user.is_some() && !by_gateway.is_empty());
            if wanted { by_gateway.to_owned() } else { given }
        };
        match id {
            Ok(id) if faults.is_empty() => Ok(Entry {
                id,
                action: self.action,
                entity_type: self.entity_type,
                entity_id: self.entity_id,
                user_id: own.unwrap_or(self.user_id),
                ip: seen(self.ip, &recorder.ip),
                user_agent: seen(self.user_agent, &recorder.user_agent),
                before,
                after,
                metadata,
                occurred_at: now,
            }),
            _ => Err(faults),
        }
    }
}

/// `invoice.approved`: two to five words.
pub(crate) fn is_action(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|letter: char| letter.is_ascii_lowercase())
            && word
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    text.len() <= 150 && (2..=5).contains(&text.split('.').count()) && text.split('.').all(is_word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn draft() -> Draft {
        Draft {
            action: "invoice.approved".to_owned(),
            entity_type: "invoice".to_owned(),
            entity_id: "7".to_owned(),
            ..Draft::default()
        }
    }

    fn person() -> Recorder {
        Recorder {
            user: Some(Uuid::from_u128(1)),
            ip: "203.0.113.9".to_owned(),
            user_agent: "browser".to_owned(),
        }
    }

    #[test]
    fn what_is_missing_is_filled_in() {
        let entry = draft().check(&person(), Timestamp::UNIX_EPOCH, "").unwrap();
        let user = Uuid::from_u128(1).to_string();
        assert_eq!(
            (entry.user_id, entry.ip, entry.user_agent),
            (user, "203.0.113.9".to_owned(), "browser".to_owned())
        );
        let named = Draft { user_id: "robot".to_owned(), ip: "198.51.100.1".to_owned(), ..draft() };
        let entry = named.check(&Recorder::default(), Timestamp::UNIX_EPOCH, "").unwrap();
        assert_eq!((entry.user_id.as_str(), entry.ip.as_str()), ("robot", "198.51.100.1"));
        let disguised = Draft { ip: "198.51.100.1".to_owned(), user_agent: "curl".to_owned(), ..draft() };
        let entry = disguised.check(&person(), Timestamp::UNIX_EPOCH, "").unwrap();
        assert_eq!((entry.ip.as_str(), entry.user_agent.as_str()), ("203.0.113.9", "browser"));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let long = json!({ "text": "x".repeat(DOCUMENT_LIMIT) });
        let wrong = Draft {
            id: "7".to_owned(),
            action: "Approved".to_owned(),
            entity_id: "x".repeat(301),
            user_id: "robot".to_owned(),
            after: long.as_object().cloned(),
            ..Draft::default()
        };
        let faults = wrong.check(&person(), Timestamp::UNIX_EPOCH, "records[2].").unwrap_err();
        let fields: Vec<_> =
            faults.iter().filter_map(|fault| fault.field.strip_prefix("records[2].")).collect();
        assert_eq!(fields, ["action", "entityType", "entityId", "id", "userId", "after"]);
    }

    #[test]
    fn actions_are_dotted() {
        for good in ["invoice.approved", "smoke.thing.checked", "auth.user.logged_in", "a.b.c.d.e"] {
            assert!(is_action(good), "{good}");
        }
        for bad in ["", "approved", "a.", ".a", "a b.c", "A.b", "a.b.c.d.e.f"] {
            assert!(!is_action(bad), "{bad}");
        }
    }
}
