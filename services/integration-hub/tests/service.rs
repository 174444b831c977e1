//! The whole service over gRPC, as the gateway calls it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::{Act, Stub};
use integration_hub::IntegrationHub;
use svc_api::integration_hub::v1 as api;
use svc_api::integration_hub::v1::integration_hub_service_client::IntegrationHubServiceClient;
use svc_kit::Problem;
use svc_testkit::{CallerChannel, TestCaller, TestService};
use tonic::Code;

type Client = IntegrationHubServiceClient<CallerChannel>;

async fn start() -> TestService<IntegrationHub> {
    TestService::start_with([("ALLOW_PRIVATE_TARGETS", "true")]).await
}

fn client(service: &TestService<IntegrationHub>, caller: &TestCaller) -> Client {
    IntegrationHubServiceClient::new(service.channel(caller))
}

fn new_provider(base_url: &str) -> api::CreateProviderRequest {
    api::CreateProviderRequest {
        name: "Stripe".to_owned(),
        r#type: "payment".to_owned(),
        base_url: base_url.to_owned(),
        auth_type: "bearer".to_owned(),
        credentials: [("token".to_owned(), "geheimes-token".to_owned())].into(),
        config: Some(api::ProviderConfig { retries: Some(0), ..Default::default() }),
    }
}

