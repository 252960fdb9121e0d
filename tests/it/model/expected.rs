//! What an engine made of a world, beside what the model says: each table, report and summary as rows of text.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidemill::engine::view::{AccountView, CustomerView, HistoryLine, LotView, MonthView, ProgramView};

use super::{
    super::support::{
        TODAY,
        content::{Content, rows},
        decimal,
        model::{
            Answer, Entry, Kind, Model, Report, Sums,
            account::Lot,
            calendar::{Day, day, day_text, moment_text},
            expiry::Expiring,
            undo::Undone,
        },
        model_strategies::{Dry, Step, Work, World, job_before},
    },
    Outcome, Said, Shown,
};

/// A day on which the tests may run: no world has one that would make it another.
fn clock_day() -> Day {
    day(TODAY).expect("it exists")
}

/// Runs a world through the model: what it is then, and what each step reports, dry or not.
pub fn run_model(world: &World) -> (Model, Vec<Report>) {
    let mut model = world.model();
    let mut number = 0;
    let mut reports = Vec::new();
    for step in &world.steps {
        let mut changed = model.clone();
        let job = step.job(number + 1);
        let report = match &step.work {
            Work::Customers(written, options) => changed.import_customers(&written.file, options, &job),
            Work::Points(written, options) => changed.import_points(&written.file, options, &job),
            Work::Expiry(written, options) => changed.import_expiry(&written.file, options, &job),
            Work::Convert(picks) => changed.convert(picks, &job),
            Work::Expire { as_of, program } => {
                let as_of = as_of.unwrap_or(changed.begin(&job).today);
                changed.expire(as_of, *program, &job)
            }
            Work::Undo { back, on_spent } => {
                let undone = changed.undo(job_before(number, *back), *on_spent, &job);
                undone.unwrap_or_else(|code| Report { refused: Some(code), ..Report::default() })
            }
        };
        if step.dry != Dry::Only && report.refused.is_none() {
            (model, number) = (changed, number + 1);
        }
        reports.push(report);
    }
    (model, reports)
}

/// Panics where an outcome is not what the model says; returns what it says.
pub fn compare(world: &World, outcome: &Outcome) -> Model {
    let (model, reports) = run_model(world);
    for (number, ((step, found), report)) in world.steps.iter().zip(&outcome.steps).zip(&reports).enumerate() {
        assert_eq!(found.refused.as_deref(), report.refused, "step {number}");
        if report.refused.is_some() {
            assert!(found.dry.is_none() && found.real.is_none());
            continue;
        }
        for (said, is_dry) in [(&found.dry, true), (&found.real, false)] {
            let Some(said) = said else { continue };
            let name = format!("step {number}, dry run: {is_dry}");
            compare_totals(&summary_totals(step, &said.summary), &totals(&model, step, report), &name);
            assert_eq!(said.summary["dry_run"], is_dry, "{name}");
            if step.written().is_some() {
                compare_reports(said, report, &model, &name);
            } else if step.has_processed() {
                compare_undone(said, report, &model, &name);
            }
        }
        assert_eq!(found.dry.is_some(), step.dry != Dry::No);
        assert_eq!(found.real.is_some(), step.dry != Dry::Only);
    }
    let Content { customers, balances, lots, ledger, verified } = &outcome.content;
    compare_rows("customers", &rows(customers), &customer_rows(&model));
    compare_rows("ledger", &rows(ledger), &ledger_rows(&model));
    compare_rows("lots", &rows(lots), &lot_rows(&model));
    compare_rows("balances", &rows(balances), &balance_rows(&model));
    assert_eq!(verified["customers"], model.customers.len());
    assert_eq!(verified["ledger_entries"], model.ledger.len());
    model
}

/// Panics where two summaries differ, and shows only that.
pub fn compare_totals(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>, name: &str) {
    let other = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>| {
        let differs = |(name, text): &(&String, &String)| those.get(*name) != Some(text);
        these.iter().filter(differs).map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>()
    };
    assert_eq!(other(found, expected), other(expected, found), "{name}");
}

/// Panics where two tables differ, and shows only the first row that does.
pub fn compare_rows(name: &str, found: &[Vec<String>], expected: &[Vec<String>]) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "{name}, row {number}");
    }
    assert_eq!(found.len(), expected.len(), "{name}: rows");
}

