//! The one place that opens a connection to the outside. It follows no redirect, asks no proxy, and connects only to
//! addresses that the policy allows: those in the URL itself, and those that a name resolves to at the very moment
//! of connecting, so that a name can't be changed between check and use.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

use crate::domain::{AddressPolicy, Failure, OutboundRequest, Refusal};

/// The largest answer that is handed on, in bytes.
pub const MAX_ANSWER: usize = 1024 * 1024;

/// What a provider answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`MAX_ANSWER`] bytes.
    pub body: Vec<u8>,
}

/// Why there is no answer: the class, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// The class.
    pub failure: Failure,
    /// What happened. Holds the host at most, never a path, query, header or body.
    pub reason: String,
}

/// Sends one request, once.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// The whole answer within `timeout`, or why there is none. An answer of any status is an answer.
    async fn send(&self, request: &OutboundRequest, timeout: Duration) -> Result<Answer, NoAnswer>;
}

/// Over HTTP, by reqwest.
#[derive(Debug)]
pub struct HttpOutbound {
    client: reqwest::Client,
    policy: AddressPolicy,
}

impl HttpOutbound {
    /// A client that keeps to `policy`.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(policy: AddressPolicy) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent("platform-integration-hub")
            .dns_resolver(PolicyResolver { policy })
            .build()?;
        Ok(Self { client, policy })
    }

    async fn exchange(&self, request: &OutboundRequest) -> Result<Answer, NoAnswer> {
        if let Some(refusal) = literal_address(request).and_then(|address| self.policy.check(address).err()) {
            return Err(NoAnswer { failure: Failure::Refused, reason: refusal.to_string() });
        }
        let mut response = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| no_answer(request, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| no_answer(request, &error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(NoAnswer {
                    failure: Failure::TooLarge,
                    reason: format!("{} answered with more than {MAX_ANSWER} bytes", host(request)),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }
}

#[async_trait]
impl Outbound for HttpOutbound {
    async fn send(&self, request: &OutboundRequest, timeout: Duration) -> Result<Answer, NoAnswer> {
        tokio::time::timeout(timeout, self.exchange(request)).await.unwrap_or_else(|_| {
            Err(NoAnswer {
                failure: Failure::Timeout,
                reason: format!("{} gave no whole answer within {} ms", host(request), timeout.as_millis()),
            })
        })
    }
}

/// The address in the URL itself, which no resolver ever sees.
fn literal_address(request: &OutboundRequest) -> Option<IpAddr> {
    match request.url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

fn host(request: &OutboundRequest) -> &str {
    request.url.host_str().unwrap_or("the provider")
}

fn no_answer(request: &OutboundRequest, error: &reqwest::Error) -> NoAnswer {
    // The cause's own text may repeat the whole URL, so only what we know to be harmless is told.
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            let reason =
                format!("{} resolves to an address that may not be called: {refusal}", host(request));
            return NoAnswer { failure: Failure::Refused, reason };
        }
        source = cause.source();
    }
    let what = if error.is_connect() { "could not be connected to" } else { "broke the connection" };
    NoAnswer { failure: Failure::Connection, reason: format!("{} {what}", host(request)) }
}

/// Resolves names with the system's resolver and drops addresses that the policy refuses.
#[derive(Clone, Copy, Debug)]
struct PolicyResolver {
    policy: AddressPolicy,
}

impl Resolve for PolicyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = select(policy, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The allowed ones; the refusal of the last when none is left.
fn select(
    policy: AddressPolicy,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let mut allowed = Vec::new();
    let mut refused = None;
    for address in found {
        match policy.check(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(refusal) => refused = Some(refusal),
        }
    }
    match refused {
        Some(refusal) if allowed.is_empty() => Err(Box::new(refusal)),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_addresses_of_a_name_are_used() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let mixed = [address("10.0.0.1:0"), address("8.8.8.8:0"), address("169.254.169.254:0")];
        assert_eq!(
            select(AddressPolicy::PublicOnly, mixed.into_iter()).expect("one"),
            [address("8.8.8.8:0")]
        );
        assert_eq!(select(AddressPolicy::AllowPrivate, mixed.into_iter()).expect("two").len(), 2);
        let refusal = select(AddressPolicy::PublicOnly, mixed.into_iter().take(1)).expect_err("none is left");
        assert!(refusal.downcast_ref::<Refusal>().is_some());
    }
}
