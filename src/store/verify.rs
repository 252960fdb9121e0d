//! Checks a whole store: replays the logs from their beginning and compares every cache with what they say.
//!
//! Digests are sums modulo 2^128 of a hash of each record's exported values, without seeds, layout, numbers of customers
//! or times of jobs: equal content gives equal digests, however it lies in the files.

use std::collections::{BTreeMap, HashMap, btree_map::Entry};

use xxhash_rust::xxh3::xxh3_128;

use super::{
    customer_page::{CustomerPage, put_change},
    identifiers::{IdentifierHash, IdentifierTable},
    key::LogKey,
    ledger_page::LedgerPage,
    state::{Accounts, Needs, Profiles, State},
    view::Readable,
};
use crate::{
    domain::{
        account::Account,
        customer::{Customer, CustomerChange},
        entry::{EntryKind, EntryText},
        id::{CustomerId, JobId, ProgramId, Sequence},
        identifier::IdentifierKind,
        job::JobKind,
        lot::LotState,
        time::Date,
    },
    error::{Error, ErrorKind, Result},
};

/// Problems that are listed; more are only counted.
const PROBLEMS_MAX: usize = 100;

/// Digests of a store's content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Of customers.
    pub customers: u128,
    /// Of accounts.
    pub accounts: u128,
    /// Of ledger entries.
    pub ledger: u128,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Digests of the content.
    pub digests: Digests,
    /// Number of customers.
    pub customers: u64,
    /// Number of accounts with an entry.
    pub accounts: u64,
    /// Number of entries.
    pub entries: u64,
    /// What is wrong, the first hundred of it.
    pub problems: Vec<String>,
}

impl Findings {
    fn problem(&mut self, problem: impl Into<String>) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem.into());
        }
    }
}

/// The truth, replayed from nothing.
#[derive(Default)]
struct Replayed {
    identifiers: IdentifierTable,
    profiles: Profiles,
    customers: u32,
    /// Hash of what exports say of each customer's identity.
    identities: Vec<u128>,
    /// The customers that others became part of.
    merged: BTreeMap<CustomerId, CustomerId>,
    /// Sum of the entries that moved points between records of one person, by program.
    merges: BTreeMap<ProgramId, i128>,
    accounts: BTreeMap<ProgramId, Accounts>,
    /// Sum of the promise kinds by program.
    promised: BTreeMap<ProgramId, i128>,
    records: u64,
    entries: u64,
}

/// Checks everything.
///
/// # Errors
/// When the database itself fails; damage is a finding.
pub fn verify(store: &impl Readable) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut replayed = Replayed::default();
    let outcome = replay_customers(store, &mut replayed, &mut findings)
        .and_then(|()| replay_ledger(store, &mut replayed, &mut findings))
        .and_then(|()| check_jobs(store, &replayed, &mut findings))
        .and_then(|()| check_caches(store, &replayed, &mut findings));
    match outcome {
        Err(error) if error.kind() == ErrorKind::Corrupt => findings.problem(error.message().to_owned()),
        other => other?,
    }
    findings.customers = u64::from(replayed.customers) - replayed.merged.len() as u64;
    findings.entries = replayed.entries;
    Ok(findings)
}

/// Hash of a customer's exported values: 0 of one that is not exported, since it has none any more.
fn customer_hash(change: &CustomerChange<'_>) -> u128 {
    if change.is_nameless() {
        return 0;
    }
    let mut bytes = Vec::with_capacity(160);
    match change.merge {
        None => put_change(change, &mut bytes),
        // Numbers and former identifiers are in no export.
        Some(_) => put_change(&CustomerChange { merge: None, ..change.clone() }, &mut bytes),
    }
    xxh3_128(&bytes)
}

/// Hash of what tells one customer from another in exports.
fn identity_hash(change: &CustomerChange<'_>) -> u128 {
    let identity = CustomerChange {
        user_id: change.user_id,
        external_id: change.external_id,
        email: change.email,
        mobile: change.mobile,
        // A customer who has nothing else is known by the first card.
        cards: change
            .cards
            .first()
            .filter(|_| IdentifierKind::ALL.iter().all(|&kind| change.single(kind).is_none()))
            .copied()
            .into_iter()
            .collect(),
        ..CustomerChange::default()
    };
    customer_hash(&identity)
}

