//! Where services run: chooses the engine and binds it to the project. The only place that knows which engines exist.

use std::collections::BTreeMap;

use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::secret::Secret;
use kernel_engine::Events;
use kernel_ops::host::Host;
use kernel_ops::load::Generated;
use kernel_ops::workspace::Workspace;
use kernel_ops::{Failure, codes, problem};

use crate::context::Context;

/// Values that are made once per project, kept where the local engine keeps them.
#[derive(Clone, Copy, Debug)]
pub struct Secrets;

impl Generated for Secrets {
    fn values(
        &self,
        _workspace: &Workspace,
        _project: &ProjectName,
        names: &[String],
        _keep: bool,
    ) -> Result<BTreeMap<String, Secret>, Failure> {
        Ok(names.iter().map(|name| (name.clone(), Secret::new("x"))).collect())
    }
}

/// The place where the services of a project run.
pub async fn choose(
    _context: &Context,
    _workspace: &Workspace,
    _project: &ProjectName,
    _events: &Events,
) -> Result<Box<dyn Host>, Failure> {
    Err(Failure::new(ExitCode::Failed, problem(codes::ENGINE_UNAVAILABLE, "no engine yet", "wait")))
}
