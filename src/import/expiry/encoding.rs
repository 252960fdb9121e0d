//! What was applied becomes pages, lines of the processed report, and stored forms of the rejected rows.

use super::{ExpiryBatch, ExpiryRules, Row};
use crate::{
    domain::{id::JobId, outcome::Status, rejection::Rejection},
    error::Result,
    import::{
        format::ColumnField,
        rows::{Cells, Fault, is_blank, noted},
        sheet::bad_cell,
    },
    ledger::account_book::encode_entries,
    report::{cell::write_cell, digits::Piece},
    store::jobs::RejectedRow,
};

/// Why lots were left, in the order of [`Row::left`].
const REASONS: [&str; 4] = ["expiry_not_earlier", "expiry_not_later", "expiry_invalid", "promised"];

impl ExpiryRules {
    /// Encodes what was applied: ledger pages, the processed report, rejected rows. Runs on any thread.
    ///
    /// # Errors
    /// Never; a stage of the pipeline returns a result.
    pub fn encode(&self, batch: &mut ExpiryBatch) -> Result<()> {
        encode_entries(batch.first_sequence, self.job, self.now, &batch.entries, &mut batch.output);
        self.report(batch);
        Ok(())
    }

    fn report(&self, batch: &mut ExpiryBatch) {
        let ExpiryBatch { chunk, records, rows, faults, scratch, output, first_line, .. } = batch;
        let is_dry = self.job == JobId(0);
        let mut faults = faults.iter().peekable();
        let mut message = String::new();
        for (at, (record, row)) in records.records.iter().zip(rows.iter()).enumerate() {
            let line = *first_line + u64::from(record.line);
            let found = faults.next_if(|(row, _)| *row as usize == at).map(|(_, fault)| fault);
            let late;
            let fault = match (found, row.rejection) {
                (None, Some(rejection)) => {
                    let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
                    let owner = self.naming.fault(rejection, cells, scratch);
                    late = owner.unwrap_or_else(|| self.late_fault(rejection, row));
                    Some(&late)
                }
                (found, _) => found,
            };
            if let Some(fault) = fault {
                let raw = record.raw(&chunk.bytes);
                let (rejection, column, message) = (fault.rejection, fault.column, fault.message.as_str());
                let is_split = record.is_split(self.dialect);
                RejectedRow::put(line, rejection, is_split, column, message, raw, &mut output.rejects);
                output.reject_ends.push(output.rejects.len());
            }
            if !self.processed {
                continue;
            }
            let out = &mut output.processed;
            let mut head = Piece::new();
            head.byte(b',');
            head.number(line);
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(row.status.word().as_bytes());
            out.push(b',');
            match fault {
                Some(fault) => {
                    out.extend_from_slice(fault.rejection.code().as_bytes());
                    out.push(b',');
                    write_cell(noted(is_dry, &fault.message).as_bytes(), out);
                }
                None => {
                    out.push(b',');
                    message.clear();
                    put_story(row, &mut message);
                    write_cell(noted(is_dry, &message).as_bytes(), out);
                }
            }
            out.push(b',');
            let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
            for &(_, column) in &self.naming.identifiers {
                let cell = cells.get(column, scratch);
                if !is_blank(cell) && record.is_split(self.dialect) {
                    write_cell(if record.problem.is_none() { cell } else { bad_cell::shown(cell) }, out);
                    break;
                }
            }
            let mut tail = Piece::new();
            tail.byte(b'\n');
            if row.has_balance {
                tail.amount(row.balance, self.decimals);
            }
            tail.byte(b',');
            if row.status != Status::Rejected {
                tail.amount(row.amount, self.decimals);
            }
            tail.byte(b',');
            out.extend_from_slice(tail.as_bytes());
        }
    }

