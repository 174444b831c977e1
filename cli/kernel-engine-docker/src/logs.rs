//! What containers said.

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::{BoxStream, SelectAll};
use kernel_core::container::NUMBER_LABEL;
use kernel_core::event::{LogLine, Stream};
use kernel_core::exit::ExitCode;
use kernel_core::name::{ProjectName, ServiceName};
use kernel_engine::EngineError;
use tokio::sync::broadcast::error::RecvError;

use crate::stack::NO_CONTAINER;
use crate::trouble::ended_early;
use crate::watch::{News, Watch};
use crate::{labels, observe};

/// Which lines are told.
#[derive(Clone, Debug, Default)]
pub struct LogRequest {
    /// Of these services.
    pub services: BTreeSet<ServiceName>,
    /// At most so many last lines of each container; all when `None`.
    pub tail: Option<usize>,
    /// Go on with what they say from now on.
    pub follow: bool,
    /// What is followed is followed until none of it runs any more.
    pub until_end: bool,
    /// Only of the container of each service that has this number, from one.
    pub number: Option<u32>,
    /// Nothing from before this second since 1970.
    pub since: Option<i64>,
    /// Nothing from after this second since 1970.
    pub until: Option<i64>,
}

/// One line with the time that the Engine gave it.
struct Line {
    container: String,
    line: LogLine,
}

/// Gives lines to `take`: what was said, merged by time; then, with `follow`, what is said from now on, also by
/// containers that start later. Then it ends only when its future is dropped, or with `until_end`.
pub(crate) async fn tell(
    docker: &Docker,
    project: &ProjectName,
    watch: &Watch,
    request: &LogRequest,
    mut take: impl FnMut(LogLine) + Send,
) -> Result<(), EngineError> {
    let mut events = watch.listen();
    let label = format!("{}={project}", labels::PROJECT);
    let containers: HashMap<String, ServiceName> = services(docker, &label, request).await?;
    if let (true, Some(number)) = (containers.is_empty(), request.number) {
        let names: Vec<String> = request.services.iter().map(|name| format!("`{name}`")).collect();
        let message = format!("there is no container with number {number} of {}", names.join(", "));
        return Err(EngineError::new(NO_CONTAINER, ExitCode::Failed, message)
            .help("`kernel ps` shows what runs; `kernel scale SERVICE=N` changes how many there are"));
    }
    let tail = request.tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
    let histories = containers.iter().map(|(id, service)| {
        let stream = lines(docker, id, service, request, &tail, false);
        async move { stream.collect::<Vec<Line>>().await }
    });
    let mut told: Vec<Line> = join_all(histories).await.into_iter().flatten().collect();
    told.sort_by(|one, other| one.line.time.cmp(&other.line.time));
    let mut last: HashMap<String, String> = HashMap::new();
    for Line { container, line } in told {
        last.insert(container, line.time.clone());
        take(line);
    }
    if !request.follow {
        return Ok(());
    }
    let mut following: SelectAll<BoxStream<'static, Line>> = SelectAll::new();
    for (id, service) in &containers {
        following.push(lines(docker, id, service, request, "1000", true));
    }
    loop {
        tokio::select! {
            next = following.next(), if request.until_end || !following.is_empty() => match next {
                // A stream begins with what was said before.
                Some(Line { container, line }) if last.get(&container).is_none_or(|last| line.time > *last) => {
                    last.insert(container, line.time.clone());
                    take(line);
                }
                None if request.until_end => return Ok(()),
                _ => {}
            },
            news = events.recv() => {
                let started = match news {
                    Ok(News::Container { id, action }) if action == "start" => Some(id),
                    Ok(News::Container { .. }) => continue,
                    // What was followed is followed again: a line that was told is not told twice.
                    Ok(News::Back) | Err(RecvError::Lagged(_)) => None,
                    Ok(News::Gone) | Err(RecvError::Closed) => {
                        return Err(ended_early("listening to what the services say"));
                    }
                };
                let now = services(docker, &label, request).await.unwrap_or_default();
                for (id, service) in now.iter().filter(|(id, _)| started.as_ref().is_none_or(|it| it == *id)) {
                    following.push(lines(docker, id, service, request, "1000", true));
                }
            }
        }
    }
}

