//! A job that stopped in the middle goes on as it began: with its settings, its way of reading, its reports.

use std::{
    path::{Path, PathBuf},
    thread,
};

use tidemill::{
    domain::{id::JobId, job::JobState},
    engine::{
        Engine,
        request::{CustomersRequest, FileRequest, JobRequest, PointsRequest, ResumeRequest, SettingsChange},
    },
    error::{Error, ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    binary::Binary,
    content::{Content, export, rows},
};

const ROWS: usize = 30_000;

/// A store in a directory of its own, with small windows.
struct Shop {
    directory: tempfile::TempDir,
    engine: Engine,
}

impl Shop {
    fn new() -> Shop {
        let directory = tempfile::tempdir().expect("a directory");
        let options = Options { window_rows: 200, chunk_bytes_max: 4096, threads: 2, ..Options::default() };
        let engine = Engine::create(&directory.path().join("store"), options).expect("a store");
        Shop { directory, engine }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a file is written");
    }

    fn points(&self, how: impl Fn(&mut JobRequest, &mut PointsRequest), stop: bool) -> Result<Summary> {
        let mut job = JobRequest { reason: Some("x".to_owned()), ..JobRequest::default() };
        let mut request = PointsRequest {
            file: FileRequest { path: self.path("points.csv"), ..FileRequest::default() },
            ..PointsRequest::default()
        };
        how(&mut job, &mut request);
        stopped(stop, |progress| self.engine.import_points(&job, &request, progress))
    }

    fn resume(&self, stop: bool) -> Result<Summary> {
        stopped(stop, |progress| self.engine.resume(JobId(1), &ResumeRequest::default(), progress))
    }
}

/// Does some work; with `stop`, asks it to end early, and it must.
fn stopped(stop: bool, work: impl FnOnce(&Progress) -> Result<Summary>) -> Result<Summary> {
    let progress = Progress::default();
    if !stop {
        return work(&progress);
    }
    let before = std::sync::atomic::AtomicBool::new(false);
    let seen = progress.clone();
    let result = thread::scope(|threads| {
        threads.spawn(|| {
            while !before.load(std::sync::atomic::Ordering::Relaxed) {
                if seen.snapshot().rows_durable >= 1000 {
                    seen.stop();
                }
                thread::yield_now();
            }
        });
        let result = work(&progress);
        before.store(true, std::sync::atomic::Ordering::Relaxed);
        result
    });
    assert_eq!(result.as_ref().map(|summary| summary.rows.read).map_err(Error::kind), Err(ErrorKind::Stopped));
    result
}

/// Rows that all create a customer or are refused: `every` so many is.
fn points(every: usize) -> String {
    let mut file = "email,mobile,amount,operation\n".to_owned();
    for row in 0..ROWS {
        let amount = if row % every == 0 { "52,620".to_owned() } else { row.to_string() };
        file.push_str(&format!("c{}@example.com,,\"{amount}\",CR\n", row % 5000));
    }
    file
}

fn create(request: &mut PointsRequest) {
    request.on_unknown = tidemill::domain::command::OnUnknown::Create;
}

fn usage(result: Result<Summary>) -> String {
    let error = result.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::Usage, "{error:?}");
    assert!(error.hint_text().is_some(), "{error:?}");
    error.message().to_owned()
}

#[test]
fn a_report_has_no_hole_however_a_job_goes_on() {
    let shop = Shop::new();
    shop.write("points.csv", points(100));
    let (first, other) = (shop.path("first.csv"), shop.path("other.csv"));
    let with = |path: &Path| {
        let path = path.to_owned();
        move |job: &mut JobRequest, request: &mut PointsRequest| {
            job.processed = Some(path.clone());
            create(request);
        }
    };
    shop.points(with(&first), true).expect_err("stopped");
    // Another report would lack what was applied already.
    let message = usage(shop.points(with(&other), false));
    assert!(message.contains("first.csv"), "{message}");
    assert!(!other.exists());
    // Without a word of it, the report goes on.
    shop.points(|_, request| create(request), true).expect_err("stopped");
    let summary = shop.resume(false).expect("it ends");
    assert_eq!(summary.state, JobState::Finished);
    assert_eq!(summary.files, [first.display().to_string()]);
    let lines: Vec<usize> = rows(&shop.read("first.csv")).iter().map(|row| row[0].parse().expect("a line")).collect();
    assert_eq!(lines, (2..ROWS + 2).collect::<Vec<_>>());
}

