//! `watch`: what changes on this machine goes into containers, by `develop.watch` of the Compose files.
//!
//! ```text
//! rules of the project → changed paths, a moment after the last one → a job for each service → hands
//! ```
//!
//! What a job does to containers is the caller's: [`Hands`]. A change that can't be carried out is told, and watching
//! goes on; the next change does what is left, because a job is made from what there is and not from what happened.

mod changes;
mod job;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use async_trait::async_trait;
use kernel_core::diagnostic::Severity;
use kernel_core::event::{Event, Problem};
use kernel_engine::Events;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use changes::Watcher;
use job::Job;

pub use rules::{Action, Hook, Rule, rules};

/// What is done to the containers of services.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Copies files and folders, by the paths that they get in the containers, and removes others.
    ///
    /// # Errors
    /// When a container does not take them.
    async fn copy(
        &self,
        service: &str,
        files: &BTreeMap<String, PathBuf>,
        gone: &BTreeSet<String>,
    ) -> Result<(), Failure>;

    /// Runs a command in the containers.
    ///
    /// # Errors
    /// When it can't be run, or fails.
    async fn run(&self, service: &str, hook: &Hook) -> Result<(), Failure>;

    /// Starts the containers again.
    ///
    /// # Errors
    /// When they don't come up.
    async fn restart(&self, service: &str) -> Result<(), Failure>;

    /// Builds the images anew and replaces the containers.
    ///
    /// # Errors
    /// When the build fails, or the new containers don't come up.
    async fn rebuild(&self, services: &BTreeSet<String>) -> Result<(), Failure>;
}

/// Watches until somebody interrupts.
///
/// # Errors
/// When the system does not tell of changes. What goes wrong with a change is told as an event.
pub async fn watch(
    rules: &[Rule],
    hands: &dyn Hands,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    // Before anything is copied, so that nothing is missed meanwhile.
    let mut watcher = Watcher::new(rules)?;
    let first: BTreeSet<PathBuf> =
        rules.iter().filter(|rule| rule.initial).map(|rule| rule.path.clone()).collect();
    let initial: Vec<Rule> = rules.iter().filter(|rule| rule.initial).cloned().collect();
    let notice = |message: String| events.emit(Event::Notice { message });
    tokio::select! {
        () = carry_out(job::jobs(&initial, &first), hands, events) => {}
        () = cancel.cancelled() => return Ok(()),
    }
    let services: BTreeSet<&str> = rules.iter().map(|rule| rule.service.as_str()).collect();
    notice(format!("watching for {}; Ctrl-C ends it", services.into_iter().collect::<Vec<_>>().join(", ")));
    loop {
        let changed = tokio::select! {
            changed = watcher.next(rules) => changed?,
            () = cancel.cancelled() => return Ok(()),
        };
        tokio::select! {
            () = carry_out(job::jobs(rules, &changed), hands, events) => {}
            () = cancel.cancelled() => return Ok(()),
        }
    }
}

async fn carry_out(jobs: BTreeMap<String, Job>, hands: &dyn Hands, events: &Events) {
    let tell = |failure: Failure| {
        let diagnostics = failure.diagnostics.iter().map(Problem::from);
        for problem in diagnostics.chain(failure.problems) {
            // No error: the work goes on.
            events.emit(Event::Problem(Problem { severity: Severity::Warning, ..problem }));
        }
        events.emit(Event::Notice { message: "watching goes on".to_owned() });
    };
    let rebuilt: BTreeSet<String> =
        jobs.iter().filter(|(_, job)| job.rebuild).map(|(service, _)| service.clone()).collect();
    if !rebuilt.is_empty() {
        let names = rebuilt.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        events.emit(Event::Notice { message: format!("{names}: changed, building anew") });
        if let Err(failure) = hands.rebuild(&rebuilt).await {
            tell(failure);
        }
    }
    for (service, job) in jobs.iter().filter(|(_, job)| !job.rebuild) {
        if let Err(failure) = one(service, job, hands, events).await {
            tell(failure);
        }
    }
}

