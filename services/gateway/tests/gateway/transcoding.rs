//! REST requests as messages, and messages as JSON.

use gateway::transcode::{Parts, own_tenant, reply, request};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use prost_reflect::{DynamicMessage, Value};
use serde_json::{Value as Json, json};

use crate::protos::{route, rpc};

/// What a request makes: the JSON of its message without defaults, or the status and the sorted violations.
fn ask(method: &str, uri: &str, body: &Json) -> Result<Json, (u16, Vec<String>)> {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    ask_text(method, uri, "application/json", &text)
}

fn ask_text(
    method: &str,
    uri: &str,
    content_type: &'static str,
    body: &str,
) -> Result<Json, (u16, Vec<String>)> {
    message(method, uri, content_type, body).map(|message| serde_json::to_value(&message).unwrap())
}

fn message(
    method: &str,
    uri: &str,
    content_type: &'static str,
    body: &str,
) -> Result<DynamicMessage, (u16, Vec<String>)> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let (route, variables) = route(method, path);
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    let parts = Parts { variables: &variables, query, headers: &headers, body: body.as_bytes() };
    request(rpc(route), parts).map_err(|refusal| {
        let violations = refusal.problem().violation_list().iter();
        let mut lines: Vec<String> = violations
            .map(|violation| format!("{} {}: {}", violation.field, violation.code, violation.message))
            .collect();
        lines.sort();
        if lines.is_empty() {
            lines.push(refusal.problem().slug().to_owned());
        }
        (refusal.status().as_u16(), lines)
    })
}

fn violations(method: &str, uri: &str, body: &Json) -> Vec<String> {
    let (status, violations) = ask(method, uri, body).unwrap_err();
    assert_eq!(status, 400);
    violations
}

#[test]
fn a_body_fills_the_whole_request() {
    let body = json!({
        "probe": {
            "small": -3, "big": "9007199254740993", "natural": 4, "huge": 18_446_744_073_709_551_615_u64,
            "ratio": 0.5, "rough": "1.5", "on": true, "blob": "aGk", "colour": "COLOUR_RED", "numbers": [1, "2", 3.0],
            "counts": {"a": 1}, "inner": {"note": ""}, "at": "2026-11-22T10:00:00Z", "wait": "1.5s",
            "data": {"k": [1, null]}, "maybe": false, "left": "l", "children": [{"id": "c"}], "anything": null,
            "byNumber": {"7": {"id": "seven"}},
        },
        "more": [],
    });
    let made = ask("POST", "/v1/probes", &body).unwrap();
    assert_eq!(
        made["probe"],
        json!({
            "small": -3, "big": "9007199254740993", "natural": 4, "huge": "18446744073709551615",
            "ratio": 0.5, "rough": 1.5, "on": true, "blob": "aGk=", "colour": "COLOUR_RED", "numbers": [1, 2, 3],
            "counts": {"a": 1}, "inner": {"note": ""}, "at": "2026-11-22T10:00:00Z", "wait": "1.500s",
            "data": {"k": [1.0, null]}, "maybe": false, "left": "l", "children": [{"id": "c"}], "anything": null,
            "byNumber": {"7": {"id": "seven"}},
        })
    );
}

#[test]
fn names_may_be_written_as_in_the_proto_and_null_is_unset() {
    let made = ask(
        "POST",
        "/v1/probes",
        &json!({"probe": {"by_number": {}, "note": null, "numbers": null, "id": "x"}}),
    );
    assert_eq!(made.unwrap(), json!({"probe": {"id": "x"}}));
}

#[test]
fn everything_that_is_wrong_is_listed() {
    let body = json!({
        "prob": {},
        "probe": {
            "small": 2_147_483_648_i64, "big": 1.5, "natural": -1, "ratio": "much", "rough": 1e300, "on": "yes",
            "blob": "***", "colour": "BLUE", "numbers": [1, "x", null, 3], "counts": {"a": "b"}, "inner": [],
            "at": "yesterday", "left": "l", "right": "r", "children": [{"id": 1}, 2], "nonsense": 1,
            "byNumber": {"seven": {}}, "id": "a", "colour2": 0,
        },
        "more": {},
    });
    assert_eq!(
        violations("POST", "/v1/probes", &body),
        [
            "more wrong-type: must be an array, not an object",
            "prob unknown-field: is not known; did you mean `probe`?",
            "probe.at invalid-format: cannot be read as Timestamp: invalid rfc3339 timestamp: invalid date",
            "probe.big wrong-type: must be a whole number, not a fraction",
            "probe.blob invalid-format: must be a base64 string",
            "probe.byNumber[seven] wrong-type: its key must be a whole number",
            "probe.children[0].id wrong-type: must be a string, not a number",
            "probe.children[1] wrong-type: must be an object, not a number",
            "probe.colour unknown-value: must be one of `COLOUR_UNSPECIFIED`, `COLOUR_RED`, `COLOUR_GREEN`",
            "probe.colour2 unknown-field: is not known; did you mean `colour`?",
            "probe.counts[a] wrong-type: must be a whole number, not a string",
            "probe.inner wrong-type: must be an object, not an array",
            "probe.natural out-of-range: must be from 0 to 4294967295",
            "probe.nonsense unknown-field: is not known",
            "probe.numbers[1] wrong-type: must be a whole number, not a string",
            "probe.numbers[2] wrong-type: must be a whole number, not null",
            "probe.on wrong-type: must be true or false, not a string",
            "probe.ratio wrong-type: must be a number, not a string",
            "probe.right conflict: cannot be given together with `left`",
            "probe.rough out-of-range: must be a 32-bit number",
            "probe.small out-of-range: must be from -2147483648 to 2147483647",
        ]
    );
}

