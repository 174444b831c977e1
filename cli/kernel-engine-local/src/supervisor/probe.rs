//! Asks a unit whether it is ready: one plain HTTP request over loopback.

use std::net::Ipv4Addr;
use std::time::Duration;

use kernel_core::unit::Readiness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(2);
/// How much of an answer is looked at.
const LOOKED_AT: u64 = 2048;
/// How much of a body is shown.
const SHOWN: usize = 120;

/// Asks once. `Err` says in a few words why it is not ready.
pub(crate) async fn ask(readiness: &Readiness) -> Result<(), String> {
    match tokio::time::timeout(LIMIT, request(readiness)).await {
        Ok(Ok(answer)) => judge(&readiness.path, &answer),
        Ok(Err(_)) => Err(format!("does not listen on port {} yet", readiness.port)),
        Err(_) => Err(format!("{} does not answer within {} s", readiness.path, LIMIT.as_secs())),
    }
}

async fn request(readiness: &Readiness) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, readiness.port)).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: kernel-supervisor\r\nConnection: close\r\n\r\n",
        readiness.path, readiness.port
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LOOKED_AT).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn judge(path: &str, answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    match status {
        Some("200" | "204") => Ok(()),
        Some(status) => {
            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
            let body: String =
                body.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
            let colon = if body.is_empty() { "" } else { ": " };
            Err(format!("{path} answers {status}{colon}{body}"))
        }
        None => Err(format!("{path} does not answer in HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_why_it_is_not_ready() {
        let judge = |answer: &str| judge("/health/ready", answer.as_bytes());
        assert_eq!(judge("HTTP/1.1 200 OK\r\n\r\n{}"), Ok(()));
        assert_eq!(
            judge("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\n{\"reason\":\n\"migrating\"}"),
            Err("/health/ready answers 503: {\"reason\": \"migrating\"}".to_owned())
        );
        assert_eq!(judge("HTTP/1.1 404 \r\n\r\n"), Err("/health/ready answers 404".to_owned()));
        assert_eq!(judge("SSH-2.0"), Err("/health/ready does not answer in HTTP".to_owned()));
    }

    #[tokio::test]
    async fn nobody_there_is_told_as_such() {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let said = ask(&Readiness { port, path: "/".to_owned() }).await;
        assert_eq!(said, Err(format!("does not listen on port {port} yet")));
    }
}
