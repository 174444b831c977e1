//! `extends` and `include`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::compose;

#[test]
fn a_service_extends_another_one() {
    let case = compose(
        "services:\n  base: { image: i, environment: { A: 1, B: 1 }, cap_add: [X], depends_on: [db] }\n  web: { extends: base, environment: [B=2], command: run }\n  last: { extends: { service: web }, user: u }\n  db: { image: d }\n",
    );
    insta::assert_snapshot!(case.at("/services/last"), @r#"{"cap_add":["X"],"command":["run"],"depends_on":{"db":{"condition":"service_started","required":true}},"entrypoint":null,"environment":{"A":"1","B":"2"},"image":"i","networks":{"default":null},"user":"u"}"#);
}

#[test]
fn what_comes_from_another_file_keeps_its_paths() {
    let case = compose("services: { web: { extends: { file: ../common/base.yml, service: base }, volumes: ['./own:/own'] } }").readable(
        "/proj/common/base.yml",
        "services:\n  base: { extends: root, build: ., volumes: ['./data:/data'], env_file: x.env }\n  root: { image: r, user: u }\n",
    )
    .readable("/proj/common/x.env", "A=1\n");
    let json = case.json();
    let web = &json["services"]["web"];
    assert_eq!(web["build"]["context"], "/proj/common");
    assert_eq!(web["volumes"][0]["source"], "/proj/common/data");
    assert_eq!(web["volumes"][1]["source"], "/proj/app/own");
    assert_eq!(web["environment"]["A"], "1");
    assert_eq!((web["image"].as_str(), web["user"].as_str()), (Some("r"), Some("u")));
}

#[test]
fn a_reset_takes_what_was_inherited_in_every_chain() {
    let case = compose(
        "services:\n  a: { image: i, cap_add: [A], dns: 1.1.1.1 }\n  b: { extends: a, cap_add: !reset [] }\n  c: { extends: b, dns: !override [2.2.2.2] }\n  d: { extends: c, cap_add: [D] }\n",
    );
    let json = case.json();
    let of = |name: &str| {
        (json["services"][name]["cap_add"].to_string(), json["services"][name]["dns"].to_string())
    };
    assert_eq!(of("a"), (r#"["A"]"#.into(), r#"["1.1.1.1"]"#.into()));
    assert_eq!(of("b"), ("null".into(), r#"["1.1.1.1"]"#.into()));
    assert_eq!(of("c"), ("null".into(), r#"["2.2.2.2"]"#.into()));
    assert_eq!(of("d"), (r#"["D"]"#.into(), r#"["2.2.2.2"]"#.into()));
}

#[test]
fn what_extends_nothing_is_told() {
    let case = compose(
        "services:\n  a: { extends: b }\n  b: { extends: a }\n  c: { extends: bb, image: i }\n  d: { extends: { file: gone.yml, service: x }, image: i }\n  e: { extends: { servce: x }, image: i }\n  f: { extends: { file: here.yml, service: webb }, image: i }\n",
    )
    .readable("/proj/app/here.yml", "services: { web: { image: i } }");
    insta::assert_snapshot!(case.problems(), @r#"
    error K-COMPOSE-019: `extends` goes in a circle: a → b → a
      compose.yml:3:17 [a] closes the circle
      help: take one of these out
    error K-COMPOSE-019: the extended service `bb` does not exist in this document
      compose.yml:4:17 [bb] no such service
      help: did you mean `b`?
    error K-COMPOSE-019: the file `/proj/app/gone.yml` can't be read: there is no such file
      compose.yml:5:44 [x] named here
      help: the path is relative to the directory of the project, or of the file that was included
    error K-COMPOSE-019: `extends` does not say which service
      compose.yml:6:17 [{ servce: x }] no `service`
      help: write `extends: SERVICE`, or `extends: { file: PATH, service: SERVICE }`
    error K-COMPOSE-019: the extended service `webb` does not exist in `/proj/app/here.yml`
      compose.yml:7:44 [webb] no such service
      help: did you mean `web`?
    "#);
}

#[test]
fn an_included_project_is_a_part_of_this_one() {
    let case = compose("include:\n  - ../db/compose.yml\nservices:\n  web: { image: web, depends_on: [db] }\n")
        .readable(
            "/proj/db/compose.yml",
            "name: other\nservices:\n  db: { image: \"db:${TAG}\", build: {}, volumes: ['./x:/x', 'vv:/v'] }\nvolumes: { vv: }\n",
        )
        .readable("/proj/db/.env", "TAG=7\n");
    let json = case.json();
    assert_eq!(json["name"], "app");
    let db = &json["services"]["db"];
    assert_eq!(db["image"], "db:7");
    assert_eq!(
        (db["build"]["context"].as_str(), db["volumes"][0]["source"].as_str()),
        (Some("/proj/db"), Some("/proj/db/x"))
    );
    assert_eq!(json["volumes"]["vv"]["name"], "app_vv");
}

#[test]
fn the_outer_environment_wins_over_an_included_one_and_a_list_is_merged() {
    let case = compose("include: [{ path: [a.yml, b.yml], env_file: [x.env], project_directory: sub }]\n")
        .readable("/proj/app/a.yml", "services: { a: { image: \"$A $B\", volumes: ['./x:/x'] } }")
        .readable("/proj/app/b.yml", "services: { a: { user: b } }")
        .readable("/proj/app/x.env", "A=inner\nB=inner\n")
        .set("A", "outer");
    let json = case.json();
    let a = &json["services"]["a"];
    assert_eq!((a["image"].as_str(), a["user"].as_str()), (Some("outer inner"), Some("b")));
    assert_eq!(a["volumes"][0]["source"], "/proj/app/sub/x");
}

#[test]
fn what_is_included_is_the_same_or_has_another_name() {
    let other = "services: { a: { image: i } }\nnetworks: { n: { external: true } }\nvolumes: { v: }\n";
    let same = compose("include: [a.yml]\nnetworks: { n: { external: true } }\nvolumes: { v: }\n")
        .readable("/proj/app/a.yml", other);
    assert_eq!(same.at("/services/a/image"), r#""i""#);
    let different = compose("include: [a.yml]\nservices: { a: { image: j }, b: { image: i, extends: a } }\n")
        .readable("/proj/app/a.yml", other);
    insta::assert_snapshot!(different.problems(), @r#"
    error K-COMPOSE-020: the service `a` is included, and another one of that name is there
      compose.yml:2:13 [a] this one
      /proj/app/a.yml:1:13 [a] the included one
      help: give one of them another name, or change the included one in a file of its own: `include: [{ path: [THAT, THIS] }]`
    "#);
}

#[test]
fn a_document_extends_only_what_it_says_itself() {
    let included = compose("include: [a.yml]\nservices: { web: { extends: a } }\n")
        .readable("/proj/app/a.yml", "services: { a: { image: i } }");
    let former = compose("services: { a: { image: i } }").over("services: { web: { extends: a } }");
    for case in [included, former] {
        assert!(case.problems().contains("does not exist in this document"), "{}", case.problems());
    }
}

#[test]
fn what_includes_nothing_is_told() {
    let case = compose("include: [a.yml, gone.yml]\nservices: { web: { image: i } }\n")
        .readable("/proj/app/a.yml", "include: [b.yml]\nservices: { a: { image: i, prots: [] } }")
        .readable("/proj/app/b.yml", "include: [a.yml]\nservices: { b: { image: i } }");
    insta::assert_snapshot!(case.problems(), @r#"
    error K-COMPOSE-020: the file `/proj/app/gone.yml` can't be read: there is no such file
      compose.yml:1:18 [gone.yml] named here
      help: the path is relative to the directory of the project, or of the file that was included
    error K-COMPOSE-010: `services.a`: the Compose Specification knows no attribute `prots` here
      /proj/app/a.yml:2:28 [prots] unknown
      compose.yml:1:11 [a.yml] brought in here
      help: did you mean `ports`?
    error K-COMPOSE-020: `include` goes in a circle: /proj/app/a.yml → /proj/app/b.yml → /proj/app/a.yml
      /proj/app/b.yml:1:11 [a.yml] closes the circle
      /proj/app/a.yml:1:11 [b.yml] brought in here
      compose.yml:1:11 [a.yml] brought in here
      help: take one of these out
    "#);
}

#[test]
fn a_problem_in_another_file_is_told_with_the_way_that_led_there() {
    let case = compose(
        "include:\n  - one/a.yaml\nservices:\n  web:\n    extends: { file: base.yaml, service: base }\n",
    )
    .readable("/proj/app/one/a.yaml", "include: [two/b.yaml]\n")
    .readable("/proj/app/one/two/b.yaml", "services:\n  db: { image: pg, prots: [1] }\n")
    .readable("/proj/app/base.yaml", "services:\n  base:\n    image: ${\n");
    insta::assert_snapshot!(case.problems(), @r"
    error K-COMPOSE-006: a variable can't be read: the `}` is missing
      /proj/app/base.yaml:3:12 [${] this can't be read
      compose.yml:5:42 [base] brought in here
      help: write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar sign that means itself
    error K-COMPOSE-010: `services.db`: the Compose Specification knows no attribute `prots` here
      /proj/app/one/two/b.yaml:2:20 [prots] unknown
      /proj/app/one/a.yaml:1:11 [two/b.yaml] brought in here
      compose.yml:2:5 [one/a.yaml] brought in here
      help: did you mean `ports`?
    ");
}

#[test]
fn what_is_not_on_this_machine_is_refused_by_name() {
    let remote = "https://github.com/example/shop.git";
    let case = compose(&format!(
        "include: [\"{remote}\"]\nservices:\n  web:\n    image: a\n    extends: {{ file: \"{remote}\", service: base }}\n"
    ));
    let problems = case.problems();
    let told: Vec<&str> = problems.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(told.len(), 2, "{problems}");
    assert!(told.iter().all(|line| line.contains("K-COMPOSE-021") && line.contains(remote)), "{problems}");
}

#[test]
fn a_problem_in_a_later_file_shows_what_it_is_merged_over() {
    let case = compose("services:\n  web:\n    image: i\n    mem_limit: 1g\n    ports: ['80:80']\n")
        .file("second.yml", "services:\n  web:\n    user: u\n")
        .file(
            "third.yml",
            "services:\n  web:\n    mem_limit: much\n    ports: ['90:x']\n  db: { image: i, cpus: x }\n",
        );
    insta::assert_snapshot!(case.problems(), @r"
    error K-COMPOSE-012: `services.web.mem_limit`: `much` is not a size
      third.yml:3:16 [much] not a size
      second.yml:2:3 [web] merged over this
      compose.yml:4:5 [mem_limit] this is overridden
      help: write a number with a unit: `512k`, `64m`, `2g`
    error K-COMPOSE-012: `services.web.ports[1]`: `90:x` is not a port mapping: `x` is not a port
      third.yml:4:13 ['90:x'] `x` is not a port
      second.yml:2:3 [web] merged over this
      compose.yml:5:5 [ports] this is overridden
      help: write `[[HOST_ADDRESS:]HOST:]CONTAINER[/tcp|udp|sctp]` with ports from 0 to 65535
    error K-COMPOSE-011: `services.db.cpus`: a number is wanted, and this is a text
      third.yml:5:25 [x] a text
      help: write a number here
    ");
}
