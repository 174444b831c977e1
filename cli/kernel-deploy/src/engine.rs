//! The cluster as an engine: each step is one write of an object, or one wait for what it is for.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kernel_core::exit::ExitCode;
use kernel_core::object::{ObjectAction, ObjectName};
use kernel_core::plan::{Action, Plan, Step, Subject};
use kernel_core::unit::Observed;
use kernel_engine::{Context, Engine, EngineError};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::runtime::wait::{await_condition, conditions::is_deleted};
use kube::{Api, Error, ResourceExt};
use serde_json::{Value, json};

use crate::applyset::ApplySet;
use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::happening::Happening;
use crate::lease::Lease;
use crate::live::{Live, Version};
use crate::manifest::Manifest;
use crate::observe::{Settings, value};
use crate::{FIELD_MANAGER, codes, fields};

/// Between two tries of a write that the cluster did not take.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Who holds a number of replicas that we no longer write, until an autoscaler or a person changes it.
const REPLICAS_MANAGER: &str = "kernel-replicas";

/// A cluster to which one release is written.
pub struct ClusterEngine {
    cluster: Cluster,
    desired: BTreeMap<ObjectName, Value>,
    set: ApplySet,
    settings: Settings,
    lease: Option<Arc<Lease>>,
    live: Live,
    written: Mutex<BTreeMap<ObjectName, Version>>,
}

