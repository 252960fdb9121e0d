//! Random files and options for the model test.
//!
//! A row is made together with the truth about it, so nobody has to parse the bytes to know what they mean: [`Written`]
//! holds both. Ten people own all identifiers, so that repeats, conflicts and taken cards are common; amounts are small
//! or at the edge of 64 bits.
//!
//! Only what is decided is generated. Left out, because two readers could both be right: a `+` before an amount,
//! `.5` and `5.`, domains without a dot, phones without country code, a quote left open before rows that hold quotes.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Content, File, Format, Mode, OnOverdraft, OnRepeat, OnUnknown, PointsOptions, Row};

/// A file's bytes, and what they mean.
#[derive(Clone)]
pub struct Written {
    pub bytes: Vec<u8>,
    pub file: File,
}

impl fmt::Debug for Written {
    /// The bytes as text: that is what one looks at when a case fails.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.bytes))
    }
}

/// Imports in their order, on a store whose program has so many decimals.
#[derive(Clone, Debug)]
pub struct World {
    pub decimals: u32,
    pub steps: Vec<Step>,
}

/// One import.
#[derive(Clone, Debug)]
pub enum Step {
    Customers(Written),
    Points(Written, PointsOptions),
}

impl Step {
    /// Returns the file.
    pub fn written(&self) -> &Written {
        match self {
            Step::Customers(written) | Step::Points(written, _) => written,
        }
    }

    /// Returns the arguments of the command line that mean this step, without the file's path.
    ///
    /// Two random files may be equal, hence `--again`; one may hold a byte that is no text, hence `--encoding`.
    pub fn arguments(&self) -> Vec<&'static str> {
        let mut arguments = match self {
            Step::Customers(_) => vec!["import", "customers"],
            Step::Points(..) => vec!["import", "points"],
        };
        arguments.extend(["--again", "--encoding", "utf-8"]);
        if let Step::Points(_, options) = self {
            arguments.extend(match options.format {
                Format::Nector => ["--format", "nector", "--reason", "test"].as_slice(),
                Format::Smile(Mode::Add) => &["--format", "smile", "--mode", "add"],
                Format::Smile(Mode::Reset) => &["--format", "smile", "--mode", "reset"],
            });
            arguments.extend(match options.on_unknown {
                OnUnknown::Reject => ["--on-unknown", "reject"],
                OnUnknown::Create => ["--on-unknown", "create"],
            });
            arguments.extend(match options.on_overdraft {
                OnOverdraft::Reject => ["--on-overdraft", "reject"],
                OnOverdraft::Clamp => ["--on-overdraft", "clamp"],
                OnOverdraft::Allow => ["--on-overdraft", "allow"],
            });
            arguments.extend(match options.on_repeat {
                OnRepeat::First => ["--on-repeat", "first"],
                OnRepeat::Last => ["--on-repeat", "last"],
            });
        }
        arguments
    }
}

/// A customers file, then one to four further imports, each of at most `rows_max` rows.
pub fn world(rows_max: usize) -> impl Strategy<Value = World> {
    (0..=4_u32).prop_flat_map(move |decimals| {
        let later = prop_oneof![
            1 => customers_file(rows_max).prop_map(Step::Customers),
            4 => points_options(decimals).prop_flat_map(move |options| {
                points_file(options.format, rows_max).prop_map(move |written| Step::Points(written, options))
            }),
        ];
        (customers_file(rows_max), prop::collection::vec(later, 1..=4)).prop_map(move |(first, later)| World {
            decimals,
            steps: std::iter::once(Step::Customers(first)).chain(later).collect(),
        })
    })
}

/// Every format and every policy.
pub fn points_options(decimals: u32) -> impl Strategy<Value = PointsOptions> {
    (
        select(vec![Format::Nector, Format::Nector, Format::Smile(Mode::Add), Format::Smile(Mode::Reset)]),
        select(vec![OnUnknown::Reject, OnUnknown::Create]),
        select(vec![OnOverdraft::Reject, OnOverdraft::Clamp, OnOverdraft::Allow]),
        select(vec![OnRepeat::First, OnRepeat::Last]),
    )
        .prop_map(move |(format, on_unknown, on_overdraft, on_repeat)| PointsOptions {
            format,
            on_unknown,
            on_overdraft,
            on_repeat,
            decimals,
        })
}

