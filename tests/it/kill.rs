//! A process that is killed at any moment, again and again, ends where one that was left alone ends.
//!
//! A normal run kills some tens of times. For hundreds, in a release build as always:
//!
//! ```text
//! TIDEMILL_KILLS=500 cargo test --release kill -- --nocapture
//! ```
//!
//! What this cannot show is a power loss: after a kill the system still has what the process wrote.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hasher},
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::Value;

use super::{
    model::{Outcome, Said, StepOutcome, compare},
    support::{
        binary::{Binary, Ended, finish},
        cases,
        content::{Content, difference},
        model_strategies::{CURRENCIES, World, world},
        workbook::{of_rows, text_rows},
    },
};

/// Kills of each kind of job in a normal run.
const KILLS: u64 = 14;
/// Kills before a job may end in peace: more find nothing new, as each goes on where the one before was.
const KILLS_OF_JOB_MAX: u64 = 5;

/// An import that is killed.
struct Job {
    /// The directory as it is before: the store, perhaps, and the files.
    before: Binary,
    /// The command, without its reports.
    arguments: Vec<&'static str>,
    /// The number that it gets.
    number: u32,
}

/// What is there when a job is done.
struct End {
    content: Content,
    processed: String,
    rejects: String,
    summary: Value,
}

impl Job {
    fn command(&self) -> Vec<&str> {
        let mut arguments = self.arguments.clone();
        arguments.extend(["--processed", "processed.csv", "--rejects", "rejects.csv"]);
        arguments
    }

    /// Runs it in peace; also says how long that took.
    fn undisturbed(&self) -> (End, Duration) {
        let binary = self.before.copy();
        let began = Instant::now();
        let ended = binary.run(&self.command());
        let took = began.elapsed();
        assert!(matches!(ended.exit, Some(0 | 3)), "{ended:?}");
        (End::of(&binary, self.number), took)
    }

    /// Runs it, killed at any time within `took`, up to so many times.
    fn disturbed(&self, kills_max: u64, took: Duration, random: &mut Random) -> (End, u64) {
        let binary = self.before.copy();
        let kills = kill_until_done(&binary, &self.command(), self.number, kills_max, took, random);
        (End::of(&binary, self.number), kills)
    }
}

impl End {
    fn of(binary: &Binary, job: u32) -> End {
        let mut summary = binary.run(&["job", "show", &job.to_string()]).expect(0).json;
        // These depend on how fast the machine is.
        for field in ["elapsed_s", "rows_per_s"] {
            summary[field].take();
        }
        End {
            content: Content::of_binary(binary),
            processed: binary.read("processed.csv"),
            rejects: binary.read("rejects.csv"),
            summary,
        }
    }

    fn difference(&self, expected: &End) -> Option<String> {
        self.content
            .difference(&expected.content)
            .or_else(|| difference("processed", &self.processed, &expected.processed))
            .or_else(|| difference("rejects", &self.rejects, &expected.rejects))
            .or_else(|| difference("summary", &self.summary.to_string(), &expected.summary.to_string()))
    }
}

/// Runs a command that is job `number`, and kills it; goes on by repeating it or by `job resume`, and kills that.
pub fn kill_until_done(
    binary: &Binary,
    command: &[&str],
    number: u32,
    kills_max: u64,
    took: Duration,
    random: &mut Random,
) -> u64 {
    let number = number.to_string();
    let resume = ["job", "resume", &number];
    let mut kills = 0;
    loop {
        let is_resume = random.below(2) == 1;
        let mut child = binary.spawn(if is_resume { &resume } else { command });
        if kills < kills_max {
            thread::sleep(took.mul_f64(random.below(1000) as f64 / 1000.0));
            child.kill().expect("it is ours");
        }
        let ended = finish(child);
        match ended.exit {
            None => {
                kills += 1;
                // A bulk operation without a file that is done would be begun anew: the same may be meant every month.
                if command.first() == Some(&"bulk") && binary.run(&["job", "show", &number]).json["state"] == "finished"
                {
                    let done = binary.run(&resume);
                    assert!(matches!(done.exit, Some(0 | 3)), "{done:?}");
                    return kills;
                }
            }
            Some(0 | 3) => return kills,
            // It was killed before it was a job, or the store one.
            Some(1) if is_resume && ["job_unknown", "store_unknown"].contains(&&*ended.error("code")) => {}
            // It was killed when it was finished, its reports included.
            Some(4) if !is_resume && ended.error("code") == "repeated_file" => {
                assert_eq!(ended.error("job"), number);
                return kills;
            }
            _ => panic!("after {kills} kills: {ended:?}"),
        }
    }
}

