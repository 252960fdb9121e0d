//! Customer files: rows create customers or fill in what is missing, in file order, each identifier to one customer.

use crate::{
    domain::{
        command::{OnOverdraft, Operation, ResolvedCommand},
        customer::{CustomerChange, Gender, LTV_DECIMALS, Presence},
        entry::Entry,
        id::{CustomerId, JobId},
        identifier::{IdentifierKind, normalize},
        job::Position,
        outcome::Status,
        phone::Region,
        points::{AmountProblem, NumberStyle, parse_amount, write_amount},
        rejection::Rejection,
        tier::{TierId, Tiers},
        time::{Date, TimeZone, Timestamp, parse_date_or_timestamp},
    },
    error::{Error, Result},
    import::{
        chunk::Chunk,
        csv::{self, Records},
        dialect::Dialect,
        format::{ColumnField, Mapping},
        rows::{Cells, Fault, Faults, column_of_kind, is_blank, quoted, record_fault},
    },
    job::{output::Output, seen::Seen},
    ledger::account_book::{AccountBook, encode_entries},
    report::cell::write_cell,
    store::{
        Store,
        customer_page::{CustomerPageBuilder, put_change, put_change_with, read_change},
        filter_page::MISSING,
        identifiers::{IdentifierHash, IdentifierTable, LookupOrder},
        jobs::{RejectedRow, Touch},
        key::LogKey,
        state::Profiles,
    },
};

/// Rows between the prefetch of a row's slots and their use. A row has about five, and a core has about ten requests to
/// memory under way.
const PREFETCH_ROWS: usize = 4;
/// Longest name, consent or tier.
const TEXT_BYTES_MAX: usize = 4096;

/// How rows of a customer file are read: everything that the job's options and the file's header decide.
pub struct CustomersRules {
    /// How the file is written.
    pub dialect: Dialect,
    /// How many columns its header has.
    pub columns: usize,
    /// Where each field stands.
    pub mapping: Mapping,
    /// The program's decimals.
    pub decimals: u8,
    /// How numbers are written.
    pub numbers: NumberStyle,
    /// Region of phone numbers without country code.
    pub region: Option<Region>,
    /// The store's time zone.
    pub zone: TimeZone,
    /// The day of the job's `now` there.
    pub today: Date,
    /// The store's tiers, as declared.
    pub tiers: Tiers,
    /// Seed of identifier hashes.
    pub seed: u64,
    /// The job; 0 in a dry run.
    pub job: JobId,
    /// Its `now`.
    pub now: Timestamp,
    /// Whether a processed report is written.
    pub processed: bool,
}

/// Where identifiers and fields stand, looked up once a chunk.
struct Columns {
    identifiers: Vec<(IdentifierKind, usize)>,
    profile: Vec<(ColumnField, usize)>,
    balance: Option<usize>,
}

/// A row on its way.
#[derive(Clone, Copy)]
struct Row {
    customer: CustomerId,
    status: Status,
    rejection: Option<Rejection>,
    hashes: (u32, u32),
    body: (u32, u32),
    ltv: i64,
    created_at: i64,
    orders: u32,
    tier: u16,
    presence: u8,
    has_balance_cell: bool,
    is_balance_readable: bool,
    balance: i64,
}

/// A record that a batch adds to the customers' log.
struct NewRecord {
    number: u64,
    customer: CustomerId,
    previous: Option<u64>,
    body: (u32, u32),
    is_change: bool,
}

/// One chunk of a customer file on its way through the stages.
#[derive(Default)]
pub struct CustomersBatch {
    chunk: Chunk,
    records: Records,
    rows: Vec<Row>,
    faults: Vec<(u32, Fault)>,
    hashes: Vec<(IdentifierKind, IdentifierHash)>,
    order: LookupOrder,
    has_duplicates: bool,
    owners: Vec<CustomerId>,
    bodies: Vec<u8>,
    changes: Vec<u8>,
    tiers: Vec<String>,
    first_line: u64,
    entries: Vec<Entry>,
    first_sequence: u64,
    new_records: Vec<NewRecord>,
    builder: CustomerPageBuilder,
    scratch: Scratch,
    /// What is left for the committer.
    pub output: Output,
}

#[derive(Default)]
struct Scratch {
    cell: Vec<u8>,
    normalized: Vec<u8>,
    texts: String,
}

impl CustomersBatch {
    /// Puts in the next chunk.
    pub fn fill(&mut self, chunk: Chunk) {
        self.chunk = chunk;
    }
}

