//! Channels that end at somebody else's server. The integration-hub makes the call: it alone opens connections to the
//! outside, holds the credentials, and knows which addresses may be called.

use std::time::Duration;

use async_trait::async_trait;
use svc_api::integration_hub::v1::CallRequest;
use svc_api::integration_hub::v1::integration_hub_service_client::IntegrationHubServiceClient;
use svc_clients::{Neighbour, Policy};
use svc_kit::{RequestContext, json};
use tonic::{Code, Status};

use crate::adapters::{Adapter, DeliveryError, Outgoing, Setup};
use crate::domain::{Channel, Destination, Fault, Told, Verdict};

/// The channels that are a JSON text to a server.
pub(crate) const CHANNELS: [Channel; 4] =
    [Channel::Webhook, Channel::Slack, Channel::Discord, Channel::Telegram];

/// Sends through one channel by the integration-hub.
pub struct Outside {
    channel: Channel,
    integration_hub: Neighbour,
}

impl Outside {
    /// An adapter for one of the channels that end at a server. One attempt may take `timeout`.
    pub fn new(channel: Channel, integration_hub: &Neighbour, timeout: Duration) -> Self {
        let patience = Policy { deadline: timeout, ..Policy::default() };
        Self { channel, integration_hub: integration_hub.clone().with_policy(patience) }
    }
}

#[async_trait]
impl Adapter for Outside {
    fn channel(&self) -> Channel {
        self.channel
    }

    fn needs_setup(&self) -> bool {
        true
    }

    fn check_setup(&self, setup: &Setup) -> Result<(), Vec<Fault>> {
        Destination::read(setup).map(|_| ())
    }

    fn validate(&self, message: &Outgoing) -> Result<(), Fault> {
        told(message).check(self.channel)
    }

    async fn deliver(&self, message: &Outgoing, setup: &Setup) -> Result<(), DeliveryError> {
        let unusable = || DeliveryError::Permanent(format!("`{}` is not set up any more", self.channel));
        let destination = Destination::read(setup).map_err(|_| unusable())?;
        let body = told(message).to_json(self.channel).ok_or_else(unusable)?;
        let request = CallRequest {
            provider_id: destination.provider.to_string(),
            method: "POST".to_owned(),
            path: destination.path,
            body: Some(json::to_value(body)),
            idempotency_key: message.id.to_string(),
            ..CallRequest::default()
        };
        let call = self.integration_hub.once(|channel| {
            let request = request.clone();
            async move { IntegrationHubServiceClient::new(channel).call(request).await }
        });
        let context = RequestContext::of_platform(Some(message.tenant.as_uuid()));
        let reply = context.scope(call).await.map_err(|status| refused(&status))?;
        let said = || format!("the provider answered {}", reply.status);
        match Verdict::of(reply.status) {
            Verdict::Arrived => Ok(()),
            Verdict::Later => Err(DeliveryError::Temporary(said())),
            Verdict::Never => Err(DeliveryError::Permanent(said())),
        }
    }
}

/// What the integration-hub's own refusal means. Its words hold no credentials.
fn refused(status: &Status) -> DeliveryError {
    let reason = status.message().to_owned();
    match status.code() {
        Code::NotFound | Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented => {
            DeliveryError::Permanent(reason)
        }
        _ => DeliveryError::Temporary(reason),
    }
}

fn told(message: &Outgoing) -> Told<'_> {
    Told {
        id: message.id,
        recipient: &message.recipient,
        subject: &message.subject,
        body: &message.body,
        priority: message.priority.as_str(),
        created_at: message.created_at,
    }
}
