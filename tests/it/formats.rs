//! The vendors' formats as their files are written, and how a file is read that is written otherwise.

use serde_json::Value;
use tidemill::import::format::{Format, Kind};

use super::support::{
    binary::{Binary, Ended},
    content::rows,
};

/// A store with Ana, who has 100 points, and Ben.
fn shop() -> Binary {
    let binary = Binary::new();
    binary.write("customers.csv", "email,balance\nana@example.com,100\nben@example.com,\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary
}

/// Imports a file of points; what became of each row: status or code, amount, balance.
fn answers(shop: &Binary, content: &str, more: &[&str]) -> (Ended, Vec<String>) {
    shop.write("points.csv", content);
    let command = [&["import", "points", "points.csv", "--processed", "p.csv", "--again"], more].concat();
    let ended = shop.run(&command);
    let answer = |cells: &Vec<String>| match cells[2].as_str() {
        "" => format!("{} {} {}", cells[1], cells[5], cells[6]),
        code => code.to_owned(),
    };
    let told = if matches!(ended.exit, Some(0 | 3)) {
        rows(&shop.read("p.csv")).iter().map(answer).collect()
    } else {
        Vec::new()
    };
    (ended, told)
}

#[test]
fn every_template_is_imported_without_a_rejected_row() {
    // Lists of customers are for bulk operations, not imported.
    for format in Format::all().iter().filter(|format| format.kind != Kind::Selection) {
        let binary = Binary::new();
        binary.run(&["template", &format.name, "-o", "template.csv"]).expect(0);
        let mut command = vec!["import", format.kind.name(), "template.csv"];
        if format.kind == Kind::Points {
            command.extend(["--reason", "x", "--on-unknown", "create", "--on-overdraft", "allow"]);
            command.extend(if format.mode_required { &["--mode", "add"][..] } else { &[] });
        }
        let summary = binary.run(&command).expect(0).json;
        assert_eq!(summary["format"], format.name);
        assert_eq!(summary["rows"]["read"], format.sample.rows.len());
        let unread: Vec<&str> = format
            .template_columns()
            .filter(|column| column.field.is_none())
            .map(|column| &*column.headers[0])
            .collect();
        assert_eq!(summary["ignored_columns"], Value::from(unread));
        binary.verify();
    }
}

#[test]
fn a_smile_export_is_a_snapshot_with_grouped_numbers() {
    const HEADER: &str = "Smile Customer ID,First name,Last name,Email,Membership status,Points balance,Referral url,\
                          Vip tier name,Date of birth\n";
    let rows = "1,Ana,,ANA@example.com,member,\"89,085\",,Gold,1004-05-27\n\
                2,Ben,,ben@example.com,candidate,0,,,\n\
                3,Eve,,eve@example.com,member,5,,,\n\
                4,Ana,,ana@example.com,member,\"89,085\",,,\n\
                5,Ana,,ana@example.com,member,\"8,9085\",,,\n\
                6,,,,member,5,,,\n\
                7,Ben,,ben@example.com,member,,,,\n";
    let (ended, told) = answers(&shop(), &format!("{HEADER}{rows}"), &["--mode", "reset"]);
    assert_eq!(ended.expect(3).json["format"], "smile-export");
    assert_eq!(
        told,
        [
            "applied 88985 89085",
            "unchanged 0 0",
            "identifier_unknown",
            "unchanged 0 89085",
            "amount_invalid",
            "identifier_missing",
            "amount_missing"
        ]
    );
    // Whether balances are added or set is never guessed.
    let (ended, _) = answers(&shop(), &format!("{HEADER}{rows}"), &[]);
    assert!(ended.expect(2).error("message").contains("--mode reset"));
}

#[test]
fn a_rivo_file_adds_signed_points_or_sets_balances() {
    const HEADER: &str = "Email,Points Balance,Birthdate,VIP Tier,Activation Date,Credits Balance\n";
    let rows = "ana@example.com,50,1990-04-30,Gold,2021-03-05,\nana@example.com,-20,,,,\nben@example.com,-1,,,,\n\
                ben@example.com,\"1,000\",,,,\n";
    let (ended, told) = answers(&shop(), &format!("{HEADER}{rows}"), &["--mode", "add"]);
    assert_eq!(ended.expect(3).json["format"], "rivo");
    assert_eq!(told, ["applied 50 150", "applied -20 130", "insufficient_balance", "amount_invalid"]);
    let (_, told) = answers(&shop(), &format!("{HEADER}{rows}"), &["--mode", "reset"]);
    assert_eq!(told, ["applied -50 50", "amount_invalid", "amount_invalid", "amount_invalid"]);
}

#[test]
fn old_points_are_multiplied_and_rounded_only_as_said() {
    let content = "email,points\nben@example.com,250\nben@example.com,-45\nben@example.com,4\nben@example.com,2.5\n";
    for (how, expected) in [
        (&["--multiply", "0.1"][..], ["applied 25 25", "amount_precision", "amount_precision", "amount_precision"]),
        (
            &["--multiply", "0.1", "--round", "down"],
            ["applied 25 25", "applied -4 21", "unchanged 0 21", "unchanged 0 21"],
        ),
        (
            &["--multiply", "0.10", "--round", "half-up"],
            ["applied 25 25", "applied -5 20", "unchanged 0 20", "unchanged 0 20"],
        ),
        (&["--multiply", "0.1", "--round", "up"], ["applied 25 25", "applied -5 20", "applied 1 21", "applied 1 22"]),
        (&["--multiply", "2"], ["applied 500 500", "applied -90 410", "applied 8 418", "applied 5 423"]),
    ] {
        let shop = shop();
        let (ended, told) = answers(&shop, content, &[&["--mode", "add"], how].concat());
        assert!(matches!(ended.exit, Some(0 | 3)), "{ended:?}");
        assert_eq!(told, expected, "{how:?}");
        shop.verify();
    }
    // The factor is part of what makes two jobs the same; a factor of 1 changes nothing.
    let shop = shop();
    shop.write("points.csv", content);
    let import = |more: &[&str]| shop.run(&[&["import", "points", "points.csv", "--mode", "add"], more].concat());
    import(&["--multiply", "0.1", "--round", "up"]).expect(0);
    import(&["--multiply", "0.100", "--round", "up"]).expect(4);
    import(&[]).expect(3);
    import(&["--multiply", "1"]).expect(4);
    let ended = import(&["--multiply", "0"]).expect(2);
    assert!(ended.error("message").contains("above zero"), "{ended:?}");
    import(&["--round", "up"]).expect(2);
    // What is expected is counted in the program's points.
    let ended = import(&["--multiply", "2", "--expect-total", "7"]).expect(4);
    assert!(ended.error("message").contains("sum up to 423"), "{ended:?}");
}

#[test]
fn rows_above_the_header_are_skipped_and_counted_as_lines() {
    let content = "Points, of all; shops\n\n\"made\non\" 2026-11-01\nemail;points\nana@example.com;5\nx;1\n";
    let shop = shop();
    let (ended, told) = answers(&shop, content, &["--mode", "add", "--skip-rows", "3", "--rejects", "r.csv"]);
    // A quote with text behind it is not believed: that row is one line, and what seemed its rest another.
    assert_eq!((ended.exit, told.len()), (Some(1), 0), "{ended:?}");
    let (ended, told) = answers(&shop, content, &["--mode", "add", "--skip-rows", "4", "--rejects", "r.csv"]);
    ended.expect(3);
    assert_eq!(told, ["applied 5 105", "identifier_invalid"]);
    assert_eq!(shop.read("r.csv").lines().nth(1).map(|row| row.starts_with("x,1,7,email,")), Some(true));
    let (ended, _) = answers(&shop, content, &["--mode", "add", "--skip-rows", "7"]);
    assert!(ended.expect(2).error("message").contains("no row behind the 7 that `--skip-rows` skips"));
}

#[test]
fn dates_are_read_in_the_order_that_is_said() {
    let content =
        "email,birthday,created_at\nana@example.com,30.04.1990,05/03/2021\neve@example.com,04/30/1990,2021-03-05\n";
    for (order, expected) in [
        (&[][..], ["", ""]),
        (&["--date-format", "dmy"], ["1990-04-30 2021-03-05T00:00:00Z", ""]),
        (&["--date-format", "mdy"], ["", "1990-04-30 2021-03-05T00:00:00Z"]),
    ] {
        let binary = Binary::new();
        binary.write("customers.csv", content);
        binary.run(&[&["import", "customers", "customers.csv"], order].concat());
        let shown = ["ana", "eve"].map(|name| {
            let shown = binary.run(&["customer", "show", "--email", &format!("{name}@example.com")]).json;
            let text = |field: &str| shown[field].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("birthday"), text("created_at")).trim().to_owned()
        });
        assert_eq!(shown, expected, "{order:?}");
    }
    // A format of the user's own says it once.
    let binary = Binary::new();
    binary.write(
        "mine.toml",
        "name = \"mine\"\nkind = \"customers\"\ntitle = \"Mine\"\nmandatory = [[\"email\"]]\ndate_style = \"dmy\"\n\
         [[columns]]\nfield = \"email\"\nheaders = [\"email\"]\n[[columns]]\nfield = \"birthday\"\nheaders = [\"birthday\"]\n",
    );
    binary.write("customers.csv", "email,birthday\nana@example.com,30.04.1990\n");
    binary.run(&["import", "customers", "customers.csv", "--format", "mine.toml"]).expect(0);
    let shown = binary.run(&["customer", "show", "--email", "ana@example.com"]).json;
    assert_eq!(shown["birthday"], "1990-04-30");
}
