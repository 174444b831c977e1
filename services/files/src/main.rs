//! The `files` service.

fn main() -> std::process::ExitCode {
    svc_kit::run::<files::Files>()
}
