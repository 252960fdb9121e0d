//! File systems of our own, on loop devices: their power can be cut, a copy of their disk taken while they are written to,
//! and their space filled up.
//!
//! All of it is mounted in a mount namespace of this process ([`private`]): nobody else sees it, and whatever ends the
//! process, a signal too, undoes it.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use crate::verdict::Problem;

/// Bytes of a file system that a run works on. xfs takes no less; nearly all of it is a hole.
const DISK_BYTES: u64 = 320 << 20;
/// Bytes of the one that holds copies of these, which share what they have in common.
const ROOM_BYTES: u64 = 24 << 30;

/// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN`: `_IOR('X', 125, u32)`.
const SHUTDOWN: libc::Ioctl = 0x8004_587d_u32 as libc::Ioctl;
/// Nothing more is written, not even what the journal has in memory: what a power loss leaves.
static WITHOUT_FLUSH: u32 = 2;
/// `FIFREEZE` and `FITHAW`: `_IOWR('X', 119, int)`, `_IOWR('X', 120, int)`.
const FREEZE: libc::Ioctl = 0xc004_5877_u32 as libc::Ioctl;
const THAW: libc::Ioctl = 0xc004_5878_u32 as libc::Ioctl;
/// `FICLONE`: `_IOW(0x94, 9, int)`.
const CLONE: libc::Ioctl = 0x4004_9409_u32 as libc::Ioctl;

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 as it comes: data reach the disk before the names of their files.
    Ext4,
    /// ext4 that orders nothing but its own journal: what was not synced may be anything.
    Ext4Writeback,
    /// xfs.
    Xfs,
}

impl FileSystem {
    /// All of them.
    pub const ALL: [FileSystem; 3] = [FileSystem::Ext4, FileSystem::Ext4Writeback, FileSystem::Xfs];

    /// Its name, as it is told.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Ext4Writeback => "ext4 (data=writeback)",
            FileSystem::Xfs => "xfs",
        }
    }

    fn options(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "loop,noatime",
            FileSystem::Ext4Writeback => "loop,noatime,data=writeback",
            // Copies of a disk have its identity too.
            FileSystem::Xfs => "loop,noatime,nouuid",
        }
    }

    fn format(self, image: &Path) -> Result<(), Problem> {
        let (program, flags): (&str, &[&str]) = match self {
            FileSystem::Xfs => ("mkfs.xfs", &["-q", "-m", "reflink=1"]),
            _ => ("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-J", "size=8"]),
        };
        run(Command::new(program).args(flags).arg(image))
    }
}

/// Gives this process mounts of its own, which end with it. To be called before there are other threads.
///
/// # Errors
/// Only root may, and not everywhere: what needs a mount is then not run.
pub fn private() -> Result<(), Problem> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        // SAFETY: system calls with constants, or with C strings that live as long as the call.
        let failed = unsafe {
            libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(
                    c"none".as_ptr(),
                    c"/".as_ptr(),
                    std::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    std::ptr::null(),
                ) != 0
        };
        if failed { Err(format!("no mounts of its own: {}", io::Error::last_os_error())) } else { Ok(()) }
    });
    done.clone().map_err(Problem::NotRun)
}

/// Makes an empty file system in a file.
///
/// # Errors
/// This machine cannot make it.
pub fn format(system: FileSystem, image: &Path) -> Result<(), Problem> {
    format_of(system, image, DISK_BYTES)
}

fn format_of(system: FileSystem, image: &Path, bytes: u64) -> Result<(), Problem> {
    File::create(image)?.set_len(bytes)?;
    system.format(image)
}

/// Makes a file system on which files can be copied at once, however large they are, and mounts it.
///
/// # Errors
/// This machine cannot make it.
pub fn room(directory: &Path) -> Result<Mount, Problem> {
    let image = directory.join("room.img");
    format_of(FileSystem::Xfs, &image, ROOM_BYTES)?;
    Mount::new(FileSystem::Xfs, &image, &directory.join("room"))
}

/// Copies a file as it is at one moment between two writes to it. Both must lie on one file system that shares blocks.
///
/// # Errors
/// It does not, or is full.
pub fn copy_at_once(from: &Path, to: &Path) -> Result<(), Problem> {
    let (from, to) = (File::open(from)?, File::create(to)?);
    // SAFETY: both descriptors are open, and the call takes one as its argument.
    if unsafe { libc::ioctl(to.as_raw_fd(), CLONE, from.as_raw_fd()) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(())
}

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    directory: PathBuf,
    is_mounted: bool,
}

impl Mount {
    /// Mounts the file system of an image at a directory, which is made if it is missing.
    ///
    /// # Errors
    /// This machine cannot mount it.
    pub fn new(system: FileSystem, image: &Path, directory: &Path) -> Result<Mount, Problem> {
        private()?;
        fs::create_dir_all(directory)?;
        run(Command::new("mount").args(["-o", system.options()]).args([image, directory]))?;
        Ok(Mount { directory: directory.to_owned(), is_mounted: true })
    }

