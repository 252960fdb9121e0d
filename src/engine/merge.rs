//! Merging two records of one person: identifiers, profile and points of one go to the other, both histories stay.

use super::{
    Engine,
    erase::put_job,
    request::{JobRequest, MergeRequest},
    view::{MergeView, MergedPoints},
};
use crate::{
    domain::{
        command::OnOverdraft,
        customer::{Customer, CustomerChange, Former, Merge},
        entry::{Detail, DetailAt, Entries, EntryKind, EntryText},
        id::{CustomerId, JobId, ProgramId},
        identifier::IdentifierKind,
        job::{Counts, JobKind, JobState, Total},
        lot::Lot,
        rejection::Rejection,
        tier::Tiers,
    },
    error::{Error, Result},
    job::{
        output::Output,
        progress::{Progress, Stage},
    },
    ledger::account_book::{AccountBook, BookRules, encode_entries},
    report::amount::amount_text,
    store::{
        cold,
        customer_page::{CustomerPageWriter, put_change},
        disk, jobs,
        key::LogKey,
        lock,
        rewrite::Rewrite,
        state::Needs,
    },
};

impl Engine {
    /// Makes two records of one person one. The customer `into` stays, with its number; the other's number names nobody
    /// from then on.
    ///
    /// All identifiers of both name the customer. Where both have one of a kind of which a customer has one, `into` keeps its
    /// own, and the other's still finds it, as a former one. Name, birthday, gender and consent are filled where they are
    /// empty. The higher tier counts, if tiers have ranks, else `into`'s own; the earlier creation date; LTV and orders are
    /// summed, as a lifetime's value is that of one life. Points move by entries of the kinds `merge_out` and `merge_in`, lot
    /// by lot, promised ones too, and an overdraft; what is over expires before. The history of both is the customer's.
    ///
    /// # Errors
    /// `NotFound` with code `customer_unknown`, and `Usage`, as they say of whom; `Refused` for a customer and itself
    /// (`same_customer`), while a job is unfinished (`job_unfinished`), which may remember either of the two, when a sum
    /// does not fit (`balance_overflow`), and with `no_wait` while a job runs; `Storage` as [`Engine::erase`].
    pub fn merge(&self, job: &JobRequest, request: &MergeRequest, progress: &Progress) -> Result<MergeView> {
        let mut held = self.state_for_job(job.no_wait, progress)?;
        progress.set_stage(Stage::Loading);
        let find = |(kind, value): &(IdentifierKind, String), whom: &str| {
            self.find(*kind, value).map_err(|error| error.at(whom))
        };
        let (into, to) = find(&request.into, "the customer to merge into")?;
        let (from, other) = find(&request.from, "the customer to merge")?;
        if into == from {
            return Err(Error::refused("same_customer", "both identifiers are the same customer's")
                .hint("nothing was changed, and there is nothing to merge"));
        }
        self.check_unfinished()?;
        disk::check_free(self.store.directory(), self.options.disk_free_min)?;
        let tiers = Tiers::from_parts(&self.store.positions().tiers, &self.store.settings().tiers);
        let change =
            merged(&to, &other, from, &tiers.map_err(Error::corrupt)?).ok_or_else(|| overflow("LTV or orders"))?;

        let programs = self.store.programs();
        let all: Vec<ProgramId> = (0..programs.len() as u16).map(ProgramId).collect();
        let mut state = self.load(&mut held, &Needs { programs: all.clone(), ..Needs::default() })?;
        let start = self.start_on(JobKind::MergeCustomers, job, &state)?;
        let (main, _) = self.program(job.program.as_deref())?;
        let today = self.store.settings().zone().day_of(start.now);
        let rules = BookRules { on_overdraft: OnOverdraft::Allow, today, now: start.now };
        let mut book = AccountBook::take(&mut state, &all, rules)?;
        let mut entries = Entries::default();
        let mut counts = Counts { customers_matched: 2, ..Counts::default() };
        let mut view = MergeView {
            job: None,
            customer: into.0,
            merged: from.0,
            identifiers: to.as_change().identifiers().count() as u64 + other.as_change().identifiers().count() as u64,
            former_identifiers: (to.former_identifiers.len() + change.former_identifiers.len()) as u64,
            programs: Vec::new(),
        };
        progress.set_stage(Stage::Applying);
        for (&program, named) in all.iter().zip(&programs) {
            let first = entries.list().len();
            let detail = |lot: &Lot, entries: &mut Entries| self.detail_of(lot, entries);
            let expired = book.merge(program, (from, into), detail, &mut entries)?;
            let expired = expired.map_err(|_: Rejection| overflow("points"))?;
            counts.points_of(program, main).expire(expired);
            let new = entries.list().get(first..).unwrap_or_default();
            if new.is_empty() {
                continue;
            }
            let sum = |kind| new.iter().filter(|entry| entry.kind == kind).map(|entry| i128::from(entry.amount)).sum();
            let text = |amount: i128| amount_text(amount, named.decimals);
            view.programs.push(MergedPoints {
                program: named.code.clone(),
                moved: text(sum(EntryKind::MergeIn)),
                promised: text(sum(EntryKind::PromiseMergeIn)),
                balance: text(i128::from(book.balance(program, into))),
                expired: text(i128::from(expired.available) + i128::from(expired.promised)),
            });
        }
        if job.dry_run {
            return Ok(view);
        }

        let id = JobId(self.store.newest_job()?.0 + 1);
        let mut rewrite = Rewrite::begin(&self.store, from, |record| {
            let merge = Merge { into: Some(into), ..Merge::default() };
            let merge = Some(Box::new(merge)).filter(|_| record.previous.is_none());
            CustomerChange { merge, ..CustomerChange::default() }
        })?;
        rewrite.merge_into(into);
        let newest = cold::records_of(&self.store, into)?.first().copied();
        let (mut fields, mut page) = (Vec::new(), Vec::new());
        put_change(&change.as_change(), &mut fields);
        let mut writer = CustomerPageWriter::begin(state.next_record, id, start.now, &mut page);
        writer.push(into, newest, &fields);
        writer.end();
        let commit = rewrite.added();
        commit.put(LogKey::Customers(state.next_record), &page);
        let mut pages = Output::default();
        encode_entries(start.first_sequence, id, start.now, &entries, &mut pages);
        for (key, place) in &pages.keys {
            commit.put(*key, &pages.pages[place.clone()]);
        }
        put_job(commit, id, &start, counts, Total(book.total(main)), book.next_sequence())?;
        progress.set_stage(Stage::Finishing);
        let mut filters = lock(&self.filters);
        rewrite.commit(id, 1).map_err(|error| error.of_job(id))?;
        filters.forget();
        progress.set_stage(Stage::Done);
        view.job = Some(id);
        Ok(view)
    }

