//! Chart of accounts, segments, categories and projects of the world. They are the same for every seed, so that
//! documentation and configuration examples can name them.

use super::{WorldAccount, WorldCategory, WorldProject, WorldSegment};

/// Natural accounts: code, name.
const NATURALS: &[(&str, &str)] = &[
    ("1000", "Cash"),
    ("1050", "Petty cash"),
    ("1100", "Bank, operating"),
    ("1200", "Accounts receivable"),
    ("1300", "Inventory"),
    ("1400", "Recoverable tax"),
    ("1500", "Prepaid expenses"),
    ("1600", "Employee advances"),
    ("1700", "Equipment"),
    ("2000", "Accounts payable"),
    ("2100", "Payroll liabilities"),
    ("2150", "Accrued expenses"),
    ("2160", "Card clearing"),
    ("2200", "Sales tax payable"),
    ("2300", "Deferred revenue"),
    ("3000", "Equity"),
    ("4000", "Revenue"),
    ("4100", "Service revenue"),
    ("5000", "Cost of goods"),
    ("5100", "Freight in"),
    ("6000", "Salaries"),
    ("6100", "Airfare"),
    ("6110", "Lodging"),
    ("6120", "Ground transport"),
    ("6130", "Mileage"),
    ("6200", "Meals"),
    ("6210", "Entertainment"),
    ("6300", "Office supplies"),
    ("6310", "Postage"),
    ("6320", "Software"),
    ("6330", "Telephone and internet"),
    ("6400", "Training"),
    ("6410", "Dues and subscriptions"),
    ("6500", "Tools and consumables"),
    ("6510", "Research supplies"),
    ("6600", "Marketing"),
    ("6700", "Repairs"),
    ("6800", "Professional fees"),
    ("6900", "Bank charges"),
    ("6950", "Club memberships"),
    ("6990", "Miscellaneous"),
];

/// Departments: code, name, active. Names carry what vendors escape.
const DEPARTMENTS: &[(&str, &str, bool)] = &[
    ("00", "General", true),
    ("10", "Sales & Service", true),
    ("20", "R&D: Laboratory", true),
    ("30", "Plant \"North\"", true),
    ("90", "Closed branch", false),
];

const COST_CENTRES: &[(&str, &str, bool)] = &[
    ("100", "Head office", true),
    ("200", "Main works", true),
    ("300", "Warehouse", true),
    ("900", "Sold works", false),
];

/// Categories: name, natural account, enabled.
const CATEGORIES: &[(&str, Option<&str>, bool)] = &[
    ("6100. Airfare", Some("6100"), true),
    ("6110. Lodging", Some("6110"), true),
    ("Ground transport", Some("6120"), true),
    ("Mileage", Some("6130"), true),
    ("6200. Meals", Some("6200"), true),
    ("Entertainment", Some("6210"), true),
    ("Office supplies", Some("6300"), true),
    ("Postage & courier", Some("6310"), true),
    ("IT: Software", Some("6320"), true),
    ("IT: Telephone & internet", Some("6330"), true),
    ("Training \"on the job\"", Some("6400"), true),
    ("Research <lab> supplies", Some("6510"), true),
    ("Büro-Reparaturen", Some("6700"), true),
    ("Dues (old)", Some("6410"), false),
    (FAULTY_CATEGORY, Some("6950"), true),
    (UNMAPPED_CATEGORY, None, true),
];

/// The category whose account is inactive in every department.
pub(super) const FAULTY_CATEGORY: &str = "Club memberships";
/// The category without a GL code.
pub(super) const UNMAPPED_CATEGORY: &str = "Client gifts";
/// The closed project.
pub(super) const CLOSED_PROJECT: &str = "P-190";
/// Departments that reports use; empty = none given.
pub(super) const USED_DEPARTMENTS: &[&str] = &["00", "10", "20", "30", "10", "20", "30", ""];
/// Open projects that reports use; mostly none.
pub(super) const USED_PROJECTS: &[&str] = &["", "", "", "", "P-100", "P-110", "P-120", "P-130"];

/// Categories that a sound report may use.
pub(super) fn sound_categories() -> Vec<&'static str> {
    let sound = |name: &&str| *name != FAULTY_CATEGORY && *name != UNMAPPED_CATEGORY;
    CATEGORIES.iter().map(|(name, ..)| *name).filter(sound).collect()
}

/// Every natural account in every department and cost centre that is in use.
pub(super) fn accounts() -> Vec<WorldAccount> {
    let mut accounts = Vec::new();
    for (natural, name) in NATURALS {
        for (department, department_name, _) in DEPARTMENTS.iter().filter(|d| d.2) {
            for (centre, centre_name, _) in COST_CENTRES.iter().filter(|c| c.2) {
                accounts.push(WorldAccount {
                    segments: vec![(*natural).to_owned(), (*department).to_owned(), (*centre).to_owned()],
                    description: format!("{name}, {department_name}, {centre_name}"),
                    active: is_active(natural, department, centre),
                });
            }
        }
    }
    accounts
}

/// The segment values of an inactive account are themselves active, so that the account alone is at fault.
fn is_active(natural: &str, department: &str, centre: &str) -> bool {
    natural != "6950" && !(natural == "6990" && department == "30") && !(natural == "5100" && centre == "300")
}

pub(super) fn segments() -> Vec<WorldSegment> {
    let segment = |name: &str, values: Vec<(&str, &str, bool)>| WorldSegment {
        name: name.to_owned(),
        dynamic: false,
        values: values.into_iter().map(|(c, n, a)| (c.to_owned(), n.to_owned(), a)).collect(),
    };
    vec![
        segment("Natural account", NATURALS.iter().map(|(code, name)| (*code, *name, true)).collect()),
        segment("Department", DEPARTMENTS.to_vec()),
        segment("Cost centre", COST_CENTRES.to_vec()),
    ]
}

pub(super) fn categories() -> Vec<WorldCategory> {
    let category = |(name, code, enabled): &(&str, Option<&str>, bool)| WorldCategory {
        name: (*name).to_owned(),
        gl_code: code.map(str::to_owned),
        enabled: *enabled,
    };
    CATEGORIES.iter().map(category).collect()
}

pub(super) fn projects() -> Vec<WorldProject> {
    [
        ("P-100", "Press line 4", true),
        ("P-110", "Roof: hall B", true),
        ("P-120", "Émigré & Söhne retrofit", true),
        ("P-130", "ISO 14001 \"green\" audit", true),
        (CLOSED_PROJECT, "Old furnace", false),
    ]
    .into_iter()
    .map(|(code, description, active)| WorldProject {
        code: code.to_owned(),
        description: description.to_owned(),
        active,
    })
    .collect()
}
