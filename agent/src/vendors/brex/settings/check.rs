//! What must hold between settings: every fault in words, beginning with the path of the setting.

use super::{FieldGroup, Settings};
use chrono_tz::Tz;
use std::collections::BTreeSet;
use url::Url;

impl Settings {
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.check_types(&mut faults);
        self.check_fields(&mut faults);
        self.check_places(&mut faults);
        self.check_figures(&mut faults);
        faults
    }

    fn check_types(&self, faults: &mut Vec<String>) {
        if self.types.is_empty() {
            faults.push("settings.types: name at least one type".to_owned());
        }
        for name in self.types.keys() {
            if self.ignored_types.contains(name) {
                faults.push(format!("settings.ignored_types: `{name}` stands in `types` too"));
            }
            if name.starts_with("BILL_") || name.starts_with("INVOICE") {
                faults.push(format!(
                    "settings.types.{name}: bills and invoices have no review state, so nothing tells when they are \
                     ready and whether they were exported; they cannot be booked from here"
                ));
            }
        }
        let both = ["REIMBURSEMENT_EXPENSE_APPROVAL", "REIMBURSEMENT_EXPENSE_POST"];
        if both.iter().all(|name| self.types.contains_key(*name)) {
            faults.push(
                "settings.types: REIMBURSEMENT_EXPENSE_APPROVAL (accrual) and REIMBURSEMENT_EXPENSE_POST (cash basis) \
                 are two records of one reimbursement; name one of them"
                    .to_owned(),
            );
        }
        let expenses = &self.expenses;
        if expenses.statuses.iter().any(|status| status == "SPLIT") {
            faults.push(
                "settings.expenses.statuses: `SPLIT` is the whole of which the parts are read too".to_owned(),
            );
        }
        if expenses.types.iter().any(|kind| kind == "BILLPAY") {
            faults.push(
                "settings.expenses.types: `BILLPAY` is a bill, which is not booked from here".to_owned(),
            );
        }
        if expenses.card_transactions.iter().any(|kind| kind == "PURCHASE") {
            faults.push(
                "settings.expenses.card_transactions: `PURCHASE` is booked as the expense, not once more"
                    .to_owned(),
            );
        }
        for (path, empty) in [
            ("types", expenses.types.is_empty()),
            ("statuses", expenses.statuses.is_empty()),
            ("payment_statuses", expenses.payment_statuses.is_empty()),
        ] {
            if empty {
                faults.push(format!("settings.expenses.{path}: name at least one"));
            }
        }
    }

    fn check_fields(&self, faults: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for field in self.gl_fields.iter().chain(&self.tag_fields) {
            if field.trim().is_empty() || field.trim() != field {
                faults.push(
                    "settings.gl_fields, tag_fields: a field is a text without blanks at its ends".to_owned(),
                );
            }
            if !seen.insert(field) {
                faults.push(format!("settings.gl_fields, tag_fields: `{field}` is named twice"));
            }
        }
        if self.tag_fields.len() > 9 {
            faults.push("settings.tag_fields: at most 9 levels are possible".to_owned());
        }
        for field in self.value_codes.keys().filter(|field| !seen.contains(field)) {
            faults.push(format!(
                "settings.value_codes.{field}: the field stands neither in `gl_fields` nor in `tag_fields`"
            ));
        }
        let reference = &self.reference;
        if reference.group == FieldGroup::Erp
            && (reference.integration_vendor.is_none() || reference.integration_account.is_none())
        {
            faults.push(
                "settings.reference.group: fields of the group `erp` need `integration_vendor` (issued by Brex) and \
                 `integration_account`"
                    .to_owned(),
            );
        }
        let targets = [&reference.accounts, &reference.cost_centres, &reference.projects];
        let ids: BTreeSet<&str> = targets.iter().map(|target| target.remote_id.as_str()).collect();
        if ids.len() < targets.len() || targets.iter().any(|t| t.remote_id.is_empty() || t.name.is_empty()) {
            faults.push(
                "settings.reference: accounts, cost_centres and projects each need a `remote_id` of their own and a \
                 `name`"
                    .to_owned(),
            );
        }
    }

    fn check_places(&self, faults: &mut Vec<String>) {
        if self.zone.parse::<Tz>().is_err() {
            faults.push(format!(
                "settings.zone: `{}` is not a time zone such as `America/New_York`",
                self.zone
            ));
        }
        let urls = [("issuer", Some(&self.oauth.issuer)), ("token_url", self.oauth.token_url.as_ref())];
        for (name, url) in urls {
            let wrong = url.is_some_and(|url| !Url::parse(url).is_ok_and(|url| url.has_host()));
            if wrong {
                faults.push(format!("settings.oauth.{name}: a URL is expected"));
            }
        }
    }

    fn check_figures(&self, faults: &mut Vec<String>) {
        let mut check = |name: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                faults.push(format!("settings.{name}: {value} is not between {least} and {most}"));
            }
        };
        check("page_size", self.page_size.into(), 1, 100);
        check("report_size", self.report_size.into(), 1, 50);
        check("lead_days", self.lead_days.into(), 0, 400);
        check("sweep_days", self.sweep_days.into(), 0, 3650);
        check("reference.batch_size", self.reference.batch_size.into(), 1, 1000);
        for (index, (calls, seconds)) in self.rate_limits.iter().enumerate() {
            if !(1..=10_000).contains(calls) || !(1..=86_400).contains(seconds) {
                faults.push(format!(
                    "settings.rate_limits[{index}]: `[calls, seconds]` is expected, 1 to 10000 and 1 to 86400"
                ));
            }
        }
    }
}
