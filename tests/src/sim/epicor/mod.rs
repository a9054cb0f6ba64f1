//! Simulator of Epicor Kinetic, written from the vendor's sheet alone. `EpicorSim` holds the companies; calls are
//! routed here, checked in `access`, and answered by `read` (OData) or by the method chains in `payables`, `ledger` and
//! `posting`. Documents are stored small and widened on output.

mod access;
mod books;
mod columns;
mod control;
mod dataset;
mod docs;
mod groups;
mod knobs;
mod ledger;
mod methods;
mod odata;
mod payables;
mod posting;
mod read;
mod reference;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use percent_encoding::percent_decode_str;
use serde_json::Value;

pub use knobs::{
    API_KEY, ApiKey, CLIENT_ID, CLIENT_SECRET, EpicorKnobs, JournalAmounts, PASSWORD, Release,
    SCOPED_API_KEY, USER,
};

use super::{amount, json};
use crate::server::{Reply, Request, Simulator};
use crate::world::World;
use docs::{Company, Stamp};
use json::{Json, Row, put, row};
use refusal::{Outcome, Refusal};

/// Wrong calls kept.
const MISUSE_KEPT: usize = 200;

/// The simulated instance, below any path prefix (`/ERP11/api/v2/...`).
#[derive(Debug)]
pub struct EpicorSim {
    world: World,
    knobs: EpicorKnobs,
    /// The knobs it was made with; `reset` returns to them.
    first_knobs: EpicorKnobs,
    companies: Vec<Company>,
    /// The last row version handed out; one counter for the whole database.
    revision: i64,
    tokens: BTreeMap<String, DateTime<Utc>>,
    sessions: BTreeMap<String, bool>,
    jobs: Vec<posting::Job>,
    misuse: Vec<String>,
    calls: u64,
    /// The caller of the present call.
    user: String,
    today: NaiveDate,
}

impl EpicorSim {
    /// Companies and reference data of the world; no documents.
    pub fn from_world(world: &World, knobs: EpicorKnobs) -> Self {
        let mut sim = Self {
            companies: Vec::new(),
            revision: 184_000,
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            jobs: Vec::new(),
            misuse: Vec::new(),
            calls: 0,
            user: String::new(),
            today: world.today,
            world: world.clone(),
            first_knobs: knobs.clone(),
            knobs,
        };
        for (index, id) in world.companies.iter().enumerate() {
            let mut reference = reference::Reference::from_world(world, index);
            for rows in reference.sets.values_mut() {
                for row in rows {
                    sim.stamp(row);
                }
            }
            sim.companies.push(Company {
                id: id.clone(),
                reference,
                last_journal: 400,
                ..Company::default()
            });
        }
        sim
    }

    fn next_revision(&mut self) -> i64 {
        self.revision += 1;
        self.revision
    }

    fn next_stamp(&mut self) -> Stamp {
        Stamp::new(self.next_revision())
    }

    /// Gives a stored row its version and, when new, its GUID.
    fn stamp(&mut self, row: &mut Row) {
        let stamp = self.next_stamp();
        put(row, "SysRevID", stamp.rev);
        if json::text_of(row, "SysRowID").is_empty() || json::text_of(row, "SysRowID") == columns::ZERO_GUID {
            put(row, "SysRowID", stamp.guid());
        }
    }

    fn note_misuse(&mut self, request: &Request, sentence: &str) {
        if self.misuse.len() < MISUSE_KEPT {
            self.misuse.push(format!("{} {}: {sentence}", request.method, request.path));
        }
    }

    fn answer(&mut self, request: &Request) -> Outcome<Reply> {
        if let Some(reply) = self.token_call(request)? {
            return Ok(reply);
        }
        if self.knobs.maintenance {
            let kind = "Ice.Common.ConversionsPendingException";
            return Err(Refusal::new(503, kind, "Database conversions are pending."));
        }
        let path = self.parse_path(request)?;
        self.user = self.check_access(request, &path)?;
        self.check_vendor_trouble(request)?;
        let company = self.company_index(&path.company)?;
        self.call(request, &path, company)
    }

