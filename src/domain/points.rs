//! Amounts of points: whole numbers of the programme's smallest unit, read from cells and written back.
//!
//! Nothing here is ever a floating-point number. A cell is either read exactly or refused: exponents (`1e3`), currency
//! signs, digits that are not ASCII, a sign without digits, groups of the wrong size and a trailing point (`5.`, which
//! may be a cut cell) are refused; `.5` and leading zeros are read, as databases write them.

use serde::{Deserialize, Serialize};

use super::rejection::Rejection;

/// Most decimals that `parse_amount` and `write_amount` know; more are taken as this many. 10^18 still fits an `i64`.
pub const DECIMALS_MAX: u8 = 18;

/// Why a cell is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountProblem {
    /// The cell is empty.
    Missing,
    /// The cell is not a number of the file's style. The text goes on after the quoted value, with a hint if there is
    /// one: "has a comma, which …".
    Invalid(&'static str),
    /// The number is good, and has more decimals than the programme.
    Precision,
    /// The number is good, its product with the job's factor has more decimals than the programme, and the job does not say
    /// how to round.
    Inexact,
    /// The number is good, and does not fit into 64 bits.
    Range,
}

impl AmountProblem {
    /// The rejection of a row that has this problem.
    pub fn rejection(self) -> Rejection {
        match self {
            AmountProblem::Missing => Rejection::AmountMissing,
            AmountProblem::Invalid(_) => Rejection::AmountInvalid,
            AmountProblem::Precision | AmountProblem::Inexact => Rejection::AmountPrecision,
            AmountProblem::Range => Rejection::AmountRange,
        }
    }

    /// The message fragment without the advice, which names flags of an import: for a caller that does not have them.
    pub fn complaint(self) -> &'static str {
        let message = self.message();
        message.split_once("; ").map_or(message, |(complaint, _)| complaint)
    }

    /// The message fragment that follows the quoted value.
    pub fn message(self) -> &'static str {
        match self {
            AmountProblem::Missing => "is empty",
            AmountProblem::Invalid(message) => message,
            AmountProblem::Precision => "has more decimals than the program",
            AmountProblem::Inexact => {
                "has, multiplied, more decimals than the program; say how to round with `--round down|half-up|up`"
            }
            AmountProblem::Range => "is too large",
        }
    }
}

/// How a file writes numbers: its decimal character, and the grouping it may use.
///
/// A grouped number has well-formed groups throughout, one grouping character, and does not begin with 0: `0,123` in
/// English is far more often a decimal comma than a number that nobody writes so. A number without groups is always
/// read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberStyle {
    decimal: char,
    /// The characters that may group; all groups of one number use the same one.
    groups: &'static [char],
    /// Size of the groups left of the last one, which always has three digits.
    group_digits: usize,
}

/// Names of `NumberStyle::named`, for messages and completion. Not `uk`: half its readers would mean the United
/// Kingdom, the other half Ukraine, and `1,234` differs by a factor of a thousand between the two.
pub const NUMBER_STYLES: &[&str] =
    &["plain", "en", "de", "fr", "ch", "in", "es", "it", "pl", "lt", "nl", "pt", "tr", "ru", "ua", "cs", "sv"];

impl NumberStyle {
    /// ASCII digits and `.`, without grouping: what programs write.
    pub const PLAIN: NumberStyle = NumberStyle { decimal: '.', groups: &[], group_digits: 3 };

    /// What stands before a number's decimals.
    pub fn decimal_mark(self) -> char {
        self.decimal
    }

