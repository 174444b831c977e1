//! Pushes images to a registry. No Engine is needed: blobs go up that are not there, then the manifest under each tag.
//!
//! Everything is named by its digest, so pushing again sends nothing, and whoever is killed half-way goes on there. A
//! tag moves last, when all that it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use futures::FutureExt;
use futures::future::BoxFuture;
use kernel_core::exit::ExitCode;
use kernel_engine::{Context, EngineError};
use kernel_image::{
    Descriptor, Digest, INDEX_FILE, Image, Index, Manifest, Reference, blob_path, media_type,
};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use serde::Serialize;
use tokio_stream::StreamExt;
use tokio_util::io::ReaderStream;

use crate::codes;
use crate::converge::engine_failure;
use crate::failure::{Failure, problem};
use crate::images::{ImageWork, PushSettings, layout};

/// How long connecting may take, and how long a registry may say nothing.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(10);
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// Who we are to a registry.
pub(super) const USER_AGENT: &str = concat!("kernel/", env!("CARGO_PKG_VERSION"));

/// How often a request is tried that failed for a reason that may pass.
const TRIES: u32 = 3;

/// How much is read from a blob at once. Registries want a whole blob in few requests, memory in small pieces.
const PIECE: usize = 64 * 1024;

/// Where the credentials of a registry come from: Docker's own configuration and its helpers.
#[derive(Clone, Debug, Default)]
pub struct Credentials(Option<PathBuf>);

impl Credentials {
    /// Of a file as `docker login` writes it. A file that is not there gives none.
    #[must_use]
    pub const fn in_file(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// Those for one registry.
    pub(super) fn of(&self, registry: &str) -> Result<RegistryAuth, String> {
        let Some(path) = &self.0 else { return Ok(RegistryAuth::Anonymous) };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
            Err(error) => return Err(format!("could not read `{}`: {error}", path.display())),
        };
        match docker_credential::get_credential_from_reader(io::BufReader::new(file), registry) {
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
            Ok(DockerCredential::IdentityToken(_)) => Err(format!(
                "`{}` holds an identity token for {registry}, which is not supported yet",
                path.display()
            )),
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
            // What a helper writes may be a secret.
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                Err(format!("the credential helper `{helper}` failed"))
            }
            Err(error) => Err(format!("`{}`: {error}", path.display())),
        }
    }
}

/// What came of pushing one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PushOutcome {
    /// The digest of its manifest, by which it can be pulled.
    pub manifest: Digest,
    /// How many bytes were sent. 0: the registry had everything, also under the tags.
    pub sent: u64,
}

/// Pushes images to one registry.
pub struct Pusher {
    client: Client,
    registry: String,
    auth: RegistryAuth,
    writer: layout::Writer,
    /// Blobs that are in the registry, with a repository that has them: others can have them from there.
    known: Mutex<BTreeMap<Digest, oci_client::Reference>>,
}

