//! What is to be built: which services, by which way, under which names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kernel_compose::Service;
use kernel_core::event::{Event, Problem};
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_engine::Events;
use kernel_image::Reference;
use serde::Serialize;

use crate::codes;
use crate::failure::{Failure, problem};
use crate::images::BuildSettings;
use crate::images::names::Naming;
use crate::load::Platform;
use crate::select;

/// How an image comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// cargo makes a static program, and the image is assembled around it.
    Cargo,
    /// An Engine builds the Dockerfile that the Compose file names.
    Docker,
}

/// One image to be made.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose.
    pub service: ServiceName,
    /// Its names; at least one.
    pub names: Vec<Reference>,
    /// From what.
    pub source: Source,
}

/// What an image is made from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A package of the workspace.
    Package(String),
    /// A Dockerfile.
    Dockerfile(Dockerfile),
}

/// A build of the Compose file.
#[derive(Clone, Debug)]
pub struct Dockerfile {
    /// The folder that the build may see.
    pub context: PathBuf,
    /// The Dockerfile, relative to the context.
    pub path: String,
    /// Its text, when it stands in the Compose file.
    pub inline: Option<String>,
    /// Its arguments.
    pub arguments: BTreeMap<String, String>,
    /// The stage to stop at.
    pub stage: Option<String>,
}

impl Target {
    /// The package that its program comes from.
    pub fn package(&self) -> Option<&str> {
        match &self.source {
            Source::Package(package) => Some(package),
            Source::Dockerfile(_) => None,
        }
    }
}

/// Static programs are linked here on Linux for amd64 only.
const CAN_LINK: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// Chooses services and their ways. A service that was named has to be buildable. Without names it is the workspace's
/// own services that are built, where there are such; which others have a Dockerfile is told.
pub fn choose(
    platform: &Platform,
    settings: &BuildSettings,
    naming: &Naming,
    only_cargo: bool,
    events: &Events,
) -> Result<Vec<Target>, Failure> {
    let chosen = if settings.with_dependencies {
        select::with_dependencies(&platform.project, &settings.services)?
    } else {
        select::named(&platform.project, &settings.services)?
    };
    let (mut targets, mut problems, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let own = |service: &Service| service.kernel.as_ref().is_some_and(|kernel| kernel.package.is_some());
    let only_own =
        settings.services.is_empty() && settings.via.is_none() && platform.project.services.values().any(own);
    for name in chosen {
        let Some(service) = platform.project.services.get(&name) else { continue };
        if only_own && !own(service) {
            if service.build.is_some() {
                left_out.push(name);
            }
            continue;
        }
        match target(platform, service, settings, naming, only_cargo) {
            Ok(target) => targets.push(target),
            Err(Unfit::NotOurs(_)) if !settings.services.contains(&name) => {
                if service.build.is_some() {
                    left_out.push(name);
                }
            }
            Err(Unfit::NotOurs(problem) | Unfit::Wrong(problem)) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(Failure::several(ExitCode::Usage, problems));
    }
    if targets.is_empty() {
        let message = "none of the services can be built".to_owned();
        let help = if only_cargo {
            "only services with `x-kernel.package` can be built without an Engine"
        } else {
            "services with `x-kernel.package` or `build` in the Compose file can be"
        };
        return Err(Failure::new(
            ExitCode::NothingSelected,
            problem(codes::IMAGE_NOTHING_TO_BUILD, message, help),
        ));
    }
    if !left_out.is_empty() {
        let message = format!(
            "{} has a Dockerfile of its own and is not built now; `kernel build {}` builds it",
            left_out.join(", "),
            left_out.join(" ")
        );
        events.emit(Event::Notice { message });
    }
    Ok(targets)
}

/// Why a service is no target.
enum Unfit {
    /// It can't be built this way.
    NotOurs(Problem),
    /// What its files say is wrong.
    Wrong(Problem),
}

fn target(
    platform: &Platform,
    service: &Service,
    settings: &BuildSettings,
    naming: &Naming,
    only_cargo: bool,
) -> Result<Target, Unfit> {
    let name = ServiceName::new(&service.name).map_err(|error| {
        Unfit::Wrong(problem(codes::IMAGE_NAME, error.to_string(), "give the service another name"))
    })?;
    let source = source(platform, service, settings, only_cargo).map_err(Unfit::NotOurs)?;
    let names = naming.names(platform, service).map_err(Unfit::Wrong)?;
    Ok(Target { service: name, names, source })
}

fn source(
    platform: &Platform,
    service: &Service,
    settings: &BuildSettings,
    only_cargo: bool,
) -> Result<Source, Problem> {
    let package = service.kernel.as_ref().and_then(|kernel| kernel.package.clone());
    let can_link = CAN_LINK || settings.bin_dir.is_some();
    let by_cargo = match settings.via {
        Some(Via::Cargo) => true,
        Some(Via::Docker) => false,
        // What has a package is built by cargo where that works; the rest has a Dockerfile.
        None => package.is_some() && (can_link || only_cargo),
    };
    let name = &service.name;
    if by_cargo || only_cargo {
        let Some(package) = package else {
            let message = format!("`{name}` can't be built by cargo: it has no `x-kernel.package`");
            let help = format!("build it from its Dockerfile: `kernel build --via docker {name}`");
            return Err(problem(codes::IMAGE_NOTHING_TO_BUILD, message, help));
        };
        if !can_link {
            let message = format!(
                "`{name}` can't be built by cargo on this machine: static programs for images are linked on Linux for \
                 amd64 only"
            );
            let help =
                "use `--via docker`, or set KERNEL_BIN_DIR to a folder with ready-made static programs";
            return Err(problem(codes::IMAGE_NO_STATIC_BUILD, message, help));
        }
        return Ok(Source::Package(package));
    }
    let Some(build) = &service.build else {
        let message = format!("`{name}` can't be built: it has no `build` in the Compose file");
        return Err(problem(codes::IMAGE_NOTHING_TO_BUILD, message, "its image comes from a registry"));
    };
    if build.context.contains("://") || build.context.starts_with("git@") {
        let message = format!("`{name}` can't be built: its context `{}` is no folder", build.context);
        return Err(problem(codes::IMAGE_CONTEXT, message, "clone it, and name the folder"));
    }
    let mut arguments = build.args.clone();
    arguments.extend(settings.build_arguments.clone());
    Ok(Source::Dockerfile(Dockerfile {
        context: platform.workspace.root().join(&build.context),
        path: build.dockerfile.clone().unwrap_or_else(|| "Dockerfile".to_owned()),
        inline: build.dockerfile_inline.clone(),
        arguments,
        stage: build.target.clone(),
    }))
}
