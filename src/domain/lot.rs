//! Points credited together, in the order in which debits take them.
//!
//! Permanent points without reference form one lot an account, which is not kept here: it is what the balance has beyond
//! the account's other lots. So an account without dated, referenced or promised points costs nothing, and most have none.
//!
//! A lot is named by the entry that credited it: everything that never changes about it (its reference, its promotion)
//! stands in that entry.

use std::{
    collections::{BTreeMap, HashMap, btree_map},
    iter::Peekable,
};

use super::{
    id::{CustomerId, Sequence},
    reference::Reference,
    time::{Date, Timestamp},
};

/// Whether the points of a lot can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LotState {
    /// They can.
    Available = 0,
    /// Not yet.
    Promised = 1,
}

impl LotState {
    /// The word that exports show.
    pub fn word(self) -> &'static str {
        match self {
            LotState::Available => "available",
            LotState::Promised => "promised",
        }
    }
}

/// Points credited together, as far as they are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The entry that credited or promised it.
    pub credit: Sequence,
    /// What is left of it, above zero.
    pub remaining: i64,
    /// The last day on which it is valid; none: permanent.
    pub expires_on: Option<Date>,
    /// When its points were earned: the age by which debits take lots of one last day.
    pub credited_at: Timestamp,
    /// Whether it can be spent.
    pub state: LotState,
    /// What the entry that credited it says of what for.
    pub reference: Reference,
}

impl Lot {
    /// Whether its last day is over.
    pub fn is_overdue(&self, today: Date) -> bool {
        self.expires_on.is_some_and(|last| last < today)
    }

    /// What debits and expiry sort by: the last day, permanent ones behind all others, then age.
    pub fn order(&self) -> LotOrder {
        let last_day = self.expires_on.map_or(i32::MAX, Date::days);
        LotOrder { last_day, credited_at: self.credited_at.millis(), credit: self.credit.0 }
    }
}

/// The order of an account's lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LotOrder {
    last_day: i32,
    credited_at: i64,
    credit: u64,
}

/// What an entry took of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The entry that credited the lot.
    pub lot: Sequence,
    /// How much, above zero.
    pub amount: i64,
}

/// Points of one account whose last day was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Those that were in the balance.
    pub available: i64,
    /// Promised ones.
    pub promised: i64,
}

/// What ends on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueDay {
    /// Points that can be spent until then.
    pub available: i128,
    /// Promised points.
    pub promised: i128,
    /// Whose lots ended or end then: some may have spent theirs, and one may be named twice.
    customers: Vec<u32>,
}

/// Lots of an account above which they are kept in a tree: a list of so many is walked in less than a microsecond, and
/// one account with a million lots must not take a second for each.
const LIST_MAX: u32 = 32;
/// Marks a head that names a tree and not a node.
const IS_TREE: u32 = 1 << 31;
/// Marks the credit of a promised lot. Entry numbers have 48 bits.
const IS_PROMISED: u64 = 1 << 63;
/// Marks the credit of a lot with a reference or a promotion.
const IS_REFERENCED: u64 = 1 << 62;
/// The credit's number alone.
const CREDIT_MASK: u64 = IS_REFERENCED - 1;

/// A lot in an account's list.
#[derive(Clone, Copy, Debug)]
struct Node {
    credit_and_state: u64,
    remaining: i64,
    credited_at: i64,
    last_day: i32,
    /// Place of the next node and one; 0: none.
    next: u32,
}

impl Node {
    fn of(lot: &Lot, next: u32) -> Node {
        let promised = if lot.state == LotState::Promised { IS_PROMISED } else { 0 };
        Node {
            credit_and_state: lot.credit.0 | promised | if lot.reference.is_some() { IS_REFERENCED } else { 0 },
            remaining: lot.remaining,
            credited_at: lot.credited_at.millis(),
            last_day: lot.expires_on.map_or(i32::MAX, Date::days),
            next,
        }
    }

