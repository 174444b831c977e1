//! What is not implemented yet is listed in `docs/services.md`, and nothing else is.
#![allow(missing_docs)]

use gateway::GatewayProcess;
use svc_api::iam::v1::{
    GetJwksReply, GetJwksRequest,
    internal_service_server::{InternalService, InternalServiceServer},
};
use svc_testkit::{FakeNeighbour, TestService, documented};
use tonic::{Request, Response, Status, service::Routes};

/// The public half of the example key of RFC 7517: the gateway is not ready before iam tells it one.
const KEY_SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"1",
    "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

struct FakeIam;

#[tonic::async_trait]
impl InternalService for FakeIam {
    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksReply>, Status> {
        Ok(Response::new(GetJwksReply { jwks_json: KEY_SET.to_owned() }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_implemented_is_documented() {
    let iam = FakeNeighbour::start(Routes::new(InternalServiceServer::new(FakeIam))).await;
    let gateway =
        TestService::<GatewayProcess>::start_with([("IAM_URL", iam.url()), ("TLS_PORT", "0")]).await;
    documented::check(&gateway, &["platform.gateway.v1"]).await;
}
