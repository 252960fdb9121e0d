//! Measures the store's parts: the identifier table, the codecs of pages, and a durable commit.
//!
//! Look-ups go through a table of 4 million e-mails (100 MB of slots, beyond any cache) in chunks of 30,000, each chunk
//! another one:
//!
//! * `identifiers/row_order`: as the rows come, with a prefetch; `…_bare` without;
//! * `identifiers/slot_order`: sorted by `LookupOrder` first, the sorting included; `sort` is the sorting alone;
//! * `identifiers/claim_…`: given to new customers, all at once by `claim_all` or row by row by `insert`, until an empty
//!   table has grown to a million;
//! * `identifiers/write_run`, `load_run`: to stored pages and back, as the caches are written and a job opens the store.
//!
//! The commit goes to a temporary directory. Where that is a file system in memory nothing is durable and the numbers
//! flatter: name another with `TMPDIR`.
//!
//! ```text
//! cargo bench --bench store                  everything, two minutes, 1 GB of memory
//! cargo bench --bench store -- identifiers   one group
//! cargo bench --bench store -- --test        each once, on small tables: only whether it works
//! ```

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use tempfile::TempDir;
use tidemill::{
    domain::{
        birthday::Birthday,
        customer::{CustomerChange, Gender},
        entry::{DetailAt, Entries, Entry, EntryKind},
        id::{CustomerId, JobId, ProgramId, Sequence},
        identifier::IdentifierKind,
        time::{Date, Timestamp},
    },
    store::{
        Store,
        column::{self, Column},
        customer_page::{CustomerPage, CustomerPageWriter, RECORDS_MAX, put_change},
        filter_page::{self, FilterPage, MISSING},
        identifiers::{IdentifierHash, IdentifierTable, LookupOrder},
        key::LogKey,
        ledger_page::{self, ENTRIES_MAX, LedgerPage},
        log::Commit,
    },
};

#[path = "support/generator.rs"]
#[expect(unused_imports, reason = "its tests are compiled, though not run: a bench has no harness")]
mod generator;

/// Rows of a chunk of 1 MiB.
const CHUNK_ROWS: usize = 30_000;

/// Lookups between the prefetch of a slot and its use, as in `store/identifiers.rs`.
const PREFETCH: usize = 24;

const SEED: u64 = 1;
const JOB: JobId = JobId(1);

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    lookups(&mut criterion);
    claims(&mut criterion);
    runs(&mut criterion);
    ledger_pages(&mut criterion);
    customer_pages(&mut criterion);
    columns(&mut criterion);
    filter_pages(&mut criterion);
    commits(&mut criterion);
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

fn time() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).expect("a time of this century")
}

/// The hashes of the e-mails of the first customers.
fn emails(customers: u32) -> Vec<IdentifierHash> {
    let hash = |n| IdentifierHash::of(SEED, IdentifierKind::Email, generator::email_of(u64::from(n)).as_bytes());
    (0..customers).map(hash).collect()
}

fn table(hashes: &[IdentifierHash]) -> IdentifierTable {
    let mut table = IdentifierTable::default();
    table.reserve_evenly(IdentifierKind::Email, hashes.len() as u64);
    table.reserve_now();
    for (customer, &hash) in (0..).zip(hashes) {
        table.insert(hash, CustomerId(customer));
    }
    table
}

fn lookups(criterion: &mut Criterion) {
    let (customers, wanted) = if is_test() { (50_000, CHUNK_ROWS) } else { (4_000_000, 100 * CHUNK_ROWS) };
    let hashes = emails(customers);
    let table = table(&hashes);
    let mut state = 1;
    let mut draw = || hashes[(random(&mut state) % u64::from(customers)) as usize];
    let wanted: Vec<IdentifierHash> = (0..wanted).map(|_| draw()).collect();
    drop(hashes);
    let chunks = || wanted.chunks_exact(CHUNK_ROWS).cycle();
    let mut owners = vec![CustomerId::NONE; CHUNK_ROWS];

    let mut group = criterion.benchmark_group("identifiers");
    group.throughput(Throughput::Elements(CHUNK_ROWS as u64));
    for (name, is_prefetched) in [("row_order", true), ("row_order_bare", false)] {
        let mut chunks = chunks();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let chunk = chunks.next().expect("the chunks go round");
                for (at, &hash) in chunk.iter().enumerate() {
                    if is_prefetched && let Some(&ahead) = chunk.get(at + PREFETCH) {
                        table.prefetch(ahead);
                    }
                    owners[at] = table.get(hash).unwrap_or(CustomerId::NONE);
                }
                black_box(&owners);
            });
        });
    }
    let mut order = LookupOrder::default();
    let mut all = chunks();
    group.bench_function("slot_order", |bencher| {
        bencher.iter(|| {
            order.sort(all.next().expect("the chunks go round").iter());
            table.get_each(&order, &mut owners);
            black_box(&owners);
        });
    });
    let mut all = chunks();
    group.bench_function("sort", |bencher| {
        bencher.iter(|| {
            order.sort(all.next().expect("the chunks go round").iter());
            black_box(order.sorted());
        });
    });
    group.finish();
}

