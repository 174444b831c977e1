//! What is refused, and how it is told: all at once, each with its place and with what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::compose;

#[test]
fn text_that_is_no_yaml() {
    insta::assert_snapshot!(compose("services:\n  a: [1, 2\n  b: 3\n").problems(), @r#"
    error K-COMPOSE-001: this is not YAML: illegal placement of ':' indicator
      compose.yml:3:4 [:] the parser stopped here
    "#);
}

#[test]
fn keys() {
    let text = "services:\n  a:\n    image: i\n    image: j\n    1: x\n    true: y\n    ? [a]\n    : z\n    labels:\n      x: 1\n      \"x\": 2\n";
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-002: `image` stands twice in one mapping
      compose.yml:4:5 [image] again here
      compose.yml:3:5 [image] first here
      help: keep one of them
    error K-COMPOSE-003: a key must be a text, and `1` is a number
      compose.yml:5:5 [1] not a text
      help: write it in quotes: "1"
    error K-COMPOSE-003: a key must be a text, and `true` is a truth value
      compose.yml:6:5 [true] not a text
      help: write it in quotes: "true"
    error K-COMPOSE-003: a key must be a text, and this is a list
      compose.yml:7:7 [[a]] not a text
      help: write the key as a word, or in quotes
    error K-COMPOSE-002: `x` stands twice in one mapping
      compose.yml:11:7 ["x"] again here
      compose.yml:10:7 [x] first here
      help: keep one of them
    "#);
}

#[test]
fn aliases() {
    let text = "x-a: &a [1]\nservices:\n  a: { image: i, dns: *nobody, <<: *a }\nx-b: &b { c: *b }\n";
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-005: `<<` takes a mapping or a list of mappings
      compose.yml:1:9 [[1]] a list
      help: name an anchor that marks a mapping: `<<: *name`
    error K-COMPOSE-004: the alias `*nobody` names no anchor
      compose.yml:3:23 [*nobody] no such anchor before this place
      help: mark the value that is meant with `&nobody`, earlier in the same document
    error K-COMPOSE-004: an alias stands inside the value that it names
      compose.yml:4:14 [*b] this alias is not followed
      help: write the value out; aliases may copy 50000 values, 128 deep
    "#);
}

#[test]
fn an_alias_bomb_is_put_out() {
    let mut text = "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let last = level - 1;
        text += &format!("x-{level}: &a{level} [{}]\n", vec![format!("*a{last}"); 10].join(", "));
    }
    text += "services: { a: { image: i } }\n";
    let problems = compose(&text).problems();
    assert!(
        problems.starts_with("error K-COMPOSE-004: the aliases of this document copy too much"),
        "{problems}"
    );
    assert_eq!(problems.matches("K-COMPOSE-004").count(), 1);
}

#[test]
fn unknown_attributes() {
    let text = "service: {}\nservices:\n  a:\n    image: i\n    enviroment: {}\n    kubernetes: 1\n    healthcheck: { tset: x }\n    x-mine: fine\n    x-kernel: { pakage: a }\nnetworks: { n: { internl: true } }\nx-kernel: { generat: [A] }\n";
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-010: the Compose Specification knows no attribute `service` here
      compose.yml:1:1 [service] unknown
      help: did you mean `services`?
    error K-COMPOSE-010: `services.a`: the Compose Specification knows no attribute `enviroment` here
      compose.yml:5:5 [enviroment] unknown
      help: did you mean `environment`?
    error K-COMPOSE-010: `services.a`: the Compose Specification knows no attribute `kubernetes` here
      compose.yml:6:5 [kubernetes] unknown
      help: see `docs/compose.md`; what is only for you goes under a name that starts with `x-`
    error K-COMPOSE-010: `services.a.healthcheck`: the Compose Specification knows no attribute `tset` here
      compose.yml:7:20 [tset] unknown
      help: did you mean `test`?
    error K-COMPOSE-026: `services.a.x-kernel`: `kernel` knows no attribute `pakage` here
      compose.yml:9:17 [pakage] unknown
      help: did you mean `package`?
    error K-COMPOSE-010: `networks.n`: the Compose Specification knows no attribute `internl` here
      compose.yml:10:18 [internl] unknown
      help: did you mean `internal`?
    error K-COMPOSE-026: `x-kernel`: `kernel` knows no attribute `generat` here
      compose.yml:11:13 [generat] unknown
      help: did you mean `generate`?
    "#);
}

