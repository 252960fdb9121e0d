//! Questions about one customer and about the whole store.

use std::collections::{BTreeMap, BinaryHeap, btree_map::Entry};

use super::{
    Engine, parameters_of,
    view::{
        AccountView, CustomerView, DigestView, FormerIdentifier, HistoryLine, HistoryPage, LotView, TakenLine,
        VerifyView,
    },
};
use crate::{
    domain::{
        customer::{Customer, LTV_DECIMALS},
        entry::EntryText,
        id::{CustomerId, JobId, Sequence},
        identifier::{IdentifierKind, normalize},
        job::JobKind,
        lot::LotState,
        phone::Region,
        program::Program,
        tier::Tiers,
        time::Date,
    },
    error::{Error, Result},
    report::amount::amount_text,
    store::{
        cold::{self, ColdAccount},
        jobs, verify,
    },
};

impl Engine {
    /// A customer by any identifier. Loads no table: one page of each cache, and what the logs have beyond them.
    ///
    /// # Errors
    /// `NotFound` with code `customer_unknown`; `Usage` for an identifier that cannot be.
    pub fn customer(&self, kind: IdentifierKind, value: &str) -> Result<CustomerView> {
        self.settled(|| self.customer_now(kind, value))
    }

    /// Looks again if a job wrote caches in the middle of a look, which may then have missed what went from one to the next.
    pub(super) fn settled<T>(&self, look: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            let positions = self.store.positions();
            let found = look();
            if found.is_ok() || self.store.positions() == positions {
                return found;
            }
        }
    }

    fn customer_now(&self, kind: IdentifierKind, value: &str) -> Result<CustomerView> {
        let (id, customer) = self.find(kind, value)?;
        let programs = self.store.programs();
        let accounts = cold::accounts(&self.store, id)?;
        let today = self.today(None);
        let accounts = programs.iter().zip(accounts).map(|(program, account)| self.account(program, &account, today));
        let accounts = accounts.collect::<Result<Vec<_>>>()?;
        // As the store shows it, which may have declared another spelling since the record was written.
        let tiers = Tiers::from_parts(&self.store.positions().tiers, &self.store.settings().tiers);
        let tiers = tiers.map_err(Error::corrupt)?;
        let shown = |tier: String| tiers.lookup(&tier).and_then(|id| tiers.name(id)).map_or(tier, str::to_owned);
        Ok(CustomerView {
            customer: id.0,
            accounts,
            user_id: customer.user_id,
            external_id: customer.external_id,
            email: customer.email,
            mobile: customer.mobile,
            cards: customer.cards,
            name: customer.name,
            birthday: customer.birthday.map(|birthday| birthday.to_string()),
            gender: customer.gender.map(|gender| gender.word().to_owned()),
            consent: customer.consent,
            tier: customer.tier.map(shown),
            ltv: customer.ltv.map(|ltv| amount_text(i128::from(ltv), LTV_DECIMALS)),
            orders: customer.orders,
            created_at: customer.created_at.map(|time| time.to_string()),
            former_identifiers: customer
                .former_identifiers
                .into_iter()
                .map(|(kind, value)| FormerIdentifier { kind: kind.name().to_owned(), value })
                .collect(),
            merged: customer.absorbed.iter().map(|absorbed| absorbed.0).collect(),
        })
    }

    /// An account with what of it is valid on a day.
    fn account(&self, program: &Program, account: &ColdAccount, today: Date) -> Result<AccountView> {
        let text = |amount: i64| amount_text(i128::from(amount), program.decimals);
        let (mut balance, mut promised, mut plain) = (account.balance, 0, account.balance);
        let mut lots = Vec::new();
        for lot in &account.lots {
            let is_available = lot.state == LotState::Available;
            plain -= if is_available { lot.remaining } else { 0 };
            if lot.is_overdue(today) {
                balance -= if is_available { lot.remaining } else { 0 };
                continue;
            }
            promised += if is_available { 0 } else { lot.remaining };
            let credit = if lot.reference.is_some() { Some(cold::entry(&self.store, lot.credit)?) } else { None };
            let of_credit = |name| credit.as_ref().and_then(|credit| credit.text(name)).map(str::to_owned);
            lots.push(LotView {
                remaining: text(lot.remaining),
                state: lot.state.word().to_owned(),
                expires_on: lot.expires_on.map(|day| day.to_string()),
                ref_type: of_credit(EntryText::RefType),
                ref_id: of_credit(EntryText::RefId),
                promotion_id: of_credit(EntryText::PromotionId),
                credited_at: Some(lot.credited_at.to_string()),
            });
        }
        if plain > 0 {
            let state = LotState::Available.word().to_owned();
            lots.push(LotView { remaining: text(plain), state, ..LotView::default() });
        }
        Ok(AccountView {
            program: program.code.clone(),
            balance: text(balance),
            promised: text(promised),
            newest_entry: Some(account.newest.0).filter(|&newest| newest > 0),
            lots,
        })
    }

    pub(super) fn find(&self, kind: IdentifierKind, value: &str) -> Result<(CustomerId, Customer)> {
        let region = self.store.settings().default_region.as_deref().and_then(Region::new);
        let mut normalized = Vec::new();
        normalize(kind, value, region, false, &mut normalized)
            .map_err(|problem| Error::usage(format!("the {} {problem}", kind.name())))?;
        let normalized = String::from_utf8(normalized).map_err(|_| Error::usage("the identifier is no text"))?;
        cold::find(&self.store, kind, &normalized)?
            .ok_or_else(|| Error::not_found("customer_unknown", format!("no customer has this {}", kind.name())))
    }

    /// A page of a customer's history, newest first; `public` leaves out what the customer may not see.
    ///
    /// # Errors
    /// As `customer`.
    pub fn history(
        &self,
        kind: IdentifierKind,
        value: &str,
        program: Option<&str>,
        before: Option<u64>,
        lines_max: usize,
        public: bool,
    ) -> Result<HistoryPage> {
        self.settled(|| self.history_now(kind, value, program, before, lines_max, public))
    }

    fn history_now(
        &self,
        kind: IdentifierKind,
        value: &str,
        program: Option<&str>,
        before: Option<u64>,
        lines_max: usize,
        public: bool,
    ) -> Result<HistoryPage> {
        let wanted = program.map(|code| self.store.program(code)).transpose()?.map(|(id, _)| usize::from(id.0));
        let (id, customer) = self.find(kind, value)?;
        let programs = self.store.programs();
        // Those that were merged into it have ledgers of their own, which are its history too.
        let mut owners = customer.absorbed;
        owners.push(id);
        // The newest entry not yet shown of each account; the heap merges the accounts' chains, newest first.
        let mut next = BinaryHeap::new();
        for &owner in &owners {
            for (at, account) in cold::accounts(&self.store, owner)?.into_iter().enumerate() {
                if account.newest.0 > 0 && wanted.is_none_or(|wanted| wanted == at) {
                    next.push(account.newest.0);
                }
            }
        }
        let mut texts: BTreeMap<JobId, (JobKind, Option<String>, Option<String>)> = BTreeMap::new();
        let mut lines = Vec::new();
        while let Some(sequence) = next.pop() {
            let is_shown = before.is_none_or(|before| sequence < before);
            if is_shown && lines.len() >= lines_max {
                return Ok(HistoryPage { next_before: lines.last().map(|line: &HistoryLine| line.sequence), lines });
            }
            let dated = cold::entry(&self.store, Sequence(sequence))?;
            if !owners.contains(&dated.entry.customer) {
                return Err(Error::corrupt(format!("ledger entry {sequence} is another customer's")));
            }
            if dated.entry.previous.0 > 0 {
                next.push(dated.entry.previous.0);
            }
            if !is_shown {
                continue;
            }
            let (kind, reason, comment) = match texts.entry(dated.job) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let job = jobs::job(&self.store, dated.job)?;
                    let parameters = parameters_of(&job)?;
                    place.insert((job.start.kind, parameters.reason, parameters.comment))
                }
            };
            let own = |text| dated.text(text).map(str::to_owned);
            let entry = &dated.entry;
            let of_job = |text: &Option<String>| text.clone().filter(|_| entry.kind.has_texts_of(*kind, entry.row));
            let reason = own(EntryText::Reason).or_else(|| of_job(reason));
            let comment = own(EntryText::Comment).or_else(|| of_job(comment));
            let program = programs.get(usize::from(dated.entry.program.0));
            let program = program.ok_or_else(|| Error::corrupt(format!("ledger entry {sequence}: no such program")))?;
            let text = |amount: i64| amount_text(i128::from(amount), program.decimals);
            lines.push(HistoryLine {
                sequence,
                time: dated.time.to_string(),
                program: program.code.clone(),
                kind: dated.entry.kind.word().to_owned(),
                amount: text(dated.entry.amount),
                balance_after: text(dated.entry.balance_after),
                expires_on: dated.entry.expires_on.map(|day| day.to_string()),
                ref_type: own(EntryText::RefType),
                ref_id: own(EntryText::RefId),
                promotion_id: own(EntryText::PromotionId),
                taken: dated
                    .taken
                    .iter()
                    .map(|taken| TakenLine { lot: taken.lot.0, amount: text(taken.amount) })
                    .collect(),
                reverses: dated.reversed.map(|reversed| reversed.0),
                job: Some(dated.job).filter(|_| !public),
                row: Some(dated.entry.row).filter(|_| !public),
                reason: reason.filter(|_| !public),
                comment,
                merged: Some(dated.entry.customer).filter(|&owner| owner != id && !public).map(|owner| owner.0),
            });
        }
        Ok(HistoryPage { lines, next_before: None })
    }

    /// Checks the whole store: replays the logs and compares every cache with them. Takes one committed state: jobs go on
    /// meanwhile, and are not waited for.
    ///
    /// Cost: one pass over everything, and twice the memory that a job needs.
    ///
    /// # Errors
    /// When the store is so damaged that checking cannot go on.
    pub fn verify(&self) -> Result<VerifyView> {
        let view = self.store.view()?;
        let found = self.readers.install(|| verify::verify(&view))?;
        drop(view);
        let hex = |sum: u128| format!("{sum:032x}");
        Ok(VerifyView {
            ok: found.problems.is_empty(),
            digest: DigestView {
                customers: hex(found.digests.customers),
                accounts: hex(found.digests.accounts),
                ledger: hex(found.digests.ledger),
            },
            customers: found.customers,
            accounts: found.accounts,
            ledger_entries: found.entries,
            problems: found.problems,
        })
    }
}
