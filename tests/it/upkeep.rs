//! What is done to a store beside its jobs: giving one up, repeating one under a condition, dropping rejected rows, compacting.

use std::thread;

use tidemill::{
    domain::{id::JobId, job::JobState},
    engine::request::{JobRequest, MaxRejects, ResumeRequest},
    error::ErrorKind,
    job::progress::{Progress, Stage},
};

use super::support::{
    binary::{Binary, files_below},
    content::Content,
    shop::{Held, Shop, credits, credits_request},
};

const ROWS: usize = 20_000;

#[test]
fn a_second_job_is_refused_when_it_shall_not_wait() {
    let shop = Shop::new();
    shop.write("first.csv", credits(ROWS));
    shop.write("second.csv", credits(10));
    let (held, progress_of_second) = (Held::after(1000), Progress::default());
    thread::scope(|threads| {
        let first = threads.spawn(|| shop.import("first.csv", &held.progress));
        held.wait();
        let running = shop.engine.running();
        assert_eq!(running.len(), 1);
        assert_eq!((running[0].snapshot.job, &running[0].input), (1, &shop.path("first.csv")));
        let (mut job, request) = credits_request(shop.path("second.csv"));
        job.no_wait = true;
        let refused = shop.engine.import_points(&job, &request, &Progress::default()).expect_err("it does not wait");
        assert_eq!(
            (refused.kind(), refused.code(), refused.job()),
            (ErrorKind::Refused, "job_running", Some(JobId(1)))
        );
        let no_wait = ResumeRequest { no_wait: true, ..ResumeRequest::default() };
        let refused = shop.engine.resume(JobId(1), &no_wait, &Progress::default()).expect_err("nor does this");
        assert_eq!(refused.code(), "job_running");
        // Without it, the job waits and says so.
        let second = threads.spawn(|| shop.import("second.csv", &progress_of_second));
        while progress_of_second.snapshot().stage != Stage::Waiting {
            thread::yield_now();
        }
        assert_eq!(shop.engine.running().len(), 2);
        held.go();
        assert_eq!(first.join().expect("no panic").expect("it ends").rows.read, ROWS as u64);
        assert_eq!(second.join().expect("no panic").expect("it ends").rows.read, 10);
    });
    assert_eq!(shop.engine.running(), []);
    assert_eq!(shop.engine.jobs().expect("jobs").len(), 2);
}

#[test]
fn a_running_job_is_not_gone_on_with_a_second_time() {
    let (shop, calm) = (Shop::new(), Shop::new());
    for shop in [&shop, &calm] {
        shop.write("points.csv", credits(ROWS));
    }
    calm.import("points.csv", &Progress::default()).expect("it ends");
    let held = Held::after(1000);
    thread::scope(|threads| {
        let first = threads.spawn(|| shop.import("points.csv", &held.progress));
        held.wait();
        let others = [threads.spawn(|| shop.resume(1)), threads.spawn(|| shop.resume(1))];
        held.go();
        let summary = first.join().expect("no panic").expect("it ends");
        for other in others {
            assert_eq!(other.join().expect("no panic").expect("it tells").rows, summary.rows);
        }
    });
    assert_eq!(Content::of(&shop.engine).difference(&Content::of(&calm.engine)), None);
}

#[test]
fn a_job_that_is_given_up_keeps_its_rows_and_is_not_resumed() {
    let shop = Shop::new();
    shop.write("points.csv", credits(ROWS));
    shop.import_a_part("points.csv");
    let before = Content::of(&shop.engine);
    let cancelled = shop.engine.cancel(JobId(1)).expect("it is given up");
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert!(cancelled.rows.read >= 1000 && cancelled.rows.read < ROWS as u64);
    assert_eq!(Content::of(&shop.engine).difference(&before), None);
    assert_eq!(shop.engine.job(JobId(1)).expect("it is there").rows, cancelled.rows);
    // Giving it up once more changes nothing.
    assert_eq!(shop.engine.cancel(JobId(1)).expect("it is").rows, cancelled.rows);
    assert_eq!(shop.resume(1).expect_err("it was cancelled").code(), "job_cancelled");
    let repeated = shop.import("points.csv", &Progress::default()).expect_err("a part of it was applied");
    assert_eq!((repeated.code(), repeated.job()), ("repeated_file", Some(JobId(1))));
    assert!(repeated.message().contains(&format!("first {} rows", cancelled.rows.read)), "{repeated}");
    assert_eq!(Content::of(&shop.engine).difference(&before), None);
    let (mut job, request) = credits_request(shop.path("points.csv"));
    job.again = true;
    let again = shop.engine.import_points(&job, &request, &Progress::default()).expect("it is meant");
    assert_eq!((again.job, again.rows.read), (Some(JobId(2)), ROWS as u64));
    assert_eq!(shop.engine.cancel(JobId(2)).expect_err("it is finished").code(), "job_finished");
    assert_eq!(shop.engine.cancel(JobId(3)).expect_err("there is none").kind(), ErrorKind::NotFound);
    Content::of(&shop.engine);
}

