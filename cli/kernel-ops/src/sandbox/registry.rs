//! Who has which slot: one file for each sandbox and one link for each slot, in `.kernel/.sandboxes/` of a workspace. No
//! project can have a name like that folder's.
//!
//! ```text
//! acme.json         what is known of the sandbox, its slot among it
//! slot-763 → acme   who has the slot
//! acme.lock         held by the command that works on the sandbox
//! lock              held for a moment by whoever changes the above
//! ```
//!
//! The file decides. A link whose tenant has no file, or another slot in it, was left by a kill and holds nothing.
//! Everything is for its owner only, and gone with the last sandbox.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use kernel_core::exit::ExitCode;
use serde::{Deserialize, Serialize};

use super::{Slot, TenantName};
use crate::codes;
use crate::failure::{Failure, problem};
use crate::workspace::Workspace;

/// The sandboxes of a workspace.
#[derive(Clone, Debug)]
pub struct Registry {
    folder: PathBuf,
}

/// One sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    schema: Schema,
    /// Its ports.
    pub slot: Slot,
    /// When it was claimed, in seconds since 1970 UTC.
    pub created_at: i64,
    /// From when on it may be removed, in seconds since 1970 UTC. `None`: it stays until it is destroyed.
    pub expires_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "kernel.sandbox/v1")]
    V1,
}

/// What came of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is new.
    New(Sandbox),
    /// It was there before and is unchanged.
    Present(Sandbox),
    /// It was there before, and has other ports now: another program has its own.
    Moved(Sandbox),
}

impl Claim {
    /// The sandbox, whatever came of the claim.
    #[must_use]
    pub const fn sandbox(&self) -> &Sandbox {
        match self {
            Self::New(sandbox) | Self::Present(sandbox) | Self::Moved(sandbox) => sandbox,
        }
    }
}

/// Held by the one command that works on a sandbox. It ends with the process.
#[derive(Debug)]
pub struct WorkLock {
    registry: Registry,
    tenant: TenantName,
    _file: File,
}

impl Registry {
    /// The registry of a workspace. Nothing is made yet.
    #[must_use]
    pub fn of(workspace: &Workspace) -> Self {
        Self { folder: workspace.root().join(".kernel").join(".sandboxes") }
    }

