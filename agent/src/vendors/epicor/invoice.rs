//! Writes an AP invoice (a debit memo when the vendor owes us): group, header with the control total, lines. The
//! server makes the account row of a line when the line is first saved, and often leaves it empty: such an invoice
//! is stored and can never be posted. So each line is saved, its account set, and saved again. Or the server puts an
//! account of its own there, and finance could post that: so the control total is wrong on purpose until all is right.

use super::client::Client;
use super::convert::{self, FoundInvoiceLine, cut, day, fill_invoice_line, open_control, set_account};
use super::group::{AP_GROUPS, ensure_group};
use super::journal::edit_added;
use super::lookup::{FoundInvoice, accounts_of};
use super::outcome::Refusal;
use super::profile::{
    AP_ACCOUNT_NEW, AP_AMOUNT_CHANGE, AP_DATE_CHANGE, AP_DEBIT_MEMO_NEW, AP_DELETE, AP_EXPENSE_NEW, AP_GET,
    AP_HEADER_NEW, AP_HEADER_SAVE, AP_LINE_COST, AP_LINE_NEW, AP_SAVE, AP_VENDOR_CHANGE, Step,
};
use super::saga::Trail;
use super::wire::{Dataset, Row, int, is_added, mark, number, raw, set, set_number, text};
use spend::money::Money;
use spend::plan::{InvoiceLine, PlannedDocument, PostingPlan};
use spend::posting::{Failure, FailureClass};

const HEADER: &str = "APInvHed";
const LINES: &str = "APInvDtl";
const EXPENSES: &str = "APInvExp";
const ACCOUNTS: &str = "APInvExpTGLC";
const TABLES: [&str; 4] = [HEADER, LINES, EXPENSES, ACCOUNTS];

/// What all steps of one invoice need.
struct Job<'a> {
    client: &'a Client,
    plan: &'a PostingPlan,
    reference: String,
    vendor: i64,
    group: String,
}

impl<'a> Job<'a> {
    fn new(client: &'a Client, plan: &'a PostingPlan, vendor: i64, group: String) -> Self {
        Self { client, plan, reference: plan.reference.to_string(), vendor, group }
    }
}

/// Writes the whole invoice.
pub(super) async fn begin(client: &Client, plan: &PostingPlan, trail: &mut Trail) -> Result<(), Refusal> {
    let PlannedDocument::ApInvoice { vendor_number, lines, .. } = &plan.document else { return Ok(()) };
    let group = convert::group_id(plan, &client.settings);
    ensure_group(client, plan, &AP_GROUPS, &group).await?;
    let job = Job::new(client, plan, *vendor_number, group);
    let header = job.new_header().await?;
    trail.first_write();
    let mut dataset = client.dataset(&plan.company, &AP_HEADER_SAVE, &[("ds", raw(&header))]).await?;
    trail.written();
    for line in lines {
        dataset = job.write_line(dataset, line).await?;
    }
    job.close(dataset).await
}

/// Sets the accounts that a half-written invoice lacks, adds its missing lines, and sets its control total.
pub(super) async fn resume(
    client: &Client,
    plan: &PostingPlan,
    found: FoundInvoice,
    there: &[FoundInvoiceLine],
) -> Result<(), Refusal> {
    let PlannedDocument::ApInvoice { lines, .. } = &plan.document else { return Ok(()) };
    let job = Job::new(client, plan, found.vendor_number, found.group.clone());
    let mut dataset = job.whole().await?;
    for (line, planned) in there.iter().zip(lines) {
        if line.account != planned.account.as_str() {
            dataset = job.write_account(dataset, line.number, planned).await?;
        }
    }
    for line in lines.iter().skip(there.len()) {
        dataset = job.write_line(dataset, line).await?;
    }
    job.close(dataset).await
}

/// Deletes a half-written invoice.
pub(super) async fn delete(client: &Client, plan: &PostingPlan, found: FoundInvoice) -> Result<(), Refusal> {
    let mut header = found.header;
    mark(&mut header, "D");
    client.invoke(&plan.company, &AP_DELETE, &[("ds", raw(&Dataset::of(HEADER, &[header])))]).await.map(drop)
}

