//! Levers for people and tests; no part of the vendor's interface. `ids` stands for `{"id"}`, `{"ids": [..]}` or
//! `{"all": true}`.
//!
//! | Verb | Body | Does |
//! | --- | --- | --- |
//! | `knobs` | any of [`super::BrexKnobs`] | changes behaviour |
//! | `reset` | | back to the beginning |
//! | `prepare`, `review`, `ready` | ids | moves records; those that become ready go into the next event |
//! | `export` | ids, `reference` | somebody else exports them |
//! | `edit` | `id`, `line`, `amount`, `account`, `department`, `project`, `memo`, `type`, `merchant`, `user`, `receipts`, `credit_amount` | changes a record; null takes away |
//! | `split` | `id` | a person splits an expense in two: it becomes `SPLIT` and its parts have ids of their own |
//! | `record` | `id` | one record with its lines in codes of the ERP, reference and failure |
//! | `add-spend` | a movement of the world's form | makes its records |
//! | `announce` | ids, or nothing for all that are ready | an event about them |
//! | `event` | `body` | an event that says anything |
//! | `deliveries` | | every message with its attempts |
//! | `write-deliveries` | `file`, `which`, `alter` | see [`super::deliveries`] |
//! | `rotate-secret`, `drop-old-secret` | | signing secrets, as listed afterwards |
//! | `listen` | `url` | an endpoint for events of ready records |
//! | `token` | `scopes`, `role` | another user token |
//! | `revoke-token`, `expire-token` | `token`, or nothing for the first | ends it |
//! | `authorize` | `scopes` | a code for the token endpoint |
//! | `disable-value` | `field`, `code`, `enabled` | a value of a field |
//! | `add-value` | `field`, `name` | a person makes a value of a field by hand |
//! | `add-vendor` | `name` | a person makes a vendor |
//! | `forget-fields` | | an account without fields |

use super::access::{Token, all_scopes};
use super::books::{Books, DEPARTMENT, FieldValue, GL_ACCOUNT, Line, PROJECT, Status};
use super::webhooks::{Endpoint, READY};
use super::{BrexSim, Origin, wire};
use crate::world::{MerchantFit, WorldMerchant, WorldSpend};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

const VERBS: &str = "knobs, reset, prepare, review, ready, export, edit, split, record, add-spend, announce, event, \
    deliveries, write-deliveries, rotate-secret, drop-old-secret, listen, token, revoke-token, expire-token, \
    authorize, disable-value, add-value, add-vendor, forget-fields";

impl BrexSim {
    pub(super) fn steer(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        let now = self.clock.now();
        match verb {
            "knobs" => self.change_knobs(body),
            "reset" => {
                let origin = Origin::clone(&self.origin);
                *self = Self::new(origin, self.clock.clone());
                Ok(json!({}))
            }
            "prepare" => self.move_records(body, Status::Prepare, now),
            "review" => self.move_records(body, Status::Review, now),
            "ready" => self.move_records(body, Status::Ready, now),
            "export" => self.move_records(body, Status::Exported, now),
            "edit" => self.edit(body, now),
            "split" => self.split(body, now),
            "record" => self.show_record(body),
            "add-spend" => self.add_spend(body, now),
            "announce" => {
                let ids = if body.get("ids").is_some() { self.named_ids(body)? } else { self.ready_ids() };
                ids.iter().for_each(|id| self.announce(id, now));
                Ok(json!({"announced": ids.len()}))
            }
            "event" => {
                let event =
                    body.get("body").filter(|event| event.is_object()).ok_or("\"body\" is missing")?;
                Ok(json!({"id": self.post_event(event, now)}))
            }
            "deliveries" => {
                self.flush(now);
                Ok(self.messages())
            }
            "write-deliveries" => self.write_deliveries(body, now),
            "rotate-secret" => {
                self.rotate_secret(now);
                Ok(self.secrets(now))
            }
            "drop-old-secret" => {
                self.webhooks.secrets.truncate(1);
                Ok(self.secrets(now))
            }
            "listen" => self.listen(body),
            "token" => self.make_token(body, now),
            "revoke-token" => self.change_token(body, |token, _| token.revoked = true, now),
            "expire-token" => self.change_token(body, |token, now| token.expires = Some(now), now),
            "authorize" => {
                let scopes = scopes_of(body);
                Ok(json!({"code": self.access.grant(&mut self.rng, scopes)}))
            }
            "disable-value" => self.disable_value(body, now),
            "add-value" => self.add_value(body, now),
            "add-vendor" => self
                .create_vendor(&json!({"company_name": word(body, "name")?}))
                .map_err(|refusal| format!("{refusal:?}")),
            "forget-fields" => {
                self.books.fields.clear();
                Ok(json!({}))
            }
            _ => Err(format!("unknown verb {verb}; there are: {VERBS}")),
        }
    }