/// A points file of 1 to `rows_max` rows.
pub fn points_file(format: Format, rows_max: usize) -> BoxedStrategy<Written> {
    let note = || select(vec!["", "thanks, \"Ana\"", "two\nlines", "ąžuolas"]).prop_map(str::to_string);
    match format {
        Format::Nector => {
            let cells = (names(), amount(false), operation(), note())
                .prop_map(|((email, mobile), amount, operation, note)| vec![email, mobile, amount, operation, note]);
            file(&["email", "mobile", "amount", "operation", "note"], cells, rows_max)
        }
        Format::Smile(mode) => {
            let cells = (names(), amount(mode == Mode::Add), note())
                .prop_map(|((email, _), amount, note)| vec![email, amount, note]);
            file(&["email", "points", "note"], cells, rows_max)
        }
    }
}

/// A customers file of 1 to `rows_max` rows; about two thirds of the rows are good.
pub fn customers_file(rows_max: usize) -> BoxedStrategy<Written> {
    let cells = (identifiers(), profile(), amount(false)).prop_map(|(identifiers, profile, balance)| {
        let mut cells = identifiers;
        cells.extend(profile);
        cells.push(balance);
        cells
    });
    let header = [
        "user_id",
        "external_id",
        "email",
        "mobile",
        "card",
        "name",
        "birthday",
        "gender",
        "consent",
        "tier",
        "ltv",
        "orders",
        "created_at",
        "balance",
    ];
    file(&header, cells, rows_max)
}

/// People who own the identifiers; those from 10 on are in points files only, so they are unknown until created.
const PEOPLE: u32 = 10;

fn identifiers() -> impl Strategy<Value = Vec<String>> {
    // Mostly one's own, sometimes none, seldom another person's.
    let of = |me: u32| prop_oneof![12 => Just(Some(me)), 6 => Just(None), 1 => (0..PEOPLE).prop_map(Some)];
    (0..PEOPLE).prop_flat_map(move |me| (of(me), of(me), of(me), of(me), of(me), 0..4_u32, 0..40_u32)).prop_flat_map(
        |(user, external, email, mobile, card, spelling, fault)| {
            let or_empty = |name: Option<String>| name.unwrap_or_default();
            let mut cells = vec![
                or_empty(user.map(|n| format!("u0{n}"))),
                or_empty(external.map(|n| format!("X-{n}"))),
                or_empty(email.map(|n| spelled_email(n, spelling))),
                or_empty(mobile.map(|n| spelled_mobile(n, spelling))),
                or_empty(card.map(|n| spelled_cards(n, spelling))),
            ];
            match fault {
                0 => cells[2] = "nobody.example.com".to_string(),
                1 => cells[3] = "+91 12".to_string(),
                _ => {}
            }
            Just(cells)
        },
    )
}

fn profile() -> impl Strategy<Value = Vec<String>> {
    let cell = |good: &[&'static str], bad: &[&'static str]| {
        if bad.is_empty() {
            select(good.to_vec()).boxed()
        } else {
            prop_oneof![60 => select(good.to_vec()), 1 => select(bad.to_vec())].boxed()
        }
    };
    (
        cell(&["", "Ana", "Bo \"B\" Berg", "Two\nLines", "Ümit Öz, Jr; x|y"], &[]),
        cell(&["", "1990-01-31", "2000-02-29"], &["2021-02-29", "2999-01-01", "31.01.1990"]),
        cell(&["", "male", "Female", "OTHER"], &["x1"]),
        cell(&["", "web", "2021-05-02, No. 17, Kaunas"], &[]),
        cell(&["", "bronze", "gold"], &[]),
        cell(&["", "0", "10.5", "10.50", "99999.9999"], &["1.00001", "-1", "abc", "1,5"]),
        cell(&["", "0", "3", "120"], &["1.5", "-1"]),
        cell(&["", "2020-01-01", "2024-02-29"], &["2021-09-31", "x"]),
    )
        .prop_map(|(name, birthday, gender, consent, tier, ltv, orders, created_at)| {
            [name, birthday, gender, consent, tier, ltv, orders, created_at].map(str::to_string).to_vec()
        })
}

/// The e-mail and mobile cells of a points row.
fn names() -> impl Strategy<Value = (String, String)> {
    let person = || prop_oneof![9 => 0..PEOPLE, 1 => PEOPLE..PEOPLE + 3];
    let email = || (person(), 0..4_u32).prop_map(|(n, spelling)| spelled_email(n, spelling));
    let mobile = || (person(), 0..4_u32).prop_map(|(n, spelling)| spelled_mobile(n, spelling));
    let both = (person(), 0..4_u32).prop_map(|(n, s)| (spelled_email(n, s), spelled_mobile(n, s)));
    let bad_email =
        select(vec!["ana", "@example.com", "a b@example.com", "ana@", "a@b@example.com", "ana@example..com"]);
    let bad_mobile = select(vec!["+91 12", "+91 60000 0000x", "+999123456789", "phone"]);
    prop_oneof![
        10 => email().prop_map(|email| (email, String::new())),
        6 => mobile().prop_map(|mobile| (String::new(), mobile)),
        3 => both,
        1 => (email(), mobile()),
        1 => bad_email.prop_map(|email| (email.to_string(), String::new())),
        1 => (email(), bad_mobile).prop_map(|(email, mobile)| (email, mobile.to_string())),
        1 => Just((" ".to_string(), String::new())),
    ]
}