fn compare_reports(said: &Said, report: &Report, model: &Model, name: &str) {
    let processed = rows(&said.processed);
    for (cells, answer) in processed.iter().zip(&report.answers) {
        let found = [0, 1, 2, 5, 6].map(|at: usize| cells[at].clone());
        assert_eq!(found, answer_cells(answer, model), "{name}: {cells:?}");
    }
    assert_eq!(processed.len(), report.answers.len(), "{name}");
    let rejected = report.answers.iter().filter_map(|answer| Some((answer.line.to_string(), answer.code?.to_owned())));
    // The last five columns are ours: line, column, code, message, raw.
    let listed = rows(&said.rejects).into_iter().map(|cells| {
        let ours = &cells[cells.len() - 5..];
        (ours[0].clone(), ours[2].clone())
    });
    assert_eq!(listed.collect::<Vec<_>>(), rejected.collect::<Vec<_>>(), "{name}");
}

/// What an undo tells of each account, and counts.
fn compare_undone(said: &Said, report: &Report, model: &Model, name: &str) {
    let cells = |undone: &Undone| {
        let mut cells = undone.names.to_vec();
        let points = |units| points(model, undone.program, units);
        cells.extend([model.programs[undone.program].code.clone(), undone.status.to_owned(), undone.code.to_owned()]);
        cells.extend([points(undone.amount), points(undone.balance.into())]);
        cells
    };
    let expected: Vec<Vec<String>> = report.undone.iter().map(cells).collect();
    let without_message = |mut cells: Vec<String>| {
        cells.remove(7);
        cells
    };
    let found: Vec<Vec<String>> = rows(&said.processed).into_iter().map(without_message).collect();
    compare_rows(&format!("{name}: processed"), &found, &expected);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut stay = vec![0; model.programs.len()];
    for undone in &report.undone {
        *counts.entry(undone.status).or_default() += 1;
        stay[undone.program] += undone.stay;
        if !undone.code.is_empty() {
            *counts.entry(undone.code).or_default() += 1;
        }
    }
    let undo = &said.summary["undo"];
    for status in ["reversed", "partly_reversed", "kept"] {
        assert_eq!(undo[status], counts.remove(status).unwrap_or(0), "{name}: {status}");
    }
    let reasons: BTreeMap<&str, u64> = undo["reasons"]
        .as_object()
        .expect("counts")
        .iter()
        .map(|(code, count)| (&**code, count.as_u64().expect("a count")))
        .collect();
    assert_eq!(reasons, counts, "{name}");
    assert_eq!(undo["not_reversed"], points(model, report.main_program, stay[report.main_program]), "{name}");
}

/// The cells that an answer has in the processed report; those of message and customer are not the model's.
pub fn answer_cells(answer: &Answer, model: &Model) -> [String; 5] {
    let amount = |amount: Option<i64>| match amount {
        Some(amount) if answer.code.is_none() => points(model, answer.program, amount.into()),
        _ => String::new(),
    };
    let code = answer.code.unwrap_or_default().to_owned();
    [answer.line.to_string(), answer.status.to_owned(), code, amount(Some(answer.amount)), amount(answer.balance)]
}

/// Points of a program, as text.
pub fn points(model: &Model, program: usize, units: i128) -> String {
    decimal(units, model.programs[program].decimals)
}

/// What a summary says of a job, in the model's words.
fn totals(model: &Model, step: &Step, report: &Report) -> BTreeMap<String, String> {
    let statuses = report.statuses();
    let rows = |status: &str| statuses.get(status).copied().unwrap_or(0).to_string();
    let mut totals = BTreeMap::from([
        ("read".to_owned(), report.answers.len().to_string()),
        ("applied".to_owned(), rows("applied")),
        ("created".to_owned(), rows("created")),
        ("updated".to_owned(), rows("updated")),
        ("unchanged".to_owned(), rows("unchanged")),
        ("rejected".to_owned(), rows("rejected")),
        ("rejects".to_owned(), format!("{:?}", report.codes())),
        ("matched".to_owned(), report.matched.to_string()),
        ("customers created".to_owned(), report.created.to_string()),
        ("repeated".to_owned(), report.repeated.to_string()),
        ("kept".to_owned(), report.kept.to_string()),
        ("expiries ignored".to_owned(), report.expiries_ignored.to_string()),
    ]);
    let has_file = step.written().is_some();
    if has_file {
        totals.insert("unreadable rows".to_owned(), report.unread_rows.to_string());
    }
    if let Some(expiring) = &report.expiring {
        let points = |units| points(model, report.main_program, units);
        totals.insert("moved".to_owned(), points(report.moved));
        for (name, Expiring { months, permanent }) in ["before", "after"].into_iter().zip(expiring) {
            let month = |(month, sums): (&String, &[i128; 2])| {
                let [available, promised] = sums.map(points);
                json!({ "month": month, "available": available, "promised": promised })
            };
            totals.insert(format!("expiring {name}"), json!(months.iter().map(month).collect::<Vec<_>>()).to_string());
            totals.insert(format!("permanent {name}"), points(*permanent));
        }
    }
    for (program, sums) in report.programs.iter().enumerate() {
        if program == report.main_program || sums.is_named {
            totals.extend(program_totals(model, program, sums, has_file));
        }
    }
    totals
}

