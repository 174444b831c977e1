//! The environment of a service on this machine, made from what its Compose file says for containers. Pure.
//!
//! In this order, later over earlier: the Compose `environment`; values that an embedded infra service answers for;
//! `x-kernel.environment`; `HOST` and `PORT`; and in all values, `service:port` of another service becomes
//! `127.0.0.1:port` where it listens here.

use std::collections::{BTreeMap, BTreeSet};

use kernel_core::diagnostic::Diagnostic;
use kernel_core::secret::{Secret, Value};
use kernel_core::source::Span;
use kernel_core::unit::Port;

use crate::codes;

/// The port of a service inside the project, when its environment has no `PORT`.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// What these rules need to know of a service.
#[derive(Clone, Debug, Default)]
pub struct Party {
    /// Its name, which is its host name in the project.
    pub name: String,
    /// It runs here as a process. If not, it may answer through [`Party::embedded`].
    pub runs: bool,
    /// The Compose `environment`.
    pub environment: Vec<Entry>,
    /// `x-kernel.environment`.
    pub local: Vec<Entry>,
    /// `x-kernel.embedded`.
    pub embedded: Vec<Entry>,
    /// Whom it depends on.
    pub depends_on: BTreeSet<String>,
    /// Its published ports, the offset added.
    pub ports: Vec<Port>,
}

/// One variable.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Where it stands.
    pub span: Option<Span>,
}

/// Where a service's placeholders lead.
#[derive(Clone, Debug)]
pub struct Places {
    /// `{root}`: the workspace, absolute.
    pub root: String,
    /// `{data}`: the data folder of the service, absolute.
    pub data: String,
}

/// The environment of `service` among `all`.
///
/// # Errors
/// Every placeholder that can't be filled in.
pub fn compose(
    service: &Party,
    all: &[Party],
    places: &Places,
) -> Result<BTreeMap<String, Value>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut environment = BTreeMap::new();
    for entry in &service.environment {
        let value = match embedded_default(service, all, entry) {
            Some(default) => fill(service, places, default, &mut problems),
            None => entry.value.clone(),
        };
        environment.insert(entry.name.clone(), value);
    }
    for entry in &service.local {
        environment.insert(entry.name.clone(), fill(service, places, entry, &mut problems));
    }
    let inside = inner_port(service);
    if let Some(port) = service.ports.iter().find(|port| port.container == inside) {
        environment.insert("PORT".to_owned(), Value::Plain(port.host.to_string()));
    }
    environment.insert("HOST".to_owned(), Value::Plain("127.0.0.1".to_owned()));
    for value in environment.values_mut() {
        rewrite_hosts(value, all);
    }
    if problems.is_empty() { Ok(environment) } else { Err(problems) }
}

/// The port that a service listens on in a container: its `PORT`, or 8080.
pub(crate) fn inner_port(service: &Party) -> u16 {
    let said = service.environment.iter().find(|entry| entry.name == "PORT");
    said.and_then(|entry| entry.value.expose().parse().ok()).unwrap_or(DEFAULT_PORT)
}

/// The embedded value that takes the place of `entry`, when an infra service answers for it: one whose host the value
/// names, else one that the service depends on.
fn embedded_default<'a>(service: &Party, all: &'a [Party], entry: &Entry) -> Option<&'a Entry> {
    let answer = |party: &'a Party| party.embedded.iter().find(|default| default.name == entry.name);
    let candidates = || all.iter().filter(|party| !party.runs && answer(party).is_some());
    let named = candidates().find(|party| names_host(entry.value.expose(), &party.name));
    let needed = || candidates().find(|party| service.depends_on.contains(&party.name));
    named.or_else(needed).and_then(answer)
}

/// Whether `host` stands in `text` as a word of its own.
fn names_host(text: &str, host: &str) -> bool {
    !host.is_empty()
        && text.match_indices(host).any(|(at, _)| {
            let before = text.get(..at).and_then(|rest| rest.chars().next_back());
            let after = text.get(at + host.len()..).and_then(|rest| rest.chars().next());
            !before.is_some_and(is_host_character) && !after.is_some_and(is_host_character)
        })
}

fn is_host_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.')
}

/// Fills in `{data}`, `{service}`, `{root}` and `{port:N}`.
fn fill(service: &Party, places: &Places, entry: &Entry, problems: &mut Vec<Diagnostic>) -> Value {
    let text = entry.value.expose();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('{') {
        out.push_str(before);
        let placeholder = from.split_once('}').filter(|(inside, _)| is_placeholder(inside));
        let Some((inside, after)) = placeholder else {
            out.push('{');
            rest = from;
            continue;
        };
        match inside.split_once(':') {
            None if inside == "data" => out.push_str(&places.data),
            None if inside == "service" => out.push_str(&service.name),
            None if inside == "root" => out.push_str(&places.root),
            Some(("port", number)) => match published(service, number) {
                Some(port) => out.push_str(&port.to_string()),
                None => problems.push(bad_placeholder(service, entry, inside, "it publishes no such port")),
            },
            _ => problems.push(bad_placeholder(service, entry, inside, "there is no such placeholder")),
        }
        rest = after;
    }
    out.push_str(rest);
    with_text(&entry.value, out)
}

