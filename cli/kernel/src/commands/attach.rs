//! `kernel attach`: join the main process of a container.

use std::process::ExitCode;

use clap::Args;
use kernel_engine::EngineError;
use kernel_engine_docker::stack::{AttachSettings, Member, Stack};
use kernel_ops::Failure;
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::{output, stack, terminal};

const EXAMPLES: &str = "\
Examples:
  kernel attach gateway          what it says from now on; Ctrl-P Ctrl-Q leaves a terminal
  kernel attach --no-stdin gateway
                                 only listen";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The keys that leave it running, such as `ctrl-p,ctrl-q`
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Which of the service's containers, from one; without it the first
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// Only listen
    #[arg(long)]
    no_stdin: bool,

    /// Hand signals on, as docker compose does. `false`: they end the conversation and not the process
    #[arg(
        long,
        value_name = "BOOLEAN",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    sig_proxy: bool,
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let settings = AttachSettings { stdin: !arguments.no_stdin, detach_keys: arguments.detach_keys };
    let code = stack::run_to_its_end(context, async |stack, surroundings| {
        let member = stack.member(&arguments.service, arguments.index).await?;
        if context.settings.dry_run {
            output::answer(&format!("would join `{}`\n", member.name));
            return Ok(None);
        }
        let session = stack.attach(&member, &settings).await?;
        if settings.stdin && session.input.is_none() {
            stack::note(surroundings, format!("`{}` takes no input (`stdin_open` is not set)", member.name));
        }
        let talking = terminal::talk(session);
        if arguments.sig_proxy {
            tokio::select! {
                code = talking => code,
                never = hand_on(stack, &member) => never,
            }
        } else {
            tokio::select! {
                code = talking => code,
                () = surroundings.cancel.cancelled() => Ok(None),
            }
        }
    })?;
    Ok(code.map_or(ExitCode::SUCCESS, stack::exit_code_of_program))
}

/// Hands the signals that this command gets on to the main process of a container. Never ends well.
async fn hand_on(stack: &Stack, member: &Member) -> Result<Option<i64>, EngineError> {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let signals = [
        ("SIGINT", SignalKind::interrupt()),
        ("SIGTERM", SignalKind::terminate()),
        ("SIGHUP", SignalKind::hangup()),
        ("SIGQUIT", SignalKind::quit()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ];
    for (name, kind) in signals {
        // Where one can't be heard, the others are.
        let Ok(mut heard) = signal(kind) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move { while heard.recv().await.is_some() && sender.send(name).is_ok() {} });
    }
    while let Some(name) = received.recv().await {
        stack.signal(member, name).await?;
    }
    std::future::pending().await
}
