//! What handlers share: reading bodies, pages of lists, and doing a change together with its entry in the audit log.

use super::Admin;
use super::access::Asking;
use super::refusal::Refusal;
use crate::accounts::seal::{open, seal};
use crate::clock::{Millis, timestamp};
use crate::store::idempotency::{self, Claim};
use crate::store::{StoreError, Tx, admin_audit};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::future::{Ready, ready};
use utoipa::{IntoParams, ToSchema};

/// Header by which a create is done once, however often it is sent.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// Most entries of a page.
const MOST: u16 = 200;
/// Entries of a page when nothing is said.
const USUAL: u16 = 50;

/// An answer, or a refusal.
pub type Answer = Result<HttpResponse, Refusal>;

/// A JSON body, and what makes the request the same when it is sent again.
#[derive(Debug)]
pub struct Body<T> {
    /// What was sent.
    pub value: T,
    /// The request and its key.
    pub once: Once,
}

/// The request, for doing a create once.
#[derive(Clone, Debug)]
pub struct Once {
    key: Option<String>,
    request: String,
}

impl<T: DeserializeOwned> FromRequest for Body<T> {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = Bytes::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let json = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let json = json.and_then(|kind| kind.split(';').next());
            if !json.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
                let detail = "send JSON with `content-type: application/json`";
                return Err(Refusal::new(415, "media-type", "only JSON is read", detail));
            }
            let bytes = bytes.await.map_err(|error| {
                let status = error.as_response_error().status_code().as_u16();
                Refusal::new(status, "body", "the body cannot be read", error.to_string())
            })?;
            // PostgreSQL keeps no such character, and nobody means it.
            if bytes.windows(6).any(|window| window == br"\u0000") {
                return Err(Refusal::malformed("a text contains the character U+0000"));
            }
            let value = serde_json::from_slice(&bytes).map_err(Refusal::malformed)?;
            Ok(Self { value, once: Once::of(&request, &bytes)? })
        })
    }
}

/// Of a create without a body.
impl FromRequest for Once {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request, b""))
    }
}

impl Once {
    fn of(request: &HttpRequest, body: &[u8]) -> Result<Self, Refusal> {
        let key = match request.headers().get(IDEMPOTENCY_HEADER) {
            None => None,
            Some(key) => {
                let key = key.to_str().ok().filter(|key| (8..=128).contains(&key.len()));
                let key = key.ok_or_else(|| {
                    Refusal::malformed("an idempotency-key has 8 to 128 characters of ASCII")
                })?;
                Some(key.to_owned())
            }
        };
        let tenant =
            request.headers().get(super::access::TENANT_HEADER).map_or(&b""[..], |value| value.as_bytes());
        let mut hash = blake3::Hasher::new();
        for part in [request.method().as_str().as_bytes(), request.uri().to_string().as_bytes(), tenant, body]
        {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(Self { key, request: hash.finalize().to_hex().to_string() })
    }
}

/// An id in an address. What cannot be an id is not looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(pub String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let good = (1..=80).contains(&text.len()) && text.bytes().all(plain);
        if good { Ok(Self(text)) } else { Err(serde::de::Error::custom("no id")) }
    }
}

/// Which part of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<String>, max_length = 80)]
    pub after: Option<Id>,
    /// Most entries, 1 to 200.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u16>,
}

/// A part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl PageQuery {
    /// Where to begin; empty for the beginning.
    pub(super) fn after(&self) -> &str {
        self.after.as_ref().map_or("", |after| &after.0)
    }

    /// How many to read: one more than are shown, so that it is known whether more follow.
    ///
    /// # Errors
    /// 400 outside of 1 to 200.
    pub(super) fn to_read(&self) -> Result<i64, Refusal> {
        match self.limit.unwrap_or(USUAL) {
            limit @ 1..=MOST => Ok(i64::from(limit) + 1),
            _ => Err(Refusal::malformed(format!("limit must be 1 to {MOST}"))),
        }
    }

    /// The page of what was read.
    pub(super) fn page<T>(&self, mut items: Vec<T>, id: impl Fn(&T) -> String) -> Page<T> {
        let shown = usize::from(self.limit.unwrap_or(USUAL));
        let next = (items.len() > shown).then(|| items.get(shown - 1).map(id)).flatten();
        items.truncate(shown);
        Page { items, next }
    }
}

