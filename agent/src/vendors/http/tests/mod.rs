//! Tests of the gate over real loopback sockets, and of pace, tokens and repetition.

mod canary;
mod delivery;
mod destination;
mod pace;
mod proxying;
mod retry;

pub(in crate::vendors::http) mod server;
pub(in crate::vendors::http) mod tls;
mod token;

use super::*;
use crate::clock::Clock;
use crate::secret::{BoundSecret, Credential, Origin};
use purser_proto::config::NetworkSettings;
use secrecy::SecretString;
use server::TestServer;
use spend::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps records for the test to look at, as long as there is room for them.
#[derive(Default)]
struct Kept(Mutex<Vec<CallRecord>>, AtomicBool);

impl CallLog for Kept {
    fn record(&self, record: CallRecord) {
        self.0.lock().unwrap().push(record);
    }

    fn is_full(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

impl Kept {
    fn all(&self) -> Vec<CallRecord> {
        self.0.lock().unwrap().clone()
    }
}

fn noon() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

fn plain() -> NetworkSettings {
    NetworkSettings {
        proxy: Some("none".to_owned()),
        allow_plain_loopback: true,
        ..NetworkSettings::default()
    }
}

fn settings(network: NetworkSettings) -> GateSettings {
    GateSettings {
        connection: "erp".into(),
        network,
        proxy_credential: None,
        default_timeout: Duration::from_secs(10),
        max_body: DEFAULT_MAX_BODY,
        user_agent: "purser-test".to_owned(),
    }
}

fn gate_with(settings: GateSettings) -> (Gate, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let clock = Clock::manual(noon());
    let pace = Pace::new(&[], 8, clock.clone());
    let log: Arc<dyn CallLog> = kept.clone();
    (Gate::new(settings, pace, log, clock).unwrap(), kept)
}

fn gate() -> (Gate, Arc<Kept>) {
    gate_with(settings(plain()))
}

fn call(url: &str, effect: Effect) -> Call {
    Call {
        operation: "erp.test",
        method: if effect == Effect::Write { Method::POST } else { Method::GET },
        url: Url::parse(url).unwrap(),
        headers: Vec::new(),
        body: Body::Empty,
        effect,
        secret_answer: false,
        timeout: None,
    }
}

fn bound(value: &str, origin: &str) -> BoundSecret {
    BoundSecret::new(SecretString::from(value), Arc::from([Origin::parse(origin).unwrap()]))
}

fn login(origin: &str) -> Credential {
    let fields = [("user", "svc-purser"), ("password", "p4ss:w\"örd/+&=")];
    let fields: BTreeMap<_, _> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), SecretString::from(value))).collect();
    Credential::new("erp", fields, Arc::from([Origin::parse(origin).unwrap()]))
}

/// A port on which nothing listens.
async fn dead_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn the_future_of_a_call_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (gate, _) = gate();
    is_send(&gate.send(call("http://127.0.0.1:1/", Effect::Read)));
}
