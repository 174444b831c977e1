//! The way of a request through the gateway, in one place and one order:
//!
//! preflight → route → token → rate limit → permission → breaker → body → message → tenant → call → answer.
//!
//! Around it stand the chassis' layers (request id, trace, panic catcher, limit of concurrent requests) before, and
//! security headers, CORS and the access log after.

mod access;
mod answer;
mod body;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Body, extract::ConnectInfo};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, USER_AGENT},
};
use svc_kit::{Answered, RequestContext, Secret, Shutdown, header};

use crate::{
    cors::Cors,
    grants::GrantCache,
    headers,
    keys::Tokens,
    proxy::Proxy,
    rate_limit::RateLimit,
    refusal::Refusal,
    routes::{Lookup, Route, RouteTable, Rpc, Streaming, Target},
    token::Identity,
    transcode::{self, Parts},
    upstream::{Upstream, Upstreams},
};

/// Numbers that a request is held to.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests per minute of a tenant; 0 is no limit, here and below.
    pub tenant: u32,
    /// Requests per minute of a tenant's admins.
    pub admin: u32,
    /// Requests per minute of one address without a token.
    pub anonymous: u32,
    /// How long a service may take.
    pub patience: Duration,
    /// The largest body of a transcoded request, in bytes.
    pub body: usize,
    /// How many proxies in front of the gateway add to `X-Forwarded-For`.
    pub trusted_proxies: usize,
}

/// What the gateway is made of.
pub struct Gateway {
    /// The routes.
    pub table: RouteTable,
    /// The services. There is one for the area of every route.
    pub upstreams: Upstreams,
    /// Checks tokens.
    pub tokens: Arc<Tokens>,
    /// Knows what roles grant.
    pub grants: GrantCache,
    /// Counts requests.
    pub rates: RateLimit,
    /// The limits.
    pub limits: Limits,
    /// Which origins browsers may call from.
    pub cors: Cors,
    /// Passes raw requests.
    pub proxy: Proxy,
    /// What proves to the services that the gateway calls.
    pub internal_token: Secret,
    /// Ends endless answers.
    pub draining: Shutdown,
    /// The beginning of this gateway's own time.
    pub started: Instant,
}

/// What was found out about a request on its way, for the log and the headers of the answer.
#[derive(Default)]
struct Seen<'g> {
    route: Option<&'g Route>,
    identity: Option<Arc<Identity>>,
    rate: Option<(u32, u32)>,
}

impl Gateway {
    /// Answers a request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let start = Instant::now();
        let known = request.extensions().get::<Arc<RequestContext>>().cloned();
        let context = known.unwrap_or_else(|| Arc::new(RequestContext::from_headers(request.headers())));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let origin = self.cors.allowed(request.headers());

