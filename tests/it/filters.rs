//! Every answer of a filter is also computed by a full scan of what the store exports: random stores, after imports,
//! adjustments, expiries, merges and erasures, with caches that were written or not, of which pages are read or kept.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use tidemill::{
    domain::{
        command::{OnOverdraft, OnUnknown, Operation},
        filter::FilterText,
        identifier::IdentifierKind,
        program::Program,
        time::{Date, Timestamp},
    },
    engine::{
        Engine,
        request::{
            AdjustRequest, BulkOperation, BulkRequest, CustomersRequest, ExpireRequest, FileRequest, JobRequest,
            MergeRequest, Points, PointsExpiry, PointsRequest, SelectionRequest, SettingsChange,
        },
        view::{CountView, SampleView},
    },
    error::{ErrorKind, Result},
    job::progress::Progress,
    options::Options,
    report::{export::Export, summary::Summary},
};

use super::support::{
    cases,
    content::{export, rows},
    decimal,
    model::calendar::{Day, day, day_of, day_text},
    till::moment,
};

/// Spellings of tiers; the store declares the first, third and fourth, or none.
const TIERS: [&str; 4] = ["silver", "Silver", "gold", "platinum"];
const RANKED: [&str; 3] = ["silver", "gold", "platinum"];
/// Zones whose clocks never change, with the minutes by which they are ahead.
const ZONES: [(&str, i64); 2] = [("UTC", 0), ("Asia/Kolkata", 330)];
const LTV_DECIMALS: u32 = 4;
/// Customers that random rows name; those of the base have higher numbers.
const PEOPLE: u8 = 24;

/// A range: either end may be left out, but not both.
type Ends = (Option<i64>, Option<i64>);

/// Whom an operation means.
#[derive(Clone, Debug, Default)]
struct Wanted {
    balance: Option<Ends>,
    ltv: Option<Ends>,
    orders: Option<Ends>,
    /// Days of 2021.
    created: (Option<i64>, Option<i64>),
    /// Places in `TIERS`, and whether those above are meant too.
    tiers: Vec<(usize, bool)>,
    /// Customers whom a file names.
    listed: Option<Vec<u8>>,
}

/// How much.
#[derive(Clone, Copy, Debug)]
enum Much {
    Fixed(i64),
    /// Digits and decimals of the rate.
    PerLtv(u32, u32),
    PerOrder(i64),
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// With how many days of validity.
    Credit(Much, Option<u32>),
    Debit(Much, OnOverdraft),
    Reset(i64),
}

#[derive(Clone, Debug)]
struct Ask {
    whom: Wanted,
    what: What,
}

/// A row of a customers file: who, tier, LTV, orders, day and hour of creation.
type Profile = (u8, Option<usize>, Option<i64>, Option<u32>, Option<(i64, i64)>);

#[derive(Clone, Debug)]
enum Step {
    Customers(Vec<Profile>),
    /// Who, by how much, for how many days.
    Points(Vec<(u8, i64, Option<u32>)>),
    Adjust(u8, i64),
    Expire,
    Merge(u8, u8),
    Erase(u8),
    Bulk(Ask),
    Reopen,
}

