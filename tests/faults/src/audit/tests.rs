use serde_json::json;

use super::*;

const JOB: u32 = 2;

/// A store of two customers, of whose file of six rows two were rejected and one changed nothing.
fn state() -> State {
    let who = ["u1,,c1@example.com,,points", "u2,,c2@example.com,,points"];
    let [one, two] = who;
    let head = "user_id,external_id,email,mobile,program";
    State {
        customers: "user_id,email\nu1,c1@example.com\nu2,c2@example.com\n".to_owned(),
        balances: format!("{head},balance,promised\n{one},130,0\n{two},-5,7\n"),
        lots: format!(
            "{head},remaining,state,expires_on\n{one},100,available,\n{one},30,available,2037-01-01\n\
             {two},7,promised,\n"
        ),
        ledger: format!(
            "{head},sequence,kind,amount,balance_after,job,row\n{one},1,credit,100,100,1,2\n\
             {two},2,promise,7,0,1,3\n{one},3,credit,50,150,2,2\n{two},4,debit,-5,-5,2,3\n\
             {one},5,reset,-20,130,2,6\n"
        ),
        verified: json!({"ok": true}),
        processed: "line,status,code,message,customer,amount,balance\n2,applied,,,u1,50,150\n3,applied,,,u2,-5,-5\n\
                    4,rejected,identifier_unknown,no such,x,,\n5,unchanged,,,u2,0,-5\n6,applied,,,u1,-20,130\n\
                    8,rejected,amount_invalid,no number,u1,,\n"
            .to_owned(),
        rejects: "user_id,amount,line,column,code,message,raw\nx,5,4,user_id,identifier_unknown,no such,\n\
                  u1,5x,8,amount,amount_invalid,no number,\n"
            .to_owned(),
        summary: json!({
            "kind": "import-points", "state": "finished",
            "rows": {"read": 6, "applied": 3, "created": 0, "updated": 0, "unchanged": 1, "rejected": 2},
        }),
    }
}

fn file() -> Vec<Row> {
    let outcomes = [
        (2, Some(Outcome::Applied(50))),
        (3, Some(Outcome::Applied(-5))),
        (4, Some(Outcome::Rejected("identifier_unknown"))),
        (5, Some(Outcome::Unchanged)),
        (6, None),
        (8, Some(Outcome::Rejected("amount_invalid"))),
    ];
    outcomes.map(|(line, outcome)| Row { line, outcome }).into()
}

/// What the audit says of a state.
fn found(state: &State) -> Result<(), String> {
    accounts(state).and_then(|()| answers(state, &file(), JOB)).map_err(|problem| problem.to_string())
}

#[test]
fn a_right_state_is_right() {
    assert_eq!(found(&state()), Ok(()));
}

#[test]
fn everything_that_can_be_wrong_is_noticed() {
    type Part = fn(&mut State) -> &mut String;
    let parts: [(&str, Part); 5] = [
        ("ledger", |state| &mut state.ledger),
        ("balances", |state| &mut state.balances),
        ("lots", |state| &mut state.lots),
        ("processed", |state| &mut state.processed),
        ("rejects", |state| &mut state.rejects),
    ];
    for (name, part) in parts {
        let lines: Vec<String> = part(&mut state()).lines().map(str::to_owned).collect();
        for at in 1..lines.len() {
            let check = |what: &str, lines: Vec<String>| {
                let mut state = state();
                *part(&mut state) = lines.join("\n") + "\n";
                // A promised lot is no part of a balance, and nothing here says how many promised points there should be.
                let is_promised = name == "lots" && at == 3;
                assert!(is_promised || found(&state).is_err(), "{name}: line {} is {what}", at + 1);
            };
            let mut lost = lines.clone();
            lost.remove(at);
            check("lost", lost);
            let mut doubled = lines.clone();
            doubled.insert(at, lines[at].clone());
            check("doubled", doubled);
            let mut swapped = lines.clone();
            if at > 1 && name != "balances" && name != "lots" && name != "rejects" {
                swapped.swap(at - 1, at);
                check("in another place", swapped);
            }
        }
    }
}

#[test]
fn a_changed_cell_is_noticed_wherever_it_stands() {
    type Change = fn(&mut State);
    fn replace(text: &mut String, from: &str, to: &str) {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        *text = text.replace(from, to);
    }
    let changes: [(&str, Change); 14] = [
        ("an amount of the ledger", |state| replace(&mut state.ledger, "credit,50,150", "credit,51,150")),
        ("a balance of the ledger", |state| replace(&mut state.ledger, "credit,50,150", "credit,50,151")),
        ("an entry's customer", |state| {
            replace(&mut state.ledger, "u2,,c2@example.com,,points,4", "u1,,c1@example.com,,points,4")
        }),
        ("an entry's row", |state| replace(&mut state.ledger, "50,150,2,2", "50,150,2,4")),
        ("an entry's job", |state| replace(&mut state.ledger, "50,150,2,2", "50,150,1,2")),
        ("a hole in the numbers", |state| replace(&mut state.ledger, "points,5,reset", "points,6,reset")),
        ("a balance", |state| replace(&mut state.balances, "points,130,0", "points,131,0")),
        ("a lot", |state| replace(&mut state.lots, "30,available", "29,available")),
        ("a lot's state", |state| replace(&mut state.lots, "30,available", "30,promised")),
        ("an answer's amount", |state| replace(&mut state.processed, "u1,50,150", "u1,40,150")),
        ("an answer's code", |state| replace(&mut state.processed, "rejected,amount_invalid", "rejected,amount_range")),
        ("an answer's status", |state| replace(&mut state.processed, "2,applied", "2,unchanged")),
        ("a rejected row's line", |state| replace(&mut state.rejects, "5x,8,", "5x,7,")),
        ("a count", |state| state.summary["rows"]["applied"] = json!(4)),
    ];
    for (what, change) in changes {
        let mut state = state();
        change(&mut state);
        assert!(found(&state).is_err(), "{what}");
    }
}

#[test]
fn two_states_differ_in_any_of_their_parts() {
    type Change = fn(&mut State);
    let changes: [(&str, Change); 8] = [
        ("customers", |state| state.customers.push('x')),
        ("balances", |state| state.balances.push('x')),
        ("lots", |state| state.lots.push('x')),
        ("ledger", |state| state.ledger.push('x')),
        ("processed", |state| state.processed.truncate(state.processed.len() - 1)),
        ("rejects", |state| state.rejects.clear()),
        ("verify", |state| state.verified = json!({"ok": true, "digest": 1})),
        ("job show", |state| state.summary["rows"]["read"] = json!(7)),
    ];
    for (part, change) in changes {
        let mut found = state();
        change(&mut found);
        let said = found.difference(&state()).expect_err("they differ").to_string();
        assert!(said.starts_with(part), "{said}");
    }
    assert!(state().difference(&state()).is_ok());
}
