//! A workbook of any bytes: it is read or refused, the same each time, and every row is one line.

#![no_main]

use std::{io::Read, sync::Arc};

use libfuzzer_sys::fuzz_target;
use tidemill::import::{sheet::SheetChoice, source::Source};

/// The text of the first visible sheet, or why there is none.
fn read(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let source = Source::open_sheet(path, None, &SheetChoice::default()).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let reader = source.reader(Arc::default()).map_err(|error| error.to_string())?;
    // What is longer than this is repeated rows.
    reader.take(16 << 20).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fuzz_target!(|input: &[u8]| {
    let path = std::env::temp_dir().join(format!("tidemill-fuzz-{}.xlsx", std::process::id()));
    // The signature, so that not all inputs are taken for text.
    let mut file = b"PK\x03\x04".to_vec();
    file.extend_from_slice(input);
    if std::fs::write(&path, &file).is_err() {
        return;
    }
    let text = read(&path);
    assert_eq!(text, read(&path));
    if let Ok(text) = text {
        assert!(text.is_empty() || text.ends_with(b"\n") || text.len() == 16 << 20);
        assert!(!text.contains(&0) && !text.contains(&b'\r'));
    }
});
