//! What can differ between sites, and what goes wrong inside the vendor. Faults of the network are the server's business
//! (`crate::faults`).

use serde::{Deserialize, Serialize};

/// The first tenant.
pub const TENANT: &str = "MYCO";
/// The first branch.
pub const BRANCH: &str = "HQ";
/// The user that may sign in.
pub const USER: &str = "PURSER_API";
/// The user's password.
pub const PASSWORD: &str = "sandbox-password";
/// OAuth 2.0 client id without the tenant.
pub const CLIENT_GUID: &str = "8E07D1B4-5F4C-4E7A-9C37-0D6C1A2B3C4D";
/// OAuth 2.0 client secret.
pub const CLIENT_SECRET: &str = "sandbox-client-secret";
/// Address to which the authorization code is sent.
pub const REDIRECT_URI: &str = "http://127.0.0.1/callback";

/// The knobs. `POST /_sandbox/control/knobs` merges a JSON object into them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcumaticaKnobs {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// OAuth 2.0 client id without `@Tenant`.
    pub client_guid: String,
    /// OAuth 2.0 client secret.
    pub client_secret: String,
    /// Redirect address that the application registered.
    pub redirect_uri: String,
    /// The application may use the password grant.
    pub password_grant: bool,
    /// Wrong passwords in a row that lock the user.
    pub lock_after: u32,
    /// Life of an access token in seconds.
    pub token_seconds: i64,
    /// What refresh tokens the application gets.
    pub refresh: Refresh,
    /// Days from the first issue to the end of the chain (absolute), or from each use (sliding).
    pub refresh_days: i64,
    /// Each use of a refresh token replaces it.
    pub rotate_refresh: bool,
    /// Sessions at a time.
    pub api_users: usize,
    /// Status when no seat is free.
    pub seat_status: u16,
    /// Text when no seat is free.
    pub seat_text: String,
    /// Minutes after which an idle cookie session ends.
    pub idle_minutes: i64,
    /// Status of a cookie login with bad credentials.
    pub bad_login_status: u16,
    /// A dead session cookie leads to the login page (302) instead of 401.
    pub dead_cookie_redirects: bool,
    /// Tenants. A tenant added later is invisible until `restart`.
    pub tenants: Vec<String>,
    /// Contract versions of `Default` that are published, oldest first.
    pub versions: Vec<String>,
    /// Further endpoints: name and version. They offer the same entities.
    pub endpoints: Vec<(String, String)>,
    /// `GET /entity` answers a bare array, as older builds do.
    pub bare_entity_list: bool,
    /// Branches; the first is the default.
    pub branches: Vec<String>,
    /// A document without a branch is refused.
    pub require_branch: bool,
    /// Currencies.
    pub currencies: Vec<String>,
    /// The site's time zone, in minutes east of Greenwich.
    pub utc_offset_minutes: i32,
    /// Keys in error texts are padded with blanks.
    pub padded_texts: bool,
    /// Numbers are written with all decimals (`125.5000`).
    pub padded_decimals: bool,
    /// Texts are compared without regard to case.
    pub case_insensitive: bool,
    /// Employees are accepted as payees of bills.
    pub employees_as_payees: bool,
    /// Documents are on hold unless the request says otherwise.
    pub hold_on_entry: bool,
    /// Bills need approval: they are created on hold whatever the request says.
    pub approval_map: bool,
    /// `Validate Document Totals on Entry`.
    pub validate_totals: bool,
    /// `Require Vendor Reference`.
    pub require_vendor_ref: bool,
    /// What happens to a second bill with a vendor's reference.
    pub duplicates: Duplicates,
    /// A failed insert has taken a number.
    pub failed_insert_takes_number: bool,
    /// Released journals are posted at once; otherwise they stay `Unposted`.
    pub auto_post: bool,
    /// Actions run after the answer (202); otherwise before (204).
    pub asynchronous: bool,
    /// A long operation ends after so many polls (or after the time below).
    pub operation_polls: u32,
    /// A long operation ends after so many seconds.
    pub operation_seconds: i64,
    /// So many next releases fail.
    pub fail_releases: u32,
    /// Status of the status address when the operation failed.
    pub failed_operation_status: u16,
    /// A 204 of an action carries a `Location` that leads nowhere.
    pub dangling_location: bool,
    /// Requests per minute of the licence; 0 = no limit.
    pub requests_per_minute: usize,
    /// Concurrent requests of the licence; 0 = no limit.
    pub concurrent_requests: usize,
    /// Requests that may wait.
    pub queue_length: usize,
    /// Seconds that a request may wait.
    pub queue_seconds: i64,
    /// So many next requests are declined.
    pub declines: u32,
    /// A declined request is answered in plain text instead of JSON.
    pub plain_decline: bool,
    /// Every request takes so long.
    pub call_ms: u64,
    /// Every PUT takes so long: it is committed, the answer comes late.
    pub put_ms: u64,
    /// Fields of another view: a filter that joins one of these with another field finds nothing.
    pub foreign_view: Vec<String>,
    /// `Entity/Field`: a list that would export one of these fails.
    pub unexportable: Vec<String>,
    /// Entities whose form lacks set-up.
    pub not_set_up: Vec<String>,
    /// Entities whose feature is off or whose form the user may not see.
    pub forbidden: Vec<String>,
    /// Status of a filter whose date literal is malformed.
    pub bad_literal_status: u16,
    /// Lists are ordered by last change, so that pages shift under concurrent edits.
    pub unstable_order: bool,
    /// So many next PUTs meet somebody else's update.
    pub concurrent_updates: u32,
    /// So many next requests fail with a general error.
    pub internal_errors: u32,
    /// Everybody gets the maintenance page.
    pub maintenance: bool,
}

