//! Looks at XML before calamine does, and stops what would take the memory.
//!
//! calamine and quick-xml hold a whole tag, text or comment at once, all text of one cell, all shared texts and styles. A
//! few kilobytes of zip unpack to gigabytes of any of these. So the bytes are counted where they pass, in the same pieces in
//! which quick-xml takes them: a text up to the next `<`, a tag up to a `>` that is in no quotes, a comment up to `-->`.

use memchr::memchr;

use super::{SHARED_TEXT_BYTES_MAX, SheetProblem, cells::far};

/// A tag, a text between tags, a comment. A cell's text has at most 32,767 characters.
const PIECE_BYTES_MAX: u64 = 1 << 20;

/// A cell with all that is in it.
const CELL_BYTES_MAX: u64 = 2 << 20;

/// What workbook, relationships and styles may take together: elements, each with the longest piece there is, as a style
/// holds copies of its font's name and of its format. 50,000 styles of a usual file take half of it.
const SMALL_BYTES_MAX: u64 = 96 << 20;

/// Memory of an element besides its texts.
const SMALL_ELEMENT_BYTES: u64 = 512;

/// Memory of a shared text's elements besides their bytes: at least two make one text, of 24 bytes and an allocation.
const SHARED_ELEMENT_BYTES: u64 = 32;

/// Shared texts that a part may say it has, however short it is: 24 MiB.
const SHARED_COUNT_MIN: u64 = 1 << 20;

/// Letters of a sheet's last column, and digits of its last row: `XFD1048576`.
const COLUMN_LETTERS: usize = 3;
const ROW_DIGITS: usize = 7;

/// A place so short needs no look at what it is made of: six letters, and six digits, fit into 32 bits.
const PLACE_BYTES_MAX: usize = 6;

/// The bytes of a tag that are kept: its name and the first attributes.
const TAG_BYTES_KEPT: usize = 256;

/// What a part is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Workbook, relationships, styles.
    Small,
    /// The shared texts.
    Texts,
    /// A sheet.
    Sheet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// Behind a `<`.
    Open,
    Tag,
    /// In a tag's quotes, of this kind.
    Quoted(u8),
    /// Behind `<!`.
    Bang,
    /// Up to these bytes, of which so many were seen.
    Until(&'static [u8], usize),
}

/// Counts the bytes of one part.
#[derive(Debug)]
pub(super) struct Guard {
    kind: Kind,
    /// The bytes that the part has, as its directory says.
    size: u64,
    state: State,
    bytes: u64,
    piece_bytes: u64,
    longest: u64,
    elements: u64,
    cell_bytes: u64,
    in_rows: bool,
    last_row: u64,
    tag: Vec<u8>,
}

impl Guard {
    pub(super) fn new(kind: Kind, size: u64) -> Guard {
        Guard {
            kind,
            size,
            state: State::Text,
            bytes: 0,
            piece_bytes: 0,
            longest: 0,
            elements: 0,
            cell_bytes: 0,
            in_rows: false,
            last_row: 0,
            tag: Vec::new(),
        }
    }

