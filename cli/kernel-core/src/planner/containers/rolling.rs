//! A replacement that starts first: the new container does what it is for before the old one ends. For what can run twice.

use serde_json::Value as Json;

use super::{Member, Planner, Wanted, temporary};
use crate::container::{Call, ContainerFile, FoundContainer};
use crate::plan::{Cause, Subject};
use crate::planner::PlanError;

impl<'a> Planner<'a> {
    /// Whether this container is replaced so.
    pub(super) fn rolls(&self, member: &Member<'_>) -> bool {
        self.options.rolling
            && !member.ends_first
            && member.create.is_some()
            && member.found.is_some_and(|found| found.state.is_alive())
    }

    /// Whatever is to be replaced so can run twice.
    pub(super) fn check_rolling(&self) -> Result<(), PlanError> {
        let rolled = self.wanted.iter().filter(|wanted| {
            self.members.get(&wanted.item.name).is_some_and(|all| all.iter().any(|member| self.rolls(member)))
        });
        let refused = |wanted: &Wanted<'_>| Some((wanted.item.name.clone(), self.runs_once(*wanted)?));
        let units: Vec<_> = rolled.filter_map(refused).collect();
        if units.is_empty() { Ok(()) } else { Err(PlanError::RunsOnce { units }) }
    }

    /// Why there can be only one container of its kind at a time; nothing when there can be two.
    fn runs_once(&self, wanted: Wanted<'_>) -> Option<&'static str> {
        let container = wanted.container;
        let host = |path: &str| container.body.expose().pointer(&format!("/HostConfig/{path}"));
        let list = |path: &str| host(path).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let published = host("PortBindings").and_then(Json::as_object).into_iter().flatten();
        let fixed = |binding: &Json| {
            binding.get("HostPort").and_then(Json::as_str).is_some_and(|port| !matches!(port, "" | "0"))
        };
        let of_the_image =
            self.world.images.get(&container.image).is_some_and(|image| !image.volumes.is_empty());
        let writes = |mount: &Json| {
            mount.get("Type").and_then(Json::as_str) != Some("tmpfs")
                && mount.get("ReadOnly").and_then(Json::as_bool) != Some(true)
        };
        let bound =
            |bind: &Json| bind.as_str().is_some_and(|bind| !bind.split(':').skip(2).any(is_read_only));
        let addressed = |settings: &Json| {
            let addresses = settings.get("IPAMConfig").and_then(Json::as_object).into_iter().flatten();
            addresses.filter(|(name, _)| name.ends_with("Address")).any(|(_, address)| !address.is_null())
        };
        let others = || self.wanted.iter().any(|other| other.container.shares.contains(&wanted.item.name));
        if self.is_job(&wanted.item.name) {
            Some("it is a job, whose end others wait for")
        } else if container.fixed_name.is_some() {
            Some("`container_name` gives it a name that only one can have")
        } else if published.flat_map(|(_, hosts)| hosts.as_array().into_iter().flatten()).any(fixed) {
            Some("it publishes a port of this machine, which only one can have")
        } else if !container.shares.is_empty() || others() {
            Some("it shares a part of itself with another service")
        } else if host("NetworkMode").and_then(Json::as_str) == Some("host") {
            Some("it has the network of this machine, and its ports are taken while the old one runs")
        } else if container.networks.iter().any(|endpoint| addressed(endpoint.settings.expose())) {
            Some("it has an address that only one can have")
        } else if !container.volumes.is_empty() || !container.anonymous.is_empty() || of_the_image {
            Some("it has a volume, and two would write to it at the same time")
        } else if list("Mounts").iter().any(writes) || list("Binds").iter().any(bound) {
            Some("it may write to a folder of this machine, and two would at the same time")
        } else {
            None
        }
    }

    /// The steps that put a new container in the place of `found`; the last one's number.
    pub(super) fn draft_rolling(
        &mut self,
        wanted: Wanted<'a>,
        (found, name): (&'a FoundContainer, &str),
        cause: &Cause,
        mut before: Vec<usize>,
    ) -> usize {
        let subject = Subject::Service(wanted.item.name.clone());
        let deadline = self.call_deadline();
        let container = temporary(found, name);
        let files: &[ContainerFile] = &wanted.container.files;
        if !files.is_empty() {
            let call = Call::CopyFiles { container: container.clone(), files: files.to_vec() };
            before = vec![self.add(subject.clone(), call, cause.clone(), before, deadline)];
        }
        self.after_dependencies(wanted, &mut before);
        let call = Call::StartContainer { container: container.clone() };
        let step = self.add(subject.clone(), call, cause.clone(), before, deadline);
        let step = self.draft_post_start(wanted, (&container, name), cause, step);
        let call = Call::AwaitContainer { container: container.clone() };
        let condition = self.options.deadlines.condition;
        let step = self.add(subject.clone(), call, Cause::Started, vec![step], condition);
        let before_stop = self.draft_pre_stop(found, cause, vec![step]);
        let grace = self.options.grace;
        let call = Call::StopContainer { container: found.id.clone(), name: found.name.clone(), grace };
        let most = self.stop_deadline(found);
        let step = self.add(subject.clone(), call, cause.clone(), before_stop, most);
        self.stops.insert(&found.id, step);
        let step = self.draft_remove(found, cause.clone(), Vec::new());
        let call = Call::RenameContainer { container, name: name.to_owned() };
        self.add(subject, call, cause.clone(), vec![step], deadline)
    }
}

fn is_read_only(options: &str) -> bool {
    options.split(',').any(|option| option == "ro")
}
