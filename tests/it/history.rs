//! A customer's history: newest first, page by page, and without what is for the staff where the customer looks.

use serde_json::Value;

use super::support::binary::Binary;

const ANA: [&str; 4] = ["customer", "history", "--email", "ana@example.com"];
const SECRET: &str = "suspected of fraud";

/// Ana with entries of imports, with reasons of the job, of rows and of adjustments.
fn shop() -> Binary {
    let binary = Binary::new();
    binary
        .write("a.csv", "email,amount,operation\nana@example.com,100,CR\nana@example.com,5,DR\nana@example.com,7,CR\n");
    let rows = format!(
        "email,amount,operation,expires_on,reason,comment\nana@example.com,40,CR,2199-01-31,{SECRET} row,Thank you\n\
         ana@example.com,1,DR,,{SECRET} row,\n"
    );
    binary.write("b.csv", rows);
    let create = ["--on-unknown", "create"];
    let import = |file, more: &[&str]| {
        let reason = format!("{SECRET} job");
        binary.run(&[&["import", "points", file, "--reason", &reason], &create[..], more].concat()).expect(0);
    };
    import("a.csv", &["--comment", "Welcome"]);
    import("b.csv", &["--format", "tidemill"]);
    let reason = format!("{SECRET} hand");
    binary.run(&["adjust", "credit", "3", "--email", "ana@example.com", "--reason", &reason]).expect(0);
    binary
}

fn page(binary: &Binary, more: &[&str]) -> Value {
    binary.run(&[&ANA, more].concat()).expect(0).json
}

#[test]
fn pages_follow_each_other_without_a_gap_and_say_where_the_next_begins() {
    let binary = shop();
    let whole = page(&binary, &[]);
    assert_eq!(whole["next_before"], Value::Null);
    let sequences = |page: &Value| -> Vec<u64> {
        page["lines"].as_array().expect("lines").iter().filter_map(|line| line["sequence"].as_u64()).collect()
    };
    assert_eq!(sequences(&whole), [6, 5, 4, 3, 2, 1]);
    for limit in 1..8 {
        let (mut found, mut before) = (Vec::new(), None::<u64>);
        loop {
            let (limit, at) = (limit.to_string(), before.map(|before| before.to_string()));
            let mut more = vec!["--limit", &limit];
            more.extend(at.iter().flat_map(|at| ["--before", at]));
            let page = page(&binary, &more);
            found.extend(page["lines"].as_array().expect("lines").iter().cloned());
            before = page["next_before"].as_u64();
            if before.is_none() {
                break;
            }
        }
        assert_eq!(Value::from(found), whole["lines"], "{limit} a page");
    }
}

#[test]
fn what_the_customer_sees_has_no_internal_reason_no_job_and_no_row() {
    let binary = shop();
    for (arguments, public) in [(&[][..], false), (&["--public"][..], true), (&["--public", "--limit", "2"][..], true)]
    {
        let mut texts = vec![page(&binary, arguments).to_string()];
        // The same for people: without `--json`, which the runs of `Binary` have.
        let plain = std::process::Command::new(env!("CARGO_BIN_EXE_tidemill"))
            .current_dir(binary.path(""))
            .args(["--store", "store"])
            .args(ANA)
            .args(arguments)
            .output()
            .expect("the binary runs");
        assert!(plain.status.success(), "{plain:?}");
        texts.extend([plain.stdout, plain.stderr].map(|text| String::from_utf8(text).expect("UTF-8")));
        assert_eq!(texts.iter().any(|text| text.contains(SECRET)), !public, "{texts:#?}");
        let names = ["\"job\"", "\"row\"", "\"reason\"", "\"merged\""];
        assert_eq!(names[..3].iter().any(|name| texts[0].contains(name)), !public, "{}", texts[0]);
        assert!(!texts[0].contains(names[3]));
        let header = texts[1].lines().next().expect("a header").to_owned();
        assert_eq!(["job", "row", "reason"].iter().any(|name| header.contains(name)), !public, "{header}");
        let is_cut = arguments.contains(&"--limit");
        assert_eq!(texts[..2].iter().map(|text| text.contains("Thank you")).collect::<Vec<_>>(), [!is_cut; 2]);
        assert_eq!(texts[1].contains("Next: older entries with `--before 5`"), is_cut, "{}", texts[1]);
    }
}
