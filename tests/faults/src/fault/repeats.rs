//! Files that are sent again, in part or changed: no row is applied twice.

use std::fs;

use super::{Control, Fault};
use crate::{
    audit::{self, Outcome, Row},
    ensure,
    harness::Run,
    program::Ended,
    random::Random,
    recovery,
    scenario::{self, Kind, NOW, Scenario},
    state::{self, PROCESSED, REJECTS, State},
    verdict::Problem,
};

/// Rows of the job.
const ROWS: u64 = 2000;

/// A file again: as it is, under another name, half of it, longer, changed between a kill and going on.
pub struct Repeats;

impl Fault for Repeats {
    fn name(&self) -> &'static str {
        "repeats"
    }

    fn what(&self) -> &'static str {
        "a file that is sent again is refused, one that changed since its job was killed too, and row ids hold"
    }

    fn faults_claim(&self) -> u64 {
        500
    }

    fn faults_small(&self) -> u64 {
        20
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let scenario = run.scenario(Kind::IMPORTS, ROWS)?;
        let mut random = run.random("repeats");
        run.copy(&scenario)?;
        let changed = if random.one_in(2) { changed_between(run, &scenario, &mut random)? } else { 0 };
        recovery::finish(&run.program, run, &scenario, &mut random)?;
        recovery::compare(run, &scenario)?;
        sent_again(run, &scenario, &mut random)?;
        recovery::compare(run, &scenario)?;
        let appended = if scenario.kind == Kind::DatedPoints { rows_appended(run, &scenario)? } else { 0 };
        Ok(changed + 1 + appended)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "repeat", runs_max: 60, program: |harness| harness.sabotage("repeat") }]
    }
}

fn input(scenario: &Scenario) -> Result<&str, Problem> {
    scenario.input.as_deref().ok_or_else(|| Problem::Harness("a scenario without a file".to_owned()))
}

fn is_repeat(ended: &Ended, scenario: &Scenario) -> bool {
    ended.exit == Some(4)
        && ended.error("code") == "repeated_file"
        && ended.error("job") == scenario.job.to_string()
        && ended.error("message").contains(&format!("job {}", scenario.job))
}

/// The finished file again: as it is, or as somebody might send it who does not know that it is the same.
fn sent_again(run: &Run, scenario: &Scenario, random: &mut Random) -> Result<(), Problem> {
    let input = input(scenario)?;
    let mut command = scenario.command.clone();
    let mut name = input.to_owned();
    match random.below(3) {
        0 => {}
        1 => {
            name = format!("again-{input}");
            fs::copy(run.directory.join(input), run.directory.join(&name))?;
        }
        // A workbook is an archive as it is; all others may be packed.
        _ if scenario.kind != Kind::Workbook => {
            let bytes = fs::read(run.directory.join(input))?;
            name = format!("again-{input}.gz");
            let packed = if scenario.kind == Kind::GzPoints { bytes } else { scenario::gzip(&bytes)? };
            fs::write(run.directory.join(&name), packed)?;
        }
        _ => {}
    }
    for word in &mut command {
        if word == input {
            word.clone_from(&name);
        } else if word == PROCESSED || word == REJECTS {
            // What is refused must not touch the reports that are there, nor write others.
            if random.one_in(2) {
                word.insert_str(0, "again-");
            }
        } else if word == "campaign" || word == "moved" {
            "for another reason".clone_into(word);
        } else if word == NOW {
            "2036-11-26T07:00:00Z".clone_into(word);
        }
    }
    let ended = scenario::any_windows(&run.program, random).run(run.directory, &command)?;
    ensure!(is_repeat(&ended, scenario), "`{}` {ended}", command.join(" "));
    Ok(())
}

