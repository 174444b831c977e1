//! The gRPC door: reads requests, calls [`Hub`], writes answers. Credentials come in here and never go out.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING, WWW_AUTHENTICATE};
use svc_api::integration_hub::v1 as api;
use svc_api::integration_hub::v1::integration_hub_service_server::IntegrationHubService;
use svc_kit::message::{self, Page, timestamp};
use svc_kit::{Caller, Problem, RequestContext, json};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::calls::Called;
use crate::domain::attempt::MAX_RETRIES;
use crate::domain::provider::MAX_TIMEOUT;
use crate::domain::{Provider, ProviderConfig};
use crate::hub::{Hub, NewProvider, ProviderChange};
use crate::request::CallRequest;
use crate::store::dead_letters::DeadLetter;

#[tonic::async_trait]
impl IntegrationHubService for Hub {
    async fn call(&self, request: Request<api::CallRequest>) -> Result<Response<api::CallReply>, Status> {
        let caller = Caller::of(&request)?;
        let deadline = RequestContext::of(&request).deadline;
        let body = request.into_inner();
        let provider = message::id("providerId", &body.provider_id)?;
        let mut call = call_of(body);
        if call.idempotency_key.is_empty() {
            call.idempotency_key = caller.idempotency_key.unwrap_or_default();
        }
        let called = Hub::call(self, caller.tenant, provider, call, deadline).await?;
        Ok(Response::new(reply_of(called)))
    }

    async fn create_provider(
        &self,
        request: Request<api::CreateProviderRequest>,
    ) -> Result<Response<api::Provider>, Status> {
        let caller = Caller::of(&request)?;
        let body = request.into_inner();
        let new = NewProvider {
            name: body.name,
            provider_type: body.r#type,
            base_url: body.base_url,
            auth_type: body.auth_type,
            credentials: body.credentials.into_iter().collect(),
            config: config_of(body.config.unwrap_or_default())?,
        };
        let provider = self.create(caller.tenant, new).await?;
        Ok(Response::new(self.message(caller.tenant, &provider)))
    }

    async fn list_providers(
        &self,
        request: Request<api::ListProvidersRequest>,
    ) -> Result<Response<api::ListProvidersReply>, Status> {
        let caller = Caller::of(&request)?;
        let api::ListProvidersRequest { page_size, page_token } = request.into_inner();
        let page = Page::read(page_size, &page_token)?;
        let found = self.list(caller.tenant, page.last, page.to_read()).await?;
        let (found, next_page_token) = page.cut(found, |provider| provider.id);
        let providers = found.iter().map(|provider| self.message(caller.tenant, provider)).collect();
        Ok(Response::new(api::ListProvidersReply { providers, next_page_token }))
    }

