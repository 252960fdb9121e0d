//! Bulk operations: whom they mean, what they do to each, and that the choice is made once. What a filter means beside a
//! full scan is told by `filters`, what a kill leaves by `kill`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};

use tempfile::TempDir;
use tidemill::{
    domain::{
        command::{OnOverdraft, Operation},
        filter::FilterText,
        id::JobId,
        identifier::IdentifierKind,
        job::JobState,
        program::Program,
        time::Date,
    },
    engine::{
        Engine,
        request::{
            AdjustRequest, BulkOperation, BulkRequest, CustomersRequest, FileRequest, JobRequest, MaxRejects,
            MergeRequest, Points, PointsExpiry, ResumeRequest, SelectionRequest, SettingsChange,
        },
        view::{CountView, SampleView},
    },
    error::{Error, ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    binary::Binary,
    content::{Content, export, rows},
    shop::{Held, stopping_after},
    till::moment,
    workbook::{of_rows, text_rows},
};

/// The moment of all jobs.
const NOW: &str = "2090-03-10T12:00:00Z";

const PEOPLE: &str = "\
user_id,email,mobile,card,tier,ltv,orders,created_at
u1,ana@example.com,+37061234501,9001,silver,100.5,3,2021-01-01
u2,ben@example.com,+37061234502,9002|9022,gold,5000,10,2021-06-01T00:30:00Z
u3,cid@example.com,+37061234503,,platinum,,0,2022-01-01
u4,dee@example.com,,,,0,,2022-06-01T23:59:59.999Z
u5,eve@example.com,,,gold,20000.9999,40,2023-01-01
";
/// Points that they have; Eve has no account.
const POINTS: [(&str, i64); 4] = [("u1", 100), ("u2", 350), ("u3", 399), ("u4", 300)];

/// A store with five customers and the programs `points` and, with two decimals, `eur`.
struct Campaign {
    directory: TempDir,
    engine: Engine,
    files: AtomicU32,
}

fn small() -> Options {
    Options { window_rows: 64, chunk_bytes_max: 4096, threads: 2, cache_lag_entries_min: 0, ..Options::default() }
}

fn credit(amount: &str) -> BulkOperation {
    BulkOperation::Credit { points: Points::Amount(amount.to_owned()), expiry: None }
}

fn per_ltv(rate: &str) -> BulkOperation {
    BulkOperation::Credit { points: Points::PerLtv(rate.to_owned()), expiry: None }
}

fn debit(amount: &str) -> BulkOperation {
    BulkOperation::Debit { points: Points::Amount(amount.to_owned()) }
}

fn reset(to: &str) -> BulkOperation {
    BulkOperation::Reset { to: to.to_owned() }
}

fn everybody() -> SelectionRequest {
    SelectionRequest { all: true, ..SelectionRequest::default() }
}

/// A selection as flags and values, separated by spaces.
fn whom(text: &str) -> SelectionRequest {
    let mut filter = FilterText::default();
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    while let Some(flag) = words.next() {
        let value = words.next().expect("a value").to_owned();
        match flag {
            "balance" => filter.balance = Some(value),
            "ltv" => filter.ltv = Some(value),
            "orders" => filter.orders = Some(value),
            "after" => filter.created_after = Date::parse(&value),
            "before" => filter.created_before = Date::parse(&value),
            "tier" => filter.tiers = value.split(',').map(str::to_owned).collect(),
            _ => panic!("{flag}"),
        }
    }
    SelectionRequest { all: filter.is_empty(), filter, file: None }
}

fn asking(operation: BulkOperation, selection: SelectionRequest) -> BulkRequest {
    BulkRequest { operation, selection, on_overdraft: None, explain: false }
}

impl Campaign {
    fn new() -> Campaign {
        let campaign = Campaign::empty(small());
        let tiers = Some(["silver", "gold", "platinum"].map(str::to_owned).to_vec());
        campaign.engine.set(SettingsChange { tiers, ..SettingsChange::default() }).expect("it is set");
        campaign.customers(PEOPLE);
        let row = |(who, points): &(&str, i64)| format!("{who},{points}\n");
        let rows: String = POINTS.iter().map(row).collect();
        campaign.points(&format!("user_id,amount\n{rows}"), "points");
        campaign
    }

    fn empty(options: Options) -> Campaign {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::create(&directory.path().join("store"), options).expect("a store");
        engine.add_program(Program::new("eur", "", 2, None).expect("a program")).expect("it is added");
        Campaign { directory, engine, files: AtomicU32::new(0) }
    }

    /// With so many customers, each with a balance from 0 to 999 and an LTV of ten times as much.
    fn crowd(customers: u32) -> Campaign {
        let campaign = Campaign::empty(small());
        let row = |at: u32| format!("u{at},c{at}@example.com,{},{}\n", at % 1000 * 10, at % 1000);
        let content: String = (0..customers).map(row).collect();
        campaign.customers(&format!("user_id,email,ltv,balance\n{content}"));
        campaign
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, content: impl AsRef<[u8]>) -> FileRequest {
        let path = self.path(&format!("{}.csv", self.files.fetch_add(1, Relaxed)));
        std::fs::write(&path, content).expect("a file is written");
        FileRequest { path, ..FileRequest::default() }
    }

    fn job(&self) -> JobRequest {
        JobRequest { reason: Some("Campaign".to_owned()), now: Some(moment(NOW)), ..JobRequest::default() }
    }

    fn customers(&self, content: &str) {
        let request = CustomersRequest { file: self.file(content), ..CustomersRequest::default() };
        self.engine.import_customers(&self.job(), &request, &Progress::default()).expect("it ends");
    }

    fn points(&self, content: &str, program: &str) {
        let request = tidemill::engine::request::PointsRequest {
            file: FileRequest { format: Some("tidemill".to_owned()), ..self.file(content) },
            mode: Some(tidemill::domain::command::Mode::Add),
            ..Default::default()
        };
        let job = JobRequest { program: Some(program.to_owned()), ..self.job() };
        self.engine.import_points(&job, &request, &Progress::default()).expect("it ends");
    }

    fn try_bulk(&self, request: &BulkRequest, how: impl FnOnce(&mut JobRequest)) -> Result<Summary> {
        let mut job = self.job();
        how(&mut job);
        self.engine.bulk(&job, request, &Progress::default())
    }

    #[track_caller]
    fn bulk(&self, operation: BulkOperation, selection: SelectionRequest) -> Summary {
        self.try_bulk(&asking(operation, selection), |_| {}).expect("it ends")
    }

    fn count(&self, operation: BulkOperation, selection: SelectionRequest) -> Result<CountView> {
        self.engine.bulk_count(&self.job(), &asking(operation, selection), &Progress::default())
    }

    /// Whom a selection means, by their user ids.
    #[track_caller]
    fn meant(&self, selection: SelectionRequest) -> String {
        let nothing = BulkOperation::Credit { points: Points::Unsaid, expiry: None };
        let view = self.count(nothing, selection).expect("a count");
        let name = |sample: &SampleView| sample.user_id.clone().expect("a user id");
        view.sample.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// The balances of all in a program, in the order of customers.
    fn balances(&self, program: &str) -> String {
        let rows = rows(&export(&self.engine, Export::Balances { nonzero: false })).into_iter();
        rows.filter(|cells| cells[4] == program).map(|cells| cells[5].clone()).collect::<Vec<_>>().join(" ")
    }

    fn content(&self) -> Content {
        Content::of(&self.engine)
    }

    /// Stops a bulk operation in the middle; returns its number.
    fn stop_in_the_middle(&self, job: &JobRequest, request: &BulkRequest) -> JobId {
        let error = self.engine.bulk(job, request, &stopping_after(1)).expect_err("it stops");
        assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
        let number = error.job().expect("a job");
        let there = self.engine.job(number).expect("it is there");
        assert_eq!(there.state, JobState::Unfinished);
        assert!(there.rows.applied > 0);
        number
    }

    fn resume(&self, job: JobId) -> Summary {
        self.engine.resume(job, &ResumeRequest::default(), &Progress::default()).expect("it ends")
    }
}

#[test]
fn a_selection_means_whom_all_its_conditions_name() {
    let campaign = Campaign::new();
    for (selection, expected) in [
        ("", "u1 u2 u3 u4 u5"),
        ("balance 300..399", "u2 u3 u4"),
        ("balance 300..", "u2 u3 u4"),
        ("balance ..300", "u1 u4 u5"),
        // No account is a balance of 0.
        ("balance 0..0", "u5"),
        ("balance ..-1", ""),
        ("balance 350", "u2"),
        // No LTV and no number of orders is in no range.
        ("ltv 0..", "u1 u2 u4 u5"),
        ("ltv 0..0", "u4"),
        ("ltv 100.5..5000", "u1 u2"),
        ("ltv 100.5001..20000.9998", "u2"),
        ("ltv ..99999999999", "u1 u2 u4 u5"),
        ("orders 0..3", "u1 u3"),
        ("orders 10..", "u2 u5"),
        ("after 2021-01-01", "u2 u3 u4 u5"),
        ("after 2020-12-31 before 2021-01-02", "u1"),
        ("before 2022-06-01", "u1 u2 u3"),
        ("before 2022-06-02", "u1 u2 u3 u4"),
        ("after 2022-06-01", "u5"),
        ("tier gold", "u2 u5"),
        ("tier GOLD,silver", "u1 u2 u5"),
        ("tier gold+", "u2 u3 u5"),
        ("tier silver+", "u1 u2 u3 u5"),
        ("tier platinum+,silver", "u1 u3"),
        ("tier gold balance 1.. ltv ..10000 orders 1..50 after 2021-05-31 before 2021-06-02", "u2"),
        ("tier gold balance 400..", ""),
    ] {
        assert_eq!(campaign.meant(whom(selection)), expected, "{selection}");
    }
}

#[test]
fn days_of_creation_are_those_of_the_stores_zone() {
    let campaign = Campaign::new();
    for (zone, selection, expected) in [
        ("UTC", "after 2021-05-31", "u2 u3 u4 u5"),
        // Half past midnight in UTC was the evening before in New York, and late in a night is a day more in Kolkata.
        ("America/New_York", "after 2021-05-31", "u3 u4 u5"),
        ("America/New_York", "before 2021-06-01", "u1 u2"),
        ("Asia/Kolkata", "before 2022-06-02", "u1 u2 u3"),
        ("Asia/Kolkata", "after 2022-06-01 before 2022-06-03", "u4"),
    ] {
        campaign
            .engine
            .set(SettingsChange { time_zone: Some(zone.to_owned()), ..SettingsChange::default() })
            .expect("set");
        assert_eq!(campaign.meant(whom(selection)), expected, "{zone} {selection}");
    }
}

#[test]
fn an_amount_is_the_same_for_all_or_made_of_what_is_known_of_each() {
    let per_order = |points: &str| BulkOperation::Credit { points: Points::PerOrder(points.to_owned()), expiry: None };
    let debit_per_ltv = |rate: &str| BulkOperation::Debit { points: Points::PerLtv(rate.to_owned()) };
    for (operation, policy, selection, balances, [applied, unchanged, rejected]) in [
        (credit("100"), None, "", "200 450 499 400 100", [5, 0, 0]),
        (credit("100"), None, "balance 300..399", "100 450 499 400 0", [3, 0, 0]),
        // Who has no LTV gets nothing, and the product is rounded down.
        (per_ltv("1"), None, "", "200 5350 399 300 20000", [3, 2, 0]),
        (per_ltv("0.1"), None, "", "110 850 399 300 2000", [3, 2, 0]),
        (per_ltv("0.000049"), None, "", "100 350 399 300 0", [0, 5, 0]),
        (per_order("2"), None, "", "106 370 399 300 80", [3, 2, 0]),
        (debit("320"), None, "", "0 30 79 0 0", [4, 1, 0]),
        (debit("320"), Some(OnOverdraft::Reject), "", "100 30 79 300 0", [2, 0, 3]),
        (debit("320"), Some(OnOverdraft::Allow), "", "-220 30 79 -20 -320", [5, 0, 0]),
        (debit_per_ltv("0.01"), None, "", "99 300 399 300 0", [2, 3, 0]),
        (reset("300"), None, "", "300 300 300 300 300", [4, 1, 0]),
        (reset("0"), None, "tier gold+", "100 0 0 300 0", [2, 1, 0]),
        // More than fits is refused for whom it does not fit.
        (credit("9223372036854775707"), None, "", "9223372036854775807 350 399 300 9223372036854775707", [2, 0, 3]),
        (per_ltv("999999999999999999"), None, "orders 1..10", "100 350 399 300 0", [0, 0, 2]),
    ] {
        let campaign = Campaign::new();
        let request = BulkRequest { on_overdraft: policy, ..asking(operation, whom(selection)) };
        let count = campaign.engine.bulk_count(&campaign.job(), &request, &Progress::default()).expect("a count");
        let summary = campaign.try_bulk(&request, |_| {}).expect("it ends");
        assert_eq!(campaign.balances("points"), balances, "{request:?}");
        let rows = &summary.rows;
        assert_eq!([rows.applied, rows.unchanged, rows.rejected], [applied, unchanged, rejected], "{request:?}");
        // What a count foretells is what happens.
        let sum = |text: &str| text.parse::<i128>().expect("a number");
        assert_eq!((count.customers, count.refused), (applied + unchanged + rejected, rejected));
        assert_eq!(
            sum(&count.balance_after) - sum(&count.balance_before),
            sum(&summary.balance.after) - sum(&summary.balance.before)
        );
        assert!(campaign.engine.verify().expect("it can be read").ok);
    }
}

#[test]
fn amounts_have_the_decimals_of_the_program() {
    let campaign = Campaign::new();
    campaign.points("user_id,amount\nu1,1.25\nu2,10\n", "eur");
    let in_eur = |request: &BulkRequest| campaign.try_bulk(request, |job| job.program = Some("eur".to_owned()));
    for (operation, selection, balances) in [
        (credit("0.05"), "balance 1.25..10", "1.30 10.05 0.00 0.00 0.00"),
        (debit("1.31"), "balance 0.01..", "0.00 8.74 0.00 0.00 0.00"),
        // A rate's floor is one of the smallest unit.
        (per_ltv("0.001"), "ltv 1..", "0.10 13.74 0.00 0.00 20.00"),
        (reset("7.5"), "tier silver", "7.50 13.74 0.00 0.00 20.00"),
    ] {
        in_eur(&asking(operation, whom(selection))).expect("it ends");
        assert_eq!(campaign.balances("eur"), balances, "{selection}");
    }
    assert_eq!(campaign.balances("points"), "100 350 399 300 0");
    for (operation, selection, part) in
        [(credit("0.055"), "", "0.055"), (credit("1"), "balance 1.255..", "1.255"), (reset("1,50"), "", "1,50")]
    {
        let error = in_eur(&asking(operation, whom(selection))).expect_err("it cannot be");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn credits_have_a_last_day_where_one_is_said() {
    for (expiry, lots) in [
        (None, "107 "),
        (Some(PointsExpiry::InDays(30)), "100 |7 2090-04-09"),
        (Some(PointsExpiry::On(Date::parse("2090-03-10").expect("a day"))), "100 |7 2090-03-10"),
    ] {
        let campaign = Campaign::new();
        campaign.bulk(BulkOperation::Credit { points: Points::Amount("7".to_owned()), expiry }, whom("tier silver"));
        let view = campaign.engine.customer(IdentifierKind::UserId, "u1").expect("a customer");
        let lot = |lot: &tidemill::engine::view::LotView| {
            format!("{} {}", lot.remaining, lot.expires_on.clone().unwrap_or_default())
        };
        let mut found: Vec<_> = view.accounts[0].lots.iter().map(lot).collect();
        found.sort();
        assert_eq!(found.join("|"), lots, "{expiry:?}");
    }
}

/// What cannot be is said before anything is written, with what to do about it.
#[test]
fn what_contradicts_itself_is_refused_and_nothing_changes() {
    let campaign = Campaign::new();
    let before = campaign.content();
    let none = SelectionRequest::default();
    let expiring = |expiry| BulkOperation::Credit { points: Points::Amount("5".to_owned()), expiry: Some(expiry) };
    let yesterday = PointsExpiry::On(Date::parse("2090-03-09").expect("a day"));
    let debit_with = |points| BulkOperation::Debit { points };
    for (operation, selection, code, part) in [
        (credit("5"), none.clone(), "no_selection", "whose points"),
        (reset("0"), none, "no_selection", "--all"),
        (credit("5"), SelectionRequest { all: true, ..whom("tier gold") }, "usage", "`--all` means everybody"),
        (credit("5"), whom("balance 500..300"), "usage", "the least is above the most"),
        (credit("5"), whom("balance ..."), "usage", "`--balance ...`"),
        (credit("5"), whom("ltv ..-1"), "usage", "nobody can have that"),
        (credit("5"), whom("orders 1.5.."), "usage", "`1.5`"),
        (credit("5"), whom("orders 9999999999.."), "usage", "nobody can have that"),
        (credit("5"), whom("tier diamond"), "usage", "tiers are silver, gold, platinum"),
        (credit("5"), whom("tier gold,"), "usage", "no tier ``"),
        (credit("5"), whom("after 2021-01-01 before 2021-01-01"), "usage", "nobody is created after"),
        (credit("5"), whom("after 9999-12-31"), "usage", "no day comes after it"),
        (credit("0"), everybody(), "usage", "moves no points"),
        (credit("-5"), everybody(), "usage", "bulk debit"),
        (credit("1.5"), everybody(), "usage", "`--amount 1.5`"),
        (credit("9223372036854775808"), everybody(), "usage", "too large"),
        (debit("-5"), everybody(), "usage", "negative"),
        (per_ltv("-0.5"), everybody(), "usage", "no rate above zero"),
        (per_ltv("1,5"), everybody(), "usage", "no rate above zero"),
        (debit_with(Points::PerOrder("0".to_owned())), everybody(), "usage", "moves no points"),
        (debit_with(Points::Unsaid), everybody(), "usage", "how many points"),
        (reset("-1"), everybody(), "usage", "negative"),
        (expiring(yesterday), everybody(), "usage", "that day is over"),
        (expiring(PointsExpiry::InDays(0)), everybody(), "usage", "no day at all"),
        (expiring(PointsExpiry::InDays(4_000_000)), everybody(), "usage", "beyond the year 9999"),
    ] {
        let request = asking(operation, selection);
        let error = campaign.try_bulk(&request, |_| {}).expect_err("it cannot be");
        assert_eq!(error.code(), code, "{request:?}: {error}");
        let said = format!("{error} {}", error.hint_text().unwrap_or_default());
        assert!(said.contains(part), "{request:?}: {said}");
        assert!(error.hint_text().is_some(), "{request:?}: it does not say what to do: {said}");
        if !matches!(request.operation, BulkOperation::Debit { points: Points::Unsaid }) {
            let count = campaign.engine.bulk_count(&campaign.job(), &request, &Progress::default());
            assert_eq!(count.expect_err("nor be counted").to_string(), error.to_string());
        }
    }
    for reason in [None, Some(" ".to_owned())] {
        let error = campaign.try_bulk(&asking(credit("5"), everybody()), |job| job.reason = reason).expect_err("why?");
        assert!(error.to_string().contains("needs a reason"), "{error}");
    }
    assert_eq!(campaign.content().difference(&before), None);
    assert_eq!(campaign.engine.jobs().expect("jobs").len(), 2);
}

#[test]
fn tiers_without_an_order_have_none_above() {
    let campaign = Campaign::empty(small());
    let nobody_has_one = campaign.count(credit("5"), whom("tier gold")).expect_err("there is none");
    assert!(nobody_has_one.hint_text().is_some_and(|hint| hint.contains("no customer has a tier yet")));
    campaign.customers("user_id,tier\nu1,gold\nu2,Gold\nu3,silver\n");
    assert_eq!(campaign.meant(whom("tier gold")), "u1 u2");
    let error = campaign.count(credit("5"), whom("tier gold+")).expect_err("there is no order");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("store set --tiers")), "{error:?}");
    let tiers = Some(["silver", "gold"].map(str::to_owned).to_vec());
    campaign.engine.set(SettingsChange { tiers, ..SettingsChange::default() }).expect("it is set");
    assert_eq!(campaign.meant(whom("tier silver+")), "u1 u2 u3");
}

#[test]
fn nobody_is_nothing_to_do_and_no_fault() {
    let campaign = Campaign::new();
    let view = campaign.count(credit("5"), whom("balance 1000..")).expect("a count");
    let json = serde_json::to_string(&view).expect("it is written");
    let expected = r#"{"customers":0,"points":"0","balance_before":"0","balance_after":"0","sample":[],"#;
    assert!(json.starts_with(expected), "{json}");
    let summary = campaign.bulk(credit("5"), whom("balance 1000.."));
    assert_eq!((summary.rows.read, summary.state, summary.customers.matched), (0, JobState::Finished, 0));
    // The same of a store without customers.
    let empty = Campaign::empty(small());
    assert_eq!(empty.count(credit("5"), everybody()).expect("a count").customers, 0);
    assert_eq!(empty.bulk(credit("5"), everybody()).rows.read, 0);
}

/// The acceptance of the contract: a credit does not move its customers into, within or out of its own range.
#[test]
fn each_chosen_customer_is_credited_once_whatever_the_credit_makes_of_the_range() {
    let campaign = Campaign::crowd(20_000);
    let count = campaign.count(credit("100"), whom("balance 300..399")).expect("a count");
    assert_eq!((count.customers, &*count.points, count.sample.len()), (2000, "200000", 50));
    let summary = campaign.bulk(credit("100"), whom("balance 300..399"));
    assert_eq!((summary.rows.applied, &*summary.points.credited), (2000, "200000"));
    let mut credits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mut cells in rows(&export(&campaign.engine, Export::Ledger)) {
        if cells[16] == "2" {
            credits.entry(cells.swap_remove(0)).or_default().push(cells[8].clone());
        }
    }
    assert_eq!(credits.len(), 2000);
    for (customer, amounts) in &credits {
        let number: u32 = customer[1..].parse().expect("a number");
        assert!((300..400).contains(&(number % 1000)), "{customer}");
        assert_eq!(amounts, &["100"], "{customer}");
    }
    // 400 to 499 now holds both those it made and those who were there.
    assert_eq!(campaign.count(credit("1"), whom("balance 400..499")).expect("a count").customers, 4000);
}

#[test]
fn a_stopped_operation_goes_on_with_the_customers_and_amounts_that_it_chose() {
    let at_once = Campaign::crowd(20_000);
    let (rate, chosen) = ("0.5", "ltv 3000..7999");
    let reports = |campaign: &Campaign, job: &mut JobRequest| {
        job.processed = Some(campaign.path("processed.csv"));
        job.rejects = Some(campaign.path("rejects.csv"));
    };
    let read = |campaign: &Campaign, name: &str| std::fs::read_to_string(campaign.path(name)).expect("a report");
    let request = asking(per_ltv(rate), whom(chosen));
    at_once.try_bulk(&request, |job| reports(&at_once, job)).expect("it ends");
    for is_repeated in [false, true] {
        let campaign = Campaign::crowd(20_000);
        let mut job = campaign.job();
        reports(&campaign, &mut job);
        let number = campaign.stop_in_the_middle(&job, &request);
        // Attributes on which whom it means and how much depend change for all of them, and another adjusts balances.
        let row = |at: u32| format!("u{at},1\n");
        let content: String = (0..20_000).map(row).collect();
        campaign.customers(&format!("user_id,ltv\n{content}"));
        let summary = if is_repeated {
            campaign.engine.bulk(&job, &request, &Progress::default()).expect("it ends")
        } else {
            campaign.resume(number)
        };
        assert_eq!(summary.job, Some(number));
        assert_eq!((summary.rows.applied, &*summary.points.credited), (10_000, "27475000"));
        assert_eq!(campaign.balances("points"), at_once.balances("points"), "repeated {is_repeated}");
        for name in ["processed.csv", "rejects.csv"] {
            assert_eq!(read(&campaign, name), read(&at_once, name), "repeated {is_repeated}");
        }
        // The same command is a new one now, and a campaign of every month may be meant.
        let again = campaign.engine.bulk(&job, &request, &Progress::default()).expect("it ends");
        assert_eq!((again.job, again.rows.read), (Some(JobId(number.0 + 2)), 0));
        assert!(campaign.engine.verify().expect("it can be read").ok);
    }
}

#[test]
fn a_repeated_command_says_anew_whom_an_unfinished_operation_tells_and_where_its_refused_customers_go() {
    let campaign = Campaign::crowd(20_000);
    let content: String = (0..20_001).map(|at| format!("u{at}\n")).collect();
    std::fs::write(campaign.path("list.csv"), format!("user_id\n{content}")).expect("a file");
    let whom = SelectionRequest {
        all: false,
        file: Some(FileRequest { path: campaign.path("list.csv"), ..FileRequest::default() }),
        ..whom("")
    };
    let request = asking(credit("7"), whom);
    let asked = |processed: &str, rejects: &str| JobRequest {
        processed: Some(campaign.path(processed)),
        rejects: Some(campaign.path(rejects)),
        ..campaign.job()
    };
    let number = campaign.stop_in_the_middle(&asked("processed.csv", "rejects.csv"), &request);
    // The report is begun.
    let refused = campaign.try_bulk(&request, |job| *job = asked("other.csv", "other-rejects.csv"));
    let refused = refused.expect_err("a part of it would be missing");
    assert_eq!((refused.kind(), refused.job()), (ErrorKind::Usage, Some(number)));
    assert!(!campaign.path("other.csv").exists());
    let summary = campaign
        .try_bulk(&request, |job| {
            *job = asked("processed.csv", "other-rejects.csv");
            job.notify.emails = vec!["shop@example.com".to_owned()];
        })
        .expect("it ends");
    assert_eq!((summary.job, summary.rows.applied, summary.rows.rejected), (Some(number), 20_000, 1));
    assert!(campaign.path("other-rejects.csv").exists() && !campaign.path("rejects.csv").exists());
    assert_eq!(campaign.engine.outbox().expect("it is read").len(), 1);
}

#[test]
fn merges_wait_for_an_unfinished_operation_and_an_erased_customer_keeps_its_place() {
    let campaign = Campaign::crowd(20_000);
    let job = campaign.job();
    let number = campaign.stop_in_the_middle(&job, &asking(credit("7"), everybody()));
    let user = |number: u32| (IdentifierKind::UserId, format!("u{number}"));
    let merge = MergeRequest { into: user(1), from: user(19_999) };
    let refused = campaign.engine.merge(&job, &merge, &Progress::default()).expect_err("it is unfinished");
    assert_eq!((refused.code(), refused.job()), ("job_unfinished", Some(number)));
    campaign.engine.erase(&job, IdentifierKind::UserId, "u19998", &Progress::default()).expect("it is erased");
    let summary = campaign.resume(number);
    assert_eq!((summary.rows.applied, &*summary.points.credited), (20_000, "140000"));
    assert!(campaign.engine.verify().expect("it can be read").ok);
    // Merged and erased customers are nobody for the next one, whose points the one has that remains.
    campaign.engine.merge(&job, &merge, &Progress::default()).expect("they are merged");
    let view = campaign.count(credit("1"), everybody()).expect("a count");
    assert_eq!((view.customers, &*view.points), (19_998, "19998"));
    let zero = campaign.count(credit("1"), whom("balance 0..6")).expect("a count");
    assert_eq!(zero.customers, 0);
    assert_eq!(campaign.bulk(credit("1"), everybody()).rows.applied, 19_998);
    let one = campaign.engine.customer(IdentifierKind::UserId, "u19999").expect("it is found");
    assert_eq!((one.user_id.as_deref(), &*one.accounts[0].balance), (Some("u1"), "1015"));
}

#[test]
fn a_dry_run_says_what_the_real_one_does_and_changes_nothing() {
    let campaign = Campaign::new();
    let list = "email\nana@example.com\nnobody@example.com\n";
    let file = campaign.file(list);
    let listing = SelectionRequest { file: Some(file), ..whom("tier silver+") };
    for (operation, policy, selection) in [
        (credit("9223372036854775500"), None, everybody()),
        (debit("320"), Some(OnOverdraft::Reject), everybody()),
        (reset("10"), None, whom("ltv ..5000")),
        (per_ltv("0.25"), None, listing),
    ] {
        let request = BulkRequest { on_overdraft: policy, ..asking(operation, selection) };
        let run = |dry_run: bool| {
            let name = |what: &str| Some(campaign.path(&format!("{dry_run}-{what}.csv")));
            let reported = |job: &mut JobRequest| {
                (job.dry_run, job.processed, job.rejects) = (dry_run, name("processed"), name("rejects"));
            };
            let summary = campaign.try_bulk(&request, reported).expect("it ends");
            let text = |what: &str| std::fs::read_to_string(name(what).expect("a path")).expect("a report");
            let mut said = serde_json::to_value(&summary).expect("it is written");
            for field in ["job", "elapsed_s", "rows_per_s", "dry_run", "files", "cost"] {
                said[field].take();
            }
            (said, text("processed"), text("rejects"))
        };
        let before = campaign.content();
        let dry = run(true);
        assert_eq!(campaign.content().difference(&before), None, "{request:?}");
        let real = run(false);
        let undried = |text: &str| text.replace("dry run: ", "").replace("dry run", "");
        assert_eq!(dry.0, real.0, "{request:?}");
        assert_ne!(dry.1, real.1);
        assert_eq!((undried(&dry.1), undried(&dry.2)), (real.1, real.2), "{request:?}");
    }
}

#[test]
fn threads_and_windows_are_not_seen_in_what_an_operation_does() {
    let run = |threads, window_rows, cache_lag_entries_min| {
        let options = Options { threads, window_rows, cache_lag_entries_min, ..small() };
        let campaign = Campaign::empty(options);
        let row = |at: u32| format!("u{at},{},{},{}\n", at % 700, at % 9, at % 450);
        let content: String = (0..30_000).map(row).collect();
        campaign.customers(&format!("user_id,ltv,orders,balance\n{content}"));
        let mut reports = String::new();
        for (operation, policy, selection) in [
            (per_ltv("1.5"), None, "orders 2..7 balance 10..400"),
            (debit("300"), Some(OnOverdraft::Reject), "ltv 5.."),
            (debit("300"), None, "balance ..250"),
            (reset("77"), None, "orders 3"),
        ] {
            let request = BulkRequest { on_overdraft: policy, ..asking(operation, whom(selection)) };
            let paths = [campaign.path("processed.csv"), campaign.path("rejects.csv")];
            let reported = |job: &mut JobRequest| {
                (job.processed, job.rejects) = (Some(paths[0].clone()), Some(paths[1].clone()));
            };
            campaign.try_bulk(&request, reported).expect("it ends");
            for path in &paths {
                reports += &std::fs::read_to_string(path).expect("a report");
            }
        }
        (campaign.content(), reports)
    };
    let (expected, expected_reports) = run(1, 1 << 20, 1_000_000);
    for (threads, window_rows, lag) in [(2, 64, 0), (8, 1000, 100), (1, 1, 1_000_000)] {
        let (content, reports) = run(threads, window_rows, lag);
        assert_eq!(content.difference(&expected), None, "{threads} {window_rows}");
        assert_eq!(reports, expected_reports, "{threads} {window_rows}");
    }
}

#[test]
fn a_file_names_customers_by_any_identifier_and_each_counts_once() {
    let list = "user_id,email,card\n\
        u1,,\n\
        ,ANA@example.com,\n\
        ,,9022\n\
        u2,ben@example.com,9002\n\
        u1,ben@example.com,\n\
        u9,,\n\
        ,,\n\
        ,no address,\n\
        u9,cid@example.com,\n\
        \"u4,,\n";
    let campaign = Campaign::new();
    let request = asking(credit("5"), SelectionRequest { file: Some(campaign.file(list)), ..Default::default() });
    let count = campaign.engine.bulk_count(&campaign.job(), &request, &Progress::default()).expect("a count");
    assert_eq!((count.customers, count.rejects.values().sum::<u64>()), (3, 5));
    let (processed, rejects) = (campaign.path("processed.csv"), campaign.path("rejects.csv"));
    let reported = |job: &mut JobRequest| {
        (job.processed, job.rejects) = (Some(processed.clone()), Some(rejects.clone()));
    };
    let summary = campaign.try_bulk(&request, reported).expect("it ends");
    assert_eq!(campaign.balances("points"), "105 355 404 300 0");
    let counts = &summary.rows;
    assert_eq!((counts.read, counts.applied, counts.rejected), (8, 3, 5));
    assert_eq!((summary.customers.matched, summary.customers.repeated), (3, 2));
    let read = |path: &PathBuf| std::fs::read_to_string(path).expect("a report");
    let lines: Vec<_> = rows(&read(&processed))
        .into_iter()
        .map(|cells| format!("{} {} {} {} {}", cells[0], cells[1], cells[2], cells[4], cells[6]))
        .collect();
    // A line for every row that names nobody, and one for everybody who is named.
    assert_eq!(
        lines,
        [
            "6 rejected identifier_conflict u1 ",
            "7 rejected identifier_unknown u9 ",
            "8 rejected identifier_missing  ",
            "9 rejected identifier_invalid no address ",
            "11 rejected row_malformed  ",
            " applied  u1 105",
            " applied  u2 355",
            " applied  u3 404"
        ]
    );
    let refused = read(&rejects);
    assert_eq!(rows(&refused).len(), 5);
    assert!(refused.starts_with("user_id,email,card,line,column,code,message,raw\n"), "{refused}");
    // The same file again, which may be called otherwise.
    let renamed = SelectionRequest { file: Some(campaign.file(list)), ..Default::default() };
    let error = campaign.try_bulk(&asking(credit("5"), renamed.clone()), |job| job.reason = Some("other".to_owned()));
    let error = error.expect_err("it was applied");
    assert_eq!((error.code(), error.job()), ("repeated_file", summary.job));
    // Another amount, operation, condition or program is another command.
    for (operation, filter, program) in [
        (credit("6"), "", "points"),
        (debit("5"), "", "points"),
        (credit("5"), "tier silver+", "points"),
        (credit("5"), "", "eur"),
    ] {
        let selection =
            SelectionRequest { all: false, ..SelectionRequest { file: renamed.file.clone(), ..whom(filter) } };
        campaign
            .try_bulk(&asking(operation, selection), |job| job.program = Some(program.to_owned()))
            .expect("it ends");
    }
    let again = campaign.try_bulk(&asking(credit("5"), renamed), |job| job.again = true).expect("it ends");
    assert_eq!(again.rows.applied, 3);
    assert!(campaign.engine.verify().expect("it can be read").ok);
}

#[test]
fn one_thread_is_enough_to_read_a_file_of_customers() {
    let campaign = Campaign::empty(Options { threads: 1, ..small() });
    campaign.customers(PEOPLE);
    let listed = || SelectionRequest { file: Some(campaign.file("user_id\nu1\nu2\n")), ..Default::default() };
    assert_eq!(campaign.meant(listed()), "u1 u2");
    assert_eq!(campaign.bulk(credit("5"), listed()).rows.applied, 2);
}

#[test]
fn whom_a_file_names_and_a_filter_means_must_both_be_so() {
    let campaign = Campaign::new();
    let file = || Some(campaign.file("user_id\nu1\nu2\nu4\nu9\n"));
    for (filter, expected) in
        [("balance 300..", "u2 u4"), ("tier gold+", "u2"), ("tier platinum", ""), ("", "u1 u2 u4")]
    {
        let selection = SelectionRequest { file: file(), all: false, ..whom(filter) };
        assert_eq!(campaign.meant(selection), expected, "{filter}");
    }
    let both = SelectionRequest { file: file(), ..everybody() };
    assert!(campaign.count(credit("5"), both).expect_err("not both").to_string().contains("`--all` means everybody"));
    let named = campaign.file("user_id,Note\nu1,x\nu2,\nu4,\nu9,\n");
    let selection = SelectionRequest { file: Some(named), all: false, ..whom("tier gold+") };
    let summary = campaign.bulk(credit("5"), selection);
    assert_eq!(summary.ignored_columns, ["Note"]);
    assert_eq!(summary.selection.as_deref(), Some("the customers of the file; tier gold+"));
    assert_eq!((summary.rows.applied, summary.rows.rejected), (1, 1));
}

#[test]
fn files_of_customers_are_read_as_all_files_are() {
    let campaign = Campaign::new();
    let listed = |file: FileRequest| campaign.meant(SelectionRequest { file: Some(file), ..Default::default() });
    // An export can be read as one.
    let balances = export(&campaign.engine, Export::Balances { nonzero: true });
    assert_eq!(listed(campaign.file(balances)), "u1 u2 u3 u4");
    let no_header = FileRequest {
        map: vec!["2=mobile".to_owned()],
        no_header: true,
        ..campaign.file("x;+37061234503\ny;00370 612 34501\n")
    };
    assert_eq!(listed(no_header), "u1 u3");
    // Without any of it, the hint names arguments that the command has.
    let bare = SelectionRequest {
        file: Some(campaign.file("ana@example.com\nben@example.com\n")),
        ..SelectionRequest::default()
    };
    let error = campaign.try_bulk(&asking(credit("1"), bare), |_| {}).expect_err("it has no header");
    let hint = error.hint_text().unwrap_or_default();
    assert!(hint.ends_with("add `--no-header --map 1=email`"), "{hint}");
    let mapped = FileRequest { map: vec!["Wer=email".to_owned()], ..campaign.file("Wer;Was\neve@example.com;x\n") };
    assert_eq!(listed(mapped), "u5");
    let utf16: Vec<u8> = "\u{feff}email\r\nben@example.com\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(listed(campaign.file(utf16)), "u2");
    let cells = [["Customer ID", "Note"], ["u4", "x"], ["u3", ""]].map(|row| row.map(str::to_owned).to_vec());
    let path = campaign.path("list.xlsx");
    std::fs::write(&path, of_rows(&text_rows(&cells))).expect("a file is written");
    assert_eq!(listed(FileRequest { path, ..FileRequest::default() }), "u3 u4");
    for (content, part) in [("", "is empty"), ("points\n5\n", "no format fits")] {
        let selection = SelectionRequest { file: Some(campaign.file(content)), ..Default::default() };
        let error = campaign.try_bulk(&asking(credit("5"), selection), |_| {}).expect_err("it names nobody");
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.hint_text().is_some(), "{error}");
    }
    // A header alone names nobody.
    let header = SelectionRequest { file: Some(campaign.file("email\n")), ..Default::default() };
    assert_eq!(campaign.bulk(credit("5"), header).rows.read, 0);
}

#[test]
fn an_expectation_that_fails_refuses_it_all() {
    let campaign = Campaign::new();
    let before = campaign.content();
    let list = || Some(campaign.file("user_id\nu1\nu2\nu9\n"));
    type How = fn(&mut JobRequest);
    for (operation, has_file, how, code) in [
        (credit("5"), false, (|job| job.expect_rows = Some(4)) as How, "expect_rows"),
        (credit("5"), false, |job| job.expect_total = Some("24".to_owned()), "expect_total"),
        (credit("5"), true, |job| job.max_rejects = Some(MaxRejects::Rows(0)), "max_rejects"),
        (credit("5"), true, |job| job.max_rejects = Some(MaxRejects::Percent(30)), "max_rejects"),
        (credit("9223372036854775500"), false, |job| job.max_rejects = Some(MaxRejects::Rows(1)), "max_rejects"),
    ] {
        let selection = if has_file { SelectionRequest { file: list(), ..Default::default() } } else { everybody() };
        let error = campaign.try_bulk(&asking(operation, selection), how).expect_err("it is refused");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, code));
    }
    assert_eq!(campaign.content().difference(&before), None);
    assert_eq!(campaign.engine.jobs().expect("jobs").len(), 2);
    let met = |job: &mut JobRequest| {
        (job.expect_rows, job.expect_total) = (Some(5), Some("25".to_owned()));
        job.max_rejects = Some(MaxRejects::Rows(0));
    };
    assert_eq!(campaign.try_bulk(&asking(credit("5"), everybody()), met).expect("it is met").rows.applied, 5);
}

