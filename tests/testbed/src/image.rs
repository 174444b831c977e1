//! The images of the parts, made from `tests/testbed/images` and kept in the Engine.
//!
//! An image is made again when something that it is made from has changed: its folder, the base, the pins that its
//! files name. All that went into it is one key, which it carries as a label.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, CreateImageOptions};
use futures::{Stream, StreamExt};
use tokio::process::Command;
use tokio_util::io::ReaderStream;

use crate::cache::{Cache, Key};
use crate::container::{self, Once};
use crate::debian;
use crate::engine::Engine;
use crate::failure::{Failure, because};
use crate::part::Part;
use crate::pins::Pins;
use crate::program;

/// The prefix of every image that the testbed makes: nothing of ours can be taken for an upstream image.
pub const PREFIX: &str = "kernel-testbed/";
/// The folder of what several parts' programs `fetch` share.
const SHARED: &str = "lib";
/// The label that tells what an image was made from.
const KEY: &str = "kernel.testbed.key";
/// The label that tells which version is really inside.
pub const VERSION: &str = "org.opencontainers.image.version";
/// The program of every image that prints that version.
const VERSION_PROGRAM: &str = "/usr/local/bin/part-version";

/// What images are made with.
#[derive(Clone, Debug)]
pub struct Images<'a> {
    /// Where they are kept.
    pub engine: &'a Engine,
    /// Where what they are made from is kept.
    pub cache: &'a Cache,
    /// `tests/testbed/images`.
    pub folder: PathBuf,
    /// The pins.
    pub pins: &'a Pins,
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name with its tag.
    pub name: String,
    /// The version that is really inside.
    pub version: String,
}

impl Images<'_> {
    /// The base of all others: a minimal Debian.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn base(&self) -> Result<String, Failure> {
        let folder = self.folder.join("base");
        let key = Key::new().with(debian::RELEASE).with_folder(&folder)?;
        let tag = key.text();
        let name = format!("{PREFIX}base:{tag}");
        let _lock = self.cache.lock("image-base").await?;
        if self.engine.client().inspect_image(&name).await.is_ok() {
            return Ok(name);
        }
        // Installed here, so that two builds never ask dpkg at the same time.
        debian::install(self.cache, &[("mmdebstrap", "mmdebstrap")]).await?;
        let log = self.cache.folder("logs")?.join("image-base.log");
        let root = self
            .cache
            .entry("base", &key, async |out| {
                let mut command = Command::new(folder.join("build"));
                command.env("OUT", &out);
                program::logged(&mut command, "making the base image's root file system", &log).await
            })
            .await?;
        let file = open(&root.join("base.tar")).await?;
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(format!("{PREFIX}base")),
            tag: Some(tag),
            changes: vec![format!("LABEL {}={}", crate::engine::LABEL, self.cache.root().display())],
            ..CreateImageOptions::default()
        };
        let body = bollard::body_try_stream(ReaderStream::new(file));
        let mut answers = std::pin::pin!(self.engine.client().create_image(Some(options), Some(body), None));
        while let Some(answer) = answers.next().await {
            answer.map_err(because("importing the base image"))?;
        }
        Ok(name)
    }

    /// The image of a part.
    ///
    /// # Errors
    /// When it can't be made: says which step failed and what that step said last.
    pub async fn of(&self, part: &Part, base: &str) -> Result<Image, Failure> {
        let key = self.key(part)?.with(base);
        let name = format!("{PREFIX}{}:{}", part.repository, self.pins.get(part.pin)?);
        let _lock = self.cache.lock(&format!("image-{}", part.name)).await?;
        if let Some(version) = self.made_from(&name, &key).await {
            return Ok(Image { name, version });
        }
        let fetched = self.fetch(part).await?;
        let build = self.build(part, fetched.as_deref(), base).await?;
        let version = container::once(self.engine, &Once::new(&build, &[VERSION_PROGRAM])).await?;
        let version = version.trim().to_owned();
        if version.is_empty() || version.contains(['"', '\n']) {
            return Err(Failure::new(format!(
                "`{VERSION_PROGRAM}` of {} prints no version: {version:?}",
                part.name
            )));
        }
        self.label(part, &name, &build, &version, &key).await?;
        Ok(Image { name, version })
    }

    /// The version in an image, when it was made from exactly this.
    async fn made_from(&self, name: &str, key: &Key) -> Option<String> {
        let image = self.engine.client().inspect_image(name).await.ok()?;
        let labels = image.config?.labels?;
        (labels.get(KEY)? == &key.text()).then(|| labels.get(VERSION).cloned())?
    }

    /// The folder of what the part needs from package registries, fetched when it is not there; `None` for a part
    /// without a program `fetch`.
    ///
    /// # Errors
    /// When it can't be fetched.
    pub async fn fetch(&self, part: &Part) -> Result<Option<PathBuf>, Failure> {
        let folder = self.folder.join(part.name);
        let fetch = folder.join("fetch");
        if !fetch.exists() {
            return Ok(None);
        }
        let key = self.key(part)?.with("fetched").with(debian::RELEASE);
        let downloads = self.cache.folder("downloads")?;
        let log = self.cache.folder("logs")?.join(format!("fetch-{}.log", part.name));
        let texts = texts(&folder)?;
        let make = async |out: PathBuf| {
            let mut command = Command::new(&fetch);
            command.current_dir(&folder).env("OUT", &out).env("CACHE", &downloads);
            command.envs(self.pins.mentioned(&texts));
            program::logged(&mut command, &format!("fetching what {} is made of", part.name), &log).await
        };
        self.cache.entry("fetched", &key, make).await.map(Some)
    }

    /// What a part is made from, but for the base.
    fn key(&self, part: &Part) -> Result<Key, Failure> {
        let folder = self.folder.join(part.name);
        let mut key =
            Key::new().with(part.name).with_folder(&folder)?.with_folder(&self.folder.join(SHARED))?;
        for (name, value) in self.pins.mentioned(&texts(&folder)?) {
            key = key.with(name).with(value);
        }
        Ok(key)
    }

    async fn build(&self, part: &Part, fetched: Option<&Path>, base: &str) -> Result<String, Failure> {
        let folder = self.folder.join(part.name);
        let texts = texts(&folder)?;
        let context = self.cache.folder("contexts")?.join(format!("{}.tar", part.name));
        pack(&folder, fetched, &context).await?;
        let arguments = self.pins.mentioned(&texts).chain([("BASE", base)]);
        let tag = format!("{PREFIX}build/{}:latest", part.name);
        let options = BuildImageOptions {
            dockerfile: "Dockerfile".to_owned(),
            t: Some(tag.clone()),
            rm: true,
            forcerm: true,
            buildargs: Some(arguments.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
            labels: Some(self.engine.labels()),
            networkmode: Some("host".to_owned()),
            ..BuildImageOptions::default()
        };
        let body = bollard::body_try_stream(ReaderStream::new(open(&context).await?));
        let answers = self.engine.client().build_image(options, None, Some(body));
        let result = follow(answers, &format!("building the image of {}", part.name)).await;
        drop(tokio::fs::remove_file(&context).await);
        result.map(|()| tag)
    }

    /// Gives the image its name, with labels that tell what is inside.
    async fn label(
        &self,
        part: &Part,
        name: &str,
        build: &str,
        version: &str,
        key: &Key,
    ) -> Result<(), Failure> {
        let dockerfile = format!("FROM {build}\n");
        let mut labels = self.engine.labels();
        labels.insert(VERSION.to_owned(), version.to_owned());
        labels.insert(KEY.to_owned(), key.text());
        let mut context = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(dockerfile.len() as u64);
        header.set_mode(0o644);
        let attempted = format!("labelling the image of {}", part.name);
        context.append_data(&mut header, "Dockerfile", dockerfile.as_bytes()).map_err(because(&attempted))?;
        let context = context.into_inner().map_err(because(&attempted))?;
        let options = BuildImageOptions {
            dockerfile: "Dockerfile".to_owned(),
            t: Some(name.to_owned()),
            rm: true,
            labels: Some(labels),
            ..BuildImageOptions::default()
        };
        let body = bollard::body_full(context.into());
        follow(self.engine.client().build_image(options, None, Some(body)), &attempted).await
    }
}