#[derive(Clone, Debug)]
struct World {
    zone: (&'static str, i64),
    decimals: u8,
    declares: bool,
    cache_lag_entries_min: u64,
    threads: usize,
    window_rows: u64,
    /// Customers beside those that steps name: pages have 4096.
    base: u32,
    steps: Vec<(Step, Ask)>,
}

fn ends(values: impl Strategy<Value = i64> + Clone) -> impl Strategy<Value = Option<Ends>> {
    prop::option::weighted(
        0.35,
        (values.clone(), values, 0..4_u8).prop_map(|(one, other, kind)| match kind {
            0 => (None, Some(one)),
            1 => (Some(one), None),
            _ => (Some(one.min(other)), Some(one.max(other))),
        }),
    )
}

fn balances() -> impl Strategy<Value = i64> + Clone {
    prop_oneof![4 => -40..400_i64, 1 => Just(0), 1 => Just(i64::MAX - 5)]
}

fn much() -> impl Strategy<Value = Much> {
    prop_oneof![
        2 => (1..300_i64).prop_map(Much::Fixed),
        1 => Just(Much::Fixed(i64::MAX - 50)),
        2 => (1..2000_u32, 0..5_u32).prop_map(|(digits, decimals)| Much::PerLtv(digits, decimals)),
        1 => (1..9_i64).prop_map(Much::PerOrder),
        1 => Just(Much::PerOrder(i64::MAX / 3)),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let created = prop::option::weighted(0.25, 0..20_i64);
    let tiers = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec((0..TIERS.len(), any::<bool>()), 1..3),
    ];
    let listed = prop::option::weighted(0.2, prop::collection::vec(0..PEOPLE + 6, 1..12));
    let ltv = prop_oneof![0..500_000_i64, Just(0_i64)];
    let whom = (ends(balances()), ends(ltv), ends(0..9_i64), (created.clone(), created), tiers, listed).prop_map(
        |(balance, ltv, orders, created, tiers, listed)| {
            // Contradictions are refused, which is another test.
            let created = match created {
                (Some(after), Some(before)) if after + 1 >= before => (Some(after), None),
                created => created,
            };
            Wanted { balance, ltv, orders, created, tiers, listed }
        },
    );
    let policy = select(vec![OnOverdraft::Clamp, OnOverdraft::Reject, OnOverdraft::Allow]);
    let what = prop_oneof![
        3 => (much(), prop::option::of(1..12_u32)).prop_map(|(much, days)| What::Credit(much, days)),
        3 => (much(), policy).prop_map(|(much, policy)| What::Debit(much, policy)),
        1 => (0..300_i64).prop_map(What::Reset),
    ];
    (whom, what).prop_map(|(whom, what)| Ask { whom, what })
}

fn step() -> impl Strategy<Value = Step> {
    let ltv = prop::option::of(0..500_000_i64);
    let created = prop::option::weighted(0.3, (0..20_i64, 0..24_i64));
    let profile = (0..PEOPLE, prop::option::of(0..TIERS.len()), ltv, prop::option::of(0..9_u32), created);
    let amount = prop_oneof![6 => -120..300_i64, 1 => Just(i64::MAX - 5)];
    let points = (0..PEOPLE, amount, prop::option::weighted(0.4, 1..9_u32));
    prop_oneof![
        3 => prop::collection::vec(profile, 1..20).prop_map(Step::Customers),
        4 => prop::collection::vec(points, 1..30).prop_map(Step::Points),
        2 => (0..PEOPLE, -60..90_i64).prop_map(|(who, amount)| Step::Adjust(who, amount)),
        1 => Just(Step::Expire),
        1 => (0..PEOPLE, 0..PEOPLE).prop_map(|(into, from)| Step::Merge(into, from)),
        1 => (0..PEOPLE).prop_map(Step::Erase),
        3 => ask().prop_map(Step::Bulk),
        1 => Just(Step::Reopen),
    ]
}

fn world() -> impl Strategy<Value = World> {
    (
        (select(ZONES.to_vec()), select(vec![0_u8, 2]), any::<bool>()),
        (select(vec![0_u64, 20, 1_000_000]), 1..3_usize, select(vec![3_u64, 50, 100_000])),
        prop_oneof![3 => Just(0_u32), 1 => Just(4080), 1 => Just(9000)],
        prop::collection::vec((step(), ask()), 2..9),
    )
        .prop_map(|((zone, decimals, declares), (cache_lag_entries_min, threads, window_rows), base, steps)| {
            World { zone, decimals, declares, cache_lag_entries_min, threads, window_rows, base, steps }
        })
}

/// A customer as the exports tell.
#[derive(Clone, Debug, PartialEq)]
struct Person {
    name: String,
    balance: i64,
    ltv: Option<i64>,
    orders: Option<i64>,
    created: Option<Day>,
    tier: Option<String>,
}

/// Decimal text in units of so many decimals.
fn units(text: &str, decimals: u32) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<width$}", width = decimals as usize).parse().expect("a decimal number")
}

