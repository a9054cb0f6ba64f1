//! Finds what stands in Kinetic under a reference, and compares it with the plan. Journals are looked for twice, as
//! unposted documents and as posted detail, because posting moves them from one to the other.

use super::calls::{Query, literal};
use super::client::Client;
use super::convert::{
    FoundEntry, FoundHead, FoundInvoiceLine, Likeness, amount_in, compare_invoice, compare_journal,
    entry_amount, entry_description, journal_description,
};
use super::outcome::{Kind, Refusal};
use super::wire::{Row, flag, int, text};
use spend::ids::CompanyId;
use spend::money::Currency;
use spend::plan::{PlannedDocument, PostingPlan, Stage};
use spend::posting::{ErpReceipt, Failure, LookUp};
use std::collections::BTreeMap;

pub(super) const AP: &str = "Erp.BO.APInvoiceSvc";
pub(super) const GL: &str = "Erp.BO.GLJournalEntrySvc";
pub(super) const LEDGER: &str = "Erp.BO.GLJrnDtlSvc";

/// What identifies a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JournalKey {
    pub(super) book: String,
    pub(super) year: i64,
    pub(super) suffix: String,
    pub(super) code: String,
    pub(super) number: i64,
}

impl JournalKey {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            book: text(row, "BookID"),
            year: int(row, "FiscalYear").unwrap_or_default(),
            suffix: text(row, "FiscalYearSuffix"),
            code: text(row, "JournalCode"),
            number: int(row, "JournalNum").unwrap_or_default(),
        }
    }

    /// The filter for the lines of this journal. An empty suffix is left out: it may be stored as null, which equals
    /// no literal; [`journal_lines`] looks at it.
    pub(super) fn filter(&self) -> String {
        let suffix = match self.suffix.as_str() {
            "" => String::new(),
            suffix => format!(" and FiscalYearSuffix eq {}", literal(suffix)),
        };
        format!(
            "BookID eq {} and FiscalYear eq {}{suffix} and JournalCode eq {} and JournalNum eq {}",
            literal(&self.book),
            self.year,
            literal(&self.code),
            self.number
        )
    }
}

/// A journal as it was found.
#[derive(Clone, Debug, Default)]
pub(super) struct FoundJournal {
    pub(super) description: String,
    pub(super) header: Option<Row>,
    pub(super) group: String,
    pub(super) posted: bool,
    pub(super) lines: Vec<Row>,
}

impl FoundJournal {
    pub(super) fn receipt(&self, key: &JournalKey) -> ErpReceipt {
        ErpReceipt {
            document: format!("journal {}{}/{}/{}", key.year, key.suffix, key.code, key.number),
            group: (!self.group.is_empty() && !self.posted).then(|| self.group.clone()),
            stage: if self.posted { Stage::InLedger } else { Stage::Staged },
        }
    }

    /// Whether any of its texts is exactly this reference.
    fn bears(&self, plan: &PostingPlan) -> bool {
        plan.reference.is_in(&self.description)
            || self.lines.iter().any(|l| plan.reference.is_in(&text(l, "Description")))
    }

    pub(super) fn entries(&self, currency: Currency) -> Vec<FoundEntry> {
        let entry = |row: &Row| FoundEntry {
            account: text(row, "GLAccount"),
            amount: entry_amount(row, currency),
            text: text(row, "Description"),
        };
        self.lines.iter().map(entry).collect()
    }
}

/// An invoice as it was found.
#[derive(Clone, Debug)]
pub(super) struct FoundInvoice {
    pub(super) number: String,
    pub(super) vendor_number: i64,
    pub(super) group: String,
    pub(super) header: Row,
}

impl FoundInvoice {
    pub(super) fn of(header: Row) -> Self {
        Self {
            number: text(&header, "InvoiceNum"),
            vendor_number: int(&header, "VendorNum").unwrap_or_default(),
            group: text(&header, "GroupID"),
            header,
        }
    }

    pub(super) fn posted(&self) -> bool {
        flag(&self.header, "Posted")
    }

