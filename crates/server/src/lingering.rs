//! The bytes of a connection, passed on as they are, and the end of it. A connection that is closed while the client still sends is reset, and the client
//! may lose the answer that was sent before. So the end is said first, and then what still comes is read and forgotten, for a while. It is never looked at.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How much is read and forgotten after the end of a connection was said, in bytes.
pub const FORGOTTEN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long that may take, in seconds.
pub const FORGET_SECONDS_MAX: u64 = 2;
/// Bytes that are read at once for it.
const FORGET_AT_ONCE: usize = 16 * 1024;

/// A connection that waits for the end of the other side before it is closed.
pub(crate) struct Lingering<S> {
    stream: S,
    end: End,
}

enum End {
    /// It is not at its end.
    No,
    /// The end was said; so much is still read, for so long.
    Said(usize, Pin<Box<Sleep>>),
    /// The other side has ended too, or may not send more.
    Done,
}

impl<S> Lingering<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            end: End::No,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.end, End::No) {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.end = End::Said(
                FORGOTTEN_BYTES_MAX,
                Box::pin(sleep(Duration::from_secs(FORGET_SECONDS_MAX))),
            );
        }
        if let End::Said(left, limit) = &mut this.end {
            ready!(forget(&mut this.stream, left, limit.as_mut(), context));
            this.end = End::Done;
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads until the other side has ended, or may not send more.
fn forget<S: AsyncRead + Unpin>(
    stream: &mut S,
    left: &mut usize,
    limit: Pin<&mut Sleep>,
    context: &mut Context<'_>,
) -> Poll<()> {
    if limit.poll(context).is_ready() {
        return Poll::Ready(());
    }
    let mut bytes = [0; FORGET_AT_ONCE];
    loop {
        let mut buffer = ReadBuf::new(&mut bytes);
        // The other side may end by breaking off.
        if ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)).is_err() {
            return Poll::Ready(());
        }
        let count = buffer.filled().len();
        *left = left.saturating_sub(count);
        if count == 0 || *left == 0 {
            return Poll::Ready(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_comes_after_the_end_is_read_and_forgotten() {
        let (mut client, server) = duplex(64);
        let mut server = Lingering::new(server);
        server.write_all(b"answer").await.unwrap();
        let late = async {
            let mut answer = String::new();
            client.write_all(&[b'x'; 10_000]).await.unwrap();
            client.read_to_string(&mut answer).await.unwrap();
            drop(client);
            answer
        };
        let (ended, answer) = tokio::join!(server.shutdown(), late);
        assert_eq!((ended.is_ok(), answer.as_str()), (true, "answer"));
    }

    #[tokio::test]
    async fn bytes_stay_as_they_are() {
        let (mut client, server) = duplex(7);
        let mut server = Lingering::new(server);
        let text =
            "POST /a?b=\"c\" HTTP/1.1\r\nContent-Length: 24\r\n\r\nGET /a?b=\"c\" HTTP/1.1\r\n\n";
        let mut got = vec![0; text.len()];
        let (sent, read) = tokio::join!(
            client.write_all(text.as_bytes()),
            server.read_exact(&mut got)
        );
        assert_eq!(
            (sent.is_ok(), read.is_ok(), got.as_slice()),
            (true, true, text.as_bytes())
        );
    }
}
