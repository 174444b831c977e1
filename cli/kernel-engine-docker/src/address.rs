//! Where the Engine is: `DOCKER_HOST`, else the context that `docker context use` chose, else the usual socket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use http::Uri;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use serde_json::Value as Json;

use crate::codes;
use crate::digest::sha256;
use crate::ssh::{Destination, Tunnel};

/// Where an Engine listens when nothing says where.
const USUAL: &str = "unix:///var/run/docker.sock";

/// The oldest API that is spoken: that of Docker 20.10.
const OLDEST: ApiVersion = ApiVersion(1, 41);

/// The newest API that is spoken: that of the client library.
const NEWEST: ApiVersion = ApiVersion(API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);

/// A version of the Engine's API, such as 1.41.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(pub usize, pub usize);

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim_start_matches('v').split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Where an Engine is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    tls: Option<Tls>,
    /// When it is reached by ssh.
    ssh: Option<Destination>,
    /// What said so, a few words.
    source: String,
    /// The version of the API that `DOCKER_API_VERSION` asks for. Without it, one is agreed on.
    api: Option<ApiVersion>,
}

/// The certificates that both sides show each other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tls {
    directory: PathBuf,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

impl Address {
    /// Finds out where the Engine is. `variable` gives a variable of the environment; empty ones count as unset.
    ///
    /// # Errors
    /// When what says where it is can't be understood, or asks for what is not implemented.
    pub fn find(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, EngineError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let api = set("DOCKER_API_VERSION").map(|text| asked_version(&text)).transpose()?;
        Ok(Self { api, ..Self::place(&set)? })
    }

