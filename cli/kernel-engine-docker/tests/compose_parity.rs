//! Each tool takes over what the other made, without touching it. Needs an Engine and the real docker compose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;

use kernel_core::planner::PlanOptions;
use serde_json::Value as Json;
use support::proxy::{Cut, Proxy};
use support::{Bench, client, converge, docker_compose, engine_host};

/// Much of what a service can say, on the image of the testbed.
const COMPOSE: &str = r#"
x-common: &common
  image: IMAGE
  init: true
  stop_grace_period: 2s
services:
  db:
    <<: *common
    command: ["sleep", "1000"]
    healthcheck: { test: ["CMD", "true"], interval: 1s, timeout: 3s, retries: 2, start_period: 1s }
    volumes:
      - data:/data
      - /anonymous
      - ./folder:/bound:ro
      - { type: tmpfs, target: /scratch, tmpfs: { size: 1m } }
      - { type: volume, source: data, target: /sub, read_only: true }
    environment: { A: "x<y&z", B: "$$5", NOWHERE_SET: , EMPTY: "" }
    env_file: extra.env
    networks:
      back: { aliases: [database], priority: 5 }
      default:
    deploy: { resources: { limits: { cpus: "0.5", memory: 64M, pids: 50 }, reservations: { memory: 32M } } }
    ulimits: { nofile: { soft: 100, hard: 200 }, nproc: 500 }
    shm_size: 16m
    hostname: dbhost
    user: "0:0"
    working_dir: /tmp
  web:
    <<: *common
    command: sleep 1000
    labels: { a.b: c, "x": "" }
    depends_on: { db: { condition: service_healthy, restart: true } }
    ports: ["127.0.0.1::80", "81", "82/udp"]
    expose: ["90", "91/udp"]
    secrets: [from-file, { source: from-variable, target: other, mode: 0400 }]
    configs: [{ source: inline, target: /etc/inline }, from-disk]
    extra_hosts: ["foo:1.2.3.4"]
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    restart: on-failure:3
    logging: { driver: json-file, options: { max-size: 1m } }
    tmpfs: ["/run/x:size=1m"]
    sysctls: { net.core.somaxconn: 100 }
    dns: [1.1.1.1]
    scale: 2
  beside:
    <<: *common
    command: sleep 1000
    network_mode: service:db
  reader:
    <<: *common
    entrypoint: ["sleep"]
    command: ["1000"]
    volumes_from: [store]
    networks: [default]
    restart: unless-stopped
  store:
    <<: *common
    command: sleep 1000
    volumes: [data:/data, /unnamed]
    network_mode: none
  job:
    <<: *common
    command: ["true"]
  after:
    <<: *common
    command: sleep 1000
    depends_on: { job: { condition: service_completed_successfully } }
    pid: service:db
volumes:
  data: { labels: { x: "y" } }
networks:
  back: { driver_opts: { a: b }, internal: true, labels: { n: "1" } }
secrets:
  from-file: { file: ./secret.txt }
  from-variable: { environment: HOME }
configs:
  inline: { content: "hi $$ there" }
  from-disk: { file: ./secret.txt }
"#;

async fn bench(host: &str) -> Bench {
    let bench = Bench::new(host, COMPOSE).await;
    std::fs::write(bench.path("extra.env"), "FROM_FILE=1\nQUOTED=\"a b\"\n").unwrap();
    std::fs::write(bench.path("secret.txt"), "hidden\n").unwrap();
    bench
}

#[tokio::test]
async fn kernel_takes_over_what_docker_compose_made() {
    let test = "kernel_takes_over_what_docker_compose_made";
    let (Some(host), Some(program)) = (engine_host(test), docker_compose(test)) else { return };
    let bench = bench(&host).await;
    bench.compose(&program, &host, &["up", "-d"]).await;
    let proxy = Proxy::start(&host, Cut::Never);
    let engine = bench.engine_at(&proxy.host).await;
    let (plan, outcome, _) = converge(&engine, &bench.desired(&engine), &PlanOptions::default()).await;
    assert!(outcome.is_success() && plan.is_empty(), "{plan}{outcome:?}");
    assert_eq!(proxy.changes(), Vec::<String>::new());
    bench.down(true).await;
    assert_eq!(bench.everything().await, Vec::<String>::new());
}

