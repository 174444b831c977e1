//! Units come up in order, stay as they are, change when they should, and leave nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::net::{Ipv4Addr, TcpListener};

use kernel_core::event::Stream;
use kernel_core::exit::ExitCode;
use kernel_core::planner::PlanOptions;
use kernel_core::unit::{Target, UnitState};
use kernel_engine::Engine;
use kernel_engine_local::LogRequest;
use support::project::{SECRET, converge};
use support::{World, free_port, name, unit};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn units_come_up_in_order_and_down_leaves_only_data() {
    let world = World::new(vec![unit("gateway", &["iam"]), unit("iam", &[]), unit("money", &["iam"])]);
    let plan = world.is_up().await;
    assert_eq!(
        plan,
        "[] -> #1 service iam: start, not found\n\
         [1] -> #2 service iam: wait until healthy, started\n\
         [2] -> #3 service gateway: start, not found\n\
         [3] -> #4 service gateway: wait until healthy, started\n\
         [2] -> #5 service money: start, not found\n\
         [5] -> #6 service money: wait until healthy, started\n"
    );
    let observed = world.observe().await;
    assert!(observed.items.iter().all(|item| item.state == UnitState::Ready), "{observed:?}");
    let plan = world.down(false).await;
    assert!(plan.ends_with("project test: remove, not wanted\n"), "{plan}");
    world.assert_nothing_left();
    assert!(world.engine.layout().data_of(&name("iam")).is_dir());
    world.down(true).await;
    assert_eq!(std::fs::read_dir(world.root()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_second_up_does_nothing_and_writes_nothing() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
    world.is_up().await;
    let (pid, before) = (world.pid("iam").await, world.files());
    assert_eq!(world.is_up().await, "");
    assert_eq!((world.pid("iam").await, world.files()), (pid, before));
}

#[tokio::test]
async fn only_what_changed_is_replaced() {
    let mut world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
    world.is_up().await;
    let iam = world.pid("iam").await;
    let money = world.pid("money").await;
    world.unit("money").environment.insert("LOG_LEVEL".to_owned(), "debug".to_owned());
    let plan = world.is_up().await;
    assert!(plan.contains("service money: start, changed: environment"), "{plan}");
    assert_eq!(world.pid("iam").await, iam);
    assert_ne!(world.pid("money").await, money);
}

#[tokio::test]
async fn what_is_stopped_is_known_and_can_be_started() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
    world.is_up().await;
    let mut stopped = world.desired();
    stopped.items.iter_mut().for_each(|item| item.target = Target::Stopped);
    let (plan, outcome, _) = converge(&world.engine, &stopped, &PlanOptions::default()).await;
    assert!(outcome.is_success(), "{plan}");
    assert_eq!(world.item("iam").await.state, UnitState::Stopped);
    let plan = world.is_up().await;
    assert!(plan.contains("service iam: start, was stopped"), "{plan}");
}

#[tokio::test]
async fn nobody_else_may_read_what_is_kept_and_secrets_are_in_no_file() {
    let world = World::new(vec![unit("iam", &[])]);
    world.is_up().await;
    for (file, (_, mode)) in world.files() {
        let path = world.engine.layout().state().join(&file);
        let expected: &[u32] = if path.is_dir() { &[0o700] } else { &[0o600, 0o755] };
        assert!(expected.contains(&mode), "{file} has mode {mode:o}");
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains(SECRET), "{file} holds a secret: {text}");
        }
    }
}

#[tokio::test]
async fn every_taken_port_is_told_before_anything_starts() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &[]), unit("free", &[])]);
    let others = [0, 1].map(|unit| {
        let port: u16 = world.units[unit].port.unwrap();
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()
    });
    let (_, outcome, _) = world.up().await;
    let failure = &outcome.failed[0];
    assert_eq!((failure.problem.code, failure.exit), ("K-LOCAL-001", ExitCode::Prerequisite));
    let evidence = &failure.problem.evidence;
    assert_eq!(evidence.len(), 2, "{evidence:?}");
    let own = format!("is taken by pid {} `", std::process::id());
    assert!(evidence.iter().all(|line| line.contains(&own)), "{evidence:?}");
    assert!(failure.problem.help.as_ref().unwrap().contains("--port-offset"));
    drop(others);
    world.assert_nothing_left();
}

#[tokio::test]
async fn our_own_ports_are_no_obstacle_when_a_unit_is_replaced() {
    let mut world = World::new(vec![unit("iam", &[])]);
    world.is_up().await;
    world.unit("iam").environment.insert("LOG_LEVEL".to_owned(), "debug".to_owned());
    world.is_up().await;
    world.unit("iam").port = Some(free_port());
    let plan = world.is_up().await;
    assert!(plan.contains("changed: environment, ports"), "{plan}");
}

#[tokio::test]
async fn logs_are_read_back_merged_and_followed() {
    let world =
        World::new(vec![unit("iam", &[]).with("SPEAK", "500"), unit("money", &["iam"]).with("SPEAK", "3")]);
    world.is_up().await;
    let request = |tail, follow| LogRequest { units: Vec::new(), tail, follow };
    let mut lines = Vec::new();
    world.engine.logs(&request(None, false), |line| lines.push(line)).await.unwrap();
    let said: Vec<&str> = lines
        .iter()
        .filter(|line| line.unit.as_str() == "iam" && line.stream == Stream::Stdout)
        .map(|line| line.text.as_str())
        .collect();
    let expected: Vec<String> = (0..500).map(|number| format!("line {number}")).collect();
    assert_eq!(said[..500], expected);
    assert!(lines.is_sorted_by(|one, other| one.time <= other.time), "merged by time");
    let mut last = Vec::new();
    world.engine.logs(&request(Some(2), false), |line| last.push(line.text)).await.unwrap();
    assert_eq!(last.len(), 4, "two of each: {last:?}");

    let follower = world.other_engine();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let follow = tokio::spawn(async move {
        let request = LogRequest { units: vec![name("iam")], tail: Some(1), follow: true };
        follower.logs(&request, |line| drop(sender.send(line.text))).await
    });
    let mut hear = async || tokio::time::timeout(support::PATIENCE, receiver.recv()).await.unwrap().unwrap();
    // Once it has told a line that was there it listens for what comes.
    assert_ne!(hear().await, "asked to crash");
    let port = world.units[0].port.unwrap();
    let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    stream.write_all(b"GET /crash HTTP/1.0\r\n\r\n").await.unwrap();
    while hear().await != "asked to crash" {}
    follow.abort();
}

#[tokio::test]
async fn a_workspace_deep_down_gets_its_socket_elsewhere_and_it_goes_too() {
    let deep = "a-folder-with-a-long-name/".repeat(6);
    let world = World::below(&deep, vec![unit("iam", &[])]);
    assert!(!world.engine.layout().socket().starts_with(world.root()));
    world.is_up().await;
    assert!(world.engine.layout().socket().exists());
    world.down(false).await;
    world.assert_nothing_left();
}

#[tokio::test]
async fn two_commands_at_once_share_one_supervisor() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &[])]);
    let mut one = world.desired();
    let mut other = world.desired();
    one.items.truncate(1);
    other.items.remove(0);
    let engine = world.other_engine();
    let options = PlanOptions::default();
    let (first, second) =
        tokio::join!(converge(&world.engine, &one, &options), converge(&engine, &other, &options));
    assert!(first.1.is_success() && second.1.is_success(), "{:#?} {:#?}", first.1, second.1);
    assert_eq!(engine.observe().await.unwrap().items.len(), 2);
    assert_eq!(world.is_up().await, "");
}
