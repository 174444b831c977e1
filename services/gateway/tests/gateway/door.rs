//! Who gets in, as whom, and what of the request crosses.

use std::sync::atomic::Ordering;

use serde_json::{Value as Json, json};

use crate::{neighbours::Key, world::World};

#[tokio::test]
async fn a_request_becomes_a_call_and_its_reply_an_answer() {
    let world = World::new().await;
    let answer = world.ask("POST", "/v1/probes", &json!({"probe": {"big": "7"}})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let probe = answer.json();
    assert_eq!((&probe["id"], &probe["colour"]), (&json!("made"), &json!("COLOUR_UNSPECIFIED")));
    assert_eq!(probe["data"]["request"], json!({"tenantId": world.tenant, "probe": {"big": "7"}}));
    let metadata = &probe["data"]["metadata"];
    assert_eq!(metadata["x-user-id"], json!(world.user));
    assert_eq!(metadata["x-tenant-id"], json!(world.tenant));
    assert_eq!(metadata["x-roles"], "Member");
    assert_eq!(metadata["x-internal-token"], svc_testkit::INTERNAL_TOKEN);
    assert_eq!(metadata["x-request-id"], answer.header("x-request-id"));
    assert!(metadata["grpc-timeout"].is_string(), "{metadata}");
    assert!(metadata.get("authorization").is_none(), "the token stays at the door");
    world.gateway.stop().await;
}

#[tokio::test]
async fn an_empty_reply_is_no_content_and_head_has_no_body() {
    let world = World::new().await;
    let deleted = world.ask("DELETE", "/v1/probes/p", &Json::Null).await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.text.as_str(), deleted.header("content-type")),
        (204, "", "")
    );
    let head = world.ask_anonymously("HEAD", "/v1/probes/p", &Json::Null).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    let moved = world.ask_anonymously("GET", "/v1/probes/elsewhere", &Json::Null).await;
    assert_eq!((moved.header("location"), moved.header("x-secret")), ("/v1/probes/new", ""));
}

#[tokio::test]
async fn a_client_cannot_say_who_it_is() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.token());
    let lies = [
        ("x-user-id", "0199a000-0000-7000-8000-000000000001"),
        ("x-tenant-id", "0199a000-0000-7000-8000-000000000002"),
        ("x-roles", "Owner"),
        ("x-internal-token", "guess"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-user-agent", "somebody"),
    ];
    let body = json!({"tenantId": "0199a000-0000-7000-8000-000000000002", "probe": {"tenantId": "x"}});
    let headers: Vec<_> =
        lies.into_iter().chain([("authorization", token.as_str()), ("user-agent", "me")]).collect();
    let told = world.send("POST", "/v1/probes", &headers, &body).await.json()["data"].clone();
    assert_eq!(told["metadata"]["x-user-id"], json!(world.user));
    assert_eq!(told["metadata"]["x-tenant-id"], json!(world.tenant));
    assert_eq!(told["metadata"]["x-roles"], "Member");
    assert_eq!(told["metadata"]["x-internal-token"], svc_testkit::INTERNAL_TOKEN);
    assert_eq!(told["metadata"]["x-user-agent"], "me");
    assert_eq!(told["metadata"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(told["request"], json!({"tenantId": world.tenant, "probe": {"tenantId": world.tenant}}));

    let anonymous =
        world.send("GET", "/v1/probes/p", &lies, &Json::Null).await.json()["data"]["metadata"].clone();
    for name in ["x-user-id", "x-tenant-id", "x-roles"] {
        assert!(anonymous.get(name).is_none(), "{name}: {anonymous}");
    }
}

#[tokio::test]
async fn a_role_with_a_comma_is_not_two_roles() {
    let world = World::new().await;
    let mut claims = world.claims();
    claims["roles"] = json!(["Member", "x,Owner", "Größe", ""]);
    let token = format!("Bearer {}", world.key.sign(&claims));
    let answer = world.send("POST", "/v1/probes", &[("authorization", &token)], &json!({})).await;
    assert_eq!(answer.json()["data"]["metadata"]["x-roles"], "Member");
}

#[tokio::test]
async fn ids_traces_and_keys_travel_on() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.token());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("authorization", token.as_str()),
        ("x-request-id", "request-1"),
        ("traceparent", parent),
        ("idempotency-key", "key-1"),
    ];
    let answer = world.send("POST", "/v1/probes", &headers, &json!({})).await;
    assert_eq!(answer.header("x-request-id"), "request-1");
    let metadata = answer.json()["data"]["metadata"].clone();
    assert_eq!(metadata["x-request-id"], "request-1");
    assert_eq!(metadata["idempotency-key"], "key-1");
    let passed = metadata["traceparent"].as_str().unwrap();
    assert!(passed.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && passed != parent, "{passed}");

    let long = "x".repeat(500);
    let answer = world
        .send("GET", "/v1/probes/missing", &[("x-request-id", &long), ("traceparent", parent)], &Json::Null)
        .await;
    assert_eq!(answer.header("x-request-id").len(), 36, "a fresh one");
    assert_eq!(answer.problem(404, "not-found")["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn only_good_tokens_get_in() {
    let world = World::new().await;
    let change = |field: &str, value: Json| {
        let mut claims = world.claims();
        claims[field] = value;
        world.key.sign(&claims)
    };
    let stranger = Key::new("first").sign(&world.claims());
    let good = world.token();
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwia2lkIjoiZmlyc3QifQ"; // {"alg":"none","kid":"first"}
    let hs256 = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImZpcnN0In0"; // {"alg":"HS256","kid":"first"}
    let mut without = world.claims();
    without.as_object_mut().unwrap().remove("exp");
    let table = [
        ("", "unauthenticated"),
        ("garbage", "token-invalid"),
        (&change("exp", json!(1)), "token-expired"),
        (&change("iss", json!("https://evil.example")), "token-invalid"),
        (&change("aud", json!("another")), "token-invalid"),
        (&change("sub", json!("admin")), "token-invalid"),
        (&change("tenantId", json!("acme")), "token-invalid"),
        (&change("nbf", json!(4_000_000_000_u64)), "token-invalid"),
        (&change("filler", json!("x".repeat(9000))), "token-invalid"),
        (&world.key.sign(&without), "token-invalid"),
        (&stranger, "token-invalid"),
        (&format!("{head}.{payload}."), "token-invalid"),
        (&format!("{none}.{payload}."), "token-invalid"),
        (&format!("{hs256}.{payload}.{signature}"), "token-invalid"),
    ];
    for (token, slug) in table {
        let header = format!("Bearer {token}");
        let headers: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("authorization", &header)] };
        let answer = world.send("POST", "/v1/probes", headers, &json!({})).await;
        answer.problem(401, slug);
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{slug}");
    }
    assert_eq!(world.ask("POST", "/v1/probes", &json!({})).await.status, 201);
}