/// The first identifier of a row of an export.
fn name(cells: &[String]) -> Option<String> {
    cells[..4].iter().find(|cell| !cell.is_empty()).cloned()
}

/// All customers as the exports tell, in the store's order, on a day.
fn scan(engine: &Engine, program: &str, decimals: u32, today: &str, zone_minutes: i64) -> Vec<Person> {
    let mut balances = BTreeMap::new();
    for cells in rows(&export(engine, Export::Balances { nonzero: false })) {
        if let Some(name) = name(&cells).filter(|_| cells[4] == program) {
            balances.insert(name, units(&cells[5], decimals));
        }
    }
    for cells in rows(&export(engine, Export::Lots)) {
        let is_over = !cells[7].is_empty() && *cells[7] < *today;
        if let Some(name) = name(&cells).filter(|_| cells[4] == program && cells[6] == "available" && is_over) {
            *balances.get_mut(&name).expect("a balance") -= units(&cells[5], decimals);
        }
    }
    let filled = |cell: &str| Some(cell.to_owned()).filter(|cell| !cell.is_empty());
    let person = |cells: Vec<String>| {
        let name = name(&cells).expect("exported customers have a name");
        let created = filled(&cells[12]).map(|text| Timestamp::parse_rfc3339(&text).expect("a moment").millis());
        Person {
            balance: balances[&name],
            ltv: filled(&cells[10]).map(|text| units(&text, LTV_DECIMALS)),
            orders: filled(&cells[11]).map(|text| text.parse().expect("a number")),
            created: created.map(|millis| day_of(millis.div_euclid(1000), zone_minutes)),
            tier: filled(&cells[9]).map(|tier| tier.to_lowercase()),
            name,
        }
    };
    rows(&export(engine, Export::Customers)).into_iter().map(person).collect()
}

impl Wanted {
    fn text(&self, decimals: u32) -> FilterText {
        let range = |ends: &Option<Ends>, decimals| {
            ends.map(|(min, max)| {
                let end = |end: Option<i64>| end.map_or(String::new(), |end| decimal(end.into(), decimals));
                format!("{}..{}", end(min), end(max))
            })
        };
        let day = |place: Option<i64>| place.map(|place| Date::parse(&day_text(first_day() + place)).expect("a day"));
        FilterText {
            balance: range(&self.balance, decimals),
            ltv: range(&self.ltv, LTV_DECIMALS),
            orders: range(&self.orders, 0),
            created_after: day(self.created.0),
            created_before: day(self.created.1),
            tiers: self
                .tiers
                .iter()
                .map(|&(place, above)| format!("{}{}", TIERS[place], if above { "+" } else { "" }))
                .collect(),
        }
    }

    fn has(&self, person: &Person, listed: Option<&[String]>) -> bool {
        let within = |ends: Option<Ends>, value: Option<i64>| {
            ends.is_none_or(|(min, max)| {
                value.is_some_and(|value| min.is_none_or(|min| min <= value) && max.is_none_or(|max| value <= max))
            })
        };
        let rank = |tier: &str| RANKED.iter().position(|ranked| *ranked == tier);
        let is_tier = |tier: &str| {
            self.tiers.iter().any(|&(place, above)| {
                let wanted = TIERS[place].to_lowercase();
                wanted == tier || (above && rank(tier) >= rank(&wanted))
            })
        };
        let (after, before) = self.created;
        within(self.balance, Some(person.balance))
            && within(self.ltv, person.ltv)
            && within(self.orders, person.orders)
            && within(
                (after.is_some() || before.is_some())
                    .then(|| (after.map(|day| first_day() + day + 1), before.map(|day| first_day() + day - 1))),
                person.created,
            )
            && (self.tiers.is_empty() || person.tier.as_deref().is_some_and(is_tier))
            && listed.is_none_or(|listed| listed.contains(&person.name))
    }
}