    /// Mounts an empty file system in memory with room for so many bytes.
    ///
    /// # Errors
    /// This machine cannot mount it.
    pub fn in_memory(bytes: u64, directory: &Path) -> Result<Mount, Problem> {
        private()?;
        fs::create_dir_all(directory)?;
        let mount = Mount { directory: directory.to_owned(), is_mounted: true };
        mount.memory(0, bytes)?;
        Ok(mount)
    }

    /// Gives a file system in memory room for so many bytes in all.
    ///
    /// # Errors
    /// It has more than that.
    pub fn resize(&self, bytes: u64) -> Result<(), Problem> {
        self.memory(libc::MS_REMOUNT, bytes)
    }

    fn memory(&self, flags: libc::c_ulong, bytes: u64) -> Result<(), Problem> {
        let (place, options) = (c_string(&self.directory)?, CString::new(format!("size={bytes}")).unwrap_or_default());
        // SAFETY: all pointers are C strings that live as long as the call.
        let done = unsafe {
            libc::mount(c"tmpfs".as_ptr(), place.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast())
        };
        if done != 0 {
            return Err(Problem::NotRun(format!("no file system in memory: {}", io::Error::last_os_error())));
        }
        Ok(())
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Cuts the power: from now on nothing reaches its disk, and what had not been synced is lost once it is unmounted.
    ///
    /// # Errors
    /// The file system has no such thing.
    pub fn cut(&self) -> Result<(), Problem> {
        let root = File::open(&self.directory)?;
        // SAFETY: the descriptor is open, and the flag outlives the call, which only reads it.
        if unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw const WITHOUT_FLUSH) } != 0 {
            return Err(Problem::NotRun(format!("no shutdown of a file system: {}", io::Error::last_os_error())));
        }
        Ok(())
    }

    /// What it has used and free.
    ///
    /// # Errors
    /// It does not say.
    pub fn room(&self) -> Result<Room, Problem> {
        let place = c_string(&self.directory)?;
        let mut found = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
        // SAFETY: the path is a C string and the structure is ours; it is read only when the call succeeded.
        let found = unsafe {
            if libc::statvfs(place.as_ptr(), found.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error().into());
            }
            found.assume_init()
        };
        let bytes = |blocks: u64| blocks * found.f_frsize;
        Ok(Room { used: bytes(found.f_blocks - found.f_bfree), free: bytes(found.f_bavail) })
    }

    /// Has everything reach its disk.
    ///
    /// # Errors
    /// It does not.
    pub fn sync(&self) -> Result<(), Problem> {
        let root = File::open(&self.directory)?;
        // SAFETY: the descriptor is open.
        if unsafe { libc::syncfs(root.as_raw_fd()) } != 0 {
            return Err(io::Error::last_os_error().into());
        }
        Ok(())
    }

    /// Has all who write to it wait, until what is returned is dropped.
    ///
    /// # Errors
    /// It cannot be frozen.
    pub fn freeze(&self) -> Result<Frozen, Problem> {
        let root = File::open(&self.directory)?;
        // SAFETY: the descriptor is open, and the call takes no argument.
        if unsafe { libc::ioctl(root.as_raw_fd(), FREEZE, 0) } != 0 {
            return Err(Problem::NotRun(format!("a file system cannot be frozen: {}", io::Error::last_os_error())));
        }
        Ok(Frozen(root))
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// Somebody still works on it.
    pub fn unmount(mut self) -> Result<(), Problem> {
        self.is_mounted = false;
        let place = c_string(&self.directory)?;
        // A process that was just killed may need a moment to let go of its files.
        for _ in 0..100 {
            // SAFETY: the place is a C string that lives as long as the call.
            if unsafe { libc::umount2(place.as_ptr(), 0) } == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EBUSY) {
                self.is_mounted = true;
                return Err(error.into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.is_mounted = true;
        Err(Problem::Harness(format!("`{}` is still busy", self.directory.display())))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Ok(place) = c_string(&self.directory)
            && self.is_mounted
        {
            // SAFETY: the place is a C string that lives as long as the call. What is still open ends later.
            unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

/// Bytes of a file system.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Taken.
    pub used: u64,
    /// Free for everybody.
    pub free: u64,
}

/// A file system that is frozen.
#[derive(Debug)]
pub struct Frozen(File);

impl Drop for Frozen {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open, and the call takes no argument.
        unsafe { libc::ioctl(self.0.as_raw_fd(), THAW, 0) };
    }
}

fn c_string(path: &Path) -> Result<CString, Problem> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Problem::Harness("a path with a zero byte".to_owned()))
}

/// Runs a program of the system; what it cannot do is missing on this machine.
fn run(command: &mut Command) -> Result<(), Problem> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended =
        command.stdin(Stdio::null()).output().map_err(|error| Problem::NotRun(format!("no {name}: {error}")))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).trim_end().to_owned();
        return Err(Problem::NotRun(format!("{name}: {said}")));
    }
    Ok(())
}
