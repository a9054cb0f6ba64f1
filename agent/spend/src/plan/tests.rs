//! Plans: what is written, to the cent, in every mode and whatever the order of lines.

use super::*;
use crate::document::{SpendDocument, SpendLine, Tag};
use crate::finding::FindingCode;
use crate::mapping::{LineMode, MappingRules, TagRule, TagTarget};
use crate::sample::{self, context, document, line, plan, rules, usd};
use proptest::prelude::*;

const JOURNAL: DocumentKind = DocumentKind::Journal;
const INVOICE: DocumentKind = DocumentKind::ApInvoice;

fn in_mode(lines: LineMode) -> MappingRules {
    MappingRules { lines, tax_account: Some("1400".into()), card_lines_on_invoice: true, ..rules() }
}

fn in_branches(mut rules: MappingRules) -> MappingRules {
    rules.tags.push(TagRule {
        level: 3,
        target: TagTarget::Dimension("branch".to_owned()),
        required: false,
        values: BTreeMap::new(),
        pass_through: true,
    });
    rules
}

/// Account, minor units and text of every line.
fn booked(plan: &PostingPlan) -> Vec<(String, i64, String)> {
    match &plan.document {
        PlannedDocument::Journal { lines } => {
            lines.iter().map(|l| (l.account.to_string(), l.amount.minor, l.description.clone())).collect()
        }
        PlannedDocument::ApInvoice { lines, .. } => {
            lines.iter().map(|l| (l.account.to_string(), l.amount.minor, l.description.clone())).collect()
        }
    }
}

fn amounts(plan: &PostingPlan) -> Vec<(String, i64)> {
    booked(plan).into_iter().map(|(account, minor, _)| (account, minor)).collect()
}

fn mixed() -> SpendDocument {
    let card = SpendLine { reimbursable: false, ..line("3", "Travel", 700) };
    let refund = line("4", "Meals", -150);
    document(vec![line("2", "Meals", 500), line("1", "Travel", 1000), card, refund])
}

fn pairs(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected.iter().map(|(account, minor)| ((*account).to_owned(), *minor)).collect()
}

#[test]
fn a_summary_journal_has_one_line_per_account_and_one_per_offset() {
    let plan = plan(&mixed(), &in_mode(LineMode::Summary), JOURNAL);
    let expected =
        [(sample::TRAVEL, 1700), (sample::MEALS, 350), (sample::ACCRUED, -1350), (sample::CLEARING, -700)];
    assert_eq!(amounts(&plan), pairs(&expected));
    assert_eq!(plan.total, usd(2050));
    assert_eq!(plan.size(), Ok(usd(2050)));
    assert!(plan.is_intact());
}

#[test]
fn a_detailed_journal_has_one_line_per_expense() {
    let plan = plan(&mixed(), &in_mode(LineMode::Detail), JOURNAL);
    let expected = [
        (sample::TRAVEL, 1000),
        (sample::MEALS, 500),
        (sample::TRAVEL, 700),
        (sample::MEALS, -150),
        (sample::ACCRUED, -1350),
        (sample::CLEARING, -700),
    ];
    assert_eq!(amounts(&plan), pairs(&expected));
    assert_eq!(booked(&plan)[0].2, "Acme Air, Travel");
}

#[test]
fn offsets_on_one_account_are_one_line() {
    let one = MappingRules { offset_card: Some(sample::ACCRUED.into()), ..rules() };
    let plan = plan(&mixed(), &one, JOURNAL);
    assert_eq!(amounts(&plan).last(), pairs(&[(sample::ACCRUED, -2050)]).first());
}

#[test]
fn lines_on_different_projects_are_not_summed() {
    let tagged = |id: &str, project: &str| {
        let tag = Tag { level: 2, value: project.to_owned(), code: None };
        let mut line = line(id, "Travel", 100);
        line.tags.push(tag);
        line
    };
    let report = document(vec![tagged("1", "P1"), line("2", "Travel", 100), tagged("3", "P1")]);
    let expected = [(sample::TRAVEL, 100), (sample::TRAVEL, 200), (sample::ACCRUED, -300)];
    assert_eq!(amounts(&plan(&report, &rules(), JOURNAL)), pairs(&expected));
}