#[test]
fn a_customer_sees_the_comment_and_never_the_reason() {
    let campaign = Campaign::new();
    let default_comment = Some("A gift of ours".to_owned());
    campaign.engine.set(SettingsChange { default_comment, ..SettingsChange::default() }).expect("it is set");
    let secret = "win back before they leave";
    let adjust = |operation, amount: &str, comment: Option<&str>| {
        let request = AdjustRequest {
            identifiers: vec![(IdentifierKind::UserId, "u1".to_owned())],
            operation,
            amount: amount.to_owned(),
            on_overdraft: OnOverdraft::Reject,
            expiry: None,
        };
        let comment = comment.map(str::to_owned);
        let job = JobRequest { reason: Some(secret.to_owned()), comment, ..campaign.job() };
        campaign.engine.adjust(&job, &request).expect("an answer")
    };
    let bulk = |operation, comment: Option<&str>| {
        let comment = comment.map(str::to_owned);
        let told = |job: &mut JobRequest| (job.reason, job.comment) = (Some(secret.to_owned()), comment);
        campaign.try_bulk(&asking(operation, whom("tier silver")), told).expect("it ends");
    };
    bulk(credit("5"), None);
    bulk(debit("1"), Some("Sorry"));
    adjust(Operation::Debit, "2", None);
    adjust(Operation::Credit, "3", Some("Here"));
    let history = |is_public| {
        let page = campaign.engine.history(IdentifierKind::UserId, "u1", None, None, 50, is_public).expect("a history");
        serde_json::to_string(&page).expect("it is written")
    };
    assert_eq!(history(false).matches(secret).count(), 4);
    let public = history(true);
    assert!(!public.contains(secret) && !public.contains("reason"), "{public}");
    assert_eq!(public.matches("A gift of ours").count(), 2, "{public}");
    assert_eq!((public.matches("Sorry").count(), public.matches("Here").count()), (1, 1), "{public}");
}

