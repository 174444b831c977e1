//! Asks whether a Docker Engine answers.

use std::time::Duration;

use crate::address::Address;

/// How long the whole question may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// Whether an Engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerStatus {
    /// It does.
    Available {
        /// The newest version of its API, such as `1.41`.
        api_version: String,
        /// Its own version, such as `20.10.24`.
        version: String,
    },
    /// It does not, or it can't be asked from here.
    Unavailable {
        /// Why, a few words.
        reason: String,
    },
}

/// Asks the Engine at an address. Takes two seconds at most; by ssh also the time that it takes to log in.
pub async fn probe(address: &Address) -> DockerStatus {
    let (client, _held) = match address.client(DEADLINE.as_secs()).await {
        Ok(client) => client,
        Err(error) if address.is_remote() => return unavailable(error.message),
        Err(_) => return unavailable(format!("there is no socket at `{address}`")),
    };
    match tokio::time::timeout(DEADLINE, client.version()).await {
        Ok(Ok(answer)) => DockerStatus::Available {
            api_version: answer.api_version.unwrap_or_default(),
            version: answer.version.unwrap_or_default(),
        },
        Ok(Err(error)) => unavailable(format!("`{address}` does not answer as an Engine: {error}")),
        Err(_) => unavailable(format!("`{address}` does not answer within {} s", DEADLINE.as_secs())),
    }
}

fn unavailable(reason: String) -> DockerStatus {
    DockerStatus::Unavailable { reason }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    /// A socket that gives one caller `answer`, or lets it wait when there is none.
    async fn ask_one_that_answers(answer: Option<&'static str>) -> DockerStatus {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            assert!(String::from_utf8_lossy(&request[..count]).contains("/version"));
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
        });
        let status = probe(&at(&format!("unix://{}", path.display()))).await;
        server.abort();
        status
    }

    #[tokio::test]
    async fn an_engine_tells_its_versions() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 43\r\n\r\n\
                      {\"ApiVersion\":\"1.41\",\"Version\":\"20.10.24\"}\n";
        let expected =
            DockerStatus::Available { api_version: "1.41".to_owned(), version: "20.10.24".to_owned() };
        assert_eq!(ask_one_that_answers(Some(answer)).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_not_waited_for() {
        let DockerStatus::Unavailable { reason } = ask_one_that_answers(None).await else {
            panic!("nobody answered");
        };
        assert!(reason.ends_with("does not answer within 2 s") || reason.contains("imeout"), "{reason}");
    }

    #[tokio::test]
    async fn where_nobody_listens_is_told() {
        let reason = async |host| match probe(&at(host)).await {
            DockerStatus::Unavailable { reason } => reason,
            available => panic!("{available:?}"),
        };
        assert_eq!(
            reason("unix:///nowhere/docker.sock").await,
            "there is no socket at `unix:///nowhere/docker.sock`"
        );
        assert!(reason("tcp://127.0.0.1:1").await.contains("does not answer as an Engine"));
    }

    fn at(host: &str) -> Address {
        Address::find(&|name| (name == "DOCKER_HOST").then(|| host.to_owned())).unwrap()
    }
}
