//! The two bodies of one exchange, as the connection sees them: whether the request's was read to its end before the answer was there, and who waits for
//! whom. Does not look into them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::connections::Progress;

/// An answer is handed over in pieces of at most so many bytes, so that it shows when the client takes no more.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// What became of a request's body.
enum State<B> {
    /// It is being read, or may yet be.
    Held,
    /// It was read to its end.
    Read,
    /// Its reader has let go of it before its end, and had begun or not.
    Left(B, bool),
}

/// Knows what became of a request's body.
pub(crate) struct Rest<B>(Arc<Mutex<State<B>>>);

/// How much of a body that nothing reads is read and forgotten, so that its connection can go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained {
    pub bytes_max: usize,
    pub seconds_max: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: HttpBody + Unpin> Rest<B> {
    /// Whether the body is at its end, if need be after what is left of it was read. One that the client holds back until it is asked for is not asked for.
    pub(crate) async fn comes_to_its_end(self, is_held_back: bool, drained: Drained) -> bool {
        let state = std::mem::replace(&mut *lock(&self.0), State::Held);
        match state {
            State::Read => true,
            State::Left(body, has_begun) if has_begun || !is_held_back => {
                let limit = Duration::from_secs(drained.seconds_max);
                tokio::time::timeout(limit, drain(body, drained.bytes_max))
                    .await
                    .unwrap_or(false)
            }
            State::Held | State::Left(..) => false,
        }
    }
}

/// Whether the end came before there was too much.
async fn drain<B: HttpBody + Unpin>(mut body: B, bytes_max: usize) -> bool {
    let mut left = bytes_max;
    while !body.is_end_stream() {
        if body.size_hint().lower() > left as u64 {
            return false;
        }
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                left = left.saturating_sub(frame.data_ref().map_or(0, bytes::Buf::remaining));
            }
        }
        if left == 0 && !body.is_end_stream() {
            return false;
        }
    }
    true
}

/// A request's body on loan to the handler that answers it.
pub(crate) struct Lent<B: HttpBody + Unpin> {
    body: Option<B>,
    has_begun: bool,
    rest: Arc<Mutex<State<B>>>,
    progress: Arc<Progress>,
}

impl<B: HttpBody + Unpin> Lent<B> {
    pub(crate) fn new(body: B, progress: Arc<Progress>) -> (Self, Rest<B>) {
        let rest = Arc::new(Mutex::new(State::Held));
        (
            Self {
                body: Some(body),
                has_begun: false,
                rest: Arc::clone(&rest),
                progress,
            },
            Rest(rest),
        )
    }
}

impl<B: HttpBody + Unpin> HttpBody for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        this.has_begun = true;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        if polled.is_pending() {
            this.progress.waits();
        } else {
            this.progress.goes_on();
        }
        let read = ready!(polled);
        if read.is_none() {
            this.body = None;
        }
        Poll::Ready(read)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B: HttpBody + Unpin> Drop for Lent<B> {
    fn drop(&mut self) {
        self.progress.goes_on();
        let left = self.body.take().filter(|body| !body.is_end_stream());
        *lock(&self.rest) = left.map_or(State::Read, |body| State::Left(body, self.has_begun));
    }
}

/// An answer's body on its way to the client.
pub(crate) struct Given {
    body: Body,
    /// What was too large for one piece.
    rest: Bytes,
    progress: Arc<Progress>,
}

impl Given {
    pub(crate) fn new(body: Body, progress: Arc<Progress>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            progress,
        }
    }
}

impl HttpBody for Given {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.progress.goes_on();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context))
                .map(|read| read.map(Frame::into_data))
            {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        this.progress.waits();
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;
    use crate::connections::Activity;

    type Frames = Vec<Result<Frame<Bytes>, std::io::Error>>;

    fn frames(sizes: &[usize]) -> impl HttpBody<Data = Bytes, Error = std::io::Error> + Unpin {
        let frames: Frames = sizes
            .iter()
            .map(|size| Ok(Frame::data(Bytes::from(vec![b'x'; *size]))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn what_was_not_read_is_drained_within_bounds() {
        let check = async |sizes: &[usize], reads: usize, held_back: bool, expected: bool| {
            let (mut lent, rest) = Lent::new(frames(sizes), Activity::new().request());
            for _ in 0..reads {
                drop(lent.frame().await);
            }
            drop(lent);
            let drained = Drained {
                bytes_max: 10,
                seconds_max: 10,
            };
            assert_eq!(
                rest.comes_to_its_end(held_back, drained).await,
                expected,
                "{sizes:?} {reads} {held_back}"
            );
        };
        check(&[5, 5], 3, false, true).await;
        check(&[5, 5], 0, false, false).await;
        check(&[5, 4], 0, false, true).await;
        check(&[5, 4], 0, true, false).await;
        check(&[5, 4], 1, true, true).await;
        check(&[5, 500], 1, false, false).await;
        check(&[500, 4], 1, false, true).await;
        check(&[], 0, false, true).await;
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for_long() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        let (lent, rest) = Lent::new(never, Activity::new().request());
        drop(lent);
        assert!(
            !rest
                .comes_to_its_end(
                    false,
                    Drained {
                        bytes_max: 10,
                        seconds_max: 0
                    }
                )
                .await
        );
    }

    #[tokio::test]
    async fn large_answers_are_given_in_pieces() {
        let text = Bytes::from(vec![b'x'; 3 * PIECE_BYTES_MAX + 7]);
        let mut given = Given::new(Body::from(text.clone()), Activity::new().request());
        let mut sizes = Vec::new();
        let mut left = text.len() as u64;
        while !given.is_end_stream() {
            assert_eq!(given.size_hint().exact(), Some(left));
            let piece = given.frame().await.unwrap().unwrap().into_data().unwrap();
            left -= piece.len() as u64;
            sizes.push(piece.len());
        }
        assert_eq!(
            (sizes, left),
            (
                vec![PIECE_BYTES_MAX, PIECE_BYTES_MAX, PIECE_BYTES_MAX, 7],
                0
            )
        );
    }
}
