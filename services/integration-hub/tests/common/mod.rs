//! A provider that does what a test tells it, and a hub whose time the test controls.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use integration_hub::MIGRATIONS;
use integration_hub::domain::{AddressPolicy, Provider, ProviderConfig};
use integration_hub::hub::{Hub, NewProvider};
use integration_hub::outbound::HttpOutbound;
use integration_hub::ports::{Surroundings, System};
use integration_hub::vault::Vault;
use jiff::Timestamp;
use svc_stores::{Database, secrets};
use tempfile::TempDir;
use uuid::Uuid;

/// What the stub does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers.
    Answer(u16, &'static str),
    /// Answers with a redirect to this place.
    Redirect(String),
    /// Answers with this many bytes.
    Large(usize),
    /// Never answers.
    Hang,
}

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

#[derive(Default)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
}

/// A provider on a free port. When its script is at its end, it answers 200 `{"ok":true}`.
pub struct Stub {
    pub url: String,
    script: Arc<Script>,
    server: tokio::task::JoinHandle<()>,
}

impl Stub {
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Stub {
        let script =
            Arc::new(Script { acts: Mutex::new(acts.into_iter().collect()), seen: Mutex::default() });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Stub { url, script, server }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    pub fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.acts.lock().unwrap().extend(acts);
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
    script.seen.lock().unwrap().push(Seen {
        method: parts.method,
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let act = script.acts.lock().unwrap().pop_front().unwrap_or(Act::Answer(200, r#"{"ok":true}"#));
    let response = |status: u16| Response::builder().status(StatusCode::from_u16(status).unwrap());
    match act {
        Act::Answer(status, body) => response(status).body(Body::from(body)).unwrap(),
        Act::Redirect(to) => response(302).header("location", to).body(Body::empty()).unwrap(),
        Act::Large(size) => response(200).body(Body::from(vec![b'x'; size])).unwrap(),
        Act::Hang => std::future::pending().await,
    }
}

/// Time that only moves when told to; pauses take none and are remembered.
pub struct FakeSurroundings {
    now: Mutex<Timestamp>,
    pauses: Mutex<Vec<Duration>>,
}

impl FakeSurroundings {
    pub fn pass(&self, seconds: u64) {
        let mut now = self.now.lock().unwrap();
        *now = now.saturating_add(Duration::from_secs(seconds)).unwrap();
    }

    pub fn pauses(&self) -> Vec<u64> {
        self.pauses.lock().unwrap().iter().map(Duration::as_secs).collect()
    }
}

#[async_trait]
impl Surroundings for FakeSurroundings {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn pause(&self, length: Duration) {
        self.pauses.lock().unwrap().push(length);
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

/// A hub over real stores in a folder of its own.
pub struct World {
    pub hub: Hub,
    pub time: Arc<FakeSurroundings>,
    pub tenant: Uuid,
    vault: Vault,
    _folder: TempDir,
}

impl World {
    pub async fn open(policy: AddressPolicy) -> World {
        svc_kit::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display().to_string();
        let database = Database::connect(&format!("sqlite://{place}/hub.db")).await.unwrap();
        database.migrate("integration-hub", MIGRATIONS).await.unwrap();
        let vault = Vault::new(secrets::connect(&format!("sealed://{place}/secrets")).await.unwrap());
        let time = Arc::new(FakeSurroundings { now: Mutex::new(System.now()), pauses: Mutex::default() });
        let outbound = Arc::new(HttpOutbound::new(policy).unwrap());
        let hub = Hub::new(database, vault.clone(), outbound, Arc::clone(&time) as Arc<dyn Surroundings>);
        World { hub, time, tenant: Uuid::now_v7(), vault, _folder: folder }
    }

    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// A provider with a bearer token at this place.
    pub async fn provider(&self, base_url: &str, config: ProviderConfig) -> Provider {
        self.hub.create(self.tenant, provider_at(base_url, config)).await.unwrap()
    }
}

pub fn provider_at(base_url: &str, config: ProviderConfig) -> NewProvider {
    NewProvider {
        name: format!("provider {}", Uuid::now_v7()),
        provider_type: "custom".to_owned(),
        base_url: base_url.to_owned(),
        auth_type: "bearer".to_owned(),
        credentials: [("token".to_owned(), "geheim".to_owned())].into(),
        config,
    }
}

pub fn retries(retries: u32) -> ProviderConfig {
    ProviderConfig { retries, ..ProviderConfig::default() }
}
