//! A file whose job has adjustments come between its rows.

use proptest::{prelude::*, sample::select};

use super::{
    super::model::{
        account::Wanted,
        calendar::{Day, Moment},
        points::{Format, OnOverdraft},
    },
    Dry, PROGRAMS, Sent, Step, StepPlan, WorkPlan, World, any_circumstances, bases, customers_plan, points_options,
    points_plan, steps,
};

/// A store with some history, a job, and what comes meanwhile.
#[derive(Clone, Debug)]
pub struct LiveWorld {
    /// What was before.
    pub world: World,
    /// An import of points.
    pub step: Step,
    /// After how many durable rows it is stopped, and gone on with.
    pub stop: Option<u64>,
    /// What each of some threads does, one after the other.
    pub adjustments: Vec<Vec<Adjustment>>,
}

/// One customer's adjustment.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// An e-mail, of a customer who may not be known.
    pub email: String,
    pub wanted: Wanted,
    pub days_of_validity: Option<u32>,
    pub on_overdraft: OnOverdraft,
    pub now: Moment,
    /// Place in [`PROGRAMS`].
    pub program: usize,
}

/// Rows of the job that are there at least.
pub const LIVE_ROWS_MIN: usize = 100;

/// Histories of a customers file and a points file, a job of at least [`LIVE_ROWS_MIN`] rows, and some threads.
pub fn live_world() -> impl Strategy<Value = LiveWorld> {
    bases().prop_flat_map(|(base, zone, decimals)| {
        let points = |rows_max: usize| {
            let options = points_options().prop_filter("nearly all others name no program", |options| {
                matches!(options.format, Format::Tidemill(_) | Format::NectorExpiry)
            });
            let plan = options.prop_flat_map(move |options| {
                points_plan(options.format, base, rows_max)
                    .prop_map(move |plan| WorkPlan::Points(plan, options, Sent::New))
            });
            (plan, any_circumstances(base)).prop_map(|(work, rest)| StepPlan { work, dry: Dry::No, ..rest })
        };
        let customers = (customers_plan(base, 60), any_circumstances(base)).prop_map(|(work, rest)| StepPlan {
            work,
            dry: Dry::No,
            ..rest
        });
        let long = points(250).prop_filter("the job must last", |plan| match &plan.work {
            WorkPlan::Points(plan, ..) => plan.rows.len() >= LIVE_ROWS_MIN,
            _ => false,
        });
        let stop = prop_oneof![Just(None), (40..100_u64).prop_map(Some)];
        let adjustments = prop::collection::vec(prop::collection::vec(adjustment(base), 1..8), 1..4);
        (customers, points(60), long, stop, adjustments).prop_map(
            move |(customers, points, long, stop, adjustments)| {
                let mut steps = steps([customers, points, long].into_iter());
                let step = steps.pop().expect("three steps");
                LiveWorld { world: World { zone, decimals, steps }, step, stop, adjustments }
            },
        )
    })
}

fn adjustment(base: Day) -> impl Strategy<Value = Adjustment> {
    let points = 0..300_i64;
    let wanted = prop_oneof![
        2 => points.clone().prop_map(Wanted::Credit),
        3 => points.clone().prop_map(Wanted::Debit),
        1 => points.clone().prop_map(Wanted::Set),
        1 => points.prop_map(Wanted::Promise),
    ];
    (
        0..12_u32,
        wanted,
        prop_oneof![Just(None), (1..20_u32).prop_map(Some)],
        select(vec![OnOverdraft::Reject, OnOverdraft::Clamp, OnOverdraft::Allow]),
        0..=40_i64,
        prop_oneof![4 => Just(1), 1 => 0..PROGRAMS.len()],
    )
        .prop_map(move |(person, wanted, days, on_overdraft, day, program)| {
            let now = (base + day) * 86_400 + 43_200;
            // Points that are taken have no last day, and are refused with one.
            let days_of_validity = days.filter(|_| !matches!(wanted, Wanted::Debit(_)));
            Adjustment { email: format!("c{person}@example.com"), wanted, days_of_validity, on_overdraft, now, program }
        })
}
