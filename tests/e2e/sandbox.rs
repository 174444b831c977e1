//! Two tenants' sandboxes on one machine: made at once, used beside each other, set back, and gone without a trace.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support.rs"]
mod support;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use support::{answer, describe, kill, processes_of, root, until};

/// A call of the binary, with nothing of the environment that would mean another project.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernel"));
    for name in ["COMPOSE_PROJECT_NAME", "KERNEL_ENGINE", "KERNEL_PORT_OFFSET"] {
        command.env_remove(name);
    }
    command.args(["--progress", "plain"]).args(arguments).current_dir(root());
    command
}

fn sandbox(arguments: &[&str]) -> Output {
    command(&[&["sandbox"], arguments].concat()).output().expect("the binary starts")
}

/// The answer of a call that has to succeed.
#[track_caller]
fn say(arguments: &[&str]) -> String {
    let output = sandbox(arguments);
    assert!(output.status.success(), "`kernel sandbox {}`:\n{}", arguments.join(" "), describe(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn start(arguments: &[&str]) -> Child {
    let mut command = command(&[&["sandbox"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// One tenant's sandbox.
struct Sandbox {
    tenant: String,
    client: Client,
    url: String,
    users: Vec<Value>,
}

impl Sandbox {
    fn of(answer: &Value) -> Self {
        Self {
            tenant: answer["tenant"].as_str().unwrap().to_owned(),
            client: Client::builder().no_proxy().build().unwrap(),
            url: answer["url"].as_str().unwrap().to_owned(),
            users: answer["users"].as_array().unwrap().clone(),
        }
    }

    fn project(&self) -> String {
        format!("sandbox-{}", self.tenant)
    }

    fn folder(&self) -> PathBuf {
        root().join(".kernel").join(self.project())
    }

    fn ports(&self) -> std::ops::Range<u16> {
        let first: u16 = self.url.rsplit_once(':').unwrap().1.parse().unwrap();
        first..first + 16
    }

    fn user(&self, name: &str) -> &Value {
        self.users.iter().find(|user| user["name"] == name).expect("a user of the seed")
    }

    fn request(&self, method: Method, path: &str, token: Option<&str>) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = request.header("idempotency-key", uuid::Uuid::now_v7().to_string());
        if let Some(token) = token { request.bearer_auth(token) } else { request }
    }

    /// A login as a user of a sandbox, perhaps of another.
    fn login(&self, user: &Value) -> reqwest::RequestBuilder {
        let body = json!({ "email": user["email"], "password": user["password"] });
        self.request(Method::POST, "/v1/auth/login", None).json(&body)
    }

    async fn token_of(&self, name: &str) -> String {
        let session = answer(self.login(self.user(name)), StatusCode::OK).await;
        session["accessToken"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str, token: &str) -> Value {
        answer(self.request(Method::GET, path, Some(token)), StatusCode::OK).await
    }
}

/// Destroys the sandboxes of these tenants when the test ends, however it does.
struct Guard([String; 2]);

impl Drop for Guard {
    fn drop(&mut self) {
        for tenant in &self.0 {
            drop(sandbox(&["destroy", tenant, &format!("--confirm={tenant}")]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_have_platforms_of_their_own_beside_each_other() {
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let guard = Guard(["acme", "rival"].map(|name| format!("e2e-{name}-{}", std::process::id())));
    let (acme, mut rival) = made_at_once(&guard.0);
    let acme_token = every_user_signs_in_and_has_another_role(&acme).await;
    what_is_acmes_opens_nothing_at(&rival, &acme, &acme_token).await;
    the_matrix_finds_them_separated_and_a_leak_when_there_is_one(&acme, &rival);
    they_are_found_by_their_tenant(&acme, &rival);
    work_is_kept_and_taken_back(&acme, &acme_token).await;
    sleeping_costs_nothing(&mut rival).await;
    destroying_is_confirmed_and_leaves_nothing(&acme);
    killed_while_it_is_destroyed_it_is_gone_the_next_time(&rival).await;
}

/// Three commands at once, two of them for one tenant.
fn made_at_once([acme, rival]: &[String; 2]) -> (Sandbox, Sandbox) {
    let started =
        [acme, acme, rival].map(|tenant| start(&["create", tenant, "--engine", "local", "-o", "json"]));
    let answers = started.map(|create| {
        let output = create.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", describe(&output));
        serde_json::from_slice::<Value>(&output.stdout).expect("`-o json` prints JSON")
    });
    let shows = |answer: &Value| answer["users"][0]["password"].is_string();
    let [one, two, other] = &answers;
    assert!(shows(one) != shows(two), "one of the two has made it and shows its passwords, once");
    assert_eq!((&one["url"], &one["tenant_id"]), (&two["url"], &two["tenant_id"]));
    let acme = Sandbox::of(if shows(one) { one } else { two });
    let rival = Sandbox::of(other);
    for sandbox in [&acme, &rival] {
        assert!(sandbox.ports().start >= 10_000 && sandbox.ports().end <= 32_768, "{}", sandbox.url);
    }
    assert_ne!(acme.url, rival.url);
    (acme, rival)
}

async fn every_user_signs_in_and_has_another_role(acme: &Sandbox) -> String {
    let mut all = BTreeSet::new();
    for user in &acme.users {
        let session = answer(acme.login(user), StatusCode::OK).await;
        let me = acme.get("/v1/auth/me", session["accessToken"].as_str().unwrap()).await;
        assert_eq!(me["tenant"]["name"], json!(acme.tenant));
        let names = |roles: &Value| -> BTreeSet<String> {
            roles.as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&me["roles"]), names(&user["roles"]));
        all.insert(names(&me["roles"]));
    }
    assert_eq!(all.len(), 3, "three users with different roles: {all:?}");

    let (admin, viewer) = (acme.token_of("admin").await, acme.token_of("viewer").await);
    let wallets = acme.get("/v1/wallets?pageSize=100", &viewer).await;
    let labels: Vec<&str> =
        wallets["wallets"].as_array().unwrap().iter().filter_map(|it| it["label"].as_str()).collect();
    assert!(labels.contains(&"Sandbox USD") && labels.contains(&"Sandbox EUR"), "{labels:?}");
    let wallet = json!({"currency": "EUR", "label": "not theirs to open"});
    let refused = acme.request(Method::POST, "/v1/wallets", Some(&viewer)).json(&wallet);
    answer(refused, StatusCode::FORBIDDEN).await;
    answer(acme.request(Method::GET, "/v1/modules", Some(&acme.token_of("developer").await)), StatusCode::OK)
        .await;
    let subscription = acme.get("/v1/billing/subscriptions/current", &admin).await;
    assert_eq!(subscription["planId"], "pro");
    admin
}

async fn what_is_acmes_opens_nothing_at(rival: &Sandbox, acme: &Sandbox, token: &str) {
    for path in ["/v1/auth/me", "/v1/wallets", "/v1/users"] {
        answer(rival.request(Method::GET, path, Some(token)), StatusCode::UNAUTHORIZED).await;
    }
    for user in &acme.users {
        answer(rival.login(user), StatusCode::UNAUTHORIZED).await;
    }
}

fn the_matrix_finds_them_separated_and_a_leak_when_there_is_one(acme: &Sandbox, rival: &Sandbox) {
    let verify = || sandbox(&["verify", &acme.tenant, &rival.tenant, "-o", "json"]);
    let output = verify();
    let matrix: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{matrix:#}");
    let verdicts = |matrix: &Value| -> Vec<(String, String)> {
        let rows = matrix["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            (row["what"].as_str().unwrap().to_owned(), row["verdict"].as_str().unwrap().to_owned())
        })
        .collect()
    };
    let found = verdicts(&matrix);
    assert_eq!(found.len(), 30, "fifteen rows in each direction: {found:?}");
    for (what, verdict) in found {
        assert_eq!(verdict, if what == "network" { "shared" } else { "closed" }, "{what}: {matrix:#}");
    }
    let link = acme.folder().join("data/link");
    std::os::unix::fs::symlink(rival.folder().join("data"), &link).unwrap();
    let output = verify();
    std::fs::remove_file(link).unwrap();
    assert_eq!(output.status.code(), Some(20), "{}", describe(&output));
    let matrix: Value = serde_json::from_slice(&output.stdout).unwrap();
    let leaks: Vec<String> = verdicts(&matrix)
        .into_iter()
        .filter(|(_, verdict)| verdict == "leak")
        .map(|(what, _)| what)
        .collect();
    assert_eq!(leaks, ["shared-files"]);
}

fn they_are_found_by_their_tenant(acme: &Sandbox, rival: &Sandbox) {
    let list: Value = serde_json::from_str(&say(&["list", "-o", "json"])).unwrap();
    for sandbox in [acme, rival] {
        let found =
            list["sandboxes"].as_array().unwrap().iter().find(|it| it["tenant"] == json!(sandbox.tenant));
        let found = found.expect("both are listed");
        assert_eq!((&found["state"], &found["url"]), (&json!("ready"), &json!(sandbox.url)));
        assert!(found["memory_bytes"].as_u64().unwrap() > 1_000_000, "{found}");
    }
    let iam = say(&["port", &acme.tenant, "iam"]);
    let iam: u16 = iam.trim().strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    assert!(acme.ports().contains(&iam));
    let environment: Value = serde_json::from_str(&say(&["env", &acme.tenant, "--format", "json"])).unwrap();
    assert_eq!(environment["SANDBOX_URL"], json!(acme.url));
    assert_eq!(environment["IAM_URL"], json!(format!("http://127.0.0.1:{iam}")));
    let password = acme.user("admin")["password"].as_str().unwrap();
    assert!(!environment.to_string().contains(password), "no password among the variables");
    let script = "test \"$SANDBOX_ADMIN_PASSWORD\" = \"$0\" && echo $SANDBOX_URL && exit 7";
    let output = sandbox(&["exec", &acme.tenant, "--", "sh", "-c", script, password]);
    assert_eq!(output.status.code(), Some(7), "{}", describe(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), acme.url);
    // `kernel` itself means the sandbox there, and finds its ports.
    let output =
        sandbox(&["exec", &acme.tenant, "--", env!("CARGO_BIN_EXE_kernel"), "smoke", "money", "iam"]);
    assert!(output.status.success(), "{}", describe(&output));
    assert!(say(&["logs", &acme.tenant, "gateway", "-n", "5"]).contains("gateway"));
    let secrets = acme.folder().join("data/.sandbox/credentials.env");
    assert_eq!(std::fs::metadata(secrets).unwrap().permissions().mode() & 0o777, 0o600);
    for (_, command) in processes_of(&acme.project()) {
        assert!(!command.contains(password), "no password on a command line");
    }
}

async fn work_is_kept_and_taken_back(acme: &Sandbox, token: &str) {
    let name = |number: u8| json!({ "name": format!("contact {number}") });
    let path = "/v1/data/crm/contact";
    let contacts = async |token: &str| {
        let found = acme.get(path, token).await;
        found["records"].as_array().map_or(0, Vec::len)
    };
    answer(acme.request(Method::POST, path, Some(token)).json(&name(1)), StatusCode::CREATED).await;
    say(&["snapshot", &acme.tenant, "one-contact"]);
    answer(acme.request(Method::POST, path, Some(token)).json(&name(2)), StatusCode::CREATED).await;
    assert_eq!(contacts(token).await, 2);
    say(&["restore", &acme.tenant, "one-contact"]);
    assert_eq!(contacts(token).await, 1, "the keys are those of the snapshot, so the token still counts");
    let told = say(&["reset", &acme.tenant]);
    let password = acme.user("admin")["password"].as_str().unwrap();
    assert!(told.contains(password), "the passwords are the same:\n{told}");
    assert_eq!(contacts(&acme.token_of("admin").await).await, 0);
    answer(acme.request(Method::GET, "/v1/auth/me", Some(token)), StatusCode::UNAUTHORIZED).await;
}

async fn sleeping_costs_nothing(rival: &mut Sandbox) {
    say(&["sleep", &rival.tenant]);
    assert_eq!(listening(rival), Vec::<u16>::new());
    let status: Value = serde_json::from_str(&say(&["status", &rival.tenant, "-o", "json"])).unwrap();
    assert_eq!(status["sandbox"]["state"], "asleep");
    // Another program has taken one of its ports meanwhile.
    let taken = TcpListener::bind(("127.0.0.1", rival.ports().start + 1)).unwrap();
    let told = say(&["wake", &rival.tenant]);
    assert!(!told.contains(&rival.url), "it has moved to ports that are free:\n{told}");
    drop(taken);
    let status: Value = serde_json::from_str(&say(&["status", &rival.tenant, "-o", "json"])).unwrap();
    rival.url = status["sandbox"]["url"].as_str().unwrap().to_owned();
    rival.token_of("admin").await;
}

fn listening(sandbox: &Sandbox) -> Vec<u16> {
    sandbox.ports().filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_err()).collect()
}

fn destroying_is_confirmed_and_leaves_nothing(acme: &Sandbox) {
    let output = sandbox(&["destroy", &acme.tenant]);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("K-SANDBOX-008"), "{}", describe(&output));
    let output = sandbox(&["destroy", &acme.tenant, "--confirm=another"]);
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
    assert!(!processes_of(&acme.project()).is_empty(), "nothing has ended");
    say(&["destroy", &acme.tenant, &format!("--confirm={}", acme.tenant)]);
    nothing_is_left(acme);
    assert_eq!(listening(acme), Vec::<u16>::new(), "ports left by `destroy`");
    let output = sandbox(&["destroy", &acme.tenant, &format!("--confirm={}", acme.tenant)]);
    assert_eq!(output.status.code(), Some(5), "{}", describe(&output));
}

fn nothing_is_left(sandbox: &Sandbox) {
    assert_eq!(processes_of(&sandbox.project()), Vec::new(), "processes left by `destroy`");
    assert!(!sandbox.folder().exists(), "files left by `destroy`");
    let registry = root().join(".kernel/.sandboxes");
    let left: Vec<String> = std::fs::read_dir(registry)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            target.to_str() == Some(&sandbox.tenant)
                || entry.file_name().to_string_lossy().contains(&sandbox.tenant)
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(left, Vec::<String>::new(), "what is known of it left by `destroy`");
}

async fn killed_while_it_is_destroyed_it_is_gone_the_next_time(rival: &Sandbox) {
    let confirm = format!("--confirm={}", rival.tenant);
    let before = processes_of(&rival.project()).len();
    let mut destroy = start(&["destroy", &rival.tenant, &confirm]);
    until("the first of its processes to end", async || {
        let now = processes_of(&rival.project()).len();
        if now < before { Ok(()) } else { Err(format!("{now} of {before} run")) }
    })
    .await;
    kill(i32::try_from(destroy.id()).unwrap());
    destroy.wait().unwrap();
    let output = sandbox(&["destroy", &rival.tenant, &confirm]);
    // It may have been done just before it was killed.
    assert!([Some(0), Some(5)].contains(&output.status.code()), "{}", describe(&output));
    nothing_is_left(rival);
}