/// From which days of creation are counted.
fn first_day() -> Day {
    day("2021-01-01").expect("a day")
}

impl Much {
    fn points(self, decimals: u32) -> Points {
        match self {
            Much::Fixed(amount) => Points::Amount(decimal(amount.into(), decimals)),
            Much::PerLtv(digits, places) => Points::PerLtv(decimal(digits.into(), places)),
            Much::PerOrder(amount) => Points::PerOrder(decimal(amount.into(), decimals)),
        }
    }

    /// None: more than fits.
    fn of(self, person: &Person, decimals: u32) -> Option<i64> {
        let amount = match self {
            Much::Fixed(amount) => i128::from(amount),
            Much::PerLtv(digits, places) => {
                let product = i128::from(person.ltv.unwrap_or(0)) * i128::from(digits) * 10_i128.pow(decimals);
                product / 10_i128.pow(LTV_DECIMALS + places)
            }
            Much::PerOrder(amount) => i128::from(amount) * i128::from(person.orders.unwrap_or(0)),
        };
        i64::try_from(amount).ok()
    }
}

impl What {
    fn request(self, decimals: u32) -> (BulkOperation, Option<OnOverdraft>) {
        match self {
            What::Credit(much, days) => {
                let expiry = days.map(PointsExpiry::InDays);
                (BulkOperation::Credit { points: much.points(decimals), expiry }, None)
            }
            What::Debit(much, policy) => (BulkOperation::Debit { points: much.points(decimals) }, Some(policy)),
            What::Reset(to) => (BulkOperation::Reset { to: decimal(to.into(), decimals) }, None),
        }
    }

    /// What the balance would be; none if it is refused.
    fn after(self, person: &Person, decimals: u32) -> Option<i64> {
        let balance = person.balance;
        match self {
            What::Credit(much, _) => balance.checked_add(much.of(person, decimals)?),
            What::Debit(much, policy) => {
                let amount = much.of(person, decimals)?;
                match policy {
                    OnOverdraft::Clamp => Some(balance - amount.min(balance.max(0))),
                    OnOverdraft::Reject if amount > balance.max(0) => None,
                    OnOverdraft::Reject => Some(balance - amount),
                    // The smallest number of all is no balance.
                    OnOverdraft::Allow => balance.checked_sub(amount).filter(|&after| after > i64::MIN),
                }
            }
            // The entry's points, which are the difference, have to be a number of the ledger, too.
            What::Reset(to) => to.checked_sub(balance).map(|_| to),
        }
    }
}

/// A world while its steps are done.
struct Running {
    directory: tempfile::TempDir,
    engine: Option<Engine>,
    world: World,
    files: u32,
    day: u32,
}

impl Running {
    fn new(world: World) -> Running {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Engine::create(&directory.path().join("store"), options(&world)).expect("a store");
        let tiers = world.declares.then(|| RANKED.map(str::to_owned).to_vec());
        let time_zone = Some(world.zone.0.to_owned());
        engine.set(SettingsChange { tiers, time_zone, ..SettingsChange::default() }).expect("it is set");
        engine.add_program(Program::new("coins", "", world.decimals, None).expect("a program")).expect("it is added");
        let mut running = Running { directory, engine: Some(engine), world, files: 0, day: 0 };
        if running.world.base > 0 {
            let row = |at: u32| {
                let tier = ["", "silver", "gold"][at as usize % 3];
                let ltv = if at.is_multiple_of(5) { String::new() } else { format!("{}.25", at % 50) };
                let orders = if at.is_multiple_of(4) { String::new() } else { (at % 9).to_string() };
                format!("u{},{tier},{ltv},{orders},2021-01-{:02},{}\n", 1000 + at, 1 + at % 20, at / 30)
            };
            let content: String = (0..running.world.base).map(row).collect();
            running.customers(&format!("user_id,tier,ltv,orders,created_at,balance\n{content}"));
        }
        running
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is open")
    }

