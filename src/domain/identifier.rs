//! The forms of a customer's identifiers. A value that was normalised once is equal to every other spelling of it, byte
//! for byte.
//!
//! Common to all kinds: white space and invisible characters (byte-order mark, zero-width space, direction marks, which
//! come along when people copy) around a cell do not count; inside it, control and invisible characters are refused,
//! because two values that look the same must be the same. No value is longer than 254 bytes.
//!
//! - **E-mail**: Unicode lower case, then NFC. A domain in Unicode and the same in Punycode (`xn--…`) stay two values,
//!   dots and `+tags` of the local part are kept: only the mail provider knows what they mean.
//! - **Mobile**: E.164, see `phone`.
//! - **Card**: white space (also no-break spaces) and dashes of every length removed, then ASCII letters and digits only;
//!   letters keep their case.
//! - **User id, external id**: as they are: case, leading zeros and inner spaces count. Refused is what a spreadsheet
//!   makes of a long number (`1.23457E+15`), as many ids look alike then and points would go to the wrong customer.

use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, char::is_combining_mark, is_nfc_quick};

use super::phone::{self, Region};

/// Longest identifier, in bytes after normalisation: the longest address that SMTP can carry (RFC 5321, 4.5.3.1.3).
pub const IDENTIFIER_BYTES_MAX: usize = 254;

/// What an identifier is. Numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// The merchant's own number of the customer.
    UserId = 0,
    /// Another system's number of the customer.
    ExternalId = 1,
    /// An e-mail address.
    Email = 2,
    /// A phone number.
    Mobile = 3,
    /// A loyalty card's number; the only kind of which a customer may have several.
    Card = 4,
}

impl IdentifierKind {
    /// Every kind, by ascending number.
    pub const ALL: &'static [IdentifierKind] = &[
        IdentifierKind::UserId,
        IdentifierKind::ExternalId,
        IdentifierKind::Email,
        IdentifierKind::Mobile,
        IdentifierKind::Card,
    ];

    /// The name of its column, flag and JSON field.
    pub fn name(self) -> &'static str {
        match self {
            IdentifierKind::UserId => "user_id",
            IdentifierKind::ExternalId => "external_id",
            IdentifierKind::Email => "email",
            IdentifierKind::Mobile => "mobile",
            IdentifierKind::Card => "card",
        }
    }

    /// The kind with this stored number, if there is one.
    pub fn from_number(number: u8) -> Option<IdentifierKind> {
        IdentifierKind::ALL.get(usize::from(number)).copied()
    }
}

/// Normalises one cell into `out`, which is cleared first.
///
/// `region` is where a mobile without country code belongs. With `strict_email` an address must be one that mail can be
/// sent to (customer imports); without, only its shape is checked (points files).
///
/// # Errors
///
/// A message fragment that follows the quoted value, such as "has no `@`". What `out` holds then is of no use.
#[inline]
pub fn normalize(
    kind: IdentifierKind,
    cell: &str,
    region: Option<Region>,
    strict_email: bool,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    out.clear();
    let text = trimmed(cell);
    if text.is_empty() {
        return Err("is empty");
    }
    if text.len() > CELL_BYTES_MAX {
        return Err(TOO_LONG);
    }
    match kind {
        IdentifierKind::Email => email(text, strict_email, out),
        IdentifierKind::Mobile => phone::to_e164(text, region, out),
        IdentifierKind::Card => card(text, out),
        IdentifierKind::UserId | IdentifierKind::ExternalId => id(text, out),
    }?;
    if out.len() > IDENTIFIER_BYTES_MAX { Err(TOO_LONG) } else { Ok(()) }
}