    /// The lot, whose reference lies beside the node if there is one.
    #[inline]
    fn lot(&self, reference: impl FnOnce() -> Reference) -> Lot {
        Lot {
            credit: Sequence(self.credit_and_state & CREDIT_MASK),
            remaining: self.remaining,
            expires_on: Date::from_days(self.last_day),
            credited_at: Timestamp::from_millis(self.credited_at).unwrap_or(Timestamp::MIN),
            state: if self.credit_and_state & IS_PROMISED == 0 { LotState::Available } else { LotState::Promised },
            reference: if self.credit_and_state & IS_REFERENCED == 0 { Reference::NONE } else { reference() },
        }
    }

    fn order(&self) -> LotOrder {
        LotOrder { last_day: self.last_day, credited_at: self.credited_at, credit: self.credit_and_state & CREDIT_MASK }
    }
}

/// What a tree keeps of a lot besides its place.
#[derive(Clone, Copy, Debug)]
pub struct TreeLot {
    remaining: i64,
    state: LotState,
    reference: Reference,
}

impl TreeLot {
    fn of(lot: &Lot) -> TreeLot {
        TreeLot { remaining: lot.remaining, state: lot.state, reference: lot.reference }
    }

    fn lot(&self, order: &LotOrder) -> Lot {
        Lot {
            credit: Sequence(order.credit),
            remaining: self.remaining,
            expires_on: Date::from_days(order.last_day),
            credited_at: Timestamp::from_millis(order.credited_at).unwrap_or(Timestamp::MIN),
            state: self.state,
            reference: self.reference,
        }
    }
}

/// The lots of an account with many. Those that can be spent and the promised ones are kept apart, and each is found by its
/// credit: a debit must not walk over a million promises, nor over the lots before the one that it takes of.
#[derive(Clone, Debug, Default)]
struct LotTree {
    available: BTreeMap<LotOrder, TreeLot>,
    promised: BTreeMap<LotOrder, TreeLot>,
    /// Sum of the promised ones.
    promised_points: i128,
    order_of: HashMap<u64, LotOrder>,
}

impl LotTree {
    fn is_empty(&self) -> bool {
        self.order_of.is_empty()
    }

    fn insert(&mut self, lot: &Lot) {
        let order = lot.order();
        self.order_of.insert(lot.credit.0, order);
        match lot.state {
            LotState::Available => self.available.insert(order, TreeLot::of(lot)),
            LotState::Promised => {
                self.promised_points += i128::from(lot.remaining);
                self.promised.insert(order, TreeLot::of(lot))
            }
        };
    }

    fn get(&self, credit: Sequence) -> Option<Lot> {
        let order = self.order_of.get(&credit.0)?;
        let lot = self.available.get(order).or_else(|| self.promised.get(order))?;
        Some(lot.lot(order))
    }

    /// Leaves so much of a lot that is there.
    fn set_remaining(&mut self, lot: &Lot, left: i64) {
        let order = lot.order();
        let lots = match lot.state {
            LotState::Available => &mut self.available,
            LotState::Promised => {
                self.promised_points -= i128::from(lot.remaining - left);
                &mut self.promised
            }
        };
        if left == 0 {
            lots.remove(&order);
            self.order_of.remove(&lot.credit.0);
        } else {
            lots.insert(order, TreeLot { remaining: left, ..TreeLot::of(lot) });
        }
    }

    fn iter(&self) -> LotsOf<'_> {
        LotsOf::Tree(self.available.iter().peekable(), self.promised.iter().peekable())
    }
}

/// The dated, referenced and promised lots of all accounts of one program.
///
/// An account's lots are a list of 32-byte nodes in the order of taking; an account with many has a tree. Beside them an
/// index of last days says what ends when and whose it is, so that expiring visits nobody else.
#[derive(Clone, Debug, Default)]
pub struct Lots {
    /// By customer: place of the first node and one, or the number of a tree; 0: no lots.
    heads: Vec<u32>,
    nodes: Vec<Node>,
    /// By the place of its node, the reference of a lot that has one; empty, or shorter than the nodes, where none has.
    references: Vec<Reference>,
    /// First free node and one.
    free: u32,
    trees: Vec<LotTree>,
    days: BTreeMap<Date, DueDay>,
    count: u64,
}

