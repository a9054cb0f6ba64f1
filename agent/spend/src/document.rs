//! The canonical form of a record from a spend system. Vendors are translated into it at the edge
//! (`vendors/<v>/convert.rs`); nothing after that edge knows where a document came from.

use crate::Date;
use crate::ids::{LineId, Revision, SourceId};
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};

/// What kind of record a document was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// An employee's expense report.
    ExpenseReport,
    /// A card transaction or a cash transaction of the company.
    CardTransaction,
    /// A vendor bill or payment request.
    Bill,
    /// A reimbursement to one person.
    Reimbursement,
}

/// Whose spend it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// E-mail address, lower case; the key by which an employee is resolved. Empty = nobody's (spend of the company);
    /// that is a finding only where the rules need the owner.
    pub email: String,
    /// Display name, where the source tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Employee number, where the source tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_number: Option<String>,
}

/// One level of a tag (cost centre, project, ...) on a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// Level, 1 = first.
    pub level: u8,
    /// The value as a person sees it.
    pub value: String,
    /// The code attached to the value in the source, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// One line of spend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendLine {
    /// Id within the source.
    pub id: LineId,
    /// When it was spent.
    pub date: Option<Date>,
    /// Effective merchant.
    pub merchant: String,
    /// The source's own id of the merchant, if it has one. It is outside the revision: the merchant's name is inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
    /// Category name; `None` = uncategorised.
    pub category: Option<String>,
    /// The GL code the source attaches to the category, if any: a natural account, or several segments joined by `|`
    /// (`7500|00|D10`), of which tags and rules may replace all but the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_code: Option<String>,
    /// Tags in level order.
    pub tags: Vec<Tag>,
    /// Effective amount in the document's currency, tax included. Negative = refund.
    pub amount: Money,
    /// The amount in the currency it was spent in, when that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Money>,
    /// The tax within `amount`, when the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
    /// Whether the owner is owed the money (false = paid by company card).
    pub reimbursable: bool,
    /// Whether it can be billed to a customer.
    pub billable: bool,
    /// Free text of the owner.
    pub comment: String,
    /// Where the receipt can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_url: Option<String>,
}

/// A record in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendDocument {
    /// Id within the source.
    pub source_id: SourceId,
    /// Hash of the content that is booked, see [`SpendDocument::content_revision`].
    pub revision: Revision,
    /// What it was made from.
    pub kind: RecordKind,
    /// Title as a person sees it.
    pub title: String,
    /// Whose spend it is.
    pub owner: Owner,
    /// The part of the source it belongs to (Expensify policy id).
    pub workspace: String,
    /// The source's word for its state (`Approved`, `Reimbursed`, ...).
    pub status: String,
    /// Currency of all line amounts.
    pub currency: Currency,
    /// When it was submitted.
    pub submitted: Option<Date>,
    /// When it was approved.
    pub approved: Option<Date>,
    /// When it was paid, if the source pays.
    pub paid: Option<Date>,
    /// The total the source declares, for comparison only.
    pub declared_total: Option<Money>,
    /// Lines in source order.
    pub lines: Vec<SpendLine>,
    /// The id under which the source shows the same spend in another of its lists, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<SourceId>,
    /// The record of which this one is a part: the source replaces it by its parts (a split), or lists the movements of
    /// money behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<SourceId>,
}

impl SpendDocument {
    /// Ids of other records that may stand for the same spend.
    pub fn other_ids(&self) -> impl Iterator<Item = &SourceId> {
        self.same_as.iter().chain(&self.part_of).filter(|id| **id != self.source_id)
    }

    /// 1 = money that was spent, -1 = money that came back, 0 = neither.
    pub fn direction(&self) -> i64 {
        self.total_or_zero().minor.signum()
    }

