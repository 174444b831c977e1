//! What the gateway asks of iam: keys and grants.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Uri};
use svc_api::iam::v1::{
    GetJwksRequest, GetPermissionsReply, GetPermissionsRequest,
    internal_service_client::InternalServiceClient,
};
use svc_kit::{RequestContext, Secret, header};
use tonic::{Request, Status, metadata::MetadataMap, transport::Channel};
use uuid::Uuid;

use crate::{
    grants::{GrantSource, Grants},
    keys::KeySource,
    upstream::channel,
};

/// How long iam may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// iam, over a connection of its own.
#[derive(Clone)]
pub struct Iam {
    client: InternalServiceClient<Channel>,
    token: Secret,
}

impl Iam {
    /// iam at this URL.
    pub fn new(url: &Uri, token: Secret) -> Iam {
        Iam { client: InternalServiceClient::new(channel(url)), token }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let mut headers = http::HeaderMap::new();
        if let Some(current) = RequestContext::current() {
            // The gateway asks in its own name: of the request only id and trace go along.
            let mut own = RequestContext::of_platform(None);
            own.request_id.clone_from(&current.request_id);
            own.trace = current.trace.clone();
            own.write_to(&mut headers);
        }
        if let Ok(mut token) = HeaderValue::try_from(self.token.expose()) {
            token.set_sensitive(true);
            headers.insert(header::INTERNAL_TOKEN, token);
        }
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        request.set_timeout(PATIENCE);
        request
    }
}

async fn patient<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => Err(format!("iam answered {:?}: {}", status.code(), status.message())),
        Err(_) => Err(format!("iam did not answer within {PATIENCE:?}")),
    }
}

#[async_trait]
impl KeySource for Iam {
    async fn fetch(&self) -> Result<String, String> {
        let mut client = self.client.clone();
        Ok(patient(client.get_jwks(self.request(GetJwksRequest {}))).await?.jwks_json)
    }
}

#[async_trait]
impl GrantSource for Iam {
    async fn lookup(&self, tenant: Uuid, user: Uuid) -> Result<Grants, String> {
        let request = GetPermissionsRequest { tenant_id: tenant.to_string(), user_id: user.to_string() };
        let mut client = self.client.clone();
        let reply = patient(client.get_permissions(self.request(request))).await?;
        let GetPermissionsReply { permissions, tenant_blocked, .. } = reply;
        Ok(Grants { permissions, blocked: tenant_blocked })
    }
}
