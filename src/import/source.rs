//! Opens the file that is imported and gives its text: decompressed, and as UTF-8.
//!
//! A [`Source`] can be opened as often as the job needs (dry pass, job, resume); each [`SourceReader`] begins at the
//! start. Offsets count the bytes that a reader gives. For a plain UTF-8 file these lie in the file as they are, so
//! going on in the middle is a seek; otherwise what lies before is read and dropped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::import::dialect::HEAD_BYTES;
use crate::import::sheet::{self, Sheet, SheetChoice, SheetProblem, SheetReader};

/// The bytes read at once from a compressed or transcoded file. A plain one is read straight into the chunks.
const READ_BYTES: usize = 256 << 10;

/// The beginning of a stream that is held: header and titles above it are in the first kilobytes.
const STREAM_HEAD_BYTES: u64 = 1 << 20;

/// The greatest window of a zstd frame, as a power of two: 128 MiB, what `zstd` itself accepts without being asked.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a file's text is written as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Any text, ASCII included.
    Utf8,
    /// Two bytes a unit, the lower first; recognised by its byte order mark.
    Utf16Le,
    /// Two bytes a unit, the higher first; recognised by its byte order mark.
    Utf16Be,
    /// Western European text of Windows; recognised where the head is not UTF-8.
    Windows1252,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Encoding; 4] = [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Windows1252];

    /// What `--encoding` takes.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
            Encoding::Windows1252 => "windows-1252",
        }
    }

    /// The encoding of a text that begins so; `complete` if that is all of it.
    pub fn recognize(head: &[u8], complete: bool) -> Encoding {
        match head {
            [0xff, 0xfe, ..] => Encoding::Utf16Le,
            [0xfe, 0xff, ..] => Encoding::Utf16Be,
            // A mark says UTF-8, and then broken bytes are broken.
            [0xef, 0xbb, 0xbf, ..] => Encoding::Utf8,
            _ => match std::str::from_utf8(head) {
                Ok(_) => Encoding::Utf8,
                // A character that the head's end cuts.
                Err(error) if error.error_len().is_none() && !complete => Encoding::Utf8,
                Err(_) if is_damaged_utf8(head) => Encoding::Utf8,
                Err(_) => Encoding::Windows1252,
            },
        }
    }
}

/// Whether bytes that are no UTF-8 were meant to be: characters of several bytes stand in them at least as often as bytes that
/// are none. In Windows-1252 such a character is two signs that hardly ever follow each other (`Ã©`). Without this rule one
/// damaged byte would turn every name of a file into other letters, and its customers into others.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut characters, mut broken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        characters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    characters > 0 && characters >= broken
}

impl std::str::FromStr for Encoding {
    type Err = ();

    /// The encoding with this name, whatever its case, dashes and underscores.
    fn from_str(name: &str) -> Result<Encoding, ()> {
        let key = |name: &str| name.to_ascii_lowercase().replace(['-', '_'], "");
        let wanted = match key(name).as_str() {
            "cp1252" => "windows1252".to_owned(),
            other => other.to_owned(),
        };
        Encoding::ALL.into_iter().find(|encoding| key(encoding.name()) == wanted).ok_or(())
    }
}

/// How a file is compressed, by its first bytes and never by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip, of any number of members.
    Gzip,
    /// Zstandard, of any number of frames.
    Zstd,
}

impl Compression {
    fn recognize(head: &[u8]) -> Compression {
        match head {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            // A frame, or one that is to be skipped before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such file.
    #[error("cannot find `{}`: check the path", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("cannot import `{}`: it is a directory, give one of its files", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The path names a pipe, which can be read only once.
    #[error("cannot import `{}`: it is a pipe, which can be read only once; save it to a file first", .path.display())]
    Stream {
        /// The pipe.
        path: PathBuf,
    },
    /// The file may not be read.
    #[error("cannot open `{}`: {source}; make it readable for this user", .path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading failed.
    #[error("cannot read `{}`: {source}; check the file and the disk, then repeat the command", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a workbook, or was taken for one, and cannot be read.
    #[error("cannot import `{}`: {problem}", .path.display())]
    Workbook {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: SheetProblem,
    },
    /// The file ends before the place where reading should go on.
    #[error(
        "cannot go on in `{}`: it has {found} bytes of text, and {wanted} were read before; bring back the file as it \
         was",
        .path.display()
    )]
    Shorter {
        /// The file.
        path: PathBuf,
        /// The bytes that it has.
        found: u64,
        /// The bytes that it should have at least.
        wanted: u64,
    },
}

