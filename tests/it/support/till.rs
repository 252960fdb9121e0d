//! A store with two customers and two programs, and files of points for it that are written as tables.
//!
//! Its jobs run in the year 2090. What a customer is shown leaves out points that are over on the day of reading, so a test
//! that reads lots must have them end long after that day, whichever it is.

use std::{cell::Cell, path::PathBuf};

use tempfile::TempDir;
use tidemill::{
    domain::{command::OnOverdraft, identifier::IdentifierKind, program::Program, time::Timestamp},
    engine::{
        Engine,
        request::{CustomersRequest, FileRequest, JobRequest, PointsRequest},
        view::{CustomerView, LotView, VerifyView},
    },
    error::Result,
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::content::{export, rows};

/// The moment of its jobs, as long as a test says no other.
pub const NOW: &str = "2090-03-10T12:00:00Z";

const PEOPLE: &str = "\
user_id,external_id,email,mobile,card
u1,x1,ana@example.com,+916000000001,9001
u2,x2,ben@example.com,+916000000002,9002
";

/// The directory and the store in it: the programs `points` and, with two decimals, `eur`.
pub struct Till {
    directory: TempDir,
    options: Options,
    store: String,
    /// None only while it is opened anew.
    engine: Option<Engine>,
    now: Cell<Timestamp>,
    files: Cell<u32>,
}

impl Till {
    /// A new store with Ana and Ben, who have nothing.
    pub fn new() -> Till {
        Till::with(Options { threads: 2, ..Options::default() })
    }

    /// The same with other limits.
    pub fn with(options: Options) -> Till {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = Engine::create(&directory.path().join("store"), options.clone()).expect("a store");
        engine.add_program(Program::new("eur", "", 2, None).expect("a program")).expect("it is added");
        let till = Till {
            directory,
            options,
            store: "store".to_owned(),
            engine: Some(engine),
            now: Cell::new(moment(NOW)),
            files: Cell::new(0),
        };
        till.customers(PEOPLE);
        till
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is open")
    }

    /// Opens the store anew, as another process would.
    pub fn reopen(&mut self) {
        self.engine = None;
        self.engine = Some(Engine::open(&self.path(&self.store), self.options.clone()).expect("a store"));
    }

    /// Goes on with another store of its directory.
    pub fn turn_to(&mut self, store: &str) {
        self.store = store.to_owned();
        self.reopen();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The path of one of the last job's files.
    fn of_job(&self, name: &str) -> PathBuf {
        self.path(&format!("{}-{name}", self.files.get()))
    }

    /// Lets jobs begin at a moment, or at noon of a day.
    pub fn at(&self, when: &str) {
        let noon = format!("{when}T12:00:00Z");
        self.now.set(moment(if when.contains('T') { when } else { &noon }));
    }

    /// What a job asks for that begins now.
    pub fn job(&self) -> JobRequest {
        JobRequest { now: Some(self.now.get()), ..JobRequest::default() }
    }

    /// Imports customers.
    pub fn customers(&self, content: &str) -> Summary {
        let path = self.path("customers.csv");
        std::fs::write(&path, content).expect("a file is written");
        let request =
            CustomersRequest { file: FileRequest { path, ..FileRequest::default() }, ..CustomersRequest::default() };
        let job = JobRequest { again: true, ..self.job() };
        self.engine().import_customers(&job, &request, &Progress::default()).expect("the file is imported")
    }

    /// Writes a file with a name of its own, and what asks for its import, once more if it was imported before.
    pub fn request(&self, content: impl AsRef<[u8]>) -> (JobRequest, PointsRequest) {
        self.files.set(self.files.get() + 1);
        let path = self.of_job("points.csv");
        std::fs::write(&path, content).expect("a file is written");
        let job = JobRequest {
            reason: Some("test".to_owned()),
            again: true,
            processed: Some(self.of_job("processed.csv")),
            rejects: Some(self.of_job("rejects.csv")),
            ..self.job()
        };
        let file = FileRequest { path, ..FileRequest::default() };
        (job, PointsRequest { file, ..PointsRequest::default() })
    }

    /// Imports points; `how` changes what is asked for.
    pub fn try_import(
        &self,
        content: impl AsRef<[u8]>,
        how: impl FnOnce(&mut JobRequest, &mut PointsRequest),
    ) -> Result<Summary> {
        let (mut job, mut request) = self.request(content);
        how(&mut job, &mut request);
        self.engine().import_points(&job, &request, &Progress::default())
    }

    /// The same for a file that can be imported.
    #[track_caller]
    pub fn import(&self, content: impl AsRef<[u8]>, how: impl FnOnce(&mut JobRequest, &mut PointsRequest)) -> Summary {
        self.try_import(content, how).expect("the file is imported")
    }

    /// The cells of the last job's processed report.
    pub fn processed(&self) -> Vec<Vec<String>> {
        rows(&std::fs::read_to_string(self.of_job("processed.csv")).expect("a report"))
    }

    /// What became of each row of the last job: status, amount and balance, or the code.
    pub fn answers(&self) -> Vec<String> {
        let answer = |cells: Vec<String>| {
            let [_, status, code, _, _, amount, balance] = &cells[..] else { panic!("{cells:?}") };
            if code.is_empty() { format!("{status} {amount} {balance}") } else { code.clone() }
        };
        self.processed().into_iter().map(answer).collect()
    }

    /// The messages of the last job's rows.
    pub fn messages(&self) -> Vec<String> {
        self.processed().into_iter().map(|mut cells| cells.swap_remove(3)).collect()
    }

    /// The columns of the last job's rejected rows.
    pub fn refused_columns(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.of_job("rejects.csv")).expect("a report");
        let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        let column = header.iter().rposition(|name| *name == "column").expect("a column");
        rows(&text).into_iter().map(|mut cells| cells.swap_remove(column)).collect()
    }

    /// Imports the rows of a table, whose cells are separated by `;`, and checks what became of each.
    #[track_caller]
    pub fn check(
        &self,
        header: &str,
        how: impl FnOnce(&mut JobRequest, &mut PointsRequest),
        cases: &[(&str, &str)],
    ) -> Summary {
        let summary = self.import(file(header, cases.iter().map(|(row, _)| *row)), how);
        let messages = self.messages();
        for ((answer, (row, expected)), message) in self.answers().iter().zip(cases).zip(messages) {
            assert_eq!(answer, expected, "row {row:?}: {message}");
        }
        assert_eq!(self.answers().len(), cases.len());
        summary
    }

    pub fn customer(&self, email: &str) -> CustomerView {
        self.engine().customer(IdentifierKind::Email, email).expect("a customer")
    }

    /// A customer's lots in words: what remains, until when, what for.
    pub fn lots(&self, email: &str) -> String {
        let accounts = self.customer(email).accounts.into_iter();
        accounts.flat_map(|account| account.lots).map(in_words).collect::<Vec<_>>().join(", ")
    }

    /// A customer's entries in words: kind, amount, balance after, last day, line of the file.
    pub fn entries(&self, email: &str) -> Vec<String> {
        let rows = rows(&export(self.engine(), Export::Ledger)).into_iter().filter(|cells| cells[2] == email);
        let words = |cells: Vec<String>| {
            let [kind, amount, balance, last_day] = &cells[7..11] else { panic!("{cells:?}") };
            let line = &cells[17];
            let until = if last_day.is_empty() { String::new() } else { format!(" until {last_day}") };
            format!("{kind} {amount} {balance}{until} line {line}")
        };
        rows.map(words).collect()
    }

    /// Checks the store, which must be sound.
    #[track_caller]
    pub fn verify(&self) -> VerifyView {
        let view = self.engine().verify().expect("a store that can be read");
        assert!(view.ok, "{:#?}", view.problems);
        view
    }
}

/// A moment in RFC 3339.
pub fn moment(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap_or_else(|| panic!("{text} is no moment"))
}

/// A file of these rows. Cells are separated by `;`, as amounts and texts may hold a comma.
pub fn file<'a>(header: &str, rows: impl Iterator<Item = &'a str>) -> String {
    let rows = rows.map(|row| format!("{row}\n")).collect::<String>();
    format!("{}\n{rows}", header.replace(',', ";"))
}

/// Debits beyond the balance become overdrafts.
pub fn allow(_: &mut JobRequest, request: &mut PointsRequest) {
    request.on_overdraft = OnOverdraft::Allow;
}

/// Everything as it is.
pub fn plainly(_: &mut JobRequest, _: &mut PointsRequest) {}

fn in_words(lot: LotView) -> String {
    let state = (lot.state == "promised").then_some(lot.state);
    let reference = match (lot.ref_type, lot.ref_id) {
        (Some(kind), Some(id)) => Some(format!("{kind}/{id}")),
        (kind, id) => kind.or(id),
    };
    let words = [Some(lot.remaining), state, lot.expires_on, reference, lot.promotion_id];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
