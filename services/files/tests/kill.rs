//! The built binary, killed in the middle of uploads: whatever was acknowledged is there after the next start.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use http::StatusCode;
use svc_testkit::{KilledService, Kills, TestCaller, wait_for};

/// The id of the file, or nothing when the service was gone before it answered.
async fn upload(http: &reqwest::Client, url: &str, caller: &TestCaller, content: &str) -> Option<String> {
    let part = reqwest::multipart::Part::bytes(content.as_bytes().to_vec()).file_name("a.txt");
    let form = reqwest::multipart::Form::new().text("bucket", "documents").part("file", part);
    let request = http.post(format!("{url}/v1/files/upload")).headers(caller.headers()).multipart(form);
    let response = request.send().await.ok()?;
    assert!(response.status().is_success(), "{}", response.status());
    let file: serde_json::Value = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
    Some(file["fileId"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_was_acknowledged_survives_kills() {
    svc_kit::install_crypto();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let caller = TestCaller::owner();
    let mut service = KilledService::start(env!("CARGO_BIN_EXE_files"), &[]).await;
    let acknowledged = service
        .write(Kills { writers: 4, ..Kills::default() }, async |target, turn| {
            // Of different lengths, so that kills hit different steps.
            let content = format!("{}.{} ", turn.writer, turn.number).repeat(1 + turn.number * 500);
            let id = upload(&http, &target.url().await, &caller, &content).await?;
            Some((id, content))
        })
        .await;

    let url = service.target().url().await;
    for (id, content) in acknowledged {
        let url = format!("{url}/v1/files/{id}/content");
        // One that was acknowledged as pending is found as soon as the housekeeping has been there.
        let received = wait_for("an acknowledged file", || async {
            let response = http.get(&url).headers(caller.headers()).send().await.unwrap();
            (response.status() != StatusCode::NOT_FOUND).then_some(response)
        })
        .await;
        assert_eq!(received.status(), StatusCode::OK);
        assert!(received.text().await.unwrap() == content, "{id} has other content");
    }
}
