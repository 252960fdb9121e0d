//! A sheet's text as a reader: calamine works on a thread of its own, some blocks ahead of whoever reads.
//!
//! A file is opened, looked at, and read from its beginning again; for a workbook each time would mean to unpack its shared
//! texts. So a text whose first megabyte is all that was read of it is kept, thread and all, and the next reader goes on
//! with it.

use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{
    SheetChoice, SheetProblem,
    cells::{Out, write_text},
    package::Package,
};

/// Blocks that wait for a reader, each of 256 KiB.
const BLOCKS_AHEAD: usize = 4;

/// The beginning of a text that is kept.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A sheet that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// Its name.
    pub(super) name: String,
    /// Its part of the package.
    pub(super) part: usize,
}

/// A piece of text, and how many bytes of the file were read for it.
#[derive(Debug)]
struct Block {
    text: Vec<u8>,
    read: u64,
}

enum Message {
    Opened(Opened),
    Block(Block),
    Ended(Result<(), SheetProblem>),
}

impl Out for Sender<Message> {
    fn opened(&mut self, opened: Opened) -> bool {
        self.send(Message::Opened(opened)).is_ok()
    }

    fn block(&mut self, text: Vec<u8>, read: u64) -> bool {
        self.send(Message::Block(Block { text, read })).is_ok()
    }
}

/// A text that was begun.
struct Begun {
    /// What was read of it.
    kept: Vec<Arc<Block>>,
    kept_bytes: usize,
    /// Whether that is all that was read.
    is_whole: bool,
    /// Whether that is all there is.
    is_ended: bool,
    messages: Receiver<Message>,
}

impl Begun {
    fn start(package: &Arc<Package>, choice: &SheetChoice) -> Result<(Begun, Opened), SheetProblem> {
        let (mut sender, messages) = bounded(BLOCKS_AHEAD);
        let (package, choice) = (Arc::clone(package), choice.clone());
        let work = move || {
            let ended = write_text(&package, &choice, &mut sender);
            // Whoever is gone needs no end.
            let _ = sender.send(Message::Ended(ended));
        };
        let started = std::thread::Builder::new().name("sheet".to_owned()).spawn(work);
        started.map_err(|error| SheetProblem::unreadable(&error))?;
        match messages.recv() {
            Ok(Message::Opened(opened)) => {
                Ok((Begun { kept: Vec::new(), kept_bytes: 0, is_whole: true, is_ended: false, messages }, opened))
            }
            Ok(Message::Ended(Err(problem))) => Err(problem),
            Ok(Message::Ended(Ok(())) | Message::Block(_)) | Err(_) => Err(broken_off()),
        }
    }

    /// The next block that was not read yet; none at the end.
    fn receive(&mut self) -> Result<Option<Arc<Block>>, SheetProblem> {
        if self.is_ended {
            return Ok(None);
        }
        match self.messages.recv() {
            Ok(Message::Block(block)) => {
                let block = Arc::new(block);
                self.kept_bytes += block.text.len();
                self.is_whole &= self.kept_bytes <= KEPT_BYTES_MAX;
                if self.is_whole {
                    self.kept.push(Arc::clone(&block));
                } else {
                    self.kept.clear();
                }
                Ok(Some(block))
            }
            Ok(Message::Ended(ended)) => {
                self.is_ended = true;
                self.is_whole &= ended.is_ok();
                ended.map(|()| None)
            }
            Ok(Message::Opened(_)) | Err(_) => Err(broken_off()),
        }
    }
}

fn broken_off() -> SheetProblem {
    SheetProblem::damaged("its cells cannot be read")
}

/// Where a begun text waits for its next reader.
#[derive(Default)]
pub(super) struct Slot(Mutex<Option<Begun>>);

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Slot")
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the sheet, and leaves its text in the slot.
///
/// # Errors
/// When there is none, or the file cannot be read.
pub(super) fn begin(package: &Arc<Package>, choice: &SheetChoice, slot: &Slot) -> Result<Opened, SheetProblem> {
    let (begun, opened) = Begun::start(package, choice)?;
    *slot.lock() = Some(begun);
    Ok(opened)
}

/// Gives the text of a sheet. The thread behind it ends when it is dropped, or soon after.
pub struct SheetReader {
    slot: Arc<Slot>,
    begun: Option<Begun>,
    block: Option<Arc<Block>>,
    /// Bytes of the block that were given.
    given: usize,
    /// Kept blocks that were given.
    replayed: usize,
    read: Arc<AtomicU64>,
    file_bytes: u64,
}

impl SheetReader {
    pub(super) fn new(
        package: &Arc<Package>,
        choice: &SheetChoice,
        slot: &Arc<Slot>,
        read: Arc<AtomicU64>,
    ) -> Result<SheetReader, SheetProblem> {
        let waiting = slot.lock().take();
        let begun = match waiting {
            Some(begun) => begun,
            None => Begun::start(package, choice)?.0,
        };
        read.store(0, Relaxed);
        let (slot, file_bytes) = (Arc::clone(slot), package.file_bytes());
        Ok(SheetReader { slot, begun: Some(begun), block: None, given: 0, replayed: 0, read, file_bytes })
    }

    /// The next block; none at the end.
    fn next_block(&mut self) -> Result<Option<Arc<Block>>, SheetProblem> {
        let Some(begun) = &mut self.begun else { return Ok(None) };
        if let Some(block) = begun.kept.get(self.replayed) {
            self.replayed += 1;
            return Ok(Some(Arc::clone(block)));
        }
        let block = begun.receive()?;
        self.replayed = begun.kept.len();
        Ok(block)
    }
}

impl Read for SheetReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.block.as_ref().and_then(|block| block.text.get(self.given..)).unwrap_or_default();
            if !rest.is_empty() || into.is_empty() {
                let count = rest.len().min(into.len());
                into[..count].copy_from_slice(&rest[..count]);
                self.given += count;
                return Ok(count);
            }
            (self.block, self.given) = (self.next_block()?, 0);
            match &self.block {
                Some(block) => self.read.store(block.read, Relaxed),
                None => {
                    // Other sheets and pictures were not read, and nobody waits for them.
                    self.read.store(self.file_bytes, Relaxed);
                    return Ok(0);
                }
            }
        }
    }
}

impl Drop for SheetReader {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take().filter(|begun| begun.is_whole) {
            self.slot.lock().get_or_insert(begun);
        }
    }
}
