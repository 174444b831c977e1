//! How a release is now: every object of it, and whether it does what it is for.

use futures::{StreamExt, stream};
use kernel_core::object::ObjectName;
use serde::Serialize;

use crate::applyset::ApplySet;
use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::observe::{AT_ONCE, value};
use crate::status::{Readiness, is_awaited, readiness};

/// How one object is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Surveyed {
    /// Which.
    #[serde(flatten)]
    pub name: ObjectName,
    /// `ready`, `waiting`, `failed`, or `there` for what only has to be there.
    pub state: &'static str,
    /// What it waits for, or why it failed.
    pub detail: Option<String>,
}

/// Looks at every object of the release `name`. The cluster's kinds are learned with it.
///
/// # Errors
/// When the cluster can't be asked, or the release's record is not ours.
pub async fn survey(cluster: &mut Cluster, name: &str) -> Result<Vec<Surveyed>, Vec<Fault>> {
    cluster.learn(&[]).await?;
    let cluster = &*cluster;
    let set = ApplySet::new(name, &cluster.namespace);
    let one = |fault: Fault| vec![fault];
    let Some(scope) = set.recorded(cluster).await.map_err(one)? else { return Ok(Vec::new()) };
    let members = set.members(cluster, &scope).await.map_err(one)?;
    let look = |member: ObjectName| async move {
        if !is_awaited(&member.group, &member.kind) {
            return Ok(Some(Surveyed { name: member, state: "there", detail: None }));
        }
        let Some(api) = cluster.api(&member) else { return Ok(None) };
        let object = api.get_opt(&member.name).await;
        let Some(object) = object.map_err(|error| Fault::of("reading what is in the cluster", &error))?
        else {
            return Ok(None);
        };
        let (state, detail) = match readiness(&value(&object)) {
            Readiness::Ready => ("ready", None),
            Readiness::Waiting(reason) => ("waiting", Some(reason)),
            Readiness::Failed(reason) => ("failed", Some(reason)),
        };
        Ok(Some(Surveyed { name: member, state, detail }))
    };
    let names = members.into_iter().map(|member| member.name);
    let seen: Vec<Result<Option<Surveyed>, Fault>> =
        stream::iter(names).map(look).buffered(AT_ONCE).collect().await;
    let mut found = Vec::new();
    for result in seen {
        found.extend(result.map_err(one)?);
    }
    Ok(found)
}
