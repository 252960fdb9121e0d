//! Phone numbers to E.164.
//!
//! `+` or `00` and a calling code: taken as it stands, if the calling code exists and as many digits may follow it.
//! That needs no more than a table (`lengths`), and is what nearly every row costs. A number without them may be one
//! that begins with its calling code (`37061234567`) or one as it is dialled at home (`861234567`); rlibphonenumber
//! reads the latter. Its 1 µs is the budget of five rows, so it is asked only where its answer can matter.
//!
//! Letters are refused before anything else: `3.7061234567E10` is what a spreadsheet makes of a number, and libraries
//! read the digits in it.

mod lengths;

use std::fmt;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use lengths::CALLING_CODES;

/// The region in which numbers without a calling code are dialled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Region {
    region: rlibphonenumber::Region,
    code: [u8; 2],
    /// Its calling code in digits, padded with zeros behind; `calling_digits` of them count.
    calling: [u8; 3],
    calling_digits: u8,
    /// Most digits of a national number.
    longest: u8,
    /// See `CallingCode::strippable`.
    strippable: u16,
}

impl Region {
    /// Returns the region with this ISO 3166 code (`LT`, in any case), if libphonenumber knows it.
    pub fn new(code: &str) -> Option<Region> {
        let &[first, second] = code.as_bytes() else { return None };
        let code = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
        let region = rlibphonenumber::Region::from_code(str::from_utf8(&code).ok()?).ok()?;
        let calling = u16::try_from(PHONE_NUMBER_UTIL.get_country_code_for_region(region)?).ok()?;
        let known = CALLING_CODES.iter().find(|known| known.code == calling)?;
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(calling).as_bytes();
        let mut padded = [b'0'; 3];
        padded.get_mut(..digits.len())?.copy_from_slice(digits);
        Some(Region {
            region,
            code,
            calling: padded,
            calling_digits: u8::try_from(digits.len()).ok()?,
            longest: u8::try_from(known.lengths.checked_ilog2()?).ok()?,
            strippable: known.strippable,
        })
    }

    /// The ISO 3166 code, in upper case.
    pub fn code(&self) -> &str {
        // Always two letters.
        str::from_utf8(&self.code).unwrap_or_default()
    }

    /// The digits after the region's own calling code, if `digits` begins with it.
    fn after_calling_code<'a>(&self, digits: &'a [u8]) -> Option<&'a [u8]> {
        digits.strip_prefix(self.calling.get(..usize::from(self.calling_digits))?)
    }

    /// Whether `digits` may carry a prefix that is dialled and not part of the number.
    fn may_have_prefix(&self, digits: &[u8]) -> bool {
        digits.first().is_none_or(|digit| self.strippable >> (digit & 0x0f) & 1 == 1)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Region").field(&self.code()).finish()
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Region, D::Error> {
        let code = String::deserialize(deserializer)?;
        Region::new(&code).ok_or_else(|| de::Error::custom(format!("`{code}` is not a region's code")))
    }
}

/// Appends the E.164 form of the number in `cell`, `+` and digits, to `out`, which is cleared first.
///
/// Space, no-break space, `-`, `.`, `(`, `)` and `/` may stand anywhere. A zero in brackets after a calling code,
/// `+44 (0)20 …`, is refused: it is not dialled after most calling codes and is after some (Italy), and taken as it
/// stands it could give a number that exists and is not meant.
///
/// # Errors
///
/// A message fragment that follows the quoted value; `out` is then of no use.
#[inline]
pub fn to_e164(cell: &str, region: Option<Region>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    out.clear();
    // `+` and digits alone: one look at the table, one copy.
    if put_plain(cell.as_bytes(), out) {
        return Ok(());
    }
    separated(cell, region, out)
}

