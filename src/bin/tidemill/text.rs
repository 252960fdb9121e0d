//! Numbers and tables for people.

/// A number or decimal text with its whole part in groups of three: `12 345.50`.
pub fn grouped(number: impl ToString) -> String {
    let text = number.to_string();
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (sign, number) = text.split_at(start);
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (whole, rest) = number.split_at(end);
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    grouped += sign;
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Whether a decimal text is zero.
pub fn is_zero(amount: &str) -> bool {
    amount.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

/// `one - other`, of two decimal texts with the same number of decimals.
pub fn minus(one: &str, other: &str) -> Option<String> {
    let decimals_of = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let units_of = |text: &str| text.replacen('.', "", 1).parse::<i128>().ok();
    let decimals = decimals_of(one);
    if decimals != decimals_of(other) {
        return None;
    }
    let difference = units_of(one)?.checked_sub(units_of(other)?)?;
    let mut digits = format!("{:0>width$}", difference.unsigned_abs(), width = decimals + 1);
    if decimals > 0 {
        digits.insert(digits.len() - decimals, '.');
    }
    Some(if difference < 0 { format!("-{digits}") } else { digits })
}

/// Text that was imported, in one line: it may hold line breaks, and escape sequences that a terminal would obey.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `1 row`, `12 345 rows`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A size, in units of a thousand as disks are sold: `291.5 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, f64); 4] = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let size = bytes as f64;
    match UNITS.iter().find(|(_, unit)| size >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", size / unit),
        None => counted(bytes, "byte", "bytes"),
    }
}

/// A time: `0.42 s`, `7.3 s`, `2 min 5 s`, `1 h 3 min`.
pub fn seconds(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.995 => format!("{seconds:.2} s"),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Which side of a column its cells stand at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// The same rows, of which the first is the header, without those of the named columns that are empty below it.
pub fn without_empty(columns: &[&str], sides: &mut Vec<Side>, rows: &mut [Vec<String>]) {
    for name in columns {
        let Some(at) = rows.first().and_then(|header| header.iter().position(|cell| cell == name)) else { continue };
        if rows.iter().skip(1).all(|row| row.get(at).is_none_or(String::is_empty)) {
            sides.remove(at);
            rows.iter_mut().filter(|row| at < row.len()).for_each(|row| drop(row.remove(at)));
        }
    }
}

/// Rows in columns as wide as their widest cell, each row on a line that `indent` begins.
pub fn table(indent: &str, sides: &[Side], rows: &[Vec<String>]) -> String {
    let width_of = |cell: &String| cell.chars().count();
    let widths: Vec<usize> =
        (0..sides.len()).map(|at| rows.iter().filter_map(|row| row.get(at)).map(width_of).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(sides).zip(&widths).map(|((cell, side), width)| {
            let padding = " ".repeat(width.saturating_sub(width_of(cell)));
            match side {
                Side::Left => cell.clone() + &padding,
                Side::Right => padding + cell,
            }
        });
        let line = indent.to_owned() + &cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_parts_are_grouped_and_the_rest_is_left() {
        for (number, text) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1 000"),
            ("-1234567", "-1 234 567"),
            ("+12345.6789", "+12 345.6789"),
            ("", ""),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn amounts_of_any_size_are_subtracted_exactly() {
        for (one, other, expected) in [
            ("1200", "0", Some("1200")),
            ("-0.05", "1.50", Some("-1.55")),
            ("5", "5", Some("0")),
            ("0.07", "0.00", Some("0.07")),
            ("9223372036854775808", "-9223372036854775808", Some("18446744073709551616")),
            ("1.5", "1", None),
            ("", "1", None),
        ] {
            assert_eq!(minus(one, other).as_deref(), expected, "{one} {other}");
        }
        assert!(is_zero("0") && is_zero("-0.00") && !is_zero("0.01"));
    }

    #[test]
    fn imported_text_cannot_reach_the_terminal_as_a_command() {
        assert_eq!(one_line("a\x1b[2Jb\nc"), "a [2Jb c");
    }

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(
            [bytes(1), bytes(999), bytes(1_000), bytes(291_540_000)],
            ["1 byte", "999 bytes", "1.0 kB", "291.5 MB"]
        );
        let times = [0.0, 0.994, 0.999, 9.94, 9.96, 59.4, 59.6, 125.0, 3_780.0].map(seconds);
        assert_eq!(
            times,
            ["0.00 s", "0.99 s", "1.0 s", "9.9 s", "10 s", "59 s", "1 min 0 s", "2 min 5 s", "1 h 3 min"]
        );
    }

    #[test]
    fn only_named_columns_are_left_out_where_they_are_empty() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let mut rows = [row(["id", "reference", "last day", "note"]), row(["1", "", "2029-12-31", ""])];
        let mut sides = vec![Side::Right, Side::Left, Side::Left, Side::Left];
        without_empty(&["last day", "reference", "other"], &mut sides, &mut rows);
        assert_eq!(table("", &sides, &rows), "id  last day    note\n 1  2029-12-31\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".into(), "ė".into(), "x".into()], vec!["22".into(), "bb".into(), String::new()]];
        assert_eq!(table("  ", &[Side::Right, Side::Left, Side::Left], &rows), "   1  ė   x\n  22  bb\n");
    }
}
