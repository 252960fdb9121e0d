//! Who is erased is in no file of the store any more; amounts stay, and the store is sound.

use std::{path::Path, thread, time::Duration};

use rocksdb::{ColumnFamilyDescriptor, DB, IteratorMode, Options as DbOptions};
use tidemill::{
    domain::{
        command::{OnUnknown, Operation},
        id::JobId,
        identifier::IdentifierKind,
    },
    engine::{
        Engine,
        request::{AdjustRequest, CustomersRequest, FileRequest, JobRequest, MergeRequest, PointsRequest},
        view::EraseView,
    },
    error::{Error, ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::export::Export,
    service::Service,
    store::family,
};

use super::{
    kill::{Random, kills_wanted},
    support::{
        binary::{Binary, files_below, finish},
        content::{Content, export, rows},
        shop::{Held, Shop, credits},
    },
};

const CUSTOMERS: &str = "user_id,external_id,email,mobile,card,name,birthday,gender,consent,tier,ltv,orders,created_at
u-ana-0815,crm-ana-4711,ana.k@people.example,+37069912345,4000111122223333|4000999988887777,Ana Kęstaitė,1990-01-02,female,\
2026-01-01 17 Main St,gold,5000,12,2020-05-06
u-bea-0816,,bea@example.com,+37069912346,,Bea,1991-01-02,female,,silver,100,1,2020-05-07
";

/// What must be in no file, as bytes of it or of what the store keeps compressed.
const TRACES: [&str; 13] = [
    "u-ana-0815",
    "crm-ana-4711",
    "ana.k@people.example",
    "ANA.K@People.example",
    "37069912345",
    "+370 699 12345",
    "4000111122223333",
    "4000-1111-2222-3333",
    "4000999988887777",
    "Ana Kęstaitė",
    "17 Main St",
    "4000555566667777",
    "Kęstaitė",
];

const EMAIL: IdentifierKind = IdentifierKind::Email;

fn small() -> Options {
    // Caches are written after nearly every job, so that there are runs to take identifiers out of.
    Options { cache_lag_entries_min: 8, threads: 2, ..Options::default() }
}

/// A directory with a store in which Ana has left traces wherever one can.
struct Traced {
    directory: tempfile::TempDir,
    engine: Option<Engine>,
}

fn job() -> JobRequest {
    JobRequest { reason: Some("x".to_owned()), ..JobRequest::default() }
}

impl Traced {
    /// With so many other customers, whose records make the first window one that is ingested if they are many.
    fn new(others: usize, options: &Options) -> Traced {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::create(&directory.path().join("store"), options.clone()).expect("a store");
        let traced = Traced { directory, engine: Some(engine) };
        let mut file = CUSTOMERS.to_owned();
        for other in 0..others {
            file.push_str(&format!("u-{other},,c{other}@example.com,,,Name {other},,,,silver,{other},1,2021-01-01\n"));
        }
        traced.customers(&file);
        // A change of what there is, in a page of its own.
        traced.customers("email,card\nana.k@people.example,4000555566667777\n");
        traced.points(
            "email,amount,operation,expires_on,ref_type,ref_id,promised,reason,comment\n\
             ana.k@people.example,100,CR,,,,,,\n\
             ANA.K@People.example,50,CR,2099-01-31,order,ana.k@people.example/1,,,for Ana Kęstaitė\n\
             ana.k@people.example,7,CR,2099-02-28,order,2,yes,,\n\
             bea@example.com,60,CR,,,,,\"a gift of ana.k@people.example, card 4000-1111-2222-3333\",from Ana\n\
             ana.k@people.example,9,DR,,,,,,thanks Ana\n",
            "friend of ana.k@people.example",
        );
        // Rows that are refused: each names her in another way.
        traced.points(
            "email,mobile,card,user_id,amount,operation,comment\n\
             ana.k@people.example,,,,x,CR,\n\
             ANA.K@People.example ,,,,1.5,CR,\n\
             ,+370 699 12345,,,y,CR,\n\
             ,8 699 12345,,,1,CR,\n\
             ,,4000-1111-2222-3333,,z,CR,\n\
             ,,,u-ana-0815,w,CR,\n\
             nobody@example.com,,,,1,CR,for Ana Kęstaitė\n\
             nobody@example.com,,,,2,CR,for nobody\n\
             bea@example.com,,,,v,CR,\n",
            "rejects",
        );
        traced
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is open")
    }

    fn store(&self) -> std::path::PathBuf {
        self.directory.path().join("store")
    }

    fn reopen(&mut self, options: &Options) {
        self.engine = None;
        self.engine = Some(Engine::open(&self.store(), options.clone()).expect("a store"));
    }

    fn file(&self, content: &str) -> FileRequest {
        let path = self.directory.path().join("file.csv");
        std::fs::write(&path, content).expect("a file is written");
        FileRequest { path, ..FileRequest::default() }
    }

    fn customers(&self, content: &str) {
        let request = CustomersRequest { file: self.file(content), ..CustomersRequest::default() };
        self.engine().import_customers(&job(), &request, &Progress::default()).expect("it ends");
    }

    fn points(&self, content: &str, reason: &str) {
        let file = FileRequest { format: Some("tidemill".to_owned()), ..self.file(content) };
        let request = PointsRequest { file, ..PointsRequest::default() };
        let job = JobRequest { reason: Some(reason.to_owned()), ..JobRequest::default() };
        self.engine().import_points(&job, &request, &Progress::default()).expect("it ends");
    }

    fn erase(&self, email: &str) -> Result<EraseView> {
        self.engine().erase(&JobRequest::default(), EMAIL, email, &Progress::default())
    }

    fn rejects(&self, job: u32) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        self.engine().write_rejects(JobId(job), &mut out).expect("they are kept");
        rows(&String::from_utf8(out).expect("text"))
    }

    fn verified(&self) -> serde_json::Value {
        let view = self.engine().verify().expect("a store that can be read");
        assert!(view.ok, "{:#?}", view.problems);
        serde_json::json!(view)
    }
}

