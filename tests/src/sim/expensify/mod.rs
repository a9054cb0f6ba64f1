//! Simulator of the Expensify Integration Server: one address, one form, many jobs. HTTP 200 says nothing; the body's
//! `responseCode` does. Checks run in the vendor's order: form, JSON, credential, rate, type, settings.

mod account;
mod control;
mod data;
mod export;
mod job;
mod knobs;
mod levers;
mod reference;
#[cfg(test)]
mod tests;
mod writes;

pub use knobs::{CredentialForm, ExpensifyKnobs, LimitOrder, NoMatch, NotReady, PolicySections, RateForm};

use crate::server::{Reply, Request, Simulator};
use crate::world::World;
use account::{Account, Counts};
use chrono::{DateTime, TimeDelta, Utc};
use job::{Job, Refusal, page};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// The one path.
pub const PATH: &str = "/Integration-Server/ExpensifyIntegrations";

/// Wrong calls are remembered up to this number.
const MAX_MISUSE: usize = 200;

/// The simulator.
#[derive(Debug)]
pub struct ExpensifySim {
    knobs: ExpensifyKnobs,
    account: Account,
    rng: fastrand::Rng,
    calls: VecDeque<DateTime<Utc>>,
    throttled_at: Option<DateTime<Utc>>,
    jobs: Counts,
    throttled: i64,
    refused_credentials: i64,
    marked: Counts,
    misuse: Vec<String>,
    not_ready_turn: usize,
    failures: VecDeque<control::Failure>,
}

impl ExpensifySim {
    /// A simulator that holds the world's reports in its first policy.
    pub fn from_world(world: &World, knobs: ExpensifyKnobs) -> Self {
        Self {
            knobs,
            account: Account::from_world(world),
            rng: fastrand::Rng::with_seed(world.seed ^ 0xE0),
            calls: VecDeque::new(),
            throttled_at: None,
            jobs: Counts::new(),
            throttled: 0,
            refused_credentials: 0,
            marked: Counts::new(),
            misuse: Vec::new(),
            not_ready_turn: 0,
            failures: VecDeque::new(),
        }
    }

    /// The same without a second copy of the reports in memory.
    pub fn from_owned_world(mut world: World, knobs: ExpensifyKnobs) -> Self {
        let reports = std::mem::take(&mut world.reports);
        let mut sim = Self::from_world(&world, knobs);
        for report in reports {
            sim.account.add(report, 0);
        }
        sim
    }

    /// The policy that holds the reports.
    pub fn policy_id(&self) -> &str {
        self.account.policies.first().map_or("", |p| p.id.as_str())
    }

