//! Whatever is killed, whenever: nothing that was acknowledged is lost, and the next command repairs the rest.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support.rs"]
mod support;

use std::hash::{BuildHasher, RandomState};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use support::{Platform, Tenant, kill, until};

/// Writes per second of one writer: below the rate limit of a tenant.
const PACE: Duration = Duration::from_millis(80);

#[tokio::test(flavor = "multi_thread")]
async fn killed_services_come_back_and_nothing_acknowledged_is_lost() {
    let platform = Platform::new("kill");
    platform.kernel(&["up"]);
    let (payer, seller, clerk) = (
        platform.register("payer").await,
        platform.register("seller").await,
        platform.register("clerk").await,
    );
    let body = json!({"currency": "EUR", "label": "till"});
    let wallet = payer.post("/v1/wallets", body, StatusCode::CREATED).await;
    let wallet = format!("/v1/wallets/{}", wallet["id"].as_str().unwrap());

    let killing = AtomicBool::new(true);
    let killer = async {
        kill_all_services(&platform).await;
        killing.store(false, Ordering::Relaxed);
    };
    let credit = format!("{wallet}/credit");
    let ((), credits, orders, records) = tokio::join!(
        killer,
        write(&payer, &killing, &credit, |_| json!({"amount": 1, "description": "coin"})),
        write(&seller, &killing, "/v1/data/shop/order", |index| json!({"index": index})),
        write(&clerk, &killing, "/v1/audit/records", |index| {
            json!({"id": uuid::Uuid::now_v7(), "action": "shop.order.counted", "entityType": "order",
                   "entityId": index.to_string()})
        }),
    );
    assert!(credits.min(orders).min(records) > 0, "writing went on while services died");

    let balance = payer.get(&format!("{wallet}/balance")).await;
    assert_eq!(balance["available"], credits.to_string(), "each credit exactly once");
    assert_eq!(count(&seller, "/v1/data/shop/order?pageSize=100").await, orders, "each record exactly once");
    let trail = "/v1/audit/records?action=shop.order.counted&pageSize=100";
    assert_eq!(count(&clerk, trail).await, records, "each audit record exactly once");
    let verdict = clerk.post("/v1/audit/verify", json!({}), StatusCode::OK).await;
    assert_eq!(verdict["intact"], true, "{verdict}");
}

/// Sends numbered bodies one after the other, each with its own idempotency key until it is acknowledged, as long as
/// services are being killed. Gives how many.
async fn write(
    tenant: &Tenant<'_>,
    killing: &AtomicBool,
    path: &str,
    body: impl Fn(usize) -> Value,
) -> usize {
    let mut pace = tokio::time::interval(PACE);
    let mut written = 0;
    while killing.load(Ordering::Relaxed) {
        pace.tick().await;
        let (key, body) = (uuid::Uuid::now_v7().to_string(), body(written));
        until(&format!("write {written} to {path}"), async || {
            acknowledged(tenant.request_with_key(Method::POST, path, &key).json(&body)).await
        })
        .await;
        written += 1;
    }
    written
}

/// How many entries a list has over all its pages.
async fn count(tenant: &Tenant<'_>, path: &str) -> usize {
    let (mut total, mut token) = (0, String::new());
    loop {
        let page = tenant.get(&format!("{path}&pageToken={token}")).await;
        total += page["records"].as_array().map_or(0, Vec::len);
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return total;
        }
    }
}

async fn acknowledged(request: RequestBuilder) -> Result<(), String> {
    let response = request.send().await.map_err(|error| error.to_string())?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let text = response.text().await.unwrap_or_default();
    assert!(status.is_server_error(), "a crash elsewhere is never the caller's fault: {status} {text}");
    Err(format!("{status} {text}"))
}

/// Kills one service after the other, in an order of chance, each once the one before is ready again.
async fn kill_all_services(platform: &Platform) {
    let mut names: Vec<String> = platform
        .services()
        .await
        .iter()
        .filter_map(|service| Some(service["name"].as_str()?.to_owned()))
        .collect();
    let chance = RandomState::new();
    names.sort_by_key(|name| chance.hash_one(name));
    for name in names {
        let Some(process) = platform.process_of(&name).await else { continue };
        assert!(kill(process), "{name} runs until it is killed");
        until(&format!("{name} to be ready again"), async || {
            let services = platform.services().await;
            let found = services.iter().find(|service| service["name"] == name.as_str()).cloned();
            let found = found.unwrap_or_default();
            let back = found["state"] == "ready" && found["pid"] != json!(process);
            if back { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_is_repaired_by_the_next_command() {
    let platform = Platform::new("supervisor");
    platform.kernel(&["up"]);
    let tenant = platform.register("steady").await;
    let made = tenant.post("/v1/data/shop/order", json!({"index": 1}), StatusCode::CREATED).await;

    let supervisor = platform.supervisor().expect("a supervisor runs");
    assert!(kill(supervisor));
    platform.kernel(&["up"]);
    assert_ne!(platform.supervisor(), Some(supervisor));
    assert_eq!(
        platform.processes().len(),
        13,
        "twelve services once, one supervisor: {:?}",
        platform.processes()
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(tenant.get(&format!("/v1/data/shop/order/{id}")).await["id"], made["id"]);

    let supervisor = platform.supervisor().expect("a supervisor runs");
    assert!(kill(supervisor));
    platform.kernel(&["down"]);
    assert_eq!(platform.processes(), Vec::new(), "`down` finds what a killed supervisor left");
    assert_eq!(platform.listening(), Vec::<u16>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_command_is_finished_by_the_next() {
    let platform = Platform::new("command");
    // Builds the services where nobody has yet: what follows waits for processes, not for a compiler.
    platform.kernel(&["up"]);
    platform.kernel(&["down"]);
    for processes in [1, 2, 5, 9] {
        let mut up = tokio::process::Command::from(platform.command(&["up"]));
        let mut up =
            up.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("`up` starts");
        until(&format!("{processes} processes"), async || {
            let found = platform.processes().len();
            let ended = up.try_wait().unwrap().is_some();
            if found > processes || ended { Ok(()) } else { Err(format!("{found} processes")) }
        })
        .await;
        let _ = up.kill().await;
        platform.kernel(&["up"]);
        assert_eq!(
            platform.processes().len(),
            13,
            "twelve services and a supervisor: {:?}",
            platform.processes()
        );
        platform.kernel(&["down"]);
        until("every process to end", async || {
            let left = platform.processes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }
}