/// Where a trace stands in the files of a store, as bytes; or in what a database's reader gets of it, unpacked where it is
/// packed.
fn found(store: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |place: &str, bytes: &[u8]| {
        for trace in TRACES {
            if memchr::memmem::find(bytes, trace.as_bytes()).is_some() {
                found.push(format!("{trace} in {place}"));
            }
        }
    };
    for file in files_below(store) {
        look(&file.display().to_string(), &std::fs::read(store.join(&file)).expect("a file"));
    }
    let families = family::ALL.into_iter().chain(["default"]);
    let families: Vec<_> = families.map(|name| ColumnFamilyDescriptor::new(name, DbOptions::default())).collect();
    let db = DB::open_cf_descriptors_read_only(&DbOptions::default(), store.join("db"), families, false).expect("open");
    for name in family::ALL {
        let handle = db.cf_handle(name).expect("a family");
        for entry in db.iterator_cf(handle, IteratorMode::Start) {
            let (key, value) = entry.expect("an entry");
            let place = format!("{name} {key:?}");
            look(&place, &value);
            // Rejected rows: a head of two bytes, the length, a frame, and a checksum.
            if name == family::LOG || name == family::TAIL {
                let frame = value.get(10..value.len() - 4).unwrap_or_default();
                if let Ok(raw) = zstd::stream::decode_all(frame) {
                    look(&place, &raw);
                }
            }
        }
    }
    found
}

fn blank(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    rows.iter().map(|row| [&row[4..5], &row[5..]].concat()).collect()
}