fn replay_customers(store: &impl Readable, replayed: &mut Replayed, findings: &mut Findings) -> Result<()> {
    let seed = store.settings().seed;
    let mut next = 0;
    let mut newest: Vec<u64> = Vec::new();
    // First pass: everything but the content of customers that were changed, whose records lie apart.
    let mut creations: BTreeMap<CustomerId, Customer> = BTreeMap::new();
    let mut changed: Vec<bool> = Vec::new();
    store.log().scan(LogKey::Customers(0), LogKey::Customers(u64::MAX), |key, stored| {
        let LogKey::Customers(first) = key else { return Ok(false) };
        if first != next {
            findings.problem(format!("customer records {next} to {} are missing", first.saturating_sub(1)));
        }
        let page = CustomerPage::open(first, stored)?;
        for record in page.records() {
            let record = record?;
            let at = record.customer.index();
            match record.previous {
                None if at == newest.len() => {
                    newest.push(record.number);
                    changed.push(false);
                    replayed.identities.push(identity_hash(&record.change));
                    findings.digests.customers = findings.digests.customers.wrapping_add(customer_hash(&record.change));
                }
                None => findings.problem(format!("record {} creates customer {at} out of turn", record.number)),
                Some(previous) if newest.get(at) == Some(&previous) => {
                    newest[at] = record.number;
                    changed[at] = true;
                    creations.entry(record.customer).or_default();
                }
                Some(_) => findings.problem(format!("record {} does not follow its customer's newest", record.number)),
            }
            for (kind, value) in record.change.identifiers() {
                let owner =
                    replayed.identifiers.insert(IdentifierHash::of(seed, kind, value.as_bytes()), record.customer);
                if owner.is_some_and(|owner| owner != record.customer) {
                    findings.problem(format!("record {}: its {} is another customer's", record.number, kind.name()));
                }
            }
            replayed.profiles.record(&record)?;
            if let Some(into) = record.change.merge.as_ref().and_then(|merge| merge.into) {
                replayed.merged.insert(record.customer, into);
            }
        }
        next = page.end();
        Ok(true)
    })?;
    replayed.records = next;
    replayed.customers = newest.len() as u32;
    // Second pass: the changed customers' records together.
    store.log().scan(LogKey::Customers(0), LogKey::Customers(u64::MAX), |key, stored| {
        let LogKey::Customers(first) = key else { return Ok(false) };
        for record in CustomerPage::open(first, stored)?.records() {
            let record = record?;
            if !changed.get(record.customer.index()).copied().unwrap_or(false) {
                continue;
            }
            if record.previous.is_none() {
                findings.digests.customers = findings.digests.customers.wrapping_sub(customer_hash(&record.change));
            }
            if let Some(customer) = creations.get_mut(&record.customer) {
                customer.change(&record.change);
            }
        }
        Ok(true)
    })?;
    for (id, customer) in &creations {
        let change = customer.as_change();
        findings.digests.customers = findings.digests.customers.wrapping_add(customer_hash(&change));
        replayed.identities[id.index()] = identity_hash(&change);
        for absorbed in &customer.absorbed {
            if root_of(&replayed.merged, *absorbed) != root_of(&replayed.merged, *id) {
                findings.problem(format!("customer {} has merged customer {}, which says otherwise", id.0, absorbed.0));
            }
        }
    }
    for &customer in replayed.merged.keys() {
        // Its entries are exported as those of the customer that it is a part of.
        let root = root_of(&replayed.merged, customer).map(|root| root.index());
        match root.and_then(|root| replayed.identities.get(root).copied()) {
            Some(identity) => replayed.identities[customer.index()] = identity,
            None => findings.problem(format!("customer {} was merged into nobody", customer.0)),
        }
    }
    Ok(())
}

/// The customer that one is a part of, or is; none if the merges lead in a circle.
fn root_of(merged: &BTreeMap<CustomerId, CustomerId>, customer: CustomerId) -> Option<CustomerId> {
    let mut root = customer;
    for _ in 0..=merged.len() {
        match merged.get(&root) {
            Some(&into) => root = into,
            None => return Some(root),
        }
    }
    None
}

