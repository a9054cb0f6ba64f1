//! Accounts payable: groups, invoice headers, miscellaneous lines, and the account rows that the server makes and may
//! leave empty.

use std::collections::BTreeSet;

use super::amount::Amount;
use super::columns::ZERO_GUID;
use super::dataset::{
    Change, change_of, check_types, dataset_answer, dataset_answer_with, dataset_of, echoed, edit, push_row,
    rows_of, set_rows, skeleton,
};
use super::docs::{AccountRow, Company, Invoice, Line, SEGMENTS, Stamp, custom_of};
use super::json::{Json, Row, amount_of, flag_of, int_of, put, row, text_of};
use super::methods::text_argument;
use super::reference::{day_of, day_text};
use super::refusal::{Outcome, Refusal};
use super::{EpicorSim, returned};

/// Longest invoice number.
const INVOICE_NUMBER: usize = 50;
/// Saved in this order: a parent before its children.
const SAVED: [&str; 4] = ["APInvHed", "APInvDtl", "APInvExp", "APInvExpTGLC"];

impl EpicorSim {
    pub(super) fn payables_call(
        &mut self,
        at: usize,
        service: &str,
        name: &str,
        mut arguments: Row,
    ) -> Outcome<Row> {
        let width = self.knobs.width;
        match (service, name) {
            ("Erp.BO.APInvGrpSvc", "GetNewAPInvGrp" | "GetNewAPInvGrpNoLock") => {
                let mut dataset = dataset_of(&mut arguments)?;
                let owner = if name == "GetNewAPInvGrp" { self.user.clone() } else { String::new() };
                push_row(
                    &mut dataset,
                    "APInvGrp",
                    skeleton("APInvGrp", width, self.new_ap_group(at, &owner)),
                );
                Ok(dataset_answer(dataset))
            }
            ("Erp.BO.APInvGrpSvc", "Update") => self.save_groups(at, "APInvGrp", dataset_of(&mut arguments)?),
            ("Erp.BO.APInvGrpSvc", "LockAPGroup" | "UnlockAPGroup" | "UnlockGroup") => {
                self.lock_call(at, name, &mut arguments)
            }
            ("Erp.BO.APInvGrpSvc", _) => self.reference_call(at, service, name, &arguments),
            (_, "GetByID") => self.invoice_by_id(at, &arguments),
            (_, "ValidateInvoiceID") => {
                let vendor = self.companies[at].reference.vendor(text_of(&arguments, "txtVendorID"));
                let number = vendor.map_or(0, Company::vendor_number);
                Ok(super::parameters(row([("intVendorNum", number.into()), ("logAPInvFound", false.into())])))
            }
            (_, "UpdateMaster") => self.update_master(at, &mut arguments),
            (_, "Update") => {
                let dataset = dataset_of(&mut arguments)?;
                Ok(dataset_answer(self.save_invoices(at, dataset)?))
            }
            _ => {
                let dataset = dataset_of(&mut arguments)?;
                self.edit_invoice(at, name, &arguments, dataset)
            }
        }
    }

    fn invoice_by_id(&mut self, at: usize, arguments: &Row) -> Outcome<Row> {
        let number = text_argument(arguments, "vendorNum")?.parse().unwrap_or_default();
        let company = &self.companies[at];
        let id = company.find_invoice(number, text_argument(arguments, "invoiceNum")?);
        let invoice = id.and_then(|id| company.invoices.get(&id)).ok_or_else(Refusal::no_record)?;
        Ok(returned(whole_invoice(company, invoice, self.knobs.width)))
    }

