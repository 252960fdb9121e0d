//! Tiers: names that customers carry, with ranks once the store declares them.
//!
//! A tier is matched without regard to case, so that `gold` in one file and `Gold` in the next are one tier, and shown
//! as it was declared or, if it never was, as it was first seen. White space around a name does not count. Records of
//! customers hold the name as it was shown when they were written; who shows them asks the register.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Most tiers of a store: a column mapped to `tier` by mistake must not fill the register's 16 bits, and filters test
/// a tier by one bit in a small set. Real programmes have fewer than twenty.
pub const TIERS_MAX: usize = 1024;

/// Longest name of a tier.
pub const TIER_NAME_BYTES_MAX: usize = 254;

/// A tier's place in the store's register, dense from 0 in order of first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TierId(pub u16);

impl TierId {
    /// The number of "no tier".
    pub const NONE: TierId = TierId(u16::MAX);

    /// Whether this is "no tier".
    pub fn is_none(self) -> bool {
        self == TierId::NONE
    }
}

/// The store's register of tiers. Numbers never change once given; declaring changes ranks only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tiers {
    /// Each tier's name as shown, by number.
    names: Vec<String>,
    /// Each tier's rank, by number; `None` for tiers that are not declared.
    ranks: Vec<Option<u16>>,
    /// Numbers of the declared tiers, lowest rank first; empty while none are declared.
    declared: Vec<TierId>,
    /// Numbers by case-folded name.
    ids: HashMap<String, TierId>,
}

impl Tiers {
    /// Returns a register without tiers.
    pub fn new() -> Tiers {
        Tiers::default()
    }

    /// Returns the register that a store wrote down: `names()` in order, and the names declared, lowest rank first.
    ///
    /// # Errors
    ///
    /// As `declare`, or a name that stands twice in `names`.
    pub fn from_parts(names: &[String], declared: &[String]) -> Result<Tiers, String> {
        let mut tiers = Tiers::new();
        for name in names {
            if tiers.lookup(name).is_some() {
                return Err(format!("tier `{name}` stands twice in the register"));
            }
            tiers.add_within(name, 2 * TIERS_MAX)?;
        }
        tiers.declare(declared)?;
        Ok(tiers)
    }

    /// Declares the store's tiers, lowest rank first, in place of those declared before; an empty list returns to
    /// "any tier is accepted".
    ///
    /// Tiers that customers carry and that are not in the list keep their number and name and lose their rank. A tier
    /// that was seen before is shown as declared from now on.
    ///
    /// # Errors
    ///
    /// A message for people if a name is blank, unusable or stands twice; nothing has changed then.
    pub fn declare<S: AsRef<str>>(&mut self, declared: &[S]) -> Result<(), String> {
        let mut folded: Vec<String> = Vec::with_capacity(declared.len());
        for name in declared {
            let name = checked_name(name.as_ref())?;
            let key = fold(name);
            if folded.contains(&key) {
                return Err(format!("tier `{name}` stands twice; case does not tell tiers apart"));
            }
            folded.push(key);
        }
        if folded.len() > TIERS_MAX {
            return Err(format!("a store declares at most {TIERS_MAX} tiers"));
        }
        self.ranks.fill(None);
        self.declared.clear();
        for (rank, name) in (0u16..).zip(declared) {
            let id = self.add_within(name.as_ref(), 2 * TIERS_MAX)?;
            self.names[usize::from(id.0)] = name.as_ref().trim().to_owned();
            self.ranks[usize::from(id.0)] = Some(rank);
            self.declared.push(id);
        }
        Ok(())
    }

    /// Returns the number of the tier that a cell names, giving it one at first sight.
    ///
    /// `None` means that the store declares its tiers and this is none of them, that the name is blank or has control
    /// characters, or that the register is full.
    pub fn intern(&mut self, cell: &str) -> Option<TierId> {
        if self.is_declared_mode() {
            return self.lookup(cell).filter(|&id| self.rank(id).is_some());
        }
        self.add(cell).ok()
    }

    /// Returns the number of the tier with this name, declared or only seen.
    pub fn lookup(&self, name: &str) -> Option<TierId> {
        self.ids.get(&fold(name.trim())).copied()
    }

    /// Returns a tier's name as it is shown; `None` for `TierId::NONE` and unknown numbers.
    pub fn name(&self, id: TierId) -> Option<&str> {
        self.names.get(usize::from(id.0)).map(String::as_str)
    }

    /// Returns a declared tier's rank, 0 for the lowest.
    pub fn rank(&self, id: TierId) -> Option<u16> {
        self.ranks.get(usize::from(id.0)).copied().flatten()
    }

    /// Whether the store declares its tiers, so that others are refused.
    pub fn is_declared_mode(&self) -> bool {
        !self.declared.is_empty()
    }

