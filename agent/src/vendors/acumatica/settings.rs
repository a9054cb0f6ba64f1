//! What a connection to Acumatica must be told. Everything that differs by release, tenant or customer is here with a
//! documented default; nothing of it is code.

use crate::vendors::settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spend::ids::CompanyId;
use spend::mapping::DocumentKind;
use spend::money::Currency;
use std::collections::BTreeMap;
use url::Url;

/// Settings of a connection of kind `acumatica`. The connection's URL is the instance, `https://host` or
/// `https://host/instance`; pasted longer forms (`.../entity/Default/24.200.001/`) are accepted.
///
/// Flows that write here need a `policy.settle_window` of `commit_seconds` or more, so 660 unless it is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The endpoint that is spoken to.
    pub endpoint: Endpoint,
    /// How calls are authorised. Default: OAuth 2.0 with the password grant.
    pub auth: Auth,
    /// Licensed web-service requests per minute, as the License Monitoring Console (SM604000) shows it. The site
    /// delays requests from half of it on. Default: not known, then only the delay that is seen is heeded.
    pub requests_per_minute: Option<u32>,
    /// Share of the licensed rate that this connection uses at most, in percent, 10 to 100. Default: 90.
    pub share: u8,
    /// How long the site may still carry out a write after the connection is gone, in seconds. Default: 660, the ten
    /// minutes that a request may wait in the server's queue (D) and one for the work. Less only where it is known that
    /// nothing waits, as in a sandbox.
    pub commit_seconds: u16,
    /// Branch of each company id that flows name. A flow's company that is not listed here books in the user's own
    /// branch; as soon as one company is listed, all must be.
    pub branches: BTreeMap<CompanyId, String>,
    /// Ledger that journals are written to. Default: the branch's own.
    pub ledger: Option<String>,
    /// Names of the segments of a subaccount. One name: the subaccount is one segment of the account (`61000|000-HQ`);
    /// several: it is put together from as many (`61000|000|HQ`). Default: `Subaccount`.
    pub subaccount_segments: Vec<String>,
    /// What stands between the segments of a subaccount. Default: `-`.
    pub subaccount_separator: String,
    /// Longest text of `VendorRef`, 30 to 50. The public descriptions name no length; 40 is what the screen's field
    /// takes (I). A reference that is longer is shortened, and its whole text heads the bill's description.
    pub vendor_ref_length: u8,
    /// Whether documents are saved on hold, for a person to look at. Default: yes.
    pub hold: bool,
    /// Take documents off hold and release them after they have been verified. Default: no, a person releases them. A
    /// document that was found there already, because the answer to its write was lost, stays as it is: who has touched
    /// it since is not known.
    pub release: bool,
    /// Seconds that a release is watched before it is left to itself. Default: 300.
    pub release_seconds: u32,
    /// Whether Acumatica refuses a second bill with the same vendor reference ("Raise an Error on Duplicate Vendor
    /// Reference Number" in the accounts payable preferences). Default: no.
    pub unique_vendor_refs: bool,
    /// Send the currency of documents. Switch off where the site has one currency only and refuses the field; name that
    /// one as `currency` then, documents in any other are refused.
    pub send_currency: bool,
    /// Fields of document lines that dimensions are written to, by the dimension's name. Default: `project-task` to
    /// `ProjectTask`, `cost-code` to `CostCode`. `branch` always goes to the line's branch.
    pub dimension_fields: BTreeMap<String, String>,
    /// Status words of vendors and employees.
    pub status_words: StatusWords,
    /// Whether bills may name employees as their vendors. Default: no, then an employee is paid through the vendor
    /// with the same id, else the one vendor with the same e-mail address.
    pub employees_are_vendors: bool,
    /// Flags that close a financial period beside its status. Default: `ClosedInAP`; for connections that write only
    /// journals an empty list.
    pub period_closed_flags: Vec<String>,
    /// Lines per request, 1 to 1000; further ones follow in requests of their own. Default: 500.
    pub lines_per_request: u16,
    /// Rows asked for per page, 10 to 1000. Default: 200.
    pub page_size: u16,
    /// Rows of a page that are asked for again with the next one, because the order of a changing list is not stable.
    /// Default: 5.
    pub page_overlap: u16,
    /// Longest text of a document's and of a line's description. Default: 150 and 250.
    pub text_limits: TextLimits,
    /// Minutes to wait while the site is in maintenance or has no session free. Default: 5.
    pub maintenance_minutes: u16,
    /// Currency of documents whose rows do not name one. Default: none, such rows are an error.
    pub currency: Option<Currency>,
    /// Name of the header that push notifications carry their shared secret in. The secret is the field
    /// `webhook_secret`. Default: `X-Purser-Secret`.
    pub webhook_header: String,
}

