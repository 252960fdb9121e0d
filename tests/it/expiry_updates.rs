//! Changing when points expire: the worked examples of the source page, what the three profiles pick, what a row says, and
//! what the summary tells of months. Examples are run as a user runs them, with the day of the page.

use std::path::Path;

use serde_json::{Value, json};
use tidemill::{
    domain::{
        expiry::{ExpiryDirection, NewExpiry},
        expiry_terms::{ExpiryProfile, ExpiryTerms},
        id::JobId,
        job::JobState,
        time::Date,
    },
    engine::{
        Engine,
        request::{CustomersRequest, ExpiryUpdateRequest, FileRequest, JobRequest, PointsRequest, ResumeRequest},
    },
    error::{ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::summary::Summary,
};

use super::support::{
    binary::{Binary, Ended},
    content::{Content, rows},
    shop::stopping_after,
    till::moment,
};

/// "Current date: August 01, 2021".
const TODAY: &str = "2021-08-01T10:00:00Z";

const HEADER: &str = "User Id,Point Awarded Ref Type,Point Awarded Ref Id,Expiry Type,Expiry Unit,New Expiry Value,\
                      Expiry Update Reason Type,Expiry Update Reason Note";

/// A store with customers 1 to 5, 235233 and 1250755, and these points.
fn shop(points: &str) -> Binary {
    let shop = Binary::new();
    shop.write(
        "customers.csv",
        "user_id,external_id,email,mobile,card\n\
         1,x1,one@example.com,+37061234501,9001\n2,x2,two@example.com,,\n3,x3,three@example.com,,\n4,,four@example.com,,\n\
         5,,five@example.com,,\n235233,,six@example.com,,\n1250755,,seven@example.com,,\n",
    );
    shop.run(&["import", "customers", "customers.csv", "--now", TODAY]).expect(0);
    shop.write("points.csv", format!("user_id,amount,expires_on,ref_type,ref_id,promotion_id,promised\n{points}"));
    shop.run(&["import", "points", "points.csv", "--mode", "add", "--now", TODAY]).expect(0);
    shop
}

/// Runs `import expiry` on the day of the page; arguments are separated by blanks, `|` is a blank within one.
fn expiry(shop: &Binary, content: &str, arguments: &str) -> Ended {
    shop.write("expiry.csv", content);
    let words: Vec<String> = arguments.split_whitespace().map(|word| word.replace('|', " ")).collect();
    let mut all = vec!["import", "expiry", "expiry.csv"];
    all.extend(words.iter().map(String::as_str));
    if !words.iter().any(|word| word == "--now") {
        all.extend(["--now", TODAY]);
    }
    all.extend(["--processed", "processed.csv", "--again"]);
    shop.run(&all)
}

/// What became of each row: status, code, message, amount, balance.
fn processed(shop: &Binary) -> Vec<String> {
    let line = |cells: Vec<String>| [&cells[1..4], &cells[5..]].concat().join("|");
    rows(&shop.read("processed.csv")).into_iter().map(line).collect()
}

/// Customers' entries of kinds that change or end a last day: who, kind, amount, last day, the one before, type and note.
fn changes(shop: &Binary) -> Vec<String> {
    let ledger = rows(&shop.export("ledger")).into_iter();
    let is_change = |cells: &Vec<String>| ["expiry_change", "expire", "promise_expire"].contains(&cells[7].as_str());
    let words = |cells: Vec<String>| {
        [&cells[0], &cells[7], &cells[8], &cells[10], &cells[11], &cells[18], &cells[19]].map(String::as_str).join("|")
    };
    ledger.filter(is_change).map(words).collect()
}

fn months(list: &Value) -> Vec<String> {
    let month = |month: &Value| {
        let part = |name: &str| month[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}+{}", part("month"), part("available"), part("promised"))
    };
    list.as_array().into_iter().flatten().map(month).collect()
}

/// "In such case, you can select the extended expiry type and use the relative point expiry option to update the point expiry
/// duration from 12 to 24 months." Current date August 01, 2021; "July 31, 2022 (12 months from current date)" becomes "July 31,
/// 2023 (24 months from current date)".
#[test]
fn a_range_is_extended_from_twelve_months_to_twenty_four() {
    let shop = shop("1250755,100,2022-07-31,,,,\n1250755,50,2022-08-01,,,,\n1250755,7,,,,,\n3,9,2022-07-31,,,,\n");
    let arguments = "--profile date-range --from 2022-07-01 --to 2022-07-31 --change extended --set relative:24months \
                     --reason programme|of|24|months";
    let dry = expiry(&shop, "User Id\n1250755\n", &format!("{arguments} --dry-run")).expect(0).json;
    assert_eq!(processed(&shop), ["applied||dry run: 1 lot changed|100|157"]);
    assert!(changes(&shop).is_empty());
    let done = expiry(&shop, "User Id\n1250755\n", arguments).expect(0).json;
    assert_eq!(processed(&shop), ["applied||1 lot changed|100|157"]);
    assert_eq!(changes(&shop), ["1250755|expiry_change|0|2023-07-31|2022-07-31|extended|programme of 24 months"]);
    for summary in [&dry, &done, &shop.run(&["job", "show", "3"]).expect(0).json] {
        assert_eq!(summary["kind"], "import-expiry");
        assert_eq!(summary["rows"]["applied"], 1);
        assert_eq!(summary["points"]["moved"], "100");
        assert_eq!(summary["balance"], json!({ "before": "166", "after": "166" }));
        assert_eq!(months(&summary["expiring"]["before"]), ["2022-07 109+0", "2022-08 50+0"]);
        assert_eq!(months(&summary["expiring"]["after"]), ["2022-07 9+0", "2022-08 50+0", "2023-07 100+0"]);
        assert_eq!(summary["expiring"]["permanent"], json!({ "before": "7", "after": "7" }));
    }
    assert!(dry["job"].is_null() && done["job"] == 3);
    shop.verify();
}

/// Use case 1: "you can update customer 1 with an extended points expiry of 2 months(relative) using point awarded reference ID";
/// "October 31, 2021 (After 2 months from incorrect point expiry date)", which the page gives as "September 31, 2021 (31 days from
/// current date)": no such day, and August 31 is the last of 31 days.
#[test]
fn points_with_a_reference_id_get_two_months_more() {
    let points =
        "1,100,2021-08-31,POINTS_AWARDED,134435,,\n1,30,2021-08-31,POINTS_AWARDED,134436,,\n1,7,2021-08-31,,,,\n";
    let shop = shop(points);
    let row = "1,POINTS_AWARDED,134435,relative,months,2,Extend_Expiry,wrong validity";
    expiry(&shop, &format!("{HEADER}\n{row}\n"), "--profile reference").expect(0);
    assert_eq!(changes(&shop), ["1|expiry_change|0|2021-10-31|2021-08-31|extended|wrong validity"]);
    // The day of the page is no day: refused wherever it is written, and never rolled over.
    let row = "1,POINTS_AWARDED,134435,fixed,,2021-09-31,Extend_Expiry,x";
    expiry(&shop, &format!("{HEADER}\n{row}\n"), "--profile reference").expect(3);
    let message = "expiry_value `2021-09-31` is not a date that exists, as YYYY-MM-DD";
    assert_eq!(processed(&shop), [format!("rejected|expiry_invalid|\"{message}\"||").replace('"', "")]);
    expiry(
        &shop,
        "User Id\n1\n",
        "--profile date-range --from 2021-08-01 --to 2021-09-31 --change early --set immediate",
    )
    .expect(2);
    expiry(&shop, "User Id\n1\n", "--profile promotion --promotion P --change extended --set fixed:2021-09-31")
        .expect(2);
    assert_eq!(changes(&shop).len(), 1);
    shop.verify();
}

/// Use case 2: "the store will be closed from August 22, 2021 to August 31, 2021(10 days) … an extended points expiry of 10
/// days(relative) using point awarded reference type"; "September 09, 2021 (Points expiring after 10 days from actual point expiry
/// date)", August 31, 2021.
#[test]
fn points_of_a_reference_type_get_ten_days_more() {
    let shop =
        shop("2,60,2021-08-31,POINTS_AWARDED,1,,\n2,40,2021-08-31,POINTS_AWARDED,2,,\n2,5,2021-08-31,OTHER,1,,\n");
    expiry(
        &shop,
        &format!("{HEADER}\n2,POINTS_AWARDED,,relative,days,10,Extend_Expiry,Covid\n"),
        "--profile reference",
    )
    .expect(0);
    assert_eq!(processed(&shop), ["applied||2 lots changed|100|105"]);
    let change = "2|expiry_change|0|2021-09-09|2021-08-31|extended|Covid";
    assert_eq!(changes(&shop), [change, change]);
    shop.verify();
}

/// Use case 3: "customer 3, 4, and 5 have 100 points each that are going to expire on September 30, 2021 but the store will be
/// closed permanently after August 31, 2021 … early points expiry date - August 31, 2021(fixed)".
#[test]
fn points_of_a_list_of_customers_expire_earlier() {
    let shop = shop("3,100,2021-09-30,,,,\n4,100,2021-09-30,,,,\n5,100,2021-09-30,,,,\n1,100,2021-09-30,,,,\n");
    let row = |customer| format!("{customer},,,fixed,,2021-08-31,Early expiry,closed for good\n");
    let content = format!("{HEADER}\n{}{}{}", row(3), row(4), row(5));
    let summary = expiry(&shop, &content, "--profile reference").expect(0).json;
    assert_eq!(summary["points"]["moved"], "300");
    let change = |customer| format!("{customer}|expiry_change|0|2021-08-31|2021-09-30|early|closed for good");
    assert_eq!(changes(&shop), [change(3), change(4), change(5)]);
    // The same by flags, for rows that only say whom they mean.
    let shop = self::shop("3,100,2021-09-30,,,,\n");
    let arguments = "--profile reference --change early --set fixed:2021-08-31 --reason closed|for|good";
    expiry(&shop, "External Id\nx3\n", arguments).expect(0);
    assert_eq!(changes(&shop), [change(3)]);
    shop.verify();
}

/// "Consider that 100 promotional points wrongly awarded to 10 customers of an org … select the promotion and use the customer
/// identifier … to change the expiry type(early expiry) and date(immediately)"; "Immediate expiry (on the date of data import)".
#[test]
fn points_of_a_promotion_expire_at_once() {
    let shop = shop(
        "1,100,2021-09-30,,,WRONG,\n1,11,2021-09-30,,,RIGHT,\n2,100,,,,WRONG,\n2,30,2021-10-31,,,WRONG,yes\n3,5,,,,,\n",
    );
    let arguments = "--profile promotion --promotion WRONG --change early --set immediate";
    let summary = expiry(&shop, "User Id\n1\n2\n3\n", arguments).expect(0).json;
    assert_eq!(
        processed(&shop),
        [
            "applied||1 lot expired at once|-100|11",
            "applied||1 lot expired at once, 1 left: promised|-100|0",
            "unchanged||no matching lot|0|5",
        ]
    );
    assert_eq!((&summary["points"]["expired"], &summary["points"]["moved"]), (&json!("200"), &json!("0")));
    assert_eq!(summary["balance"], json!({ "before": "216", "after": "16" }));
    assert_eq!(summary["expiring"]["permanent"], json!({ "before": "105", "after": "5" }));
    expiry(&shop, "User Id\n1\n2\n3\n", &format!("{arguments} --include-promised")).expect(0);
    assert_eq!(processed(&shop)[1], "applied||1 lot expired at once|-30|0");
    assert_eq!(changes(&shop)[2], "2|promise_expire|-30|2021-10-31||early|");
    shop.verify();
}

/// "if the current date is July 29, 2021(today) and you set the expiry count to 5 days then the point expiry date will be August
/// 02, 2021."
#[test]
fn relative_days_count_today_as_the_first() {
    let shop = shop("1,100,2021-12-31,,,,\n");
    let arguments = "--profile date-range --from 2021-12-01 --to 2021-12-31 --change early --set relative:5|days --now \
                     2021-07-29T23:00:00Z";
    expiry(&shop, "User Id\n1\n", arguments).expect(0);
    assert_eq!(changes(&shop), ["1|expiry_change|0|2021-08-02|2021-12-31|early|"]);
}

#[test]
fn a_lot_that_would_move_the_other_way_is_left_and_the_others_change() {
    let shop = shop("1,10,2021-08-31,,,,\n1,20,2022-08-31,,,,\n1,5,,,,,\n1,3,2021-08-31,,,,yes\n2,9,2022-08-31,,,,\n");
    let row = |customer| format!("{customer},,,fixed,,2021-12-31,extended,\n");
    expiry(&shop, &format!("{HEADER}\n{}{}", row(1), row(2)), "--profile reference").expect(3);
    assert_eq!(
        processed(&shop),
        [
            "applied||1 lot changed, 3 left: 2 expiry_not_later, 1 promised|10|35",
            "rejected|expiry_not_later|the matching lot would not expire later: extended only pushes a last day back||",
        ]
    );
    assert_eq!(changes(&shop), ["1|expiry_change|0|2021-12-31|2021-08-31|extended|"]);
    // Early may give permanent points a last day.
    expiry(&shop, &format!("{HEADER}\n1,,,relative,months,1,early,\n"), "--profile reference").expect(0);
    assert_eq!(processed(&shop), ["applied||3 lots changed, 1 left: promised|35|35"]);
    shop.verify();
}

#[test]
fn rows_that_cannot_be_meant_are_rejected_and_nothing_else_changes() {
    let shop = shop("1,100,2021-09-30,order,17,,\n");
    let content = format!(
        "{HEADER}\n1,return,,immediate,,,early,\n1,,17,immediate,,,early,\n1,order,17,relative,,12,extended,\n\
         1,order,17,relative,days,,extended,\n1,order,17,relative,days,0,extended,\n1,order,17,fixed,,2021-08-01,early,\n\
         1,order,17,immediate,,,Extend_Expiry,\n99,order,17,immediate,,,early,\n1,order,17,relative,months,99999999,extended,\n"
    );
    let summary = expiry(&shop, &content, "--profile reference --rejects rejects.csv").expect(3).json;
    let codes: Vec<_> = rows(&shop.read("processed.csv")).into_iter().map(|cells| cells[1..3].join(" ")).collect();
    assert_eq!(
        codes,
        [
            "unchanged ",
            "rejected field_invalid",
            "rejected expiry_invalid",
            "rejected expiry_invalid",
            "rejected expiry_invalid",
            "rejected expiry_invalid",
            "rejected expiry_invalid",
            "rejected identifier_unknown",
            "rejected expiry_invalid",
        ]
    );
    assert_eq!(processed(&shop)[0], "unchanged||no matching lot|0|100");
    assert_eq!(summary["rows"]["rejected"], 8);
    assert!(changes(&shop).is_empty());
    // Rejected rows have their columns, so that they can be corrected and sent again.
    let rejects = shop.read("rejects.csv");
    assert!(
        rejects.starts_with(&format!("{HEADER},line,column,code,message,raw\n1,,17,immediate,,,early,,3,ref_type,")),
        "{rejects}"
    );
    shop.write(
        "corrected.csv",
        rejects.lines().take(1).chain(["1,order,17,immediate,,,early,,3,ref_type,,,"]).collect::<Vec<_>>().join("\n"),
    );
    shop.run(&["import", "expiry", "corrected.csv", "--profile", "reference", "--now", TODAY]).expect(0);
    assert_eq!(changes(&shop), ["1|expire|-100|2021-09-30||early|"]);
    shop.verify();
}

#[test]
fn an_unknown_promotion_changes_nothing_and_the_summary_warns() {
    let shop = shop("1,100,2021-09-30,,,SPRING,\n2,100,2021-09-30,,,,\n");
    let by = |promotion: &str| format!("--profile promotion --promotion {promotion} --change early --set immediate");
    let summary = expiry(&shop, "User Id\n1\n2\n", &by("SPRNG")).expect(0).json;
    assert_eq!(summary["rows"]["unchanged"], 2);
    assert_eq!(summary["warnings"], json!(["no points of the program `points` are of the promotion `SPRNG`"]));
    let shown = shop.run(&["job", "show", "3"]).expect(0).json;
    assert_eq!(shown["warnings"], summary["warnings"]);
    // Somebody else has it: that is no mistake.
    let summary = expiry(&shop, "User Id\n2\n", &by("SPRING")).expect(0).json;
    assert!(summary.get("warnings").is_none(), "{summary}");
}

/// Customer 2's points were over before the job, so nothing is said of them: whoever undoes it loses nothing by it.
#[test]
fn an_undo_says_of_points_that_expired_at_once_that_their_own_day_is_over_by_then() {
    for (day, exit, expected) in
        [("2021-09-30T10:00:00Z", 0, "reversed||100|100"), ("2021-10-01T10:00:00Z", 3, "kept|expired|0|0")]
    {
        let shop = shop("1,100,2021-09-30,,,SPRING,\n2,50,2021-08-10,,,SPRING,\n2,7,,,,SUMMER,\n");
        let arguments =
            "--profile promotion --promotion SPRING --change early --set immediate --now 2021-08-11T10:00:00Z";
        let summary = expiry(&shop, "User Id\n1\n2\n", arguments).expect(0).json;
        assert_eq!((&summary["rows"]["applied"], &summary["rows"]["unchanged"]), (&json!(1), &json!(1)), "{summary}");
        shop.run(&["job", "undo", "3", "--now", day, "--processed", "undo.csv"]).expect(exit);
        let lines = rows(&shop.read("undo.csv"));
        let lines: Vec<String> =
            lines.iter().map(|cells| format!("{}|{}|{}|{}", cells[5], cells[6], cells[8], cells[9])).collect();
        assert_eq!(lines, [expected], "{day}");
        shop.verify();
    }
}

#[test]
fn flags_that_contradict_themselves_or_the_profile_are_wrong_usage() {
    let shop = shop("1,100,2021-09-30,order,17,SPRING,\n");
    let range = "--profile date-range --from 2021-09-01 --to 2021-09-30";
    let promotion = "--profile promotion --promotion SPRING";
    for (content, arguments, part) in [
        ("User Id\n1\n", "--profile date-range --change early --set immediate", "needs `--from`"),
        ("User Id\n1\n", "--profile promotion --change early --set immediate", "needs `--promotion`"),
        (
            "User Id\n1\n",
            &format!("{range} --promotion SPRING --change early --set immediate"),
            "`--promotion` means nothing",
        ),
        (
            "User Id\n1\n",
            &format!("{promotion} --from 2021-09-01 --change early --set immediate"),
            "`--from` means nothing",
        ),
        ("User Id\n1\n", "--profile reference --to 2021-09-01 --change early --set immediate", "`--to` means nothing"),
        ("User Id\n1\n", &format!("{range} --set immediate"), "needs `--change`"),
        ("User Id\n1\n", &format!("{promotion} --change early"), "needs `--set`"),
        ("User Id\n1\n", &format!("{promotion} --change extended --set immediate"), "contradicts `--change extended`"),
        ("User Id\n1\n", &format!("{promotion} --change early --set fixed:2021-08-01"), "is not after today"),
        ("User Id\n1\n", &format!("{promotion} --change sooner --set immediate"), "neither `early` nor `extended`"),
        ("User Id\n1\n", &format!("{promotion} --change early --set relative:0days"), "not a whole number from 1"),
        (
            "User Id\n1\n",
            "--profile date-range --from 2021-10-01 --to 2021-09-30 --change early --set immediate",
            "has no day",
        ),
        (
            "User Id\n1\n",
            &format!("{promotion} --change early --set immediate --expect-total 5"),
            "the file has no amounts",
        ),
        ("User Id\n1\n", "--profile reference --change early", "no column for `expiry_type`, and there is no `--set`"),
        (
            "User Id\n1\n",
            "--profile reference --set immediate",
            "no column for `expiry_change`, and there is no `--change`",
        ),
        ("User Id,Ref No\n1,17\n", "--profile reference --change early --set immediate", "nothing reads its `Ref No`"),
        ("Buyer\n1\n", &format!("{promotion} --change early --set immediate"), "the file has no column"),
        (
            "Buyer,Shop\n1,2\n",
            &format!("{promotion} --change early --set immediate --identifier user_id"),
            "does not tell",
        ),
        (
            &format!("{HEADER}\n1,order,17,immediate,,,early,\n"),
            &format!("{promotion} --change early --set immediate --format expiry-reference"),
            "reads only whom its rows mean",
        ),
    ] {
        let ended = expiry(&shop, content, arguments).expect(2);
        let said = format!("{}{}", ended.error("message"), ended.stderr);
        assert!(said.contains(part), "{arguments}: {said}");
    }
    assert!(changes(&shop).is_empty());
    let jobs = shop.run(&["job", "list"]).expect(0).json;
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(2), "{jobs}");
}

