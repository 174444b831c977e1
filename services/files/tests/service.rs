//! The whole service over raw HTTP and gRPC, as the gateway calls it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use bytes::Bytes;
use files::Files;
use files::domain::eicar;
use futures::StreamExt as _;
use http::StatusCode;
use http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use sha2::{Digest as _, Sha256};
use svc_api::files::v1 as api;
use svc_api::files::v1::files_service_client::FilesServiceClient;
use svc_kit::Problem;
use svc_testkit::{CallerChannel, FakeEventBus, TestCaller, TestService};
use tonic::Code;

struct World {
    service: TestService<Files>,
    bus: FakeEventBus,
    http: reqwest::Client,
    owner: TestCaller,
}

impl World {
    async fn start() -> World {
        svc_kit::install_crypto();
        let bus = FakeEventBus::start().await;
        let service =
            TestService::start_with([("EVENTS_URL", bus.url()), ("FILES_MAX_UPLOAD_MB", "40")]).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        World { service, bus, http, owner: TestCaller::owner() }
    }

    fn files(&self, caller: &TestCaller) -> FilesServiceClient<CallerChannel> {
        FilesServiceClient::new(self.service.channel(caller))
    }

    async fn send(&self, caller: &TestCaller, form: reqwest::multipart::Form) -> reqwest::Response {
        let url = format!("{}/v1/files/upload", self.service.url());
        self.http.post(url).headers(caller.headers()).multipart(form).send().await.unwrap()
    }

    /// Uploads text and gives the id of the file.
    async fn upload(&self, caller: &TestCaller, text: &str) -> String {
        let response = self.send(caller, form("documents", "a.txt", text.to_owned().into())).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        json(response).await["fileId"].as_str().unwrap().to_owned()
    }

    fn get(&self, caller: &TestCaller, id: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}/v1/files/{id}/content", self.service.url())).headers(caller.headers())
    }
}

async fn json(response: reqwest::Response) -> serde_json::Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn form(bucket: &str, name: &str, content: reqwest::Body) -> reqwest::multipart::Form {
    let part = reqwest::multipart::Part::stream(content).file_name(name.to_owned());
    reqwest::multipart::Form::new()
        .text("bucket", bucket.to_owned())
        .text("metadata", r#"{"title":"Invoice"}"#)
        .part("file", part)
}

#[tokio::test]
async fn what_goes_up_comes_down() {
    let world = World::start().await;
    let response = world.send(&world.owner, form("avatars", "me.png", "\u{1}".into())).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let id = {
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let file = json(response).await;
        let id = file["fileId"].as_str().unwrap().to_owned();
        assert_eq!(location, format!("/v1/files/{id}"));
        assert_eq!(file["url"], format!("/v1/files/{id}/content"));
        assert_eq!((file["status"].as_str(), file["size"].as_str()), (Some("available"), Some("1")));
        assert_eq!(file["uploadedBy"], world.owner.user.unwrap().to_string());
        assert_eq!(file["metadata"]["title"], "Invoice");
        id
    };
    let response = world.get(&world.owner, &id).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers[CONTENT_LENGTH], "1");
    assert_eq!(headers[CONTENT_TYPE], "application/octet-stream");
    assert_eq!(headers[CONTENT_DISPOSITION], "attachment; filename=\"me.png\"");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(response.bytes().await.unwrap(), "\u{1}");

    let published = world.bus.wait_for("files.file.available").await;
    assert_eq!((published.tenant, published.event.key), (world.owner.tenant, id));
    assert_eq!(published.event.topic, "platform.files.events");
}

