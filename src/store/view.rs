//! Reading: the store as it is now, or one committed state of it, while jobs go on.
//!
//! A [`View`] is a snapshot of the database together with what `meta` says in it. It is taken between two commits, so that
//! it has the whole of a window or nothing of it, and every reader that takes a [`Readable`] goes through it. Three things
//! could pull the floor from under it, and do not:
//!
//! - what a commit adds lies behind the snapshot, pages of a later generation too;
//! - an old generation is dropped by unlinking its files, which no snapshot prevents: so that is put off until the last view
//!   ends;
//! - a rewrite, or the rejected rows of a job that are dropped, must leave no byte of what was taken out on the disk, and a
//!   snapshot would keep it there: so these wait until all views have ended, and a view that comes meanwhile waits for them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rocksdb::{ReadOptions, Snapshot};
use serde::de::DeserializeOwned;

use super::{
    Store, caches,
    caches::CachePositions,
    family, handle,
    key::{self, LogKey},
    lock,
    log::Log,
    settings::Settings,
    staging, value,
};
use crate::{
    domain::{id::JobId, program::Program},
    error::{Error, Result},
    sabotage::{self, Promise},
};

/// What can be read: the store, whose content moves on from one read to the next, or a [`View`], whose does not.
pub trait Readable: Sync {
    /// The store that is read.
    fn store(&self) -> &Store;

    /// The state of the database that is read; none: the newest.
    fn snapshot(&self) -> Option<&Snapshot<'_>>;

    /// What the stored caches reflect.
    fn positions(&self) -> CachePositions;

    /// The settings.
    fn settings(&self) -> Settings;

    /// The programs, in the order they were added.
    fn programs(&self) -> Vec<Program>;

    /// The log: what is true.
    fn log(&self) -> Log<'_> {
        Log::new(&self.store().db, &self.store().head, &staging::directory(&self.store().directory)).at(self.snapshot())
    }

    /// Options for reading what is there to be read.
    fn read_options(&self) -> ReadOptions {
        options_at(self.snapshot())
    }

    /// The value under a key of a family, a page of a cache for instance.
    ///
    /// # Errors
    /// When the database fails.
    fn stored(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let db = &self.store().db;
        Ok(db.get_cf_opt(handle(db, family)?, key, &self.read_options())?)
    }

    /// The number of the newest job; 0 if there is none.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn newest_job(&self) -> Result<JobId> {
        Ok(match self.log().last(key::JOBS)? {
            Some((LogKey::Job(job, ..), _)) => job,
            _ => JobId(0),
        })
    }
}

/// Options for reading at a snapshot.
pub(super) fn options_at(snapshot: Option<&Snapshot<'_>>) -> ReadOptions {
    let mut options = ReadOptions::default();
    if sabotage::is_on(Promise::Checksum) {
        options.set_verify_checksums(false);
    }
    if let Some(snapshot) = snapshot {
        options.set_snapshot(snapshot);
    }
    options
}

impl Readable for Store {
    fn store(&self) -> &Store {
        self
    }

    fn snapshot(&self) -> Option<&Snapshot<'_>> {
        None
    }

    fn positions(&self) -> CachePositions {
        Store::positions(self)
    }

    fn settings(&self) -> Settings {
        Store::settings(self)
    }

    fn programs(&self) -> Vec<Program> {
        Store::programs(self)
    }
}

/// One committed state of the store. Whoever holds one begins no second one, and starts nothing that waits for a rewrite.
pub struct View<'a> {
    store: &'a Store,
    positions: CachePositions,
    settings: Settings,
    programs: Vec<Program>,
    // Let go before `counted`, whose end may have somebody go on who must meet no snapshot.
    snapshot: Snapshot<'a>,
    _counted: Counted<'a>,
}

impl Readable for View<'_> {
    fn store(&self) -> &Store {
        self.store
    }

    fn snapshot(&self) -> Option<&Snapshot<'_>> {
        Some(&self.snapshot)
    }

    fn positions(&self) -> CachePositions {
        self.positions.clone()
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn programs(&self) -> Vec<Program> {
        self.programs.clone()
    }
}

impl Store {
    /// The newest committed state, to be read while jobs go on. Waits for a commit that is being made, or for a rewrite,
    /// and never for a job. Rewrites wait for its end.
    ///
    /// # Errors
    /// `Corrupt` when what `meta` says cannot be read.
    pub fn view(&self) -> Result<View<'_>> {
        let counted = self.readers.begin(self);
        // Every commit holds this until it is made as a whole.
        let head = lock(&self.head);
        let snapshot = self.db.snapshot();
        drop(head);
        let meta = |name| meta_at(self, Some(&snapshot), name);
        let (positions, settings, programs) = (
            meta_of(meta("caches")?, "caches")?.unwrap_or_default(),
            meta_of(meta("settings")?, "settings")?.ok_or_else(|| Error::corrupt("the store has no settings"))?,
            meta_of(meta("programs")?, "programs")?.unwrap_or_default(),
        );
        Ok(View { store: self, positions, settings, programs, snapshot, _counted: counted })
    }

    pub(crate) fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        meta_of(meta_at(self, None, name)?, name)
    }
}