fn program_totals(model: &Model, program: usize, sums: &Sums, has_file: bool) -> Vec<(String, String)> {
    let points = |units: i128| points(model, program, units);
    let mut totals = vec![
        ("credited", points(sums.credited)),
        ("debited", points(sums.debited)),
        ("expired", points(sums.expired)),
        ("promised", points(sums.promised)),
        ("before", points(sums.before)),
        ("after", points(sums.after)),
    ];
    if has_file {
        totals.extend([
            ("credits in file", points(sums.credits.in_file)),
            ("credits applied", points(sums.credits.applied)),
            ("credits rejected", points(sums.credits.rejected)),
            ("credits unchanged", points(sums.credits.unchanged)),
            ("credits not taken", points(sums.credits.not_taken)),
            ("credits not credited", points(sums.credits.not_credited)),
            ("debits in file", points(sums.debits.in_file)),
            ("debits applied", points(sums.debits.applied)),
            ("debits rejected", points(sums.debits.rejected)),
            ("debits unchanged", points(sums.debits.unchanged)),
            ("debits not taken", points(sums.debits.not_taken)),
            ("debits not credited", points(sums.debits.not_credited)),
            ("set rows", sums.set_rows.to_string()),
            ("set", points(sums.set)),
            ("unassigned rows", sums.unassigned_rows.to_string()),
            ("unassigned", points(sums.unassigned)),
        ]);
    }
    let code = &model.programs[program].code;
    totals.into_iter().map(|(name, text)| (format!("{code}: {name}"), text)).collect()
}

/// The same of the engine's summary.
pub fn summary_totals(step: &Step, summary: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rejects: BTreeMap<String, u64> = serde_json::from_value(summary["rejects"].clone()).expect("counts");
    let mut totals = BTreeMap::from([
        ("rejects".to_owned(), format!("{rejects:?}")),
        ("matched".to_owned(), text(&summary["customers"]["matched"])),
        ("customers created".to_owned(), text(&summary["customers"]["created"])),
        ("repeated".to_owned(), text(&summary["customers"]["repeated"])),
        ("kept".to_owned(), text(&summary["kept"])),
        ("expiries ignored".to_owned(), text(&summary["expiries_ignored"])),
    ]);
    for name in ["read", "applied", "created", "updated", "unchanged", "rejected"] {
        totals.insert(name.to_owned(), text(&summary["rows"][name]));
    }
    let has_file = step.written().is_some();
    if has_file {
        totals.insert("unreadable rows".to_owned(), text(&summary["file_points"]["unreadable_rows"]));
    }
    if matches!(step.work, Work::Expiry(..)) {
        totals.insert("moved".to_owned(), text(&summary["points"]["moved"]));
        for name in ["before", "after"] {
            totals.insert(format!("expiring {name}"), summary["expiring"][name].to_string());
            totals.insert(format!("permanent {name}"), text(&summary["expiring"]["permanent"][name]));
        }
    }
    let others = summary["other_programs"].as_array();
    for sums in others.into_iter().flatten().chain([summary]) {
        let mut add = |name: &str, value: &Value| {
            totals.insert(format!("{}: {name}", text(&sums["program"])), text(value));
        };
        for name in ["credited", "debited", "expired", "promised"] {
            add(name, &sums["points"][name]);
        }
        for name in ["before", "after"] {
            add(name, &sums["balance"][name]);
        }
        let file = &sums["file_points"];
        for side in ["credits", "debits"].into_iter().filter(|_| has_file) {
            for name in ["in_file", "applied", "rejected", "unchanged", "not_taken", "not_credited"] {
                add(&format!("{side} {}", name.replace('_', " ")), &file[side][name]);
            }
        }
        for name in ["set_rows", "set", "unassigned_rows", "unassigned"].into_iter().filter(|_| has_file) {
            add(&name.replace('_', " "), &file[name]);
        }
    }
    totals
}

