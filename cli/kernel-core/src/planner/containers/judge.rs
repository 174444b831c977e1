//! Judging what is there: which containers stay, which are replaced, started or removed, and why.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Member, Planner, Wanted, is_temporary};
use crate::container::{ContainerState, DesiredContainer, FoundContainer, id_of};
use crate::name::ServiceName;
use crate::plan::Cause;
use crate::planner::{PlanError, Replace};
use crate::unit::{Condition, ExitStatus, Target};

impl<'a> Planner<'a> {
    pub(super) fn check(&self) -> Result<(), PlanError> {
        let there = |name: &ServiceName| {
            self.wanted.iter().any(|wanted| wanted.item.name == *name)
                || self.world.containers.iter().any(|found| found.service == *name)
        };
        for wanted in &self.wanted {
            for needed in wanted.item.depends_on.iter().filter(|needed| needed.required) {
                if !there(&needed.name) {
                    let (unit, needs) = (wanted.item.name.clone(), needed.name.clone());
                    return Err(PlanError::MissingDependency { unit, needs });
                }
                let known = self
                    .wanted
                    .iter()
                    .find(|other| other.item.name == needed.name)
                    .and_then(|other| self.has_healthcheck(other.container));
                if needed.condition == Condition::Healthy && known == Some(false) {
                    let (unit, needs) = (wanted.item.name.clone(), needed.name.clone());
                    return Err(PlanError::NoHealthcheck { unit, needs });
                }
            }
        }
        let running = || self.wanted.iter().filter(|wanted| wanted.item.target == Target::Running);
        for volume in self.desired.volumes.iter().filter(|volume| volume.external) {
            let used = running().any(|wanted| wanted.container.volumes.contains(&volume.name));
            if used && !self.world.volumes.iter().any(|found| found.name == volume.name) {
                return Err(PlanError::MissingExternal { kind: "volume", name: volume.name.clone() });
            }
        }
        for network in self.desired.networks.iter().filter(|network| network.external) {
            let used =
                running().any(|wanted| wanted.container.networks.iter().any(|e| e.network == network.name));
            if used && !self.world.networks.iter().any(|found| found.name == network.name) {
                return Err(PlanError::MissingExternal { kind: "network", name: network.name.clone() });
            }
        }
        Ok(())
    }

    fn has_healthcheck(&self, container: &DesiredContainer) -> Option<bool> {
        container
            .has_healthcheck
            .or_else(|| self.world.images.get(&container.image).map(|image| image.has_healthcheck))
    }

    pub(super) fn find_renewed_networks(&mut self) -> Result<(), PlanError> {
        for network in self.desired.networks.iter().filter(|network| !network.external) {
            let used = self.wanted.iter().any(|wanted| {
                wanted.item.target == Target::Running
                    && wanted.container.networks.iter().any(|endpoint| endpoint.network == network.name)
            });
            let Some(found) = self.world.networks.iter().find(|found| found.name == network.name && used)
            else {
                continue;
            };
            if found.ours && found.key.as_deref() != Some(&network.key) {
                let reason = format!(
                    "it was made for the network `{}` of the file, not for `{}`",
                    found.key.as_deref().unwrap_or_default(),
                    network.key
                );
                return Err(PlanError::Foreign { kind: "network", name: network.name.clone(), reason });
            }
            if found.ours && found.hash.as_ref().is_some_and(|hash| *hash != network.hash) {
                self.renewed.insert(&network.name);
            }
        }
        Ok(())
    }

