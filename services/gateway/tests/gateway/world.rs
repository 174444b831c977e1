//! A gateway on free ports with its neighbours, and a client that speaks to it.

use std::{
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::body::Body;
use gateway::config::{Config, Neighbour};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost_reflect::DescriptorPool;
use serde_json::{Value as Json, json};
use svc_kit::{BuildError, Configure, Context, Invalid, Reader, Routes, Service};
use svc_testkit::TestService;
use uuid::Uuid;

use crate::{
    neighbours::{IamState, Key, Server, iam, probe},
    protos::compile,
};

pub const ISSUER: &str = "https://api.septemcore.com";

pub fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| compile("platform/probe/v1/probe.proto"))
}

/// The gateway for the routes of `probe.proto`.
pub struct ProbeGateway;

pub struct ProbeConfig(Config);

impl Configure for ProbeConfig {
    fn configure(reader: &mut Reader<'_>) -> Result<ProbeConfig, Invalid> {
        let config = reader.part::<Config>();
        let url = reader.required("PROBE_URL", "a URL");
        let mut config = config?;
        config.services.push(Neighbour { area: "probe", name: "probe", url: url? });
        Ok(ProbeConfig(config))
    }
}

impl Service for ProbeGateway {
    const NAME: &'static str = "gateway";
    type Config = ProbeConfig;

    async fn build(ProbeConfig(config): ProbeConfig, context: Context) -> Result<Routes, BuildError> {
        gateway::service::build(config, context, pool()).await
    }
}

/// Everything that takes part.
pub struct World {
    pub gateway: TestService<ProbeGateway>,
    pub iam: Arc<IamState>,
    pub key: Key,
    pub tenant: Uuid,
    pub user: Uuid,
    pub probe: Option<Server>,
    pub iam_server: Option<Server>,
    client: Client<HttpConnector, Body>,
}

impl World {
    pub async fn new() -> World {
        World::with(&[]).await
    }

    /// With these variables of the gateway. The user may do everything of `probe`.
    pub async fn with(variables: &[(&str, &str)]) -> World {
        let iam_state = Arc::new(IamState::default());
        let key = Key::new("first");
        iam_state.publish(&[&key]);
        let (tenant, user) = (Uuid::now_v7(), Uuid::now_v7());
        iam_state.grant(&user.to_string(), &["probe.*"]);
        let (iam_server, probe_server) = (iam(&iam_state).await, probe(pool()).await);
        let mut all = vec![
            ("IAM_URL".to_owned(), iam_server.url.clone()),
            ("PROBE_URL".to_owned(), probe_server.url.clone()),
            ("TLS_PORT".to_owned(), "0".to_owned()),
        ];
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let gateway = TestService::start_with(all).await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (probe, iam_server) = (Some(probe_server), Some(iam_server));
        World { gateway, iam: iam_state, key, tenant, user, probe, iam_server, client }
    }

    /// The claims of a good token.
    pub fn claims(&self) -> Json {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({
            "sub": self.user, "email": "a@b.example", "tenantId": self.tenant, "roles": ["Member"],
            "iat": now, "exp": now + 900, "iss": ISSUER, "aud": "platform-kernel",
        })
    }

    /// A good token.
    pub fn token(&self) -> String {
        self.key.sign(&self.claims())
    }

    /// A request with a good token.
    pub async fn ask(&self, method: &str, uri: &str, body: &Json) -> Answer {
        let token = format!("Bearer {}", self.token());
        self.send(method, uri, &[("authorization", &token)], body).await
    }

    /// A request without a token.
    pub async fn ask_anonymously(&self, method: &str, uri: &str, body: &Json) -> Answer {
        self.send(method, uri, &[], body).await
    }

    /// A request with these headers; a body that is not null goes as JSON.
    pub async fn send(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &Json) -> Answer {
        let mut request = self.request(method, uri, headers);
        if !body.is_null() {
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            *request.body_mut() = Body::from(body.to_string());
        }
        Answer::of(self.raw(request).await).await
    }

    pub fn request(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = format!("{}{uri}", self.gateway.url()).parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        request
    }

    pub async fn raw(&self, request: Request<Body>) -> Response<Body> {
        self.client.request(request).await.unwrap().map(Body::new)
    }
}

/// A whole response.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(response: Response<Body>) -> Answer {
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Asserts that this is a whole problem document of this kind, and returns it.
    pub fn problem(&self, status: u16, slug: &str) -> Json {
        let document = self.json();
        assert_eq!((self.status.as_u16(), &document["status"]), (status, &json!(status)), "{document}");
        assert_eq!(document["type"], format!("https://api.septemcore.com/problems/{slug}"), "{document}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
        assert!(document["instance"].as_str().is_some_and(|path| path.starts_with('/')), "{document}");
        assert_eq!(document["trace_id"].as_str().map(str::len), Some(32), "{document}");
        document
    }
}
