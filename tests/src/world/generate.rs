//! Makes a world from a seed. Everything that a report refers to exists and is active, but for the reports that carry
//! a fault on purpose, and those carry exactly one.

use super::{World, chart, people, report};
use chrono::NaiveDate;

/// What kind of world is wanted.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Same seed, same world.
    pub seed: u64,
    /// Number of reports in all states together. Of every 40, one is open, one is submitted and two are reimbursed; of
    /// every 200, one is archived; the others are approved.
    pub reports: usize,
    /// The day the world is made for. Reports are approved 1 to 25 days earlier.
    pub today: NaiveDate,
    /// Some reports in EUR and JPY instead of all in USD.
    pub mixed_currencies: bool,
}

impl World {
    /// A world in one currency (USD). See [`WorldOptions`].
    ///
    /// Standard mapping that the expectations (`expect_hold`) assume: category's GL code to segment 1, first tag level
    /// (its code) to segment 2, [`super::DEFAULT_COST_CENTRE`] in segment 3, second tag level (its code) to the project.
    pub fn generate(seed: u64, reports: usize, today: NaiveDate) -> World {
        Self::generate_with(&WorldOptions { seed, reports, today, mixed_currencies: false })
    }

    /// A world as the options say.
    pub fn generate_with(options: &WorldOptions) -> World {
        let mut rng = fastrand::Rng::with_seed(options.seed);
        let employees = people::employees(&mut rng);
        let reports = report::reports(&mut rng, options, &employees);
        World {
            seed: options.seed,
            currency: "USD".to_owned(),
            companies: vec!["EPIC06".to_owned(), "EPIC07".to_owned()],
            today: options.today,
            accounts: chart::accounts(),
            segments: chart::segments(),
            employees,
            vendors: people::vendors(),
            projects: chart::projects(),
            categories: chart::categories(),
            reports,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::chart::UNMAPPED_CATEGORY;
    use crate::world::{
        ACCRUED_EXPENSES, CARD_CLEARING, DEFAULT_COST_CENTRE, DEFAULT_DEPARTMENT, WorldReport,
    };
    use chrono::Days;
    use std::collections::{BTreeMap, BTreeSet};

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 21).unwrap()
    }

    #[test]
    fn same_seed_gives_the_same_world_and_another_seed_another() {
        let world = |seed| serde_json::to_string(&World::generate(seed, 60, day())).unwrap();
        assert_eq!(world(7), world(7));
        assert_ne!(world(7), world(8));
    }

    /// The tour in README.md shows and replays one report by its id, on whatever day it is taken.
    #[test]
    fn the_report_that_the_tour_mends_is_held_in_the_world_of_every_day() {
        let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
        assert!(readme.contains("sandbox serve --reports 40 ") && readme.contains(UNMAPPED_CATEGORY));
        for days in 0..366 {
            let world = World::generate(1, 40, day() + Days::new(days));
            let without_account = |report: &&WorldReport| {
                report.expenses.iter().any(|expense| expense.category == UNMAPPED_CATEGORY)
            };
            let held: Vec<&WorldReport> =
                world.reports_in(&["APPROVED", "REIMBURSED"]).filter(without_account).collect();
            let [report] = held[..] else { panic!("{} reports have it", held.len()) };
            assert_eq!(report.expect_hold.as_deref(), Some("category-unmapped"));
            for verb in ["show", "replay"] {
                let command = format!("purser records {verb} {}", report.id);
                assert!(readme.contains(&command), "`{command}` is not in README.md");
            }
        }
    }

    #[test]
    fn reports_without_a_marked_fault_use_active_accounts_and_projects_only() {
        let world = World::generate(3, 2_000, day());
        let account = |segments: &[&str]| {
            world.accounts.iter().find(|a| a.segments == segments).is_some_and(|a| a.active)
        };
        let codes: BTreeMap<_, _> =
            world.categories.iter().map(|c| (c.name.as_str(), c.gl_code.as_deref())).collect();
        for report in world.reports.iter().filter(|r| r.expect_hold.is_none()) {
            assert!(!report.expenses.is_empty() || report.state == "OPEN", "{}", report.id);
            for expense in &report.expenses {
                let department = [expense.department.as_str(), DEFAULT_DEPARTMENT]
                    .into_iter()
                    .find(|d| !d.is_empty())
                    .unwrap();
                let code = codes[expense.category.as_str()].unwrap();
                assert!(account(&[code, department, DEFAULT_COST_CENTRE]), "{code} {department}");
                let open = |code: &str| world.projects.iter().any(|p| p.code == code && p.active);
                assert!(expense.project.is_empty() || open(&expense.project));
            }
            assert_ne!(report.total(), 0, "{}", report.id);
            let owner = world.employee(&report.employee).unwrap();
            let sound = owner.vendor_code.is_some() && !owner.vendor_inactive && !owner.vendor_pay_hold;
            assert_eq!(sound, report.expect_hold_ap.is_none(), "{}", report.id);
        }
        for natural in [ACCRUED_EXPENSES, CARD_CLEARING] {
            assert!(account(&[natural, DEFAULT_DEPARTMENT, DEFAULT_COST_CENTRE]));
        }
    }

