//! Files that give points another last day, and which promises are kept.

use proptest::{prelude::*, sample::select};

use super::{
    super::model::{
        calendar::{Day, Moment, day_text},
        expiry::{Change, ExpiryOptions, Picks, Set},
        points::Format,
    },
    WorkPlan,
    cells::{self, TIDEMILL, TIDEMILL_NAMES},
    plan, points_plan,
    written::FilePlan,
};

/// Columns of a file whose rows say what they ask for.
const REFERENCE: [&str; 12] = [
    "user_id",
    "external_id",
    "email",
    "mobile",
    "card",
    "ref_type",
    "ref_id",
    "expiry_type",
    "expiry_unit",
    "expiry_value",
    "expiry_change",
    "reason",
];
/// The places of these.
const TYPE: usize = 7;
const CHANGE: usize = 10;

impl ExpiryOptions {
    /// What the command line says for them.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = match &self.picks {
            Picks::Range(from, to) => {
                vec!["date-range".to_owned(), "--from".to_owned(), day_text(*from), "--to".to_owned(), day_text(*to)]
            }
            Picks::Reference(..) => vec!["reference".to_owned()],
            Picks::Promotion(id) => vec!["promotion".to_owned(), format!("--promotion={id}")],
        };
        arguments.insert(0, "--profile".to_owned());
        arguments.extend(self.change.map(|change| format!("--change={change:?}").to_lowercase()));
        arguments.extend(self.set.map(|set| match set {
            Set::Fixed(day) => format!("--set=fixed:{}", day_text(day)),
            Set::Days(days) => format!("--set=relative:{days}days"),
            Set::Months(months) => format!("--set=relative:{months}months"),
            Set::Immediate => "--set=immediate".to_owned(),
        }));
        arguments.extend(self.include_promised.then(|| "--include-promised".to_owned()));
        arguments
    }
}

/// The options of a job at this moment: a fixed day is planned as days from it.
pub fn after(options: ExpiryOptions, now: Moment) -> ExpiryOptions {
    let set = options.set.map(|set| match set {
        Set::Fixed(days) => Set::Fixed(now / 86_400 + days),
        other => other,
    });
    ExpiryOptions { set, ..options }
}

/// A file of 1 to `rows_max` rows, of each profile.
pub(super) fn any_file(base: Day, rows_max: usize) -> impl Strategy<Value = WorkPlan> {
    let set = prop_oneof![
        // In any zone after today.
        3 => (2..100_i64).prop_map(Set::Fixed),
        3 => days().prop_map(Set::Days),
        3 => months(base).prop_map(Set::Months),
        1 => Just(Set::Immediate),
    ];
    let change = || select(vec![Change::Early, Change::Extended]);
    // Points that expire at once are not valid longer.
    let pair = (change(), set).prop_map(|(change, set)| match set {
        Set::Immediate => (Change::Early, set),
        set => (change, set),
    });
    let range = (0..70_i64, 0..40_i64).prop_map(move |(from, days)| Picks::Range(base + from, base + from + days));
    let picks = prop_oneof![
        3 => range,
        5 => Just(Picks::Reference(String::new(), String::new())),
        2 => promotion().prop_map(Picks::Promotion),
    ];
    let is_said = || prop::bool::weighted(0.7);
    let kept = prop::collection::vec(prop::bool::weighted(0.8), REFERENCE.len());
    (picks, pair, [is_said(), is_said()], any::<bool>(), kept).prop_flat_map(
        move |(picks, (change, set), [says_change, says_set], include_promised, kept)| {
            let mut options = ExpiryOptions { picks, change: Some(change), set: Some(set), include_promised };
            if !options.is_of_rows() {
                let names = plan(&REFERENCE[..TIDEMILL_NAMES], cells::any_names(), rows_max);
                return names.prop_map(move |plan| WorkPlan::Expiry(plan, options.clone())).boxed();
            }
            options.change = options.change.filter(|_| says_change);
            options.set = options.set.filter(|_| says_set);
            let rows = (cells::any_names(), cells::reference(), expiry(base), any_change(), cells::text()).prop_map(
                |(mut cells, reference, expiry, change, note)| {
                    cells.extend(reference.into_iter().take(2));
                    cells.extend(expiry);
                    cells.extend([change.to_owned(), note]);
                    cells
                },
            );
            plan(&REFERENCE, rows, rows_max)
                .prop_map(move |mut plan| {
                    plan.order.retain(|&at| match at {
                        2 => true,
                        TYPE => options.set.is_none() || kept[at],
                        CHANGE => options.change.is_none() || kept[at],
                        at => kept[at],
                    });
                    WorkPlan::Expiry(plan, options.clone())
                })
                .boxed()
        },
    )
}

