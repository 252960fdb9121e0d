//! Rows become bytes: on a worker, a part of the export at a time, packed where it is to be.
//!
//! A packed part is a gzip member or a Zstandard frame of its own. Readers put them together again, and so packing needs no
//! thread for itself.

use std::io::Write;

use super::{
    format::{ExportFormat, Packing, Shape},
    parquet::{RowGroup, RowGroups},
    table::Table,
    text::{write_csv, write_ndjson},
};
use crate::error::{Error, Result};

/// Zstandard's own default.
const ZSTD_LEVEL: i32 = 3;

/// What a worker has made of some pages.
#[derive(Default)]
pub struct Part {
    /// Text, as it is written.
    pub bytes: Vec<u8>,
    /// Groups of rows for Parquet.
    pub row_groups: Vec<RowGroup>,
    /// How many rows it has.
    pub rows: u64,
}

/// How rows become bytes.
pub struct Encoder {
    /// The format.
    pub format: ExportFormat,
    /// For Parquet.
    pub row_groups: Option<RowGroups>,
}

impl Encoder {
    fn encode(&self, table: &mut Table, part: &mut Part) -> Result<()> {
        if table.rows() == 0 {
            return Ok(());
        }
        part.rows += table.rows() as u64;
        match (self.format.shape, &self.row_groups) {
            (Shape::Csv, _) => write_csv(table, &mut part.bytes),
            (Shape::Ndjson, _) => write_ndjson(table, &mut part.bytes),
            (Shape::Parquet, Some(row_groups)) => part.row_groups.push(row_groups.encode(table)?),
            (Shape::Parquet, None) => return Err(Error::internal("an export to Parquet has no schema")),
        }
        table.clear();
        Ok(())
    }

    /// The bytes, packed. Of no bytes that is a member or frame without content.
    ///
    /// # Errors
    /// When they cannot be packed, which is a lack of memory.
    pub fn packed(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let packed = match self.format.packing {
            Packing::Plain => return Ok(bytes),
            Packing::Gzip => {
                let room = Vec::with_capacity(bytes.len() / 4);
                let mut member = flate2::write::GzEncoder::new(room, flate2::Compression::default());
                member.write_all(&bytes).and_then(|()| member.finish())
            }
            Packing::Zstd => zstd::bulk::compress(&bytes, ZSTD_LEVEL),
        };
        packed.map_err(|error| Error::internal(format!("rows cannot be packed: {error}")))
    }
}

/// Rows that gather in a table, and go into a part whenever that is full.
pub struct Rows<'a> {
    /// The row that is being made is at its end.
    pub table: Table,
    encoder: &'a Encoder,
    part: &'a mut Part,
}

impl<'a> Rows<'a> {
    /// Rows of `part`, which is begun anew, by way of a table.
    pub fn of(part: &'a mut Part, mut table: Table, encoder: &'a Encoder) -> Rows<'a> {
        part.bytes.clear();
        part.row_groups.clear();
        part.rows = 0;
        table.clear();
        Rows { table, encoder, part }
    }

    /// Ends a row.
    ///
    /// # Errors
    /// `Usage` when a row has what the format cannot hold.
    #[inline]
    pub fn end(&mut self) -> Result<()> {
        self.table.end_row();
        if self.table.is_full() { self.encoder.encode(&mut self.table, self.part) } else { Ok(()) }
    }

    /// Ends the part; gives the table back.
    ///
    /// # Errors
    /// As `end`.
    pub fn finish(mut self) -> Result<Table> {
        self.encoder.encode(&mut self.table, self.part)?;
        if !self.part.bytes.is_empty() {
            self.part.bytes = self.encoder.packed(std::mem::take(&mut self.part.bytes))?;
        }
        Ok(self.table)
    }
}