/// Appends the normal form of a cell that is written as nearly all are: nothing to trim, ASCII, no separators. Returns
/// false, and leaves `out` as it was, for any other, of which only [`normalize`] can tell what it is.
///
/// The bytes are checked several at a time and copied once; a customer's row has five identifiers, and this is what lets a
/// core read a million rows a second.
#[inline]
pub fn put_plain(kind: IdentifierKind, cell: &[u8], strict_email: bool, out: &mut Vec<u8>) -> bool {
    match kind {
        IdentifierKind::Email => {
            let start = out.len();
            match plain_email(cell, out) {
                Some(shape) if !strict_email || shape.is_sendable(&out[start..]) => true,
                _ => {
                    out.truncate(start);
                    false
                }
            }
        }
        IdentifierKind::Mobile => phone::put_plain(cell, out),
        IdentifierKind::Card => {
            let classes = cell.iter().fold(ALPHANUMERIC, |classes, &byte| classes & BYTE_CLASSES[usize::from(byte)]);
            let is_plain = classes != 0 && !cell.is_empty() && cell.len() <= IDENTIFIER_BYTES_MAX;
            if is_plain {
                out.extend_from_slice(cell);
            }
            is_plain
        }
        IdentifierKind::UserId | IdentifierKind::ExternalId => {
            let edges = cell.first().is_some_and(u8::is_ascii_graphic) && cell.last().is_some_and(u8::is_ascii_graphic);
            let may_be_shortened = matches!(cell, [.., b'E', b'+', _, _]);
            let (ascii, control) = ascii_and_control(cell);
            let is_plain = edges && !may_be_shortened && ascii && !control && cell.len() <= IDENTIFIER_BYTES_MAX;
            if is_plain {
                out.extend_from_slice(cell);
            }
            is_plain
        }
    }
}

const TOO_LONG: &str = "is longer than 254 bytes";

/// Longest cell that is looked at. NFC can shorten a text to a third, separators of cards and phones disappear; four
/// times the limit bounds the work without refusing anything that would fit.
const CELL_BYTES_MAX: usize = 4 * IDENTIFIER_BYTES_MAX;

/// Cuts white space and invisible characters off both ends.
fn trimmed(cell: &str) -> &str {
    let plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if plain(cell.as_bytes().first()) && plain(cell.as_bytes().last()) {
        return cell;
    }
    cell.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Characters that take no place on screen and that people cannot know to be there.
///
/// Not the joiners U+200C and U+200D: Persian and Indic words need them, and they are cut off at the ends only.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Refuses control and invisible characters.
fn check_visible(text: &str) -> Result<(), &'static str> {
    // ASCII, nearly always, without decoding characters.
    let (ascii, control) = ascii_and_control(text.as_bytes());
    if control || !ascii && text.chars().any(char::is_control) {
        return Err("has a control character");
    }
    if !ascii && text.chars().any(is_invisible) {
        return Err("has an invisible character");
    }
    Ok(())
}

/// Whether all bytes are ASCII, and whether any is an ASCII control character.
#[inline]
fn ascii_and_control(bytes: &[u8]) -> (bool, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    if let (Some(first), Some(last), 8..=16) = (bytes.first_chunk(), bytes.last_chunk(), bytes.len()) {
        // Most ids in two steps. Sums stay within their byte while no byte has its high bit; if one has, no more is said.
        let check = |word: u64| {
            let is_space_or_more = word.wrapping_add(ONES * u64::from(0x80 - b' '));
            let is_delete = !((word ^ (ONES * 0x7f)).wrapping_add(ONES * 0x7f));
            (word & HIGH, (!is_space_or_more | is_delete) & HIGH)
        };
        let (one, other) = (check(u64::from_le_bytes(*first)), check(u64::from_le_bytes(*last)));
        if one.0 | other.0 == 0 {
            return (true, one.1 | other.1 != 0);
        }
    }
    // Without early exit, so that it compiles to vector code.
    let (high, control) = bytes
        .iter()
        .fold((0u8, false), |(high, control), &byte| (high | byte, control | (byte < b' ') | (byte == 0x7f)));
    (high < 0x80, control)
}

fn id(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    check_visible(text)?;
    if is_shortened_number(text.as_bytes()) {
        return Err("is a number that a spreadsheet has shortened; format the column as text and export again");
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Whether this is how spreadsheets show a number too long for its column: `1.23457E+15`.
fn is_shortened_number(bytes: &[u8]) -> bool {
    let [mantissa @ .., b'E', b'+', tens, ones] = bytes else { return false };
    let mut parts = mantissa.splitn(2, |byte| matches!(byte, b'.' | b','));
    let is_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    is_digits(&[*tens, *ones]) && matches!(parts.next(), Some([b'0'..=b'9'])) && parts.next().is_none_or(is_digits)
}

fn card(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    for &byte in text.as_bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(byte),
            b' ' | b'-' => {}
            _ => {
                out.clear();
                return unusual_card(text, out);
            }
        }
    }
    if out.is_empty() { Err("has no letter or digit") } else { Ok(()) }
}

