//! Reads through `get`: policies, their details, company cards.

use super::ExpensifySim;
use super::account::{Policy, Tag};
use super::data::{entities, tag_name};
use super::job::{Job, Refusal, plain_json, text};
use super::knobs::PolicySections;
use crate::server::Reply;
use serde_json::{Map, Value, json};

const FIELDS: &[&str] = &["categories", "tags", "reportFields", "tax", "employees"];

impl ExpensifySim {
    pub(super) fn policy_list(&self, job: &Job) -> Result<Reply, Refusal> {
        let admin_only = match job.settings().get("adminOnly") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => return Err(Refusal::malformed("adminOnly")),
        };
        let role = if self.knobs.policy_admin { "admin" } else { "user" };
        let listed = self.account.policies.iter().filter(|_| !admin_only || self.knobs.policy_admin);
        let list: Vec<Value> = listed
            .map(|p| {
                json!({
                    "id": p.id,
                    "name": entities(&p.name, self.knobs.escape_entities),
                    "owner": "owner@example.test",
                    "role": role,
                    "outputCurrency": self.account.currency,
                    "type": p.kind,
                })
            })
            .collect();
        Ok(plain_json(&json!({"policyList": list, "responseCode": 200})))
    }

    pub(super) fn policy_detail(&mut self, job: &Job) -> Result<Reply, Refusal> {
        let settings = job.settings();
        let ids = match settings.get("policyIDList") {
            Some(Value::Array(ids)) if !ids.is_empty() => ids.clone(),
            Some(Value::String(_)) => {
                self.wrong("`policyIDList` of the policy getter is documented as an array".to_owned());
                return Err(Refusal::missing("policyIDList"));
            }
            _ => return Err(Refusal::missing("policyIDList")),
        };
        let fields = match settings.get("fields") {
            Some(Value::Array(fields)) if !fields.is_empty() => fields,
            _ => return Err(Refusal::missing("fields")),
        };
        if let Some(unknown) = fields.iter().find(|f| !f.as_str().is_some_and(|f| FIELDS.contains(&f))) {
            return Err(Refusal::invalid(format!("Field {unknown} is not supported")));
        }
        if !self.knobs.policy_admin {
            return Err(Refusal::new(500, "Not authorized to authenticate as user owner@example.test"));
        }
        let mut info = Map::new();
        for id in &ids {
            let index = id.as_str().and_then(|id| self.account.policy(id));
            let index = index.ok_or_else(|| Refusal::new(404, "Policy not found"))?;
            let policy = &self.account.policies[index];
            let mut sections = Map::new();
            for field in fields.iter().filter_map(Value::as_str) {
                let mut section = self.section(index, policy, field);
                match self.knobs.policy_sections {
                    PolicySections::Whole => {}
                    PolicySections::Missing | PolicySections::Partial => continue,
                    PolicySections::Half => halve(&mut section),
                    PolicySections::NoRoles => without_roles(&mut section),
                }
                sections.insert(field.to_owned(), section);
            }
            info.insert(policy.id.clone(), Value::Object(sections));
        }
        let code = if self.knobs.policy_sections == PolicySections::Partial { 207 } else { 200 };
        Ok(plain_json(&json!({"policyInfo": info, "responseCode": code})))
    }

    fn section(&self, index: usize, policy: &Policy, field: &str) -> Value {
        match field {
            "categories" => self.categories(policy),
            "tags" => {
                // Only one level can be listed without levels.
                let flat = policy.tag_levels.len() == 1 || (index == 0 && self.knobs.flat_tags);
                self.tags(policy, flat)
            }
            "reportFields" => policy
                .report_fields
                .iter()
                .map(|(name, kind, values)| json!({"name": name, "type": kind, "values": values}))
                .collect(),
            "tax" => policy.tax.as_ref().map_or_else(
                || json!({}),
                |name| {
                    json!({"name": name, "default": "id_TAX_OPTION_16",
                           "rates": [{"rateID": "id_TAX_OPTION_16", "name": "Standard", "rate": 20}]})
                },
            ),
            _ => policy
                .employees
                .iter()
                .map(|e| {
                    json!({"email": e.email, "role": e.role, "submitsTo": e.submits_to,
                           "employeeID": e.employee_id, "customField2": e.custom_field2})
                })
                .collect(),
        }
    }

    fn categories(&self, policy: &Policy) -> Value {
        let one = |c: &super::account::Category| {
            let mut object = Map::new();
            object.insert("name".to_owned(), json!(entities(&c.name, self.knobs.escape_entities)));
            object.insert("enabled".to_owned(), json!(c.enabled));
            object.insert("glCode".to_owned(), json!(c.gl_code));
            object.insert("payrollCode".to_owned(), json!(c.payroll_code));
            if let Some(required) = c.comments_required {
                object.insert("areCommentsRequired".to_owned(), json!(required));
                object.insert("commentHint".to_owned(), json!(c.comment_hint));
            }
            if let Some(amount) = c.max_amount {
                object.insert("maxExpenseAmount".to_owned(), json!(amount));
            }
            Value::Object(object)
        };
        policy.categories.iter().map(one).collect()
    }

    fn tags(&self, policy: &Policy, flat: bool) -> Value {
        let one = |t: &Tag| {
            let name = tag_name(&t.name);
            json!({"name": entities(&name, self.knobs.escape_entities), "glCode": t.gl_code, "enabled": t.enabled})
        };
        if flat {
            return policy
                .tag_levels
                .first()
                .map_or_else(|| json!([]), |(_, tags)| tags.iter().map(one).collect());
        }
        policy
            .tag_levels
            .iter()
            .map(|(name, tags)| json!({"name": name, "tags": tags.iter().map(one).collect::<Vec<_>>()}))
            .collect()
    }

    pub(super) fn domain_cards(&self, job: &Job) -> Result<Reply, Refusal> {
        let domain = text(job.settings(), "domain")?.filter(|d| d.contains('.'));
        let domain = domain.ok_or_else(|| Refusal::invalid("Domain name is missing or malformed"))?;
        let cards: Vec<Value> = (1_i64..)
            .zip(self.account.people.iter().take(5))
            .map(|(number, person)| {
                json!({"bank": "First Card Bank", "cardID": 1000 + number, "cardName": "Company card",
                       "cardNumber": format!("XXXXXXXXXXXX{:04}", 1000 + number), "created": "2026-01-05 08:00:00",
                       "email": person.email, "externalEmployeeID": person.number, "lastImport": "",
                       "lastImportResult": 200, "reimbursable": false, "scrapeMinDate": "", "domain": domain})
            })
            .collect();
        Ok(plain_json(&json!({"domainCardList": cards, "responseCode": 200})))
    }
}

/// The first half of a list; of levels, the first half of each.
fn halve(section: &mut Value) {
    let Some(entries) = section.as_array_mut() else { return };
    if entries.iter().any(|entry| entry["tags"].is_array()) {
        return entries.iter_mut().for_each(|level| halve(&mut level["tags"]));
    }
    entries.truncate(entries.len() / 2);
}

fn without_roles(section: &mut Value) {
    for entry in section.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        entry.remove("role");
    }
}
