//! The merge rules, one attribute after the other: what two files say, and what comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::compose;

/// One service in two files, both in flow style without the braces; the result of one attribute, compact.
fn merged(base: &str, over: &str, attribute: &str) -> String {
    let case = compose(&format!("services: {{ a: {{ image: i, {base} }} }}"))
        .over(&format!("services: {{ a: {{ {over} }} }}"))
        .set("SET", "s");
    case.at(&format!("/services/a/{attribute}"))
}

#[test]
fn what_replaces() {
    let cases = [
        ("command: a b", "command: [c]", "command", r#"["c"]"#),
        ("command: a b", "command: []", "command", "[]"),
        ("entrypoint: [a]", "entrypoint: b c", "entrypoint", r#"["b","c"]"#),
        ("user: x", "user: y", "user", r#""y""#),
        ("user: x", "user: ", "user", r#""x""#),
        (
            "healthcheck: { test: a, retries: 2 }",
            "healthcheck: { test: [CMD, b] }",
            "healthcheck",
            r#"{"retries":2,"test":["CMD","b"]}"#,
        ),
        (
            "ulimits: { nofile: 1 }",
            "ulimits: { nofile: { soft: 2, hard: 3 } }",
            "ulimits",
            r#"{"nofile":{"hard":3,"soft":2}}"#,
        ),
        (
            "logging: { driver: a, options: { x: 1 } }",
            "logging: { driver: b, options: { y: 2 } }",
            "logging",
            r#"{"driver":"b","options":{"y":"2"}}"#,
        ),
        (
            "logging: { driver: a, options: { x: 1 } }",
            "logging: { options: { y: 2 } }",
            "logging",
            r#"{"driver":"a","options":{"x":"1","y":"2"}}"#,
        ),
    ];
    for (base, over, attribute, expected) in cases {
        assert_eq!(merged(base, over, attribute), expected, "{base} + {over}");
    }
}

#[test]
fn lists_and_mappings_of_names_and_values_merge_by_name() {
    let cases = [
        (
            "environment: { A: 1, B: 2 }",
            "environment: [B=3, C=4, SET, UNSET]",
            "environment",
            r#"{"A":"1","B":"3","C":"4","SET":"s","UNSET":null}"#,
        ),
        ("environment: [A=1, A=2]", "environment: { B: 010 }", "environment", r#"{"A":"2","B":"8"}"#),
        ("labels: [x]", "labels: { y: true }", "labels", r#"{"x":"","y":"true"}"#),
        ("sysctls: { a: 1 }", "sysctls: [a=2]", "sysctls", r#"{"a":"2"}"#),
        ("annotations: [a=1]", "annotations: { b: 2 }", "annotations", r#"{"a":"1","b":"2"}"#),
        ("build: { args: [A=1, SET] }", "build: { args: { A: 2 } }", "build/args", r#"{"A":"2","SET":"s"}"#),
    ];
    for (base, over, attribute, expected) in cases {
        assert_eq!(merged(base, over, attribute), expected, "{base} + {over}");
    }
}

#[test]
fn lists_append_and_keep_each_text_once() {
    let cases = [
        ("dns: 1.1.1.1", "dns: [2.2.2.2, 1.1.1.1]", "dns", r#"["1.1.1.1","2.2.2.2"]"#),
        ("dns_search: [a]", "dns_search: b", "dns_search", r#"["a","b"]"#),
        ("tmpfs: /a", "tmpfs: [/b]", "tmpfs", r#"["/a","/b"]"#),
        ("cap_add: [A]", "cap_add: [B, A]", "cap_add", r#"["A","B"]"#),
        ("expose: [80]", "expose: ['80', 81]", "expose", r#"["80","81"]"#),
        ("security_opt: [x]", "security_opt: [y]", "security_opt", r#"["x","y"]"#),
        ("group_add: [1]", "group_add: [b]", "group_add", r#"["1","b"]"#),
        (
            "extra_hosts: ['a:1.1.1.1']",
            "extra_hosts: { a: 2.2.2.2, b: ['::1'] }",
            "extra_hosts",
            r#"["a=1.1.1.1","a=2.2.2.2","b=::1"]"#,
        ),
        ("extra_hosts: ['a:[::1]']", "extra_hosts: ['a=::1']", "extra_hosts", r#"["a=::1","a=::1"]"#),
    ];
    for (base, over, attribute, expected) in cases {
        assert_eq!(merged(base, over, attribute), expected, "{base} + {over}");
    }
}

#[test]
fn keys_become_mappings() {
    let text = "services: { a: { image: i, depends_on: [b], networks: [n] }, b: { image: i }, c: { image: i } }\nnetworks: { n: , m: }";
    let over = "services: { a: { depends_on: { b: { condition: service_healthy }, c: { condition: service_started, required: false } }, networks: { m: { aliases: [x] } } } }";
    let case = compose(text).over(over);
    assert_eq!(
        case.at("/services/a/depends_on"),
        r#"{"b":{"condition":"service_healthy","required":true},"c":{"condition":"service_started","required":false}}"#
    );
    assert_eq!(case.at("/services/a/networks"), r#"{"m":{"aliases":["x"]},"n":null}"#);
}

#[test]
fn a_build_may_be_one_text() {
    assert_eq!(
        merged("build: ./x", "build: { target: t }", "build"),
        r#"{"context":"/proj/app/x","dockerfile":"Dockerfile","target":"t"}"#
    );
    assert_eq!(
        merged("build: { target: t }", "build: ./y", "build"),
        r#"{"context":"/proj/app/y","dockerfile":"Dockerfile","target":"t"}"#
    );
}

/// Ports and mounts, shortened.
fn shortened(base: &str, over: &str, attribute: &str) -> Vec<String> {
    let case = compose(&format!("services: {{ a: {{ image: i, {base} }} }}\nvolumes: {{ vv: , w: }}"))
        .over(&format!("services: {{ a: {{ {over} }} }}"));
    let json = case.json();
    let items = json.pointer(&format!("/services/a/{attribute}")).unwrap().as_array().unwrap();
    let text =
        |item: &serde_json::Value, key: &str| item[key].as_str().map(str::to_owned).unwrap_or_default();
    items
        .iter()
        .map(|item| match attribute {
            "ports" => format!(
                "{}:{}:{}/{}",
                text(item, "host_ip"),
                text(item, "published"),
                item["target"],
                text(item, "protocol")
            ),
            _ => format!("{}:{}:{}", text(item, "type"), text(item, "source"), text(item, "target")),
        })
        .collect()
}

#[test]
fn ports_are_one_by_all_that_they_say() {
    assert_eq!(
        shortened("ports: ['80:80']", "ports: ['81:80', '80:80', '80:80/udp', '127.0.0.1:82:80']", "ports"),
        [":80:80/tcp", ":81:80/tcp", ":80:80/udp", "127.0.0.1:82:80/tcp"]
    );
    assert_eq!(
        shortened("ports: [80]", "ports: [{ target: 80, published: 90 }]", "ports"),
        ["::80/tcp", ":90:80/tcp"]
    );
}

#[test]
fn volumes_are_one_by_target() {
    assert_eq!(
        shortened(
            "volumes: ['vv:/a', 'vv:/b']",
            "volumes: ['./x:/a/', { type: tmpfs, target: /c }]",
            "volumes"
        ),
        ["bind:/proj/app/x:/a", "volume:vv:/b", "tmpfs::/c"]
    );
}

#[test]
fn secrets_are_one_by_where_they_are_mounted() {
    let case = compose("services: { a: { image: i, secrets: [s, { source: t, target: x }] } }\nsecrets: { s: { file: s }, t: { file: t } }")
        .over("services: { a: { secrets: [{ source: s, target: x }, { source: t, target: /run/secrets/s }] } }");
    assert_eq!(
        case.at("/services/a/secrets"),
        r#"[{"source":"t","target":"/run/secrets/s"},{"source":"s","target":"x"}]"#
    );
}

#[test]
fn address_pools_are_one_by_subnet() {
    let case = compose("services: { a: { image: i, networks: [n] } }\nnetworks: { n: { ipam: { config: [{ subnet: 10.0.0.0/8 }] } } }")
        .over("networks: { n: { ipam: { config: [{ subnet: 10.0.0.0/8, gateway: 10.0.0.1 }, { subnet: 11.0.0.0/8 }] } } }");
    assert_eq!(
        case.at("/networks/n/ipam/config"),
        r#"[{"gateway":"10.0.0.1","subnet":"10.0.0.0/8"},{"subnet":"11.0.0.0/8"}]"#
    );
}

#[test]
fn extensions_merge_like_anything_else() {
    let case = compose("services: { a: { image: i } }\nx-a: { b: [1], c: { d: 1 } }")
        .over("x-a: { b: [2], c: { e: 2 } }");
    assert_eq!(case.at("/x-a"), r#"{"b":[1,2],"c":{"d":1,"e":2}}"#);
}

#[test]
fn reset_and_override() {
    let cases = [
        ("ports: ['80:80']", "ports: !reset []", "ports", "(absent)"),
        ("ports: ['80:80']", "ports: !override ['81:81']", "ports/0/published", r#""81""#),
        ("environment: { A: 1, B: 2 }", "environment: { A: !reset null }", "environment", r#"{"B":"2"}"#),
        ("environment: { A: 1 }", "environment: !override { B: 2 }", "environment", r#"{"B":"2"}"#),
        ("labels: { a: b }", "user: x, labels: !reset x", "labels", "(absent)"),
        ("user: !reset x", "image: i", "user", "(absent)"),
    ];
    for (base, over, attribute, expected) in cases {
        assert_eq!(merged(base, over, attribute), expected, "{base} + {over}");
    }
}

#[test]
fn a_reset_holds_for_a_third_file_too() {
    let case = compose("services: { a: { image: i, cap_add: [A] } }")
        .file("two.yml", "services: { a: { cap_add: !reset [] } }")
        .file("three.yml", "services: { a: { cap_add: [C] } }");
    assert_eq!(case.at("/services/a/cap_add"), r#"["C"]"#);
}

#[test]
fn later_documents_of_one_file_are_merged_over_earlier_ones() {
    let case = compose("services: { a: { image: i, user: x } }\n---\nservices: { a: { user: y } }\n");
    assert_eq!(case.at("/services/a/user"), r#""y""#);
}

#[test]
fn shapes_that_cannot_be_merged() {
    let case = compose("services:\n  a:\n    image: i\n    ports: ['80:80']\n    x-y: [1]\n")
        .over("services:\n  a:\n    ports: { a: b }\n    x-y: text\n");
    insta::assert_snapshot!(case.problems(), @r#"
    error K-COMPOSE-009: `services.a.ports`: a mapping can't be merged into a list
      over.yml:3:12 [{ a: b }] a mapping
      compose.yml:4:12 [['80:80']] a list
      help: write both in one shape, or replace the earlier one: put `!override` before the later value
    error K-COMPOSE-009: `services.a.x-y`: a text can't be merged into a list
      over.yml:4:10 [text] a text
      compose.yml:5:10 [[1]] a list
      help: write both in one shape, or replace the earlier one: put `!override` before the later value
    "#);
}
