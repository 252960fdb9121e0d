//! Two records of one person become one: nothing of either is lost, and nothing is counted twice.

use std::{collections::BTreeMap, thread, time::Instant};

use proptest::prelude::*;
use rocksdb::{ColumnFamilyDescriptor, DB, Options as DbOptions};
use tidemill::{
    domain::{
        command::{OnOverdraft, OnRepeat, OnUnknown},
        id::JobId,
        identifier::IdentifierKind,
        time::Timestamp,
    },
    engine::{
        Engine,
        request::{CustomersRequest, FileRequest, JobRequest, MergeRequest, PointsRequest, SettingsChange},
        view::{CustomerView, HistoryLine, MergeView},
    },
    error::{ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
    store::family,
};

use super::{
    kill::{Random, kills_wanted},
    support::{
        binary::{Binary, files_below, finish},
        cases,
        content::{Content, export, rows},
        now,
        shop::{Shop, credits, stopping_after},
    },
};

const EMAIL: IdentifierKind = IdentifierKind::Email;

fn options(cache_lag_entries_min: u64) -> Options {
    Options { cache_lag_entries_min, threads: 2, ..Options::default() }
}

/// A store and files beside it.
struct Merging {
    directory: tempfile::TempDir,
    engine: Option<Engine>,
    options: Options,
}

impl Merging {
    fn new(options: Options) -> Merging {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::create(&directory.path().join("store"), options.clone()).expect("a store");
        Merging { directory, engine: Some(engine), options }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is open")
    }

    fn reopen(&mut self) {
        self.engine = None;
        self.engine = Some(Engine::open(&self.directory.path().join("store"), self.options.clone()).expect("a store"));
    }

    fn file(&self, content: &str) -> FileRequest {
        let path = self.directory.path().join("file.csv");
        std::fs::write(&path, content).expect("a file is written");
        FileRequest { path, ..FileRequest::default() }
    }

    fn job(at: Timestamp) -> JobRequest {
        JobRequest { reason: Some("x".to_owned()), now: Some(at), again: true, ..JobRequest::default() }
    }

    fn customers(&self, content: &str) -> Summary {
        let request = CustomersRequest { file: self.file(content), ..CustomersRequest::default() };
        self.engine().import_customers(&Merging::job(now()), &request, &Progress::default()).expect("it ends")
    }

    fn points(&self, content: &str) -> Summary {
        self.points_at(content, now())
    }

    fn points_at(&self, content: &str, at: Timestamp) -> Summary {
        let file = FileRequest { format: Some("tidemill".to_owned()), ..self.file(content) };
        let request = PointsRequest { file, on_overdraft: OnOverdraft::Allow, ..PointsRequest::default() };
        self.engine().import_points(&Merging::job(at), &request, &Progress::default()).expect("it ends")
    }

    fn merge(&self, into: &str, from: &str) -> Result<MergeView> {
        self.merge_with(into, from, false)
    }

    fn merge_with(&self, into: &str, from: &str, dry_run: bool) -> Result<MergeView> {
        let job =
            JobRequest { now: Some(now()), reason: Some("one person".to_owned()), dry_run, ..JobRequest::default() };
        let request = MergeRequest { into: (EMAIL, into.to_owned()), from: (EMAIL, from.to_owned()) };
        self.engine().merge(&job, &request, &Progress::default())
    }

    fn show(&self, email: &str) -> CustomerView {
        self.engine().customer(EMAIL, email).expect("a customer")
    }

    fn verify(&self) {
        let view = self.engine().verify().expect("it can be read");
        assert!(view.ok, "{:#?}", view.problems);
    }

    /// A customer's whole history, page by page.
    fn history(&self, email: &str, lines_max: usize) -> Vec<HistoryLine> {
        let (mut lines, mut before) = (Vec::new(), None);
        loop {
            let page = self.engine().history(EMAIL, email, None, before, lines_max, false).expect("a page");
            lines.extend(page.lines);
            before = page.next_before;
            if before.is_none() {
                return lines;
            }
        }
    }
}

const TWO: &str = "user_id,external_id,email,mobile,card,name,birthday,gender,consent,tier,ltv,orders,created_at
u-ana,,ana@example.com,,4000,Ana,,,,silver,10.5,3,2021-02-01
,x-ann,ann@example.com,+37061234567,5000|5001,Ann Other,1990-01-02,female,yes,gold,2,4,2020-02-01
,,bea@example.com,,,,,,,,,,2020-01-01
";

/// Two records of one person with points of all kinds, a third customer, and two programs.
fn two(options: Options) -> Merging {
    let merging = Merging::new(options);
    let tiers = Some(vec!["silver".to_owned(), "gold".to_owned()]);
    merging.engine().set(SettingsChange { tiers, ..SettingsChange::default() }).expect("it is set");
    let miles = tidemill::domain::program::Program::new("miles", "Miles", 2, None).expect("a program");
    merging.engine().add_program(miles).expect("it is added");
    merging.customers(TWO);
    merging.points(
        "email,amount,operation,expires_on,credited_on,program,ref_type,ref_id,promotion_id,promised,row_id\n\
         ana@example.com,100,CR,,,,,,,,r1\n\
         ana@example.com,50,CR,2099-01-31,2021-01-05,,order,1,,,r2\n\
         ann@example.com,30,CR,2099-01-15,2021-01-06,,order,2,spring,,r3\n\
         ann@example.com,20,CR,,2021-01-07,,visit,9,,,r4\n\
         ann@example.com,7,CR,,,,,,,,r5\n\
         ann@example.com,11,CR,2099-03-31,,,order,3,,yes,r6\n\
         ana@example.com,5,CR,,,,,,,yes,r7\n\
         ann@example.com,3,DR,,,,,,,,r8\n\
         ann@example.com,2.50,DR,,,miles,,,,,r9\n\
         ana@example.com,4,CR,,,miles,,,,,r10\n\
         bea@example.com,1,CR,,,,,,,,r11\n",
    );
    merging
}

/// What is told of a customer but for numbers and newest entries.
fn told(view: &CustomerView) -> Vec<(String, String, Vec<[String; 6]>)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    view.accounts
        .iter()
        .map(|account| {
            let mut lots: Vec<[String; 6]> = account
                .lots
                .iter()
                .map(|lot| {
                    [
                        lot.remaining.clone(),
                        lot.state.clone(),
                        text(&lot.expires_on),
                        format!("{} {}", text(&lot.ref_type), text(&lot.ref_id)),
                        text(&lot.promotion_id),
                        text(&lot.credited_at),
                    ]
                })
                .collect();
            lots.sort();
            (account.balance.clone(), account.promised.clone(), lots)
        })
        .collect()
}

