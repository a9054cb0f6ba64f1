//! Plans to records and records to findings of a look-up: pure. A document in Acumatica equals a plan when vendor, type,
//! currency and total agree and every planned line is there with its account, subaccount and amount; texts are for
//! people and do not count.

use super::naming::{self, VendorRef, cut};
use super::outcome::own_refusal;
use super::settings::Settings;
use super::wire::{Fields, Members, Record, Row, Unreadable};
use spend::Date;
use spend::finding::FindingCode;
use spend::ids::{GlAccount, ProjectCode};
use spend::money::{Currency, Money, MoneyError};
use spend::plan::{InvoiceLine, JournalLine, PlannedDocument, PostingPlan, Stage};
use spend::posting::{ErpReceipt, Failure};
use std::collections::BTreeMap;

/// A dimension that is a field of its own on every line, under another name for each kind of document.
const BRANCH: &str = "branch";

/// The two kinds of documents, with what differs between them in Acumatica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bill,
    Journal,
}

impl Kind {
    pub(super) fn of(plan: &PostingPlan) -> Self {
        match plan.document {
            PlannedDocument::ApInvoice { .. } => Self::Bill,
            PlannedDocument::Journal { .. } => Self::Journal,
        }
    }

    /// Name of the entity.
    pub(super) const fn entity(self) -> &'static str {
        match self {
            Self::Bill => "Bill",
            Self::Journal => "JournalTransaction",
        }
    }

    /// Name of the action that releases it.
    pub(super) const fn release(self) -> &'static str {
        match self {
            Self::Bill => "ReleaseBill",
            Self::Journal => "ReleaseJournalTransaction",
        }
    }

    const fn branch_field(self) -> &'static str {
        match self {
            Self::Bill => "Branch",
            Self::Journal => "BranchID",
        }
    }
}

/// A line as Acumatica sees it, planned or found. An amount that cannot be read is `None` and equals nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) account: String,
    pub(super) subaccount: String,
    pub(super) amount: Option<Money>,
    pub(super) project: String,
    pub(super) text: String,
}

/// A document as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) id: String,
    /// `Type` of a bill, `Module` of a journal.
    pub(super) class: String,
    pub(super) number: String,
    pub(super) status: String,
    /// `VendorRef` of a bill, description of a journal.
    pub(super) bears: String,
    pub(super) description: String,
    pub(super) vendor: String,
    pub(super) branch: String,
    pub(super) currency: String,
    pub(super) date: Option<Date>,
    record: Record,
}

impl Found {
    pub(super) fn of(kind: Kind, record: Record) -> Self {
        let text = |field: &str| record.text(field);
        let description = text("Description");
        let (class, number, bears, date) = match kind {
            Kind::Bill => ("Type", "ReferenceNbr", text("VendorRef"), "Date"),
            Kind::Journal => ("Module", "BatchNbr", description.clone(), "TransactionDate"),
        };
        Self {
            kind,
            id: record.id(),
            class: text(class),
            number: text(number),
            status: text("Status"),
            bears,
            description,
            vendor: text("Vendor"),
            branch: text("BranchID"),
            currency: text("CurrencyID"),
            date: record.date(date),
            record,
        }
    }

    /// A bill that we owe by.
    pub(super) fn is_bill(&self) -> bool {
        ["Bill", "INV"].iter().any(|word| self.class.eq_ignore_ascii_case(word))
    }

    /// A bill that lessens what we owe.
    pub(super) fn is_debit_adjustment(&self) -> bool {
        ["Debit Adj.", "ADR"].iter().any(|word| self.class.eq_ignore_ascii_case(word))
    }

    /// Whether it is of the class that the plan would be written as.
    pub(super) fn is_of_class(&self, plan: &PostingPlan) -> bool {
        match &plan.document {
            PlannedDocument::Journal { .. } => self.class.eq_ignore_ascii_case("GL"),
            PlannedDocument::ApInvoice { debit_memo: true, .. } => self.is_debit_adjustment(),
            PlannedDocument::ApInvoice { debit_memo: false, .. } => self.is_bill(),
        }
    }

