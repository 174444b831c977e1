//! The baseline metrics, the same on all twelve services, under the documented names and labels.
//!
//! Labels never hold what a client can invent: routes are templates, gRPC methods are those of the descriptors, and
//! only the first tenants get a label of their own.

mod labels;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use labels::{Breaker, Command, GrpcServer, Http, Operation, Partition, Target};

/// Upper bounds in milliseconds; 200 and 300 are the platform's own objectives.
const BUCKETS: [f64; 14] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0];

/// So many tenants get a label of their own per process; all others share `other`.
const TENANT_LIMIT: usize = 20;

/// How OpenMetrics ends.
const END: &str = "# EOF\n";

/// One of the metrics that every service has.
#[derive(Clone, Copy)]
struct Baseline {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

const fn histogram(name: &'static str, help: &'static str) -> Baseline {
    Baseline { name, kind: "histogram", help }
}

const HTTP_DURATION: Baseline = histogram(
    "http_server_request_duration_ms",
    "Time to the head of the answer of an HTTP request in milliseconds",
);
/// The encoder appends `_total` to the samples.
const HTTP_REQUESTS: Baseline =
    Baseline { name: "http_server_requests", kind: "counter", help: "HTTP requests answered" };
const GRPC_SERVER: Baseline =
    histogram("grpc_server_request_duration_ms", "Time to the end of a gRPC call in milliseconds");
const GRPC_CLIENT: Baseline = histogram(
    "grpc_client_request_duration_ms",
    "Time of a gRPC call to a neighbour, with its retries, in milliseconds",
);
const DATABASE: Baseline = histogram("db_query_duration_ms", "Time of a query in milliseconds");
const LAG: Baseline = Baseline {
    name: "kafka_consumer_lag",
    kind: "gauge",
    help: "Events that a consumer group has not seen yet",
};
const VALKEY: Baseline =
    histogram("valkey_operation_duration_ms", "Time of a cache operation in milliseconds");
const BREAKER: Baseline = Baseline {
    name: "circuit_breaker_state",
    kind: "gauge",
    help: "State of a circuit breaker: 0 closed, 1 half open, 2 open",
};
const BASELINE: [Baseline; 8] =
    [HTTP_DURATION, HTTP_REQUESTS, GRPC_SERVER, GRPC_CLIENT, DATABASE, LAG, VALKEY, BREAKER];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Records what happens and writes it for a scraper. Cheap to clone; all clones record for the same service.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    service: &'static str,
    registry: Registry,
    tenants: Mutex<HashSet<String>>,
    http_duration: Histograms<Http>,
    http_requests: Family<Http, Counter>,
    grpc_server: Histograms<GrpcServer>,
    grpc_client: Histograms<Target>,
    database: Histograms<Operation>,
    lag: Family<Partition, Gauge>,
    valkey: Histograms<Command>,
    breaker: Family<Breaker, Gauge>,
}

/// The state of a circuit breaker, as the metric writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed = 0,
    /// One call passes to see whether the other side is back.
    HalfOpen = 1,
    /// No call passes.
    Open = 2,
}

/// One answered HTTP request.
#[derive(Debug, Clone, Copy)]
pub struct HttpSample<'a> {
    /// The verb.
    pub method: &'a str,
    /// The template of the route, never the path itself.
    pub route: &'a str,
    /// The status.
    pub status: u16,
    /// The tenant, if the call named one.
    pub tenant: Option<&'a str>,
    /// From the first byte of the request to the head of the answer.
    pub duration: Duration,
}

impl Metrics {
    /// The metrics of one service.
    pub fn new(service: &'static str) -> Metrics {
        let mut registry = Registry::default();
        let http_duration = histograms(&mut registry, HTTP_DURATION);
        let http_requests = Family::default();
        registry.register(HTTP_REQUESTS.name, HTTP_REQUESTS.help, http_requests.clone());
        let grpc_server = histograms(&mut registry, GRPC_SERVER);
        let grpc_client = histograms(&mut registry, GRPC_CLIENT);
        let database = histograms(&mut registry, DATABASE);
        let lag = Family::default();
        registry.register(LAG.name, LAG.help, lag.clone());
        let valkey = histograms(&mut registry, VALKEY);
        let breaker = Family::default();
        registry.register(BREAKER.name, BREAKER.help, breaker.clone());
        let tenants = Mutex::default();
        Metrics(Arc::new(Inner {
            service,
            registry,
            tenants,
            http_duration,
            http_requests,
            grpc_server,
            grpc_client,
            database,
            lag,
            valkey,
            breaker,
        }))
    }

    /// Records an HTTP request.
    pub fn http_request(&self, sample: HttpSample<'_>) {
        let labels = Http {
            service: self.0.service,
            method: verb(sample.method),
            route: sample.route.to_owned(),
            status_code: sample.status,
            tenant_id: self.tenant_label(sample.tenant),
        };
        self.0.http_duration.get_or_create(&labels).observe(milliseconds(sample.duration));
        self.0.http_requests.get_or_create(&labels).inc();
    }

    /// Records a gRPC call that was served. `method` is `/package.Service/Method`; `status` is the numeric code.
    pub fn grpc_request(&self, method: &str, status: i32, duration: Duration) {
        let labels = GrpcServer { service: self.0.service, method: method.to_owned(), status_code: status };
        self.0.grpc_server.get_or_create(&labels).observe(milliseconds(duration));
    }

