//! Apache Parquet: typed columns in groups of rows. A group is encoded whole by one worker, and added to the file in order.
//!
//! Texts that name customers are written as they are, since hardly any two rows of a group have the same; for words a
//! dictionary pays. Counters are written as distances. Amounts are decimals with the most decimals of all programs.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    column::writer::{ColumnCloseResult, get_column_writer, get_typed_column_writer},
    data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite},
    },
    schema::types::{ColumnPath, SchemaDescPtr, SchemaDescriptor, Type, TypePtr},
};

use super::table::{Column, ColumnType, Kind, MISSING, Table};
use crate::{
    domain::program::Program,
    error::{Error, Result},
    store::lock,
};

/// Digits of a decimal in 8 bytes.
const PRECISION: i32 = 18;
/// What has so many digits does not fit.
const AMOUNT_END: i64 = 1_000_000_000_000_000_000;

fn failed(error: ParquetError) -> Error {
    Error::internal(format!("Parquet cannot be written: {error}"))
}

/// The columns of a group of rows, encoded.
pub struct RowGroup {
    columns: Vec<(Bytes, ColumnCloseResult)>,
}

/// Buffers that are used again.
#[derive(Default)]
struct Scratch {
    levels: Vec<i16>,
    days: Vec<i32>,
    numbers: Vec<i64>,
    texts: Vec<ByteArray>,
}

/// Encodes groups of rows.
pub struct RowGroups {
    schema: TypePtr,
    columns: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    /// The decimals of amounts.
    scale: u8,
    scratch: Mutex<Vec<Scratch>>,
}

impl RowGroups {
    /// For rows of these columns, whose amounts are of these programs. `facts` go into the file's metadata.
    ///
    /// # Errors
    /// `Internal` when the schema cannot be.
    pub fn new(columns: &[ColumnType], programs: &[Program], facts: &[(&str, String)]) -> Result<RowGroups> {
        let scale = programs.iter().map(|program| program.decimals).max().unwrap_or(0);
        let fields = columns.iter().map(|column| field(column, scale).map(Arc::new)).collect::<Result<Vec<_>>>()?;
        let schema = Type::group_type_builder("tidemill").with_fields(fields).build().map_err(failed)?;
        let schema = Arc::new(schema);
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("tidemill ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(failed)?))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(
                facts.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect(),
            ));
        for column in columns {
            let path = ColumnPath::from(column.name);
            properties = match column.kind {
                Kind::Word => properties
                    .set_column_dictionary_enabled(path.clone(), true)
                    .set_column_statistics_enabled(path, EnabledStatistics::None),
                Kind::Counter => properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
                // Nobody looks for a range of texts, and comparing all of them costs as much as writing them.
                Kind::Text => properties.set_column_statistics_enabled(path, EnabledStatistics::None),
                Kind::Time => properties.set_column_dictionary_enabled(path, true),
                Kind::Integer | Kind::Amount | Kind::Decimal(_) | Kind::Date => properties,
            };
        }
        Ok(RowGroups {
            columns: Arc::new(SchemaDescriptor::new(Arc::clone(&schema))),
            schema,
            properties: Arc::new(properties.build()),
            scale,
            scratch: Mutex::default(),
        })
    }

    /// Encodes the rows of a table, of which there is one at least.
    ///
    /// # Errors
    /// `Usage` when an amount has more digits than a decimal of Parquet's.
    pub fn encode(&self, table: &mut Table) -> Result<RowGroup> {
        let mut scratch = lock(&self.scratch).pop().unwrap_or_default();
        let mut columns = Vec::with_capacity(table.columns().len());
        for (at, column) in table.columns_mut().iter_mut().enumerate() {
            columns.push(self.column(at, column, &mut scratch)?);
        }
        lock(&self.scratch).push(scratch);
        Ok(RowGroup { columns })
    }

    fn column(&self, at: usize, column: &mut Column, scratch: &mut Scratch) -> Result<(Bytes, ColumnCloseResult)> {
        scratch.levels.clear();
        match column.of.kind {
            Kind::Text | Kind::Word => {
                let bytes = Bytes::from(std::mem::take(&mut column.bytes));
                scratch.texts.clear();
                for &(start, end) in &column.places {
                    scratch.levels.push(i16::from(start < end));
                    if start < end {
                        scratch.texts.push(ByteArray::from(bytes.slice(start as usize..end as usize)));
                    }
                }
                let written = self.chunk::<ByteArrayType>(at, &scratch.texts, &scratch.levels, column.of.is_required);
                scratch.texts.clear();
                // Nobody else has them any more, so that this copies nothing.
                column.bytes = Vec::from(bytes);
                written
            }
            Kind::Date => {
                scratch.days.clear();
                for &day in &column.numbers {
                    scratch.levels.push(i16::from(day != MISSING));
                    if day != MISSING {
                        let day = i32::try_from(day);
                        scratch.days.push(day.map_err(|_| Error::internal("a day is out of range"))?);
                    }
                }
                self.chunk::<Int32Type>(at, &scratch.days, &scratch.levels, column.of.is_required)
            }
            Kind::Integer | Kind::Counter | Kind::Time | Kind::Amount | Kind::Decimal(_) => {
                scratch.numbers.clear();
                for (row, &number) in column.numbers.iter().enumerate() {
                    scratch.levels.push(i16::from(number != MISSING));
                    if number == MISSING {
                        continue;
                    }
                    let decimals = match column.of.kind {
                        Kind::Amount => column.decimals[row],
                        Kind::Decimal(_) => self.scale_of(column.of.kind),
                        _ => {
                            scratch.numbers.push(number);
                            continue;
                        }
                    };
                    scratch.numbers.push(scaled(number, decimals, self.scale_of(column.of.kind))?);
                }
                self.chunk::<Int64Type>(at, &scratch.numbers, &scratch.levels, column.of.is_required)
            }
        }
    }

    fn scale_of(&self, kind: Kind) -> u8 {
        if let Kind::Decimal(decimals) = kind { decimals } else { self.scale }
    }

    fn chunk<T: DataType>(
        &self,
        at: usize,
        values: &[T::T],
        levels: &[i16],
        is_required: bool,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let mut sink = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut sink));
        let writer = get_column_writer(self.columns.column(at), Arc::clone(&self.properties), pages);
        let mut writer = get_typed_column_writer::<T>(writer);
        writer.write_batch(values, (!is_required).then_some(levels), None).map_err(failed)?;
        let closed = writer.close().map_err(failed)?;
        Ok((Bytes::from(sink.into_inner().map_err(failed)?), closed))
    }
}

