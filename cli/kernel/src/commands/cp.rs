//! `kernel cp`: copy between this machine and containers.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use futures::StreamExt;
use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use kernel_engine_docker::stack::{BAD_ARGUMENT, Found, Member, Stack, Which};
use kernel_ops::Failure;
use kernel_ops::copy::{self, PackSettings, Place, There};

use crate::context::Context;
use crate::{output, stack};

const EXAMPLES: &str = "\
Examples:
  kernel cp dump.sql postgres:/tmp/         into a container
  kernel cp gateway:/etc/passwd .           out of one
  kernel cp files:/var/lib/platform/. data  what the folder holds
  kernel cp files:/var/lib/platform - | tar t";

/// What can be said.
#[derive(Args, Debug)]
#[command(before_help = EXAMPLES)]
pub struct Arguments {
    /// What is copied: PATH, SERVICE:PATH, or `-` for a tar archive on stdin
    #[arg(value_name = "SOURCE")]
    source: String,

    /// Where to: PATH, SERVICE:PATH, or `-` for a tar archive on stdout
    #[arg(value_name = "DESTINATION")]
    destination: String,

    /// Also into containers of `run`
    #[arg(long)]
    all: bool,

    /// With the owners of the files
    #[arg(short, long)]
    archive: bool,

    /// The source itself, where it is a link, is what that leads to
    #[arg(short = 'L', long)]
    follow_link: bool,

    /// Which of the service's containers, from one; without it the first, and into all of them
    #[arg(long, value_name = "N")]
    index: Option<u32>,
}

/// One end of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End<'a> {
    Here(&'a str),
    There { service: &'a str, path: &'a str },
}

/// `SERVICE:PATH`, or a path of this machine: one that begins with `.` or `/`, or has no colon.
fn end(text: &str) -> End<'_> {
    match text.split_once(':') {
        Some((service, path))
            if !text.starts_with(['.', '/']) && !service.contains('/') && !service.is_empty() =>
        {
            End::There { service, path }
        }
        _ => End::Here(text),
    }
}

/// Does it.
pub fn run(context: &mut Context, arguments: Arguments) -> Result<ExitCode, Failure> {
    let (from, to) = (end(&arguments.source), end(&arguments.destination));
    stack::run(context, async |stack, _| match (from, to) {
        (End::There { service, path }, End::Here(here)) => {
            let member = stack.member_in_any_state(service, arguments.index).await?;
            Copy { context, arguments: &arguments, stack, member }.download(path, here).await
        }
        (End::Here(here), End::There { service, path }) => {
            for member in receivers(stack, service, &arguments).await? {
                Copy { context, arguments: &arguments, stack, member }.upload(here, path).await?;
            }
            Ok(())
        }
        _ => Err(wrong("one of the two has to be in a container, and one here: SERVICE:PATH and PATH")),
    })?;
    Ok(ExitCode::Success)
}

/// The containers that are copied into: all of the service, or the one that is named.
async fn receivers(stack: &Stack, service: &str, arguments: &Arguments) -> Result<Vec<Member>, EngineError> {
    if let Some(number) = arguments.index {
        return Ok(vec![stack.member_in_any_state(service, Some(number)).await?]);
    }
    let which = if arguments.all { Which::WithOneOff } else { Which::All };
    stack.members(&[service.to_owned()], which).await
}

/// A copy from or to one container.
struct Copy<'a> {
    context: &'a Context,
    arguments: &'a Arguments,
    stack: &'a Stack,
    member: Member,
}

