//! AP bills and GL journals: what is checked and what the system works out when one is saved.

use chrono::{Days, NaiveDate};

use super::AcumaticaSim;
use super::checks::Scene;
use super::json::Json;
use super::knobs::Duplicates;
use super::record::{Record, folded};
use super::refusal::{Outcome, Refusal};
use super::tenant::{LEDGER, TERMS, Tenant};
use super::trouble::Trouble;
use super::upsert::bill_type;
use crate::sim::amount::Amount;

/// Marks an approved bill; not a part of the contract.
pub(super) const APPROVED: &str = "~approved";

impl AcumaticaSim {
    pub(super) fn check_bill(
        &self,
        tenant: usize,
        draft: &mut Record,
        old: Option<&Record>,
        scene: &Scene,
        trouble: &mut Trouble,
    ) -> Outcome<()> {
        let tenant = &self.tenants[tenant];
        if let Some(error) = old.and_then(|old| not_editable("AP Bill", "ReferenceNbr", old)) {
            trouble.entity = Some(error);
            return Ok(());
        }
        let kind = if draft.text("Type").is_empty() { "Bill" } else { draft.text("Type") };
        match bill_type(kind) {
            Some(kind) => draft.set("Type", kind),
            None => trouble.field("Type", format!("'{kind}' is not in the list of types.")),
        }
        self.check_payee(tenant, draft, trouble);
        self.check_branch(draft, scene, trouble);
        self.check_currency(tenant, draft, trouble);
        self.check_period(tenant, draft, "Date", scene, true, trouble);
        self.check_terms(draft, trouble);
        self.check_bill_lines(tenant, draft, trouble);
        self.settle_hold(draft, old);
        self.check_total(draft, trouble);
        self.check_reference(tenant, draft, trouble)?;
        draft.set("Status", self.bill_status(draft));
        Ok(())
    }

    fn check_payee(&self, tenant: &Tenant, draft: &Record, trouble: &mut Trouble) {
        let code = draft.text("Vendor");
        let employee = tenant.named("Employee", code).filter(|_| self.knobs.employees_as_payees);
        match tenant.named("Vendor", code).or(employee) {
            _ if code.is_empty() => trouble.field("Vendor", "'Vendor' cannot be empty."),
            None => {
                let text = format!("Vendor '{}' cannot be found in the system.", self.padded(code));
                trouble.field("Vendor", text);
            }
            Some(payee) if matches!(payee.text("Status"), "Inactive" | "Hold") => {
                let status = payee.text("Status");
                trouble.field("Vendor", format!("The vendor status is '{status}'."));
            }
            Some(_) => {}
        }
    }

    fn check_terms(&self, draft: &mut Record, trouble: &mut Trouble) {
        if draft.text("Terms").is_empty() {
            draft.set("Terms", TERMS);
        }
        if draft.text("Terms") != TERMS {
            let text = format!("Terms '{}' cannot be found in the system.", self.padded(draft.text("Terms")));
            trouble.field("Terms", text);
        }
        if !draft.sent.contains("DueDate") {
            let due = draft.text("Date").parse::<NaiveDate>().map(|day| day + Days::new(30));
            draft.set("DueDate", due.map(|day| day.to_string()).unwrap_or_default());
        }
    }

    fn check_bill_lines(&self, tenant: &Tenant, draft: &mut Record, trouble: &mut Trouble) {
        let branch = draft.text("BranchID").to_owned();
        let mut lines = draft.details.remove("Details").unwrap_or_default();
        for (index, line) in lines.iter_mut().enumerate() {
            work_out(line);
            let mut errors = Trouble::default();
            self.check_line(tenant, line, ("Branch", &branch), &mut errors);
            if !errors.is_empty() {
                let row = trouble.row("Details", index);
                errors.fields.into_iter().for_each(|(name, text)| row.field(name, text));
            }
        }
        draft.details.insert("Details", lines);
    }

    /// Whether the document is on hold: as sent, else as the site does it; with an approval map always at first.
    fn settle_hold(&self, draft: &mut Record, old: Option<&Record>) {
        if old.is_none() && (self.knobs.approval_map || !draft.sent.contains("Hold")) {
            draft.set("Hold", self.knobs.approval_map || self.knobs.hold_on_entry);
        }
    }

    /// The control total must be the sum of the lines and the tax, where the site checks it.
    fn check_total(&self, draft: &mut Record, trouble: &mut Trouble) {
        let tax: Amount = draft.rows("TaxDetails").iter().map(|row| row.amount("TaxAmount")).sum();
        let total = draft.sum("Amount") + tax;
        draft.set("TaxTotal", tax);
        draft.set("Balance", total);
        if !self.knobs.validate_totals {
            draft.set("Amount", total);
        } else if !draft.flag("Hold") && draft.amount("Amount") != total {
            trouble.field("Amount", "The document is out of the balance.");
        }
        if !draft.flag("Hold") && total < Amount::ZERO {
            trouble.field("Amount", "The document amount cannot be negative.");
        }
    }

    fn check_reference(&self, tenant: &Tenant, draft: &Record, trouble: &mut Trouble) -> Outcome<()> {
        let reference = draft.text("VendorRef");
        if reference.is_empty() {
            if self.knobs.require_vendor_ref {
                trouble.field("VendorRef", "'Vendor Ref.' cannot be empty.");
            }
            return Ok(());
        }
        if self.knobs.duplicates == Duplicates::Allowed {
            return Ok(());
        }
        let Some(set) = tenant.set("Bill") else { return Ok(()) };
        let same = |text: &str| {
            if self.knobs.case_insensitive { folded(text) == folded(reference) } else { text == reference }
        };
        let twin = set.indexed(reference).into_iter().filter_map(|at| set.get(at)).find(|bill| {
            bill.id != draft.id
                && same(bill.text("VendorRef"))
                && folded(bill.text("Vendor")) == folded(draft.text("Vendor"))
                && bill.text("Type") == draft.text("Type")
        });
        let Some(twin) = twin else { return Ok(()) };
        let text = format!(
            "Document with the vendor reference '{reference}' already exists: {} {}.",
            twin.text("Type"),
            self.padded(twin.text("ReferenceNbr"))
        );
        if self.knobs.duplicates == Duplicates::Error500 {
            return Err(Refusal::server(text));
        }
        trouble.field("VendorRef", text);
        Ok(())
    }

