//! `kernel manifests`: what goes to Kubernetes, as text.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kernel_core::exit::ExitCode;
use kernel_ops::manifests::{self, Change, RENDERED, RenderSettings, Rendering};
use kernel_ops::{Failure, Workspace, load, problem};

use crate::codes::PLACEHOLDERS_STAY;
use crate::context::Context;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  kernel manifests render                 write the committed manifests of every environment
  kernel manifests render staging         those of one
  kernel manifests render --check         fail when a committed file is not what its sources give";

const RENDER_EXAMPLES: &str = "\
Examples:
  kernel manifests render                 write the committed manifests of every environment
  kernel manifests render --check         exits with 3 when a committed file is not what its sources give
  kernel manifests render staging -o -    print them as one YAML stream
  kernel images push --owner acme -o json > images.json
  kernel manifests render staging --digests images.json --secrets staging.env -o out";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the manifests of environments from the Compose file, the templates and `k8s/environments`
    ///
    /// Committed manifests have placeholders for the digests of images and the values of secrets; a deploy refuses them.
    #[command(before_help = RENDER_EXAMPLES)]
    Render(RenderArguments),
}

#[derive(Args, Debug)]
struct RenderArguments {
    /// The environments; without names all
    #[arg(value_name = "ENV")]
    environments: Vec<String>,

    /// Compare with what is committed and write nothing
    #[arg(long, conflicts_with_all = ["output", "digests", "secrets"])]
    check: bool,

    /// Write below this folder, or print with `-` [default: k8s/rendered]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// The digests of a release's images: lines of NAME=sha256:…, or the answer of `kernel images push -o json`
    #[arg(long, value_name = "FILE")]
    digests: Option<PathBuf>,

    /// The values of secrets, as lines of NAME=value; files with them can be read by their owner only
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let Action::Render(arguments) = arguments.action;
    let workspace = load::workspace(&context.load_settings())?;
    let here = &context.environment.working_directory;
    let settings = RenderSettings {
        environments: arguments.environments,
        digests: arguments.digests.map(|path| here.join(path)),
        secrets: arguments.secrets.map(|path| here.join(path)),
    };
    let output = arguments.output.map(|path| if path.as_os_str() == "-" { path } else { here.join(path) });
    if output.is_none() && (settings.digests.is_some() || settings.secrets.is_some()) {
        let message = format!("a release's manifests do not go into `{RENDERED}`, which is committed");
        let help = "name a folder with `--output`, or `-` to print them";
        return Err(Failure::new(ExitCode::Usage, problem(PLACEHOLDERS_STAY, message, help)));
    }
    let renderings = manifests::render(&workspace, &settings)?;
    if arguments.check {
        manifests::check(&workspace, &renderings)?;
        let files: usize = renderings.iter().map(|rendering| rendering.files.len()).sum();
        output::answer(&format!("{files} files in {RENDERED} are what their sources give\n"));
        return Ok(ExitCode::Success);
    }
    match output {
        Some(path) if path.as_os_str() == "-" => print(&renderings),
        folder => {
            let folder = folder.unwrap_or_else(|| workspace.root().join(RENDERED));
            let done = manifests::write(&renderings, &folder, context.settings.dry_run)?;
            tell(context, &workspace, &done);
        }
    }
    Ok(ExitCode::Success)
}

fn print(renderings: &[Rendering]) {
    let files = renderings.iter().flat_map(|rendering| &rendering.files);
    for (index, file) in files.enumerate() {
        output::answer(if index > 0 { "---\n" } else { "" });
        output::answer(&file.text);
    }
}

fn tell(context: &Context, workspace: &Workspace, done: &[(PathBuf, Change)]) {
    let mut text = String::new();
    for (path, change) in done {
        let what = match (change, context.settings.dry_run) {
            (Change::Unchanged, _) => continue,
            (Change::Written, false) => "wrote",
            (Change::Written, true) => "would write",
            (Change::Removed, false) => "removed",
            (Change::Removed, true) => "would remove",
        };
        text += &format!("{what} {}\n", workspace.shown(path));
    }
    let unchanged = done.iter().filter(|(_, change)| *change == Change::Unchanged).count();
    output::answer(&format!("{text}{unchanged} files are as they were\n"));
}
