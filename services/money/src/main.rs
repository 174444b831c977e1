//! The money service as a process.

fn main() -> std::process::ExitCode {
    svc_kit::run::<money::Money>()
}
