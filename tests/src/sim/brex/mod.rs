//! Simulator of the Brex API: one address, many small interfaces. Below `/v3` money is in major units and errors have
//! one shape, elsewhere minor units and another. Checks run from the outside in: route, stage, credential, rate, scope,
//! role, idempotency key, body.

mod access;
mod accounting;
mod books;
mod control;
mod deliveries;
mod expenses;
mod fields;
mod filling;
mod integration;
mod knobs;
mod money;
mod people;
mod query;
mod receipts;
mod refusal;
mod routes;
mod state;
mod subscriptions;
#[cfg(test)]
mod tests;
mod vendors;
mod webhooks;
mod wire;

pub use knobs::{Alpha, BrexKnobs, CursorForm, NameMatch, NumberForm, PageEnd, RateForm, WebhookHeaders};

use crate::server::{Outgoing, Reply, Request, SimClock, Simulator};
use crate::world::{SpendOptions, World, WorldSpend};
use access::Access;
use books::Books;
use chrono::{DateTime, TimeDelta, Utc};
use integration::Integration;
use query::Query;
use refusal::{NO_CREDENTIALS, NO_PERMISSION, Outcome, Refusal};
use routes::{Key, Route, Rule};
use serde_json::Value;
use std::collections::BTreeMap;
use webhooks::Webhooks;

/// Wrong calls are remembered up to this number.
const MAX_MISUSE: usize = 200;

/// What the simulator is made from, kept for `reset`.
#[derive(Clone, Debug)]
struct Origin {
    world: World,
    spend: Vec<WorldSpend>,
    knobs: BrexKnobs,
}

/// An answer that an idempotency key brings back.
#[derive(Clone, Debug)]
struct Answered {
    body: Vec<u8>,
    reply: Reply,
    at: DateTime<Utc>,
}

/// The simulator.
#[derive(Debug)]
pub struct BrexSim {
    knobs: BrexKnobs,
    clock: SimClock,
    rng: fastrand::Rng,
    access: Access,
    books: Books,
    integrations: Vec<Integration>,
    webhooks: Webhooks,
    keys: BTreeMap<String, Answered>,
    calls: BTreeMap<String, u64>,
    throttled: u64,
    refused_credentials: u64,
    misuse: Vec<String>,
    origin: Box<Origin>,
}

impl BrexSim {
    /// A simulator that holds so many movements of the world's card and cash spend.
    pub fn from_world(world: &World, movements: usize, knobs: BrexKnobs, clock: SimClock) -> Self {
        Self::with_spend(world, &SpendOptions { count: movements, mixed_currencies: false }, knobs, clock)
    }

    /// The same with spend as the options say.
    pub fn with_spend(world: &World, options: &SpendOptions, knobs: BrexKnobs, clock: SimClock) -> Self {
        Self::with_movements(world, world.spend_with(options), knobs, clock)
    }

    /// The same with spend as it is given.
    pub fn with_movements(world: &World, spend: Vec<WorldSpend>, knobs: BrexKnobs, clock: SimClock) -> Self {
        // Expense reports are another vendor's; a copy of them would only take room.
        let world = World { reports: Vec::new(), ..world.clone() };
        Self::new(Origin { world, spend, knobs }, clock)
    }

    fn new(origin: Origin, clock: SimClock) -> Self {
        let now = clock.now();
        let mut rng = fastrand::Rng::with_seed(origin.world.seed ^ 0xB4E);
        Self {
            access: Access::new(&origin.knobs, now),
            books: Books::from_world(&origin.world, &origin.spend, &mut rng),
            webhooks: Webhooks::new(&mut rng, now),
            knobs: origin.knobs.clone(),
            clock,
            rng,
            integrations: Vec::new(),
            keys: BTreeMap::new(),
            calls: BTreeMap::new(),
            throttled: 0,
            refused_credentials: 0,
            misuse: Vec::new(),
            origin: Box::new(origin),
        }
    }

