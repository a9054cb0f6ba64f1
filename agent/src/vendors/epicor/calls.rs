//! Builds each request to Kinetic, without any I/O. Paths, query texts and header names are exactly those of the
//! documentation: names are case-sensitive, spaces are `%20`, quotes inside a literal are doubled.

use super::profile::{Resolved, Step, arguments};
use super::settings::{Settings, is_company};
use super::wire::Row;
use crate::secret::{BoundSecret, SecretText};
use crate::vendors::http::{Body, Call, Effect, SiteRoot};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::value::RawValue;
use spend::finding::FindingCode;
use spend::ids::CompanyId;
use spend::posting::Failure;
use url::Url;

/// All but the characters that stand for themselves in every query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The addresses of one site.
#[derive(Clone, Debug)]
pub(super) struct Site {
    root: SiteRoot,
}

impl Site {
    /// From the connection's URL: the site root, with or without a pasted `/api/...` behind it.
    pub(super) fn new(base: &Url) -> Self {
        Self { root: SiteRoot::new(base, &["api", "TokenResource.svc"]) }
    }

    /// `{root}/api/v2/odata/{Company}/{Service}/{tail}`.
    pub(super) fn odata(&self, company: &CompanyId, service: &str, tail: &str) -> Result<Url, Failure> {
        if !is_company(company) {
            return Err(super::outcome::refused(
                FindingCode::ErpRefused,
                "company",
                format!("`{company}` cannot be a company id"),
                "write the company id exactly as Kinetic shows it",
            ));
        }
        Ok(self.root.below(&["api", "v2", "odata", company.as_str(), service, tail]))
    }

    /// `{root}/api/v1/{Service}/{tail}`, which needs no API key.
    pub(super) fn v1(&self, service: &str, tail: &str) -> Url {
        self.root.below(&["api", "v1", service, tail])
    }

    /// `{root}/TokenResource.svc/`.
    pub(super) fn token(&self) -> Url {
        self.root.below(&["TokenResource.svc", ""])
    }

    /// Whether a link that the server gave stays on this site.
    pub(super) fn owns(&self, link: &Url) -> bool {
        self.root.owns(link)
    }
}

/// A query of an entity set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) operation: &'static str,
    pub(super) service: &'static str,
    pub(super) set: &'static str,
    /// Service and entity set whose names are settings; they stand above the two fields before.
    pub(super) named: Option<(String, String)>,
    /// Columns; empty = all.
    pub(super) select: &'static [&'static str],
    /// Filter text, values written by [`literal`].
    pub(super) filter: String,
    /// Columns that the rows are ordered by: the key.
    pub(super) order: &'static str,
}

impl Query {
    /// What tells a row from all others: the columns that the rows are ordered by, else all of it.
    pub(super) fn key_of(&self, row: &Row) -> String {
        let columns = self.order.split(',').filter_map(|part| part.split_whitespace().next());
        let key: Vec<&str> = columns.filter_map(|column| row.get(column).map(|value| value.get())).collect();
        if key.is_empty() { serde_json::to_string(row).unwrap_or_default() } else { key.join(",") }
    }

    /// The URL of one page.
    pub(super) fn page(
        &self,
        site: &Site,
        company: &CompanyId,
        top: usize,
        skip: usize,
    ) -> Result<Url, Failure> {
        let (service, set) = match &self.named {
            Some((service, set)) => (service.as_str(), set.as_str()),
            None => (self.service, self.set),
        };
        let mut url = site.odata(company, service, set)?;
        let mut options = Vec::new();
        if !self.select.is_empty() {
            options.push(("$select", self.select.join(",")));
        }
        if !self.filter.is_empty() {
            options.push(("$filter", self.filter.clone()));
        }
        if !self.order.is_empty() {
            options.push(("$orderby", self.order.to_owned()));
        }
        options.push(("$top", top.to_string()));
        if skip > 0 {
            options.push(("$skip", skip.to_string()));
        }
        set_query(&mut url, options.iter().map(|(name, value)| (*name, value.as_str())));
        Ok(url)
    }
}

/// A text as an OData literal: single quotes, inner ones doubled.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A date as an OData 4 literal; the quoted form of OData 3 is refused on v2.
pub(super) fn date_literal(date: spend::Date) -> String {
    date.format("%Y-%m-%dT00:00:00").to_string()
}