/// `word` or `word:more`, as in no JSON text.
fn is_placeholder(inside: &str) -> bool {
    let word = inside.split(':').next().unwrap_or_default();
    !word.is_empty()
        && word.chars().all(|c| c.is_ascii_lowercase())
        && inside.chars().all(|c| c.is_ascii_alphanumeric() || c == ':')
}

fn published(service: &Party, number: &str) -> Option<u16> {
    let container: u16 = number.parse().ok()?;
    service.ports.iter().find(|port| port.container == container).map(|port| port.host)
}

fn bad_placeholder(service: &Party, entry: &Entry, inside: &str, why: &str) -> Diagnostic {
    let message =
        format!("service `{}`: `{{{inside}}}` in {} can't be filled in: {why}", service.name, entry.name);
    let help = "placeholders are {data}, {service}, {root} and {port:N}, N a container port that the service publishes";
    let diagnostic = Diagnostic::error(codes::BAD_PLACEHOLDER, message).help(help);
    match entry.span {
        Some(span) => diagnostic.at(span, "here"),
        None => diagnostic,
    }
}

/// Every `service:port` of a service that runs here becomes `127.0.0.1:port`.
fn rewrite_hosts(value: &mut Value, all: &[Party]) {
    let text = value.expose();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for (colon, _) in text.match_indices(':') {
        let Some((start, port)) = host_reference(text, colon, all).filter(|(start, _)| *start >= copied)
        else {
            continue;
        };
        let digits = text.get(colon + 1..).map_or(0, leading_digits);
        out.push_str(text.get(copied..start).unwrap_or_default());
        out.push_str(&format!("127.0.0.1:{port}"));
        copied = colon + 1 + digits;
    }
    if copied > 0 {
        out.push_str(text.get(copied..).unwrap_or_default());
        *value = with_text(value, out);
    }
}

/// The `service:port` around a colon: where it starts, and where it listens here.
fn host_reference(text: &str, colon: usize, all: &[Party]) -> Option<(usize, u16)> {
    let before = text.get(..colon)?;
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, character)| is_host_character(*character))
        .last()
        .map(|(index, _)| index)?;
    let host = before.get(start..)?;
    let party = all.iter().find(|party| party.runs && party.name == host)?;
    let after = text.get(colon + 1..)?;
    let number: u16 = after.get(..leading_digits(after))?.parse().ok()?;
    party.ports.iter().find(|port| port.container == number).map(|port| (start, port.host))
}

