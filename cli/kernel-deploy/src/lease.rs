//! One deploy at a time: a Lease with a heartbeat. Whoever died is known by its silence, so a dead deploy never blocks;
//! whoever could not renew in time stops to write, so two never write at once.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Error};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::codes;
use crate::fault::Fault;

/// How long a holder may be silent before others take over.
const DURATION: Duration = Duration::from_secs(15);
/// How often it says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(4);

/// The right to deploy, for as long as it is held and its heart beats.
#[derive(Debug)]
pub struct Lease {
    api: Api<Object>,
    name: String,
    state: Arc<Mutex<State>>,
    heart: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    object: Object,
    renewed: Instant,
    lost: bool,
}

/// Told while the silence of another holder is listened to.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Who holds it.
    pub holder: String,
}

impl Lease {
    /// Takes the lease `name` for `holder`. When somebody holds it who may be dead, it is watched for a whole duration;
    /// `waiting` is told once.
    ///
    /// # Errors
    /// When somebody holds it who lives, or the cluster can't be asked.
    pub async fn acquire(
        cluster: &Cluster,
        name: &str,
        holder: &str,
        waiting: impl Fn(Waiting),
    ) -> Result<Self, Fault> {
        let api: Api<Object> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
        let failed = |error: &Error| Fault::of("taking the lock of the release", error);
        let mut watched: Option<(Option<MicroTime>, Instant)> = None;
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        loop {
            pace.tick().await;
            let seen = api.get_opt(name).await.map_err(|error| failed(&error))?;
            let spec = seen.as_ref().and_then(|lease| lease.spec.clone()).unwrap_or_default();
            let other = spec.holder_identity.filter(|other| !other.is_empty() && other != holder);
            if let Some(other) = other {
                match &watched {
                    // Clocks differ, so only what is seen from here counts.
                    None => {
                        watched = Some((spec.renew_time, Instant::now()));
                        waiting(Waiting { holder: other });
                        continue;
                    }
                    Some((time, _)) if *time != spec.renew_time => return Err(locked(name, &other)),
                    Some((_, since)) if since.elapsed() < DURATION => continue,
                    Some(_) => {}
                }
            }
            let transitions = spec.lease_transitions.unwrap_or_default() + 1;
            let wanted = lease(name, holder, transitions, seen.as_ref());
            let written = match &seen {
                None => api.create(&PostParams::default(), &wanted).await,
                Some(_) => api.replace(name, &PostParams::default(), &wanted).await,
            };
            match written {
                Ok(object) => return Ok(Self::held(api, name, holder, object)),
                // Somebody was faster: look again.
                Err(Error::Api(status)) if status.code == 409 => watched = None,
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    fn held(api: Api<Object>, name: &str, holder: &str, object: Object) -> Self {
        let state = Arc::new(Mutex::new(State { object, renewed: Instant::now(), lost: false }));
        let heart = tokio::spawn(beat(api.clone(), name.to_owned(), holder.to_owned(), Arc::clone(&state)));
        Self { api, name: name.to_owned(), state, heart }
    }

    /// To be asked before every write.
    ///
    /// # Errors
    /// When somebody else may hold it by now.
    pub fn check(&self) -> Result<(), Fault> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.lost && state.renewed.elapsed() < DURATION {
            return Ok(());
        }
        let message = "the lock of the release was lost: the cluster did not hear from us in time";
        Err(Fault::new(codes::LOCKED, message)
            .help("run the command again: it goes on where this one ended, or says who deploys now"))
    }

    /// Gives it back, so that the next one need not wait.
    pub async fn release(self) {
        self.heart.abort();
        let object = self.state.lock().unwrap_or_else(PoisonError::into_inner).object.clone();
        let transitions = object.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        let free = lease(&self.name, "", transitions, Some(&object));
        // When this fails, the next one waits for the silence.
        drop(self.api.replace(&self.name, &PostParams::default(), &free).await);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

async fn beat(api: Api<Object>, name: String, holder: String, state: Arc<Mutex<State>>) {
    let mut pace = tokio::time::interval(HEARTBEAT);
    pace.tick().await;
    loop {
        pace.tick().await;
        let seen = state.lock().unwrap_or_else(PoisonError::into_inner).object.clone();
        let transitions = seen.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        let wanted = lease(&name, &holder, transitions, Some(&seen));
        let begun = Instant::now();
        match api.replace(&name, &PostParams::default(), &wanted).await {
            Ok(object) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                (state.object, state.renewed) = (object, begun);
            }
            Err(Error::Api(status)) if status.code == 409 || status.code == 404 => {
                state.lock().unwrap_or_else(PoisonError::into_inner).lost = true;
                return;
            }
            // The cluster does not answer: the time runs out by itself.
            Err(_) => {}
        }
    }
}

fn lease(name: &str, holder: &str, transitions: i32, seen: Option<&Object>) -> Object {
    let now = MicroTime(Timestamp::now());
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        lease_transitions: Some(transitions),
        renew_time: Some(now.clone()),
        acquire_time: Some(now),
        ..LeaseSpec::default()
    };
    let metadata = seen.map_or_else(
        || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        |seen| seen.metadata.clone(),
    );
    Object { metadata, spec: Some(spec) }
}

fn locked(name: &str, holder: &str) -> Fault {
    Fault::new(codes::LOCKED, format!("{holder} is deploying now (lease {name})"))
        .help("wait until that deploy has ended, then run the command again")
}