    fn wrong(&mut self, sentence: String) {
        if self.misuse.len() < MAX_MISUSE && !self.misuse.contains(&sentence) {
            self.misuse.push(sentence);
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            ["oauth2", "default", rest @ ..] => return self.oauth(request, rest),
            ["files", rest @ ..] => return self.receipt_file(request, rest),
            _ => {}
        }
        let v3 = segments.first() == Some(&"v3");
        let Some((route, rule)) = routes::find(&request.method, &segments) else {
            self.wrong(format!("a call went to {} {}", request.method, request.path));
            return Refusal::not_found("Not Found", None).reply(v3);
        };
        if let Err(refusal) = self.check_stage(v3) {
            return refusal.reply(v3);
        }
        let token = match self.authenticate(request, v3) {
            Ok(token) => token,
            Err(refusal) => return refusal.reply(v3 && !self.knobs.gateway_errors),
        };
        if let Some(reply) = self.throttle(&token, request.at) {
            return reply;
        }
        let done = self
            .authorise(&token, rule.scopes, rule.roles)
            .and_then(|()| self.once(request, &rule, |sim| sim.dispatch(&route, request, &token)));
        done.unwrap_or_else(|refusal| {
            if refusal.status == 400 {
                self.wrong(format!(
                    "{} was refused: {}",
                    routes::name(&request.method, &segments),
                    refusal.message
                ));
            }
            refusal.reply(v3)
        })
    }

    fn check_stage(&self, v3: bool) -> Outcome<()> {
        match self.knobs.alpha {
            Alpha::Forbidden if v3 => Err(Refusal::forbidden(NO_PERMISSION)),
            Alpha::NotFound if v3 => Err(Refusal::not_found("Not Found", None)),
            Alpha::Unauthorized if v3 => Err(Refusal::unauthorized(NO_CREDENTIALS)),
            _ => Ok(()),
        }
    }

    /// The same key and the same body bring the same answer and do nothing; keys count on `POST` and `PUT` only.
    fn once(
        &mut self,
        request: &Request,
        rule: &Rule,
        act: impl FnOnce(&mut Self) -> Outcome<Reply>,
    ) -> Outcome<Reply> {
        let sent = request.header("idempotency-key").filter(|key| !key.is_empty());
        let Some(key) = sent.filter(|_| matches!(request.method.as_str(), "POST" | "PUT")) else {
            if rule.key == Key::Required {
                return Err(Refusal::bad("Idempotency-Key is required"));
            }
            return act(self);
        };
        if !is_uuid_v4(key) {
            self.wrong("an idempotency key is no UUID of version 4".to_owned());
        }
        let life = TimeDelta::hours(self.knobs.key_life_hours);
        let name = format!("{} {} {key}", request.method, request.path);
        if let Some(before) = self.keys.get(&name).filter(|before| request.at - before.at < life) {
            if before.body == request.body {
                return Ok(before.reply.clone());
            }
            return Err(Refusal::conflict(
                "INVALID_REQUEST",
                "The idempotency key was used with another body",
            ));
        }
        let reply = act(self)?;
        let answered = Answered { body: request.body.clone(), reply: reply.clone(), at: request.at };
        self.keys.insert(name, answered);
        Ok(reply)
    }

