//! Plans for an engine that runs containers, on an engine that is only data: carried out, a second look finds nothing to
//! do; broken off after any step, the next plan does the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kernel_core::container::{
    Body, Call, ContainerState, DesiredContainer, DesiredNetwork, DesiredVolume, Endpoint, FoundContainer,
    FoundImage, FoundMount, FoundNetwork, FoundVolume, HASH_LABEL, Hook, Moment, NUMBER_LABEL, Pull, World,
    id_of,
};
use kernel_core::name::{ProjectName, ServiceName};
use kernel_core::plan::{Action, Plan, Step};
use kernel_core::planner::{PlanError, PlanOptions, Replace, plan};
use kernel_core::secret::Secret;
use kernel_core::unit::{Condition, Dependency, Desired, DesiredItem, DesiredKind, Observed, Target};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn body(value: Json) -> Body {
    Body::new(value, Arc::from([]))
}

/// A service in the network `p_default`.
fn service(text: &str, version: u32, needs: &[(&str, Condition)]) -> DesiredItem {
    let container = DesiredContainer {
        image: "image:1".to_owned(),
        platform: None,
        pull: Pull::Missing,
        builds: false,
        scale: 1,
        name: format!("p-{text}-"),
        fixed_name: None,
        config: Secret::new(format!("{text} {version}")),
        body: body(json!({ "Labels": { "service": text }, "HostConfig": {} })),
        shares: BTreeSet::new(),
        networks: vec![Endpoint {
            network: "p_default".to_owned(),
            settings: body(json!({ "Aliases": [""] })),
        }],
        volumes: BTreeSet::new(),
        anonymous: BTreeSet::from(["/anonymous".to_owned()]),
        files: Vec::new(),
        has_healthcheck: Some(true),
        restarts: false,
        stop_grace: None,
        follows: BTreeSet::new(),
        post_start: Vec::new(),
        pre_stop: Vec::new(),
    };
    let dependency = |(on, condition): &(&str, Condition)| Dependency {
        name: name(on),
        condition: *condition,
        required: true,
    };
    DesiredItem {
        name: name(text),
        kind: DesiredKind::Container(Box::new(container)),
        depends_on: needs.iter().map(dependency).collect(),
        target: Target::Running,
    }
}

fn container(item: &mut DesiredItem) -> &mut DesiredContainer {
    let DesiredKind::Container(container) = &mut item.kind else { panic!("no container") };
    container
}

fn project(items: Vec<DesiredItem>, network: &str) -> Desired {
    let mut desired = Desired::of(ProjectName::new("p").unwrap(), items);
    desired.networks = vec![DesiredNetwork {
        key: "default".to_owned(),
        name: "p_default".to_owned(),
        external: false,
        hash: network.to_owned(),
        body: body(json!({ "hash": network })),
    }];
    desired.volumes = vec![DesiredVolume {
        name: "p_data".to_owned(),
        external: false,
        body: body(json!({ "Name": "p_data" })),
    }];
    desired
}

/// An engine that is only data, as strict as the real one.
#[derive(Clone)]
struct Playground {
    world: World,
    count: u32,
}

impl Playground {
    fn new() -> Self {
        let image =
            FoundImage { id: "sha256:1".to_owned(), volumes: BTreeSet::new(), has_healthcheck: false };
        let images = BTreeMap::from([("image:1".to_owned(), image)]);
        Self { world: World { joins_at_create: true, images, ..World::default() }, count: 0 }
    }

    fn plan(&self, desired: &Desired, options: &PlanOptions) -> Plan {
        self.try_plan(desired, options).unwrap()
    }

    fn try_plan(&self, desired: &Desired, options: &PlanOptions) -> Result<Plan, PlanError> {
        let observed = Observed { world: Some(Box::new(self.world.clone())), ..Observed::default() };
        plan(desired, &observed, options)
    }

    fn carry_out(&mut self, plan: &Plan) {
        plan.steps.iter().for_each(|step| self.step(step));
    }

    fn find(&mut self, container: &str) -> &mut FoundContainer {
        let found = self.world.containers.iter_mut();
        found.into_iter().find(|found| found.id == container || found.name == container).expect(container)
    }

    fn id(&mut self) -> String {
        self.count += 1;
        format!("{:064x}", self.count)
    }

