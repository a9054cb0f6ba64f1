//! What the simulator holds, for people and for the judges of a run.

use super::BrexSim;
use super::books::{Books, Record, Status};
use super::control::word;
use super::webhooks::{Fate, Message};
use super::wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Minor units by currency; money that came back counts negative.
type Sums = BTreeMap<String, i64>;

impl BrexSim {
    pub(super) fn describe(&self) -> Value {
        let mut stages: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut ready, mut exported) = (Sums::new(), Sums::new());
        for record in &self.books.records {
            *stages.entry(record.status.as_str()).or_default() += 1;
            let sums = match record.status {
                Status::Ready => &mut ready,
                Status::Exported => &mut exported,
                Status::Prepare | Status::Review => continue,
            };
            // The second record of one expense is no further spend.
            if !record.echo {
                *sums.entry(record.currency.clone()).or_default() += record.signed();
            }
        }
        json!({
            "records": self.books.records.iter().map(record_state).collect::<Vec<_>>(),
            "record_count": self.books.records.len(),
            "statuses": stages,
            "ready_total": ready,
            "exported_total": exported,
            "calls": self.calls,
            "throttled": self.throttled,
            "refused_credentials": self.refused_credentials,
            "refreshes": self.access.refreshes,
            "company_id": self.books.company_id,
            "integrations": self.integrations.iter().map(super::integration::Integration::body).collect::<Vec<_>>(),
            "fields": self.books.fields.iter().map(|field| json!({
                "id": field.id, "name": field.name, "remote_id": field.remote_id, "group": field.group,
                "disabled": field.disabled, "values": field.values.len(),
                "enabled_values": field.values.iter().filter(|value| !value.disabled).count(),
            })).collect::<Vec<_>>(),
            "vendors": self.books.vendors.iter().map(|vendor| json!({"id": vendor.id, "name": vendor.name}))
                .collect::<Vec<_>>(),
            "webhooks": self.webhooks.endpoints.iter().map(|endpoint| json!({
                "id": endpoint.id, "url": endpoint.url, "status": endpoint.status,
                "failing_since": endpoint.failing_since.map(wire::seconds)})).collect::<Vec<_>>(),
            "deliveries": self.fates(),
        })
    }

    fn fates(&self) -> Value {
        let count = |fate: Fate| self.webhooks.messages.iter().filter(|message| message.fate == fate).count();
        let all = [Fate::Pending, Fate::Delivered, Fate::Failed, Fate::Dropped, Fate::Recorded];
        let mut counts: BTreeMap<&str, usize> =
            all.into_iter().map(|fate| (fate.as_str(), count(fate))).collect();
        counts.insert("attempts", self.webhooks.messages.iter().map(|message| message.attempts.len()).sum());
        json!(counts)
    }

    /// Every message with its attempts.
    pub(super) fn messages(&self) -> Value {
        let body = |message: &Message| {
            json!({
                "id": message.id, "event_type": message.event, "state": message.fate.as_str(),
                "body": serde_json::from_str::<Value>(&message.body).unwrap_or_default(),
                "attempts": message.attempts.iter()
                    .map(|(at, status)| json!({"at": wire::seconds(*at), "status": status})).collect::<Vec<_>>()})
        };
        self.webhooks.messages.iter().map(body).collect()
    }

    /// A record with its lines in codes of the ERP.
    pub(super) fn show_record(&self, body: &Value) -> Result<Value, String> {
        let id = word(body, "id")?;
        let record = self.books.record(id).ok_or_else(|| format!("no record {id}"))?;
        let mut shown = record_state(record);
        shown["lines"] = record
            .lines
            .iter()
            .map(|line| {
                let mut codes = BTreeMap::new();
                for (field, value) in &line.values {
                    let field = self.books.fields.iter().find(|known| known.id == *field);
                    let value = field.and_then(|field| field.values.iter().find(|known| known.id == *value));
                    let name = field.and_then(|field| field.remote_id.clone()).unwrap_or_default();
                    codes.insert(name, value.and_then(|value| value.remote_id.clone()));
                }
                json!({"id": line.id, "side": if line.debit { "DEBIT" } else { "CREDIT" }, "amount": line.amount,
                    "original": line.original, "spend": line.spend, "codes": codes})
            })
            .collect();
        shown["original_currency"] = record.original_currency.clone().into();
        shown["counterpart"] = Books::counterpart(&record.kind).into();
        shown["expense"] = json!(record.source_id);
        shown["parts"] = json!(record.parts);
        shown["card"] = json!(record.card);
        Ok(shown)
    }
}

fn record_state(record: &Record) -> Value {
    json!({
        "id": record.id,
        "type": record.kind,
        "source_type": record.source_type,
        "review_status": record.status.as_str(),
        "version": record.version,
        "updated_at": wire::micros(record.updated),
        "total": record.signed(),
        "currency": record.currency,
        "merchant": record.merchant.as_ref().map(|(_, merchant)| merchant.name.clone()),
        "merchant_id": record.merchant.as_ref().map(|(id, _)| id.clone()),
        "vendor_code": record.merchant.as_ref().and_then(|(_, merchant)| merchant.vendor_code.clone()),
        "reference": record.reference,
        "link": record.link,
        "failure": record.failure,
        "reported": record.reported,
        "second_of_one_expense": record.echo,
    })
}