fn claims(criterion: &mut Criterion) {
    let customers = if is_test() { 50_000 } else { 1_000_000 };
    let hashes = emails(customers);
    let mut group = criterion.benchmark_group("identifiers");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(hashes.len() as u64));
    let mut order = LookupOrder::default();
    for (name, is_reserved) in [("claim_all", false), ("claim_all_reserved", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let mut table = IdentifierTable::default();
                    if is_reserved {
                        table.reserve_evenly(IdentifierKind::Email, u64::from(customers));
                        table.reserve_now();
                    }
                    table
                },
                |mut table| {
                    for (chunk, first) in hashes.chunks(CHUNK_ROWS).zip((0..).step_by(CHUNK_ROWS)) {
                        order.sort(chunk.iter());
                        assert!(!order.has_duplicates() && table.claim_all(&order, |index| CustomerId(first + index)));
                    }
                    table
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("claim_by_row", |bencher| {
        bencher.iter_batched(
            IdentifierTable::default,
            |mut table| {
                for (customer, &hash) in (0..).zip(&hashes) {
                    assert!(table.get(hash).is_none() && table.insert(hash, CustomerId(customer)).is_none());
                }
                table
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn runs(criterion: &mut Criterion) {
    let hashes = emails(if is_test() { 50_000 } else { 1_000_000 });
    let written = table(&hashes);
    let write = || {
        let mut pages: Vec<(u32, Vec<u8>)> = Vec::new();
        let put = |page, value: &[u8]| {
            pages.push((page, value.to_vec()));
            Ok(())
        };
        written.write_run(IdentifierKind::Email, |_, _| true, put).expect("memory takes all");
        pages
    };
    let pages = write();
    let mut group = criterion.benchmark_group("identifiers");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(hashes.len() as u64));
    group.bench_function("write_run", |bencher| bencher.iter(write));
    group.bench_function("load_run", |bencher| {
        bencher.iter_with_large_drop(|| {
            let mut table = IdentifierTable::default();
            table.reserve_evenly(IdentifierKind::Email, hashes.len() as u64);
            let load = table.fill_parallel(&[IdentifierKind::Email], |_, wanted, part| {
                let first = pages.partition_point(|(page, _)| *page < wanted.start);
                let rest = &pages[first..];
                rest.iter()
                    .take_while(|(page, _)| *page < wanted.end)
                    .try_for_each(|(page, value)| part.load_page(*page, value))
            });
            load.expect("the pages were just written");
            assert_eq!(table.len(), hashes.len());
            table
        });
    });
    group.finish();
}

/// Entries as W1 makes them on ten million customers.
fn entries(count: usize) -> Entries {
    let mut state = 1;
    let mut entry = |row: u64| {
        let is_debit = random(&mut state).is_multiple_of(10);
        let amount = (random(&mut state) % 5_000).cast_signed() + 1;
        Entry {
            customer: CustomerId((random(&mut state) % 10_000_000) as u32),
            program: ProgramId(0),
            kind: if is_debit { EntryKind::Debit } else { EntryKind::Credit },
            amount: if is_debit { -amount } else { amount },
            balance_after: (random(&mut state) % 25_000).cast_signed(),
            // Half of the accounts were never changed before.
            previous: Sequence((random(&mut state) % 10_000_000).saturating_sub(5_000_000)),
            row,
            expires_on: None,
            detail: DetailAt::NONE,
        }
    };
    let mut entries = Entries::default();
    (0..count as u64).for_each(|at| entries.push_plain(entry(at + 2)));
    entries
}

const FIRST: Sequence = Sequence(10_000_000);

fn ledger_pages(criterion: &mut Criterion) {
    let entries = entries(ENTRIES_MAX);
    let mut page = Vec::new();
    ledger_page::encode(FIRST, JOB, time(), &entries, 0..ENTRIES_MAX, &mut page);
    let mut group = criterion.benchmark_group("ledger_page");
    group.throughput(Throughput::Elements(ENTRIES_MAX as u64));
    let mut out = Vec::new();
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            ledger_page::encode(FIRST, JOB, time(), black_box(&entries), 0..ENTRIES_MAX, &mut out);
            black_box(&out);
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let opened = LedgerPage::open(FIRST, black_box(&page)).expect("the page is whole");
            for at in 0..opened.count() {
                black_box(opened.entry(at).expect("the kinds are known"));
            }
        });
    });
    group.finish();
}

/// What a row of W0 says of a customer, as stored.
fn change_of(n: u64, out: &mut Vec<u8>) {
    let (user_id, external_id) = (generator::user_id_of(n), generator::external_id_of(n));
    let (email, mobile, card) = (generator::email_of(n), generator::mobile_of(n), generator::card_of(n));
    let name = email.split('@').next().expect("an e-mail has a part before its `@`");
    let change = CustomerChange {
        user_id: Some(&user_id),
        external_id: Some(&external_id),
        email: Some(&email),
        mobile: Some(&mobile),
        cards: vec![&card],
        name: Some(name),
        birthday: Date::from_days((n * 97 % 20_000) as i32).map(Birthday::new),
        gender: Some(if n.is_multiple_of(2) { Gender::Female } else { Gender::Male }),
        consent: Some("web form"),
        tier: Some(["bronze", "silver", "gold"][(n % 3) as usize]),
        ltv: Some((n * 7919 % 100_000_000).cast_signed()),
        orders: Some((n % 40) as u32),
        created_at: Timestamp::from_millis(1_400_000_000_000 + (n * 86_400_000 % 300_000_000_000).cast_signed()),
        merge: None,
    };
    put_change(&change, out);
}

fn customer_pages(criterion: &mut Criterion) {
    let mut fields = Vec::new();
    let mut ends = Vec::new();
    for n in 0..RECORDS_MAX as u64 {
        change_of(n * 37, &mut fields);
        ends.push(fields.len());
    }
    let build = |out: &mut Vec<u8>| {
        let mut writer = CustomerPageWriter::begin(0, JOB, time(), out);
        let mut start = 0;
        for (customer, &end) in (0..).zip(&ends) {
            writer.push(CustomerId(customer), None, &fields[start..end]);
            start = end;
        }
        writer.end();
    };
    let mut page = Vec::new();
    build(&mut page);
    let mut group = criterion.benchmark_group("customer_page");
    group.throughput(Throughput::Elements(RECORDS_MAX as u64));
    let mut out = Vec::new();
    group.bench_function("build", |bencher| {
        bencher.iter(|| {
            out.clear();
            build(&mut out);
            black_box(&out);
        });
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| {
            let opened = CustomerPage::open(0, black_box(&page)).expect("the page is whole");
            for record in opened.records() {
                black_box(record.expect("the page is whole"));
            }
        });
    });
    group.finish();
}

