//! What every adapter of the tasks port must do.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;

use crate::Result;
use crate::tasks::{Failed, LeasedTask, NewTask, TaskQueue};

const LONG: Duration = Duration::from_secs(600);

/// Runs the suite. `make` gives an empty queue at each call.
///
/// # Panics
/// With the rule that was broken.
pub async fn tasks<F: Future<Output = Result<Arc<dyn TaskQueue>>>>(make: impl Fn() -> F) {
    urgent_first_then_oldest(&*make().await.unwrap()).await;
    a_lease_hides_and_runs_out(&*make().await.unwrap()).await;
    failures_end_as_dead_letters(&*make().await.unwrap()).await;
    waiting_ends_when_something_is_due(make().await.unwrap()).await;
    two_workers_never_have_the_same_task(make().await.unwrap()).await;
}

fn task(name: &str) -> NewTask {
    NewTask::new(json!(name))
}

async fn names(queue: &dyn TaskQueue, limit: u32) -> Vec<String> {
    let leased = queue.lease("q", limit, LONG).await.unwrap();
    leased.iter().map(|task| task.payload.as_str().unwrap().to_owned()).collect()
}

/// Leases the next task, waiting for it.
async fn next(queue: &dyn TaskQueue, visibility: Duration) -> LeasedTask {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(task) = queue.lease("q", 1, visibility).await.unwrap().pop() {
            return task;
        }
        assert!(Instant::now() < deadline, "no task within 20 s");
        queue.wait("q", Duration::from_secs(1)).await.unwrap();
    }
}

async fn urgent_first_then_oldest(queue: &dyn TaskQueue) {
    let low = NewTask { priority: 0, ..task("low") };
    assert!(queue.enqueue("q", &low).await.unwrap());
    let twice = queue.enqueue("q", &low).await.unwrap();
    for name in ["first", "second"] {
        queue.enqueue("q", &task(name)).await.unwrap();
    }
    queue.enqueue("q", &NewTask { priority: 9, ..task("urgent") }).await.unwrap();
    queue.enqueue("q", &NewTask { delay: LONG, ..task("later") }).await.unwrap();
    queue.enqueue("other", &task("other")).await.unwrap();
    assert_eq!(names(queue, 2).await, ["urgent", "first"]);
    let rest: &[_] = if twice { &["second", "low", "low"] } else { &["second", "low"] };
    assert_eq!(
        names(queue, 9).await,
        rest,
        "not what is delayed, nor another queue's, nor what it knew already"
    );
    assert_eq!(names(queue, 9).await, [""; 0]);
    assert!(queue.enqueue("q", &NewTask { priority: 10, ..task("x") }).await.is_err());
    assert!(queue.enqueue("q", &NewTask { max_attempts: 0, ..task("x") }).await.is_err());
}

async fn a_lease_hides_and_runs_out(queue: &dyn TaskQueue) {
    queue.enqueue("q", &task("work")).await.unwrap();
    let first = next(queue, Duration::from_millis(20)).await;
    assert_eq!(first.attempt, 1);
    let second = next(queue, LONG).await;
    assert_eq!((second.id, second.attempt), (first.id, 2), "an abandoned task comes again");
    assert!(queue.complete(&first).await.is_err(), "the lease that ran out is worth nothing");
    assert!(queue.extend(&first, LONG).await.is_err());
    queue.extend(&second, LONG).await.unwrap();
    queue.complete(&second).await.unwrap();
    assert!(queue.complete(&second).await.is_err(), "done once");
    assert_eq!(names(queue, 9).await, [""; 0]);
}

async fn failures_end_as_dead_letters(queue: &dyn TaskQueue) {
    queue.enqueue("q", &NewTask { max_attempts: 2, ..task("work") }).await.unwrap();
    let attempt = next(queue, LONG).await;
    assert_eq!(queue.fail(&attempt, "no route", Duration::from_millis(5)).await.unwrap(), Failed::Again);
    let attempt = next(queue, LONG).await;
    assert_eq!(queue.fail(&attempt, "still no route", Duration::ZERO).await.unwrap(), Failed::Dead);
    assert!(queue.fail(&attempt, "again", Duration::ZERO).await.is_err(), "failed once");
    assert_eq!(names(queue, 9).await, [""; 0]);
    let dead = queue.dead("q", 9).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].attempts, dead[0].error.as_str()), (2, "still no route"));
    assert!(queue.revive(dead[0].id).await.unwrap());
    assert!(!queue.revive(dead[0].id).await.unwrap());
    assert_eq!(names(queue, 9).await, ["work"]);

    let abandoned = NewTask { max_attempts: 1, ..task("abandoned") };
    queue.enqueue("q", &abandoned).await.unwrap();
    next(queue, Duration::from_millis(5)).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while queue.dead("q", 9).await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "a task whose last lease ran out is a dead letter");
        queue.wait("q", Duration::from_millis(100)).await.unwrap();
        assert_eq!(names(queue, 9).await, [""; 0]);
    }
    assert!(queue.discard(abandoned.id).await.unwrap());
    assert_eq!(queue.dead("q", 9).await.unwrap(), []);
}

async fn waiting_ends_when_something_is_due(queue: Arc<dyn TaskQueue>) {
    let waiter = {
        let queue = queue.clone();
        tokio::spawn(async move { next(&*queue, LONG).await })
    };
    queue.enqueue("q", &NewTask { delay: Duration::from_millis(30), ..task("soon") }).await.unwrap();
    assert_eq!(waiter.await.unwrap().payload, json!("soon"));
}

async fn two_workers_never_have_the_same_task(queue: Arc<dyn TaskQueue>) {
    for _ in 0..40 {
        queue.enqueue("q", &task("x")).await.unwrap();
    }
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut mine: Vec<Uuid> = Vec::new();
                loop {
                    let leased = queue.lease("q", 3, LONG).await.unwrap();
                    if leased.is_empty() {
                        return mine;
                    }
                    mine.extend(leased.iter().map(|task| task.id));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    let leased = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((leased, all.len()), (40, 40), "each task was leased exactly once");
}
