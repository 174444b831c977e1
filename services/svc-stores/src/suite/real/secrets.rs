//! Vault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::proxy::Proxy;
use super::{PATIENCE, away, eventually, variable};
use crate::secrets::{self, Secret, SecretStore};
use crate::{Result, StoreError, http, url::Store};

/// A mount of our own in the real Vault.
struct Mount {
    host: String,
    token: String,
    name: String,
}

impl Mount {
    async fn new() -> Option<Self> {
        let (address, token) = (variable("TEST_VAULT_ADDR")?, variable("TEST_VAULT_TOKEN")?);
        let host = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mount = Self { host, token, name: format!("suite-{}", Uuid::now_v7().simple()) };
        let body = json!({ "type": "kv", "options": { "version": "2" } });
        mount.vault(Method::POST, &format!("sys/mounts/{}", mount.name), body).await.unwrap();
        let store = mount.connect().await.unwrap();
        // A new mount says for a moment that it is still being made.
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = store.put("probe", Secret::new("x"), None).await {
            assert!(Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(store.delete("probe").await.unwrap());
        Some(mount)
    }

    async fn vault(&self, method: Method, path: &str, body: Value) -> Result<Value, reqwest::Error> {
        let client = http::client(Store::Secrets, PATIENCE, None).unwrap();
        let request = client.request(method, format!("http://{}/v1/{path}", self.host));
        let request = request.header("x-vault-token", &self.token).json(&body);
        let text = request.send().await?.error_for_status()?.text().await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    fn url(&self, who: &str, host: &str) -> String {
        format!("vault+http://{who}@{host}/{}", self.name)
    }

    fn token_url(&self, host: &str) -> String {
        self.url(&format!("token:{}", self.token), host)
    }

    async fn connect(&self) -> Result<Arc<dyn SecretStore>> {
        secrets::connect_within(&self.token_url(&self.host), PATIENCE).await
    }

    async fn remove(self) {
        self.vault(Method::DELETE, &format!("sys/mounts/{}", self.name), json!({})).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vault_holds_secrets() {
    let Some(mount) = Mount::new().await else { return };
    crate::suite::secrets(|| mount.connect()).await;
    let store = mount.connect().await.unwrap();
    for path in ["a/b/c", "a/bc", "ab"] {
        store.put(path, Secret::new("x"), None).await.unwrap();
    }
    assert_eq!(store.list("a/b").await.unwrap(), ["a/b/c", "a/bc"], "folders are no limit for a prefix");
    let by_hand = json!({ "data": { "value": "typed" } });
    mount.vault(Method::POST, &format!("{}/data/typed", mount.name), by_hand).await.unwrap();
    let typed = store.get("typed").await.unwrap().unwrap();
    assert_eq!(typed.secret.expose_text().unwrap(), "typed", "as `vault kv put` writes it");
    mount.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_comes_in_and_comes_in_again_when_its_token_is_revoked() {
    let Some(mount) = Mount::new().await else { return };
    let _there_already = mount.vault(Method::POST, "sys/auth/approle", json!({ "type": "approle" })).await;
    let role = format!("auth/approle/role/{}", mount.name);
    let policy = format!("path \"{}/*\" {{ capabilities = [\"create\", \"read\", \"update\"] }}", mount.name);
    let policy_path = format!("sys/policies/acl/{}", mount.name);
    mount.vault(Method::PUT, &policy_path, json!({ "policy": policy })).await.unwrap();
    mount.vault(Method::POST, &role, json!({ "token_policies": [&mount.name] })).await.unwrap();
    let role_id = mount.vault(Method::GET, &format!("{role}/role-id"), json!({})).await.unwrap();
    let secret_id = mount.vault(Method::POST, &format!("{role}/secret-id"), json!({})).await.unwrap();
    let role_id = role_id["data"]["role_id"].as_str().unwrap();
    let secret_id = secret_id["data"]["secret_id"].as_str().unwrap();
    let url = mount.url(&format!("{role_id}:{secret_id}"), &mount.host);
    let store = secrets::connect_within(&url, PATIENCE).await.unwrap();
    store.put("iam/key", Secret::new("one"), None).await.unwrap();

    let accessors = mount.vault(Method::GET, "auth/token/accessors?list=true", json!({})).await.unwrap();
    for accessor in accessors["data"]["keys"].as_array().unwrap() {
        let found =
            mount.vault(Method::POST, "auth/token/lookup-accessor", json!({ "accessor": accessor })).await;
        let ours = found.is_ok_and(|found| {
            found["data"]["policies"].as_array().is_some_and(|all| all.contains(&json!(mount.name)))
        });
        if ours {
            let accessor = json!({ "accessor": accessor });
            mount.vault(Method::POST, "auth/token/revoke-accessor", accessor).await.unwrap();
        }
    }
    assert_eq!(store.get("iam/key").await.unwrap().unwrap().secret.expose(), b"one");
    let denied = store.delete("iam/key").await.unwrap_err();
    assert!(!denied.is_transient() && denied.to_string().contains("policy"), "{denied}");
    mount.vault(Method::DELETE, &role, json!({})).await.unwrap();
    mount.vault(Method::DELETE, &policy_path, json!({})).await.unwrap();
    mount.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_kept_while_vault_is_away() {
    let Some(mount) = Mount::new().await else { return };
    let proxy = Proxy::before(&mount.host).await;
    let store = secrets::connect_within(&mount.token_url(proxy.address()), PATIENCE).await.unwrap();
    mount.connect().await.unwrap().put("iam/key", Secret::new("one"), None).await.unwrap();
    mount.connect().await.unwrap().put("unread", Secret::new("two"), None).await.unwrap();
    let known = store.get("iam/key").await.unwrap();
    proxy.cut();
    assert_eq!(store.get("iam/key").await.unwrap(), known);
    away("SECRETS_URL", proxy.address(), &mount.token, async || store.get("unread").await).await;
    away("SECRETS_URL", proxy.address(), &mount.token, async || {
        store.put("iam/key", Secret::new("lost"), None).await
    })
    .await;
    away("SECRETS_URL", proxy.address(), &mount.token, async || store.check().await).await;
    assert_eq!(store.get("iam/key").await.unwrap(), known);
    proxy.heal();
    assert_eq!(eventually(async || store.get("unread").await).await.unwrap().secret.expose(), b"two");
    proxy.pause();
    assert_eq!(store.get("iam/key").await.unwrap(), known, "silence is waited for once, not for ever");
    drop(proxy);
    mount.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_vault_ends_with_its_reason() {
    // Nothing listens there: the port was ours a moment ago.
    let host = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let url = format!("vault+http://token:hunter2@{host}/secret");
    let error = secrets::connect_within(&url, Duration::from_millis(600)).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("VAULT_INIT_TIMEOUT_SEC") && said.contains(&host), "{said}");
    assert!(!said.contains("hunter2"), "{said}");

    for url in ["vault+http://vault:8200/secret", "vault+http://token:@vault:8200/secret"] {
        let error = secrets::connect_within(url, Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, StoreError::Configuration { .. }), "{error}");
        assert!(error.to_string().contains("names nobody"), "{error}");
    }

    let Some(mount) = Mount::new().await else { return };
    let start = Instant::now();
    let wrong = mount.url("token:hunter2", &mount.host);
    let error = secrets::connect_within(&wrong, PATIENCE).await.unwrap_err();
    assert!(!error.is_transient() && start.elapsed() < PATIENCE, "{error}");
    assert!(error.to_string().contains(&mount.host) && !error.to_string().contains("hunter2"), "{error}");
    mount.remove().await;
}
