//! Rows of customers, one after the other: profiles, balances, lots.

use super::{
    flow::Pages,
    part::Rows,
    table::{ColumnType, Kind, MISSING, column, required},
};
use crate::{
    domain::{
        customer::{CustomerChange, LTV_DECIMALS},
        entry::EntryText,
        id::{CustomerId, ProgramId},
        lot::LotState,
        program::Program,
        tier::TierId,
        time::Date,
    },
    error::{Error, Result},
    store::{
        cold,
        customer_page::CustomerPage,
        state::{Profiles, State},
        view::Readable,
    },
};

/// The columns of `tidemill-customers`.
pub const CUSTOMERS: [ColumnType; 14] = [
    column("user_id", Kind::Text),
    column("external_id", Kind::Text),
    column("email", Kind::Text),
    column("mobile", Kind::Text),
    column("card", Kind::Text),
    column("name", Kind::Text),
    // As text: a birthday may have no year.
    column("birthday", Kind::Text),
    column("gender", Kind::Word),
    column("consent", Kind::Word),
    column("tier", Kind::Word),
    column("ltv", Kind::Decimal(LTV_DECIMALS)),
    column("orders", Kind::Integer),
    column("created_at", Kind::Time),
    // An import reads it, and adds what it says; so an export says nothing.
    column("balance", Kind::Amount),
];

/// A row for each customer and program.
pub const BALANCES: [ColumnType; 7] = [
    column("user_id", Kind::Text),
    column("external_id", Kind::Text),
    column("email", Kind::Text),
    column("mobile", Kind::Text),
    required("program", Kind::Word),
    required("balance", Kind::Amount),
    required("promised", Kind::Amount),
];

/// A row for each lot.
pub const LOTS: [ColumnType; 12] = [
    column("user_id", Kind::Text),
    column("external_id", Kind::Text),
    column("email", Kind::Text),
    column("mobile", Kind::Text),
    required("program", Kind::Word),
    required("remaining", Kind::Amount),
    required("state", Kind::Word),
    column("expires_on", Kind::Date),
    column("ref_type", Kind::Word),
    column("ref_id", Kind::Text),
    column("promotion_id", Kind::Word),
    column("credited_at", Kind::Time),
];

/// Goes over the customers that came to be by the records of some pages, each with everything that its records say;
/// `newest` has the newest record of each.
pub fn each_customer(
    view: &impl Readable,
    newest: &[u64],
    pages: &Pages,
    mut visit: impl FnMut(CustomerId, &CustomerChange<'_>) -> Result<()>,
) -> Result<()> {
    for (first, stored) in pages.iter() {
        for record in CustomerPage::open(first, stored)?.records() {
            let record = record?;
            if record.previous.is_some() {
                continue;
            }
            let newest = newest.get(record.customer.index()).copied().unwrap_or(record.number);
            if newest == record.number {
                visit(record.customer, &record.change)?;
            } else {
                visit(record.customer, &cold::read_chain(view, record.customer, newest)?.as_change())?;
            }
        }
    }
    Ok(())
}

/// The profiles of a state that has them.
fn profiles(state: &State) -> Result<&Profiles> {
    state.profiles.as_ref().ok_or_else(|| Error::internal("the profiles were not loaded"))
}

/// The customer that this one became part of, with all its points.
pub fn merged_into(customer: &CustomerChange<'_>) -> Option<CustomerId> {
    customer.merge.as_ref().and_then(|merge| merge.into)
}

/// What the first four columns say of a customer.
pub fn identity<'a>(customer: &CustomerChange<'a>) -> [&'a str; 4] {
    [customer.user_id, customer.external_id, customer.email, customer.mobile].map(Option::unwrap_or_default)
}

fn put_identity(rows: &mut Rows<'_>, customer: &CustomerChange<'_>) {
    for (at, text) in identity(customer).into_iter().enumerate() {
        rows.table.text(at, text.as_bytes());
    }
}