    /// Refuses while a job is unfinished: it remembers customers by their numbers.
    fn check_unfinished(&self) -> Result<()> {
        let unfinished = jobs::jobs(&self.store)?.into_iter().find(|job| job.state() == JobState::Unfinished);
        unfinished.map_or(Ok(()), |job| {
            let id = job.id;
            Err(Error::refused("job_unfinished", format!("job {id} has not ended, and may go on with either customer"))
                .hint(format!(
                    "nothing was changed; end it with `tidemill job resume {id}` or `tidemill job cancel {id}` first"
                ))
                .of_job(id))
        })
    }

    /// What the entry that credited a lot says of it, for the entry that credits it once more.
    fn detail_of(&self, lot: &Lot, entries: &mut Entries) -> Result<DetailAt> {
        let mut detail = Detail::credited_at(Some(lot.credited_at));
        if lot.reference.is_some() {
            let credit = cold::entry(&self.store, lot.credit)?;
            for text in EntryText::OF_LOT {
                credit.text(text).into_iter().for_each(|value| entries.set_text(&mut detail, text, value));
            }
        }
        Ok(entries.add_detail(detail))
    }
}

fn overflow(what: &str) -> Error {
    Error::refused("balance_overflow", format!("the {what} of both customers together are too large to be kept"))
        .hint("nothing was changed")
}