    fn step(&mut self, step: &Step) {
        let call = match &step.action {
            Action::Call(call) => call,
            Action::Await { condition } => {
                let service = step.subject.service().unwrap();
                let found = self.world.containers.iter().filter(|found| found.service == *service);
                for found in found {
                    assert_eq!(found.state, ContainerState::Ready, "{step}: {condition}");
                }
                return;
            }
            other => panic!("{other}"),
        };
        match &**call {
            Call::PushImage { image } => panic!("no plan of containers pushes `{image}`"),
            Call::PullImage { image, .. } => {
                let found =
                    FoundImage { id: "sha256:1".to_owned(), volumes: BTreeSet::new(), has_healthcheck: true };
                self.world.images.insert(image.clone(), found);
            }
            Call::CreateNetwork { name, body } => {
                assert!(!self.world.networks.iter().any(|found| found.name == *name), "{step}");
                let (id, hash) = (self.id(), body.expose()["hash"].as_str().unwrap().to_owned());
                let key = Some("default".to_owned());
                let found = FoundNetwork { id, name: name.clone(), ours: true, key, hash: Some(hash) };
                self.world.networks.push(found);
            }
            Call::RemoveNetwork { id } => {
                let network = self.world.networks.iter().find(|found| found.id == *id).unwrap().clone();
                let busy = self.world.containers.iter().find(|found| {
                    found.state.is_alive() && found.networks.get(&network.name) == Some(&network.id)
                });
                assert!(busy.is_none(), "{step}: {busy:?}");
                self.world.networks.retain(|found| found.id != *id);
            }
            Call::CreateVolume { body } => {
                let name = body.expose()["Name"].as_str().unwrap().to_owned();
                self.world.volumes.push(FoundVolume { name, ours: true });
            }
            Call::RemoveVolume { name } => self.world.volumes.retain(|found| found.name != *name),
            Call::CreateContainer(create) => self.create(step, create),
            Call::StartContainer { container } => {
                let found = self.find(container);
                assert!(!found.state.is_alive(), "{step}");
                found.state = ContainerState::Ready;
            }
            Call::RunHook { container, .. } => {
                assert_eq!(self.find(container).state, ContainerState::Ready, "{step}");
            }
            Call::AwaitContainer { container } => {
                assert_eq!(self.find(container).state, ContainerState::Ready, "{step}");
            }
            Call::StopContainer { container, .. } => {
                let found = self.find(container);
                assert!(found.state.is_alive(), "{step}");
                found.state = ContainerState::Stopped;
            }
            Call::RemoveContainer { container, .. } => {
                assert!(!self.find(container).state.is_alive(), "{step}");
                self.world.containers.retain(|found| found.id != *container && found.name != *container);
            }
            Call::RenameContainer { container, name } => {
                assert!(!self.world.containers.iter().any(|found| found.name == *name), "{step}");
                self.find(container).name.clone_from(name);
            }
            Call::ConnectNetwork { .. } | Call::CopyFiles { .. } | Call::UnpauseContainer { .. } => {}
        }
    }

    fn create(&mut self, step: &Step, create: &kernel_core::container::CreateContainer) {
        assert!(
            !self.world.containers.iter().any(|found| found.name == create.name),
            "{step}: the name is taken"
        );
        let body = create.body.expose();
        let label = |name: &str| body["Labels"][name].as_str().unwrap_or_default().to_owned();
        let mut networks = BTreeMap::new();
        for network in body["NetworkingConfig"]["EndpointsConfig"].as_object().into_iter().flatten() {
            let found = self.world.networks.iter().find(|found| found.name == *network.0);
            networks.insert(network.0.clone(), found.expect("its network is there").id.clone());
        }
        let mut hash = label(HASH_LABEL);
        if let Some(config) = &create.config {
            let mut text = config.expose().to_owned();
            for (service, container) in &create.shares {
                text = text.replace(&id_of(service), &self.find(container).id);
            }
            hash = hex::encode(Sha256::digest(text));
        }
        let inherited = body["HostConfig"]["Mounts"][0]["Source"].as_str().map(str::to_owned);
        let volume = inherited.unwrap_or_else(|| self.id());
        let found = FoundContainer {
            id: self.id(),
            name: create.name.clone(),
            service: step.subject.service().unwrap().clone(),
            number: label(NUMBER_LABEL).parse().unwrap(),
            one_off: false,
            hash,
            image: "sha256:1".to_owned(),
            image_name: create.image.clone(),
            depends_on: Vec::new(),
            state: ContainerState::Created,
            networks,
            volumes: vec![FoundMount { name: volume, target: "/anonymous".to_owned(), read_only: false }],
            stop_grace: None,
        };
        self.world.containers.push(found);
    }

