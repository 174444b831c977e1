//! Services that are no containers: programs of this machine, providers, make them, before what needs them is planned,
//! and tell variables that those get.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use kernel_compose::{Project, render};
use kernel_core::event::Event;
use serde_json::Value as Json;

use crate::converge::{Work, engine_failure};
use crate::failure::Failure;
use crate::load::Platform;
use crate::select;

/// What is wanted of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That the service is there.
    Up,
    /// That nothing of it is left.
    Down,
}

/// A service that a provider makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provided {
    /// Its name.
    pub service: String,
    /// Which provider.
    pub kind: String,
    /// What the file tells it, each option with its values.
    pub options: BTreeMap<String, Vec<String>>,
}

/// The services of a project that providers make, each after those that it needs.
#[must_use]
pub fn provided(project: &Project) -> Vec<Provided> {
    let order = project.start_order();
    order.into_iter().filter_map(|service| provided_service(project, &service.name)).collect()
}

fn provided_service(project: &Project, name: &str) -> Option<Provided> {
    let node = project.model.get("services")?.get(name)?;
    node.get("provider").filter(|provider| !provider.is_null())?;
    let service = render::service_with_secrets(node);
    let provider = service.get("provider")?;
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values = |value: &Json| match value {
        Json::Array(values) => values.iter().map(text).collect(),
        value => vec![text(value)],
    };
    let options = provider.get("options").and_then(Json::as_object).into_iter().flatten();
    Some(Provided {
        service: name.to_owned(),
        kind: provider.get("type")?.as_str()?.to_owned(),
        options: options.map(|(name, value)| (name.clone(), values(value))).collect(),
    })
}

/// Sees to it that what these services, all without names, need of providers is there. Gives the platform with the
/// variables that providers tell.
///
/// # Errors
/// What a provider says.
pub async fn up<'a>(
    platform: &'a Platform,
    services: &[String],
    work: Work<'_>,
) -> Result<Cow<'a, Platform>, Failure> {
    let all = provided(&platform.project);
    if all.is_empty() {
        return Ok(Cow::Borrowed(platform));
    }
    // Also with `--no-deps`: without its variables a service would be another one.
    let chosen = select::with_dependencies(&platform.project, services)?;
    let mut platform = platform.clone();
    for provided in all.into_iter().filter(|provided| chosen.contains(&provided.service)) {
        if work.dry_run {
            let message = format!(
                "`{} compose up` would be run for {}; what it would tell is not known, so what needs it may be planned \
                 anew here",
                provided.kind, provided.service
            );
            work.events.emit(Event::Notice { message });
            continue;
        }
        let told = work.host.provider(&platform, &provided, Wish::Up, work).await;
        let told = told.map_err(|error| engine_failure(&error))?;
        let prefix = provided.service.to_uppercase();
        let told = told.into_iter().map(|(name, value)| (format!("{prefix}_{name}"), value)).collect();
        let dependants: BTreeSet<String> = platform
            .project
            .services
            .values()
            .filter(|service| service.depends_on.contains_key(&provided.service))
            .map(|service| service.name.clone())
            .collect();
        for dependant in dependants {
            platform.project.add_variables(&dependant, &told);
        }
    }
    Ok(Cow::Owned(platform))
}

/// Has providers take away what they made for these services; for all without names.
///
/// # Errors
/// What a provider says.
pub async fn down(platform: &Platform, services: &[String], work: Work<'_>) -> Result<(), Failure> {
    let all = provided(&platform.project).into_iter().rev();
    for provided in all.filter(|provided| services.is_empty() || services.contains(&provided.service)) {
        if work.dry_run {
            let message = format!("`{} compose down` would be run for {}", provided.kind, provided.service);
            work.events.emit(Event::Notice { message });
            continue;
        }
        let told = work.host.provider(platform, &provided, Wish::Down, work).await;
        told.map_err(|error| engine_failure(&error))?;
    }
    Ok(())
}
