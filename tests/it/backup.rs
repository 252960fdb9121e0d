//! A backup that is taken while a job runs is a store that the job can go on in.

use std::thread;

use tidemill::{domain::id::JobId, engine::Engine, error::ErrorKind, job::progress::Progress};

use super::support::{
    binary::{Binary, files_below},
    content::Content,
    shop::{Held, Shop, credits, small_windows},
};

const ROWS: usize = 20_000;

#[test]
fn a_job_goes_on_in_a_backup_that_was_taken_while_it_ran() {
    let (shop, calm) = (Shop::new(), Shop::new());
    for shop in [&shop, &calm] {
        shop.write("points.csv", credits(ROWS));
    }
    calm.import("points.csv", &Progress::default()).expect("it ends");
    let expected = Content::of(&calm.engine);
    // One while the job stands still, and as many as there is time for while it runs.
    let held = Held::after(3000);
    let mut backups = vec![shop.path("backup-0")];
    thread::scope(|threads| {
        let job = threads.spawn(|| shop.import("points.csv", &held.progress));
        held.wait();
        shop.engine.backup(&backups[0]).expect("a backup");
        held.go();
        while !job.is_finished() && backups.len() < 30 {
            let path = shop.path(&format!("backup-{}", backups.len()));
            shop.engine.backup(&path).expect("a backup");
            backups.push(path);
        }
        job.join().expect("no panic").expect("it ends");
    });
    assert_eq!(Content::of(&shop.engine).difference(&expected), None);
    assert!(files_below(&shop.path("store/staging")).is_empty());
    let mut unfinished = 0;
    for (number, backup) in backups.iter().enumerate() {
        let store = shop.path(&format!("restored-{number}"));
        let engine = Engine::restore(backup, &store, small_windows()).expect("a store");
        let view = engine.verify().expect("it can be read");
        assert!(view.ok, "backup {number}: {:#?}", view.problems);
        let before = engine.job(JobId(1)).expect("it began").rows.read;
        unfinished += usize::from(before < ROWS as u64);
        let summary = engine.resume(JobId(1), &Default::default(), &Progress::default()).expect("it ends");
        assert_eq!(summary.rows.read, ROWS as u64);
        assert_eq!(Content::of(&engine).difference(&expected), None, "backup {number}, which had {before} rows");
    }
    assert!(unfinished >= 1);
}

#[test]
fn what_a_store_does_later_does_not_change_its_backup() {
    let shop = Shop::new();
    shop.write("points.csv", credits(ROWS));
    shop.import("points.csv", &Progress::default()).expect("it ends");
    let before = Content::of(&shop.engine);
    shop.engine.backup(&shop.path("backup")).expect("a backup");
    shop.write("more.csv", credits(ROWS / 2));
    shop.import("more.csv", &Progress::default()).expect("it ends");
    shop.engine.forget(JobId(1)).expect("they are dropped");
    shop.engine.compact().expect("it is compacted");
    let restored = Engine::restore(&shop.path("backup"), &shop.path("restored"), small_windows()).expect("a store");
    assert_eq!(Content::of(&restored).difference(&before), None);
    // Nor does what the restored one does.
    shop.write("other.csv", credits(ROWS / 4));
    let (job, request) = super::support::shop::credits_request(shop.path("other.csv"));
    restored.import_points(&job, &request, &Progress::default()).expect("it ends");
    restored.compact().expect("it is compacted");
    drop(restored);
    let again = Engine::restore(&shop.path("backup"), &shop.path("again"), small_windows()).expect("a store");
    assert_eq!(Content::of(&again).difference(&before), None);
}

#[test]
fn a_backup_overwrites_nothing_and_is_restored_whole_or_not_at_all() {
    let shop = Shop::new();
    shop.write("points.csv", credits(100));
    shop.import("points.csv", &Progress::default()).expect("it ends");
    std::fs::create_dir(shop.path("full")).expect("a directory");
    shop.write("full/file", "mine");
    let refused = shop.engine.backup(&shop.path("full")).expect_err("it is not empty");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Refused, "backup_exists"));
    assert_eq!(files_below(&shop.path("full")).len(), 1);
    let inside = shop.engine.backup(&shop.path("store/backup")).expect_err("it is in the store");
    assert_eq!(inside.kind(), ErrorKind::Usage);
    assert!(!shop.path("store/backup").exists());
    std::fs::create_dir(shop.path("backup")).expect("an empty directory will do");
    assert!(shop.engine.backup(&shop.path("backup")).expect("a backup").bytes > 0);
    let restore = |from: &str, to: &str| Engine::restore(&shop.path(from), &shop.path(to), small_windows()).map(drop);
    assert_eq!(restore("backup", "store").expect_err("there is a store").code(), "store_exists");
    assert_eq!(restore("full", "new").expect_err("it is no backup").code(), "backup_unknown");
    assert_eq!(restore("store", "new").expect_err("nor is a store").code(), "backup_unknown");
    assert!(!shop.path("new").exists());
    let opened = Engine::create(&shop.path("backup"), small_windows()).map(drop).expect_err("it is no store");
    assert!(opened.hint_text().is_some_and(|hint| hint.contains("restore")), "{opened:?}");
    // A table that is missing: nothing is left of the attempt.
    let table = files_below(&shop.path("backup")).into_iter().find(|file| file.extension().is_some_and(|e| e == "sst"));
    std::fs::remove_file(shop.path("backup").join(table.expect("a table"))).expect("it is removed");
    restore("backup", "new").expect_err("it is damaged");
    assert!(!shop.path("new").exists());
}

#[test]
fn the_command_line_backs_up_and_restores() {
    let binary = Binary::new();
    binary.write("points.csv", credits(100));
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--on-unknown", "create"]).expect(3);
    let verified = binary.verify();
    assert!(binary.run(&["backup", "copy"]).expect(0).json["bytes"].as_u64() > Some(0));
    assert_eq!(binary.run(&["backup", "copy"]).expect(4).error("code"), "backup_exists");
    assert_eq!(binary.run(&["restore", "copy"]).expect(4).error("code"), "store_exists");
    assert_eq!(binary.run_on("new", &["restore", "copy"]).expect(0).json["jobs"], 1);
    assert_eq!(binary.run_on("new", &["verify"]).expect(0).json, verified);
    assert_eq!(binary.run_on("copy", &["verify"]).expect(2).error("code"), "usage");
}
