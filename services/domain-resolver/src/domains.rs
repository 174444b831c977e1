//! What can be done with host names. Two doors lead here: gRPC, and the round that checks pending names.

use std::sync::Arc;

use jiff::Timestamp;
use svc_kit::Problem;
use svc_stores::{Database, StoreError};
use uuid::Uuid;

use crate::domain::{Hostname, Status, Token, Verdict, judge};
use crate::lookup::{Lookup, LookupError};
use crate::store::{self, Domain};

/// How many pending names are read at once.
const BATCH: u32 = 100;

/// Tells the time. Tests have their own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The host names of all tenants.
#[derive(Clone)]
pub struct Domains {
    database: Database,
    lookup: Arc<dyn Lookup>,
    clock: Clock,
}

/// What one round over the pending names did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Names that are verified now.
    pub verified: u32,
    /// Names that were given up.
    pub failed: u32,
    /// Names that stay pending.
    pub pending: u32,
}

impl Domains {
    /// Over a migrated database.
    #[must_use]
    pub fn new(database: Database, lookup: Arc<dyn Lookup>, clock: Clock) -> Self {
        Self { database, lookup, clock }
    }

    /// Adds a name.
    ///
    /// # Errors
    /// When it is no name, or somebody has it already. Who has it is not told.
    pub async fn add(&self, tenant: Uuid, hostname: &str) -> Result<Domain, Problem> {
        let hostname = Hostname::parse(hostname).map_err(|error| {
            Problem::invalid("The host name can't be added.").violation(
                "hostname",
                "hostname",
                error.to_string(),
            )
        })?;
        let domain = Domain {
            id: Uuid::now_v7(),
            tenant,
            hostname,
            token: Token::from_random(rand::random()),
            status: Status::Pending,
            last_error: String::new(),
            created: self.now(),
            checked: None,
            verified: None,
        };
        match store::insert(&self.database, &domain).await {
            Ok(()) => Ok(domain),
            Err(error) if error.is_unique_conflict() => Err(Problem::already_exists(format!(
                "The host name {} has been added before. If it is yours, remove it where it was added; \
                 a name that nobody verifies is free again after 72 hours.",
                domain.hostname
            ))),
            Err(error) => Err(store_problem(error)),
        }
    }

    /// One name of the tenant.
    ///
    /// # Errors
    /// When the tenant has no such name.
    pub async fn get(&self, tenant: Uuid, id: Uuid) -> Result<Domain, Problem> {
        store::get(&self.database, tenant, id).await.map_err(store_problem)?.ok_or_else(no_such_domain)
    }

    /// Names of the tenant, newest first, older than `before`.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn list(&self, tenant: Uuid, before: Option<Uuid>, limit: u32) -> Result<Vec<Domain>, Problem> {
        store::list(&self.database, tenant, before, limit).await.map_err(store_problem)
    }

    /// Removes a name, which is free again at once.
    ///
    /// # Errors
    /// When the tenant has no such name.
    pub async fn delete(&self, tenant: Uuid, id: Uuid) -> Result<(), Problem> {
        let existed = store::delete(&self.database, tenant, id).await.map_err(store_problem)?;
        if existed { Ok(()) } else { Err(no_such_domain()) }
    }

    /// Whose a verified name is.
    ///
    /// # Errors
    /// When it is nobody's.
    pub async fn owner(&self, hostname: &str) -> Result<Domain, Problem> {
        // What is no valid name is nobody's either.
        let hostname = Hostname::parse(hostname).map_err(|_| no_such_domain())?;
        store::verified(&self.database, &hostname).await.map_err(store_problem)?.ok_or_else(no_such_domain)
    }

    /// Looks at the records of a name now. A name that is not set up yet is no error: it says what is missing.
    ///
    /// # Errors
    /// When the tenant has no such name, it was given up, or nothing can be looked up.
    pub async fn verify(&self, tenant: Uuid, id: Uuid) -> Result<Domain, Problem> {
        let domain = self.get(tenant, id).await?;
        match domain.status {
            Status::Verified => Ok(domain),
            Status::Failed => Err(Problem::failed_precondition(format!(
                "{} was given up after 72 hours. Delete it and add it again.",
                domain.hostname
            ))),
            Status::Pending => {
                self.check(domain).await.map_err(|error| match error {
                    CheckError::Lookup(error) => Problem::unavailable(format!("{error}.")),
                    CheckError::Store(error) => store_problem(error),
                })?;
                // As it is stored: it may have been deleted or settled by a round meanwhile.
                self.get(tenant, id).await
            }
        }
    }

    /// Looks at every pending name once. A name that can't be looked up stays as it is.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn check_pending(&self) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let mut after = None;
        loop {
            let batch = store::pending(&self.database, after, BATCH).await?;
            let Some(last) = batch.last() else { return Ok(round) };
            after = Some((last.created, last.id));
            for domain in batch {
                let hostname = domain.hostname.clone();
                match self.check(domain).await {
                    Ok(Status::Verified) => round.verified += 1,
                    Ok(Status::Failed) => round.failed += 1,
                    Ok(Status::Pending) => round.pending += 1,
                    Err(CheckError::Lookup(error)) => {
                        round.pending += 1;
                        tracing::warn!(%hostname, %error, "a host name could not be checked");
                    }
                    Err(CheckError::Store(error)) => return Err(error),
                }
            }
        }
    }

    /// To the microsecond, as the database keeps it: an answer does not change when it is read again.
    fn now(&self) -> Timestamp {
        let now = (self.clock)();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    async fn check(&self, mut domain: Domain) -> Result<Status, CheckError> {
        let records =
            self.lookup.records(&domain.hostname, &domain.token).await.map_err(CheckError::Lookup)?;
        let now = self.now();
        let (status, missing) = match judge(&domain.hostname, &domain.token, &records, domain.created, now) {
            Verdict::Verified => (Status::Verified, Vec::new()),
            Verdict::Pending(missing) => (Status::Pending, missing),
            Verdict::Expired(missing) => (Status::Failed, missing),
        };
        domain.status = status;
        domain.last_error = missing.iter().map(|missing| missing.sentence()).collect::<Vec<_>>().join("; ");
        domain.checked = Some(now);
        domain.verified = (status == Status::Verified).then_some(now);
        store::settle(&self.database, &domain).await.map_err(CheckError::Store)?;
        if status != Status::Pending {
            tracing::info!(hostname = %domain.hostname, tenant = %domain.tenant, status = status.as_str(),
                resolver = self.lookup.name(), "a host name is settled");
        }
        Ok(status)
    }
}

enum CheckError {
    Lookup(LookupError),
    Store(StoreError),
}

fn no_such_domain() -> Problem {
    Problem::not_found("There is no such host name.")
}

fn store_problem(error: StoreError) -> Problem {
    if error.is_transient() {
        return Problem::unavailable("The database is busy; try again.");
    }
    Problem::internal(error)
}
