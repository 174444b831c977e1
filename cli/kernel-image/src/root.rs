//! What our images contain: a shared layer with everything but the program, and a layer with the program alone.
//!
//! The shared layer has the same bytes for every service, so an Engine and a registry keep it once.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::blob::Blob;
use crate::config::PROGRAM;
use crate::layer::{Entry, Kind, Layer, LayerError, Owner};

/// The user that services run as; the same as in `docker/Dockerfile.monorepo`.
const APPUSER: Owner = Owner { user: 10_001, group: 10_001 };
const ROOT: Owner = Owner { user: 0, group: 0 };

const PASSWD: &str = "\
root:x:0:0:root:/:/sbin/nologin
appuser:x:10001:10001:the service:/nonexistent:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
";

const GROUP: &str = "\
root:x:0:
appuser:x:10001:
nobody:x:65534:
";

/// Without this file glibc asks DNS before `/etc/hosts`, where a container's own names stand.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Everything but the program: users, the names of authorities that TLS trusts, and the folders that a service may use.
/// Mozilla's authorities, because a program that speaks TLS with the outside asks the system for them.
///
/// # Errors
/// Never for this content; the type is that of [`Layer::new`].
pub fn shared_layer() -> Result<Layer, LayerError> {
    let folder = |path: &str, mode, owner| Entry { path: path.to_owned(), kind: Kind::Folder, mode, owner };
    let file = |path: &str, text: &str| {
        let kind = Kind::File(Arc::new(text.as_bytes().to_vec()));
        Entry { path: path.to_owned(), kind, mode: 0o644, owner: ROOT }
    };
    Layer::new(vec![
        folder("etc", 0o755, ROOT),
        file("etc/group", GROUP),
        file("etc/nsswitch.conf", NSSWITCH),
        file("etc/passwd", PASSWD),
        folder("etc/ssl", 0o755, ROOT),
        folder("etc/ssl/certs", 0o755, ROOT),
        file("etc/ssl/certs/ca-certificates.crt", &certificates()),
        folder("tmp", 0o1777, ROOT),
        folder("usr", 0o755, ROOT),
        folder("usr/local", 0o755, ROOT),
        folder("usr/local/bin", 0o755, ROOT),
        folder("var", 0o755, ROOT),
        folder("var/lib", 0o755, ROOT),
        folder("var/lib/platform", 0o700, APPUSER),
        folder("var/lib/platform/tls", 0o700, APPUSER),
    ])
}

/// The program alone.
///
/// # Errors
/// When it can't be read.
pub fn program_layer(program: Arc<dyn Blob>) -> Result<Layer, LayerError> {
    let path = PROGRAM.trim_start_matches('/').to_owned();
    Layer::new(vec![Entry { path, kind: Kind::File(program), mode: 0o755, owner: ROOT }])
}

/// The authorities in the form that every TLS library reads.
fn certificates() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            let _infallible = writeln!(text, "{line}");
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn a_tls_library_reads_every_authority_back() {
        let text = certificates();
        let read: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, webpki_root_certs::TLS_SERVER_ROOT_CERTS);
        let mut store = rustls::RootCertStore::empty();
        let (added, ignored) = store.add_parsable_certificates(read);
        assert!(added > 50 && ignored == 0, "{added} added, {ignored} ignored");
    }

    #[test]
    fn only_the_service_may_look_into_its_data() {
        let layer = shared_layer().unwrap();
        let data = layer.entries().iter().find(|entry| entry.path == "var/lib/platform").unwrap();
        assert_eq!((data.mode, data.owner), (0o700, APPUSER));
        let others: Vec<&str> = layer
            .entries()
            .iter()
            .filter(|entry| entry.owner != ROOT && !entry.path.starts_with("var/lib/platform"))
            .map(|entry| entry.path.as_str())
            .collect();
        assert_eq!(others, Vec::<&str>::new());
    }
}
