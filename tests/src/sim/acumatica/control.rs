//! What people and tests can change from outside: knobs, and the vendor's own data as another user would.

use serde_json::{Value, json};

use super::AcumaticaSim;
use super::contract::{self, Entity};
use super::json::{Json, Row};
use super::patch::Patch;
use super::record::Record;
use crate::sim::amount::Amount;

const VERBS: &str = "reset, knobs, authorization-code, revoke-tokens, revoke-refresh-tokens, expire-sessions, \
                     unlock-user, restart, close-period, open-period, edit-record, touch-record, delete-record, \
                     edit-vendor, touch-vendor, delete-vendor, edit-account, edit-project, edit-document, \
                     delete-document, action, run-operations, push-destination, push-send, push-clear";

impl AcumaticaSim {
    pub(super) fn run_control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        match verb {
            "reset" => {
                *self = Self::from_world(&self.world.clone(), self.first_knobs.clone());
                Ok(json!({ "reset": true }))
            }
            "knobs" => self.change_knobs(body),
            "authorization-code" => self.make_code(body),
            "revoke-tokens" => Ok(json!({ "revoked": self.access.revoke_tokens() })),
            "revoke-refresh-tokens" => Ok(json!({ "revoked": self.access.revoke_chains() })),
            "expire-sessions" => Ok(json!({ "expired": self.access.end_sessions() })),
            "unlock-user" => {
                self.access.unlock();
                Ok(json!({ "unlocked": true }))
            }
            "restart" => Ok(self.restart()),
            "close-period" | "open-period" => self.set_period(verb == "close-period", body),
            "edit-record" | "touch-record" => {
                let entity = entity_of(need(body, "entity")?)?;
                self.edit_record(entity, body, verb == "edit-record")
            }
            "edit-vendor" | "touch-vendor" => {
                self.edit_record(entity_of("Vendor")?, body, verb == "edit-vendor")
            }
            "edit-account" => self.edit_record(entity_of("Account")?, body, true),
            "edit-project" => self.edit_record(entity_of("Project")?, body, true),
            "delete-record" => self.delete_record(entity_of(need(body, "entity")?)?, body),
            "delete-vendor" => self.delete_record(entity_of("Vendor")?, body),
            "edit-document" | "delete-document" => self.change_document(verb == "delete-document", body),
            "action" => self.run_action(body),
            "run-operations" => Ok(json!({ "ran": self.run_operations(true) })),
            "push-destination" => self.push.add(body),
            "push-send" => {
                let reversed = body.get("reversed").and_then(Value::as_bool).unwrap_or_default();
                Ok(json!({ "sent": self.push.send_held(reversed) }))
            }
            "push-clear" => Ok(self.push.clear()),
            _ => Err(format!("there is no verb {verb}; there are: {VERBS}")),
        }
    }

    fn change_knobs(&mut self, body: &Value) -> Result<Value, String> {
        let mut knobs = serde_json::to_value(&self.knobs).map_err(|error| error.to_string())?;
        let changes = match body {
            Value::Object(changes) => changes.clone(),
            Value::Null => serde_json::Map::new(),
            _ => return Err("knobs are changed with a JSON object".to_owned()),
        };
        if let Some(all) = knobs.as_object_mut() {
            all.extend(changes);
        }
        self.knobs = serde_json::from_value(knobs.clone()).map_err(|error| format!("not a knob: {error}"))?;
        Ok(knobs)
    }

    /// What a person gets who signs in in the browser: `{"tenant": .., "scope": ..}`, both optional.
    fn make_code(&mut self, body: &Value) -> Result<Value, String> {
        let first = self.tenants.first().map(|tenant| tenant.name.clone()).unwrap_or_default();
        let tenant = text(body, "tenant").map_or(first, str::to_owned);
        let scope = text(body, "scope").unwrap_or("api offline_access").to_owned();
        let client = format!("{}@{tenant}", self.knobs.client_guid);
        let code = self.new_word("code");
        self.access.add_code(code.clone(), client.clone(), scope);
        Ok(json!({ "code": code, "client_id": client, "redirect_uri": self.knobs.redirect_uri }))
    }

    /// The site is recycled: sessions end, new tenants become visible.
    fn restart(&mut self) -> Value {
        self.access.end_sessions();
        let world = self.world.clone();
        for name in self.knobs.tenants.clone() {
            if !self.tenants.iter().any(|tenant| tenant.name == name) {
                self.add_tenant(&name, &world);
            }
        }
        json!({ "tenants": self.tenants.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>() })
    }

    /// `{"year": 2026, "period": 3}`, with `"payables": true` for AP alone.
    fn set_period(&mut self, closed: bool, body: &Value) -> Result<Value, String> {
        let number = |name: &str| body.get(name).and_then(Value::as_i64);
        let (Some(year), Some(period)) = (number("year"), number("period")) else {
            return Err("give year and period as integers".to_owned());
        };
        let payables = body.get("payables").and_then(Value::as_bool).unwrap_or_default();
        let code = format!("{period:02}{year}");
        let mut found = 0;
        for tenant in &mut self.tenants {
            for name in ["FinancialPeriod", "CompanyFinancialPeriod"] {
                let Some(set) = tenant.set_mut(name) else { continue };
                let Some(at) = set.by_keys([year.to_string().as_str()]) else { continue };
                let Some(mut record) = set.get(at).cloned() else { continue };
                for line in record.details.values_mut().flatten() {
                    if line.text("FinancialPeriodID") == code {
                        line.set("ClosedInAP", closed);
                        if !payables {
                            line.set("Status", if closed { "Closed" } else { "Open" });
                        }
                        found += 1;
                    }
                }
                set.replace(at, record);
            }
        }
        if found == 0 {
            return Err(format!("there is no period {year}-{period}"));
        }
        Ok(json!({ "year": year, "period": period, "closed": closed }))
    }

    /// `{"id": key or keys with slashes, "set": {"Field": value, "Linked": {..}}}` in every tenant or in `tenant`.
    fn edit_record(&mut self, entity: &'static Entity, body: &Value, edits: bool) -> Result<Value, String> {
        let id = need(body, "id")?;
        let changes = body.get("set").cloned().unwrap_or(json!({}));
        if edits && changes.as_object().is_none_or(serde_json::Map::is_empty) {
            return Err("give the fields to change as an object in `set`".to_owned());
        }
        let patch = Json::parse(wrapped(&changes).to_string().as_bytes())?;
        let patch = patch.as_row().cloned().unwrap_or_else(Row::new);
        let patch = Patch::read(&patch, entity.shape, self.style(), "set").map_err(|why| why.sentence)?;
        let mut count = 0;
        for tenant in self.chosen_tenants(body) {
            let set = self.tenants[tenant].set(entity.name);
            let Some(at) = set.and_then(|set| set.by_keys(id.split('/'))) else { continue };
            let Some(mut record) = set.and_then(|set| set.get(at)).cloned() else { continue };
            let mut serial = self.serial;
            let mut new_id = || {
                serial += 1;
                super::guid(serial)
            };
            patch.apply(&mut record, &mut new_id);
            self.serial = serial;
            self.store(tenant, entity, Some(at), record);
            count += 1;
        }
        if count == 0 {
            return Err(format!("there is no {id} in {}", entity.name));
        }
        Ok(json!({ "changed": count }))
    }

    fn chosen_tenants(&self, body: &Value) -> Vec<usize> {
        let only = text(body, "tenant");
        let wanted = |tenant: &super::tenant::Tenant| only.is_none_or(|only| tenant.name == only);
        (0..self.tenants.len()).filter(|at| wanted(&self.tenants[*at])).collect()
    }

    fn delete_record(&mut self, entity: &'static Entity, body: &Value) -> Result<Value, String> {
        let id = need(body, "id")?;
        let mut count = 0;
        for tenant in self.chosen_tenants(body) {
            let found = self.tenants[tenant].set(entity.name).and_then(|set| set.by_keys(id.split('/')));
            if let Some(at) = found {
                self.forget(tenant, entity, at);
                count += 1;
            }
        }
        if count == 0 {
            return Err(format!("there is no {id} in {}", entity.name));
        }
        Ok(json!({ "deleted": count }))
    }

    /// What a person in finance does by hand: deletes a document, or changes the amount of its first line.
    fn change_document(&mut self, deletes: bool, body: &Value) -> Result<Value, String> {
        let reference = need(body, "reference")?;
        let amount = text(body, "amount").and_then(Amount::parse);
        if !deletes && amount.is_none() {
            return Err("give the new amount as decimal text".to_owned());
        }
        let mut count = 0;
        for (tenant, entity, id) in self.documents_with(reference) {
            let set = self.tenants[tenant].set(entity.name);
            let Some(at) = set.and_then(|set| set.by_id(&id)) else { continue };
            let Some(mut record) = set.and_then(|set| set.get(at)).cloned() else { continue };
            count += 1;
            if deletes {
                self.forget(tenant, entity, at);
                continue;
            }
            if let Some(line) = record.details.get_mut("Details").and_then(|lines| lines.first_mut()) {
                for name in ["ExtendedCost", "Amount", "UnitCost", "DebitAmount"] {
                    if line.fields.contains_key(name) {
                        line.set(name, amount.unwrap_or_default());
                    }
                }
            }
            if entity.name == "Bill" {
                let total = record.sum("Amount") + record.amount("TaxTotal");
                record.set("Amount", total);
                record.set("Balance", total);
            }
            self.store(tenant, entity, Some(at), record);
        }
        if count == 0 {
            Err(format!("there is no document {reference}"))
        } else {
            Ok(json!({ "changed": count }))
        }
    }

    /// Bills with that vendor reference, journals whose description begins with it or whose lines carry it.
    fn documents_with(&self, reference: &str) -> Vec<(usize, &'static Entity, String)> {
        let is = |entity: &Entity, record: &Record| match entity.name {
            "Bill" => record.text("VendorRef") == reference,
            "JournalTransaction" => {
                record.text("Description").split_whitespace().next() == Some(reference)
                    || record.text("Description") == reference
                    || record.lines().iter().any(|line| line.text("ReferenceNbr") == reference)
            }
            _ => false,
        };
        let mut found = Vec::new();
        for (tenant, books) in self.tenants.iter().enumerate() {
            for entity in contract::all() {
                let records = books.set(entity.name).map_or(&[][..], |set| set.records());
                let ids = records.iter().filter(|one| is(entity, one)).map(|one| one.id.clone());
                found.extend(ids.map(|id| (tenant, entity, id)));
            }
        }
        found
    }

    /// `{"reference": .., "action": "Approve"}`: another user does it.
    fn run_action(&mut self, body: &Value) -> Result<Value, String> {
        let (reference, name) = (need(body, "reference")?, need(body, "action")?);
        let mut count = 0;
        for (tenant, entity, id) in self.documents_with(reference) {
            let action = contract::action(entity, name).ok_or(format!("there is no action {name}"))?;
            self.perform(tenant, entity, action, &id)?;
            count += 1;
        }
        if count == 0 {
            Err(format!("there is no document {reference}"))
        } else {
            Ok(json!({ "done": count }))
        }
    }
}

fn entity_of(name: &str) -> Result<&'static Entity, String> {
    contract::entity(name).ok_or_else(|| format!("there is no entity {name}"))
}

/// Plain values wrapped as the contract wants them.
fn wrapped(changes: &Value) -> Value {
    let Value::Object(members) = changes else { return json!({ "value": changes }) };
    let members = members.iter().map(|(name, value)| (name.clone(), wrapped(value)));
    Value::Object(members.collect())
}

fn text<'b>(body: &'b Value, name: &str) -> Option<&'b str> {
    body.get(name).and_then(Value::as_str)
}

fn need<'b>(body: &'b Value, name: &str) -> Result<&'b str, String> {
    text(body, name).ok_or_else(|| format!("`{name}` is missing"))
}
