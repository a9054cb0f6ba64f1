//! Telling Brex what became of records. A success follows the ERP's durable answer; a failure is told only when a person
//! has decided that a record must not be posted, because it leaves the list of those that are ready, and a later success
//! is refused.
//!
//! There is no key that would make a repetition harmless. What does: a record that is not ready any more and stands at
//! `EXPORTED` was reported by an earlier call of ours, whose answer was lost.

use super::Brex;
use super::calls;
use super::outcome::{Refusal, rejected, unavailable};
use super::read::{EXPORTED, READY};
use super::settings::is_id;
use super::wire::{Record, Reported};
use spend::ids::SourceId;
use spend::posting::{ErpReceipt, Failure, FailureClass};
use std::collections::{BTreeMap, BTreeSet};

/// The code of a refusal about records that do not wait for a report.
const NOT_READY: &str = "ACCOUNTING_RECORD_NOT_READY_FOR_EXPORT";
/// Most characters of a failure's message.
const MESSAGE_LENGTH: usize = 500;
/// Most characters of a reference. No length is documented; this is what text fields usually hold (I).
const REFERENCE_LENGTH: usize = 255;

/// What became of one report.
#[derive(Default)]
struct Reports {
    /// Where each record is in the ERP, by id; the same in every repetition.
    references: BTreeMap<String, String>,
    marked: BTreeSet<String>,
    /// Why a record is not marked, by id.
    refused: BTreeMap<String, String>,
}