    /// Whether this and another record may stand for the same spend, so that booking both might book it twice: one names
    /// the other, or one stands for the record of which the other is a part. Two parts of one record are different
    /// spend, so are two records of one list that name the same record of another, and money that was spent is never
    /// the money that came back.
    pub fn may_be_same_spend(&self, other: &Self) -> bool {
        let names = |one: &Self, other: &Self| one.other_ids().any(|id| *id == other.source_id);
        let covers = |whole: &Self, part: &Self| whole.same_as.is_some() && whole.same_as == part.part_of;
        self.source_id != other.source_id
            && (names(self, other) || names(other, self) || covers(self, other) || covers(other, self))
            && self.direction() * other.direction() >= 0
    }

    /// The hash of what is booked, and of nothing else.
    ///
    /// Inside: id, kind, workspace, the owner's address, currency, days of submission and approval, and of each line id,
    /// date, merchant, category, tag values, amount, tax and whether the owner is owed it. Line order does not count.
    ///
    /// Outside: what changes without the spend changing. The status word, the day of payment and the declared total
    /// (a report that is reimbursed stays the same report); title, names, comments, receipt addresses and the original
    /// currency (nothing of it reaches an account); GL codes of categories and tags (they are settings of the workspace:
    /// entering a code there must not make every booked report look changed); ids of other records (they say where else
    /// the spend may be booked, not what it is).
    pub fn content_revision(&self) -> Revision {
        let mut lines: Vec<Vec<u8>> = self.lines.iter().map(SpendLine::booked_bytes).collect();
        lines.sort();
        let mut content = Content::default();
        content.text("spend-document-1");
        content.text(self.source_id.as_str());
        content.text(self.kind.as_str());
        content.text(&self.workspace);
        content.text(&self.owner.email.trim().to_lowercase());
        content.text(self.currency.code());
        content.date(self.submitted);
        content.date(self.approved);
        for line in &lines {
            content.bytes(line);
        }
        Revision::new(&blake3::hash(&content.0).to_hex()[..32])
    }

    /// The same document with its revision computed from its content.
    #[must_use]
    pub fn with_content_revision(self) -> Self {
        Self { revision: self.content_revision(), ..self }
    }
}

impl RecordKind {
    /// The word for it, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExpenseReport => "expense-report",
            Self::CardTransaction => "card-transaction",
            Self::Bill => "bill",
            Self::Reimbursement => "reimbursement",
        }
    }
}

impl SpendLine {
    fn booked_bytes(&self) -> Vec<u8> {
        let mut tags: Vec<(u8, &str)> = self.tags.iter().map(|tag| (tag.level, tag.value.as_str())).collect();
        tags.sort_unstable();
        let mut content = Content::default();
        content.text(self.id.as_str());
        content.date(self.date);
        content.text(&self.merchant);
        content.option(self.category.as_deref());
        content.money(self.amount);
        content.option(self.tax.map(|tax| tax.to_string()).as_deref());
        content.text(if self.reimbursable { "owed" } else { "card" });
        for (level, value) in tags {
            content.bytes(&[level]);
            content.text(value);
        }
        content.0
    }
}

/// Length-prefixed fields, so that no two different contents have the same bytes.
#[derive(Default)]
struct Content(Vec<u8>);

impl Content {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn option(&mut self, text: Option<&str>) {
        self.bytes(&[u8::from(text.is_some())]);
        self.text(text.unwrap_or_default());
    }

    fn date(&mut self, date: Option<Date>) {
        self.option(date.map(|date| date.to_string()).as_deref());
    }