fn set_query<'a>(url: &mut Url, options: impl Iterator<Item = (&'a str, &'a str)>) {
    let text: Vec<String> =
        options.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
    url.set_query((!text.is_empty()).then(|| text.join("&")).as_deref());
}

/// A read of a URL.
pub(super) fn get(operation: &'static str, url: Url) -> Call {
    call(operation, Method::GET, url, Body::Empty, Effect::Read)
}

/// A method call with exactly the parameters that the instance lists.
pub(super) fn method(
    site: &Site,
    company: &CompanyId,
    step: &Step,
    resolved: &Resolved,
    values: &[(&str, Box<RawValue>)],
) -> Result<Call, Failure> {
    let url = site.odata(company, step.service, &resolved.method)?;
    let arguments = arguments(resolved, values);
    let body = serde_json::to_string(&arguments).unwrap_or_else(|_| "{}".to_owned());
    Ok(call(step.operation, Method::POST, url, Body::Json(SecretText::plain(body)), step.effect))
}

/// The same method as a `GET` with query parameters, as v2 wants it for read methods.
pub(super) fn method_as_get(
    site: &Site,
    company: &CompanyId,
    step: &Step,
    resolved: &Resolved,
    values: &[(&str, Box<RawValue>)],
) -> Result<Call, Failure> {
    let mut url = site.odata(company, step.service, &resolved.method)?;
    let arguments = arguments(resolved, values);
    let plain: Vec<(String, String)> = arguments
        .into_iter()
        .map(|(name, value)| {
            (name, serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned()))
        })
        .collect();
    set_query(&mut url, plain.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(get(step.operation, url))
}

/// The description of a service.
pub(super) fn metadata(site: &Site, company: &CompanyId, service: &str) -> Result<Call, Failure> {
    Ok(get("epicor.metadata", site.odata(company, service, "$metadata")?))
}

/// A login at `TokenResource.svc`: the credentials travel in headers, the body is empty.
pub(super) fn token_resource(
    site: &Site,
    user: &BoundSecret,
    password: &BoundSecret,
    key: &BoundSecret,
) -> Call {
    let mut call = call("epicor.token", Method::POST, site.token(), Body::Empty, Effect::Read);
    call.headers = vec![
        ("username", SecretText::secret(user)),
        ("password", SecretText::secret(password)),
        ("x-api-key", SecretText::secret(key)),
        ("accept", SecretText::plain("application/json")),
    ];
    call.secret_answer = true;
    call
}

/// A login at an identity provider.
pub(super) fn token_oauth2(url: Url, scope: &str, id: &BoundSecret, secret: &BoundSecret) -> Call {
    let form = vec![
        ("grant_type".to_owned(), SecretText::plain("client_credentials")),
        ("client_id".to_owned(), SecretText::secret(id)),
        ("client_secret".to_owned(), SecretText::secret(secret)),
        ("scope".to_owned(), SecretText::plain(scope)),
    ];
    let mut call = call("epicor.token", Method::POST, url, Body::Form(form), Effect::Read);
    call.headers = vec![("accept", SecretText::plain("application/json"))];
    call.secret_answer = true;
    call
}

/// The headers that every call bears besides those of its authorisation.
pub(super) fn settings_headers(settings: &Settings, company: &CompanyId) -> Vec<(&'static str, SecretText)> {
    let site = settings.site.as_deref().unwrap_or_default();
    let call_settings =
        serde_json::json!({"Company": company.as_str(), "Plant": site, "Language": "", "FormatCulture": ""});
    let mut headers = vec![("CallSettings", SecretText::plain(call_settings.to_string()))];
    if let Some(license) = &settings.license_type {
        let license = serde_json::json!({ "ClaimedLicense": license });
        headers.push(("License", SecretText::plain(license.to_string())));
    }
    headers
}

fn call(operation: &'static str, method: Method, url: Url, body: Body, effect: Effect) -> Call {
    let mut headers = vec![("accept", SecretText::plain("application/json"))];
    if !matches!(body, Body::Form(_)) {
        headers.push(("content-type", SecretText::plain("application/json")));
    }
    Call { operation, method, url, headers, body, effect, secret_answer: false, timeout: None }
}