fn columns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("column");
    group.throughput(Throughput::Elements(ENTRIES_MAX as u64));
    // By the bytes that the largest value takes.
    for width in [0, 1, 2, 4, 8] {
        let mut state = 1;
        let mask = if width == 0 { 0 } else { u64::MAX >> (64 - 8 * width) };
        let values: Vec<i64> = (0..ENTRIES_MAX).map(|_| (random(&mut state) & mask).cast_signed()).collect();
        let mut packed = Vec::new();
        column::pack(values.len(), |at| values[at], &mut packed);
        column::pad(&mut packed);
        let mut out = Vec::new();
        group.bench_function(format!("pack/{width}_bytes"), |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(column::pack(values.len(), |at| values[at], &mut out));
                black_box(&out);
            });
        });
        group.bench_function(format!("unpack/{width}_bytes"), |bencher| {
            bencher.iter(|| {
                let column =
                    Column::take(&mut black_box(packed.as_slice()), values.len()).expect("the column is whole");
                (0..column.len()).fold(0_i64, |sum, at| sum.wrapping_add(column.get(at)))
            });
        });
    }
    group.finish();
}

fn filter_pages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("filter_page");
    group.throughput(Throughput::Elements(filter_page::ROWS as u64));
    let mut state = 1;
    let balances: Vec<i64> = (0..filter_page::ROWS).map(|_| (random(&mut state) % 25_000).cast_signed()).collect();
    let sparse: Vec<i64> = balances.iter().map(|&value| if value % 3 == 0 { MISSING } else { value }).collect();
    for (name, values) in [("full", balances), ("sparse", sparse)] {
        let mut page = Vec::new();
        filter_page::encode(&values, &mut page);
        let mut out = Vec::new();
        group.bench_function(format!("encode/{name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                filter_page::encode(black_box(&values), &mut out);
                black_box(&out);
            });
        });
        // As a bulk filter does: how many have at least so much.
        group.bench_function(format!("scan/{name}"), |bencher| {
            bencher.iter(|| {
                let opened = FilterPage::open(0, black_box(&page)).expect("the page is whole");
                (0..opened.count()).filter(|&at| opened.get(at) >= black_box(10_000)).count()
            });
        });
    }
    group.finish();
}

/// A window of a million entries, and a small one as an adjustment makes: until the disk has it.
fn commits(criterion: &mut Criterion) {
    let directory = TempDir::new().expect("a temporary directory can be made");
    let store = Store::open(&directory.path().join("store"), true).expect("a store can be made");
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    let mut sequence = 1;
    for (name, count) in [("ingest", if is_test() { 64 * ENTRIES_MAX } else { 1 << 20 }), ("write_batch", ENTRIES_MAX)]
    {
        let entries = entries(count);
        let mut window = || {
            let mut commit = Commit::default();
            let mut page = Vec::new();
            for start in (0..count).step_by(ENTRIES_MAX) {
                let page_of = start..(start + ENTRIES_MAX).min(count);
                page.clear();
                ledger_page::encode(Sequence(sequence), JOB, time(), &entries, page_of.clone(), &mut page);
                commit.put(LogKey::Ledger(Sequence(sequence)), &page);
                sequence += page_of.len() as u64;
            }
            commit
        };
        group.throughput(Throughput::Bytes(window().bytes() as u64));
        group.bench_function(name, |bencher| {
            let log = store.log();
            bencher.iter_batched(
                &mut window,
                |commit| {
                    log.commit(&commit).expect("the disk has room");
                    commit
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