#[test]
fn nothing_of_an_erased_customer_is_in_any_file() {
    for others in [3, 9000] {
        let mut traced = Traced::new(others, &small());
        traced.engine = None;
        assert!(found(&traced.store()).len() > TRACES.len(), "the scan sees what is there");
        traced.engine = Some(Engine::open(&traced.store(), small()).expect("a store"));
        let before = Content::of(traced.engine());
        let shown = traced.engine().customer(EMAIL, "ana.k@people.example").expect("she is there");
        let looked = traced.engine().erase(
            &JobRequest { dry_run: true, ..JobRequest::default() },
            EMAIL,
            "Ana.k@people.example",
            &Progress::default(),
        );
        let looked = looked.expect("a dry run");
        assert_eq!(Content::of(traced.engine()), before);
        let view = traced.erase("Ana.k@people.example").expect("she is erased");
        assert_eq!(view, EraseView { job: Some(JobId(5)), ..looked });
        assert_eq!((view.identifiers, view.records, view.rejected_rows, view.jobs), (7, 2, 7, 1));
        assert_eq!(view.customer, shown.customer);
        for _ in 0..2 {
            for (kind, value) in [
                (EMAIL, "ana.k@people.example"),
                (IdentifierKind::Mobile, "+37069912345"),
                (IdentifierKind::UserId, "u-ana-0815"),
            ] {
                let error = traced.engine().customer(kind, value).expect_err("nobody has it");
                assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "customer_unknown"));
                assert!(!error.message().contains(value));
            }
            assert_eq!(traced.erase("ana.k@people.example").expect_err("nobody has it").code(), "customer_unknown");
            let after = Content::of(traced.engine());
            // Amounts stay: only cells that say who it is are empty.
            assert_eq!(blank(&rows(&after.balances)), blank(&rows(&before.balances)));
            assert_eq!(rows(&after.balances)[0][..4], ["", "", "", ""]);
            assert_eq!(rows(&after.lots).len(), rows(&before.lots).len());
            assert_eq!(rows(&after.customers), rows(&before.customers)[1..]);
            let amounts =
                |content: &Content| rows(&content.ledger).iter().map(|row| row[4..12].to_vec()).collect::<Vec<_>>();
            assert_eq!(amounts(&after), amounts(&before));
            let texts = |row: usize| rows(&after.ledger)[row][12..].join(",");
            let address = "*".repeat("ana.k@people.example".len());
            let name = "*".repeat("Ana Kęstaitė".len());
            assert_eq!(texts(1), format!("order,{address}/1,,,3,3,,friend of {address},for {name}"));
            for part in [&after.balances, &after.lots, &after.ledger, &after.customers] {
                assert!(TRACES.iter().all(|trace| !part.contains(trace)));
            }
            traced.reopen(&small());
        }
        let rejected = traced.rejects(4);
        assert_eq!(rejected.len(), 9);
        assert_eq!(rejected.iter().filter(|row| row.contains(&"the customer was erased".to_owned())).count(), 7);
        assert!(rejected[7].contains(&"for nobody".to_owned()) && rejected[8].contains(&"v".to_owned()));
        let listed = traced.engine().job(JobId(5)).expect("a job");
        assert_eq!((listed.kind.word(), listed.rows.read), ("erase-customer", 0));
        traced.engine = None;
        assert_eq!(found(&traced.store()), Vec::<String>::new(), "with {others} others");
    }
}

#[test]
fn the_digest_of_customers_loses_the_erased_one_and_no_other() {
    let with = Traced::new(20, &small());
    let with_her = with.verified()["digest"]["customers"].clone();
    with.erase("ana.k@people.example").expect("she is erased");
    let without = Traced::new(20, &small());
    without.erase("bea@example.com").expect("she is erased");
    let of = |value: &serde_json::Value| u128::from_str_radix(value.as_str().expect("hex"), 16).expect("hex");
    // What is left in both is counted twice in one sum and once in the other: take one of them from the whole.
    let [all, not_ana, not_bea] =
        [with_her, with.verified()["digest"]["customers"].clone(), without.verified()["digest"]["customers"].clone()]
            .map(|digest| of(&digest));
    without.erase("ana.k@people.example").expect("she is erased");
    let neither = of(&without.verified()["digest"]["customers"]);
    assert_eq!(all.wrapping_sub(not_ana), not_bea.wrapping_sub(neither));
    assert_ne!(all, not_ana);
}

