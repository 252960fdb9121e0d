//! What random worlds are like.

use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    super::model::{Model, Report, calendar},
    CLOCK_YEARS, Dry, Work, World, job_before, world,
};

proptest! {
    #[test]
    fn the_points_of_every_job_add_up(world in world(30)) {
        for report in run(&world).1 {
            for sums in report.programs {
                prop_assert_eq!(sums.after - sums.before, sums.credited - sums.debited - sums.expired);
                for file in [sums.credits, sums.debits] {
                    let told = file.applied + file.rejected + file.unchanged + file.not_taken + file.not_credited;
                    prop_assert_eq!(file.in_file, told);
                }
            }
        }
    }
}

#[test]
fn random_worlds_meet_every_status_code_and_kind() {
    let mut runner = TestRunner::deterministic();
    let (mut words, mut kinds, mut rows, mut good) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
    let (mut known, mut ignored) = (0, 0_usize);
    for _ in 0..300 {
        let world = world(30).new_tree(&mut runner).expect("nothing is filtered").current();
        let (model, reports) = run(&world);
        kinds.extend(model.ledger.iter().map(|entry| entry.kind));
        let days = model.ledger.iter().filter_map(|entry| entry.expires_on);
        for day in days.chain(world.steps.iter().map(|step| calendar::day_of(step.now, 0))) {
            let year = calendar::day_text(day)[..4].parse().expect("a year");
            assert!(!CLOCK_YEARS.contains(&year), "{year}");
        }
        for report in reports {
            words.extend(report.statuses().into_keys().chain(report.codes().into_keys()));
            rows += report.answers.len();
            good += report.answers.iter().filter(|answer| answer.status != "rejected").count();
            known += report.answers.iter().filter(|answer| answer.is_known).count();
            ignored += usize::try_from(report.expiries_ignored).expect("a few rows");
        }
    }
    let expected = BTreeSet::from([
        "amount_invalid",
        "amount_missing",
        "amount_precision",
        "amount_range",
        "applied",
        "balance_overflow",
        "created",
        "currency_unknown",
        "encoding_invalid",
        "expiry_invalid",
        "expiry_not_earlier",
        "expiry_not_later",
        "field_invalid",
        "identifier_conflict",
        "identifier_invalid",
        "identifier_missing",
        "identifier_taken",
        "identifier_unknown",
        "insufficient_balance",
        "operation_invalid",
        "program_unknown",
        "rejected",
        "repeated_customer",
        "row_id_conflict",
        "row_malformed",
        "unchanged",
        "updated",
    ]);
    assert_eq!(words, expected);
    assert_eq!(
        kinds,
        BTreeSet::from([
            "convert",
            "credit",
            "debit",
            "expire",
            "expiry_change",
            "promise",
            "promise_expire",
            "promise_reversal",
            "reset",
            "reversal",
        ])
    );
    assert!(good * 10 > rows * 4 && good * 10 < rows * 8, "{good} of {rows} rows are good");
    assert!(known * 200 > rows && ignored * 200 > rows, "of {rows} rows {known} are known, {ignored} have a last day");
}

fn run(world: &World) -> (Model, Vec<Report>) {
    let mut model = world.model();
    let steps = world.steps.iter().zip(1..).filter(|(step, _)| step.dry != Dry::Only);
    let reports = steps.map(|(step, number)| match &step.work {
        Work::Customers(written, options) => model.import_customers(&written.file, options, &step.job(number)),
        Work::Points(written, options) => model.import_points(&written.file, options, &step.job(number)),
        Work::Expiry(written, options) => model.import_expiry(&written.file, options, &step.job(number)),
        Work::Convert(picks) => model.convert(picks, &step.job(number)),
        Work::Expire { as_of, program } => {
            let today = calendar::day_of(step.now, world.zone.1);
            model.expire(as_of.unwrap_or(today), *program, &step.job(number))
        }
        Work::Undo { back, on_spent } => {
            let undone = model.undo(job_before(number - 1, *back), *on_spent, &step.job(number));
            undone.unwrap_or_else(|code| Report { refused: Some(code), ..Report::default() })
        }
    });
    let reports = reports.collect();
    (model, reports)
}