#[test]
fn customers_are_named_by_any_identifier_by_header_or_flag() {
    for (content, flags) in [
        ("User Id\n1\n", ""),
        ("External Id\nx1\n", ""),
        ("email\nONE@example.com\n", ""),
        ("Mobile\n+37061234501\n", ""),
        ("Card Number\n9001\n", ""),
        ("Buyer\n1\n", "--identifier user_id"),
        ("User Id\nx1\n", "--identifier external_id"),
        ("Email,User Id\nnobody@example.com,1\n", "--identifier user_id"),
        ("Buyer,Shop\n1,7\n", "--identifier user_id --map Buyer=user_id"),
        ("9001\n", "--no-header --identifier card"),
        ("one@example.com\n", "--no-header --map 1=email"),
        ("User Id,External Id\n1,x1\n", ""),
    ] {
        let shop = shop("1,100,2021-09-30,,,SPRING,\n");
        let arguments = format!("--profile promotion --promotion SPRING --change early --set immediate {flags}");
        expiry(&shop, content, &arguments).expect(0);
        assert_eq!(processed(&shop), ["applied||1 lot expired at once|-100|0"], "{content} {flags}");
    }
}

#[test]
fn rejected_rows_of_any_profile_can_be_sent_again_as_they_come() {
    let shop = shop("1,100,2021-09-30,,,SPRING,\n");
    for (content, arguments) in [
        (
            "1\n77\n",
            "--profile promotion --promotion SPRING --change extended --set fixed:2021-12-31 --no-header --identifier user_id",
        ),
        ("User Id\n1\n77\n", "--profile reference --change extended --set fixed:2022-12-31"),
    ] {
        expiry(&shop, content, &format!("{arguments} --rejects rejects.csv")).expect(3);
        let rejects = shop.read("rejects.csv").replace("77", "1");
        // Nothing moves any more, which is told of the same row.
        expiry(&shop, &rejects, &arguments.replace("--no-header", "")).expect(3);
        assert!(processed(&shop)[0].starts_with("rejected|expiry_not_later|"), "{:?}", processed(&shop));
    }
}