fn replay_ledger(store: &impl Readable, replayed: &mut Replayed, findings: &mut Findings) -> Result<()> {
    let programs = store.programs();
    let code_hashes: Vec<u128> = programs.iter().map(|program| xxh3_128(program.code.as_bytes())).collect();
    let mut next = 1;
    // What exports say of a job's entries besides the entries themselves.
    let mut texts: BTreeMap<JobId, (JobKind, [String; 2])> = BTreeMap::new();
    // What exports say of a lot besides what is left of it.
    let mut references: HashMap<u64, u128> = HashMap::new();
    let mut taken = Vec::new();
    store.log().scan(LogKey::Ledger(Sequence(1)), LogKey::Ledger(Sequence(u64::MAX)), |key, stored| {
        let LogKey::Ledger(first) = key else { return Ok(false) };
        if first.0 != next {
            findings.problem(format!("ledger entries {next} to {} are missing", first.0.saturating_sub(1)));
        }
        let page = LedgerPage::open(first, stored)?;
        if let Entry::Vacant(place) = texts.entry(page.job) {
            let start = super::jobs::job(store, page.job)?.start;
            let text = |name: &str| start.parameters[name].as_str().unwrap_or_default().to_owned();
            place.insert((start.kind, ["reason", "comment"].map(text)));
        }
        let of_job = texts.get(&page.job);
        let has_details = page.has_details();
        let mut text_of_job = None;
        let mut taken_at = 0;
        for at in 0..page.count() {
            let entry = page.entry(at)?;
            let sequence = first.0 + at as u64;
            page.taken_from(&mut taken_at, at, &mut taken);
            let (Some(identity), Some(code)) =
                (replayed.identities.get(entry.customer.index()), code_hashes.get(usize::from(entry.program.0)))
            else {
                findings.problem(format!("ledger entry {sequence}: no such customer or program"));
                continue;
            };
            let accounts = replayed.accounts.entry(entry.program).or_default();
            if accounts.list.len() < replayed.identities.len() {
                accounts.list.resize(replayed.identities.len(), Account::default());
            }
            let account = accounts.list[entry.customer.index()];
            if account.newest() != entry.previous {
                findings.problem(format!("ledger entry {sequence} does not follow its account's newest"));
            }
            let is_promise = entry.kind.is_of_promises();
            let change = if is_promise { 0 } else { entry.amount };
            if account.balance.checked_add(change) != Some(entry.balance_after) {
                findings.problem(format!("ledger entry {sequence}: balance and amount do not give the balance after"));
            }
            let sum: i128 = taken.iter().map(|taken| i128::from(taken.amount)).sum();
            if entry.kind != EntryKind::Convert && sum > 0 && sum > -i128::from(entry.amount) {
                findings.problem(format!("ledger entry {sequence}: it took more of lots than its amount"));
            }
            let reversed = page.reversed(at);
            if reversed.is_some() != entry.kind.is_reversal() && entry.kind != EntryKind::ExpiryChange {
                findings.problem(format!(
                    "ledger entry {sequence} is a reversal of nothing, or takes back what it must not"
                ));
            }
            let moves_lot = matches!(entry.kind, EntryKind::Convert | EntryKind::ExpiryChange);
            if page.refill(at).is_some() && !moves_lot && (entry.amount <= 0 || sum > 0) {
                findings.problem(format!("ledger entry {sequence} refills a lot, and takes points"));
            }
            if entry.kind == EntryKind::Convert {
                *replayed.promised.entry(entry.program).or_default() -= i128::from(entry.amount);
            }
            if is_promise {
                *replayed.promised.entry(entry.program).or_default() += i128::from(entry.amount);
            }
            if entry.kind.is_merge() {
                *replayed.merges.entry(entry.program).or_default() += i128::from(entry.amount);
            }
            accounts.replay(&page, at, &entry, &taken)?;
            let of_job = of_job.filter(|(kind, _)| entry.kind.has_texts_of(*kind, entry.row)).map(|(_, texts)| texts);
            // The texts of a page's entries are nearly always the job's.
            let text = if has_details || of_job.is_none() {
                let reference = hash_of_texts(EntryText::OF_LOT.map(|text| page.text(at, text).unwrap_or_default()));
                if page.is_referenced(at) {
                    references.insert(sequence, reference);
                }
                let own = |text, job: usize| {
                    page.text(at, text).unwrap_or_else(|| of_job.map_or("", |texts| texts[job].as_str()))
                };
                hash_of_texts([own(EntryText::Reason, 0), own(EntryText::Comment, 1), &format!("{reference:x}")])
            } else {
                *text_of_job.get_or_insert_with(|| {
                    let own = |job: usize| of_job.map_or("", |texts| texts[job].as_str());
                    hash_of_texts([own(0), own(1), &format!("{:x}", hash_of_texts([""; 3]))])
                })
            };
            let mut bytes = [0; 97];
            bytes[..16].copy_from_slice(&identity.to_le_bytes());
            bytes[16..32].copy_from_slice(&code.to_le_bytes());
            bytes[32..40].copy_from_slice(&sequence.to_le_bytes());
            bytes[40..48].copy_from_slice(&entry.amount.to_le_bytes());
            bytes[48..56].copy_from_slice(&entry.balance_after.to_le_bytes());
            bytes[56..64].copy_from_slice(&entry.row.to_le_bytes());
            bytes[64] = entry.kind as u8;
            bytes[65..81].copy_from_slice(&text.to_le_bytes());
            bytes[81..85].copy_from_slice(&entry.expires_on.map_or(i32::MAX, Date::days).to_le_bytes());
            // Of an entry that takes nothing back the hash is the one that it always was.
            let mut length = reversed.map_or(85, |reversed| {
                bytes[85..93].copy_from_slice(&reversed.0.to_le_bytes());
                93
            });
            if entry.kind == EntryKind::ExpiryChange {
                bytes[93..].copy_from_slice(&page.expires_before(at).map_or(i32::MAX, Date::days).to_le_bytes());
                length = bytes.len();
            }
            findings.digests.ledger = findings.digests.ledger.wrapping_add(xxh3_128(&bytes[..length]));
        }
        next = page.end().0;
        Ok(true)
    })?;
    replayed.entries = next - 1;
    for (program, accounts) in &replayed.accounts {
        let code = code_hashes.get(usize::from(program.0)).copied().unwrap_or_default();
        for (at, (account, identity)) in accounts
            .list
            .iter()
            .zip(&replayed.identities)
            .enumerate()
            .filter(|(_, (account, _))| account.newest().0 > 0)
        {
            if replayed.merged.contains_key(&CustomerId(at as u32)) {
                if account.balance != 0 || account.has_lots() {
                    findings.problem(format!("customer {at} was merged into another, and still has points"));
                }
                continue;
            }
            let mut bytes = [0; 40];
            bytes[..16].copy_from_slice(&identity.to_le_bytes());
            bytes[16..32].copy_from_slice(&code.to_le_bytes());
            bytes[32..].copy_from_slice(&account.balance.to_le_bytes());
            findings.digests.accounts = findings.digests.accounts.wrapping_add(xxh3_128(&bytes));
            findings.accounts += 1;
            let mut available = 0_i128;
            for lot in accounts.lots.of(CustomerId(at as u32)) {
                if lot.state == LotState::Available {
                    available += i128::from(lot.remaining);
                }
                let reference = references.get(&lot.credit.0).copied().unwrap_or_default();
                let mut bytes = [0; 61];
                bytes[..16].copy_from_slice(&identity.to_le_bytes());
                bytes[16..32].copy_from_slice(&code.to_le_bytes());
                bytes[32..40].copy_from_slice(&lot.remaining.to_le_bytes());
                bytes[40..44].copy_from_slice(&lot.expires_on.map_or(i32::MAX, Date::days).to_le_bytes());
                bytes[44] = lot.state as u8;
                bytes[45..].copy_from_slice(&reference.to_le_bytes());
                findings.digests.accounts = findings.digests.accounts.wrapping_add(xxh3_128(&bytes));
            }
            if available > i128::from(account.balance.max(0)) {
                findings.problem(format!("the lots of an account of program {} exceed its balance", program.0));
            }
        }
        if replayed.merges.get(program).is_some_and(|&sum| sum != 0) {
            findings.problem(format!("merges of program {} gave other sums than they took", program.0));
        }
        let promised = replayed.promised.get(program).copied().unwrap_or_default();
        if accounts.lots.promised_total() != promised {
            findings.problem(format!("promised lots of program {} are not the sum of its promises", program.0));
        }
    }
    Ok(())
}

