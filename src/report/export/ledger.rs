//! Rows of the ledger. They name customers in no order, so what is told of each lies in memory, ready to be copied.

use std::collections::BTreeMap;

use rayon::ThreadPool;

use super::{
    Texts,
    flow::{self, Pages, Source},
    part::Rows,
    people::{each_customer, identity, merged_into},
    table::{ColumnType, Kind, MISSING, column, required},
};
use crate::{
    domain::{
        entry::{Entry, EntryKind, EntryText},
        expiry::ExpiryDirection,
        id::{CustomerId, JobId, Sequence},
        job::JobKind,
        program::Program,
    },
    error::{Error, Result},
    store::{ledger_page::LedgerPage, state::State, tuning::prefetch_at, view::Readable},
};

/// A row for each entry.
pub const LEDGER: [ColumnType; 21] = [
    column("user_id", Kind::Text),
    column("external_id", Kind::Text),
    column("email", Kind::Text),
    column("mobile", Kind::Text),
    required("program", Kind::Word),
    required("sequence", Kind::Counter),
    required("time", Kind::Time),
    required("kind", Kind::Word),
    required("amount", Kind::Amount),
    required("balance_after", Kind::Amount),
    column("expires_on", Kind::Date),
    column("expires_on_before", Kind::Date),
    column("ref_type", Kind::Word),
    column("ref_id", Kind::Text),
    column("promotion_id", Kind::Word),
    column("reverses", Kind::Integer),
    required("job", Kind::Counter),
    required("row", Kind::Counter),
    column("reason_type", Kind::Word),
    column("reason", Kind::Word),
    column("comment", Kind::Word),
];

/// Records whose customers are gathered together.
const RECORDS_MAX: u64 = 1 << 15;

/// The four texts that name a customer, of all customers: 8 bytes a customer, and the texts with 8 more.
///
/// A customer's texts lie one behind the other, their lengths in front: two cache lines a row, mostly.
#[derive(Default)]
pub struct Identities {
    /// Where each customer's texts begin: the number of a block, and the place in it.
    places: Vec<u64>,
    blocks: Vec<Vec<u8>>,
}

/// Of customers that came to be together.
#[derive(Default)]
struct Gathered {
    block: Vec<u8>,
    places: Vec<(CustomerId, u32)>,
    merged: Vec<(CustomerId, CustomerId)>,
}

/// No customer is there.
const NOWHERE: u64 = u64::MAX;
const LENGTHS_BYTES: usize = 8;

impl Identities {
    /// Gathers them, of a state that has the profiles.
    ///
    /// # Errors
    /// `Corrupt` when a record is damaged.
    pub fn gather(view: &impl Readable, pool: &ThreadPool, state: State) -> Result<Identities> {
        // The rest of the profiles would be in the way: a gigabyte of names is next.
        let newest = state.profiles.map(|profiles| profiles.newest).unwrap_or_default();
        let mut found = Identities { places: vec![NOWHERE; state.customers as usize], blocks: Vec::new() };
        let mut merged = BTreeMap::new();
        let gather = |pages: &Pages, gathered: &mut Gathered| {
            gathered.places.clear();
            gathered.merged.clear();
            each_customer(view, &newest, pages, |id, customer| {
                gathered.merged.extend(merged_into(customer).map(|into| (id, into)));
                let texts = identity(customer);
                gathered.places.push((id, gathered.block.len() as u32));
                for text in texts {
                    let length = u16::try_from(text.len());
                    let length = length.map_err(|_| Error::corrupt(format!("customer {}: a name too long", id.0)))?;
                    gathered.block.extend_from_slice(&length.to_le_bytes());
                }
                texts.iter().for_each(|text| gathered.block.extend_from_slice(text.as_bytes()));
                Ok(())
            })
        };
        flow::each(view, pool, Source::Customers, RECORDS_MAX, gather, |gathered: &mut Gathered| {
            let block = (found.blocks.len() as u64) << 32;
            for &(id, place) in &gathered.places {
                let damaged = || Error::corrupt(format!("customer {} came to be out of turn", id.0));
                *found.places.get_mut(id.index()).ok_or_else(damaged)? = block | u64::from(place);
            }
            merged.extend(gathered.merged.iter().copied());
            let mut whole = std::mem::take(&mut gathered.block);
            whole.shrink_to_fit();
            found.blocks.push(whole);
            Ok(())
        })?;
        // What a merged customer did is the history of the one it is a part of.
        let root = |customer: CustomerId| {
            let steps = (0..merged.len()).try_fold(customer, |at, _| merged.get(&at).copied().ok_or(at));
            steps.unwrap_or_else(|root| root)
        };
        for &customer in merged.keys() {
            let place = found.places.get(root(customer).index()).copied().unwrap_or(NOWHERE);
            if let Some(own) = found.places.get_mut(customer.index()) {
                *own = place;
            }
        }
        Ok(found)
    }