/// `card` for cells with more than ASCII letters, digits, spaces and hyphens.
#[cold]
fn unusual_card(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    check_visible(text)?;
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}') {
            continue;
        }
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => return Err("has a character other than letters A to Z, digits, spaces and dashes"),
        }
    }
    if out.is_empty() { Err("has no letter or digit") } else { Ok(()) }
}

fn email(text: &str, strict: bool, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match plain_email(text.as_bytes(), out) {
        Some(shape) if strict && !shape.is_sendable(out) => {
            let at = shape.at as usize;
            check_address(out.get(..at).unwrap_or_default(), out.get(at + 1..).unwrap_or_default())
        }
        Some(_) => Ok(()),
        None => unusual_email(text, strict, out),
    }
}

/// Where an address of at most 64 bytes has its `@`, and a bit for the place of each `.` and `-`.
struct EmailShape {
    at: u32,
    dots: u64,
    hyphens: u64,
}

impl EmailShape {
    /// Whether `check_address` accepts the address, told by its places and one look at each byte: a fifth of its
    /// instructions. Where the last part of the domain ends with a digit only `check_address` can tell, and this says no.
    #[inline]
    fn is_sendable(&self, address: &[u8]) -> bool {
        let (at, length) = (self.at as usize, address.len());
        let (Some(local), Some(domain)) = (address.get(..at), address.get(at + 1..)) else { return false };
        if at == 0 || !(2..=64).contains(&length) {
            return false;
        }
        let before_at = (1_u64 << at) - 1;
        let local_dots = self.dots & before_at;
        let misplaced_dots = local_dots & (local_dots << 1 | 1 | 1 << (at - 1));
        // What stands before the domain's parts.
        let borders = self.dots & !before_at | 1 << at;
        let misplaced_hyphens = self.hyphens & !before_at & (borders << 1 | borders >> 1 | 1 << (length - 1));
        let classes =
            |bytes: &[u8]| bytes.iter().fold(u8::MAX, |classes, &byte| classes & BYTE_CLASSES[usize::from(byte)]);
        misplaced_dots | misplaced_hyphens == 0
            && classes(local) & IN_LOCAL != 0
            && classes(domain) & IN_DOMAIN != 0
            && !domain.last().is_some_and(u8::is_ascii_digit)
    }
}

/// Stands before an `@`.
const IN_LOCAL: u8 = 1;
/// Stands in a domain: letters, digits, `-`, and the dots between.
const IN_DOMAIN: u8 = 2;
/// An ASCII letter or digit.
const ALPHANUMERIC: u8 = 4;

/// What each ASCII byte may be part of.
static BYTE_CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] = IN_LOCAL | IN_DOMAIN | ALPHANUMERIC;
        }
        byte += 1;
    }
    let mut at = 0;
    while at < LOCAL_MARKS.len() {
        classes[LOCAL_MARKS[at] as usize] |= IN_LOCAL;
        at += 1;
    }
    classes[b'-' as usize] |= IN_DOMAIN;
    classes[b'.' as usize] |= IN_DOMAIN;
    classes
};

/// What may stand before an `@` besides letters and digits.
const LOCAL_MARKS: &[u8] = b".!#$%&'*+-/=?^_`{|}~";

