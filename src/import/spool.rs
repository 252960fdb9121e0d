//! Input that can be read only once, kept until its job ends.
//!
//! A job reads its input more than once: to hash it, perhaps in a dry pass, again after a crash. A stream (standard input,
//! a request's body) is therefore written into the store's directory first, decompressed and compressed anew, so that what
//! lies there is read like any file. It is removed with its last handle, unless a job was recorded that needs it: then it
//! stays until that job has finished, and a store that is opened removes what no unfinished job needs.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    error::{Error, ErrorKind, Result},
    import::{sheet, source::decompressed},
    job::progress::Progress,
    store::disk,
};

/// The directory in the store's.
pub const DIRECTORY: &str = crate::store::backup::SPOOL_DIRECTORY;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Bytes between two looks at the free space: far less than what is kept free for the store.
const CHECK_BYTES: u64 = 4 << 20;

/// The fastest of zstd's usual levels: it takes 400 MB/s and more, and a points file to a fifth.
const COMPRESSION_LEVEL: i32 = 1;

/// A stream on its way into a file.
pub struct Spool {
    writer: Writer,
    hasher: blake3::Hasher,
    file: SpoolFile,
    disk_free_min: u64,
    bytes_unchecked: u64,
}

/// How it is written.
enum Writer {
    /// Compressed anew.
    Zstd(zstd::stream::write::Encoder<'static, File>),
    /// As it came: a workbook, which is compressed, and is not read from its beginning to its end.
    Plain(File),
}

/// A stream that was written whole, and can be read as often as a file. Clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Spooled {
    file: Arc<SpoolFile>,
    content: blake3::Hash,
}