    /// Takes the next bytes of the part.
    ///
    /// # Errors
    /// When they are more than is allowed, or no XML that a spreadsheet program writes.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<(), SheetProblem> {
        if self.bytes == 0 && (bytes.starts_with(&[0xff]) || bytes.starts_with(&[0xfe]) || bytes.starts_with(&[0])) {
            return Err(SheetProblem::damaged("its XML is not UTF-8"));
        }
        self.bytes += bytes.len() as u64;
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let taken = match self.state {
                State::Text => match memchr(b'<', rest) {
                    Some(at) => {
                        self.count(at as u64)?;
                        self.piece_ends();
                        self.count(1)?;
                        self.tag.clear();
                        self.state = State::Open;
                        rest = &rest[at + 1..];
                        continue;
                    }
                    None => rest.len(),
                },
                State::Open => {
                    self.state = match first {
                        b'!' => State::Bang,
                        b'?' => State::Until(b"?>", 0),
                        _ => {
                            self.state = State::Tag;
                            continue;
                        }
                    };
                    1
                }
                State::Tag => {
                    let at = rest.iter().position(|byte| matches!(byte, b'>' | b'"' | b'\''));
                    let taken = at.map_or(rest.len(), |at| at + 1);
                    self.keep(&rest[..taken]);
                    if let Some(at) = at {
                        if rest[at] == b'>' {
                            self.count(taken as u64)?;
                            self.tag_ends()?;
                            self.piece_ends();
                            self.state = State::Text;
                            rest = &rest[taken..];
                            continue;
                        }
                        self.state = State::Quoted(rest[at]);
                    }
                    taken
                }
                State::Quoted(quote) => {
                    let at = memchr(quote, rest);
                    let taken = at.map_or(rest.len(), |at| at + 1);
                    self.keep(&rest[..taken]);
                    if at.is_some() {
                        self.state = State::Tag;
                    }
                    taken
                }
                State::Bang => {
                    self.tag.push(first);
                    match self.tag.as_slice() {
                        b"--" => self.state = State::Until(b"-->", 0),
                        b"[CDATA[" => self.state = State::Until(b"]]>", 0),
                        begun if b"--".starts_with(begun) || b"[CDATA[".starts_with(begun) => {}
                        _ => return Err(SheetProblem::Dtd),
                    }
                    1
                }
                State::Until(end, seen) => {
                    let seen = match seen {
                        seen if end.get(seen) == Some(&first) => seen + 1,
                        // One more of the same, as in `--->`.
                        2 if end.len() == 3 && first == end[0] => 2,
                        _ => usize::from(first == end[0]),
                    };
                    self.state = State::Until(end, seen);
                    if seen == end.len() {
                        self.count(1)?;
                        self.piece_ends();
                        self.state = State::Text;
                        rest = &rest[1..];
                        continue;
                    }
                    1
                }
            };
            self.count(taken as u64)?;
            rest = &rest[taken..];
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = TAG_BYTES_KEPT.saturating_sub(self.tag.len());
        self.tag.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn count(&mut self, bytes: u64) -> Result<(), SheetProblem> {
        self.piece_bytes += bytes;
        if self.piece_bytes > PIECE_BYTES_MAX {
            return Err(too_large(format!("a text or tag in it is longer than {PIECE_BYTES_MAX} bytes")));
        }
        if self.in_rows {
            self.cell_bytes += bytes;
            if self.cell_bytes > CELL_BYTES_MAX {
                return Err(too_large(format!("a cell in it is longer than {CELL_BYTES_MAX} bytes")));
            }
        }
        Ok(())
    }

    fn piece_ends(&mut self) {
        self.longest = self.longest.max(self.piece_bytes);
        self.piece_bytes = 0;
    }

    /// A whole tag was seen; its beginning, from behind the `<`, is in `tag`.
    fn tag_ends(&mut self) -> Result<(), SheetProblem> {
        self.elements += u64::from(self.tag.first() != Some(&b'/'));
        match self.kind {
            Kind::Small => {
                let longest = self.longest.max(self.piece_bytes);
                if self.elements.saturating_mul(longest + SMALL_ELEMENT_BYTES) > SMALL_BYTES_MAX {
                    return Err(too_large("its styles, sheets or names are too many".to_owned()));
                }
            }
            Kind::Texts => {
                if self.bytes + self.elements * SHARED_ELEMENT_BYTES > SHARED_TEXT_BYTES_MAX {
                    return Err(shared_too_large());
                }
                if local_name(&self.tag) == b"sst" {
                    self.check_count()?;
                }
            }
            Kind::Sheet => self.cell_tag_ends()?,
        }
        Ok(())
    }

    /// calamine takes memory for as many texts as the part says it has.
    fn check_count(&self) -> Result<(), SheetProblem> {
        // As many as there can be, or few enough for a program that counts wrong.
        let count_max = (self.size / 5).max(SHARED_COUNT_MIN);
        let is_too_large = attribute(&self.tag, b"uniqueCount").is_some_and(|count| {
            let digits = count.strip_prefix(b"+").unwrap_or(count);
            match number(digits) {
                Some(count) => count > count_max,
                None => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
            }
        });
        // An attribute that was not kept was not looked at.
        if is_too_large || self.piece_bytes > TAG_BYTES_KEPT as u64 {
            return Err(shared_too_large());
        }
        Ok(())
    }