impl Lots {
    /// How many lots there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Makes room for so many more lots, and for those of so many customers; `prepare` is told each room, address and bytes,
    /// before it is touched. Room that cannot be had is made when it is needed.
    pub fn reserve(&mut self, lots: usize, customers: usize, prepare: impl Fn(*const u8, usize)) {
        if self.nodes.try_reserve(lots).is_ok() {
            let spare = self.nodes.spare_capacity_mut();
            prepare(spare.as_ptr().cast(), size_of_val(spare));
        }
        let more = customers.saturating_sub(self.heads.len());
        if self.heads.try_reserve(more).is_ok() {
            let spare = self.heads.spare_capacity_mut();
            prepare(spare.as_ptr().cast(), size_of_val(spare));
            self.heads.resize(self.heads.len() + more, 0);
        }
    }

    /// Adds lots of customers who have none yet; nothing but its memory is left of the part, which can be filled again.
    pub fn append(&mut self, part: &mut SortedLots) {
        self.count += part.nodes.len() as u64;
        let offset = self.nodes.len() as u32;
        if let Some(&(last, _)) = part.heads.last()
            && last as usize >= self.heads.len()
        {
            self.heads.resize(last as usize + 1 + self.heads.len() / 2, 0);
        }
        for (customer, place) in part.heads.drain(..) {
            self.heads[customer as usize] = place + offset;
        }
        let moved = |node: Node| Node { next: if node.next == 0 { 0 } else { node.next + offset }, ..node };
        self.nodes.extend(part.nodes.drain(..).map(moved));
        if !part.references.is_empty() {
            self.references.resize(offset as usize, Reference::NONE);
            self.references.append(&mut part.references);
        }
        for (customer, lot) in part.beyond.drain(..) {
            // Its days are counted already.
            self.insert_uncounted(customer, lot);
        }
        for (&day, due) in part.days.iter_mut().filter(|(_, due)| !due.customers.is_empty()) {
            let own = self.days.entry(day).or_default();
            own.available += std::mem::take(&mut due.available);
            own.promised += std::mem::take(&mut due.promised);
            own.customers.append(&mut due.customers);
        }
        part.listed = 0;
    }