    #[inline]
    fn place(&self, customer: CustomerId) -> u64 {
        self.places.get(customer.index()).copied().unwrap_or(NOWHERE)
    }

    #[inline]
    fn prefetch(&self, place: u64) {
        if let Some(block) = self.blocks.get((place >> 32) as usize) {
            prefetch_at(block.as_ptr().wrapping_add(place as u32 as usize));
            prefetch_at(block.as_ptr().wrapping_add(place as u32 as usize + 64));
        }
    }

    /// The texts at a place.
    #[inline]
    fn texts(&self, place: u64) -> Option<[&[u8]; 4]> {
        let own = self.blocks.get((place >> 32) as usize)?.get(place as u32 as usize..)?;
        let (lengths, mut rest) = own.split_first_chunk::<LENGTHS_BYTES>()?;
        let mut texts = [&[][..]; 4];
        for (text, length) in texts.iter_mut().zip(lengths.chunks_exact(2)) {
            (*text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
        }
        Some(texts)
    }
}

/// Which way an entry of an expiry update moved a last day; nothing of any other.
fn reason_type(page: &LedgerPage<'_>, at: usize, entry: &Entry, job: Option<JobKind>) -> &'static str {
    let direction = match entry.kind {
        EntryKind::ExpiryChange if page.reversed(at).is_none() => {
            ExpiryDirection::of(page.expires_before(at), entry.expires_on)
        }
        // What expired on the way has no row.
        EntryKind::Expire | EntryKind::PromiseExpire if job == Some(JobKind::ImportExpiry) && entry.row > 0 => {
            ExpiryDirection::Early
        }
        _ => return "",
    };
    direction.word()
}

/// The rows of `LEDGER`.
pub fn ledger(
    identities: &Identities,
    programs: &[Program],
    texts: &Texts<'_>,
    pages: &Pages,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let mut job_texts: Option<(JobId, JobKind, [String; 2])> = None;
    let mut places = Vec::new();
    for (first, stored) in pages.iter() {
        let page = LedgerPage::open(Sequence(first), stored)?;
        if job_texts.as_ref().is_none_or(|(job, ..)| *job != page.job) {
            let (kind, reason, comment) = texts(page.job)?;
            job_texts = Some((page.job, kind, [reason.unwrap_or_default(), comment.unwrap_or_default()]));
        }
        let of_job = |entry: &Entry| match &job_texts {
            Some((_, job_kind, [reason, comment])) if entry.kind.has_texts_of(*job_kind, entry.row) => {
                [reason.as_str(), comment]
            }
            _ => ["", ""],
        };
        let job_kind = job_texts.as_ref().map(|(_, kind, _)| *kind);
        // Two passes over memory, so that the misses of a page's entries do not wait for each other.
        places.clear();
        places.extend((0..page.count()).map(|at| identities.place(page.customer(at))));
        places.iter().for_each(|&place| identities.prefetch(place));
        let has_details = page.has_details();
        let time = page.time.millis();
        for (at, &place) in places.iter().enumerate() {
            let entry = page.entry(at)?;
            let sequence = first + at as u64;
            let damaged = || Error::corrupt(format!("ledger entry {sequence}: no such customer or program"));
            let program = programs.get(usize::from(entry.program.0)).ok_or_else(damaged)?;
            let table = &mut rows.table;
            for (column, text) in identities.texts(place).ok_or_else(damaged)?.into_iter().enumerate() {
                table.text(column, text);
            }
            table.text(4, program.code.as_bytes());
            table.number(5, sequence.cast_signed());
            table.number(6, time);
            table.text(7, entry.kind.word().as_bytes());
            table.amount(8, entry.amount, program.decimals);
            table.amount(9, entry.balance_after, program.decimals);
            table.date(10, entry.expires_on);
            table.date(11, page.expires_before(at));
            let own = |text| if has_details { page.text(at, text) } else { None };
            for (column, text) in (12..).zip(EntryText::OF_LOT) {
                table.text(column, own(text).unwrap_or_default().as_bytes());
            }
            table.number(15, page.reversed(at).map_or(MISSING, |reversed| reversed.0.cast_signed()));
            table.number(16, i64::from(page.job.0));
            table.number(17, entry.row.cast_signed());
            table.text(18, reason_type(&page, at, &entry, job_kind).as_bytes());
            let [reason, comment] = of_job(&entry);
            table.text(19, own(EntryText::Reason).unwrap_or(reason).as_bytes());
            table.text(20, own(EntryText::Comment).unwrap_or(comment).as_bytes());
            rows.end()?;
        }
    }
    Ok(())
}
