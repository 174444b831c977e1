//! What is there, and what the cluster says that it would become: one GET and one dry run of every object, all at the
//! same time. Nothing is written.

use futures::{StreamExt, stream};
use kernel_core::object::Difference;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::response::Status;
use kube::{Api, Error};
use serde_json::Value;

use crate::applyset::PART_OF;
use crate::cluster::Cluster;
use crate::difference::differences;
use crate::fault::Fault;
use crate::manifest::Manifest;
use crate::{FIELD_MANAGER, codes, fields};

/// How many requests are under way at the same time.
pub const AT_ONCE: usize = 24;

/// What may be done to get what is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Take fields from other managers.
    pub force_conflicts: bool,
    /// Remove and make anew what can't be changed where it stands.
    pub replace: bool,
}

/// What is there of one object.
#[derive(Clone, Debug)]
pub enum Observation {
    /// Nothing.
    Missing,
    /// Nothing any more: a job that has run and removed itself.
    Done,
    /// It, and what it would be.
    Present {
        /// As it is.
        live: Value,
        /// What would be another.
        differences: Vec<Difference>,
        /// Fields of earlier tools are to be taken over.
        adopt: bool,
    },
    /// It, and it can't become what is wanted.
    Immutable {
        /// As it is.
        live: Value,
        /// The fields that stand in the way, in the cluster's words.
        fields: Vec<String>,
    },
}

