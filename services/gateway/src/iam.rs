//! What the gateway asks of iam: keys and grants.

use std::time::Duration;

use async_trait::async_trait;
use svc_api::iam::v1::{
    GetJwksRequest, GetPermissionsRequest, internal_service_client::InternalServiceClient,
};
use svc_clients::{Neighbour, Policy};
use svc_kit::{Context, NeighbourUrl};
use tonic::Status;
use uuid::Uuid;

use crate::{
    grants::{GrantSource, Grants},
    keys::KeySource,
};

/// A client waits while iam is asked: better to fail soon.
const POLICY: Policy =
    Policy { deadline: Duration::from_secs(2), attempts: 2, pause: Duration::from_millis(50) };

/// iam, over a connection of its own.
#[derive(Clone)]
pub struct Iam(Neighbour);

impl Iam {
    /// iam at this URL.
    pub fn new(url: &NeighbourUrl, context: &Context) -> Iam {
        Iam(Neighbour::new("iam", url, context).with_policy(POLICY))
    }
}

fn told(status: &Status) -> String {
    format!("iam answered {:?}: {}", status.code(), status.message())
}

#[async_trait]
impl KeySource for Iam {
    async fn fetch(&self) -> Result<String, String> {
        let ask =
            |channel| async move { InternalServiceClient::new(channel).get_jwks(GetJwksRequest {}).await };
        Ok(self.0.idempotent(ask).await.map_err(|status| told(&status))?.jwks_json)
    }
}

#[async_trait]
impl GrantSource for Iam {
    async fn lookup(&self, tenant: Uuid, user: Uuid) -> Result<Grants, String> {
        let ask = |channel| async move {
            let request = GetPermissionsRequest { tenant_id: tenant.to_string(), user_id: user.to_string() };
            InternalServiceClient::new(channel).get_permissions(request).await
        };
        let reply = self.0.idempotent(ask).await.map_err(|status| told(&status))?;
        Ok(Grants { permissions: reply.permissions, blocked: reply.tenant_blocked })
    }
}
