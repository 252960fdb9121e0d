//! Applying customer rows: whose a row is, what it creates, what it changes.

use super::{CustomersBatch, CustomersRules, NOBODY, NewRecord, Row, credit::Credit};
use crate::{
    domain::{
        apply::Effect,
        command::{Operation, ResolvedCommand},
        customer::{CustomerChange, Presence},
        entry::{DetailAt, Entries},
        id::{CustomerId, JobId},
        identifier::IdentifierKind,
        job::{Counts, Position},
        outcome::Status,
        rejection::Rejection,
        tier::TierId,
        time::Timestamp,
    },
    error::{Error, ErrorKind, Result},
    job::seen::Seen,
    ledger::account_book::AccountBook,
    store::{
        Store,
        customer_page::{put_change, read_change},
        filter_page::MISSING,
        identifiers::{IdentifierHash, IdentifierTable},
        jobs::Touch,
        memory,
        state::Profiles,
    },
};

/// Rows between the prefetch of a row's slots and their use. A row has about five, and a core has about ten requests to
/// memory under way.
const PREFETCH_ROWS: usize = 4;

/// Why a row is nobody's: and the place, among its identifiers, of one that is another customer's.
type Refusal = (Rejection, u8);

/// Applies batches in file order: the one place where a customer file changes the store's content.
pub struct CustomersApplier<'a> {
    rules: &'a CustomersRules,
    table: &'a mut IdentifierTable,
    profiles: &'a mut Profiles,
    late_identifiers: Vec<IdentifierHash>,
    book: AccountBook,
    seen: Seen,
    lines: u64,
    customers: u32,
    stored_customers: u32,
    next_record: u64,
    input_bytes: u64,
    input_bytes_left: u64,
}

/// A tier of a batch, once it is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KnownTier {
    id: TierId,
    /// Whether the batch spells it otherwise than the store shows it.
    is_respelled: bool,
}

impl KnownTier {
    /// That of a row without one.
    const NONE: KnownTier = KnownTier { id: TierId::NONE, is_respelled: false };

    /// As profiles hold it.
    fn number(self) -> u16 {
        self.id.0
    }
}

