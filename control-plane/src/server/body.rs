//! Bodies of requests: how large, how slow, and how much memory all of them may take together, from when they are read
//! until the request is answered or has let its body go.

use super::too_large;
use crate::request::hold;
use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::Bytes;
use futures_util::Stream;
use purser_proto::link::{self, Problem};
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Room for the bodies that are being read.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    taken: AtomicUsize,
}

/// Part of the room; given back when it is dropped.
#[derive(Debug)]
struct Share {
    room: Arc<Room>,
    bytes: AtomicUsize,
}

impl Room {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0) })
    }
}

impl Share {
    /// Takes more, if there is any.
    fn grow(&self, bytes: usize) -> bool {
        let before = self.room.taken.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.room.most {
            self.room.taken.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

/// What bodies of one kind of request may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// Puts the limit on a request's body.
///
/// # Errors
/// The refusal, when the request says itself that it is too large.
pub(super) fn limited(
    request: &mut ServiceRequest,
    limit: BodyLimit,
    room: &Arc<Room>,
) -> Result<(), Problem> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if let Some(length) = declared.and_then(|length| length.parse::<u64>().ok())
        && length > limit.bytes as u64
    {
        return Err(too_large(limit.bytes));
    }
    let inner = request.take_payload();
    if matches!(inner, Payload::None) {
        return Ok(());
    }
    let share = Arc::new(Share { room: Arc::clone(room), bytes: AtomicUsize::new(0) });
    hold(request, share.clone());
    let body = LimitedBody { inner, limit, share, due: Box::pin(sleep(limit.time)), read: 0 };
    request.set_payload(Payload::Stream { payload: Box::pin(body) });
    Ok(())
}

/// A body that ends with an error when it becomes too large, too slow, or there is no room for it.
struct LimitedBody {
    inner: Payload,
    limit: BodyLimit,
    share: Arc<Share>,
    due: Pin<Box<Sleep>>,
    read: usize,
}

impl Stream for LimitedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let io =
            |kind, why: &'static str| Poll::Ready(Some(Err(PayloadError::Io(io::Error::new(kind, why)))));
        match Pin::new(&mut this.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                this.read += bytes.len();
                if this.read > this.limit.bytes {
                    return Poll::Ready(Some(Err(PayloadError::Overflow)));
                }
                if !this.share.grow(bytes.len()) {
                    return io(io::ErrorKind::OutOfMemory, "too many bodies are being read");
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(other) => Poll::Ready(other),
            Poll::Pending => match this.due.as_mut().poll(cx) {
                Poll::Ready(()) => io(io::ErrorKind::TimedOut, "the body took too long"),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

/// How the failure to read a body is answered.
pub(super) fn refusal(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Overflow => too_large(link::limits::LARGEST_MESSAGE),
        PayloadError::Io(error) if error.kind() == io::ErrorKind::OutOfMemory => {
            Problem::new(503, "busy", "too many large requests at once", "try again in a few seconds")
        }
        PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Problem::new(
            408,
            "body-too-slow",
            "the body took too long",
            "send it again over a faster connection",
        ),
        _ => Problem::new(400, "body-unreadable", "the body could not be read", "send it again, whole"),
    }
}
