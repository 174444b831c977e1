//! What is replaced, started again, kept and removed, and when: on a real Engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::TagImageOptionsBuilder;
use kernel_core::event::Event;
use kernel_core::name::ServiceName;
use kernel_core::plan::{Plan, Step};
use kernel_core::planner::{PlanOptions, plan};
use kernel_engine::{Engine, Events, execute};
use kernel_engine_docker::LogRequest;
use support::{Bench, client, converge, engine_host};
use tokio_util::sync::CancellationToken;

const STAYS: &str = r#"["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"#;

/// The steps in words, without numbers and the project's name.
fn words(bench: &Bench, plan: &Plan) -> Vec<String> {
    let step = |step: &Step| format!("{}: {}, {}", step.subject, step.action, step.cause);
    let steps = plan.steps.iter().map(step);
    let prefix = |text: &str| text.replace(bench.name.as_str(), "P");
    let hexadecimal = |word: &str| {
        word.split_once('_')
            .filter(|(id, _)| id.len() == 12)
            .map_or(word.to_owned(), |(_, rest)| format!("NEW_{rest}"))
    };
    steps.map(|text| prefix(&text).split(' ').map(hexadecimal).collect::<Vec<_>>().join(" ")).collect()
}

async fn ids(bench: &Bench) -> BTreeMap<String, String> {
    let world = bench.engine().await.observe().await.unwrap().world.unwrap();
    let short = |name: &str| name.trim_start_matches(&format!("{}-", bench.name)).to_owned();
    world.containers.iter().map(|found| (short(&found.name), found.id.clone())).collect()
}

#[tokio::test]
async fn what_changed_is_replaced_and_who_follows_is_started_again() {
    let Some(host) = engine_host("what_changed_is_replaced_and_who_follows_is_started_again") else { return };
    let compose = format!(
        "services:\n  db: {{ image: IMAGE, command: {STAYS}, environment: {{ V: \"1\" }}, volumes: [/kept] }}\n  \
         web: {{ image: IMAGE, command: {STAYS}, depends_on: {{ db: {{ condition: service_started, restart: true }} }} }}\n  \
         other: {{ image: IMAGE, command: {STAYS}, depends_on: [db] }}\n"
    );
    let bench = Bench::new(&host, &compose).await;
    bench.up().await;
    let before = ids(&bench).await;
    let kept = |bench: &Bench| {
        let (name, host) = (bench.name.clone(), bench.host.clone());
        async move {
            let found = client(&host).inspect_container(&format!("{name}-db-1"), None).await.unwrap();
            found
                .mounts
                .unwrap()
                .into_iter()
                .find(|m| m.destination.as_deref() == Some("/kept"))
                .unwrap()
                .name
        }
    };
    let data = kept(&bench).await;
    bench.write(&compose.replace("V: \"1\"", "V: \"2\""));
    let plan = bench.up().await;
    let expected = [
        "service db: create container NEW_P-db-1, changed: configuration",
        "service web: stop container P-web-1, follows db",
        "service db: stop container P-db-1, changed: configuration",
        "service db: remove container P-db-1, changed: configuration",
        "service db: rename NEW_P-db-1 to P-db-1, changed: configuration",
        "service db: start container P-db-1, changed: configuration",
        "service db: wait until healthy, started",
        "service web: start container P-web-1, follows db",
        "service web: wait until healthy, started",
    ];
    let words = words(&bench, &plan);
    assert_eq!(words.iter().collect::<BTreeSet<_>>(), expected.map(str::to_owned).iter().collect(), "{plan}");
    let after = ids(&bench).await;
    assert_ne!(before["db-1"], after["db-1"]);
    assert_eq!((&before["web-1"], &before["other-1"]), (&after["web-1"], &after["other-1"]));
    assert_eq!(data, kept(&bench).await, "the volume without a name went over to the new container");
    bench.down(true).await;
    let volumes =
        client(&host).list_volumes(None::<bollard::query_parameters::ListVolumesOptions>).await.unwrap();
    let names: Vec<String> =
        volumes.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
    assert!(!names.contains(&data.unwrap()), "it went with the rest");
}