    pub(super) fn receipt(&self) -> ErpReceipt {
        ErpReceipt {
            document: format!("invoice {}/{}", self.vendor_number, self.number),
            group: (!self.group.is_empty() && !self.posted()).then(|| self.group.clone()),
            stage: if self.posted() { Stage::InLedger } else { Stage::Staged },
        }
    }

    pub(super) fn head(&self, currency: Currency) -> FoundHead {
        FoundHead {
            vendor_number: int(&self.header, "VendorNum"),
            currency: text(&self.header, "CurrencyCode"),
            control: amount_in(&self.header, &["DocInvoiceVendorAmt", "ScrDocInvoiceVendorAmt"], currency),
            calculated: amount_in(&self.header, &["DocInvoiceAmt"], currency),
            posted: self.posted(),
        }
    }

    pub(super) fn filter(&self) -> String {
        format!("VendorNum eq {} and InvoiceNum eq {}", self.vendor_number, literal(&self.number))
    }
}

/// Looks a plan up and says how what is there compares with it.
pub(super) async fn look_up(client: &Client, plan: &PostingPlan) -> Result<LookUp, Failure> {
    let found = match &plan.document {
        PlannedDocument::Journal { .. } => journal_state(client, plan).await?.0,
        PlannedDocument::ApInvoice { .. } => invoice_state(client, plan).await?.0,
    };
    Ok(found)
}

/// The state of a planned journal, and the unposted journal that is it, when there is one.
pub(super) async fn journal_state(
    client: &Client,
    plan: &PostingPlan,
) -> Result<(LookUp, Option<FoundJournal>), Refusal> {
    let mut found = journals(client, plan).await?;
    let others: Vec<JournalKey> =
        found.iter().filter(|(_, j)| !j.bears(plan)).map(|(key, _)| key.clone()).collect();
    let other =
        others.first().and_then(|key| found.get(key).map(|j| (j.receipt(key), j.description.clone())));
    found.retain(|_, journal| journal.bears(plan));
    if found.len() > 1 {
        let keys: Vec<_> = found.iter().map(|(key, journal)| journal.receipt(key).document).collect();
        let differs = format!("{} documents bear this reference: {}", keys.len(), keys.join(", "));
        let receipt = found.first_key_value().map(|(key, journal)| journal.receipt(key));
        return Ok((receipt.map_or(LookUp::Absent, |receipt| LookUp::Different { receipt, differs }), None));
    }
    let Some((key, mut journal)) = found.pop_first() else {
        return Ok((another_revision(other), None));
    };
    if journal.lines.is_empty() {
        journal.lines = journal_lines(client, &plan.company, &key).await?;
    }
    let receipt = journal.receipt(&key);
    let currency = journal_currency(&journal);
    let (likeness, _) = compare_journal(plan, &journal.entries(plan.currency), journal.posted);
    let likeness = if !currency.is_empty() && !currency.eq_ignore_ascii_case(plan.currency.code()) {
        Likeness::Other(format!("currency {currency} instead of {}", plan.currency))
    } else {
        likeness
    };
    Ok((verdict(likeness, receipt, other), Some(journal)))
}

/// The state of a planned invoice, and the invoice that is it with its lines, when there is one.
pub(super) async fn invoice_state(
    client: &Client,
    plan: &PostingPlan,
) -> Result<(LookUp, Option<(FoundInvoice, Vec<FoundInvoiceLine>)>), Refusal> {
    let reference = plan.reference.to_string();
    let mut found = invoices(client, plan).await?;
    let other = found.iter().find(|i| i.number != reference).map(|i| (i.receipt(), i.number.clone()));
    found.retain(|invoice| invoice.number == reference);
    if found.len() > 1 {
        let keys: Vec<_> = found.iter().map(|invoice| invoice.receipt().document).collect();
        let differs = format!("{} invoices bear this number: {}", keys.len(), keys.join(", "));
        return Ok((LookUp::Different { receipt: found[0].receipt(), differs }, None));
    }
    let Some(invoice) = found.pop() else {
        return Ok((another_revision(other), None));
    };
    let lines = invoice_lines(client, &plan.company, &invoice, plan.currency).await?;
    let likeness = compare_invoice(plan, &invoice.head(plan.currency), &lines);
    Ok((verdict(likeness, invoice.receipt(), other), Some((invoice, lines))))
}