impl Job<'_> {
    /// The new header: what the instance fills in by its own methods, then our columns over it.
    async fn new_header(&self) -> Result<Dataset, Refusal> {
        let PlannedDocument::ApInvoice { vendor, debit_memo, terms, .. } = &self.plan.document else {
            return Ok(Dataset::default());
        };
        let (client, company) = (self.client, &self.plan.company);
        let new = if *debit_memo { &AP_DEBIT_MEMO_NEW } else { &AP_HEADER_NEW };
        let control = open_control(self.plan);
        let mut ds =
            client.dataset(company, new, &[("cGroupID", raw(&self.group)), ("ds", number("{}"))]).await?;
        let values =
            [("ProposedVendorID", raw(&vendor.as_str())), ("confirmCheck", raw(&false)), ("ds", raw(&ds))];
        ds = client.refine(company, &AP_VENDOR_CHANGE, &values, ds).await?;
        let values =
            [("ProposedInvoiceDate", raw(&day(self.plan.date))), ("recalcAmts", raw(&"")), ("ds", raw(&ds))];
        ds = client.refine(company, &AP_DATE_CHANGE, &values, ds).await?;
        let values = [("ProposedInvoiceVendorAmt", number(&control.to_decimal())), ("ds", raw(&ds))];
        ds = client.refine(company, &AP_AMOUNT_CHANGE, &values, ds).await?;
        edit_added(&mut ds, HEADER, new, |row| {
            set(row, "InvoiceNum", &self.reference);
            set(row, "VendorNumVendorID", vendor.as_str());
            row.insert("VendorNum".to_owned(), raw(&self.vendor));
            set(row, "InvoiceDate", &day(self.plan.date));
            set(row, "ApplyDate", &day(self.plan.date));
            set(row, "CurrencyCode", self.plan.currency.code());
            if let Some(terms) = terms {
                set(row, "TermsCode", terms);
            }
            set_control(row, control);
            set(row, "Description", &cut(&self.plan.description, client.settings.text_limits.invoice));
            set(row, "InvoiceComment", &self.plan.description);
            if !client.settings.correlation_column.is_empty() {
                set(row, &client.settings.correlation_column, self.plan.key.as_str());
            }
        })?;
        Ok(ds)
    }

    /// Sets the control total: from here on the invoice can be posted.
    async fn close(&self, mut dataset: Dataset) -> Result<(), Refusal> {
        let total = self.plan.total;
        let ours = |row: &Row| text(row, "InvoiceNum") == self.reference;
        let change = |row: &mut Row| {
            set_control(row, total);
            mark(row, "U");
        };
        dataset.settle(&TABLES).map_err(|why| unreadable(&AP_SAVE, &why))?;
        if !dataset.edit(HEADER, ours, change).map_err(|why| unreadable(&AP_SAVE, &why))? {
            return Err(unreadable(&AP_SAVE, &"the answer does not show the header"));
        }
        let values = [("ProposedInvoiceVendorAmt", number(&total.to_decimal())), ("ds", raw(&dataset))];
        let mut ds =
            self.client.refine(&self.plan.company, &AP_AMOUNT_CHANGE, &values, dataset.clone()).await?;
        ds.edit(HEADER, ours, change).map_err(|why| unreadable(&AP_SAVE, &why))?;
        self.save(ds, HEADER).await.map(drop)
    }

    async fn write_line(&self, mut dataset: Dataset, line: &InvoiceLine) -> Result<Dataset, Refusal> {
        let (client, company) = (self.client, &self.plan.company);
        dataset.settle(&TABLES).map_err(|why| unreadable(&AP_SAVE, &why))?;
        let before = newest_line(&dataset)?;
        let values = [
            ("iVendorNum", raw(&self.vendor)),
            ("cInvoiceNum", raw(&self.reference)),
            ("vendorNum", raw(&self.vendor)),
            ("invoiceNum", raw(&self.reference)),
            ("ds", raw(&dataset)),
        ];
        let mut ds = client.dataset(company, &AP_LINE_NEW, &values).await?;
        edit_added(&mut ds, LINES, &AP_LINE_NEW, |row| fill_invoice_line(row, line, &client.settings))?;
        let values = [("ProposedExtCost", number(&line.amount.to_decimal())), ("ds", raw(&ds))];
        ds = client.refine(company, &AP_LINE_COST, &values, ds).await?;
        edit_added(&mut ds, LINES, &AP_LINE_COST, |row| fill_invoice_line(row, line, &client.settings))?;
        let saved = self.save(ds, LINES).await?;
        let number = newest_line(&saved)?;
        if number <= before {
            return Err(unreadable(&AP_SAVE, &"the answer does not show the saved line"));
        }
        self.write_account(saved, number, line).await
    }

    /// Sets the account of a line, unless the server has already set the right one.
    async fn write_account(
        &self,
        dataset: Dataset,
        number: i64,
        line: &InvoiceLine,
    ) -> Result<Dataset, Refusal> {
        let dataset = self.with_account_row(dataset, number).await?;
        let rows = dataset.rows(ACCOUNTS).map_err(|why| unreadable(&AP_SAVE, &why))?;
        let Some(row) = accounts_of(&rows, number, &self.client.settings.book).next_back() else {
            return Err(unreadable(
                &AP_SAVE,
                &format!("line {number} has no distribution row to set the account in"),
            ));
        };
        // A new row is not saved yet, whatever account it was made with.
        if text(row, "GLAccount") == line.account.as_str() && !is_added(row) {
            return Ok(dataset);
        }
        let mut dataset = dataset;
        let (id, chart) = (text(row, "SysRowID"), &self.client.settings.chart);
        let pick = |row: &Row| {
            int(row, "InvoiceLine") == Some(number)
                && text(row, "RecordType") != "R"
                && text(row, "SysRowID") == id
        };
        let change = |row: &mut Row| {
            set_account(row, &line.account);
            if text(row, "COACode").is_empty() && !chart.is_empty() {
                set(row, "COACode", chart);
            }
            if !is_added(row) {
                mark(row, "U");
            }
        };
        dataset.edit(ACCOUNTS, pick, change).map_err(|why| unreadable(&AP_SAVE, &why))?;
        self.save(dataset, ACCOUNTS).await
    }

    /// Makes sure that the line has a distribution row: from the save, by reading it, or a new one.
    async fn with_account_row(&self, mut dataset: Dataset, number: i64) -> Result<Dataset, Refusal> {
        let has = |dataset: &Dataset, table: &str| match dataset.rows(table) {
            Ok(rows) => Ok(accounts_of(&rows, number, &self.client.settings.book).next().is_some()),
            Err(why) => Err(unreadable(&AP_SAVE, &why)),
        };
        if has(&dataset, ACCOUNTS)? {
            return Ok(dataset);
        }
        dataset = self.whole().await?;
        if has(&dataset, ACCOUNTS)? {
            return Ok(dataset);
        }
        let company = &self.plan.company;
        let values = |dataset: &Dataset| {
            [
                ("vendorNum", raw(&self.vendor)),
                ("invoiceNum", raw(&self.reference)),
                ("invoiceLine", raw(&number)),
                ("invExpSeq", raw(&1)),
                ("ds", raw(dataset)),
            ]
        };
        if !has(&dataset, EXPENSES)? {
            dataset = self.client.dataset(company, &AP_EXPENSE_NEW, &values(&dataset)).await?;
            dataset = self.save(dataset, EXPENSES).await?;
        }
        if !has(&dataset, ACCOUNTS)? {
            dataset = self.client.dataset(company, &AP_ACCOUNT_NEW, &values(&dataset)).await?;
        }
        Ok(dataset)
    }

    /// Saves one table; the answer's rows count as unchanged from there on.
    async fn save(&self, dataset: Dataset, table: &str) -> Result<Dataset, Refusal> {
        let values = [
            ("ds", raw(&dataset)),
            ("cGroupID", raw(&self.group)),
            ("cTableName", raw(&table)),
            ("runChkCPay", raw(&false)),
            ("runChkBankRef", raw(&false)),
            ("runChkRevChrg", raw(&false)),
            ("suppressUserPrompts", raw(&true)),
        ];
        let mut saved = self.client.dataset(&self.plan.company, &AP_SAVE, &values).await?;
        saved.settle(&TABLES).map_err(|why| unreadable(&AP_SAVE, &why))?;
        Ok(saved)
    }

    async fn whole(&self) -> Result<Dataset, Refusal> {
        let values = [("vendorNum", raw(&self.vendor)), ("invoiceNum", raw(&self.reference))];
        let envelope = self.client.invoke_read(&self.plan.company, &AP_GET, &values).await?;
        envelope.dataset().map_err(|why| unreadable(&AP_GET, &why))
    }
}

fn set_control(row: &mut Row, total: Money) {
    for column in ["DocInvoiceVendorAmt", "ScrDocInvoiceVendorAmt"] {
        set_number(row, column, &total.to_decimal());
    }
}

fn newest_line(dataset: &Dataset) -> Result<i64, Refusal> {
    let rows = dataset.rows(LINES).map_err(|why| unreadable(&AP_SAVE, &why))?;
    Ok(rows.iter().filter_map(|row| int(row, "InvoiceLine")).max().unwrap_or_default())
}

/// An answer in the middle of an invoice that says too little: what stands there is settled by look-up.
fn unreadable(step: &Step, why: &dyn std::fmt::Display) -> Refusal {
    Failure::new(FailureClass::InDoubt, format!("{}: {why}", step.operation)).into()
}
