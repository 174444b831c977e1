//! ClickHouse.

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::proxy::Proxy;
use super::{away, eventually, variable};
use crate::TenantId;
use crate::analytics::{self, Fact, Function, Question};

fn fact(value: &Value) -> Fact {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    Fact { at, fields: value.as_object().unwrap().clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn clickhouse_answers_questions() {
    let Some(url) = variable("TEST_CLICKHOUSE_URL") else { return };
    let connect = || async { analytics::connect(&url).await };
    crate::suite::analytics(connect).await;
    let store = connect().await.unwrap();
    store.check().await.unwrap();

    // Exact where a float would not be, a float where one number is one, and groups of every kind in order.
    let tenant = TenantId::new(Uuid::now_v7());
    let cents = 9_007_199_254_740_993_i64;
    let facts = [
        json!({ "kind": 10, "cents": cents, "share": 1, "quote'\"\\\n": "x" }),
        json!({ "kind": 9, "cents": 2, "share": 2.5 }),
        json!({ "kind": 9, "cents": 3, "share": "no number" }),
        json!({ "kind": "a \"quoted\" \\ one", "cents": 4 }),
        json!({ "cents": 5 }),
    ];
    store.append(tenant, "exact", facts.iter().map(fact).collect()).await.unwrap();
    let measures = vec![(Function::Sum, "cents".to_owned()), (Function::Maximum, "share".to_owned())];
    let question = Question { measures, group_by: vec!["kind".to_owned()], ..Question::default() };
    let answer = Value::from_iter(store.ask(tenant, "exact", &question).await.unwrap());
    assert_eq!(
        answer,
        json!([
            { "kind": null, "sum_cents": 5, "max_share": null },
            { "kind": 9, "sum_cents": 5, "max_share": 2.5 },
            { "kind": 10, "sum_cents": cents, "max_share": 1 },
            { "kind": "a \"quoted\" \\ one", "sum_cents": 4, "max_share": null },
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn analytics_are_said_to_be_away_and_found_again() {
    let Some(url) = variable("TEST_CLICKHOUSE_URL") else { return };
    let parsed = url::Url::parse(&url).unwrap();
    let (host, port) = (parsed.host_str().unwrap(), parsed.port().unwrap());
    let (user, password) = (parsed.username(), parsed.password().unwrap());
    let proxy = Proxy::before(&format!("{host}:{port}")).await;
    let through = format!("http://{user}:{password}@{}{}", proxy.address(), parsed.path());
    proxy.cut();
    // A service that starts now does so, and is not ready.
    let store = analytics::connect(&through).await.unwrap();
    away("ANALYTICS_URL", proxy.address(), password, async || store.check().await).await;
    proxy.heal();
    eventually(async || store.check().await).await;

    let tenant = TenantId::new(Uuid::now_v7());
    let count = Question { measures: vec![(Function::Count, String::new())], ..Question::default() };
    let append = async || store.append(tenant, "cut", vec![fact(&json!({ "n": 1 }))]).await;
    append().await.unwrap();
    proxy.cut();
    away("ANALYTICS_URL", proxy.address(), password, &append).await;
    away("ANALYTICS_URL", proxy.address(), password, async || store.ask(tenant, "cut", &count).await).await;
    proxy.heal();
    let counted = eventually(async || store.ask(tenant, "cut", &count).await).await;
    assert_eq!(counted[0]["count"], json!(1), "what was said to have failed did not reach it");

    let wrong = analytics::connect(&format!("http://platform:hunter2@{host}:{port}/platform")).await.unwrap();
    let error = wrong.check().await.unwrap_err();
    let said = error.to_string();
    assert!(!error.is_transient() && said.contains(&format!("ANALYTICS_URL ({host}:{port})")), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
