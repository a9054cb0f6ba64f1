//! What a connection to Epicor Kinetic must be told. Everything that differs by release, tenant or customer is here
//! with a documented default; nothing of it is code.

use super::profile::{self, MethodSettings};
use crate::vendors::settings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use spend::ids::CompanyId;
use spend::mapping::DocumentKind;
use spend::money::Currency;
use std::collections::BTreeMap;
use url::Url;

/// Settings of a connection of kind `epicor`. The connection's URL is the site root, `https://host/instance`; pasted
/// longer forms (`.../api/v2/odata/EPIC06/`) are accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Company ids, exactly as Kinetic spells them. `doctor` and `proof` look at these; flows name their own.
    pub companies: Vec<CompanyId>,
    /// How calls are authorised; the API key is sent always. Default: basic.
    pub auth: Auth,
    /// Site (plant) for the `CallSettings` header. Default: the user's.
    pub site: Option<String>,
    /// GUID of the licence type that calls claim. Default: the user's.
    pub license_type: Option<String>,
    /// The Kinetic user id of this connection. When a group is locked by exactly this user, the lock is a left-over
    /// of an earlier call of ours and is taken off; a lock of anybody else is respected. Default: never take over.
    pub user_id: Option<String>,
    /// Chart of accounts. Default: `MAIN`; empty = all charts of the company.
    pub chart: String,
    /// Book that journals are written to. Default: `MAIN`.
    pub book: String,
    /// Journal code. Default: `GJ`.
    pub journal_code: String,
    /// First letters (at most 3) of group ids, followed by the posting date as `yymmdd`, so that one group collects
    /// what one flow books on one day. Default: the first letters of the flow's prefix.
    pub group_prefix: Option<String>,
    /// Hand documents to Kinetic's posting process after they have been verified. Each document then gets a group of
    /// its own, so that nothing else is posted with it. Default: no, a person releases the group.
    pub submit: bool,
    /// System agent that invoice posting is submitted to. Default: `SystemTaskAgent`.
    pub posting_agent: String,
    /// Whether Kinetic refuses a second invoice with the same number of one vendor (its primary key). Default: yes.
    pub unique_invoice_numbers: bool,
    /// Which amount columns of a journal line are written. Default: `tot-debit-credit`.
    pub journal_amounts: JournalAmounts,
    /// Column of the invoice header that also gets our posting key; empty = none. Default: `XRefInvoiceNum`.
    pub correlation_column: String,
    /// Column of journal and invoice lines that gets the project; empty = the project is not written. Default: empty.
    pub project_column: String,
    /// Longest text of each kind of field; longer ones are cut.
    pub text_limits: TextLimits,
    /// Rows asked for per page, 1 to 1000; a server that gives fewer is followed. Default: 100.
    pub page_size: u16,
    /// Ask each service for its methods (`$metadata`) before the first posting and send exactly the parameters that
    /// it lists. Default: yes.
    pub discover: bool,
    /// Minutes to wait when Kinetic is in maintenance and does not say how long. Default: 5.
    pub maintenance_minutes: u16,
    /// Currency of documents whose rows do not name one. Default: none, such rows are an error.
    pub currency: Option<Currency>,
    /// Method names and parameters that differ from the documented ones, by step (`ap.line_new`, `gl.save`, ...).
    pub methods: BTreeMap<String, MethodSettings>,
    /// Where fiscal periods are read.
    pub periods: PeriodSource,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            companies: Vec::new(),
            auth: Auth::default(),
            site: None,
            license_type: None,
            user_id: None,
            chart: "MAIN".to_owned(),
            book: "MAIN".to_owned(),
            journal_code: "GJ".to_owned(),
            group_prefix: None,
            submit: false,
            posting_agent: "SystemTaskAgent".to_owned(),
            unique_invoice_numbers: true,
            journal_amounts: JournalAmounts::default(),
            correlation_column: "XRefInvoiceNum".to_owned(),
            project_column: String::new(),
            text_limits: TextLimits::default(),
            page_size: 100,
            discover: true,
            maintenance_minutes: 5,
            currency: None,
            methods: BTreeMap::new(),
            periods: PeriodSource::default(),
        }
    }
}

