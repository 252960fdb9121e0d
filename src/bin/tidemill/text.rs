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
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".into(), "ė".into(), "x".into()], vec!["22".into(), "bb".into(), String::new()]];
        assert_eq!(table("  ", &[Side::Right, Side::Left, Side::Left], &rows), "   1  ė   x\n  22  bb\n");
    }
}
