//! The zip of a workbook: what is in it, and only so much of it.
//!
//! calamine opens zips by itself and believes what they say. It is therefore given another zip, a [`View`], which exists
//! nowhere: the same parts, not compressed, in an order and with a directory of our own. Its bytes are unpacked when they
//! are asked for, and every one of them has passed a [`Guard`] and the limits here. What the file's directory says twice, or
//! wrongly, calamine never sees.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use flate2::read::DeflateDecoder;

use super::{
    SheetProblem, UNPACKED_BYTES_MAX,
    guard::{Guard, Kind},
};

/// Parts of a package, pictures too.
const PARTS_MAX: u64 = 10_000;

/// Their directory: 400 bytes each.
const DIRECTORY_BYTES_MAX: u64 = 4 << 20;

/// The name of a part.
const NAME_BYTES_MAX: usize = 1000;

/// Workbook, relationships, styles: each a few hundred kilobytes even in large files.
const SMALL_PART_BYTES_MAX: u64 = 8 << 20;

/// How many times its packed size a part may have. Rows that are all alike get to 100; deflate could give 1,032.
const RATIO_MAX: u64 = 250;

/// Below this a part may be packed as well as it likes.
const RATIO_BYTES_MIN: u64 = 1 << 20;

/// Bytes that are read from the file at once.
const READ_BYTES: usize = 64 << 10;

/// The end of a zip: its record, and a comment of at most 65,535 bytes.
const END_BYTES: u64 = 22;
const COMMENT_BYTES_MAX: u64 = u16::MAX as u64;

/// Zeros before the view's first part. calamine looks whether a file begins as an encrypted one does, and reads that far.
const LEADING_BYTES: u64 = 512;

/// Zeros behind its last part. The end of a zip is looked for from behind, some kilobytes at a time.
const TRAILING_BYTES: u64 = 64 << 10;

/// Lengths of what stands in a zip.
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;

/// A part that calamine may ask for.
#[derive(Debug)]
struct Part {
    name: String,
    /// Where its local header stands in the file.
    local_at: u64,
    packed: u64,
    size: u64,
    crc: u32,
    is_deflated: bool,
    /// Where its local header stands in the view.
    at: u64,
}

impl Part {
    fn header_bytes(&self) -> u64 {
        (LOCAL_BYTES + self.name.len()) as u64
    }

    fn holds_texts(&self) -> bool {
        self.name.to_ascii_lowercase().ends_with("sharedstrings.xml")
    }

    /// Its packed bytes, wherever the local header says they begin.
    fn packed_bytes(&self, file: &File) -> io::Result<io::Take<File>> {
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(self.local_at))?;
        let mut header = [0; LOCAL_BYTES];
        file.read_exact(&mut header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(SheetProblem::damaged("its directory names a part that is not there").into());
        }
        let skipped = u64::from(short(&header, 26)) + u64::from(short(&header, 28));
        file.seek(SeekFrom::Start(self.local_at + LOCAL_BYTES as u64 + skipped))?;
        Ok(file.take(self.packed))
    }

    fn open(&self, file: &File, kind: Kind, read: &Rc<Cell<u64>>) -> io::Result<OpenPart> {
        let packed =
            BufReader::with_capacity(READ_BYTES, Counted { input: self.packed_bytes(file)?, read: read.clone() });
        let unpacker =
            if self.is_deflated { Unpacker::Deflated(DeflateDecoder::new(packed)) } else { Unpacker::Stored(packed) };
        Ok(OpenPart { unpacker, given: 0, size: self.size, guard: Guard::new(kind, self.size) })
    }
}

