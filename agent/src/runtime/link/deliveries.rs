//! What came, each once: that a delivery was taken becomes durable together with its effect, so that neither a repetition
//! nor a crash can give it a second one.

use super::exchange::Exchange;
use crate::runtime::refusals::Refusals;
use crate::store::{AuditDraft, AuditKind, Batch, StateTable, Store, StoreError};
use chrono::TimeDelta;
use purser_proto::link::limits::Name;
use purser_proto::link::report::{Notice, NoticeLevel, ReportBody};
use purser_proto::link::sealed::SealedWebhook;
use purser_proto::link::sync::{Delivery, DeliveryBody, ReleaseNotice};
use spend::Timestamp;

/// How long an id is remembered: longer than any control plane keeps what was not taken.
const KEEP: TimeDelta = TimeDelta::days(30);
/// Ids that are remembered at most; the oldest go first.
const MOST: usize = 200_000;
/// Where refused deliveries are counted, by kind.
const REFUSED: &str = "link/refused";
/// When what is old was last taken away.
const PRUNED: &str = "pruned";

impl Exchange {
    /// Takes deliveries in their order. Webhooks that follow each other are judged together. The answer is how many of them
    /// were decided that had not been before.
    pub(super) async fn take(&self, deliveries: Vec<Delivery>) -> Result<u64, StoreError> {
        let store = &self.parts.store;
        let mut webhooks: Vec<(Name, SealedWebhook)> = Vec::new();
        let before = self.decided.get();
        for Delivery { id, body } in deliveries {
            if is_taken(store, &id)? || webhooks.iter().any(|(known, _)| *known == id) {
                self.to_tell.borrow_mut().insert(id.as_str().to_owned());
                continue;
            }
            if let DeliveryBody::Webhook(webhook) = body {
                webhooks.push((id, webhook));
                continue;
            }
            self.take_webhooks(std::mem::take(&mut webhooks)).await?;
            match body {
                DeliveryBody::Revision(revision) => self.take_revision(&id, &revision).await?,
                DeliveryBody::Command(command) => self.take_command(&id, command).await?,
                DeliveryBody::Secret(secret) => self.take_secret(&id, &secret).await?,
                DeliveryBody::Release(notice) => self.take_release(&id, &notice).await?,
                DeliveryBody::Unknown => self.take_unknown(&id).await?,
                // Put aside above.
                DeliveryBody::Webhook(_) => {}
            }
        }
        self.take_webhooks(webhooks).await?;
        self.close_refusals().await?;
        self.forget_old().await?;
        Ok(self.decided.get() - before)
    }

    /// A batch that says that a delivery was taken.
    pub(super) fn taking(&self, id: &Name) -> Batch {
        let mut batch = self.batch();
        mark(&mut batch, id, self.parts.clock.now());
        batch
    }

    /// Writes what was decided about a delivery; from then on it is told.
    pub(super) async fn decide(&self, id: &Name, batch: Batch) -> Result<(), StoreError> {
        self.parts.store.commit(batch).await?;
        self.is_decided(id);
        Ok(())
    }

    /// A delivery whose decision is durable.
    pub(super) fn is_decided(&self, id: &Name) {
        self.decided.set(self.decided.get() + 1);
        self.to_tell.borrow_mut().insert(id.as_str().to_owned());
        self.news.notify_one();
    }

    /// An audit entry by somebody at the control plane.
    pub(super) fn entry(&self, kind: AuditKind, by: &str, detail: serde_json::Value) -> AuditDraft {
        let actor = format!("control-plane:{by}");
        AuditDraft { actor, ..AuditDraft::new(self.parts.clock.now(), kind, detail) }
    }

    /// Puts the audit entry of something that was refused into a batch, or counts it.
    pub(super) fn audit_refused(
        &self,
        batch: &mut Batch,
        kind: &str,
        refused: impl IntoIterator<Item = (&'static str, AuditDraft)>,
    ) -> Result<(), StoreError> {
        let mut refusals = Refusals::load(&self.parts.store, REFUSED)?;
        for (code, entry) in refused {
            refusals.add(batch, kind, code, entry);
        }
        refusals.save(batch);
        Ok(())
    }

    async fn close_refusals(&self) -> Result<(), StoreError> {
        let (mut batch, mut refusals) = (self.batch(), Refusals::load(&self.parts.store, REFUSED)?);
        if !refusals.close(&mut batch, self.parts.clock.now()) {
            return Ok(());
        }
        refusals.save(&mut batch);
        self.parts.store.commit(batch).await
    }

    /// Puts a notice into a batch.
    pub(super) fn notice(&self, batch: &mut Batch, notice: Notice) {
        batch.report(self.parts.clock.now(), &ReportBody::Notice(notice));
    }

    /// A release is told of and nothing else: this version has no updater.
    async fn take_release(&self, id: &Name, notice: &ReleaseNotice) -> Result<(), StoreError> {
        let version = notice.version.as_str();
        tracing::info!(version, "the control plane tells of a release");
        let mut batch = self.taking(id);
        batch.audit(self.entry(
            AuditKind::Agent,
            "release",
            serde_json::json!({ "what": "release", "version": version }),
        ));
        self.notice(
            &mut batch,
            Notice {
                level: NoticeLevel::Info,
                code: "release-told".into(),
                concerns: None,
                what: format!("release {version} is known here; this agent does not update itself").into(),
                fix: "install it on the machine".into(),
            },
        );
        self.decide(id, batch).await?;
        self.shown.change(|status| status.release = Some(version.to_owned()));
        Ok(())
    }

    /// Takes away what is old, once a day.
    async fn forget_old(&self) -> Result<(), StoreError> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let today = now.date_naive().to_string();
        if store.get::<String>(StateTable::Link, PRUNED)?.is_some_and(|day| day == today) {
            return Ok(());
        }
        let mut known = Vec::new();
        for name in store.names(StateTable::Delivery)? {
            let at: Option<Timestamp> = store.get(StateTable::Delivery, &name)?;
            known.push((at.unwrap_or(Timestamp::UNIX_EPOCH), name));
        }
        known.sort_by(|a, b| b.cmp(a));
        let mut batch = self.batch();
        let old = known.iter().enumerate().filter(|(n, (at, _))| *n >= MOST || now - *at > KEEP);
        for (_, (_, name)) in old {
            batch.remove(StateTable::Delivery, name);
        }
        batch.put(StateTable::Link, PRUNED, &today);
        store.commit(batch).await
    }

    async fn take_unknown(&self, id: &Name) -> Result<(), StoreError> {
        let mut batch = self.taking(id);
        self.notice(
            &mut batch,
            Notice {
                level: NoticeLevel::Warning,
                code: "delivery-unknown".into(),
                concerns: Some(id.clone()),
                what: "a delivery is of a kind that this release does not know; nothing was done".into(),
                fix: "update the agent".into(),
            },
        );
        self.decide(id, batch).await
    }
}

/// Whether a delivery was taken before.
fn is_taken(store: &Store, id: &Name) -> Result<bool, StoreError> {
    Ok(store.get::<Timestamp>(StateTable::Delivery, id.as_str())?.is_some())
}

/// Notes that a delivery is taken, once the batch is durable.
pub(super) fn mark(batch: &mut Batch, id: &Name, now: Timestamp) {
    batch.put(StateTable::Delivery, id.as_str(), &now);
}
