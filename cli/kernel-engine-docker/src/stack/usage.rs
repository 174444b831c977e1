//! `stats`: what containers take of the machine.

use std::collections::HashMap;

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::stream::{BoxStream, select_all};
use futures::{StreamExt, stream};
use kernel_engine::EngineError;
use serde::Serialize;

use super::{Member, Stack, Which};
use crate::trouble::trouble;

/// What a container takes at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// The container's name.
    pub name: String,
    /// What the Engine knows it by.
    pub id: String,
    /// Processor time since the sample before, in percent of one processor.
    pub cpu_percent: f64,
    /// Memory in bytes, without files that the system can drop.
    pub memory: u64,
    /// What it may take, in bytes; 0 when it is not bounded.
    pub memory_limit: u64,
    /// Bytes received by all networks since it started.
    pub received: u64,
    /// Bytes sent by all networks since it started.
    pub sent: u64,
    /// Bytes read from disks since it started.
    pub read: u64,
    /// Bytes written to disks since it started.
    pub written: u64,
    /// Processes and threads.
    pub processes: u64,
}

impl Stack {
    /// What the containers of these services take, of all without names; about once a second each with `follow`, else
    /// once. A container that ends has no further samples.
    ///
    /// # Errors
    /// When a service has no container, or the Engine can't be asked.
    pub async fn usage(
        &self,
        services: &[String],
        which: Which,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<Usage, EngineError>>, EngineError> {
        let members = self.members(services, which).await?;
        let streams = members.into_iter().map(|member| self.samples(member, follow));
        Ok(select_all(streams.collect::<Vec<_>>()).boxed())
    }

    fn samples(&self, member: Member, follow: bool) -> BoxStream<'static, Result<Usage, EngineError>> {
        let docker = self.docker.clone();
        let options = StatsOptionsBuilder::new().stream(follow).build();
        let samples = async move {
            let samples = docker.stats(&member.id, Some(options)).map(move |sample| match sample {
                Ok(sample) => Ok(of(&member, &sample)),
                Err(error) => Err(trouble(&format!("asking what `{}` takes", member.name), error)),
            });
            samples.boxed()
        };
        stream::once(samples).flatten().boxed()
    }
}

fn of(member: &Member, sample: &ContainerStatsResponse) -> Usage {
    let networks = sample.networks.iter().flatten().map(|(_, network)| network);
    let (received, sent) = networks.fold((0, 0), |(received, sent), network| {
        (received + network.rx_bytes.unwrap_or(0), sent + network.tx_bytes.unwrap_or(0))
    });
    let disks = sample.blkio_stats.as_ref().and_then(|stats| stats.io_service_bytes_recursive.as_ref());
    let moved = |what: &str| {
        let entries = disks.into_iter().flatten();
        let fitting =
            entries.filter(|entry| entry.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(what)));
        fitting.filter_map(|entry| entry.value).sum()
    };
    let memory = sample.memory_stats.as_ref();
    Usage {
        name: member.name.clone(),
        id: member.id.clone(),
        cpu_percent: percent(sample.precpu_stats.as_ref(), sample.cpu_stats.as_ref()),
        memory: memory.map(in_use).unwrap_or(0),
        memory_limit: memory.and_then(|memory| memory.limit).unwrap_or(0),
        received,
        sent,
        read: moved("read"),
        written: moved("write"),
        processes: sample.pids_stats.as_ref().and_then(|stats| stats.current).unwrap_or(0),
    }
}

/// The share of the container in what all processors did between two samples, times the processors.
fn percent(before: Option<&ContainerCpuStats>, now: Option<&ContainerCpuStats>) -> f64 {
    let total = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref().and_then(|usage| usage.total_usage);
    let (Some(before), Some(now)) = (before, now) else { return 0.0 };
    let own = total(now).unwrap_or(0).saturating_sub(total(before).unwrap_or(0));
    let (Some(from), Some(to)) = (before.system_cpu_usage, now.system_cpu_usage) else { return 0.0 };
    let all = to.saturating_sub(from);
    if all == 0 {
        return 0.0;
    }
    own as f64 / all as f64 * f64::from(now.online_cpus.unwrap_or(1)) * 100.0
}

/// Memory without the inactive files, which version 2 of control groups and version 1 name differently.
fn in_use(memory: &ContainerMemoryStats) -> u64 {
    let usage = memory.usage.unwrap_or(0);
    let files = |stats: &HashMap<String, u64>| {
        stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
    };
    usage.saturating_sub(memory.stats.as_ref().and_then(files).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerCpuUsage;

    use super::*;

    #[test]
    fn processor_time_is_in_percent_of_one_processor() {
        let at = |total, system| ContainerCpuStats {
            cpu_usage: Some(ContainerCpuUsage { total_usage: Some(total), ..Default::default() }),
            system_cpu_usage: Some(system),
            online_cpus: Some(4),
            ..Default::default()
        };
        // In one second of four processors, one of them did nothing but this.
        assert_eq!(percent(Some(&at(0, 0)), Some(&at(1_000, 4_000))), 100.0);
        // The first sample has nothing before it, a container that ended nothing after it.
        assert_eq!(percent(None, Some(&at(1_000, 4_000))), 0.0);
        assert_eq!(percent(Some(&at(5, 7)), Some(&at(5, 7))), 0.0);
    }

    #[test]
    fn files_that_can_be_dropped_do_not_count() {
        let memory = |name: &str| ContainerMemoryStats {
            usage: Some(100),
            stats: Some(HashMap::from([(name.to_owned(), 30)])),
            ..Default::default()
        };
        assert_eq!(in_use(&memory("inactive_file")), 70);
        assert_eq!(in_use(&memory("total_inactive_file")), 70);
        assert_eq!(in_use(&memory("something")), 100);
    }
}