impl SourceError {
    /// What an error means that opening or reading this file gave.
    pub fn of(path: &Path, error: io::Error) -> SourceError {
        let path = path.to_owned();
        if let Some(problem) = SheetProblem::of(&error) {
            return SourceError::Workbook { path, problem: problem.clone() };
        }
        match error.kind() {
            io::ErrorKind::NotFound => SourceError::Missing { path, source: error },
            io::ErrorKind::PermissionDenied => SourceError::Denied { path, source: error },
            io::ErrorKind::IsADirectory => SourceError::Directory { path },
            io::ErrorKind::NotSeekable => SourceError::Stream { path },
            _ => SourceError::Read { path, source: error },
        }
    }
}

/// A stream that is read once and not kept. Its beginning is held, so that it can be understood before it is read.
#[derive(Clone)]
pub struct Stream {
    beginning: Arc<Vec<u8>>,
    rest: Arc<Mutex<Option<Box<dyn Read + Send>>>>,
}

impl Stream {
    /// Takes in a stream's beginning; compression is recognised as that of files is.
    ///
    /// # Errors
    ///
    /// When the stream fails before.
    pub fn begin(input: impl Read + Send + 'static) -> io::Result<Stream> {
        let mut rest = decompressed(input)?;
        let mut beginning = Vec::new();
        rest.by_ref().take(STREAM_HEAD_BYTES).read_to_end(&mut beginning)?;
        Ok(Stream { beginning: Arc::new(beginning), rest: Arc::new(Mutex::new(Some(rest))) })
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("beginning", &self.beginning.len()).finish_non_exhaustive()
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Stream) -> bool {
        Arc::ptr_eq(&self.rest, &other.rest)
    }
}

impl Eq for Stream {}

/// A file that can be read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    compression: Compression,
    encoding: Encoding,
    file_bytes: u64,
    head: Vec<u8>,
    stream: Option<Stream>,
    sheet: Option<SheetOf>,
}

/// The sheet of a source that is a workbook.
#[derive(Clone, Debug)]
struct SheetOf(Arc<Sheet>);

impl PartialEq for SheetOf {
    fn eq(&self, other: &SheetOf) -> bool {
        self.0.name() == other.0.name() && self.0.choice() == other.0.choice()
    }
}

impl Eq for SheetOf {}

impl Source {
    /// Looks at a file: its length, its compression, its encoding (unless fixed), the beginning of its text.
    ///
    /// # Errors
    ///
    /// When the path is missing, unreadable or a directory, or the compressed beginning is damaged.
    pub fn open(path: impl Into<PathBuf>, encoding: Option<Encoding>) -> Result<Source, SourceError> {
        Source::open_sheet(path, encoding, &SheetChoice::default())
    }

    /// As [`open`](Source::open); of a workbook, this sheet.
    ///
    /// # Errors
    ///
    /// As `open`, and when it is a workbook that cannot be read.
    pub fn open_sheet(
        path: impl Into<PathBuf>,
        encoding: Option<Encoding>,
        choice: &SheetChoice,
    ) -> Result<Source, SourceError> {
        let path = path.into();
        let failed = |error| SourceError::of(&path, error);
        let mut file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(SourceError::Directory { path });
        }
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(failed)?;
        let compression = Compression::recognize(&magic);
        file.rewind().map_err(failed)?;
        if sheet::is_package(&magic) {
            return Source::of_workbook(path, file, metadata.len(), choice);
        }
        let mut bytes = Vec::new();
        let mut decompressed = decompress(Counted { file, read: Arc::default() }, compression).map_err(failed)?;
        // One byte more tells whether the head is everything.
        decompressed.by_ref().take(HEAD_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if sheet::is_package(&bytes) {
            return Err(SourceError::Workbook { path, problem: SheetProblem::Compressed });
        }
        let complete = bytes.len() <= HEAD_BYTES;
        bytes.truncate(HEAD_BYTES);
        let encoding = encoding.unwrap_or_else(|| Encoding::recognize(&bytes, complete));
        let file_bytes = metadata.len();
        let source = Source { path, compression, encoding, file_bytes, head: Vec::new(), stream: None, sheet: None };
        source.with_head()
    }

