//! What is recorded of a job's request, so that a resume needs nothing but the job's number.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bulk::BulkParameters;
use crate::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown},
        expiry_terms::ExpiryTerms,
        id::ProgramId,
        identifier::IdentifierKind,
        message::Notify,
        phone::Region,
        points::Conversion,
        program::Program,
        time::{Date, TimeZone, Timestamp},
    },
    engine::request::UndoRequest,
    import::{
        format::{ColumnField, Format},
        input::Layout,
        surroundings::Surroundings,
    },
    store::Store,
};

/// What the store's settings said when the job began. A resume goes by these, whatever was set since: half a file must not
/// be read by one rule and half by another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobSettings {
    /// Region of phone numbers without country code.
    pub region: Option<Region>,
    /// The zone in which days begin and end.
    pub zone: TimeZone,
    /// The day of the job's `now` there.
    pub today: Date,
    /// Declared tiers, lowest first.
    pub tiers: Vec<String>,
    /// How many programs there were: one that was added since is unknown to the job's rows.
    pub programs: u16,
}

impl JobSettings {
    /// The settings for a job with this `now`.
    pub fn of(store: &Store, now: Timestamp) -> JobSettings {
        let settings = store.settings();
        let zone = settings.zone();
        JobSettings {
            region: settings.default_region.as_deref().and_then(Region::new),
            today: zone.day_of(now),
            zone,
            tiers: settings.tiers.clone(),
            programs: store.programs().len() as u16,
        }
    }

    /// What reading a file goes by.
    pub fn surroundings(&self, program: ProgramId, mut programs: Vec<Program>, now: Timestamp) -> Surroundings {
        programs.truncate(usize::from(self.programs));
        Surroundings {
            program,
            programs,
            has_store: true,
            region: self.region,
            zone: self.zone.clone(),
            tiers: self.tiers.clone(),
            now,
            today: self.today,
        }
    }
}

/// A job's parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// The file and how it is read; none for an adjustment.
    pub layout: Option<Layout>,
    /// The program.
    pub program: ProgramId,
    /// Its code, for people.
    pub program_code: String,
    /// Internal reason.
    pub reason: Option<String>,
    /// Comment shown to the customer; the store's default one where the job gave none.
    pub comment: Option<String>,
    /// What the store's settings said.
    pub settings: JobSettings,
    /// What a file without operations does.
    pub mode: Option<Mode>,
    /// Policy.
    pub on_unknown: OnUnknown,
    /// Policy.
    pub on_overdraft: OnOverdraft,
    /// Policy.
    pub on_repeat: OnRepeat,
    /// How the file's amounts become points of the program.
    #[serde(default)]
    pub conversion: Option<Conversion>,
    /// Lots expire whose last day is before this one.
    #[serde(default)]
    pub as_of: Option<Date>,
    /// Whether only lots of the program expire, and not those of all.
    #[serde(default)]
    pub only_program: bool,
    /// The identifier by which a customer file's rows find their customer, if it is one only.
    #[serde(default)]
    pub key: Option<IdentifierKind>,
    /// How many digits its phone numbers must have.
    #[serde(default)]
    pub phone_digits: Option<u8>,
    /// Where an event is written for each customer that it credits.
    #[serde(default)]
    pub notifications: Option<PathBuf>,
    /// What a bulk operation does, and to whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<BulkParameters>,
    /// Which points get another last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<ExpiryTerms>,
    /// What an undo takes back, and how.
    #[serde(default)]
    pub undo: Option<UndoRequest>,
    /// Whom it tells when it ends. The outbox reads this too, by its name (`store::outbox`).
    #[serde(default)]
    pub notify: Notify,
    /// Where rejected rows are written.
    pub rejects: Option<PathBuf>,
    /// Where a line for every row is written.
    pub processed: Option<PathBuf>,
}

impl Parameters {
    /// Those of a job without a file whose rules are its kind's.
    pub fn of_kind(
        program: ProgramId,
        program_code: String,
        reason: Option<String>,
        settings: JobSettings,
    ) -> Parameters {
        Parameters {
            layout: None,
            program,
            program_code,
            reason,
            comment: None,
            settings,
            mode: None,
            on_unknown: OnUnknown::Reject,
            on_overdraft: OnOverdraft::Reject,
            on_repeat: OnRepeat::First,
            conversion: None,
            as_of: None,
            only_program: false,
            bulk: None,
            expiry: None,
            rejects: None,
            processed: None,
            key: None,
            notifications: None,
            notify: Notify::default(),
            phone_digits: None,
            undo: None,
        }
    }

    /// What makes two jobs on the same content the same job, as text: program, format, mapping, mode and policies.
    ///
    /// A mode or policy counts only where it takes effect, and how the file is written (delimiter, quote, number style)
    /// does not: else a flag that changes nothing would have the same file applied twice.
    pub fn identity(&self) -> String {
        let Some(layout) = &self.layout else { return String::new() };
        let fields: Vec<String> =
            layout.mapping.fields.iter().map(|(field, column)| format!("{field}={column}")).collect();
        // A format of the user's own is what its file says, not what it is called.
        let format = match Format::builtin(Some(layout.format.kind), &layout.format.name) {
            Some(builtin) if *builtin == layout.format => layout.format.name.clone(),
            _ => serde_json::to_string(&layout.format).unwrap_or_default(),
        };
        let has_operations = layout.mapping.column(ColumnField::Operation).is_some();
        let mode = self.mode.filter(|_| !has_operations);
        let sets = mode == Some(Mode::Reset) || (has_operations && layout.format.can_set());
        let on_repeat = sets.then_some(self.on_repeat);
        let conversion = self.conversion.map(|conversion| conversion.identity()).unwrap_or_default();
        let key = self.key.map(|key| format!(" key {}", key.name())).unwrap_or_default();
        let digits = self.phone_digits.map(|digits| format!(" digits {digits}")).unwrap_or_default();
        let sheet = layout.sheet.as_ref().map(|sheet| format!(" sheet {:?}", sheet.name)).unwrap_or_default();
        let expiry = self.expiry.as_ref().and_then(|terms| serde_json::to_string(terms).ok());
        let expiry = expiry.map(|terms| format!(" expiry {terms}")).unwrap_or_default();
        format!(
            "{} {format} {} {mode:?} {:?} {:?} {on_repeat:?}{conversion}{key}{digits}{sheet}{expiry}",
            self.program_code,
            fields.join(","),
            self.on_unknown,
            self.on_overdraft,
        )
    }
}
