//! The gateway for the platform's own routes, and what it says about itself.

use std::sync::Arc;

use axum::body::Body;
use gateway::GatewayProcess;
use http::Request;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value as Json, json};
use svc_testkit::TestService;
use uuid::Uuid;

use crate::{
    neighbours::{IamState, Key, iam},
    world::{Answer, ISSUER},
};

#[tokio::test]
async fn it_lists_its_routes_and_its_upstreams() {
    let (state, key, user) = (Arc::new(IamState::default()), Key::new("first"), Uuid::now_v7());
    state.publish(&[&key]);
    state.grant(&user.to_string(), &["system.upstreams.list"]);
    let server = iam(&state).await;
    let gateway =
        TestService::<GatewayProcess>::start_with([("IAM_URL", server.url.as_str()), ("TLS_PORT", "0")])
            .await;
    let token = key.sign(&json!({
        "sub": user, "tenantId": Uuid::now_v7(), "roles": ["PlatformOwner"], "iss": ISSUER,
        "aud": "platform-kernel", "exp": jsonwebtoken::get_current_timestamp() + 900,
    }));
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let ask = async |path: &str| {
        let request = Request::get(format!("{}{path}", gateway.url()));
        let request = request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap();
        Answer::of(client.request(request).await.unwrap().map(Body::new)).await
    };

    let routes = ask("/v1/gateway/routes").await.json()["routes"].clone();
    let find = |method: &str, path: &str| -> Json {
        let routes = routes.as_array().unwrap();
        routes.iter().find(|route| route["method"] == method && route["path"] == path).cloned().unwrap()
    };
    assert_eq!(
        find("POST", "/v1/auth/login"),
        json!({
            "method": "POST", "path": "/v1/auth/login", "rpc": "platform.iam.v1.AuthService/Login",
            "permission": "", "public": true,
        })
    );
    assert_eq!(find("POST", "/v1/files/upload")["rpc"], "");
    assert_eq!(find("POST", "/v1/wallets/{id}/credit")["permission"], "money.wallets.credit");

    // Nobody else is there, which the gateway finds out when it is asked to pass something on.
    ask("/v1/auth/providers").await.problem(501, "not-implemented");
    let upstreams = ask("/v1/gateway/upstreams").await.json()["upstreams"].clone();
    let names: Vec<&str> =
        upstreams.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 11);
    assert!(names.is_sorted() && names.contains(&"data-layer"), "{names:?}");
    let iam = upstreams.as_array().unwrap().iter().find(|one| one["name"] == "iam").unwrap();
    assert_eq!(
        (&iam["url"], &iam["circuitBreakerState"], &iam["failures"]),
        (&json!(format!("{}/", server.url)), &json!("closed"), &json!(0))
    );
    gateway.stop().await;
}