    fn call(&mut self, request: &Request, path: &Path, company: usize) -> Outcome<Reply> {
        if !methods::is_service(&path.service)
            || (path.service == methods::FISCAL_SERVICE && !self.knobs.fiscal_periods)
        {
            return Err(Refusal::unknown_name(&path.service));
        }
        let name = path.rest.as_str();
        if name.is_empty() || name == "$metadata" {
            let text = methods::metadata(&path.service, self.knobs.release, self.knobs.width);
            return Ok(Reply::new(200, "application/xml", text));
        }
        let (set_name, tail) = name.split_at(name.find(['(', '/']).unwrap_or(name.len()));
        if let Some(set) = methods::set_of(&path.service, set_name) {
            return self.entity_call(request, path, company, set, tail);
        }
        let Some(signature) = methods::signature(&path.service, name, self.knobs.release) else {
            return Err(Refusal::unknown_name(name).wrong_call());
        };
        let arguments = self.arguments(request, name)?;
        methods::check_arguments(name, &signature, &arguments)?;
        let answer = self.method(company, &path.service, name, arguments)?;
        Ok(Reply::new(200, "application/json; charset=utf-8", Json::Obj(answer).text()))
    }

    /// The named parameters of a method call.
    fn arguments(&mut self, request: &Request, name: &str) -> Outcome<Row> {
        match request.method.as_str() {
            "GET" if methods::only_reads(name) && self.knobs.get_for_reads => {
                Ok(odata::pairs(&request.query)
                    .into_iter()
                    .map(|(name, value)| (name.into(), Json::Str(value)))
                    .collect())
            }
            "GET" => Err(Refusal::new(
                405,
                "System.Web.HttpException",
                format!("GET is not supported for {name}."),
            )),
            "POST" => {
                if !request.header("content-type").is_some_and(|kind| kind.contains("json")) {
                    self.note_misuse(request, "a POST without a JSON content type");
                }
                match Json::parse(&request.body) {
                    Ok(Json::Obj(arguments)) => Ok(arguments),
                    Ok(_) => Err(Refusal::bad_input("The body must be a JSON object.")),
                    Err(error) => {
                        Err(Refusal::bad_input(format!("The body could not be deserialised: {error}.")))
                    }
                }
            }
            other => Err(Refusal::new(405, "System.Web.HttpException", format!("{other} is not supported."))
                .wrong_call()),
        }
    }

    fn method(&mut self, company: usize, service: &str, name: &str, arguments: Row) -> Outcome<Row> {
        match (service, name) {
            (_, "GetRows" | "GetList") => self.rows_by_clause(company, service, name, &arguments),
            (_, "CheckDocumentIsLocked") => Ok(Row::new()),
            ("Ice.LIB.SessionModSvc", _) => self.session_call(name, &arguments),
            ("Erp.BO.APInvGrpSvc", "PrePostGroupInvoices") => self.payables_before_post(company, &arguments),
            ("Erp.BO.GLJrnGrpSvc", "CheckBeforePost" | "IsNeedAsyncronousPosting" | "PostGroupJournals")
            | ("Erp.PROC.APInvoicePostSvc" | "Erp.PROC.GLJrnAsynchSvc", _) => {
                self.posting_call(company, service, name, &arguments)
            }
            ("Erp.BO.APInvGrpSvc" | "Erp.BO.APInvoiceSvc", _) => {
                self.payables_call(company, service, name, arguments)
            }
            ("Erp.BO.GLJrnGrpSvc" | "Erp.BO.GLJournalEntrySvc" | "Erp.BO.GLJrnDtlSvc", _) => {
                self.ledger_call(company, service, name, arguments)
            }
            _ => self.reference_call(company, service, name, &arguments),
        }
    }
}

/// A path below `/api/v2/odata/{company}/` or `/api/v1/`, decoded.
struct Path {
    company: String,
    service: String,
    rest: String,
    v2: bool,
}

