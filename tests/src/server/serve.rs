//! The listener: one task per connection, one exchange at a time, faults applied around the simulator's synchronous
//! `handle`. A connection can be cut without an answer because the service may fail; a commit that comes late runs in
//! a task of its own, so it happens even though the caller is gone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use super::journal::{Call, Journal, safe_headers, safe_text};
use super::wire::{Answer, Cut, answer, gzip_bomb, half, maintenance_page, with_body};
use super::{Reply, Request, SimClock, Simulator, TlsIdentity, admin, courier};
use crate::faults::{BodyKind, FaultAction, FaultBook, FaultRule};

/// Largest request body taken.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// How a simulator is served.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// HTTPS with this certificate.
    pub tls: Option<TlsIdentity>,
    /// The clock that calls, faults and the `Date` header see.
    pub clock: SimClock,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), tls: None, clock: SimClock::running() }
    }
}

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address} (is another sandbox running there?)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate and key do not fit.
    #[error("the certificate cannot be served")]
    Tls(#[from] rustls::Error),
}

/// Starts a simulator. It runs until `stop` or until the handle is dropped.
///
/// # Errors
/// When the address cannot be listened on or the certificate does not fit its key.
pub async fn serve(sim: Box<dyn Simulator>, options: ServeOptions) -> Result<Running, ServeError> {
    let refused = |source| ServeError::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let tls = options.tls.map(acceptor).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (stop, stopped) = watch::channel(false);
    let name = sim.name();
    let shared = Arc::new(Shared {
        name,
        sim: Mutex::new(sim),
        faults: Mutex::default(),
        journal: Mutex::default(),
        maintenance_until: Mutex::default(),
        pending: AtomicUsize::new(0),
        work: Notify::new(),
        clock: options.clock,
        stopped: stopped.clone(),
    });
    tokio::spawn(courier::run(Arc::clone(&shared)));
    tokio::spawn(accept(listener, tls, Arc::clone(&shared), stopped));
    Ok(Running { shared, address, scheme, stop })
}

/// A simulator that is being served.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Root URL without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The simulator's state.
    pub fn state(&self) -> Value {
        self.shared.sim().state()
    }

    /// The last received calls, oldest first.
    pub fn journal(&self) -> Vec<Call> {
        locked(&self.shared.journal).calls()
    }

    /// How many calls it has received.
    pub fn received(&self) -> u64 {
        locked(&self.shared.journal).total()
    }

    /// Adds fault rules.
    pub fn faults(&self, rules: impl IntoIterator<Item = FaultRule>) {
        let mut book = locked(&self.shared.faults);
        rules.into_iter().for_each(|rule| book.add(rule));
    }

    /// Removes all fault rules and ends a maintenance window.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Changes knobs or state.
    ///
    /// # Errors
    /// As the simulator says.
    pub fn control(&self, verb: &str, body: &Value) -> Result<Value, String> {
        self.shared.control(verb, body)
    }

    /// Waits until every call of the simulator's own that is due has ended, e.g. each webhook delivery.
    pub async fn delivered(&self) {
        while self.shared.sim().outgoing_left(self.shared.clock.now()) > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Wrong calls so far.
    pub fn misuse(&self) -> Vec<String> {
        self.shared.sim().misuse()
    }

    /// The clock.
    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    /// Moves the simulator's clock on.
    pub fn advance_clock(&self, by: TimeDelta) {
        self.shared.clock.advance(by);
    }

    /// Calls that were cut and are still to be committed.
    pub fn pending_commits(&self) -> usize {
        self.shared.pending.load(Ordering::SeqCst)
    }

    /// Puts simulator, journal, faults and clock back to the beginning.
    ///
    /// # Errors
    /// When the simulator has no `reset`.
    pub fn reset(&self) -> Result<Value, String> {
        self.shared.reset()
    }

    /// Stops listening and cuts every connection.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

pub(crate) struct Shared {
    pub(crate) name: &'static str,
    sim: Mutex<Box<dyn Simulator>>,
    pub(crate) faults: Mutex<FaultBook>,
    pub(crate) journal: Mutex<Journal>,
    maintenance_until: Mutex<Option<DateTime<Utc>>>,
    pub(crate) pending: AtomicUsize,
    /// Rung when the simulator may have calls of its own to make.
    pub(crate) work: Notify,
    pub(crate) clock: SimClock,
    stopped: watch::Receiver<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn sim(&self) -> MutexGuard<'_, Box<dyn Simulator>> {
        locked(&self.sim)
    }

    pub(crate) fn clear_faults(&self) {
        locked(&self.faults).clear();
        *locked(&self.maintenance_until) = None;
    }

    pub(crate) fn reset(&self) -> Result<Value, String> {
        self.clear_faults();
        locked(&self.journal).clear();
        self.clock.reset();
        self.control("reset", &Value::Null)
    }

    pub(crate) fn control(&self, verb: &str, body: &Value) -> Result<Value, String> {
        let done = {
            let mut sim = self.sim();
            sim.tell_time(self.clock.now());
            sim.control(verb, body)
        };
        self.work.notify_one();
        done
    }

    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.clone()
    }

    fn in_maintenance(&self) -> bool {
        let now = self.clock.now();
        locked(&self.maintenance_until).is_some_and(|until| now < until)
    }

    fn handle(&self, request: &Request) -> Reply {
        let reply = self.sim().handle(request);
        self.work.notify_one();
        reply
    }
}