/// The four cells with which exports name a customer.
pub fn name_cells(model: &Model, customer: usize) -> Vec<String> {
    let customer = &model.customers[customer];
    [Kind::UserId, Kind::ExternalId, Kind::Email, Kind::Mobile].map(|kind| customer.identifier(kind).to_owned()).into()
}

/// The rows of `export customers` that the model expects.
fn customer_rows(model: &Model) -> Vec<Vec<String>> {
    let row = |number: usize| {
        let customer = &model.customers[number];
        let ltv = customer.ltv.map(|ltv| {
            let text = decimal(i128::try_from(ltv).expect("it fits"), 4);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        });
        let mut cells = name_cells(model, number);
        cells.extend([
            customer.identifiers.get(&Kind::Card).map(|cards| cards.join("|")).unwrap_or_default(),
            customer.name.clone(),
            customer.birthday.clone(),
            customer.gender.clone(),
            customer.consent.clone(),
            customer.tier.clone(),
            ltv.unwrap_or_default(),
            customer.orders.map(|orders| orders.to_string()).unwrap_or_default(),
            moment_text(customer.created_at),
            String::new(),
        ]);
        cells
    };
    (0..model.customers.len()).map(row).collect()
}

/// The places of all accounts in the order of exports: by customer, then by program.
fn accounts(model: &Model) -> impl Iterator<Item = (usize, usize)> {
    let programs = model.programs.len();
    (0..model.customers.len()).flat_map(move |customer| (0..programs).map(move |program| (customer, program)))
}

/// The rows of `export balances` that the model expects.
pub fn balance_rows(model: &Model) -> Vec<Vec<String>> {
    let row = |(customer, program): (usize, usize)| {
        let account = model.customers[customer].accounts[program].valid_on(clock_day());
        let mut cells = name_cells(model, customer);
        cells.push(model.programs[program].code.clone());
        cells.extend([account.balance(), account.promised()].map(|units| points(model, program, units)));
        cells
    };
    accounts(model).map(row).collect()
}

/// The rows of `export lots` that the model expects: plain points are credited at many times.
pub fn lot_rows(model: &Model) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (customer, program) in accounts(model) {
        for lot in model.customers[customer].accounts[program].valid_on(clock_day()).in_order() {
            let mut cells = name_cells(model, customer);
            let [remaining, state, expires_on, credited_at] = lot_cells(model, program, &lot);
            cells.extend([model.programs[program].code.clone(), remaining, state, expires_on]);
            cells.extend(lot.reference);
            cells.push(credited_at);
            rows.push(cells);
        }
    }
    rows
}

fn lot_cells(model: &Model, program: usize, lot: &Lot) -> [String; 4] {
    [
        points(model, program, lot.remaining),
        if lot.is_promised { "promised" } else { "available" }.to_owned(),
        lot.expires_on.map(day_text).unwrap_or_default(),
        if lot.is_plain() { String::new() } else { moment_text(lot.credited_at) },
    ]
}

/// The rows of `export ledger` that the model expects.
fn ledger_rows(model: &Model) -> Vec<Vec<String>> {
    (0..model.ledger.len()).map(|at| ledger_row(model, at)).collect()
}

/// The row of an entry.
pub fn ledger_row(model: &Model, at: usize) -> Vec<String> {
    let entry = &model.ledger[at];
    let mut cells = name_cells(model, entry.customer);
    cells.push(model.programs[entry.program].code.clone());
    cells.extend([(at + 1).to_string(), moment_text(entry.now), entry.kind.to_owned()]);
    cells.extend([entry.amount, entry.balance_after].map(|units| points(model, entry.program, units.into())));
    cells.extend([entry.expires_on, entry.expires_before].map(|day| day.map(day_text).unwrap_or_default()));
    cells.extend(entry.reference.clone());
    cells.extend([
        entry.reverses.map(|reversed| reversed.to_string()).unwrap_or_default(),
        entry.job.to_string(),
        entry.line.to_string(),
        entry.reason_type.to_owned(),
    ]);
    cells.extend([entry.reason.clone(), entry.comment.clone()]);
    cells
}