    fn decimals(&self) -> u32 {
        self.world.decimals.into()
    }

    fn today(&self) -> String {
        format!("2090-03-{:02}", 1 + self.day)
    }

    fn job(&self) -> JobRequest {
        JobRequest {
            program: Some("coins".to_owned()),
            reason: Some("test".to_owned()),
            now: Some(moment(&format!("{}T12:00:00Z", self.today()))),
            again: true,
            ..JobRequest::default()
        }
    }

    fn file(&mut self, content: &str) -> FileRequest {
        self.files += 1;
        let path = self.directory.path().join(format!("{}.csv", self.files));
        std::fs::write(&path, content).expect("a file is written");
        FileRequest { path, ..FileRequest::default() }
    }

    fn customers(&mut self, content: &str) {
        let file = FileRequest { format: Some("tidemill-customers".to_owned()), ..self.file(content) };
        let request = CustomersRequest { file, ..CustomersRequest::default() };
        self.engine().import_customers(&self.job(), &request, &Progress::default()).expect("it ends");
    }

    fn scan(&self) -> Vec<Person> {
        scan(self.engine(), "coins", self.decimals(), &self.today(), self.world.zone.1)
    }

    fn request(&mut self, ask: &Ask) -> BulkRequest {
        let decimals = self.decimals();
        let (operation, on_overdraft) = ask.what.request(decimals);
        let filter = ask.whom.text(decimals);
        let file = ask.whom.listed.as_ref().map(|listed| {
            // Each twice, of which once counts.
            let row = |who: &u8| format!("u{who}\nu{who}\n");
            self.file(&format!("user_id\n{}", listed.iter().map(row).collect::<String>()))
        });
        let all = file.is_none() && filter.is_empty();
        BulkRequest { operation, selection: SelectionRequest { filter, file, all }, on_overdraft, explain: true }
    }

    /// Whom a file of these names by the names that exports have, and how many of its rows name nobody.
    fn listed(&self, listed: &[u8]) -> (Vec<String>, u64) {
        let find = |who: &u8| self.engine().customer(IdentifierKind::UserId, &format!("u{who}")).ok();
        let found: Vec<_> = listed.iter().map(|who| find(who).and_then(|view| view.user_id.or(view.email))).collect();
        let unknown = found.iter().filter(|name| name.is_none()).count() as u64 * 2;
        (found.into_iter().flatten().collect(), unknown)
    }

    /// Whether a filter names tiers that the store does not know, or asks for an order that it does not have.
    fn is_refused(&self, ask: &Ask, error: &tidemill::error::Error, people: &[Person]) -> bool {
        let is_seen =
            |tier: &str| people.iter().any(|person| person.tier.as_deref() == Some(tier.to_lowercase().as_str()));
        let is_unranked = !self.world.declares && ask.whom.tiers.iter().any(|tier| tier.1);
        let is_unseen = !self.world.declares && ask.whom.tiers.iter().any(|&(place, _)| !is_seen(TIERS[place]));
        error.kind() == ErrorKind::Usage && (is_unranked || is_unseen)
    }

