//! Stands between the program under test and the file system: counts the calls that change files, over all threads, and
//! breaks one of them, or all from one on.
//!
//! It is loaded by `LD_PRELOAD` and told what to do by the environment:
//!
//! | variable | says |
//! |---|---|
//! | `FAULTS_BOARD` | a file for the counts, mapped into memory so that they survive a kill |
//! | `FAULTS_CALL` | which calls: `write`, `sync`, `rename`, `unlink`, `resize`, `link` |
//! | `FAULTS_AT` | which of them, from 1 |
//! | `FAULTS_ACT` | what becomes of it: `kill-before`, `kill-half` (of a write), `kill-after`, or the number of an error |
//! | `FAULTS_ON` | if set, all later ones of this kind fail too |
//! | `FAULTS_NO_SYNC` | if set, a sync does nothing and says that it did |
//! | `FAULTS_ROOM` | if set, every disk says that it has a TiB free, as one with a quota or thin provisioning may |
//! | `FAULTS_SYNC_MS` | so long each sync takes in addition, so that there is time to cut between two |
//!
//! Only regular files and directories count, and no standard stream: what a program says is not what it keeps. Nothing here
//! allocates, takes a lock or calls what it stands in for: the kernel is asked directly.

#![cfg(target_os = "linux")]
#![allow(
    clippy::missing_safety_doc,
    reason = "each function asks of its caller what the C library's of that name does"
)]

use std::{
    ffi::CStr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use libc::{c_char, c_int, c_long, c_uint, c_void, iovec, off_t, size_t, ssize_t};

/// Bytes of the board: the counts of the kinds of call, in the order of `KINDS`, then how often a fault was made, then the
/// name of the file that it met first.
const BOARD_BYTES: usize = 4096;
const KINDS: [&CStr; 6] = [c"write", c"sync", c"rename", c"unlink", c"resize", c"link"];
const WRITE: usize = 0;
const SYNC: usize = 1;
const RENAME: usize = 2;
const UNLINK: usize = 3;
const RESIZE: usize = 4;
const LINK: usize = 5;

/// What is done to a call; an error has its number.
const KILL_BEFORE: c_int = -1;
const KILL_HALF: c_int = -2;
const KILL_AFTER: c_int = -3;
const NOTHING: c_int = 0;

static BOARD: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
static KIND: AtomicUsize = AtomicUsize::new(usize::MAX);
static AT: AtomicU64 = AtomicU64::new(0);
static ACT: AtomicI32 = AtomicI32::new(NOTHING);
static IS_ON: AtomicBool = AtomicBool::new(false);
static NO_SYNC: AtomicBool = AtomicBool::new(false);
static ROOM: AtomicBool = AtomicBool::new(false);
static SYNC_MS: AtomicU64 = AtomicU64::new(0);

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

/// Reads the environment before `main`.
extern "C" fn start() {
    NO_SYNC.store(variable(c"FAULTS_NO_SYNC").is_some(), SeqCst);
    IS_ON.store(variable(c"FAULTS_ON").is_some(), SeqCst);
    ROOM.store(variable(c"FAULTS_ROOM").is_some(), SeqCst);
    SYNC_MS.store(number(c"FAULTS_SYNC_MS"), SeqCst);
    AT.store(number(c"FAULTS_AT"), SeqCst);
    let act = match variable(c"FAULTS_ACT") {
        Some(act) if act == c"kill-before" => KILL_BEFORE,
        Some(act) if act == c"kill-half" => KILL_HALF,
        Some(act) if act == c"kill-after" => KILL_AFTER,
        _ => number(c"FAULTS_ACT") as c_int,
    };
    ACT.store(act, SeqCst);
    let kind = variable(c"FAULTS_CALL").and_then(|call| KINDS.iter().position(|kind| *kind == call));
    KIND.store(kind.unwrap_or(usize::MAX), SeqCst);
    let Some(path) = variable(c"FAULTS_BOARD") else { return };
    // SAFETY: the path is a C string; the file is made long enough before it is mapped, and the mapping is never undone.
    unsafe {
        let file = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600);
        if file < 0 {
            return;
        }
        libc::syscall(libc::SYS_ftruncate, file, BOARD_BYTES as c_long);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let board = libc::mmap(std::ptr::null_mut(), BOARD_BYTES, access, libc::MAP_SHARED, file as c_int, 0);
        libc::syscall(libc::SYS_close, file);
        if board != libc::MAP_FAILED {
            BOARD.store(board.cast(), SeqCst);
        }
    }
}

fn variable(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: the name is a C string, and nothing changes the environment before `main`, or after what is read here.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }
}

fn number(name: &CStr) -> u64 {
    let digits = variable(name).map_or(&[][..], CStr::to_bytes);
    digits
        .iter()
        .fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0'))))
}

