//! What `create`, `wake`, `reset` and `restore` have in common: everything runs, and what the seed has is there.

use kernel_core::event::Event;
use kernel_ops::converge::{self, ChangeSettings};
use kernel_ops::load::Platform;
use kernel_ops::sandbox::{Claim, Seed, Seeded, Slot, seed};
use kernel_ops::{Failure, codes, endpoints, problem};

use super::Place;
use crate::commands::change;

/// A sandbox that can be worked with.
pub struct Up {
    /// What is in it.
    pub seeded: Seeded,
    /// It was seeded just now: nobody has seen the passwords yet.
    pub fresh: bool,
}

/// Takes ports for the sandbox, or sees to it that no other program has those that it has.
fn claim(place: &Place, expires_at: Option<i64>) -> Result<Claim, Failure> {
    let lives = place.lives()?;
    // What runs has its ports, and they are its own.
    let usable = |slot: Slot| lives || slot.is_free();
    place.registry.claim(&place.tenant, super::now(), expires_at, usable)
}

/// Brings it up, and seeds it unless that was done. `expires_at` is in seconds since 1970 UTC; `None` changes nothing.
pub fn bring_up(place: &Place, command: &str, expires_at: Option<i64>) -> Result<Up, Failure> {
    let moved = match claim(place, expires_at)? {
        Claim::Moved(sandbox) => Some(sandbox.slot.ports()),
        _ => None,
    };
    let wanted = Seed::read(&place.workspace)?;
    let (mut fresh, mut result) = (false, None);
    let command = format!("sandbox {command} {}", place.tenant);
    change::run(&place.inside, &command, async |platform, work| {
        if let Some(ports) = moved {
            let (first, last) = (ports.start, ports.end - 1);
            let message = format!("another program has ports of the sandbox: it moves to {first}–{last}");
            work.events.emit(Event::Notice { message });
        }
        let change = converge::up(platform, &ChangeSettings::default(), work).await?;
        let seeded = match place.state.seeded()? {
            Some(seeded) => seeded,
            None => {
                fresh = true;
                seed_it(place, &wanted, platform).await?
            }
        };
        result = Some(seeded);
        Ok(change)
    })?;
    let seeded = result.ok_or_else(no_gateway)?;
    Ok(Up { seeded, fresh })
}

async fn seed_it(place: &Place, wanted: &Seed, platform: &Platform) -> Result<Seeded, Failure> {
    let gateway = endpoints::gateway(&platform.project, 0).ok_or_else(no_gateway)?;
    let credentials = place.state.ensure_credentials(wanted.users())?;
    let seeded = seed(wanted, &place.tenant, &gateway, &credentials).await?;
    place.state.keep_seeded(&seeded)?;
    Ok(seeded)
}

fn no_gateway() -> Failure {
    let message = "the project has no gateway with a published port, and the seed goes through it";
    let help = "a sandbox needs a service with `x-kernel: { package: gateway }`";
    Failure::new(kernel_core::exit::ExitCode::Usage, problem(codes::SANDBOX_NOT_SEEDED, message, help))
}
