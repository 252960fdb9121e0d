//! Customer files: rows create customers or fill in what is missing, in file order, each identifier to one customer.

mod applier;
mod credit;
mod notification;
mod plain_row;

pub use applier::CustomersApplier;
pub use notification::notification_start;

use credit::{Credit, CreditColumns};
use plain_row::Places;

use std::borrow::Cow;

use crate::{
    domain::{
        birthday::Birthday,
        command::OnOverdraft,
        customer::{CustomerChange, Gender, LTV_DECIMALS, Presence},
        entry::Entries,
        id::{CustomerId, JobId, ProgramId},
        identifier::{IdentifierKind, normalize},
        outcome::Status,
        phone::Region,
        points::{AmountProblem, NumberStyle, parse_amount, write_amount},
        program::Program,
        rejection::Rejection,
        tier::Tiers,
        time::{Date, DateStyle, DayStarts, TimeZone, Timestamp},
    },
    error::{Error, Result},
    import::{
        cell_rules::CellRules,
        chunk::Chunk,
        csv::{self, Records},
        dialect::Dialect,
        format::{ColumnField, Mapping},
        input::Layout,
        rows::{
            Cells, Fault, Faults, column_of_kind, filled_identifiers, is_blank, noted, owner_fault, quoted,
            record_fault,
        },
        sheet::bad_cell,
        surroundings::Surroundings,
    },
    job::output::Output,
    ledger::account_book::encode_entries,
    report::cell::write_cell,
    store::{
        customer_page::{CustomerPageWriter, RECORDS_MAX, put_change_with},
        filter_page::MISSING,
        identifiers::{IdentifierHash, LookupOrder},
        jobs::RejectedRow,
        key::LogKey,
    },
};

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
    /// What is taken off cells.
    pub cell_rules: CellRules,
    /// The identifier by which a row's customer is found; none: any that is filled.
    pub key: Option<IdentifierKind>,
    /// The identifiers that are set when a customer is created, and never afterwards.
    pub set_at_creation: Presence,
    /// How many digits a phone number must have.
    pub phone_digits: Option<u8>,
    /// The job's program: that of opening balances.
    pub program: ProgramId,
    /// The store's programs, by their numbers.
    pub programs: Vec<Program>,
    /// Whether other programs than these can be none: not so in a preview without a store.
    pub knows_programs: bool,
    /// How numbers are written.
    pub numbers: NumberStyle,
    /// How dates are written.
    pub dates: DateStyle,
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
    /// Whether customers are to be told of what they are credited.
    pub notifies: bool,
    /// What they are told beside it.
    pub comment: Option<String>,
}

/// Where identifiers and fields stand, looked up once a chunk.
struct Columns {
    identifiers: Vec<(IdentifierKind, usize)>,
    profile: Vec<(ColumnField, usize)>,
    balance: Option<usize>,
    credit: Option<CreditColumns>,
}

/// A row on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The place of the identifier that is another customer's, for a row that is refused for it.
    culprit: u8,
}

/// No identifier of a row.
const NOBODY: u8 = u8::MAX;

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
    entries: Entries,
    first_sequence: u64,
    /// What rows ask to be credited beside an opening balance, one a row where the file has such a column.
    credits: Vec<Credit>,
    new_records: Vec<NewRecord>,
    scratch: Scratch,
    /// What is left for the committer.
    pub output: Output,
}

#[derive(Default)]
struct Scratch {
    cell: Vec<u8>,
    normalized: Vec<u8>,
    texts: String,
    days: DayStarts,
}

impl CustomersBatch {
    /// Puts in the next chunk.
    pub fn fill(&mut self, chunk: Chunk) {
        self.chunk = chunk;
    }

    /// What is wrong with rows of the parsed chunk, by their place, as far as the file alone tells.
    pub fn faults(&self) -> &[(u32, Fault)] {
        &self.faults
    }
}

