//! What the Brex client does, without a server: a scripted transport and hand-written answers.

mod coding;
mod expenses;
mod idempotency;
mod money;
mod oauth;
mod outcome;
mod probe;
mod reading;
mod records;
mod reference;
mod reporting;
mod settings;
mod surface;
mod vendors;
mod webhook;

use super::{Brex, Parts, Settings};
use crate::clock::Clock;
use crate::secret::{Credential, Origin, SecretText};
use crate::vendors::http::{Answer, Body, Call, Transport};
use crate::vendors::{CredentialKeeper, KeepError, NoteError, Notes};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use spend::posting::{Failure, FailureClass};
use spend::{Date, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use url::Url;

/// One record as the service has been seen to write it.
pub(super) const RECORD: &str = include_str!("fixtures/card_post.json");

/// Plays the answers of each operation in order, the last one again and again, and remembers what was sent.
#[derive(Default)]
pub(super) struct Script {
    answers: Mutex<BTreeMap<&'static str, VecDeque<Result<Answer, Failure>>>>,
    sent: Mutex<Vec<Sent>>,
    pub(super) kept: Mutex<Vec<(String, String)>>,
    pub(super) keeping_fails: Mutex<bool>,
    pub(super) notes: Mutex<BTreeMap<String, String>>,
}

/// A call as it was sent, secrets hidden.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) operation: &'static str,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Value,
    /// Secrets spelled out, to see which token was sent.
    pub(super) spelled: String,
}

impl Sent {
    pub(super) fn asked(&self, name: &str) -> Vec<&str> {
        self.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl Script {
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub(super) fn operations(&self) -> Vec<&'static str> {
        self.sent().iter().map(|sent| sent.operation.trim_start_matches("brex.")).collect()
    }

    pub(super) fn of(&self, operation: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.operation == operation).collect()
    }

    /// Adds answers to an operation.
    pub(super) fn then(&self, operation: &'static str, answers: impl IntoIterator<Item = Reply>) {
        self.answers.lock().unwrap().entry(operation).or_default().extend(answers);
    }

    /// Forgets the answers of an operation.
    pub(super) fn forget(&self, operation: &'static str) {
        self.answers.lock().unwrap().remove(operation);
    }
}

pub(super) type Reply = Result<Answer, Failure>;

struct Player(Arc<Script>);

#[async_trait::async_trait]
impl Transport for Player {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let pairs = |call: &Call| -> Vec<(String, String)> {
            call.url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
        };
        let mut spelled: String =
            call.headers.iter().map(|(_, v)| v.expose().expose_secret().to_owned()).collect();
        let body = match &call.body {
            Body::Empty => Value::Null,
            Body::Json(text) => serde_json::from_str(&text.redacted()).unwrap(),
            Body::Form(fields) => {
                spelled.extend(fields.iter().map(|(_, v)| v.expose().expose_secret().to_owned()));
                let fields = fields.iter().map(|(k, v)| (k.clone(), Value::String(v.redacted())));
                Value::Object(fields.collect())
            }
        };
        let headers = call.headers.iter().map(|(k, v)| ((*k).to_owned(), v.redacted())).collect();
        self.0.sent.lock().unwrap().push(Sent {
            operation: call.operation,
            method: call.method.to_string(),
            path: call.url.path().to_owned(),
            query: pairs(&call),
            headers,
            body,
            spelled,
        });
        let mut answers = self.0.answers.lock().unwrap();
        let queue =
            answers.get_mut(call.operation).unwrap_or_else(|| panic!("no answer to {}", call.operation));
        let next = queue.pop_front().unwrap_or_else(|| panic!("no further answer to {}", call.operation));
        if queue.is_empty() {
            queue.push_back(next.clone());
        }
        next
    }
}

struct Keeping(Arc<Script>);

