//! A format of any text: refused with a reason, or good for its own template and for a small file.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use tidemill::{
    domain::{command::Mode, time::Timestamp},
    error::{ErrorKind, Result},
    import::{
        format::{Format, Header, Mapping},
        input::{self, InputHints},
        preview,
        surroundings::Surroundings,
    },
};

/// What separates the format from a small file behind it.
const BORDER: &str = "\n#file\n";

fn read(format: &Format, format_path: &Path, file_path: &Path, file: &str) -> Result<()> {
    std::fs::write(file_path, file).expect("a file of the test's own");
    let hints = InputHints { format: Some(format_path.display().to_string()), ..InputHints::default() };
    let source = input::open(file_path, &hints)?;
    let layout = input::understand(&source, file_path, None, &hints)?;
    assert_eq!(layout.format, *format);
    let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").expect("it is a time");
    let around = Surroundings::of_new_store(now);
    for mode in [None, Some(Mode::Add), Some(Mode::Reset)] {
        if let Ok((shown, _)) = preview::preview(&source, &layout, &around, mode, None, None, 50) {
            assert!(serde_json::to_string(&shown).is_ok());
        }
    }
    Ok(())
}

fn path(ending: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tidemill-fuzz-format-{}.{ending}", std::process::id()))
}

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (text, file) = text.split_once(BORDER).unwrap_or((text, ""));
    let format = match Format::parse(text) {
        Ok(format) => format,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let written = toml::to_string(&format).expect("what was read can be written");
    assert_eq!(Format::parse(&written).expect("what was written can be read"), format);
    let format_path = path("toml");
    std::fs::write(&format_path, text).expect("a file of the test's own");
    let mut template = format.template_csv();
    // A row of the same everywhere, which no sample has.
    let cells = format.template_columns().count();
    let _ = writeln!(template, "{}", vec!["1"; cells].join(","));
    let header: Vec<String> = format.template_header().into_iter().map(str::to_owned).collect();
    let mapped = Mapping::resolve(&format, Header::Named(&header), &[]);
    if let Ok(mapping) = &mapped {
        assert_eq!(mapping.columns, header.len());
        assert!(mapping.fields.values().all(|&column| column < header.len()));
    }
    for file in [file, template.as_str()] {
        if let Err(error) = read(&format, &format_path, &path("csv"), file) {
            assert!(!error.to_string().is_empty());
            assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
        }
    }
    for word in format.operations.keys() {
        assert_eq!(format.operation(&word.to_uppercase().to_lowercase()), format.operation(word));
    }
}