#[test]
fn two_records_become_one_with_all_that_either_had() {
    for lag in [u64::MAX, 0] {
        let mut merging = two(options(lag));
        let (ana, ann) = (merging.show("ana@example.com"), merging.show("ann@example.com"));
        let histories = ["ana@example.com", "ann@example.com"].map(|email| merging.history(email, 50));
        let before = Content::of(merging.engine());
        let looked = merging.merge_with("ana@example.com", "ann@example.com", true).expect("a dry run");
        assert_eq!(Content::of(merging.engine()), before);
        let view = merging.merge("ana@example.com", "ann@example.com").expect("they are merged");
        assert_eq!(view, MergeView { job: Some(JobId(3)), ..looked });
        assert_eq!((view.identifiers, view.former_identifiers), (8, 1));
        let moved: Vec<_> =
            view.programs.iter().map(|p| [&*p.program, &*p.moved, &*p.promised, &*p.balance, &*p.expired]).collect();
        assert_eq!(moved, [["points", "54", "11", "204", "0"], ["miles", "-2.50", "0.00", "1.50", "0.00"]]);
        for round in 0..3 {
            merging.verify();
            // Every identifier of either names the one.
            for (kind, value) in [
                (EMAIL, "ana@example.com"),
                (EMAIL, "Ann@example.com"),
                (IdentifierKind::Mobile, "+370 612 34567"),
                (IdentifierKind::Card, "5001"),
                (IdentifierKind::Card, "4000"),
                (IdentifierKind::UserId, "u-ana"),
                (IdentifierKind::ExternalId, "x-ann"),
            ] {
                assert_eq!(merging.engine().customer(kind, value).expect("known").customer, ana.customer, "{value}");
            }
            let one = merging.show("ann@example.com");
            assert_eq!(one.cards, ["4000", "5000", "5001"]);
            assert_eq!(
                [&one.email, &one.name, &one.external_id, &one.mobile, &one.birthday, &one.gender, &one.consent],
                [&ana.email, &ana.name, &ann.external_id, &ann.mobile, &ann.birthday, &ann.gender, &ann.consent]
            );
            assert_eq!((one.tier.as_deref(), one.ltv.as_deref(), one.orders), (Some("gold"), Some("12.5000"), Some(7)));
            assert_eq!(one.created_at, ann.created_at);
            assert_eq!(
                (&*one.former_identifiers[0].kind, &*one.former_identifiers[0].value),
                ("email", "ann@example.com")
            );
            assert_eq!(one.merged, [ann.customer]);
            // Lots are what they were, in one account.
            let lots = |view: &CustomerView| told(view)[0].2.clone();
            let plain = |lots: &mut Vec<[String; 6]>| {
                let is_plain = |lot: &[String; 6]| lot[5].is_empty();
                let sum: i64 = lots.iter().filter(|lot| is_plain(lot)).map(|lot| lot[0].parse::<i64>().unwrap()).sum();
                lots.retain(|lot| !is_plain(lot));
                sum
            };
            let (mut both, mut all) = ([lots(&ana), lots(&ann)].concat(), lots(&one));
            assert_eq!((plain(&mut both), plain(&mut all)), (107, 107));
            both.sort();
            assert_eq!(all, both);
            assert_eq!((&*one.accounts[0].balance, &*one.accounts[0].promised), ("204", "16"));
            assert_eq!(&*one.accounts[1].balance, "1.50");
            // Both histories, in pages of any size.
            let history = merging.history("ana@example.com", 50);
            for lines_max in [1, 3, 50] {
                assert_eq!(merging.history("ann@example.com", lines_max), history);
            }
            let old: Vec<&HistoryLine> = history.iter().filter(|line| line.job != Some(JobId(3))).collect();
            assert_eq!(old.len(), histories.concat().len());
            for line in old {
                let own = HistoryLine { merged: None, ..line.clone() };
                assert!(histories[usize::from(line.merged == Some(ann.customer))].contains(&own), "{line:?}");
            }
            let kinds: Vec<&str> =
                history.iter().filter(|line| line.job == Some(JobId(3))).map(|line| &*line.kind).rev().collect();
            assert_eq!(
                kinds,
                [
                    "merge_out",
                    "promise_merge_out",
                    "merge_in",
                    "promise_merge_in",
                    "merge_in",
                    "merge_in",
                    "merge_out",
                    "merge_in"
                ]
            );
            assert!(
                history.iter().filter(|l| l.job == Some(JobId(3))).all(|l| l.reason.as_deref() == Some("one person"))
            );
            // Totals are what they were, and exports know one of the two.
            let after = Content::of(merging.engine());
            let sums = |content: &Content| {
                let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
                for row in rows(&content.balances) {
                    let sum = sums.entry(row[4].clone()).or_default();
                    sum.0 += row[5].parse::<f64>().unwrap();
                    sum.1 += row[6].parse::<f64>().unwrap();
                }
                sums
            };
            assert_eq!(sums(&after), sums(&before));
            assert_eq!((rows(&after.customers).len(), after.verified["customers"].as_u64()), (2, Some(2)));
            assert_eq!(merging.engine().info().expect("a store").customers, 2);
            assert_eq!(rows(&after.balances).len(), 4);
            assert!(rows(&after.ledger).iter().all(|row| row[2] == "ana@example.com" || row[2] == "bea@example.com"));
            assert!(!after.lots.contains("ann@example.com"));
            match round {
                0 => merging.reopen(),
                _ => drop_caches(&mut merging),
            }
        }
    }
}

