//! A layer: files and folders as a tar archive whose bytes depend on nothing but them.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::blob::Blob;
use crate::digest::{Digest, Hashed};

/// A file or folder of a layer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is, from the root without a leading `/`: `etc/passwd`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, as in `0o644`.
    pub mode: u32,
    /// Whose it is.
    pub owner: Owner,
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file with its content.
    File(Arc<dyn Blob>),
}

/// Whose an entry is, by numbers: the names are a matter of the image's own `/etc/passwd`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// A layer whose bytes are known by their digest and made again whenever they are written.
#[derive(Clone)]
pub struct Layer {
    entries: Vec<Entry>,
    diff_id: Digest,
    size: u64,
}

/// Why something can't be a layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// An entry has a path that can't be in an image.
    #[error("`{0}` can't be a path in an image: it has to be relative, without `.`, `..` or empty parts")]
    Path(String),
    /// Two entries have one path.
    #[error("`{0}` is in the layer twice")]
    Twice(String),
    /// Content could not be read.
    #[error("could not read what goes into the layer: {0}")]
    Content(#[from] io::Error),
}

impl Layer {
    /// Sorts the entries and takes the digest of the archive, which reads all content once.
    ///
    /// # Errors
    /// When a path is unfit or there twice, or content can't be read.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, LayerError> {
        for entry in &entries {
            let fit = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
            if !entry.path.split('/').all(fit) {
                return Err(LayerError::Path(entry.path.clone()));
            }
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(LayerError::Twice(pair[0].path.clone()));
        }
        let mut hashed = Hashed::new(io::sink());
        write(&entries, &mut hashed)?;
        let (diff_id, size, _) = hashed.finish();
        Ok(Self { entries, diff_id, size })
    }

    /// The digest of the archive before compression: what the image's configuration names the layer by.
    #[must_use]
    pub const fn diff_id(&self) -> Digest {
        self.diff_id
    }

    /// The size of the archive in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its entries, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When content can't be read, is not as long as it was, or `out` takes no more.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        write(&self.entries, out)
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("diff_id", &self.diff_id)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

fn write(entries: &[Entry], out: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    for entry in entries {
        let mut header = header(entry.mode, entry.owner);
        match &entry.kind {
            Kind::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                archive.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
            }
            Kind::File(content) => append(&mut archive, header, &entry.path, &**content)?,
        }
    }
    archive.into_inner()?.flush()
}

/// A header without anything of this machine: time zero, no names of users.
pub(crate) fn header(mode: u32, owner: Owner) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_uid(u64::from(owner.user));
    header.set_gid(u64::from(owner.group));
    header.set_mtime(0);
    header
}

/// Adds a file. Content that is not as long as it said would make the archive unreadable, so that is an error.
pub(crate) fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    mut header: tar::Header,
    path: &str,
    content: &dyn Blob,
) -> io::Result<()> {
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(content.size());
    let mut exactly = Exactly { content: content.open()?, left: content.size() };
    archive.append_data(&mut header, path, &mut exactly)
}

/// Reads a known number of bytes and fails when there are fewer or more.
struct Exactly<'a> {
    content: Box<dyn Read + 'a>,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let changed = || io::Error::new(io::ErrorKind::InvalidData, "the content changed while it was read");
        let count = self.content.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(changed());
        }
        self.left = self.left.checked_sub(count as u64).ok_or_else(changed)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &[u8]) -> Entry {
        let kind = Kind::File(Arc::new(content.to_vec()));
        Entry { path: path.to_owned(), kind, mode: 0o644, owner: Owner::default() }
    }

    fn bytes(layer: &Layer) -> Vec<u8> {
        let mut bytes = Vec::new();
        layer.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_order_of_entries_does_not_matter() {
        let one = Layer::new(vec![file("b", b"2"), file("a", b"1")]).unwrap();
        let other = Layer::new(vec![file("a", b"1"), file("b", b"2")]).unwrap();
        assert_eq!(bytes(&one), bytes(&other));
        assert_eq!(one.diff_id(), Digest::of(&bytes(&one)));
        assert_eq!(one.size(), bytes(&one).len() as u64);
    }

    #[test]
    fn paths_that_leave_the_image_are_refused() {
        for path in ["/etc/passwd", "../x", "a//b", "a/./b", "", "a/", "a\0b"] {
            assert!(matches!(Layer::new(vec![file(path, b"")]), Err(LayerError::Path(_))), "{path:?}");
        }
        let twice = Layer::new(vec![file("a", b"1"), file("a", b"2")]);
        assert!(matches!(twice, Err(LayerError::Twice(path)) if path == "a"));
    }

    #[test]
    fn long_paths_are_kept_whole() {
        let path = format!("{}/file", "folder".repeat(40));
        let layer = Layer::new(vec![file(&path, b"x")]).unwrap();
        let bytes = bytes(&layer);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(paths, [path]);
    }

    /// Says one size and has another.
    #[derive(Debug)]
    struct Liar {
        said: u64,
        content: &'static [u8],
    }

    impl Blob for Liar {
        fn size(&self) -> u64 {
            self.said
        }

        fn open(&self) -> io::Result<Box<dyn Read + '_>> {
            Ok(Box::new(self.content))
        }
    }

    #[test]
    fn content_that_is_not_as_long_as_it_said_is_an_error() {
        for said in [3, 5] {
            let kind = Kind::File(Arc::new(Liar { said, content: b"four" }));
            let entry = Entry { path: "a".to_owned(), kind, mode: 0o644, owner: Owner::default() };
            let error = Layer::new(vec![entry]).unwrap_err();
            assert!(error.to_string().contains("changed while it was read"), "{error}");
        }
    }
}