#[test]
fn lines_of_different_dimensions_are_not_summed_and_offsets_have_none() {
    let in_branch = |id: &str, branch: &str| {
        let mut line = line(id, "Travel", 100);
        line.tags.push(Tag { level: 3, value: branch.to_owned(), code: None });
        line
    };
    let report = document(vec![in_branch("1", "HQ"), line("2", "Travel", 100), in_branch("3", "HQ")]);
    let plan = plan(&report, &in_branches(rules()), JOURNAL);
    let PlannedDocument::Journal { lines } = &plan.document else { panic!() };
    let told: Vec<(i64, Option<&str>)> =
        lines.iter().map(|l| (l.amount.minor, l.dimensions.get("branch").map(String::as_str))).collect();
    assert_eq!(told, [(100, None), (200, Some("HQ")), (-300, None)]);
    let stored = serde_json::to_string(&plan).unwrap();
    assert!(serde_json::from_str::<PostingPlan>(&stored).unwrap().is_intact());
    assert!(!serde_json::from_str::<PostingPlan>(&stored.replace("HQ", "WH")).unwrap().is_intact());
}

#[test]
fn an_invoice_names_vendor_and_terms() {
    let report = document(vec![line("1", "Travel", 1000), line("2", "Meals", -200)]);
    let plan = plan(&report, &rules(), INVOICE);
    assert_eq!(amounts(&plan), pairs(&[(sample::TRAVEL, 1000), (sample::MEALS, -200)]));
    let PlannedDocument::ApInvoice { vendor, vendor_number, terms, debit_memo, .. } = &plan.document else {
        panic!()
    };
    assert_eq!(
        (vendor.as_str(), *vendor_number, terms.as_deref(), *debit_memo),
        ("ANN", 11, Some("N30"), false)
    );
    assert!(plan.description.chars().count() <= AP_DESCRIPTION_MAX);
}

/// Sheet item: Expensify 13
#[test]
fn a_negative_invoice_is_a_debit_memo_whose_lines_keep_their_sign() {
    let report = document(vec![line("1", "Travel", -1000), line("2", "Meals", 200)]);
    let plan = plan(&report, &rules(), INVOICE);
    assert_eq!(plan.total, usd(-800));
    assert_eq!(amounts(&plan), pairs(&[(sample::TRAVEL, -1000), (sample::MEALS, 200)]));
    assert!(matches!(plan.document, PlannedDocument::ApInvoice { debit_memo: true, .. }));
}

#[test]
fn lines_that_cancel_on_one_account_leave_nothing_to_post_in_a_summary() {
    let report = document(vec![line("1", "Travel", 1000), line("2", "Travel", -1000)]);
    let valid = sample::valid(&report, &rules(), JOURNAL);
    let findings = PostingPlan::build(&valid, &context(JOURNAL)).unwrap_err();
    assert_eq!(findings[0].code, FindingCode::NothingToPost);
    let detailed = plan(&report, &in_mode(LineMode::Detail), JOURNAL);
    assert_eq!(amounts(&detailed), pairs(&[(sample::TRAVEL, 1000), (sample::TRAVEL, -1000)]));
}

/// Sheet item: Expensify 11
#[test]
fn descriptions_are_one_clean_line_within_the_fields() {
    let mut report = mixed();
    report.title = format!("\u{202e}Trip\r\n\tto {}", "Ünïcødé🚗".repeat(20));
    report.lines[0].merchant = "a\0b\u{200b}c  d\u{85}e".to_owned();
    for (kind, longest) in [(JOURNAL, JOURNAL_DESCRIPTION_MAX), (INVOICE, AP_DESCRIPTION_MAX)] {
        let plan = plan(&report, &in_mode(LineMode::Detail), kind);
        assert!(plan.description.starts_with("Trip to Ünïcødé🚗"));
        assert_eq!(plan.description.chars().count(), longest);
        assert_eq!(booked(&plan)[1].2, "a bc d e, Meals");
    }
    report.title.clear();
    report.owner.name = Some(" \n".to_owned());
    assert_eq!(plan(&report, &rules(), JOURNAL).description, "Expenses");
}

