//! The bench: a served simulator, a client of the agent connected to it through the real gate, and what must hold
//! when a test ends: the simulator saw no wrong call.

use chrono::NaiveDate;
use purser::clock::Clock;
use purser::secret::{Credential, Origin, SecretText};
use purser::vendors::http::{CallLog, CallRecord, DEFAULT_MAX_BODY, Gate, GateSettings, Pace};
use purser::vendors::registry::{Build, Roles, vendor};
use purser::vendors::sites::Sites;
use purser::vendors::{CredentialKeeper, KeepError, NoteError, Notes};
use purser_proto::config::NetworkSettings;
use sandbox::faults::{FaultAction, FaultMatch, FaultRule};
use sandbox::server::{Running, ServeOptions, SimClock, Simulator, TlsIdentity, serve};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use spend::Timestamp;
use spend::ids::CompanyId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

/// The day that worlds are made for.
pub(crate) fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 21).unwrap()
}

/// Noon of that day, where every clock of these tests stands.
pub(crate) fn noon() -> Timestamp {
    today().and_hms_opt(12, 0, 0).unwrap().and_utc()
}

/// A served simulator. When it goes away, nothing may have called it wrongly.
pub(crate) struct Wire {
    pub(crate) sim: Running,
    pub(crate) log: Arc<Records>,
    pub(crate) kept: Arc<Kept>,
    pub(crate) notes: Arc<Noted>,
    /// Part of a sentence that may be among the wrong calls, for tests about wrong calls.
    forgiven: Mutex<Option<&'static str>>,
}

impl Wire {
    pub(crate) async fn serve(sim: Box<dyn Simulator>, clock: SimClock, tls: Option<TlsIdentity>) -> Self {
        let options = ServeOptions { tls, clock, ..ServeOptions::default() };
        let sim = serve(sim, options).await.expect("a simulator can be served on a free port");
        Self {
            sim,
            log: Arc::default(),
            kept: Arc::default(),
            notes: Arc::default(),
            forgiven: Mutex::default(),
        }
    }

    /// Turns a lever of the simulator.
    pub(crate) fn control(&self, verb: &str, body: Value) -> Value {
        self.sim.control(verb, &body).unwrap_or_else(|why| panic!("{verb}: {why}"))
    }

    /// Sets knobs.
    pub(crate) fn knobs(&self, body: Value) {
        self.control("knobs", body);
    }

    /// From now on, the n-th call from here goes wrong.
    pub(crate) fn fail_nth(&self, nth: u64, action: FaultAction) {
        self.sim.faults([FaultRule::once(FaultMatch::default().nth(nth), action)]);
    }

    pub(crate) fn fault(&self, rule: FaultRule) {
        self.sim.faults([rule]);
    }

    /// Calls that have come in.
    pub(crate) fn calls(&self) -> usize {
        self.sim.journal().len()
    }

    /// Calls that a fault has met.
    pub(crate) fn faulted(&self) -> usize {
        self.sim.journal().iter().filter(|call| call.fault.is_some()).count()
    }

    /// Moves the simulator's clock and waits until what was cut has been committed.
    pub(crate) async fn let_late_commits_happen(&self, seconds: i64) {
        self.sim.advance_clock(chrono::TimeDelta::seconds(seconds));
        while self.sim.pending_commits() > 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn forgive(&self, sentence: &'static str) {
        *self.forgiven.lock().unwrap() = Some(sentence);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let forgiven = self.forgiven.lock().unwrap().take();
        let mut misuse = self.sim.misuse();
        misuse.retain(|sentence| !forgiven.is_some_and(|part| sentence.contains(part)));
        if std::thread::panicking() || !misuse.is_empty() {
            let calls = self.sim.journal();
            println!("the last calls:");
            for call in &calls[calls.len().saturating_sub(25)..] {
                let status = call.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
                let fault = call.fault.as_deref().unwrap_or_default();
                println!("{:>5} {status:>4} {} {} {fault}", call.number, call.method, call.operation);
            }
            for record in self.log.all().iter().rev().take(4).rev() {
                let body: String = record.request_body.chars().take(600).collect();
                let answer: String = record.answer_body.chars().take(1200).collect();
                println!("{} {} {body}\n  -> {:?} {answer}", record.operation, record.url, record.status);
            }
        }
        if !std::thread::panicking() {
            assert!(misuse.is_empty(), "the simulator saw wrong calls: {misuse:#?}");
        }
    }
}

/// What the gate wrote down.
#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<Vec<CallRecord>>);

impl Records {
    pub(crate) fn all(&self) -> Vec<CallRecord> {
        self.0.lock().unwrap().clone()
    }
}

impl CallLog for Records {
    fn record(&self, record: CallRecord) {
        self.0.lock().unwrap().push(record);
    }
}

/// The newest value of each field that clients gave to be kept, instead of the agent's store.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub(crate) Mutex<BTreeMap<String, String>>);

impl CredentialKeeper for Kept {
    fn keep(&self, fields: &[(&str, SecretText)]) -> Result<(), KeepError> {
        let mut kept = self.0.lock().unwrap();
        for (name, value) in fields {
            kept.insert((*name).to_owned(), value.expose().expose_secret().to_owned());
        }
        Ok(())
    }
}

/// Notes of all connections to one simulator, instead of the agent's store.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<BTreeMap<String, String>>);

impl Notes for Noted {
    fn read(&self, name: &str) -> Result<Option<String>, NoteError> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), NoteError> {
        self.0.lock().unwrap().insert(name.to_owned(), text.to_owned());
        Ok(())
    }
}