    /// The lots of a customer, in the order in which they are taken.
    pub fn of(&self, customer: CustomerId) -> LotsOf<'_> {
        match self.heads.get(customer.index()).copied().unwrap_or(0) {
            head if head & IS_TREE == 0 => LotsOf::List(self, head),
            head => self.trees[(head & !IS_TREE) as usize].iter(),
        }
    }

    /// Those of them that can be spent.
    pub fn available(&self, customer: CustomerId) -> impl Iterator<Item = Lot> + '_ {
        let lots = match self.heads.get(customer.index()).copied().unwrap_or(0) {
            head if head & IS_TREE == 0 => LotsOf::List(self, head),
            head => {
                let tree = &self.trees[(head & !IS_TREE) as usize];
                LotsOf::Tree(tree.available.iter().peekable(), btree_map::Iter::default().peekable())
            }
        };
        lots.filter(|lot| lot.state == LotState::Available)
    }

    /// What an account of this balance has beyond its available lots: its plain points.
    pub fn plain(&self, customer: CustomerId, balance: i64) -> i64 {
        let in_lots: i128 = self.available(customer).map(|lot| i128::from(lot.remaining)).sum();
        i64::try_from((i128::from(balance) - in_lots).max(0)).unwrap_or(i64::MAX)
    }

    /// Whether a customer has lots.
    pub fn has(&self, customer: CustomerId) -> bool {
        match self.heads.get(customer.index()).copied().unwrap_or(0) {
            0 => false,
            head if head & IS_TREE == 0 => true,
            head => !self.trees[(head & !IS_TREE) as usize].is_empty(),
        }
    }

    /// Where a customer's lots begin to be found, to be fetched sooner still than the first of them.
    #[inline]
    pub fn head_of(&self, customer: CustomerId) -> Option<*const u8> {
        self.heads.get(customer.index()).map(|head| std::ptr::from_ref(head).cast())
    }

    /// Where a customer's first node lies, to be fetched soon.
    #[inline]
    pub fn first_of(&self, customer: CustomerId) -> Option<*const u8> {
        let head = self.heads.get(customer.index()).copied().unwrap_or(0);
        self.node_at(head & !IS_TREE).map(|node| std::ptr::from_ref(node).cast())
    }

    /// Where the reference of that one lies, if any has one.
    #[inline]
    pub fn first_reference_of(&self, customer: CustomerId) -> Option<*const u8> {
        let head = self.heads.get(customer.index()).copied().unwrap_or(0);
        let reference = self.references.get((head & !IS_TREE).checked_sub(1)? as usize);
        reference.map(|reference| std::ptr::from_ref(reference).cast())
    }

    /// Where the second one lies, which the first one tells.
    #[inline]
    pub fn second_of(&self, customer: CustomerId) -> Option<*const u8> {
        let head = self.heads.get(customer.index()).copied().unwrap_or(0);
        let first = self.node_at(head).filter(|_| head & IS_TREE == 0)?;
        self.node_at(first.next).map(|node| std::ptr::from_ref(node).cast())
    }

    #[inline]
    fn node_at(&self, place: u32) -> Option<&Node> {
        self.nodes.get(place.checked_sub(1)? as usize)
    }

    /// The last days with what ends on them, in order.
    pub fn days(&self) -> impl Iterator<Item = (Date, &DueDay)> {
        let is_filled = |(_, day): &(&Date, &DueDay)| day.available != 0 || day.promised != 0;
        self.days.iter().filter(is_filled).map(|(day, due)| (*day, due))
    }

    /// Available and promised points of permanent lots that have a reference, by the accounts' lots themselves.
    pub fn promised_total(&self) -> i128 {
        let dated: i128 = self.days.values().map(|day| day.promised).sum();
        dated + self.permanent_promised()
    }

    fn permanent_promised(&self) -> i128 {
        let listed = self.heads.iter().filter(|&&head| head != 0).flat_map(|&head| match head & IS_TREE {
            0 => LotsOf::List(self, head),
            _ => self.trees[(head & !IS_TREE) as usize].iter(),
        });
        listed
            .filter(|lot| lot.expires_on.is_none() && lot.state == LotState::Promised)
            .map(|lot| i128::from(lot.remaining))
            .sum()
    }

    /// Customers with lots whose last day is before `today`, in ascending order.
    pub fn due(&self, today: Date) -> Vec<CustomerId> {
        let due = self.days.range(..today).filter(|(_, day)| day.available != 0 || day.promised != 0);
        let mut customers: Vec<u32> = due.flat_map(|(_, day)| day.customers.iter().copied()).collect();
        customers.sort_unstable();
        customers.dedup();
        let is_due = |&customer: &CustomerId| self.of(customer).next().is_some_and(|lot| lot.is_overdue(today));
        customers.into_iter().map(CustomerId).filter(is_due).collect()
    }

    /// Sum of a customer's available lots whose last day is before `today`: points that are in the balance and dead.
    #[inline]
    pub fn overdue(&self, customer: CustomerId, today: Date) -> i64 {
        self.available(customer).take_while(|lot| lot.is_overdue(today)).map(|lot| lot.remaining).sum()
    }

    /// Sum of a customer's promised lots that are valid on `today`.
    pub fn promised(&self, customer: CustomerId, today: Date) -> i64 {
        match self.heads.get(customer.index()).copied().unwrap_or(0) {
            head if head & IS_TREE == 0 => {
                let promised = LotsOf::List(self, head).filter(|lot| lot.state == LotState::Promised);
                promised.filter(|lot| !lot.is_overdue(today)).map(|lot| lot.remaining).sum()
            }
            head => {
                let tree = &self.trees[(head & !IS_TREE) as usize];
                let overdue = tree.promised.iter().take_while(|(order, _)| order.last_day < today.days());
                let overdue: i128 = overdue.map(|(_, lot)| i128::from(lot.remaining)).sum();
                // Each promise was checked to fit beside the others that are valid.
                i64::try_from(tree.promised_points - overdue).unwrap_or(i64::MAX)
            }
        }
    }

    /// Adds a lot. One of the same entry must not be there.
    pub fn insert(&mut self, customer: CustomerId, lot: Lot) {
        self.note(customer, &lot, lot.remaining, true);
        self.insert_uncounted(customer, lot);
    }

    fn insert_uncounted(&mut self, customer: CustomerId, lot: Lot) {
        self.count += 1;
        if customer.index() >= self.heads.len() {
            // Half as many again, so that creating millions of accounts stays linear.
            let room = customer.index() + 1 + self.heads.len() / 2;
            self.heads.resize(room, 0);
        }
        let head = self.heads[customer.index()];
        if head & IS_TREE != 0 {
            self.trees[(head & !IS_TREE) as usize].insert(&lot);
            return;
        }
        let order = lot.order();
        let (mut before, mut at, mut passed) = (0, head, 0);
        while at != 0 {
            let node = &self.nodes[at as usize - 1];
            if node.order() > order {
                break;
            }
            (before, at, passed) = (at, node.next, passed + 1);
        }
        if passed >= LIST_MAX {
            self.grow_tree(customer, head);
            let head = self.heads[customer.index()];
            self.trees[(head & !IS_TREE) as usize].insert(&lot);
            return;
        }
        let place = self.push_node(Node::of(&lot, at), lot.reference);
        match before {
            0 => self.heads[customer.index()] = place,
            before => self.nodes[before as usize - 1].next = place,
        }
    }

    /// Puts a node into a free place, or behind all; returns its place and one.
    #[inline]
    fn push_node(&mut self, node: Node, reference: Reference) -> u32 {
        let place = match self.free {
            0 => {
                self.nodes.push(node);
                self.nodes.len() as u32
            }
            place => {
                self.free = std::mem::replace(&mut self.nodes[place as usize - 1], node).next;
                place
            }
        };
        if reference.is_some() {
            if self.references.len() < self.nodes.len() {
                // Not all that there is room for: it may be far more than come.
                let places = self.nodes.len() + self.nodes.len() / 2 + 64;
                self.references.resize(places.min(self.nodes.capacity()), Reference::NONE);
            }
            self.references[place as usize - 1] = reference;
        }
        place
    }

    /// Gives a customer's lot another last day; false, and nothing, if there is no such lot. One that has no last day, no
    /// reference and no promise any more is none any more: its points are plain.
    pub fn set_last_day(&mut self, customer: CustomerId, credit: Sequence, last_day: Option<Date>) -> bool {
        let Some(lot) = self.get(customer, credit) else { return false };
        self.take(customer, Taken { lot: credit, amount: lot.remaining });
        let changed = Lot { expires_on: last_day, ..lot };
        if last_day.is_some() || lot.state == LotState::Promised || lot.reference.is_some() {
            self.insert(customer, changed);
        }
        true
    }

    /// Customers who have promised lots, ascending.
    pub fn with_promises(&self) -> impl Iterator<Item = CustomerId> + '_ {
        let has = |&customer: &CustomerId| match self.heads[customer.index()] {
            0 => false,
            head if head & IS_TREE == 0 => LotsOf::List(self, head).any(|lot| lot.state == LotState::Promised),
            head => !self.trees[(head & !IS_TREE) as usize].promised.is_empty(),
        };
        (0..self.heads.len() as u32).map(CustomerId).filter(has)
    }

    #[inline]
    fn lot_at(&self, place: u32) -> Option<(Lot, u32)> {
        let at = place.checked_sub(1)? as usize;
        let node = self.nodes.get(at)?;
        Some((node.lot(|| self.references.get(at).copied().unwrap_or_default()), node.next))
    }

    /// Turns a customer's list into a tree.
    fn grow_tree(&mut self, customer: CustomerId, head: u32) {
        let mut tree = LotTree::default();
        LotsOf::List(self, head).for_each(|lot| tree.insert(&lot));
        let mut at = head;
        while at != 0 {
            let next = std::mem::replace(&mut self.nodes[at as usize - 1].next, self.free);
            self.free = at;
            at = next;
        }
        self.heads[customer.index()] = self.trees.len() as u32 | IS_TREE;
        self.trees.push(tree);
    }

    /// Takes from a customer's lot; none, and nothing, if there is no such lot or not so much in it. Returns the lot as it
    /// was.
    pub fn take(&mut self, customer: CustomerId, taken: Taken) -> Option<Lot> {
        let lot = match self.heads.get(customer.index()).copied().unwrap_or(0) {
            head if head & IS_TREE == 0 => LotsOf::List(self, head).find(|lot| lot.credit == taken.lot)?,
            head => self.trees[(head & !IS_TREE) as usize].get(taken.lot)?,
        };
        let left = lot.remaining.checked_sub(taken.amount).filter(|&left| left >= 0 && taken.amount > 0)?;
        self.note(customer, &lot, -taken.amount, false);
        self.count -= u64::from(left == 0);
        let head = self.heads[customer.index()];
        if head & IS_TREE != 0 {
            self.trees[(head & !IS_TREE) as usize].set_remaining(&lot, left);
            return Some(lot);
        }
        let (mut before, mut at) = (0, head);
        while at != 0 {
            let node = &mut self.nodes[at as usize - 1];
            if node.credit_and_state & CREDIT_MASK == taken.lot.0 {
                node.remaining = left;
                if left == 0 {
                    let next = std::mem::replace(&mut node.next, self.free);
                    self.free = at;
                    match before {
                        0 => self.heads[customer.index()] = next,
                        before => self.nodes[before as usize - 1].next = next,
                    }
                }
                break;
            }
            (before, at) = (at, node.next);
        }
        Some(lot)
    }

    /// A customer's lot by its credit.
    pub fn get(&self, customer: CustomerId, credit: Sequence) -> Option<Lot> {
        match self.heads.get(customer.index()).copied().unwrap_or(0) {
            head if head & IS_TREE == 0 => LotsOf::List(self, head).find(|lot| lot.credit == credit),
            head => self.trees[(head & !IS_TREE) as usize].get(credit),
        }
    }

    /// Puts points back: `lot.remaining` more into the customer's lot of that credit, or the lot itself where it is gone. Its
    /// terms are those it has, where it is there. False, and nothing, if it would not fit or has another state.
    pub fn refill(&mut self, customer: CustomerId, lot: Lot) -> bool {
        if lot.remaining <= 0 {
            return false;
        }
        let Some(found) = self.get(customer, lot.credit) else {
            self.insert(customer, lot);
            return true;
        };
        let sum = found.remaining.checked_add(lot.remaining).filter(|_| found.state == lot.state);
        let Some(sum) = sum else { return false };
        self.note(customer, &found, lot.remaining, false);
        let mut at = self.heads[customer.index()];
        if at & IS_TREE != 0 {
            self.trees[(at & !IS_TREE) as usize].set_remaining(&found, sum);
            return true;
        }
        while at != 0 {
            let node = &mut self.nodes[at as usize - 1];
            if node.credit_and_state & CREDIT_MASK == lot.credit.0 {
                node.remaining = sum;
                break;
            }
            at = node.next;
        }
        true
    }

    /// Keeps the index of last days true.
    fn note(&mut self, customer: CustomerId, lot: &Lot, change: i64, is_new: bool) {
        let Some(last_day) = lot.expires_on else { return };
        let day = self.days.entry(last_day).or_default();
        match lot.state {
            LotState::Available => day.available += i128::from(change),
            LotState::Promised => day.promised += i128::from(change),
        }
        if is_new {
            day.customers.push(customer.0);
        }
    }
}

