//! The module-registry service as a process.

fn main() -> std::process::ExitCode {
    svc_kit::run::<module_registry::ModuleRegistry>()
}