struct Counted<R> {
    input: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

enum Unpacker {
    Stored(BufReader<Counted<io::Take<File>>>),
    Deflated(DeflateDecoder<BufReader<Counted<io::Take<File>>>>),
}

/// A part that is being unpacked.
struct OpenPart {
    unpacker: Unpacker,
    given: u64,
    size: u64,
    guard: Guard,
}

impl Read for OpenPart {
    /// Gives the part's bytes, and never one more than the directory says.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size - self.given).unwrap_or(usize::MAX).min(into.len());
        let mut beyond = [0; 1];
        let buffer = if left == 0 && !into.is_empty() { &mut beyond[..] } else { &mut into[..left] };
        let count = match &mut self.unpacker {
            Unpacker::Stored(bytes) => bytes.read(buffer),
            Unpacker::Deflated(bytes) => bytes.read(buffer),
        };
        let count = count.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                SheetProblem::damaged("a part of it cannot be unpacked").into()
            }
            _ => error,
        })?;
        if left == 0 {
            return if count == 0 { Ok(0) } else { Err(unequal().into()) };
        }
        if count == 0 {
            return Err(unequal().into());
        }
        self.given += count as u64;
        self.guard.pass(&into[..count])?;
        Ok(count)
    }
}

fn unequal() -> SheetProblem {
    SheetProblem::damaged("a part of it is not as long as its directory says")
}

/// What is in a workbook's zip.
#[derive(Debug)]
pub(super) struct Package {
    path: PathBuf,
    file_bytes: u64,
    /// In the order in which the view has them.
    parts: Vec<Part>,
    /// The view's directory and end, and where it begins.
    directory: Vec<u8>,
    directory_at: u64,
}

impl Package {
    /// Reads the directory of a file.
    ///
    /// # Errors
    /// When it is no workbook, is damaged, or would unpack to more than is allowed.
    pub(super) fn open(path: &Path, file: &mut File) -> Result<Package, SheetProblem> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SheetProblem::damaged("it ends too early"),
            _ => SheetProblem::unreadable(&error),
        };
        let (directory, entries) = central_directory(file).map_err(unreadable)??;
        let mut parts: Vec<Part> = Vec::new();
        let mut total = 0_u64;
        let mut names = HashSet::new();
        let (mut is_document, mut is_binary, mut is_workbook) = (false, false, false);
        let mut rest = directory.as_slice();
        for _ in 0..entries {
            let (entry, behind) = Entry::read(rest)?;
            rest = behind;
            let lower = entry.name.to_ascii_lowercase();
            is_document |= lower == "mimetype" || lower == "content.xml";
            is_binary |= lower.ends_with("workbook.bin");
            is_workbook |= lower == "_rels/.rels";
            if !(lower.ends_with(".xml") || lower.ends_with(".rels")) {
                continue;
            }
            let part = entry.part()?;
            total = total.saturating_add(part.size);
            if part.size > RATIO_BYTES_MIN && part.size / RATIO_MAX > part.packed {
                return Err(too_large(format!(
                    "`{}` would unpack to {} MiB, more than {RATIO_MAX} times its size in the file",
                    part.name,
                    part.size >> 20
                )));
            }
            if !names.insert(lower) {
                return Err(SheetProblem::damaged(format!("it has `{}` twice", part.name)));
            }
            parts.push(part);
        }
        if is_binary {
            return Err(SheetProblem::OtherKind { kind: "a binary workbook (`.xlsb`)" });
        }
        if is_document {
            return Err(SheetProblem::OtherKind { kind: "an OpenDocument file (`.ods`)" });
        }
        if !is_workbook || parts.is_empty() {
            return Err(SheetProblem::NoWorkbook);
        }
        if total > UNPACKED_BYTES_MAX {
            return Err(too_large(format!(
                "it would unpack to {} MiB, and {} are allowed",
                total >> 20,
                UNPACKED_BYTES_MAX >> 20
            )));
        }
        let file_bytes = file.metadata().map_err(unreadable)?.len();
        Ok(Package::of(path, file_bytes, parts))
    }

    fn of(path: &Path, file_bytes: u64, mut parts: Vec<Part>) -> Package {
        let mut at = LEADING_BYTES;
        let mut directory = Vec::new();
        for part in &mut parts {
            part.at = at;
            directory.extend_from_slice(b"PK\x01\x02\x14\0");
            directory.extend_from_slice(&common(part));
            directory.extend_from_slice(&[0; 10]);
            // Limits keep the view below 4 GiB.
            directory.extend_from_slice(&(at as u32).to_le_bytes());
            directory.extend_from_slice(part.name.as_bytes());
            at += part.header_bytes() + part.size;
        }
        at += TRAILING_BYTES;
        let length = directory.len() as u32;
        directory.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        directory.extend_from_slice(&(parts.len() as u16).to_le_bytes());
        directory.extend_from_slice(&(parts.len() as u16).to_le_bytes());
        directory.extend_from_slice(&length.to_le_bytes());
        directory.extend_from_slice(&(at as u32).to_le_bytes());
        directory.extend_from_slice(&[0; 2]);
        Package { path: path.to_owned(), file_bytes, parts, directory, directory_at: at }
    }

    /// The file's length.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The file, which this does not keep open.
    pub(super) fn file(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Reads over the shared texts, before calamine takes memory for them.
    ///
    /// # Errors
    /// When they would take more than is allowed, or are damaged.
    pub(super) fn check_shared_texts(&self, file: &File) -> Result<(), SheetProblem> {
        // What is smaller cannot take too much.
        const CHECKED_BYTES_MIN: u64 = 4 << 20;
        let mut texts = self.parts.iter().filter(|part| part.holds_texts() && part.size > CHECKED_BYTES_MIN);
        texts.try_for_each(|part| self.read_over(part, file, Kind::Texts))
    }

    /// Unpacks the part of a sheet, and the shared texts: whether they are whole.
    ///
    /// # Errors
    /// When they are not.
    pub(super) fn prove(&self, sheet: usize) -> Result<(), SheetProblem> {
        let file = self.file().map_err(|error| SheetProblem::unreadable(&error))?;
        for (at, part) in self.parts.iter().enumerate() {
            let kind = if at == sheet { Kind::Sheet } else { Kind::Texts };
            if at == sheet || part.holds_texts() {
                self.read_over(part, &file, kind)?;
            }
        }
        Ok(())
    }

    fn read_over(&self, part: &Part, file: &File, kind: Kind) -> Result<(), SheetProblem> {
        let failed =
            |error: io::Error| SheetProblem::of(&error).cloned().unwrap_or_else(|| SheetProblem::unreadable(&error));
        let mut open = part.open(file, kind, &Rc::default()).map_err(failed)?;
        let mut crc = crc32fast::Hasher::new();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let count = open.read(&mut bytes).map_err(failed)?;
            crc.update(&bytes[..count]);
            if count == 0 {
                break;
            }
        }
        if crc.finalize() != part.crc || !open.guard.is_complete() {
            return Err(SheetProblem::damaged(format!("`{}` is not what was once packed", part.name)));
        }
        Ok(())
    }
}

