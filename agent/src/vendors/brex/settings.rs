//! What a connection to Brex must be told beyond URL and secret, typed and with its JSON schema. Everything has a
//! documented default; a connection without settings works, and holds what it cannot place.

use crate::vendors::settings;
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

mod check;

/// Settings of a connection of kind `brex`. The connection's URL is `https://api.brex.com`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where spend is read from. Default: `auto`, the accounting API when Brex has granted it, else expenses; what was
    /// found first is kept, because the same spend has another id on the other surface.
    pub surface: SurfaceChoice,
    /// How calls are authorised. Default: `token`, a user token of the dashboard.
    pub auth: Auth,
    /// Where OAuth tokens are renewed.
    pub oauth: Oauth,
    /// Which types of accounting records are booked, and what they are. Default: card posts and refunds, and the
    /// approval of reimbursements (accrual). Records of a type that stands neither here nor in `ignored_types` are held
    /// with the reason.
    pub types: BTreeMap<String, RecordRole>,
    /// Types of accounting records that are left alone: not booked, not held. Default: none.
    pub ignored_types: BTreeSet<String>,
    /// The field that carries the GL account: its remote id or its Brex id; the first that a line has counts.
    /// Default: `GL_ACCOUNT`.
    pub gl_fields: Vec<String>,
    /// The fields that become tags, by level: the first entry is level 1. Each is a field's remote id or Brex id, or
    /// `user:department` or `user:location` of the person who spent. Default: none.
    pub tag_fields: Vec<String>,
    /// What the remote ids of values begin with, for instance `EPIC06|`; it is taken off. A value without it belongs to
    /// something else and gives no code. Default: nothing.
    pub remote_prefix: String,
    /// What stands between segments in the remote ids of GL values, for instance `-` in `7500-00-00`; read as `|`.
    /// Default: nothing, remote ids are taken as they are.
    pub remote_separator: String,
    /// Codes of values that have none of their own, because they were made in Brex by hand: by field (as in
    /// `gl_fields` and `tag_fields`), then by the value's Brex id, whole name, or first word of its name.
    pub value_codes: BTreeMap<String, BTreeMap<String, String>>,
    /// The time zone in which the moments of Brex become days. Default: `UTC`.
    pub zone: String,
    /// Records per page, 1 to 100. Default: 100.
    pub page_size: u16,
    /// Records of one report of results, 1 to 50. Default: 50.
    pub report_size: u16,
    /// How many days after a record's last change its posting date may lie: so much earlier are changes read for a
    /// whole period. Default: 31.
    pub lead_days: u16,
    /// Once a day records that wait are looked for this many days back, because one can wait long in review; 0 = never.
    /// Default: 400.
    pub sweep_days: u16,
    /// The company's id at Brex (`cuacc_...`, see `purser doctor`): webhooks of other companies are left alone. Default:
    /// none, every webhook that its secret proves is for this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company_id: Option<String>,
    /// What is read where the accounting API is not granted.
    pub expenses: Expenses,
    /// Where reference data goes.
    pub reference: Reference,
    /// Calls that may begin within each window of seconds, over all connections with the same credential. Default: the
    /// documented ceiling, `[[1000, 60]]`. An empty list sets no pace: only for a sandbox.
    pub rate_limits: Vec<(u32, u32)>,
}

/// Where spend is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SurfaceChoice {
    /// By asking once.
    #[default]
    Auto,
    /// `/v3/accounting`, on request from Brex.
    Accounting,
    /// Expenses and transactions; there is no mark at Brex, the posting log alone keeps records apart.
    Expenses,
}

/// How calls are authorised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// The secret's `token`.
    #[default]
    Token,
    /// The secret's `client_id`, `client_secret` and `refresh_token`, which is renewed with every use.
    Oauth2,
}

/// Where OAuth tokens are renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Oauth {
    /// The issuer, whose discovery document names the token endpoint. Default: Brex's.
    pub issuer: String,
    /// The token endpoint; then nothing is discovered. Default: none.
    pub token_url: Option<String>,
    /// Send client id and secret as `Authorization: Basic` instead of in the form. Default: no.
    pub basic: bool,
}

/// What a type of accounting record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordRole {
    /// Company card or cash, the expense is debited.
    Charge,
    /// Company card or cash, the expense is credited.
    Credit,
    /// Owed to an employee, the expense is debited.
    Reimbursement,
    /// Owed back by an employee, the expense is credited.
    ReimbursementCredit,
}