/// Refresh tokens of the connected application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refresh {
    /// None: `offline_access` is refused.
    None,
    /// They end so many days after the first issue.
    Absolute,
    /// Each use adds days, up to 90 days in all.
    Sliding,
}

/// Second bills with a vendor's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// Allowed: the vendor's default.
    Allowed,
    /// Refused with 422 and an error on `VendorRef`.
    #[serde(rename = "error-422")]
    Error422,
    /// Refused with 500 and an error object.
    #[serde(rename = "error-500")]
    Error500,
}

impl Default for AcumaticaKnobs {
    fn default() -> Self {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        Self {
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
            client_guid: CLIENT_GUID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            redirect_uri: REDIRECT_URI.to_owned(),
            password_grant: true,
            lock_after: 10,
            token_seconds: 3600,
            refresh: Refresh::Absolute,
            refresh_days: 30,
            rotate_refresh: true,
            api_users: 20,
            seat_status: 429,
            seat_text: "API Login Limit".to_owned(),
            idle_minutes: 20,
            bad_login_status: 500,
            dead_cookie_redirects: true,
            tenants: list(&[TENANT, "MYCO-TEST"]),
            versions: list(&["22.200.001", "23.200.001", "24.200.001"]),
            endpoints: Vec::new(),
            bare_entity_list: false,
            branches: list(&[BRANCH, "PLANT"]),
            require_branch: false,
            currencies: list(&["USD", "EUR", "GBP", "CHF", "JPY"]),
            utc_offset_minutes: 0,
            padded_texts: true,
            padded_decimals: false,
            case_insensitive: false,
            employees_as_payees: false,
            hold_on_entry: true,
            approval_map: false,
            validate_totals: true,
            require_vendor_ref: false,
            duplicates: Duplicates::Allowed,
            failed_insert_takes_number: true,
            auto_post: true,
            asynchronous: true,
            operation_polls: 2,
            operation_seconds: 60,
            fail_releases: 0,
            failed_operation_status: 500,
            dangling_location: true,
            requests_per_minute: 0,
            concurrent_requests: 0,
            queue_length: 20,
            queue_seconds: 600,
            declines: 0,
            plain_decline: true,
            call_ms: 0,
            put_ms: 0,
            foreign_view: Vec::new(),
            unexportable: Vec::new(),
            not_set_up: Vec::new(),
            forbidden: Vec::new(),
            bad_literal_status: 400,
            unstable_order: false,
            concurrent_updates: 0,
            internal_errors: 0,
            maintenance: false,
        }
    }
}
