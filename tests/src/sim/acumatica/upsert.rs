//! `PUT`: finds the record that is meant or makes a new one, checks the draft, saves it or echoes it with its errors.

use super::AcumaticaSim;
use super::access::Caller;
use super::checks::Scene;
use super::contract::Entity;
use super::json::Json;
use super::literal::stored;
use super::patch::Patch;
use super::query::{Query, Show};
use super::record::Record;
use super::refusal::{Outcome, Refusal};
use super::trouble::Trouble;
use crate::server::{Reply, Request};

/// What a new document's number is called until it has one.
pub(super) const NEW: &str = "<NEW>";

impl AcumaticaSim {
    pub(super) fn put_call(
        &mut self,
        request: &Request,
        base: &str,
        entity: &'static Entity,
        caller: &Caller,
    ) -> Outcome<Reply> {
        let query = self.query(request, entity)?;
        let style = self.style();
        let mut patch = Patch::parse(&request.body, entity.shape, style)?;
        normalise_keys(entity, &mut patch);
        if self.knobs.concurrent_updates > 0 {
            self.knobs.concurrent_updates -= 1;
            let text = format!(
                "Another process has updated the '{}' record. Your changes will be lost.",
                entity.record
            );
            return Err(Refusal::server(text));
        }
        let tenant = self.tenant_index(&caller.tenant)?;
        let found = self.matching_record(tenant, entity, &patch, &query)?;
        check_precondition(request, found.is_some())?;
        let scene = self.scene(request, caller);
        let saved = self.save(tenant, entity, found, &patch, &scene)?;
        // An inquiry is asked with PUT, and answers everything.
        let only_sent = query.select.is_none() && !entity.keys.is_empty();
        let show = Show { entity, query: &query, style, base, only_sent };
        Ok(Reply::new(200, "application/json; charset=utf-8", Json::Obj(show.record(&saved, 1)).text()))
    }

    /// The id in the body, else the key fields, else `$filter`.
    fn matching_record(
        &self,
        tenant: usize,
        entity: &'static Entity,
        patch: &Patch,
        query: &Query,
    ) -> Outcome<Option<usize>> {
        let Some(set) = self.tenants[tenant].set(entity.name) else { return Ok(None) };
        if entity.keys.is_empty() {
            return Ok(Some(0));
        }
        if !patch.id.is_empty() {
            return set.by_id(&patch.id).map(Some).ok_or_else(Refusal::no_entity);
        }
        let keys: Vec<&str> = entity.keys.iter().filter_map(|key| patch.text(key)).collect();
        if keys.len() == entity.keys.len() {
            return Ok(set.by_keys(keys));
        }
        if query.filter.is_none() {
            return Ok(None);
        }
        match self.matching(tenant, entity, query).as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err(Refusal::server("More than one entity satisfies the condition.")),
        }
    }

    /// Saves a patch, or refuses it with the errors where they belong.
    fn save(
        &mut self,
        tenant: usize,
        entity: &'static Entity,
        found: Option<usize>,
        patch: &Patch,
        scene: &Scene,
    ) -> Outcome<Record> {
        let old = found.and_then(|at| self.tenants[tenant].set(entity.name)?.get(at)).cloned();
        let mut serial = self.serial;
        let mut new_id = || {
            serial += 1;
            super::guid(serial)
        };
        let mut draft = old.clone().unwrap_or_else(|| Record { id: new_id(), ..Record::default() });
        let mut trouble = patch.apply(&mut draft, &mut new_id);
        self.serial = serial;
        match entity.name {
            "Bill" => self.check_bill(tenant, &mut draft, old.as_ref(), scene, &mut trouble)?,
            "JournalTransaction" => {
                self.check_journal(tenant, &mut draft, old.as_ref(), scene, &mut trouble);
            }
            _ => check_reference(entity, &mut draft, &mut trouble),
        }
        if !trouble.is_empty() {
            return Err(self.refused(tenant, entity, &mut draft, old.is_some(), trouble));
        }
        if old.is_none() {
            self.number(tenant, entity, &mut draft);
        }
        Ok(self.store(tenant, entity, found, draft))
    }

    fn refused(
        &mut self,
        tenant: usize,
        entity: &'static Entity,
        draft: &mut Record,
        existed: bool,
        mut trouble: Trouble,
    ) -> Box<Refusal> {
        let key = entity.keys.last().copied().unwrap_or_default();
        let numbered = matches!(entity.name, "Bill" | "JournalTransaction");
        if !existed && numbered {
            if self.knobs.failed_insert_takes_number {
                self.take_number(tenant, entity);
            }
            draft.set(key, NEW);
            draft.sent.insert(key);
        }
        let sentences = trouble.sentences(entity.name).join("; ");
        let doing = if existed { "Updating" } else { "Inserting" };
        trouble.entity.get_or_insert_with(|| {
            let record = entity.record;
            format!("{doing} '{record}' record raised at least one error. Please review the errors.")
        });
        Refusal::entity(trouble.echo(draft, entity.shape, self.style(), 1), sentences)
    }

    fn take_number(&mut self, tenant: usize, entity: &Entity) -> String {
        let tenant = &mut self.tenants[tenant];
        let last = if entity.name == "Bill" { &mut tenant.last_bill } else { &mut tenant.last_batch };
        *last += 1;
        format!("{last:06}")
    }

    /// Documents are numbered by the system, whatever number was sent.
    fn number(&mut self, tenant: usize, entity: &'static Entity, draft: &mut Record) {
        let key = match entity.name {
            "Bill" => "ReferenceNbr",
            "JournalTransaction" => "BatchNbr",
            _ => return,
        };
        let number = self.take_number(tenant, entity);
        draft.set(key, number);
    }

    /// Keeps a record with its stamps, and tells whoever listens.
    pub(super) fn store(
        &mut self,
        tenant: usize,
        entity: &'static Entity,
        at: Option<usize>,
        mut record: Record,
    ) -> Record {
        self.revision += 1;
        record.revision = self.revision;
        let now = stored(self.now);
        let stamps = ["LastModifiedDateTime", "CreatedDateTime"];
        for name in &stamps[..if at.is_some() { 1 } else { 2 }] {
            if let Some((name, _)) = entity.shape.field(name) {
                record.set(name, now.clone());
            }
        }
        let before = at.and_then(|at| self.tenants[tenant].set(entity.name)?.get(at)).cloned();
        if let Some(set) = self.tenants[tenant].set_mut(entity.name) {
            match at {
                Some(at) => set.replace(at, record.clone()),
                None => set.push(record.clone()),
            }
        }
        self.announce(tenant, entity, before.as_ref(), Some(&record));
        record
    }
}