/// Sheet items: Expensify 12, Epicor 23
#[test]
fn references_of_one_record_share_a_stem_and_those_of_others_do_not() {
    let derive = |flow: &str, id: &str, revision: &str| {
        DocumentReference::derive("EXP", &FlowId::from(flow), &SourceId::from(id), &Revision::from(revision))
    };
    let one = derive("f", "R00b", "1");
    assert_eq!(one.stem(), derive("f", "R00b", "2").stem());
    assert_ne!(one, derive("f", "R00b", "2"));
    let others = [
        derive("g", "R00b", "1"),
        derive("f", "R00B", "1"),
        derive("f", "R/0b", "1"),
        derive("f", "R_0b", "1"),
    ];
    for (number, other) in others.iter().enumerate() {
        assert_ne!(one.stem(), other.stem());
        assert!(
            others[number + 1..].iter().all(|next| next.stem().to_lowercase() != other.stem().to_lowercase())
        );
    }
    assert!(one.is_in(&one.to_string()) && one.is_in(&format!("{one} January trip")));
    assert!(!one.is_in(&format!("{one}x")) && !one.is_in(&format!("x{one}")) && !one.is_in(""));
    assert!(derive("f", "R00b", "2").stem_is_in(&one.to_string()) && !others[0].stem_is_in(&one.to_string()));
}

#[test]
fn keys_hashes_and_references_are_stable_across_releases() {
    // A different value here would make an updated agent blind to what it has booked.
    let plan = plan(&mixed(), &rules(), JOURNAL);
    assert_eq!(
        (plan.key.as_str(), plan.reference.to_string().as_str()),
        ("2425e17e78a95845d1304082ff8c77f8", "EXP-R00bCluvcO4T-7482c0b0-403dca45e5")
    );
    assert_eq!(plan.hash, "2e36ae8d38e3677ce087ec11e021ce6379d24ec7453f25cbf949c19cb3630d4a");
    for (lines, hash) in [
        (LineMode::Detail, "66390a80867c04f455f9278d7e97943a3031daf1b38d7e17d4ef580f28228da6"),
        (LineMode::Summary, "8344911fd601c8ba9839a454b953f764cd0a4b8414c11c14af4ad654b9bfee4c"),
    ] {
        assert_eq!(sample::plan(&mixed(), &in_mode(lines), INVOICE).hash, hash, "{lines:?}");
    }
}

#[test]
fn an_altered_plan_is_noticed() {
    let sound = plan(&mixed(), &rules(), JOURNAL);
    let stored = serde_json::to_string(&sound).unwrap();
    assert!(serde_json::from_str::<PostingPlan>(&stored).unwrap().is_intact());
    let altered = stored.replace(sample::TRAVEL, sample::MEALS);
    assert!(!serde_json::from_str::<PostingPlan>(&altered).unwrap().is_intact());
}

fn some_line() -> impl Strategy<Value = SpendLine> {
    let cents = prop_oneof![-1_000_000_i64..1_000_000, Just(0), Just(1_i64 << 55)];
    (
        prop::sample::select(vec!["Travel", "Meals"]),
        cents,
        any::<bool>(),
        any::<bool>(),
        0_i64..=100,
        prop::sample::select(vec!["2026-01-10", "2026-01-11"]),
        ".{0,12}",
    )
        .prop_map(|(category, cents, reimbursable, project, tax_percent, date, merchant)| {
            let mut made = line("", category, cents);
            made.reimbursable = reimbursable;
            made.date = Some(sample::day(date));
            made.merchant = merchant;
            made.tax = (tax_percent > 50).then(|| usd(cents / 100 * tax_percent));
            if project {
                made.tags.push(Tag { level: 2, value: "P1".to_owned(), code: None });
            }
            if date.ends_with("11") {
                made.tags.push(Tag { level: 3, value: format!("B{}", cents.rem_euclid(3)), code: None });
            }
            made
        })
}

