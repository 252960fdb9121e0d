//! Readers of stored values that only the store calls, for the fuzz target `pages`: built for fuzzing alone.

use super::{
    jobs, row_keys, state,
    value::{self, Kind},
};
use crate::{domain::id::JobId, error::Result};

/// How many customers a job touched, as the body of a value says.
///
/// # Errors
/// `Corrupt` when it cannot be read.
pub fn touched(body: &[u8]) -> Result<usize> {
    jobs::open_touched(JobId(1), 1, &value::sealed(Kind::Touched, body)).map(|touched| touched.len())
}

/// The bytes of rejected rows that the body of a value holds.
///
/// # Errors
/// `Corrupt` when it cannot be read.
pub fn rejects(body: &[u8]) -> Result<usize> {
    jobs::open_rejects(JobId(1), 1, &value::sealed(Kind::Rejects, body)).map(|raw| raw.len())
}

/// The bytes of keys that the body of a value holds.
///
/// # Errors
/// `Corrupt` when it cannot be read.
pub fn row_keys(body: &[u8]) -> Result<usize> {
    row_keys::open_page(1, &value::sealed(Kind::RowKeyPage, body)).map(<[u8]>::len)
}

/// How many customers a page of accounts has.
///
/// # Errors
/// `Corrupt` when it cannot be read.
pub fn two_columns(body: &[u8]) -> Result<usize> {
    let mut places = vec![(0, 0); super::filter_page::ROWS];
    let stored = value::sealed(Kind::AccountPage, body);
    state::two_columns(Kind::AccountPage, 1, &stored, &mut places, |place, first, second| *place = (first, second))
}