fn leading_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn with_text(value: &Value, text: String) -> Value {
    match value {
        Value::Plain(_) => Value::Plain(text),
        Value::Secret(_) => Value::Secret(Secret::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
        pairs
            .iter()
            .map(|(name, value)| Entry {
                name: (*name).to_owned(),
                value: Value::Plain((*value).to_owned()),
                span: None,
            })
            .collect()
    }

    fn service(name: &str, ports: &[(u16, u16)]) -> Party {
        Party {
            name: name.to_owned(),
            runs: true,
            ports: ports
                .iter()
                .map(|(host, container)| Port { host: *host, container: *container })
                .collect(),
            ..Party::default()
        }
    }

    fn infra(name: &str, embedded: &[(&str, &str)]) -> Party {
        Party { name: name.to_owned(), embedded: entries(embedded), ..Party::default() }
    }

    /// The platform in small: one value of `iam` in, the same value on this machine out.
    fn iam_sees(value: &str) -> String {
        let iam = Party { environment: entries(&[("X", value)]), ..service("iam", &[(8081, 8080)]) };
        let all = [
            iam.clone(),
            service("event-bus", &[(8083, 8080)]),
            service("gateway", &[(8080, 8080), (8443, 8443)]),
            infra("postgres", &[]),
        ];
        compose(&iam, &all, &places()).unwrap()["X"].expose().to_owned()
    }

    fn places() -> Places {
        Places { root: "/src".to_owned(), data: "/src/.kernel/p/data/iam".to_owned() }
    }

    #[test]
    fn a_neighbour_is_found_on_this_machine() {
        for (inside, here) in [
            ("http://event-bus:8080", "http://127.0.0.1:8083"),
            ("http://event-bus:8080/path?x=1", "http://127.0.0.1:8083/path?x=1"),
            ("event-bus:8080", "127.0.0.1:8083"),
            ("event-bus:8080,gateway:8443", "127.0.0.1:8083,127.0.0.1:8443"),
            ("http://user:pass@gateway:8080", "http://user:pass@127.0.0.1:8080"),
            // Not what it looks like.
            ("http://my-event-bus:8080", "http://my-event-bus:8080"),
            ("http://event-bus.local:8080", "http://event-bus.local:8080"),
            ("http://event-bus:80800", "http://event-bus:80800"),
            ("http://event-bus:9090", "http://event-bus:9090"),
            ("http://event-bus", "http://event-bus"),
            ("postgres:5432", "postgres:5432"),
            ("event-bus:", "event-bus:"),
            ("12:30:45", "12:30:45"),
            ("", ""),
        ] {
            assert_eq!(iam_sees(inside), here, "{inside}");
        }
    }

    #[test]
    fn host_and_port_are_those_of_this_machine() {
        let iam = Party {
            environment: entries(&[("HOST", "0.0.0.0"), ("PORT", "9000")]),
            local: entries(&[("PORT", "1")]),
            ..service("iam", &[(8081, 9000), (7000, 7001)])
        };
        let environment = compose(&iam, std::slice::from_ref(&iam), &places()).unwrap();
        assert_eq!((environment["HOST"].expose(), environment["PORT"].expose()), ("127.0.0.1", "8081"));
    }

    #[test]
    fn an_embedded_default_takes_the_place_of_what_it_answers_for() {
        let iam = Party {
            environment: entries(&[
                ("DATABASE_URL", "postgres://u:p@postgres:5432/iam"),
                ("CACHE_URL", "valkey://valkey:6379"),
                ("FLAGS_URL", "http://flags:1031"),
            ]),
            depends_on: BTreeSet::from(["valkey".to_owned()]),
            ..service("iam", &[(8081, 8080)])
        };
        let all = [
            iam.clone(),
            infra("postgres", &[("DATABASE_URL", "sqlite://{data}/{service}.db"), ("UNUSED_URL", "x")]),
            infra("other", &[("CACHE_URL", "wrong://")]),
            infra("valkey", &[("CACHE_URL", "memory://")]),
            infra("flags", &[("FLAGS_URL", "file://{root}/docker/flags.yaml")]),
        ];
        let environment = compose(&iam, &all, &places()).unwrap();
        assert_eq!(environment["DATABASE_URL"].expose(), "sqlite:///src/.kernel/p/data/iam/iam.db");
        assert_eq!(environment["CACHE_URL"].expose(), "memory://");
        assert_eq!(environment["FLAGS_URL"].expose(), "file:///src/docker/flags.yaml");
        assert!(!environment.contains_key("UNUSED_URL"));
    }

    #[test]
    fn what_is_said_for_this_machine_wins_and_its_placeholders_are_filled() {
        let gateway = Party {
            environment: entries(&[("TLS_PORT", "8443")]),
            local: entries(&[
                ("TLS_PORT", "{port:8443}"),
                ("TLS_DIRECTORY", "{data}/tls"),
                ("EVENTS_URL", "http://event-bus:8080"),
                ("JSON", r#"{"a": {}}"#),
            ]),
            ..service("gateway", &[(8080, 8080), (18443, 8443)])
        };
        let all = [gateway.clone(), service("event-bus", &[(8083, 8080)])];
        let environment = compose(&gateway, &all, &places()).unwrap();
        assert_eq!(environment["TLS_PORT"].expose(), "18443");
        assert_eq!(environment["TLS_DIRECTORY"].expose(), "/src/.kernel/p/data/iam/tls");
        assert_eq!(environment["EVENTS_URL"].expose(), "http://127.0.0.1:8083");
        assert_eq!(environment["JSON"].expose(), r#"{"a": {}}"#);
    }

    #[test]
    fn every_wrong_placeholder_is_told() {
        let iam = Party {
            local: entries(&[("A", "{dat}"), ("B", "{port:1}{port:x}")]),
            ..service("iam", &[(8081, 8080)])
        };
        let problems = compose(&iam, std::slice::from_ref(&iam), &places()).unwrap_err();
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "service `iam`: `{dat}` in A can't be filled in: there is no such placeholder",
                "service `iam`: `{port:1}` in B can't be filled in: it publishes no such port",
                "service `iam`: `{port:x}` in B can't be filled in: it publishes no such port",
            ]
        );
    }

    #[test]
    fn a_secret_stays_one_when_it_is_rewritten() {
        let secret = Value::Secret(Secret::new("http://u:hunter2@event-bus:8080"));
        let entry = Entry { name: "X".to_owned(), value: secret, span: None };
        let iam = Party { environment: vec![entry], ..service("iam", &[(8081, 8080)]) };
        let all = [iam.clone(), service("event-bus", &[(8083, 8080)])];
        let environment = compose(&iam, &all, &places()).unwrap();
        assert_eq!(environment["X"].shown(), "[secret]");
        assert_eq!(environment["X"].expose(), "http://u:hunter2@127.0.0.1:8083");
    }
}