/// Has the store forget its caches, as if they had never been written.
fn drop_caches(merging: &mut Merging) {
    merging.engine = None;
    let families = family::ALL.into_iter().chain(["default"]);
    let families: Vec<_> = families.map(|name| ColumnFamilyDescriptor::new(name, DbOptions::default())).collect();
    let path = merging.directory.path().join("store").join("db");
    let db = DB::open_cf_descriptors(&DbOptions::default(), path, families).expect("a database");
    db.delete_cf(db.cf_handle(family::META).expect("a family"), "caches").expect("it is deleted");
    drop(db);
    merging.reopen();
}

#[test]
fn what_comes_later_reaches_the_one() {
    let mut merging = two(options(0));
    merging.merge("ana@example.com", "ann@example.com").expect("they are merged");
    let file = "email,card,mobile,amount,operation\nann@example.com,,,1,CR\n,5000,,2,CR\n,,+37061234567,4,CR\n\
                ana@example.com,5001,,8,CR\n";
    let summary = merging.points(file);
    assert_eq!((summary.rows.applied, summary.customers.matched, summary.customers.repeated), (4, 1, 1));
    assert_eq!(merging.show("ana@example.com").accounts[0].balance, "219");
    // Nobody else gets an identifier, and the customer is found by a former one.
    let summary = merging.customers("email,card,orders\nann@example.com,7000,9\nnew@example.com,5000,1\n");
    assert_eq!((summary.rows.updated, summary.rows.created, summary.kept), (2, 0, 1));
    assert_eq!(merging.show("ana@example.com").orders, Some(1));
    merging.verify();
    merging.reopen();
    merging.verify();
    assert_eq!(merging.show("ann@example.com").cards, ["4000", "5000", "5001", "7000"]);
}