/// So many kills of a normal run, or this job's share of what `TIDEMILL_KILLS` says.
pub fn kills_wanted() -> u64 {
    let wanted = std::env::var("TIDEMILL_KILLS").ok().and_then(|kills| kills.parse::<u64>().ok());
    wanted.map_or(KILLS, |kills| kills.div_ceil(3))
}

fn check(job: &Job) {
    let (expected, took) = job.undisturbed();
    let mut random = Random::new();
    let (mut kills, mut runs) = (0, 0);
    while kills < kills_wanted() {
        // Few in some runs and many in others, so that all stages are met after a resume too.
        let kills_max = 1 + random.below(KILLS_OF_JOB_MAX);
        let (found, more) = job.disturbed(kills_max, took, &mut random);
        assert_eq!(found.difference(&expected), None, "{:?}, after {more} kills", job.arguments);
        kills += more;
        runs += 1;
    }
    println!("{:?}: {kills} kills in {runs} runs, undisturbed {took:?}", job.arguments);
}

/// Customers and points of the benchmark's mix, as `tidemill bench --generate` writes them.
fn generated(customers: &str, rows: &str, window_rows: &str) -> Binary {
    let binary = Binary::new().flag("--window-rows").flag(window_rows);
    binary.run(&["bench", "--generate", ".", "--customers", customers, "--rows", rows]).expect(0);
    binary
}

fn loaded(customers: &str, rows: &str, window_rows: &str) -> Binary {
    let binary = generated(customers, rows, window_rows);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    std::fs::remove_file(binary.path("customers.csv")).expect("it is not needed any more");
    binary
}

#[test]
fn killed_while_points_are_added() {
    let before = loaded("20000", "200000", "10000");
    let arguments = vec!["import", "points", "points.csv", "--reason", "x", "--on-unknown", "create"];
    check(&Job { before, arguments, number: 2 });
}

#[test]
fn killed_while_points_are_reset() {
    let before = loaded("20000", "100000", "5000");
    // Repeated customers, some with the same amount: what the job must remember from before the kill.
    let points = before.read("points.csv");
    let rows = points.lines().skip(1).filter_map(|row| row.split_once(',')).filter(|(email, _)| !email.is_empty());
    let rows = rows.map(|(email, rest)| {
        let amount = rest.split(',').nth(1).and_then(|amount| amount.parse::<u64>().ok()).unwrap_or(0);
        format!("{email},{}\n", amount % 3)
    });
    before.write("points.csv", std::iter::once("email,points\n".to_owned()).chain(rows).collect::<String>());
    check(&Job { before, arguments: vec!["import", "points", "points.csv", "--mode", "reset"], number: 2 });
}

#[test]
fn killed_while_customers_are_imported() {
    let before = generated("40000", "1", "10000");
    // Again, with cells that fill what was empty: records that change customers.
    let customers = before.read("customers.csv");
    let again = customers.lines().skip(1).step_by(7).map(|row| row.replace("\n", "")).collect::<Vec<_>>().join("\n");
    before.write("customers.csv", format!("{}\n{again}\n", customers.trim_end()));
    check(&Job { before, arguments: vec!["import", "customers", "customers.csv"], number: 1 });
}

#[test]
fn killed_while_bonus_points_of_customers_are_credited() {
    let before = Binary::new().flag("--window-rows").flag("5000");
    before.run(&["program", "add", "eur", "--currency", "EUR", "--decimals", "2"]).expect(0);
    // Each customer twice, the second time with a card more and the name that was missing; some amounts have a last day,
    // some no program, and some rows another's card, which refuses them.
    let row = |number: u64| {
        let person = number % 20_000;
        let is_again = number >= 20_000;
        let name = if is_again || person.is_multiple_of(2) { "Ana" } else { "" };
        let card = if is_again && person.is_multiple_of(10) { person + 1 } else { number };
        let currency = if number.is_multiple_of(3) { "" } else { "EUR" };
        let last_day = if number.is_multiple_of(4) { "2027-01-31" } else { "" };
        format!("+3706{person:07};{name};{card};{}.5;{currency};{last_day}\n", number % 50)
    };
    let header = "phone;name;card;amount;currency;expiration date\n".to_owned();
    before.write("incust.csv", std::iter::once(header).chain((0..40_000).map(row)).collect::<String>());
    let arguments = vec!["import", "customers", "incust.csv", "--format", "incust", "--program", "eur"];
    check(&Job { before, arguments, number: 1 });
}

