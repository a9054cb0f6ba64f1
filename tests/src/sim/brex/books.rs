//! What the vendor holds for one account: people, fields, suppliers, and the records of what was spent. Expenses and
//! transactions are other views of the same records, so both surfaces tell the same story.

use super::wire;
use crate::world::{
    CARD_LIABILITY, CASH, SpendFault, SpendKind, SpendState, World, WorldEmployee, WorldMerchant, WorldSpend,
    WorldSpendLine,
};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
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
    merchants: BTreeMap<String, String>,
}

impl Books {
    pub(super) fn from_world(world: &World, spend: &[WorldSpend], rng: &mut fastrand::Rng) -> Self {
        let made = world.today.and_time(chrono::NaiveTime::MIN).and_utc() - TimeDelta::days(60);
        let mut books = Self {
            company_id: wire::id(rng, "cuacc"),
            entity_id: wire::id(rng, "cuse"),
            card_account: wire::id(rng, "cacc"),
            cash_account: wire::id(rng, "dpacc"),
            card_id: wire::id(rng, "ncard"),
            currency: world.currency.clone(),
            ..Self::default()
        };
        books.add_labels(world, rng);
        books.add_users(world, rng);
        books.add_fields(world, made, rng);
        // Half of the suppliers are known here already, some in another spelling.
        for (index, vendor) in world.vendors.iter().step_by(2).enumerate() {
            let name = if index % 3 == 1 { vendor.name.to_uppercase() } else { vendor.name.clone() };
            books.vendors.push(Vendor {
                id: wire::id(rng, "vendor"),
                name: ascii(&name),
                email: None,
                phone: None,
            });
        }
        for each in spend {
            books.add(each, rng);
        }
        books
    }

    fn add_labels(&mut self, world: &World, rng: &mut fastrand::Rng) {
        let mut labels = |segment: usize, prefix: &str| -> Vec<Label> {
            let values = world.segments.get(segment).map(|s| s.values.as_slice()).unwrap_or_default();
            let label = |(code, name, _): &(String, String, bool)| Label {
                id: wire::id(rng, prefix),
                name: name.clone(),
                description: Some(code.clone()),
            };
            values.iter().map(label).collect()
        };
        self.departments = labels(1, "dep");
        self.locations = labels(2, "loc");
        for name in ["Buyer", "Fitter", "Plant manager"] {
            self.titles.push(Label { id: wire::id(rng, "title"), name: name.to_owned(), description: None });
        }
    }

    fn add_users(&mut self, world: &World, rng: &mut fastrand::Rng) {
        for data in &world.employees {
            let pick = |rng: &mut fastrand::Rng, from: &[Label]| {
                from.get(rng.usize(..from.len().max(1))).map(|label| label.id.clone())
            };
            let manager = self.users.iter().find(|user| user.data.email == data.manager_email);
            self.users.push(User {
                id: wire::id(rng, "cuuser"),
                manager: manager.map(|user| user.id.clone()),
                department: pick(rng, &self.departments),
                location: pick(rng, &self.locations),
                data: data.clone(),
            });
        }
    }

    fn add_fields(&mut self, world: &World, made: DateTime<Utc>, rng: &mut fastrand::Rng) {
        let segment = |index: usize| world.segments.get(index).map(|s| s.values.clone()).unwrap_or_default();
        let projects = world.projects.iter().map(|p| (p.code.clone(), p.description.clone(), p.active));
        let sets = [
            ("GL Account", GL_ACCOUNT, segment(0), true),
            ("Department", DEPARTMENT, segment(1), false),
            ("Project", PROJECT, projects.collect(), false),
        ];
        for (name, key, values, with_code) in sets {
            let mut field = Field {
                id: wire::id(rng, "extended_field"),
                name: name.to_owned(),
                remote_id: Some(key.to_owned()),
                group: "ACCOUNTING".to_owned(),
                integration_id: None,
                disabled: false,
                updated: made,
                values: Vec::new(),
            };
            for (code, name, active) in values {
                field.values.push(FieldValue {
                    id: wire::id(rng, "efo"),
                    value: if with_code { format!("{code} {name}") } else { name },
                    value_id: Some(code.clone()),
                    remote_id: Some(code),
                    disabled: !active && key != PROJECT,
                    updated: made,
                });
            }
            self.fields.push(field);
        }
    }

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

    /// Makes the records of one movement and gives their ids.
    pub(super) fn add(&mut self, spend: &WorldSpend, rng: &mut fastrand::Rng) -> Vec<String> {
        if spend.kind == SpendKind::CashFee {
            let amount = (!spend.number.is_multiple_of(3)).then(|| spend.amount());
            let (currency, posted) = (spend.currency.clone(), spend.posted);
            self.fees.push(Fee { id: wire::id(rng, "dptx"), amount, currency, posted });
            return Vec::new();
        }
        let first = self.make(spend, rng);
        let mut ids = vec![first.id.clone()];
        if spend.kind == SpendKind::Reimbursement {
            // Accrual and cash basis are told apart by two records of one expense.
            let second = Record {
                id: wire::id(rng, "accr"),
                kind: "REIMBURSEMENT_EXPENSE_POST".to_owned(),
                lines: first
                    .lines
                    .iter()
                    .map(|l| Line { id: wire::id(rng, "accrli"), ..l.clone() })
                    .collect(),
                echo: true,
                ..first.clone()
            };
            ids.push(second.id.clone());
            self.records.push(second);
        }
        self.records.push(first);
        ids
    }

