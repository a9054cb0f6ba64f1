//! What can be changed about the simulated vendor. Every field has a default, so a knob set over the admin interface
//! names only what it changes; an unknown name is refused.

use serde::{Deserialize, Serialize};

/// Behaviour of the simulator. Where the vendor's behaviour is not documented, each known form can be chosen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpensifyKnobs {
    /// The accepted credential.
    pub partner_user_id: String,
    /// The accepted credential's secret.
    pub partner_user_secret: String,
    /// `[calls, milliseconds]` each; empty = no limit.
    pub rate_limits: Vec<(usize, i64)>,
    /// How "too many calls" is said.
    pub rate_form: RateForm,
    /// `Retry-After` seconds on HTTP 429; not documented, so `None`.
    pub retry_after: Option<u32>,
    /// How a wrong credential is refused.
    pub credential_form: CredentialForm,
    /// Milliseconds from the export's answer until its file is complete and `onFinish` runs.
    pub ready_delay_ms: i64,
    /// What a download before that moment gets.
    pub not_ready: NotReady,
    /// Milliseconds that an export call takes.
    pub export_delay_ms: u64,
    /// Seconds that a file can be downloaded.
    pub file_lifetime_s: i64,
    /// Reports per rendered piece; 0 = all in one.
    pub piece_size: usize,
    /// `approvedAfter` also returns reports approved on that very day.
    pub approved_after_inclusive: bool,
    /// Which reports `limit` picks.
    pub limit_order: LimitOrder,
    /// Answer to filters that match nothing.
    pub no_match: NoMatch,
    /// `& < > " '` in texts as entities.
    pub escape_entities: bool,
    /// `${amount}` prints thousands separators.
    pub grouped_numbers: bool,
    /// Single quotes and trailing commas in requests are accepted.
    pub lenient_json: bool,
    /// `GET` with the fields in the query is accepted.
    pub accept_get: bool,
    /// A template error becomes the text of the file instead of an error answer.
    pub template_error_in_file: bool,
    /// Amounts in currencies without decimals are multiplied by 100, as everything is "cents".
    pub two_decimals_always: bool,
    /// Report totals leave out what the company card paid.
    pub total_reimbursable_only: bool,
    /// The first policy lists its tags without levels.
    pub flat_tags: bool,
    /// Validation errors arrive as `responseCode` 500 instead of 410.
    pub validation_as_500: bool,
    /// The account is an administrator of the policies.
    pub policy_admin: bool,
    /// How much of the sections that were asked for the policy getter tells.
    pub policy_sections: PolicySections,
}

impl Default for ExpensifyKnobs {
    fn default() -> Self {
        Self {
            partner_user_id: "aa_sandbox_example_test".to_owned(),
            partner_user_secret: "5eed00000000000000000000000000000000cafe".to_owned(),
            rate_limits: vec![(5, 10_000), (20, 60_000)],
            rate_form: RateForm::Http,
            retry_after: None,
            credential_form: CredentialForm::Body,
            ready_delay_ms: 0,
            not_ready: NotReady::Envelope,
            export_delay_ms: 0,
            file_lifetime_s: 86_400,
            piece_size: 0,
            approved_after_inclusive: false,
            limit_order: LimitOrder::OldestApproved,
            no_match: NoMatch::EmptyList,
            escape_entities: true,
            grouped_numbers: false,
            lenient_json: false,
            accept_get: false,
            template_error_in_file: false,
            two_decimals_always: true,
            total_reimbursable_only: false,
            flat_tags: false,
            validation_as_500: false,
            policy_admin: true,
            policy_sections: PolicySections::Whole,
        }
    }
}

/// See [`ExpensifyKnobs::policy_sections`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicySections {
    /// All of each.
    Whole,
    /// None of them: the policy is named, and holds nothing.
    Missing,
    /// None of them, with the code that means "in part".
    Partial,
    /// The first half of the entries of each.
    Half,
    /// Members without their roles.
    NoRoles,
}

/// See [`ExpensifyKnobs::rate_form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateForm {
    /// HTTP 429 with the JSON envelope.
    Http,
    /// HTTP 200 with the JSON envelope.
    Body,
    /// HTTP 429 with a page.
    Html,
}

/// See [`ExpensifyKnobs::credential_form`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialForm {
    /// HTTP 200 with `responseCode` 500.
    Body,
    /// HTTP 401.
    Http401,
    /// HTTP 403.
    Http403,
}

/// See [`ExpensifyKnobs::not_ready`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotReady {
    /// HTTP 200 with nothing.
    Empty,
    /// HTTP 200 with `responseCode` 404.
    Envelope,
    /// HTTP 200 with `responseMessage` only.
    Message,
    /// HTTP 404.
    Http404,
    /// HTTP 500 with a page.
    Http500,
    /// The first part of the file.
    Incomplete,
    /// Each of the above in turn.
    Rotate,
}

/// See [`ExpensifyKnobs::limit_order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitOrder {
    /// Oldest approval first.
    OldestApproved,
    /// Newest approval first.
    NewestApproved,
}

/// See [`ExpensifyKnobs::no_match`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoMatch {
    /// The template is rendered with an empty list.
    EmptyList,
    /// The file is empty.
    EmptyFile,
    /// An error answer.
    Error,
}
