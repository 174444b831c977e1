//! The `domain-resolver` service.

fn main() -> std::process::ExitCode {
    svc_kit::run::<domain_resolver::DomainResolver>()
}
