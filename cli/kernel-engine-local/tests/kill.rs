//! Whoever is killed, and whenever: the next command repairs it, and nothing is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::process::{Child, Command, Stdio};

use kernel_core::event::{Event, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::unit::{ExitStatus, RestartPolicy, UnitState};
use kernel_engine_local::processes;
use rustix::process::Signal;
use support::{World, eventually, gone, kill, name, program, states, unit};

#[tokio::test]
async fn a_killed_unit_is_started_again() {
    let world = World::new(vec![unit("iam", &[])]);
    world.is_up().await;
    let pid = world.pid("iam").await;
    kill(pid, Signal::KILL);
    let item = world
        .wait("iam", "it is started again", |item| {
            item.state == UnitState::Ready && item.pid.is_some_and(|now| now != pid)
        })
        .await;
    assert_eq!(item.restarts, 1);
    assert_eq!(world.is_up().await, "", "it is as wanted again");
    world.down(false).await;
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_crash_loop_is_given_up_with_status_and_last_words() {
    let world = World::new(vec![unit("iam", &[]).with("END_WITH", "3"), unit("money", &["iam"])]);
    let (_, outcome, events) = world.up().await;
    let failure = &outcome.failed[0];
    assert_eq!((failure.problem.code, failure.exit), ("K-LOCAL-002", ExitCode::Unhealthy));
    assert!(failure.problem.message.contains("crash-looping (exit code 3)"), "{}", failure.problem.message);
    assert_eq!(failure.problem.evidence.last().unwrap(), "last words before 3");
    assert_eq!(outcome.cancelled.len(), 2, "money is not started");
    let crash_looping = UnitState::CrashLooping { status: ExitStatus::Code(3) };
    assert_eq!(states(&events, "iam").last(), Some(&crash_looping));
    let item = world.item("iam").await;
    assert_eq!((item.state, item.restarts), (crash_looping, 4));
    world.down(false).await;
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_refused_configuration_and_a_one_shot_end_at_once() {
    let mut world =
        World::new(vec![unit("bad", &[]).with("END_WITH", "64"), unit("job", &[]).with("END_WITH", "0")]);
    world.unit("job").restart = RestartPolicy::No;
    let (_, outcome, _) = world.up().await;
    assert_eq!(outcome.failed.len(), 1, "{:#?}", outcome.failed);
    assert!(outcome.failed[0].problem.message.contains("it refused its configuration"));
    assert_eq!(world.item("bad").await.restarts, 0);
    assert_eq!(world.item("job").await.state, UnitState::Exited { status: ExitStatus::Code(0) });
}

#[tokio::test]
async fn a_unit_that_will_not_end_is_killed_and_its_children_with_it() {
    let mut world = World::new(vec![unit("iam", &[]).with("IGNORE_TERM", "1").with("CHILD", "1")]);
    world.unit("iam").grace_ms = 50;
    world.is_up().await;
    let scope = world.engine.layout().scope().clone();
    let both = || processes::find(&scope).iter().filter(|process| process.unit.is_some()).count();
    eventually("unit and child run", async || if both() == 2 { Ok(()) } else { Err(both().to_string()) })
        .await;
    world.down(false).await;
    world.assert_nothing_left();
}

#[tokio::test]
async fn after_the_supervisor_was_killed_up_replaces_what_it_left() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
    world.is_up().await;
    let pids = [world.pid("iam").await, world.pid("money").await];
    world.kill_supervisor().await;
    assert_eq!(world.item("iam").await.state, UnitState::Leftover);
    assert_eq!(world.pid("iam").await, pids[0], "units go on without it");
    let (plan, outcome, events) = world.up().await;
    assert!(outcome.is_success(), "{outcome:#?}");
    assert!(plan.contains("service money: stop, left over from a killed supervisor"), "{plan}");
    let told: Vec<&Problem> = events
        .iter()
        .filter_map(|event| if let Event::Problem(problem) = event { Some(problem) } else { None })
        .collect();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert_eq!(told[0].message, "a supervisor was killed and left 2 services behind, which end first");
    for pid in pids {
        gone(pid).await;
    }
    assert_eq!(world.is_up().await, "");
    world.down(false).await;
    world.assert_nothing_left();
}

#[tokio::test]
async fn after_the_supervisor_was_killed_down_leaves_nothing() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
    world.is_up().await;
    world.kill_supervisor().await;
    let plan = world.down(false).await;
    assert!(
        plan.starts_with("[] -> #1 service money: stop, left over"),
        "in order, from the state file: {plan}"
    );
    world.assert_nothing_left();
}

#[tokio::test]
async fn processes_are_found_when_every_file_is_lost() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &[])]);
    world.is_up().await;
    // The supervisor lives, but nobody can find it by a file.
    std::fs::remove_dir_all(world.engine.layout().state()).unwrap();
    let lost = world.supervisor().unwrap();
    assert_eq!(world.observe().await.items.len(), 2);
    world.is_up().await;
    gone(lost).await;
    assert_eq!(world.is_up().await, "");
    world.kill_supervisor().await;
    std::fs::remove_dir_all(world.engine.layout().state()).unwrap();
    world.down(false).await;
    world.assert_nothing_left();
}

