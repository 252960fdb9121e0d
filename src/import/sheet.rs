//! XLSX workbooks: one sheet of a file becomes text that the rest of the import reads like any other.
//!
//! `package` opens the zip and allows only so much, `guard` looks at the XML before calamine does, `cells` turns cells into
//! text, one line a row of the sheet, `reader` does that on a thread of its own. `bad_cell` is what a cell becomes that
//! nobody may read as a value: its row is refused, if a field reads its column.
//!
//! The text is written in [`Dialect::SHEET`](crate::import::dialect::Dialect::SHEET), whose delimiter and quote no cell can
//! hold, so nothing is ever quoted. A line's number is the number of its row, empty rows are empty lines.

mod package;
mod guard;
mod cells;
mod reader;
pub mod bad_cell;

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

pub use reader::SheetReader;

use package::Package;
use reader::{Opened, Slot};

/// Columns of a header. Formats have at most some tens; every row is filled up to its header, so a stray cell far to the
/// right would make each of them long.
pub const COLUMNS_MAX: usize = 1024;

/// Rows of a sheet, by the file format.
pub const ROWS_MAX: u32 = 1_048_576;

/// Memory for the texts that cells share, which calamine holds as long as a sheet is read: their bytes, and 32 for each
/// element that they are made of.
pub const SHARED_TEXT_BYTES_MAX: u64 = 512 << 20;

/// What all XML of a workbook may unpack to.
pub const UNPACKED_BYTES_MAX: u64 = 3 << 30;

/// Which sheet is read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetChoice {
    /// The name, or the number from 1 among the visible ones; none: the first visible one.
    pub sheet: Option<String>,
    /// Rows above the header.
    pub skip_rows: u64,
    /// The decimal mark of numbers in the text: what the file's number style reads.
    pub decimal_mark: char,
}

impl Default for SheetChoice {
    fn default() -> SheetChoice {
        SheetChoice { sheet: None, skip_rows: 0, decimal_mark: '.' }
    }
}

/// Why a workbook cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetProblem {
    /// It has a password, or is of a program before 2007: both look alike from outside.
    #[error(
        "it is protected by a password, or an old `.xls`: open it in a spreadsheet program and save it as `.xlsx` \
         without a password"
    )]
    Encrypted,
    /// A spreadsheet of another kind.
    #[error("it is {kind}: save it as `.xlsx`, or as CSV")]
    OtherKind {
        /// Which.
        kind: &'static str,
    },
    /// A zip of something else.
    #[error("it is a zip archive without a workbook: unpack it, and import the file that it holds")]
    NoWorkbook,
    /// A workbook within a `.gz` or `.zst`.
    #[error("it is a compressed workbook: unpack it first; an `.xlsx` is compressed as it is")]
    Compressed,
    /// A workbook as a stream that is not kept.
    #[error("a workbook cannot be read as a stream: leave `--no-spool` out, or save it to a file first")]
    Stream,
    /// It has no such sheet, or a hidden one.
    #[error("it has no visible sheet {wanted}: {}", list(.visible))]
    NoSheet {
        /// What was asked for.
        wanted: String,
        /// The names that there are.
        visible: Vec<String>,
    },
    /// It has no sheet that could be read at all.
    #[error("it has no visible sheet of cells")]
    NoSheets,
    /// It unpacks to more than is allowed.
    #[error("{what}; this is refused, as it would take the memory: save only the rows that are needed, or use CSV")]
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// Its XML declares things that no spreadsheet program declares.
    #[error("its XML has a document type definition, which no spreadsheet program writes; this is refused")]
    Dtd,
    /// What is in it contradicts itself.
    #[error("it is damaged: {what}; open it in a spreadsheet program and save it again")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// Reading the file failed.
    #[error("{what}")]
    Unreadable {
        /// What the system said.
        what: String,
    },
}

fn list(names: &[String]) -> String {
    format!("take one of `{}`, or its number", names.join("`, `"))
}

impl SheetProblem {
    pub(crate) fn damaged(what: impl Into<String>) -> SheetProblem {
        SheetProblem::Damaged { what: what.into() }
    }

    pub(crate) fn unreadable(error: &io::Error) -> SheetProblem {
        SheetProblem::Unreadable { what: error.to_string() }
    }

    /// The problem that an error of a [`SheetReader`] carries.
    pub fn of(error: &io::Error) -> Option<&SheetProblem> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<SheetProblem> for io::Error {
    fn from(problem: SheetProblem) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, problem)
    }
}

/// Whether a file that begins so is a workbook, or something that is often taken for one: a zip archive, or the container
/// that encrypted workbooks and old ones lie in.
pub fn is_package(beginning: &[u8]) -> bool {
    beginning.starts_with(b"PK\x03\x04") || beginning.starts_with(b"PK\x05\x06") || is_container(beginning)
}

fn is_container(beginning: &[u8]) -> bool {
    beginning.starts_with(&[0xd0, 0xcf, 0x11, 0xe0])
}

/// One sheet of a workbook that can be read.
#[derive(Debug)]
pub struct Sheet {
    package: Arc<Package>,
    choice: SheetChoice,
    opened: Opened,
    slot: Arc<Slot>,
}

impl Sheet {
    /// Opens the workbook in a file and finds the sheet. Reads the workbook's parts and the first rows, not all of them.
    ///
    /// # Errors
    /// When it is none, is damaged, or asks for more than is allowed.
    pub fn open(path: &Path, mut file: File, choice: &SheetChoice) -> Result<Sheet, SheetProblem> {
        let unreadable = |error: io::Error| SheetProblem::unreadable(&error);
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(unreadable)?;
        if is_container(&magic) {
            return Err(SheetProblem::Encrypted);
        }
        file.rewind().map_err(unreadable)?;
        let package = Arc::new(Package::open(path, &mut file)?);
        package.check_shared_texts(&file)?;
        Sheet::begin(package, choice.clone())
    }

    fn begin(package: Arc<Package>, choice: SheetChoice) -> Result<Sheet, SheetProblem> {
        let slot = Arc::new(Slot::default());
        let opened = reader::begin(&package, &choice, &slot)?;
        Ok(Sheet { package, choice, opened, slot })
    }

    /// The sheet's name.
    pub fn name(&self) -> &str {
        &self.opened.name
    }

    /// The same sheet with another decimal mark in its numbers.
    ///
    /// # Errors
    /// When it can no longer be read.
    pub fn with_decimal_mark(&self, decimal_mark: char) -> Result<Sheet, SheetProblem> {
        // By the name that was found: it is the same sheet whatever else was asked for.
        let sheet = Some(self.opened.name.clone());
        Sheet::begin(Arc::clone(&self.package), SheetChoice { sheet, decimal_mark, ..self.choice.clone() })
    }

    /// The sheet's rows above the header, as they were chosen.
    pub fn choice(&self) -> &SheetChoice {
        &self.choice
    }

    /// Opens the text at its start. What was read of the beginning before is not read again. `read` is set to the bytes of
    /// the file that were read so far.
    ///
    /// # Errors
    /// When the file can no longer be read.
    pub fn reader(&self, read: Arc<AtomicU64>) -> Result<SheetReader, SheetProblem> {
        SheetReader::new(&self.package, &self.choice, &self.slot, read)
    }

    /// Unpacks all that a job reads and looks whether it is whole, so that a damaged file is refused before its first row is
    /// applied. Costs 0.3 s for a million rows.
    ///
    /// # Errors
    /// When it is damaged, or asks for more than is allowed.
    pub fn prove(&self) -> Result<(), SheetProblem> {
        self.package.prove(self.opened.part)
    }
}

#[cfg(test)]
mod tests;
