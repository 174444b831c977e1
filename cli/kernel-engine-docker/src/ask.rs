//! Asks about containers. Podman names a state of passage that Docker's API does not have, between the end of a container's
//! process and the moment when it is cleaned up; such an answer can't be read, and is asked for again.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};

/// How long such a state may last.
const PASSAGE: Duration = Duration::from_secs(5);

/// Pause before it is asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// One container in full.
pub(crate) async fn inspect(docker: &Docker, container: &str) -> Result<ContainerInspectResponse, Error> {
    until_readable(|| docker.inspect_container(container, None::<InspectContainerOptions>)).await
}

/// The containers that fit.
pub(crate) async fn list(
    docker: &Docker,
    options: &ListContainersOptions,
) -> Result<Vec<ContainerSummary>, Error> {
    until_readable(|| docker.list_containers(Some(options.clone()))).await
}

async fn until_readable<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let begun = tokio::time::Instant::now();
    loop {
        match ask().await {
            Err(Error::JsonDataError { .. }) if begun.elapsed() < PASSAGE => tokio::time::sleep(AGAIN).await,
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn unreadable() -> Error {
        let message = "unknown variant `stopped`".to_owned();
        Error::JsonDataError { message, column: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_read_is_asked_for_again_for_a_while() {
        let count = Cell::new(0);
        let answer = until_readable(|| {
            count.set(count.get() + 1);
            std::future::ready(if count.get() < 3 { Err(unreadable()) } else { Ok(count.get()) })
        });
        assert_eq!(answer.await.unwrap(), 3);
        let never: Result<(), Error> = until_readable(|| std::future::ready(Err(unreadable()))).await;
        assert!(matches!(never, Err(Error::JsonDataError { .. })));
    }
}