/// What a row's cells say, before anybody knows whose they are. Texts are ranges of the scratch buffer, so that reading a
/// row allocates nothing.
#[derive(Default)]
struct Fields {
    singles: [Option<(usize, usize)>; 4],
    cards: Vec<(usize, usize)>,
    name: Option<(usize, usize)>,
    first_name: Option<(usize, usize)>,
    last_name: Option<(usize, usize)>,
    consent: Option<(usize, usize)>,
    tier: Option<(usize, usize)>,
    birthday: Option<Birthday>,
    gender: Option<Gender>,
    ltv: Option<i64>,
    orders: Option<u32>,
    created_at: Option<Timestamp>,
    balance: Option<i64>,
    has_balance_cell: bool,
    credit: Credit,
}

impl CustomersRules {
    /// The rules by which a file is read; of no job.
    ///
    /// # Errors
    /// `Corrupt` when the store's tiers contradict each other.
    pub fn reading(layout: &Layout, surroundings: &Surroundings) -> Result<CustomersRules> {
        let kind_of =
            |field: ColumnField| IdentifierKind::ALL.iter().copied().find(|&kind| column_of_kind(kind) == field);
        let at_creation = layout.format.set_at_creation.iter().filter_map(|&field| kind_of(field));
        Ok(CustomersRules {
            dialect: layout.dialect,
            columns: layout.mapping.columns,
            mapping: layout.mapping.clone(),
            cell_rules: layout.cell_rules(),
            key: layout.format.key.and_then(kind_of),
            set_at_creation: Presence(at_creation.fold(0, |bits, kind| bits | Presence::of_kind(kind))),
            phone_digits: None,
            program: surroundings.program,
            programs: surroundings.programs.clone(),
            knows_programs: surroundings.has_store,
            numbers: layout.number_style(),
            dates: layout.dates,
            region: layout.region(surroundings.region),
            zone: surroundings.zone.clone(),
            today: surroundings.today,
            tiers: Tiers::from_parts(&[], &surroundings.tiers).map_err(Error::corrupt)?,
            seed: 0,
            job: JobId(0),
            now: surroundings.now,
            processed: false,
            notifies: false,
            comment: None,
        })
    }

    /// A program's decimals.
    #[inline]
    fn decimals_of(&self, program: ProgramId) -> u8 {
        self.programs.get(usize::from(program.0)).map_or(0, |program| program.decimals)
    }

    fn columns_of(&self) -> Columns {
        const PROFILE: [ColumnField; 10] = [
            ColumnField::Name,
            ColumnField::FirstName,
            ColumnField::LastName,
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
            credit: CreditColumns::of(&self.mapping),
        }
    }

    /// Parses a chunk. Runs on any thread.
    pub fn parse(&self, batch: &mut CustomersBatch) {
        self.parse_with::<true>(batch);
    }

