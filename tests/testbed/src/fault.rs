//! Faults on demand: what a test does to a part to see how others take it.
//!
//! `slow` and `cut` are done to the part's own end of the network; clients need not know. Everything is undone by
//! [`Fault::heal`], and by the next `up`.

use crate::container::{self, Once};
use crate::engine::Engine;
use crate::failure::{Failure, because};
use crate::part::{self, Part};

/// Where the base image has the program that shapes traffic.
const TC: &str = "/usr/sbin/tc";
/// How slow a slow part is: bits per second, shared by all its connections.
pub(crate) const SLOW: &str = "64kbit";

/// A part that things can be done to.
#[derive(Debug)]
pub struct Fault {
    engine: Engine,
    part: &'static Part,
}

impl Fault {
    /// The handle of a part by its name, such as `kafka`, of the testbed that this process's environment names.
    ///
    /// # Errors
    /// When there is no such part, or no Engine answers.
    pub async fn of(name: &str) -> Result<Self, Failure> {
        let cache = crate::cache::Cache::from_environment()?;
        let Some(part) = part::find(name) else {
            let names: Vec<&str> = part::PARTS.iter().map(|part| part.name).collect();
            return Err(Failure::new(format!("there is no part `{name}`"))
                .help(format!("one of {}", names.join(", "))));
        };
        match Engine::find(&cache).await {
            Some(engine) => Ok(Self { engine, part }),
            None => {
                Err(Failure::new("no Docker Engine answers")
                    .help("`cargo xtask testbed up` starts the testbed"))
            }
        }
    }

    /// Freezes its processes: connections stay open and nobody answers.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn pause(&self) -> Result<(), Failure> {
        let paused = self.engine.client().pause_container(&container::name(self.part)).await;
        paused.map_err(because(format!("pausing {}", self.part.name)))
    }

    /// Lets a frozen part go on.
    ///
    /// # Errors
    /// When it is not frozen.
    pub async fn resume(&self) -> Result<(), Failure> {
        let resumed = self.engine.client().unpause_container(&container::name(self.part)).await;
        resumed.map_err(because(format!("resuming {}", self.part.name)))
    }

    /// Asks it to end and waits until it did. Its data stay.
    ///
    /// # Errors
    /// When it can't be stopped.
    pub async fn stop(&self) -> Result<(), Failure> {
        let options = None::<bollard::query_parameters::StopContainerOptions>;
        let stopped = self.engine.client().stop_container(&container::name(self.part), options).await;
        stopped.map_err(because(format!("stopping {}", self.part.name)))
    }

    /// Ends it without asking.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&self) -> Result<(), Failure> {
        let options = None::<bollard::query_parameters::KillContainerOptions>;
        let killed = self.engine.client().kill_container(&container::name(self.part), options).await;
        killed.map_err(because(format!("killing {}", self.part.name)))
    }

    /// Starts a stopped part and waits until it is healthy.
    ///
    /// # Errors
    /// When it can't be started or does not become healthy.
    pub async fn start(&self) -> Result<(), Failure> {
        let options = None::<bollard::query_parameters::StartContainerOptions>;
        let started = self.engine.client().start_container(&container::name(self.part), options).await;
        started.map_err(because(format!("starting {}", self.part.name)))?;
        container::healthy(&self.engine, self.part).await
    }

    /// Stops it, starts it, waits until it is healthy.
    ///
    /// # Errors
    /// When one of the three fails.
    pub async fn restart(&self) -> Result<(), Failure> {
        container::restart(&self.engine, self.part).await
    }

    /// What it sends goes through a narrow pipe, 64 kbit/s.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn slow(&self) -> Result<(), Failure> {
        self.network_program(&[
            TC, "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", SLOW, "burst", "4kb", "latency",
            "2s",
        ])
        .await
    }

    /// Nothing it sends or should get arrives any more: packets vanish, connections hang.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn cut(&self) -> Result<(), Failure> {
        self.network_program(&["ip", "link", "set", "eth0", "down"]).await
    }

    /// Undoes [`Self::slow`] and [`Self::cut`], whichever was done.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn heal(&self) -> Result<(), Failure> {
        // `replace` with the kernel's own discipline works whether or not another one is there.
        self.network_program(&[TC, "qdisc", "replace", "dev", "eth0", "root", "pfifo"]).await?;
        self.network_program(&["ip", "link", "set", "eth0", "up"]).await?;
        // A link that was down has lost its routes.
        let network = self.gateway().await?;
        self.network_program(&["ip", "route", "replace", "default", "via", &network]).await
    }

    /// Runs a program in the part's network, from the part's image.
    async fn network_program(&self, words: &[&str]) -> Result<(), Failure> {
        let name = container::name(self.part);
        let inspected = self.engine.client().inspect_container(&name, None).await;
        let found = inspected.map_err(because(format!("looking at {}", self.part.name)))?;
        let config = found.config.unwrap_or_default();
        if !config.labels.is_some_and(|labels| self.engine.is_ours(&labels)) {
            return Err(Failure::new(format!("the container `{name}` is not this testbed's")));
        }
        let image = config.image.unwrap_or_default();
        let program = Once::new(&image, words).network(format!("container:{name}")).capability("NET_ADMIN");
        container::once(&self.engine, &program).await.map(drop)
    }

    async fn gateway(&self) -> Result<String, Failure> {
        let attempted = format!("looking at the network `{}`", container::NETWORK);
        let options = None::<bollard::query_parameters::InspectNetworkOptions>;
        let network = self
            .engine
            .client()
            .inspect_network(container::NETWORK, options)
            .await
            .map_err(because(&attempted))?;
        let configured = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let gateway = configured.into_iter().find_map(|range| range.gateway);
        gateway.ok_or_else(|| Failure::new(format!("{attempted}: it has no gateway")))
    }
}
