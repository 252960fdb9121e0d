//! Whom a row means: its identifiers, read and looked up.

use crate::{
    domain::{
        id::CustomerId,
        identifier::{IdentifierKind, normalize, put_plain},
        phone::Region,
        rejection::Rejection,
    },
    import::{
        input::Layout,
        rows::{Cells, Fault, Faults, column_of_kind, filled_identifiers, is_blank, owner_fault, quoted},
    },
    store::identifiers::{IdentifierHash, IdentifierTable, LookupOrder},
};

/// How the rows of a file name customers that must be there.
pub struct Naming {
    /// Where the identifiers stand.
    pub identifiers: Vec<(IdentifierKind, usize)>,
    region: Option<Region>,
    seed: u64,
}

/// The identifiers of a chunk's rows on their way to customers.
#[derive(Default)]
pub struct Names {
    hashes: Vec<(u32, IdentifierHash)>,
    order: LookupOrder,
    owners: Vec<CustomerId>,
}

impl Names {
    /// Empties it for the next chunk, keeping its buffers.
    pub fn clear(&mut self) {
        self.hashes.clear();
    }
}

impl Naming {
    /// By the columns of a file. `seed` is that of the store's identifier hashes.
    pub fn of(layout: &Layout, region: Option<Region>, seed: u64) -> Naming {
        let identifier = |&kind: &IdentifierKind| Some((kind, layout.mapping.column(column_of_kind(kind))?));
        Naming {
            identifiers: IdentifierKind::ALL.iter().filter_map(identifier).collect(),
            region: layout.region(region),
            seed,
        }
    }

    /// Reads the identifiers of a row, and adds to `faults` what is wrong with them. A row that is refused for anything leaves
    /// no names: see [`Naming::forget`].
    pub fn read(
        &self,
        cells: Cells<'_>,
        at: usize,
        names: &mut Names,
        faults: &mut Faults,
        scratch: &mut Vec<u8>,
        normalized: &mut Vec<u8>,
    ) {
        let mut is_filled = false;
        for &(kind, column) in &self.identifiers {
            let cell = cells.text(column, scratch);
            if is_blank(cell.as_bytes()) {
                continue;
            }
            is_filled = true;
            normalized.clear();
            let read = match put_plain(kind, cell.as_bytes(), false, normalized) {
                true => Ok(()),
                false => normalize(kind, cell, self.region, false, normalized),
            };
            match read {
                Ok(()) => names.hashes.push((at as u32, IdentifierHash::of(self.seed, kind, normalized))),
                Err(problem) => {
                    let name = kind.name();
                    faults.add(Rejection::IdentifierInvalid, name, format!("{name} {} {problem}", quoted(cell)));
                }
            }
        }
        if !is_filled {
            let names: Vec<&str> = self.identifiers.iter().map(|(kind, _)| kind.name()).collect();
            let message = format!("no identifier is filled: one of {} is needed", names.join(", "));
            faults.add(Rejection::IdentifierMissing, names.first().copied().unwrap_or_default(), message);
        }
    }

    /// Forgets the identifiers of the row that was read last.
    pub fn forget(&self, at: usize, names: &mut Names) {
        while names.hashes.last().is_some_and(|(row, _)| *row == at as u32) {
            names.hashes.pop();
        }
    }

    /// Looks up all that were read: `found` is told the owner of each identifier that somebody has, with its row.
    pub fn look_up(&self, table: &IdentifierTable, names: &mut Names, mut found: impl FnMut(usize, CustomerId)) {
        let Names { hashes, order, owners } = names;
        order.sort(hashes.iter().map(|(_, hash)| hash));
        owners.clear();
        owners.resize(hashes.len(), CustomerId::NONE);
        table.get_each(order, owners);
        for ((row, _), &owner) in hashes.iter().zip(owners.iter()).filter(|(_, owner)| **owner != CustomerId::NONE) {
            found(*row as usize, owner);
        }
    }

    /// The story of identifiers that nobody has, or that several have.
    pub fn fault(&self, rejection: Rejection, cells: Cells<'_>, scratch: &mut Vec<u8>) -> Option<Fault> {
        owner_fault(rejection, &filled_identifiers(&self.identifiers, cells, scratch))
    }
}