fn spelled_email(n: u32, spelling: u32) -> String {
    let plain = if n == 3 { "josé3@example.com".to_string() } else { format!("c{n}@example.com") };
    match spelling {
        0 => plain,
        1 => format!(" {plain} "),
        2 => plain.to_uppercase(),
        _ => plain.replace('é', "e\u{301}"),
    }
}

fn spelled_mobile(n: u32, spelling: u32) -> String {
    match spelling {
        0 => format!("+9163600000{n:02}"),
        1 => format!("+91 63600-000{n:02}"),
        2 => format!("009163600000{n:02}"),
        _ => format!("9163600000{n:02}"),
    }
}

fn spelled_cards(n: u32, spelling: u32) -> String {
    match spelling {
        0 => format!("90000000000000{n:02}"),
        1 => format!("9000-0000 0000-00{n:02}"),
        2 => format!("90000000000000{n:02},90000000000001{n:02}"),
        _ => format!("90000000000001{n:02}|9000-0000-0000-01{n:02}|90000000000002{n:02}"),
    }
}

fn amount(signed: bool) -> BoxedStrategy<String> {
    let small = (0..300_u32, select(vec!["", "", "", "", "", "", ".00", ".5", ".25", ".1250"]))
        .prop_map(|(whole, fraction)| format!("{whole}{fraction}"));
    let large = select(vec![
        "9223372036854775807",
        "9223372036854775806",
        "4611686018427387904",
        "922337203685477.5807",
        "9223372036854775808",
        "99999999999999999999",
        "0009",
        " 7 ",
    ])
    .prop_map(str::to_string);
    let bad =
        select(vec!["", "52,620", "abc", "1e3", "--5", "5 0", "NaN", "0x10", "1.2.3", "5€"]).prop_map(str::to_string);
    let good = prop_oneof![16 => small, 2 => large];
    // Where a sign is not allowed it is one more bad amount.
    let sign = if signed { 0.4 } else { 0.02 };
    let signed = (good, prop::bool::weighted(sign)).prop_map(|(number, negative)| {
        // Whether -0 is negative is nobody's business.
        if negative && number.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
            format!("-{}", number.trim())
        } else {
            number
        }
    });
    prop_oneof![18 => signed, 1 => bad].boxed()
}

fn operation() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["", "CR", "cr", "Credit", " "]),
        8 => select(vec!["DR", "dr", "DEBIT", " DR "]),
        1 => select(vec!["XX", "SET", "C", "-"]),
    ]
    .prop_map(str::to_string)
}

/// How a row stands in the file.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Whole,
    CellTooFew,
    CellTooMany,
    QuoteInside,
    TextAfterQuote,
    Nul,
    InvalidByte,
}

/// How a file is written.
#[derive(Clone, Debug)]
struct Layout {
    newline: &'static str,
    delimiter: char,
    byte_order_mark: bool,
    newline_at_end: bool,
    /// A last row whose quote is never closed.
    open_quote_at_end: bool,
    header: HeaderStyle,
}

#[derive(Clone, Copy, Debug)]
enum HeaderStyle {
    Canonical,
    UpperWithDashes,
    WithSpaces,
}

#[derive(Clone, Debug)]
struct RowPlan {
    cells: Vec<String>,
    shape: Shape,
    /// Cells that are quoted though they need not be, by bit.
    quoted: u16,
    blank_lines_before: usize,
}