#[test]
fn a_repeated_file_is_refused_unless_it_asks_for_something_else() {
    let shop = shop("1,100,2021-09-30,,,SPRING,\n");
    shop.write("list.csv", "User Id\n1\n");
    let run = |more: &[&str], exit| {
        let first = ["import", "expiry", "list.csv", "--profile", "promotion", "--promotion", "SPRING", "--change"];
        shop.run(&[&first[..], more, &["--now", TODAY]].concat()).expect(exit)
    };
    run(&["extended", "--set", "fixed:2021-12-31"], 0);
    let refused = run(&["extended", "--set", "fixed:2021-12-31", "--reason", "another"], 4);
    assert_eq!((refused.error("code"), refused.error("job")), ("repeated_file".to_owned(), "3".to_owned()));
    run(&["extended", "--set", "fixed:2022-12-31"], 0);
    run(&["extended", "--set", "fixed:2022-12-31", "--again"], 3);
    run(&["early", "--set", "relative:1month", "--max-rejects", "0", "--expect-rows", "1"], 0);
    let refused = run(&["extended", "--set", "relative:2days", "--max-rejects", "0"], 4);
    assert_eq!(refused.error("job"), "null");
    assert_eq!(changes(&shop).len(), 3);
    // Undone, it may be sent again.
    shop.run(&["job", "undo", "6", "--now", TODAY]).expect(0);
    run(&["early", "--set", "relative:1month"], 0);
    shop.verify();
}