/// Looks at every object that is wanted, which stand in the order of `desired`.
///
/// # Errors
/// Everything that the cluster refuses.
pub async fn observe(
    cluster: &Cluster,
    desired: &[Manifest],
    set: &str,
    settings: Settings,
) -> Result<Vec<Observation>, Vec<Fault>> {
    let looks = desired.iter().map(|manifest| look(cluster, manifest, desired, set, settings));
    let results: Vec<Result<Observation, Fault>> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    let mut found = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for result in results {
        match result {
            Ok(observation) => found.push(observation),
            // One sentence is enough when nobody answers at all.
            Err(fault) if faults.iter().any(|other| other.message == fault.message) => {}
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

async fn look(
    cluster: &Cluster,
    manifest: &Manifest,
    all: &[Manifest],
    set: &str,
    settings: Settings,
) -> Result<Observation, Fault> {
    let name = manifest.name();
    let Some(api) = cluster.api(&name) else {
        return Err(Fault::new(
            codes::UNKNOWN_KIND,
            format!("{}: unknown kind `{}`", manifest.origin, name.kind),
        ));
    };
    let live = match api.get_opt(&name.name).await {
        Ok(live) => live.map(|object| value(&object)),
        // Where the whole kind is not there yet, the answer is no object: 404 page not found.
        Err(Error::Api(status)) if status.code == 404 => None,
        Err(error) => return Err(Fault::of("reading what is in the cluster", &error)),
    };
    let Some(live) = live else {
        if comes_with_it(all, manifest) {
            return Ok(Observation::Missing);
        }
        return match dry_run(&api, manifest, false).await {
            Ok(_) => Ok(Observation::Missing),
            Err(error) => Err(refused(manifest, &error)),
        };
    };
    if let Some(owner) = live.pointer("/metadata/labels").and_then(|labels| labels.get(PART_OF))
        && owner != set
    {
        let message = format!("{}: {name} belongs to another release", manifest.origin);
        let help = format!("give it another name, or remove its label `{PART_OF}` to take it over");
        return Err(Fault::new(codes::FOREIGN, message).help(help));
    }
    let legacy = fields::has_legacy(&live);
    let tried = match dry_run(&api, manifest, settings.force_conflicts).await {
        Err(Error::Api(status)) if status.code == 409 => {
            let conflicts = conflicts(&status);
            if !conflicts.iter().all(|conflict| fields::is_legacy(&conflict.manager)) {
                return Err(conflict(manifest, &conflicts));
            }
            dry_run(&api, manifest, true).await
        }
        tried => tried,
    };
    match tried {
        Ok(would) => {
            let mut differences = differences(&live, &value(&would));
            // It is handed over at its live value before we let go of it.
            if fields::leaves_replicas(&manifest.body) && fields::owns(&live, &["spec", "replicas"]) {
                differences.retain(|difference| difference.path != "spec.replicas");
            }
            Ok(Observation::Present { live, differences, adopt: legacy })
        }
        Err(Error::Api(status)) if status.code == 422 && is_immutable(&status) => {
            Ok(Observation::Immutable { live, fields: immutable_fields(&status) })
        }
        Err(error) => Err(refused(manifest, &error)),
    }
}

/// Whether its namespace or its kind is only made by this very deploy: then nobody can try it before.
fn comes_with_it(all: &[Manifest], manifest: &Manifest) -> bool {
    let name = manifest.name();
    let namespace = || {
        all.iter()
            .any(|other| other.kind() == "Namespace" && Some(other.own_name()) == name.namespace.as_deref())
    };
    let kind = || {
        all.iter().any(|other| {
            other.kind() == "CustomResourceDefinition"
                && other.body.pointer("/spec/names/kind").is_some_and(|kind| *kind == name.kind)
        })
    };
    (name.namespace.is_some() && namespace()) || kind()
}

async fn dry_run(api: &Api<DynamicObject>, manifest: &Manifest, force: bool) -> kube::Result<DynamicObject> {
    let parameters = PatchParams { force, ..PatchParams::apply(FIELD_MANAGER).dry_run().validation_strict() };
    api.patch(manifest.own_name(), &parameters, &Patch::Apply(&manifest.body)).await
}

/// An object as plain data.
pub fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

struct FieldConflict {
    manager: String,
    field: String,
}

fn conflicts(status: &Status) -> Vec<FieldConflict> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| FieldConflict {
            manager: cause.message.split('"').nth(1).unwrap_or(&cause.message).to_owned(),
            field: cause.field.trim_start_matches('.').to_owned(),
        })
        .collect()
}

fn conflict(manifest: &Manifest, conflicts: &[FieldConflict]) -> Fault {
    let told: Vec<String> = conflicts
        .iter()
        .filter(|conflict| !fields::is_legacy(&conflict.manager))
        .map(|conflict| format!("`{}` is set by `{}`", conflict.field, conflict.manager))
        .collect();
    let message = format!("{}: {}: another tool sets the same fields", manifest.origin, manifest.name());
    Fault::new(codes::FIELD_CONFLICT, message)
        .evidence(told)
        .help("take these fields out of the file, or take them over with `--force-conflicts`")
}

fn is_immutable(status: &Status) -> bool {
    const WORDS: [&str; 6] = [
        "immutable",
        "may not be changed",
        "may not change once set",
        "cannot be changed",
        "updates to statefulset spec",
        "pod updates may not change fields",
    ];
    WORDS.iter().any(|words| status.message.contains(words))
}

fn immutable_fields(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut fields: Vec<String> =
        causes.map(|cause| cause.field.clone()).filter(|field| !field.is_empty()).collect();
    fields.dedup();
    if fields.is_empty() { vec![status.message.clone()] } else { fields }
}

/// The cluster refuses an object: every cause on a line of its own.
fn refused(manifest: &Manifest, error: &Error) -> Fault {
    let attempted = format!("{}: {}", manifest.origin, manifest.name());
    let mut fault = Fault::of(&attempted, error);
    if let Error::Api(status) = error {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        fault.evidence = causes
            .map(|cause| match cause.field.as_str() {
                "" => cause.message.clone(),
                field => format!("{field}: {}", cause.message),
            })
            .collect();
    }
    fault
}

/// What is wanted, complete: every object with its namespace, and the mark of the release it belongs to.
#[must_use]
pub fn complete(cluster: &Cluster, manifests: &[Manifest], set: &str) -> Vec<Manifest> {
    let complete = |manifest: &Manifest| {
        let mut manifest = manifest.clone();
        if is_scaled(manifests, &manifest)
            && let Some(spec) = manifest.body.get_mut("spec").and_then(Value::as_object_mut)
        {
            spec.remove("replicas");
        }
        let namespace = cluster.namespace_of(&manifest);
        if let Some(body) = manifest.body.as_object_mut() {
            // Nobody wishes for a status; the server would refuse or ignore it.
            body.remove("status");
            if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
                match namespace {
                    Some(namespace) => drop(metadata.insert("namespace".to_owned(), namespace.into())),
                    None => drop(metadata.remove("namespace")),
                }
                for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
                    metadata.remove(field);
                }
                let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Default::default()));
                if labels.is_null() {
                    *labels = Value::Object(Default::default());
                }
                if let Some(labels) = labels.as_object_mut() {
                    labels.insert(PART_OF.to_owned(), set.into());
                }
            }
        }
        manifest
    };
    manifests.iter().map(complete).collect()
}

/// Whether an autoscaler of these files decides the number of replicas of a workload.
fn is_scaled(manifests: &[Manifest], workload: &Manifest) -> bool {
    let scalers = manifests.iter().filter(|manifest| manifest.kind() == "HorizontalPodAutoscaler");
    scalers.filter(|scaler| scaler.namespace() == workload.namespace()).any(|scaler| {
        let target = &scaler.body["spec"]["scaleTargetRef"];
        target["kind"] == workload.kind() && target["name"] == workload.own_name()
    })
}
