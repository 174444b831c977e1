//! The story of a newcomer: everything comes up, proves itself, serves two tenants, and goes without a trace.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support.rs"]
mod support;

use std::process::Stdio;

use reqwest::{Method, StatusCode, multipart};
use serde_json::{Value, json};

use support::{Platform, answer, describe, until};

const SERVICES: [&str; 12] = [
    "audit",
    "billing",
    "data-layer",
    "domain-resolver",
    "event-bus",
    "files",
    "gateway",
    "iam",
    "integration-hub",
    "module-registry",
    "money",
    "notify",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_comes_up_serves_tenants_and_goes_without_a_trace() {
    let platform = Platform::new("story");
    two_at_once_bring_up_one(&platform);
    every_service_is_ready(&platform).await;
    running_it_again_changes_nothing(&platform).await;
    smoke_is_green_and_red_when_a_service_is_gone(&platform);
    let (acme, rival) = (platform.register("acme").await, platform.register("rival").await);
    let record = a_record_is_private(&acme, &rival).await;
    let file = a_file_is_private(&acme, &rival).await;
    let wallet = money_moves(&acme, &rival).await;
    the_trail_tells_of_it(&acme, &rival, &wallet).await;

    platform.kernel(&["restart"]);
    let kept = acme.get(&format!("/v1/data/crm/contact/{record}")).await;
    assert_eq!(kept["id"], json!(record), "records survive a restart");
    let content = acme.request(Method::GET, &format!("/v1/files/{file}/content")).send().await.unwrap();
    assert_eq!(content.bytes().await.unwrap().as_ref(), b"minutes of the meeting");

    drop((acme, rival));
    down_leaves_only_data(&platform);
}

/// Two people, or a person and an editor: the second `up` joins the first.
fn two_at_once_bring_up_one(platform: &Platform) {
    let start = || {
        let mut command = platform.command(&["up"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for up in [start(), start()] {
        let output = up.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", describe(&output));
    }
}

async fn every_service_is_ready(platform: &Platform) {
    let services = platform.services().await;
    for name in SERVICES {
        let found = services.iter().find(|service| service["name"] == name);
        let state = found.map(|service| service["state"].clone());
        assert_eq!(state, Some(json!("ready")), "{name}: {services:#?}");
    }
}

async fn running_it_again_changes_nothing(platform: &Platform) {
    let before = platform.services().await;
    platform.kernel(&["up"]);
    let pids = |services: &[Value]| services.iter().map(|service| service["pid"].clone()).collect::<Vec<_>>();
    assert_eq!(pids(&before), pids(&platform.services().await), "a second `up` keeps every process");
}

fn smoke_is_green_and_red_when_a_service_is_gone(platform: &Platform) {
    platform.kernel(&["smoke"]);
    platform.kernel(&["stop", "notify"]);
    let output = platform.command(&["smoke", "--retry-for", "1s"]).output().unwrap();
    assert_eq!(output.status.code(), Some(20), "{}", describe(&output));
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("notify"), "the failing service is named:\n{told}");
    platform.kernel(&["start", "notify"]);
    platform.kernel(&["smoke", "notify"]);
}

async fn a_record_is_private(acme: &support::Tenant<'_>, rival: &support::Tenant<'_>) -> String {
    let contact = json!({"name": "Ada", "age": 36, "tenantId": rival.id});
    let made = acme.post("/v1/data/crm/contact", contact, StatusCode::CREATED).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let found = acme.get("/v1/data/crm/contact?age=gt.30&name=like.A*").await;
    assert_eq!(found["records"].as_array().map(Vec::len), Some(1), "{found}");
    let hidden = rival.request(Method::GET, &format!("/v1/data/crm/contact/{id}"));
    let problem = answer(hidden, StatusCode::NOT_FOUND).await;
    assert_eq!(problem["type"], "https://api.septemcore.com/problems/not-found");
    let nothing = rival.get("/v1/data/crm/contact").await;
    assert!(nothing["records"].as_array().is_none_or(Vec::is_empty), "{nothing}");
    id
}

async fn a_file_is_private(acme: &support::Tenant<'_>, rival: &support::Tenant<'_>) -> String {
    let part = multipart::Part::bytes(&b"minutes of the meeting"[..]).file_name("minutes.txt");
    let form = multipart::Form::new().text("bucket", "documents").part("file", part);
    let response = acme.request(Method::POST, "/v1/files/upload").multipart(form).send().await.unwrap();
    assert!(response.status().is_success(), "{}: {}", response.status(), response.text().await.unwrap());
    let body: Value = response.json().await.unwrap();
    let id = body["fileId"].as_str().unwrap().to_owned();
    let path = format!("/v1/files/{id}/content");
    let content = until("the uploaded file to pass its scan", async || {
        let response = acme.request(Method::GET, &path).send().await.map_err(|error| error.to_string())?;
        let (status, body) = (response.status(), response.bytes().await.map_err(|error| error.to_string())?);
        if status.is_success() { Ok(body) } else { Err(format!("{status} {body:?}")) }
    })
    .await;
    assert_eq!(content.as_ref(), b"minutes of the meeting");
    answer(rival.request(Method::GET, &path), StatusCode::NOT_FOUND).await;
    id
}

async fn money_moves(acme: &support::Tenant<'_>, rival: &support::Tenant<'_>) -> String {
    let mut wallets = Vec::new();
    for label in ["savings", "spending"] {
        let body = json!({"currency": "EUR", "label": label});
        let wallet = acme.post("/v1/wallets", body, StatusCode::CREATED).await;
        wallets.push(wallet["id"].as_str().unwrap().to_owned());
    }
    let credit = json!({"amount": 5_000, "description": "salary"});
    acme.post(&format!("/v1/wallets/{}/credit", wallets[0]), credit, StatusCode::CREATED).await;
    let transfer = json!({"fromWalletId": wallets[0], "toWalletId": wallets[1], "amount": 1_250});
    acme.post("/v1/transfers", transfer, StatusCode::CREATED).await;
    for (wallet, amount) in wallets.iter().zip(["3750", "1250"]) {
        let balance = acme.get(&format!("/v1/wallets/{wallet}/balance")).await;
        assert_eq!(balance["available"], amount, "{balance}");
    }
    let theft = json!({"amount": 1, "description": "theft"});
    let path = format!("/v1/wallets/{}/debit", wallets[1]);
    answer(rival.request(Method::POST, &path).json(&theft), StatusCode::NOT_FOUND).await;
    wallets.swap_remove(1)
}

async fn the_trail_tells_of_it(acme: &support::Tenant<'_>, rival: &support::Tenant<'_>, wallet: &str) {
    until("the movements of money to show in the audit trail", async || {
        let trail = acme.get("/v1/audit/records?action=money.*&pageSize=100").await;
        let text = trail.to_string();
        if text.contains(wallet) { Ok(()) } else { Err(text) }
    })
    .await;
    let other = rival.get("/v1/audit/records?action=money.*&pageSize=100").await;
    assert!(!other.to_string().contains(wallet), "a tenant sees only its own trail: {other}");
    let verdict = acme.post("/v1/audit/verify", json!({}), StatusCode::OK).await;
    assert_eq!(verdict["intact"], json!(true), "{verdict}");
}

fn down_leaves_only_data(platform: &Platform) {
    platform.kernel(&["down"]);
    assert_eq!(platform.processes(), Vec::new(), "processes left by `down`");
    assert_eq!(platform.listening(), Vec::<u16>::new(), "ports left by `down`");
    let left: Vec<_> = std::fs::read_dir(platform.folder())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["data"], "files left by `down`");
    platform.kernel(&["down", "--volumes"]);
    assert!(!platform.folder().exists(), "`down --volumes` leaves nothing");
}