/// What local header and directory have in common, from the version on.
fn common(part: &Part) -> [u8; 26] {
    let mut bytes = [0; 26];
    bytes[0] = 20;
    // Names are UTF-8.
    bytes[3] = 8;
    // A date there is: 1980-01-01.
    bytes[8] = 0x21;
    bytes[10..14].copy_from_slice(&part.crc.to_le_bytes());
    bytes[14..18].copy_from_slice(&(part.size as u32).to_le_bytes());
    bytes[18..22].copy_from_slice(&(part.size as u32).to_le_bytes());
    bytes[22..24].copy_from_slice(&(part.name.len() as u16).to_le_bytes());
    bytes
}

fn local_header(part: &Part) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend_from_slice(&common(part));
    bytes.extend_from_slice(part.name.as_bytes());
    bytes
}

fn too_large(what: String) -> SheetProblem {
    SheetProblem::TooLarge { what }
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn longer(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The bytes of the central directory, and how many entries it has.
fn central_directory(file: &mut File) -> io::Result<Result<(Vec<u8>, u64), SheetProblem>> {
    let no_end = || Ok(Err(SheetProblem::damaged("its end is missing")));
    let length = file.seek(SeekFrom::End(0))?;
    let tail_at = length.saturating_sub(END_BYTES + COMMENT_BYTES_MAX);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(tail_at))?;
    file.by_ref().take(END_BYTES + COMMENT_BYTES_MAX).read_to_end(&mut tail)?;
    let is_end = |at: &usize| {
        let end = &tail[*at..];
        end.len() >= END_BYTES as usize && usize::from(short(end, 20)) == end.len() - END_BYTES as usize
    };
    let Some(at) = memchr::memmem::rfind_iter(&tail, b"PK\x05\x06").find(is_end) else { return no_end() };
    let end = &tail[at..];
    let (mut entries, mut bytes, mut from) =
        (u64::from(short(end, 10)), u64::from(long(end, 12)), u64::from(long(end, 16)));
    // Of a file that could be larger than 4 GiB, the numbers stand in a record before.
    if let Some(locator) = at.checked_sub(20).and_then(|at| tail.get(at..at + 20))
        && locator.starts_with(b"PK\x06\x07")
    {
        let mut record = [0; 56];
        file.seek(SeekFrom::Start(longer(locator, 8)))?;
        file.read_exact(&mut record)?;
        if !record.starts_with(b"PK\x06\x06") {
            return no_end();
        }
        (entries, bytes, from) = (longer(&record, 32), longer(&record, 40), longer(&record, 48));
    }
    if entries > PARTS_MAX || bytes > DIRECTORY_BYTES_MAX {
        return Ok(Err(too_large(format!("it has more than {PARTS_MAX} parts"))));
    }
    file.seek(SeekFrom::Start(from))?;
    let mut directory = Vec::new();
    file.by_ref().take(bytes).read_to_end(&mut directory)?;
    Ok(Ok((directory, entries)))
}

/// An entry of the directory.
struct Entry<'a> {
    fixed: &'a [u8],
    name: String,
    extra: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The first entry, and what stands behind it.
    fn read(bytes: &'a [u8]) -> Result<(Entry<'a>, &'a [u8]), SheetProblem> {
        let damaged = || SheetProblem::damaged("its directory cannot be read");
        let (fixed, rest) = bytes.split_at_checked(CENTRAL_BYTES).ok_or_else(damaged)?;
        if !fixed.starts_with(b"PK\x01\x02") {
            return Err(damaged());
        }
        let (name, rest) = rest.split_at_checked(short(fixed, 28).into()).ok_or_else(damaged)?;
        let (extra, rest) = rest.split_at_checked(short(fixed, 30).into()).ok_or_else(damaged)?;
        let (_, rest) = rest.split_at_checked(short(fixed, 32).into()).ok_or_else(damaged)?;
        // Some programs write the other slash.
        let name = String::from_utf8_lossy(name).replace('\\', "/");
        if name.len() > NAME_BYTES_MAX {
            return Err(damaged());
        }
        Ok((Entry { fixed, name, extra }, rest))
    }

    fn part(self) -> Result<Part, SheetProblem> {
        if short(self.fixed, 8) & 1 != 0 {
            return Err(SheetProblem::Encrypted);
        }
        let is_deflated = match short(self.fixed, 10) {
            0 => false,
            8 => true,
            _ => return Err(SheetProblem::damaged(format!("`{}` is packed in an unusual way", self.name))),
        };
        let mut wide = self.wide_numbers();
        let mut number = |at: usize| match long(self.fixed, at) {
            u32::MAX => wide.next().unwrap_or(u64::from(u32::MAX)),
            number => u64::from(number),
        };
        let (size, packed, local_at) = (number(24), number(20), number(42));
        let crc = long(self.fixed, 16);
        Ok(Part { name: self.name, local_at, packed, size, crc, is_deflated, at: 0 })
    }

    /// The numbers that did not fit into four bytes, in their order.
    fn wide_numbers(&self) -> impl Iterator<Item = u64> + use<'a> {
        let mut rest = self.extra;
        let mut found: &[u8] = &[];
        while rest.len() >= 4 {
            let (kind, length) = (short(rest, 0), usize::from(short(rest, 2)));
            let (field, behind) = rest[4..].split_at_checked(length).unwrap_or((&rest[4..], &[]));
            if kind == 1 {
                found = field;
                break;
            }
            rest = behind;
        }
        found.chunks_exact(8).map(|bytes| longer(bytes, 0))
    }
}