    fn is_status(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.status.eq_ignore_ascii_case(word))
    }

    /// How far it has got, by its status.
    pub(super) fn stage(&self) -> Stage {
        match self.kind {
            Kind::Bill if self.is_status(&["Open", "Closed"]) => Stage::InLedger,
            Kind::Journal if self.is_status(&["Posted"]) => Stage::InLedger,
            Kind::Journal if self.is_status(&["Unposted"]) => Stage::Submitted,
            Kind::Bill | Kind::Journal => Stage::Staged,
        }
    }

    pub(super) fn is_on_hold(&self) -> bool {
        self.is_status(&["On Hold", "Hold"])
    }

    /// Whether it was annulled and moves no money any more.
    pub(super) fn is_void(&self) -> bool {
        self.is_status(&["Voided", "Rejected"])
    }

    /// Whether it can still be changed and deleted.
    pub(super) fn is_open_for_changes(&self) -> bool {
        self.stage() == Stage::Staged && !self.is_void()
    }

    pub(super) fn receipt(&self) -> ErpReceipt {
        let (document, group) = match self.kind {
            Kind::Bill => {
                let word = if self.is_debit_adjustment() { "debit adjustment" } else { "bill" };
                (format!("{word} {}", self.number), format!("{}/{}", self.class, self.number))
            }
            Kind::Journal => {
                (format!("journal {}/{}", self.class, self.number), format!("{}/{}", self.class, self.number))
            }
        };
        let stage = self.stage();
        ErpReceipt { document, group: (stage == Stage::Staged).then_some(group), stage }
    }

    /// The fields that an action is addressed by.
    pub(super) fn keys(&self) -> Fields {
        let (class, number) = match self.kind {
            Kind::Bill => ("Type", "ReferenceNbr"),
            Kind::Journal => ("Module", "BatchNbr"),
        };
        let mut keys = Fields::default();
        keys.text(class, &self.class).text(number, &self.number);
        keys
    }

    /// Its lines; a debit adjustment's are what the plan has with the other sign.
    pub(super) fn lines(&self, currency: Currency) -> Result<Vec<Line>, Unreadable> {
        let turned = self.is_debit_adjustment();
        let amount = |row: &Row<'_>| match self.kind {
            Kind::Bill => {
                let written =
                    row.amount("Amount", currency).or_else(|| row.amount("ExtendedCost", currency))?;
                if turned { written.negated().ok() } else { Some(written) }
            }
            Kind::Journal => {
                let side = |field: &str| match row.text(field).as_str() {
                    "" => Some(Money::zero(currency)),
                    text => Money::parse(text, currency).ok(),
                };
                side("DebitAmount")?.minus(side("CreditAmount")?).ok()
            }
        };
        let line = |row: &Row<'_>| Line {
            account: row.text("Account"),
            subaccount: row.text("Subaccount"),
            amount: amount(row),
            project: row.text("Project"),
            text: row.text("TransactionDescription"),
        };
        Ok(self.record.rows("Details")?.iter().map(line).collect())
    }

    /// What a bill says it comes to, with the plan's sign.
    pub(super) fn amount(&self, currency: Currency) -> Option<Money> {
        let amount = self.record.amount("Amount", currency)?;
        if self.is_debit_adjustment() { amount.negated().ok() } else { Some(amount) }
    }

    fn tax(&self, currency: Currency) -> Option<Money> {
        self.record.amount("TaxTotal", currency).filter(|tax| !tax.is_zero())
    }
}

/// The verdict of comparing one document with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Equal,
    /// A part of the plan and nothing else, not released yet; which planned lines are missing.
    Part(Vec<usize>),
    Other(String),
}

/// Account and subaccount of an account of a plan.
pub(super) fn split(account: &GlAccount, settings: &Settings) -> (String, String) {
    let segments = account.segments();
    let (natural, rest) = segments.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    (natural.to_owned(), rest.join(&settings.subaccount_separator))
}