/// A poisoned lock is taken all the same: a simulator that panicked in one call must not take the others with it.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn acceptor(identity: TlsIdentity) -> Result<TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        // A failed accept (no file handles left) is the caller's refused connection; the listener goes on.
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let (tls, shared, mut stopped) = (tls.clone(), Arc::clone(&shared), stopped.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(stream, tls, shared) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Both are the peer's business: without either the connection just ends.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => exchanges(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                exchanges(stream, shared).await;
            }
        }
    }
}

async fn exchanges(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { exchange(request, shared).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // An error is a connection that we or the peer cut: nothing to tell anybody.
    drop(served);
}

async fn exchange(request: hyper::Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Cut> {
    let request = read(request, &shared).await?;
    if request.path.starts_with("/_sandbox/") || request.path == "/_sandbox" {
        return Ok(answer(admin::answer(&request, &shared), &shared));
    }
    if shared.in_maintenance() {
        let reply = maintenance_page();
        note(&shared, &request, Some(reply.status), Some("maintenance"));
        return Ok(answer(reply, &shared));
    }
    let verdict = locked(&shared.faults).decide(&request);
    if verdict.latency_ms > 0 {
        // The vendor goes on working when its caller hangs up, so the rest of the call is a task of its own.
        let pause = Duration::from_millis(verdict.latency_ms);
        let task = tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let fault = verdict.action.as_ref().map_or("latency", FaultAction::name);
            act(request, verdict.action.clone(), fault, shared).await
        });
        return task.await.unwrap_or(Err(Cut));
    }
    match verdict.action {
        None => plain(&request, None, &shared).await,
        Some(action) => {
            let name = action.name();
            act(request, Some(action), name, shared).await
        }
    }
}

async fn read(request: hyper::Request<Incoming>, shared: &Shared) -> Result<Request, Cut> {
    let (head, body) = request.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Cut)?.to_bytes().to_vec();
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
        at: shared.clock.now(),
    })
}

async fn plain(request: &Request, fault: Option<&str>, shared: &Arc<Shared>) -> Result<Answer, Cut> {
    let reply = shared.handle(request);
    note(shared, request, Some(reply.status), fault);
    if !reply.delay.is_zero() {
        work(reply.delay, request.at, shared).await;
    }
    Ok(answer(reply, shared))
}

/// The vendor works for so long, on its own clock or on the machine's.
async fn work(delay: Duration, since: DateTime<Utc>, shared: &Shared) {
    let on_clock = shared.sim().delays_on_clock();
    match TimeDelta::from_std(delay) {
        Ok(delay) if on_clock => shared.clock.reached(since + delay).await,
        _ => tokio::time::sleep(delay).await,
    }
}

