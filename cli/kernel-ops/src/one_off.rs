//! `run`: one container of a service beside those of `up`, for one command. What it needs is brought up first; the plan
//! is the one that `up` would make for a service without containers, with another name and other words, and without
//! the start: whoever talks with it has to listen before it runs.

use kernel_compose::project::Port;
use kernel_core::container::DesiredContainer;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::plan::Action;
use kernel_core::planner::{PlanOptions, plan};
use kernel_core::unit::{Desired, DesiredKind, Observed};
use kernel_engine::execute;
use serde_json::{Value, json};

use crate::converge::{self, ChangeSettings, Work, engine_failure};
use crate::failure::{Failure, problem};
use crate::load::Platform;
use crate::{codes, providers, select};

/// What is run and how it differs from the service.
#[derive(Clone, Debug, Default)]
pub struct RunSettings {
    /// The service.
    pub service: String,
    /// Its command, when another one.
    pub command: Vec<String>,
    /// Its entrypoint, when another one.
    pub entrypoint: Option<Vec<String>>,
    /// The container's name, when it is to have a certain one.
    pub name: Option<String>,
    /// `NAME=value` each, over the service's.
    pub environment: Vec<String>,
    /// `NAME=value` each, beside the service's.
    pub labels: Vec<(String, String)>,
    /// Its user, when another one.
    pub user: Option<String>,
    /// Its folder, when another one.
    pub directory: Option<String>,
    /// `SOURCE:TARGET[:MODE]` each, beside the service's; absolute paths or names of volumes.
    pub volumes: Vec<String>,
    /// Capabilities that it has beside the service's.
    pub cap_add: Vec<String>,
    /// Capabilities that it has not.
    pub cap_drop: Vec<String>,
    /// The service's ports are published, too.
    pub service_ports: bool,
    /// Ports that it publishes.
    pub publish: Vec<Port>,
    /// It answers to the service's name in networks.
    pub use_aliases: bool,
    /// What it needs is not brought up.
    pub no_deps: bool,
    /// What is no longer in the project's files ends first.
    pub remove_orphans: bool,
    /// It is removed when it has ended.
    pub remove: bool,
    /// It has a terminal.
    pub tty: bool,
    /// It is spoken to.
    pub stdin: bool,
}

/// Brings up what the service needs, and makes the container. Gives its name; `None` in a dry run.
///
/// # Errors
/// What stood in the way, all of it.
pub async fn create(
    platform: &Platform,
    settings: &RunSettings,
    work: Work<'_>,
) -> Result<Option<String>, Failure> {
    select::named(&platform.project, std::slice::from_ref(&settings.service))?;
    if !settings.no_deps {
        let mut needed =
            select::with_dependencies(&platform.project, std::slice::from_ref(&settings.service))?;
        needed.remove(&settings.service);
        if !needed.is_empty() {
            let services = needed.into_iter().collect();
            converge::up(platform, &ChangeSettings { services, ..ChangeSettings::default() }, work).await?;
        }
    }
    let platform = &*providers::up(platform, std::slice::from_ref(&settings.service), work).await?;
    let all = converge::wanted(platform, work.host, work.events)?;
    let mut desired = all.clone();
    desired.items.retain(|item| item.name.as_str() == settings.service);
    work.host.provide(platform, &desired, work).await?;
    let name = container_name(platform, settings);
    let service = one_off(&mut desired, settings, &name)?;
    let mut observed = work.host.engine().observe().await.map_err(|error| engine_failure(&error))?;
    forget(&mut observed, &service);
    let options = PlanOptions {
        keep: converge::others(platform, &desired),
        remove_orphans: settings.remove_orphans,
        ..PlanOptions::default()
    };
    let plan = plan(&desired, &observed, &options).map_err(|error| {
        let help = "correct the service in the Compose file";
        Failure::new(ExitCode::Usage, problem(codes::NO_PLAN, format!("can't plan: {error}"), help))
    })?;
    let mut plan = plan;
    plan.steps.retain(|step| !is_start(&step.action));
    if work.dry_run {
        kernel_engine::DryRun.show(&plan, work.events);
        return Ok(None);
    }
    work.host.engine().prepare(&plan).await.map_err(|error| engine_failure(&error))?;
    let outcome = execute(work.host.engine(), &plan, work.events, work.cancel).await;
    match converge::judge(&outcome, &plan, work.command) {
        Some(failure) => Err(failure),
        None => Ok(Some(name)),
    }
}

fn is_start(action: &Action) -> bool {
    use kernel_core::container::Call;
    match action {
        Action::Call(call) => matches!(**call, Call::StartContainer { .. } | Call::RunHook { .. }),
        Action::Await { .. } => true,
        _ => false,
    }
}

/// As docker compose names them, unless a name is given.
fn container_name(platform: &Platform, settings: &RunSettings) -> String {
    let unique = uuid::Uuid::now_v7().simple().to_string();
    let unique = &unique[unique.len() - 12..];
    let separator = platform.project.separator;
    let parts = [platform.name.as_str(), &settings.service, "run", unique];
    settings.name.clone().unwrap_or_else(|| parts.join(separator))
}

/// The containers of the service are none of the one-off's business.
fn forget(observed: &mut Observed, service: &ServiceName) {
    observed.items.retain(|item| item.name != *service);
    if let Some(world) = &mut observed.world {
        world.containers.retain(|container| container.service != *service);
    }
}