/// Lower-cases an ASCII address of 8 to 64 bytes and checks its shape, eight bytes at a time.
///
/// `None` leaves the answer to `unusual_email`, which says what is wrong; `out` is as before then. With a byte at a time
/// this was twice as slow, and e-mail is the most common identifier.
#[inline(never)]
fn plain_email(text: &[u8], out: &mut Vec<u8>) -> Option<EmailShape> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    if !(8..=64).contains(&text.len()) {
        return None;
    }
    let mut lower = [0; 64];
    // Places of `@`, `.` and `-`, a bit for each byte.
    let (mut ats, mut dots, mut hyphens) = (0u64, 0u64, 0u64);
    let mut refused = 0;
    let last = text.len() - 8;
    let mut place = 0;
    loop {
        // The last eight bytes overlap those before them, and give the same bits again.
        let start = place.min(last);
        let word = u64::from_le_bytes(*text.get(start..)?.first_chunk()?);
        // All sums stay within their byte while no byte has its high bit; if one has, `refused` has it too.
        let at_least = |byte: u8| word.wrapping_add(ONES * u64::from(0x80 - byte)) & HIGH;
        let equal = |byte: u8| !((word ^ (ONES * u64::from(byte))).wrapping_add(ONES * 0x7f)) & HIGH;
        refused |= (word & HIGH) | (!at_least(b'!') & HIGH) | equal(0x7f);
        // The high bit of an upper-case letter, moved to 0x20, makes it lower case.
        let folded = word | (at_least(b'A') & !at_least(b'Z' + 1)) >> 2;
        *lower.get_mut(start..)?.first_chunk_mut()? = folded.to_le_bytes();
        // Gathers the high bits of eight bytes in one.
        let places = |mask: u64| ((mask >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << start;
        ats |= places(equal(b'@'));
        dots |= places(equal(b'.'));
        hyphens |= places(equal(b'-'));
        place += 8;
        if place >= text.len() {
            break;
        }
    }
    let at = ats.trailing_zeros();
    let domain_dots = dots & u64::MAX.checked_shl(at)?;
    // An empty part of the domain is two dots in a row, a dot after the `@`, or one at the end.
    let ends_with_dot = text.last() == Some(&b'.');
    let empty_part = domain_dots & (domain_dots | ats) << 1 != 0 || ends_with_dot;
    if refused != 0 || at == 0 || ats.count_ones() != 1 || domain_dots == 0 || empty_part {
        return None;
    }
    out.extend_from_slice(lower.get(..text.len())?);
    Some(EmailShape { at, dots, hyphens })
}

/// The plain twin of `plain_email`: any length and any script, and a reason for every refusal.
fn unusual_email(text: &str, strict: bool, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if text.len() > IDENTIFIER_BYTES_MAX && text.is_ascii() {
        return Err(TOO_LONG);
    }
    out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
    let (ascii, control) = ascii_and_control(out);
    if ascii {
        if control {
            return Err("has a control character");
        }
    } else {
        check_visible(text)?;
        out.clear();
        fold(text, out);
    }

    let Some(at) = memchr::memchr(b'@', out) else { return Err("has no `@`") };
    let (local, domain) = (&out[..at], &out[at + 1..]);
    if local.is_empty() {
        return Err("has nothing before its `@`");
    }
    if local.contains(&b' ') || !ascii && has_space(out) {
        return Err("has a space");
    }
    // One pass over the domain for its `@`, spaces and empty labels.
    let mut dots = 0;
    let mut before = b'.';
    for &byte in domain {
        match byte {
            b'@' => return Err("has more than one `@`"),
            b' ' => return Err("has a space"),
            b'.' if before == b'.' => return Err("has an empty part in its domain"),
            b'.' => dots += 1,
            _ => {}
        }
        before = byte;
    }
    match (domain.is_empty(), dots, before) {
        (true, ..) => Err("has nothing after its `@`"),
        (_, 0, _) => Err("has no dot in its domain"),
        (_, _, b'.') => Err("has an empty part in its domain"),
        _ if strict => check_address(local, domain),
        _ => Ok(()),
    }
}

/// Appends the Unicode lower case of `text` in NFC.
///
/// Composing could make a letter that has a lower case of its own (none of today's does, but Unicode grows), so what was
/// composed is folded once more: what was normalised stays as it is.
#[cold]
fn fold(text: &str, out: &mut Vec<u8>) {
    let mut folded = text.to_lowercase();
    if is_nfc_quick(folded.chars()) != IsNormalized::Yes {
        let composed: String = folded.nfc().collect();
        folded = composed.to_lowercase().nfc().collect();
    }
    out.extend_from_slice(folded.as_bytes());
}

#[cold]
fn has_space(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).chars().any(char::is_whitespace)
}

