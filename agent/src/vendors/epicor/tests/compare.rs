//! Comparing what is there with a plan, and deciding what a failed step leads to.

use super::super::convert::{
    FoundEntry, FoundHead, FoundInvoiceLine, Likeness, commented_total, compare_invoice, compare_journal,
    entry_amount, entry_description, expense_lines, fill_entry, journal_comment, open_control, side,
};
use super::super::lookup::{accounts_of, merge};
use super::super::outcome::{Kind, Refusal};
use super::super::readback::spend_total;
use super::super::saga::after;
use super::super::settings::{JournalAmounts, Settings};
use super::super::wire::{Row, number, raw, text};
use super::{invoice_plan, journal_plan, settings, usd};
use crate::vendors::saga::{Next, Progress};
use proptest::prelude::*;
use spend::money::{Currency, Money};
use spend::plan::PlannedDocument;
use spend::posting::{Failure, FailureClass};

fn entry(account: &str, amount: &str) -> FoundEntry {
    FoundEntry { account: account.to_owned(), amount: Some(usd(amount)), text: String::new() }
}

#[test]
fn journal_equals_its_plan_whatever_the_order_of_its_lines() {
    let plan = journal_plan();
    let mut found =
        vec![entry("2100|00|000", "-100.50"), entry("6100|00|200", "125.50"), entry("6200|00|200", "-25.00")];
    assert_eq!(compare_journal(&plan, &found, true), (Likeness::Equal, vec![]));
    let last = found.pop().unwrap();
    assert!(matches!(compare_journal(&plan, &found, false), (Likeness::Part(_), missing) if missing == [1]));
    assert!(matches!(compare_journal(&plan, &found, true).0, Likeness::Other(_)));
    for wrong in [
        FoundEntry { amount: Some(usd("25.00")), ..last.clone() },
        FoundEntry { amount: Some(usd("-25.01")), ..last.clone() },
        FoundEntry { account: "6300|00|200".to_owned(), ..last.clone() },
        FoundEntry { amount: None, ..last },
    ] {
        let mut found = found.clone();
        found.push(wrong);
        assert!(matches!(compare_journal(&plan, &found, false).0, Likeness::Other(_)));
    }
}

#[test]
fn an_amount_that_did_not_arrive_names_the_setting() {
    let plan = journal_plan();
    let words = |account: &str| match compare_journal(&plan, &[entry(account, "0")], false).0 {
        Likeness::Other(words) => words,
        other => panic!("{other:?}"),
    };
    let empty = words("6100|00|200");
    assert!(empty.contains("`journal_amounts`") && empty.contains("instead of 125.50"), "{empty}");
    assert!(!words("9999|00|000").contains("journal_amounts"), "not a line of ours");
}

fn head() -> FoundHead {
    FoundHead {
        vendor_number: Some(123),
        currency: "USD".to_owned(),
        control: Some(usd("100.50")),
        calculated: Some(usd("100.50")),
        posted: false,
    }
}

fn line(number: i64, amount: &str, account: &str) -> FoundInvoiceLine {
    FoundInvoiceLine { number, amount: Some(usd(amount)), account: account.to_owned(), divided: false }
}

/// Sheet item: Epicor 12 and 13.
#[test]
fn invoice_is_compared_by_vendor_currency_totals_and_every_line() {
    let plan = invoice_plan();
    let whole = vec![line(1, "125.50", "6100|00|200"), line(2, "-25.00", "6200|00|200")];
    assert_eq!(compare_invoice(&plan, &head(), &whole), Likeness::Equal);
    let part =
        |found: &[FoundInvoiceLine]| matches!(compare_invoice(&plan, &head(), found), Likeness::Part(_));
    assert!(part(&[]));
    assert!(part(&whole[..1]));
    assert!(part(&[line(1, "125.50", ""), whole[1].clone()]));
    assert!(
        part(&[whole[0].clone(), line(2, "-25.00", "9999|00|000")]),
        "the newest line may await its account"
    );
    let other = |head: FoundHead, found: &[FoundInvoiceLine]| {
        matches!(compare_invoice(&plan, &head, found), Likeness::Other(_))
    };
    assert!(other(head(), &[line(1, "125.50", "9999|00|000"), whole[1].clone()]));
    assert!(other(head(), &[line(1, "125.51", "6100|00|200")]));
    assert!(other(head(), &[whole[0].clone(), whole[1].clone(), whole[1].clone()]));
    assert!(other(FoundHead { vendor_number: Some(124), ..head() }, &whole));
    assert!(other(FoundHead { currency: "EUR".to_owned(), ..head() }, &whole));
    assert!(other(FoundHead { control: Some(usd("100.51")), ..head() }, &whole));
    assert!(other(FoundHead { calculated: Some(usd("120.50")), ..head() }, &whole));
    assert!(other(FoundHead { posted: true, ..head() }, &whole[..1]));
    let divided = FoundInvoiceLine { divided: true, ..whole[1].clone() };
    assert!(other(head(), &[whole[0].clone(), divided]), "a person's work is not overwritten");
}