#[test]
fn killed_while_points_are_read_from_a_workbook() {
    let before = loaded("5000", "60000", "3000");
    let rows: Vec<Vec<String>> =
        before.read("points.csv").lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    before.write("points.xlsx", of_rows(&text_rows(&rows)));
    let arguments = vec!["import", "points", "points.xlsx", "--reason", "x", "--on-unknown", "create"];
    check(&Job { before, arguments, number: 2 });
}

/// Customers with tiers, LTVs, orders and balances, some of them dated.
fn chosen_from(customers: u32) -> Binary {
    let before = Binary::new().flag("--window-rows").flag("3000");
    let row = |at: u32| {
        let ltv = if at.is_multiple_of(5) { String::new() } else { format!("{}.75", at % 900) };
        let tier = ["silver", "gold", ""][at as usize % 3];
        format!("u{at},c{at}@example.com,{tier},{ltv},{},{}\n", at % 7, at % 500)
    };
    let header = "user_id,email,tier,ltv,orders,balance\n".to_owned();
    before.write("customers.csv", std::iter::once(header).chain((0..customers).map(row)).collect::<String>());
    before.run(&["store", "set", "--tiers", "silver,gold"]).expect(0);
    before.run(&["import", "customers", "customers.csv"]).expect(0);
    let row = |at: u32| format!("u{},{},2026-11-{:02}\n", at * 3, at % 90, 22 + at % 9);
    let rows = std::iter::once("user_id,amount,expires_on\n".to_owned()).chain((0..customers / 3).map(row));
    before.write("dated.csv", rows.collect::<String>());
    before.run(&["import", "points", "dated.csv", "--format", "tidemill", "--mode", "add"]).expect(0);
    before
}

#[test]
fn killed_while_customers_of_a_filter_are_credited() {
    let before = chosen_from(50_000);
    // What it credits moves its customers out of the range; on that day some points are over.
    let mut arguments = vec!["bulk", "credit", "--balance", "20..399", "--tier", "silver+", "--ltv", "1.."];
    arguments.extend(["--per-ltv", "1.5", "--expires-in", "30", "--reason", "x", "--now", "2026-11-25T12:00:00Z"]);
    check(&Job { before, arguments, number: 3 });
}

#[test]
fn killed_while_customers_of_a_file_are_debited() {
    let before = chosen_from(50_000);
    // Some twice, some unknown, some with another's identifier, some with too few points.
    let row = |at: u32| match at % 10 {
        0 => format!("u{at},c{}@example.com\n", at + 1),
        1 => format!("x{at},\n"),
        2 => format!(",c{}@example.com\n", at + 1),
        _ => format!("u{at},\n"),
    };
    let rows = std::iter::once("user_id,email\n".to_owned()).chain((0..45_000).map(row));
    before.write("list.csv", rows.collect::<String>());
    let mut arguments = vec!["bulk", "debit", "--customers", "list.csv", "--balance", "10..", "--amount", "120"];
    arguments.extend(["--on-overdraft", "reject", "--reason", "x"]);
    check(&Job { before, arguments, number: 3 });
}

#[test]
fn killed_while_all_balances_are_reset() {
    let before = chosen_from(50_000);
    let arguments = vec!["bulk", "reset", "--all", "--to", "100", "--reason", "x", "--now", "2026-11-25T12:00:00Z"];
    check(&Job { before, arguments, number: 3 });
}

