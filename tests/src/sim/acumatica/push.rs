//! Push notifications: changes of records, sent to webhooks as flat rows. They come at least once, in any order, with
//! at most five attempts each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

use super::AcumaticaSim;
use super::actions::public_fields;
use super::contract::Entity;
use super::json::{Json, Row, put, row};
use super::record::Record;

/// Attempts; then a notification is parked.
const ATTEMPTS: u32 = 5;
/// Between attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// Ticks of 100 ns from the year 1 to 1970.
const EPOCH_TICKS: i64 = 621_355_968_000_000_000;

/// Where notifications go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Destination {
    /// `http://...`.
    url: String,
    /// Name of the header with the shared secret.
    header_name: String,
    /// Its value.
    header_value: String,
    /// Entities that are watched.
    #[serde(default = "watched")]
    entities: Vec<String>,
    /// How often each is sent beyond the first time.
    #[serde(default)]
    duplicates: u32,
    /// Collect them until `push-send`.
    #[serde(default)]
    held: bool,
}

fn watched() -> Vec<String> {
    ["Vendor", "Account", "Bill"].map(str::to_owned).to_vec()
}

/// A notification on its way.
#[derive(Clone, Debug)]
struct Delivery {
    id: String,
    body: String,
    attempts: u32,
    /// The last status; 0 = nobody answered.
    status: u16,
    delivered: bool,
}

/// Destinations, what waits to be sent, and what was sent.
#[derive(Debug, Default)]
pub(super) struct Push {
    destinations: Vec<Destination>,
    waiting: Vec<(Destination, String, String)>,
    sent: Arc<Mutex<Vec<Delivery>>>,
    last_stamp: i64,
}

impl Push {
    pub(super) fn state(&self) -> Value {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = sent.iter().map(|one| {
            let parked = !one.delivered && one.attempts >= ATTEMPTS;
            json!({
                "id": one.id, "attempts": one.attempts, "status": one.status,
                "delivered": one.delivered, "parked": parked,
            })
        });
        json!({ "waiting": self.waiting.len(), "sent": shown.collect::<Vec<_>>() })
    }

    pub(super) fn add(&mut self, body: &Value) -> Result<Value, String> {
        let destination: Destination =
            serde_json::from_value(body.clone()).map_err(|error| format!("not a destination: {error}"))?;
        if !destination.url.starts_with("http://") {
            return Err("the sandbox pushes to http:// addresses only".to_owned());
        }
        self.destinations.push(destination);
        Ok(json!({ "destinations": self.destinations.len() }))
    }

    pub(super) fn clear(&mut self) -> Value {
        *self = Self::default();
        json!({ "destinations": 0 })
    }

    /// Sends what was held, newest first where the order is to be wrong.
    pub(super) fn send_held(&mut self, reversed: bool) -> usize {
        let mut waiting = std::mem::take(&mut self.waiting);
        if reversed {
            waiting.reverse();
        }
        let count = waiting.len();
        let (log, runtime) = (Arc::clone(&self.sent), tokio::runtime::Handle::try_current());
        // Without a runtime there is nobody to send to.
        let Ok(runtime) = runtime else { return 0 };
        runtime.spawn(async move {
            for (destination, id, body) in waiting {
                deliver(&destination, id, body, &log).await;
            }
        });
        count
    }
}

impl AcumaticaSim {
    /// A record was made, changed or deleted.
    pub(super) fn announce(
        &mut self,
        tenant: usize,
        entity: &'static Entity,
        before: Option<&Record>,
        after: Option<&Record>,
    ) {
        let wanting: Vec<Destination> = self
            .push
            .destinations
            .iter()
            .filter(|one| one.entities.iter().any(|name| name == entity.name))
            .cloned()
            .collect();
        if wanting.is_empty() {
            return;
        }
        let ticks = EPOCH_TICKS + self.now.timestamp_micros() * 10;
        self.push.last_stamp = ticks.max(self.push.last_stamp + 1);
        let (id, stamp) = (self.new_guid(), self.push.last_stamp);
        let rows = |record: Option<&Record>| {
            Json::Arr(record.iter().map(|one| Json::Obj(flat(one, entity))).collect())
        };
        let body = row([
            ("Inserted", rows(after)),
            ("Deleted", rows(before)),
            ("Query", format!("ML-{}s", entity.name).into()),
            ("CompanyId", self.tenants[tenant].name.as_str().into()),
            ("Id", id.as_str().into()),
            ("TimeStamp", stamp.into()),
            ("AdditionalInfo", Row::new().into()),
        ]);
        let body = Json::Obj(body).text();
        let mut at_once = Push { sent: Arc::clone(&self.push.sent), ..Push::default() };
        for destination in wanting {
            let list = if destination.held { &mut self.push.waiting } else { &mut at_once.waiting };
            for _ in 0..=destination.duplicates {
                list.push((destination.clone(), id.clone(), body.clone()));
            }
        }
        at_once.send_held(false);
    }
}

/// A row of an inquiry: values without wrapping, the change stamp under its column's name.
fn flat(record: &Record, entity: &Entity) -> Row {
    let mut flat = public_fields(record, entity);
    if let Some(Json::Str(moment)) = flat.remove("LastModifiedDateTime") {
        let name = format!("{}_lastModifiedDateTime", entity.name);
        flat.insert(name.into(), moment.trim_end_matches('Z').into());
    }
    if entity.shape.field("Terms").is_some() {
        // Columns that did not change may come without a value.
        put(&mut flat, "Terms", Json::Null);
    }
    flat
}

async fn deliver(destination: &Destination, id: String, body: String, log: &Mutex<Vec<Delivery>>) {
    let mut delivery = Delivery { id, body, attempts: 0, status: 0, delivered: false };
    let place = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(delivery.clone());
        log.len() - 1
    };
    while !delivery.delivered && delivery.attempts < ATTEMPTS {
        if delivery.attempts > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        delivery.status = post(destination, &delivery.body).await.unwrap_or_default();
        delivery.attempts += 1;
        delivery.delivered = (200..300).contains(&delivery.status);
        if let Some(kept) = log.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place) {
            kept.clone_from(&delivery);
        }
    }
}

/// The status; `None` = nobody answered.
async fn post(destination: &Destination, body: &str) -> Option<u16> {
    let url = Url::parse(&destination.url).ok()?;
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let stream = TcpStream::connect((host, port)).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let driver = tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method("POST")
        .uri(&url[url::Position::BeforePath..])
        .header("host", format!("{host}:{port}"))
        .header("content-type", "application/json; charset=utf-8")
        .header(&destination.header_name, &destination.header_value)
        .body(Full::new(Bytes::from(body.to_owned())))
        .ok()?;
    let answer = sender.send_request(request).await.ok()?;
    let status = answer.status().as_u16();
    // The body is read so that the connection ends in order.
    drop(answer.into_body().collect().await);
    driver.abort();
    Some(status)
}
