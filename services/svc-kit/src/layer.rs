//! What happens around every request, in this order: context, span, timing, panic catcher, limit, deadline, and for
//! guarded routes the internal token.

use std::{
    any::Any,
    collections::HashSet,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Instant,
};

use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tracing::Instrument as _;

use crate::{
    Metrics, Problem, RequestContext, Secret,
    context::header,
    http_problem,
    in_flight::{Flight, InFlight},
    metrics::HttpSample,
};

/// What the layers share.
pub(crate) struct Shared {
    pub(crate) metrics: Metrics,
    pub(crate) internal_token: Secret,
    in_flight: InFlight,
    permits: Semaphore,
    /// The paths of all RPCs that exist, so that a client cannot invent labels.
    methods: HashSet<String>,
}

impl Shared {
    pub(crate) fn new(
        metrics: Metrics,
        internal_token: Secret,
        in_flight: InFlight,
        request_limit: usize,
    ) -> Shared {
        let services = svc_api::descriptor_pool().services();
        let methods = services.flat_map(|service| {
            let name = service.full_name().to_owned();
            service.methods().map(move |method| format!("/{name}/{}", method.name())).collect::<Vec<_>>()
        });
        let ours = ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"];
        let methods = methods.chain(ours.map(str::to_owned)).collect();
        Shared { metrics, internal_token, in_flight, permits: Semaphore::new(request_limit), methods }
    }

    /// Whether a part of the platform calls.
    fn is_internal(&self, headers: &HeaderMap) -> bool {
        let token = headers.get(header::INTERNAL_TOKEN);
        token.is_some_and(|token| self.internal_token.matches(token.as_bytes()))
    }
}

/// What a router of its own, such as the gateway's fallback, tells in the extensions of its answer: the metrics are
/// labelled with it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The template of the route, never the path itself.
    pub route: String,
    /// The tenant, if one is known for sure.
    pub tenant: Option<String>,
}

/// The outermost layer, around every route.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let flight = shared.in_flight.enter();
    if !shared.is_internal(request.headers()) {
        // Only a part of the platform may say who calls. The gateway's clients have no say in it.
        for name in header::IDENTITY {
            request.headers_mut().remove(name);
        }
    }
    let context = Arc::new(RequestContext::from_headers(request.headers()));
    request.extensions_mut().insert(Arc::clone(&context));
    let grpc = is_grpc(request.headers());
    let route = match request.extensions().get::<MatchedPath>() {
        _ if grpc => shared.methods.get(request.uri().path()).map_or("unknown", String::as_str).to_owned(),
        Some(matched) => matched.as_str().to_owned(),
        None => "unmatched".to_owned(),
    };
    let method = request.method().clone();
    let tenant = context.tenant().ok().map(|tenant| tenant.to_string());
    let span = tracing::info_span!(
        "request",
        trace_id = context.trace.trace_id(),
        span_id = context.trace.span_id(),
        request_id = context.request_id,
        tenant_id = tenant,
        route,
    );
    let answer =
        RequestContext::scope_shared(Arc::clone(&context), limited(&shared, &context, grpc, request, next));
    let mut response = AssertUnwindSafe(answer.instrument(span.clone()))
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| span.in_scope(|| panicked(panic.as_ref(), grpc)));
    if let Ok(id) = HeaderValue::try_from(&context.request_id) {
        response.headers_mut().insert(header::REQUEST_ID, id);
    }
    if grpc {
        let watch = CallWatch { shared, route, start, span, done: false, _flight: flight };
        return watch.over(response);
    }
    let (route, tenant) = match response.extensions_mut().remove::<Answered>() {
        Some(Answered { route, tenant }) => (route, tenant),
        None => (route, tenant),
    };
    let status = response.status().as_u16();
    let duration = start.elapsed();
    span.in_scope(|| tracing::debug!(status, milliseconds = duration.as_millis(), "answered"));
    let sample =
        HttpSample { method: method.as_str(), route: &route, status, tenant: tenant.as_deref(), duration };
    shared.metrics.http_request(sample);
    response.map(|inner| Body::new(HeldBody { inner, held: flight }))
}

/// Lets only callers pass that carry the internal token.
pub(crate) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if shared.is_internal(request.headers()) {
        return next.run(request).await;
    }
    let problem = Problem::unauthenticated(
        "This port is for the platform's own services: the internal token is missing or wrong. Call the gateway.",
    );
    refuse(problem, is_grpc(request.headers()))
}

async fn limited(
    shared: &Shared,
    context: &RequestContext,
    grpc: bool,
    request: Request,
    next: Next,
) -> Response {
    // A probe must be answered above all when there is too much to do.
    let path = request.uri().path();
    let probe = path.starts_with("/health") || path.starts_with("/grpc.health") || path == "/metrics";
    let permit = if probe { None } else { shared.permits.try_acquire().ok() };
    if permit.is_none() && !probe {
        return refuse(
            Problem::unavailable("The service works on too many requests. Retry in a moment."),
            grpc,
        );
    }
    let answer = next.run(request);
    let Some(deadline) = context.deadline else { return answer.await };
    tokio::time::timeout_at(deadline, answer).await.unwrap_or_else(|_| {
        refuse(Problem::deadline_exceeded("The caller's deadline passed before there was an answer."), grpc)
    })
}

fn panicked(panic: &(dyn Any + Send), grpc: bool) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(panic = text, "a handler panicked");
    let problem = Problem::new(Code::Internal, "internal", "Internal error");
    refuse(
        problem.detail("The service failed. The trace id of this request leads to the cause in its log."),
        grpc,
    )
}

fn refuse(problem: Problem, grpc: bool) -> Response {
    if grpc { Status::from(problem).into_http() } else { http_problem(&problem) }
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Waits for the status of a gRPC call, which comes in the head of an answer without a body, else in its trailers.
struct CallWatch {
    shared: Arc<Shared>,
    route: String,
    start: Instant,
    span: tracing::Span,
    done: bool,
    _flight: Flight,
}

impl CallWatch {
    fn over(mut self, response: Response) -> Response {
        if let Some(status) = Status::from_header_map(response.headers()) {
            self.record(status.code());
            return response;
        }
        response.map(|inner| Body::new(HeldBody { inner, held: self }))
    }

    fn record(&mut self, code: Code) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let duration = self.start.elapsed();
        self.shared.metrics.grpc_request(&self.route, code as i32, duration);
        let milliseconds = duration.as_millis();
        self.span.in_scope(|| tracing::debug!(code = code as i32, milliseconds, "answered"));
    }
}

impl Drop for CallWatch {
    fn drop(&mut self) {
        // No trailers were seen: the caller went away.
        self.record(Code::Cancelled);
    }
}

/// What wants to know of a body as it goes out, and is dropped with it.
trait Held: Send + Unpin + 'static {
    fn trailers(&mut self, _: &HeaderMap) {}
}

impl Held for Flight {}

impl Held for CallWatch {
    fn trailers(&mut self, trailers: &HeaderMap) {
        let code = Status::from_header_map(trailers).map_or(Code::Unknown, |status| status.code());
        self.record(code);
    }
}

struct HeldBody<H> {
    inner: Body,
    held: H,
}

impl<H: Held> HttpBody for HeldBody<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.held.trailers(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