#[test]
fn rows_with_ids_that_were_applied_to_either_are_known() {
    let mut merging = two(options(0));
    merging.merge("ana@example.com", "ann@example.com").expect("they are merged");
    let file = "email,amount,operation,expires_on,credited_on,program,ref_type,ref_id,promotion_id,promised,row_id\n\
                ana@example.com,100,CR,,,,,,,,r1\n\
                ann@example.com,7,CR,,,,,,,,r5\n\
                ana@example.com,3,DR,,,,,,,,r8\n\
                ann@example.com,8,CR,,,,,,,,r5\n\
                ann@example.com,9,CR,,,,,,,,r12\n";
    for _ in 0..2 {
        let before: i64 = merging.show("ana@example.com").accounts[0].balance.parse().expect("a number");
        let summary = merging.points(file);
        let applied = u64::from(before == 204);
        assert_eq!((summary.rows.applied, summary.rows.unchanged, summary.rows.rejected), (applied, 4 - applied, 1));
        assert_eq!(summary.rejects.get("row_id_conflict"), Some(&1));
        assert_eq!(merging.show("ana@example.com").accounts[0].balance, "213");
        drop_caches(&mut merging);
    }
}

#[test]
fn an_overdraft_is_paid_by_the_other_and_what_is_over_expires() {
    let merging = Merging::new(options(u64::MAX));
    merging.customers("email\na@example.com\nb@example.com\nc@example.com\n");
    merging.points_at(
        "email,amount,operation,expires_on,promised\n\
         a@example.com,10,CR,2021-12-01,\n\
         a@example.com,30,CR,2099-12-01,\n\
         a@example.com,5,CR,,\n\
         b@example.com,20,DR,,\n\
         b@example.com,4,CR,2021-12-01,yes\n\
         b@example.com,6,CR,2099-12-01,yes\n\
         c@example.com,50,DR,,\n",
        Timestamp::parse_rfc3339("2021-11-01T00:00:00Z").expect("a time"),
    );
    // `now` is after the last days of 2021.
    assert!(now() > Timestamp::parse_rfc3339("2021-12-02T00:00:00Z").expect("a time"));
    let view = merging.merge("a@example.com", "b@example.com").expect("they are merged");
    let points = &view.programs[0];
    assert_eq!([&*points.moved, &*points.promised, &*points.balance, &*points.expired], ["-20", "6", "15", "14"]);
    let lots = told(&merging.show("b@example.com"))[0].2.clone();
    let lots: Vec<[&str; 3]> = lots.iter().map(|lot| [&*lot[0], &*lot[1], &*lot[2]]).collect();
    assert_eq!(lots, [["10", "available", "2099-12-01"], ["5", "available", ""], ["6", "promised", "2099-12-01"]]);
    // The other way round: what comes pays the overdraft first.
    let view = merging.merge("c@example.com", "a@example.com").expect("they are merged");
    assert_eq!((&*view.programs[0].moved, &*view.programs[0].balance), ("15", "-35"));
    let one = merging.show("b@example.com");
    assert_eq!((&*one.accounts[0].balance, &*one.accounts[0].promised), ("-35", "6"));
    assert_eq!((one.merged.len(), one.former_identifiers.len()), (2, 2));
    assert_eq!(merging.history("a@example.com", 2).len(), 7 + 2 + 2 + 2 + 2 + 2 + 1);
    merging.verify();
}

