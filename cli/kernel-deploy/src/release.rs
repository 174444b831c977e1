//! Releases: what was deployed, whole, so that it can be deployed again. Each is a Secret, because manifests hold secrets;
//! it is written before the first change, so that a deploy that was killed can be gone on with.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kernel_core::object::ObjectName;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde_json::json;

use crate::cluster::Cluster;
use crate::codes;
use crate::fault::Fault;
use crate::manifest::Manifest;

const RELEASE: &str = "kernel.dev/release";
const REVISION: &str = "kernel.dev/revision";
const OUTCOME: &str = "kernel.dev/outcome";
const AT: &str = "kernel.dev/deployed-at";
const BY: &str = "kernel.dev/deployed-by";
const NOTE: &str = "kernel.dev/note";
const CONFIGURATION: &str = "kernel.dev/configuration";
const MANIFESTS: &str = "manifests.json.gz";

/// So many releases are kept, and what they need to be rolled back to.
pub const KEPT: usize = 10;

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is under way, or was killed.
    Deploying,
    /// Everything is ready.
    Deployed,
    /// Everything of it was removed, as it was asked for.
    Removed,
    /// Something did not become ready.
    Failed,
    /// It failed, and what was there before is there again.
    RolledBack,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Deploying, Self::Deployed, Self::Removed, Self::Failed, Self::RolledBack];

    /// The word of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploying => "deploying",
            Self::Deployed => "deployed",
            Self::Removed => "removed",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a release without its manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Release {
    /// From 1, one more for each deploy.
    pub revision: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// When it began, RFC 3339.
    pub at: String,
    /// Who deployed.
    pub by: String,
    /// What it was: `deploy`, `roll back to 3`.
    pub note: String,
    /// The ConfigMaps and Secrets that it needs.
    #[serde(skip)]
    configuration: Vec<String>,
}

/// The releases of one name.
#[derive(Clone, Debug)]
pub struct Releases {
    api: Api<Secret>,
    name: String,
    namespace: String,
}

