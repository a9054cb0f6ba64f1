//! What a connection may take before, between and during requests. actix-http's own time-out covers the first head of a
//! connection only; here every head, every wait between requests and every stalled answer has its time, and the number
//! of connections is kept before any byte is read or any TLS is spoken.

use crate::metrics::{self, Metrics};
use crate::settings::{Limits, Network, source};
use actix_web::rt::net::TcpStream;
use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

/// Lets connections in, up to a number in all and from one source.
#[derive(Debug)]
pub(super) struct Gate {
    all: usize,
    per_source: usize,
    trusted: Vec<Network>,
    open: Mutex<Open>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// The place of one open connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    source: Option<IpAddr>,
}

impl Gate {
    pub(super) fn new(limits: &Limits, trusted: &[Network], metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            all: limits.connections,
            per_source: limits.connections_per_source,
            trusted: trusted.to_vec(),
            open: Mutex::default(),
            metrics,
        })
    }

    /// A place for a connection from an address, if there is one.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let source = source(address);
        let counted = self.per_source > 0 && !self.trusted.iter().any(|proxy| proxy.holds(address));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = if open.all >= self.all {
            Some("full")
        } else if counted && open.by_source.get(&source).is_some_and(|open| *open >= self.per_source) {
            Some("source-full")
        } else {
            None
        };
        if let Some(reason) = refused {
            drop(open);
            metrics::count(&self.metrics.connections_refused, reason);
            return None;
        }
        open.all += 1;
        if counted {
            *open.by_source.entry(source).or_default() += 1;
        }
        drop(open);
        self.metrics.connections.inc();
        Some(Place { gate: Arc::clone(self), source: counted.then_some(source) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(source) = self.source
            && let Some(count) = open.by_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                open.by_source.remove(&source);
            }
        }
        drop(open);
        self.gate.metrics.connections.dec();
    }
}

/// A connection's bytes, in the clear or by TLS.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whether a connection is between requests. The server's front tells, the connection's time-outs go by it.
#[derive(Debug)]
pub(super) struct Phase {
    running: Cell<usize>,
    idle_since: Cell<Instant>,
    /// Whether the client spoke TLS to this process.
    pub(super) tls: bool,
}

impl Phase {
    /// A request begins; it ends when what is returned is dropped.
    pub(super) fn request(self: &Rc<Self>) -> Running {
        self.running.set(self.running.get() + 1);
        Running(Rc::clone(self))
    }
}

/// A request that runs.
#[derive(Debug)]
pub(super) struct Running(Rc<Phase>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
        self.0.idle_since.set(Instant::now());
    }
}

/// How long a connection may stay in each phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

impl Times {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { head: limits.header_time, idle: limits.keep_alive, write: limits.write_time }
    }
}

