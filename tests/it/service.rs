//! The library on a runtime: jobs beside reads, streams in and out, stops at a commit.

use std::time::Duration;

use tidemill::{
    domain::{command::Operation, id::JobId, identifier::IdentifierKind, job::JobState},
    engine::request::{AdjustRequest, ResumeRequest},
    error::ErrorKind,
    job::progress::Stage,
    report::export::{Export, format::ExportFormat},
    service::{Job, Service},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::support::{
    binary::files_below,
    content::{Content, export},
    shop::{Shop, credits, credits_request, small_windows},
    workbook::{of_rows, text_rows},
};

const ROWS: usize = 20_000;

#[path = "../../examples/host_service.rs"]
mod host_service;
#[path = "../../examples/import_file.rs"]
mod import_file;

/// A runtime with one worker only: whatever blocks it blocks everything.
fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// What a calm import of the same rows gives.
fn expected(rows: usize) -> Content {
    let calm = Shop::new();
    calm.write("points.csv", credits(rows));
    calm.import("points.csv", &Default::default()).expect("it ends");
    Content::of(&calm.engine)
}

async fn service(directory: &tempfile::TempDir) -> Service {
    Service::create(directory.path().join("store"), small_windows()).await.expect("a store")
}

fn upload(service: &Service, content: String) -> Job {
    let (job, request) = credits_request("upload.csv".into());
    let (mut client, server) = duplex(1000);
    tokio::spawn(async move {
        client.write_all(content.as_bytes()).await?;
        client.shutdown().await
    });
    service.upload_points(server, job, request)
}

#[test]
fn an_upload_may_be_a_workbook() {
    let directory = tempfile::tempdir().expect("a directory");
    let rows: Vec<Vec<String>> =
        credits(ROWS).lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let content = of_rows(&text_rows(&rows));
    run(async {
        let service = service(&directory).await;
        let (job, request) = credits_request("upload".into());
        let (mut client, server) = duplex(1000);
        tokio::spawn(async move {
            client.write_all(&content).await?;
            client.shutdown().await
        });
        let summary = service.upload_points(server, job, request).finish().await.expect("it ends");
        assert_eq!(summary.rows.read, ROWS as u64);
        assert_eq!(Content::of(service.engine()).difference(&expected(ROWS)), None);
    });
    assert_eq!(uploads(&directory), 0);
}

fn uploads(directory: &tempfile::TempDir) -> usize {
    let spool = directory.path().join("store/spool");
    if spool.exists() { files_below(&spool).len() } else { 0 }
}

fn is_all<T: Send + Sync + Clone + 'static>() {}

#[test]
fn handles_go_wherever_tasks_go() {
    is_all::<Service>();
    is_all::<Job>();
}

#[test]
fn the_examples_run() {
    host_service::main().expect("it serves");
    import_file::main().expect("it imports");
}

#[test]
fn an_upload_is_imported_while_balances_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    run(async {
        let service = service(&directory).await;
        let mut job = upload(&service, credits(ROWS));
        let reader = tokio::spawn({
            let service = service.clone();
            async move {
                let mut seen = Vec::new();
                while !service.running().is_empty() {
                    match service.balances(IdentifierKind::Email, "c1@example.com").await {
                        Ok(accounts) => seen.push(accounts[0].balance.parse::<i64>().expect("a number")),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}"),
                    }
                }
                seen
            }
        });
        let mut rows = 0;
        let mut steps = 0;
        while let Some(snapshot) = job.progress().await {
            assert!(snapshot.rows >= rows, "progress goes forward");
            rows = snapshot.rows;
            steps += 1;
        }
        assert!(steps > 3, "{steps} steps");
        assert_eq!(job.snapshot().stage, Stage::Done);
        // Every handle is told the end.
        let other = job.clone();
        let summary = job.finish().await.expect("it ends");
        assert_eq!(other.finish().await.expect("it ends").rows, summary.rows);
        assert_eq!((summary.job, summary.input.as_deref()), (Some(JobId(1)), Some("upload.csv")));
        let seen = reader.await.expect("no panic");
        assert!(seen.is_sorted() && seen.last().is_none_or(|last| *last == 1 + 5001 + 10001 + 15001), "{seen:?}");
        assert_eq!(uploads(&directory), 0, "it is kept only while its job needs it");
        assert_eq!(Content::of(service.engine()).difference(&expected(ROWS)), None);
        // The same rows once more, by whatever stream.
        let repeated = upload(&service, credits(ROWS)).finish().await.expect_err("a repeat");
        assert_eq!((repeated.code(), uploads(&directory)), ("repeated_file", 0));
    });
}