#[tokio::test]
async fn a_permission_is_needed_where_one_is_stated() {
    let world = World::new().await;
    let user = world.user.to_string();
    for (grants, status) in [
        (&["*"][..], 201),
        (&["probe.*"], 201),
        (&["probe.probes.create"], 201),
        (&["probe.files.*"], 403),
        (&[], 403),
    ] {
        let world = World::new().await;
        world.iam.grant(&world.user.to_string(), grants);
        assert_eq!(world.ask("POST", "/v1/probes", &json!({})).await.status.as_u16(), status, "{grants:?}");
    }
    // Granted at first, so remembered: withdrawing takes effect after a moment, not at once, and asks iam only once.
    for _ in 0..3 {
        assert_eq!(world.ask("POST", "/v1/probes", &json!({})).await.status, 201);
        world.iam.grant(&user, &[]);
    }
    assert_eq!(world.iam.asked_for_grants.load(Ordering::SeqCst), 1);
    // Whoever is signed in may call what states nothing; nobody asks iam.
    assert_eq!(world.ask("GET", "/v1/probe-names", &Json::Null).await.json(), json!(["ListRequest"]));

    let denied = World::new().await;
    denied.iam.grant(&denied.user.to_string(), &["money.*"]);
    let problem = denied.ask("POST", "/v1/probes", &json!({})).await.problem(403, "permission-denied");
    assert!(problem["detail"].as_str().unwrap().contains("probe.probes.create"), "{problem}");
    denied.iam.blocked.store(true, Ordering::SeqCst);
    let blocked = World::new().await;
    blocked.iam.blocked.store(true, Ordering::SeqCst);
    blocked.ask("POST", "/v1/probes", &json!({})).await.problem(403, "tenant-blocked");
}

