//! Document + rules + reference data to a valid document, or **every** finding. The whole document is valid or
//! nothing of it is posted.

use crate::Date;
use crate::document::{RecordKind, SpendDocument, SpendLine};
use crate::finding::{Finding, FindingCode};
use crate::ids::{GlAccount, LineId, ProjectCode, Revision, SourceId, VendorCode};
use crate::mapping::{DocumentKind, LineMode, LineSelection, MappingRules, PostingDate, VendorFrom};
use crate::matching::Merchants;
use crate::money::{Currency, Money};
use crate::plan::PlanContext;
use crate::reference::ReferenceData;
use std::collections::BTreeMap;

mod accounts;
mod dates;
mod dimensions;
mod merchants;
mod owners;
mod tags;

/// One part of a line that is booked: the line itself without its tax, or its tax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidLine {
    pub(crate) id: LineId,
    pub(crate) date: Option<Date>,
    pub(crate) account: GlAccount,
    pub(crate) project: Option<ProjectCode>,
    pub(crate) dimensions: BTreeMap<String, String>,
    pub(crate) amount: Money,
    pub(crate) merchant: String,
    pub(crate) category: String,
    pub(crate) reimbursable: bool,
    pub(crate) tax: bool,
}

impl ValidLine {
    /// Line of the source that it comes from.
    pub fn id(&self) -> &LineId {
        &self.id
    }

    /// Account it is booked to.
    pub fn account(&self) -> &GlAccount {
        &self.account
    }

    /// What is booked.
    pub fn amount(&self) -> Money {
        self.amount
    }

    /// Project it is booked to.
    pub fn project(&self) -> Option<&ProjectCode> {
        self.project.as_ref()
    }

    /// Dimensions beside account and project, by name.
    pub fn dimensions(&self) -> &BTreeMap<String, String> {
        &self.dimensions
    }

    /// Whether it is the tax part of its line.
    pub fn is_tax(&self) -> bool {
        self.tax
    }
}

/// The vendor that an AP invoice is made out to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidVendor {
    pub(crate) code: VendorCode,
    pub(crate) number: i64,
    pub(crate) terms: Option<String>,
}

/// The accounts that a journal is balanced with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) reimbursable: Option<GlAccount>,
    pub(crate) card: Option<GlAccount>,
}

/// A document of which every line can be booked. Only [`validate`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedDocument {
    pub(crate) source_id: SourceId,
    pub(crate) revision: Revision,
    pub(crate) title: String,
    pub(crate) owner: String,
    pub(crate) kind: DocumentKind,
    pub(crate) mode: LineMode,
    pub(crate) date: Date,
    pub(crate) currency: Currency,
    pub(crate) vendor: Option<ValidVendor>,
    pub(crate) offsets: Offsets,
    pub(crate) lines: Vec<ValidLine>,
    pub(crate) total: Money,
    pub(crate) notes: Vec<Finding>,
}

impl ValidatedDocument {
    /// What does not stop the posting and is worth knowing.
    pub fn notes(&self) -> &[Finding] {
        &self.notes
    }

    /// Posting date.
    pub fn date(&self) -> Date {
        self.date
    }

    /// Sum of the lines that are booked.
    pub fn total(&self) -> Money {
        self.total
    }

    /// Lines that are booked, tax apart where the rules say so.
    pub fn lines(&self) -> &[ValidLine] {
        &self.lines
    }

    /// Vendor of an AP invoice.
    pub fn vendor(&self) -> Option<&VendorCode> {
        self.vendor.as_ref().map(|vendor| &vendor.code)
    }

    /// Id in the source.
    pub fn source_id(&self) -> &SourceId {
        &self.source_id
    }
}

/// Everything the checks look at, and the findings so far.
struct Check<'a> {
    document: &'a SpendDocument,
    rules: &'a MappingRules,
    reference: &'a ReferenceData,
    merchants: &'a Merchants,
    /// Posting date, once known; date-dependent checks are left out without it.
    date: Option<Date>,
    findings: Vec<Finding>,
    notes: Vec<Finding>,
}

/// Checks a document against rules and reference data, with merchants compared as they are and no person's choices.
/// To check many documents, or with choices, use [`validate_with`].
///
/// # Errors
/// As [`validate_with`].
pub fn validate(
    document: &SpendDocument,
    rules: &MappingRules,
    reference: &ReferenceData,
    context: &PlanContext,
) -> Result<ValidatedDocument, Vec<Finding>> {
    let merchants = match rules.vendor_from {
        VendorFrom::Merchant => Merchants::new(&reference.vendors, BTreeMap::new()),
        VendorFrom::Owner | VendorFrom::Fixed => Merchants::default(),
    };
    validate_with(document, rules, reference, context, &merchants)
}