    fn cell_tag_ends(&mut self) -> Result<(), SheetProblem> {
        let is_end = self.tag.first() == Some(&b'/');
        match local_name(&self.tag) {
            b"c" => {
                self.cell_bytes = 0;
                self.check_place()?;
            }
            b"row" => {
                self.cell_bytes = 0;
                self.check_place()?;
                if let Some(row) = attribute(&self.tag, b"r").and_then(number).filter(|_| !is_end) {
                    if row < self.last_row {
                        return Err(disordered(row, self.last_row));
                    }
                    self.last_row = row;
                }
            }
            b"sheetData" => {
                self.in_rows = !is_end && !self.tag.ends_with(b"/>");
                self.cell_bytes = 0;
            }
            _ => {}
        }
        Ok(())
    }

    /// calamine counts rows and columns in 32 bits, and begins again at 0 beyond them: the cell would be another one.
    fn check_place(&self) -> Result<(), SheetProblem> {
        let is_far = match attribute(&self.tag, b"r") {
            Some(place) if place.len() <= PLACE_BYTES_MAX => false,
            Some(place) => {
                let letters = place.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
                letters > COLUMN_LETTERS || place.len() - letters > ROW_DIGITS
            }
            // An attribute that was not kept was not looked at.
            None => self.piece_bytes > TAG_BYTES_KEPT as u64,
        };
        if is_far { Err(far()) } else { Ok(()) }
    }

    /// Whether the rows of a sheet are over, as far as they were seen.
    pub(super) fn is_complete(&self) -> bool {
        !self.in_rows && self.state == State::Text
    }
}

/// The rows of a sheet do not follow each other.
pub(super) fn disordered(row: u64, last: u64) -> SheetProblem {
    SheetProblem::damaged(format!("its row {row} stands behind its row {last}"))
}

fn too_large(what: String) -> SheetProblem {
    SheetProblem::TooLarge { what }
}

fn shared_too_large() -> SheetProblem {
    too_large(format!("its texts would take more than {} MiB", SHARED_TEXT_BYTES_MAX >> 20))
}

/// The name of an element without its prefix.
fn local_name(tag: &[u8]) -> &[u8] {
    let tag = tag.strip_prefix(b"/").unwrap_or(tag);
    let end = tag.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
    let name = &tag[..end.unwrap_or(tag.len())];
    name.iter().position(|&byte| byte == b':').map_or(name, |at| &name[at + 1..])
}