#[test]
fn the_same_field_under_both_names_is_given_twice() {
    let found =
        violations("POST", "/v1/probes", &json!({"probe": {"byNumber": {"1": {}}, "by_number": {"2": {}}}}));
    assert_eq!(found, ["probe.by_number duplicate: is given twice"]);
}

#[test]
fn the_query_fills_what_path_and_body_leave() {
    let uri = "/v1/probes?pageSize=5&page_token=t%2B1&deep=true&colour=COLOUR_GREEN&numbers=1&numbers=2\
               &like.inner.id=x+y&like.ratio=0.5&since=2026-01-01T00:00:00Z&fields=a,bC&maybe=false&price=gte.10&price=lt.20";
    assert_eq!(
        ask("GET", uri, &Json::Null).unwrap(),
        json!({
            "pageSize": 5, "pageToken": "t+1", "deep": true, "colour": "COLOUR_GREEN", "numbers": [1, 2],
            "like": {"inner": {"id": "x y"}, "ratio": 0.5}, "since": "2026-01-01T00:00:00Z", "fields": "a,bC",
            "maybe": false,
            "filters": [{"name": "price", "value": "gte.10"}, {"name": "price", "value": "lt.20"}],
        })
    );
}

#[test]
fn wrong_queries_are_listed_too() {
    let uri = "/v1/probes?pageSize=many&deep=maybe&colour=9&numbers=1&numbers=x&like=1&since=now&pageToken=a&pageToken=b&like.counts=1";
    assert_eq!(
        violations("GET", uri, &Json::Null),
        [
            "colour unknown-value: must be one of `COLOUR_UNSPECIFIED`, `COLOUR_RED`, `COLOUR_GREEN`",
            "deep wrong-type: must be true or false, not a string",
            "like wrong-type: is an object; name one of its fields, as in `a.b`",
            "like.counts wrong-type: is a map, which a query parameter cannot fill",
            "numbers wrong-type: must be a whole number, not a string",
            "pageSize wrong-type: must be a whole number, not a string",
            "pageToken duplicate: is given twice",
            "since invalid-format: cannot be read as Timestamp: invalid rfc3339 timestamp: invalid date",
        ]
    );
    assert_eq!(
        violations("GET", "/v1/probes/p?depth=1&id=q", &Json::Null),
        [
            "depth unknown-field: is not known",
            "id misplaced: is not for the query: the path or the body gives it"
        ]
    );
    assert_eq!(
        violations("POST", "/v1/probes?tenantId=t", &json!({})),
        ["tenantId misplaced: is not for the query: the path or the body gives it"]
    );
}

#[test]
fn the_path_wins_over_the_body() {
    let made = ask("PATCH", "/v1/probes/p1", &json!({"id": "other", "note": "n"})).unwrap();
    assert_eq!(made["probe"], json!({"id": "p1", "note": "n"}));
    let fired = ask("POST", "/v1/probes/p1:fire", &json!({"id": "other", "deep": true})).unwrap();
    assert_eq!(fired, json!({"id": "p1", "deep": true}));
    assert_eq!(
        ask("GET", "/v1/tenants/t/probes/p", &Json::Null).unwrap(),
        json!({"name": "tenants/t/probes/p"})
    );
}

