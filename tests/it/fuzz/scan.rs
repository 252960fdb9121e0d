//! The scanner beside its plain twin, on any bytes: the same records, to the byte, within any limits.

use tidemill::import::{
    csv::{Field, Limits, Record, Records, scan_plain_within, scan_within},
    dialect::Dialect,
};

/// What matters: the fields may lie elsewhere in the list, as those of empty lines do.
fn told(records: &Records) -> (Vec<(Record, Vec<Field>)>, u32) {
    let at = |record: &Record| (Record { first_field: 0, ..*record }, records.fields_of(record).to_vec());
    (records.records.iter().map(at).collect(), records.lines)
}

pub fn check(input: &[u8]) {
    // The first bytes choose dialect, columns and limits; small limits are met more often.
    let Some((&[choice, columns, row, field], text)) = input.split_first_chunk::<4>() else { return };
    let delimiter = b",;\t|"[usize::from(choice) % 4];
    let quote = b"\"'"[usize::from(choice / 4) % 2];
    let dialect = Dialect { delimiter, quote };
    let limits = if choice >= 128 {
        Limits { row_bytes_max: usize::from(row) + 1, field_bytes_max: usize::from(field) + 1 }
    } else {
        Limits::default()
    };
    let (mut fast, mut plain) = (Records::default(), Records::default());
    scan_within(text, dialect, usize::from(columns % 8), limits, &mut fast);
    scan_plain_within(text, dialect, usize::from(columns % 8), limits, &mut plain);
    assert_eq!(told(&fast), told(&plain));
    // Every record lies in the text, behind the one before.
    let mut at = 0;
    for record in &fast.records {
        assert!(at <= record.start && record.start <= record.end && record.end as usize <= text.len());
        at = record.end;
    }
}