    #[test]
    fn a_marked_report_carries_exactly_the_fault_it_is_marked_with() {
        let world = World::generate(5, 2_000, day());
        let without_code = |c: &str| world.categories.iter().any(|x| x.name == c && x.gl_code.is_none());
        let closed = |p: &str| world.projects.iter().any(|x| x.code == p && !x.active);
        let inactive = |category: &str, department: &str| {
            let code = world.categories.iter().find(|c| c.name == category).and_then(|c| c.gl_code.clone());
            let Some(code) = code else { return false };
            let department = if department.is_empty() { DEFAULT_DEPARTMENT } else { department };
            !world
                .accounts
                .iter()
                .find(|a| a.segments == [&code, department, DEFAULT_COST_CENTRE])
                .unwrap()
                .active
        };
        for report in &world.reports {
            let mut found = BTreeSet::new();
            if report.expenses.is_empty() {
                found.insert("nothing-to-post");
            }
            for expense in &report.expenses {
                if without_code(&expense.category) {
                    found.insert("category-unmapped");
                }
                if closed(&expense.project) {
                    found.insert("project-closed");
                }
                if inactive(&expense.category, &expense.department) {
                    found.insert("account-inactive");
                }
            }
            let expected: BTreeSet<&str> = report.expect_hold.as_deref().into_iter().collect();
            assert!(found == expected || report.state != "APPROVED", "{report:?}");
        }
    }

    #[test]
    fn six_to_ten_percent_are_faulty_and_ten_reports_show_three_kinds() {
        let small = World::generate(1, 10, day());
        let kinds: BTreeSet<_> = small.reports.iter().filter_map(|r| r.expect_hold.as_deref()).collect();
        assert!(kinds.len() >= 3, "{kinds:?}");
        let large = World::generate(1, 1_000, day());
        let approved = large.reports_in(&["APPROVED"]).count();
        let faulty = large.reports.iter().filter(|r| r.hold(true).is_some()).count();
        assert!((60..=100).contains(&(faulty * 1000 / approved)), "{faulty} of {approved}");
        let kinds: BTreeSet<_> = large.reports.iter().filter_map(|r| r.hold(true)).collect();
        assert_eq!(kinds.len(), 7, "{kinds:?}");
        let only_ap = large.reports.iter().find(|r| r.expect_hold_ap.is_some()).unwrap();
        assert_eq!(only_ap.hold(false), None);
    }

    #[test]
    fn ids_are_unique_and_some_differ_only_in_case() {
        let world = World::generate(9, 3_000, day());
        let ids: BTreeSet<_> = world.reports.iter().map(|r| r.id.clone()).collect();
        assert_eq!(ids.len(), world.reports.len());
        let folded: BTreeSet<_> = ids.iter().map(|id| id.to_ascii_lowercase()).collect();
        assert!(folded.len() < ids.len());
        let expenses: Vec<_> = world.reports.iter().flat_map(|r| &r.expenses).map(|e| &e.id).collect();
        assert!(expenses.iter().all(|id| id.len() == 19));
        assert_eq!(expenses.iter().collect::<BTreeSet<_>>().len(), expenses.len());
    }

    #[test]
    fn the_sums_of_booked_and_held_are_the_sum_of_all() {
        let world = World::generate(11, 400, day());
        let (booked, held) = world.expected_totals(&["APPROVED"], false);
        let all: i64 = world.reports_in(&["APPROVED"]).map(crate::world::WorldReport::total).sum();
        assert_eq!(booked["USD"] + held["USD"], all);
    }

    #[test]
    fn mixed_worlds_hold_reports_in_other_currencies() {
        let options = WorldOptions { seed: 2, reports: 300, today: day(), mixed_currencies: true };
        let world = World::generate_with(&options);
        let currencies: BTreeSet<_> = world.reports.iter().map(|r| r.currency.as_str()).collect();
        assert_eq!(currencies, BTreeSet::from(["EUR", "JPY", "USD"]));
    }
}