    /// `GetNew...` and `Change...`: nothing is saved.
    fn edit_invoice(&mut self, at: usize, name: &str, arguments: &Row, mut dataset: Row) -> Outcome<Row> {
        let width = self.knobs.width;
        let amount = |key: &str| -> Outcome<Amount> {
            arguments
                .get(key)
                .and_then(Json::as_amount)
                .ok_or_else(|| Refusal::bad_input(format!("Parameter {key} must be a number.")))
        };
        match name {
            "GetNewAPInvHedInvoice" | "GetNewAPInvHedDebitMemo" => {
                let id = text_argument(arguments, "cGroupID")?.to_owned();
                let apply = self.open_ap_group(at, &id)?.get("ApplyDate").cloned().unwrap_or_default();
                let known = row([
                    ("Company", self.companies[at].id.as_str().into()),
                    ("GroupID", id.into()),
                    ("DebitMemo", (name == "GetNewAPInvHedDebitMemo").into()),
                    ("InvoiceDate", day_text(self.today).into()),
                    ("ApplyDate", apply),
                    ("CurrencyCode", self.world.currency.as_str().into()),
                ]);
                push_row(&mut dataset, "APInvHed", skeleton("APInvHed", width, known));
            }
            "ChangeVendorID" => {
                let company = &self.companies[at];
                let vendor = company.reference.vendor(text_of(arguments, "ProposedVendorID"));
                let vendor = company.reference.usable_vendor(vendor)?.clone();
                let terms = company.terms_of(&vendor);
                edit(&mut dataset, "APInvHed", |row| {
                    put(row, "VendorNum", int_of(&vendor, "VendorNum"));
                    put(row, "VendorNumVendorID", text_of(&vendor, "VendorID"));
                    put(row, "VendorNumName", text_of(&vendor, "Name"));
                    put(row, "TermsCode", terms);
                    put(row, "CurrencyCode", text_of(&vendor, "CurrencyCode"));
                })?;
                return Ok(dataset_answer_with(dataset, row([("confirmMsg", "".into())])));
            }
            "ChangeInvoiceDateEx" => {
                let day = day_of(arguments, "ProposedInvoiceDate")
                    .ok_or_else(|| Refusal::bad_input("ProposedInvoiceDate must be a date."))?;
                edit(&mut dataset, "APInvHed", |row| {
                    put(row, "InvoiceDate", day_text(day));
                    put(row, "ApplyDate", day_text(day));
                })?;
                return Ok(dataset_answer_with(dataset, row([("cMessageText", "".into())])));
            }
            "ChangeInvoiceVendorAmt" => {
                let proposed = amount("ProposedInvoiceVendorAmt")?;
                edit(&mut dataset, "APInvHed", |row| {
                    for column in ["InvoiceVendorAmt", "DocInvoiceVendorAmt", "ScrDocInvoiceVendorAmt"] {
                        put(row, column, proposed);
                    }
                })?;
            }
            "GetNewAPInvDtlMiscellaneous" | "GetNewAPInvDtl" => {
                let (vendor, number) = if name == "GetNewAPInvDtl" {
                    ("vendorNum", "invoiceNum")
                } else {
                    ("iVendorNum", "cInvoiceNum")
                };
                let invoice =
                    self.saved_invoice(at, int_of(arguments, vendor), text_of(arguments, number))?;
                let known = row([
                    ("Company", self.companies[at].id.as_str().into()),
                    ("VendorNum", invoice.vendor.into()),
                    ("InvoiceNum", invoice.number.as_str().into()),
                    ("LineType", "M".into()),
                    ("VendorQty", Amount::ONE.into()),
                    ("ScrVendorQty", Amount::ONE.into()),
                ]);
                push_row(&mut dataset, "APInvDtl", skeleton("APInvDtl", width, known));
            }
            "ChangePartNum" => edit(&mut dataset, "APInvDtl", |row| {
                put(row, "PartNum", text_of(arguments, "ProposedPartNum"))
            })?,
            "ChangeExtCost" => {
                let proposed = amount("ProposedExtCost")?;
                edit(&mut dataset, "APInvDtl", |row| {
                    let unit = proposed.per(amount_of(row, "ScrVendorQty"));
                    put_costs(row, unit, proposed);
                })?;
            }
            "ChangeUnitCost" => {
                let proposed = amount("ProposedUnitCost")?;
                edit(&mut dataset, "APInvDtl", |row| {
                    put_costs(row, proposed, proposed.times(amount_of(row, "ScrVendorQty")))
                })?;
            }
            "ChangeVendorQty" => {
                let proposed = amount("ProposedVendorQty")?;
                edit(&mut dataset, "APInvDtl", |row| {
                    put(row, "VendorQty", proposed);
                    put(row, "ScrVendorQty", proposed);
                    let unit = amount_of(row, "DocUnitCost");
                    put_costs(row, unit, unit.times(proposed));
                })?;
            }
            _ => {
                let invoice =
                    self.saved_invoice(at, int_of(arguments, "vendorNum"), text_of(arguments, "invoiceNum"))?;
                let table = if name == "GetNewAPInvExp" { "APInvExp" } else { "APInvExpTGLC" };
                let known = row([
                    ("Company", self.companies[at].id.as_str().into()),
                    ("VendorNum", invoice.vendor.into()),
                    ("InvoiceNum", invoice.number.as_str().into()),
                    ("InvoiceLine", int_of(arguments, "invoiceLine").into()),
                    ("InvExpSeq", int_of(arguments, "invExpSeq").into()),
                ]);
                push_row(&mut dataset, table, skeleton(table, width, known));
            }
        }
        Ok(dataset_answer(dataset))
    }

