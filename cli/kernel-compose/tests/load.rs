//! Whole loads: text in, canonical form out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::compose;

#[test]
fn a_small_project_in_canonical_form() {
    let case = compose(
        r#"
x-common: &common
  restart: unless-stopped
  environment: { A: 1, B: "${NAME:-b}" }
services:
  web:
    <<: *common
    image: nginx:${TAG}
    command: nginx -g 'daemon off;'
    ports: ["127.0.0.1:8080:80", "9000-9001:9000-9001/udp"]
    depends_on: [db]
    mem_limit: 64m
    stop_grace_period: 90s
    volumes: ["./data:/data:ro", "cache:/cache"]
    healthcheck: { test: wget -q localhost, interval: 1500ms }
  db: { image: postgres, profiles: [] }
volumes: { cache: , unused: }
"#,
    )
    .set("TAG", "1.27");
    insta::assert_json_snapshot!(case.json(), @"");
}