    /// Returns the style of a language or country, by one of `NUMBER_STYLES`, in any case.
    pub fn named(name: &str) -> Option<NumberStyle> {
        /// Space, no-break space, thin space, narrow no-break space: spreadsheets and locales use all of them.
        const SPACES: &[char] = &[' ', '\u{a0}', '\u{2009}', '\u{202f}'];
        let style = |decimal, groups, group_digits| Some(NumberStyle { decimal, groups, group_digits });
        match name.to_ascii_lowercase().as_str() {
            "plain" => Some(NumberStyle::PLAIN),
            "en" => style('.', &[','], 3),
            "in" => style('.', &[','], 2),
            "ch" => style('.', &['\'', '\u{2019}'], 3),
            "de" | "es" | "it" | "nl" | "pt" | "tr" => style(',', &['.'], 3),
            "fr" | "pl" | "lt" | "ru" | "ua" | "cs" | "sv" => style(',', SPACES, 3),
            _ => None,
        }
    }
}

/// Reads an amount, in units of 10^-`decimals`.
///
/// Surrounding white space is ignored. One sign may lead: `-`, `+` or U+2212. Zeros beyond `decimals` are no decimals:
/// `5.00` is 5 at 0 decimals. Serves any exact decimal, such as an LTV with 4 decimals, up to `DECIMALS_MAX`.
///
/// # Errors
///
/// The first that applies of `Missing`, `Invalid`, `Precision`, `Range`.
#[inline]
pub fn parse_amount(cell: &str, decimals: u8, style: NumberStyle) -> Result<i64, AmountProblem> {
    // Nearly every cell is a few digits: no branch on the style, and 18 digits cannot overflow.
    let bytes = cell.as_bytes();
    if bytes.len() <= 18 && !bytes.is_empty() {
        let mut value = 0i64;
        let mut digits_only = true;
        for &byte in bytes {
            let digit = byte.wrapping_sub(b'0');
            digits_only &= digit <= 9;
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
        if digits_only {
            return value.checked_mul(power_of_ten(decimals).cast_signed()).ok_or(AmountProblem::Range);
        }
        if let Some(amount) = parse_ungrouped(bytes, decimals, style) {
            return Ok(amount);
        }
    }
    parse_written(cell, decimals, style)
}

/// What becomes of the part of a product that is smaller than the programme's smallest unit. A sign does not matter: -2.5
/// becomes -2, -3 or -3, as 2.5 becomes 2, 3 or 3, so that a debit takes back what a credit of the same number gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// It is dropped.
    Down,
    /// Half a unit or more becomes one.
    HalfUp,
    /// It becomes one unit.
    Up,
}

/// Decimals of a factor.
const FACTOR_DECIMALS: u8 = 9;

/// How old points become new ones: times a factor, exactly.
///
/// Without a rounding, an amount whose product is not whole in the programme's smallest unit is refused: points are never
/// rounded unless somebody said how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conversion {
    /// In units of 10^-9, above zero.
    factor: i64,
    rounding: Option<Rounding>,
}

impl Conversion {
    /// Reads a factor: a plain number above zero with at most 9 decimals. None if it is none.
    pub fn new(factor: &str, rounding: Option<Rounding>) -> Option<Conversion> {
        let factor = parse_amount(factor, FACTOR_DECIMALS, NumberStyle::PLAIN).ok().filter(|&factor| factor > 0)?;
        Some(Conversion { factor, rounding })
    }

    /// The same factor with this rounding.
    #[must_use]
    pub fn rounded(self, rounding: Option<Rounding>) -> Conversion {
        Conversion { rounding, ..self }
    }

    /// What tells two jobs apart that convert differently; empty for a factor of 1. A rounding counts only where the factor
    /// has decimals, as few files have amounts with more decimals than the programme.
    pub fn identity(self) -> String {
        let unit = power_of_ten(FACTOR_DECIMALS).cast_signed();
        match (self.factor, self.rounding) {
            (factor, _) if factor == unit => String::new(),
            (factor, Some(rounding)) if factor % unit != 0 => format!(" x{factor} {rounding:?}"),
            (factor, _) => format!(" x{factor}"),
        }
    }