/// A file that is removed with its handle, unless it is kept.
#[derive(Debug)]
struct SpoolFile {
    path: PathBuf,
    is_kept: AtomicBool,
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if !self.is_kept.load(Relaxed) {
            // What is left behind if this fails is removed when the store is opened.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A path in the directory that no other spool of this process has or had.
pub fn fresh_path(directory: &Path, ending: &str) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    // A process may get the number of one that was killed, whose files are still there.
    let names = (0_u64..).map(|more| directory.join(format!("{}-{number}-{more}.{ending}", std::process::id())));
    names.into_iter().find(|path| !path.exists()).unwrap_or_else(|| directory.join(format!("{number}.{ending}")))
}

impl Spool {
    /// Reads a stream to its end and writes it into the directory, which is made if need be. What is compressed with gzip or
    /// zstd is recognised by its first bytes. Blocks as `input` does; whoever has an asynchronous source bridges it to `Read`
    /// on a thread of its own.
    ///
    /// # Errors
    /// `Input` when the stream breaks off or is damaged; `Storage` when the disk has no room; `Stopped` when `progress` says
    /// so. Nothing is left behind.
    pub fn write(
        directory: &Path,
        disk_free_min: u64,
        input: impl Read + Send,
        progress: &Progress,
    ) -> Result<Spooled> {
        let mut input = decompressed(input).map_err(|error| unreadable(&error))?;
        let mut bytes = vec![0; READ_BYTES];
        let mut magic = Vec::new();
        input.by_ref().take(4).read_to_end(&mut magic).map_err(|error| unreadable(&error))?;
        let mut spool = Spool::create(directory, disk_free_min, sheet::is_package(&magic))?;
        spool.push(&magic)?;
        loop {
            if progress.is_stopped() {
                return Err(Error::new(ErrorKind::Stopped, "stopped", "stopped on request; nothing was changed"));
            }
            match input.read(&mut bytes) {
                Ok(0) => return spool.end(),
                Ok(count) => spool.push(bytes.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
    }

    fn create(directory: &Path, disk_free_min: u64, is_package: bool) -> Result<Spool> {
        let what = |error: &io::Error| full(directory, error);
        std::fs::create_dir_all(directory).map_err(|error| what(&error))?;
        let file = SpoolFile {
            path: fresh_path(directory, if is_package { "xlsx" } else { "zst" }),
            is_kept: AtomicBool::new(false),
        };
        // It may hold whatever customers a file names.
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let compressed = |created| {
            let mut encoder = zstd::stream::write::Encoder::new(created, COMPRESSION_LEVEL)?;
            encoder.include_checksum(true)?;
            Ok(Writer::Zstd(encoder))
        };
        let writer = options
            .open(&file.path)
            .and_then(|created| if is_package { Ok(Writer::Plain(created)) } else { compressed(created) })
            .map_err(|error| what(&error))?;
        let hasher = blake3::Hasher::new();
        Ok(Spool { writer, hasher, file, disk_free_min, bytes_unchecked: CHECK_BYTES })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes_unchecked += bytes.len() as u64;
        if self.bytes_unchecked >= CHECK_BYTES {
            self.bytes_unchecked = 0;
            let directory = self.file.path.parent().unwrap_or(Path::new("."));
            let free = disk::free_bytes(directory);
            if free < self.disk_free_min + CHECK_BYTES {
                return Err(no_room(format!("it has {} MiB free", free >> 20), directory));
            }
        }
        self.hasher.update(bytes);
        let written = match &mut self.writer {
            Writer::Zstd(encoder) => encoder.write_all(bytes),
            Writer::Plain(file) => file.write_all(bytes),
        };
        written.map_err(|error| full(&self.file.path, &error))
    }

    fn end(self) -> Result<Spooled> {
        let Spool { writer, hasher, file, .. } = self;
        let written = match writer {
            Writer::Zstd(encoder) => encoder.finish(),
            Writer::Plain(file) => Ok(file),
        };
        let written = written.and_then(|written| written.sync_all());
        written.map_err(|error| full(&file.path, &error))?;
        disk::sync_directory(file.path.parent().unwrap_or(Path::new(".")))?;
        Ok(Spooled { file: Arc::new(file), content: hasher.finalize() })
    }
}

impl Spooled {
    /// The file: a zstd frame of the decompressed stream, or a workbook as it came.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// BLAKE3 of the decompressed stream.
    pub fn content(&self) -> blake3::Hash {
        self.content
    }

    /// From now on the file outlives its handles: a job is recorded that reads it.
    pub fn keep(&self) {
        self.file.is_kept.store(true, Relaxed);
    }
}

impl PartialEq for Spooled {
    fn eq(&self, other: &Spooled) -> bool {
        self.file.path == other.file.path
    }
}

impl Eq for Spooled {}

/// Removes what nobody needs: every file of the directory that is not among `needed`.
///
/// # Errors
/// When the directory cannot be read, or a file not removed.
pub fn remove_orphans(directory: &Path, needed: &[PathBuf]) -> Result<()> {
    let failed = |error: io::Error| Error::io(format_args!("cannot empty `{}`", directory.display()), &error);
    for entry in entries(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // By name: the store may have been moved since its path was recorded.
        if !needed.iter().any(|needed| needed.file_name() == path.file_name()) {
            std::fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// Whether the directory has any file.
pub fn is_empty(directory: &Path) -> bool {
    entries(directory).map_or(true, |mut entries| entries.next().is_none())
}

fn entries(directory: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<std::fs::DirEntry>>>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(error),
    }
}

fn unreadable(error: &io::Error) -> Error {
    Error::input(format!("the input cannot be read to its end: {error}"))
        .hint("nothing was changed; send it again, whole")
}

fn full(path: &Path, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::StorageFull {
        return no_room(error.to_string(), path);
    }
    Error::io(format_args!("cannot keep the input in `{}`", path.display()), error)
}

fn no_room(why: String, path: &Path) -> Error {
    let what = format!("the disk of `{}` has no room to keep the input: {why}", path.display());
    Error::new(ErrorKind::Storage, "disk_full", what)
        .hint("nothing was changed; free some space and send the input again, or import it from a file")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::import::source::Source;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn spool(directory: &Path, input: impl Read + Send) -> Result<Spooled> {
        Spool::write(directory, 0, input, &Progress::default())
    }

    /// Gives a byte at a time, as a slow sender does.
    struct Slow<R>(R);

    impl<R: Read> Read for Slow<R> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = into.len().min(1);
            self.0.read(&mut into[..length])
        }
    }

    #[test]
    fn a_stream_is_read_back_whatever_it_was_compressed_with() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("spool");
        let text = b"email,points\nana@example.com,5\n".repeat(20_000);
        let zstd = zstd::bulk::compress(&text, 3).unwrap();
        for sent in [text.clone(), gzip(&text), zstd] {
            for spooled in [spool(&directory, Cursor::new(&sent)), spool(&directory, Slow(Cursor::new(&sent)))] {
                let spooled = spooled.unwrap();
                assert_eq!(spooled.content(), blake3::hash(&text));
                let mut read = Vec::new();
                let source = Source::open(spooled.path(), None).unwrap();
                source.reader(Arc::default()).unwrap().read_to_end(&mut read).unwrap();
                assert!(read == text && source.file_bytes() < text.len() as u64 / 5);
            }
        }
        assert!(spool(&directory, io::empty()).unwrap().path().exists());
        assert!(is_empty(&directory));
    }

    #[test]
    fn a_spool_is_removed_with_its_last_handle_unless_it_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (spool(directory.path(), &b"a"[..]).unwrap(), spool(directory.path(), &b"a"[..]).unwrap());
        assert_ne!(one.path(), other.path());
        let (path, clone) = (one.path().to_owned(), one.clone());
        drop(one);
        assert!(path.exists());
        drop(clone);
        assert!(!path.exists());
        other.keep();
        let kept = other.path().to_owned();
        drop(other);
        assert!(kept.exists());
        remove_orphans(directory.path(), std::slice::from_ref(&kept)).unwrap();
        assert!(kept.exists());
        remove_orphans(directory.path(), &[]).unwrap();
        assert!(is_empty(directory.path()));
        remove_orphans(&directory.path().join("not there"), &[]).unwrap();
    }

    #[test]
    fn a_stream_that_breaks_off_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let whole = gzip(&b"email,points\n".repeat(10_000));
        let error = spool(directory.path(), Cursor::new(&whole[..whole.len() / 2])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let progress = Progress::default();
        progress.stop();
        let error = Spool::write(directory.path(), 0, &b"a"[..], &progress).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stopped);
        let error = Spool::write(directory.path(), u64::MAX / 2, &b"a"[..], &Progress::default()).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "disk_full"));
        assert!(is_empty(directory.path()));
    }
}
