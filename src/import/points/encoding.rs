//! What was applied becomes pages, lines of the processed report, and stored forms of the rejected rows.

use super::{PointsBatch, PointsRules, Row};
use crate::{
    domain::{id::JobId, outcome::Status, points::write_amount, rejection::Rejection},
    error::Result,
    import::{
        rows::{Cells, Fault, filled_identifiers, is_blank, noted, owner_fault},
        sheet::bad_cell,
    },
    ledger::account_book::encode_entries,
    report::{cell::write_cell, digits::Piece},
    store::{
        customer_page::{CustomerPageWriter, RECORDS_MAX},
        jobs::RejectedRow,
        key::LogKey,
    },
};

impl PointsRules {
    /// Encodes what was applied: ledger pages, the processed report, rejected rows. Runs on any thread.
    ///
    /// # Errors
    /// Never; a stage of the pipeline returns a result.
    pub fn encode(&self, batch: &mut PointsBatch) -> Result<()> {
        for page in batch.records_created.chunks(RECORDS_MAX) {
            batch.output.page(|out| {
                let first = page.first().map_or(0, |(record, ..)| *record);
                let mut writer = CustomerPageWriter::begin(first, self.job, self.now, out);
                for (_, customer, body) in page {
                    writer.push(*customer, None, &batch.bodies[body.clone()]);
                }
                LogKey::Customers(writer.end())
            });
        }
        encode_entries(batch.first_sequence, self.job, self.now, &batch.entries, &mut batch.output);
        self.report(batch);
        Ok(())
    }

    fn report(&self, batch: &mut PointsBatch) {
        let PointsBatch { chunk, records, rows, faults, scratch, normalized, output, first_line, .. } = batch;
        let is_dry = self.job == JobId(0);
        let mut faults = faults.iter().peekable();
        for (at, (record, row)) in records.records.iter().zip(rows.iter()).enumerate() {
            let line = *first_line + u64::from(record.line);
            let found = faults.next_if(|(row, _)| *row as usize == at).map(|(_, fault)| fault);
            let late;
            let fault = match (found, row.rejection) {
                (None, Some(rejection)) => {
                    let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
                    late = if row.is_over {
                        // What the file alone tells, as of a row without an id.
                        self.refused(record, cells, scratch, normalized).1
                    } else {
                        let filled = filled_identifiers(&self.fields.identifiers, cells, scratch);
                        owner_fault(rejection, &filled).unwrap_or_else(|| self.late_fault(rejection, row))
                    };
                    Some(&late)
                }
                (found, _) => found,
            };
            if let Some(fault) = fault {
                let raw = record.raw(&chunk.bytes);
                let (column, message) = (fault.column, fault.message.as_str());
                RejectedRow::put(
                    line,
                    fault.rejection,
                    record.is_split(self.dialect),
                    column,
                    message,
                    raw,
                    &mut output.rejects,
                );
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
            match fault {
                Some(fault) => {
                    out.extend_from_slice(b"rejected,");
                    out.extend_from_slice(fault.rejection.code().as_bytes());
                    out.push(b',');
                    write_cell(noted(is_dry, &fault.message).as_bytes(), out);
                    out.push(b',');
                }
                None if row.is_known => {
                    out.extend_from_slice(row.status.word().as_bytes());
                    out.extend_from_slice(if is_dry { b",,dry run: " } else { b",," });
                    out.extend_from_slice(b"this row id was applied before,");
                }
                None if row.not_taken != 0 || row.is_expiry_ignored => {
                    out.extend_from_slice(row.status.word().as_bytes());
                    out.extend_from_slice(if is_dry { b",,dry run: " } else { b",," });
                    if row.not_taken != 0 {
                        out.extend_from_slice(b"took what was there: ");
                        write_amount(row.not_taken, self.decimals_of(row.program), out);
                        out.extend_from_slice(b" not taken");
                    }
                    if row.is_expiry_ignored {
                        out.extend_from_slice(if row.not_taken != 0 { b"; " } else { b"" });
                        out.extend_from_slice(b"expiry ignored: points are taken");
                    }
                    out.push(b',');
                }
                None if is_dry => {
                    out.extend_from_slice(row.status.word().as_bytes());
                    out.extend_from_slice(b",,dry run,");
                }
                None if row.status == Status::Applied => out.extend_from_slice(b"applied,,,"),
                None => {
                    out.extend_from_slice(row.status.word().as_bytes());
                    out.extend_from_slice(b",,,");
                }
            }
            let cells = Cells::of(&chunk.bytes, None, records, record, self.dialect);
            for &(_, column) in &self.fields.identifiers {
                let cell = cells.get(column, scratch);
                if is_blank(cell) {
                    continue;
                }
                if record.problem.is_none() {
                    write_cell(cell, out);
                    break;
                }
                if record.is_split(self.dialect) {
                    write_cell(bad_cell::shown(cell), out);
                    break;
                }
            }
            let mut tail = Piece::new();
            tail.byte(b'\n');
            if row.has_balance {
                tail.amount(row.balance, self.decimals_of(row.program));
            }
            tail.byte(b',');
            if row.status != Status::Rejected {
                tail.amount(row.amount, self.decimals_of(row.program));
            }
            tail.byte(b',');
            out.extend_from_slice(tail.as_bytes());
        }
    }

    /// The story of a row that only the customer's account could refuse.
    fn late_fault(&self, rejection: Rejection, row: &Row) -> Fault {
        let text = |amount: i64| {
            let mut out = Vec::new();
            write_amount(amount, self.decimals_of(row.program), &mut out);
            String::from_utf8(out).unwrap_or_default()
        };
        let (column, message) = match rejection {
            Rejection::InsufficientBalance => {
                ("amount", format!("the balance of {} does not cover {}", text(row.balance), text(row.amount)))
            }
            Rejection::BalanceOverflow => {
                ("amount", format!("the balance of {} cannot take in {}", text(row.balance), text(row.amount)))
            }
            Rejection::RepeatedCustomer => {
                ("amount", format!("an earlier row set this customer to another amount than {}", text(row.amount)))
            }
            Rejection::RowIdConflict => {
                ("row_id", "this row id was applied before, to this customer with other content".to_owned())
            }
            other => ("", other.code().replace('_', " ")),
        };
        Fault { rejection, column, message }
    }
}
