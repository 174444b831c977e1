//! Raw routes: streamed both ways, with the same door.

use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{Answer, World};

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 320;

#[tokio::test]
async fn twenty_megabytes_pass_without_being_held() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.token());
    let mut request = world.request(
        "POST",
        "/v1/probes/upload?bucket=assets",
        &[
            ("authorization", &token),
            ("content-type", "application/octet-stream"),
            ("x-tenant-id", "0199a000-0000-7000-8000-000000000002"),
            ("x-request-id", "upload-1"),
            ("connection", "x-hop"),
            ("x-hop", "only for the gateway"),
        ],
    );
    let chunk = Bytes::from((0..CHUNK).map(|index| u8::try_from(index % 251).unwrap()).collect::<Vec<_>>());
    // Were the body held until its end, this would never come to its end: the second half waits for the first to arrive.
    let uploaded = world.probe.as_ref().unwrap().traffic.uploaded.subscribe();
    let chunks = stream::unfold((0, uploaded), move |(sent, mut uploaded)| {
        let chunk = chunk.clone();
        async move {
            if sent == CHUNKS / 2 {
                let half = (CHUNK * CHUNKS / 2) as u64;
                uploaded.wait_for(|bytes| *bytes == half).await.unwrap();
            }
            (sent < CHUNKS).then_some((Ok::<_, Infallible>(chunk), (sent + 1, uploaded)))
        }
    });
    *request.body_mut() = Body::from_stream(chunks);
    let answer = Answer::of(world.raw(request).await).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let told = answer.json();
    assert_eq!(told["bytes"], json!(CHUNK * CHUNKS));
    assert_eq!(told["uri"], "/v1/probes/upload?bucket=assets");
    assert_eq!(told["headers"]["x-tenant-id"], json!(world.tenant));
    assert_eq!(told["headers"]["x-user-id"], json!(world.user));
    assert_eq!(told["headers"]["x-internal-token"], svc_testkit::INTERNAL_TOKEN);
    assert_eq!(told["headers"]["x-request-id"], "upload-1");
    assert_eq!(told["headers"]["content-type"], "application/octet-stream");
    assert!(told["headers"].get("x-hop").is_none());
    assert!(told["headers"].get("authorization").is_none(), "the token stays at the door");
    assert_eq!(told["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!((answer.header("x-kept"), answer.header("x-hop")), ("yes", ""));
}

#[tokio::test]
async fn a_download_begins_before_it_ends() {
    let world = World::new().await;
    let response = world.raw(world.request("GET", "/v1/echo", &[])).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        seen += frame.unwrap().into_data().unwrap().len();
        // The service sends no more before this: were the answer held until its end, nothing would ever come.
        world.probe.as_ref().unwrap().traffic.first_chunk_seen.notify_one();
    }
    assert_eq!(seen, 160 * CHUNK);
}

#[tokio::test]
async fn the_door_is_the_same() {
    let world = World::new().await;
    world.ask_anonymously("POST", "/v1/probes/upload", &Json::Null).await.problem(401, "unauthenticated");
    world.iam.grant(&world.user.to_string(), &["probe.probes.*"]);
    world.ask("POST", "/v1/probes/upload", &Json::Null).await.problem(403, "permission-denied");
    let found = world.ask_anonymously("GET", "/.well-known/acme/1%2F2", &Json::Null).await;
    assert_eq!((found.status.as_u16(), found.text.as_str()), (200, "acme/1/2"));
}

#[tokio::test]
async fn an_error_without_words_gets_some() {
    let world = World::new().await;
    world.ask_anonymously("GET", "/v1/broken/text", &Json::Null).await.problem(404, "not-found");
    world.ask_anonymously("GET", "/v1/broken/empty", &Json::Null).await.problem(500, "internal");
    let own = world.ask_anonymously("GET", "/v1/broken/problem", &Json::Null).await;
    assert_eq!((own.status.as_u16(), &own.json()["detail"]), (400, &json!("No.")));
}

#[tokio::test]
async fn a_connection_may_be_upgraded() {
    let world = World::new().await;
    let request = world.request("GET", "/v1/echo", &[("connection", "upgrade"), ("upgrade", "websocket")]);
    let response = world.raw(request).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["upgrade"]),
        (101, &"websocket".parse().unwrap())
    );
    let mut io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for word in [b"hello", b"again"] {
        io.write_all(word).await.unwrap();
        let mut heard = [0; 5];
        io.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, word);
    }
    // Draining ends it: the other side sees the end.
    world.gateway.stop().await;
    assert_eq!(io.read(&mut [0; 1]).await.unwrap_or(0), 0);
}