#[tokio::test]
async fn thirty_megabytes_go_up_and_down_as_streams() {
    let world = World::start().await;
    let piece =
        Bytes::from((0..65_536).map(|number| u8::try_from(number % 253).unwrap()).collect::<Vec<_>>());
    let mut digest = Sha256::new();
    (0..480).for_each(|_| digest.update(&piece));
    let pieces = futures::stream::iter(std::iter::repeat_n(piece, 480).map(std::io::Result::Ok));
    let response =
        world.send(&world.owner, form("exports", "big.bin", reqwest::Body::wrap_stream(pieces))).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let file = json(response).await;
    assert_eq!(
        (file["size"].as_str(), file["sha256"].as_str()),
        (Some("31457280"), Some(hex::encode(digest.clone().finalize()).as_str()))
    );

    let response = world.get(&world.owner, file["fileId"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(response.headers()[CONTENT_LENGTH], "31457280");
    let mut received = Sha256::new();
    let mut stream = response.bytes_stream();
    while let Some(piece) = stream.next().await {
        received.update(piece.unwrap());
    }
    assert_eq!(received.finalize(), digest.finalize());
}

#[tokio::test]
async fn ranges_and_tags_are_understood() {
    let world = World::start().await;
    let id = world.upload(&world.owner, "0123456789").await;
    let response = world.get(&world.owner, &id).header(RANGE, "bytes=2-4").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.headers()[CONTENT_RANGE], "bytes 2-4/10");
    assert_eq!(response.headers()[CONTENT_LENGTH], "3");
    let tag = response.headers()[ETAG].clone();
    assert_eq!(response.text().await.unwrap(), "234");

    let response = world.get(&world.owner, &id).header(RANGE, "bytes=10-").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(response.headers()[CONTENT_RANGE], "bytes */10");

    let stale = world.get(&world.owner, &id).header(RANGE, "bytes=2-4").header(IF_RANGE, "\"other\"");
    assert_eq!(stale.send().await.unwrap().text().await.unwrap(), "0123456789");

    let response = world.get(&world.owner, &id).header(IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(response.text().await.unwrap(), "");
}

#[tokio::test]
async fn a_virus_is_refused_and_stays_known_as_rejected() {
    let world = World::start().await;
    let response = world.send(&world.owner, form("documents", "eicar.com", eicar::pattern().into())).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let problem = json(response).await;
    assert_eq!(problem["type"], "https://api.septemcore.com/problems/file-rejected");

    let event = world.bus.wait_for("files.file.rejected").await.event;
    let payload = svc_kit::json::from_struct(event.payload.unwrap());
    assert_eq!(payload["scanner"], "embedded-eicar");
    let id = payload["fileId"].as_str().unwrap();
    let status =
        world.files(&world.owner).get_file(api::GetFileRequest { id: id.to_owned() }).await.unwrap_err();
    assert_eq!(Problem::from_status(&status).http_status(), StatusCode::UNPROCESSABLE_ENTITY);
    let content = world.get(&world.owner, id).send().await.unwrap();
    assert_eq!(content.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn tenants_are_apart_and_strangers_stay_outside() {
    let world = World::start().await;
    let id = world.upload(&world.owner, "ours").await;
    let other = TestCaller::owner();
    assert_eq!(world.get(&other, &id).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let mut theirs = world.files(&other);
    let get = theirs.get_file(api::GetFileRequest { id: id.clone() }).await.unwrap_err();
    assert_eq!(get.code(), Code::NotFound);
    let delete = theirs.delete_file_permanently(api::DeleteFilePermanentlyRequest { id: id.clone() }).await;
    assert_eq!(delete.unwrap_err().code(), Code::NotFound);
    assert!(theirs.list_files(api::ListFilesRequest::default()).await.unwrap().into_inner().files.is_empty());

    let outside = world.owner.clone().from_outside();
    assert_eq!(world.get(&outside, &id).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let upload = world.send(&outside, form("documents", "a", "x".into())).await;
    assert_eq!(upload.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.get(&world.owner, &id).send().await.unwrap().text().await.unwrap(), "ours");
}

#[tokio::test]
async fn files_survive_a_restart_and_go_through_the_trash() {
    let mut world = World::start().await;
    let id = world.upload(&world.owner, "kept").await;
    world.service.restart().await;
    assert_eq!(world.get(&world.owner, &id).send().await.unwrap().text().await.unwrap(), "kept");

    let mut files = world.files(&world.owner);
    let url = files.get_file_url(api::GetFileUrlRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!((url.url, url.expires_at), (format!("/v1/files/{id}/content"), None));
    files.delete_file(api::DeleteFileRequest { id: id.clone() }).await.unwrap();
    assert_eq!(world.get(&world.owner, &id).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let trashed = files.get_file(api::GetFileRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!((trashed.status.as_str(), trashed.url), ("trashed", None));
    files.restore_file(api::RestoreFileRequest { id: id.clone() }).await.unwrap();
    assert_eq!(world.get(&world.owner, &id).send().await.unwrap().status(), StatusCode::OK);
    files.delete_file_permanently(api::DeleteFilePermanentlyRequest { id: id.clone() }).await.unwrap();
    assert_eq!(files.get_file(api::GetFileRequest { id }).await.unwrap_err().code(), Code::NotFound);
    world.bus.wait_for("files.file.deleted").await;
}

#[tokio::test]
async fn pages_follow_one_another_and_buckets_filter() {
    let world = World::start().await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(world.upload(&world.owner, &number.to_string()).await);
    }
    world.send(&world.owner, form("assets", "b", "x".into())).await;
    made.reverse();
    let mut files = world.files(&world.owner);
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = api::ListFilesRequest { page_size: 2, page_token, bucket: "documents".to_owned() };
        let reply = files.list_files(request).await.unwrap().into_inner();
        seen.extend(reply.files.into_iter().map(|file| file.file_id));
        page_token = reply.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    let wrong = api::ListFilesRequest { bucket: "staging".to_owned(), ..Default::default() };
    assert_eq!(files.list_files(wrong).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn what_is_not_there_yet_says_so() {
    let world = World::start().await;
    let mut files = world.files(&world.owner);
    assert_eq!(
        files.presign_upload(api::PresignUploadRequest::default()).await.unwrap_err().code(),
        Code::Unimplemented
    );
    assert_eq!(
        files.process_file(api::ProcessFileRequest::default()).await.unwrap_err().code(),
        Code::Unimplemented
    );
    let url = format!("{}/v1/files/{}/thumbnail/icon_32", world.service.url(), uuid::Uuid::now_v7());
    let thumbnail = world.http.get(url).headers(world.owner.headers()).send().await.unwrap();
    assert_eq!(thumbnail.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_body_that_is_no_form_or_too_large_is_refused_before_it_is_read() {
    let world = World::start().await;
    let url = format!("{}/v1/files/upload", world.service.url());
    let plain = world.http.post(&url).headers(world.owner.headers()).body("x").send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::BAD_REQUEST);

    // Says that it has a lot and sends nothing: the answer comes all the same.
    let never = futures::stream::pending::<std::io::Result<Bytes>>();
    let large = world.http.post(&url).headers(world.owner.headers());
    let large =
        large.header(CONTENT_TYPE, "multipart/form-data; boundary=x").header(CONTENT_LENGTH, "50000000");
    let response = large.body(reqwest::Body::wrap_stream(never)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_upload_whose_client_goes_away_leaves_nothing() {
    let world = World::start().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(1);
    let body = reqwest::Body::wrap_stream(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    let url = format!("{}/v1/files/upload", world.service.url());
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let request = world.http.post(url).headers(world.owner.headers());
    let request = request.header(CONTENT_TYPE, "multipart/form-data; boundary=b").body(body);
    let sending = tokio::spawn(request.send());
    sender.send(Ok(Bytes::from(head))).await.unwrap();
    sender.send(Ok(Bytes::from(vec![b'x'; 100_000]))).await.unwrap();
    let unfinished = world.service.data().join("objects/.unfinished");
    let count = || std::fs::read_dir(&unfinished).map_or(0, Iterator::count);
    svc_testkit::wait_for("the upload to arrive", || async { (count() == 1).then_some(()) }).await;
    sending.abort();
    drop(sender);
    svc_testkit::wait_for("the upload to be cleared away", || async { (count() == 0).then_some(()) }).await;
}
