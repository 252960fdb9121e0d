//! Measures the apply stage on one core: the one part of an import that cannot be spread over cores, so its time per row
//! bounds the rows a second of the whole engine.
//!
//! `account_book` applies commands to random customers of 10 million (160 MB of accounts, far beyond any cache) with the
//! prefetch that imports use and without; entries are kept for one chunk, as in the pipeline. `rules` is the pure
//! `apply()` alone, on balances that lie in the cache: the difference between the two is memory and the entry.
//!
//! ```text
//! cargo bench --bench apply                  everything, half a minute
//! cargo bench --bench apply -- rules         one group
//! cargo bench --bench apply -- --test        each once, on few customers: only whether it works
//! ```

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput};
use tidemill::{
    domain::{
        account::Account,
        apply::apply,
        command::{OnOverdraft, Operation, ResolvedCommand},
        entry::{DetailAt, Entries},
        id::{CustomerId, ProgramId},
        time::{TimeZone, Timestamp},
    },
    ledger::account_book::{AccountBook, BookRules},
    store::{
        state::{Accounts, State},
        tuning,
    },
};

/// Rows of a chunk of 1 MiB.
const CHUNK_ROWS: usize = 30_000;

/// Rows between the prefetch of an account and its use, as in `import/points.rs`.
const PREFETCH_ROWS: usize = 16;

const PROGRAM: ProgramId = ProgramId(0);

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    account_book(&mut criterion);
    rules(&mut criterion);
    criterion.final_summary();
}

/// Whether criterion only runs everything once.
fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Commands for random customers.
fn commands(
    customers: u64,
    count: usize,
    operation_of: impl Fn(u64) -> Operation,
) -> Vec<(CustomerId, ResolvedCommand)> {
    let mut state = 1;
    let mut command = || {
        let customer = u32::try_from(random(&mut state) % customers).expect("fewer customers than 2^32");
        let operation = operation_of(random(&mut state) % 100);
        let amount = (random(&mut state) % 5_000).cast_signed() + 1;
        (CustomerId(customer), ResolvedCommand::plain(operation, amount))
    };
    (0..count).map(|_| command()).collect()
}

/// 90 % credits and 10 % debits, as in W1.
fn credits_and_debits(percent: u64) -> Operation {
    if percent < 90 { Operation::Credit } else { Operation::Debit }
}

/// A book of accounts of which half have a balance.
fn book(customers: u64) -> AccountBook {
    let count = usize::try_from(customers).expect("the accounts lie in memory");
    let mut list = tuning::table(count, Account::default());
    list.iter_mut().step_by(2).for_each(|account| account.balance = 10_000);
    let total = list.iter().map(|account| i128::from(account.balance)).sum();
    let mut state = State { customers: customers as u32, next_sequence: 1, ..State::default() };
    state.accounts.insert(PROGRAM, Accounts { list, total, ..Accounts::default() });
    let now = Timestamp::from_millis(0).expect("1970 is a year");
    let rules = BookRules { on_overdraft: OnOverdraft::Reject, today: TimeZone::utc().day_of(now), now };
    AccountBook::take(&mut state, &[PROGRAM], rules).expect("the program's accounts were put in")
}

fn account_book(criterion: &mut Criterion) {
    let (customers, count) = if is_test() { (10_000, CHUNK_ROWS) } else { (10_000_000, 100 * CHUNK_ROWS) };
    let mut group = criterion.benchmark_group("account_book");
    group.throughput(Throughput::Elements(CHUNK_ROWS as u64));
    for (name, operation_of) in [("w1", credits_and_debits as fn(u64) -> Operation), ("reset", |_| Operation::Set)] {
        let commands = commands(customers, count, operation_of);
        for is_prefetched in [true, false] {
            let mut book = book(customers);
            let mut entries = Entries::default();
            // Every iteration is another chunk, so that no account is still in the cache from the one before.
            let mut chunks = commands.chunks_exact(CHUNK_ROWS).cycle();
            let name = format!("{name}/{}", if is_prefetched { "prefetched" } else { "bare" });
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let chunk = chunks.next().expect("the chunks go round");
                    entries.clear();
                    for (at, &(customer, command)) in chunk.iter().enumerate() {
                        if is_prefetched && let Some(&(ahead, _)) = chunk.get(at + PREFETCH_ROWS) {
                            book.prefetch(PROGRAM, ahead);
                        }
                        black_box(book.apply(PROGRAM, customer, command, at as u64 + 2, DetailAt::NONE, &mut entries));
                    }
                    black_box(&entries);
                });
            });
        }
    }
    group.finish();
}

fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    group.throughput(Throughput::Elements(CHUNK_ROWS as u64));
    let mixed = |percent: u64| match percent {
        0..45 => Operation::Credit,
        45..90 => Operation::Debit,
        _ => Operation::Set,
    };
    let w1 = commands(5_000, CHUNK_ROWS, credits_and_debits);
    let mixed = commands(5_000, CHUNK_ROWS, mixed);
    for (name, on_overdraft, commands) in [
        ("w1/reject", OnOverdraft::Reject, &w1),
        ("mixed/reject", OnOverdraft::Reject, &mixed),
        ("mixed/clamp", OnOverdraft::Clamp, &mixed),
        ("mixed/allow", OnOverdraft::Allow, &mixed),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for &(customer, command) in commands {
                    // The customer's number serves as a balance at random.
                    black_box(apply(black_box(i64::from(customer.0)), command, on_overdraft));
                }
            });
        });
    }
    group.finish();
}
