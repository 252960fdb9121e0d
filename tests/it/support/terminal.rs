//! The binary on a terminal: a pseudo-terminal whose other end a test holds, to read the screen and to press keys.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// How long a text may take to appear before the test gives up: far more than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process on a terminal.
pub struct Terminal {
    keyboard: File,
    child: Child,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    /// How much of the screen was waited for already.
    seen: usize,
}

#[derive(Default)]
struct Screen {
    text: String,
    is_closed: bool,
}

impl Terminal {
    /// Starts a command on a terminal of its own. Standard output is a pipe, unless `is_whole`.
    pub fn start(mut command: Command) -> Terminal {
        let (mut master, mut slave) = (0, 0);
        let mut size = libc::winsize { ws_row: 60, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: all pointers are to our own memory or null, which the call allows.
        let opened = unsafe {
            libc::openpty(&raw mut master, &raw mut slave, std::ptr::null_mut(), std::ptr::null_mut(), &raw mut size)
        };
        assert_eq!(opened, 0, "a terminal is opened: {}", std::io::Error::last_os_error());
        // SAFETY: both are open, and nobody else has them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        // SAFETY: the descriptor is open.
        unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        let end = || Stdio::from(slave.try_clone().expect("a descriptor is copied"));
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm").env_remove("NO_COLOR");
        // SAFETY: only calls that are allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() == -1 || libc::ioctl(0, libc::TIOCSCTTY, 0) == -1 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().expect("the binary runs");
        // The command holds copies of the terminal's end; the last must go with the process.
        drop((command, slave));
        let screen = Arc::new((Mutex::new(Screen::default()), Condvar::new()));
        let mut output = master.try_clone().expect("a descriptor is copied");
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut unread = Vec::new();
            // The end of a terminal is an error here.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                unread.extend_from_slice(&bytes[..count]);
                let valid = match std::str::from_utf8(&unread) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let text: Vec<u8> = unread.drain(..valid).collect();
                shown.0.lock().expect("no panic").text += std::str::from_utf8(&text).expect("just checked");
                shown.1.notify_all();
            }
            shown.0.lock().expect("no panic").is_closed = true;
            shown.1.notify_all();
        });
        Terminal { keyboard: master, child, screen, seen: 0 }
    }

    /// Waits until this text comes, after what was waited for before. Colours and cursor movements do not count.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let (screen, changed) = &*self.screen;
        let mut shown = screen.lock().expect("no panic");
        loop {
            let plain = without_escapes(&shown.text);
            if let Some(at) = plain.get(self.seen..).and_then(|rest| rest.find(text)) {
                self.seen += at + text.len();
                return;
            }
            let (next, waited) = changed.wait_timeout(shown, PATIENCE).expect("no panic");
            shown = next;
            let rest = plain.get(self.seen..).unwrap_or_default();
            assert!(
                !waited.timed_out() && !shown.is_closed || without_escapes(&shown.text).contains(text),
                "`{text}` does not come: {rest}"
            );
        }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits for the text, then presses the keys.
    #[track_caller]
    pub fn answer(&mut self, text: &str, keys: &str) {
        self.expect(text);
        self.press(keys);
    }

    /// Waits for the end: the exit code and all that was shown.
    pub fn end(self) -> (Option<i32>, String) {
        let (exit, raw) = self.end_raw();
        (exit, without_escapes(&raw))
    }

    /// The same, with colours and cursor movements.
    pub fn end_raw(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("the process ends");
        let (screen, changed) = &*self.screen;
        let mut shown = screen.lock().expect("no panic");
        while !shown.is_closed {
            let (next, waited) = changed.wait_timeout(shown, PATIENCE).expect("no panic");
            shown = next;
            assert!(!waited.timed_out(), "the terminal is not closed");
        }
        (status.code(), shown.text.clone())
    }

    /// Whether the process ends within the time after which a person would press a key again.
    pub fn ends_soon(&mut self) -> bool {
        for _ in 0..20 {
            if self.child.try_wait().expect("a child of ours").is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

/// A text without the sequences that colour it and move the cursor.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                if rest.next() == Some('[') {
                    let _ = rest.find(|c| ('@'..='~').contains(c));
                }
            }
            '\r' => {}
            c => plain.push(c),
        }
    }
    plain
}
