//! Fills the books from the world: people, fields and suppliers once, records for each movement.

use super::books::{
    Books, DEPARTMENT, Fee, Field, FieldValue, GL_ACCOUNT, Label, Line, PROJECT, Record, Status, User,
    Vendor, ascii,
};
use super::wire;
use crate::world::{SpendFault, SpendKind, SpendState, World, WorldMerchant, WorldSpend, WorldSpendLine};
use chrono::{DateTime, Days, TimeDelta, Utc};

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
}

fn status_of(state: SpendState) -> Status {
    match state {
        SpendState::Prepare => Status::Prepare,
        SpendState::Review => Status::Review,
        SpendState::Ready => Status::Ready,
        SpendState::Exported => Status::Exported,
    }
}
