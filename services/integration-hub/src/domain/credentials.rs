//! What a provider wants to see from us, and the headers that come of it. Nothing here can print a secret.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use thiserror::Error;

/// How a provider wants to be authenticated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    /// Not at all.
    Anonymous,
    /// A key in a header: `key`, and `header` (default `x-api-key`).
    ApiKey,
    /// `Authorization: Bearer`: `token`.
    Bearer,
    /// `Authorization: Basic`: `username`, `password`.
    Basic,
    /// OAuth 2 client credentials; not implemented yet.
    Oauth2,
    /// A signature over the request; not implemented yet.
    Hmac,
}

impl AuthType {
    const ALL: [Self; 6] =
        [Self::Anonymous, Self::ApiKey, Self::Bearer, Self::Basic, Self::Oauth2, Self::Hmac];

    /// The stored form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "none",
            Self::ApiKey => "api_key",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Oauth2 => "oauth2",
            Self::Hmac => "hmac",
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|auth| auth.as_str() == text)
    }

    fn fields(self) -> Option<(&'static [&'static str], &'static [&'static str])> {
        match self {
            Self::Anonymous => Some((&[], &[])),
            Self::ApiKey => Some((&["key"], &["header"])),
            Self::Bearer => Some((&["token"], &[])),
            Self::Basic => Some((&["username", "password"], &[])),
            Self::Oauth2 | Self::Hmac => None,
        }
    }
}

/// Why credentials can't be used. Messages name fields, never contents.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CredentialsError {
    /// A way of authenticating that we do not have yet.
    #[error("authentication by {0} is not implemented; use none, api_key, bearer or basic")]
    NotImplemented(&'static str),
    /// A field is missing or empty.
    #[error("{auth_type} needs the credential `{field}`")]
    Missing {
        /// The way of authenticating.
        auth_type: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field that this way of authenticating does not have.
    #[error("{auth_type} has no credential `{field}`")]
    Unknown {
        /// The way of authenticating.
        auth_type: &'static str,
        /// The field.
        field: String,
    },
    /// The content can't stand in a header.
    #[error("the credential `{0}` holds a line break or another character that no header can carry")]
    Unsendable(&'static str),
    /// The header is one that the hub sets itself.
    #[error("an api key can't be sent in the header `{0}`; choose another")]
    HeaderTaken(String),
}

/// Checked credentials of one provider.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    auth_type: AuthType,
    fields: BTreeMap<String, String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Credentials {
    /// Checks what a tenant gave.
    pub fn new(auth_type: AuthType, fields: BTreeMap<String, String>) -> Result<Self, CredentialsError> {
        let name = auth_type.as_str();
        let (needed, optional) = auth_type.fields().ok_or(CredentialsError::NotImplemented(name))?;
        if let Some(field) =
            fields.keys().find(|key| !needed.contains(&&***key) && !optional.contains(&&***key))
        {
            return Err(CredentialsError::Unknown { auth_type: name, field: field.clone() });
        }
        if let Some(&field) = needed.iter().find(|field| fields.get(**field).is_none_or(String::is_empty)) {
            return Err(CredentialsError::Missing { auth_type: name, field });
        }
        let header = header(auth_type, &fields)?;
        Ok(Self { auth_type, fields, header })
    }

    /// How these authenticate.
    #[must_use]
    pub fn auth_type(&self) -> AuthType {
        self.auth_type
    }

    /// The header that authenticates a request, if it takes one; its value is marked sensitive.
    #[must_use]
    pub fn header(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.header.as_ref()
    }

    /// The text without these credentials, for what a provider says that repeats its request.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let sent = self.header.as_ref().and_then(|(_, value)| value.to_str().ok()).unwrap_or_default();
        let encoded = sent.strip_prefix("Basic ").unwrap_or_default();
        // Neither a header's name nor a user's is a secret.
        let secrets = ["key", "token", "password"].into_iter().filter_map(|name| self.fields.get(name));
        let secrets = secrets.map(String::as_str).chain([encoded]).filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "[credential]"))
    }

    /// The fields, for the secret store alone.
    #[must_use]
    pub fn expose_fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({}, …)", self.auth_type.as_str())
    }
}

