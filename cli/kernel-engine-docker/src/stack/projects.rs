//! `ls`: the Compose projects of an Engine.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::query_parameters::ListContainersOptionsBuilder;
use kernel_engine::EngineError;
use serde::Serialize;

use super::connect;
use crate::address::Address;
use crate::trouble::trouble;
use crate::{ask, labels};

/// A project that has containers. The field names are those of `docker compose ls --format json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProjectSummary {
    /// Its name.
    pub name: String,
    /// How many of its containers are in which state: `exited(1), running(2)`.
    pub status: String,
    /// The files that it was made from, as the containers tell, separated by commas.
    pub config_files: String,
}

/// The projects of the Engine at an address by name; with `all` also those of which nothing runs.
///
/// # Errors
/// When no Engine answers there.
pub async fn projects(address: &Address, all: bool) -> Result<Vec<ProjectSummary>, EngineError> {
    let docker = connect(address).await?;
    let filters = HashMap::from([("label", vec![labels::PROJECT])]);
    let options = ListContainersOptionsBuilder::new().all(all).filters(&filters).build();
    let found = ask::list(&docker, &options).await;
    let found = found.map_err(|error| trouble("listing the Engine's containers", error))?;
    let mut projects: BTreeMap<String, (BTreeMap<String, usize>, BTreeSet<String>)> = BTreeMap::new();
    for container in found {
        let mut labels = container.labels.unwrap_or_default();
        let Some(name) = labels.remove(labels::PROJECT) else { continue };
        if labels.get(labels::ONE_OFF).is_some_and(|value| value == "True") {
            continue;
        }
        let (states, files) = projects.entry(name).or_default();
        let state = container.state.map(|state| state.to_string()).unwrap_or_default();
        *states.entry(state).or_default() += 1;
        files.extend(
            labels
                .remove(labels::CONFIG_FILES)
                .into_iter()
                .flat_map(|files| files.split(',').map(str::to_owned).collect::<Vec<_>>()),
        );
    }
    let summary = |(name, (states, files)): (String, (BTreeMap<String, usize>, BTreeSet<String>))| {
        let states: Vec<String> = states.iter().map(|(state, count)| format!("{state}({count})")).collect();
        let files: Vec<String> = files.into_iter().collect();
        ProjectSummary { name, status: states.join(", "), config_files: files.join(",") }
    };
    Ok(projects.into_iter().map(summary).collect())
}