#[test]
fn a_report_that_was_not_begun_is_refused_and_not_forgotten() {
    let shop = Shop::new();
    shop.write("points.csv", points(100));
    shop.points(|_, request| create(request), true).expect_err("stopped");
    let message = usage(shop.points(
        |job, request| {
            job.processed = Some(shop.path("late.csv"));
            create(request);
        },
        false,
    ));
    assert!(message.contains("not written"), "{message}");
    // Rejected rows are in the store: they can be asked for at any time.
    let summary = shop.points(
        |job, request| {
            job.rejects = Some(shop.path("rejects.csv"));
            create(request);
        },
        false,
    );
    assert_eq!(summary.expect("it ends").files, [shop.path("rejects.csv").display().to_string()]);
    assert_eq!(rows(&shop.read("rejects.csv")).len(), ROWS / 100);
}

#[test]
fn a_job_whose_report_cannot_be_written_is_not_finished() {
    let shop = Shop::new();
    shop.write("points.csv", points(100));
    let full = |job: &mut JobRequest, request: &mut PointsRequest| {
        job.rejects = Some(PathBuf::from("/dev/full"));
        create(request);
    };
    let error = shop.points(full, false).expect_err("the device is full");
    assert_eq!((error.kind(), error.job()), (ErrorKind::Storage, Some(JobId(1))), "{error:?}");
    // Repeating the command brings the report, and no row twice.
    let summary = shop
        .points(
            |job, request| {
                job.rejects = Some(shop.path("rejects.csv"));
                create(request);
            },
            false,
        )
        .expect("it ends");
    assert_eq!((summary.job, summary.rows.read), (Some(JobId(1)), ROWS as u64));
    assert_eq!(rows(&shop.read("rejects.csv")).len(), ROWS / 100);
    assert_eq!(shop.points(full, false).expect_err("a repeat").code(), "repeated_file");
}

#[test]
fn a_job_goes_on_by_the_settings_it_began_with() {
    let write = |shop: &Shop| {
        let mut file = "mobile,created_at,tier\n".to_owned();
        (0..ROWS).for_each(|row| file.push_str(&format!("86{row:07},2020-01-01,gold\n")));
        shop.write("customers.csv", file);
        let settings = SettingsChange {
            time_zone: Some("Europe/Vilnius".to_owned()),
            default_region: Some("LT".to_owned()),
            default_comment: Some("Welcome".to_owned()),
            ..SettingsChange::default()
        };
        shop.engine.set(settings).expect("settings");
    };
    let import = |shop: &Shop, stop: bool| {
        let request = CustomersRequest {
            file: FileRequest { path: shop.path("customers.csv"), ..FileRequest::default() },
            ..CustomersRequest::default()
        };
        stopped(stop, |progress| shop.engine.import_customers(&JobRequest::default(), &request, progress))
    };
    let (calm, shop) = (Shop::new(), Shop::new());
    write(&calm);
    write(&shop);
    import(&calm, false).expect("it ends");
    import(&shop, true).expect_err("stopped");
    let change = SettingsChange {
        time_zone: Some("Asia/Tokyo".to_owned()),
        default_region: Some("DE".to_owned()),
        tiers: Some(vec!["platinum".to_owned()]),
        ..SettingsChange::default()
    };
    shop.engine.set(change).expect("settings");
    import(&shop, false).expect("it ends");
    assert_eq!(Content::of(&shop.engine).difference(&Content::of(&calm.engine)), None);
}

#[test]
fn what_a_customer_was_shown_does_not_change_with_the_default_comment() {
    let shop = Shop::new();
    shop.write("points.csv", "email,points\nana@example.com,5\n");
    let comment = |comment: &str| {
        let change = SettingsChange { default_comment: Some(comment.to_owned()), ..SettingsChange::default() };
        shop.engine.set(change).expect("settings");
    };
    comment("Hello");
    shop.points(
        |job, request| {
            job.reason = None;
            request.mode = Some(tidemill::domain::command::Mode::Add);
            create(request);
        },
        false,
    )
    .expect("it ends");
    comment("Bye");
    let kind = tidemill::domain::identifier::IdentifierKind::Email;
    let history = shop.engine.history(kind, "ana@example.com", None, None, 10, true).expect("a history");
    assert_eq!(history.lines[0].comment.as_deref(), Some("Hello"));
    assert!(export(&shop.engine, Export::Ledger).contains("Hello"));
}