#[test]
fn distribution_is_that_of_the_posting_book() {
    let row = |book: &str, account: &str| -> Row {
        let columns = [("InvoiceLine", number("1")), ("BookID", raw(&book)), ("GLAccount", raw(&account))];
        columns.into_iter().map(|(column, value)| (column.to_owned(), value)).collect()
    };
    let (main, tax) = (row("MAIN", "6100|00|200"), row("TAX", "9999|00|000"));
    for rows in [[main.clone(), tax.clone()], [tax.clone(), main.clone()]] {
        let found: Vec<_> = accounts_of(&rows, 1, "MAIN").map(|row| text(row, "GLAccount")).collect();
        assert_eq!(found, ["6100|00|200"]);
    }
    assert_eq!(accounts_of(&[main, tax], 1, "").count(), 2);
}

#[test]
fn invoice_with_the_control_total_of_unfinished_ones_is_a_part() {
    let plan = invoice_plan();
    let whole = vec![line(1, "125.50", "6100|00|200"), line(2, "-25.00", "6200|00|200")];
    assert_eq!(open_control(&plan), usd("150.51"));
    let open = FoundHead { control: Some(open_control(&plan)), ..head() };
    for there in 0..=whole.len() {
        assert!(matches!(compare_invoice(&plan, &open, &whole[..there]), Likeness::Part(_)), "{there} lines");
    }
    let posted = FoundHead { posted: true, ..open };
    assert!(matches!(compare_invoice(&plan, &posted, &whole), Likeness::Other(_)));
}

#[test]
fn texts_bear_the_reference_and_the_side_of_each_line() {
    let plan = journal_plan();
    let PlannedDocument::Journal { lines } = &plan.document else { unreachable!() };
    assert_eq!(expense_lines(&plan), 2);
    let texts: Vec<_> =
        lines.iter().enumerate().map(|(i, l)| entry_description(&plan, i, l, &settings())).collect();
    assert_eq!(texts[0], format!("{} #1 Travel", plan.reference));
    assert_eq!(texts[2], format!("{} =3 Accrued expenses", plan.reference));
    assert!(texts.iter().all(|text| plan.reference.is_in(text)));
    assert_eq!(
        texts.iter().map(|text| side(text)).collect::<Vec<_>>(),
        [Some(true), Some(true), Some(false)]
    );
    assert_eq!(commented_total(&journal_comment(&plan)), Some(plan.total));
}

#[test]
fn spend_total_is_the_marked_side_else_the_comment_else_the_debits() {
    let plan = journal_plan();
    let marked =
        |text: &str, amount: &str| FoundEntry { text: format!("REF {text} words"), ..entry("x", amount) };
    let entries = [marked("#1", "125.50"), marked("#2", "-25.00"), marked("=3", "-100.50")];
    assert_eq!(spend_total(&entries, "", Currency::USD), Some(usd("100.50")));
    let rewritten = [marked("", "125.50"), marked("", "-25.00"), marked("", "-100.50")];
    assert_eq!(spend_total(&rewritten, &journal_comment(&plan), Currency::USD), Some(usd("100.50")));
    assert_eq!(spend_total(&rewritten, "", Currency::USD), Some(usd("125.50")));
}

