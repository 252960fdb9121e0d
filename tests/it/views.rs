//! Exports and questions about the whole store while a job runs: each is of one committed state, and waits for no job.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use tidemill::{
    domain::{command::OnOverdraft, command::Operation, id::JobId, identifier::IdentifierKind},
    engine::{
        Engine,
        request::{AdjustRequest, JobRequest},
    },
    job::progress::Progress,
    options::Options,
    report::export::{Export, format::ExportFormat},
    store::{Store, jobs},
};

use super::support::{
    content::{Content, difference, export, rows},
    shop::{Held, Shop, credits, credits_request, small_windows},
};

/// What the columns of an export are, by name.
fn column(csv: &str, name: &str) -> usize {
    let header = csv.lines().next().expect("a header");
    header.split(',').position(|column| column == name).expect("the column is there")
}

/// The balances that a ledger leads to, by e-mail address.
fn balances_of(ledger: &str) -> BTreeMap<String, i64> {
    let (email, balance) = (column(ledger, "email"), column(ledger, "balance_after"));
    rows(ledger).into_iter().map(|row| (row[email].clone(), row[balance].parse().expect("a balance"))).collect()
}

/// What an export of balances says, by e-mail address.
fn balances(csv: &str) -> BTreeMap<String, i64> {
    let (email, balance) = (column(csv, "email"), column(csv, "balance"));
    rows(csv).into_iter().map(|row| (row[email].clone(), row[balance].parse().expect("a balance"))).collect()
}

#[test]
fn questions_about_the_whole_store_are_answered_in_the_middle_of_a_job() {
    let shop = Shop::new();
    shop.write("points.csv", credits(5000));
    let held = Held::after(1000);
    thread::scope(|threads| {
        let job = threads.spawn(|| shop.import("points.csv", &held.progress));
        held.wait();
        // The job stands still until all of this is answered.
        let content = Content::of(&shop.engine);
        let rows = content.ledger.lines().count() - 1;
        assert!((900..4000).contains(&rows), "{rows} rows");
        assert_eq!(balances_of(&content.ledger), balances(&content.balances));
        assert_eq!(content.verified["ledger_entries"], rows as u64);
        let program = shop.engine.program_view("points").expect("a view");
        let sum: i64 = balances(&content.balances).values().sum();
        assert_eq!(program.balance, sum.to_string());
        let info = shop.engine.info().expect("the store");
        assert_eq!((info.ledger_entries, info.customers as usize), (rows as u64, balances(&content.balances).len()));
        held.go();
        job.join().expect("no panic").expect("it ends");
        let ledger = export(&shop.engine, Export::Ledger);
        assert!(ledger.starts_with(&content.ledger) && ledger.len() > content.ledger.len());
    });
}

#[test]
fn every_export_beside_running_jobs_is_the_state_after_some_commit() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    // Caches are written at the end of every job, so that generations come and go.
    let options = Options { cache_lag_entries_min: 0, ..small_windows() };
    let engine = Engine::create(&store, options).expect("a store");
    let path = directory.path().join("points.csv");
    std::fs::write(&path, credits(20_000)).expect("a file is written");
    let is_over = AtomicBool::new(false);
    let (mut ledgers, mut all_balances) = (Vec::new(), Vec::new());
    thread::scope(|threads| {
        let working = threads.spawn(|| {
            for reason in ["one", "two", "three"] {
                let (job, request) = credits_request(path.clone());
                let job = JobRequest { reason: Some(reason.to_owned()), again: true, ..job };
                engine.import_points(&job, &request, &Progress::default()).expect("an import");
                let adjust = AdjustRequest {
                    identifiers: vec![(IdentifierKind::Email, "c7@example.com".to_owned())],
                    operation: Operation::Credit,
                    amount: "3".to_owned(),
                    on_overdraft: OnOverdraft::Reject,
                    expiry: None,
                };
                engine.adjust(&job, &adjust).expect("an adjustment");
            }
            is_over.store(true, SeqCst);
        });
        while !is_over.load(SeqCst) {
            ledgers.push(export(&engine, Export::Ledger));
            all_balances.push(export(&engine, Export::Balances { nonzero: false }));
            let verified = engine.verify().expect("a store that can be read");
            assert!(verified.ok, "{:#?}", verified.problems);
        }
        working.join().expect("no panic");
    });
    let last = export(&engine, Export::Ledger);
    drop(engine);
    // The entries after each commit.
    let store = Store::open(&store, false).expect("a store");
    let ends = (1..=6).flat_map(|job| jobs::sequences(&store, JobId(job)).expect("a job"));
    let ends: BTreeSet<usize> = ends.map(|(_, end)| end as usize - 1).chain([0]).collect();
    assert!(ends.len() > 100, "{} commits", ends.len());
    assert!(ledgers.len() > 1);
    for ledger in &ledgers {
        assert!(last.starts_with(ledger.as_str()), "what was exported is not the beginning of the ledger");
        assert!(ends.contains(&(ledger.lines().count() - 1)), "a part of a window was exported");
    }
    let entries: Vec<&str> = last.lines().collect();
    for csv in &all_balances {
        // Every entry adds points, so that the sum says after which one this was.
        let found = balances(csv);
        let (amount, sum) = (column(&last, "amount"), found.values().sum::<i64>());
        let (mut count, mut reached) = (0, 0);
        for row in rows(&last) {
            if reached == sum && ends.contains(&count) {
                break;
            }
            (count, reached) = (count + 1, reached + row[amount].parse::<i64>().expect("an amount"));
        }
        assert!(reached == sum && ends.contains(&count), "a sum that the ledger never had: {sum}");
        let expected = balances_of(&entries[..=count].join("\n"));
        assert_eq!(found, expected);
    }
}

/// A file that takes its first bytes only when something has happened.
struct Late<F: FnMut()> {
    bytes: Vec<u8>,
    happens: F,
}

impl<F: FnMut()> Write for Late<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.is_empty() {
            (self.happens)();
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_export_that_has_begun_sees_nothing_of_windows_that_are_ingested_beside_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::create(&directory.path().join("store"), Options::default()).expect("a store");
    let (few, many) = (directory.path().join("few.csv"), directory.path().join("many.csv"));
    std::fs::write(&few, credits(30_000)).expect("a file");
    // Windows of far more than what still goes through the write-ahead log.
    std::fs::write(&many, credits(1_000_000)).expect("a file");
    let import = |path: &Path| {
        let (job, request) = credits_request(path.to_owned());
        let job = JobRequest { again: true, ..job };
        engine.import_points(&job, &request, &Progress::default()).expect("an import");
    };
    import(&few);
    let mut next = Some(&many);
    for what in [Export::Ledger, Export::Balances { nonzero: false }, Export::Lots, Export::Customers] {
        let before = export(&engine, what);
        let happens = || import(next.take().unwrap_or(&few));
        let mut late = Late { bytes: Vec::new(), happens };
        engine.export(what, ExportFormat::CSV, &mut late).expect("an export");
        assert_eq!(difference("export", &String::from_utf8(late.bytes).expect("UTF-8"), &before), None);
    }
    assert!(engine.verify().expect("it can be read").ok);
}