async fn services(
    docker: &Docker,
    label: &str,
    request: &LogRequest,
) -> Result<HashMap<String, ServiceName>, EngineError> {
    let containers = observe::containers(docker, label).await?;
    let services = containers.into_iter().filter_map(|container| {
        let labels = container.config?.labels?;
        let service = ServiceName::new(labels.get(labels::SERVICE)?.clone()).ok()?;
        let number = labels.get(NUMBER_LABEL).and_then(|number| number.parse().ok()).unwrap_or(1);
        if request.number.is_some_and(|wanted| wanted != number) {
            return None;
        }
        (request.services.contains(&service)).then_some((container.id?, service))
    });
    Ok(services.collect())
}

fn lines(
    docker: &Docker,
    container: &str,
    service: &ServiceName,
    request: &LogRequest,
    tail: &str,
    follow: bool,
) -> BoxStream<'static, Line> {
    let mut options =
        LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).follow(follow).tail(tail);
    let second = |second: i64| i32::try_from(second).unwrap_or(if second < 0 { 0 } else { i32::MAX });
    if let Some(since) = request.since {
        options = options.since(second(since));
    }
    if let Some(until) = request.until {
        options = options.until(second(until));
    }
    let options = options.build();
    let docker = docker.clone();
    let (container, service) = (container.to_owned(), service.clone());
    let outputs = {
        let container = container.clone();
        async_stream(docker, container, options)
    };
    let mut splitter = Splitter::default();
    outputs
        .flat_map(move |output| {
            let lines: Vec<Line> = splitter
                .take(output)
                .into_iter()
                .map(|(time, stream, text)| Line {
                    container: container.clone(),
                    line: LogLine { unit: service.clone(), time, stream, text },
                })
                .collect();
            futures::stream::iter(lines)
        })
        .boxed()
}

/// A stream that owns its client. It ends where the Engine can't tell more.
fn async_stream(
    docker: Docker,
    container: String,
    options: bollard::query_parameters::LogsOptions,
) -> BoxStream<'static, LogOutput> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut outputs = std::pin::pin!(docker.logs(&container, Some(options)));
        loop {
            tokio::select! {
                output = outputs.next() => match output {
                    Some(Ok(output)) => if sender.send(output).is_err() { break },
                    _ => break,
                },
                () = sender.closed() => break,
            }
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|output| (output, receiver))
    })
    .boxed()
}

/// Puts lines together that come in pieces, each stream for itself.
#[derive(Default)]
struct Splitter {
    rest: [Vec<u8>; 2],
}

impl Splitter {
    fn take(&mut self, output: LogOutput) -> Vec<(String, Stream, String)> {
        let (stream, place) = match output {
            LogOutput::StdErr { .. } => (Stream::Stderr, 1),
            _ => (Stream::Stdout, 0),
        };
        let rest = &mut self.rest[place];
        rest.extend_from_slice(output.as_ref());
        let mut lines = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']);
            let (time, text) = text.split_once(' ').unwrap_or((text, ""));
            lines.push((shorter(time), stream, text.to_owned()));
        }
        lines
    }
}

/// The Engine gives nanoseconds and leaves out zeros at the end; in full length, times sort as texts.
fn shorter(time: &str) -> String {
    let time = time.trim_end_matches('Z');
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
    format!("{seconds}.{fraction:0<9}Z")
}

/// The last lines of one container, without times.
pub(crate) async fn last_lines(docker: &Docker, container: &str, count: usize) -> Vec<String> {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&count.to_string()).build();
    let outputs = docker.logs(container, Some(options));
    let texts: Vec<String> = outputs
        .filter_map(|output| async { output.ok() })
        .map(|output| String::from_utf8_lossy(output.as_ref()).into_owned())
        .collect()
        .await;
    let lines: Vec<String> = texts.concat().lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut splitter = Splitter::default();
        let out = |text: &'static str| LogOutput::StdOut { message: text.into() };
        assert!(splitter.take(out("2026-01-01T00:00:00.5Z he")).is_empty());
        let error = LogOutput::StdErr { message: "2026-01-01T00:00:01Z oh\n".into() };
        let lines = splitter.take(error);
        assert_eq!(lines, [("2026-01-01T00:00:01.000000000Z".to_owned(), Stream::Stderr, "oh".to_owned())]);
        let lines = splitter.take(out("llo\r\n"));
        assert_eq!(lines[0].2, "hello");
        assert_eq!(lines[0].0, "2026-01-01T00:00:00.500000000Z");
    }
}