#[test]
fn what_cannot_be_merged_is_refused_and_nothing_changes() {
    let merging = Merging::new(options(0));
    merging.customers(
        "email,card,ltv,orders\na@example.com,1,900000000000000,4294967000\nb@example.com,2,900000000000000,1\n\
         c@example.com,3,,4294967000\nd@example.com,,,\ne@example.com,,,\n",
    );
    merging.points("email,amount,operation\nd@example.com,9223372036854775807,CR\ne@example.com,1,CR\n");
    merging
        .points("email,amount,operation,promised\na@example.com,9223372036854775807,CR,yes\nd@example.com,1,CR,yes\n");
    let before = Content::of(merging.engine());
    for (into, from, kind, code) in [
        ("a@example.com", "A@example.com", ErrorKind::Refused, "same_customer"),
        ("a@example.com", "x@example.com", ErrorKind::NotFound, "customer_unknown"),
        ("x@example.com", "a@example.com", ErrorKind::NotFound, "customer_unknown"),
        ("a@example.com", "not an address", ErrorKind::Usage, "usage"),
        ("a@example.com", "b@example.com", ErrorKind::Refused, "balance_overflow"),
        ("a@example.com", "c@example.com", ErrorKind::Refused, "balance_overflow"),
        ("e@example.com", "d@example.com", ErrorKind::Refused, "balance_overflow"),
        ("a@example.com", "d@example.com", ErrorKind::Refused, "balance_overflow"),
    ] {
        let error = merging.merge(into, from).expect_err("it cannot be");
        assert_eq!((error.kind(), error.code()), (kind, code), "{into} {from}");
        assert!(!error.message().contains("example.com"), "{error}");
    }
    assert_eq!(Content::of(merging.engine()), before);
}

#[test]
fn an_unfinished_job_stands_in_the_way() {
    let shop = Shop::new();
    shop.write("points.csv", credits(20_000));
    shop.import("points.csv", &stopping_after(1000)).expect_err("it stops");
    let request =
        MergeRequest { into: (EMAIL, "c1@example.com".to_owned()), from: (EMAIL, "c2@example.com".to_owned()) };
    let merge = || shop.engine.merge(&JobRequest::default(), &request, &Progress::default());
    let refused = merge().expect_err("a job is unfinished");
    assert_eq!((refused.kind(), refused.code(), refused.job()), (ErrorKind::Refused, "job_unfinished", Some(JobId(1))));
    shop.resume(1).expect("it ends");
    merge().expect("they are merged");
    assert!(shop.engine.verify().expect("it can be read").ok);
}

#[test]
fn erasing_the_one_erases_both() {
    let mut merging = two(options(0));
    merging.points("email,amount,operation,comment\nx@example.com,1,CR,for Ann Other\nann@example.com,y,CR,\n");
    merging.merge("ana@example.com", "ann@example.com").expect("they are merged");
    let before = Content::of(merging.engine());
    let view = merging.engine().erase(&JobRequest::default(), EMAIL, "ann@example.com", &Progress::default());
    assert_eq!(view.map(|view| (view.identifiers, view.rejected_rows)).expect("erased"), (8, 2));
    for _ in 0..2 {
        merging.verify();
        for email in ["ana@example.com", "ann@example.com"] {
            assert_eq!(merging.engine().customer(EMAIL, email).expect_err("nobody").code(), "customer_unknown");
        }
        let after = Content::of(merging.engine());
        assert_eq!(rows(&after.customers).len(), 1);
        let blank = |content: &Content| rows(&content.balances).iter().map(|row| row[4..].to_vec()).collect::<Vec<_>>();
        assert_eq!(blank(&after), blank(&before));
        merging.reopen();
    }
    merging.engine = None;
    let store = merging.directory.path().join("store");
    for file in files_below(&store) {
        let bytes = std::fs::read(store.join(&file)).expect("a file");
        for trace in ["ann@example.com", "x-ann", "Ann Other", "u-ana"] {
            assert!(memchr::memmem::find(&bytes, trace.as_bytes()).is_none(), "{trace} in {}", file.display());
        }
    }
}

#[test]
fn a_backup_of_merged_customers_is_restored() {
    let merging = two(options(0));
    merging.merge("ana@example.com", "ann@example.com").expect("they are merged");
    let [to, restored] = ["backup", "restored"].map(|name| merging.directory.path().join(name));
    merging.engine().backup(&to).expect("a backup");
    let again = Engine::restore(&to, &restored, options(0)).expect("a store");
    assert_eq!(Content::of(&again).difference(&Content::of(merging.engine())), None);
    assert_eq!(again.customer(EMAIL, "ann@example.com").expect("known"), merging.show("ana@example.com"));
}