    /// Asks whom it means, and what it would do, in all ways in which that can be asked; returns the store's customers with
    /// the balances that it makes.
    fn check(&mut self, ask: &Ask) -> Option<Vec<Person>> {
        let request = self.request(ask);
        let mut people = self.scan();
        let count = self.engine().bulk_count(&self.job(), &request, &Progress::default());
        let count = match count {
            Ok(count) => count,
            Err(error) => {
                assert!(self.is_refused(ask, &error, &people), "{ask:?}: {error}");
                return None;
            }
        };
        let (listed, unknown) = ask.whom.listed.as_deref().map(|listed| self.listed(listed)).unwrap_or_default();
        let listed = ask.whom.listed.as_ref().map(|_| listed.as_slice());
        let decimals = self.decimals();
        let meant: Vec<(usize, Option<i64>)> = people
            .iter()
            .enumerate()
            .filter(|(_, person)| ask.whom.has(person, listed))
            .map(|(at, person)| (at, ask.what.after(person, decimals)))
            .collect();
        let after = |&(at, after): &(usize, Option<i64>)| after.unwrap_or(people[at].balance);
        let sum = |values: &mut dyn Iterator<Item = i64>| values.map(i128::from).sum::<i128>();
        let before_sum = sum(&mut meant.iter().map(|&(at, _)| people[at].balance));
        let after_sum = sum(&mut meant.iter().map(after));
        let change = if matches!(ask.what, What::Debit(..)) { before_sum - after_sum } else { after_sum - before_sum };
        let text = |amount: i128| decimal(amount, decimals);
        let first: Vec<_> = meant
            .iter()
            .take(50)
            .map(|found| {
                let person = &people[found.0];
                (person.name.clone(), text(person.balance.into()), text(after(found).into()))
            })
            .collect();
        assert_eq!(
            told(&count),
            (meant.len() as u64, text(change), text(before_sum), text(after_sum), first),
            "{ask:?}"
        );
        let refused = meant.iter().filter(|(_, after)| after.is_none()).count() as u64;
        assert_eq!(count.refused, refused, "{ask:?}");
        let explain = count.explain.as_ref().expect("it was asked for");
        assert_eq!(explain.conditions.last().map(|last| last.customers_left), Some(meant.len() as u64), "{ask:?}");
        for condition in &explain.conditions {
            assert_eq!(
                condition.pages_empty + condition.pages_skipped + condition.pages_read,
                explain.pages,
                "{ask:?}"
            );
        }
        // What the operation itself would do, row by row.
        let processed = self.directory.path().join("dry.csv");
        let job = JobRequest { dry_run: true, processed: Some(processed.clone()), ..self.job() };
        let summary = self.engine().bulk(&job, &request, &Progress::default()).expect("a dry run");
        assert_eq!((summary.rows.read, summary.rows.rejected), (meant.len() as u64 + unknown, refused + unknown));
        let lines = rows(&std::fs::read_to_string(processed).expect("a report"));
        let lines = lines.into_iter().filter(|cells| cells[0].is_empty());
        let lines: Vec<_> = lines.map(|cells| (cells[4].clone(), cells[6].clone())).collect();
        let expected: Vec<_> =
            meant.iter().map(|found| (people[found.0].name.clone(), text(after(found).into()))).collect();
        assert_eq!(lines, expected, "{ask:?}");
        for (at, after) in meant {
            people[at].balance = after.unwrap_or(people[at].balance);
        }
        Some(people)
    }

