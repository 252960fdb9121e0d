//! What is recorded of a job's request, so that a resume needs nothing but the job's number.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        command::{Mode, OnOverdraft, OnRepeat, OnUnknown},
        id::ProgramId,
    },
    import::input::Layout,
};

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
    /// Comment shown to the customer.
    pub comment: Option<String>,
    /// What a file without operations does.
    pub mode: Option<Mode>,
    /// Policy.
    pub on_unknown: OnUnknown,
    /// Policy.
    pub on_overdraft: OnOverdraft,
    /// Policy.
    pub on_repeat: OnRepeat,
    /// Where rejected rows are written.
    pub rejects: Option<PathBuf>,
    /// Where a line for every row is written.
    pub processed: Option<PathBuf>,
}

impl Parameters {
    /// What makes two jobs on the same content the same job, as text: program, format, mapping, mode and policies.
    pub fn identity(&self) -> String {
        let layout = self.layout.as_ref();
        let fields: Vec<String> = layout
            .map(|layout| layout.mapping.fields.iter().map(|(field, column)| format!("{field}={column}")).collect())
            .unwrap_or_default();
        format!(
            "{} {} {} {} {:?} {:?} {:?} {:?} {:?}",
            self.program_code,
            layout.map_or("", |layout| layout.format.name.as_str()),
            fields.join(","),
            layout.map_or("", |layout| layout.numbers.as_str()),
            layout.map(|layout| (layout.dialect, layout.has_header)),
            self.mode,
            self.on_unknown,
            self.on_overdraft,
            self.on_repeat,
        )
    }
}