/// Rows of cells in the order of `columns`, written in any order of columns and in any dialect.
fn file(
    columns: &[&'static str],
    cells: impl Strategy<Value = Vec<String>> + 'static,
    rows_max: usize,
) -> BoxedStrategy<Written> {
    let columns = columns.to_vec();
    let row = row(cells);
    let order = prop_oneof![
        Just((0..columns.len()).collect::<Vec<_>>()),
        Just((0..columns.len()).collect::<Vec<_>>()).prop_shuffle()
    ];
    (prop::collection::vec(row, 1..=rows_max), layout(), order)
        .prop_map(move |(rows, layout, order)| write(&columns, &order, &rows, &layout))
        .boxed()
}

fn row(cells: impl Strategy<Value = Vec<String>>) -> impl Strategy<Value = RowPlan> {
    let quoted = prop_oneof![3 => Just(0), 1 => any::<u16>()];
    let blank_lines = prop_oneof![9 => Just(0), 1 => 1..3_usize];
    (cells, any_shape(), quoted, blank_lines).prop_map(|(cells, shape, quoted, blank_lines_before)| RowPlan {
        cells,
        shape,
        quoted,
        blank_lines_before,
    })
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        60 => Just(Shape::Whole),
        1 => Just(Shape::CellTooFew),
        1 => Just(Shape::CellTooMany),
        1 => Just(Shape::QuoteInside),
        1 => Just(Shape::TextAfterQuote),
        1 => Just(Shape::Nul),
        1 => Just(Shape::InvalidByte),
    ]
}

fn layout() -> impl Strategy<Value = Layout> {
    (
        select(vec!["\n", "\n", "\r\n", "\r"]),
        select(vec![',', ',', ';', '\t', '|']),
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::bool::weighted(0.1),
        select(vec![HeaderStyle::Canonical, HeaderStyle::UpperWithDashes, HeaderStyle::WithSpaces]),
    )
        .prop_map(|(newline, delimiter, byte_order_mark, newline_at_end, open_quote_at_end, header)| Layout {
            newline,
            delimiter,
            byte_order_mark,
            newline_at_end,
            open_quote_at_end,
            header,
        })
}

fn write(columns: &[&str], order: &[usize], rows: &[RowPlan], layout: &Layout) -> Written {
    let mut bytes = if layout.byte_order_mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    let mut line = 1;
    let mut meant = File { header: order.iter().map(|&at| columns[at].to_string()).collect(), rows: Vec::new() };
    let header = meant.header.iter().map(|column| match layout.header {
        HeaderStyle::Canonical => column.clone(),
        HeaderStyle::UpperWithDashes => column.to_uppercase().replace('_', "-"),
        HeaderStyle::WithSpaces => format!(" {} ", column.replace('_', " ")),
    });
    let delimiter = layout.delimiter.to_string();
    bytes.extend(header.collect::<Vec<_>>().join(&delimiter).bytes());
    for row in rows {
        for _ in 0..=row.blank_lines_before {
            bytes.extend(layout.newline.bytes());
            line += 1;
        }
        let mut cells: Vec<String> = order.iter().map(|&at| row.cells[at].replace('\n', layout.newline)).collect();
        match row.shape {
            Shape::CellTooFew => {
                cells.pop();
                // A single empty cell would be an empty line, which is no row.
                cells[0].push('x');
            }
            Shape::CellTooMany => cells.push("more".to_string()),
            _ => {}
        }
        // What follows a misplaced quote must not hold another: where such a row ends would be a matter of taste.
        let plain = |cell: &String| cell.replace(['"', '\r', '\n', layout.delimiter], "");
        let first = plain(&cells[0]);
        let mut texts: Vec<Vec<u8>> = match row.shape {
            Shape::QuoteInside | Shape::TextAfterQuote => cells.iter().map(|cell| plain(cell).into_bytes()).collect(),
            _ => cells.iter().zip(0..).map(|(cell, at)| quoted(cell, row.quoted >> at & 1 == 1, layout)).collect(),
        };
        let content = match row.shape {
            Shape::Whole | Shape::CellTooFew | Shape::CellTooMany => Content::Cells(cells),
            Shape::QuoteInside => {
                texts[0] = format!("{first}a\"b").into_bytes();
                Content::Broken
            }
            Shape::TextAfterQuote => {
                texts[0] = format!("\"{first}\"b").into_bytes();
                Content::Broken
            }
            Shape::Nul => {
                texts[0] = format!("{first}\0").into_bytes();
                Content::Broken
            }
            Shape::InvalidByte => {
                // No text in UTF-8, nor in Windows-1252.
                texts[0] = [first.as_bytes(), b"\x81"].concat();
                Content::NotText
            }
        };
        let text = texts.join(delimiter.as_bytes());
        bytes.extend(&text);
        meant.rows.push(Row { line, content });
        line += newlines(&text, layout.newline);
    }
    if layout.open_quote_at_end {
        bytes.extend(layout.newline.bytes());
        bytes.extend(format!("\"open{delimiter}5").bytes());
        meant.rows.push(Row { line: line + 1, content: Content::Broken });
    }
    if layout.newline_at_end {
        bytes.extend(layout.newline.bytes());
    }
    Written { bytes, file: meant }
}

