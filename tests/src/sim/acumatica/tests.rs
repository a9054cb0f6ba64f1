//! Tests of the simulator over real sockets, at least one for each numbered item of the sheet.

mod access;
mod documents;
mod operations;
mod reading;

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::{AcumaticaKnobs, AcumaticaSim, CLIENT_GUID, CLIENT_SECRET, PASSWORD, TENANT, USER};
use crate::server::{Running, ServeOptions, SimClock, serve};
use crate::world::World;

type Answer = (u16, Value);

/// An answer with what else matters of it.
struct Whole {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Whole {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

struct Rig {
    run: Running,
    http: reqwest::Client,
    token: String,
}

impl Rig {
    /// A site at noon of 2026-03-15 with one signed-in caller.
    async fn new() -> Self {
        Self::with(AcumaticaKnobs::default()).await
    }

    async fn with(knobs: AcumaticaKnobs) -> Self {
        let today = NaiveDate::from_ymd_opt(2026, 3, 15).unwrap();
        let moment = today.and_hms_opt(12, 0, 0).unwrap().and_utc();
        let options = ServeOptions { clock: SimClock::standing_at(moment), ..ServeOptions::default() };
        let sim = AcumaticaSim::from_world(&World::generate(1, 10, today), knobs);
        let run = serve(Box::new(sim), options).await.unwrap();
        // Another test may have installed the provider already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        #[expect(
            clippy::disallowed_methods,
            reason = "a plain client, so that the simulator is tested alone"
        )]
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut rig = Self { run, http, token: String::new() };
        let (status, tokens) = rig.password("api offline_access").await;
        assert_eq!(status, 200, "{tokens}");
        rig.token = tokens["access_token"].as_str().unwrap().to_owned();
        rig
    }

    fn knobs(&self, knobs: Value) {
        self.run.control("knobs", &knobs).unwrap();
    }

    fn root(&self, rest: &str) -> String {
        format!("{}/AcumaticaERP/{rest}", self.run.url())
    }

    fn url(&self, rest: &str) -> String {
        self.root(&format!("entity/Default/24.200.001/{rest}"))
    }

    async fn form(&self, fields: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let call = self.http.post(self.root("identity/connect/token")).body(body.finish());
        taken(call.header("content-type", "application/x-www-form-urlencoded")).await
    }

    async fn password(&self, scope: &str) -> Answer {
        self.grant("password", &[("username", USER), ("password", PASSWORD), ("scope", scope)]).await
    }

    /// A token call of the right client.
    async fn grant(&self, kind: &str, fields: &[(&str, &str)]) -> Answer {
        let client = format!("{CLIENT_GUID}@{TENANT}");
        let mut all =
            vec![("grant_type", kind), ("client_id", client.as_str()), ("client_secret", CLIENT_SECRET)];
        all.extend(fields);
        self.form(&all).await
    }

    fn call(&self, method: &str, rest: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), self.url(rest)).bearer_auth(&self.token)
    }

    async fn get(&self, rest: &str) -> Answer {
        taken(self.call("GET", rest)).await
    }

    /// A list that must be answered.
    async fn list(&self, rest: &str) -> Vec<Value> {
        let (status, body) = self.get(rest).await;
        assert_eq!(status, 200, "{rest}: {body}");
        body.as_array().unwrap_or_else(|| panic!("{rest}: {body}")).clone()
    }

    fn json(&self, method: &str, rest: &str, body: &Value) -> reqwest::RequestBuilder {
        self.call(method, rest).header("content-type", "application/json").body(body.to_string())
    }

    async fn put(&self, rest: &str, body: &Value) -> Answer {
        taken(self.json("PUT", rest, body)).await
    }

    async fn post(&self, rest: &str, body: &Value) -> Whole {
        whole(self.json("POST", rest, body)).await
    }

    /// A bill that must be saved; type, number, status and id of it.
    async fn bill(&self, body: &Value) -> Value {
        let (status, bill) = self.put("Bill?$select=Type,ReferenceNbr,Status,VendorRef,Amount", body).await;
        assert_eq!(status, 200, "{bill}");
        bill
    }

    async fn journal(&self, body: &Value) -> Value {
        let (status, batch) =
            self.put("JournalTransaction?$select=Module,BatchNbr,Status,PostPeriod", body).await;
        assert_eq!(status, 200, "{batch}");
        batch
    }

    fn misuse(&self) -> Vec<String> {
        self.run.misuse()
    }

    fn documents(&self) -> Vec<Value> {
        self.run.state()["companies"][TENANT]["documents"].as_array().unwrap().clone()
    }
}

async fn whole(request: reqwest::RequestBuilder) -> Whole {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Whole { status, headers, body: answer.text().await.unwrap() }
}

async fn taken(request: reqwest::RequestBuilder) -> Answer {
    let answer = whole(request).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body)))
}

/// Every plain value wrapped, as the contract wants it.
fn wrap(plain: Value) -> Value {
    match plain {
        Value::Object(members) => {
            let bare = |name: &str| matches!(name, "id" | "rowNumber" | "delete" | "custom");
            let members = members.into_iter().map(|(name, value)| {
                let value = if bare(&name) { value } else { wrap(value) };
                (name, value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(wrap).collect()),
        value => json!({ "value": value }),
    }
}

/// A sound bill of one line, with changes.
fn sound_bill(changes: Value) -> Value {
    let mut bill = json!({
        "Type": "Bill", "Vendor": "EMP1001", "VendorRef": "EXP-R00123", "Date": "2026-03-10T00:00:00",
        "Description": "Expense report R00123", "Amount": "125.50", "Hold": false, "BranchID": "HQ",
        "Details": [{ "TransactionDescription": "Travel", "Account": "6100", "Subaccount": "10-200",
                      "Branch": "HQ", "Qty": 1, "UnitCost": "125.50", "ExtendedCost": "125.50" }],
    });
    bill.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    wrap(bill)
}

fn sound_journal(changes: Value) -> Value {
    let mut batch = json!({
        "Module": "GL", "TransactionDate": "2026-03-10T00:00:00", "BranchID": "HQ", "Hold": false,
        "Description": "EXP-R00123 Card spend",
        "Details": [
            { "Account": "6100", "Subaccount": "10-200", "DebitAmount": "125.50", "ReferenceNbr": "EXP-R00123" },
            { "Account": "2160", "Subaccount": "00-200", "CreditAmount": "125.50", "ReferenceNbr": "EXP-R00123" },
        ],
    });
    batch.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    wrap(batch)
}

fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}
