//! Simulator of Acumatica's contract-based REST interface, written from the vendor's sheet alone. Calls are queued in
//! `throttle`, let in by `access`, and answered by `read`, `upsert` or `actions`. Records are stored plain and wrapped
//! on output by `query` and `literal`; what a document must fulfil stands in `checks` and `documents`.

mod access;
mod actions;
mod books;
mod checks;
mod contract;
mod control;
mod documents;
mod filter;
mod knobs;
mod literal;
mod patch;
mod push;
mod query;
mod read;
mod record;
mod refusal;
mod tenant;
#[cfg(test)]
mod tests;
mod throttle;
mod trouble;
mod upsert;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

pub use knobs::{
    AcumaticaKnobs, BRANCH, CLIENT_GUID, CLIENT_SECRET, Duplicates, PASSWORD, REDIRECT_URI, Refresh, TENANT,
    USER,
};

use super::json;
use crate::server::{Reply, Request, Simulator};
use crate::world::World;
use access::Access;
use contract::Entity;
use literal::Style;
use refusal::{Outcome, Refusal};
use tenant::Tenant;
use throttle::{Admission, Limits, Throttle};

/// Wrong calls kept.
const MISUSE_KEPT: usize = 200;
/// Build that `GET /entity` tells.
const BUILD: &str = "24.209.0015";

/// The simulated site, below any path prefix (`/AcumaticaERP/entity/...`).
#[derive(Debug)]
pub struct AcumaticaSim {
    world: World,
    knobs: AcumaticaKnobs,
    /// The knobs it was made with; `reset` returns to them.
    first_knobs: AcumaticaKnobs,
    tenants: Vec<Tenant>,
    access: Access,
    throttle: Throttle,
    operations: Vec<actions::Operation>,
    push: push::Push,
    misuse: Vec<String>,
    /// The last identifier handed out.
    serial: i64,
    /// The last change.
    revision: i64,
    /// The moment of the present call.
    now: DateTime<Utc>,
}

impl AcumaticaSim {
    /// Tenants with the world's reference data; no documents.
    pub fn from_world(world: &World, knobs: AcumaticaKnobs) -> Self {
        let mut sim = Self {
            tenants: Vec::new(),
            access: Access::default(),
            throttle: Throttle::default(),
            operations: Vec::new(),
            push: push::Push::default(),
            misuse: Vec::new(),
            serial: 0,
            revision: 0,
            now: world.today.and_time(chrono::NaiveTime::MIN).and_utc(),
            world: world.clone(),
            first_knobs: knobs.clone(),
            knobs,
        };
        for name in sim.knobs.tenants.clone() {
            sim.add_tenant(&name, world);
        }
        sim
    }

    fn add_tenant(&mut self, name: &str, world: &World) {
        let (mut serial, mut revision) = (self.serial, self.revision);
        let mut new_id = || {
            serial += 1;
            revision += 1;
            (guid(serial), revision)
        };
        let tenant = Tenant::from_world(name, world, &self.knobs, &mut new_id);
        (self.serial, self.revision) = (serial, revision);
        self.tenants.push(tenant);
    }

    fn style(&self) -> Style {
        Style::new(self.knobs.utc_offset_minutes, self.knobs.padded_decimals)
    }

    fn new_guid(&mut self) -> String {
        self.serial += 1;
        guid(self.serial)
    }

    /// A secret word that is handed out.
    fn new_word(&mut self, head: &str) -> String {
        format!("{head}.{}", self.new_guid())
    }

    fn note_misuse(&mut self, request: &Request, sentence: &str) {
        self.note_sentence(&format!("{} {}: {sentence}", request.method, request.path));
    }

    fn note_sentence(&mut self, sentence: &str) {
        if self.misuse.len() < MISUSE_KEPT {
            self.misuse.push(sentence.to_owned());
        }
    }

    fn tenant_index(&self, name: &str) -> Outcome<usize> {
        self.tenants.iter().position(|tenant| tenant.name == name).ok_or_else(Refusal::unauthorized)
    }

    fn answer(&mut self, request: &Request) -> Outcome<Reply> {
        if self.knobs.maintenance {
            return Err(Refusal::page(503, "The site is being updated."));
        }
        // The web server in front of the site refuses it, before anything else sees it.
        let sized = ["content-length", "transfer-encoding"].iter().any(|name| request.header(name).is_some());
        if request.method == "POST" && !sized {
            return Err(Refusal::page(411, "Length Required").wrong_call());
        }
        if let Some((_, rest)) = request.path.split_once("/identity/") {
            return self.identity_call(request, rest);
        }
        let path = request.path.trim_end_matches('/');
        if path.ends_with("/entity") && request.method == "GET" {
            return Ok(self.endpoints(path));
        }
        match request.path.split_once("/entity/") {
            Some((_, "auth/login")) if request.method == "POST" => self.login(request),
            Some((_, "auth/logout")) if request.method == "POST" => Ok(self.logout(request)),
            Some((prefix, rest)) => {
                let (prefix, rest) = (prefix.to_owned(), rest.to_owned());
                self.endpoint_call(request, &prefix, &rest)
            }
            None => Err(Refusal::page(404, "Not Found").wrong_call()),
        }
    }

