//! `kernel sandbox create`: a platform for a tenant, ready and seeded.

use std::time::Duration;

use clap::Args;
use kernel_core::exit::ExitCode;
use kernel_core::secret::Secret;
use kernel_ops::converge::{self, ChangeSettings};
use kernel_ops::sandbox::{Slot, TenantName, give};
use kernel_ops::{Failure, codes, problem};
use kernel_report::{Cell, Table};
use serde::Serialize;

use super::bring_up::{Up, bring_up};
use super::{Place, destroy};
use crate::arguments::DataFormat;
use crate::codes::NOT_IMPLEMENTED;
use crate::commands::change;
use crate::context::Context;
use crate::output;
use crate::values::duration;

const EXAMPLES: &str = "\
Examples:
  kernel sandbox create acme            again: only what is missing or changed
  kernel sandbox create acme --ttl 8h   it may be removed in eight hours, by the next `create` or by `prune`
  kernel sandbox create acme -o json | jq -r .url";

const MORE: &str = "\
Passwords are shown once, by the command that seeds the sandbox; they stay in a file for you alone, which is named too.
Two at once for one tenant make one sandbox.";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES, after_help = MORE)]
pub struct Arguments {
    /// Whose sandbox: lower-case letters, digits and dashes
    #[arg(value_name = "TENANT")]
    tenant: TenantName,

    /// It may be removed after this time, such as 90m or 8h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,

    /// Not implemented yet: begin as a copy of another sandbox
    #[arg(long, value_name = "TENANT", hide_short_help = true)]
    from: Option<String>,

    /// Not implemented yet: another seed than docker/sandbox/seed.yaml
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    seed: Option<String>,

    /// Not implemented yet: only some services
    #[arg(long, value_name = "SERVICE", hide_short_help = true)]
    services: Vec<String>,

    /// Not implemented yet: end its processes when nobody uses it
    #[arg(long, value_name = "TIME", hide_short_help = true)]
    sleep_after: Option<String>,

    /// Not implemented yet: in a cluster
    #[arg(long, value_name = "ENV", hide_short_help = true)]
    env: Option<String>,

    /// Not implemented yet: a namespace of a cluster
    #[arg(long, value_name = "DRIVER", hide_short_help = true)]
    driver: Option<String>,

    /// The form of the answer
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    format: DataFormat,
}

impl Arguments {
    fn refuse_what_is_missing(&self) -> Result<(), Failure> {
        let said = [
            ("--from", self.from.is_some()),
            ("--seed", self.seed.is_some()),
            ("--services", !self.services.is_empty()),
            ("--sleep-after", self.sleep_after.is_some()),
            ("--env", self.env.is_some()),
            ("--driver", self.driver.is_some()),
        ];
        let problems: Vec<_> = said
            .iter()
            .filter(|(_, said)| *said)
            .map(|(option, _)| {
                let message =
                    format!("`kernel sandbox create {option}` is not implemented yet; nothing was done");
                problem(NOT_IMPLEMENTED, message, format!("leave `{option}` out"))
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(Failure::several(ExitCode::Failed, problems)) }
    }
}

/// Makes it.
pub fn run(context: &Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    arguments.refuse_what_is_missing()?;
    let place = Place::of(context, &arguments.tenant)?;
    if context.settings.dry_run {
        return preview(&place, arguments.format);
    }
    // Nobody else watches the time. What can't be removed is told, and no reason not to make this one.
    if let Err(failure) = destroy::remove_expired(context, Some(&arguments.tenant)) {
        context.tell(&failure);
    }
    let _lock = place.lock()?;
    refuse_a_stranger(&place)?;
    place.state.repair()?;
    let up = bring_up(&place, "create", arguments.ttl.map(super::later))?;
    show(&place, arguments.format, &up)?;
    Ok(ExitCode::Success)
}

/// The plan that would run; no ports are taken for it.
fn preview(place: &Place, format: DataFormat) -> Result<ExitCode, Failure> {
    let lives = place.lives()?;
    let slot = place.registry.preview(&place.tenant, |slot: Slot| lives || slot.is_free())?;
    let (_, change) = change::run_adjusted(
        &place.inside,
        "sandbox create",
        |platform| give(&mut platform.project, slot),
        async |platform, work| converge::up(platform, &ChangeSettings::default(), work).await,
    )?;
    change::show_plan(&place.inside, format, &change);
    Ok(ExitCode::Success)
}

/// A project that was started by this name is not taken for a sandbox.
fn refuse_a_stranger(place: &Place) -> Result<(), Failure> {
    let folder = place.state.folder();
    if place.registry.get(&place.tenant)?.is_some() || !(folder.exists() || place.lives()?) {
        return Ok(());
    }
    let project = place.tenant.project()?;
    let message =
        format!("the project {project} is there, and was not made as a sandbox: {}", place.shown(folder));
    let help = format!("choose another tenant, or remove it first: `kernel down -p {project} --volumes`");
    Err(Failure::new(ExitCode::Usage, problem(codes::NO_SANDBOX, message, help)))
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    tenant: &'a TenantName,
    tenant_id: &'a str,
    url: String,
    expires_at: Option<String>,
    credentials: String,
    users: Vec<SignIn<'a>>,
}

#[derive(Serialize)]
struct SignIn<'a> {
    name: &'a str,
    email: &'a str,
    /// Only by the command that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    roles: &'a [String],
}

/// Where it is and who can sign in.
pub fn show(place: &Place, format: DataFormat, up: &Up) -> Result<(), Failure> {
    let sandbox = place.sandbox()?;
    let credentials = place.state.credentials()?;
    let sign_in = |user: &'_ kernel_ops::sandbox::SeededUser| credentials.of(&user.name).map(Secret::expose);
    let users = up.seeded.users.iter().map(|user| SignIn {
        name: &user.name,
        email: &user.email,
        password: sign_in(user).filter(|_| up.fresh),
        roles: &user.roles,
    });
    let answer = Answer {
        schema: "kernel.sandbox-create/v1",
        tenant: &place.tenant,
        tenant_id: &up.seeded.tenant_id,
        url: sandbox.url(),
        expires_at: sandbox.expiry(),
        credentials: place.state.credentials_file().display().to_string(),
        users: users.collect(),
    };
    let table = || {
        let expiry = answer.expires_at.iter().map(|time| format!("; it may be removed from {time} on"));
        let mut text =
            format!("{} is ready at {}{}\n\n", answer.tenant, answer.url, expiry.collect::<String>());
        let mut columns = vec!["USER", "EMAIL", "ROLES"];
        columns.extend(up.fresh.then_some("PASSWORD"));
        let mut table = Table::new(columns);
        for user in &answer.users {
            let mut row =
                vec![Cell::from(user.name), Cell::from(user.email), Cell::from(user.roles.join(", "))];
            row.extend(up.fresh.then(|| Cell::from(user.password.unwrap_or_default())));
            table.row(row);
        }
        text.push_str(&table.render(place.inside.settings.answer));
        text.push_str(&format!("\npasswords: {}\n", place.shown(&place.state.credentials_file())));
        text
    };
    place.inside.answer(format, &answer, table, || vec![answer.url.clone()]);
    Ok(())
}

/// Says in a line where it is.
pub fn tell(place: &Place, up: &Up) -> Result<(), Failure> {
    if up.fresh {
        return show(place, DataFormat::Table, up);
    }
    output::answer(&format!("{} is ready at {}\n", place.tenant, place.sandbox()?.url()));
    Ok(())
}
