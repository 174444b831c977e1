//! The gRPC door.

use svc_api::notify::v1 as wire;
use svc_api::notify::v1::notify_service_server::NotifyService;
use svc_kit::{Caller, json};
use tonic::{Request, Response, Status};

use crate::channels::NewChannel;
use crate::domain::{Draft, Fault, Status as State};
use crate::error::NotifyError;
use crate::sender::{BATCH_LIMIT, NewTemplate, Sender};
use crate::store::{self, Filter};
use crate::wire::{
    draft_of, id_of, id_token, next_page, page_size, to_channel, to_notification, to_reply, to_template,
};

type Answer<T> = Result<Response<T>, Status>;

impl Sender {
    async fn page(
        &self,
        caller: &Caller,
        size: i32,
        mut filter: Filter,
    ) -> Result<wire::ListNotificationsReply, NotifyError> {
        let size = page_size(size)?;
        filter.limit = size + 1;
        let mut rows = store::list(&self.database.tenant(caller.tenant), &filter).await?;
        let next_page_token = next_page(&mut rows, size, |row| row.id.to_string());
        let notifications = rows.iter().map(to_notification).collect();
        Ok(wire::ListNotificationsReply { notifications, next_page_token })
    }
}

#[tonic::async_trait]
impl NotifyService for Sender {
    async fn send(&self, request: Request<wire::SendRequest>) -> Answer<wire::SendReply> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let queued = self.queue(&caller, &[draft_of(request)], &request.variables).await?;
        Ok(Response::new(queued.first().map(to_reply).unwrap_or_default()))
    }

    async fn send_batch(&self, request: Request<wire::SendBatchRequest>) -> Answer<wire::SendBatchReply> {
        let caller = Caller::of(&request)?;
        let wire::SendBatchRequest { message, recipients } = request.into_inner();
        let message = message.unwrap_or_default();
        if recipients.is_empty() || recipients.len() > BATCH_LIMIT {
            let text = format!("must name 1 to {BATCH_LIMIT} recipients; there are {}", recipients.len());
            return Err(NotifyError::from(Fault::new("recipients", "range", text)).into());
        }
        let draft = draft_of(&message);
        let drafts: Vec<_> =
            recipients.into_iter().map(|recipient| Draft { recipient, ..draft.clone() }).collect();
        let queued = self.queue(&caller, &drafts, &message.variables).await?;
        Ok(Response::new(wire::SendBatchReply { results: queued.iter().map(to_reply).collect() }))
    }

    async fn list_notifications(
        &self,
        request: Request<wire::ListNotificationsRequest>,
    ) -> Answer<wire::ListNotificationsReply> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let status = State::parse(&request.status);
        if status.is_none() && !request.status.is_empty() {
            let fault = Fault::new("status", "unknown", "must be queued, delivered or failed");
            return Err(NotifyError::from(fault).into());
        }
        let before = id_token(&request.page_token).map_err(NotifyError::from)?;
        let recipient = Some(request.recipient).filter(|recipient| !recipient.is_empty());
        let filter = Filter { status, recipient, before, limit: 0 };
        Ok(Response::new(self.page(&caller, request.page_size, filter).await?))
    }

    async fn get_notification(
        &self,
        request: Request<wire::GetNotificationRequest>,
    ) -> Answer<wire::Notification> {
        let caller = Caller::of(&request)?;
        let id = id_of("id", &request.get_ref().id).map_err(NotifyError::from)?;
        let found = store::notification(&self.database.tenant(caller.tenant), id).await;
        let found = found.map_err(NotifyError::from)?;
        let found =
            found.ok_or_else(|| NotifyError::NotFound { what: "notification", name: id.to_string() })?;
        Ok(Response::new(to_notification(&found)))
    }

    async fn list_failed(
        &self,
        request: Request<wire::ListFailedRequest>,
    ) -> Answer<wire::ListNotificationsReply> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let before = id_token(&request.page_token).map_err(NotifyError::from)?;
        let filter = Filter { status: Some(State::Failed), before, ..Filter::default() };
        Ok(Response::new(self.page(&caller, request.page_size, filter).await?))
    }

    async fn retry_notification(
        &self,
        request: Request<wire::RetryNotificationRequest>,
    ) -> Answer<wire::SendReply> {
        let caller = Caller::of(&request)?;
        let id = id_of("id", &request.get_ref().id).map_err(NotifyError::from)?;
        Ok(Response::new(to_reply(&self.retry(&caller, id).await?)))
    }

    async fn create_template(&self, request: Request<wire::CreateTemplateRequest>) -> Answer<wire::Template> {
        let caller = Caller::of(&request)?;
        let wire::CreateTemplateRequest { name, channels, subject, body } = request.into_inner();
        let template = self.add_template(&caller, NewTemplate { name, channels, subject, body }).await?;
        Ok(Response::new(to_template(&template)))
    }

    async fn list_templates(
        &self,
        request: Request<wire::ListTemplatesRequest>,
    ) -> Answer<wire::ListTemplatesReply> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let size = page_size(request.page_size).map_err(NotifyError::from)?;
        let scope = self.database.tenant(caller.tenant);
        // The token is the last name: templates are in the order of their names.
        let rows = store::list_templates(&scope, &request.page_token, size + 1).await;
        let mut rows = rows.map_err(NotifyError::from)?;
        let next_page_token = next_page(&mut rows, size, |row| row.name.clone());
        let templates = rows.iter().map(to_template).collect();
        Ok(Response::new(wire::ListTemplatesReply { templates, next_page_token }))
    }

    async fn create_channel(&self, request: Request<wire::CreateChannelRequest>) -> Answer<wire::Channel> {
        let caller = Caller::of(&request)?;
        let wire::CreateChannelRequest { r#type: channel, name, config } = request.into_inner();
        let config = config.map(json::from_struct).unwrap_or_default();
        let offered = self.set_up(&caller, NewChannel { channel, name, config }).await?;
        Ok(Response::new(to_channel(&offered)))
    }

    async fn list_channels(
        &self,
        request: Request<wire::ListChannelsRequest>,
    ) -> Answer<wire::ListChannelsReply> {
        let caller = Caller::of(&request)?;
        let offered = self.offered(&caller).await?;
        let channels = offered.iter().map(to_channel);
        Ok(Response::new(wire::ListChannelsReply { channels: channels.collect() }))
    }
}