        let mut seen = Seen::default();
        let mut response = match self.handle(request, &context, &mut seen).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(&path, &context.trace.trace_id()),
        };

        let headers = response.headers_mut();
        headers::secure(headers);
        self.cors.allow(origin, headers);
        if let Ok(id) = HeaderValue::try_from(&context.request_id) {
            headers.insert(header::REQUEST_ID, id);
        }
        if let Some((limit, remaining)) = seen.rate {
            headers.insert(HeaderName::from_static("x-ratelimit-limit"), limit.into());
            headers.insert(HeaderName::from_static("x-ratelimit-remaining"), remaining.into());
        }
        log(&context, &method, &path, &seen, response.status(), start.elapsed());
        if let Some(route) = seen.route {
            let tenant = seen.identity.as_deref().and_then(|identity| identity.tenant);
            let tenant = tenant.map(|tenant| tenant.to_string());
            response.extensions_mut().insert(Answered { route: route.path.clone(), tenant });
        }
        response
    }

    async fn handle<'g>(
        &'g self,
        request: Request<Body>,
        context: &RequestContext,
        seen: &mut Seen<'g>,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(preflight) = self.cors.preflight(request.method(), request.headers()) {
            return Ok(preflight);
        }
        let (route, variables) = match self.table.find(request.method(), request.uri().path()) {
            Lookup::Found(route, variables) => (route, variables),
            Lookup::WrongMethod(allow) => return Err(Refusal::wrong_method(request.method(), allow)),
            Lookup::Malformed => return Err(Refusal::malformed_path()),
            Lookup::Unknown => return Err(Refusal::unknown_route()),
        };
        seen.route = Some(route);
        let client = self.client_address(&request);
        let identity = match self.identify(route, request.headers()).await {
            Ok(identity) => identity,
            Err(refusal) => {
                // Whose token is refused is nobody, and checking signatures costs: they have no more tries than others.
                if refusal.status() == StatusCode::UNAUTHORIZED {
                    self.count(None, client, seen)?;
                }
                return Err(refusal);
            }
        };
        seen.identity.clone_from(&identity);
        self.count(identity.as_deref(), client, seen)?;
        self.authorize(route, identity.as_deref()).await?;
        let upstream = self.upstreams.get(&route.area).ok_or_else(Refusal::unknown_route)?;
        let outgoing = self.outgoing(context, identity.as_deref(), client, request.headers());
        match &route.target {
            Target::Raw => {
                let mut request = request;
                if identity.is_some() {
                    // It has done its work. On a public route it may be meant for the service.
                    request.headers_mut().remove(AUTHORIZATION);
                }
                self.proxy.pass(upstream, request, outgoing).await
            }
            Target::Rpc(rpc) => {
                let tenant = identity.and_then(|identity| identity.tenant).map(|tenant| tenant.to_string());
                // iam decides itself which tenant its callers may name: they switch to one, or act in one.
                let tenant = tenant.filter(|_| route.area != "iam");
                self.transcode(upstream, rpc, request, &variables, tenant.as_deref(), outgoing, context).await
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    async fn transcode(
        &self,
        upstream: &Upstream,
        rpc: &Rpc,
        request: Request<Body>,
        variables: &[String],
        tenant: Option<&str>,
        outgoing: HeaderMap,
        context: &RequestContext,
    ) -> Result<Response<Body>, Refusal> {
        if rpc.streaming == Streaming::Requests {
            return Err(Refusal::not_over_rest());
        }
        let (head, body) = request.into_parts();
        let body = match head.method {
            Method::GET | Method::HEAD => bytes::Bytes::new(),
            _ => body::read(&head.headers, body, self.limits.body).await?,
        };
        let query = head.uri.query().unwrap_or_default();
        let parts = Parts { variables, query, headers: &head.headers, body: &body };
        let mut message = transcode::request(rpc, parts)?;
        if let Some(tenant) = tenant {
            transcode::own_tenant(&mut message, rpc, tenant);
        }
        let patience = self.limits.patience;
        if rpc.streaming == Streaming::Replies {
            let replies = upstream.stream(rpc, message, outgoing, patience).await?;
            let place = answer::Place {
                instance: head.uri.path().to_owned(),
                trace_id: context.trace.trace_id(),
                as_events: answer::wants_events(&head.headers),
            };
            return Ok(answer::stream(replies, place, self.draining.clone()));
        }
        let (reply, metadata) = upstream.unary(rpc, message, outgoing, patience).await?;
        answer::unary(rpc, &reply, &metadata)
    }

    /// What the gateway itself says to a service.
    fn outgoing(
        &self,
        context: &RequestContext,
        identity: Option<&Identity>,
        client: Option<IpAddr>,
        given: &HeaderMap,
    ) -> HeaderMap {
        let mut outgoing = RequestContext::of_platform(identity.and_then(|identity| identity.tenant));
        if let Some(identity) = identity {
            outgoing = outgoing.with_user(identity.user, identity.roles.iter().cloned());
        }
        outgoing.request_id.clone_from(&context.request_id);
        outgoing.trace = context.trace.clone();
        outgoing.idempotency_key.clone_from(&context.idempotency_key);
        outgoing.client_address = client.map(|client| client.to_string());
        outgoing.client_agent = given
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .map(|agent| agent.chars().take(512).collect());
        let mut headers = HeaderMap::with_capacity(12);
        outgoing.write_to(&mut headers);
        if let Ok(mut token) = HeaderValue::try_from(self.internal_token.expose()) {
            token.set_sensitive(true);
            headers.insert(header::INTERNAL_TOKEN, token);
        }
        headers
    }

    /// Where the client is: the peer, or what the trusted proxies in front saw.
    fn client_address(&self, request: &Request<Body>) -> Option<IpAddr> {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let Some(skip) = self.limits.trusted_proxies.checked_sub(1) else { return peer };
        let chain =
            request.headers().get_all(header::FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let chain: Vec<&str> = chain.flat_map(|value| value.split(',')).collect();
        chain.iter().rev().nth(skip).and_then(|address| address.trim().parse().ok()).or(peer)
    }

    /// Milliseconds of a clock that never goes back.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One line per request. Never the query: it may hold what nobody should read.
fn log(
    context: &RequestContext,
    method: &Method,
    path: &str,
    seen: &Seen<'_>,
    status: StatusCode,
    duration: Duration,
) {
    let route = seen.route.map(|route| route.path.as_str()).unwrap_or_default();
    let area = seen.route.map(|route| route.area.as_str()).unwrap_or_default();
    let identity = seen.identity.as_deref();
    tracing::info!(
        method = method.as_str(),
        path,
        route,
        area,
        status = status.as_u16(),
        milliseconds = duration.as_secs_f64() * 1000.0,
        user_id = identity.map(|identity| identity.user.to_string()),
        tenant_id = identity.and_then(|identity| identity.tenant).map(|tenant| tenant.to_string()),
        request_id = context.request_id,
        trace_id = context.trace.trace_id(),
        "request"
    );
}
