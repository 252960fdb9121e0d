//! Workbooks made by hand, part by part: what programs write, and what none would.

use std::io::Write;

/// A part of a zip.
pub struct Part {
    pub name: String,
    pub bytes: Vec<u8>,
    /// The length that the directory says, if it lies.
    pub said: Option<u32>,
    pub flags: u16,
}

impl Part {
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Part {
        Part { name: name.to_owned(), bytes: bytes.into(), said: None, flags: 0 }
    }
}

/// A zip of these parts.
pub fn zip(parts: &[Part]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&part.bytes).expect("a vector takes all");
        let packed = encoder.finish().expect("a vector takes all");
        let mut common = Vec::new();
        for number in [20, part.flags, 8, 0, 0x21] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        let size = part.said.unwrap_or(part.bytes.len() as u32);
        for number in [crc32fast::hash(&part.bytes), packed.len() as u32, size, part.name.len() as u32] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        let at = file.len() as u32;
        file.extend_from_slice(b"PK\x03\x04");
        file.extend_from_slice(&common);
        file.extend_from_slice(part.name.as_bytes());
        file.extend_from_slice(&packed);
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&common);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&at.to_le_bytes());
        directory.extend_from_slice(part.name.as_bytes());
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

/// The formats of cells: 0 general, 1 a date, 2 a date with time, 3 hours, 4 a percentage, 5 a currency, 6 text.
const STYLES: &str = "<styleSheet><numFmts><numFmt numFmtId=\"170\" formatCode=\"[h]:mm:ss\"/>\
    <numFmt numFmtId=\"171\" formatCode=\"&quot;$&quot;#,##0.00\"/></numFmts><cellXfs><xf numFmtId=\"0\"/>\
    <xf numFmtId=\"14\"/><xf numFmtId=\"22\"/><xf numFmtId=\"170\"/><xf numFmtId=\"10\"/><xf numFmtId=\"171\"/>\
    <xf numFmtId=\"49\"/></cellXfs></styleSheet>";

/// A workbook's parts: sheets by name, state (`visible`, `hidden`, `veryHidden`, or `chart`) and rows of XML, and the XML of
/// its shared texts.
pub fn parts(sheets: &[(&str, &str, &str)], is_1904: bool, texts: &str) -> Vec<Part> {
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let (mut list, mut relations, mut parts) = (String::new(), String::new(), Vec::new());
    for (number, (name, state, rows)) in (1..).zip(sheets) {
        let (kind, state, root) = match *state {
            "chart" => ("chartsheet", "visible", "chartsheet"),
            state => ("worksheet", state, "worksheet"),
        };
        list += &format!("<sheet name=\"{name}\" sheetId=\"{number}\" state=\"{state}\" r:id=\"r{number}\"/>");
        relations +=
            &format!("<Relationship Id=\"r{number}\" Type=\"{OFFICE}/{kind}\" Target=\"{kind}s/s{number}.xml\"/>");
        let xml = format!("<?xml version=\"1.0\"?><{root}><sheetData>{rows}</sheetData></{root}>");
        parts.push(Part::new(&format!("xl/{kind}s/s{number}.xml"), xml));
    }
    let date_system = if is_1904 { "<workbookPr date1904=\"1\"/>" } else { "<workbookPr/>" };
    parts.insert(0, Part::new("xl/workbook.xml", format!("<workbook>{date_system}<sheets>{list}</sheets></workbook>")));
    let relations = format!("<Relationships>{relations}</Relationships>");
    parts.insert(1, Part::new("xl/_rels/workbook.xml.rels", relations));
    parts.insert(2, Part::new("xl/styles.xml", STYLES));
    parts.insert(3, Part::new("xl/sharedStrings.xml", texts));
    let root = format!(
        "<Relationships><Relationship Id=\"r\" Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
    );
    parts.insert(0, Part::new("_rels/.rels", root));
    parts
}

/// A workbook of one sheet of these rows.
pub fn of_rows(rows: &str) -> Vec<u8> {
    zip(&parts(&[("Sheet 1", "visible", rows)], false, "<sst></sst>"))
}

/// The XML of rows of texts, from the first one on; empty cells are left out.
pub fn text_rows(rows: &[Vec<String>]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('\r', "&#13;");
    let mut xml = String::new();
    for (number, cells) in (1..).zip(rows) {
        xml += &format!("<row r=\"{number}\">");
        for (letter, cell) in (b'A'..).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            let name = format!("{}{number}", char::from(letter));
            let text = escaped(cell);
            xml += &format!("<c r=\"{name}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">{text}</t></is></c>");
        }
        xml += "</row>";
    }
    xml
}
