//! Receiving webhooks: the sender is checked, repetitions are told, everything is audited, and then the flows that read
//! from the connection run. What a webhook says is used for nothing else: what is booked is read from the vendor, and
//! the posting log keeps a run by webhook and a run by schedule from booking anything twice.

pub(crate) mod memory;

#[cfg(test)]
mod tests;

use super::agent::Agent;
use super::commands::Obeyed;
use super::link::desk::{WebhooksRefused, WithReceipts};
use super::refusals::Refusals;
use super::words;
use crate::flows::RunReport;
use crate::flows::replay::Decision;
use crate::store::{AuditDraft, AuditKind, Batch, Store, StoreError, key};
use crate::vendors::registry;
use crate::vendors::webhook::{Delivery, Hint, Proven, Refusal, Secrets, WebhookKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memory::Memory;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spend::Timestamp;
use spend::ids::{ConnectionId, FlowId};
use std::collections::BTreeMap;
use std::path::Path;

/// Where refused deliveries are counted, by connection.
const REFUSED: &str = "webhooks/refused";
/// Longest text of a sender that is kept.
const LONGEST_TEXT: usize = 120;

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// New and genuine; the flows run.
    Accepted,
    /// New and genuine, and there is nothing to fetch because of it.
    Ignored,
    /// Accepted before.
    KnownAlready,
    /// Not believed, or not understood.
    Refused,
}

impl Outcome {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ignored => "accepted, nothing to fetch",
            Self::KnownAlready => "known already",
            Self::Refused => "REFUSED",
        }
    }
}

/// What is told of one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What became of it.
    pub outcome: Outcome,
    /// The sender's id; of a refused one what it claims.
    pub id: Option<String>,
    /// The type of its event, of a genuine one.
    pub event: Option<String>,
    /// A stable word for the reason of a refusal ([`Refusal::code`]).
    pub code: Option<String>,
    /// Why it was refused or is of no use, in words.
    pub why: Option<String>,
    /// How many records it names.
    pub records: usize,
}

/// Deliveries on their way to the agent: a header can be a shared secret, so they are sealed to it.
///
/// # Errors
/// Why they cannot be sealed, in words.
pub fn seal(home: &Path, lines: &[String]) -> Result<String, String> {
    let plain = serde_json::to_vec(lines).map_err(|error| error.to_string())?;
    key::seal_for_agent(home, &plain).map(|sealed| STANDARD.encode(sealed)).map_err(|error| words(&error))
}

fn open(home: &Path, sealed: &str) -> Result<Vec<String>, String> {
    let bytes = STANDARD.decode(sealed).map_err(|_| "the deliveries are not sealed".to_owned())?;
    let plain = key::open_for_agent(home, &bytes).map_err(|error| words(&error))?;
    serde_json::from_slice(&plain).map_err(|_| "the deliveries cannot be read".to_owned())
}

/// One connection as a receiver.
pub(super) struct Reception<'a> {
    pub(super) store: &'a Store,
    pub(super) now: Timestamp,
    pub(super) connection: &'a ConnectionId,
    pub(super) kind: &'a WebhookKind,
    pub(super) settings: &'a Map<String, Value>,
    pub(super) secrets: Secrets,
    /// Flows that read from it.
    pub(super) flows: &'a [FlowId],
    /// Who hands the deliveries over, for the audit trail.
    pub(super) actor: String,
}