impl EpicorSim {
    fn parse_path(&mut self, request: &Request) -> Outcome<Path> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let unknown = || Refusal::unknown_name(&request.path);
        if let Some((_, rest)) = request.path.split_once("/api/v2/odata/") {
            let mut parts = rest.splitn(3, '/');
            let company = decoded(parts.next().unwrap_or_default());
            let service = decoded(parts.next().unwrap_or_default());
            if company.contains("Svc") {
                return Err(Refusal::unknown_name("company").wrong_call());
            }
            return Ok(Path { company, service, rest: decoded(parts.next().unwrap_or_default()), v2: true });
        }
        let (_, rest) = request.path.split_once("/api/v1/").ok_or_else(unknown)?;
        let (service, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let settings = request.header("callsettings").and_then(|text| Json::parse(text.as_bytes()).ok());
        let company =
            settings.as_ref().and_then(Json::as_row).map(|row| json::text_of(row, "Company").to_owned());
        let first = self.companies.first().map(|company| company.id.clone()).unwrap_or_default();
        Ok(Path {
            company: company.unwrap_or(first),
            service: decoded(service),
            rest: decoded(rest),
            v2: false,
        })
    }

    fn company_index(&self, id: &str) -> Outcome<usize> {
        let status = self.knobs.unknown_company_status;
        let refused = || {
            let message = format!("Company {id} is not valid or the user is not authorized for it.");
            Refusal::new(status, "Ice.Common.UnauthorizedAccessException", message)
        };
        if self.knobs.forbidden_companies.iter().any(|forbidden| forbidden == id) {
            return Err(Refusal::forbidden(format!("User is not authorized for company {id}.")));
        }
        self.companies.iter().position(|company| company.id == id).ok_or_else(refused)
    }

    /// Trouble that knobs make, after the caller is known.
    fn check_vendor_trouble(&mut self, request: &Request) -> Outcome<()> {
        let used = |count: &mut u32| {
            let left = *count;
            *count = left.saturating_sub(1);
            left > 0
        };
        if used(&mut self.knobs.internal_errors) {
            return Err(Refusal::new(
                500,
                "System.Exception",
                format!("An error occurred on the server. Correlation ID: {}", docs::guid(self.revision, 9)),
            ));
        }
        if used(&mut self.knobs.no_seats) {
            let message = self.knobs.seat_message.clone();
            return Err(Refusal::new(
                self.knobs.seat_status,
                "Ice.Security.License.LicenseException",
                message,
            ));
        }
        self.check_session(request)
    }
}

impl Simulator for EpicorSim {
    fn name(&self) -> &'static str {
        "epicor"
    }

    fn handle(&mut self, request: &Request) -> Reply {
        self.calls += 1;
        self.today = request.at.date_naive();
        self.run_due_jobs(request.at);
        let outcome = self.answer(request);
        let mut reply = outcome.unwrap_or_else(|refusal| {
            if refusal.misuse {
                self.note_misuse(request, &refusal.message);
            }
            let correlation = docs::guid(i64::try_from(self.calls).unwrap_or_default(), 8);
            refusal.reply(request, self.knobs.xml_errors, &correlation)
        });
        let saves = request.path.ends_with("/Update") || request.path.ends_with("/UpdateMaster");
        let mut delay = self.knobs.call_ms + if saves { self.knobs.save_ms } else { 0 };
        delay += std::mem::take(&mut self.knobs.first_call_ms);
        reply.delay = Duration::from_millis(delay);
        reply
    }

    fn state(&self) -> Value {
        books::state(&self.companies)
    }

    fn control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        self.run_control(verb, body)
    }

    fn misuse(&self) -> Vec<String> {
        self.misuse.clone()
    }

    fn operation(&self, request: &Request) -> String {
        let (_, rest) = request.path.split_once("/odata/").unwrap_or(("", &request.path));
        let rest = rest.split_once('/').map_or(rest, |(_, rest)| rest);
        format!("{} {}", request.method, rest.split('(').next().unwrap_or_default())
    }
}

/// `{"returnObj": ...}`.
fn returned(value: impl Into<Json>) -> Row {
    row([("returnObj", value.into())])
}

/// `{"parameters": ...}`.
fn parameters(row: Row) -> Row {
    json::row([("parameters", row.into())])
}