    /// All sandboxes, by tenant.
    ///
    /// # Errors
    /// When a file can't be read or does not describe a sandbox: `K-SANDBOX-003`.
    pub fn all(&self) -> Result<BTreeMap<TenantName, Sandbox>, Failure> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(Failure::unreadable(&self.folder, &error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let tenants = names.filter_map(|name| TenantName::new(name.strip_suffix(".json")?).ok());
        // One that goes while we read is not there.
        let found = tenants.filter_map(|tenant| Some(self.get(&tenant).transpose()?.map(|it| (tenant, it))));
        found.collect()
    }

    /// One sandbox.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn get(&self, tenant: &TenantName) -> Result<Option<Sandbox>, Failure> {
        let path = self.file(tenant);
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| damaged(&path, &error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::unreadable(&path, &error)),
        }
    }

    /// Takes a slot for a tenant, or gives the one that it has. Of several claims at once, one is new. A slot is taken
    /// only when it is `usable`; a sandbox whose slot is no longer so gets another. One that is there keeps its expiry
    /// unless another is given; times are in seconds since 1970 UTC.
    ///
    /// # Errors
    /// When no slot is left (`K-SANDBOX-002`), or the files can't be read or written.
    pub fn claim(
        &self,
        tenant: &TenantName,
        now: i64,
        expires_at: Option<i64>,
        usable: impl Fn(Slot) -> bool,
    ) -> Result<Claim, Failure> {
        let _lock = self.lock()?;
        let Some(before) = self.get(tenant)? else {
            let slot = self.take_slot(tenant, usable)?;
            let sandbox = Sandbox { schema: Schema::V1, slot, created_at: now, expires_at };
            self.write(tenant, &sandbox)?;
            return Ok(Claim::New(sandbox));
        };
        let mut after = Sandbox { expires_at: expires_at.or(before.expires_at), ..before.clone() };
        let moved = !usable(before.slot);
        if moved {
            after.slot = self.take_slot(tenant, usable)?;
        }
        if after != before {
            self.write(tenant, &after)?;
        }
        if moved {
            self.forget_link(before.slot)?;
            return Ok(Claim::Moved(after));
        }
        Ok(Claim::Present(after))
    }

    /// The slot that a claim would take now. Nothing is changed.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub fn preview(&self, tenant: &TenantName, usable: impl Fn(Slot) -> bool) -> Result<Slot, Failure> {
        match self.get(tenant)? {
            Some(sandbox) if usable(sandbox.slot) => Ok(sandbox.slot),
            _ => self.next_slot(tenant, usable),
        }
    }

    /// Gives another expiry, in seconds since 1970 UTC; `None` when the tenant has no sandbox.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn extend(&self, tenant: &TenantName, expires_at: Option<i64>) -> Result<Option<Sandbox>, Failure> {
        let _lock = self.lock()?;
        let Some(before) = self.get(tenant)? else { return Ok(None) };
        let after = Sandbox { expires_at, ..before };
        self.write(tenant, &after)?;
        Ok(Some(after))
    }

    /// Forgets a sandbox, so that its ports are free; `false` when the tenant has none.
    ///
    /// # Errors
    /// When the files can't be read or removed.
    pub fn release(&self, tenant: &TenantName) -> Result<bool, Failure> {
        let _lock = self.lock()?;
        let Some(sandbox) = self.get(tenant)? else { return Ok(false) };
        remove(&self.file(tenant))?;
        self.forget_link(sandbox.slot)?;
        Ok(true)
    }

    /// The tenants whose sandboxes may be removed at `now`, in seconds since 1970 UTC.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn expired(&self, now: i64) -> Result<Vec<TenantName>, Failure> {
        let over = |sandbox: &Sandbox| sandbox.expires_at.is_some_and(|expiry| expiry <= now);
        Ok(self.all()?.into_iter().filter(|(_, sandbox)| over(sandbox)).map(|(tenant, _)| tenant).collect())
    }

    /// Waits until nobody else works on the sandbox of a tenant; `waiting` is called when that takes a while.
    ///
    /// # Errors
    /// When the lock's file can't be made.
    pub fn work_on(&self, tenant: &TenantName, waiting: impl FnOnce()) -> Result<WorkLock, Failure> {
        let path = self.folder.join(format!("{tenant}.lock"));
        let file = self.locked(&path, waiting)?;
        Ok(WorkLock { registry: self.clone(), tenant: tenant.clone(), _file: file })
    }

    /// The next slot that nobody has, noted as the tenant's.
    fn take_slot(&self, tenant: &TenantName, usable: impl Fn(Slot) -> bool) -> Result<Slot, Failure> {
        let slot = self.next_slot(tenant, usable)?;
        self.forget_link(slot)?;
        let link = self.link(slot);
        symlink(tenant.as_str(), &link).map_err(|error| Failure::unwritable(&link, &error))?;
        Ok(slot)
    }

    fn next_slot(&self, tenant: &TenantName, usable: impl Fn(Slot) -> bool) -> Result<Slot, Failure> {
        for slot in Slot::of(tenant) {
            if self.holder(slot)?.is_none() && usable(slot) {
                return Ok(slot);
            }
        }
        Err(no_slot())
    }

    /// Who has a slot.
    fn holder(&self, slot: Slot) -> Result<Option<TenantName>, Failure> {
        let link = self.link(slot);
        let target = match std::fs::read_link(&link) {
            Ok(target) => target,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::unreadable(&link, &error)),
        };
        let Some(tenant) = target.to_str().and_then(|text| TenantName::new(text).ok()) else {
            return Ok(None);
        };
        Ok(self.get(&tenant)?.filter(|sandbox| sandbox.slot == slot).map(|_| tenant))
    }

    fn lock(&self) -> Result<File, Failure> {
        self.locked(&self.folder.join("lock"), || {})
    }

    /// A lock on a file that may be removed by whoever holds it: what is locked has to be what stands there.
    fn locked(&self, path: &Path, waiting: impl FnOnce()) -> Result<File, Failure> {
        let mut waiting = Some(waiting);
        let mut attempt = || -> std::io::Result<Option<File>> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    if let Some(waiting) = waiting.take() {
                        waiting();
                    }
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let (held, there) = (file.metadata()?, std::fs::metadata(path)?);
            Ok(((held.dev(), held.ino()) == (there.dev(), there.ino())).then_some(file))
        };
        loop {
            match attempt() {
                Ok(Some(file)) => return Ok(file),
                Ok(None) => {}
                // The folder or the file went with the last sandbox.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::unwritable(path, &error)),
            }
        }
    }

    /// Only under the lock: the name of the new file is always the same, so that a kill leaves at most one behind.
    fn write(&self, tenant: &TenantName, sandbox: &Sandbox) -> Result<(), Failure> {
        let path = self.file(tenant);
        let fresh = self.folder.join("new");
        let write = || {
            let text = serde_json::to_vec(sandbox)?;
            match std::fs::remove_file(&fresh) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(&text)?;
            std::fs::rename(&fresh, &path)
        };
        write().map_err(|error| Failure::unwritable(&path, &error))
    }

    fn forget_link(&self, slot: Slot) -> Result<(), Failure> {
        remove(&self.link(slot))
    }

    /// Removes the folder when nothing of a sandbox is left in it.
    fn tidy(&self) -> Result<(), Failure> {
        let _lock = self.lock()?;
        let entries =
            std::fs::read_dir(&self.folder).map_err(|error| Failure::unreadable(&self.folder, &error))?;
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        let (mut left, mut links) = (false, Vec::new());
        for name in names.iter().filter_map(|name| name.to_str()) {
            match name {
                "lock" | "new" => {}
                // Without any sandbox they hold nothing.
                slot if slot.starts_with("slot-") => links.push(slot),
                _ => left = true,
            }
        }
        if left {
            return Ok(());
        }
        links.into_iter().chain(["new", "lock"]).try_for_each(|name| remove(&self.folder.join(name)))?;
        // Another command may have begun meanwhile: then they stay.
        if std::fs::remove_dir(&self.folder).is_ok()
            && let Some(all) = self.folder.parent()
        {
            drop(std::fs::remove_dir(all));
        }
        Ok(())
    }

    fn file(&self, tenant: &TenantName) -> PathBuf {
        self.folder.join(format!("{tenant}.json"))
    }

    fn link(&self, slot: Slot) -> PathBuf {
        self.folder.join(format!("slot-{}", u16::from(slot)))
    }
}

