//! The channel `email`: a text by SMTP, through the server that the operator names.

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::adapters::{Adapter, DeliveryError, Outgoing, Setup};
use crate::domain::{Channel, Fault};

/// Which server takes the mail, and who it is from.
pub struct MailServer {
    builder: AsyncSmtpTransportBuilder,
    from: Mailbox,
}

impl MailServer {
    /// Reads a URL, such as `smtps://user:password@mail.example.org`, and an address. Connects to nothing.
    ///
    /// # Errors
    /// What is wrong with each, by the variable it stands in. The words hold no password.
    pub fn read(url: &str, from: &str) -> Result<Self, Vec<(&'static str, &'static str)>> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        match (builder, from.parse()) {
            (Ok(builder), Ok(from)) => Ok(Self { builder, from }),
            (builder, from) => {
                let url = "must be smtps://<user>:<password>@<host>, or smtp:// with ?tls=required";
                let of_url = builder.is_err().then_some(("SMTP_URL", url));
                let address = "must be an address, such as `Acme <no-reply@acme.example>`";
                let of_address = from.is_err().then_some(("SMTP_FROM", address));
                Err(of_url.into_iter().chain(of_address).collect())
            }
        }
    }
}

/// Sends mail. Its connections are pooled.
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mail {
    /// Sends through this server. A command may take `timeout`.
    #[must_use]
    pub fn new(server: &MailServer, timeout: Duration) -> Self {
        let transport = server.builder.clone().timeout(Some(timeout)).build();
        Self { transport, from: server.from.clone() }
    }

    fn message(&self, message: &Outgoing) -> Result<Message, DeliveryError> {
        let recipient =
            address(&message.recipient).map_err(|fault| DeliveryError::Permanent(fault.message))?;
        let domain = self.from.email.domain();
        let built = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, recipient))
            // The same over all attempts: a server or reader can drop what came twice.
            .message_id(Some(format!("<{}@{domain}>", message.id)))
            .subject(message.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(message.body.clone());
        built.map_err(|error| DeliveryError::Permanent(format!("it makes no mail: {error}")))
    }
}

#[async_trait]
impl Adapter for Mail {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn validate(&self, message: &Outgoing) -> Result<(), Fault> {
        address(&message.recipient).map(|_| ())
    }

    async fn deliver(&self, message: &Outgoing, _: &Setup) -> Result<(), DeliveryError> {
        let mail = self.message(message)?;
        self.transport.send(mail).await.map(|_| ()).map_err(|error| refused(message, &error))
    }
}

fn address(recipient: &str) -> Result<Address, Fault> {
    recipient.parse().map_err(|_| {
        Fault::new("recipient", "email", "must be one address of electronic mail, such as ada@example.org")
    })
}

/// What the server's answer means. Only its code is told: its words may name what is nobody's business.
fn refused(message: &Outgoing, error: &Error) -> DeliveryError {
    tracing::warn!(notification = %message.id, %error, "a mail was not taken");
    match error.status() {
        Some(code) if error.is_permanent() => {
            DeliveryError::Permanent(format!("the mail server refused it with {code}"))
        }
        Some(code) => DeliveryError::Temporary(format!("the mail server answered {code}")),
        None => DeliveryError::Temporary("the mail server cannot be reached".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_a_server_is_told_without_its_password() {
        assert!(MailServer::read("smtps://ada:secret@mail.example.org", "no-reply@acme.example").is_ok());
        let problems = MailServer::read("http://ada:secret@mail.example.org", "nobody").err().unwrap();
        assert_eq!(problems.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["SMTP_URL", "SMTP_FROM"]);
        assert!(!format!("{problems:?}").contains("secret"));
    }
}