/// An attribute's value as it stands there.
fn attribute<'a>(tag: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = tag;
    loop {
        let equals = memchr(b'=', rest)?;
        let key = rest[..equals].trim_ascii_end();
        let key = key.iter().rposition(u8::is_ascii_whitespace).map_or(key, |at| &key[at + 1..]);
        let value = rest[equals + 1..].trim_ascii_start();
        let (&quote, value) = value.split_first()?;
        let end = memchr(quote, value)?;
        if key == name {
            return Some(&value[..end]);
        }
        rest = &value[end + 1..];
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(kind: Kind, xml: &[u8], pieces: usize) -> Result<Guard, SheetProblem> {
        let mut guard = Guard::new(kind, xml.len() as u64);
        xml.chunks(pieces).try_for_each(|piece| guard.pass(piece))?;
        Ok(guard)
    }

    /// The same, whatever pieces the bytes come in.
    fn pass(kind: Kind, xml: &[u8]) -> Result<Guard, SheetProblem> {
        let whole = passed(kind, xml, xml.len().max(1));
        for pieces in [1, 3, 7] {
            assert_eq!(passed(kind, xml, pieces).err(), whole.as_ref().err().cloned());
        }
        whole
    }

    #[test]
    fn what_spreadsheet_programs_write_passes() {
        let sheet =
            b"<?xml version=\"1.0\"?>\n<!-- made by hand ---><x:worksheet a='>' b=\"<\"><x:sheetData><x:row r=\"1\">\
            <x:c r=\"A1\" t=\"inlineStr\"><is><t>a<![CDATA[<b>]]]></t></is></x:c></x:row><x:row r=\"1\"/></x:sheetData>\
            </x:worksheet>";
        let guard = pass(Kind::Sheet, sheet).unwrap();
        assert!(guard.is_complete() && guard.state == State::Text);
        assert!(pass(Kind::Small, &b"<xf numFmtId=\"0\"/>".repeat(60_000)).is_ok());
        assert!(pass(Kind::Texts, b"<sst uniqueCount=\"3\" count='9'><si><t/></si></sst>").is_ok());
    }

    #[test]
    fn what_would_take_the_memory_is_refused() {
        let long = |before: &str, after: &str| [before, &"x".repeat(2 << 20), after].concat().into_bytes();
        let cell = |inner: &str| {
            format!("<worksheet><sheetData><row><c><is>{}</is></c></row></sheetData>", inner.repeat(500_000))
                .into_bytes()
        };
        for (kind, xml) in [
            (Kind::Sheet, long("<v>", "</v>")),
            (Kind::Sheet, long("<v a=\"", "\"/>")),
            (Kind::Sheet, long("<!--", "-->")),
            (Kind::Sheet, long("<?", "?>")),
            (Kind::Sheet, long("<![CDATA[", "]]>")),
            // What looks like the end of the piece, and is none.
            (Kind::Sheet, ["<v a=\"", &"><".repeat(1 << 20), "\"/>"].concat().into_bytes()),
            (Kind::Sheet, ["<!--", &"><->".repeat(1 << 19), "-->"].concat().into_bytes()),
            (Kind::Sheet, cell("<t>ab</t>")),
            (Kind::Sheet, cell("a<b/>")),
            (Kind::Small, b"<xf/>".repeat(400_000)),
            (Kind::Small, ["<f n=\"", &"x".repeat(1_000_000), "\"/>", &"<xf/>".repeat(200)].concat().into_bytes()),
            (Kind::Texts, b"<sst uniqueCount=\"1000000000000\">".to_vec()),
            (Kind::Texts, b"<sst count=\"1\" uniqueCount='99999999999999999999999'>".to_vec()),
            (Kind::Texts, [&b"<sst "[..], &b"a=\"\" ".repeat(100), b"uniqueCount=\"1\">"].concat()),
        ] {
            let error = passed(kind, &xml, 4096).map(|guard| guard.elements);
            assert!(
                matches!(error, Err(SheetProblem::TooLarge { .. })),
                "{error:?} {}",
                String::from_utf8_lossy(&xml[..xml.len().min(60)])
            );
        }
        for xml in ["<!DOCTYPE x>", "<?xml?><!doctype x [<!ENTITY a \"b\">]>", "<!ENTITY>", "<![cdata[", "<!->"] {
            assert_eq!(pass(Kind::Small, xml.as_bytes()).err(), Some(SheetProblem::Dtd), "{xml}");
        }
        let backwards = b"<sheetData><row r=\"2\"/><row spans=\"1:2\" r=\"1\"/></sheetData>";
        assert_eq!(pass(Kind::Sheet, backwards).err(), Some(disordered(1, 2)));
        assert!(pass(Kind::Small, b"\xff\xfe<\0").is_err());
    }

    #[test]
    fn a_place_that_would_be_counted_as_another_is_refused() {
        let long = format!("<row {}r=\"1\">", "a=\"\" ".repeat(60));
        for (tag, is_good) in [
            ("<row r=\"1048576\">", true),
            ("<row r=\"9999999\">", true),
            // 2^32 + 2 is row 2 in 32 bits.
            ("<row r=\"4294967298\">", false),
            ("<row r=\"555555555555555555555555555\">", false),
            ("<row spans=\"1:2\" r='12345678'>", false),
            ("<row><c r=\"XFD1048576\">", true),
            ("<row><c r=\"AAA9\" s=\"1\"/>", true),
            ("<row><c r=\"A4294967298\">", false),
            ("<row><c s=\"1\" r=\"AAAAAAAAAAA1\"/>", false),
            ("<row><c>", true),
            ("<row>", true),
            (long.as_str(), false),
        ] {
            let found = pass(Kind::Sheet, format!("<sheetData>{tag}").as_bytes()).err();
            assert_eq!(found, (!is_good).then(far), "{tag}");
        }
    }

    #[test]
    fn names_and_attributes_are_found() {
        for (tag, name) in [("x:row r=\"1\">", "row"), ("/c>", "c"), ("v/>", "v"), ("sheetData", "sheetData"), ("", "")]
        {
            assert_eq!(local_name(tag.as_bytes()), name.as_bytes());
        }
        let tag = b"row spans='r=\"9\"' r = \"12\" ht=\"1\">";
        assert_eq!(attribute(tag, b"r"), Some(&b"12"[..]));
        assert_eq!(attribute(tag, b"s"), None);
        assert_eq!(attribute(b"row r=\"1", b"r"), None);
    }
}