    /// Reads an amount and multiplies it, in units of 10^-`decimals`. Unlike in `parse_amount`, the amount as written may
    /// have more decimals than the programme; its digits must fit into 64 bits, all decimals included.
    ///
    /// # Errors
    ///
    /// The first that applies of `Missing`, `Invalid`, `Inexact`, `Range`.
    pub fn convert(self, cell: &str, decimals: u8, style: NumberStyle) -> Result<i64, AmountProblem> {
        let decimals = decimals.min(DECIMALS_MAX);
        let mut scale = decimals;
        let amount = loop {
            match parse_amount(cell, scale, style) {
                Err(AmountProblem::Precision) if scale < DECIMALS_MAX => scale += 1,
                // An amount with still more decimals could not be held exactly.
                Err(AmountProblem::Precision) => return Err(AmountProblem::Range),
                read => break read?,
            }
        };
        // Two factors of 64 bits fit into 128, and so do the 27 digits that are cut off at most.
        let product = i128::from(amount) * i128::from(self.factor);
        let unit = i128::from(power_of_ten(scale - decimals)) * i128::from(power_of_ten(FACTOR_DECIMALS));
        let (whole, rest) = (product / unit, product % unit);
        let is_up = match self.rounding {
            _ if rest == 0 => false,
            None => return Err(AmountProblem::Inexact),
            Some(Rounding::Down) => false,
            Some(Rounding::HalfUp) => rest.abs() >= unit - rest.abs(),
            Some(Rounding::Up) => true,
        };
        i64::try_from(whole + if is_up { product.signum() } else { 0 }).map_err(|_| AmountProblem::Range)
    }
}

/// Appends `amount`, which is in units of 10^-`decimals`, always with all its decimals: -5 at 2 is `-0.05`.
pub fn write_amount(amount: i64, decimals: u8, out: &mut Vec<u8>) {
    if amount < 0 {
        out.push(b'-');
    }
    let unit = power_of_ten(decimals);
    let magnitude = amount.unsigned_abs();
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(magnitude / unit).as_bytes());
    if unit > 1 {
        // The unit's digit 1 in front keeps the fraction's leading zeros; it is overwritten by the point.
        let fraction = digits.format(unit + magnitude % unit).as_bytes();
        out.push(b'.');
        out.extend_from_slice(fraction.get(1..).unwrap_or_default());
    }
}

/// Reads up to 18 bytes of `-`, digits and one decimal character; `None` leaves the answer to `parse_written`.
fn parse_ungrouped(bytes: &[u8], decimals: u8, style: NumberStyle) -> Option<i64> {
    let (negative, unsigned) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let decimal = u8::try_from(style.decimal).ok()?;
    let mut value = 0i64;
    // Place behind the decimal character, from 1; 0 until it comes.
    let mut point = 0;
    for (place, &byte) in (1u8..).zip(unsigned) {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            _ if byte == decimal && point == 0 => point = place,
            _ => return None,
        }
    }
    let length = u8::try_from(unsigned.len()).ok()?;
    let fraction = if point == 0 { 0 } else { length - point };
    // Without digits, with nothing behind the decimal character, or with more decimals than may be.
    if length == 0 || point == length || fraction > decimals.min(DECIMALS_MAX) {
        return None;
    }
    let amount = value.checked_mul(power_of_ten(decimals.min(DECIMALS_MAX) - fraction).cast_signed())?;
    Some(if negative { -amount } else { amount })
}

