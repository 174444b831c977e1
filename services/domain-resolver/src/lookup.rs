//! Asking for a name's records. What answers is chosen by `RESOLVER_URL`:
//!
//! * `static://development` pretends that every name of RFC 2606 and RFC 6761 (`*.test`, `*.localhost`, `*.example`)
//!   is set up correctly, and every other name not at all;
//! * `file:///…/zones.yaml` reads records from a file, anew at every question;
//! * `dns://` is public DNS through this machine's name servers, `dns://192.0.2.53:53` through that one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::dns::Dns;
use crate::domain::instructions::{CNAME_TARGET, verification_name};
use crate::domain::{Hostname, Records, Token};

/// The largest zone file that is read, in bytes.
const MAX_ZONE_FILE: u64 = 1024 * 1024;

/// Answers which records a name has.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// What answers, for logs.
    fn name(&self) -> &str;

    /// The CNAME records of `hostname` and the TXT records of its verification name. A name without records is an
    /// answer, not an error. `token` is for a resolver that only pretends.
    async fn records(&self, hostname: &Hostname, token: &Token) -> Result<Records, LookupError>;
}

/// Why there is no answer. It says nothing about the name.
#[derive(Debug, Error)]
pub enum LookupError {
    /// What should answer can't just now.
    #[error("the records could not be looked up: {0}")]
    Unavailable(String),
}

/// The value of `RESOLVER_URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupUrl {
    /// `static://development`.
    Development,
    /// `file://`.
    ZoneFile(PathBuf),
    /// `dns://`, with the name server if one is named.
    Dns(Option<SocketAddr>),
}

impl LookupUrl {
    /// What a person may write.
    pub const EXPECTED: &'static str =
        "static://development, file:///<absolute path of zones.yaml>, dns:// or dns://<address>:<port>";

    /// Reads the variable.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once("://")? {
            ("static", "development") => Some(Self::Development),
            ("file", path) if Path::new(path).is_absolute() => Some(Self::ZoneFile(PathBuf::from(path))),
            ("dns", "") => Some(Self::Dns(None)),
            ("dns", server) => server.parse().ok().map(|server| Self::Dns(Some(server))),
            _ => None,
        }
    }

    /// What answers.
    ///
    /// # Errors
    /// When this machine's name servers are not known.
    pub fn open(&self) -> Result<Arc<dyn Lookup>, LookupError> {
        Ok(match self {
            Self::Development => Arc::new(Development),
            Self::ZoneFile(path) => Arc::new(ZoneFile { path: path.clone() }),
            Self::Dns(None) => Arc::new(Dns::system()?),
            Self::Dns(Some(server)) => Arc::new(Dns::at(*server)?),
        })
    }
}

/// Pretends for development names only.
#[derive(Clone, Copy, Debug)]
pub struct Development;

#[async_trait]
impl Lookup for Development {
    fn name(&self) -> &str {
        "static://development"
    }

    async fn records(&self, hostname: &Hostname, token: &Token) -> Result<Records, LookupError> {
        if !hostname.is_reserved_for_development() {
            return Ok(Records::default());
        }
        Ok(Records { cname: vec![CNAME_TARGET.to_owned()], txt: vec![token.record_value()] })
    }
}

/// Reads a file such as
///
/// ```yaml
/// shop.acme.com: { CNAME: [custom.platform.io] }
/// _platform-verify.shop.acme.com: { TXT: ["verify-0123…"] }
/// ```
#[derive(Clone, Debug)]
pub struct ZoneFile {
    /// Where it is.
    pub path: PathBuf,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ZoneEntry {
    #[serde(rename = "CNAME")]
    cname: Vec<String>,
    #[serde(rename = "TXT")]
    txt: Vec<String>,
}

#[async_trait]
impl Lookup for ZoneFile {
    fn name(&self) -> &str {
        "zone file"
    }

    async fn records(&self, hostname: &Hostname, _token: &Token) -> Result<Records, LookupError> {
        let unavailable = |problem: String| {
            LookupError::Unavailable(format!("zone file {}: {problem}", self.path.display()))
        };
        let size =
            tokio::fs::metadata(&self.path).await.map_err(|error| unavailable(error.to_string()))?.len();
        if size > MAX_ZONE_FILE {
            return Err(unavailable(format!("is larger than {MAX_ZONE_FILE} bytes")));
        }
        let text =
            tokio::fs::read_to_string(&self.path).await.map_err(|error| unavailable(error.to_string()))?;
        zone_records(&text, hostname).map_err(|error| unavailable(error.to_string()))
    }
}

fn zone_records(text: &str, hostname: &Hostname) -> Result<Records, serde_yaml::Error> {
    let zones: Option<BTreeMap<String, ZoneEntry>> = serde_yaml::from_str(text)?;
    let mut records = Records::default();
    let verification = verification_name(hostname);
    for (name, entry) in zones.unwrap_or_default() {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name == hostname.as_str() {
            records.cname.extend(entry.cname);
        } else if name == verification {
            records.txt.extend(entry.txt);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostname(text: &str) -> Hostname {
        Hostname::parse(text).expect("a valid name")
    }

    #[test]
    fn urls_choose_what_answers() {
        assert_eq!(LookupUrl::parse("static://development"), Some(LookupUrl::Development));
        assert_eq!(LookupUrl::parse("file:///a/z.yaml"), Some(LookupUrl::ZoneFile("/a/z.yaml".into())));
        assert_eq!(LookupUrl::parse("dns://"), Some(LookupUrl::Dns(None)));
        let server = "192.0.2.53:5353".parse().ok();
        assert_eq!(LookupUrl::parse("dns://192.0.2.53:5353"), Some(LookupUrl::Dns(server)));
        for text in [
            "",
            "dns://example.com",
            "dns://192.0.2.53",
            "static://production",
            "file://relative",
            "https://x",
        ] {
            assert_eq!(LookupUrl::parse(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn development_answers_for_reserved_names_only() {
        let token = Token::from_stored("t");
        let records = Development.records(&hostname("shop.test"), &token).await.expect("an answer");
        assert_eq!(records.txt, ["verify-t"]);
        let records = Development.records(&hostname("shop.acme.com"), &token).await.expect("an answer");
        assert_eq!(records, Records::default());
    }

    #[test]
    fn a_zone_file_is_searched_by_name_in_any_spelling() {
        let text = "Shop.Acme.com.: { CNAME: [custom.platform.io] }\n\
                    _platform-verify.shop.acme.com: { TXT: [one, two] }\n\
                    other.acme.com: { CNAME: [elsewhere.example] }\n";
        let records = zone_records(text, &hostname("shop.acme.com")).expect("valid");
        assert_eq!((records.cname.len(), records.txt), (1, vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(zone_records("", &hostname("shop.acme.com")).expect("an empty file"), Records::default());
        assert!(zone_records("shop.acme.com: { CNAM: [x] }", &hostname("shop.acme.com")).is_err());
    }

    #[tokio::test]
    async fn a_missing_zone_file_says_nothing_about_the_name() {
        let zone_file = ZoneFile { path: "/nonexistent/zones.yaml".into() };
        let error =
            zone_file.records(&hostname("a.test"), &Token::from_stored("t")).await.expect_err("missing");
        assert!(error.to_string().contains("/nonexistent/zones.yaml"), "{error}");
    }
}
