//! Listens to what happens to the project's containers, for all who wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use kernel_core::name::ProjectName;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::labels;

/// How many events may wait for somebody who is slow; whoever missed some looks at everything.
const ROOM: usize = 1024;

/// Pause before listening again when the Engine hung up.
const AGAIN: Duration = Duration::from_millis(200);

/// Something happened to a container.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    /// Its id.
    pub container: String,
    /// What, as the Engine names it: `start`, `die`, `health_status: healthy`.
    pub action: String,
}

/// Tells what happens to the containers of one project, from the first subscription on.
#[derive(Debug)]
pub(crate) struct Watch {
    docker: Docker,
    project: ProjectName,
    sender: broadcast::Sender<Happened>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Watch {
    pub(crate) fn new(docker: Docker, project: ProjectName) -> Self {
        let (sender, _) = broadcast::channel(ROOM);
        Self { docker, project, sender, task: Mutex::new(None) }
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Happened> {
        let receiver = self.sender.subscribe();
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
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

async fn tell(docker: Docker, label: String, sender: broadcast::Sender<Happened>) {
    let filters = HashMap::from([("type", vec!["container".to_owned()]), ("label", vec![label])]);
    loop {
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let mut events = Box::pin(docker.events(Some(options)));
        while let Some(Ok(event)) = events.next().await {
            let container = event.actor.and_then(|actor| actor.id).unwrap_or_default();
            drop(sender.send(Happened { container, action: event.action.unwrap_or_default() }));
        }
        tokio::time::sleep(AGAIN).await;
    }
}
