//! Streams of the host, to and from threads that block: in pieces, through a short queue, so that each side waits for the
//! other and memory stays small.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    runtime::Handle,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::joined;
use crate::{
    error::{Error, Result},
    job::committer::stopped,
};

/// Bytes of a piece: large enough that handing it over costs nothing beside writing it.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces under way.
const PIECES_MAX: usize = 4;

/// Reads a stream to its end into a new file, and syncs it. Without the end there is no file.
pub(super) async fn save(
    runtime: &Handle,
    mut reader: impl AsyncRead + Unpin,
    path: PathBuf,
    cancellation: &CancellationToken,
) -> Result<()> {
    let (pieces, mut arriving) = mpsc::channel::<Vec<u8>>(PIECES_MAX);
    let file_path = path.clone();
    let writing = runtime.spawn_blocking(move || {
        let failed = |error: &io::Error| Error::io(format_args!("cannot write `{}`", file_path.display()), error);
        let mut file = std::fs::File::create_new(&file_path).map_err(|error| failed(&error))?;
        while let Some(piece) = arriving.blocking_recv() {
            file.write_all(&piece).map_err(|error| failed(&error))?;
        }
        file.sync_all().map_err(|error| failed(&error))
    });
    let read = tokio::select! {
        biased;
        () = cancellation.cancelled() => Err(stopped(None)),
        read = read_to(&mut reader, &pieces) => read,
    };
    drop(pieces);
    // A reader that lost its writer has no error of its own.
    let saved = joined(writing.await).and(read);
    if saved.is_err() {
        let _ = joined(runtime.spawn_blocking(move || Ok(std::fs::remove_file(path))).await);
    }
    saved
}

async fn read_to(reader: &mut (impl AsyncRead + Unpin), pieces: &mpsc::Sender<Vec<u8>>) -> Result<()> {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        while piece.len() < PIECE_BYTES {
            let read = reader.read_buf(&mut piece).await;
            if read.map_err(|error| Error::input(format!("the stream cannot be read: {error}")))? == 0 {
                break;
            }
        }
        let is_last = piece.is_empty();
        if is_last || pieces.send(piece).await.is_err() {
            return Ok(());
        }
    }
}

/// Has `write` write on a thread that may block, and hands what it writes to `out`.
pub(super) async fn write(
    runtime: &Handle,
    out: &mut (impl AsyncWrite + Unpin + ?Sized),
    write: impl FnOnce(&mut dyn Write) -> Result<u64> + Send + 'static,
) -> Result<u64> {
    let (pieces, mut arriving) = mpsc::channel::<Vec<u8>>(PIECES_MAX);
    let writing = runtime.spawn_blocking(move || {
        let mut pipe = Pipe { pieces, piece: Vec::new() };
        let rows = write(&mut pipe)?;
        pipe.flush().map_err(|error| Error::io("the stream", &error))?;
        Ok(rows)
    });
    let mut passed = Ok(());
    while let Some(piece) = arriving.recv().await {
        passed = out.write_all(&piece).await;
        if passed.is_err() {
            break;
        }
    }
    // Whoever still writes finds nobody listening.
    drop(arriving);
    let flushed = match passed {
        Ok(()) => out.flush().await,
        failed => failed,
    };
    let rows = joined(writing.await);
    flushed.map_err(|error| Error::io("the stream cannot be written", &error))?;
    rows
}

/// The end of the queue that blocks.
struct Pipe {
    pieces: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
