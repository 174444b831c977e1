//! The services behind the gateway under test: an iam that knows one key and some grants, and a service for `probe.proto`
//! that tells what reached it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Request, State},
    response::IntoResponse,
    routing::{get, post},
};
use futures::{Stream, StreamExt as _, stream};
use gateway::codec::DynamicCodec;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage as _};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value as Json_, json};
use svc_api::iam::v1::{
    GetJwksReply, GetJwksRequest, GetPermissionsReply, GetPermissionsRequest,
    internal_service_server::{InternalService, InternalServiceServer},
};
use svc_kit::Problem;
use tokio::{
    io::AsyncReadExt as _,
    io::AsyncWriteExt as _,
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};
use tonic::{Code, Response, Status, codegen::BoxFuture};

/// A signing key of iam.
pub struct Key {
    pub kid: String,
    signing: EncodingKey,
    public: Jwk,
}

impl Key {
    pub fn new(kid: &str) -> Key {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let signing = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap();
        public.common.key_id = Some(kid.to_owned());
        Key { kid: kid.to_owned(), signing, public }
    }

    pub fn sign(&self, claims: &Json_) -> String {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.signing).unwrap()
    }
}

/// What the fake iam knows, and how often it was asked.
#[derive(Default)]
pub struct IamState {
    pub keys: Mutex<Vec<Jwk>>,
    pub grants: Mutex<BTreeMap<String, Vec<String>>>,
    pub blocked: AtomicBool,
    pub away: AtomicBool,
    pub asked_for_keys: AtomicUsize,
    pub asked_for_grants: AtomicUsize,
}

impl IamState {
    pub fn publish(&self, keys: &[&Key]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.public.clone()).collect();
    }

    pub fn grant(&self, user: &str, permissions: &[&str]) {
        let permissions = permissions.iter().map(|permission| (*permission).to_owned()).collect();
        self.grants.lock().unwrap().insert(user.to_owned(), permissions);
    }

    fn present(&self) -> Result<(), Status> {
        if self.away.load(Ordering::SeqCst) { Err(Status::unavailable("iam is away")) } else { Ok(()) }
    }
}

struct FakeIam(Arc<IamState>);

#[tonic::async_trait]
impl InternalService for FakeIam {
    async fn get_jwks(
        &self,
        request: tonic::Request<GetJwksRequest>,
    ) -> Result<Response<GetJwksReply>, Status> {
        assert!(
            request.metadata().contains_key("x-internal-token"),
            "the gateway proves that it is one of us"
        );
        self.0.asked_for_keys.fetch_add(1, Ordering::SeqCst);
        self.0.present()?;
        let jwks_json = json!({ "keys": *self.0.keys.lock().unwrap() }).to_string();
        Ok(Response::new(GetJwksReply { jwks_json }))
    }

    async fn get_permissions(
        &self,
        request: tonic::Request<GetPermissionsRequest>,
    ) -> Result<Response<GetPermissionsReply>, Status> {
        self.0.asked_for_grants.fetch_add(1, Ordering::SeqCst);
        self.0.present()?;
        let permissions =
            self.0.grants.lock().unwrap().get(&request.get_ref().user_id).cloned().unwrap_or_default();
        let tenant_blocked = self.0.blocked.load(Ordering::SeqCst);
        Ok(Response::new(GetPermissionsReply { permissions, roles: Vec::new(), tenant_blocked }))
    }
}

/// What the raw routes of the probe have seen, and what they wait for.
#[derive(Default)]
pub struct Traffic {
    /// Bytes of uploads that have arrived.
    pub uploaded: watch::Sender<u64>,
    /// A download goes on behind its first chunk when the client has that one.
    pub first_chunk_seen: Notify,
}