/// Lots by customer, each customer's in the order in which they are taken, and what ends on which day: what can be made of a
/// part of them on any thread.
#[derive(Clone, Debug, Default)]
pub struct SortedLots {
    nodes: Vec<Node>,
    /// By the place of their nodes, up to the last that has one.
    references: Vec<Reference>,
    /// Customers, ascending, and the places of their first nodes and one.
    heads: Vec<(u32, u32)>,
    /// Lots of the last customer.
    listed: u32,
    /// Those that are too many for a list.
    beyond: Vec<(CustomerId, Lot)>,
    days: HashMap<Date, DueDay>,
}

impl SortedLots {
    /// Adds a lot; it stands in that order behind those before it.
    pub fn push(&mut self, customer: CustomerId, lot: Lot) {
        if let Some(day) = lot.expires_on {
            let due = self.days.entry(day).or_default();
            match lot.state {
                LotState::Available => due.available += i128::from(lot.remaining),
                LotState::Promised => due.promised += i128::from(lot.remaining),
            }
            due.customers.push(customer.0);
        }
        let is_next = self.heads.last().is_some_and(|&(last, _)| last == customer.0);
        self.listed = if is_next { self.listed + 1 } else { 1 };
        if self.listed > LIST_MAX {
            self.beyond.push((customer, lot));
            return;
        }
        self.nodes.push(Node::of(&lot, 0));
        let place = self.nodes.len() as u32;
        if lot.reference.is_some() {
            self.references.resize(place as usize - 1, Reference::NONE);
            self.references.push(lot.reference);
        }
        if is_next {
            self.nodes[place as usize - 2].next = place;
        } else {
            self.heads.push((customer.0, place));
        }
    }

