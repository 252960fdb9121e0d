//! A points programme of a store.

use serde::{Deserialize, Serialize};

use super::currency::{currency_code, nearest_currencies};

/// Most decimals a programme may have.
pub const PROGRAM_DECIMALS_MAX: u8 = 4;

/// Longest code of a programme: it is a column in every report and stands in every message.
pub const PROGRAM_CODE_BYTES_MAX: usize = 32;

/// A points programme: what its points are called and how finely they are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Names the programme in files and flags. Case matters.
    pub code: String,
    /// Names it for people.
    pub name: String,
    /// Decimals of its amounts, 0 to 4.
    pub decimals: u8,
    /// The ISO 4217 code that selects it in customer imports, in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl Program {
    /// The one that a new store has.
    pub fn of_new_store() -> Program {
        Program { code: "points".to_owned(), name: "Points".to_owned(), decimals: 0, currency: None }
    }

    /// Returns a programme with these values; a blank name becomes the code.
    ///
    /// # Errors
    ///
    /// A message for people, with the value and what would be right, if one of them is not allowed.
    pub fn new(code: &str, name: &str, decimals: u8, currency: Option<&str>) -> Result<Program, String> {
        let in_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if code.is_empty() || code.len() > PROGRAM_CODE_BYTES_MAX || !code.bytes().all(in_code) {
            return Err(format!(
                "program code `{code}` is not 1 to {PROGRAM_CODE_BYTES_MAX} letters A to Z, digits, `_`, `.` or `-`"
            ));
        }
        let name = name.trim();
        if name.chars().any(char::is_control) {
            return Err(format!("the name of program `{code}` has a control character"));
        }
        if decimals > PROGRAM_DECIMALS_MAX {
            return Err(format!("program `{code}` cannot have {decimals} decimals, only 0 to {PROGRAM_DECIMALS_MAX}"));
        }
        let currency = match currency {
            Some(given) => Some(currency_code(given).ok_or_else(|| no_currency(given))?.to_owned()),
            None => None,
        };
        let name = if name.is_empty() { code } else { name };
        Ok(Program { code: code.to_owned(), name: name.to_owned(), decimals, currency })
    }
}

/// What is wrong with a currency that is none, with the codes that may be meant.
fn no_currency(given: &str) -> String {
    let nearest = nearest_currencies(given);
    if nearest.is_empty() {
        return format!("`{given}` is not an ISO 4217 currency code, such as `EUR`");
    }
    let verb = if nearest.len() == 1 { "is" } else { "are" };
    format!("`{given}` is not an ISO 4217 currency code: near it {verb} `{}`", nearest.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_plain_code_few_decimals_and_a_known_currency() {
        #[rustfmt::skip]
        let cases: &[(&str, u8, Option<&str>, bool)] = &[
            ("points", 0, None, true), ("EU-points_2.0", 4, Some("EUR"), true), ("p", 2, Some(" eur "), true),
            ("", 0, None, false), ("two words", 0, None, false), ("taškai", 0, None, false), ("a/b", 0, None, false),
            ("12345678901234567890123456789012", 0, None, true), ("123456789012345678901234567890123", 0, None, false),
            ("points", 5, None, false), ("points", 0, Some(""), false), ("points", 0, Some("ABC"), false),
            ("points", 0, Some("€€"), false), ("points", 0, Some("XAU"), false), ("points", 0, Some("XXX"), false),
            ("points", 0, Some("HRK"), true),
        ];
        for &(code, decimals, currency, good) in cases {
            assert_eq!(Program::new(code, "", decimals, currency).is_ok(), good, "{code} {decimals} {currency:?}");
        }
    }

    #[test]
    fn a_currency_that_is_none_is_refused_with_those_that_may_be_meant() {
        let message = |currency| Program::new("p", "", 0, Some(currency)).expect_err("no currency");
        assert_eq!(message("EUE"), "`EUE` is not an ISO 4217 currency code: near it is `EUR`");
        assert_eq!(message("€"), "`€` is not an ISO 4217 currency code, such as `EUR`");
    }

    #[test]
    fn the_currency_is_kept_in_upper_case_and_a_blank_name_is_the_code() {
        let program = Program::new("p", " ", 2, Some("eur")).expect("valid");
        assert_eq!(program.currency.as_deref(), Some("EUR"));
        assert_eq!(program.name, "p");
        let json = serde_json::to_string(&program).expect("plain values");
        assert_eq!(json, r#"{"code":"p","name":"p","decimals":2,"currency":"EUR"}"#);
        assert_eq!(serde_json::from_str::<Program>(&json).expect("what was written"), program);
    }
}
