//! What the vendor holds for one account: people, fields, suppliers, and the records of what was spent. Expenses and
//! transactions are other views of the same records, so both surfaces tell the same story.

use super::wire;
use crate::world::{CARD_LIABILITY, CASH, WorldEmployee, WorldMerchant};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::collections::BTreeMap;

/// The field that carries accounts, by its key in the ERP.
pub(super) const GL_ACCOUNT: &str = "GL_ACCOUNT";
/// The field that carries departments.
pub(super) const DEPARTMENT: &str = "DEPT";
/// The field that carries projects.
pub(super) const PROJECT: &str = "PROJECT";

/// A stage of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    Prepare,
    Review,
    Ready,
    Exported,
}

impl Status {
    pub(super) const ALL: [Self; 4] = [Self::Prepare, Self::Review, Self::Ready, Self::Exported];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "PREPARE",
            Self::Review => "REVIEW",
            Self::Ready => "READY_FOR_EXPORT",
            Self::Exported => "EXPORTED",
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// One line of a record; amounts in minor units, never negative.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) debit: bool,
    pub(super) memo: Option<String>,
    pub(super) amount: i64,
    pub(super) original: i64,
    /// Field and value, by the vendor's own ids.
    pub(super) values: Vec<(String, String)>,
    /// Spend as opposed to where the money came from.
    pub(super) spend: bool,
}

/// An accounting record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) source_type: &'static str,
    /// The expense, where there is one.
    pub(super) source_id: Option<String>,
    pub(super) status: Status,
    pub(super) version: u32,
    pub(super) updated: DateTime<Utc>,
    pub(super) purchased: DateTime<Utc>,
    pub(super) posted: DateTime<Utc>,
    pub(super) currency: String,
    pub(super) original_currency: String,
    pub(super) memo: Option<String>,
    pub(super) user: Option<String>,
    pub(super) merchant: Option<(String, WorldMerchant)>,
    pub(super) receipts: Vec<String>,
    pub(super) lines: Vec<Line>,
    pub(super) due: Option<NaiveDate>,
    pub(super) invoice_number: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) link: Option<String>,
    pub(super) failure: Option<String>,
    pub(super) exported: Option<DateTime<Utc>>,
    /// Exported by a report of ours, not by hand.
    pub(super) reported: bool,
    /// Ids of the card and cash transactions behind it.
    pub(super) card: Option<String>,
    pub(super) cash: Option<String>,
    /// Ids of the parts of a split expense.
    pub(super) parts: Vec<String>,
    /// The second record of the same expense: it is no further spend.
    pub(super) echo: bool,
}

impl Record {
    /// Money that came back.
    pub(super) fn is_inflow(&self) -> bool {
        matches!(self.kind.as_str(), "CARD_EXPENSE_REFUND" | "CARD_EXPENSE_REPAYMENT")
    }

    /// Sum of the spend lines, positive.
    pub(super) fn amount(&self) -> i64 {
        self.lines.iter().filter(|line| line.spend).map(|line| line.amount).sum()
    }

    /// The same as bought.
    pub(super) fn original(&self) -> i64 {
        self.lines.iter().filter(|line| line.spend).map(|line| line.original).sum()
    }

    /// Negative where money came back.
    pub(super) fn signed(&self) -> i64 {
        if self.is_inflow() { -self.amount() } else { self.amount() }
    }

    pub(super) fn touch(&mut self, now: DateTime<Utc>) {
        self.version += 1;
        self.updated = now.max(self.updated + TimeDelta::microseconds(1));
    }
}

/// A custom field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) remote_id: Option<String>,
    pub(super) group: String,
    pub(super) integration_id: Option<String>,
    pub(super) disabled: bool,
    pub(super) updated: DateTime<Utc>,
    pub(super) values: Vec<FieldValue>,
}

/// One of its values.
#[derive(Clone, Debug)]
pub(super) struct FieldValue {
    pub(super) id: String,
    pub(super) value: String,
    pub(super) value_id: Option<String>,
    pub(super) remote_id: Option<String>,
    pub(super) disabled: bool,
    pub(super) updated: DateTime<Utc>,
}

/// A supplier that bills are paid to.
#[derive(Clone, Debug)]
pub(super) struct Vendor {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
}

/// A person.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) data: WorldEmployee,
    pub(super) department: Option<String>,
    pub(super) location: Option<String>,
    pub(super) manager: Option<String>,
}

/// A department, location or title.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
}

/// A fee that the bank took from the cash account; no record is made of it.
#[derive(Clone, Debug)]
pub(super) struct Fee {
    pub(super) id: String,
    pub(super) amount: Option<i64>,
    pub(super) currency: String,
    pub(super) posted: DateTime<Utc>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) company_id: String,
    pub(super) entity_id: String,
    pub(super) card_account: String,
    pub(super) cash_account: String,
    pub(super) card_id: String,
    pub(super) currency: String,
    pub(super) records: Vec<Record>,
    pub(super) fields: Vec<Field>,
    pub(super) vendors: Vec<Vendor>,
    pub(super) users: Vec<User>,
    pub(super) departments: Vec<Label>,
    pub(super) locations: Vec<Label>,
    pub(super) titles: Vec<Label>,
    pub(super) fees: Vec<Fee>,
    pub(super) merchants: BTreeMap<String, String>,
}

impl Books {
    /// Field and value of an ERP code; by hand = a value that a person made, without the ERP's key.
    pub(super) fn coded(
        &mut self,
        key: &str,
        code: &str,
        by_hand: bool,
        rng: &mut fastrand::Rng,
    ) -> Option<(String, String)> {
        let field = self.fields.iter_mut().find(|field| field.remote_id.as_deref() == Some(key))?;
        let synced = field.values.iter().find(|value| value.remote_id.as_deref() == Some(code))?.clone();
        if !by_hand {
            return Some((field.id.clone(), synced.id));
        }
        let name = format!("{code} (typed in)");
        if let Some(value) = field.values.iter().find(|value| value.value == name) {
            return Some((field.id.clone(), value.id.clone()));
        }
        let id = wire::id(rng, "efo");
        field.values.push(FieldValue {
            id: id.clone(),
            value: name,
            value_id: None,
            remote_id: None,
            ..synced
        });
        Some((field.id.clone(), id))
    }

    pub(super) fn record(&self, id: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.id == id)
    }

    pub(super) fn record_mut(&mut self, id: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.id == id)
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The same descriptor is the same merchant.
    pub(super) fn merchant_id(&mut self, name: &str, rng: &mut fastrand::Rng) -> String {
        self.merchants.entry(name.to_owned()).or_insert_with(|| wire::id(rng, "pmch")).clone()
    }

    /// Accounts of the lines that carry no field: what finance would say.
    pub(super) fn counterpart(kind: &str) -> &'static str {
        if kind.starts_with("CARD_EXPENSE") && kind != "CARD_EXPENSE_REPAYMENT" {
            CARD_LIABILITY
        } else {
            CASH
        }
    }
}

impl Vendor {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(&ascii(name))
    }
}

/// Names here hold nothing else.
pub(super) fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii).collect()
}
