//! Waits for an Engine that went away: it was restarted, or the wire to it was cut.

use std::time::Duration;

use bollard::Docker;

/// How long an Engine that went away is waited for. A restart takes one to some ten seconds: Docker gives its containers ten
/// seconds to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two questions.
const AGAIN: Duration = Duration::from_millis(200);

/// How long one answer may take. One that takes longer is none.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether it answers now.
pub(crate) async fn answers(docker: &Docker) -> bool {
    matches!(tokio::time::timeout(ANSWER, docker.ping()).await, Ok(Ok(_)))
}

/// Waits until it answers, at most for [`PATIENCE`]. `false`: it does not.
pub(crate) async fn is_back(docker: &Docker) -> bool {
    let asking = async {
        while !answers(docker).await {
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.is_ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;
    use tokio::time::Instant;

    use super::*;

    /// The clock goes on when nobody has anything to do, so nobody waits for real.
    #[tokio::test(start_paused = true)]
    async fn an_engine_that_stays_away_is_given_up_and_one_that_comes_back_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        drop(UnixListener::bind(&path).unwrap());
        let docker =
            Docker::connect_with_unix(path.to_str().unwrap(), 120, bollard::API_DEFAULT_VERSION).unwrap();
        let begun = Instant::now();
        assert!(!is_back(&docker).await);
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());

        let server = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(7)).await;
            std::fs::remove_file(&path).unwrap();
            let listener = UnixListener::bind(&path).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = stream.read(&mut [0; 1024]).await.unwrap();
            assert!(count > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await.unwrap();
        });
        let begun = Instant::now();
        assert!(is_back(&docker).await);
        assert!(begun.elapsed() >= Duration::from_secs(7) && begun.elapsed() < Duration::from_secs(9));
        server.await.unwrap();
    }
}
