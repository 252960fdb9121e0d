//! The disk under the store.

use std::{fs::File, path::Path};

use crate::error::{Error, ErrorKind, Result};

/// Bytes that the disk under `path` has free for us; unknown counts as unlimited.
pub fn free_bytes(path: &Path) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return u64::MAX };
        let mut statistics = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
        // SAFETY: the path is a C string and the structure is ours; it is read only when the call succeeded.
        let statistics = unsafe {
            if libc::statvfs(path.as_ptr(), statistics.as_mut_ptr()) != 0 {
                return u64::MAX;
            }
            statistics.assume_init()
        };
        #[expect(clippy::useless_conversion, reason = "the fields' types differ between systems")]
        u64::from(statistics.f_bavail).saturating_mul(u64::from(statistics.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        u64::MAX
    }
}

/// Refuses to begin a commit that the disk may not have room for.
///
/// RocksDB on a full disk cannot even be opened again until space is freed, so the commit is not tried.
///
/// # Errors
/// `Storage` with code `disk_full`.
pub fn check_free(path: &Path, needed: u64) -> Result<()> {
    let free = free_bytes(path);
    if free >= needed {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Storage,
        "disk_full",
        format!(
            "the disk of `{}` has {} MiB free and the next commit needs {} MiB; nothing of it was written",
            path.display(),
            free >> 20,
            needed.div_ceil(1 << 20)
        ),
    )
    .hint("free some space and repeat the command: it goes on where the last commit ended"))
}

/// Makes names in a directory durable.
///
/// # Errors
/// When the directory cannot be synced.
pub fn sync_directory(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::io(format_args!("cannot sync the directory `{}`", path.display()), &error))
}

/// Gives back the memory in which the system keeps a synced part of a file that nobody will read soon.
///
/// A report of 550 MB otherwise fills as much memory with pages that are never looked at again, pushes out what is, and on a
/// virtual machine whose host takes back free memory each new page costs more than the row it holds. With it, the pages of
/// one window serve the next. The system may ignore it.
pub fn forget_pages(file: &File, from: u64, to: u64) {
    #[cfg(target_os = "linux")]
    if let (Ok(start), Ok(length)) = (libc::off_t::try_from(from), libc::off_t::try_from(to.saturating_sub(from))) {
        use std::os::fd::AsRawFd;
        // SAFETY: the descriptor is open for as long as the borrow; the call is advice on cached pages and touches no
        // memory of ours.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), start, length, libc::POSIX_FADV_DONTNEED) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, from, to);
}

/// Bytes that the system is asked for at a time. Of more than the device's read-ahead, or its longest request if that is
/// longer, Linux takes the beginning and says nothing; hardly a device has less than this for both.
const READ_AHEAD_BYTES: u64 = 128 << 10;

/// Has the system read a file that will be read soon: advice, which it may ignore. Half a gigabyte takes 0.1 s of a
/// processor's time; it may wait for the disk.
pub fn read_ahead(path: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(file) = File::open(path) {
        use std::os::fd::AsRawFd;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        for from in (0..bytes).step_by(READ_AHEAD_BYTES as usize) {
            let (Ok(start), Ok(length)) = (from.try_into(), READ_AHEAD_BYTES.try_into()) else { return };
            // SAFETY: the descriptor is open for as long as the file; the call is advice on cached pages and touches no
            // memory of ours.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), start, length, libc::POSIX_FADV_WILLNEED) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
}

/// Bytes of the files below a directory; what cannot be read counts as nothing.
pub fn bytes_of(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
