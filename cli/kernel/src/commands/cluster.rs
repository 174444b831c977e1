//! What the commands about a cluster have in common: which cluster, which release, which files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kernel_core::event::Problem;
use kernel_core::exit::ExitCode;
use kernel_core::name::ProjectName;
use kernel_core::plan::Plan;
use kernel_deploy::deploy::DeploySettings;
use kernel_deploy::{Address, Cluster, Fault, Manifest, Settings, codes, manifest, severe};
use kernel_manifests::environment::{Environment, Probe};
use kernel_manifests::placeholder::{Placeholder, placeholders};
use kernel_ops::manifests::{self, RenderSettings};
use kernel_ops::{Failure, load, problem};

use crate::codes::{BAD_NAME, BAD_PLAN};
use crate::confirm::Question;
use crate::context::Context;

/// How long a workload may take to become ready when nobody says.
const WAIT: Duration = Duration::from_secs(300);

/// Which cluster, and where in it.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
    /// An environment of the workspace, `k8s/environments/ENV.yaml`: it says which cluster and where in it
    #[arg(value_name = "ENV")]
    environment: Option<String>,

    /// Where objects go that don't say it themselves [default: the context's namespace]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// A context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig [env: KUBECONFIG] [default: ~/.kube/config, or the cluster that this runs in]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A cluster, and what was said of it beforehand.
pub struct Place {
    /// The cluster.
    pub cluster: Cluster,
    /// Whether every change has to be confirmed.
    pub confirm: bool,
    /// Whom the environment wants to be asked during a rollout.
    pub probe: Probe,
}

impl Target {
    /// The environment that was named.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// Finds the way to it. With an environment it is the environment's way and no other.
    ///
    /// # Errors
    /// When there is none, or it leads elsewhere.
    pub async fn connect(&self, context: &Context) -> Result<Place, Failure> {
        let mut address = Address {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
            server: None,
        };
        let environment = self.environment.as_deref();
        let environment = environment.map(|name| self.look_up(context, name)).transpose()?;
        if let Some(environment) = &environment {
            address.context = Some(environment.context.clone());
            address.namespace = Some(environment.namespace.clone());
            address.server = Some(environment.cluster.clone());
        }
        let cluster = Cluster::connect(&address).await.map_err(|fault| failure(&[fault]))?;
        let (confirm, probe) =
            environment.map(|environment| (environment.confirm, environment.probe)).unwrap_or_default();
        Ok(Place { cluster, confirm, probe })
    }

    /// What an environment says; what is said beside it has to be the same.
    fn look_up(&self, context: &Context, name: &str) -> Result<Environment, Failure> {
        let workspace = load::workspace(&context.load_settings())?;
        let environment = manifests::environment(&workspace, name)?;
        let pairs = [
            ("--context", self.context.as_deref(), &environment.context),
            ("--namespace", self.namespace.as_deref(), &environment.namespace),
        ];
        let other = |(option, said, is): &(&str, Option<&str>, &String)| {
            let said = said.filter(|said| said != is)?;
            let message = format!("`{option} {said}` is not where `{name}` is: its file says `{is}`");
            let help = format!(
                "leave `{option}` out; another place is another file in `{}`",
                manifests::ENVIRONMENTS
            );
            Some(problem(codes::ELSEWHERE, message, help))
        };
        let problems: Vec<_> = pairs.iter().filter_map(other).collect();
        if problems.is_empty() { Ok(environment) } else { Err(Failure::several(ExitCode::Usage, problems)) }
    }
}

/// The objects that are wanted.
#[derive(Args, Clone, Debug, Default)]
pub struct Files {
    /// A file with objects, or a folder with such files; may be said several times
    // The same id as the global one: clap then takes this in its place and carries the values over.
    #[arg(short = 'f', long = "file", value_name = "PATH", conflicts_with = "environment")]
    files: Vec<PathBuf>,

