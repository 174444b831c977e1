//! The flags of a GO Feature Flag relay, asked by OFREP: all flags of one context at a time.
//!
//! What was answered counts for [`FRESH_FOR`]; then the relay is asked whether it still holds, by its entity tag. While
//! the relay is away, each context keeps its last known values for as long as the process lives. A context that was
//! never asked for has none: its evaluation fails, and `is_enabled` is off.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Evaluation, FlagContext, Flags};
use crate::error::{Result, StoreError};
use crate::http;
use crate::link::{Fault, Link};
use crate::url::{Remote, Store};

/// A switch that is thrown at the relay is seen by every service after this time at the latest.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Whoever asks for a flag does so on the way to something else.
const DEADLINE: Duration = Duration::from_millis(500);
/// Contexts whose values are remembered; beyond that, the one that was asked for longest ago is forgotten.
const CAPACITY: usize = 10_000;
/// OFREP wants a key to find buckets by, also where there is no tenant; buckets found by it do not count.
const NO_TENANT: &str = "-";

pub(super) struct Relay {
    link: Link,
    client: Client,
    all_flags: Url,
    contexts: Mutex<HashMap<String, Arc<Context>>>,
}

/// One context, by the text of its question.
#[derive(Default)]
struct Context {
    known: Mutex<Option<Known>>,
    /// Held by whoever asks the relay for this context, so that only one does.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Known {
    tag: Option<String>,
    asked_at: Instant,
    flags: Arc<BTreeMap<String, Option<Evaluation>>>,
}

#[derive(Deserialize)]
struct Answer {
    flags: Vec<FlagAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlagAnswer {
    key: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    error_code: Option<String>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Relay").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Relay {
    pub(super) fn new(remote: &Remote) -> Result<Self> {
        let wrong = |problem: &str| StoreError::Configuration {
            variable: Store::Flags.variable(),
            problem: problem.to_owned(),
        };
        let mut all_flags = remote.secret_url().clone();
        all_flags
            .path_segments_mut()
            .map_err(|()| wrong("cannot have a path; use http://<host>:<port>"))?
            .pop_if_empty()
            .extend(["ofrep", "v1", "evaluate", "flags"]);
        let client = http::client(Store::Flags, DEADLINE, None)?;
        Ok(Self { link: Link::new(remote, DEADLINE), client, all_flags, contexts: Mutex::default() })
    }

    /// All flags for a context: as known, when that is fresh; else as the relay says; else as last known.
    async fn flags(&self, context: &FlagContext) -> Result<Arc<BTreeMap<String, Option<Evaluation>>>> {
        let question = question(context);
        let entry = self.context(&question);
        if let Some(known) = entry.fresh() {
            return Ok(known.flags);
        }
        let _asking = entry.asking.lock().await;
        if let Some(known) = entry.fresh() {
            return Ok(known.flags);
        }
        let before = entry.known();
        let asked =
            self.link.repeat("evaluate feature flags", || self.ask(context, &question, before.clone())).await;
        let known = match (asked, before) {
            (Ok(known), _) => known,
            (Err(error), Some(before)) => {
                tracing::warn!(%error, "flags stay as they were");
                Known { asked_at: Instant::now(), ..before }
            }
            (Err(error), None) => return Err(error),
        };
        *entry.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known.flags)
    }

    fn context(&self, question: &str) -> Arc<Context> {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = contexts.get(question) {
            return Arc::clone(found);
        }
        if contexts.len() >= CAPACITY {
            let oldest =
                contexts.iter().min_by_key(|(_, context)| context.known().map(|known| known.asked_at));
            if let Some(oldest) = oldest.map(|(question, _)| question.clone()) {
                contexts.remove(&oldest);
            }
        }
        Arc::clone(contexts.entry(question.to_owned()).or_default())
    }

    async fn ask(
        &self,
        context: &FlagContext,
        question: &str,
        before: Option<Known>,
    ) -> Result<Known, Fault> {
        let attempted = "evaluate feature flags";
        let asked_at = Instant::now();
        let mut request = self.client.post(self.all_flags.clone());
        if let Some(tag) = before.as_ref().and_then(|known| known.tag.as_deref()) {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let request = request.header("content-type", "application/json").body(question.to_owned());
        let response = request.send().await.map_err(http::away)?;
        if let (StatusCode::NOT_MODIFIED, Some(before)) = (response.status(), before) {
            return Ok(Known { asked_at, ..before });
        }
        let response = http::accepted(&self.link, attempted, response).await?;
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.map_err(http::away)?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| self.link.answered(attempted, &format!("this is no relay: {error}")))?;
        let has_tenant = context.tenant_id.is_some();
        let flags =
            answer.flags.into_iter().map(|flag| (flag.key.clone(), evaluation(flag, has_tenant))).collect();
        Ok(Known { tag, asked_at, flags: Arc::new(flags) })
    }
}

impl Context {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self) -> Option<Known> {
        self.known().filter(|known| known.asked_at.elapsed() < FRESH_FOR)
    }
}

/// The question for a context: the same text for the same context.
fn question(context: &FlagContext) -> String {
    let mut facts: Map<String, Value> = context.attributes.clone().into_iter().collect();
    let key = context.tenant_id.map(|tenant| tenant.to_string());
    facts.insert("targetingKey".to_owned(), Value::from(key.as_deref().unwrap_or(NO_TENANT)));
    if let Some(key) = key {
        facts.insert("tenantId".to_owned(), Value::from(key));
    }
    json!({ "context": facts }).to_string()
}

/// As the evaluation of the file in this process gives it: a flag that is disabled or cannot be evaluated has none,
/// and neither has one whose bucket was found by another key than a tenant.
fn evaluation(flag: FlagAnswer, has_tenant: bool) -> Option<Evaluation> {
    let by_bucket = flag.reason.ends_with("SPLIT");
    let given = flag.error_code.is_none() && flag.reason != "DISABLED" && (has_tenant || !by_bucket);
    given.then_some(Evaluation { variation: flag.variant, value: flag.value })
}

#[async_trait]
impl Flags for Relay {
    async fn evaluate(&self, flag: &str, context: &FlagContext) -> Result<Option<Evaluation>> {
        Ok(self.flags(context).await?.get(flag).cloned().flatten())
    }

    async fn names(&self) -> Result<Vec<String>> {
        Ok(self.flags(&FlagContext::default()).await?.keys().cloned().collect())
    }

    async fn check(&self) -> Result<()> {
        let nobody = FlagContext::default();
        let question = question(&nobody);
        self.link.repeat("evaluate feature flags", || self.ask(&nobody, &question, None)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_context_cannot_speak_for_another_tenant() {
        let tenant = Uuid::from_u128(1);
        let context = FlagContext::tenant(tenant).with("tenantId", "other").with("targetingKey", "other");
        let expected =
            json!({ "context": { "tenantId": tenant.to_string(), "targetingKey": tenant.to_string() } });
        assert_eq!(serde_json::from_str::<Value>(&question(&context)).unwrap(), expected);
    }
}
