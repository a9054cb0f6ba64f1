//! Posting: submitted now, done later, and perhaps only in part. What cannot be posted stays in its group, with the
//! reason in the group's `PostErrorLog`; a group whose entries are all posted disappears.

use chrono::{DateTime, TimeDelta, Utc};

use super::docs::{Company, Invoice, Journal};
use super::json::{Json, Row, put, row, text_of};
use super::methods::text_argument;
use super::refusal::{Outcome, Refusal};
use super::{EpicorSim, parameters, returned};

/// A submitted post.
#[derive(Debug)]
pub(super) struct Job {
    company: usize,
    payables: bool,
    group: String,
    /// It runs when so many further calls have come, or at its moment.
    calls_left: u32,
    due: Option<DateTime<Utc>>,
}

impl EpicorSim {
    pub(super) fn payables_before_post(&mut self, at: usize, arguments: &Row) -> Outcome<Row> {
        let company = &self.companies[at];
        let id = text_argument(arguments, "PostGroupID")?;
        company.ap_groups.get(id).ok_or_else(Refusal::no_record)?;
        let invoices =
            company.invoices_of.get(id).into_iter().flatten().filter_map(|id| company.invoices.get(id));
        let off: Vec<&str> = invoices
            .filter(|invoice| !invoice.variance().is_zero())
            .map(|invoice| invoice.number.as_str())
            .collect();
        let message =
            if off.is_empty() { String::new() } else { format!("Variance on invoices: {}.", off.join(", ")) };
        Ok(parameters(row([
            ("ReturnMessage", "".into()),
            ("VarianceMessage", message.into()),
            ("TaxCalcFlag", false.into()),
        ])))
    }

    pub(super) fn posting_call(
        &mut self,
        at: usize,
        service: &str,
        name: &str,
        arguments: &Row,
    ) -> Outcome<Row> {
        let payables = service == "Erp.PROC.APInvoicePostSvc";
        let table = if payables { "APInvoicePostParam" } else { "GLJrnAsynchParam" };
        match name {
            "GetNewParameters" => {
                let param = row([("GroupID", "".into()), ("AgentID", "".into()), ("RowMod", "A".into())]);
                let dataset: Row = [(table.into(), Json::Arr(vec![param.into()]))].into();
                Ok(returned(dataset))
            }
            "CheckBeforePost" => {
                self.gl_group(at, text_argument(arguments, "groupID")?)?;
                Ok(Row::new())
            }
            "IsNeedAsyncronousPosting" => Ok(returned(false)),
            "PostGroupJournals" => {
                let id = text_argument(arguments, "postGroupID")?.to_owned();
                self.submit(at, false, &id)?;
                Ok(parameters(row([("NotAllPostedMessage", "".into())])))
            }
            _ => {
                let dataset = arguments.get("ds").and_then(Json::as_row);
                let param =
                    dataset.and_then(|dataset| dataset.get(table)).map(Json::rows).unwrap_or_default();
                let id =
                    param.first().and_then(Json::as_row).map_or("", |row| text_of(row, "GroupID")).to_owned();
                self.submit(at, payables, &id)?;
                Ok(Row::new())
            }
        }
    }

    fn gl_group(&self, at: usize, id: &str) -> Outcome<&Row> {
        self.companies[at].gl_groups.get(id).ok_or_else(Refusal::no_record)
    }

    fn submit(&mut self, at: usize, payables: bool, id: &str) -> Outcome<()> {
        let company = &mut self.companies[at];
        let groups = if payables { &mut company.ap_groups } else { &mut company.gl_groups };
        let group =
            groups.get_mut(id).ok_or_else(|| Refusal::business("", "GroupID", "Group ID is not valid."))?;
        put(group, "PostInProcess", true);
        put(group, "PostErrorLog", "");
        let calls_left = self.knobs.post_after_calls;
        self.jobs.push(Job { company: at, payables, group: id.to_owned(), calls_left, due: None });
        Ok(())
    }

    /// A person in finance hands a group to the posting process, wherever there is one of that name.
    pub(super) fn submit_group(&mut self, id: &str) -> Result<usize, String> {
        let count = (0..self.companies.len())
            .flat_map(|at| [(at, true), (at, false)])
            .filter(|(at, payables)| self.submit(*at, *payables, id).is_ok())
            .count();
        if count == 0 { Err(format!("there is no group {id}")) } else { Ok(count) }
    }

