//! The calls of a plan, one by one, as the Engine takes them.

use std::io;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, CreateImageInfo, EndpointSettings, ErrorDetail, NetworkConnectRequest,
    NetworkCreateRequest, PushImageInfo, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, PushImageOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, RenameContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bollard::{Docker, body_full};
use futures::{Stream, StreamExt};
use kernel_core::container::{Call, ContainerFile, CreateContainer, HASH_LABEL, IMAGE_LABEL, id_of};
use kernel_core::exit::ExitCode;
use kernel_engine::{Context, EngineError};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use crate::address::ApiVersion;
use crate::digest::sha256;
use crate::trouble::{is_missing, trouble, went_away};
use crate::{ask, codes, credentials, hook, observe};

/// Carries out calls, as many at once as the Engine can stand.
#[derive(Debug)]
pub(crate) struct Calls {
    docker: Docker,
    creates: Semaphore,
    starts: Semaphore,
}

/// An Engine from 23.0 on (API 1.42) is quickest when everything starts at once. Older ones get slower beyond four:
/// measured on 20.10 with two processors, 1 / 2 / 4 / 12 at once took 5.3 / 3.5 / 2.9 / 4.7 s.
const STARTS: usize = 64;
const STARTS_OF_OLD: usize = 4;

/// How long a name may be reserved before its container is there, and how often it is looked for.
const VISIBLE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Calls {
    pub(crate) fn new(docker: Docker, api: ApiVersion, parallel: Option<usize>) -> Self {
        let limit = parallel.unwrap_or(if api < ApiVersion(1, 42) { STARTS_OF_OLD } else { STARTS });
        Self { docker, creates: Semaphore::new(limit), starts: Semaphore::new(limit) }
    }

    pub(crate) async fn apply(&self, call: &Call, context: &Context) -> Result<(), EngineError> {
        let docker = &self.docker;
        match call {
            Call::PullImage { image, platform } => {
                pull(docker, image, platform.as_deref(), &|text| context.progress(text, None, None)).await
            }
            Call::PushImage { image } => {
                push(docker, image, &|text| context.progress(text, None, None)).await
            }
            Call::CreateNetwork { name, body } => {
                let request: NetworkCreateRequest = structure(body.expose())?;
                let created = docker.create_network(request).await.map(drop);
                created.map_err(|error| trouble(&format!("creating the network {name}"), error))
            }
            Call::RemoveNetwork { id } => self.remove_network(id).await,
            Call::CreateVolume { body } => {
                let request: VolumeCreateRequest = structure(body.expose())?;
                let created = docker.create_volume(request).await.map(drop);
                created.map_err(|error| trouble("creating the volume", error))
            }
            Call::RemoveVolume { name } => {
                match docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
                    Err(error) if !is_missing(&error) => {
                        Err(trouble(&format!("removing the volume {name}"), error))
                    }
                    _ => Ok(()),
                }
            }
            Call::CreateContainer(create) => self.create(create).await,
            Call::ConnectNetwork { container, network, settings } => {
                let endpoint: EndpointSettings = structure(settings.expose())?;
                let request =
                    NetworkConnectRequest { container: container.clone(), endpoint_config: Some(endpoint) };
                let connected = docker.connect_network(network, request).await;
                connected.map_err(|error| trouble(&format!("connecting {container} to {network}"), error))
            }
            Call::CopyFiles { container, files } => self.copy(container, files).await,
            Call::StartContainer { container } => self.start(container).await,
            Call::RunHook { container, name, hook } => {
                hook::run(docker, container, name, hook, context).await
            }
            // The engine itself waits: it has the events.
            Call::AwaitContainer { container } => {
                let message = format!("waiting for {container} is no call");
                Err(EngineError::new(kernel_engine::codes::UNSUPPORTED, ExitCode::Failed, message))
            }
            Call::UnpauseContainer { container } => docker
                .unpause_container(container)
                .await
                .map_err(|error| trouble(&format!("letting {container} go on"), error)),
            Call::StopContainer { container, name, grace } => self.stop(container, name, *grace).await,
            Call::RemoveContainer { container, name } => {
                let options = RemoveContainerOptionsBuilder::new().build();
                let removed = docker.remove_container(container, Some(options)).await;
                removed.map_err(|error| trouble(&format!("removing the container {name}"), error))
            }
            Call::RenameContainer { container, name } => {
                let options = RenameContainerOptionsBuilder::new().name(name).build();
                let renamed = docker.rename_container(container, options).await;
                renamed.map_err(|error| trouble(&format!("naming {container} {name}"), error))
            }
        }
    }

    /// Creates a container. What was not known when the plan was made is known now: the image's id, and the ids of the
    /// containers that this one shares something with.
    async fn create(&self, create: &CreateContainer) -> Result<(), EngineError> {
        let what = format!("creating the container {}", create.name);
        let mut body = create.body.expose().clone();
        let mut config = create.config.as_ref().map(|text| text.expose().to_owned());
        for (service, container) in &create.shares {
            let found = ask::inspect(&self.docker, container).await.map_err(|error| trouble(&what, error))?;
            let (place, id) = (id_of(service), found.id.unwrap_or_default());
            fill_in(&mut body, &place, &id);
            config = config.map(|text| text.replace(&place, &id));
        }
        let mut labels = Vec::new();
        labels.extend(config.map(|text| (HASH_LABEL, sha256(&text))));
        if body.pointer(&format!("/Labels/{IMAGE_LABEL}")).is_none() {
            let image = observe::image(&self.docker, &create.image).await?;
            labels.extend(image.map(|(_, image)| (IMAGE_LABEL, image.id)));
        }
        if let Some(known) = body.get_mut("Labels").and_then(Json::as_object_mut) {
            known.extend(labels.into_iter().map(|(name, value)| (name.to_owned(), Json::String(value))));
        }
        let body: ContainerCreateBody = structure(&body)?;
        let mut options = CreateContainerOptionsBuilder::new().name(&create.name);
        if let Some(platform) = &create.platform {
            options = options.platform(platform);
        }
        let _permit = self.creates.acquire().await;
        let Err(error) = self.docker.create_container(Some(options.build()), body).await else {
            return Ok(());
        };
        if matches!(error, Error::DockerResponseServerError { status_code: 409, .. }) {
            self.until_visible(&create.name).await;
        }
        Err(trouble(&what, error))
    }

    /// The Engine reserves a name before it has the container. Who looked again before that would try the same once more.
    async fn until_visible(&self, name: &str) {
        let looks = async {
            while ask::inspect(&self.docker, name).await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        // When it never comes, somebody's attempt failed, and the next one of ours may not.
        let _it_may_never_come = tokio::time::timeout(VISIBLE_WITHIN, looks).await;
    }

    async fn start(&self, container: &str) -> Result<(), EngineError> {
        let _permit = self.starts.acquire().await;
        // That it runs already, because another command was quicker, is no error.
        let started = self.docker.start_container(container, None::<StartContainerOptions>).await;
        started.map_err(|error| trouble(&format!("starting the container {container}"), error))
    }

    async fn stop(&self, container: &str, name: &str, grace: Option<Duration>) -> Result<(), EngineError> {
        let mut options = StopContainerOptionsBuilder::new();
        if let Some(seconds) = grace.and_then(|grace| i32::try_from(grace.as_secs()).ok()) {
            options = options.t(seconds);
        }
        // That it had ended before is no error.
        let stopped = self.docker.stop_container(container, Some(options.build())).await;
        stopped.map_err(|error| trouble(&format!("stopping the container {name}"), error))
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let Err(error) = self.docker.remove_network(id).await else { return Ok(()) };
        if is_missing(&error) {
            return Ok(());
        }
        let mut failure = trouble("removing the network", error);
        if failure.code == codes::NETWORK_IN_USE
            && let Ok(network) = self.docker.inspect_network(id, None).await
        {
            let connected = network.containers.unwrap_or_default().into_values();
            let names: Vec<String> = connected.filter_map(|container| container.name).collect();
            let network = network.name.unwrap_or_default();
            failure.message = format!(
                "the network {network} can't be removed: {} of somebody else {} connected to it",
                names.join(", "),
                if names.len() == 1 { "is" } else { "are" }
            );
            let first = names.first().cloned().unwrap_or_default();
            failure.help = Some(format!(
                "`docker network disconnect -f {network} {first}` takes it out; then run the command again"
            ));
        }
        Err(failure)
    }

    async fn copy(&self, container: &str, files: &[ContainerFile]) -> Result<(), EngineError> {
        let what = format!("putting files into {container}");
        let archive = archive(files).map_err(|error| {
            EngineError::new(codes::REFUSED, ExitCode::Failed, format!("{what} failed")).because(error)
        })?;
        let options =
            UploadToContainerOptionsBuilder::new().path("/").no_overwrite_dir_non_dir("true").build();
        let copied =
            self.docker.upload_to_container(container, Some(options), body_full(archive.into())).await;
        copied.map_err(|error| trouble(&what, error))
    }
}

