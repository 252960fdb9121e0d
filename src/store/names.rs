//! What customers are called by: the identifiers of one after the other, for reports.

use super::{cold, customer_page::CustomerPage, key::LogKey, view::Readable};
use crate::{
    domain::{customer::Customer, id::CustomerId, identifier::IdentifierKind},
    error::{Error, Result},
};

/// The identifiers of a customer, one of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names([Option<String>; IdentifierKind::ALL.len()]);

/// The kinds in the order in which a report looks for one that is there.
const ORDER: [IdentifierKind; 5] = [
    IdentifierKind::UserId,
    IdentifierKind::ExternalId,
    IdentifierKind::Email,
    IdentifierKind::Mobile,
    IdentifierKind::Card,
];

impl Names {
    /// Those of a customer.
    pub fn of(customer: &Customer) -> Names {
        let cards = customer.cards.first();
        let text = |kind| match kind {
            IdentifierKind::UserId => customer.user_id.as_ref(),
            IdentifierKind::ExternalId => customer.external_id.as_ref(),
            IdentifierKind::Email => customer.email.as_ref(),
            IdentifierKind::Mobile => customer.mobile.as_ref(),
            IdentifierKind::Card => cards,
        };
        Names(ORDER.map(|kind| text(kind).cloned()))
    }

    /// The first that is there, and its kind.
    pub fn first(&self) -> Option<(IdentifierKind, &str)> {
        ORDER.into_iter().zip(&self.0).find_map(|(kind, name)| Some((kind, name.as_deref()?)))
    }

    /// All, in the order of the columns of reports: `user_id`, `external_id`, `email`, `mobile`, `card`.
    pub fn all(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.iter().map(Option::as_deref)
    }
}

/// A record on the page that was read last: whose it is, whether one is before it, and what it says.
type Record = (CustomerId, Option<u64>, Names);

/// Looks names up. Cheap for customers in ascending order, most of whom stand on one page with the last one.
pub struct NameReader<'a, R: Readable> {
    store: &'a R,
    newest: Option<&'a [u64]>,
    first: u64,
    page: Vec<Record>,
}

impl<'a, R: Readable> NameReader<'a, R> {
    /// A reader; `newest` has the newest record of each customer, if they are at hand.
    pub fn new(store: &'a R, newest: Option<&'a [u64]>) -> NameReader<'a, R> {
        NameReader { store, newest, first: 0, page: Vec::new() }
    }

    /// The names of a customer.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged.
    pub fn names(&mut self, customer: CustomerId) -> Result<Names> {
        let Some(&newest) = self.newest.and_then(|newest| newest.get(customer.index())) else {
            return Ok(Names::of(&cold::read(self.store, customer)?));
        };
        if !(self.first..self.first + self.page.len() as u64).contains(&newest) {
            self.turn_to(newest)?;
        }
        match self.page.get((newest - self.first) as usize) {
            // Its only record says it all.
            Some((owner, None, names)) if *owner == customer => Ok(names.clone()),
            _ => Ok(Names::of(&cold::read_chain(self.store, customer, newest)?)),
        }
    }

    fn turn_to(&mut self, record: u64) -> Result<()> {
        self.page.clear();
        let Some((LogKey::Customers(first), stored)) = self.store.log().last_at_or_before(LogKey::Customers(record))?
        else {
            return Err(Error::corrupt(format!("customer record {record} is missing")));
        };
        self.first = first;
        for record in CustomerPage::open(first, &stored)?.records() {
            let record = record?;
            let change = &record.change;
            let texts =
                [change.user_id, change.external_id, change.email, change.mobile, change.cards.first().copied()];
            self.page.push((record.customer, record.previous, Names(texts.map(|text| text.map(str::to_owned)))));
        }
        Ok(())
    }
}
