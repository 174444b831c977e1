//! TLS for development: a listener that speaks HTTP/1.1 and HTTP/2 with a certificate made on the spot.
//!
//! In production Envoy ends TLS; see `docs/gateway.md`.

mod certificate;

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub use certificate::{CERTIFICATE_FILE, Certificate, KEY_FILE};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// So many handshakes at once; further clients wait.
const HANDSHAKES: usize = 256;
/// The pause after the system refuses a connection, for want of file handles for example.
const PAUSE: Duration = Duration::from_millis(200);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate cannot be made, read or kept.
    #[error("cannot keep the development certificate in {place}: {problem}")]
    Certificate {
        /// Where it was to be kept.
        place: String,
        /// What went wrong.
        problem: String,
    },
    /// The port cannot be opened.
    #[error("cannot listen on {address}: {source}; set TLS_PORT to a free port")]
    Bind {
        /// What was to be listened on.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// Accepts connections and hands them over once they are encrypted.
pub struct TlsListener {
    address: SocketAddr,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl TlsListener {
    /// Opens the port, with the certificate of the directory: it is made when there is none, and renewed when it is
    /// about to end. Without a directory it lives as long as the process.
    ///
    /// # Errors
    ///
    /// When the certificate cannot be kept or the port is taken.
    pub async fn open(address: SocketAddr, directory: Option<&Path>) -> Result<TlsListener, TlsError> {
        let certificate = Certificate::keep(directory)?;
        let config = config(&certificate)?;
        let bind_error = |source| TlsError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        let (sender, accepted) = mpsc::channel(16);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), sender));
        Ok(TlsListener { address, accepted, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.accepted.recv().await {
            Some(connection) => connection,
            // The accepting task ends only with this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

fn config(certificate: &Certificate) -> Result<ServerConfig, TlsError> {
    let problem = |problem: String| TlsError::Certificate { place: certificate.place.clone(), problem };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(certificate.certificate_pem.as_bytes()).collect();
    let chain = chain.map_err(|error| problem(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.expose().as_bytes())
        .map_err(|error| problem(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| problem(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(sender.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%error, %peer, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            }
        });
    }
}
