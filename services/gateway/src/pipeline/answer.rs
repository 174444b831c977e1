//! Replies of services as HTTP responses.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, SET_COOKIE},
};
use prost_reflect::DynamicMessage;
use svc_kit::{IntoChain, Shutdown};

use crate::{refusal::Refusal, routes::Rpc, transcode};

/// Metadata of a reply that becomes headers of the response.
const PASSED_ON: [HeaderName; 5] = [CACHE_CONTROL, ETAG, LOCATION, RETRY_AFTER, SET_COOKIE];
/// A stream of events says something at least this often, so that nobody in between thinks it dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One reply.
pub(super) fn unary(
    rpc: &Rpc,
    reply: &DynamicMessage,
    metadata: &HeaderMap,
) -> Result<Response<Body>, Refusal> {
    let body = match rpc.success {
        StatusCode::NO_CONTENT => Vec::new(),
        _ => transcode::reply(rpc, reply).map_err(|error| {
            tracing::error!(error = error.chain(), rpc = rpc.path.as_str(), "a reply has no JSON form");
            Refusal::internal()
        })?,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = rpc.success;
    let headers = response.headers_mut();
    if rpc.success != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for name in PASSED_ON {
        let mut values = metadata.get_all(&name).iter().cloned();
        if let Some(first) = values.next() {
            headers.insert(name.clone(), first);
            for value in values {
                headers.append(name.clone(), value);
            }
        }
    }
    Ok(response)
}

/// What an error in the middle of a stream is told with.
pub(super) struct Place {
    pub(super) instance: String,
    pub(super) trace_id: String,
    /// Server-sent events instead of lines of JSON.
    pub(super) as_events: bool,
}

/// Whether the client asks for server-sent events.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/event-stream"))
}

/// Many replies: one JSON document per line, or one event each. An error ends them as `{"error": <problem>}` or as an
/// event `error`; draining ends them without one.
pub(super) fn stream(
    replies: tonic::Streaming<DynamicMessage>,
    place: Place,
    draining: Shutdown,
) -> Response<Body> {
    let content_type = if place.as_events { "text/event-stream" } else { "application/x-ndjson" };
    let chunks = stream::unfold(Some((replies, place, draining)), |state| async {
        let (mut replies, place, draining) = state?;
        let next = tokio::select! {
            next = replies.message() => next,
            () = draining.requested() => return None,
            () = tokio::time::sleep(HEARTBEAT), if place.as_events => {
                return Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b":\n\n")), Some((replies, place, draining))));
            }
        };
        match next {
            Ok(Some(reply)) => match transcode::to_json(&reply) {
                Ok(json) => Some((Ok(place.chunk(&json)), Some((replies, place, draining)))),
                Err(error) => {
                    tracing::error!(error = error.chain(), "a reply has no JSON form");
                    Some((Ok(place.failure(&Refusal::internal())), None))
                }
            },
            Ok(None) => None,
            Err(status) => Some((Ok(place.failure(&Refusal::from(&status))), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx and its like would hold the answer back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl Place {
    fn chunk(&self, json: &[u8]) -> Bytes {
        let (before, after): (&[u8], &[u8]) =
            if self.as_events { (b"data: ", b"\n\n") } else { (b"", b"\n") };
        [before, json, after].concat().into()
    }

    fn failure(&self, refusal: &Refusal) -> Bytes {
        let document = refusal.document(&self.instance, &self.trace_id);
        match self.as_events {
            true => format!("event: error\ndata: {document}\n\n").into(),
            false => format!("{}\n", serde_json::json!({ "error": document })).into(),
        }
    }
}