/// Appends the number in `cell` if it is `+` and digits alone and possible, its E.164 form then; else returns false and
/// leaves `out` as it was.
#[inline]
pub fn put_plain(cell: &[u8], out: &mut Vec<u8>) -> bool {
    let is_plain = matches!(cell, [b'+', digits @ ..] if are_digits(digits) && check_international(digits).is_ok());
    if is_plain {
        out.extend_from_slice(cell);
    }
    is_plain
}

/// Digits with which a number may be written: a long prefix and the longest number there is.
const DIGITS_MAX: usize = 24;

/// How a number begins.
enum Written {
    /// With `+`.
    International,
    /// With a digit.
    Bare,
}

/// A number's digits as written, without separators.
struct Digits {
    written: Written,
    digits: [u8; DIGITS_MAX],
    length: usize,
    /// Whether brackets stand anywhere.
    brackets: bool,
}

fn read_digits(cell: &str) -> Result<Digits, &'static str> {
    let mut read = Digits { written: Written::Bare, digits: [0; DIGITS_MAX], length: 0, brackets: false };
    let mut rest = cell.as_bytes();
    loop {
        rest = match rest {
            [digit @ b'0'..=b'9', rest @ ..] => {
                *read.digits.get_mut(read.length).ok_or_else(|| complaint(cell))? = *digit;
                read.length += 1;
                rest
            }
            // 0xC2 0xA0 is the no-break space.
            [b' ' | b'-' | b'.' | b'/', rest @ ..] | [0xc2, 0xa0, rest @ ..] => rest,
            [b'(' | b')', rest @ ..] => {
                read.brackets = true;
                rest
            }
            [b'+', rest @ ..] if read.length == 0 && matches!(read.written, Written::Bare) => {
                read.written = Written::International;
                rest
            }
            [] if read.length > 0 => return Ok(read),
            _ => return Err(complaint(cell)),
        };
    }
}

/// Says why `read_digits` refused a cell: letters first, as they tell most about what went wrong.
#[cold]
fn complaint(cell: &str) -> &'static str {
    let separator = |c: char| matches!(c, ' ' | '\u{a0}' | '-' | '.' | '(' | ')' | '/');
    if cell.chars().any(char::is_alphabetic) {
        "has a letter where a phone number has digits"
    } else if !cell.chars().all(|c| c.is_ascii_digit() || c == '+' || separator(c)) {
        "has a character that is not part of a phone number"
    } else if !cell.contains(|c: char| c.is_ascii_digit()) {
        "has no digits"
    } else if cell.trim_start_matches(separator).trim_start_matches('+').contains('+') || cell.contains("++") {
        "has a `+` that is not at its start"
    } else {
        "has too many digits for a phone number"
    }
}

/// Whether these are all ASCII digits; 8 to 16 of them, as most numbers have, in two steps.
#[inline]
fn are_digits(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (Some(first), Some(last), 8..=16) = (bytes.first_chunk(), bytes.last_chunk(), bytes.len()) else {
        return bytes.iter().all(u8::is_ascii_digit);
    };
    // A digit less `0` and a digit plus what `9` lacks to 0x7f both keep the high bit clear. The lowest byte that is no
    // digit sets it in one of the two whatever it carries into the bytes above.
    let strays = |word: u64| {
        (word | word.wrapping_add(ONES * u64::from(0x7f - b'9')) | word.wrapping_sub(ONES * u64::from(b'0')))
            & (ONES * 0x80)
    };
    strays(u64::from_le_bytes(*first)) | strays(u64::from_le_bytes(*last)) == 0
}

/// `to_e164` for cells that are more than `+` and digits. Apart from it, so that the short path stays small.
#[inline(never)]
fn separated(cell: &str, region: Option<Region>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let read = read_digits(cell)?;
    match (read.written, read.digits.get(..read.length).unwrap_or_default()) {
        (Written::International, digits) | (Written::Bare, [b'0', b'0', digits @ ..]) => {
            if read.brackets && cell.contains("(0)") {
                return Err("has a zero in brackets after its calling code; leave it out unless it is always dialled");
            }
            check_international(digits)?;
            push_international(digits, out);
            Ok(())
        }
        (Written::Bare, digits) => bare(digits, region, out),
    }
}

