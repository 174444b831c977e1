//! The services behind the gateway: one connection and one circuit breaker each.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use http::{HeaderMap, Uri};
use prost_reflect::DynamicMessage;
use svc_kit::{IntoChain, Metrics};
use tonic::{
    Code, Request, Status, Streaming, TimeoutExpired, body::Body, client::Grpc, metadata::MetadataMap,
    transport::Endpoint,
};
use tower::util::BoxCloneSyncService;

use crate::{
    breaker::{Breaker, Outcome, Permit},
    codec::DynamicCodec,
    refusal::Refusal,
    routes::Rpc,
};

/// The areas of the platform, each with the service that answers for it: the second part of the name of every proto
/// package that has a service.
pub static AREAS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let services = svc_api::descriptor_pool().services();
    let areas: BTreeSet<String> = services
        .filter_map(|service| {
            let area = service.package_name().strip_prefix("platform.")?.split('.').next()?;
            Some(area.to_owned())
        })
        .collect();
    areas
        .into_iter()
        .map(|area| {
            let service = service_of(&area);
            (area, service)
        })
        .collect()
});

/// A service has the name of its area, but for two.
fn service_of(area: &str) -> String {
    match area {
        "data" => "data-layer".to_owned(),
        "events" => "event-bus".to_owned(),
        _ => area.replace('_', "-"),
    }
}

/// The largest message that a service may answer with, in bytes. A record of 1 MB of JSON can be five times as large as
/// protobuf.
const LARGEST_ANSWER: usize = 16 << 20;

/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that does not answer a ping in this time is dead.
const PING: Duration = Duration::from_secs(10);

/// What carries a gRPC call: a connection, or a service in this process.
pub type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, TransportError>;

/// A call did not get through.
#[derive(Debug, thiserror::Error)]
#[error("the call did not get through")]
pub struct TransportError(#[source] Box<dyn Error + Send + Sync>);

/// A service.
pub struct Upstream {
    /// Its name, such as `data-layer`.
    pub name: String,
    /// Where it is; nothing for the gateway itself.
    pub url: Option<Uri>,
    transport: Transport,
    breaker: Arc<Breaker>,
    metrics: Metrics,
}

/// All services by area.
pub type Upstreams = HashMap<String, Upstream>;

impl Upstream {
    /// A service at this URL. Connects when it is first asked, and again when the connection is lost.
    pub fn remote(name: &str, url: &Uri, metrics: Metrics) -> Upstream {
        let channel = Endpoint::from(url.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .tcp_nodelay(true)
            .connect_lazy();
        Upstream { url: Some(url.clone()), ..Upstream::local(name, channel, metrics) }
    }

    /// A service in this process.
    pub fn local<S, E>(name: &str, service: S, metrics: Metrics) -> Upstream
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = E>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        let service = tower::util::MapErr::new(service, |error: E| TransportError(error.into()));
        let transport = BoxCloneSyncService::new(service);
        Upstream { name: name.to_owned(), url: None, transport, breaker: Arc::default(), metrics }
    }

    /// Its circuit breaker.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Leave to ask it.
    ///
    /// # Errors
    ///
    /// When its breaker is open.
    pub fn admit(&self) -> Result<Permit<'_>, Refusal> {
        self.breaker.admit().map_err(|wait| Refusal::upstream_unavailable(&self.name, wait))
    }

    /// Tells the breaker and the metrics how a request ended.
    pub fn finish(&self, permit: Permit<'_>, outcome: Outcome) {
        permit.record(outcome);
        self.metrics.breaker(&self.name, self.breaker.state().into());
    }

    /// Calls an RPC with one reply. Returns it with the headers and trailers.
    ///
    /// # Errors
    ///
    /// What the service answers, and when it cannot be reached or takes longer than `patience`.
    pub async fn unary(
        &self,
        rpc: &Rpc,
        message: DynamicMessage,
        headers: HeaderMap,
        patience: Duration,
    ) -> Result<(DynamicMessage, HeaderMap), Refusal> {
        let mut client = Grpc::new(self.transport.clone()).max_decoding_message_size(LARGEST_ANSWER);
        let codec = DynamicCodec::new(rpc.output.clone());
        let request = request(message, headers, Some(patience));
        let call = async {
            client.ready().await.map_err(|error| Status::from_error(error.into()))?;
            client.unary(request, rpc.path.clone(), codec).await
        };
        let reply = self.judged(patience, call).await?;
        let (metadata, message, _) = reply.into_parts();
        Ok((message, metadata.into_headers()))
    }

    /// Calls an RPC with many replies. `patience` is for the first sign of life; the replies may take for ever.
    ///
    /// # Errors
    ///
    /// As [`Upstream::unary`].
    pub async fn stream(
        &self,
        rpc: &Rpc,
        message: DynamicMessage,
        headers: HeaderMap,
        patience: Duration,
    ) -> Result<Streaming<DynamicMessage>, Refusal> {
        let mut client = Grpc::new(self.transport.clone()).max_decoding_message_size(LARGEST_ANSWER);
        let codec = DynamicCodec::new(rpc.output.clone());
        let request = request(message, headers, None);
        let call = async {
            client.ready().await.map_err(|error| Status::from_error(error.into()))?;
            client.server_streaming(request, rpc.path.clone(), codec).await
        };
        Ok(self.judged(patience, call).await?.into_inner())
    }

    /// Runs a call under the breaker and says what its failure means.
    async fn judged<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Refusal> {
        let permit = self.admit()?;
        let start = Instant::now();
        let ended = tokio::time::timeout(patience, call).await;
        self.metrics.grpc_call(&self.name, start.elapsed());
        let status = match ended {
            Ok(Ok(reply)) => {
                self.finish(permit, Outcome::Answered);
                return Ok(reply);
            }
            Ok(Err(status)) => status,
            Err(_) => {
                self.finish(permit, Outcome::Failed);
                return Err(Refusal::upstream_timeout(&self.name, patience));
            }
        };
        // What the service said itself has no source; what happened on the way to it has.
        let Some(source) = status.source() else {
            let outcome =
                if status.code() == Code::DeadlineExceeded { Outcome::Failed } else { Outcome::Answered };
            self.finish(permit, outcome);
            return Err(Refusal::from(&status));
        };
        self.finish(permit, Outcome::Failed);
        // tonic's client watches the same deadline, and may be first.
        if is_timeout(source) {
            return Err(Refusal::upstream_timeout(&self.name, patience));
        }
        tracing::warn!(upstream = self.name, error = source.chain(), "the service cannot be reached");
        Err(Refusal::upstream_unavailable(&self.name, Duration::from_secs(1)))
    }
}

fn request(
    message: DynamicMessage,
    headers: HeaderMap,
    patience: Option<Duration>,
) -> Request<DynamicMessage> {
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    if let Some(patience) = patience {
        request.set_timeout(patience);
    }
    request
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.is::<TimeoutExpired>() || error.source().is_some_and(is_timeout)
}
