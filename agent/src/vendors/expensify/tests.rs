//! What the Expensify client does, without a server: a scripted transport and hand-written answers.

mod calls;
mod convert;
mod hostile;
mod marking;
mod outcome;
mod probe;
mod reading;
mod reference;
mod template;

use super::{Expensify, Settings};
use crate::clock::Clock;
use crate::secret::{Credential, Origin};
use crate::vendors::http::{Answer, Body, Call, Transport};
use crate::vendors::{NoteError, Notes};
use secrecy::SecretString;
use serde_json::Value;
use spend::posting::{Failure, FailureClass};
use spend::{Date, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use url::Url;

pub(super) const TWO_REPORTS: &str = include_str!("fixtures/two_reports.ndjson");
pub(super) const BROKEN: &str = include_str!("fixtures/one_broken_of_three.ndjson");
pub(super) const PIECES: &str = include_str!("fixtures/in_pieces.ndjson");
pub(super) const RENDERED: &str = include_str!("fixtures/rendered_by_freemarker.ndjson");
pub(super) const SERVLET_ERROR: &str = include_str!("fixtures/servlet_error.html");
pub(super) const POLICY_LIST: &str = include_str!("fixtures/policy_list.json");
pub(super) const POLICIES: &str = include_str!("fixtures/policy_two_tag_shapes.json");
pub(super) const EMPTY: &str = "{\"k\":\"B\",\"v\":1}\n{\"k\":\"F\"}\n";
pub(super) const NAME: &str = "purser0fd99e06-a636-4974-b6bc-3ceb12163386.json";
pub(super) const NOT_FOUND: &str = r#"{"responseMessage":"File not found"}"#;

/// Plays answers in order and remembers what was sent.
#[derive(Default)]
pub(super) struct Script {
    answers: Mutex<VecDeque<Result<Answer, Failure>>>,
    afterwards: BTreeMap<&'static str, String>,
    sent: Mutex<Vec<Sent>>,
    notes: Mutex<BTreeMap<String, String>>,
}

/// A call as it was sent, secrets hidden.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) operation: &'static str,
    pub(super) job: Value,
    pub(super) template: Option<String>,
    pub(super) after: std::time::Duration,
}

impl Script {
    pub(super) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub(super) fn operations(&self) -> Vec<&'static str> {
        self.sent().iter().map(|sent| sent.operation.trim_start_matches("expensify.")).collect()
    }

    pub(super) fn unused(&self) -> usize {
        self.answers.lock().unwrap().len()
    }
}

/// The parts of a call, secrets hidden.
pub(super) fn fields(call: &Call) -> BTreeMap<String, String> {
    let Body::Form(fields) = &call.body else { panic!("every job is a form") };
    fields.iter().map(|(key, value)| (key.clone(), value.redacted())).collect()
}

struct Player {
    script: Arc<Script>,
    started: tokio::time::Instant,
}

#[async_trait::async_trait]
impl Transport for Player {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let fields = fields(&call);
        self.script.sent.lock().unwrap().push(Sent {
            operation: call.operation,
            job: serde_json::from_str(&fields["requestJobDescription"]).unwrap(),
            template: fields.get("template").cloned(),
            after: self.started.elapsed(),
        });
        let next = self.script.answers.lock().unwrap().pop_front();
        next.or_else(|| self.script.afterwards.get(call.operation).map(ok)).expect("the script has an answer")
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
    Url::parse("https://expensify.example.test").unwrap()
}

pub(super) fn credential() -> Credential {
    let fields =
        super::CREDENTIAL_FIELDS.iter().map(|name| ((*name).to_owned(), SecretString::from("canary\"1")));
    Credential::new("spend-key", fields.collect(), Arc::from([Origin::of(&base()).unwrap()]))
}

pub(super) fn answer(status: u16, body: impl AsRef<[u8]>) -> Answer {
    Answer { status, headers: BTreeMap::new(), body: body.as_ref().to_vec(), at: at() }
}

pub(super) fn ok(body: impl AsRef<[u8]>) -> Result<Answer, Failure> {
    Ok(answer(200, body))
}

pub(super) fn lost(class: FailureClass) -> Result<Answer, Failure> {
    Err(Failure::new(class, "connection reset"))
}

pub(super) fn client(
    settings: Settings,
    answers: impl IntoIterator<Item = Result<Answer, Failure>>,
) -> (Expensify, Arc<Script>) {
    play(settings, Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() })
}

/// Answers each kind of call with one body, again and again.
pub(super) fn client_always<const N: usize>(
    settings: Settings,
    bodies: [(&'static str, &str); N],
) -> (Expensify, Arc<Script>) {
    let afterwards = bodies.into_iter().map(|(operation, body)| (operation, body.to_owned())).collect();
    play(settings, Script { afterwards, ..Script::default() })
}

fn play(settings: Settings, script: Script) -> (Expensify, Arc<Script>) {
    let script = Arc::new(script);
    let player = Player { script: Arc::clone(&script), started: tokio::time::Instant::now() };
    let notes = Arc::new(Noting(Arc::clone(&script)));
    (Expensify::new(Arc::new(player), credential(), base(), settings, notes, Clock::manual(at())), script)
}

/// A file with one report of one expense for each id, all approved on one day.
pub(super) fn reports(ids: &[&str], approved: &str) -> String {
    let mut file = String::from("{\"k\":\"B\",\"v\":1}\n");
    for id in ids {
        file.push_str(&format!(
            "{{\"k\":\"R\",\"reportID\":\"{id}\",\"status\":\"Approved\",\"currency\":\"USD\",\"approved\":\"{approved}\"}}\n\
             {{\"k\":\"E\",\"reportID\":\"{id}\",\"transactionID\":\"1\",\"amount\":100,\"reimbursable\":true}}\n\
             {{\"k\":\"Z\",\"reportID\":\"{id}\",\"expenses\":1}}\n"
        ));
    }
    file + "{\"k\":\"F\"}\n"
}
