//! Looks closely at the containers of one service, for `why`. Only reads.

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use kernel_core::examination::{Examination, Health};
use kernel_core::name::{ProjectName, ServiceName};
use kernel_engine::EngineError;

use crate::{labels, logs, observe};

/// How many of the last lines are told.
const LINES: usize = 20;

pub(crate) async fn examine(
    docker: &Docker,
    project: &ProjectName,
    service: &ServiceName,
) -> Result<Vec<Examination>, EngineError> {
    let label = format!("{}={service}", labels::SERVICE);
    let containers = observe::containers(docker, &label).await?;
    let mut found = Vec::new();
    for container in containers.iter().filter(|container| is_of(container, project)) {
        let mut examination = of(container);
        let id = container.id.as_deref().unwrap_or_default();
        examination.last_lines = logs::last_lines(docker, id, LINES).await;
        found.push(examination);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn is_of(container: &ContainerInspectResponse, project: &ProjectName) -> bool {
    let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
    let label = |name| labels.and_then(|labels| labels.get(name)).map(String::as_str);
    label(labels::PROJECT) == Some(project.as_str()) && label(labels::ONE_OFF) != Some("True")
}

fn of(container: &ContainerInspectResponse) -> Examination {
    use ContainerStateStatusEnum as Status;
    let state = container.state.clone().unwrap_or_default();
    // One that is started again and again has the code of its last end.
    let has_ended = matches!(state.status, Some(Status::EXITED | Status::RESTARTING | Status::DEAD));
    let limit = container.host_config.as_ref().and_then(|host| host.memory);
    let refusal = state.error.filter(|error| !error.is_empty());
    let health = state.health.and_then(|health| {
        let last = health.log.unwrap_or_default().into_iter().next_back()?;
        let command = container.config.as_ref().and_then(|config| config.healthcheck.as_ref());
        let command = command.and_then(|check| check.test.clone()).unwrap_or_default();
        Some(Health {
            command: command.into_iter().filter(|word| word != "CMD" && word != "CMD-SHELL").collect(),
            failures: health.failing_streak.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            exit_code: last.exit_code.unwrap_or_default(),
            output: last.output.unwrap_or_default().trim().to_owned(),
        })
    });
    Examination {
        name: container.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        exit_code: state.exit_code.filter(|_| has_ended),
        out_of_memory: has_ended && state.oom_killed == Some(true),
        memory_limit: limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0),
        refusal,
        health,
        last_lines: Vec::new(),
    }
}
