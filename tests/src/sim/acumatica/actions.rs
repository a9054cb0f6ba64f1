//! Actions: at once (204) or as long operations (202, a status address, polls), which may fail after the answer and
//! which block the form for their session meanwhile.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::AcumaticaSim;
use super::access::{Caller, no_content};
use super::contract::{self, Entity};
use super::documents::{APPROVED, reversal};
use super::json::{Json, Row};
use super::patch::Patch;
use super::record::Record;
use super::refusal::{Outcome, Refusal};
use super::upsert::{check_precondition, normalise_keys};
use crate::server::{Reply, Request};

/// A long operation.
#[derive(Debug)]
pub(super) struct Operation {
    id: String,
    session: String,
    tenant: usize,
    entity: &'static Entity,
    action: &'static str,
    record: String,
    due: DateTime<Utc>,
    polls: u32,
    outcome: Option<Result<(), String>>,
}

impl Operation {
    pub(super) fn state(&self) -> Value {
        json!({
            "entity": self.entity.name,
            "action": self.action,
            "record": self.record,
            "outcome": match &self.outcome {
                None => "running".to_owned(),
                Some(Ok(())) => "done".to_owned(),
                Some(Err(text)) => text.clone(),
            },
        })
    }
}

impl AcumaticaSim {
    /// While an operation runs, its session can only ask for its status on that form.
    pub(super) fn check_running(&self, entity: &Entity, caller: &Caller) -> Outcome<()> {
        let busy = |one: &&Operation| {
            one.outcome.is_none() && one.session == caller.session && one.entity.name == entity.name
        };
        match self.operations.iter().find(busy) {
            None => Ok(()),
            Some(_) => Err(Refusal::server("The previous operation has not been completed yet.")),
        }
    }

    pub(super) fn action_call(
        &mut self,
        request: &Request,
        base: &str,
        entity: &'static Entity,
        name: &str,
        caller: &Caller,
    ) -> Outcome<Reply> {
        let Some(action) = contract::action(entity, name) else {
            return Err(Refusal::not_found(&format!("There is no action {name}.")).wrong_call());
        };
        self.check_running(entity, caller)?;
        let tenant = self.tenant_index(&caller.tenant)?;
        let record = self.action_record(request, tenant, entity)?;
        let long = self.knobs.asynchronous && is_long(action);
        if !long {
            return match self.perform(tenant, entity, action, &record) {
                Ok(()) => Ok(self.done(base, entity)),
                Err(text) => Err(Refusal::server(text)),
            };
        }
        let id = self.new_guid();
        let location = format!("{base}{}/{action}/status/{id}", entity.name);
        self.operations.push(Operation {
            id,
            session: caller.session.clone(),
            tenant,
            entity,
            action,
            record,
            due: self.now + TimeDelta::seconds(self.knobs.operation_seconds),
            polls: self.knobs.operation_polls,
            outcome: None,
        });
        Ok(accepted(location))
    }

    /// The id of the record that the body names, by id or by keys.
    fn action_record(&self, request: &Request, tenant: usize, entity: &'static Entity) -> Outcome<String> {
        let Ok(Json::Obj(body)) = Json::parse(&request.body) else {
            return Err(Refusal::malformed("action", "The body is not an object."));
        };
        let Some(Json::Obj(sent)) = body.get("entity") else {
            return Err(Refusal::malformed("action.entity", "The entity is missing."));
        };
        let mut patch = Patch::read(sent, entity.shape, self.style(), "entity")?;
        normalise_keys(entity, &mut patch);
        let set = self.tenants[tenant].set(entity.name);
        let found = set.and_then(|set| {
            if !patch.id.is_empty() {
                return set.by_id(&patch.id);
            }
            let keys: Vec<&str> = entity.keys.iter().filter_map(|key| patch.text(key)).collect();
            set.by_keys(keys)
        });
        check_precondition(request, found.is_some())?;
        let record = found.and_then(|at| set?.get(at)).ok_or_else(Refusal::no_entity)?;
        Ok(record.id.clone())
    }

    /// `GET .../{Action}/status/{guid}`.
    pub(super) fn status_call(&mut self, base: &str, entity: &'static Entity, id: &str) -> Outcome<Reply> {
        let place = self.operations.iter().position(|one| one.id == id && one.entity.name == entity.name);
        let Some(place) = place else { return Err(Refusal::not_found("There is no such operation.")) };
        let operation = &mut self.operations[place];
        if operation.outcome.is_none() && operation.polls > 0 {
            operation.polls -= 1;
            let action = operation.action;
            return Ok(accepted(format!("{base}{}/{action}/status/{id}", entity.name)));
        }
        self.complete(place);
        match &self.operations[place].outcome {
            Some(Err(text)) => {
                let kind = super::refusal::GENERAL;
                Err(Refusal::new(self.knobs.failed_operation_status, kind, text.clone()))
            }
            _ => Ok(self.done(base, entity)),
        }
    }

    /// 204, with an address that leads nowhere where the site sends one.
    fn done(&mut self, base: &str, entity: &Entity) -> Reply {
        let mut reply = no_content();
        if self.knobs.dangling_location {
            let nowhere = self.new_guid();
            reply.headers.push(("location".to_owned(), format!("{base}{}/{nowhere}", entity.name)));
        }
        reply
    }

