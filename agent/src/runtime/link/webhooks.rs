//! Webhooks that the control plane received and sealed. They are opened, compared with what is said outside, and handed to
//! the same judgement as those of a file: the sender's proof decides, not who brought them.

use super::deliveries::mark;
use super::desk::WebhooksRefused;
use super::exchange::Exchange;
use crate::runtime::webhooks::{Outcome, Receipt};
use crate::store::{AuditKind, Batch, StoreError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use purser_proto::link::limits::Name;
use purser_proto::link::report::ReportBody;
use purser_proto::link::sealed::{Received, SealedWebhook};
use spend::Timestamp;
use spend::ids::ConnectionId;

/// One that was opened: its delivery, and the line that is judged.
type Opened = (Name, String);

impl Exchange {
    pub(super) async fn take_webhooks(&self, webhooks: Vec<(Name, SealedWebhook)>) -> Result<(), StoreError> {
        let mut together: Vec<Opened> = Vec::new();
        let mut of: Option<Name> = None;
        for (id, webhook) in webhooks {
            let line = match self.open_webhook(&webhook) {
                Ok(line) => line,
                Err(code) => {
                    self.refuse_webhooks(&[id], &webhook.connection, code).await?;
                    continue;
                }
            };
            if of.as_ref().is_some_and(|before| *before != webhook.connection) {
                self.judge_webhooks(of.take(), std::mem::take(&mut together)).await?;
            }
            of = Some(webhook.connection);
            together.push((id, line));
        }
        self.judge_webhooks(of, together).await
    }

    fn open_webhook(&self, webhook: &SealedWebhook) -> Result<String, &'static str> {
        let sealed = STANDARD.decode(webhook.sealed.as_str()).map_err(|_| "not-sealed")?;
        let (_, plain) = self.keys().open(&sealed).ok_or("not-for-this-agent")?;
        let received: Received = serde_json::from_slice(&plain).map_err(|_| "not-a-webhook")?;
        if received.agent.as_str() != self.enrollment.agent {
            return Err("not-for-this-agent");
        }
        if received.connection != webhook.connection {
            return Err("other-connection-inside");
        }
        let line = serde_json::json!({
            "received_at": received.received_at.to_rfc3339(),
            "headers": received.headers,
            "body_base64": received.body_base64,
        });
        Ok(line.to_string())
    }

    async fn judge_webhooks(&self, connection: Option<Name>, opened: Vec<Opened>) -> Result<(), StoreError> {
        let Some(connection) = connection.filter(|_| !opened.is_empty()) else { return Ok(()) };
        let (ids, lines): (Vec<Name>, Vec<String>) = opened.into_iter().unzip();
        let (now, told, batch) = (self.parts.clock.now(), ids.clone(), self.batch());
        let with = Box::new(move |receipts: &[Receipt]| written_with(batch, receipts, &told, now));
        let id = ConnectionId::new(connection.as_str());
        match self.parts.desk.webhooks(id, lines, with).await {
            Ok(()) => ids.iter().for_each(|id| self.is_decided(id)),
            Err(WebhooksRefused::Connection(code, why)) => {
                tracing::warn!(%connection, why, "webhooks are refused");
                self.refuse_webhooks(&ids, &connection, code).await?;
            }
            // Nothing was written; they come again.
            Err(WebhooksRefused::Later(why)) => tracing::warn!(%connection, why, "webhooks wait"),
        }
        Ok(())
    }

    async fn refuse_webhooks(
        &self,
        ids: &[Name],
        connection: &Name,
        code: &'static str,
    ) -> Result<(), StoreError> {
        let (mut batch, now) = (self.batch(), self.parts.clock.now());
        let refused = ids.iter().map(|_| {
            let detail = serde_json::json!({
                "what": "webhook", "outcome": "refused", "code": code, "connection": connection,
            });
            (code, self.entry(AuditKind::Security, "webhook", detail))
        });
        self.audit_refused(&mut batch, "webhooks", refused)?;
        for id in ids {
            mark(&mut batch, id, now);
            let (outcome, code) = ("refused".into(), Some(code.into()));
            batch.report(now, &ReportBody::Webhook { delivery: id.clone(), outcome, code });
        }
        self.parts.store.commit(batch).await?;
        ids.iter().for_each(|id| self.is_decided(id));
        Ok(())
    }
}

/// What becomes durable together with the receipts.
fn written_with(mut batch: Batch, receipts: &[Receipt], ids: &[Name], now: Timestamp) -> Batch {
    for (receipt, id) in receipts.iter().zip(ids) {
        mark(&mut batch, id, now);
        let outcome = match receipt.outcome {
            Outcome::Accepted => "accepted",
            Outcome::Ignored => "ignored",
            Outcome::KnownAlready => "known-already",
            Outcome::Refused => "refused",
        };
        let code = receipt.code.as_deref().map(Into::into);
        batch.report(now, &ReportBody::Webhook { delivery: id.clone(), outcome: outcome.into(), code });
    }
    batch
}
