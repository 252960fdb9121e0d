//! The same rows as other programs write them: how much slower they are read, and whether a decompressor is the limit.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
    time::Instant,
};

use tidemill::error::{Error, Result};

use super::{report::Sample, stopped};
use crate::{
    child::Finished,
    text::{
        Side::{Left, Right},
        grouped, table,
    },
};

/// A way to write the rows, and what reading them took.
pub struct Reading {
    written: &'static str,
    rows: u64,
    rows_per_s: f64,
    /// Seconds of the dry run's rows, without opening the store and hashing the file.
    apply_s: f64,
    /// How many times the plain file's.
    times_plain: f64,
    /// Seconds to decompress the file and do nothing else, on one thread.
    decompress_s: Option<f64>,
}

impl Reading {
    /// For comparisons.
    pub fn sample(&self) -> Sample {
        let words = self.written.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let name = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
        Sample::new(format!("reading-{name}"), Some(self.rows), vec![self.apply_s])
    }
}

/// A program of this name, run with arguments.
type Run<'a> = dyn Fn(&[&OsStr]) -> Result<Finished> + 'a;

/// Writes the file in each way, and runs each dry.
pub fn measure(points: &Path, place: &Path, run: &Run<'_>, note: &dyn Fn(String)) -> Result<Vec<Reading>> {
    type WriteRows = fn(&[u8], &mut dyn Write) -> io::Result<()>;
    let ways: [(&'static str, &str, WriteRows); 8] = [
        ("plain", "plain.csv", |text, out| out.write_all(text)),
        ("semicolons", "semicolon.csv", |text, out| each_line(text, out, |line, out| replace_commas(line, out))),
        ("CRLF", "crlf.csv", |text, out| {
            each_line(text, out, |line, out| out.write_all(line).and_then(|()| out.write_all(b"\r")))
        }),
        ("quoted cells", "quoted.csv", |text, out| each_line(text, out, |line, out| quote_cells(line, out))),
        ("quoted, semicolons, CRLF", "all.csv", |text, out| {
            each_line(text, out, |line, out| {
                let mut quoted = Vec::with_capacity(line.len() + 16);
                quote_cells(line, &mut quoted)?;
                replace_commas(&quoted, out).and_then(|()| out.write_all(b"\r"))
            })
        }),
        ("UTF-16", "utf16.csv", |text, out| {
            out.write_all(b"\xff\xfe")?;
            text.chunks(1 << 16).try_for_each(|chunk| {
                let wide: Vec<u8> = chunk.iter().flat_map(|&byte| [byte, 0]).collect();
                out.write_all(&wide)
            })
        }),
        (".gz", "plain.csv.gz", |text, out| {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            encoder.write_all(text).and_then(|()| encoder.finish().map(drop))
        }),
        (".zst", "plain.csv.zst", |text, out| {
            let mut encoder = zstd::stream::write::Encoder::new(out, 3)?;
            encoder.write_all(text).and_then(|()| encoder.finish().map(drop))
        }),
    ];
    let failed = |path: &Path, error: &io::Error| Error::io(format_args!("`{}`", path.display()), error);
    let text = std::fs::read(points).map_err(|error| failed(points, &error))?;
    let mut readings: Vec<Reading> = Vec::new();
    for (written, name, write) in ways {
        if let Some(stopped) = stopped() {
            return Err(stopped);
        }
        note(format!("reading: {written}"));
        let path = place.join(name);
        let file = File::create(&path).and_then(|file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            write(&text, &mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        });
        file.map_err(|error| failed(&path, &error))?;
        let finished = run(&[
            "import".as_ref(),
            "points".as_ref(),
            path.as_os_str(),
            "--format=nector".as_ref(),
            "--reason=bench".as_ref(),
            "--dry-run".as_ref(),
            "--again".as_ref(),
        ])?;
        let decompress_s = decompress(&path).map_err(|error| failed(&path, &error))?;
        std::fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        let apply_s = finished.document["cost"]["apply_s"].as_f64().unwrap_or(0.0);
        let rows = finished.document["rows"]["read"].as_u64().unwrap_or(0);
        let times_plain = readings.first().map_or(1.0, |plain| apply_s / plain.apply_s);
        readings.push(Reading {
            written,
            rows,
            rows_per_s: (rows as f64 / apply_s).round(),
            apply_s,
            times_plain,
            decompress_s,
        });
    }
    Ok(readings)
}

fn each_line(
    text: &[u8],
    out: &mut dyn Write,
    mut write: impl FnMut(&[u8], &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        write(line.strip_suffix(b"\n").unwrap_or(line), out)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn replace_commas(line: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let replaced: Vec<u8> = line.iter().map(|&byte| if byte == b',' { b';' } else { byte }).collect();
    out.write_all(&replaced)
}

fn quote_cells(line: &[u8], out: &mut dyn Write) -> io::Result<()> {
    for (at, cell) in line.split(|&byte| byte == b',').enumerate() {
        out.write_all(if at == 0 { b"\"" } else { b",\"" })?;
        out.write_all(cell)?;
        out.write_all(b"\"")?;
    }
    Ok(())
}

/// How long it takes to decompress a file; none for one that is not compressed.
fn decompress(path: &Path) -> io::Result<Option<f64>> {
    let file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut text: Box<dyn Read> = match path.extension().and_then(OsStr::to_str) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file)?),
        _ => return Ok(None),
    };
    let begun = Instant::now();
    let mut buffer = vec![0; 1 << 20];
    while text.read(&mut buffer)? > 0 {}
    Ok(Some(begun.elapsed().as_secs_f64()))
}

/// For people.
pub fn text(readings: &[Reading]) -> String {
    let mut rows = vec![["", "rows/s", "times plain", "decompressing alone"].map(str::to_owned).to_vec()];
    rows.extend(readings.iter().map(|reading| {
        vec![
            reading.written.to_owned(),
            grouped(reading.rows_per_s as u64),
            format!("{:.2}", reading.times_plain),
            reading
                .decompress_s
                .map(|seconds| format!("{:.2} of {:.2} s", seconds, reading.apply_s))
                .unwrap_or_default(),
        ]
    }));
    format!("\nDry runs of the same rows\n{}", table("  ", &[Left, Right, Right, Right], &rows))
}