#[test]
fn another_program_is_changed_alone() {
    let shop = shop("1,100,2021-09-30,,,,\n");
    shop.run(&["program", "add", "miles", "--decimals", "2"]).expect(0);
    shop.write("miles.csv", "user_id,amount,expires_on\n1,7.50,2021-09-30\n");
    shop.run(&["import", "points", "miles.csv", "--mode", "add", "--program", "miles", "--now", TODAY]).expect(0);
    let arguments = "--profile date-range --from 2021-09-30 --to 2021-09-30 --change extended --set fixed:2021-12-31 --program \
                     miles";
    let summary = expiry(&shop, "User Id\n1\n", arguments).expect(0).json;
    assert_eq!(processed(&shop), ["applied||1 lot changed|7.50|7.50"]);
    assert_eq!(months(&summary["expiring"]["before"]), ["2021-09 7.50+0.00"]);
    assert_eq!(months(&summary["expiring"]["after"]), ["2021-12 7.50+0.00"]);
    assert_eq!(changes(&shop).len(), 1);
}

#[test]
fn a_preview_shows_each_profile_and_what_would_become_of_rows() {
    let shop = shop("235233,100,2021-08-31,POINTS_AWARDED,134435,,\n1,7,2021-08-31,,,SPRING,\n");
    let row = "235233,POINTS_AWARDED,134435,relative,months,12,Extend_Expiry,Covid";
    shop.write("reference.csv", format!("{HEADER}\n{row}\n1,,,fixed,,2021-09-31,early,\n"));
    shop.write("list.csv", "User Id\n1\n\"\"\n");
    // Recognised by its header; its words as ours.
    let preview = shop.run(&["preview", "reference.csv", "--now", TODAY]).expect(3).json;
    assert_eq!((&preview["format"], &preview["kind"]), (&json!("expiry-reference"), &json!("expiry")));
    let values = &preview["rows"][0]["values"];
    assert_eq!(values["expiry_change"], "extended");
    assert_eq!((&values["expiry_type"], &values["expiry_value"]), (&json!("relative"), &json!("12")));
    assert_eq!(preview["rows"][0]["outcome"]["message"], "dry run: 1 lot changed");
    assert_eq!(preview["rows"][1]["problem"]["code"], "expiry_invalid");
    let terms = ["--change", "early", "--set", "immediate", "--now", TODAY];
    for (profile, message) in [
        (&["--profile", "promotion", "--promotion", "SPRING"][..], "dry run: 1 lot expired at once"),
        (&["--profile", "promotion", "--promotion", "AUTUMN"], "dry run: no matching lot"),
        (&["--profile", "date-range", "--from", "2021-08-31", "--to", "2021-08-31"], "dry run: 1 lot expired at once"),
    ] {
        let preview = shop.run(&[&["preview", "list.csv"][..], profile, &terms].concat()).expect(3).json;
        assert_eq!(preview["rows"][0]["outcome"]["message"], message);
        assert_eq!(preview["rows"][1]["problem"]["code"], "identifier_missing");
    }
    shop.run(&["preview", "list.csv", "--set", "immediate"]).expect(2);
    let preview = shop.run(&["preview", "list.csv", "--format", "expiry-promotion"]).expect(3).json;
    assert!(preview["rows"][0].get("outcome").is_none(), "{preview}");
    assert!(changes(&shop).is_empty());
}

