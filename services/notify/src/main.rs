//! The notify service as a process.

fn main() -> std::process::ExitCode {
    svc_kit::run::<notify::Notify>()
}