impl CredentialKeeper for Keeping {
    fn keep(&self, fields: &[(&str, SecretText)]) -> Result<(), KeepError> {
        if *self.0.keeping_fails.lock().unwrap() {
            return Err(KeepError { why: "the disk is full".to_owned() });
        }
        let spelled = fields.iter().map(|(k, v)| ((*k).to_owned(), v.expose().expose_secret().to_owned()));
        self.0.kept.lock().unwrap().extend(spelled);
        Ok(())
    }
}

struct Noting(Arc<Script>);

impl Notes for Noting {
    fn read(&self, name: &str) -> Result<Option<String>, NoteError> {
        Ok(self.0.notes.lock().unwrap().get(name).cloned())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), NoteError> {
        self.0.notes.lock().unwrap().insert(name.to_owned(), text.to_owned());
        Ok(())
    }
}

pub(super) fn at() -> Timestamp {
    "2026-08-01T12:00:00Z".parse().unwrap()
}

pub(super) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

pub(super) fn base() -> Url {
    Url::parse("https://brex.example.test").unwrap()
}

pub(super) fn answer(status: u16, body: impl AsRef<[u8]>) -> Answer {
    Answer { status, headers: BTreeMap::new(), body: body.as_ref().to_vec(), at: at() }
}

pub(super) fn status(status: u16, body: impl AsRef<[u8]>) -> Reply {
    Ok(answer(status, body))
}

pub(super) fn ok(body: impl AsRef<[u8]>) -> Reply {
    status(200, body)
}

pub(super) fn told(body: &Value) -> Reply {
    ok(body.to_string())
}

pub(super) fn lost(class: FailureClass) -> Reply {
    Err(Failure::new(class, "connection reset"))
}

/// A page that is the last one.
pub(super) fn page(items: &[Value]) -> Reply {
    told(&json!({ "items": items, "next_cursor": null, "has_next_page": false }))
}

/// A page with another one behind it.
pub(super) fn page_then(items: &[Value], cursor: &str) -> Reply {
    told(&json!({ "items": items, "next_cursor": cursor, "has_next_page": true }))
}

/// A card record of one line.
pub(super) fn record(id: &str) -> Value {
    let mut record: Value = serde_json::from_str(RECORD).unwrap();
    record["id"] = id.into();
    record
}

/// Accounting records are read, unless a test says otherwise.
pub(super) fn accounting() -> Settings {
    Settings { surface: super::settings::SurfaceChoice::Accounting, ..Settings::default() }
}

pub(super) fn on_expenses() -> Settings {
    Settings { surface: super::settings::SurfaceChoice::Expenses, ..Settings::default() }
}

pub(super) fn client<const N: usize>(
    settings: Settings,
    answers: [(&'static str, Vec<Reply>); N],
) -> (Brex, Arc<Script>) {
    let script = Arc::new(Script::default());
    for (operation, answers) in answers {
        script.then(operation, answers);
    }
    (again(settings, &script), script)
}

/// Another client with the same answers, store and secrets, as after a restart.
pub(super) fn again(settings: Settings, script: &Arc<Script>) -> Brex {
    let fields = super::CREDENTIAL_FIELDS
        .iter()
        .map(|name| ((*name).to_owned(), SecretString::from(format!("canary-{name}"))));
    let origins = [base(), Url::parse("https://accounts.example.test").unwrap()];
    let origins: Vec<Origin> = origins.iter().map(|url| Origin::of(url).unwrap()).collect();
    let mut fields: BTreeMap<String, SecretString> = fields.collect();
    for (name, value) in script.kept.lock().unwrap().iter() {
        fields.insert(name.clone(), SecretString::from(value.clone()));
    }
    Brex::new(Parts {
        transport: Arc::new(Player(Arc::clone(script))),
        credential: Credential::new("card-key", fields, origins.into()),
        base: base(),
        settings,
        keeper: Arc::new(Keeping(Arc::clone(script))),
        notes: Arc::new(Noting(Arc::clone(script))),
        clock: Clock::manual(at()),
    })
}