#[test]
fn a_job_that_is_given_up_before_its_first_row_is_no_obstacle() {
    let shop = Shop::new();
    shop.write("points.csv", credits(100));
    // Stopped between the record of its start and its first row.
    let held = Held::when(|snapshot| snapshot.job > 0);
    thread::scope(|threads| {
        let job = threads.spawn(|| shop.import("points.csv", &held.progress));
        held.wait();
        held.progress.stop();
        held.go();
        assert_eq!(job.join().expect("no panic").expect_err("it stops").kind(), ErrorKind::Stopped);
    });
    assert_eq!(shop.engine.cancel(JobId(1)).expect("it is given up").rows.read, 0);
    assert_eq!(shop.import("points.csv", &Progress::default()).expect("no repeat").rows.read, 100);
    Content::of(&shop.engine);
}

#[test]
fn a_running_job_that_is_given_up_stops_at_a_commit() {
    let shop = Shop::new();
    shop.write("points.csv", credits(ROWS));
    let held = Held::after(1000);
    thread::scope(|threads| {
        let running = threads.spawn(|| shop.import("points.csv", &held.progress));
        held.wait();
        let cancelled = threads.spawn(|| shop.engine.cancel(JobId(1)));
        while !held.progress.is_stopped() {
            thread::yield_now();
        }
        held.go();
        assert_eq!(running.join().expect("no panic").expect_err("it stops").kind(), ErrorKind::Stopped);
        let cancelled = cancelled.join().expect("no panic").expect("it is given up");
        assert_eq!(cancelled.state, JobState::Cancelled);
        assert!(cancelled.rows.read < ROWS as u64);
    });
    Content::of(&shop.engine);
}

#[test]
fn forgotten_rejects_are_gone_and_the_store_is_sound() {
    let marker = "forget.me.not";
    for rows in [200, ROWS] {
        let shop = Shop::new();
        // A large window is ingested, a small one goes through the write-ahead log.
        let raw = credits(rows).replace(",x,", &format!(",{marker},"));
        shop.write("points.csv", raw);
        let summary = shop.import("points.csv", &Progress::default()).expect("it ends");
        let before = Content::of(&shop.engine);
        let mut csv = Vec::new();
        assert_eq!(shop.engine.write_rejects(JobId(1), &mut csv).expect("they are kept"), summary.rows.rejected);
        let view = shop.engine.forget(JobId(1)).expect("they are dropped");
        assert_eq!(view.rows_dropped, summary.rows.rejected);
        let gone = shop.engine.write_rejects(JobId(1), &mut csv).expect_err("they are gone");
        assert_eq!((gone.kind(), gone.code()), (ErrorKind::NotFound, "rejects_forgotten"));
        assert!(gone.message().contains(&summary.rows.rejected.to_string()), "{gone}");
        // Counts and reasons stay, and nothing else changes; nor does a second time.
        assert_eq!(Content::of(&shop.engine).difference(&before), None);
        assert_eq!(shop.engine.job(JobId(1)).expect("it is there").rejects, summary.rejects);
        assert_eq!(shop.engine.forget(JobId(1)).expect("again").rows_dropped, 0);
        assert_eq!(Content::of(&shop.engine).difference(&before), None);
        let later = shop.import("points.csv", &Progress::default()).expect_err("still a repeat");
        assert_eq!(later.code(), "repeated_file");
        shop.write("more.csv", credits(ROWS / 2));
        shop.import("more.csv", &Progress::default()).expect("the log goes on");
        Content::of(&shop.engine);
    }
}

