//! What every proto of the platform must keep to.

use std::collections::BTreeMap;
use std::fmt::Write;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use svc_api::{Access, Body, access_of, descriptor_pool, raw_routes, routes};

const AREAS: [&str; 12] = [
    "audit",
    "billing",
    "data",
    "domain_resolver",
    "events",
    "files",
    "gateway",
    "iam",
    "integration_hub",
    "module_registry",
    "money",
    "notify",
];

fn methods() -> Vec<MethodDescriptor> {
    let services =
        descriptor_pool().services().filter(|service| service.full_name().starts_with("platform."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn messages() -> Vec<MessageDescriptor> {
    descriptor_pool().all_messages().filter(|message| message.full_name().starts_with("platform.")).collect()
}

/// The field at a path of names such as `user.id`.
fn field_at(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = message.get_field_by_name(first)?;
    match (rest, field.kind()) {
        (None, _) => Some(field),
        (Some(rest), Kind::Message(inner)) => field_at(&inner, rest),
        _ => None,
    }
}

fn variables(template: &str) -> Vec<&str> {
    template.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect()
}

#[test]
fn all_twelve_areas_have_a_service() {
    let mut areas: Vec<_> = descriptor_pool()
        .services()
        .filter_map(|service| {
            Some(service.full_name().strip_prefix("platform.")?.split('.').next()?.to_owned())
        })
        .collect();
    areas.sort();
    areas.dedup();
    for area in AREAS {
        assert!(areas.iter().any(|known| known == area), "no service in package platform.{area}.v1");
    }
}

#[test]
fn every_rpc_is_a_route_or_internal() {
    let routes = routes();
    for method in methods() {
        let name = method.full_name();
        let routed = routes.iter().filter(|route| route.descriptor.full_name() == name).count();
        let access = access_of(&method).unwrap_or_else(|| panic!("{name} says nothing about access"));
        assert!(
            (routed > 0) != access.internal,
            "{name} needs either a google.api.http rule or access.internal, not both and not neither"
        );
        let choices = [access.public, access.internal, !access.permission.is_empty()];
        assert!(
            choices.iter().filter(|chosen| **chosen).count() <= 1,
            "{name} gives more than one kind of access"
        );
        assert!(!method.is_client_streaming(), "{name} streams from the client, which REST cannot do");
        assert!(routed == 0 || !method.is_server_streaming(), "{name} streams and cannot be a REST route");
    }
}

#[test]
fn permissions_are_dotted_names() {
    for method in methods() {
        let permission = access_of(&method).unwrap_or_default().permission;
        let parts: Vec<_> = permission.split('.').collect();
        let word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(
            permission.is_empty() || ((2..=3).contains(&parts.len()) && parts.iter().all(word)),
            "{} asks for `{permission}`, which is no {{module}}.{{resource}}.{{action}}",
            method.full_name()
        );
    }
}

#[test]
fn verbs_bodies_and_variables_fit_the_request() {
    for route in routes() {
        let name = route.descriptor.full_name();
        let verb = route.http_method.as_str();
        assert!(
            ["GET", "POST", "PATCH", "DELETE"].contains(&verb),
            "{name}: {verb} is not used on this platform"
        );
        match &route.body {
            Body::None => assert!(verb == "GET" || verb == "DELETE", "{name}: {verb} needs a body"),
            Body::Whole => assert!(verb == "POST" || verb == "PATCH", "{name}: {verb} has no body"),
            Body::Field(field) => {
                assert!(verb == "POST" || verb == "PATCH", "{name}: {verb} has no body");
                assert!(
                    route.descriptor.input().get_field_by_name(field).is_some(),
                    "{name}: no field `{field}`"
                );
            }
        }
        for variable in variables(&route.path_template) {
            let field = field_at(&route.descriptor.input(), variable);
            let field = field.unwrap_or_else(|| panic!("{name}: path variable `{variable}` names no field"));
            assert!(matches!(field.kind(), Kind::String), "{name}: path variable `{variable}` is no string");
        }
        if let Some(field) = &route.remaining_query {
            let field = route.descriptor.input().get_field_by_name(field).expect("named by the descriptor");
            let Kind::Message(parameter) = field.kind() else {
                panic!("{name}: remaining_query on a scalar")
            };
            assert_eq!(parameter.full_name(), "platform.common.v1.QueryParameter", "{name}");
            assert!(field.is_list(), "{name}: remaining_query needs a repeated field");
        }
        assert!((200..300).contains(&route.success_status), "{name}: status {}", route.success_status);
    }
}

#[test]
fn partial_updates_carry_a_mask() {
    for route in routes().iter().filter(|route| route.http_method == "PATCH") {
        if let Body::Field(field) = &route.body {
            let input = route.descriptor.input();
            let manifest = field == "manifest";
            assert!(
                manifest || input.get_field_by_name("update_mask").is_some(),
                "{} changes `{field}` and has no update_mask",
                route.descriptor.full_name()
            );
        }
    }
}

#[test]
fn no_two_routes_collide_and_each_is_found() {
    let mut routers: BTreeMap<String, matchit::Router<String>> = BTreeMap::new();
    let all = routes()
        .into_iter()
        .map(|route| (route.http_method, route.path_template, route.descriptor.full_name().to_owned()))
        .chain(raw_routes().into_iter().map(|route| {
            let name = format!("raw {}", route.path_template);
            (route.http_method, route.path_template, name)
        }))
        .collect::<Vec<_>>();
    for (verb, path, name) in &all {
        let router = routers.entry(verb.to_string()).or_default();
        if let Err(error) = router.insert(path, name.clone()) {
            panic!("{verb} {path} of {name}: {error}");
        }
    }
    for (verb, path, name) in &all {
        let filled = path.split('/').map(|segment| if segment.starts_with('{') { "a-b_1" } else { segment });
        let filled = filled.collect::<Vec<_>>().join("/");
        let found = routers[verb.as_str()].at(&filled).expect("a route for its own path");
        assert_eq!(found.value, name, "{verb} {filled}");
    }
}

#[test]
fn lists_page_the_same_way() {
    for message in messages() {
        let Some(size) = message.get_field_by_name("page_size") else { continue };
        assert!(matches!(size.kind(), Kind::Int32), "{}", message.full_name());
        assert!(
            message.get_field_by_name("page_token").is_some(),
            "{} has no page_token",
            message.full_name()
        );
    }
    for method in methods() {
        if method.input().get_field_by_name("page_token").is_some() {
            let reply = method.output();
            assert!(reply.get_field_by_name("next_page_token").is_some(), "{}", reply.full_name());
        }
    }
}

#[test]
fn names_are_snake_case_and_the_tenant_is_never_asked_for() {
    for message in messages() {
        for field in message.fields() {
            let name = field.name();
            let good = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            assert!(good, "{} is not in snake case", field.full_name());
            assert!(
                !matches!(field.kind(), Kind::Enum(_)),
                "{}: states are lower-case strings",
                field.full_name()
            );
        }
    }
    for route in routes() {
        let input = route.descriptor.input();
        let choice = ["SelectTenant", "SwitchTenant", "Impersonate"].contains(&route.method.as_str());
        assert!(
            choice || input.get_field_by_name("tenant_id").is_none(),
            "{} takes a tenant from outside",
            input.full_name()
        );
    }
}

#[test]
fn everything_is_explained() {
    for file in descriptor_pool().files().filter(|file| file.name().starts_with("platform/")) {
        let proto = file.file_descriptor_proto();
        let info = proto.source_code_info.as_ref().expect("the build keeps comments");
        let explained = |path: &[i32]| {
            info.location
                .iter()
                .any(|place| place.path == path && !place.leading_comments().trim().is_empty())
        };
        let mut places: Vec<(String, Vec<i32>)> = Vec::new();
        for (s, service) in (0..).zip(&proto.service) {
            places.push((service.name().to_owned(), vec![6, s]));
            for (m, method) in (0..).zip(&service.method) {
                places.push((format!("{}.{}", service.name(), method.name()), vec![6, s, 2, m]));
            }
        }
        for (m, message) in (0..).zip(&proto.message_type) {
            places.push((message.name().to_owned(), vec![4, m]));
            for (f, field) in (0..).zip(&message.field) {
                places.push((format!("{}.{}", message.name(), field.name()), vec![4, m, 2, f]));
            }
        }
        for (name, path) in places {
            assert!(explained(&path), "{}: {name} has no comment", file.name());
        }
    }
}

#[test]
fn the_routes_of_the_platform() {
    let mut text = String::new();
    let mut line = |verb: &http::Method, path: &str, to: String, access: &Access, status: u16| {
        let access = match access {
            Access::Public => "public".to_owned(),
            Access::Authenticated => "signed in".to_owned(),
            Access::Permission(permission) => permission.clone(),
            Access::Internal => "internal".to_owned(),
        };
        writeln!(text, "{:<6} {path:<49} {status} {access:<30} {to}", verb.as_str())
            .expect("a string takes it");
    };
    // Only the twelve: a service that is added has its own tests.
    for route in routes().into_iter().filter(|route| AREAS.contains(&route.area())) {
        let to = route.grpc_path();
        line(&route.http_method, &route.path_template, to, &route.access, route.success_status);
    }
    for route in raw_routes().into_iter().filter(|route| AREAS.contains(&route.area())) {
        line(&route.http_method, &route.path_template, format!("raw, {}", route.area()), &route.access, 200);
    }
    insta::assert_snapshot!(text);
}
