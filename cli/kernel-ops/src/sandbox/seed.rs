//! What a new sandbox has: a tenant with its plan, users with their roles, wallets. It stands in
//! `docker/sandbox/seed.yaml` and goes through the gateway, as an administrator's work would: no service needs a door of
//! its own for it. What is there already is left, so that whatever was begun is ended by doing it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use kernel_core::diagnostic::Diagnostic;
use kernel_core::exit::ExitCode;
use kernel_core::secret::Secret;
use kernel_core::source::{Sources, Span};
use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Credentials, TenantName};
use crate::codes;
use crate::failure::{Failure, problem};
use crate::workspace::Workspace;

/// Where the seed stands in a workspace.
const FILE: &str = "docker/sandbox/seed.yaml";

/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// How long services behind a gateway that has just started may be away.
const START_TIME: Duration = Duration::from_secs(20);

/// Time between two tries.
const PACE: Duration = Duration::from_millis(50);

/// The role of whoever makes a tenant.
const OWNER: &str = "Owner";

/// What a new sandbox has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The tenant's plan; the platform's first one without.
    #[serde(default)]
    plan: Option<String>,
    /// Roles of the tenant's own.
    #[serde(default)]
    roles: Vec<Role>,
    /// The first makes the tenant and is its Owner.
    users: Vec<User>,
    /// Wallets of the Owner.
    #[serde(default)]
    wallets: Vec<Wallet>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Role {
    name: String,
    description: String,
    permissions: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    roles: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wallet {
    currency: String,
    label: String,
}

/// What was seeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeded {
    /// The id that the platform gave the tenant.
    pub tenant_id: String,
    /// The users, the Owner first.
    pub users: Vec<SeededUser>,
    /// The wallets of the seed.
    pub wallets: Vec<SeededWallet>,
}

/// A user who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeededUser {
    /// The seed's name.
    pub name: String,
    /// The address to sign in with.
    pub email: String,
    /// The id that the platform gave.
    pub id: String,
    /// The roles in the tenant.
    pub roles: Vec<String>,
}

/// A wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeededWallet {
    /// The id that the platform gave.
    pub id: String,
    /// Its currency.
    pub currency: String,
    /// Its name for people.
    pub label: String,
}

impl Seed {
    /// Reads the seed of a workspace.
    ///
    /// # Errors
    /// When there is none, or everything that is wrong with it: `K-SANDBOX-005`.
    pub fn read(workspace: &Workspace) -> Result<Self, Failure> {
        let path = workspace.root().join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::unreadable(&path, &error))?;
        Self::parse(FILE, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let mut sources = Sources::default();
        let source = sources.add(name, text);
        let help = "`docs/sandbox.md` tells the form of a seed";
        let seed: Self = serde_yaml::from_str(text).map_err(|error| {
            let message = format!("the seed can't be read: {error}");
            let diagnostic = Diagnostic::error(codes::SANDBOX_SEED, message).help(help);
            let diagnostic = match error.location() {
                Some(place) => {
                    let start = place.index().min(text.len());
                    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
                    diagnostic.at(Span { source, start, end }, "here")
                }
                None => diagnostic,
            };
            Failure::in_files(vec![diagnostic], sources)
        })?;
        let wrong = seed.wrong();
        if wrong.is_empty() {
            return Ok(seed);
        }
        let problems =
            wrong.into_iter().map(|wrong| problem(codes::SANDBOX_SEED, format!("{name}: {wrong}"), help));
        Err(Failure::several(ExitCode::Usage, problems.collect()))
    }

