//! The channel below a generated client: it adds what travels along to every call.

use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use svc_kit::{RequestContext, Secret, header};
use tonic::{
    body::Body,
    client::GrpcService,
    transport::{Channel, Error},
};

/// A channel that sends the internal token and the context of the current request. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing {
    channel: Channel,
    internal_token: Option<HeaderValue>,
    deadline: Option<tokio::time::Instant>,
}

impl Outgoing {
    pub(crate) fn new(channel: Channel, internal_token: &Secret) -> Outgoing {
        let mut value = HeaderValue::try_from(internal_token.expose()).ok();
        if let Some(value) = &mut value {
            // Keeps it out of logs and of the compression table.
            value.set_sensitive(true);
        }
        Outgoing { channel, internal_token: value, deadline: None }
    }

    pub(crate) fn until(mut self, deadline: tokio::time::Instant) -> Outgoing {
        self.deadline = Some(deadline);
        self
    }
}

impl tower::Service<Request<Body>> for Outgoing {
    type Response = Response<Body>;
    type Error = Error;
    type Future = <Channel as GrpcService<Body>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        GrpcService::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers_mut();
        match RequestContext::current() {
            Some(context) => context.write_to(headers),
            None => RequestContext::of_platform(None).write_to(headers),
        }
        if let Some(token) = &self.internal_token {
            headers.insert(header::INTERNAL_TOKEN, token.clone());
        }
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if let Ok(value) = HeaderValue::try_from(grpc_timeout(left)) {
                headers.insert(header::TIMEOUT, value);
            }
        }
        GrpcService::call(&mut self.channel, request)
    }
}

/// gRPC's notation has eight digits at most: milliseconds up to a day, then whole seconds.
fn grpc_timeout(left: std::time::Duration) -> String {
    match left.as_millis() {
        milliseconds @ 0..=99_999_999 => format!("{milliseconds}m"),
        _ => format!("{}S", left.as_secs().min(99_999_999)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timeout_has_at_most_eight_digits() {
        assert_eq!(grpc_timeout(Duration::from_millis(4999)), "4999m");
        assert_eq!(grpc_timeout(Duration::from_secs(200_000)), "200000S");
        assert_eq!(grpc_timeout(Duration::MAX), "99999999S");
    }
}