impl Reception<'_> {
    /// Judges deliveries in their order. The batch holds what is to be remembered and their audit entries; the flows are
    /// to run once it is durable.
    pub(super) fn receive(&self, lines: &[String]) -> Result<(Vec<Receipt>, Batch), StoreError> {
        let mut batch = Batch::new();
        memory::prune(self.store, self.now, &mut batch)?;
        let mut memory = Memory::new(self.store, self.connection, self.now);
        let mut refusals = Refusals::load(self.store, REFUSED)?;
        let mut receipts = Vec::with_capacity(lines.len());
        for line in lines {
            let delivery = Delivery::from_line(line);
            let receipt = match delivery.as_ref().map_err(Refusal::clone).and_then(|d| self.prove(d)) {
                Err(refusal) => refused(delivery.as_ref().ok(), &refusal),
                Ok((_, hint, id)) => {
                    let known = memory.knows(&id)?;
                    if !known {
                        // Only what was proven is remembered: a forger must not make a genuine one look repeated.
                        memory.add(&id, &mut batch);
                    }
                    self.judge(known, &id, &hint)
                }
            };
            let entry = self.entry(delivery.as_ref().ok(), &receipt);
            match &receipt.code {
                Some(code) => refusals.add(&mut batch, self.connection.as_str(), code, entry),
                None => {
                    batch.audit(entry);
                }
            }
            receipts.push(receipt);
        }
        if receipts.iter().any(|receipt| receipt.outcome == Outcome::Accepted) {
            self.flows.iter().for_each(|flow| memory::wake(flow, self.now, &mut batch));
        }
        refusals.close(&mut batch, self.now);
        refusals.save(&mut batch);
        Ok((receipts, batch))
    }

    /// The event of a delivery whose sender is proven, and its id.
    fn prove(&self, delivery: &Delivery) -> Result<(Proven, Hint, String), Refusal> {
        let proven = (self.kind.verify)(delivery, &self.secrets, self.settings)?;
        let hint = (self.kind.parse)(&delivery.body).map_err(Refusal::BadEvent)?;
        let id = proven.id.clone().or_else(|| hint.id.clone());
        let id = id.ok_or_else(|| Refusal::BadEvent("it has no id".to_owned()))?;
        Ok((proven, hint, id))
    }

    fn judge(&self, known: bool, id: &str, hint: &Hint) -> Receipt {
        let own = (self.kind.company)(self.settings);
        let other = match (&hint.company, &own) {
            (Some(theirs), Some(own)) => theirs != own,
            (Some(_) | None, _) => false,
        };
        let why = if other {
            Some(format!("it is about another company than {}", own.unwrap_or_default()))
        } else if !hint.wake {
            Some("events of this type are not acted upon".to_owned())
        } else if self.flows.is_empty() {
            Some(format!("no flow reads from connection `{}`", self.connection))
        } else {
            None
        };
        let outcome = match (known, &why) {
            (true, _) => Outcome::KnownAlready,
            (false, Some(_)) => Outcome::Ignored,
            (false, None) => Outcome::Accepted,
        };
        Receipt {
            outcome,
            id: Some(cut(id)),
            event: Some(cut(&hint.event)),
            code: None,
            why: why.filter(|_| !known),
            records: hint.records.len(),
        }
    }

    fn entry(&self, delivery: Option<&Delivery>, receipt: &Receipt) -> AuditDraft {
        let kind = match receipt.outcome {
            Outcome::Refused => AuditKind::Security,
            Outcome::Accepted | Outcome::Ignored | Outcome::KnownAlready => AuditKind::Webhook,
        };
        let mut detail = serde_json::to_value(receipt).unwrap_or_default();
        if let Some(detail) = detail.as_object_mut() {
            detail.retain(|_, value| !value.is_null());
            detail.insert("what".to_owned(), "webhook".into());
            let received_at = delivery.map(|delivery| delivery.received_at.to_rfc3339());
            detail.insert("received_at".to_owned(), received_at.into());
        }
        AuditDraft {
            connection: Some(self.connection.clone()),
            actor: self.actor.clone(),
            ..AuditDraft::new(self.now, kind, detail)
        }
    }
}

