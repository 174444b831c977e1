//! `events`: what happens to the containers of a project, as it happens.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use serde::Serialize;

use super::{BAD_ARGUMENT, Stack};
use crate::trouble::{ended_early, trouble};
use crate::{away, labels};

/// Pause before listening again when the Engine hung up.
const AGAIN: Duration = Duration::from_millis(200);

/// Something that happened to a container. The field names are those of `docker compose events --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StackEvent {
    /// When, RFC 3339 with nanoseconds.
    pub time: String,
    /// Always `container`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its service.
    pub service: String,
    /// The container.
    pub id: String,
    /// `create`, `start`, `die`, `health_status: healthy`, …
    pub action: String,
    /// What the Engine tells beside it, without Compose's own labels.
    pub attributes: BTreeMap<String, String>,
}

/// Between which moments something happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    since: Option<String>,
    until: Option<String>,
}

impl Window {
    /// Understands moments as docker compose does: RFC 3339 in whole or from the left (`2026-01-02`,
    /// `2026-01-02T13:23`), seconds since 1970, or a span before now (`42m`, `1h30m`).
    ///
    /// # Errors
    /// When a text is none of these: both at once.
    pub fn parse(since: Option<&str>, until: Option<&str>) -> Result<Self, EngineError> {
        let now = jiff::Timestamp::now();
        let read = |text: Option<&str>| {
            text.map(|text| moment(text, now).ok_or_else(|| text.to_owned())).transpose()
        };
        match (read(since), read(until)) {
            (Ok(since), Ok(until)) => Ok(Self { since, until }),
            (since, until) => {
                let bad: Vec<String> = [since.err(), until.err()]
                    .into_iter()
                    .flatten()
                    .map(|text| format!("`{text}`"))
                    .collect();
                let message = format!("{} is no moment in time", bad.join(" and "));
                Err(EngineError::new(BAD_ARGUMENT, ExitCode::Usage, message)
                    .help("say a moment, such as 2026-01-02T13:23:37Z, or a span before now, such as 42m"))
            }
        }
    }

    /// The beginning, as the Engine takes it: seconds since 1970 with a fraction.
    #[must_use]
    pub fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }

    /// The end, as [`since`](Self::since).
    #[must_use]
    pub fn until(&self) -> Option<&str> {
        self.until.as_deref()
    }

    /// The whole seconds since 1970 that it lies within.
    #[must_use]
    pub fn seconds(&self) -> (Option<i64>, Option<i64>) {
        let whole = |text: &Option<String>| Some(nanoseconds(text.as_deref()?)?.div_euclid(SECOND));
        let seconds = |nanoseconds: i128| i64::try_from(nanoseconds).ok();
        let end = whole(&self.until).map(|second| second + 1);
        (whole(&self.since).and_then(seconds), end.and_then(seconds))
    }

    /// How long it goes on from now; `None`: without end.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let left = nanoseconds(self.until.as_deref()?)? - jiff::Timestamp::now().as_nanosecond();
        Some(Duration::from_nanos(u64::try_from(left.max(0)).unwrap_or(u64::MAX)))
    }

    /// Whether a moment, RFC 3339, lies in it; so does what is no moment.
    #[must_use]
    pub fn holds(&self, time: &str) -> bool {
        let Ok(time) = time.parse::<jiff::Timestamp>() else { return true };
        let time = time.as_nanosecond();
        let bound = |text: &Option<String>| text.as_deref().and_then(nanoseconds);
        bound(&self.since).is_none_or(|since| since <= time)
            && bound(&self.until).is_none_or(|until| time <= until)
    }
}

impl Stack {
    /// What happens to containers of these services, of all without names; ends with the window, if that has an end. An
    /// Engine that goes away in the middle is waited for.
    pub fn events(
        &self,
        services: &[String],
        window: &Window,
    ) -> impl Stream<Item = Result<StackEvent, EngineError>> + use<> {
        let labels = vec![format!("{}={}", labels::PROJECT, self.project)];
        let listening = Listening {
            docker: self.docker.clone(),
            filters: HashMap::from([("type", vec!["container".to_owned()]), ("label", labels)]),
            window: window.clone(),
            last: None,
            stream: None,
        };
        let services = services.to_vec();
        stream::unfold(Some(listening), Listening::next).filter_map(move |event| {
            let found = match event {
                Ok(event) => of_service(event, &services).map(Ok),
                Err(error) => Some(Err(error)),
            };
            std::future::ready(found)
        })
    }
}

struct Listening {
    docker: Docker,
    filters: HashMap<&'static str, Vec<String>>,
    window: Window,
    /// When the last event happened that was told, in nanoseconds since 1970.
    last: Option<i64>,
    stream: Option<BoxStream<'static, Result<EventMessage, Error>>>,
}