/// Checks a document against rules, reference data and what is known of merchants.
///
/// # Errors
/// Every finding that stops the document, not just the first.
pub fn validate_with(
    document: &SpendDocument,
    rules: &MappingRules,
    reference: &ReferenceData,
    context: &PlanContext,
    merchants: &Merchants,
) -> Result<ValidatedDocument, Vec<Finding>> {
    let (findings, notes) = (Vec::new(), Vec::new());
    let mut check = Check { document, rules, reference, merchants, date: None, findings, notes };
    check.identity();
    check.currency();
    check.declared_total();
    let selected = check.selected_lines();
    if selected.is_empty() && check.findings.is_empty() {
        check.findings.push(nothing_to_post("no line with an amount is selected"));
    }
    check.date = check.posting_date(&selected);
    let mut lines = Vec::new();
    for line in &selected {
        lines.extend(check.line(line));
    }
    let total = check.total(&lines);
    let (vendor, offsets) = match context.kind {
        DocumentKind::ApInvoice => {
            check.already_paid(&selected);
            if total.is_zero() && !lines.is_empty() && check.findings.is_empty() {
                check.findings.push(nothing_to_post("the lines of the invoice add up to zero"));
            }
            (check.vendor(&selected), Offsets::default())
        }
        DocumentKind::Journal => (None, check.offsets(&selected)),
    };
    match check.date {
        Some(date) if check.findings.is_empty() => Ok(ValidatedDocument {
            source_id: document.source_id.clone(),
            revision: document.revision.clone(),
            title: document.title.clone(),
            owner: document.owner.name.clone().unwrap_or_else(|| document.owner.email.clone()),
            kind: context.kind,
            mode: rules.lines,
            date,
            currency: document.currency,
            vendor,
            offsets,
            lines,
            total,
            notes: check.notes,
        }),
        _ => Err(check.findings),
    }
}

impl<'a> Check<'a> {
    fn finding(
        &mut self,
        code: FindingCode,
        line: Option<&LineId>,
        field: &str,
        value: &str,
        message: String,
        fix: String,
    ) {
        let finding = Finding::document(code, field, value, message, fix);
        let finding = Finding { line: line.cloned(), ..finding };
        // A cause shared by two parts of one line is told once; the parts of a line follow each other.
        let told = self
            .findings
            .iter()
            .rev()
            .take_while(|told| told.line == finding.line)
            .any(|told| *told == finding);
        if !told {
            self.findings.push(finding);
        }
    }

    fn identity(&mut self) {
        if self.document.source_id.as_str().trim().is_empty() {
            self.finding(
                FindingCode::ReferenceInvalid,
                None,
                "record id",
                "",
                "the record has no id, so its document could not be found again in the ERP".to_owned(),
                "open the record in the source system and export it again".to_owned(),
            );
        }
        let mut seen = std::collections::BTreeSet::new();
        let document = self.document;
        for line in &document.lines {
            if !line.id.as_str().is_empty() && !seen.insert(&line.id) {
                self.finding(
                    FindingCode::SourceUnreadable,
                    Some(&line.id),
                    "line id",
                    line.id.as_str(),
                    "two lines of the record have the same id, so one of them may be a repetition".to_owned(),
                    "open the record in the source system and look for the line twice".to_owned(),
                );
            }
        }
    }

    fn currency(&mut self) {
        let currency = self.document.currency;
        let allowed = &self.rules.currencies;
        let is_allowed = |code: &String| Currency::new(code).is_ok_and(|allowed| allowed == currency);
        if !allowed.is_empty() && !allowed.iter().any(is_allowed) {
            self.finding(
                FindingCode::CurrencyRefused,
                None,
                "currency",
                currency.code(),
                format!("{currency} is not among the currencies of this flow ({})", allowed.join(", ")),
                "add it to flow.mapping.currencies in purser.toml, or book this record by hand".to_owned(),
            );
        }
    }

    /// Compares all lines, selected or not, with what the source declares.
    fn declared_total(&mut self) {
        let Some(declared) = self.document.declared_total else { return };
        let Ok(sum) = Money::sum(self.document.currency, self.document.lines.iter().map(|line| line.amount))
        else {
            return; // told line by line
        };
        if sum == declared {
            return;
        }
        let finding = Finding::document(
            FindingCode::TotalMismatch,
            "total",
            declared.to_string(),
            format!("the lines add up to {sum}, the source says {declared}"),
            "compare the record in the source system; flow.mapping.strict_total in purser.toml says whether this holds it",
        );
        let list = if self.rules.strict_total { &mut self.findings } else { &mut self.notes };
        list.push(finding);
    }