/// All that a part's files say, to see which pins they name.
fn texts(folder: &Path) -> Result<String, Failure> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(because(format!("reading `{}`", path.display())));
    let texts: Result<Vec<Vec<u8>>, Failure> = crate::cache::files_below(folder)?.iter().map(read).collect();
    Ok(String::from_utf8_lossy(&texts?.concat()).into_owned())
}

/// Listens to a build until it ends. A failed one says so in its stream only.
async fn follow(
    answers: impl Stream<Item = Result<BuildInfo, bollard::errors::Error>>,
    attempted: &str,
) -> Result<(), Failure> {
    let mut said = String::new();
    let mut answers = std::pin::pin!(answers);
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(BuildInfo { error_detail: Some(error), .. }) => {
                let message = error.message.unwrap_or_default();
                return Err(Failure::new(format!("{attempted}: {message}")).evidence(&said));
            }
            Ok(answer) => said.push_str(&answer.stream.unwrap_or_default()),
            Err(error) => return Err(Failure::new(format!("{attempted}: {error}")).evidence(&said)),
        }
    }
    Ok(())
}

/// One archive of a part's folder and, below `fetched`, of what was fetched for it.
async fn pack(folder: &Path, fetched: Option<&Path>, archive: &Path) -> Result<(), Failure> {
    let attempted = format!("packing `{}`", folder.display());
    let (folder, fetched) = (folder.to_owned(), fetched.map(Path::to_owned));
    let file = std::fs::File::create(archive).map_err(because(&attempted))?;
    let work = move || -> std::io::Result<()> {
        let mut builder = tar::Builder::new(std::io::BufWriter::new(file));
        builder.follow_symlinks(false);
        builder.append_dir_all("", &folder)?;
        if let Some(fetched) = fetched {
            builder.append_dir_all("fetched", &fetched)?;
        }
        builder.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(())
    };
    let result = tokio::task::spawn_blocking(work).await.map_err(because(&attempted))?;
    result.map_err(because(attempted))
}

async fn open(path: &Path) -> Result<tokio::fs::File, Failure> {
    tokio::fs::File::open(path).await.map_err(because(format!("reading `{}`", path.display())))
}

/// Removes every image of this testbed from the Engine.
///
/// # Errors
/// When one is in use by a container that is not ours.
pub async fn remove_all(engine: &Engine) -> Result<(), Failure> {
    let options = bollard::query_parameters::ListImagesOptions {
        filters: Some(engine.ours()),
        ..bollard::query_parameters::ListImagesOptions::default()
    };
    let images =
        engine.client().list_images(Some(options)).await.map_err(because("listing the testbed's images"))?;
    for image in images {
        for name in image.repo_tags {
            let removed = engine.client().remove_image(
                &name,
                None::<bollard::query_parameters::RemoveImageOptions>,
                None,
            );
            removed.await.map_err(because(format!("removing the image `{name}`")))?;
        }
    }
    Ok(())
}

/// The labels of an image, when it is there.
pub async fn labels(engine: &Engine, name: &str) -> Option<HashMap<String, String>> {
    engine.client().inspect_image(name).await.ok()?.config?.labels
}
