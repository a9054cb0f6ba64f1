//! A small control plane, written from the descriptions of the messages: it reads JSON, checks each assertion by itself,
//! repeats what was not taken, and can misbehave.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::TcpListener;

/// What it knows and how it behaves.
#[derive(Default)]
pub(super) struct State {
    /// The code that may be used.
    pub(super) code: String,
    /// Public keys of the agent: the present one, and the one before while the new one was not used.
    pub(super) signing: Vec<String>,
    pub(super) recipient: String,
    pub(super) fingerprint: String,
    /// What is to be delivered, until it was taken; with `repeat` for ever.
    pub(super) deliveries: Vec<Value>,
    pub(super) repeat: bool,
    /// Reports by number, as they came first.
    pub(super) reports: BTreeMap<u64, Value>,
    /// Numbers in the order in which they were seen first.
    pub(super) order: Vec<u64>,
    pub(super) taken: BTreeSet<String>,
    pub(super) syncs: Vec<Value>,
    pub(super) fenced: Option<String>,
    /// Answers with this instead.
    pub(super) refuse: Option<(u16, Value)>,
    /// How long a request that waits is kept back while there is nothing; 20 ms unless told.
    pub(super) patience: Option<Duration>,
    /// The line is dead.
    pub(super) down: bool,
    /// Says that nothing arrived, although it did.
    pub(super) forgetful: bool,
    /// Its clock, when it is not the machine's.
    pub(super) date: Option<String>,
    /// The answer to new keys is lost.
    pub(super) lose_keys_answer: bool,
    nonces: BTreeSet<String>,
}

#[derive(Clone)]
pub(super) struct Plane {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
}

impl Plane {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { code: "AAAA-BBBB".to_owned(), ..State::default() }));
        let plane = Self { url, state };
        let serving = plane.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let plane = serving.clone();
                if plane.lock().down {
                    continue;
                }
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let plane = plane.clone();
                        async move {
                            // An error ends the connection without an answer.
                            if plane.lock().down {
                                Err(std::io::ErrorKind::ConnectionReset.into())
                            } else {
                                plane.reply(request).await
                            }
                        }
                    });
                    // A client that went away is none of its business.
                    drop(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        plane
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn deliver(&self, id: &str, kind: &str, mut body: Value) {
        body["kind"] = kind.into();
        self.lock().deliveries.push(json!({ "id": id, "body": body }));
    }

    /// Bodies of the reports of a kind, in their order.
    pub(super) fn told(&self, kind: &str) -> Vec<Value> {
        let state = self.lock();
        let bodies = state.reports.values().map(|report| report["body"].clone());
        bodies.filter(|body| body["kind"] == kind).collect()
    }

    async fn reply(&self, request: Request<Incoming>) -> std::io::Result<Response<Full<Bytes>>> {
        let path = request.uri().path().to_owned();
        let header =
            request.headers().get("purser-assertion").map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (status, answer, wait) = self.judge(&path, header.as_deref(), &body);
        let answer = if wait { self.keep_back(answer).await } else { answer };
        let date = self.lock().date.clone();
        let mut response = Response::builder().status(status).header("content-type", "application/json");
        if let Some(date) = date {
            response = response.header("date", date);
        }
        Ok(response.body(Full::new(Bytes::from(answer.to_string()))).unwrap())
    }

    /// Until there is something, or patience ends.
    async fn keep_back(&self, answer: Value) -> Value {
        const STEP: Duration = Duration::from_millis(20);
        let mut left = self.lock().patience.unwrap_or(STEP);
        loop {
            tokio::time::sleep(STEP.min(left)).await;
            left = left.saturating_sub(STEP);
            let state = self.lock();
            if left.is_zero() || state.fenced.is_some() || !waiting(&state).is_empty() {
                return if left.is_zero() { answer } else { message(&state) };
            }
        }
    }

    fn judge(&self, path: &str, header: Option<&str>, body: &[u8]) -> (u16, Value, bool) {
        let mut state = self.lock();
        if let Some((status, problem)) = state.refuse.clone() {
            return (status, problem, false);
        }
        let Ok(message) = serde_json::from_slice::<Value>(body) else {
            return (400, problem(400, "malformed"), false);
        };
        let Some((who, nonce, key)) = header.and_then(|header| signer(header, path, body, &state, &message))
        else {
            return (401, problem(401, "bad-signature"), false);
        };
        if !state.nonces.insert(nonce) {
            return (401, problem(401, "replayed"), false);
        }
        match path {
            "/v1/agent/enroll" => enroll(&mut state, &who, &message),
            "/v1/agent/keys" => keys(&mut state, &message),
            "/v1/agent/sync" => sync(&mut state, &message, &key),
            _ => (404, problem(404, "no-such-place"), false),
        }
    }
}

