//! The event-bus as a program.

fn main() -> std::process::ExitCode {
    svc_kit::run::<event_bus::EventBus>()
}
