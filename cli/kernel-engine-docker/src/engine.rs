//! The engine port, refused.

use async_trait::async_trait;
use kernel_core::exit::ExitCode;
use kernel_core::plan::{Plan, Step};
use kernel_core::unit::Observed;
use kernel_engine::codes::DOCKER_NOT_IMPLEMENTED;
use kernel_engine::{Context, Engine, EngineError};

/// Stands where the Docker engine will. Every question and every step is refused; nothing is touched.
#[derive(Clone, Copy, Debug, Default)]
pub struct DockerEngine;

fn refusal() -> EngineError {
    EngineError::new(
        DOCKER_NOT_IMPLEMENTED,
        ExitCode::Prerequisite,
        "the Docker engine is not implemented yet; nothing was done",
    )
    .help("use `--engine local`: services then run as processes of this machine")
}

#[async_trait]
impl Engine for DockerEngine {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn observe(&self) -> Result<Observed, EngineError> {
        Err(refusal())
    }

    async fn prepare(&self, _plan: &Plan) -> Result<(), EngineError> {
        Err(refusal())
    }

    async fn apply(&self, _step: &Step, _context: &Context) -> Result<(), EngineError> {
        Err(refusal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_says_that_it_is_not_there_yet() {
        let error = DockerEngine.observe().await.unwrap_err();
        assert_eq!(error.code.0, "K-ENGINE-004");
        assert!(error.help.unwrap_or_default().contains("--engine local"));
    }
}
