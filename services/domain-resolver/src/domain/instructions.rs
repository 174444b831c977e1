//! What the owner of a name must publish in DNS, and the token that proves ownership.

use std::fmt;

use super::hostname::Hostname;

/// Where a tenant's name must point.
pub const CNAME_TARGET: &str = "custom.platform.io";

/// The label that the proof of ownership stands under.
const VERIFY_LABEL: &str = "_platform-verify";

/// The random text that proves ownership once its owner has published it. Not a secret after that, by design, but
/// unguessable before: 128 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token from 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// A token that was stored before.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The content of the TXT record.
    #[must_use]
    pub fn record_value(&self) -> String {
        format!("verify-{}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// The kind of a DNS record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// An alias to another name.
    Cname,
    /// Free text.
    Txt,
}

impl RecordType {
    /// As it stands in a zone file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
        }
    }
}

/// One record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The record's kind.
    pub record_type: RecordType,
    /// The record's full name.
    pub name: String,
    /// The record's content.
    pub value: String,
}

/// The records that verify `hostname`, in the order to show them.
#[must_use]
pub fn instructions(hostname: &Hostname, token: &Token) -> [Instruction; 2] {
    [
        Instruction {
            record_type: RecordType::Cname,
            name: hostname.to_string(),
            value: CNAME_TARGET.to_owned(),
        },
        Instruction {
            record_type: RecordType::Txt,
            name: verification_name(hostname),
            value: token.record_value(),
        },
    ]
}

/// The name of the TXT record that proves ownership of `hostname`.
#[must_use]
pub fn verification_name(hostname: &Hostname) -> String {
    format!("{VERIFY_LABEL}.{hostname}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_records_are_spelled_out() {
        let hostname = Hostname::parse("shop.example.com").expect("a valid name");
        let token = Token::from_random([0xab; 16]);
        let [cname, txt] = instructions(&hostname, &token);
        assert_eq!(
            (cname.record_type.as_str(), &*cname.name, &*cname.value),
            ("CNAME", "shop.example.com", "custom.platform.io")
        );
        assert_eq!(
            (txt.record_type.as_str(), &*txt.name, &*txt.value),
            ("TXT", "_platform-verify.shop.example.com", "verify-abababababababababababababababab")
        );
    }

    #[test]
    fn a_token_does_not_print_itself() {
        assert_eq!(format!("{:?}", Token::from_stored("abc")), "Token(…)");
    }
}