    fn money(&mut self, money: Money) {
        self.text(&money.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{day, document, line, usd};

    fn sample() -> SpendDocument {
        document(vec![line("1", "Travel", 100), line("2", "Meals", 200)])
    }

    /// Sheet item: Expensify 22
    #[test]
    fn a_report_keeps_its_revision_when_only_its_state_or_presentation_changes() {
        let changes: [fn(&mut SpendDocument); 12] = [
            |d| d.same_as = Some(SourceId::from("other")),
            |d| d.part_of = Some(SourceId::from("other")),
            |d| d.status = "Reimbursed".to_owned(),
            |d| d.paid = Some(day("2026-02-01")),
            |d| d.title = "Renamed".to_owned(),
            |d| d.owner.name = None,
            |d| d.owner.email = " Ann@Example.test".to_owned(),
            |d| d.declared_total = None,
            |d| d.lines.reverse(),
            |d| d.lines[0].comment = "other".to_owned(),
            |d| d.lines[0].category_code = Some("6100".to_owned()),
            |d| d.lines[0].tags[0].code = Some("200".to_owned()),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = sample();
            change(&mut changed);
            assert_eq!(changed.content_revision(), sample().revision, "change {number}");
        }
    }

    #[test]
    fn every_change_of_what_is_booked_makes_a_new_revision() {
        let changes: [fn(&mut SpendDocument); 15] = [
            |d| d.source_id = SourceId::from("other"),
            |d| d.kind = RecordKind::Bill,
            |d| d.workspace = "other".to_owned(),
            |d| d.owner.email = "bob@example.test".to_owned(),
            |d| d.currency = Currency::new("EUR").unwrap(),
            |d| d.approved = None,
            |d| d.submitted = None,
            |d| d.lines[0].amount = usd(101),
            |d| d.lines[0].category = None,
            |d| d.lines[0].merchant = "other".to_owned(),
            |d| d.lines[0].date = None,
            |d| d.lines[0].tax = Some(usd(0)),
            |d| d.lines[0].reimbursable = false,
            |d| d.lines[0].tags[0].value = "300".to_owned(),
            |d| d.lines.truncate(1),
        ];
        let mut seen = std::collections::BTreeSet::from([sample().revision]);
        for (number, change) in changes.iter().enumerate() {
            let mut changed = sample();
            change(&mut changed);
            assert!(seen.insert(changed.content_revision()), "change {number}");
        }
    }

    #[test]
    fn records_that_may_be_the_same_spend_are_told_from_siblings() {
        let record = |id: &str, same_as: Option<&str>, part_of: Option<&str>| SpendDocument {
            source_id: SourceId::from(id),
            same_as: same_as.map(SourceId::from),
            part_of: part_of.map(SourceId::from),
            ..sample()
        };
        let whole = record("E1", None, None);
        let parts = ["E1a", "E1b"].map(|id| record(id, None, Some("E1")));
        let listed = ["A1", "A2"].map(|id| record(id, Some("E1"), None));
        let one_spend = [(&whole, &parts[0]), (&whole, &listed[0]), (&listed[0], &parts[1])];
        for (one, other) in one_spend {
            assert!(one.may_be_same_spend(other) && other.may_be_same_spend(one), "{one:?} {other:?}");
        }
        let apart = [(&parts[0], &parts[1]), (&listed[0], &listed[1]), (&whole, &whole)];
        for (one, other) in apart {
            assert!(!one.may_be_same_spend(other), "{one:?} {other:?}");
        }
        assert!(!whole.may_be_same_spend(&record("E2", None, None)));
        let mut refund = record("A3", Some("E1"), None);
        refund.lines.truncate(1);
        refund.lines[0].amount = usd(-100);
        assert!(!whole.may_be_same_spend(&refund), "what came back was not spent");
        assert_eq!(record("E1", Some("E1"), None).other_ids().count(), 0, "its own id says nothing");
    }

    #[test]
    fn a_record_stored_without_ids_of_others_is_read() {
        let stored = serde_json::to_value(sample()).unwrap();
        assert!(stored.get("same_as").is_none() && stored.get("part_of").is_none());
        assert_eq!(serde_json::from_value::<SpendDocument>(stored).unwrap(), sample());
    }

    #[test]
    fn the_revision_is_stable_across_releases() {
        // A different value here would make every booked record look changed after an update.
        assert_eq!(sample().revision.as_str(), "c95910ff8775ffa0b962793b523c85d0");
    }
}