    fn published(&self) -> Vec<(String, String)> {
        let versions =
            self.knobs.versions.iter().rev().map(|version| ("Default".to_owned(), version.clone()));
        versions.chain(self.knobs.endpoints.iter().cloned()).collect()
    }

    /// `GET {instance}/entity`.
    fn endpoints(&self, path: &str) -> Reply {
        let rows: Vec<Value> = self
            .published()
            .into_iter()
            .map(|(name, version)| json!({ "name": name, "version": version, "href": format!("{path}/{name}/{version}/") }))
            .collect();
        if self.knobs.bare_entity_list {
            return Reply::json(200, &json!(rows));
        }
        let version = json!({ "acumaticaBuildVersion": BUILD, "databaseVersion": BUILD });
        Reply::json(200, &json!({ "version": version, "endpoints": rows }))
    }

    fn endpoint_call(&mut self, request: &Request, prefix: &str, rest: &str) -> Outcome<Reply> {
        let parts: Vec<String> = rest
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let known =
            |name: &String, version: &String| self.published().iter().any(|(n, v)| n == name && v == version);
        let [name, version, tail @ ..] = parts.as_slice() else {
            return Err(Refusal::not_found("The endpoint is not named in full.").wrong_call());
        };
        if !known(name, version) {
            return Err(Refusal::not_found(&format!("The endpoint {name}/{version} is not published.")));
        }
        let base = format!("{prefix}/entity/{name}/{version}/");
        if tail == ["swagger.json"] {
            return Ok(Reply::json(
                200,
                &json!({ "openapi": "3.0.1", "info": { "title": format!("{name}/{version}") } }),
            ));
        }
        let mut caller = self.caller(request, prefix)?;
        let cookie = caller.cookie.take();
        let mut reply = self.entity_call(request, &base, tail, &caller)?;
        reply.headers.extend(cookie.map(|cookie| ("set-cookie".to_owned(), cookie)));
        Ok(reply)
    }

    fn entity_call(
        &mut self,
        request: &Request,
        base: &str,
        tail: &[String],
        caller: &access::Caller,
    ) -> Outcome<Reply> {
        let Some((name, tail)) = tail.split_first() else {
            return Err(Refusal::not_found("No entity is named.").wrong_call());
        };
        let Some(entity) = contract::entity(name) else {
            return Err(Refusal::not_found(&format!("There is no entity {name}.")).wrong_call());
        };
        self.check_trouble(entity)?;
        let status = matches!(tail, [_, word, _] if word == "status");
        if !status {
            self.check_running(entity, caller)?;
        }
        let json = request.header("content-type").is_some_and(|kind| kind.contains("json"));
        match (request.method.as_str(), tail) {
            ("GET", [_, _, id]) if status => self.status_call(base, entity, id),
            ("GET", []) => self.list_call(request, base, entity, caller),
            ("GET", [one]) if one == "$adHocSchema" => Ok(self.schema_call(entity)),
            ("GET", keys) => self.one_call(request, base, entity, keys, caller),
            ("PUT", [keys @ .., word, file]) if word == "files" => self.file_call(entity, keys, file, caller),
            // The addresses of `files:put`: of the record by its view, of a detail row by the detail's name.
            ("PUT", [_, _, id, file] | [_, id, file]) if !json => {
                self.file_call(entity, std::slice::from_ref(id), file, caller)
            }
            ("PUT" | "POST", _) if !json => {
                let text = "The request entity's media type is not supported for this resource.";
                Err(Refusal::new(415, "System.Net.Http.UnsupportedMediaTypeException", text).wrong_call())
            }
            ("PUT", []) => self.put_call(request, base, entity, caller),
            ("POST", [action]) => self.action_call(request, base, entity, action, caller),
            ("DELETE", [_, ..]) => self.delete_call(entity, tail, caller),
            (method, _) => {
                let text = format!("The requested resource does not support http method '{method}'.");
                Err(Refusal::new(405, "System.Web.Http.HttpResponseException", text).wrong_call())
            }
        }
    }