#[test]
fn wrong_shapes_and_values() {
    let text = r#"services:
  a:
    image: [i]
    ports: ["80:80800", "a:b:c:d", "1-3:5-6", { published: 1 }, "1.2.3:80:80", 0, "80/icmp"]
    privileged: maybe
    mem_limit: 64q
    stop_grace_period: 10
    healthcheck: { test: [wget], interval: fast, retries: many }
    command: sh -c 'x
    volumes: [":/w", "a:b", "a:/b:rx", { target: /x }, "a:b:c:d"]
    environment: { A: [1] }
    depends_on: x
    restart: sometimes
    labels: text
    read_only: yes
    deploy: { resources: { limits: { cpus: lots } } }
  b:
  c: text
networks: []
"#;
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-011: `services.a.image`: a text is wanted, and this is a list
      compose.yml:3:12 [[i]] a list
      help: write a text here
    error K-COMPOSE-012: `services.a.ports[0]`: `80:80800` is not a port mapping: 80800 is larger than 65535
      compose.yml:4:13 ["80:80800"] 80800 is larger than 65535
      help: write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535
    error K-COMPOSE-012: `services.a.ports[1]`: `a:b:c:d` is not a port mapping: `a:b` is not an IP address
      compose.yml:4:25 ["a:b:c:d"] `a:b` is not an IP address
      help: write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535
    error K-COMPOSE-012: `services.a.ports[2]`: `1-3:5-6` is not a port mapping: the two ranges differ in length
      compose.yml:4:36 ["1-3:5-6"] the two ranges differ in length
      help: write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535
    error K-COMPOSE-012: `services.a.ports[3]`: the port in the container is missing
      compose.yml:4:47 [{ published: 1 }] no `target`
      help: add `target: PORT`
    error K-COMPOSE-012: `services.a.ports[4]`: `1.2.3:80:80` is not a port mapping: `1.2.3` is not an IP address
      compose.yml:4:65 ["1.2.3:80:80"] `1.2.3` is not an IP address
      help: write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535
    error K-COMPOSE-012: `services.a.ports[6]`: `80/icmp` is not a port mapping: `icmp` is not a protocol
      compose.yml:4:83 ["80/icmp"] `icmp` is not a protocol
      help: write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535
    error K-COMPOSE-011: `services.a.privileged`: `true` or `false` is wanted, and this is a text
      compose.yml:5:17 [maybe] a text
      help: write `true` or `false` here
    error K-COMPOSE-012: `services.a.mem_limit`: `64q` is not a size
      compose.yml:6:16 [64q] not a size
      help: write a number with a unit: `512k`, `64m`, `2g`
    error K-COMPOSE-011: `services.a.stop_grace_period`: a text is wanted, and this is a number
      compose.yml:7:24 [10] a number
      help: put it in quotes: "10"
    error K-COMPOSE-012: service `a`: the test of the health check starts with none of `CMD`, `CMD-SHELL`, `NONE`
      compose.yml:8:27 [wget] not one of them
      help: write `[CMD, program, argument]` or `[CMD-SHELL, line]`
    error K-COMPOSE-012: `services.a.healthcheck.interval`: `fast` is not a time
      compose.yml:8:44 [fast] not a time
      help: write numbers with units: `250ms`, `10s`, `1m30s`
    error K-COMPOSE-011: `services.a.healthcheck.retries`: a whole number is wanted, and this is a text
      compose.yml:8:59 [many] a text
      help: write a whole number here
    error K-COMPOSE-012: `services.a.command`: the command can't be split into words: a quote that is not closed
      compose.yml:9:14 [sh -c 'x] a quote that is not closed
      help: close the quote, or write the command as a list
    error K-COMPOSE-012: `services.a.volumes[0]`: `:/w` is not a mount: a part of it is empty
      compose.yml:10:15 [":/w"] a part is empty
      help: write `[SOURCE:]TARGET[:ro]`
    error K-COMPOSE-011: `services.a.volumes[3]`: `type` is missing
      compose.yml:10:40 [{ target: /x }] no `type`
      help: add `type: …`
    error K-COMPOSE-011: `services.a.environment.A`: a text, a number or a truth value is wanted, and this is a list
      compose.yml:11:23 [[1]] a list
      help: write a text, a number or a truth value here
    error K-COMPOSE-011: `services.a.depends_on`: a mapping is wanted, and this is a text
      compose.yml:12:17 [x] a text
      help: write a mapping here
    warning K-COMPOSE-012: service `a`: `sometimes` is not a restart policy
      compose.yml:13:14 [sometimes] unknown
      help: write `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:TIMES`
    error K-COMPOSE-011: `services.a.labels`: a mapping or a list of `NAME=value` is wanted, and this is a text
      compose.yml:14:13 [text] a text
      help: write a mapping or a list of `NAME=value` here
    warning K-COMPOSE-028: `services.a.read_only`: `yes` is an old way to write `true`
      compose.yml:15:16 [yes] old
      help: write `true`
    error K-COMPOSE-011: `services.a.deploy.resources.limits.cpus`: a number is wanted, and this is a text
      compose.yml:16:44 [lots] a text
      help: write a number here
    error K-COMPOSE-011: `services.b`: a mapping is wanted, and this is nothing
      compose.yml:17:3 [b] nothing
      help: write a mapping here, or take the line out
    error K-COMPOSE-011: `services.c`: a mapping is wanted, and this is a text
      compose.yml:18:6 [text] a text
      help: write a mapping here
    error K-COMPOSE-011: `networks`: a mapping is wanted, and this is a list
      compose.yml:19:11 [[]] a list
      help: write a mapping here
    "#);
}

#[test]
fn references() {
    let text = r#"services:
  web:
    image: i
    networks: [bck]
    volumes: ["dta:/x"]
    secrets: [s]
    configs: [c]
    depends_on: { dbb: { condition: service_healthy }, tool: { condition: service_started }, gone: { condition: service_started, required: false } }
  db: { image: i }
  tool: { image: i, profiles: [tools, debug] }
  empty: {}
networks: { back: }
volumes: { data: }
"#;
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-013: service `web` uses the network `bck`, which is not declared
      compose.yml:4:16 [bck] not declared
      help: did you mean `back`?
    error K-COMPOSE-013: service `web` uses the volume `dta`, which is not declared
      compose.yml:5:15 ["dta:/x"] not declared
      help: did you mean `data`?
    error K-COMPOSE-013: service `web` uses the secret `s`, which is not declared
      compose.yml:6:15 [s] not declared
      help: declare it at the top level: `secrets: { s: … }`
    error K-COMPOSE-013: service `web` uses the config `c`, which is not declared
      compose.yml:7:15 [c] not declared
      help: declare it at the top level: `configs: { c: … }`
    error K-COMPOSE-014: service `web` depends on `dbb`, which does not exist
      compose.yml:8:19 [dbb] no such service
      help: did you mean `db`?
    error K-COMPOSE-015: service `web` depends on `tool`, which only the profile `tools` or `debug` shows
      compose.yml:8:56 [tool] hidden by its profile
      help: add `--profile tools`, or say `required: false` here
    error K-COMPOSE-014: service `web` depends on `gone`, which does not exist
      compose.yml:8:94 [gone] no such service
      help: declare it under `services`, or take it out here
    error K-COMPOSE-017: service `empty` has neither `image` nor `build`
      compose.yml:11:3 [empty] nothing to run
      help: say `image: NAME`, or `build: DIRECTORY`
    "#);
}

#[test]
fn a_circle_is_a_chain() {
    let text = "services:\n  a: { image: i, depends_on: [b] }\n  b: { image: i, depends_on: [c] }\n  c: { image: i, depends_on: [a, c] }\n";
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-016: services wait for each other in a circle: a → b → c → a
      compose.yml:2:31 [b] `a` waits for `b`
      compose.yml:3:31 [c] `b` waits for `c`
      compose.yml:4:31 [a] `c` waits for `a`
      help: take one of these dependencies out
    error K-COMPOSE-016: services wait for each other in a circle: c → c
      compose.yml:4:34 [c] `c` waits for `c`
      help: take one of these dependencies out
    "#);
}

#[test]
fn contradictions() {
    let text = r#"services:
  a:
    image: i
    network_mode: host
    networks: [default]
    ports: ["8080:80"]
    volumes: ["x:/data"]
    tmpfs: /data
    container_name: same
    scale: 2
    deploy: { replicas: 3 }
    depends_on: { b: { condition: service_healty } }
  b:
    build: { dockerfile: D, dockerfile_inline: FROM x }
    ports: ["127.0.0.1:8080:81", "8080:80/udp"]
    container_name: same
    x-kernel: { package: b, embedded: { A: b } }
  c: { image: i, healthcheck: { disable: true }, depends_on: { d: { condition: service_healthy } }, x-kernel: { scenario: c } }
  d: { image: i, healthcheck: { test: NONE, disable: true } }
volumes: { x: }
"#;
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-018: service `a` has both `network_mode` and `networks`, which exclude each other
      compose.yml:4:19 [host] this
      compose.yml:5:15 [[default]] or this
      help: keep one of them
    error K-COMPOSE-018: service `a` has one `container_name` for several containers
      compose.yml:9:21 [same] can name only one
      help: leave `container_name` out
    error K-COMPOSE-018: service `a` has both `scale` and `deploy.replicas`, which exclude each other
      compose.yml:10:12 [2] this
      compose.yml:11:25 [3] or this
      help: keep one of them
    error K-COMPOSE-012: `services.a.depends_on.b.condition`: `service_healty` is none of `service_started`, `service_healthy`, `service_completed_successfully`
      compose.yml:12:35 [service_healty] none of them
      help: did you mean `service_healthy`?
    error K-COMPOSE-029: services `a` and `b` have one `container_name`, `same`
      compose.yml:13:3 [b] again here
      compose.yml:2:3 [a] first here
      help: give each its own name, or leave it out
    error K-COMPOSE-018: service `b` has both `build.dockerfile` and `build.dockerfile_inline`, which exclude each other
      compose.yml:14:26 [D] this
      compose.yml:14:48 [FROM x] or this
      help: keep one of them
    warning K-COMPOSE-027: services `a` and `b` both publish port 8080
      compose.yml:15:13 ["127.0.0.1:8080:81"] again here
      compose.yml:6:13 ["8080:80"] first here
      help: publish one of them on another port
    error K-COMPOSE-026: `x-kernel` of service `b` has both `package` and `embedded`: it is either ours or infrastructure
      compose.yml:17:15 [{ package: b, embedded: { A: b } }] contradicts itself
      help: a service of this workspace has `package`, an infra service has `embedded`
    warning K-COMPOSE-032: service `c` depends on `d` being healthy, and its health check is switched off
      compose.yml:18:64 [d] can never be healthy
      compose.yml:19:3 [d] no health check
      help: wait for `service_started`, or give it a health check
    error K-COMPOSE-026: `x-kernel` of service `c` has `scenario` or `environment` and no `package`
      compose.yml:18:111 [{ scenario: c }] contradicts itself
      help: a service of this workspace has `package`, an infra service has `embedded`
    "#);
}

#[test]
fn projects_without_a_name_or_services() {
    insta::assert_snapshot!(compose("name: '---'\nservices: {}\n").problems(), @r#"
    error K-COMPOSE-024: no name for the project can be made of `---`
      compose.yml:1:7 ['---'] nothing is left of it
      help: give it one: `name: …` at the top of the Compose file, or `--project-name`
    "#);
    insta::assert_snapshot!(compose("# nothing\n").named("Not Good").problems(), @r#"
    error K-COMPOSE-025: `compose.yml` says nothing
      help: a Compose file has `services`: `services: { web: { image: nginx } }`
    error K-COMPOSE-024: `Not Good` can't be the name of a project
      help: a name has lower-case letters, digits, `_` and `-`, and starts with a letter or digit: `notgood`
    "#);
    insta::assert_snapshot!(compose("- a\n---\ntext\n").problems(), @r#"
    error K-COMPOSE-025: a Compose file is a mapping, and this is a list
      compose.yml:1:1 [- a] not a mapping
      help: a Compose file has `services`: `services: { web: { image: nginx } }`
    error K-COMPOSE-025: a Compose file is a mapping, and this is a text
      compose.yml:3:1 [text] not a mapping
      help: a Compose file has `services`: `services: { web: { image: nginx } }`
    "#);
}

#[test]
fn warnings_do_not_stand_in_the_way() {
    let case = compose("version: '3.8'\nservices: { a: { image: i, labels: !custom { a: b } } }\nnetworks: { n: { external: { name: x } } }\n").profile("debgu");
    insta::assert_snapshot!(case.problems(), @r#"
    warning K-COMPOSE-031: no service has the profile `debgu`
      help: this project has no profiles
    warning K-COMPOSE-028: `version` has no meaning any more
      compose.yml:1:10 ['3.8'] ignored
      help: remove the line
    warning K-COMPOSE-030: the tag `!custom` means nothing in a Compose file
      compose.yml:2:44 [{] taken without its tag
      help: the tags of Compose are `!reset` and `!override`
    warning K-COMPOSE-028: `networks.n.external`: a mapping is an old way to name an external resource
      compose.yml:3:28 [{ name: x }] old
      help: write `external: true`, and `name: …` beside it
    "#);
    assert_eq!(case.project().services.len(), 1);
}

#[test]
fn one_thing_said_twice_or_not_at_all() {
    let text = r#"services:
  a:
    image: i
    cpus: 1
    mem_limit: 1g
    pids_limit: 5
    scale: -1
    deploy: { resources: { limits: { cpus: 2, memory: 1024m, pids: 6 } } }
    networks: [n]
    volumes: ["v:/v"]
    secrets: [s, t]
    configs: [c]
    build: { additional_contexts: { x: "service:b", y: "service:c" } }
  b: { image: b }
  c: { build: . }
networks: { n: { external: true, driver: bridge } }
volumes: { v: { external: true, name: w } }
secrets: { s: , t: { file: x, environment: Y } }
configs: { c: { content: x } }
"#;
    insta::assert_snapshot!(compose(text).problems(), @r#"
    error K-COMPOSE-018: service `a` has `cpus` and another `deploy.resources.limits.cpus`
      compose.yml:4:11 [1] this
      compose.yml:8:44 [2] or this
      help: keep one of them
    error K-COMPOSE-018: service `a` has `pids_limit` and another `deploy.resources.limits.pids`
      compose.yml:6:17 [5] this
      compose.yml:8:68 [6] or this
      help: keep one of them
    error K-COMPOSE-012: service `a` can't run less than 0 times
      compose.yml:7:12 [-1] negative
      help: write 0 or more
    error K-COMPOSE-014: service `a` builds on the service `b`, which is not built in this project
      compose.yml:13:40 ["service:b"] not built here
      help: name a service that has `build`, or an image: `docker-image://NAME`
    error K-COMPOSE-011: `secrets.s`: a mapping is wanted, and this is nothing
      compose.yml:18:12 [s] nothing
      help: write a mapping here, or take the line out
    error K-COMPOSE-018: the secret `t` comes from two places
      compose.yml:18:31 [environment] this
      compose.yml:18:22 [file] or this
      help: say one of `file` or `environment`, or `external: true`
    "#);
}