impl Pusher {
    /// For the registry of `settings`.
    ///
    /// # Errors
    /// When its credentials can't be read, or there is no room for compressed layers.
    pub fn new(settings: &PushSettings) -> Result<Self, Failure> {
        let registry = settings.registry.clone();
        let auth = Credentials::in_file(settings.docker_config.clone()).of(&registry).map_err(|reason| {
            let help = format!("sign in again: `docker login {registry}`");
            Failure::new(ExitCode::Permission, problem(codes::IMAGE_PUSH_REFUSED, reason, help))
        })?;
        let protocol = if settings.plain_http || is_loopback(&registry) {
            ClientProtocol::HttpsExcept(vec![registry.clone()])
        } else {
            ClientProtocol::Https
        };
        let client = Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT_TIME),
            read_timeout: Some(SILENCE),
            user_agent: USER_AGENT,
            // One request for a blob: the length is known, and every registry understands it.
            use_monolithic_push: true,
            ..ClientConfig::default()
        });
        let writer = layout::Writer::temporary()
            .map_err(|error| Failure::unwritable(&std::env::temp_dir(), &error))?;
        Ok(Self { client, registry, auth, writer, known: Mutex::default() })
    }

    /// Pushes an image under its names.
    ///
    /// # Errors
    /// When it can't be compressed, or the registry does not answer or refuses.
    pub async fn push(
        &self,
        image: &Image,
        names: &[Reference],
        context: &Context,
    ) -> Result<PushOutcome, EngineError> {
        context.progress("compressing", None, None);
        let written = self.writer.add(image, names).await?;
        let tell = |message: String| context.progress(message, None, None);
        self.push_from(self.writer.folder(), &written.manifest, names, &tell).await
    }

    /// Pushes an image whose blobs lie in a layout.
    async fn push_from(
        &self,
        folder: &Path,
        manifest: &[u8],
        names: &[Reference],
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<PushOutcome, EngineError> {
        let digest = Digest::of(manifest);
        let blobs: Manifest =
            serde_json::from_slice(manifest).map_err(|error| self.unreadable(folder, error))?;
        let mut sent = 0;
        let mut checked: BTreeSet<String> = BTreeSet::new();
        for name in names {
            let target = self.reference(name)?;
            if checked.insert(name.repository().to_owned()) {
                self.sign_in(&target).await?;
                for blob in std::iter::once(&blobs.config).chain(&blobs.layers) {
                    tell(format!("pushing {}", name.repository()));
                    sent += self.push_blob(folder, &target, blob).await?;
                }
            }
            sent += self.push_manifest(&target, name, manifest, digest).await?;
        }
        Ok(PushOutcome { manifest: digest, sent })
    }

    async fn sign_in(&self, target: &oci_client::Reference) -> Result<(), EngineError> {
        let request = || self.client.auth(target, &self.auth, RegistryOperation::Push).boxed();
        self.tried("signing in", request).await.map(drop)
    }

    /// Sends a blob unless the repository has it, or can have it from another one of the registry.
    async fn push_blob(
        &self,
        folder: &Path,
        target: &oci_client::Reference,
        blob: &Descriptor,
    ) -> Result<u64, EngineError> {
        let digest = blob.digest.to_string();
        let there =
            self.tried("asking for a blob", || self.client.blob_exists(target, &digest).boxed()).await?;
        let known = self.locked().get(&blob.digest).cloned();
        let mut sent = 0;
        if !there {
            let mounted = match known.filter(|source| source.repository() != target.repository()) {
                // A registry may refuse to share between repositories; then the blob is sent.
                Some(source) => self.client.mount_blob(target, &source, &digest).await.is_ok(),
                None => false,
            };
            if !mounted {
                let path = folder.join(blob_path(blob.digest));
                self.tried("sending a blob", || self.send(target, &path, blob).boxed()).await?;
                sent = blob.size;
            }
        }
        self.locked().insert(blob.digest, target.clone());
        Ok(sent)
    }

    async fn send(
        &self,
        target: &oci_client::Reference,
        path: &Path,
        blob: &Descriptor,
    ) -> Result<(), OciDistributionError> {
        let file = tokio::fs::File::open(path).await?;
        let pieces = ReaderStream::with_capacity(file, PIECE).map(|piece| piece.map_err(Into::into));
        let digest = blob.digest.to_string();
        self.client.push_blob_stream(target, pieces, &digest, Some(blob.size)).await.map(drop)
    }

    /// Lets a tag name the manifest, unless it does.
    async fn push_manifest(
        &self,
        target: &oci_client::Reference,
        name: &Reference,
        manifest: &[u8],
        digest: Digest,
    ) -> Result<u64, EngineError> {
        let named = self.client.fetch_manifest_digest(target, &self.auth).await;
        if named.is_ok_and(|named| named == digest.to_string()) {
            return Ok(0);
        }
        let push = || {
            let kind = http::HeaderValue::from_static(media_type::MANIFEST);
            self.client.push_manifest_raw(target, manifest.to_vec(), kind).boxed()
        };
        self.tried(&format!("naming `{name}`"), push).await?;
        Ok(manifest.len() as u64)
    }

    /// Tries a request, and again when the reason may pass.
    async fn tried<'a, T>(
        &self,
        what: &str,
        request: impl Fn() -> BoxFuture<'a, Result<T, OciDistributionError>> + Send,
    ) -> Result<T, EngineError> {
        let mut wait = Duration::from_millis(200);
        for _ in 1..TRIES {
            match request().await {
                Err(error) if may_pass(&error) => {
                    tokio::time::sleep(wait).await;
                    wait *= 4;
                }
                result => return result.map_err(|error| self.refused(what, error)),
            }
        }
        request().await.map_err(|error| self.refused(what, error))
    }

    fn reference(&self, name: &Reference) -> Result<oci_client::Reference, EngineError> {
        // Always with the registry: a name without one would mean another place here than there.
        let text = format!("{}/{}:{}", self.registry, name.repository(), name.tag());
        text.parse().map_err(|error: oci_client::ParseError| {
            let message = format!("`{text}` can't be pushed: {error}");
            EngineError::new(codes::IMAGE_NAME, ExitCode::Usage, message)
        })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, oci_client::Reference>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreadable(
        &self,
        folder: &Path,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> EngineError {
        let message = format!("the OCI layout `{}` can't be read", folder.display());
        EngineError::new(codes::IMAGE_LAYOUT, ExitCode::Usage, message)
            .because(error)
            .help("write it again: `kernel build --oci-layout PATH`")
    }

    fn refused(&self, what: &str, error: OciDistributionError) -> EngineError {
        let registry = &self.registry;
        let signed_in = !matches!(self.auth, RegistryAuth::Anonymous);
        if is_refusal(&error) {
            let message = format!("{what} at {registry}: it does not let us in");
            let help = if signed_in {
                format!("check that the account may write there, or sign in again: `docker login {registry}`")
            } else {
                format!("sign in: `docker login {registry}`")
            };
            return EngineError::new(codes::IMAGE_PUSH_REFUSED, ExitCode::Permission, message)
                .because(error)
                .help(help);
        }
        match &error {
            OciDistributionError::RequestError(request) if request.is_connect() || request.is_timeout() => {
                EngineError::new(
                    codes::IMAGE_REGISTRY_UNREACHABLE,
                    ExitCode::Prerequisite,
                    format!("{what} at {registry}: it does not answer"),
                )
                .because(error)
                .help("check the name of the registry and the network; what was sent stays, push again to go on")
            }
            _ => EngineError::new(
                codes::IMAGE_PUSH_REFUSED,
                ExitCode::Failed,
                format!("{what} at {registry} failed"),
            )
            .because(error)
            .help("what was sent stays; push again to go on"),
        }
    }
}

/// Pushes the images of a layout that was written before. They keep the repositories and tags that they have in it,
/// at the registry of the settings.
///
/// # Errors
/// When the layout can't be read, holds no named image, or the registry does not take one.
pub async fn push_layout(
    path: &Path,
    settings: &PushSettings,
    work: ImageWork<'_>,
) -> Result<Vec<(Reference, PushOutcome)>, Failure> {
    let pusher = Pusher::new(settings)?;
    let failed = |error: EngineError| engine_failure(&error);
    let text =
        std::fs::read(path.join(INDEX_FILE)).map_err(|error| failed(pusher.unreadable(path, error)))?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| failed(pusher.unreadable(path, error)))?;
    let mut pushed = Vec::new();
    for (name, manifest) in index.images() {
        let bytes = std::fs::read(path.join(blob_path(manifest.digest)))
            .map_err(|error| failed(pusher.unreadable(path, error)))?;
        if Digest::of(&bytes) != manifest.digest {
            let error = io::Error::other(format!("the manifest {} has other bytes", manifest.digest));
            return Err(failed(pusher.unreadable(path, error)));
        }
        if work.dry_run {
            pushed.push((name, PushOutcome { manifest: manifest.digest, sent: 0 }));
            continue;
        }
        let tell = |_| {};
        let push = pusher.push_from(path, &bytes, std::slice::from_ref(&name), &tell);
        let outcome = tokio::select! {
            outcome = push => outcome.map_err(|error| engine_failure(&error))?,
            () = work.cancel.cancelled() => {
                let message = format!("interrupted while `{name}` was pushed; what was sent stays");
                let help = format!("`{}` goes on from here", work.command);
                return Err(Failure::new(ExitCode::Interrupted, problem(codes::INTERRUPTED, message, help)));
            }
        };
        pushed.push((name, outcome));
    }
    if pushed.is_empty() {
        let message = format!("the OCI layout `{}` holds no image with a name", path.display());
        let help = "write one: `kernel build --oci-layout PATH`";
        return Err(Failure::new(ExitCode::NothingSelected, problem(codes::IMAGE_LAYOUT, message, help)));
    }
    Ok(pushed)
}

