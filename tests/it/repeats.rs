//! What makes two files the same: a repeat is refused, whatever it is called and however it is packed, and a job goes on with
//! no other file than its own.

use std::{io::Write, path::PathBuf};

use tidemill::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown},
        id::JobId,
        points::Conversion,
    },
    engine::request::{JobRequest, PointsRequest, ResumeRequest},
    error::{ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    content::export,
    shop::stopping_at,
    till::{Till, moment},
};

/// What a job is asked for in another way.
type Change<'a> = dyn Fn(&mut JobRequest, &mut PointsRequest) + 'a;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(content).expect("memory");
    writer.finish().expect("memory")
}

fn zstandard(content: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(content, 1).expect("memory")
}

/// The same content, packed in every way that is read.
fn packings(content: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = content.as_bytes();
    let (one, other) = bytes.split_at(bytes.len() / 2);
    vec![
        ("plain.csv", bytes.to_vec()),
        ("packed.csv.gz", gzip(bytes)),
        ("packed.csv.zst", zstandard(bytes)),
        ("in-two.csv.gz", [gzip(one), gzip(other)].concat()),
        ("in-two.csv.zst", [zstandard(one), zstandard(other)].concat()),
    ]
}

/// Imports a file by its name; it is written before, if there is content for it.
fn import(
    till: &Till,
    name: &str,
    how: impl Fn(&mut JobRequest, &mut PointsRequest),
    progress: &Progress,
) -> Result<Summary> {
    let (mut job, mut request) = till.request("");
    request.file.path = till.path(name);
    (job.again, job.processed, job.rejects) = (false, None, None);
    how(&mut job, &mut request);
    till.engine().import_points(&job, &request, progress)
}

const ROWS: &str = "email,amount,operation,expires_in_days\nana@example.com,10,CR,30\nben@example.com,5,SET,\n";

/// A file with a column more, by which each row is known again. Rows that are known make a file no other one.
fn with_ids(content: &str) -> String {
    let line = |(number, line): (usize, &str)| match number {
        0 => format!("{line},row_id\n"),
        number => format!("{line},{number}\n"),
    };
    content.lines().enumerate().map(line).collect()
}

fn tidemill(_: &mut JobRequest, request: &mut PointsRequest) {
    request.file.format = Some("tidemill".to_owned());
}

