//! Raw HTTP through the gateway: bodies stream both ways and are never held; a connection may be upgraded.

use std::time::Duration;

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_TYPE, UPGRADE},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use svc_kit::{IntoChain, Problem, Shutdown};
use tonic::Code;

use crate::{
    breaker::Outcome,
    headers::{for_upstream, strip_hop_by_hop, wanted_upgrade},
    refusal::Refusal,
    upstream::{CONNECT_TIMEOUT, Upstream},
};

/// How long a service may take until the head of its answer: an upload comes before it.
const PATIENCE: Duration = Duration::from_secs(600);

/// Passes requests through.
pub struct Proxy {
    client: Client<HttpConnector, Body>,
    draining: Shutdown,
}

impl Proxy {
    /// Upgraded connections end when draining begins.
    pub fn new(draining: Shutdown) -> Proxy {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build(connector);
        Proxy { client, draining }
    }

    /// Passes a request to a service. `identity` are the headers that the gateway itself says.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached or breaks off before the head of its answer.
    pub async fn pass(
        &self,
        upstream: &Upstream,
        mut request: Request<Body>,
        identity: HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let unreachable = || Refusal::upstream_unavailable(&upstream.name, Duration::from_secs(1));
        let Some(base) = &upstream.url else { return Err(Refusal::unknown_route()) };
        let permit = upstream.admit()?;

        let upgrade = wanted_upgrade(request.headers());
        let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        *request.uri_mut() = target(base, request.uri()).ok_or_else(unreachable)?;
        *request.version_mut() = Version::HTTP_11;
        for_upstream(request.headers_mut());
        request.headers_mut().extend(identity);
        if let Some(protocol) = upgrade {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(UPGRADE, protocol);
        }

        let mut response = match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
            Ok(Ok(response)) => response.map(Body::new),
            Ok(Err(error)) if error.is_connect() => {
                tracing::warn!(
                    upstream = upstream.name,
                    error = error.chain(),
                    "the service cannot be reached"
                );
                upstream.finish(permit, Outcome::Failed);
                return Err(unreachable());
            }
            Ok(Err(error)) => {
                // The client's own body may have broken off: that says nothing about the service.
                tracing::warn!(upstream = upstream.name, error = error.chain(), "a raw request broke off");
                upstream.finish(permit, Outcome::Abandoned);
                return Err(broken_off(&upstream.name));
            }
            Err(_) => {
                upstream.finish(permit, Outcome::Failed);
                return Err(Refusal::upstream_timeout(&upstream.name, PATIENCE));
            }
        };
        upstream.finish(permit, Outcome::Answered);
        if let (StatusCode::SWITCHING_PROTOCOLS, Some(client_side)) = (response.status(), client_side) {
            self.join(client_side, hyper::upgrade::on(&mut response));
            return Ok(response);
        }
        strip_hop_by_hop(response.headers_mut());
        response.headers_mut().remove(HeaderName::from_static("x-internal-token"));
        worded(response)
    }

    /// Copies between the two sides until one ends or the gateway drains.
    fn join(&self, client: hyper::upgrade::OnUpgrade, service: hyper::upgrade::OnUpgrade) {
        let draining = self.draining.clone();
        tokio::spawn(async move {
            let (client, service) = match tokio::try_join!(client, service) {
                Ok(sides) => sides,
                Err(error) => return tracing::debug!(%error, "an upgrade failed"),
            };
            let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
            tokio::select! {
                copied = tokio::io::copy_bidirectional(&mut client, &mut service) => {
                    if let Err(error) = copied {
                        tracing::debug!(%error, "an upgraded connection broke off");
                    }
                }
                () = draining.requested() => {}
            }
        });
    }
}

/// The same path and query at the service.
fn target(base: &Uri, asked: &Uri) -> Option<Uri> {
    let mut parts = base.clone().into_parts();
    parts.path_and_query = asked.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

/// An error that says nothing gets the words of its status: every error of the platform is a problem document.
fn worded(response: Response<Body>) -> Result<Response<Body>, Refusal> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let says_something = content_type.is_some_and(|kind| !kind.starts_with(b"text/plain"));
    if says_something || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    let code = match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(Refusal::new(status, "payload-too-large", "The body is too large", ""));
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => return Err(Refusal::unsupported_media_type(None)),
        status if status.is_client_error() => {
            return Err(Refusal::new(status, "bad-request", "The request is not valid", ""));
        }
        _ => return Err(Refusal::internal()),
    };
    Err(Problem::from_status(&tonic::Status::new(code, "")).into())
}

fn broken_off(service: &str) -> Refusal {
    let detail = format!("The connection with the service `{service}` broke off before it answered.");
    Refusal::new(StatusCode::BAD_GATEWAY, "upstream-failed", "The service broke off", detail)
}