#[test]
fn a_patch_changes_what_stands_in_its_body() {
    let table = [
        (
            "/v1/probes/p1",
            json!({"note": null, "byNumber": {}, "inner": {"small": 1, "inner": {"big": 2}}, "data": {"k": 1}}),
            "note,byNumber,inner.small,inner.inner.big,data",
        ),
        ("/v1/probes/p1?updateMask=note", json!({"note": "n", "small": 1}), "note"),
        ("/v1/flat-probes/p1", json!({"id": "x", "note": "n", "inner": {}}), "note,inner"),
        ("/v1/flat-probes/p1", json!({"note": "n", "updateMask": "inner"}), "inner"),
        ("/v1/flat-probes/p1?updateMask=inner", json!({"note": "n"}), "inner"),
        ("/v1/probes/p1/data", json!({"title": 1, "sub": {"x": 1}}), "title,sub"),
    ];
    for (uri, body, mask) in table {
        assert_eq!(ask("PATCH", uri, &body).unwrap()["updateMask"], mask, "{uri} {body}");
    }
    assert!(
        ask("PATCH", "/v1/probes/p1", &json!({})).unwrap().get("updateMask").is_none_or(|mask| mask == "")
    );
}

#[test]
fn the_content_type_must_be_json() {
    for good in [
        "application/json",
        "application/json; charset=UTF-8",
        "Application/JSON",
        "application/merge-patch+json",
    ] {
        assert!(ask_text("POST", "/v1/probes", good, "{}").is_ok(), "{good}");
    }
    for bad in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
        "application/jsonx",
    ] {
        assert_eq!(ask_text("POST", "/v1/probes", bad, "{}").unwrap_err().0, 415, "{bad}");
    }
    assert!(ask_text("POST", "/v1/probes", "", "").is_ok(), "an empty body needs no type");
}

#[test]
fn what_is_no_json_or_no_object_is_refused() {
    assert_eq!(
        ask_text("POST", "/v1/probes", "application/json", "{").unwrap_err(),
        (400, vec!["malformed-json".to_owned()])
    );
    assert_eq!(
        violations("POST", "/v1/probes", &json!([])),
        [" wrong-type: must be an object, not an array"]
    );
    let deep = "[".repeat(100_000);
    assert_eq!(ask_text("POST", "/v1/probes", "application/json", &deep).unwrap_err().0, 400);
    assert_eq!(
        violations("DELETE", "/v1/probes/p", &json!({"id": "x"})),
        [" unknown-field: this operation takes no body"]
    );
}

#[test]
fn nobody_speaks_for_another_tenant() {
    let body = r#"{"tenantId": "other", "probe": {"tenantId": "other", "children": [{"tenantId": "other"}], "inner": {}}}"#;
    let mut made = message("POST", "/v1/probes", "application/json", body).unwrap();
    own_tenant(&mut made, rpc(route("POST", "/v1/probes").0), "mine");
    assert_eq!(
        serde_json::to_value(&made).unwrap(),
        json!({"tenantId": "mine", "probe": {"tenantId": "mine", "children": [{"tenantId": "mine"}], "inner": {}}})
    );
    let mut empty = message("POST", "/v1/probes", "application/json", "{}").unwrap();
    own_tenant(&mut empty, rpc(route("POST", "/v1/probes").0), "mine");
    assert_eq!(serde_json::to_value(&empty).unwrap(), json!({"tenantId": "mine"}));
}

#[test]
fn a_tenant_in_the_path_is_what_is_asked_for() {
    let mut made =
        message("POST", "/v1/tenants/t1/probes", "application/json", r#"{"probe": {"tenantId": "x"}}"#)
            .unwrap();
    own_tenant(&mut made, rpc(route("POST", "/v1/tenants/t1/probes").0), "mine");
    assert_eq!(
        serde_json::to_value(&made).unwrap(),
        json!({"tenantId": "t1", "probe": {"tenantId": "mine"}})
    );
}

#[test]
fn a_reply_names_every_field_but_absent_messages() {
    let list = rpc(route("GET", "/v1/probes").0);
    let text = reply(list, &DynamicMessage::new(list.output.clone())).unwrap();
    assert_eq!(
        serde_json::from_slice::<Json>(&text).unwrap(),
        json!({"probes": [], "nextPageToken": "", "names": []})
    );

    let get = rpc(route("GET", "/v1/probes/p").0);
    let mut probe = DynamicMessage::new(get.output.clone());
    probe.set_field_by_name("big", Value::I64(9_007_199_254_740_993));
    let json: Json = serde_json::from_slice(&reply(get, &probe).unwrap()).unwrap();
    assert_eq!((&json["big"], &json["colour"]), (&json!("9007199254740993"), &json!("COLOUR_UNSPECIFIED")));
    for absent in ["inner", "at", "note", "left"] {
        assert!(json.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn one_field_of_a_reply_may_be_the_body() {
    let names = rpc(route("GET", "/v1/probe-names").0);
    let mut message = DynamicMessage::new(names.output.clone());
    message.set_field_by_name("names", Value::List(vec![Value::String("a".to_owned())]));
    assert_eq!(reply(names, &message).unwrap(), br#"["a"]"#);
}
