//! Looking for malware. The scanner is a port; the embedded one finds nothing but the EICAR test file and says so in
//! its name, so that nobody takes its word for more. A real one (ClamAV) comes later.

use async_trait::async_trait;
use futures::StreamExt as _;
use svc_stores::objects::ObjectStream;
use thiserror::Error;

use crate::domain::EicarMatcher;

/// What a scanner found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Clean,
    /// Something.
    Infected {
        /// What it is called.
        signature: String,
    },
}

/// Why content could not be scanned. It will be tried again.
#[derive(Debug, Error)]
#[error("the content could not be scanned: {0}")]
pub struct ScanError(pub String);

/// Looks for malware.
#[async_trait]
pub trait Scanner: Send + Sync {
    /// What scans, as it is kept beside each file.
    fn name(&self) -> &'static str;

    /// Scans content as it comes, without keeping it.
    async fn scan(&self, content: ObjectStream) -> Result<Finding, ScanError>;
}

/// Finds the EICAR test file and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddedEicar;

#[async_trait]
impl Scanner for EmbeddedEicar {
    fn name(&self) -> &'static str {
        "embedded-eicar"
    }

    async fn scan(&self, mut content: ObjectStream) -> Result<Finding, ScanError> {
        let mut matcher = EicarMatcher::default();
        while let Some(piece) = content.next().await {
            matcher.feed(&piece.map_err(|error| ScanError(error.to_string()))?);
            if matcher.found() {
                return Ok(Finding::Infected { signature: "EICAR-Test-File".to_owned() });
            }
        }
        Ok(Finding::Clean)
    }
}

#[cfg(test)]
mod tests {
    use svc_stores::objects::once;

    use super::*;
    use crate::domain::eicar;

    #[tokio::test]
    async fn it_finds_the_test_file_and_passes_the_rest() {
        let found = EmbeddedEicar.scan(once(eicar::pattern())).await.expect("scanned");
        assert_eq!(found, Finding::Infected { signature: "EICAR-Test-File".to_owned() });
        assert_eq!(EmbeddedEicar.scan(once("hello")).await.expect("scanned"), Finding::Clean);
    }

    #[tokio::test]
    async fn content_that_breaks_off_is_not_called_clean() {
        let broken = futures::stream::iter([Err(std::io::Error::other("gone"))]).boxed();
        assert!(EmbeddedEicar.scan(broken).await.is_err());
    }
}
