//! Currencies by their ISO 4217 codes: which there are, how finely they are counted, and which program of a store each
//! selects.

use iso_currency::Currency;

use super::{id::ProgramId, program::Program, rejection::Rejection};

/// Returns the ISO 4217 code that `cell` holds, upper-cased, in any case and with white space around it.
///
/// Only codes: `€` is one currency's sign, but `$` is twenty's. Superseded codes (`HRK`) are known, since old files have them.
/// Codes that are no money, such as metals, `XXX` and the test code, are not.
pub fn currency_code(cell: &str) -> Option<&'static str> {
    currency(cell).map(|found| found.code())
}

fn currency(cell: &str) -> Option<Currency> {
    let code = cell.trim();
    if code.len() != 3 {
        return None;
    }
    Currency::from_code(&code.to_ascii_uppercase()).filter(|currency| !currency.is_special())
}

/// Decimals in which amounts of the currency are written, 0 to 4; none if there is no such currency.
pub fn minor_units(cell: &str) -> Option<u8> {
    currency(cell)?.exponent().and_then(|exponent| u8::try_from(exponent).ok())
}

/// Codes in use that differ from `given` by one letter, or by two neighbours that changed places; in alphabetical order.
pub fn nearest_currencies(given: &str) -> Vec<&'static str> {
    let letters: Vec<u8> = given.trim().bytes().map(|byte| byte.to_ascii_uppercase()).collect();
    let mut nearest = Vec::new();
    let mut look = |letters: &[u8]| {
        let found =
            std::str::from_utf8(letters).ok().and_then(currency).filter(|found| found.is_superseded().is_none());
        nearest.extend(found.map(|found| found.code()));
    };
    if letters.len() == 3 && letters.iter().all(u8::is_ascii_alphabetic) {
        for place in 0..3 {
            let mut other = letters.clone();
            for letter in b'A'..=b'Z' {
                other[place] = letter;
                look(&other);
            }
        }
        for place in 0..2 {
            let mut other = letters.clone();
            other.swap(place, place + 1);
            look(&other);
        }
    }
    nearest.sort_unstable();
    nearest.dedup();
    nearest
}

/// Why a currency selects no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrencyProblem {
    /// It is no ISO 4217 code, or no program has it.
    CurrencyUnknown,
    /// Several programs have it, and the job's is none of them.
    Ambiguous,
}

impl CurrencyProblem {
    /// The rejection of a row that names it.
    pub fn rejection(self) -> Rejection {
        Rejection::CurrencyUnknown
    }

    /// What is wrong, to follow the quoted cell.
    pub fn complaint(self) -> &'static str {
        match self {
            CurrencyProblem::CurrencyUnknown => "is no currency of a program: see `tidemill program list`",
            CurrencyProblem::Ambiguous => "is the currency of several programs, and not of the job's",
        }
    }
}

