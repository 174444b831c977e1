//! Secrets in Vault: its KV engine of version 2, entered with a token or by AppRole.
//!
//! A secret that was read or written here is kept in memory for [`KEPT_FOR`], and given when Vault is away.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use super::{Secret, SecretStore, VersionedSecret, checked};
use crate::error::{ConflictKind, Result, StoreError};
use crate::http;
use crate::link::{Fault, Link};
use crate::url::{Remote, Store};

const DEADLINE: Duration = Duration::from_secs(5);
/// How long a service may go on without Vault.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Between two attempts to reach Vault at the start.
const START_PAUSE: Duration = Duration::from_millis(250);
/// The field of a secret that is text, so that `vault kv put secret/iam/x value=…` works …
const TEXT: &str = "value";
/// … and of one that is not, in Base64.
const BYTES: &str = "value_base64";

pub(super) struct Vault {
    link: Link,
    client: Client,
    /// `http://host:port/v1/`.
    root: Url,
    mount: String,
    login: Login,
    token: Mutex<Option<HeaderValue>>,
    kept: Mutex<HashMap<String, (Instant, VersionedSecret)>>,
}

enum Login {
    Token(HeaderValue),
    AppRole { role_id: String, secret_id: String },
}

/// What Vault says, by what can be done about it.
enum Answer {
    Given(Value),
    Absent,
    Denied,
    Stale,
}

impl fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vault")
            .field("link", &self.link)
            .field("mount", &self.mount)
            .finish_non_exhaustive()
    }
}

