//! A platform of its own for one test: other name, other ports, gone with everything it made when the test ends.
//!
//! Everything goes through the built binary and the gateway, as a person's work would.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// Ports of the platform and of its stores as documented; a test moves all of them by one offset.
const PORTS: [u16; 25] = [
    8080, 8081, 8082, 8083, 8084, 8085, 8086, 8087, 8088, 8089, 8090, 8095, 8443, 18000, // services
    1031, 5432, 5672, 6379, 8123, 8200, 8333, 8888, 9000, 9092, 15672, // stores
];

/// How long anything may take that is waited for. Generous: a slow machine is not a failure.
pub const PATIENCE: Duration = Duration::from_secs(90);

static NEXT_SLOT: AtomicU16 = AtomicU16::new(0);

/// One running platform.
pub struct Platform {
    /// Its project name.
    pub name: String,
    /// What is added to every documented port.
    pub offset: u16,
    workspace: PathBuf,
    client: Client,
}

impl Platform {
    /// Chooses a name and free ports. Nothing is started yet.
    pub fn new(label: &str) -> Self {
        Self::in_workspace(label, root())
    }

    /// The same for another workspace than this one.
    pub fn in_workspace(label: &str, workspace: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = format!("e2e-{label}-{}", std::process::id());
        let client = Client::builder().timeout(Duration::from_secs(20)).build().expect("an HTTP client");
        Self { name, offset: free_offset(), workspace: workspace.to_owned(), client }
    }

    /// The folder that holds what this platform keeps.
    pub fn folder(&self) -> PathBuf {
        self.workspace.join(".kernel").join(&self.name)
    }

    /// A call of the binary for this platform.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
        if self.workspace != root() {
            command.env("CARGO_TARGET_DIR", build_folder(&self.workspace));
        }
        command
            .args(["--project-name", &self.name, "--port-offset", &self.offset.to_string()])
            .args(["--engine", "local", "--progress", "plain"])
            .args(arguments)
            .current_dir(&self.workspace);
        command
    }

    /// Runs the binary and requires that it succeeds.
    #[track_caller]
    pub fn kernel(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().expect("the binary starts");
        assert!(output.status.success(), "`kernel {}` failed:\n{}", arguments.join(" "), describe(&output));
        output
    }

    /// What `ps` knows, one object per service.
    pub async fn services(&self) -> Vec<Value> {
        let command = self.command(&["ps", "-o", "json"]);
        let output = tokio::process::Command::from(command).output().await.expect("the binary starts");
        assert!(output.status.success(), "`kernel ps` failed:\n{}", describe(&output));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("`ps -o json` prints JSON");
        answer["services"].as_array().cloned().expect("`ps -o json` has a list `services`")
    }

    /// The process id of a running service.
    pub async fn process_of(&self, service: &str) -> Option<i32> {
        let services = self.services().await;
        let found = services.iter().find(|entry| entry["name"] == service)?;
        i32::try_from(found["pid"].as_i64()?).ok()
    }

    /// The address of a service's documented port.
    pub fn address(&self, port: u16) -> String {
        format!("http://127.0.0.1:{}", port + self.offset)
    }

    /// A request through the gateway.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.address(8080)))
    }

    /// Registers a new tenant and signs its owner in.
    pub async fn register(&self, organization: &str) -> Tenant<'_> {
        let email = format!("owner-{}@{organization}.example", uuid::Uuid::now_v7().simple());
        let body = json!({
            "email": email, "password": "correct horse battery", "name": "Owner", "organization": organization,
        });
        let request = self.request(Method::POST, "/v1/auth/register").json(&body);
        let reply = answer(request, StatusCode::CREATED).await;
        let login = self
            .request(Method::POST, "/v1/auth/login")
            .json(&json!({"email": email, "password": "correct horse battery"}));
        let session = answer(login, StatusCode::OK).await;
        assert_eq!(session["tenant"]["id"], reply["tenant"]["id"]);
        let token = session["accessToken"].as_str().expect("an access token").to_owned();
        Tenant {
            platform: self,
            email,
            token,
            id: reply["tenant"]["id"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Processes that carry this platform's mark: their ids and command lines.
    pub fn processes(&self) -> Vec<(i32, String)> {
        processes_of(&self.name)
    }

    /// The supervisor, when it runs.
    pub fn supervisor(&self) -> Option<i32> {
        self.processes().into_iter().find(|(_, command)| command.contains("__supervisor")).map(|(id, _)| id)
    }

    /// Ports of this platform on which something listens.
    pub fn listening(&self) -> Vec<u16> {
        let taken = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_err();
        PORTS.iter().map(|port| port + self.offset).filter(taken).collect()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--volumes"]).output();
    }
}

/// A signed-in owner of one tenant.
pub struct Tenant<'a> {
    platform: &'a Platform,
    /// The owner's address.
    pub email: String,
    /// The access token.
    pub token: String,
    /// The tenant.
    pub id: String,
}