/// What a row's cells say, before anybody knows whose they are. Texts are ranges of the scratch buffer, so that reading a
/// row allocates nothing.
#[derive(Default)]
struct Fields {
    singles: [Option<(usize, usize)>; 4],
    cards: Vec<(usize, usize)>,
    name: Option<(usize, usize)>,
    consent: Option<(usize, usize)>,
    tier: Option<(usize, usize)>,
    birthday: Option<Date>,
    gender: Option<Gender>,
    ltv: Option<i64>,
    orders: Option<u32>,
    created_at: Option<Timestamp>,
    balance: Option<i64>,
    has_balance_cell: bool,
}

impl CustomersRules {
    fn columns_of(&self) -> Columns {
        const PROFILE: [ColumnField; 8] = [
            ColumnField::Name,
            ColumnField::Birthday,
            ColumnField::Gender,
            ColumnField::Consent,
            ColumnField::Tier,
            ColumnField::Ltv,
            ColumnField::Orders,
            ColumnField::CreatedAt,
        ];
        let mut profile: Vec<(ColumnField, usize)> =
            PROFILE.iter().filter_map(|&field| Some((field, self.mapping.column(field)?))).collect();
        profile.sort_by_key(|&(_, column)| column);
        Columns {
            identifiers: IdentifierKind::ALL
                .iter()
                .filter_map(|&kind| Some((kind, self.mapping.column(column_of_kind(kind))?)))
                .collect(),
            profile,
            balance: self.mapping.column(ColumnField::Balance),
        }
    }

    /// Parses a chunk. Runs on any thread.
    pub fn parse(&self, batch: &mut CustomersBatch) {
        let columns = self.columns_of();
        let CustomersBatch { chunk, records, rows, faults, hashes, order, bodies, tiers, scratch, .. } = batch;
        rows.clear();
        faults.clear();
        hashes.clear();
        bodies.clear();
        tiers.clear();
        csv::scan(&chunk.bytes, self.dialect, self.columns, records);
        let chunk_text = std::str::from_utf8(&chunk.bytes).ok();
        let mut fields = Fields::default();
        for (at, record) in records.records.iter().enumerate() {
            let cells = Cells::of(&chunk.bytes, chunk_text, records, record, self.dialect);
            let mut row = Row {
                customer: CustomerId::NONE,
                status: Status::Rejected,
                rejection: None,
                hashes: (0, 0),
                body: (0, 0),
                ltv: MISSING,
                created_at: MISSING,
                orders: u32::MAX,
                tier: u16::MAX,
                presence: 0,
                has_balance_cell: false,
                is_balance_readable: false,
                balance: 0,
            };
            let fault = match record_fault(record, self.columns) {
                Some(fault) => Some(fault),
                None => self.read(&columns, cells, scratch, &mut fields),
            };
            row.has_balance_cell = fields.has_balance_cell && record.problem.is_none();
            row.is_balance_readable = row.has_balance_cell && fields.balance.is_some();
            row.balance = fields.balance.unwrap_or(0);
            if let Some(fault) = fault {
                row.rejection = Some(fault.rejection);
                faults.push((at as u32, fault));
                rows.push(row);
                continue;
            }
            let text = |&(start, end): &(usize, usize)| &scratch.texts[start..end];
            let change = CustomerChange {
                user_id: fields.singles[0].as_ref().map(text),
                external_id: fields.singles[1].as_ref().map(text),
                email: fields.singles[2].as_ref().map(text),
                mobile: fields.singles[3].as_ref().map(text),
                cards: Vec::new(),
                name: fields.name.as_ref().map(text),
                birthday: fields.birthday,
                gender: fields.gender,
                consent: fields.consent.as_ref().map(text),
                tier: fields.tier.as_ref().map(text),
                ltv: fields.ltv,
                orders: fields.orders,
                // A customer whose file does not say since when is one since now; a change does not touch it.
                created_at: fields.created_at,
            };
            let first_hash = hashes.len();
            let mut push = |kind: IdentifierKind, value: &str| {
                hashes.push((kind, IdentifierHash::of(self.seed, kind, value.as_bytes())));
            };
            for (&kind, place) in IdentifierKind::ALL.iter().zip(&fields.singles) {
                if let Some(place) = place {
                    push(kind, text(place));
                }
            }
            fields.cards.iter().for_each(|card| push(IdentifierKind::Card, text(card)));
            row.hashes = (first_hash as u32, hashes.len() as u32);
            row.presence = change.presence().0;
            row.ltv = change.ltv.unwrap_or(MISSING);
            row.orders = change.orders.unwrap_or(u32::MAX);
            row.created_at = change.created_at.map_or(MISSING, Timestamp::millis);
            if let Some(tier) = change.tier {
                let known = tiers.iter().position(|known| known == tier);
                let place = known.unwrap_or_else(|| {
                    tiers.push(tier.to_owned());
                    tiers.len() - 1
                });
                row.tier = place as u16;
            }
            let start = bodies.len();
            put_change_with(&change, fields.cards.iter().map(text), bodies);
            row.body = (start as u32, bodies.len() as u32);
            rows.push(row);
        }
        order.sort(hashes.iter().map(|(_, hash)| hash));
        batch.has_duplicates = order.has_duplicates();
    }

