//! The keys of iam over time, and readiness.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use gateway::{
    grants::{GrantCache, GrantSource, Grants},
    keys::{KeySource, Tokens},
    token::{Rules, TokenError},
};
use serde_json::{Value as Json, json};
use svc_testkit::wait_for;
use uuid::Uuid;

use crate::{
    neighbours::{IamState, Key, iam},
    world::{ProbeGateway, World},
};

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_in_a_while() {
    let world = World::new().await;
    let second = Key::new("second");
    let token = format!("Bearer {}", second.sign(&world.claims()));
    let headers = [("authorization", token.as_str())];
    let ask = || world.send("GET", "/v1/probe-names", &headers, &Json::Null);
    // The start has just asked: too soon to ask again.
    let asked = world.iam.asked_for_keys.load(Ordering::SeqCst);
    for _ in 0..5 {
        ask().await.problem(401, "token-invalid");
    }
    assert_eq!(world.iam.asked_for_keys.load(Ordering::SeqCst), asked);
}

/// A source that tells what it has been given.
#[derive(Clone, Default)]
struct Source(Arc<IamState>);

#[async_trait::async_trait]
impl KeySource for Source {
    async fn fetch(&self) -> Result<String, String> {
        self.0.asked_for_keys.fetch_add(1, Ordering::SeqCst);
        Ok(json!({ "keys": *self.0.keys.lock().unwrap() }).to_string())
    }
}

#[async_trait::async_trait]
impl GrantSource for Source {
    async fn lookup(&self, _: Uuid, user: Uuid) -> Result<Grants, String> {
        self.0.asked_for_grants.fetch_add(1, Ordering::SeqCst);
        if self.0.away.load(Ordering::SeqCst) {
            return Err("away".to_owned());
        }
        let permissions = self.0.grants.lock().unwrap().get(&user.to_string()).cloned().unwrap_or_default();
        Ok(Grants { permissions, blocked: false })
    }
}

fn claims() -> Json {
    let exp = jsonwebtoken::get_current_timestamp() + 900;
    json!({"sub": Uuid::nil(), "iss": "i", "aud": "a", "exp": exp})
}

#[tokio::test(start_paused = true)]
async fn keys_rotate_without_a_restart() {
    let (old, new, never) = (Key::new("old"), Key::new("new"), Key::new("never"));
    let source = Source::default();
    let tokens = Tokens::new(source.clone(), Rules::new("i", "a"));
    assert!(!tokens.ready());
    source.0.publish(&[&old]);
    let (before, after) = (old.sign(&claims()), new.sign(&claims()));
    assert!(tokens.check(&before).await.is_ok(), "the first token fetches the keys");

    source.0.publish(&[&new]);
    assert_eq!(tokens.check(&after).await, Err(TokenError::UnknownKey), "too soon to ask again");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(tokens.check(&after).await.is_ok());
    assert_eq!(
        tokens.check_at_hand(&before),
        Err(TokenError::UnknownKey),
        "a withdrawn key is good for nothing"
    );
    assert_eq!(source.0.asked_for_keys.load(Ordering::SeqCst), 2);

    // Any number of strangers make one question per while.
    tokio::time::advance(Duration::from_secs(11)).await;
    for _ in 0..20 {
        assert_eq!(tokens.check(&never.sign(&claims())).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(source.0.asked_for_keys.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn grants_are_fresh_for_ten_seconds_and_stale_for_a_minute() {
    let source = Source::default();
    let (tenant, user) = (Uuid::now_v7(), Uuid::now_v7());
    source.0.grant(&user.to_string(), &["a.*"]);
    let grants = GrantCache::new(source.clone());
    let permissions = async || grants.of(tenant, user).await.map(|grants| grants.permissions.clone());
    assert_eq!(permissions().await.unwrap(), ["a.*"]);
    source.0.grant(&user.to_string(), &["b.*"]);
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(permissions().await.unwrap(), ["a.*"]);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(permissions().await.unwrap(), ["b.*"]);
    assert_eq!(source.0.asked_for_grants.load(Ordering::SeqCst), 2);

    // Who would be refused is looked up again, at most once a second.
    source.0.grant(&user.to_string(), &["c.*"]);
    let before_refusing = async || grants.before_refusing(tenant, user).await.unwrap().permissions.clone();
    assert_eq!(before_refusing().await, ["b.*"]);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(before_refusing().await, ["c.*"]);

    source.0.away.store(true, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_eq!(permissions().await.unwrap(), ["c.*"], "iam is away");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(permissions().await.unwrap_err(), "away", "and has been for too long");
    assert!(grants.of(Uuid::now_v7(), user).await.is_err(), "another tenant is another question");
}

#[tokio::test]
async fn old_keys_stay_in_use_while_iam_is_away() {
    let mut world = World::new().await;
    drop(world.iam_server.take());
    world.iam.away.store(true, Ordering::SeqCst);
    assert_eq!(world.ask("GET", "/v1/probe-names", &Json::Null).await.status, 200);
    // Permissions are not known without iam.
    world.ask("POST", "/v1/probes", &json!({})).await.problem(503, "upstream-unavailable");
}

#[tokio::test]
async fn the_gateway_is_ready_when_it_has_keys() {
    let state = Arc::new(IamState::default());
    state.away.store(true, Ordering::SeqCst);
    let server = iam(&state).await;
    let nobody = "http://127.0.0.1:1";
    let mut environment: svc_kit::Environment = gateway::upstream::AREAS
        .iter()
        .map(|(_, name)| (format!("{}_URL", name.to_uppercase().replace('-', "_")), nobody.to_owned()))
        .collect();
    for (name, value) in [
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("TLS_PORT", "0"),
        ("INTERNAL_TOKEN", "t"),
        ("PROBE_URL", nobody),
        ("IAM_URL", &server.url),
    ] {
        environment = environment.with(name, value);
    }
    let running = svc_kit::start::<ProbeGateway>(&environment).await.unwrap();
    let client =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let ask = |path: &'static str| {
        let (client, uri) = (client.clone(), format!("http://{}{path}", running.address()));
        async move {
            let request = http::Request::get(uri).body(axum::body::Body::empty()).unwrap();
            crate::world::Answer::of(client.request(request).await.unwrap().map(axum::body::Body::new)).await
        }
    };
    assert_eq!(ask("/live").await.json(), json!({"status": "ok"}));
    wait_for("the reason", || async {
        let answer = ask("/ready").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (503, &json!("not_ready")));
        answer.text.contains("iam is away").then_some(())
    })
    .await;
    assert_eq!(ask("/health/ready").await.status, 503);

    state.publish(&[&Key::new("first")]);
    state.away.store(false, Ordering::SeqCst);
    tokio::time::timeout(svc_testkit::PATIENCE, running.readiness().ready()).await.unwrap();
    assert_eq!(ask("/ready").await.json(), json!({"status": "ready"}));
    assert_eq!(ask("/health").await.status, 401, "components are for admins");
    assert!(running.stop().await);
}

#[tokio::test]
async fn an_admin_sees_the_components() {
    let world = World::new().await;
    let mut claims = world.claims();
    claims["roles"] = json!(["Admin"]);
    let admin = format!("Bearer {}", world.key.sign(&claims));
    let health = world.send("GET", "/health", &[("authorization", &admin)], &Json::Null).await;
    assert_eq!(health.json()["components"]["token keys"]["status"], "ready");
    assert_eq!(world.ask("GET", "/health", &Json::Null).await.status, 401);
}