#[tokio::test]
async fn docker_compose_takes_over_what_kernel_made() {
    let test = "docker_compose_takes_over_what_kernel_made";
    let (Some(host), Some(program)) = (engine_host(test), docker_compose(test)) else { return };
    let bench = bench(&host).await;
    bench.up().await;
    let before = inspect_all(&bench).await;
    let proxy = Proxy::start(&host, Cut::Never);
    let output = bench.compose(&program, &proxy.host, &["up", "-d"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    // It starts a job that has ended once more at every `up`, which is its own habit.
    let changes: Vec<String> = proxy.changes();
    let job = before.iter().find(|(name, _)| name.ends_with("-job-1")).unwrap().1["Id"].as_str().unwrap();
    let others: Vec<&String> = changes.iter().filter(|line| !line.contains(job)).collect();
    assert!(others.is_empty(), "{others:#?}\n{said}");
    assert!(!said.contains("Recreate") && !said.contains("Creating"), "{said}");
    bench.compose(&program, &host, &["down", "--volumes"]).await;
    assert_eq!(bench.everything().await, Vec::<String>::new());
}

#[tokio::test]
async fn both_make_the_same_containers() {
    let test = "both_make_the_same_containers";
    let (Some(host), Some(program)) = (engine_host(test), docker_compose(test)) else { return };
    let bench = bench(&host).await;
    bench.compose(&program, &host, &["up", "-d"]).await;
    let theirs = inspect_all(&bench).await;
    bench.compose(&program, &host, &["down", "--volumes"]).await;
    bench.up().await;
    let ours = inspect_all(&bench).await;
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (name, their) in &theirs {
        let (their, mut our) = (comparable(their, &theirs), comparable(&ours[name], &ours));
        // What is asked for by an API below 1.44 the Engine itself marks so; docker compose speaks the Engine's own.
        if bench.api.is_some()
            && let Some(mounts) = our["HostConfig"]["Mounts"].as_array_mut()
        {
            let options = mounts.iter_mut().filter_map(|mount| mount.get_mut("BindOptions"));
            for options in options.filter_map(Json::as_object_mut) {
                options.shift_remove("ReadOnlyNonRecursive");
            }
        }
        for part in ["Config", "HostConfig", "Networks"] {
            let keys = [&their, &our].into_iter().flat_map(|made| made[part].as_object().unwrap().keys());
            for key in keys {
                assert_eq!(their[part][key], our[part][key], "{name}: {part}.{key}");
            }
        }
    }
    bench.down(true).await;
}

async fn inspect_all(bench: &Bench) -> BTreeMap<String, Json> {
    let docker = client(&bench.host);
    let label = format!("com.docker.compose.project={}", bench.name);
    let filters = std::collections::HashMap::from([("label", vec![label])]);
    let options = bollard::query_parameters::ListContainersOptionsBuilder::new().all(true).filters(&filters);
    let mut all = BTreeMap::new();
    for container in docker.list_containers(Some(options.build())).await.unwrap() {
        let found = docker.inspect_container(&container.id.unwrap(), None).await.unwrap();
        all.insert(found.name.clone().unwrap(), serde_json::to_value(&found).unwrap());
    }
    all
}

/// What a container was made with, without what is another each time.
fn comparable(container: &Json, all: &BTreeMap<String, Json>) -> Json {
    let networks = container["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
    let networks: BTreeMap<String, Json> = networks
        .into_iter()
        .map(|(name, endpoint)| (name, serde_json::json!([endpoint["Aliases"], endpoint["IPAMConfig"]])))
        .collect();
    let mut made = serde_json::json!({
        "Config": container["Config"],
        "HostConfig": container["HostConfig"],
        "Networks": networks,
    });
    if container["Config"]["Hostname"]
        .as_str()
        .is_some_and(|name| container["Id"].as_str().unwrap().starts_with(name))
    {
        made["Config"]["Hostname"] = "its own id".into();
    }
    // The reference writes these in any order.
    for list in ["/Config/Env", "/HostConfig/Binds", "/HostConfig/Mounts", "/HostConfig/Ulimits"] {
        if let Some(list) = made.pointer_mut(list).and_then(Json::as_array_mut) {
            list.sort_by_key(Json::to_string);
        }
    }
    let label = "/Config/Labels/com.docker.compose.depends_on";
    let needed = made.pointer(label).and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut needed: Vec<&str> = needed.split(',').collect();
    needed.sort_unstable();
    *made.pointer_mut(label).unwrap() = needed.join(",").into();
    let mut text = made.to_string();
    for (name, other) in all {
        let id = other["Id"].as_str().unwrap();
        text = text.replace(id, name).replace(&id[..12], name);
        // With the ids, the hashes of those that share something differ.
        if other["HostConfig"].to_string().contains("container:")
            || !other["HostConfig"]["VolumesFrom"].is_null()
        {
            let hash = other["Config"]["Labels"]["com.docker.compose.config-hash"].as_str().unwrap();
            text = text.replace(hash, "HASH");
        }
    }
    serde_json::from_str(&text).unwrap()
}