/// Adjustments come while the operation waits in the middle: each is taken in, and it chose before.
#[test]
fn adjustments_go_on_while_an_operation_runs() {
    let campaign = Campaign::crowd(20_000);
    let held = Held::when(|snapshot| snapshot.rows > 0);
    let request = asking(credit("100"), whom("balance 300..399"));
    let adjust = |who: &str, amount: &str| {
        let request = AdjustRequest {
            identifiers: vec![(IdentifierKind::Email, format!("{who}@example.com"))],
            operation: Operation::Credit,
            amount: amount.to_owned(),
            on_overdraft: OnOverdraft::Reject,
            expiry: None,
        };
        campaign.engine.adjust(&campaign.job(), &request).expect("an answer")
    };
    let (summary, counts) = thread::scope(|threads| {
        let working = threads.spawn(|| campaign.engine.bulk(&campaign.job(), &request, &held.progress));
        held.wait();
        // A count waits for nobody, and tells what is durable.
        let exported = export(&campaign.engine, Export::Balances { nonzero: false });
        let counted = campaign.count(credit("1"), whom("balance 300..399")).expect("a count").customers;
        let scanned = rows(&exported)
            .iter()
            .filter(|cells| cells[4] == "points")
            .filter(|cells| (300..400).contains(&cells[5].parse::<i64>().expect("a number")))
            .count() as u64;
        let waiting = threads.spawn(|| ["c19301", "c301", "c19999", "c5"].map(|who| adjust(who, "1000")));
        held.go();
        let views = waiting.join().expect("no panic");
        assert!(views.iter().all(|view| view.code.is_none() && view.job.is_some()), "{views:?}");
        (working.join().expect("no panic").expect("it ends"), (counted, scanned))
    });
    assert_eq!(counts.0, counts.1);
    // Who was moved out of the range by an adjustment is credited as chosen, who was moved into it is not.
    assert_eq!((summary.rows.applied, &*summary.points.credited), (2000, "200000"));
    let balance = |who: &str| {
        let view = campaign.engine.customer(IdentifierKind::UserId, who).expect("a customer");
        view.accounts[0].balance.clone()
    };
    let found = ["u19301", "u301", "u19999", "u5"].map(balance);
    assert_eq!(found, ["1401", "1401", "1999", "1005"]);
    assert!(campaign.engine.verify().expect("it can be read").ok);
    let jobs = campaign.engine.jobs().expect("jobs");
    assert!(jobs.iter().all(|job| job.state == JobState::Finished));
}

