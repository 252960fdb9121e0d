//! Streams of the host, to and from threads that block: in pieces, through a short queue, so that each side waits for the
//! other and memory stays small.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    runtime::Handle,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::joined;
use crate::{
    engine::Engine,
    error::{Error, Result},
    import::spool::Spooled,
    job::{committer::stopped, progress::Progress},
};

/// Bytes of a piece: large enough that handing it over costs nothing beside writing it.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces under way.
const PIECES_MAX: usize = 4;

/// Has the engine keep a stream, as it does standard input, on a thread that may block.
pub(super) async fn spool(
    runtime: &Handle,
    engine: Arc<Engine>,
    mut reader: impl AsyncRead + Unpin,
    progress: Progress,
    cancellation: &CancellationToken,
) -> Result<Spooled> {
    let (pieces, arriving) = mpsc::channel(PIECES_MAX);
    let arriving = Arriving { pieces: arriving, piece: Vec::new(), given: 0 };
    let keeping = runtime.spawn_blocking(move || engine.spool(arriving, &progress));
    let is_cancelled = tokio::select! {
        biased;
        () = cancellation.cancelled() => true,
        () = read_to(&mut reader, &pieces) => false,
    };
    if is_cancelled {
        // The end of the pieces alone would pass for the stream's.
        let _ = pieces.send(Err(io::ErrorKind::ConnectionAborted.into())).await;
    }
    drop(pieces);
    let spooled = joined(keeping.await);
    if is_cancelled { Err(stopped(None)) } else { spooled }
}

/// Hands over a stream in pieces, and its error if it breaks off.
async fn read_to(reader: &mut (impl AsyncRead + Unpin), pieces: &mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        while piece.len() < PIECE_BYTES {
            match reader.read_buf(&mut piece).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    let _ = pieces.send(Err(error)).await;
                    return;
                }
            }
        }
        if piece.is_empty() || pieces.send(Ok(piece)).await.is_err() {
            return;
        }
    }
}

/// The end of the queue that blocks, of a stream on its way in.
struct Arriving {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    given: usize,
}

impl Read for Arriving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.piece.len() {
            match self.pieces.blocking_recv() {
                Some(piece) => (self.piece, self.given) = (piece?, 0),
                None => return Ok(0),
            }
        }
        let rest = &self.piece[self.given..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
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

/// The end of the queue that blocks, of a stream on its way out.
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