    /// Also the folders in folders
    #[arg(short = 'R', long)]
    recursive: bool,

    /// The digests of the environment's images: lines of NAME=sha256:…, or the answer of `kernel images push -o json`
    #[arg(long, value_name = "FILE", requires = "environment")]
    digests: Option<PathBuf>,

    /// The values of the environment's secrets, as lines of NAME=value
    #[arg(long, value_name = "FILE", requires = "environment")]
    secrets: Option<PathBuf>,
}

impl Files {
    /// Reads them, or renders those of the environment.
    ///
    /// # Errors
    /// Everything that is wrong with any of them; what only a release knows and nobody handed in; nothing was named.
    pub fn read(&self, context: &Context, environment: Option<&str>) -> Result<Vec<Manifest>, Failure> {
        let manifests = match environment {
            Some(environment) => self.render(context, environment)?,
            None if self.files.is_empty() => {
                let message = "nothing says what is to be deployed";
                let help = "name an environment of the workspace, or files with `-f PATH`";
                return Err(Failure::new(ExitCode::Usage, problem(BAD_PLAN, message, help)));
            }
            None => self.read_files(&context.environment.working_directory)?,
        };
        refuse_placeholders(&manifests)?;
        Ok(manifests)
    }

    fn read_files(&self, folder: &Path) -> Result<Vec<Manifest>, Failure> {
        let paths: Vec<PathBuf> = self
            .files
            .iter()
            .map(|path| {
                if path.is_relative() && folder != Path::new(".") { folder.join(path) } else { path.clone() }
            })
            .collect();
        let mut manifests = manifest::read(&paths, self.recursive).map_err(|faults| failure(&faults))?;
        // As they were named, so that an editor's click still finds them.
        let prefix = format!("{}/", folder.display());
        for manifest in &mut manifests {
            if let Some(short) = manifest.origin.file.strip_prefix(&prefix) {
                manifest.origin.file = short.to_owned();
            }
        }
        Ok(manifests)
    }

    /// The environment's manifests as its sources give them now, with what only a release knows.
    fn render(&self, context: &Context, environment: &str) -> Result<Vec<Manifest>, Failure> {
        let here = &context.environment.working_directory;
        let workspace = load::workspace(&context.load_settings())?;
        let settings = RenderSettings {
            environments: vec![environment.to_owned()],
            digests: self.digests.as_ref().map(|path| here.join(path)),
            secrets: self.secrets.as_ref().map(|path| here.join(path)),
        };
        let (mut manifests, mut faults) = (Vec::new(), Vec::new());
        for rendering in manifests::release(&workspace, &settings)? {
            for file in &rendering.files {
                manifest::parse(&rendering.shown(file), &file.text, &mut manifests, &mut faults);
            }
        }
        if faults.is_empty() { Ok(manifests) } else { Err(failure(&faults)) }
    }
}

/// What stands for a digest or a secret is no digest and no secret.
fn refuse_placeholders(manifests: &[Manifest]) -> Result<(), Failure> {
    let (mut images, mut values) = (Vec::new(), Vec::new());
    for manifest in manifests {
        let place = format!("{}: {}", manifest.origin, manifest.name());
        for placeholder in placeholders(&manifest.body) {
            match placeholder {
                Placeholder::Digest(image) => images.push(format!("{place}: {image}")),
                Placeholder::Values => values.push(place.clone()),
            }
        }
    }
    let told = |lines: Vec<String>, what: &str, option: &str| {
        let message = format!("{what} are placeholders; nothing was sent to a cluster");
        let help = format!(
            "hand the real ones in: `kernel deploy ENV {option} FILE`, or render with `{option} FILE`"
        );
        let problem = problem(kernel_manifests::codes::PLACEHOLDER, message, help);
        (!lines.is_empty()).then_some(Problem { evidence: lines, ..problem })
    };
    let digests = told(images, "the digests of images", "--digests");
    let secrets = told(values, "the values of secrets", "--secrets");
    let problems: Vec<Problem> = digests.into_iter().chain(secrets).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::several(ExitCode::Usage, problems)) }
}

