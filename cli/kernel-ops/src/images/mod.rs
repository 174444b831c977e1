//! `build` and `images push`: images of the workspace's services, by cargo and without a builder, or by a Docker Engine
//! from their Dockerfiles; loaded into the Engine, written as an OCI layout, or pushed to a registry.
//!
//! The same spine as everything: targets → plan → executor. The executor's engine is the [`maker`].

mod cargo;
mod context;
mod digest;
pub(crate) mod ignore;
mod layout;
mod maker;
mod names;
mod push;
mod revision;
mod store;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use kernel_core::event::Event;
use kernel_core::exit::ExitCode;
use kernel_core::plan::{Action, Cause, Plan, Step, StepId, Subject};
use kernel_engine::{DryRun, Events, execute};
use kernel_image::Reference;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::converge;
use crate::failure::Failure;
use crate::images::maker::{Destination, Maker};
use crate::images::names::Naming;
use crate::images::target::Target;
use crate::load::Platform;

pub use crate::archive::Archive;
pub(crate) use context::ignore_of;
pub use digest::digests;
pub use names::PushSettings;
pub use push::{Credentials, PushOutcome, push_layout};
pub use revision::Revision;
pub use store::{DockerBuild, ImageStore, StoredImage, Told};
pub use target::Via;

/// A cold build of everything on a small machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// What is built, how, and where it goes.
#[derive(Clone, Debug, Default)]
pub struct BuildSettings {
    /// The services; empty means all that can be built.
    pub services: Vec<String>,
    /// Also what those depend on, as far as it can be built.
    pub with_dependencies: bool,
    /// How; decided by machine and project when `None`.
    pub via: Option<Via>,
    /// A folder with ready-made static programs, named like their packages: nothing is compiled then.
    pub bin_dir: Option<PathBuf>,
    /// The cargo to run.
    pub cargo: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH`, as said.
    pub source_date_epoch: Option<String>,
    /// Build arguments over those of the Compose file; for Dockerfiles only.
    pub build_arguments: BTreeMap<String, String>,
    /// Build every step of a Dockerfile again.
    pub no_cache: bool,
    /// Ask registries for newer base images.
    pub pull: bool,
    /// Build Dockerfiles with the classic builder also where BuildKit is there.
    pub classic: bool,
}

/// Where images go.
pub enum Output<'a> {
    /// Into an Engine, under the Compose file's names. It is looked for when the plan is to be carried out.
    Engine(BoxFuture<'a, Result<Box<dyn ImageStore>, Failure>>),
    /// Into a folder, or a file whose name ends in `.tar`, as an OCI layout under the Compose file's names.
    Layout(PathBuf),
    /// To a registry, under the deployment's names. No Engine is needed.
    Registry(&'a PushSettings),
}

/// What an operation on images is done with.
#[derive(Clone, Copy)]
pub struct ImageWork<'a> {
    /// Show the plan, change nothing.
    pub dry_run: bool,
    /// Where facts go.
    pub events: &'a Events,
    /// Cancelled when somebody interrupts.
    pub cancel: &'a CancellationToken,
    /// How to go on after an interruption: the command.
    pub command: &'a str,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// `kernel.images/v1`.
    pub schema: &'static str,
    /// The plan, when it was only to be shown.
    pub plan: Option<Plan>,
    /// The images, by service.
    pub images: Vec<MadeImage>,
}

/// An image that is where it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MadeImage {
    /// Whose.
    pub service: String,
    /// Its names, the first the main one.
    pub names: Vec<String>,
    /// What an Engine or a registry knows it by: the digest of its configuration, or of its manifest.
    pub id: String,
    /// What was done.
    pub result: MadeResult,
    /// Its size in bytes before compression; 0 when the Engine built it.
    pub size: u64,
    /// How many bytes were sent or written for it.
    pub sent: u64,
}

/// What was done about an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MadeResult {
    /// It was there already, under its names.
    Unchanged,
    /// It was there and got its names.
    Tagged,
    /// It was handed to the Engine.
    Loaded,
    /// The Engine built it.
    Built,
    /// It was written into a layout.
    Written,
    /// It was sent to a registry.
    Pushed,
}

impl MadeResult {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Tagged => "tagged",
            Self::Loaded => "loaded",
            Self::Built => "built",
            Self::Written => "written",
            Self::Pushed => "pushed",
        }
    }
}

/// Builds images and hands them on.
///
/// # Errors
/// What stood in the way, all of it.
pub async fn build(
    platform: &Platform,
    settings: &BuildSettings,
    output: Output<'_>,
    work: ImageWork<'_>,
) -> Result<Built, Failure> {
    let revision = Revision::of(platform.workspace.root(), settings.source_date_epoch.as_deref())?;
    let naming = match &output {
        Output::Registry(push) => {
            Naming::deployment(push, &revision).map_err(|problem| Failure::new(ExitCode::Usage, problem))?
        }
        Output::Engine(_) | Output::Layout(_) => Naming::Compose,
    };
    let only_cargo = !matches!(output, Output::Engine(_));
    let targets = target::choose(platform, settings, &naming, only_cargo, work.events)?;
    let plan = plan(platform, &targets, settings.bin_dir.is_some());
    if work.dry_run {
        DryRun.show(&plan, work.events);
        return Ok(Built { schema: "kernel.images/v1", plan: Some(plan), images: Vec::new() });
    }
    work.events.emit(Event::PlanMade { plan: plan.clone(), dry_run: false });
    let destination = match output {
        Output::Engine(looking) => Destination::Engine(looking.await?),
        Output::Layout(path) => Destination::Layout(layout::Writer::open(&path)?),
        Output::Registry(push) => Destination::Registry(push::Pusher::new(push)?),
    };
    let maker = Maker::new(platform.workspace.root(), settings, &revision, targets, destination)?;
    let outcome = execute(&maker, &plan, work.events, work.cancel).await;
    if let Some(failure) = converge::judge(&outcome, &plan, work.command) {
        return Err(failure);
    }
    Ok(Built { schema: "kernel.images/v1", plan: None, images: maker.finish().await? })
}

/// First all programs in one go, then each image as soon as they are there; images from Dockerfiles wait for nothing.
///
/// cargo builds the programs of all services even where one is wanted: for fewer packages it would choose fewer features
/// of the crates that they share, compile those once more, and make a program of other bytes under the same name.
fn plan(platform: &Platform, targets: &[Target], ready_made: bool) -> Plan {
    let mut steps = Vec::new();
    let compiled = !ready_made && targets.iter().any(|target| target.package().is_some());
    let services = platform.project.services.values();
    let packages: BTreeSet<String> =
        services.filter_map(|service| service.kernel.as_ref()?.package.clone()).collect();
    let packages: Vec<String> = packages.into_iter().collect();
    let mut step = |subject, action, after: Vec<StepId>| {
        let id = StepId(u32::try_from(steps.len() + 1).unwrap_or(u32::MAX));
        steps.push(Step { id, subject, action, cause: Cause::Requested, after, deadline: BUILD_DEADLINE });
        id
    };
    let cargo = compiled.then(|| step(Subject::Workspace, Action::Build { packages }, Vec::new()));
    for target in targets {
        let after = if target.package().is_some() { cargo.into_iter().collect() } else { Vec::new() };
        let packages = vec![target.names[0].to_string()];
        step(Subject::Service(target.service.clone()), Action::Build { packages }, after);
    }
    Plan { schema: Plan::SCHEMA, project: platform.name.clone(), steps }
}

/// Texts of names.
fn texts(names: &[Reference]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