/// Checks that mail can be sent to an address whose shape is good: RFC 5321 without quoted local parts and literal IP
/// addresses, with the letters of RFC 6531.
fn check_address(local: &[u8], domain: &[u8]) -> Result<(), &'static str> {
    if local.len() > 64 {
        return Err("has more than 64 bytes before its `@`");
    }
    if local.first() == Some(&b'.') || local.last() == Some(&b'.') || local.windows(2).any(|pair| pair == b"..") {
        return Err("has a dot out of place before its `@`");
    }
    let in_local = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || LOCAL_MARKS.contains(byte);
    if !local.iter().all(in_local) {
        return Err("has a character that is not allowed before its `@`");
    }
    for label in domain.split(|&byte| byte == b'.') {
        if label.first() == Some(&b'-') || label.last() == Some(&b'-') {
            return Err("has a hyphen at the edge of a part of its domain");
        }
        if label.len() > 63 && String::from_utf8_lossy(label).chars().count() > 63 {
            return Err("has a part of more than 63 characters in its domain");
        }
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        if !label.iter().all(good) && !is_unicode_label(label) {
            return Err("has a character that is not allowed in a domain");
        }
    }
    if domain.rsplit(|&byte| byte == b'.').next().is_some_and(|last| last.iter().all(u8::is_ascii_digit)) {
        return Err("has only digits in the last part of its domain");
    }
    Ok(())
}