#[test]
fn rejects_of_a_job_that_has_not_ended_are_kept() {
    let shop = Shop::new();
    shop.write("points.csv", credits(ROWS));
    shop.import_a_part("points.csv");
    assert_eq!(shop.engine.forget(JobId(1)).expect_err("they are needed").code(), "job_unfinished");
    shop.engine.cancel(JobId(1)).expect("it is given up");
    assert!(shop.engine.forget(JobId(1)).expect("now they are not").rows_dropped > 0);
    Content::of(&shop.engine);
}

#[test]
fn compacting_changes_no_content() {
    let shop = Shop::new();
    for file in 0..4 {
        shop.write("points.csv", credits(ROWS + file));
        shop.import("points.csv", &Progress::default()).expect("it ends");
    }
    let before = Content::of(&shop.engine);
    let view = shop.engine.compact().expect("it is compacted");
    assert!(view.bytes_after > 0 && view.bytes_after <= view.bytes_before * 2, "{view:?}");
    assert_eq!(Content::of(&shop.engine).difference(&before), None);
    let store = shop.path("store");
    drop(shop.engine);
    let reopened =
        tidemill::engine::Engine::open(&store, tidemill::options::Options::default()).expect("a sound store");
    assert_eq!(Content::of(&reopened).difference(&before), None);
}

#[test]
fn the_command_line_gives_up_forgets_and_compacts() {
    let binary = Binary::new();
    binary.write("points.csv", credits(100));
    let import = ["import", "points", "points.csv", "--reason", "x", "--on-unknown", "create", "--no-wait"];
    binary.run(&import).expect(3);
    let refused = binary.run(&["job", "cancel", "1"]).expect(4);
    assert_eq!(refused.error("code"), "job_finished");
    binary.run(&["job", "rejects", "1", "-o", "rejects.csv"]).expect(0);
    assert_eq!(binary.run(&["job", "forget", "1"]).expect(0).json["rows_dropped"], 1);
    let gone = binary.run(&["job", "rejects", "1", "-o", "gone.csv"]).expect(1);
    assert_eq!(gone.error("code"), "rejects_forgotten");
    assert!(!binary.path("gone.csv").exists());
    let compacted = binary.run(&["store", "compact"]).expect(0).json;
    assert!(compacted["bytes_after"].as_u64() > Some(0), "{compacted}");
    binary.verify();
    let script = binary.run(&["completions", "bash"]).expect(0).json;
    assert!(script["script"].as_str().expect("a text").contains("_tidemill"), "{script}");
    assert_eq!(binary.run(&["completions", "cmd"]).expect(2).error("code"), "usage");
    assert!(!files_below(&binary.store()).is_empty());
}

#[test]
fn what_a_repeated_command_expects_holds_for_the_whole_file_or_nothing_is_added() {
    let shop = Shop::new();
    shop.write("points.csv", credits(20_000));
    shop.import_a_part("points.csv");
    let before = shop.engine.job(JobId(1)).expect("it began").rows;
    let again = |change: &dyn Fn(&mut JobRequest)| {
        let (mut job, request) = credits_request(shop.path("points.csv"));
        change(&mut job);
        shop.engine.import_points(&job, &request, &Progress::default())
    };
    let refused = again(&|job| job.max_rejects = Some(MaxRejects::Rows(199))).expect_err("200 rows are refused");
    assert_eq!((refused.code(), refused.job()), ("max_rejects", Some(JobId(1))));
    assert!(refused.hint_text().is_some_and(|hint| hint.contains("job cancel 1")));
    let refused = again(&|job| job.expect_rows = Some(20_001)).expect_err("there are fewer");
    assert_eq!(refused.code(), "expect_rows");
    assert_eq!(shop.engine.job(JobId(1)).expect("it began").rows, before);
    let summary = again(&|job| (job.expect_rows, job.max_rejects) = (Some(20_000), Some(MaxRejects::Rows(200))));
    assert_eq!(summary.expect("it ends").rows.read, 20_000);
}