impl ClusterEngine {
    /// Writes `desired`, which is complete, as long as `lease` is held.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        desired: &[Manifest],
        set: ApplySet,
        settings: Settings,
        lease: Option<Arc<Lease>>,
    ) -> Self {
        let desired = desired.iter().map(|manifest| (manifest.name(), manifest.body.clone())).collect();
        let live = Live::new(cluster.clone());
        Self { cluster, desired, set, settings, lease, live, written: Mutex::default() }
    }

    /// What happened to pods and to where services send requests, while somebody waited for them.
    #[must_use]
    pub fn timeline(&self) -> Vec<Happening> {
        self.live.timeline()
    }

    async fn write(&self, name: &ObjectName, action: &ObjectAction, context: &Context) -> Result<(), Fault> {
        let api = self.cluster.api(name);
        let api = api.ok_or_else(|| {
            let message = format!("the cluster no longer knows the kind `{}`", name.kind);
            Fault::new(codes::UNKNOWN_KIND, message).help("run the command again")
        })?;
        match action {
            ObjectAction::Create => self.put(&api, name, false, context).await,
            ObjectAction::Update { adopt, .. } => {
                if *adopt {
                    self.adopt(&api, name, context).await?;
                }
                self.put(&api, name, *adopt, context).await
            }
            ObjectAction::Replace { .. } => {
                self.remove(&api, name, PropagationPolicy::Foreground, context).await?;
                self.put(&api, name, false, context).await
            }
            ObjectAction::Delete => self.remove(&api, name, PropagationPolicy::Background, context).await,
            ObjectAction::Record { annotations } => {
                let body = self.set.parent_with(annotations);
                let parameters = PatchParams::apply(FIELD_MANAGER).force();
                let patch = Patch::Apply(&body);
                self.again("recording what belongs to the release", context, || {
                    api.patch(&name.name, &parameters, &patch)
                })
                .await
                .map(drop)
            }
            ObjectAction::AwaitReady => {
                let version = self.version(name);
                self.live.await_ready(name, version.as_ref(), context).await
            }
        }
    }

    /// What was written of an object here.
    fn version(&self, name: &ObjectName) -> Option<Version> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    async fn put(
        &self,
        api: &Api<DynamicObject>,
        name: &ObjectName,
        force: bool,
        context: &Context,
    ) -> Result<(), Fault> {
        let Some(body) = self.desired.get(name) else {
            let message = format!("{name} is in the plan and in no file");
            return Err(Fault::new(codes::PLAN_IS_OLD, message).help("make the plan anew"));
        };
        if fields::leaves_replicas(body) {
            self.keep_replicas(api, name, context).await?;
        }
        let force = force || self.settings.force_conflicts;
        let parameters = PatchParams { force, ..PatchParams::apply(FIELD_MANAGER).validation_strict() };
        let patch = Patch::Apply(body);
        let written = self
            .again(&format!("writing {name}"), context, || api.patch(&name.name, &parameters, &patch))
            .await?;
        let version = Version {
            uid: written.uid().unwrap_or_default(),
            generation: written.metadata.generation.unwrap_or_default(),
        };
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), version);
        Ok(())
    }

    /// A number of replicas that is no longer written would fall back to 1 the moment we let go of it (kubernetes#67135), and
    /// with it all pods but one. So another manager holds it at its live value first.
    async fn keep_replicas(
        &self,
        api: &Api<DynamicObject>,
        name: &ObjectName,
        context: &Context,
    ) -> Result<(), Fault> {
        let attempted = format!("handing over the replicas of {name}");
        let Some(live) = self.again(&attempted, context, || api.get_opt(&name.name)).await? else {
            return Ok(());
        };
        let live = value(&live);
        if !fields::owns(&live, &["spec", "replicas"]) {
            return Ok(());
        }
        let body = json!({
            "apiVersion": live["apiVersion"], "kind": live["kind"], "spec": {"replicas": live["spec"]["replicas"]},
        });
        let parameters = PatchParams::apply(REPLICAS_MANAGER);
        let patch = Patch::Apply(&body);
        self.again(&attempted, context, || api.patch(&name.name, &parameters, &patch)).await.map(drop)
    }

    /// Makes fields of earlier tools ours. Another's change in between is seen, and the whole is looked at again.
    async fn adopt(
        &self,
        api: &Api<DynamicObject>,
        name: &ObjectName,
        context: &Context,
    ) -> Result<(), Fault> {
        let attempted = format!("taking over {name}");
        for _ in 0..5 {
            let Some(live) = self.again(&attempted, context, || api.get_opt(&name.name)).await? else {
                return Ok(());
            };
            let live = value(&live);
            if !fields::has_legacy(&live) {
                return Ok(());
            }
            let patch = Patch::Merge(fields::fold(&live));
            let parameters = PatchParams::default();
            match self.try_again(context, || api.patch(&name.name, &parameters, &patch)).await {
                Ok(_) => return Ok(()),
                Err(Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(Fault::of(&attempted, &error)),
            }
        }
        Err(Fault::new(codes::FIELD_CONFLICT, format!("{attempted}: it changes all the time"))
            .help("see who changes it, and run the command again"))
    }

    async fn remove(
        &self,
        api: &Api<DynamicObject>,
        name: &ObjectName,
        policy: PropagationPolicy,
        context: &Context,
    ) -> Result<(), Fault> {
        let attempted = format!("removing {name}");
        let Some(live) = self.again(&attempted, context, || api.get_opt(&name.name)).await? else {
            return Ok(());
        };
        let uid = live.uid().unwrap_or_default();
        // Whoever made another of this name meanwhile keeps it.
        let preconditions = Preconditions { uid: Some(uid.clone()), ..Preconditions::default() };
        let parameters = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match self.try_again(context, || api.delete(&name.name, &parameters)).await {
            Ok(_) => {}
            Err(Error::Api(status)) if status.is_not_found() || status.code == 409 => return Ok(()),
            Err(error) => return Err(Fault::of(&attempted, &error)),
        }
        context.waiting("it is being removed");
        let gone = await_condition(api.clone(), &name.name, is_deleted(&uid)).await;
        gone.map(drop).map_err(|error| {
            Fault::new(codes::UNREACHABLE, format!("{attempted}: {error}")).help("run the command again")
        })
    }

    /// Tries until the cluster answers; the step's deadline is the end of it.
    async fn again<T, F: Future<Output = kube::Result<T>>>(
        &self,
        attempted: &str,
        context: &Context,
        call: impl FnMut() -> F,
    ) -> Result<T, Fault> {
        self.try_again(context, call).await.map_err(|error| Fault::of(attempted, &error))
    }

    async fn try_again<T, F: Future<Output = kube::Result<T>>>(
        &self,
        context: &Context,
        mut call: impl FnMut() -> F,
    ) -> kube::Result<T> {
        let mut pause = FIRST_PAUSE;
        loop {
            match call().await {
                Err(error) if may_pass(&error) && !context.cancellation().is_cancelled() => {
                    context.waiting(format!("the cluster does not answer: {error}"));
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                result => return result,
            }
        }
    }
}

/// Whether the same may succeed a moment later: nobody answers, too much is asked, or the cluster is just starting.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Api(status) => matches!(status.code, 429 | 500 | 502 | 503 | 504),
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => true,
        _ => false,
    }
}

#[async_trait]
impl Engine for ClusterEngine {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    /// What is there is seen by [`crate::observe()`]: objects of a cluster are no units.
    async fn observe(&self) -> Result<Observed, EngineError> {
        Ok(Observed::default())
    }

    async fn prepare(&self, _plan: &Plan) -> Result<(), EngineError> {
        match &self.lease {
            Some(lease) => lease.check().map_err(EngineError::from),
            None => Ok(()),
        }
    }

    async fn apply(&self, step: &Step, context: &Context) -> Result<(), EngineError> {
        let (Subject::Object(name), Action::Object(action)) = (&step.subject, &step.action) else {
            let message = format!("`{}` is nothing that is done to a cluster", step.action);
            return Err(EngineError::new(codes::REFUSED, ExitCode::Failed, message));
        };
        if let Some(lease) = &self.lease
            && !matches!(**action, ObjectAction::AwaitReady)
        {
            lease.check()?;
        }
        Ok(self.write(name, action, context).await?)
    }
}
