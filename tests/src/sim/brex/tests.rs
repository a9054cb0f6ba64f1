//! The simulator over real sockets, against the list of what a faithful simulator must imitate.

mod entry;
mod hooks;
mod records;
mod surfaces;

use super::*;
use crate::server::{Running, ServeOptions, serve};
use crate::sim::inbox::Inbox;
use chrono::NaiveDate;
use serde_json::json;

const EVERYTHING: &str = "updated_at[gte]=2020-01-01T00:00:00Z";

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 21).unwrap()
}

fn noon() -> DateTime<Utc> {
    today().and_hms_opt(12, 0, 0).unwrap().and_utc()
}

#[expect(clippy::disallowed_methods, reason = "a plain client, so that the simulator is tested alone")]
fn client() -> reqwest::Client {
    // Another test may have installed the provider already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A served simulator whose clock stands, and a client that never waits.
struct Rig {
    run: Running,
    http: reqwest::Client,
    token: String,
    world: World,
    spend: Vec<WorldSpend>,
}

struct Answer {
    status: u16,
    text: String,
    headers: reqwest::header::HeaderMap,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut BrexKnobs)) -> Self {
        Self::of(&SpendOptions { count: 120, mixed_currencies: false }, change).await
    }

    async fn of(options: &SpendOptions, change: impl FnOnce(&mut BrexKnobs)) -> Self {
        let world = World::generate(42, 3, today());
        let mut knobs = BrexKnobs { rate_limit: 0, ..BrexKnobs::default() };
        change(&mut knobs);
        let (clock, token) = (SimClock::standing_at(noon()), knobs.user_token.clone());
        let sim = BrexSim::with_spend(&world, options, knobs, clock.clone());
        let run = serve(Box::new(sim), ServeOptions { clock, ..ServeOptions::default() }).await.unwrap();
        Self { run, http: client(), token, spend: world.spend_with(options), world }
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.run.url()) };
        let mut call = self.http.request(method, url);
        if !headers.iter().any(|(name, _)| *name == "authorization") && !path.contains("/files/") {
            call = call.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            call = call.header(*name, *value);
        }
        if let Some(body) = body {
            call = call.header("content-type", "application/json").body(body.to_string());
        }
        let answer = call.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
        Answer { status, text, headers }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, &[]).await
    }

    async fn ok(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(&body), &[]).await
    }

    async fn keyed(&self, method: &str, path: &str, body: &Value, number: u32) -> Answer {
        self.send(method, path, Some(body), &[("idempotency-key", &key(number))]).await
    }

    /// Every record of a list, over all its pages.
    async fn records(&self, query: &str) -> Vec<Value> {
        self.all(&format!("/v3/accounting/records?{query}")).await
    }

    async fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let more =
                cursor.as_ref().map_or(String::new(), |cursor| format!("{join}cursor={}", escaped(cursor)));
            let page = self.ok(&format!("{path}{more}")).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) if !next.is_empty() => cursor = Some(next.to_owned()),
                _ => return items,
            }
        }
    }

    async fn ready(&self) -> Vec<Value> {
        self.records(&format!("review_status=READY_FOR_EXPORT&{EVERYTHING}")).await
    }

    /// Ids of records that can be reported.
    async fn ready_ids(&self) -> Vec<String> {
        self.ready().await.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn report(&self, results: Value) -> Answer {
        self.post("/v3/accounting/records/export-results", json!({"results": results})).await
    }

    async fn success(&self, id: &str, reference: &str) -> Answer {
        self.report(json!([{"accounting_record_id": id, "success": {"reference_id": reference}}])).await
    }

    fn control(&self, verb: &str, body: Value) -> Value {
        self.run.control(verb, &body).unwrap()
    }

    fn no_misuse(&self) {
        assert_eq!(self.run.misuse(), Vec::<String>::new());
    }
}

fn key(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn texts(items: &[Value], name: &str) -> Vec<String> {
    items.iter().map(|item| item[name].as_str().unwrap_or_default().to_owned()).collect()
}
