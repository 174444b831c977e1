//! The executor's engine for images: compiles, assembles, hands on. Holds what the steps of one run share.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kernel_core::exit::ExitCode;
use kernel_core::name::ServiceName;
use kernel_core::plan::{Action, Plan, Step, Subject};
use kernel_core::unit::Observed;
use kernel_engine::codes::UNSUPPORTED;
use kernel_engine::{Context, Engine, EngineError};
use kernel_image::{
    Blob, Description, Image, Layer, Reference, check_static, program_layer, shared_layer, write_archive,
};
use tokio::sync::Semaphore;

use crate::archive;
use crate::codes;
use crate::converge::engine_failure;
use crate::failure::{Failure, problem};
use crate::images::cargo::{self, Program};
use crate::images::revision::Revision;
use crate::images::store::{DockerBuild, ImageStore, StoredImage};
use crate::images::target::{Dockerfile, Source, Target};
use crate::images::{BuildSettings, MadeImage, MadeResult, context, layout, push, texts};

/// How many images are assembled and sent at once. Two keep a disk and an Engine busy; more only compete.
const AT_ONCE: usize = 2;

/// What a linker's headers fit into.
const HEAD_BYTES: u64 = 4096;

/// Where images go, ready to be used.
pub enum Destination {
    /// An Engine.
    Engine(Box<dyn ImageStore>),
    /// A layout.
    Layout(layout::Writer),
    /// A registry.
    Registry(push::Pusher),
}

/// Makes images.
pub struct Maker<'a> {
    root: PathBuf,
    settings: &'a BuildSettings,
    revision: &'a Revision,
    targets: BTreeMap<ServiceName, Target>,
    destination: Destination,
    shared: Arc<Layer>,
    programs: tokio::sync::Mutex<BTreeMap<String, Program>>,
    made: Mutex<Vec<MadeImage>>,
    turns: Semaphore,
}

