//! The ledger: every mutation happens once per key, in one transaction with its answer and its event.

use std::future::Future;
use std::sync::Arc;

use prost::Message;
use svc_kit::Caller;
use svc_stores::{Database, relational};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::HoldStatus;
use crate::error::{MoneyError, Result};
use crate::operations;
use crate::store::{self, Answer, ExpiredHold};
use crate::work::Work;

/// How many expired holds one sweep takes at a time.
const SWEEP_BATCH: u32 = 200;

/// A mutation of the ledger, which is its request.
pub(crate) trait Operation: Message + Default {
    /// The answer.
    type Reply: Message + Default;
    /// The name under which its answers are kept.
    const NAME: &'static str;

    /// Does it inside of `work`.
    fn carry_out(&self, work: &mut Work) -> impl Future<Output = Result<Self::Reply>> + Send;
}

/// The wallets of every tenant. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) database: Database,
    clock: Arc<dyn Clock>,
    maximum_amount: i64,
}

impl Ledger {
    /// A ledger over a database whose schema is up to date. `maximum_amount` is in minor units, per operation.
    #[must_use]
    pub fn new(database: Database, clock: impl Clock, maximum_amount: i64) -> Self {
        Self { database, clock: Arc::new(clock), maximum_amount }
    }

    /// Does a mutation, or gives the answer that it had the first time.
    pub(crate) async fn perform<O: Operation>(&self, caller: &Caller, request: &O) -> Result<O::Reply> {
        let key = idempotency_key(caller)?;
        relational::retry(|| self.attempt(caller, key, request)).await
    }

    async fn attempt<O: Operation>(&self, caller: &Caller, key: Uuid, request: &O) -> Result<O::Reply> {
        let mut work = self.begin(caller.tenant).await?;
        work.user = caller.user;
        work.trace_id = Some(caller.trace.trace_id());
        let mut answer = Answer {
            operation: O::NAME.to_owned(),
            user_id: caller.user,
            request: request.encode_to_vec(),
            answer: Vec::new(),
        };
        if let Some(known) = store::known_answer(&mut work.transaction, key, work.now).await? {
            answer.answer.clone_from(&known.answer);
            if known != answer {
                return Err(MoneyError::KeyReused);
            }
            return Ok(O::Reply::decode(known.answer.as_slice())?);
        }
        let reply = request.carry_out(&mut work).await?;
        answer.answer = reply.encode_to_vec();
        store::keep_answer(&mut work.transaction, key, &answer, work.now).await?;
        work.transaction.commit().await?;
        Ok(reply)
    }

    /// Cancels the holds whose time is over and forgets answers that are no longer given. Returns how many holds.
    ///
    /// # Errors
    /// Whatever the store says of the whole; a single hold that cannot be canceled is logged and does not hold up
    /// the others.
    pub async fn sweep(&self) -> Result<usize> {
        let now = self.clock.now();
        let mut canceled = 0;
        let mut last = None;
        loop {
            let expired = store::expired_holds(&self.database, now, last, SWEEP_BATCH).await?;
            if expired.is_empty() {
                break;
            }
            last = expired.last().copied();
            for hold in expired {
                match relational::retry(|| self.expire(hold)).await {
                    Ok(true) => canceled += 1,
                    Ok(false) => {}
                    Err(error) => tracing::error!(hold = %hold.id, tenant = %hold.tenant_id, %error,
                        "an expired hold could not be canceled; it is tried again with the next sweep"),
                }
            }
        }
        store::forget_answers(&self.database, now).await?;
        Ok(canceled)
    }

    /// Says whether it was still open.
    async fn expire(&self, expired: ExpiredHold) -> Result<bool> {
        let mut work = self.begin(expired.tenant_id).await?;
        let hold = store::lock_hold(&mut work.transaction, expired.id, work.now).await?;
        // Somebody may have settled it since it was listed.
        let Some(hold) = hold.filter(|hold| hold.status == HoldStatus::Held) else { return Ok(false) };
        operations::cancel(&mut work, hold, true).await?;
        work.transaction.commit().await?;
        Ok(true)
    }

    async fn begin(&self, tenant: Uuid) -> Result<Work> {
        Ok(Work {
            transaction: self.database.tenant(tenant).begin().await?,
            tenant,
            user: None,
            trace_id: None,
            now: self.clock.now(),
            maximum_amount: self.maximum_amount,
        })
    }
}

fn idempotency_key(caller: &Caller) -> Result<Uuid> {
    let key = caller.idempotency_key.as_deref().and_then(|key| Uuid::parse_str(key).ok());
    key.filter(|key| matches!(key.get_version_num(), 4 | 7)).ok_or(MoneyError::KeyMissing)
}