/// A server on a free port, ended when dropped.
pub struct Server {
    pub url: String,
    pub traffic: Arc<Traffic>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(router: Router, traffic: Arc<Traffic>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Server { url, traffic, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub async fn iam(state: &Arc<IamState>) -> Server {
    let service = InternalServiceServer::new(FakeIam(Arc::clone(state)));
    Server::start(tonic::service::Routes::new(service).into_axum_router(), Arc::default()).await
}

pub async fn probe(pool: &DescriptorPool) -> Server {
    let pool = pool.clone();
    let grpc = move |Path(method): Path<String>, request: Request| {
        let pool = pool.clone();
        async move { call(&pool, &method, request).await }
    };
    let router = Router::new()
        .route("/platform.probe.v1.ProbeService/{method}", post(grpc))
        .route("/v1/probes/upload", post(upload))
        .route("/v1/echo", get(echo))
        .route("/v1/broken/{kind}", get(broken))
        .route("/.well-known/{*rest}", get(well_known));
    let traffic = Arc::<Traffic>::default();
    Server::start(router.with_state(Arc::clone(&traffic)), traffic).await
}

async fn call(pool: &DescriptorPool, method: &str, request: Request) -> http::Response<tonic::body::Body> {
    let service = pool.get_service_by_name("platform.probe.v1.ProbeService").unwrap();
    let method = service.methods().find(|known| known.name() == method).unwrap();
    let headers = request.headers().clone();
    let mut grpc = tonic::server::Grpc::new(DynamicCodec::new(method.input()));
    if method.is_server_streaming() {
        return grpc.server_streaming(Watch(method), request).await;
    }
    grpc.unary(Unary(method, headers), request).await
}

struct Unary(MethodDescriptor, HeaderMap);

impl tonic::server::UnaryService<DynamicMessage> for Unary {
    type Response = DynamicMessage;
    type Future = BoxFuture<Response<DynamicMessage>, Status>;

    fn call(&mut self, request: tonic::Request<DynamicMessage>) -> Self::Future {
        let (method, headers) = (self.0.clone(), self.1.clone());
        Box::pin(async move { unary(&method, &headers, request.into_inner()).await })
    }
}

/// Says what it got: the request as JSON in `data.request`, the metadata in `data.metadata`. Some ids mean trouble.
async fn unary(
    method: &MethodDescriptor,
    headers: &HeaderMap,
    request: DynamicMessage,
) -> Result<Response<DynamicMessage>, Status> {
    let id =
        request.get_field_by_name("id").and_then(|id| id.as_str().map(str::to_owned)).unwrap_or_default();
    match id.as_str() {
        "missing" => return Err(Problem::not_found("There is no probe `missing`.").into()),
        "poor" => {
            let problem = Problem::new(Code::FailedPrecondition, "insufficient-funds", "Insufficient funds");
            return Err(problem
                .detail("Only 5 left.")
                .violation("amount", "maximum", "must be at most 5")
                .into());
        }
        "fault" => return Err(Status::internal("the password of the database is hunter2")),
        "busy" => return Err(Problem::unavailable("The queue is full.").into()),
        "todo" => return Err(Status::unimplemented("")),
        "slow" => std::future::pending::<()>().await,
        _ => {}
    }
    let names = headers.keys().map(|name| name.as_str().to_owned());
    let metadata: BTreeMap<String, String> =
        names.map(|name| (name.clone(), headers[&name].to_str().unwrap_or("binary").to_owned())).collect();
    let reply = json!({
        "id": if id.is_empty() { "made" } else { &id },
        "data": { "request": serde_json::to_value(&request).unwrap(), "metadata": metadata },
    });
    let reply = match method.output().full_name() {
        "google.protobuf.Empty" => json!({}),
        "platform.probe.v1.ListReply" => json!({ "names": [request.descriptor().name()] }),
        _ => reply,
    };
    let mut response = Response::new(DynamicMessage::deserialize(method.output(), reply).unwrap());
    if id == "elsewhere" {
        response.metadata_mut().insert("location", "/v1/probes/new".parse().unwrap());
        response.metadata_mut().insert("x-secret", "not for clients".parse().unwrap());
    }
    Ok(response)
}

struct Watch(MethodDescriptor);

impl tonic::server::ServerStreamingService<DynamicMessage> for Watch {
    type Response = DynamicMessage;
    type ResponseStream = std::pin::Pin<Box<dyn Stream<Item = Result<DynamicMessage, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: tonic::Request<DynamicMessage>) -> Self::Future {
        let output = self.0.output();
        Box::pin(async move {
            let probe =
                move |id: &str| Ok(DynamicMessage::deserialize(output.clone(), json!({ "id": id })).unwrap());
            let first = stream::iter([probe("one"), probe("two")]);
            let after: Self::ResponseStream =
                match request.get_ref().get_field_by_name("page_token").unwrap().as_str() {
                    Some("refuse") => return Err(Problem::not_found("There is nothing to watch.").into()),
                    Some("fail") => {
                        Box::pin(stream::iter([Err(Problem::unavailable("The log is gone.").into())]))
                    }
                    Some("endless") => Box::pin(stream::pending()),
                    _ => Box::pin(stream::empty()),
                };
            Ok(Response::new(Box::pin(first.chain(after)) as Self::ResponseStream))
        })
    }
}

/// Counts the bytes as they come and tells the headers.
async fn upload(State(traffic): State<Arc<Traffic>>, request: Request) -> impl IntoResponse {
    let (head, mut body) = request.into_parts();
    let (mut bytes, mut sum) = (0_u64, 0_u64);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.unwrap().into_data() else { continue };
        bytes += data.len() as u64;
        traffic.uploaded.send_replace(bytes);
        sum = data.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    }
    let text = |value: &HeaderValue| value.to_str().unwrap_or("binary").to_owned();
    let headers: BTreeMap<String, String> =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    (
        StatusCode::CREATED,
        [("connection", "x-hop"), ("x-hop", "secret"), ("x-kept", "yes")],
        Json(
            json!({ "bytes": bytes, "sum": sum.to_string(), "headers": headers, "uri": head.uri.to_string() }),
        ),
    )
}

/// Answers a GET with ten megabytes, an upgrade with an echo.
async fn echo(State(traffic): State<Arc<Traffic>>, mut request: Request) -> http::Response<Body> {
    if request.headers().get(header::UPGRADE).is_none() {
        let chunk = bytes::Bytes::from(vec![7_u8; 64 * 1024]);
        let chunks = stream::unfold(0, move |sent| {
            let (chunk, traffic) = (chunk.clone(), Arc::clone(&traffic));
            async move {
                if sent == 1 {
                    traffic.first_chunk_seen.notified().await;
                }
                (sent < 160).then_some((Ok::<_, Infallible>(chunk), sent + 1))
            }
        });
        return http::Response::new(Body::from_stream(chunks));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.unwrap());
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = io.read(&mut buffer).await {
            io.write_all(&buffer[..read]).await.unwrap();
        }
    });
    http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .body(Body::empty())
        .unwrap()
}

async fn broken(Path(kind): Path<String>) -> http::Response<Body> {
    match kind.as_str() {
        "text" => (StatusCode::NOT_FOUND, "nothing").into_response(),
        "empty" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => Problem::invalid("No.").into_response(),
    }
}

async fn well_known(Path(rest): Path<String>) -> String {
    rest
}