fn verdict(likeness: Likeness, receipt: ErpReceipt, other: Option<(ErpReceipt, String)>) -> LookUp {
    match (likeness, other) {
        (Likeness::Equal, _) => LookUp::Complete { receipt },
        (Likeness::Part(missing), None) => LookUp::Unfinished { receipt, missing },
        (Likeness::Part(_), Some(other)) => another_revision(Some(other)),
        (Likeness::Other(differs), _) => LookUp::Different { receipt, differs },
    }
}

fn another_revision(other: Option<(ErpReceipt, String)>) -> LookUp {
    let Some((receipt, name)) = other else { return LookUp::Absent };
    LookUp::Different {
        receipt,
        differs: format!("another revision of the same record is there as `{name}`"),
    }
}

fn journal_currency(journal: &FoundJournal) -> String {
    let header = journal.header.as_ref().map(|header| text(header, "CurrencyCode")).unwrap_or_default();
    if !header.is_empty() || journal.header.is_some() {
        return header;
    }
    journal.lines.first().map(|line| text(line, "CurrencyCode")).unwrap_or_default()
}

/// Every journal whose description begins with the plan's stem, posted or not.
async fn journals(
    client: &Client,
    plan: &PostingPlan,
) -> Result<BTreeMap<JournalKey, FoundJournal>, Refusal> {
    let begins = format!("startswith(Description,{})", literal(&format!("{}-", plan.reference.stem())));
    let whole = journal_description(plan, &client.settings);
    let headers = match client.rows(&plan.company, &header_query(begins.clone())).await {
        Err(refusal) if refusal.kind == Kind::BadQuery => {
            client.rows(&plan.company, &header_query(format!("Description eq {}", literal(&whole)))).await?
        }
        rows => rows?,
    };
    let ledger = match client.rows(&plan.company, &ledger_query(begins)).await {
        Err(refusal) if refusal.kind == Kind::BadQuery => {
            let mut filter = format!("Description eq {}", literal(&whole));
            if let PlannedDocument::Journal { lines } = &plan.document {
                for (index, line) in lines.iter().enumerate().take(1) {
                    let line = entry_description(plan, index, line, &client.settings);
                    filter = format!("{filter} or Description eq {}", literal(&line));
                }
            }
            client.rows(&plan.company, &ledger_query(filter)).await?
        }
        rows => rows?,
    };
    Ok(merge(headers, ledger, &client.settings.book))
}

/// Joins unposted documents and posted detail. Detail of other books is a copy and does not count.
pub(super) fn merge(headers: Vec<Row>, ledger: Vec<Row>, book: &str) -> BTreeMap<JournalKey, FoundJournal> {
    let mut found: BTreeMap<JournalKey, FoundJournal> = BTreeMap::new();
    for row in headers {
        let journal = found.entry(JournalKey::of(&row)).or_default();
        journal.description = text(&row, "Description");
        journal.group = text(&row, "GroupID");
        journal.posted = flag(&row, "Posted");
        journal.header = Some(row);
    }
    for row in ledger {
        let key = JournalKey::of(&row);
        if !book.is_empty() && !key.book.is_empty() && key.book != book {
            continue;
        }
        let journal = found.entry(key).or_default();
        journal.posted = true;
        if journal.description.is_empty() {
            journal.description = text(&row, "Description");
        }
        journal.lines.push(row);
    }
    found
}

pub(super) fn header_query(filter: String) -> Query {
    Query {
        operation: "epicor.gl.find",
        service: GL,
        set: "GLJournalEntries",
        named: None,
        select: &[],
        filter,
        order: "BookID,FiscalYear,FiscalYearSuffix,JournalCode,JournalNum",
    }
}

pub(super) fn ledger_query(filter: String) -> Query {
    Query {
        operation: "epicor.gl.find-posted",
        service: LEDGER,
        set: "GLJrnDtls",
        named: None,
        select: &[],
        filter,
        order: "BookID,FiscalYear,FiscalYearSuffix,JournalCode,JournalNum,JournalLine",
    }
}

