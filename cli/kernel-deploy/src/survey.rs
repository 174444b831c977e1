//! How a release is now: every object of it, and whether it does what it is for.

use futures::{Stream, StreamExt, stream};
use kernel_core::object::ObjectName;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use serde::Serialize;

use crate::applyset::{ApplySet, PART_OF, Scope};
use crate::cluster::{Cluster, watched};
use crate::fault::Fault;
use crate::observe::{AT_ONCE, value};
use crate::status::{Readiness, is_awaited, readiness};

/// So many changes that come at once are looked at together.
const MANY: usize = 1024;

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
    let scope = set.recorded(cluster).await.map_err(|fault| vec![fault])?;
    look(cluster, &set, &scope.unwrap_or_default()).await.map_err(|fault| vec![fault])
}

/// Looks, and looks again whenever the cluster says that something of the release has changed; hands out what is another
/// than before, until `show` says that it is enough.
///
/// # Errors
/// When the cluster can't be asked, or the release's record is not ours.
pub async fn watch(
    cluster: &mut Cluster,
    name: &str,
    mut show: impl FnMut(&[Surveyed]) -> bool,
) -> Result<(), Vec<Fault>> {
    let one = |fault: Fault| vec![fault];
    let mut shown = None;
    loop {
        cluster.learn(&[]).await?;
        let here = &*cluster;
        let set = ApplySet::new(name, &here.namespace);
        let scope = set.recorded(here).await.map_err(one)?.unwrap_or_default();
        // Listens before it looks, so that nothing happens unseen in between.
        let mut changes = std::pin::pin!(changes(here, &set, &scope).ready_chunks(MANY));
        loop {
            let found = look(here, &set, &scope).await.map_err(one)?;
            if shown.as_ref() != Some(&found) {
                if !show(&found) {
                    return Ok(());
                }
                shown = Some(found);
            }
            // Streams of changes take themselves up again and have no end.
            let _any = changes.next().await;
            if set.recorded(here).await.map_err(one)?.unwrap_or_default() != scope {
                break;
            }
        }
    }
}

/// A word for every change of the release's record and of what belongs to it.
fn changes(cluster: &Cluster, set: &ApplySet, scope: &Scope) -> impl Stream<Item = ()> + use<> {
    let mut places: Vec<Option<String>> = scope.namespaces.iter().cloned().map(Some).collect();
    places.push(set.parent.namespace.clone());
    let mut watches = Vec::new();
    let mut listen = |name: &ObjectName, settings: watcher::Config| {
        if let Some(resource) = cluster.resource(&name.group, &name.kind) {
            let client = cluster.client.clone();
            let api: Api<PartialObjectMeta<DynamicObject>> = match &name.namespace {
                Some(namespace) => Api::namespaced_with(client, namespace, &resource.api),
                None => Api::all_with(client, &resource.api),
            };
            watches.push(watcher(api, settings).default_backoff().map(drop).boxed());
        }
    };
    listen(&set.parent, watched().fields(&format!("metadata.name={}", set.parent.name)));
    for (group, kind) in &scope.kinds {
        let namespaced = cluster.resource(group, kind).is_some_and(|resource| resource.namespaced);
        for namespace in if namespaced { places.clone() } else { vec![None] } {
            let name =
                ObjectName { group: group.clone(), kind: kind.clone(), namespace, name: String::new() };
            listen(&name, watched().labels(&format!("{PART_OF}={}", set.id)));
        }
    }
    stream::select_all(watches)
}

async fn look(cluster: &Cluster, set: &ApplySet, scope: &Scope) -> Result<Vec<Surveyed>, Fault> {
    let members = set.members(cluster, scope).await?;
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
        found.extend(result?);
    }
    Ok(found)
}