    fn make(&mut self, spend: &WorldSpend, rng: &mut fastrand::Rng) -> Record {
        let (kind, source_type) = match spend.kind {
            SpendKind::Purchase => ("CARD_EXPENSE_POST", "CARD"),
            SpendKind::Refund => ("CARD_EXPENSE_REFUND", "CARD"),
            SpendKind::Repayment => ("CARD_EXPENSE_REPAYMENT", "CARD"),
            SpendKind::CardPayment | SpendKind::CashFee => ("CARD_PAYMENT", "CARD"),
            SpendKind::Reimbursement => ("REIMBURSEMENT_EXPENSE_APPROVAL", "REIMBURSEMENT"),
            SpendKind::Bill => ("BILL_EXPENSE", "BILL"),
        };
        let lines = self.lines(spend, rng);
        let parts = if spend.lines.len() > 1 { spend.lines.len() } else { 0 };
        let owner =
            spend.employee.as_ref().and_then(|email| self.users.iter().find(|u| u.data.email == *email));
        let on_card = matches!(spend.kind, SpendKind::Purchase | SpendKind::Refund | SpendKind::CardPayment);
        let in_cash = matches!(
            spend.kind,
            SpendKind::CardPayment | SpendKind::Reimbursement | SpendKind::Bill | SpendKind::Repayment
        );
        let user = owner.map(|user| user.id.clone());
        let id_of =
            |rng: &mut fastrand::Rng, wanted: bool, prefix: &str| wanted.then(|| wire::id(rng, prefix));
        Record {
            id: wire::id(rng, "accr"),
            kind: kind.to_owned(),
            source_type,
            source_id: id_of(rng, spend.kind != SpendKind::CardPayment, "expense"),
            status: status_of(spend.state),
            version: 1 + u32::from(spend.state != SpendState::Prepare) * 2,
            updated: spend.posted + TimeDelta::microseconds(rng.i64(1..40_000_000_000)),
            purchased: spend.purchased,
            posted: spend.posted,
            currency: spend.currency.clone(),
            original_currency: spend.original_currency.clone(),
            memo: (!spend.memo.is_empty()).then(|| spend.memo.clone()),
            user,
            merchant: self.named(spend, rng),
            receipts: id_of(rng, spend.receipt, "receipt").into_iter().collect(),
            lines,
            due: (spend.kind == SpendKind::Bill).then(|| spend.posted.date_naive() + Days::new(30)),
            invoice_number: spend.invoice_number.clone(),
            reference: (spend.state == SpendState::Exported).then(|| format!("BY-HAND-{}", spend.number)),
            link: None,
            failure: None,
            exported: (spend.state == SpendState::Exported).then_some(spend.posted),
            reported: false,
            card: id_of(rng, on_card, "pste"),
            cash: id_of(rng, in_cash, "dptx"),
            parts: (0..parts).map(|_| wire::id(rng, "expense")).collect(),
            echo: false,
        }
    }

    /// A bill names one of the suppliers, a card purchase a merchant.
    fn named(&mut self, spend: &WorldSpend, rng: &mut fastrand::Rng) -> Option<(String, WorldMerchant)> {
        let merchant = spend.merchant.clone()?;
        let id = match spend.kind {
            SpendKind::Bill => match self.vendors.iter().find(|vendor| vendor.is_called(&merchant.name)) {
                Some(vendor) => vendor.id.clone(),
                None => {
                    let (id, name) = (wire::id(rng, "vendor"), ascii(&merchant.name));
                    self.vendors.push(Vendor { id: id.clone(), name, email: None, phone: None });
                    id
                }
            },
            _ => self.merchant_id(&merchant.name, rng),
        };
        Some((id, merchant))
    }

    fn lines(&mut self, spend: &WorldSpend, rng: &mut fastrand::Rng) -> Vec<Line> {
        let inflow = matches!(spend.kind, SpendKind::Refund | SpendKind::Repayment);
        let mut lines: Vec<Line> = Vec::new();
        let last = spend.lines.len().saturating_sub(1);
        for (index, line) in spend.lines.iter().enumerate() {
            let by_hand = spend.fault == Some(SpendFault::ByHand) && index == last;
            let values = if spend.kind == SpendKind::CardPayment {
                Vec::new()
            } else {
                self.values_of(line, by_hand, rng)
            };
            lines.push(Line {
                id: wire::id(rng, "accrli"),
                debit: !inflow,
                memo: (!line.memo.is_empty()).then(|| line.memo.clone()),
                amount: line.amount,
                original: line.original,
                values,
                spend: true,
            });
        }
        lines.push(Line {
            id: wire::id(rng, "accrli"),
            debit: inflow,
            memo: None,
            amount: spend.amount(),
            original: spend.original(),
            values: Vec::new(),
            spend: false,
        });
        lines
    }

    fn values_of(
        &mut self,
        line: &WorldSpendLine,
        by_hand: bool,
        rng: &mut fastrand::Rng,
    ) -> Vec<(String, String)> {
        let codes = [(GL_ACCOUNT, &line.natural), (DEPARTMENT, &line.department), (PROJECT, &line.project)];
        let mut values = Vec::new();
        for (key, code) in codes {
            let Some(code) = code else { continue };
            values.extend(self.coded(key, code, by_hand && key != PROJECT, rng));
        }
        values
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
    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(&ascii(name))
    }
}

/// Names here hold nothing else.
fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii).collect()
}

fn status_of(state: SpendState) -> Status {
    match state {
        SpendState::Prepare => Status::Prepare,
        SpendState::Review => Status::Review,
        SpendState::Ready => Status::Ready,
        SpendState::Exported => Status::Exported,
    }
}