    /// What does not fit together.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.users.is_empty() {
            wrong.push("it has no user, and the first one makes the tenant".to_owned());
        }
        let roles: Vec<&str> = self.roles.iter().map(|role| role.name.as_str()).collect();
        let users: Vec<&str> = self.users.iter().map(|user| user.name.as_str()).collect();
        for (what, names) in [("role", &roles), ("user", &users)] {
            let mut seen = BTreeSet::new();
            wrong.extend(
                names
                    .iter()
                    .filter(|name| !seen.insert(**name))
                    .map(|name| format!("{what} `{name}` is there twice")),
            );
        }
        for user in &self.users {
            if TenantName::new(&user.name).is_err() {
                let name = &user.name;
                wrong.push(format!("user {name:?}: a name has lower-case letters, digits and dashes, and begins with a letter"));
            }
            let unknown = user.roles.iter().filter(|role| !roles.contains(&role.as_str()));
            wrong.extend(unknown.map(|role| format!("user `{}`: there is no role `{role}`", user.name)));
        }
        wrong
    }

    /// The names of the users.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(|user| user.name.as_str())
    }
}

/// Brings everything of the seed that is missing to the platform behind `gateway`.
///
/// # Errors
/// The first request that the platform refuses, or does not answer: `K-SANDBOX-006`.
pub async fn seed(
    seed: &Seed,
    tenant: &TenantName,
    gateway: &str,
    credentials: &Credentials,
) -> Result<Seeded, Failure> {
    let mut seeder = Seeder {
        // A proxy of this machine has no way to services on 127.0.0.1.
        client: Client::builder().no_proxy().timeout(ANSWER_TIME).build().unwrap_or_default(),
        gateway: gateway.to_owned(),
        token: None,
    };
    let Some((owner, others)) = seed.users.split_first() else {
        return Err(Failure::new(
            ExitCode::Usage,
            problem(codes::SANDBOX_SEED, "the seed has no user", "name one"),
        ));
    };
    let email = |user: &User| format!("{}@{tenant}.sandbox.example", user.name);
    let password = |user: &User| credentials.of(&user.name).map_or("", Secret::expose);
    let session = seeder.enter(&email(owner), password(owner), &owner.name, tenant.as_str()).await?;
    seeder.token = Some(Secret::new(text(&session, "/accessToken")));
    let roles = seeder.roles(&seed.roles).await?;
    let ids =
        |names: &[String]| -> Vec<&String> { names.iter().filter_map(|name| roles.get(name)).collect() };
    let known = seeder.all("users", "/v1/users").await?;
    let known_id = |email: &str| {
        let found = known.iter().find(|user| user["email"] == email);
        found.map(|user| text(user, "/id"))
    };
    let owner_id = text(&session, "/user/id");
    let people = async {
        let mut owners_roles = vec![OWNER.to_owned()];
        owners_roles.extend(owner.roles.iter().cloned());
        let first = async {
            seeder.assign(&owner_id, &ids(&owners_roles)).await?;
            let (name, email) = (owner.name.clone(), email(owner));
            Ok::<_, Failure>(SeededUser { name, email, id: owner_id.clone(), roles: owners_roles.clone() })
        };
        let others = others.iter().map(async |user| {
            let (email, roles) = (email(user), ids(&user.roles));
            let id = match known_id(&email) {
                Some(id) => {
                    seeder.assign(&id, &roles).await?;
                    id
                }
                None => {
                    let body = json!({
                        "email": email, "name": user.name, "password": password(user), "roleIds": roles,
                    });
                    let what = format!("make the user {email}");
                    text(&seeder.expect(&what, Method::POST, "/v1/users", Some(body), 201).await?, "/id")
                }
            };
            Ok(SeededUser { name: user.name.clone(), email, id, roles: user.roles.clone() })
        });
        let (first, others) = futures::try_join!(first, try_join_all(others))?;
        Ok::<_, Failure>([vec![first], others].concat())
    };
    let plan = async {
        match &seed.plan {
            Some(plan) => seeder.plan(plan).await,
            None => Ok(()),
        }
    };
    let (users, wallets, ()) = futures::try_join!(people, seeder.wallets(&seed.wallets), plan)?;
    Ok(Seeded { tenant_id: text(&session, "/tenant/id"), users, wallets })
}

/// A signed-in Owner.
struct Seeder {
    client: Client,
    gateway: String,
    token: Option<Secret>,
}

