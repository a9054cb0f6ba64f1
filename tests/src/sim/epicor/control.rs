//! What people and tests can change from outside: knobs, and the vendor's own data as another user would.

use serde_json::{Value, json};

use super::EpicorSim;
use super::json::{Row, int_of, put, text_of};

const VERBS: &str = "reset, knobs, revoke-tokens, expire-sessions, close-period, open-period, lock-group, unlock-group, \
                     touch-vendor, edit-vendor, delete-vendor, edit-account, edit-project, edit-employee, vendor-default-account, \
                     edit-document, delete-document, post-group, run-posts";

impl EpicorSim {
    pub(super) fn run_control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        match verb {
            "reset" => {
                *self = Self::from_world(&self.world.clone(), self.first_knobs.clone());
                Ok(json!({ "reset": true }))
            }
            "knobs" => self.change_knobs(body),
            "revoke-tokens" => {
                let count = self.tokens.len();
                self.tokens.clear();
                Ok(json!({ "revoked": count }))
            }
            "expire-sessions" => {
                self.sessions.values_mut().for_each(|alive| *alive = false);
                Ok(json!({ "expired": self.sessions.len() }))
            }
            "close-period" | "open-period" => self.set_period(verb == "close-period", body),
            "lock-group" => self.set_lock(body, text(body, "user").unwrap_or("SOMEONE")),
            "unlock-group" => self.set_lock(body, ""),
            "touch-vendor" => self.edit_reference("Vendors", "VendorID", body, false),
            "edit-vendor" => self.edit_reference("Vendors", "VendorID", body, true),
            "edit-account" => self.edit_reference("GLAccounts", "GLAccount1", body, true),
            "edit-project" => self.edit_reference("Projects", "ProjectID", body, true),
            "edit-employee" => self.edit_reference("EmpBasics", "EmpID", body, true),
            "delete-vendor" => self.delete_vendor(body),
            "vendor-default-account" => {
                let vendor = need(body, "id")?.to_owned();
                let account = need(body, "account")?.to_owned();
                for company in &mut self.companies {
                    company.reference.default_accounts.insert(vendor.clone(), account.clone());
                }
                Ok(json!({ "vendor": vendor, "account": account }))
            }
            "edit-document" | "delete-document" => self.change_document(verb == "delete-document", body),
            "post-group" => {
                let id = need(body, "id")?.to_owned();
                Ok(json!({ "submitted": self.submit_group(&id)?, "ran": self.run_all_jobs() }))
            }
            "run-posts" => Ok(json!({ "ran": self.run_all_jobs() })),
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

    fn set_period(&mut self, closed: bool, body: &Value) -> Result<Value, String> {
        let number = |name: &str| body.get(name).and_then(Value::as_i64);
        let (Some(year), Some(period)) = (number("year"), number("period")) else {
            return Err("give year and period as integers".to_owned());
        };
        let mut found = 0;
        for company in &mut self.companies {
            for row in company.reference.sets.get_mut("FiscalPers").into_iter().flatten() {
                if int_of(row, "FiscalYear") == year && int_of(row, "FiscalPeriod") == period {
                    put(row, "ClosedPeriod", closed);
                    found += 1;
                }
            }
        }
        if found == 0 {
            return Err(format!("there is no period {year}-{period}"));
        }
        Ok(json!({ "year": year, "period": period, "closed": closed }))
    }

    fn set_lock(&mut self, body: &Value, user: &str) -> Result<Value, String> {
        let id = need(body, "id")?;
        let groups = self.companies.iter_mut().flat_map(|company| {
            [company.ap_groups.get_mut(id), company.gl_groups.get_mut(id)].into_iter().flatten()
        });
        let mut count = 0;
        for group in groups {
            put(group, "ActiveUserID", user);
            count += 1;
        }
        if count == 0 {
            Err(format!("there is no group {id}"))
        } else {
            Ok(json!({ "group": id, "user": user }))
        }
    }

    /// Changes a reference row in every company (or in `company`): `{"id": .., "set": {..}}`. With `"late": true` it
    /// appears with a row version lower than ones already seen.
    fn edit_reference(&mut self, set: &str, key: &str, body: &Value, edits: bool) -> Result<Value, String> {
        let id = need(body, "id")?.to_owned();
        let late = body.get("late").and_then(Value::as_bool).unwrap_or_default();
        let changes =
            super::Json::parse(body.get("set").map(Value::to_string).unwrap_or_default().as_bytes()).ok();
        let changes: Row = changes.and_then(|changes| changes.as_row().cloned()).unwrap_or_default();
        if edits && changes.is_empty() {
            return Err("give the columns to change as an object in `set`".to_owned());
        }
        // A late commit took its version before others that are visible already.
        let early = self.next_revision();
        if late {
            self.revision += 10;
        }
        let mut count = 0;
        let only = text(body, "company");
        for company in self.companies.iter_mut().filter(|company| only.is_none_or(|only| company.id == only))
        {
            for row in company.reference.sets.get_mut(set).into_iter().flatten() {
                if text_of(row, key) == id {
                    row.extend(changes.clone());
                    put(row, "SysRevID", if late { early - 5 } else { early });
                    count += 1;
                }
            }
            company.reference.reindex();
        }
        if count == 0 { Err(format!("there is no {id} in {set}")) } else { Ok(json!({ "changed": count })) }
    }

    fn delete_vendor(&mut self, body: &Value) -> Result<Value, String> {
        let id = need(body, "id")?;
        let mut count = 0;
        for company in &mut self.companies {
            if let Some(rows) = company.reference.sets.get_mut("Vendors") {
                let before = rows.len();
                rows.retain(|row| text_of(row, "VendorID") != id);
                count += before - rows.len();
            }
            company.reference.reindex();
        }
        if count == 0 { Err(format!("there is no vendor {id}")) } else { Ok(json!({ "deleted": count })) }
    }

    /// What a person in finance does by hand: deletes a document, or changes the amount of its first line.
    fn change_document(&mut self, deletes: bool, body: &Value) -> Result<Value, String> {
        let reference = need(body, "reference")?;
        let amount = text(body, "amount").and_then(super::amount::Amount::parse);
        let rev = self.next_revision();
        let mut count = 0;
        for company in &mut self.companies {
            for id in company.invoices_by_number(reference) {
                count += 1;
                if deletes {
                    company.remove_invoice(id);
                } else if let (Some(amount), Some(invoice)) = (amount, company.invoices.get_mut(&id)) {
                    invoice.stamp.rev = rev;
                    if let Some(line) = invoice.lines.first_mut() {
                        line.extended = amount;
                    }
                }
            }
            for number in company.journals_by_description(reference) {
                count += 1;
                if deletes {
                    company.remove_journal(number);
                } else if let (Some(amount), Some(journal)) = (amount, company.journals.get_mut(&number)) {
                    journal.stamp.rev = rev;
                    if let Some(line) = journal.lines.first_mut() {
                        line.debit = amount;
                    }
                }
            }
        }
        match count {
            0 => Err(format!("there is no document {reference}")),
            _ if !deletes && amount.is_none() => Err("give the new amount as decimal text".to_owned()),
            count => Ok(json!({ "changed": count })),
        }
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

fn need<'a>(body: &'a Value, name: &str) -> Result<&'a str, String> {
    text(body, name).ok_or_else(|| format!("give {name} as text"))
}
