//! Caches that are damaged are made again from the logs, and it is told.

use std::path::{Path, PathBuf};

use tidemill::{
    domain::filter::FilterText,
    engine::{
        Engine,
        request::{
            BulkOperation, BulkRequest, CustomersRequest, FileRequest, JobRequest, Points, PointsRequest,
            SelectionRequest,
        },
    },
    error::ErrorKind,
    job::progress::Progress,
    options::Options,
};

use super::support::{NOW, binary::files_below};

/// So low that every job writes its caches.
fn options() -> Options {
    Options { cache_lag_entries_min: 1, threads: 2, ..Options::default() }
}

fn job(reason: &str) -> JobRequest {
    JobRequest {
        reason: Some(reason.to_owned()),
        now: tidemill::domain::time::Timestamp::parse_rfc3339(NOW),
        ..JobRequest::default()
    }
}

fn request(file: &Path, name: &str) -> FileRequest {
    FileRequest { path: file.join(name), ..FileRequest::default() }
}

/// A store of customers and points, with all caches written.
fn store(directory: &Path) -> PathBuf {
    let mut customers = "user_id,email,tier,ltv,orders,created_at\n".to_owned();
    let mut points = "user_id,amount,operation,expires_on\n".to_owned();
    for n in 0..6000 {
        let tier = ["bronze", "silver", "gold"][n % 3];
        customers += &format!("U{n},c{n}@example.com,{tier},{}.5,{},2021-0{}-11\n", n % 700, n % 9, 1 + n % 9);
        points += &format!("U{n},{},CR,{}\n", 1 + n % 500, if n % 4 == 0 { "2099-01-01" } else { "" });
    }
    std::fs::write(directory.join("customers.csv"), customers).expect("a file");
    std::fs::write(directory.join("points.csv"), points).expect("a file");
    let place = directory.join("store");
    let engine = Engine::create(&place, options()).expect("a store");
    let file = request(directory, "customers.csv");
    engine
        .import_customers(&job("load"), &CustomersRequest { file, ..Default::default() }, &Progress::default())
        .expect("an import");
    let file = request(directory, "points.csv");
    engine
        .import_points(&job("load"), &PointsRequest { file, ..Default::default() }, &Progress::default())
        .expect("an import");
    place
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(&file);
        std::fs::create_dir_all(target.parent().expect("a directory")).expect("it is made");
        std::fs::copy(from.join(&file), target).expect("a copy");
    }
}

/// Credits whom a filter on all columns means. Returns how many, by a count before, and by the job.
fn credit(engine: &Engine) -> tidemill::error::Result<(u64, u64)> {
    let filter = FilterText {
        balance: Some("100..400".to_owned()),
        ltv: Some("50..600".to_owned()),
        orders: Some("2..".to_owned()),
        tiers: vec!["gold".to_owned(), "silver".to_owned()],
        ..FilterText::default()
    };
    let bulk = BulkRequest {
        operation: BulkOperation::Credit { points: Points::PerOrder("3".to_owned()), expiry: None },
        selection: SelectionRequest { filter, ..SelectionRequest::default() },
        on_overdraft: None,
        explain: false,
    };
    let counted = engine.bulk_count(&job("count"), &bulk, &Progress::default())?.customers;
    let summary = engine.bulk(&job("credit"), &bulk, &Progress::default())?;
    Ok((counted, summary.rows.applied))
}

#[test]
fn a_damaged_cache_is_made_again_from_the_logs_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let sound = store(directory.path());
    let expected = directory.path().join("expected");
    copy(&sound, &expected);
    let engine = Engine::open(&expected, options()).unwrap();
    let counts = credit(&engine).unwrap();
    assert!(counts.0 > 500 && counts.0 == counts.1, "{counts:?}");
    assert!(engine.take_rebuilt().is_empty());
    let digests = engine.verify().unwrap().digest;
    drop(engine);
    let tables = files_below(&sound).into_iter().filter(|file| file.extension().is_some_and(|end| end == "sst"));
    let (mut mended, mut of_logs) = (0, 0);
    for table in tables {
        let length = std::fs::metadata(sound.join(&table)).unwrap().len() as usize;
        // A compaction that the end of the process cut off leaves an empty one.
        for place in [length / 7, length / 3, length / 2].into_iter().filter(|&place| place < length) {
            let damaged = directory.path().join("damaged");
            let _ = std::fs::remove_dir_all(&damaged);
            copy(&sound, &damaged);
            let mut bytes = std::fs::read(damaged.join(&table)).unwrap();
            bytes[place] ^= 0x41;
            std::fs::write(damaged.join(&table), bytes).unwrap();
            let what = format!("{} at {place} of {length}", table.display());
            let Ok(engine) = Engine::open(&damaged, options()) else {
                of_logs += 1;
                continue;
            };
            match credit(&engine) {
                // Truth is never made up.
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error:?}");
                    of_logs += 1;
                }
                Ok(found) => {
                    assert_eq!(found, counts, "{what}");
                    let told = engine.take_rebuilt();
                    mended += usize::from(!told.is_empty());
                    if !told.is_empty() {
                        let verified = engine.verify().unwrap();
                        assert!(verified.problems.is_empty(), "{what}: {:?}", verified.problems);
                        assert_eq!(verified.digest, digests, "{what}");
                        assert!(engine.take_rebuilt().is_empty(), "{what}: mended twice");
                    }
                }
            }
        }
    }
    assert!(mended >= 4 && of_logs >= 2, "{mended} were mended, {of_logs} were damage of the logs");
}
