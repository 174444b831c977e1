//! What is sent: its channel, urgency and state, and whether a request for it makes sense.

use std::fmt;

use uuid::Uuid;

use super::Fault;

const SUBJECT_LIMIT: usize = 998;
const BODY_LIMIT: usize = 64 * 1024;
const RECIPIENT_LIMIT: usize = 320;
const MODULE_LIMIT: usize = 255;

/// A way to reach somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Kept in the history, where the recipient's program reads it.
    InApp,
    /// Pushed to open connections.
    Websocket,
    /// Pushed to a browser or phone.
    BrowserPush,
    /// Electronic mail.
    Email,
    /// Text message.
    Sms,
    /// Telegram.
    Telegram,
    /// Slack.
    Slack,
    /// Discord.
    Discord,
    /// A POST to the tenant's own server.
    Webhook,
}

impl Channel {
    /// Every channel that the platform knows.
    pub const ALL: [Self; 9] = [
        Self::InApp,
        Self::Websocket,
        Self::BrowserPush,
        Self::Email,
        Self::Sms,
        Self::Telegram,
        Self::Slack,
        Self::Discord,
        Self::Webhook,
    ];

    /// Its name in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InApp => "in_app",
            Self::Websocket => "websocket",
            Self::BrowserPush => "browser_push",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Telegram => "telegram",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Webhook => "webhook",
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InApp => "In the application",
            Self::Websocket => "WebSocket push",
            Self::BrowserPush => "Browser push",
            Self::Email => "Email",
            Self::Sms => "SMS",
            Self::Telegram => "Telegram",
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Webhook => "Webhook",
        }
    }

    /// The channel of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// After everything else.
    Low,
    /// Usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// Before everything else.
    Critical,
}

impl Priority {
    /// Its name in requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The priority of this name; normal when empty.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::default());
        }
        [Self::Low, Self::Normal, Self::High, Self::Critical].into_iter().find(|one| one.as_str() == name)
    }

    /// Its place in a queue, 0 to 9.
    #[must_use]
    pub const fn in_queue(self) -> u8 {
        match self {
            Self::Low => 1,
            Self::Normal => 4,
            Self::High => 7,
            Self::Critical => 9,
        }
    }
}

/// Where a notification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waits for its first or next attempt.
    Queued,
    /// Arrived.
    Delivered,
    /// Given up.
    Failed,
}

impl Status {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Reads what [`Status::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Delivered, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// A notification as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The name of the channel; in the application when empty.
    pub channel: String,
    /// Who gets it.
    pub recipient: String,
    /// The name of a template, or empty.
    pub template: String,
    /// The subject, when no template is named.
    pub subject: String,
    /// The body, when no template is named.
    pub body: String,
    /// The name of the priority.
    pub priority: String,
    /// The module that asks, or empty.
    pub module: String,
}

impl Draft {
    /// The channel and priority that are meant, or everything that is wrong.
    ///
    /// # Errors
    /// Each thing that is wrong, all at once.
    pub fn check(&self) -> Result<(Channel, Priority), Vec<Fault>> {
        let mut faults = Vec::new();
        let channel =
            if self.channel.is_empty() { Some(Channel::InApp) } else { Channel::parse(&self.channel) };
        if channel.is_none() {
            let known: Vec<_> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
            faults.push(Fault::new("channel", "unknown", format!("must be one of {}", known.join(", "))));
        }
        let priority = Priority::parse(&self.priority);
        if priority.is_none() {
            faults.push(Fault::new("priority", "unknown", "must be low, normal, high or critical"));
        }
        if self.recipient.is_empty() {
            faults.push(Fault::new("recipient", "required", "must say who gets it"));
        } else if self.recipient.len() > RECIPIENT_LIMIT {
            faults.push(Fault::new(
                "recipient",
                "too-long",
                format!("has more than {RECIPIENT_LIMIT} bytes"),
            ));
        } else if channel == Some(Channel::InApp) && Uuid::parse_str(&self.recipient).is_err() {
            faults.push(Fault::new("recipient", "uuid", "must be the id of a user in this channel"));
        }
        match (self.template.is_empty(), self.body.is_empty()) {
            (true, true) => faults.push(Fault::new("template", "required", "name a template or give a body")),
            (false, false) => {
                faults.push(Fault::new("body", "conflict", "must be empty when a template is named"))
            }
            _ => {}
        }
        if self.subject.len() > SUBJECT_LIMIT {
            faults.push(Fault::new("subject", "too-long", format!("has more than {SUBJECT_LIMIT} bytes")));
        }
        if self.module.len() > MODULE_LIMIT {
            faults.push(Fault::new("module", "too-long", format!("has more than {MODULE_LIMIT} bytes")));
        }
        if self.body.len() > BODY_LIMIT {
            faults.push(Fault::new("body", "too-long", format!("has more than {BODY_LIMIT} bytes")));
        }
        match (channel, priority) {
            (Some(channel), Some(priority)) if faults.is_empty() => Ok((channel, priority)),
            _ => Err(faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft { recipient: Uuid::nil().to_string(), body: "hello".to_owned(), ..Draft::default() }
    }

    #[test]
    fn empty_channel_and_priority_have_a_meaning() {
        assert_eq!(draft().check(), Ok((Channel::InApp, Priority::Normal)));
        let email = Draft { channel: "email".to_owned(), recipient: "a@b.c".to_owned(), ..draft() };
        assert_eq!(email.check(), Ok((Channel::Email, Priority::Normal)));
    }

    #[test]
    fn every_fault_is_found_at_once() {
        let wrong = Draft {
            channel: "pigeon".to_owned(),
            priority: "asap".to_owned(),
            template: "welcome".to_owned(),
            subject: "s".repeat(SUBJECT_LIMIT + 1),
            recipient: String::new(),
            ..draft()
        };
        let fields: Vec<_> = wrong.check().unwrap_err().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["channel", "priority", "recipient", "body", "subject"]);
        let nothing = Draft { body: String::new(), recipient: "ada".to_owned(), ..draft() };
        let fields: Vec<_> = nothing.check().unwrap_err().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["recipient", "template"]);
    }

    #[test]
    fn names_are_read_back() {
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.as_str()), Some(channel));
        }
        for status in [Status::Queued, Status::Delivered, Status::Failed] {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        let places: Vec<_> = ["low", "normal", "high", "critical"]
            .map(|name| Priority::parse(name).unwrap().in_queue())
            .into();
        assert!(places.is_sorted());
    }
}
