//! A workbook of any bytes, or a sound package of any parts: it is read or refused, the same each time, and every row is
//! one line.

use std::{io::Read, sync::Arc};

use tidemill::import::{sheet::SheetChoice, source::Source};

/// More text than this is repeated rows.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// The parts of a workbook with one sheet, the part that is most worth changing first.
const PARTS: [(&str, &str); 6] = [
    ("xl/worksheets/sheet1.xml", "<worksheet><sheetData/></worksheet>"),
    ("xl/sharedStrings.xml", "<sst><si><t>email</t></si><si><t>points</t></si></sst>"),
    (
        "xl/styles.xml",
        "<styleSheet><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"22\"/></cellXfs></styleSheet>",
    ),
    (
        "xl/workbook.xml",
        "<workbook><workbookPr/><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>",
    ),
    (
        "xl/_rels/workbook.xml.rels",
        "<Relationships><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/\
         worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>",
    ),
    (
        "_rels/.rels",
        "<Relationships><Relationship Id=\"r\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/\
         officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>",
    ),
];

/// A zip of these parts, not compressed. With right checksums, which mutation alone would hardly ever hit.
fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in parts {
        let mut common = Vec::new();
        for number in [20_u16, 0, 0, 0, 0x21] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        let length = bytes.len() as u32;
        for number in [crc32fast::hash(bytes), length, length, name.len() as u32] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&(file.len() as u32).to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&common);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(bytes);
    }
    let at = file.len() as u32;
    file.extend_from_slice(&directory);
    file.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for number in [parts.len() as u16; 2] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    for number in [directory.len() as u32, at] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(&[0; 2]);
    file
}

/// The text of the first visible sheet, or why there is none.
fn read(path: &std::path::Path, choice: &SheetChoice) -> Result<Vec<u8>, String> {
    let source = Source::open_sheet(path, None, choice).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let reader = source.reader(Arc::default()).map_err(|error| error.to_string())?;
    reader.take(TEXT_BYTES_MAX as u64).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

pub fn check(input: &[u8]) {
    let Some((&how, body)) = input.split_first() else { return };
    let file = if how % 4 == 0 {
        // The signature, so that not all inputs are taken for text.
        [b"PK\x03\x04", body].concat()
    } else {
        // Between parts stands a NUL, which XML has nowhere; those that are left out are as they should be.
        let mut given = body.split(|&byte| byte == 0);
        zip(&PARTS
            .map(|(name, usual)| (name, given.next().filter(|part| !part.is_empty()).unwrap_or(usual.as_bytes()))))
    };
    let path = std::env::temp_dir().join(format!("tidemill-fuzz-{}.xlsx", std::process::id()));
    if std::fs::write(&path, &file).is_err() {
        return;
    }
    let choice = SheetChoice {
        skip_rows: u64::from(how / 4 % 4),
        decimal_mark: if how & 0x40 == 0 { '.' } else { ',' },
        ..SheetChoice::default()
    };
    let text = read(&path, &choice);
    assert_eq!(text, read(&path, &choice));
    if let Ok(text) = text {
        assert!(text.is_empty() || text.ends_with(b"\n") || text.len() == TEXT_BYTES_MAX);
        assert!(!text.contains(&0) && !text.contains(&b'\r'));
    }
}
