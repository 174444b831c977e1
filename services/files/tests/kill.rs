//! The built binary, killed in the middle of uploads: whatever was acknowledged is there after the next start.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use svc_testkit::{INTERNAL_TOKEN, TestCaller, wait_for};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Notify;

const ROUNDS: usize = 4;
const UPLOADERS: usize = 4;
/// A round ends with a kill as soon as this many uploads were acknowledged in it.
const ACKNOWLEDGED: usize = 12;

struct Running {
    child: Child,
    url: String,
    // Held open: a service whose output is closed could fail at writing its log.
    _output: Lines<BufReader<ChildStdout>>,
}

async fn start(data: &Path) -> Running {
    let place = data.display();
    let mut child = Command::new(env!("CARGO_BIN_EXE_files"))
        .env_clear()
        .envs([
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("LOG_LEVEL", "svc_kit=info,warn"),
            ("INTERNAL_TOKEN", INTERNAL_TOKEN),
            // Nobody listens there: events wait in the outbox.
            ("EVENTS_URL", "http://127.0.0.1:1"),
        ])
        .env("DATABASE_URL", format!("sqlite://{place}/files.db"))
        .env("OBJECTS_URL", format!("file://{place}/objects"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = output.next_line().await.unwrap().expect("the service ended before it listened");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        if line["message"] == "listening" {
            let url = format!("http://{}", line["address"].as_str().unwrap());
            return Running { child, url, _output: output };
        }
    }
}

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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills() {
    svc_kit::install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let caller = TestCaller::owner();
    let acknowledged = Arc::new(Mutex::new(Vec::<(String, String)>::new()));
    for round in 0..ROUNDS {
        let mut running = start(folder.path()).await;
        let before = acknowledged.lock().unwrap().len();
        let enough = Arc::new(Notify::new());
        let uploaders: Vec<_> = (0..UPLOADERS)
            .map(|uploader| {
                let (http, url, caller) = (http.clone(), running.url.clone(), caller.clone());
                let (acknowledged, enough) = (Arc::clone(&acknowledged), Arc::clone(&enough));
                tokio::spawn(async move {
                    for number in 0.. {
                        // Of different lengths, so that kills hit different steps.
                        let content = format!("{round}.{uploader}.{number} ").repeat(1 + number * 500);
                        let Some(id) = upload(&http, &url, &caller, &content).await else { return };
                        let mut acknowledged = acknowledged.lock().unwrap();
                        acknowledged.push((id, content));
                        if acknowledged.len() == before + ACKNOWLEDGED {
                            enough.notify_one();
                        }
                    }
                })
            })
            .collect();
        enough.notified().await;
        running.child.kill().await.unwrap();
        for uploader in uploaders {
            uploader.await.unwrap();
        }
    }
    let running = start(folder.path()).await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() >= ROUNDS * ACKNOWLEDGED);
    for (id, content) in acknowledged {
        let url = format!("{}/v1/files/{id}/content", running.url);
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