#[test]
fn a_dry_run_tells_what_the_command_would_do_now() {
    let shop = Shop::new();
    shop.write("points.csv", points(100));
    let dry = |shop: &Shop| {
        shop.points(
            |job, request| {
                job.dry_run = true;
                job.rejects = Some(shop.path("dry.csv"));
                create(request);
            },
            false,
        )
    };
    shop.points(|_, request| create(request), true).expect_err("stopped");
    let before = Content::of(&shop.engine);
    let foretold = dry(&shop).expect("a dry run");
    assert_eq!(Content::of(&shop.engine).difference(&before), None);
    let done = shop.points(|_, request| create(request), false).expect("it ends");
    assert_eq!((foretold.job, foretold.rows), (None, done.rows));
    assert_eq!((foretold.balance.clone(), foretold.customers), (done.balance.clone(), done.customers));
    assert_eq!(foretold.rejects, done.rejects);
    assert_eq!(rows(&shop.read("dry.csv")).len(), ROWS / 100);
    // Once it is applied, the command would be refused, and so is its dry run.
    assert_eq!(dry(&shop).expect_err("a repeat").code(), "repeated_file");
}

#[test]
fn an_edited_format_does_not_change_a_job_in_the_middle() {
    let shop = Shop::new();
    shop.write("points.csv", points(100).replace("operation", "what"));
    let format = "name = \"mine\"\nkind = \"points\"\ntitle = \"mine\"\nmandatory = [[\"email\"], [\"amount\"]]\n\
                  [[columns]]\nfield = \"email\"\nheaders = [\"email\"]\n[[columns]]\nfield = \"amount\"\n\
                  headers = [\"amount\"]\n[[columns]]\nfield = \"operation\"\nheaders = [\"what\"]\n[operations]\ncr = \"credit\"\n";
    shop.write("mine.toml", format);
    let toml = shop.path("mine.toml").display().to_string();
    let mine = |_: &mut JobRequest, request: &mut PointsRequest| {
        request.file.format = Some(toml.clone());
        create(request);
    };
    shop.points(mine, true).expect_err("stopped");
    // With the edited format it is another job: the half-applied one is left alone until it is resumed.
    shop.write("mine.toml", format.replace("cr = \"credit\"", "cr = \"debit\""));
    let summary = shop.resume(false).expect("it ends");
    assert_eq!(summary.points.debited, "0");
}

#[test]
fn a_flag_that_changes_nothing_does_not_apply_a_file_twice() {
    use tidemill::domain::command::{Mode, OnRepeat};
    let shop = Shop::new();
    shop.write("points.csv", "email,mobile,amount,operation\nana@example.com,,5,CR\n");
    shop.points(|_, request| create(request), false).expect("it ends");
    let same: [&dyn Fn(&mut PointsRequest); 6] = [
        &|request| request.file.number_format = Some("en".to_owned()),
        &|request| request.file.quote = Some(b'\''),
        &|request| request.file.delimiter = Some(b','),
        &|request| request.mode = Some(Mode::Add),
        &|request| request.on_repeat = OnRepeat::Last,
        &|request| request.file.format = Some("nector".to_owned()),
    ];
    for (number, change) in same.iter().enumerate() {
        let again = shop.points(
            |_, request| {
                create(request);
                change(request);
            },
            false,
        );
        assert_eq!(again.expect_err("a repeat").code(), "repeated_file", "change {number}");
    }
}

#[test]
fn a_report_never_overwrites_the_input_or_the_other_report() {
    let shop = Shop::new();
    let content = "email,mobile,amount,operation\nana@example.com,,5,CR\n";
    shop.write("points.csv", content);
    std::fs::hard_link(shop.path("points.csv"), shop.path("hard.csv")).expect("a link");
    std::os::unix::fs::symlink(shop.path("points.csv"), shop.path("soft.csv")).expect("a link");
    std::fs::create_dir(shop.path("d")).expect("a directory");
    for name in ["points.csv", "hard.csv", "soft.csv", "d/../points.csv"] {
        for is_processed in [true, false] {
            let result = shop.points(
                |job, _| {
                    let report = if is_processed { &mut job.processed } else { &mut job.rejects };
                    *report = Some(shop.path(name));
                },
                false,
            );
            assert!(usage(result).contains("the input"), "{name}");
        }
    }
    let both = shop.points(
        |job, _| {
            job.processed = Some(shop.path("r.csv"));
            job.rejects = Some(shop.path("d/../r.csv"));
        },
        false,
    );
    assert!(usage(both).contains("--rejects"));
    assert_eq!(shop.read("points.csv"), content);
    assert_eq!(shop.engine.jobs().expect("jobs").len(), 0);
}

