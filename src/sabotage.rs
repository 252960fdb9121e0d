//! Promises that are broken on purpose, so that the faults harness can show that it would notice.
//!
//! A check that cannot fail proves nothing: `tests/faults` runs each fault once more with a promise broken, and fails where
//! that goes unnoticed. Only a build with the feature `sabotage` can break one, by `TIDEMILL_SABOTAGE` in its
//! environment; in any other build [`is_on`] is a constant, and the code behind it is gone.

/// A promise of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A job that goes on starts where its last commit ended.
    Checkpoint,
    /// A file that was imported is known again.
    Repeat,
    /// Stored bytes that changed are noticed.
    Checksum,
}

/// Whether a promise is broken in this process.
#[cfg(feature = "sabotage")]
pub fn is_on(promise: Promise) -> bool {
    use std::sync::OnceLock;

    static BROKEN: OnceLock<Option<Promise>> = OnceLock::new();
    let broken = BROKEN.get_or_init(|| match std::env::var("TIDEMILL_SABOTAGE").as_deref() {
        Ok("checkpoint") => Some(Promise::Checkpoint),
        Ok("repeat") => Some(Promise::Repeat),
        Ok("checksum") => Some(Promise::Checksum),
        _ => None,
    });
    *broken == Some(promise)
}

/// Whether a promise is broken in this process: none ever is in a build without the feature.
#[cfg(not(feature = "sabotage"))]
pub const fn is_on(_: Promise) -> bool {
    false
}
