//! `bulk convert-promised`: promised points become available, keep their last day and reference, and are promised again by an
//! undo.

use super::support::binary::{Binary, Ended};

/// A store of three customers with promises of two types, of a promotion, and one that nobody named a reason for.
fn store() -> Binary {
    let binary = Binary::new();
    binary.write("customers.csv", "user_id,tier\nA,gold\nB,gold\nC,silver\n");
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary.write(
        "points.csv",
        "user_id,amount,operation,promised,ref_type,ref_id,promotion_id,expires_on\n\
         A,100,CR,yes,order,1,,2099-01-01\n\
         A,50,CR,yes,order,2,,\n\
         B,70,CR,yes,order,1,,\n\
         B,30,CR,yes,,,SPRING,2099-02-02\n\
         C,20,CR,yes,review,1,,\n\
         C,5,CR,no,order,1,,\n\
         C,9,CR,yes,order,9,,2020-01-01\n",
    );
    let ended = binary.run(&["import", "points", "points.csv", "--format", "tidemill"]);
    // The last day of the last one is over.
    assert_eq!(ended.json["rows"]["rejected"], 1, "{ended:?}");
    binary
}

fn convert(binary: &Binary, flags: &[&str]) -> Ended {
    let mut arguments = vec!["bulk", "convert-promised", "--reason", "kept"];
    arguments.extend(flags);
    binary.run(&arguments)
}

fn exported(binary: &Binary, what: &str) -> String {
    let name = format!("{what}.csv");
    binary.run(&["export", what, "-o", &name]).expect(0);
    binary.read(&name)
}

#[test]
fn promised_points_become_available_by_what_they_were_given_for_and_an_undo_promises_them_again() {
    let cases: [(&[&str], u64, &str); 6] = [
        (&["--ref-type", "order"], 2, "220"),
        (&["--ref-type", "order", "--ref-id", "1"], 2, "170"),
        (&["--promotion", "SPRING"], 1, "30"),
        (&["--ref-type", "order", "--tier", "silver"], 0, "0"),
        (&["--ref-type", "review", "--all"], 1, "20"),
        (&["--ref-type", "nothing"], 0, "0"),
    ];
    for (flags, customers, points) in cases {
        let binary = store();
        let before = [exported(&binary, "lots"), exported(&binary, "balances")];
        let count = convert(&binary, &[flags, &["--count"]].concat()).expect(0);
        assert_eq!((&count.json["customers"], &count.json["points"]), (&customers.into(), &points.into()), "{flags:?}");
        let dry = convert(&binary, &[flags, &["--dry-run"]].concat()).expect(0);
        let done = convert(&binary, flags).expect(0);
        for summary in [&dry.json, &done.json] {
            assert_eq!(summary["rows"]["applied"], customers, "{flags:?}: {summary}");
            assert_eq!(summary["points"]["credited"], points, "{flags:?}: {summary}");
        }
        binary.verify();
        let lots = exported(&binary, "lots");
        let promised = |text: &str| text.lines().filter(|line| line.contains(",promised,")).count();
        assert_eq!(promised(&before[0]) > promised(&lots), customers > 0, "{flags:?}\n{lots}");
        if flags[1] == "order" && customers > 0 {
            // What it was given for, and until when, stays known.
            assert!(lots.contains("A,,,,points,100,available,2099-01-01,order,1,"), "{lots}");
        }
        let job = done.json["job"].to_string();
        binary.run(&["job", "undo", &job]).expect(0);
        assert_eq!([exported(&binary, "lots"), exported(&binary, "balances")], before, "{flags:?}");
        binary.verify();
    }
}

#[test]
fn kept_promises_pay_an_overdraft_back_and_can_be_spent() {
    let binary = store();
    binary.run(&["adjust", "debit", "60", "--user-id", "A", "--on-overdraft", "allow"]).expect(0);
    let done = convert(&binary, &["--ref-type", "order"]).expect(0);
    assert_eq!(done.json["points"]["credited"], "220");
    let shown = binary.run(&["customer", "show", "--user-id", "A"]).json;
    assert_eq!(shown["accounts"][0]["balance"], "90");
    binary.run(&["adjust", "debit", "80", "--user-id", "A"]).expect(0);
    binary.verify();
    // What was spent is not promised again; what is there is.
    let job = done.json["job"].to_string();
    let undone = binary.run(&["job", "undo", &job]);
    assert_eq!(undone.exit, Some(3), "{undone:?}");
    assert_eq!(undone.json["undo"]["partly_reversed"], 1);
    binary.verify();
}

#[test]
fn kept_promises_that_have_expired_since_are_not_taken_of_other_points() {
    let binary = store();
    let done = convert(&binary, &["--ref-type", "order", "--ref-id", "1"]).expect(0);
    binary.run(&["adjust", "credit", "200", "--user-id", "A"]).expect(0);
    let later = ["--now", "2099-02-01T00:00:00Z"];
    binary.run(&[&["expire"][..], &later].concat()).expect(0);
    let job = done.json["job"].to_string();
    let undone = binary.run(&[&["job", "undo", &job][..], &later].concat()).expect(3).json;
    assert_eq!((&undone["undo"]["reasons"]["expired"], &undone["undo"]["not_reversed"]), (&1.into(), &"100".into()));
    let shown = binary.run(&["customer", "show", "--user-id", "A"]).expect(0).json;
    assert_eq!(shown["accounts"][0]["balance"], "200");
    binary.verify();
}

#[test]
fn what_took_promises_back_is_not_undone_as_they_may_have_been_kept_again() {
    let binary = store();
    let done = convert(&binary, &["--ref-type", "order"]).expect(0);
    let undone = binary.run(&["job", "undo", &done.json["job"].to_string()]).expect(0);
    convert(&binary, &["--ref-type", "order", "--ref-id", "1"]).expect(0);
    let balances = exported(&binary, "balances");
    let refused = binary.run(&["job", "undo", &undone.json["job"].to_string()]).expect(4);
    assert_eq!(refused.error("code"), "not_undoable");
    assert!(refused.error("hint").contains("bulk convert-promised"), "{refused:?}");
    assert_eq!(exported(&binary, "balances"), balances);
    binary.verify();
}

#[test]
fn it_must_be_said_which_promises_are_kept() {
    let binary = store();
    for (flags, exit) in [
        (&[][..], 2),
        (&["--ref-id", "1"], 2),
        (&["--ref-type", "order", "--promotion", "SPRING"], 2),
        (&["--ref-type", "order", "--all", "--tier", "gold"], 2),
    ] {
        let ended = convert(&binary, flags);
        assert_eq!(ended.exit, Some(exit), "{flags:?}: {ended:?}");
    }
}