#[test]
fn a_template_of_each_profile_can_be_imported() {
    let shop = shop("235233,100,2021-08-31,POINTS_AWARDED,134435,,\n");
    for (name, profile, exit) in [
        ("expiry-reference", "--profile reference", 3),
        (
            "expiry-date-range",
            "--profile date-range --from 2021-08-01 --to 2021-08-31 --change early --set immediate",
            0,
        ),
        ("expiry-promotion", "--profile promotion --promotion SPRING --change early --set immediate", 0),
    ] {
        let file = format!("{name}.csv");
        shop.run(&["template", name, "-o", &file]).expect(0);
        let template = shop.read(&file);
        expiry(&shop, &template, profile).expect(exit);
        assert!(template.starts_with("User Id"), "{template}");
    }
}

fn big(directory: &Path) -> Engine {
    let options = Options { window_rows: 200, chunk_bytes_max: 4096, threads: 2, ..Options::default() };
    let engine = Engine::create(&directory.join("store"), options).expect("a store");
    let write = |name: &str, content: String| {
        let path = directory.join(name);
        std::fs::write(&path, content).expect("a file is written");
        FileRequest { path, ..FileRequest::default() }
    };
    let customers: String = (0..1500).map(|at| format!("u{at},u{at}@example.com\n")).collect();
    let file = write("customers.csv", format!("user_id,email\n{customers}"));
    engine
        .import_customers(
            &job("2090-03-10"),
            &CustomersRequest { file, ..CustomersRequest::default() },
            &Progress::default(),
        )
        .expect("customers");
    let points: String = (0..4500)
        .map(|at| format!("u{},{},2091-{:02}-15,order,{}\n", at % 1500, at % 90 + 1, at % 12 + 1, at % 7))
        .collect();
    let file = write("points.csv", format!("user_id,amount,expires_on,ref_type,ref_id\n{points}"));
    let request = PointsRequest { file, mode: Some(tidemill::domain::command::Mode::Add), ..PointsRequest::default() };
    engine.import_points(&job("2090-03-10"), &request, &Progress::default()).expect("points");
    engine
}