/// Sheet item: Epicor 22: amounts go out and come back digit for digit.
#[test]
fn amounts_are_written_to_the_chosen_columns() {
    let plan = journal_plan();
    let PlannedDocument::Journal { lines } = &plan.document else { unreachable!() };
    let filled = |amounts, index: usize| {
        let mut row = Row::new();
        fill_entry(
            &mut row,
            &plan,
            index,
            &lines[index],
            &Settings { journal_amounts: amounts, ..settings() },
        );
        row
    };
    let debit = filled(JournalAmounts::TotDebitCredit, 0);
    assert_eq!(debit["TotDebit"].get(), "125.50");
    assert!(!debit.contains_key("TotCredit") && !debit.contains_key("TransAmt"));
    let credit = filled(JournalAmounts::Both, 2);
    assert_eq!((credit["TotCredit"].get(), credit["TransAmt"].get()), ("100.50", "-100.50"));
    for row in [&debit, &credit] {
        assert_eq!(text(row, "SegValue2"), "00");
        assert!(
            entry_amount(row, Currency::USD)
                .is_some_and(|amount| [usd("125.50"), usd("-100.50")].contains(&amount))
        );
    }
}

#[test]
fn amount_is_read_from_whichever_columns_are_filled() {
    let read = |columns: &[(&str, &str)]| {
        let row: Row = columns.iter().map(|(name, value)| ((*name).to_owned(), number(value))).collect();
        entry_amount(&row, Currency::USD)
    };
    assert_eq!(
        read(&[("TotDebit", "0"), ("TotCredit", "0"), ("DebitAmount", "10.5"), ("CreditAmount", "0.0")]),
        Some(usd("10.50"))
    );
    assert_eq!(read(&[("TransAmt", "-3.00000")]), Some(usd("-3.00")));
    assert_eq!(read(&[("TotDebit", "1.005")]), None);
    assert_eq!(read(&[("TotDebit", "1e2")]), None);
}

#[test]
fn copies_in_other_books_do_not_count() {
    let row = |book: &str| -> Row {
        [
            ("BookID", raw(&book)),
            ("FiscalYear", raw(&2026)),
            ("JournalNum", raw(&7)),
            ("Description", raw(&"REF #1")),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
    };
    let found = merge(vec![], vec![row("MAIN"), row("STAT"), row("MAIN")], "MAIN");
    assert_eq!(found.values().map(|journal| journal.lines.len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn failed_step_is_judged_by_how_far_the_document_has_got() {
    let rejected = || FailureClass::Rejected { findings: vec![] };
    let until = super::now();
    let next = |progress, class: FailureClass, kind| {
        after(progress, &Refusal { kind, failure: Failure::new(class, "x") })
    };
    use FailureClass::{InDoubt, NotSent, Throttled, Unauthorised, Unavailable};
    use Progress::{FirstSent, Nothing, Written};
    assert_eq!(next(Nothing, InDoubt, Kind::Other), Next::Report(NotSent));
    assert_eq!(next(Nothing, Unavailable, Kind::Other), Next::Report(NotSent));
    assert_eq!(next(Nothing, rejected(), Kind::Business), Next::Report(rejected()));
    assert_eq!(next(Nothing, Throttled { until }, Kind::Other), Next::Report(Throttled { until }));
    assert_eq!(next(FirstSent, rejected(), Kind::Business), Next::Report(rejected()));
    assert_eq!(next(FirstSent, rejected(), Kind::Duplicate), Next::Compare);
    assert_eq!(next(FirstSent, rejected(), Kind::NotSaved), Next::CleanUp);
    assert_eq!(next(FirstSent, InDoubt, Kind::Other), Next::Report(InDoubt));
    assert_eq!(next(FirstSent, Unauthorised, Kind::Unauthorised), Next::Report(Unauthorised));
    assert_eq!(next(Written, rejected(), Kind::Business), Next::CleanUp);
    for class in [NotSent, Unauthorised, Throttled { until }, InDoubt, Unavailable] {
        assert_eq!(next(Written, class, Kind::Other), Next::Report(InDoubt));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the lines: what is filled in is what is read back, to the cent.
    #[test]
    fn written_amount_is_read_back(minor in -10_000_000_000i64..10_000_000_000, columns in 0usize..3) {
        let plan = journal_plan();
        let PlannedDocument::Journal { lines } = &plan.document else { unreachable!() };
        let mut line = lines[0].clone();
        line.amount = Money::new(minor, Currency::USD);
        let amounts = [JournalAmounts::TotDebitCredit, JournalAmounts::TransAmt, JournalAmounts::Both][columns];
        let mut row = Row::new();
        fill_entry(&mut row, &plan, 0, &line, &Settings { journal_amounts: amounts, ..settings() });
        prop_assert_eq!(entry_amount(&row, Currency::USD), Some(line.amount));
    }
}
