//! `ps` in docker compose's own form: each container with all that the Engine tells of it.

use std::collections::BTreeMap;

use bollard::models::ContainerSummary;
use futures::{StreamExt, TryStreamExt, stream};
use kernel_engine::EngineError;
use serde::Serialize;

use super::{Stack, Which, member};
use crate::ask;
use crate::trouble::{is_missing, trouble};

/// How many questions the Engine is asked at the same time.
const AT_ONCE: usize = 8;

/// How many characters of an id, a command and a mount are shown unless all is wanted.
const SHORT: (usize, usize, usize) = (12, 20, 15);

/// A container of a service.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What the Engine knows it by.
    pub id: String,
    /// Its service.
    pub service: String,
    /// One word of the Engine's: `running`, `exited`, `paused`, …
    pub state: String,
    /// The same as a sentence: `Up 3 seconds (healthy)`.
    status: String,
    /// `healthy`, `starting`, `unhealthy`, or nothing.
    health: String,
    exit_code: i64,
    name: String,
    image: String,
    command: String,
    /// Seconds since 1970.
    created: i64,
    ports: Vec<Publisher>,
    labels: BTreeMap<String, String>,
    mounts: Vec<String>,
    /// How many of the mounts are volumes of this machine.
    local_volumes: usize,
    networks: Vec<String>,
}

/// A port of a container and where it is published, by docker compose's names. Number 0: nowhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Publisher {
    #[serde(rename = "URL")]
    url: String,
    #[serde(rename = "TargetPort")]
    target: u16,
    #[serde(rename = "PublishedPort")]
    published: u16,
    #[serde(rename = "Protocol")]
    protocol: String,
}

impl Stack {
    /// The containers of these services, of all without names, by their names. With [`Which::Running`] those that live.
    ///
    /// # Errors
    /// When the Engine can't be asked.
    pub async fn containers(&self, services: &[String], which: Which) -> Result<Vec<Listed>, EngineError> {
        let found = self.summaries(which).await?;
        let found = found.into_iter().filter_map(|summary| {
            let member = member(summary.clone())?;
            let wanted = services.is_empty() || services.contains(&member.service);
            (wanted && (which == Which::WithOneOff || !member.one_off)).then(|| listed(summary, member))
        });
        // How it ended and whether it is healthy stands in no list of an Engine before 1.52.
        let asked = stream::iter(found).map(|mut listed| async move {
            match ask::inspect(&self.docker, &listed.id).await {
                Ok(answer) => {
                    let state = answer.state.unwrap_or_default();
                    let health = state.health.and_then(|health| health.status);
                    let health = health.map(|health| health.to_string()).filter(|health| health != "none");
                    listed.health = health.unwrap_or_default();
                    listed.exit_code = state.exit_code.unwrap_or_default();
                    Ok(Some(listed))
                }
                Err(error) if is_missing(&error) => Ok(None),
                Err(error) => Err(trouble(&format!("asking for the container `{}`", listed.name), error)),
            }
        });
        let listed: Vec<Option<Listed>> = asked.buffered(AT_ONCE).try_collect().await?;
        let mut listed: Vec<Listed> = listed.into_iter().flatten().collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }
}

impl Listed {
    /// Its labels.
    #[must_use]
    pub const fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// What `docker compose ps --format json` prints of it, with ids, commands and mounts in `full` or shortened.
    #[must_use]
    pub fn compose_form(&self, full: bool) -> serde_json::Value {
        self.form_at(jiff::Timestamp::now(), full)
    }

    fn form_at(&self, now: jiff::Timestamp, full: bool) -> serde_json::Value {
        let (id, command, mount) = if full { (usize::MAX, usize::MAX, usize::MAX) } else { SHORT };
        let created = jiff::Timestamp::from_second(self.created).unwrap_or_default();
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mounts: Vec<String> = self.mounts.iter().map(|name| shortened(name, mount)).collect();
        let ports: Vec<String> = self.ports.iter().map(Publisher::shown).collect();
        serde_json::json!({
            "Command": quoted(&shortened(&self.command, command)),
            "CreatedAt": created.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
            "ExitCode": self.exit_code,
            "Health": self.health,
            "ID": self.id.chars().take(id).collect::<String>(),
            "Image": self.image,
            "Labels": labels.join(","),
            "LocalVolumes": self.local_volumes.to_string(),
            "Mounts": mounts.join(","),
            "Name": self.name,
            "Names": self.name,
            "Networks": self.networks.join(","),
            "Ports": ports.join(", "),
            "Project": self.labels.get(crate::labels::PROJECT),
            "Publishers": self.ports,
            "RunningFor": format!("{} ago", span(now.as_second() - self.created)),
            "Service": self.service,
            "Size": "0B",
            "State": self.state,
            "Status": self.status,
        })
    }
}