/// Fetches an image. Errors come in the middle of a stream that began with success.
pub(crate) async fn pull(
    docker: &Docker,
    image: &str,
    platform: Option<&str>,
    told: &(dyn Fn(String) + Send + Sync),
) -> Result<(), EngineError> {
    let mut options = CreateImageOptionsBuilder::new().from_image(image);
    if !image.contains('@') && !image.rsplit('/').next().unwrap_or(image).contains(':') {
        options = options.tag("latest");
    }
    if let Some(platform) = platform {
        options = options.platform(platform);
    }
    let answers = docker.create_image(Some(options.build()), None, credentials::of(image));
    let answers = answers
        .map(|answer| answer.map(|CreateImageInfo { status, error_detail, .. }| (status, error_detail)));
    follow(answers, told, &format!("fetching the image `{image}`"), |problem| {
        let message = format!("the image `{image}` is not there and can't be fetched: {problem}");
        EngineError::new(codes::NO_IMAGE, ExitCode::Prerequisite, message).help(
            "check its name, the network and `docker login`; an image of this workspace is made by `kernel build`",
        )
    })
    .await
}

/// Sends an image to the registry that its name says.
async fn push(
    docker: &Docker,
    image: &str,
    told: &(dyn Fn(String) + Send + Sync),
) -> Result<(), EngineError> {
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    };
    let options = PushImageOptionsBuilder::new().tag(tag).build();
    let credentials = Some(credentials::of(image).unwrap_or_default());
    let answers = docker.push_image(name, Some(options), credentials);
    let answers =
        answers.map(|answer| answer.map(|PushImageInfo { status, error_detail, .. }| (status, error_detail)));
    follow(answers, told, &format!("sending the image `{image}`"), |problem| {
        let message = format!("the registry does not take the image `{image}`: {problem}");
        EngineError::new(codes::NOT_PUSHED, ExitCode::Failed, message)
            .help("check its name, the network and `docker login`; an image that is not there is made by `kernel build`")
    })
    .await
}