    /// Trouble that knobs make, after the caller is known.
    fn check_trouble(&mut self, entity: &Entity) -> Outcome<()> {
        if self.knobs.internal_errors > 0 {
            self.knobs.internal_errors -= 1;
            return Err(Refusal::new(500, "System.Exception", "An unexpected error has occurred."));
        }
        let named = |list: &[String]| list.iter().any(|name| name == entity.name);
        if named(&self.knobs.forbidden) {
            let text = format!("You have insufficient rights to access the object ({}).", entity.screen);
            return Err(Refusal::new(403, "PX.Data.PXForbiddenException", text));
        }
        if named(&self.knobs.not_set_up) {
            let text = format!(
                "The required configuration data is not entered on the preferences form of {}.",
                entity.screen
            );
            return Err(Refusal::new(500, "PX.Data.PXSetupNotEnteredException", text));
        }
        Ok(())
    }

    /// The licence's queue: how long the request waits, or why it is declined. Signing out is never queued.
    fn queued(&mut self, request: &Request) -> Outcome<Duration> {
        let put = if request.method == "PUT" { self.knobs.put_ms } else { 0 };
        let work = Duration::from_millis(self.knobs.call_ms + put);
        if request.path.ends_with("/auth/logout") {
            return Ok(work);
        }
        if self.knobs.declines > 0 {
            self.knobs.declines -= 1;
            return Err(self.declined());
        }
        let limits = Limits {
            per_minute: self.knobs.requests_per_minute,
            concurrent: self.knobs.concurrent_requests,
            queue_length: self.knobs.queue_length,
            queue_time: TimeDelta::seconds(self.knobs.queue_seconds),
        };
        let working = TimeDelta::from_std(work).unwrap_or_default();
        match self.throttle.admit(request.at, working, limits) {
            Admission::Starts(wait) => Ok(wait.to_std().unwrap_or_default() + work),
            Admission::Declined => Err(self.declined()),
            Admission::Expires(wait) => {
                let mut refusal = self.declined();
                refusal.reply.delay = wait.to_std().unwrap_or_default();
                Err(refusal)
            }
        }
    }

    fn declined(&self) -> Box<Refusal> {
        let text = "The request has been declined: the license limit is exceeded.";
        if self.knobs.plain_decline {
            Refusal::text(429, text)
        } else {
            Refusal::new(429, "PX.Data.PXLicenseLimitException", text)
        }
    }
}

impl Simulator for AcumaticaSim {
    fn name(&self) -> &'static str {
        "acumatica"
    }

    fn handle(&mut self, request: &Request) -> Reply {
        self.now = request.at;
        self.access.sweep(request.at, self.knobs.idle_minutes);
        self.run_operations(false);
        let outcome = self.queued(request).and_then(|wait| {
            let mut reply = match self.answer(request) {
                Ok(reply) => reply,
                Err(refusal) => return Err(waiting(refusal, wait)),
            };
            reply.delay = wait;
            Ok(reply)
        });
        outcome.unwrap_or_else(|refusal| {
            if refusal.misuse {
                self.note_misuse(request, &refusal.sentence);
            }
            refusal.reply
        })
    }

    fn state(&self) -> Value {
        self.books()
    }

    fn control(&mut self, verb: &str, body: &Value) -> Result<Value, String> {
        self.run_control(verb, body)
    }

    fn tell_time(&mut self, now: DateTime<Utc>) {
        self.now = now;
        self.access.sweep(now, self.knobs.idle_minutes);
    }

    fn misuse(&self) -> Vec<String> {
        self.misuse.clone()
    }

    /// Entity or action, without keys.
    fn operation(&self, request: &Request) -> String {
        let method = &request.method;
        let Some((_, rest)) = request.path.split_once("/entity/") else {
            return format!("{method} {}", request.path);
        };
        let mut parts = rest.split('/').skip(if rest.starts_with("auth/") { 0 } else { 2 });
        let (entity, next) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let status = parts.next() == Some("status");
        if status || method == "POST" {
            return format!("{method} {entity}/{next}{}", if status { "/status" } else { "" });
        }
        format!("{method} {entity}{}", if next.is_empty() { "" } else { "/" })
    }

    /// Waiting and working pass on the site's clock, so that tests can see the queue without waiting themselves.
    fn delays_on_clock(&self) -> bool {
        true
    }
}

fn waiting(mut refusal: Box<Refusal>, wait: Duration) -> Box<Refusal> {
    refusal.reply.delay = wait;
    refusal
}

/// An identifier of a record.
fn guid(serial: i64) -> String {
    format!("{serial:08x}-62bd-ef11-a82c-{:012x}", serial.wrapping_mul(2_654_435_761) & 0xffff_ffff_ffff)
}
