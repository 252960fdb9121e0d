use std::{io::Read, path::Path, sync::Arc};

use rust_xlsxwriter::Workbook;

use super::*;

/// A workbook of so many rows, and the text that it is.
fn written(path: &Path, rows: u32) -> String {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let mut text = String::new();
    for row in 0..rows {
        let name = format!("name {row}, of several");
        sheet.write_string(row, 0, &name).unwrap().write_number(row, 1, row).unwrap();
        text += &format!("{name}\u{1f}{row}\n");
    }
    workbook.save(path).unwrap();
    text
}

fn open(path: &Path) -> Sheet {
    Sheet::open(path, File::open(path).unwrap(), &SheetChoice::default()).unwrap()
}

#[test]
fn every_reader_gives_all_of_the_text_wherever_the_one_before_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.xlsx");
    // Less than a block, less than what is kept, and more.
    for rows in [3, 20_000, 90_000] {
        let text = written(&path, rows);
        let sheet = open(&path);
        for taken in [0, 10, 70_000, 600_000, 1_500_000, u64::MAX, 10, u64::MAX] {
            let read = Arc::new(AtomicU64::new(7));
            let mut found = String::new();
            sheet.reader(Arc::clone(&read)).unwrap().take(taken).read_to_string(&mut found).unwrap();
            assert!(
                found == text[..text.len().min(taken.try_into().unwrap_or(usize::MAX))],
                "{rows} rows, {taken} bytes"
            );
            let is_whole = found.len() == text.len() && taken > text.len() as u64;
            let length = path.metadata().unwrap().len();
            let read = read.load(std::sync::atomic::Ordering::Relaxed);
            assert!(if is_whole { read == length } else { read <= length }, "{read} of {length}");
        }
        // Two at a time know nothing of each other.
        let (mut one, mut other) = (sheet.reader(Arc::default()).unwrap(), sheet.reader(Arc::default()).unwrap());
        let (mut first, mut second) = (String::new(), String::new());
        one.by_ref().take(100_000).read_to_string(&mut first).unwrap();
        other.read_to_string(&mut second).unwrap();
        one.read_to_string(&mut first).unwrap();
        assert!(first == text && second == text);
        sheet.prove().unwrap();
    }
}

#[test]
fn a_file_that_is_gone_or_cut_is_an_error_of_the_reader() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.xlsx");
    written(&path, 200_000);
    let sheet = open(&path);
    assert!(sheet.reader(Arc::default()).unwrap().read_to_end(&mut Vec::new()).is_ok());
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = sheet.reader(Arc::default()).map(|mut reader| reader.read_to_end(&mut Vec::new()).unwrap_err());
    assert!(error.is_err() || matches!(error, Ok(error) if SheetProblem::of(&error).is_some()));
    assert!(sheet.prove().is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(sheet.reader(Arc::default()).is_err() && sheet.prove().is_err());
}

#[test]
fn each_limit_and_word_of_a_problem_is_told() {
    let of = |problem: SheetProblem| SheetProblem::of(&io::Error::from(problem.clone())) == Some(&problem);
    assert!(of(SheetProblem::Dtd) && of(SheetProblem::damaged("x")));
    assert_eq!(SheetProblem::of(&io::ErrorKind::NotFound.into()), None);
    for (beginning, expected) in [
        (&b"PK\x03\x04"[..], true),
        (b"PK\x05\x06", true),
        (&[0xd0, 0xcf, 0x11, 0xe0, 9], true),
        (b"PK,x", false),
        (b"", false),
    ] {
        assert_eq!(is_package(beginning), expected);
    }
}