/// Makes the wanted service the wanted one-off.
fn one_off(desired: &mut Desired, settings: &RunSettings, name: &str) -> Result<ServiceName, Failure> {
    let Some(item) = desired.items.first_mut() else {
        let message = format!("`{}` can't be run: nothing of it is wanted", settings.service);
        return Err(Failure::new(
            ExitCode::NothingSelected,
            problem(codes::NOTHING_SELECTED, message, "name another service"),
        ));
    };
    // They were seen to, or are not wanted.
    item.depends_on.clear();
    let DesiredKind::Container(container) = &mut item.kind else {
        let message = format!("`{}` runs as a process here; `run` is about containers", settings.service);
        let help = "say `--engine docker`";
        return Err(Failure::new(ExitCode::Prerequisite, problem(codes::ENGINE_UNAVAILABLE, message, help)));
    };
    container.scale = 1;
    container.fixed_name = Some(name.to_owned());
    container.restarts = false;
    container.follows.clear();
    if !settings.use_aliases {
        for endpoint in &mut container.networks {
            if let Some(entry) = endpoint.settings.expose_mut().as_object_mut() {
                entry.remove("Aliases");
            }
        }
    }
    change(container, settings);
    Ok(item.name.clone())
}

fn change(container: &mut DesiredContainer, settings: &RunSettings) {
    let Some(body) = container.body.expose_mut().as_object_mut() else { return };
    if let Some(entrypoint) = &settings.entrypoint {
        body.insert("Entrypoint".to_owned(), json!(entrypoint));
        // The command was meant for the other one.
        body.insert("Cmd".to_owned(), json!(settings.command));
    } else if !settings.command.is_empty() {
        body.insert("Cmd".to_owned(), json!(settings.command));
    }
    for (field, value) in [("User", &settings.user), ("WorkingDir", &settings.directory)] {
        if let Some(value) = value {
            body.insert(field.to_owned(), json!(value));
        }
    }
    body.insert("Tty".to_owned(), json!(settings.tty));
    for field in ["OpenStdin", "AttachStdin", "StdinOnce"] {
        body.insert(field.to_owned(), json!(settings.stdin));
    }
    for field in ["AttachStdout", "AttachStderr"] {
        body.insert(field.to_owned(), json!(true));
    }
    let variables = body.entry("Env").or_insert_with(|| json!([]));
    if let Some(variables) = variables.as_array_mut() {
        for variable in &settings.environment {
            let name = variable.split('=').next().unwrap_or_default();
            variables.retain(|known| known.as_str().and_then(|known| known.split('=').next()) != Some(name));
            variables.push(json!(variable));
        }
    }
    let labels = body.entry("Labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("com.docker.compose.oneoff".to_owned(), json!("True"));
        labels.extend(settings.labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    }
    if !settings.service_ports {
        body.remove("ExposedPorts");
    }
    for port in &settings.publish {
        if let Some(exposed) = body.entry("ExposedPorts").or_insert_with(|| json!({})).as_object_mut() {
            exposed.insert(key(port), json!({}));
        }
    }
    let Some(host) = body.entry("HostConfig").or_insert_with(|| json!({})).as_object_mut() else { return };
    if !settings.service_ports {
        host.remove("PortBindings");
    }
    for port in &settings.publish {
        let bindings = host.entry("PortBindings").or_insert_with(|| json!({})).as_object_mut();
        let bindings = bindings.map(|bindings| bindings.entry(key(port)).or_insert_with(|| json!([])));
        if let Some(bindings) = bindings.and_then(Value::as_array_mut) {
            bindings.push(binding(port));
        }
    }
    host.insert("RestartPolicy".to_owned(), json!({ "Name": "no" }));
    host.insert("AutoRemove".to_owned(), json!(settings.remove));
    for (field, more) in
        [("Binds", &settings.volumes), ("CapAdd", &settings.cap_add), ("CapDrop", &settings.cap_drop)]
    {
        let list = host.entry(field).or_insert(Value::Null);
        if list.is_null() {
            *list = json!([]);
        }
        if let Some(list) = list.as_array_mut() {
            list.extend(more.iter().map(|entry| json!(entry)));
        }
    }
}

/// How the Engine knows a port of a container.
fn key(port: &Port) -> String {
    format!("{}/{}", port.target, port.protocol.as_str())
}

/// Where it is published; an empty port is one that the Engine picks.
fn binding(port: &Port) -> Value {
    let published = match (port.published, port.published_end) {
        (None, _) => String::new(),
        (Some(first), None) => first.to_string(),
        (Some(first), Some(last)) => format!("{first}-{last}"),
    };
    let address = port.host_ip.map(|address| address.to_string()).unwrap_or_default();
    json!({ "HostIp": address, "HostPort": published })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_port_is_exposed_and_bound() {
        let bound = |text: &str| {
            let ports = Port::parse(text).unwrap();
            ports.iter().map(|port| format!("{} {}", key(port), binding(port))).collect::<Vec<_>>()
        };
        assert_eq!(bound("80"), [r#"80/tcp {"HostIp":"","HostPort":""}"#]);
        assert_eq!(bound("8080:80"), [r#"80/tcp {"HostIp":"","HostPort":"8080"}"#]);
        assert_eq!(bound("127.0.0.1::53/udp"), [r#"53/udp {"HostIp":"127.0.0.1","HostPort":""}"#]);
        assert_eq!(bound("8000-8009:80"), [r#"80/tcp {"HostIp":"","HostPort":"8000-8009"}"#]);
        assert_eq!(bound("1-2:3-4").len(), 2);
        for text in ["", "http", "80/icmp", "1.2.3:80:80", "1-2:3-5"] {
            assert!(Port::parse(text).is_err(), "{text}");
        }
    }
}