    fn place(set: &dyn Fn(&str) -> Option<String>) -> Result<Self, EngineError> {
        let home = set("HOME").map(PathBuf::from);
        let configuration =
            set("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home.map(|home| home.join(".docker")));
        if let Some(host) = set("DOCKER_HOST") {
            let tls = set("DOCKER_TLS_VERIFY").is_some() || set("DOCKER_TLS").is_some();
            let directory = set("DOCKER_CERT_PATH").map(PathBuf::from).or(configuration);
            let tls = match (tls && !host.starts_with("unix://"), directory) {
                (true, Some(directory)) => Some(Tls { directory }),
                _ => None,
            };
            return Self::checked(host, tls, "DOCKER_HOST".to_owned());
        }
        let Some(configuration) = configuration else { return Self::usual() };
        let chosen = match set("DOCKER_CONTEXT") {
            Some(name) => Some(name),
            None => current_context(&configuration)?,
        };
        match chosen {
            Some(name) if name != "default" => Self::of_context(&configuration, &name),
            _ => Self::usual(),
        }
    }

    fn usual() -> Result<Self, EngineError> {
        Self::checked(USUAL.to_owned(), None, "the usual socket".to_owned())
    }

    /// The Engine of a context that `docker context create` wrote.
    fn of_context(configuration: &Path, name: &str) -> Result<Self, EngineError> {
        let folder = sha256(name);
        let path = configuration.join("contexts/meta").join(&folder).join("meta.json");
        let read = std::fs::read_to_string(&path).map_err(|error| {
            refusal(format!("the Docker context `{name}` can't be read from `{}`: {error}", path.display()))
                .help("`docker context ls` lists those that there are; DOCKER_CONTEXT=default takes none")
        })?;
        let context: Json = serde_json::from_str(&read).map_err(|error| {
            refusal(format!("the Docker context `{name}` in `{}` is no JSON: {error}", path.display()))
                .help("create it again with `docker context create`")
        })?;
        let endpoint = context.pointer("/Endpoints/docker").unwrap_or(&Json::Null);
        let host = endpoint.get("Host").and_then(Json::as_str).unwrap_or(USUAL).to_owned();
        if endpoint.get("SkipTLSVerify").and_then(Json::as_bool) == Some(true) {
            let message = format!("the Docker context `{name}` skips verification, which is not implemented");
            return Err(refusal(message).help("create it again with the certificates of its Engine"));
        }
        let directory = configuration.join("contexts/tls").join(&folder).join("docker");
        let tls = directory.is_dir().then_some(Tls { directory });
        Self::checked(host, tls, format!("the Docker context `{name}`"))
    }

    fn checked(host: String, tls: Option<Tls>, source: String) -> Result<Self, EngineError> {
        let scheme = host.split("://").next().unwrap_or_default();
        match scheme {
            "unix" | "tcp" | "http" | "https" if host.contains("://") => {
                Ok(Self { host, tls, ssh: None, source, api: None })
            }
            "ssh" => match Destination::parse(&host) {
                Ok(destination) => Ok(Self { host, tls: None, ssh: Some(destination), source, api: None }),
                Err(why) => Err(refusal(format!("{source} says `{host}`, which is no address of an Engine: {why}"))
                    .help("give it as `ssh://user@host`, `ssh://user@host:port` or `ssh://user@host/path/to/docker.sock`")),
            },
            _ => Err(refusal(format!("{source} says `{host}`, which is no address of an Engine"))
                .help("give it as `unix:///path/to/docker.sock`, `tcp://host:port` or `ssh://user@host`")),
        }
    }

    /// Whether a login has to come before each first word.
    pub(crate) const fn is_remote(&self) -> bool {
        self.ssh.is_some()
    }

    /// A client that speaks a version of the API which both sides know, and that version: the newest, or the one that
    /// `DOCKER_API_VERSION` asks for. Each request has at most `limit` seconds until it is answered.
    ///
    /// # Errors
    /// When no Engine answers, or it does not speak such a version.
    pub(crate) async fn connect(&self, limit: u64) -> Result<(Docker, ApiVersion), EngineError> {
        let (docker, tunnel) = self.client(limit).await?;
        let answer = docker.version().await.map_err(|error| unreachable(self, error))?;
        let spoken = |text: Option<String>| text.as_deref().and_then(ApiVersion::parse);
        let newest = spoken(answer.api_version).unwrap_or(ApiVersion(0, 0));
        let oldest = spoken(answer.min_api_version).unwrap_or(newest).max(OLDEST);
        let api = self.api.unwrap_or_else(|| newest.min(NEWEST));
        if (oldest..=newest).contains(&api) {
            let docker = docker.with_request_modifier(move |request| {
                // The way there is open as long as somebody has a client.
                let _held: &Option<Arc<Tunnel>> = &tunnel;
                versioned(request, api)
            });
            return Ok((docker, api));
        }
        let refused = match self.api {
            Some(asked) if newest >= OLDEST => refusal(format!(
                "DOCKER_API_VERSION asks for API {asked}; with the Docker Engine at `{self}` it can be {oldest} to {newest}"
            ))
            .help("unset DOCKER_API_VERSION: the newest version that both sides know is taken"),
            _ if newest < OLDEST => refusal(format!(
                "the Docker Engine at `{self}` speaks API {newest}; {OLDEST} (Docker 20.10) is the oldest that is understood"
            ))
            .help("bring it up to date, or use `--engine local`"),
            _ => refusal(format!(
                "the Docker Engine at `{self}` speaks no API older than {oldest}; {NEWEST} is the newest that is understood"
            ))
            .help("bring `kernel` up to date, or use `--engine local`"),
        };
        Err(refused)
    }

    /// A client that gives each request at most `limit` seconds until it is answered, and the way to its Engine, which has to be
    /// held as long. Asks nothing yet.
    ///
    /// # Errors
    /// When there is no such socket, certificates can't be read, or ssh does not get there.
    pub(crate) async fn client(&self, limit: u64) -> Result<(Docker, Option<Arc<Tunnel>>), EngineError> {
        let Some(destination) = &self.ssh else { return Ok((self.direct(limit)?, None)) };
        let tunnel = Tunnel::to(destination).await?;
        let socket = tunnel.socket().display().to_string();
        let client = Docker::connect_with_unix(&socket, limit, API_DEFAULT_VERSION);
        Ok((client.map_err(|error| unreachable(self, error))?, Some(tunnel)))
    }

    fn direct(&self, limit: u64) -> Result<Docker, EngineError> {
        let unreachable = |error| unreachable(self, error);
        if self.host.starts_with("unix://") {
            return Docker::connect_with_unix(&self.host, limit, API_DEFAULT_VERSION).map_err(unreachable);
        }
        let Some(tls) = &self.tls else {
            return Docker::connect_with_http(&self.host, limit, API_DEFAULT_VERSION).map_err(unreachable);
        };
        let file = |name: &str| tls.directory.join(name);
        Docker::connect_with_ssl(
            &self.host,
            &file("key.pem"),
            &file("cert.pem"),
            &file("ca.pem"),
            limit,
            API_DEFAULT_VERSION,
        )
        .map_err(|error| {
            refusal(format!("the certificates in `{}` can't be used", tls.directory.display()))
                .because(error)
                .help("DOCKER_CERT_PATH names the folder with `ca.pem`, `cert.pem` and `key.pem`")
        })
    }
}

/// The request in one version of the API. The client library agrees on a version, and then leaves it out of its paths, so
/// that an Engine would take each request as of its own newest.
fn versioned(mut request: BollardRequest, api: ApiVersion) -> BollardRequest {
    let mut parts = request.uri().clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", |path| path.as_str());
    if let Ok(path) = format!("/v{api}{path}").parse() {
        parts.path_and_query = Some(path);
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

fn asked_version(text: &str) -> Result<ApiVersion, EngineError> {
    ApiVersion::parse(text).ok_or_else(|| {
        refusal(format!("DOCKER_API_VERSION says `{text}`, which is no version of the Engine's API"))
            .help("give it as `1.41`, or unset it: the newest version that both sides know is taken")
    })
}

/// Nobody answers at an address.
pub(crate) fn unreachable(address: &Address, error: bollard::errors::Error) -> EngineError {
    let message = format!("no Docker Engine answers at `{address}` ({})", address.source);
    EngineError::new(codes::UNREACHABLE, ExitCode::Prerequisite, message)
        .because(error)
        .help(match &address.ssh {
            None => "start Docker, or set DOCKER_HOST to where it listens",
            Some(_) => {
                "start Docker there; its socket is named as in `ssh://user@host/run/docker.sock`, and the user has to be \
                 allowed to use it"
            }
        })
}

fn current_context(configuration: &Path) -> Result<Option<String>, EngineError> {
    let path = configuration.join("config.json");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let settings: Json = serde_json::from_str(&text).map_err(|error| {
        refusal(format!("`{}` is no JSON: {error}", path.display()))
            .help("correct it, or set DOCKER_HOST to where the Engine listens")
    })?;
    Ok(settings.get("currentContext").and_then(Json::as_str).map(str::to_owned))
}

fn refusal(message: String) -> EngineError {
    EngineError::new(codes::ENDPOINT, ExitCode::Prerequisite, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)]) -> Result<Address, EngineError> {
        Address::find(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_said_last_counts() {
        assert_eq!(find(&[]).unwrap().to_string(), USUAL);
        assert_eq!(find(&[("DOCKER_HOST", "")]).unwrap().to_string(), USUAL);
        assert_eq!(find(&[("DOCKER_HOST", "tcp://h:1")]).unwrap().to_string(), "tcp://h:1");
        let tls = find(&[
            ("DOCKER_HOST", "tcp://h:1"),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", "/certificates"),
        ]);
        assert_eq!(tls.unwrap().tls.unwrap().directory, Path::new("/certificates"));
    }

    #[test]
    fn a_version_of_the_api_that_is_none_is_refused() {
        assert_eq!(find(&[("DOCKER_API_VERSION", "v1.43")]).unwrap().api, Some(ApiVersion(1, 43)));
        assert_eq!(find(&[("DOCKER_API_VERSION", "")]).unwrap().api, None);
        for text in ["1", "one.41", "1.41.2"] {
            let error = find(&[("DOCKER_API_VERSION", text)]).unwrap_err();
            assert!(error.to_string().contains(text) && error.help.is_some(), "{error}");
            assert_eq!(error.code, codes::ENDPOINT);
        }
    }

    #[test]
    fn a_context_says_where_its_engine_is() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let docker = folder.path().join(".docker");
        let meta = docker.join("contexts/meta").join(sha256("far"));
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(docker.join("config.json"), r#"{ "currentContext": "far" }"#).unwrap();
        let context = r#"{ "Name": "far", "Endpoints": { "docker": { "Host": "tcp://far:2375" } } }"#;
        std::fs::write(meta.join("meta.json"), context).unwrap();
        assert_eq!(find(&[("HOME", home)]).unwrap().to_string(), "tcp://far:2375");
        assert_eq!(find(&[("HOME", home), ("DOCKER_CONTEXT", "default")]).unwrap().to_string(), USUAL);
        std::fs::write(meta.join("meta.json"), context.replace("tcp://far:2375", "ssh://me@far")).unwrap();
        let by_ssh = find(&[("HOME", home)]).unwrap();
        assert_eq!(by_ssh.ssh, Some(Destination::parse("ssh://me@far").unwrap()));
        let missing = find(&[("HOME", home), ("DOCKER_CONTEXT", "near")]).unwrap_err();
        assert!(missing.to_string().contains("`near`"), "{missing}");
    }

    #[test]
    fn what_is_no_address_or_not_implemented_is_refused_by_name() {
        for host in ["ssh://me:secret@far", "ssh://-option", "npipe:////./pipe/docker", "far:2375"] {
            let error = find(&[("DOCKER_HOST", host)]).unwrap_err();
            assert!(error.to_string().contains(host) && error.help.is_some(), "{error}");
            assert_eq!(error.code, codes::ENDPOINT);
        }
    }
}
