//! Copying between this machine and a container, as archives: where things go, packing, unpacking.
//!
//! The rules are those of `docker cp`: into a folder that is there, under a name that is not; `FOLDER/.` is what the
//! folder holds. What an archive from a container can do is bounded by the folder that it is unpacked in: names that
//! lead out of it, also over links, are refused.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use futures::Stream;
use tar::{Archive as TarArchive, Builder, EntryType, Header};
use tokio_util::io::{StreamReader, SyncIoBridge};

pub use crate::archive::stream;

/// What stands at a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// A folder.
    Folder,
    /// A file, or something else that is no folder.
    File,
    /// Nothing.
    Nothing,
}

/// Where the top of what is copied goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder that is there.
    pub folder: String,
    /// The name that the top gets in it; `None` when what the top holds goes into the folder itself.
    pub name: Option<OsString>,
}

/// Where a source goes, by the rules of `docker cp`. `source` and `destination` are as they were written.
///
/// # Errors
/// Says in a few words why it can't go there.
pub fn place(source: &str, is_folder: bool, destination: &str, there: There) -> Result<Place, String> {
    let contents = source == "." || source.ends_with("/.") || source == "/";
    let renamed = || {
        let plain = destination.trim_end_matches('/');
        let (folder, name) = plain
            .rsplit_once('/')
            .map_or((".", plain), |(folder, name)| (if folder.is_empty() { "/" } else { folder }, name));
        Place { folder: folder.to_owned(), name: Some(name.into()) }
    };
    match there {
        There::Folder if contents => Ok(Place { folder: destination.to_owned(), name: None }),
        There::Folder => {
            let name = Path::new(source).file_name().ok_or_else(|| format!("`{source}` has no name"))?;
            Ok(Place { folder: destination.to_owned(), name: Some(name.to_owned()) })
        }
        There::File if is_folder => Err(format!("`{destination}` is a file, and `{source}` a folder")),
        There::Nothing if destination.ends_with('/') && !is_folder => {
            Err(format!("there is no folder `{destination}`"))
        }
        There::File | There::Nothing => Ok(renamed()),
    }
}

/// How files are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackSettings {
    /// With their owners; else they become root's.
    pub keep_owner: bool,
    /// The source itself, where it is a link, is what that leads to.
    pub follow_link: bool,
}

/// Writes `source` as an archive whose top is called `name`; without a name, only what it holds.
///
/// # Errors
/// When something can't be read, or nobody reads the archive any more.
pub fn pack(
    source: &Path,
    name: Option<&OsStr>,
    settings: PackSettings,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut archive = Builder::new(out);
    let top = if settings.follow_link { fs::canonicalize(source)? } else { source.to_owned() };
    let mut open = vec![(top, name.map(PathBuf::from).unwrap_or_default())];
    while let Some((path, inside)) = open.pop() {
        let metadata = fs::symlink_metadata(&path).map_err(|error| at(&path, &error))?;
        if !inside.as_os_str().is_empty() {
            append(&mut archive, &path, &inside, &metadata, settings.keep_owner)
                .map_err(|error| at(&path, &error))?;
        }
        if metadata.is_dir() {
            let mut below: Vec<PathBuf> =
                fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            below.sort();
            let named = |path: PathBuf| path.file_name().map(|name| (inside.join(name), path.clone()));
            open.extend(below.into_iter().rev().filter_map(named).map(|(inside, path)| (path, inside)));
        }
    }
    archive.finish()
}

/// Writes files and folders, without what those hold, by the absolute paths that they get. One that is gone meanwhile is
/// left out.
///
/// # Errors
/// When something can't be read, or nobody reads the archive any more.
pub fn pack_files(files: &BTreeMap<String, PathBuf>, out: &mut dyn Write) -> io::Result<()> {
    let mut archive = Builder::new(out);
    for (inside, path) in files {
        let packed = fs::symlink_metadata(path).and_then(|metadata| {
            let inside = Path::new(inside.trim_start_matches('/'));
            if inside.as_os_str().is_empty() {
                return Ok(());
            }
            append(&mut archive, path, inside, &metadata, false)
        });
        match packed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            packed => packed.map_err(|error| at(path, &error))?,
        }
    }
    archive.finish()
}