fn hash_of_texts(texts: [&str; 3]) -> u128 {
    let mut bytes = Vec::with_capacity(64);
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
        // No text has this byte.
        bytes.push(0xFF);
    }
    xxh3_128(&bytes)
}

/// Jobs: numbers without holes, windows that follow each other, a ledger that ends where they say.
fn check_jobs(store: &impl Readable, replayed: &Replayed, findings: &mut Findings) -> Result<()> {
    let mut expected: BTreeMap<JobId, u32> = BTreeMap::new();
    let mut end = 1;
    store.log().scan(LogKey::Job(JobId(0), 0, 0), LogKey::Job(JobId(u32::MAX), 0, 0), |key, _| {
        if let LogKey::Job(job, window, 0) = key {
            let next = expected.entry(job).or_insert(0);
            if window != *next {
                findings.problem(format!("window {next} of job {job} is missing"));
            }
            *next = window + 1;
        }
        Ok(true)
    })?;
    for message in super::outbox::all(store)? {
        if !expected.contains_key(&message.job) {
            findings.problem(format!("a message tells of job {}, which is missing", message.job));
        }
    }
    for (at, (job, _)) in expected.iter().enumerate() {
        if job.0 as usize != at + 1 {
            findings.problem(format!("job {} is missing", at + 1));
            break;
        }
        let job = super::jobs::job(store, *job)?;
        let Some((_, record)) = &job.window else { continue };
        if !record.counts.is_balanced() {
            findings.problem(format!("the counts of job {} do not add up", job.id));
        }
        let mut rejected = 0;
        super::jobs::rejected_rows(store, job.id, |_| {
            rejected += 1;
            Ok(())
        })?;
        let dropped = super::jobs::forgotten(store, job.id)?.unwrap_or(0);
        if rejected + dropped != record.counts.rejected {
            let (id, counted) = (job.id, record.counts.rejected);
            findings
                .problem(format!("job {id} rejected {counted} rows, {rejected} are kept and {dropped} were dropped"));
        }
        end = super::jobs::sequences(store, job.id)?.iter().map(|&(_, to)| to).fold(end, u64::max);
    }
    if end != replayed.entries + 1 {
        findings.problem(format!("the windows end at ledger entry {}, the ledger has {}", end - 1, replayed.entries));
    }
    Ok(())
}

