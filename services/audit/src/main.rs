//! The audit service as a program.

fn main() -> std::process::ExitCode {
    svc_kit::run::<audit::Audit>()
}
