//! The adapters of real parts pass the same suites, and what they do when the part goes away.
//!
//! Each test reads where its part is from a variable (docs/testing.md) and says by name that it was left out without.
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

mod analytics;
mod cache;
mod flags;
mod objects;
mod proxy;
mod secrets;
mod tasks;

use std::time::{Duration, Instant};

use crate::Result;

/// Longer than any deadline and pause of an adapter, shorter than anybody's patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// The variable's value; without it the caller returns, and the test's name was said.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let thread = std::thread::current();
        eprintln!("left out: {} needs {name}", thread.name().unwrap_or("a test"));
    }
    value
}

/// Calls until it succeeds; the part is back.
async fn eventually<T>(call: impl AsyncFn() -> Result<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline && error.is_transient(), "still: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Calls until it fails; gives the last failure's words, which say the variable and the host and not the secret.
async fn away<T>(variable: &str, host: &str, secret: &str, call: impl AsyncFn() -> Result<T>) -> String {
    let start = Instant::now();
    let Err(error) = call().await else { panic!("the part is away, and the call succeeded") };
    assert!(start.elapsed() < PATIENCE, "a call has a deadline");
    let said = error.to_string();
    assert!(error.is_transient(), "{said}");
    assert!(said.contains(&format!("{variable} ({host})")), "{said}");
    assert!(secret.is_empty() || !said.contains(secret), "{said}");
    said
}