/// The plain twin of the fast path: signs, decimals, groups, and a reason for every refusal.
fn parse_written(cell: &str, decimals: u8, style: NumberStyle) -> Result<i64, AmountProblem> {
    let text = cell.trim();
    if text.is_empty() {
        return Err(AmountProblem::Missing);
    }
    let (negative, unsigned) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let invalid = || AmountProblem::Invalid(complaint(unsigned, style));

    let (whole, fraction) = match unsigned.split_once(style.decimal) {
        Some((_, "")) | None if unsigned.is_empty() || unsigned.ends_with(style.decimal) => return Err(invalid()),
        Some(parts) => parts,
        None => (unsigned, ""),
    };
    if !(is_whole(whole, style) || whole.is_empty() && !fraction.is_empty()) || !is_digits(fraction) {
        return Err(invalid());
    }

    let kept = fraction.len().min(usize::from(decimals.min(DECIMALS_MAX)));
    let (fraction, beyond) = fraction.split_at(kept);
    if beyond.bytes().any(|digit| digit != b'0') {
        return Err(AmountProblem::Precision);
    }
    let mut magnitude = 0u64;
    for digit in whole.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit) {
        magnitude = magnitude
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit - b'0')))
            .ok_or(AmountProblem::Range)?;
    }
    // `kept` is at most 18.
    let missing = power_of_ten(decimals) / power_of_ten(u8::try_from(kept).unwrap_or(DECIMALS_MAX));
    let magnitude = magnitude.checked_mul(missing).ok_or(AmountProblem::Range)?;
    let amount = if negative { 0i64.checked_sub_unsigned(magnitude) } else { 0i64.checked_add_unsigned(magnitude) };
    amount.ok_or(AmountProblem::Range)
}

/// Whether `whole` is digits, or digits in well-formed groups of the style.
fn is_whole(whole: &str, style: NumberStyle) -> bool {
    let Some(separator) = whole.chars().find(|c| style.groups.contains(c)) else {
        return !whole.is_empty() && is_digits(whole);
    };
    let mut groups = whole.rsplit(separator);
    // The last group has three digits, those before it the style's number, the first one may be shorter.
    if groups.next().is_none_or(|last| last.len() != 3 || !is_digits(last)) {
        return false;
    }
    let mut first = "";
    let mut complete = true;
    for group in groups {
        if !complete || group.is_empty() || group.len() > style.group_digits || !is_digits(group) {
            return false;
        }
        complete = group.len() == style.group_digits;
        first = group;
    }
    !first.starts_with('0')
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Says what is wrong with a number that `parse_written` refused, and which style would read it.
fn complaint(unsigned: &str, style: NumberStyle) -> &'static str {
    if unsigned.is_empty() {
        return "is a sign without a number";
    }
    let reads = |name: &str| {
        NumberStyle::named(name).is_some_and(|other| {
            other != style
                && match unsigned.split_once(other.decimal) {
                    Some((whole, fraction)) => is_whole(whole, other) && is_digits(fraction) && !fraction.is_empty(),
                    None => is_whole(unsigned, other),
                }
        })
    };
    let has = |set: &[char]| unsigned.contains(set);
    let shortened = |byte: u8| byte.is_ascii_digit() || b".,+-eE".contains(&byte);
    if unsigned.bytes().all(shortened) && has(&['e', 'E']) && unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        "is in exponent notation; write all its digits"
    } else if has(&[',']) && reads("en") {
        "has commas between its digits; if they group thousands, use `--number-format en`, \
         if they are decimal commas, `--number-format de`"
    } else if has(&[',']) && reads("in") {
        "has commas between groups of digits, as India writes them; use `--number-format in`"
    } else if reads("de") {
        "is written with a decimal comma or with points between groups; use `--number-format de`"
    } else if reads("fr") {
        "has spaces between its groups of digits; use `--number-format fr`"
    } else if has(&['\'', '\u{2019}']) && reads("ch") {
        "has apostrophes between its groups of digits; use `--number-format ch`"
    } else if unsigned.starts_with(['-', '+', '\u{2212}']) {
        "has more than one sign"
    } else if unsigned.ends_with(style.decimal) {
        "ends with its decimal character"
    } else if has(&['$', '€', '£', '¥', '₹', '₽', '₴', '₺']) {
        "has a currency sign; only the number may stand in the cell"
    } else if has(&['%']) {
        "has a percent sign; only the number may stand in the cell"
    } else if unsigned.chars().any(|c| c.is_numeric() && !c.is_ascii()) {
        "has digits other than 0 to 9"
    } else if unsigned.chars().all(|c| c.is_ascii_digit() || c == style.decimal || style.groups.contains(&c)) {
        "is no well-formed number of the file's number format"
    } else {
        "is not a number"
    }
}

