//! A control plane in an enemy's hands: it speaks the link's JSON, written by hand, and sends whatever it likes. It keeps
//! every byte that the agent says.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::super::hand::now;

/// How it calls the agent.
pub(super) const AGENT: &str = "ahostile01";

/// An HTTP answer in place of a message.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// What the agent said.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Every request, head and body.
    pub(super) said: Vec<Vec<u8>>,
    /// The keys that it enrolled with.
    pub(super) keys: Value,
    pub(super) reports: Vec<Value>,
    pub(super) taken: BTreeSet<String>,
    /// The configuration that it says is in force.
    pub(super) in_force: Value,
    /// Answers in place of a message that were sent.
    pub(super) raw_sent: usize,
    last: u64,
}

#[derive(Default)]
struct State {
    heard: Heard,
    queue: Vec<Value>,
    raw: VecDeque<Raw>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// The server. It is gone with its handle.
pub(super) struct Hostile {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Hostile {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    // An agent that gives a request up cuts the connection.
                    drop(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self { port, shared, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn heard(&self) -> Heard {
        self.shared.locked().heard.clone()
    }

    /// Delivers until it is taken.
    pub(super) fn deliver(&self, id: &str, body: Value) {
        self.shared.locked().queue.push(json!({ "id": id, "body": body }));
        self.shared.changed.notify_waiters();
    }

    /// The next sync is answered with this.
    pub(super) fn answer_raw(&self, raw: Raw) {
        self.shared.locked().raw.push_back(raw);
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sync(&self, said: &Value) -> Result<Value, Raw> {
        self.locked().take_in(said);
        let patience = Duration::from_secs(said["wait_seconds"].as_u64().unwrap_or(0).min(55));
        let answer = async {
            loop {
                let changed = self.changed.notified();
                if let Some(answer) = self.locked().something() {
                    return answer;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| Ok(self.locked().message()))
    }
}

impl State {
    fn take_in(&mut self, said: &Value) {
        let heard = &mut self.heard;
        heard.in_force = said["in_force"].clone();
        for report in said["reports"].as_array().into_iter().flatten() {
            let id = report["id"].as_u64().unwrap_or_default();
            if id > heard.last {
                heard.last = id;
                heard.reports.push(report.clone());
            }
        }
        for id in said["taken"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            heard.taken.insert(id.to_owned());
            self.queue.retain(|delivery| delivery["id"] != id);
        }
    }

    fn something(&mut self) -> Option<Result<Value, Raw>> {
        if let Some(raw) = self.raw.pop_front() {
            self.heard.raw_sent += 1;
            return Some(Err(raw));
        }
        (!self.queue.is_empty()).then(|| Ok(self.message()))
    }

    fn message(&self) -> Value {
        json!({ "version": 1, "at": now().to_rfc3339(), "reported": self.heard.last, "deliveries": self.queue })
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let head = format!("{} {} {:?}\n", parts.method, parts.uri, parts.headers);
    shared.locked().heard.said.push([head.as_bytes(), &body].concat());
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answered = match parts.uri.path() {
        "/v1/agent/enroll" => {
            shared.locked().heard.keys = said["keys"].clone();
            Ok(
                json!({ "version": 1, "agent": AGENT, "name": "agent", "tenant": "tenant", "waits_for_approval": false }),
            )
        }
        "/v1/agent/sync" => shared.sync(&said).await,
        _ => Ok(json!({})),
    };
    let raw = answered.map_or_else(
        |raw| raw,
        |message| Raw {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: message.to_string().into_bytes(),
        },
    );
    let mut response = Response::builder().status(raw.status).header("date", httpdate_now());
    for (name, value) in raw.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(raw.body))).unwrap())
}

fn httpdate_now() -> String {
    now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