impl<'a> CustomersApplier<'a> {
    /// An applier that goes on behind `position`; `resumed` names the job whose earlier rows it must remember, and where
    /// its records begin.
    ///
    /// # Errors
    /// When the earlier rows cannot be read.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the state that is borrowed on its own")]
    pub fn new(
        rules: &'a CustomersRules,
        table: &'a mut IdentifierTable,
        profiles: &'a mut Profiles,
        book: AccountBook,
        (customers, next_record, stored_customers): (u32, u64, u32),
        input_bytes: u64,
        position: Position,
        customers_before: u32,
        resumed: Option<(&Store, JobId, u64)>,
    ) -> Result<CustomersApplier<'a>> {
        let mut seen = Seen::new(customers, customers_before, false);
        if let Some((store, job, first_record)) = resumed {
            seen.remember_customers(store, job, first_record)?;
        }
        Ok(CustomersApplier {
            rules,
            table,
            profiles,
            late_identifiers: Vec::new(),
            book,
            seen,
            lines: position.lines,
            customers,
            stored_customers,
            next_record,
            input_bytes,
            input_bytes_left: input_bytes,
        })
    }

    /// Applies a parsed batch.
    ///
    /// # Errors
    /// When the store is full: four billion customers; when there is no memory for what the file brings.
    pub fn apply(&mut self, batch: &mut CustomersBatch) -> Result<()> {
        let CustomersBatch {
            chunk,
            records,
            rows,
            hashes,
            order,
            bodies,
            changes,
            tiers,
            entries,
            credits,
            new_records,
            output,
            owners,
            ..
        } = batch;
        output.clear();
        entries.clear();
        new_records.clear();
        changes.clear();
        batch.first_line = self.lines + 1;
        batch.first_sequence = self.book.next_sequence();
        self.expect_more(chunk.bytes.len(), rows.len(), hashes)?;
        // Before identifiers are claimed: a row whose tier has no place any more claims none.
        let known_tiers = self.register(tiers);
        let is_register_full = known_tiers.contains(&None);
        if is_register_full {
            let is_full = |row: &Row| known_tiers.get(usize::from(row.tier)) == Some(&None);
            for row in rows.iter_mut().filter(|row| row.rejection.is_none() && is_full(row)) {
                row.rejection = Some(Rejection::TierUnknown);
            }
        }
        let tier_of = |row: &Row| known_tiers.get(usize::from(row.tier)).copied().flatten().unwrap_or(KnownTier::NONE);
        // Nearly every chunk of a customer base that moves in is all new: its claims are made at once, as the slots lie.
        owners.clear();
        let mut next = self.customers;
        for row in rows.iter().filter(|row| row.rejection.is_none()) {
            owners.resize(row.hashes.1 as usize, CustomerId(next));
            next = next.saturating_add(1);
        }
        let is_claimed = !batch.has_duplicates
            && !is_register_full
            && next < CustomerId::NONE.0
            && owners.len() == hashes.len()
            && self.table.claim_all(order, |index| owners[index as usize]);
        for at in 0..rows.len() {
            if let Some(ahead) = rows.get(at + PREFETCH_ROWS).filter(|_| !is_claimed) {
                hashes[ahead.hashes.0 as usize..ahead.hashes.1 as usize]
                    .iter()
                    .for_each(|(_, hash)| self.table.prefetch(*hash));
            }
            let row = &mut rows[at];
            let line = batch.first_line + u64::from(records.records[at].line);
            let counts = &mut output.counts;
            if row.rejection.is_none() {
                let identifiers = &hashes[row.hashes.0 as usize..row.hashes.1 as usize];
                let owner = if is_claimed { Ok(None) } else { self.owner(identifiers) };
                match owner.and_then(|owner| self.can_credit(owner, credits.get(at))) {
                    Ok(None) => {
                        if self.customers == CustomerId::NONE.0 {
                            return Err(Error::new(
                                ErrorKind::Storage,
                                "customers_max",
                                "the store has 4,294,967,295 customers, which is the most",
                            ));
                        }
                        let customer = CustomerId(self.customers);
                        row.customer = customer;
                        row.status = Status::Created;
                        self.seen.name(customer, counts);
                        counts.customers_created += 1;
                        if !is_claimed {
                            for (_, hash) in identifiers {
                                self.table.insert(*hash, customer);
                            }
                        }
                        let tier = tier_of(row);
                        let tier_name = self.other_spelling(tier);
                        let tier = tier.number();
                        if row.created_at == MISSING || tier_name.is_some() {
                            let body = &bodies[row.body.0 as usize..row.body.1 as usize];
                            let mut change =
                                read_change(body).ok_or_else(|| Error::internal("a row cannot be read again"))?;
                            if row.created_at == MISSING {
                                // A customer whose file does not say since when is one since now.
                                row.created_at = self.rules.now.millis();
                                change.created_at = Some(self.rules.now);
                            }
                            change.tier = tier_name.as_deref().or(change.tier);
                            let body = append_change(&change, changes);
                            new_records.push(self.record(customer, None, body, true));
                        } else {
                            new_records.push(self.record(customer, None, row.body, false));
                        }
                        let profiles = &mut *self.profiles;
                        profiles.presence.push(row.presence);
                        profiles.newest.push(self.next_record - 1);
                        profiles.tier.push(tier);
                        profiles.ltv.push(row.ltv);
                        profiles.orders.push(row.orders);
                        profiles.created_at.push(row.created_at);
                        self.customers += 1;
                        if row.balance > 0 {
                            let command = ResolvedCommand::plain(Operation::Credit, row.balance);
                            self.book.apply(self.rules.program, customer, command, line, DetailAt::NONE, entries);
                            counts.points.credited += row.balance;
                        }
                    }
                    Ok(Some(customer)) => {
                        row.customer = customer;
                        self.seen.name(customer, counts);
                        let body = &bodies[row.body.0 as usize..row.body.1 as usize];
                        let mut wanted =
                            read_change(body).ok_or_else(|| Error::internal("a row cannot be read again"))?;
                        let tier = tier_of(row);
                        let tier_name = self.other_spelling(tier);
                        let tier = tier.number();
                        wanted.tier = tier_name.as_deref().or(wanted.tier);
                        let (change, kept) = self.change_of(customer, wanted, identifiers, tier);
                        counts.kept += kept + u64::from(row.has_balance_cell);
                        if change.is_empty() {
                            row.status = Status::Unchanged;
                            // A resume learns from this that the row named the customer, whatever it credits.
                            output.touched.push(Touch::named(customer));
                        } else {
                            row.status = Status::Updated;
                            let body = append_change(&change, changes);
                            let at = customer.index();
                            let previous = self.profiles.newest[at];
                            new_records.push(self.record(customer, Some(previous), body, true));
                            let profiles = &mut *self.profiles;
                            profiles.newest[at] = self.next_record - 1;
                            profiles.presence[at] |= change.presence().0;
                            if change.tier.is_some() {
                                profiles.tier[at] = tier;
                            }
                            profiles.ltv[at] = change.ltv.unwrap_or(profiles.ltv[at]);
                            profiles.orders[at] = change.orders.unwrap_or(profiles.orders[at]);
                            profiles.created_at[at] =
                                change.created_at.map_or(profiles.created_at[at], Timestamp::millis);
                            for (kind, value) in change.identifiers() {
                                let hash = IdentifierHash::of(self.rules.seed, kind, value.as_bytes());
                                self.table.insert(hash, customer);
                                if customer.0 < self.stored_customers {
                                    self.late_identifiers.push(hash);
                                }
                            }
                        }
                        if row.has_balance_cell {
                            counts.points.credits.unchanged += row.balance;
                            counts.points.credits.in_file += row.balance;
                        }
                        row.balance = self.book.balance(self.rules.program, customer);
                    }
                    Err((rejection, culprit)) => {
                        (row.rejection, row.culprit) = (Some(rejection), culprit);
                        // It named somebody, whose balance refused it; a resume learns that from the touch.
                        if let Ok(Some(customer)) = owner {
                            self.seen.name(customer, counts);
                            output.touched.push(Touch::named(customer));
                        }
                    }
                }
            }
            if let Some(credit) = credits.get_mut(at) {
                self.credit(row, credit, line, entries, counts);
                if self.rules.notifies && credit.balance_after.is_some() {
                    credit.own = self.own(row.customer, &hashes[row.hashes.0 as usize..row.hashes.1 as usize]);
                }
            }
            if let Some(rejection) = row.rejection {
                counts.reject(rejection);
                if row.is_balance_readable {
                    counts.points.credits.rejected += row.balance;
                    counts.points.credits.in_file += row.balance;
                }
            } else if row.status == Status::Created {
                counts.points.credits.applied += row.balance;
                counts.points.credits.in_file += row.balance;
            }
            let is_credit_unreadable = credits.get(at).is_some_and(|credit| credit.is_filled && !credit.is_readable);
            let is_balance_unreadable = row.has_balance_cell && !row.is_balance_readable;
            counts.unreadable_amounts += u64::from(is_balance_unreadable || is_credit_unreadable);
            counts.outcome(row.status);
        }
        self.lines += u64::from(records.lines);
        output.position = Position { offset: chunk.end, chunk: chunk.number + 1, lines: self.lines };
        output.next_sequence = self.book.next_sequence();
        output.balance_after = self.book.total(self.rules.program);
        Ok(())
    }

    /// Whether a row's credit fits into the balance of the customer whose row it is; an opening balance was looked at before.
    #[inline]
    fn can_credit(
        &self,
        owner: Option<CustomerId>,
        credit: Option<&Credit>,
    ) -> std::result::Result<Option<CustomerId>, Refusal> {
        if let (Some(customer), Some(credit)) = (owner, credit)
            && let (Some(program), 1..) = (credit.program, credit.amount)
            && let Effect::Rejected(rejection) = self.book.effect(program, customer, credit.command())
        {
            return Err((rejection, NOBODY));
        }
        Ok(owner)
    }

    /// Credits what a row asks for, and accounts for it.
    fn credit(&mut self, row: &mut Row, credit: &mut Credit, line: u64, entries: &mut Entries, counts: &mut Counts) {
        let main = self.rules.program;
        if let (None, Some(program), 1..) = (row.rejection, credit.program, credit.amount) {
            let applied = self.book.apply(program, row.customer, credit.command(), line, DetailAt::NONE, entries);
            let points = counts.points_of(program, main);
            points.expire(applied.expired);
            match applied.effect {
                Effect::Entry { kind, amount, balance_after, .. } => {
                    points.moved(kind, amount);
                    credit.balance_after = Some(balance_after);
                }
                Effect::Unchanged { .. } => {}
                // It was looked at before anything of the row was applied.
                Effect::Rejected(rejection) => row.rejection = Some(rejection),
            }
            if row.status == Status::Unchanged {
                row.status = Status::Updated;
            }
        }
        if !credit.is_readable {
            return;
        }
        let account = &mut counts.points_of(credit.program.unwrap_or(main), main).credits;
        account.in_file += credit.amount;
        match (row.rejection, credit.program) {
            (Some(_), _) => account.rejected += credit.amount,
            (None, None) => account.not_credited += credit.amount,
            (None, Some(_)) => account.applied += credit.amount,
        }
    }

    /// Which of a row's identifiers are this customer's: one that a rule kept out is not.
    fn own(&self, customer: CustomerId, identifiers: &[(IdentifierKind, IdentifierHash)]) -> Presence {
        let own = identifiers.iter().filter(|(_, hash)| self.table.get(*hash) == Some(customer));
        Presence(own.fold(0, |bits, &(kind, _)| bits | Presence::of_kind(kind)))
    }

    /// Makes room for all that the file will bring, going by its first chunk, when it fills an empty store: the table then
    /// never grows, which would move every identifier four times.
    ///
    /// # Errors
    /// `Refused` with the bytes needed, where the machine does not have them.
    fn expect_more(
        &mut self,
        chunk_bytes: usize,
        rows: usize,
        hashes: &[(IdentifierKind, IdentifierHash)],
    ) -> Result<()> {
        let is_first = self.customers == 0 && std::mem::take(&mut self.input_bytes_left) > chunk_bytes as u64;
        if !is_first {
            return Ok(());
        }
        let chunks = self.input_bytes as f64 / chunk_bytes.max(1) as f64;
        let needed = memory::growth_bytes((hashes.len() as f64 * chunks) as u64, (rows as f64 * chunks) as u64);
        memory::check(needed, memory::available_bytes())?;
        for &kind in IdentifierKind::ALL {
            let count = hashes.iter().filter(|(other, _)| *other == kind).count();
            self.table.reserve_evenly(kind, (count as f64 * chunks * 1.02) as u64);
        }
        self.table.reserve_now();
        let customers = (rows as f64 * chunks * 1.02) as usize;
        self.profiles.expect(customers);
        self.book.expect(customers);
        Ok(())
    }

    /// Whose row it is. Two owners among the identifiers of which a customer has one, or among cards alone, contradict
    /// each other; a card that belongs to another customer than these name is taken.
    #[inline]
    fn owner(
        &self,
        identifiers: &[(IdentifierKind, IdentifierHash)],
    ) -> std::result::Result<Option<CustomerId>, Refusal> {
        if let Some(key) = self.rules.key {
            return self.owner_by_key(key, identifiers);
        }
        let (mut single, mut card) = (None, None);
        // The card that tells of the customer, and one that tells of another.
        let (mut first_card, mut other_card) = (NOBODY, None);
        for (at, (kind, hash)) in (0_u8..).zip(identifiers) {
            let Some(found) = self.table.get(*hash) else { continue };
            let owner = if *kind == IdentifierKind::Card { &mut card } else { &mut single };
            match owner {
                None => {
                    *owner = Some(found);
                    if *kind == IdentifierKind::Card {
                        first_card = at;
                    }
                }
                Some(other) if *other == found => {}
                Some(_) if *kind == IdentifierKind::Card => other_card = other_card.or(Some((at, found))),
                Some(_) => return Err((Rejection::IdentifierConflict, NOBODY)),
            }
        }
        match (single, card) {
            (None, _) if other_card.is_some() => Err((Rejection::IdentifierConflict, NOBODY)),
            (Some(owner), Some(other)) if owner != other => Err((Rejection::IdentifierTaken, first_card)),
            (Some(_), _) if other_card.is_some() => {
                Err((Rejection::IdentifierTaken, other_card.map_or(NOBODY, |(at, _)| at)))
            }
            (Some(owner), _) | (None, Some(owner)) => Ok(Some(owner)),
            (None, None) => Ok(None),
        }
    }

    /// The same where one kind of identifier alone says whose row it is: what the row names beside it must be that
    /// customer's, or nobody's.
    fn owner_by_key(
        &self,
        key: IdentifierKind,
        identifiers: &[(IdentifierKind, IdentifierHash)],
    ) -> std::result::Result<Option<CustomerId>, Refusal> {
        let mut owner = None;
        for (_, hash) in identifiers.iter().filter(|(kind, _)| *kind == key) {
            match (self.table.get(*hash), owner) {
                (Some(found), None) => owner = Some(found),
                (Some(found), Some(other)) if found != other => return Err((Rejection::IdentifierConflict, NOBODY)),
                _ => {}
            }
        }
        for (at, (kind, hash)) in (0_u8..).zip(identifiers).filter(|(_, (kind, _))| *kind != key) {
            match (self.table.get(*hash), owner) {
                (Some(found), Some(owner)) if found == owner => {}
                (Some(_), Some(_)) if *kind != IdentifierKind::Card => {
                    return Err((Rejection::IdentifierConflict, NOBODY));
                }
                (Some(_), _) => return Err((Rejection::IdentifierTaken, at)),
                (None, _) => {}
            }
        }
        Ok(owner)
    }

    /// What of a row an existing customer takes on, by the overwrite rules; and how many filled cells are kept out.
    fn change_of<'b>(
        &self,
        customer: CustomerId,
        wanted: CustomerChange<'b>,
        identifiers: &[(IdentifierKind, IdentifierHash)],
        tier: u16,
    ) -> (CustomerChange<'b>, u64) {
        let presence = self.profiles.presence_of(customer);
        let at = customer.index();
        let mut kept = 0;
        // An identifier that the customer has is no change; a new one fills an empty place or is kept out.
        let is_known = |kind: IdentifierKind| {
            identifiers.iter().any(|(other, hash)| *other == kind && self.table.get(*hash) == Some(customer))
        };
        let mut single = |kind: IdentifierKind| {
            let value = wanted.single(kind)?;
            if is_known(kind) {
                return None;
            }
            let field = Presence::of_kind(kind);
            if presence.has(field) || self.rules.set_at_creation.has(field) {
                kept += 1;
                return None;
            }
            Some(value)
        };
        let mut change = CustomerChange {
            user_id: single(IdentifierKind::UserId),
            external_id: single(IdentifierKind::ExternalId),
            email: single(IdentifierKind::Email),
            mobile: single(IdentifierKind::Mobile),
            ..CustomerChange::default()
        };
        let cards = identifiers.iter().filter(|(kind, _)| *kind == IdentifierKind::Card);
        for (card, (_, hash)) in wanted.cards.iter().zip(cards) {
            if self.table.get(*hash).is_none() {
                change.cards.push(card);
            }
        }
        fn fill<T>(wanted: Option<T>, is_filled: bool, kept: &mut u64) -> Option<T> {
            if is_filled && wanted.is_some() {
                *kept += 1;
                return None;
            }
            wanted
        }
        change.name = fill(wanted.name, presence.has(Presence::NAME), &mut kept);
        change.birthday = fill(wanted.birthday, presence.has(Presence::BIRTHDAY), &mut kept);
        change.gender = fill(wanted.gender, presence.has(Presence::GENDER), &mut kept);
        change.consent = fill(wanted.consent, presence.has(Presence::CONSENT), &mut kept);
        change.tier = wanted.tier.filter(|_| self.profiles.tier[at] != tier);
        change.ltv = wanted.ltv.filter(|&ltv| self.profiles.ltv[at] != ltv);
        change.orders = wanted.orders.filter(|&orders| self.profiles.orders[at] != orders);
        change.created_at = wanted.created_at.filter(|time| self.profiles.created_at[at] != time.millis());
        (change, kept)
    }

    /// The numbers of a batch's tiers; nothing for one that has no place in the register any more.
    fn register(&mut self, names: &[String]) -> Vec<Option<KnownTier>> {
        let tiers = &mut self.profiles.tiers;
        let mut known = |name: &String| {
            let id = tiers.register(name)?;
            Some(KnownTier { id, is_respelled: tiers.name(id) != Some(name) })
        };
        names.iter().map(&mut known).collect()
    }

    /// A tier's name where the row spells it otherwise: the customer gets it as it is shown.
    fn other_spelling(&self, tier: KnownTier) -> Option<String> {
        if tier.is_respelled { self.profiles.tiers.name(tier.id).map(str::to_owned) } else { None }
    }

    fn record(&mut self, customer: CustomerId, previous: Option<u64>, body: (u32, u32), is_change: bool) -> NewRecord {
        let number = self.next_record;
        self.next_record += 1;
        NewRecord { number, customer, previous, body, is_change }
    }

    /// Numbers of the next customer and the next record.
    pub fn ends(&self) -> (u32, u64) {
        (self.customers, self.next_record)
    }

    /// Identifiers and accounts, for adjustments between the rows of the job.
    pub fn table_and_book(&mut self) -> (&IdentifierTable, &mut AccountBook) {
        (self.table, &mut self.book)
    }

    /// Ends: gives back the accounts, and what the state must learn.
    pub fn finish(self) -> (AccountBook, u32, u64, Vec<IdentifierHash>) {
        (self.book, self.customers, self.next_record, self.late_identifiers)
    }
}

fn append_change(change: &CustomerChange<'_>, out: &mut Vec<u8>) -> (u32, u32) {
    let start = out.len();
    put_change(change, out);
    (start as u32, out.len() as u32)
}