    fn selected_lines(&mut self) -> Vec<&'a SpendLine> {
        let select = self.rules.select;
        let wanted = |line: &&SpendLine| match select {
            LineSelection::All => true,
            LineSelection::Reimbursable => line.reimbursable,
            LineSelection::NonReimbursable => !line.reimbursable,
        };
        let document = self.document;
        let lines: Vec<&SpendLine> =
            document.lines.iter().filter(|line| !line.amount.is_zero()).filter(wanted).collect();
        lines.into_iter().filter(|line| self.amount(line)).collect()
    }

    /// Whether the amounts of a line can be used.
    fn amount(&mut self, line: &SpendLine) -> bool {
        let expected = self.document.currency;
        let mut message = None;
        if line.amount.currency != expected {
            message = Some(format!("the line is in {}, the record in {expected}", line.amount.currency));
        } else if let (Some(_), Some(tax)) = (&self.rules.tax_account, line.tax) {
            let within = tax.minor.unsigned_abs() <= line.amount.minor.unsigned_abs();
            let same_side = tax.is_zero() || (tax.minor < 0) == (line.amount.minor < 0);
            if tax.currency != expected || !within || !same_side {
                message = Some(format!("the tax of {tax} does not lie within the amount of {}", line.amount));
            }
        }
        let Some(message) = message else { return true };
        self.finding(
            FindingCode::AmountInvalid,
            Some(&line.id),
            "amount",
            &line.amount.to_string(),
            message,
            "correct the line in the source system".to_owned(),
        );
        false
    }

    fn line(&mut self, line: &SpendLine) -> Vec<ValidLine> {
        let project = self.project(line);
        let account = self.account(line);
        let dimensions = self.dimensions(line, project.as_ref());
        let part = |account: GlAccount, of: (Option<ProjectCode>, BTreeMap<String, String>), amount, tax| {
            ValidLine {
                id: line.id.clone(),
                date: line.date,
                account,
                project: of.0,
                dimensions: of.1,
                amount,
                merchant: line.merchant.clone(),
                category: line.category.clone().unwrap_or_default(),
                reimbursable: line.reimbursable,
                tax,
            }
        };
        let tax = line.tax.filter(|tax| !tax.is_zero());
        let (Some(tax_account), Some(tax)) = (self.rules.tax_account.as_deref(), tax) else {
            let whole = account.map(|account| part(account, (project, dimensions), line.amount, false));
            return whole.into_iter().collect();
        };
        let tax_account = self.tax_account(line, tax_account);
        // Both fit: the tax was found to lie within the amount.
        let net = line.amount.minus(tax).unwrap_or(line.amount);
        let mut parts = Vec::new();
        let of = (project, dimensions);
        parts.extend(account.filter(|_| !net.is_zero()).map(|account| part(account, of, net, false)));
        // Tax is no cost of a project, nor of what divides it.
        parts.extend(tax_account.map(|account| part(account, (None, BTreeMap::new()), tax, true)));
        parts
    }

    fn total(&mut self, lines: &[ValidLine]) -> Money {
        let currency = self.document.currency;
        Money::sum(currency, lines.iter().map(|line| line.amount)).unwrap_or_else(|error| {
            self.finding(
                FindingCode::AmountInvalid,
                None,
                "total",
                "",
                format!("the lines cannot be added up: {error}"),
                "split the record in the source system".to_owned(),
            );
            Money::zero(currency)
        })
    }

    /// What was paid already must not be paid once more, nor to somebody else.
    fn already_paid(&mut self, selected: &[&SpendLine]) {
        let vendor_from = self.rules.vendor_from;
        // The lines of a bill are owed to the vendor; no card and no owner has paid them.
        if self.document.kind == RecordKind::Bill && vendor_from != VendorFrom::Owner {
            return;
        }
        let whom = match vendor_from {
            VendorFrom::Owner => "the owner",
            VendorFrom::Merchant => "the merchant",
            VendorFrom::Fixed => "the vendor",
        };
        for line in selected {
            if !line.reimbursable && !self.rules.card_lines_on_invoice {
                self.finding(
                    FindingCode::PaidByCard,
                    Some(&line.id),
                    "reimbursable",
                    "no",
                    format!("{} was paid by company card, and the invoice would pay it to {whom} again", line.amount),
                    "set flow.mapping.select to \"reimbursable\" in purser.toml (and book card lines by a journal flow), \
                     or flow.mapping.card_lines_on_invoice where the vendor is the bank of the card or such invoices \
                     are settled against the card"
                        .to_owned(),
                );
            } else if line.reimbursable && vendor_from == VendorFrom::Merchant {
                self.finding(
                    FindingCode::OwedToOwner,
                    Some(&line.id),
                    "reimbursable",
                    "yes",
                    format!("{} is owed to the owner, and the invoice would pay it to the merchant", line.amount),
                    "set flow.mapping.select to \"non-reimbursable\" in purser.toml, and book what owners are owed by a \
                     flow with vendor_from = \"owner\""
                        .to_owned(),
                );
            }
        }
    }
}

fn nothing_to_post(why: &str) -> Finding {
    Finding::document(
        FindingCode::NothingToPost,
        "lines",
        "",
        format!("there is nothing to post: {why}"),
        "close it with `purser records handle`, or look at flow.mapping.select in purser.toml",
    )
}

#[cfg(test)]
mod tests;
