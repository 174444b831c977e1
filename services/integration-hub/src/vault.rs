//! Where credentials live: the secret store, and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use svc_stores::secrets::{Secret, SecretStore};
use svc_stores::{Result, StoreError};
use uuid::Uuid;

use crate::domain::{AuthType, Credentials};

/// The first part of every path; the next is the tenant, the last the provider.
const PREFIX: &str = "integration-hub/";

/// The credentials of all providers.
#[derive(Clone, Debug)]
pub struct Vault {
    store: Arc<dyn SecretStore>,
}

impl Vault {
    /// Over a secret store.
    #[must_use]
    pub fn new(store: Arc<dyn SecretStore>) -> Self {
        Self { store }
    }

    /// Seals the credentials of a provider.
    pub async fn put(&self, tenant: Uuid, provider: Uuid, credentials: &Credentials) -> Result<()> {
        let plain = serde_json::to_vec(credentials.expose_fields())
            .map_err(|error| StoreError::failed("write credentials", error))?;
        self.store.put(&path(tenant, provider), Secret::new(plain), None).await.map(|_| ())
    }

    /// The credentials of a provider, if they are there and readable.
    pub async fn get(
        &self,
        tenant: Uuid,
        provider: Uuid,
        auth_type: AuthType,
    ) -> Result<Option<Credentials>> {
        let Some(found) = self.store.get(&path(tenant, provider)).await? else { return Ok(None) };
        // Neither cause is kept as a source: its text could quote the content.
        let corrupt = |problem: &str| StoreError::Corrupt {
            what: format!("credentials of provider {provider}"),
            problem: problem.to_owned(),
        };
        let fields: BTreeMap<String, String> =
            serde_json::from_slice(found.secret.expose()).map_err(|_| corrupt("not a map of texts"))?;
        Credentials::new(auth_type, fields).map(Some).map_err(|_| corrupt("do not fit the auth type"))
    }

    /// Forgets the credentials of a provider.
    pub async fn delete(&self, tenant: Uuid, provider: Uuid) -> Result<()> {
        self.store.delete(&path(tenant, provider)).await.map(|_| ())
    }

    /// Every provider that has credentials here, as (tenant, provider).
    pub async fn all(&self) -> Result<Vec<(Uuid, Uuid)>> {
        let paths = self.store.list(PREFIX).await?;
        Ok(paths.iter().filter_map(|path| owner_of(path)).collect())
    }
}

fn path(tenant: Uuid, provider: Uuid) -> String {
    format!("{PREFIX}{tenant}/{provider}")
}

fn owner_of(path: &str) -> Option<(Uuid, Uuid)> {
    let (tenant, provider) = path.strip_prefix(PREFIX)?.split_once('/')?;
    Some((tenant.parse().ok()?, provider.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_back_to_its_owner() {
        let (tenant, provider) = (Uuid::now_v7(), Uuid::now_v7());
        assert_eq!(owner_of(&path(tenant, provider)), Some((tenant, provider)));
        assert_eq!(owner_of("iam/signing-key"), None);
    }
}