    /// Counts a call, and runs the posts that are due by count or by clock.
    pub(super) fn run_due_jobs(&mut self, now: DateTime<Utc>) {
        let wait = TimeDelta::seconds(self.knobs.post_after_seconds);
        let (due, waiting): (Vec<Job>, Vec<Job>) = std::mem::take(&mut self.jobs)
            .into_iter()
            .map(|mut job| {
                job.calls_left = job.calls_left.saturating_sub(1);
                job.due = job.due.or(Some(now + wait));
                job
            })
            .partition(|job| job.calls_left == 0 || job.due.is_some_and(|due| due <= now));
        self.jobs = waiting;
        due.iter().for_each(|job| self.run(job));
    }

    /// Runs all submitted posts now.
    pub(super) fn run_all_jobs(&mut self) -> usize {
        let jobs = std::mem::take(&mut self.jobs);
        jobs.iter().for_each(|job| self.run(job));
        jobs.len()
    }

    fn run(&mut self, job: &Job) {
        let today = self.today;
        let stamp = self.next_revision();
        let company = &mut self.companies[job.company];
        let ids = if job.payables {
            company.invoices_of.get(&job.group)
        } else {
            company.journals_of.get(&job.group)
        };
        let ids: Vec<i64> = ids.into_iter().flatten().copied().collect();
        let mut log = Vec::new();
        for id in ids {
            let trouble = if job.payables {
                company.invoices.get(&id).and_then(|invoice| invoice_trouble(company, invoice))
            } else {
                company.journals.get(&id).and_then(|journal| journal_trouble(company, journal))
            };
            if let Some(trouble) = trouble {
                log.push(trouble);
                continue;
            }
            if job.payables {
                if let Some(mut invoice) = company.invoices.get(&id).cloned() {
                    company.remove_invoice(id);
                    invoice.posted = true;
                    invoice.stamp.rev = stamp;
                    invoice.group = String::new();
                    company.add_invoice(invoice);
                }
            } else if let Some(mut journal) = company.remove_journal(id) {
                journal.posted = Some(today);
                journal.stamp.rev = stamp;
                journal.group = String::new();
                company.put_journal(journal);
            }
        }
        let groups = if job.payables { &mut company.ap_groups } else { &mut company.gl_groups };
        if log.is_empty() {
            groups.remove(&job.group);
        } else if let Some(group) = groups.get_mut(&job.group) {
            put(group, "PostInProcess", false);
            put(group, "PostErrorLog", log.join("\n"));
            put(group, "SysRevID", stamp);
        }
    }
}

fn invoice_trouble(company: &Company, invoice: &Invoice) -> Option<String> {
    let trouble = |text: &str| Some(format!("Invoice {}: {text}", invoice.number));
    if invoice.lines.is_empty() {
        return trouble("the invoice has no detail.");
    }
    if !invoice.variance().is_zero() {
        return trouble("the invoice total differs from the supplier's total.");
    }
    if invoice.held {
        return trouble("the invoice is on hold.");
    }
    for line in &invoice.lines {
        if line.accounts.is_empty() || line.accounts.iter().any(|row| row.account.is_empty()) {
            return trouble(&format!("GL Account is missing on line {}.", line.number));
        }
        for row in &line.accounts {
            if let Err(refusal) = company.reference.check_account(&row.account, invoice.apply, "APInvExpTGLC")
            {
                return trouble(&refusal.message);
            }
        }
    }
    let period = company.reference.open_period(invoice.apply, "APInvHed", "ApplyDate");
    period.err().and_then(|refusal| trouble(&refusal.message))
}

fn journal_trouble(company: &Company, journal: &Journal) -> Option<String> {
    let trouble = |text: &str| Some(format!("Journal {}: {text}", journal.number));
    if journal.lines.is_empty() {
        return trouble("the journal has no lines.");
    }
    if journal.debits() != journal.credits() {
        return trouble("the journal is out of balance.");
    }
    for line in &journal.lines {
        if let Err(refusal) = company.reference.check_account(&line.account, journal.date, "GLJrnDtlMnl") {
            return trouble(&refusal.message);
        }
    }
    let period = company.reference.open_period(journal.date, "GLJrnHed", "JEDate");
    period.err().and_then(|refusal| trouble(&refusal.message))
}
