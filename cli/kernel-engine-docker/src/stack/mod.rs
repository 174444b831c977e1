//! What can be done with the containers of a Compose project that are there, whoever made them. They are found by the
//! labels that docker compose gives them too, so each tool serves the other's stacks.

mod containers;
mod copy;
mod events;
mod keep;
mod list;
mod process;
mod projects;
mod signal;
mod usage;
mod volumes;

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, PortSummaryTypeEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;
use kernel_core::container::NUMBER_LABEL;
use kernel_core::diagnostic::Code;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

use crate::address::Address;
use crate::trouble::trouble;
use crate::{ask, labels};

pub use containers::Listed;
pub use copy::Found;
pub use events::{StackEvent, Window};
pub use keep::CommitSettings;
pub use list::{ImageUse, Processes};
pub use process::{AttachSettings, ExecSettings, Output, Session};
pub use projects::{ProjectSummary, projects};
pub use signal::Ended;
pub use usage::Usage;
pub use volumes::ListedVolume;

/// A service has no container that the command could be about.
pub const NO_CONTAINER: Code = Code("K-STACK-001");
/// What was said about a container can't be understood.
pub const BAD_ARGUMENT: Code = Code("K-STACK-002");

/// How long the Engine may take to begin an answer, in seconds. Streams that go on are not bounded.
const LIMIT: u64 = 120;

/// The containers of one project on one Engine.
#[derive(Clone, Debug)]
pub struct Stack {
    docker: Docker,
    project: String,
}

/// A container of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the Engine knows it by.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Which of the service's containers it is, from one.
    pub number: u32,
    /// Whether it is one of `run`, beside those of the service.
    pub one_off: bool,
    /// One word of the Engine's: `running`, `exited`, `paused`, …
    pub state: String,
    /// The image by the name that it was made with.
    pub image: String,
    /// The image itself.
    pub image_id: String,
    /// The ports that can be reached from the Engine's machine.
    pub ports: Vec<Published>,
}

/// A port of a container and where it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The port in the container.
    pub private: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The address on the Engine's machine.
    pub ip: String,
    /// The port there.
    pub public: u16,
}

/// Which containers are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// Those of services that run.
    #[default]
    Running,
    /// Those of services, whatever their state.
    All,
    /// Those of `run` too.
    WithOneOff,
}

impl Stack {
    /// Of the Engine at an address.
    ///
    /// # Errors
    /// When no Engine answers there.
    pub async fn connect(address: &Address, project: &str) -> Result<Self, EngineError> {
        Ok(Self { docker: connect(address).await?, project: project.to_owned() })
    }

    /// The containers of these services, of all without names, by service and number.
    ///
    /// # Errors
    /// When the Engine can't be asked, or a service that was named has no such container: all of those at once.
    pub async fn members(&self, services: &[String], which: Which) -> Result<Vec<Member>, EngineError> {
        let found = self.summaries(which).await?;
        let mut members: Vec<Member> = found.into_iter().filter_map(member).collect();
        members.retain(|member| which == Which::WithOneOff || !member.one_off);
        if !services.is_empty() {
            self.check(services, &members, which)?;
            members.retain(|member| services.contains(&member.service));
        }
        members.sort_by(|one, other| (&one.service, one.number).cmp(&(&other.service, other.number)));
        Ok(members)
    }

    async fn summaries(&self, which: Which) -> Result<Vec<ContainerSummary>, EngineError> {
        let filters = HashMap::from([("label", vec![format!("{}={}", labels::PROJECT, self.project)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = ask::list(&self.docker, &options).await;
        let mut found = found.map_err(|error| trouble("listing the project's containers", error))?;
        // Podman does not count one that is paused among those that run.
        found.retain(|container| which != Which::Running || runs(container));
        Ok(found)
    }

    /// The running container of a service: the one with this number, without it the first.
    ///
    /// # Errors
    /// When there is none, or the Engine can't be asked.
    pub async fn member(&self, service: &str, number: Option<u32>) -> Result<Member, EngineError> {
        self.pick(service, number, Which::Running).await
    }

    /// As [`member`](Self::member), whether it runs or not.
    ///
    /// # Errors
    /// When there is none, or the Engine can't be asked.
    pub async fn member_in_any_state(
        &self,
        service: &str,
        number: Option<u32>,
    ) -> Result<Member, EngineError> {
        self.pick(service, number, Which::All).await
    }

    async fn pick(&self, service: &str, number: Option<u32>, which: Which) -> Result<Member, EngineError> {
        let members = self.members(&[service.to_owned()], which).await?;
        let numbers: Vec<String> = members.iter().map(|member| member.number.to_string()).collect();
        let mut fitting =
            members.into_iter().filter(|member| number.is_none_or(|number| member.number == number));
        fitting.next().ok_or_else(|| {
            let number = number.unwrap_or_default();
            let message = format!("`{service}` has no container with number {number}");
            EngineError::new(NO_CONTAINER, ExitCode::Usage, message)
                .help(format!("its containers have the numbers {}", numbers.join(", ")))
        })
    }

    fn check(&self, services: &[String], members: &[Member], which: Which) -> Result<(), EngineError> {
        let there: BTreeSet<&str> = members.iter().map(|member| &*member.service).collect();
        let missing: Vec<String> = services
            .iter()
            .filter(|service| !there.contains(service.as_str()))
            .map(|service| format!("`{service}`"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let state = if which == Which::Running { "running " } else { "" };
        let message = format!("project `{}` has no {state}container of {}", self.project, missing.join(", "));
        let names: Vec<&str> = there.into_iter().collect();
        let help = if names.is_empty() {
            "`kernel up` makes and starts containers".to_owned()
        } else {
            format!("there are containers of: {}", names.join(", "))
        };
        Err(EngineError::new(NO_CONTAINER, ExitCode::Failed, message).help(help))
    }
}

async fn connect(address: &Address) -> Result<Docker, EngineError> {
    Ok(address.connect(LIMIT).await?.0)
}

fn runs(container: &ContainerSummary) -> bool {
    use ContainerSummaryStateEnum as State;
    matches!(container.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING))
}

fn member(container: ContainerSummary) -> Option<Member> {
    let mut labels = container.labels.unwrap_or_default();
    let ports = container.ports.unwrap_or_default().into_iter().filter_map(|port| {
        let protocol = match port.typ {
            Some(PortSummaryTypeEnum::UDP) => "udp",
            Some(PortSummaryTypeEnum::SCTP) => "sctp",
            _ => "tcp",
        };
        Some(Published {
            private: port.private_port,
            protocol: protocol.to_owned(),
            ip: port.ip.unwrap_or_default(),
            public: port.public_port?,
        })
    });
    Some(Member {
        id: container.id?,
        name: container.names?.into_iter().next()?.trim_start_matches('/').to_owned(),
        service: labels.remove(labels::SERVICE)?,
        number: labels.get(NUMBER_LABEL).and_then(|number| number.parse().ok()).unwrap_or(1),
        one_off: labels.get(labels::ONE_OFF).is_some_and(|value| value == "True"),
        state: container.state.map(|state| state.to_string()).unwrap_or_default(),
        image: container.image.unwrap_or_default(),
        image_id: container.image_id.unwrap_or_default(),
        ports: ports.collect(),
    })
}
