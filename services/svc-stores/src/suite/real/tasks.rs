//! RabbitMQ.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::proxy::Proxy;
use super::{away, eventually, variable};
use crate::Result;
use crate::tasks::{self, LeasedTask, NewTask, TaskQueue};

const LONG: Duration = Duration::from_secs(600);

fn apart(url: &str) -> Result<Arc<dyn TaskQueue>> {
    tasks::connect_apart(url, &format!("suite-{}", Uuid::now_v7().simple()))
}

async fn next(queue: &dyn TaskQueue) -> LeasedTask {
    let waiting = async || {
        queue.wait("q", Duration::from_millis(200)).await?;
        queue.lease("q", 1, LONG).await?.pop().ok_or_else(|| crate::StoreError::Unavailable {
            attempted: "lease a task".to_owned(),
            problem: "there is none".to_owned(),
        })
    };
    eventually(waiting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_is_a_queue_of_tasks() {
    let Some(url) = variable("TEST_RABBITMQ_URL") else { return };
    crate::suite::tasks(|| async { apart(&url) }).await;
    tasks::connect(&url).await.unwrap().check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_may_have_any_length() {
    let Some(url) = variable("TEST_RABBITMQ_URL") else { return };
    let queue = apart(&url).unwrap();
    let start = std::time::Instant::now();
    for milliseconds in [0, 7, 55, 333, 1234] {
        let delay = Duration::from_millis(milliseconds);
        queue.enqueue("q", &NewTask { delay, ..NewTask::new(json!(milliseconds)) }).await.unwrap();
    }
    for milliseconds in [0, 7, 55, 333, 1234] {
        let task = next(&*queue).await;
        assert_eq!(task.payload, json!(milliseconds));
        // A step ends up to ten milliseconds early rather than late: the last of them is not waited for.
        let early = Duration::from_millis(milliseconds).saturating_sub(start.elapsed());
        assert!(early <= Duration::from_millis(10), "{early:?} too early");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_worker_held_comes_again_and_is_counted() {
    let Some(url) = variable("TEST_RABBITMQ_URL") else { return };
    let parsed = url::Url::parse(&url).unwrap();
    let (host, port) = (parsed.host_str().unwrap(), parsed.port().unwrap());
    let proxy = Proxy::before(&format!("{host}:{port}")).await;
    let password = parsed.password().unwrap();
    let through = format!("amqp://{}:{password}@{}", parsed.username(), proxy.address());
    let queue = apart(&through).unwrap();
    let task = NewTask { max_attempts: 2, ..NewTask::new(json!("work")) };
    queue.enqueue("q", &task).await.unwrap();
    let first = next(&*queue).await;

    proxy.cut();
    let lost = async || queue.enqueue("q", &NewTask::new(json!("lost"))).await;
    away("TASKS_URL", proxy.address(), password, &lost).await;
    assert!(queue.complete(&first).await.is_err(), "the lease was lost with the connection");
    proxy.heal();
    let second = next(&*queue).await;
    assert_eq!((second.id, second.attempt), (first.id, 2));
    proxy.cut();
    proxy.heal();
    let dead = async || {
        assert!(queue.lease("q", 1, LONG).await?.is_empty(), "its attempts are used up");
        let mut dead = queue.dead("q", 9).await?;
        dead.pop().ok_or_else(|| crate::StoreError::Unavailable {
            attempted: "find the dead letter".to_owned(),
            problem: "there is none yet".to_owned(),
        })
    };
    let dead = eventually(dead).await;
    assert_eq!((dead.id, dead.attempts), (task.id, 2));
    assert!(dead.error.contains("worker went away"), "{}", dead.error);

    proxy.pause();
    away("TASKS_URL", proxy.address(), password, &lost).await;
    proxy.heal();
    eventually(async || queue.check().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_refused_by_name() {
    let Some(url) = variable("TEST_RABBITMQ_URL") else { return };
    let parsed = url::Url::parse(&url).unwrap();
    let host = format!("{}:{}", parsed.host_str().unwrap(), parsed.port().unwrap());
    let queue = tasks::connect(&format!("amqp://platform:hunter2@{host}")).await.unwrap();
    let error = queue.check().await.unwrap_err();
    let said = error.to_string();
    assert!(!error.is_transient(), "{said}");
    assert!(said.contains(&format!("TASKS_URL ({host})")) && !said.contains("hunter2"), "{said}");
}