#[test]
fn identifiers_of_an_erased_customer_can_be_given_again() {
    let mut traced = Traced::new(50, &small());
    let erased = traced.erase("ana.k@people.example").expect("she is erased");
    traced.customers("email,mobile,card,name\nana.k@people.example,+37069912345,4000555566667777,Ana Other\n");
    for _ in 0..2 {
        let view = traced.engine().customer(IdentifierKind::Card, "4000 5555 6666 7777").expect("another customer");
        assert_ne!(view.customer, erased.customer);
        assert_eq!((view.name.as_deref(), &*view.accounts[0].balance), (Some("Ana Other"), "0"));
        traced.verified();
        traced.reopen(&small());
    }
    traced.points("email,amount,operation\nana.k@people.example,5,CR\n", "x");
    let view = traced.engine().customer(EMAIL, "ana.k@people.example").expect("another customer");
    assert_eq!(view.accounts[0].balance, "5");
    // And erased again.
    traced.erase("ana.k@people.example").expect("she is erased");
    traced.verified();
    let balances = export(traced.engine(), Export::Balances { nonzero: true });
    assert_eq!(rows(&balances).iter().filter(|row| row[2].is_empty()).count(), 2);
    traced.engine = None;
    assert_eq!(found(&traced.store()), Vec::<String>::new());
}

#[test]
fn a_customer_is_erased_whether_or_not_the_caches_know_it() {
    // Never written, always written, and written before her records only.
    for lag in [u64::MAX, 0, 1_000] {
        let options = Options { cache_lag_entries_min: lag, ..small() };
        let mut traced = Traced::new(if lag == 1_000 { 400 } else { 5 }, &options);
        traced.customers("email,name\ndana.k@people.example,Dana Longname\n");
        for email in ["dana.k@people.example", "ana.k@people.example", "bea@example.com"] {
            traced.erase(email).expect("she is erased");
            traced.verified();
            traced.reopen(&options);
            traced.verified();
            assert_eq!(traced.erase(email).expect_err("nobody has it").kind(), ErrorKind::NotFound);
        }
        traced.points("email,amount,operation\nc1@example.com,5,CR\nana.k@people.example,5,CR\n", "x");
        traced.verified();
    }
}

#[test]
fn short_identifiers_and_first_names_are_erased_without_harm_to_others() {
    let traced = Traced::new(1, &small());
    traced.customers("user_id,email,name\n17,sam@example.com,Sam\n");
    traced.points(
        "user_id,email,amount,operation,comment\n17,,17,CR,17 points for Sam\n,bea@example.com,17,CR,Sam has 17 too\n",
        "17 points of Sam",
    );
    traced.points("user_id,email,amount,operation,comment\n17,,x17,CR,\n,bea@example.com,y17,CR,Sam\n", "again");
    let view = traced.erase("sam@example.com").expect("he is erased");
    assert_eq!((view.rejected_rows, view.ledger_pages, view.jobs), (1, 1, 0));
    let comments: Vec<String> =
        rows(&export(traced.engine(), Export::Ledger)).iter().map(|row| row[20].clone()).collect();
    assert_eq!(comments[comments.len() - 2..], ["** points for ***", "Sam has 17 too"]);
    let kept = traced.rejects(6 + 1);
    assert_eq!((&*kept[0][8], &*kept[1][2]), ("the customer was erased", "y17"));
}

#[test]
fn adjustments_are_of_an_erased_customer_no_more() {
    let traced = Traced::new(1, &small());
    let adjust = |email: &str| {
        let request = AdjustRequest {
            identifiers: vec![(EMAIL, email.to_owned())],
            operation: Operation::Credit,
            amount: "5".to_owned(),
            on_overdraft: Default::default(),
            expiry: None,
        };
        traced.engine().adjust(&job(), &request).expect("an outcome")
    };
    assert!(adjust("ana.k@people.example").job.is_some());
    traced.erase("ana.k@people.example").expect("she is erased");
    assert_eq!(adjust("ana.k@people.example").code.map(|code| code.code()), Some("identifier_unknown"));
    traced.verified();
}

#[test]
fn an_input_that_the_store_keeps_must_go_first() {
    let shop = Shop::new();
    let spooled = shop.engine.spool(credits(20_000).as_bytes(), &Progress::default()).expect("it is kept");
    let request = PointsRequest {
        file: FileRequest { path: "upload".into(), spooled: Some(spooled), ..FileRequest::default() },
        on_unknown: OnUnknown::Create,
        ..PointsRequest::default()
    };
    let progress = super::support::shop::stopping_after(1000);
    shop.engine.import_points(&job(), &request, &progress).expect_err("it stops");
    let erase = || shop.engine.erase(&JobRequest::default(), EMAIL, "c1@example.com", &Progress::default());
    let refused = erase().expect_err("its input is kept");
    assert_eq!((refused.kind(), refused.code(), refused.job()), (ErrorKind::Refused, "input_kept", Some(JobId(1))));
    assert!(refused.hint_text().is_some_and(|hint| hint.contains("job resume 1")));
    shop.engine.cancel(JobId(1)).expect("it is given up");
    erase().expect("it is erased");
    assert!(shop.engine.verify().expect("it can be read").ok);
}