fn job(day: &str) -> JobRequest {
    JobRequest { now: Some(moment(&format!("{day}T12:00:00Z"))), ..JobRequest::default() }
}

/// Moves some lots, expires others, refuses others, by rows that name the same customers again.
fn many(directory: &Path) -> ExpiryUpdateRequest {
    let row = |at: u32| match at % 5 {
        0 => format!("u{},order,{},relative,months,3,extended,note {at}\n", at % 1600, at % 7),
        1 => format!("u{},order,,relative,days,30,early,\n", at % 1500),
        2 => format!("u{},order,{},immediate,,,early,\n", at % 1500, at % 7),
        3 => format!("u{},,,fixed,,2091-06-30,extended,\n", at % 1500),
        _ => format!("u{},none,,immediate,,,early,\n", at % 1500),
    };
    let path = directory.join("expiry.csv");
    std::fs::write(&path, format!("{HEADER}\n{}", (0..6000).map(row).collect::<String>())).expect("a file is written");
    ExpiryUpdateRequest {
        file: FileRequest { path, ..FileRequest::default() },
        terms: ExpiryTerms { profile: ExpiryProfile::Reference, change: None, set: None, include_promised: false },
    }
}

fn reports(directory: &Path, day: &str) -> JobRequest {
    let path = |name| Some(directory.join(name));
    JobRequest { processed: path("processed.csv"), rejects: path("rejects.csv"), ..job(day) }
}