    pub(super) fn found(&self, service: &ServiceName) -> Vec<&'a FoundContainer> {
        let mut found: Vec<&FoundContainer> = self
            .world
            .containers
            .iter()
            .filter(|found| found.service == *service && !found.one_off)
            .collect();
        found.sort_by_key(|found| (found.number, found.name.len(), &found.name));
        found
    }

    pub(super) fn judge_all(&mut self) {
        for wanted in self.wanted.clone() {
            let members = match wanted.item.target {
                Target::Stopped => Vec::new(),
                Target::Running => self.judge(wanted),
            };
            self.members.insert(&wanted.item.name, members);
        }
    }

    fn judge(&mut self, wanted: Wanted<'a>) -> Vec<Member<'a>> {
        let container = wanted.container;
        let mut by_number: BTreeMap<u32, &FoundContainer> = BTreeMap::new();
        for found in self.found(&wanted.item.name) {
            // Shorter names come first: the real one before the one that was made to replace it.
            match by_number.entry(found.number) {
                Entry::Occupied(_) => self.unwanted.push((found, Cause::Interrupted)),
                Entry::Vacant(entry) => drop(entry.insert(found)),
            }
        }
        let mut members: Vec<Member<'_>> =
            by_number.into_values().map(|found| self.judge_found(wanted, found)).collect();
        let scale = usize::try_from(container.scale).unwrap_or(usize::MAX);
        // What is out of date goes first, then the highest numbers.
        members.sort_by_key(|member| (member.is_replaced(), member.number));
        for surplus in members.drain(scale.min(members.len())..) {
            self.unwanted.extend(surplus.found.map(|found| (found, Cause::Surplus)));
        }
        members.sort_by_key(|member| member.number);
        while members.len() < scale {
            let number = members.last().map_or(0, |member| member.number) + 1;
            members.push(Member {
                number,
                name: container.name_of(number),
                found: None,
                create: Some(Cause::NotFound),
                ends_first: false,
                start: Some(Cause::NotFound),
                again: false,
                paused: false,
                unnamed: false,
                unfinished: false,
            });
        }
        self.follow(wanted, &mut members);
        members
    }

    fn judge_found(&self, wanted: Wanted<'a>, found: &'a FoundContainer) -> Member<'a> {
        let name = wanted.container.name_of(found.number);
        let mut member = Member {
            number: found.number,
            unnamed: is_temporary(found, &name),
            name,
            found: Some(found),
            create: self.reason_to_replace(wanted, found),
            ends_first: wanted.container.networks.iter().any(|e| self.renewed.contains(e.network.as_str()))
                || found.state == ContainerState::Dead,
            start: None,
            again: false,
            paused: false,
            unfinished: false,
        };
        if member.create.is_some() {
            member.start.clone_from(&member.create);
            member.ends_first |= self.shares_what_ends_first(wanted.container);
            return member;
        }
        member.ends_first = false;
        let job = self.is_job(&wanted.item.name);
        if self.options.restart.contains(&wanted.item.name) {
            (member.start, member.again) = (Some(Cause::Requested), found.state.is_alive());
            return member;
        }
        match found.state {
            ContainerState::Created => member.start = Some(Cause::NotStarted),
            ContainerState::Stopped => member.start = Some(Cause::WasStopped),
            ContainerState::Finished => {}
            ContainerState::Exited(0) if job => {}
            ContainerState::Exited(code) => {
                let status = ExitStatus::Code(i32::try_from(code).unwrap_or(i32::MAX));
                member.start = Some(Cause::HasExited { status });
            }
            ContainerState::Ready if !job => {}
            ContainerState::Paused => (member.paused, member.unfinished) = (true, true),
            ContainerState::Ready
            | ContainerState::Starting
            | ContainerState::Unhealthy
            | ContainerState::Restarting => member.unfinished = true,
            ContainerState::Dead => {}
        }
        member
    }

    fn reason_to_replace(&self, wanted: Wanted<'a>, found: &FoundContainer) -> Option<Cause> {
        let container = wanted.container;
        let changed = |part: &str| Some(Cause::Changed { parts: vec![part.to_owned()] });
        if found.state == ContainerState::Dead {
            return Some(Cause::NotFound);
        }
        match self.options.replace(&wanted.item.name) {
            Replace::Never => return None,
            Replace::Always => return Some(Cause::Requested),
            Replace::Changed => {}
        }
        if let Some(moved) = container.shares.iter().find(|service| self.current_id(service).is_none()) {
            return Some(Cause::Follows { service: moved.clone() });
        }
        if found.hash != self.hash(container) {
            return changed("configuration");
        }
        if self.world.images.get(&container.image).is_some_and(|image| image.id != found.image) {
            return changed("image");
        }
        let connected = found.state.is_alive() || self.world.joins_at_create;
        let at_home = |name: &String| {
            let network = self.world.networks.iter().find(|network| network.name == *name);
            match (network, found.networks.get(name)) {
                // Until it runs, the engine may not say which one it is.
                (Some(network), Some(id)) => id.is_empty() || *id == network.id,
                (_, None) => !connected,
                (None, Some(_)) => false,
            }
        };
        let renewed = |name: &String| self.renewed.contains(name.as_str());
        if container.networks.iter().any(|e| renewed(&e.network) || !at_home(&e.network)) {
            return changed("networks");
        }
        if container.volumes.iter().any(|name| !found.volumes.iter().any(|mount| mount.name == *name)) {
            return changed("volumes");
        }
        None
    }

    fn shares_what_ends_first(&self, container: &DesiredContainer) -> bool {
        let ends_first = |service| self.members.get(service).is_some_and(|m| m.iter().any(|m| m.ends_first));
        container.shares.iter().any(ends_first)
    }

    /// The id of the container of a service that others share something with. `None`: it will be another one.
    pub(super) fn current_id(&self, service: &ServiceName) -> Option<&'a str> {
        match self.members.get(service) {
            Some(members) => {
                let first = members.first()?;
                first.found.filter(|_| first.create.is_none()).map(|found| found.id.as_str())
            }
            None => self.found(service).first().map(|found| found.id.as_str()),
        }
    }

    /// What the label of an up-to-date container says.
    pub(super) fn hash(&self, container: &DesiredContainer) -> String {
        let mut text = container.config.expose().to_owned();
        for service in &container.shares {
            text = text.replace(&id_of(service), self.current_id(service).unwrap_or_default());
        }
        hex::encode(Sha256::digest(text))
    }

    /// Starts again what has to be started again with something that is.
    fn follow(&self, wanted: Wanted<'a>, members: &mut [Member<'a>]) {
        let moved = |service: &&ServiceName| {
            self.members
                .get(service)
                .is_some_and(|members| members.iter().any(|member| member.is_replaced() || member.again))
        };
        let Some(service) = wanted.container.follows.iter().find(moved).filter(|_| self.options.start) else {
            return;
        };
        for member in members.iter_mut().filter(|member| member.create.is_none() && member.start.is_none()) {
            if member.found.is_some_and(|found| found.state.is_alive()) {
                member.start = Some(Cause::Follows { service: service.clone() });
                (member.again, member.paused, member.unfinished) = (true, false, false);
            }
        }
    }

    pub(super) fn judge_unwanted(&mut self) {
        let nothing_wanted = self.desired.items.is_empty();
        for found in &self.world.containers {
            let orphan = !self.desired.items.iter().any(|item| item.name == found.service)
                && !self.options.keep.contains(&found.service);
            let left_over = found.one_off && !found.state.is_alive();
            let unwanted = nothing_wanted && !self.options.spares(&found.service);
            if unwanted || (self.options.remove_orphans && (orphan || left_over)) {
                self.unwanted.push((found, Cause::NotWanted));
            }
        }
    }

    /// A unit whose end others wait for.
    pub(super) fn is_job(&self, name: &ServiceName) -> bool {
        self.conditions(name).contains(&Condition::Completed)
    }

    /// What the wanted units need of `name`.
    pub(super) fn conditions(&self, name: &ServiceName) -> BTreeSet<Condition> {
        self.wanted
            .iter()
            .filter(|wanted| wanted.item.target == Target::Running)
            .flat_map(|wanted| &wanted.item.depends_on)
            .filter(|needed| needed.name == *name)
            .map(|needed| needed.condition)
            .collect()
    }
}
