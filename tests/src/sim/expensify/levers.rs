//! Levers of policies: what people do to categories, tags and members on the vendor's pages, and what they see there.

use super::ExpensifySim;
use super::account::{Category, Policy, PolicyEmployee, Tag};
use super::control::{known, word};
use serde_json::{Value, json};

impl ExpensifySim {
    /// `{policy}`: everything that the policy's pages show.
    pub(super) fn show_policy(&mut self, body: &Value) -> Result<Value, String> {
        let policy = self.policy_of(body)?;
        let category = |c: &Category| {
            json!({"name": c.name, "enabled": c.enabled, "gl_code": c.gl_code, "payroll_code": c.payroll_code,
                   "comment_hint": c.comment_hint, "comments_required": c.comments_required, "max_amount": c.max_amount})
        };
        let tag = |t: &Tag| json!({"name": t.name, "gl_code": t.gl_code, "enabled": t.enabled, "approver": t.approver});
        let member = |e: &PolicyEmployee| {
            json!({"email": e.email, "role": e.role, "submits_to": e.submits_to, "employee_id": e.employee_id,
                   "custom_field2": e.custom_field2})
        };
        Ok(json!({
            "id": policy.id,
            "categories": policy.categories.iter().map(category).collect::<Vec<_>>(),
            "tags": policy.tag_levels.iter().map(|(level, tags)| {
                json!({"level": level, "tags": tags.iter().map(tag).collect::<Vec<_>>()})
            }).collect::<Vec<_>>(),
            "employees": policy.employees.iter().map(member).collect::<Vec<_>>(),
        }))
    }

    /// `{policy, category|tag|employee: {...}}`: a person adds one, or changes the one of that name. A tag names its
    /// `level`, from 0.
    pub(super) fn put_into_policy(&mut self, body: &Value) -> Result<Value, String> {
        let policy = self.policy_of(body)?;
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        if let Some(item) = body.get("category") {
            let fresh = Category {
                name: word(item, "name")?.to_owned(),
                enabled: item["enabled"] != false,
                gl_code: text(item, "gl_code"),
                payroll_code: text(item, "payroll_code"),
                comment_hint: text(item, "comment_hint"),
                comments_required: item["comments_required"].as_bool(),
                max_amount: item["max_amount"].as_i64(),
            };
            policy.categories.retain(|c| c.name != fresh.name);
            policy.categories.push(fresh);
        } else if let Some(item) = body.get("tag") {
            let fresh = Tag {
                name: word(item, "name")?.to_owned(),
                enabled: item["enabled"] != false,
                gl_code: text(item, "gl_code"),
                approver: text(item, "approver"),
            };
            let level =
                usize::try_from(item["level"].as_u64().unwrap_or_default()).map_err(|e| e.to_string())?;
            let (_, tags) = policy.tag_levels.get_mut(level).ok_or("there is no such level")?;
            tags.retain(|t| t.name != fresh.name);
            tags.push(fresh);
        } else if let Some(item) = body.get("employee") {
            let fresh = PolicyEmployee {
                email: word(item, "email")?.to_owned(),
                role: item["role"].as_str().unwrap_or("user").to_owned(),
                submits_to: text(item, "submits_to"),
                employee_id: text(item, "employee_id"),
                custom_field2: text(item, "custom_field2"),
            };
            policy.employees.retain(|e| e.email != fresh.email);
            policy.employees.push(fresh);
        } else {
            return Err("one of \"category\", \"tag\" and \"employee\" is expected".to_owned());
        }
        Ok(json!({}))
    }

    /// `{policy, employee}`: a person removes a member.
    pub(super) fn take_from_policy(&mut self, body: &Value) -> Result<Value, String> {
        let email = word(body, "employee")?.to_owned();
        let policy = self.policy_of(body)?;
        let before = policy.employees.len();
        policy.employees.retain(|e| e.email != email);
        known(policy.employees.len() < before)
    }

    /// The policy by its position or its id.
    fn policy_of(&mut self, body: &Value) -> Result<&mut Policy, String> {
        let at = match &body["policy"] {
            Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
            Value::String(id) => self.account.policy(id),
            _ => Some(0),
        };
        at.and_then(|at| self.account.policies.get_mut(at))
            .ok_or_else(|| "there is no such policy".to_owned())
    }
}
