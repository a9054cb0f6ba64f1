//! What the agent does with orders that need more than one line: previews, proofs, checks and secrets.

use super::agent::{Agent, no_flow};
use super::commands::Obeyed;
use super::freshness;
use super::link::enroll::Enrolled;
use super::supervisor::RunState;
use super::words;
use crate::config::routes;
use crate::flows::reference_flow::{Agreement, MirrorEnded};
use crate::flows::replay::Decision;
use crate::flows::{merchants, unattended};
use crate::store::{AuditDraft, AuditKind, Batch, StoreError, StoredSecret};
use crate::vendors::Probe;
use purser_proto::validate::ValidConfig;
use spend::ids::{ConnectionId, FlowId, PostingKey};
use spend::{Date, Timestamp};
use std::time::Duration;

/// How long a connection that takes up a new secret is waited for.
const BACK_WITHIN: Duration = Duration::from_secs(10);

impl Agent {
    /// Runs a flow. With `expect` it is previewed first, nothing is run when the preview is another one than what was
    /// agreed to, and nothing else is done than what the preview shows.
    pub(super) async fn run_as_agreed(
        &self,
        flow: &FlowId,
        expect: Option<String>,
        consent: Option<Decision>,
    ) -> Obeyed {
        if self.reference(flow).is_some() {
            return self.run_reference(flow, Agreement { expect, consent }).await;
        }
        if consent.is_some() {
            let why =
                format!("flow `{flow}` books and has no ceilings of changes; leave out --beyond-ceiling");
            return Obeyed::Refused { why };
        }
        let agreed = match expect {
            None => None,
            Some(expect) => match self.preview(flow).await {
                Obeyed::Previewed { preview } if preview.plan_hash != expect => {
                    return Obeyed::Changed { preview };
                }
                Obeyed::Previewed { preview } => Some(preview.agreed()),
                other => return other,
            },
        };
        match self.run_flow_only(flow, "person", agreed).await {
            Ok(report) => Obeyed::Ran { report },
            Err(why) => Obeyed::Refused { why },
        }
    }

    async fn run_reference(&self, flow: &FlowId, agreed: Agreement) -> Obeyed {
        match self.mirror(flow, "person", agreed).await {
            Ok(MirrorEnded::Ran(report)) => Obeyed::Ran { report },
            Ok(MirrorEnded::Changed(preview)) => Obeyed::ChangedReference { preview },
            Err(why) => Obeyed::Refused { why },
        }
    }

    pub(super) async fn preview(&self, flow: &FlowId) -> Obeyed {
        if let Some(handle) = self.reference(flow) {
            return match handle.preview().await {
                Ok(preview) => Obeyed::PreviewedReference { preview: Box::new(preview) },
                Err(why) => Obeyed::Refused { why },
            };
        }
        let Some(handle) = self.flow(flow) else { return no_flow(flow) };
        match handle.preview().await {
            Ok(preview) => Obeyed::Previewed { preview },
            Err(why) => Obeyed::Refused { why },
        }
    }

    pub(super) async fn proof(&self, flow: &FlowId, from: Date, to: Date) -> Obeyed {
        let Some(handle) = self.flow(flow) else { return no_flow(flow) };
        match handle.proof(from, to).await {
            Ok(proof) => Obeyed::Proved { proof: Box::new(proof) },
            Err(why) => Obeyed::Refused { why },
        }
    }

    pub(super) async fn probe(&self, connection: &ConnectionId) -> Obeyed {
        match self.connection(connection) {
            Some(handle) => Obeyed::Probed { results: handle.probe().await },
            None => Obeyed::Refused { why: format!("there is no connection `{connection}`") },
        }
    }

    pub(super) async fn put_secret(&self, name: &str, sealed: &str, decision: &Decision) -> Obeyed {
        match StoredSecret::open_sealed(self.home(), sealed) {
            Ok((own, secret)) if own == name => {
                self.change_secret(name, putting(self.now(), name, secret, decision)).await
            }
            Ok(_) => {
                Obeyed::Refused { why: "the order and the secret in it name different secrets".to_owned() }
            }
            Err(error) => Obeyed::Refused { why: words(&error) },
        }
    }

    pub(super) async fn remove_secret(&self, name: &str, decision: &Decision) -> Obeyed {
        self.change_secret(name, removing(self.now(), name, decision)).await
    }

    /// Forgets which vendor a merchant is; records that are planned or booked stay as they are.
    pub(super) async fn forget(&self, flow: &FlowId, merchant: &str, decision: &Decision) -> Obeyed {
        let refused =
            |error: StoreError| Obeyed::Refused { why: format!("the posting log refused: {error}") };
        let choice = match merchants::choices(self.store(), flow) {
            Ok(mut choices) => choices.remove(merchant),
            Err(error) => return refused(error),
        };
        let Some(choice) = choice else {
            return Obeyed::Refused {
                why: format!("nobody has chosen a vendor for merchant `{merchant}` in flow `{flow}`"),
            };
        };
        match self.store().commit(merchants::forgetting(self.now(), flow, &choice, decision)).await {
            Ok(()) => Obeyed::Done,
            Err(error) => refused(error),
        }
    }