    fn names(&self) -> BTreeSet<&str> {
        self.world.containers.iter().map(|found| found.name.as_str()).collect()
    }
}

/// From nothing or from `before` to `after`: whole, and broken off after each step.
fn converges(before: Option<&Desired>, after: &Desired, expected: &[&str]) {
    let options = PlanOptions { remove_orphans: true, ..PlanOptions::default() };
    let mut start = Playground::new();
    if let Some(before) = before {
        let plan = start.plan(before, &options);
        start.carry_out(&plan);
    }
    let whole = start.plan(after, &options);
    for count in 0..=whole.steps.len() {
        let mut playground = start.clone();
        whole.steps.iter().take(count).for_each(|step| playground.step(step));
        let rest = playground.plan(after, &options);
        playground.carry_out(&rest);
        assert_eq!(
            playground.names(),
            expected.iter().copied().collect(),
            "after {count} of\n{whole}\n{rest}"
        );
        assert!(playground.world.containers.iter().all(|found| found.state == ContainerState::Ready));
        let again = playground.plan(after, &options);
        assert!(again.is_empty(), "after {count} of\n{whole}then\n{rest}there is still\n{again}");
    }
}

#[test]
fn a_first_up_converges_from_anywhere() {
    let healthy = [("db", Condition::Healthy)];
    let desired = project(vec![service("web", 1, &healthy), service("db", 1, &[])], "1");
    converges(None, &desired, &["p-db-1", "p-web-1"]);
}

#[test]
fn a_replacement_converges_from_anywhere_and_keeps_what_has_no_name() {
    let before = project(vec![service("db", 1, &[])], "1");
    let after = project(vec![service("db", 2, &[])], "1");
    converges(Some(&before), &after, &["p-db-1"]);
    let mut playground = Playground::new();
    let first = playground.plan(&before, &PlanOptions::default());
    playground.carry_out(&first);
    let volume = playground.world.containers[0].volumes.clone();
    let second = playground.plan(&after, &PlanOptions::default());
    playground.carry_out(&second);
    assert_eq!(playground.world.containers[0].volumes, volume);
}

#[test]
fn a_rolling_replacement_starts_first_and_converges_from_anywhere() {
    let web = |version| {
        let mut web = service("web", version, &[]);
        container(&mut web).scale = 2;
        container(&mut web).anonymous.clear();
        web
    };
    let (before, after) = (project(vec![web(1)], "1"), project(vec![web(2)], "1"));
    let options = PlanOptions { rolling: true, ..PlanOptions::default() };
    let mut start = Playground::new();
    let up = start.plan(&before, &options);
    start.carry_out(&up);
    let roll = start.plan(&after, &options);
    let mut playground = start.clone();
    for step in &roll.steps {
        playground.step(step);
        let serving = playground.world.containers.iter().filter(|found| found.state == ContainerState::Ready);
        assert!(serving.count() >= 2, "after {step} of\n{roll}");
    }
    for count in 0..=roll.steps.len() {
        for options in [&options, &PlanOptions::default()] {
            let mut playground = start.clone();
            roll.steps.iter().take(count).for_each(|step| playground.step(step));
            let rest = playground.plan(&after, options);
            playground.carry_out(&rest);
            assert_eq!(
                playground.names(),
                BTreeSet::from(["p-web-1", "p-web-2"]),
                "{count} of\n{roll}\n{rest}"
            );
            let again = playground.plan(&after, options);
            assert!(again.is_empty(), "after {count} of\n{roll}then\n{rest}there is still\n{again}");
        }
    }
}

