//! The integration object: one active at a time; there is no way to list them.

use super::BrexSim;
use super::refusal::{NO_PERMISSION, Outcome, Refusal};
use super::wire;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The tie to an ERP.
#[derive(Clone, Debug)]
pub(super) struct Integration {
    pub(super) id: String,
    pub(super) vendor: String,
    pub(super) vendor_account_id: String,
    pub(super) active: bool,
    created: DateTime<Utc>,
}

impl Integration {
    /// The schema says `integration_id`, every documented example `id`.
    pub(super) fn body(&self) -> Value {
        json!({
            "id": self.id, "integration_id": self.id, "vendor": self.vendor,
            "vendor_account_id": self.vendor_account_id,
            "status": if self.active { "ACTIVE" } else { "DISABLED" },
            "created_at": wire::seconds(self.created)})
    }
}

impl BrexSim {
    pub(super) fn create_integration(
        &mut self,
        body: &Value,
        token: &str,
        now: DateTime<Utc>,
    ) -> Outcome<Value> {
        let user_token = self.access.tokens.get(token).is_some_and(|token| token.user);
        if user_token && !self.knobs.user_token_integration {
            return Err(Refusal::forbidden(NO_PERMISSION));
        }
        let word = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .ok_or_else(Refusal::malformed)
        };
        let (vendor, account) = (word("vendor")?.to_owned(), word("vendor_account_id")?.to_owned());
        if let Some(active) = self.integrations.iter().find(|integration| integration.active) {
            if active.vendor != vendor {
                return Err(other_vendor(active, &vendor));
            }
            if active.vendor_account_id != account {
                let refusal = Refusal::conflict(
                    "VENDOR_ACCOUNT_ID_MISMATCH",
                    "The active integration of this vendor has another vendor account id.",
                );
                return Err(refusal.with(json!({
                    "existing_integration_id": active.id,
                    "existing_vendor_account_id": active.vendor_account_id,
                    "requested_vendor_account_id": account})));
            }
            return Ok(active.body());
        }
        let integration = Integration {
            id: wire::id(&mut self.rng, "int"),
            vendor,
            vendor_account_id: account,
            active: true,
            created: now,
        };
        let body = integration.body();
        self.integrations.push(integration);
        Ok(body)
    }

    pub(super) fn disconnect(&mut self, id: &str) -> Outcome<Value> {
        let integration = self.integrations.iter_mut().find(|integration| integration.id == id);
        let integration = integration.ok_or_else(unknown)?;
        if !integration.active {
            let refusal = Refusal::conflict("INTEGRATION_NOT_ACTIVE", "The integration is not active.");
            return Err(refusal.with(json!({"integration_id": id, "current_status": "DISABLED"})));
        }
        integration.active = false;
        Ok(integration.body())
    }

    pub(super) fn reactivate(&mut self, id: &str) -> Outcome<Value> {
        let at = self.integrations.iter().position(|integration| integration.id == id).ok_or_else(unknown)?;
        if let Some(active) = self.integrations.iter().find(|other| other.active && other.id != id) {
            return Err(other_vendor(active, &self.integrations[at].vendor));
        }
        self.integrations[at].active = true;
        Ok(self.integrations[at].body())
    }
}

fn unknown() -> Refusal {
    Refusal::not_found("Integration not found.", None)
}

fn other_vendor(active: &Integration, requested: &str) -> Refusal {
    let words = "An active integration with another vendor exists.";
    Refusal::conflict("ACTIVE_INTEGRATION_EXISTS", words).with(json!({
        "existing_integration_id": active.id, "existing_vendor": active.vendor, "requested_vendor": requested}))
}
