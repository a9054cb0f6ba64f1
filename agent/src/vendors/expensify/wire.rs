//! What Expensify writes, in its own spelling: the answer envelope, policies, and the lines of our export template.
//! Missing values arrive as empty strings, null or not at all; ids exceed 2^53; so every value is kept as text.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// A text, number or flag as text; blank and null are missing. Numbers never pass through a float.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scalar(Option<String>);

impl Scalar {
    /// The text, unless it is missing.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    fn from_json(raw: &str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' => match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                // Nearly all of them; most are blank.
                Some(text) if !text.contains('\\') => Some(Self::from(text)),
                _ => Some(Self::from(serde_json::from_str::<String>(raw).ok()?.as_str())),
            },
            b'n' => Some(Self(None)),
            b'{' | b'[' => None,
            _ => Some(Self(Some(raw.to_owned()))),
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self((!text.trim().is_empty()).then(|| text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::from_json(raw.get()).ok_or_else(|| D::Error::custom("expected a text, a number or a flag"))
    }
}

/// The name of a file on the vendor's side. Whoever has it and a credential of the account can read the file, so it
/// does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FileName(String);

impl FileName {
    /// The whole body of a successful export is the bare name.
    pub(super) fn read(text: &str) -> Option<Self> {
        let name = text.trim();
        let plausible = !name.is_empty() && name.len() <= 255 && !name.starts_with(['<', '{', '[']);
        (plausible && !name.chars().any(char::is_control)).then(|| Self(name.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[file name]")
    }
}

/// A JSON object that says how a job went. `responseCode` decides, whatever the HTTP status says.
#[derive(Debug)]
pub(super) struct Envelope {
    /// `responseCode`; absent in a few errors.
    pub(super) code: Option<i64>,
    /// `responseMessage` as it came; shown to people only through [`Envelope::words`].
    pub(super) message: String,
    fields: BTreeMap<String, Box<RawValue>>,
}

impl Envelope {
    /// Reads a body; `None` when it is something else (a file name, a file, a page).
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return None;
        }
        let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
        let scalar = |key: &str| fields.get(key).and_then(|raw| Scalar::from_json(raw.get()));
        let (code, message) = (scalar("responseCode"), scalar("responseMessage"));
        if code.is_none() && message.is_none() {
            return None;
        }
        let code = code.and_then(|code| whole_number(code.get()?));
        let message = message.and_then(|text| text.0).unwrap_or_default();
        Some(Self { code, message, fields })
    }

    /// Whether the job was done. Not 207: that is "in part", documented for the reimbursement of reports alone, which is
    /// never asked for here, and half an answer must not be taken for a whole one.
    pub(super) fn is_success(&self) -> bool {
        self.code == Some(200)
    }

    /// The message, safe to show: short, on one line, and withheld when it may quote our own request.
    pub(super) fn words(&self) -> String {
        if self.message.contains("partnerUser") {
            return "(text withheld: it quotes the request)".to_owned();
        }
        self.message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
    }

    /// One payload field.
    pub(super) fn field<'a, T: Deserialize<'a>>(&'a self, key: &str) -> Result<T, String> {
        let raw = self.fields.get(key).ok_or_else(|| format!("the answer has no `{key}`"))?;
        serde_json::from_str(raw.get())
            .map_err(|error| format!("`{key}` in the answer is not understood: {error}"))
    }
}

/// `200`, `200.0` and `"200"` are the same code.
fn whole_number(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    fraction.bytes().all(|b| b == b'0').then(|| whole.parse().ok()).flatten()
}

/// A line of the export file, by its `k`.
#[derive(Debug, Deserialize)]
pub(super) struct LineKind {
    pub(super) k: String,
}

/// `k = R`: a report begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ReportLine {
    #[serde(rename = "reportID")]
    pub(super) report_id: Scalar,
    pub(super) report_name: Scalar,
    pub(super) status: Scalar,
    pub(super) state: Scalar,
    #[serde(rename = "policyID")]
    pub(super) policy_id: Scalar,
    pub(super) account_email: Scalar,
    pub(super) submitter_name: Scalar,
    #[serde(rename = "submitterUserID")]
    pub(super) submitter_user_id: Scalar,
    pub(super) currency: Scalar,
    pub(super) total: Scalar,
    pub(super) created: Scalar,
    pub(super) submitted: Scalar,
    pub(super) approved: Scalar,
    pub(super) reimbursed: Scalar,
}