#[test]
fn killed_while_last_days_are_changed() {
    let before = chosen_from(30_000);
    // Each third customer has dated points and all have plain ones. Some are named twice, the second time to expire at once or
    // to expire later once more; some are unknown, and some rows cannot be read. On that day some points are over.
    let row = |at: u32| {
        let said = match at % 7 {
            0 => "relative,months,3,Extend_Expiry,late parcel",
            1 => "immediate,,,Early expiry,",
            2 => "relative,days,20,early,",
            3 => "fixed,,2027-02-28,extended,",
            4 => "relative,days,40,extended,",
            5 => "fixed,,2020-01-01,early,",
            _ => "fixed,,2026-12-01,early,moved",
        };
        let who = if at.is_multiple_of(50) { format!("x{at}") } else { format!("u{}", at % 30_000) };
        format!("{who},,,{said}\n")
    };
    let header = "user_id,ref_type,ref_id,expiry_type,expiry_unit,expiry_value,expiry_change,reason\n".to_owned();
    before.write("expiry.csv", std::iter::once(header).chain((0..50_000).map(row)).collect::<String>());
    let arguments = vec!["import", "expiry", "expiry.csv", "--profile", "reference", "--reason", "x"];
    let arguments = [arguments, vec!["--now", "2026-11-25T12:00:00Z"]].concat();
    check(&Job { before, arguments, number: 3 });
}

#[test]
fn the_comparison_sees_one_row_more() {
    let job = Job {
        before: loaded("50", "200", "20"),
        arguments: vec!["import", "points", "points.csv", "--reason", "x"],
        number: 2,
    };
    let (expected, _) = job.undisturbed();
    let points = job.before.read("points.csv");
    let good = points.lines().find(|row| row.ends_with(",CR")).expect("a credit");
    job.before.write("points.csv", format!("{points}{good}\n"));
    let (found, _) = job.undisturbed();
    assert!(found.difference(&expected).is_some());
    // Each part sees it, not only the first that is compared.
    for part in ["customers", "balances", "ledger", "processed"] {
        let of = |end: &End| match part {
            "customers" => String::new(),
            "balances" => end.content.balances.clone(),
            "ledger" => end.content.ledger.clone(),
            _ => end.processed.clone(),
        };
        assert_eq!(of(&found) == of(&expected), part == "customers", "{part}");
    }
    let digests = |end: &End| end.content.verified["digest"].clone();
    assert_eq!(digests(&found)["customers"], digests(&expected)["customers"]);
    assert_ne!(digests(&found)["accounts"], digests(&expected)["accounts"]);
    assert_ne!(digests(&found)["ledger"], digests(&expected)["ledger"]);
}

/// Runs a world of imports through processes that are killed.
fn run_killed(world: &World, random: &mut Random) -> Outcome {
    let binary = Binary::new().flag("--window-rows").flag("2");
    binary.run(&["store", "set", "--time-zone", world.zone.0]).expect(0);
    for ((code, decimals), currency) in world.programs().iter().zip(CURRENCIES).skip(1) {
        let decimals = decimals.to_string();
        binary.run(&["program", "add", code, "--decimals", &decimals, "--currency", currency]).expect(0);
    }
    let mut steps = Vec::new();
    for (step, number) in world.steps.iter().zip(1_u32..) {
        let name = |what: &str| format!("{number}-{what}.csv");
        let [input, processed, rejects] = ["input", "processed", "rejects"].map(name);
        binary.write(&input, &step.written().expect("an import").bytes);
        let arguments = step.arguments();
        let mut command: Vec<&str> = arguments.iter().map(String::as_str).collect();
        command.extend([&*input, "--processed", &processed, "--rejects", &rejects]);
        let Ended { exit, .. } = {
            let kills_max = random.below(4);
            kill_until_done(&binary, &command, number, kills_max, Duration::from_millis(60), random);
            binary.run(&["job", "resume", &number.to_string()])
        };
        assert!(matches!(exit, Some(0 | 3)));
        let summary = binary.run(&["job", "show", &number.to_string()]).expect(0).json;
        let said = Said { summary, processed: binary.read(&processed), rejects: binary.read(&rejects) };
        steps.push(StepOutcome { dry: None, real: Some(said), refused: None });
    }
    Outcome { content: Content::of_binary(&binary), steps }
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn killed_processes_do_what_the_model_does(world in world(120).prop_map(World::of_imports)) {
        // A repeated command could not tell the interrupted job from a new one.
        let files: HashSet<&[u8]> = world.steps.iter().filter_map(|step| Some(&*step.written()?.bytes)).collect();
        prop_assume!(files.len() == world.steps.len());
        compare(&world, &run_killed(&world, &mut Random::new()));
    }
}

/// Other numbers in each run: a kill that finds something cannot be repeated anyway.
pub struct Random(u64);

impl Random {
    pub fn new() -> Random {
        Random(std::hash::RandomState::new().build_hasher().finish() | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
