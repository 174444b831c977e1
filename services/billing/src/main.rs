//! The `billing` service.

fn main() -> std::process::ExitCode {
    svc_kit::run::<billing::Billing>()
}
