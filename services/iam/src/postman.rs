//! Sends letters through notify: each until notify took it or its link ended.
//!
//! Letters carry secrets, and notify keeps a history that a tenant's users may read. So they are sent in the name of a
//! tenant that nobody belongs to.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use svc_api::notify::v1::{SendRequest, notify_service_client::NotifyServiceClient};
use svc_clients::Neighbour;
use svc_kit::{Problem, RequestContext, Shutdown};
use tokio::sync::Notify;
use tonic::Code;
use uuid::Uuid;

use crate::{
    accounts::Clock,
    domain::{Letter, Purpose, letter},
    store::IdentityStore,
    tokens::Tokens,
};

/// Whose history the letters are in: the platform's own, which is no tenant of the database.
pub const SENDER: Uuid = Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_00ff);

/// The longest that nobody looks: another instance may have written a letter and gone.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const BATCH: u32 = 50;

/// While notify has no mail server, it is asked so often.
const NO_MAIL_PAUSE: Duration = Duration::from_secs(60);

/// What became of a round.
enum Round {
    /// There is nothing to do for so long.
    Sent(Duration),
    /// Notify cannot send letters at all, for this reason.
    NoMail(String),
}

/// Sends letters. Cheap to clone.
#[derive(Clone)]
pub struct Postman {
    /// Where letters are.
    pub store: IdentityStore,
    /// Takes them.
    pub notify: Neighbour,
    /// Makes the tokens of their links.
    pub tokens: Tokens,
    /// Where the pages of the links are, without a slash at the end.
    pub pages: String,
    /// The time.
    pub clock: Clock,
    /// Told when there is a new letter.
    pub new_letter: Arc<Notify>,
}

impl Postman {
    /// Sends letters until the service stops.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
            let pause = match self.round().await {
                Ok(Round::Sent(pause)) => pause,
                Ok(Round::NoMail(reason)) => {
                    tracing::warn!(reason, "notify has no mail server: letters wait");
                    // New letters change nothing: nobody is asked for each of them.
                    if !shutdown.pause(NO_MAIL_PAUSE).await {
                        return;
                    }
                    continue;
                }
                Err(problem) => {
                    tracing::warn!(%problem, "letters cannot be read");
                    LONGEST_PAUSE
                }
            };
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.new_letter.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tries every letter that is due once.
    async fn round(&self) -> Result<Round, Problem> {
        let now = (self.clock)();
        for letter in self.store.letters_to_send(now, BATCH).await? {
            if let Some(reason) = self.deliver(&letter, now).await? {
                return Ok(Round::NoMail(reason));
            }
        }
        let next = self.store.next_letter(now).await?;
        let wait = next.map_or(LONGEST_PAUSE, |next| {
            Duration::try_from(next.duration_since((self.clock)())).unwrap_or_default()
        });
        Ok(Round::Sent(wait.min(LONGEST_PAUSE)))
    }

    /// Tries to send a letter. Gives why, when there is no way to send any.
    async fn deliver(&self, letter: &Letter, now: Timestamp) -> Result<Option<String>, Problem> {
        let tenant = match letter.tenant {
            Some(tenant) => self.store.tenant(tenant).await?,
            None => None,
        };
        // Only here it is looked up whether anybody has the address.
        let somebody = self.store.user_by_email(&letter.email).await?.is_some();
        if letter.purpose != Purpose::Invite && !somebody {
            self.store.drop_letter(letter.id).await?;
            return Ok(None);
        }
        let token = self.tokens.of_letter(letter.id, letter.purpose);
        let (subject, body) = letter::text(letter.purpose, tenant.as_ref(), &self.pages, &token);
        let request = SendRequest {
            channel: "email".to_owned(),
            recipient: letter.email.to_string(),
            subject,
            body,
            priority: "high".to_owned(),
            ..SendRequest::default()
        };
        let call = self.notify.idempotent(|channel| {
            let request = request.clone();
            async move { NotifyServiceClient::new(channel).send(request).await }
        });
        let context = RequestContext::of_platform(Some(SENDER)).with_idempotency_key(letter.id.to_string());
        let again = match context.scope(call).await {
            Ok(_) => None,
            Err(status) if status.code() == Code::FailedPrecondition => {
                return Ok(Some(status.message().to_owned()));
            }
            Err(status) => {
                let pause = letter::pause_after(letter.attempts);
                let (code, reason, purpose) = (status.code(), status.message(), letter.purpose.as_str());
                tracing::warn!(letter = %letter.id, purpose, ?code, reason, ?pause, "a letter waits");
                Some(now.checked_add(pause).unwrap_or(Timestamp::MAX))
            }
        };
        self.store.letter_tried(letter.id, again).await?;
        Ok(None)
    }
}
