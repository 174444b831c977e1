//! Faults on demand: what a test does to a program of the cluster to see how others take it.

use std::time::Duration;

use rustix::process::Signal;

use super::{Cluster, Part};
use crate::failure::Failure;

impl Cluster {
    /// Freezes a program: its connections stay open and it answers nobody.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, part: Part) -> Result<(), Failure> {
        self.require_running(part)?;
        self.daemon(part)?.signal(Signal::STOP)
    }

    /// Lets a frozen program go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, part: Part) -> Result<(), Failure> {
        self.require_running(part)?;
        self.daemon(part)?.signal(Signal::CONT)
    }

    /// Asks a program to end, and returns when it did. Pods go on: only what the program does for them is missing. With
    /// [`Part::Containerd`] its pods end as well.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&self, part: Part) -> Result<(), Failure> {
        self.daemon(part)?.stop(part.grace()).await
    }

    /// Ends a program without asking.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&self, part: Part) -> Result<(), Failure> {
        self.daemon(part)?.signal(Signal::KILL)?;
        self.daemon(part)?.stop(Duration::ZERO).await
    }

    /// Starts a program that was stopped or killed. It runs when this returns; until it does its work, wait for what it
    /// is to bring about.
    ///
    /// # Errors
    /// When it runs already, or the cluster is not there.
    pub fn start(&self, part: Part) -> Result<(), Failure> {
        let daemon = self.daemon(part)?;
        if daemon.is_running() {
            return Err(Failure::new(format!("{} runs already", part.name())));
        }
        daemon.start(&mut part.command(&self.node, &self.layout)?)
    }

    /// What the cluster sends to this machine goes through a narrow pipe, 64 kbit/s.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn slow(&self) -> Result<(), Failure> {
        self.node.slow().await
    }

    /// Nothing goes between the cluster and this machine any more: packets vanish, connections hang. Inside it goes on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn cut(&self) -> Result<(), Failure> {
        self.node.cut().await
    }

    /// Undoes [`Self::slow`] and [`Self::cut`], whichever was done.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn heal(&self) -> Result<(), Failure> {
        self.node.heal().await
    }

    /// What a program said since it was started.
    ///
    /// # Errors
    /// When the folder of logs can't be made.
    pub fn said(&self, part: Part) -> Result<String, Failure> {
        Ok(self.daemon(part)?.said())
    }

    fn require_running(&self, part: Part) -> Result<(), Failure> {
        if self.daemon(part)?.is_running() {
            return Ok(());
        }
        Err(Failure::new(format!("{} does not run", part.name()))
            .help("`cargo xtask testbed up` starts the cluster"))
    }
}
