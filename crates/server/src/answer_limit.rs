//! An answer that is written piece by piece breaks off where the next piece does not come in time: the time limit of the request ended with its head.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// A body with a time limit for each of its pieces.
struct Timely {
    body: Body,
    limit: Duration,
    /// Since the last piece was asked for and did not come.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// The same body, with a time limit for each piece where it is not there as a whole.
pub(crate) fn timely(body: Body, limit: Duration) -> Body {
    if body.size_hint().exact().is_some() {
        body
    } else {
        Body::new(Timely {
            body,
            limit,
            waiting: None,
        })
    }
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(read) = Pin::new(&mut this.body).poll_frame(context) {
            this.waiting = None;
            return Poll::Ready(read);
        }
        let waiting = this
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(this.limit)));
        if waiting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        tracing::warn!("an answer broke off because what it is made of did not come in time");
        Poll::Ready(Some(Err(Error::new(std::io::Error::from(
            std::io::ErrorKind::TimedOut,
        )))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_whose_next_piece_does_not_come_breaks_off() {
        let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"piece")) });
        let mut body = timely(
            Body::from_stream(first.chain(stream::pending())),
            Duration::ZERO,
        );
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "piece"
        );
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn what_is_there_as_a_whole_stays_as_it_is() {
        let body = timely(Body::from("whole"), Duration::ZERO);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "whole");
    }
}
