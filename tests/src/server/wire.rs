//! Answers on the wire: whole ones, half ones, and the bodies that faults send.

use std::convert::Infallible;
use std::future::Future as _;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Frame};

use super::Reply;
use super::serve::Shared;
use crate::faults::BodyKind;

/// The connection is cut on purpose.
#[derive(Debug, thiserror::Error)]
#[error("connection cut")]
pub(super) struct Cut;

type AnswerBody = UnsyncBoxBody<Bytes, Cut>;
pub(super) type Answer = hyper::Response<AnswerBody>;

pub(super) fn with_body(code: u16, kind: BodyKind) -> Reply {
    match kind {
        BodyKind::Json => {
            Reply::json(code, &serde_json::json!({ "error": "injected by the sandbox", "status": code }))
        }
        BodyKind::Xml => Reply::new(
            code,
            "application/xml",
            format!("<?xml version=\"1.0\"?><Error><Status>{code}</Status></Error>"),
        ),
        BodyKind::Html => Reply::new(
            code,
            "text/html",
            format!(
                "<!DOCTYPE html><html><head><title>{code}</title></head><body><h1>{code}</h1></body></html>"
            ),
        ),
        BodyKind::Empty => {
            Reply { status: code, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO }
        }
    }
}

pub(super) fn maintenance_page() -> Reply {
    Reply::new(
        503,
        "text/html",
        "<!DOCTYPE html><html><head><title>Service Unavailable</title></head><body><h2>Service Unavailable</h2>\
         <p>The service is under maintenance.</p></body></html>",
    )
}

pub(super) fn gzip_bomb(mebibytes: u32) -> Reply {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let blank = vec![b' '; 1024 * 1024];
    // Writing to memory cannot fail; a short bomb would still be one.
    let packed = (0..mebibytes).try_for_each(|_| packer.write_all(&blank)).and_then(|()| packer.finish());
    let mut reply = Reply::new(200, "application/json", packed.unwrap_or_default());
    reply.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    reply
}

pub(super) fn answer(reply: Reply, shared: &Shared) -> Answer {
    let head = head_of(&reply, shared);
    let body = Full::new(Bytes::from(reply.body)).map_err(|never: Infallible| match never {}).boxed_unsync();
    finished(head, body)
}

pub(super) fn half(reply: Reply, shared: &Shared) -> Answer {
    let head = head_of(&reply, shared).header("content-length", reply.body.len().max(2).to_string());
    let mut part = reply.body;
    part.truncate(part.len() / 2);
    finished(head, HalfBody { part: Some(Bytes::from(part)), pause: None }.boxed_unsync())
}

fn head_of(reply: &Reply, shared: &Shared) -> hyper::http::response::Builder {
    let mut head = hyper::Response::builder()
        .status(reply.status)
        .header("date", shared.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    for (name, value) in &reply.headers {
        head = head.header(name, value);
    }
    head
}

fn finished(head: hyper::http::response::Builder, body: AnswerBody) -> Answer {
    head.body(body).unwrap_or_else(|_| {
        let mut broken = hyper::Response::new(
            Full::new(Bytes::from_static(b"the simulator made an invalid header"))
                .map_err(|never: Infallible| match never {})
                .boxed_unsync(),
        );
        *broken.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}

/// Half of a body, a moment in which it gets on the wire, then the cut.
struct HalfBody {
    part: Option<Bytes>,
    pause: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Body for HalfBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(part) = self.part.take() {
            self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(20))));
            return std::task::Poll::Ready(Some(Ok(Frame::data(part))));
        }
        match &mut self.pause {
            Some(pause) => pause.as_mut().poll(context).map(|()| Some(Err(Cut))),
            None => std::task::Poll::Ready(Some(Err(Cut))),
        }
    }
}
