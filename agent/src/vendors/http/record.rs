//! What the gate writes down about each call. A record is evidence for the audit trail: it holds everything that was
//! sent and answered except secrets, which are left out by type before the text is made.

use serde::{Deserialize, Serialize};
use spend::Timestamp;
use spend::ids::{ConnectionId, FlowId, PostingKey, RunId};
use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

/// Most bytes of a body that a record keeps.
const BODY_CAP: usize = 64 * 1024;

/// On whose behalf a call is made. Carried beside the call by the task, so that vendors need not pass it along; a
/// spawned task starts without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallContext {
    /// The flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowId>,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The posting that is being written or looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posting: Option<PostingKey>,
}

tokio::task_local! {
    static CONTEXT: CallContext;
}

impl CallContext {
    /// Runs a future in this context.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CONTEXT.scope(self, future)
    }

    /// The context of the running task; empty outside [`CallContext::scope`].
    pub fn current() -> Self {
        CONTEXT.try_with(Clone::clone).unwrap_or_default()
    }
}

/// One call and its answer, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// When the request left, after its wait for a turn; for a refused call, when it was refused.
    pub at: Timestamp,
    /// By which connection.
    pub connection: ConnectionId,
    /// Name of the operation.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Where to, with the query.
    pub url: String,
    /// Headers in order; secrets show as `[secret]`.
    pub request_headers: Vec<(String, String)>,
    /// Body, capped; secrets show as `[secret]`. A form is written one field a line, before encoding.
    pub request_body: String,
    /// HTTP status, when there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Answered body, capped; left out when it holds a secret.
    pub answer_body: String,
    /// How long the exchange took, without the wait for a turn.
    pub duration_ms: u64,
    /// What went wrong, when there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The gate refused the call to protect a secret: nothing was sent, and somebody should ask why.
    #[serde(default)]
    pub security_event: bool,
    /// On whose behalf.
    #[serde(default)]
    pub context: CallContext,
}

/// Where records go. Called from async code: an implementation hands the record on and returns at once.
pub trait CallLog: Send + Sync {
    /// Takes one record.
    fn record(&self, record: CallRecord);

    /// Whether it can take no record of a call that is not begun yet.
    fn is_full(&self) -> bool {
        false
    }
}

/// Throws records away; for tests and for checks that are not business.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl CallLog for NoLog {
    fn record(&self, _record: CallRecord) {}
}

/// A record in the making. When the call is dropped before it ended (an actor was stopped), the record is written
/// all the same: a write that may have left must not vanish from the evidence.
pub(super) struct Pending {
    log: Arc<dyn CallLog>,
    record: Option<CallRecord>,
    started: tokio::time::Instant,
    sending: bool,
}

impl Pending {
    pub(super) fn new(log: Arc<dyn CallLog>, record: CallRecord) -> Self {
        Self { log, record: Some(record), started: tokio::time::Instant::now(), sending: false }
    }

    /// The wait is over: the request leaves.
    pub(super) fn sending(&mut self, at: Timestamp) {
        self.sending = true;
        self.started = tokio::time::Instant::now();
        if let Some(record) = &mut self.record {
            record.at = at;
        }
    }

    /// Writes the record, completed by `finish`.
    pub(super) fn finish(mut self, finish: impl FnOnce(&mut CallRecord)) {
        self.write(finish);
    }

    fn write(&mut self, finish: impl FnOnce(&mut CallRecord)) {
        if let Some(mut record) = self.record.take() {
            record.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            finish(&mut record);
            self.log.record(record);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let error = if self.sending {
            "the call was abandoned while it was under way: it may have arrived"
        } else {
            "the call was abandoned before it was sent"
        };
        self.write(|record| record.error = Some(error.to_owned()));
    }
}

/// A body as it is kept: at most [`BODY_CAP`] bytes, with a note of how much was cut.
pub(super) fn capped<'a>(text: impl Into<Cow<'a, str>>) -> String {
    let text = text.into();
    if text.len() <= BODY_CAP {
        return text.into_owned();
    }
    let mut end = BODY_CAP;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\n[cut here: {} of {} bytes are not kept]", &text[..end], text.len() - end, text.len())
}
