//! Files that change when points expire: what such a job is made of, and what it leaves.

use std::time::Instant;

use super::{
    Engine,
    parameters::{JobSettings, Parameters},
    reading::understood,
    reports::absolute,
    request::{ExpiryUpdateRequest, FileRequest, JobRequest},
    run::Run,
    tell::notify_of,
};
use crate::{
    clock,
    domain::{
        entry::EntryText,
        expiring::Expiring,
        expiry::LotSelector,
        expiry_terms::{ExpiryProfile, ExpiryTerms},
        id::{CustomerId, ProgramId},
        job::{ExpiringAfter, JobKind},
        reference::reference_hash,
        time::Date,
    },
    error::{Error, Result},
    import::{
        expiry::ExpiryColumns,
        format::{ColumnField, Kind, header_key},
        input::Layout,
    },
    job::progress::{Progress, Stage},
    report::{rejects::ADDED, summary::Summary},
    store::state::State,
};

impl Engine {
    /// Changes when points expire, of the customers that a file names.
    ///
    /// # Errors
    /// `Usage` when the terms contradict themselves or the file; else as `import_points`.
    pub fn import_expiry(
        &self,
        job: &JobRequest,
        request: &ExpiryUpdateRequest,
        progress: &Progress,
    ) -> Result<Summary> {
        let _listed = self.running.list(JobKind::ImportExpiry, request.file.path.clone(), progress);
        progress.set_stage(Stage::Preparing);
        self.expiry_run(job, request).and_then(|run| self.begin(run, job, progress))
    }

    /// What such a job is made of.
    pub(super) fn expiry_run(&self, job: &JobRequest, request: &ExpiryUpdateRequest) -> Result<Run> {
        let began = Instant::now();
        let now = job.now.unwrap_or_else(clock::now);
        let settings = JobSettings::of(&self.store, now);
        check_terms(&request.terms, settings.today)?;
        if job.expect_total.is_some() {
            return Err(Error::usage("`--expect-total` means nothing here: the file has no amounts")
                .hint("leave it out; `--expect-rows` tells whether the file is whole"));
        }
        let file = request.read_file();
        let (source, layout) = understood(&file, Some(Kind::Expiry))?;
        check_columns(&request.terms, &layout, &file)?;
        let (program_id, program) = self.program(job.program.as_deref())?;
        let comment = job.comment.clone().or_else(|| self.store.settings().default_comment);
        let reason = job.reason.clone();
        let parameters = Parameters {
            layout: Some(layout.clone()),
            comment,
            expiry: Some(request.terms.clone()),
            notify: notify_of(job)?,
            rejects: absolute(job.rejects.as_deref())?,
            processed: absolute(job.processed.as_deref())?,
            ..Parameters::of_kind(program_id, program.code.clone(), reason, settings)
        };
        let spooled = file.spooled;
        Ok(Run::new(JobKind::ImportExpiry, parameters, layout, source, program, now, began, spooled))
    }
}

/// Whether what the job says can be meant.
fn check_terms(terms: &ExpiryTerms, today: Date) -> Result<()> {
    match terms.contradiction(today) {
        Some((message, hint)) => Err(Error::usage(message).hint(format!("{hint}; nothing was changed"))),
        None => Ok(()),
    }
}

/// Whether the file says what its profile needs, and nothing that the profile would leave out.
fn check_columns(terms: &ExpiryTerms, layout: &Layout, file: &FileRequest) -> Result<()> {
    let columns = ExpiryColumns::of(&layout.mapping);
    if terms.profile != ExpiryProfile::Reference {
        if !columns.is_own {
            return Ok(());
        }
        let name = terms.profile.name();
        return Err(Error::usage(format!(
            "the profile `{name}` reads only whom its rows mean, and the file says more"
        ))
        .hint("take `--profile reference`, or leave the other columns out with `--map \"Header=ignore\"`"));
    }
    let needed = [
        (ColumnField::ExpiryType, columns.expiry_type.is_none() && terms.set.is_none(), "--set"),
        (ColumnField::ExpiryChange, columns.change.is_none() && terms.change.is_none(), "--change"),
    ];
    if let Some((field, _, flag)) = needed.iter().find(|(_, is_missing, _)| *is_missing) {
        return Err(Error::usage(format!("the file has no column for `{field}`, and there is no `{flag}` either"))
            .hint(format!("name the column with `--map \"Header={field}\"`, or say it for all rows with `{flag}`")));
    }
    // A reference that is not read would mean all points of a customer.
    let lacking = [(ColumnField::RefType, columns.ref_type), (ColumnField::RefId, columns.ref_id)];
    let lacking: Vec<&str> = lacking.iter().filter(|(_, at)| at.is_none()).map(|(field, _)| field.name()).collect();
    let is_left_out = |name: &&String| {
        let left_out = |map: &String| {
            map.rsplit_once('=').is_some_and(|(column, field)| {
                field.trim().eq_ignore_ascii_case("ignore") && header_key(column) == header_key(name)
            })
        };
        file.map.iter().any(left_out)
    };
    let is_added = |name: &&String| ADDED.iter().any(|added| header_key(added) == header_key(name));
    let unread = layout.mapping.ignored.iter().filter(|name| !is_left_out(name) && !is_added(name));
    let unread: Vec<&str> = unread.map(String::as_str).collect();
    if lacking.is_empty() || unread.is_empty() {
        return Ok(());
    }
    let (lacking, unread) = (lacking.join("` and `"), unread.join("`, `"));
    Err(Error::usage(format!("the file has no column for `{lacking}`, and nothing reads its `{unread}`")).hint(
        "without a reference all points of a customer are meant: name its column with `--map \"Header=ref_type\"`, or say \
         that another is none with `--map \"Header=ignore\"`",
    ))
}

/// When a program's points expire.
pub(super) fn expiring(state: &State, program: ProgramId, today: Date) -> Result<Expiring> {
    let accounts = state.accounts(program)?;
    Ok(Expiring::of(accounts.lots.days(), accounts.total, today))
}

/// Whether anybody has points of a promotion.
fn has_promotion(state: &State, program: ProgramId, id: &str) -> Result<bool> {
    let (accounts, wanted) =
        (state.accounts(program)?, LotSelector::Promotion(reference_hash(EntryText::PromotionId, id)));
    let mut customers = (0..accounts.list.len() as u32).map(CustomerId);
    let has_lots =
        |customer: &CustomerId| accounts.list.get(customer.index()).is_some_and(|account| account.has_lots());
    Ok(customers.by_ref().filter(has_lots).any(|customer| accounts.lots.of(customer).any(|lot| wanted.means(&lot))))
}

/// The same after a job with these terms; `has_matched` says whether any lot was found to be changed.
pub(super) fn expiring_after(
    state: &State,
    program: ProgramId,
    terms: &ExpiryTerms,
    has_matched: bool,
    today: Date,
) -> Result<ExpiringAfter> {
    let is_promotion_unknown = match &terms.profile {
        ExpiryProfile::Promotion { id } => !has_matched && !has_promotion(state, program, id.trim())?,
        ExpiryProfile::DateRange { .. } | ExpiryProfile::Reference => false,
    };
    Ok(ExpiringAfter { expiring: expiring(state, program, today)?, is_promotion_unknown })
}