#[test]
fn an_erase_waits_for_a_running_job_or_is_refused() {
    let shop = Shop::new();
    shop.write("first.csv", credits(200));
    shop.import("first.csv", &Progress::default()).expect("it ends");
    shop.write("points.csv", credits(20_000));
    let held = Held::after(3000);
    thread::scope(|threads| {
        let job = threads.spawn(|| shop.import("points.csv", &held.progress));
        held.wait();
        let erase = |no_wait| {
            let request = JobRequest { no_wait, ..JobRequest::default() };
            shop.engine.erase(&request, EMAIL, "c1@example.com", &Progress::default())
        };
        let refused = erase(true).expect_err("a job runs");
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Refused, "job_running"));
        let waiting = threads.spawn(move || erase(false));
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        held.go();
        job.join().expect("no panic").expect("it ends");
        waiting.join().expect("no panic").expect("it is erased");
    });
    assert!(shop.engine.verify().expect("it can be read").ok);
}

#[test]
fn a_service_merges_and_erases_too() {
    let traced = Traced::new(3, &small());
    let (store, directory) = (traced.store(), traced.directory);
    drop(traced.engine);
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
        let service = Service::open(store, small()).await.expect("a store");
        let request = MergeRequest {
            into: (EMAIL, "ana.k@people.example".to_owned()),
            from: (EMAIL, "bea@example.com".to_owned()),
        };
        assert_eq!(
            service.merge(JobRequest::default(), request).await.expect("they are merged").programs[0].moved,
            "60"
        );
        service.erase(JobRequest::default(), EMAIL, "ana.k@people.example").await.expect("she is erased");
        let error = service.customer(EMAIL, "ana.k@people.example").await.expect_err("nobody has it");
        assert_eq!(error.code(), "customer_unknown");
    });
    drop(directory);
}

#[test]
fn a_backup_made_before_still_holds_the_customer_and_one_made_after_does_not() {
    let mut traced = Traced::new(9000, &small());
    let [before, after] = ["before", "after"].map(|name| traced.directory.path().join(name));
    traced.engine().backup(&before).expect("a backup");
    traced.erase("ana.k@people.example").expect("she is erased");
    traced.engine().backup(&after).expect("a backup");
    let content = Content::of(traced.engine());
    let restored = traced.directory.path().join("restored");
    assert_eq!(Content::of(&Engine::restore(&after, &restored, small()).expect("a store")).difference(&content), None);
    assert_eq!(found(&restored), Vec::<String>::new());
    let old = Engine::restore(&before, &traced.directory.path().join("old"), small()).expect("a store");
    assert!(old.customer(EMAIL, "ana.k@people.example").is_ok());
    traced.engine = None;
}

/// A store that the binary made.
fn killed_store(others: usize) -> Binary {
    let binary = Binary::new();
    let mut file = CUSTOMERS.to_owned();
    for other in 0..others {
        file.push_str(&format!("u-{other},,c{other}@example.com,,,Name {other},,,,silver,{other},1,2021-01-01\n"));
    }
    binary.write("customers.csv", file);
    binary.run(&["import", "customers", "customers.csv"]).expect(0);
    binary.write(
        "points.csv",
        "email,amount,operation,comment\nana.k@people.example,5,CR,for Ana Kęstaitė\nana.k@people.example,x,CR,\n",
    );
    binary.run(&["import", "points", "points.csv", "--format", "tidemill", "--reason", "x"]).expect(3);
    for file in ["customers.csv", "points.csv"] {
        std::fs::remove_file(binary.path(file)).expect("it is not needed any more");
    }
    binary
}

