//! Amounts beside a twin that counts in 128 bits and knows nothing of fast paths.

use tidemill::domain::points::{
    AmountProblem, Conversion, DECIMALS_MAX, NUMBER_STYLES, NumberStyle, Rounding, parse_amount, write_amount,
};

/// A style's decimal mark, what may stand between groups, and how many digits these have but for the last.
fn marks(style: &str) -> (char, &'static [char], usize) {
    match style {
        "plain" => ('.', &[], 3),
        "en" => ('.', &[','], 3),
        "in" => ('.', &[','], 2),
        "ch" => ('.', &['\'', '\u{2019}'], 3),
        "fr" | "pl" | "lt" | "ru" | "ua" | "cs" | "sv" => (',', &[' ', '\u{a0}', '\u{2009}', '\u{202f}'], 3),
        _ => (',', &['.'], 3),
    }
}

/// A number as it is written: its sign, its digits, and how many of these are behind the decimal mark.
struct Written {
    is_negative: bool,
    digits: String,
    decimals: usize,
}

impl Written {
    /// None if it is no number of the style.
    fn read(text: &str, style: &str) -> Option<Written> {
        let (mark, separators, group) = marks(style);
        let mut rest: Vec<char> = text.chars().collect();
        let is_negative = matches!(rest.first(), Some('-' | '\u{2212}'));
        if is_negative || rest.first() == Some(&'+') {
            rest.remove(0);
        }
        let (whole, fraction) = match rest.iter().position(|&c| c == mark) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (&rest[..], None),
        };
        let is_digits = |part: &[char]| part.iter().all(char::is_ascii_digit);
        if fraction.is_some_and(|fraction| fraction.is_empty() || !is_digits(fraction)) {
            return None;
        }
        if let Some(separator) = whole.iter().find(|c| separators.contains(c)) {
            let groups: Vec<&[char]> = whole.split(|c| c == separator).collect();
            let (first, others) = groups.split_first()?;
            let (last, middle) = others.split_last()?;
            let is_first = !first.is_empty() && first.len() <= group && is_digits(first) && first[0] != '0';
            let are_others = middle.iter().all(|part| part.len() == group && is_digits(part));
            if !is_first || !are_others || last.len() != 3 || !is_digits(last) {
                return None;
            }
        } else if !is_digits(whole) || whole.is_empty() && fraction.is_none() {
            return None;
        }
        let fraction = fraction.unwrap_or_default();
        let digits = whole.iter().chain(fraction).filter(|c| c.is_ascii_digit()).collect();
        Some(Written { is_negative, digits, decimals: fraction.len() })
    }

    /// In units of 10^-`decimals`.
    fn in_units(&self, decimals: usize) -> Result<i64, AmountProblem> {
        let cut = self.decimals.saturating_sub(decimals);
        let (kept, beyond) = self.digits.split_at(self.digits.len() - cut);
        if beyond.contains(|c| c != '0') {
            return Err(AmountProblem::Precision);
        }
        let mut number: i128 = 0;
        let zeros = std::iter::repeat_n('0', decimals.saturating_sub(self.decimals));
        for digit in kept.chars().chain(zeros) {
            number = number * 10 + i128::from(digit as u8 - b'0');
            // Of 64 bits nothing is left, and there may be thousands of digits.
            number = number.min(1 << 100);
        }
        i64::try_from(if self.is_negative { -number } else { number }).map_err(|_| AmountProblem::Range)
    }
}

fn plain(cell: &str, decimals: usize, style: &str) -> Result<i64, AmountProblem> {
    match cell.trim() {
        "" => Err(AmountProblem::Missing),
        text => Written::read(text, style).ok_or(AmountProblem::Invalid("")).and_then(|found| found.in_units(decimals)),
    }
}

/// A product of an amount as it is written and a factor in units of 10^-9.
fn plain_product(
    cell: &str,
    factor: i64,
    rounding: Option<Rounding>,
    decimals: usize,
    style: &str,
) -> Result<i64, AmountProblem> {
    let most = usize::from(DECIMALS_MAX);
    let scale = (decimals..=most).find(|&scale| plain(cell, scale, style) != Err(AmountProblem::Precision));
    let scale = scale.ok_or(AmountProblem::Range)?;
    let product = i128::from(plain(cell, scale, style)?) * i128::from(factor);
    let unit = 10_i128.pow((scale - decimals + 9) as u32);
    let (below, is_exact) = (product.abs() / unit, product % unit == 0);
    let rounded = match rounding {
        _ if is_exact => below,
        None => return Err(AmountProblem::Inexact),
        Some(Rounding::Down) => below,
        Some(Rounding::Up) => below + 1,
        Some(Rounding::HalfUp) => (2 * product.abs() / unit + 1) / 2,
    };
    i64::try_from(rounded * product.signum()).map_err(|_| AmountProblem::Range)
}

/// Two complaints of one kind are the same here: only the engine says them in words.
fn told(result: Result<i64, AmountProblem>) -> Result<i64, AmountProblem> {
    result.map_err(|problem| match problem {
        AmountProblem::Invalid(_) => AmountProblem::Invalid(""),
        other => other,
    })
}

pub fn check(input: &[u8]) {
    let Some((&[style, decimals, rounding], text)) = input.split_first_chunk::<3>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (cell, factor) = text.split_once('\n').unwrap_or((text, "1"));
    let name = NUMBER_STYLES[usize::from(style) % NUMBER_STYLES.len()];
    let style = NumberStyle::named(name).expect("it is in the list");
    // More decimals than it knows are taken as the most that it knows.
    let decimals = decimals % (DECIMALS_MAX + 4);
    let known = usize::from(decimals.min(DECIMALS_MAX));
    let found = parse_amount(cell, decimals, style);
    assert_eq!(told(found), plain(cell, known, name), "{cell:?} with {decimals} decimals as {name}");
    if let Err(problem) = found {
        assert!(!problem.message().is_empty() && !problem.complaint().contains('`'));
    }
    if let Ok(amount) = found {
        let mut written = Vec::new();
        write_amount(amount, decimals, &mut written);
        let written = String::from_utf8(written).expect("digits");
        assert_eq!(parse_amount(&written, decimals, NumberStyle::PLAIN), Ok(amount), "{written}");
    }
    let rounding = [None, Some(Rounding::Down), Some(Rounding::HalfUp), Some(Rounding::Up)][usize::from(rounding) % 4];
    let in_units = plain(factor, 9, "plain").ok().filter(|&factor| factor > 0);
    let conversion = Conversion::new(factor, rounding);
    assert_eq!(conversion.is_some(), in_units.is_some(), "{factor:?}");
    if let (Some(conversion), Some(factor)) = (conversion, in_units) {
        let found = told(conversion.convert(cell, decimals, style));
        assert_eq!(found, plain_product(cell, factor, rounding, known, name), "{cell:?} times {factor}");
    }
}
