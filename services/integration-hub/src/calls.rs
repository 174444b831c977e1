//! Calls in a tenant's name, and what becomes of those that are given up on.

use std::time::{Duration, Instant as WallInstant};

use svc_kit::Problem;
use tonic::Code;
use uuid::Uuid;

use crate::call::{self, CallError, Success};
use crate::domain::{AuthType, Credentials, Failure, Provider};
use crate::hub::{Hub, invalid, store_problem};
use crate::outbound::Answer;
use crate::request::{self, CallRequest};
use crate::store::dead_letters::{self, DeadLetter};

/// How much of a provider's complaint is repeated to the caller, in characters.
const EXCERPT: usize = 500;

/// A provider's answer and the way to it.
#[derive(Clone, Debug)]
pub struct Called {
    /// The answer.
    pub answer: Answer,
    /// How often the provider was asked.
    pub attempts: u32,
    /// How long all of that took.
    pub duration: Duration,
}

impl Hub {
    /// Calls a provider. `deadline` is when the caller stops waiting.
    ///
    /// # Errors
    /// `provider-rejected` (502) when the provider refuses the request, `provider-failed` (502) when every attempt
    /// failed and the request is kept as a dead letter, `provider-unavailable` (503) while its breaker is open.
    pub async fn call(
        &self,
        tenant: Uuid,
        provider: Uuid,
        mut request: CallRequest,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Called, Problem> {
        let provider = self.get(tenant, provider).await?;
        if request.idempotency_key.is_empty() {
            request.idempotency_key = Uuid::now_v7().to_string();
        }
        let (outcome, duration) = self.attempt(tenant, &provider, &request, deadline).await?;
        match outcome {
            Ok(Success { answer, attempts }) => Ok(Called { answer, attempts, duration }),
            Err(CallError::Exhausted { reason, attempts, .. }) => {
                let letter = DeadLetter {
                    id: Uuid::now_v7(),
                    provider: provider.id,
                    provider_name: provider.name.clone(),
                    request,
                    error: reason,
                    attempts,
                    created: self.now(),
                    last_retry: None,
                };
                dead_letters::insert(&self.database, tenant, &letter).await.map_err(store_problem)?;
                Err(exhausted(&letter))
            }
            Err(error) => Err(problem_of(&provider, error)),
        }
    }

    /// One dead letter of the tenant.
    ///
    /// # Errors
    /// When the tenant has no such dead letter.
    pub async fn dead_letter(&self, tenant: Uuid, id: Uuid) -> Result<DeadLetter, Problem> {
        let found = dead_letters::get(&self.database, tenant, id).await.map_err(store_problem)?;
        found.ok_or_else(no_such_letter)
    }

    /// Dead letters of the tenant, newest first, older than `before`.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn list_dead_letters(
        &self,
        tenant: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Problem> {
        dead_letters::list(&self.database, tenant, before, limit).await.map_err(store_problem)
    }

    /// Forgets a dead letter.
    ///
    /// # Errors
    /// When the tenant has no such dead letter.
    pub async fn delete_dead_letter(&self, tenant: Uuid, id: Uuid) -> Result<(), Problem> {
        let existed = dead_letters::delete(&self.database, tenant, id).await.map_err(store_problem)?;
        if existed { Ok(()) } else { Err(no_such_letter()) }
    }

    /// Calls again, with the same idempotency key. A success removes the dead letter.
    ///
    /// # Errors
    /// As [`Hub::call`]; the dead letter stays then.
    pub async fn retry_dead_letter(
        &self,
        tenant: Uuid,
        id: Uuid,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<Called, Problem> {
        let mut letter = self.dead_letter(tenant, id).await?;
        let provider = self.get(tenant, letter.provider).await.map_err(|problem| {
            if problem.code() != Code::NotFound {
                return problem;
            }
            Problem::failed_precondition(
                "The provider of this dead letter was deleted. Delete the dead letter too.",
            )
        })?;
        let claimed = dead_letters::claim(&self.database, tenant, &letter, self.now()).await;
        if !claimed.map_err(store_problem)? {
            return Err(Problem::conflict("Somebody else is trying this dead letter again just now."));
        }
        let (outcome, duration) = self.attempt(tenant, &provider, &letter.request, deadline).await?;
        match outcome {
            Ok(Success { answer, attempts }) => {
                dead_letters::delete(&self.database, tenant, id).await.map_err(store_problem)?;
                Ok(Called { answer, attempts, duration })
            }
            Err(CallError::Exhausted { reason, attempts, .. }) => {
                let noted = dead_letters::failed_again(&self.database, tenant, id, &reason, attempts).await;
                noted.map_err(store_problem)?;
                letter.attempts += attempts;
                letter.error = reason;
                Err(exhausted(&letter))
            }
            Err(error) => Err(problem_of(&provider, error)),
        }
    }

    async fn attempt(
        &self,
        tenant: Uuid,
        provider: &Provider,
        request: &CallRequest,
        deadline: Option<tokio::time::Instant>,
    ) -> Result<(Result<Success, CallError>, Duration), Problem> {
        if !provider.enabled {
            return Err(Problem::failed_precondition(format!(
                "The provider `{}` is disabled.",
                provider.name
            )));
        }
        let credentials = self.credentials(tenant, provider).await?;
        let outbound = request::outbound(provider, &credentials, request).map_err(invalid)?;
        let started = WallInstant::now();
        let outcome = call::call(
            &*self.outbound,
            &self.breakers,
            &*self.surroundings,
            provider.id,
            &provider.config,
            &outbound,
            deadline,
        )
        .await;
        let outcome = outcome.map_err(|error| without_credentials(error, &credentials));
        Ok((outcome, started.elapsed()))
    }

    async fn credentials(&self, tenant: Uuid, provider: &Provider) -> Result<Credentials, Problem> {
        if provider.auth_type == AuthType::Anonymous {
            return Credentials::new(AuthType::Anonymous, Default::default()).map_err(Problem::internal);
        }
        let found = self.vault.get(tenant, provider.id, provider.auth_type).await.map_err(store_problem)?;
        found.ok_or_else(|| {
            Problem::failed_precondition(
                "The provider's credentials are gone. Delete the provider and create it again.",
            )
        })
    }
}

/// A provider's complaint may repeat the request, credentials included, and complaints are shown and logged.
fn without_credentials(mut error: CallError, credentials: &Credentials) -> CallError {
    if let CallError::HandedBack { answer: Some(answer), .. } = &mut error {
        answer.body = credentials.redact(&String::from_utf8_lossy(&answer.body)).into_bytes();
    }
    error
}

/// What an answer's body says, for people: a bounded excerpt of its text.
fn excerpt(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let mut excerpt: String = text.chars().filter(|letter| !letter.is_control()).take(EXCERPT).collect();
    if excerpt.len() < text.trim_end().len() {
        excerpt.push('…');
    }
    excerpt
}

fn problem_of(provider: &Provider, error: CallError) -> Problem {
    let name = &provider.name;
    match error {
        CallError::Open { retry_at } => {
            Problem::new(Code::Unavailable, "provider-unavailable", "The provider is held back")
                .detail(format!("`{name}` failed too often. The next call may go out at {retry_at}."))
        }
        CallError::HandedBack { failure: Failure::Refused, reason, .. } => Problem::invalid(format!(
            "`{name}` can't be called: {reason}."
        ))
        .violation("baseUrl", "address-refused", reason),
        CallError::HandedBack { failure, reason, answer } => {
            let said = answer.map(|answer| excerpt(&answer)).filter(|said| !said.is_empty());
            let said = said.map(|said| format!(" It said: {said}")).unwrap_or_default();
            let problem = Problem::new(
                Code::FailedPrecondition,
                "provider-rejected",
                "The provider refused the request",
            )
            .detail(format!("`{name}`: {reason}. The request was not tried again.{said}"));
            match failure {
                Failure::Client { status } | Failure::Redirect { status } => {
                    problem.violation("provider.status", "http-status", status.to_string())
                }
                _ => problem,
            }
        }
        CallError::Exhausted { reason, attempts, .. } => failed(name, attempts, &reason),
    }
}

fn failed(name: &str, attempts: u32, reason: &str) -> Problem {
    Problem::new(Code::FailedPrecondition, "provider-failed", "The provider failed")
        .detail(format!("`{name}` was asked {attempts} times. The last time: {reason}."))
}

fn exhausted(letter: &DeadLetter) -> Problem {
    let problem = failed(&letter.provider_name, letter.attempts, &letter.error);
    let detail = format!("{} The request is kept for 30 days as a dead letter.", problem.detail_text());
    problem.detail(detail).violation("deadLetterId", "dead-letter", letter.id.to_string())
}

fn no_such_letter() -> Problem {
    Problem::not_found("There is no such dead letter.")
}