#[test]
fn a_file_is_known_again_under_any_name_and_in_any_packing() {
    for content in [ROWS.to_owned(), with_ids(ROWS)] {
        let till = Till::new();
        for (name, bytes) in packings(&content) {
            std::fs::write(till.path(name), bytes).expect("a file is written");
        }
        import(&till, "plain.csv", tidemill, &Progress::default()).expect("it is imported");
        let ledger = export(till.engine(), Export::Ledger);
        for (name, _) in packings(&content) {
            let same: [&Change<'_>; 6] = [
                &|_, _| {},
                &|job, _| job.reason = Some("another".to_owned()),
                &|job, _| job.comment = Some("another".to_owned()),
                &|job, _| job.now = Some(moment("2091-01-01T00:00:00Z")),
                &|job, _| job.rejects = Some(till.path("rejects.csv")),
                &|job, _| job.dry_run = true,
            ];
            for (number, change) in same.iter().enumerate() {
                let how = |job: &mut JobRequest, request: &mut PointsRequest| {
                    tidemill(job, request);
                    change(job, request);
                };
                let error = import(&till, name, how, &Progress::default()).expect_err("it is a repeat");
                let found = (error.kind(), error.code(), error.job());
                assert_eq!(found, (ErrorKind::Refused, "repeated_file", Some(JobId(2))), "{name}, change {number}");
            }
        }
        assert_eq!(export(till.engine(), Export::Ledger), ledger);
        // What it does may be another thing; each is asked for as a dry run, which changes nothing for the next.
        let other: [(&str, &Change<'_>); 6] = [
            ("program", &|job, _| job.program = Some("eur".to_owned())),
            ("overdraft", &|_, request| request.on_overdraft = OnOverdraft::Clamp),
            ("unknown", &|_, request| request.on_unknown = OnUnknown::Create),
            ("repeat", &|_, request| request.on_repeat = OnRepeat::Last),
            ("factor", &|_, request| request.conversion = Some(Conversion::new("2", None).expect("a factor"))),
            ("mapping", &|_, request| request.file.map = vec!["expires_in_days=comment".to_owned()]),
        ];
        for (what, change) in other {
            let how = |job: &mut JobRequest, request: &mut PointsRequest| {
                tidemill(job, request);
                change(job, request);
                job.dry_run = true;
            };
            import(&till, "plain.csv", how, &Progress::default()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        }
        // And so is any other content.
        for other in [content.replace("10", "11"), format!("{content}\n"), content.replace('\n', "\r\n")] {
            std::fs::write(till.path("other.csv"), other).expect("a file is written");
            import(
                &till,
                "other.csv",
                |job, request| {
                    tidemill(job, request);
                    job.dry_run = true;
                },
                &Progress::default(),
            )
            .expect("it is another file");
        }
        import(
            &till,
            "packed.csv.zst",
            |job, request| {
                tidemill(job, request);
                job.again = true;
            },
            &Progress::default(),
        )
        .expect("it is wanted");
    }
}

#[test]
fn what_cannot_take_effect_does_not_make_a_file_another_one() {
    let till = Till::new();
    std::fs::write(till.path("set.csv"), "email,amount,operation,expires_in_days\nana@example.com,1,CR,1\n")
        .expect("a file");
    // Nector's operations cannot set a balance, so it does not matter what happens to one that is set twice.
    import(&till, "set.csv", |_, _| {}, &Progress::default()).expect("it is imported");
    let last = |_: &mut JobRequest, request: &mut PointsRequest| request.on_repeat = OnRepeat::Last;
    assert_eq!(import(&till, "set.csv", last, &Progress::default()).expect_err("a repeat").code(), "repeated_file");
    let mode = |_: &mut JobRequest, request: &mut PointsRequest| request.mode = Some(Mode::Add);
    assert_eq!(import(&till, "set.csv", mode, &Progress::default()).expect_err("a repeat").code(), "repeated_file");
    // Read as another format, it is another job, though it would do the same.
    import(&till, "set.csv", tidemill, &Progress::default()).expect("it is imported");
}

/// A store with small windows, in which a file was imported in part, and that file.
fn interrupted(content: &str) -> (Till, PathBuf) {
    let till = Till::with(Options { window_rows: 200, chunk_bytes_max: 4096, threads: 2, ..Options::default() });
    std::fs::write(till.path("points.csv"), content).expect("a file is written");
    let error = import(&till, "points.csv", create, &stopping_at(800)).expect_err("it stops");
    assert_eq!((error.kind(), error.job()), (ErrorKind::Stopped, Some(JobId(2))));
    let path = till.path("points.csv");
    (till, path)
}

fn create(job: &mut JobRequest, request: &mut PointsRequest) {
    tidemill(job, request);
    request.on_unknown = OnUnknown::Create;
}

fn many_rows() -> String {
    let rows = (0..5000).map(|row| format!("c{}@example.com,{},CR,{}\n", row % 900, row % 7, row % 50 + 1));
    std::iter::once("email,amount,operation,expires_in_days\n".to_owned()).chain(rows).collect()
}

fn resume(till: &Till) -> Result<Summary> {
    till.engine().resume(JobId(2), &ResumeRequest::default(), &Progress::default())
}

#[test]
fn an_interrupted_file_goes_on_in_another_packing() {
    let content = many_rows();
    let calm = Till::new();
    std::fs::write(calm.path("points.csv"), &content).expect("a file is written");
    let expected = import(&calm, "points.csv", create, &Progress::default()).expect("it ends");
    for (name, bytes) in packings(&content) {
        let (till, path) = interrupted(&content);
        std::fs::remove_file(path).expect("it is there");
        std::fs::write(till.path(name), bytes).expect("a file is written");
        let summary = import(&till, name, create, &Progress::default()).expect("it goes on");
        assert_eq!((summary.job, summary.rows, summary.customers), (Some(JobId(2)), expected.rows, expected.customers));
        assert_eq!(export(till.engine(), Export::Ledger), export(calm.engine(), Export::Ledger), "{name}");
        assert_eq!(till.verify().digest, calm.verify().digest);
    }
}

#[test]
fn a_job_goes_on_with_no_other_file() {
    for content in [many_rows(), with_ids(&many_rows())] {
        let (till, path) = interrupted(&content);
        let ledger = export(till.engine(), Export::Ledger);
        let lines: Vec<&str> = content.lines().collect();
        let changed = [
            format!("{}\n", lines[..lines.len() / 2].join("\n")),
            format!("{}\n", lines[..100].join("\n")),
            format!("{content}ana@example.com,1,CR,1\n"),
            content.replacen("c1@", "c2@", 1),
            content.trim_end().to_owned(),
            lines[0].to_owned(),
            String::new(),
        ];
        for (number, changed) in changed.iter().enumerate() {
            std::fs::write(&path, changed).expect("a file is written");
            let error = resume(&till).expect_err("it is another file");
            assert_eq!((error.code(), error.job()), ("file_changed", Some(JobId(2))), "change {number}: {error:?}");
        }
        // As it was, though under the name of a packed one: what a file is, its first bytes tell.
        std::fs::write(&path, gzip(content.as_bytes())).expect("a file is written");
        assert_eq!(export(till.engine(), Export::Ledger), ledger);
        let summary = resume(&till).expect("it ends");
        assert_eq!(summary.rows.read, lines.len() as u64 - 1);
        till.verify();
    }
}

#[test]
fn a_command_that_is_repeated_with_a_file_that_changed_does_not_begin_anew() {
    let (till, path) = interrupted(&many_rows());
    let ledger = export(till.engine(), Export::Ledger);
    std::fs::write(&path, format!("{}ana@example.com,1,CR,1\n", many_rows())).expect("a file is written");
    let again = |how: fn(&mut JobRequest, &mut PointsRequest)| import(&till, "points.csv", how, &Progress::default());
    let error = again(create).expect_err("its first rows are applied");
    assert_eq!((error.kind(), error.code(), error.job()), (ErrorKind::Refused, "file_changed", Some(JobId(2))));
    // So would the old file, if it were read in another way.
    std::fs::write(&path, many_rows()).expect("a file is written");
    assert_eq!(again(tidemill).expect_err("likewise").code(), "file_changed");
    assert_eq!(export(till.engine(), Export::Ledger), ledger);
    // Who gives the job up, knows that its rows stay.
    till.engine().cancel(JobId(2)).expect("it is given up");
    assert_eq!(again(tidemill).expect("it begins anew").job, Some(JobId(3)));
    till.verify();
}