fn append(
    archive: &mut Builder<&mut dyn Write>,
    path: &Path,
    inside: &Path,
    metadata: &Metadata,
    keep_owner: bool,
) -> io::Result<()> {
    let kind = metadata.file_type();
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    if !keep_owner {
        header.set_uid(0);
        header.set_gid(0);
    }
    if kind.is_symlink() {
        header.set_size(0);
        archive.append_link(&mut header, inside, fs::read_link(path)?)
    } else if kind.is_file() {
        archive.append_data(&mut header, inside, fs::File::open(path)?.take(metadata.len()))
    } else if kind.is_dir() {
        header.set_size(0);
        archive.append_data(&mut header, inside, io::empty())
    } else {
        // Sockets, pipes and devices are of this machine; `docker cp` leaves out what has no content too.
        Ok(())
    }
}

/// Unpacks an archive with one top below `place.folder`, under the place's name.
///
/// # Errors
/// When something can't be written, or the archive leads out of the folder. What was unpacked before stays.
pub fn unpack(archive: impl Read, place: &Place, keep_owner: bool) -> io::Result<()> {
    let base = Path::new(&place.folder);
    let mut archive = TarArchive::new(archive);
    archive.set_preserve_ownerships(keep_owner);
    archive.set_preserve_permissions(true);
    // A folder that may not be written to gets its permissions when all is in it.
    let mut folders: Vec<(PathBuf, u32)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let inside = moved(&entry.path()?, place.name.as_deref())?;
        if inside.as_os_str().is_empty() {
            continue;
        }
        let target = base.join(&inside);
        stays_inside(base, &inside)?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                if !fs::symlink_metadata(&target).is_ok_and(|found| found.is_dir()) {
                    fs::create_dir(&target).map_err(|error| at(&target, &error))?;
                }
                folders.push((target, entry.header().mode()?));
            }
            EntryType::Link => {
                let link = entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?;
                let link = moved(&link, place.name.as_deref())?;
                stays_inside(base, &link)?;
                gone(&target)?;
                fs::hard_link(base.join(link), &target).map_err(|error| at(&target, &error))?;
            }
            _ => {
                gone(&target)?;
                entry.unpack(&target).map_err(|error| at(&target, &error))?;
            }
        }
    }
    for (folder, mode) in folders.iter().rev() {
        fs::set_permissions(folder, Permissions::from_mode(mode & 0o7777))
            .map_err(|error| at(folder, &error))?;
    }
    Ok(())
}

/// As [`unpack`], of an archive that comes piece by piece.
///
/// # Errors
/// As [`unpack`], and when the pieces end with an error.
pub async fn unpack_stream(
    archive: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    place: Place,
    keep_owner: bool,
) -> io::Result<()> {
    let reader = SyncIoBridge::new(StreamReader::new(archive));
    let unpacking = tokio::task::spawn_blocking(move || unpack(reader, &place, keep_owner));
    unpacking.await.map_err(io::Error::other)?
}

/// A path of the archive with another top.
fn moved(path: &Path, name: Option<&OsStr>) -> io::Result<PathBuf> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    parts.next();
    let mut moved = name.map(PathBuf::from).unwrap_or_default();
    for part in parts {
        match part {
            Component::Normal(part) => moved.push(part),
            _ => return Err(leads_out(path)),
        }
    }
    Ok(moved)
}

/// Refuses a path that goes over a link below the folder: it could lead anywhere.
fn stays_inside(base: &Path, inside: &Path) -> io::Result<()> {
    let mut folder = base.to_owned();
    let parents = inside.parent().into_iter().flat_map(Path::components);
    for part in parents {
        folder.push(part);
        if fs::symlink_metadata(&folder).is_ok_and(|found| found.is_symlink()) {
            return Err(leads_out(inside));
        }
    }
    Ok(())
}