    /// Looks at the beginning of a stream; `path` is what messages call it.
    ///
    /// # Errors
    ///
    /// When it is a workbook, which cannot be read from its beginning to its end.
    pub fn of_stream(path: &Path, stream: Stream, encoding: Option<Encoding>) -> Result<Source, SourceError> {
        let beginning = Arc::clone(&stream.beginning);
        let head = beginning.get(..HEAD_BYTES).unwrap_or(&beginning);
        if sheet::is_package(head) {
            return Err(SourceError::Workbook { path: path.to_owned(), problem: SheetProblem::Stream });
        }
        let encoding = encoding.unwrap_or_else(|| Encoding::recognize(head, head.len() == beginning.len()));
        let (path, stream) = (path.to_owned(), Some(stream));
        let (compression, sheet) = (Compression::None, None);
        let source = Source { path, compression, encoding, file_bytes: 0, head: Vec::new(), stream, sheet };
        source.with_head()
    }

    fn of_workbook(path: PathBuf, file: File, file_bytes: u64, choice: &SheetChoice) -> Result<Source, SourceError> {
        let sheet = match Sheet::open(&path, file, choice) {
            Ok(sheet) => sheet,
            Err(problem) => return Err(SourceError::Workbook { path, problem }),
        };
        let (compression, encoding) = (Compression::None, Encoding::Utf8);
        let (head, sheet) = (Vec::new(), Some(SheetOf(Arc::new(sheet))));
        Source { path, compression, encoding, file_bytes, head, stream: None, sheet }.with_head()
    }

    /// Reads the beginning of the text.
    fn with_head(mut self) -> Result<Source, SourceError> {
        let reader = self.reader(Arc::default())?;
        let mut head = Vec::new();
        reader.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|error| SourceError::of(&self.path, error))?;
        self.head = head;
        Ok(self)
    }

    /// The sheet, if it is a workbook.
    pub fn sheet(&self) -> Option<&Sheet> {
        self.sheet.as_ref().map(|sheet| &*sheet.0)
    }

    /// The same source with this decimal mark in the numbers that a workbook holds as numbers: text has its own.
    ///
    /// # Errors
    ///
    /// When the workbook can no longer be read.
    pub fn with_decimal_mark(self, decimal_mark: char) -> Result<Source, SourceError> {
        let Some(sheet) = self.sheet().filter(|sheet| sheet.choice().decimal_mark != decimal_mark) else {
            return Ok(self);
        };
        match sheet.with_decimal_mark(decimal_mark) {
            Ok(sheet) => Source { sheet: Some(SheetOf(Arc::new(sheet))), ..self }.with_head(),
            Err(problem) => Err(SourceError::Workbook { path: self.path, problem }),
        }
    }

    /// Looks whether a workbook is whole; what else it could be is seen when it is read.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn prove(&self) -> Result<(), SourceError> {
        let Some(sheet) = self.sheet() else { return Ok(()) };
        sheet.prove().map_err(|problem| SourceError::Workbook { path: self.path.clone(), problem })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can be read only once.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// How the file is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// How its text is written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The file's length as it lies on the disk, compressed or not.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The beginning of the text as UTF-8, up to [`HEAD_BYTES`]: for recognising its dialect and format.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Opens the text at its start, to read all of it: what a stream can do once.
    ///
    /// # Errors
    ///
    /// When the file can no longer be opened, or the stream was read before.
    pub fn whole_reader(&self, read: Arc<AtomicU64>) -> Result<SourceReader, SourceError> {
        let Some(stream) = &self.stream else { return self.reader(read) };
        let rest = stream.rest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let rest = rest.ok_or_else(|| SourceError::Stream { path: self.path.clone() })?;
        let whole = io::Cursor::new(stream.beginning.to_vec()).chain(rest);
        Ok(self.transcoding(CountedStream { stream: whole, read }))
    }

    fn transcoding(&self, bytes: impl Read + Send + 'static) -> SourceReader {
        let input: Box<dyn Read + Send> = match self.encoding {
            Encoding::Utf8 => Box::new(bytes),
            encoding => Box::new(Transcoder::new(Box::new(BufReader::with_capacity(READ_BYTES, bytes)), encoding)),
        };
        SourceReader { path: self.path.clone(), input: Input::Read(input), offset: 0 }
    }

    /// Opens the content as it lies in the file, decompressed and not transcoded: what makes two files the same, in whatever
    /// encoding they are read. Of a workbook the file's bytes, as its text would have to be read for nothing but that.
    ///
    /// # Errors
    ///
    /// When the file can no longer be opened, or it is a stream.
    pub fn content(&self) -> Result<Box<dyn Read + Send>, SourceError> {
        if self.is_stream() {
            return Err(SourceError::Stream { path: self.path.clone() });
        }
        let failed = |error| SourceError::of(&self.path, error);
        let file = File::open(&self.path).map_err(failed)?;
        decompress(Counted { file, read: Arc::default() }, self.compression).map_err(failed)
    }

    /// Opens the text at its start; of a stream the beginning only. `read` is set to the bytes of the file that were read so far, compressed ones too.
    ///
    /// # Errors
    ///
    /// When the file can no longer be opened.
    pub fn reader(&self, read: Arc<AtomicU64>) -> Result<SourceReader, SourceError> {
        let failed = |error| SourceError::of(&self.path, error);
        read.store(0, Ordering::Relaxed);
        if let Some(stream) = &self.stream {
            return Ok(self.transcoding(io::Cursor::new(stream.beginning.to_vec())));
        }
        if let Some(sheet) = self.sheet() {
            let input = sheet.reader(read).map_err(|problem| failed(problem.into()))?;
            return Ok(SourceReader { path: self.path.clone(), input: Input::Sheet(input), offset: 0 });
        }
        let file = Counted { file: File::open(&self.path).map_err(failed)?, read };
        let input = match (self.compression, self.encoding) {
            (Compression::None, Encoding::Utf8) => Input::Plain(file),
            (compression, Encoding::Utf8) => Input::Read(decompress(file, compression).map_err(failed)?),
            (compression, encoding) => {
                let bytes = decompress(file, compression).map_err(failed)?;
                Input::Read(Box::new(Transcoder::new(Box::new(BufReader::with_capacity(READ_BYTES, bytes)), encoding)))
            }
        };
        Ok(SourceReader { path: self.path.clone(), input, offset: 0 })
    }
}