impl Brex {
    /// Reports records as exported, each with where it is in the ERP; answers those that are marked afterwards.
    pub(super) async fn report_exported(
        &self,
        exported: &BTreeMap<&SourceId, &ErpReceipt>,
    ) -> Result<Vec<SourceId>, Failure> {
        let usable: Vec<&str> = exported.keys().map(|id| id.as_str()).filter(|id| is_id(id)).collect();
        let references = exported.iter().map(|(id, receipt)| (id.to_string(), reference_id(receipt)));
        let mut reports = Reports { references: references.collect(), ..Reports::default() };
        for chunk in usable.chunks(usize::from(self.settings.report_size)) {
            match self.report_chunk(chunk, &mut reports).await {
                Ok(()) => {}
                // What is marked is worth knowing; the rest is asked for again by the caller.
                Err(failure) if !reports.marked.is_empty() => {
                    tracing::warn!(%failure, marked = reports.marked.len(), "records are marked in part");
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        for (id, why) in &reports.refused {
            tracing::warn!(id, why, "a record cannot be marked as exported");
        }
        // Of several, the others must not fail with it; alone, the reason is worth telling.
        if let ([id], Some(why)) = (usable.as_slice(), reports.refused.values().next()) {
            return Err(rejected(
                "brex.report-success",
                format!("record {id} {why}"),
                "the document is in the ERP; look at the record in Brex, and close this item with `purser records handle`",
            ));
        }
        let marked = exported.keys().filter(|id| reports.marked.contains(id.as_str()));
        Ok(marked.map(|id| (*id).clone()).collect())
    }

    /// One chunk, all or nothing at Brex (I): what a refusal names is settled by itself, the rest is sent again.
    async fn report_chunk(&self, ids: &[&str], reports: &mut Reports) -> Result<(), Failure> {
        let mut open: BTreeSet<&str> = ids.iter().copied().collect();
        while !open.is_empty() {
            let asked: Vec<&str> = open.iter().copied().collect();
            match self.report_once(&asked, &reports.references).await {
                Ok(updated) => {
                    reports.marked.extend(updated.into_iter().filter(|id| open.contains(id.as_str())));
                    return Ok(());
                }
                Err(refusal) => self.settle(&refusal, &mut open, reports).await?,
            }
        }
        Ok(())
    }

    async fn report_once(
        &self,
        ids: &[&str],
        references: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Refusal> {
        let request = calls::report_success(ids, references);
        let answer = self.send(&request).await?;
        let reported: Reported = self.understood(&request, &answer)?;
        let updated = reported.updated_accounting_record_ids.unwrap_or_default();
        let strangers = updated.iter().filter(|id| !ids.contains(&id.as_str())).count();
        if strangers > 0 {
            tracing::error!(strangers, "brex marked records that were not asked for");
        }
        Ok(updated)
    }

    /// Takes out of `open` what a refusal is about, so that the rest can be sent again.
    async fn settle(
        &self,
        refusal: &Refusal,
        open: &mut BTreeSet<&str>,
        reports: &mut Reports,
    ) -> Result<(), Failure> {
        if matches!(refusal.failure.class, FailureClass::InDoubt) {
            return self.after_lost_answer(&refusal.failure, open, reports).await;
        }
        let not_ready = refusal.code == NOT_READY;
        let named: BTreeSet<String> = match refusal.status {
            404 => refusal.ids("not_found_export_entry_source_ids"),
            422 if not_ready => refusal.ids("not_ready_for_export_accounting_record_ids"),
            422 if refusal.code == "DUPLICATE_ACCOUNTING_RECORD_IDS" => {
                refusal.ids("duplicate_accounting_record_ids")
            }
            _ => return Err(refusal.failure.clone()),
        }
        .into_iter()
        .filter(|id| open.contains(id.as_str()))
        .collect();
        // A refusal that names nobody is about the only one, or about each for itself.
        let about: Vec<&str> = match (named.is_empty(), open.len()) {
            (false, _) => open.iter().copied().filter(|id| named.contains(*id)).collect(),
            (true, 1) => open.iter().copied().collect(),
            (true, _) => {
                for id in std::mem::take(open) {
                    Box::pin(self.report_chunk(&[id], reports)).await?;
                }
                return Ok(());
            }
        };
        if refusal.status == 404 {
            for id in &about {
                open.retain(|other| other != id);
                reports.refused.insert((*id).to_owned(), "is not known to Brex".to_owned());
            }
            return Ok(());
        }
        self.look_again(&about, open, reports).await
    }

    /// Reads records that were called not ready: `EXPORTED` is what we wanted.
    async fn look_again(
        &self,
        about: &[&str],
        open: &mut BTreeSet<&str>,
        reports: &mut Reports,
    ) -> Result<(), Failure> {
        let states = self.states(about).await?;
        for id in about {
            open.retain(|other| other != id);
            match states.get(*id).map(String::as_str) {
                Some(EXPORTED) => {
                    reports.marked.insert((*id).to_owned());
                }
                Some(state) => {
                    let why = format!("is at {state} in Brex: somebody changed it after it was posted");
                    reports.refused.insert((*id).to_owned(), why);
                }
                None => {
                    reports.refused.insert((*id).to_owned(), "is not there any more".to_owned());
                }
            }
        }
        Ok(())
    }

    /// The report may have arrived: the records say. What is not marked is reported again by a later call.
    async fn after_lost_answer(
        &self,
        failure: &Failure,
        open: &mut BTreeSet<&str>,
        reports: &mut Reports,
    ) -> Result<(), Failure> {
        let asked: Vec<&str> = open.iter().copied().collect();
        let states = self.states(&asked).await.map_err(|_| failure.clone())?;
        let arrived = |id: &str| states.get(id).is_some_and(|state| state == EXPORTED);
        open.retain(|id| !arrived(id));
        reports.marked.extend(asked.into_iter().filter(|id| arrived(id)).map(str::to_owned));
        if open.is_empty() { Ok(()) } else { Err(unavailable(failure.message.clone())) }
    }

    async fn states(&self, ids: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
        let items = self.items_by_id(ids).await?;
        let state = |raw: &str| serde_json::from_str::<Record>(raw).ok()?.review_status;
        Ok(items.into_iter().filter_map(|item| Some((item.id?, state(item.raw.get())?))).collect())
    }

    /// Tells Brex that a record could not be exported. Only ever called for a person who decided so: the record leaves
    /// the list of those that are ready, and a later success would be refused.
    pub(super) async fn report_failed(&self, id: &SourceId, message: &str) -> Result<(), Failure> {
        if self.surface().await? != super::Surface::Accounting || !is_id(id.as_str()) {
            return Err(rejected(
                "brex.report-failure",
                format!("`{id}` is no accounting record, so Brex cannot be told about it"),
                "close the item with `purser records handle` alone",
            ));
        }
        let message: String = super::fields::ascii(message).chars().take(MESSAGE_LENGTH).collect();
        let request = calls::report_failure(id.as_str(), &message);
        let answer = match self.send(&request).await {
            Ok(answer) => answer,
            Err(refusal) => return self.failed_already(id, refusal).await,
        };
        let reported: Reported = self.understood(&request, &answer)?;
        let updated = reported.updated_accounting_record_ids.unwrap_or_default();
        if updated.iter().any(|updated| updated == id.as_str()) {
            return Ok(());
        }
        Err(unavailable(format!("brex.report-failure: Brex did not confirm record {id}")))
    }

    /// A record that is not ready is out of the list already: by an earlier report whose answer was lost, or by somebody
    /// in Brex. Only an exported one contradicts.
    async fn failed_already(&self, id: &SourceId, refusal: Refusal) -> Result<(), Failure> {
        let lost = matches!(refusal.failure.class, FailureClass::InDoubt);
        if !lost && refusal.code != NOT_READY {
            return Err(refusal.failure);
        }
        let states = self.states(&[id.as_str()]).await.map_err(|_| refusal.failure.clone())?;
        match states.get(id.as_str()).map(String::as_str) {
            Some(READY) => Err(unavailable(refusal.failure.message)),
            Some(EXPORTED) => Err(rejected(
                "brex.report-failure",
                format!("record {id} is marked as exported in Brex, which nothing takes back"),
                "look at the record in Brex, and close the item with `purser records handle` alone",
            )),
            Some(_) => Ok(()),
            None => Err(rejected(
                "brex.report-failure",
                format!("record {id} is not there any more"),
                "close the item with `purser records handle` alone",
            )),
        }
    }
}

/// Where a document is, as Brex shows it beside the record: plain ASCII.
fn reference_id(receipt: &ErpReceipt) -> String {
    super::fields::ascii(&receipt.document).chars().take(REFERENCE_LENGTH).collect()
}