/// Decides on a number without `+` or `00`.
fn bare(digits: &[u8], region: Option<Region>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let international = check_international(digits).is_ok();
    let Some(region) = region else {
        if !international {
            return Err("is no phone number with a calling code, and the store has no default region");
        }
        push_international(digits, out);
        return Ok(());
    };
    if international && has_one_reading(digits, region) {
        push_international(digits, out);
        return Ok(());
    }
    bare_by_library(digits, international, region, out)
}

/// Whether a possible international number cannot be another number dialled at home.
///
/// With more digits than a national number may have, and no prefix to strip from them, it is none. rlibphonenumber
/// strips the region's own calling code then; what is left may have no prefix either, or it would be another number.
fn has_one_reading(digits: &[u8], region: Region) -> bool {
    digits.len() > usize::from(region.longest)
        && !region.may_have_prefix(digits)
        && region.after_calling_code(digits).is_none_or(|national| !region.may_have_prefix(national))
}

/// The plain twin of `has_one_reading`: asks rlibphonenumber for the national reading, and weighs both.
#[cold]
fn bare_by_library(digits: &[u8], international: bool, region: Region, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let national = parse_valid(str::from_utf8(digits).unwrap_or_default(), Some(region));
    out.clear();
    push_international(digits, out);
    match national {
        None if international => Ok(()),
        None => Err("is no phone number with a calling code, and none of the default region"),
        Some(national) if !international || national.as_bytes() == out.as_slice() => {
            out.clear();
            out.extend_from_slice(national.as_bytes());
            Ok(())
        }
        Some(national) => {
            if is_valid_as_it_stands(digits) {
                return Err("can be read with a calling code and as a number of the default region; write it with `+`");
            }
            out.clear();
            out.extend_from_slice(national.as_bytes());
            Ok(())
        }
    }
}

/// Returns the E.164 form of a number that rlibphonenumber reads and finds valid, and that can be read again: Canada's
/// 310-1234 is valid and cannot be dialled from abroad.
fn parse_valid(text: &str, region: Option<Region>) -> Option<String> {
    let number = PhoneNumber::parse(text, region.map(|region| region.region)).ok()?;
    if !number.is_valid() {
        return None;
    }
    let written = number.format_as(PhoneNumberFormat::E164).into_owned();
    check_international(written.strip_prefix('+')?.as_bytes()).is_ok().then_some(written)
}

/// Whether rlibphonenumber finds a possible international number valid.
///
/// The number is not parsed: parsing strips a prefix even after a calling code, and would judge another number.
fn is_valid_as_it_stands(digits: &[u8]) -> bool {
    let Ok((code, national)) = check_international(digits).map(|length| digits.split_at(length)) else { return false };
    let value = |digits: &[u8]| str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let (Some(code), Some(national_number)) = (value(code).and_then(|code| i32::try_from(code).ok()), value(national))
    else {
        return false;
    };
    let zeros = national.iter().take_while(|&&digit| digit == b'0').count();
    let number = PhoneNumber {
        country_code: code,
        national_number,
        italian_leading_zero: (zeros > 0).then_some(true),
        number_of_leading_zeros: i32::try_from(zeros).ok().filter(|&zeros| zeros > 1),
        ..PhoneNumber::default()
    };
    number.is_valid()
}

fn push_international(digits: &[u8], out: &mut Vec<u8>) {
    out.push(b'+');
    out.extend_from_slice(digits);
}

