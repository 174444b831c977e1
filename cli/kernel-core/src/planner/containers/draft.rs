//! Drafting steps: from the verdicts to single API calls, each after those that it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::{Draft, Member, Planner, Wanted, temporary};
use crate::container::{
    Call, ContainerState, CreateContainer, DesiredContainer, Endpoint, FoundContainer, HASH_LABEL, Hook,
    IMAGE_LABEL, NUMBER_LABEL, Pull, REPLACE_LABEL,
};
use crate::name::ServiceName;
use crate::plan::{Action, Cause, Step, StepId, Subject};
use crate::planner::PlanError;
use crate::unit::{Condition, Target};

impl<'a> Planner<'a> {
    pub(super) fn add(
        &mut self,
        subject: Subject,
        action: impl Into<Action>,
        cause: Cause,
        after: Vec<usize>,
        deadline: Duration,
    ) -> usize {
        self.drafts.push(Draft { subject, action: action.into(), cause, after, deadline });
        self.drafts.len() - 1
    }

    pub(super) fn draft(&mut self) -> Result<(), PlanError> {
        let pulls = self.draft_pulls()?;
        let volumes = self.draft_volumes();
        let mut stopping: Vec<(&'a FoundContainer, Cause, Vec<usize>)> = Vec::new();
        // Networks that are made again need their members gone, and their members need them: so both have a number
        // before either knows all that comes before it.
        let networks = self.draft_networks();
        for wanted in self.wanted.clone() {
            for index in 0..self.members.get(&wanted.item.name).map_or(0, Vec::len) {
                self.draft_create(wanted, index, &pulls, &volumes, &networks, &mut stopping);
            }
            if wanted.item.target == Target::Stopped {
                let alive = self.found(&wanted.item.name).into_iter().filter(|found| found.state.is_alive());
                stopping.extend(alive.map(|found| (found, Cause::Requested, Vec::new())));
            }
        }
        for (found, cause) in std::mem::take(&mut self.unwanted) {
            if found.state.is_alive() {
                stopping.push((found, cause.clone(), Vec::new()));
            }
            self.unwanted.push((found, cause));
        }
        self.draft_stops(stopping);
        self.finish_networks(&networks);
        let removed = self.draft_unwanted();
        if self.desired.items.is_empty() {
            self.draft_rest(&removed);
        }
        for wanted in self.wanted.clone() {
            self.draft_starts(wanted);
        }
        Ok(())
    }

    fn draft_pulls(&mut self) -> Result<BTreeMap<&'a str, usize>, PlanError> {
        let mut pulls = BTreeMap::new();
        for wanted in self.wanted.clone() {
            let container = wanted.container;
            let creates =
                self.members.get(&wanted.item.name).is_some_and(|m| m.iter().any(|m| m.create.is_some()));
            if !creates || self.world.images.contains_key(&container.image) {
                continue;
            }
            if matches!(container.pull, Pull::Never) {
                let (unit, image) = (wanted.item.name.clone(), container.image.clone());
                return Err(PlanError::MissingImage { unit, image });
            }
            if !container.builds && !pulls.contains_key(container.image.as_str()) {
                let (image, platform) = (container.image.clone(), container.platform.clone());
                let call = Call::PullImage { image: image.clone(), platform };
                let deadline = self.options.deadlines.build;
                let step = self.add(Subject::Image(image), call, Cause::NotFound, Vec::new(), deadline);
                pulls.insert(container.image.as_str(), step);
            }
        }
        Ok(pulls)
    }

