//! The gRPC side of the chassis: guard, reflection, panics, metrics, errors on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use svc_api::billing::v1::{
    CheckLimitReply, CheckLimitRequest, RetrievePlanRequest, RetrieveUsageRequest,
    billing_service_client::BillingServiceClient,
    billing_service_server::{BillingService, BillingServiceServer},
};
use svc_kit::{
    BuildError, Caller, Configure, Context, Environment, Invalid, Problem, Reader, Routes, Running, Secret,
    Service, header,
};
use svc_stores::{Database, Store, values};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataKey},
    transport::Channel,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const TOKEN: &str = "the-internal-token";

/// Answers some of billing's calls, each in its own way.
struct Sample {
    database: Database,
}

#[tonic::async_trait]
impl BillingService for Sample {
    async fn check_limit(
        &self,
        request: Request<CheckLimitRequest>,
    ) -> Result<Response<CheckLimitReply>, Status> {
        let caller = Caller::of(&request)?;
        let rows = self.database.system().fetch_all("SELECT event_id FROM outbox", values![]).await;
        let used = rows.map_err(Problem::status)?.len().try_into().unwrap_or_default();
        let plan_id = caller.tenant.to_string();
        Ok(Response::new(CheckLimitReply { allowed: true, used, plan_id, ..CheckLimitReply::default() }))
    }

    async fn retrieve_plan(
        &self,
        _: Request<RetrievePlanRequest>,
    ) -> Result<Response<svc_api::billing::v1::Plan>, Status> {
        panic!("on purpose")
    }
}

struct Config(Secret);

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Config, Invalid> {
        Ok(Config(reader.store(Store::Database)?))
    }
}

impl Service for Sample {
    const NAME: &'static str = "billing";
    type Config = Config;

    async fn build(Config(url): Config, _: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(url.expose()).await?;
        database.migrate("sample", &[]).await?;
        Ok(Routes::new().grpc(BillingServiceServer::new(Sample { database })))
    }
}

async fn start(folder: &tempfile::TempDir) -> (Running, Channel) {
    let environment = Environment::from_iter([
        ("HOST", "127.0.0.1".to_owned()),
        ("PORT", "0".to_owned()),
        ("INTERNAL_TOKEN", TOKEN.to_owned()),
        ("DATABASE_URL", format!("sqlite://{}/s.db", folder.path().display())),
    ]);
    let running = svc_kit::start::<Sample>(&environment).await.unwrap();
    let channel =
        Channel::from_shared(format!("http://{}", running.address())).unwrap().connect().await.unwrap();
    (running, channel)
}

fn with<T>(message: T, headers: &[(http::HeaderName, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        let name: MetadataKey<Ascii> = name.as_str().parse().unwrap();
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_call_passes_the_guard_and_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (running, channel) = start(&folder).await;
    let mut client = BillingServiceClient::new(channel);
    let tenant = "0199a000-0000-7000-8000-000000000001";
    let refused = client.check_limit(with(CheckLimitRequest::default(), &[(header::TENANT, tenant)])).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let token = (header::INTERNAL_TOKEN, TOKEN);
    let no_tenant = client
        .check_limit(with(CheckLimitRequest::default(), std::slice::from_ref(&token)))
        .await
        .unwrap_err();
    assert_eq!(Problem::from_status(&no_tenant).slug(), "tenant-missing");
    let reply =
        client.check_limit(with(CheckLimitRequest::default(), &[token.clone(), (header::TENANT, tenant)]));
    assert_eq!(reply.await.unwrap().into_inner().plan_id, tenant);
    let missing = client.retrieve_usage(with(RetrieveUsageRequest {}, &[token])).await.unwrap_err();
    assert_eq!(missing.code(), Code::Unimplemented);

    let metrics =
        reqwest::get(format!("http://{}/metrics", running.address())).await.unwrap().text().await.unwrap();
    let method = r#"service="billing",method="/platform.billing.v1.BillingService/CheckLimit""#;
    for (code, count) in [(0, 1), (16, 2)] {
        let line =
            format!("grpc_server_request_duration_ms_count{{{method},status_code=\"{code}\"}} {count}");
        assert!(metrics.contains(&line), "no {line} in\n{metrics}");
    }
    let query = r#"db_query_duration_ms_count{operation="select",table="outbox"} 1"#;
    assert!(metrics.contains(query), "no {query} in\n{metrics}");
    assert!(running.stop().await);
}

#[tokio::test]
async fn a_panic_in_a_handler_is_an_internal_error_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (running, channel) = start(&folder).await;
    let mut client = BillingServiceClient::new(channel);
    let token = [(header::INTERNAL_TOKEN, TOKEN)];
    for _ in 0..2 {
        let status = client.retrieve_plan(with(RetrievePlanRequest::default(), &token)).await.unwrap_err();
        assert_eq!((status.code(), Problem::from_status(&status).slug()), (Code::Internal, "internal"));
        assert!(!status.message().contains("on purpose"));
    }
    assert!(running.stop().await);
}

#[tokio::test]
async fn reflection_tells_what_is_served_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (running, channel) = start(&folder).await;
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"platform.billing.v1.BillingService".to_owned()), "{names:?}");
    assert!(!names.contains(&"platform.money.v1.MoneyService".to_owned()), "only what is served: {names:?}");
    drop(answers);
    assert!(running.stop().await);
}
