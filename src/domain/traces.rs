//! What gives a person away in texts that others wrote: so that it can be taken out of them.
//!
//! An address, a phone number, a longer id, a full name belong to one person wherever they stand. A short id (`17`) or a
//! first name do not: these are looked for only where it is known that the text is about the person.

use std::ops::Range;

use super::{customer::Customer, identifier::IdentifierKind};

/// Characters from which on an id or a name is looked for everywhere.
const STRONG_CHARS_MIN: usize = 6;
/// Last digits of a phone number by which it is known in whatever way it is written: with a country code, without, with an
/// area code's leading digit.
const PHONE_DIGITS: usize = 8;
/// What stands in the place of each byte that is taken out, so that a stored text keeps its length.
const ERASED: &str = "*";

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// Normalised.
    identifiers: Vec<(IdentifierKind, String)>,
    /// In lower case, as all that follow.
    names: Vec<String>,
    strong: Vec<String>,
    weak: Vec<String>,
    /// Digits of phone numbers.
    phones: Vec<String>,
    /// Digits of cards, which are often written in groups.
    cards: Vec<String>,
    /// Cards with letters, likewise.
    grouped: Vec<String>,
}

/// A text in lower case, each character with its bytes in the text.
struct Folded {
    chars: Vec<char>,
    bytes: Vec<Range<usize>>,
}

impl Folded {
    fn of(text: &str) -> Folded {
        let mut folded = Folded { chars: Vec::with_capacity(text.len()), bytes: Vec::with_capacity(text.len()) };
        for (at, character) in text.char_indices() {
            // However wide a space is, and whichever apostrophe somebody typed.
            if character.is_whitespace() {
                if folded.chars.last() == Some(&' ')
                    && let Some(space) = folded.bytes.last_mut()
                {
                    space.end = at + character.len_utf8();
                    continue;
                }
                folded.chars.push(' ');
                folded.bytes.push(at..at + character.len_utf8());
                continue;
            }
            let character_length = character.len_utf8();
            let character = if "\u{2019}\u{2bc}\u{b4}`".contains(character) { '\'' } else { character };
            for lower in character.to_lowercase() {
                folded.chars.push(lower);
                folded.bytes.push(at..at + character_length);
            }
        }
        folded
    }

    fn is_word(&self, at: Option<usize>) -> bool {
        at.and_then(|at| self.chars.get(at)).is_some_and(|character| character.is_alphanumeric())
    }

    /// Whether an address would begin further left: with a letter, or with a mark and a letter before it.
    fn begins_before(&self, last: Option<usize>, before: Option<usize>) -> bool {
        let is_mark = last.and_then(|at| self.chars.get(at)).is_some_and(|mark| ".-_+".contains(*mark));
        self.is_word(last) || (is_mark && self.is_word(before))
    }

    /// Whether an address would go on here: with a letter, or with the two letters of a country (`…@x.com.au`). Any other end
    /// is that of a file's name, or of a sentence.
    fn goes_on(&self, next: usize) -> bool {
        let is_country = self.chars.get(next) == Some(&'.')
            && self.is_word(Some(next + 1))
            && self.is_word(Some(next + 2))
            && !self.is_word(Some(next + 3));
        self.is_word(Some(next)) || is_country
    }

    /// Where letters and digits stand that follow each other, whatever people write between them.
    fn find_grouped(&self, needle: &str, found: &mut Vec<Range<usize>>) {
        let needle: Vec<char> = needle.chars().collect();
        let is_gap = |c: &char| " -.\u{2010}\u{2011}\u{2013}".contains(*c);
        let places: Vec<usize> = (0..self.chars.len()).filter(|&at| !is_gap(&self.chars[at])).collect();
        for window in places.windows(needle.len().max(1)) {
            let (Some(&first), Some(&last)) = (window.first(), window.last()) else { continue };
            let is_same = window.iter().zip(&needle).all(|(&at, wanted)| self.chars[at] == *wanted);
            let is_part = self.is_word(first.checked_sub(1)) || self.is_word(Some(last + 1));
            if is_same && !needle.is_empty() && !is_part {
                found.push(self.bytes[first].start..self.bytes[last].end);
            }
        }
    }

