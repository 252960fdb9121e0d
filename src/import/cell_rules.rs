//! What some formats' cells have that is none of their content: an apostrophe before a number, a word for nothing.
//!
//! It is taken off where a row's cells are found, before anybody reads them: so no reader knows of it, and a file whose
//! format has no such column pays nothing.

use super::{
    csv::Records,
    dialect::Dialect,
    format::{Format, Mapping},
};

/// What is taken off the cells of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellRules(Vec<CellRule>);

/// What is taken off the cells of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CellRule {
    column: usize,
    apostrophe: bool,
    blanks: Vec<String>,
}

impl CellRules {
    /// Those of a format, where its fields stand.
    pub fn of(format: &Format, mapping: &Mapping) -> CellRules {
        let rule = |(&field, &column): (&_, &usize)| {
            let rules = format.column(field).filter(|rules| rules.apostrophe || !rules.blanks.is_empty())?;
            Some(CellRule { column, apostrophe: rules.apostrophe, blanks: rules.blanks.clone() })
        };
        CellRules(mapping.fields.iter().filter_map(rule).collect())
    }

    /// Takes it off the cells of a chunk's records.
    pub fn apply(&self, bytes: &[u8], dialect: Dialect, records: &mut Records) {
        if self.0.is_empty() {
            return;
        }
        let Records { fields, records, .. } = records;
        for record in records.iter() {
            let first = record.first_field as usize;
            let cells = fields.get_mut(first..first + usize::from(record.fields)).unwrap_or_default();
            for rule in &self.0 {
                let Some(field) = cells.get_mut(rule.column) else { continue };
                // As the quote of the file it would be one of two.
                if rule.apostrophe && dialect.quote != b'\'' && field.raw(bytes).first() == Some(&b'\'') {
                    field.start += 1;
                }
                let is_word = |cell: &[u8]| {
                    let cell = cell.trim_ascii();
                    rule.blanks.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(cell))
                };
                if is_word(field.raw(bytes)) {
                    field.end = field.start;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{csv, format::Header};

    #[test]
    fn apostrophes_and_words_for_nothing_are_taken_off_their_columns_only() {
        let format = Format::parse(
            "name = \"x\"\nkind = \"points\"\ntitle = \"X\"\nmandatory = [[\"external_id\"]]\n\
             [[columns]]\nfield = \"external_id\"\nheaders = [\"id\"]\napostrophe = true\n\
             [[columns]]\nfield = \"expires_on\"\nheaders = [\"until\"]\nblanks = [\"unlimited\", \"0\"]\n\
             [[columns]]\nfield = \"comment\"\nheaders = [\"text\"]\n",
        )
        .unwrap();
        let header = ["text", "id", "until"].map(str::to_owned);
        let mapping = Mapping::resolve(&format, Header::Named(&header), &[]).unwrap();
        let rules = CellRules::of(&format, &mapping);
        for (quote, row, expected) in [
            (b'"', "'a,'721,2026-01-01", ["'a", "721", "2026-01-01"]),
            (b'"', "unlimited,''5,Unlimited", ["unlimited", "'5", ""]),
            (b'"', "0,7,0", ["0", "7", ""]),
            (b'"', "\"'0\",\"'7\"\"1\",\" UNLIMITED \"", ["'0", "7\"\"1", ""]),
            (b'"', ",','0", ["", "", "'0"]),
            (b'\'', "a,'''7',unlimited", ["a", "''7", ""]),
        ] {
            let dialect = Dialect { delimiter: b',', quote };
            let mut records = Records::default();
            csv::scan(row.as_bytes(), dialect, 3, &mut records);
            rules.apply(row.as_bytes(), dialect, &mut records);
            let cells: Vec<_> = records.fields_of(&records.records[0]).iter().map(|f| f.raw(row.as_bytes())).collect();
            assert_eq!(cells, expected.map(str::as_bytes), "{row}");
        }
        // A row that cannot be split, and one that is too short, have nothing to take off.
        let text = b"a\"b,'7,0\nx\n";
        let dialect = Dialect { delimiter: b',', quote: b'"' };
        let mut records = Records::default();
        csv::scan(text, dialect, 3, &mut records);
        let before = records.fields.clone();
        rules.apply(text, dialect, &mut records);
        assert_eq!(records.fields, before);
    }
}