    /// Closes what a flow has left that the configuration does not name any more.
    pub(super) async fn close_unattended(
        &self,
        flow: &FlowId,
        key: &PostingKey,
        decision: &Decision,
        report_failure: bool,
    ) -> Obeyed {
        if report_failure {
            return Obeyed::Refused {
                why: format!(
                    "there is no flow `{flow}` in the configuration, so no spend system can be told; close the record \
                     without --report-failure, or name the flow again"
                ),
            };
        }
        let configured = routes::all(self.config());
        match unattended::close(self.store(), self.clock(), &configured, flow, key, decision).await {
            Ok(decided) => Obeyed::Decided { decided },
            Err(error) => Obeyed::Refused { why: format!("the posting log refused: {error}") },
        }
    }

    /// Takes an identity up; the link begins by itself.
    pub(super) async fn join(&self, sealed: &str, decision: &Decision) -> Obeyed {
        match Enrolled::open(self.home(), sealed) {
            Ok(enrolled) => self.write(enrolled.batch(decision.actor())).await,
            Err(why) => Obeyed::Refused { why },
        }
    }

    /// Leaves the control plane; the link ends by itself.
    pub(super) async fn leave(&self, decision: &Decision) -> Obeyed {
        self.write(leaving(self.now(), decision)).await
    }

    async fn write(&self, batch: Batch) -> Obeyed {
        match self.store().commit(batch).await {
            Ok(()) => Obeyed::Done,
            Err(error) => Obeyed::Refused { why: format!("the posting log refused: {error}") },
        }
    }

    /// Connections read their secret when they start, so those that use it are started again. The answer comes when
    /// they are back, so that what is asked next finds them at work. Those of an agent that is ending do not come back;
    /// the next agent's start when this is written.
    pub(super) async fn change_secret(&self, name: &str, batch: Batch) -> Obeyed {
        if let Err(error) = self.store().commit(batch).await {
            return Obeyed::Refused { why: format!("the posting log refused: {error}") };
        }
        for id in users_of(self.config(), name) {
            if let Some(handle) = self.connection(&id) {
                let actor = handle.actor();
                let life = actor.status().epoch;
                actor.restart("its secret was changed");
                let back = actor.wait_for(move |now| now.epoch > life && now.state == RunState::Running);
                tokio::select! {
                    _ = tokio::time::timeout(BACK_WITHIN, back) => {}
                    () = self.stopping() => {}
                }
            }
        }
        Obeyed::Done
    }
}

/// Why a record of a flow that the configuration does not name is not replayed.
pub(super) fn nobody_replays(flow: &FlowId) -> Obeyed {
    let why = format!(
        "there is no flow `{flow}` in the configuration that could read the record again; name the flow again, or close the \
         record with `purser records handle`"
    );
    Obeyed::Refused { why }
}

/// The connections that use a secret, for their vendor or for their proxy.
pub fn users_of(config: &ValidConfig, secret: &str) -> Vec<ConnectionId> {
    let uses = config.connections.iter().filter(|connection| {
        connection.secret == secret || connection.network.proxy_secret.as_deref() == Some(secret)
    });
    uses.map(|connection| connection.id.clone()).collect()
}

/// Storing a secret that a person sets on the machine, with its audit entry. What was sealed before does not undo it.
pub fn putting(at: Timestamp, name: &str, secret: StoredSecret, decision: &Decision) -> Batch {
    let mut batch = storing(at, name, secret, decision);
    freshness::decided_here(&mut batch, name, at);
    batch
}

/// Storing a secret, with its audit entry: names and origins, never a value.
pub(super) fn storing(at: Timestamp, name: &str, secret: StoredSecret, decision: &Decision) -> Batch {
    let detail = serde_json::json!({
        "verb": "set",
        "secret": name,
        "kind": secret.kind,
        "origins": secret.origins.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "fields": secret.fields.keys().collect::<Vec<_>>(),
        "note": decision.note,
    });
    let mut batch = Batch::new();
    batch.audit(entry(at, decision, detail));
    batch.put_secret(name, secret);
    batch
}

/// Leaving the control plane, with its audit entry.
pub fn leaving(at: Timestamp, decision: &Decision) -> Batch {
    let mut batch = Batch::new();
    batch.leave();
    let detail = serde_json::json!({ "what": "left the control plane", "note": decision.note });
    batch.audit(AuditDraft { actor: decision.actor(), ..AuditDraft::new(at, AuditKind::Agent, detail) });
    batch
}

/// Forgetting a secret on the machine, with its audit entry. What was sealed before does not bring it back.
pub fn removing(at: Timestamp, name: &str, decision: &Decision) -> Batch {
    let mut batch = Batch::new();
    batch.audit(entry(
        at,
        decision,
        serde_json::json!({ "verb": "rm", "secret": name, "note": decision.note }),
    ));
    batch.remove_secret(name);
    freshness::decided_here(&mut batch, name, at);
    batch
}

fn entry(at: Timestamp, decision: &Decision, detail: serde_json::Value) -> AuditDraft {
    AuditDraft { actor: decision.actor(), ..AuditDraft::new(at, AuditKind::Secret, detail) }
}

#[cfg(test)]
mod tests;
