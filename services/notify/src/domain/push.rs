//! What is said over a WebSocket: JSON text frames of at most 4,096 bytes.

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Fault;

/// The longest frame, in bytes, in both directions.
pub const FRAME_LIMIT: usize = 4096;
/// How many channels one connection may listen to.
pub const CHANNELS_LIMIT: usize = 50;

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame: an access token.
    Auth {
        /// The token, as `Authorization: Bearer` has it.
        token: String,
    },
    /// Listen to a channel. With the id of the last notification that was seen, what came since is sent first.
    Subscribe {
        /// The channel.
        channel: String,
        /// The last notification that was seen there.
        after: Option<Uuid>,
    },
    /// Listen no more.
    Unsubscribe {
        /// The channel.
        channel: String,
    },
    /// Are you there?
    Ping,
}

impl ClientFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            format!("the frame can't be read ({error}); send auth, subscribe, unsubscribe or ping as JSON")
        })
    }
}

/// The answer to a token.
#[must_use]
pub fn auth_ok(tenant: Uuid, user: Uuid) -> Value {
    json!({ "type": "auth_ok", "tenantId": tenant, "userId": user })
}

/// The answer to a subscription. `complete` is false when something that came since `after` is not kept any more.
#[must_use]
pub fn subscribe_ok(channel: &str, replayed: usize, complete: bool) -> Value {
    json!({ "type": "subscribe_ok", "channel": channel, "replayed": replayed, "complete": complete })
}

/// The answer to the end of a subscription.
#[must_use]
pub fn unsubscribe_ok(channel: &str) -> Value {
    json!({ "type": "unsubscribe_ok", "channel": channel })
}

/// The answer to a ping.
#[must_use]
pub fn pong() -> Value {
    json!({ "type": "pong" })
}

/// What was not done, and why.
#[must_use]
pub fn refusal(code: &str, message: &str) -> Value {
    json!({ "type": "error", "code": code, "message": message })
}

/// The channel that a recipient of the channel `websocket` stands for: a user's own when it is an id, else one by this
/// name.
///
/// # Errors
/// When it is no name.
pub fn channel_of(recipient: &str) -> Result<String, Fault> {
    if let Ok(user) = Uuid::parse_str(recipient) {
        return Ok(channel_of_user(user));
    }
    if is_channel_name(recipient) {
        return Ok(recipient.to_owned());
    }
    let message =
        "must be the id of a user, or a channel: 1 to 100 lower-case letters, digits, `.`, `_`, `-`, `:`";
    Err(Fault::new("recipient", "format", message))
}

/// Where a user's own notifications are pushed. Nobody else can listen there.
#[must_use]
pub fn channel_of_user(user: Uuid) -> String {
    format!("user:{user}")
}

/// Whether a user may listen to a channel: `user:…` is the user's own, every other one the tenant's.
///
/// # Errors
/// The code and the words of a refusal.
pub fn may_listen(user: Uuid, channel: &str) -> Result<(), (&'static str, &'static str)> {
    if !is_channel_name(channel) {
        Err(("invalid-channel", "a channel has 1 to 100 lower-case letters, digits, `.`, `_`, `-` and `:`"))
    } else if channel.starts_with("user:") && channel != channel_of_user(user) {
        Err(("permission-denied", "this channel belongs to another user"))
    } else {
        Ok(())
    }
}

fn is_channel_name(name: &str) -> bool {
    let good =
        |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"._-:".contains(&letter);
    (1..=100).contains(&name.len()) && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read() {
        let id = Uuid::from_u128(7);
        let after = format!(r#"{{"type":"subscribe","channel":"orders","after":"{id}"}}"#);
        let subscribe = |after| ClientFrame::Subscribe { channel: "orders".to_owned(), after };
        for (text, frame) in [
            (r#"{"type":"auth","token":"t"}"#, ClientFrame::Auth { token: "t".to_owned() }),
            (r#"{"type":"subscribe","channel":"orders"}"#, subscribe(None)),
            (after.as_str(), subscribe(Some(id))),
            (r#"{"type":"unsubscribe","channel":"a"}"#, ClientFrame::Unsubscribe { channel: "a".to_owned() }),
            (r#"{"type":"ping"}"#, ClientFrame::Ping),
        ] {
            assert_eq!(ClientFrame::read(text), Ok(frame), "{text}");
        }
        for bad in ["", "[]", "{}", r#"{"type":"shout"}"#, r#"{"type":"auth"}"#] {
            assert!(ClientFrame::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_users_channel_is_the_users_own() {
        let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let own = channel_of(&ada.to_string().to_uppercase()).unwrap();
        assert_eq!(own, channel_of_user(ada));
        assert_eq!(may_listen(ada, &own), Ok(()));
        assert_eq!(may_listen(bob, &own).unwrap_err().0, "permission-denied");
        assert_eq!(may_listen(bob, "user:").unwrap_err().0, "permission-denied");
        assert_eq!(may_listen(bob, "orders"), Ok(()));
        assert_eq!(channel_of("orders"), Ok("orders".to_owned()));
        for bad in ["", "Orders", "a b", &"a".repeat(101)] {
            assert!(
                channel_of(bad).is_err() && may_listen(bob, bad).unwrap_err().0 == "invalid-channel",
                "{bad}"
            );
        }
    }
}
