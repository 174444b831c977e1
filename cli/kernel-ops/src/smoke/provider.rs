//! A small HTTP server on 127.0.0.1 that stands for an outside API while a scenario runs: it answers every request
//! with a JSON description of that request.

use std::convert::Infallible;
use std::io;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Provider {
    address: String,
    accepting: AbortHandle,
}

impl Provider {
    /// Starts to serve on a port that the system chooses.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn serve() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream));
            }
        });
        Ok(Self { address, accepting: accepting.abort_handle() })
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse(stream: TcpStream) {
    let connection = hyper::server::conn::http1::Builder::new();
    // Who has called sees a broken connection itself; there is nobody else to tell.
    let _broken = connection.serve_connection(TokioIo::new(stream), service_fn(describe)).await;
}

async fn describe(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let answer = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "headers": headers,
        "body": serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null),
    });
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_request_is_described() {
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let provider = Provider::serve().await.unwrap();
        let client = reqwest::Client::new();
        let request = client.post(format!("{}/pay?x=1", provider.address())).json(&json!({"amount": 7}));
        let answer: Value = request.header("x-key", "k").send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["method"], "POST");
        assert_eq!(answer["path"], "/pay");
        assert_eq!(answer["query"], "x=1");
        assert_eq!(answer["body"]["amount"], 7);
        assert_eq!(answer["headers"]["x-key"], "k");
    }
}