    /// As `parse`; `PLAIN` says whether plain rows take their fast path.
    fn parse_with<const PLAIN: bool>(&self, batch: &mut CustomersBatch) {
        let columns = self.columns_of();
        let CustomersBatch { chunk, records, rows, faults, hashes, order, bodies, credits, tiers, scratch, .. } = batch;
        rows.clear();
        faults.clear();
        hashes.clear();
        bodies.clear();
        credits.clear();
        tiers.clear();
        let chunk_text = csv::scan_text(&chunk.bytes, self.dialect, self.columns, records);
        chunk.settle(records);
        if chunk_text.is_none() {
            let is_read = |column| self.mapping.fields.values().any(|&read| read == column);
            bad_cell::forgive(records, &chunk.bytes, self.dialect, is_read);
        }
        self.cell_rules.apply(&chunk.bytes, self.dialect, records);
        let places = Places::of(&self.mapping, self.decimals_of(self.program));
        let has_credits = columns.credit.is_some();
        let mut fields = Fields::default();
        for (at, record) in records.records.iter().enumerate() {
            let mut row = Row {
                customer: CustomerId::NONE,
                status: Status::Rejected,
                rejection: None,
                // A refused row has none, and who looks ahead for them must find an empty range.
                hashes: (hashes.len() as u32, hashes.len() as u32),
                body: (bodies.len() as u32, bodies.len() as u32),
                ltv: MISSING,
                created_at: MISSING,
                orders: u32::MAX,
                tier: u16::MAX,
                presence: 0,
                has_balance_cell: false,
                is_balance_readable: false,
                balance: 0,
                culprit: NOBODY,
            };
            if let Some(text) = chunk_text.filter(|_| PLAIN)
                && record.problem.is_none()
                && record.flags == 0
            {
                let cells = (text, records.fields_of(record));
                if let Some(plain) = self.put_plain_row(&places, cells, tiers, scratch, hashes, bodies)
                    && let Some(credit) = self.plain_credit(columns.credit.as_ref(), cells)
                    && !overflows(plain.balance.unwrap_or(0), credit.amount)
                {
                    if has_credits {
                        credits.push(credit);
                    }
                    row.hashes.1 = hashes.len() as u32;
                    row.body.1 = bodies.len() as u32;
                    row.presence = plain.presence.0;
                    (row.ltv, row.created_at) = (plain.ltv, plain.created_at);
                    (row.orders, row.tier) = (plain.orders, plain.tier);
                    row.has_balance_cell = plain.balance.is_some();
                    row.is_balance_readable = plain.balance.is_some();
                    row.balance = plain.balance.unwrap_or(0);
                    rows.push(row);
                    continue;
                }
                hashes.truncate(row.hashes.0 as usize);
                bodies.truncate(row.body.0 as usize);
            }
            let cells = Cells::of(&chunk.bytes, chunk_text, records, record, self.dialect);
            let read = self.mapping.fields.iter().map(|(&field, &column)| (field, column));
            let fault = match record_fault(record, cells, self.columns, read) {
                Some(fault) => Some(fault),
                None => self.read(&columns, cells, scratch, &mut fields),
            };
            row.has_balance_cell = fields.has_balance_cell && record.problem.is_none();
            row.is_balance_readable = row.has_balance_cell && fields.balance.is_some();
            row.balance = fields.balance.unwrap_or(0);
            if has_credits {
                let is_read = record.problem.is_none();
                credits.push(if is_read { fields.credit } else { Credit::default() });
            }
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
                merge: None,
            };
            let mut push = |kind: IdentifierKind, value: &str| {
                hashes.push((kind, IdentifierHash::of(self.seed, kind, value.as_bytes())));
            };
            for (&kind, place) in IdentifierKind::ALL.iter().zip(&fields.singles) {
                if let Some(place) = place {
                    push(kind, text(place));
                }
            }
            fields.cards.iter().for_each(|card| push(IdentifierKind::Card, text(card)));
            row.hashes.1 = hashes.len() as u32;
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
            put_change_with(&change, fields.cards.iter().map(text), bodies);
            row.body.1 = bodies.len() as u32;
            rows.push(row);
        }
        order.sort(hashes.iter().map(|(_, hash)| hash));
        batch.has_duplicates = order.has_duplicates();
    }

    /// Reads a row's cells; the fault, if there is one. Checks come in the contract's order: identifiers, the amounts, the
    /// last day, other fields as the file has them, and the program last, as only the store can tell.
    fn read(&self, columns: &Columns, cells: Cells<'_>, scratch: &mut Scratch, fields: &mut Fields) -> Option<Fault> {
        let mut faults = Faults::default();
        let Scratch { cell: cell_scratch, normalized, texts, .. } = scratch;
        let cards = std::mem::take(&mut fields.cards);
        *fields = Fields { cards, ..Fields::default() };
        fields.cards.clear();
        texts.clear();
        let mut keep = |text: &str| {
            let start = texts.len();
            texts.push_str(text);
            (start, texts.len())
        };
        let (mut is_named, mut is_found) = (false, self.key.is_none());
        for &(kind, column) in &columns.identifiers {
            let cell = cells.text(column, cell_scratch);
            if is_blank(cell.as_bytes()) {
                continue;
            }
            if kind != IdentifierKind::Card {
                is_named = true;
                is_found |= self.key == Some(kind);
                let digits =
                    normalize(kind, cell, self.region, true, normalized).map(|()| self.wrong_digits(kind, normalized));
                match digits {
                    Ok(Some(digits)) => {
                        let wanted = self.phone_digits.unwrap_or_default();
                        let what = format!("has {digits} digits, and each must have {wanted}");
                        faults.add(
                            Rejection::IdentifierInvalid,
                            kind.name(),
                            format!("mobile {} {what}", quoted(cell)),
                        );
                    }
                    Ok(None) => {
                        fields.singles[kind as usize] = Some(keep(std::str::from_utf8(normalized).unwrap_or_default()));
                    }
                    Err(problem) => {
                        let name = kind.name();
                        faults.add(Rejection::IdentifierInvalid, name, format!("{name} {} {problem}", quoted(cell)));
                    }
                }
                continue;
            }
            // Separators with nothing between them are no card, and name nobody.
            for card in cell.split([',', '|']).filter(|card| !is_blank(card.as_bytes())) {
                is_named = true;
                is_found |= self.key == Some(kind);
                match normalize(kind, card, self.region, true, normalized) {
                    Ok(()) => fields.cards.push(keep(std::str::from_utf8(normalized).unwrap_or_default())),
                    Err(problem) => {
                        faults.add(Rejection::IdentifierInvalid, "card", format!("card {} {problem}", quoted(card)));
                    }
                }
            }
        }
        if let Some(key) = self.key.filter(|_| !is_found) {
            let message = format!("{} is empty: each row needs it, as it says who the customer is", key.name());
            faults.add(Rejection::IdentifierMissing, key.name(), message);
        } else if !is_named {
            let names: Vec<&str> = columns.identifiers.iter().map(|(kind, _)| kind.name()).collect();
            let message = format!("no identifier is filled: one of {} is needed", names.join(", "));
            let first = columns.identifiers.first().map_or("", |(kind, _)| kind.name());
            faults.add(Rejection::IdentifierMissing, first, message);
        }
        if let Some(column) = columns.balance {
            let cell = cells.text(column, cell_scratch);
            if !is_blank(cell.as_bytes()) {
                fields.has_balance_cell = true;
                match parse_amount(cell, self.decimals_of(self.program), self.numbers) {
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
        let mut program_faults = Faults::default();
        if let Some(columns) = &columns.credit {
            fields.credit = self.credit(columns, cells, cell_scratch, &mut faults, &mut program_faults);
            if overflows(fields.balance.unwrap_or(0), fields.credit.amount) {
                faults.add(
                    Rejection::AmountRange,
                    "amount",
                    "amount and opening balance together do not fit into 64 bits",
                );
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
                ColumnField::FirstName => fields.first_name = Some(keep(trimmed)),
                ColumnField::LastName => fields.last_name = Some(keep(trimmed)),
                ColumnField::Consent => fields.consent = Some(keep(trimmed)),
                ColumnField::Birthday => match Birthday::parse(trimmed, self.dates) {
                    Some(birthday) if birthday.date() > self.today => fault(field_invalid, "is in the future"),
                    Some(birthday) => fields.birthday = Some(birthday),
                    None => {
                        fault(field_invalid, &format!("is not a date that exists, written as {}", self.dates.form()))
                    }
                },
                ColumnField::Gender => match Gender::parse(cell) {
                    Some(gender) => fields.gender = Some(gender),
                    None if Gender::is_ambiguous(trimmed) => {
                        fault(field_invalid, "means another gender in another language; write male, female or other");
                    }
                    None => fault(field_invalid, "is none of the words for male, female and other: write one of these"),
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
                    Ok(_) => fault(field_invalid, "is no number of orders: write a whole number from 0"),
                    Err(AmountProblem::Precision) => fault(field_invalid, "is no whole number"),
                    Err(problem) => fault(field_invalid, problem.message()),
                },
                ColumnField::CreatedAt => match self.dates.parse_or_timestamp(trimmed, &self.zone) {
                    Some(created_at) => fields.created_at = Some(created_at),
                    None => {
                        let form = self.dates.form();
                        fault(field_invalid, &format!("is neither a date of the form {form} nor a time of RFC 3339"));
                    }
                },
                _ => {}
            }
        }
        if fields.name.is_none() && (fields.first_name.is_some() || fields.last_name.is_some()) {
            let start = texts.len();
            for (from, to) in [fields.first_name, fields.last_name].into_iter().flatten() {
                if texts.len() > start {
                    texts.push(' ');
                }
                texts.extend_from_within(from..to);
            }
            let name = &texts[start..];
            if name.len() > TEXT_BYTES_MAX {
                let message = format!("first and last name {} are longer than 4096 bytes", quoted(name));
                faults.add(Rejection::FieldInvalid, ColumnField::Name.name(), message);
            }
            fields.name = Some((start, texts.len()));
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
        faults.append(program_faults);
        faults.first()
    }

    /// How many digits a phone number has, where it is not as many as each must have.
    fn wrong_digits(&self, kind: IdentifierKind, normalized: &[u8]) -> Option<usize> {
        let wanted = self.phone_digits.filter(|_| kind == IdentifierKind::Mobile)?;
        let digits = normalized.iter().filter(|byte| byte.is_ascii_digit()).count();
        (digits != usize::from(wanted)).then_some(digits)
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
    /// Never; a stage of the pipeline returns a result.
    pub fn encode(&self, batch: &mut CustomersBatch) -> Result<()> {
        for page in batch.new_records.chunks(RECORDS_MAX) {
            batch.output.page(|out| {
                let first = page.first().map_or(0, |record| record.number);
                let mut writer = CustomerPageWriter::begin(first, self.job, self.now, out);
                for record in page {
                    let bodies = if record.is_change { &batch.changes } else { &batch.bodies };
                    let body = &bodies[record.body.0 as usize..record.body.1 as usize];
                    writer.push(record.customer, record.previous, body);
                }
                LogKey::Customers(writer.end())
            });
        }
        encode_entries(batch.first_sequence, self.job, self.now, &batch.entries, &mut batch.output);
        if self.notifies && self.job != JobId(0) {
            self.notify(batch);
        }
        self.report(batch);
        Ok(())
    }

    fn report(&self, batch: &mut CustomersBatch) {
        let CustomersBatch { chunk, records, rows, faults, hashes, credits, scratch, output, first_line, .. } = batch;
        let columns = self.columns_of();
        let no_credit = Credit::default();
        // Whose row it is, is said by what the customer is found by, if the row has that.
        let mut shown: Vec<usize> = Vec::new();
        for is_key in [true, false] {
            let wanted = columns.identifiers.iter().filter(|(kind, _)| (self.key == Some(*kind)) == is_key);
            shown.extend(wanted.map(|&(_, column)| column));
        }
        let main_decimals = self.decimals_of(self.program);
        let is_dry = self.job == JobId(0);
        let mut faults = faults.iter().peekable();
        let mut line_text = itoa::Buffer::new();
        for (at, (record, row)) in records.records.iter().zip(rows.iter()).enumerate() {
            let line = *first_line + u64::from(record.line);
            let found = faults.next_if(|(row, _)| *row as usize == at).map(|(_, fault)| fault);
            let late;
            let fault = match (found, row.rejection) {
                (None, Some(rejection)) => {
                    let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
                    let filled = filled_identifiers(&columns.identifiers, cells, &mut scratch.cell);
                    let own = hashes.get(row.hashes.0 as usize..row.hashes.1 as usize).unwrap_or_default();
                    let culprit = culprit(own, usize::from(row.culprit), &filled);
                    late = late_fault(rejection, culprit, &filled);
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
                    record.is_split(self.dialect),
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
            let credit = credits.get(at).unwrap_or(&no_credit);
            let out = &mut output.processed;
            out.extend_from_slice(line_text.format(line).as_bytes());
            out.push(b',');
            out.extend_from_slice(row.status.word().as_bytes());
            out.push(b',');
            if let Some(fault) = fault {
                out.extend_from_slice(fault.rejection.code().as_bytes());
                out.push(b',');
                write_cell(noted(is_dry, &fault.message).as_bytes(), out);
            } else {
                out.push(b',');
                let is_lost = row.status != Status::Rejected && credit.amount > 0 && credit.program.is_none();
                let message = if is_lost { NOT_CREDITED } else { "" };
                let dry = if message.is_empty() {
                    Cow::Borrowed(if is_dry { "dry run" } else { "" })
                } else {
                    noted(is_dry, message)
                };
                write_cell(dry.as_bytes(), out);
            }
            out.push(b',');
            let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
            for &column in &shown {
                let cell = cells.get(column, &mut scratch.cell);
                if !is_blank(cell) && record.is_split(self.dialect) {
                    write_cell(if record.problem.is_none() { cell } else { bad_cell::shown(cell) }, out);
                    break;
                }
            }
            out.push(b',');
            if let (Some(program), Some(balance_after)) = (credit.program, credit.balance_after) {
                write_amount(credit.amount, self.decimals_of(program), out);
                out.push(b',');
                write_amount(balance_after, self.decimals_of(program), out);
            } else if row.status != Status::Rejected {
                write_amount(if row.status == Status::Created { row.balance } else { 0 }, main_decimals, out);
                out.push(b',');
                write_amount(row.balance, main_decimals, out);
            } else {
                out.push(b',');
            }
            out.push(b'\n');
        }
    }
}

/// What the processed report says of a row whose amount nobody knows where to credit.
const NOT_CREDITED: &str = "not credited: neither currency nor account says in which program";

/// Whether an opening balance and a credit are more than a balance can be.
fn overflows(balance: i64, amount: i64) -> bool {
    balance.checked_add(amount).is_none()
}

/// The story of a row that only the store could refuse.
fn late_fault(
    rejection: Rejection,
    culprit: Option<(IdentifierKind, &str)>,
    filled: &[(IdentifierKind, String)],
) -> Fault {
    if let (Rejection::IdentifierTaken, Some((kind, value))) = (rejection, culprit) {
        let message = format!(
            "{} {} is already another customer's: take it out of this row, or correct what says who the customer is",
            kind.name(),
            quoted(value)
        );
        return Fault { rejection, column: kind.name(), message };
    }
    owner_fault(rejection, filled).unwrap_or_else(|| {
        let (column, message) = match rejection {
            Rejection::TierUnknown => {
                ("tier", "the tier is new, and the store knows 1,024 already, which is the most".to_owned())
            }
            Rejection::BalanceOverflow => ("balance", "the balance does not fit into 64 bits".to_owned()),
            other => ("", other.code().replace('_', " ")),
        };
        Fault { rejection, column, message }
    })
}

/// The identifier at a place among a row's, as the file has it; of several cards in a cell the one.
fn culprit<'a>(
    own: &[(IdentifierKind, IdentifierHash)],
    place: usize,
    filled: &'a [(IdentifierKind, String)],
) -> Option<(IdentifierKind, &'a str)> {
    let (kind, _) = *own.get(place)?;
    let (_, cell) = filled.iter().find(|(other, _)| *other == kind)?;
    if kind != IdentifierKind::Card {
        return Some((kind, cell));
    }
    let before = own[..place].iter().filter(|(other, _)| *other == kind).count();
    let mut cards: Vec<&str> = Vec::new();
    for card in cell.split([',', '|']).map(str::trim).filter(|card| !card.is_empty()) {
        if !cards.contains(&card) {
            cards.push(card);
        }
    }
    Some((kind, cards.get(before).copied().unwrap_or(cell)))
}

/// How a customer import treats overdrafts: it only credits, so there are none.
pub const ON_OVERDRAFT: OnOverdraft = OnOverdraft::Reject;

#[cfg(test)]
mod tests;
