//! What a service does not do yet is listed in `docs/services.md`, line by line, and nothing else is.
//!
//! The page has a section `## <service>` for each, and in it `### Not implemented yet` with one line per RPC that
//! answers UNIMPLEMENTED (and its REST routes), then one per raw route that answers 501:
//!
//! ```text
//! - `platform.iam.v1.AuthService/Impersonate` · `POST /v1/auth/impersonate`
//! - `platform.billing.v1.BillingService/HandleWebhook`
//! - `GET /v1/ws`
//! ```
//!
//! Every RPC is called with an empty message, so what refuses its input before it says that it does nothing is not
//! seen here: a handler that is missing must say so first.

use std::{collections::BTreeSet, fmt::Write as _, fs, future::poll_fn, path::Path, time::Duration};

use http::{Request, StatusCode};
use prost_reflect::MethodDescriptor;
use svc_api::RawRoute;
use svc_kit::Service;
use tonic::{Code, Status, body::Body, client::Grpc, client::GrpcService as _, transport::Channel};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::{PATIENCE, TestCaller, TestService};

/// What a stream may take until its first message. One that says nothing is there.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Calls every RPC of these proto packages, such as `platform.money.v1`, and every raw route that they declare, and
/// compares what is not implemented with the service's section of `docs/services.md`.
///
/// The calls are a Platform Owner's with an empty message. They may change what the service keeps.
///
/// # Panics
///
/// When the page lists something that is there or lacks something that is not; when an RPC breaks (UNKNOWN, INTERNAL,
/// DATA_LOSS), which is no honest way of not being there; when a package has no RPC.
pub async fn check<S: Service>(service: &TestService<S>, packages: &[&str]) {
    let mut found = BTreeSet::new();
    let mut broken = Vec::new();
    let caller = TestCaller::owner().colleague(&["Owner", "PlatformOwner"]);
    let methods = methods_of(packages);
    assert!(!methods.is_empty(), "there is no RPC in {packages:?}");
    for method in &methods {
        let name = format!("{}/{}", method.parent_service().full_name(), method.name());
        match call(service, &caller, &name, method.is_server_streaming())
            .await
            .err()
            .map(|status| status.code())
        {
            Some(Code::Unimplemented) => drop(found.insert(line_of(&name))),
            Some(code @ (Code::Unknown | Code::Internal | Code::DataLoss)) => {
                broken.push(format!("{name} answers {code:?} to an empty message"));
            }
            _ => {}
        }
    }
    for route in raw_routes_of(packages) {
        let status = ask(&mut service.plain_channel(), &caller, &route).await;
        let name = format!("{} {}", route.http_method, route.path_template);
        match status {
            StatusCode::NOT_IMPLEMENTED => drop(found.insert(format!("- `{name}`"))),
            StatusCode::INTERNAL_SERVER_ERROR => broken.push(format!("{name} answers {status}")),
            _ => {}
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let difference = difference(S::NAME, &found, &listed(&page(), S::NAME));
    assert!(difference.is_empty(), "{difference}");
}

fn methods_of(packages: &[&str]) -> Vec<MethodDescriptor> {
    let services = svc_api::descriptor_pool().services();
    services
        .filter(|service| packages.contains(&service.package_name()))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect()
}

fn raw_routes_of(packages: &[&str]) -> Vec<RawRoute> {
    let declared = |route: &RawRoute| {
        packages
            .iter()
            .any(|package| route.service.strip_prefix(package).is_some_and(|rest| rest.starts_with('.')))
    };
    svc_api::raw_routes().into_iter().filter(declared).collect()
}

/// The line of the page for an RPC.
fn line_of(rpc: &str) -> String {
    let mut line = format!("- `{rpc}`");
    for route in svc_api::routes() {
        if route.grpc_path().strip_prefix('/') == Some(rpc) {
            write!(line, " · `{} {}`", route.http_method, route.path_template).expect("a string takes text");
        }
    }
    line
}

/// Calls an RPC with an empty message. On the wire a single message and a stream of one are the same.
async fn call<S: Service>(
    service: &TestService<S>,
    caller: &TestCaller,
    rpc: &str,
    streams: bool,
) -> Result<(), Status> {
    let caller = caller.clone().with_idempotency_key(Uuid::now_v7().to_string());
    let mut client = Grpc::new(service.channel(&caller));
    let path = format!("/{rpc}").parse().expect("the name of an RPC is a path");
    let asking = async {
        client.ready().await.map_err(|error| Status::unavailable(format!("{error:?}")))?;
        let codec = ProstCodec::<(), ()>::default();
        let mut replies = client.server_streaming(tonic::Request::new(()), path, codec).await?.into_inner();
        replies.message().await.map(drop)
    };
    let patience = if streams { FIRST_WORD } else { PATIENCE };
    match tokio::time::timeout(patience, asking).await {
        Ok(outcome) => outcome,
        Err(_) if streams => Ok(()),
        Err(_) => panic!("{rpc} did not answer within {PATIENCE:?}"),
    }
}

/// Asks for a raw route with an id for each of its variables and an empty body.
async fn ask(channel: &mut Channel, caller: &TestCaller, route: &RawRoute) -> StatusCode {
    let segments = route.path_template.split('/').map(|segment| match segment.starts_with('{') {
        true => Uuid::now_v7().to_string(),
        false => segment.to_owned(),
    });
    let mut request = Request::new(Body::empty());
    *request.method_mut() = route.http_method.clone();
    *request.uri_mut() = segments.collect::<Vec<_>>().join("/").parse().expect("a path");
    *request.headers_mut() = caller.headers();
    poll_fn(|context| channel.poll_ready(context)).await.expect("the service is there");
    let answer = tokio::time::timeout(PATIENCE, channel.call(request)).await;
    let answer = answer.unwrap_or_else(|_| panic!("{} did not answer", route.path_template));
    answer.expect("the service answers").status()
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/services.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The lines of the list in a service's section.
fn listed(page: &str, service: &str) -> BTreeSet<String> {
    let section = page.lines().skip_while(|line| *line != format!("## {service}")).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let list = section.skip_while(|line| *line != "### Not implemented yet").skip(1);
    let list = list.take_while(|line| !line.starts_with('#'));
    list.filter(|line| line.starts_with("- ")).map(|line| line.trim_end().to_owned()).collect()
}

/// What to change on the page; nothing when it is right.
fn difference(service: &str, found: &BTreeSet<String>, listed: &BTreeSet<String>) -> String {
    let mut text = String::new();
    let mut tell = |what: &str, lines: Vec<&String>| {
        if !lines.is_empty() {
            writeln!(text, "{what}").expect("a string takes text");
        }
        for line in lines {
            writeln!(text, "{line}").expect("a string takes text");
        }
    };
    let place = format!("docs/services.md, `## {service}`, `### Not implemented yet`");
    tell(
        &format!("{place} does not list what answers that it is not implemented:"),
        found.difference(listed).collect(),
    );
    tell(
        &format!("{place} lists what is implemented, does not exist or is written otherwise:"),
        listed.difference(found).collect(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Services\n\n## iam\n\nText.\n\n- no entry\n\n### Not implemented yet\n\nWords.\n\n- `a`\n\
        - `b`\n\n## money\n\n### Not implemented yet\n\n- `c`\n\n### Other\n\n- `d`\n";

    fn lines(lines: &[&str]) -> BTreeSet<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_list_of_a_section_ends_with_it() {
        assert_eq!(listed(PAGE, "iam"), lines(&["- `a`", "- `b`"]));
        assert_eq!(listed(PAGE, "money"), lines(&["- `c`"]));
        assert_eq!(listed(PAGE, "notify"), lines(&[]));
    }

    #[test]
    fn a_difference_is_told_in_both_directions() {
        assert_eq!(difference("iam", &lines(&["- `a`"]), &lines(&["- `a`"])), "");
        let told = difference("iam", &lines(&["- `a`", "- `b`"]), &lines(&["- `b`", "- `c`"]));
        let (lacks, stale) = told.split_once("lists what is implemented").unwrap();
        assert!(lacks.contains("- `a`") && !lacks.contains("- `b`"), "{told}");
        assert!(stale.contains("- `c`") && !stale.contains("- `b`"), "{told}");
    }

    #[test]
    fn a_line_names_the_rpc_and_its_routes() {
        let rpc = "platform.iam.v1.AuthService/Impersonate";
        assert_eq!(line_of(rpc), format!("- `{rpc}` · `POST /v1/auth/impersonate`"));
        let internal = "platform.billing.v1.BillingService/HandleWebhook";
        assert_eq!(line_of(internal), format!("- `{internal}`"));
    }

    #[test]
    fn the_page_names_the_services_that_there_are() {
        let page = page();
        let table = page.lines().take_while(|line| !line.starts_with("## "));
        let rows = table.filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let named: BTreeSet<&str> = rows.map(|(name, _)| name).collect();
        let area = |service: &&str| match *service {
            "data-layer" => "data".to_owned(),
            "event-bus" => "events".to_owned(),
            name => name.replace('-', "_"),
        };
        let packages = svc_api::descriptor_pool().services().map(|service| service.package_name().to_owned());
        let areas = packages
            .filter_map(|package| Some(package.strip_prefix("platform.")?.strip_suffix(".v1")?.to_owned()));
        assert_eq!(named.iter().map(area).collect::<BTreeSet<_>>(), areas.collect());

        let sections = page.lines().filter_map(|line| line.strip_prefix("## "));
        let stray: Vec<_> =
            sections.filter(|name| *name != "Every service" && !named.contains(name)).collect();
        assert!(stray.is_empty(), "sections of no service: {stray:?}");
    }
}