fn some_report() -> impl Strategy<Value = SpendDocument> {
    prop::collection::vec(some_line(), 1..12).prop_map(|mut lines| {
        for (number, line) in lines.iter_mut().enumerate() {
            line.id = crate::ids::LineId::new(number.to_string());
        }
        document(lines)
    })
}

fn try_plan(report: &SpendDocument, lines: LineMode, kind: DocumentKind) -> Option<PostingPlan> {
    let valid =
        crate::validate::validate(report, &in_branches(in_mode(lines)), &sample::reference(), &context(kind))
            .ok()?;
    PostingPlan::build(&valid, &context(kind)).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn totals_are_kept_to_the_cent_and_journals_balance(report in some_report()) {
        let total: i64 = report.lines.iter().map(|line| line.amount.minor).sum();
        let empty = report.lines.iter().all(|line| line.amount.is_zero());
        prop_assert_eq!(try_plan(&report, LineMode::Detail, JOURNAL).is_none(), empty);
        prop_assert_eq!(try_plan(&report, LineMode::Detail, INVOICE).is_none(), total == 0);
        for lines in [LineMode::Summary, LineMode::Detail] {
            if let Some(plan) = try_plan(&report, lines, JOURNAL) {
                prop_assert_eq!(plan.total, usd(total));
                let minors: Vec<i64> = plan.document.amounts().iter().map(|amount| amount.minor).collect();
                prop_assert_eq!(minors.iter().sum::<i64>(), 0);
                let offsets = [sample::ACCRUED, sample::CLEARING];
                let expense: i64 =
                    booked(&plan).iter().filter(|l| !offsets.contains(&l.0.as_str())).map(|l| l.1).sum();
                prop_assert_eq!(expense, total);
                prop_assert!(minors.iter().all(|minor| *minor != 0));
            }
            if let Some(plan) = try_plan(&report, lines, INVOICE) {
                prop_assert_eq!(plan.total, usd(total));
                prop_assert_eq!(plan.document.amounts().iter().map(|amount| amount.minor).sum::<i64>(), total);
                let debit_memo = matches!(plan.document, PlannedDocument::ApInvoice { debit_memo: true, .. });
                prop_assert_eq!(debit_memo, total < 0);
            }
        }
    }

    #[test]
    fn the_plan_does_not_depend_on_the_order_of_lines(report in some_report(), seed: u64) {
        let mut shuffled = report.clone();
        let count = shuffled.lines.len();
        for place in 0..count {
            let other = (seed.rotate_left(u32::try_from(place).unwrap() * 5) % count as u64) as usize;
            shuffled.lines.swap(place, other);
        }
        prop_assert_eq!(shuffled.content_revision(), report.revision.clone());
        for lines in [LineMode::Summary, LineMode::Detail] {
            for kind in [JOURNAL, INVOICE] {
                let (one, other) = (try_plan(&report, lines, kind), try_plan(&shuffled, lines, kind));
                prop_assert_eq!(serde_json::to_vec(&one).unwrap(), serde_json::to_vec(&other).unwrap());
                prop_assert!(one.is_none_or(|plan| plan.is_intact()));
            }
        }
    }

    #[test]
    fn references_fit_every_field(prefix in ".{0,12}", flow in ".{0,40}", id in ".{0,80}", revision in ".{0,80}") {
        let reference = DocumentReference::derive(
            &prefix,
            &FlowId::new(flow),
            &SourceId::new(id),
            &Revision::new(revision),
        );
        let text = reference.to_string();
        prop_assert!(text.len() <= DocumentReference::MAX_LEN, "{}", text);
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{}", text);
        prop_assert!(reference.is_in(&text) && reference.stem_is_in(&text));
    }
}