/// 10^`decimals`, with `decimals` cut to `DECIMALS_MAX`.
#[inline]
fn power_of_ten(decimals: u8) -> u64 {
    const POWERS: [u64; DECIMALS_MAX as usize + 1] = {
        let mut powers = [1; DECIMALS_MAX as usize + 1];
        let mut i = 1;
        while i < powers.len() {
            powers[i] = powers[i - 1] * 10;
            i += 1;
        }
        powers
    };
    POWERS[usize::from(decimals.min(DECIMALS_MAX))]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(amount: i64, decimals: u8) -> String {
        let mut out = Vec::new();
        write_amount(amount, decimals, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn numbers_are_read_exactly_in_their_style() {
        #[rustfmt::skip]
        let cases: &[(&str, u8, &str, i64)] = &[
            ("0", 0, "plain", 0), ("7", 0, "plain", 7), ("007", 0, "plain", 7), (" 42\u{a0}", 0, "plain", 42),
            ("5.00", 0, "plain", 5), ("5.50", 2, "plain", 550), ("5.5", 2, "plain", 550), ("5", 2, "plain", 500),
            ("-5", 0, "plain", -5), ("+5", 0, "plain", 5), ("\u{2212}5", 0, "plain", -5), ("-0", 0, "plain", 0),
            (".5", 1, "plain", 5), ("-.05", 2, "plain", -5), ("0.0500000000000000000000000", 2, "plain", 5),
            ("123456789012345678", 0, "plain", 123_456_789_012_345_678),
            ("9223372036854775807", 0, "plain", i64::MAX), ("-9223372036854775808", 0, "plain", i64::MIN),
            ("-92233720368547758.08", 2, "plain", i64::MIN),
            ("000000000000000000000000000012", 0, "plain", 12),
            ("1.000000000000000001", 18, "plain", 1_000_000_000_000_000_001),
            ("52,620", 0, "en", 52_620), ("52620", 0, "en", 52_620), ("-1,234,567.80", 1, "en", -12_345_678),
            ("52.620", 0, "de", 52_620), ("52,5", 1, "de", 525), ("1.234.567,00", 0, "it", 1_234_567),
            ("1\u{202f}234,5", 1, "fr", 12_345), ("1 234", 0, "pl", 1_234), ("1\u{a0}234\u{a0}567", 0, "lt", 1_234_567),
            ("1'234.50", 2, "ch", 123_450), ("1\u{2019}234", 0, "ch", 1_234),
            ("1,23,45,678", 0, "in", 12_345_678), ("12,345", 0, "in", 12_345), ("1,23,456.5", 1, "in", 1_234_565),
        ];
        for &(cell, decimals, style, amount) in cases {
            let style = NumberStyle::named(style).expect("a known style");
            assert_eq!(parse_amount(cell, decimals, style), Ok(amount), "{cell}");
            assert_eq!(parse_written(cell, decimals, style), Ok(amount), "{cell}, plain twin");
        }
    }

    #[test]
    fn a_cell_that_is_no_amount_is_refused_with_its_reason() {
        use AmountProblem::{Missing, Precision, Range};
        #[rustfmt::skip]
        let cases: &[(&str, u8, AmountProblem)] = &[
            ("", 0, Missing), ("  ", 0, Missing), ("\u{a0}", 0, Missing),
            ("5.50", 0, Precision), ("5.001", 2, Precision), (".5", 0, Precision),
            // Precision comes before range, as among the rejections.
            ("99999999999999999999.5", 0, Precision),
            ("9223372036854775808", 0, Range), ("-9223372036854775809", 0, Range), ("92233720368547758.08", 2, Range),
            ("1", 18, Range),
            ("99999999999999999999999", 0, Range), ("100000000000000000", 2, Range), ("18446744073709551616", 0, Range),
        ];
        for &(cell, decimals, problem) in cases {
            if (cell, decimals) == ("1", 18) {
                assert_eq!(parse_amount(cell, decimals, NumberStyle::PLAIN), Ok(1_000_000_000_000_000_000));
                continue;
            }
            assert_eq!(parse_amount(cell, decimals, NumberStyle::PLAIN), Err(problem), "{cell}");
        }
        #[rustfmt::skip]
        let cases: &[(&str, &str, &str)] = &[
            ("52,620", "plain", "--number-format en"), ("5,5", "plain", "--number-format de"),
            ("1.234.567", "plain", "--number-format de"), ("1 234", "plain", "--number-format fr"),
            ("1'234", "plain", "--number-format ch"), ("12,34,567", "plain", "--number-format in"),
            ("1e3", "plain", "exponent"), ("3.7E+10", "plain", "exponent"),
            ("NaN", "plain", "not a number"), ("inf", "plain", "not a number"), ("0x10", "plain", "not a number"),
            ("1_000", "plain", "not a number"), ("e", "plain", "not a number"), ("(5)", "plain", "not a number"),
            ("５", "plain", "digits other"), ("٥", "plain", "digits other"), ("½", "plain", "digits other"),
            ("-", "plain", "sign without"), ("+", "plain", "sign without"), ("--5", "plain", "more than one sign"),
            ("-+5", "plain", "more than one sign"), ("- 5", "plain", ""), ("5-", "plain", "not a number"),
            ("5.", "plain", "ends with"), (".", "plain", "ends with"), ("1.2.3", "plain", ""), ("$5", "plain", "currency"),
            ("5 €", "plain", "currency"), ("5%", "plain", "percent"), ("5\0", "plain", "not a number"),
            // Groups are well formed or there are none.
            ("1,23", "en", "--number-format de"), ("1234,567", "en", "--number-format de"), (",123", "en", ""),
            ("1,,234", "en", ""), ("1,234,", "en", ""), ("0,123", "en", ""), ("1.234,567", "en", "--number-format de"),
            ("5.50", "de", "no well-formed number"), ("1 234\u{a0}567", "fr", ""), ("1,234,567", "in", "--number-format en"),
            ("123,456", "in", "--number-format en"), ("1,23,456", "en", "--number-format in"), ("1,234.5,6", "en", ""),
        ];
        for &(cell, style, part) in cases {
            match parse_amount(cell, 4, NumberStyle::named(style).expect("a known style")) {
                Err(problem @ AmountProblem::Invalid(message)) => {
                    assert!(message.contains(part), "{cell}: {message}");
                    assert!(message.starts_with(problem.complaint()) && !problem.complaint().contains("--"), "{cell}");
                }
                other => panic!("{cell} in {style}: {other:?}"),
            }
        }
    }

    #[test]
    fn amounts_are_written_with_all_decimals() {
        #[rustfmt::skip]
        let cases: &[(i64, u8, &str)] = &[
            (0, 0, "0"), (0, 2, "0.00"), (550, 2, "5.50"), (-5, 2, "-0.05"), (5, 0, "5"), (-100, 2, "-1.00"), (7, 4, "0.0007"),
            (i64::MIN, 0, "-9223372036854775808"), (i64::MIN, 2, "-92233720368547758.08"), (i64::MAX, 4, "922337203685477.5807"),
            (1, 18, "0.000000000000000001"), (1, 255, "0.000000000000000001"), (i64::MIN, 18, "-9.223372036854775808"),
        ];
        for &(amount, decimals, text) in cases {
            assert_eq!(written(amount, decimals), text);
        }
    }

    #[test]
    fn every_named_style_exists_and_every_problem_has_its_code() {
        for name in NUMBER_STYLES {
            assert!(NumberStyle::named(name).is_some(), "{name}");
            assert_eq!(NumberStyle::named(&name.to_uppercase()), NumberStyle::named(name));
        }
        assert_eq!(NumberStyle::named("uk"), None);
        assert_eq!(AmountProblem::Missing.rejection().code(), "amount_missing");
        assert_eq!(AmountProblem::Invalid("").rejection().code(), "amount_invalid");
        assert_eq!(AmountProblem::Precision.rejection().code(), "amount_precision");
        assert_eq!(AmountProblem::Range.rejection().code(), "amount_range");
    }

    /// `text`, a plain number, as `style` writes it, with or without groups.
    fn styled(text: &str, style: NumberStyle, grouped: bool) -> String {
        let (sign, unsigned) = text.split_at(usize::from(text.starts_with('-')));
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let mut out = String::from(sign);
        for (i, digit) in whole.chars().enumerate() {
            let right = whole.len() - i;
            let boundary = right == 3 || right > 3 && (right - 3).is_multiple_of(style.group_digits);
            if let Some(&separator) = style.groups.last().filter(|_| grouped && i > 0 && boundary) {
                out.push(separator);
            }
            out.push(digit);
        }
        if !fraction.is_empty() {
            out.push(style.decimal);
            out.push_str(fraction);
        }
        out
    }

    #[test]
    fn old_points_become_new_ones_exactly() {
        use AmountProblem::{Inexact, Invalid, Missing, Range};
        // Amount, factor, decimals; then without rounding, down, half up, up.
        #[rustfmt::skip]
        let cases = [
            ("250", "0.1", 0, Ok(25), 25, 25, 25), ("255", "0.1", 0, Err(Inexact), 25, 26, 26),
            ("254", "0.1", 0, Err(Inexact), 25, 25, 26), ("251", "0.1", 0, Err(Inexact), 25, 25, 26),
            // A sign changes nothing else.
            ("-255", "0.1", 0, Err(Inexact), -25, -26, -26), ("-254", "0.1", 0, Err(Inexact), -25, -25, -26),
            ("-250", "0.1", 0, Ok(-25), -25, -25, -25),
            // Small amounts vanish or do not.
            ("1", "0.1", 0, Err(Inexact), 0, 0, 1), ("-1", "0.5", 0, Err(Inexact), 0, -1, -1), ("0", "0.1", 0, Ok(0), 0, 0, 0),
            // Decimals of the amount, of the factor, of the programme.
            ("12.50", "100", 0, Ok(1250), 1250, 1250, 1250), ("12.345", "10", 2, Ok(12345), 12345, 12345, 12345),
            ("12.345", "1", 2, Err(Inexact), 1234, 1235, 1235), ("1", "0.000000001", 0, Err(Inexact), 0, 0, 1),
            ("1000000000", "0.000000001", 0, Ok(1), 1, 1, 1), ("3", "0.333333333", 4, Err(Inexact), 9999, 10000, 10000),
            ("9223372036854775807", "1", 0, Ok(i64::MAX), i64::MAX, i64::MAX, i64::MAX),
            ("-9223372036854775808", "1", 0, Ok(i64::MIN), i64::MIN, i64::MIN, i64::MIN),
        ];
        for (cell, factor, decimals, exact, down, half_up, up) in cases {
            let convert = |rounding| {
                let conversion = Conversion::new(factor, rounding).expect("a factor");
                conversion.convert(cell, decimals, NumberStyle::PLAIN)
            };
            let found = [None, Some(Rounding::Down), Some(Rounding::HalfUp), Some(Rounding::Up)].map(convert);
            assert_eq!(found, [exact, Ok(down), Ok(half_up), Ok(up)], "{cell} x {factor} at {decimals}");
        }
        let double = Conversion::new("2", Some(Rounding::Down)).expect("a factor");
        let convert = |cell| double.convert(cell, 0, NumberStyle::PLAIN);
        assert_eq!(convert(""), Err(Missing));
        assert!(matches!(convert("x"), Err(Invalid(_))));
        for far in ["9223372036854775807", "-9223372036854775808", "0.0000000000000000001", "1.999999999999999999"] {
            // The last one fits, and rounds to 3.
            let expected = if far.starts_with("1.") { Ok(3) } else { Err(Range) };
            assert_eq!(convert(far), expected, "{far}");
        }
        let german = NumberStyle::named("de").expect("a known style");
        assert_eq!(Conversion::new("0.1", None).expect("a factor").convert("1.250,5", 2, german), Ok(12505));
        for wrong in ["", "0", "-1", "x", "1,5", "0.0000000001", "10000000000", "1e3"] {
            assert_eq!(Conversion::new(wrong, None), None, "{wrong}");
        }
        let identity = |factor, rounding| Conversion::new(factor, rounding).expect("a factor").identity();
        assert_eq!(identity("1.0", Some(Rounding::Up)), "");
        assert_eq!(identity("2", Some(Rounding::Up)), identity("2.00", None));
        assert_ne!(identity("0.1", Some(Rounding::Up)), identity("0.1", None));
        assert_ne!(identity("0.1", None), identity("0.2", None));
    }

    proptest! {
        #[test]
        fn a_conversion_is_the_nearest_on_its_side(amount in -1_000_000_000_000i64..=1_000_000_000_000, factor in 1i64..=10_000_000_000) {
            let text = |units| {
                let mut out = Vec::new();
                write_amount(units, FACTOR_DECIMALS, &mut out);
                String::from_utf8(out).expect("ASCII")
            };
            let convert = |amount: i64, rounding| {
                let conversion = Conversion::new(&text(factor), rounding).expect("a factor");
                conversion.convert(&amount.to_string(), 0, NumberStyle::PLAIN)
            };
            let exact = i128::from(amount) * i128::from(factor);
            let unit = 1_000_000_000i128;
            let of = |rounding| convert(amount, Some(rounding)).map(i128::from).expect("it fits");
            let (down, half, up) = (of(Rounding::Down), of(Rounding::HalfUp), of(Rounding::Up));
            prop_assert!((down * unit).abs() <= exact.abs() && exact.abs() <= (up * unit).abs());
            prop_assert!((up - down).abs() <= 1 && (half == down || half == up));
            prop_assert!((half * unit - exact).abs() * 2 <= unit);
            prop_assert_eq!(convert(amount, None).ok().map(i128::from), (exact % unit == 0).then_some(exact / unit));
            for rounding in [Rounding::Down, Rounding::HalfUp, Rounding::Up] {
                prop_assert_eq!(convert(-amount, Some(rounding)), convert(amount, Some(rounding)).map(|points| -points));
            }
        }

        #[test]
        fn what_is_written_is_read_back(amount: i64, small in -100_000i64..100_000, decimals in 0u8..=4) {
            for amount in [amount, small] {
                let text = written(amount, decimals);
                for name in NUMBER_STYLES {
                    let style = NumberStyle::named(name).expect("a known style");
                    for grouped in [false, true] {
                        let cell = styled(&text, style, grouped);
                        prop_assert_eq!(parse_amount(&cell, decimals, style), Ok(amount), "{} in {}", cell, name);
                        prop_assert_eq!(parse_written(&cell, decimals, style), Ok(amount), "{} in {}", cell, name);
                    }
                }
            }
        }

        #[test]
        fn any_text_is_answered_alike_by_both_paths(cell in "[-+0-9.,' eE\u{a0}５]{0,22}|.*", decimals in 0u8..=20) {
            for name in NUMBER_STYLES {
                let style = NumberStyle::named(name).expect("a known style");
                prop_assert_eq!(parse_amount(&cell, decimals, style), parse_written(&cell, decimals, style));
            }
        }
    }
}