    /// Every name by ascending number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The declared tiers, lowest rank first.
    pub fn declared(&self) -> &[TierId] {
        &self.declared
    }

    /// Returns the number of the tier with this name, giving it one at first sight, whether or not tiers are declared:
    /// for names that were accepted before.
    pub fn register(&mut self, name: &str) -> Option<TierId> {
        self.add(name).ok()
    }

    /// Adds a tier unless it is known, whether or not tiers are declared.
    fn add(&mut self, name: &str) -> Result<TierId, String> {
        self.add_within(name, TIERS_MAX)
    }

    /// Declared tiers have room of their own: else a register that files have filled could not be loaded any more once
    /// tiers are declared.
    fn add_within(&mut self, name: &str, names_max: usize) -> Result<TierId, String> {
        let name = checked_name(name)?;
        let key = fold(name);
        if let Some(&id) = self.ids.get(&key) {
            return Ok(id);
        }
        let id = match u16::try_from(self.names.len()) {
            Ok(number) if usize::from(number) < names_max => TierId(number),
            _ => return Err(format!("a store has at most {TIERS_MAX} tiers")),
        };
        self.names.push(name.to_owned());
        self.ranks.push(None);
        self.ids.insert(key, id);
        Ok(id)
    }
}

fn fold(name: &str) -> String {
    name.to_lowercase()
}

fn checked_name(name: &str) -> Result<&str, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("a tier's name is empty".to_owned());
    }
    if name.len() > TIER_NAME_BYTES_MAX {
        return Err(format!("a tier's name is longer than {TIER_NAME_BYTES_MAX} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err("a tier's name has a control character".to_owned());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undeclared_tiers_are_numbered_in_order_of_first_sight_without_regard_to_case() {
        let mut tiers = Tiers::new();
        assert_eq!(tiers.intern(" Gold "), Some(TierId(0)));
        assert_eq!(tiers.intern("silver"), Some(TierId(1)));
        assert_eq!(tiers.intern("GOLD"), Some(TierId(0)));
        assert_eq!(tiers.intern(" "), None);
        assert_eq!(tiers.intern("go\nld"), None);
        assert_eq!(tiers.names(), ["Gold", "silver"]);
        assert_eq!(tiers.rank(TierId(0)), None);
        assert!(!tiers.is_declared_mode());
        assert_eq!(tiers.name(TierId::NONE), None);
    }

    #[test]
    fn declared_tiers_have_ranks_and_others_are_refused() {
        let mut tiers = Tiers::new();
        let _ = tiers.intern("vip");
        let _ = tiers.intern("GOLD");
        tiers.declare(&["Bronze", "Silver", "Gold"]).expect("good names");
        let gold = tiers.intern("gold").expect("declared");
        assert_eq!((gold, tiers.rank(gold), tiers.name(gold)), (TierId(1), Some(2), Some("Gold")));
        assert_eq!(tiers.intern("vip"), None);
        // Customers that carry it keep it, and filters still find it.
        assert_eq!(tiers.lookup("VIP"), Some(TierId(0)));
        assert_eq!(tiers.rank(TierId(0)), None);
        let declared: Vec<_> = tiers.declared().iter().map(|&id| tiers.name(id).expect("known")).collect();
        assert_eq!(declared, ["Bronze", "Silver", "Gold"]);
        let names = declared.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(Tiers::from_parts(tiers.names(), &names), Ok(tiers));
    }

    #[test]
    fn a_declaration_in_error_changes_nothing() {
        let mut tiers = Tiers::new();
        tiers.declare(&["A", "B"]).expect("good names");
        let before = tiers.clone();
        for wrong in [&["A", "a"][..], &["A", " "], &["C", "x\0"]] {
            assert!(tiers.declare(wrong).is_err());
            assert_eq!(tiers, before);
        }
        tiers.declare(&["B", "A"]).expect("a new order");
        assert_eq!(tiers.lookup("a").and_then(|id| tiers.rank(id)), Some(1));
        tiers.declare::<&str>(&[]).expect("none");
        assert!(!tiers.is_declared_mode());
        assert!(tiers.intern("new").is_some());
    }

    #[test]
    fn the_register_does_not_grow_without_bound() {
        let mut tiers = Tiers::new();
        for number in 0..TIERS_MAX {
            assert!(tiers.intern(&number.to_string()).is_some());
        }
        assert_eq!(tiers.intern("one more"), None);
        assert_eq!(tiers.intern("0"), Some(TierId(0)));
        // Declared ones have room of their own.
        tiers.declare(&["one more"]).expect("a declared tier");
        let names = tiers.names().to_vec();
        assert!(Tiers::from_parts(&names, &["another".to_owned()]).is_ok());
        let many: Vec<String> = (0..=TIERS_MAX).map(|number| format!("t{number}")).collect();
        assert!(tiers.declare(&many).is_err());
    }
}