/// What `customer show` says of a customer's accounts, as the model expects it.
pub fn expected_accounts(model: &Model, customer: usize) -> Vec<AccountView> {
    let view = |program: usize| {
        let account = model.customers[customer].accounts[program].valid_on(clock_day());
        let of_account = |entry: &Entry| entry.customer == customer && entry.program == program;
        let newest = model.ledger.iter().rposition(of_account);
        let filled = |text: String| Some(text).filter(|text| !text.is_empty());
        let lot = |lot: Lot| {
            let [remaining, state, expires_on, credited_at] = lot_cells(model, program, &lot);
            let [ref_type, ref_id, promotion_id] = lot.reference.map(filled);
            let (expires_on, credited_at) = (filled(expires_on), filled(credited_at));
            LotView { remaining, state, expires_on, ref_type, ref_id, promotion_id, credited_at }
        };
        AccountView {
            program: model.programs[program].code.clone(),
            balance: points(model, program, account.balance()),
            promised: points(model, program, account.promised()),
            newest_entry: newest.map(|at| at as u64 + 1),
            lots: account.in_order().into_iter().map(lot).collect(),
        }
    };
    (0..model.programs.len()).map(view).collect()
}

/// What `program show` says, as the model expects it.
fn expected_program(model: &Model, program: usize) -> ProgramView {
    let today = clock_day();
    let valid = model.customers.iter().map(|customer| customer.accounts[program].valid_on(today)).collect::<Vec<_>>();
    let mut months = BTreeMap::<String, [i128; 2]>::new();
    for lot in valid.iter().flat_map(|account| &account.lots) {
        if let Some(day) = lot.expires_on {
            months.entry(day_text(day)[..7].to_owned()).or_default()[usize::from(lot.is_promised)] += lot.remaining;
        }
    }
    let text = |units| points(model, program, units);
    let balance: i128 = valid.iter().map(|account| account.balance()).sum();
    let dated: i128 = months.values().map(|[available, _]| available).sum();
    let over = model.customers.iter().flat_map(|customer| customer.accounts[program].over_on(today));
    let month = |(month, [available, promised]): (String, [i128; 2])| MonthView {
        month,
        available: text(available),
        promised: text(promised),
    };
    let has_entry =
        |customer: &usize| model.ledger.iter().any(|entry| (entry.customer, entry.program) == (*customer, program));
    ProgramView {
        code: model.programs[program].code.clone(),
        name: String::new(),
        decimals: u8::try_from(model.programs[program].decimals).expect("at most 4"),
        currency: Some(model.programs[program].currency.to_owned()).filter(|currency| !currency.is_empty()),
        accounts: (0..model.customers.len()).filter(has_entry).count() as u64,
        balance: text(balance),
        promised: text(valid.iter().map(|account| account.promised()).sum()),
        expiring: months.into_iter().map(month).collect(),
        permanent: text(balance - dated),
        overdue: text(over.map(|lot| lot.remaining).sum()),
    }
}

/// What `customer show` says of a customer beside the accounts, in the order of `export customers`.
fn shown_cells(view: &CustomerView) -> Vec<String> {
    let cards = Some(view.cards.join("|"));
    let orders = view.orders.map(|orders| orders.to_string());
    let names = [&view.user_id, &view.external_id, &view.email, &view.mobile, &cards];
    let profile = [&view.name, &view.birthday, &view.gender, &view.consent, &view.tier];
    // Shown with all decimals.
    let ltv = view.ltv.as_ref().map(|ltv| ltv.trim_end_matches('0').trim_end_matches('.').to_owned());
    let rest = [&ltv, &orders, &view.created_at, &None];
    let cells = names.into_iter().chain(profile).chain(rest);
    cells.map(|cell| cell.clone().unwrap_or_default()).collect()
}

/// Panics where what is shown of customers and programs is not what the model says.
pub fn compare_shown(model: &Model, shown: &Shown) {
    let Shown { customers, histories, programs } = shown;
    let expected = customer_rows(model);
    assert_eq!(customers.len(), model.customers.len());
    for (customer, (view, history)) in customers.iter().zip(histories).enumerate() {
        assert_eq!(shown_cells(view), expected[customer], "customer {customer}");
        assert_eq!(view.accounts, expected_accounts(model, customer), "customer {customer}");
        let own = (0..model.ledger.len()).rev().filter(|&at| model.ledger[at].customer == customer);
        // Program, number, time, kind, amount and balance.
        let own = own.map(|at| ledger_row(model, at)[4..10].to_vec()).collect::<Vec<_>>();
        let line = |line: &HistoryLine| {
            let HistoryLine { program, sequence, time, kind, amount, balance_after, .. } = line;
            [program, &sequence.to_string(), time, kind, amount, balance_after].map(String::to_owned).to_vec()
        };
        assert_eq!(history.lines.iter().map(line).collect::<Vec<_>>(), own, "customer {customer}");
    }
    for (program, view) in programs.iter().enumerate() {
        let expected = expected_program(model, program);
        assert_eq!(*view, ProgramView { name: view.name.clone(), ..expected }, "program {program}");
    }
}
