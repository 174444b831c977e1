//! The digests of images that registries have under a name: `config --resolve-image-digests`. No Engine is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures::future::join_all;
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::push::{self, Credentials};
use crate::codes;
use crate::failure::{Failure, problem};

/// What Docker calls the registry of images that name none, and what it keeps the credentials for it under.
const HUB: (&str, &str) = ("docker.io", "https://index.docker.io/v1/");

/// Each image by its full name with the digest that its registry has for it now: `docker.io/library/nginx:latest@sha256:…`.
/// One that has a digest already keeps it, and its tag is left out.
///
/// # Errors
/// Every image that is no name of one, and every one whose registry does not answer, refuses or does not have it.
pub async fn digests(
    images: BTreeSet<String>,
    docker_config: Option<PathBuf>,
) -> Result<BTreeMap<String, String>, Failure> {
    let credentials = Credentials::in_file(docker_config);
    let found = join_all(images.into_iter().map(async |image| {
        let pinned = pinned(&image, &credentials).await?;
        Ok::<_, Problem>((image, pinned))
    }));
    let (mut pinned, mut problems) = (BTreeMap::new(), Vec::new());
    for result in found.await {
        match result {
            Ok((image, name)) => {
                pinned.insert(image, name);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(pinned) } else { Err(Failure::several(ExitCode::Failed, problems)) }
}

async fn pinned(image: &str, credentials: &Credentials) -> Result<String, Problem> {
    let name: Reference = image.parse().map_err(|error| {
        let message = format!("`{image}` can't be the name of an image: {error}");
        problem(codes::IMAGE_NAME, message, "correct `image` in the Compose file")
    })?;
    let place = format!("{}/{}", name.registry(), name.repository());
    if let Some(digest) = name.digest() {
        return Ok(format!("{place}@{digest}"));
    }
    let tag = name.tag().unwrap_or("latest");
    let digest = ask(&name, credentials).await.map_err(|(reason, help)| {
        problem(codes::IMAGE_DIGEST, format!("the digest of `{place}:{tag}` is not known: {reason}"), help)
    })?;
    Ok(format!("{place}:{tag}@{digest}"))
}

/// Asks the registry; else why there is no answer, and what to do.
async fn ask(name: &Reference, credentials: &Credentials) -> Result<String, (String, String)> {
    let registry = name.registry();
    let login = format!("sign in: `docker login {registry}`");
    let auth = credentials.of(if registry == HUB.0 { HUB.1 } else { registry });
    let auth = auth.map_err(|reason| (reason, login.clone()))?;
    let plain = push::is_loopback(registry);
    let client = Client::new(ClientConfig {
        protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
        connect_timeout: Some(push::CONNECT_TIME),
        read_timeout: Some(push::SILENCE),
        user_agent: push::USER_AGENT,
        ..ClientConfig::default()
    });
    client.fetch_manifest_digest(name, &auth).await.map_err(|error| {
        if push::is_refusal(&error) {
            let signed_in = !matches!(auth, RegistryAuth::Anonymous);
            let who = if signed_in { "the account may not read it" } else { "it wants to know who asks" };
            return (format!("{registry} does not let us in, {who}, or there is no such image"), login);
        }
        if push::is_missing(&error) {
            return (format!("{registry} has no such image"), "correct `image`, or push it first".to_owned());
        }
        (push::chain(&error), format!("check the network, and that {registry} answers"))
    })
}