    fn dispatch(&mut self, route: &Route<'_>, request: &Request, token: &str) -> Outcome<Reply> {
        let query = Query::parse(&request.query);
        let now = request.at;
        let body = match route {
            Route::CreateIntegration => self.create_integration(&body_of(request)?, token, now)?,
            Route::Disconnect(id) => self.disconnect(id)?,
            Route::Reactivate(id) => self.reactivate(id)?,
            Route::Records => self.list_records(&query, request)?,
            Route::Record(id) => self.one_record(id, &query, request)?,
            Route::ExportResults => self.export_results(&body_of(request)?, now)?,
            Route::Fields => self.list_fields(&query)?,
            Route::CreateField => self.create_field(&body_of(request)?, now)?,
            Route::Field(id) => self.one_field(id)?,
            Route::UpdateField(id) => self.update_field(id, &body_of(request)?, now)?,
            Route::DeleteField(id) => return self.delete_field(id),
            Route::Values(id) => self.list_values(id, &query)?,
            Route::CreateValues(id) => self.create_values(id, &body_of(request)?, now)?,
            Route::UpdateValues(id) => self.update_values(id, &body_of(request)?, now)?,
            Route::DeleteValues(id) => self.delete_values(id, &body_of(request)?)?,
            Route::Value(field, id) => self.one_value(field, id)?,
            Route::Expenses => self.list_expenses(&query, request, token)?,
            Route::Expense(id) => self.one_expense(id, &query, request)?,
            Route::UpdateExpense(id) => self.update_expense(id, &body_of(request)?, now)?,
            Route::CardTransactions => self.card_transactions(&query, token)?,
            Route::CashTransactions(id) => self.cash_transactions(id, &query)?,
            Route::CardAccounts => self.card_accounts(),
            Route::CashAccounts => self.cash_accounts(&query)?,
            Route::CashAccount(id) => self.cash_account(id)?,
            Route::CardStatements => self.card_statements(&query)?,
            Route::CashStatements(id) => self.cash_statements(id, &query)?,
            Route::Vendors => self.list_vendors(&query)?,
            Route::CreateVendor => self.create_vendor(&body_of(request)?)?,
            Route::Vendor(id) => self.one_vendor(id)?,
            Route::UpdateVendor(id) => self.update_vendor(id, &body_of(request)?)?,
            Route::DeleteVendor(id) => return self.delete_vendor(id),
            Route::Users => self.list_users(&query)?,
            Route::Me => self.me(),
            Route::User(id) => self.one_user(id)?,
            Route::Named(kind) => self.list_named(*kind, &query)?,
            Route::CreateNamed(kind) => self.create_named(*kind, &body_of(request)?)?,
            Route::OneNamed(kind, id) => self.one_named(*kind, id)?,
            Route::LegalEntities => self.legal_entities(&query)?,
            Route::Company => self.company(),
            Route::Webhooks => self.list_webhooks(&query)?,
            Route::CreateWebhook => self.create_webhook(&body_of(request)?, token)?,
            Route::Secrets => self.secrets(now),
            Route::Webhook(id) => self.one_webhook(id)?,
            Route::UpdateWebhook(id) => self.update_webhook(id, &body_of(request)?, token, now)?,
            Route::DeleteWebhook(id) => return self.delete_webhook(id),
        };
        Ok(Reply::new(200, "application/json", wire::text(&body)))
    }
}

/// A JSON object.
fn body_of(request: &Request) -> Outcome<Value> {
    let value: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal::malformed())?;
    if value.is_object() { Ok(value) } else { Err(Refusal::malformed()) }
}

/// An answer without a body.
fn done() -> Reply {
    Reply { headers: Vec::new(), ..Reply::new(200, "", Vec::new()) }
}

fn is_uuid_v4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && parts.iter().all(hex)
        && parts[2].starts_with('4')
        && parts[3].starts_with(['8', '9', 'a', 'b', 'A', 'B'])
}

impl Simulator for BrexSim {
    fn name(&self) -> &'static str {
        "brex"
    }

    fn handle(&mut self, request: &Request) -> Reply {
        *self.calls.entry(self.operation(request)).or_default() += 1;
        let mut reply = self.answer(request);
        reply.headers.push(("x-brex-trace-id".to_owned(), format!("{:016x}", self.rng.u64(..))));
        reply
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

    fn outgoing(&mut self, now: DateTime<Utc>) -> Vec<Outgoing> {
        self.due_deliveries(now)
    }

    fn settled(&mut self, id: u64, status: Option<u16>, now: DateTime<Utc>) {
        self.settle_delivery(id, status, now);
    }

    fn next_outgoing(&self) -> Option<DateTime<Utc>> {
        self.next_delivery()
    }

    fn outgoing_left(&self, now: DateTime<Utc>) -> usize {
        self.deliveries_left(now)
    }

    fn operation(&self, request: &Request) -> String {
        let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
        routes::name(&request.method, &segments)
    }
}
