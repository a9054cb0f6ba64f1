//! What can be changed about the simulated vendor. Every field has a default, so a knob set over the admin interface
//! names only what it changes; an unknown name is refused. What is not known of the vendor is a knob with each known form.

use serde::{Deserialize, Serialize};

/// Behaviour of the simulator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrexKnobs {
    /// The user token of an administrator.
    pub user_token: String,
    /// Its scopes; empty = all.
    pub token_scopes: Vec<String>,
    /// Role of the user behind the tokens: `ACCOUNT_ADMIN`, `CARD_ADMIN`, `BOOKKEEPER`, `AP_CLERK`, `EMPLOYEE`.
    pub role: String,
    /// Days without a call after which a user token expires.
    pub inactivity_days: i64,
    /// OAuth client.
    pub client_id: String,
    /// OAuth client's secret.
    pub client_secret: String,
    /// The refresh token to begin with; it is replaced at each refresh.
    pub refresh_token: String,
    /// Seconds an access token lives.
    pub access_token_s: i64,
    /// Days a refresh token lives.
    pub refresh_token_days: i64,
    /// A refresh token that is used twice kills its whole family.
    pub reuse_kills_family: bool,
    /// Whether the account has the accounting interface.
    pub alpha: Alpha,
    /// `/v3` refuses credentials in the other interfaces' shape, as a gateway in front would.
    pub gateway_errors: bool,
    /// A user token may create an accounting integration.
    pub user_token_integration: bool,
    /// Hours that a list of records looks back when the call names no bound.
    pub default_window_hours: i64,
    /// Largest `limit` of a list of records.
    pub records_limit: usize,
    /// What becomes of a record whose failure is reported.
    pub failure_status: String,
    /// A report names all its records or changes none.
    pub atomic_batches: bool,
    /// Bills are exported like the rest.
    pub bills_exportable: bool,
    /// The top amount of a refund is negative.
    pub negative_refunds: bool,
    /// How amounts in major units are written.
    pub numbers: NumberForm,
    /// Members that the documentation does not name.
    pub extra_fields: bool,
    /// Names of people end with a blank.
    pub trailing_blanks: bool,
    /// Records are hidden, as with another ERP connected.
    pub hide_records: bool,
    /// How the end of a list is said.
    pub page_end: PageEnd,
    /// What cursors are worth.
    pub cursors: CursorForm,
    /// Items of the page before that come again, as when a list shifts under writes.
    pub page_overlap: usize,
    /// Calls per window and token; 0 = no limit.
    pub rate_limit: usize,
    /// Length of the window in seconds.
    pub rate_window_s: i64,
    /// How "too many calls" is said.
    pub rate_form: RateForm,
    /// `Retry-After` seconds; not documented, so `None`.
    pub retry_after: Option<u32>,
    /// Hours that an idempotency key is remembered.
    pub key_life_hours: i64,
    /// How `name` finds vendors, departments, locations and titles.
    pub name_match: NameMatch,
    /// Minutes that a receipt's address works.
    pub receipt_minutes: i64,
    /// Host (and port) of the receipts; `None` = the one that was called.
    pub receipt_host: Option<String>,
    /// Scheme of receipts' addresses.
    pub scheme: String,
    /// A second webhook endpoint is refused.
    pub one_endpoint: bool,
    /// Names of the signature headers.
    pub webhook_headers: WebhookHeaders,
    /// Secrets are listed with `whsec_` in front.
    pub secret_prefix: bool,
    /// Signatures of other versions stand beside the real ones.
    pub other_signatures: bool,
    /// Most record ids in one event.
    pub ids_per_event: usize,
    /// Seconds that records which become ready are collected for one event.
    pub coalesce_s: i64,
    /// Seconds after each failed attempt until the next.
    pub retry_after_s: Vec<i64>,
    /// Seconds without an answer after which an attempt has failed.
    pub webhook_timeout_s: u64,
    /// Hours of nothing but failures after which the endpoint is disabled.
    pub disable_after_hours: i64,
    /// What a disabled endpoint shows.
    pub disabled_status: String,
    /// Hours that the old secret lives on after a rotation.
    pub secret_overlap_hours: i64,
    /// Deliveries are made this many times more than needed.
    pub duplicates: usize,
    /// Deliveries wait until `hold` is off.
    pub hold: bool,
    /// What is due at the same time leaves in reverse order.
    pub reorder: bool,
    /// Events are lost before they become deliveries.
    pub drop: bool,
    /// PEM of the authority that webhook endpoints on HTTPS are checked with.
    pub webhook_ca: Option<String>,
}

