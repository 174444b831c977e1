//! What the data-layer does with records. Each change is one transaction with its event.

use serde_json::json;
use sha2::{Digest, Sha256};
use svc_kit::{Caller, Problem};
use svc_stores::outbox::{self, Event};
use svc_stores::relational::Transaction;
use uuid::Uuid;

use crate::domain::{Fault, Fields, Filter, Model, check_fields, merge};
use crate::store::{self, Record, Records, UsedKey};
use crate::wire::invalid;

const TOPIC: &str = "platform.data.events";
/// An event must stay below 1 MB as a whole. A bigger record is told of without its fields.
const EVENT_LIMIT: usize = 1_000_000;
/// A page ends early rather than become too big for its readers.
const PAGE_LIMIT: usize = 2 * 1024 * 1024;

/// A page of records, and the id behind which the next one begins.
pub(crate) struct Page {
    pub records: Vec<Record>,
    pub next: Option<Uuid>,
}

impl Records {
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        model: &Model,
        fields: Fields,
    ) -> Result<Record, Problem> {
        check_fields(&fields).map_err(invalid)?;
        let key = caller.idempotency_key.as_deref().map(read_key).transpose()?;
        let now = svc_stores::now();
        let record = Record { id: Uuid::now_v7(), fields, created_at: now, updated_at: now };
        let mut transaction = self.begin(caller.tenant).await?;
        if let Some(key) = key {
            let fingerprint = fingerprint(model, &record.fields);
            if let Some(used) = store::used_key(&mut transaction, key, now).await? {
                return again(record, used, &fingerprint);
            }
            let used = UsedKey { fingerprint, record_id: record.id, created_at: now };
            store::note_key(&mut transaction, key, &used).await?;
        }
        store::insert(&mut transaction, model, &record).await?;
        tell(&mut transaction, caller, model, "created", &record).await?;
        transaction.commit().await?;
        Ok(record)
    }

    pub(crate) async fn get(&self, tenant: Uuid, model: &Model, id: Uuid) -> Result<Record, Problem> {
        self.find(tenant, model, id).await?.ok_or_else(|| absent(model, id))
    }

    pub(crate) async fn page(
        &self,
        tenant: Uuid,
        model: &Model,
        filters: &[Filter],
        after: Option<Uuid>,
        size: u32,
    ) -> Result<Page, Problem> {
        let after = after.unwrap_or_else(Uuid::nil);
        let found = self.list(tenant, model, filters, after, size.saturating_add(1)).await?;
        let available = found.len();
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut records = Vec::new();
        for record in found {
            bytes += serde_json::Value::Object(record.fields.clone()).to_string().len();
            if records.len() == most || (bytes > PAGE_LIMIT && !records.is_empty()) {
                break;
            }
            records.push(record);
        }
        let next = records.last().map(|last| last.id).filter(|_| records.len() < available);
        Ok(Page { records, next })
    }

    pub(crate) async fn change(
        &self,
        caller: &Caller,
        model: &Model,
        id: Uuid,
        change: Fields,
        mask: Option<&[String]>,
    ) -> Result<Record, Problem> {
        let mut transaction = self.begin(caller.tenant).await?;
        let current = store::find_in(&mut transaction, model, id).await?.ok_or_else(|| absent(model, id))?;
        let fields = merge(current.fields, change, mask).map_err(invalid)?;
        check_fields(&fields).map_err(invalid)?;
        let record = Record { fields, updated_at: svc_stores::now(), ..current };
        store::update(&mut transaction, &record).await?;
        tell(&mut transaction, caller, model, "updated", &record).await?;
        transaction.commit().await?;
        Ok(record)
    }

    pub(crate) async fn delete(&self, caller: &Caller, model: &Model, id: Uuid) -> Result<(), Problem> {
        let mut transaction = self.begin(caller.tenant).await?;
        let record = store::find_in(&mut transaction, model, id).await?.ok_or_else(|| absent(model, id))?;
        store::mark_deleted(&mut transaction, id, svc_stores::now()).await?;
        tell(&mut transaction, caller, model, "deleted", &record).await?;
        Ok(transaction.commit().await?)
    }
}

/// The first answer once more: the same request made the record that it describes.
fn again(request: Record, used: UsedKey, fingerprint: &str) -> Result<Record, Problem> {
    if used.fingerprint != fingerprint {
        let kind = "Idempotency-Key used before";
        return Err(Problem::new(tonic::Code::AlreadyExists, "idempotency-key-reused", kind).detail(
            "This key was used for another request within the last 24 h. Take a new key for a new record.",
        ));
    }
    Ok(Record { id: used.record_id, created_at: used.created_at, updated_at: used.created_at, ..request })
}

fn read_key(key: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(key).map_err(|_| invalid(vec![Fault::new("Idempotency-Key", "uuid", "must be a UUID")]))
}

fn fingerprint(model: &Model, fields: &Fields) -> String {
    // The order of the fields of a request has no meaning, so it must not make another request of it.
    let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
    hex::encode(Sha256::digest(format!("{model}\n{}", json!(sorted)).as_bytes()))
}

fn absent(model: &Model, id: Uuid) -> Problem {
    Problem::not_found(format!("There is no record {id} in {model}."))
}

async fn tell(
    transaction: &mut Transaction,
    caller: &Caller,
    model: &Model,
    verb: &str,
    record: &Record,
) -> Result<(), Problem> {
    let mut data =
        json!({ "module": model.module, "model": model.name, "id": record.id, "userId": caller.user });
    let fields = svc_kit::json::to_struct(record.fields.clone());
    let small = prost::Message::encoded_len(&fields) < EVENT_LIMIT;
    let (name, value) = if small { ("record", json!(record.fields)) } else { ("recordOmitted", json!(true)) };
    if let Some(object) = data.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
    let event = Event::new(TOPIC, &format!("data.record.{verb}"), "data-layer", &record.id.to_string())
        .tenant(caller.tenant)
        .trace(Some(caller.trace.trace_id().to_string()))
        .data(data);
    Ok(outbox::append(transaction, &event).await?)
}
