//! The process around a service: environment, log, signals, exit code.

use std::{ffi::OsString, io::Write as _, panic::PanicHookInfo, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, registry::Registry, util::SubscriberInitExt as _,
};

use crate::{Environment, Service, StartError, healthcheck, serve, settings::Settings};

/// The environment does not configure the service (`EX_USAGE`).
const EXIT_CONFIGURATION: u8 = 64;

/// The whole `main` of a service.
///
/// Exits with 0 after a graceful stop, with 64 when the environment is wrong (every problem is on stderr), and with
/// 1 when the service cannot start or had to cut off requests to stop in time.
///
/// With the argument `healthcheck` the process serves nothing: it asks the service that listens where the environment
/// says whether it is ready, and exits with 0 or 1. That is what a container's health check runs.
pub fn run<S: Service>() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => serve_until_told::<S>(),
        [argument] if argument == healthcheck::COMMAND => check_health::<S>(),
        _ => {
            complain(&format!(
                "{}: takes no argument but `{}`; it is configured by its environment",
                S::NAME,
                healthcheck::COMMAND
            ));
            ExitCode::from(EXIT_CONFIGURATION)
        }
    }
}

fn check_health<S: Service>() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_run::<S>(&error),
    };
    match runtime.block_on(healthcheck::ask(&Environment::of_process())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            complain(&format!("{}: {reason}", S::NAME));
            ExitCode::FAILURE
        }
    }
}

fn cannot_run<S: Service>(error: &std::io::Error) -> ExitCode {
    complain(&format!("{}: cannot start threads: {error}", S::NAME));
    ExitCode::FAILURE
}

fn serve_until_told<S: Service>() -> ExitCode {
    let (settings, config) = match serve::read::<S>(&Environment::of_process()) {
        Ok(read) => read,
        Err(error) => {
            complain(&format!("{}: {error}", S::NAME));
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    install_crypto();
    log_to_stdout(&settings);
    std::panic::set_hook(Box::new(log_panic));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_run::<S>(&error),
    };
    match runtime.block_on(until_told_to_stop::<S>(settings, config)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(%error, "the service did not start");
            complain(&format!("{}: {error}", S::NAME));
            ExitCode::FAILURE
        }
    }
}

async fn until_told_to_stop<S: Service>(settings: Settings, config: S::Config) -> Result<bool, StartError> {
    let watch = |kind| signal(kind).map_err(|error| StartError::Build(error.into()));
    // Watched before anything is built, so that a stop during a long migration is not lost.
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    let running = tokio::select! {
        running = serve::start_with::<S>(settings, config) => running?,
        _ = terminate.recv() => return Ok(true),
        _ = interrupt.recv() => return Ok(true),
    };
    tracing::info!(service = S::NAME, address = %running.address(), "listening");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: draining requests");
    tokio::select! {
        drained = running.stop() => {
            tracing::info!(drained, "stopped");
            Ok(drained)
        }
        // Asked twice: whoever asks does not want to wait.
        _ = terminate.recv() => Ok(false),
        _ = interrupt.recv() => Ok(false),
    }
}

/// Chooses the cryptography of all TLS in this process. To be called before the first client is built, any number of
/// times; [`run`] and [`start`](crate::start) do.
pub fn install_crypto() {
    // An error means that somebody installed one before, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn log_to_stdout(settings: &Settings) {
    // `Settings` has checked the level.
    let filter: Targets = settings.log_level.parse().unwrap_or_default();
    let layer = if settings.log_json {
        crate::log::JsonLog::new(std::io::stdout).with_filter(filter).boxed()
    } else {
        tracing_subscriber::fmt::layer().with_filter(filter).boxed()
    };
    // An error means that there is a subscriber already.
    let _ = Registry::default().with(layer).try_init();
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(panic = text, location, "panic");
}

/// Speaks to whoever started the process; nothing can be done when nobody listens.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
