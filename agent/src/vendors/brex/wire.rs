//! What Brex writes, in its own spelling. Only what is used is named here; fields and enum values that are not known
//! are ignored, and everything that may be null or absent is optional.

use super::money::{Major, Minor};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// A page of any list. Items stay raw, so that one that cannot be read does not take the others with it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    pub(super) items: Option<Vec<Box<RawValue>>>,
    /// `null`, absent and empty all mean: this was the last page.
    pub(super) next_cursor: Option<String>,
    /// v3 only.
    pub(super) has_next_page: Option<bool>,
    /// v3 only; may be null or absent.
    pub(super) total_count: Option<u64>,
}

/// The id of an item, for paging and for items of which nothing else can be read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) id: Option<String>,
    pub(super) brex_id: Option<String>,
}

/// An accounting record.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Record {
    pub(super) id: Option<String>,
    /// `CARD_EXPENSE_POST`, ...; an open list.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) review_status: Option<String>,
    /// The expense that it stands for: the id of the same spend on the fall-back surface.
    pub(super) source_id: Option<String>,
    pub(super) version: Option<u64>,
    pub(super) amount: Option<Major>,
    pub(super) erp_posting_date: Option<String>,
    pub(super) posted_at: Option<String>,
    pub(super) updated_at: Option<String>,
    pub(super) memo: Option<String>,
    pub(super) user: Option<Person>,
    pub(super) vendor: Option<RecordVendor>,
    pub(super) line_items: Option<Vec<RecordLine>>,
}

/// Who spent. Names carry trailing blanks (D-obs).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Person {
    pub(super) id: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) department_id: Option<String>,
    pub(super) department_name: Option<String>,
    pub(super) location_id: Option<String>,
    pub(super) location_name: Option<String>,
}

/// The merchant of a card record (`pmch_...`), which is no vendor of `/v1/vendors` (D-obs).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RecordVendor {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

/// One side of the double entry. The amount is always positive; `type` is the side (D).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RecordLine {
    pub(super) id: Option<String>,
    /// `DEBIT` or `CREDIT`.
    #[serde(rename = "type")]
    pub(super) side: Option<String>,
    pub(super) memo: Option<String>,
    pub(super) amount: Option<Major>,
    pub(super) original_amount: Option<Major>,
    pub(super) accounting_field_values: Option<Vec<FieldChoice>>,
}

/// A field's value on a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct FieldChoice {
    pub(super) brex_field_id: Option<String>,
    pub(super) remote_field_id: Option<String>,
    pub(super) field_name: Option<String>,
    pub(super) brex_field_value_id: Option<String>,
    /// `null` when the value was made in Brex by hand (D-obs).
    pub(super) remote_field_value_id: Option<String>,
    pub(super) field_value_name: Option<String>,
}

/// The answer to a report of results.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reported {
    pub(super) updated_accounting_record_ids: Option<Vec<String>>,
}

/// An expense of the fall-back surface.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Expense {
    pub(super) id: Option<String>,
    pub(super) updated_at: Option<String>,
    /// The expense of which this one is a part, after a split.
    pub(super) parent_expense_id: Option<String>,
    pub(super) memo: Option<String>,
    pub(super) expense_type: Option<String>,
    pub(super) status: Option<String>,
    pub(super) payment_status: Option<String>,
    /// Brex's own word (`OFFICE_SUPPLIES`), no GL account (D).
    pub(super) category: Option<String>,
    pub(super) merchant_id: Option<String>,
    pub(super) merchant: Option<Merchant>,
    pub(super) user_id: Option<String>,
    pub(super) user: Option<Person>,
    pub(super) department_id: Option<String>,
    pub(super) department: Option<Dimension>,
    pub(super) location_id: Option<String>,
    pub(super) location: Option<Dimension>,
    pub(super) original_amount: Option<Minor>,
    pub(super) billing_amount: Option<Minor>,
    pub(super) purchased_at: Option<String>,
    pub(super) payment_posted_at: Option<String>,
    pub(super) approved_at: Option<String>,
    pub(super) submitted_at: Option<String>,
    pub(super) exported_at: Option<String>,
    pub(super) custom_fields: Option<Vec<CustomField>>,
}

/// A merchant outside v3.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Merchant {
    pub(super) raw_descriptor: Option<String>,
}

/// A department or location.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dimension {
    pub(super) name: Option<String>,
}

/// A custom field. Its inner wrapper is deep and read tolerantly (D).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CustomField {
    pub(super) key: Option<String>,
    pub(super) value: Option<Value>,
}

/// A settled card or cash transaction.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Transaction {
    pub(super) id: Option<String>,
    pub(super) description: Option<String>,
    /// May be null on cash transactions (D).
    pub(super) amount: Option<Minor>,
    pub(super) initiated_at_date: Option<String>,
    pub(super) posted_at_date: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) merchant: Option<Merchant>,
    pub(super) expense_id: Option<String>,
}

/// A user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct User {
    pub(super) id: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) email: Option<String>,
}

/// The company. Webhooks are routed by its id.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Company {
    pub(super) id: Option<String>,
    pub(super) legal_name: Option<String>,
}

/// A field of the Fields API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Field {
    pub(super) brex_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) remote_id: Option<String>,
    pub(super) is_disabled: Option<bool>,
}

/// A value of a field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FieldValue {
    pub(super) brex_id: Option<String>,
    pub(super) remote_id: Option<String>,
    pub(super) value_id: Option<String>,
    pub(super) value: Option<String>,
    pub(super) is_disabled: Option<bool>,
}

/// A vendor. Its payment accounts are never read: they hold bank numbers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Vendor {
    pub(super) id: Option<String>,
    pub(super) company_name: Option<String>,
}

/// The ERP that is connected to the Brex account. The schema calls its id `integration_id`, every example `id` (D).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Integration {
    pub(super) id: Option<String>,
    pub(super) integration_id: Option<String>,
    pub(super) status: Option<String>,
}

/// The answer of the token endpoint (RFC 6749).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    #[serde(default)]
    pub(super) refresh_token: Option<String>,
    #[serde(default)]
    pub(super) expires_in: Option<u32>,
}

/// What is used of the OpenID discovery document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Discovery {
    pub(super) token_endpoint: Option<String>,
}