impl Drop for WorkLock {
    /// A lock of a sandbox that is gone goes too.
    fn drop(&mut self) {
        if self.registry.get(&self.tenant).is_ok_and(|found| found.is_none()) {
            drop(remove(&self.registry.folder.join(format!("{}.lock", self.tenant))));
            drop(self.registry.tidy());
        }
    }
}

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::unwritable(path, &error)),
        _ => Ok(()),
    }
}

fn damaged(path: &Path, reason: &dyn std::fmt::Display) -> Failure {
    let message = format!("`{}` does not describe a sandbox: {reason}", path.display());
    let help = "put back what was changed in it; without the file, a sandbox that runs is no longer known";
    Failure::new(ExitCode::Usage, problem(codes::SANDBOX_REGISTRY, message, help))
}

fn no_slot() -> Failure {
    let message = "no ports are left for another sandbox: other sandboxes and other programs have them";
    let help =
        "`kernel sandbox list` shows the sandboxes; `kernel sandbox destroy TENANT` frees the ports of one";
    Failure::new(ExitCode::Failed, problem(codes::SANDBOX_NO_SLOT, message, help))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn registry(folder: &Path) -> Registry {
        Registry::of(&Workspace::of_project(folder))
    }

    fn tenant(text: &str) -> TenantName {
        TenantName::new(text).unwrap()
    }

    fn claim(registry: &Registry, text: &str) -> Claim {
        registry.claim(&tenant(text), 0, None, |_| true).unwrap()
    }

    #[test]
    fn a_thousand_tenants_at_once_overlap_nowhere_and_each_is_new_once() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        // Every tenant is claimed by two of the threads.
        let new: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8_usize)
                .map(|thread| {
                    let registry = &registry;
                    scope.spawn(move || {
                        let names = (0..1_000).filter(|number| number % 4 == thread % 4);
                        let claims = names.map(|number| claim(registry, &format!("tenant-{number}")));
                        claims.filter(|claim| matches!(claim, Claim::New(_))).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(new, 1_000);
        let all = registry.all().unwrap();
        assert_eq!(all.len(), 1_000);
        let ports: BTreeSet<u16> = all.values().flat_map(|sandbox| sandbox.slot.ports()).collect();
        assert_eq!(ports.len(), 1_000 * usize::from(super::super::PORTS_PER_SLOT), "no port is given twice");
    }

    #[test]
    fn a_sandbox_is_claimed_extended_expired_and_released() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let acme = tenant("acme");
        assert_eq!(registry.all().unwrap(), BTreeMap::new());
        let Claim::New(made) = registry.claim(&acme, 100, Some(200), |_| true).unwrap() else {
            panic!("it is new")
        };
        assert_eq!(registry.claim(&acme, 150, None, |_| true).unwrap(), Claim::Present(made));
        assert_eq!(registry.expired(199).unwrap(), []);
        assert_eq!(registry.expired(200).unwrap(), vec![acme.clone()]);
        assert_eq!(registry.extend(&acme, Some(300)).unwrap().unwrap().expires_at, Some(300));
        assert_eq!(registry.expired(200).unwrap(), []);
        assert!(registry.release(&acme).unwrap());
        assert!(!registry.release(&acme).unwrap() && registry.extend(&acme, None).unwrap().is_none());
    }

    #[test]
    fn what_another_program_holds_is_passed_over_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let acme = tenant("acme");
        let slots: Vec<Slot> = Slot::of(&acme).take(3).collect();
        let first = registry.claim(&acme, 0, None, |slot| slot != slots[0]).unwrap();
        assert_eq!(first.sandbox().slot, slots[1]);
        let kept = registry.claim(&acme, 0, None, |slot| slot == slots[1]).unwrap();
        assert_eq!(kept, Claim::Present(first.sandbox().clone()));
        assert_eq!(registry.preview(&acme, |slot| slot == slots[2]).unwrap(), slots[2]);
        let moved = registry.claim(&acme, 0, None, |slot| slot == slots[2]).unwrap();
        assert!(matches!(&moved, Claim::Moved(sandbox) if sandbox.slot == slots[2]), "{moved:?}");
        assert_eq!(registry.holder(slots[1]).unwrap(), None);
        assert_eq!(registry.holder(slots[2]).unwrap(), Some(acme.clone()));
        let failure = registry.claim(&tenant("rival"), 0, None, |_| false).unwrap_err();
        assert_eq!(failure.problems[0].code, "K-SANDBOX-002");
    }

    #[test]
    fn what_a_kill_left_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        std::fs::create_dir_all(&registry.folder).unwrap();
        std::fs::write(registry.folder.join("new"), "half of a text that was never finished").unwrap();
        let slot = Slot::of(&tenant("acme")).next().unwrap();
        symlink("nobody", registry.link(slot)).unwrap();
        assert_eq!(claim(&registry, "acme").sandbox().slot, slot);
        let path = registry.file(&tenant("acme"));
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!registry.folder.join("new").exists());
    }

    #[test]
    fn nothing_is_left_when_the_last_sandbox_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let (acme, rival) = (tenant("acme"), tenant("rival"));
        {
            let _work = registry.work_on(&acme, || panic!("nobody else works on it")).unwrap();
            claim(&registry, "acme");
            claim(&registry, "rival");
            registry.release(&acme).unwrap();
        }
        assert!(registry.get(&rival).unwrap().is_some() && !registry.folder.join("acme.lock").exists());
        {
            let _work = registry.work_on(&rival, || panic!("nobody else works on it")).unwrap();
            registry.release(&rival).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_command_works_on_a_sandbox_at_a_time_also_when_it_goes_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        let acme = tenant("acme");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let _work = registry.work_on(&acme, || {}).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        assert!(matches!(claim(&registry, "acme"), Claim::New(_)));
                        assert!(registry.release(&acme).unwrap());
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_file_is_told_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(folder.path());
        claim(&registry, "acme");
        let path = registry.file(&tenant("acme"));
        for text in ["{", r#"{"schema":"kernel.sandbox/v2","slot":1,"created_at":0,"expires_at":null}"#] {
            std::fs::write(&path, text).unwrap();
            let failure = registry.claim(&tenant("acme"), 0, None, |_| true).unwrap_err();
            assert_eq!(failure.problems[0].code, "K-SANDBOX-003");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