    fn change_knobs(&mut self, body: &Value) -> Result<Value, String> {
        let mut knobs = serde_json::to_value(&self.knobs).map_err(|error| error.to_string())?;
        let changes = body.as_object().ok_or("knobs: an object is expected")?;
        for (name, value) in changes {
            knobs[name.as_str()] = value.clone();
        }
        let knobs: super::BrexKnobs =
            serde_json::from_value(knobs).map_err(|error| format!("knobs: {error}"))?;
        if Status::of(&knobs.failure_status).is_none() {
            return Err(format!("knobs: failure_status `{}` is no status", knobs.failure_status));
        }
        if let Some(token) = self.access.tokens.get_mut(&self.knobs.user_token) {
            token.role.clone_from(&knobs.role);
            token.scopes =
                if knobs.token_scopes.is_empty() { all_scopes() } else { knobs.token_scopes.clone() };
        }
        self.knobs = knobs;
        Ok(json!({}))
    }

    /// `id`, `ids`, or `"all": true`.
    fn named_ids(&self, body: &Value) -> Result<Vec<String>, String> {
        if body.get("all") == Some(&Value::Bool(true)) {
            return Ok(self.books.records.iter().map(|record| record.id.clone()).collect());
        }
        let one = body.get("id").and_then(Value::as_str).map(|id| vec![id.to_owned()]);
        let many = body.get("ids").and_then(Value::as_array);
        let many = many.map(|ids| ids.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        one.or(many).ok_or_else(|| "give \"id\", \"ids\" or \"all\": true".to_owned())
    }

    /// With a new version each; records that become ready go into the next event. `reference` goes with `export`.
    fn move_records(&mut self, body: &Value, status: Status, now: DateTime<Utc>) -> Result<Value, String> {
        let ids = self.named_ids(body)?;
        let mut moved = Vec::new();
        for id in ids {
            let record = self.books.record_mut(&id).ok_or_else(|| format!("no record {id}"))?;
            if record.status == status {
                continue;
            }
            record.status = status;
            record.reported = false;
            record.exported = (status == Status::Exported).then_some(now);
            record.reference = body.get("reference").and_then(Value::as_str).map(str::to_owned);
            record.touch(now);
            if status == Status::Ready && record.source_type != "BILL" {
                self.announce(&id, now);
            }
            moved.push(id);
        }
        Ok(json!({"moved": moved}))
    }

    /// `{id, line, amount, account, department, project, memo, type, credit_amount, merchant, user, receipts}`: codes
    /// of the ERP; null takes away. `line` counts from 0.
    fn edit(&mut self, body: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let id = word(body, "id")?.to_owned();
        let at = self.books.records.iter().position(|record| record.id == id);
        let at = at.ok_or_else(|| format!("no record {id}"))?;
        self.recode(at, body)?;
        let merchant = match body.get("merchant") {
            Some(Value::String(name)) => {
                Some(Some((self.books.merchant_id(name, &mut self.rng), stranger(name))))
            }
            Some(_) => Some(None),
            None => None,
        };
        let record = &mut self.books.records[at];
        if let Some(merchant) = merchant {
            record.merchant = merchant;
        }
        if let Some(kind) = body.get("type").and_then(Value::as_str) {
            kind.clone_into(&mut record.kind);
        }
        if let Some(memo) = body.get("memo") {
            record.memo = memo.as_str().map(str::to_owned);
        }
        if body.get("user").is_some_and(Value::is_null) {
            record.user = None;
        }
        if body.get("receipts").is_some_and(Value::is_null) {
            record.receipts.clear();
        }
        record.touch(now);
        Ok(json!({"id": id, "version": record.version, "total": record.signed()}))
    }

    fn recode(&mut self, at: usize, body: &Value) -> Result<(), String> {
        let index = body.get("line").and_then(Value::as_u64).and_then(|line| usize::try_from(line).ok());
        let index = index.unwrap_or(0);
        let missing = || format!("the record has no line {index}");
        for (name, key) in [("account", GL_ACCOUNT), ("department", DEPARTMENT), ("project", PROJECT)] {
            let Some(code) = body.get(name) else { continue };
            let field = self.books.fields.iter().find(|field| field.remote_id.as_deref() == Some(key));
            let field = field.map(|field| field.id.clone()).unwrap_or_default();
            let value = match code.as_str() {
                Some(code) => Some(
                    Books::coded(&mut self.books, key, code, false, &mut self.rng)
                        .ok_or_else(|| format!("no {name} {code}"))?,
                ),
                None => None,
            };
            let line = self.books.records[at].lines.get_mut(index).ok_or_else(missing)?;
            line.values.retain(|(known, _)| *known != field);
            line.values.extend(value);
        }
        let record = &mut self.books.records[at];
        if let Some(amount) = body.get("amount").and_then(Value::as_i64) {
            let line = record.lines.get_mut(index).ok_or_else(missing)?;
            let foreign = record.currency != record.original_currency;
            line.amount = amount;
            line.original = if foreign { line.original } else { amount };
            let (total, original) = (record.amount(), record.original());
            for other in record.lines.iter_mut().filter(|line| !line.spend) {
                (other.amount, other.original) = (total, original);
            }
        }
        // Out of balance on purpose.
        if let Some(amount) = body.get("credit_amount").and_then(Value::as_i64) {
            record.lines.iter_mut().filter(|line| !line.spend).for_each(|line| line.amount = amount);
        }
        Ok(())
    }

    /// `{id}`: the first line is divided in two.
    fn split(&mut self, body: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let id = word(body, "id")?;
        let record = self.books.records.iter_mut().find(|record| record.id == id);
        let record = record.ok_or_else(|| format!("no record {id}"))?;
        if !record.parts.is_empty() || record.source_id.is_none() {
            return Err(format!("the expense of record {id} cannot be split"));
        }
        let at = record.lines.iter().position(|line| line.spend).ok_or("the record has no spend")?;
        let whole = record.lines[at].clone();
        let (amount, original) = (whole.amount / 2, whole.original / 2);
        let second = Line { id: wire::id(&mut self.rng, "accrli"), amount, original, ..whole.clone() };
        record.lines[at].amount = whole.amount - amount;
        record.lines[at].original = whole.original - original;
        record.lines.insert(at + 1, second);
        let spent = record.lines.iter().filter(|line| line.spend);
        record.parts = spent.map(|_| wire::id(&mut self.rng, "expense")).collect();
        record.touch(now);
        Ok(json!({"parts": record.parts}))
    }

    /// A movement of the world's form; what is ready goes into the next event.
    fn add_spend(&mut self, body: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let spend: WorldSpend =
            serde_json::from_value(body.clone()).map_err(|e| format!("add-spend: {e}"))?;
        let ids = self.books.add(&spend, &mut self.rng);
        for id in &ids {
            let Some(record) = self.books.record_mut(id) else { continue };
            record.updated = now;
            if record.status == Status::Ready && record.source_type != "BILL" {
                self.announce(id, now);
            }
        }
        Ok(json!({"ids": ids}))
    }

    /// `{url}`: an endpoint for the events of ready records, as somebody makes it in the dashboard.
    fn listen(&mut self, body: &Value) -> Result<Value, String> {
        let endpoint = Endpoint {
            id: wire::id(&mut self.rng, "whe"),
            url: word(body, "url")?.to_owned(),
            events: vec![READY.to_owned()],
            status: "ACTIVE".to_owned(),
            failing_since: None,
        };
        let id = endpoint.id.clone();
        self.webhooks.endpoints.push(endpoint);
        Ok(json!({"id": id}))
    }

    /// `{scopes?, role?}`: another user token.
    fn make_token(&mut self, body: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let role = body.get("role").and_then(Value::as_str).unwrap_or(&self.knobs.role).to_owned();
        let name = super::wire::id(&mut self.rng, "bxt");
        self.access.tokens.insert(name.clone(), Token::user(scopes_of(body), &role, now));
        Ok(json!({"token": name}))
    }

    /// `{token?}`: the first user token where none is named.
    fn change_token(
        &mut self,
        body: &Value,
        change: impl Fn(&mut Token, DateTime<Utc>),
        now: DateTime<Utc>,
    ) -> Result<Value, String> {
        let name = body.get("token").and_then(Value::as_str).unwrap_or(&self.knobs.user_token);
        let token = self.access.tokens.get_mut(name).ok_or("no such token")?;
        change(token, now);
        Ok(json!({}))
    }

    /// `{field: "GL_ACCOUNT", code, enabled?}`.
    /// Without a remote id, as everything that is made by hand.
    fn add_value(&mut self, body: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let (key, name) = (word(body, "field")?, word(body, "name")?);
        let field = self.books.fields.iter_mut().find(|field| field.remote_id.as_deref() == Some(key));
        let field = field.ok_or_else(|| format!("no field {key}"))?;
        let id = wire::id(&mut self.rng, "efo");
        field.values.push(FieldValue {
            id: id.clone(),
            value: name.to_owned(),
            value_id: None,
            remote_id: None,
            disabled: false,
            updated: now,
        });
        Ok(json!({"id": id}))
    }

    fn disable_value(&mut self, body: &Value, now: DateTime<Utc>) -> Result<Value, String> {
        let (key, code) = (word(body, "field")?, word(body, "code")?);
        let field = self.books.fields.iter_mut().find(|field| field.remote_id.as_deref() == Some(key));
        let values = field.map(|field| &mut field.values).ok_or_else(|| format!("no field {key}"))?;
        let value = values.iter_mut().find(|value| value.remote_id.as_deref() == Some(code));
        let value = value.ok_or_else(|| format!("no value {code}"))?;
        value.disabled = body.get("enabled") != Some(&Value::Bool(true));
        value.updated = now;
        Ok(json!({"disabled": value.disabled}))
    }
}

/// Those named, or all.
fn scopes_of(body: &Value) -> Vec<String> {
    let named = body.get("scopes").and_then(Value::as_array);
    named.map_or_else(all_scopes, |list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn stranger(name: &str) -> WorldMerchant {
    WorldMerchant {
        name: name.to_owned(),
        mcc: "5999".to_owned(),
        category: "GENERAL_MERCHANDISE".to_owned(),
        fit: MerchantFit::Unknown,
        vendor_code: None,
    }
}

pub(super) fn word<'v>(body: &'v Value, name: &str) -> Result<&'v str, String> {
    body.get(name).and_then(Value::as_str).ok_or_else(|| format!("\"{name}\" (text) is missing"))
}