#[tokio::test]
async fn the_number_of_containers_follows_the_file_and_orphans_stay_until_asked() {
    let Some(host) = engine_host("the_number_of_containers_follows_the_file_and_orphans_stay_until_asked")
    else {
        return;
    };
    let compose = |scale: u32, more: &str| {
        format!("services:\n  web: {{ image: IMAGE, command: {STAYS}, scale: {scale} }}\n{more}")
    };
    let old = format!("  old: {{ image: IMAGE, command: {STAYS} }}\n");
    let bench = Bench::new(&host, &compose(3, &old)).await;
    bench.up().await;
    let names = |ids: BTreeMap<String, String>| ids.into_keys().collect::<Vec<_>>();
    assert_eq!(names(ids(&bench).await), ["old-1", "web-1", "web-2", "web-3"]);
    bench.write(&compose(1, ""));
    let plan = bench.up().await;
    assert!(words(&bench, &plan).iter().all(|step| step.ends_with("more than wanted")), "{plan}");
    assert_eq!(names(ids(&bench).await), ["old-1", "web-1"], "an orphan is left alone");
    let engine = bench.engine().await;
    let options = PlanOptions { remove_orphans: true, ..PlanOptions::default() };
    let (plan, outcome, _) = converge(&engine, &bench.desired(&engine), &options).await;
    assert!(outcome.is_success(), "{plan}{outcome:?}");
    assert_eq!(names(ids(&bench).await), ["web-1"]);
    bench.down(true).await;
}

#[tokio::test]
async fn another_image_under_the_same_name_replaces_the_container() {
    let Some(host) = engine_host("another_image_under_the_same_name_replaces_the_container") else { return };
    let bench = Bench::new(&host, "services: {}").await;
    let docker = client(&host);
    let name = format!("{}-image", bench.name);
    // An image of another id: the container of the first one, committed.
    let tag = TagImageOptionsBuilder::new().repo(&name).tag("latest").build();
    docker.tag_image(&bench.image, Some(tag.clone())).await.unwrap();
    bench.write(&format!("services:\n  web: {{ image: {name}, command: {STAYS} }}\n"));
    bench.up().await;
    let container = format!("{}-web-1", bench.name);
    let commit =
        bollard::query_parameters::CommitContainerOptionsBuilder::new().container(&container).repo(&name);
    let commit = commit.tag("latest").build();
    docker.commit_container(commit, bollard::models::ContainerConfig::default()).await.unwrap();
    let plan = bench.up().await;
    assert!(words(&bench, &plan)[0].ends_with("changed: image"), "{plan}");
    assert!(bench.up().await.is_empty());
    bench.down(true).await;
    drop(docker.remove_image(&name, None::<bollard::query_parameters::RemoveImageOptions>, None).await);
}

#[tokio::test]
async fn a_network_that_changed_is_made_again_with_those_who_are_in_it() {
    let Some(host) = engine_host("a_network_that_changed_is_made_again_with_those_who_are_in_it") else {
        return;
    };
    let compose = |label: &str| {
        format!(
            "services:\n  db: {{ image: IMAGE, command: {STAYS} }}\n  \
             beside: {{ image: IMAGE, command: {STAYS}, network_mode: \"service:db\" }}\n  \
             alone: {{ image: IMAGE, command: {STAYS}, network_mode: none }}\n\
             networks: {{ default: {{ labels: {{ l: \"{label}\" }} }} }}\n"
        )
    };
    let bench = Bench::new(&host, &compose("1")).await;
    bench.up().await;
    let before = ids(&bench).await;
    bench.write(&compose("2"));
    bench.up().await;
    let after = ids(&bench).await;
    assert_ne!(before["db-1"], after["db-1"]);
    assert_ne!(before["beside-1"], after["beside-1"], "who shares a network follows");
    assert_eq!(before["alone-1"], after["alone-1"]);
    assert!(bench.up().await.is_empty());
    bench.down(true).await;
}