#[tokio::test]
async fn everything_killed_at_once_comes_up_again() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
    world.is_up().await;
    let all = processes::find(world.engine.layout().scope());
    let supervisor = world.supervisor().unwrap();
    kill(supervisor, Signal::KILL);
    for process in &all {
        kill(process.pid, Signal::KILL);
        gone(process.pid).await;
    }
    let plan = world.is_up().await;
    assert!(plan.contains("service iam: start, has exited (exit status unknown)"), "{plan}");
    world.down(false).await;
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_leftover_that_ends_by_itself_is_noticed() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &[])]);
    world.is_up().await;
    let pid = world.pid("money").await;
    world.kill_supervisor().await;
    // A new supervisor that has no reason to touch `money`.
    let mut only_iam = world.desired();
    only_iam.items.retain(|item| item.name == name("iam"));
    let (plan, outcome, _) =
        support::project::converge(&world.engine, &only_iam, &kernel_core::planner::PlanOptions::default())
            .await;
    assert!(outcome.is_success(), "{plan}");
    assert_eq!((world.item("money").await.state, world.pid("money").await), (UnitState::Leftover, pid));
    kill(pid, Signal::KILL);
    world.wait("money", "its end is seen", |item| !item.state.is_alive()).await;
}

#[tokio::test]
async fn a_supervisor_that_is_told_to_end_ends_its_units() {
    let world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
    world.is_up().await;
    let pids = [world.supervisor().unwrap(), world.pid("iam").await, world.pid("money").await];
    kill(pids[0], Signal::TERM);
    for pid in pids {
        gone(pid).await;
    }
    assert!(!world.engine.layout().socket().exists());
}

/// The supervisor is killed while the command waits for `iam`.
#[tokio::test]
async fn a_supervisor_killed_in_the_middle_of_up_is_told_and_replaced_by_the_next() {
    let signal = tempfile::tempdir().unwrap();
    let ready = signal.path().join("ready");
    let world = World::new(vec![unit("iam", &[]).with("READY_WHEN", ready.to_string_lossy())]);
    let kill = async {
        eventually("iam runs", async || match world.observe().await.items.first() {
            Some(item) if item.detail.is_some() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        world.kill_supervisor().await;
    };
    let ((_, outcome, _), ()) = tokio::join!(world.up(), kill);
    assert_eq!(outcome.failed[0].problem.code, "K-LOCAL-008", "{outcome:#?}");
    assert!(outcome.failed[0].problem.help.as_ref().unwrap().contains("again"));
    std::fs::write(&ready, "").unwrap();
    world.is_up().await;
    assert_eq!(world.is_up().await, "");
    world.down(false).await;
    world.assert_nothing_left();
}

/// Something listens that speaks another version: it is replaced, not obeyed.
#[tokio::test]
async fn a_supervisor_of_another_version_is_replaced() {
    let mut world = World::new(vec![unit("iam", &[])]);
    world.is_up().await;
    let pid = world.pid("iam").await;
    world.kill_supervisor().await;
    let socket = world.engine.layout().socket();
    std::fs::remove_file(&socket).unwrap();
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let other = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = br#"{"answer":"failed","reason":"version","message":"version 0","evidence":[]}"#;
            drop(stream.write_all(answer).await);
            drop(stream.write_all(b"\n").await);
        }
    });
    // A new command: one command asks for the version once.
    world.engine = world.other_engine();
    assert_eq!(world.item("iam").await.state, UnitState::Leftover, "found without asking it");
    world.is_up().await;
    gone(pid).await;
    other.abort();
    world.down(false).await;
    world.assert_nothing_left();
}

