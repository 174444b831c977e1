//! From the environment to a serving sender.

use std::time::Duration;

use svc_api::notify::v1::notify_service_server::NotifyServiceServer;
use svc_clients::{Neighbour, events};
use svc_kit::{BuildError, Configure, Context, Invalid, NeighbourUrl, Reader, Routes, Secret, Service};
use svc_stores::{Database, Store, cache, tasks};

use crate::adapters::{Adapter, Adapters, InApp};
use crate::clock::SystemClock;
use crate::courier::Courier;
use crate::domain::Schedule;
use crate::limits::Limits;
use crate::mail::{Mail, MailServer};
use crate::outside::{self, Outside};
use crate::push::{self, Door, Pushes};
use crate::sender::Sender;
use crate::store::MIGRATIONS;

/// The notify service.
pub struct Notify;

/// What notify is configured by.
pub struct Config {
    database_url: Secret,
    tasks_url: Secret,
    cache_url: Secret,
    event_bus: NeighbourUrl,
    iam: NeighbourUrl,
    integration_hub: Option<NeighbourUrl>,
    mail: Option<MailServer>,
    attempt_timeout_seconds: u64,
    tenant_per_minute: u32,
    module_per_minute: u32,
}

impl Configure for Config {
    fn configure(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let database_url = reader.store(Store::Database);
        let tasks_url = reader.store(Store::Tasks);
        let cache_url = reader.store(Store::Cache);
        let event_bus = reader.required("EVENTS_URL", "the event-bus, such as http://event-bus:8080");
        let iam = reader.required("IAM_URL", "iam, which checks tokens, such as http://iam:8080");
        let integration_hub = reader.optional("INTEGRATION_HUB_URL");
        let attempt_timeout_seconds = reader.or("NOTIFY_ADAPTER_TIMEOUT_SEC", 10);
        if let Ok(seconds) = attempt_timeout_seconds
            && !(1..=45).contains(&seconds)
        {
            reader.complain(
                "NOTIFY_ADAPTER_TIMEOUT_SEC",
                "must be 1 to 45 seconds, below the lease of a delivery",
            );
        }
        let mail = mail_server(reader);
        let mut limit = |name: &str, default: u32| {
            let limit = reader.or(name, default);
            if let Ok(0) = limit {
                reader.complain(name, "must be above zero");
            }
            limit
        };
        let tenant_per_minute = limit("NOTIFY_RATE_LIMIT_PER_MINUTE", Limits::TENANT_PER_MINUTE);
        let module_per_minute = limit("NOTIFY_MODULE_RATE_LIMIT_PER_MINUTE", Limits::MODULE_PER_MINUTE);
        Ok(Self {
            database_url: database_url?,
            tasks_url: tasks_url?,
            cache_url: cache_url?,
            event_bus: event_bus?,
            iam: iam?,
            integration_hub: integration_hub?,
            mail: mail?,
            attempt_timeout_seconds: attempt_timeout_seconds?,
            tenant_per_minute: tenant_per_minute?,
            module_per_minute: module_per_minute?,
        })
    }
}

fn mail_server(reader: &mut Reader<'_>) -> Result<Option<MailServer>, Invalid> {
    let (url, from) = (reader.optional::<Secret>("SMTP_URL"), reader.optional::<String>("SMTP_FROM"));
    match (url?, from?) {
        (None, None) => Ok(None),
        (Some(url), Some(from)) => MailServer::read(url.expose(), &from).map(Some).map_err(|problems| {
            for (name, problem) in problems {
                reader.complain(name, problem);
            }
            Invalid
        }),
        (Some(_), None) => {
            reader.complain("SMTP_FROM", "is not set; SMTP_URL needs it: who the mail is from");
            Err(Invalid)
        }
        (None, Some(_)) => {
            reader.complain("SMTP_URL", "is not set; SMTP_FROM needs it: where the mail goes");
            Err(Invalid)
        }
    }
}

impl Service for Notify {
    const NAME: &'static str = "notify";
    type Config = Config;

    async fn build(config: Config, context: Context) -> Result<Routes, BuildError> {
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate(Self::NAME, MIGRATIONS).await?;
        let queue = tasks::connect(config.tasks_url.expose()).await?;
        let event_bus = Neighbour::new("event-bus", &config.event_bus, &context);
        events::spawn_relay(&context, &database, &event_bus);

        let timeout = Duration::from_secs(config.attempt_timeout_seconds);
        let pushes = Pushes::new(database.clone()).await?;
        let mut adapters: Vec<Box<dyn Adapter>> = vec![Box::new(InApp), Box::new(pushes.clone())];
        if let Some(url) = &config.integration_hub {
            let hub = Neighbour::new("integration-hub", url, &context);
            let outside = outside::CHANNELS.map(|channel| Outside::new(channel, &hub, timeout));
            adapters.extend(outside.into_iter().map(|adapter| Box::new(adapter) as Box<dyn Adapter>));
        }
        if let Some(server) = &config.mail {
            adapters.push(Box::new(Mail::new(server, timeout)));
        }
        let adapters = Adapters::new(adapters);
        let courier = Courier::new(database.clone(), queue, adapters.clone(), Schedule::default(), timeout);
        let (delivering, repairing) = (courier.clone(), courier.clone());
        context.spawn("courier", move |shutdown| {
            let courier = delivering.clone();
            async move { courier.run(shutdown).await }
        });
        context.spawn("courier-repair", move |shutdown| {
            let courier = repairing.clone();
            async move { courier.keep_repairing(shutdown).await }
        });
        let handing_out = pushes.clone();
        context.spawn("push", move |shutdown| {
            let pushes = handing_out.clone();
            async move { pushes.run(shutdown).await }
        });
        let counters = cache::connect(config.cache_url.expose())?;
        let limits = Limits::new(counters, SystemClock, config.tenant_per_minute, config.module_per_minute);
        let iam = Neighbour::new("iam", &config.iam, &context);
        let door = Door::new(pushes, iam, context.draining());
        let sender = Sender::new(database, adapters, courier, limits);
        Ok(Routes::new().grpc(NotifyServiceServer::new(sender)).http(push::router(door)))
    }
}