    fn complete(&mut self, place: usize) {
        let one = &self.operations[place];
        if one.outcome.is_some() {
            return;
        }
        let (tenant, entity, action, record) = (one.tenant, one.entity, one.action, one.record.clone());
        let outcome = self.perform(tenant, entity, action, &record);
        self.operations[place].outcome = Some(outcome);
    }

    /// Completes operations whose time has come; `all` = every one.
    pub(super) fn run_operations(&mut self, all: bool) -> usize {
        let due: Vec<usize> = self
            .operations
            .iter()
            .enumerate()
            .filter(|(_, one)| one.outcome.is_none() && (all || one.due <= self.now))
            .map(|(place, _)| place)
            .collect();
        due.iter().for_each(|place| self.complete(*place));
        due.len()
    }

    /// Does it.
    pub(super) fn perform(
        &mut self,
        tenant: usize,
        entity: &'static Entity,
        action: &str,
        id: &str,
    ) -> Result<(), String> {
        let set = self.tenants[tenant].set(entity.name);
        let at = set.and_then(|set| set.by_id(id)).ok_or("The record has been deleted.")?;
        let mut record = set.and_then(|set| set.get(at)).cloned().ok_or("The record has been deleted.")?;
        match action {
            "ReleaseBill" | "ReleaseJournalTransaction" | "Release" => {
                self.release(tenant, entity, &mut record)?;
            }
            "ReleaseFromHold" => {
                held(&record, true)?;
                record.set("Hold", false);
                self.check_balance(entity, &record)?;
                let status = if entity.name == "Bill" { self.bill_status(&record) } else { "Balanced" };
                record.set("Status", status);
            }
            "PutOnHold" => {
                held(&record, false)?;
                record.set("Hold", true);
                record.set("Status", "On Hold");
                record.set(APPROVED, Json::Null);
            }
            "Approve" => {
                if record.text("Status") != "Pending Approval" {
                    return Err("The document is not pending approval.".to_owned());
                }
                record.set(APPROVED, true);
                record.set("Status", "Balanced");
            }
            "Reject" => record.set("Status", "Rejected"),
            "ReverseBill" => {
                if record.text("Status") != "Open" {
                    return Err("Only released documents can be reversed.".to_owned());
                }
                let mut serial = self.serial;
                let mut new_id = || {
                    serial += 1;
                    super::guid(serial)
                };
                let mut reversal = reversal(&record, &mut new_id);
                self.serial = serial;
                self.tenants[tenant].last_bill += 1;
                reversal.set("ReferenceNbr", format!("{:06}", self.tenants[tenant].last_bill));
                self.store(tenant, entity, None, reversal);
                return Ok(());
            }
            "ActivateProject" => record.set("Status", "Active"),
            "CompleteProject" => record.set("Status", "Completed"),
            "HoldProject" => record.set("Status", "On Hold"),
            _ => {}
        }
        self.store(tenant, entity, Some(at), record);
        Ok(())
    }

    fn release(&mut self, tenant: usize, entity: &Entity, record: &mut Record) -> Result<(), String> {
        if self.knobs.fail_releases > 0 {
            self.knobs.fail_releases -= 1;
            return Err("Document release failed: at least one item has not been processed.".to_owned());
        }
        let payables = entity.name == "Bill";
        if record.text("Status") != "Balanced" {
            return Err("Document Status is invalid for processing.".to_owned());
        }
        let period = record.text("PostPeriod");
        if let Some(error) = super::checks::period_error(&self.tenants[tenant], period, payables) {
            return Err(error);
        }
        self.check_balance(entity, record)?;
        let status = match (payables, self.knobs.auto_post) {
            (true, _) => "Open",
            (false, true) => "Posted",
            (false, false) => "Unposted",
        };
        record.set("Status", status);
        Ok(())
    }

    fn check_balance(&self, entity: &Entity, record: &Record) -> Result<(), String> {
        let fits = match entity.name {
            "Bill" => !self.knobs.validate_totals || record.amount("Amount") == record.amount("Balance"),
            _ => record.sum("DebitAmount") == record.sum("CreditAmount"),
        };
        if fits { Ok(()) } else { Err("The document is out of the balance.".to_owned()) }
    }
}

fn is_long(action: &str) -> bool {
    matches!(
        action,
        "ReleaseBill" | "ReleaseJournalTransaction" | "Release" | "ReverseBill" | "ReleaseRetainage"
    )
}

fn held(record: &Record, wanted: bool) -> Result<(), String> {
    let released = matches!(record.text("Status"), "Open" | "Closed" | "Posted" | "Unposted");
    if released || record.flag("Hold") != wanted {
        return Err(format!("The document is {}.", record.text("Status")));
    }
    Ok(())
}

fn accepted(location: String) -> Reply {
    let mut reply = no_content();
    reply.status = 202;
    reply.headers.push(("location".to_owned(), location));
    reply
}

/// Fields of the contract alone.
pub(super) fn public_fields(record: &Record, entity: &Entity) -> Row {
    record
        .fields
        .iter()
        .filter(|(name, _)| entity.shape.field(name).is_some())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