    fn saved_invoice(&self, at: usize, vendor: i64, number: &str) -> Outcome<&Invoice> {
        let company = &self.companies[at];
        let found = company.find_invoice(vendor, number).and_then(|id| company.invoices.get(&id));
        found.ok_or_else(|| {
            Refusal::business("APInvDtl", "InvoiceNum", format!("Invoice {number} is not valid."))
        })
    }

    fn update_master(&mut self, at: usize, arguments: &mut Row) -> Outcome<Row> {
        let dataset = dataset_of(arguments)?;
        let table = text_argument(arguments, "cTableName")?.to_owned();
        if !SAVED.contains(&table.as_str()) {
            return Err(Refusal::bad_input(format!("cTableName '{table}' is not a table of this service.")));
        }
        let prompted = self.knobs.prompts > 0;
        if prompted {
            self.knobs.prompts -= 1;
        }
        let nothing = rows_of(&dataset, &table).iter().all(|row| change_of(row).is_none());
        if nothing && !prompted {
            self.misuse.push(format!("UpdateMaster names {table}, but no row of it has a RowMod"));
        }
        let saves = !prompted && !nothing;
        let dataset = if saves { self.save_invoices(at, dataset)? } else { dataset };
        let group = text_argument(arguments, "cGroupID")?;
        let company = &self.companies[at];
        let total = company
            .invoices_of
            .get(group)
            .into_iter()
            .flatten()
            .filter_map(|id| company.invoices.get(id))
            .map(Invoice::total)
            .sum::<Amount>();
        let more = row([
            ("grpTotalInvAmt", total.into()),
            ("requiresUserInput", prompted.into()),
            ("opMessage", if prompted { "Do you want to continue?" } else { "" }.into()),
            ("opMsgChkBankRef", "".into()),
            ("opChkRevMsg", "".into()),
            ("lEnableGenLegalNum", false.into()),
            ("lUpdateRan", saves.into()),
            ("opDUAMsg", "".into()),
        ]);
        Ok(dataset_answer_with(dataset, more))
    }

    /// Saves every marked row, all or none, and answers the rows as they are.
    fn save_invoices(&mut self, at: usize, dataset: Row) -> Outcome<Row> {
        let marked =
            SAVED.iter().flat_map(|table| rows_of(&dataset, table)).filter(|row| change_of(row).is_some());
        let numbers: BTreeSet<String> = marked.map(|row| text_of(&row, "InvoiceNum").to_owned()).collect();
        let company = &self.companies[at];
        let ids = numbers.iter().flat_map(|number| company.invoices_by_number(number));
        let before: Vec<Invoice> = ids.filter_map(|id| company.invoices.get(&id).cloned()).collect();
        let outcome = self.save_marked(at, dataset);
        if outcome.is_err() {
            let company = &mut self.companies[at];
            for id in numbers.iter().flat_map(|number| company.invoices_by_number(number)).collect::<Vec<_>>()
            {
                company.remove_invoice(id);
            }
            before.into_iter().for_each(|invoice| company.add_invoice(invoice));
        }
        outcome
    }