impl<'a> Maker<'a> {
    /// For the targets of one run.
    pub fn new(
        root: &Path,
        settings: &'a BuildSettings,
        revision: &'a Revision,
        targets: Vec<Target>,
        destination: Destination,
    ) -> Result<Self, Failure> {
        let shared = shared_layer().map_err(|error| {
            let help = "report this: it is a mistake of `kernel`";
            Failure::new(ExitCode::Failed, problem(codes::IMAGE_NOT_STATIC, error.to_string(), help))
        })?;
        Ok(Self {
            root: root.to_owned(),
            settings,
            revision,
            targets: targets.into_iter().map(|target| (target.service.clone(), target)).collect(),
            destination,
            shared: Arc::new(shared),
            programs: tokio::sync::Mutex::default(),
            made: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// The images that were made, by service; what is only complete as a whole is completed.
    pub async fn finish(self) -> Result<Vec<MadeImage>, Failure> {
        if let Destination::Layout(writer) = self.destination {
            writer.finish().await.map_err(|error| engine_failure(&error))?;
        }
        let mut made = self.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_by(|one, other| one.service.cmp(&other.service));
        Ok(made)
    }

    async fn program(&self, package: &str) -> Result<Program, EngineError> {
        let mut programs = self.programs.lock().await;
        if let (None, Some(folder)) = (programs.get(package), &self.settings.bin_dir) {
            let packages: Vec<String> =
                self.targets.values().filter_map(Target::package).map(str::to_owned).collect();
            let cargo = self.settings.cargo.as_deref();
            *programs = cargo::ready_made(&self.root, folder, cargo, &packages).await?;
        }
        programs.get(package).cloned().ok_or_else(|| {
            let message = format!("the program of package `{package}` was not built");
            EngineError::new(codes::IMAGE_NOT_STATIC, ExitCode::Failed, message)
        })
    }

    fn describe(&self, target: &Target, program: Program) -> Description {
        Description {
            title: target.service.to_string(),
            created: self.revision.created(),
            version: program.version,
            licenses: program.license,
            revision: self.revision.described(),
            source: self.revision.source.clone(),
        }
    }

    async fn assemble(&self, target: &Target, package: &str) -> Result<Image, EngineError> {
        let program = self.program(package).await?;
        let path = program.path.clone();
        let description = self.describe(target, program);
        let shared = Arc::clone(&self.shared);
        let shown = path.display().to_string();
        let assembled = tokio::task::spawn_blocking(move || assemble(&path, &description, shared)).await;
        assembled.map_err(io::Error::other).and_then(|result| result).map_err(|error| {
            let message = format!("`{shown}` can't be the program of an image");
            EngineError::new(codes::IMAGE_NOT_STATIC, ExitCode::Failed, message)
                .because(error)
                .help("programs for images are static ones for Linux on amd64")
        })
    }

    async fn make_from_package(
        &self,
        target: &Target,
        package: &str,
        context: &Context,
    ) -> Result<MadeImage, EngineError> {
        context.progress("assembling", None, None);
        let image = self.assemble(target, package).await?;
        let mut made = MadeImage {
            service: target.service.to_string(),
            names: texts(&target.names),
            id: image.id().to_string(),
            result: MadeResult::Unchanged,
            size: image.size(),
            sent: 0,
        };
        match &self.destination {
            Destination::Engine(store) => {
                (made.result, made.sent) = hand_to(&**store, &image, &target.names, context).await?;
            }
            Destination::Layout(writer) => {
                context.progress("compressing", None, None);
                made.sent = writer.add(&image, &target.names).await?.written;
                made.result = MadeResult::Written;
            }
            Destination::Registry(pusher) => {
                let pushed = pusher.push(&image, &target.names, context).await?;
                made.id = pushed.manifest.to_string();
                made.sent = pushed.sent;
                made.result = if pushed.sent == 0 { MadeResult::Unchanged } else { MadeResult::Pushed };
            }
        }
        Ok(made)
    }

    async fn make_from_dockerfile(
        &self,
        target: &Target,
        dockerfile: &Dockerfile,
        context: &Context,
    ) -> Result<MadeImage, EngineError> {
        let Destination::Engine(store) = &self.destination else {
            let message = format!("`{}` is built by an Engine, and only into it", target.service);
            return Err(EngineError::new(codes::IMAGE_NOTHING_TO_BUILD, ExitCode::Usage, message));
        };
        let (archive, path) = context::archive(dockerfile)?;
        let name = target.names[0].to_string();
        let build = DockerBuild {
            name: name.clone(),
            dockerfile: path,
            arguments: dockerfile.arguments.clone(),
            labels: self.describe(target, Program::default()).labels(),
            stage: dockerfile.stage.clone(),
            no_cache: self.settings.no_cache,
            pull: self.settings.pull,
            classic: self.settings.classic,
        };
        let before = store.find(&name).await?.map(|image| image.id);
        store.build(&build, archive, &|message| context.progress(message, None, None)).await?;
        let Some(image) = store.find(&name).await? else {
            let message = format!("the Engine built `{name}` and does not have it");
            return Err(EngineError::new(codes::IMAGE_NOT_TAKEN, ExitCode::Failed, message));
        };
        let unchanged = before.as_ref() == Some(&image.id);
        Ok(MadeImage {
            service: target.service.to_string(),
            names: texts(&target.names),
            id: image.id,
            result: if unchanged { MadeResult::Unchanged } else { MadeResult::Built },
            size: image.size,
            sent: 0,
        })
    }
}

#[async_trait]
impl Engine for Maker<'_> {
    fn name(&self) -> &'static str {
        "images"
    }

    async fn observe(&self) -> Result<Observed, EngineError> {
        Ok(Observed::default())
    }

    async fn prepare(&self, _plan: &Plan) -> Result<(), EngineError> {
        Ok(())
    }

    async fn apply(&self, step: &Step, context: &Context) -> Result<(), EngineError> {
        match (&step.action, step.subject.service()) {
            (Action::Build { packages }, None) if step.subject == Subject::Workspace => {
                let cargo = self.settings.cargo.as_deref();
                let programs = cargo::build(&self.root, cargo, packages, context).await?;
                *self.programs.lock().await = programs;
                Ok(())
            }
            (Action::Build { .. }, Some(service)) if self.targets.contains_key(service) => {
                let target = &self.targets[service];
                let _turn = self.turns.acquire().await;
                let made = match &target.source {
                    Source::Package(package) => self.make_from_package(target, package, context).await?,
                    Source::Dockerfile(dockerfile) => {
                        self.make_from_dockerfile(target, dockerfile, context).await?
                    }
                };
                context.progress(made.result.word(), None, None);
                self.made.lock().unwrap_or_else(PoisonError::into_inner).push(made);
                Ok(())
            }
            _ => {
                let message = format!("{}: images can't do `{}`", step.subject, step.action);
                Err(EngineError::new(UNSUPPORTED, ExitCode::Failed, message))
            }
        }
    }
}

/// Hands an image to an Engine, as little as possible: nothing when it is there, a name when only that is missing.
async fn hand_to(
    store: &dyn ImageStore,
    image: &Image,
    names: &[Reference],
    context: &Context,
) -> Result<(MadeResult, u64), EngineError> {
    let (mut there, mut missing) = (None, Vec::new());
    for name in names {
        match store.find(&name.to_string()).await?.filter(|found| is(found, image)) {
            Some(found) => there = Some(found.id),
            None => missing.push(name.clone()),
        }
    }
    if missing.is_empty() {
        return Ok((MadeResult::Unchanged, 0));
    }
    if there.is_none() {
        there =
            store.find(&image.id().to_string()).await?.filter(|found| is(found, image)).map(|found| found.id);
    }
    if let Some(id) = there {
        for name in &missing {
            store.tag(&id, name).await?;
        }
        return Ok((MadeResult::Tagged, 0));
    }
    context.progress("loading", None, None);
    let (content, given) = (image.clone(), missing.clone());
    store.load(archive::stream(move |out| write_archive(&content, &given, out))).await?;
    for name in &missing {
        if !store.find(&name.to_string()).await?.is_some_and(|found| is(&found, image)) {
            let message =
                format!("the Engine took the archive of `{name}` and has another image under that name");
            return Err(EngineError::new(codes::IMAGE_NOT_TAKEN, ExitCode::Failed, message)
                .help("somebody else may have given it the name at the same time; run the command again"));
        }
    }
    Ok((MadeResult::Loaded, image.size()))
}

/// Whether an Engine's image is ours. Most Engines know an image by the digest of its configuration; those with
/// containerd's store know it by another one, but layers and labels are the same.
fn is(found: &StoredImage, image: &Image) -> bool {
    let layers = || image.layers().iter().map(|layer| layer.diff_id().to_string());
    found.id == image.id().to_string()
        || (found.layers.iter().cloned().eq(layers()) && found.labels == *image.labels())
}

/// Judges the program and makes the image around it. Reads the program once.
fn assemble(path: &Path, description: &Description, shared: Arc<Layer>) -> io::Result<Image> {
    let mut head = Vec::new();
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    check_static(&head).map_err(io::Error::other)?;
    let program =
        program_layer(Arc::new(ProgramFile { path: path.to_owned(), size })).map_err(io::Error::other)?;
    Image::new(description, vec![shared, Arc::new(program)]).map_err(io::Error::other)
}

/// A program on disk.
#[derive(Debug)]
struct ProgramFile {
    path: PathBuf,
    size: u64,
}

impl Blob for ProgramFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(&self.path)?))
    }
}