/// Keys in the form in which they are stored.
pub(super) fn normalise_keys(entity: &Entity, patch: &mut Patch) {
    if let Some(Json::Str(kind)) = patch.fields.get_mut("Type").filter(|_| entity.name == "Bill") {
        *kind = bill_type(kind).map_or_else(|| kind.clone(), str::to_owned);
    }
    let (key, number, value) = match entity.name {
        "Bill" => ("Type", "ReferenceNbr", "Bill"),
        "JournalTransaction" => ("Module", "BatchNbr", "GL"),
        _ => return,
    };
    if patch.text(number) == Some(NEW) {
        patch.fields.remove(number);
    }
    if patch.text(number).is_some() && patch.text(key).is_none() {
        patch.fields.insert(key, value.into());
    }
}

/// The label of a bill's type, from the label or the internal code.
pub(super) fn bill_type(text: &str) -> Option<&'static str> {
    Some(match text.trim_end() {
        "Bill" | "INV" => "Bill",
        "Credit Adj." | "ACR" => "Credit Adj.",
        "Debit Adj." | "ADR" => "Debit Adj.",
        "Prepayment" | "PPM" => "Prepayment",
        _ => return None,
    })
}

pub(super) fn check_precondition(request: &Request, exists: bool) -> Outcome<()> {
    if exists && request.header("if-none-match") == Some("*") {
        return Err(Refusal::precondition(true));
    }
    if !exists && request.header("if-match") == Some("*") {
        return Err(Refusal::precondition(false));
    }
    Ok(())
}

/// What reference records must have: keys, a name, addresses that can be ones.
fn check_reference(entity: &Entity, draft: &mut Record, trouble: &mut Trouble) {
    for key in entity.keys {
        if draft.text(key).is_empty() {
            trouble.field(key, format!("'{key}' cannot be empty."));
        }
    }
    if entity.name != "Vendor" {
        return;
    }
    if draft.text("VendorName").is_empty() {
        trouble.field("VendorName", "'Vendor Name' cannot be empty.");
    }
    if draft.text("Status").is_empty() {
        draft.set("Status", "Active");
    }
    for (name, contact) in &draft.linked {
        let email = contact.text("Email");
        let country = contact.linked.get("Address").map_or("", |address| address.text("Country"));
        if !email.is_empty() && !email.contains('@') {
            let errors = trouble.linked.entry(name).or_default();
            errors.field("Email", format!("'{email}' is no e-mail address."));
        }
        if !country.is_empty() && country.len() != 2 {
            let errors = trouble.linked.entry(name).or_default().linked.entry("Address").or_default();
            errors.field("Country", format!("Country '{country}' cannot be found in the system."));
        }
    }
}
