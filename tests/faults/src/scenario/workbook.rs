//! Workbooks as small as they can be: one sheet of texts, in an archive without compression.

use std::io;

use flate2::Crc;

const TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
const ROOT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Points" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const SHEETS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

/// A workbook with the cells of a CSV, none of which may hold a line's end.
///
/// # Errors
/// It would be larger than 4 GB.
pub fn of_csv(csv: &str) -> io::Result<Vec<u8>> {
    let mut sheet = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<worksheet \
         xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>",
    );
    for (row, number) in csv.lines().zip(1..) {
        sheet.push_str(&format!("<row r=\"{number}\">"));
        for (cell, column) in row.split(',').zip('A'..='Z').filter(|(cell, _)| !cell.is_empty()) {
            let cell = cell.replace('&', "&amp;").replace('<', "&lt;");
            sheet.push_str(&format!("<c r=\"{column}{number}\" t=\"inlineStr\"><is><t>{cell}</t></is></c>"));
        }
        sheet.push_str("</row>");
    }
    sheet.push_str("</sheetData></worksheet>");
    archive(&[
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", ROOT),
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", SHEETS),
        ("xl/worksheets/sheet1.xml", &sheet),
    ])
}

/// A ZIP archive of these files, as they are.
fn archive(files: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let number = |value: usize| {
        u32::try_from(value).map(u32::to_le_bytes).map_err(|_| io::Error::other("a workbook of more than 4 GB"))
    };
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut crc = Crc::new();
        crc.update(content.as_bytes());
        // Needs version 1.0, no flags, stored, midnight of the first of January 1980, checksum, lengths, and no more fields.
        let mut header = vec![10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        header.extend(crc.sum().to_le_bytes());
        header.extend(number(content.len())?);
        header.extend(number(content.len())?);
        header.extend(&number(name.len())?[..2]);
        header.extend([0, 0]);
        let offset = number(archive.len())?;
        archive.extend(*b"PK\x03\x04");
        archive.extend(&header);
        archive.extend(name.bytes());
        archive.extend(content.bytes());
        directory.extend(*b"PK\x01\x02\x0a\x00");
        directory.extend(&header);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset);
        directory.extend(name.bytes());
    }
    let start = archive.len();
    let count = &number(files.len())?[..2];
    archive.extend(&directory);
    archive.extend(*b"PK\x05\x06\0\0\0\0");
    archive.extend(count);
    archive.extend(count);
    archive.extend(number(directory.len())?);
    archive.extend(number(start)?);
    archive.extend([0, 0]);
    Ok(archive)
}