    /// The story of a row whose lots were all refused.
    fn late_fault(&self, rejection: Rejection, row: &Row) -> Fault {
        let (end, why) = match rejection {
            Rejection::ExpiryNotEarlier => ("expire earlier", "early only brings a last day forward"),
            Rejection::ExpiryNotLater => ("expire later", "extended only pushes a last day back"),
            _ => ("have a last day", "it is beyond the year 9999"),
        };
        let mut message = match row.left[..3].iter().map(|&count| u32::from(count)).sum::<u32>() {
            1 => format!("the matching lot would not {end}: {why}"),
            count => format!("none of the {count} matching lots would {end}: {why}"),
        };
        if row.left[..3].iter().filter(|&&count| count > 0).count() > 1 || row.left[3] > 0 {
            message.push_str("; ");
            put_left(row, &mut message);
        }
        let has_value = self.fields.is_own && self.fields.value.is_some();
        let column = if has_value { ColumnField::ExpiryValue.name() } else { "" };
        Fault { rejection, column, message }
    }
}

/// What became of the lots of a row, in words: `2 lots changed, 1 left: expiry_not_later`.
fn put_story(row: &Row, out: &mut String) {
    use std::fmt::Write;
    let lots = |count: u32| if count == 1 { "lot" } else { "lots" };
    let left: u32 = row.left.iter().map(|&count| u32::from(count)).sum();
    // Writing to a string cannot fail.
    let _ = match (row.lots_moved, row.lots_expired, left) {
        (0, 0, 0) => out.write_str("no matching lot"),
        (0, 0, _) => out.write_str("no lot changed"),
        (moved, 0, _) => write!(out, "{moved} {} changed", lots(moved)),
        (0, expired, _) => write!(out, "{expired} {} expired at once", lots(expired)),
        (moved, expired, _) => write!(out, "{moved} {} changed, {expired} expired at once", lots(moved)),
    };
    if left > 0 {
        out.push_str(", ");
        put_left(row, out);
    }
}

/// How many lots were left, and why: `1 left: promised`, `3 left: 2 expiry_not_later, 1 promised`.
fn put_left(row: &Row, out: &mut String) {
    use std::fmt::Write;
    let left: u32 = row.left.iter().map(|&count| u32::from(count)).sum();
    let reasons = row.left.iter().zip(REASONS).filter(|(count, _)| **count > 0);
    let is_only = reasons.clone().count() == 1;
    let _ = write!(out, "{left} left: ");
    for (at, (count, reason)) in reasons.enumerate() {
        let between = if at == 0 { "" } else { ", " };
        let _ = if is_only { write!(out, "{reason}") } else { write!(out, "{between}{count} {reason}") };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{expiry::ExpiryChanged, lot::Expired};

    #[test]
    fn a_row_says_how_many_lots_changed_and_why_others_were_left() {
        let none = ExpiryChanged::default();
        let expired = Expired { available: 30, promised: 5 };
        for (changed, expected) in [
            (none, "unchanged: no matching lot (0)"),
            (ExpiryChanged { lots_moved: 1, points_moved: 100, ..none }, "applied: 1 lot changed (100)"),
            (
                ExpiryChanged { lots_moved: 2, points_moved: 150, not_later: 1, ..none },
                "applied: 2 lots changed, 1 left: expiry_not_later (150)",
            ),
            (
                ExpiryChanged { lots_moved: 1, points_moved: 9, not_later: 2, promised_left: 1, ..none },
                "applied: 1 lot changed, 3 left: 2 expiry_not_later, 1 promised (9)",
            ),
            (ExpiryChanged { promised_left: 2, ..none }, "unchanged: no lot changed, 2 left: promised (0)"),
            (
                ExpiryChanged { lots_expired: 2, expired_now: expired, promised_left: 1, ..none },
                "applied: 2 lots expired at once, 1 left: promised (-35)",
            ),
            (ExpiryChanged { not_later: 70_000, ..none }, "rejected: no lot changed, 65535 left: expiry_not_later (0)"),
        ] {
            let (mut row, mut story) = (Row::NEW, String::new());
            row.set(&changed);
            put_story(&row, &mut story);
            assert_eq!(format!("{}: {story} ({})", row.status.word(), row.amount), expected);
        }
    }
}