#[test]
fn a_merge_that_is_killed_is_not_begun_or_is_done() {
    let before = Binary::new();
    let mut file = TWO.to_owned();
    for other in 0..20_000 {
        file.push_str(&format!("u-{other},,c{other}@example.com,,,Name {other},,,,silver,{other},1,2021-01-01\n"));
    }
    before.write("customers.csv", file);
    before.run(&["import", "customers", "customers.csv"]).expect(0);
    before.write(
        "points.csv",
        "email,amount,operation,expires_on\nana@example.com,5,CR,\nann@example.com,7,CR,2099-01-01\nann@example.com,9,CR,\n",
    );
    before.run(&["import", "points", "points.csv", "--format", "tidemill", "--reason", "x"]).expect(0);
    std::fs::remove_file(before.path("customers.csv")).expect("it is not needed any more");
    let command = [
        "customer",
        "merge",
        "--email",
        "ana@example.com",
        "--from-email",
        "ann@example.com",
        "--now",
        "2026-03-01T00:00:00Z",
    ];
    let calm = before.copy();
    let began = Instant::now();
    calm.run(&command).expect(0);
    let took = began.elapsed();
    let (expected, untouched) = (Content::of_binary(&calm), Content::of_binary(&before));
    let (mut random, mut done, mut not_begun) = (Random::new(), 0, 0);
    for _ in 0..kills_wanted() {
        let binary = before.copy();
        let mut child = binary.spawn(&command);
        thread::sleep(took.mul_f64(random.below(1000) as f64 / 1000.0));
        child.kill().expect("it is ours");
        finish(child);
        let content = Content::of_binary(&binary);
        if content == untouched {
            not_begun += 1;
            binary.run(&command).expect(0);
        } else {
            done += 1;
            assert_eq!(content.difference(&expected), None);
            assert_eq!(binary.run(&command).expect(4).error("code"), "same_customer");
        }
        assert_eq!(Content::of_binary(&binary).difference(&expected), None);
    }
    println!("killed: {not_begun} before, {done} after the commit");
}

/// A step of a random story: whom it is about, by numbers of the customers.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Credit(u8, i64, bool, bool),
    Debit(u8, i64),
    Set(u8, i64),
    Merge(u8, u8),
    Erase(u8),
    Reopen,
    DropCaches,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..8_u8;
    prop_oneof![
        3 => who.clone().prop_map(Step::Create),
        4 => (who.clone(), 1..100_i64, any::<bool>(), any::<bool>()).prop_map(|(w, a, d, p)| Step::Credit(w, a, d, p)),
        3 => (who.clone(), 1..150_i64).prop_map(|(w, a)| Step::Debit(w, a)),
        1 => (who.clone(), 0..100_i64).prop_map(|(w, a)| Step::Set(w, a)),
        3 => (who.clone(), who.clone()).prop_map(|(one, other)| Step::Merge(one, other)),
        2 => who.prop_map(Step::Erase),
        1 => Just(Step::Reopen),
        1 => Just(Step::DropCaches),
    ]
}

/// What a plain model knows: groups of names that are one person, each with balance and promised points.
#[derive(Default)]
struct Plain {
    people: Vec<(Vec<u8>, i64, i64)>,
    nameless: (i64, i64),
}