    /// Makes room for so many more lots.
    pub fn reserve(&mut self, lots: usize) {
        self.nodes.reserve(lots);
        self.heads.reserve(lots);
    }
}

/// A customer's lots, in the order in which they are taken.
#[derive(Clone, Debug)]
pub enum LotsOf<'a> {
    /// Of an account with few: the place of the next node and one.
    List(&'a Lots, u32),
    /// Of an account with many: those that can be spent, and the promised ones.
    Tree(Peekable<btree_map::Iter<'a, LotOrder, TreeLot>>, Peekable<btree_map::Iter<'a, LotOrder, TreeLot>>),
}

impl Iterator for LotsOf<'_> {
    type Item = Lot;

    #[inline]
    fn next(&mut self) -> Option<Lot> {
        match self {
            LotsOf::List(lots, at) => {
                let (lot, next) = lots.lot_at(*at)?;
                *at = next;
                Some(lot)
            }
            LotsOf::Tree(available, promised) => {
                let is_promised = match (available.peek(), promised.peek()) {
                    (Some((available, _)), Some((promised, _))) => promised < available,
                    (found, _) => found.is_none(),
                };
                let lots = if is_promised { promised } else { available };
                lots.next().map(|(order, rest)| rest.lot(order))
            }
        }
    }
}

