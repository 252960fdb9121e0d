//! A file to which whole blocks are written past the system's cache.
//!
//! A write through the cache is copied into pages that must be found, filled, written back and dropped again: for the 550
//! MB of a report of ten million rows that took 0.2 s of the 2.9 s of processor time of the whole job, and on a virtual
//! machine whose host takes back free memory each new page costs more than the rows on it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

/// What offsets, lengths and addresses of direct writes are multiples of. Few disks have larger blocks; where one has, the
/// first write says so.
const BLOCK_BYTES: usize = 4096;
/// Gathered before they are written: the disk's latency is waited for once for so many.
const GATHERED_BYTES: usize = 2 << 20;

/// The end of a file, in memory, and a handle that writes past the cache.
pub struct DirectFile {
    file: File,
    /// Whether the file system refused a direct write: then all goes through the cache.
    is_refused: bool,
    /// Where the gathered bytes belong: a multiple of the block.
    offset: u64,
    memory: Box<[u8]>,
    /// Where the aligned part of the memory begins.
    start: usize,
    /// Gathered bytes.
    count: usize,
    /// How many of them a flush has written.
    flushed: usize,
}

impl DirectFile {
    /// A file whose whole blocks until `offset` are written, and behind them `rest`, less than a block. None where the system
    /// has no such writes for it, as for files in memory.
    pub fn open(path: &Path, offset: u64, rest: &[u8]) -> Option<DirectFile> {
        if !std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return None;
        }
        let file = open_direct(path)?;
        let memory = vec![0; GATHERED_BYTES + BLOCK_BYTES].into_boxed_slice();
        let start = memory.as_ptr().align_offset(BLOCK_BYTES);
        if start > BLOCK_BYTES || rest.len() >= BLOCK_BYTES || offset != DirectFile::whole_blocks(offset) {
            return None;
        }
        let (count, flushed) = (rest.len(), rest.len());
        let mut direct = DirectFile { file, is_refused: false, offset, memory, start, count, flushed };
        direct.memory[start..start + count].copy_from_slice(rest);
        Some(direct)
    }

    /// The length of the whole blocks of so many bytes.
    pub fn whole_blocks(bytes: u64) -> u64 {
        bytes & !(BLOCK_BYTES as u64 - 1)
    }

    /// Appends; what fills the memory is written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(GATHERED_BYTES - self.count));
            let at = self.start + self.count;
            self.memory[at..at + now.len()].copy_from_slice(now);
            self.count += now.len();
            bytes = later;
            if self.count == GATHERED_BYTES {
                self.write_blocks()?;
            }
        }
        Ok(())
    }

    /// Writes everything: whole blocks as far as there are many, the rest by `cached`, another handle of the same file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self, cached: &mut File) -> io::Result<()> {
        /// Below this a write through the cache is as cheap, and does not wait for the disk.
        const DIRECT_BYTES_MIN: usize = 64 << 10;
        if self.count >= DIRECT_BYTES_MIN {
            self.write_blocks()?;
        }
        if self.flushed < self.count {
            // The part of a block that is written here is written again when the block is whole: the same bytes.
            let rest = &self.memory[self.start + self.flushed..self.start + self.count];
            cached.seek(SeekFrom::Start(self.offset + self.flushed as u64))?;
            cached.write_all(rest)?;
            self.flushed = self.count;
        }
        Ok(())
    }

    /// Writes the whole blocks that are gathered; what is left moves to the beginning of the memory.
    fn write_blocks(&mut self) -> io::Result<()> {
        let whole = self.count / BLOCK_BYTES * BLOCK_BYTES;
        let blocks = self.start..self.start + whole;
        if !self.is_refused {
            self.file.seek(SeekFrom::Start(self.offset))?;
            match self.file.write_all(&self.memory[blocks.clone()]) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    // Blocks of another size than ours: the same file without that wish.
                    allow_cache(&self.file)?;
                    self.is_refused = true;
                }
                written => written?,
            }
        }
        if self.is_refused {
            self.file.seek(SeekFrom::Start(self.offset))?;
            self.file.write_all(&self.memory[blocks])?;
        }
        self.memory.copy_within(self.start + whole..self.start + self.count, self.start);
        self.offset += whole as u64;
        self.count -= whole;
        self.flushed = self.flushed.saturating_sub(whole);
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok()
}

/// Only Linux is asked.
#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> Option<File> {
    None
}

/// Lets a handle write through the cache from now on.
#[cfg(target_os = "linux")]
fn allow_cache(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open for as long as the borrow, and the call touches no memory of ours.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
fn allow_cache(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Beside an ordinary file that is appended to; each flush, and each file that is opened again, has all that was
        /// appended.
        #[test]
        fn a_file_is_what_was_appended_at_each_flush(
            steps in prop::collection::vec((0..3_usize, 0..700_000_usize, any::<u8>(), any::<bool>()), 1..14),
            is_refused in any::<bool>(),
        ) {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("report.csv");
            let mut cached = File::create(&path).unwrap();
            let mut expected = b"header\n".to_vec();
            cached.write_all(&expected).unwrap();
            // Where temporary files lie in memory there may be no such writes, and nothing to test.
            let Some(mut direct) = DirectFile::open(&path, 0, &expected) else { return Ok(()) };
            direct.is_refused = is_refused;
            if is_refused {
                allow_cache(&direct.file).unwrap();
            }
            for (size, length, byte, is_reopened) in steps {
                let bytes = vec![byte; [length % 50, length % 9000, length * 5][size]];
                direct.append(&bytes).unwrap();
                expected.extend(bytes);
                if length % 2 == 0 {
                    direct.flush(&mut cached).unwrap();
                    prop_assert!(std::fs::read(&path).unwrap() == expected, "{} bytes", expected.len());
                    if is_reopened {
                        let whole = DirectFile::whole_blocks(expected.len() as u64);
                        direct = DirectFile::open(&path, whole, &expected[whole as usize..]).unwrap();
                        direct.is_refused = is_refused;
                        if is_refused {
                            allow_cache(&direct.file).unwrap();
                        }
                    }
                }
            }
            direct.flush(&mut cached).unwrap();
            prop_assert!(std::fs::read(&path).unwrap() == expected);
        }
    }
}
