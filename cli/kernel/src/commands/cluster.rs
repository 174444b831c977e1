//! What the commands about a cluster have in common: which cluster, which release, which files.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kernel_core::name::ProjectName;
use kernel_deploy::deploy::DeploySettings;
use kernel_deploy::{Address, Cluster, Fault, Manifest, Settings, manifest};
use kernel_ops::{Failure, problem};

use crate::codes::BAD_NAME;
use crate::context::Context;

/// How long a workload may take to become ready when nobody says.
const WAIT: Duration = Duration::from_secs(300);

/// Which cluster, and where in it.
#[derive(Args, Clone, Debug, Default)]
pub struct Target {
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

impl Target {
    /// Finds the way to it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn connect(&self) -> Result<Cluster, Failure> {
        let address = Address {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        };
        Cluster::connect(&address).await.map_err(|fault| failure(&[fault]))
    }
}

/// Files with objects.
#[derive(Args, Clone, Debug, Default)]
pub struct Files {
    /// A file with objects, or a folder with such files; may be said several times
    // The same id as the global one: clap then takes this in its place and carries the values over.
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,

    /// Also the folders in folders
    #[arg(short = 'R', long)]
    recursive: bool,
}

impl Files {
    /// Whether any was named.
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Reads them.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(&self, context: &Context) -> Result<Vec<Manifest>, Failure> {
        let folder = &context.environment.working_directory;
        let paths: Vec<PathBuf> = self
            .files
            .iter()
            .map(|path| {
                if path.is_relative() && *folder != std::path::Path::new(".") {
                    folder.join(path)
                } else {
                    path.clone()
                }
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
        Failure::new(kernel_core::exit::ExitCode::Usage, problem(BAD_NAME, message, help))
    })
}

/// Faults as the failure of a command: the first one decides how it ends.
#[must_use]
pub fn failure(faults: &[Fault]) -> Failure {
    let exit = faults.first().map_or(kernel_core::exit::ExitCode::Failed, Fault::exit);
    Failure::several(exit, faults.iter().map(Fault::problem).collect())
}
