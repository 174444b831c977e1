//! Delivery with adapters that fail, on a schedule of milliseconds.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use notify::domain::{Channel, Schedule};
use notify::{
    Adapter, Adapters, Courier, DeliveryError, Limits, MIGRATIONS, Outgoing, Sender, Setup, SystemClock,
};
use svc_api::notify::v1::notify_service_server::NotifyService;
use svc_api::notify::v1::*;
use svc_kit::Shutdown;
use svc_stores::{Database, cache, tasks, values};
use svc_testkit::wait_for;
use tempfile::TempDir;
use tonic::Request;
use uuid::Uuid;

/// Answers as it is told, in order, and then with success. Remembers what it was given.
#[derive(Clone, Default)]
struct Mail {
    answers: Arc<Mutex<Vec<Option<DeliveryError>>>>,
    got: Arc<Mutex<Vec<Outgoing>>>,
    calls: Arc<AtomicUsize>,
}

#[async_trait]
impl Adapter for Mail {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    async fn deliver(&self, message: &Outgoing, _: &Setup) -> Result<(), DeliveryError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.got.lock().unwrap().push(message.clone());
        let answer = self.answers.lock().unwrap().pop();
        match answer {
            // Never answers.
            Some(None) => std::future::pending().await,
            Some(Some(error)) => Err(error),
            None => Ok(()),
        }
    }
}

struct Bench {
    sender: Sender,
    database: Database,
    mail: Mail,
    tenant: Uuid,
    worker: tokio::task::JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Bench {
    /// `answers` in the order in which they are given.
    async fn new(answers: impl IntoIterator<Item = Option<DeliveryError>>) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let url = |name: &str| format!("sqlite://{}/{name}.db", folder.path().display());
        let database = Database::connect(&url("notify")).await.unwrap();
        database.migrate("notify", MIGRATIONS).await.unwrap();
        let mail = Mail::default();
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        *mail.answers.lock().unwrap() = answers;
        let adapters = Adapters::new([Box::new(mail.clone()) as Box<dyn Adapter>]);
        let queue = tasks::connect(&url("tasks")).await.unwrap();
        let schedule = Schedule::starting_with(Duration::from_millis(4));
        let patience = Duration::from_millis(50);
        let courier = Courier::new(database.clone(), queue, adapters.clone(), schedule, patience);
        let limits = Limits::new(cache::connect("memory://").unwrap(), SystemClock, 100, 50);
        let sender = Sender::new(database.clone(), adapters, courier.clone(), limits);
        let worker = tokio::spawn(async move { courier.run(Shutdown::default()).await });
        Bench { sender, database, mail, tenant: Uuid::now_v7(), worker, _folder: folder }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-tenant-id", self.tenant.to_string().parse().unwrap());
        request
    }

    async fn send(&self) -> String {
        let request = SendRequest {
            channel: "email".to_owned(),
            recipient: "ada@example.org".to_owned(),
            subject: "Hello {{name}}".to_owned(),
            body: "body".to_owned(),
            variables: [("name".to_owned(), "Ada".to_owned())].into(),
            ..Default::default()
        };
        self.sender.send(self.request(request)).await.unwrap().into_inner().notification_id
    }

    async fn in_state(&self, id: &str, status: &str) -> Notification {
        wait_for(status, || async {
            let request = self.request(GetNotificationRequest { id: id.to_owned() });
            let found = self.sender.get_notification(request).await.unwrap().into_inner();
            (found.status == status).then_some(found)
        })
        .await
    }

    async fn events(&self) -> Vec<String> {
        let sql = "SELECT event_type FROM outbox ORDER BY sequence";
        let rows = self.database.system().fetch_all(sql, values![]).await.unwrap();
        rows.iter().map(|row| row.get("event_type").unwrap()).collect()
    }
}

fn busy() -> Option<DeliveryError> {
    Some(DeliveryError::Temporary("the mail server is busy".to_owned()))
}

#[tokio::test]
async fn a_delivery_that_fails_is_tried_again() {
    let bench = Bench::new([busy(), busy()]).await;
    let id = bench.send().await;
    let delivered = bench.in_state(&id, "delivered").await;
    assert_eq!((delivered.attempts, delivered.last_error.as_str()), (3, ""));
    let got = bench.mail.got.lock().unwrap().clone();
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|message| message.id.to_string() == id && message.subject == "Hello Ada"));
    assert_eq!(bench.events().await, ["notify.notification.queued", "notify.notification.delivered"]);
}

#[tokio::test]
async fn after_five_attempts_it_has_failed_and_can_be_sent_again_by_hand() {
    let bench = Bench::new((0..5).map(|_| busy())).await;
    let id = bench.send().await;
    let failed = bench.in_state(&id, "failed").await;
    assert_eq!((failed.attempts, failed.last_error.as_str()), (5, "the mail server is busy"));
    assert!(failed.next_attempt_at.is_none());
    assert_eq!(bench.mail.calls.load(Ordering::SeqCst), 5);
    assert_eq!(bench.events().await, ["notify.notification.queued", "notify.notification.failed"]);
    let listed = bench.sender.list_failed(bench.request(ListFailedRequest::default())).await.unwrap();
    assert_eq!(listed.into_inner().notifications, [failed]);

    let retry = bench.request(RetryNotificationRequest { id: id.clone() });
    assert_eq!(bench.sender.retry_notification(retry).await.unwrap().into_inner().status, "queued");
    assert_eq!(bench.in_state(&id, "delivered").await.attempts, 1);
}

#[tokio::test]
async fn what_can_never_arrive_is_given_up_at_once() {
    let nobody = DeliveryError::Permanent("no such mailbox".to_owned());
    let bench = Bench::new([Some(nobody)]).await;
    let failed = bench.in_state(&bench.send().await, "failed").await;
    assert_eq!((failed.attempts, failed.last_error.as_str()), (1, "no such mailbox"));
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_cut_off() {
    let bench = Bench::new([None]).await;
    let delivered = bench.in_state(&bench.send().await, "delivered").await;
    assert_eq!(delivered.attempts, 2);
}
