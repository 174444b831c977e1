//! The `iam` service.

fn main() -> std::process::ExitCode {
    svc_kit::run::<iam::Iam>()
}
