//! What a shell, an IDE or a test needs to know to work with a sandbox.

use std::collections::BTreeMap;

use super::{Seeded, State, TenantName};
use crate::endpoints;
use crate::load::Platform;

/// Variables for the sandbox of a tenant: where its services are, who can sign in, and what makes `kernel` itself mean
/// this sandbox. No secret is among them: passwords are in the file that `SANDBOX_CREDENTIALS` names.
#[must_use]
pub fn environment(
    tenant: &TenantName,
    platform: &Platform,
    state: &State,
    seeded: Option<&Seeded>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("SANDBOX_TENANT".to_owned(), tenant.to_string()),
        ("SANDBOX_CREDENTIALS".to_owned(), state.credentials_file().display().to_string()),
        ("COMPOSE_PROJECT_NAME".to_owned(), platform.name.to_string()),
        ("KERNEL_ENGINE".to_owned(), "local".to_owned()),
    ]);
    let gateway = endpoints::gateway(&platform.project, 0);
    all.extend(gateway.map(|url| ("SANDBOX_URL".to_owned(), url)));
    for service in platform.project.services.values() {
        if endpoints::package(service).is_some()
            && let Some(url) = endpoints::of(service, 0)
        {
            all.insert(format!("{}_URL", variable(&service.name)), url);
        }
    }
    if let Some(seeded) = seeded {
        all.insert("SANDBOX_TENANT_ID".to_owned(), seeded.tenant_id.clone());
        for user in &seeded.users {
            all.insert(format!("SANDBOX_{}_EMAIL", variable(&user.name)), user.email.clone());
        }
    }
    all
}

/// A name in the form of a variable's.
pub(super) fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
}