#[tokio::test]
async fn what_is_internal_cannot_be_reached_from_outside() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.token());
    for (path, method) in [
        ("/platform.probe.v1.ProbeService/Hidden", "POST"),
        ("/platform.probe.v1.ProbeService/Create", "POST"),
        ("/platform.iam.v1.InternalService/GetJwks", "POST"),
    ] {
        let answer = world.send(method, path, &[("authorization", &token)], &json!({"id": "x"})).await;
        answer.problem(404, "not-found");
        let headers =
            [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", token.as_str())];
        let answer = world.send(method, path, &headers, &Json::Null).await;
        answer.problem(404, "not-found");
    }
    // The gateway's own RPCs are for services, which carry the internal token.
    let own = "/platform.gateway.v1.GatewayService/ListUpstreams";
    let headers = [("content-type", "application/grpc"), ("authorization", token.as_str())];
    let answer = world.send("POST", own, &headers, &Json::Null).await;
    assert_eq!(answer.header("grpc-status"), "16", "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_tenant_has_so_many_requests_per_minute_and_its_admins_more() {
    let world = World::with(&[("RATE_LIMIT_PER_MINUTE", "3"), ("RATE_LIMIT_ADMIN_PER_MINUTE", "5")]).await;
    for remaining in ["2", "1", "0"] {
        let answer = world.ask("GET", "/v1/probe-names", &Json::Null).await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.header("x-ratelimit-limit"),
                answer.header("x-ratelimit-remaining")
            ),
            (200, "3", remaining)
        );
    }
    let refused = world.ask("GET", "/v1/probe-names", &Json::Null).await;
    refused.problem(429, "rate-limited");
    assert!((1..=120).contains(&refused.header("retry-after").parse::<u64>().unwrap()));

    let mut claims = world.claims();
    claims["roles"] = json!(["Admin"]);
    let admin = format!("Bearer {}", world.key.sign(&claims));
    let answer = world.send("GET", "/v1/probe-names", &[("authorization", &admin)], &Json::Null).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-remaining")), (200, "4"));

    claims["tenantId"] = json!(uuid::Uuid::now_v7());
    claims["roles"] = json!([]);
    let other = format!("Bearer {}", world.key.sign(&claims));
    assert_eq!(
        world.send("GET", "/v1/probe-names", &[("authorization", &other)], &Json::Null).await.status,
        200
    );
}

#[tokio::test]
async fn an_address_without_a_token_has_so_many_requests_too() {
    let variables = [("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "2"), ("TRUSTED_PROXIES", "1")];
    let world = World::with(&variables).await;
    let ask = async |chain: &str| {
        world.send("GET", "/v1/probes/p", &[("x-forwarded-for", chain)], &Json::Null).await.status.as_u16()
    };
    // The last address is what the proxy saw; what stands before it is what clients say.
    assert_eq!(ask("203.0.113.1, 198.51.100.7").await, 200);
    assert_eq!(ask("203.0.113.2, 198.51.100.7").await, 200);
    assert_eq!(ask("203.0.113.3, 198.51.100.7").await, 429);
    assert_eq!(ask("198.51.100.8").await, 200);
}

#[tokio::test]
async fn refused_tokens_are_counted_too() {
    let world = World::with(&[("RATE_LIMIT_ANONYMOUS_PER_MINUTE", "2")]).await;
    let ask = async || {
        let headers = [("authorization", "Bearer made.up.token")];
        world.send("GET", "/v1/probe-names", &headers, &Json::Null).await.status.as_u16()
    };
    assert_eq!((ask().await, ask().await, ask().await), (401, 401, 429));
    assert_eq!(
        world.ask("GET", "/v1/probe-names", &Json::Null).await.status,
        200,
        "a good token has its own count"
    );
}

#[tokio::test]
async fn metrics_name_routes_and_tenants_but_never_what_clients_make_up() {
    let world = World::new().await;
    world.ask("DELETE", "/v1/probes/secret-id", &Json::Null).await;
    let lie = [("x-tenant-id", "0199a000-0000-7000-8000-00000000dead")];
    world.send("GET", "/v1/nowhere", &lie, &Json::Null).await;
    let metrics = world.ask_anonymously("GET", "/metrics", &Json::Null).await.text;
    let labels = format!(
        r#"method="DELETE",route="/v1/probes/{{id}}",status_code="204",tenant_id="{}""#,
        world.tenant
    );
    assert!(metrics.contains(&labels), "{metrics}");
    assert!(!metrics.contains("secret-id") && !metrics.contains("dead"), "{metrics}");
}

#[tokio::test]
async fn browsers_of_other_origins_are_answered_only_when_configured() {
    let world = World::with(&[("CORS_ORIGINS", "https://app.example")]).await;
    let ask = [("origin", "https://app.example"), ("access-control-request-method", "POST")];
    let preflight = world.send("OPTIONS", "/v1/probes", &ask, &Json::Null).await;
    assert_eq!(
        (preflight.status.as_u16(), preflight.header("access-control-allow-origin")),
        (204, "https://app.example")
    );
    let foreign = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let refused = world.send("OPTIONS", "/v1/probes", &foreign, &Json::Null).await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (405, ""));
    let error = world.send("GET", "/v1/nowhere", &ask[..1], &Json::Null).await;
    assert_eq!(
        (error.status.as_u16(), error.header("access-control-allow-origin")),
        (404, "https://app.example")
    );
}