    pub(super) fn bill_status(&self, bill: &Record) -> &'static str {
        match (bill.flag("Hold"), self.knobs.approval_map && !bill.flag(APPROVED)) {
            (true, _) => "On Hold",
            (false, true) => "Pending Approval",
            (false, false) => "Balanced",
        }
    }

    pub(super) fn check_journal(
        &self,
        tenant: usize,
        draft: &mut Record,
        old: Option<&Record>,
        scene: &Scene,
        trouble: &mut Trouble,
    ) {
        let tenant = &self.tenants[tenant];
        if let Some(error) = old.and_then(|old| not_editable("Batch", "BatchNbr", old)) {
            trouble.entity = Some(error);
            return;
        }
        if draft.text("Module").is_empty() {
            draft.set("Module", "GL");
        }
        if draft.text("Module") != "GL" {
            trouble.field("Module", "Only batches of the GL module can be entered here.");
        }
        if draft.text("LedgerID").is_empty() {
            draft.set("LedgerID", LEDGER);
        }
        let ledger = draft.text("LedgerID");
        if tenant.named("Ledger", ledger).is_none_or(|ledger| ledger.text("Type") != "Actual") {
            let text = format!("Ledger '{}' cannot be found in the system.", self.padded(ledger));
            trouble.field("LedgerID", text);
        }
        self.check_branch(draft, scene, trouble);
        self.check_currency(tenant, draft, trouble);
        self.check_period(tenant, draft, "TransactionDate", scene, false, trouble);
        self.check_journal_lines(tenant, draft, trouble);
        if old.is_none() && !draft.sent.contains("Hold") {
            draft.set("Hold", self.knobs.hold_on_entry);
        }
        if !draft.flag("Hold") && draft.sum("DebitAmount") != draft.sum("CreditAmount") {
            trouble.entity = Some("Batch is out of balance, please review.".to_owned());
        }
        draft.set("Status", if draft.flag("Hold") { "On Hold" } else { "Balanced" });
    }

    fn check_journal_lines(&self, tenant: &Tenant, draft: &mut Record, trouble: &mut Trouble) {
        let branch = draft.text("BranchID").to_owned();
        let mut lines = draft.details.remove("Details").unwrap_or_default();
        let mut last =
            lines.iter().filter_map(|line| line.fields.get("LineNbr")?.as_i64()).max().unwrap_or(0);
        for (index, line) in lines.iter_mut().enumerate() {
            if !line.fields.contains_key("LineNbr") {
                last += 1;
                line.set("LineNbr", last);
            }
            for name in ["DebitAmount", "CreditAmount"] {
                if !line.fields.contains_key(name) {
                    line.set(name, Amount::ZERO);
                }
            }
            let mut errors = Trouble::default();
            if !line.amount("DebitAmount").is_zero() && !line.amount("CreditAmount").is_zero() {
                errors.field("CreditAmount", "A line has either a debit or a credit amount.");
            }
            self.check_line(tenant, line, ("BranchID", &branch), &mut errors);
            if !errors.is_empty() {
                let row = trouble.row("Details", index);
                errors.fields.into_iter().for_each(|(name, text)| row.field(name, text));
            }
        }
        draft.details.insert("Details", lines);
    }
}

/// Quantity, unit cost and extended cost of a bill's line: what was sent last in the form's order wins.
fn work_out(line: &mut Record) {
    let sent = |name: &str| line.sent.contains(name);
    let given = |name: &str| line.fields.contains_key(name);
    let quantity = if given("Qty") { line.amount("Qty") } else { Amount::ONE };
    let extended = if sent("ExtendedCost") {
        line.amount("ExtendedCost")
    } else if sent("UnitCost") || (sent("Qty") && given("UnitCost")) {
        quantity.times(line.amount("UnitCost"))
    } else if sent("Amount") {
        line.amount("Amount")
    } else {
        line.amount("ExtendedCost")
    };
    let unit = line.amount("UnitCost");
    let unit = if quantity.times(unit) == extended { unit } else { extended.per(quantity) };
    line.set("Qty", quantity);
    line.set("UnitCost", unit);
    line.set("ExtendedCost", extended);
    line.set("Amount", extended);
}

/// A released document cannot be changed any more.
fn not_editable(what: &str, key: &str, old: &Record) -> Option<String> {
    let released = matches!(old.text("Status"), "Open" | "Closed" | "Posted" | "Unposted");
    released.then(|| format!("{what} {} cannot be modified: it is {}.", old.text(key), old.text("Status")))
}

/// The reversal of a bill: a debit adjustment with the same reference.
pub(super) fn reversal(bill: &Record, new_id: &mut dyn FnMut() -> String) -> Record {
    let mut reversal = bill.clone();
    reversal.id = new_id();
    reversal.set("Type", "Debit Adj.");
    reversal.set("Hold", true);
    reversal.set("Status", "On Hold");
    reversal.set("ReferenceNbr", Json::Null);
    for line in reversal.details.values_mut().flatten() {
        line.id = new_id();
    }
    reversal
}