/// How calls are authorised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth {
    /// User and password with every call. Secret fields: `user` (without `:`), `password`, `api_key`.
    #[default]
    Basic,
    /// A bearer token from `TokenResource.svc`. Secret fields: `user`, `password`, `api_key`.
    Token,
    /// A bearer token from an identity provider by client credentials. Secret fields: `client_id`, `client_secret`,
    /// `api_key`; the secret must be bound to the origin of the token URL too.
    Oauth2 {
        /// Where tokens are issued, e.g. `https://login.epicor.com/connect/token`.
        token_url: String,
        /// Scope asked for. Default: `epicor_erp`.
        #[serde(default = "default_scope")]
        scope: String,
    },
}

/// Which amount columns of a journal line are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JournalAmounts {
    /// `TotDebit` or `TotCredit`.
    #[default]
    TotDebitCredit,
    /// `DebitAmount` or `CreditAmount`.
    DebitCredit,
    /// `TransAmt`, debit positive, credit negative.
    TransAmt,
    /// `TotDebit` or `TotCredit`, and `TransAmt`.
    Both,
}

/// Longest text of each kind of field, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextLimits {
    /// Description of a journal. It begins with the reference, so never below 50. Default: 100.
    pub journal: u16,
    /// Description of a journal line. It begins with the reference, so never below 60. Default: 100.
    pub journal_line: u16,
    /// Description of an invoice. Default: 100.
    pub invoice: u16,
    /// Description of an invoice line. Default: 1000.
    pub invoice_line: u16,
}

impl Default for TextLimits {
    fn default() -> Self {
        Self { journal: 100, journal_line: 100, invoice: 100, invoice_line: 1000 }
    }
}

/// The entity set that fiscal periods are read from. It is not documented for every release, so its names are data;
/// where it cannot be read, Kinetic itself judges each posting date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PeriodSource {
    /// Service. Default: `Erp.BO.FiscalPerSvc`; empty = periods are not read.
    pub service: String,
    /// Entity set. Default: `FiscalPers`.
    pub set: String,
    /// Columns of which any one that is true closes a period. Default: `Closed`, `ClosedPeriod`, `PeriodClosed`.
    pub closed_columns: Vec<String>,
}

impl Default for PeriodSource {
    fn default() -> Self {
        Self {
            service: "Erp.BO.FiscalPerSvc".to_owned(),
            set: "FiscalPers".to_owned(),
            closed_columns: ["Closed", "ClosedPeriod", "PeriodClosed"].map(str::to_owned).to_vec(),
        }
    }
}

impl Settings {
    /// Everything that is wrong with the settings, each as path and message. Empty = usable.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, message: &str| faults.push((path.to_owned(), message.to_owned()));
        for company in self.companies.iter().filter(|company| !is_company(company)) {
            fault(
                "companies",
                &format!("`{company}` is not a company id: letters, digits, `_` and `-` only"),
            );
        }
        if let Auth::Oauth2 { token_url, .. } = &self.auth
            && !Url::parse(token_url).is_ok_and(|url| url.has_host())
        {
            fault("auth.token_url", "not a URL: write for example `https://login.epicor.com/connect/token`");
        }
        if !(1..=1000).contains(&self.page_size) {
            fault("page_size", "must lie between 1 and 1000");
        }
        if self.text_limits.journal < 50 || self.text_limits.journal_line < 60 {
            fault("text_limits", "`journal` below 50 or `journal_line` below 60 would cut the reference");
        }
        let letters =
            |text: &String| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if self.group_prefix.as_ref().is_some_and(|prefix| !letters(prefix)) {
            fault("group_prefix", "must be 1 to 3 letters or digits");
        }
        for step in self.methods.keys().filter(|step| profile::step(step).is_none()) {
            let known: Vec<_> = profile::STEPS.iter().map(|step| step.key).collect();
            fault(&format!("methods.{step}"), &format!("unknown step; known are {}", known.join(", ")));
        }
        faults
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

    /// Kinds of documents of which Kinetic itself refuses a second one under the same reference.
    pub const fn unique_kinds(&self) -> &'static [DocumentKind] {
        if self.unique_invoice_numbers { &[DocumentKind::ApInvoice] } else { &[] }
    }

    /// The names of the secret fields that the chosen way of authorisation needs.
    pub fn secret_fields(&self) -> &'static [&'static str] {
        match self.auth {
            Auth::Basic | Auth::Token => &["user", "password", "api_key"],
            Auth::Oauth2 { .. } => &["client_id", "client_secret", "api_key"],
        }
    }
}

/// Whether a text can stand as the company segment of a path.
pub(super) fn is_company(company: &CompanyId) -> bool {
    let text = company.as_str();
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn default_scope() -> String {
    "epicor_erp".to_owned()
}