/// Splits a debit over the available lots, soonest last day first, then oldest; what they do not cover is taken from the
/// permanent points without reference, which have no lot. Appends what is taken of each.
pub fn split_debit(lots: impl Iterator<Item = Lot>, amount: i64, taken: &mut Vec<Taken>) {
    let mut left = amount;
    for lot in lots.filter(|lot| lot.state == LotState::Available) {
        if left <= 0 {
            return;
        }
        let amount = lot.remaining.min(left);
        taken.push(Taken { lot: lot.credit, amount });
        left -= amount;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lot(credit: u64, remaining: i64, day: Option<i32>, age: i64) -> Lot {
        Lot {
            credit: Sequence(credit),
            remaining,
            expires_on: day.and_then(Date::from_days),
            credited_at: Timestamp::from_millis(age).unwrap(),
            state: if credit.is_multiple_of(5) { LotState::Promised } else { LotState::Available },
            reference: Reference { ref_type: u64::from(credit.is_multiple_of(3)) * credit, ..Reference::NONE },
        }
    }

    #[test]
    fn a_debit_takes_what_expires_first_then_what_is_oldest_and_permanent_points_last() {
        let mut lots = Lots::default();
        for (credit, remaining, day, age) in
            [(1, 10, None, 0), (2, 20, Some(300), 5), (3, 30, Some(200), 9), (4, 40, Some(300), 1), (5, 9, Some(1), 0)]
        {
            lots.insert(CustomerId(7), lot(credit, remaining, day, age));
        }
        let split = |amount| {
            let mut taken = Vec::new();
            split_debit(lots.of(CustomerId(7)), amount, &mut taken);
            taken.iter().map(|taken| (taken.lot.0, taken.amount)).collect::<Vec<_>>()
        };
        assert_eq!(split(30), [(3, 30)]);
        assert_eq!(split(75), [(3, 30), (4, 40), (2, 5)]);
        assert_eq!(split(1000), [(3, 30), (4, 40), (2, 20), (1, 10)]);
        assert!(split(0).is_empty());
    }

    proptest! {
        /// The lists and trees beside a plain list that is sorted anew each time.
        #[test]
        fn lots_answer_as_a_sorted_list_does(
            steps in prop::collection::vec((0..3_u32, 0..4_u8, 1..50_i64, 0..6_i32, 0..4_i64), 0..300)
        ) {
            let mut lots = Lots::default();
            let mut plain: Vec<(u32, Lot)> = Vec::new();
            for (credit, (customer, step, amount, day, age)) in steps.into_iter().enumerate() {
                let id = CustomerId(customer);
                let own = plain.iter().position(|(owner, _)| *owner == customer);
                if let (3, Some(at)) = (step, own) {
                    let more = Lot { remaining: amount, ..plain[at].1 };
                    prop_assert!(lots.refill(id, more));
                    plain[at].1.remaining += amount;
                    prop_assert_eq!(lots.get(id, more.credit), Some(plain[at].1));
                    let too_much = Lot { remaining: i64::MAX, ..more };
                    prop_assert!(!lots.refill(id, too_much));
                } else if step == 2 {
                    // One that is gone is made again.
                    let new = lot(credit as u64 + 1, amount, (day > 0).then_some(day), age);
                    prop_assert_eq!(lots.get(id, new.credit), None);
                    prop_assert!(lots.refill(id, new));
                    plain.push((customer, new));
                } else if step > 0 {
                    let new = lot(credit as u64 + 1, amount, (day > 0).then_some(day), age);
                    lots.insert(id, new);
                    plain.push((customer, new));
                } else if let Some(at) = plain.iter().position(|(owner, _)| *owner == customer) {
                    let (_, lot) = plain[at];
                    let taken = Taken { lot: lot.credit, amount: amount.min(lot.remaining) };
                    prop_assert_eq!(lots.take(id, taken), Some(lot));
                    plain[at].1.remaining -= taken.amount;
                    plain.retain(|(_, lot)| lot.remaining > 0);
                    prop_assert_eq!(lots.take(id, Taken { lot: Sequence(9999), amount: 1 }), None);
                }
            }
            prop_assert_eq!(lots.count(), plain.len() as u64);
            // Stored and loaded again, all of it answers as before.
            let owned = |customer| lots.of(CustomerId(customer)).map(move |lot| (CustomerId(customer), lot));
            let mut loaded = Lots::default();
            for part in [0..1, 1..3] {
                let mut sorted = SortedLots::default();
                part.flat_map(owned).for_each(|(customer, lot)| sorted.push(customer, lot));
                loaded.append(&mut sorted);
            }
            let lots = loaded;
            prop_assert_eq!(lots.count(), plain.len() as u64);
            let today = Date::from_days(3).unwrap();
            let mut due = Vec::new();
            for customer in 0..3 {
                let mut own: Vec<Lot> = plain.iter().filter(|(o, _)| *o == customer).map(|(_, lot)| *lot).collect();
                own.sort_by_key(Lot::order);
                prop_assert_eq!(lots.of(CustomerId(customer)).collect::<Vec<_>>(), own.clone());
                prop_assert_eq!(lots.has(CustomerId(customer)), !own.is_empty());
                let overdue = |lot: &&Lot| lot.is_overdue(today) && lot.state == LotState::Available;
                let sum: i64 = own.iter().filter(overdue).map(|lot| lot.remaining).sum();
                prop_assert_eq!(lots.overdue(CustomerId(customer), today), sum);
                let is_in = |state| own.iter().filter(move |lot| lot.state == state);
                let available: Vec<Lot> = is_in(LotState::Available).copied().collect();
                prop_assert_eq!(lots.available(CustomerId(customer)).collect::<Vec<_>>(), available);
                let valid = is_in(LotState::Promised).filter(|lot| !lot.is_overdue(today));
                prop_assert_eq!(lots.promised(CustomerId(customer), today), valid.map(|lot| lot.remaining).sum::<i64>());
                if own.iter().any(|lot| lot.is_overdue(today)) {
                    due.push(CustomerId(customer));
                }
            }
            prop_assert_eq!(lots.due(today), due);
            for (day, found) in lots.days() {
                let sum = |state| plain.iter().filter(|(_, lot)| lot.expires_on == Some(day) && lot.state == state)
                    .map(|(_, lot)| i128::from(lot.remaining)).sum::<i128>();
                prop_assert_eq!((found.available, found.promised), (sum(LotState::Available), sum(LotState::Promised)));
            }
        }
    }
}