impl Seeder {
    /// Registers the tenant with its Owner, or signs the Owner in when that was done before.
    async fn enter(&self, email: &str, password: &str, name: &str, tenant: &str) -> Result<Value, Failure> {
        let body = json!({ "email": email, "password": password, "name": name, "organization": tenant });
        let (status, answer) = self.send(Method::POST, "/v1/auth/register", Some(&body)).await?;
        if status == 201 {
            return Ok(answer);
        }
        if status != 409 {
            return Err(refused(&format!("make the tenant {tenant}"), status, &answer));
        }
        let body = json!({ "email": email, "password": password });
        self.expect("sign in as the tenant's Owner", Method::POST, "/v1/auth/login", Some(body), 200).await
    }

    /// The ids of all roles by name, those of the seed among them.
    async fn roles(&self, wanted: &[Role]) -> Result<BTreeMap<String, String>, Failure> {
        let known = self.all("roles", "/v1/roles").await?;
        let mut ids: BTreeMap<String, String> =
            known.iter().map(|role| (text(role, "/name"), text(role, "/id"))).collect();
        let missing = wanted.iter().filter(|role| !ids.contains_key(&role.name));
        let made = missing.map(async |role| {
            let body = json!({
                "name": role.name, "description": role.description, "permissionIds": role.permissions,
            });
            let what = format!("make the role {}", role.name);
            let answer = self.expect(&what, Method::POST, "/v1/roles", Some(body), 201).await?;
            Ok::<_, Failure>((role.name.clone(), text(&answer, "/id")))
        });
        let made = try_join_all(made).await?;
        ids.extend(made);
        Ok(ids)
    }

    async fn assign(&self, user: &str, roles: &[&String]) -> Result<(), Failure> {
        let path = format!("/v1/users/{user}/roles");
        let body = json!({ "roleIds": roles });
        self.expect("give a user their roles", Method::POST, &path, Some(body), 200).await.map(|_| ())
    }

    async fn wallets(&self, wanted: &[Wallet]) -> Result<Vec<SeededWallet>, Failure> {
        let known = self.all("wallets", "/v1/wallets").await?;
        let wallets = wanted.iter().map(async |wallet| {
            let same =
                |found: &&Value| found["label"] == wallet.label && found["currency"] == wallet.currency;
            let id = match known.iter().find(same) {
                Some(found) => text(found, "/id"),
                None => {
                    let body = json!({ "currency": wallet.currency, "label": wallet.label });
                    let what = format!("open the wallet {}", wallet.label);
                    text(&self.expect(&what, Method::POST, "/v1/wallets", Some(body), 201).await?, "/id")
                }
            };
            Ok(SeededWallet { id, currency: wallet.currency.clone(), label: wallet.label.clone() })
        });
        try_join_all(wallets).await
    }

