//! Push notifications, as a hint to look: the sender proves itself by one header with a shared secret, nothing is signed,
//! the same notification may come several times and out of order (D). So what it says is never believed, it only says
//! where to look.

use super::settings::Settings;
use crate::vendors::webhook::{Delivery, Hint, Proven, Refusal, Secrets, shared_secret};
use serde::Deserialize;
use serde_json::{Map, Value};
use spend::ids::SourceId;
use std::collections::{BTreeMap, BTreeSet};

/// Most ids that a hint names; a notification with more says only that much has changed.
const MOST_IDS: usize = 200;

/// Why a notification is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushRefused {
    /// The body is no notification.
    #[error("the body is no push notification")]
    Malformed,
}

/// What a row of a notification says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushKind {
    /// Only among the inserted rows.
    Added,
    /// Among both.
    Changed,
    /// Only among the deleted rows.
    Removed,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushHint {
    /// Tenant.
    pub company: String,
    /// Name of the inquiry or definition: the type of the event.
    pub query: String,
    /// Identifier of the notification; with `query` it tells repetitions.
    pub id: String,
    /// Orders notifications of one query; larger is later. Exceeds what a double can hold.
    pub ordinal: i64,
    /// Keys of the rows, as far as they can be told.
    pub records: BTreeMap<String, PushKind>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    #[serde(default)]
    inserted: Vec<BTreeMap<String, Value>>,
    #[serde(default)]
    deleted: Vec<BTreeMap<String, Value>>,
    query: String,
    #[serde(default)]
    company_id: Option<String>,
    id: String,
    #[serde(default)]
    time_stamp: i64,
}

/// The names of fields that hold the key of a row, in the order in which they are looked for.
const KEYS: [&str; 10] = [
    "VendorID",
    "AccountCD",
    "SubaccountCD",
    "EmployeeID",
    "ProjectID",
    "ReferenceNbr",
    "BatchNbr",
    "AcctCD",
    "RefNbr",
    "NoteID",
];

/// The name of the header that the shared secret is expected in.
pub fn header(settings: &Settings) -> &str {
    &settings.webhook_header
}

/// Whether the delivery has the shared secret in the header that the settings name.
///
/// # Errors
/// What is wrong, by name.
pub fn verify(
    delivery: &Delivery,
    secrets: &Secrets,
    settings: &Map<String, Value>,
) -> Result<Proven, Refusal> {
    let settings = Settings::from_json(settings).unwrap_or_default();
    shared_secret::verify(delivery, header(&settings), secrets)
}

/// Reads the body of a notification into what every vendor's webhooks come to; repetitions are told by query and id (D).
///
/// # Errors
/// That it is no notification, in words.
pub fn hint(body: &[u8]) -> Result<Hint, String> {
    let push = read(body).map_err(|refused| refused.to_string())?;
    Ok(Hint {
        id: Some(format!("{}/{}", push.query, push.id)),
        event: push.query,
        company: Some(push.company).filter(|company| !company.is_empty()),
        records: push.records.into_keys().map(SourceId::new).collect(),
        wake: true,
    })
}

/// Reads the body of a notification whose sender is known.
///
/// # Errors
/// [`PushRefused::Malformed`].
pub fn read(body: &[u8]) -> Result<PushHint, PushRefused> {
    let read: Notification = serde_json::from_slice(body).map_err(|_| PushRefused::Malformed)?;
    if read.query.is_empty() || read.id.is_empty() {
        return Err(PushRefused::Malformed);
    }
    let keys = |rows: &[BTreeMap<String, Value>]| rows.iter().filter_map(key).collect::<BTreeSet<String>>();
    let (inserted, deleted) = (keys(&read.inserted), keys(&read.deleted));
    let kind = |key: &String| match (inserted.contains(key), deleted.contains(key)) {
        (true, false) => PushKind::Added,
        (false, true) => PushKind::Removed,
        (true, true) | (false, false) => PushKind::Changed,
    };
    let records = inserted.union(&deleted).take(MOST_IDS).map(|key| (key.clone(), kind(key))).collect();
    Ok(PushHint {
        company: read.company_id.unwrap_or_default(),
        query: read.query,
        id: read.id,
        ordinal: read.time_stamp,
        records,
    })
}

/// The key of a row: the first known key field, under its plain name or behind a table's (`Vendor_acctCD`).
fn key(row: &BTreeMap<String, Value>) -> Option<String> {
    let named = |wanted: &str| {
        let is = |name: &str| {
            name.eq_ignore_ascii_case(wanted)
                || name.rsplit_once('_').is_some_and(|(_, field)| field.eq_ignore_ascii_case(wanted))
        };
        row.iter().find(|(name, _)| is(name)).map(|(_, value)| value)
    };
    KEYS.iter().find_map(|wanted| named(wanted)?.as_str().map(|text| text.trim().to_owned()))
}
