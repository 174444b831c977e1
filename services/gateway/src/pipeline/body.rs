//! Reads the body of a transcoded request, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::refusal::Refusal;

/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The whole body.
///
/// # Errors
///
/// When it is larger than `limit` bytes, breaks off, or takes too long.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Refusal::too_large(limit));
    }
    match tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large(limit)),
        Ok(Err(_)) => {
            let detail = "The body broke off before its end.";
            Err(Refusal::new(StatusCode::BAD_REQUEST, "body-broken", "The body broke off", detail))
        }
        Err(_) => {
            let detail = format!("The body was not complete after {PATIENCE:?}.");
            Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                "The body came too slowly",
                detail,
            ))
        }
    }
}