    /// Moves the tenant to a plan. The platform itself may change the subscription of a new tenant meanwhile: then it is
    /// read again.
    async fn plan(&self, plan: &str) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            let path = "/v1/billing/subscriptions/current";
            let now = self.expect("read the subscription", Method::GET, path, None, 200).await?;
            if now["planId"] == plan {
                return Ok(());
            }
            let path = format!("/v1/billing/subscriptions/{}", text(&now, "/id"));
            let body = json!({ "planId": plan, "version": now["version"] });
            let (status, answer) = self.send(Method::PATCH, &path, Some(&body)).await?;
            match status {
                200 => return Ok(()),
                409 if start.elapsed() < START_TIME => tokio::time::sleep(PACE).await,
                _ => return Err(refused(&format!("move to the plan {plan}"), status, &answer)),
            }
        }
    }

    /// Every element of a list, from all its pages.
    async fn all(&self, list: &str, path: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut page = String::new();
        loop {
            let query = format!("{path}?pageSize=100&pageToken={page}");
            let answer = self.expect(&format!("read the {list}"), Method::GET, &query, None, 200).await?;
            all.extend(answer[list].as_array().cloned().unwrap_or_default());
            page = text(&answer, "/nextPageToken");
            if page.is_empty() {
                return Ok(all);
            }
        }
    }

    async fn expect(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Value, Failure> {
        match self.send(method, path, body.as_ref()).await? {
            (got, answer) if got == status => Ok(answer),
            (got, answer) => Err(refused(what, got, &answer)),
        }
    }

    /// Sends until somebody answers: a service behind the gateway may be a moment behind. The key makes the repetition
    /// of a request that got through harmless.
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), Failure> {
        let key = uuid::Uuid::now_v7().to_string();
        let start = Instant::now();
        loop {
            let url = format!("{}{path}", self.gateway);
            let mut request = self.client.request(method.clone(), url).header("idempotency-key", &key);
            if let Some(token) = &self.token {
                request = request.bearer_auth(token.expose());
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let seen = match request.send().await {
                Ok(response) if ![502, 503, 504].contains(&response.status().as_u16()) => {
                    let status = response.status().as_u16();
                    let text = response.text().await.unwrap_or_default();
                    return Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))));
                }
                Ok(response) => format!("{} of {method} {path}", response.status()),
                Err(error) => error.without_url().to_string(),
            };
            if start.elapsed() >= START_TIME {
                return Err(silent(&self.gateway, &seen));
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn refused(what: &str, status: u16, answer: &Value) -> Failure {
    let detail = ["/detail", "/title"].into_iter().find_map(|field| answer.pointer(field)?.as_str());
    let fields = answer["errors"].as_array().map(|errors| Value::Array(errors.clone()).to_string());
    let mut message = format!("could not {what}: the platform answered {status}");
    for words in [detail.map(str::to_owned), fields].into_iter().flatten() {
        message.push_str(&format!(": {words}"));
    }
    let help = "correct the seed, `docker/sandbox/seed.yaml`, or see `kernel sandbox logs`; then create it again, it goes on from here";
    Failure::new(ExitCode::Failed, problem(codes::SANDBOX_NOT_SEEDED, message, help))
}

fn silent(gateway: &str, seen: &str) -> Failure {
    let message = format!("the platform at {gateway} did not take the seed within {START_TIME:?}: {seen}");
    let help = "`kernel sandbox logs` shows why; then create it again, it goes on from here";
    Failure::new(ExitCode::Timeout, problem(codes::SANDBOX_NOT_SEEDED, message, help))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_seed_of_the_workspace_has_three_users_with_different_roles_and_two_wallets() {
        let workspace = Workspace::of_project(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        let seed = Seed::read(&workspace).unwrap();
        let roles: BTreeSet<&Vec<String>> = seed.users.iter().map(|user| &user.roles).collect();
        assert_eq!((seed.users.len(), roles.len()), (3, 3));
        let currencies: Vec<&str> = seed.wallets.iter().map(|wallet| wallet.currency.as_str()).collect();
        assert_eq!(currencies, ["USD", "EUR"]);
    }

    #[test]
    fn everything_that_is_wrong_with_a_seed_is_told_at_once() {
        let text = "users: [{name: A b, roles: [x]}, {name: c, roles: []}, {name: c, roles: []}]\n";
        let failure = Seed::parse("seed.yaml", text).unwrap_err();
        let told: Vec<&str> = failure.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().any(|told| told.contains("there is no role `x`")), "{told:?}");
        assert!(failure.problems.iter().all(|problem| problem.code == "K-SANDBOX-005"));
        let failure = Seed::parse("seed.yaml", "users: []\n").unwrap_err();
        assert!(failure.problems[0].message.contains("no user"));
    }

    #[test]
    fn a_mistake_in_a_seed_is_shown_where_it_is() {
        let failure = Seed::parse("seed.yaml", "users: []\nwallet: []\n").unwrap_err();
        let label = failure.diagnostics[0].labels.first().unwrap();
        assert_eq!(failure.sources.locate(label.span).unwrap(), "seed.yaml:2:1");
    }

    #[test]
    fn what_the_platform_says_is_told() {
        let answer = json!({"detail": "Too short.", "errors": [{"field": "password"}]});
        let failure = refused("make the user x", 400, &answer);
        let message = &failure.problems[0].message;
        assert_eq!(
            message,
            r#"could not make the user x: the platform answered 400: Too short.: [{"field":"password"}]"#
        );
    }
}
