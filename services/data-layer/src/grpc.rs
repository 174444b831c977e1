//! The gRPC door: from messages to records and back.

use svc_api::data::v1::cache_service_server::CacheService;
use svc_api::data::v1::data_layer_service_server::DataLayerService;
use svc_api::data::v1::schema_service_server::SchemaService;
use svc_api::data::v1::*;
use svc_kit::message::{self, Page};
use svc_kit::{Caller, json};
use tonic::{Request, Response, Status};

use crate::domain::Filter;
use crate::store::Records;
use crate::wire;

#[derive(Debug)]
pub(crate) struct Handlers {
    pub records: Records,
}

/// Answers UNIMPLEMENTED to everything: a cache for modules and declared models come later.
#[derive(Debug)]
pub(crate) struct NotYet;

#[tonic::async_trait]
impl CacheService for NotYet {}

#[tonic::async_trait]
impl SchemaService for NotYet {}

#[tonic::async_trait]
impl DataLayerService for Handlers {
    async fn create_record(&self, request: Request<CreateRecordRequest>) -> Result<Response<Record>, Status> {
        let caller = Caller::of(&request)?;
        let CreateRecordRequest { module, model, data } = request.into_inner();
        let model = wire::model(module, model)?;
        let record =
            self.records.create(&caller, &model, json::from_struct(data.unwrap_or_default())).await?;
        Ok(Response::new(wire::record(&model, record)))
    }

    async fn get_record(&self, request: Request<GetRecordRequest>) -> Result<Response<Record>, Status> {
        let caller = Caller::of(&request)?;
        let GetRecordRequest { module, model, id } = request.into_inner();
        let model = wire::model(module, model)?;
        let record = self.records.get(caller.tenant, &model, message::id("id", &id)?).await?;
        Ok(Response::new(wire::record(&model, record)))
    }

    async fn list_records(
        &self,
        request: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsReply>, Status> {
        let caller = Caller::of(&request)?;
        let ListRecordsRequest { module, model, page_size, page_token, filters } = request.into_inner();
        let model = wire::model(module, model)?;
        let page = Page::read(page_size, &page_token)?;
        let pairs = filters.iter().map(|filter| (filter.name.as_str(), filter.value.as_str()));
        let filters = Filter::read_all(pairs).map_err(wire::invalid)?;
        let page = self.records.page(caller.tenant, &model, &filters, page.last, page.size).await?;
        Ok(Response::new(ListRecordsReply {
            records: page.records.into_iter().map(|record| wire::record(&model, record)).collect(),
            next_page_token: page.next.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    async fn update_record(&self, request: Request<UpdateRecordRequest>) -> Result<Response<Record>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateRecordRequest { module, model, id, data, update_mask } = request.into_inner();
        let model = wire::model(module, model)?;
        let id = message::id("id", &id)?;
        let change = json::from_struct(data.unwrap_or_default());
        let mask = update_mask.map(|mask| mask.paths).filter(|paths| !paths.is_empty());
        let record = self.records.change(&caller, &model, id, change, mask.as_deref()).await?;
        Ok(Response::new(wire::record(&model, record)))
    }

    async fn delete_record(&self, request: Request<DeleteRecordRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request)?;
        let DeleteRecordRequest { module, model, id } = request.into_inner();
        let model = wire::model(module, model)?;
        self.records.delete(&caller, &model, message::id("id", &id)?).await?;
        Ok(Response::new(()))
    }
}