fn quoted(cell: &str, anyway: bool, layout: &Layout) -> Vec<u8> {
    if anyway || cell.contains(['"', '\r', '\n', layout.delimiter]) {
        format!("\"{}\"", cell.replace('"', "\"\"")).into_bytes()
    } else {
        cell.as_bytes().to_vec()
    }
}

fn newlines(text: &[u8], newline: &str) -> u64 {
    text.windows(newline.len()).filter(|&window| window == newline.as_bytes()).count() as u64
}

mod tests {
    use std::collections::BTreeSet;

    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::super::model::{Model, Report};
    use super::*;

    proptest! {
        /// The csv crate, put on the line where a row is said to begin, finds the cells that it is said to have.
        #[test]
        fn the_bytes_of_a_file_are_what_it_means(
            rows in prop::collection::vec(row(vec_of_cells(3)), 1..20),
            layout in layout(),
        ) {
            let written = write(&["email", "points", "note"], &[0, 1, 2], &rows, &layout);
            let newline = layout.newline.as_bytes();
            let ends = (0..written.bytes.len()).filter(|&at| written.bytes[at..].starts_with(newline));
            let starts: Vec<usize> = std::iter::once(0).chain(ends.map(|at| at + newline.len())).collect();
            prop_assert_eq!(written.file.rows.len(), rows.len() + usize::from(layout.open_quote_at_end));
            for row in &written.file.rows {
                let start = starts[usize::try_from(row.line).expect("a small file") - 1];
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .flexible(true)
                    .delimiter(layout.delimiter as u8)
                    .from_reader(&written.bytes[start..]);
                let record = reader.byte_records().next().expect("a row begins here").expect("memory can be read");
                match &row.content {
                    Content::Cells(cells) => {
                        prop_assert!(record.iter().eq(cells.iter().map(String::as_bytes)), "{record:?} {cells:?}");
                    }
                    Content::NotText => prop_assert!(record.iter().any(|cell| std::str::from_utf8(cell).is_err())),
                    Content::Broken => {
                        let text = &written.bytes[start..];
                        prop_assert!(text.contains(&b'"') || text.contains(&0));
                    }
                }
            }
        }

        #[test]
        fn the_points_of_every_job_add_up(world in world(30)) {
            for report in run(&world) {
                prop_assert_eq!(report.balance_after - report.balance_before, report.credited - report.debited);
                let (file, applied, rejected, rest) =
                    (report.in_file, report.applied, report.rejected, report.not_taken);
                prop_assert_eq!(file.credit, applied.credit + rejected.credit + rest.credit);
                prop_assert_eq!(file.debit, applied.debit + rejected.debit + rest.debit);
            }
        }
    }

    #[test]
    fn random_worlds_meet_every_status_and_code() {
        let mut runner = TestRunner::deterministic();
        let (mut words, mut rows, mut good) = (BTreeSet::new(), 0, 0);
        for _ in 0..300 {
            let world = world(30).new_tree(&mut runner).expect("nothing is filtered").current();
            for report in run(&world) {
                words.extend(report.statuses().into_keys().chain(report.codes().into_keys()));
                rows += report.answers.len();
                good += report.answers.iter().filter(|answer| answer.status != "rejected").count();
            }
        }
        let expected = BTreeSet::from([
            "amount_invalid",
            "amount_missing",
            "amount_precision",
            "amount_range",
            "applied",
            "balance_overflow",
            "created",
            "encoding_invalid",
            "field_invalid",
            "identifier_conflict",
            "identifier_invalid",
            "identifier_missing",
            "identifier_taken",
            "identifier_unknown",
            "insufficient_balance",
            "operation_invalid",
            "rejected",
            "repeated_customer",
            "row_malformed",
            "unchanged",
            "updated",
        ]);
        assert_eq!(words, expected);
        assert!(good * 10 > rows * 4 && good * 10 < rows * 8, "{good} of {rows} rows are good");
    }

    fn run(world: &World) -> Vec<Report> {
        let mut model = Model::new("2026-11-22");
        let import = |step: &Step| match step {
            Step::Customers(written) => model.import_customers(&written.file, world.decimals),
            Step::Points(written, options) => model.import_points(&written.file, options),
        };
        world.steps.iter().map(import).collect()
    }

    fn vec_of_cells(count: usize) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[a\"',;|\t\né ]{0,6}", count).prop_map(|mut cells| {
            // No row is an empty line, and the csv crate skips none of ours.
            cells[0].push('x');
            cells
        })
    }
}