    /// Reads a row's cells; the fault, if there is one. Checks come in the contract's order: identifiers, the balance,
    /// other fields as the file has them.
    fn read(&self, columns: &Columns, cells: Cells<'_>, scratch: &mut Scratch, fields: &mut Fields) -> Option<Fault> {
        let mut faults = Faults::default();
        let Scratch { cell: cell_scratch, normalized, texts } = scratch;
        let cards = std::mem::take(&mut fields.cards);
        *fields = Fields { cards, ..Fields::default() };
        fields.cards.clear();
        texts.clear();
        let mut keep = |text: &str| {
            let start = texts.len();
            texts.push_str(text);
            (start, texts.len())
        };
        let mut is_named = false;
        for &(kind, column) in &columns.identifiers {
            let cell = cells.text(column, cell_scratch);
            if is_blank(cell.as_bytes()) {
                continue;
            }
            is_named = true;
            if kind != IdentifierKind::Card {
                match normalize(kind, cell, self.region, true, normalized) {
                    Ok(()) => {
                        fields.singles[kind as usize] = Some(keep(std::str::from_utf8(normalized).unwrap_or_default()));
                    }
                    Err(problem) => {
                        let name = kind.name();
                        faults.add(Rejection::IdentifierInvalid, name, format!("{name} {} {problem}", quoted(cell)));
                    }
                }
                continue;
            }
            for card in cell.split([',', '|']).filter(|card| !is_blank(card.as_bytes())) {
                match normalize(kind, card, self.region, true, normalized) {
                    Ok(()) => fields.cards.push(keep(std::str::from_utf8(normalized).unwrap_or_default())),
                    Err(problem) => {
                        faults.add(Rejection::IdentifierInvalid, "card", format!("card {} {problem}", quoted(card)));
                    }
                }
            }
        }
        if !is_named {
            let names: Vec<&str> = columns.identifiers.iter().map(|(kind, _)| kind.name()).collect();
            let message = format!("no identifier is filled: one of {} is needed", names.join(", "));
            let first = columns.identifiers.first().map_or("", |(kind, _)| kind.name());
            faults.add(Rejection::IdentifierMissing, first, message);
        }
        if let Some(column) = columns.balance {
            let cell = cells.text(column, cell_scratch);
            if !is_blank(cell.as_bytes()) {
                fields.has_balance_cell = true;
                match parse_amount(cell, self.decimals, self.numbers) {
                    Ok(balance) if balance >= 0 => fields.balance = Some(balance),
                    Ok(_) => faults.add(
                        Rejection::AmountInvalid,
                        "balance",
                        format!("balance {} is negative: nobody can open with an overdraft", quoted(cell)),
                    ),
                    Err(problem) => {
                        let message = format!("balance {} {}", quoted(cell), problem.message());
                        faults.add(problem.rejection(), "balance", message);
                    }
                }
            }
        }
        for &(field, column) in &columns.profile {
            let cell = cells.text(column, cell_scratch);
            if is_blank(cell.as_bytes()) {
                continue;
            }
            let is_plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
            let is_trimmed = is_plain(cell.as_bytes().first()) && is_plain(cell.as_bytes().last());
            let trimmed = if is_trimmed { cell } else { cell.trim() };
            let mut fault = |rejection, what: &str| {
                faults.add(rejection, field.name(), format!("{} {} {what}", field.name(), quoted(cell)));
            };
            let field_invalid = Rejection::FieldInvalid;
            match field {
                ColumnField::Name | ColumnField::Consent if trimmed.len() > TEXT_BYTES_MAX => {
                    fault(field_invalid, "is longer than 4096 bytes");
                }
                ColumnField::Name => fields.name = Some(keep(trimmed)),
                ColumnField::Consent => fields.consent = Some(keep(trimmed)),
                ColumnField::Birthday => match Date::parse(trimmed) {
                    Some(birthday) if birthday > self.today => fault(field_invalid, "is in the future"),
                    Some(birthday) => fields.birthday = Some(birthday),
                    None => fault(field_invalid, "is no date of the form YYYY-MM-DD"),
                },
                ColumnField::Gender => match Gender::parse(cell) {
                    Some(gender) => fields.gender = Some(gender),
                    None => fault(field_invalid, "is none of male, female, other"),
                },
                ColumnField::Tier => match self.tier(trimmed) {
                    Ok(tier) => fields.tier = Some(keep(tier)),
                    Err(message) => fault(Rejection::TierUnknown, &message),
                },
                ColumnField::Ltv => match parse_amount(cell, LTV_DECIMALS, self.numbers) {
                    Ok(ltv) if ltv >= 0 => fields.ltv = Some(ltv),
                    Ok(_) => fault(field_invalid, "is negative"),
                    Err(AmountProblem::Precision) => fault(field_invalid, "has more than 4 decimals"),
                    Err(problem) => fault(field_invalid, problem.message()),
                },
                ColumnField::Orders => match parse_amount(cell, 0, self.numbers) {
                    Ok(orders) if (0..i64::from(u32::MAX)).contains(&orders) => fields.orders = Some(orders as u32),
                    Ok(_) => fault(field_invalid, "is no number of orders"),
                    Err(AmountProblem::Precision) => fault(field_invalid, "is no whole number"),
                    Err(problem) => fault(field_invalid, problem.message()),
                },
                ColumnField::CreatedAt => match parse_date_or_timestamp(trimmed, &self.zone) {
                    Some(created_at) => fields.created_at = Some(created_at),
                    None => fault(field_invalid, "is neither a date of the form YYYY-MM-DD nor a time of RFC 3339"),
                },
                _ => {}
            }
        }
        // A card that stands twice in its cell is one card.
        if fields.cards.len() > 1 {
            let mut unique: Vec<(usize, usize)> = Vec::with_capacity(fields.cards.len());
            for &(start, end) in &fields.cards {
                if !unique.iter().any(|&(s, e)| texts[s..e] == texts[start..end]) {
                    unique.push((start, end));
                }
            }
            fields.cards = unique;
        }
        faults.first()
    }

