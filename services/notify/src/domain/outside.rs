//! Channels that end at somebody else's server: what is sent there, and what its answer means.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Channel, Fault};

/// The longest text of Discord, in characters.
const DISCORD_LIMIT: usize = 2000;
/// The longest text of Telegram, in characters.
const TELEGRAM_LIMIT: usize = 4096;

/// Where a tenant's notifications of a channel go: a provider of the integration-hub, and a path there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The provider. Its address and credentials are the integration-hub's business.
    pub provider: Uuid,
    /// Below the provider's base URL, with a leading `/`.
    pub path: String,
}

impl Destination {
    /// Reads what a tenant set up: `provider` and, unless it is `/`, `path`.
    ///
    /// # Errors
    /// Each thing that is wrong, all at once.
    pub fn read(config: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let provider = config.get("provider").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
        if provider.is_none() {
            let message = "must be the id of a provider; make one with POST /v1/integrations/providers";
            faults.push(Fault::new("config.provider", "uuid", message));
        }
        let path = match config.get("path") {
            None => Some("/".to_owned()),
            Some(Value::String(path)) if path.starts_with('/') && path.len() <= 1024 => Some(path.clone()),
            Some(_) => None,
        };
        if path.is_none() {
            let message = "must be a text that begins with `/` and has at most 1024 bytes";
            faults.push(Fault::new("config.path", "format", message));
        }
        for name in config.keys().filter(|name| !["provider", "path"].contains(&name.as_str())) {
            let message = format!("has no place for `{name}`; credentials belong to the provider");
            faults.push(Fault::new("config", "unknown", message));
        }
        match (provider, path) {
            (Some(provider), Some(path)) if faults.is_empty() => Ok(Self { provider, path }),
            _ => Err(faults),
        }
    }
}

/// What is told, in the channel's own form.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The notification.
    pub id: Uuid,
    /// A chat, a room, or whatever the receiver makes of it.
    pub recipient: &'a str,
    /// The subject; may be empty.
    pub subject: &'a str,
    /// The body.
    pub body: &'a str,
    /// How urgent.
    pub priority: &'a str,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl Told<'_> {
    /// The JSON of a channel; `None` for a channel that does not end at such a server.
    #[must_use]
    pub fn to_json(&self, channel: Channel) -> Option<Value> {
        let text = self.text();
        Some(match channel {
            Channel::Webhook => json!({
                "id": self.id,
                "recipient": self.recipient,
                "subject": self.subject,
                "body": self.body,
                "priority": self.priority,
                "createdAt": self.created_at.to_string(),
            }),
            Channel::Slack => json!({ "channel": self.recipient, "text": text }),
            Channel::Discord => json!({ "content": text }),
            Channel::Telegram => json!({ "chat_id": self.recipient, "text": text }),
            _ => return None,
        })
    }

    /// Whether the channel takes so long a text.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, channel: Channel) -> Result<(), Fault> {
        let limit = match channel {
            Channel::Discord => DISCORD_LIMIT,
            Channel::Telegram => TELEGRAM_LIMIT,
            _ => return Ok(()),
        };
        let length = self.text().chars().count();
        if length <= limit {
            return Ok(());
        }
        let message =
            format!("has {length} characters with its subject, but {} takes {limit}", channel.title());
        Err(Fault::new("body", "too-long", message))
    }

    fn text(&self) -> String {
        match self.subject {
            "" => self.body.to_owned(),
            subject => format!("{subject}\n{}", self.body),
        }
    }
}

/// What an HTTP status says about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrived.
    Arrived,
    /// It may arrive later.
    Later,
    /// It never will.
    Never,
}

impl Verdict {
    /// The meaning of a status.
    #[must_use]
    pub const fn of(status: i32) -> Self {
        match status {
            200..=299 => Self::Arrived,
            // Timeout, too early, too many.
            408 | 425 | 429 => Self::Later,
            300..=499 => Self::Never,
            _ => Self::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> Told<'_> {
        Told {
            id: Uuid::nil(),
            recipient: "room",
            subject: "Order",
            body,
            priority: "high",
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_channel_has_its_form() {
        let form = |channel| told("left").to_json(channel).map(|json| json.to_string());
        assert_eq!(form(Channel::Slack).unwrap(), r#"{"channel":"room","text":"Order\nleft"}"#);
        assert_eq!(form(Channel::Discord).unwrap(), r#"{"content":"Order\nleft"}"#);
        assert_eq!(form(Channel::Telegram).unwrap(), r#"{"chat_id":"room","text":"Order\nleft"}"#);
        let webhook = told("left").to_json(Channel::Webhook).unwrap();
        assert_eq!(
            (&webhook["priority"], &webhook["createdAt"]),
            (&json!("high"), &json!("1970-01-01T00:00:00Z"))
        );
        for channel in [Channel::InApp, Channel::Websocket, Channel::Email] {
            assert_eq!(form(channel), None);
        }
    }

    #[test]
    fn texts_are_as_long_as_the_channel_takes() {
        let longest = "é".repeat(2000 - "Order\n".len());
        assert_eq!(told(&longest).check(Channel::Discord), Ok(()));
        assert_eq!(told(&format!("{longest}é")).check(Channel::Discord).unwrap_err().field, "body");
        assert_eq!(told(&longest.repeat(9)).check(Channel::Webhook), Ok(()));
    }

    #[test]
    fn a_destination_is_read_with_all_that_is_wrong() {
        let read = |value: Value| Destination::read(value.as_object().unwrap());
        let id = Uuid::from_u128(7);
        assert_eq!(read(json!({ "provider": id })), Ok(Destination { provider: id, path: "/".to_owned() }));
        let hook = Destination { provider: id, path: "/hook".to_owned() };
        assert_eq!(read(json!({ "provider": id, "path": "/hook" })), Ok(hook));
        let wrong = read(json!({ "provider": "x", "path": "hook", "token": "secret" })).unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["config.provider", "config.path", "config"]);
    }

    #[test]
    fn a_status_says_whether_to_try_again() {
        for (status, verdict) in [
            (204, Verdict::Arrived),
            (302, Verdict::Never),
            (404, Verdict::Never),
            (429, Verdict::Later),
            (503, Verdict::Later),
            (0, Verdict::Later),
        ] {
            assert_eq!(Verdict::of(status), verdict, "{status}");
        }
    }
}
