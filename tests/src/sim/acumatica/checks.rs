//! What bills and journals have in common: branch, period, currency, account, subaccount, project.

use chrono::NaiveDate;

use super::AcumaticaSim;
use super::access::Caller;
use super::record::Record;
use super::tenant::{DEFAULT_TASK, NON_PROJECT, Tenant, default_subaccount};
use super::trouble::Trouble;
use crate::server::Request;

/// What a request brings along beside its body.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) branch: String,
    pub(super) business_date: NaiveDate,
}

impl AcumaticaSim {
    pub(super) fn scene(&self, request: &Request, caller: &Caller) -> Scene {
        let sent = request.header("px-cbapibusinessdate");
        let day = sent.and_then(|day| NaiveDate::parse_from_str(day, "%Y/%m/%d").ok());
        let today = self.now.with_timezone(&self.style().offset).date_naive();
        let branch = request.header("px-cbapibranch").unwrap_or(&caller.branch).to_owned();
        Scene { branch, business_date: day.unwrap_or(today) }
    }

    /// A key as error texts write it.
    pub(super) fn padded(&self, key: &str) -> String {
        if self.knobs.padded_texts { format!("{key:<10}") } else { key.to_owned() }
    }

    fn missing(&self, what: &str, key: &str) -> String {
        format!("{what} '{}' cannot be found in the system.", self.padded(key))
    }

    /// The branch of a document: its own, the request's, the first one.
    pub(super) fn check_branch(&self, draft: &mut Record, scene: &Scene, trouble: &mut Trouble) {
        if draft.text("BranchID").is_empty() {
            let default = if self.knobs.require_branch { None } else { self.knobs.branches.first() };
            let branch = Some(&scene.branch).filter(|branch| !branch.is_empty()).or(default);
            draft.set("BranchID", branch.cloned().unwrap_or_default());
        }
        let branch = draft.text("BranchID");
        if branch.is_empty() {
            trouble.field("BranchID", "'Branch' cannot be empty.");
        } else if !self.is_branch(branch) {
            trouble.field("BranchID", self.missing("Branch", branch));
        }
    }

    fn is_branch(&self, branch: &str) -> bool {
        self.knobs.branches.iter().any(|known| known.eq_ignore_ascii_case(branch))
    }

    pub(super) fn check_currency(&self, tenant: &Tenant, draft: &mut Record, trouble: &mut Trouble) {
        if draft.text("CurrencyID").is_empty() {
            draft.set("CurrencyID", tenant.currency.as_str());
        }
        let currency = draft.text("CurrencyID");
        if !self.knobs.currencies.iter().any(|known| known == currency) {
            trouble.field("CurrencyID", self.missing("Currency", currency));
        }
    }

    /// The day and the period of a document; the period follows the day unless it is sent.
    pub(super) fn check_period(
        &self,
        tenant: &Tenant,
        draft: &mut Record,
        day: &'static str,
        scene: &Scene,
        payables: bool,
        trouble: &mut Trouble,
    ) {
        if draft.text(day).is_empty() {
            draft.set(day, scene.business_date.to_string());
        }
        let follows = draft.sent.contains(day) && !draft.sent.contains("PostPeriod");
        if follows || draft.text("PostPeriod").is_empty() {
            let code = draft.text(day).parse::<NaiveDate>().map(|day| day.format("%m%Y").to_string());
            draft.set("PostPeriod", code.unwrap_or_default());
        }
        let sent = draft.text("PostPeriod").to_owned();
        let code = super::literal::period_code(&sent).unwrap_or(sent);
        draft.set("PostPeriod", code.as_str());
        if let Some(error) = period_error(tenant, &code, payables) {
            trouble.field("PostPeriod", error);
        }
    }

    /// Account, subaccount, project, task and cost code of a line.
    pub(super) fn check_line(
        &self,
        tenant: &Tenant,
        line: &mut Record,
        branch: (&'static str, &str),
        trouble: &mut Trouble,
    ) {
        let (branch_field, header_branch) = branch;
        if line.text(branch_field).is_empty() {
            line.set(branch_field, header_branch);
        }
        if !self.is_branch(line.text(branch_field)) && !line.text(branch_field).is_empty() {
            trouble.field(branch_field, self.missing("Branch", line.text(branch_field)));
        }
        let account = line.text("Account");
        match tenant.named("Account", account) {
            _ if account.is_empty() => trouble.field("Account", "'Account' cannot be empty."),
            None => trouble.field("Account", self.missing("Account", account)),
            Some(known) if !known.flag("Active") => {
                trouble.field("Account", format!("Account '{}' is inactive.", self.padded(account)));
            }
            Some(_) => {}
        }
        if line.text("Subaccount").is_empty() {
            line.set("Subaccount", default_subaccount());
        }
        let subaccount = line.text("Subaccount");
        match tenant.named("Subaccount", subaccount) {
            None => trouble.field("Subaccount", self.missing("Subaccount", subaccount)),
            Some(known) if !known.flag("Active") => {
                trouble.field("Subaccount", format!("Subaccount '{}' is inactive.", self.padded(subaccount)));
            }
            Some(_) => {}
        }
        self.check_project(tenant, line, trouble);
        let code = line.text("CostCode");
        if !code.is_empty() && tenant.named("CostCode", code).is_none() {
            trouble.field("CostCode", self.missing("Cost Code", code));
        }
    }

    fn check_project(&self, tenant: &Tenant, line: &mut Record, trouble: &mut Trouble) {
        if line.text("Project").is_empty() {
            line.set("Project", NON_PROJECT);
        }
        let project = line.text("Project").to_owned();
        match tenant.named("Project", &project) {
            None => return trouble.field("Project", self.missing("Project", &project)),
            Some(known) if known.text("Status") != "Active" => {
                let text = format!("Project '{}' is not active.", self.padded(&project));
                return trouble.field("Project", text);
            }
            Some(_) => {}
        }
        if project == NON_PROJECT {
            return;
        }
        if line.text("ProjectTask").is_empty() && tenant.task(&project, DEFAULT_TASK).is_some() {
            line.set("ProjectTask", DEFAULT_TASK);
        }
        let task = line.text("ProjectTask");
        match tenant.task(&project, task) {
            _ if task.is_empty() => trouble.field("ProjectTask", "'Project Task' cannot be empty."),
            None => trouble.field("ProjectTask", self.missing("Project Task", task)),
            Some(known) if known.text("Status") != "Active" => {
                trouble.field("ProjectTask", format!("Task '{}' is not active.", self.padded(task)));
            }
            Some(_) => {}
        }
    }
}

/// Why nothing can be posted to a period.
pub(super) fn period_error(tenant: &Tenant, code: &str, payables: bool) -> Option<String> {
    let shown = if code.len() == 6 { format!("{}-{}", &code[..2], &code[2..]) } else { code.to_owned() };
    match tenant.period(code) {
        None => Some(format!("The {shown} financial period does not exist.")),
        Some(period) if matches!(period.status, "Closed" | "Locked" | "Inactive") => {
            Some(format!("The {shown} financial period is {}.", period.status.to_lowercase()))
        }
        Some(period) if payables && period.closed_in_ap => {
            Some(format!("The {shown} financial period is closed in Accounts Payable."))
        }
        Some(_) => None,
    }
}