    /// The tier's name as it is stored.
    fn tier<'a>(&'a self, cell: &'a str) -> std::result::Result<&'a str, String> {
        if !self.tiers.is_declared_mode() {
            return if cell.len() <= crate::domain::tier::TIER_NAME_BYTES_MAX && !cell.chars().any(char::is_control) {
                Ok(cell)
            } else {
                Err("is no name of a tier".to_owned())
            };
        }
        let found = self.tiers.lookup(cell).filter(|&tier| self.tiers.rank(tier).is_some());
        found.and_then(|tier| self.tiers.name(tier)).ok_or_else(|| {
            let names: Vec<&str> = self.tiers.declared().iter().filter_map(|&tier| self.tiers.name(tier)).collect();
            format!("is none of the store's tiers {}", names.join(", "))
        })
    }

    /// Encodes what was applied. Runs on any thread.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn encode(&self, batch: &mut CustomersBatch) -> Result<()> {
        if let Some(last) = batch.new_records.len().checked_sub(1) {
            let builder = &mut batch.builder;
            for (at, record) in batch.new_records.iter().enumerate() {
                let bodies = if record.is_change { &batch.changes } else { &batch.bodies };
                let body = &bodies[record.body.0 as usize..record.body.1 as usize];
                builder.push(record.number, record.customer, record.previous, body);
                if builder.is_full() || at == last {
                    let Ok(()) = batch.output.page(|out| {
                        Ok::<_, std::convert::Infallible>(LogKey::Customers(builder.finish(self.job, self.now, out)))
                    });
                }
            }
        }
        encode_entries(batch.first_sequence, self.job, self.now, &batch.entries, &mut batch.output);
        self.report(batch);
        Ok(())
    }

    fn report(&self, batch: &mut CustomersBatch) {
        let CustomersBatch { chunk, records, rows, faults, scratch, output, first_line, .. } = batch;
        let columns = self.columns_of();
        let mut faults = faults.iter().peekable();
        let mut line_text = itoa::Buffer::new();
        for (at, (record, row)) in records.records.iter().zip(rows.iter()).enumerate() {
            let line = *first_line + u64::from(record.line);
            let found = faults.next_if(|(row, _)| *row as usize == at).map(|(_, fault)| fault);
            let late;
            let fault = match (found, row.rejection) {
                (None, Some(rejection)) => {
                    late = late_fault(rejection, &columns);
                    Some(&late)
                }
                (found, _) => found,
            };
            if let Some(fault) = fault {
                let raw = record.raw(&chunk.bytes);
                let (column, message) = (fault.column, fault.message.as_str());
                RejectedRow::put(
                    line,
                    fault.rejection,
                    record.problem.is_none(),
                    column,
                    message,
                    raw,
                    &mut output.rejects,
                );
                output.reject_ends.push(output.rejects.len());
            }
            if !self.processed {
                continue;
            }
            let out = &mut output.processed;
            out.extend_from_slice(line_text.format(line).as_bytes());
            out.push(b',');
            out.extend_from_slice(row.status.word().as_bytes());
            out.push(b',');
            if let Some(fault) = fault {
                out.extend_from_slice(fault.rejection.code().as_bytes());
                out.push(b',');
                write_cell(fault.message.as_bytes(), out);
            } else {
                out.push(b',');
            }
            out.push(b',');
            let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
            for &(_, column) in &columns.identifiers {
                let cell = cells.get(column, &mut scratch.cell);
                if !is_blank(cell) && record.problem.is_none() {
                    write_cell(cell, out);
                    break;
                }
            }
            out.push(b',');
            if row.status != Status::Rejected {
                write_amount(if row.status == Status::Created { row.balance } else { 0 }, self.decimals, out);
                out.push(b',');
                write_amount(row.balance, self.decimals, out);
            } else {
                out.push(b',');
            }
            out.push(b'\n');
        }
    }
}

