//! `volumes`: the named volumes of a project.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::query_parameters::ListVolumesOptionsBuilder;
use kernel_engine::EngineError;
use serde::Serialize;

use super::{Stack, Which, member};
use crate::labels;
use crate::trouble::trouble;

/// A volume of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedVolume {
    /// Its name.
    pub name: String,
    /// What keeps it.
    pub driver: String,
    /// Where on the Engine's machine.
    pub mountpoint: String,
    /// `local`: of one machine; `global`: of a cluster.
    pub scope: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl Stack {
    /// The project's volumes by name; with services those that containers of these mount.
    ///
    /// # Errors
    /// When a service has no container, or the Engine can't be asked.
    pub async fn volumes(&self, services: &[String]) -> Result<Vec<ListedVolume>, EngineError> {
        let mounted = match services {
            [] => None,
            services => Some(self.mounted(services).await?),
        };
        let filters = HashMap::from([("label", vec![format!("{}={}", labels::PROJECT, self.project)])]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let found = self.docker.list_volumes(Some(options)).await;
        let found = found.map_err(|error| trouble("listing the project's volumes", error))?;
        let mut volumes: Vec<ListedVolume> = found
            .volumes
            .unwrap_or_default()
            .into_iter()
            .filter(|volume| mounted.as_ref().is_none_or(|mounted| mounted.contains(&volume.name)))
            .map(|volume| ListedVolume {
                name: volume.name,
                driver: volume.driver,
                mountpoint: volume.mountpoint,
                scope: volume.scope.map(|scope| scope.to_string()).unwrap_or_default(),
                labels: volume.labels.into_iter().collect(),
            })
            .collect();
        volumes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(volumes)
    }

    async fn mounted(&self, services: &[String]) -> Result<BTreeSet<String>, EngineError> {
        // Also says which services have no container.
        self.members(services, Which::All).await?;
        let found = self.summaries(Which::All).await?;
        let of_services = found.into_iter().filter(|summary| {
            member((*summary).clone()).is_some_and(|member| services.contains(&member.service))
        });
        let mounts = of_services.flat_map(|summary| summary.mounts.unwrap_or_default());
        Ok(mounts.filter_map(|mount| mount.name).collect())
    }
}
