//! The `integration-hub` service.

fn main() -> std::process::ExitCode {
    svc_kit::run::<integration_hub::IntegrationHub>()
}