impl Vault {
    pub(super) fn new(remote: &Remote) -> Result<Self> {
        let wrong = |problem: &str| StoreError::Configuration {
            variable: Store::Secrets.variable(),
            problem: problem.to_owned(),
        };
        let root = format!("http://{}/v1/", remote.host());
        let root = Url::parse(&root).map_err(|error| wrong(&format!("names no usable host: {error}")))?;
        let mount = match remote.path() {
            "" => "secret",
            mount => mount,
        };
        checked(mount).map_err(|_| wrong("has a mount that is no path; use vault+http://…/<mount>"))?;
        let missing = "names nobody; use vault+http://token:<token>@<host>:<port>/<mount> or, for AppRole, \
            vault+http://<role id>:<secret id>@<host>:<port>/<mount>";
        let password = remote.password().ok_or_else(|| wrong(missing))?;
        let login = match remote.username() {
            None => return Err(wrong(missing)),
            Some(user) if user == "token" => {
                Login::Token(secret_header(&password).ok_or_else(|| wrong("has a token that is none"))?)
            }
            Some(role_id) => Login::AppRole { role_id, secret_id: password },
        };
        Ok(Self {
            link: Link::new(remote, DEADLINE),
            client: http::client(Store::Secrets, DEADLINE, None)?,
            root,
            mount: mount.to_owned(),
            login,
            token: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// Waits until Vault lets us in.
    ///
    /// # Errors
    /// The last reason, when it did not within `longest`; at once when it refuses us.
    pub(super) async fn enter(&self, longest: Duration) -> Result<()> {
        let deadline = Instant::now() + longest;
        loop {
            match self.check().await {
                Err(error) if error.is_transient() && Instant::now() + START_PAUSE < deadline => {
                    tracing::info!(%error, "waiting for Vault");
                }
                Err(error) if error.is_transient() => {
                    return Err(StoreError::Unavailable {
                        attempted: format!("reach Vault within {longest:?} (VAULT_INIT_TIMEOUT_SEC)"),
                        problem: error.to_string(),
                    });
                }
                other => return other,
            }
            tokio::time::sleep(START_PAUSE).await;
        }
    }

    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.root.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(parts.iter().flat_map(|part| part.split('/')));
        }
        url
    }

    fn secret_at(&self, kind: &str, path: &str) -> Url {
        self.url(&[self.mount.as_str(), kind, path])
    }

    async fn token(&self, attempted: &str) -> Result<HeaderValue, Fault> {
        if let Some(token) = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(token);
        }
        let token = match &self.login {
            Login::Token(token) => token.clone(),
            Login::AppRole { role_id, secret_id } => {
                let body = json!({ "role_id": role_id, "secret_id": secret_id });
                let login = self.client.post(self.url(&["auth/approle/login"])).json(&body);
                let response = login.send().await.map_err(http::away)?;
                let response = http::accepted(&self.link, attempted, response).await?;
                let answer: Value = response.json().await.map_err(http::away)?;
                answer["auth"]["client_token"]
                    .as_str()
                    .and_then(secret_header)
                    .ok_or_else(|| self.link.answered(attempted, "the login gave no token"))?
            }
        };
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    async fn ask_once(
        &self,
        attempted: &str,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        let mut request = self
            .client
            .request(method.clone(), url.clone())
            .header("x-vault-token", self.token(attempted).await?)
            .header("x-vault-request", "true");
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(http::away)?;
        let status = response.status();
        let text = response.text().await.map_err(http::away)?;
        let given: Value = serde_json::from_str(&text).unwrap_or_default();
        match status {
            StatusCode::FORBIDDEN => Ok(Answer::Denied),
            // Also the answer for a mount that does not exist; then there are words with it.
            StatusCode::NOT_FOUND if !has_errors(&given) => Ok(Answer::Absent),
            StatusCode::BAD_REQUEST if text.contains("check-and-set") => Ok(Answer::Stale),
            status if status.is_success() => Ok(Answer::Given(given)),
            status => Err(http::refused(&self.link, attempted, status, &text)),
        }
    }

    /// Asks, and logs in once more when the token is worth nothing any more.
    async fn ask(
        &self,
        attempted: &str,
        method: Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        let mut answer = self.ask_once(attempted, &method, url, body).await?;
        if matches!(answer, Answer::Denied) && matches!(self.login, Login::AppRole { .. }) {
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
            answer = self.ask_once(attempted, &method, url, body).await?;
        }
        match answer {
            Answer::Denied => Err(self.link.answered(
                attempted,
                "Vault refuses it: the token or role is unknown, has run out, or its policy does not allow this",
            )),
            other => Ok(other),
        }
    }

    async fn read(&self, attempted: &str, url: &Url) -> Result<Answer> {
        self.link.repeat(attempted, || self.ask(attempted, Method::GET, url, None)).await
    }

    fn keep(&self, path: &str, secret: &VersionedSecret) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(path.to_owned(), (Instant::now(), secret.clone()));
    }

    fn forget(&self, path: &str) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// The secret as Vault gave it last, when the error says that Vault is away.
    fn kept(&self, path: &str, error: StoreError) -> Result<Option<VersionedSecret>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        match kept {
            Some((at, secret)) if error.is_transient() && at.elapsed() < KEPT_FOR => {
                tracing::warn!(path, %error, "the secret is taken from memory");
                Ok(Some(secret))
            }
            _ => Err(error),
        }
    }

    async fn names_under(&self, folder: &str) -> Result<Vec<String>> {
        let mut url = self.secret_at("metadata", folder.trim_end_matches('/'));
        url.set_query(Some("list=true"));
        let Answer::Given(given) = self.read("list secrets", &url).await? else { return Ok(Vec::new()) };
        let names = given["data"]["keys"].as_array().into_iter().flatten();
        Ok(names.filter_map(|name| Some(format!("{folder}{}", name.as_str()?))).collect())
    }
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn has_errors(answer: &Value) -> bool {
    answer["errors"].as_array().is_some_and(|errors| !errors.is_empty())
}

fn fields(secret: &Secret) -> Value {
    match std::str::from_utf8(secret.expose()) {
        Ok(text) => json!({ TEXT: text }),
        Err(_) => json!({ BYTES: STANDARD.encode(secret.expose()) }),
    }
}

