//! The gRPC door: from messages to the trail and back.

use svc_api::audit::v1::audit_service_server::AuditService;
use svc_api::audit::v1::*;
use svc_kit::{Caller, Problem, RequestContext};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::domain::{ActionFilter, Fault, Query};
use crate::trail::Trail;
use crate::wire;

const MOST_IN_BATCH: usize = 500;
/// A page ends early rather than become too big for its readers.
const PAGE_LIMIT: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Handlers {
    pub trail: Trail,
}

impl Handlers {
    /// Adds records in the name of whoever calls and gives their ids, in order.
    async fn add(
        &self,
        context: &RequestContext,
        records: Vec<RecordRequest>,
        batch: bool,
    ) -> Result<Vec<String>, Problem> {
        let caller = Caller::from_context(context)?;
        let recorder = wire::recorder(context, caller.user);
        let now = svc_stores::now();
        let mut faults = Vec::new();
        let mut entries = Vec::with_capacity(records.len());
        for (index, record) in records.into_iter().enumerate() {
            let prefix = if batch { format!("records[{index}].") } else { String::new() };
            match wire::draft(record).check(&recorder, now, &prefix) {
                Ok(entry) => entries.push((caller.tenant, entry)),
                Err(found) => faults.extend(found),
            }
        }
        if !faults.is_empty() {
            return Err(wire::invalid(faults));
        }
        let ids = entries.iter().map(|(_, entry)| entry.id.to_string()).collect();
        self.trail.append(entries).await?;
        Ok(ids)
    }

    async fn page(
        &self,
        tenant: Uuid,
        query: Result<Query, Vec<Fault>>,
        page_size: i32,
        page_token: &str,
    ) -> Result<ListRecordsReply, Problem> {
        let mut faults = Vec::new();
        let query = query.map_err(|found| faults.extend(found));
        let size = wire::page_size(page_size).map_err(|fault| faults.push(fault));
        let before = wire::page_token(page_token).map_err(|fault| faults.push(fault));
        let (Ok(query), Ok(size), Ok(before)) = (query, size, before) else {
            return Err(wire::invalid(faults));
        };
        let found = self.trail.list(tenant, &query, before, size.saturating_add(1)).await?;
        let available = found.len();
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut records = Vec::new();
        for link in found {
            let entry = &link.entry;
            let documents = [&entry.before, &entry.after, &entry.metadata];
            bytes += documents.into_iter().flatten().map(String::len).sum::<usize>();
            if records.len() == most || (bytes > PAGE_LIMIT && !records.is_empty()) {
                break;
            }
            records.push(wire::record(link));
        }
        let last = records.last().map(|last| last.sequence.to_string());
        let next_page_token = last.filter(|_| records.len() < available).unwrap_or_default();
        Ok(ListRecordsReply { records, next_page_token })
    }
}

/// An empty text of a query asks for nothing.
fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn query_of(request: &ListRecordsRequest) -> Result<Query, Vec<Fault>> {
    let mut faults = Vec::new();
    let action = ActionFilter::read(&request.action).map_err(|fault| faults.push(fault));
    let from = wire::time("from", request.from).map_err(|fault| faults.push(fault));
    let to = wire::time("to", request.to).map_err(|fault| faults.push(fault));
    match (action, from, to) {
        (Ok(action), Ok(from), Ok(to)) => Ok(Query {
            action,
            entity_type: given(request.entity_type.clone()),
            entity_id: given(request.entity_id.clone()),
            user_id: given(request.user_id.clone()),
            from,
            to,
        }),
        _ => Err(faults),
    }
}

#[tonic::async_trait]
impl AuditService for Handlers {
    async fn record(&self, request: Request<RecordRequest>) -> Result<Response<RecordReply>, Status> {
        let context = RequestContext::of(&request);
        let ids = self.add(&context, vec![request.into_inner()], false).await?;
        Ok(Response::new(RecordReply { audit_id: ids.into_iter().next().unwrap_or_default() }))
    }

    async fn record_batch(
        &self,
        request: Request<RecordBatchRequest>,
    ) -> Result<Response<RecordBatchReply>, Status> {
        let context = RequestContext::of(&request);
        let records = request.into_inner().records;
        if records.is_empty() || records.len() > MOST_IN_BATCH {
            let message = format!("from 1 to {MOST_IN_BATCH} records; these are {}", records.len());
            return Err(wire::invalid(vec![Fault::new("records", "range", message)]).into());
        }
        let audit_ids = self.add(&context, records, true).await?;
        Ok(Response::new(RecordBatchReply { audit_ids }))
    }

    async fn list_records(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsReply>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let query = query_of(&request);
        Ok(Response::new(self.page(caller.tenant, query, request.page_size, &request.page_token).await?))
    }

    async fn get_record(&self, request: Request<GetRecordRequest>) -> Result<Response<AuditRecord>, Status> {
        let caller = Caller::of(&request)?;
        let id = wire::id(&request.into_inner().id)?;
        let found = self.trail.find(caller.tenant, id).await.map_err(Problem::status)?;
        let link = found.ok_or_else(|| Problem::not_found(format!("There is no audit record {id}.")))?;
        Ok(Response::new(wire::record(link)))
    }

    async fn list_entity_records(
        &self,
        request: Request<ListEntityRecordsRequest>,
    ) -> Result<Response<ListRecordsReply>, Status> {
        let caller = Caller::of(&request)?;
        let ListEntityRecordsRequest { entity_type, entity_id, page_size, page_token } = request.into_inner();
        let query = Query { entity_type: Some(entity_type), entity_id: Some(entity_id), ..Query::default() };
        Ok(Response::new(self.page(caller.tenant, Ok(query), page_size, &page_token).await?))
    }

    async fn verify_chain(
        &self,
        request: Request<VerifyChainRequest>,
    ) -> Result<Response<VerifyChainReply>, Status> {
        let caller = Caller::of(&request)?;
        let verdict = self.trail.verify(caller.tenant).await.map_err(Problem::status)?;
        let (broken_at_sequence, reason) =
            verdict.broken.map(|broken| (broken.sequence, broken.reason)).unwrap_or_default();
        Ok(Response::new(VerifyChainReply {
            intact: broken_at_sequence == 0,
            checked: verdict.checked,
            broken_at_sequence,
            reason,
        }))
    }
}
