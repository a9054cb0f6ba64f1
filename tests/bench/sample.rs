//! Postings as they lie in the log after a report of five expenses was booked and marked.

use spend::Timestamp;
use spend::document::{Owner, RecordKind, SpendDocument, SpendLine, Tag};
use spend::ids::{CompanyId, FlowId, GlAccount, LineId, PostingKey, SourceId};
use spend::money::{Currency, Money};
use spend::plan::{DocumentReference, JournalLine, PlannedDocument, PostingPlan, Stage};
use spend::posting::{ErpReceipt, Posting, PostingState};
use std::collections::BTreeMap;
use std::sync::Arc;

const EXPENSES: u32 = 5;

/// The flow of all of them.
pub(crate) fn flow() -> FlowId {
    FlowId::from("expenses")
}

/// A moment later than anything in them.
pub(crate) fn moment() -> Timestamp {
    at(u32::MAX / 2)
}

/// The posting of report `n`.
pub(crate) fn acknowledged(n: u32) -> Posting {
    let document = document(n);
    let plan = plan(&document);
    let receipt = ErpReceipt {
        document: format!("journal 2026/GJ/{n}"),
        group: Some(format!("EX{n:07}")),
        stage: Stage::Staged,
    };
    Posting {
        key: plan.key.clone(),
        flow: flow(),
        source_id: document.source_id.clone(),
        revision: document.revision.clone(),
        total: plan.total,
        document: Arc::new(document),
        plan: Some(Arc::new(plan)),
        state: PostingState::Acknowledged { receipt, posted_at: at(n), at: at(n), unmarked: None },
        attempts: 1,
        failures: 0,
        counted: None,
        read_at: None,
        despite_mark: false,
        route: None,
        seen_at: at(n),
        updated_at: at(n),
    }
}

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_timestamp(1_750_000_000 + i64::from(seconds), 0).unwrap_or_default()
}

fn usd(minor: u32) -> Money {
    Money::new(i64::from(minor), Currency::USD)
}

fn document(n: u32) -> SpendDocument {
    SpendDocument {
        source_id: SourceId::new(format!("R{n:011}")),
        revision: "".into(),
        kind: RecordKind::ExpenseReport,
        title: format!("Visit of customer {} in week {}", n % 977, n % 52),
        owner: Owner { email: format!("person{}@example.test", n % 400), name: None, employee_number: None },
        workspace: "0123456789ABCDEF".to_owned(),
        status: "Approved".to_owned(),
        currency: Currency::USD,
        submitted: Some(at(n).date_naive()),
        approved: Some(at(n).date_naive()),
        paid: None,
        declared_total: None,
        lines: (1..=EXPENSES).map(|line| expense(n, line)).collect(),
        same_as: None,
        part_of: None,
    }
    .with_content_revision()
}

fn expense(n: u32, line: u32) -> SpendLine {
    SpendLine {
        id: LineId::new((u64::from(n) * 100 + u64::from(line) + 6_000_000_000_000).to_string()),
        date: Some(at(n).date_naive()),
        merchant: format!("Merchant {}", (n * 7 + line) % 1_301),
        merchant_id: None,
        category: Some(
            ["Meals", "Travel", "Lodging", "Parking", "Office supplies"][(line - 1) as usize].to_owned(),
        ),
        category_code: Some(format!("6{}00", line)),
        tags: vec![Tag { level: 1, value: format!("{:02}", n % 12), code: None }],
        amount: usd(1_000 + (n.wrapping_mul(37) + line * 911) % 50_000),
        original: None,
        tax: None,
        reimbursable: true,
        billable: false,
        comment: String::new(),
        receipt_url: None,
    }
}

fn plan(document: &SpendDocument) -> PostingPlan {
    let line = |account: String, amount, description: &str| JournalLine {
        account: GlAccount::new(account),
        amount,
        description: description.to_owned(),
        project: None,
        dimensions: BTreeMap::new(),
    };
    let mut lines: Vec<JournalLine> = document
        .lines
        .iter()
        .map(|expense| {
            let code = expense.category_code.as_deref().unwrap_or_default();
            line(format!("{code}|{}|200", expense.tags[0].value), expense.amount, &expense.merchant)
        })
        .collect();
    let minor: i64 = document.lines.iter().map(|line| line.amount.minor).sum();
    lines.push(line("2150|00|200".to_owned(), Money::new(-minor, Currency::USD), &document.title));
    let mut plan = PostingPlan {
        key: PostingKey::derive(&flow(), &document.source_id, &document.revision),
        reference: DocumentReference::derive("EXP", &flow(), &document.source_id, &document.revision),
        company: CompanyId::from("EPIC06"),
        currency: Currency::USD,
        date: document.approved.unwrap_or_default(),
        description: document.title.clone(),
        total: Money::new(minor, Currency::USD),
        document: PlannedDocument::Journal { lines },
        hash: String::new(),
    };
    plan.hash = plan.compute_hash();
    plan
}
