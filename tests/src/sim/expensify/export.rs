//! The exporter (`file`) and the downloader (`download`).

use super::ExpensifySim;
use super::account::{PendingMark, Report, StoredFile};
use super::data::{Top, View};
use super::job::{Job, Refusal, date, plain_json, text};
use super::knobs::{LimitOrder, NoMatch, NotReady};
use crate::freemarker::{Limits, Settings, Template};
use crate::server::Reply;
use chrono::{DateTime, Days, Months, NaiveDate, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;

const STATES: &[&str] = &["OPEN", "SUBMITTED", "APPROVED", "REIMBURSED", "ARCHIVED"];
const EXTENSIONS: &[&str] = &["csv", "xls", "xlsx", "txt", "pdf", "json", "xml"];
/// Files kept at most; older ones are forgotten.
const MAX_FILES: usize = 256;

/// What an export asks for.
#[derive(Default)]
struct Filter {
    states: BTreeSet<String>,
    ids: Option<Vec<String>>,
    policies: Option<BTreeSet<usize>>,
    employee: Option<String>,
    start: Option<NaiveDate>,
    end: Option<NaiveDate>,
    approved_after: Option<NaiveDate>,
    unmarked: Option<String>,
    limit: usize,
}

impl ExpensifySim {
    pub(super) fn export(&mut self, job: &Job, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let expected = json!({"immediateResponse": ["returnRandomFileName"]});
        if job.description.get("onReceive") != Some(&expected) {
            return Err(Refusal::invalid("'onReceive' parameter is missing or malformed"));
        }
        let filter = self.filter(job, now.date_naive())?;
        let name = self.file_name(job)?;
        let source = job.form.get("template").filter(|t| !t.trim().is_empty());
        let source = source.ok_or_else(|| Refusal::missing("template"))?;
        let labels = self.finishing_labels(job, source)?;
        let selected = self.select(&filter);
        if selected.is_empty() && self.knobs.no_match == NoMatch::Error {
            return Err(Refusal::new(404, "No reports match the filters"));
        }
        let ids: Vec<String> = selected.iter().map(|i| self.account.reports[*i].data.id.clone()).collect();
        let bytes = self.render(source, selected)?;
        let ready_at = now + TimeDelta::milliseconds(self.knobs.ready_delay_ms);
        for label in labels {
            *self.marked.entry(label.clone()).or_default() += i64::try_from(ids.len()).unwrap_or(i64::MAX);
            self.account.pending.push(PendingMark { due: ready_at, label, reports: ids.clone() });
        }
        self.account.settle(now);
        self.keep_file(&name, bytes, ready_at);
        let mut reply = Reply::new(200, "text/plain;charset=utf-8", name);
        reply.delay = std::time::Duration::from_millis(self.knobs.export_delay_ms);
        Ok(reply)
    }

    fn filter(&mut self, job: &Job, today: NaiveDate) -> Result<Filter, Refusal> {
        let settings = job.settings();
        let empty = Map::new();
        let filters = match settings.get("filters") {
            Some(Value::Object(filters)) => filters,
            Some(_) => return Err(Refusal::malformed("filters")),
            None => &empty,
        };
        for (object, name) in [
            (settings, "limit"),
            (settings, "reportState"),
            (filters, "reportIDList"),
            (filters, "policyIDList"),
            (filters, "markedAsExported"),
        ] {
            if object.get(name).is_some_and(|v| !v.is_string() && !v.is_null()) {
                self.wrong(format!("`{name}` is documented as a string and was sent as something else"));
            }
        }
        let list = |name: &str| -> Result<Option<Vec<String>>, Refusal> {
            Ok(text(filters, name)?.map(|l| l.split(',').map(|id| id.trim().to_owned()).collect()))
        };
        let policies = list("policyIDList")?
            .map(|ids| ids.iter().filter_map(|id| self.account.policy(id)).collect::<BTreeSet<_>>());
        let filter = Filter {
            states: states(settings)?,
            ids: list("reportIDList")?,
            policies,
            employee: text(settings, "employeeEmail")?.map(str::to_owned),
            start: date(filters, "startDate")?,
            end: date(filters, "endDate")?,
            approved_after: date(filters, "approvedAfter")?,
            unmarked: text(filters, "markedAsExported")?.map(str::to_owned),
            limit: limit(settings)?,
        };
        self.check_range(&filter, today)?;
        Ok(filter)
    }

    fn check_range(&mut self, filter: &Filter, today: NaiveDate) -> Result<(), Refusal> {
        let Some(start) = filter.start.or(filter.approved_after) else {
            return match filter.ids {
                Some(_) => Ok(()),
                None => Err(Refusal::invalid(
                    "One of the parameters 'reportIDList', 'startDate' or 'approvedAfter' is required",
                )),
            };
        };
        let one_year_later = start + Months::new(12);
        if filter.end.is_none() && one_year_later < today {
            self.wrong("a range that starts more than a year ago was sent without `endDate`".to_owned());
            return Err(Refusal::invalid(
                "'endDate' is required when the range starts more than one year ago",
            ));
        }
        if filter.end.is_some_and(|end| end > one_year_later) {
            return Err(Refusal::invalid("The date range must not be longer than one year"));
        }
        Ok(())
    }

    fn file_name(&mut self, job: &Job) -> Result<String, Refusal> {
        let empty = Map::new();
        let output = job.description.get("outputSettings").and_then(Value::as_object).unwrap_or(&empty);
        let extension = text(output, "fileExtension")?.ok_or_else(|| Refusal::malformed("fileExtension"))?;
        if !EXTENSIONS.contains(&extension) {
            return Err(Refusal::invalid(format!("File extension '{extension}' is not supported")));
        }
        let base = text(output, "fileBasename")?.unwrap_or("export");
        let random = self.rng.u128(..);
        let hex = format!("{random:032x}");
        Ok(format!(
            "{base}{}-{}-{}-{}-{}.{extension}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        ))
    }

    /// Labels that the job marks with when it finishes.
    fn finishing_labels(&mut self, job: &Job, template: &str) -> Result<Vec<String>, Refusal> {
        let actions = match job.description.get("onFinish") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(actions)) => actions,
            Some(_) => return Err(Refusal::malformed("onFinish")),
        };
        let mut labels = Vec::new();
        for action in actions {
            match action.get("actionName").and_then(Value::as_str) {
                Some("markAsExported") => {
                    let label = action.get("label").and_then(Value::as_str).filter(|l| !l.is_empty());
                    labels.push(label.ok_or_else(|| Refusal::malformed("label"))?.to_owned());
                }
                Some("email" | "sftpUpload") => {}
                _ => return Err(Refusal::malformed("actionName")),
            }
        }
        let test = job.description.get("test");
        if test.is_some_and(|t| !t.is_string()) {
            self.wrong("`test` is documented as a string".to_owned());
        }
        if !labels.is_empty() && template.contains("transactionList") {
            self.wrong("an export that reads expenses marks them before anybody has the file".to_owned());
        }
        let is_test = test.is_some_and(|t| t == "true" || t == true);
        Ok(if is_test { Vec::new() } else { labels })
    }

    fn select(&self, filter: &Filter) -> Vec<usize> {
        let reports = &self.account.reports;
        let unmarked = filter.unmarked.as_deref().and_then(|l| self.account.label_number(l));
        let fits = |index: &usize| self.fits(&reports[*index], filter, unmarked);
        if let Some(ids) = &filter.ids {
            let unique: BTreeSet<usize> =
                ids.iter().filter_map(|id| self.account.by_id.get(id).copied()).collect();
            return unique.into_iter().filter(fits).take(filter.limit).collect();
        }
        let Some(after) = filter.approved_after else {
            return (0..reports.len()).filter(fits).take(filter.limit).collect();
        };
        let first = if self.knobs.approved_after_inclusive { after } else { after + Days::new(1) };
        let days = self.account.by_approval.range(first..);
        match self.knobs.limit_order {
            LimitOrder::OldestApproved => {
                days.flat_map(|(_, d)| d.iter().copied()).filter(fits).take(filter.limit).collect()
            }
            LimitOrder::NewestApproved => {
                days.rev().flat_map(|(_, d)| d.iter().copied()).filter(fits).take(filter.limit).collect()
            }
        }
    }

    fn fits(&self, report: &Report, filter: &Filter, unmarked: Option<usize>) -> bool {
        let data = &report.data;
        let state_fits = if filter.states.is_empty() {
            STATES.contains(&data.state.as_str())
        } else {
            filter.states.contains(&data.state)
        };
        let approved_fits = filter.approved_after.is_none_or(|after| {
            data.approved.is_some_and(|a| a > after || self.knobs.approved_after_inclusive && a == after)
        });
        state_fits
            && approved_fits
            && !unmarked.is_some_and(|label| report.labels.contains(&label))
            && filter.start.is_none_or(|start| report.filter_date() >= start)
            && filter.end.is_none_or(|end| report.filter_date() <= end)
            && filter.policies.as_ref().is_none_or(|p| p.contains(&report.policy))
            && filter.employee.as_ref().is_none_or(|e| *e == data.employee && data.state != "OPEN")
    }

    fn render(&self, source: &str, selected: Vec<usize>) -> Result<Vec<u8>, Refusal> {
        let count = selected.len();
        if count == 0 && self.knobs.no_match == NoMatch::EmptyFile {
            return Ok(Vec::new());
        }
        match self.render_pieces(source, selected) {
            Ok(text) => Ok(text.into_bytes()),
            Err(error) if self.knobs.template_error_in_file => Ok(error.to_string().into_bytes()),
            Err(error) => Err(Refusal::new(500, error.to_string())),
        }
    }

    fn render_pieces(&self, source: &str, selected: Vec<usize>) -> Result<String, crate::freemarker::Error> {
        let template = Template::parse(source)?;
        let count = selected.len();
        let expenses: usize = selected.iter().map(|i| self.account.reports[*i].data.expenses.len() + 1).sum();
        let limits = Limits {
            steps: 1_000_000 + expenses as u64 * 5_000,
            output: (64 << 20) + expenses * 16_384,
            ..Limits::default()
        };
        let settings = Settings { grouped_numbers: self.knobs.grouped_numbers, strict_booleans: false };
        let view = View::new(&self.account, &self.knobs);
        let reports = Rc::new(selected);
        let size = if self.knobs.piece_size == 0 { count.max(1) } else { self.knobs.piece_size };
        let mut out = String::new();
        let mut from = 0;
        loop {
            let to = (from + size).min(count);
            let top =
                Top { view: Rc::clone(&view), reports: Rc::clone(&reports), from, to, add_header: from == 0 };
            out += &template.render(Rc::new(top), &settings, limits)?;
            from = to;
            if from >= count {
                return Ok(out);
            }
        }
    }

    fn keep_file(&mut self, name: &str, bytes: Vec<u8>, ready_at: DateTime<Utc>) {
        let expires_at = ready_at + TimeDelta::seconds(self.knobs.file_lifetime_s);
        self.account.files.insert(name.to_owned(), StoredFile { ready_at, expires_at, bytes });
        self.account.file_order.push(name.to_owned());
        if self.account.file_order.len() > MAX_FILES {
            let oldest = self.account.file_order.remove(0);
            self.account.files.remove(&oldest);
        }
    }

    pub(super) fn download(&mut self, job: &Job, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let name = text(&job.description, "fileName")?.ok_or_else(|| Refusal::malformed("fileName"))?;
        let store = text(&job.description, "fileSystem")?.unwrap_or("integrationServer");
        if store != "integrationServer" && store != "reconciliation" {
            return Err(Refusal::malformed("fileSystem"));
        }
        let file =
            self.account.files.get(name).filter(|f| store == "integrationServer" && now < f.expires_at);
        let Some(file) = file else { return Err(Refusal::new(404, "File not found")) };
        if now >= file.ready_at {
            return Ok(Reply::new(200, "text/plain;charset=utf-8", file.bytes.clone()));
        }
        // Cut inside the last line or two, never at a line's end, so that a reader who trusts it reads nonsense.
        let part = file.bytes[..file.bytes.len() * 3 / 5].to_vec();
        Ok(self.not_ready(part))
    }

    fn not_ready(&mut self, part: Vec<u8>) -> Reply {
        const TURN: [NotReady; 6] = [
            NotReady::Empty,
            NotReady::Envelope,
            NotReady::Message,
            NotReady::Http404,
            NotReady::Http500,
            NotReady::Incomplete,
        ];
        let form = match self.knobs.not_ready {
            NotReady::Rotate => TURN[self.not_ready_turn % TURN.len()],
            form => form,
        };
        self.not_ready_turn += 1;
        match form {
            NotReady::Envelope => {
                plain_json(&json!({"responseMessage": "File not found", "responseCode": 404}))
            }
            NotReady::Message => plain_json(&json!({"responseMessage": "File not found"})),
            NotReady::Http404 => super::job::page(404, "Not Found"),
            NotReady::Http500 => super::job::page(500, "Internal Server Error"),
            NotReady::Incomplete => Reply::new(200, "text/plain;charset=utf-8", part),
            NotReady::Empty | NotReady::Rotate => Reply::new(200, "text/plain;charset=utf-8", ""),
        }
    }
}

fn states(settings: &Map<String, Value>) -> Result<BTreeSet<String>, Refusal> {
    let Some(list) = text(settings, "reportState")? else { return Ok(BTreeSet::new()) };
    let states: BTreeSet<String> = list.split(',').map(|s| s.trim().to_owned()).collect();
    match states.iter().find(|s| !STATES.contains(&s.as_str())) {
        Some(unknown) => Err(Refusal::invalid(format!("Status '{unknown}' is not supported"))),
        None => Ok(states),
    }
}

fn limit(settings: &Map<String, Value>) -> Result<usize, Refusal> {
    match text(settings, "limit")? {
        None => Ok(usize::MAX),
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|l| *l > 0)
            .ok_or_else(|| Refusal::invalid("'limit' parameter is missing or malformed")),
    }
}