#[tokio::test]
async fn texts_and_files_are_where_the_service_looks_for_them() {
    let Some(host) = engine_host("texts_and_files_are_where_the_service_looks_for_them") else { return };
    let compose = r#"
services:
  reader:
    image: IMAGE
    command: ["sh", "-c", "cat /run/secrets/file /run/secrets/text /etc/inline; stat -c %a /etc/inline; echo $$FROM"]
    secrets: [file, text]
    configs: [{ source: inline, target: /etc/inline, mode: 0440 }]
    env_file: own.env
  after:
    image: IMAGE
    command: ["true"]
    depends_on: { reader: { condition: service_completed_successfully } }
secrets: { file: { file: ./secret.txt }, text: { environment: PATH } }
configs: { inline: { content: "inline text\n" } }
"#;
    let bench = Bench::new(&host, compose).await;
    std::fs::write(bench.path("secret.txt"), "from a file\n").unwrap();
    std::fs::write(bench.path("own.env"), "FROM=env file\n").unwrap();
    bench.up().await;
    let mut lines = Vec::new();
    let request = LogRequest {
        services: BTreeSet::from([ServiceName::new("reader").unwrap()]),
        ..LogRequest::default()
    };
    bench.engine().await.logs(&request, |line| lines.push(line.text)).await.unwrap();
    let path = std::env::var("PATH").unwrap();
    assert_eq!(lines, ["from a file", &format!("{path}inline text"), "440", "env file"]);
    // `after` is nobody's condition: it may have ended unseen, and is then done once more.
    let again = bench.up().await;
    let reader = |step: &Step| step.subject.service().is_some_and(|service| service.as_str() == "reader");
    assert!(!again.steps.iter().any(reader), "what was seen to end by itself is not done again: {again}");
    bench.down(true).await;
}

#[tokio::test]
async fn who_waits_starts_when_the_check_passes_and_not_before() {
    let Some(host) = engine_host("who_waits_starts_when_the_check_passes_and_not_before") else { return };
    // The Engine itself would look for the first time after ten seconds.
    let compose = format!(
        "services:\n  db:\n    image: IMAGE\n    \
         command: [\"sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1.3; date +%s%N; touch /ready; while :; do sleep 0.1; done\"]\n    \
         healthcheck: {{ test: [CMD, test, -e, /ready], interval: 10s }}\n  \
         web: {{ image: IMAGE, command: {STAYS}, depends_on: {{ db: {{ condition: service_healthy }} }} }}\n"
    );
    let mut delays = Vec::new();
    // The machine may be busy with something else for a moment, so the best of some tries counts; that nobody starts too
    // early is checked each time.
    for _ in 0..4 {
        let bench = Bench::new(&host, &compose).await;
        let engine = bench.engine().await;
        let desired = bench.desired(&engine);
        let plan = plan(&desired, &engine.observe().await.unwrap(), &PlanOptions::default()).unwrap();
        let (events, mut listener) = Events::channel();
        let cancel = CancellationToken::new();
        let run = execute(&engine, &plan, &events, &cancel);
        let listen = async {
            let web = ServiceName::new("web").unwrap();
            while let Some(event) = listener.recv().await {
                if matches!(&event, Event::StepStarted { subject, verb, .. }
                    if subject.service() == Some(&web) && *verb == "start")
                {
                    return SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                }
            }
            panic!("it never started");
        };
        let (outcome, started) = tokio::join!(run, listen);
        assert!(outcome.is_success(), "{plan}{outcome:?}");
        let mut said = Vec::new();
        let request = LogRequest {
            services: BTreeSet::from([ServiceName::new("db").unwrap()]),
            ..LogRequest::default()
        };
        engine.logs(&request, |line| said.push(line.text)).await.unwrap();
        let ready = Duration::from_nanos(said[0].parse().unwrap());
        assert!(started >= ready, "it started {:?} too early", ready - started);
        // On a busy machine one run of a check alone may take longer than the bar: then two of them are the bar.
        let check = one_check(&bench).await;
        let bar = Duration::from_millis(100).max(check * 2);
        delays.push((started.checked_sub(ready).unwrap(), bar));
        bench.down(true).await;
        if delays.iter().any(|(delay, bar)| delay <= bar) {
            return;
        }
    }
    panic!("each started too late (delay, bar): {delays:?}");
}

/// How long one run of the check in `db` takes by itself.
async fn one_check(bench: &Bench) -> Duration {
    let docker = client(&bench.host);
    let begun = std::time::Instant::now();
    let config = bollard::models::ExecConfig {
        attach_stdout: Some(true),
        cmd: Some(["test", "-e", "/ready"].map(str::to_owned).to_vec()),
        ..bollard::models::ExecConfig::default()
    };
    let run = docker.create_exec(&format!("{}-db-1", bench.name), config).await.unwrap();
    if let bollard::exec::StartExecResults::Attached { mut output, .. } =
        docker.start_exec(&run.id, None).await.unwrap()
    {
        while futures::StreamExt::next(&mut output).await.is_some() {}
    }
    assert_eq!(docker.inspect_exec(&run.id).await.unwrap().exit_code, Some(0));
    begun.elapsed()
}