/// Severe actions are confirmed.
#[derive(Args, Clone, Debug, Default)]
pub struct Confirmation {
    /// Confirm what takes something away or goes where every change is confirmed, by the release's name; without it the
    /// name is asked for, where there is a terminal
    #[arg(long, value_name = "RELEASE")]
    confirm: Option<String>,
}

impl Confirmation {
    /// Sees to it that what is severe in `plan` was confirmed. What was confirmed is carried out and nothing else.
    ///
    /// # Errors
    /// When it was not, or by another name.
    pub fn see(
        &self,
        context: &Context,
        place: &Place,
        plan: &Plan,
        settings: &mut DeploySettings,
    ) -> Result<(), Failure> {
        let name = settings.name.as_str();
        let mut reasons: Vec<String> = if settings.remove {
            plan.steps.iter().map(ToString::to_string).collect()
        } else {
            severe(plan).into_iter().map(ToString::to_string).collect()
        };
        if place.confirm {
            reasons.insert(0, "in this environment every change is confirmed".to_owned());
        }
        if plan.is_empty() || reasons.is_empty() {
            return Ok(());
        }
        Question {
            what: "release",
            name,
            reasons,
            untouched: format!("nothing was changed in release {name}"),
            code: codes::UNCONFIRMED,
        }
        .answer(context, self.confirm.as_deref())?;
        settings.approved.get_or_insert_with(|| kernel_deploy::digest(plan));
        Ok(())
    }
}

/// How what is there may be treated.
#[derive(Args, Clone, Debug, Default)]
pub struct Rules {
    /// How long a workload may take to become ready, such as 90s or 10m [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = crate::values::duration)]
    wait_timeout: Option<Duration>,

    /// Take fields over that other tools set
    #[arg(long)]
    force_conflicts: bool,

    /// Remove and make anew what can't be changed where it stands; it is not there in between
    #[arg(long)]
    replace: bool,

    /// Leave what is no longer in the files
    #[arg(long)]
    no_prune: bool,

    /// Deploy also what the nodes and quotas have no room for now
    #[arg(long)]
    no_room_check: bool,
}

/// What a deploy of the release is done with.
///
/// # Errors
/// When the release can't have this name.
pub fn settings(
    context: &Context,
    cluster: &Cluster,
    rules: &Rules,
    note: String,
) -> Result<DeploySettings, Failure> {
    let variable = |name: &str| context.environment.get(name).map(str::to_owned);
    let person = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(DeploySettings {
        name: name(context, cluster)?,
        settings: Settings { force_conflicts: rules.force_conflicts, replace: rules.replace },
        wait: rules.wait_timeout.unwrap_or(WAIT),
        prune: !rules.no_prune,
        roll_back: true,
        approved: None,
        by: format!("{person}@{machine}"),
        note,
        probe: None,
        remove: false,
        check_room: !rules.no_room_check,
        check_way_back: false,
    })
}

/// The release's name: `-p NAME`, else the namespace's.
///
/// # Errors
/// When that is no name.
pub fn name(context: &Context, cluster: &Cluster) -> Result<ProjectName, Failure> {
    let name = context.settings.project_name.clone().unwrap_or_else(|| cluster.namespace.clone());
    ProjectName::new(name.clone()).map_err(|error| {
        let message = format!("`{name}` can't be the name of a release: {error}");
        let help = "choose one with `-p NAME`: small letters, digits and `-`";
        Failure::new(ExitCode::Usage, problem(BAD_NAME, message, help))
    })
}

/// Faults as the failure of a command: the first one decides how it ends.
#[must_use]
pub fn failure(faults: &[Fault]) -> Failure {
    let exit = faults.first().map_or(ExitCode::Failed, Fault::exit);
    Failure::several(exit, faults.iter().map(Fault::problem).collect())
}
