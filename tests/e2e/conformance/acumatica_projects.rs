//! Projects and their tasks on Acumatica: from a record's tags through validation to the lines that are booked.

use super::acumatica::{Plain, Site};
use super::bench::today;
use super::erp::{ErpFixture, reference, settle};
use serde_json::{Value, json};
use spend::document::{Owner, RecordKind, SpendDocument, SpendLine, Tag};
use spend::finding::FindingCode;
use spend::ids::{FlowId, LineId, Revision, SourceId};
use spend::mapping::{CategoryRule, DocumentKind, MappingRules, TagRule, TagTarget};
use spend::money::{Currency, Money};
use spend::plan::{PlanContext, PostingPlan};
use spend::reference::ReferenceData;
use spend::validate::validate;

fn record(id: &str, tags: &[(u8, &str)]) -> SpendDocument {
    let amount = Money::new(12_550, Currency::USD);
    let day = today() - chrono::Days::new(3);
    let tag = |(level, value): &(u8, &str)| Tag { level: *level, value: (*value).to_owned(), code: None };
    let line = SpendLine {
        id: LineId::from("1"),
        date: Some(day),
        merchant: "Acme Air".to_owned(),
        merchant_id: None,
        category: Some("Travel".to_owned()),
        category_code: None,
        tags: tags.iter().map(tag).collect(),
        amount,
        original: None,
        tax: None,
        reimbursable: true,
        billable: false,
        comment: String::new(),
        receipt_url: None,
    };
    SpendDocument {
        source_id: SourceId::from(id),
        revision: Revision::from(""),
        kind: RecordKind::ExpenseReport,
        title: "Site visit".to_owned(),
        owner: Owner { email: "ann@example.test".to_owned(), name: None, employee_number: None },
        workspace: "W1".to_owned(),
        status: "Approved".to_owned(),
        currency: Currency::USD,
        submitted: None,
        approved: Some(day),
        paid: None,
        declared_total: Some(amount),
        lines: vec![line],
        same_as: None,
        part_of: None,
    }
    .with_content_revision()
}

/// The first level of tags is the project, the second its task.
fn rules() -> MappingRules {
    let tag = |level, target| TagRule {
        level,
        target,
        required: false,
        values: Default::default(),
        pass_through: true,
    };
    let travel = CategoryRule {
        account: "6100".to_owned(),
        segments: [(2, "10".to_owned()), (3, "200".to_owned())].into(),
        dimensions: Default::default(),
    };
    MappingRules {
        categories: [("Travel".to_owned(), travel)].into(),
        tags: vec![tag(1, TagTarget::Project), tag(2, TagTarget::Dimension("project-task".to_owned()))],
        offset_reimbursable: Some("2150|00|200".to_owned()),
        ..MappingRules::default()
    }
}

/// The plan, or what the record is held for.
fn planned(
    document: &SpendDocument,
    data: &ReferenceData,
) -> Result<PostingPlan, Vec<(FindingCode, String)>> {
    let context = PlanContext {
        flow: FlowId::from("conformance"),
        prefix: "EXP".to_owned(),
        company: "EPIC06".into(),
        kind: DocumentKind::Journal,
    };
    let valid = validate(document, &rules(), data, &context);
    let plan = valid.and_then(|valid| PostingPlan::build(&valid, &context));
    plan.map_err(|findings| findings.into_iter().map(|finding| (finding.code, finding.value)).collect())
}

/// Project and task of the line that is no offset.
fn place(site: &Site<Plain>, plan: &PostingPlan) -> (String, String) {
    let document = site.state_of(|document| document["reference"] == plan.reference.to_string());
    let lines = document["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["account"].as_str().unwrap().starts_with("6100")).unwrap();
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    (text("project"), text("task"))
}

#[tokio::test]
async fn a_record_with_project_and_task_is_booked_there_and_one_without_task_gets_the_projects_default() {
    let site = Site::<Plain>::start().await;
    let erp = site.client();
    site.wire().control("edit-record", reopened("P-110"));
    let data = reference(&*erp).await;
    for (id, tags, expected) in [
        ("R00task", vec![(1, "P-100"), (2, "GENERAL")], ("P-100", "GENERAL")),
        ("R00other", vec![(1, "P-110"), (2, "DESIGN")], ("P-110", "DESIGN")),
        ("R00default", vec![(1, "P-120")], ("P-120", "GENERAL")),
    ] {
        let plan = planned(&record(id, &tags), &data).unwrap();
        settle(&*erp, &plan).await;
        assert_eq!(place(&site, &plan), (expected.0.to_owned(), expected.1.to_owned()));
    }
}

#[tokio::test]
async fn a_record_with_a_closed_or_unknown_task_waits_and_says_which() {
    let site = Site::<Plain>::start().await;
    // The same task is open in another project.
    site.wire().control("edit-record", reopened("P-110"));
    let data = reference(&*site.client()).await;
    for (tags, code, value) in [
        (vec![(1, "P-100"), (2, "DESIGN")], FindingCode::DimensionInactive, "DESIGN"),
        (vec![(1, "P-100"), (2, "ROOF")], FindingCode::DimensionUnknown, "ROOF"),
        (vec![(2, "GENERAL")], FindingCode::DimensionUnknown, "GENERAL"),
    ] {
        assert_eq!(
            planned(&record("R00held", &tags), &data),
            Err(vec![(code, value.to_owned())]),
            "{tags:?}"
        );
    }
}

fn reopened(project: &str) -> Value {
    json!({ "entity": "ProjectTask", "id": format!("{project}/DESIGN"), "set": { "Status": "Active" } })
}
