//! Listens to what happens to the project's containers, for all who wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use futures::stream::BoxStream;
use kernel_core::name::ProjectName;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::{away, labels};

/// How many events may wait for somebody who is slow; whoever missed some looks at everything.
const ROOM: usize = 1024;

/// Pause before listening again when the Engine hung up.
const AGAIN: Duration = Duration::from_millis(200);

/// What those who wait are told.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// Something happened to a container.
    Container {
        /// Its id.
        id: String,
        /// What, as the Engine names it: `start`, `die`, `health_status: healthy`.
        action: String,
    },
    /// The Engine hung up and answers again; what happened meanwhile was told to nobody.
    Back,
    /// The Engine hung up and does not answer any more. The last news.
    Gone,
}

/// Tells what happens to the containers of one project, from the first subscription on.
#[derive(Debug)]
pub(crate) struct Watch {
    docker: Docker,
    project: ProjectName,
    sender: broadcast::Sender<News>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Watch {
    pub(crate) fn new(docker: Docker, project: ProjectName) -> Self {
        let (sender, _) = broadcast::channel(ROOM);
        Self { docker, project, sender, task: Mutex::new(None) }
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<News> {
        let receiver = self.sender.subscribe();
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let label = format!("{}={}", labels::PROJECT, self.project);
            *task = Some(tokio::spawn(tell(self.docker.clone(), label, self.sender.clone())));
        }
        receiver
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

async fn tell(docker: Docker, label: String, sender: broadcast::Sender<News>) {
    let filters = HashMap::from([("type", vec!["container".to_owned()]), ("label", vec![label])]);
    let mut events = stream(&docker, &filters);
    loop {
        while let Some(Ok(event)) = events.next().await {
            pass_on(event, &sender);
        }
        tokio::time::sleep(AGAIN).await;
        if !away::is_back(&docker).await {
            drop(sender.send(News::Gone));
            return;
        }
        events = stream(&docker, &filters);
        // The stream is asked for first, so that nothing can happen unseen between the news and the stream.
        let first = tokio::select! {
            biased;
            event = events.next() => event,
            _ = away::answers(&docker) => None,
        };
        drop(sender.send(News::Back));
        if let Some(Ok(event)) = first {
            pass_on(event, &sender);
        }
    }
}

fn stream(
    docker: &Docker,
    filters: &HashMap<&str, Vec<String>>,
) -> BoxStream<'static, Result<EventMessage, Error>> {
    docker.events(Some(EventsOptionsBuilder::new().filters(filters).build())).boxed()
}

fn pass_on(event: EventMessage, sender: &broadcast::Sender<News>) {
    let id = event.actor.and_then(|actor| actor.id).unwrap_or_default();
    drop(sender.send(News::Container { id, action: event.action.unwrap_or_default() }));
}