fn versioned(path: &str, answer: &Value) -> Result<VersionedSecret> {
    let corrupt = || StoreError::Corrupt {
        what: format!("secret `{path}`"),
        problem: format!("it has no field `{TEXT}`"),
    };
    let data = &answer["data"];
    let version = data["metadata"]["version"].as_u64().and_then(|version| u32::try_from(version).ok());
    let value = match (data["data"][TEXT].as_str(), data["data"][BYTES].as_str()) {
        (Some(text), _) => Some(text.as_bytes().to_vec()),
        (None, Some(bytes)) => STANDARD.decode(bytes).ok(),
        (None, None) => None,
    };
    let (Some(version), Some(value)) = (version, value) else { return Err(corrupt()) };
    Ok(VersionedSecret { version, secret: Secret::new(value) })
}

#[async_trait]
impl SecretStore for Vault {
    async fn get(&self, path: &str) -> Result<Option<VersionedSecret>> {
        let path = checked(path)?;
        match self.read("read a secret", &self.secret_at("data", &path)).await {
            Ok(Answer::Given(answer)) => {
                let found = versioned(&path, &answer)?;
                self.keep(&path, &found);
                Ok(Some(found))
            }
            Ok(_) => {
                self.forget(&path);
                Ok(None)
            }
            Err(error) => self.kept(&path, error),
        }
    }

    async fn get_version(&self, path: &str, version: u32) -> Result<Option<VersionedSecret>> {
        let path = checked(path)?;
        let mut url = self.secret_at("data", &path);
        url.set_query(Some(&format!("version={version}")));
        match self.read("read a secret", &url).await? {
            Answer::Given(answer) => versioned(&path, &answer).map(Some),
            _ => Ok(None),
        }
    }

    async fn put(&self, path: &str, secret: Secret, expected: Option<u32>) -> Result<u32> {
        let path = checked(path)?;
        let mut body = json!({ "data": fields(&secret) });
        if let Some(expected) = expected {
            body["options"] = json!({ "cas": expected });
        }
        let (attempted, url) = ("write a secret", self.secret_at("data", &path));
        match self.link.once(attempted, self.ask(attempted, Method::POST, &url, Some(&body))).await? {
            Answer::Given(answer) => {
                let version =
                    answer["data"]["version"].as_u64().and_then(|version| u32::try_from(version).ok());
                let version = version.ok_or_else(|| {
                    StoreError::failed(
                        attempted,
                        "Vault gave no version; is its mount a KV engine of version 2?",
                    )
                })?;
                self.keep(&path, &VersionedSecret { version, secret });
                Ok(version)
            }
            _ => Err(StoreError::Conflict {
                attempted: format!("put secret `{path}`"),
                kind: ConflictKind::Version,
                problem: format!("version {} is not the newest", expected.unwrap_or_default()),
            }),
        }
    }

    async fn delete(&self, path: &str) -> Result<bool> {
        let path = checked(path)?;
        let url = self.secret_at("metadata", &path);
        if !matches!(self.read("delete a secret", &url).await?, Answer::Given(_)) {
            return Ok(false);
        }
        let attempted = "delete a secret";
        self.link.repeat(attempted, || self.ask(attempted, Method::DELETE, &url, None)).await?;
        self.forget(&path);
        Ok(true)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![prefix.rfind('/').map_or("", |end| &prefix[..=end]).to_owned()];
        while let Some(folder) = folders.pop() {
            for name in self.names_under(&folder).await? {
                if name.ends_with('/') {
                    // Down into it, when what is in it can begin with the prefix.
                    if name.starts_with(prefix) || prefix.starts_with(&name) {
                        folders.push(name);
                    }
                } else if name.starts_with(prefix) {
                    found.push(name);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn check(&self) -> Result<()> {
        let (attempted, url) = ("enter Vault", self.url(&["auth/token/lookup-self"]));
        self.read(attempted, &url).await.map(|_| ())
    }
}