impl Releases {
    /// Those of `name` in the cluster's namespace.
    #[must_use]
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        let api = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        Self { api, name: name.to_owned(), namespace: cluster.namespace.clone() }
    }

    /// All of them, the oldest first.
    ///
    /// # Errors
    /// When the cluster can't be asked.
    pub async fn list(&self) -> Result<Vec<Release>, Fault> {
        let parameters = ListParams::default().labels(&format!("{RELEASE}={}", self.name));
        let listed = self.api.list_metadata(&parameters).await;
        let listed = listed.map_err(|error| Fault::of("listing earlier releases", &error))?;
        let mut releases: Vec<Release> =
            listed.items.into_iter().filter_map(|item| read(&item.metadata)).collect();
        releases.sort_by_key(|release| release.revision);
        Ok(releases)
    }

    /// The manifests of a release.
    ///
    /// # Errors
    /// When it is not there, or can't be read.
    pub async fn manifests(&self, revision: u32) -> Result<Vec<Manifest>, Fault> {
        let attempted = format!("reading release {revision}");
        let secret = self.api.get_opt(&self.secret(revision)).await;
        let secret = secret.map_err(|error| Fault::of(&attempted, &error))?;
        let damaged = |what: &dyn fmt::Display| {
            Fault::new(codes::NO_RELEASE, format!("{attempted}: {what}"))
                .help("`kernel history` lists the releases that are there")
        };
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let packed = data.get(MANIFESTS).ok_or_else(|| damaged(&"there is none"))?;
        let mut text = Vec::new();
        GzDecoder::new(packed.0.as_slice()).read_to_end(&mut text).map_err(|error| damaged(&error))?;
        serde_json::from_slice(&text).map_err(|error| damaged(&error))
    }

    /// Writes down that a release begins, before anything is changed.
    ///
    /// # Errors
    /// When the cluster does not take it.
    pub async fn begin(
        &self,
        after: &[Release],
        manifests: &[Manifest],
        by: &str,
        note: &str,
    ) -> Result<u32, Fault> {
        let revision = after.last().map_or(1, |last| last.revision + 1);
        let attempted = format!("writing down release {revision}");
        let packed = pack(manifests).map_err(|error| {
            Fault::new(codes::REFUSED, format!("{attempted}: {error}")).help("run the command again")
        })?;
        let configuration: Vec<String> = manifests
            .iter()
            .filter(|manifest| matches!(manifest.kind(), "ConfigMap" | "Secret"))
            .map(|manifest| format!("{}/{}", manifest.kind(), manifest.own_name()))
            .collect();
        let text = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.secret(revision)),
                labels: text(&[
                    (RELEASE, &self.name),
                    (REVISION, &revision.to_string()),
                    (OUTCOME, Outcome::Deploying.as_str()),
                ]),
                annotations: text(&[
                    (AT, &jiff::Timestamp::now().to_string()),
                    (BY, by),
                    (NOTE, note),
                    (CONFIGURATION, &configuration.join(",")),
                ]),
                ..ObjectMeta::default()
            },
            type_: Some("kernel.dev/release".to_owned()),
            data: Some([(MANIFESTS.to_owned(), ByteString(packed))].into()),
            ..Secret::default()
        };
        // Whoever died left its release open; with the lock it is known that nobody works on it any more.
        for open in after.iter().filter(|release| release.outcome == Outcome::Deploying) {
            drop(self.mark(open.revision, Outcome::Failed).await);
        }
        let created = self.api.create(&PostParams::default(), &secret).await;
        created.map(|_| revision).map_err(|error| Fault::of(&attempted, &error))
    }

    /// Writes down how a release ended, and forgets those that are too old.
    ///
    /// # Errors
    /// When the cluster does not take it.
    pub async fn end(&self, revision: u32, outcome: Outcome) -> Result<(), Fault> {
        self.mark(revision, outcome).await?;
        let releases = self.list().await?;
        for old in forgotten(&releases) {
            // What is left is forgotten by the next deploy.
            drop(self.api.delete(&self.secret(old), &DeleteParams::default()).await);
        }
        Ok(())
    }

    async fn mark(&self, revision: u32, outcome: Outcome) -> Result<(), Fault> {
        let patch = json!({"metadata": {"labels": {OUTCOME: outcome.as_str()}}});
        let parameters = PatchParams::default();
        let patched = self.api.patch(&self.secret(revision), &parameters, &Patch::Merge(&patch)).await;
        patched.map(drop).map_err(|error| Fault::of("writing down how the release ended", &error))
    }

    /// The configuration that releases which are kept need.
    #[must_use]
    pub fn needed(&self, releases: &[Release]) -> BTreeSet<ObjectName> {
        let forgotten = forgotten(releases);
        let kept = releases.iter().filter(|release| !forgotten.contains(&release.revision));
        let names = kept.flat_map(|release| &release.configuration).filter_map(|text| {
            let (kind, name) = text.split_once('/')?;
            Some(ObjectName {
                group: String::new(),
                kind: kind.to_owned(),
                namespace: Some(self.namespace.clone()),
                name: name.to_owned(),
            })
        });
        names.collect()
    }

    fn secret(&self, revision: u32) -> String {
        format!("kernel-release-{}-{revision:05}", self.name)
    }
}

/// The revisions that are too old. The last one that was good always stays.
fn forgotten(releases: &[Release]) -> BTreeSet<u32> {
    let good = releases.iter().rev().find(|release| release.outcome == Outcome::Deployed);
    let good = good.map(|release| release.revision);
    let old = releases.len().saturating_sub(KEPT);
    releases.iter().take(old).map(|release| release.revision).filter(|old| Some(*old) != good).collect()
}

fn read(metadata: &ObjectMeta) -> Option<Release> {
    let labels = metadata.labels.as_ref()?;
    let annotation = |name: &str| {
        let annotations = metadata.annotations.as_ref();
        annotations.and_then(|annotations| annotations.get(name)).cloned().unwrap_or_default()
    };
    let outcome = labels.get(OUTCOME)?;
    Some(Release {
        revision: labels.get(REVISION)?.parse().ok()?,
        outcome: Outcome::ALL.into_iter().find(|known| known.as_str() == outcome)?,
        at: annotation(AT),
        by: annotation(BY),
        note: annotation(NOTE),
        configuration: annotation(CONFIGURATION).split(',').map(str::to_owned).collect(),
    })
}

fn pack(manifests: &[Manifest]) -> std::io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(&serde_json::to_vec(manifests)?)?;
    packer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(revision: u32, outcome: Outcome) -> Release {
        Release {
            revision,
            outcome,
            at: String::new(),
            by: String::new(),
            note: String::new(),
            configuration: vec![format!("ConfigMap/settings-{revision}")],
        }
    }

    #[test]
    fn old_releases_are_forgotten_but_not_the_last_good_one() {
        let mut releases = vec![release(1, Outcome::Deployed), release(2, Outcome::Deployed)];
        releases.extend((3..=14).map(|revision| release(revision, Outcome::Failed)));
        assert_eq!(forgotten(&releases), BTreeSet::from([1, 3, 4]));
        assert!(forgotten(&releases[..5]).is_empty());
    }
}