/// The command is killed while it waits for `money`; the supervisor goes on, the next command finishes.
#[tokio::test]
async fn a_command_killed_in_the_middle_of_up_is_finished_by_the_next() {
    let signal = tempfile::tempdir().unwrap();
    let ready = signal.path().join("ready");
    let ready_text = ready.to_string_lossy().into_owned();
    let units = vec![
        unit("iam", &[]),
        unit("money", &["iam"]).with("READY_WHEN", ready_text),
        unit("audit", &["money"]),
    ];
    let world = World::new(units);
    let mut command = up_to_be_killed(&world);
    let waits = eventually("money runs and is not ready", async || {
        let items = world.observe().await.items;
        let money = items.into_iter().find(|item| item.name.as_str() == "money");
        let reason = money.as_ref().and_then(|item| item.detail.clone()).unwrap_or_default();
        if reason.contains("answers 503: not me") { Ok(money.unwrap()) } else { Err(format!("{money:?}")) }
    })
    .await;
    command.kill().unwrap();
    command.wait().unwrap();
    assert_eq!(world.pid("money").await, waits.pid.unwrap(), "units do not notice");
    std::fs::write(&ready, "").unwrap();
    world
        .wait("money", "it becomes ready without anybody asking", |item| item.state == UnitState::Ready)
        .await;
    let plan = world.is_up().await;
    assert_eq!(
        plan,
        "[] -> #1 service audit: start, not found\n[1] -> #2 service audit: wait until healthy, started\n"
    );
    world.down(false).await;
    world.assert_nothing_left();
}

/// Killed at any of the moments of `up`, alone or with its supervisor: the next `up` and `down` work.
#[tokio::test]
async fn killed_at_many_moments_it_always_converges() {
    let moments =
        [Moment::Begun, Moment::Supervised, Moment::Runs("iam"), Moment::Ready("iam"), Moment::Runs("money")];
    for moment in moments {
        for with_supervisor in [false, true] {
            let world = World::new(vec![unit("iam", &[]), unit("money", &["iam"])]);
            let mut command = up_to_be_killed(&world);
            moment.has_come(&world).await;
            drop(command.kill());
            command.wait().unwrap();
            if with_supervisor && let Some(supervisor) = world.supervisor() {
                kill(supervisor, Signal::KILL);
                gone(supervisor).await;
            }
            world.is_up().await;
            assert_eq!(world.is_up().await, "", "{moment:?}, its supervisor too: {with_supervisor}");
            world.down(false).await;
            world.assert_nothing_left();
        }
    }
}

/// How far an `up` has come.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The command was started.
    Begun,
    /// There is a supervisor.
    Supervised,
    /// The unit has a process.
    Runs(&'static str),
    /// The unit answers.
    Ready(&'static str),
}

impl Moment {
    async fn has_come(self, world: &World) {
        let scope = world.engine.layout().scope();
        let what = format!("{self:?}");
        eventually(&what, async || {
            let processes = processes::find(scope);
            let has_come = match self {
                Moment::Begun => true,
                Moment::Supervised => world.supervisor().is_some(),
                Moment::Runs(name) => processes.iter().any(|process| process.unit.as_deref() == Some(name)),
                Moment::Ready(name) => {
                    let items = world.observe().await.items;
                    items.iter().any(|item| item.name.as_str() == name && item.state == UnitState::Ready)
                }
            };
            if has_come { Ok(()) } else { Err(format!("{processes:?}")) }
        })
        .await;
    }
}

/// `up` as a process of its own.
fn up_to_be_killed(world: &World) -> Child {
    let description = world.root().join("units.json");
    std::fs::write(&description, serde_json::to_string(&world.units).unwrap()).unwrap();
    Command::new(program())
        .arg("up")
        .arg(world.root())
        .arg(&description)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}