fn meta_at(store: &Store, snapshot: Option<&Snapshot<'_>>, name: &str) -> Result<Option<Vec<u8>>> {
    Ok(store.db.get_cf_opt(handle(&store.db, family::META)?, name, &options_at(snapshot))?)
}

fn meta_of<T: DeserializeOwned>(stored: Option<Vec<u8>>, name: &str) -> Result<Option<T>> {
    let Some(stored) = stored else { return Ok(None) };
    let body = value::open(value::Kind::Meta, &stored, &name)?;
    serde_json::from_slice(body).map(Some).map_err(|error| Error::corrupt(format!("`{name}` cannot be read: {error}")))
}

/// How many views there are, and what waits for their end.
#[derive(Default)]
pub(super) struct Readers {
    gate: Mutex<Gate>,
    changed: Condvar,
}

#[derive(Default)]
struct Gate {
    views: usize,
    /// Somebody waits to be without views, or is.
    is_closed: bool,
    /// Generations that nothing names any more but perhaps a view.
    dropped: Vec<(&'static str, u32)>,
}

/// A view that is counted.
struct Counted<'a> {
    store: &'a Store,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let readers = &self.store.readers;
        let mut gate = lock(&readers.gate);
        gate.views -= 1;
        let dropped = if gate.views == 0 { std::mem::take(&mut gate.dropped) } else { Vec::new() };
        drop(gate);
        readers.changed.notify_all();
        for (family, generation) in dropped {
            // What cannot be dropped now goes at the next open. A view that begins now names none of these.
            let _ = caches::unlink_generation(self.store, family, generation);
        }
    }
}

/// No view is there while this is held, and none begins.
pub(super) struct Alone<'a> {
    readers: &'a Readers,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        lock(&self.readers.gate).is_closed = false;
        self.readers.changed.notify_all();
    }
}

impl Readers {
    fn begin<'a>(&self, store: &'a Store) -> Counted<'a> {
        let mut gate = self.wait_while(lock(&self.gate), |gate| gate.is_closed);
        gate.views += 1;
        Counted { store }
    }

    /// Waits until there is no view, and keeps it so.
    pub(super) fn alone(&self) -> Alone<'_> {
        let mut gate = self.wait_while(lock(&self.gate), |gate| gate.is_closed);
        // From here on no view begins, so that those that are there are the last to wait for.
        gate.is_closed = true;
        drop(self.wait_while(gate, |gate| gate.views > 0));
        Alone { readers: self }
    }

    /// Whether a generation that nothing names any more must stay until the last view ends, which then drops it.
    pub(super) fn put_off(&self, family: &'static str, generation: u32) -> bool {
        let mut gate = lock(&self.gate);
        if gate.views > 0 {
            gate.dropped.push((family, generation));
        }
        gate.views > 0
    }

    fn wait_while<'a>(&self, gate: MutexGuard<'a, Gate>, is_so: impl Fn(&Gate) -> bool) -> MutexGuard<'a, Gate> {
        self.changed.wait_while(gate, |gate| is_so(gate)).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::SeqCst},
        thread,
    };

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store"), true).unwrap();
        (directory, store)
    }

    #[test]
    fn whoever_must_be_alone_waits_for_views_and_views_wait_for_it() {
        let (_directory, store) = store();
        let (is_alone, was_alone) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|threads| {
            let view = store.view().unwrap();
            let rewriting = threads.spawn(|| {
                let alone = store.readers.alone();
                is_alone.store(true, SeqCst);
                was_alone.store(true, SeqCst);
                is_alone.store(false, SeqCst);
                drop(alone);
            });
            while !lock(&store.readers.gate).is_closed {
                thread::yield_now();
            }
            // This one asks while the door is closed.
            let late = threads.spawn(|| {
                let view = store.view().unwrap();
                assert!(was_alone.load(SeqCst), "a view began before its turn");
                drop(view);
            });
            assert!(!was_alone.load(SeqCst), "a view was not waited for");
            assert_eq!(view.newest_job().unwrap(), JobId(0));
            drop(view);
            rewriting.join().unwrap();
            late.join().unwrap();
            assert!(!is_alone.load(SeqCst));
        });
        assert!(!lock(&store.readers.gate).is_closed);
    }

    #[test]
    fn a_view_keeps_the_settings_and_programs_of_its_moment() {
        let (_directory, store) = store();
        let view = store.view().unwrap();
        store.add_program(Program::new("eur", "", 2, None).unwrap()).unwrap();
        let settings = Settings { time_zone: "Europe/Vilnius".to_owned(), ..store.settings() };
        store.set_settings(settings).unwrap();
        assert_eq!((view.programs().len(), view.settings().time_zone.as_str()), (1, "UTC"));
        drop(view);
        let view = store.view().unwrap();
        assert_eq!((view.programs().len(), view.settings().time_zone.as_str()), (2, "Europe/Vilnius"));
    }
}
