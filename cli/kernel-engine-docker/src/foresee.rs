//! Finds before the first step what would stand in its way: names and ports that others have.

use std::collections::{BTreeMap, BTreeSet};

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use kernel_core::container::Call;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::plan::{Action, Plan};
use kernel_engine::EngineError;
use serde_json::Value as Json;

use crate::trouble::trouble;
use crate::{ask, codes, labels};

/// Checks a plan against all containers of the Engine.
pub(crate) async fn check(docker: &Docker, project: &ProjectName, plan: &Plan) -> Result<(), EngineError> {
    let calls = || {
        plan.steps.iter().filter_map(|step| match &step.action {
            Action::Call(call) => Some(&**call),
            _ => None,
        })
    };
    if !calls().any(|call| matches!(call, Call::CreateContainer(_))) {
        return Ok(());
    }
    let options = ListContainersOptionsBuilder::new().all(true).build();
    let all = ask::list(docker, &options)
        .await
        .map_err(|error| trouble("asking the Engine for its containers", error))?;
    let others: Vec<&ContainerSummary> = all.iter().filter(|other| !is_of(other, project)).collect();
    let mut problems: Vec<(kernel_core::diagnostic::Code, String, String)> = Vec::new();
    let names: BTreeMap<&str, &ContainerSummary> =
        others.iter().flat_map(|other| own_names(other).map(|name| (name, *other))).collect();
    let ports: BTreeMap<(u16, String), &ContainerSummary> =
        others.iter().flat_map(|other| own_ports(other).map(|port| (port, *other))).collect();
    for call in calls() {
        let Call::CreateContainer(create) = call else { continue };
        if let Some(other) = names.get(create.name.as_str()) {
            problems.push((
                codes::NAME_TAKEN,
                format!(
                    "the name {} is taken by a container that is not this project's ({})",
                    create.name,
                    describe(other)
                ),
                format!(
                    "remove it with `docker rm -f {0}`, or rename it: `docker rename {0} OTHER`",
                    create.name
                ),
            ));
        }
        for port in wanted_ports(create.body.expose()) {
            if let Some(other) = ports.get(&port) {
                let name = own_names(other).next().unwrap_or_default();
                problems.push((
                    codes::PORT_TAKEN,
                    format!(
                        "the port {} that {} publishes is taken by the container {name} ({})",
                        port.0,
                        create.name,
                        describe(other)
                    ),
                    format!("end it with `docker stop {name}`, or publish another port"),
                ));
            }
        }
    }
    let mut seen = BTreeSet::new();
    problems.retain(|(_, message, _)| seen.insert(message.clone()));
    let Some((code, message, help)) = problems.first().cloned() else { return Ok(()) };
    let rest = problems.into_iter().skip(1).map(|(_, message, help)| format!("{message}: {help}"));
    Err(EngineError::new(code, ExitCode::Prerequisite, message).help(help).evidence(rest.collect()))
}

fn is_of(container: &ContainerSummary, project: &ProjectName) -> bool {
    let labels = container.labels.as_ref();
    labels.and_then(|labels| labels.get(labels::PROJECT)).is_some_and(|label| label == project.as_str())
}

fn own_names(container: &ContainerSummary) -> impl Iterator<Item = &str> {
    container.names.iter().flatten().map(|name| name.trim_start_matches('/'))
}

fn own_ports(container: &ContainerSummary) -> impl Iterator<Item = (u16, String)> {
    container.ports.iter().flatten().filter_map(|port| {
        let protocol = port.typ.map_or_else(|| "tcp".to_owned(), |protocol| protocol.to_string());
        Some((port.public_port?, protocol))
    })
}

fn wanted_ports(body: &Json) -> Vec<(u16, String)> {
    let bindings = body.pointer("/HostConfig/PortBindings").and_then(Json::as_object).into_iter().flatten();
    bindings
        .flat_map(|(key, hosts)| {
            let protocol = key.split('/').nth(1).unwrap_or("tcp").to_owned();
            let hosts = hosts.as_array().into_iter().flatten();
            let ports = hosts.filter_map(|host| host.get("HostPort")?.as_str()?.parse().ok());
            ports.map(move |port: u16| (port, protocol.clone())).collect::<Vec<_>>()
        })
        .collect()
}

fn describe(container: &ContainerSummary) -> String {
    let project = container.labels.as_ref().and_then(|labels| labels.get(labels::PROJECT));
    let image = container.image.as_deref().unwrap_or("an image without name");
    match project {
        Some(project) => format!("of the project {project}, image {image}"),
        None => format!("of no project, image {image}"),
    }
}