    async fn get_provider(
        &self,
        request: Request<api::GetProviderRequest>,
    ) -> Result<Response<api::Provider>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        let provider = self.get(caller.tenant, id).await?;
        Ok(Response::new(self.message(caller.tenant, &provider)))
    }

    async fn update_provider(
        &self,
        request: Request<api::UpdateProviderRequest>,
    ) -> Result<Response<api::Provider>, Status> {
        let caller = Caller::of(&request)?;
        let api::UpdateProviderRequest { id, provider, update_mask } = request.into_inner();
        let id = message::id("id", &id)?;
        let before = self.get(caller.tenant, id).await?;
        let paths = update_mask.map(|mask| mask.paths).unwrap_or_default();
        let change = change_of(&before.config, provider.unwrap_or_default(), &paths)?;
        let provider = self.update(caller.tenant, id, change).await?;
        Ok(Response::new(self.message(caller.tenant, &provider)))
    }

    async fn delete_provider(
        &self,
        request: Request<api::DeleteProviderRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        self.delete(caller.tenant, id).await?;
        Ok(Response::new(()))
    }

    async fn list_dead_letters(
        &self,
        request: Request<api::ListDeadLettersRequest>,
    ) -> Result<Response<api::ListDeadLettersReply>, Status> {
        let caller = Caller::of(&request)?;
        let api::ListDeadLettersRequest { page_size, page_token } = request.into_inner();
        let page = Page::read(page_size, &page_token)?;
        let found = Hub::list_dead_letters(self, caller.tenant, page.last, page.to_read()).await?;
        let (found, next_page_token) = page.cut(found, |letter| letter.id);
        let dead_letters = found.into_iter().map(|letter| letter_message(caller.tenant, letter)).collect();
        Ok(Response::new(api::ListDeadLettersReply { dead_letters, next_page_token }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<api::GetDeadLetterRequest>,
    ) -> Result<Response<api::DeadLetter>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        let letter = self.dead_letter(caller.tenant, id).await?;
        Ok(Response::new(letter_message(caller.tenant, letter)))
    }

    async fn retry_dead_letter(
        &self,
        request: Request<api::RetryDeadLetterRequest>,
    ) -> Result<Response<api::CallReply>, Status> {
        let caller = Caller::of(&request)?;
        let deadline = RequestContext::of(&request).deadline;
        let id = message::id("id", &request.into_inner().id)?;
        let called = Hub::retry_dead_letter(self, caller.tenant, id, deadline).await?;
        Ok(Response::new(reply_of(called)))
    }

    async fn delete_dead_letter(
        &self,
        request: Request<api::DeleteDeadLetterRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let id = message::id("id", &request.into_inner().id)?;
        Hub::delete_dead_letter(self, caller.tenant, id).await?;
        Ok(Response::new(()))
    }
}

impl Hub {
    fn message(&self, tenant: Uuid, provider: &Provider) -> api::Provider {
        api::Provider {
            id: provider.id.to_string(),
            name: provider.name.clone(),
            r#type: provider.provider_type.as_str().to_owned(),
            base_url: provider.base_url.to_string(),
            auth_type: provider.auth_type.as_str().to_owned(),
            config: Some(api::ProviderConfig {
                timeout_ms: i32::try_from(provider.config.timeout.as_millis()).unwrap_or(i32::MAX),
                retries: Some(i32::try_from(provider.config.retries).unwrap_or(i32::MAX)),
                headers: provider.config.headers.clone().into_iter().collect(),
            }),
            tenant_id: tenant.to_string(),
            status: self.status(provider).as_str().to_owned(),
            circuit_breaker_state: self.breaker_state(provider.id).as_str().to_owned(),
            created_at: Some(timestamp(provider.created)),
            updated_at: Some(timestamp(provider.updated)),
        }
    }
}

/// 0 and absent are the defaults; negative numbers are refused here because the domain cannot hold them.
fn config_of(config: api::ProviderConfig) -> Result<ProviderConfig, Problem> {
    let negative = |field: &str| {
        Problem::invalid("The configuration can't be used.").violation(field, "range", "may not be negative")
    };
    let timeout = match config.timeout_ms {
        0 => MAX_TIMEOUT,
        given => Duration::from_millis(u64::try_from(given).map_err(|_| negative("config.timeoutMs"))?),
    };
    let retries = match config.retries {
        None => MAX_RETRIES,
        Some(given) => u32::try_from(given).map_err(|_| negative("config.retries"))?,
    };
    Ok(ProviderConfig { timeout, retries, headers: config.headers.into_iter().collect() })
}