fn refused(delivery: Option<&Delivery>, refusal: &Refusal) -> Receipt {
    let claimed = |name: &str| delivery.and_then(|delivery| delivery.header(name).ok().flatten());
    Receipt {
        outcome: Outcome::Refused,
        id: claimed("svix-id").or_else(|| claimed("webhook-id")).map(cut),
        event: None,
        code: Some(refusal.code().to_owned()),
        why: Some(refusal.to_string()),
        records: 0,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

impl Agent {
    /// Receives deliveries for a connection, and runs the flows that read from it when there is something to fetch.
    pub(super) async fn receive(
        &self,
        connection: &ConnectionId,
        sealed: &str,
        decision: &Decision,
    ) -> Obeyed {
        let lines = match open(self.home(), sealed) {
            Ok(lines) => lines,
            Err(why) => return Obeyed::Refused { why },
        };
        // Two batches at once would both take a repetition for new.
        let turn = self.receiving().lock().await;
        let flows = self.readers_of(connection);
        let nothing: WithReceipts = Box::new(|_| Batch::new());
        let receipts = match self.judged(connection, &flows, &lines, decision.actor(), nothing).await {
            Ok(receipts) => receipts,
            Err(WebhooksRefused::Connection(_, why) | WebhooksRefused::Later(why)) => {
                return Obeyed::Refused { why };
            }
        };
        drop(turn);
        let mut runs: BTreeMap<FlowId, Result<RunReport, String>> = BTreeMap::new();
        if receipts.iter().any(|receipt| receipt.outcome == Outcome::Accepted) {
            for flow in flows {
                let ran = self.run_flow(&flow, "webhook").await;
                runs.insert(flow, ran);
            }
        }
        Obeyed::Received { receipts, runs }
    }

    /// Judges what a control plane has forwarded, and writes it together with what `with` makes of the receipts. The
    /// answer is the flows that are to run.
    pub(super) async fn judge_from_afar(
        &self,
        connection: &ConnectionId,
        lines: &[String],
        with: WithReceipts,
    ) -> Result<Vec<FlowId>, WebhooksRefused> {
        let _turn = self.receiving().lock().await;
        let flows = self.readers_of(connection);
        let actor = "control-plane:webhook".to_owned();
        let receipts = self.judged(connection, &flows, lines, actor, with).await?;
        let wanted = receipts.iter().any(|receipt| receipt.outcome == Outcome::Accepted);
        Ok(if wanted { flows } else { Vec::new() })
    }

    /// Writes how many deliveries were refused in hours that are over.
    pub(super) async fn close_refusals(&self) -> Result<(), StoreError> {
        let _turn = self.receiving().lock().await;
        let (mut batch, mut refusals) = (Batch::new(), Refusals::load(self.store(), REFUSED)?);
        if refusals.close(&mut batch, self.now()) {
            refusals.save(&mut batch);
            self.store().commit(batch).await?;
        }
        Ok(())
    }

    /// The flows that read from a connection.
    fn readers_of(&self, connection: &ConnectionId) -> Vec<FlowId> {
        let booking = self.config().flows.iter().map(|flow| (&flow.source, &flow.id));
        let mirroring = self.config().references.iter().map(|flow| (&flow.from, &flow.id));
        let readers = booking.chain(mirroring).filter(|(source, _)| *source == connection);
        readers.map(|(_, id)| id.clone()).collect()
    }

    async fn judged(
        &self,
        connection: &ConnectionId,
        flows: &[FlowId],
        lines: &[String],
        actor: String,
        with: WithReceipts,
    ) -> Result<Vec<Receipt>, WebhooksRefused> {
        let none = |code, why: String| WebhooksRefused::Connection(code, why);
        let config = self.config().connection(connection);
        let config = config
            .ok_or_else(|| none("no-such-connection", format!("there is no connection `{connection}`")))?;
        let kind = registry::vendor(&config.kind).and_then(|vendor| vendor.webhook.as_ref());
        let kind = kind.ok_or_else(|| {
            none("receives-no-webhooks", format!("connection `{connection}` receives no webhooks"))
        })?;
        let unreadable =
            |error: StoreError| WebhooksRefused::Later(format!("the posting log refused: {}", words(&error)));
        let credential = self.store().secret(&config.secret).map_err(unreadable)?;
        let reception = Reception {
            store: self.store(),
            now: self.now(),
            connection,
            kind,
            settings: &config.settings,
            secrets: credential.as_ref().map(Secrets::of).unwrap_or_default(),
            flows,
            actor,
        };
        let (receipts, mut batch) = reception.receive(lines).map_err(unreadable)?;
        batch.append(with(&receipts));
        self.store().commit(batch).await.map_err(unreadable)?;
        Ok(receipts)
    }
}
