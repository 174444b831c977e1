//! `service healthcheck`: asks the service that runs beside it in the same container whether it is ready.
//!
//! An image holds the service's program and no other, so the program itself is what a container's health check runs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{Configure, Environment, Invalid, Reader};

/// The argument that makes a service's program ask instead of serve.
pub(crate) const COMMAND: &str = "healthcheck";

const PATH: &str = "/health/ready";

/// How long the whole question may take: less than the checks of the Compose files grant, so that what is wrong is
/// still said.
const LIMIT: Duration = Duration::from_millis(1500);

/// How much of an answer is told.
const REASON_BYTES: usize = 4096;

/// Where the service listens, by the variables that configure it too.
struct Address(SocketAddr);

impl Configure for Address {
    fn configure(reader: &mut Reader<'_>) -> Result<Address, Invalid> {
        let host = reader.or("HOST", IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let port = reader.or("PORT", 8080);
        // Who listens everywhere also listens on loopback.
        let host = match host? {
            IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        Ok(Address(SocketAddr::new(host, port?)))
    }
}

/// Asks the service that `environment` configures.
///
/// # Errors
///
/// Why it is not ready, in one line.
pub(crate) async fn ask(environment: &Environment) -> Result<(), String> {
    let Address(address) = environment.read().map_err(|error| error.to_string())?;
    match tokio::time::timeout(LIMIT, request(address)).await {
        Ok(Ok((StatusCode::OK, _))) => Ok(()),
        Ok(Ok((status, body))) => Err(format!("{PATH} answers {}: {body}", status.as_u16())),
        Ok(Err(error)) => Err(format!("{address} does not answer: {error}")),
        Err(_) => Err(format!("{PATH} does not answer within {LIMIT:?}")),
    }
}

async fn request(
    address: SocketAddr,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(PATH).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), REASON_BYTES).collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
    };
    // The connection has to be driven while the answer is waited for; when it ends first, the answer says why.
    let driven = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => never,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::{BuildError, Context, Latch, Routes, Service};

    /// Ready when its latch is released.
    struct Sample;

    static LATCH: OnceLock<Latch> = OnceLock::new();

    impl Service for Sample {
        const NAME: &'static str = "sample";
        type Config = ();

        async fn build(_: (), context: Context) -> Result<Routes, BuildError> {
            let _ = LATCH.set(context.latch("store"));
            Ok(Routes::new())
        }
    }

    #[tokio::test]
    async fn it_says_what_the_service_says() {
        let environment =
            Environment::from_iter([("HOST", "127.0.0.1"), ("PORT", "0"), ("INTERNAL_TOKEN", "t")]);
        let running = crate::start::<Sample>(&environment).await.unwrap();
        // As in a container: the service listens everywhere, and only its port is known.
        let asked = Environment::from_iter([("PORT", running.address().port().to_string())]);
        let reason = ask(&asked).await.unwrap_err();
        assert!(reason.starts_with("/health/ready answers 503: ") && reason.contains("store"), "{reason}");
        LATCH.get().unwrap().release();
        assert_eq!(ask(&asked).await, Ok(()));
        assert!(running.stop().await);
        let reason = ask(&asked).await.unwrap_err();
        assert!(reason.contains("does not answer"), "{reason}");
    }

    #[tokio::test]
    async fn who_accepts_and_says_nothing_is_not_waited_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = tokio::spawn(async move { listener.accept().await });
        let environment = Environment::from_iter([("PORT", port.to_string())]);
        let reason = ask(&environment).await.unwrap_err();
        assert_eq!(reason, "/health/ready does not answer within 1.5s");
        held.abort();
    }

    #[tokio::test]
    async fn a_wrong_port_is_told() {
        let reason = ask(&Environment::from_iter([("PORT", "http")])).await.unwrap_err();
        assert!(reason.contains("PORT"), "{reason}");
    }
}
