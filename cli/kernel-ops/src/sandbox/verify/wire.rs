//! What one sandbox's tokens and passwords do at the other's services.

use std::collections::BTreeSet;
use std::time::Duration;

use kernel_core::secret::Secret;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Open, Outcome, Side};

/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The header that services know each other by.
const INTERNAL_TOKEN: &str = "x-internal-token";

/// Signed in at both.
pub(super) struct Wire {
    client: Client,
    one: Result<Session, String>,
    other: Result<Session, String>,
}

struct Session {
    access: Secret,
    refresh: Secret,
}

impl Wire {
    pub(super) async fn enter(one: &Side, other: &Side) -> Self {
        // A proxy of this machine has no way to services on 127.0.0.1.
        let client = Client::builder().no_proxy().timeout(ANSWER_TIME).build().unwrap_or_default();
        let (one, other) = futures::join!(sign_in(&client, one), sign_in(&client, other));
        Self { client, one, other }
    }

    /// The rows of one direction; `back` when it is from the second to the first.
    pub(super) async fn rows(
        &self,
        from: &Side,
        to: &Side,
        back: bool,
    ) -> Vec<(&'static str, &'static str, Outcome)> {
        let sessions = if back { (&self.other, &self.one) } else { (&self.one, &self.other) };
        let mut rows = vec![
            ("internal-token", "the services' own token at every service", self.internal(from, to).await),
            ("signing-keys", "keys that tokens are signed with", self.keys(from, to).await),
        ];
        let (theirs, ours) = match sessions {
            (Ok(theirs), Ok(ours)) => (theirs, ours),
            (Err(reason), _) | (_, Err(reason)) => {
                let unproved = || Err(Open::Unproved(reason.clone()));
                rows.push(("token", ACCESS, unproved()));
                rows.push(("refresh-token", REFRESH, unproved()));
                rows.push(("password", PASSWORD, unproved()));
                rows.push(("rows", ROWS, unproved()));
                return rows;
            }
        };
        rows.push(("token", ACCESS, self.access(to, theirs, ours).await));
        rows.push(("refresh-token", REFRESH, self.refresh(to, theirs).await));
        rows.push(("password", PASSWORD, self.passwords(from, to).await));
        rows.push(("rows", ROWS, self.things(from, to, ours).await));
        rows
    }

    /// An access token opens what it was made for, and nothing at the other.
    async fn access(&self, to: &Side, theirs: &Session, ours: &Session) -> Outcome {
        let get = |path: &str, session: &Session| {
            self.client.get(format!("{}{path}", to.gateway)).bearer_auth(session.access.expose())
        };
        opens("its own token", get("/v1/auth/me", ours)).await?;
        let mut paths = vec!["/v1/auth/me".to_owned(), "/v1/users".to_owned(), "/v1/wallets".to_owned()];
        paths.extend(to.things.iter().cloned());
        for path in paths {
            refused(&format!("GET {path}"), get(&path, theirs)).await?;
        }
        Ok(())
    }

    async fn refresh(&self, to: &Side, theirs: &Session) -> Outcome {
        let body = json!({ "refreshToken": theirs.refresh.expose() });
        let request = self.client.post(format!("{}/v1/auth/refresh", to.gateway)).json(&body);
        refused("POST /v1/auth/refresh", request).await
    }

    async fn passwords(&self, from: &Side, to: &Side) -> Outcome {
        for (email, password) in &from.users {
            refused(&format!("signing in as {email}"), login(&self.client, to, email, password)).await?;
        }
        Ok(())
    }

    /// What the other has is not found here, even by whoever may see everything here.
    async fn things(&self, from: &Side, to: &Side, ours: &Session) -> Outcome {
        let get =
            |path: &str| self.client.get(format!("{}{path}", to.gateway)).bearer_auth(ours.access.expose());
        let Some(own) = to.things.first() else {
            return Err(Open::Unproved("it has nothing of its own".to_owned()));
        };
        opens(&format!("GET {own}"), get(own)).await?;
        for path in &from.things {
            refused(&format!("GET {path}"), get(path)).await?;
        }
        Ok(())
    }

