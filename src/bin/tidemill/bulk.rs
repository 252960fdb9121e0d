//! `tidemill bulk`.

use tidemill::{
    engine::view::{CountView, ExplainView},
    error::Result,
};

use crate::{
    args::BulkCommand,
    exit::Exit,
    import::{is_stdin, told},
    settings::Settings,
    text::{
        Side::{Left, Right},
        counted, grouped, table,
    },
    watch::{note_rebuilt, watched},
};

/// `tidemill bulk credit`, `debit` and `reset`.
pub fn bulk(settings: &Settings, command: BulkCommand) -> Result<Exit> {
    let mut args = command.args();
    if args.counts {
        let view = watched(settings, |progress| {
            let engine = settings.open()?;
            if let Some(file) = args.request.selection.file.as_mut().filter(|file| is_stdin(file)) {
                file.spooled = Some(engine.spool(std::io::stdin(), progress)?);
            }
            let view = engine.bulk_count(&args.job, &args.request, progress);
            note_rebuilt(settings, &engine);
            view
        })?;
        settings.output.result(&view, || count_text(&view))?;
        return Ok(Exit::Done);
    }
    settings.tell.check(&args.job.notify)?;
    let (engine, summary) = watched(settings, |progress| {
        let engine = settings.open()?;
        if let Some(file) = args.request.selection.file.as_mut().filter(|file| is_stdin(file)) {
            file.spooled = Some(engine.spool(std::io::stdin(), progress)?);
        }
        let summary = engine.bulk(&args.job, &args.request, progress);
        note_rebuilt(settings, &engine);
        Ok((engine, summary?))
    })?;
    // Of whom nobody named there is no file to correct.
    let rejects = args.job.rejects.as_deref().filter(|_| args.request.selection.file.is_some());
    told(settings, &engine, &summary, rejects)
}

fn count_text(view: &CountView) -> String {
    let mut facts = vec![
        vec!["customers".to_owned(), grouped(view.customers)],
        vec!["points".to_owned(), format!("{}, program `{}`", grouped(&view.points), view.program)],
        vec![
            "balances".to_owned(),
            format!("from {} to {}, of these customers", grouped(&view.balance_before), grouped(&view.balance_after)),
        ],
    ];
    if view.refused > 0 {
        facts.push(vec![
            "refused".to_owned(),
            format!("{} of them, whose balance is too small or would be too large", grouped(view.refused)),
        ]);
    }
    for (code, count) in &view.rejects {
        let rows = counted(*count, "row", "rows");
        facts.push(vec!["rejected".to_owned(), format!("{rows} of the file: {}", code.replace('_', " "))]);
    }
    let mut text = format!("Nothing was changed\n{}", table("  ", &[Left, Left], &facts));
    if !view.sample.is_empty() {
        text += match view.sample.len() as u64 {
            shown if shown < view.customers => "\nThe first of them\n",
            _ => "\nThese are\n",
        };
        let row = |sample: &tidemill::engine::view::SampleView| {
            let names = [&sample.user_id, &sample.external_id, &sample.email, &sample.mobile, &sample.card];
            let name = names.into_iter().flatten().next().cloned().unwrap_or_default();
            vec![name, grouped(&sample.balance_before), "to".to_owned(), grouped(&sample.balance_after)]
        };
        let rows: Vec<_> = view.sample.iter().map(row).collect();
        text += &table("  ", &[Left, Right, Left, Right], &rows);
    }
    if let Some(explain) = &view.explain {
        text += &explain_text(explain);
    }
    text
}

fn explain_text(explain: &ExplainView) -> String {
    let head = ["condition", "pages empty", "skipped", "read", "values tested", "customers left"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(explain.conditions.iter().map(|condition| {
        let numbers = [
            condition.pages_empty,
            condition.pages_skipped,
            condition.pages_read,
            condition.rows_tested,
            condition.customers_left,
        ];
        std::iter::once(condition.condition.to_owned()).chain(numbers.map(grouped)).collect()
    }));
    let sides = [Left, Right, Right, Right, Right, Right];
    format!(
        "\nHow it was found, among {} on {}, in {:.1} ms\n{}",
        counted(explain.customers, "customer", "customers"),
        counted(explain.pages, "page", "pages"),
        explain.elapsed_ms,
        table("  ", &sides, &rows)
    )
}
