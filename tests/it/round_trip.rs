//! What is exported can be imported, and is then the same.

use tidemill::{domain::command::Mode, report::export::Export};

use super::support::{
    content::{export, rows},
    till::{Till, file, plainly},
};

/// Texts that a spreadsheet would take for a formula, or that look as if their guard was one.
const TEXTS: [&str; 12] = [
    "=1+1",
    "'=1+1",
    "''=1+1",
    "@sum",
    "-5+5",
    "+x",
    "-5",
    "+37061234567",
    "'plain",
    "a \"b\" c",
    "a,b;c",
    "ä\u{301}€😀",
];

/// A row's cell in a file with semicolons, quoted, and guarded where a text needs it to come out as it is.
fn cell(text: &str) -> String {
    let guarded = text.starts_with(['=', '@', '\'']) || ["-5+5", "+x"].contains(&text);
    let guard = if guarded && text != "'plain" { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// A store whose customers have lots of every kind.
fn filled() -> Till {
    let till = Till::new();
    till.customers("user_id,external_id,email,mobile\n=u3,'x3,,+916000000003\n-u4+,,d@example.com,\n");
    let header = "user_id,amount,operation,expires_on,credited_on,ref_type,ref_id,promotion_id,promised,program";
    till.at("2090-03-01");
    let mut lines: Vec<String> = [
        // Plain, dated, promised, referenced and all of it; of one day and one age, in the order of the file.
        "u1;100;CR;;;;;;;",
        "u1;30;CR;2090-06-30;;;;;;",
        "u1;31;CR;2090-06-30;;;;;;",
        "u1;32;CR;2090-06-30;2089-12-31T23:59:59.999Z;;;;;",
        "u1;33;CR;2090-04-30;;order;;;yes;",
        "u1;5;CR;;;;;;yes;",
        "u1;7;CR;;2088-02-29;order;10045;spring;;",
        "u1;0.25;CR;2099-12-31;;;;summer;;eur",
        "u1;9999999.99;CR;;;;;;;eur",
        // Taken in part, and wholly.
        "u2;50;CR;2090-05-31;;;;;;",
        "u2;60;CR;2090-06-30;;;9;;;",
        "u2;70;DR;;;;;;;",
        "u2;1;CR;;;;;;yes;eur",
        "u2;1;CR;;;;;;;eur",
        "=u3;8;CR;9999-12-31;0001-01-01;;;;;",
        // Promised only, and no points at all.
        "'-u4+;3;CR;2090-03-31;;;;;yes;",
    ]
    .map(str::to_owned)
    .into();
    for (at, text) in TEXTS.into_iter().enumerate() {
        let days = if at % 2 == 0 { "2091-01-01" } else { "" };
        lines.push(format!(
            "=u3;{};CR;{days};;{};{};{};;",
            at + 1,
            cell(text),
            cell(TEXTS[at / 2]),
            cell(TEXTS[11 - at])
        ));
    }
    till.import(file(header, lines.iter().map(String::as_str)), plainly);
    assert!(till.answers().iter().all(|answer| answer.starts_with("applied")), "{:?}", till.answers());
    till
}

#[test]
fn exported_lots_are_imported_as_they_were() {
    let till = filled();
    let (customers, lots) = (export(till.engine(), Export::Customers), export(till.engine(), Export::Lots));
    // What was stored is what was meant, and it is guarded on its way out.
    let cells = rows(&lots);
    for text in TEXTS {
        assert!(cells.iter().any(|cells| cells[8] == text), "{text}");
    }
    let guards = ["'=1+1", "''=1+1", "'''=1+1", "'@sum", "'-5+5", "'+x", "-5", "+37061234567", "'plain"];
    let raw: Vec<String> = lots.lines().flat_map(|line| line.split(',')).map(str::to_owned).collect();
    for guard in guards {
        assert!(raw.iter().any(|cell| cell == guard), "{guard}");
    }
    let plain = cells.iter().find(|cells| cells[0] == "u1" && cells[5] == "100").expect("plain points");
    assert_eq!(plain[6..], ["available", "", "", "", "", ""].map(str::to_owned));

    let mut copy = Till::new();
    copy.customers(&customers);
    let summary = copy.import(&lots, |_, request| request.mode = Some(Mode::Add));
    assert_eq!((summary.format.as_deref(), summary.rows.rejected), (Some("tidemill"), 0), "{:?}", copy.answers());
    assert!(summary.ignored_columns.is_empty());
    assert_eq!(summary.rows.applied, cells.len() as u64);
    for _ in 0..2 {
        assert_eq!(export(copy.engine(), Export::Lots), lots);
        assert_eq!(export(copy.engine(), Export::Customers), customers);
        let balances = Export::Balances { nonzero: true };
        assert_eq!(export(copy.engine(), balances), export(till.engine(), balances));
        assert_eq!(copy.verify().digest.accounts, till.verify().digest.accounts);
        copy.reopen();
    }
    // They are lots of their own: taken, and over, as the first ones are.
    for (day, row) in [("2090-05-01", "u1;20;DR;"), ("2090-06-01", "u2;10;DR;"), ("2091-02-01", "=u3;1;DR;")] {
        for till in [&till, &copy] {
            till.at(day);
            till.import(file("user_id,amount,operation,row_id", [row].into_iter()), plainly);
        }
        assert_eq!(copy.answers(), till.answers());
        assert_eq!(export(copy.engine(), Export::Lots), export(till.engine(), Export::Lots), "after {row}");
    }
}

#[test]
fn a_text_survives_every_report_on_its_way() {
    // Refused, exported with the rejected rows, corrected and imported again.
    let till = Till::new();
    let lines = TEXTS.map(|text| format!("nobody@example.com;1;CR;{}", cell(text)));
    till.import(file("email,amount,operation,ref_id", lines.iter().map(String::as_str)), plainly);
    let job = tidemill::domain::id::JobId(2);
    let mut rejects = Vec::new();
    till.engine().write_rejects(job, &mut rejects).expect("rejected rows");
    let corrected = String::from_utf8(rejects).expect("text").replace("nobody@", "ana@");
    let summary = till.import(&corrected, plainly);
    assert_eq!(summary.rows.applied, TEXTS.len() as u64);
    let lots = till.customer("ana@example.com").accounts.swap_remove(0).lots;
    let found: Vec<_> = lots.into_iter().filter_map(|lot| lot.ref_id).collect();
    assert_eq!(found, TEXTS);
    let cells = rows(&export(till.engine(), Export::Ledger));
    assert_eq!(cells.into_iter().map(|cells| cells[13].clone()).collect::<Vec<_>>(), TEXTS);
}