#[test]
fn a_job_is_resumed_from_any_directory() {
    let binary = Binary::new();
    binary.write("points.csv", "email,mobile,amount,operation\nana@example.com,,5,CR\n");
    let failed = ["import", "points", "points.csv", "--reason", "x", "--rejects", "/dev/full"];
    binary.run(&failed).expect(1);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let resumed = std::process::Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .current_dir(elsewhere.path())
        .arg("--store")
        .arg(binary.store())
        .args(["job", "resume", "1"])
        .output()
        .expect("it runs");
    // The report is still full; what matters is that the input was found.
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(said.contains("/dev/full") && !said.contains("cannot find"), "{said}");
}

#[test]
fn an_acknowledged_change_that_a_cut_log_has_lost_is_noticed() {
    let binary = Binary::new();
    binary.write("customers.csv", "email,balance\nana@example.com,100\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    // Each through the write-ahead log alone, and opened by nobody since.
    for last in [&["adjust", "credit", "3", "--email", "ana@example.com"][..], &["program", "add", "eur"]] {
        let whole = binary.copy();
        whole.run(last).expect(0);
        let logs = |binary: &Binary| {
            let files = super::support::binary::files_below(&binary.store()).into_iter();
            files.filter(|file| file.extension().is_some_and(|end| end == "log")).collect::<Vec<_>>()
        };
        let mut cut_logs = 0;
        for log in logs(&whole) {
            let content = std::fs::read(whole.store().join(&log)).expect("a file");
            for length in [content.len() - content.len().min(1), content.len() / 2, 0] {
                if length == content.len() {
                    continue;
                }
                cut_logs += 1;
                let cut = whole.copy();
                std::fs::write(cut.store().join(&log), &content[..length]).expect("it is cut");
                for command in [&["verify"][..], &["store", "info"], last] {
                    let ended = cut.run(command).expect(1);
                    assert_eq!(ended.error("code"), "store_corrupt", "{ended:?}");
                    assert!(ended.error("message").contains("has lost"), "{ended:?}");
                }
            }
            let gone = whole.copy();
            std::fs::remove_file(gone.store().join(&log)).expect("it is removed");
            gone.run(&["verify"]).expect(1);
        }
        assert!(cut_logs >= 3, "the log was not in a write-ahead log: {:?}", logs(&whole));
        whole.verify();
    }
}

#[test]
fn the_last_commit_of_an_older_job_is_missed_too() {
    let binary = Binary::new();
    binary.write("customers.csv", "email,balance\nana@example.com,100\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary.write("points.csv", "email,mobile,amount,operation\nana@example.com,,5,CR\n");
    // Its rows are durable, and its report is not written; then others work on, and it ends behind them.
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--rejects", "/dev/full"]).expect(1);
    binary.run(&["adjust", "credit", "3", "--email", "ana@example.com"]).expect(0);
    binary.run(&["import", "points", "points.csv", "--reason", "x", "--rejects", "r.csv"]).expect(0);
    // Opened by nobody since, so that the last commits are in the write-ahead log alone.
    let whole = binary.copy();
    let files = super::support::binary::files_below(&whole.store()).into_iter();
    let newest = files.filter(|file| file.extension().is_some_and(|end| end == "log")).max().expect("a log");
    let content = std::fs::read(whole.store().join(&newest)).expect("a file");
    std::fs::write(whole.store().join(&newest), &content[..content.len() - 1]).expect("it is cut");
    let ended = whole.run(&["verify"]).expect(1);
    assert_eq!(ended.error("code"), "store_corrupt", "{ended:?}");
    assert!(ended.error("message").contains("of job 2"), "{ended:?}");
    assert_eq!(binary.run(&["job", "show", "2"]).expect(0).json["state"], "finished");
    binary.verify();
}