pub(super) fn entry_query(filter: String) -> Query {
    Query {
        operation: "epicor.gl.read-lines",
        service: GL,
        set: "GLJrnDtlMnls",
        named: None,
        select: &[],
        filter,
        order: "BookID,FiscalYear,FiscalYearSuffix,JournalCode,JournalNum,JournalLine",
    }
}

/// The lines of one unposted journal.
pub(super) async fn journal_lines(
    client: &Client,
    company: &CompanyId,
    key: &JournalKey,
) -> Result<Vec<Row>, Refusal> {
    let mut rows = client.rows(company, &entry_query(key.filter())).await?;
    rows.retain(|row| text(row, "FiscalYearSuffix") == key.suffix);
    Ok(rows)
}

pub(super) fn invoice_query(filter: String) -> Query {
    Query {
        operation: "epicor.ap.find",
        service: AP,
        set: "APInvoices",
        named: None,
        select: &[],
        filter,
        order: "VendorNum,InvoiceNum",
    }
}

/// Every invoice whose number begins with the plan's stem. By filter, never by key in the path: a number may hold
/// characters that break a path.
async fn invoices(client: &Client, plan: &PostingPlan) -> Result<Vec<FoundInvoice>, Refusal> {
    let begins = format!("startswith(InvoiceNum,{})", literal(&format!("{}-", plan.reference.stem())));
    let rows = match client.rows(&plan.company, &invoice_query(begins)).await {
        Err(refusal) if refusal.kind == Kind::BadQuery => {
            let mut filter = format!("InvoiceNum eq {}", literal(&plan.reference.to_string()));
            if let PlannedDocument::ApInvoice { vendor_number, .. } = &plan.document {
                filter = format!("VendorNum eq {vendor_number} and {filter}");
            }
            client.rows(&plan.company, &invoice_query(filter)).await?
        }
        rows => rows?,
    };
    Ok(rows.into_iter().map(FoundInvoice::of).collect())
}

/// The lines of an invoice in their order, each with the account of its newest distribution.
async fn invoice_lines(
    client: &Client,
    company: &CompanyId,
    invoice: &FoundInvoice,
    currency: Currency,
) -> Result<Vec<FoundInvoiceLine>, Refusal> {
    let query = |operation, set, order| Query {
        operation,
        service: AP,
        set,
        named: None,
        select: &[],
        filter: invoice.filter(),
        order,
    };
    let lines = client
        .rows(company, &query("epicor.ap.read-lines", "APInvDtls", "VendorNum,InvoiceNum,InvoiceLine"))
        .await?;
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let book = client.settings.book.as_str();
    let order = "VendorNum,InvoiceNum,InvoiceLine,InvExpSeq";
    let accounts = client.rows(company, &query("epicor.ap.read-accounts", "APInvExpTGLCs", order)).await?;
    let mut found: Vec<FoundInvoiceLine> = lines
        .iter()
        .map(|line| {
            let number = int(line, "InvoiceLine").unwrap_or_default();
            let mut named = accounts_of(&accounts, number, book).rev().map(|row| text(row, "GLAccount"));
            let account = named.next().unwrap_or_default();
            FoundInvoiceLine {
                number,
                amount: amount_in(line, &["DocExtCost", "ScrDocExtCost", "ExtCost"], currency),
                divided: named.any(|other| other != account),
                account,
            }
        })
        .collect();
    found.sort_by_key(|line| line.number);
    Ok(found)
}

/// The distribution rows of a line that name an account (no reference rows), oldest first. Those of other books are
/// copies.
pub(super) fn accounts_of<'a>(
    rows: &'a [Row],
    line: i64,
    book: &'a str,
) -> impl DoubleEndedIterator<Item = &'a Row> {
    rows.iter().filter(move |row| {
        let of = text(row, "BookID");
        int(row, "InvoiceLine") == Some(line)
            && text(row, "RecordType") != "R"
            && (book.is_empty() || of.is_empty() || of == book)
    })
}
