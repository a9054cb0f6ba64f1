//! What can differ between installations, and what goes wrong inside the vendor. Faults of the network are the
//! server's business (`crate::faults`).

use serde::{Deserialize, Serialize};

/// The user that may sign in.
pub const USER: &str = "PURSER_API";
/// The user's password.
pub const PASSWORD: &str = "sandbox-password";
/// An API key without a scope.
pub const API_KEY: &str = "sandbox-api-key";
/// An API key that is only good for `Erp.BO.VendorSvc` and the session service.
pub const SCOPED_API_KEY: &str = "sandbox-vendor-key";
/// OAuth2 client.
pub const CLIENT_ID: &str = "purser";
/// OAuth2 client's secret.
pub const CLIENT_SECRET: &str = "sandbox-client-secret";

/// The knobs. `POST /_sandbox/control/knobs` merges a JSON object into them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EpicorKnobs {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// API keys; a key of another environment is simply not here.
    pub api_keys: Vec<ApiKey>,
    /// OAuth2 client id.
    pub client_id: String,
    /// OAuth2 client secret.
    pub client_secret: String,
    /// OAuth2 scope that client credentials must ask for.
    pub oauth_scope: String,
    /// Basic authentication is allowed.
    pub basic: bool,
    /// The token service is on.
    pub tokens: bool,
    /// Life of a token in seconds.
    pub token_lifetime_seconds: i64,
    /// Companies that the user may not work in.
    pub forbidden_companies: Vec<String>,
    /// Status for a company that does not exist.
    pub unknown_company_status: u16,
    /// Method signatures: `2021` or `2024`.
    pub release: Release,
    /// Columns of a row at least; skeleton columns fill it up.
    pub width: usize,
    /// Rows when `$top` is absent.
    pub default_page: usize,
    /// Rows at most, whatever `$top` says.
    pub page_cap: usize,
    /// Answers carry `@odata.nextLink`.
    pub next_link: bool,
    /// `SysRevID` may be used in `$filter`.
    pub sysrevid_filter: bool,
    /// `Erp.BO.FiscalPerSvc` exists for this user.
    pub fiscal_periods: bool,
    /// All errors come as XML, whatever `Accept` says.
    pub xml_errors: bool,
    /// Read methods answer GET.
    pub get_for_reads: bool,
    /// A second invoice of the same vendor and number is refused. Off: it is stored as another row.
    pub duplicate_refusal: bool,
    /// Status of that refusal: 409, or 400 with the word in the text.
    pub duplicate_status: u16,
    /// The server creates the account row of a line.
    pub account_rows: bool,
    /// So many next calls of `UpdateMaster` do not save and ask for input instead.
    pub prompts: u32,
    /// A submitted post runs after so many further calls (or after the time below).
    pub post_after_calls: u32,
    /// A submitted post runs after so many seconds.
    pub post_after_seconds: i64,
    /// Which line columns of a journal count: `TotDebit`/`TotCredit`, or `DebitAmount`/`CreditAmount`.
    pub journal_amounts: JournalAmounts,
    /// So many next calls find no free licence seat.
    pub no_seats: u32,
    /// Status when no seat is free.
    pub seat_status: u16,
    /// Message when no seat is free.
    pub seat_message: String,
    /// Seats for sessions; a login beyond them is refused.
    pub seats: usize,
    /// So many next calls fail with the generic sentence.
    pub internal_errors: u32,
    /// Every call answers 503 while conversions are pending.
    pub maintenance: bool,
    /// The first call takes so long.
    pub first_call_ms: u64,
    /// Every call takes so long.
    pub call_ms: u64,
    /// Changes `Update` of an invoice takes so long (a busy database).
    pub save_ms: u64,
}

/// An API key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The key.
    pub key: String,
    /// Services it is good for; empty = all.
    #[serde(default)]
    pub scope: Vec<String>,
}

/// Whose method signatures are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Release {
    /// Older: `ChangeVendorID` without `confirmCheck`, `ChangeInvoiceDateEx` with `cMessageText`.
    #[serde(rename = "2021")]
    R2021,
    /// Newer.
    #[serde(rename = "2024")]
    R2024,
}

/// Which amount columns of a journal line are read on save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalAmounts {
    /// `TotDebit`, `TotCredit`.
    Tot,
    /// `DebitAmount`, `CreditAmount`.
    Debit,
}

impl Default for EpicorKnobs {
    fn default() -> Self {
        let session = "Ice.LIB.SessionModSvc".to_owned();
        Self {
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            api_keys: vec![
                ApiKey { key: API_KEY.to_owned(), scope: Vec::new() },
                ApiKey {
                    key: SCOPED_API_KEY.to_owned(),
                    scope: vec!["Erp.BO.VendorSvc".to_owned(), session],
                },
            ],
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            oauth_scope: "epicor_erp".to_owned(),
            basic: true,
            tokens: true,
            token_lifetime_seconds: 3600,
            forbidden_companies: Vec::new(),
            unknown_company_status: 403,
            release: Release::R2024,
            width: 60,
            default_page: 100,
            page_cap: 1000,
            next_link: false,
            sysrevid_filter: true,
            fiscal_periods: true,
            xml_errors: false,
            get_for_reads: true,
            duplicate_refusal: true,
            duplicate_status: 409,
            account_rows: true,
            prompts: 0,
            post_after_calls: 3,
            post_after_seconds: 60,
            journal_amounts: JournalAmounts::Tot,
            no_seats: 0,
            seat_status: 500,
            seat_message: "Maximum users exceeded on license Web Services.".to_owned(),
            seats: 5,
            internal_errors: 0,
            maintenance: false,
            first_call_ms: 0,
            call_ms: 0,
            save_ms: 0,
        }
    }
}