/// The segments of a subaccount as accounts of plans have them.
pub(super) fn segments<'a>(subaccount: &'a str, settings: &Settings) -> Vec<&'a str> {
    if settings.subaccount_segments.len() < 2 {
        return vec![subaccount];
    }
    subaccount.splitn(settings.subaccount_segments.len(), settings.subaccount_separator.as_str()).collect()
}

/// Whether two spellings of a subaccount are one: sites show it with or without what stands between its segments. One
/// that was not planned is filled in by the site.
fn same_subaccount(found: &str, planned: &str, settings: &Settings) -> bool {
    let separator = settings.subaccount_separator.as_str();
    planned.is_empty()
        || found == planned
        || (!separator.is_empty() && !found.contains(separator) && found == planned.replace(separator, ""))
}

/// The lines of a plan as they will be found, with the plan's signs.
pub(super) fn planned_lines(plan: &PostingPlan, settings: &Settings) -> Vec<Line> {
    let line = |account: &GlAccount, amount: Money, project: &Option<ProjectCode>| {
        let (account, subaccount) = split(account, settings);
        let project = project.as_ref().map(|project| project.as_str().to_owned()).unwrap_or_default();
        Line { account, subaccount, amount: Some(amount), project, text: String::new() }
    };
    match &plan.document {
        PlannedDocument::Journal { lines } => {
            lines.iter().map(|l| line(&l.account, l.amount, &l.project)).collect()
        }
        PlannedDocument::ApInvoice { lines, .. } => {
            lines.iter().map(|l| line(&l.account, l.amount, &l.project)).collect()
        }
    }
}

/// Compares a found document, of the plan's kind and under its reference, with the plan.
pub(super) fn compare(plan: &PostingPlan, found: &Found, settings: &Settings) -> Likeness {
    let other = |what: String| Likeness::Other(what);
    if found.is_void() {
        return other(format!("it is {} in Acumatica", found.status.to_lowercase()));
    }
    if let PlannedDocument::ApInvoice { vendor, .. } = &plan.document
        && !found.vendor.eq_ignore_ascii_case(vendor.as_str())
    {
        return other(format!("vendor {} instead of {vendor}", found.vendor));
    }
    if !found.is_of_class(plan) {
        return other(format!("it is a {}", found.class));
    }
    if let Some(differs) = other_currency(plan, found, settings) {
        return other(differs);
    }
    if let Some(branch) = settings.branches.get(&plan.company)
        && !found.branch.is_empty()
        && !found.branch.eq_ignore_ascii_case(branch)
    {
        return other(format!("branch {} instead of {branch}", found.branch));
    }
    let lines = match found.lines(plan.currency) {
        Ok(lines) => lines,
        Err(why) => return other(why.to_string()),
    };
    let missing = match missing_lines(&planned_lines(plan, settings), lines, settings) {
        Ok(missing) => missing,
        Err(surplus) => return other(surplus),
    };
    if !missing.is_empty() {
        if !found.is_open_for_changes() {
            return other(format!("{} lines are missing and it is {}", missing.len(), found.status));
        }
        return Likeness::Part(missing);
    }
    if found.kind == Kind::Bill {
        if let Some(tax) = found.tax(plan.currency) {
            return other(format!("taxes of {tax} were added to it"));
        }
        let amount = found.amount(plan.currency);
        if amount != Some(plan.total) {
            let amount =
                amount.map_or_else(|| "an unreadable amount".to_owned(), |amount| amount.to_string());
            return other(format!("it comes to {amount} instead of {}", plan.total));
        }
    }
    Likeness::Equal
}

/// How a found document's currency differs from the plan's. One that names none is in the connection's.
fn other_currency(plan: &PostingPlan, found: &Found, settings: &Settings) -> Option<String> {
    let own = settings.currency.map(|currency| currency.code().to_owned()).unwrap_or_default();
    let currency = if found.currency.is_empty() { &own } else { &found.currency };
    let differs = !currency.is_empty() && !currency.eq_ignore_ascii_case(plan.currency.code());
    differs.then(|| format!("currency {currency} instead of {}", plan.currency))
}

