//! The fast path of a customer row: a row as nearly all are goes from its cells straight into its stored form.
//!
//! A cell is plain when there is nothing to trim, unquote or refuse. One cell that is not, and the row is left to
//! `CustomersRules::read`, which knows every spelling and says what is wrong; so this path never decides that a row is bad,
//! and what it writes is what that one would. A row takes a third of the instructions here.

use super::{CustomersRules, Scratch, TEXT_BYTES_MAX};
use crate::{
    domain::{
        birthday::Birthday,
        customer::{Gender, LTV_DECIMALS, Presence},
        identifier::{IdentifierKind, put_plain},
        points::parse_amount,
    },
    import::{
        csv::Field,
        format::{ColumnField, Mapping},
        rows::column_of_kind,
    },
    store::{customer_page::FieldsWriter, filter_page::MISSING, identifiers::IdentifierHash},
};

/// Where each field stands, in the order in which a record stores them; a field that the file lacks stands nowhere.
pub(super) struct Places {
    identifiers: [(IdentifierKind, usize); IdentifierKind::ALL.len()],
    name: usize,
    /// Given and family name, where the file has such columns.
    name_parts: Option<(usize, usize)>,
    birthday: usize,
    gender: usize,
    consent: usize,
    tier: usize,
    ltv: usize,
    orders: usize,
    created_at: usize,
    balance: usize,
    /// Of the program of opening balances.
    decimals: u8,
}

impl Places {
    /// Of a file whose opening balances have so many decimals.
    pub(super) fn of(mapping: &Mapping, decimals: u8) -> Places {
        let place = |field| mapping.column(field).unwrap_or(usize::MAX);
        let mut identifiers = [(IdentifierKind::UserId, usize::MAX); IdentifierKind::ALL.len()];
        for (entry, &kind) in identifiers.iter_mut().zip(IdentifierKind::ALL) {
            *entry = (kind, place(column_of_kind(kind)));
        }
        Places {
            identifiers,
            name: place(ColumnField::Name),
            name_parts: Some((place(ColumnField::FirstName), place(ColumnField::LastName)))
                .filter(|parts| *parts != (usize::MAX, usize::MAX)),
            birthday: place(ColumnField::Birthday),
            gender: place(ColumnField::Gender),
            consent: place(ColumnField::Consent),
            tier: place(ColumnField::Tier),
            ltv: place(ColumnField::Ltv),
            orders: place(ColumnField::Orders),
            created_at: place(ColumnField::CreatedAt),
            balance: place(ColumnField::Balance),
            decimals,
        }
    }
}

/// What a plain row says besides its stored form.
pub(super) struct PlainRow {
    pub(super) presence: Presence,
    pub(super) tier: u16,
    pub(super) ltv: i64,
    pub(super) orders: u32,
    pub(super) created_at: i64,
    pub(super) balance: Option<i64>,
}

/// A row's cells, and the row's answer to one that is not plain: nothing.
pub(super) struct PlainCells<'a> {
    pub(super) text: &'a str,
    pub(super) fields: &'a [Field],
}

impl<'a> PlainCells<'a> {
    /// The cell if it is plain; empty where it is, or where the file has no such column.
    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&'a str> {
        let Some(field) = self.fields.get(place) else { return Some("") };
        let cell = self.text.get(field.start as usize..field.end as usize)?;
        match (cell.as_bytes().first(), cell.as_bytes().last()) {
            (None, _) => Some(cell),
            (Some(first), Some(last)) if first.is_ascii_graphic() && *first != b'\'' && last.is_ascii_graphic() => {
                Some(cell)
            }
            _ => None,
        }
    }

    /// As `get`, for text of any script.
    #[inline]
    fn text(&self, place: usize) -> Option<&'a str> {
        let Some(field) = self.fields.get(place) else { return Some("") };
        let cell = self.text.get(field.start as usize..field.end as usize)?;
        let is_foreign = |byte: Option<&u8>| byte.is_some_and(|&byte| byte >= 0x80);
        if is_foreign(cell.as_bytes().first()) || is_foreign(cell.as_bytes().last()) {
            let trimmed = cell.trim();
            return (trimmed.len() == cell.len()).then_some(cell);
        }
        self.get(place)
    }
}

