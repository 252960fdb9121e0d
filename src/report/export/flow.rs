//! Pages of a log on their way through the workers: read in order, worked on side by side, taken in order.

use rayon::ThreadPool;

use crate::{
    domain::id::Sequence,
    error::Result,
    job::pipeline,
    store::{customer_page, key::LogKey, ledger_page, state::hole, view::Readable},
};

/// Bytes of pages that are worked on together, however few records they have.
const PAGES_BYTES_MAX: usize = 16 << 20;

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Customer records.
    Customers,
    /// Ledger entries.
    Ledger,
}

impl Source {
    fn key(self, number: u64) -> LogKey {
        match self {
            Source::Customers => LogKey::Customers(number),
            Source::Ledger => LogKey::Ledger(Sequence(number)),
        }
    }

    /// The number of its first record.
    fn first(self) -> u64 {
        match self {
            Source::Customers => 0,
            Source::Ledger => 1,
        }
    }

    /// How many records a stored page says that it has. Whoever reads them finds out whether that is true.
    fn count(self, stored: &[u8]) -> u64 {
        match self {
            Source::Customers => customer_page::count_of(stored),
            Source::Ledger => ledger_page::count_of(stored),
        }
    }

    fn what(self) -> &'static str {
        match self {
            Source::Customers => "customer record",
            Source::Ledger => "ledger entry",
        }
    }

    fn number(self, key: LogKey) -> Option<u64> {
        match (self, key) {
            (Source::Customers, LogKey::Customers(number)) => Some(number),
            (Source::Ledger, LogKey::Ledger(sequence)) => Some(sequence.0),
            _ => None,
        }
    }
}

/// Stored pages that follow each other.
#[derive(Default)]
pub struct Pages {
    bytes: Vec<u8>,
    /// The number of each page's first record, and where its bytes end.
    ends: Vec<(u64, usize)>,
}

impl Pages {
    /// Each page: the number of its first record, and its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, &(first, end))| (first, &self.bytes[start..end]))
    }

    /// Replaces them by those from `next` on, with at most so many records unless one page has more. Moves `next` on, behind
    /// the last record; false if there is none any more.
    fn read(&mut self, view: &impl Readable, source: Source, records_max: u64, next: &mut u64) -> Result<bool> {
        self.bytes.clear();
        self.ends.clear();
        let from = *next;
        view.log().scan(source.key(from), source.key(u64::MAX), |key, stored| {
            let Some(number) = source.number(key) else { return Ok(false) };
            // A table that the database has lost leaves a hole, and nothing else: what is exported must not be a smaller ledger.
            if number != *next {
                return Err(hole(source.what(), *next, number));
            }
            if !self.ends.is_empty() && (number - from >= records_max || self.bytes.len() >= PAGES_BYTES_MAX) {
                return Ok(false);
            }
            self.bytes.extend_from_slice(stored);
            self.ends.push((number, self.bytes.len()));
            *next = number.saturating_add(source.count(stored));
            Ok(true)
        })?;
        Ok(!self.ends.is_empty())
    }
}

/// Pages and what is made of them.
#[derive(Default)]
struct Batch<P> {
    pages: Pages,
    product: P,
}

/// Has the workers of `pool` make something of all pages of a log, about `records_max` records at a time, and gives it to
/// `take` in the order of the pages. What `take` leaves in a product is there when it is used again.
///
/// Memory: two products more than the pool has threads, each with its pages.
///
/// # Errors
/// The first of any part; `Corrupt` when the log cannot be read.
pub fn each<P: Default + Send>(
    view: &impl Readable,
    pool: &ThreadPool,
    source: Source,
    records_max: u64,
    work: impl Fn(&Pages, &mut P) -> Result<()> + Sync,
    mut take: impl FnMut(&mut P) -> Result<()>,
) -> Result<()> {
    let mut next = source.first();
    pipeline::run(
        pool,
        pool.current_num_threads() + 2,
        |batch: &mut Batch<P>| batch.pages.read(view, source, records_max, &mut next),
        |batch| work(&batch.pages, &mut batch.product),
        |_| Ok(()),
        |_| Ok(()),
        |batch| take(&mut batch.product),
    )
}
