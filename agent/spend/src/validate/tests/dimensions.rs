//! Dimensions beside account and project: where they come from, and what the ERP must know of them.

use super::*;
use crate::mapping::TagRule;
use crate::reference::SegmentValue;

fn by_tag(level: u8, name: &str) -> TagRule {
    TagRule {
        level,
        target: TagTarget::Dimension(name.to_owned()),
        required: false,
        values: BTreeMap::new(),
        pass_through: true,
    }
}

fn value(active: bool) -> SegmentValue {
    SegmentValue { name: "Value".to_owned(), active, effective: Effective::default() }
}

/// Branches, and tasks of project P1.
fn case() -> Case {
    let mut case = Case::new(JOURNAL);
    case.rules.tags.extend([by_tag(3, "branch"), by_tag(4, "project-task")]);
    let late =
        SegmentValue { effective: Effective { from: Some(day("2026-06-01")), to: None }, ..value(true) };
    let branches = [("HQ", value(true)), ("OLD", value(false)), ("NEW", late)];
    let tasks = [("P1|01", value(true)), ("P1|02", value(false))];
    let listed = |values: &[(&str, SegmentValue)]| {
        values.iter().map(|(code, value)| ((*code).to_owned(), value.clone())).collect()
    };
    case.reference.dimensions =
        [("branch".to_owned(), listed(&branches)), ("project-task".to_owned(), listed(&tasks))].into();
    case
}

fn dimensions(case: &Case) -> BTreeMap<String, String> {
    case.check().unwrap().lines()[0].dimensions().clone()
}

#[test]
fn a_tag_comes_before_the_category_and_the_category_before_the_default() {
    let mut case = case();
    case.reference.dimensions.clear();
    assert_eq!(dimensions(&case), BTreeMap::new());
    case.rules.default_dimensions = [("branch".to_owned(), "B1".to_owned())].into();
    assert_eq!(dimensions(&case)["branch"], "B1");
    case.rules.categories.get_mut("Travel").unwrap().dimensions =
        [("branch".to_owned(), "B2".to_owned())].into();
    assert_eq!(dimensions(&case)["branch"], "B2");
    case.document.lines[0].tags.push(tag(3, " B3 "));
    assert_eq!(dimensions(&case)["branch"], "B3");
    case.rules.tags[2].values = [(" B3 ".to_owned(), String::new())].into();
    assert_eq!(dimensions(&case), BTreeMap::new());
}

#[test]
fn values_are_checked_where_the_erp_lists_them() {
    for (values, expected) in [
        (vec![tag(3, "HQ")], vec![]),
        (vec![tag(3, "XX")], on_line(Code::DimensionUnknown, "1", "XX")),
        (vec![tag(3, "OLD")], on_line(Code::DimensionInactive, "1", "OLD")),
        (vec![tag(3, "NEW")], on_line(Code::DimensionInactive, "1", "NEW")),
        (vec![tag(2, "P1"), tag(4, "01")], vec![]),
        (vec![tag(2, "P1"), tag(4, "02")], on_line(Code::DimensionInactive, "1", "02")),
        (vec![tag(2, "P1"), tag(4, "09")], on_line(Code::DimensionUnknown, "1", "09")),
        (vec![tag(2, "P1")], on_line(Code::DimensionMissing, "1", "")),
        (vec![tag(4, "01")], on_line(Code::DimensionUnknown, "1", "01")),
        (vec![tag(4, "P1|01")], on_line(Code::DimensionUnknown, "1", "P1|01")),
    ] {
        let mut case = case();
        case.document.lines[0].tags.extend(values.clone());
        assert_eq!(case.findings(), expected, "{values:?}");
    }
}

#[test]
fn a_project_with_a_default_of_the_erp_needs_no_value() {
    let mut case = case();
    case.document.lines[0].tags.push(tag(2, "P1"));
    assert_eq!(case.findings(), on_line(Code::DimensionMissing, "1", ""));
    case.reference.dimensions.get_mut("project-task").unwrap().insert("P1|".to_owned(), value(true));
    assert_eq!(case.findings(), []);
    assert_eq!(dimensions(&case), BTreeMap::new());
}

#[test]
fn a_dimension_that_a_rule_requires_or_does_not_know_holds_the_line() {
    let mut missing = case();
    missing.rules.tags[2].required = true;
    missing.document.lines[1].tags.push(tag(3, "HQ"));
    assert_eq!(missing.findings(), on_line(Code::TagMissing, "1", ""));
    let mut unmapped = case();
    unmapped.rules.tags[2].pass_through = false;
    unmapped.document.lines[0].tags.push(tag(3, "HQ"));
    assert_eq!(unmapped.findings(), on_line(Code::TagUnmapped, "1", "HQ"));
}

#[test]
fn tax_belongs_to_no_dimension() {
    let mut case = case();
    case.rules.tax_account = Some("1400".into());
    case.document.lines[0].tax = Some(usd(160));
    case.document.lines[0].tags.push(tag(3, "HQ"));
    let valid = case.check().unwrap();
    let told: Vec<(bool, bool)> =
        valid.lines()[..2].iter().map(|line| (line.is_tax(), line.dimensions().is_empty())).collect();
    assert_eq!(told, [(false, false), (true, true)]);
}