async fn act(
    request: Request,
    action: Option<FaultAction>,
    name: &'static str,
    shared: Arc<Shared>,
) -> Result<Answer, Cut> {
    let fault = Some(name);
    let Some(action) = action else { return plain(&request, fault, &shared).await };
    match action {
        FaultAction::Latency { .. } => plain(&request, fault, &shared).await,
        FaultAction::CutBeforeCommit => {
            note(&shared, &request, None, fault);
            Err(Cut)
        }
        FaultAction::CutAfterCommit => {
            shared.handle(&request);
            note(&shared, &request, None, fault);
            Err(Cut)
        }
        FaultAction::LateCommit { after_seconds, hang } => {
            note(&shared, &request, None, fault);
            let stopped = shared.stopped.clone();
            commit_later(request, after_seconds, shared);
            if hang {
                silence(stopped).await;
            }
            Err(Cut)
        }
        FaultAction::Hang => {
            note(&shared, &request, None, fault);
            silence(shared.stopped.clone()).await;
            Err(Cut)
        }
        FaultAction::HalfAnswer => {
            let reply = shared.handle(&request);
            note(&shared, &request, Some(reply.status), fault);
            Ok(half(reply, &shared))
        }
        FaultAction::MalformedBody | FaultAction::TruncatedBody => {
            let mut reply = shared.handle(&request);
            note(&shared, &request, Some(reply.status), fault);
            match action {
                FaultAction::TruncatedBody => reply.body.truncate(reply.body.len() / 2),
                _ => reply.body = b"{\"value\":[{\"a\":1,}],,\xff".to_vec(),
            }
            Ok(answer(reply, &shared))
        }
        FaultAction::Status { code, retry_after, body } => {
            let mut reply = with_body(code, body);
            reply.headers.extend(retry_after.map(|value| ("retry-after".to_owned(), value)));
            note(&shared, &request, Some(code), fault);
            Ok(answer(reply, &shared))
        }
        FaultAction::UnauthorizedUntilRelogin => {
            note(&shared, &request, Some(401), fault);
            Ok(answer(with_body(401, BodyKind::Json), &shared))
        }
        FaultAction::GzipBomb { mebibytes } => {
            note(&shared, &request, Some(200), fault);
            Ok(answer(gzip_bomb(mebibytes), &shared))
        }
        FaultAction::Maintenance { seconds } => {
            let until = shared.clock.now() + seconds_of(seconds);
            *locked(&shared.maintenance_until) = Some(until);
            note(&shared, &request, Some(503), fault);
            Ok(answer(maintenance_page(), &shared))
        }
    }
}

fn commit_later(mut request: Request, after_seconds: u64, shared: Arc<Shared>) {
    let due = shared.clock.now() + seconds_of(after_seconds);
    shared.pending.fetch_add(1, Ordering::SeqCst);
    tokio::spawn(async move {
        let mut stopped = shared.stopped.clone();
        tokio::select! {
            () = shared.clock.reached(due) => {
                request.at = shared.clock.now();
                shared.handle(&request);
            }
            _ = stopped.wait_for(|stop| *stop) => {}
        }
        shared.pending.fetch_sub(1, Ordering::SeqCst);
    });
}

async fn silence(mut stopped: watch::Receiver<bool>) {
    // A dropped sender means stop as well.
    drop(stopped.wait_for(|stop| *stop).await);
}

fn seconds_of(seconds: u64) -> TimeDelta {
    i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds).unwrap_or(TimeDelta::days(36_500))
}

fn note(shared: &Shared, request: &Request, status: Option<u16>, fault: Option<&str>) {
    let operation = shared.sim().operation(request);
    let call = Call {
        number: 0,
        at: request.at.to_rfc3339(),
        method: request.method.clone(),
        path: request.path.clone(),
        query: safe_text(request.query.as_bytes()),
        headers: safe_headers(&request.headers),
        body: safe_text(&request.body),
        operation,
        status,
        fault: fault.map(str::to_owned),
    };
    locked(&shared.journal).record(call);
}
