//! Lines that a store writes while a client reads them: as much is on its way as fits a few buffers, however long all of it is.

use std::io::{self, Write};

use axum::body::{Body, Bytes};
use futures_util::stream::unfold;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes that are handed over at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for the client.
const CHUNKS_MAX: usize = 8;

/// Where a store writes, on a thread that may wait. What is written and not flushed is lost, so that an answer that broke off does not look whole.
pub(crate) struct Lines {
    chunks: Sender<Bytes>,
    chunk: Vec<u8>,
}

/// A sink, and the body that has what is written into it.
pub(crate) fn stream() -> (Lines, Body) {
    let (chunks, received): (_, Receiver<Bytes>) = channel(CHUNKS_MAX);
    let next = |mut received: Receiver<Bytes>| async move {
        received
            .recv()
            .await
            .map(|chunk| (Ok::<_, io::Error>(chunk), received))
    };
    (
        Lines {
            chunks,
            chunk: Vec::new(),
        },
        Body::from_stream(unfold(received, next)),
    )
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        self.chunks
            .blocking_send(chunk)
            .map_err(|_| io::Error::other("the client is gone"))
    }
}