impl Default for Settings {
    fn default() -> Self {
        let own = |text: &str| text.to_owned();
        Self {
            endpoint: Endpoint::default(),
            auth: Auth::default(),
            requests_per_minute: None,
            share: 90,
            commit_seconds: 11 * 60,
            branches: BTreeMap::new(),
            ledger: None,
            subaccount_segments: vec![own("Subaccount")],
            subaccount_separator: own("-"),
            vendor_ref_length: 40,
            hold: true,
            release: false,
            release_seconds: 300,
            unique_vendor_refs: false,
            send_currency: true,
            dimension_fields: [("project-task", "ProjectTask"), ("cost-code", "CostCode")]
                .map(|(dimension, field)| (own(dimension), own(field)))
                .into(),
            status_words: StatusWords::default(),
            employees_are_vendors: false,
            period_closed_flags: vec![own("ClosedInAP")],
            lines_per_request: 500,
            page_size: 200,
            page_overlap: 5,
            text_limits: TextLimits::default(),
            maintenance_minutes: 5,
            currency: None,
            webhook_header: own("X-Purser-Secret"),
        }
    }
}

/// Which contract is spoken. Versions stay available after an upgrade of the site, so a pinned one goes on working.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoint {
    /// Name. Default: `Default`; an extended endpoint has a name of its own.
    pub name: String,
    /// Version, e.g. `24.200.001`. Default: the newest that both the site publishes and this agent knows.
    pub version: Option<String>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { name: "Default".to_owned(), version: None }
    }
}

/// How calls are authorised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// OAuth 2.0 of a connected application (SM303010). Secret fields: `client_id` (`GUID@Tenant`), `client_secret` or
    /// `client_assertion`, and by grant `user` and `password`, or `refresh_token`.
    Oauth2(Oauth2),
    /// The older sign-in by cookie, announced to be removed. Secret fields: `user`, `password`.
    Cookie(CookieSession),
}

impl Default for Auth {
    fn default() -> Self {
        Self::Oauth2(Oauth2::default())
    }
}

/// OAuth 2.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth2 {
    /// Flow of the connected application. Default: `password`.
    pub grant: Grant,
    /// Scope, `api` and `offline_access` in it. Default: `api offline_access`, with which all tokens of one sign-in share
    /// one session; without `offline_access` each token would hold a licensed seat until it ends. A connected application
    /// that is set to "No Refresh Tokens" refuses it: set it to absolute or sliding expiration (SM303010).
    pub scope: String,
    /// Where tokens are issued. Default: `identity/connect/token` below the instance.
    pub token_url: Option<String>,
    /// How the application proves itself. Default: by its secret.
    pub client: ClientProof,
    /// Days after which the refresh token of a sign-in ends, as the connected application says. Default: 30.
    pub refresh_days: u16,
    /// Days before that end from which `doctor` and the log warn. Default: 7.
    pub warn_days: u16,
}

impl Default for Oauth2 {
    fn default() -> Self {
        Self {
            grant: Grant::default(),
            scope: "api offline_access".to_owned(),
            token_url: None,
            client: ClientProof::default(),
            refresh_days: 30,
            warn_days: 7,
        }
    }
}

/// Flow of a connected application. A client-credentials grant is not offered (D).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// User and password; signs in again by itself when the refresh token has ended.
    #[default]
    Password,
    /// A person signed in once; their refresh token is the secret field `refresh_token`.
    AuthorizationCode,
    /// The same with a refresh token of the hybrid flow.
    Hybrid,
}

/// How the connected application proves itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientProof {
    /// Secret field `client_secret`.
    #[default]
    Secret,
    /// A signed JWT in the secret field `client_assertion`.
    Assertion,
}

/// The older sign-in by cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CookieSession {
    /// Tenant, exactly as the sign-in page shows it; empty = the default tenant. Never leave it out on a site with
    /// several: the sign-in succeeds in the wrong one.
    pub tenant: String,
    /// Branch to sign in to. Default: the user's.
    pub branch: Option<String>,
    /// Name of the tenant's member: `tenant`, on older sites `company`. Default: `tenant`.
    pub tenant_member: String,
    /// Seconds without work after which the session is signed out. Default: 30.
    pub linger_seconds: u16,
}

impl Default for CookieSession {
    fn default() -> Self {
        Self { tenant: String::new(), branch: None, tenant_member: "tenant".to_owned(), linger_seconds: 30 }
    }
}

/// Status words of vendors and employees, compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StatusWords {
    /// Words of vendors that may not be used. Default: `Inactive`.
    pub vendor_inactive: Vec<String>,
    /// Words of vendors that are not paid. Default: `Hold Payments`, `On Hold`.
    pub vendor_hold: Vec<String>,
    /// Words of employees who may be used. Default: `Active`.
    pub employee_active: Vec<String>,
    /// Words of projects and tasks that are open for documents. Default: `Active`.
    pub project_active: Vec<String>,
    /// Words of financial periods that are open. Default: `Open`.
    pub period_open: Vec<String>,
}

impl Default for StatusWords {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            vendor_inactive: words(&["Inactive"]),
            vendor_hold: words(&["Hold Payments", "On Hold"]),
            employee_active: words(&["Active"]),
            project_active: words(&["Active"]),
            period_open: words(&["Open"]),
        }
    }
}

