//! `kernel sandbox verify`: try to get from one sandbox into the other.

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_core::secret::Secret;
use kernel_engine_local::{Layout, processes};
use kernel_ops::sandbox::TenantName;
use kernel_ops::sandbox::verify::{self, Matrix, Side, Verdict};
use kernel_ops::{Failure, codes, endpoints, load, problem};
use kernel_report::{Cell, Paint, Table};

use super::Place;
use crate::arguments::DataFormat;
use crate::context::Context;
use crate::{engine, work};

const EXAMPLES: &str = "\
Examples:
  kernel sandbox verify acme rival
  kernel sandbox verify acme rival -o json | jq '.rows[] | select(.verdict == \"leak\")'";

const MORE: &str = "\
What is one's (tokens, passwords, secrets, processes, files) is tried at the other, in both directions. Exits with 20 when
something gets through, or can't be tried. `shared` is what all processes of one machine share: the loopback network.";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = MORE)]
pub struct Arguments {
    /// Whose sandbox
    #[arg(value_name = "TENANT")]
    one: TenantName,

    /// Whose other
    #[arg(value_name = "OTHER")]
    other: TenantName,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

/// Tries it.
pub fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    if arguments.one == arguments.other {
        let message = format!("{} is one sandbox, and nothing separates it from itself", arguments.one);
        return Err(Failure::new(ExitCode::Usage, problem(codes::NO_SANDBOX, message, "name two")));
    }
    let (one, other) = (side(context, &arguments.one)?, side(context, &arguments.other)?);
    let matrix = work::run(context, async |_| Ok(verify::verify(&one, &other).await))?;
    let leaks = || {
        let found = matrix.rows.iter().filter(|row| row.verdict == Verdict::Leak);
        found.map(|row| format!("{} {} {}", row.from, row.to, row.what)).collect()
    };
    context.answer(arguments.format, &matrix, || table(context, &matrix), leaks);
    match matrix.failure() {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::Success),
    }
}

/// What a sandbox has that could get through, or be got at.
fn side(context: &Context, tenant: &TenantName) -> Result<Side, Failure> {
    let (place, sandbox) = Place::existing(context, tenant)?;
    let platform = load::load(&place.inside.load_settings(), &engine::Secrets, false)?;
    let layout = Layout::new(place.workspace.root(), &platform.name);
    let (credentials, seeded) = (place.state.credentials()?, place.state.seeded()?);
    let seeded_users = seeded.iter().flat_map(|seeded| &seeded.users);
    let user_paths = seeded_users.clone().map(|user| format!("/v1/users/{}", user.id));
    let wallets = seeded.iter().flat_map(|seeded| &seeded.wallets);
    let things = wallets.map(|wallet| format!("/v1/wallets/{}", wallet.id)).chain(user_paths).collect();
    let password = |name: &str| credentials.of(name).cloned();
    let own = platform.project.services.values().filter(|service| endpoints::package(service).is_some());
    let token = platform.generated.get("INTERNAL_TOKEN").cloned().unwrap_or_else(|| Secret::new(""));
    Ok(Side {
        tenant: tenant.clone(),
        gateway: sandbox.url(),
        services: own.filter_map(|it| Some((it.name.clone(), endpoints::of(it, 0)?))).collect(),
        internal_token: token,
        secrets: platform.generated.clone(),
        users: seeded_users.filter_map(|user| Some((user.email.clone(), password(&user.name)?))).collect(),
        things,
        folder: place.state.folder().to_owned(),
        secret_files: vec![layout.secrets(), place.state.credentials_file()],
        ports: sandbox.slot.ports(),
        processes: processes::find(layout.scope()).iter().map(|process| process.pid).collect(),
    })
}

fn table(context: &Context, matrix: &Matrix) -> String {
    let mut table = Table::new(["FROM", "TO", "WHAT", "TRIED", "VERDICT"]);
    for row in &matrix.rows {
        let (word, paint) = match row.verdict {
            Verdict::Closed => ("closed", Paint::Good),
            Verdict::Leak => ("LEAK", Paint::Bad),
            Verdict::Unproved => ("unproved", Paint::Careful),
            Verdict::Shared => ("shared", Paint::Faint),
        };
        table.row([
            Cell::from(row.from.as_str()),
            Cell::from(row.to.as_str()),
            Cell::from(row.what),
            Cell::from(row.tried),
            Cell::painted(word, paint),
        ]);
    }
    table.render(context.settings.answer)
}