/// `k = E`: an expense of the report that was begun last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ExpenseLine {
    #[serde(rename = "reportID")]
    pub(super) report_id: Scalar,
    #[serde(rename = "transactionID")]
    pub(super) transaction_id: Scalar,
    pub(super) merchant: Scalar,
    pub(super) modified_merchant: Scalar,
    pub(super) created: Scalar,
    pub(super) modified_created: Scalar,
    pub(super) currency: Scalar,
    pub(super) amount: Scalar,
    pub(super) modified_amount: Scalar,
    pub(super) converted_amount: Scalar,
    pub(super) has_tax: Scalar,
    pub(super) tax_amount: Scalar,
    pub(super) modified_tax_amount: Scalar,
    pub(super) category: Scalar,
    pub(super) category_gl_code: Scalar,
    pub(super) tag: Scalar,
    pub(super) tag_gl_code: Scalar,
    pub(super) ntag1: Scalar,
    #[serde(rename = "ntag1GlCode")]
    pub(super) ntag1_gl_code: Scalar,
    pub(super) ntag2: Scalar,
    #[serde(rename = "ntag2GlCode")]
    pub(super) ntag2_gl_code: Scalar,
    pub(super) ntag3: Scalar,
    #[serde(rename = "ntag3GlCode")]
    pub(super) ntag3_gl_code: Scalar,
    pub(super) comment: Scalar,
    pub(super) reimbursable: Scalar,
    pub(super) billable: Scalar,
    #[serde(rename = "receiptURL")]
    pub(super) receipt_url: Scalar,
}

/// `k = Z`: a report ends. `k = M`: a report that was marked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndLine {
    #[serde(rename = "reportID")]
    pub(super) report_id: Scalar,
    pub(super) expenses: Scalar,
}

/// One policy of `get policyList`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Sixteen hexadecimal digits.
    pub id: Scalar,
    /// Name as people know it.
    pub name: Scalar,
    /// `user`, `auditor`, `admin`, or a word not known yet.
    pub role: Scalar,
    /// `team`, `corporate`, `free`, `control`, `personalPolicy`, or a word not known yet.
    #[serde(rename = "type")]
    pub kind: Scalar,
    /// Currency of its reports.
    pub output_currency: Scalar,
}

/// One policy of `get policy`: only the sections that were asked for. One that is not told is not one without entries:
/// what is taken for an empty list would be written back as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PolicyDetail {
    /// Categories.
    pub categories: Option<Vec<Category>>,
    /// Tags, by level.
    #[serde(deserialize_with = "tag_levels")]
    pub tags: Option<Vec<TagLevel>>,
    /// Members.
    pub employees: Option<Vec<Member>>,
}

impl PolicyDetail {
    /// How many entries a section holds; `None` when it is not told.
    pub(super) fn count(&self, section: &str) -> Option<usize> {
        match section {
            "categories" => self.categories.as_ref().map(Vec::len),
            "tags" => self.tags.as_ref().map(|levels| levels.iter().map(|level| level.tags.len()).sum()),
            "employees" => self.employees.as_ref().map(Vec::len),
            _ => None,
        }
    }
}

/// A category.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Category {
    /// Name, its key.
    pub name: Scalar,
    /// `true` or `false`.
    pub enabled: Scalar,
    /// GL code.
    pub gl_code: Scalar,
    /// Payroll code.
    pub payroll_code: Scalar,
    /// `true` or `false`.
    pub are_comments_required: Scalar,
    /// Shown to whoever writes a comment.
    pub comment_hint: Scalar,
    /// In cents.
    pub max_expense_amount: Scalar,
}

/// One level of tags. A policy with a single level does not name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TagLevel {
    /// Name of the level.
    pub name: Scalar,
    /// Its tags.
    pub tags: Vec<PolicyTag>,
}

