//! Writes an OCI image layout: a folder, or one tar file of it.
//!
//! Blobs are written beside their place and renamed into it, and the index last: whoever is killed leaves a layout that
//! says what it said before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel_core::exit::ExitCode;
use kernel_engine::EngineError;
use kernel_image::{
    Compressed, Digest, INDEX_FILE, Image, Index, Layer, MARKER, MARKER_FILE, Manifest, Reference, blob_path,
    compress,
};
use tempfile::TempDir;

use crate::codes;
use crate::failure::{Failure, problem};

/// The folder of the blobs.
const BLOBS: &str = "blobs/sha256";

/// How the names of files begin that are not in their place yet. One command at a time writes a layout.
const UNFINISHED: &str = ".new-";

/// Writes a layout.
#[derive(Debug)]
pub struct Writer {
    inner: Arc<Inner>,
    /// Where the one file goes, when it is to be one.
    file: Option<PathBuf>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Removes the folder when it was only the way to a file or to a registry.
    _temporary: Option<TempDir>,
    index: Mutex<Index>,
    /// What came of each layer. Whoever compresses one holds it, so that nobody else does the same.
    compressed: Mutex<BTreeMap<Digest, Arc<Mutex<Option<Compressed>>>>>,
}

/// What was written of an image.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its manifest, as it stands in the layout.
    pub manifest: Vec<u8>,
    /// How many bytes were new.
    pub written: u64,
}

impl Writer {
    /// Opens the layout at `path`, or begins one. Images that are in it stay, unless a new one gets their name.
    ///
    /// # Errors
    /// When something else is there, or it can't be written.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::unwritable(path, &error);
        if path.extension().is_some_and(|extension| extension == "tar") {
            let writer = Self::temporary().map_err(failed)?;
            return Ok(Self { file: Some(path.to_owned()), ..writer });
        }
        let empty = match std::fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(failed(error)),
        };
        if !empty && !path.join(MARKER_FILE).is_file() {
            let message = format!("`{}` is not empty and no OCI layout; nothing was written", path.display());
            let help = "name another folder, or a file that ends in `.tar`";
            return Err(Failure::new(ExitCode::Usage, problem(codes::IMAGE_LAYOUT, message, help)));
        }
        Self::begin(path.to_owned(), None).map_err(failed)
    }

    /// A layout in a folder that goes away with it.
    pub fn temporary() -> io::Result<Self> {
        let temporary = tempfile::tempdir()?;
        Self::begin(temporary.path().to_owned(), Some(temporary))
    }

    fn begin(folder: PathBuf, temporary: Option<TempDir>) -> io::Result<Self> {
        let blobs = folder.join(BLOBS);
        std::fs::create_dir_all(&blobs)?;
        // What a killed command left half-written.
        for entry in std::fs::read_dir(&blobs)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_file(entry.path())?;
            }
        }
        let index = match std::fs::read(folder.join(INDEX_FILE)) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(error),
        };
        let inner =
            Inner { folder, _temporary: temporary, index: Mutex::new(index), compressed: Mutex::default() };
        Ok(Self { inner: Arc::new(inner), file: None })
    }

    /// The folder of the layout.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Adds an image under its names.
    ///
    /// # Errors
    /// When it can't be read or written.
    pub async fn add(&self, image: &Image, names: &[Reference]) -> Result<Written, EngineError> {
        let (inner, image, names) = (Arc::clone(&self.inner), image.clone(), names.to_vec());
        let written = tokio::task::spawn_blocking(move || inner.add(&image, &names)).await;
        written.map_err(io::Error::other).and_then(|result| result).map_err(|error| self.failed(error))
    }

    /// Makes what was added visible: writes the index, and the one file when it is to be one.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn finish(self) -> Result<(), EngineError> {
        let (inner, file) = (Arc::clone(&self.inner), self.file.clone());
        let finished = tokio::task::spawn_blocking(move || {
            inner.finish()?;
            file.map_or(Ok(()), |file| pack(&inner.folder, &file))
        });
        finished.await.map_err(io::Error::other).and_then(|result| result).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> EngineError {
        let place = self.file.as_deref().unwrap_or(&self.inner.folder);
        let message = format!("the OCI layout `{}` could not be written", place.display());
        EngineError::new(codes::IMAGE_LAYOUT, ExitCode::Failed, message)
            .because(error)
            .help("check the folder, its permissions and the disk")
    }
}

impl Inner {
    fn add(&self, image: &Image, names: &[Reference]) -> io::Result<Written> {
        let mut written = 0;
        let mut layers = Vec::new();
        for layer in image.layers() {
            let (layer, new) = self.layer(layer)?;
            layers.push(layer);
            written += new;
        }
        let manifest = Manifest::new(image, &layers).to_json()?;
        for blob in [image.configuration(), &manifest] {
            written += self.blob(blob)?;
        }
        let digest = Digest::of(&manifest);
        let mut index = locked(&self.index);
        names.iter().for_each(|name| index.set(name, digest, manifest.len() as u64));
        drop(index);
        Ok(Written { manifest, written })
    }

    /// A layer is compressed once, however many images have it.
    fn layer(&self, layer: &Layer) -> io::Result<(Compressed, u64)> {
        let slot = Arc::clone(locked(&self.compressed).entry(layer.diff_id()).or_default());
        let mut slot = locked(&slot);
        if let Some(known) = *slot {
            return Ok((known, 0));
        }
        let mut compressed = None;
        self.place(layer.diff_id(), |out| {
            let done = compress(layer, out)?;
            compressed = Some(done);
            Ok(done.digest)
        })?;
        *slot = compressed;
        let compressed = compressed.ok_or_else(|| io::Error::other("nothing was compressed"))?;
        Ok((compressed, compressed.size))
    }