impl Copy<'_> {
    async fn download(&self, path: &str, here: &str) -> Result<(), EngineError> {
        let path = &*self.source(path).await?;
        if self.would(&format!("`{path}` of `{}` to `{here}`", self.member.name)) {
            return Ok(());
        }
        let mut archive = self.stack.download(&self.member, path);
        if here == "-" {
            while let Some(piece) = archive.next().await {
                io::stdout().lock().write_all(&piece.map_err(failed)?).map_err(failed)?;
            }
            return Ok(());
        }
        let is_folder = matches!(self.stack.look_at(&self.member, path).await?, Some(Found::Folder));
        let there = match std::fs::metadata(here) {
            Ok(found) if found.is_dir() => There::Folder,
            Ok(_) => There::File,
            Err(_) => There::Nothing,
        };
        let place = copy::place(path, is_folder, here, there).map_err(wrong)?;
        copy::unpack_stream(archive, place, self.arguments.archive).await.map_err(failed)
    }

    async fn upload(&self, here: &str, path: &str) -> Result<(), EngineError> {
        if self.would(&format!("`{here}` to `{path}` in `{}`", self.member.name)) {
            return Ok(());
        }
        let keep_owner = self.arguments.archive;
        let (path, there) = self.destination(path).await?;
        if here == "-" {
            if there != There::Folder {
                return Err(wrong(format!(
                    "there is no folder `{path}` that an archive could be unpacked in"
                )));
            }
            let archive = copy::stream(|out| io::copy(&mut io::stdin().lock(), out).map(drop));
            return self.stack.upload(&self.member, &path, archive, keep_owner).await;
        }
        let source = Path::new(here);
        let metadata = if self.arguments.follow_link { source.metadata() } else { source.symlink_metadata() };
        let metadata = metadata.map_err(|error| failed(format!("`{here}`: {error}")))?;
        // `..` and `.` have names too.
        let whole = if source.file_name().is_some() {
            source.to_owned()
        } else {
            source.canonicalize().map_err(failed)?
        };
        let named =
            if here.ends_with("/.") || here == "." { here.to_owned() } else { whole.display().to_string() };
        let Place { folder, name } = copy::place(&named, metadata.is_dir(), &path, there).map_err(wrong)?;
        let settings = PackSettings { keep_owner, follow_link: self.arguments.follow_link };
        let archive = copy::stream(move |out| copy::pack(&whole, name.as_deref(), settings, out));
        self.stack.upload(&self.member, &folder, archive, keep_owner).await
    }

    /// The path in the container that is copied: a link itself, or what it leads to.
    async fn source(&self, path: &str) -> Result<String, EngineError> {
        match self.stack.look_at(&self.member, path).await? {
            Some(Found::Link(target)) if self.arguments.follow_link => Ok(target),
            Some(_) => Ok(path.to_owned()),
            None => Err(wrong(format!("there is no `{path}` in `{}`", self.member.name))),
        }
    }

    /// What stands at a path in the container; a link counts as what it leads to.
    async fn destination(&self, path: &str) -> Result<(String, There), EngineError> {
        let mut path = path.to_owned();
        let mut found = self.stack.look_at(&self.member, &path).await?;
        if let Some(Found::Link(target)) = found {
            path = target;
            found = self.stack.look_at(&self.member, &path).await?;
        }
        let there = match found {
            Some(Found::Folder) => There::Folder,
            Some(Found::File | Found::Link(_)) => There::File,
            None => There::Nothing,
        };
        Ok((path, there))
    }

    /// With `--dry-run` tells what would be copied.
    fn would(&self, what: &str) -> bool {
        if self.context.settings.dry_run {
            output::answer(&format!("would copy {what}\n"));
        }
        self.context.settings.dry_run
    }
}

fn wrong(message: impl Into<String>) -> EngineError {
    EngineError::new(BAD_ARGUMENT, ExitCode::Usage, message)
}

fn failed(error: impl ToString) -> EngineError {
    EngineError::new(
        kernel_ops::codes::COPY,
        ExitCode::Failed,
        format!("copying failed: {}", error.to_string()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_container_is_told_from_one_here() {
        assert_eq!(end("db:/tmp"), End::There { service: "db", path: "/tmp" });
        assert_eq!(end("db:relative"), End::There { service: "db", path: "relative" });
        for here in ["-", "a", "./db:/tmp", "/a:b", "a/b:c", ":a"] {
            assert_eq!(end(here), End::Here(here));
        }
    }
}