/// Gives the text of a source as UTF-8; bytes that are no text stay bytes that are no UTF-8.
pub struct SourceReader {
    path: PathBuf,
    input: Input,
    offset: u64,
}

enum Input {
    /// Gives the file's bytes, so that it can be sought.
    Plain(Counted),
    Sheet(SheetReader),
    Read(Box<dyn Read + Send>),
}

impl SourceReader {
    /// The bytes of text before the next one that is read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on to an offset of the text.
    ///
    /// # Errors
    ///
    /// When the text is shorter, reading fails, or the offset was passed already (open a new reader instead).
    pub fn skip_to(&mut self, offset: u64) -> Result<(), SourceError> {
        let failed = |error| SourceError::of(&self.path, error);
        let found = match &mut self.input {
            _ if offset < self.offset => {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "the offset was passed already")));
            }
            Input::Plain(counted) => {
                let found = counted.file.metadata().map_err(failed)?.len().min(offset);
                counted.file.seek(SeekFrom::Start(found)).map_err(failed)?;
                counted.read.store(found, Ordering::Relaxed);
                found
            }
            Input::Sheet(reader) => self.offset + skip(reader, offset - self.offset).map_err(failed)?,
            Input::Read(reader) => self.offset + skip(reader, offset - self.offset).map_err(failed)?,
        };
        self.offset = found;
        if found < offset {
            return Err(SourceError::Shorter { path: self.path.clone(), found, wanted: offset });
        }
        Ok(())
    }
}

impl Read for SourceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = match &mut self.input {
            Input::Plain(file) => file.read(into)?,
            Input::Sheet(reader) => reader.read(into)?,
            Input::Read(reader) => reader.read(into)?,
        };
        self.offset += n as u64;
        Ok(n)
    }
}

/// Reads over this many bytes; says over how many there are.
fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<u64> {
    io::copy(&mut reader.take(bytes), &mut io::sink())
}

