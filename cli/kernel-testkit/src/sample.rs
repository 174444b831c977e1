//! Units for tests: a name, needs, and how the unit behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::secret::Value;
use kernel_core::unit::{
    Condition, Dependency, DesiredItem, DesiredKind, DesiredProcess, Fingerprint, ProcessSpec, RestartPolicy,
    Target,
};

/// How a unit behaves once it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It becomes ready.
    Healthy,
    /// It ends with a failure each time.
    Crashes,
    /// It runs and never becomes ready.
    NeverReady,
    /// It does its work and ends with success.
    Completes,
}

impl Behaviour {
    /// What to do when it ends: only who should not end is started again.
    #[must_use]
    pub const fn restart(self) -> RestartPolicy {
        match self {
            Self::Completes => RestartPolicy::No,
            _ => RestartPolicy::Always,
        }
    }
}

/// A service name.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn name(text: &str) -> ServiceName {
    ServiceName::new(text).expect("a service name")
}

/// A unit for tests.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its name.
    pub name: ServiceName,
    /// Whom it needs, and how.
    pub needs: Vec<(ServiceName, Condition)>,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Something that can be changed about it.
    pub version: u32,
}

impl Sample {
    /// A healthy unit that needs others to be healthy.
    #[must_use]
    pub fn new(text: &str, needs: &[&str]) -> Self {
        let needs = needs.iter().map(|other| (name(other), Condition::Healthy)).collect();
        Self { name: name(text), needs, behaviour: Behaviour::Healthy, version: 1 }
    }

    /// The same with another behaviour.
    #[must_use]
    pub const fn that(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// The same in another version.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Its needs as a plan knows them.
    #[must_use]
    pub fn dependencies(&self) -> Vec<Dependency> {
        let dependency = |(name, condition): &(ServiceName, Condition)| Dependency {
            name: name.clone(),
            condition: *condition,
            required: true,
        };
        self.needs.iter().map(dependency).collect()
    }

    /// As a wanted unit of an engine that only plays: program and folder are never looked at.
    #[must_use]
    pub fn item(&self) -> DesiredItem {
        let version = self.version.to_string();
        let spec = ProcessSpec {
            program: format!("/nowhere/{}", self.name),
            arguments: Vec::new(),
            environment: BTreeMap::from([("VERSION".to_owned(), Value::Plain(version.clone()))]),
            directory: "/nowhere".to_owned(),
            ports: Vec::new(),
            readiness: None,
            restart: self.behaviour.restart(),
            stop_grace: Duration::from_secs(1),
        };
        let fingerprint = Fingerprint(BTreeMap::from([("environment".to_owned(), version)]));
        let process = DesiredProcess { spec, fingerprint, package: None };
        DesiredItem {
            name: self.name.clone(),
            kind: DesiredKind::Process(Box::new(process)),
            depends_on: self.dependencies(),
            target: Target::Running,
        }
    }
}

/// The project that all samples belong to.
pub(crate) fn project() -> ProjectName {
    ProjectName::new("test").expect("a project name")
}