impl Tenant<'_> {
    /// A request through the gateway in this tenant's name, with an idempotency key of its own.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_with_key(method, path, &uuid::Uuid::now_v7().to_string())
    }

    /// The same with a given idempotency key, for a request that may be sent twice.
    pub fn request_with_key(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.platform.request(method, path).bearer_auth(&self.token).header("idempotency-key", key)
    }

    /// GET, answered with 200.
    pub async fn get(&self, path: &str) -> Value {
        answer(self.request(Method::GET, path), StatusCode::OK).await
    }

    /// POST of a JSON body, answered with `status`.
    pub async fn post(&self, path: &str, body: Value, status: StatusCode) -> Value {
        answer(self.request(Method::POST, path).json(&body), status).await
    }
}

/// Processes that carry a project's mark: their ids and command lines.
pub fn processes_of(project: &str) -> Vec<(i32, String)> {
    let marker = format!(".kernel/{project}");
    let entries = std::fs::read_dir("/proc").expect("this test needs Linux");
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let text = String::from_utf8_lossy(&environment).into_owned() + &String::from_utf8_lossy(&command);
        if text.contains(&marker) {
            found.push((id, String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}

/// Sends and requires a status; gives the JSON body, null when there is none.
pub async fn answer(request: RequestBuilder, status: StatusCode) -> Value {
    let response = request.send().await.expect("the gateway answers");
    let (url, got) = (response.url().clone(), response.status());
    let text = response.text().await.expect("a whole body");
    assert_eq!(got, status, "{url} answered:\n{text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Tries until `attempt` gives a value, or fails with what was waited for and the last thing seen.
pub async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    loop {
        pace.tick().await;
        match attempt().await {
            Ok(value) => return value,
            Err(seen) => {
                assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}; last seen: {seen}")
            }
        }
    }
}

/// Ends a process at once, as a crash or the system would. `false`: it is already gone.
pub fn kill(process: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(process).expect("a process id is above zero");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
}

/// Where a copy of the workspace is built: beside it.
pub fn build_folder(copy: &Path) -> PathBuf {
    copy.with_file_name("build")
}

/// The workspace.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Both outputs of a run, for a message.
pub fn describe(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n--- stdout\n{out}\n--- stderr\n{err}", output.status)
}

/// An offset whose ports are all free, below the range that the system hands out by itself (32768 and above): the highest
/// documented port is 18000.
fn free_offset() -> u16 {
    loop {
        let slot = NEXT_SLOT.fetch_add(1, Ordering::Relaxed);
        let offset = 10_000 + 240 * ((u16::try_from(std::process::id() % 20).unwrap_or(0) + slot) % 20);
        assert!(slot < 40, "no free range of ports for a platform");
        if PORTS.iter().all(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_ok()) {
            return offset;
        }
    }
}