impl Publisher {
    fn shown(&self) -> String {
        let inside = format!("{}/{}", self.target, self.protocol);
        match self.published {
            0 => inside,
            published if self.url.contains(':') => format!("[{}]:{published}->{inside}", self.url),
            published => format!("{}:{published}->{inside}", self.url),
        }
    }
}

fn listed(summary: ContainerSummary, member: super::Member) -> Listed {
    let mut ports: Vec<Publisher> = summary
        .ports
        .unwrap_or_default()
        .into_iter()
        .map(|port| Publisher {
            url: port.ip.unwrap_or_default(),
            target: port.private_port,
            published: port.public_port.unwrap_or_default(),
            protocol: port.typ.map(|kind| kind.to_string()).unwrap_or_default(),
        })
        .collect();
    ports.sort_by_key(|port| (port.target, port.url.clone(), port.published, port.protocol.clone()));
    let mounts = summary.mounts.unwrap_or_default();
    let local = |mount: &&bollard::models::MountPoint| mount.driver.as_deref() == Some("local");
    let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut networks: Vec<String> = networks.into_keys().collect();
    networks.sort();
    Listed {
        id: member.id,
        service: member.service,
        state: member.state,
        status: summary.status.unwrap_or_default(),
        health: String::new(),
        exit_code: 0,
        name: member.name,
        image: member.image,
        command: summary.command.unwrap_or_default(),
        created: summary.created.unwrap_or_default(),
        ports,
        labels: summary.labels.unwrap_or_default().into_iter().collect(),
        local_volumes: mounts.iter().filter(local).count(),
        mounts: mounts
            .into_iter()
            .filter_map(|mount| mount.name.filter(|name| !name.is_empty()).or(mount.source))
            .collect(),
        networks,
    }
}

/// At most so many characters, the last one an ellipsis where more would follow.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// In quotes, as Docker shows a command.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|character| match character {
            '"' | '\\' => format!("\\{character}"),
            '\n' => "\\n".to_owned(),
            '\t' => "\\t".to_owned(),
            '\r' => "\\r".to_owned(),
            other => other.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// A span of seconds in Docker's words.
fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_docker_s_words() {
        let told = |seconds| span(seconds);
        assert_eq!(told(0), "Less than a second");
        assert_eq!((told(1), told(59)), ("1 second".to_owned(), "59 seconds".to_owned()));
        assert_eq!((told(119), told(120)), ("About a minute".to_owned(), "2 minutes".to_owned()));
        assert_eq!((told(3600), told(7200)), ("About an hour".to_owned(), "2 hours".to_owned()));
        assert_eq!((told(86_400 * 3), told(86_400 * 20)), ("3 days".to_owned(), "2 weeks".to_owned()));
        assert_eq!((told(86_400 * 90), told(86_400 * 800)), ("3 months".to_owned(), "2 years".to_owned()));
    }

    #[test]
    fn what_is_long_is_cut_and_what_is_special_is_escaped() {
        assert_eq!(shortened("sh -c 'echo out; echo err'", 20), "sh -c 'echo out; ec…");
        assert_eq!(shortened("short", 20), "short");
        assert_eq!(quoted("a \"b\"\n"), "\"a \\\"b\\\"\\n\"");
    }

    #[test]
    fn a_port_is_shown_with_where_it_is_published() {
        let port = |url: &str, published| Publisher {
            url: url.to_owned(),
            target: 80,
            published,
            protocol: "tcp".to_owned(),
        };
        assert_eq!(port("127.0.0.1", 8080).shown(), "127.0.0.1:8080->80/tcp");
        assert_eq!(port("::", 8080).shown(), "[::]:8080->80/tcp");
        assert_eq!(port("", 0).shown(), "80/tcp");
    }
}