    /// Where a word stands on its own.
    fn find(&self, needle: &str, found: &mut Vec<Range<usize>>) {
        let needle = Folded::of(needle).chars;
        if needle.is_empty() {
            return;
        }
        let is_address = needle.contains(&'@');
        for (start, window) in self.chars.windows(needle.len()).enumerate() {
            if window != needle {
                continue;
            }
            let (before, after) = (start.checked_sub(1), Some(start + needle.len()));
            let is_part = if is_address {
                self.begins_before(before, start.checked_sub(2)) || self.goes_on(start + needle.len())
            } else {
                let starts_word = needle.first().is_some_and(|first| first.is_alphanumeric());
                (starts_word && self.is_word(before)) || self.is_word(after)
            };
            if !is_part {
                found.push(self.bytes[start].start..self.bytes[start + needle.len() - 1].end);
            }
        }
    }

    /// Runs of digits, whatever people write between them: the digits, and the place of each.
    fn numbers(&self) -> Vec<(String, Vec<usize>)> {
        let mut runs: Vec<(String, Vec<usize>)> = Vec::new();
        let mut is_open = false;
        for (at, &character) in self.chars.iter().enumerate() {
            if character.is_ascii_digit() {
                if !is_open {
                    runs.push(Default::default());
                }
                if let Some((digits, places)) = runs.last_mut() {
                    digits.push(character);
                    places.push(at);
                }
                is_open = true;
            } else if !" -().\u{a0}\u{2010}\u{2011}\u{2013}".contains(character) {
                is_open = false;
            }
        }
        runs
    }
}

impl Traces {
    /// What gives this customer away.
    pub fn of(customer: &Customer) -> Traces {
        let mut traces = Traces::default();
        let change = customer.as_change();
        for (kind, value) in change.identifiers() {
            traces.identifiers.push((kind, value.to_owned()));
            let folded = value.to_lowercase();
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            match kind {
                IdentifierKind::Mobile => traces.phones.push(digits),
                IdentifierKind::Card if digits.len() == value.len() && digits.len() >= STRONG_CHARS_MIN => {
                    traces.cards.push(digits);
                }
                IdentifierKind::Card if value.len() >= STRONG_CHARS_MIN => traces.grouped.push(folded.clone()),
                _ => {}
            }
            let is_strong = kind == IdentifierKind::Email || folded.chars().count() >= STRONG_CHARS_MIN;
            if is_strong { traces.strong.push(folded) } else { traces.weak.push(folded) }
        }
        for name in change.names() {
            let name = name.trim().to_lowercase();
            let is_full = name.contains(char::is_whitespace) && name.chars().count() >= STRONG_CHARS_MIN;
            if is_full {
                traces.strong.push(name.clone())
            } else {
                traces.weak.push(name.clone())
            }
            traces.names.push(name);
        }
        traces
    }

    /// Whether a normalised identifier is the person's.
    pub fn has_identifier(&self, kind: IdentifierKind, value: &str) -> bool {
        self.identifiers.iter().any(|(other, known)| *other == kind && known == value)
    }

    /// Whether a cell holds the person's name and nothing else.
    pub fn is_name(&self, cell: &str) -> bool {
        let cell = cell.trim().to_lowercase();
        !cell.is_empty() && self.names.contains(&cell)
    }

    /// The person's identifiers, normalised.
    pub fn identifiers(&self) -> &[(IdentifierKind, String)] {
        &self.identifiers
    }

    /// Whether a text gives the person away. `is_own` says that it is known to be about the person.
    pub fn stand_in(&self, text: &str, is_own: bool) -> bool {
        !self.find(text, is_own).is_empty()
    }

    /// The text with what gives the person away blotted out, as long as it was; none if there is nothing of it.
    pub fn blotted(&self, text: &str, is_own: bool) -> Option<String> {
        let mut blotted = self.blotted_once(text, is_own)?;
        // What touched a part that is gone may stand on its own now.
        while let Some(more) = self.blotted_once(&blotted, is_own) {
            blotted = more;
        }
        Some(blotted)
    }