/// A tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTag {
    /// Name; dependent levels are joined with `:`.
    pub name: Scalar,
    /// GL code.
    pub gl_code: Scalar,
    /// `true` or `false`.
    pub enabled: Scalar,
}

/// A member of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Member {
    /// E-mail address, the key.
    pub email: Scalar,
    /// Role in the policy.
    pub role: Scalar,
    /// Approver.
    pub submits_to: Scalar,
    /// Employee number.
    #[serde(rename = "employeeID")]
    pub employee_id: Scalar,
    /// Second custom field, often a cost centre.
    pub custom_field2: Scalar,
}

/// What an employee update answers beside its code, which is 200 also where rows were skipped.
#[derive(Debug, Default)]
pub(super) struct EmployeeAnswer {
    /// Address and reason of each row that was not taken.
    pub(super) skipped: Vec<(String, String)>,
    /// Addresses that lose their membership, by policy.
    pub(super) removed: Vec<String>,
}

impl EmployeeAnswer {
    /// Reads it out of an envelope; what is not there, or an empty list instead of an object, is none.
    ///
    /// # Errors
    /// When it says in a way that is not understood who would be removed: that is never "nobody".
    pub(super) fn read(envelope: &Envelope) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Skipped {
            #[serde(default)]
            email: Scalar,
            #[serde(default)]
            reason: Scalar,
        }
        let text = |scalar: &Scalar| scalar.get().unwrap_or_default().trim().to_lowercase();
        let skipped: Vec<Skipped> = envelope.field("skippedEmployees").unwrap_or_default();
        Ok(Self {
            skipped: skipped
                .iter()
                .map(|row| (text(&row.email), row.reason.get().unwrap_or("no reason given").to_owned()))
                .collect(),
            removed: match envelope.fields.get("diff") {
                None => Vec::new(),
                Some(raw) => removed(&serde_json::from_str(raw.get()).map_err(|error| error.to_string())?)?,
            },
        })
    }
}

/// The addresses in `diff.diffToRemove`, which is documented as lists by policy id, and may as well be one list.
fn removed(diff: &Value) -> Result<Vec<String>, String> {
    let listed = match diff {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Object(diff) => match diff.get("diffToRemove") {
            None if diff.keys().any(|key| key != "diffToAdd") => {
                return Err("`diff` in the answer does not say who would be removed".to_owned());
            }
            listed => listed,
        },
        _ => return Err("`diff` in the answer is not understood".to_owned()),
    };
    let mut addresses = Vec::new();
    collect_addresses(listed.unwrap_or(&Value::Null), &mut addresses)?;
    Ok(addresses)
}

/// Every text within lists and objects, however they are nested. A text that is no address is a stranger's all the
/// same, so nothing is read out of it that would let an update pass.
fn collect_addresses(value: &Value, found: &mut Vec<String>) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::String(address) => {
            found.push(address.trim().to_lowercase());
            Ok(())
        }
        Value::Array(list) => list.iter().try_for_each(|item| collect_addresses(item, found)),
        Value::Object(by_name) => by_name.values().try_for_each(|item| collect_addresses(item, found)),
        Value::Bool(_) | Value::Number(_) => {
            Err("`diff.diffToRemove` in the answer is not understood".to_owned())
        }
    }
}

/// Tags come as a flat list or as a list of levels, and which one is not announced: a level has a key `tags`.
fn tag_levels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<TagLevel>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Either {
        name: Scalar,
        gl_code: Scalar,
        enabled: Scalar,
        tags: Option<Vec<PolicyTag>>,
    }
    let mut levels = Vec::new();
    let mut flat = TagLevel::default();
    let Some(listed) = Option::<Vec<Either>>::deserialize(deserializer)? else { return Ok(None) };
    for either in listed {
        match either.tags {
            Some(tags) => levels.push(TagLevel { name: either.name, tags }),
            None => {
                flat.tags.push(PolicyTag {
                    name: either.name,
                    gl_code: either.gl_code,
                    enabled: either.enabled,
                });
            }
        }
    }
    if !flat.tags.is_empty() {
        levels.insert(0, flat);
    }
    Ok(Some(levels))
}