pub(super) fn problem(status: u16, code: &str) -> Value {
    json!({ "code": code, "status": status, "title": format!("refused: {code}") })
}

/// Who signed the request, its nonce and the key, if the signature is right. While it enrolls, the key is in the message.
fn signer(
    header: &str,
    path: &str,
    body: &[u8],
    state: &State,
    message: &Value,
) -> Option<(String, String, String)> {
    let parts: Vec<&str> = header.split("; ").collect();
    let [who, millis, nonce, signature] = parts[..] else { return None };
    let mut signed = b"purser-assertion-1".to_vec();
    let at = millis.parse::<i64>().ok()?.to_be_bytes();
    let hash = blake3::hash(body);
    for part in [who.as_bytes(), &at, &unhex(nonce)?, b"POST", path.as_bytes(), hash.as_bytes()] {
        signed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        signed.extend_from_slice(part);
    }
    let known: Vec<String> = match path {
        "/v1/agent/enroll" => vec![message["keys"]["signing"].as_str()?.to_owned()],
        _ => state.signing.clone(),
    };
    let signature = unhex(signature)?;
    let by = known.into_iter().find(|key| {
        unhex(key)
            .is_some_and(|key| UnparsedPublicKey::new(&ED25519, key).verify(&signed, &signature).is_ok())
    })?;
    Some((who.to_owned(), nonce.to_owned(), by))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect()
}

fn enroll(state: &mut State, who: &str, message: &Value) -> (u16, Value, bool) {
    if message["code"] != state.code.as_str() {
        return (403, problem(403, "code-used"), false);
    }
    state.code = "used".to_owned();
    state.signing = vec![message["keys"]["signing"].as_str().unwrap().to_owned()];
    state.recipient = message["keys"]["recipient"].as_str().unwrap().to_owned();
    state.fingerprint = who.to_owned();
    let answer = json!({
        "version": 1, "agent": "a1", "name": "plant", "tenant": "works", "waits_for_approval": false,
        "from-the-future": { "x": 1 },
    });
    (200, answer, false)
}

fn keys(state: &mut State, message: &Value) -> (u16, Value, bool) {
    state.signing.insert(0, message["keys"]["signing"].as_str().unwrap().to_owned());
    state.recipient = message["keys"]["recipient"].as_str().unwrap().to_owned();
    if state.lose_keys_answer {
        // From here on only the new key is believed.
        state.signing.truncate(1);
        return (500, json!({}), false);
    }
    (200, json!({}), false)
}

fn sync(state: &mut State, message: &Value, key: &str) -> (u16, Value, bool) {
    state.syncs.push(message.clone());
    state.signing.retain(|known| known == key || state.syncs.is_empty());
    for report in message["reports"].as_array().into_iter().flatten() {
        let id = report["id"].as_u64().unwrap();
        if !state.reports.contains_key(&id) {
            state.order.push(id);
            state.reports.insert(id, report.clone());
        }
    }
    for id in message["taken"].as_array().into_iter().flatten() {
        state.taken.insert(id.as_str().unwrap().to_owned());
    }
    let wait = waiting(state).is_empty() && message["wait_seconds"] != 0;
    (200, self::message(state), wait)
}

fn waiting(state: &State) -> Vec<Value> {
    let fresh = |delivery: &&Value| state.repeat || !state.taken.contains(delivery["id"].as_str().unwrap());
    state.deliveries.iter().filter(fresh).take(256).cloned().collect()
}

fn message(state: &State) -> Value {
    let reported = if state.forgetful { 0 } else { state.order.iter().max().copied().unwrap_or(0) };
    let mut answer = json!({
        "version": 1, "at": "2026-08-10T12:00:00Z", "reported": reported, "deliveries": waiting(state), "later": [1],
    });
    if let Some(why) = &state.fenced {
        answer["fenced"] = why.as_str().into();
        answer["deliveries"] = json!([]);
    }
    answer
}
