//! An Engine that is reached over TCP: plain, and with certificates that both sides show each other. The real Engine stands
//! behind a port of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;

use kernel_core::planner::PlanOptions;
use kernel_core::unit::Desired;
use kernel_engine::EngineError;
use kernel_engine_docker::{Address, DockerEngine, DockerSettings, codes};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use support::{Bench, converge, engine_host};

const COMPOSE: &str = "services: {web: {image: IMAGE, command: [sleep, infinity], init: true}}\n";

/// Somebody who signs certificates.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    fn sign(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// The files that docker's own client takes, of somebody who trusts this authority.
    fn write(&self, folder: &Path, certificate: &Certificate, key: &KeyPair) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("ca.pem"), self.certificate.pem()).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }

    /// Shows its own certificate and wants to see one.
    fn server(&self) -> TlsAcceptor {
        let (certificate, key) = self.sign("127.0.0.1");
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let settings = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(settings))
    }
}

/// A port that leads to the Engine's socket.
async fn port_to(host: &str, tls: Option<TlsAcceptor>) -> u16 {
    let socket = host.strip_prefix("unix://").unwrap().to_owned();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (socket, tls) = (socket.clone(), tls.clone());
            tokio::spawn(async move {
                let Some(tls) = tls else { return join(client, &socket).await };
                // Somebody without a certificate, or who does not like ours, is let go.
                if let Ok(client) = tls.accept(client).await {
                    join(client, &socket).await;
                }
            });
        }
    });
    port
}

async fn join(mut client: impl AsyncRead + AsyncWrite + Unpin, socket: &str) {
    let mut engine = UnixStream::connect(socket).await.unwrap();
    drop(copy_bidirectional(&mut client, &mut engine).await);
}

async fn connect(bench: &Bench, variables: &[(&str, &str)]) -> Result<DockerEngine, EngineError> {
    let address = Address::find(&|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    let settings = DockerSettings {
        project: bench.name.clone(),
        config_files: vec![bench.path("compose.yaml").to_str().unwrap().to_owned()],
        env_files: Vec::new(),
        port_offset: 0,
        parallel: None,
        memory: None,
    };
    DockerEngine::connect(&address?, settings).await
}

/// Up and down again, all of it over this connection.
async fn works(bench: &Bench, engine: &DockerEngine) {
    let (plan, outcome, told) = converge(engine, &bench.desired(engine), &PlanOptions::default()).await;
    assert!(outcome.is_success() && !plan.is_empty(), "{outcome:#?}{told:#?}");
    assert!(bench.everything().await.contains(&"container PROJECT-web-1".to_owned()));
    let (_, outcome, told) =
        converge(engine, &Desired::nothing(bench.name.clone()), &PlanOptions::default()).await;
    assert!(outcome.is_success(), "{outcome:#?}{told:#?}");
    assert_eq!(bench.everything().await, [] as [String; 0]);
}

#[tokio::test]
async fn an_engine_behind_a_port_is_used_like_any_other() {
    let Some(host) = engine_host("an_engine_behind_a_port_is_used_like_any_other") else { return };
    let bench = Bench::new(&host, COMPOSE).await;
    let there = format!("tcp://127.0.0.1:{}", port_to(&host, None).await);
    works(&bench, &connect(&bench, &[("DOCKER_HOST", &there)]).await.unwrap()).await;
}

#[tokio::test]
async fn both_sides_show_certificates_and_nobody_else_gets_in() {
    let Some(host) = engine_host("both_sides_show_certificates_and_nobody_else_gets_in") else { return };
    let bench = Bench::new(&host, COMPOSE).await;
    let ours = Authority::new();
    let there = format!("tcp://127.0.0.1:{}", port_to(&host, Some(ours.server())).await);
    let (certificate, key) = ours.sign("somebody");
    let good = bench.path("good");
    ours.write(&good, &certificate, &key);
    let with = async |folder: &Path| {
        let folder = folder.to_str().unwrap();
        connect(&bench, &[("DOCKER_HOST", &there), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", folder)])
            .await
    };
    works(&bench, &with(&good).await.unwrap()).await;

    // A certificate that others signed; an Engine whose certificate others signed; no certificates; no TLS at all.
    let others = Authority::new();
    let (foreign, foreign_key) = others.sign("somebody");
    let stranger = bench.path("stranger");
    ours.write(&stranger, &foreign, &foreign_key);
    let distrust = bench.path("distrust");
    others.write(&distrust, &certificate, &key);
    for (folder, code) in [
        (stranger, codes::UNREACHABLE),
        (distrust, codes::UNREACHABLE),
        (bench.path("nothing-here"), codes::ENDPOINT),
    ] {
        let Err(error) = with(&folder).await else { panic!("{} is let in", folder.display()) };
        assert_eq!(error.code, code, "{error}");
        assert!(error.help.is_some(), "{error}");
        let told = format!("{error:?}");
        assert!(!told.contains("PRIVATE KEY"), "a key is told");
    }
    let Err(error) = connect(&bench, &[("DOCKER_HOST", &there)]).await else { panic!("let in without TLS") };
    assert_eq!(error.code, codes::UNREACHABLE, "{error}");
}