/// What a call works on.
#[derive(Clone, Copy)]
enum What {
    File(c_int),
    Path(*const c_char),
}

/// Counts a call, and says what is to become of it.
fn met(kind: usize, what: What) -> c_int {
    let board = BOARD.load(SeqCst);
    if board.is_null() || matches!(what, What::File(file) if !is_counted(file)) {
        return NOTHING;
    }
    // SAFETY: the board has room for these counters, is never unmapped, and everybody counts atomically.
    let (count, fired) = unsafe { (&*board.add(kind), &*board.add(KINDS.len())) };
    let at = count.fetch_add(1, SeqCst) + 1;
    let wanted = AT.load(SeqCst);
    let is_meant = kind == KIND.load(SeqCst) && (at == wanted || at > wanted && IS_ON.load(SeqCst));
    if !is_meant || wanted == 0 {
        return NOTHING;
    }
    if fired.fetch_add(1, SeqCst) == 0 {
        // SAFETY: the name's place begins behind the counters and ends with the board.
        unsafe { note_name(board.add(KINDS.len() + 1).cast(), BOARD_BYTES - 8 * (KINDS.len() + 1) - 1, what) };
    }
    ACT.load(SeqCst)
}

/// Is it a regular file or a directory, and no standard stream?
fn is_counted(file: c_int) -> bool {
    if file <= 2 {
        return false;
    }
    let mut status = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the structure is ours, and is read only when the call succeeded.
    unsafe {
        libc::fstat(file, status.as_mut_ptr()) == 0
            && [libc::S_IFREG, libc::S_IFDIR].contains(&(status.assume_init().st_mode & libc::S_IFMT))
    }
}

/// Writes the name of a file to `place`, which takes `length` bytes.
unsafe fn note_name(place: *mut u8, length: usize, what: What) {
    match what {
        What::Path(path) => {
            // SAFETY: the path is that of a call that is about to be made with it, and the place takes so many bytes.
            unsafe { libc::strncpy(place.cast(), path, length) };
        }
        What::File(file) => {
            let mut link = [0; 40];
            let mut at = 0;
            let mut digits = [0; 12];
            let mut count = 0;
            let mut rest = file;
            while count == 0 || rest > 0 {
                digits[count] = b'0' + (rest % 10) as u8;
                (rest, count) = (rest / 10, count + 1);
            }
            for byte in b"/proc/self/fd/".iter().copied().chain(digits[..count].iter().rev().copied()) {
                link[at] = byte;
                at += 1;
            }
            // SAFETY: the link's name ends with a zero, and the place takes so many bytes.
            unsafe {
                libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, link.as_ptr(), place, length);
            }
        }
    }
}

fn kill() {
    // SAFETY: it is this process, and it is meant to end without another instruction.
    unsafe {
        libc::syscall(libc::SYS_kill, libc::getpid(), libc::SIGKILL);
        // The signal reaches this thread when it leaves the kernel; should another be the first, this one waits here.
        loop {
            libc::pause();
        }
    }
}

fn fail(number: c_int) -> c_long {
    // SAFETY: it is this thread's own error number.
    unsafe { *libc::__errno_location() = number };
    -1
}

/// Makes a call, or what is to become of it.
fn through(kind: usize, what: What, call: impl FnOnce() -> c_long, half: impl FnOnce() -> c_long) -> c_long {
    match met(kind, what) {
        NOTHING => call(),
        KILL_BEFORE => {
            kill();
            -1
        }
        KILL_HALF => {
            half();
            kill();
            -1
        }
        KILL_AFTER => {
            call();
            kill();
            -1
        }
        error => fail(error),
    }
}

fn sync(file: c_int, call: impl FnOnce() -> c_long) -> c_long {
    let slow = SYNC_MS.load(SeqCst);
    if slow > 0 && is_counted(file) {
        let time = libc::timespec { tv_sec: (slow / 1000) as _, tv_nsec: (slow % 1000 * 1_000_000) as _ };
        // SAFETY: the time is ours, and nobody wants to know what is left of it.
        unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
    }
    let nothing = || 0;
    if NO_SYNC.load(SeqCst) {
        return through(SYNC, What::File(file), nothing, nothing);
    }
    through(SYNC, What::File(file), call, nothing)
}

/// Half of a list of buffers: the first half of the first that has bytes.
fn first_half(buffers: *const iovec, count: c_int) -> Option<(*const c_void, usize)> {
    // SAFETY: the caller of `writev` promises so many buffers.
    let buffers = unsafe { std::slice::from_raw_parts(buffers, usize::try_from(count).ok()?) };
    buffers.iter().find(|buffer| buffer.iov_len > 1).map(|buffer| (buffer.iov_base.cast_const(), buffer.iov_len / 2))
}