/// An amount with other decimals than its own, of which there are more.
fn scaled(amount: i64, decimals: u8, scale: u8) -> Result<i64> {
    let scaled =
        10_i64.checked_pow(u32::from(scale.saturating_sub(decimals))).and_then(|unit| amount.checked_mul(unit));
    scaled.filter(|scaled| (-AMOUNT_END + 1..AMOUNT_END).contains(scaled)).ok_or_else(|| {
        Error::usage(format!(
            "an amount with {scale} decimals has more than the {PRECISION} digits that a column of amounts holds in Parquet"
        ))
        .hint("export as `.csv` or `.ndjson`, which hold any amount")
    })
}

fn field(column: &ColumnType, scale: u8) -> Result<Type> {
    let decimal = |scale: u8| (Physical::INT64, Some(LogicalType::decimal(i32::from(scale), PRECISION)), scale);
    let (physical, logical, scale) = match column.kind {
        Kind::Text | Kind::Word => (Physical::BYTE_ARRAY, Some(LogicalType::String), 0),
        Kind::Integer | Kind::Counter => (Physical::INT64, None, 0),
        Kind::Amount => decimal(scale),
        Kind::Decimal(decimals) => decimal(decimals),
        Kind::Date => (Physical::INT32, Some(LogicalType::Date), 0),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS)), 0),
    };
    let is_decimal = matches!(column.kind, Kind::Amount | Kind::Decimal(_));
    let mut builder = Type::primitive_type_builder(column.name, physical)
        .with_repetition(if column.is_required { Repetition::REQUIRED } else { Repetition::OPTIONAL })
        .with_logical_type(logical);
    if is_decimal {
        builder = builder.with_precision(PRECISION).with_scale(i32::from(scale));
    }
    builder.build().map_err(failed)
}

/// The file that groups of rows are added to.
pub struct ParquetFile {
    writer: SerializedFileWriter<Vec<u8>>,
}

impl ParquetFile {
    /// A file for what `row_groups` encodes.
    ///
    /// # Errors
    /// `Internal` when it cannot be begun.
    pub fn begin(row_groups: &RowGroups) -> Result<ParquetFile> {
        let writer =
            SerializedFileWriter::new(Vec::new(), Arc::clone(&row_groups.schema), Arc::clone(&row_groups.properties));
        Ok(ParquetFile { writer: writer.map_err(failed)? })
    }

    /// Adds a group of rows, and writes what is there of the file.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn append(&mut self, group: RowGroup, out: &mut dyn Write) -> Result<()> {
        let mut open = self.writer.next_row_group().map_err(failed)?;
        for (bytes, closed) in group.columns {
            open.append_column(&bytes, closed).map_err(failed)?;
        }
        open.close().map_err(failed)?;
        self.pass_on(out)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn end(mut self, out: &mut dyn Write) -> Result<()> {
        self.writer.finish().map_err(failed)?;
        self.pass_on(out)
    }

    /// The writer counts what went through it, so that it is no matter to it where that goes from its buffer.
    fn pass_on(&mut self, out: &mut dyn Write) -> Result<()> {
        let failed = |error: &std::io::Error| Error::io("the export", error);
        self.writer.flush().map_err(|error| failed(&error))?;
        let written = self.writer.inner_mut();
        out.write_all(written).map_err(|error| failed(&error))?;
        written.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_get_the_decimals_of_their_column_or_are_refused() {
        for (amount, decimals, scale, expected) in [
            (5, 0, 2, Some(500)),
            (-5, 2, 2, Some(-5)),
            (AMOUNT_END - 1, 2, 2, Some(AMOUNT_END - 1)),
            (1 - AMOUNT_END, 0, 0, Some(1 - AMOUNT_END)),
            (AMOUNT_END, 0, 0, None),
            (AMOUNT_END / 100, 0, 2, None),
            (-AMOUNT_END, 0, 0, None),
            (i64::MAX, 0, 4, None),
        ] {
            let found = scaled(amount, decimals, scale);
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{amount} {decimals} {scale}");
            assert!(found.is_ok() || found.unwrap_err().hint_text().is_some_and(|hint| hint.contains(".csv")));
        }
    }
}
