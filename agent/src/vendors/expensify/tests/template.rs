//! When an export file is complete, and what becomes of its broken parts.

use super::super::calls::{MARK_TEMPLATE, REPORT_TEMPLATE};
use super::super::template::{Unusable, read_export, read_marked};
use super::*;

fn damages(body: &str) -> Vec<Option<String>> {
    read_export(body.as_bytes()).unwrap().reports.into_iter().map(|report| report.damage).collect()
}

/// Sheet item: Expensify 6
#[test]
fn every_prefix_of_a_file_is_incomplete() {
    let end = TWO_REPORTS.trim_end().len();
    for cut in (0..end).filter(|cut| TWO_REPORTS.is_char_boundary(*cut)) {
        let result = read_export(&TWO_REPORTS.as_bytes()[..cut]);
        assert!(matches!(result, Err(Unusable::Incomplete(_))), "cut at {cut}");
    }
    assert_eq!(read_export(TWO_REPORTS.as_bytes()).unwrap().reports.len(), 2);
}

/// Sheet item: Expensify 7
#[test]
fn file_without_reports_is_complete() {
    assert!(read_export(EMPTY.as_bytes()).unwrap().reports.is_empty());
    assert!(read_export(b"{\"k\":\"F\"}").unwrap().reports.is_empty());
}

#[test]
fn pieces_are_read_as_one_file() {
    assert_eq!(damages(PIECES), [None, None]);
    let first_piece_and_a_half = PIECES.trim_end().trim_end_matches("{\"k\":\"F\"}");
    assert!(read_export(first_piece_and_a_half.as_bytes()).is_err());
}

/// Sheet item: Expensify 11
#[test]
fn one_broken_line_damages_one_report() {
    let [none, damage, also_none] = damages(BROKEN).try_into().unwrap();
    assert_eq!((none, also_none), (None, None));
    assert!(damage.is_some());
}

#[test]
fn lines_that_do_not_add_up_damage_their_report() {
    let good = reports(&["R1", "R2"], "2026-07-03");
    let lines: Vec<&str> = good.lines().collect();
    for (what, left_out) in [("expense", 2), ("end", 3), ("head", 1)] {
        let mut kept = lines.clone();
        kept.remove(left_out);
        let file = read_export(kept.join("\n").as_bytes()).unwrap();
        assert_eq!(file.reports.len(), 2, "{what}");
        assert!(file.reports[0].damage.is_some(), "{what}");
        assert_eq!(file.reports[0].header.report_id.get(), Some("R1"), "{what}");
        assert_eq!(file.reports[1].damage, None, "{what}");
    }
    let miscounted = good.replacen("\"expenses\":1", "\"expenses\":2", 1);
    assert!(damages(&miscounted)[0].as_deref().unwrap().contains("2 expenses"));
    let foreign = good.replacen("{\"k\":\"E\",\"reportID\":\"R1\"", "{\"k\":\"E\",\"reportID\":\"R9\"", 1);
    assert!(damages(&foreign)[0].is_some());
}

#[test]
fn template_failure_is_told_from_an_unfinished_file() {
    let body = "{\"k\":\"B\",\"v\":1}\nFreeMarker template error (DEBUG mode; use RETHROW in production!)\n";
    assert_eq!(read_export(body.as_bytes()), Err(Unusable::TemplateFailed));
}

#[test]
fn mark_file_lists_ids_and_needs_its_end_too() {
    let body = "{\"k\":\"M\",\"reportID\":\"R1\"}\n{\"k\":\"M\",\"reportID\":\"R2\"}\n{\"k\":\"F\"}\n";
    assert_eq!(read_marked(body.as_bytes()).unwrap().into_iter().collect::<Vec<_>>(), ["R1", "R2"]);
    assert!(read_marked(b"{\"k\":\"M\",\"reportID\":\"R1\"}\n").is_err());
}

/// The fixture is what FreeMarker 2.3.31 makes of our template and three reports: one with two expenses, one with an
/// empty list of them, one without a list.
#[test]
fn what_the_real_engine_renders_is_read_back() {
    let file = read_export(RENDERED.as_bytes()).unwrap();
    assert!(!file.is_damaged());
    let expenses: Vec<_> = file.reports.iter().map(|report| report.expenses.len()).collect();
    assert_eq!(expenses, [2, 0, 0]);
    let first = &file.reports[0].expenses[0];
    assert_eq!(first.merchant.get(), Some("a \"q\" </script> \n\t\\ : 🚕 &amp;"));
    assert_eq!((first.amount.get(), first.modified_amount.get()), (Some("1000000"), None));
    assert_eq!(first.tag.get(), Some("A\\: B:C"));
    assert_eq!((first.reimbursable.get(), first.billable.get()), (Some("true"), Some("false")));
    assert_eq!(file.reports[0].expenses[1].transaction_id.get(), Some("4056343049275634494"));
}

#[test]
fn templates_print_numbers_plainly_and_escape_every_text() {
    for field in ["merchant", "modifiedMerchant", "category", "categoryGlCode", "tag", "ntag3", "comment"] {
        assert!(
            REPORT_TEMPLATE.contains(&format!("\"{field}\":<@text (expense.{field})!\"\" />")),
            "{field}"
        );
    }
    for field in ["amount", "modifiedAmount", "convertedAmount", "taxAmount", "modifiedTaxAmount"] {
        assert!(
            REPORT_TEMPLATE.contains(&format!("\"{field}\":<@cents (expense.{field})!\"\" />")),
            "{field}"
        );
    }
    // A bare interpolation could print grouped numbers or break the JSON.
    for template in [REPORT_TEMPLATE, MARK_TEMPLATE] {
        for interpolation in template.split("${").skip(1).map(|rest| rest.split_once('}').unwrap().0) {
            assert!(
                interpolation.ends_with("?c") || interpolation.ends_with("?json_string"),
                "{interpolation}"
            );
        }
    }
}