#[test]
fn a_stopped_upload_goes_on_from_the_store_and_in_its_backup() {
    let directory = tempfile::tempdir().expect("a directory");
    run(async {
        let opened = service(&directory).await;
        let mut job = upload(&opened, credits(ROWS));
        while let Some(snapshot) = job.progress().await {
            if snapshot.rows_durable >= 1000 {
                job.cancellation().cancel();
            }
        }
        let stopped = job.finish().await.expect_err("it stops");
        assert_eq!((stopped.kind(), stopped.job()), (ErrorKind::Stopped, Some(JobId(1))));
        let summary = opened.job(JobId(1)).await.expect("it began");
        assert!(summary.state == JobState::Unfinished && summary.rows.read < ROWS as u64, "{summary:?}");
        assert_eq!(uploads(&directory), 1);
        opened.backup(directory.path().join("backup")).await.expect("a backup");
        drop(opened);
        // The store opened anew still has it, and so has the copy.
        let copy = directory.path().join("copy");
        let engine = tidemill::engine::Engine::restore(&directory.path().join("backup"), &copy, small_windows());
        drop(engine.expect("a store"));
        for store in [directory.path().join("store"), copy] {
            let opened = Service::open(store.clone(), small_windows()).await.expect("it opens");
            let resumed = opened.resume(JobId(1), ResumeRequest::default()).await.expect("it is known");
            assert_eq!(resumed.finish().await.expect("it ends").rows.read, ROWS as u64);
            assert_eq!(Content::of(opened.engine()).difference(&expected(ROWS)), None);
            assert!(files_below(&store.join("spool")).is_empty());
        }
    });
}

#[test]
fn jobs_wait_for_each_other_in_order_and_a_waiting_one_can_be_stopped() {
    let directory = tempfile::tempdir().expect("a directory");
    run(async {
        let service = service(&directory).await;
        let jobs: Vec<Job> = (0..6).map(|number| upload(&service, credits(2000 + number))).collect();
        let stuck = upload(&service, credits(10));
        assert!(service.running().len() <= 7);
        stuck.stop();
        let stopped = stuck.finish().await.expect_err("it never began");
        assert_eq!((stopped.kind(), stopped.job()), (ErrorKind::Stopped, None));
        for job in jobs {
            job.finish().await.expect("it ends");
        }
        while !service.running().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!((service.jobs().await.expect("jobs").len(), uploads(&directory)), (6, 0));
    });
}

#[test]
fn a_stream_that_breaks_or_never_ends_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    run(async {
        let service = service(&directory).await;
        let (job, request) = credits_request("upload.csv".into());
        let broken = broken_stream();
        let error = service.upload_points(broken, job.clone(), request.clone()).finish().await.expect_err("it breaks");
        assert_eq!((error.kind(), uploads(&directory)), (ErrorKind::Input, 0), "{error:?}");
        assert!(error.message().contains("the client is gone"), "{error}");
        let (client, server) = duplex(10);
        let silent = service.upload_points(server, job, request);
        tokio::time::sleep(Duration::from_millis(20)).await;
        silent.stop();
        assert_eq!(silent.finish().await.expect_err("it is stopped").kind(), ErrorKind::Stopped);
        assert_eq!((service.jobs().await.expect("jobs").len(), uploads(&directory)), (0, 0));
        drop(client);
    });
}

/// Some bytes, then an error.
fn broken_stream() -> impl tokio::io::AsyncRead + Send + Unpin + 'static {
    struct Broken;
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("the client is gone")))
        }
    }
    (&b"email,mobile,amount,operation\n"[..]).chain(Broken)
}

#[test]
fn reads_adjustments_and_exports_are_those_of_the_engine() {
    let directory = tempfile::tempdir().expect("a directory");
    run(async {
        let service = service(&directory).await;
        upload(&service, credits(1000)).finish().await.expect("it ends");
        let email = IdentifierKind::Email;
        let request = AdjustRequest {
            identifiers: vec![(email, "c7@example.com".to_owned())],
            operation: Operation::Credit,
            amount: "5".to_owned(),
            on_overdraft: Default::default(),
            expiry: None,
        };
        let adjusted = service.adjust(Default::default(), request).await.expect("it is applied");
        assert_eq!(adjusted.balance.as_deref(), Some("12"));
        let history = service.history(email, "c7@example.com", None, 10, true).await.expect("a history");
        assert_eq!(history.lines.len(), 2);
        let unknown = service.customer(email, "nobody@example.com").await.expect_err("nobody");
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
        for what in [Export::Customers, Export::Ledger, Export::Balances { nonzero: true }, Export::Lots] {
            let mut written = Vec::new();
            service.export(what, ExportFormat::CSV, &mut written).await.expect("an export");
            assert_eq!(String::from_utf8(written).expect("UTF-8"), export(service.engine(), what));
        }
        let mut rejects = Vec::new();
        assert_eq!(service.write_rejects(JobId(1), &mut rejects).await.expect("they are kept"), 10);
        // A reader that goes away ends an export, and nothing waits for it.
        let (mut out, reader) = duplex(10);
        drop(reader);
        let error = service.export(Export::Customers, ExportFormat::CSV, &mut out).await.expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::Storage, "{error:?}");
        assert!(service.info().await.is_ok() && service.verify().await.expect("it can be read").ok);
    });
}
