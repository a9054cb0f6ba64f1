//! A small Kinetic for the client's own tests: one company, enough of the tablesets to run both chains, and one fault
//! at one chosen call. It is no simulator: it believes what it is told and checks only what the chains rely on.

use super::answer;
use crate::vendors::http::{Answer, Body, Call, Effect, Transport};
use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use spend::posting::{Failure, FailureClass};
use std::sync::Mutex;

/// What goes wrong at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It never reaches the server.
    NotSent,
    /// The server does it and the answer is lost.
    LostAfter,
    /// The server does not do it and the answer is lost.
    LostBefore,
    /// A business rule refuses it.
    Refused,
    /// HTTP 500, not done.
    Internal,
    /// Done, and the answer is cut in the middle.
    Truncated,
    /// Throttled, not done.
    Throttled,
}

impl Fault {
    pub(super) const ALL: [Fault; 7] = [
        Fault::NotSent,
        Fault::LostAfter,
        Fault::LostBefore,
        Fault::Refused,
        Fault::Internal,
        Fault::Truncated,
        Fault::Throttled,
    ];
}

#[derive(Default)]
pub(super) struct State {
    pub(super) groups: Vec<Value>,
    pub(super) journals: Vec<Value>,
    pub(super) entries: Vec<Value>,
    pub(super) ledger: Vec<Value>,
    pub(super) invoices: Vec<Value>,
    pub(super) lines: Vec<Value>,
    pub(super) accounts: Vec<Value>,
    pub(super) calls: Vec<String>,
    pub(super) fault: Option<(usize, Fault)>,
    /// The account that the server puts on a new invoice line.
    pub(super) default_account: String,
    /// No distribution row is made with a line.
    pub(super) no_distribution: bool,
    /// The account that a new distribution row is made with.
    pub(super) prefilled: String,
    /// `UpdateMaster` answers 200 and does nothing.
    pub(super) prompts: bool,
    /// What posting a journal group says about what it left out.
    pub(super) not_posted: String,
    /// Duplicates are refused as 400 in words.
    pub(super) duplicate_as_400: bool,
}

#[derive(Default)]
pub(super) struct Fake(pub(super) Mutex<State>);

impl Fake {
    pub(super) fn with(fault: Option<(usize, Fault)>) -> Self {
        Self(Mutex::new(State { fault, ..State::default() }))
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let mut state = self.0.lock().unwrap();
        let index = state.calls.len();
        state.calls.push(call.operation.to_owned());
        let lost = || {
            let class =
                if call.effect == Effect::Write { FailureClass::InDoubt } else { FailureClass::Unavailable };
            Err(Failure::new(class, "the answer was lost"))
        };
        let fault = state.fault.filter(|(at, _)| *at == index).map(|(_, fault)| fault);
        match fault {
            None => Ok(state.answer(&call)),
            Some(Fault::NotSent) => Err(Failure::new(FailureClass::NotSent, "connection refused")),
            Some(Fault::LostAfter) => {
                state.answer(&call);
                lost()
            }
            Some(Fault::LostBefore) => lost(),
            Some(Fault::Refused) => {
                Ok(refusal(400, "Ice.Common.BusinessObjectException", "GL Account is not valid."))
            }
            Some(Fault::Internal) => Ok(refusal(500, "System.Exception", "Sorry, an error occurred")),
            Some(Fault::Truncated) => {
                let mut whole = state.answer(&call);
                whole.body.truncate(whole.body.len() / 2);
                Ok(whole)
            }
            Some(Fault::Throttled) => Ok(refusal(429, "", "slow down")),
        }
    }
}

pub(super) fn refusal(status: u16, kind: &str, message: &str) -> Answer {
    let body = json!({"HttpStatus": status, "ErrorMessage": message, "ErrorType": kind,
        "ErrorDetails": [{"Message": message, "Type": "Error", "Table": "APInvExpTGLC", "Field": "GLAccount"}],
        "CorrelationId": "5d0e6f5c"});
    answer(status, body.to_string())
}