/// Loads the caches as a job would, and compares each with the truth.
fn check_caches(store: &impl Readable, replayed: &Replayed, findings: &mut Findings) -> Result<()> {
    let programs = (0..store.programs().len() as u16).map(ProgramId).collect();
    let needs = Needs { kinds: IdentifierKind::ALL.to_vec(), profiles: true, programs };
    let state = match State::load(store, &needs) {
        Ok(state) => state,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            findings.problem(format!("the caches cannot be loaded: {}", error.message()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if (state.customers, state.next_record, state.next_sequence)
        != (replayed.customers, replayed.records, replayed.entries + 1)
    {
        findings.problem("the caches end elsewhere than the logs");
    }
    let root = |customer: &CustomerId| root_of(&replayed.merged, *customer);
    if state.merges.len() != replayed.merged.len() || state.merges.iter().any(|(from, into)| root(from) != Some(*into))
    {
        findings.problem("the caches have other merges of customers than the records");
    }
    if state.identifiers.len() != replayed.identifiers.len() {
        findings.problem(format!(
            "the identifier cache holds {} identifiers, the records {}",
            state.identifiers.len(),
            replayed.identifiers.len()
        ));
    }
    let wrong =
        replayed.identifiers.entries().filter(|&(hash, owner)| state.identifiers.get(hash) != Some(owner)).count();
    if wrong > 0 {
        findings.problem(format!("{wrong} identifiers have another owner in the cache than in the records"));
    }
    let none = Accounts::default();
    for (program, accounts) in &state.accounts {
        let truth = replayed.accounts.get(program).unwrap_or(&none);
        let at = |accounts: &Accounts, at: usize| {
            accounts.list.get(at).map_or((0, Sequence(0), false), |a| (a.balance, a.newest(), a.has_lots()))
        };
        let wrong = (0..replayed.customers as usize).filter(|&i| at(accounts, i) != at(truth, i)).count();
        if wrong > 0 {
            findings.problem(format!("{wrong} accounts of program {} differ from the ledger", program.0));
        }
        let lots = |accounts: &Accounts, at: u32| accounts.lots.of(CustomerId(at)).collect::<Vec<_>>();
        let wrong = (0..replayed.customers).filter(|&i| lots(accounts, i) != lots(truth, i)).count();
        if wrong > 0 {
            findings.problem(format!("the lots of {wrong} accounts of program {} differ from the ledger", program.0));
        }
    }
    let profiles = state.profiles.ok_or_else(|| Error::internal("the profiles were not loaded"))?;
    let truth = &replayed.profiles;
    let tier = |profiles: &Profiles, at: usize| {
        profiles.tiers.name(crate::domain::tier::TierId(profiles.tier[at])).map(str::to_lowercase)
    };
    let wrong = (0..replayed.customers as usize)
        .filter(|&at| {
            profiles.presence[at] != truth.presence[at]
                || profiles.newest[at] != truth.newest[at]
                || profiles.ltv[at] != truth.ltv[at]
                || profiles.orders[at] != truth.orders[at]
                || profiles.created_at[at] != truth.created_at[at]
                || tier(&profiles, at) != tier(truth, at)
        })
        .count();
    if wrong > 0 {
        findings.problem(format!("{wrong} profiles differ from the records"));
    }
    Ok(())
}