fn parts(summary: &Summary) -> impl PartialEq + std::fmt::Debug + use<> {
    let Summary { rows, points, balance, customers, rejects, expiring, .. } = summary.clone();
    (rows, points, balance, customers, rejects, expiring)
}

#[test]
fn a_job_that_was_stopped_ends_as_an_undisturbed_one() {
    let [whole, halved] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let (engine, request) = (big(whole.path()), many(whole.path()));
    let expected = engine
        .import_expiry(&reports(whole.path(), "2090-03-10"), &request, &Progress::default())
        .expect("an undisturbed job");
    assert!(expected.rows.applied > 1000 && expected.rows.unchanged > 1000 && expected.rows.rejected > 100);
    assert_ne!((&expected.points.expired, &expected.points.moved), (&"0".to_owned(), &Some("0".to_owned())));
    let content = Content::of(&engine);

    let (engine, request) = (big(halved.path()), many(halved.path()));
    let asked = reports(halved.path(), "2090-03-10");
    let dry = JobRequest { dry_run: true, ..job("2090-03-10") };
    let looked = engine.import_expiry(&dry, &request, &Progress::default()).expect("a dry run");
    assert_eq!(parts(&looked), parts(&expected));
    let error = engine.import_expiry(&asked, &request, &stopping_after(1000)).expect_err("it stops");
    assert_eq!((error.kind(), error.job()), (ErrorKind::Stopped, Some(JobId(3))), "{error:?}");
    let before = engine.job(JobId(3)).expect("it is there");
    assert!(before.state == JobState::Unfinished && before.expiring.is_none());
    drop(engine);
    let engine = Engine::open(&halved.path().join("store"), Options::default()).expect("the store");
    // Its day is the one on which it began, whenever it goes on.
    let resumed = engine.resume(JobId(3), &ResumeRequest::default(), &Progress::default()).expect("it ends");
    assert_eq!(parts(&resumed), parts(&expected));
    assert_eq!(Content::of(&engine).difference(&content), None);
    for report in ["processed.csv", "rejects.csv"] {
        let read = |directory: &Path| std::fs::read_to_string(directory.join(report)).expect("a report");
        assert!(read(halved.path()) == read(whole.path()), "{report}");
    }
    let again = engine.job(JobId(3)).expect("it is there");
    assert_eq!(parts(&again), parts(&expected));
}