fn header(
    auth_type: AuthType,
    fields: &BTreeMap<String, String>,
) -> Result<Option<(HeaderName, HeaderValue)>, CredentialsError> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let (name, text, source) = match auth_type {
        AuthType::Anonymous => return Ok(None),
        AuthType::ApiKey => {
            let name = match field("header") {
                "" => HeaderName::from_static("x-api-key"),
                given => HeaderName::from_bytes(given.as_bytes())
                    .map_err(|_| CredentialsError::HeaderTaken(given.to_owned()))?,
            };
            // `authorization` is fine here: some providers take a bare key in it.
            if name != http::header::AUTHORIZATION && super::request::is_reserved_header(&name) {
                return Err(CredentialsError::HeaderTaken(name.to_string()));
            }
            (name, field("key").to_owned(), "key")
        }
        AuthType::Bearer => (http::header::AUTHORIZATION, format!("Bearer {}", field("token")), "token"),
        AuthType::Basic => {
            // RFC 7617: the first colon ends the user name.
            if field("username").contains(':') {
                return Err(CredentialsError::Unsendable("username"));
            }
            let pair = format!("{}:{}", field("username"), field("password"));
            (http::header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)), "password")
        }
        AuthType::Oauth2 | AuthType::Hmac => {
            return Err(CredentialsError::NotImplemented(auth_type.as_str()));
        }
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| CredentialsError::Unsendable(source))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(auth_type: AuthType, fields: &[(&str, &str)]) -> Result<String, CredentialsError> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let credentials = Credentials::new(auth_type, fields)?;
        let Some((name, value)) = credentials.header() else { return Ok(String::new()) };
        assert!(value.is_sensitive());
        Ok(format!("{name}: {}", value.to_str().expect("ASCII")))
    }

    #[test]
    fn each_way_has_its_header() {
        assert_eq!(check(AuthType::Anonymous, &[]).as_deref(), Ok(""));
        assert!(check(AuthType::Anonymous, &[("key", "k")]).is_err());
        assert_eq!(check(AuthType::ApiKey, &[("key", "k1")]).as_deref(), Ok("x-api-key: k1"));
        assert_eq!(
            check(AuthType::ApiKey, &[("key", "k1"), ("header", "X-Token")]).as_deref(),
            Ok("x-token: k1")
        );
        assert_eq!(check(AuthType::Bearer, &[("token", "t")]).as_deref(), Ok("authorization: Bearer t"));
        assert_eq!(
            check(AuthType::Basic, &[("username", "Aladdin"), ("password", "open sesame")]).as_deref(),
            Ok("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        );
    }

    #[test]
    fn what_is_wrong_is_named_without_its_content() {
        let error = check(AuthType::Bearer, &[("token", "geheim\n")]).expect_err("a line break");
        assert_eq!(error, CredentialsError::Unsendable("token"));
        assert!(!error.to_string().contains("geheim"));
        assert!(matches!(
            check(AuthType::Basic, &[("username", "u")]),
            Err(CredentialsError::Missing { .. })
        ));
        assert!(check(AuthType::Basic, &[("username", "a:b"), ("password", "p")]).is_err());
        assert!(matches!(
            check(AuthType::Bearer, &[("token", "t"), ("key", "k")]),
            Err(CredentialsError::Unknown { .. })
        ));
        assert!(matches!(
            check(AuthType::ApiKey, &[("key", "k"), ("header", "Host")]),
            Err(CredentialsError::HeaderTaken(_))
        ));
        assert_eq!(check(AuthType::Hmac, &[]), Err(CredentialsError::NotImplemented("hmac")));
        assert_eq!(check(AuthType::Oauth2, &[]), Err(CredentialsError::NotImplemented("oauth2")));
    }

    #[test]
    fn nothing_prints_a_secret() {
        let fields = BTreeMap::from([("token".to_owned(), "geheim".to_owned())]);
        let credentials = Credentials::new(AuthType::Bearer, fields).expect("valid");
        assert!(!format!("{credentials:?} {:?}", credentials.header()).contains("geheim"));
    }

    #[test]
    fn what_repeats_credentials_can_be_redacted() {
        let basic = [("username", "Aladdin"), ("password", "open sesame")];
        let fields = basic.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let credentials = Credentials::new(AuthType::Basic, fields).expect("valid");
        assert_eq!(
            credentials.redact("Aladdin said `open sesame` as Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            "Aladdin said `[credential]` as Basic [credential]"
        );
        let nothing = Credentials::new(AuthType::Anonymous, BTreeMap::new()).expect("valid");
        assert_eq!(nothing.redact("a b"), "a b");
    }

    #[test]
    fn every_way_survives_being_stored() {
        for auth_type in AuthType::ALL {
            assert_eq!(AuthType::from_stored(auth_type.as_str()), Some(auth_type));
        }
    }
}