    fn draft_volumes(&mut self) -> BTreeMap<&'a str, usize> {
        let mut steps = BTreeMap::new();
        for volume in self.desired.volumes.iter().filter(|volume| !volume.external) {
            let used = self.wanted.iter().any(|wanted| {
                wanted.container.volumes.contains(&volume.name) && wanted.item.target == Target::Running
            });
            if used && !self.world.volumes.iter().any(|found| found.name == volume.name) {
                let call = Call::CreateVolume { body: volume.body.clone() };
                let subject = Subject::Volume(volume.name.clone());
                let step = self.add(subject, call, Cause::NotFound, Vec::new(), self.call_deadline());
                steps.insert(volume.name.as_str(), step);
            }
        }
        steps
    }

    fn draft_networks(&mut self) -> BTreeMap<&'a str, usize> {
        let mut steps = BTreeMap::new();
        for network in self.desired.networks.iter().filter(|network| !network.external) {
            let used = self.wanted.iter().any(|wanted| {
                wanted.container.networks.iter().any(|endpoint| endpoint.network == network.name)
                    && wanted.item.target == Target::Running
            });
            let found = self.world.networks.iter().find(|found| found.name == network.name);
            let renewed = self.renewed.contains(network.name.as_str());
            if !used || (found.is_some() && !renewed) {
                continue;
            }
            let subject = || Subject::Network(network.name.clone());
            let deadline = self.call_deadline();
            let changed = || Cause::Changed { parts: vec!["configuration".to_owned()] };
            let mut after = Vec::new();
            if let Some(found) = found {
                let call = Call::RemoveNetwork { id: found.id.clone() };
                after.push(self.add(subject(), call, changed(), Vec::new(), deadline));
            }
            let cause = if renewed { changed() } else { Cause::NotFound };
            let call = Call::CreateNetwork { name: network.name.clone(), body: network.body.clone() };
            let step = self.add(subject(), call, cause, after, deadline);
            steps.insert(network.name.as_str(), step);
        }
        steps
    }

    /// A network that is made again is removed once nothing that is connected to it runs.
    fn finish_networks(&mut self, networks: &BTreeMap<&'a str, usize>) {
        for name in self.renewed.clone() {
            let Some(create) = networks.get(name) else { continue };
            let connected = self.world.containers.iter().filter(|found| found.networks.contains_key(name));
            let stops: Vec<usize> =
                connected.filter_map(|found| self.stops.get(found.id.as_str())).copied().collect();
            let removes = self.drafts.get(*create).map(|draft| draft.after.clone()).unwrap_or_default();
            for remove in removes {
                if let Some(draft) = self.drafts.get_mut(remove) {
                    draft.after.extend(&stops);
                }
            }
        }
    }

    fn draft_create(
        &mut self,
        wanted: Wanted<'a>,
        index: usize,
        pulls: &BTreeMap<&'a str, usize>,
        volumes: &BTreeMap<&'a str, usize>,
        networks: &BTreeMap<&'a str, usize>,
        stopping: &mut Vec<(&'a FoundContainer, Cause, Vec<usize>)>,
    ) {
        let Some(member) = self.members.get(&wanted.item.name).and_then(|members| members.get(index)) else {
            return;
        };
        let Some(cause) = member.create.clone() else {
            if let Some(found) = member.found.filter(|_| member.again) {
                // Whoever is started again says why itself.
                let cause = member.start.clone().unwrap_or(Cause::Requested);
                stopping.push((found, cause, Vec::new()));
            }
            return;
        };
        let (found, ends_first, own_name) = (member.found, member.ends_first, member.name.clone());
        let rolls = self.rolls(member);
        let call = self.create_call(wanted.container, member);
        let name = call.name.clone();
        let mut after: Vec<usize> = pulls.get(wanted.container.image.as_str()).copied().into_iter().collect();
        after.extend(wanted.container.volumes.iter().filter_map(|volume| volumes.get(volume.as_str())));
        after.extend(wanted.container.networks.iter().filter_map(|e| networks.get(e.network.as_str())));
        for service in &wanted.container.shares {
            after.extend(self.created.get(service).into_iter().flatten());
        }
        let subject = Subject::Service(wanted.item.name.clone());
        let call = Call::CreateContainer(Box::new(call));
        let step = self.add(subject.clone(), call, cause.clone(), after, self.call_deadline());
        self.created.entry(&wanted.item.name).or_default().push(step);
        if !self.world.joins_at_create {
            for endpoint in wanted.container.networks.iter().skip(1) {
                let call = connect_call(name.clone(), endpoint, &own_name);
                let connect =
                    self.add(subject.clone(), call, cause.clone(), vec![step], self.call_deadline());
                self.created.entry(&wanted.item.name).or_default().push(connect);
            }
        }
        if let Some(found) = found.filter(|found| found.state.is_alive() && !rolls) {
            let after = if ends_first { Vec::new() } else { vec![step] };
            stopping.push((found, cause, after));
        }
    }

    fn create_call(&self, container: &DesiredContainer, member: &Member<'_>) -> CreateContainer {
        let name = member.found.map_or_else(|| member.name.clone(), |found| temporary(found, &member.name));
        let mut body = container.body.clone();
        let image = self.world.images.get(&container.image);
        let labels: [(&str, Option<String>); 4] = [
            (NUMBER_LABEL, Some(member.number.to_string())),
            (HASH_LABEL, container.shares.is_empty().then(|| self.hash(container))),
            (IMAGE_LABEL, image.map(|image| image.id.clone())),
            (REPLACE_LABEL, member.found.map(|_| member.name.clone())),
        ];
        let joined = if self.world.joins_at_create { usize::MAX } else { 1 };
        let endpoints: Map<String, Json> = container
            .networks
            .iter()
            .take(joined)
            .map(|endpoint| {
                let mut settings = endpoint.settings.expose().clone();
                name_first(&mut settings, &member.name);
                (endpoint.network.clone(), settings)
            })
            .collect();
        let inherited = self.inherited(container, member.found);
        if let Some(top) = body.expose_mut().as_object_mut() {
            if let Some(known) = top.entry("Labels").or_insert_with(|| json!({})).as_object_mut() {
                for (label, value) in labels {
                    if let Some(value) = value {
                        known.insert(label.to_owned(), Json::String(value));
                    }
                }
            }
            if !endpoints.is_empty() {
                top.insert("NetworkingConfig".to_owned(), json!({ "EndpointsConfig": endpoints }));
            }
            if let Some(host) = top.get_mut("HostConfig").and_then(Json::as_object_mut)
                && !inherited.is_empty()
            {
                let mounts = host.entry("Mounts").or_insert_with(|| json!([]));
                if let Some(mounts) = mounts.as_array_mut() {
                    mounts.retain(|mount| {
                        !inherited.iter().any(|kept| kept.get("Target") == mount.get("Target"))
                    });
                    mounts.extend(inherited);
                }
            }
        }
        let shares = container
            .shares
            .iter()
            .map(|service| (service.clone(), self.name_to_share_with(service)))
            .collect();
        CreateContainer {
            name,
            image: container.image.clone(),
            platform: container.platform.clone(),
            body,
            shares,
            config: (!container.shares.is_empty()).then(|| container.config.clone()),
        }
    }

    /// Volumes without a name go over to the container that replaces theirs.
    fn inherited(&self, container: &DesiredContainer, found: Option<&FoundContainer>) -> Vec<Json> {
        if self.options.renew_volumes {
            return Vec::new();
        }
        let by_image = self.world.images.get(&container.image).map(|image| &image.volumes);
        let wanted = |target: &String| {
            container.anonymous.contains(target) || by_image.is_some_and(|by_image| by_image.contains(target))
        };
        let mounts = found.into_iter().flat_map(|found| &found.volumes);
        mounts
            .filter(|mount| mount.is_anonymous() && wanted(&mount.target))
            .map(|mount| {
                json!({
                    "Type": "volume",
                    "Source": mount.name,
                    "Target": mount.target,
                    "ReadOnly": mount.read_only,
                })
            })
            .collect()
    }

    /// What the container is called when one that shares something with it is created.
    fn name_to_share_with(&self, service: &ServiceName) -> String {
        let member = self.members.get(service).and_then(|members| members.first());
        match member {
            Some(Member { found: Some(found), create: Some(_), name, .. }) => temporary(found, name),
            Some(Member { found: Some(found), .. }) => found.id.clone(),
            Some(member) => member.name.clone(),
            None => self.current_id(service).unwrap_or_default().to_owned(),
        }
    }

    /// Whoever needs a unit ends before it.
    fn draft_stops(&mut self, stopping: Vec<(&'a FoundContainer, Cause, Vec<usize>)>) {
        let mut open = stopping;
        while !open.is_empty() {
            let needed =
                |found: &FoundContainer| open.iter().any(|other| other.0.depends_on.contains(&found.service));
            // A circle among what was found must not stop us: then whoever is first goes first.
            let next = open.iter().position(|(found, ..)| !needed(found)).unwrap_or(0);
            let (found, cause, mut after) = open.remove(next);
            if self.stops.contains_key(found.id.as_str()) {
                continue;
            }
            for other in self.world.containers.iter().filter(|o| o.depends_on.contains(&found.service)) {
                after.extend(self.stops.get(other.id.as_str()));
            }
            after = self.draft_pre_stop(found, &cause, after);
            // Without another wish the Engine knows the container's own time.
            let grace = self.options.grace;
            let deadline = self.stop_deadline(found);
            let call = Call::StopContainer { container: found.id.clone(), name: found.name.clone(), grace };
            let step = self.add(Subject::Service(found.service.clone()), call, cause, after, deadline);
            self.stops.insert(&found.id, step);
        }
    }

    /// What runs in a container once it was started, one after the other; the last step's number. `container`: its name
    /// for the engine, and for people.
    pub(super) fn draft_post_start(
        &mut self,
        wanted: Wanted<'a>,
        container: (&str, &str),
        cause: &Cause,
        start: usize,
    ) -> usize {
        let subject = Subject::Service(wanted.item.name.clone());
        wanted.container.post_start.iter().fold(start, |before, hook| {
            let call = hook_call(container, hook);
            self.add(subject.clone(), call, cause.clone(), vec![before], self.options.deadlines.hook)
        })
    }

    /// What runs in a container before it is stopped; what the stop comes after.
    pub(super) fn draft_pre_stop(
        &mut self,
        found: &FoundContainer,
        cause: &Cause,
        after: Vec<usize>,
    ) -> Vec<usize> {
        use ContainerState::{Ready, Starting, Unhealthy};
        let runs = matches!(found.state, Ready | Starting | Unhealthy) && !found.one_off;
        let hooks = self.options.pre_stop.get(&found.service).filter(|_| runs);
        let hooks: Vec<Hook> = hooks.into_iter().flatten().cloned().collect();
        hooks.iter().fold(after, |after, hook| {
            let call = hook_call((&found.id, &found.name), hook);
            let subject = Subject::Service(found.service.clone());
            vec![self.add(subject, call, cause.clone(), after, self.options.deadlines.hook)]
        })
    }

    pub(super) fn stop_deadline(&self, found: &FoundContainer) -> Duration {
        let most = self.options.grace.or(found.stop_grace).unwrap_or(Duration::from_secs(10));
        most + self.options.deadlines.stop
    }

    pub(super) fn draft_remove(
        &mut self,
        found: &'a FoundContainer,
        cause: Cause,
        mut after: Vec<usize>,
    ) -> usize {
        after.extend(self.stops.get(found.id.as_str()));
        let call = Call::RemoveContainer { container: found.id.clone(), name: found.name.clone() };
        let deadline = self.options.deadlines.remove.max(self.call_deadline());
        self.add(Subject::Service(found.service.clone()), call, cause, after, deadline)
    }

    fn draft_unwanted(&mut self) -> Vec<usize> {
        let mut removed = Vec::new();
        for (found, cause) in std::mem::take(&mut self.unwanted) {
            let step = self.draft_remove(found, cause, Vec::new());
            // What an interrupted replacement left may have the name that the next one needs.
            for draft in &mut self.drafts {
                let creates = matches!(&draft.action, Action::Call(call)
                    if matches!(&**call, Call::CreateContainer(create) if create.name == found.name));
                if creates {
                    draft.after.push(step);
                }
            }
            removed.push(step);
        }
        removed
    }

    /// When nothing is wanted: networks, and volumes when asked to; but for those of containers that stay.
    fn draft_rest(&mut self, removed: &[usize]) {
        let (staying, going): (Vec<&FoundContainer>, Vec<&FoundContainer>) =
            self.world.containers.iter().partition(|found| self.options.spares(&found.service));
        for network in self.world.networks.iter().filter(|network| network.ours) {
            if staying.iter().any(|found| found.networks.contains_key(&network.name)) {
                continue;
            }
            let call = Call::RemoveNetwork { id: network.id.clone() };
            let subject = Subject::Network(network.name.clone());
            self.add(subject, call, Cause::NotWanted, removed.to_vec(), self.call_deadline());
        }
        if !self.options.remove_data {
            return;
        }
        let mounts =
            |found: &&FoundContainer, name: &String| found.volumes.iter().any(|mount| mount.name == *name);
        // The data of a service that stays is not touched, also where the service has no container now.
        let goes = |name: &&String| {
            self.options.only.is_none()
                || (going.iter().any(|found| mounts(found, name))
                    && !staying.iter().any(|found| mounts(found, name)))
        };
        let named = self.world.volumes.iter().filter(|volume| volume.ours).map(|volume| &volume.name);
        let named = named.filter(goes);
        let mounted = going.iter().flat_map(|found| &found.volumes);
        let anonymous = mounted.filter(|mount| mount.is_anonymous()).map(|mount| &mount.name);
        let all: BTreeSet<&String> = named.chain(anonymous).collect();
        for name in all {
            let call = Call::RemoveVolume { name: name.clone() };
            let subject = Subject::Volume(name.clone());
            self.add(subject, call, Cause::NotWanted, removed.to_vec(), self.call_deadline());
        }
    }

    fn draft_starts(&mut self, wanted: Wanted<'a>) {
        let Some(members) = self.members.remove(&wanted.item.name) else { return };
        let subject = Subject::Service(wanted.item.name.clone());
        let mut busy = false;
        for member in &members {
            let mut before: Vec<usize> = Vec::new();
            let created = self.created.get(&wanted.item.name).cloned().unwrap_or_default();
            if let Some(cause) = &member.create {
                before.extend(&created);
                if let Some(found) = member.found.filter(|_| self.rolls(member)) {
                    // One after the other: as many as before serve at any time.
                    before.extend(self.starts.get(&wanted.item.name).into_iter().flatten());
                    let last = self.draft_rolling(wanted, (found, &member.name), cause, before);
                    self.starts.entry(&wanted.item.name).or_default().push(last);
                    busy = true;
                    continue;
                }
                if let Some(found) = member.found {
                    let removed = self.draft_remove(found, cause.clone(), before.clone());
                    before.push(removed);
                    let call = Call::RenameContainer {
                        container: temporary(found, &member.name),
                        name: member.name.clone(),
                    };
                    let after = std::mem::take(&mut before);
                    before.push(self.add(subject.clone(), call, cause.clone(), after, self.call_deadline()));
                }
            } else if let Some(found) = member.found {
                if member.unnamed {
                    let call =
                        Call::RenameContainer { container: found.id.clone(), name: member.name.clone() };
                    let step =
                        self.add(subject.clone(), call, Cause::Interrupted, Vec::new(), self.call_deadline());
                    before.push(step);
                }
                before.extend(self.draft_missing_connections(wanted, found, &subject));
                before.extend(self.stops.get(found.id.as_str()).filter(|_| member.again));
            }
            if !self.options.start {
                continue;
            }
            busy |= member.unfinished || member.start.is_some();
            let container = member.name.clone();
            if let Some(cause) = &member.start {
                if !wanted.container.files.is_empty() {
                    let files = wanted.container.files.clone();
                    let call = Call::CopyFiles { container: container.clone(), files };
                    let step =
                        self.add(subject.clone(), call, cause.clone(), before.clone(), self.call_deadline());
                    before.push(step);
                }
                self.after_dependencies(wanted, &mut before);
                let call = Call::StartContainer { container: container.clone() };
                let step = self.add(subject.clone(), call, cause.clone(), before, self.call_deadline());
                let step = self.draft_post_start(wanted, (&container, &container), cause, step);
                self.starts.entry(&wanted.item.name).or_default().push(step);
            } else if member.paused {
                let call = Call::UnpauseContainer { container };
                let step = self.add(subject.clone(), call, Cause::NotReady, before, self.call_deadline());
                self.starts.entry(&wanted.item.name).or_default().push(step);
            }
        }
        if busy {
            self.draft_awaits(wanted, &subject);
        }
        self.members.insert(&wanted.item.name, members);
    }

    /// An older engine takes one network when a container is created; the others were to follow.
    fn draft_missing_connections(
        &mut self,
        wanted: Wanted<'a>,
        found: &FoundContainer,
        subject: &Subject,
    ) -> Vec<usize> {
        if self.world.joins_at_create || found.state.is_alive() {
            return Vec::new();
        }
        let missing = wanted.container.networks.iter().filter(|e| !found.networks.contains_key(&e.network));
        let mut steps = Vec::new();
        for endpoint in missing {
            let own_name = wanted.container.name_of(found.number);
            let call = connect_call(found.id.clone(), endpoint, &own_name);
            let cause = Cause::Changed { parts: vec!["networks".to_owned()] };
            steps.push(self.add(subject.clone(), call, cause, Vec::new(), self.call_deadline()));
        }
        steps
    }

    pub(super) fn after_dependencies(&self, wanted: Wanted<'a>, before: &mut Vec<usize>) {
        for needed in &wanted.item.depends_on {
            match needed.condition {
                Condition::Started => before.extend(self.starts.get(&needed.name).into_iter().flatten()),
                condition => before.extend(self.awaits.get(&(&needed.name, condition))),
            }
        }
    }

    fn draft_awaits(&mut self, wanted: Wanted<'a>, subject: &Subject) {
        let mut conditions = self.conditions(&wanted.item.name);
        conditions.remove(&Condition::Started);
        if self.options.wait && conditions.is_empty() {
            conditions.insert(Condition::Healthy);
        }
        for condition in conditions {
            let after = self.starts.get(&wanted.item.name).cloned().unwrap_or_default();
            let cause = if after.is_empty() { Cause::NotReady } else { Cause::Started };
            let deadline = self.options.deadlines.condition;
            let step = self.add(subject.clone(), Action::Await { condition }, cause, after, deadline);
            self.awaits.insert((&wanted.item.name, condition), step);
        }
    }

    /// A call of an engine that is busy or slow may take a while, and none may take for ever.
    pub(super) fn call_deadline(&self) -> Duration {
        self.options.deadlines.start.max(Duration::from_secs(60))
    }

    /// The steps with their numbers: each after all that come before it, else as they were written down.
    pub(super) fn ordered(self) -> Vec<Step> {
        let mut open: BTreeMap<usize, Draft> = self.drafts.into_iter().enumerate().collect();
        let mut numbers: BTreeMap<usize, StepId> = BTreeMap::new();
        let mut steps = Vec::with_capacity(open.len());
        while !open.is_empty() {
            let free = open.iter().find(|(_, draft)| draft.after.iter().all(|step| !open.contains_key(step)));
            // There is no circle: whatever comes before a step was decided before it. If there ever is one, the plan
            // is carried out in the order in which it was written.
            let next = free.or_else(|| open.iter().next()).map(|(index, _)| *index);
            let Some((index, draft)) = next.and_then(|index| open.remove_entry(&index)) else { break };
            let id = StepId(u32::try_from(steps.len() + 1).unwrap_or(u32::MAX));
            numbers.insert(index, id);
            let after: BTreeSet<StepId> =
                draft.after.iter().filter_map(|step| numbers.get(step)).copied().collect();
            steps.push(Step {
                id,
                subject: draft.subject,
                action: draft.action,
                cause: draft.cause,
                after: after.into_iter().collect(),
                deadline: draft.deadline,
            });
        }
        steps
    }
}

fn hook_call((container, name): (&str, &str), hook: &Hook) -> Call {
    Call::RunHook { container: container.to_owned(), name: name.to_owned(), hook: hook.clone() }
}

fn connect_call(container: String, endpoint: &Endpoint, own_name: &str) -> Call {
    let mut settings = endpoint.settings.clone();
    name_first(settings.expose_mut(), own_name);
    Call::ConnectNetwork { container, network: endpoint.network.clone(), settings }
}

/// The container's own name is its first alias.
fn name_first(settings: &mut Json, name: &str) {
    if let Some(first) =
        settings.get_mut("Aliases").and_then(Json::as_array_mut).and_then(|aliases| aliases.first_mut())
    {
        *first = Json::String(name.to_owned());
    }
}