/// Which planned lines are not among the found ones, whatever their order.
fn missing_lines(planned: &[Line], mut found: Vec<Line>, settings: &Settings) -> Result<Vec<usize>, String> {
    let mut missing = Vec::new();
    // Lines that leave something open come last, so that none takes what only another one equals.
    let mut order: Vec<(usize, &Line)> = planned.iter().enumerate().collect();
    order.sort_by_key(|(_, line)| {
        usize::from(line.subaccount.is_empty()) + usize::from(line.project.is_empty())
    });
    for (index, line) in order {
        let same = |there: &Line| {
            there.account == line.account
                && there.amount == line.amount
                && same_subaccount(&there.subaccount, &line.subaccount, settings)
                && (line.project.is_empty() || there.project == line.project)
        };
        match found.iter().position(same) {
            Some(at) => drop(found.remove(at)),
            None => missing.push(index),
        }
    }
    missing.sort_unstable();
    match found.first() {
        None => Ok(missing),
        Some(surplus) => {
            let amount = surplus.amount.map_or_else(|| "an unreadable amount".to_owned(), |a| a.to_string());
            let place = [surplus.account.as_str(), surplus.subaccount.as_str(), surplus.project.as_str()];
            let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
            Err(format!("a line on `{}` over {amount} that was not planned", place.join(" ")))
        }
    }
}

/// The branch that a plan's company books in; `None` = the user's own.
pub(super) fn branch<'a>(plan: &PostingPlan, settings: &'a Settings) -> Result<Option<&'a str>, Failure> {
    match settings.branches.get(&plan.company) {
        Some(branch) => Ok(Some(branch)),
        None if settings.branches.is_empty() => Ok(None),
        None => Err(own_refusal(
            FindingCode::ErpRefused,
            "company",
            format!("company `{}` has no branch among the connection's settings", plan.company),
            "add it to settings.branches of the connection",
        )),
    }
}

/// The record of a plan with the lines of these numbers.
pub(super) fn record(plan: &PostingPlan, settings: &Settings, lines: &[usize]) -> Result<Fields, Failure> {
    let mut fields = Fields::default();
    let branch = branch(plan, settings)?;
    match &plan.document {
        PlannedDocument::ApInvoice { vendor, debit_memo, terms, .. } => {
            fields
                .text("Type", if *debit_memo { "Debit Adj." } else { "Bill" })
                .text("Vendor", vendor.as_str())
                .text("VendorRef", &VendorRef::of(&plan.reference, settings.vendor_ref_length).to_string())
                .day("Date", plan.date)
                .text("Description", &naming::bill_description(plan, settings))
                .number("Amount", &unsigned(&plan.total));
            // A debit adjustment is due at once and bears no terms.
            if let Some(terms) = terms.as_ref().filter(|_| !debit_memo) {
                fields.text("Terms", terms);
            }
        }
        PlannedDocument::Journal { .. } => {
            fields
                .text("Module", "GL")
                .day("TransactionDate", plan.date)
                .text("Description", &naming::journal_description(plan, settings));
            if let Some(ledger) = &settings.ledger {
                fields.text("LedgerID", ledger);
            }
        }
    }
    if settings.send_currency {
        fields.text("CurrencyID", plan.currency.code());
    } else if settings.currency != Some(plan.currency) {
        return Err(foreign(plan, settings));
    }
    if let Some(branch) = branch {
        fields.text("BranchID", branch);
    }
    // A part of a document must not be released: it stays on hold until it is whole.
    let whole = lines.len() == plan.document.amounts().len();
    fields.flag("Hold", settings.hold || settings.release || !whole);
    fields.rows("Details", &rows(plan, settings, lines)?);
    Ok(fields)
}