fn late_fault(rejection: Rejection, columns: &Columns) -> Fault {
    let first = columns.identifiers.first().map_or("", |(kind, _)| kind.name());
    let (column, message) = match rejection {
        Rejection::IdentifierConflict => (first, "the identifiers belong to different customers"),
        Rejection::IdentifierTaken => ("card", "a card of the row belongs to another customer"),
        Rejection::BalanceOverflow => ("balance", "the balance does not fit into 64 bits"),
        other => ("", other.code()),
    };
    Fault { rejection, column, message: message.to_owned() }
}

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
    /// When the store is full: four billion customers, or its register of tiers.
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
        let mut tier_ids: Vec<Option<TierId>> = vec![None; tiers.len()];
        self.expect_more(chunk.bytes.len(), rows.len(), hashes);
        // Nearly every chunk of a customer base that moves in is all new: its claims are made at once, as the slots lie.
        owners.clear();
        let mut next = self.customers;
        for row in rows.iter().filter(|row| row.rejection.is_none()) {
            owners.resize(row.hashes.1 as usize, CustomerId(next));
            next = next.saturating_add(1);
        }
        let is_claimed = !batch.has_duplicates
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
                match if is_claimed { Ok(None) } else { self.owner(identifiers) } {
                    Ok(None) => {
                        if self.customers == CustomerId::NONE.0 {
                            return Err(Error::refused(
                                "customers_max",
                                "a store holds at most 4,294,967,295 customers",
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
                        let tier = self.tier(row.tier, tiers, &mut tier_ids)?;
                        if row.created_at == MISSING {
                            // A customer whose file does not say since when is one since now.
                            row.created_at = self.rules.now.millis();
                            let body = &bodies[row.body.0 as usize..row.body.1 as usize];
                            let mut change =
                                read_change(body).ok_or_else(|| Error::internal("a row cannot be read again"))?;
                            change.created_at = Some(self.rules.now);
                            row.body = append_change(&change, changes);
                            new_records.push(self.record(customer, None, row.body, true));
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
                            let command = ResolvedCommand { operation: Operation::Credit, amount: row.balance };
                            self.book.apply(customer, command, line, entries);
                            counts.credited += row.balance;
                        }
                    }
                    Ok(Some(customer)) => {
                        row.customer = customer;
                        self.seen.name(customer, counts);
                        let body = &bodies[row.body.0 as usize..row.body.1 as usize];
                        let wanted = read_change(body).ok_or_else(|| Error::internal("a row cannot be read again"))?;
                        let tier = self.tier(row.tier, tiers, &mut tier_ids)?;
                        let (change, kept) = self.change_of(customer, wanted, identifiers, tier);
                        counts.kept += kept + u64::from(row.has_balance_cell);
                        if change.is_empty() {
                            row.status = Status::Unchanged;
                            output.touched.push(Touch { customer, reset_to: None });
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
                            counts.credits.unchanged += row.balance;
                            counts.credits.in_file += row.balance;
                        }
                        row.balance = self.book.balance(customer);
                    }
                    Err(rejection) => row.rejection = Some(rejection),
                }
            }
            if let Some(rejection) = row.rejection {
                counts.reject(rejection);
                if row.is_balance_readable {
                    counts.credits.rejected += row.balance;
                    counts.credits.in_file += row.balance;
                }
            } else if row.status == Status::Created {
                counts.credits.applied += row.balance;
                counts.credits.in_file += row.balance;
            }
            counts.unreadable_amounts += u64::from(row.has_balance_cell && !row.is_balance_readable);
            counts.outcome(row.status);
        }
        self.lines += u64::from(records.lines);
        output.position = Position { offset: chunk.end, chunk: chunk.number + 1, lines: self.lines };
        output.next_sequence = self.book.next_sequence();
        output.balance_after = self.book.total();
        Ok(())
    }

    /// Makes room for all that the file will bring, going by its first chunk, when it fills an empty store: the table then
    /// never grows, which would move every identifier four times.
    fn expect_more(&mut self, chunk_bytes: usize, rows: usize, hashes: &[(IdentifierKind, IdentifierHash)]) {
        let is_first = self.customers == 0 && std::mem::take(&mut self.input_bytes_left) > chunk_bytes as u64;
        if !is_first {
            return;
        }
        let chunks = self.input_bytes as f64 / chunk_bytes.max(1) as f64;
        for &kind in IdentifierKind::ALL {
            let count = hashes.iter().filter(|(other, _)| *other == kind).count();
            self.table.reserve_evenly(kind, (count as f64 * chunks * 1.02) as u64);
        }
        self.table.reserve_now();
        let customers = (rows as f64 * chunks * 1.02) as usize;
        self.profiles.expect(customers);
        self.book.expect(customers);
    }

    /// Whose row it is. Two owners among the identifiers of which a customer has one, or among cards alone, contradict
    /// each other; a card that belongs to another customer than these name is taken.
    #[inline]
    fn owner(
        &self,
        identifiers: &[(IdentifierKind, IdentifierHash)],
    ) -> std::result::Result<Option<CustomerId>, Rejection> {
        let (mut single, mut card) = (None, None);
        let mut cards_differ = false;
        for (kind, hash) in identifiers {
            let Some(found) = self.table.get(*hash) else { continue };
            let owner = if *kind == IdentifierKind::Card { &mut card } else { &mut single };
            match owner {
                None => *owner = Some(found),
                Some(other) if *other == found => {}
                Some(_) if *kind == IdentifierKind::Card => cards_differ = true,
                Some(_) => return Err(Rejection::IdentifierConflict),
            }
        }
        match (single, card) {
            (None, _) if cards_differ => Err(Rejection::IdentifierConflict),
            (Some(_), _) if cards_differ => Err(Rejection::IdentifierTaken),
            (Some(owner), Some(other)) if owner != other => Err(Rejection::IdentifierTaken),
            (Some(owner), _) | (None, Some(owner)) => Ok(Some(owner)),
            (None, None) => Ok(None),
        }
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
            if presence.has(Presence::of_kind(kind)) {
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

    /// The number of a batch's tier.
    fn tier(&mut self, place: u16, names: &[String], known: &mut [Option<TierId>]) -> Result<u16> {
        let (Some(name), Some(slot)) = (names.get(usize::from(place)), known.get_mut(usize::from(place))) else {
            return Ok(u16::MAX);
        };
        if slot.is_none() {
            *slot = self.profiles.tiers.register(name);
        }
        slot.map(|tier| tier.0).ok_or_else(|| {
            Error::refused("tiers_max", format!("the file has more tiers than a store holds: `{name}` is one too many"))
                .hint("check which column is mapped to `tier`")
        })
    }

    fn record(&mut self, customer: CustomerId, previous: Option<u64>, body: (u32, u32), is_change: bool) -> NewRecord {
        let number = self.next_record;
        self.next_record += 1;
        NewRecord { number, customer, previous, body, is_change }
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

/// How a customer import treats overdrafts: it only credits, so there are none.
pub const ON_OVERDRAFT: OnOverdraft = OnOverdraft::Reject;