    fn blotted_once(&self, text: &str, is_own: bool) -> Option<String> {
        let mut found = self.find(text, is_own);
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|range| (range.start, range.end));
        let (mut blotted, mut end) = (String::with_capacity(text.len()), 0);
        for range in found {
            let start = range.start.max(end);
            if range.end <= end {
                continue;
            }
            blotted.push_str(&text[end..start]);
            blotted.push_str(&ERASED.repeat(range.end - start));
            end = range.end;
        }
        blotted.push_str(&text[end..]);
        Some(blotted)
    }

    fn find(&self, text: &str, is_own: bool) -> Vec<Range<usize>> {
        let folded = Folded::of(text);
        let mut found = Vec::new();
        self.strong.iter().for_each(|needle| folded.find(needle, &mut found));
        self.grouped.iter().for_each(|needle| folded.find_grouped(needle, &mut found));
        if is_own {
            self.weak.iter().for_each(|needle| folded.find(needle, &mut found));
        }
        if self.phones.is_empty() && self.cards.is_empty() {
            return found;
        }
        for (digits, places) in folded.numbers() {
            let mut note = |from: usize, to: usize| {
                if let (Some(&first), Some(&last)) = (places.get(from), places.get(to - 1)) {
                    found.push(folded.bytes[first].start..folded.bytes[last].end);
                }
            };
            for phone in &self.phones {
                let tail = phone.get(phone.len().saturating_sub(PHONE_DIGITS)..).unwrap_or_default();
                if tail.len() >= PHONE_DIGITS && digits.ends_with(tail) {
                    note(0, digits.len());
                }
            }
            for number in self.phones.iter().chain(&self.cards).filter(|number| !number.is_empty()) {
                for (start, _) in digits.match_indices(number.as_str()) {
                    let end = start + number.len();
                    // Digits that touch it make it another number; those with something between do not.
                    let touches = |one: usize, other: usize| places[one] + 1 == places[other];
                    let is_part =
                        (start > 0 && touches(start - 1, start)) || (end < digits.len() && touches(end - 1, end));
                    if !is_part {
                        note(start, end);
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ana() -> Traces {
        Traces::of(&Customer {
            user_id: Some("17".to_owned()),
            external_id: Some("CRM-004711".to_owned()),
            email: Some("ana@example.com".to_owned()),
            mobile: Some("+37061234567".to_owned()),
            cards: vec!["4000123412341234".to_owned(), "KEYANA7".to_owned()],
            name: Some("Ana Kęs".to_owned()),
            ..Customer::default()
        })
    }

    #[test]
    fn what_gives_a_person_away_is_blotted_out() {
        for (text, is_own, expected) in [
            ("sorry, ana@example.com!", false, "sorry, ***************!"),
            ("sorry, Ana@Example.COM.", false, "sorry, ***************."),
            ("for diana@example.com, maria.ana@example.com", false, ""),
            ("for ana@example.com.uk", false, ""),
            ("call +370 612 34 567 now", false, "call +************** now"),
            ("call +37061234567 now", false, "call ************ now"),
            ("call 8-612-34567", false, "call ***********"),
            ("call 0037061234567", false, "call *************"),
            ("call 37061234568", false, ""),
            ("12 37061234567 34", false, "12 *********** 34"),
            ("card 4000 1234 1234 1234", false, "card *******************"),
            ("card 140001234123412341", false, ""),
            ("CRM-004711: thanks", false, "**********: thanks"),
            ("xCRM-004711", false, ""),
            ("ANA KĘS asked", false, "******** asked"),
            ("ana  kęs asked, and so did Ana\u{a0}Kęs", false, "********* asked, and so did *********"),
            (
                "the file ana@example.com.csv, ana@example.com-rejects.csv",
                false,
                "the file ***************.csv, ***************-rejects.csv",
            ),
            ("x_ana@example.com", false, ""),
            ("card Key-Ana 7 and KEY ANA-7, but not KEYANA77", false, "card ********* and *********, but not KEYANA77"),
            ("17 points for 17", false, ""),
            ("17 points for 17", true, "** points for **"),
            ("1700 points", true, ""),
            ("", true, ""),
        ] {
            let expected = Some(expected.to_owned()).filter(|expected| !expected.is_empty());
            assert_eq!(ana().blotted(text, is_own), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_blotted_text_keeps_its_length_and_gives_nothing_away(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "ana@example.com", "+370 612 34567", "Ana Kęs", "4000-1234-1234-1234", "ž", " ", ",", "x", "9", "İ",
                ]),
                0..8,
            ),
            is_own: bool,
        ) {
            let text = parts.concat();
            if let Some(blotted) = ana().blotted(&text, is_own) {
                prop_assert_eq!(blotted.len(), text.len());
                prop_assert_eq!(ana().blotted(&blotted, is_own), None, "{}", blotted);
            }
        }
    }
}