/// Kills the job and changes its file: going on is refused until it is as it was.
fn changed_between(run: &Run, scenario: &Scenario, random: &mut Random) -> Result<u64, Problem> {
    run.is_begun.set(true);
    let process = scenario.start(&scenario::any_windows(&run.program, random), run.directory)?;
    let moment = scenario.took.mul_f64(random.share());
    let ended = if process.ends_within(moment)? { process.wait()? } else { process.kill()? };
    let tidemill = &run.harness.tidemill;
    let job = scenario.job.to_string();
    let shown = |what: &str| -> Result<_, Problem> {
        if !run.directory.join("store").exists() {
            return Ok(serde_json::Value::Null);
        }
        let mut json = tidemill.run(run.directory, &["job", "show", &job])?.json;
        Ok(json[what].take())
    };
    if !ended.is_killed() || shown("state")? != "unfinished" {
        return Ok(0);
    }
    let before = shown("rows")?;
    let path = run.directory.join(input(scenario)?);
    let bytes = fs::read(&path)?;
    let how = change(&path, &bytes, random)?;
    let ended = run.program.run(run.directory, &["job", "resume", &job])?;
    let code = ended.error("code");
    // What cannot even be read is as good a reason.
    let is_refused =
        matches!(ended.exit, Some(4)) && code == "file_changed" || ended.exit == Some(1) && code == "input_unreadable";
    ensure!(is_refused, "resumed with a file that {how}, the job {ended}");
    ensure!(shown("rows")? == before, "resumed with a file that {how}, the job went on");
    // To repeat the command is the other way to go on, and must not begin anew what was applied in part.
    if before["read"].as_u64().unwrap_or(0) > 0 {
        let ended = scenario.start(&run.program, run.directory)?.wait()?;
        ensure!(!ended.is_done(), "with a file that {how}, the repeated command {ended}");
        ensure!(shown("rows")? == before, "with a file that {how}, the repeated command went on");
    }
    state::verify(tidemill, run.directory)?;
    // It may be gone or be a directory's entry anew.
    fs::write(&path, bytes)?;
    Ok(1)
}

/// Changes the file; says how.
fn change(path: &std::path::Path, bytes: &[u8], random: &mut Random) -> Result<&'static str, Problem> {
    let at = |share: f64| ((bytes.len() - 1) as f64 * share) as usize;
    let (how, changed) = match random.below(5) {
        0 => ("was cut", bytes[..at(random.share())].to_vec()),
        1 => ("is half as long", bytes[..bytes.len() / 2].to_vec()),
        2 => ("has a byte more", [bytes, b"7"].concat()),
        3 => {
            let mut changed = bytes.to_vec();
            // Not where an archive keeps a date, which is no content.
            changed[at(0.4 + random.share() / 2.0)] ^= 1;
            ("has a byte changed", changed)
        }
        _ => {
            fs::remove_file(path)?;
            return Ok("is gone");
        }
    };
    fs::write(path, changed)?;
    Ok(how)
}

/// The credits of the file again, with rows appended: only these are applied, as all have ids.
fn rows_appended(run: &Run, scenario: &Scenario) -> Result<u64, Problem> {
    let text = fs::read(run.directory.join(input(scenario)?))?;
    let wrong = |error: csv::Error| Problem::Harness(format!("the scenario's file: {error}"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*text);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let (mut rows, mut line) = (Vec::new(), 2);
    let mut push = |record: &csv::StringRecord, outcome: Option<Outcome>| {
        if let Some(outcome) = outcome {
            rows.push(Row { line, outcome: Some(outcome) });
            line += 1 + record.iter().map(|cell| cell.matches('\n').count() as u64).sum::<u64>();
        }
        writer.write_record(record).map_err(wrong)
    };
    let mut records = reader.records();
    let header = records.next().transpose().map_err(wrong)?.unwrap_or_default();
    push(&header, None)?;
    for (record, row) in records.zip(&scenario.rows) {
        let record = record.map_err(wrong)?;
        if matches!(row.outcome, Some(Outcome::Applied(_) | Outcome::Unchanged)) && record.get(2) == Some("CR") {
            push(&record, Some(Outcome::Unchanged))?;
        }
    }
    for number in 0..20 {
        let record = format!("u{number},{},CR,,,,,later-{number}", number + 1);
        let record: csv::StringRecord = record.split(',').collect::<Vec<_>>().into();
        // An account that was told another amount counts on.
        push(&record, Some(Outcome::Applied(number + 1)))?;
    }
    let bytes = writer.into_inner().map_err(|error| Problem::Harness(error.to_string()))?;
    fs::write(run.directory.join("longer.csv"), bytes)?;
    let mut command = scenario.command.clone();
    for word in command.iter_mut().filter(|word| scenario.input.as_ref() == Some(word)) {
        "longer.csv".clone_into(word);
    }
    let ended = run.program.run(run.directory, &command)?;
    ensure!(ended.exit == Some(0), "the longer file {ended}");
    let state = State::read(&run.harness.tidemill, run.directory, scenario.job + 1)?;
    audit::accounts(&state)?;
    audit::answers(&state, &rows, scenario.job + 1)?;
    Ok(1)
}
