//! What a caller expects of a job, compared with what a dry pass counted.

use super::request::{JobRequest, MaxRejects};
use crate::{
    domain::{
        id::ProgramId,
        job::Counts,
        points::{NumberStyle, parse_amount},
        program::{PROGRAM_DECIMALS_MAX, Program},
    },
    error::{Error, ErrorKind, Result},
    report::amount::amount_text,
};

/// Compares what a dry pass counted with what the caller expects.
pub(super) fn check(program: &Program, programs: &[Program], request: &JobRequest, counts: &Counts) -> Result<()> {
    let refused = |code, message: String| {
        Err(Error::refused(code, message)
            .hint("nothing was changed; look with `--dry-run --processed FILE`, then correct file or expectation"))
    };
    if let Some(rows) = request.expect_rows.filter(|&rows| rows != counts.read) {
        return refused("expect_rows", format!("the file has {} rows, {rows} were expected", counts.read));
    }
    if let Some(expected) = &request.expect_total {
        // Rows may name programs with other decimals than the job's, so all are compared in the finest.
        let decimals_of = |id: Option<ProgramId>| {
            id.map_or(program.decimals, |id| programs.get(usize::from(id.0)).map_or(0, |program| program.decimals))
        };
        let total = counts.amounts_total(decimals_of);
        let decimals = if counts.other_programs.is_empty() { program.decimals } else { PROGRAM_DECIMALS_MAX };
        let wanted = parse_amount(expected, decimals, NumberStyle::PLAIN).map_err(|problem| {
            Error::new(ErrorKind::Usage, "usage", format!("`--expect-total {expected}` {}", problem.message()))
        })?;
        let unit = 10_i128.pow(u32::from(PROGRAM_DECIMALS_MAX - decimals.min(PROGRAM_DECIMALS_MAX)));
        if i128::from(wanted) * unit != total {
            let found = amount_text(total / unit, decimals);
            return refused("expect_total", format!("the file's amounts sum up to {found}, {expected} was expected"));
        }
    }
    match request.max_rejects {
        Some(MaxRejects::Rows(max)) if counts.rejected > max => {
            refused("max_rejects", format!("{} rows would be rejected, at most {max} were allowed", counts.rejected))
        }
        Some(MaxRejects::Percent(max)) if counts.rejected * 100 > counts.read * u64::from(max) => refused(
            "max_rejects",
            format!("{} of {} rows would be rejected, at most {max} % were allowed", counts.rejected, counts.read),
        ),
        _ => Ok(()),
    }
}