fn ok(body: Value) -> Answer {
    answer(200, body.to_string())
}

fn with_ds(ds: Value) -> Answer {
    ok(json!({"parameters": {"ds": ds, "lUpdateRan": true, "requiresUserInput": false}}))
}

/// The text between two quotes after `word` in a filter.
fn quoted(filter: &str, word: &str) -> Option<String> {
    let (_, rest) = filter.split_once(word)?;
    Some(rest.split('\'').nth(1)?.to_owned())
}

fn rows(all: &[Value], filter: &str, column: &str) -> Vec<Value> {
    let begins = quoted(filter, &format!("startswith({column},"));
    let equals = quoted(filter, &format!("{column} eq "));
    let number = filter.split_once("JournalNum eq ").and_then(|(_, n)| n.parse::<i64>().ok());
    all.iter()
        .filter(|row| {
            let text = row[column].as_str().unwrap_or_default();
            begins.as_ref().is_none_or(|b| text.starts_with(b.as_str()))
                && equals.as_ref().is_none_or(|e| text == e)
                && number.is_none_or(|n| row["JournalNum"] == n)
        })
        .cloned()
        .collect()
}

impl State {
    fn answer(&mut self, call: &Call) -> Answer {
        let path = call.url.path().to_owned();
        let query: Vec<(String, String)> = call.url.query_pairs().into_owned().collect();
        let option =
            |name: &str| query.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()).unwrap_or_default();
        let filter = option("$filter");
        let tail = path.rsplit('/').next().unwrap_or_default();
        if tail == "$metadata" {
            return refusal(404, "ApiException", "no description");
        }
        let page = |found: Vec<Value>| {
            let skip = option("$skip").parse::<usize>().unwrap_or(0);
            ok(json!({"value": found.into_iter().skip(skip).take(100).collect::<Vec<_>>()}))
        };
        match tail {
            "APInvGrps" | "GLJrnGrps" => return page(rows(&self.groups, &filter, "GroupID")),
            "GLJournalEntries" => return page(rows(&self.journals, &filter, "Description")),
            "GLJrnDtlMnls" => return page(rows(&self.entries, &filter, "Description")),
            "GLJrnDtls" => return page(rows(&self.ledger, &filter, "Description")),
            "APInvoices" => return page(rows(&self.invoices, &filter, "InvoiceNum")),
            "APInvDtls" => return page(rows(&self.lines, &filter, "InvoiceNum")),
            "APInvExpTGLCs" => return page(rows(&self.accounts, &filter, "InvoiceNum")),
            "GetNewParameters" => {
                return ok(json!({"returnObj": {"APInvoicePostParam": [{"GroupID": "", "RowMod": "A"}]}}));
            }
            "GetByID" => return ok(json!({"returnObj": self.invoice_set()})),
            _ => {}
        }
        let Body::Json(text) = &call.body else { return refusal(404, "ApiException", "not a method") };
        let sent: Value = serde_json::from_str(text.expose().expose_secret()).unwrap();
        self.method(&path, tail, &sent)
    }

    fn method(&mut self, path: &str, tail: &str, sent: &Value) -> Answer {
        let ds = sent["ds"].clone();
        let gl = path.contains(".GL");
        match tail {
            "CheckBeforePost" | "PrePostGroupInvoices" | "SubmitToAgent" => ok(json!({"parameters": {}})),
            "PostGroupJournals" => ok(json!({"parameters": {"NotAllPostedMessage": self.not_posted}})),
            "UnlockGroup" => ok(json!({})),
            "GetNewAPInvGrpNoLock" => with_ds(json!({"APInvGrp": [{"GroupID": "", "RowMod": "A"}]})),
            "GetNewGLJrnGrpNoLock" => with_ds(json!({"GLJrnGrp": [{"GroupID": "", "RowMod": "A"}]})),
            "GetNewAPInvHedInvoice" | "GetNewAPInvHedDebitMemo" => with_ds(json!({"APInvHed": [
                {"InvoiceNum": "", "GroupID": sent["cGroupID"], "Wide_c": 1.50, "RowMod": "A"}]})),
            "GetNewGlJrnHedTran" => {
                with_ds(json!({"GLJrnHed": [{"GroupID": sent["GroupID"], "RowMod": "A"}]}))
            }
            "GetNewAPInvDtlMiscellaneous" => {
                with_row(ds, "APInvDtl", json!({"InvoiceNum": sent["cInvoiceNum"], "RowMod": "A"}))
            }
            "GetNewGLJrnDtlMnl" => {
                with_row(ds, "GLJrnDtlMnl", json!({"JournalNum": sent["journalNum"], "RowMod": "A"}))
            }
            "GetNewAPInvExp" => with_row(
                ds,
                "APInvExp",
                json!({"InvoiceLine": sent["invoiceLine"], "InvExpSeq": 1, "RowMod": "A"}),
            ),
            "GetNewAPInvExpTGLC" => with_row(
                ds,
                "APInvExpTGLC",
                json!({"InvoiceNum": sent["invoiceNum"],
                "InvoiceLine": sent["invoiceLine"], "GLAccount": self.prefilled, "RowMod": "A"}),
            ),
            "ChangeVendorID"
            | "ChangeInvoiceDateEx"
            | "ChangeInvoiceVendorAmt"
            | "ChangeExtCost"
            | "PreUpdate"
            | "CheckFiscalYear" => with_ds(ds),
            "Update" if ds.get("APInvGrp").is_some() || ds.get("GLJrnGrp").is_some() => self.save_group(&ds),
            "Update" if gl => self.save_journal(ds),
            "Update" | "UpdateMaster" => self.save_invoice(ds),
            other => refusal(404, "ApiException", &format!("no method {other}")),
        }
    }

    fn save_group(&mut self, ds: &Value) -> Answer {
        let table = if ds.get("APInvGrp").is_some() { "APInvGrp" } else { "GLJrnGrp" };
        let group = ds[table][0].clone();
        if self.groups.iter().any(|g| g["GroupID"] == group["GroupID"]) {
            return refusal(400, "Ice.Common.BusinessObjectException", "Duplicate entry.");
        }
        self.groups.push(group);
        with_ds(ds.clone())
    }

    fn save_journal(&mut self, mut ds: Value) -> Answer {
        let headers: Vec<Value> = ds["GLJrnHed"].as_array().cloned().unwrap_or_default();
        for (index, header) in headers.into_iter().enumerate() {
            match header["RowMod"].as_str() {
                Some("A") => {
                    let mut header = header;
                    header["JournalNum"] = json!(417 + self.journals.len());
                    header["BookID"] = json!("MAIN");
                    header["FiscalYear"] = json!(2026);
                    header["FiscalYearSuffix"] = json!("");
                    header["JournalCode"] = json!("GJ");
                    header["RowMod"] = json!("");
                    self.journals.push(header.clone());
                    ds["GLJrnHed"][index] = header;
                }
                Some("D") => {
                    self.journals.retain(|j| j["JournalNum"] != header["JournalNum"]);
                    self.entries.retain(|e| e["JournalNum"] != header["JournalNum"]);
                }
                _ => {}
            }
        }
        for row in ds["GLJrnDtlMnl"].as_array_mut().into_iter().flatten().filter(|row| row["RowMod"] == "A") {
            if row["GLAccount"].as_str().is_none_or(str::is_empty) {
                return refusal(400, "Ice.Common.BusinessObjectException", "G/L Account is required");
            }
            for (column, value) in
                [("BookID", json!("MAIN")), ("FiscalYear", json!(2026)), ("JournalCode", json!("GJ"))]
            {
                row[column] = value;
            }
            row["FiscalYearSuffix"] = json!("");
            row["JournalLine"] = json!(self.entries.len() + 1);
            row["RowMod"] = json!("");
            self.entries.push(row.clone());
        }
        with_ds(ds)
    }

    fn save_invoice(&mut self, ds: Value) -> Answer {
        for mut header in ds["APInvHed"].as_array().cloned().unwrap_or_default() {
            let same =
                |i: &Value| i["InvoiceNum"] == header["InvoiceNum"] && i["VendorNum"] == header["VendorNum"];
            match header["RowMod"].as_str() {
                Some("A") if self.invoices.iter().any(same) => {
                    let (status, kind) = if self.duplicate_as_400 {
                        (400, "BLException")
                    } else {
                        (409, "Ice.Common.DuplicateRecordException")
                    };
                    return refusal(status, kind, "Duplicate entry found.");
                }
                Some("A") => {
                    header["RowMod"] = json!("");
                    self.invoices.push(header);
                }
                Some("U") => {
                    let Some(at) = self.invoices.iter().position(same) else {
                        return refusal(404, "Ice.Common.RecordNotFoundException", "Record not found.");
                    };
                    header["RowMod"] = json!("");
                    self.invoices[at] = header;
                }
                Some("D") => {
                    self.invoices.retain(|i| !same(i));
                    self.lines.clear();
                    self.accounts.clear();
                }
                _ => {}
            }
        }
        let rows = |table: &str| ds[table].as_array().cloned().unwrap_or_default();
        if self.prompts && !rows("APInvDtl").is_empty() {
            return ok(
                json!({"parameters": {"ds": ds, "lUpdateRan": false, "requiresUserInput": true, "opMessage": "Are you sure?"}}),
            );
        }
        for mut line in rows("APInvDtl").into_iter().filter(|row| row["RowMod"] == "A") {
            let number = self.lines.len() + 1;
            line["InvoiceLine"] = json!(number);
            line["VendorNum"] = json!(123);
            line["DocExtCost"] = line["ScrDocExtCost"].clone();
            line["RowMod"] = json!("");
            if !self.no_distribution {
                self.accounts.push(json!({"InvoiceNum": line["InvoiceNum"], "InvoiceLine": number, "SysRowID": format!("row-{number}"),
                    "GLAccount": self.default_account, "SegValue1": "", "RecordType": "A", "RowMod": ""}));
            }
            self.lines.push(line);
        }
        for mut account in rows("APInvExpTGLC") {
            let added = account["RowMod"] == "A";
            if account["RowMod"] == "U" || added {
                account["RowMod"] = json!("");
                self.accounts.retain(|a| a["InvoiceLine"] != account["InvoiceLine"]);
                self.accounts.push(account);
            }
        }
        self.total();
        with_ds(self.invoice_set())
    }

    fn total(&mut self) {
        let mut total = super::usd("0");
        for line in &self.lines {
            total = total.plus(super::usd(&line["DocExtCost"].to_string())).unwrap();
        }
        for invoice in &mut self.invoices {
            invoice["DocInvoiceAmt"] = serde_json::from_str(&total.to_decimal()).unwrap();
        }
    }

    fn invoice_set(&self) -> Value {
        let expenses: Vec<Value> =
            self.accounts.iter().map(|a| json!({"InvoiceLine": a["InvoiceLine"], "RowMod": ""})).collect();
        json!({"APInvHed": self.invoices, "APInvDtl": self.lines, "APInvExp": expenses, "APInvExpTGLC": self.accounts})
    }
}

fn with_row(mut ds: Value, table: &str, row: Value) -> Answer {
    let mut rows = ds[table].as_array().cloned().unwrap_or_default();
    // The new row first: whoever edits by position edits the wrong one from the second line on.
    rows.insert(0, row);
    ds[table] = json!(rows);
    with_ds(ds)
}