#[test]
fn the_library_refuses_what_the_command_line_does() -> Result<()> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = big(directory.path());
    let path = directory.path().join("list.csv");
    std::fs::write(&path, "User Id\nu1\n").expect("a file is written");
    let day = |text| Date::parse(text).expect("a day");
    let request = |change, set| ExpiryUpdateRequest {
        file: FileRequest { path: path.clone(), ..FileRequest::default() },
        terms: ExpiryTerms {
            profile: ExpiryProfile::DateRange { from: day("2091-01-01"), to: day("2091-12-31") },
            change,
            set,
            include_promised: false,
        },
    };
    for (change, set) in [
        (None, Some(NewExpiry::Immediate)),
        (Some(ExpiryDirection::Early), None),
        (Some(ExpiryDirection::Extended), Some(NewExpiry::Immediate)),
        (Some(ExpiryDirection::Early), Some(NewExpiry::Days(0))),
        (Some(ExpiryDirection::Early), Some(NewExpiry::Fixed(day("2090-03-10")))),
    ] {
        let error = engine.import_expiry(&job("2090-03-10"), &request(change, set), &Progress::default());
        assert_eq!(error.expect_err("refused").kind(), ErrorKind::Usage, "{change:?} {set:?}");
    }
    let good = request(Some(ExpiryDirection::Early), Some(NewExpiry::Immediate));
    let summary = engine.import_expiry(&job("2090-03-10"), &good, &Progress::default())?;
    assert_eq!(summary.rows.applied, 1);
    Ok(())
}