/// A file of promises, every fourth row aside.
pub fn promises(base: Day, rows_max: usize) -> impl Strategy<Value = FilePlan> {
    points_plan(Format::Tidemill(None), base, rows_max).prop_map(|mut plan| {
        for row in plan.rows.iter_mut().enumerate().filter(|(at, _)| at % 4 < 3).map(|(_, row)| row) {
            for (column, cell) in [("operation", "CR"), ("program", ""), ("promised", "yes")] {
                let at = TIDEMILL.iter().position(|known| *known == column).expect("one of its columns");
                row.cells[at] = cell.to_owned();
            }
        }
        plan
    })
}

/// Which promises are kept.
pub fn any_promise() -> impl Strategy<Value = Picks> {
    let id = prop_oneof![6 => Just(String::new()), 1 => select(vec!["10045", "7"]).prop_map(str::to_owned)];
    prop_oneof![
        6 => (select(vec!["order", "order", "order", "order", "order", "Order", "none"]), id)
            .prop_map(|(kind, id)| Picks::Reference(kind.to_owned(), id)),
        2 => promotion().prop_map(Picks::Promotion),
    ]
}

fn promotion() -> impl Strategy<Value = String> {
    select(vec!["SPRING", "SPRING", "=1+1", "none"]).prop_map(str::to_owned)
}

/// The last days of lots lie 30 to 70 days behind the base, and jobs up to 40.
fn days() -> impl Strategy<Value = i64> {
    prop_oneof![9 => 1..70_i64, 1 => select(vec![1, 4_294_967_295])]
}

/// Few where many, one after the other, would reach the years of the clock.
fn months(base: Day) -> impl Strategy<Value = i64> {
    let is_before_them = day_text(base).as_str() < "2010";
    let many = if is_before_them { vec![1, 100_000] } else { vec![12, 24, 48, 100_000] };
    prop_oneof![9 => 1..4_i64, 2 => select(many)]
}

/// Type, unit and value of a last day.
fn expiry(base: Day) -> impl Strategy<Value = [String; 3]> {
    let date = prop_oneof![
        12 => (20..120_i64).prop_map(move |days| day_text(base + days)),
        1 => (20..120_i64).prop_map(move |days| format!("{}T23:00:00-02:00", day_text(base + days))),
        1 => select(vec!["", "2096-02-30", "2004-01-01", "9999-12-31", "soon"]).prop_map(str::to_owned),
    ];
    let counted = prop_oneof![
        8 => (days(), select(vec!["days", "day", "Days"])),
        8 => (months(base), select(vec!["months", "Month"])),
        1 => (days(), select(vec!["", "years"])),
    ];
    let value = (counted, 0..40_u32).prop_map(|((count, unit), fault)| match fault {
        0 => (unit, String::new()),
        1 => (unit, "0".to_owned()),
        2 => (unit, format!("-{count}")),
        3 => (unit, "4294967296".to_owned()),
        4 => (unit, format!("{count}.5")),
        5..10 => (unit, format!("{count}.0")),
        _ => (unit, format!(" {count} ")),
    });
    let fixed = (select(vec!["fixed", "Fixed date", "FIXED"]), date);
    let relative = (select(vec!["relative", "Relative date expiry"]), value);
    prop_oneof![
        4 => Just(["", "", ""].map(str::to_owned)),
        8 => fixed.prop_map(|(word, date)| [word.to_owned(), String::new(), date]),
        10 => relative.prop_map(|(word, (unit, value))| [word.to_owned(), unit.to_owned(), value]),
        3 => Just(["immediate", "", ""].map(str::to_owned)),
        1 => select(vec![["immediate", "days", "5"], ["", "days", "5"], ["sometime", "", "5"], ["", "", "5"]])
            .prop_map(|cells| cells.map(str::to_owned)),
    ]
}

fn any_change() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        30 => select(vec!["", "early", "Early expiry", "extended", "Extend_Expiry", "Extended expiry"]),
        1 => Just("sideways"),
    ]
}