impl Listening {
    fn listen(&self) -> BoxStream<'static, Result<EventMessage, Error>> {
        let mut options = EventsOptionsBuilder::new().filters(&self.filters);
        let last = self.last.map(i128::from).map(|last| format!("{}.{:09}", last / SECOND, last % SECOND));
        if let Some(since) = last.as_deref().or(self.window.since()) {
            options = options.since(since);
        }
        if let Some(until) = self.window.until() {
            options = options.until(until);
        }
        self.docker.events(Some(options.build())).boxed()
    }

    /// The next event, or why there is none. After that, or at the end of the window, nothing more.
    async fn next(listening: Option<Self>) -> Option<(Result<EventMessage, EngineError>, Option<Self>)> {
        let mut it = listening?;
        loop {
            let mut stream = it.stream.take().unwrap_or_else(|| it.listen());
            match stream.next().await {
                Some(Ok(event)) => {
                    it.stream = Some(stream);
                    // What was told before the Engine went away is not told twice.
                    if event.time_nano.is_some() && event.time_nano <= it.last {
                        continue;
                    }
                    it.last = event.time_nano.or(it.last);
                    return Some((Ok(event), Some(it)));
                }
                Some(Err(error @ Error::DockerResponseServerError { .. })) => {
                    return Some((Err(trouble("listening to the Engine", error)), None));
                }
                _ if it.window.remaining().is_some_and(|left| left.is_zero()) => return None,
                _ => {
                    tokio::time::sleep(AGAIN).await;
                    if !away::is_back(&it.docker).await {
                        return Some((Err(ended_early("listening to the Engine")), None));
                    }
                }
            }
        }
    }
}

fn of_service(event: EventMessage, services: &[String]) -> Option<StackEvent> {
    let actor = event.actor?;
    let mut attributes: BTreeMap<String, String> = actor.attributes.unwrap_or_default().into_iter().collect();
    let service = attributes.remove(labels::SERVICE)?;
    if !services.is_empty() && !services.contains(&service) {
        return None;
    }
    attributes.retain(|name, _| !name.starts_with("com.docker.compose."));
    let time = event.time_nano.and_then(|time| jiff::Timestamp::from_nanosecond(i128::from(time)).ok())?;
    let action = event.action.unwrap_or_default();
    Some(StackEvent {
        time: time.to_string(),
        kind: "container",
        service,
        id: actor.id.unwrap_or_default(),
        action,
        attributes,
    })
}

const SECOND: i128 = 1_000_000_000;

/// Nanoseconds since 1970 of seconds with a fraction.
fn nanoseconds(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    match (seconds.parse::<i128>(), fraction.parse::<i128>()) {
        (Ok(seconds), Ok(fraction)) => Some(seconds * SECOND + fraction),
        // Written with an exponent.
        _ => text.parse::<f64>().ok().map(|seconds| (seconds * 1e9) as i128),
    }
}

/// A moment as the Engine takes it: seconds since 1970, with nanoseconds behind the point.
fn moment(text: &str, now: jiff::Timestamp) -> Option<String> {
    if text.parse::<f64>().is_ok_and(|seconds| seconds.is_finite() && seconds >= 0.0) {
        return Some(text.to_owned());
    }
    let time = span(text).and_then(|span| now.checked_sub(span).ok()).or_else(|| point(text))?;
    Some(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()))
}

/// Spans as Go writes them: no space, no sign.
fn span(text: &str) -> Option<jiff::SignedDuration> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let ends_in_unit = text.bytes().last().is_some_and(|byte| b"smh".contains(&byte));
    if plain && ends_in_unit { text.parse().ok() } else { None }
}

/// A moment, RFC 3339 in whole or from the left; without a zone it is the local time.
fn point(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok().or_else(|| {
        let date: jiff::civil::DateTime =
            text.parse().ok().or_else(|| text.parse::<jiff::civil::Date>().ok().map(Into::into))?;
        Some(date.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_understood_as_docker_compose_does() {
        let now: jiff::Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        let moment = |text: &str| moment(text, now);
        let at = |text: &str| {
            let time: jiff::Timestamp = text.parse().unwrap();
            Some(format!("{}.000000000", time.as_second()))
        };
        assert_eq!(moment("42m"), at("2026-01-02T11:18:00Z"));
        assert_eq!(moment("1h30m"), at("2026-01-02T10:30:00Z"));
        assert_eq!(moment("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"));
        assert_eq!(moment("2026-01-01T02:00:00+02:00"), at("2026-01-01T00:00:00Z"));
        assert_eq!(moment("1767225600"), Some("1767225600".to_owned()));
        assert_eq!(moment("1767225600.5"), Some("1767225600.5".to_owned()));
        assert!(moment("2026-01-01").is_some());
        assert!(moment("2026-01-01T10:11").is_some());
        for bad in ["", "soon", "-5m", "5 minutes", "5x", "NaN"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_window_holds_its_bounds_and_what_is_between() {
        let window = Window::parse(Some("1767225600.5"), Some("2026-01-01T00:00:02Z")).unwrap();
        let holds = |time: &str| window.holds(time);
        assert!(!holds("2026-01-01T00:00:00.499999999Z") && holds("2026-01-01T00:00:00.500Z"));
        assert!(holds("2026-01-01T00:00:02.000000000Z") && !holds("2026-01-01T00:00:02.000000001Z"));
        assert!(holds(""), "half a line has no time");
        assert_eq!(window.seconds(), (Some(1_767_225_600), Some(1_767_225_603)));
        assert_eq!(window.remaining(), Some(Duration::ZERO));
        assert!(Window::default().holds("2026-01-01T00:00:00Z"));
        assert_eq!((Window::default().seconds(), Window::default().remaining()), ((None, None), None));
    }

    #[test]
    fn every_bad_moment_is_told() {
        let error = Window::parse(Some("soon"), Some("later")).unwrap_err();
        assert!(error.message.contains("`soon` and `later`"), "{}", error.message);
    }
}