    async fn internal(&self, from: &Side, to: &Side) -> Outcome {
        if to.services.is_empty() {
            return Err(Open::Unproved("it has no services".to_owned()));
        }
        for (service, address) in &to.services {
            let get = |token: &Secret| {
                self.client.get(format!("{address}/health")).header(INTERNAL_TOKEN, token.expose())
            };
            opens(&format!("its own token at {service}"), get(&to.internal_token)).await?;
            refused(&format!("GET /health of {service}"), get(&from.internal_token)).await?;
        }
        Ok(())
    }

    async fn keys(&self, from: &Side, to: &Side) -> Outcome {
        let (theirs, ours) = futures::join!(self.keys_of(from), self.keys_of(to));
        let common: Vec<String> = theirs?.intersection(&ours?).cloned().collect();
        if common.is_empty() { Ok(()) } else { Err(Open::Leak(format!("both have {}", common.join(", ")))) }
    }

    /// The public halves of the keys that a sandbox signs with.
    async fn keys_of(&self, side: &Side) -> Result<BTreeSet<String>, Open> {
        let unproved = |reason: String| Open::Unproved(format!("the keys of {}: {reason}", side.tenant));
        let url = format!("{}/.well-known/jwks.json", side.gateway);
        let answer = self.client.get(url).send().await.map_err(|error| unproved(chain(error)))?;
        let body: Value = answer.json().await.map_err(|error| unproved(chain(error)))?;
        let keys = body["keys"].as_array().cloned().unwrap_or_default();
        let keys: BTreeSet<String> = keys
            .iter()
            .filter_map(|key| Some(format!("{}.{}", key["x"].as_str()?, key["y"].as_str()?)))
            .collect();
        if keys.is_empty() { Err(unproved("there are none".to_owned())) } else { Ok(keys) }
    }
}

const ACCESS: &str = "the Owner's access token at the gateway";
const REFRESH: &str = "the Owner's refresh token at the gateway";
const PASSWORD: &str = "the users' passwords at the gateway";
const ROWS: &str = "users and wallets, asked for by the other's Owner";

fn login(client: &Client, at: &Side, email: &str, password: &Secret) -> RequestBuilder {
    let body = json!({ "email": email, "password": password.expose() });
    client.post(format!("{}/v1/auth/login", at.gateway)).json(&body)
}

async fn sign_in(client: &Client, side: &Side) -> Result<Session, String> {
    let failed = |reason: String| format!("could not sign in at {}: {reason}", side.tenant);
    let Some((email, password)) = side.users.first() else {
        return Err(failed("it has no users".to_owned()));
    };
    let answer = login(client, side, email, password).send().await.map_err(|error| failed(chain(error)))?;
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or(Value::Null);
    let token = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(Secret::new);
    match (token("accessToken"), token("refreshToken")) {
        (Some(access), Some(refresh)) if status.is_success() => Ok(Session { access, refresh }),
        _ => Err(failed(format!("{status}"))),
    }
}

/// The door is there, and opens for whom it is meant.
async fn opens(what: &str, request: RequestBuilder) -> Outcome {
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(Open::Unproved(format!("{what} is answered with {}", answer.status()))),
        Err(error) => Err(Open::Unproved(format!("{what}: {}", chain(error)))),
    }
}

/// It stays closed for others: refused, or not found.
async fn refused(what: &str, request: RequestBuilder) -> Outcome {
    const CLOSED: [StatusCode; 3] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
    match request.send().await {
        Ok(answer) if CLOSED.contains(&answer.status()) => Ok(()),
        Ok(answer) if answer.status().is_success() => {
            Err(Open::Leak(format!("{what} is answered with {}", answer.status())))
        }
        Ok(answer) => Err(Open::Unproved(format!("{what} is answered with {}", answer.status()))),
        Err(error) => Err(Open::Unproved(format!("{what}: {}", chain(error)))),
    }
}

