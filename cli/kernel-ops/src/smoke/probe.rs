//! What every service answers: alive, ready, serving gRPC.

use std::time::Duration;

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Mismatch;

/// How long one answer may take.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// GET of a health path has to be answered with 200.
///
/// # Errors
/// What came instead.
pub async fn http(client: &reqwest::Client, address: &str, path: &str) -> Result<(), Mismatch> {
    let expected = format!("GET {path} answers 200");
    let actual = match client.get(format!("{address}{path}")).timeout(ANSWER_TIME).send().await {
        Ok(response) if response.status().as_u16() == 200 => return Ok(()),
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.text().await.unwrap_or_default();
            format!("{status} {}", super::short(&body))
        }
        Err(error) => super::chain(&error),
    };
    Err(Mismatch { expected, actual })
}

/// `grpc.health.v1.Health/Check` of the server as a whole has to answer SERVING.
///
/// # Errors
/// What came instead.
pub async fn grpc(address: &str) -> Result<(), Mismatch> {
    let expected = "grpc.health.v1.Health/Check answers SERVING".to_owned();
    let actual = match check(address).await {
        Ok(ServingStatus::Serving) => return Ok(()),
        Ok(other) => other.as_str_name().to_owned(),
        Err(reason) => reason,
    };
    Err(Mismatch { expected, actual })
}

async fn check(address: &str) -> Result<ServingStatus, String> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|error| super::chain(&error))?
        .connect_timeout(ANSWER_TIME)
        .timeout(ANSWER_TIME);
    let channel = endpoint.connect().await.map_err(|error| super::chain(&error))?;
    let request = HealthCheckRequest { service: String::new() };
    let answer = HealthClient::new(channel).check(request).await;
    answer
        .map(|answer| answer.into_inner().status())
        .map_err(|status| format!("{:?}: {}", status.code(), status.message()))
}
