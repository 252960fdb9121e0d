//! A signal stops a job at a commit boundary and tells how to go on; going on ends where an undisturbed run ends.

use std::{thread, time::Duration};

use super::support::{
    binary::{Binary, Ended, finish},
    content::Content,
};

const COMMAND: [&str; 9] =
    ["import", "points", "points.csv", "--reason", "x", "--processed", "processed.csv", "--rejects", "rejects.csv"];

/// A store with customers, and a file of points.
fn before() -> Binary {
    let binary = Binary::new();
    binary.run(&["bench", "--generate", ".", "--customers", "2000", "--rows", "100000"]).expect(0);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary
}

/// Runs the import with very many commits, until a signal stops it in the middle.
fn stopped(before: &Binary, signal: i32, flags: &[&str]) -> (Binary, Ended) {
    // Only a machine on which two thousand commits take less than the tenth of a second, in which the process looks for
    // signals, ends before it stops.
    for _ in 0..5 {
        let binary = before.copy();
        let mut command = vec!["--window-rows", "50"];
        command.extend(flags);
        command.extend(COMMAND);
        let mut child = binary.spawn(&command);
        // So long that some commits were made.
        let length = || std::fs::metadata(binary.path("processed.csv")).map_or(0, |metadata| metadata.len());
        while length() < 50_000 && child.try_wait().expect("it is our child").is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        let pid = i32::try_from(child.id()).expect("a process number");
        // SAFETY: the process is our child and not yet waited for, or a zombie that keeps its number.
        unsafe { libc::kill(pid, signal) };
        let ended = finish(child);
        if ended.exit != Some(0) && ended.exit != Some(3) {
            assert_eq!(ended.exit, Some(128 + signal), "{ended:?}");
            return (binary, ended);
        }
    }
    panic!("it always ended before it stopped");
}

/// What is there in the middle, and at the end after `go_on`.
fn check(before: &Binary, stopped: &Binary, go_on: &[&str]) {
    let shown = stopped.run(&["job", "show", "2"]).expect(0).json;
    assert_eq!(shown["state"], "unfinished");
    let read = shown["rows"]["read"].as_u64().expect("a number");
    assert!(read > 0 && read < 100_000, "{shown}");
    stopped.verify();
    let expected = before.copy();
    expected.run(&COMMAND).expect(3);
    stopped.run(go_on).expect(3);
    assert_eq!(Content::of_binary(stopped).difference(&Content::of_binary(&expected)), None);
    for report in ["processed.csv", "rejects.csv"] {
        assert!(stopped.read(report) == expected.read(report), "{report} differs");
    }
}

#[test]
fn ctrl_c_stops_at_a_commit_and_the_job_goes_on_by_its_number() {
    let before = before();
    let (binary, ended) = stopped(&before, libc::SIGINT, &[]);
    assert_eq!((ended.error("code").as_str(), ended.error("job").as_str()), ("stopped", "2"));
    assert!(ended.error("hint").contains("tidemill job resume 2"), "{}", ended.stdout);
    check(&before, &binary, &["job", "resume", "2"]);
}

#[test]
fn sigterm_stops_at_a_commit_and_the_command_goes_on() {
    let before = before();
    let (binary, ended) = stopped(&before, libc::SIGTERM, &["--quiet"]);
    assert_eq!(ended.error("code"), "stopped");
    // Talk goes to standard error, and none is asked for.
    assert_eq!(ended.stderr, "");
    check(&before, &binary, &COMMAND);
}