#[cold]
fn is_unicode_label(label: &[u8]) -> bool {
    let good = |c: char| {
        c == '-' || if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() || is_combining_mark(c) }
    };
    String::from_utf8_lossy(label).chars().all(good)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;

    use super::IdentifierKind::{Card, Email, ExternalId, Mobile, UserId};
    use super::*;

    fn normal(kind: IdentifierKind, cell: &str, strict: bool) -> Result<String, &'static str> {
        let mut out = b"left over".to_vec();
        normalize(kind, cell, Region::new("LT"), strict, &mut out)?;
        Ok(String::from_utf8(out).expect("UTF-8 stays UTF-8"))
    }

    #[test]
    fn kinds_have_stable_numbers_and_names() {
        for (number, &kind) in (0u8..).zip(IdentifierKind::ALL) {
            assert_eq!(kind as u8, number);
            assert_eq!(IdentifierKind::from_number(number), Some(kind));
            assert_eq!(serde_json::to_value(kind).expect("a unit variant"), kind.name());
        }
        assert_eq!(IdentifierKind::from_number(5), None);
    }

    proptest! {
        #[test]
        fn a_plain_cell_is_put_as_normalize_puts_it(
            cell in prop_oneof![
                "[a-zA-Z0-9.!#+_-]{1,12}@[a-z0-9.-]{1,12}\\.[a-z0-9-]{1,4}",
                "\\+?[0-9]{6,16}",
                "[A-Za-z0-9 +E.-]{1,20}",
                "[ -~]{1,66}",
                ".{1,20}",
            ],
            strict: bool,
        ) {
            for &kind in IdentifierKind::ALL {
                let mut out = b"before".to_vec();
                let is_plain = put_plain(kind, cell.as_bytes(), strict, &mut out);
                prop_assert_eq!(&out[..6], b"before");
                if is_plain {
                    let put = String::from_utf8(out[6..].to_vec()).expect("ASCII");
                    prop_assert_eq!(Ok(put), normal(kind, &cell, strict));
                } else {
                    prop_assert_eq!(out.len(), 6);
                }
            }
        }

        #[test]
        fn an_address_is_judged_alike_by_its_places_and_byte_by_byte(address in "[aB0.!-]{1,6}@[aB0.-]{1,8}[.][aB-]{1,3}") {
            let mut out = Vec::new();
            if let Some(shape) = plain_email(address.as_bytes(), &mut out) {
                let at = shape.at as usize;
                prop_assert_eq!(shape.is_sendable(&out), check_address(&out[..at], &out[at + 1..]).is_ok());
            }
        }
    }

    #[test]
    fn every_spelling_of_an_identifier_becomes_the_same_bytes() {
        #[rustfmt::skip]
        let cases = [
            (Email, " Ana@Example.COM ", "ana@example.com"), (Email, "\u{feff}ana@example.com\u{a0}", "ana@example.com"),
            (Email, "ana.b+tag@mail.example.com", "ana.b+tag@mail.example.com"), (Email, "\u{202a}a@b.lt\u{202c}", "a@b.lt"),
            (Email, "ŽYGIS@ĮMONĖ.LT", "žygis@įmonė.lt"), (Email, "Z\u{30c}ygis@i\u{328}mone\u{307}.lt", "žygis@įmonė.lt"),
            (Email, "\u{212a}arl@b.de", "karl@b.de"), (Email, "ΝΙΚΟΣ@b.gr", "νικος@b.gr"),
            (UserId, " 00Ab 7 ", "00Ab 7"), (ExternalId, "Č-1", "Č-1"), (UserId, "1E15", "1E15"), (UserId, "12.5E+15", "12.5E+15"),
            (Card, " 1234-5678 9012 ", "123456789012"), (Card, "12\u{a0}34\u{2011}56\u{2013}78", "12345678"), (Card, "AbC-00", "AbC00"),
            (Mobile, " +370 612 34567 ", "+37061234567"), (Mobile, "\u{202a}+37061234567\u{202c}", "+37061234567"),
            (Mobile, "8 612 34567", "+37061234567"),
        ];
        for (kind, cell, value) in cases {
            assert_eq!(normal(kind, cell, false).as_deref(), Ok(value), "{cell:?}");
        }
    }

    #[test]
    fn a_cell_that_is_no_identifier_is_refused_with_its_reason() {
        let long_local = format!("{}@b.lt", "a".repeat(250));
        let long_id = "1".repeat(255);
        #[rustfmt::skip]
        let cases = [
            (Email, "ana.example.com", "has no `@`"), (Email, "@example.com", "nothing before"), (Email, "ana@", "nothing after"),
            (Email, "ana@b@c.lt", "more than one"), (Email, "ana@example", "no dot"), (Email, "ana@.lt", "empty part"),
            (Email, "ana@b.", "empty part"), (Email, "ana@b..lt", "empty part"), (Email, "a na@b.lt", "space"),
            (Email, "ana@b .lt", "space"), (Email, "ana\u{a0}x@b.lt", "space"), (Email, "a\tb@c.lt", "control"),
            (Email, "a\u{85}b@c.lt", "control"), (Email, "a\u{200b}b@c.lt", "invisible"), (Email, "ana＠b.lt", "has no `@`"),
            (Email, long_local.as_str(), "longer"),
            (Email, "", "empty"), (UserId, " \u{feff} ", "empty"),
            (UserId, "a\0b", "control"), (UserId, "a\nb", "control"), (ExternalId, "a\u{200e}b", "invisible"),
            (UserId, "1.23457E+15", "spreadsheet"), (ExternalId, "1,2E+15", "spreadsheet"), (UserId, "4E+15", "spreadsheet"),
            (UserId, long_id.as_str(), "longer"), (Card, long_id.as_str(), "longer"), (Mobile, long_id.as_str(), ""),
            (Card, " - ", "no letter"), (Card, "12/34", "other than"), (Card, "１２", "other than"), (Card, "1.2E+15", "other than"),
            (Card, "č1", "other than"), (Mobile, "3.7061234567E10", ""),
        ];
        for (kind, cell, part) in cases {
            let message = normal(kind, cell, false).expect_err(cell);
            assert!(message.contains(part), "{cell:?}: {message}");
            assert!(!message.ends_with('.') && message.starts_with(|c: char| c.is_lowercase()), "{message}");
        }
    }

    #[test]
    fn an_identifier_may_have_254_bytes_and_the_limit_counts_after_normalising() {
        let email = format!("{}@{}.lt", "a".repeat(64), "b".repeat(186));
        assert_eq!(email.len(), 254);
        assert_eq!(normal(Email, &email, false).as_deref(), Ok(email.as_str()));
        assert!(normal(Email, &format!("a{email}"), false).is_err());
        assert!(normal(UserId, &"ž".repeat(127), false).is_ok());
        assert!(normal(UserId, &"ž".repeat(128), false).is_err());
        let decomposed = format!("{}@b.lt", "e\u{301}".repeat(120));
        assert!(normal(Email, &decomposed, false).is_ok());
    }

    #[test]
    fn an_address_is_valid_as_the_oracle_says() {
        let label63 = format!("a@{}.lt", "b".repeat(63));
        let label64 = format!("a@{}.lt", "b".repeat(64));
        let local64 = format!("{}@b.lt", "a".repeat(64));
        let local65 = format!("{}@b.lt", "a".repeat(65));
        #[rustfmt::skip]
        let cases = [
            ("ana@example.com", true), ("ana.b-c_d+e@mail.example.co.uk", true), ("!#$%&'*+-/=?^_`{|}~@b.lt", true), ("1@2.lt", true),
            ("a@xn--bcher-kva.example", true), ("žygis@įmonė.lt", true), ("a@b-c.lt", true), ("a@1.2.3.lt", true), ("a@b.c", true),
            (&label63, true), (&local64, true), ("a@3com.com", true), ("pelé@example.com", true),
            (".a@b.lt", false), ("a.@b.lt", false), ("a..b@c.lt", false), ("a,b@c.lt", false), ("a;b@c.lt", false), ("a(b)@c.lt", false),
            ("a:b@c.lt", false), ("<a@b.lt>", false), ("a\\b@c.lt", false), ("a\"b@c.lt", false), ("a@-b.lt", false), ("a@b-.lt", false),
            ("a@b_c.lt", false), ("a@b.lt,", false), ("a@b.lt;", false), ("a@[127.0.0.1]", false), ("a@b!.lt", false),
            (&label64, false), (&local65, false), ("a@b/c.lt", false), ("a@b.l-", false), ("a@€.lt", false),
        ];
        for (cell, valid) in cases {
            assert!(normal(Email, cell, false).is_ok(), "{cell} has the shape of an address");
            assert_eq!(normal(Email, cell, true).is_ok(), valid, "{cell}");
            if OURS_ALONE.contains(&cell) {
                continue;
            }
            assert_eq!(email_address::EmailAddress::from_str(cell).is_ok(), valid, "the oracle on {cell}");
        }
        for numeric in ["a@127.0.0.1", "a@b.123"] {
            assert!(normal(Email, numeric, true).is_err());
        }
    }

    /// Where the oracle is laxer: it takes a literal address for a domain, and lets the symbols of local parts into one.
    const OURS_ALONE: &[&str] = &["a@[127.0.0.1]", "a@€.lt", "a@b_c.lt", "a@b!.lt", "a@b/c.lt"];

    proptest! {
        #[test]
        fn what_is_normalised_stays_as_it_is(cell in "\\PC{0,20}|[ -~]{1,12}@[a-z0-9.-]{1,10}\\.(lt|com)|[+0-9 ()-]{5,18}|.{0,12}@.{1,8}\\.lt") {
            for &kind in IdentifierKind::ALL {
                for strict in [false, true] {
                    if let Ok(value) = normal(kind, &cell, strict) {
                        prop_assert_eq!(normal(kind, &value, strict), Ok(value.clone()));
                        prop_assert!(value.len() <= IDENTIFIER_BYTES_MAX && !value.is_empty());
                    }
                }
            }
        }

        #[test]
        fn an_address_is_answered_alike_by_both_paths(cell in "[ -~]{0,40}@[a-zA-Z.]{0,30}|[a-zA-Z@.]{1,70}|[a-z@. \u{7f}\u{1f}é]{6,12}|[a-z]{1,60}@[a-z]{1,8}\\.[a-z]{1,3}") {
            if let Some(shape) = plain_email(cell.as_bytes(), &mut Vec::new()) {
                prop_assert_eq!(cell.as_bytes()[shape.at as usize], b'@');
            }
            for strict in [false, true] {
                let (mut quick, mut plain) = (Vec::new(), Vec::new());
                let answer = email(&cell, strict, &mut quick);
                prop_assert_eq!(answer, unusual_email(&cell, strict, &mut plain));
                prop_assert!(answer.is_err() || quick == plain);
            }
        }

        #[test]
        fn a_valid_address_is_valid_to_the_oracle_too(cell in "[a-z0-9.!#$%&'*+/=?^_`{|}~(),:;<>@-]{1,12}@[a-z0-9-]{1,8}(\\.[a-z0-9-]{1,8}){0,2}") {
            if normal(Email, &cell, true).is_ok() {
                prop_assert!(email_address::EmailAddress::from_str(&cell).is_ok());
            }
        }
    }
}
