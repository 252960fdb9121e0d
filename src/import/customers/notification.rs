//! Events that tell a host's messaging whom a customer file credited: a JSON object a line.
//!
//! An event has an id that is the same however often the job is resumed, so whoever delivers it can leave out one that was
//! delivered before.

use serde::Serialize;

use super::{CustomersBatch, CustomersRules};
use crate::{
    domain::{
        customer::Presence,
        id::{CustomerId, JobId, ProgramId},
        identifier::IdentifierKind,
        outcome::Status,
    },
    report::amount::amount_text,
    store::customer_page::read_change,
};

/// One event.
#[derive(Serialize)]
struct Notification<'a> {
    id: String,
    event: &'static str,
    job: u32,
    line: u64,
    time: String,
    customer: Recipient<'a>,
    program: &'a str,
    amount: String,
    balance: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
}

/// What each line of a job's events begins with.
pub fn notification_start(job: JobId) -> String {
    format!("{{\"id\":\"{job}-")
}

/// Whom it is for: those of the row's identifiers that are this customer's.
#[derive(Serialize)]
struct Recipient<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mobile: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cards: Vec<&'a str>,
}

impl CustomersRules {
    /// Appends an event for each credit of a batch: what a row credits, and the opening balance of a customer that it creates.
    pub(super) fn notify(&self, batch: &mut CustomersBatch) {
        let CustomersBatch { records, rows, credits, bodies, output, first_line, .. } = batch;
        for (at, (record, row)) in records.records.iter().zip(rows.iter()).enumerate() {
            if row.status == Status::Rejected || row.customer == CustomerId::NONE {
                continue;
            }
            let opening = (row.status == Status::Created && row.balance > 0).then_some((
                "-opening",
                self.program,
                row.balance,
                row.balance,
                None,
            ));
            // A customer that the row creates has all that it names.
            let all = Presence(u8::MAX);
            let credit = credits.get(at).filter(|credit| credit.amount > 0);
            let credit = credit.and_then(|credit| {
                let credited = ("", credit.program?, credit.amount, credit.balance_after?, credit.expires_on);
                Some((credited, credit.own))
            });
            if opening.is_none() && credit.is_none() {
                continue;
            }
            let Some(said) = read_change(&bodies[row.body.0 as usize..row.body.1 as usize]) else { continue };
            let line = *first_line + u64::from(record.line);
            let opening = opening.map(|credited| (credited, all));
            for ((suffix, program, amount, balance, expires_on), own) in opening.into_iter().chain(credit) {
                let single = |kind| said.single(kind).filter(|_| own.has(Presence::of_kind(kind)));
                let text = |amount: i64| amount_text(i128::from(amount), self.decimals_of(program));
                let notification = Notification {
                    id: format!("{}-{line}{suffix}", self.job),
                    event: "points_credited",
                    job: self.job.0,
                    line,
                    time: self.now.to_string(),
                    customer: Recipient {
                        user_id: single(IdentifierKind::UserId),
                        external_id: single(IdentifierKind::ExternalId),
                        email: single(IdentifierKind::Email),
                        mobile: single(IdentifierKind::Mobile),
                        cards: said.cards.clone(),
                    },
                    program: self.code_of(program),
                    amount: text(amount),
                    balance: text(balance),
                    expires_on: expires_on.map(|day| day.to_string()),
                    comment: self.comment.as_deref(),
                };
                if serde_json::to_writer(&mut output.notifications, &notification).is_ok() {
                    output.notifications.push(b'\n');
                }
            }
        }
    }

    fn code_of(&self, program: ProgramId) -> &str {
        self.programs.get(usize::from(program.0)).map_or("", |program| program.code.as_str())
    }
}
