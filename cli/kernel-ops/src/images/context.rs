//! The context of a Dockerfile's build: what the ignore file leaves of a folder, as an archive.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;

use crate::archive::{self, Archive};
use crate::codes;
use crate::images::ignore::Ignore;
use crate::images::target::Dockerfile;

/// The name that a Dockerfile gets in the archive when it lies outside the context or in the Compose file.
const OUTSIDE: &str = ".kernel.Dockerfile";

/// The archive, and the Dockerfile's path in it.
///
/// # Errors
/// When the folder, the Dockerfile or the ignore file can't be read.
pub fn archive(build: &Dockerfile) -> Result<(Archive, String), EngineError> {
    let place = build.context.join(&build.path);
    let text = match &build.inline {
        Some(text) => text.clone(),
        None => std::fs::read_to_string(&place).map_err(|error| failed(&place, error))?,
    };
    let inside = place.strip_prefix(&build.context).ok().filter(|path| {
        build.inline.is_none()
            && path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
    });
    let name = inside.map_or_else(|| OUTSIDE.to_owned(), |path| path.display().to_string());
    let ignore = ignore_of(&build.context, &place)?;
    let files = files(&build.context, &ignore, &name).map_err(|error| failed(&build.context, error))?;
    let (context, dockerfile) = (build.context.clone(), name.clone());
    let archive = archive::stream(move |out| write(&context, &files, &dockerfile, &text, out));
    Ok((archive, name))
}

/// What a build does not see: by the Dockerfile's own ignore file, else by that of the context.
///
/// # Errors
/// When the file can't be read, or a line of it is no pattern.
pub fn ignore_of(context: &Path, dockerfile: &Path) -> Result<Ignore, EngineError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), context.join(".dockerignore")] {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                return Ignore::parse(&text).map_err(|bad| {
                    let message = format!("{}:{}: `{}` is no pattern", path.display(), bad.line, bad.text);
                    EngineError::new(codes::IMAGE_CONTEXT, ExitCode::Usage, message)
                        .help("see Docker's rules for `.dockerignore`")
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, error)),
        }
    }
    Ok(Ignore::default())
}

/// What the build sees, sorted, without the Dockerfile, which is written by itself. Links are taken as links.
fn files(context: &Path, ignore: &Ignore, dockerfile: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(context.join(&folder))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                let message = format!("`{}` has a name that is no text", entry.path().display());
                return Err(io::Error::other(message));
            };
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let hidden = ignore.hides(&path);
            if entry.file_type()?.is_dir() && (!hidden || ignore.may_show_below(&path)) {
                folders.push(path.clone());
            }
            if !hidden && path != dockerfile {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn write(
    context: &Path,
    files: &[String],
    dockerfile: &str,
    text: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    archive.follow_symlinks(false);
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, dockerfile, text.as_bytes())?;
    for path in files {
        let place = context.join(path);
        let metadata = std::fs::symlink_metadata(&place)?;
        // Sockets and the like are nothing that a build could have.
        if metadata.is_file() || metadata.is_dir() || metadata.is_symlink() {
            archive.append_path_with_name(&place, path)?;
        }
    }
    archive.finish()
}

fn failed(path: &Path, error: io::Error) -> EngineError {
    let message = format!("the build's context can't be read: `{}`", path.display());
    EngineError::new(codes::IMAGE_CONTEXT, ExitCode::Usage, message)
        .because(error)
        .help("check `build.context` and `build.dockerfile` in the Compose file")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::TryStreamExt;

    use super::*;

    fn build(context: &Path, path: &str, inline: Option<&str>) -> Dockerfile {
        Dockerfile {
            context: context.to_owned(),
            path: path.to_owned(),
            inline: inline.map(str::to_owned),
            arguments: BTreeMap::new(),
            stage: None,
        }
    }

    async fn contents(build: &Dockerfile) -> (Vec<String>, String) {
        let (archive, dockerfile) = archive(build).unwrap();
        let chunks: Vec<bytes::Bytes> = archive.try_collect().await.unwrap();
        let bytes = chunks.concat();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().trim_end_matches('/').to_owned());
        (paths.collect(), dockerfile)
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn the_dockerfile_comes_along_even_where_it_is_hidden() {
        let folder = folder(&[
            ("docker/Dockerfile", "FROM scratch\n"),
            ("docker/Dockerfile.dockerignore", "*\n!src\n"),
            (".dockerignore", "src\n"),
            ("src/main.rs", ""),
            ("target/big", ""),
        ]);
        let (paths, dockerfile) = contents(&build(folder.path(), "docker/Dockerfile", None)).await;
        assert_eq!(paths, ["docker/Dockerfile", "src", "src/main.rs"]);
        assert_eq!(dockerfile, "docker/Dockerfile");
    }

    #[tokio::test]
    async fn a_dockerfile_from_elsewhere_has_a_name_of_its_own() {
        let folder = folder(&[("context/a", ""), ("other/Dockerfile", "FROM scratch\n")]);
        let context = folder.path().join("context");
        for build in [
            build(&context, "../other/Dockerfile", None),
            build(&context, "Dockerfile", Some("FROM scratch\n")),
        ] {
            let (paths, dockerfile) = contents(&build).await;
            assert_eq!(paths, [".kernel.Dockerfile", "a"]);
            assert_eq!(dockerfile, ".kernel.Dockerfile");
        }
    }

    #[test]
    fn a_missing_dockerfile_is_named() {
        let folder = folder(&[]);
        let error = archive(&build(folder.path(), "Dockerfile", None)).err().unwrap();
        assert!(error.message.contains("/Dockerfile`"), "{}", error.message);
    }
}