    /// Records a gRPC call to a neighbour.
    pub fn grpc_call(&self, target_service: &str, duration: Duration) {
        let labels = Target { target_service: target_service.to_owned() };
        self.0.grpc_client.get_or_create(&labels).observe(milliseconds(duration));
    }

    /// Records a query. `operation` is a verb such as `select`, `table` the main table.
    pub fn database_query(&self, operation: &str, table: &str, duration: Duration) {
        let labels = Operation { operation: operation.to_owned(), table: table.to_owned() };
        self.0.database.get_or_create(&labels).observe(milliseconds(duration));
    }

    /// Records how far a consumer group is behind.
    pub fn consumer_lag(&self, group: &str, topic: &str, partition: i32, events: i64) {
        let labels = Partition { group_id: group.to_owned(), topic: topic.to_owned(), partition };
        self.0.lag.get_or_create(&labels).set(events);
    }

    /// Records a cache operation. `command` is the name of the command, such as `get`.
    pub fn cache_operation(&self, command: &str, duration: Duration) {
        let labels = Command { command: command.to_owned() };
        self.0.valkey.get_or_create(&labels).observe(milliseconds(duration));
    }

    /// Records the state of the breaker in front of a neighbour or provider.
    pub fn breaker(&self, target: &str, state: BreakerState) {
        self.0.breaker.get_or_create(&Breaker { target: target.to_owned() }).set(state as i64);
    }

    /// Everything, in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        // The encoder leaves out what nothing was recorded for yet, but the set is the same on every service.
        let mut missing = String::new();
        for Baseline { name, kind, help } in BASELINE {
            if !text.contains(&format!("# TYPE {name} ")) {
                missing.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n"));
            }
        }
        let end = text.len() - if text.ends_with(END) { END.len() } else { 0 };
        text.insert_str(end, &missing);
        text
    }

    fn tenant_label(&self, tenant: Option<&str>) -> String {
        let Some(tenant) = tenant else { return String::new() };
        let mut known = self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(tenant) || (known.len() < TENANT_LIMIT && known.insert(tenant.to_owned())) {
            return tenant.to_owned();
        }
        "other".to_owned()
    }
}

/// Stores tell how long they took.
impl svc_stores::observe::Observer for Metrics {
    fn query(&self, operation: &'static str, table: &str, duration: Duration) {
        self.database_query(operation, table, duration);
    }

    fn cache(&self, command: &'static str, duration: Duration) {
        self.cache_operation(command, duration);
    }
}

fn histograms<L>(registry: &mut Registry, baseline: Baseline) -> Histograms<L>
where
    L: labels::Labels,
{
    let family: Histograms<L> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
    registry.register(baseline.name, baseline.help, family.clone());
    family
}

/// A verb that we know, so that clients cannot invent labels.
fn verb(method: &str) -> &'static str {
    ["GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT", "CONNECT"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_baseline_metrics_have_their_documented_names_and_labels() {
        let metrics = Metrics::new("money");
        let duration = Duration::from_millis(7);
        let (method, route) = ("GET", "/v1/wallets/{id}");
        metrics.http_request(HttpSample { method, route, status: 200, tenant: Some("t1"), duration });
        metrics.grpc_request("/platform.money.v1.MoneyService/Hold", 0, duration);
        metrics.grpc_call("iam", duration);
        metrics.database_query("select", "wallets", duration);
        metrics.consumer_lag("audit", "platform.money.events", 3, 12);
        metrics.cache_operation("get", duration);
        metrics.breaker("iam", BreakerState::Open);
        let text = metrics.render();
        let http =
            r#"service="money",method="GET",route="/v1/wallets/{id}",status_code="200",tenant_id="t1""#;
        for expected in [
            format!("http_server_request_duration_ms_bucket{{le=\"10.0\",{http}}} 1"),
            format!("http_server_requests_total{{{http}}} 1"),
            r#"grpc_server_request_duration_ms_count{service="money",method="/platform.money.v1.MoneyService/Hold",status_code="0"} 1"#.to_owned(),
            r#"grpc_client_request_duration_ms_count{target_service="iam"} 1"#.to_owned(),
            r#"db_query_duration_ms_count{operation="select",table="wallets"} 1"#.to_owned(),
            r#"kafka_consumer_lag{group_id="audit",topic="platform.money.events",partition="3"} 12"#.to_owned(),
            r#"valkey_operation_duration_ms_count{command="get"} 1"#.to_owned(),
            r#"circuit_breaker_state{target="iam"} 2"#.to_owned(),
        ] {
            assert!(text.contains(&expected), "no {expected} in\n{text}");
        }
    }

    #[test]
    fn a_service_that_has_done_nothing_shows_the_whole_set() {
        let metrics = Metrics::new("money");
        metrics.grpc_call("iam", Duration::from_millis(1));
        let text = metrics.render();
        for Baseline { name, kind, .. } in BASELINE {
            assert_eq!(text.matches(&format!("# TYPE {name} {kind}\n")).count(), 1, "{name} in\n{text}");
        }
        assert!(text.ends_with(END) && text.matches(END).count() == 1);
    }

    #[test]
    fn clients_cannot_invent_labels() {
        let metrics = Metrics::new("money");
        for number in 0..=TENANT_LIMIT {
            let label = metrics.tenant_label(Some(&format!("tenant-{number}")));
            assert_eq!(label == "other", number == TENANT_LIMIT, "{label}");
        }
        assert_eq!(metrics.tenant_label(Some("tenant-0")), "tenant-0", "the first keep their own");
        assert_eq!(verb("BREW"), "other");
    }
}