/// The program that a cell with a currency selects: the only one that has it; of several the job's own, `main`.
///
/// `programs` are a store's, in the order of their ids. A store refuses a second program of one currency; what else holds
/// programs need not.
///
/// # Errors
///
/// When no program has the currency, or several have and `main` is none of them.
pub fn program_of(programs: &[Program], main: ProgramId, cell: &str) -> Result<ProgramId, CurrencyProblem> {
    let code = currency_code(cell).ok_or(CurrencyProblem::CurrencyUnknown)?;
    let has_it = |program: &Program| program.currency.as_deref() == Some(code);
    if programs.get(usize::from(main.0)).is_some_and(has_it) {
        return Ok(main);
    }
    let mut with_it = (0..=u16::MAX).map(ProgramId).zip(programs).filter(|(_, program)| has_it(program));
    match (with_it.next(), with_it.next()) {
        (Some((only, _)), None) => Ok(only),
        (None, _) => Err(CurrencyProblem::CurrencyUnknown),
        (Some(_), Some(_)) => Err(CurrencyProblem::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The active codes of ISO 4217, list one, as of November 2026, by their minor units.
    const ACTIVE: &[(u8, &str)] = &[
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (
            2,
            "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW \
             CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF \
             IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
             MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP \
             SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER \
             ZAR ZMW ZWG",
        ),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ];

    /// Active codes that are no money to spend: metals, bond market units, drawing rights, tests, none. `XAD`, the Arab
    /// accounting dinar, has two minor units in the list; the crate counts it among these, and it is no money either.
    const NO_MONEY: &str = "XAD XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX";

    /// Codes that the crate calls superseded and we still read. `VES` is active in the list, next to `VED`.
    const SUPERSEDED: &str = "BGN CUC HRK SLL VES ZWL";

    #[test]
    fn every_active_currency_is_known_with_its_minor_units() {
        for (minor, codes) in ACTIVE {
            for code in codes.split(' ') {
                assert_eq!((currency_code(code), minor_units(code)), (Some(code), Some(*minor)), "{code}");
            }
        }
        for code in NO_MONEY.split(' ') {
            assert_eq!((currency_code(code), minor_units(code)), (None, None), "{code}");
        }
    }

    #[test]
    fn no_other_code_is_known_but_superseded_ones() {
        let letters = || b'A'..=b'Z';
        let mut known = Vec::new();
        for (first, second, third) in
            letters().flat_map(|one| letters().flat_map(move |two| letters().map(move |three| (one, two, three))))
        {
            let code = String::from_utf8(vec![first, second, third]).expect("ASCII");
            known.extend(currency_code(&code));
        }
        let active = ACTIVE.iter().flat_map(|(_, codes)| codes.split(' '));
        let mut expected: Vec<&str> = active.chain(SUPERSEDED.split(' ')).collect();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(known, expected);
    }

    #[test]
    fn a_cell_holds_a_code_in_any_case_and_no_sign() {
        for (cell, code) in [
            (" eur ", Some("EUR")),
            ("Usd", Some("USD")),
            ("\u{a0}JPY\t", Some("JPY")),
            ("€", None),
            ("$", None),
            ("US$", None),
            ("EURO", None),
            ("E U R", None),
            ("978", None),
            ("ΕUR", None),
            ("", None),
            ("XTS", None),
        ] {
            assert_eq!(currency_code(cell), code, "{cell:?}");
        }
    }

    #[test]
    fn a_mistyped_code_is_told_what_it_may_be() {
        assert_eq!(nearest_currencies("eru"), ["ERN", "EUR", "MRU"]);
        assert_eq!(nearest_currencies("GBB"), ["GBP"]);
        // Not the superseded `BGN`.
        assert!(!nearest_currencies("BGM").contains(&"BGN"));
        assert_eq!(nearest_currencies("QQQ"), [""; 0]);
        for wrong in ["", "€", "EURO", "1UR"] {
            assert!(nearest_currencies(wrong).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_currency_selects_the_only_program_that_has_it_or_the_jobs_own() {
        let program =
            |(code, currency): &(&str, Option<&str>)| Program::new(code, "", 0, *currency).expect("a program");
        let one_each = [("points", None), ("euro", Some("EUR")), ("dollar", Some("USD"))];
        let doubled = [("old", Some("EUR")), ("points", None), ("new", Some("EUR")), ("dollar", Some("USD"))];
        use CurrencyProblem::{Ambiguous, CurrencyUnknown};
        for (programs, main, cell, expected) in [
            (&one_each[..], 0, "EUR", Ok(1)),
            (&one_each, 0, " usd ", Ok(2)),
            (&one_each, 2, "EUR", Ok(1)),
            (&one_each, 1, "GBP", Err(CurrencyUnknown)),
            (&one_each, 0, "€", Err(CurrencyUnknown)),
            (&one_each, 0, "", Err(CurrencyUnknown)),
            (&one_each, 0, "XXX", Err(CurrencyUnknown)),
            (&doubled, 0, "EUR", Ok(0)),
            (&doubled, 2, "EUR", Ok(2)),
            (&doubled, 1, "EUR", Err(Ambiguous)),
            (&doubled, 1, "USD", Ok(3)),
            (&[], 0, "EUR", Err(CurrencyUnknown)),
        ] {
            let programs: Vec<Program> = programs.iter().map(program).collect();
            let found = program_of(&programs, ProgramId(main), cell);
            assert_eq!(found, expected.map(ProgramId), "{cell} {main}");
        }
        assert_eq!(Ambiguous.rejection(), Rejection::CurrencyUnknown);
        assert_eq!(CurrencyUnknown.rejection().code(), "currency_unknown");
    }
}