/// Longest texts, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextLimits {
    /// Description of a document. That of a journal begins with the reference, so never below 60. Default: 150.
    pub document: u16,
    /// Description of a line. Default: 250.
    pub line: u16,
}

impl Default for TextLimits {
    fn default() -> Self {
        Self { document: 150, line: 250 }
    }
}

impl Settings {
    /// Everything that is wrong with the settings, each as path and message. Empty = usable.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, message: &str| faults.push((path.to_owned(), message.to_owned()));
        if !is_segment(&self.endpoint.name) {
            fault("endpoint.name", "letters, digits, `.`, `_` and `-` only");
        }
        if self.endpoint.version.as_ref().is_some_and(|version| !is_segment(version)) {
            fault("endpoint.version", "not a version: write for example `24.200.001`");
        }
        self.auth_faults(&mut fault);
        if self.requests_per_minute.is_some_and(|limit| !(2..=100_000).contains(&limit)) {
            fault("requests_per_minute", "must lie between 2 and 100000, or be left out");
        }
        if !(10..=100).contains(&self.share) {
            fault("share", "must lie between 10 and 100");
        }
        if !(30..=50).contains(&self.vendor_ref_length) {
            fault("vendor_ref_length", "must lie between 30 and 50");
        }
        if self.subaccount_segments.is_empty() || self.subaccount_segments.len() > 19 {
            fault("subaccount_segments", "must name 1 to 19 segments");
        }
        if self.subaccount_segments.len() > 1 && self.subaccount_separator.is_empty() {
            fault("subaccount_separator", "several segments need something between them");
        }
        if self.subaccount_separator.contains('|') {
            fault("subaccount_separator", "`|` stands between the segments of whole accounts");
        }
        if !(1..=1000).contains(&self.lines_per_request) {
            fault("lines_per_request", "must lie between 1 and 1000");
        }
        if !(10..=1000).contains(&self.page_size) || self.page_overlap >= self.page_size / 2 {
            fault("page_size", "must lie between 10 and 1000, and `page_overlap` below half of it");
        }
        if self.text_limits.document < 60 || self.text_limits.line < 20 {
            fault(
                "text_limits",
                "`document` below 60 or `line` below 20 would cut what documents are found by",
            );
        }
        if !self.send_currency && self.currency.is_none() {
            fault("currency", "must name the site's one currency when `send_currency` is off");
        }
        for field in self.dimension_fields.values().filter(|field| !is_segment(field)) {
            fault("dimension_fields", &format!("`{field}` is not the name of a field"));
        }
        if self.webhook_header.is_empty() || !self.webhook_header.bytes().all(is_header_byte) {
            fault("webhook_header", "not the name of a header");
        }
        faults
    }

    fn auth_faults(&self, fault: &mut impl FnMut(&str, &str)) {
        match &self.auth {
            Auth::Oauth2(oauth2) => {
                let scopes: Vec<&str> = oauth2.scope.split_whitespace().collect();
                if !scopes.contains(&"api") {
                    fault("auth.scope", "must hold `api`");
                }
                if scopes.contains(&"api:concurrent_access") {
                    fault(
                        "auth.scope",
                        "`api:concurrent_access` opens a session for every request and exhausts the licence: leave it out",
                    );
                }
                if !scopes.contains(&"offline_access") {
                    fault(
                        "auth.scope",
                        "must hold `offline_access`: without it nothing renews the sign-in, and each token holds a licensed seat until it ends; an application set to \"No Refresh Tokens\" must issue them (SM303010)",
                    );
                }
                let url = oauth2.token_url.as_ref();
                if url.is_some_and(|text| !Url::parse(text).is_ok_and(|url| url.has_host())) {
                    fault("auth.token_url", "not a URL");
                }
                if oauth2.warn_days >= oauth2.refresh_days {
                    fault("auth.warn_days", "must be fewer than `refresh_days`");
                }
            }
            Auth::Cookie(cookie) => {
                if !matches!(cookie.tenant_member.as_str(), "tenant" | "company") {
                    fault("auth.tenant_member", "must be `tenant` or `company`");
                }
            }
        }
    }

    /// Reads the settings of a connection; every fault with its path.
    ///
    /// # Errors
    /// Every fault, as `settings.<path>: <what>`.
    pub fn from_json(map: &Map<String, Value>) -> Result<Self, Vec<String>> {
        settings::read(map, |read: &Self| {
            read.faults().into_iter().map(|(path, what)| format!("settings.{path}: {what}")).collect()
        })
    }

    /// Kinds of documents of which Acumatica itself refuses a second one under the same reference.
    pub const fn unique_kinds(&self) -> &'static [DocumentKind] {
        if self.unique_vendor_refs { &[DocumentKind::ApInvoice] } else { &[] }
    }
}

/// Whether a text can stand as one segment of a path.
pub(super) fn is_segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn is_header_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
