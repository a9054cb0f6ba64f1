//! The server over real sockets: limits, slow clients, proxies, TLS, logs, the end.

mod canaries;
mod ending;
mod limits;
mod services;
mod slow;
mod tls;

use super::{Parts, Running, Stopper};
use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::request::{caller, note};
use crate::settings::Settings;
use actix_web::{HttpRequest, HttpResponse, web};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs with a few routes of its own.
struct Served {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    certificate: Option<Arc<super::tls::Certificate>>,
    metrics: Metrics,
    drain: Drain,
    stopper: Stopper,
    ended: actix_web::rt::task::JoinHandle<std::io::Result<()>>,
}

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::defaults();
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.workers = 2;
    settings.limits.connections_per_source = 0;
    change(&mut settings);
    settings
}

fn serve(settings: Settings) -> Served {
    let (metrics, drain) = (Metrics::new(), Drain::new());
    let waiting = drain.clone();
    let parts = Parts {
        settings: Arc::new(settings),
        metrics: metrics.clone(),
        drain: drain.clone(),
        store: Arc::new(|| Box::pin(async { Ok(()) })),
        look: Arc::new(|| {}),
        routes: Arc::new(move |config| routes(config, waiting.clone())),
    };
    let running: Running = parts.start().unwrap();
    Served {
        address: running.address,
        metrics_address: running.metrics_address,
        certificate: running.certificate(),
        metrics,
        drain,
        stopper: running.stopper(),
        ended: actix_web::rt::spawn(running.run()),
    }
}

fn routes(config: &mut web::ServiceConfig, drain: Drain) {
    config
        .app_data(web::Data::new(drain))
        .route("/who", web::get().to(who))
        .route("/panic", web::get().to(falls_over))
        .route("/length", web::post().to(length))
        .route("/parked", web::get().to(parked))
        .route("/keeps", web::post().to(keeps))
        .route("/hooks/{id}", web::post().to(length));
}

async fn who(request: HttpRequest) -> HttpResponse {
    note(&request, |note| note.tenant = Some("t-known".into()));
    HttpResponse::Ok().body(format!("{:?}", caller(&request)))
}

async fn falls_over(request: HttpRequest) -> HttpResponse {
    assert_eq!(request.query_string(), "", "canary-in-panic");
    panic!("canary-in-panic");
}

async fn length(body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().body(body.len().to_string())
}

async fn parked(request: HttpRequest, drain: web::Data<Drain>) -> HttpResponse {
    note(&request, |note| note.parked = true);
    drain.begun().await;
    HttpResponse::Ok().body("sent home")
}

/// Told when `/keeps` has a body.
static KEPT: Notify = Notify::const_new();

async fn keeps(body: web::Bytes, drain: web::Data<Drain>) -> HttpResponse {
    KEPT.notify_one();
    drain.begun().await;
    HttpResponse::Ok().body(body.len().to_string())
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request on a connection of its own and reads until the server closes it.
    async fn ask(&self, text: &str) -> String {
        ask(self.connect().await, text).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&get(path, "connection: close\r\n")).await
    }

    async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.stopper.stop()).await.unwrap();
        tokio::time::timeout(PATIENCE, self.ended).await.unwrap().unwrap().unwrap();
    }
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: control.example.test\r\n{headers}\r\n")
}

async fn ask(mut io: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    io.write_all(text.as_bytes()).await.unwrap();
    until_closed(&mut io).await
}

/// Everything that comes until the server closes the connection, which it must.
async fn until_closed(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _end =
        tokio::time::timeout(PATIENCE, io.read_to_end(&mut answer)).await.expect("the connection stays open");
    String::from_utf8(answer).unwrap()
}

/// One answer on a connection that stays open.
async fn one_answer(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let whole = async {
        loop {
            let mut part = [0; 4096];
            let read = io.read(&mut part).await.unwrap();
            assert!(read > 0, "closed after {answer:?}");
            answer.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("no answer");
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(known, _)| *known == name).map(|(_, value)| value))
}
