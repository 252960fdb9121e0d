//! Phone numbers beside rlibphonenumber, which is asked for every reading at home, where the engine asks it only in doubt.

use rlibphonenumber::{PhoneNumber, PhoneNumberFormat};
use tidemill::domain::phone::{Region, put_plain, to_e164};

const REGIONS: [&str; 16] =
    ["", "LT", "US", "IT", "DE", "GB", "RU", "IN", "AR", "BR", "MX", "CN", "LU", "SM", "ID", "VA"];

fn read(cell: &str, region: Option<Region>) -> Result<String, &'static str> {
    let mut out = b"what was there before".to_vec();
    to_e164(cell, region, &mut out).map(|()| String::from_utf8(out).expect("digits"))
}

/// The number that is dialled so in a region, if it is one, and may be written with a calling code.
fn national(digits: &str, region: &str) -> Option<String> {
    let number = PhoneNumber::parse(digits, rlibphonenumber::Region::from_code(region).ok()).ok()?;
    let written = number.format_as(PhoneNumberFormat::E164).into_owned();
    (number.is_valid() && read(&written, None).is_ok()).then_some(written)
}

pub fn check(input: &[u8]) {
    let Some((&choice, text)) = input.split_first() else { return };
    let Ok(cell) = std::str::from_utf8(text) else { return };
    let name = REGIONS[usize::from(choice) % REGIONS.len()];
    let region = Region::new(name);
    assert_eq!(region.is_some(), !name.is_empty());
    let found = read(cell, region);
    let mut plain = b"before".to_vec();
    let is_plain = put_plain(cell.as_bytes(), &mut plain);
    let bare_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain {
        assert_eq!(found.as_deref(), Ok(cell), "{cell:?}");
        assert_eq!(plain, [b"before", cell.as_bytes()].concat());
    } else {
        assert_eq!(plain, b"before");
        assert!(!cell.strip_prefix('+').is_some_and(bare_digits) || found.is_err(), "{cell:?}");
    }
    if let Ok(number) = &found {
        assert!(number.strip_prefix('+').is_some_and(bare_digits) && number.len() <= 24, "{cell:?}: {number}");
        assert_eq!(read(number, region).as_ref(), Ok(number), "what was read stays as it is");
        assert_eq!(read(number, None).as_ref(), Ok(number));
    }
    // What stands between digits says nothing, but for a zero in brackets.
    let separators = [' ', '\u{a0}', '-', '.', '(', ')', '/'];
    if cell.contains(separators) && !cell.contains("(0)") {
        let bare = read(&cell.replace(separators, ""), region);
        assert_eq!(bare.as_ref().ok(), found.as_ref().ok(), "{cell:?} in {name}");
    }
    // Two readings, and what becomes of them.
    if bare_digits(cell) && cell.len() <= 24 && !cell.starts_with("00") && region.is_some() {
        let international = read(&format!("+{cell}"), None).ok();
        let home = national(cell, name);
        match (international, home) {
            (None, None) => assert!(found.is_err(), "{cell} in {name}"),
            (Some(only), None) | (None, Some(only)) => assert_eq!(found, Ok(only), "{cell} in {name}"),
            (Some(one), Some(other)) if one == other => assert_eq!(found, Ok(one), "{cell} in {name}"),
            // Refused, unless the number as it stands is possible but nobody's.
            (Some(_), Some(home)) => assert!(found.is_err() || found == Ok(home), "{cell} in {name}"),
        }
    }
}