/// Reads a secret.
pub(super) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}

/// Reads a secret that may be absent.
pub(super) fn optional_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(from).map(|secret| secret.map(SecretString::from))
}

/// A moment as the API shows it.
pub(super) fn shown(at: Millis) -> String {
    timestamp(at).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// 200 with JSON.
pub(super) fn ok<T: Serialize>(body: &T) -> Answer {
    Ok(HttpResponse::Ok().json(body))
}

/// What was created.
#[derive(Debug)]
pub struct Made<T> {
    /// What is answered.
    pub body: T,
    /// Its id.
    pub target: String,
    /// For the audit log.
    pub detail: String,
}

impl Admin {
    /// Creates something, notes it, and answers 201; the same request with the same key gets the same answer.
    pub(super) async fn create<T, F>(
        &self,
        asking: &Asking,
        once: Once,
        action: &'static str,
        operation: F,
    ) -> Answer
    where
        T: Serialize + Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<Made<T>, StoreError>> + Send + 'static,
    {
        let now = self.now();
        let deed = asking.deed(self, action, "", "");
        let owner = asking.principal.id().to_owned();
        let own_key = asking.principal.own_key;
        let key_hash = once.key.map(|key| blake3::hash(key.as_bytes()).to_hex().to_string());
        let about = format!("{owner} {}", once.request);
        let (request, same) = (once.request, about.clone());
        let done = self.store.write(move |tx| {
            Box::pin(async move {
                if let Some(key) = &key_hash {
                    let claim = idempotency::claim(tx.connection(), &owner, key, &request, now).await?;
                    if claim != Claim::New {
                        return Ok(Done::Before(claim));
                    }
                }
                let made = operation(tx).await?;
                let deed = admin_audit::Deed { target: made.target, detail: made.detail, ..deed };
                admin_audit::append(tx.connection(), &deed).await?;
                let body = serde_json::to_vec(&made.body)
                    .map_err(|why| StoreError::damaged("answer", &deed.target, why))?;
                if let Some(key) = &key_hash {
                    let sealed = seal(&own_key, &about, &body).ok_or(crate::secrets::NoRandomness)?;
                    idempotency::finish(tx.connection(), &owner, key, 201, &STANDARD.encode(sealed)).await?;
                }
                Ok(Done::Now(body))
            })
        });
        match done.await? {
            Done::Now(body) => Ok(created(body, false)),
            Done::Before(Claim::Done { sealed, .. }) => {
                let body = STANDARD
                    .decode(sealed)
                    .ok()
                    .and_then(|sealed| open(&asking.principal.own_key, &same, &sealed));
                let body = body.ok_or_else(|| {
                    let detail = "its answer was for another session; look for what it created in the list";
                    Refusal::new(409, "done-already", "this was created before", detail)
                })?;
                Ok(created(body.to_vec(), true))
            }
            Done::Before(Claim::OtherRequest | Claim::New) => {
                let detail = "take a new key for each thing that is to be created";
                Err(Refusal::new(422, "key-used", "the idempotency-key was used for another request", detail))
            }
        }
    }

    /// Changes something and notes it: 204.
    pub(super) async fn change<F>(&self, asking: &Asking, action: &str, target: &str, operation: F) -> Answer
    where
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<String, StoreError>> + Send + 'static,
    {
        let deed = asking.deed(self, action, target, "");
        let done = self.store.write(move |tx| {
            Box::pin(async move {
                let detail = operation(tx).await?;
                admin_audit::append(tx.connection(), &admin_audit::Deed { detail, ..deed }).await
            })
        });
        done.await?;
        Ok(HttpResponse::NoContent().finish())
    }
}

enum Done {
    Now(Vec<u8>),
    Before(Claim),
}

fn created(body: Vec<u8>, again: bool) -> HttpResponse {
    let mut answer = HttpResponse::build(StatusCode::CREATED);
    if again {
        answer.insert_header(("idempotency-replayed", "true"));
    }
    answer.content_type("application/json").body(body)
}
