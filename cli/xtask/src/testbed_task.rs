//! `cargo xtask testbed …`: the testbed's commands, their words and nothing else of it.

use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use testbed::{Failure, Failures, Fault, Selection, Testbed, kubernetes};

/// What can be done with the testbed.
#[derive(Subcommand)]
pub enum Command {
    /// Make what is missing, start it, prove each part through its own client
    Up(Parts),
    /// Stop and remove everything that runs; images and downloads stay
    Down,
    /// Each part: how it is, which version was asked for, which is really there
    Status,
    /// The variables that tests read: `eval "$(cargo xtask testbed env)"`
    Env,
    /// Take everything down and remove all that was ever made
    Clean,
    /// Do something to a running part, to see how others take it
    Fault {
        /// What to do
        #[arg(value_enum)]
        what: What,
        /// The part, such as `kafka` or `kube-scheduler`
        part: String,
    },
}

/// Some of the parts.
#[derive(Args)]
pub struct Parts {
    /// These parts only, such as `docker,postgres` [default: all]
    #[arg(long, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<String>,
}

/// Faults by their names.
#[derive(Clone, Copy, ValueEnum)]
pub enum What {
    /// Freeze it: connections stay open and nobody answers
    Pause,
    /// Let a frozen part go on
    Resume,
    /// Ask it to end
    Stop,
    /// End it without asking
    Kill,
    /// Start it again
    Start,
    /// Stop and start it
    Restart,
    /// What it sends goes through a narrow pipe
    Slow,
    /// Nothing that it sends or should get arrives
    Cut,
    /// Undo `slow` and `cut`
    Heal,
}

/// Does it.
pub fn run(root: &Path, command: &Command) -> Result<(), String> {
    runtime()?.block_on(work(root, command))
}

/// Writes the Go module that the cluster's programs are built from.
pub fn generate_kubernetes_module(root: &Path) -> Result<(), String> {
    runtime()?.block_on(kubernetes::generate_module(root)).map_err(text)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start: {error}"))
}

async fn work(root: &Path, command: &Command) -> Result<(), String> {
    let testbed = Testbed::new(root).map_err(text)?;
    match command {
        Command::Up(parts) => {
            let selection = Selection::of(&parts.only).map_err(text)?;
            testbed.up(&selection, &say).await.map_err(|failures| told(&failures))?;
            answer(&testbed::table(&testbed.status().await.map_err(text)?));
        }
        Command::Down => testbed.down(&say).await.map_err(text)?,
        Command::Status => answer(&testbed::table(&testbed.status().await.map_err(text)?)),
        Command::Env => answer(&testbed::exports(&testbed.environment().await.map_err(text)?)),
        Command::Clean => testbed.clean(&say).await.map_err(text)?,
        Command::Fault { what, part } => fault(*what, part).await.map_err(text)?,
    }
    Ok(())
}

async fn fault(what: What, part: &str) -> Result<(), Failure> {
    if let Some(part) = kubernetes::Part::find(part) {
        return fault_in_cluster(what, part).await;
    }
    if part == "kubernetes" {
        return fault_at_cluster(what).await;
    }
    let part = Fault::of(part).await?;
    match what {
        What::Pause => part.pause().await,
        What::Resume => part.resume().await,
        What::Stop => part.stop().await,
        What::Kill => part.kill().await,
        What::Start => part.start().await,
        What::Restart => part.restart().await,
        What::Slow => part.slow().await,
        What::Cut => part.cut().await,
        What::Heal => part.heal().await,
    }
}

async fn fault_in_cluster(what: What, part: kubernetes::Part) -> Result<(), Failure> {
    let cluster = kubernetes::Cluster::from_environment()?;
    match what {
        What::Pause => cluster.pause(part),
        What::Resume => cluster.resume(part),
        What::Stop => cluster.stop(part).await,
        What::Kill => cluster.kill(part).await,
        What::Start => cluster.start(part),
        What::Restart => {
            cluster.stop(part).await?;
            cluster.start(part)
        }
        What::Slow | What::Cut | What::Heal => {
            let failure = Failure::new(format!("{} has no network of its own to slow or cut", part.name()));
            Err(failure.help("pause it instead; or do this to `kubernetes`, the whole cluster"))
        }
    }
}

/// What is done to the way between this machine and the cluster.
async fn fault_at_cluster(what: What) -> Result<(), Failure> {
    let cluster = kubernetes::Cluster::from_environment()?;
    match what {
        What::Slow => cluster.slow().await,
        What::Cut => cluster.cut().await,
        What::Heal => cluster.heal().await,
        What::Pause | What::Resume | What::Stop | What::Kill | What::Start | What::Restart => {
            let names: Vec<&str> = kubernetes::Part::ALL.iter().map(|part| part.name()).collect();
            let failure = Failure::new("the cluster is several programs: name one of them");
            Err(failure.help(names.join(", ")))
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` wants")]
fn text(failure: Failure) -> String {
    failure.to_string()
}

/// Every part that failed, and how to try again.
fn told(failures: &Failures) -> String {
    let each = failures.iter().map(|(part, failure)| format!("{part}: {failure}"));
    let names: Vec<&str> = failures.iter().map(|(part, _)| part.as_str()).collect();
    let again =
        format!("run the same command again to retry ({} failed; the others are up)", names.join(", "));
    format!("{}\n{again}", each.collect::<Vec<_>>().join("\n"))
}

#[expect(clippy::print_stderr, reason = "what is going on is told on standard error")]
fn say(part: &str, what: &str) {
    eprintln!("{part}: {what}");
}

#[expect(clippy::print_stdout, reason = "the answer goes to standard output")]
fn answer(text: &str) {
    print!("{text}");
}