fn call(provider: &api::Provider) -> api::CallRequest {
    api::CallRequest {
        provider_id: provider.id.clone(),
        method: "GET".to_owned(),
        path: "/balance".to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_provider_and_its_credentials_survive_a_restart_and_are_never_shown() {
    let stub = Stub::start([]).await;
    let mut service = start().await;
    let owner = TestCaller::owner();
    let created =
        client(&service, &owner).create_provider(new_provider(&stub.url)).await.unwrap().into_inner();
    assert_eq!((created.status.as_str(), created.circuit_breaker_state.as_str()), ("active", "closed"));
    assert_eq!(created.config.as_ref().unwrap().timeout_ms, 10_000);
    assert!(!format!("{created:?}").contains("geheim"));

    service.restart().await;
    let mut hub = client(&service, &owner);
    let reply = hub.call(call(&created)).await.unwrap().into_inner();
    assert_eq!((reply.status, reply.attempts), (200, 1));
    let body = svc_kit::json::from_value(reply.body.unwrap());
    assert_eq!(body, serde_json::json!({"ok": true}));
    assert_eq!(stub.seen()[0].headers["authorization"], "Bearer geheimes-token");

    let read =
        hub.get_provider(api::GetProviderRequest { id: created.id.clone() }).await.unwrap().into_inner();
    assert!(!format!("{read:?}").contains("geheim"));
    for file in std::fs::read_dir(service.data()).unwrap() {
        let path = file.unwrap().path();
        let Ok(content) = std::fs::read(&path) else { continue };
        assert!(!content.windows(6).any(|window| window == b"geheim"), "{} holds it", path.display());
    }

    hub.delete_provider(api::DeleteProviderRequest { id: created.id.clone() }).await.unwrap();
    assert_eq!(hub.call(call(&created)).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn tenants_are_apart_and_strangers_stay_outside() {
    let stub = Stub::start([]).await;
    let service = start().await;
    let (ours, theirs) = (TestCaller::owner(), TestCaller::owner());
    let provider =
        client(&service, &ours).create_provider(new_provider(&stub.url)).await.unwrap().into_inner();
    let again = client(&service, &ours).create_provider(new_provider(&stub.url)).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);

    let mut other = client(&service, &theirs);
    assert_eq!(other.call(call(&provider)).await.unwrap_err().code(), Code::NotFound);
    let id = provider.id.clone();
    let foreign = other.delete_provider(api::DeleteProviderRequest { id: id.clone() }).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    let request = api::UpdateProviderRequest { id, provider: Some(provider.clone()), update_mask: None };
    assert_eq!(other.update_provider(request).await.unwrap_err().code(), Code::NotFound);
    assert!(
        other
            .list_providers(api::ListProvidersRequest::default())
            .await
            .unwrap()
            .into_inner()
            .providers
            .is_empty()
    );
    assert!(
        other.create_provider(new_provider(&stub.url)).await.is_ok(),
        "a name is unique in its tenant only"
    );
    assert!(client(&service, &ours).call(call(&provider)).await.is_ok(), "our credentials are still there");

    let outside = client(&service, &ours.clone().from_outside()).call(call(&provider)).await.unwrap_err();
    assert_eq!(outside.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_wrong_with_a_provider_is_told_all_at_once() {
    let service = start().await;
    let mut hub = client(&service, &TestCaller::owner());
    let wrong = api::CreateProviderRequest {
        name: String::new(),
        r#type: "banana".to_owned(),
        base_url: "ftp://x".to_owned(),
        auth_type: "basic".to_owned(),
        credentials: [("username".to_owned(), "u".to_owned())].into(),
        config: Some(api::ProviderConfig { timeout_ms: 60_000, ..Default::default() }),
    };
    let problem = Problem::from_status(&hub.create_provider(wrong).await.unwrap_err());
    let fields: Vec<_> = problem.violation_list().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["name", "type", "baseUrl", "config.timeoutMs", "credentials"]);

    for auth_type in ["oauth2", "hmac"] {
        let later = api::CreateProviderRequest {
            auth_type: auth_type.to_owned(),
            ..new_provider("https://a.example")
        };
        assert_eq!(hub.create_provider(later).await.unwrap_err().code(), Code::Unimplemented, "{auth_type}");
    }
}

#[tokio::test]
async fn a_change_touches_what_the_mask_names_and_never_leads_credentials_away() {
    let service = start().await;
    let mut hub = client(&service, &TestCaller::owner());
    let created = hub.create_provider(new_provider("https://api.example.com/v1")).await.unwrap().into_inner();
    let update = |provider: api::Provider, paths: &[&str]| api::UpdateProviderRequest {
        id: created.id.clone(),
        provider: Some(provider),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() }),
    };
    let wanted = api::Provider {
        name: "Other".to_owned(),
        base_url: "https://api.example.com/v2".to_owned(),
        status: "disabled".to_owned(),
        config: Some(api::ProviderConfig { timeout_ms: 500, ..Default::default() }),
        ..Default::default()
    };
    let changed = hub
        .update_provider(update(wanted.clone(), &["base_url", "status", "config.timeout_ms"]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((changed.name.as_str(), changed.status.as_str()), ("Stripe", "disabled"));
    assert_eq!(changed.base_url, "https://api.example.com/v2");
    let config = changed.config.unwrap();
    assert_eq!((config.timeout_ms, config.retries), (500, Some(0)));

    for base_url in ["https://evil.example/v1", "http://api.example.com/v1", "https://api.example.com:8443"] {
        let away = api::Provider { base_url: base_url.to_owned(), ..Default::default() };
        let problem =
            Problem::from_status(&hub.update_provider(update(away, &["base_url"])).await.unwrap_err());
        assert_eq!(problem.violation_list()[0].field, "baseUrl", "{base_url}");
    }
    let refused = hub.update_provider(update(wanted, &["auth_type"])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn pages_follow_one_another_without_gaps() {
    let service = start().await;
    let mut hub = client(&service, &TestCaller::owner());
    let mut made = Vec::new();
    for number in 0..5 {
        let provider =
            api::CreateProviderRequest { name: format!("p{number}"), ..new_provider("https://a.example") };
        made.push(hub.create_provider(provider).await.unwrap().into_inner().id);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = api::ListProvidersRequest { page_size: 2, page_token };
        let reply = hub.list_providers(request).await.unwrap().into_inner();
        assert!(reply.providers.len() <= 2);
        seen.extend(reply.providers.into_iter().map(|provider| provider.id));
        page_token = reply.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, made);
    let wrong = api::ListProvidersRequest { page_size: 101, page_token: "x".to_owned() };
    assert_eq!(hub.list_providers(wrong).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_open_breaker_shows_in_status_and_metrics() {
    let stub = Stub::start(std::iter::repeat_n(Act::Answer(500, ""), 5)).await;
    let service = start().await;
    let mut hub = client(&service, &TestCaller::owner());
    let provider = hub.create_provider(new_provider(&stub.url)).await.unwrap().into_inner();
    for _ in 0..5 {
        let failed = Problem::from_status(&hub.call(call(&provider)).await.unwrap_err());
        assert_eq!(failed.slug(), "provider-failed");
    }
    let held_back = hub.call(call(&provider)).await.unwrap_err();
    assert_eq!((held_back.code(), stub.seen().len()), (Code::Unavailable, 5));
    let request = api::GetProviderRequest { id: provider.id.clone() };
    let provider = hub.get_provider(request).await.unwrap().into_inner();
    assert_eq!((provider.status.as_str(), provider.circuit_breaker_state.as_str()), ("down", "open"));
    let metrics = reqwest::get(format!("{}/metrics", service.url())).await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("circuit_breaker_state{")).unwrap();
    assert!(line.contains(&provider.id) && line.ends_with(" 2"), "{line}");

    let letters = hub.list_dead_letters(api::ListDeadLettersRequest::default()).await.unwrap().into_inner();
    assert_eq!(letters.dead_letters.len(), 5);
    let letter = letters.dead_letters[0].clone();
    assert_eq!(letter.original_request.unwrap().path, "/balance");
    let delete = api::DeleteDeadLetterRequest { id: letter.id.clone() };
    hub.delete_dead_letter(delete).await.unwrap();
    let gone = hub.get_dead_letter(api::GetDeadLetterRequest { id: letter.id }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}