/// What the customer that stays gets of the other; none if a sum does not fit.
fn merged(to: &Customer, other: &Customer, from: CustomerId, tiers: &Tiers) -> Option<Customer> {
    let mut change = Customer { absorbed: other.absorbed.clone(), ..Customer::default() };
    change.absorbed.push(from);
    let (own, others) = (to.as_change(), other.as_change());
    for &kind in IdentifierKind::ALL {
        let (Some(value), place) = (others.single(kind), change.single_mut(kind)) else { continue };
        match (place, own.single(kind)) {
            (Some(place), None) => *place = Some(value.to_owned()),
            _ => change.former_identifiers.push((kind, value.to_owned())),
        }
    }
    change.cards.clone_from(&other.cards);
    for former in others.merge.iter().flat_map(|merge| &merge.former) {
        match former {
            Former::Identifier(kind, value) => change.former_identifiers.push((*kind, (*value).to_owned())),
            Former::Name(name) => change.former_names.push((*name).to_owned()),
        }
    }
    match (&to.name, &other.name) {
        (None, _) => change.name.clone_from(&other.name),
        // Kept to be found when the person is erased.
        (Some(own), Some(name)) if own != name => change.former_names.push(name.clone()),
        (Some(_), _) => {}
    }
    change.birthday = other.birthday.filter(|_| to.birthday.is_none());
    change.gender = other.gender.filter(|_| to.gender.is_none());
    change.consent = other.consent.clone().filter(|_| to.consent.is_none());
    let rank = |tier: &Option<String>| tiers.rank(tiers.lookup(tier.as_deref()?)?);
    let is_higher = to.tier.is_none() || rank(&other.tier) > rank(&to.tier);
    change.tier = other.tier.clone().filter(|_| is_higher);
    if let Some(ltv) = other.ltv {
        change.ltv = Some(to.ltv.unwrap_or(0).checked_add(ltv)?);
    }
    if let Some(orders) = other.orders {
        change.orders = Some(to.orders.unwrap_or(0).checked_add(orders).filter(|&orders| orders < u32::MAX)?);
    }
    change.created_at = other.created_at.filter(|&created| to.created_at.is_none_or(|own| created < own));
    Some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(email: Option<&str>, tier: Option<&str>, ltv: Option<i64>, orders: Option<u32>) -> Customer {
        Customer { email: email.map(str::to_owned), tier: tier.map(str::to_owned), ltv, orders, ..Customer::default() }
    }

    #[test]
    fn the_higher_tier_counts_if_tiers_have_ranks() {
        let ranked = Tiers::from_parts(&[], &["bronze".to_owned(), "gold".to_owned()]).unwrap();
        let seen = Tiers::from_parts(&["bronze".to_owned(), "gold".to_owned()], &[]).unwrap();
        for (own, other, by_rank, without) in [
            (None, Some("bronze"), Some("bronze"), Some("bronze")),
            (Some("bronze"), None, None, None),
            (Some("bronze"), Some("Gold"), Some("Gold"), None),
            (Some("gold"), Some("bronze"), None, None),
            (Some("old"), Some("bronze"), Some("bronze"), None),
        ] {
            let tier = |tiers| {
                let (to, from) = (customer(None, own, None, None), customer(None, other, None, None));
                merged(&to, &from, CustomerId(1), tiers).unwrap().tier
            };
            assert_eq!((tier(&ranked).as_deref(), tier(&seen).as_deref()), (by_rank, without), "{own:?} {other:?}");
        }
    }

    #[test]
    fn values_and_orders_are_summed_and_must_fit() {
        let tiers = Tiers::new();
        for (own, other, sum) in [
            ((None, None), (Some(5), Some(1)), Some((Some(5), Some(1)))),
            ((Some(7), Some(2)), (Some(5), Some(1)), Some((Some(12), Some(3)))),
            ((Some(7), Some(2)), (None, None), Some((None, None))),
            ((Some(i64::MAX), None), (Some(1), None), None),
            ((None, Some(u32::MAX - 1)), (None, Some(1)), None),
        ] {
            let of = |(ltv, orders)| customer(None, None, ltv, orders);
            let found = merged(&of(own), &of(other), CustomerId(1), &tiers).map(|change| (change.ltv, change.orders));
            assert_eq!(found, sum, "{own:?} {other:?}");
        }
    }

    #[test]
    fn an_identifier_fills_an_empty_place_or_becomes_a_former_one() {
        let tiers = Tiers::new();
        let (with, without) = (customer(Some("a@x.y"), None, None, None), customer(None, None, None, None));
        let other = Customer { name: Some("Bea".to_owned()), ..customer(Some("b@x.y"), None, None, None) };
        let filled = merged(&without, &other, CustomerId(1), &tiers).unwrap();
        assert_eq!((filled.email.as_deref(), filled.name.as_deref()), (Some("b@x.y"), Some("Bea")));
        let former = merged(&Customer { name: Some("Ana".to_owned()), ..with }, &other, CustomerId(1), &tiers).unwrap();
        assert_eq!((former.email, former.name), (None, None));
        assert_eq!(former.former_identifiers, [(IdentifierKind::Email, "b@x.y".to_owned())]);
        assert_eq!(former.former_names, ["Bea"]);
    }
}
