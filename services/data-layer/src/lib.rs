//! The data-layer: create, retrieve, list, change and soft-delete the records of any module's models.
//!
//! Owns the records. A model is addressed as `{module}/{model}`; until module-registry declares models, any pair of
//! well-formed names is one, and every model has the same rules: a JSON object of at most 1 MB, 256 KB per field.
//! Every change leaves `data.record.created`, `.updated` or `.deleted` on `platform.data.events`, with the whole record
//! where it fits into an event.
//!
//! Not implemented yet, and answering so: analytics (`Aggregate`), the cache for modules, declared models and their
//! schemas, `?select`, hooks, full-text search. Filters have no index beside the model's own.

mod domain;
mod grpc;
mod records;
mod store;
mod wire;

use svc_api::data::v1::cache_service_server::CacheServiceServer;
use svc_api::data::v1::data_layer_service_server::DataLayerServiceServer;
use svc_api::data::v1::schema_service_server::SchemaServiceServer;
use svc_clients::Neighbour;
use svc_kit::{BuildError, Configure, Context, Invalid, NeighbourUrl, Reader, Routes, Secret, Service};
use svc_stores::{Database, Store};

/// A record of 1 MB of JSON is up to 6 MB on the wire: a number of one digit takes eleven bytes there.
const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// The service.
#[derive(Debug)]
pub struct DataLayer;

/// Its settings.
#[derive(Debug)]
pub struct Config {
    database_url: Secret,
    event_bus: NeighbourUrl,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let event_bus =
            reader.required("EVENTS_URL", "the URL of the event-bus such as http://event-bus:8080");
        Ok(Self { database_url: database_url?, event_bus: event_bus? })
    }
}

impl Service for DataLayer {
    const NAME: &'static str = "data-layer";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate("data-layer", store::MIGRATIONS).await?;
        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        svc_clients::events::spawn_relay(&context, &database, &event_bus);
        let handlers = grpc::Handlers { records: store::Records::new(database) };
        let records = DataLayerServiceServer::new(handlers).max_decoding_message_size(MESSAGE_LIMIT);
        Ok(Routes::new()
            .grpc(records)
            .grpc(CacheServiceServer::new(grpc::NotYet))
            .grpc(SchemaServiceServer::new(grpc::NotYet)))
    }
}
