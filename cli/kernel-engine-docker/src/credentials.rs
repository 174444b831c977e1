//! Logins of registries, as `docker login` keeps them.

use bollard::auth::DockerCredentials;
use docker_credential::DockerCredential;

/// The registry of Docker, by the name under which its login is kept.
const HUB: &str = "https://index.docker.io/v1/";

/// The login for the registry of an image. `None`: there is none, and none may be needed.
pub(crate) fn of(image: &str) -> Option<DockerCredentials> {
    let first = image.split('/').next().filter(|_| image.contains('/')).unwrap_or_default();
    let is_host = first.contains('.') || first.contains(':') || first == "localhost";
    let registry = if is_host { first } else { HUB };
    let (username, password, identitytoken) = match docker_credential::get_credential(registry).ok()? {
        DockerCredential::UsernamePassword(name, password) => (Some(name), Some(password), None),
        DockerCredential::IdentityToken(token) => (None, None, Some(token)),
    };
    let serveraddress = Some(registry.to_owned());
    Some(DockerCredentials {
        username,
        password,
        identitytoken,
        serveraddress,
        ..DockerCredentials::default()
    })
}