/// Registries of this machine speak HTTP, as Docker has it.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether the registry wants to know who we are, or knows and says no.
pub(super) fn is_refusal(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::AuthenticationFailure(_) | OciDistributionError::UnauthorizedError { .. } => {
            true
        }
        OciDistributionError::RequestError(error) => {
            error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403))
        }
        OciDistributionError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, OciErrorCode::Denied | OciErrorCode::Unauthorized)),
        OciDistributionError::ServerError { code, .. } => matches!(code, 401 | 403),
        _ => false,
    }
}

/// Whether the registry has nothing under that name.
pub(super) fn is_missing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
            matches!(
                error.code,
                OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound
            )
        }),
        OciDistributionError::RequestError(error) => {
            error.status().is_some_and(|status| status.as_u16() == 404)
        }
        OciDistributionError::ServerError { code, .. } => *code == 404,
        _ => false,
    }
}

/// What went wrong, down to its cause.
pub(super) fn chain(error: &OciDistributionError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether the same request may succeed a moment later.
fn may_pass(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(error) => {
            let busy = |status: reqwest::StatusCode| status.is_server_error() || status.as_u16() == 429;
            error.status().map_or(error.is_connect() || error.is_timeout() || error.is_request(), busy)
        }
        OciDistributionError::ServerError { code, .. } => *code >= 500 || *code == 429,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_of_this_machine_are_spoken_to_without_tls() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["ghcr.io", "10.0.0.1:5000", "localhost.example.org", "registry:5000"] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }

    #[test]
    fn credentials_are_those_of_docker() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        // "me:secret"
        std::fs::write(&path, r#"{"auths":{"ghcr.io":{"auth":"bWU6c2VjcmV0"}}}"#).unwrap();
        let credentials = Credentials::in_file(Some(path.clone()));
        let expected = RegistryAuth::Basic("me".to_owned(), "secret".to_owned());
        assert_eq!(credentials.of("ghcr.io"), Ok(expected));
        assert_eq!(credentials.of("example.org"), Ok(RegistryAuth::Anonymous));
        assert_eq!(Credentials::default().of("ghcr.io"), Ok(RegistryAuth::Anonymous));
        let missing = Credentials::in_file(Some(folder.path().join("missing.json")));
        assert_eq!(missing.of("ghcr.io"), Ok(RegistryAuth::Anonymous));
        std::fs::write(&path, "not json").unwrap();
        assert!(credentials.of("ghcr.io").is_err());
    }
}