/// The detail rows of the lines of these numbers.
pub(super) fn rows(plan: &PostingPlan, settings: &Settings, lines: &[usize]) -> Result<Vec<Fields>, Failure> {
    let branch = branch(plan, settings)?;
    let mut rows = Vec::new();
    match &plan.document {
        PlannedDocument::ApInvoice { lines: all, debit_memo, .. } => {
            for line in lines.iter().filter_map(|index| all.get(*index)) {
                rows.push(bill_row(line, *debit_memo, branch, settings)?);
            }
        }
        PlannedDocument::Journal { lines: all } => {
            let spend = naming::spend_lines(plan);
            let tail = plan.reference.to_string().chars().rev().take(10).collect::<Vec<_>>();
            let tail: String = tail.into_iter().rev().collect();
            for (index, line) in lines.iter().filter_map(|index| Some((*index, all.get(*index)?))) {
                let mut row = journal_row(line, branch, settings)?;
                row.text("ReferenceNbr", &tail).text(
                    "TransactionDescription",
                    &naming::entry_description(index, index < spend, line, settings),
                );
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// A negative amount is a quantity of -1 at a positive price.
fn bill_row(
    line: &InvoiceLine,
    debit_memo: bool,
    branch: Option<&str>,
    settings: &Settings,
) -> Result<Fields, Failure> {
    let amount = if debit_memo { line.amount.negated().map_err(|e| overflow(&e))? } else { line.amount };
    let mut row = Fields::default();
    row.text("TransactionDescription", &cut(&line.description, settings.text_limits.line))
        .number("Qty", if amount.minor < 0 { "-1" } else { "1" })
        .number("UnitCost", &unsigned(&amount))
        .number("ExtendedCost", &amount.to_decimal());
    coded(&mut row, Kind::Bill, (&line.account, &line.project, &line.dimensions), branch, settings)?;
    Ok(row)
}

fn journal_row(line: &JournalLine, branch: Option<&str>, settings: &Settings) -> Result<Fields, Failure> {
    let mut row = Fields::default();
    row.number(if line.amount.minor < 0 { "CreditAmount" } else { "DebitAmount" }, &unsigned(&line.amount));
    coded(&mut row, Kind::Journal, (&line.account, &line.project, &line.dimensions), branch, settings)?;
    Ok(row)
}

/// Account, subaccount, project and the other dimensions of a line.
fn coded(
    row: &mut Fields,
    kind: Kind,
    (account, project, dimensions): (&GlAccount, &Option<ProjectCode>, &BTreeMap<String, String>),
    branch: Option<&str>,
    settings: &Settings,
) -> Result<(), Failure> {
    let (account, subaccount) = split(account, settings);
    row.text("Account", &account);
    if !subaccount.is_empty() {
        row.text("Subaccount", &subaccount);
    }
    if let Some(branch) = branch {
        row.text(kind.branch_field(), branch);
    }
    if let Some(project) = project {
        row.text("Project", project.as_str());
    }
    for (dimension, value) in dimensions {
        let field = match dimension.as_str() {
            BRANCH => Some(kind.branch_field()),
            name => settings.dimension_fields.get(name).map(String::as_str),
        };
        let Some(field) = field else {
            return Err(own_refusal(
                FindingCode::ErpRefused,
                dimension,
                format!("dimension `{dimension}` has no field in Acumatica"),
                "name its field in settings.dimension_fields of the connection, or take it out of the mapping",
            ));
        };
        row.text(field, value);
    }
    Ok(())
}

/// The decimal text of an amount without its sign.
fn unsigned(amount: &Money) -> String {
    amount.to_decimal().trim_start_matches('-').to_owned()
}

/// What is not told its currency is booked in the site's own.
fn foreign(plan: &PostingPlan, settings: &Settings) -> Failure {
    let own = settings.currency.map_or_else(|| "not named".to_owned(), |own| own.to_string());
    own_refusal(
        FindingCode::CurrencyRefused,
        "currency",
        format!("the document is in {} and the site is not told currencies; its own is {own}", plan.currency),
        "set settings.send_currency of the connection, or name the site's one currency in settings.currency",
    )
}

fn overflow(error: &MoneyError) -> Failure {
    own_refusal(
        FindingCode::AmountInvalid,
        "amount",
        error.to_string(),
        "split the record in the source system",
    )
}
