//! Other processes want the store while a job has it: each is refused and told who has it, and changes nothing.

use super::{Control, Fault};
use crate::{
    ensure,
    harness::Run,
    program::{Ended, Process},
    recovery,
    scenario::{self, Kind},
    verdict::Problem,
};

/// Rows of the job.
const ROWS: u64 = 3000;
/// Commands that come while the job has the store.
const OTHERS_MAX: u64 = 4;

/// What another process may want: it would change something, or reads what the job is changing.
const OTHERS: &[&str] = &[
    "adjust credit --user-id u0 --reason x 5",
    "adjust debit --email c1@example.com --reason x 1",
    "bulk credit --all --amount 1 --reason x",
    "expire",
    "store set --time-zone Europe/Vilnius",
    "program add other --decimals 2",
    "import customers before-customers.csv --again",
    "job cancel 3",
    "job undo 2 --reason x",
    "customer erase --user-id u1 --yes",
    "store compact",
    "export ledger -o other-ledger.csv",
    "export balances -o other-balances.csv",
    "verify",
    "job list",
    "customer show --user-id u0",
    "store info",
];

/// Second processes while a job runs, is stopped in its tracks, or has just been killed.
pub struct Writers;

impl Fault for Writers {
    fn name(&self) -> &'static str {
        "writers"
    }

    fn what(&self) -> &'static str {
        "other processes are refused while a job has the store, are told who has it, and change nothing"
    }

    fn faults_claim(&self) -> u64 {
        300
    }

    fn faults_small(&self) -> u64 {
        20
    }

    fn run(&self, run: &Run) -> Result<u64, Problem> {
        let scenario = run.scenario(Kind::ALL, ROWS)?;
        let mut random = run.random("writers");
        run.copy(&scenario)?;
        run.is_begun.set(true);
        // A store that is new has none of before.
        let before = run.directory.join("before-customers.csv");
        if !before.exists() {
            std::fs::write(before, "user_id\nu0\n")?;
        }
        let first = scenario.start(&scenario::any_windows(&run.program, &mut random), run.directory)?;
        // The same command at the same time: one of both does the job.
        let rival = (scenario.kind.is_import() && random.one_in(2))
            .then(|| scenario.start(&run.program, run.directory))
            .transpose()?;
        let mut refused = 0;
        if !first.ends_within(scenario.took.mul_f64(random.share()))? {
            // What stands still cannot end, so each refusal is one for sure.
            first.signal(libc::SIGSTOP);
            if has_store(run, &first)? {
                if run.broken == Some("locks") {
                    remove_locks(run)?;
                }
                for _ in 0..=random.below(OTHERS_MAX) {
                    let other = *random.one_of(OTHERS);
                    let words: Vec<&str> = other.split_whitespace().collect();
                    let ended = run.program.run(run.directory, &words)?;
                    ensure!(is_refused(&ended, &first), "`{other}` beside process {} {ended}", first.id());
                    refused += 1;
                }
                // Its death sets the store free at once.
                if random.one_in(3) {
                    first.signal(libc::SIGKILL);
                }
            }
            first.signal(libc::SIGCONT);
        }
        for ended in [Some(first), rival].into_iter().flatten().map(Process::wait) {
            let ended = ended?;
            if ended.error("code") == "store_busy" {
                ensure!(ended.exit == Some(1), "who was refused {ended}");
                refused += 1;
            } else if !ended.is_killed() {
                recovery::is_end(&ended, &scenario)?;
            }
        }
        recovery::finish(&run.program, run, &scenario, &mut random)?;
        recovery::compare(run, &scenario)?;
        Ok(refused)
    }

    fn controls(&self) -> Vec<Control> {
        vec![Control { name: "locks", runs_max: 200, program: |harness| Ok(harness.tidemill.clone()) }]
    }
}

/// Whether the process has the store now.
fn has_store(run: &Run, process: &Process) -> Result<bool, Problem> {
    if !run.directory.join("store").exists() {
        return Ok(false);
    }
    // Before it is a store at all, there is none to be found.
    let ended = run.harness.tidemill.run(run.directory, &["job", "list"])?;
    let is_elsewhere = ended.error("code") == "store_busy" && !is_refused(&ended, process);
    let is_known =
        ended.is_done() || is_refused(&ended, process) || is_elsewhere || ended.error("code") == "store_unknown";
    ensure!(is_known, "`job list` beside process {} {ended}", process.id());
    Ok(is_refused(&ended, process))
}

/// Whether somebody was refused because this process has the store.
fn is_refused(ended: &Ended, holder: &Process) -> bool {
    let said = format!("process {},", holder.id());
    ended.exit == Some(1) && ended.error("code") == "store_busy" && ended.error("message").contains(&said)
}

/// Breaks what keeps others out: a lock is on a file, and a new file of the same name has none.
fn remove_locks(run: &Run) -> Result<(), Problem> {
    for name in ["store/db/LOCK", "store/TIDEMILL_HOLDER", "store/TIDEMILL_FORMAT"] {
        let path = run.directory.join(name);
        if let Ok(bytes) = std::fs::read(&path) {
            std::fs::remove_file(&path)?;
            std::fs::write(&path, bytes)?;
        }
    }
    Ok(())
}
