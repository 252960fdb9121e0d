use std::io::Write;

use super::*;

/// A file with these bytes, which lives as long as the directory.
fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory for tests");
    let path = directory.path().join("file");
    std::fs::write(&path, bytes).expect("a file for tests");
    (directory, path)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

/// The text, the file's bytes read for it, and the source.
fn read(bytes: &[u8], encoding: Option<Encoding>) -> (Vec<u8>, u64, Source) {
    let (_directory, path) = file(bytes);
    let source = Source::open(path, encoding).expect("readable");
    let count = Arc::new(AtomicU64::new(7));
    let mut text = Vec::new();
    source.reader(Arc::clone(&count)).expect("readable").read_to_end(&mut text).expect("sound");
    (text, count.load(Ordering::Relaxed), source)
}

#[test]
fn every_encoding_and_compression_gives_the_same_text() {
    let text = "email;name\nana@example.com;Šarūnas €\nb@example.com;Zoë 😀\n".repeat(3_000);
    let western = "email;name\r\nana@example.com;Zoë €œ\r\n".repeat(3_000);
    let western_bytes: Vec<u8> = western
        .chars()
        .map(|c| match c {
            '€' => 0x80,
            'œ' => 0x9c,
            c => c as u8,
        })
        .collect();
    let marked = format!("\u{feff}{text}");
    let members = [gzip(&text.as_bytes()[..1000]), gzip(&text.as_bytes()[1000..])].concat();
    let frame = |part: &[u8]| zstd::encode_all(part, 1).expect("memory takes all");
    let frames = [frame(&text.as_bytes()[..1000]), frame(&text.as_bytes()[1000..])].concat();
    for (bytes, expected, encoding, compression) in [
        (text.clone().into_bytes(), &text, Encoding::Utf8, Compression::None),
        (members, &text, Encoding::Utf8, Compression::Gzip),
        (frames, &text, Encoding::Utf8, Compression::Zstd),
        (utf_16(&marked, u16::to_le_bytes), &marked, Encoding::Utf16Le, Compression::None),
        (utf_16(&marked, u16::to_be_bytes), &marked, Encoding::Utf16Be, Compression::None),
        (gzip(&utf_16(&marked, u16::to_le_bytes)), &marked, Encoding::Utf16Le, Compression::Gzip),
        (western_bytes, &western, Encoding::Windows1252, Compression::None),
        (Vec::new(), &String::new(), Encoding::Utf8, Compression::None),
    ] {
        let (found, read, source) = read(&bytes, None);
        assert_eq!((source.encoding(), source.compression()), (encoding, compression));
        assert!(found == expected.as_bytes(), "{encoding:?} {compression:?}");
        assert!(expected.as_bytes().starts_with(source.head()) && source.head().len() == found.len().min(HEAD_BYTES));
        assert_eq!((read, source.file_bytes()), (bytes.len() as u64, bytes.len() as u64));
        for offset in [0, 1, 999, 70_001, found.len() as u64].into_iter().filter(|&at| at <= found.len() as u64) {
            let (_directory, path) = file(&bytes);
            let source = Source::open(path, None).expect("readable");
            let mut reader = source.reader(Arc::default()).expect("readable");
            reader.skip_to(offset).expect("long enough");
            assert_eq!(reader.offset(), offset);
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).expect("sound");
            assert!(rest == found[offset as usize..], "{encoding:?} {compression:?} from {offset}");
        }
    }
}

#[test]
fn what_is_no_character_becomes_a_byte_that_is_no_text() {
    let units = |units: &[u16]| units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>();
    for (bytes, encoding, expected) in [
        (units(&[0x61, 0xd800, 0x62]), Encoding::Utf16Le, &b"a\xffb"[..]),
        (units(&[0xdc00, 0x62]), Encoding::Utf16Le, b"\xffb"),
        (units(&[0xd83d, 0xd83d, 0xde00]), Encoding::Utf16Le, b"\xff\xf0\x9f\x98\x80"),
        (units(&[0x61, 0xd83d]), Encoding::Utf16Le, b"a\xff"),
        (b"a\0b".to_vec(), Encoding::Utf16Le, b"a\xff"),
        (b"a\x81b".to_vec(), Encoding::Windows1252, b"a\xffb"),
        (b"a\xffb".to_vec(), Encoding::Utf8, b"a\xffb"),
    ] {
        assert_eq!(read(&bytes, Some(encoding)).0, expected, "{bytes:?}");
    }
}

#[test]
fn an_encoding_is_recognised_by_the_head() {
    for (head, complete, expected) in [
        (&b"plain"[..], true, Encoding::Utf8),
        ("grün".as_bytes(), true, Encoding::Utf8),
        (&"grü".as_bytes()[..3], false, Encoding::Utf8),
        (&"grü".as_bytes()[..3], true, Encoding::Windows1252),
        (b"gr\xfcn", false, Encoding::Windows1252),
        (b"\xef\xbb\xbfgr\xfcn", false, Encoding::Utf8),
        (b"\xff\xfea\0", true, Encoding::Utf16Le),
        (b"\xfe\xff\0a", true, Encoding::Utf16Be),
        (b"", true, Encoding::Utf8),
    ] {
        assert_eq!(Encoding::recognize(head, complete), expected, "{head:?}");
    }
}

#[test]
fn an_encoding_is_named_freely() {
    for (name, expected) in [
        ("UTF-8", Ok(Encoding::Utf8)),
        ("utf_16le", Ok(Encoding::Utf16Le)),
        ("windows1252", Ok(Encoding::Windows1252)),
        ("CP1252", Ok(Encoding::Windows1252)),
        ("latin2", Err(())),
    ] {
        assert_eq!(name.parse::<Encoding>(), expected, "{name}");
    }
}

#[test]
fn a_path_that_cannot_be_read_says_so() {
    let (directory, path) = file(b"a");
    let open = |path: &Path| Source::open(path, None).expect_err("unreadable");
    assert!(matches!(open(&path.with_extension("none")), SourceError::Missing { .. }));
    assert!(matches!(open(directory.path()), SourceError::Directory { .. }));
    let message = open(directory.path()).to_string();
    assert_eq!(
        message,
        format!("cannot import `{}`: it is a directory, give one of its files", directory.path().display())
    );
}

#[test]
fn damaged_compression_is_an_error_and_a_cut_file_cannot_be_gone_on_with() {
    let text = "ana@example.com,5\n".repeat(100_000);
    let mut cut = gzip(text.as_bytes());
    cut.truncate(cut.len() - 20);
    let (_directory, path) = file(&cut);
    let mut reader = Source::open(path, None).and_then(|source| source.reader(Arc::default())).expect("readable");
    assert_eq!(reader.read_to_end(&mut Vec::new()).expect_err("cut").kind(), io::ErrorKind::UnexpectedEof);
    let (_directory, path) = file(b"\x1f\x8b\x00\x00");
    assert!(matches!(Source::open(path, None), Err(SourceError::Read { .. })));
    for bytes in [b"1234".to_vec(), gzip(b"1234")] {
        let (_directory, path) = file(&bytes);
        let mut reader = Source::open(path, None).and_then(|source| source.reader(Arc::default())).expect("readable");
        assert!(matches!(reader.skip_to(5), Err(SourceError::Shorter { found: 4, wanted: 5, .. })));
    }
}