/// How a client is connected.
pub(crate) struct Plug {
    pub(crate) kind: &'static str,
    /// Path below the simulator's root.
    pub(crate) path: &'static str,
    pub(crate) secrets: Vec<(&'static str, String)>,
    pub(crate) settings: Value,
    pub(crate) companies: Vec<CompanyId>,
    pub(crate) extra_ca: Option<PathBuf>,
    pub(crate) windows: Vec<(u32, Duration)>,
    pub(crate) timeout: Duration,
}

impl Plug {
    pub(crate) fn new(kind: &'static str, path: &'static str, secrets: &[(&'static str, &str)]) -> Self {
        Self {
            kind,
            path,
            secrets: secrets.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            settings: Value::Object(Map::new()),
            companies: Vec::new(),
            extra_ca: None,
            windows: Vec::new(),
            timeout: Duration::from_secs(20),
        }
    }

    /// Sets one setting.
    pub(crate) fn set(mut self, name: &str, value: Value) -> Self {
        self.settings[name] = value;
        self
    }

    /// Replaces one secret.
    pub(crate) fn secret(mut self, name: &'static str, value: &str) -> Self {
        self.secrets.retain(|(known, _)| *known != name);
        self.secrets.push((name, value.to_owned()));
        self
    }

    /// A new client of the simulator, as the registry makes it.
    pub(crate) fn into(self, wire: &Wire) -> Roles {
        let url = Url::parse(&format!("{}{}", wire.sim.url(), self.path)).unwrap();
        let origins: Arc<[Origin]> = Arc::from([Origin::of(&url).unwrap()]);
        let fields: BTreeMap<String, SecretString> =
            self.secrets.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from(v.as_str()))).collect();
        let credential = Credential::new("conformance", fields, origins);
        let clock = Clock::manual(noon());
        let network = NetworkSettings {
            proxy: Some("none".to_owned()),
            extra_ca: self.extra_ca.map(|path| path.to_str().unwrap().to_owned()),
            allow_plain_loopback: true,
            ..NetworkSettings::default()
        };
        let settings = GateSettings {
            connection: "conformance".into(),
            network,
            proxy_credential: None,
            default_timeout: self.timeout,
            max_body: DEFAULT_MAX_BODY,
            user_agent: "purser/conformance".to_owned(),
        };
        let vendor = vendor(self.kind).expect("the registry knows the vendor");
        let pace = Pace::new(&self.windows, vendor.concurrency, clock.clone());
        let log: Arc<dyn CallLog> = Arc::clone(&wire.log) as Arc<dyn CallLog>;
        let gate = Gate::new(settings, pace, log, clock.clone()).expect("the gate can be made");
        let settings = self.settings.as_object().cloned().unwrap_or_default();
        let companies = self.companies;
        let keeper = Arc::clone(&wire.kept) as Arc<dyn CredentialKeeper>;
        let notes = Arc::clone(&wire.notes) as Arc<dyn Notes>;
        let transport = Arc::new(gate);
        let sites = Sites::default();
        let build = Build { transport, credential, keeper, notes, url, settings, companies, clock, sites };
        (vendor.build)(build).unwrap_or_else(|findings| panic!("{findings:#?}"))
    }
}