#[test]
fn what_can_not_run_twice_is_not_rolled() {
    let refused = |change: &dyn Fn(&mut DesiredContainer)| {
        let version = |version| {
            let mut web = service("web", version, &[]);
            container(&mut web).anonymous.clear();
            change(container(&mut web));
            project(vec![web], "1")
        };
        let mut playground = Playground::new();
        let options = PlanOptions { rolling: true, ..PlanOptions::default() };
        let up = playground.plan(&version(1), &options);
        playground.carry_out(&up);
        playground.try_plan(&version(2), &options).map(drop).map_err(|error| error.to_string())
    };
    let host = |container: &mut DesiredContainer, name: &str, value: Json| {
        container.body.expose_mut()["HostConfig"][name] = value;
    };
    assert_eq!(refused(&|_| {}), Ok(()));
    assert_eq!(refused(&|web| host(web, "PortBindings", json!({"80/tcp": [{"HostPort": ""}]}))), Ok(()));
    assert_eq!(refused(&|web| host(web, "Binds", json!(["/a:/b:ro,z"]))), Ok(()));
    type Change<'a> = &'a dyn Fn(&mut DesiredContainer);
    let cases: [(&str, Change<'_>); 6] = [
        ("publishes a port", &|web| host(web, "PortBindings", json!({"80/tcp": [{"HostPort": "80"}]}))),
        ("`container_name`", &|web| web.fixed_name = Some("web".to_owned())),
        ("network of this machine", &|web| host(web, "NetworkMode", json!("host"))),
        ("has a volume", &|web| assert!(web.volumes.insert("p_data".to_owned()))),
        ("a folder of this machine", &|web| host(web, "Binds", json!(["/a:/b"]))),
        ("a folder of this machine", &|web| host(web, "Mounts", json!([{"Type": "bind", "Source": "/a"}]))),
    ];
    for (why, change) in cases {
        let error = refused(change).unwrap_err();
        assert!(error.starts_with("service `web` can't run twice:") && error.contains(why), "{error}");
    }
}

#[test]
fn who_shares_and_who_follows_converge_from_anywhere() {
    let started = [("db", Condition::Started)];
    let items = |version| {
        let mut beside = service("beside", 1, &started);
        container(&mut beside).shares.insert(name("db"));
        container(&mut beside).networks.clear();
        container(&mut beside).config = Secret::new(format!("beside {}", id_of(&name("db"))));
        let mut web = service("web", 1, &started);
        container(&mut web).follows.insert(name("db"));
        vec![service("db", version, &[]), beside, web]
    };
    let names = ["p-beside-1", "p-db-1", "p-web-1"];
    converges(Some(&project(items(1), "1")), &project(items(2), "1"), &names);
    converges(Some(&project(items(1), "1")), &project(items(1), "2"), &names);
}

#[test]
fn scale_and_orphans_converge_from_anywhere() {
    let mut three = service("web", 1, &[]);
    container(&mut three).scale = 3;
    let before = project(vec![three, service("old", 1, &[])], "1");
    let mut two = service("web", 2, &[]);
    container(&mut two).scale = 2;
    converges(Some(&before), &project(vec![two], "1"), &["p-web-1", "p-web-2"]);
}

#[test]
fn nothing_is_left_of_a_project_that_nobody_wants() {
    let mut db = service("db", 1, &[]);
    container(&mut db).volumes.insert("p_data".to_owned());
    let before = project(vec![db], "1");
    let options = PlanOptions { remove_data: true, ..PlanOptions::default() };
    let mut playground = Playground::new();
    let up = playground.plan(&before, &options);
    // The playground does not tell named volumes; that one is mounted does not matter here.
    playground.carry_out(&up);
    let nothing = Desired::nothing(ProjectName::new("p").unwrap());
    let down = playground.plan(&nothing, &options);
    playground.carry_out(&down);
    let World { containers, networks, volumes, .. } = &playground.world;
    assert!(containers.is_empty() && networks.is_empty() && volumes.is_empty(), "{down}");
    assert!(playground.plan(&nothing, &options).is_empty());
}

#[test]
fn replacing_can_be_forced_and_forbidden() {
    let before = project(vec![service("db", 1, &[])], "1");
    let mut playground = Playground::new();
    let up = playground.plan(&before, &PlanOptions::default());
    playground.carry_out(&up);
    let always = PlanOptions { replace: Replace::Always, ..PlanOptions::default() };
    assert!(!playground.plan(&before, &always).is_empty());
    let never = PlanOptions { replace: Replace::Never, ..PlanOptions::default() };
    assert!(playground.plan(&project(vec![service("db", 2, &[])], "1"), &never).is_empty());
}

#[test]
fn some_are_replaced_although_nothing_changed() {
    let desired = project(vec![service("web", 1, &[("db", Condition::Healthy)]), service("db", 1, &[])], "1");
    let mut playground = Playground::new();
    let up = playground.plan(&desired, &PlanOptions::default());
    playground.carry_out(&up);
    let options = PlanOptions { replaced: BTreeSet::from([name("db")]), ..PlanOptions::default() };
    let plan = playground.plan(&desired, &options);
    assert!(plan.steps.iter().all(|step| step.subject.service() == Some(&name("db"))), "{plan}");
    assert!(plan.to_string().contains("create container"), "{plan}");
    // Also where nothing else is replaced.
    let never = PlanOptions { replace: Replace::Never, ..options };
    assert_eq!(playground.plan(&desired, &never).to_string(), plan.to_string());
}

#[test]
fn volumes_without_a_name_are_renewed_when_asked() {
    let desired = |version| project(vec![service("db", version, &[])], "1");
    let mut playground = Playground::new();
    let up = playground.plan(&desired(1), &PlanOptions::default());
    playground.carry_out(&up);
    let volume = playground.world.containers[0].volumes.clone();
    let options = PlanOptions { renew_volumes: true, ..PlanOptions::default() };
    let renew = playground.plan(&desired(2), &options);
    playground.carry_out(&renew);
    assert_eq!(playground.names(), BTreeSet::from(["p-db-1"]));
    assert_ne!(playground.world.containers[0].volumes, volume);
    assert!(playground.plan(&desired(2), &options).is_empty());
}

#[test]
fn containers_can_be_made_without_a_start() {
    let started = [("db", Condition::Started)];
    let desired = |version| {
        let mut web = service("web", 1, &started);
        container(&mut web).follows.insert(name("db"));
        project(vec![web, service("db", version, &[])], "1")
    };
    let mut playground = Playground::new();
    let options = PlanOptions { start: false, ..PlanOptions::default() };
    let create = playground.plan(&desired(1), &options);
    playground.carry_out(&create);
    assert_eq!(playground.names(), BTreeSet::from(["p-db-1", "p-web-1"]));
    let states = |playground: &Playground| -> Vec<ContainerState> {
        playground.world.containers.iter().map(|found| found.state).collect()
    };
    assert_eq!(states(&playground), [ContainerState::Created; 2], "{create}");
    assert!(playground.plan(&desired(1), &options).is_empty());
    let up = playground.plan(&desired(1), &PlanOptions::default());
    playground.carry_out(&up);
    assert_eq!(states(&playground), [ContainerState::Ready; 2], "{up}");
    // What runs and did not change goes on.
    let replace = playground.plan(&desired(2), &options);
    playground.carry_out(&replace);
    let state = |text: &str| {
        playground.world.containers.iter().find(|found| found.service == name(text)).unwrap().state
    };
    assert_eq!((state("web"), state("db")), (ContainerState::Ready, ContainerState::Created), "{replace}");
}

#[test]
fn only_some_are_taken_down_with_what_nobody_else_uses() {
    let mut web = service("web", 1, &[]);
    container(&mut web).networks[0].network = "p_front".to_owned();
    let mut desired = project(vec![web, service("db", 1, &[])], "1");
    let mut front = desired.networks[0].clone();
    (front.key, front.name) = ("default".to_owned(), "p_front".to_owned());
    desired.networks.push(front);
    let mut start = Playground::new();
    let up = start.plan(&desired, &PlanOptions::default());
    start.carry_out(&up);
    start.world.volumes =
        ["p_data", "p_other"].map(|name| FoundVolume { name: name.to_owned(), ours: true }).into();
    let data = FoundMount { name: "p_data".to_owned(), target: "/data".to_owned(), read_only: false };
    start.find("p-db-1").volumes.push(data);

    let nothing = Desired::nothing(ProjectName::new("p").unwrap());
    let only = |text: &str| PlanOptions {
        only: Some(BTreeSet::from([name(text)])),
        remove_data: true,
        ..PlanOptions::default()
    };
    let left = |text: &str| {
        let mut playground = start.clone();
        let down = playground.plan(&nothing, &only(text));
        playground.carry_out(&down);
        assert!(playground.plan(&nothing, &only(text)).is_empty(), "{down}");
        let World { containers, networks, volumes, .. } = playground.world;
        let containers = containers.into_iter().map(|found| found.name);
        let all = containers.chain(networks.into_iter().map(|found| found.name));
        all.chain(volumes.into_iter().map(|found| found.name)).collect::<BTreeSet<String>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(left("web"), set(&["p-db-1", "p_default", "p_data", "p_other"]));
    assert_eq!(left("db"), set(&["p-web-1", "p_front", "p_other"]));
    assert_eq!(left("nothing"), set(&["p-web-1", "p-db-1", "p_default", "p_front", "p_data", "p_other"]));
}

#[test]
fn creating_waits_for_nobody_and_starting_for_health() {
    let healthy = [("db", Condition::Healthy)];
    let desired = project(vec![service("web", 1, &healthy), service("db", 1, &[])], "1");
    let plan = Playground::new().plan(&desired, &PlanOptions::default());
    insta::assert_snapshot!(plan, @r"
    [] -> #1 network p_default: create, not found
    [1] -> #2 service db: create container p-db-1, not found
    [1] -> #3 service web: create container p-web-1, not found
    [2] -> #4 service db: start container p-db-1, not found
    [4] -> #5 service db: wait until healthy, started
    [3,5] -> #6 service web: start container p-web-1, not found
    [6] -> #7 service web: wait until healthy, started
    ");
}

#[test]
fn hooks_run_after_a_start_and_before_a_stop() {
    let hook = |moment, word: &str| Hook { moment, body: body(json!({ "Cmd": [word] })) };
    let mut db = service("db", 1, &[]);
    container(&mut db).post_start = vec![hook(Moment::PostStart, "seed"), hook(Moment::PostStart, "index")];
    let desired = project(vec![service("web", 1, &[("db", Condition::Started)]), db], "1");
    let mut playground = Playground::new();
    let first = playground.plan(&desired, &PlanOptions::default());
    insta::assert_snapshot!(first, @r"
    [] -> #1 network p_default: create, not found
    [1] -> #2 service db: create container p-db-1, not found
    [1] -> #3 service web: create container p-web-1, not found
    [2] -> #4 service db: start container p-db-1, not found
    [4] -> #5 service db: run post_start hook in p-db-1, not found
    [5] -> #6 service db: run post_start hook in p-db-1, not found
    [6] -> #7 service db: wait until healthy, started
    [3,6] -> #8 service web: start container p-web-1, not found
    [8] -> #9 service web: wait until healthy, started
    ");
    playground.carry_out(&first);
    assert!(
        playground.plan(&desired, &PlanOptions::default()).is_empty(),
        "hooks are no reason for anything"
    );

    let pre_stop = BTreeMap::from([(name("db"), vec![hook(Moment::PreStop, "flush")])]);
    let options = PlanOptions { pre_stop, ..PlanOptions::default() };
    let nothing = Desired::nothing(ProjectName::new("p").unwrap());
    let down = playground.plan(&nothing, &options);
    let text = down.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(text.matches("hook").count(), 1, "{text}");
    assert!(lines[0].starts_with("[] -> #1 service db: run pre_stop hook in p-db-1"), "{text}");
    assert!(lines[1].starts_with("[1] -> #2 service db: stop container p-db-1"), "{text}");
    // What does not run is told nothing.
    playground.find("p-db-1").state = ContainerState::Paused;
    assert!(!playground.plan(&nothing, &options).to_string().contains("hook"));
    playground.find("p-db-1").state = ContainerState::Ready;
    playground.carry_out(&down);
    assert!(playground.world.containers.is_empty());
}

#[test]
fn what_can_not_be_is_refused() {
    let healthy = [("db", Condition::Healthy)];
    let mut db = service("db", 1, &[]);
    container(&mut db).has_healthcheck = None;
    let desired = project(vec![service("web", 1, &healthy), db], "1");
    let error = Playground::new().try_plan(&desired, &PlanOptions::default()).unwrap_err();
    assert_eq!(error, PlanError::NoHealthcheck { unit: name("web"), needs: name("db") });
    let mut desired = project(vec![service("db", 1, &[])], "1");
    desired.networks[0].external = true;
    let error = Playground::new().try_plan(&desired, &PlanOptions::default()).unwrap_err();
    assert_eq!(error, PlanError::MissingExternal { kind: "network", name: "p_default".to_owned() });
    let mut never = service("db", 1, &[]);
    (container(&mut never).image, container(&mut never).pull) = ("image:2".to_owned(), Pull::Never);
    let error = Playground::new().try_plan(&project(vec![never], "1"), &PlanOptions::default()).unwrap_err();
    assert_eq!(error, PlanError::MissingImage { unit: name("db"), image: "image:2".to_owned() });
}