    fn wrong(&mut self, sentence: String) {
        if self.misuse.len() < MAX_MISUSE && !self.misuse.contains(&sentence) {
            self.misuse.push(sentence);
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        if request.header("expect").is_some() {
            self.wrong("a call carried an `Expect` header".to_owned());
        }
        // A look at the site's root changes nothing and tells the server's time; it is no job.
        if request.method == "HEAD" && request.path == "/" {
            return page(404, "Not Found");
        }
        if request.path != PATH {
            self.wrong(format!("a call went to {}", request.path));
            return page(404, "Not Found");
        }
        if request.method != "POST" && !(request.method == "GET" && self.knobs.accept_get) {
            self.wrong(format!("a call used {}", request.method));
            return page(405, "Method Not Allowed");
        }
        let job = match Job::parse(request, &self.knobs) {
            Ok(job) => job,
            Err(reply) => {
                self.wrong("a call was no form with a JSON requestJobDescription".to_owned());
                return reply;
            }
        };
        if !self.is_credential_good(&job) {
            self.refused_credentials += 1;
            return self.refuse_credential();
        }
        if let Some(reply) = self.throttle(request.at) {
            return reply;
        }
        let name = job_name(&job);
        *self.jobs.entry(name.clone()).or_default() += 1;
        if let Some(reply) = self.injected(&name) {
            return reply;
        }
        self.dispatch(&job, request.at).unwrap_or_else(|refusal| refusal.reply(&self.knobs))
    }

    fn dispatch(&mut self, job: &Job, now: DateTime<Utc>) -> Result<Reply, Refusal> {
        let kind = job.kind().ok_or_else(|| Refusal::malformed("type"))?;
        match (kind, job.settings_kind()) {
            ("file", Some("combinedReportData")) => self.export(job, now),
            ("download", _) => self.download(job, now),
            ("get", Some("policyList")) => self.policy_list(job),
            ("get", Some("policy")) => self.policy_detail(job),
            ("get", Some("domainCardList")) => self.domain_cards(job),
            ("update", Some("policy")) => self.update_policy(job),
            ("update", Some("employees")) => self.update_employees(job),
            ("update", Some("tagApprovers")) => self.update_tag_approvers(job),
            ("update", Some("reportStatus")) => self.update_report_status(job, now),
            ("create", Some("report")) => self.create_report(job, now),
            ("create", Some("expenses")) => self.create_expenses(job, now),
            ("create", Some("policy")) => self.create_policy(job),
            ("file" | "get" | "update" | "create" | "reconciliation", None) => {
                Err(Refusal::malformed("inputSettings.type"))
            }
            _ => Err(Refusal::malformed("type")),
        }
    }

    fn is_credential_good(&self, job: &Job) -> bool {
        let good = (self.knobs.partner_user_id.as_str(), self.knobs.partner_user_secret.as_str());
        job.credential() == Some(good)
    }

    fn refuse_credential(&self) -> Reply {
        match self.knobs.credential_form {
            CredentialForm::Body => Refusal::new(500, "Authentication error").reply(&self.knobs),
            CredentialForm::Http401 => page(401, "Unauthorized"),
            CredentialForm::Http403 => page(403, "Invalid Credentials"),
        }
    }

    /// Two sliding windows; a call is admitted only when it fits both. Refused calls do not count.
    fn throttle(&mut self, now: DateTime<Utc>) -> Option<Reply> {
        let windows = &self.knobs.rate_limits;
        let longest = windows.iter().map(|w| w.1).max()?;
        while self.calls.front().is_some_and(|t| *t + TimeDelta::milliseconds(longest) <= now) {
            self.calls.pop_front();
        }
        let full = windows.iter().any(|(limit, window)| {
            let since = now - TimeDelta::milliseconds(*window);
            self.calls.iter().rev().take_while(|t| **t > since).count() >= *limit
        });
        if !full {
            self.calls.push_back(now);
            self.throttled_at = None;
            return None;
        }
        self.throttled += 1;
        if let Some(before) = self.throttled_at.replace(now)
            && now - before < TimeDelta::seconds(1)
        {
            self.wrong("a call followed a 429 without waiting".to_owned());
        }
        Some(self.too_many())
    }

    fn too_many(&self) -> Reply {
        let text = "You have been rate-limited. Please try again later or contact help@expensify.com for assistance.";
        let body = json!({"responseMessage": text, "responseCode": 429});
        let mut reply = match self.knobs.rate_form {
            RateForm::Http => Reply::json(429, &body),
            RateForm::Body => Reply::json(200, &body),
            RateForm::Html => page(429, "Too Many Requests"),
        };
        if let Some(seconds) = self.knobs.retry_after {
            reply.headers.push(("retry-after".to_owned(), seconds.to_string()));
        }
        reply
    }
}

/// `file/combinedReportData`, `download`, ...
fn job_name(job: &Job) -> String {
    let kind = job.kind().unwrap_or("?");
    job.settings_kind().map_or_else(|| kind.to_owned(), |inner| format!("{kind}/{inner}"))
}

impl Simulator for ExpensifySim {
    fn name(&self) -> &'static str {
        "expensify"
    }

    fn handle(&mut self, request: &Request) -> Reply {
        self.account.settle(request.at);
        self.answer(request)
    }

    fn state(&self) -> Value {
        self.describe()
    }

    fn control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        self.steer(verb, body)
    }

    fn misuse(&self) -> Vec<String> {
        self.misuse.clone()
    }
}
