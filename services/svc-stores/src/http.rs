//! Real parts that are spoken to over HTTP: one client with a pool of connections each, and what an answer means.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};

use crate::error::{Result, StoreError};
use crate::link::{Fault, Link, chain};
use crate::url::Store;

/// How much of a refusal is repeated to people.
const SHOWN: usize = 300;

/// A client that keeps connections. It gives up the attempt to make one after `connect_within`, and an answer of which
/// nothing comes for `silence`; without that, the caller has a deadline of its own.
pub(crate) fn client(store: Store, connect_within: Duration, silence: Option<Duration>) -> Result<Client> {
    // The client wants to know who would encrypt, also where nothing is encrypted.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder();
    if let Some(silence) = silence {
        builder = builder.read_timeout(silence);
    }
    builder
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_within)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| StoreError::Configuration {
            variable: store.variable(),
            problem: format!("no HTTP client can be made: {}", chain(&error)),
        })
}

/// No answer came, or only half of one. The address is left out: it may hold a password.
pub(crate) fn away(error: reqwest::Error) -> Fault {
    Fault::Away(chain(&error.without_url()))
}

/// Lets through an answer that is neither an error of the part nor a refusal.
pub(crate) async fn accepted(link: &Link, attempted: &str, response: Response) -> Result<Response, Fault> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(response);
    }
    let body = response.text().await.unwrap_or_default();
    Err(refused(link, attempted, status, &body))
}

/// What an answer with such a status means: busy or down, or a refusal that stays one.
pub(crate) fn refused(link: &Link, attempted: &str, status: StatusCode, body: &str) -> Fault {
    let mut end = body.len().min(SHOWN);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    let problem = format!("{status}: {}", body[..end].trim());
    let passing = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if passing { Fault::Away(problem) } else { link.answered(attempted, &problem) }
}