impl Plain {
    fn of(&mut self, who: u8) -> Option<&mut (Vec<u8>, i64, i64)> {
        self.people.iter_mut().find(|(names, ..)| names.contains(&who))
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// Merges and erasures among files of customers and points do what a list of people does.
    #[test]
    fn merges_and_erasures_do_what_a_plain_list_does(
        steps in prop::collection::vec(step(), 1..30),
        lag in prop::sample::select(vec![0, 8, u64::MAX]),
    ) {
        let mut merging = Merging::new(options(lag));
        let mut plain = Plain::default();
        let email = |who: u8| format!("p{who}@example.com");
        for step in &steps {
            match *step {
                Step::Create(who) => {
                    merging.customers(&format!("email,card\n{},{}\n", email(who), 1000 + u32::from(who)));
                    if plain.of(who).is_none() {
                        plain.people.push((vec![who], 0, 0));
                    }
                }
                Step::Credit(who, amount, dated, promised) => {
                    let (day, promise) = (if dated { "2099-01-01" } else { "" }, if promised { "yes" } else { "" });
                    merging.points(&format!(
                        "card,amount,operation,expires_on,promised\n{},{amount},CR,{day},{promise}\n", 1000 + u32::from(who)
                    ));
                    if let Some((_, balance, promised_sum)) = plain.of(who) {
                        *if promised { promised_sum } else { balance } += amount;
                    }
                }
                Step::Debit(who, amount) => {
                    merging.points(&format!("email,amount,operation\n{},{amount},DR\n", email(who)));
                    plain.of(who).into_iter().for_each(|(_, balance, _)| *balance -= amount);
                }
                Step::Set(who, amount) => {
                    merging.points(&format!("email,amount,operation\n{},{amount},SET\n", email(who)));
                    plain.of(who).into_iter().for_each(|(_, balance, _)| *balance = amount);
                }
                Step::Merge(into, from) => {
                    let result = merging.merge(&email(into), &email(from));
                    let (one, other) = (plain.of(into).map(|p| p.0.clone()), plain.of(from).map(|p| p.0.clone()));
                    match (one, other) {
                        (Some(one), Some(other)) if one != other => {
                            prop_assert!(result.is_ok(), "{:?}", result);
                            let at = plain.people.iter().position(|(names, ..)| *names == other).expect("it is there");
                            let (names, balance, promised) = plain.people.remove(at);
                            let into = plain.of(into).expect("it is there");
                            into.0.extend(names);
                            into.1 += balance;
                            into.2 += promised;
                        }
                        _ => prop_assert!(result.is_err()),
                    }
                }
                Step::Erase(who) => {
                    let result =
                        merging.engine().erase(&JobRequest::default(), EMAIL, &email(who), &Progress::default());
                    prop_assert_eq!(result.is_ok(), plain.of(who).is_some(), "{:?}", result);
                    if let Some(at) = plain.people.iter().position(|(names, ..)| names.contains(&who)) {
                        let (_, balance, promised) = plain.people.remove(at);
                        plain.nameless.0 += balance;
                        plain.nameless.1 += promised;
                    }
                }
                Step::Reopen => merging.reopen(),
                Step::DropCaches => drop_caches(&mut merging),
            }
        }
        for round in 0..2 {
            let verified = merging.engine().verify().expect("it can be read");
            prop_assert!(verified.ok, "{:#?}", verified.problems);
            for who in 0..8 {
                match plain.of(who) {
                    None => prop_assert!(merging.engine().customer(EMAIL, &email(who)).is_err()),
                    Some((names, balance, promised)) => {
                        let view = merging.show(&email(who));
                        let account = &view.accounts[0];
                        prop_assert_eq!(&account.balance, &balance.to_string());
                        prop_assert_eq!(&account.promised, &promised.to_string());
                        prop_assert_eq!(view.cards.len(), names.len());
                        let lines = merging.history(&email(who), 3);
                        // Each line is told once, newest first.
                        prop_assert!(lines.windows(2).all(|pair| pair[0].sequence > pair[1].sequence));
                    }
                }
            }
            let balances = rows(&export(merging.engine(), Export::Balances { nonzero: false }));
            let sum = |at: usize| balances.iter().filter(|r| r[2].is_empty()).map(|r| r[at].parse::<i64>().unwrap()).sum();
            let nameless: (i64, i64) = (sum(5), sum(6));
            prop_assert_eq!(nameless, plain.nameless);
            let named = balances.iter().filter(|row| !row[2].is_empty()).count();
            prop_assert_eq!(named, plain.people.len());
            if round == 0 {
                merging.reopen();
            }
        }
    }
}

#[test]
fn policies_are_the_same_for_the_one() {
    // Rows that set the balances of both, in one file: the second names the same customer again.
    let merging = two(options(0));
    merging.merge("ana@example.com", "ann@example.com").expect("they are merged");
    let file = merging.file("email,points\nana@example.com,10\nann@example.com,20\n");
    let request = PointsRequest {
        file,
        mode: Some(tidemill::domain::command::Mode::Reset),
        on_unknown: OnUnknown::Reject,
        on_repeat: OnRepeat::First,
        ..PointsRequest::default()
    };
    let summary =
        merging.engine().import_points(&Merging::job(now()), &request, &Progress::default()).expect("it ends");
    assert_eq!((summary.rows.applied, summary.rejects.get("repeated_customer")), (1, Some(&1)));
    assert_eq!(merging.show("ann@example.com").accounts[0].balance, "10");
}
