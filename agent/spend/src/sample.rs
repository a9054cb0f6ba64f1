//! One small customer for the tests of this crate: a chart with three segments, two employees, one flow.

use crate::document::{Owner, RecordKind, SpendDocument, SpendLine, Tag};
use crate::ids::{CompanyId, FlowId, GlAccount, LineId, ProjectCode, Revision, SourceId, VendorCode};
use crate::mapping::{CategoryRule, DocumentKind, MappingRules, TagRule, TagTarget};
use crate::money::{Currency, Money};
use crate::plan::{PlanContext, PostingPlan};
use crate::reference::{
    Account, Effective, Employee, Period, Project, ReferenceData, Segment, SegmentValue, Vendor,
};
use crate::validate::{ValidatedDocument, validate};
use crate::{Date, Timestamp};
use std::collections::BTreeMap;

pub(crate) const TRAVEL: &str = "6100|00|200";
pub(crate) const MEALS: &str = "6200|00|200";
pub(crate) const ACCRUED: &str = "2100|00|000";
pub(crate) const CLEARING: &str = "2200|00|000";
pub(crate) const INPUT_TAX: &str = "1400|00|200";

pub(crate) fn day(text: &str) -> Date {
    text.parse().unwrap()
}

pub(crate) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
}

pub(crate) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

pub(crate) fn line(id: &str, category: &str, cents: i64) -> SpendLine {
    SpendLine {
        id: LineId::from(id),
        date: Some(day("2026-01-10")),
        merchant: "Acme Air".to_owned(),
        merchant_id: None,
        category: (!category.is_empty()).then(|| category.to_owned()),
        category_code: None,
        tags: vec![Tag { level: 1, value: "200".to_owned(), code: None }],
        amount: usd(cents),
        original: None,
        tax: None,
        reimbursable: true,
        billable: false,
        comment: "client visit".to_owned(),
        receipt_url: None,
    }
}

pub(crate) fn document(lines: Vec<SpendLine>) -> SpendDocument {
    let declared_total = Money::sum(Currency::USD, lines.iter().map(|line| line.amount)).ok();
    SpendDocument {
        source_id: SourceId::from("R00bCluvcO4T"),
        revision: Revision::from(""),
        kind: RecordKind::ExpenseReport,
        title: "January trip".to_owned(),
        owner: Owner {
            email: "ann@example.test".to_owned(),
            name: Some("Ann Lee".to_owned()),
            employee_number: None,
        },
        workspace: "POLICY1".to_owned(),
        status: "Approved".to_owned(),
        currency: Currency::USD,
        submitted: Some(day("2026-01-12")),
        approved: Some(day("2026-01-15")),
        paid: None,
        declared_total,
        lines,
        same_as: None,
        part_of: None,
    }
    .with_content_revision()
}

pub(crate) fn rules() -> MappingRules {
    let rule = |account: &str| CategoryRule {
        account: account.to_owned(),
        segments: BTreeMap::new(),
        dimensions: BTreeMap::new(),
    };
    let tag = |level, target| TagRule {
        level,
        target,
        required: false,
        values: BTreeMap::new(),
        pass_through: true,
    };
    MappingRules {
        categories: [("Travel", "6100"), ("Meals", "6200"), ("Old", "6900")]
            .map(|(name, account)| (name.to_owned(), rule(account)))
            .into(),
        default_segments: [(2, "00".to_owned()), (3, "000".to_owned())].into(),
        tags: vec![tag(1, TagTarget::Segment(3)), tag(2, TagTarget::Project)],
        offset_reimbursable: Some("2100".to_owned()),
        offset_card: Some(CLEARING.to_owned()),
        ..MappingRules::default()
    }
}

pub(crate) fn reference() -> ReferenceData {
    let open = Effective::default();
    let account = |text: &str, active: bool| {
        let entry = Account { description: format!("Account {text}"), active, effective: open };
        (GlAccount::from(text), entry)
    };
    let value = |name: &str, active: bool| SegmentValue { name: name.to_owned(), active, effective: open };
    let segment = |name: &str, values: &[(&str, bool)]| Segment {
        name: name.to_owned(),
        dynamic: false,
        values: values.iter().map(|(code, active)| ((*code).to_owned(), value(code, *active))).collect(),
    };
    let vendor = |number: i64, inactive: bool, pay_hold: bool| Vendor {
        number,
        name: format!("Vendor {number}"),
        inactive,
        pay_hold,
        currency: None,
        terms: Some("N30".to_owned()),
    };
    let employee = |number: &str, vendor: Option<&str>| Employee {
        number: number.to_owned(),
        name: number.to_owned(),
        active: true,
        expense_vendor: vendor.map(VendorCode::from),
        manager: None,
    };
    let project = |active| Project { description: "Plant".to_owned(), active, effective: open };
    let period = |number: u32, start: &str, end: &str, closed| Period {
        year: 2026,
        number,
        start: day(start),
        end: day(end),
        closed,
    };
    let naturals =
        [("6100", true), ("6200", true), ("6900", false), ("2100", true), ("2200", true), ("1400", true)];
    ReferenceData {
        as_of: moment(0),
        company: CompanyId::from("EPIC06"),
        accounts: [
            account(TRAVEL, true),
            account(MEALS, true),
            account("6100|00|300", true),
            account("6900|00|200", false),
            account(ACCRUED, true),
            account(CLEARING, true),
            account(INPUT_TAX, true),
        ]
        .into(),
        segments: [
            (1, segment("Account", &naturals)),
            (2, segment("Division", &[("00", true)])),
            (3, segment("Department", &[("000", true), ("200", true), ("300", true), ("900", false)])),
        ]
        .into(),
        vendors: [
            ("ANN", vendor(11, false, false)),
            ("GONE", vendor(12, true, false)),
            ("STOP", vendor(13, false, true)),
        ]
        .map(|(code, vendor)| (VendorCode::from(code), vendor))
        .into(),
        employees: [
            ("ann@example.test".to_owned(), employee("1", Some("ANN"))),
            ("bob@example.test".to_owned(), employee("2", None)),
        ]
        .into(),
        projects: [(ProjectCode::from("P1"), project(true)), (ProjectCode::from("P2"), project(false))]
            .into(),
        dimensions: BTreeMap::new(),
        periods: Some(vec![
            period(1, "2026-01-01", "2026-01-31", false),
            period(2, "2026-02-01", "2026-02-28", true),
            period(3, "2026-03-01", "2026-03-31", false),
        ]),
    }
}

pub(crate) fn context(kind: DocumentKind) -> PlanContext {
    PlanContext {
        flow: FlowId::from("expenses"),
        prefix: "EXP".to_owned(),
        company: CompanyId::from("EPIC06"),
        kind,
    }
}

pub(crate) fn valid(document: &SpendDocument, rules: &MappingRules, kind: DocumentKind) -> ValidatedDocument {
    validate(document, rules, &reference(), &context(kind)).unwrap()
}

pub(crate) fn plan(document: &SpendDocument, rules: &MappingRules, kind: DocumentKind) -> PostingPlan {
    PostingPlan::build(&valid(document, rules, kind), &context(kind)).unwrap()
}