    fn blob(&self, bytes: &[u8]) -> io::Result<u64> {
        let digest = Digest::of(bytes);
        self.place(digest, |out| {
            out.write_all(bytes)?;
            Ok(digest)
        })?;
        Ok(bytes.len() as u64)
    }

    /// Writes a blob beside its place, then moves it there. A blob of that name has the same bytes.
    fn place(
        &self,
        content: Digest,
        write: impl FnOnce(&mut dyn Write) -> io::Result<Digest>,
    ) -> io::Result<()> {
        let unfinished = self.folder.join(BLOBS).join(format!("{UNFINISHED}{}", content.hex()));
        let mut digest = None;
        create(&unfinished, |out| {
            digest = Some(write(out)?);
            Ok(())
        })?;
        let digest = digest.ok_or_else(|| io::Error::other("nothing was written"))?;
        std::fs::rename(&unfinished, self.folder.join(blob_path(digest)))
    }

    fn finish(&self) -> io::Result<()> {
        let index = serde_json::to_vec(&*locked(&self.index))?;
        for (name, content) in [(MARKER_FILE, MARKER.as_bytes()), (INDEX_FILE, &index)] {
            let unfinished = self.folder.join(format!("{UNFINISHED}{name}"));
            create(&unfinished, |out| out.write_all(content))?;
            std::fs::rename(&unfinished, self.folder.join(name))?;
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write(&mut out)?;
    out.flush()
}

/// One file of a layout, sorted and without times: equal layouts give equal files.
fn pack(folder: &Path, file: &Path) -> io::Result<()> {
    let mut names = vec![MARKER_FILE.to_owned(), INDEX_FILE.to_owned()];
    for entry in std::fs::read_dir(folder.join(BLOBS))? {
        names.push(format!("blobs/sha256/{}", entry?.file_name().to_string_lossy()));
    }
    names.sort();
    let own_name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unfinished = file.with_file_name(format!("{UNFINISHED}{own_name}"));
    create(&unfinished, |out| {
        let mut archive = tar::Builder::new(out);
        for name in names {
            let mut content = File::open(folder.join(&name))?;
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(content.metadata()?.len());
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            archive.append_data(&mut header, name, &mut content)?;
        }
        archive.finish()
    })?;
    std::fs::rename(unfinished, file)
}

#[cfg(test)]
mod tests {
    use kernel_image::{Description, program_layer, shared_layer};

    use super::*;

    fn image(title: &str) -> Image {
        let description = Description { title: title.to_owned(), ..Description::default() };
        let program = program_layer(Arc::new(title.as_bytes().to_vec())).unwrap();
        Image::new(&description, vec![Arc::new(shared_layer().unwrap()), Arc::new(program)]).unwrap()
    }

    fn name(text: &str) -> Reference {
        text.parse().unwrap()
    }

    async fn write(path: &Path, images: &[&str]) {
        let writer = Writer::open(path).unwrap();
        for title in images {
            writer.add(&image(title), &[name(&format!("kernel/{title}:dev"))]).await.unwrap();
        }
        writer.finish().await.unwrap();
    }

    fn index(folder: &Path) -> Vec<String> {
        let index: Index = serde_json::from_slice(&std::fs::read(folder.join(INDEX_FILE)).unwrap()).unwrap();
        index.images().map(|(name, _)| name.to_string()).collect()
    }

    #[tokio::test]
    async fn every_blob_is_where_its_digest_says_and_the_shared_one_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layout");
        write(&path, &["iam", "money"]).await;
        assert_eq!(std::fs::read_to_string(path.join(MARKER_FILE)).unwrap(), MARKER);
        assert_eq!(index(&path), ["kernel/iam:dev", "kernel/money:dev"]);
        let mut count = 0;
        for entry in std::fs::read_dir(path.join(BLOBS)).unwrap() {
            let entry = entry.unwrap();
            let digest = Digest::of(&std::fs::read(entry.path()).unwrap());
            assert_eq!(digest.hex(), entry.file_name().to_string_lossy());
            count += 1;
        }
        assert_eq!(count, 7, "two manifests, two configurations, two programs, one shared layer");
    }

    #[tokio::test]
    async fn what_was_there_stays_and_what_was_left_half_written_goes() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["iam"]).await;
        let left = folder.path().join(BLOBS).join(format!("{UNFINISHED}abc"));
        std::fs::write(&left, "half").unwrap();
        write(folder.path(), &["money"]).await;
        assert_eq!(index(folder.path()), ["kernel/iam:dev", "kernel/money:dev"]);
        assert!(!left.exists());
    }

    #[tokio::test]
    async fn equal_images_give_equal_files() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["one.tar", "other.tar"].map(|name| folder.path().join(name));
        write(&paths[0], &["iam", "money"]).await;
        write(&paths[1], &["money", "iam"]).await;
        assert!(std::fs::read(&paths[0]).unwrap() == std::fs::read(&paths[1]).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn a_folder_with_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        let failure = Writer::open(folder.path()).unwrap_err();
        assert_eq!(failure.problems[0].code, codes::IMAGE_LAYOUT.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