// What follows has the names and arguments of the C library; each asks the kernel what it was asked.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(file: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    let part = |length: size_t| unsafe { libc::syscall(libc::SYS_write, file, bytes, length) };
    through(WRITE, What::File(file), || part(length), || part(length / 2)) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(file: c_int, bytes: *const c_void, length: size_t, place: off_t) -> ssize_t {
    let part = |length: size_t| unsafe { libc::syscall(libc::SYS_pwrite64, file, bytes, length, place) };
    through(WRITE, What::File(file), || part(length), || part(length / 2)) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(file: c_int, bytes: *const c_void, length: size_t, place: off_t) -> ssize_t {
    unsafe { pwrite(file, bytes, length, place) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(file: c_int, buffers: *const iovec, count: c_int) -> ssize_t {
    let whole = || unsafe { libc::syscall(libc::SYS_writev, file, buffers, count) };
    let half = || match first_half(buffers, count) {
        Some((bytes, length)) => unsafe { libc::syscall(libc::SYS_write, file, bytes, length) },
        None => 0,
    };
    through(WRITE, What::File(file), whole, half) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(file: c_int, buffers: *const iovec, count: c_int, place: off_t) -> ssize_t {
    // The kernel takes the place in two halves, of which it wants the upper one only where a word is too short.
    let whole = || unsafe { libc::syscall(libc::SYS_pwritev, file, buffers, count, place, 0) };
    let half = || match first_half(buffers, count) {
        Some((bytes, length)) => unsafe { libc::syscall(libc::SYS_pwrite64, file, bytes, length, place) },
        None => 0,
    };
    through(WRITE, What::File(file), whole, half) as ssize_t
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64(file: c_int, buffers: *const iovec, count: c_int, place: off_t) -> ssize_t {
    unsafe { pwritev(file, buffers, count, place) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(file: c_int) -> c_int {
    sync(file, || unsafe { libc::syscall(libc::SYS_fsync, file) }) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    sync(file, || unsafe { libc::syscall(libc::SYS_fdatasync, file) }) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncfs(file: c_int) -> c_int {
    sync(file, || unsafe { libc::syscall(libc::SYS_syncfs, file) }) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync_file_range(file: c_int, place: off_t, length: off_t, flags: c_uint) -> c_int {
    sync(file, || unsafe { libc::syscall(libc::SYS_sync_file_range, file, place, length, flags) }) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { renameat2(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char) -> c_int {
    unsafe { renameat2(from_at, from, to_at, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    from_at: c_int,
    from: *const c_char,
    to_at: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    let call = || unsafe { libc::syscall(libc::SYS_renameat2, from_at, from, to_at, to, flags) };
    through(RENAME, What::Path(to), call, || 0) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int {
    let call = || unsafe { libc::syscall(libc::SYS_unlinkat, at, path, flags) };
    through(UNLINK, What::Path(path), call, || 0) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(file: c_int, length: off_t) -> c_int {
    let call = || unsafe { libc::syscall(libc::SYS_ftruncate, file, length) };
    through(RESIZE, What::File(file), call, || 0) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(file: c_int, length: off_t) -> c_int {
    unsafe { ftruncate(file, length) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate(file: c_int, mode: c_int, place: off_t, length: off_t) -> c_int {
    let call = || unsafe { libc::syscall(libc::SYS_fallocate, file, mode, place, length) };
    through(RESIZE, What::File(file), call, || 0) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate64(file: c_int, mode: c_int, place: off_t, length: off_t) -> c_int {
    unsafe { fallocate(file, mode, place, length) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { linkat(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn linkat(
    from_at: c_int,
    from: *const c_char,
    to_at: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    let call = || unsafe { libc::syscall(libc::SYS_linkat, from_at, from, to_at, to, flags) };
    through(LINK, What::Path(to), call, || 0) as c_int
}

/// What is said of a disk's room, where it is not what the kernel says.
const FREE_BYTES: u64 = 1 << 40;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs(path: *const c_char, found: *mut libc::statvfs) -> c_int {
    type Statvfs = unsafe extern "C" fn(*const c_char, *mut libc::statvfs) -> c_int;
    // SAFETY: the name is that of a function of this type; the caller gives a path and a place for the answer.
    unsafe {
        let next = libc::dlsym(libc::RTLD_NEXT, c"statvfs".as_ptr());
        if next.is_null() {
            return fail(libc::ENOSYS) as c_int;
        }
        let done = std::mem::transmute::<*mut c_void, Statvfs>(next)(path, found);
        if done == 0 && ROOM.load(SeqCst) {
            (*found).f_bfree = FREE_BYTES / (*found).f_frsize.max(1);
            (*found).f_bavail = (*found).f_bfree;
        }
        done
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn statvfs64(path: *const c_char, found: *mut libc::statvfs) -> c_int {
    // With 64-bit words both have one form.
    unsafe { statvfs(path, found) }
}