/// A stream that tells how far it was read.
struct CountedStream<R> {
    stream: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedStream<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(into)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// A file that tells how far it was read.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(into)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// What a stream holds, decompressed as its first bytes say.
///
/// # Errors
///
/// When the stream fails before it has given any.
pub fn decompressed<'a>(mut input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut magic = Vec::new();
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let compression = Compression::recognize(&magic);
    decompress(io::Cursor::new(magic).chain(input), compression)
}

fn decompress<'a>(file: impl Read + Send + 'a, compression: Compression) -> io::Result<Box<dyn Read + Send + 'a>> {
    let buffered = |file| BufReader::with_capacity(READ_BYTES, file);
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(MultiGzDecoder::new(buffered(file))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(file))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// Turns UTF-16 or Windows-1252 into UTF-8.
///
/// What is no character becomes the byte 0xFF, which is in no UTF-8 text: so its row is rejected like any other that
/// is not text. A byte order mark of UTF-16 becomes one of UTF-8.
struct Transcoder {
    input: Box<dyn BufRead + Send>,
    encoding: Encoding,
    /// The first half of a surrogate pair.
    high: Option<u16>,
    /// The first byte of a unit that the input's buffer cut.
    half: Option<u8>,
    /// Text from `given` on is not given yet.
    text: Vec<u8>,
    given: usize,
}

const NO_TEXT: u8 = 0xff;

/// The characters of 0x80 to 0x9F; 0 where Windows-1252 has none.
const WINDOWS_1252: [u16; 32] = [
    0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0,
    0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
];

impl Transcoder {
    fn new(input: Box<dyn BufRead + Send>, encoding: Encoding) -> Transcoder {
        Transcoder { input, encoding, high: None, half: None, text: Vec::new(), given: 0 }
    }

    /// Refills the text; it stays empty only at the end.
    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.given = 0;
        while self.text.is_empty() {
            let bytes = self.input.fill_buf()?;
            let n = bytes.len();
            if n == 0 {
                if self.half.take().is_some() | self.high.take().is_some() {
                    self.text.push(NO_TEXT);
                }
                return Ok(());
            }
            match self.encoding {
                Encoding::Utf8 => self.text.extend_from_slice(bytes),
                Encoding::Windows1252 => bytes.iter().for_each(|&byte| push_windows_1252(byte, &mut self.text)),
                Encoding::Utf16Le | Encoding::Utf16Be => {
                    for &byte in bytes {
                        let Some(first) = self.half.take() else {
                            self.half = Some(byte);
                            continue;
                        };
                        let unit = if self.encoding == Encoding::Utf16Le {
                            u16::from_le_bytes([first, byte])
                        } else {
                            u16::from_be_bytes([first, byte])
                        };
                        push_unit(unit, &mut self.high, &mut self.text);
                    }
                }
            }
            self.input.consume(n);
        }
        Ok(())
    }
}

fn push_unit(unit: u16, high: &mut Option<u16>, text: &mut Vec<u8>) {
    if unit < 0x80 && high.is_none() {
        text.push(unit as u8);
        return;
    }
    let halves = (high.take(), unit);
    if let (Some(first), 0xdc00..0xe000) = halves {
        let both = 0x1_0000 + (u32::from(first - 0xd800) << 10) + u32::from(unit - 0xdc00);
        return push_char(char::from_u32(both), text);
    }
    if halves.0.is_some() {
        text.push(NO_TEXT);
    }
    match unit {
        0xd800..0xdc00 => *high = Some(unit),
        _ => push_char(char::from_u32(unit.into()), text),
    }
}

pub(crate) fn push_windows_1252(byte: u8, text: &mut Vec<u8>) {
    match byte {
        0..0x80 => text.push(byte),
        0x80..0xa0 => {
            let unit = WINDOWS_1252.get(usize::from(byte) - 0x80).filter(|&&unit| unit != 0);
            push_char(unit.and_then(|&unit| char::from_u32(unit.into())), text);
        }
        0xa0.. => push_char(Some(char::from(byte)), text),
    }
}

fn push_char(character: Option<char>, text: &mut Vec<u8>) {
    match character {
        Some(character) => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => text.push(NO_TEXT),
    }
}

impl Read for Transcoder {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.refill()?;
        }
        let rest = &self.text[self.given..];
        let n = rest.len().min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        self.given += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
