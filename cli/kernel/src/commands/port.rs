//! `kernel port`: where a port of a container is reached.

use clap::{Args, ValueEnum};
use kernel_core::exit::ExitCode;
use kernel_ops::Failure;

use crate::context::Context;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel port gateway 8080       such as 127.0.0.1:8080
  kernel port --index 2 web 80   of its second container";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The port in the container
    #[arg(value_name = "PRIVATE_PORT")]
    port: u16,

    /// Which protocol
    #[arg(long, value_enum, default_value_t, value_name = "PROTOCOL")]
    protocol: Protocol,

    /// Which of the service's containers, from one; without it the first
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Shows it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { service, port, protocol, index } = arguments;
    let address =
        stack::run(context, async |stack, _| stack.port(&service, port, protocol.name(), index).await)?;
    output::answer(&format!("{address}\n"));
    Ok(ExitCode::Success)
}
