//! What points were given for, as far as it must be told from other references without reading the entry that says it.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::EntryText;

/// Hashes of a lot's reference type, reference id and promotion; 0: none. Two texts that differ are taken for one with a chance
/// of 2^-64, among the lots of one customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Of the type of what they were given for.
    pub ref_type: u64,
    /// Of what they were given for.
    pub ref_id: u64,
    /// Of the promotion that gave them.
    pub promotion_id: u64,
}

impl Reference {
    /// None of the three.
    pub const NONE: Reference = Reference { ref_type: 0, ref_id: 0, promotion_id: 0 };

    /// That of an entry with these texts.
    pub fn of<'a>(text: impl Fn(EntryText) -> Option<&'a str>) -> Reference {
        let hash = |which| text(which).map_or(0, |text| reference_hash(which, text));
        Reference {
            ref_type: hash(EntryText::RefType),
            ref_id: hash(EntryText::RefId),
            promotion_id: hash(EntryText::PromotionId),
        }
    }

    /// Whether there is one.
    #[inline]
    pub fn is_some(self) -> bool {
        self != Reference::NONE
    }
}

/// The hash of one text of a reference; never 0.
pub fn reference_hash(which: EntryText, text: &str) -> u64 {
    xxh3_64_with_seed(text.as_bytes(), which as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_different_fields_are_different() {
        let own = Reference::of(|which| (which != EntryText::RefId).then_some("order"));
        assert_eq!(own.ref_id, 0);
        assert_ne!(own.ref_type, own.promotion_id);
        assert!(own.is_some() && !Reference::of(|_| None).is_some());
        assert_ne!(reference_hash(EntryText::RefId, "1"), reference_hash(EntryText::RefId, "01"));
    }
}