/// The address is known from the row.
fn chain(error: reqwest::Error) -> String {
    crate::smoke::chain(&error.without_url())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::Arc;

    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::body::{Bytes, Incoming};
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::super::tests::side;
    use super::*;

    /// A platform that takes what a tenant has, for some tenants: for its own alone it is closed to others.
    async fn platform(own: &str, takes: &[&str], keys: &str) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let takes: Vec<String> = takes.iter().copied().chain([own]).map(str::to_owned).collect();
        let takes = Arc::new(takes);
        let keys = json!({ "keys": [{ "x": keys, "y": keys }] }).to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (takes, keys) = (Arc::clone(&takes), keys.clone());
                tokio::spawn(async move {
                    let serve = service_fn(move |request| answer(request, Arc::clone(&takes), keys.clone()));
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), serve)
                        .await
                });
            }
        });
        address
    }

    async fn answer(
        request: Request<Incoming>,
        takes: Arc<Vec<String>>,
        keys: String,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let header = |name: &str| request.headers().get(name).map(|it| it.to_str().unwrap().to_owned());
        let shown = header("authorization").or_else(|| header(INTERNAL_TOKEN));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let said = shown.unwrap_or_default() + &String::from_utf8_lossy(&body);
        let known = |text: &str| takes.iter().find(|tenant| text.contains(tenant.as_str()));
        let thing = path.strip_prefix("/v1/wallets/");
        let found = known(&said).filter(|_| thing.is_none_or(|thing| known(thing).is_some()));
        let (status, text) = match (path.as_str(), found) {
            ("/.well-known/jwks.json", _) => (200_u16, keys),
            (_, Some(tenant)) => (
                200,
                json!({ "accessToken": format!("a {tenant}"), "refreshToken": format!("r {tenant}") })
                    .to_string(),
            ),
            (_, None) => (401, String::new()),
        };
        Ok(Response::builder().status(status).body(Full::new(Bytes::from(text))).unwrap())
    }

    async fn rows(acme: &str, rival: &str) -> BTreeMap<&'static str, Outcome> {
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let at = |tenant: &str, gateway: &str| Side {
            gateway: gateway.to_owned(),
            services: BTreeMap::from([("iam".to_owned(), gateway.to_owned())]),
            ..side(tenant)
        };
        let (acme, rival) = (at("acme", acme), at("rival", rival));
        let wire = Wire::enter(&acme, &rival).await;
        wire.rows(&acme, &rival, false).await.into_iter().map(|(what, _, outcome)| (what, outcome)).collect()
    }

    #[tokio::test]
    async fn what_is_closed_is_seen_to_be_and_every_leak_is_found() {
        let acme = platform("acme", &[], "k1").await;
        let closed = rows(&acme, &platform("rival", &[], "k2").await).await;
        assert_eq!(closed.len(), 6);
        assert!(closed.values().all(Result::is_ok), "{closed:?}");
        // It takes whatever acme has, and has the same keys.
        let open = rows(&acme, &platform("rival", &["acme"], "k1").await).await;
        assert_eq!(open.len(), 6);
        assert!(open.values().all(|outcome| matches!(outcome, Err(Open::Leak(_)))), "{open:?}");
    }

    #[tokio::test]
    async fn what_does_not_answer_proves_nothing() {
        let acme = platform("acme", &[], "k1").await;
        let found = rows(&acme, "http://127.0.0.1:1").await;
        assert_eq!(found.len(), 6);
        assert!(found.values().all(|outcome| matches!(outcome, Err(Open::Unproved(_)))), "{found:?}");
        // One that refuses everybody, its own too.
        let found = rows(&acme, &platform("nobody", &[], "k2").await).await;
        let unproved = found.iter().filter(|(_, outcome)| outcome.is_err()).map(|(what, _)| *what);
        assert_eq!(
            unproved.collect::<Vec<_>>(),
            ["internal-token", "password", "refresh-token", "rows", "token"]
        );
    }
}
