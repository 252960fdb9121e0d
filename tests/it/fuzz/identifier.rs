//! Identifiers of every kind: the fast path says what the slow one says, and what was normalised once stays as it is.

use tidemill::domain::{
    identifier::{IDENTIFIER_BYTES_MAX, IdentifierKind, normalize, put_plain},
    phone::Region,
};

pub fn check(input: &[u8]) {
    let Some((&choice, text)) = input.split_first() else { return };
    let Ok(cell) = std::str::from_utf8(text) else { return };
    let kind = IdentifierKind::ALL[usize::from(choice) % IdentifierKind::ALL.len()];
    let (is_strict, region) = (choice & 0x80 != 0, if choice & 0x40 == 0 { None } else { Region::new("LT") });
    let mut plain = b"before".to_vec();
    let is_plain = put_plain(kind, cell.as_bytes(), is_strict, &mut plain);
    let mut value = Vec::new();
    let found = normalize(kind, cell, region, is_strict, &mut value);
    if is_plain {
        assert_eq!(found, Ok(()), "{cell:?}");
        assert_eq!(plain, [b"before", value.as_slice()].concat(), "{cell:?}");
    } else {
        assert_eq!(plain, b"before");
    }
    if found.is_err() {
        return;
    }
    let value = String::from_utf8(value).expect("it is text");
    assert!(!value.is_empty() && value.len() <= IDENTIFIER_BYTES_MAX, "{cell:?}");
    assert!(!value.chars().any(char::is_control), "{cell:?}");
    let mut again = Vec::new();
    assert_eq!(normalize(kind, &value, region, is_strict, &mut again), Ok(()), "{cell:?} became {value:?}");
    assert_eq!(again, value.as_bytes(), "{cell:?}");
    // Blanks around it say nothing.
    assert_eq!(normalize(kind, &format!(" {cell}\u{a0}"), region, is_strict, &mut again), Ok(()), "{cell:?}");
    assert_eq!(again, value.as_bytes(), "{cell:?}");
}
