//! What the pods of a workload say while it is waited for.

use std::collections::BTreeSet;

use futures::stream::BoxStream;
use futures::{AsyncBufReadExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kernel_core::event::{LogLine, Stream};
use kernel_core::name::ServiceName;
use kube::Api;
use kube::api::LogParams;

/// So many lines of what a pod had said before are told, and as many again at most of what follows.
const LINES: usize = 10;

/// The lines of one pod at a time, each told once.
#[derive(Default)]
pub struct Said {
    heard: BTreeSet<String>,
    lines: Option<BoxStream<'static, LogLine>>,
}

impl Said {
    /// Listens to a pod, if it was not heard yet and nobody else is listened to.
    pub async fn listen(&mut self, pods: &Api<Pod>, pod: &str, container: &str) {
        let Ok(unit) = ServiceName::new(pod) else { return };
        if self.lines.is_some() || !self.heard.insert(pod.to_owned()) {
            return;
        }
        let parameters = LogParams {
            container: Some(container.to_owned()),
            follow: true,
            tail_lines: i64::try_from(LINES).ok(),
            ..LogParams::default()
        };
        // Lines are a help and no more: who may not read them does without.
        let Ok(lines) = pods.log_stream(pod, &parameters).await else { return };
        let line = move |text: String| LogLine {
            unit: unit.clone(),
            time: Timestamp::now().to_string(),
            stream: Stream::Stdout,
            text,
        };
        let lines = lines.lines().take(2 * LINES).filter_map(|line| std::future::ready(line.ok()));
        self.lines = Some(lines.map(line).boxed());
    }

    /// The next line; never ends when nobody is listened to.
    pub async fn next(&mut self) -> LogLine {
        loop {
            match &mut self.lines {
                None => std::future::pending().await,
                Some(lines) => match lines.next().await {
                    Some(line) => return line,
                    None => self.lines = None,
                },
            }
        }
    }
}
