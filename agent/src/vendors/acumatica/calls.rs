//! Builds each request to Acumatica, without any I/O. Literals are those of OData 3: text in single quotes with inner
//! ones doubled, moments as `datetimeoffset'...'` with an explicit offset, everything percent-encoded.

use super::settings::{CookieSession, is_segment};
use super::wire::Fields;
use crate::secret::{BoundSecret, Encoding, SecretText};
use crate::vendors::http::{Body, Call, Effect, SiteRoot};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use spend::Timestamp;
use spend::posting::{Failure, FailureClass};
use url::Url;

/// All but the characters that stand for themselves in every query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The addresses of one instance.
#[derive(Clone, Debug)]
pub(super) struct Site {
    root: SiteRoot,
}

impl Site {
    /// From the connection's URL: the instance, with or without a pasted `/entity/...` behind it.
    pub(super) fn new(base: &Url) -> Self {
        Self { root: SiteRoot::new(base, &["entity", "identity", "frames"]) }
    }

    /// The instance's name, the same however its address is written.
    pub(super) fn name(&self) -> String {
        self.root.name()
    }

    /// `{root}/entity`: what is published.
    pub(super) fn published(&self) -> Url {
        self.root.below(&["entity"])
    }

    /// `{root}/identity/connect/token`.
    pub(super) fn token(&self) -> Url {
        self.root.below(&["identity", "connect", "token"])
    }

    fn session(&self, verb: &str) -> Url {
        self.root.below(&["entity", "auth", verb])
    }

    /// `{root}/entity/{name}/{version}/{tail...}`.
    pub(super) fn entity(&self, contract: &Contract, tail: &[&str]) -> Url {
        let mut segments = vec!["entity", contract.name.as_str(), contract.version.as_str()];
        segments.extend(tail);
        self.root.below(&segments)
    }

    /// A status address that an answer named: resolved against the address that was asked, and only within the
    /// instance.
    pub(super) fn followed(&self, asked: &Url, location: &str) -> Option<Url> {
        let url = asked.join(location.trim()).ok()?;
        self.root.owns(&url).then_some(url)
    }
}

/// Endpoint name and version that calls go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contract {
    pub(super) name: String,
    pub(super) version: String,
}

/// A query of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) operation: &'static str,
    pub(super) entity: &'static str,
    /// Fields; empty = all.
    pub(super) select: &'static [&'static str],
    /// Those of `select` that the caller decides by. A site that cannot serve one of them has not answered: a record
    /// without it would be taken for another one, or for none.
    pub(super) needed: &'static [&'static str],
    /// Linked entities and details that are wanted too.
    pub(super) expand: &'static [&'static str],
    /// Filter text, values written by [`literal`] and [`moment_literal`]. Predicates on one view of the screen only:
    /// with two views a list may come back empty although records match (D).
    pub(super) filter: String,
    /// Fields of `select` that the site cannot serve in a list.
    pub(super) dropped: Vec<&'static str>,
}

impl Query {
    /// The request for one page. There is no order to ask for, no count and no next link.
    pub(super) fn page(&self, site: &Site, contract: &Contract, top: usize, skip: usize) -> Call {
        let mut url = site.entity(contract, &[self.entity]);
        let mut options = self.options();
        options.push(("$top", top.to_string()));
        if skip > 0 {
            options.push(("$skip", skip.to_string()));
        }
        set_query(&mut url, &options);
        get(self.operation, url)
    }

    /// The query with this field of `select` alone.
    pub(super) fn only(&self, field: &'static str) -> Self {
        let others = self.select.iter().filter(|other| **other != field);
        Self { dropped: others.copied().collect(), ..self.clone() }
    }

    /// Fields that are asked for.
    pub(super) fn fields(&self) -> Vec<&'static str> {
        self.select.iter().filter(|field| !self.dropped.contains(field)).copied().collect()
    }

    /// Linked entities that are asked for: not those of which no field is left.
    fn links(&self) -> Vec<&'static str> {
        let head = |field: &str, link: &str| field.split('/').next() == Some(link) && field != link;
        let unused = |link: &str| {
            self.dropped.iter().any(|field| head(field, link)) && !self.fields().iter().any(|f| head(f, link))
        };
        self.expand.iter().filter(|link| !unused(link)).copied().collect()
    }

    fn options(&self) -> Vec<(&'static str, String)> {
        let mut options = Vec::new();
        let (fields, links) = (self.fields(), self.links());
        if !fields.is_empty() {
            options.push(("$select", fields.join(",")));
        }
        if !links.is_empty() {
            options.push(("$expand", links.join(",")));
        }
        if !self.filter.is_empty() {
            options.push(("$filter", self.filter.clone()));
        }
        options
    }
}