/// A line that says what a command of the binary ended with.
fn told(error: &Error) -> String {
    format!("{} {}", error.code(), error.hint_text().unwrap_or_default())
}

#[test]
fn a_cancelled_operation_is_gone_and_the_next_is_a_new_one() {
    let campaign = Campaign::crowd(20_000);
    let job = campaign.job();
    let request = asking(credit("7"), everybody());
    let number = campaign.stop_in_the_middle(&job, &request);
    let dry = campaign.try_bulk(&request, |job| job.dry_run = true).expect_err("it is unfinished");
    assert!(told(&dry).starts_with("job_unfinished") && told(&dry).contains("job cancel"), "{dry}");
    campaign.engine.cancel(number).expect("it is cancelled");
    let summary = campaign.bulk(credit("7"), everybody());
    assert_eq!((summary.job, summary.rows.applied), (Some(JobId(number.0 + 1)), 20_000));
    assert!(campaign.engine.verify().expect("it can be read").ok);
}

#[test]
fn a_list_on_standard_input_is_kept_until_the_job_ends() {
    let binary = Binary::new();
    binary.write("customers.csv", PEOPLE);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    let list = b"email\nana@example.com\nben@example.com\nnobody@example.com\n";
    let command = ["bulk", "credit", "--customers", "-", "--amount", "5", "--reason", "x"];
    let count = binary.run_reading(list, &[&command[..], &["--count"]].concat()).expect(0);
    assert_eq!(
        (count.json["customers"].as_u64(), count.json["rejects"]["identifier_unknown"].as_u64()),
        (Some(2), Some(1))
    );
    let done = binary.run_reading(list, &command).expect(3);
    assert_eq!((done.json["rows"]["applied"].as_u64(), done.json["rows"]["rejected"].as_u64()), (Some(2), Some(1)));
    let refused = binary.run_reading(list, &command).expect(4);
    assert_eq!((refused.error("code"), refused.error("job")), ("repeated_file".to_owned(), "2".to_owned()));
    binary.verify();
}