/// Checks that `digits`, ASCII digits all, begin with a calling code and that the right number of digits follows.
/// Returns how many digits the calling code has.
#[inline]
fn check_international(digits: &[u8]) -> Result<usize, &'static str> {
    const NO_CODE: &str = "begins with a calling code that does not exist";
    let mut code = 0;
    // No calling code is the beginning of another, so the first that is found is the one.
    for (place, digit) in digits.iter().take(3).enumerate() {
        code = code * 10 + usize::from(digit - b'0');
        // Codes do not begin with 0, so `007` must not reach the entry of 7.
        if code == 0 {
            return Err(NO_CODE);
        }
        let lengths = LENGTHS.get(code).copied().unwrap_or(0);
        if lengths != 0 {
            let national = digits.len() - place - 1;
            let possible = national < 32 && lengths >> national & 1 == 1;
            return if possible {
                Ok(place + 1)
            } else {
                Err("has a number of digits that its calling code does not have")
            };
        }
    }
    Err(if digits.is_empty() { "has no digits" } else { NO_CODE })
}

/// `CallingCode::lengths` by calling code; 0 where there is none.
static LENGTHS: [u32; 1000] = {
    let mut lengths = [0; 1000];
    let mut i = 0;
    while i < CALLING_CODES.len() {
        lengths[CALLING_CODES[i].code as usize] = CALLING_CODES[i].lengths;
        i += 1;
    }
    lengths
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rlibphonenumber::{NumberLengthType, PhoneNumberType};

    use super::*;

    fn e164(cell: &str, region: &str) -> Result<String, &'static str> {
        let mut out = b"left over".to_vec();
        to_e164(cell, Region::new(region), &mut out)?;
        Ok(String::from_utf8(out).expect("ASCII"))
    }

    /// Enough to meet every shape of number; all ten types take a minute without optimisation.
    const NUMBER_TYPES: &[PhoneNumberType] =
        &[PhoneNumberType::FixedLine, PhoneNumberType::Mobile, PhoneNumberType::TollFree, PhoneNumberType::UAN];

    fn regions() -> Vec<rlibphonenumber::Region> {
        let mut regions: Vec<_> = PHONE_NUMBER_UTIL.get_supported_regions().collect();
        regions.sort_unstable();
        regions
    }

    #[test]
    fn a_number_is_read_in_its_usual_spellings() {
        #[rustfmt::skip]
        let cases = [
            ("+37061234567", "", "+37061234567"), ("+370 612 34567", "", "+37061234567"), ("+370-612-34567", "LT", "+37061234567"),
            ("+370\u{a0}(612)\u{a0}34567", "", "+37061234567"), ("(+370) 612/34.567", "", "+37061234567"),
            ("0037061234567", "", "+37061234567"), ("00 370 612 34567", "US", "+37061234567"), ("37061234567", "", "+37061234567"),
            ("37061234567", "LT", "+37061234567"), ("370 612 34567", "LT", "+37061234567"), ("861234567", "LT", "+37061234567"),
            ("8 (612) 34567", "LT", "+37061234567"), ("061234567", "LT", "+37061234567"), ("61234567", "LT", "+37061234567"),
            ("919812345678", "LT", "+919812345678"), ("07911 123456", "GB", "+447911123456"), ("447911123456", "LT", "+447911123456"),
            ("4155552671", "US", "+14155552671"), ("14155552671", "US", "+14155552671"), ("+39 06 698 1234", "", "+39066981234"),
            ("06 6982 1234", "IT", "+390669821234"), ("8 912 345-67-89", "RU", "+79123456789"), ("+80012345678", "", "+80012345678"),
            // As it stands this is no German number, without the zero it is.
            ("490151 23456789", "DE", "+4915123456789"), ("0151 23456789", "DE", "+4915123456789"),
            // Without a region nothing tells that this is Lithuanian: China has numbers of seven digits.
            ("861234567", "", "+861234567"),
        ];
        for (cell, region, number) in cases {
            assert_eq!(e164(cell, region).as_deref(), Ok(number), "{cell} in {region}");
        }
    }

    #[test]
    fn a_cell_that_is_no_number_is_refused_with_its_reason() {
        #[rustfmt::skip]
        let cases = [
            ("3.7061234567E10", "LT", "letter"), ("3.7061234567e+10", "LT", "letter"), ("+3367a829916", "", "letter"),
            ("+1 800 FLOWERS", "US", "letter"), ("+37061234567 ext 5", "LT", "letter"), ("+37061234567;", "LT", "character"),
            ("+37061234567,+37061234568", "LT", "character"), ("tel:+37061234567", "LT", "letter"), ("+370\t61234567", "LT", "character"),
            ("＋37061234567", "LT", "character"), ("+３7061234567", "LT", "character"), ("*100#", "LT", "character"),
            ("370+61234567", "LT", "`+`"), ("++37061234567", "LT", "`+`"), ("+", "LT", "no digits"), ("", "LT", "no digits"),
            ("-", "LT", "no digits"), ("+3706123456", "LT", "number of digits"), ("+370612345678", "LT", "number of digits"),
            ("+99961234567", "LT", "does not exist"), ("+07061234567", "", "does not exist"), ("+0037061234567", "LT", "does not exist"),
            ("+3", "LT", "does not exist"), ("00", "LT", "no digits"), ("+370", "LT", "number of digits"),
            ("+44 (0)20 7946 0958", "GB", "brackets"), ("0049 (0)151 23456789", "DE", "brackets"),
            ("061234567", "", "default region"), ("12345", "LT", "default region"), ("0", "LT", "default region"),
            ("1111111111111111111111111", "LT", "too many"), ("+1111111111111111111111111111111111", "LT", ""),
        ];
        for (cell, region, part) in cases {
            let message = e164(cell, region).expect_err(cell);
            assert!(message.contains(part), "{cell}: {message}");
        }
    }

    #[test]
    fn a_number_with_two_good_readings_is_refused() {
        for (cell, region) in [("32 1234 5678", "IT"), ("20 301 234 56", "DE"), ("3227123456", "LU")] {
            assert!(e164(cell, region).expect_err(cell).contains("can be read"), "{cell} in {region}");
        }
        let mut refused = 0;
        for code in [20, 27, 31, 32, 33, 34] {
            for region in regions() {
                let region = Region::new(&region.as_region_str()).expect("supported");
                let Ok(example) = PHONE_NUMBER_UTIL.get_example_number(region.region) else { continue };
                let digits = format!("{code}{}", example.national_number);
                let international = check_international(digits.as_bytes()).is_ok();
                let national = parse_valid(&digits, Some(region));
                let abroad = is_valid_as_it_stands(digits.as_bytes());
                let answer = e164(&digits, region.code());
                match (international, national, abroad) {
                    (true, Some(national), true) if national[1..] != digits => {
                        assert!(answer.is_err(), "{digits} in {region:?}");
                        refused += 1;
                    }
                    (true, None, _) => assert_eq!(answer, Ok(format!("+{digits}"))),
                    (_, Some(national), _) => assert_eq!(answer, Ok(national)),
                    (false, None, _) => assert!(answer.is_err()),
                }
            }
        }
        assert!(refused >= 10, "{refused}");
    }

    #[test]
    fn the_table_is_what_the_library_says() {
        let mut wrong = String::new();
        for code in 0..1100u16 {
            let mut lengths = 0u32;
            for length in 1..=20u32 {
                let number = PhoneNumber {
                    country_code: i32::from(code),
                    national_number: 10u64.pow(length.min(19)) / 9,
                    italian_leading_zero: (length == 20).then_some(true),
                    ..PhoneNumber::default()
                };
                if number.is_possible_with_reason() == Ok(NumberLengthType::IsPossible) {
                    lengths |= 1 << length;
                }
            }
            let known = CALLING_CODES.iter().find(|known| known.code == code).map_or(0, |known| known.lengths);
            if known != lengths {
                wrong += &format!("CallingCode {{ code: {code}, lengths: {lengths:#07x}, strippable: .. }},\n");
            }
        }
        assert!(wrong.is_empty(), "lengths.rs differs from the library, which says:\n{wrong}");
        assert!(CALLING_CODES.is_sorted_by_key(|known| known.code));
        // No code begins another, which `check_international` relies on.
        for known in CALLING_CODES {
            assert!(LENGTHS[usize::from(known.code / 10)] == 0 || known.code < 10, "{}", known.code);
            assert!(LENGTHS[usize::from(known.code / 100)] == 0 || known.code < 100, "{}", known.code);
        }
    }

    #[test]
    fn every_example_number_comes_back_as_itself_in_every_region() {
        let mut ambiguous = Vec::new();
        let mut examples = 0;
        for region in regions() {
            let code = region.as_region_str();
            for &kind in NUMBER_TYPES {
                let Ok(example) = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind) else {
                    continue;
                };
                examples += 1;
                let number = example.format_as(PhoneNumberFormat::E164);
                if !example.is_possible_with_reason().is_ok_and(|length| length == NumberLengthType::IsPossible) {
                    // Canada's 310-1234, which nobody can dial from abroad.
                    assert!(e164(&number, &code).is_err(), "{number}");
                    continue;
                }
                let spaced = example.format_as(PhoneNumberFormat::International);
                for written in [&number, &spaced] {
                    for home in ["", &code, "LT", "US"] {
                        assert_eq!(e164(written, home).as_deref(), Ok(&*number), "{written} in {home}");
                    }
                }
                assert_eq!(e164(&number[1..], "").as_deref(), Ok(&*number));

                let national = example.format_as(PhoneNumberFormat::National);
                match e164(&national, &code) {
                    Ok(read) if read == number => {}
                    Err(message) if message.contains("can be read") => ambiguous.push(national.into_owned()),
                    other => {
                        // A region that shares its calling code, or a national form that the library itself does not
                        // read back.
                        let digits: String = national.chars().filter(char::is_ascii_digit).collect();
                        let library = parse_valid(&digits, Region::new(&code));
                        assert_ne!(library.as_deref(), Some(&*number), "{national} in {code}: {other:?}");
                    }
                }
            }
        }
        for code in PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes() {
            let example = PHONE_NUMBER_UTIL.get_example_number_for_non_geo_entity(code).expect("one each");
            let number = example.format_as(PhoneNumberFormat::E164);
            assert_eq!(e164(&number, "LT").as_deref(), Ok(&*number));
        }
        assert!(examples > 600, "{examples}");
        assert!(ambiguous.len() * 20 < examples, "{} of {examples} are ambiguous: {ambiguous:?}", ambiguous.len());
    }

    #[test]
    fn an_example_number_with_a_letter_or_of_another_length_is_refused() {
        for region in regions() {
            let code = region.as_region_str();
            for kind in [PhoneNumberType::FixedLine, PhoneNumberType::Mobile] {
                let Ok(example) = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind) else {
                    continue;
                };
                let number = example.format_as(PhoneNumberFormat::E164);
                for written in [number.clone(), example.format_as(PhoneNumberFormat::National)] {
                    let middle = written.len() / 2;
                    for letter in ["a", "E", "x", "о", "٣"] {
                        let spoilt = format!("{}{letter}{}", &written[..middle], &written[middle..]);
                        assert!(e164(&spoilt, &code).is_err(), "{spoilt} in {code}");
                    }
                }
                let calling = u16::try_from(example.country_code).expect("a calling code");
                let known = CALLING_CODES.iter().find(|known| known.code == calling).expect("in the table");
                let digits = calling.to_string() + "1111111111111111111111";
                let own = calling.to_string().len();
                let (shortest, longest) = (known.lengths.trailing_zeros() as usize, known.lengths.ilog2() as usize);
                for length in (1..shortest).chain(longest + 1..22) {
                    let written = &digits[..own + length];
                    assert!(e164(&format!("+{written}"), &code).is_err(), "+{written} in {code}");
                    assert!(e164(&format!("00{written}"), &code).is_err(), "00{written} in {code}");
                }
            }
        }
    }

    /// The answers of the short cut and of its plain twin.
    fn both_ways(digits: &str, region: Region) -> [Result<Vec<u8>, &'static str>; 2] {
        let digits = digits.as_bytes();
        let (mut quick, mut plain) = (Vec::new(), Vec::new());
        let international = check_international(digits).is_ok();
        let answer = bare(digits, Some(region), &mut quick);
        let twin = bare_by_library(digits, international, region, &mut plain);
        [answer.map(|()| quick), twin.map(|()| plain)]
    }

    #[test]
    fn the_short_cut_answers_as_the_library_for_every_beginning() {
        for region in regions() {
            let region = Region::new(&region.as_region_str()).expect("supported");
            let Ok(example) = PHONE_NUMBER_UTIL.get_example_number(region.region) else { continue };
            let example = example.get_national_significant_number();
            let own = &region.calling[..usize::from(region.calling_digits)];
            let own = str::from_utf8(own).expect("digits");
            // A prefix is the beginning of something: each of one or two digits before numbers of all lengths.
            for beginning in 0..100u8 {
                for digits in [
                    format!("{beginning}{example}"),
                    format!("{beginning}61234567"),
                    format!("{own}{beginning}{}", example.get(2..).unwrap_or_default()),
                ] {
                    if !digits.starts_with("00")
                        && check_international(digits.as_bytes()).is_ok()
                        && has_one_reading(digits.as_bytes(), region)
                    {
                        let [quick, plain] = both_ways(&digits, region);
                        assert_eq!(quick, plain, "{digits} in {region:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_region_is_one_that_the_library_knows() {
        for region in regions() {
            let code = region.as_region_str();
            assert_eq!(Region::new(&code).map(|region| region.code().to_owned()).as_deref(), Some(&*code));
        }
        assert_eq!(Region::new("lt"), Region::new("LT"));
        for wrong in ["", "L", "LTU", "ZZ", "001", "UK", "ž", "12"] {
            assert_eq!(Region::new(wrong), None, "{wrong}");
        }
        let json = serde_json::to_string(&Region::new("LT")).expect("text");
        assert_eq!(json, "\"LT\"");
        assert_eq!(serde_json::from_str::<Option<Region>>(&json).expect("what was written"), Region::new("LT"));
    }

    proptest! {
        #[test]
        fn the_short_cut_answers_as_the_library(digits in "[1-9][0-9]{6,16}", own in "[0-9]{4,12}", place in 0usize..240) {
            let regions = regions();
            let region = Region::new(&regions[place % regions.len()].as_region_str()).expect("supported");
            let code = str::from_utf8(&region.calling[..usize::from(region.calling_digits)]).expect("digits").to_owned();
            for digits in [digits, code + &own] {
                let [quick, plain] = both_ways(&digits, region);
                prop_assert_eq!(quick, plain, "{} in {:?}", digits, region);
            }
        }

        #[test]
        fn digits_are_told_alike_one_by_one_and_in_words(bytes in "[0-9]{0,20}", stray: u8, place in 0usize..20) {
            let mut bytes = bytes.into_bytes();
            prop_assert!(are_digits(&bytes));
            if let Some(byte) = bytes.get_mut(place) {
                *byte = stray;
                prop_assert_eq!(are_digits(&bytes), stray.is_ascii_digit());
            }
        }

        #[test]
        fn what_is_read_once_stays_as_it_is(cell in "\\+?[0-9 ().-]{5,18}|.*", place in 0usize..240) {
            let regions = regions();
            let region = regions[place % regions.len()].as_region_str();
            if let Ok(number) = e164(&cell, &region) {
                prop_assert_eq!(e164(&number, ""), Ok(number.clone()));
            }
        }
    }
}