    fn bulk(&mut self, ask: &Ask) -> Result<Summary> {
        let request = self.request(ask);
        self.engine().bulk(&self.job(), &request, &Progress::default())
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Customers(profiles) => {
                let text = |value: Option<String>| value.unwrap_or_default();
                let row = |&(who, tier, ltv, orders, created): &Profile| {
                    let tier = tier.map_or("", |place| TIERS[place]);
                    let ltv = text(ltv.map(|ltv| decimal(ltv.into(), LTV_DECIMALS)));
                    let orders = text(orders.map(|orders| orders.to_string()));
                    let created = text(
                        created.map(|(day, hour)| format!("{}T{hour:02}:59:59.999Z", day_text(first_day() + day))),
                    );
                    format!("u{who},c{who}@example.com,{tier},{ltv},{orders},{created}\n")
                };
                let content: String = profiles.iter().map(row).collect();
                self.customers(&format!("user_id,email,tier,ltv,orders,created_at\n{content}"));
            }
            Step::Points(points) => {
                let decimals = self.decimals();
                let row = |&(who, amount, days): &(u8, i64, Option<u32>)| {
                    let operation = if amount < 0 { "DR" } else { "CR" };
                    let amount = decimal(i128::from(amount).abs(), decimals);
                    let days = days.filter(|_| operation == "CR").map_or(String::new(), |days| days.to_string());
                    format!("c{who}@example.com,{amount},{operation},{days}\n")
                };
                let content: String = points.iter().map(row).collect();
                let file = self.file(&format!("email,amount,operation,expires_in_days\n{content}"));
                let file = FileRequest { format: Some("tidemill".to_owned()), ..file };
                let request = PointsRequest {
                    file,
                    on_unknown: OnUnknown::Create,
                    on_overdraft: OnOverdraft::Allow,
                    ..PointsRequest::default()
                };
                self.engine().import_points(&self.job(), &request, &Progress::default()).expect("it ends");
            }
            &Step::Adjust(who, amount) => {
                let request = AdjustRequest {
                    identifiers: vec![(IdentifierKind::Email, format!("c{who}@example.com"))],
                    operation: if amount < 0 { Operation::Debit } else { Operation::Credit },
                    amount: decimal(i128::from(amount).abs(), self.decimals()),
                    on_overdraft: OnOverdraft::Allow,
                    expiry: None,
                };
                self.engine().adjust(&self.job(), &request).expect("an answer");
            }
            Step::Expire => {
                self.engine().expire(&self.job(), &ExpireRequest::default(), &Progress::default()).expect("it ends");
            }
            &Step::Merge(into, from) => {
                let email = |who: u8| (IdentifierKind::Email, format!("c{who}@example.com"));
                let request = MergeRequest { into: email(into), from: email(from) };
                // One of them may be unknown, or both be one.
                let _ = self.engine().merge(&self.job(), &request, &Progress::default());
            }
            &Step::Erase(who) => {
                let email = format!("c{who}@example.com");
                let _ = self.engine().erase(&self.job(), IdentifierKind::Email, &email, &Progress::default());
            }
            Step::Bulk(ask) => {
                if let Some(expected) = self.check(ask) {
                    self.bulk(ask).expect("it ends");
                    assert_eq!(self.scan(), expected, "{ask:?}");
                }
            }
            Step::Reopen => {
                self.engine = None;
                let store = self.directory.path().join("store");
                self.engine = Some(Engine::open(&store, options(&self.world)).expect("the store opens"));
            }
        }
    }
}

fn options(world: &World) -> Options {
    Options {
        cache_lag_entries_min: world.cache_lag_entries_min,
        threads: world.threads,
        window_rows: world.window_rows,
        ..Options::default()
    }
}

/// Number, points, sums before and after, and the first of them: name, balance before and after.
type Told = (u64, String, String, String, Vec<(String, String, String)>);

fn told(count: &CountView) -> Told {
    let sample = |sample: &SampleView| {
        let names = [&sample.user_id, &sample.external_id, &sample.email, &sample.mobile];
        let name = names.into_iter().flatten().next().expect("a name").clone();
        (name, sample.balance_before.clone(), sample.balance_after.clone())
    };
    let CountView { customers, points, balance_before, balance_after, .. } = count;
    let sample = count.sample.iter().map(sample).collect();
    (*customers, points.clone(), balance_before.clone(), balance_after.clone(), sample)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn a_filter_means_whom_a_full_scan_of_the_exports_means(world in world()) {
        let steps = world.steps.clone();
        let mut running = Running::new(world);
        for (step, ask) in &steps {
            running.step(step);
            // The first look of a process reads pages as it needs them, a second keeps them in memory.
            running.check(ask);
            running.check(ask);
            running.day += 3;
        }
        let verified = running.engine().verify().expect("a store that can be read");
        prop_assert!(verified.ok, "{:#?}", verified.problems);
    }
}
