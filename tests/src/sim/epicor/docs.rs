//! Documents as they are stored (small), and as rows (wide).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{Days, NaiveDate};

use super::amount::Amount;
use super::columns::{self, Table};
use super::json::{Json, Row, int_of, put, row, text_of};
use super::reference::{BOOK, CALENDAR, COA, Reference, TERMS, day_text};

pub(super) const JOURNAL_CODE: &str = "GJ";

/// Row version, and the version at birth, from which the row's GUID is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp {
    pub(super) rev: i64,
    pub(super) born: i64,
}

impl Stamp {
    pub(super) fn new(rev: i64) -> Self {
        Self { rev, born: rev }
    }

    pub(super) fn guid(self) -> String {
        guid(self.born, 0)
    }

    fn put(self, row: &mut Row) {
        put(row, "SysRevID", self.rev);
        put(row, "SysRowID", self.guid());
    }
}

/// A GUID made of a number.
pub(super) fn guid(number: i64, kind: u64) -> String {
    let mix = |seed: u64| {
        let mut value = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    let high = mix(number.cast_unsigned() ^ (kind << 56));
    let low = mix(high);
    format!(
        "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// One company's books.
#[derive(Debug, Default)]
pub(super) struct Company {
    pub(super) id: String,
    pub(super) reference: Reference,
    pub(super) ap_groups: BTreeMap<String, Row>,
    pub(super) gl_groups: BTreeMap<String, Row>,
    /// By order of creation.
    pub(super) invoices: BTreeMap<i64, Invoice>,
    pub(super) by_number: HashMap<String, Vec<i64>>,
    pub(super) invoices_of: BTreeMap<String, BTreeSet<i64>>,
    /// By journal number.
    pub(super) journals: BTreeMap<i64, Journal>,
    pub(super) by_description: HashMap<String, BTreeSet<i64>>,
    pub(super) journals_of: BTreeMap<String, BTreeSet<i64>>,
    pub(super) last_journal: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) stamp: Stamp,
    pub(super) vendor: i64,
    pub(super) number: String,
    pub(super) group: String,
    pub(super) posted: bool,
    pub(super) debit_memo: bool,
    pub(super) date: NaiveDate,
    pub(super) apply: NaiveDate,
    pub(super) terms: String,
    pub(super) currency: String,
    pub(super) vendor_amount: Amount,
    pub(super) description: String,
    pub(super) comment: String,
    pub(super) external_id: String,
    pub(super) cross_reference: String,
    pub(super) employee: String,
    pub(super) held: bool,
    pub(super) changed: NaiveDate,
    pub(super) changed_by: String,
    pub(super) custom: Option<Box<Row>>,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) stamp: Stamp,
    pub(super) number: i64,
    pub(super) kind: String,
    pub(super) part: String,
    pub(super) description: String,
    pub(super) comment: String,
    pub(super) quantity: Amount,
    pub(super) unit: Amount,
    pub(super) extended: Amount,
    pub(super) custom: Option<Box<Row>>,
    pub(super) expenses: i64,
    pub(super) accounts: Vec<AccountRow>,
}

#[derive(Clone, Debug)]
pub(super) struct AccountRow {
    pub(super) stamp: Stamp,
    pub(super) sequence: i64,
    pub(super) account: String,
    pub(super) amount: Amount,
}

#[derive(Clone, Debug)]
pub(super) struct Journal {
    pub(super) stamp: Stamp,
    pub(super) number: i64,
    pub(super) group: String,
    pub(super) date: NaiveDate,
    pub(super) year: i64,
    pub(super) period: i64,
    pub(super) description: String,
    pub(super) comment: String,
    pub(super) currency: String,
    pub(super) posted: Option<NaiveDate>,
    pub(super) created: NaiveDate,
    pub(super) entered_by: String,
    pub(super) custom: Option<Box<Row>>,
    pub(super) lines: Vec<JournalLine>,
}

#[derive(Clone, Debug)]
pub(super) struct JournalLine {
    pub(super) stamp: Stamp,
    pub(super) number: i64,
    pub(super) account: String,
    pub(super) description: String,
    pub(super) comment: String,
    pub(super) debit: Amount,
    pub(super) credit: Amount,
    pub(super) custom: Option<Box<Row>>,
}

impl Invoice {
    pub(super) fn total(&self) -> Amount {
        self.lines.iter().map(|line| line.extended).sum()
    }

    pub(super) fn variance(&self) -> Amount {
        self.vendor_amount - self.total()
    }

    fn keys(&self, company: &str) -> Row {
        row([
            ("Company", company.into()),
            ("VendorNum", self.vendor.into()),
            ("InvoiceNum", self.number.as_str().into()),
        ])
    }

    pub(super) fn row(&self, company: &Company) -> Row {
        let mut out = self.keys(&company.id);
        let total = self.total();
        let vendor = company.reference.vendor_by_number(self.vendor);
        let period = company.reference.period(self.apply);
        let due = self.date.checked_add_days(Days::new(30)).unwrap_or(self.date);
        out.extend(row([
            ("GroupID", self.group.as_str().into()),
            ("Posted", self.posted.into()),
            ("OpenPayable", self.posted.into()),
            ("DebitMemo", self.debit_memo.into()),
            ("InvoiceDate", day_text(self.date).into()),
            ("ApplyDate", day_text(self.apply).into()),
            ("DueDate", day_text(due).into()),
            ("TermsCode", self.terms.as_str().into()),
            ("CurrencyCode", self.currency.as_str().into()),
            ("FiscalYear", period.map_or(0, |period| period.year).into()),
            ("FiscalPeriod", period.map_or(0, |period| period.number).into()),
            ("InvoiceAmt", total.into()),
            ("DocInvoiceAmt", total.into()),
            ("DocInvoiceBal", total.into()),
            ("InvoiceVendorAmt", self.vendor_amount.into()),
            ("DocInvoiceVendorAmt", self.vendor_amount.into()),
            ("ScrDocInvoiceVendorAmt", self.vendor_amount.into()),
            ("DocInvoiceVariance", self.variance().into()),
            ("Description", self.description.as_str().into()),
            ("InvoiceComment", self.comment.as_str().into()),
            ("ExternalID", self.external_id.as_str().into()),
            ("XRefInvoiceNum", self.cross_reference.as_str().into()),
            ("EmpID", self.employee.as_str().into()),
            ("InvoiceHeld", self.held.into()),
            ("EntryPerson", self.changed_by.as_str().into()),
            ("VendorNumVendorID", vendor.map_or("", |vendor| text_of(vendor, "VendorID")).into()),
            ("VendorNumName", vendor.map_or("", |vendor| text_of(vendor, "Name")).into()),
            ("ChangeDate", day_text(self.changed).into()),
            ("ChangedBy", self.changed_by.as_str().into()),
        ]));
        finished(out, self.stamp, self.custom.as_deref())
    }

    pub(super) fn line_row(&self, company: &Company, line: &Line) -> Row {
        let mut out = self.keys(&company.id);
        let vendor = company.reference.vendor_by_number(self.vendor);
        out.extend(row([
            ("InvoiceLine", line.number.into()),
            ("LineType", line.kind.as_str().into()),
            ("PartNum", line.part.as_str().into()),
            ("Description", line.description.as_str().into()),
            ("LineComment", line.comment.as_str().into()),
            ("VendorQty", line.quantity.into()),
            ("ScrVendorQty", line.quantity.into()),
            ("UnitCost", line.unit.into()),
            ("DocUnitCost", line.unit.into()),
            ("ScrDocUnitCost", line.unit.into()),
            ("ExtCost", line.extended.into()),
            ("DocExtCost", line.extended.into()),
            ("ScrDocExtCost", line.extended.into()),
            ("VendorNumVendorID", vendor.map_or("", |vendor| text_of(vendor, "VendorID")).into()),
            ("ChangeDate", day_text(self.changed).into()),
            ("ChangedBy", self.changed_by.as_str().into()),
        ]));
        finished(out, line.stamp, line.custom.as_deref())
    }

    pub(super) fn expense_row(&self, company: &Company, line: &Line, sequence: i64) -> Row {
        let mut out = self.keys(&company.id);
        put(&mut out, "InvoiceLine", line.number);
        put(&mut out, "InvExpSeq", sequence);
        let booked =
            line.accounts.iter().filter(|row| row.sequence == sequence).map(|row| row.amount).sum::<Amount>();
        put(&mut out, "ExpAmt", booked);
        put(&mut out, "DocExpAmt", booked);
        put(&mut out, "SysRevID", line.stamp.rev);
        put(&mut out, "SysRowID", guid(line.stamp.born + sequence, 1));
        out
    }

    pub(super) fn account_row(&self, company: &Company, line: &Line, account: &AccountRow) -> Row {
        let mut out = self.keys(&company.id);
        let negative = account.amount < Amount::ZERO;
        out.extend(row([
            ("InvoiceLine", line.number.into()),
            ("InvExpSeq", account.sequence.into()),
            ("RelatedToFile", "APInvExp".into()),
            ("Key1", self.vendor.to_string().into()),
            ("Key2", self.number.as_str().into()),
            ("Key3", line.number.to_string().into()),
            ("Key4", account.sequence.to_string().into()),
            ("TGLCTranNum", account.stamp.born.into()),
            ("GLAcctContext", "Expense".into()),
            ("BookID", BOOK.into()),
            ("COACode", COA.into()),
            ("UserCanModify", true.into()),
            ("TransAmt", account.amount.into()),
            ("DebitAmount", if negative { Amount::ZERO } else { account.amount }.into()),
            ("CreditAmount", if negative { -account.amount } else { Amount::ZERO }.into()),
            ("RecordType", "A".into()),
        ]));
        put_account(&mut out, &account.account);
        finished(out, account.stamp, None)
    }
}

impl Journal {
    fn keys(&self, company: &str) -> Row {
        row([
            ("Company", company.into()),
            ("BookID", BOOK.into()),
            ("FiscalYear", self.year.into()),
            ("FiscalYearSuffix", "".into()),
            ("JournalCode", JOURNAL_CODE.into()),
            ("JournalNum", self.number.into()),
            ("FiscalCalendarID", CALENDAR.into()),
            ("FiscalPeriod", self.period.into()),
            ("GroupID", self.group.as_str().into()),
            ("JEDate", day_text(self.date).into()),
            ("CurrencyCode", self.currency.as_str().into()),
            ("Posted", self.posted.is_some().into()),
        ])
    }

    pub(super) fn debits(&self) -> Amount {
        self.lines.iter().map(|line| line.debit).sum()
    }

    pub(super) fn credits(&self) -> Amount {
        self.lines.iter().map(|line| line.credit).sum()
    }

    pub(super) fn row(&self, company: &str) -> Row {
        let mut out = self.keys(company);
        out.extend(row([
            ("Description", self.description.as_str().into()),
            ("CommentText", self.comment.as_str().into()),
            ("TotDebit", self.debits().into()),
            ("TotCredit", self.credits().into()),
            ("PostedDate", self.posted.map_or(Json::Null, |day| day_text(day).into())),
            ("CreateDate", day_text(self.created).into()),
            ("EntryPerson", self.entered_by.as_str().into()),
        ]));
        finished(out, self.stamp, self.custom.as_deref())
    }

    pub(super) fn line_row(&self, company: &str, line: &JournalLine) -> Row {
        let mut out = self.keys(company);
        out.extend(row([
            ("JournalLine", line.number.into()),
            ("COACode", COA.into()),
            ("Description", line.description.as_str().into()),
            ("CommentText", line.comment.as_str().into()),
            ("TotDebit", line.debit.into()),
            ("TotCredit", line.credit.into()),
            ("DebitAmount", line.debit.into()),
            ("CreditAmount", line.credit.into()),
            ("TransAmt", (line.debit - line.credit).into()),
        ]));
        put_account(&mut out, &line.account);
        finished(out, line.stamp, line.custom.as_deref())
    }
}

pub(super) const SEGMENTS: [&str; 8] =
    ["SegValue1", "SegValue2", "SegValue3", "SegValue4", "SegValue5", "SegValue6", "SegValue7", "SegValue8"];

fn put_account(out: &mut Row, account: &str) {
    put(out, "GLAccount", account);
    if !account.is_empty() {
        for (column, value) in SEGMENTS.iter().zip(account.split('|')) {
            put(out, column, value);
        }
    }
}

fn finished(mut out: Row, stamp: Stamp, custom: Option<&Row>) -> Row {
    stamp.put(&mut out);
    if let Some(custom) = custom {
        out.extend(custom.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    out
}

/// The tenant's own columns of a row that is saved.
pub(super) fn custom_of(row: &Row) -> Option<Box<Row>> {
    let blank = |value: &Json| matches!(value, Json::Null | Json::Bool(false)) || value.as_str() == Some("");
    let custom: Row = row
        .iter()
        .filter(|(name, value)| name.ends_with("_c") && !blank(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if custom.is_empty() { None } else { Some(Box::new(custom)) }
}

/// One row of an entity set, not yet made.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Stored(&'a Row),
    Invoice(&'a Invoice),
    Line(&'a Invoice, &'a Line),
    Expense(&'a Invoice, &'a Line, i64),
    Account(&'a Invoice, &'a Line, &'a AccountRow),
    Journal(&'a Journal),
    JournalLine(&'a Journal, &'a JournalLine),
}

impl View<'_> {
    pub(super) fn row(self, company: &Company) -> Row {
        match self {
            Self::Stored(row) => {
                let mut row = row.clone();
                put(&mut row, "Company", company.id.as_str());
                row
            }
            Self::Invoice(invoice) => invoice.row(company),
            Self::Line(invoice, line) => invoice.line_row(company, line),
            Self::Expense(invoice, line, sequence) => invoice.expense_row(company, line, sequence),
            Self::Account(invoice, line, account) => invoice.account_row(company, line, account),
            Self::Journal(journal) => journal.row(&company.id),
            Self::JournalLine(journal, line) => journal.line_row(&company.id, line),
        }
    }

    /// One value, without making the row where a filter is likely to ask.
    pub(super) fn get(self, company: &Company, table: &Table, width: usize, name: &str) -> Json {
        let quick = match (self, name) {
            (Self::Stored(row), _) if name != "Company" => row.get(name).cloned(),
            (Self::Invoice(of) | Self::Line(of, _) | Self::Account(of, _, _), "InvoiceNum") => {
                Some(of.number.as_str().into())
            }
            (Self::Invoice(of) | Self::Line(of, _) | Self::Account(of, _, _), "VendorNum") => {
                Some(of.vendor.into())
            }
            (Self::Invoice(of), "GroupID") => Some(of.group.as_str().into()),
            (Self::Invoice(of), "Posted") => Some(of.posted.into()),
            (Self::Invoice(of), "Description") => Some(of.description.as_str().into()),
            (Self::Invoice(of), "XRefInvoiceNum") => Some(of.cross_reference.as_str().into()),
            (Self::Invoice(of), "ExternalID") => Some(of.external_id.as_str().into()),
            (Self::Invoice(of), "InvoiceDate") => Some(day_text(of.date).into()),
            (Self::Invoice(of), "SysRevID") => Some(of.stamp.rev.into()),
            (Self::Line(_, line), "InvoiceLine") => Some(line.number.into()),
            (Self::Journal(of), "Description") => Some(of.description.as_str().into()),
            (Self::Journal(of), "CommentText") => Some(of.comment.as_str().into()),
            (Self::Journal(of), "SysRevID") => Some(of.stamp.rev.into()),
            (Self::Journal(of) | Self::JournalLine(of, _), "JournalNum") => Some(of.number.into()),
            (Self::Journal(of) | Self::JournalLine(of, _), "GroupID") => Some(of.group.as_str().into()),
            (Self::Journal(of) | Self::JournalLine(of, _), "JEDate") => Some(day_text(of.date).into()),
            (Self::Journal(of) | Self::JournalLine(of, _), "FiscalYear") => Some(of.year.into()),
            _ => None,
        };
        let value = match (quick, self) {
            (Some(value), _) => Some(value),
            (None, Self::Stored(_)) if name != "Company" => None,
            _ => self.row(company).remove(name),
        };
        value.or_else(|| table.type_of(name, width).map(columns::blank)).unwrap_or_default()
    }
}

impl Company {
    pub(super) fn invoices_by_number(&self, number: &str) -> Vec<i64> {
        self.by_number.get(number).cloned().unwrap_or_default()
    }

    /// The newest invoice of that supplier and number.
    pub(super) fn find_invoice(&self, vendor: i64, number: &str) -> Option<i64> {
        let found = self.by_number.get(number)?;
        found
            .iter()
            .rev()
            .copied()
            .find(|id| self.invoices.get(id).is_some_and(|invoice| invoice.vendor == vendor))
    }

    pub(super) fn add_invoice(&mut self, invoice: Invoice) {
        let id = invoice.stamp.born;
        self.by_number.entry(invoice.number.clone()).or_default().push(id);
        self.invoices_of.entry(invoice.group.clone()).or_default().insert(id);
        self.invoices.insert(id, invoice);
    }

    pub(super) fn remove_invoice(&mut self, id: i64) {
        if let Some(invoice) = self.invoices.remove(&id) {
            if let Some(found) = self.by_number.get_mut(&invoice.number) {
                found.retain(|other| *other != id);
            }
            if let Some(found) = self.invoices_of.get_mut(&invoice.group) {
                found.remove(&id);
            }
        }
    }

    pub(super) fn journals_by_description(&self, description: &str) -> Vec<i64> {
        self.by_description.get(description).map(|found| found.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn put_journal(&mut self, journal: Journal) {
        self.remove_journal(journal.number);
        self.by_description.entry(journal.description.clone()).or_default().insert(journal.number);
        self.journals_of.entry(journal.group.clone()).or_default().insert(journal.number);
        self.journals.insert(journal.number, journal);
    }

    pub(super) fn remove_journal(&mut self, number: i64) -> Option<Journal> {
        let journal = self.journals.remove(&number)?;
        if let Some(found) = self.by_description.get_mut(&journal.description) {
            found.remove(&number);
        }
        if let Some(found) = self.journals_of.get_mut(&journal.group) {
            found.remove(&number);
        }
        Some(journal)
    }

    /// The default account that GL controls supply for a supplier's lines; empty when nothing does.
    pub(super) fn default_account(&self, vendor: i64) -> String {
        let vendor = self.reference.vendor_by_number(vendor);
        let code = vendor.map_or("", |vendor| text_of(vendor, "VendorID"));
        self.reference.default_accounts.get(code).cloned().unwrap_or_default()
    }

    pub(super) fn terms_of(&self, vendor: &Row) -> String {
        let terms = text_of(vendor, "TermsCode");
        if terms.is_empty() { TERMS.to_owned() } else { terms.to_owned() }
    }

    pub(super) fn vendor_number(vendor: &Row) -> i64 {
        int_of(vendor, "VendorNum")
    }
}
