//! What the Engine answers when it can't, in words that help.

use bollard::errors::Error;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

use crate::codes;

/// An error of a call. `what` was attempted, as in "starting the container shop-web-1".
pub(crate) fn trouble(what: &str, error: Error) -> EngineError {
    let (status, text) = match &error {
        Error::DockerResponseServerError { status_code, message } => (*status_code, message.clone()),
        Error::DockerStreamError { error } => (0, error.clone()),
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => {
            let message = format!("{what} failed: what the Engine answers can't be understood");
            let help = "report this with the answer of `docker version`; an Engine that says it is Docker's is taken at its word";
            return EngineError::new(codes::REFUSED, ExitCode::Failed, message).help(help).because(error);
        }
        _ => return went_away(what, error),
    };
    let fail = |code, exit, message: String, help: String| {
        EngineError::new(code, exit, message).help(help).because(error)
    };
    if text.contains("no space left on device") {
        return fail(
            codes::DISK_FULL,
            ExitCode::Prerequisite,
            format!("{what} failed: the Engine's disk is full"),
            "`docker system df` shows what takes the room; then run the command again".to_owned(),
        );
    }
    if is_port_taken(&text) {
        return fail(
            codes::PORT_TAKEN,
            ExitCode::Prerequisite,
            format!("{what} failed: a port that it publishes is taken"),
            "`docker ps` and `ss -ltnp` show who has it; end that, or publish another port".to_owned(),
        );
    }
    if text.contains("has active endpoints") {
        return fail(
            codes::NETWORK_IN_USE,
            ExitCode::Conflict,
            format!("{what} failed: containers that are not this project's are connected to it"),
            "`docker network inspect NETWORK` names them; `docker network disconnect -f NETWORK CONTAINER` \
             takes one out, then run the command again"
                .to_owned(),
        );
    }
    if text.contains("No such image") || text.contains("no such image") {
        return fail(
            codes::NO_IMAGE,
            ExitCode::Prerequisite,
            format!("{what} failed: its image is gone"),
            "run the command again: it fetches the image, or says why it can't".to_owned(),
        );
    }
    if status == 404 || status == 409 {
        return fail(
            kernel_engine::codes::OUT_OF_STEP,
            ExitCode::Conflict,
            format!("{what} does not fit what is there"),
            "another command changed it meanwhile: run this one again".to_owned(),
        );
    }
    fail(
        codes::REFUSED,
        ExitCode::Failed,
        format!("{what} failed"),
        "correct what the Engine says; `docker info` shows whether it is well".to_owned(),
    )
}

fn is_port_taken(text: &str) -> bool {
    text.contains("port is already allocated") || text.contains("address already in use")
}

/// The Engine can't be asked at all.
pub(crate) fn went_away(what: &str, error: Error) -> EngineError {
    ended_early(what).because(error)
}

/// The Engine began an answer and did not end it.
pub(crate) fn ended_early(what: &str) -> EngineError {
    let message = format!("{what} failed: the Docker Engine did not answer to the end");
    EngineError::new(codes::WENT_AWAY, ExitCode::Failed, message).help(
        "see whether it runs (`docker info`), then run the command again: it goes on where this one ended",
    )
}

/// Whether the Engine says that there is no such thing.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Faults that a test can't make on an Engine that others use too.
    #[test]
    fn a_full_disk_and_a_vanished_image_are_told_by_name() {
        let said = |status_code, message: &str| {
            let message = message.to_owned();
            trouble("creating the container web", Error::DockerResponseServerError { status_code, message })
        };
        let full = said(500, "mkdir /var/lib/docker/overlay2/x: no space left on device");
        assert_eq!((full.code, full.exit), (codes::DISK_FULL, ExitCode::Prerequisite));
        assert!(full.help.is_some_and(|help| help.contains("docker system df")));
        let gone = said(404, "No such image: web:1");
        assert_eq!((gone.code, gone.exit), (codes::NO_IMAGE, ExitCode::Prerequisite));
        let overtaken = said(409, "Conflict. The container name \"/web\" is already in use");
        assert_eq!((overtaken.code, overtaken.exit), (kernel_engine::codes::OUT_OF_STEP, ExitCode::Conflict));
        let other = said(500, "something else");
        assert_eq!(other.code, codes::REFUSED);
    }
}