impl Default for BrexKnobs {
    fn default() -> Self {
        Self {
            user_token: "bxt_sandbox_example_test_0000000000000000".to_owned(),
            token_scopes: Vec::new(),
            role: "ACCOUNT_ADMIN".to_owned(),
            inactivity_days: 90,
            client_id: "sandbox-client".to_owned(),
            client_secret: "sandbox-client-secret".to_owned(),
            refresh_token: "sandbox-refresh-token-0".to_owned(),
            access_token_s: 3_600,
            refresh_token_days: 90,
            reuse_kills_family: false,
            alpha: Alpha::On,
            gateway_errors: false,
            user_token_integration: true,
            default_window_hours: 24,
            records_limit: 1_000,
            failure_status: "REVIEW".to_owned(),
            atomic_batches: true,
            bills_exportable: false,
            negative_refunds: false,
            numbers: NumberForm::Plain,
            extra_fields: true,
            trailing_blanks: true,
            hide_records: false,
            page_end: PageEnd::Null,
            cursors: CursorForm::Offset,
            page_overlap: 0,
            rate_limit: 1_000,
            rate_window_s: 60,
            rate_form: RateForm::Json,
            retry_after: None,
            key_life_hours: 24,
            name_match: NameMatch::Exact,
            receipt_minutes: 15,
            receipt_host: None,
            scheme: "http".to_owned(),
            one_endpoint: true,
            webhook_headers: WebhookHeaders::Webhook,
            secret_prefix: false,
            other_signatures: false,
            ids_per_event: 50,
            coalesce_s: 0,
            retry_after_s: vec![5, 300, 1_800, 7_200, 18_000, 36_000, 36_000],
            webhook_timeout_s: 15,
            disable_after_hours: 120,
            disabled_status: "ERROR".to_owned(),
            secret_overlap_hours: 24,
            duplicates: 0,
            hold: false,
            reorder: false,
            drop: false,
            webhook_ca: None,
        }
    }
}

/// See [`BrexKnobs::alpha`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alpha {
    /// It answers.
    On,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 401, as the old host says.
    Unauthorized,
}

/// See [`BrexKnobs::numbers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberForm {
    /// `100.5`, `100`.
    Plain,
    /// `100.50`, `100.00`.
    Fixed,
    /// `1005e-1`, `1e2`.
    Exponent,
}

/// See [`BrexKnobs::page_end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageEnd {
    /// `"next_cursor": null`.
    Null,
    /// No `next_cursor`.
    Absent,
    /// `"next_cursor": ""`.
    Empty,
}

/// See [`BrexKnobs::cursors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CursorForm {
    /// Base64 of limit and offset.
    Offset,
    /// Always the same one, and always the first page.
    Constant,
    /// Never an end: empty pages follow, each with a new cursor.
    Endless,
}

/// See [`BrexKnobs::rate_form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateForm {
    /// The error shape outside `/v3`.
    Json,
    /// No body.
    Empty,
    /// A page.
    Html,
}

/// See [`BrexKnobs::name_match`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameMatch {
    /// The same text.
    Exact,
    /// The same text but for case.
    IgnoreCase,
    /// Begins with it, but for case.
    Prefix,
    /// Contains it, but for case.
    Contains,
}

impl NameMatch {
    pub(super) fn holds(self, wanted: &str, name: &str) -> bool {
        let (low_wanted, low_name) = (wanted.to_lowercase(), name.to_lowercase());
        match self {
            Self::Exact => wanted == name,
            Self::IgnoreCase => low_wanted == low_name,
            Self::Prefix => low_name.starts_with(&low_wanted),
            Self::Contains => low_name.contains(&low_wanted),
        }
    }
}

/// See [`BrexKnobs::webhook_headers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookHeaders {
    /// `webhook-id`, ...
    Webhook,
    /// `svix-id`, ...
    Svix,
    /// Both families with the same values.
    Both,
}