#[test]
fn an_erase_that_is_killed_is_not_begun_or_is_completed() {
    let before = killed_store(20_000);
    let command = ["customer", "erase", "--email", "ana.k@people.example", "--yes"];
    let calm = before.copy();
    let began = std::time::Instant::now();
    calm.run(&command).expect(0);
    let took = began.elapsed();
    let expected = Content::of_binary(&calm);
    let untouched = Content::of_binary(&before);
    let (mut random, mut completed, mut not_begun) = (Random::new(), 0, 0);
    for _ in 0..kills_wanted() {
        let binary = before.copy();
        let mut child = binary.spawn(&command);
        thread::sleep(took.mul_f64(random.below(1000) as f64 / 1000.0));
        child.kill().expect("it is ours");
        finish(child);
        // Whoever comes next finds the one or the other.
        let is_done = binary.run(&["customer", "show", "--email", "ana.k@people.example"]).exit == Some(1);
        let content = Content::of_binary(&binary);
        if is_done {
            assert_eq!(content.difference(&expected), None);
            completed += 1;
        } else {
            assert_eq!(content.difference(&untouched), None);
            binary.run(&command).expect(0);
            assert_eq!(Content::of_binary(&binary).difference(&expected), None);
            not_begun += 1;
        }
        for file in files_below(&binary.path(".")).iter().filter(|file| file.extension().is_some_and(|e| e == "csv")) {
            std::fs::remove_file(binary.path(&file.display().to_string())).expect("an export is removed");
        }
        assert_eq!(found(&binary.store()), Vec::<String>::new());
    }
    println!("killed: {not_begun} before, {completed} after the commit");
}

#[test]
fn the_command_line_asks_before_it_erases() {
    let binary = killed_store(1);
    let who = ["customer", "erase", "--mobile", "+370 699 12345"];
    let refused = binary.run(&who).expect(4);
    assert_eq!(refused.error("code"), "not_confirmed");
    let looked = binary.run(&[&who[..], &["--dry-run"]].concat()).expect(0).json;
    assert_eq!((looked["job"].clone(), looked["identifiers"].clone()), (serde_json::Value::Null, 6.into()));
    let erased = binary.run(&[&who[..], &["--yes"]].concat()).expect(0).json;
    assert_eq!((erased["job"].clone(), erased["identifiers"].clone()), (3.into(), 6.into()));
    assert_eq!(binary.run(&[&who[..], &["--yes"]].concat()).expect(1).error("code"), "customer_unknown");
    assert_eq!(binary.run(&["job", "list"]).expect(0).json["jobs"][2]["kind"], "erase-customer");
    binary.verify();
}

#[test]
fn errors_of_an_erase_name_nobody() {
    let traced = Traced::new(1, &small());
    let said = |error: Error| format!("{error:?}");
    let errors = [
        traced.engine().erase(&JobRequest::default(), EMAIL, "not an address", &Progress::default()),
        traced.engine().erase(&JobRequest::default(), EMAIL, "nobody@example.com", &Progress::default()),
    ];
    for error in errors {
        let said = said(error.expect_err("it cannot be"));
        assert!(!said.contains("nobody@") && !said.contains("not an address"), "{said}");
    }
}

#[test]
fn names_of_files_and_columns_lose_an_erased_customer_too() {
    let traced = Traced::new(3, &small());
    let path = |name: &str| traced.directory.path().join(name);
    let input = path("ana.k@people.example.csv");
    std::fs::write(&input, "user_id,ana.k@people.example,Ana  Kęstaitė\nu-bea-0816,1,2\n").expect("a file is written");
    let request = CustomersRequest {
        file: FileRequest { path: input, ..FileRequest::default() },
        notifications: Some(path("ana.k@people.example-events.ndjson")),
        ..CustomersRequest::default()
    };
    let job = JobRequest { rejects: Some(path("ana.k@people.example-rejects.csv")), ..job() };
    traced.engine().import_customers(&job, &request, &Progress::default()).expect("it ends");
    traced.erase("ana.k@people.example").expect("she is erased");
    traced.verified();
    let jobs = serde_json::to_string(&traced.engine().jobs().expect("jobs")).expect("JSON");
    assert!(!jobs.contains("ana.k@people"), "{jobs}");
    let store = traced.store();
    drop(traced.engine);
    assert_eq!(found(&store), Vec::<String>::new());
}