impl CustomersRules {
    /// Appends a plain row's stored form to `bodies` and its identifiers' hashes to `hashes`. Where the row is not plain it
    /// answers nothing, and has appended what the caller must cut off again.
    #[inline]
    pub(super) fn put_plain_row(
        &self,
        places: &Places,
        (text, fields): (&str, &[Field]),
        tiers: &[String],
        scratch: &mut Scratch,
        hashes: &mut Vec<(IdentifierKind, IdentifierHash)>,
        bodies: &mut Vec<u8>,
    ) -> Option<PlainRow> {
        let cells = PlainCells { text, fields };
        let mut out = FieldsWriter::begin(bodies);
        let mut presence = 0;
        let mut is_found = self.key.is_none();
        for &(kind, place) in &places.identifiers {
            let cell = cells.get(place)?;
            if cell.is_empty() {
                continue;
            }
            let value = out.identifier(kind, |out| put_plain(kind, cell.as_bytes(), true, out))?;
            if self.wrong_digits(kind, value).is_some() {
                return None;
            }
            is_found |= self.key == Some(kind);
            hashes.push((kind, IdentifierHash::of(self.seed, kind, value)));
            presence |= Presence::of_kind(kind);
        }
        if out.is_empty() || !is_found {
            return None;
        }
        let mut name = cells.text(places.name)?;
        if let Some((first, last)) = places.name_parts
            && name.is_empty()
        {
            let (first, last) = (cells.text(first)?, cells.text(last)?);
            name = if first.is_empty() {
                last
            } else if last.is_empty() {
                first
            } else {
                scratch.texts.clear();
                scratch.texts.extend([first, " ", last]);
                &scratch.texts
            };
        }
        if !name.is_empty() {
            out.name((name.len() <= TEXT_BYTES_MAX).then_some(name)?);
            presence |= Presence::NAME;
        }
        let birthday = cells.get(places.birthday)?;
        if !birthday.is_empty() {
            out.birthday(Birthday::parse(birthday, self.dates).filter(|birthday| birthday.date() <= self.today)?);
            presence |= Presence::BIRTHDAY;
        }
        let gender = cells.get(places.gender)?;
        if !gender.is_empty() {
            out.gender(Gender::parse(gender)?);
            presence |= Presence::GENDER;
        }
        let consent = cells.text(places.consent)?;
        if !consent.is_empty() {
            out.consent((consent.len() <= TEXT_BYTES_MAX).then_some(consent)?);
            presence |= Presence::CONSENT;
        }
        // A tier that is new in this chunk is checked, and noted, on the other path.
        let tier = cells.text(places.tier)?;
        let tier = if tier.is_empty() {
            u16::MAX
        } else {
            out.tier(tier);
            tiers.iter().position(|known| known == tier)? as u16
        };
        let ltv = cells.get(places.ltv)?;
        let ltv = if ltv.is_empty() {
            MISSING
        } else {
            let ltv = parse_amount(ltv, LTV_DECIMALS, self.numbers).ok().filter(|&ltv| ltv >= 0)?;
            out.ltv(ltv);
            ltv
        };
        let orders = cells.get(places.orders)?;
        let orders = if orders.is_empty() {
            u32::MAX
        } else {
            let orders = parse_amount(orders, 0, self.numbers).ok()?;
            let orders = u32::try_from(orders).ok().filter(|&orders| orders < u32::MAX)?;
            out.orders(orders);
            orders
        };
        let created_at = cells.get(places.created_at)?;
        let created_at = if created_at.is_empty() {
            MISSING
        } else {
            let created_at = scratch.days.start_of(&self.zone, self.dates.parse(created_at)?);
            out.created_at(created_at);
            created_at.millis()
        };
        let balance = cells.get(places.balance)?;
        let balance = if balance.is_empty() {
            None
        } else {
            Some(parse_amount(balance, places.decimals, self.numbers).ok().filter(|&balance| balance >= 0)?)
        };
        out.end();
        Some(PlainRow { presence: Presence(presence), tier, ltv, orders, created_at, balance })
    }
}