    fn save_marked(&mut self, at: usize, mut dataset: Row) -> Outcome<Row> {
        let mut touched: Vec<i64> = Vec::new();
        for table in SAVED {
            for sent in rows_of(&dataset, table) {
                let Some(change) = change_of(&sent) else { continue };
                check_types(table, &sent)?;
                let id = match table {
                    "APInvHed" => self.save_header(at, change, &sent)?,
                    "APInvDtl" => Some(self.save_line(at, change, &sent)?),
                    "APInvExp" => Some(self.save_expense(at, change, &sent)?),
                    _ => Some(self.save_account(at, change, &sent)?),
                };
                touched.extend(id);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        self.refresh(at, &mut dataset, &touched);
        Ok(dataset)
    }

    /// Puts the stored rows of the touched invoices in place of what was sent.
    fn refresh(&self, at: usize, dataset: &mut Row, touched: &[i64]) {
        let company = &self.companies[at];
        let mut whole = Row::new();
        for invoice in touched.iter().filter_map(|id| company.invoices.get(id)) {
            for (table, rows) in whole_invoice(company, invoice, self.knobs.width) {
                let mut all = whole.remove(&table).map(|all| all.rows().to_vec()).unwrap_or_default();
                all.extend(rows.rows().iter().cloned());
                whole.insert(table, all.into());
            }
        }
        for table in SAVED {
            let sent = rows_of(dataset, table);
            let rows = rows_of(&whole, table).into_iter().enumerate().map(|(index, saved)| {
                let same = |row: &&Row| text_of(row, "SysRowID") == text_of(&saved, "SysRowID");
                let added = || {
                    let news = sent.iter().filter(|row| change_of(row) == Some(Change::Add));
                    news.clone().next_back().filter(|_| {
                        index + 1 == rows_of(&whole, table).len() && text_of(&saved, "SysRowID") != ZERO_GUID
                    })
                };
                let origin = sent.iter().rev().find(same).or_else(added).cloned().unwrap_or_default();
                echoed(&origin, saved, table, self.knobs.width)
            });
            let rows: Vec<Row> = rows.collect();
            set_rows(dataset, table, rows);
        }
    }

    fn save_header(&mut self, at: usize, change: Change, sent: &Row) -> Outcome<Option<i64>> {
        let stored = self.stored_header(at, sent);
        match (change, stored) {
            (Change::Add, _) => self.add_header(at, sent).map(Some),
            (_, None) => Err(Refusal::no_record()),
            (Change::Delete, Some(id)) => {
                self.check_changeable(at, id)?;
                self.companies[at].remove_invoice(id);
                Ok(None)
            }
            (Change::Update, Some(id)) => {
                self.check_changeable(at, id)?;
                let Some(old) = self.companies[at].invoices.get(&id).cloned() else {
                    return Err(Refusal::no_record());
                };
                if old.stamp.rev != int_of(sent, "SysRevID") {
                    return Err(Refusal::stale("APInvHed"));
                }
                let rev = self.next_revision();
                let mut new = self.header_of(at, sent, Stamp { rev, born: old.stamp.born })?;
                if new.number != old.number {
                    return Err(Refusal::business(
                        "APInvHed",
                        "InvoiceNum",
                        "The invoice number cannot be changed.",
                    ));
                }
                if new.vendor_amount == old.vendor_amount
                    || amount_of(sent, "DocInvoiceVendorAmt") != old.vendor_amount
                {
                    new.vendor_amount = amount_of(sent, "DocInvoiceVendorAmt");
                }
                new.lines = old.lines;
                self.companies[at].remove_invoice(id);
                self.companies[at].add_invoice(new);
                Ok(Some(id))
            }
        }
    }

    fn stored_header(&self, at: usize, sent: &Row) -> Option<i64> {
        let company = &self.companies[at];
        let ids = company.invoices_by_number(text_of(sent, "InvoiceNum"));
        let guid = text_of(sent, "SysRowID");
        let by_guid = ids
            .iter()
            .copied()
            .find(|id| company.invoices.get(id).is_some_and(|invoice| invoice.stamp.guid() == guid));
        by_guid.or_else(|| company.find_invoice(int_of(sent, "VendorNum"), text_of(sent, "InvoiceNum")))
    }

    fn check_changeable(&self, at: usize, id: i64) -> Outcome<()> {
        let Some(invoice) = self.companies[at].invoices.get(&id) else { return Err(Refusal::no_record()) };
        if invoice.posted {
            return Err(Refusal::business(
                "APInvHed",
                "Posted",
                "The invoice is posted and cannot be changed.",
            ));
        }
        self.open_ap_group(at, &invoice.group).map(|_| ())
    }

    fn add_header(&mut self, at: usize, sent: &Row) -> Outcome<i64> {
        self.open_ap_group(at, text_of(sent, "GroupID"))?;
        let stamp = Stamp::new(self.revision + 1);
        let invoice = self.header_of(at, sent, stamp)?;
        if self.knobs.duplicate_refusal
            && self.companies[at].find_invoice(invoice.vendor, &invoice.number).is_some()
        {
            return Err(self.duplicate(
                "Duplicate Invoice Number. This invoice number already exists for the supplier.",
            ));
        }
        self.revision += 1;
        self.companies[at].add_invoice(invoice);
        Ok(stamp.born)
    }

    pub(super) fn duplicate(&self, message: &str) -> Refusal {
        if self.knobs.duplicate_status == 400 {
            return Refusal::business("APInvHed", "InvoiceNum", message);
        }
        Refusal::new(self.knobs.duplicate_status, "Ice.Common.DuplicateRecordException", message)
    }

    fn header_of(&self, at: usize, sent: &Row, stamp: Stamp) -> Outcome<Invoice> {
        let company = &self.companies[at];
        let refuse = |field: &'static str, message: &str| Err(Refusal::business("APInvHed", field, message));
        let number = text_of(sent, "InvoiceNum");
        if number.trim().is_empty() {
            return refuse("InvoiceNum", "Invoice Number is required.");
        }
        if number.chars().count() > INVOICE_NUMBER {
            return refuse("InvoiceNum", "Invoice Number is longer than 50 characters.");
        }
        let reference = &company.reference;
        let vendor = match int_of(sent, "VendorNum") {
            0 => reference.vendor(text_of(sent, "VendorNumVendorID")),
            number => reference.vendor_by_number(number),
        };
        let vendor = reference.usable_vendor(vendor)?;
        let terms = text_of(sent, "TermsCode");
        let known_terms = reference
            .sets
            .get("PurTerms")
            .is_some_and(|rows| rows.iter().any(|row| text_of(row, "TermsCode") == terms));
        if !known_terms {
            return refuse("TermsCode", "Terms code is not valid.");
        }
        let Some(date) = day_of(sent, "InvoiceDate") else {
            return refuse("InvoiceDate", "Invoice Date is required.");
        };
        let apply = day_of(sent, "ApplyDate").unwrap_or(date);
        reference.open_period(apply, "APInvHed", "ApplyDate")?;
        let shown = amount_of(sent, "ScrDocInvoiceVendorAmt");
        Ok(Invoice {
            stamp,
            vendor: int_of(vendor, "VendorNum"),
            number: number.to_owned(),
            group: text_of(sent, "GroupID").to_owned(),
            posted: false,
            debit_memo: flag_of(sent, "DebitMemo"),
            date,
            apply,
            terms: terms.to_owned(),
            currency: text_of(sent, "CurrencyCode").to_owned(),
            vendor_amount: if shown.is_zero() { amount_of(sent, "DocInvoiceVendorAmt") } else { shown },
            description: text_of(sent, "Description").to_owned(),
            comment: text_of(sent, "InvoiceComment").to_owned(),
            external_id: text_of(sent, "ExternalID").to_owned(),
            cross_reference: text_of(sent, "XRefInvoiceNum").to_owned(),
            employee: text_of(sent, "EmpID").to_owned(),
            held: flag_of(sent, "InvoiceHeld"),
            changed: self.today,
            changed_by: self.user.clone(),
            custom: custom_of(sent),
            lines: Vec::new(),
        })
    }

    /// The invoice that a child row belongs to, open for changes.
    fn parent(&mut self, at: usize, sent: &Row) -> Outcome<i64> {
        let (vendor, number) = (int_of(sent, "VendorNum"), text_of(sent, "InvoiceNum"));
        self.saved_invoice(at, vendor, number)?;
        let id = self.companies[at].find_invoice(vendor, number).ok_or_else(Refusal::no_record)?;
        self.check_changeable(at, id)?;
        Ok(id)
    }

    fn save_line(&mut self, at: usize, change: Change, sent: &Row) -> Outcome<i64> {
        let id = self.parent(at, sent)?;
        let stamp = self.next_stamp();
        let account_stamp = self.next_stamp();
        let header_rev = self.next_revision();
        let makes_account = self.knobs.account_rows;
        let company = &mut self.companies[at];
        let vendor = company.invoices.get(&id).map_or(0, |invoice| invoice.vendor);
        let default_account = company.default_account(vendor);
        let Some(invoice) = company.invoices.get_mut(&id) else { return Err(Refusal::no_record()) };
        let number = int_of(sent, "InvoiceLine");
        let place = invoice.lines.iter().position(|line| line.number == number);
        match (change, place) {
            (Change::Add, _) => {
                let number = invoice.lines.last().map_or(1, |line| line.number + 1);
                let mut line = line_of(sent, stamp, number);
                if makes_account {
                    line.expenses = 1;
                    let amount = line.extended;
                    line.accounts.push(AccountRow {
                        stamp: account_stamp,
                        sequence: 1,
                        account: default_account,
                        amount,
                    });
                }
                invoice.lines.push(line);
            }
            (_, None) => return Err(Refusal::no_record()),
            (Change::Delete, Some(place)) => {
                invoice.lines.remove(place);
            }
            (Change::Update, Some(place)) => {
                let old = &invoice.lines[place];
                if old.stamp.rev != int_of(sent, "SysRevID") {
                    return Err(Refusal::stale("APInvDtl"));
                }
                let mut line = line_of(sent, Stamp { rev: stamp.rev, born: old.stamp.born }, number);
                line.expenses = old.expenses;
                line.accounts.clone_from(&old.accounts);
                if let [only] = line.accounts.as_mut_slice() {
                    only.amount = line.extended;
                }
                invoice.lines[place] = line;
            }
        }
        invoice.stamp.rev = header_rev;
        Ok(id)
    }

    fn save_expense(&mut self, at: usize, change: Change, sent: &Row) -> Outcome<i64> {
        let id = self.parent(at, sent)?;
        let line = self.line_mut(at, id, int_of(sent, "InvoiceLine"))?;
        match change {
            Change::Add => line.expenses += 1,
            Change::Update => {}
            Change::Delete => {
                let sequence = int_of(sent, "InvExpSeq");
                line.accounts.retain(|row| row.sequence != sequence);
                line.expenses = (line.expenses - 1).max(0);
            }
        }
        Ok(id)
    }

    fn line_mut(&mut self, at: usize, id: i64, number: i64) -> Outcome<&mut Line> {
        let invoice = self.companies[at].invoices.get_mut(&id);
        let line = invoice.and_then(|invoice| invoice.lines.iter_mut().find(|line| line.number == number));
        line.ok_or_else(Refusal::no_record)
    }

    fn save_account(&mut self, at: usize, change: Change, sent: &Row) -> Outcome<i64> {
        let id = self.parent(at, sent)?;
        let account = account_in(sent);
        if !account.is_empty() {
            let company = &self.companies[at];
            let day = company.invoices.get(&id).map_or(self.today, |invoice| invoice.apply);
            company.reference.check_account(&account, day, "APInvExpTGLC")?;
        }
        let stamp = self.next_stamp();
        let guid = text_of(sent, "SysRowID").to_owned();
        let line = self.line_mut(at, id, int_of(sent, "InvoiceLine"))?;
        let place = line.accounts.iter().position(|row| row.stamp.guid() == guid);
        match (change, place) {
            (Change::Add, _) => {
                let sequence = int_of(sent, "InvExpSeq").max(1);
                line.expenses = line.expenses.max(sequence);
                let sent_amount = amount_of(sent, "TransAmt");
                let amount = if sent_amount.is_zero() { line.extended } else { sent_amount };
                line.accounts.push(AccountRow { stamp, sequence, account, amount });
            }
            (_, None) => return Err(Refusal::no_record()),
            (Change::Delete, Some(place)) => {
                line.accounts.remove(place);
            }
            (Change::Update, Some(place)) => {
                let row = &mut line.accounts[place];
                if row.stamp.rev != int_of(sent, "SysRevID") {
                    return Err(Refusal::stale("APInvExpTGLC"));
                }
                row.account = account;
                row.stamp.rev = stamp.rev;
            }
        }
        Ok(id)
    }
}

fn put_costs(row: &mut Row, unit: Amount, extended: Amount) {
    for column in ["UnitCost", "DocUnitCost", "ScrDocUnitCost"] {
        put(row, column, unit);
    }
    for column in ["ExtCost", "DocExtCost", "ScrDocExtCost"] {
        put(row, column, extended);
    }
}

/// The extended cost counts when it is given, else quantity times unit cost.
fn line_of(sent: &Row, stamp: Stamp, number: i64) -> Line {
    let first = |columns: [&str; 2]| {
        let values = columns.map(|column| amount_of(sent, column));
        values.into_iter().find(|value| !value.is_zero()).unwrap_or_default()
    };
    let quantity = first(["ScrVendorQty", "VendorQty"]);
    let unit = first(["DocUnitCost", "ScrDocUnitCost"]);
    let given = first(["ScrDocExtCost", "DocExtCost"]);
    let extended = if given.is_zero() { unit.times(quantity) } else { given };
    Line {
        stamp,
        number,
        kind: text_of(sent, "LineType").to_owned(),
        part: text_of(sent, "PartNum").to_owned(),
        description: text_of(sent, "Description").to_owned(),
        comment: text_of(sent, "LineComment").to_owned(),
        quantity,
        unit: if unit.is_zero() { extended.per(quantity) } else { unit },
        extended,
        custom: custom_of(sent),
        expenses: 0,
        accounts: Vec::new(),
    }
}

/// The account of a row. Account without segments, or segments that say something else, end as no account at all.
pub(super) fn account_in(sent: &Row) -> String {
    let account = text_of(sent, "GLAccount");
    let mut segments = SEGMENTS.map(|column| text_of(sent, column)).to_vec();
    while segments.last().is_some_and(|segment| segment.is_empty()) {
        segments.pop();
    }
    if segments.join("|") == account { account.to_owned() } else { String::new() }
}

/// The whole tableset of an invoice.
fn whole_invoice(company: &Company, invoice: &Invoice, width: usize) -> Row {
    let wide = |table: &str, row: Row| {
        let mut row = row;
        put(&mut row, "RowMod", "");
        super::methods::table_of(table).widen(&mut row, width);
        Json::Obj(row)
    };
    let lines = invoice.lines.iter().map(|line| wide("APInvDtl", invoice.line_row(company, line)));
    let expenses = invoice.lines.iter().flat_map(|line| {
        (1..=line.expenses)
            .map(move |sequence| wide("APInvExp", invoice.expense_row(company, line, sequence)))
    });
    let accounts = invoice.lines.iter().flat_map(|line| {
        line.accounts
            .iter()
            .map(move |account| wide("APInvExpTGLC", invoice.account_row(company, line, account)))
    });
    row([
        ("APInvHed", vec![wide("APInvHed", invoice.row(company))].into()),
        ("APInvDtl", lines.collect::<Vec<_>>().into()),
        ("APInvExp", expenses.collect::<Vec<_>>().into()),
        ("APInvExpTGLC", accounts.collect::<Vec<_>>().into()),
        ("APInvHedAttch", Vec::new().into()),
        ("APIHAPInvMsc", Vec::new().into()),
        ("APInvTax", Vec::new().into()),
        ("ExtensionTables", Vec::new().into()),
    ])
}
