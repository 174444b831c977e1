//! The TLS port, with the certificate that the gateway made.

use std::{net::SocketAddr, sync::Arc};

use axum::body::Body;
use gateway::tls::{CERTIFICATE_FILE, TlsListener};
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::World;

/// A handshake that trusts exactly this certificate.
async fn connect(
    address: SocketAddr,
    certificate: &str,
    name: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn both_protocols_are_spoken_with_the_generated_certificate() {
    let port = free_port().await;
    let world = World::with(&[("TLS_PORT", &port.to_string()), ("TLS_DIRECTORY", "{data}/tls")]).await;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let certificate =
        std::fs::read_to_string(world.gateway.data().join("tls").join(CERTIFICATE_FILE)).unwrap();
    let request = || {
        let uri = "https://localhost/v1/probes/p";
        Request::get(uri).header("host", "localhost").body(Body::empty()).unwrap()
    };

    let stream = connect(address, &certificate, "localhost", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"id\":\"p\""), "the same routes as on the plain port");
    drop(sender);

    let stream = connect(address, &certificate, "127.0.0.1", &["http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(sender.send_request(request()).await.unwrap().status(), 200);
    drop(sender);

    world.gateway.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "both ports close");
}

#[tokio::test]
async fn only_its_own_names_are_certified_and_nonsense_hurts_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TlsListener::open(any, Some(directory.path())).await.unwrap();
    let address = listener.address();
    let certificate = std::fs::read_to_string(directory.path().join(CERTIFICATE_FILE)).unwrap();
    // Somebody who speaks no TLS, and somebody who says nothing at all, keep nobody else out.
    let silent = TcpStream::connect(address).await.unwrap();
    let mut rude = TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut rude, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(connect(address, &certificate, "api.septemcore.com", &[]).await.is_err());
    for name in ["localhost", "127.0.0.1", "::1"] {
        connect(address, &certificate, name, &[]).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    drop((listener, silent));
    let taken = TcpListener::bind(any).await.unwrap();
    let Err(error) = TlsListener::open(taken.local_addr().unwrap(), None).await else {
        panic!("the port is taken")
    };
    assert!(error.to_string().contains("TLS_PORT"), "{error}");
}