/// What the view tells whoever made it.
#[derive(Default)]
pub(super) struct Watch {
    /// Whether the workbook was opened, so that what is read from now on is a sheet.
    pub(super) reads_sheet: Cell<bool>,
    /// Why reading was refused. calamine has its own words for every error.
    pub(super) problem: RefCell<Option<SheetProblem>>,
    /// The part that was opened last.
    pub(super) part: Cell<usize>,
    /// Packed bytes that were read.
    read: Rc<Cell<u64>>,
}

impl Watch {
    /// Packed bytes that were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read.get()
    }
}

/// The zip that calamine sees.
pub(super) struct View {
    package: Arc<Package>,
    file: File,
    position: u64,
    open: Option<(usize, OpenPart)>,
    /// Parts that were read while the workbook was opened: each is read once.
    opened: Vec<bool>,
    watch: Rc<Watch>,
}

impl View {
    pub(super) fn new(package: &Arc<Package>, watch: &Rc<Watch>) -> io::Result<View> {
        let opened = vec![false; package.parts.len()];
        Ok(View {
            file: package.file()?,
            package: Arc::clone(package),
            position: 0,
            open: None,
            opened,
            watch: watch.clone(),
        })
    }

    /// Bytes of a part, from its `offset` on.
    fn read_part(&mut self, at: usize, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let package = Arc::clone(&self.package);
        let Some(part) = package.parts.get(at) else { return Ok(0) };
        let goes_on = self.open.as_ref().is_some_and(|(open, unpacked)| *open == at && unpacked.given <= offset);
        if !goes_on {
            let kind = self.begin(at, part)?;
            self.watch.part.set(at);
            self.open = Some((at, part.open(&self.file, kind, &self.watch.read)?));
        }
        let Some((_, unpacked)) = &mut self.open else { return Ok(0) };
        let skipped = offset - unpacked.given;
        if skipped > 0 {
            io::copy(&mut unpacked.by_ref().take(skipped), &mut io::sink())?;
        }
        unpacked.read(into)
    }