/// A connection with its place and its time-outs.
pub(super) struct Guarded {
    wire: Wire,
    phase: Rc<Phase>,
    times: Times,
    /// When the first byte of the head that is being read came.
    head_since: Option<Instant>,
    last_write: Instant,
    read_due: Option<Pin<Box<Sleep>>>,
    write_due: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl Guarded {
    pub(super) fn new(wire: Wire, place: Place, times: Times) -> Self {
        let now = Instant::now();
        let tls = matches!(wire, Wire::Tls(_));
        let phase = Rc::new(Phase { running: Cell::new(0), idle_since: Cell::new(now), tls });
        Self {
            wire,
            phase,
            times,
            head_since: None,
            last_write: now,
            read_due: None,
            write_due: None,
            _place: place,
        }
    }

    pub(super) fn phase(&self) -> Rc<Phase> {
        Rc::clone(&self.phase)
    }

    /// Until when the next bytes of a head must have come; `None` while a request runs.
    fn read_limit(&self) -> Option<Instant> {
        if self.phase.running.get() > 0 {
            return None;
        }
        let idle_since = self.phase.idle_since.get();
        Some(match self.head_since.filter(|since| *since >= idle_since) {
            Some(since) => since + self.times.head,
            None => idle_since.max(self.last_write) + self.times.idle,
        })
    }

    fn note_bytes(&mut self) {
        let idle_since = self.phase.idle_since.get();
        if self.phase.running.get() == 0 && self.head_since.is_none_or(|since| since < idle_since) {
            self.head_since = Some(Instant::now());
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client took too long")
}

/// Whether a moment has come; the task is woken when it does.
fn has_come(due: &mut Option<Pin<Box<Sleep>>>, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let sleep = due.get_or_insert_with(|| Box::pin(sleep_until(at)));
    if sleep.deadline() != at {
        sleep.as_mut().reset(at);
    }
    sleep.as_mut().poll(cx)
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = match &mut this.wire {
            Wire::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Wire::Tls(io) => Pin::new(io).poll_read(cx, buf),
        };
        if read.is_ready() {
            if buf.filled().len() > before {
                this.note_bytes();
            }
            return read;
        }
        let Some(at) = this.read_limit() else { return Poll::Pending };
        ready!(has_come(&mut this.read_due, at, cx));
        Poll::Ready(Err(too_slow()))
    }
}

impl Guarded {
    /// Gives a stalled answer its time.
    fn written<T>(&mut self, write: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.write_due = None;
            self.last_write = Instant::now();
            return write;
        }
        let at = match &self.write_due {
            Some(due) => due.deadline(),
            None => Instant::now() + self.times.write,
        };
        ready!(has_come(&mut self.write_due, at, cx));
        Poll::Ready(Err(too_slow()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = match &mut self.wire {
            Wire::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Wire::Tls(io) => Pin::new(io).poll_write(cx, buf),
        };
        self.written(write, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = match &mut self.wire {
            Wire::Plain(io) => Pin::new(io).poll_flush(cx),
            Wire::Tls(io) => Pin::new(io).poll_flush(cx),
        };
        self.written(flush, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = match &mut self.wire {
            Wire::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Wire::Tls(io) => Pin::new(io).poll_shutdown(cx),
        };
        self.written(end, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn gate(all: usize, per_source: usize) -> Arc<Gate> {
        let limits =
            Limits { connections: all, connections_per_source: per_source, ..Settings::defaults().limits };
        Gate::new(&limits, &["10.0.0.0/8".parse().unwrap()], Metrics::new())
    }

    #[test]
    fn one_source_takes_its_share_and_a_place_comes_back() {
        let gate = gate(100, 2);
        let come = |address: &str| gate.admit(address.parse().unwrap());
        let (first, _second) = (come("192.0.2.1").unwrap(), come("192.0.2.1").unwrap());
        assert!(come("192.0.2.1").is_none() && come("::ffff:192.0.2.1").is_none());
        let _other = come("192.0.2.2").unwrap();
        drop(first);
        let _again = come("192.0.2.1").unwrap();
        assert_eq!(gate.metrics.connections.get(), 3);
    }

    #[test]
    fn a_network_of_version_six_is_one_source() {
        let gate = gate(100, 1);
        let _one = gate.admit("2001:db8:1:1::1".parse().unwrap()).unwrap();
        assert!(gate.admit("2001:db8:1:1:ffff::9".parse().unwrap()).is_none());
        assert!(gate.admit("2001:db8:1:2::1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_trusted_proxy_brings_everybody_up_to_the_number_in_all() {
        let gate = gate(3, 1);
        let places: Vec<_> = (0..3).map(|_| gate.admit("10.0.0.1".parse().unwrap()).unwrap()).collect();
        assert!(gate.admit("10.0.0.1".parse().unwrap()).is_none());
        assert!(gate.admit("192.0.2.1".parse().unwrap()).is_none());
        drop(places);
        assert!(gate.open.lock().unwrap().by_source.is_empty());
        assert_eq!(gate.metrics.connections.get(), 0);
    }
}
