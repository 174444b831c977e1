//! Which route answers which verb and path.

use gateway::routes::{Lookup, Policy, RouteTable, Streaming, Target};
use http::Method;

use crate::protos::{compile, probes, route, rpc};

#[test]
fn a_verb_and_a_path_lead_to_an_rpc() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        ("POST", "/v1/probes", "Create", &[]),
        ("GET", "/v1/probes/p1", "Get", &["p1"]),
        ("HEAD", "/v1/probes/p1", "Get", &["p1"]),
        ("GET", "/v1/probes/a%20b%2Fc", "Get", &["a b/c"]),
        ("GET", "/v1/tenants/t/probes/p", "Get", &["tenants/t/probes/p"]),
        ("GET", "/v1/probes", "List", &[]),
        ("PATCH", "/v1/probes/p1", "Update", &["p1"]),
        ("DELETE", "/v1/probes/p1", "Delete", &["p1"]),
        ("POST", "/v1/probes/p1:fire", "Fire", &["p1"]),
        ("POST", "/v1/probes/a:b:fire", "Fire", &["a:b"]),
        ("GET", "/v1/probes:watch", "Watch", &[]),
        // A colon without a known verb is part of the name.
        ("GET", "/v1/probes/p1:cold", "Get", &["p1:cold"]),
        // A known verb on a path that has none is, too.
        ("GET", "/v1/probes/p1:fire", "Get", &["p1:fire"]),
    ];
    for (method, path, name, expected) in table {
        let (route, variables) = route(method, path);
        assert_eq!(rpc(route).path, format!("/platform.probe.v1.ProbeService/{name}"), "{method} {path}");
        assert_eq!(variables, *expected, "{method} {path}");
        assert_eq!(route.area, "probe");
    }
}

#[test]
fn raw_routes_stand_beside_the_others() {
    let (upload, _) = route("POST", "/v1/probes/upload");
    assert!(matches!(upload.target, Target::Raw));
    assert_eq!(upload.policy, Policy::Permission("probe.files.upload".to_owned()));
    let (rest, variables) = route("GET", "/.well-known/acme/token/1");
    assert_eq!(
        (&rest.policy, variables.as_slice()),
        (&Policy::Public, ["acme/token/1".to_owned()].as_slice())
    );
}

#[test]
fn what_is_not_there_is_unknown_or_has_another_verb() {
    let unknown = [
        "/",
        "/v1",
        "/v1/probes/",
        "/v1/probes/p/x",
        "/v1//probes",
        "/.well-known",
        "/platform.probe.v1.ProbeService/Get",
    ];
    for path in unknown {
        assert!(matches!(probes().find(&Method::GET, path), Lookup::Unknown), "{path}");
    }
    for (method, path, expected) in [
        ("PUT", "/v1/probes/p1", "DELETE, GET, HEAD, PATCH"),
        ("DELETE", "/v1/probes", "GET, HEAD, POST"),
        ("GET", "/v1/probes/upload", "POST"),
        ("OPTIONS", "/v1/probes:watch", "GET, HEAD"),
    ] {
        match probes().find(&Method::from_bytes(method.as_bytes()).unwrap(), path) {
            Lookup::WrongMethod(allow) => assert_eq!(allow, expected, "{method} {path}"),
            _ => panic!("{method} {path} is answered"),
        }
    }
    assert!(matches!(probes().find(&Method::GET, "/v1/probes/%ff"), Lookup::Malformed));
}

#[test]
fn routes_know_who_may_call_and_what_success_is() {
    let create = route("POST", "/v1/probes").0;
    assert_eq!(create.policy, Policy::Permission("probe.probes.create".to_owned()));
    assert_eq!(rpc(create).success.as_u16(), 201);
    let list = route("GET", "/v1/probes").0;
    assert_eq!((&list.policy, rpc(list).success.as_u16()), (&Policy::SignedIn, 200));
    assert_eq!(rpc(route("DELETE", "/v1/probes/p").0).success.as_u16(), 204);
    assert_eq!(route("GET", "/v1/probes/p").0.policy, Policy::Public);
    assert_eq!(rpc(route("GET", "/v1/probes:watch").0).streaming, Streaming::Replies);
    assert_eq!(rpc(route("POST", "/v1/probes:stream").0).streaming, Streaming::Requests);
}

#[test]
fn an_internal_rpc_has_no_route() {
    let hidden = probes().iter().filter(|route| match &route.target {
        Target::Rpc(rpc) => rpc.path.as_str().ends_with("/Hidden"),
        Target::Raw => false,
    });
    assert_eq!(hidden.count(), 0);
}

#[test]
fn every_wrong_annotation_is_reported_at_once() {
    let Err(error) = RouteTable::compile(&compile("broken.proto")) else { panic!("it compiled") };
    let text = error.to_string();
    for expected in [
        "BrokenService: `no-slash` is not a path template: it must begin with `/`",
        "BrokenService.Put: PUT is banned",
        "BrokenService.Internal: an internal RPC must have no REST binding",
        "BrokenService.NoField: `platform.broken.v1.Thing` has no field `name`",
        "BrokenService.Repeated: `ids`: a variable cannot fill a repeated field",
        "BrokenService.NoBodyField: `platform.broken.v1.Thing` has no field `thing`",
        "BrokenService.BodyOnGet: a GET route takes no body",
        "BrokenService.Status: `success_status` 404 is no status of success",
        "GET /v1/same/{other}: is bound twice: also as /v1/same/{id}",
    ] {
        assert!(text.contains(expected), "no {expected} in\n{text}");
    }
    assert_eq!(error.defects.len(), 9, "{text}");
}

#[test]
fn the_platform_itself_makes_a_table() {
    let table = RouteTable::compile(svc_api::descriptor_pool()).unwrap_or_else(|error| panic!("{error}"));
    assert!(table.iter().count() > 50);
    let areas: Vec<&str> = gateway::upstream::AREAS.iter().map(|(area, _)| area.as_str()).collect();
    for route in table.iter() {
        assert!(
            areas.contains(&route.area.as_str()),
            "{} {} belongs to no service",
            route.method,
            route.path
        );
    }
    assert!(matches!(table.find(&Method::POST, "/v1/auth/login"), Lookup::Found(..)));
    assert!(matches!(table.find(&Method::GET, "/.well-known/jwks.json"), Lookup::Found(..)));
}
