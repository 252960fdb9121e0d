//! What an export is written as: the format and how it is packed, which the ending of a file's name says.

use std::path::Path;

use crate::error::{Error, Result};

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// CSV, guarded against spreadsheets that take cells for formulas.
    #[default]
    Csv,
    /// A JSON object a line.
    Ndjson,
    /// Apache Parquet, typed columns.
    Parquet,
}

/// How the bytes are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// Not, or as the format does it itself.
    #[default]
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// What an export is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportFormat {
    /// How rows are written.
    pub shape: Shape,
    /// How the bytes are packed.
    pub packing: Packing,
}

impl ExportFormat {
    /// Plain CSV.
    pub const CSV: ExportFormat = ExportFormat { shape: Shape::Csv, packing: Packing::Plain };
    /// A JSON object a line.
    pub const NDJSON: ExportFormat = ExportFormat { shape: Shape::Ndjson, packing: Packing::Plain };
    /// Apache Parquet.
    pub const PARQUET: ExportFormat = ExportFormat { shape: Shape::Parquet, packing: Packing::Plain };

    /// All endings, and what each says.
    pub const ENDINGS: [(&'static str, ExportFormat); 7] = [
        (".csv", ExportFormat::CSV),
        (".csv.gz", ExportFormat { packing: Packing::Gzip, ..ExportFormat::CSV }),
        (".csv.zst", ExportFormat { packing: Packing::Zstd, ..ExportFormat::CSV }),
        (".parquet", ExportFormat::PARQUET),
        (".ndjson", ExportFormat::NDJSON),
        (".ndjson.gz", ExportFormat { packing: Packing::Gzip, ..ExportFormat::NDJSON }),
        (".ndjson.zst", ExportFormat { packing: Packing::Zstd, ..ExportFormat::NDJSON }),
    ];

    /// What the ending of a file's name says, in small letters or capitals.
    ///
    /// # Errors
    /// `Usage` for any other ending, with those that there are.
    pub fn of_path(path: &Path) -> Result<ExportFormat> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        // A name that is nothing but an ending has none.
        let ends_so = |ending: &str| name.len() > ending.len() && name.ends_with(ending);
        let found = ExportFormat::ENDINGS.iter().find(|(ending, _)| ends_so(ending));
        found.map(|(_, format)| *format).ok_or_else(|| {
            let endings: Vec<&str> = ExportFormat::ENDINGS.iter().map(|(ending, _)| *ending).collect();
            Error::usage(format!(
                "`{}` ends in none of `{}`, the kinds of files that are written",
                path.display(),
                endings.join("`, `")
            ))
            .hint("name a file that ends in `.csv`, or leave `-o` out and pipe standard output on")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_ending_says_what_it_is_written_as() {
        for (ending, format) in ExportFormat::ENDINGS {
            assert_eq!(ExportFormat::of_path(Path::new(&format!("dir.csv/a{ending}"))).unwrap(), format);
            let capitals = format!("A{}", ending.to_uppercase());
            assert_eq!(ExportFormat::of_path(Path::new(&capitals)).unwrap(), format);
        }
        for name in ["a", "a.gz", "a.parquet.gz", "a.xlsx", "csv", ".csv", "a.csv.bz2", "a.csv/"] {
            let found = ExportFormat::of_path(Path::new(name));
            assert_eq!(found.is_ok(), name == "a.csv/", "{name}");
        }
        let error = ExportFormat::of_path(Path::new("a.xlsx")).unwrap_err();
        assert!(ExportFormat::ENDINGS.iter().all(|(ending, _)| error.message().contains(ending)), "{error}");
    }
}
