//! Opening what is to be imported, and finding out how it is to be read.

use super::request::FileRequest;
use crate::{
    error::{Error, Result},
    import::{
        dialect::DialectHints,
        format::Kind,
        input::{self, InputHints, Layout},
        source::Source,
    },
};

/// Opens what is to be imported, and finds out how it is to be read; as which kind of file is left open without one.
pub(super) fn understood(file: &FileRequest, kind: Option<Kind>) -> Result<(Source, Layout)> {
    let hints = hints(file);
    let source = source(file)?;
    let layout = input::understand(&source, &file.path, kind, &hints)?;
    let decimal_mark = layout.number_style().decimal_mark();
    let source = source.with_decimal_mark(decimal_mark).map_err(|error| Error::input(error.to_string()))?;
    Ok((source, Layout { is_spooled: file.spooled.is_some(), is_stream: file.stream.is_some(), ..layout }))
}

/// Opens what is to be imported.
pub(super) fn source(file: &FileRequest) -> Result<Source> {
    let hints = hints(file);
    match (&file.spooled, &file.stream) {
        (Some(spooled), _) => input::open(spooled.path(), &hints),
        (None, Some(stream)) => input::open_stream(&file.path, stream.clone(), &hints),
        (None, None) => input::open(&file.path, &hints),
    }
}

pub(super) fn hints(file: &FileRequest) -> InputHints {
    InputHints {
        format: file.format.clone(),
        map: file.map.clone(),
        no_header: file.no_header,
        dialect: DialectHints { delimiter: file.delimiter, quote: file.quote },
        encoding: file.encoding.clone(),
        number_format: file.number_format.clone(),
        date_format: file.date_format,
        skip_rows: file.skip_rows,
        sheet: file.sheet.clone(),
        identifier: file.identifier,
    }
}