async fn one(service: &str, job: &Job, hands: &dyn Hands, events: &Events) -> Result<(), Failure> {
    if !job.copies.is_empty() || !job.gone.is_empty() {
        hands.copy(service, &job.copies, &job.gone).await?;
        let count = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("1 path {what}")),
            count => Some(format!("{count} paths {what}")),
        };
        let told = [count(job.copies.len(), "copied"), count(job.gone.len(), "removed")];
        let message = told.into_iter().flatten().collect::<Vec<_>>().join(", ");
        events.emit(Event::Notice { message: format!("{service}: {message}") });
    }
    for hook in &job.hooks {
        hands.run(service, hook).await?;
    }
    if job.restart {
        hands.restart(service).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use kernel_core::exit::ExitCode;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;
    use crate::codes;
    use crate::failure::problem;

    /// Tells what it is asked for, and fails where a service is called `broken`.
    struct Told(UnboundedSender<String>);

    impl Told {
        fn tell(&self, service: &str, what: String) -> Result<(), Failure> {
            drop(self.0.send(format!("{service}: {what}")));
            if service == "broken" {
                return Err(Failure::new(ExitCode::Failed, problem(codes::WATCH, "it is broken", "mend it")));
            }
            Ok(())
        }
    }

    #[async_trait]
    impl Hands for Told {
        async fn copy(
            &self,
            service: &str,
            files: &BTreeMap<String, PathBuf>,
            gone: &BTreeSet<String>,
        ) -> Result<(), Failure> {
            let files: Vec<&String> = files.keys().collect();
            self.tell(service, format!("copy {files:?}, remove {gone:?}"))
        }

        async fn run(&self, service: &str, hook: &Hook) -> Result<(), Failure> {
            self.tell(service, format!("run {:?}", hook.command))
        }

        async fn restart(&self, service: &str) -> Result<(), Failure> {
            self.tell(service, "restart".to_owned())
        }

        async fn rebuild(&self, services: &BTreeSet<String>) -> Result<(), Failure> {
            self.tell("rebuild", format!("{services:?}"))
        }
    }

    async fn said(told: &mut UnboundedReceiver<String>) -> String {
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, told.recv()).await.expect("nothing was done").unwrap()
    }

    /// Waits for something that is done; a busy machine may see one change as two.
    async fn at_last(told: &mut UnboundedReceiver<String>, expected: &str) {
        let mut before = Vec::new();
        loop {
            let now = said(told).await;
            if now.contains(expected) {
                return;
            }
            before.push(now);
            assert!(before.len() < 20, "{expected} was not done: {before:?}");
        }
    }

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[tokio::test]
    async fn changes_are_carried_out_one_after_the_other_also_after_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root, "src/there", "");
        write(&root, "broken/a", "");
        write(&root, "conf", "");
        let rule = |service: &str, path: &str, action| Rule::test(service, &root.join(path), action);
        let rules = [
            rule("web", "src", Action::Sync).copied_at_once(),
            rule("broken", "broken", Action::Sync),
            rule("web", "conf", Action::SyncAndRestart),
            rule("other", "image", Action::Rebuild),
        ];
        std::fs::create_dir(root.join("image")).unwrap();
        let (sender, mut told) = unbounded_channel();
        let (events, mut heard) = Events::channel();
        let (hands, cancel) = (Told(sender), CancellationToken::new());
        let stop = cancel.clone();
        let watching = tokio::spawn(async move { watch(&rules, &hands, &events, &stop).await });
        assert_eq!(said(&mut told).await, r#"web: copy ["/in", "/in/there"], remove {}"#);

        // It is ready when it says so.
        let ready = async {
            while let Some(event) = heard.recv().await {
                if matches!(event, Event::Notice { message } if message.starts_with("watching for")) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ready).await.unwrap();
        write(&root, "broken/b", "");
        at_last(&mut told, r#"broken: copy ["/in/b"], remove {}"#).await;
        std::fs::remove_file(root.join("src/there")).unwrap();
        at_last(&mut told, r#"web: copy [], remove {"/in/there"}"#).await;
        // As an editor saves: another file takes the place.
        write(&root, "conf.new", "new");
        std::fs::rename(root.join("conf.new"), root.join("conf")).unwrap();
        at_last(&mut told, r#"web: copy ["/in"], remove {}"#).await;
        at_last(&mut told, "web: restart").await;
        // A folder that is new comes with all that is in it by then.
        write(&root, "src/deep/er/file", "");
        at_last(&mut told, "/in/deep/er/file").await;
        write(&root, "image/Dockerfile", "");
        at_last(&mut told, r#"rebuild: {"other"}"#).await;
        cancel.cancel();
        watching.await.unwrap().unwrap();
        let mut problems = 0;
        while let Ok(event) = heard.try_recv() {
            problems += usize::from(matches!(event, Event::Problem(_)));
        }
        assert!(problems > 0, "the broken one is told");
    }
}
