//! The memory that a store's tables need, and whether the machine has it.

use std::path::Path;

use super::{caches::CachePositions, control_group, state::Needs};
use crate::{
    domain::id::ProgramId,
    error::{Error, ErrorKind, Result},
};

/// Bytes of an identifier in the table: 16-byte slots, two thirds of them filled, and a little room.
const IDENTIFIER_BYTES: u64 = 25;
/// Bytes of an account.
const ACCOUNT_BYTES: u64 = 16;
/// Bytes of presence, newest record and attributes of a customer.
const PROFILE_BYTES: u64 = 32;
/// Bytes of a lot: its node, what it was given for, and its place in the index of last days. Nobody notes how many have a
/// reference, so that all count as if they had one.
const LOT_BYTES: u64 = 60;
/// Bytes of chunks, windows and the database's own buffers, whatever the store's size.
const FIXED_BYTES: u64 = 128 << 20;

/// Bytes that a job with these needs takes. It depends on the customers, never on the length of a file.
pub fn needed_bytes(positions: &CachePositions, needs: &Needs) -> u64 {
    let customers = u64::from(positions.customers);
    let identifiers = |kind: usize| positions.runs.iter().map(|run| run.identifiers[kind]).sum::<u64>();
    let identifiers: u64 = needs.kinds.iter().map(|&kind| identifiers(kind as usize)).sum();
    let profiles = if needs.profiles { PROFILE_BYTES } else { 0 };
    let lots = |program: &ProgramId| positions.accounts.get(&program.0).map_or(0, |position| position.lots);
    let lots: u64 = needs.programs.iter().map(lots).sum();
    FIXED_BYTES
        + identifiers * IDENTIFIER_BYTES
        + lots * LOT_BYTES
        + customers * (needs.programs.len() as u64 * ACCOUNT_BYTES + profiles)
}

/// Bytes that so many new identifiers and customers take.
pub fn growth_bytes(identifiers: u64, customers: u64) -> u64 {
    identifiers * IDENTIFIER_BYTES + customers * (ACCOUNT_BYTES + PROFILE_BYTES)
}

/// Bytes that this process can still take: what the system has, or its control groups allow; none where neither says.
pub fn available_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let system = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
    let group = control_group::free_bytes(Path::new("/"));
    Some(group.map_or(system, |group| group.min(system)))
}

/// Refuses to load tables that would not fit, before a part of them has pushed everything else out of memory.
///
/// # Errors
/// `Refused` with code `memory_short` and the bytes needed.
pub fn check(needed: u64, available: Option<u64>) -> Result<()> {
    match available {
        Some(available) if needed > available => Err(Error::new(
            ErrorKind::Refused,
            "memory_short",
            format!("this store needs {} MiB of memory for the job, {} MiB are free", needed >> 20, available >> 20),
        )
        .hint("nothing was changed; free some memory, or use a machine that has it")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::identifier::IdentifierKind,
        store::caches::{AccountsPosition, Run},
    };

    #[test]
    fn needs_grow_with_customers_and_the_kinds_that_are_named() {
        let positions = CachePositions {
            customers: 1000,
            runs: vec![Run { generation: 1, identifiers: [1, 2, 1000, 500, 9] }],
            ..CachePositions::default()
        };
        let mut needs = Needs::default();
        assert_eq!(needed_bytes(&positions, &needs), FIXED_BYTES);
        needs.kinds = vec![IdentifierKind::Email, IdentifierKind::Mobile];
        needs.programs = vec![ProgramId(0)];
        assert_eq!(needed_bytes(&positions, &needs), FIXED_BYTES + 1500 * IDENTIFIER_BYTES + 16_000);
        let accounts = AccountsPosition { lots: 10, ..AccountsPosition::default() };
        let positions = CachePositions { accounts: [(0, accounts)].into(), ..positions };
        let with_lots = FIXED_BYTES + 1500 * IDENTIFIER_BYTES + 16_000 + 10 * LOT_BYTES;
        assert_eq!(needed_bytes(&positions, &needs), with_lots);
    }

    #[test]
    fn a_store_that_does_not_fit_is_refused_with_the_bytes_needed() {
        assert!(check(5 << 20, Some(6 << 20)).is_ok());
        assert!(check(5 << 20, None).is_ok());
        let error = check(5 << 20, Some(4 << 20)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "memory_short"));
        assert!(error.message().contains("needs 5 MiB"), "{error}");
    }
}