/// The change that the mask names; without a mask, the fields that are set.
fn change_of(
    before: &ProviderConfig,
    provider: api::Provider,
    paths: &[String],
) -> Result<ProviderChange, Problem> {
    let set: Vec<&str> =
        if paths.is_empty() { set_fields(&provider) } else { paths.iter().map(String::as_str).collect() };
    let given = provider.config.map(config_of).transpose()?.unwrap_or_default();
    let mut change = ProviderChange::default();
    for path in set {
        match path {
            "name" => change.name = Some(provider.name.clone()),
            "type" => change.provider_type = Some(provider.r#type.clone()),
            "base_url" => change.base_url = Some(provider.base_url.clone()),
            "status" => {
                change.enabled = Some(match provider.status.as_str() {
                    "active" => true,
                    "disabled" => false,
                    _ => {
                        return Err(unchangeable("status", "can be set to active or disabled"));
                    }
                });
            }
            "config" => change.config = Some(given.clone()),
            "config.timeout_ms" => {
                change.config.get_or_insert_with(|| before.clone()).timeout = given.timeout
            }
            "config.retries" => change.config.get_or_insert_with(|| before.clone()).retries = given.retries,
            "config.headers" => {
                change.config.get_or_insert_with(|| before.clone()).headers = given.headers.clone();
            }
            "auth_type" => {
                return Err(unchangeable("authType", "can't be changed; create a new provider"));
            }
            other => return Err(unchangeable(other, "can't be changed")),
        }
    }
    Ok(change)
}

fn set_fields(provider: &api::Provider) -> Vec<&'static str> {
    let fields = [
        ("name", !provider.name.is_empty()),
        ("type", !provider.r#type.is_empty()),
        ("base_url", !provider.base_url.is_empty()),
        ("auth_type", !provider.auth_type.is_empty()),
        ("config", provider.config.is_some()),
        ("status", !provider.status.is_empty()),
    ];
    fields.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
}

fn unchangeable(field: &str, message: &str) -> Problem {
    Problem::invalid("The provider can't be changed like this.").violation(field, "immutable", message)
}

fn call_of(request: api::CallRequest) -> CallRequest {
    CallRequest {
        method: request.method,
        path: request.path,
        query: request.query.into_iter().collect(),
        headers: request.headers.into_iter().collect(),
        body: request.body.map(json::from_value),
        idempotency_key: request.idempotency_key,
    }
}

fn letter_message(tenant: Uuid, letter: DeadLetter) -> api::DeadLetter {
    let map = |map: BTreeMap<String, String>| map.into_iter().collect::<HashMap<_, _>>();
    api::DeadLetter {
        id: letter.id.to_string(),
        provider_id: letter.provider.to_string(),
        provider_name: letter.provider_name,
        original_request: Some(api::CallRequest {
            provider_id: letter.provider.to_string(),
            method: letter.request.method,
            path: letter.request.path,
            query: map(letter.request.query),
            headers: map(letter.request.headers),
            body: letter.request.body.map(json::to_value),
            idempotency_key: letter.request.idempotency_key,
        }),
        error: letter.error,
        attempts: i32::try_from(letter.attempts).unwrap_or(i32::MAX),
        tenant_id: tenant.to_string(),
        created_at: Some(timestamp(letter.created)),
        last_retry_at: letter.last_retry.map(timestamp),
    }
}

/// An answer that is neither JSON nor text comes without its body; its headers say what it was.
fn reply_of(called: Called) -> api::CallReply {
    let mut headers = HashMap::new();
    for (name, value) in &called.answer.headers {
        if [SET_COOKIE, WWW_AUTHENTICATE, TRANSFER_ENCODING, CONTENT_LENGTH].contains(name) {
            continue;
        }
        let Ok(value) = value.to_str() else { continue };
        let entry: &mut String = headers.entry(name.to_string()).or_default();
        if !entry.is_empty() {
            entry.push_str(", ");
        }
        entry.push_str(value);
    }
    let body = serde_json::from_slice(&called.answer.body).ok().map(json::to_value);
    let text = match body {
        Some(_) => String::new(),
        None => String::from_utf8(called.answer.body).unwrap_or_default(),
    };
    api::CallReply {
        status: i32::from(called.answer.status.as_u16()),
        headers,
        body,
        text,
        attempts: i32::try_from(called.attempts).unwrap_or(i32::MAX),
        duration_ms: i64::try_from(called.duration.as_millis()).unwrap_or(i64::MAX),
    }
}