/// The rows of `CUSTOMERS`.
pub fn customers(view: &impl Readable, state: &State, pages: &Pages, rows: &mut Rows<'_>) -> Result<()> {
    let profiles = profiles(state)?;
    each_customer(view, &profiles.newest, pages, |id, customer| {
        // Of one who was erased there is nothing to tell, and one who was merged is told as another.
        if customer.is_nameless() {
            return Ok(());
        }
        put_identity(rows, customer);
        let table = &mut rows.table;
        match customer.cards.as_slice() {
            [card] => table.text(4, card.as_bytes()),
            cards => table.text(4, cards.join("|").as_bytes()),
        }
        table.text(5, customer.name.unwrap_or_default().as_bytes());
        match customer.birthday {
            Some(birthday) => table.text(6, birthday.to_string().as_bytes()),
            None => table.text(6, b""),
        }
        table.text(7, customer.gender.map_or("", |gender| gender.word()).as_bytes());
        table.text(8, customer.consent.unwrap_or_default().as_bytes());
        // As the store shows it, which may have declared another spelling since the record was written.
        let tier = profiles.tier.get(id.index()).and_then(|&tier| profiles.tiers.name(TierId(tier)));
        table.text(9, tier.or(customer.tier).unwrap_or_default().as_bytes());
        table.number(10, customer.ltv.unwrap_or(MISSING));
        table.number(11, customer.orders.map_or(MISSING, i64::from));
        table.time(12, customer.created_at);
        table.amount(13, MISSING, 0);
        rows.end()
    })
}

/// The rows of `BALANCES`: without points whose last day was before `today`.
pub fn balances(
    view: &impl Readable,
    state: &State,
    programs: &[Program],
    today: Date,
    nonzero: bool,
    pages: &Pages,
    rows: &mut Rows<'_>,
) -> Result<()> {
    each_customer(view, &profiles(state)?.newest, pages, |id, customer| {
        if merged_into(customer).is_some() {
            return Ok(());
        }
        for (at, program) in programs.iter().enumerate() {
            let accounts = state.accounts(ProgramId(at as u16))?;
            let (balance, promised) = (accounts.balance(id, today), accounts.lots.promised(id, today));
            if nonzero && balance == 0 && promised == 0 {
                continue;
            }
            put_identity(rows, customer);
            rows.table.text(4, program.code.as_bytes());
            rows.table.amount(5, balance, program.decimals);
            rows.table.amount(6, promised, program.decimals);
            rows.end()?;
        }
        Ok(())
    })
}

/// The rows of `LOTS`: without those whose last day was before `today`.
pub fn lots(
    view: &impl Readable,
    state: &State,
    programs: &[Program],
    today: Date,
    pages: &Pages,
    rows: &mut Rows<'_>,
) -> Result<()> {
    each_customer(view, &profiles(state)?.newest, pages, |id, customer| {
        if merged_into(customer).is_some() {
            return Ok(());
        }
        for (at, program) in programs.iter().enumerate() {
            let accounts = state.accounts(ProgramId(at as u16))?;
            let mut plain = accounts.balance(id, today);
            for lot in accounts.lots.of(id).filter(|lot| !lot.is_overdue(today)) {
                plain -= if lot.state == LotState::Available { lot.remaining } else { 0 };
                put_identity(rows, customer);
                let table = &mut rows.table;
                table.text(4, program.code.as_bytes());
                table.amount(5, lot.remaining, program.decimals);
                table.text(6, lot.state.word().as_bytes());
                table.date(7, lot.expires_on);
                let credit = if lot.reference.is_some() { Some(cold::entry(view, lot.credit)?) } else { None };
                for (column, text) in (8..).zip(EntryText::OF_LOT) {
                    let text = credit.as_ref().and_then(|credit| credit.text(text));
                    table.text(column, text.unwrap_or_default().as_bytes());
                }
                table.time(11, Some(lot.credited_at));
                rows.end()?;
            }
            if plain > 0 {
                // Permanent points without reference are one lot an account, credited at many times.
                put_identity(rows, customer);
                let table = &mut rows.table;
                table.text(4, program.code.as_bytes());
                table.amount(5, plain, program.decimals);
                table.text(6, LotState::Available.word().as_bytes());
                table.date(7, None);
                (8..11).for_each(|column| table.text(column, b""));
                table.time(11, None);
                rows.end()?;
            }
        }
        Ok(())
    })
}
