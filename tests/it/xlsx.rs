//! Workbooks: every kind of cell, which sheet is read, that they are read like the same rows as CSV, and what is refused.

use std::{
    fmt::Write as _,
    process::{Command, Output},
};

use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
use serde_json::{Value, json};
use tidemill::import::format::{Format as FileFormat, Kind};

use super::support::{
    binary::Binary,
    content::{Content, rows},
    workbook::{Part, of_rows, parts, text_rows, zip},
};

const IMPORT: [&str; 5] = ["import", "points", "points.xlsx", "--reason", "x"];

fn shop() -> Binary {
    let binary = Binary::new();
    binary.write("customers.csv", "email,mobile,balance\nana@example.com,+37061234567,100\nben@example.com,,\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary
}

/// What stands on a line, and its number.
type Line<T> = (u64, T);

/// The records of a workbook as `preview --raw` shows them, and what it reports.
fn raw(workbook: &[u8], more: &[&str]) -> (Vec<Line<Vec<String>>>, Vec<Line<String>>) {
    let binary = Binary::new();
    binary.write("x.xlsx", workbook);
    let ended = binary.run(&[&["preview", "x.xlsx", "--raw"], more].concat());
    let list = |name: &str| ended.json[name].as_array().cloned().unwrap_or_else(|| panic!("{ended:?}"));
    let line = |record: &Value| record["line"].as_u64().expect("a line");
    let cells = |record: &Value| serde_json::from_value(record["cells"].clone()).expect("cells");
    let records = list("records").iter().map(|record| (line(record), cells(record))).collect();
    let told = |record: &Value| record["message"].as_str().expect("a message").to_owned();
    (records, list("rejected").iter().map(|record| (line(record), told(record))).collect())
}

#[test]
fn every_kind_of_cell_is_read_as_the_file_has_it() {
    let texts = "<sst count=\"2\" uniqueCount=\"2\"><si><t>shared</t></si>\
        <si><r><t>ri</t></r><r><rPr><b/></rPr><t xml:space=\"preserve\">ch </t></r></si></sst>";
    // The inside of a cell, what is shown of it, and a piece of what is told.
    for (cell, shown, told) in [
        ("t=\"s\"><v>0</v>", "shared", ""),
        ("t=\"s\"><v>1</v>", "rich ", ""),
        ("t=\"inlineStr\"><is><t>in &amp; line</t></is>", "in & line", ""),
        ("t=\"str\"><f>A1</f><v>result</v>", "result", ""),
        ("t=\"str\"><f>A1</f><v></v>", "", ""),
        // A number stored as text keeps its zeros and its plus.
        ("t=\"inlineStr\" s=\"6\"><is><t>+0061</t></is>", "+0061", ""),
        ("t=\"inlineStr\"><is><t>two\nlines,\"x\"</t></is>", "two lines,\"x\"", ""),
        ("t=\"inlineStr\"><is><t>a_x001F_b</t></is>", "a b", ""),
        ("><v>5</v>", "5", ""),
        ("t=\"n\"><v>-0</v>", "0", ""),
        ("><v>3.7061234567E10</v>", "37061234567", ""),
        ("><v>37061234567.5</v>", "37061234567.5", ""),
        ("><v>0.1</v>", "0.1", ""),
        ("><v>1E-7</v>", "0.0000001", ""),
        ("><v>0.30000000000000004</v>", "0.30000000000000004", ""),
        ("><v>999999999999999</v>", "999999999999999", ""),
        // The sixteenth digit: kept, or made a zero by a spreadsheet.
        ("><v>4111111111111111</v>", "4111111111111111", ""),
        ("><v>9007199254740991</v>", "9007199254740991", ""),
        ("><v>4111111111111110</v>", "4111111111111110", "digits may be lost"),
        ("><v>9007199254740993</v>", "9.007199254740992e15", "digits may be lost"),
        ("><v>1e300</v>", "1e300", "digits may be lost"),
        ("><v>1e999</v>", "inf", "digits may be lost"),
        ("s=\"4\"><v>0.25</v>", "0.25", ""),
        ("s=\"5\"><v>1234.5</v>", "1234.5", ""),
        ("s=\"1\"><v>46348</v>", "2026-11-22", ""),
        ("s=\"1\"><v>1</v>", "1900-01-01", ""),
        ("s=\"1\"><v>59</v>", "1900-02-28", ""),
        // The day that only spreadsheets know.
        ("s=\"1\"><v>60</v>", "60", "no"),
        ("s=\"1\"><v>61</v>", "1900-03-01", ""),
        ("s=\"1\"><v>0</v>", "0", "formatted as a date"),
        ("s=\"1\"><v>-1</v>", "-1", "formatted as a date"),
        ("s=\"1\"><v>2958465</v>", "9999-12-31", ""),
        ("s=\"1\"><v>2958466</v>", "2958466", "formatted as a date"),
        ("s=\"2\"><v>46348.75</v>", "2026-11-22T18:00:00Z", ""),
        ("s=\"2\"><v>46348</v>", "2026-11-22", ""),
        ("s=\"2\"><v>0.5</v>", "12:00:00", ""),
        ("s=\"3\"><v>1.5</v>", "36:00:00", ""),
        ("t=\"d\"><v>2026-11-22T00:00:00</v>", "2026-11-22", ""),
        ("t=\"d\"><v>2026-11-22T10:00:00</v>", "2026-11-22T10:00:00Z", ""),
        ("t=\"b\"><v>1</v>", "TRUE", ""),
        ("t=\"b\"><v>0</v>", "FALSE", ""),
        ("t=\"e\"><v>#N/A</v>", "#N/A", "cell B2 holds the error `#N/A`"),
        ("t=\"e\"><f>1/0</f><v>#DIV/0!</v>", "#DIV/0!", "cell B2 holds the error"),
        ("><f>A1+1</f>", "", "cell B2 holds a formula without a saved value"),
        ("><f>A1+1</f><v></v>", "", "cell B2 holds a formula without a saved value"),
        ("><f t=\"shared\" si=\"4000000000\"/>", "", "cell B2 holds a formula without a saved value"),
        ("><f t=\"shared\" si=\"4000000000\" ref=\"B2:B9\">A1</f><v>7</v>", "7", ""),
        ("><f>A1+1</f><v>8</v>", "8", ""),
    ] {
        let sheet = format!(
            "<row r=\"1\"><c r=\"A1\"><v>1</v></c><c r=\"B1\"><v>2</v></c></row>\
             <row r=\"2\"><c r=\"A2\"><v>3</v></c><c r=\"B2\" {cell}</c></row>"
        );
        let (records, rejected) = raw(&zip(&parts(&[("S", "visible", &sheet)], false, texts)), &[]);
        assert_eq!(records.last(), Some(&(2, vec!["3".to_owned(), shown.to_owned()])), "{cell}");
        assert_eq!(rejected.len(), usize::from(!told.is_empty()), "{cell}: {rejected:?}");
        assert!(rejected.iter().all(|(line, message)| *line == 2 && message.contains(told)), "{cell}: {rejected:?}");
    }
    // Days since 1904.
    let dates: String = [(0, "1904-01-01"), (1, "1904-01-02"), (44886, "2026-11-22")]
        .iter()
        .zip(1..)
        .map(|((serial, _), row)| format!("<row r=\"{row}\"><c r=\"A{row}\" s=\"1\"><v>{serial}</v></c></row>"))
        .collect();
    let (records, _) = raw(&zip(&parts(&[("S", "visible", &dates)], true, texts)), &[]);
    assert_eq!(
        records.iter().flat_map(|(_, cells)| cells).collect::<Vec<_>>(),
        ["1904-01-01", "1904-01-02", "2026-11-22"]
    );
}

#[test]
fn rows_keep_their_numbers_and_their_columns() {
    let cell = |name: &str| format!("<c r=\"{name}\"><v>1</v></c>");
    let row = |number: u32, cells: &[&str]| {
        format!("<row r=\"{number}\">{}</row>", cells.iter().map(|name| cell(name)).collect::<String>())
    };
    let line = |line: u64, cells: &str| (line, cells.split(',').map(str::to_owned).collect::<Vec<_>>());
    for (what, sheet, expected) in [
        ("in order", row(1, &["A1", "B1"]) + &row(2, &["A2", "B2"]), vec![line(1, "1,1"), line(2, "1,1")]),
        ("empty rows and columns", row(2, &["B2", "D2"]) + &row(5, &["D5"]), vec![line(2, ",1,,1"), line(5, ",,,1")]),
        ("short rows", row(1, &["A1", "B1", "C1"]) + &row(2, &["A2"]), vec![line(1, "1,1,1"), line(2, "1,,")]),
        ("long rows", row(1, &["A1"]) + &row(2, &["A2", "C2"]), vec![line(1, "1"), line(2, "1,,1")]),
        ("far cells", row(1, &["A1"]) + &row(2, &["A2", "XFD2"]), vec![line(1, "1"), line(2, "1,1")]),
        (
            "far cells without others",
            row(1, &["A1", "B1"]) + &row(2, &["XFC2", "XFD2"]),
            vec![line(1, "1,1"), line(2, ",,1,1")],
        ),
        ("cells in another order", row(1, &["B1", "A1"]), vec![line(1, "1,1")]),
        ("one row in two pieces", row(1, &["A1"]) + &row(1, &["B1"]), vec![line(1, "1,1")]),
        (
            "no names",
            "<row><c><v>1</v></c><c/><c><v>2</v></c></row><row/><row><c/><c><v>3</v></c></row>".to_owned(),
            vec![line(1, "1,,2"), line(3, ",3,")],
        ),
        (
            "blank cells",
            format!("{}<row r=\"2\"><c r=\"A2\" s=\"1\"/><c r=\"ZZ2\" t=\"str\"><v> </v></c></row>", row(1, &["A1"])),
            vec![line(1, "1")],
        ),
        ("prefixes", "<x:row r=\"1\"><x:c r=\"A1\"><x:v>1</x:v></x:c></x:row>".to_owned(), vec![line(1, "1")]),
        (
            "merged cells",
            "<row r=\"1\"><c r=\"A1\"><v>1</v></c><c r=\"B1\"/><c r=\"C1\"><v>2</v></c></row>".to_owned(),
            vec![line(1, "1,,2")],
        ),
        ("nothing", String::new(), vec![]),
        ("the last row", row(1_048_576, &["A1048576"]), vec![line(1_048_576, "1")]),
    ] {
        let (records, rejected) = raw(&of_rows(&sheet), &["--rows", "all"]);
        assert_eq!((records, rejected), (expected, vec![]), "{what}");
    }
    // Twice the same cell: nobody knows which counts.
    let (records, rejected) = raw(&of_rows(&row(1, &["A1", "B1", "A1"])), &[]);
    assert_eq!(records, [line(1, "1 1,1")]);
    assert!(rejected[0].1.contains("cell A1 stands in the file twice"), "{rejected:?}");
    // A cell that cannot be: its row is told, and the ones beside it, as nobody knows where it stood.
    let odd = "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"2\"><c r=\"A2\" t=\"e\"><v>#NEW!</v></c>\
        <c r=\"B2\"><v>1</v></c></row><row r=\"3\"><c r=\"A3\"><v>1</v></c></row>";
    let (records, rejected) = raw(&of_rows(odd), &[]);
    assert_eq!((records.len(), rejected.iter().map(|(line, _)| *line).collect::<Vec<_>>()), (3, vec![1, 2]));
}

#[test]
fn a_bad_cell_rejects_its_row_where_a_field_reads_it() {
    let shop = shop();
    let cell = |name: &str, text: &str| format!("<c r=\"{name}\" t=\"str\"><v>{text}</v></c>");
    let mut sheet = "<row r=\"1\">".to_owned();
    for (name, text) in [("A1", "email"), ("B1", "amount"), ("D1", "note"), ("E1", "mobile"), ("F1", "operation")] {
        sheet += &cell(name, text);
    }
    sheet += "</row>";
    let bad_rows = [
        ("<c r=\"B2\" t=\"e\"><v>#REF!</v></c>", "amount_invalid", "amount", "the error `#REF!`"),
        ("<c r=\"B3\"><f>A1</f></c>", "amount_invalid", "amount", "without a saved value"),
        ("<c r=\"B4\" t=\"b\"><v>1</v></c>", "amount_invalid", "amount", "`TRUE`"),
        ("<c r=\"B5\"><v>1</v></c><c r=\"B5\"><v>2</v></c>", "row_malformed", "", "cell B5 stands in the file twice"),
        ("<c r=\"B6\"><v>1</v></c><c r=\"E6\"><v>4.1E15</v></c>", "identifier_invalid", "mobile", "digits may be lost"),
        ("<c r=\"B7\"><v>1</v></c><c r=\"G7\"><v>1</v></c>", "row_malformed", "", "the row has 7 fields, the header 6"),
        ("<c r=\"B8\"><v>1.5</v></c>", "amount_precision", "amount", "1.5"),
        ("<c r=\"B9\"><v>1</v></c><c r=\"F9\" t=\"e\"><v>#N/A</v></c>", "operation_invalid", "operation", "#N/A"),
        // These matter to nobody.
        ("<c r=\"B10\"><v>1</v></c><c r=\"D10\" t=\"e\"><v>#N/A</v></c>", "", "", ""),
        ("<c r=\"B11\"><v>2</v></c><c r=\"D11\"><f>A1</f></c><c r=\"E11\"><v>3.7061234567E10</v></c>", "", "", ""),
    ];
    for (row, (cells, ..)) in (2..).zip(bad_rows) {
        sheet += &format!("<row r=\"{row}\">{}{cells}</row>", cell(&format!("A{row}"), "ana@example.com"));
    }
    shop.write("points.xlsx", of_rows(&sheet));
    let more = ["--processed", "p.csv", "--rejects", "r.csv"];
    let summary = shop.run(&[&IMPORT[..], &more].concat()).expect(3).json;
    assert_eq!((&summary["rows"]["rejected"], &summary["rows"]["applied"]), (&json!(8), &json!(2)));
    assert_eq!(summary["balance"]["after"], "103");
    assert_eq!(summary["ignored_columns"], json!(["column 3", "note"]));
    let rejected = rows(&shop.read("r.csv"));
    assert_eq!(rejected.len(), 8);
    for (row, (cells, code, column, message)) in rejected.iter().zip(bad_rows) {
        let [.., found_column, found_code, found_message, _] = row.as_slice() else { panic!("{row:?}") };
        assert_eq!((found_code.as_str(), found_column.as_str()), (code, column), "{cells}");
        assert!(found_message.contains(message), "{found_message}");
    }
    // The report has the cells as the spreadsheet shows them, in their columns, and a row that has none of these whole.
    assert_eq!(rejected[0][..6], ["ana@example.com", "#REF!", "", "", "", ""]);
    assert_eq!((rejected[5][..6].concat().as_str(), rejected[5][10].as_str()), ("", "ana@example.com,1,,,,,1"));
    assert_eq!(rejected[0][6], "2");
    assert!(shop.read("p.csv").contains("\n2,rejected,amount_invalid,"));
    assert_eq!(rows(&shop.read("p.csv"))[0][4], "ana@example.com");
    // Rejected rows come from the store, and without the file.
    std::fs::remove_file(shop.path("points.xlsx")).expect("it is there");
    shop.run(&["job", "rejects", "2", "-o", "again.csv"]).expect(0);
    assert_eq!(shop.read("again.csv"), shop.read("r.csv"));
    shop.verify();
}

/// Points of generated customers, good rows and bad ones.
fn generated(binary: &Binary, rows_wanted: &str) -> Vec<Vec<String>> {
    binary.run(&["bench", "--generate", ".", "--customers", "2000", "--rows", rows_wanted]).expect(0);
    let mut rows: Vec<Vec<String>> =
        binary.read("points.csv").lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    // A sheet has no rows with too few cells, and quotes are the text's own.
    rows.retain(|cells| cells.len() == 4 && !cells.concat().contains('"'));
    for (at, (column, cell)) in
        [(1, "not a number"), (2, "'-12"), (0, "'=guarded"), (2, "1.5"), (3, "XX")].iter().enumerate()
    {
        rows[17 + at * 31][*column] = (*cell).to_owned();
    }
    rows
}

#[test]
fn the_same_rows_give_the_same_as_csv() {
    let by_text = Binary::new();
    let rows = generated(&by_text, "6000");
    let csv: String = rows.iter().map(|row| row.join(",") + "\n").collect();
    by_text.write("points.csv", csv);
    let by_sheet = by_text.copy();
    by_sheet.write("points.xlsx", of_rows(&text_rows(&rows)));
    let mut summaries = Vec::new();
    for (binary, file) in [(&by_text, "points.csv"), (&by_sheet, "points.xlsx")] {
        binary.run(&["import", "customers", "customers.csv"]).expect(0);
        let command = ["import", "points", file, "--reason", "x", "--processed", "p.csv", "--rejects", "r.csv"];
        let mut summary = binary.run(&command).expect(3).json;
        for field in ["elapsed_s", "rows_per_s", "bytes_read", "input", "files", "cost"] {
            summary[field].take();
        }
        summaries.push(summary);
    }
    assert_eq!(summaries[0], summaries[1]);
    assert_eq!(Content::of_binary(&by_sheet).difference(&Content::of_binary(&by_text)), None);
    assert_eq!(by_sheet.read("p.csv"), by_text.read("p.csv"));
    assert_eq!(by_sheet.read("r.csv"), by_text.read("r.csv"));
    // With one thread and small windows too, and from a stream.
    for (flags, is_stream) in [(["--threads", "1"], false), (["--window-rows", "100"], true)] {
        let binary = flags.iter().fold(Binary::new(), |binary, flag| binary.flag(*flag));
        binary.write("customers.csv", by_text.read("customers.csv"));
        binary.write("points.xlsx", of_rows(&text_rows(&rows)));
        binary.run(&["import", "customers", "customers.csv"]).expect(0);
        let command = ["import", "points", if is_stream { "-" } else { "points.xlsx" }, "--reason", "x"];
        let command = [&command[..], &["--processed", "p.csv"]].concat();
        if is_stream {
            let workbook = std::fs::read(binary.path("points.xlsx")).expect("it was written");
            binary.run_reading(&workbook, &command).expect(3);
        } else {
            binary.run(&command).expect(3);
        }
        assert_eq!(Content::of_binary(&binary).difference(&Content::of_binary(&by_text)), None);
        assert_eq!(binary.read("p.csv"), by_text.read("p.csv"));
    }
}

#[test]
fn what_a_spreadsheet_made_of_phones_dates_and_sums_is_read_exactly() {
    let shop = shop();
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (column, name) in (0..).zip(["mobile", "birthday", "ltv", "created_at", "user_id", "orders"]) {
        sheet.write_string(3, column, name).expect("it is written");
    }
    sheet.merge_range(0, 0, 0, 5, "Customers", &Format::new().set_bold()).expect("it is written");
    let (day, moment) = (Format::new().set_num_format("dd/mm/yyyy"), Format::new().set_num_format("yyyy-mm-dd hh:mm"));
    let date = |year, month, day| ExcelDateTime::from_ymd(year, month, day).expect("a date");
    sheet.write_number(4, 0, 37_061_234_567.0).expect("it is written");
    sheet.write_datetime_with_format(4, 1, date(1990, 4, 30), &day).expect("it is written");
    sheet.write_number(4, 2, 1234.56).expect("it is written");
    let at_nine = date(2024, 1, 15).and_hms(9, 30, 0).expect("a time");
    sheet.write_datetime_with_format(4, 3, at_nine, &moment).expect("it is written");
    sheet.write_string(4, 4, "0017").expect("it is written");
    sheet.write_formula(4, 5, Formula::new("=3+4").set_result("7")).expect("it is written");
    shop.write("c.xlsx", workbook.save_to_buffer().expect("it is written"));
    // The grouping of texts is no matter for numbers: 1234.56 is not 123,456 in German.
    for number_format in ["en", "de", "fr"] {
        let command = ["preview", "c.xlsx", "--skip-rows", "3", "--number-format", number_format];
        let row = shop.run(&command).expect(0).json["rows"][0].clone();
        assert_eq!((&row["line"], &row["problem"]), (&json!(5), &Value::Null));
        let expected = json!({ "mobile": "+37061234567", "birthday": "1990-04-30", "ltv": "1234.5600",
            "created_at": "2024-01-15T09:30:00Z", "user_id": "0017", "orders": "7" });
        assert_eq!(row["values"], expected, "{number_format}");
    }
    let command = ["import", "customers", "c.xlsx", "--skip-rows", "3", "--number-format", "de"];
    assert_eq!(shop.run(&command).expect(0).json["rows"]["updated"], 1);
    let ana = shop.export("customers").lines().find(|line| line.contains("ana@")).expect("she is there").to_owned();
    assert!(ana.starts_with("0017,") && ana.contains(",1234.56,7,2024-01-15T09:30:00"), "{ana}");
}

#[test]
fn the_first_visible_sheet_is_read_or_the_one_that_is_named() {
    let sheet = |email: &str| {
        text_rows(&[vec!["email".to_owned(), "points".to_owned()], vec![email.to_owned(), "5".to_owned()]])
    };
    let [hidden, first, second, odd] = ["x@x.io", "ana@example.com", "ben@example.com", "eve@example.com"].map(sheet);
    let sheets = [
        ("Hidden", "hidden", hidden.as_str()),
        ("Very", "veryHidden", &hidden),
        ("Chart", "chart", ""),
        ("First &amp; last", "visible", &first),
        ("2026", "visible", &second),
        ("1", "visible", &odd),
    ];
    let shop = shop();
    shop.write("points.xlsx", zip(&parts(&sheets, false, "<sst/>")));
    shop.write("points.csv", "email,points\nana@example.com,5\n");
    let import = |more: &[&str]| {
        shop.run(&[&["import", "points", "points.xlsx", "--mode", "add", "--on-unknown", "create"], more].concat())
    };
    let balance = |who: &str| {
        let shown = shop.run(&["customer", "show", "--email", who]);
        shown.json["accounts"][0]["balance"].as_str().unwrap_or("none").to_owned()
    };
    import(&[]).expect(0);
    assert_eq!((balance("ana@example.com").as_str(), balance("ben@example.com").as_str()), ("105", "0"));
    // By name before number; a number counts visible sheets of cells.
    import(&["--sheet", "2"]).expect(0);
    assert_eq!(balance("ben@example.com"), "5");
    import(&["--sheet", "1"]).expect(0);
    assert_eq!(balance("eve@example.com"), "5");
    // The same sheet by another word is the same file again; another sheet was none.
    for again in [&[][..], &["--sheet", "First & last"], &["--sheet", "2026"], &["--sheet", "3"]] {
        assert_eq!(import(again).expect(4).error("code"), "repeated_file", "{again:?}");
    }
    for unknown in ["Hidden", "Very", "Chart", "4", "0", "first & last", ""] {
        let message = import(&["--sheet", unknown]).expect(2).error("message");
        assert!(message.contains("no visible sheet") && message.contains("`First & last`, `2026`, `1`"), "{message}");
    }
    for (file, flags, said) in [
        ("points.csv", ["--sheet", "1"], "for workbooks"),
        ("points.xlsx", ["--delimiter", "comma"], "for text files"),
        ("points.xlsx", ["--quote", "'"], "for text files"),
        ("points.xlsx", ["--encoding", "utf-8"], "for text files"),
    ] {
        let ended = shop.run(&[&["import", "points", file, "--mode", "add"], &flags[..]].concat()).expect(2);
        assert!(ended.error("message").contains(said), "{ended:?}");
    }
    let none = zip(&parts(&[("A", "hidden", &hidden), ("B", "chart", "")], false, "<sst/>"));
    shop.write("points.xlsx", none);
    assert!(import(&[]).expect(1).error("message").contains("no visible sheet of cells"));
}

#[test]
fn titles_above_the_header_are_skipped_by_rows() {
    let cell = |name: &str, text: &str| format!("<c r=\"{name}\" t=\"str\"><v>{text}</v></c>");
    let sheet = [
        format!("<row r=\"1\">{}{}</row>", cell("A1", "Report"), cell("H1", "of today")),
        format!("<row r=\"3\">{}{}</row>", cell("A3", "email"), cell("B3", "points")),
        format!("<row r=\"4\">{}<c r=\"B4\"><v>5</v></c></row>", cell("A4", "ana@example.com")),
        format!("<row r=\"7\">{}<c r=\"B7\"><v>x</v></c></row>", cell("A7", "ana@example.com")),
    ];
    let shop = shop();
    shop.write("points.xlsx", of_rows(&sheet.concat()));
    let command = ["import", "points", "points.xlsx", "--mode", "add", "--processed", "p.csv", "--skip-rows"];
    for skipped in ["1", "2"] {
        let command = [&command[..], &[skipped, "--again"]].concat();
        shop.run(&command).expect(3);
        let lines: Vec<_> = rows(&shop.read("p.csv")).into_iter().map(|row| row[..2].join(" ")).collect();
        assert_eq!(lines, ["4 applied", "7 rejected"]);
    }
    // Without a header, columns have numbers.
    let more = ["3", "--no-header", "--format", "smile", "--map", "1=email", "--map", "2=amount", "--again"];
    shop.run(&[&command[..], &more].concat()).expect(3);
    let ended = shop.run(&[&command[..], &["9"]].concat()).expect(2);
    assert!(ended.error("message").contains("no row behind the 9"), "{ended:?}");
}

#[test]
fn every_template_is_imported_alike_as_workbook_and_as_csv() {
    // The others need points or customers that are there.
    for format in FileFormat::all().iter().filter(|format| [Kind::Points, Kind::Customers].contains(&format.kind)) {
        let mut digests = Vec::new();
        for name in ["template.csv", "template.xlsx"] {
            let binary = Binary::new();
            binary.run(&["template", &format.name, "-o", name]).expect(0);
            let mut command = vec!["import", format.kind.name(), name];
            if format.kind == Kind::Points {
                command.extend(["--reason", "x", "--on-unknown", "create", "--on-overdraft", "allow"]);
                command.extend(if format.mode_required { &["--mode", "add"][..] } else { &[] });
            }
            let summary = binary.run(&command).expect(0).json;
            assert_eq!((&summary["format"], &summary["rows"]["rejected"]), (&json!(format.name), &json!(0)));
            digests.push(binary.verify()["digest"].clone());
            assert_eq!(binary.run(&["template", &format.name, "-o", name]).exit, Some(4));
        }
        assert_eq!(digests[0], digests[1], "{}", format.name);
    }
    let ended = Binary::new().run(&["template", "nector", "-o", "t.ods"]).expect(2);
    assert!(ended.error("message").contains("none of `.csv`, `.xlsx`"));
}

#[test]
fn a_workbook_that_changed_is_not_gone_on_with_and_one_saved_anew_is_another() {
    let binary = Binary::new();
    let points = generated(&binary, "3000");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    let binary = binary.flag("--window-rows").flag("500");
    let xml = text_rows(&points);
    binary.write("points.xlsx", of_rows(&xml));
    let dry = binary.run(&[&IMPORT[..], &["--dry-run"]].concat()).expect(3).json;
    let job = binary.run(&IMPORT).expect(3).json;
    assert_eq!(dry["rows"], job["rows"]);
    assert_eq!(binary.run(&IMPORT).expect(4).error("code"), "repeated_file");
    // The same cells in another package.
    binary.write("points.xlsx", zip(&parts(&[("Sheet 1", "visible", &xml)], false, "<sst count=\"0\"/>")));
    binary.run(&IMPORT).expect(3);
    let expects = ["--again", "--expect-rows", "2999"];
    assert_eq!(binary.run(&[&IMPORT[..], &expects].concat()).expect(4).error("code"), "expect_rows");
}

#[test]
fn a_damaged_workbook_is_refused_before_its_first_row_is_applied() {
    let shop = shop();
    let rows: Vec<Vec<String>> = std::iter::once(vec!["email".to_owned(), "amount".to_owned(), "operation".to_owned()])
        .chain((0..5_000).map(|row| vec!["ana@example.com".to_owned(), (row % 7).to_string(), "CR".to_owned()]))
        .collect();
    let whole = of_rows(&text_rows(&rows));
    let before = Content::of_binary(&shop);
    let sheet_at = whole.windows(9).position(|bytes| bytes == b"sheets/s1").expect("its name stands there");
    let mut flipped = whole.clone();
    flipped[sheet_at + 3_000] ^= 4;
    let mut longer = parts(&[("S", "visible", &text_rows(&rows))], false, "<sst/>");
    longer[5].said = Some(100_000);
    let mut shorter = parts(&[("S", "visible", &text_rows(&rows))], false, "<sst/>");
    shorter[5].said = Some(shorter[5].bytes.len() as u32 + 1000);
    for damaged in [whole[..whole.len() - 100].to_vec(), flipped, zip(&longer), zip(&shorter)] {
        shop.write("points.xlsx", &damaged);
        let ended = shop.run(&IMPORT).expect(1);
        assert!(ended.error("message").contains("damaged"), "{ended:?}");
        let by_stream = shop.run_reading(&damaged, &["import", "points", "-", "--reason", "x"]).expect(1);
        assert!(by_stream.error("message").contains("damaged"), "{by_stream:?}");
    }
    assert_eq!(Content::of_binary(&shop).difference(&before), None);
    shop.write("points.xlsx", &whole);
    assert_eq!(shop.run(&IMPORT).expect(0).json["job"], 2);
}

/// Runs a command with 256 MiB of memory, its own code included.
fn run_within_limit(binary: &Binary, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 262144 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tidemill")]);
    // Each arena of glibc reserves 64 MiB, used or not.
    command.env("MALLOC_ARENA_MAX", "1").env_remove("TIDEMILL_STORE").current_dir(binary.path(""));
    command.args(["--json", "--threads", "1"]).args(arguments).output().expect("the binary runs")
}

#[test]
fn what_would_take_the_memory_is_refused_within_little_of_it() {
    let blank = |bytes: usize| " ".repeat(bytes);
    let sheet = |rows: &str| of_rows(rows);
    let good =
        text_rows(&[vec!["email".to_owned(), "points".to_owned()], vec!["ana@example.com".to_owned(), "5".to_owned()]]);
    let with_texts = |texts: &str| zip(&parts(&[("S", "visible", &good)], false, texts));
    let replaced = |name: &str, xml: String| {
        let mut parts = parts(&[("S", "visible", &good)], false, "<sst/>");
        parts.iter_mut().find(|part| part.name == name).expect("a part").bytes = xml.into_bytes();
        zip(&parts)
    };
    let mut encrypted = parts(&[("S", "visible", &good)], false, "<sst/>");
    encrypted[5].flags = 1;
    let mut many = parts(&[("S", "visible", &good)], false, "<sst/>");
    many.extend((0..11_000).map(|number| Part::new(&format!("xl/media/{number}.png"), "")));
    // What differs from row to row cannot be called a bomb by its ratio.
    let mut varied = String::new();
    for number in 0..1_000_000_u32 {
        let _ = write!(varied, "<si><t>{number}</t></si>{}", blank(460));
    }
    let doctype = "<!DOCTYPE sst [<!ENTITY a \"aaaaaaaaaa\">]><sst><si><t>&a;</t></si></sst>";
    let cells: String = (0..30_000).map(|_| "<c r=\"A1\"/>").collect();
    for (what, workbook, said) in [
        ("an OLE2 container", [&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1][..], &[0; 600]].concat(), "password"),
        ("an encrypted part", zip(&encrypted), "password"),
        ("a zip without a workbook", zip(&[Part::new("points.csv", "email,points\n")]), "without a workbook"),
        ("an OpenDocument file", zip(&[Part::new("mimetype", "x"), Part::new("content.xml", "<x/>")]), "OpenDocument"),
        ("a binary workbook", zip(&[Part::new("_rels/.rels", "<x/>"), Part::new("xl/workbook.bin", "x")]), "xlsb"),
        ("too many parts", zip(&many), "parts"),
        ("a DTD in the texts", with_texts(doctype), "document type definition"),
        (
            "a DTD in the sheet",
            replaced(
                "xl/worksheets/s1.xml",
                format!("<!DOCTYPE x><worksheet><sheetData>{good}</sheetData></worksheet>"),
            ),
            "document type definition",
        ),
        (
            "a DTD in the styles",
            replaced("xl/styles.xml", "<!DOCTYPE x><styleSheet/>".to_owned()),
            "document type definition",
        ),
        (
            "a DTD in the workbook",
            replaced("xl/workbook.xml", "<!DOCTYPE x><workbook/>".to_owned()),
            "document type definition",
        ),
        ("a sheet of blanks", sheet(&blank(400 << 20)), "times its size"),
        (
            "a text without an end",
            sheet(&format!(
                "<row><c><v>{}</v></c></row>",
                (0..400_000).map(|n: u32| n.to_string()).collect::<String>()
            )),
            "longer than",
        ),
        ("texts that say they are many", with_texts("<sst uniqueCount=\"1000000000000\"/>"), "texts would take more"),
        ("texts that are many", with_texts(&format!("<sst>{varied}</sst>")), "texts would take more"),
        (
            "a workbook that is long",
            replaced("xl/workbook.xml", format!("<workbook>{}</workbook>", varied)),
            "would unpack",
        ),
        (
            "styles that are many",
            replaced(
                "xl/styles.xml",
                format!(
                    "<styleSheet><cellXfs>{}</cellXfs></styleSheet>",
                    "<xf a='1'/>".repeat(90_000) + &blank(1 << 10) + &"<xf/>".repeat(200_000)
                ),
            ),
            "too many",
        ),
        ("a header to the last column", sheet("<row r=\"1\"><c r=\"XFD1\"><v>1</v></c></row>"), "columns are read"),
        (
            "a column that there is not",
            sheet("<row r=\"1\"><c r=\"AAAA1\"><v>1</v></c></row>"),
            "where no sheet has one",
        ),
        (
            "a row that there is not",
            sheet("<row r=\"1048577\"><c r=\"A1048577\"><v>1</v></c></row>"),
            "where no sheet has one",
        ),
        (
            "rows in another order",
            sheet("<row r=\"3\"><c r=\"A3\"><v>1</v></c></row><row r=\"2\"><c r=\"A2\"><v>1</v></c></row>"),
            "row 2 stands behind its row 3",
        ),
        ("a cell many times", sheet(&format!("<row r=\"1\">{cells}</row>")), "more than 20000 cells"),
        ("no end", of_rows(&good)[..200].to_vec(), "end is missing"),
        ("no XML", replaced("xl/worksheets/s1.xml", "\u{feff}{}".to_owned()), "damaged"),
        ("UTF-16", replaced("xl/workbook.xml", "\0<\0w".to_owned()), "not UTF-8"),
    ] {
        let binary = Binary::new();
        binary.write("x.xlsx", &workbook);
        for command in [&["preview", "x.xlsx"][..], &["import", "points", "x.xlsx", "--mode", "add"]] {
            let output = run_within_limit(&binary, command);
            let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let message = document["error"]["message"].as_str().unwrap_or_default();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.code() == Some(1) && message.contains(said),
                "{what}: {:?} {document} {told}",
                output.status
            );
        }
        assert!(!binary.path("tidemill-data").exists(), "{what}");
    }
    // The far corner of a sheet is no reason to take memory for all of it.
    let corner = "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row>";
    let binary = Binary::new();
    binary.write("x.xlsx", sheet(corner));
    let output = run_within_limit(&binary, &["preview", "x.xlsx", "--raw", "--rows", "all"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(document["records"][1], json!({ "line": 1_048_576, "cells": ["", "1"] }));
    // A workbook in a `.gz` can be read from a stream only.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &of_rows(&good)).expect("a vector takes all");
    let packed = encoder.finish().expect("a vector takes all");
    binary.write("x.xlsx.gz", &packed);
    assert!(binary.run(&["preview", "x.xlsx.gz", "--raw"]).expect(1).error("message").contains("unpack it first"));
    binary.run_reading(&packed, &["preview", "-", "--raw"]).expect(0);
    let unkept = ["import", "points", "-", "--mode", "add", "--no-spool"];
    assert!(binary.run_reading(&of_rows(&good), &unkept).expect(1).error("message").contains("--no-spool"));
}