/// A text as a literal: single quotes, inner ones doubled.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A moment as a literal; a bare ISO text is refused.
pub(super) fn moment_literal(moment: Timestamp) -> String {
    format!("datetimeoffset'{}'", moment.format("%Y-%m-%dT%H:%M:%S%.3f+00:00"))
}

fn set_query(url: &mut Url, options: &[(&str, String)]) {
    let text: Vec<String> =
        options.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
    url.set_query((!text.is_empty()).then(|| text.join("&")).as_deref());
}

/// A read of an address.
pub(super) fn get(operation: &'static str, url: Url) -> Call {
    call(operation, Method::GET, url, Body::Empty, Effect::Read)
}

/// One record with its details, by its identifier.
pub(super) fn by_id(
    operation: &'static str,
    site: &Site,
    contract: &Contract,
    entity: &str,
    id: &str,
    expand: &[&str],
) -> Result<Call, Failure> {
    if !is_segment(id) {
        let message = format!("{operation}: `{}` is no identifier of a record", id.escape_default());
        return Err(Failure::new(FailureClass::Unavailable, message));
    }
    let mut url = site.entity(contract, &[entity, id]);
    if !expand.is_empty() {
        set_query(&mut url, &[("$expand", expand.join(","))]);
    }
    Ok(get(operation, url))
}

/// What a `PUT` may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// Make a new record, never change one.
    Insert,
    /// Change a record that is there, never make one.
    Update,
}

/// A `PUT` of a record. The condition makes sure that it does one thing only: without it a `PUT` that matches something
/// adds its lines to that.
pub(super) fn put(
    operation: &'static str,
    site: &Site,
    contract: &Contract,
    entity: &str,
    fields: &Fields,
    put: Put,
) -> Call {
    let mut url = site.entity(contract, &[entity]);
    set_query(&mut url, &[("$expand", "Details".to_owned())]);
    let body = Body::Json(SecretText::plain(fields.body()));
    let mut call = call(operation, Method::PUT, url, body, Effect::Write);
    let condition = match put {
        Put::Insert => "If-None-Match",
        Put::Update => "If-Match",
    };
    call.headers.push((condition, SecretText::plain("*")));
    call
}

/// Deletes a record.
pub(super) fn delete(
    operation: &'static str,
    site: &Site,
    contract: &Contract,
    entity: &str,
    id: &str,
) -> Call {
    call(operation, Method::DELETE, site.entity(contract, &[entity, id]), Body::Empty, Effect::Write)
}

/// An action on the record with these keys.
pub(super) fn action(
    operation: &'static str,
    site: &Site,
    contract: &Contract,
    (entity, action): (&str, &str),
    keys: &Fields,
) -> Call {
    let mut invocation = Fields::default();
    invocation.set("entity", keys);
    let body = Body::Json(SecretText::plain(invocation.body()));
    call(operation, Method::POST, site.entity(contract, &[entity, action]), body, Effect::Write)
}

/// A request for tokens: what proves the application, then the fields of the grant.
pub(super) fn token(url: Url, form: Vec<(String, SecretText)>) -> Call {
    let mut call = call("acumatica.token", Method::POST, url, Body::Form(form), Effect::Read);
    call.headers = vec![("accept", SecretText::plain("application/json"))];
    call.secret_answer = true;
    call
}

/// A sign-in by cookie.
pub(super) fn sign_in(
    site: &Site,
    settings: &CookieSession,
    user: &BoundSecret,
    password: &BoundSecret,
) -> Call {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut body = SecretText::plain("{\"name\":\"")
        .with(user, Encoding::Json)
        .text("\",\"password\":\"")
        .with(password, Encoding::Json)
        .text("\"");
    if !settings.tenant.is_empty() {
        body = body.text(format!(",\"{}\":{}", settings.tenant_member, quoted(&settings.tenant)));
    }
    if let Some(branch) = &settings.branch {
        body = body.text(format!(",\"branch\":{}", quoted(branch)));
    }
    let body = Body::Json(body.text("}"));
    let mut call = call("acumatica.sign-in", Method::POST, site.session("login"), body, Effect::Read);
    call.secret_answer = true;
    call
}

/// A sign-out: it frees the seat of a session at once. The gate writes `Content-Length: 0`.
pub(super) fn sign_out(site: &Site, session: &BoundSecret) -> Call {
    let url = site.session("logout");
    let mut call = call("acumatica.sign-out", Method::POST, url, Body::Empty, Effect::Read);
    call.headers =
        vec![("accept", SecretText::plain("application/json")), ("cookie", SecretText::secret(session))];
    call
}

fn call(operation: &'static str, method: Method, url: Url, body: Body, effect: Effect) -> Call {
    let mut headers = vec![("accept", SecretText::plain("application/json"))];
    if matches!(body, Body::Json(_)) {
        headers.push(("content-type", SecretText::plain("application/json")));
    }
    Call { operation, method, url, headers, body, effect, secret_answer: false, timeout: None }
}