/// Listens until everything is said, and tells each word that is new. What went wrong is `refused`: the Engine says that in
/// the middle of an answer that began with success. `what` was attempted.
async fn follow(
    mut answers: impl Stream<Item = Result<(Option<String>, Option<ErrorDetail>), Error>> + Unpin,
    told: &(dyn Fn(String) + Send + Sync),
    what: &str,
    refused: impl Fn(String) -> EngineError,
) -> Result<(), EngineError> {
    let mut last = String::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok((_, Some(detail))) => return Err(refused(detail.message.unwrap_or_default())),
            Ok((status, None)) => {
                let status = status.unwrap_or_default();
                if status != last {
                    told(status.clone());
                    last = status;
                }
            }
            Err(
                Error::DockerResponseServerError { message, .. }
                | Error::DockerStreamError { error: message },
            ) => {
                return Err(refused(message));
            }
            Err(error) => return Err(went_away(what, error)),
        }
    }
    Ok(())
}

pub(crate) fn structure<T: DeserializeOwned>(body: &Json) -> Result<T, EngineError> {
    T::deserialize(body).map_err(|error| {
        let message = "what the Compose file says does not fit the Engine's API".to_owned();
        EngineError::new(codes::REFUSED, ExitCode::Usage, message)
            .because(error)
            .help("see which attribute has a value that docker would not take either")
    })
}

fn fill_in(value: &mut Json, place: &str, id: &str) {
    match value {
        Json::String(text) if text.contains(place) => *text = text.replace(place, id),
        Json::Array(items) => items.iter_mut().for_each(|item| fill_in(item, place, id)),
        Json::Object(entries) => entries.values_mut().for_each(|entry| fill_in(entry, place, id)),
        _ => {}
    }
}

fn archive(files: &[ContainerFile]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let content = file.content.expose().as_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.user);
        header.set_gid(file.group);
        archive.append_data(&mut header, file.path.trim_start_matches('/'), content)?;
    }
    archive.into_inner()
}