    /// What a part that is opened is read as.
    fn begin(&mut self, at: usize, part: &Part) -> Result<Kind, SheetProblem> {
        if self.watch.reads_sheet.get() {
            return Ok(Kind::Sheet);
        }
        // A part that is read as two things would be counted as one of them.
        if std::mem::replace(&mut self.opened[at], true) {
            return Err(SheetProblem::damaged(format!("`{}` is named as two things", part.name)));
        }
        if part.holds_texts() {
            return Ok(Kind::Texts);
        }
        if part.size > SMALL_PART_BYTES_MAX {
            return Err(too_large(format!("`{}` would unpack to {} MiB", part.name, part.size >> 20)));
        }
        Ok(Kind::Small)
    }
}

impl Read for View {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let package = Arc::clone(&self.package);
        let copied = |from: &[u8], offset: u64, into: &mut [u8]| {
            let rest = usize::try_from(offset).ok().and_then(|offset| from.get(offset..)).unwrap_or_default();
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            count
        };
        let count = if self.position < LEADING_BYTES {
            copied(&[0; LEADING_BYTES as usize], self.position, into)
        } else if self.position >= package.directory_at {
            copied(&package.directory, self.position - package.directory_at, into)
        } else {
            let at = package.parts.partition_point(|part| part.at <= self.position).saturating_sub(1);
            let Some(part) = package.parts.get(at) else { return Ok(0) };
            let offset = self.position - part.at;
            match offset.checked_sub(part.header_bytes()) {
                None => copied(&local_header(part), offset, into),
                Some(offset) if offset >= part.size => {
                    let zeros = [0; READ_BYTES];
                    copied(&zeros[..(package.directory_at - self.position).min(READ_BYTES as u64) as usize], 0, into)
                }
                Some(offset) => {
                    // Not into the next part.
                    let left = usize::try_from(part.size - offset).unwrap_or(usize::MAX).min(into.len());
                    self.read_part(at, offset, &mut into[..left]).inspect_err(|error| {
                        let problem = SheetProblem::of(error).cloned();
                        let problem = problem.unwrap_or_else(|| SheetProblem::unreadable(error));
                        self.watch.problem.replace(Some(problem));
                    })?
                }
            }
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for View {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.package.directory_at + self.package.directory.len() as u64;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => length.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