/// What is read where the accounting API is not granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expenses {
    /// Types of expenses. Default: `CARD`.
    pub types: Vec<String>,
    /// States of expenses. `SPLIT` is not possible: its parts are read instead. Default: `APPROVED` and `SETTLED`.
    pub statuses: Vec<String>,
    /// States of payment. Default: `CLEARED`.
    pub payment_statuses: Vec<String>,
    /// Types of card transactions that are read beside the expenses. `PURCHASE` is not possible: that is the expense.
    /// Default: `REFUND` and `CHARGEBACK`.
    pub card_transactions: Vec<String>,
    /// Ids of cash accounts whose transactions are read. Default: none.
    pub cash_accounts: Vec<String>,
    /// Types of cash transactions. Default: `FEE`.
    pub cash_transactions: Vec<String>,
    /// Whether money that leaves a cash account is negative there. Default: yes (not documented: compare one).
    pub cash_out_is_negative: bool,
}

/// Where reference data goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reference {
    /// The field for accounts.
    pub accounts: FieldSettings,
    /// The field for cost centres.
    pub cost_centres: FieldSettings,
    /// The field for projects.
    pub projects: FieldSettings,
    /// The group that a missing field is made in. Default: `accounting`, which Brex manages itself.
    pub group: FieldGroup,
    /// The identifier that Brex has issued for this ERP; needed for fields of the group `erp`. Default: none.
    pub integration_vendor: Option<String>,
    /// The account at the ERP, for instance its company; with `integration_vendor`. Default: none.
    pub integration_account: Option<String>,
    /// Values of one call, 1 to 1000. Default: 500.
    pub batch_size: u16,
}

/// A field that holds a reference set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldSettings {
    /// The field's remote id.
    pub remote_id: String,
    /// Its name, when it has to be made.
    pub name: String,
}

/// The group of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FieldGroup {
    /// Managed in Brex.
    #[default]
    Accounting,
    /// Of a connected ERP.
    Erp,
}

impl Default for Oauth {
    fn default() -> Self {
        Self {
            issuer: "https://accounts-api.brex.com/oauth2/default".to_owned(),
            token_url: None,
            basic: false,
        }
    }
}

impl Default for Expenses {
    fn default() -> Self {
        Self {
            types: words(&["CARD"]),
            statuses: words(&["APPROVED", "SETTLED"]),
            payment_statuses: words(&["CLEARED"]),
            card_transactions: words(&["REFUND", "CHARGEBACK"]),
            cash_accounts: Vec::new(),
            cash_transactions: words(&["FEE"]),
            cash_out_is_negative: true,
        }
    }
}

impl Default for Reference {
    fn default() -> Self {
        let field = |remote_id: &str, name: &str| FieldSettings {
            remote_id: remote_id.to_owned(),
            name: name.to_owned(),
        };
        Self {
            accounts: field("GL_ACCOUNT", "GL Account"),
            cost_centres: field("COST_CENTRE", "Cost centre"),
            projects: field("PROJECT", "Project"),
            group: FieldGroup::default(),
            integration_vendor: None,
            integration_account: None,
            batch_size: 500,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let types = [
            ("CARD_EXPENSE_POST", RecordRole::Charge),
            ("CARD_EXPENSE_REFUND", RecordRole::Credit),
            ("REIMBURSEMENT_EXPENSE_APPROVAL", RecordRole::Reimbursement),
        ];
        Self {
            surface: SurfaceChoice::default(),
            auth: Auth::default(),
            oauth: Oauth::default(),
            types: types.map(|(name, role)| (name.to_owned(), role)).into(),
            ignored_types: BTreeSet::new(),
            gl_fields: words(&["GL_ACCOUNT"]),
            tag_fields: Vec::new(),
            remote_prefix: String::new(),
            remote_separator: String::new(),
            value_codes: BTreeMap::new(),
            zone: "UTC".to_owned(),
            page_size: 100,
            report_size: 50,
            lead_days: 31,
            sweep_days: 400,
            company_id: None,
            expenses: Expenses::default(),
            reference: Reference::default(),
            rate_limits: vec![(1000, 60)],
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Settings {
    /// Reads settings from the configuration.
    ///
    /// # Errors
    /// Every fault, each beginning with the path of the setting, relative to the connection.
    pub fn from_json(map: &Map<String, Value>) -> Result<Self, Vec<String>> {
        settings::read(map, Self::faults)
    }

    /// The time zone; settings that were read have a known one.
    pub(super) fn tz(&self) -> Tz {
        self.zone.parse().unwrap_or(Tz::UTC)
    }
}

/// Whether a text can be an id of this vendor; ids are opaque otherwise.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'=' | b'+' | b'/'))
}
