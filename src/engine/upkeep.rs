//! Care for the store as a whole.

use std::path::Path;

use super::{
    Engine,
    view::{BackupView, CompactView},
};
use crate::{
    error::Result,
    options::Options,
    store::{backup, caches, disk, lock},
};

impl Engine {
    /// Writes the caches and the small commits anew without what nothing names any more. Waits for a running job.
    ///
    /// # Errors
    /// When the database fails.
    pub fn compact(&self) -> Result<CompactView> {
        let held = lock(&self.state);
        let bytes_before = disk::bytes_of(self.store.directory());
        caches::compact(&self.store)?;
        let bytes_after = disk::bytes_of(self.store.directory());
        drop(held);
        Ok(CompactView { bytes_before, bytes_after })
    }

    /// Writes a copy of the store, as it is at one moment, into a directory that is empty or not there yet. Jobs go on
    /// meanwhile; one that is unfinished can be resumed on the copy.
    ///
    /// # Errors
    /// `Refused` when the directory is not empty; `Storage` when the disk fails.
    pub fn backup(&self, to: &Path) -> Result<BackupView> {
        let bytes = backup::backup(&self.store, to)?;
        Ok(BackupView { directory: to.display().to_string(), bytes })
    }

    /// Makes a store of a backup, in a directory that is empty or not there yet, and opens it.
    ///
    /// # Errors
    /// `NotFound` when there is no backup; `Refused` when the directory is not empty; else as `open`.
    pub fn restore(from: &Path, to: &Path, options: Options) -> Result<Engine> {
        backup::restore(from, to)?;
        Engine::open(to, options)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{
        domain::{
            command::{Mode, OnUnknown},
            id::ProgramId,
            identifier::IdentifierKind,
        },
        engine::{
            Engine,
            request::{FileRequest, JobRequest, PointsRequest},
        },
        job::progress::Progress,
        options::Options,
        store::{
            cold, family,
            log::first_key_from,
            state::{Needs, State},
            view::Readable,
        },
    };

    /// Credits customers of a range, who come to be by it.
    fn credit(engine: &Engine, customers: std::ops::Range<u32>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("points.csv");
        let lines = customers.map(|at| format!("u{at},{},2099-01-0{}\n", at + 1, at % 9 + 1));
        let content: String = std::iter::once("user_id,amount,expires_on\n".to_owned()).chain(lines).collect();
        std::fs::write(&path, content).unwrap();
        let request = PointsRequest {
            file: FileRequest { path, ..FileRequest::default() },
            on_unknown: OnUnknown::Create,
            mode: Some(Mode::Add),
            ..PointsRequest::default()
        };
        let job = JobRequest { reason: Some("test".to_owned()), ..JobRequest::default() };
        engine.import_points(&job, &request, &Progress::default()).unwrap();
    }

    /// The generations that have pages in a family.
    fn generations(engine: &Engine, family: &str) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut from = 0_u32;
        while let Some(key) = first_key_from(engine.store.db(), family, &from.to_be_bytes()).unwrap() {
            let generation = u32::from_be_bytes(*key.first_chunk::<4>().unwrap());
            found.insert(generation);
            from = generation + 1;
        }
        found
    }

    #[test]
    fn a_view_is_whole_while_jobs_write_and_drop_caches_and_the_last_one_lets_them_go() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { cache_lag_entries_min: 0, threads: 2, ..Options::default() };
        let engine = Engine::create(&directory.path().join("store"), options).unwrap();
        credit(&engine, 0..3000);
        let needs = Needs { kinds: IdentifierKind::ALL.to_vec(), profiles: true, programs: vec![ProgramId(0)] };
        let content = |state: &State| {
            let accounts = state.accounts(ProgramId(0)).unwrap();
            let lots = accounts.lots.promised_total() + i128::from(accounts.lots.count());
            (state.customers, state.identifiers.len(), state.next_sequence, accounts.total, lots)
        };
        let view = engine.store.view().unwrap();
        let before = content(&State::load(&view, &needs).unwrap());
        assert_eq!(before, (3000, 3000, 3001, 3000 * 3001 / 2, 3000));
        let named = view.positions().accounts[&0].generation;
        for part in 1..5 {
            credit(&engine, 0..3000 + part * 2000);
        }
        engine.compact().unwrap();
        let current = engine.store.positions().accounts[&0].generation;
        assert_ne!(named, current, "the caches were not written anew");
        assert_eq!(content(&State::load(&view, &needs).unwrap()), before);
        let (id, customer) = cold::find(&view, IdentifierKind::UserId, "u7").unwrap().unwrap();
        assert_eq!(customer.user_id.as_deref(), Some("u7"));
        let account = &cold::accounts(&view, id).unwrap()[0];
        assert_eq!((account.balance, account.lots.len()), (8, 1));
        assert!(cold::find(&view, IdentifierKind::UserId, "u3000").unwrap().is_none());
        assert!(cold::find(&engine.store, IdentifierKind::UserId, "u3000").unwrap().is_some());
        assert!(engine.verify().unwrap().ok);
        drop(view);
        for family in [family::ACCOUNTS, family::LOTS] {
            assert!(!generations(&engine, family).contains(&named), "`{family}` keeps what nothing names");
            assert!(generations(&engine, family).contains(&current), "`{family}` lost what is named");
        }
        assert!(engine.verify().unwrap().ok);
    }
}
