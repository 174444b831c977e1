//! The gRPC door: reads requests, calls [`Domains`], writes answers.

use jiff::Timestamp;
use svc_api::domain_resolver::v1 as api;
use svc_api::domain_resolver::v1::domain_resolver_service_server::DomainResolverService;
use svc_kit::message::{self, Page, timestamp};
use svc_kit::{Caller, Problem};
use tonic::{Request, Response, Status as GrpcStatus};

use crate::domain::{GIVE_UP_AFTER, instructions};
use crate::domains::Domains;
use crate::store::Domain;

#[tonic::async_trait]
impl DomainResolverService for Domains {
    async fn add_domain(
        &self,
        request: Request<api::AddDomainRequest>,
    ) -> Result<Response<api::Domain>, GrpcStatus> {
        let caller = Caller::of(&request)?;
        let domain = self.add(caller.tenant, &request.into_inner().hostname).await?;
        Ok(Response::new(domain_message(&domain)))
    }

    async fn list_domains(
        &self,
        request: Request<api::ListDomainsRequest>,
    ) -> Result<Response<api::ListDomainsReply>, GrpcStatus> {
        let caller = Caller::of(&request)?;
        let api::ListDomainsRequest { page_size, page_token } = request.into_inner();
        let page = Page::read(page_size, &page_token)?;
        let found = self.list(caller.tenant, page.last, page.to_read()).await?;
        let (found, next_page_token) = page.cut(found, |domain| domain.id);
        let domains = found.iter().map(domain_message).collect();
        Ok(Response::new(api::ListDomainsReply { domains, next_page_token }))
    }

    async fn get_domain(
        &self,
        request: Request<api::GetDomainRequest>,
    ) -> Result<Response<api::Domain>, GrpcStatus> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        Ok(Response::new(domain_message(&self.get(caller.tenant, id).await?)))
    }

    async fn verify_domain(
        &self,
        request: Request<api::VerifyDomainRequest>,
    ) -> Result<Response<api::Domain>, GrpcStatus> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        Ok(Response::new(domain_message(&self.verify(caller.tenant, id).await?)))
    }

    async fn delete_domain(
        &self,
        request: Request<api::DeleteDomainRequest>,
    ) -> Result<Response<()>, GrpcStatus> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        self.delete(caller.tenant, id).await?;
        Ok(Response::new(()))
    }

    async fn resolve_hostname(
        &self,
        request: Request<api::ResolveHostnameRequest>,
    ) -> Result<Response<api::ResolveHostnameReply>, GrpcStatus> {
        let domain = self.owner(&request.into_inner().hostname).await?;
        Ok(Response::new(api::ResolveHostnameReply {
            tenant_id: domain.tenant.to_string(),
            domain_id: domain.id.to_string(),
        }))
    }

    async fn renew_certificate(
        &self,
        _request: Request<api::RenewCertificateRequest>,
    ) -> Result<Response<api::Domain>, GrpcStatus> {
        Err(Problem::not_implemented("Certificates are not obtained yet; every name has sslStatus `none`.")
            .into())
    }
}

fn domain_message(domain: &Domain) -> api::Domain {
    let expires = domain.created.saturating_add(GIVE_UP_AFTER).unwrap_or(Timestamp::MAX);
    api::Domain {
        id: domain.id.to_string(),
        hostname: domain.hostname.to_string(),
        status: domain.status.as_str().to_owned(),
        ssl_status: "none".to_owned(),
        verification_token: domain.token.record_value(),
        instructions: instructions(&domain.hostname, &domain.token)
            .into_iter()
            .map(|instruction| api::DnsInstruction {
                r#type: instruction.record_type.as_str().to_owned(),
                name: instruction.name,
                value: instruction.value,
            })
            .collect(),
        last_error: domain.last_error.clone(),
        created_at: Some(timestamp(domain.created)),
        verified_at: domain.verified.map(timestamp),
        expires_at: Some(timestamp(expires)),
        checked_at: domain.checked.map(timestamp),
    }
}