fn leads_out(path: &Path) -> io::Error {
    let message = format!("the archive has `{}`, which leads out of its folder", path.display());
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Makes room for what is no folder.
fn gone(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path, &error)),
        _ => Ok(()),
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(source: &str, is_folder: bool, destination: &str, there: There) -> Result<String, String> {
        let place = place(source, is_folder, destination, there)?;
        let name = place.name.map(|name| name.to_string_lossy().into_owned());
        Ok(format!("{} {}", place.folder, name.as_deref().unwrap_or("-")))
    }

    #[test]
    fn the_rules_are_those_of_docker_cp() {
        let placed =
            |source, is_folder, destination, there| placed(source, is_folder, destination, there).unwrap();
        assert_eq!(placed("a/b", false, "/tmp", There::Folder), "/tmp b");
        assert_eq!(placed("a/b", true, "/tmp", There::Folder), "/tmp b");
        assert_eq!(placed("a/b/.", true, "/tmp", There::Folder), "/tmp -");
        assert_eq!(placed("a/b", true, "/tmp/c", There::Nothing), "/tmp c");
        assert_eq!(placed("a/b/.", true, "/tmp/c", There::Nothing), "/tmp c");
        assert_eq!(placed("a/b", false, "/c", There::Nothing), "/ c");
        assert_eq!(placed("a/b", false, "c", There::File), ". c");
        assert_eq!(placed("a/b", true, "/tmp/c/", There::Nothing), "/tmp c");
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let refused =
            |is_folder, destination, there| placed("a/b", is_folder, destination, there).unwrap_err();
        assert_eq!(refused(true, "/c", There::File), "`/c` is a file, and `a/b` a folder");
        assert_eq!(refused(false, "/c/", There::Nothing), "there is no folder `/c/`");
    }

    fn packed(source: &Path, name: Option<&str>) -> Vec<u8> {
        let mut archive = Vec::new();
        pack(source, name.map(OsStr::new), PackSettings::default(), &mut archive).unwrap();
        archive
    }

    fn at_folder(folder: &Path, name: Option<&str>) -> Place {
        Place { folder: folder.to_str().unwrap().to_owned(), name: name.map(OsString::from) }
    }

    #[test]
    fn what_was_packed_is_unpacked_under_another_name() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = from.path().join("source");
        fs::create_dir_all(source.join("deep")).unwrap();
        fs::write(source.join("deep/file"), "content").unwrap();
        fs::set_permissions(source.join("deep/file"), Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("deep/file", source.join("link")).unwrap();
        fs::hard_link(source.join("deep/file"), source.join("twin")).unwrap();

        unpack(&*packed(&source, Some("source")), &at_folder(to.path(), Some("other")), false).unwrap();
        let other = to.path().join("other");
        assert_eq!(fs::read_to_string(other.join("link")).unwrap(), "content");
        assert_eq!(fs::read_link(other.join("link")).unwrap(), Path::new("deep/file"));
        assert_eq!(fs::metadata(other.join("deep/file")).unwrap().permissions().mode() & 0o777, 0o640);

        unpack(&*packed(&source, Some("source")), &at_folder(to.path(), None), false).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("twin")).unwrap(), "content");
        // Again, over what is there.
        fs::write(source.join("twin"), "changed").unwrap();
        unpack(&*packed(&source, Some("source")), &at_folder(to.path(), None), false).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("twin")).unwrap(), "changed");
    }

    #[test]
    fn owners_become_roots_unless_they_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "").unwrap();
        let archive = packed(folder.path(), Some("top"));
        let mut archive = TarArchive::new(&*archive);
        let owners: Vec<u64> =
            archive.entries().unwrap().map(|entry| entry.unwrap().header().uid().unwrap()).collect();
        assert_eq!(owners, [0, 0]);
    }

    /// An archive with these entries: a path and what a link leads to, or a file.
    fn archive(entries: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (path, link) in entries {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(0);
            header.set_entry_type(if link.is_some() { EntryType::Symlink } else { EntryType::Regular });
            // Past the checks of the library, as a hostile container would write it.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            if let Some(link) = link {
                header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            }
            header.set_cksum();
            archive.append(&header, io::empty()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn an_archive_can_not_lead_out_of_its_folder() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().to_str().unwrap();
        for entries in [
            &[("top/../../escaped", None)][..],
            &[("top/link", Some(target)), ("top/link/escaped", None)][..],
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("top")).unwrap();
            let error =
                unpack(&*archive(entries), &at_folder(folder.path(), Some("top")), false).unwrap_err();
            assert!(error.to_string().contains("leads out of its folder"), "{error}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
