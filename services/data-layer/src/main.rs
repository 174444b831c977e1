//! The data-layer as a program.

fn main() -> std::process::ExitCode {
    svc_kit::run::<data_layer::DataLayer>()
}
