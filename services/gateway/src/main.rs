//! The process of the gateway.

fn main() -> std::process::ExitCode {
    svc_kit::run::<gateway::GatewayProcess>()
}
